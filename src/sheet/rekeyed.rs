//! Rows that have another key than the one for which their result was written.
//!
//! Who corrects a key in a row that is done has a row that stays done under the new key. It is told from a row that
//! somebody added by its state: status and time of a result of another key, where no result was written for its own.
//! The other key is gone, or its row has not that time, unless keys may be repeated: then other rows may have it still.
//! A row that was copied, and got a key of its own, is done by a result whose row has it still: it shows all of it.

use std::collections::{HashMap, HashSet};

use crate::domain::columns::{LAST_PROCESSED, STATUS};
use crate::domain::{ProcessingStatus, stage_prefix};
use crate::sheet::history::{History, Past};
use crate::sheet::options::Duplicates;
use crate::sheet::table::Sheet;

/// How many results of one time are looked at for the one that a row shows all of.
const MAX_TRIED: usize = 100;
/// The same for the one of which a row is a copy.
const MAX_COPIED: usize = 1_000;

/// A row that is done by the result of another key.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Rekeyed {
    pub(crate) key: String,
    /// The other key, if it is gone and the row shows all that was written for it.
    pub(crate) shows_all_of: Option<String>,
    /// Whether the row of the other key has that result still.
    pub(crate) is_copy: bool,
}

/// A status that was written for another key.
struct Written<'h> {
    column: usize,
    status: &'h str,
    key: &'h str,
    row: &'h [Past],
    /// Whether the row of that key shows it still.
    stays: bool,
}

/// The places of what was written with one time. A result stays for one row; those that have none yet come first.
#[derive(Default)]
struct OfTime {
    places: Vec<usize>,
    without_row: usize,
}

/// These rows, in the sheet's order; `gone` are the keys that have no row any more.
pub(super) fn rekeyed(sheet: &Sheet, history: &History, gone: &HashSet<&str>) -> Vec<Rekeyed> {
    let schema = sheet.schema();
    let may_repeat = sheet.options().duplicates == Duplicates::All;
    let mut written: Vec<Written<'_>> = Vec::new();
    let mut results: HashMap<(usize, &str), usize> = HashMap::new();
    let mut of_times: Vec<OfTime> = Vec::new();
    let rows = history.rows();
    for (key, row) in rows {
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
            let time = time(stage);
            if let (true, Some(time), Some(column)) = (is_done, time, column) {
                let status = past.last.as_str();
                let mut rows = sheet.rows(key);
                let stays = !may_repeat && rows.any(|row| sheet.cell(row, time.0) == time.1);
                let at = *results.entry(time).or_insert(of_times.len());
                if at == of_times.len() {
                    of_times.push(OfTime::default());
                }
                let of_time = &mut of_times[at];
                of_time.places.push(written.len());
                if !stays {
                    let last = of_time.places.len() - 1;
                    of_time.places.swap(of_time.without_row, last);
                    of_time.without_row += 1;
                }
                written.push(Written {
                    column,
                    status,
                    key,
                    row,
                    stays,
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
        let shows = |cells: &[Past]| {
            let mut results = cells.iter().filter(|past| !past.is_outside);
            results.all(|past| {
                let column = schema.position(&past.column);
                column.is_some_and(|column| sheet.cell(row, column) == past.last.as_str())
            })
        };
        let shows_all = |old: &Written<'_>| shows(old.row);
        // The rows of a key with a result have that, unless one of several got the key since.
        let own = history.row(&key);
        let is_own = |own: &[Past]| !may_repeat || shows(own);
        if key.is_empty() || own.is_some_and(is_own) {
            return None;
        }
        let is_shown = |old: &Written<'_>| {
            let has_all = old.stays || own.is_some();
            sheet.cell(row, old.column) == old.status && (!has_all || shows_all(old))
        };
        let (of_time, is_copy) = times.iter().find_map(|&column| {
            let at = *results.get(&(column, &*sheet.cell(row, column)))?;
            let (moved, stay) = of_times[at].places.split_at(of_times[at].without_row);
            let is_shown = |place: &&usize| is_shown(&written[**place]);
            let moved = moved.iter().find(is_shown);
            let shown = moved.or_else(|| stay.iter().take(MAX_COPIED).find(is_shown))?;
            Some((at, written[*shown].stays))
        })?;
        let OfTime {
            places,
            without_row,
        } = &mut of_times[of_time];
        let mut tried = places[..*without_row].iter().take(MAX_TRIED);
        let found = tried.position(|&place| {
            let old = &written[place];
            gone.contains(old.key) && is_shown(old) && shows_all(old)
        });
        let shows_all_of = found.map(|found| {
            *without_row -= 1;
            places.swap(found, *without_row);
            written[places[*without_row]].key.to_owned()
        });
        Some(Rekeyed {
            key: sheet.po(row),
            shows_all_of,
            is_copy,
        })
    });
    rekeyed.collect()
}
