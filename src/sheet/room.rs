//! Whether a row has room for what is to be written to it, so that the next version is one that can be read.
//!
//! Counted as it is written, with quotes. So many bytes stay free in each row that columns can be added, and
//! that it can get its state whatever else was written to it.

use std::collections::HashMap;

use crate::csv::{Fields, RecordIndex};
use crate::domain::{MAX_FIELDS, MAX_RECORD_BYTES};
use crate::sheet::overlay::OverlayRow;
use crate::sheet::shown::is_shown;
use crate::sheet::table::Sheet;

/// A delimiter and quotes for each column that a sheet can have.
const COLUMNS_BYTES: usize = 3 * MAX_FIELDS;
/// What is kept for the states of all stages.
const STATES_BYTES: usize = 1 << 20;
/// How many bytes of values are few.
const FEW_BYTES: usize = 512;
/// More bytes than one byte of a value takes: a quote takes two, and a letter may take more than in UTF-8.
const MOST_PER_BYTE: usize = 8;

/// How many bytes a row has, and those of its cells to which something was written.
pub(crate) struct Room<'s> {
    sheet: &'s Sheet,
    fields: Fields,
    bytes: usize,
    written: HashMap<usize, usize>,
}

impl<'s> Room<'s> {
    /// Whether a row has to be looked at before so many bytes of values are written to it. What so few bytes in so few
    /// columns can come to, however often they are written, is less than what is kept for the states.
    pub(crate) fn is_in_doubt(sheet: &Sheet, row: RecordIndex, bytes: usize) -> bool {
        let few = STATES_BYTES / (2 * FEW_BYTES * MOST_PER_BYTE);
        bytes > FEW_BYTES
            || sheet.schema().columns().len() > few
            || sheet.most_bytes(row) > MAX_RECORD_BYTES / 2
    }

    /// Of a row, with what has been written to it. `None`: it has room for so many bytes of values in any case.
    pub(crate) fn of(
        sheet: &'s Sheet,
        row: RecordIndex,
        overlay: &OverlayRow,
        bytes: usize,
    ) -> Option<Room<'s>> {
        if !Room::is_in_doubt(sheet, row, bytes) {
            return None;
        }
        let known: usize = overlay.cells.iter().map(|cell| cell.value.len()).sum();
        let values = (known + bytes).saturating_mul(MOST_PER_BYTE);
        let most = sheet.most_bytes(row).saturating_add(values);
        if most <= MAX_RECORD_BYTES - COLUMNS_BYTES - STATES_BYTES {
            return None;
        }
        let base = sheet.base_span(row).len();
        let mut room = Room {
            sheet,
            fields: sheet.base_fields(row),
            bytes: base,
            written: HashMap::new(),
        };
        for cell in &overlay.cells {
            room.write(cell.column, &cell.value);
        }
        Some(room)
    }

    /// Whether the row has room for a value in a cell, which may be one of its state.
    pub(crate) fn takes(&self, column: usize, value: &str, is_state: bool) -> bool {
        let kept = if is_state { 0 } else { STATES_BYTES };
        let (old, new) = (self.bytes_in(column), self.bytes_of(column, value));
        new <= old || self.bytes - old + new <= MAX_RECORD_BYTES - COLUMNS_BYTES - kept
    }

    /// Counts a value that is written to a cell.
    pub(crate) fn write(&mut self, column: usize, value: &str) {
        let (old, new) = (self.bytes_in(column), self.bytes_of(column, value));
        self.bytes = self.bytes - old + new;
        self.written.insert(column, new);
    }

    /// Counts a value if the row has room for it, as it has where there is nothing to count.
    pub(crate) fn take_in(
        room: &mut Option<Room<'_>>,
        column: usize,
        value: &str,
        is_state: bool,
    ) -> bool {
        let Some(room) = room else {
            return true;
        };
        let takes = room.takes(column, value, is_state);
        if takes {
            room.write(column, value);
        }
        takes
    }

    fn bytes_in(&self, column: usize) -> usize {
        let in_base = || self.raw(column).map_or(0, <[u8]>::len);
        self.written.get(&column).copied().unwrap_or_else(in_base)
    }

    fn bytes_of(&self, column: usize, value: &str) -> usize {
        let (dialect, encoding) = (self.sheet.dialect(), self.sheet.encoding());
        let mut written = Vec::with_capacity(value.len() + 2);
        encoding.write(value, dialect.delimiter, true, &mut written);
        let stays = |raw: &&[u8]| is_shown(&encoding.read(raw), value, encoding);
        let staying = self.raw(column).filter(stays).map_or(0, <[u8]>::len);
        written.len().max(staying)
    }

    /// What stands in a cell of the base; nothing in a column that is yet to be added.
    fn raw(&self, column: usize) -> Option<&[u8]> {
        let is_there = column < self.sheet.schema().header_width;
        let field = self.fields.get(column).filter(|_| is_there)?;
        Some(&self.sheet.bytes()[field.clone()])
    }
}

impl Sheet {
    /// Whether the header and every row, with what stands beside the table, have room for so many more columns.
    pub(crate) fn has_room_for_columns(&self, columns: usize) -> bool {
        let schema = self.schema();
        let Some(most) = MAX_FIELDS.checked_sub(schema.added().len() + columns) else {
            return false;
        };
        // A field has at least the delimiter before it.
        let mut long = self.rows_in_bytes().filter(|&(_, bytes)| bytes > most);
        schema.header_width <= most && long.all(|(start, _)| self.fields_from(start) <= most)
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::Snapshot;
    use crate::sheet::options::Options;

    fn sheet(cell: &str) -> Sheet {
        let bytes = Snapshot::Owned(format!("PO_NUMBER;A;B\nP1;{cell};\n").into_bytes());
        Sheet::build(bytes, Path::new("in.csv"), &Options::default()).unwrap()
    }

    fn room(sheet: &Sheet, bytes: usize) -> Option<Room<'_>> {
        let row = sheet.rows("P1").next().unwrap();
        Room::of(sheet, row, &OverlayRow::default(), bytes)
    }

    const MIB: usize = 1 << 20;

    #[test]
    fn a_row_takes_what_keeps_it_readable_and_a_shorter_value_in_any_case() {
        let sheet = sheet(&"x".repeat(8 * MIB));
        assert!(room(&sheet, 10).is_none());
        let mut counted = room(&sheet, 8 * MIB);
        let room = counted.as_ref().unwrap();
        let value = |mib: usize| "y".repeat(mib * MIB);
        assert!(!room.takes(2, &value(7), false));
        assert!(room.takes(2, &value(7), true));
        assert!(!room.takes(2, &value(8), true));
        assert!(
            !room.takes(2, &"\"".repeat(4 * MIB), false),
            "quotes are doubled"
        );
        let mut take = |column, mib| Room::take_in(&mut counted, column, &value(mib), false);
        assert!(take(2, 6));
        assert!(!take(1, 9));
        assert!(take(1, 1), "it is shorter than before");
        assert!(take(2, 13));
        assert!(!take(3, 1), "a column that is added");
    }
}
