//! What tickoff wrote is brought to a version of the sheet that another program saved.
//!
//! Each cell is judged by what the save's author can have seen (`judge.rs`). What is ours goes into the
//! overlay; what the author changed on purpose stays as it is, and is returned, so that the journal learns of
//! it; results that find no place are returned, too. Nothing here changes a file.

use std::cell::LazyCell;

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::csv::RecordIndex;
use crate::domain::columns::{STATUS, same_column};
use crate::domain::stage_prefix;
use crate::sheet::change::{CellUpdate, RowUpdate};
use crate::sheet::history::{History, Past, edits};
use crate::sheet::judge::{Reading, Verdict, is_same};
use crate::sheet::merge::{self, Conflict, Held, Merged};
use crate::sheet::overlay::OverlayRow;
use crate::sheet::rekeyed::{Rekeyed, rekeyed};
use crate::sheet::room::Room;
use crate::sheet::row_of::RowOf;
use crate::sheet::shown::{is_illegible, text};
use crate::sheet::table::Sheet;

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    pub(crate) merged: Merged,
    /// Cells that the author of the save changed on purpose; beside them, to be kept aside, results whose column
    /// the author removed.
    pub(crate) taken: Vec<RowUpdate>,
    /// Keys of rows whose results are written again, because the save was made without them.
    pub(crate) again: Vec<String>,
    /// The status columns of the stages that these are of.
    pub(crate) again_in: Vec<String>,
    /// Keys of rows in which another program's earlier edits are written again, because the save was made without them.
    pub(crate) edited_again: Vec<String>,
    /// Keys of rows of which the traces tell different things; their results stay.
    pub(crate) unclear: Vec<String>,
    /// Keys of which what another program wrote in a single row is in none of the save's rows, and is kept.
    pub(crate) lost: Vec<String>,
    /// Keys of rows in which the author of the save wrote bytes that are no letters over results; they stay as
    /// they are.
    pub(crate) illegible: Vec<String>,
    /// Keys of rows in which another program's bytes that are no letters are missing, and cannot be written again.
    pub(crate) illegible_lost: Vec<String>,
    /// Rows that are done by the result of another key: somebody typed the new one.
    pub(crate) rekeyed: Vec<Rekeyed>,
    /// Columns that the author of the save removed, having seen results in them.
    pub(crate) removed: Vec<String>,
}

impl Brought {
    /// Whether all of the save was taken over.
    pub(crate) fn is_taken_over(&self) -> bool {
        self.merged.conflicts.is_empty() && self.unclear.is_empty()
    }

    /// Leaves out what seems to have been done in the row of a key, in which the version may have been cut
    /// off.
    pub(crate) fn leave_out(&mut self, po: &str) {
        self.merged.leave_out(po);
        self.taken.retain(|row| row.po != po);
    }
}

