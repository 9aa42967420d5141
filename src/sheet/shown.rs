//! A row's cells as a reader sees them: what was written over what the file holds.

use std::borrow::Cow;
use std::sync::Arc;

use crate::csv::{Fields, RecordIndex};
use crate::domain::{Encoding, Stage};
use crate::sheet::overlay::OverlayRow;
use crate::sheet::record::CsvRecord;
use crate::sheet::table::Sheet;

impl Sheet {
    /// What a cell holds now.
    pub(crate) fn cell(&self, row: RecordIndex, column: usize) -> Cow<'_, str> {
        let written = self.overlay().row(row);
        match written.as_ref().and_then(|cells| cells.get(column)) {
            Some(cell) => Cow::Owned(cell.value.to_string()),
            None => text(self.base_cell(row, column)),
        }
    }

    /// A row as it is now, for whoever wants several of its cells.
    pub(crate) fn shown(&self, row: RecordIndex) -> Shown<'_> {
        Shown {
            bytes: self.bytes(),
            encoding: self.encoding(),
            fields: self.base_fields(row),
            width: self.width,
            written: self.overlay().row(row),
        }
    }

    pub(crate) fn record_at(&self, row: RecordIndex) -> CsvRecord {
        self.record_in(row, &self.options().stage)
    }

    /// The same with its state in another stage.
    pub(super) fn record_in(&self, row: RecordIndex, stage: &Stage) -> CsvRecord {
        let shown = self.shown(row);
        let schema = self.schema();
        let cells = schema
            .columns()
            .iter()
            .enumerate()
            .map(|(column, name)| (name.clone(), shown.bytes(column)));
        CsvRecord::of_row(self.po(row), self.line(row), row.slot() + 1, cells, stage)
    }
}

/// A row as it is now.
pub(crate) struct Shown<'s> {
    bytes: &'s [u8],
    encoding: Encoding,
    fields: Fields,
    /// How many columns the header has in the file.
    width: usize,
    written: Option<Arc<OverlayRow>>,
}

impl Shown<'_> {
    pub(crate) fn cell(&self, column: usize) -> Cow<'_, str> {
        text(self.bytes(column))
    }

    /// Whether something was written over what the file holds.
    pub(crate) fn is_written(&self, column: usize) -> bool {
        let written = self.written.as_ref();
        written.is_some_and(|row| row.get(column).is_some())
    }

    /// A cell, which need not be UTF-8.
    pub(crate) fn bytes(&self, column: usize) -> Cow<'_, [u8]> {
        let written = self.written.as_ref().and_then(|row| row.get(column));
        match (written, self.fields.get(column)) {
            (Some(cell), _) => Cow::Borrowed(cell.value.as_bytes()),
            (None, Some(field)) if column < self.width => {
                self.encoding.read(&self.bytes[field.clone()])
            }
            (None, _) => Cow::Borrowed(&[]),
        }
    }
}

/// Whether a value was read from bytes that are no letters in the sheet's encoding. It stands for them, and is
/// never written in their place.
pub(crate) fn is_illegible(value: &str) -> bool {
    value.contains(char::REPLACEMENT_CHARACTER)
}

/// Whether a decoded field is what a value becomes in a file: as it is, or with `?` for what cannot be written.
pub(crate) fn is_shown(field: &[u8], value: &str, encoding: Encoding) -> bool {
    let field = text(Cow::Borrowed(field));
    *field == *value || *field == *encoding.writable(value)
}

/// A decoded field as text; what is not UTF-8 is shown as U+FFFD.
pub(crate) fn text(field: Cow<'_, [u8]>) -> Cow<'_, str> {
    match field {
        Cow::Borrowed(bytes) => String::from_utf8_lossy(bytes),
        Cow::Owned(bytes) => Cow::Owned(String::from_utf8_lossy(&bytes).into_owned()),
    }
}
