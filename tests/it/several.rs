//! Several handlers and a session on one sheet: what one has acknowledged, no other takes away.

use std::fs::OpenOptions;
use std::sync::Arc;

use tickoff::{
    CsvHandler, Duplicates, Error, Options, ProcessingStatus, Session, Sheet, Until, Updates,
    WriteQueue,
};

use crate::command_line::{Running, end, tickoff};
use crate::fixture::TempSheet;

fn done() -> Updates {
    Updates::status(ProcessingStatus::Completed)
}

fn pending() -> Updates {
    Updates::status(ProcessingStatus::Pending)
}

/// The status that a reader sees.
fn status(sheet: &TempSheet, po: &str) -> String {
    let read = Sheet::read(sheet.path(), &Options::default()).unwrap();
    read.status(po).unwrap().as_str().to_owned()
}

/// Saves a version as another program does that read it earlier.
fn save(sheet: &TempSheet, text: &str) {
    let new = sheet.folder().join("saved.csv");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, sheet.path()).unwrap();
}

#[test]
fn a_session_that_starts_keeps_what_another_process_has_only_in_the_journal() {
    let sheet = TempSheet::pending(5);
    let queue = WriteQueue::new(Arc::new(sheet.open()), 16);
    queue.start_writer_thread().unwrap();
    let mut session = Session::open(sheet.path(), &Options::default()).unwrap();
    let editor = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    let operation = queue.submit_write("PO1", done()).unwrap();
    queue.wait(&operation, Until::Durable).unwrap();
    std::thread::scope(|scope| {
        let preparing = scope.spawn(|| session.prepare(5).unwrap());
        std::thread::sleep(std::time::Duration::from_millis(50));
        assert_eq!(status(&sheet, "PO1"), "COMPLETED");
        drop(editor);
        preparing.join().unwrap();
    });
    queue.flush().unwrap();
    assert_eq!(sheet.cell("PO1", "STATUS"), "COMPLETED");
}

#[test]
fn a_set_is_not_undone_by_a_handler_that_was_open_before() {
    let sheet = TempSheet::pending(5);
    let old = sheet.open();
    old.update_record("PO1", done()).unwrap();
    old.finish().unwrap();
    sheet.open().update_record_forced("PO1", pending()).unwrap();
    old.update_record("PO2", done()).unwrap();
    assert_eq!(sheet.cell("PO1", "STATUS"), "PENDING");
}

#[test]
fn a_set_is_not_undone_by_a_handler_that_could_not_read_the_sheet_anew_at_once() {
    let sheet = TempSheet::pending(5);
    let old = sheet.open();
    old.update_record("PO1", done()).unwrap();
    let other = sheet.open();
    other.update_record("PO3", done()).unwrap();
    other.finish().unwrap();
    let setter = sheet.open();
    setter.update_record_forced("PO1", pending()).unwrap();
    let editor = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    std::thread::scope(|scope| {
        let updating = scope.spawn(|| old.update_record("PO2", done()));
        std::thread::sleep(std::time::Duration::from_millis(50));
        drop(editor);
        updating.join().unwrap().unwrap();
    });
    assert_eq!(sheet.cell("PO1", "STATUS"), "PENDING");
}

#[test]
fn a_po_that_another_handler_completed_is_not_taken_out_of_completed() {
    let sheet = TempSheet::pending(5);
    let old = sheet.open();
    sheet.open().update_record("PO1", done()).unwrap();
    let refused = old.update_record("PO1", Updates::error("too late"));
    assert!(
        matches!(refused, Err(Error::Transition { .. })),
        "{refused:?}"
    );
    assert_eq!(sheet.cell("PO1", "STATUS"), "COMPLETED");
}

#[test]
fn a_handler_that_goes_away_leaves_nothing_behind_that_a_stale_save_has_undone() {
    let sheet = TempSheet::pending(5);
    let stale = sheet.text().replace("PO2;PENDING;Acme", "PO2;PENDING;Bcme");
    let handler = sheet.open();
    handler.update_record("PO1", done()).unwrap();
    save(&sheet, &stale);
    drop(handler);
    assert_eq!(status(&sheet, "PO1"), "COMPLETED");
    assert_eq!(sheet.cell("PO2", "SUPPLIER"), "Bcme");
}