/// Brings everything that a journal tells of to a sheet of which nothing has been written yet.
///
/// Another program's edit that is held gives way to what is written over it. An edit in a displaced file may be
/// the older of two: `held_then` are the edits that were held when it lost its name, and those that came to be
/// held since stay.
pub(crate) fn bring(
    history: &History,
    reading: Reading,
    sheet: &Sheet,
    held_then: Option<&Held>,
) -> Brought {
    let mut brought = Brought::default();
    let mut gone: Vec<RowUpdate> = Vec::new();
    let ours = LazyCell::new(|| history.columns());
    for (po, row) in history.rows() {
        let rows: SmallVec<[RecordIndex; 1]> = sheet.rows(po).collect();
        let singles = Singles::of(history, sheet, po);
        let row = singles.with_their_columns(row);
        let results = row.iter().filter(|past| !past.is_outside);
        if rows.is_empty() {
            let cells: Vec<CellUpdate> = results.map(|past| past.update()).collect();
            if !cells.is_empty() {
                gone.push(RowUpdate {
                    po: po.clone(),
                    cells,
                    aside: false,
                    row: None,
                });
            }
            continue;
        }
        let Places {
            places,
            homeless,
            removed,
        } = places(sheet, history, reading, &row);
        if !homeless.is_empty() {
            brought.merged.unplaced.push(RowUpdate {
                po: po.clone(),
                cells: homeless,
                aside: false,
                row: None,
            });
        }
        if !removed.is_empty() {
            for CellUpdate { column, .. } in &removed {
                if !brought.removed.iter().any(|known| known == column) {
                    brought.removed.push(column.to_string());
                }
            }
            brought.taken.extend(emptied(po, removed));
        }
        let lost = singles.lost(sheet, &rows, reading);
        if !lost.is_empty() {
            brought.lost.push(po.to_string());
            brought.taken.push(RowUpdate {
                po: po.clone(),
                cells: lost,
                aside: true,
                row: None,
            });
        }
        let (mut is_again, mut is_edited_again) = (false, false);
        let (mut is_unclear, mut is_behind) = (false, false);
        let (mut is_illegible_there, mut is_illegible_lost) = (false, false);
        for &record in &rows {
            let mut overlay = OverlayRow::default();
            let bytes = places.iter().map(|(_, past)| past.last.len()).sum();
            let mut room = Room::of(sheet, record, &overlay, bytes);
            let mut too_long: Vec<CellUpdate> = Vec::new();
            let mut taken: Vec<CellUpdate> = Vec::new();
            for &(column, past) in &places {
                let Some(past) = singles.past(record, past) else {
                    continue;
                };
                let raw = sheet.base_cell(record, column);
                let is_text = sheet.encoding().is_text(&raw);
                let theirs = text(raw);
                let verdict = match reading.verdict(past, &theirs) {
                    Verdict::Conflict if past.is_outside => {
                        let held = || (po.clone(), past.column.clone(), past.last.clone());
                        match held_then.is_none_or(|then| then.contains(&held())) {
                            true => Verdict::Theirs,
                            false => Verdict::Ours,
                        }
                    }
                    verdict => verdict,
                };
                match verdict {
                    Verdict::Same => continue,
                    Verdict::Ours | Verdict::Conflict | Verdict::Unclear
                        if past.is_outside && is_illegible(&past.last) =>
                    {
                        is_illegible_lost = true;
                        continue;
                    }
                    Verdict::Theirs => {
                        is_illegible_there |= !is_text;
                        taken.push(CellUpdate {
                            column: past.column.clone(),
                            value: (&*theirs).into(),
                            before: smallvec::smallvec![past.last.clone()],
                            outside: true,
                        });
                        continue;
                    }
                    Verdict::Ours => {
                        let is_lost = past.public_since().is_some();
                        is_again |= is_lost && !past.is_outside;
                        let is_status = stage_prefix(&past.column, STATUS).is_some();
                        let column = past.column.as_str();
                        if is_lost
                            && !past.is_outside
                            && is_status
                            && !brought.again_in.iter().any(|known| known == column)
                        {
                            brought.again_in.push(column.to_owned());
                        }
                        is_edited_again |= is_lost && past.is_outside;
                    }
                    Verdict::Unclear => is_unclear = true,
                    Verdict::Conflict => brought.merged.conflicts.push(Conflict {
                        po: po.to_string(),
                        column: past.column.to_string(),
                        ours: past.last.to_string(),
                        theirs: theirs.into_owned(),
                    }),
                }
                let is_state = sheet.schema().is_state(&past.column);
                if !Room::take_in(&mut room, column, &past.last, is_state) {
                    too_long.push(past.update());
                    continue;
                }
                is_behind = true;
                overlay.write(column, &past.last, past.is_outside, &past.before);
            }
            if !overlay.cells.is_empty() {
                sheet.publish(record, overlay);
            }
            if !too_long.is_empty() {
                brought.merged.unplaced.push(RowUpdate {
                    po: po.clone(),
                    cells: too_long,
                    aside: true,
                    row: None,
                });
            }
            if !taken.is_empty() {
                // An update goes to every row of its key.
                let single = (rows.len() > 1).then(|| {
                    let schema = sheet.schema();
                    RowOf::of(sheet, &rows, record, |column| {
                        schema.is_state(column) || ours.iter().any(|name| same_column(name, column))
                    })
                });
                brought.taken.push(RowUpdate {
                    po: po.clone(),
                    cells: taken,
                    aside: false,
                    row: single,
                });
            }
        }
        brought.merged.behind += usize::from(is_behind);
        if is_illegible_there {
            brought.illegible.push(po.to_string());
        }
        if is_illegible_lost {
            brought.illegible_lost.push(po.to_string());
        }
        if is_unclear {
            brought.unclear.push(po.to_string());
        } else if is_again {
            brought.again.push(po.to_string());
        }
        if is_edited_again {
            brought.edited_again.push(po.to_string());
        }
    }
    let gone_keys = gone.iter().map(|row| row.po.as_str()).collect();
    brought.rekeyed = rekeyed(sheet, history, &gone_keys);
    brought.merged.unplaced.append(&mut gone);
    add_the_whole_state(sheet);
    // By now there may be a place.
    let unplaced = merge::apply(sheet, history.unplaced());
    brought.merged.unplaced.extend(unplaced);
    brought.again.sort_unstable();
    brought.edited_again.sort_unstable();
    brought.unclear.sort_unstable();
    brought.lost.sort_unstable();
    brought.illegible.sort_unstable();
    brought.illegible_lost.sort_unstable();
    brought
}

/// The rows of a key in which other programs wrote something of their own.
struct Singles<'h>(Vec<(Option<RecordIndex>, &'h [Past])>);

