//! Other programs change the sheet while tickoff works on it (P3).

use std::fs::OpenOptions;
use std::io::{Seek, SeekFrom, Write};
use std::sync::Arc;
use std::time::Duration;

use tickoff::{CsvHandler, DEFAULT_CAPACITY, Until, WriteQueue};

use crate::fixture::TempSheet;

const SHEET: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nA;PENDING;;;\nB;PENDING;;;\nC;PENDING;;;\n";

/// Writes a result for `po`, visibly.
fn complete(handler: &CsvHandler, po: &str) {
    handler
        .update_record(po, [("STATUS", "COMPLETED"), ("LAST_PROCESSED", "t")])
        .unwrap();
}

fn replace(sheet: &TempSheet, contents: &str) {
    let new = sheet.folder().join("saved.csv");
    std::fs::write(&new, contents).unwrap();
    std::fs::rename(new, sheet.path()).unwrap();
}

#[test]
fn a_replacement_keeps_its_edits_and_our_results() {
    let sheet = TempSheet::new(SHEET);
    let handler = sheet.open();
    complete(&handler, "A");
    // Read before A was completed, saved after.
    replace(&sheet, &SHEET.replace("C;PENDING;;;", "C;PENDING;;;mine"));
    complete(&handler, "B");
    let want = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nA;COMPLETED;t;;\nB;COMPLETED;t;;\nC;PENDING;;;mine\n";
    assert_eq!(sheet.text(), want);
    assert!(
        handler.take_conflicts().is_empty(),
        "a cell that was read before we wrote it is no conflict"
    );
}

#[test]
fn rows_may_be_moved_added_and_reformatted_by_the_other_program() {
    let sheet = TempSheet::new(SHEET);
    let handler = sheet.open();
    complete(&handler, "A");
    replace(
        &sheet,
        "note,status,po_number,ERROR_MESSAGE,LAST_PROCESSED\r\nx,PENDING,D,,\r\n\"y, z\",PENDING,C,,\r\n,PENDING,A,,\r\n,,B,,\r\n",
    );
    complete(&handler, "B");
    let want = "note,status,po_number,ERROR_MESSAGE,LAST_PROCESSED\r\nx,PENDING,D,,\r\n\"y, z\",PENDING,C,,\r\n,COMPLETED,A,,t\r\n,COMPLETED,B,,t\r\n";
    assert_eq!(sheet.text(), want);
    complete(&handler, "D");
    assert_eq!(
        sheet.text(),
        want.replace("x,PENDING,D,,", "x,COMPLETED,D,,t")
    );
}

#[test]
fn a_true_conflict_keeps_our_result_and_is_reported_with_both_values() {
    let sheet = TempSheet::new(SHEET);
    let handler = sheet.open();
    complete(&handler, "A");
    replace(&sheet, &SHEET.replace("A;PENDING", "A;ON HOLD"));
    complete(&handler, "B");
    assert_eq!(sheet.cell("A", "STATUS"), "COMPLETED");
    let conflicts = handler.take_conflicts();
    assert_eq!(conflicts.len(), 1);
    let conflict = &conflicts[0];
    assert_eq!(
        (
            conflict.po.as_str(),
            conflict.column.as_str(),
            conflict.ours.as_str(),
            conflict.theirs.as_str()
        ),
        ("A", "STATUS", "COMPLETED", "ON HOLD")
    );
}

#[test]
fn an_edit_in_place_of_the_same_size_is_seen() {
    let sheet = TempSheet::new(SHEET.replace("C;PENDING;;;", "C;PENDING;;;old"));
    let handler = sheet.open();
    complete(&handler, "A");
    let mut file = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    file.seek(SeekFrom::End(-4)).unwrap();
    file.write_all(b"new").unwrap();
    drop(file);
    complete(&handler, "B");
    assert_eq!(
        (
            sheet.cell("C", "note").as_str(),
            sheet.cell("A", "STATUS").as_str()
        ),
        ("new", "COMPLETED")
    );
}

