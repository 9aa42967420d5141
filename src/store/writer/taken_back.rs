//! Whether a save takes back what others have saved while the session goes on.
//!
//! The author of an old save knows neither results nor other people's edits. Results are in the journal; an edit of a
//! cell to which tickoff never wrote is in no place but the version that has it, which is kept in a copy then.
//! `first` is the version from before all edits of the session, and of the interrupted one that it goes on with: what
//! `old` has otherwise is somebody's, and stands in the new save or is taken back. One's own second edit of a place is
//! taken for that as well: nothing tells the two apart, and a copy too many costs nothing.

use std::cell::LazyCell;
use std::collections::HashSet;

use crate::csv::RecordIndex;
use crate::sheet::{History, Sheet};

/// Whether `new` lacks an edit that `old` has over `first`.
pub(super) fn takes_back(first: &Sheet, old: &Sheet, new: &Sheet, history: &History) -> bool {
    columns_are_taken_back(first, old, new, history) || rows_are(first, old, new, history)
}

/// A column that was added is gone, or one that was removed is there again.
fn columns_are_taken_back(first: &Sheet, old: &Sheet, new: &Sheet, history: &History) -> bool {
    let ours = history.columns();
    let names = |sheet: &Sheet| {
        let schema = sheet.schema();
        let names = schema.columns()[..schema.header_width].to_vec();
        names
            .into_iter()
            .filter(|name| !ours.contains(name.as_str()))
    };
    let has = |sheet: &Sheet, name: &str| {
        let schema = sheet.schema();
        let place = schema.position(name);
        place.is_some_and(|place| place < schema.header_width)
    };
    names(old).any(|name| !has(first, &name) && !has(new, &name))
        || names(first).any(|name| !has(old, &name) && has(new, &name))
}

fn rows_are(first: &Sheet, old: &Sheet, new: &Sheet, history: &History) -> bool {
    let only = |sheet: &Sheet, key: &str| {
        let mut rows = sheet.rows(key);
        let row = rows.next()?;
        rows.next().is_none().then_some(row)
    };
    let has = |sheet: &Sheet, key: &str| sheet.rows(key).next().is_some();
    let schema = old.schema();
    let columns: Vec<(usize, &str, Option<usize>, Option<usize>)> = (0..schema.header_width)
        .filter(|&column| !schema.is_key(column))
        .map(|column| {
            let name = schema.columns()[column].as_str();
            let place = |sheet: &Sheet| sheet.schema().position(name);
            (column, name, place(first), place(new))
        })
        .collect();
    let without_key = LazyCell::new(|| [first, new].map(rows_without_key));
    let is_taken_back = |row: RecordIndex| {
        let key = old.key(row);
        if key.is_empty() {
            let text = text_of(old, row);
            return !without_key.iter().any(|rows| rows.contains(&text));
        }
        if [first, old, new]
            .iter()
            .any(|it| it.rows(&key).nth(1).is_some())
        {
            // Which of the rows was edited their key does not tell.
            let own = |sheet: &Sheet, row: RecordIndex| -> Vec<Vec<u8>> {
                let theirs = columns
                    .iter()
                    .filter(|it| history.cell(&key, it.1).is_none());
                let cells = theirs.map(|&(_, name, ..)| match sheet.schema().position(name) {
                    Some(column) => sheet.base_cell(row, column).into_owned(),
                    None => Vec::new(),
                });
                let behind = sheet.base_behind(row).into_iter().map(<[u8]>::to_vec);
                cells.chain(behind).collect()
            };
            let edited = own(old, row);
            let has = |sheet: &Sheet| sheet.rows(&key).any(|row| own(sheet, row) == edited);
            return !has(first) && !has(new);
        }
        let bytes = |sheet: &Sheet, row| sheet.bytes()[sheet.base_span(row)].to_vec();
        let before = only(first, &key);
        let now = only(new, &key);
        if before.is_none() && (has(first, &key) || !has(new, &key)) {
            return true;
        }
        if now.is_none() && has(new, &key) {
            return false;
        }
        if before.is_some_and(|before| bytes(first, before) == bytes(old, row)) {
            return false;
        }
        columns.iter().any(|&(column, name, was, is)| {
            let edited = old.base_cell(row, column);
            let shows = |sheet: &Sheet, row: RecordIndex, column: Option<usize>| match column {
                Some(column) => sheet.base_cell(row, column).as_ref() == edited.as_ref(),
                None => edited.is_empty(),
            };
            // Where a column is not there any more the header tells.
            is.is_some()
                && !before.is_some_and(|before| shows(first, before, was))
                && !now.is_some_and(|now| shows(new, now, is))
                && history.cell(&key, name).is_none()
        }) || {
            let behind = old.base_behind(row);
            let is = |sheet: &Sheet, row| sheet.base_behind(row) == behind;
            !before.is_some_and(|before| is(first, before)) && !now.is_some_and(|now| is(new, now))
        }
    };
    old.all_rows().any(is_taken_back)
        || first
            .all_rows()
            .map(|row| first.key(row))
            .any(|key| !key.is_empty() && !has(old, &key) && has(new, &key))
}

/// What a row without a key says: its cells, whatever the sheet's delimiter and whoever quoted them.
fn text_of(sheet: &Sheet, row: RecordIndex) -> Vec<Vec<u8>> {
    let columns = 0..sheet.schema().header_width;
    let cells = columns.map(|column| sheet.base_cell(row, column).into_owned());
    let behind = sheet.base_behind(row).into_iter().map(<[u8]>::to_vec);
    let mut text: Vec<Vec<u8>> = cells.chain(behind).collect();
    // Columns may have been added or removed behind it.
    while text.last().is_some_and(Vec::is_empty) {
        text.pop();
    }
    text
}

fn rows_without_key(sheet: &Sheet) -> HashSet<Vec<Vec<u8>>> {
    let rows = sheet.all_rows().filter(|&row| sheet.key(row).is_empty());
    rows.map(|row| text_of(sheet, row)).collect()
}
