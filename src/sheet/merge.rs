//! What tickoff wrote meets a version of the sheet that it did not write.
//!
//! Cell by cell and by PO, wherever the rows stand now: what tickoff wrote is kept, all else is the
//! other program's. A cell in which the other version shows neither our value nor one it had before
//! is a true conflict: our result is kept, and reported with both values. Nothing here changes a
//! file; results that find no place are returned to the caller, who keeps them.
//!
//! An edit that fell between our last look at the public file and the exchange is in the file that
//! the exchange displaced, and for a moment nowhere in the public one. In a race of 3,115 outside
//! replacements one of them was lost so: its author read the public file in that moment, changed
//! another cell, and saved. Such edits are therefore written to the journal like results, but give
//! way to any value that is new to them.
//!
//! Such a file may also be a piece of a sheet, if it was changed in place: its author cuts it off, and
//! restores the sheet under the public name. The cell in which it was cut looks like an edit, and what it
//! held before is what its author restores. Held in the journal, the cut cell undid that, in one of some
//! 40,000 edits that cut the sheet off. So a last record without a line end is nobody's edit there.
//!
//! A version that shows what a cell had before us may have been read before we wrote, or its author
//! may have put the old value back on purpose; nothing in the file tells. It is taken for the first,
//! also after a crash, for as long as the journal is there: the result stays, and is no conflict.

use std::cell::LazyCell;
use std::collections::{HashMap, HashSet};

use compact_str::CompactString;
use smallvec::{SmallVec, smallvec};

use crate::csv::RecordIndex;
use crate::domain::columns::{ERROR_MESSAGE, LAST_PROCESSED, STATUS, same_column};
use crate::domain::{KNOWN, ProcessingStatus, may_return, stage_prefix};
use crate::sheet::change::{CellUpdate, RowUpdate};
use crate::sheet::judge::is_same;
use crate::sheet::overlay::OverlayRow;
use crate::sheet::room::Room;
use crate::sheet::row_of::RowOf;
use crate::sheet::shown::{Shown, is_illegible, text};
use crate::sheet::table::Sheet;
use crate::text::{Escaped, escape, escape_list};

/// A cell that tickoff and another program both changed. tickoff's value is kept.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Conflict {
    /// The row.
    pub po: String,
    /// The column.
    pub column: String,
    /// The value that was kept.
    pub ours: String,
    /// The value that the other program had written.
    pub theirs: String,
}

/// What came of bringing results to a version of the sheet.
#[derive(Debug, Default)]
pub(crate) struct Merged {
    pub(crate) conflicts: Vec<Conflict>,
    /// Results whose row or column is not there.
    pub(crate) unplaced: Vec<RowUpdate>,
    /// Rows that do not show their results yet.
    pub(crate) behind: usize,
}

/// Applies a journal's updates in order to a sheet that may show any part of them.
pub(crate) fn replay<'u>(
    sheet: &Sheet,
    updates: impl IntoIterator<Item = &'u RowUpdate> + Clone,
) -> Merged {
    let mut merged = Merged {
        unplaced: apply(sheet, updates.clone()),
        ..Merged::default()
    };
    report(sheet, &mut merged);
    if !merged.conflicts.is_empty() {
        merged.leave_out_ours(sheet, updates);
    }
    merged
}

/// Applies updates in order and returns those that found no place.
pub(crate) fn apply<'u>(
    sheet: &Sheet,
    updates: impl IntoIterator<Item = &'u RowUpdate>,
) -> Vec<RowUpdate> {
    let mut unplaced = Vec::new();
    for update in updates {
        place(sheet, update, &mut unplaced);
    }
    unplaced
}

/// Brings all that was written to the old version to a new one. `waiting` are results that had no
/// place in the old one.
pub(crate) fn transfer(old: &Sheet, new: &Sheet, waiting: &[RowUpdate]) -> Merged {
    let mut merged = Merged::default();
    // A column that the old version only was to get; one that it had, the author of the new one removed.
    for name in old.schema().added() {
        if new.schema().position(name).is_none() {
            new.add_column(name);
        }
    }
    for update in written(old) {
        place(new, &update, &mut merged.unplaced);
    }
    for update in waiting {
        place(new, update, &mut merged.unplaced);
    }
    report(new, &mut merged);
    merged
}

