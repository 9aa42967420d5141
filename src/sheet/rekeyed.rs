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

/// The keys of the rows that are done by the results of keys that are gone, in the sheet's order.
pub(super) fn rekeyed(sheet: &Sheet, history: &History, gone: &[RowUpdate]) -> Vec<String> {
    let schema = sheet.schema();
    let mut results: HashMap<(usize, &str), Vec<(usize, &str)>> = HashMap::new();
    for row in gone {
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
        for (time, status) in states {
            results.entry(time).or_default().push(status);
        }
    }
    if results.is_empty() {
        return Vec::new();
    }
    let mut times: Vec<usize> = results.keys().map(|&(column, _)| column).collect();
    times.sort_unstable();
    times.dedup();
    let rows = sheet.all_rows().filter(|&row| {
        let key = sheet.key(row);
        let has_result = |&column: &usize| {
            let time = sheet.cell(row, column);
            let mut statuses = results.get(&(column, &*time)).into_iter().flatten();
            statuses.any(|&(column, status)| sheet.cell(row, column) == status)
        };
        !key.is_empty() && !history.has_row(&key) && times.iter().any(has_result)
    });
    rows.map(|row| sheet.po(row)).collect()
}
