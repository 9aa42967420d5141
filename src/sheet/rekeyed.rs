//! Rows that have another key than the one for which their result was written.
//!
//! Who corrects a key in a row that is done has a row that stays done under the new key. It is told from a row that
//! somebody added by its state: status and time of a result whose key is gone, where no result was written for its own.

use std::collections::HashMap;

use crate::domain::columns::{LAST_PROCESSED, STATUS};
use crate::domain::{ProcessingStatus, stage_prefix};
use crate::sheet::change::RowUpdate;
use crate::sheet::history::History;
use crate::sheet::table::Sheet;

/// A row that is done by the result of a key that is gone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rekeyed {
    pub(crate) key: String,
    /// The key that is gone, if the row shows all that was written for it.
    pub(crate) shows_all_of: Option<String>,
}

/// A status that was written for a key that is gone.
struct Written<'g> {
    column: usize,
    status: &'g str,
    /// Which of those that are gone.
    place: usize,
}

/// These rows, in the sheet's order.
pub(super) fn rekeyed(sheet: &Sheet, history: &History, gone: &[RowUpdate]) -> Vec<Rekeyed> {
    let schema = sheet.schema();
    let mut results: HashMap<(usize, &str), Vec<Written<'_>>> = HashMap::new();
    for (place, row) in gone.iter().enumerate() {
        let time = |stage: &str| {
            let mut cells = row.cells.iter();
            let of_stage = |name: &str| stage_prefix(name, LAST_PROCESSED) == Some(stage);
            let cell = cells.find(|cell| of_stage(&cell.column) && !cell.value.is_empty())?;
            Some((schema.position(&cell.column)?, cell.value.as_str()))
        };
        let states = row.cells.iter().filter_map(|cell| {
            let stage = stage_prefix(&cell.column, STATUS)?;
            let is_done = sheet.is_done(&ProcessingStatus::parse(&cell.value));
            let status = (schema.position(&cell.column)?, cell.value.as_str());
            Some((time(stage).filter(|_| is_done)?, status))
        });
        for (time, (column, status)) in states {
            results.entry(time).or_default().push(Written {
                column,
                status,
                place,
            });
        }
    }
    if results.is_empty() {
        return Vec::new();
    }
    let mut times: Vec<usize> = results.keys().map(|&(column, _)| column).collect();
    times.sort_unstable();
    times.dedup();
    let rekeyed = sheet.all_rows().filter_map(|row| {
        let key = sheet.key(row);
        let result = |&column: &usize| {
            let time = sheet.cell(row, column);
            let mut statuses = results.get(&(column, &*time)).into_iter().flatten();
            statuses
                .find(|written| sheet.cell(row, written.column) == written.status)
                .map(|written| written.place)
        };
        if key.is_empty() || history.has_row(&key) {
            return None;
        }
        let old = &gone[times.iter().find_map(result)?];
        let mut cells = old.cells.iter();
        let shows_all = cells.all(|cell| {
            let column = schema.position(&cell.column);
            column.is_some_and(|column| sheet.cell(row, column) == cell.value.as_str())
        });
        Some(Rekeyed {
            key: key.into_owned(),
            shows_all_of: shows_all.then(|| old.po.to_string()),
        })
    });
    rekeyed.collect()
}
