//! Sheet + overlay → the bytes of the next version, and the proof that they are right.
//!
//! Every byte that no update touches is copied from the snapshot, also inside a row in which
//! another cell changed; only changed cells are encoded anew. The proof walks the same plan over
//! what was written: copied spans must be equal to the snapshot's, each changed row must parse as
//! one record that holds the new values. Together these fix the record count as well, so nothing
//! has to be indexed again.

use std::io::{self, Write};
use std::ops::Range;
use std::sync::Arc;

use crate::grammar::{Records, decode, encode};
use crate::index::RecordIndex;
use crate::overlay::OverlayRow;
use crate::sheet::Sheet;

/// One piece of the next version.
enum Piece {
    /// Bytes of the snapshot.
    Copied(Range<usize>),
    /// The header, with columns added at its end.
    Header,
    /// A row in which cells changed, or which was padded for added columns.
    Row(RecordIndex, Option<Arc<OverlayRow>>),
}

/// Writes the next version.
pub(crate) fn render(sheet: &Sheet, out: &mut impl Write) -> io::Result<()> {
    let mut buffer = Vec::new();
    for piece in pieces(sheet) {
        match piece {
            Piece::Copied(span) => out.write_all(&sheet.bytes()[span])?,
            Piece::Header => {
                buffer.clear();
                render_header(sheet, &mut buffer);
                out.write_all(&buffer)?;
            }
            Piece::Row(row, cells) => {
                buffer.clear();
                render_row(sheet, row, cells.as_deref(), &mut buffer);
                out.write_all(&buffer)?;
            }
        }
    }
    Ok(())
}

/// Whether the next version would differ from the snapshot.
pub(crate) fn differs(sheet: &Sheet) -> bool {
    !sheet.schema().added().is_empty()
        || sheet.overlay().changed().any(|(row, cells)| {
            cells
                .cells
                .iter()
                .any(|cell| *sheet.base_cell(row, cell.column) != *cell.value.as_bytes())
        })
}

/// Checks what [`render`] wrote. `Err` says what is wrong with it.
pub(crate) fn verify(sheet: &Sheet, written: &[u8]) -> Result<(), String> {
    let mut at = 0;
    for piece in pieces(sheet) {
        match piece {
            Piece::Copied(span) => {
                let copy = written.get(at..at + span.len());
                if copy != Some(&sheet.bytes()[span.clone()]) {
                    return Err(format!(
                        "the bytes from {at} on differ from the old version"
                    ));
                }
                at += span.len();
            }
            Piece::Header => {
                at = verify_record(sheet, written, at, |fields| {
                    let schema = sheet.schema();
                    fields.len() == schema.columns().len()
                        && schema.columns().iter().zip(fields).all(|(name, field)| {
                            std::str::from_utf8(&decode(&written[field.clone()]))
                                .is_ok_and(|field| field.trim() == name)
                        })
                })
                .ok_or("its header reads differently")?
            }
            Piece::Row(row, cells) => {
                at = verify_record(sheet, written, at, |fields| {
                    cells.iter().flat_map(|row| &row.cells).all(|cell| {
                        fields
                            .get(cell.column)
                            .map_or(cell.value.is_empty(), |field| {
                                *decode(&written[field.clone()]) == *cell.value.as_bytes()
                            })
                    })
                })
                .ok_or_else(|| {
                    format!(
                        "the row of {} reads differently",
                        crate::escape::escape(&sheet.po(row))
                    )
                })?
            }
        }
    }
    if at == written.len() {
        Ok(())
    } else {
        Err(format!("it has {} bytes instead of {at}", written.len()))
    }
}

/// Reads one record and returns where it ends; `None` if there is none or it is not as it should be.
fn verify_record(
    sheet: &Sheet,
    written: &[u8],
    at: usize,
    is_right: impl FnOnce(&[Range<usize>]) -> bool,
) -> Option<usize> {
    let mut records = Records::new(written, sheet.dialect().delimiter, at);
    let span = records.next_record().ok()??;
    (span.start == at && is_right(records.fields())).then_some(span.end)
}

/// The plan of the next version. Without added columns it names only the changed rows; with them,
/// every row.
fn pieces(sheet: &Sheet) -> impl Iterator<Item = Piece> {
    let mut plan = Vec::new();
    let mut copied_to = 0;
    let mut push = |span: Range<usize>, piece: Piece| {
        plan.push(Piece::Copied(copied_to..span.start));
        plan.push(piece);
        copied_to = span.end;
    };
    if sheet.schema().added().is_empty() {
        for (row, cells) in sheet.overlay().changed() {
            push(sheet.base_span(row), Piece::Row(row, Some(cells)));
        }
    } else {
        push(
            sheet.dialect().header_start..sheet.dialect().header_end,
            Piece::Header,
        );
        for row in sheet.all_rows() {
            push(
                sheet.base_span(row),
                Piece::Row(row, sheet.overlay().row(row)),
            );
        }
    }
    plan.push(Piece::Copied(copied_to..sheet.bytes().len()));
    plan.into_iter()
}

fn render_header(sheet: &Sheet, out: &mut Vec<u8>) {
    let dialect = sheet.dialect();
    out.extend_from_slice(&sheet.bytes()[dialect.header_start..dialect.header_end]);
    for name in sheet.schema().added() {
        out.push(dialect.delimiter);
        encode(name, dialect.delimiter, dialect.quote_all, out);
    }
}

fn render_row(sheet: &Sheet, row: RecordIndex, cells: Option<&OverlayRow>, out: &mut Vec<u8>) {
    let (delimiter, quote_all) = (sheet.dialect().delimiter, sheet.dialect().quote_all);
    let schema = sheet.schema();
    let (_, fields) = sheet.base_record(row);
    let padded = if schema.added().is_empty() {
        0
    } else {
        schema.columns().len()
    };
    let written = cells
        .and_then(|row| row.cells.iter().rfind(|cell| !cell.value.is_empty()))
        .map_or(0, |cell| cell.column + 1);
    for column in 0..fields.len().max(padded).max(written) {
        if column > 0 {
            out.push(delimiter);
        }
        let raw = fields
            .get(column)
            .map(|field| &sheet.bytes()[field.clone()]);
        let changed = cells.and_then(|row| row.get(column));
        match (raw, changed) {
            (Some(raw), Some(cell)) if *decode(raw) != *cell.value.as_bytes() => {
                encode(&cell.value, delimiter, raw.starts_with(b"\""), out);
            }
            (Some(raw), _) => out.extend_from_slice(raw),
            (None, cell) => encode(
                cell.map_or("", |cell| &cell.value),
                delimiter,
                quote_all,
                out,
            ),
        }
    }
}
