//! Sheets and journals made to eat memory or time. The limits are stated in `grammar.rs` and
//! `journal.rs`: 16,384 fields and 16 MiB a row; what is beyond them is refused where it begins. A
//! sheet that does not fit into memory is an error like any other.
//!
//! `TICKOFF_HOSTILE_MB=300` makes the longest lines that long; without it they are little longer than
//! the limit.

use std::fs::File;
use std::io::Write;

use crate::campaign::tries;
use crate::command_line::end;
use crate::fixture::TempSheet;
use crate::hostile::{after, survive};

/// A gigabyte of memory and 20 s of the processor, however busy the machine is.
const LIMITS: &str = "ulimit -v 1000000; ulimit -t 20";

/// Refused by every command in these words, within the limits; the sheet is as it was.
#[track_caller]
fn check_refused(sheet: &TempSheet, place: &str, message: &str) {
    let before = std::fs::metadata(sheet.path()).unwrap();
    for (command, arguments) in [
        ("status", &[][..]),
        ("run", &["--", "true"]),
        ("set", &["P1", "STATUS=ERROR"]),
        ("get", &["P1"]),
        ("check", &[]),
    ] {
        let program = after(LIMITS, sheet.tickoff(command).args(arguments));
        let ended = survive(&mut { program }).with(3);
        let said = sheet.without_folder(&(ended.stderr + &ended.stdout));
        assert!(said.contains(message), "{command}: {said}");
        assert!(said.contains(place), "{command}: {said}");
        assert!(said.len() < 4096, "{command} said {} bytes", said.len());
    }
    let after = std::fs::metadata(sheet.path()).unwrap();
    assert_eq!(
        (before.len(), before.modified().unwrap()),
        (after.len(), after.modified().unwrap())
    );
    assert_eq!(sheet.leftovers(), [""; 0]);
    assert!(!sheet.backups().exists());
}

/// A sheet with so many megabytes of one byte in its only row.
fn filled(start: &str, byte: u8, megabytes: usize, end: &str) -> TempSheet {
    let sheet = TempSheet::new(start);
    let mut file = File::options().append(true).open(sheet.path()).unwrap();
    let filling = vec![byte; 1 << 20];
    for _ in 0..megabytes {
        file.write_all(&filling).unwrap();
    }
    file.write_all(end.as_bytes()).unwrap();
    sheet
}

/// How long the longest lines are.
fn megabytes() -> usize {
    tries("TICKOFF_HOSTILE_MB", 17) as usize
}

#[test]
fn a_line_of_nothing_but_delimiters() {
    let sheet = filled("PO_NUMBER;STATUS\nP1", b';', megabytes(), "\n");
    check_refused(
        &sheet,
        "input.csv:2:16387: ",
        "more than 16384 fields in a row",
    );
    let sheet = filled("PO_NUMBER;STATUS", b';', megabytes(), "\n");
    check_refused(&sheet, "input.csv:1:", "");
}

#[test]
fn a_field_beyond_the_limit() {
    let sheet = filled("PO_NUMBER;STATUS\nP1;\"", b'x', megabytes(), "\"\n");
    check_refused(
        &sheet,
        "input.csv:2:1: ",
        "more than 16777216 bytes in a row",
    );
    let sheet = filled("PO_NUMBER;STATUS\nP1;\"", b'x', megabytes(), "");
    check_refused(
        &sheet,
        "input.csv:2:4: ",
        "a quote opens here and is never closed",
    );
    let sheet = filled("PO_NUMBER;STATUS\nP1;\"", b'"', 1 + megabytes() / 16, "");
    check_refused(&sheet, "input.csv:2:", "");
}

#[test]
fn a_million_columns() {
    let columns: String = (0..1_000_000).map(|i| format!(";c{i}")).collect();
    let sheet = TempSheet::new(format!("PO_NUMBER;STATUS{columns}\nP1\n"));
    check_refused(&sheet, "input.csv:1:", "more than 16384 fields in a row");
}

#[test]
fn as_many_columns_as_are_allowed_are_no_burden() {
    let columns: String = (0..16_379).map(|i| format!(";c{i}")).collect();
    let rows: String = (0..50).map(|i| format!("P{i};\n")).collect();
    let sheet = TempSheet::new(format!(
        "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE{columns}\n{rows}"
    ));
    let mut run = sheet.tickoff("run");
    run.args(["-j4", "--quiet", "--", "true"]);
    end(&mut after(LIMITS, &run)).with(0);
    assert_eq!(sheet.status()["completed"], 50);
}

/// Keys that differ only in what a weak hash would not see, in one bit each, or in their order.
#[test]
fn keys_that_look_alike_to_a_weak_hash_are_no_burden() {
    let mut text = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\n".to_owned();
    // Pairs with equal sums, polynomial hashes of base 31 ("Aa", "BB") and equal XORs.
    for number in 0..1_u32 << 17 {
        for bit in 0..17 {
            text += if number >> bit & 1 == 0 { "Aa" } else { "BB" };
        }
        text += ";;;\n";
    }
    let sheet = TempSheet::new(text);
    end(&mut after(LIMITS, &sheet.tickoff("status"))).with(0);
}

#[test]
fn a_sheet_that_does_not_fit_into_memory_is_an_error_and_not_a_death() {
    let sheet = filled("PO_NUMBER;STATUS\nP1;", b'\n', 200, "");
    for (command, arguments) in [
        ("status", &[][..]),
        ("run", &["--", "true"]),
        ("set", &["P1", "STATUS=ERROR"]),
        ("check", &[]),
    ] {
        let program = after("ulimit -v 150000", sheet.tickoff(command).args(arguments));
        let ended = survive(&mut { program }).with(3);
        assert!(
            ended.stderr.contains("emory"),
            "{command}: {}",
            ended.stderr
        );
    }
    assert_eq!(sheet.leftovers(), [""; 0]);
}

/// A journal of a terabyte of which nearly nothing is on disk.
#[test]
fn a_journal_of_a_terabyte_of_nothing_is_no_burden() {
    let text = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;\n";
    let sheet = TempSheet::new(text);
    let journal = sheet.folder().join(".input.csv.journal");
    for (command, arguments) in [("status", &[][..]), ("set", &["P1", "STATUS=ERROR"])] {
        File::create(&journal).unwrap().set_len(1 << 40).unwrap();
        let program = after(LIMITS, sheet.tickoff(command).args(arguments));
        survive(&mut { program }).with(0);
    }
    assert_eq!(sheet.cell("P1", "STATUS"), "ERROR");
}
