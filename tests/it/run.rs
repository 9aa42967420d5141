//! `tickoff run`: what a command is given, what becomes of what it says, and each option.

use serde_json::{Value, json};

use crate::command_line::{Ended, Running, bytes, end, is_alive, tickoff, wait_until};
use crate::fixture::TempSheet;

const SHEET: &str = "PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED;ERROR_MESSAGE\nP1;PENDING;\"Ac\"\"me; \";;\nP2;PENDING;Globex;;\nP3;PENDING;;;\n";

/// One PO, so that a run is one job.
const ONE: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;PENDING;;\n";

#[track_caller]
fn statuses(sheet: &TempSheet) -> Vec<String> {
    sheet
        .table()
        .values()
        .map(|row| row["STATUS"].clone())
        .collect()
}

mod what_a_command_is_given {
    use super::*;

    #[test]
    fn braces_are_replaced_by_the_row_s_values_and_other_braces_are_left_alone() {
        let sheet = TempSheet::new(SHEET);
        let arguments = [
            "[%s]",
            "{}",
            "{SUPPLIER}",
            "a{}b{PO_NUMBER}{}",
            "{ supplier }",
            "{#}",
            "x/{}.pdf",
            "{NONE}",
            "{ }",
            "{{}}",
            "${SUPPLIER}",
            "}{",
            "{",
        ];
        let ended = end(sheet
            .tickoff("run")
            .args(["-j", "1", "--", "printf"])
            .args(arguments))
        .with(0);
        let of = |number: usize, po: &str, supplier: &str| {
            format!(
                "[{po}][{supplier}][a{po}b{po}{po}][{supplier}][{number}][x/{po}.pdf]\
                 [{{NONE}}][{{ }}][{{{{}}}}][${{SUPPLIER}}][}}{{][{{]\n"
            )
        };
        assert_eq!(
            ended.stdout,
            of(1, "P1", "Ac\"me; ") + &of(2, "P2", "Globex") + &of(3, "P3", "")
        );
    }

    #[test]
    fn a_command_runs_without_a_shell() {
        let sheet =
            TempSheet::new("PO_NUMBER;STATUS\n$(touch hacked);PENDING\n`touch hacked` & ;\n");
        let ended = end(sheet
            .tickoff("run")
            .args(["-j", "1", "--", "echo", "{}", ">", "file"]))
        .with(0);
        assert_eq!(
            ended.stdout,
            "$(touch hacked) > file\n`touch hacked` & > file\n"
        );
        assert_eq!(sheet.leftovers(), [""; 0]);
    }

    #[test]
    fn the_environment_names_the_po_the_session_the_worker_the_attempt_and_the_result_file() {
        let sheet = TempSheet::new(ONE);
        let script = "test ! -e $TICKOFF_RESULT && test $TICKOFF_KEY = $TICKOFF_PO && test -w ${TICKOFF_RESULT%/*} && echo $TICKOFF_PO $TICKOFF_WORKER $TICKOFF_ATTEMPT $TICKOFF_SESSION";
        let ended = end(&mut sheet.run("", script)).with(0);
        let session = sheet.backup_names()[0]
            .rsplit_once('_')
            .unwrap()
            .1
            .replace(".csv", "");
        assert_eq!(ended.stdout, format!("P1 0 1 {session}\n"));
    }

    #[test]
    fn standard_input_is_empty_whatever_the_programs_own_is() {
        let sheet = TempSheet::new(ONE);
        let own = std::fs::File::open(sheet.path()).unwrap();
        let ended = end(sheet.run("", "cat; echo end").stdin(own)).with(0);
        assert_eq!(ended.stdout, "end\n");
    }

    #[test]
    fn the_result_files_are_gone_when_the_run_is_over() {
        let sheet = TempSheet::new(ONE);
        let temporary = sheet.folder().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        end(sheet
            .run("", "echo left > ${TICKOFF_RESULT}x; echo '{\"STATUS\":\"COMPLETED\"}' > $TICKOFF_RESULT")
            .env("TMPDIR", &temporary))
        .with(0);
        assert_eq!(std::fs::read_dir(temporary).unwrap().count(), 0);
    }
}

mod what_a_command_says {
    use std::path::Path;

    use super::*;

    #[track_caller]
    fn check_with(options: &str, script: &str, status: &str, message: &str) {
        let sheet = TempSheet::new(ONE);
        end(&mut sheet.run(options, script)).with(i32::from(status == "ERROR"));
        let row = &sheet.table()["P1"];
        assert_eq!(
            (row["STATUS"].as_str(), row["ERROR_MESSAGE"].as_str()),
            (status, message)
        );
        assert_eq!(row["LAST_PROCESSED"].len(), "2026-01-05T10:00:00Z".len());
        assert_eq!(sheet.leftovers(), [""; 0]);
    }

    #[track_caller]
    fn check(script: &str, status: &str, message: &str) {
        check_with("--retries 0", script, status, message);
    }

