//! Jobs from standard input, `tickoff run - --output COPY --key COLUMN` (J5).

use std::fs::File;
use std::io::Write;
use std::process::{Command, Stdio};

use rustix::process::Signal;

use crate::command_line::{Running, end, program, tickoff, wait_until};
use crate::fixture::TempSheet;

/// A job that notes its key, between `<` and `>`, and has a result without the time in it.
const JOB: &str =
    r#"printf '<%s>\n' "$1" >> log; printf '{"LAST_PROCESSED":"t"}' > $TICKOFF_RESULT"#;
/// The same, but one that waits for the file `go` when its key is `c`.
const WAITS_AT_C: &str = r#"printf '%s\n' "$1" >> log; [ "$1" != c ] || while [ ! -e go ] && [ -e "$PWD" ]; do sleep 0.01; done"#;

/// A folder in which the copy is yet to be made; `TempSheet` names it `input.csv`.
fn nothing() -> TempSheet {
    let sheet = TempSheet::new("");
    std::fs::remove_file(sheet.path()).unwrap();
    sheet
}

impl TempSheet {
    /// `tickoff run - --output COPY --key url {options} -- sh -c {script} sh {}` on an empty list.
    fn jobs(&self, options: &str, script: &str) -> Command {
        let mut program = self.tickoff("run - --key url --output");
        program
            .args(options.split_whitespace())
            .args(["--", "sh", "-c", script, "sh", "{}"]);
        program
    }

    #[track_caller]
    fn list(&self, list: impl AsRef<[u8]>) -> Stdio {
        let path = self.folder().join("list");
        std::fs::write(&path, list).unwrap();
        let file = File::open(&path).unwrap();
        std::fs::remove_file(path).unwrap();
        file.into()
    }

    #[track_caller]
    fn check_nothing_was_made(&self) {
        let made = std::fs::read_dir(self.folder()).unwrap();
        let made: Vec<_> = made.map(|entry| entry.unwrap().file_name()).collect();
        assert!(made.is_empty(), "{made:?}");
    }
}

#[test]
fn each_line_is_a_job_and_a_row_of_the_copy() {
    let sheet = nothing();
    let script = format!("{JOB}; cat > stdin");
    let mut run = sheet.jobs("-j 1", &script);
    end(run.stdin(sheet.list("b\na\nlast without an end"))).with(0);
    assert_eq!(
        sheet.text(),
        "url;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nb;COMPLETED;t;\na;COMPLETED;t;\nlast without an end;COMPLETED;t;\n"
    );
    assert_eq!(sheet.lines("log"), ["<b>", "<a>", "<last without an end>"]);
    assert_eq!(sheet.lines("stdin"), [""; 0], "a job's stdin is empty");
}

#[test]
fn a_job_reaches_its_command_byte_for_byte_whatever_a_csv_makes_of_it() {
    let jobs = [
        "a;b",
        "\"quoted\"",
        "a \"b\" c",
        "a,b\tc",
        "$HOME `x` 'y' \\z",
        "ü 𝄞",
        "=1+1",
        "x\ry",
    ];
    let sheet = nothing();
    for _ in 0..2 {
        let mut run = sheet.jobs("-j 1 --results kept", JOB);
        end(run.stdin(sheet.list(jobs.join("\n")))).with(0);
    }
    let noted = std::fs::read_to_string(sheet.folder().join("log")).unwrap();
    let wanted: String = jobs.iter().map(|job| format!("<{job}>\n")).collect();
    assert_eq!(noted, wanted, "each once, though the list came twice");
    let kept = std::fs::read_dir(sheet.folder().join("kept")).unwrap();
    assert_eq!(kept.count(), jobs.len());
}

#[test]
fn of_blanks_around_a_job_the_cell_knows_and_the_key_does_not() {
    let sheet = nothing();
    let mut run = sheet.tickoff("run - --key url --output");
    run.args(["-j", "1", "--", "printf", "<%s|%s>", "{}", "{url}"]);
    let ended = end(run.stdin(sheet.list(" a \na\n"))).with(0);
    assert_eq!(ended.stdout, "<a| a >\n");
    assert!(
        ended.stderr.contains("1 job has blanks around"),
        "{ended:?}"
    );
}

