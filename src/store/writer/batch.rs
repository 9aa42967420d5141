//! Operations in the order of their submission, checked one by one, coalesced per cell.

use std::collections::HashMap;

use chrono::Utc;
use smallvec::SmallVec;

use crate::csv::RecordIndex;
use crate::domain::columns::addable;
use crate::domain::{InvalidValue, ProcessingStatus};
use crate::error::{Error, Result};
use crate::journal::Frame;
use crate::sheet::change::Before;
use crate::sheet::update::Cell;
use crate::sheet::{CellUpdate, Options, RowUpdate, Schema, Sheet, Shown, WriteOperation};

/// The cells that a batch of operations comes to: the last value of each wins.
#[derive(Default)]
pub(super) struct Batch {
    rows: Vec<BatchRow>,
    by_row: HashMap<RecordIndex, usize>,
}

struct BatchRow {
    update: RowUpdate,
    /// The last that an operation of this batch set.
    status: Option<ProcessingStatus>,
}

impl Batch {
    pub(super) fn with_capacity(operations: usize) -> Batch {
        Batch {
            rows: Vec::with_capacity(operations),
            by_row: HashMap::with_capacity(operations),
        }
    }

    pub(super) fn add(
        &mut self,
        sheet: &Sheet,
        options: &Options,
        operation: &WriteOperation,
        now: &str,
    ) -> Result<()> {
        let po = operation.po_number.trim();
        let rows: SmallVec<[RecordIndex; 1]> = sheet.rows(po).collect();
        let first = *rows.first().ok_or_else(|| sheet.unknown_po(po))?;
        operation.updates.validate(po)?;
        let known = self.by_row.get(&first).copied();
        let to = operation.updates.new_status();
        if let Some(to) = &to
            && !operation.force
        {
            let set_before = known.and_then(|at| self.rows[at].status.clone());
            let from = match set_before {
                Some(status) => (!status.may_become(to)).then_some(status),
                None => {
                    let mut shown = rows.iter().map(|&row| sheet.status_at(row));
                    shown.rfind(|status| !status.may_become(to))
                }
            };
            if let Some(from) = from {
                return Err(Error::Transition {
                    po: po.to_owned(),
                    from,
                    to: to.clone(),
                });
            }
        }
        let mut schema = sheet.schema();
        let cells = operation.updates.cells(now);
        let mut places: SmallVec<[Option<Place>; 4]> = SmallVec::new();
        for cell in &cells {
            let place = place_for(&schema, options, cell)?;
            if let Some(Place::At(column)) = place
                && column == schema.key
            {
                return Err(Error::InvalidValue {
                    po: po.to_owned(),
                    column: cell.column.trim().to_owned(),
                    reason: InvalidValue::Key,
                });
            }
            places.push(place);
        }
        // Only now that nothing is refused any more may the sheet change.
        for place in &mut places {
            if let Some(Place::New(name)) = place {
                *place = Some(Place::At(sheet.add_column(name)?));
                schema = sheet.schema();
            }
        }
        let at = known.unwrap_or_else(|| {
            self.by_row.insert(first, self.rows.len());
            self.rows.push(BatchRow {
                update: RowUpdate {
                    po: po.into(),
                    cells: Vec::with_capacity(cells.len()),
                },
                status: None,
            });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        row.status = to.or_else(|| row.status.take());
        let shown: SmallVec<[Shown<'_>; 1]> = rows.iter().map(|&row| sheet.shown(row)).collect();
        for (cell, place) in cells.into_iter().zip(places) {
            let Some(Place::At(column)) = place else {
                continue;
            };
            let name = &schema.columns()[column];
            let value = cell.value.into();
            let mut known = row.update.cells.iter_mut();
            match known.find(|known| known.column == name.as_str()) {
                Some(known) => known.value = value,
                None => row.update.cells.push(CellUpdate {
                    column: name.as_str().into(),
                    value,
                    before: before(&shown, column),
                    outside: false,
                }),
            }
        }
        Ok(())
    }

    pub(super) fn into_frame(self) -> Option<Frame> {
        let rows: Vec<RowUpdate> = self.rows.into_iter().map(|row| row.update).collect();
        (!rows.is_empty()).then(|| Frame {
            at: Utc::now(),
            rows,
        })
    }
}

/// What a column's cells show before the batch.
fn before(rows: &[Shown<'_>], column: usize) -> Before {
    let mut values: Before = rows.iter().map(|row| row.cell(column).into()).collect();
    values.dedup();
    values
}

/// The frame of one operation, for the fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) fn frame_of(
    sheet: &Sheet,
    options: &Options,
    operation: &WriteOperation,
) -> Result<Option<Frame>> {
    let mut batch = Batch::default();
    let now = crate::domain::format_timestamp(operation.timestamp);
    batch.add(sheet, options, operation, &now)?;
    Ok(batch.into_frame())
}

/// Where a value goes.
enum Place {
    At(usize),
    /// A column that the sheet lacks and that may be added.
    New(&'static str),
}

/// The place of a value, if it has one: what only follows from the status needs none.
fn place_for(schema: &Schema, options: &Options, cell: &Cell<'_>) -> Result<Option<Place>> {
    if let Some(column) = schema.position(cell.column) {
        return Ok(Some(Place::At(column)));
    }
    match addable(cell.column) {
        Some(_) if !cell.named && (cell.value.is_empty() || !options.add_columns) => Ok(None),
        Some(name) if options.add_columns => Ok(Some(Place::New(name))),
        _ => schema
            .require(cell.column, options)
            .map(|at| Some(Place::At(at))),
    }
}
