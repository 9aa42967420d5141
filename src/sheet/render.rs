//! Sheet + overlay → the bytes of the next version, and the proof that they are right.
//!
//! Every byte that no update touches is copied from the snapshot, also inside a row in which
//! another cell changed; only changed cells are encoded anew. Added columns come directly behind the
//! header's last field, and text that a row has there moves on with them, so that it stays beside the table. The proof walks the same plan over
//! what was written: copied spans must be equal to the snapshot's, each changed row must parse as
//! one record that holds the new values. Together these fix the record count as well, so nothing
//! has to be indexed again.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use crate::csv::{RecordIndex, fields_at};
use crate::sheet::number;
use crate::sheet::overlay::OverlayRow;
use crate::sheet::schema::Schema;
use crate::sheet::shown::is_shown;
use crate::sheet::table::Sheet;

/// The next version, as of when it was planned: what is written to the sheet meanwhile is for the one
/// after it.
pub(crate) struct Next {
    sheet: Arc<Sheet>,
    schema: Arc<Schema>,
    /// In the sheet's order.
    changed: Vec<(RecordIndex, Arc<OverlayRow>)>,
}

/// One piece of it.
enum Piece<'n> {
    /// Bytes of the snapshot.
    Copied(Range<usize>),
    /// The header, with columns added at its end.
    Header,
    /// A row in which cells changed, or which was padded for added columns.
    Row(RecordIndex, Option<&'n OverlayRow>),
}

impl Next {
    /// Plans it. Only whoever may change the sheet calls this.
    pub(crate) fn of(sheet: &Arc<Sheet>) -> Next {
        Next {
            sheet: Arc::clone(sheet),
            schema: sheet.schema(),
            changed: sheet.overlay().changed().collect(),
        }
    }

    /// The version that it is made of.
    pub(crate) fn sheet(&self) -> &Arc<Sheet> {
        &self.sheet
    }

    /// Whether it has columns that the snapshot has not.
    pub(crate) fn has_added_columns(&self) -> bool {
        !self.schema.added().is_empty()
    }

    /// The names of these.
    pub(crate) fn added_columns(&self) -> &[String] {
        self.schema.added()
    }

    /// Writes it.
    pub(crate) fn render(&self, out: &mut impl Write) -> io::Result<()> {
        let mut buffer = Vec::new();
        self.for_each_piece(|piece| match piece {
            Piece::Copied(span) => out.write_all(&self.sheet.bytes()[span]),
            Piece::Header => {
                buffer.clear();
                self.render_header(&mut buffer);
                out.write_all(&buffer)
            }
            Piece::Row(row, cells) => {
                buffer.clear();
                self.render_row(row, cells, &mut buffer);
                out.write_all(&buffer)
            }
        })
    }

    /// Checks what [`Next::render`] wrote. `Err` says what is wrong with it.
    pub(crate) fn verify(&self, written: &[u8]) -> Result<(), String> {
        let mut at = 0;
        let encoding = self.sheet.encoding();
        let names = self.schema.columns();
        self.for_each_piece(|piece| {
            match piece {
                Piece::Copied(span) => {
                    let copy = written.get(at..at + span.len());
                    if copy != Some(&self.sheet.bytes()[span.clone()]) {
                        return Err(format!(
                            "the bytes from {at} on differ from the old version"
                        ));
                    }
                    at += span.len();
                }
                Piece::Header => {
                    at = self
                        .verify_record(written, at, |fields| {
                            fields.len() == names.len()
                                && names.iter().zip(fields).all(|(name, field)| {
                                    std::str::from_utf8(&encoding.read(&written[field.clone()]))
                                        .is_ok_and(|field| {
                                            field.trim() == &*encoding.writable(name)
                                        })
                                })
                        })
                        .ok_or("its header reads differently")?
                }
                Piece::Row(row, cells) => {
                    at = self
                        .verify_record(written, at, |fields| {
                            cells.iter().flat_map(|row| &row.cells).all(|cell| {
                                fields
                                    .get(cell.column)
                                    .map_or(cell.value.is_empty(), |field| {
                                        let field = encoding.read(&written[field.clone()]);
                                        is_shown(&field, &cell.value, encoding)
                                    })
                            })
                        })
                        .ok_or_else(|| {
                            format!(
                                "the row of {} reads differently",
                                crate::text::escape(&self.sheet.po(row))
                            )
                        })?
                }
            }
            Ok(())
        })?;
        if at == written.len() {
            Ok(())
        } else {
            Err(format!("it has {} bytes instead of {at}", written.len()))
        }
    }

    /// Reads one record and returns where it ends; `None` if there is none or it is not as it should
    /// be.
    fn verify_record(
        &self,
        written: &[u8],
        at: usize,
        is_right: impl FnOnce(&[Range<usize>]) -> bool,
    ) -> Option<usize> {
        let fields = fields_at(written, self.sheet.dialect().delimiter, at).ok()??;
        let end = fields.last()?.end;
        (fields.first()?.start == at && is_right(&fields)).then_some(end)
    }