#[test]
fn jobs_that_end_with_a_nul_byte_may_hold_line_ends() {
    for null in ["-0", "--null"] {
        let sheet = nothing();
        let mut run = sheet.jobs(&format!("{null} -j 1"), JOB);
        end(run.stdin(sheet.list("./a\nb\0./c\r\0\0./d"))).with(0);
        let log = std::fs::read_to_string(sheet.folder().join("log")).unwrap();
        assert_eq!(log, "<./a\nb>\n<./c>\n<./d>\n");
        assert_eq!(
            sheet.text(),
            "url;STATUS;LAST_PROCESSED;ERROR_MESSAGE\n\"./a\nb\";COMPLETED;t;\n\"./c\r\";COMPLETED;t;\n./d;COMPLETED;t;\n"
        );
    }
}

#[test]
fn blank_lines_carriage_returns_and_repeated_lines_are_dropped_and_counted() {
    let sheet = nothing();
    let mut run = sheet.jobs("-j 1", JOB);
    let ended = end(run.stdin(sheet.list("\u{feff}a\r\n\r\n  \nb\na\n"))).with(0);
    assert_eq!(sheet.lines("log"), ["<a>", "<b>"]);
    assert!(
        ended.stderr.contains("2 jobs on standard input; dropped: 2 blank lines, 1 repeated line, 2 carriage returns at the ends of lines"),
        "{ended:?}"
    );
}

#[test]
fn with_an_empty_standard_input_a_run_goes_on_with_the_jobs_that_are_not_done() {
    let sheet = nothing();
    let mut first = sheet.jobs("-j 1 --limit 2", &format!("{JOB}; [ $1 != b ]"));
    end(first.stdin(sheet.list("a\nb\nc\nd\n"))).with(1);
    let ended = end(&mut sheet.jobs("-j 1", JOB)).with(0);
    assert_eq!(sheet.lines("log"), ["<a>", "<b>", "<b>", "<c>", "<d>"]);
    assert!(!ended.stderr.contains("WARN"), "{ended:?}");
    end(&mut sheet.jobs("-j 1", JOB)).with(0);
    assert_eq!(sheet.lines("log").len(), 5, "nothing is left to do");
}

#[test]
fn new_jobs_are_added_and_the_others_keep_their_rows() {
    let sheet = nothing();
    end(sheet.jobs("-j 1", JOB).stdin(sheet.list("a\nb\n"))).with(0);
    let done = sheet.text();
    let ended = end(sheet.jobs("-j 1", JOB).stdin(sheet.list("b\nc;\"\n"))).with(0);
    assert_eq!(sheet.lines("log"), ["<a>", "<b>", "<c;\">"]);
    assert_eq!(
        sheet.text(),
        done + "\"c;\"\"\";COMPLETED;t;\n",
        "{ended:?}"
    );
    assert!(
        !ended.stderr.contains("WARN"),
        "a list need not name every job again: {ended:?}"
    );
}

#[test]
fn new_jobs_that_a_run_of_the_failed_ones_leaves_are_said_to_be_left() {
    let sheet = nothing();
    end(sheet.jobs("", "exit 1").stdin(sheet.list("a\n"))).with(1);
    let mut run = sheet.jobs("--retry-failed", JOB);
    let ended = end(run.stdin(sheet.list("a\nb\nc\n"))).with(0);
    let says = "2 rows are new, and not run: --retry-failed takes those that failed; without it they run\n";
    assert!(ended.stderr.contains(says), "{ended:?}");
    assert_eq!(sheet.lines("log"), ["<a>"]);
    let ended = end(sheet.jobs("", JOB).stdin(sheet.list("d\n"))).with(0);
    assert!(!ended.stderr.contains("not run"), "{ended:?}");
}

#[test]
fn new_jobs_fit_a_copy_that_a_spreadsheet_has_saved_in_its_own_form() {
    let sheet = nothing();
    std::fs::write(sheet.path(), "Note,URL,STATUS\r\n\"x,y\",a,COMPLETED\r\n").unwrap();
    crate::fixture::rested(sheet.path());
    end(sheet.jobs("-j 1", JOB).stdin(sheet.list("a\nb,c\n"))).with(0);
    assert_eq!(
        sheet.text(),
        "Note,URL,STATUS,LAST_PROCESSED,ERROR_MESSAGE\r\n\"x,y\",a,COMPLETED,,\r\n,\"b,c\",COMPLETED,t,\r\n"
    );
}

