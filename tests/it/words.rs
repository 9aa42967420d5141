//! What a run does with words of STATUS that nobody knows, and with a status column that is somebody else's.

use serde_json::json;
use tickoff::{Error, Options, Session};

use crate::command_line::{Ended, end};
use crate::fixture::TempSheet;

const FOREIGN: &str = "PO_NUMBER;status;note\nP1;active;\nP2;\"in;active\";\nP3;Active;\nP4;active;\nP5;;\nP6;active;\nP7;active;\n;stray;\n";
/// One with a result of tickoff, so that its status column is.
const OURS: &str = "PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED;ERROR_MESSAGE\nP1;COMPLETED;;2026-01-05T10:00:00Z;\nP2;on hold;;;\nP3;;;;\nP4;waiting;;;\n";
const JOB: &str = "echo $TICKOFF_PO >> ran";

/// Nothing lies beside the sheet but it and empty locks.
#[track_caller]
fn check_untouched(sheet: &TempSheet, contents: &str) {
    assert_eq!(sheet.text(), contents);
    assert_eq!(sheet.leftovers(), [""; 0]);
    assert!(!sheet.backups().exists());
    assert!(!sheet.folder().join(".input.csv.journal").exists());
}

#[track_caller]
fn check_refused(contents: &str, says: &str) {
    for options in ["", "--force", "--only P1", "--retry-failed", "--joblog log"] {
        let sheet = TempSheet::new(contents);
        let ended = end(&mut sheet.run(options, JOB)).with(3);
        assert!(ended.stderr.contains(says), "{ended:?}");
        check_untouched(&sheet, contents);
    }
    let sheet = TempSheet::new(contents);
    for command in ["init", "apply", "run --dry-run", "run --output copy.csv"] {
        let mut program = sheet.tickoff(command);
        if command.starts_with("run") {
            program.args(["--", "true"]);
        }
        let ended = end(&mut program).with(3);
        assert!(ended.stderr.contains(says), "{command}: {ended:?}");
        check_untouched(&sheet, contents);
    }
    let checked = end(&mut sheet.tickoff("check")).with(3);
    assert!(
        checked.stdout.contains(&format!("error: {says}")),
        "{checked:?}"
    );
    let refused = Session::open(sheet.path(), &Options::default())
        .err()
        .unwrap();
    assert!(matches!(refused, Error::ForeignColumn { .. }), "{refused}");
    assert_eq!(sheet.text(), contents);
}

#[test]
fn a_status_column_that_is_somebody_elses_is_refused_before_anything_starts() {
    check_refused(
        FOREIGN,
        "the column status holds what is not tickoff's: active in 4 rows (lines 2, 5, 7, …), in;active in 1 row (line 3), Active in 1 row (line 4)",
    );
}

#[test]
fn the_refusal_shows_the_place_and_the_ways_on() {
    let sheet = TempSheet::new("PO_NUMBER;status\nP1;active\nP2;sold out\n");
    let ended = end(&mut sheet.run("", JOB)).with(3);
    assert_eq!(
        sheet.without_folder(&ended.stderr),
        "tickoff: DIR/input.csv:2:4: the column status holds what is not tickoff's: active in 1 row (line 2), sold out in 1 row (line 3)\n    P1;active\n       ^\ntickoff: if the column is yours, --stage NAME leaves it alone and keeps what becomes of a row in columns of its own; or rename the column in the sheet, and tickoff adds one of its own. If its words are to be replaced by results, say what each of them means: --done WORDS if such rows are done, --failed WORDS if they have failed, --todo WORDS if they are to be processed\n"
    );
}

#[test]
fn check_says_of_no_row_of_a_refused_sheet_that_a_run_leaves_it_alone() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;shipped\nP2;open\n");
    let checked = end(&mut sheet.tickoff("check")).with(3);
    assert_eq!(checked.stdout.lines().count(), 3, "{checked:?}");
    assert!(!checked.stdout.contains("warning"), "{checked:?}");
    end(sheet
        .tickoff("check")
        .args(["--done", "shipped", "--todo", "open"]))
    .with(0);
}

