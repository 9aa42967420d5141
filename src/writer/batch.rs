//! Operations in the order of their submission, checked one by one, coalesced per cell.

use std::collections::HashMap;

use chrono::Utc;

use crate::error::{Error, InvalidValue, Result};
use crate::index::RecordIndex;
use crate::journal::{CellUpdate, Frame, RowUpdate};
use crate::record::ProcessingStatus;
use crate::schema::{Schema, addable};
use crate::sheet::{Options, Sheet, Shown};
use crate::update::{Cell, WriteOperation};

/// The cells that a batch of operations comes to: the last value of each wins.
#[derive(Default)]
pub(super) struct Batch {
    rows: Vec<BatchRow>,
    by_row: HashMap<RecordIndex, usize>,
}

struct BatchRow {
    po: String,
    /// The last that an operation of this batch set.
    status: Option<ProcessingStatus>,
    cells: Vec<(usize, String)>,
}

impl Batch {
    pub(super) fn add(
        &mut self,
        sheet: &Sheet,
        options: &Options,
        operation: &WriteOperation,
        now: &str,
    ) -> Result<()> {
        let po = operation.po_number.trim();
        let row = sheet.rows(po).next().ok_or_else(|| sheet.unknown_po(po))?;
        operation.updates.validate(po)?;
        let known = self.by_row.get(&row).copied();
        let to = operation.updates.new_status();
        if let Some(to) = &to
            && !operation.force
        {
            let set_before = known.and_then(|at| self.rows[at].status.clone());
            let mut from = match set_before {
                Some(status) => vec![status],
                None => sheet.rows(po).map(|row| sheet.status_at(row)).collect(),
            };
            from.retain(|from| !from.may_become(to));
            if let Some(from) = from.pop() {
                return Err(Error::Transition {
                    po: po.to_owned(),
                    from,
                    to: to.clone(),
                });
            }
        }
        let schema = sheet.schema();
        let cells = operation.updates.cells(now);
        let mut places = Vec::with_capacity(cells.len());
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
        let mut placed = Vec::with_capacity(cells.len());
        for (cell, place) in cells.into_iter().zip(places) {
            let column = match place {
                Some(Place::At(column)) => column,
                Some(Place::New(name)) => sheet.add_column(name)?,
                None => continue,
            };
            placed.push((column, cell.value.into_owned()));
        }
        let at = known.unwrap_or_else(|| {
            self.by_row.insert(row, self.rows.len());
            self.rows.push(BatchRow {
                po: po.to_owned(),
                status: None,
                cells: Vec::new(),
            });
            self.rows.len() - 1
        });
        let batch_row = &mut self.rows[at];
        batch_row.status = to.or_else(|| batch_row.status.take());
        for (column, value) in placed {
            match batch_row
                .cells
                .iter_mut()
                .find(|(known, _)| *known == column)
            {
                Some(cell) => cell.1 = value,
                None => batch_row.cells.push((column, value)),
            }
        }
        Ok(())
    }

    pub(super) fn into_frame(self, sheet: &Sheet) -> Option<Frame> {
        let schema = sheet.schema();
        let rows: Vec<RowUpdate> = self
            .rows
            .into_iter()
            .map(|BatchRow { po, cells, .. }| {
                let shown: Vec<Shown<'_>> = sheet.rows(&po).map(|row| sheet.shown(row)).collect();
                let before = |column| {
                    let mut values: Vec<String> = shown
                        .iter()
                        .map(|row| row.cell(column).into_owned())
                        .collect();
                    values.dedup();
                    values
                };
                let cells = cells
                    .into_iter()
                    .map(|(column, value)| CellUpdate {
                        column: schema.columns()[column].clone(),
                        value,
                        before: before(column),
                        outside: false,
                    })
                    .collect();
                RowUpdate { po, cells }
            })
            .collect();
        (!rows.is_empty()).then(|| Frame {
            at: Utc::now(),
            rows,
        })
    }
}

/// The frame of one operation, for the fuzz targets.
#[cfg(feature = "fuzzing")]
pub(crate) fn frame_of(
    sheet: &Sheet,
    options: &Options,
    operation: &WriteOperation,
) -> Result<Option<Frame>> {
    let mut batch = Batch::default();
    let now = crate::record::format_timestamp(operation.timestamp);
    batch.add(sheet, options, operation, &now)?;
    Ok(batch.into_frame(sheet))
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
