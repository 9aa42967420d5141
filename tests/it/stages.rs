//! Stages: several steps of work on one sheet, each with a state, a time and a message of its own.

use std::collections::BTreeSet;

use tickoff::{Options, Session, Stage};

use crate::command_line::{Ended, Running, end, wait_until};
use crate::fixture::TempSheet;

const JOB: &str = "echo $TICKOFF_PO >> ran";

fn sheet(rows: &str) -> TempSheet {
    TempSheet::new(format!(
        "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\n{rows}"
    ))
}

/// Two orders that were fetched, one of which there was nothing to fetch, one that failed, one that is new.
fn fetched() -> TempSheet {
    sheet(
        "P1;COMPLETED;2026-01-05T10:00:00Z;\nP2;COMPLETED;2026-01-05T10:00:01Z;\nP3;NO_ATTACHMENTS;2026-01-05T10:00:02Z;\nP4;ERROR;2026-01-05T10:00:03Z;no\nP5;;;\n",
    )
}

/// The rows that a run with these options takes.
#[track_caller]
fn check_takes(sheet: &TempSheet, options: &str, taken: &[&str]) {
    let _ = std::fs::remove_file(sheet.folder().join("ran"));
    end(&mut sheet.run(&format!("-j1 {options}"), JOB)).with(0);
    assert_eq!(sheet.lines("ran"), taken, "{options}");
}

#[track_caller]
fn check_is_time(cell: &str) {
    assert!(
        chrono::DateTime::parse_from_rfc3339(cell).is_ok(),
        "{cell:?}"
    );
}

#[test]
fn a_stage_keeps_state_time_and_message_in_columns_of_its_own() {
    let sheet = sheet("P1;COMPLETED;t;m\nP2;;;\n");
    let job = r#"case $TICKOFF_PO in P1) exit 0;; esac; echo no text >&2; exit 3"#;
    end(&mut sheet.run("-j1 --stage ocr", job)).with(1);
    let text = sheet.text();
    let (header, rows) = text.split_once('\n').unwrap();
    assert_eq!(
        header,
        "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;ocr_STATUS;ocr_LAST_PROCESSED;ocr_ERROR_MESSAGE"
    );
    assert!(rows.starts_with("P1;COMPLETED;t;m;COMPLETED;2"), "{rows}");
    assert!(rows.contains("\nP2;;;;ERROR;2"), "{rows}");
    check_is_time(&sheet.cell("P1", "ocr_LAST_PROCESSED"));
    check_is_time(&sheet.cell("P2", "ocr_LAST_PROCESSED"));
    assert_eq!(sheet.cell("P1", "ocr_ERROR_MESSAGE"), "");
    assert_eq!(sheet.cell("P2", "ocr_ERROR_MESSAGE"), "exit 3: no text");
}

#[test]
fn a_stages_name_is_made_of_letters_digits_and_two_signs() {
    for stage in [
        "--stage=",
        "--stage=a b",
        "--stage=é",
        "--after=a;b",
        "--stage=a\u{1b}[2J",
    ] {
        let sheet = fetched();
        let before = sheet.text();
        let mut run = sheet.tickoff("run");
        let ended = end(run.args([stage, "--", "true"])).with(2);
        let says = "a stage's name is made of the letters A to Z, digits, - and _";
        assert!(ended.stderr.contains(says), "{ended:?}");
        assert!(!ended.stderr.contains('\u{1b}'), "{ended:?}");
        assert_eq!(sheet.text(), before);
    }
    let sheet = fetched();
    check_takes(&sheet, "--stage Ocr_2-b", &["P1", "P2", "P3", "P4", "P5"]);
    check_takes(&sheet, "--stage OCR_2-B", &[]);
    assert_eq!(sheet.cell("P5", "Ocr_2-b_STATUS"), "COMPLETED");
}

#[test]
fn after_takes_only_rows_that_are_done_in_that_stage() {
    let sheet = fetched();
    check_takes(&sheet, "--stage ocr --after main --limit 1", &["P1"]);
    check_takes(&sheet, "--stage upload --after ocr", &["P1"]);
    check_takes(&sheet, "--stage ocr --after main", &["P2"]);
    check_takes(&sheet, "--stage upload --after OCR", &["P2"]);
    check_takes(&sheet, "--stage upload --after ocr", &[]);
    let done = "--stage ocr --after main --done NO_ATTACHMENTS";
    check_takes(&sheet, done, &["P3"]);
    check_takes(&sheet, "--stage ocr --after main --force", &["P1", "P2"]);
    check_takes(&sheet, "--stage ocr --after main --only P5 --only P4", &[]);
}