#[test]
fn text_in_a_column_that_belongs_to_a_status_is_refused_where_there_is_none() {
    check_refused(
        "PO_NUMBER;error_message\nP1;\nP2;call back\n",
        "the column error_message holds what is not tickoff's: call back in 1 row (line 3)",
    );
    check_refused(
        "PO_NUMBER;LAST_PROCESSED\nP1;2026-01-05T10:00:00Z\n",
        "the column LAST_PROCESSED holds what is not tickoff's: 2026-01-05T10:00:00Z in 1 row (line 2)",
    );
    let sheet = TempSheet::new("PO_NUMBER;ERROR_MESSAGE;LAST_PROCESSED\nP1; ;\n");
    end(&mut sheet.run("", JOB)).with(0);
    let advice = TempSheet::new("PO_NUMBER;ERROR_MESSAGE\nP1;x\n");
    let ended = end(&mut advice.run("", JOB)).with(3);
    assert!(
        ended.stderr.ends_with(
            "tickoff: rename the column in the sheet, and tickoff adds one of its own\n"
        )
    );
}

/// A run of the sheet takes these POs, and says nothing of a foreign column.
#[track_caller]
fn check_run(contents: &str, options: &[&str], ran: &[&str]) -> TempSheet {
    let sheet = TempSheet::new(contents);
    let mut run = sheet.tickoff("run");
    run.args(options).args(["-j1", "--", "sh", "-c", JOB]);
    end(&mut run).with(0);
    assert_eq!(sheet.lines("ran"), ran, "{options:?}");
    sheet
}

#[test]
fn words_that_are_declared_are_known() {
    let todo = ["--todo", "ACTIVE, in;active"];
    check_run(FOREIGN, &todo, &["P1", "P2", "P3", "P4", "P5", "P6", "P7"]);
    let done = ["--done", "active", "--todo", "in;active"];
    let sheet = check_run(FOREIGN, &done, &["P2", "P5"]);
    assert_eq!(sheet.cell("P1", "status"), "active");
    let failed = ["--failed", "active,in;active"];
    check_run(
        FOREIGN,
        &failed,
        &["P1", "P2", "P3", "P4", "P5", "P6", "P7"],
    );
    let retried = [
        "--failed",
        "active",
        "--todo",
        "in;active",
        "--retry-failed",
    ];
    check_run(FOREIGN, &retried, &["P1", "P3", "P4", "P6", "P7"]);
    let forced = ["--done", "active,in;active", "--force", "--limit", "2"];
    check_run(FOREIGN, &forced, &["P1", "P2"]);
}

#[test]
fn a_column_with_a_word_that_is_still_unknown_is_refused_and_only_that_word_named() {
    let sheet = TempSheet::new(FOREIGN);
    let ended = end(&mut sheet.run("--todo active", JOB)).with(3);
    let says = "the column status holds what is not tickoff's: in;active in 1 row (line 3)\n";
    assert!(ended.stderr.contains(says), "{ended:?}");
}

#[test]
fn init_and_apply_and_check_take_the_same_words() {
    let words = ["--todo", "active", "--done", "in;active"];
    let sheet = TempSheet::new(FOREIGN);
    end(sheet.tickoff("check").args(words)).with(0);
    end(sheet.tickoff("apply").args(words)).with(0);
    let sheet = TempSheet::new(FOREIGN);
    end(sheet.tickoff("init").args(words)).with(0);
    assert!(
        sheet.text().contains("\nP1;active;;;\n"),
        "{}",
        sheet.text()
    );
}

#[test]
fn a_status_that_was_set_with_tickoff_makes_the_column_its_own() {
    let sheet = TempSheet::new(FOREIGN);
    end(sheet.tickoff("set").args(["P1", "note=x"])).with(0);
    end(&mut sheet.run("", JOB)).with(3);
    end(sheet.tickoff("set").args(["P1", "status=PENDING"])).with(0);
    end(&mut sheet.tickoff("check")).with(0);
    end(&mut sheet.run("-j1", JOB)).with(0);
    assert_eq!(sheet.lines("ran"), ["P1", "P5"]);
    assert_eq!(sheet.cell("P3", "status"), "Active");
}

/// What a run says that leaves rows alone.
#[track_caller]
fn left_alone(sheet: &TempSheet, options: &str) -> Ended {
    let ended = end(&mut sheet.run(options, JOB)).with(0);
    let told = "left alone, because nobody has said what their STATUS means: 2 rows: on hold (1), waiting (1); --todo, --done or --failed says it, --only or --force takes them as they are";
    assert!(ended.stderr.contains(told), "{ended:?}");
    ended
}