#[test]
fn a_writer_that_holds_the_file_open_is_waited_for_and_merged_when_it_is_done() {
    let sheet = TempSheet::new(SHEET);
    let queue = WriteQueue::new(Arc::new(sheet.open()), DEFAULT_CAPACITY);
    queue.start_writer_thread().unwrap();
    let update = |po: &str| {
        queue
            .submit_write(po, [("STATUS", "COMPLETED"), ("LAST_PROCESSED", "t")])
            .unwrap()
    };
    queue.wait(&update("A"), Until::Visible).unwrap();

    let mut file = OpenOptions::new()
        .write(true)
        .truncate(true)
        .open(sheet.path())
        .unwrap();
    let operation = update("B");
    queue.wait(&operation, Until::Durable).unwrap();
    let edited = SHEET.replace("C;PENDING;;;", "C;PENDING;;;slow");
    let (first, second) = edited.split_at(70);
    file.write_all(first.as_bytes()).unwrap();
    std::thread::sleep(Duration::from_millis(330));
    file.write_all(second.as_bytes()).unwrap();
    drop(file);

    queue.wait(&operation, Until::Visible).unwrap();
    let want = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nA;COMPLETED;t;;\nB;COMPLETED;t;;\nC;PENDING;;;slow\n";
    assert_eq!(sheet.text(), want);
}

#[test]
fn a_version_without_the_key_column_is_kept_in_a_copy_and_not_taken_over() {
    let sheet = TempSheet::new(SHEET);
    let handler = sheet.open();
    complete(&handler, "A");
    replace(&sheet, "something;else\n1;2\n");
    complete(&handler, "B");
    assert_eq!(
        (
            sheet.cell("A", "STATUS").as_str(),
            sheet.cell("B", "STATUS").as_str()
        ),
        ("COMPLETED", "COMPLETED")
    );
    let kept = sheet.backup_names();
    assert_eq!(kept.len(), 1);
    assert!(kept[0].ends_with(".outside.csv"), "{kept:?}");
    assert_eq!(
        std::fs::read_to_string(sheet.backups().join(&kept[0])).unwrap(),
        "something;else\n1;2\n"
    );
}

#[test]
fn a_row_that_vanished_with_its_result_is_kept_in_a_copy() {
    let sheet = TempSheet::new(SHEET);
    let handler = sheet.open();
    complete(&handler, "A");
    replace(&sheet, &SHEET.replace("A;PENDING;;;\n", ""));
    complete(&handler, "B");
    let want =
        "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nB;COMPLETED;t;;\nC;PENDING;;;\n";
    assert_eq!(sheet.text(), want);
    drop(handler);
    let names = sheet.backup_names();
    let kept = |label: &str| {
        let name = names
            .iter()
            .find(|name| name.ends_with(label))
            .expect(label);
        std::fs::read_to_string(sheet.backups().join(name)).unwrap()
    };
    assert_eq!(
        kept(".unplaced.csv"),
        "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nA;COMPLETED;t;\n"
    );
    assert_eq!(kept(".outside.csv"), SHEET.replace("A;PENDING;;;\n", ""));
}

#[test]
fn a_row_that_vanished_and_came_back_has_its_result() {
    let sheet = TempSheet::new(SHEET);
    let handler = sheet.open();
    complete(&handler, "A");
    replace(&sheet, &SHEET.replace("A;PENDING;;;\n", ""));
    complete(&handler, "B");
    replace(&sheet, SHEET);
    complete(&handler, "C");
    assert_eq!(sheet.cell("A", "STATUS"), "COMPLETED");
}

#[test]
fn a_deleted_sheet_is_written_anew() {
    let sheet = TempSheet::new(SHEET);
    let handler = sheet.open();
    std::fs::remove_file(sheet.path()).unwrap();
    complete(&handler, "B");
    assert_eq!(
        sheet.text(),
        SHEET.replace("B;PENDING;;;", "B;COMPLETED;t;;")
    );
}

