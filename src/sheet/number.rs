//! Rows without a key get a number as their key.
//!
//! The column is added where a sheet has none, like any other; the numbers go on from the highest there is, so
//! that none is given twice. A row without any text is no job and gets none.

use std::path::{Path, PathBuf};

use crate::csv::{RecordIndex, dialect};
use crate::disk::Snapshot;
use crate::domain::has_text;
use crate::error::{Error, Result};
use crate::sheet::change::Before;
use crate::sheet::integrity::refuse_utf8;
use crate::sheet::options::Options;
use crate::sheet::overlay::OverlayRow;
use crate::sheet::table::Sheet;

/// Beyond it no number is gone on from: a sheet has fewer rows than there are above.
const HIGHEST: u64 = u64::MAX - u32::MAX as u64;

/// What rows without a key got.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Numbered {
    /// How many.
    pub rows: usize,
    /// The first number; the others follow it.
    pub first: u64,
    /// Whether the key column was added.
    pub added_column: bool,
    /// The journal was damaged: see [`CsvHandler::has_lost_results`](crate::CsvHandler::has_lost_results).
    pub lost_results: bool,
    /// Where that is kept of the results which had no place in the sheet: see
    /// [`CsvHandler::kept_unplaced`](crate::CsvHandler::kept_unplaced).
    pub unplaced: Vec<PathBuf>,
}

/// Takes a version of a sheet that may be without the key column.
pub(crate) fn build(bytes: Snapshot, path: &Path, options: &Options) -> Result<Sheet> {
    let (delimiter, encoding) = (options.delimiter, options.encoding);
    match dialect::detect(&bytes, &options.key, delimiter, encoding, path) {
        Err(Error::NoKeyColumn { .. }) => Sheet::build_without_key(bytes, path, options),
        _ => Sheet::build(bytes, path, options),
    }
}

/// The highest number among keys.
pub(crate) fn highest(keys: impl Iterator<Item = impl AsRef<str>>) -> Option<u64> {
    let numbers = keys.filter_map(|key| key.as_ref().parse().ok());
    numbers.filter(|&number| number < HIGHEST).max()
}

/// Numbers the rows of a sheet that nobody else sees, from behind the highest number, which may be one that was
/// `given` to a row that is gone.
pub(crate) fn number(sheet: &Sheet, given: Option<u64>) -> Numbered {
    let key = &sheet.options().key.names()[0];
    let found = sheet.schema().position(key);
    let column = found.unwrap_or_else(|| sheet.add_column(key));
    let highest = highest(sheet.all_rows().map(|row| sheet.key(row)));
    let first = highest.max(given).map_or(1, |highest| highest + 1);
    let mut next = first;
    for row in sheet.all_rows().filter(|&row| lacks_key(sheet, row)) {
        let mut cells = OverlayRow::default();
        cells.write(column, &next.to_string(), false, &Before::default());
        sheet.publish(row, cells);
        next += 1;
    }
    Numbered {
        rows: (next - first) as usize,
        first,
        added_column: found.is_none(),
        lost_results: false,
        unplaced: Vec::new(),
    }
}

fn lacks_key(sheet: &Sheet, row: RecordIndex) -> bool {
    sheet.key(row).is_empty() && row_has_text(sheet, row)
}

fn row_has_text(sheet: &Sheet, row: RecordIndex) -> bool {
    let fields = sheet.base_fields(row);
    fields
        .iter()
        .any(|field| has_text(&sheet.encoding().read(&sheet.bytes()[field.clone()])))
}

/// Rows without any text, but with a control character.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ControlRows {
    /// How many there are.
    pub rows: usize,
    /// The line of the first.
    pub line: u64,
    /// Its first control character: 0x1A is DOS's end of file.
    pub control: u8,
}

impl ControlRows {
    /// What the first one is, in words.
    pub fn name(&self) -> String {
        control_name(self.control)
    }
}

pub(super) fn control_name(control: u8) -> String {
    match control {
        0x1a => "DOS's end of file (0x1A)".to_owned(),
        other => format!("a control character (0x{other:02X}) alone"),
    }
}

