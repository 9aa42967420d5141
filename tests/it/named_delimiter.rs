//! The line `sep=;` above the header, by which Excel is told the delimiter: it is no row, names the delimiter to
//! tickoff, too, and stays as it is.

use std::fs;

use crate::command_line::{Running, bytes, end};
use crate::fixture::TempSheet;

/// A sheet of three rows that are not done, with its own delimiter and line ends.
fn sheet(opening: &str, delimiter: char, line_end: &str) -> String {
    let rows =
        "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nP1;;;;a\nP2;;;;\"x\ny\"\nP3;;;;c\n";
    let rows = rows
        .replace('\n', line_end)
        .replace(';', &delimiter.to_string());
    opening.to_owned() + &rows
}

const RESULT: &str = "echo '{\"LAST_PROCESSED\":\"t\"}' > $TICKOFF_RESULT";

/// What [`RESULT`] makes of a row.
fn completed(text: &str, po: &str, delimiter: char) -> String {
    let row = |status: &str, time: &str| {
        format!("{po};{status};{time};;").replace(';', &delimiter.to_string())
    };
    let changed = text.replace(&row("", ""), &row("COMPLETED", "t"));
    assert_ne!(changed, text);
    changed
}

/// Every command reads it, none changes a byte of the opening, and each row gets its result.
#[track_caller]
fn check(opening: &str, delimiter: char, line_end: &str) {
    let before = sheet(opening, delimiter, line_end);
    let it = TempSheet::new(&before);
    for (command, arguments) in [
        ("status", &[][..]),
        ("pending", &[]),
        ("check", &[]),
        ("get", &["P2"]),
        ("init", &[]),
    ] {
        end(it.tickoff(command).args(arguments)).with(0);
        assert_eq!(it.text(), before, "{command}");
    }
    end(it.tickoff("set").args(["P3", "note=d"])).with(0);
    let set = before.replace(&format!("{delimiter}c"), &format!("{delimiter}d"));
    assert_eq!(it.text(), set);

    let ran = end(&mut it.run("-j 1", &format!("echo $TICKOFF_PO; {RESULT}"))).with(0);
    assert_eq!(ran.stdout, "P1\nP2\nP3\n");
    let done = ["P1", "P2", "P3"]
        .iter()
        .fold(set.clone(), |text, po| completed(&text, po, delimiter));
    assert_eq!(it.text(), done);
    assert_eq!(
        fs::read_to_string(it.backups().join(&it.original_names()[0])).unwrap(),
        before
    );

    let listed = end(it.tickoff("backup list").arg("--json")).with(0);
    assert!(listed.stdout.contains("\"record_count\":3"), "{listed:?}");
    end(it.tickoff("backup restore").arg("latest")).with(0);
    assert_eq!(it.text(), set);
}

#[test]
fn it_names_the_delimiter_and_stays_byte_for_byte() {
    check("sep=;\n", ';', "\n");
}

#[test]
fn with_carriage_returns() {
    check("sep=;\r\n", ';', "\r\n");
}

#[test]
fn behind_a_byte_order_mark() {
    check("\u{feff}sep=;\r\n", ';', "\r\n");
}

#[test]
fn with_a_comma() {
    check("sep=,\n", ',', "\n");
}

#[test]
fn with_a_delimiter_that_is_not_tried_otherwise() {
    check("SEP=|\r\n", '|', "\r\n");
}

#[test]
fn in_quotes() {
    check("\"sep=;\"\n", ';', "\n");
}

#[test]
fn columns_are_added_to_the_header_below_it() {
    let it = TempSheet::new("sep=;\r\nPO_NUMBER\r\nP1\r\n");
    end(&mut it.tickoff("init")).with(0);
    let want = "sep=;\r\nPO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\r\nP1;;;\r\n";
    assert_eq!(it.text(), want);
}

#[test]
fn a_copy_has_it_too_and_is_gone_on_with() {
    let before = sheet("sep=,\n", ',', "\n");
    let it = TempSheet::new(&before);
    end(&mut it.run("--output copy.csv --limit 2 -j 1", RESULT)).with(0);
    let copy = || fs::read_to_string(it.folder().join("copy.csv")).unwrap();
    let two = completed(&completed(&before, "P1", ','), "P2", ',');
    assert_eq!(copy(), two);
    // A row that is new in the input, which has lost the line.
    fs::write(it.path(), sheet("", ',', "\n") + "P4,,,,new\n").unwrap();
    crate::fixture::rested(it.path());
    end(&mut it.run("--output copy.csv -j 1", RESULT)).with(0);
    let all = completed(&two, "P3", ',') + "P4,COMPLETED,t,,new\n";
    assert_eq!(copy(), all);
}