    #[test]
    fn its_exit_code_is_the_result() {
        check("exit 0", "COMPLETED", "");
        check("exit 3", "ERROR", "exit 3");
        check(
            "echo no such order >&2; exit 3",
            "ERROR",
            "exit 3: no such order",
        );
        check("kill -9 $$", "ERROR", "killed by signal 9 (SIGKILL)");
        check("exit 75", "ERROR", "exit 75");
    }

    #[test]
    fn a_status_in_its_result_file_wins_over_its_exit_code() {
        let result =
            |status: &str| format!("echo '{{\"STATUS\":\"{status}\"}}' > $TICKOFF_RESULT;");
        check(&(result("NO_ATTACHMENTS") + "exit 0"), "NO_ATTACHMENTS", "");
        check(&(result("completed") + "exit 3"), "COMPLETED", "");
        check(&(result("ERROR") + "echo why >&2"), "ERROR", "exit 0: why");
        check(
            "echo '{\"STATUS\":\"ERROR\",\"ERROR_MESSAGE\":\"mine\"}' > $TICKOFF_RESULT; exit 3",
            "ERROR",
            "mine",
        );
    }

    #[test]
    fn a_status_in_its_result_file_does_not_win_over_exit_75_a_signal_or_a_timeout() {
        let completed = "echo '{\"STATUS\":\"COMPLETED\"}' > $TICKOFF_RESULT;";
        check(&format!("{completed} exit 75"), "ERROR", "exit 75");
        check(
            &format!("{completed} kill -15 $$"),
            "ERROR",
            "killed by signal 15 (SIGTERM)",
        );
        check_with(
            "--timeout 300ms",
            &format!("{completed} hang"),
            "ERROR",
            "timed out after 300ms",
        );
    }

    #[test]
    fn a_folder_in_the_place_of_the_result_file_is_kept() {
        let sheet = TempSheet::new(ONE);
        let temporary = tempfile::tempdir().unwrap();
        let mut run = sheet.run("", "mkdir $TICKOFF_RESULT; echo x > $TICKOFF_RESULT/page");
        end(run.env("TMPDIR", temporary.path())).with(1);
        let message = sheet.cell("P1", "ERROR_MESSAGE");
        let (said, kept) = message.rsplit_once(": ").unwrap();
        assert_eq!(
            said,
            "invalid TICKOFF_RESULT: it is a folder, which is kept"
        );
        let page = std::fs::read_to_string(Path::new(kept).join("page")).unwrap();
        assert_eq!(page, "x\n");
        assert!(Path::new(kept).starts_with(temporary.path()));
    }

    #[test]
    fn a_result_file_that_cannot_be_used_makes_the_po_an_error_that_says_so() {
        let invalid = "invalid TICKOFF_RESULT";
        check(
            "printf '{\"STATUS\":' > $TICKOFF_RESULT",
            "ERROR",
            &format!(
                "{invalid}: it is not a JSON object of cells: EOF while parsing a value at line 1 column 10"
            ),
        );
        check(
            "printf '[1]' > $TICKOFF_RESULT; exit 3",
            "ERROR",
            &format!(
                "exit 3, {invalid}: it is no JSON object, and line 1 is no NAME=value or NAME<<MARK"
            ),
        );
        check(
            "ln -s /dev/null $TICKOFF_RESULT",
            "ERROR",
            &format!(
                "{invalid}: it is a link to /dev/null, and no regular file of this user is there"
            ),
        );
        check(
            "mkfifo $TICKOFF_RESULT",
            "ERROR",
            &format!("{invalid}: it is not a regular file"),
        );
    }

    #[test]
    fn its_cells_are_written_and_the_columns_of_the_original_system_added() {
        let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\n");
        let script = r#"test $TICKOFF_PO = P1 && echo '{"ATTACHMENTS_FOUND":2,"AttachmentName":["a.pdf","b.pdf"],"LAST_PROCESSED":"t"}' > $TICKOFF_RESULT"#;
        end(&mut sheet.run("-j 1 --limit 1", script)).with(0);
        assert_eq!(
            sheet.text(),
            "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;ATTACHMENTS_FOUND;AttachmentName\nP1;COMPLETED;t;;2;\"a.pdf;b.pdf\"\nP2;;;;;\n"
        );
    }

    #[test]
    fn the_end_of_its_stderr_is_escaped_and_limited() {
        check(
            r"printf 'one\033[31m\ntwo\r\n\303\n' >&2; exit 1",
            "ERROR",
            "exit 1: one\\u{1b}[31m | two | \u{fffd}",
        );
        let sheet = TempSheet::new(ONE);
        let script = "i=0; while [ $i -lt 3000 ]; do echo line $i >&2; i=$((i+1)); done; exit 1";
        end(&mut sheet.run("", script)).with(1);
        let message = sheet.cell("P1", "ERROR_MESSAGE");
        assert!(message.starts_with("exit 1: "), "{message}");
        assert!(message.ends_with("line 2998 | line 2999"), "{message}");
        assert!(
            message.chars().count() <= tickoff::MAX_ERROR_CHARS,
            "{message}"
        );
    }