#[test]
fn a_refused_update_adds_no_column() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nA;PENDING\n");
    let handler = sheet.open();
    handler
        .update_record("A", [("SUPPLIER", "x"), ("BOGUS", "y")])
        .unwrap_err();
    assert_eq!(handler.columns(), ["PO_NUMBER", "STATUS"]);
}

#[test]
fn a_repeated_po_is_pending_while_any_of_its_rows_is_and_completed_rows_stay() {
    let contents = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nA;COMPLETED;;\nA;PENDING;;\nB;PENDING;;\nB;COMPLETED;;\nC;COMPLETED;;\nC;COMPLETED;;\n";
    let sheet = TempSheet::new(contents);
    let all = Options {
        duplicates: Duplicates::All,
        ..Options::default()
    };
    let handler = CsvHandler::open_with(sheet.path(), &all).unwrap();
    assert_eq!(handler.pending_pos(), ["A", "B"]);
    let refused = handler.update_record("B", Updates::error("no"));
    assert!(
        matches!(refused, Err(Error::Transition { .. })),
        "{refused:?}"
    );
    assert_eq!(sheet.text(), contents);
}

#[test]
fn a_backup_counts_the_rows_that_it_holds() {
    let sheet = TempSheet::pending(3);
    let handler = sheet.open();
    save(&sheet, &(sheet.text() + "PO9;PENDING;;;;;;;;;;;;\n"));
    assert_eq!(handler.create_session_backup("s").unwrap().record_count, 4);
}

#[test]
fn restoring_the_oldest_backup_does_not_evict_it() {
    let sheet = TempSheet::pending(2);
    let handler = sheet.open();
    let mut backups = Vec::new();
    for i in 0..5 {
        backups.push(
            handler
                .create_session_backup(&format!("s{i}"))
                .unwrap()
                .backup_path,
        );
        handler
            .update_record("PO0", [("SUPPLIER", format!("v{i}"))])
            .unwrap();
    }
    drop(handler);
    let options = Options {
        backup_dir: Some(sheet.backups()),
        ..Options::default()
    };
    let made = Session::restore(sheet.path(), &options, &backups[0])
        .unwrap()
        .unwrap();
    assert_eq!(sheet.cell("PO0", "SUPPLIER"), "Acme");
    assert!(backups[0].exists());
    assert!(
        std::fs::read_to_string(made.backup.backup_path)
            .unwrap()
            .contains("v4")
    );
}

#[test]
fn restoring_a_deleted_sheet_is_refused_while_a_session_runs() {
    let sheet = TempSheet::pending(2);
    let options = Options {
        backup_dir: Some(sheet.backups()),
        ..Options::default()
    };
    let backup = sheet.open().create_session_backup("s").unwrap().backup_path;
    let session = Session::open(sheet.path(), &options).unwrap();
    session.handler().update_record("PO0", done()).unwrap();
    std::fs::remove_file(sheet.path()).unwrap();
    let refused = Session::restore(sheet.path(), &options, &backup);
    assert!(
        matches!(refused, Err(Error::SessionHeld { .. })),
        "{refused:?}"
    );
    // As a killed session leaves it.
    let journal = sheet.folder().join(".input.csv.journal");
    let left = std::fs::read(&journal).unwrap();
    drop(session);
    std::fs::write(&journal, left).unwrap();
    std::fs::remove_file(sheet.path()).ok();
    Session::restore(sheet.path(), &options, &backup).unwrap();
    // A kill may have come before the result was visible, so it is written again.
    assert_eq!(status(&sheet, "PO0"), "COMPLETED");
}

