//! The cells that were written since the snapshot was taken.
//!
//! One slot a row, eight bytes, empty until the row is written to. The writer publishes a changed
//! row with one pointer store; readers load it without a lock and see a row as of before or after
//! an update, never in between.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use crate::index::RecordIndex;

/// The cells of one row that tickoff wrote, by ascending column.
#[derive(Debug, Clone, Default)]
pub(crate) struct OverlayRow {
    pub(crate) cells: Vec<OverlayCell>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverlayCell {
    pub(crate) column: usize,
    pub(crate) value: Box<str>,
    /// Another program's edit, kept because our exchange took it out of sight for a moment. Unlike
    /// a result it gives way to whatever that program writes next.
    pub(crate) outside: bool,
    /// The values that the cell had before. An outside version that shows one of them
    /// did not change the cell: it was read before we did.
    pub(crate) before: Vec<Box<str>>,
}

impl OverlayRow {
    pub(crate) fn get(&self, column: usize) -> Option<&OverlayCell> {
        self.cells.iter().find(|cell| cell.column == column)
    }

    /// Writes a cell; `before` are the values that it had so far.
    pub(crate) fn write(
        &mut self,
        column: usize,
        value: &str,
        outside: bool,
        before: &[impl AsRef<str>],
    ) {
        let at = match self.cells.binary_search_by_key(&column, |cell| cell.column) {
            Ok(at) => {
                let cell = &mut self.cells[at];
                cell.outside = outside;
                let previous = std::mem::replace(&mut cell.value, value.into());
                cell.remember(&previous);
                at
            }
            Err(at) => {
                let cell = OverlayCell {
                    column,
                    value: value.into(),
                    outside,
                    before: Vec::with_capacity(before.len()),
                };
                self.cells.insert(at, cell);
                at
            }
        };
        for value in before {
            self.cells[at].remember(value.as_ref());
        }
    }
}

impl OverlayCell {
    fn remember(&mut self, value: &str) {
        if !self.before.iter().any(|known| **known == *value) {
            self.before.push(value.into());
        }
    }
}

/// The slots of all rows.
pub(crate) struct Overlay(Box<[ArcSwapOption<OverlayRow>]>);

impl Overlay {
    pub(crate) fn new(rows: usize) -> Overlay {
        Overlay((0..rows).map(|_| ArcSwapOption::empty()).collect())
    }

    pub(crate) fn row(&self, row: RecordIndex) -> Option<Arc<OverlayRow>> {
        self.0[row.slot()].load_full()
    }

    /// Replaces a row; only the writer does.
    pub(crate) fn publish(&self, row: RecordIndex, cells: OverlayRow) {
        self.0[row.slot()].store(Some(Arc::new(cells)));
    }

    /// The rows that were written to, in the sheet's order.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (RecordIndex, Arc<OverlayRow>)> {
        self.0
            .iter()
            .enumerate()
            .filter_map(|(slot, row)| Some((RecordIndex::from_slot(slot), row.load_full()?)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_one_pointer() {
        assert_eq!(size_of::<ArcSwapOption<OverlayRow>>(), 8);
    }

    #[test]
    fn a_cell_remembers_every_value_it_had() {
        let mut row = OverlayRow::default();
        row.write(1, "COMPLETED", false, &["PENDING"]);
        row.write(1, "ERROR", false, &["COMPLETED"]);
        row.write(0, "x", false, &[""]);
        assert_eq!(row.cells[0].column, 0);
        assert_eq!(&*row.get(1).unwrap().value, "ERROR");
        assert_eq!(
            row.get(1).unwrap().before,
            ["PENDING".into(), "COMPLETED".into()]
        );
    }
}