#[test]
fn a_row_with_an_unknown_word_is_left_alone_counted_as_skipped_and_said() {
    let sheet = TempSheet::new(OURS);
    let ended = left_alone(&sheet, "-j1 --events events");
    assert!(
        ended
            .stderr
            .contains("1 done, 0 errors, 0 no attachments, 2 skipped"),
        "{ended:?}"
    );
    assert_eq!(sheet.lines("ran"), ["P3"]);
    assert_eq!(sheet.cell("P2", "STATUS"), "on hold");
    assert!(
        sheet
            .lines("events")
            .last()
            .unwrap()
            .contains("\"skipped\":2")
    );
    // Also when nothing is left to do, and by a dry run.
    left_alone(&sheet, "");
    left_alone(&sheet, "--dry-run");
    // What is not asked for is not said.
    let other = end(&mut sheet.run("--where PO_NUMBER=P3", JOB)).with(0);
    assert!(!other.stderr.contains("left alone"), "{other:?}");
}

#[test]
fn todo_only_and_force_take_rows_with_unknown_words() {
    check_run(OURS, &["--todo", "On Hold"], &["P2", "P3"]);
    check_run(OURS, &["--only", "P4"], &["P4"]);
    check_run(OURS, &["--force"], &["P1", "P2", "P3", "P4"]);
    let sheet = check_run(OURS, &["--todo", "on hold,waiting"], &["P2", "P3", "P4"]);
    assert_eq!(sheet.counts()["completed"], 4);
}

#[test]
fn a_po_of_which_one_row_has_an_unknown_word_is_left_alone() {
    let rows = "P3;on hold;;;\n";
    let contents = OURS.to_owned() + rows;
    let sheet = check_run(&contents, &["--duplicates", "all"], &[]);
    assert_eq!(sheet.text(), contents);
}

#[test]
fn a_word_that_is_typed_between_two_attempts_ends_the_attempts() {
    let sheet = TempSheet::new(OURS);
    let job = "echo $TICKOFF_PO >> ran; sed 's/^P3;;/P3;later;/' input.csv > new; mv new input.csv; exit 75";
    let ended = end(&mut sheet.run("-j1 --retries 3 --backoff 50ms", job)).with(0);
    assert!(ended.stderr.contains("later (1)"), "{ended:?}");
    assert_eq!(sheet.lines("ran"), ["P3"]);
    assert_eq!(sheet.cell("P3", "STATUS"), "later");
}

/// The row of P3 after its job has answered this, and what is kept of the answer.
#[track_caller]
fn answered(options: &str, answer: &str, code: i32) -> TempSheet {
    let sheet = TempSheet::new(OURS);
    let job = format!("echo '{answer}' > $TICKOFF_RESULT");
    end(&mut sheet.run(&format!("{options} --where PO_NUMBER=P3"), &job)).with(code);
    sheet
}