    #[test]
    fn exit_75_is_tried_again_until_it_is_over() {
        let try_again = "echo $TICKOFF_ATTEMPT >> log; test $TICKOFF_ATTEMPT = 3 || { echo busy >&2; exit 75; }";
        let check = |retries: u32, code: i32, status: &str, message: &str| {
            let sheet = TempSheet::new(ONE);
            end(&mut sheet.run(&format!("--retries {retries} --backoff 1ms"), try_again))
                .with(code);
            assert_eq!(sheet.cell("P1", "STATUS"), status);
            assert_eq!(sheet.cell("P1", "ERROR_MESSAGE"), message);
            sheet.lines("log")
        };
        assert_eq!(check(3, 0, "COMPLETED", ""), ["1", "2", "3"]);
        assert_eq!(check(1, 1, "ERROR", "exit 75: busy"), ["1", "2"]);
    }

    #[test]
    fn a_timeout_ends_the_whole_process_group_even_if_it_will_not_listen() {
        let sheet = TempSheet::new(ONE);
        // The grandchild ignores SIGTERM, and holds stderr open.
        let script = "sh -c 'trap \"\" TERM; echo $$ > grandchild; while [ -e $PWD ]; do sleep 0.1; done' & wait";
        let ended = end(&mut sheet.run("--timeout 500ms", script)).with(1);
        assert_eq!(
            sheet.cell("P1", "ERROR_MESSAGE"),
            "timed out after 500ms",
            "{ended:?}"
        );
        let grandchild = &sheet.lines("grandchild")[0];
        wait_until("the grandchild is gone", || !is_alive(grandchild));
    }

    #[test]
    fn what_a_finished_command_left_in_the_background_holds_nobody() {
        let sheet = TempSheet::new(ONE);
        let mut run = Running::start(
            sheet
                .run("", "hang > /dev/null & echo $! > background")
                .stdin(std::process::Stdio::null()),
        );
        wait_until("the run is over", || !run.is_running());
        let background = sheet.lines("background")[0].clone();
        assert!(is_alive(&background), "only a timeout or a stop ends it");
        assert!(
            std::process::Command::new("kill")
                .arg(&background)
                .status()
                .unwrap()
                .success()
        );
        run.end().with(0);
    }

    #[test]
    fn values_that_a_spreadsheet_would_run_are_told_in_two_lines_of_a_column() {
        let rows: String = (0..20).map(|row| format!("P{row};\n")).collect();
        let sheet = TempSheet::new(format!("PO_NUMBER;NOTE\n{rows}"));
        let script = "echo '{\"NOTE\":\"=1+1\"}' > $TICKOFF_RESULT";
        let ended = end(&mut sheet.run("-j 1", script)).with(0);
        let lines = ended.stderr.lines();
        let said: Vec<_> = lines.filter(|line| line.contains("formula")).collect();
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].ends_with("P0: NOTE would run as a formula in a spreadsheet"));
        assert!(
            said[1].ends_with("20 results have a value in NOTE that would run as a formula in a spreadsheet, the first is that of P0"),
            "{said:?}"
        );
    }

    #[test]
    fn a_value_that_a_spreadsheet_would_run_is_reported_or_refused() {
        let script =
            "echo '{\"ERROR_MESSAGE\":\"=1+1\",\"STATUS\":\"NO_ATTACHMENTS\"}' > $TICKOFF_RESULT";
        let sheet = TempSheet::new(ONE);
        let ended = end(&mut sheet.run("", script)).with(0);
        assert!(
            ended
                .stderr
                .contains("P1: ERROR_MESSAGE would run as a formula in a spreadsheet"),
            "{ended:?}"
        );
        assert_eq!(sheet.cell("P1", "ERROR_MESSAGE"), "=1+1");
        let sheet = TempSheet::new(ONE);
        end(&mut sheet.run("--formulas reject", script)).with(1);
        let row = &sheet.table()["P1"];
        assert_eq!(
            (row["STATUS"].as_str(), row["ERROR_MESSAGE"].as_str()),
            ("NO_ATTACHMENTS", ""),
            "the row gets its state in any case"
        );
        assert_eq!(sheet.unplaced(), "PO_NUMBER;ERROR_MESSAGE\nP1;=1+1\n");
    }
}

mod options {
    use super::*;

    const MANY: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;COMPLETED;2026-01-05T10:00:00Z;\nP2;ERROR;;old\nP3;NO_ATTACHMENTS;;\nP4;PENDING;;\nP5;odd;;\n";

    /// The POs that a run with these options gives to its jobs.
    #[track_caller]
    fn processed(contents: &str, options: &str) -> Vec<String> {
        let sheet = TempSheet::new(contents);
        end(&mut sheet.run(options, "echo $TICKOFF_PO >> log")).with(0);
        let mut log = sheet.lines("log");
        log.sort();
        log
    }

