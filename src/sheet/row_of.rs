//! One row of a key that stands in several.
//!
//! A result goes to all rows of its key. What another program writes in one of them is that row's alone, and the
//! rows may be sorted before the next look. So the row is told by what tickoff did not write to it: the cells in
//! which it differs from the other rows of its key. Rows that differ in nothing are told by their order.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};

use crate::csv::RecordIndex;
use crate::sheet::judge::is_same;
use crate::sheet::table::{Sheet, text};

/// The row in which these columns hold these values; of several the one with this number, from 0.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct RowOf {
    cells: Vec<(CompactString, CompactString)>,
    #[serde(default, skip_serializing_if = "is_first")]
    at: usize,
}

fn is_first(at: &usize) -> bool {
    *at == 0
}

impl RowOf {
    /// How a row is told from the other `rows` of its key; `is_ours` are the columns to which tickoff writes.
    pub(crate) fn of(
        sheet: &Sheet,
        rows: &[RecordIndex],
        row: RecordIndex,
        is_ours: impl Fn(&str) -> bool,
    ) -> RowOf {
        let schema = sheet.schema();
        let differs = |column: usize| {
            let cell = sheet.base_cell(row, column);
            rows.iter()
                .any(|&other| sheet.base_cell(other, column) != cell)
        };
        let cells = (0..schema.header_width)
            .filter(|&column| !schema.is_key(column) && !is_ours(&schema.columns()[column]))
            .filter(|&column| differs(column))
            .map(|column| {
                let value = text(sheet.base_cell(row, column));
                (schema.columns()[column].as_str().into(), (&*value).into())
            });
        let mut told = RowOf {
            cells: cells.collect(),
            at: 0,
        };
        let earlier = rows.iter().take_while(|&&other| other != row);
        told.at = earlier.filter(|&&other| told.is_like(sheet, other)).count();
        told
    }

    /// The row of this key, if the sheet has it.
    pub(crate) fn find(&self, sheet: &Sheet, po: &str) -> Option<RecordIndex> {
        let mut like = sheet.rows(po).filter(|&row| self.is_like(sheet, row));
        like.nth(self.at)
    }

    fn is_like(&self, sheet: &Sheet, row: RecordIndex) -> bool {
        let schema = sheet.schema();
        self.cells.iter().all(|(column, value)| {
            let place = schema.position(column);
            place.is_some_and(|place| is_same(column, &text(sheet.base_cell(row, place)), value))
        })
    }
}