#[test]
fn a_killed_run_goes_on_from_the_exact_job_with_an_empty_standard_input() {
    let sheet = nothing();
    let mut run = sheet.jobs("-j 1 --quiet", WAITS_AT_C);
    let run = Running::start(run.stdin(sheet.list("a\nb\nc\nd\n")));
    wait_until("the third job runs", || sheet.lines("log").len() == 3);
    run.kill();
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    end(&mut sheet.jobs("-j 1 --quiet", WAITS_AT_C)).with(0);
    assert_eq!(sheet.lines("log"), ["a", "b", "c", "c", "d"]);
    let table = sheet.table();
    assert_eq!(table.len(), 4);
    assert!(table.values().all(|row| row["STATUS"] == "COMPLETED"));
}

#[test]
fn without_a_sheet_or_a_key_column_the_command_to_type_is_said() {
    let check = |options: &[&str], reason: &str| {
        let sheet = nothing();
        let mut run = tickoff();
        run.arg("run").args(options).args(["--", "echo", "{}"]);
        let ended = end(run.current_dir(sheet.folder()).stdin(sheet.list("a\n"))).with(2);
        assert_eq!(ended.stderr, format!("tickoff: {reason}\n"));
        sheet.check_nothing_was_made();
    };
    check(
        &["-j8", "-"],
        "jobs from standard input need --output, the sheet that keeps them and their results, and --key, the name of its column for them: tickoff run -j8 - --output jobs.csv --key job -- echo '{}'",
    );
    check(
        &["-", "--key", "my url"],
        "jobs from standard input need --output, the sheet that keeps them and their results: tickoff run - --key 'my url' --output jobs.csv -- echo '{}'",
    );
    check(
        &["-", "--output", "o.csv"],
        "jobs from standard input need --key, the name of its column for them: tickoff run - --output o.csv --key job -- echo '{}'",
    );
    check(
        &["-", "--output", "o.csv", "--key", " "],
        "--key may not be blank: name the column for the jobs",
    );
    check(
        &["-", "--output", "o.csv", "--key", "status "],
        "--key status: that column keeps how a job went; name another one for the jobs",
    );
    check(
        &["o.csv", "-0"],
        "-0 is for jobs from standard input: tickoff run - -0 …",
    );
}

#[test]
fn a_job_that_no_cell_may_hold_is_refused_with_its_number_before_anything_is_made() {
    let check = |list: &[u8], options: &str, lines: &[&str]| {
        for more in ["", "--dry-run"] {
            let sheet = nothing();
            let mut run = sheet.jobs(&format!("{options} {more}"), JOB);
            let ended = end(run.stdin(sheet.list(list))).with(3);
            assert_eq!(ended.stderr, lines.join("\n") + "\n");
            sheet.check_nothing_was_made();
        }
    };
    let not_utf8 = "tickoff: save the list as UTF-8, or convert it: iconv -f WINDOWS-1252 -t UTF-8 LIST | tickoff run - …";
    check(
        b"a\n\nb\xe9d\n",
        "",
        &[
            "tickoff: standard input:3:2: a job must be UTF-8",
            "    b\\xe9d",
            "     ^",
            not_utf8,
        ],
    );
    check(
        b"a\nb\0c\xff\0",
        "-0",
        &[
            "tickoff: standard input:2:2: a job must be UTF-8",
            "    c\\xff",
            "     ^",
            not_utf8,
        ],
    );
    check(
        b"a\nb\0c\0",
        "",
        &[
            "tickoff: standard input:2:2: a NUL byte in a line",
            "    b\\u{0}c\\u{0}",
            "     ^",
            "tickoff: pass -0 if NUL bytes end the jobs, as find -print0 writes them; save a UTF-16 list as UTF-8",
        ],
    );
    let sheet = nothing();
    let list = sheet.list(format!("a\n{}\n", "é".repeat(32_768)));
    let ended = end(sheet.jobs("", JOB).stdin(list)).with(3);
    assert!(
        ended
            .stderr
            .starts_with("tickoff: standard input:2:65535: a job of more than 32767 characters\n"),
        "{ended:?}"
    );
    sheet.check_nothing_was_made();
}

