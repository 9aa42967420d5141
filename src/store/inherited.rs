//! How a log begins whose sheet shows results of an earlier one.
//!
//! It was copied, an old version took its place, or the rest was given up. What the sheet shows is known
//! from then on as if this log had written it: a save from before it takes nothing away, and a row that is removed leaves
//! its result in a copy. What the sheet does not show never was.

use std::borrow::Cow;

use compact_str::CompactString;

use crate::disk::ContentHash;
use crate::journal::{Frame, Public, in_frames};
use crate::sheet::{CellUpdate, History, Past, RowOf, RowUpdate, Sample, Sheet, edits, is_same};
use crate::store::standing::{cell, has_column, shown_in};

/// The frames with which such a log begins, for the version that is public; none if the sheet shows nothing of what is
/// known.
pub(crate) fn inherited(
    history: &History,
    sheet: &Sheet,
    public: ContentHash,
    added: impl Iterator<Item = CompactString>,
) -> Vec<Frame> {
    let rows = rows_shown(history, sheet);
    if rows.is_empty() {
        return Vec::new();
    }
    let telling = |hash, upto, sample| {
        let next = Public::next(hash, upto, None, sample);
        Frame::telling(vec![next, Public::confirmed(None)])
    };
    let added: Vec<CompactString> = added.filter(|name| has_column(sheet, name)).collect();
    let judged = history.judged_saves().map(Public::judged);
    let mut frames = vec![Frame {
        public_columns: added.clone(),
        columns: added,
        ..Frame::telling(judged.collect())
    }];
    // Who has one of these does not know what came since, as far as it shows something else.
    let old = history
        .versions()
        .iter()
        .filter(|it| !it.has_failed && it.hash != public);
    frames.extend(old.map(|it| telling(it.hash, 0, None)));
    frames.extend(in_frames(rows));
    let upto = frames.len() as u64;
    frames.push(telling(public, upto, Some(Sample::of(sheet))));
    frames
}

/// What a sheet shows of what was written, as updates of its rows.
fn rows_shown(history: &History, sheet: &Sheet) -> Vec<RowUpdate> {
    let mut rows: Vec<RowUpdate> = Vec::new();
    for (po, row) in history.rows() {
        let shows = |past: &Past| cell(sheet, history, po, &past.column);
        rows.extend(shown(po, None, row, shows));
        for (single, row) in history.single_rows(po) {
            let record = single.find(sheet, po, edits(row));
            let shows = |past: &Past| Some(shown_in(sheet, record?, &past.column));
            rows.extend(shown(po, Some(single), row, shows));
        }
    }
    // What is of a single row comes behind what is of all rows of its key.
    rows.sort_by(|one, other| (&one.po, one.row.is_some()).cmp(&(&other.po, other.row.is_some())));
    rows
}

/// What the rows of a key, or a single one, show of what was written there.
fn shown<'s>(
    po: &str,
    single: Option<&RowOf>,
    row: &[Past],
    shows: impl Fn(&Past) -> Option<Cow<'s, str>>,
) -> Option<RowUpdate> {
    let cells = row.iter().filter_map(|past| {
        let shown = shows(past)?;
        let is_shown = |value: &&CompactString| is_same(&past.column, value, &shown);
        past.written().find(is_shown)?;
        let before = past.before.iter().chain(past.written());
        let mut before: Vec<&CompactString> = before.filter(|it| !is_shown(it)).collect();
        before.dedup();
        Some(CellUpdate {
            // As it stands there: a spreadsheet may have written it in its own way.
            value: (&*shown).into(),
            before: before.into_iter().cloned().collect(),
            ..past.update()
        })
    });
    let cells: Vec<CellUpdate> = cells.collect();
    cells
        .iter()
        .any(|cell| !cell.value.is_empty())
        .then(|| RowUpdate {
            po: po.into(),
            cells,
            aside: false,
            row: single.cloned(),
        })
}
