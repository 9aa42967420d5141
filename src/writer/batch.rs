//! Operations in the order of their submission, checked one by one, coalesced per cell.

use std::collections::HashMap;

use chrono::{DateTime, Utc};

use crate::error::{Error, InvalidValue, Result};
use crate::index::RecordIndex;
use crate::journal::{CellUpdate, Frame, RowUpdate};
use crate::record::{ProcessingStatus, same_column};
use crate::schema::addable;
use crate::sheet::{Options, Sheet};
use crate::update::WriteOperation;

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
        now: DateTime<Utc>,
    ) -> Result<()> {
        let po = operation.po_number.trim();
        let row = sheet
            .rows(po)
            .next()
            .ok_or_else(|| Error::UnknownPo { po: po.to_owned() })?;
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
        let updates = operation.updates.normalised(now);
        let mut cells = Vec::new();
        for (name, value) in updates.iter() {
            let named = operation.updates.get(name).is_some();
            if let Some(column) = column_for(sheet, options, name, value, named)? {
                if same_column(column, &sheet.schema().columns()[sheet.schema().key]) {
                    return Err(Error::InvalidValue {
                        po: po.to_owned(),
                        column: name.trim().to_owned(),
                        reason: InvalidValue::Key,
                    });
                }
                cells.push((column, value));
            }
        }
        // Only now that nothing is refused any more may the sheet change.
        let mut placed = Vec::with_capacity(cells.len());
        for (column, value) in cells {
            let place = match sheet.schema().position(column) {
                Some(place) => place,
                None => sheet.add_column(column)?,
            };
            placed.push((place, value.to_owned()));
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
                let before = |column| {
                    let mut values: Vec<String> = sheet
                        .rows(&po)
                        .map(|row| sheet.cell(row, column).into_owned())
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
    batch.add(sheet, options, operation, operation.timestamp)?;
    Ok(batch.into_frame(sheet))
}

/// The column in which a value goes; a name that the sheet lacks is one that may be added. A value
/// that only follows from the status is dropped where it has no place.
fn column_for<'a>(
    sheet: &Sheet,
    options: &Options,
    name: &'a str,
    value: &str,
    named: bool,
) -> Result<Option<&'a str>> {
    if sheet.schema().position(name).is_some() {
        return Ok(Some(name));
    }
    match addable(name) {
        Some(_) if !named && (value.is_empty() || !options.add_columns) => Ok(None),
        Some(column) if options.add_columns => Ok(Some(column)),
        _ => sheet.schema().require(name).map(|_| Some(name)),
    }
}
