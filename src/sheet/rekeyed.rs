//! Rows that have another key than the one for which their result was written.
//!
//! Who corrects a key in a row that is done has a row that stays done under the new key. It is told from a row that
//! somebody added by its state: status and time of a result whose key is gone, where no result was written for its own.
//! Where keys may repeat, the other rows of the old key may still be there: the state of any result tells it then.

use std::collections::{HashMap, HashSet};

use crate::domain::columns::{LAST_PROCESSED, STATUS};
use crate::domain::{ProcessingStatus, stage_prefix};
use crate::sheet::history::History;
use crate::sheet::options::Duplicates;
use crate::sheet::table::Sheet;

/// The keys of the rows that are done by the results of other keys, in the sheet's order; `gone` are the keys that
/// have no row any more.
pub(super) fn rekeyed(sheet: &Sheet, history: &History, gone: &HashSet<&str>) -> Vec<String> {
    let schema = sheet.schema();
    let may_repeat = sheet.options().duplicates == Duplicates::All;
    let mut results: HashMap<(usize, &str), HashSet<(usize, &str)>> = HashMap::new();
    let rows = history.rows();
    for (_, row) in rows.filter(|(po, _)| may_repeat || gone.contains(po.as_str())) {
        let row = || row.iter().filter(|past| !past.is_outside);
        let time = |stage: &str| {
            let of_stage = |name: &str| stage_prefix(name, LAST_PROCESSED) == Some(stage);
            let past = row().find(|past| of_stage(&past.column) && !past.last.is_empty())?;
            Some((schema.position(&past.column)?, past.last.as_str()))
        };
        let states = row().filter_map(|past| {
            let stage = stage_prefix(&past.column, STATUS)?;
            let is_done = sheet.is_done(&ProcessingStatus::parse(&past.last));
            let status = (schema.position(&past.column)?, past.last.as_str());
            Some((time(stage).filter(|_| is_done)?, status))
        });
        for (time, status) in states {
            results.entry(time).or_default().insert(status);
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