#[test]
fn the_results_of_a_deleted_sheet_are_asked_about_when_a_backup_is_restored() {
    for gone in [true, false] {
        let sheet = TempSheet::pending(3);
        end(&mut sheet.run("", "true")).with(0);
        match gone {
            true => std::fs::remove_file(sheet.path()).unwrap(),
            false => std::fs::write(sheet.path(), "no sheet\n").unwrap(),
        }
        let restored = end(tickoff().args(["backup", "restore"]).arg(sheet.path())).with(0);
        assert!(
            restored.stderr.contains("--apply writes them"),
            "{restored:?}"
        );
        end(&mut sheet.run("", "true")).with(3);
        end(sheet.tickoff("recover").arg("--apply")).with(0);
        for po in ["PO0", "PO1", "PO2"] {
            assert_eq!(sheet.cell(po, "STATUS"), "COMPLETED", "{gone}");
        }
    }
}

#[test]
fn a_handler_that_has_to_read_anew_does_not_take_over_a_half_written_sheet() {
    let sheet = TempSheet::pending(5);
    let ours = sheet.open();
    ours.update_record("PO1", done()).unwrap();
    let theirs = sheet.open();
    theirs.update_record("PO2", done()).unwrap();
    // The log of which we know is gone.
    theirs.finish().unwrap();
    let text = sheet.text();
    std::fs::write(sheet.path(), "").unwrap();
    std::thread::scope(|scope| {
        let update = scope.spawn(|| ours.update_record("PO3", done()));
        std::thread::sleep(std::time::Duration::from_millis(300));
        std::fs::write(sheet.path(), text).unwrap();
        update.join().unwrap().unwrap();
    });
    for po in ["PO1", "PO2", "PO3"] {
        assert_eq!(sheet.cell(po, "STATUS"), "COMPLETED", "{po}");
    }
}

const KEYED: &str = "PO_NUMBER;STATUS;note\nP1;;\nP2;;\nP3;;\nP4;;\n";

fn by(key: &str) -> Options {
    Options {
        key: key.into(),
        ..Options::default()
    }
}

/// Gives the key column another name, as another program does, with an edit.
fn rename_key(sheet: &TempSheet) {
    let text = sheet.text().replace("PO_NUMBER", "Order");
    save(sheet, &text.replace("P4;;", "P4;;theirs"));
}

#[track_caller]
fn refused_for_its_key(error: &Error) {
    let chain = error.chain();
    let told = "holds results by the key column Order: use --key Order";
    assert!(chain.contains(told), "{chain}");
}

#[test]
fn a_save_with_another_name_for_the_key_column_is_kept_beside_a_handler_that_writes_on() {
    let sheet = TempSheet::new(KEYED);
    let handler = sheet.open();
    handler.update_record("P1", [("note", "one")]).unwrap();
    rename_key(&sheet);
    handler.update_record("P2", [("note", "two")]).unwrap();
    assert_eq!(
        sheet.text(),
        "PO_NUMBER;STATUS;note\nP1;;one\nP2;;two\nP3;;\nP4;;\n"
    );
    let kept = sheet.backup_names();
    let [copy] = &kept[..] else {
        panic!("{kept:?}");
    };
    let kept = std::fs::read_to_string(sheet.backups().join(copy)).unwrap();
    assert_eq!(kept, "Order;STATUS;note\nP1;;one\nP2;;\nP3;;\nP4;;theirs\n");
}

#[test]
fn a_handler_is_refused_once_another_one_goes_on_with_a_renamed_key_column() {
    let sheet = TempSheet::new(KEYED);
    let handler = Arc::new(sheet.open());
    handler.update_record("P1", [("note", "one")]).unwrap();
    rename_key(&sheet);
    let other = CsvHandler::open_with(sheet.path(), &by("Order")).unwrap();
    other.update_record("P3", [("note", "three")]).unwrap();
    let error = handler.update_record("P2", [("note", "two")]).unwrap_err();
    assert!(matches!(error, Error::NotDurable { .. }), "{error:?}");
    refused_for_its_key(&error);
    // Nothing of the refused one is seen here either.
    assert_eq!(handler.record("P2").unwrap().get("note"), Some(""));
    let queue = WriteQueue::new(handler, 16);
    queue.start_writer_thread().unwrap();
    let operation = queue.submit_write("P2", [("note", "two")]).unwrap();
    refused_for_its_key(&queue.wait(&operation, Until::Durable).unwrap_err());
    other.finish().unwrap();
    assert_eq!(
        sheet.text(),
        "Order;STATUS;note\nP1;;one\nP2;;\nP3;;three\nP4;;theirs\n"
    );
    assert_eq!(sheet.backup_names(), [""; 0]);
}