#[test]
fn the_key_column_may_be_in_the_settings_of_the_copy_and_nothing_is_read_of_a_sheet_called_minus() {
    let sheet = nothing();
    let settings = sheet.folder().join("tickoff.toml");
    std::fs::write(&settings, "['-']\nkey = 'other'\n").unwrap();
    let run = || {
        let mut run = sheet.tickoff("run - --output");
        run.args(["-j1", "--", "sh", "-c", JOB, "sh", "{}"]);
        run
    };
    let ended = end(run().stdin(sheet.list("a\n"))).with(2);
    assert!(ended.stderr.contains("need --key"), "{ended:?}");
    std::fs::write(
        &settings,
        "['-']\ndelimiter = ','\n['input.csv']\nkey = 'url'\n",
    )
    .unwrap();
    end(run().stdin(sheet.list("a\n"))).with(0);
    end(&mut run()).with(0);
    assert_eq!(
        sheet.text(),
        "url;STATUS;LAST_PROCESSED;ERROR_MESSAGE\na;COMPLETED;t;\n"
    );
}

#[test]
fn how_the_copy_is_read_is_remembered_so_that_no_other_command_is_told() {
    let sheet = nothing();
    let of_others = "# mine\n['other.csv']\nkey = 'id'\n";
    let settings = sheet.folder().join("tickoff.toml");
    std::fs::write(&settings, of_others).unwrap();
    let ended = end(sheet
        .jobs("-j1 --encoding windows-1252 --delimiter |", JOB)
        .stdin(sheet.list("é\nb\n")))
    .with(0);
    for said in ["key = \"url\"", "delimiter = \"|\""] {
        let said = format!("remembered {said} in tickoff.toml");
        assert!(ended.stderr.contains(&said), "{said}: {ended:?}");
    }
    let remembered = std::fs::read_to_string(&settings).unwrap();
    assert_eq!(
        remembered,
        format!(
            "{of_others}\n[\"input.csv\"]\nkey = \"url\"\ndelimiter = \"|\"\nencoding = \"windows-1252\"\n"
        )
    );
    assert_eq!(sheet.get("é")["status"], "COMPLETED");
    end(sheet.tickoff("set").args(["b", "STATUS=PENDING"])).with(0);
    assert_eq!(sheet.status()["pending"], 1);
    let mut on = sheet.tickoff("run - --output");
    on.args(["-j1", "--", "sh", "-c", JOB, "sh", "{}"]);
    let ended = end(&mut on).with(0);
    assert!(!ended.stderr.contains("remembered"), "{ended:?}");
    assert_eq!(sheet.lines("log"), ["<é>", "<b>", "<b>"]);
    let ended = end(&mut sheet.jobs("", JOB)).with(0);
    assert!(!ended.stderr.contains("remembered"), "{ended:?}");
    assert_eq!(std::fs::read_to_string(&settings).unwrap(), remembered);
}

#[test]
fn what_is_said_of_the_copy_already_stays_as_it_is() {
    let sheet = nothing();
    let settings = sheet.folder().join("tickoff.toml");
    std::fs::write(&settings, "['input.csv']\nkey = 'old'\n").unwrap();
    let ended = end(sheet.jobs("", JOB).stdin(sheet.list("a\n"))).with(0);
    assert!(
        ended
            .stderr
            .contains("input.csv is old: commands without --key look for that column"),
        "{ended:?}"
    );
    assert_eq!(
        std::fs::read_to_string(&settings).unwrap(),
        "['input.csv']\nkey = 'old'\n"
    );
}

#[test]
fn a_key_that_cannot_be_remembered_is_said_and_the_run_goes_on() {
    let sheet = nothing();
    std::fs::create_dir(sheet.folder().join(".tickoff.toml.lock")).unwrap();
    let ended = end(sheet.jobs("", JOB).stdin(sheet.list("a\n"))).with(0);
    assert!(
        ended
            .stderr
            .contains("WARN the key is not remembered, so other commands need --key as well: "),
        "{ended:?}"
    );
    assert_eq!(sheet.lines("log"), ["<a>"]);
    end(&mut sheet.jobs("", JOB)).with(0);
}

