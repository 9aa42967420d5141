//! A run that has nothing to do says why in one sentence, and no counts of nothing.

use serde_json::Value;

use crate::command_line::end;
use crate::fixture::TempSheet;

const SHEET: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;SUPPLIER\n\
    P1;COMPLETED;2026-01-02T03:04:05Z;Acme\n\
    P2;NO_ATTACHMENTS;2026-01-02T03:04:05Z;Acme\n\
    P3;COMPLETED;2026-01-02T03:04:05Z;Globex\n";

/// What is said of a run with these options on a sheet with these rows besides.
#[track_caller]
fn check(rows: &str, options: &str, why: &str) {
    let sheet = TempSheet::new(format!("{SHEET}{rows}"));
    let text = sheet.text();
    let ended = end(&mut sheet.run(options, "echo ran >> ran")).with(0);
    let said = |line: &str| line.ends_with(&format!("nothing to do: {why}"));
    assert!(ended.stderr.lines().any(said), "{why}: {ended:#?}");
    assert!(!ended.stderr.contains(" done, 0 errors"), "{ended:#?}");
    let planned = end(&mut sheet.run(&format!("--dry-run {options}"), "true")).with(0);
    let in_a_plan = planned.stderr.lines().any(said);
    assert!(in_a_plan || options.contains("json"), "{planned:#?}");
    assert_eq!(sheet.lines("ran"), [""; 0]);
    assert_eq!(sheet.text(), text);
}

#[test]
fn all_are_done() {
    const DONE: &str = "--done COMPLETED,NO_ATTACHMENTS";
    check("", DONE, "all 3 are done: 2 COMPLETED, 1 NO_ATTACHMENTS");
    // Whatever is selected.
    let selected = format!("{DONE} --retry-failed --where SUPPLIER=Nobody");
    check(
        "",
        &selected,
        "all 3 are done: 2 COMPLETED, 1 NO_ATTACHMENTS",
    );
    let sheet = TempSheet::pending(446);
    end(&mut sheet.run("-j 8", "true")).with(0);
    let again = end(&mut sheet.run("-j 8", "true")).with(0);
    assert!(
        again.stderr.ends_with(" nothing to do: all 446 are done\n"),
        "{again:?}"
    );
    let one = TempSheet::new("PO_NUMBER;STATUS\nP1;COMPLETED\n");
    let ended = end(&mut one.run("", "true")).with(0);
    assert!(
        ended
            .stderr
            .ends_with(" nothing to do: the only row is done\n"),
        "{ended:?}"
    );
}

#[test]
fn none_of_those_that_are_to_be_done_is_selected() {
    let more = "P4;;;Acme\n";
    let why = "none of the 2 that are to be done is selected by --where";
    check(more, "--where SUPPLIER=Globex", why);
    let why = "none of the 2 that are to be done is selected by --only and --where";
    check(more, "--only P1 --only P4 --where SUPPLIER=Globex", why);
    check(
        more,
        "--retry-failed",
        "none of the 2 that are to be done has failed",
    );
    let done = "--done NO_ATTACHMENTS";
    let why = "the row that is to be done has not failed";
    check(more, &format!("{done} --retry-failed"), why);
    let why = "the row that is to be done is not selected by --only";
    check(more, &format!("{done} --only P1"), why);
}

#[test]
fn the_rest_has_words_that_nobody_knows_or_waits_for_another_stage() {
    let done = "--done NO_ATTACHMENTS";
    check("P4;on hold;;Acme\n", done, "3 are done, 1 is left alone");
    let why = "none of those selected by --where is to be done";
    check(
        "P4;on hold;;Acme\n",
        &format!("{done} --where SUPPLIER=Globex"),
        why,
    );
    let waits = "--stage ocr --after main --done NO_ATTACHMENTS --where PO_NUMBER=P4";
    let sheet = TempSheet::new(format!("{SHEET}P4;;;Acme\nP5;;;Acme\n"));
    let stage = "--stage ocr --after main --done NO_ATTACHMENTS";
    end(&mut sheet.run(stage, "true")).with(0);
    for options in [stage, waits] {
        let ended = end(&mut sheet.run(options, "true")).with(0);
        let says = " nothing to do: 3 are done in the stage ocr, 2 wait for the stage main\n";
        assert!(ended.stderr.ends_with(says), "{options}: {ended:?}");
    }
}

#[test]
fn a_sheet_without_a_row() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\n");
    let ended = end(&mut sheet.run("", "true")).with(0);
    let says = " nothing to do: the sheet has no row with a key\n";
    assert!(ended.stderr.ends_with(says), "{ended:?}");
}

#[test]
fn a_program_that_reads_the_log_gets_the_counts_all_the_same() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;COMPLETED\n");
    let ended = end(&mut sheet.run("--log-format json", "true")).with(0);
    let lines = ended.stderr.lines();
    let lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(lines[0]["message"], "nothing to do: the only row is done");
    assert_eq!(lines[1]["completed"], 0, "{lines:?}");
}