#[test]
fn what_was_acknowledged_before_the_key_column_was_renamed_is_written_under_its_new_name() {
    let sheet = TempSheet::new(KEYED);
    let queue = WriteQueue::new(Arc::new(sheet.open()), 16);
    queue.start_writer_thread().unwrap();
    let editor = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    let operation = queue.submit_write("P1", [("note", "one")]).unwrap();
    queue.wait(&operation, Until::Durable).unwrap();
    rename_key(&sheet);
    let other = CsvHandler::open_with(sheet.path(), &by("Order")).unwrap();
    other.update_record("P3", [("note", "three")]).unwrap();
    drop(editor);
    refused_for_its_key(&queue.flush().unwrap_err());
    assert_eq!(
        sheet.text(),
        "Order;STATUS;note\nP1;;one\nP2;;\nP3;;three\nP4;;theirs\n"
    );
}

#[test]
fn a_session_keeps_its_sheet_when_somebody_renames_the_key_column_and_another_one_is_refused() {
    let sheet = TempSheet::new(KEYED);
    let mut session = Session::open(sheet.path(), &Options::default()).unwrap();
    session.prepare(4).unwrap();
    rename_key(&sheet);
    let refused = CsvHandler::open_with(sheet.path(), &by("Order")).map(drop);
    let told = "holds results by the key column PO_NUMBER: use --key PO_NUMBER";
    assert!(refused.unwrap_err().chain().contains(told));
    let handler = session.handler();
    handler.update_record("P2", [("note", "two")]).unwrap();
    session.finish().unwrap();
    assert_eq!(sheet.cell("P2", "note"), "two");
    let is_kept = |name: &String| {
        let copy = std::fs::read_to_string(sheet.backups().join(name)).unwrap();
        copy.starts_with("Order;") && copy.contains("theirs")
    };
    assert!(sheet.backup_names().iter().any(is_kept));
}

/// Another column has the key's name: the rows have other keys, and none of the results is theirs.
#[test]
fn no_result_is_written_to_a_row_that_another_column_gave_its_key() {
    let sheet = TempSheet::new("PO_NUMBER;note;alt\nP1;;A1\nP2;;A2\nP3;;A3\nP4;;A4\n");
    let queue = WriteQueue::new(Arc::new(sheet.open()), 16);
    queue.start_writer_thread().unwrap();
    queue.submit_write("P1", [("note", "one")]).unwrap();
    queue.flush().unwrap();
    let before = sheet.text();
    let other = before.replacen("PO_NUMBER;note;alt", "alt;note;PO_NUMBER", 1);
    save(&sheet, &other);
    let operation = queue.submit_write("P2", [("note", "two")]).unwrap();
    queue.wait(&operation, Until::Durable).unwrap();
    std::thread::sleep(std::time::Duration::from_millis(500));
    assert_eq!(sheet.text(), other);
    save(&sheet, &before);
    queue.flush().unwrap();
    assert_eq!(sheet.text(), before.replace("P2;;", "P2;two;"));
}

/// Anybody who may read the sheet can lock that file; who waits for it is told which it is.
#[test]
fn a_lock_that_another_process_keeps_is_named_while_it_is_waited_for() {
    let sheet = TempSheet::pending(1);
    end(sheet.tickoff("set").args(["PO0", "STATUS=ERROR"])).with(0);
    let lock = std::fs::File::open(sheet.folder().join(".input.csv.lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let set = Running::start(sheet.tickoff("set").args(["PO0", "STATUS=PENDING"]));
    set.wait_until_it_says("waits for a lock that another process has; fuser LOCK names it");
    drop(lock);
    set.end().with(0);
    assert_eq!(sheet.status()["pending"], 1);
}
