//! Rows that have another key than the one for which their result was written.
//!
//! Who corrects a key in a row that is done has a row that stays done under the new key. It is told from a row that
//! somebody added by its state: status and time of a result of another key, where no result was written for its own.
//! The other key is gone, unless keys may be repeated: then other rows may have it still.

use std::collections::{HashMap, HashSet};

use crate::domain::columns::{LAST_PROCESSED, STATUS};
use crate::domain::{ProcessingStatus, stage_prefix};
use crate::sheet::history::{History, Past};
use crate::sheet::options::Duplicates;
use crate::sheet::table::Sheet;

/// A row that is done by the result of another key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rekeyed {
    pub(crate) key: String,
    /// The other key, if it is gone and the row shows all that was written for it.
    pub(crate) shows_all_of: Option<String>,
}

/// A status that was written for another key.
struct Written<'h> {
    column: usize,
    status: &'h str,
    key: &'h str,
    row: &'h [Past],
}

/// These rows, in the sheet's order; `gone` are the keys that have no row any more.
pub(super) fn rekeyed(sheet: &Sheet, history: &History, gone: &HashSet<&str>) -> Vec<Rekeyed> {
    let schema = sheet.schema();
    let may_repeat = sheet.options().duplicates == Duplicates::All;
    let mut written: Vec<Written<'_>> = Vec::new();
    let mut results: HashMap<(usize, &str), Vec<usize>> = HashMap::new();
    let rows = history.rows();
    for (key, row) in rows.filter(|(key, _)| may_repeat || gone.contains(key.as_str())) {
        let cells = || row.iter().filter(|past| !past.is_outside);
        let time = |stage: &str| {
            let of_stage = |name: &str| stage_prefix(name, LAST_PROCESSED) == Some(stage);
            let past = cells().find(|past| of_stage(&past.column) && !past.last.is_empty())?;
            Some((schema.position(&past.column)?, past.last.as_str()))
        };
        for past in cells() {
            let Some(stage) = stage_prefix(&past.column, STATUS) else {
                continue;
            };
            let is_done = sheet.is_done(&ProcessingStatus::parse(&past.last));
            let column = schema.position(&past.column);
            if let (true, Some(time), Some(column)) = (is_done, time(stage), column) {
                let status = past.last.as_str();
                results.entry(time).or_default().push(written.len());
                written.push(Written {
                    column,
                    status,
                    key,
                    row,
                });
            }
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
        if key.is_empty() || history.has_row(&key) {
            return None;
        }
        let result = |&column: &usize| {
            let time = sheet.cell(row, column);
            let mut statuses = results.get(&(column, &*time)).into_iter().flatten();
            let is_shown =
                |&&place: &&usize| sheet.cell(row, written[place].column) == written[place].status;
            statuses.find(is_shown).copied()
        };
        let old = &written[times.iter().find_map(result)?];
        let mut cells = old.row.iter().filter(|past| !past.is_outside);
        let shows_all = gone.contains(old.key)
            && cells.all(|past| {
                let column = schema.position(&past.column);
                column.is_some_and(|column| sheet.cell(row, column) == past.last.as_str())
            });
        Some(Rekeyed {
            key: sheet.po(row),
            shows_all_of: shows_all.then(|| old.key.to_owned()),
        })
    });
    rekeyed.collect()
}
