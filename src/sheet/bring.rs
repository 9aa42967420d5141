//! What tickoff wrote is brought to a version of the sheet that another program saved.
//!
//! Each cell is judged by what the save's author can have seen (`judge.rs`). What is ours goes into the
//! overlay; what the author changed on purpose stays as it is, and is returned, so that the journal learns of
//! it; results that find no place are returned, too. Nothing here changes a file.

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::csv::RecordIndex;
use crate::sheet::change::{CellUpdate, RowUpdate};
use crate::sheet::history::{History, Past};
use crate::sheet::judge::{Reading, Verdict};
use crate::sheet::merge::{self, Conflict, Held, Merged};
use crate::sheet::overlay::OverlayRow;
use crate::sheet::shown::text;
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
    /// Keys of rows of which the traces tell different things; their results stay.
    pub(crate) unclear: Vec<String>,
    /// Columns that the author of the save removed, having seen results in them.
    pub(crate) removed: Vec<String>,
}

impl Brought {
    /// Whether anything of the save was not taken over.
    pub(crate) fn has_left_something(&self) -> bool {
        !self.merged.conflicts.is_empty() || !self.unclear.is_empty()
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
    for (po, row) in history.rows() {
        let rows: SmallVec<[RecordIndex; 1]> = sheet.rows(po).collect();
        let results = row.iter().filter(|past| !past.is_outside);
        if rows.is_empty() {
            let cells: Vec<CellUpdate> = results.map(Past::update).collect();
            if !cells.is_empty() {
                brought.merged.unplaced.push(RowUpdate {
                    po: po.clone(),
                    cells,
                    aside: false,
                });
            }
            continue;
        }
        let Places {
            places,
            homeless,
            removed,
        } = places(sheet, history, reading, row);
        if !homeless.is_empty() {
            brought.merged.unplaced.push(RowUpdate {
                po: po.clone(),
                cells: homeless,
                aside: false,
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
        let mut taken: Vec<CellUpdate> = Vec::new();
        let (mut is_again, mut is_unclear, mut is_behind) = (false, false, false);
        for &record in &rows {
            let mut overlay = OverlayRow::default();
            for &(column, past) in &places {
                let theirs = text(sheet.base_cell(record, column));
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
                    Verdict::Theirs => {
                        if !taken.iter().any(|cell| cell.column == past.column) {
                            taken.push(CellUpdate {
                                column: past.column.clone(),
                                value: (&*theirs).into(),
                                before: smallvec::smallvec![past.last.clone()],
                                outside: true,
                            });
                        }
                        continue;
                    }
                    Verdict::Ours => is_again |= past.public_since().is_some(),
                    Verdict::Unclear => is_unclear = true,
                    Verdict::Conflict => brought.merged.conflicts.push(Conflict {
                        po: po.to_string(),
                        column: past.column.to_string(),
                        ours: past.last.to_string(),
                        theirs: theirs.into_owned(),
                    }),
                }
                is_behind = true;
                overlay.write(column, &past.last, past.is_outside, &past.before);
            }
            if !overlay.cells.is_empty() {
                sheet.publish(record, overlay);
            }
        }
        brought.merged.behind += usize::from(is_behind);
        if !taken.is_empty() {
            brought.taken.push(RowUpdate {
                po: po.clone(),
                cells: taken,
                aside: false,
            });
        }
        if is_unclear {
            brought.unclear.push(po.to_string());
        } else if is_again {
            brought.again.push(po.to_string());
        }
    }
    // By now there may be a place.
    let unplaced = merge::apply(sheet, history.unplaced());
    brought.merged.unplaced.extend(unplaced);
    brought.again.sort_unstable();
    brought.unclear.sort_unstable();
    brought
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
fn places<'p>(sheet: &Sheet, history: &History, reading: Reading, row: &'p [Past]) -> Places<'p> {
    let mut found = Places {
        places: SmallVec::new(),
        homeless: Vec::new(),
        removed: Vec::new(),
    };
    for past in row {
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
    };
    let kept = RowUpdate {
        po: po.clone(),
        cells: removed,
        aside: true,
    };
    [kept, nothing]
}