#[test]
fn a_po_in_several_rows_is_done_in_a_stage_if_each_of_them_is() {
    let sheet =
        sheet("P1;COMPLETED;2026-01-05T10:00:00Z;\nP1;;;\nP2;COMPLETED;;\nP2;COMPLETED;;\n");
    check_takes(&sheet, "--duplicates all --stage ocr --after main", &["P2"]);
}

#[test]
fn a_row_that_is_no_more_done_in_the_stage_before_when_its_turn_comes_is_skipped() {
    let sheet = fetched();
    let job = "echo $TICKOFF_PO >> ran; $TICKOFF set input.csv P2 STATUS=PENDING";
    let ended = end(&mut sheet.run("-j1 --stage ocr --after main", job)).with(0);
    assert_eq!(sheet.lines("ran"), ["P1"]);
    assert!(ended.stderr.contains("1 skipped"), "{ended:?}");
    assert_eq!(sheet.cell("P2", "ocr_STATUS"), "");
}

#[test]
fn a_stage_before_that_never_came_is_a_slip() {
    let sheet = fetched();
    check_takes(&sheet, "--stage ocr --after main --limit 1", &["P1"]);
    let before = sheet.text();
    let ended = end(&mut sheet.run("--stage upload --after orc", JOB)).with(2);
    let says =
        "no stage orc in the sheet, which has no column orc_STATUS: did you mean ocr_STATUS?";
    assert!(ended.stderr.contains(says), "{ended:?}");
    for line in ["--after main", "--stage ocr --after OCR"] {
        let ended = end(&mut sheet.run(line, JOB)).with(2);
        assert!(ended.stderr.contains("cannot come after itself"), "{line}");
    }
    assert_eq!(sheet.text(), before);
    assert_eq!(sheet.lines("ran"), ["P1"]);
    let new = TempSheet::new("PO_NUMBER\nP1\n");
    let ended = end(&mut new.run("--stage ocr --after main", JOB)).with(0);
    assert!(ended.stderr.contains("nothing to do"), "{ended:?}");
    assert_eq!(new.text(), "PO_NUMBER\nP1\n");
    let empty = TempSheet::new("PO_NUMBER\n");
    end(&mut empty.run("--stage ocr --after fetch", JOB)).with(0);
}

#[test]
fn a_stage_that_never_came_is_told_of_by_every_command_that_is_asked_about_it() {
    let sheet = fetched();
    check_takes(&sheet, "--stage ocr --after main --limit 1", &["P1"]);
    let says =
        "no stage orc in the sheet, which has no column orc_STATUS: did you mean ocr_STATUS?";
    let dry = ["--dry-run", "--", "true"];
    for (command, arguments, code) in [
        ("status --stage orc", &[][..], 2),
        ("status --stage orc --json", &[], 2),
        ("report --stage orc --html page.html", &[], 2),
        ("pending --stage orc", &[], 0),
        ("check --stage orc", &[], 0),
        ("run --stage orc", &dry, 0),
    ] {
        let ended = end(sheet.tickoff(command).args(arguments)).with(code);
        assert_eq!(
            ended.stderr.matches(says).count(),
            1,
            "{command}: {ended:?}"
        );
        assert!(code == 0 || ended.stdout.is_empty(), "{command}: {ended:?}");
    }
    assert!(!sheet.folder().join("page.html").exists());
    let ended = end(&mut sheet.tickoff("status --stage upload")).with(2);
    assert!(
        ended
            .stderr
            .ends_with("no stage upload in the sheet, which has no column upload_STATUS\n"),
        "{ended:?}"
    );
    for command in [
        "pending --stage upload",
        "check --stage upload",
        "status --stage ocr",
    ] {
        let ended = end(&mut sheet.tickoff(command)).with(0);
        assert_eq!(ended.stderr, "", "{command}");
    }
    let settings = "['input.csv']\nstages = ['ocr', 'mail']\n";
    std::fs::write(sheet.folder().join("tickoff.toml"), settings).unwrap();
    for command in ["pending", "check", "status", "run --dry-run"] {
        let job = if command.starts_with("run") {
            &dry[1..]
        } else {
            &[]
        };
        let mut program = sheet.tickoff(command);
        let ended = end(program.args(["--stage", "orc"]).args(job)).with(2);
        assert!(ended.stderr.contains(says), "{command}: {ended:?}");
    }
    let ended = end(&mut sheet.tickoff("status --stage mail")).with(0);
    assert!(
        ended
            .stderr
            .contains("WARN the stage mail is in tickoff.toml and has not begun")
    );
}

