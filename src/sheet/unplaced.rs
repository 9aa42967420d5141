//! Results that have no place in the sheet, as a table for a person who wants to put them back.
//!
//! Their row or column is gone, or they are not to be written: a value that would run as a formula, the
//! status of a row that somebody completed meanwhile, an answer that could not be read. They are in the
//! journal like all results, and go to `….unplaced.csv` beside the backups before it is emptied.

use std::collections::HashMap;

use crate::domain::Encoding;
use crate::domain::KeyColumns;
use crate::domain::columns::folded;
use crate::sheet::change::RowUpdate;

/// A line for each result that has cells without a place, in the order in which they came, under the key
/// columns and every column that any of them names. A NUL byte, which no sheet holds, is U+FFFD.
pub(crate) fn as_table(key: &KeyColumns, updates: &[RowUpdate]) -> Vec<u8> {
    let mut columns: Vec<&str> = Vec::new();
    let mut places: HashMap<String, usize> = HashMap::new();
    let mut rows: Vec<(&str, Vec<(usize, &str)>)> = Vec::with_capacity(updates.len());
    for update in updates {
        let mut cells = Vec::with_capacity(update.cells.len());
        for cell in &update.cells {
            let place = *places.entry(folded(&cell.column)).or_insert_with(|| {
                columns.push(&cell.column);
                columns.len() - 1
            });
            cells.push((place, cell.value.as_str()));
        }
        // Stable: of two values of one column the later comes last.
        cells.sort_by_key(|(place, _)| *place);
        rows.push((&update.po, cells));
    }
    let mut table = Vec::new();
    line(&key.title(), columns.iter().copied(), &mut table);
    for (po, cells) in rows {
        let mut cells = cells.into_iter().peekable();
        let values = (0..columns.len()).map(|column| {
            let mut value = "";
            while let Some((_, later)) = cells.next_if(|(place, _)| *place == column) {
                value = later;
            }
            value
        });
        line(po, values, &mut table);
    }
    table
}

fn line<'v>(first: &str, rest: impl Iterator<Item = &'v str>, table: &mut Vec<u8>) {
    add(first, table);
    for value in rest {
        table.push(b';');
        add(value, table);
    }
    table.push(b'\n');
}

fn add(value: &str, table: &mut Vec<u8>) {
    match value.contains('\0') {
        true => Encoding::UTF_8.write(&value.replace('\0', "\u{fffd}"), b';', false, table),
        false => Encoding::UTF_8.write(value, b';', false, table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::change::CellUpdate;

    fn result(po: &str, cells: &[(&str, &str)]) -> RowUpdate {
        let cells = cells.iter().map(|(column, value)| CellUpdate {
            column: (*column).into(),
            value: (*value).into(),
            before: Default::default(),
            outside: false,
        });
        RowUpdate {
            po: po.into(),
            cells: cells.collect(),
            aside: false,
            row: None,
        }
    }

    #[track_caller]
    fn check(lost: &[RowUpdate], want: &str) {
        let table = String::from_utf8(as_table(&KeyColumns::default(), lost)).unwrap();
        assert_eq!(table, want);
    }

    #[test]
    fn results_without_a_place_are_a_table_that_can_be_read() {
        check(
            &[
                result("A;1", &[("STATUS", "ERROR")]),
                result(
                    "B",
                    &[("note", "say \"hi\""), (" Status", "x\0"), ("STATUS", "y")],
                ),
            ],
            "PO_NUMBER;STATUS;note\n\"A;1\";ERROR;\nB;y;\"say \"\"hi\"\"\"\n",
        );
        check(&[result("A", &[("n", "\0")])], "PO_NUMBER;n\nA;\u{fffd}\n");
    }

    #[test]
    fn very_many_columns_are_written_in_a_moment() {
        let names: Vec<String> = (0..30_000).map(|n| format!("field_{n}")).collect();
        let cells: Vec<(&str, &str)> = names.iter().map(|name| (name.as_str(), "x")).collect();
        let began = std::time::Instant::now();
        let table = as_table(
            &KeyColumns::default(),
            &[result("P1", &cells), result("P2", &cells)],
        );
        assert!(began.elapsed().as_secs() < 3);
        assert_eq!(table.iter().filter(|byte| **byte == b';').count(), 90_000);
    }
}