    /// Without added columns only the changed rows are pieces; with them, every row is one.
    fn for_each_piece<'n, E>(
        &'n self,
        mut each: impl FnMut(Piece<'n>) -> Result<(), E>,
    ) -> Result<(), E> {
        let mut copied_to = 0;
        let mut piece = |span: Range<usize>, piece| {
            each(Piece::Copied(copied_to..span.start))?;
            copied_to = span.end;
            each(piece)
        };
        let mut changed = self.changed.iter().map(|(row, cells)| (*row, &**cells));
        if self.has_added_columns() {
            let dialect = self.sheet.dialect();
            piece(dialect.header_start..dialect.header_end, Piece::Header)?;
            let mut changed = changed.peekable();
            let may_have_controls = self.sheet.has_unkeyed();
            for row in self.sheet.all_rows() {
                let cells = changed
                    .next_if(|&(at, _)| at == row)
                    .map(|(_, cells)| cells);
                // DOS's end of file is one only as long as nothing stands behind it.
                if cells.is_none()
                    && may_have_controls
                    && number::control_of(&self.sheet, row).is_some()
                {
                    continue;
                }
                piece(self.sheet.base_span(row), Piece::Row(row, cells))?;
            }
        } else {
            changed.try_for_each(|(row, cells)| {
                piece(self.sheet.base_span(row), Piece::Row(row, Some(cells)))
            })?;
        }
        each(Piece::Copied(copied_to..self.sheet.bytes().len()))
    }

    fn render_header(&self, out: &mut Vec<u8>) {
        let dialect = self.sheet.dialect();
        out.extend_from_slice(&self.sheet.bytes()[dialect.header_start..dialect.header_end]);
        for name in self.schema.added() {
            out.push(dialect.delimiter);
            dialect
                .encoding
                .write(name, dialect.delimiter, dialect.quote_all, out);
        }
    }

    fn render_row(&self, row: RecordIndex, cells: Option<&OverlayRow>, out: &mut Vec<u8>) {
        let sheet = &self.sheet;
        let (delimiter, quote_all) = (sheet.dialect().delimiter, sheet.dialect().quote_all);
        let encoding = sheet.encoding();
        let fields = sheet.base_fields(row);
        let (width, added) = (self.schema.header_width, self.schema.added().len());
        let raw = |at: usize| fields.get(at).map(|field| &sheet.bytes()[field.clone()]);
        // What stands beside the table: its first empty fields become cells of columns that are added, and
        // everything from the first text on stays beside it.
        let beside = (width..fields.len()).filter_map(raw);
        let empty = beside
            .take(added)
            .take_while(|raw| encoding.read(raw).is_empty());
        let taken = width + empty.count();
        let of_table = match added {
            0 => {
                let last =
                    cells.and_then(|row| row.cells.iter().rfind(|cell| !cell.value.is_empty()));
                let written = last.map_or(0, |cell| cell.column + 1);
                fields.len().min(width).max(written)
            }
            added => width + added,
        };
        for column in 0..of_table {
            if column > 0 {
                out.push(delimiter);
            }
            let changed = cells.and_then(|row| row.get(column));
            match (raw(column).filter(|_| column < taken), changed) {
                (Some(raw), Some(cell))
                    if !is_shown(&encoding.read(raw), &cell.value, encoding) =>
                {
                    encoding.write(&cell.value, delimiter, raw.starts_with(b"\""), out);
                }
                (Some(raw), _) => out.extend_from_slice(raw),
                (None, cell) => encoding.write(
                    cell.map_or("", |cell| &cell.value),
                    delimiter,
                    quote_all,
                    out,
                ),
            }
        }
        for raw in (taken..fields.len()).filter_map(raw) {
            out.push(delimiter);
            out.extend_from_slice(raw);
        }
    }
}

/// Whether the next version would differ from the snapshot.
pub(crate) fn differs(sheet: &Sheet) -> bool {
    !sheet.schema().added().is_empty() || behind(sheet).next().is_some()
}

/// The rows of which the snapshot does not show all.
fn behind(sheet: &Sheet) -> impl Iterator<Item = RecordIndex> {
    let encoding = sheet.encoding();
    let rows = sheet.overlay().changed();
    let is_behind = move |(row, cells): (RecordIndex, Arc<OverlayRow>)| {
        let mut cells = cells.cells.iter();
        let differs =
            cells.any(|cell| !is_shown(&sheet.base_cell(row, cell.column), &cell.value, encoding));
        differs.then_some(row)
    };
    rows.filter_map(is_behind)
}

impl Sheet {
    /// How many rows have something durable that the file does not show yet: during a session, or since one was
    /// killed. The next session makes it visible.
    pub fn not_visible(&self) -> usize {
        behind(self).count()
    }
}
