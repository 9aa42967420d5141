//! Journals that earlier versions of tickoff left, read by this one.
//!
//! `tests/data/journal-format-N` has a sheet, and the journal of a session that was killed: PO0001 was visible, PO0002
//! to PO0004 were acknowledged. A format is added when it changes, and none is ever taken away.

use crate::command_line::end;
use crate::fixture::{TempSheet, sample};

fn left_by_format(number: u32) -> TempSheet {
    let file = |name: &str| sample(&format!("journal-format-{number}/{name}"));
    let sheet = TempSheet::new(file("in.csv"));
    let journal = sheet.folder().join(".input.csv.journal");
    std::fs::write(journal, file("in.csv.journal")).unwrap();
    sheet
}

#[test]
fn what_a_session_of_an_earlier_version_acknowledged_is_shown_and_not_repeated() {
    for number in 1..=2 {
        let sheet = left_by_format(number);
        assert_eq!(sheet.get("PO0003")["status"], "COMPLETED", "{number}");
        end(&mut sheet.run("-q -j1", "echo $TICKOFF_PO >> ran")).with(0);
        assert_eq!(sheet.lines("ran"), ["PO0005", "PO0006"], "format {number}");
        let notes = (1..=6).map(|row| sheet.cell(&format!("PO000{row}"), "note"));
        let notes: Vec<String> = notes.collect();
        let want = ["done 1", "done 2", "done 3", "done 4", "n5", "n6"];
        assert_eq!(notes, want, "format {number}");
    }
}

#[test]
fn an_edit_after_the_crash_of_an_earlier_version_stands() {
    for number in 1..=2 {
        let sheet = left_by_format(number);
        std::fs::write(sheet.path(), sheet.text().replace(";n6;", ";mine;")).unwrap();
        end(&mut sheet.run("-q", "true")).with(0);
        assert_eq!(sheet.cell("PO0006", "note"), "mine", "format {number}");
        assert_eq!(sheet.cell("PO0004", "note"), "done 4", "format {number}");
    }
}