    #[test]
    fn all_that_is_not_completed_is_processed_and_done_widens_that() {
        assert_eq!(processed(MANY, ""), ["P2", "P3", "P4"]);
        assert_eq!(
            processed(MANY, "--done COMPLETED,NO_ATTACHMENTS"),
            ["P2", "P4"]
        );
        assert_eq!(processed(MANY, "--done no_attachments,error"), ["P4"]);
        assert_eq!(processed(MANY, "--force"), ["P1", "P2", "P3", "P4", "P5"]);
        assert_eq!(processed(MANY, "--limit 2"), ["P2", "P3"]);
    }

    #[test]
    fn force_lets_a_result_replace_completed() {
        let sheet = TempSheet::new(MANY);
        end(&mut sheet.run("--force --limit 1", "exit 1")).with(1);
        assert_eq!(sheet.cell("P1", "STATUS"), "ERROR");
    }

    #[test]
    fn a_limit_leaves_the_rest_for_the_next_run() {
        let sheet = TempSheet::pending(5);
        end(&mut sheet.run("--limit 2", "true")).with(0);
        assert_eq!(sheet.status()["pending"], 3);
        end(&mut sheet.run("", "true")).with(0);
        assert_eq!(sheet.status()["completed"], 5);
    }

    #[test]
    fn a_po_in_several_rows_is_processed_once_and_written_to_all_of_them() {
        let rows = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;PENDING;;\nP2;PENDING;;\n P1 ;PENDING;;\n";
        let sheet = TempSheet::new(rows);
        let script = "echo '{\"LAST_PROCESSED\":\"t\"}' > $TICKOFF_RESULT; echo $TICKOFF_PO >> log";
        end(&mut sheet.run("--duplicates all -j 1", script)).with(0);
        assert_eq!(sheet.text(), rows.replace(";PENDING;", ";COMPLETED;t"));
        assert_eq!(sheet.lines("log"), ["P1", "P2"]);
    }

    #[test]
    fn halt_soon_lets_running_jobs_finish_and_hands_out_no_more() {
        let sheet = TempSheet::pending(10);
        let ended =
            end(&mut sheet.run("-j 1 --halt soon,fail=2", "test $TICKOFF_PO = PO1")).with(5);
        assert_eq!(
            statuses(&sheet)[..4],
            ["ERROR", "COMPLETED", "ERROR", "PENDING"]
        );
        assert_eq!(sheet.status()["pending"], 7, "{ended:?}");
        assert_eq!(sheet.leftovers(), [""; 0]);
    }