#[test]
fn a_copy_of_which_nothing_is_remembered_is_asked_about_with_its_column() {
    let sheet = nothing();
    end(sheet.jobs("", JOB).stdin(sheet.list("a\n"))).with(0);
    std::fs::remove_file(sheet.folder().join("tickoff.toml")).unwrap();
    let mut run = tickoff();
    run.args(["run", "-", "--output", "input.csv", "--", "true"]);
    let ended = end(run.current_dir(sheet.folder())).with(2);
    assert!(
        ended
            .stderr
            .ends_with("tickoff run - --output input.csv --key url -- true\n"),
        "{ended:?}"
    );
}

#[test]
fn a_column_for_stdout_that_may_not_be_added_is_refused_and_nothing_is_made() {
    for options in ["", "--dry-run"] {
        let sheet = nothing();
        let options = format!("--stdout-to title --no-new-columns {options}");
        let ended = end(sheet.jobs(&options, JOB).stdin(sheet.list("a\n"))).with(3);
        assert!(ended.stderr.contains("--stdout-to: "), "{ended:?}");
        sheet.check_nothing_was_made();
    }
}

#[test]
fn a_copy_with_another_key_column_is_refused_and_untouched() {
    let sheet = nothing();
    let contents = "PO_NUMBER;STATUS\nP1;\n";
    std::fs::write(sheet.path(), contents).unwrap();
    crate::fixture::rested(sheet.path());
    for options in ["", "--dry-run"] {
        let ended = end(sheet.jobs(options, JOB).stdin(sheet.list("a\n"))).with(3);
        assert!(
            ended
                .stderr
                .contains("no column url in the header, which has PO_NUMBER, STATUS"),
            "{ended:?}"
        );
        assert_eq!(sheet.text(), contents);
        assert!(!sheet.backups().exists());
    }
}

#[test]
fn a_copy_whose_results_are_of_another_key_column_is_refused_and_untouched() {
    let sheet = nothing();
    end(sheet.jobs("", JOB).stdin(sheet.list("a\n"))).with(0);
    let text = sheet.text();
    let mut run = sheet.tickoff("run - --key STATUS2 --output");
    run.args(["--", "true"]).stdin(sheet.list("b\n"));
    end(&mut run).with(3);
    assert_eq!(sheet.text(), text);
}

#[test]
fn the_copy_itself_is_no_list() {
    let sheet = nothing();
    end(sheet.jobs("", JOB).stdin(sheet.list("a\n"))).with(0);
    let text = sheet.text();
    let mut run = sheet.jobs("", JOB);
    let ended = end(run.stdin(File::open(sheet.path()).unwrap())).with(2);
    assert!(
        ended
            .stderr
            .contains("is the standard input itself: name another file for the results"),
        "{ended:?}"
    );
    assert_eq!(sheet.text(), text);
}

#[test]
fn a_dry_run_shows_the_commands_and_makes_nothing() {
    let sheet = nothing();
    let dry = |list: &str| {
        let mut run = sheet.tickoff("run - --key url --output");
        run.args(["--dry-run", "--", "echo", "{}"]);
        end(run.stdin(sheet.list(list))).with(0).stdout
    };
    assert_eq!(dry("a b\nc\n"), "echo 'a b'\necho c\n");
    sheet.check_nothing_was_made();
    end(sheet.jobs("--limit 1", JOB).stdin(sheet.list("a b\nc\n"))).with(0);
    let text = sheet.text();
    assert_eq!(dry("new\nc\n"), "echo c\necho new\n");
    assert_eq!(dry(""), "echo c\n");
    assert_eq!(sheet.text(), text);
}

#[test]
fn interrupting_while_the_jobs_are_read_changes_nothing() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        for options in ["", "--dry-run"] {
            let sheet = nothing();
            let (reader, mut writer) = std::io::pipe().unwrap();
            let pipe = reader.try_clone().unwrap();
            let run = Running::start(sheet.jobs(options, JOB).stdin(reader));
            writer.write_all(b"a\nb\n").unwrap();
            wait_until("it has read that", || {
                rustix::io::ioctl_fionread(&pipe).unwrap() == 0
            });
            run.signal(signal);
            let ended = run.end().with(code);
            assert!(!ended.stderr.contains("on standard input"), "{ended:?}");
            sheet.check_nothing_was_made();
            drop(writer);
        }
    }
}