/// The record in which a version may have been cut off: the last one, if it has no line end.
pub(crate) fn cut_off(version: &Sheet) -> Option<RecordIndex> {
    match version.bytes().ends_with(b"\n") {
        true => None,
        false => version.all_rows().last(),
    }
}

impl Merged {
    /// Leaves out the conflicts of cells that show what an earlier one of these updates gave them: a row that was
    /// run again has several, and a cell that is written again only remembers what it showed before the first.
    fn leave_out_ours<'u>(
        &mut self,
        sheet: &Sheet,
        updates: impl IntoIterator<Item = &'u RowUpdate>,
    ) {
        let mut of_key: HashMap<String, Vec<&CellUpdate>> = HashMap::new();
        for conflict in &self.conflicts {
            of_key.entry(conflict.po.clone()).or_default();
        }
        for update in updates {
            if let Some(cells) = of_key.get_mut(&*sheet.canonical(&update.po)) {
                cells.extend(&update.cells);
            }
        }
        self.conflicts.retain(|conflict| {
            let is_ours = |cell: &&CellUpdate| {
                same_column(&cell.column, &conflict.column) && *cell.value == *conflict.theirs
            };
            !of_key[&conflict.po].iter().any(is_ours)
        });
    }

    /// Leaves out the conflicts in the row of a key, in which the version may have been cut off.
    pub(crate) fn leave_out(&mut self, po: &str) {
        self.conflicts.retain(|conflict| conflict.po != po);
    }
}

/// Everything that was written to a sheet, as one frame would hold it.
pub(crate) fn written(sheet: &Sheet) -> impl Iterator<Item = RowUpdate> {
    let schema = sheet.schema();
    sheet
        .overlay()
        .changed()
        .map(move |(row, cells)| RowUpdate {
            row: single(sheet, row, &cells),
            po: sheet.key(row).into(),
            cells: cells
                .cells
                .iter()
                .map(|cell| CellUpdate {
                    column: schema.columns()[cell.column].as_str().into(),
                    value: cell.value.clone(),
                    before: cell.before.clone(),
                    outside: cell.outside,
                })
                .collect(),
            aside: false,
        })
}

/// How a row is told to which something else was written than to the other rows of its key.
fn single(sheet: &Sheet, row: RecordIndex, cells: &OverlayRow) -> Option<RowOf> {
    if !sheet.has_repeated() {
        return None;
    }
    let rows: Vec<RecordIndex> = sheet.rows(&sheet.key(row)).collect();
    let overlays: Vec<_> = rows.iter().map(|&row| sheet.overlay().row(row)).collect();
    let value = |row: &OverlayRow, column| row.get(column).map(|cell| cell.value.clone());
    let is_like = |other: &OverlayRow| {
        let mut written = cells.cells.iter().chain(&other.cells);
        written.all(|cell| value(cells, cell.column) == value(other, cell.column))
    };
    if overlays
        .iter()
        .all(|other| other.as_ref().is_some_and(|other| is_like(other)))
    {
        return None;
    }
    let schema = sheet.schema();
    let is_ours = |name: &str| {
        let mut overlays = overlays.iter().flatten();
        let column = schema.position(name);
        schema.is_state(name)
            || column.is_some_and(|column| overlays.any(|row| row.get(column).is_some()))
    };
    Some(RowOf::of(sheet, &rows, row, is_ours))
}

/// Edits of other programs that are held: PO, column, value.
pub(crate) type Held = HashSet<(CompactString, CompactString, CompactString)>;

/// Those that are held in a sheet.
pub(crate) fn held(sheet: &Sheet) -> Held {
    written(sheet)
        .flat_map(|RowUpdate { po, cells, .. }| {
            let held = cells.into_iter().filter(|cell| cell.outside);
            held.map(move |cell| (po.clone(), cell.column, cell.value))
        })
        .collect()
}