#[test]
fn in_a_jobs_answer_status_time_and_message_are_the_stages() {
    let job = r#"
case $TICKOFF_PO in
P1) echo '{"status":"NO_ATTACHMENTS","Error_Message":"blank page"}';;
P2) echo '{"STATUS":"ERROR","LAST_PROCESSED":"2026-02-03T04:05:06Z"}';;
P3) echo '{"ocr_STATUS":"FAILED","OCR_error_message":"by its own name"}';;
P4) echo '{"STATUS":"odd","STATUS2":"x"}';;
esac > $TICKOFF_RESULT"#;
    let sheet = fetched();
    end(&mut sheet.run("-j1 --stage ocr", job)).with(1);
    let of = |po: &str| {
        ["STATUS", "ERROR_MESSAGE"].map(|column| sheet.cell(po, &format!("ocr_{column}")))
    };
    assert_eq!(of("P1"), ["NO_ATTACHMENTS", "blank page"]);
    assert_eq!(of("P2"), ["ERROR", "exit 0"]);
    assert_eq!(
        sheet.cell("P2", "ocr_LAST_PROCESSED"),
        "2026-02-03T04:05:06Z"
    );
    assert_eq!(of("P3"), ["FAILED", "by its own name"]);
    assert_eq!(of("P4")[0], "ERROR");
    // What has no place is kept by the stage's names.
    let unplaced = sheet.unplaced();
    assert!(unplaced.contains("ocr_STATUS"), "{unplaced}");
    for (po, status) in [("P1", "COMPLETED"), ("P3", "NO_ATTACHMENTS"), ("P5", "")] {
        assert_eq!(sheet.cell(po, "STATUS"), status);
    }
    assert_eq!(sheet.cell("P1", "LAST_PROCESSED"), "2026-01-05T10:00:00Z");
}

#[test]
fn a_result_of_a_stage_that_is_no_failure_clears_its_message_and_no_other() {
    let sheet = fetched();
    end(&mut sheet.run("--stage ocr --only P4", "echo bad >&2; exit 1")).with(1);
    assert_eq!(sheet.cell("P4", "ocr_ERROR_MESSAGE"), "exit 1: bad");
    end(&mut sheet.run("--stage ocr --only P4", "true")).with(0);
    assert_eq!(sheet.cell("P4", "ocr_ERROR_MESSAGE"), "");
    assert_eq!(sheet.cell("P4", "ERROR_MESSAGE"), "no");
}

#[test]
fn done_and_retry_failed_look_at_the_stages_status() {
    let sheet = fetched();
    let job = r#"case $TICKOFF_PO in P1) exit 1;; P2) echo '{"STATUS":"NO_ATTACHMENTS"}' > $TICKOFF_RESULT;; esac"#;
    end(&mut sheet.run("-j1 --stage ocr --limit 3", job)).with(1);
    check_takes(
        &sheet,
        "--stage ocr --done NO_ATTACHMENTS --retry-failed",
        &["P1"],
    );
    check_takes(&sheet, "--stage ocr --done NO_ATTACHMENTS", &["P4", "P5"]);
    check_takes(&sheet, "--stage ocr", &["P2"]);
}

#[test]
fn in_where_set_and_get_names_are_literal() {
    let sheet = fetched();
    check_takes(&sheet, "--stage ocr --where STATUS=error", &["P4"]);
    check_takes(&sheet, "--stage ocr --where STATUS=PENDING", &["P5"]);
    check_takes(
        &sheet,
        "--stage ocr --where ocr_status=PENDING --limit 1",
        &["P1"],
    );
    end(&mut sheet.run("--stage ocr --where STATUS=odd", JOB)).with(2);
    end(&mut sheet.run("--stage ocr --where ocr_STATUS=odd", JOB)).with(2);

    let time = sheet.cell("P1", "LAST_PROCESSED");
    end(sheet
        .tickoff("set")
        .args(["P1", "ocr_STATUS=PENDING", "STATUS=ERROR"]))
    .with(0);
    assert_eq!(sheet.cell("P1", "ocr_STATUS"), "PENDING");
    assert_eq!(sheet.cell("P1", "STATUS"), "ERROR");
    assert_ne!(sheet.cell("P1", "LAST_PROCESSED"), time);
    let cells = &sheet.get("P1")["cells"];
    assert_eq!(
        (&cells["STATUS"], &cells["ocr_STATUS"]),
        (&"ERROR".into(), &"PENDING".into())
    );
    check_takes(&sheet, "--stage ocr --limit 1", &["P1"]);
}