/// What becomes of a sheet that is saved anew while its second job runs.
#[track_caller]
fn check_saved(before: &str, save: impl Fn(&str) -> String, want: impl Fn(&str) -> String) {
    let it = TempSheet::new(before);
    let job = format!("if [ $TICKOFF_PO = P2 ]; then : > held; await go; fi; {RESULT}");
    let run = Running::start(&mut it.run("-j 1", &job));
    crate::command_line::wait_until(
        "the second job runs and the first one's result is shown",
        || it.folder().join("held").exists() && it.text().contains("COMPLETED"),
    );
    let saved = save(&it.text());
    fs::write(it.folder().join("new"), &saved).unwrap();
    fs::rename(it.folder().join("new"), it.path()).unwrap();
    fs::write(it.folder().join("go"), "").unwrap();
    let ended = run.end().with(0);
    assert_eq!(it.text(), want(&saved));
    assert!(!ended.stderr.contains("WARN"), "{ended:?}");
}

#[test]
fn a_save_that_drops_it_is_merged_and_stays_without_it() {
    let edit = |text: &str| text.replace("sep=;\n", "").replace(";c", ";edited");
    let want = |saved: &str| completed(&completed(saved, "P2", ';'), "P3", ';');
    check_saved(&sheet("sep=;\n", ';', "\n"), edit, want);
}

#[test]
fn a_save_that_adds_it_and_another_delimiter_is_merged_and_keeps_it() {
    let edit = |text: &str| "sep=,\n".to_owned() + &text.replace(';', ",").replace(",c", ",edited");
    let want = |saved: &str| completed(&completed(saved, "P2", ','), "P3", ',');
    check_saved(&sheet("", ';', "\n"), edit, want);
}

#[test]
fn check_mentions_it() {
    let it = TempSheet::new(sheet("sep=;\n", ';', "\n"));
    let ended = end(&mut it.tickoff("check")).with(0);
    let said = it.without_folder(&ended.stdout);
    assert_eq!(
        said,
        "DIR/input.csv:1:1: info: the line sep=; above the header names the delimiter to Excel, and is kept\nDIR/input.csv: 3 rows and 5 columns, with the key PO_NUMBER: nothing is wrong\n"
    );
    let other = TempSheet::new(sheet("sep=,\n", ';', "\n"));
    let ended = end(other.tickoff("check").args(["--delimiter", ";"])).with(0);
    assert!(
        ended
            .stdout
            .contains("names the delimiter to Excel; the sheet is read with ;, as it was told\n"),
        "{ended:?}"
    );
}

#[test]
fn one_that_names_another_delimiter_than_the_header_has_is_refused() {
    let contents = sheet("sep=,\n", ';', "\n");
    let it = TempSheet::new(&contents);
    let ended = end(&mut it.tickoff("status")).with(3);
    assert_eq!(
        it.without_folder(&ended.stderr),
        "tickoff: DIR/input.csv:2: no column PO_NUMBER in the header, which has PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\n    PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\n    ^\ntickoff: with the delimiter ; the header has that column: write sep=; above it, or remove that line; or pass --delimiter ';'\n"
    );
    assert_eq!(bytes(it.path()), contents.as_bytes());
    end(it.tickoff("status").args(["--delimiter", ";"])).with(0);
}

#[test]
fn nothing_but_it_is_an_empty_sheet() {
    let it = TempSheet::new("sep=;\r\n");
    let ended = end(&mut it.tickoff("status")).with(3);
    assert!(
        ended
            .stderr
            .contains("is empty: a header with the column PO_NUMBER is needed"),
        "{ended:?}"
    );
}

#[test]
fn the_key_is_found_below_it() {
    let it = TempSheet::new("sep=,\nname,id\nx,1\nx,2\n");
    let ended = end(&mut it.tickoff("status")).with(3);
    let says = "tickoff: filled in every row and different in each: id; if id is the key: tickoff init input.csv --key id\n";
    assert!(ended.stderr.ends_with(says), "{ended:?}");
    end(it.tickoff("init").args(["--key", "id"])).with(0);
    assert!(it.text().starts_with("sep=,\nname,id,STATUS,"));
    let numbered = TempSheet::new("sep=,\r\nname\r\nx\r\n");
    end(numbered.tickoff("init").args(["--add-key", "ID"])).with(0);
    assert_eq!(numbered.text(), "sep=,\r\nname,ID\r\nx,1\r\n");
}