/// The cells that differ between two bases and that tickoff did not write, and whether they are all
/// that is new: rows that came, changes in rows without a PO and cells that are no text are no
/// updates. An update goes to every row of its PO, so rows whose PO is repeated are left out.
///
/// `held` are the edits that were held when the new base lost its public name. An edit of one of its
/// cells that came to be held since, through another process, is a later one, and stays. The record in
/// which the new version may have been [`cut_off`] is left out.
pub(crate) fn edits(
    old: &Sheet,
    new: &Sheet,
    held: &Held,
    cut_off: Option<RecordIndex>,
) -> (Vec<RowUpdate>, bool) {
    let (from, to) = (old.schema(), new.schema());
    let columns: Vec<(usize, usize, &String)> = to
        .columns()
        .iter()
        .enumerate()
        .filter(|&(column, _)| !to.is_key(column))
        .filter_map(|(column, name)| Some((from.position(name)?, column, name)))
        .collect();
    let is_held = |po: &str, column: usize, value: &str| {
        let column = from.columns()[column].as_str();
        held.contains(&(po.into(), column.into(), value.into()))
    };
    let mut updates = Vec::new();
    let mut is_all = unkeyed(old).eq(unkeyed(new));
    for row in new.all_rows() {
        if Some(row) == cut_off {
            is_all = false;
            continue;
        }
        let po = new.po(row);
        let before: Vec<RecordIndex> = old.rows(&po).take(2).collect();
        let [before] = before[..] else {
            is_all &= po.is_empty();
            continue;
        };
        if new.rows(&po).nth(1).is_some() {
            continue;
        }
        let ours = new.overlay().row(row).unwrap_or_default();
        let cells: Vec<CellUpdate> = columns
            .iter()
            .filter(|(_, column, _)| ours.get(*column).is_none())
            .filter_map(|&(was, is, name)| {
                let (was_raw, is_raw) = (old.base_cell(before, was), new.base_cell(row, is));
                if was_raw == is_raw {
                    return None;
                }
                let value = std::str::from_utf8(&is_raw).ok();
                let Some(value) = value.filter(|_| new.encoding().is_text(&is_raw)) else {
                    is_all = false;
                    return None;
                };
                let mut cell = CellUpdate {
                    column: name.as_str().into(),
                    value: value.into(),
                    before: smallvec![text(was_raw).into()],
                    outside: true,
                };
                let earlier = old.overlay().row(before).unwrap_or_default();
                match earlier.get(was) {
                    Some(later) if later.outside && !is_held(&po, was, &later.value) => {
                        cell.before
                            .push(std::mem::replace(&mut cell.value, later.value.clone()));
                        cell.before.extend(later.before.iter().cloned());
                    }
                    _ => cell.before.push(old.cell(before, was).into()),
                }
                Some(cell)
            })
            .collect();
        if !cells.is_empty() {
            updates.push(RowUpdate {
                po: po.into(),
                cells,
                aside: false,
                row: None,
            });
        }
    }
    (updates, is_all)
}

/// The bytes of the rows that have no PO.
fn unkeyed(sheet: &Sheet) -> impl Iterator<Item = &[u8]> {
    sheet
        .all_rows()
        .filter(|&row| sheet.po(row).is_empty())
        .map(|row| &sheet.bytes()[sheet.base_span(row)])
}