impl<'h> Singles<'h> {
    fn of(history: &'h History, sheet: &Sheet, po: &str) -> Singles<'h> {
        let rows = history.single_rows(po).iter();
        Singles(
            rows.map(|(row, cells)| (row.find(sheet, po, edits(cells)), cells.as_slice()))
                .collect(),
        )
    }

    /// What is known of a key's rows, and of the columns of which something is known of a single row alone.
    fn with_their_columns(&self, row: &'h [Past]) -> SmallVec<[&'h Past; 8]> {
        let mut all: SmallVec<[&Past; 8]> = row.iter().collect();
        for past in self.0.iter().flat_map(|(_, cells)| *cells) {
            if !all.iter().any(|known| known.column == past.column) {
                all.push(past);
            }
        }
        all
    }

    /// What is known of a row, in the column of which `past` is known.
    fn past(&self, row: RecordIndex, past: &'h Past) -> Option<&'h Past> {
        let is_of_one = |cells: &[Past]| cells.iter().any(|cell| std::ptr::eq(cell, past));
        let singles = self.0.iter().filter(|(single, _)| *single == Some(row));
        let mut cells = singles.flat_map(|(_, cells)| *cells);
        let own = cells.rfind(|cell| same_column(&cell.column, &past.column));
        own.or_else(|| (!self.0.iter().any(|(_, cells)| is_of_one(cells))).then_some(past))
    }

    /// What was written in rows that are not there as they were, and cannot be found in another row of the key,
    /// though the save's author did not know it.
    fn lost(&self, sheet: &Sheet, rows: &[RecordIndex], reading: Reading) -> Vec<CellUpdate> {
        let missing = self.0.iter().filter(|(single, _)| single.is_none());
        let cells = missing.flat_map(|(_, cells)| *cells);
        let is_lost = |past: &&Past| {
            let place = sheet.schema().position(&past.column);
            let mut shown = rows
                .iter()
                .filter_map(|&row| Some(text(sheet.base_cell(row, place?))));
            past.is_outside
                && !past.last.is_empty()
                && !reading.knows(past)
                && !shown.any(|shown| is_same(&past.column, &past.last, &shown))
        };
        cells.filter(is_lost).map(Past::update).collect()
    }
}

/// Where the cells of a row go.
struct Places<'p> {
    places: SmallVec<[(usize, &'p Past); 8]>,
    /// There is no such column, and it may not be added.
    homeless: Vec<CellUpdate>,
    /// The save's author saw these results, and removed their column.
    removed: Vec<CellUpdate>,
}

/// Finds them; a column that may be added is, unless the save's author removed it.
fn places<'p>(sheet: &Sheet, history: &History, reading: Reading, row: &[&'p Past]) -> Places<'p> {
    let mut found = Places {
        places: SmallVec::new(),
        homeless: Vec::new(),
        removed: Vec::new(),
    };
    for &past in row {
        let schema = sheet.schema();
        let column = schema.position(&past.column);
        let is_in_save = column.is_some_and(|column| column < schema.header_width);
        let has_nothing = past.last.is_empty() || past.is_outside;
        let addable = history.addable(&past.column).filter(|_| !has_nothing);
        let column = match (column, addable) {
            (Some(column), _) if is_in_save || has_nothing => column,
            (_, Some(_)) if reading.verdict(past, "") == Verdict::Theirs => {
                found.removed.push(past.update());
                continue;
            }
            (Some(column), _) => column,
            (None, Some(name)) => sheet.add_column(name),
            (None, None) if has_nothing => continue,
            (None, None) => {
                found.homeless.push(past.update());
                continue;
            }
        };
        found.places.push((column, past));
    }
    found
}

/// Where columns of a row's state came back, so do those in which no result has anything.
fn add_the_whole_state(sheet: &Sheet) {
    let options = sheet.options();
    for stage in std::iter::once(&options.stage).chain(&options.stages) {
        let came_back = |name: &&str| {
            let schema = sheet.schema();
            (schema.position(name)).is_some_and(|column| column >= schema.header_width)
        };
        if stage.columns().iter().any(came_back) {
            for name in stage.columns() {
                if sheet.schema().position(name).is_none() {
                    sheet.add_column(name);
                }
            }
        }
    }
}

/// What the journal is told of results whose column was removed: they are kept aside, and their cells are empty.
/// The column may come back with the next result, and shows nothing of them then.
fn emptied(po: &CompactString, removed: Vec<CellUpdate>) -> [RowUpdate; 2] {
    let nothing = removed.iter().map(|cell| CellUpdate {
        column: cell.column.clone(),
        value: CompactString::default(),
        before: smallvec::smallvec![cell.value.clone()],
        outside: true,
    });
    let nothing = RowUpdate {
        po: po.clone(),
        cells: nothing.collect(),
        aside: false,
        row: None,
    };
    let kept = RowUpdate {
        po: po.clone(),
        cells: removed,
        aside: true,
        row: None,
    };
    [kept, nothing]
}