    #[test]
    fn halt_now_breaks_running_jobs_off_and_they_keep_their_state() {
        let sheet = TempSheet::pending(10);
        let script = "case $TICKOFF_PO in
            PO0) await sleeper; exit 1;;
            PO1) echo $$ > sleeper; hang;;
        esac";
        end(&mut sheet.run("-j 2 --halt now,fail=1", script)).with(5);
        assert_eq!(statuses(&sheet)[..3], ["ERROR", "PENDING", "PENDING"]);
        wait_until("the sleeper is gone", || {
            !is_alive(&sheet.lines("sleeper")[0])
        });
    }

    #[test]
    fn one_job_at_a_time_writes_what_four_do() {
        let script = "case $TICKOFF_PO in *3) echo '{\"STATUS\":\"ERROR\",\"ERROR_MESSAGE\":\"x\",\"LAST_PROCESSED\":\"t\"}';; *) echo '{\"LAST_PROCESSED\":\"t\"}';; esac > $TICKOFF_RESULT";
        let after = |jobs: &str| {
            let sheet = TempSheet::pending(20);
            end(&mut sheet.run(jobs, script)).with(1);
            assert_eq!(sheet.leftovers(), [""; 0]);
            assert_eq!(sheet.backup_names().len(), 1);
            sheet.text()
        };
        assert_eq!(after("--jobs 1"), after("--jobs 4"));
    }

    #[test]
    fn a_worker_takes_its_next_po_only_once_its_last_result_can_be_read_by_others() {
        let sheet = TempSheet::pending(5);
        let script = "$TICKOFF status input.csv --json >> log";
        end(&mut sheet.run("-j 1", script)).with(0);
        let completed: Vec<Value> = sheet
            .lines("log")
            .iter()
            .map(|line| serde_json::from_str::<Value>(line).unwrap()["completed"].clone())
            .collect();
        assert_eq!(completed, [0, 1, 2, 3, 4]);
    }

    #[test]
    fn a_quiet_run_says_nothing_but_warnings() {
        let sheet = TempSheet::pending(2);
        assert_eq!(end(&mut sheet.run("--quiet", "true")).with(0).stderr, "");
        let ended = end(&mut TempSheet::pending(1).run("--quiet", "exit 3")).with(1);
        assert!(
            ended
                .stderr
                .contains("WARN failed key=PO0 reason=exit 3 attempts=1"),
            "{ended:?}"
        );
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }

    #[track_caller]
    fn check_json_log(ended: &Ended) -> Vec<Value> {
        ended
            .stderr
            .lines()
            .map(|line| {
                serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"))
            })
            .collect()
    }

    #[test]
    fn every_line_of_a_json_log_is_json() {
        let sheet = TempSheet::pending(4);
        let script =
            "case $TICKOFF_PO in PO1) exit 75;; PO2) printf 'a\\nb\\033' >&2; exit 1;; esac";
        let log =
            check_json_log(&end(&mut sheet.run("--log-format json --backoff 1ms", script)).with(1));
        assert!(
            log.iter()
                .any(|line| line["key"] == "PO2" && line["message"] == "failed"),
            "{log:?}"
        );
        assert!(
            log.iter()
                .all(|line| line["level"].is_string() && line["timestamp"].is_string())
        );
    }

    #[test]
    fn what_ends_a_run_is_json_too_in_a_json_log() {
        let sheet = TempSheet::new("");
        let log = check_json_log(&end(&mut sheet.run("--log-format json", "true")).with(3));
        assert_eq!(log.len(), 1);
        assert_eq!(log[0]["level"], "ERROR");
        let message = sheet.without_folder(log[0]["message"].as_str().unwrap());
        assert_eq!(
            message,
            "DIR/input.csv is empty: a header with the column PO_NUMBER is needed"
        );
        let log = check_json_log(
            &end(sheet
                .tickoff("run")
                .args(["--log-format", "json", "--", "nosuchprogram"]))
            .with(127),
        );
        assert_eq!(log[0]["message"], "nosuchprogram is not found on the PATH");
    }

    #[test]
    fn the_key_column_and_the_delimiter_can_be_named() {
        let sheet = TempSheet::new("a;b|Order no\nx;y|7\nz|8\n");
        let script = "echo '{\"LAST_PROCESSED\":\"t\"}' > $TICKOFF_RESULT; echo $TICKOFF_PO";
        let mut run = sheet.tickoff("run");
        run.args([
            "-j",
            "1",
            "--delimiter",
            "|",
            "--key",
            "order NO",
            "--",
            "sh",
            "-c",
            script,
        ]);
        assert_eq!(end(&mut run).with(0).stdout, "7\n8\n");
        assert_eq!(
            sheet.text(),
            "a;b|Order no|STATUS|LAST_PROCESSED|ERROR_MESSAGE\nx;y|7|COMPLETED|t|\nz|8|COMPLETED|t|\n"
        );
    }

    #[test]
    fn a_tab_is_found_and_can_be_named() {
        for options in ["", "--delimiter tab"] {
            let sheet = TempSheet::new("PO_NUMBER\tSTATUS\nP1;x\t\n");
            end(&mut sheet.run(options, "true")).with(0);
            assert!(
                sheet.text().contains("\nP1;x\tCOMPLETED\t20"),
                "{}",
                sheet.text()
            );
        }
    }

    #[test]
    fn values_that_cannot_be_meant_are_usage_errors_before_any_file_is_touched() {
        for options in [
            "--jobs 0",
            "--jobs 1000000000",
            "--limit 0",
            "--timeout 0s",
            "--timeout 5",
            "--halt soon",
            "--halt now,fail=0",
            "--keep 0",
            "--done PENDING",
            "--delimiter ;;",
            "--duplicates some",
            "--formulas maybe",
            "--log-format xml",
            "--retries -1",
        ] {
            let sheet = TempSheet::new(ONE);
            let ended = end(&mut sheet.run(options, "true")).with(2);
            assert!(ended.stderr.starts_with("error: "), "{ended:?}");
            check_untouched(&sheet, ONE);
        }
        let sheet = TempSheet::new(ONE);
        end(&mut sheet.tickoff("run")).with(2);
        end(sheet.tickoff("run").arg("--")).with(2);
        end(sheet.tickoff("run").arg("true")).with(2);
        check_untouched(&sheet, ONE);
    }
}

/// Nothing is beside the sheet, not even the files that tickoff keeps for ever.
#[track_caller]
fn check_untouched(sheet: &TempSheet, contents: &str) {
    assert_eq!(sheet.text(), contents);
    assert_eq!(std::fs::read_dir(sheet.folder()).unwrap().count(), 1);
}

#[test]
fn a_command_that_cannot_be_run_is_said_before_anything_is_changed() {
    let sheet = TempSheet::new(ONE);
    let ended = end(sheet.tickoff("run").args(["--", "nosuchprogram", "{}"])).with(127);
    assert_eq!(
        ended.stderr,
        "tickoff: nosuchprogram is not found on the PATH\n"
    );
    let ended = end(sheet.tickoff("run").args(["--", "./nosuchprogram"])).with(127);
    assert_eq!(ended.stderr, "tickoff: ./nosuchprogram is not found\n");
    let ended = end(sheet.tickoff("run").args(["--", "./input.csv"])).with(126);
    assert_eq!(
        ended.stderr,
        "tickoff: ./input.csv cannot be executed: it is a folder, or lacks the permission (chmod +x)\n"
    );
    let ended = end(sheet.tickoff("run").args(["--", "/"])).with(126);
    assert_eq!(
        ended.stderr,
        "tickoff: / cannot be executed: it is a folder, or lacks the permission (chmod +x)\n"
    );
    let script = sheet.folder().join("fetch.sh");
    std::fs::write(&script, "#!/bin/sh\n").unwrap();
    let ended = end(sheet.tickoff("run").args(["--", "fetch.sh"])).with(127);
    assert_eq!(
        ended.stderr,
        "tickoff: fetch.sh is not found on the PATH: did you mean ./fetch.sh?\n"
    );
    std::fs::remove_file(script).unwrap();
    check_untouched(&sheet, ONE);
}

