//! One row of a key that stands in several.
//!
//! A result goes to all rows of its key. What another program writes in one of them is that row's alone, and the
//! rows may be sorted before the next look. So the row is told by what tickoff did not write to it: the cells in
//! which it differs from the other rows of its key. Rows that differ in nothing are told by their order, or by what was
//! written there.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::csv::RecordIndex;
use crate::sheet::judge::{is_same, may_be_same};
use crate::sheet::shown::text;
use crate::sheet::table::Sheet;

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

    /// The row of this key, if the sheet has it. Of several that differ in nothing it is, should they have been sorted,
    /// one that shows what was written there.
    pub(crate) fn find<'v>(
        &self,
        sheet: &Sheet,
        po: &str,
        written: impl Iterator<Item = (&'v str, &'v str)> + Clone,
    ) -> Option<RecordIndex> {
        let shows = |row: &RecordIndex| {
            written.clone().all(|(column, value)| {
                let place = sheet.schema().position(column);
                place.is_some_and(|place| {
                    is_same(column, &text(sheet.base_cell(*row, place)), value)
                })
            })
        };
        let like: SmallVec<[RecordIndex; 2]> = sheet
            .rows(po)
            .filter(|&row| self.is_like(sheet, row))
            .collect();
        let in_its_place = like.get(self.at).copied();
        match in_its_place {
            Some(row) if shows(&row) => Some(row),
            other => like.iter().copied().find(shows).or(other),
        }
    }

    fn is_like(&self, sheet: &Sheet, row: RecordIndex) -> bool {
        let schema = sheet.schema();
        self.cells.iter().all(|(column, value)| {
            let place = schema.position(column);
            place
                .is_some_and(|place| may_be_same(column, &text(sheet.base_cell(row, place)), value))
        })
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::Snapshot;
    use crate::sheet::options::{Duplicates, Options};

    fn sheet(rows: &str) -> Sheet {
        let bytes = Snapshot::Owned(format!("PO_NUMBER;STATUS;note;city\n{rows}").into_bytes());
        let options = Options {
            duplicates: Duplicates::All,
            ..Options::default()
        };
        Sheet::build(bytes, Path::new("in.csv"), &options).unwrap()
    }

    /// How the rows of A are told.
    fn told(sheet: &Sheet) -> Vec<RowOf> {
        let rows: Vec<RecordIndex> = sheet.rows("A").collect();
        let of = |&row: &RecordIndex| RowOf::of(sheet, &rows, row, |column| column == "STATUS");
        rows.iter().map(of).collect()
    }

    fn find(row: &RowOf, sheet: &Sheet) -> Option<RecordIndex> {
        row.find(sheet, "A", std::iter::empty())
    }

    #[test]
    fn a_row_is_told_by_the_cells_in_which_it_differs_from_the_others_of_its_key() {
        let rows = told(&sheet("A;x;1;Bonn\nB;;2;Rome\nA;;2;Bonn\n"));
        let moved = sheet("A;y;2;Kiel\nB;;1;Rome\nA;z;1.0;Kiel\n");
        let found = rows.iter().map(|row| find(row, &moved).unwrap().slot());
        assert_eq!(found.collect::<Vec<_>>(), [2, 0]);
        // A spreadsheet takes the zeros before a number away.
        let rows = told(&sheet("A;;01;Bonn\nA;;02;Bonn\n"));
        let moved = sheet("A;;2;Bonn\nA;;1;Bonn\n");
        let found = rows.iter().map(|row| find(row, &moved).unwrap().slot());
        assert_eq!(found.collect::<Vec<_>>(), [1, 0]);
        let changed = sheet("A;;3;Bonn\nA;;2;Bonn\n");
        assert_eq!(find(&rows[0], &changed), None);
    }

    #[test]
    fn rows_that_differ_in_nothing_are_told_by_their_order() {
        let alike = sheet("A;x;1;\nA;;2;\nA;;1;\n");
        let rows = told(&alike);
        let found = rows.iter().map(|row| find(row, &alike).unwrap().slot());
        assert_eq!(found.collect::<Vec<_>>(), [0, 1, 2]);
    }

    #[test]
    fn one_of_them_goes_along_with_what_was_written_there() {
        let rows = told(&sheet("A;x;1;\nA;edit;1;\n"));
        let sorted = sheet("A;edit;1;\nA;x;1;\n");
        let found = |row: &RowOf, value| {
            let written = std::iter::once(("STATUS", value));
            row.find(&sorted, "A", written).unwrap().slot()
        };
        assert_eq!(found(&rows[1], "edit"), 0);
        // It was changed since.
        assert_eq!(found(&rows[1], "other"), 1);
    }
}
