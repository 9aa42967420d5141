//! `recover`: the number of rows that are asked about is the number that is answered.

use crate::command_line::end;
use crate::fixture::TempSheet;

const HEADER: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\n";
const ROWS: usize = 12;

fn text(keys: impl IntoIterator<Item = usize>) -> String {
    let rows = keys.into_iter().map(|key| format!("P{key};;;;\n"));
    HEADER.to_owned() + &rows.collect::<String>()
}

fn save(sheet: &TempSheet, text: &str) {
    let new = sheet.folder().join("saved.csv");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, sheet.path()).unwrap();
}

fn number(text: &str, before: &str) -> usize {
    let (_, rest) = text
        .split_once(before)
        .unwrap_or_else(|| panic!("{before:?} is not in {text}"));
    rest.split(' ').next().unwrap().parse().unwrap()
}

/// A sheet with all results; then `save` puts something in its place. Of as many keys as are asked about, results
/// are written, kept or given up.
#[track_caller]
fn check(options: &str, keys: &[usize], save: impl Fn(&TempSheet), want: (usize, usize)) {
    for decision in ["--apply", "--discard"] {
        let sheet = TempSheet::new(text(keys.iter().copied()));
        let job = "echo note=x > $TICKOFF_RESULT";
        end(&mut sheet.run(&format!("-q {options}"), job)).with(0);
        save(&sheet);
        let before = sheet.text();
        let asked = end(&mut sheet.run(&format!("-q {options}"), job)).with(3);
        let asked = number(&asked.stderr, "its journal has results for ");
        let mut recover = sheet.tickoff("recover");
        recover.arg(decision).args(options.split_whitespace());
        let (rows, without_row) = want;
        let is_kept = decision == "--apply" && without_row > 0;
        let ended = end(&mut recover).with(i32::from(is_kept));
        assert_eq!((asked, number(&ended.stdout, "results of ")), (rows, rows));
        if decision == "--discard" {
            assert_eq!(sheet.text(), before);
            continue;
        }
        let written = match without_row {
            0 => rows,
            _ => {
                assert_eq!(
                    number(&ended.stdout, "written, "),
                    without_row,
                    "{}",
                    ended.stdout
                );
                let copy = sheet.unplaced();
                assert_eq!(copy.lines().count(), 1 + without_row, "{copy}");
                number(&ended.stdout, "rows: ")
            }
        };
        assert_eq!(written + without_row, rows);
        let after = sheet.table();
        let completed = after.values().filter(|row| row["STATUS"] == "COMPLETED");
        let before = before.matches(";COMPLETED;").count();
        assert_eq!(completed.count(), before + written);
    }
}

#[test]
fn as_many_rows_are_answered_as_were_asked_about() {
    let keys: Vec<usize> = (0..ROWS).collect();
    let original = text(0..ROWS);
    check("", &keys, |sheet| save(sheet, &original), (ROWS, 0));
}

#[test]
fn rows_that_are_gone_are_counted_and_their_results_kept() {
    let keys: Vec<usize> = (0..ROWS).collect();
    let shorter = text(0..ROWS - 1);
    check("", &keys, |sheet| save(sheet, &shorter), (ROWS, 1));
}

#[test]
fn a_key_in_several_rows_counts_once() {
    let keys: Vec<usize> = (0..ROWS).chain([0, 1, 2]).collect();
    let original = text(keys.iter().copied());
    let options = "--duplicates all";
    check(options, &keys, |sheet| save(sheet, &original), (ROWS, 0));
}

/// Their author had the sheet when it showed these.
#[test]
fn rows_whose_results_the_sheet_shows_are_not_counted() {
    let keys: Vec<usize> = (0..ROWS).collect();
    let put_back = |sheet: &TempSheet| {
        let earlier = sheet.text();
        let again = "echo note=again > $TICKOFF_RESULT";
        end(&mut sheet.run("-q --force --only P3", again)).with(0);
        end(sheet.tickoff("set").args(["P4", "note=mine"])).with(0);
        save(sheet, &earlier);
    };
    // Both rows are done in either version.
    for decision in ["--apply", "--discard"] {
        let sheet = TempSheet::new(text(keys.iter().copied()));
        end(&mut sheet.run("-q", "true")).with(0);
        put_back(&sheet);
        let asked = end(&mut sheet.run("-q", "true")).with(3);
        let asked = number(&asked.stderr, "its journal has results for ");
        let ended = end(sheet.tickoff("recover").arg(decision)).with(0);
        assert_eq!((asked, number(&ended.stdout, "results of ")), (2, 2));
        let notes = ["P3", "P4"].map(|key| sheet.cell(key, "note"));
        let want = match decision {
            "--apply" => ["again", "mine"],
            _ => ["", ""],
        };
        assert_eq!(notes, want);
    }
}

/// A sheet that is read as the command line says is not read otherwise by the command that is advised.
#[test]
fn what_was_typed_is_said_to_belong_to_the_advice_as_well() {
    let sheet = TempSheet::new(
        text(0..ROWS)
            .replace("PO_NUMBER", "the key")
            .replace(';', "|"),
    );
    let options = ["--key", "the key", "--delimiter", "|"];
    let run = |arguments: &[&str]| {
        let mut run = sheet.tickoff("run");
        end(run.args(options).args(arguments))
    };
    let older = sheet.text();
    run(&["-q", "--", "true"]).with(0);
    save(&sheet, &older);
    let asked = run(&["-q", "--", "true"]).with(3).stderr;
    let typed = "; type --key 'the key' --delimiter '|' there as well\n";
    assert!(asked.ends_with(typed), "{asked}");
    end(sheet.tickoff("recover").arg("--apply").args(options)).with(0);
}
