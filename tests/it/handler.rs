//! The contract of `CsvHandler`.

use tickoff::{
    CsvHandler, Duplicates, Error, Level, Options, ProcessingProgress, ProcessingStatus, Updates,
};

use crate::fixture::TempSheet;

const SMALL: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nA;PENDING;;;x\nB;COMPLETED;2026-01-05T10:00:00Z;;\nC;ERROR;;broke;\nD;NO_ATTACHMENTS;;;\nE;odd;;;\n;;;;\n";

#[test]
fn an_updated_record_is_in_the_file_when_the_call_returns() {
    let sheet = TempSheet::new(SMALL);
    let handler = sheet.open();
    handler
        .update_record(
            "A",
            [
                ("STATUS", "COMPLETED"),
                ("LAST_PROCESSED", "2026-02-01T00:00:00Z"),
            ],
        )
        .unwrap();
    assert_eq!(
        sheet.text(),
        SMALL.replace("A;PENDING;;;x", "A;COMPLETED;2026-02-01T00:00:00Z;;x")
    );
    drop(handler);
    assert_eq!(
        sheet.leftovers(),
        [""; 0],
        "a handler that wrote everything leaves nothing behind"
    );
}

#[test]
fn progress_counts_every_keyed_row_once() {
    let sheet = TempSheet::new(SMALL);
    let handler = sheet.open();
    let counts = ProcessingProgress {
        total: 5,
        completed: 1,
        pending: 1,
        error: 1,
        no_attachments: 1,
        other: 1,
    };
    assert_eq!(handler.get_processing_progress(), counts);
    handler
        .update_record("E", Updates::status(ProcessingStatus::Completed))
        .unwrap();
    handler
        .update_record("A", Updates::error("no page"))
        .unwrap();
    let counts = ProcessingProgress {
        total: 5,
        completed: 2,
        pending: 0,
        error: 2,
        no_attachments: 1,
        other: 0,
    };
    assert_eq!(handler.get_processing_progress(), counts);
    assert_eq!(sheet.open().get_processing_progress(), counts);
}

#[test]
fn pending_records_are_all_that_are_not_done_in_the_order_of_the_sheet() {
    let sheet = TempSheet::new(SMALL);
    let pending = |options: &Options| {
        CsvHandler::open_with(sheet.path(), options)
            .unwrap()
            .get_pending_records()
            .into_iter()
            .map(|r| r.po_number)
            .collect::<Vec<_>>()
    };
    assert_eq!(pending(&Options::default()), ["A", "C", "D", "E"]);
    let done = vec![ProcessingStatus::Completed, ProcessingStatus::NoAttachments];
    assert_eq!(
        pending(&Options {
            done,
            ..Options::default()
        }),
        ["A", "C", "E"]
    );
}

