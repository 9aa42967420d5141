//! The cells that were written since the snapshot was taken.
//!
//! One slot a row, eight bytes, in blocks that are made when a row of theirs is first written to. The
//! writer publishes a changed row with one pointer store; readers load it without a lock and see a row
//! as of before or after an update, never in between.
//!
//! Blocks, because an empty slot is not for nothing: each that is dropped, arc-swap looks through all
//! threads' debts. A million of them took 100 ms after a few threads had come and gone.

use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwapOption;
use compact_str::CompactString;

use crate::csv::RecordIndex;
use crate::sheet::change::Before;

/// The cells of one row that tickoff wrote, by ascending column.
#[derive(Debug, Clone, Default)]
pub(crate) struct OverlayRow {
    pub(crate) cells: Vec<OverlayCell>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct OverlayCell {
    pub(crate) column: usize,
    pub(crate) value: CompactString,
    /// Another program's edit, kept because our exchange took it out of sight for a moment. Unlike
    /// a result it gives way to whatever that program writes next.
    pub(crate) outside: bool,
    /// What the cell showed before tickoff first wrote it. What it showed since stands in the journal.
    pub(crate) before: Before,
}

impl OverlayRow {
    pub(crate) fn get(&self, column: usize) -> Option<&OverlayCell> {
        self.cells.iter().find(|cell| cell.column == column)
    }

    /// Leaves a cell as the file has it.
    pub(crate) fn leave(&mut self, column: usize) {
        self.cells.retain(|cell| cell.column != column);
    }

    /// Writes a cell; `before` is what it showed so far.
    pub(crate) fn write(&mut self, column: usize, value: &str, outside: bool, before: &Before) {
        match self.cells.binary_search_by_key(&column, |cell| cell.column) {
            Ok(at) => {
                self.cells[at].value = value.into();
                self.cells[at].outside = outside;
            }
            Err(at) => self.cells.insert(
                at,
                OverlayCell {
                    column,
                    value: value.into(),
                    outside,
                    before: before.clone(),
                },
            ),
        }
    }
}

/// Rows in a block.
const BLOCK: usize = 64;

type Slot = ArcSwapOption<OverlayRow>;

/// The slots of all rows.
pub(crate) struct Overlay(Box<[OnceLock<Box<[Slot]>>]>);

impl Overlay {
    pub(crate) fn new(rows: usize) -> Overlay {
        Overlay((0..rows.div_ceil(BLOCK)).map(|_| OnceLock::new()).collect())
    }

    pub(crate) fn row(&self, row: RecordIndex) -> Option<Arc<OverlayRow>> {
        let block = self.0[row.slot() / BLOCK].get()?;
        block[row.slot() % BLOCK].load_full()
    }

    /// Replaces a row; only the writer does.
    pub(crate) fn publish(&self, row: RecordIndex, cells: OverlayRow) {
        let block =
            self.0[row.slot() / BLOCK].get_or_init(|| (0..BLOCK).map(|_| Slot::empty()).collect());
        block[row.slot() % BLOCK].store(Some(Arc::new(cells)));
    }

    /// The rows that were written to, in the sheet's order.
    pub(crate) fn changed(&self) -> impl Iterator<Item = (RecordIndex, Arc<OverlayRow>)> {
        let blocks = self.0.iter().enumerate();
        let written = blocks.filter_map(|(at, block)| Some((at * BLOCK, block.get()?)));
        written.flat_map(|(first, block)| {
            let rows = block.iter().enumerate();
            rows.filter_map(move |(at, slot)| {
                Some((RecordIndex::from_slot(first + at), slot.load_full()?))
            })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slot_is_one_pointer_and_takes_room_only_once_a_row_near_it_is_written() {
        assert_eq!(size_of::<Slot>(), 8);
        let overlay = Overlay::new(3 * BLOCK + 1);
        let rows = [3 * BLOCK, BLOCK + 5, BLOCK];
        for row in rows.map(RecordIndex::from_slot) {
            assert!(overlay.row(row).is_none());
            overlay.publish(row, OverlayRow::default());
            assert!(overlay.row(row).is_some());
        }
        assert_eq!(
            overlay
                .0
                .iter()
                .filter(|block| block.get().is_some())
                .count(),
            2
        );
        let changed: Vec<usize> = overlay.changed().map(|(row, _)| row.slot()).collect();
        assert_eq!(changed, [BLOCK, BLOCK + 5, 3 * BLOCK]);
    }

    #[test]
    fn a_cell_remembers_what_it_showed_before_the_first_value() {
        let before = |value: &str| -> Before { smallvec::smallvec![value.into()] };
        let mut row = OverlayRow::default();
        row.write(1, "COMPLETED", false, &before("PENDING"));
        row.write(1, "ERROR", false, &before("COMPLETED"));
        row.write(0, "x", false, &before(""));
        assert_eq!(row.cells[0].column, 0);
        let cell = row.get(1).unwrap();
        assert_eq!(
            (&*cell.value, cell.before.as_slice()),
            ("ERROR", &["PENDING".into()][..])
        );
    }
}