#[test]
fn a_run_with_nothing_pending_makes_no_backup_and_changes_nothing() {
    let done = "PO_NUMBER;STATUS\nP1;COMPLETED\n;;\n";
    for contents in [
        done,
        "PO_NUMBER\n",
        "PO_NUMBER",
        "PO_NUMBER;STATUS\n;;;\n\n",
    ] {
        let sheet = TempSheet::new(contents);
        end(&mut sheet.run("", "echo $TICKOFF_PO; exit 1")).with(0);
        assert_eq!(sheet.text(), contents);
        assert_eq!(sheet.leftovers(), [""; 0]);
        assert!(!sheet.backups().exists());
    }
}

#[test]
fn of_several_exit_codes_the_most_pressing_is_given() {
    let sheet = TempSheet::pending(4);
    end(&mut sheet.run("-j 1 --halt soon,fail=1", "exit 1")).with(5);
    end(&mut sheet.run("-j 1", "exit 1")).with(1);
    // Interrupted while a job fails, and halted by that failure.
    end(&mut sheet.run(
        "-j 1 --halt soon,fail=1",
        "kill -INT $PPID; sleep 0.1; exit 1",
    ))
    .with(130);
    end(&mut sheet.run("-j 1", "kill -TERM $PPID; sleep 0.1; exit 1")).with(143);
}

#[test]
fn results_that_cannot_be_written_to_the_sheet_are_kept_and_said_with_exit_code_6() {
    let sheet = TempSheet::pending(8_000);
    let before = bytes(sheet.path());
    assert!(before.len() > 200_000);
    // From now on no file of this run may grow beyond that: the journal can, a new version cannot.
    let mut run = Running::start(&mut sheet.run(
        "-j 1 --limit 2 --quiet",
        "touch started; await limited; kill -INT $PPID; sleep 0.1",
    ));
    wait_until("the first job runs", || {
        sheet.folder().join("started").exists()
    });
    let reserved = std::fs::metadata(sheet.folder().join(".input.csv.journal"))
        .unwrap()
        .len();
    limit_file_size(&run, reserved + 1000);
    std::fs::write(sheet.folder().join("limited"), "").unwrap();
    wait_until("the run is over", || !run.is_running());
    let ended = run.end().with(6);
    let said = sheet.without_folder(&ended.stderr);
    assert!(
        said.ends_with(
            "tickoff: not yet written to DIR/input.csv, kept in its journal: cannot write a new version of DIR/input.csv: File too large (os error 27)\n\
             tickoff: nothing is lost: once the cause is gone, the next tickoff run, apply, init or set on this file finishes the write, or says what has to be done before\n"
        ),
        "{said}"
    );
    assert_eq!(bytes(sheet.path()), before);
    assert_eq!(
        sheet.get("PO0")["status"],
        "COMPLETED",
        "readers see the result in the journal"
    );
    assert!(sheet.has_open_journal());
    assert_eq!(sheet.leftovers(), ["limited", "started"]);

    end(sheet.tickoff("set").args(["PO7", "SUPPLIER=x"])).with(0);
    assert_eq!(sheet.cell("PO0", "STATUS"), "COMPLETED");
    end(&mut sheet.tickoff("init")).with(0);
    assert!(
        !sheet.has_open_journal(),
        "the next session closes the interrupted one's journal"
    );
}

fn limit_file_size(run: &Running, bytes: u64) {
    use rustix::process::{Resource, Rlimit, prlimit};
    let limit = Rlimit {
        current: Some(bytes),
        maximum: None,
    };
    prlimit(Some(run.pid()), Resource::Fsize, limit).unwrap();
}

mod output {
    use super::*;

    const INPUT: &str = "PO_NUMBER;Note\nP1;a\nP2;b\n";

    const JOB: &str =
        "echo '{\"LAST_PROCESSED\":\"t\"}' > $TICKOFF_RESULT; echo $TICKOFF_PO >> log";

    #[track_caller]
    fn copy(sheet: &TempSheet) -> String {
        std::fs::read_to_string(sheet.folder().join("results/copy.csv")).unwrap()
    }

    fn prepared() -> TempSheet {
        let sheet = TempSheet::new(INPUT);
        std::fs::create_dir(sheet.folder().join("results")).unwrap();
        sheet
    }

