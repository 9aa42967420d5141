//! A run over each shape that users' sheets really have changes the intended cells and nothing else
//! (S2 to S5). See `oracle.rs` for what is expected.

use crate::command_line::end;
use crate::fixture::TempSheet;
use crate::oracle::RawSheet;

/// What each job says of its PO; its values need quotes in some sheets and not in others.
const JOB: &str = r#"printf '{"STATUS":"COMPLETED","SUPPLIER":"A; b, \\"%s\\"","DOWNLOAD_FOLDER":"d/%s","LAST_PROCESSED":"2026-01-05T10:00:00Z"}' $TICKOFF_PO $TICKOFF_PO > $TICKOFF_RESULT"#;

#[track_caller]
fn check(name: &str, delimiter: char, added: &[&str]) {
    let sheet = TempSheet::sample(name);
    let before = sheet.text();
    end(&mut sheet.run("-j 4 --quiet", JOB)).with(0);
    check_became(&sheet, &before, delimiter, added);
    let backups = sheet.backup_names();
    assert_eq!(backups.len(), 1);
    assert_eq!(
        std::fs::read_to_string(sheet.backups().join(&backups[0])).unwrap(),
        before
    );
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[track_caller]
fn check_became(sheet: &TempSheet, before: &str, delimiter: char, added: &[&str]) {
    let mut want = RawSheet::parse(before, delimiter);
    let pending: Vec<String> = want
        .cells("STATUS")
        .into_iter()
        .filter(|(_, status)| !status.trim().eq_ignore_ascii_case("COMPLETED"))
        .map(|(po, _)| po)
        .collect();
    assert!(!pending.is_empty());
    for name in added {
        want.add_column(name);
    }
    for po in pending {
        want.set(&po, "STATUS", "COMPLETED");
        want.set(&po, "SUPPLIER", &format!("A; b, \"{po}\""));
        want.set(&po, "DOWNLOAD_FOLDER", &format!("d/{po}"));
        want.set(&po, "LAST_PROCESSED", "2026-01-05T10:00:00Z");
        want.set(&po, "ERROR_MESSAGE", "");
    }
    assert_eq!(sheet.text(), want.text());
}

#[test]
fn the_sheet_of_a_usual_run() {
    check("orders-446.csv", ';', &[]);
}

#[test]
fn a_sheet_that_has_only_po_numbers_and_no_final_newline() {
    let added = [
        "STATUS",
        "LAST_PROCESSED",
        "ERROR_MESSAGE",
        "SUPPLIER",
        "DOWNLOAD_FOLDER",
    ];
    check("po-number-only-no-final-newline.csv", ';', &added);
}

#[test]
fn a_sheet_whose_rows_are_shorter_than_its_header() {
    check("full-header-one-field-rows.csv", ';', &[]);
}

#[test]
fn a_sheet_with_commas() {
    check("comma-separated.csv", ',', &[]);
}

#[test]
fn a_sheet_with_lower_case_reordered_columns_and_an_unknown_status() {
    let added = ["LAST_PROCESSED", "ERROR_MESSAGE", "DOWNLOAD_FOLDER"];
    check("lower-case-reordered-header.csv", ';', &added);
}

#[test]
fn a_sheet_with_a_mark_crlf_and_every_field_quoted() {
    check("bom-all-quoted-crlf.csv", ';', &[]);
}

#[test]
fn a_sheet_with_mixed_endings_and_odd_quotes() {
    check(
        "mixed-endings-and-odd-quotes.csv",
        ';',
        &["DOWNLOAD_FOLDER"],
    );
}
