//! What tickoff wrote is brought to a version of the sheet that another program saved.
//!
//! Each cell is judged by what the save's author can have seen (`judge.rs`). What is ours goes into the
//! overlay; what the author changed on purpose stays as it is, and is returned, so that the journal learns of
//! it; results that find no place are returned, too. Nothing here changes a file.

use smallvec::SmallVec;

use crate::csv::RecordIndex;
use crate::domain::columns::addable;
use crate::sheet::change::{CellUpdate, RowUpdate};
use crate::sheet::history::{History, Past};
use crate::sheet::judge::{Reading, Verdict};
use crate::sheet::merge::{self, Conflict, Held, Merged};
use crate::sheet::overlay::OverlayRow;
use crate::sheet::table::{Sheet, text};

/// What came of it.
#[derive(Debug, Default)]
pub(crate) struct Brought {
    pub(crate) merged: Merged,
    /// Cells that the author of the save changed on purpose.
    pub(crate) taken: Vec<RowUpdate>,
    /// Keys of rows whose results are written again, because the save was made without them.
    pub(crate) again: Vec<String>,
    /// Keys of rows of which the traces tell different things; their results stay.
    pub(crate) unclear: Vec<String>,
}

impl Brought {
    /// Whether anything of the save was not taken over.
    pub(crate) fn has_left_something(&self) -> bool {
        !self.merged.conflicts.is_empty() || !self.unclear.is_empty()
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
        let (places, homeless) = places(sheet, row, reading);
        if !homeless.is_empty() {
            brought.merged.unplaced.push(RowUpdate {
                po: po.clone(),
                cells: homeless,
                aside: false,
            });
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

/// Columns, and what was written to them.
type Places<'p> = SmallVec<[(usize, &'p Past); 8]>;

/// Where the cells of a row go; a column that may be added is, unless the save's author removed it who had seen
/// what stood there. What has no place is returned apart.
fn places<'p>(sheet: &Sheet, row: &'p [Past], reading: Reading) -> (Places<'p>, Vec<CellUpdate>) {
    let (mut places, mut homeless) = (SmallVec::new(), Vec::new());
    for past in row {
        let schema = sheet.schema();
        let name = addable(&past.column);
        let column = schema.position(&past.column);
        if column.is_none() && name.is_some() && reading.verdict(past, "") == Verdict::Theirs {
            continue;
        }
        let column = column.or_else(|| {
            let name = name.filter(|_| !past.last.is_empty() && !past.is_outside)?;
            Some(sheet.add_column(name))
        });
        match column {
            Some(column) => places.push((column, past)),
            None if past.last.is_empty() || past.is_outside => {}
            None => homeless.push(past.update()),
        }
    }
    (places, homeless)
}