#[test]
fn a_jobs_status_that_nobody_declared_makes_its_row_an_error_that_names_it() {
    let sheet = answered("", r#"{"STATUS":"shipped","SUPPLIER":"Acme"}"#, 1);
    assert_eq!(sheet.cell("P3", "STATUS"), "ERROR");
    assert!(sheet.cell("P3", "ERROR_MESSAGE").ends_with("not shipped"));
    assert_eq!(sheet.cell("P3", "SUPPLIER"), "Acme");
}

#[test]
fn a_jobs_status_that_was_declared_is_written() {
    for (options, code) in [
        ("--done shipped", 0),
        ("--failed shipped", 1),
        ("--todo shipped", 0),
    ] {
        let sheet = answered(
            options,
            r#"{"STATUS":"Shipped","ERROR_MESSAGE":"why"}"#,
            code,
        );
        assert_eq!(sheet.cell("P3", "STATUS"), "Shipped", "{options}");
        assert_eq!(sheet.cell("P3", "ERROR_MESSAGE"), "why");
    }
}

#[test]
fn a_failure_by_its_declared_word_counts_is_retried_and_halts() {
    let sheet = answered("--failed lost", r#"{"STATUS":"lost"}"#, 1);
    let mut status = sheet.tickoff("status");
    let counts = end(status.args(["--failed", "LOST", "--json"])).json();
    assert_eq!((&counts["error"], &counts["other"]), (&json!(1), &json!(2)));
    assert_eq!(sheet.counts()["other"], 3);
    end(&mut sheet.run("--failed lost --retry-failed -j1", JOB)).with(0);
    assert_eq!(sheet.lines("ran"), ["P3"]);
    let halted = TempSheet::pending(9);
    let job = "echo '{\"STATUS\":\"lost\"}' > $TICKOFF_RESULT";
    end(&mut halted.run("-j1 --failed lost --halt soon,fail=2", job)).with(5);
}

#[test]
fn a_result_that_is_applied_to_a_row_with_an_unknown_word_has_its_state_kept_aside() {
    let line = r#"{"po_number":"P2","updates":{"STATUS":"COMPLETED","SUPPLIER":"Acme"}}"#;
    let apply = |options: &str, code| {
        let sheet = TempSheet::new(OURS);
        std::fs::write(sheet.folder().join("lines"), line).unwrap();
        let lines = std::fs::File::open(sheet.folder().join("lines")).unwrap();
        let mut apply = sheet.tickoff("apply");
        end(apply.args(options.split_whitespace()).stdin(lines)).with(code);
        sheet
    };
    let sheet = apply("", 1);
    assert_eq!(sheet.cell("P2", "STATUS"), "on hold");
    assert_eq!(sheet.cell("P2", "SUPPLIER"), "Acme");
    assert!(
        sheet
            .unplaced()
            .starts_with("PO_NUMBER;STATUS;LAST_PROCESSED\nP2;COMPLETED;")
    );
    let forced = apply("--force", 0);
    assert_eq!(forced.cell("P2", "STATUS"), "COMPLETED");
}

#[test]
fn words_that_contradict_each_other_are_a_usage_error() {
    let sheet = TempSheet::new(OURS);
    for options in [
        "--todo x --done X",
        "--todo COMPLETED",
        "--done PENDING",
        "--failed COMPLETED",
        "--done X --failed x",
    ] {
        end(&mut sheet.run(options, JOB)).with(2);
    }
    for command in ["init", "pending"] {
        let options = ["--done", "DONE,x", "--failed", "lost,DONE"];
        let refused = end(sheet.tickoff(command).args(options)).with(2);
        assert_eq!(
            refused.stderr,
            "tickoff: DONE cannot be done and a failure at once; name it with --done or --failed alone\n"
        );
    }
    assert_eq!(sheet.text(), OURS);
    assert!(!sheet.folder().join("tickoff.toml").exists());
}

/// Nothing in `backup list` or `restore` gives a row a status.
#[test]
fn a_backup_of_a_sheet_with_foreign_words_can_be_restored() {
    let sheet = TempSheet::new(FOREIGN);
    end(&mut sheet.tickoff("backup create")).with(0);
    std::fs::write(sheet.path(), FOREIGN.replace("P7", "P8")).unwrap();
    crate::fixture::rested(sheet.path());
    end(sheet.tickoff("backup restore").arg("latest")).with(0);
    assert_eq!(sheet.text(), FOREIGN);
}

#[test]
fn new_rows_of_an_input_are_refused_in_a_copy_without_results_and_left_alone_in_one_with_results() {
    let run = |sheet: &TempSheet| {
        let mut run = sheet.tickoff("run");
        end(run.args(["--output", "copy.csv", "-j1", "--", "sh", "-c", JOB]))
    };
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\n");
    run(&sheet).with(0);
    std::fs::write(sheet.path(), "PO_NUMBER;STATUS\nP1;\nP2;active\nP3;\n").unwrap();
    crate::fixture::rested(sheet.path());
    run(&sheet).with(0);
    assert_eq!(sheet.lines("ran"), ["P1", "P3"]);

    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;PENDING\n");
    let copy = "PO_NUMBER;STATUS\nP1;PENDING\n";
    std::fs::write(sheet.folder().join("copy.csv"), copy).unwrap();
    std::fs::write(sheet.path(), "PO_NUMBER;STATUS\nP1;PENDING\nP2;active\n").unwrap();
    crate::fixture::rested(sheet.path());
    run(&sheet).with(3);
    assert_eq!(
        std::fs::read_to_string(sheet.folder().join("copy.csv")).unwrap(),
        copy
    );
}