/// Writes one update to its rows; what has no place goes to `unplaced`.
fn place(sheet: &Sheet, update: &RowUpdate, unplaced: &mut Vec<RowUpdate>) {
    if update.aside {
        return unplaced.push(update.clone());
    }
    let mut homeless = Vec::new();
    let mut cells: SmallVec<[(usize, &CellUpdate); 8]> = SmallVec::new();
    let mut schema = sheet.schema();
    for cell in &update.cells {
        let column = schema.position(&cell.column).or_else(|| {
            let name = may_return(&cell.column)?;
            let added = (!cell.value.is_empty()).then(|| sheet.add_column(name));
            schema = sheet.schema();
            added
        });
        match column {
            Some(column) => cells.push((column, cell)),
            None if cell.value.is_empty() => {}
            None => homeless.push(cell.clone()),
        }
    }
    let single = update.row.as_ref();
    let edits = update.cells.iter().filter(|cell| cell.outside);
    let edits = edits.map(|cell| (cell.column.as_str(), cell.value.as_str()));
    let found = single.map(|row| row.find(sheet, &update.po, edits));
    let rows: SmallVec<[RecordIndex; 1]> = match found {
        Some(Some(row)) => smallvec![row],
        _ => sheet.rows(&update.po).collect(),
    };
    // The row looks otherwise by now: what its author has put there stays where it is.
    let only_stays = found == Some(None);
    if only_stays {
        let is_shown = |column: usize, value: &str| {
            let mut shown = rows.iter().map(|&row| text(sheet.base_cell(row, column)));
            shown.any(|shown| *shown == *value)
        };
        let results = cells.iter().filter(|(_, cell)| !cell.outside);
        let lost = results.filter(|(column, cell)| !is_shown(*column, &cell.value));
        homeless.extend(lost.map(|(_, cell)| (*cell).clone()));
    }
    for &row in &rows {
        let shown = LazyCell::new(|| sheet.shown(row));
        let may_take =
            |column, cell: &CellUpdate| may_take_its_place(sheet, &shown, &cells, (column, cell));
        let mut overlay = sheet
            .overlay()
            .row(row)
            .map_or_else(OverlayRow::default, |row| (*row).clone());
        let bytes = cells.iter().map(|(_, cell)| cell.value.len()).sum();
        let mut room = Room::of(sheet, row, &overlay, bytes);
        for &(column, cell) in &cells {
            if cell.outside || only_stays {
                let theirs = text(sheet.base_cell(row, column));
                let is_before = || cell.before.iter().any(|before| *before == *theirs);
                if *theirs != *cell.value && (only_stays || !is_before()) {
                    // Whoever wrote it has written something else since.
                    continue;
                }
                if cell.outside && is_illegible(&cell.value) {
                    if *theirs == *cell.value {
                        overlay.leave(column);
                    }
                    continue;
                }
            }
            if has_waited(cell) && !may_take(column, cell) {
                if !homeless.contains(cell) {
                    homeless.push(cell.clone());
                }
                continue;
            }
            let is_state = schema.is_state(&cell.column);
            if !Room::take_in(&mut room, column, &cell.value, is_state) {
                if !homeless.contains(cell) {
                    homeless.push(cell.clone());
                }
                continue;
            }
            overlay.write(column, &cell.value, cell.outside, &cell.before);
        }
        sheet.publish(row, overlay);
    }
    if rows.is_empty() {
        unplaced.push(update.clone());
    } else if !homeless.is_empty() {
        unplaced.push(RowUpdate {
            po: update.po.clone(),
            cells: homeless,
            aside: false,
            row: None,
        });
    }
}

/// Whether a cell had no place when it was written: nothing is known of what it held.
fn has_waited(cell: &CellUpdate) -> bool {
    cell.before.is_empty() && !cell.outside
}

/// Whether a cell that waited for its row or column may be written, now that it is there. What somebody put there
/// meanwhile stays, and so does what was written since; the state of a row that is not done gives way.
fn may_take_its_place(
    sheet: &Sheet,
    shown: &Shown<'_>,
    cells: &[(usize, &CellUpdate)],
    (column, cell): (usize, &CellUpdate),
) -> bool {
    let is_there = shown.cell(column);
    if is_there.trim().is_empty() || is_same(&cell.column, &is_there, &cell.value) {
        return true;
    }
    let is_state = [STATUS, LAST_PROCESSED, ERROR_MESSAGE]
        .iter()
        .any(|name| stage_prefix(&cell.column, name).is_some());
    let mut statuses = cells
        .iter()
        .filter(|(_, cell)| stage_prefix(&cell.column, STATUS).is_some());
    is_state
        && !shown.is_written(column)
        && statuses.all(|&(column, _)| {
            let status = ProcessingStatus::parse(&shown.cell(column));
            KNOWN.contains(&status) && !sheet.is_done(&status)
        })
}