    fn beside_the_input(sheet: &TempSheet) -> Vec<String> {
        let mut names: Vec<String> = std::fs::read_dir(sheet.folder())
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn the_input_stays_untouched_and_everything_is_beside_the_copy() {
        let sheet = prepared();
        let before = std::fs::metadata(sheet.path()).unwrap().modified().unwrap();
        end(&mut sheet.run("--output results/copy.csv", JOB)).with(0);
        assert_eq!(
            copy(&sheet),
            "PO_NUMBER;Note;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;a;COMPLETED;t;\nP2;b;COMPLETED;t;\n"
        );
        assert_eq!(sheet.text(), INPUT);
        assert_eq!(
            std::fs::metadata(sheet.path()).unwrap().modified().unwrap(),
            before
        );
        assert_eq!(beside_the_input(&sheet), ["input.csv", "log", "results"]);
        assert_eq!(
            std::fs::read_dir(sheet.folder().join("results/backup"))
                .unwrap()
                .count(),
            2,
            "a backup, and the original"
        );
    }

    #[test]
    fn a_copy_that_is_there_is_resumed_and_a_rerun_of_a_finished_one_is_done() {
        let sheet = prepared();
        end(&mut sheet.run("--output results/copy.csv --limit 1", JOB)).with(0);
        end(&mut sheet.run("--output results/copy.csv", JOB)).with(0);
        let after = copy(&sheet);
        end(&mut sheet.run("--output results/copy.csv", JOB)).with(0);
        assert_eq!(sheet.lines("log"), ["P1", "P2"]);
        assert_eq!(copy(&sheet), after);
        assert_eq!(
            std::fs::read_dir(sheet.folder().join("results/backup"))
                .unwrap()
                .count(),
            3,
            "two backups, and the original"
        );
    }

    #[test]
    fn rows_that_are_new_in_the_input_are_added_and_the_others_keep_the_copys_cells() {
        let sheet = prepared();
        end(&mut sheet.run("--output results/copy.csv", JOB)).with(0);
        std::fs::write(
            sheet.path(),
            "PO_NUMBER;Note;Colour\nP2;changed\nP3;\"new; row\"\nP4;d;red\n",
        )
        .unwrap();
        let ended = end(&mut sheet.run("--output results/copy.csv -j 1 --limit 1", JOB)).with(0);
        for said in [
            "they are not taken over columns=Colour",
            "not in the input any more stay in the copy rows=1",
        ] {
            assert!(ended.stderr.contains(said), "{ended:?}");
        }
        assert_eq!(
            copy(&sheet),
            "PO_NUMBER;Note;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;a;COMPLETED;t;\nP2;b;COMPLETED;t;\nP3;\"new; row\";COMPLETED;t;\nP4;d;;;\n"
        );
        assert_eq!(sheet.lines("log")[2..], ["P3"]);
        let said = |cells: &str| {
            format!(
                "the input has other cells than the copy, and the copy's are used: to change one, edit {} {cells}\n",
                sheet.folder().join("results/copy.csv").display()
            )
        };
        assert!(
            (ended.stderr).contains(&said("cells=1 rows=1 columns=Note keys=P2")),
            "{ended:?}"
        );

        std::fs::write(
            sheet.path(),
            "PO_NUMBER;Note\nP2;changed again\nP3;\"new; row\"\nP4;corrected\n",
        )
        .unwrap();
        let ended = end(&mut sheet.run("--output results/copy.csv", JOB)).with(0);
        assert!(
            (ended.stderr).contains(&said("cells=2 rows=2 columns=Note keys=P2, P4")),
            "{ended:?}"
        );
        assert!(copy(&sheet).contains("\nP4;d;COMPLETED;"));
    }

    /// The copy's row is the one that runs; where it has a result, the input's state is an older one.
    #[test]
    fn a_state_that_is_another_one_in_the_input_is_named_where_the_copy_has_no_result() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\nP2;\nP3;\n");
        let run = |options: &str| end(&mut sheet.run(&format!("--output copy.csv {options}"), JOB));
        run("--limit 1").with(0);
        let input = "PO_NUMBER;STATUS\nP1;ERROR\nP2;COMPLETED\nP3;\n";
        std::fs::write(sheet.path(), input).unwrap();
        let ended = run("").with(0);
        let said = "cells=1 rows=1 columns=STATUS keys=P2\n";
        assert!(ended.stderr.contains(said), "{ended:?}");
        let again = run("").with(0);
        assert!(!again.stderr.contains("other cells"), "{again:?}");
    }

    /// Two of three have to speak for a copy: its rows, its columns, and results.
    #[test]
    fn another_sheet_is_not_taken_for_a_copy_and_stays_as_it_is() {
        for (theirs, why) in [
            (
                "PO_NUMBER;Price;For\nX1;3;me\n",
                "has other rows, lacks Note, has no results",
            ),
            (
                "PO_NUMBER;Price;For\nP1;3;me\n",
                "lacks Note, has no results",
            ),
            ("PO_NUMBER;Note\nX1;a\n", "has other rows, has no results"),
            (
                "PO_NUMBER;Price;STATUS;LAST_PROCESSED\nX1;3;COMPLETED;2026-01-02T03:04:05Z\n",
                "has other rows, lacks Note",
            ),
        ] {
            let sheet = prepared();
            let path = sheet.folder().join("results/copy.csv");
            std::fs::write(&path, theirs).unwrap();
            for options in ["", "--dry-run", "--where Note=a"] {
                let ran = format!("--output results/copy.csv {options}");
                let refused = end(&mut sheet.run(&ran, JOB)).with(3).stderr;
                let told = format!(
                    "copy.csv is there already and is no copy of {}: it {why}; it was left as it is: name another file for the results",
                    sheet.path().display()
                );
                assert!(refused.contains(&told), "{refused}");
                assert_eq!(std::fs::read_to_string(&path).unwrap(), theirs);
            }
            assert!(!sheet.folder().join("log").exists());
            assert!(!sheet.folder().join("results/backup").exists());
        }
    }