/// The first control character of a row that has nothing else.
pub(super) fn control_of(sheet: &Sheet, row: RecordIndex) -> Option<u8> {
    if !sheet.key(row).is_empty() || row_has_text(sheet, row) {
        return None;
    }
    let is_control = |byte: &&u8| byte.is_ascii_control() && !byte.is_ascii_whitespace();
    let mut bytes = sheet.bytes()[sheet.base_span(row)].iter();
    bytes.find(is_control).copied()
}

impl Sheet {
    /// Takes a version that is yet to get its key column: no row has a key.
    pub(super) fn build_without_key(
        bytes: Snapshot,
        path: &Path,
        options: &Options,
    ) -> Result<Sheet> {
        refuse_utf8(&bytes, path, options)?;
        let (dialect, names) =
            dialect::detect_without_key(&bytes, options.delimiter, options.encoding, path)?;
        Sheet::index(bytes, path, options, dialect, &names)
    }

    /// The rows that are nothing but control characters, `None` if there are none. They are no jobs.
    pub fn control_rows(&self) -> Option<ControlRows> {
        if !self.has_unkeyed() {
            return None;
        }
        let mut rows = self
            .all_rows()
            .filter_map(|row| Some((row, control_of(self, row)?)));
        let (first, control) = rows.next()?;
        Some(ControlRows {
            rows: rows.count() + 1,
            line: self.line(first),
            control,
        })
    }

    /// How many rows have some text, but no key, and the line of the first; `None` if there is none.
    pub fn rows_without_key(&self) -> Option<(usize, u64)> {
        if !self.has_unkeyed() {
            return None;
        }
        let mut rows = self.all_rows().filter(|&row| lacks_key(self, row));
        let first = rows.next()?;
        Some((rows.count() + 1, self.line(first)))
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::sheet::render::Next;

    #[track_caller]
    fn check(csv: impl AsRef<[u8]>, rows: usize, first: u64, numbered: impl AsRef<[u8]>) {
        let options = Options {
            key: " ID ".into(),
            ..Options::default()
        };
        let bytes = Snapshot::Owned(csv.as_ref().to_vec());
        let sheet = Arc::new(build(bytes, Path::new("in.csv"), &options).unwrap());
        let found = number(&sheet, None);
        assert_eq!((found.rows, found.first), (rows, first));
        let next = Next::of(&sheet);
        let mut written = Vec::new();
        next.render(&mut written).unwrap();
        next.verify(&written).unwrap();
        assert_eq!(
            String::from_utf8_lossy(&written),
            String::from_utf8_lossy(numbered.as_ref())
        );
    }

    #[test]
    fn the_rows_of_a_sheet_without_the_column_are_numbered_from_1() {
        check(
            "name,mail\r\nA,a@x\r\n\"B,\n\"\r\n",
            2,
            1,
            "name,mail,ID\r\nA,a@x,1\r\n\"B,\n\",,2\r\n",
        );
        check("\"a\";\"b\"\n1;2", 1, 1, "\"a\";\"b\";\"ID\"\n1;2;\"1\"");
        check(b"a;b\n\xe9;2\n", 1, 1, b"a;b;ID\n\xe9;2;1\n");
    }

    #[test]
    fn a_note_beside_the_table_stays_beside_it() {
        check(
            "a;b\n1;2;;note\n3;4;note\n",
            2,
            1,
            "a;b;ID\n1;2;1;note\n3;4;2;note\n",
        );
    }

    #[test]
    fn numbering_goes_on_behind_the_highest_number() {
        check(
            "id;a\n7;x\n;y\nP9;z\n;w\n",
            2,
            8,
            "id;a\n7;x\n8;y\nP9;z\n9;w\n",
        );
        check(
            "id;a\n18446744073709551615;x\n;y\n",
            1,
            1,
            "id;a\n18446744073709551615;x\n1;y\n",
        );
        check("id;a\n1;x\n", 0, 2, "id;a\n1;x\n");
    }

    #[test]
    fn a_row_without_text_gets_no_number() {
        check("a;b\n;;\n x ;\n \n", 1, 1, "a;b;ID\n;;\n x ;;1\n ;;\n");
    }
}