#[test]
fn a_file_whose_mtime_was_set_back_is_still_seen_as_edited() {
    let sheet = TempSheet::new(SHEET);
    let handler = sheet.open();
    complete(&handler, "A");
    let file = std::fs::File::open(sheet.path()).unwrap();
    let modified = file.metadata().unwrap().modified().unwrap();
    let edited = sheet.text().replace("C;PENDING;;;", "C;pending;;;");
    std::fs::write(sheet.path(), edited).unwrap();
    file.set_modified(modified).unwrap();
    complete(&handler, "B");
    assert_eq!(sheet.cell("C", "STATUS"), "pending");
}

#[test]
fn a_sheet_that_was_deleted_once_and_came_back_is_waited_for_when_it_is_deleted_again() {
    let sheet = TempSheet::new(SHEET);
    let handler = sheet.open();
    let aside = sheet.folder().join("aside");
    let wait = |milliseconds| std::thread::sleep(Duration::from_millis(milliseconds));
    std::thread::scope(|scope| {
        std::fs::rename(sheet.path(), &aside).unwrap();
        let backup = scope.spawn(|| handler.create_session_backup("s").unwrap());
        wait(100);
        std::fs::rename(&aside, sheet.path()).unwrap();
        backup.join().unwrap();
        wait(2_000);
        std::fs::rename(sheet.path(), &aside).unwrap();
        let update = scope.spawn(|| complete(&handler, "A"));
        wait(500);
        assert!(
            !sheet.path().exists(),
            "another program may be about to make it again"
        );
        std::fs::rename(&aside, sheet.path()).unwrap();
        update.join().unwrap();
    });
    assert_eq!(sheet.cell("A", "STATUS"), "COMPLETED");
}

/// The sheet's inode, which changes when it is replaced.
fn inode(sheet: &TempSheet) -> u64 {
    std::os::unix::fs::MetadataExt::ino(&std::fs::metadata(sheet.path()).unwrap())
}

#[test]
fn a_sheet_that_is_empty_or_cut_off_is_left_to_its_author_for_a_while() {
    for length in [0, 70] {
        let sheet = TempSheet::new(SHEET);
        let handler = sheet.open();
        complete(&handler, "A");
        let text = sheet.text();
        let before = inode(&sheet);
        let file = OpenOptions::new().write(true).open(sheet.path()).unwrap();
        file.set_len(length).unwrap();
        drop(file);
        std::thread::scope(|scope| {
            let update = scope.spawn(|| complete(&handler, "B"));
            std::thread::sleep(Duration::from_millis(600));
            assert_eq!(
                (inode(&sheet), sheet.text().len() as u64),
                (before, length),
                "it was replaced while its author was at it"
            );
            std::fs::write(sheet.path(), &text).unwrap();
            update.join().unwrap();
        });
        assert_eq!(
            sheet.text(),
            text.replace("B;PENDING;;;", "B;COMPLETED;t;;")
        );
    }
}

#[test]
fn a_sheet_that_is_edited_in_place_rests_before_it_is_replaced() {
    let sheet = TempSheet::new(SHEET.replace("C;PENDING;;;", "C;PENDING;;;00"));
    let handler = sheet.open();
    complete(&handler, "A");
    // A busy machine may not get to look in time.
    let mut is_seen = false;
    for attempt in 10..60 {
        let before = inode(&sheet);
        let mut file = OpenOptions::new().write(true).open(sheet.path()).unwrap();
        let edited = std::time::Instant::now();
        file.seek(SeekFrom::End(-3)).unwrap();
        file.write_all(attempt.to_string().as_bytes()).unwrap();
        drop(file);
        std::thread::scope(|scope| {
            let update = scope.spawn(|| {
                handler
                    .update_record("B", [("ERROR_MESSAGE", attempt.to_string())])
                    .unwrap();
            });
            std::thread::sleep(Duration::from_millis(100));
            let after = inode(&sheet);
            if edited.elapsed() < Duration::from_millis(180) {
                assert_eq!(after, before, "it was replaced in less than 200 ms");
                is_seen = true;
            }
            update.join().unwrap();
        });
        assert_eq!(sheet.cell("C", "note"), attempt.to_string());
        if is_seen {
            break;
        }
    }
}