#[test]
fn commands_and_workers_are_told_the_stage() {
    let sheet = fetched();
    let job = "echo ${TICKOFF_STAGE-none} >> told";
    end(&mut sheet.run("-j1 --stage ocr --limit 1", job)).with(0);
    end(sheet
        .run("-j1 --limit 1", job)
        .env("TICKOFF_STAGE", "of a run around it"))
    .with(0);
    let worker = r#"while read line; do
        id=${line#*:}; echo $TICKOFF_STAGE >> told
        echo "{\"id\":${id%%,*},\"updates\":{\"ocr_STATUS\":\"ERROR\",\"ERROR_MESSAGE\":\"of a worker\"}}"
    done"#;
    let mut run = sheet.tickoff("run");
    run.args(["-j1", "--stage", "ocr", "--only", "P2"]);
    end(run.args(["--worker-protocol", "jsonl", "--", "sh", "-c", worker])).with(1);
    assert_eq!(sheet.lines("told"), ["ocr", "none", "ocr"]);
    assert_eq!(sheet.cell("P2", "ocr_STATUS"), "ERROR");
    assert_eq!(sheet.cell("P2", "ocr_ERROR_MESSAGE"), "of a worker");
    assert_eq!(sheet.cell("P2", "STATUS"), "COMPLETED");
}

#[test]
fn apply_pending_check_and_status_take_a_stage() {
    let sheet = fetched();
    let pending = |options: &str| {
        let ended = end(&mut sheet.tickoff(format!("pending {options}").trim())).with(0);
        ended.stdout.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(pending("--stage ocr --after main"), ["P1", "P2"]);
    std::fs::write(
        sheet.folder().join("answers"),
        "{\"po_number\":\"P1\",\"updates\":{\"STATUS\":\"COMPLETED\"}}\n{\"po_number\":\"P3\",\"updates\":{\"STATUS\":\"ERROR\"}}\n",
    )
    .unwrap();
    let answers = std::fs::File::open(sheet.folder().join("answers")).unwrap();
    end(sheet.tickoff("apply --stage ocr").stdin(answers)).with(0);
    assert_eq!(sheet.cell("P1", "ocr_STATUS"), "COMPLETED");
    check_is_time(&sheet.cell("P3", "ocr_LAST_PROCESSED"));
    assert_eq!(sheet.cell("P3", "STATUS"), "NO_ATTACHMENTS");
    assert_eq!(pending("--stage ocr --after main"), ["P2"]);
    assert_eq!(pending("--stage ocr"), ["P2", "P3", "P4", "P5"]);
    assert_eq!(pending(""), ["P3", "P4", "P5"]);

    let status = end(&mut sheet.tickoff("status --json --stage ocr")).json();
    assert_eq!(
        (&status["completed"], &status["error"], &status["pending"]),
        (&1.into(), &1.into(), &3.into())
    );
    let table = end(&mut sheet.tickoff("status --stage ocr")).with(0).stdout;
    assert!(table.contains("\nocr_STATUS\n  3  PENDING\n"), "{table}");

    let checked = end(&mut sheet.tickoff("check --stage ocr")).with(0).stdout;
    assert!(
        checked.contains("P3: the row is ERROR without a message"),
        "{checked}"
    );
    assert!(!checked.contains("P4"), "{checked}");

    let mut dry = sheet.tickoff("run --dry-run --stage ocr --after main");
    assert_eq!(
        end(dry.args(["--", "echo", "{}"])).with(0).stdout,
        "echo P2\n"
    );
}

#[test]
fn doing_a_stage_again_does_not_undo_later_ones() {
    let sheet = fetched();
    check_takes(&sheet, "--stage ocr --after main", &["P1", "P2"]);
    check_takes(&sheet, "--stage upload --after ocr", &["P1", "P2"]);
    let upload = |po: &str| {
        let cell = |column: &str| sheet.cell(po, &format!("upload_{column}"));
        (cell("STATUS"), cell("LAST_PROCESSED"))
    };
    let before = upload("P1");
    end(sheet.tickoff("set").args(["P1", "ocr_STATUS=PENDING"])).with(0);
    check_takes(&sheet, "--stage ocr --after main", &["P1"]);
    assert_eq!(upload("P1"), before);
    check_takes(&sheet, "--stage upload --after ocr", &[]);
}

#[test]
fn stages_of_a_sheet_run_one_after_another() {
    let sheet = fetched();
    let run = Running::start(&mut sheet.run("--stage ocr", "touch began; await go"));
    wait_until("it runs", || sheet.folder().join("began").exists());
    let refused = end(&mut sheet.run("--stage upload", JOB)).with(4);
    assert!(refused.stderr.contains("session"), "{refused:?}");
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
}

#[test]
fn a_column_of_a_stage_that_is_somebody_elses_is_not_taken_over() {
    let foreign = "PO_NUMBER;ocr_STATUS\nP1;scanned twice\nP2;\n";
    let sheet = TempSheet::new(foreign);
    for command in ["run", "run --dry-run", "apply"] {
        let mut program = sheet.tickoff(&format!("{command} --stage ocr"));
        if command != "apply" {
            program.args(["--", "true"]);
        }
        let ended = end(&mut program).with(3);
        let says =
            "the column ocr_STATUS holds what is not tickoff's: scanned twice in 1 row (line 2)";
        assert!(ended.stderr.contains(says), "{command}: {ended:?}");
    }
    end(&mut sheet.tickoff("check --stage ocr")).with(3);
    assert_eq!(sheet.text(), foreign);
    let companion = TempSheet::new("PO_NUMBER;ocr_ERROR_MESSAGE\nP1;call back\n");
    end(&mut companion.run("--stage ocr", JOB)).with(3);
    // To the other stages it is a column like any other.
    check_takes(&sheet, "--stage upload", &["P1", "P2"]);
    check_takes(&sheet, "", &["P1", "P2"]);
    let mut declared = sheet.tickoff("run --stage ocr --limit 1");
    declared.args(["--todo", "scanned twice", "--", "true"]);
    end(&mut declared).with(0);
    assert_eq!(sheet.cell("P1", "ocr_STATUS"), "COMPLETED");
}

#[test]
fn a_status_column_that_is_somebody_elses_does_not_hinder_a_stage() {
    let sheet = TempSheet::new("PO_NUMBER;status\nP1;active\nP2;sold\n");
    check_takes(&sheet, "--stage fetch", &["P1", "P2"]);
    assert_eq!(sheet.cell("P1", "status"), "active");
}

#[test]
fn a_column_of_a_stage_may_not_be_there_twice() {
    let sheet = TempSheet::new("PO_NUMBER;ocr_STATUS;OCR_status\nP1;;\n");
    end(&mut sheet.run("--stage ocr", JOB)).with(3);
    check_takes(&sheet, "", &["P1"]);
}

#[test]
fn a_sheet_with_results_of_a_stage_is_no_original() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\n");
    check_takes(&sheet, "--stage ocr", &["P1", "P2"]);
    assert_eq!(sheet.original_names().len(), 1);
    std::fs::remove_dir_all(sheet.backups()).unwrap();
    check_takes(&sheet, "--stage upload", &["P1", "P2"]);
    assert_eq!(sheet.original_names(), [""; 0]);
}

/// Notes the start and the end of each row.
const LOGGED: &str = "echo start $TICKOFF_PO >> $LOG; sleep 0.02; echo end $TICKOFF_PO >> $LOG";

#[test]
fn three_stages_that_are_killed_go_on_from_the_exact_row_in_each() {
    const ROWS: usize = 40;
    let sheet = TempSheet::pending(ROWS);
    let original = sheet.text();
    let pending = |stage: &str| -> BTreeSet<String> {
        let ended = end(&mut sheet.tickoff(&format!("pending {stage}"))).with(0);
        ended.stdout.lines().map(str::to_owned).collect()
    };
    let logged = |log: &str, word: &str| -> Vec<String> {
        let lines = sheet.lines(log).into_iter();
        let rows = lines.filter_map(|line| Some(line.strip_prefix(word)?.trim().to_owned()));
        rows.collect()
    };
    let stages = [
        ("fetch", ""),
        ("ocr", " --after fetch"),
        ("upload", " --after ocr"),
    ];
    for (name, after) in stages {
        let stage = format!("--stage {name}{after}");
        let (killed, resumed) = (format!("{name}-killed"), format!("{name}-resumed"));
        let run = |log: &str| {
            let mut run = sheet.run(&format!("-j 2 -q {stage}"), LOGGED);
            run.env("LOG", log);
            run
        };
        let first = Running::start(&mut run(&killed));
        wait_until("some rows are done", || {
            logged(&killed, "end").len() >= ROWS / 3
        });
        first.kill();
        let ended = logged(&killed, "end");
        let left = pending(&stage);
        let repeated = ended.iter().filter(|row| left.contains(*row)).count();
        assert!(
            repeated <= 2,
            "{stage}: a row a worker at most, not {repeated}"
        );
        assert!(left.len() <= ROWS - (ended.len() - repeated), "{stage}");

        end(&mut run(&resumed)).with(0);
        let mut started = logged(&resumed, "start");
        started.sort();
        assert_eq!(started, left.into_iter().collect::<Vec<_>>(), "{stage}");
        assert!(pending(&stage).is_empty());
    }
    for row in sheet.table().values() {
        for stage in ["fetch", "ocr", "upload"] {
            assert_eq!(row[&format!("{stage}_STATUS")], "COMPLETED");
        }
        assert_eq!(row["STATUS"], "PENDING");
    }
    // Nothing that stood there changed.
    for (before, after) in original.lines().zip(sheet.text().lines()) {
        assert!(after.starts_with(before), "{after}");
    }
}

#[test]
fn a_save_from_before_a_stages_results_takes_none_of_them_away() {
    let sheet = fetched();
    check_takes(&sheet, "--stage ocr --limit 1", &["P1"]);
    let old = sheet.text();
    check_takes(&sheet, "--stage ocr --limit 1", &["P2"]);
    let results = sheet.text();
    std::fs::write(sheet.path(), old.replace("P5;;;", "P5;;;typed")).unwrap();
    crate::fixture::rested(sheet.path());
    check_takes(&sheet, "--stage ocr --limit 1", &["P3"]);
    for column in ["ocr_STATUS", "ocr_LAST_PROCESSED"] {
        let before = results.lines().nth(2).unwrap();
        assert!(before.contains(&sheet.cell("P2", column)), "{column}");
        assert_ne!(sheet.cell("P2", column), "");
    }
    assert_eq!(sheet.cell("P5", "ERROR_MESSAGE"), "typed");
}

#[test]
fn a_save_without_a_stages_columns_gets_them_back_with_their_results() {
    let sheet = TempSheet::new("PO_NUMBER;note\nP1;\nP2;\nP3;\n");
    let job = r#"
case $TICKOFF_PO in
P2) printf 'PO_NUMBER;note\nP1;typed\nP2;\nP3;\n' > new; mv new input.csv;;
esac"#;
    check_takes(&sheet, "--stage ocr", &["P1", "P2", "P3"]);
    end(&mut sheet.run("-j1 --stage upload", job)).with(0);
    for po in ["P1", "P2", "P3"] {
        for stage in ["ocr", "upload"] {
            let cell = |column: &str| sheet.cell(po, &format!("{stage}_{column}"));
            assert_eq!(cell("STATUS"), "COMPLETED", "{po}");
            check_is_time(&cell("LAST_PROCESSED"));
        }
    }
    assert_eq!(sheet.cell("P1", "note"), "typed");
}

