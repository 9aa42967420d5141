//! Columns that are added are in the journal, like any change.

use std::fs::File;

use tickoff::{CsvHandler, Options, Session};

use crate::fixture::TempSheet;

const SHEET: &str = "PO_NUMBER;note\nPO1;a\nPO2;b\n";

fn open(sheet: &TempSheet) -> Session {
    Session::open(sheet.path(), &Options::default()).unwrap()
}

fn save(sheet: &TempSheet, text: &str) {
    let new = sheet.folder().join("saved.csv");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, sheet.path()).unwrap();
}

fn header(sheet: &TempSheet) -> String {
    sheet.text().lines().next().unwrap().to_owned()
}

const ADDED: &str = "PO_NUMBER;note;STATUS;LAST_PROCESSED;ERROR_MESSAGE";

#[test]
fn a_set_beside_an_init_and_its_columns_are_both_there() {
    let sheet = TempSheet::new(SHEET);
    let init = open(&sheet);
    sheet.open().update_record("PO1", [("note", "x")]).unwrap();
    let added = init.init().unwrap();
    assert_eq!(added, ["STATUS", "LAST_PROCESSED", "ERROR_MESSAGE"]);
    assert_eq!(sheet.text(), format!("{ADDED}\nPO1;x;;;\nPO2;b;;;\n"));
}

#[test]
fn an_edit_beside_an_init_and_its_columns_are_both_there() {
    let sheet = TempSheet::new(SHEET);
    let init = open(&sheet);
    save(&sheet, &SHEET.replace("PO2;b", "PO2;mine"));
    init.init().unwrap();
    assert_eq!(sheet.text(), format!("{ADDED}\nPO1;a;;;\nPO2;mine;;;\n"));
}

#[test]
fn columns_that_somebody_else_added_meanwhile_are_not_said_to_be_added() {
    let sheet = TempSheet::new(SHEET);
    let init = open(&sheet);
    let other = sheet.open();
    other.add_missing_columns().unwrap();
    assert_eq!(init.init().unwrap(), [""; 0]);
    assert_eq!(header(&sheet), ADDED);
}

#[test]
fn columns_are_durable_before_they_are_visible() {
    let sheet = TempSheet::new(SHEET);
    let first = sheet.open();
    let editor = File::options().write(true).open(sheet.path()).unwrap();
    std::thread::scope(|scope| {
        let adding = scope.spawn(|| first.add_missing_columns());
        crate::command_line::wait_until("the journal has the columns", || {
            let journal = std::fs::read(sheet.folder().join(".input.csv.journal"));
            journal.is_ok_and(|journal| String::from_utf8_lossy(&journal).contains("\"columns\":"))
        });
        let read = tickoff::Sheet::read(sheet.path(), &Options::default()).unwrap();
        assert_eq!(read.columns().join(";"), ADDED);
        assert_eq!(sheet.text(), SHEET);
        drop(editor);
        adding.join().unwrap().unwrap();
    });
    assert_eq!(header(&sheet), ADDED);
}

#[test]
fn a_column_that_a_person_removed_in_mid_run_stays_removed() {
    let sheet = TempSheet::new(SHEET);
    let handler = sheet.open();
    handler.add_missing_columns().unwrap();
    save(&sheet, "PO_NUMBER;note;STATUS\nPO1;a;\nPO2;b;\n");
    handler.update_record("PO1", [("note", "x")]).unwrap();
    assert_eq!(header(&sheet), "PO_NUMBER;note;STATUS");
}

#[test]
fn a_column_that_a_person_removed_after_a_crash_stays_removed() {
    let sheet = TempSheet::new(SHEET);
    let mut killed = open(&sheet);
    killed.prepare(2).unwrap();
    // Nothing is tidied up, as by a kill.
    std::mem::forget(killed);
    assert_eq!(header(&sheet), ADDED);
    save(&sheet, "PO_NUMBER;note;STATUS\nPO1;a;\nPO2;b;\n");
    let set = CsvHandler::open(sheet.path(), sheet.backups()).unwrap();
    set.update_record("PO1", [("note", "x")]).unwrap();
    assert_eq!(header(&sheet), "PO_NUMBER;note;STATUS");
}