    #[test]
    fn a_copy_with_results_takes_rows_that_are_all_new_and_the_backup_of_before_is_named() {
        let sheet = prepared();
        end(&mut sheet.run("--output results/copy.csv", JOB)).with(0);
        std::fs::write(sheet.path(), "PO_NUMBER;Note\nP7;a\nP8;b\n").unwrap();
        let ended = end(&mut sheet.run("--output results/copy.csv -q", JOB)).with(0);
        let told = "hardly a row of the input was in the copy: if that is another sheet, put it back as it was from ";
        let backup = ended.stderr.split_once(told).expect(&ended.stderr).1;
        let backup = std::fs::read_to_string(backup.lines().next().unwrap()).unwrap();
        assert!(backup.contains("P1;a;COMPLETED;"), "{backup}");
        assert!(
            copy(&sheet).contains("P1;a;COMPLETED;") && copy(&sheet).contains("P8;b;COMPLETED;")
        );
    }

    #[test]
    fn a_cell_of_a_failed_row_that_was_corrected_in_the_input_is_named_and_a_result_is_not() {
        let sheet = TempSheet::new("PO_NUMBER;Url;Title\nP1;wrong;\nP2;good;old\n");
        let job = "echo Title=new >$TICKOFF_RESULT; grep -q $TICKOFF_PO fails && exit 1; exit 0";
        std::fs::write(sheet.folder().join("fails"), "P1").unwrap();
        end(&mut sheet.run("--output copy.csv", job)).with(1);
        let ended = end(&mut sheet.run("--output copy.csv", job)).with(1);
        assert!(!ended.stderr.contains("other cells"), "{ended:?}");
        std::fs::write(
            sheet.path(),
            "PO_NUMBER;Url;Title\nP1;right;\nP2;good;old\n",
        )
        .unwrap();
        let ended = end(&mut sheet.run("--output copy.csv", job)).with(1);
        assert!(
            ended.stderr.contains("cells=1 rows=1 columns=Url keys=P1"),
            "{ended:?}"
        );
        assert!(ended.stderr.contains("to change one, edit /"), "{ended:?}");
    }

    #[test]
    fn the_same_file_twice_is_a_usage_error_however_it_is_named() {
        let sheet = prepared();
        std::os::unix::fs::symlink("input.csv", sheet.folder().join("link.csv")).unwrap();
        std::fs::hard_link(sheet.path(), sheet.folder().join("hard.csv")).unwrap();
        for copy in [
            "input.csv",
            "./results/../input.csv",
            "link.csv",
            "hard.csv",
        ] {
            let ended = end(&mut sheet.run(&format!("--output {copy}"), JOB)).with(2);
            assert_eq!(
                ended.stderr,
                format!(
                    "tickoff: {copy} is the input itself: name another file for the results, or none to have them in the input\n"
                )
            );
        }
        assert_eq!(sheet.text(), INPUT);
        assert_eq!(
            beside_the_input(&sheet),
            ["hard.csv", "input.csv", "link.csv", "results"]
        );
    }

    #[test]
    fn a_copy_where_there_is_no_folder_is_said() {
        let sheet = prepared();
        let ended = end(&mut sheet.run("--output none/copy.csv", JOB)).with(3);
        assert_eq!(
            ended.stderr,
            "tickoff: cannot find the folder none: No such file or directory (os error 2)\ntickoff: make it: mkdir -p none\n"
        );
    }

    #[test]
    fn an_input_that_is_no_sheet_makes_no_copy() {
        let sheet = prepared();
        std::fs::write(sheet.path(), "PO;x\n").unwrap();
        end(&mut sheet.run("--output results/copy.csv", JOB)).with(3);
        assert_eq!(
            std::fs::read_dir(sheet.folder().join("results"))
                .unwrap()
                .count(),
            0
        );
    }
}

#[test]
fn a_symlinked_sheet_stays_a_link_and_its_target_gets_the_results() {
    let sheet = TempSheet::new(ONE);
    let link = sheet.folder().join("link.csv");
    std::os::unix::fs::symlink("input.csv", &link).unwrap();
    end(tickoff().arg("run").arg(&link).args(["--", "true"])).with(0);
    assert!(link.is_symlink());
    assert_eq!(
        sheet.counts(),
        json!({"total": 1, "completed": 1, "pending": 0, "error": 0, "no_attachments": 0, "other": 0})
    );
    assert_eq!(sheet.leftovers(), [".link.csv.link", "link.csv"]);
}