#[test]
fn the_time_of_a_stages_result_tells_what_the_author_of_a_save_had_seen() {
    // In both a reader of the result emptied its state and its message, and left its time.
    for (options, prefix) in [("", ""), ("--stage ocr", "ocr_")] {
        let sheet = TempSheet::new("PO_NUMBER\nP1\n");
        end(&mut sheet.run(options, "echo bad >&2; exit 1")).with(1);
        let edited = sheet.text().replacen(";ERROR;", ";;", 1);
        let edited = edited.replacen(";exit 1: bad", ";", 1);
        std::fs::write(sheet.path(), edited).unwrap();
        crate::fixture::rested(sheet.path());
        let before = sheet.text();
        let ended = end(&mut sheet.run(options, JOB)).with(3);
        assert!(
            ended.stderr.contains("may or may not have seen"),
            "{ended:?}"
        );
        assert_eq!(sheet.text(), before);
        assert_eq!(sheet.cell("P1", &format!("{prefix}STATUS")), "");
    }
}

#[test]
fn emptying_a_stages_status_has_the_row_run_again_in_that_stage() {
    let sheet = fetched();
    check_takes(&sheet, "--stage ocr --limit 2", &["P1", "P2"]);
    let edited: String = sheet
        .text()
        .lines()
        .map(|line| {
            let again = line.starts_with("P1;");
            let line = if again {
                line.replacen(";;COMPLETED;", ";;;", 1)
            } else {
                line.to_owned()
            };
            line + "\n"
        })
        .collect();
    assert_ne!(edited, sheet.text());
    std::fs::write(sheet.path(), edited).unwrap();
    crate::fixture::rested(sheet.path());
    check_takes(&sheet, "--stage ocr --limit 1", &["P1"]);
}