/// Compares what the version shows with what was written.
fn report(sheet: &Sheet, merged: &mut Merged) {
    let schema = sheet.schema();
    for (row, cells) in sheet.overlay().changed() {
        let mut behind = false;
        for cell in &cells.cells {
            let theirs = text(sheet.base_cell(row, cell.column));
            if *theirs == *cell.value {
                continue;
            }
            behind = true;
            if !cell.before.iter().any(|before| *before == *theirs)
                && cell.column < schema.header_width
            {
                merged.conflicts.push(Conflict {
                    po: sheet.po(row),
                    column: schema.columns()[cell.column].clone(),
                    ours: cell.value.to_string(),
                    theirs: theirs.into_owned(),
                });
            }
        }
        merged.behind += usize::from(behind);
    }
}

/// Says what became of an outside edit; the results of these keys are shown by rows that have other keys now.
pub(crate) fn log(merged: &Merged, shown: &[&str]) {
    const NAMED: usize = 5;
    let (named, more) = merged.conflicts.split_at(merged.conflicts.len().min(NAMED));
    for conflict in named {
        tracing::warn!(
            key = %Escaped::name(&conflict.po),
            column = %Escaped::name(&conflict.column),
            in_sheet = %escape(&conflict.ours),
            theirs = %escape(&conflict.theirs),
            "another program changed a cell that holds a result; the result is kept"
        );
    }
    if !more.is_empty() {
        let mut keys: Vec<String> = more.iter().map(|conflict| conflict.po.clone()).collect();
        keys.dedup();
        tracing::warn!(
            keys = %escape_list(&keys),
            "it changed {} more {}; the results are kept",
            more.len(),
            match more.len() {
                1 => "cell that holds a result",
                _ => "cells that hold results",
            }
        );
    }
    let is_shown = |update: &RowUpdate| shown.contains(&update.po.as_str());
    let of = merged.unplaced.iter();
    let of = of.filter(|update| !update.aside && !is_shown(update));
    let mut placeless: Vec<String> = of.clone().map(|update| update.po.to_string()).collect();
    placeless.dedup();
    if !placeless.is_empty() {
        let cells = of.flat_map(|update| &update.cells);
        let mut columns: Vec<String> = cells.map(|cell| cell.column.to_string()).collect();
        columns.sort_unstable();
        columns.dedup();
        tracing::warn!(keys = %escape_list(&placeless), columns = %escape_list(&columns), "the sheet has no place for results");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Snapshot;
    use crate::sheet::options::Options;

    fn sheet(rows: &str) -> Sheet {
        let text = format!("PO_NUMBER;STATUS;note\n{rows}");
        let bytes = Snapshot::Owned(text.into_bytes());
        Sheet::build(bytes, std::path::Path::new("in.csv"), &Options::default()).unwrap()
    }

    fn result(po: &str, column: &str, value: &str, before: &str) -> RowUpdate {
        let cell = CellUpdate {
            column: column.into(),
            value: value.into(),
            before: smallvec![before.into()],
            outside: false,
        };
        RowUpdate {
            po: po.into(),
            cells: vec![cell],
            aside: false,
            row: None,
        }
    }

    fn cell(sheet: &Sheet, po: &str, column: &str) -> String {
        sheet.record(po).unwrap().get(column).unwrap().to_owned()
    }

    #[test]
    fn a_cell_that_shows_an_earlier_result_was_changed_by_nobody_else() {
        let updates = [
            result("P1", "STATUS", "ERROR", ""),
            result("P1", "STATUS", "COMPLETED", "ERROR"),
        ];
        let conflicts = |status| {
            let sheet = sheet(&format!("P1;{status};\n"));
            replay(&sheet, &updates).conflicts.len()
        };
        assert_eq!(
            ["", "ERROR", "COMPLETED", "paid"].map(conflicts),
            [0, 0, 0, 1]
        );
    }

    #[test]
    fn of_a_journal_the_cells_that_make_a_row_too_long_have_no_place() {
        let sheet = sheet("P1;;\nP2;;\n");
        let long = "x".repeat(16 << 20);
        let updates = [
            result("P1", "note", &long, ""),
            result("P1", "STATUS", "COMPLETED", ""),
            result("P2", "note", "y", ""),
        ];
        let merged = replay(&sheet, &updates);
        assert!(merged.unplaced == updates[..1]);
        assert_eq!(cell(&sheet, "P1", "note"), "");
        assert_eq!(cell(&sheet, "P1", "STATUS"), "COMPLETED");
        assert_eq!(cell(&sheet, "P2", "note"), "y");
    }

    #[test]
    fn only_cells_that_tickoff_did_not_write_are_edits() {
        let old = sheet("A;PENDING;x\nB;PENDING;y\n");
        apply(&old, &[result("A", "STATUS", "COMPLETED", "PENDING")]);
        let new = sheet("B;PENDING;mine\nA;PENDING;x\nC;;new\n");
        transfer(&old, &new, &[]);
        let (edits, is_all) = edits(&old, &new, &Held::new(), None);
        assert_eq!((edits.len(), is_all), (1, false));
        assert_eq!(
            (edits[0].po.as_str(), edits[0].cells[0].value.as_str()),
            ("B", "mine")
        );
    }

    /// A sheet on which another program's edit of A's note, `x` to `mine`, is held.
    fn with_held_edit() -> Sheet {
        let (old, new) = (sheet("A;PENDING;x\n"), sheet("A;PENDING;mine\n"));
        let (edits, is_all) = edits(&old, &new, &Held::new(), None);
        assert!(is_all);
        apply(&new, &edits);
        new
    }

    #[test]
    fn an_edit_that_came_to_be_held_since_is_later_than_that_of_a_displaced_file() {
        let older = || sheet("A;PENDING;older\n");
        let held_now = with_held_edit();
        let edited = |held: &Held| {
            let new = older();
            transfer(&held_now, &new, &[]);
            apply(&new, &edits(&held_now, &new, held, None).0);
            cell(&new, "A", "note")
        };
        assert_eq!(edited(&Held::new()), "mine");
        assert_eq!(edited(&held(&held_now)), "older", "it was edited again");
    }

    #[test]
    fn a_record_in_which_a_sheet_was_cut_off_is_no_edit_and_no_conflict() {
        let old = sheet("A;PENDING;x\nB;PENDING;yes\nC;PENDING;z\n");
        apply(&old, &[result("B", "STATUS", "COMPLETED", "PENDING")]);
        for cut in ["B;PENDING;ye", "B;PENDING;", "B;PENDING", "B;PEN", "B"] {
            let new = sheet(&format!("A;PENDING;mine\n{cut}"));
            let at = cut_off(&new).unwrap();
            let mut merged = transfer(&old, &new, &[]);
            merged.leave_out(&new.po(at));
            assert!(merged.conflicts.is_empty(), "{cut}");
            let (edits, is_all) = edits(&old, &new, &Held::new(), Some(at));
            let pos: Vec<&str> = edits.iter().map(|edit| edit.po.as_str()).collect();
            assert_eq!((pos, is_all), (vec!["A"], false), "{cut}");
        }
        let at_the_end_of_a_line = sheet("A;PENDING;mine\nB;PENDING;yes\n");
        assert!(cut_off(&at_the_end_of_a_line).is_none());
    }

    #[test]
    fn a_held_edit_survives_a_version_that_did_not_see_it() {
        let stale = sheet("A;PENDING;x\n");
        let merged = transfer(&with_held_edit(), &stale, &[]);
        assert_eq!(cell(&stale, "A", "note"), "mine");
        assert!(merged.conflicts.is_empty());
    }

    #[test]
    fn a_held_edit_gives_way_to_a_newer_one() {
        let newer = sheet("A;PENDING;newer\n");
        let merged = transfer(&with_held_edit(), &newer, &[]);
        assert_eq!(cell(&newer, "A", "note"), "newer");
        assert!(merged.conflicts.is_empty());
    }

    #[test]
    fn a_result_takes_the_place_of_a_held_edit() {
        let held = with_held_edit();
        apply(&held, &[result("A", "note", "ours", "mine")]);
        let theirs = sheet("A;PENDING;theirs\n");
        let merged = transfer(&held, &theirs, &[]);
        assert_eq!(cell(&theirs, "A", "note"), "ours");
        assert_eq!(merged.conflicts[0].theirs, "theirs");
    }
}