#[test]
fn who_types_the_jobs_is_told_how_to_end_them() {
    let sheet = nothing();
    let terminal = nix::pty::openpty(None, None).unwrap();
    let mut keyboard = File::from(terminal.master);
    let run = Running::start(sheet.jobs("-j 1", JOB).stdin(terminal.slave));
    run.wait_until_it_says("reading jobs from the terminal, one a line; Ctrl-D");
    keyboard.write_all(b"a\nb\n\x04").unwrap();
    run.end().with(0);
    assert_eq!(sheet.lines("log"), ["<a>", "<b>"]);
}

#[test]
fn what_selects_rows_of_a_sheet_selects_jobs() {
    let sheet = nothing();
    let list = "a\nb\nc\n";
    end(sheet.jobs("--only b", JOB).stdin(sheet.list(list))).with(0);
    assert_eq!(sheet.lines("log"), ["<b>"]);
    end(&mut sheet.jobs("--where url=c", JOB)).with(0);
    assert_eq!(sheet.lines("log"), ["<b>", "<c>"]);
    assert_eq!(sheet.table().len(), 3, "all are in the copy");
    let other = nothing();
    end(other.jobs("--only d", JOB).stdin(other.list(list))).with(1);
    other.check_nothing_was_made();
}

#[test]
fn an_empty_list_is_an_empty_batch() {
    let sheet = nothing();
    let ended = end(&mut sheet.jobs("", JOB)).with(0);
    assert_eq!(sheet.text(), "url\n");
    for said in [
        "no job on standard input",
        "input.csv is not there: nothing is gone on with",
    ] {
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
}

#[test]
fn a_job_that_a_spreadsheet_would_run_is_reported_or_refused() {
    let list = "plain\n=1+1\n@x\n";
    let says = "2 of the jobs would run as a formula in a spreadsheet, the first is =1+1";
    let sheet = nothing();
    let mut run = sheet.jobs("--formulas reject", JOB);
    let ended = end(run.stdin(sheet.list(list))).with(3);
    assert!(ended.stderr.contains(says), "{ended:?}");
    sheet.check_nothing_was_made();
    let ended = end(sheet.jobs("", JOB).stdin(sheet.list(list))).with(0);
    assert!(ended.stderr.contains(says), "{ended:?}");
    assert_eq!(sheet.lines("log").len(), 3);
}

#[test]
fn a_standard_input_that_cannot_be_read_is_said() {
    let sheet = nothing();
    let mut run = sheet.jobs("", JOB);
    let ended = end(run.stdin(File::open("/").unwrap())).with(3);
    assert_eq!(
        ended.stderr,
        "tickoff: cannot read standard input: Is a directory (os error 21)\n"
    );
    sheet.check_nothing_was_made();
}

#[test]
fn a_million_jobs_fit_into_a_little_memory() {
    let sheet = nothing();
    let list: String = (0..1_000_000).map(|job| format!("job-{job}\n")).collect();
    let mut run = Command::new("sh");
    run.args(["-c", "ulimit -v 300000; exec \"$@\"", "sh"])
        .arg(program())
        .args(["run", "-", "--key", "url", "--output"])
        .arg(sheet.path())
        .args(["--dry-run", "--limit", "1", "--", "echo", "{}"]);
    let ended = end(run.stdin(sheet.list(list))).with(0);
    assert_eq!(ended.stdout, "echo job-0\n");
}

#[test]
fn a_csv_is_no_list_of_jobs() {
    for header in ["name,url\n", "\u{feff}\"url\";\"name\"\n", "a\tURL\tb\n"] {
        let sheet = nothing();
        let mut run = sheet.jobs("-j 1", JOB);
        let list = format!("{header}x,y\n");
        let refused = end(run.stdin(sheet.list(list))).with(3);
        assert!(refused.stderr.contains("begins like a CSV"), "{refused:?}");
        sheet.check_nothing_was_made();
    }
}

#[test]
fn a_copy_that_was_deleted_is_not_made_anew_beside_its_results() {
    let sheet = nothing();
    end(sheet.jobs("-j 1", JOB).stdin(sheet.list("a\nb\n"))).with(0);
    std::fs::remove_file(sheet.path()).unwrap();
    let refused = end(sheet.jobs("-j 1", JOB).stdin(sheet.list("c\n"))).with(3);
    assert!(
        refused.stderr.contains("has the results of 2 rows"),
        "{refused:?}"
    );
    assert!(!sheet.path().exists());
}