#[test]
fn a_set_during_a_stage_shows_what_the_run_wrote_and_is_not_undone() {
    let sheet = TempSheet::new("PO_NUMBER;note\nP1;\nP2;\n");
    let job = "$TICKOFF set input.csv $TICKOFF_PO note=seen-$TICKOFF_PO";
    end(&mut sheet.run("-j1 --stage ocr", job)).with(0);
    for po in ["P1", "P2"] {
        assert_eq!(sheet.cell(po, "ocr_STATUS"), "COMPLETED");
        assert_eq!(sheet.cell(po, "note"), format!("seen-{po}"));
    }
    assert!(!sheet.text().contains(";STATUS"), "{}", sheet.text());
    assert!(
        !sheet
            .backup_names()
            .iter()
            .any(|name| name.ends_with(".unplaced.csv"))
    );
}

#[test]
fn the_state_of_stages_is_none_of_the_64_columns_that_results_may_add() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    let leaves = |range: std::ops::Range<usize>, more: &str| {
        let lines: String = range.map(|n| format!("field{n}=x\\n")).collect();
        format!("printf '{more}{lines}' > $TICKOFF_RESULT")
    };
    end(&mut sheet.run("--stage fetch", &leaves(0..31, "HTTP_STATUS=200\\n"))).with(0);
    end(&mut sheet.run("--stage ocr", &leaves(31..63, ""))).with(0);
    assert_eq!(sheet.cell("P1", "HTTP_STATUS"), "200");
    assert_eq!(sheet.cell("P1", "field62"), "x");
    end(&mut sheet.run("--stage upload", &leaves(63..64, ""))).with(1);
    assert_eq!(sheet.cell("P1", "upload_STATUS"), "COMPLETED");
    let text = sheet.text();
    let header = text.lines().next().unwrap();
    assert_eq!(header.split(';').count(), 1 + 3 * 3 + 64);
}