#[track_caller]
fn check_refused(po: &str, updates: impl Into<Updates>, message: &str) {
    let sheet = TempSheet::new(SMALL);
    let handler = sheet.open();
    assert_eq!(
        handler.update_record(po, updates).unwrap_err().to_string(),
        message
    );
    drop(handler);
    assert_eq!(sheet.text(), SMALL);
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn an_update_that_may_not_be_written_changes_nothing() {
    check_refused("Z", [("STATUS", "COMPLETED")], "no row has the key Z");
    check_refused("", [("STATUS", "COMPLETED")], "no row has the key ");
    check_refused(
        "A",
        [("Colour", "red")],
        "no column Colour in the sheet, which has PO_NUMBER, STATUS, LAST_PROCESSED, ERROR_MESSAGE, note",
    );
    check_refused("A", [("note", "a\0b")], "A: note may not hold a NUL byte");
    check_refused(
        "A",
        [("po_number", "Q")],
        "A: po_number is the key column, which no update may change: change it in the sheet itself, where the row keeps its other cells",
    );
    check_refused(
        "B",
        [("STATUS", "ERROR")],
        "B: a result may not change COMPLETED to ERROR",
    );
    check_refused(
        "C",
        [("STATUS", "PENDING")],
        "C: a result may not change ERROR to PENDING",
    );
}

#[test]
fn a_forced_update_may_leave_completed() {
    let sheet = TempSheet::new(SMALL);
    sheet
        .open()
        .update_record_forced("B", [("STATUS", "PENDING")])
        .unwrap();
    assert_eq!(sheet.cell("B", "STATUS"), "PENDING");
}

#[test]
fn a_result_other_than_error_clears_the_message() {
    let sheet = TempSheet::new(SMALL);
    let handler = sheet.open();
    handler.update_record("C", [("note", "seen")]).unwrap();
    assert_eq!(
        (
            sheet.cell("C", "ERROR_MESSAGE").as_str(),
            sheet.cell("C", "LAST_PROCESSED").as_str()
        ),
        ("broke", "")
    );
    handler
        .update_record("C", Updates::status(ProcessingStatus::NoAttachments))
        .unwrap();
    assert_eq!(sheet.cell("C", "ERROR_MESSAGE"), "");
    assert_eq!(
        sheet.cell("C", "LAST_PROCESSED").len(),
        "2026-01-05T10:00:00Z".len()
    );
}

#[test]
fn a_missing_column_of_the_14_is_added_when_a_result_first_uses_it_and_every_row_is_padded() {
    let sheet = TempSheet::new("PO_NUMBER\nA\nB");
    let handler = sheet.open();
    handler.update_record("B", [("SUPPLIER", "Ac;me")]).unwrap();
    assert_eq!(sheet.text(), "PO_NUMBER;SUPPLIER\nA;\nB;\"Ac;me\"");
    handler
        .update_record("A", [("STATUS", "COMPLETED"), ("LAST_PROCESSED", "t")])
        .unwrap();
    assert_eq!(
        sheet.text(),
        "PO_NUMBER;SUPPLIER;STATUS;LAST_PROCESSED\nA;;COMPLETED;t\nB;\"Ac;me\";;"
    );
    let record = handler.record("A").unwrap();
    assert_eq!(record.get("status"), Some("COMPLETED"));
    assert_eq!(record.status, ProcessingStatus::Completed);
}

#[test]
fn the_result_columns_are_added_in_the_form_of_the_sheet() {
    let sheet = TempSheet::new("\u{feff}\"PO_NUMBER\",\"x\"\r\n\"A\",\"1\"\r\n\r\n\"B\"\r\n");
    assert_eq!(
        sheet.open().add_missing_columns().unwrap(),
        ["STATUS", "LAST_PROCESSED", "ERROR_MESSAGE"]
    );
    let want = "\u{feff}\"PO_NUMBER\",\"x\",\"STATUS\",\"LAST_PROCESSED\",\"ERROR_MESSAGE\"\r\n\"A\",\"1\",\"\",\"\",\"\"\r\n\r\n\"B\",\"\",\"\",\"\",\"\"\r\n";
    assert_eq!(sheet.text(), want);
}

#[test]
fn columns_are_added_before_what_stands_beside_the_table() {
    let contents =
        "PO_NUMBER;x\nA;1\nB;2;\nC;3;note\nD;4;;;\"far; away\"\nE;5;;;;;\nF;6;;\"\";n;\nG\n";
    let sheet = TempSheet::new(contents);
    let handler = sheet.open();
    handler.add_missing_columns().unwrap();
    let want = "PO_NUMBER;x;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nA;1;;;\nB;2;;;\nC;3;;;;note\nD;4;;;;\"far; away\"\nE;5;;;;;\nF;6;;\"\";;n;\nG;;;;\n";
    assert_eq!(sheet.text(), want);
    // Once more, with a value for each row: the next column, too, comes before the notes.
    for po in ["A", "C", "D", "F"] {
        handler.update_record(po, [("SUPPLIER", "s")]).unwrap();
        assert_eq!(handler.record(po).unwrap().get("SUPPLIER"), Some("s"));
    }
    let want = "PO_NUMBER;x;STATUS;LAST_PROCESSED;ERROR_MESSAGE;SUPPLIER\nA;1;;;;s\nB;2;;;;\nC;3;;;;s;note\nD;4;;;;s;\"far; away\"\nE;5;;;;;\nF;6;;\"\";;s;n;\nG;;;;;\n";
    assert_eq!(sheet.text(), want);
}

#[test]
fn what_stands_beside_the_table_is_no_cell_of_a_column_that_is_added() {
    let sheet = TempSheet::new("PO_NUMBER\nA;COMPLETED\n");
    let handler = sheet.open();
    assert_eq!(handler.get_pending_records().len(), 1);
    handler.update_record("A", [("STATUS", "ERROR")]).unwrap();
    assert!(
        sheet.text().starts_with("PO_NUMBER;STATUS;LAST_PROCESSED"),
        "{}",
        sheet.text()
    );
    assert!(sheet.text().ends_with(";COMPLETED\n"), "{}", sheet.text());
}

#[test]
fn a_row_that_is_too_short_grows_only_as_far_as_its_new_cells() {
    let sheet = TempSheet::sample("full-header-one-field-rows.csv");
    let before = sheet.text();
    sheet
        .open()
        .update_record(
            "PO15000102",
            [("STATUS", "COMPLETED"), ("LAST_PROCESSED", "t")],
        )
        .unwrap();
    assert_eq!(
        sheet.text(),
        before.replace("PO15000102\n", "PO15000102;COMPLETED;;;;t\n")
    );
}

#[test]
fn a_repeated_po_is_refused_with_its_lines_unless_all_its_rows_are_meant() {
    let contents = "PO_NUMBER;STATUS\nA;\nB;\n\" A\";\n";
    let sheet = TempSheet::new(contents);
    let error = CsvHandler::open(sheet.path(), sheet.backups())
        .err()
        .unwrap()
        .to_string();
    assert!(
        error.ends_with("input.csv: A stands in several rows, on lines 2, 4"),
        "{error}"
    );

    let all = Options {
        duplicates: Duplicates::All,
        add_columns: false,
        ..Options::default()
    };
    let handler = CsvHandler::open_with(sheet.path(), &all).unwrap();
    assert_eq!(handler.pending_pos(), ["A", "B"]);
    handler
        .update_record("A", [("STATUS", "COMPLETED")])
        .unwrap();
    assert_eq!(
        sheet.text(),
        "PO_NUMBER;STATUS\nA;COMPLETED\nB;\n\" A\";COMPLETED\n"
    );
}

#[test]
fn findings_name_line_column_and_po() {
    let sheet = TempSheet::new(
        "PO_NUMBER;STATUS;LAST_PROCESSED;ATTACHMENTS_FOUND\nA;COMPLETED;yesterday;2\n;;;\n\"B\n\";odd;;two\n",
    );
    let findings: Vec<String> = sheet
        .open()
        .validate_csv_integrity()
        .into_iter()
        .map(|f| {
            assert_eq!(f.level, Level::Warning);
            format!(
                "{}:{} {} {}",
                f.line,
                f.column,
                f.po.unwrap_or_default(),
                f.message
            )
        })
        .collect();
    assert_eq!(
        findings,
        [
            "2:13 A the row is COMPLETED without a valid LAST_PROCESSED",
            "3:1  the row has no key; it is kept and never processed, as a row of totals or a note should be",
            "5:3 B odd is none of the known statuses; a run leaves the row alone",
            "5:8 B ATTACHMENTS_FOUND is not a whole number",
        ]
    );
}

#[test]
fn handlers_of_one_file_see_each_others_updates_and_lose_none() {
    let sheet = TempSheet::pending(4);
    let handlers: Vec<CsvHandler> = (0..4).map(|_| sheet.open()).collect();
    std::thread::scope(|scope| {
        for (i, handler) in handlers.iter().enumerate() {
            scope.spawn(move || {
                for n in 0..25 {
                    handler
                        .update_record(&format!("PO{i}"), [("SUPPLIER", format!("{n}"))])
                        .unwrap();
                }
            });
        }
    });
    for i in 0..4 {
        assert_eq!(sheet.cell(&format!("PO{i}"), "SUPPLIER"), "24");
    }
    handlers[0]
        .update_record("PO1", [("SUPPLIER", "later")])
        .unwrap();
    handlers[2]
        .update_record("PO0", [("SUPPLIER", "x")])
        .unwrap();
    assert_eq!(
        handlers[2].record("PO1").unwrap().supplier.as_deref(),
        Some("later")
    );
    drop(handlers);
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn owner_mode_and_the_symlink_to_a_sheet_survive_an_update() {
    use std::os::unix::fs::PermissionsExt;
    let sheet = TempSheet::new(SMALL);
    std::fs::set_permissions(sheet.path(), PermissionsExt::from_mode(0o640)).unwrap();
    let link = sheet.folder().join("link.csv");
    std::os::unix::fs::symlink("input.csv", &link).unwrap();
    CsvHandler::open(&link, sheet.backups())
        .unwrap()
        .update_record("A", [("note", "y")])
        .unwrap();
    assert_eq!(sheet.cell("A", "note"), "y");
    assert!(std::fs::symlink_metadata(&link).unwrap().is_symlink());
    assert_eq!(
        std::fs::metadata(sheet.path())
            .unwrap()
            .permissions()
            .mode()
            & 0o7777,
        0o640
    );
}

#[test]
fn a_full_journal_error_names_what_was_tried() {
    let sheet = TempSheet::new(SMALL);
    std::fs::create_dir(sheet.folder().join(".input.csv.journal")).unwrap();
    let error = CsvHandler::open(sheet.path(), sheet.backups())
        .err()
        .unwrap();
    assert!(
        matches!(error, Error::NotAFile { .. } | Error::Io { .. }),
        "{error:?}"
    );
    assert_eq!(sheet.text(), SMALL);
}