#[test]
fn only_without_the_status_of_a_stage_rows_run_again() {
    for (options, result, column, told) in [
        ("", "HTTP_STATUS=200", "HTTP_STATUS", false),
        ("--stage ocr", "x=1", "ocr_STATUS", true),
    ] {
        let sheet = sheet("P1;;;\n");
        let job = format!("echo {result} > $TICKOFF_RESULT");
        end(&mut sheet.run(options, &job)).with(0);
        let text = sheet.text();
        let at = text.split(column).next().unwrap().matches(';').count();
        let cut = |line: &str| {
            let mut cells: Vec<&str> = line.split(';').collect();
            cells.remove(at);
            cells.join(";") + "\n"
        };
        std::fs::write(sheet.path(), text.lines().map(cut).collect::<String>()).unwrap();
        let ended = end(&mut sheet.run(&format!("--force {options}"), "true")).with(1);
        let said = format!("without {column} no row is done");
        assert!(
            ended.stderr.contains("another program removed columns"),
            "{}",
            ended.stderr
        );
        assert_eq!(ended.stderr.contains(&said), told, "{}", ended.stderr);
    }
}

#[test]
fn without_new_columns_a_stage_still_has_its_own() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    let job = "echo x=1 > $TICKOFF_RESULT";
    end(&mut sheet.run("--stage ocr --no-new-columns", job)).with(1);
    let text = sheet.text();
    assert!(
        text.starts_with("PO_NUMBER;ocr_STATUS;ocr_LAST_PROCESSED;ocr_ERROR_MESSAGE\n"),
        "{text}"
    );
    assert_eq!(sheet.cell("P1", "ocr_STATUS"), "COMPLETED");
}

#[test]
fn of_a_result_that_is_malformed_the_state_is_the_stages() {
    let sheet = fetched();
    let job = "printf 'Title=a\\nocr_STATUS=FAILED\\nno line\\n' > $TICKOFF_RESULT";
    end(&mut sheet.run("--stage ocr --only P1", job)).with(1);
    assert_eq!(sheet.cell("P1", "Title"), "a");
    assert_eq!(sheet.cell("P1", "ocr_STATUS"), "ERROR");
    assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
}

#[test]
fn a_stage_that_is_called_almost_like_another_is_said_to_be_new() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    let said = |ended: Ended| ended.stderr.contains("did you mean fetch_STATUS?");
    assert!(!said(end(&mut sheet.run("--stage fetch", JOB)).with(0)));
    let status = |stage| end(sheet.tickoff("status").args(["--stage", stage]));
    assert!(said(status("fecth").with(2)) && !said(status("fetch").with(0)));
    assert!(said(end(&mut sheet.run("--stage fecth", JOB)).with(0)));
    assert!(!said(end(&mut sheet.run("--stage upload", JOB)).with(0)));
}

#[test]
fn a_copy_goes_through_its_stages() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\n");
    for (stage, taken) in [
        ("ocr", 2),
        ("upload --after ocr", 2),
        ("upload --after ocr", 0),
    ] {
        let _ = std::fs::remove_file(sheet.folder().join("ran"));
        end(&mut sheet.run(&format!("--output copy.csv --stage {stage}"), JOB)).with(0);
        assert_eq!(sheet.lines("ran").len(), taken, "{stage}");
    }
    assert_eq!(sheet.text(), "PO_NUMBER\nP1\nP2\n");
}

#[test]
fn a_session_of_the_library_has_a_stage() {
    let sheet = fetched();
    let stage: Stage = "ocr".parse().unwrap();
    let options = Options {
        stage: stage.clone(),
        after: Some(Stage::default()),
        backup_dir: Some(sheet.backups()),
        ..Options::default()
    };
    let session = Session::open(sheet.path(), &options).unwrap();
    let pool = tickoff::WorkerPool::new(1);
    let summary = session
        .run(pool, &tickoff::Selection::all(), |job| {
            let record = job.record.as_ref().unwrap();
            assert_eq!(record.status, tickoff::ProcessingStatus::Pending);
            assert_eq!(record.get("STATUS"), Some("COMPLETED"));
            tickoff::Outcome::Done(tickoff::Updates::error("no text"))
        })
        .unwrap();
    assert_eq!(summary.pool.errors, 2);
    assert_eq!(sheet.cell("P1", stage.status()), "ERROR");
    assert_eq!(sheet.cell("P1", "ocr_ERROR_MESSAGE"), "no text");
    let handler = tickoff::CsvHandler::open_with(sheet.path(), &options).unwrap();
    for name in ["STATUS", "ocr_STATUS"] {
        let refused = handler.update_record("P4", [(name, "odd")]).unwrap_err();
        assert!(
            matches!(refused, tickoff::Error::InvalidValue { .. }),
            "{refused}"
        );
        handler.update_record("P4", [(name, "error")]).unwrap();
        assert_eq!(sheet.cell("P4", "ocr_STATUS"), "ERROR");
    }
    assert_eq!(handler.status("P4"), Some(tickoff::ProcessingStatus::Error));
}

#[test]
fn watch_names_the_stage_that_a_run_works_on() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\n");
    let script = "[ $TICKOFF_PO = P1 ] || await go";
    let run = Running::start(&mut sheet.run("--stage ocr -j1", script));
    let session = sheet.folder().join(".input.csv.session");
    wait_until("the run tells of its stage", || {
        std::fs::read_to_string(&session).is_ok_and(|told| told.contains("\"stage\":\"ocr\""))
    });
    let watch = Running::start(&mut sheet.tickoff("watch"));
    wait_until("it is shown", || watch.stdout().contains("stage ocr: "));
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
    let told = watch.end().with(0).stdout;
    assert!(
        told.contains("no session is going on\nstage ocr\ntotal           2\ncompleted       2"),
        "{told}"
    );
}

#[test]
fn the_first_event_of_a_run_names_its_stage() {
    for (options, stage) in [("", "main"), ("--stage ocr", "ocr")] {
        let sheet = TempSheet::new("PO_NUMBER\nP1\n");
        end(&mut sheet.run(&format!("--events ev {options}"), "true")).with(0);
        let first: serde_json::Value = serde_json::from_str(&sheet.lines("ev")[0]).unwrap();
        assert_eq!(
            (&first["event"], &first["stage"]),
            (&"run_started".into(), &stage.into())
        );
    }
}

/// Whoever does what is said has the row of that stage done again, and of no other.
#[test]
fn what_is_advised_of_results_that_are_written_again_names_their_stage() {
    let sheet = TempSheet::pending(2);
    end(&mut sheet.run("-q --stage fetch", "true")).with(0);
    let older = sheet.text();
    end(&mut sheet.run("-q --stage ocr --after fetch", "true")).with(0);
    std::fs::write(sheet.path(), older).unwrap();
    crate::fixture::rested(sheet.path());
    let told = end(sheet.tickoff("recover").arg("--apply")).with(0).stderr;
    assert!(
        told.contains("tickoff set FILE KEY ocr_STATUS=PENDING has one of them run again"),
        "{told}"
    );
}
