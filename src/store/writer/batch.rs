//! Operations in the order of their submission, checked one by one, coalesced per cell.
//!
//! What a person or a library call asks for is refused if it cannot be done as it is. The result of a job
//! that has run never is: what has no place goes into the frame as well, and from there to
//! `….unplaced.csv` (see `sheet/unplaced.rs`), and the row gets its state in any case.

use std::borrow::Cow;
use std::collections::HashMap;

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::csv::{DELIMITERS, RecordIndex};
use crate::domain::columns::{STATUS, same_column};
use crate::domain::{
    InvalidValue, MAX_ADDED_COLUMNS, MAX_FIELDS, MAX_NAME_CHARS, MAX_RECORD_BYTES, ProcessingStatus,
};
use crate::error::{Error, Result};
use crate::journal::Frame;
use crate::journal::frame::has_time;
use crate::sheet::change::Before;
use crate::sheet::update::Cell;
use crate::sheet::{
    CellUpdate, Lossy, Options, Room, RowUpdate, Schema, Sheet, Shown, WriteOperation,
};
use crate::text::{Escaped, Meant, escape, escape_list, looks_like};

/// The cells that a batch of operations comes to: the last value of each wins.
#[derive(Default)]
pub(super) struct Batch {
    rows: Vec<BatchRow>,
    by_row: HashMap<RecordIndex, usize>,
    /// Cells of results that have no place.
    unplaced: Vec<RowUpdate>,
    /// Whether nothing else than results was added.
    is_of_results: bool,
    /// Columns of their own that results add.
    columns: Vec<CompactString>,
    /// How many more they may add.
    room: usize,
    /// What is to be said once the frame is durable.
    notes: Vec<Note>,
    /// Values with letters that the sheet's encoding lacks.
    lossy: Vec<Lossy>,
}

/// What a person should know of a result.
struct Note {
    po: String,
    said: String,
    /// Whether something may be wrong.
    is_odd: bool,
}

struct BatchRow {
    update: RowUpdate,
    /// The last that an operation of this batch set.
    status: Option<ProcessingStatus>,
    /// Whether a job's result is among what is written.
    is_result: bool,
}

impl BatchRow {
    /// Sets a cell, of which the values `before` the batch are remembered.
    fn write(&mut self, column: &str, value: CompactString, before: impl FnOnce() -> Before) {
        let mut known = self.update.cells.iter_mut();
        match known.find(|known| known.column == column) {
            Some(known) => known.value = value,
            None => self.update.cells.push(CellUpdate {
                column: column.into(),
                value,
                before: before(),
                outside: false,
            }),
        }
    }
}

impl Batch {
    /// For so many operations, whose results may add so many columns of their own.
    pub(super) fn new(operations: usize, room: usize) -> Batch {
        Batch {
            room,
            rows: Vec::with_capacity(operations),
            by_row: HashMap::with_capacity(operations),
            is_of_results: true,
            ..Batch::default()
        }
    }

    pub(super) fn add(
        &mut self,
        sheet: &Sheet,
        options: &Options,
        operation: &WriteOperation,
        now: &str,
    ) -> Result<()> {
        self.is_of_results &= operation.is_result;
        let po = &*sheet.canonical(&operation.po_number);
        let rows: SmallVec<[RecordIndex; 1]> = sheet.rows(po).collect();
        let Some(&first) = rows.first() else {
            if !operation.is_result {
                return Err(sheet.unknown_po(po));
            }
            self.keep_without_row(po, options, operation, now);
            return Ok(());
        };
        if !operation.is_result {
            operation.updates.validate(po, options.encoding)?;
        }
        let known = self.by_row.get(&first).copied();
        let forbidden = self.forbidden(sheet, options, &rows, operation);
        if let Some((from, to)) = &forbidden {
            if !operation.is_result {
                let (po, from, to) = (po.to_owned(), from.clone(), to.clone());
                return Err(Error::Transition { po, from, to });
            }
            let mut aside = operation.updates.aside().iter();
            let said = aside.rfind(|(column, _)| same_column(column, STATUS));
            // An error was made of a word that is no result's.
            let said = said
                .map(|(_, word)| ProcessingStatus::parse(word))
                .filter(|word| *word == ProcessingStatus::Pending || !options.is_known(word));
            let to = said.as_ref().unwrap_or(to);
            self.note(
                po,
                format!("a result may not change {from} to {to}: its status, time and message go to ….unplaced.csv"),
            );
        }
        let state_stays = forbidden.is_some();
        let mut schema = sheet.schema();
        let cells = operation.updates.cells(now, options);
        let mut places = self.places(sheet, first, options, operation, &cells, state_stays)?;
        self.leave_out_what_is_too_long(sheet, &rows, options, operation, &cells, &mut places)?;
        // Only now that nothing is refused any more may the sheet change.
        for (place, cell) in places.iter_mut().zip(&cells) {
            match place {
                Place::New(name) => {
                    *place = Place::At(sheet.add_column(name));
                    schema = sheet.schema();
                }
                Place::Own => self.add_column(po, cell.column, &schema, options),
                _ => {}
            }
        }
        let at = known.unwrap_or_else(|| {
            self.by_row.insert(first, self.rows.len());
            self.rows.push(BatchRow {
                update: RowUpdate {
                    po: po.into(),
                    cells: Vec::with_capacity(cells.len()),
                    aside: false,
                    row: None,
                },
                status: None,
                is_result: false,
            });
            self.rows.len() - 1
        });
        let row = &mut self.rows[at];
        row.is_result |= operation.is_result;
        if !state_stays {
            let to = operation.updates.new_status();
            row.status = to.or_else(|| row.status.take());
        }
        let shown: SmallVec<[Shown<'_>; 1]> = rows.iter().map(|&row| sheet.shown(row)).collect();
        let mut of_key = Vec::new();
        let (mut missing, mut aside, mut lossy) = (Vec::new(), Vec::new(), Vec::new());
        let encoding = options.encoding;
        let mut writable = |column: &str, value: Cow<'_, str>| {
            if let Some(letter) = encoding.has_no(&value) {
                lossy.push(Lossy {
                    po: po.to_owned(),
                    column: column.trim().to_owned(),
                    letter,
                });
            }
            match encoding.can_write(&value) {
                true => CompactString::from(value),
                false => encoding.writable(&value).into(),
            }
        };
        for (cell, place) in cells.into_iter().zip(places) {
            match place {
                Place::At(column) => {
                    let value = writable(cell.column, cell.value);
                    row.write(&schema.columns()[column], value, || before(&shown, column));
                }
                Place::Own => {
                    let value = writable(cell.column, cell.value);
                    row.write(own_name(&self.columns, cell.column), value, || {
                        Before::from_elem(CompactString::default(), 1)
                    });
                }
                Place::Missing => missing.push(unplaced(cell.column, &cell.value)),
                Place::Aside => aside.push(unplaced(cell.column, &cell.value)),
                // Beside the row's own key, which stands there too.
                Place::Key(column) => {
                    let name = &schema.columns()[column];
                    let column = format!("ANSWERED_{name}");
                    of_key.push(format!(
                        "a result may not change the key: what it says of {} goes to ….unplaced.csv, as {}",
                        escape(name),
                        escape(&column)
                    ));
                    aside.push(unplaced(&column, &cell.value));
                }
                Place::None | Place::New(_) => {}
            }
        }
        self.lossy.extend(lossy);
        for said in of_key {
            self.note(po, said);
        }
        missing.retain(|cell| !cell.value.trim().is_empty());
        if let Some(first) = missing.first() {
            let names: Vec<String> = missing.iter().map(|cell| cell.column.to_string()).collect();
            let names = escape_list(&names);
            let may_be_added = may_be_added(&first.column, &schema);
            let why = match options.add_columns && self.room == 0 && may_be_added {
                _ if encoding.has_no(&first.column).is_some() => {
                    format!("{} cannot write the name of the column", encoding.name())
                }
                true => format!(
                    "{MAX_ADDED_COLUMNS} columns were added to this sheet by results, and no more are"
                ),
                false => schema.unknown(&first.column, options).to_string(),
            };
            self.note(
                po,
                format!("cells without a column go to ….unplaced.csv ({names}): {why}"),
            );
        }
        self.keep(po, missing, false);
        aside.extend(set_aside(operation, options));
        self.keep(po, aside, true);
        Ok(())
    }

    /// From which status to which other one the operation may not take its rows, if it wants to. A result
    /// does not take the place of a word that nobody knows: a person's, typed while the job ran.
    fn forbidden(
        &self,
        sheet: &Sheet,
        options: &Options,
        rows: &[RecordIndex],
        operation: &WriteOperation,
    ) -> Option<(ProcessingStatus, ProcessingStatus)> {
        let to = operation
            .updates
            .new_status()
            .filter(|_| !operation.force)?;
        let known = self.by_row.get(rows.first()?);
        let from = match known.and_then(|&at| self.rows[at].status.clone()) {
            Some(set_before) => (!options.may_become(&set_before, &to)).then_some(set_before),
            None => {
                let mut shown = rows.iter().map(|&row| sheet.status_at(row));
                shown.rfind(|status| {
                    !options.may_become(status, &to)
                        || operation.is_result && options.leaves_alone(status)
                })
            }
        };
        Some((from?, to))
    }

    /// The place of each cell of an operation. Only what a person or a library call asks for is refused.
    fn places<'o>(
        &self,
        sheet: &Sheet,
        row: RecordIndex,
        options: &'o Options,
        operation: &WriteOperation,
        cells: &[Cell<'_>],
        state_stays: bool,
    ) -> Result<SmallVec<[Place<'o>; 4]>> {
        let schema = &*sheet.schema();
        // Which of its columns an operation adds is decided in its order.
        let mut own: Vec<&str> = self.columns.iter().map(CompactString::as_str).collect();
        let most = own.len() + self.room;
        let mut places = SmallVec::with_capacity(cells.len());
        for cell in cells {
            let mut place = place_for(schema, options, operation.is_result, cell);
            if let Place::Own = place {
                let is_known = own.iter().any(|known| same_column(known, cell.column));
                let has_room = || own.len() < most && sheet.has_room_for_columns(own.len() + 1);
                match is_known {
                    true => {}
                    false if has_room() => own.push(cell.column),
                    false => place = Place::Missing,
                }
            }
            places.push(match place {
                Place::At(_) | Place::New(_)
                    if state_stays && options.stage.has_column(cell.column) =>
                {
                    Place::Aside
                }
                Place::Key(column)
                    if operation.is_result && *cell.value == *sheet.cell(row, column).trim() =>
                {
                    Place::None
                }
                Place::Key(_) if !operation.is_result => {
                    return Err(Error::InvalidValue {
                        po: sheet.po(row),
                        column: cell.column.trim().to_owned(),
                        reason: InvalidValue::Key(options.key.names().into()),
                    });
                }
                Place::Missing | Place::Aside if !operation.is_result => {
                    return Err(schema.unknown(cell.column, options));
                }
                place => place,
            });
        }
        Ok(places)
    }

    /// Takes the places of cells for which a row has no room; its state comes first. Only what a person or a
    /// library call asks for is refused.
    fn leave_out_what_is_too_long(
        &mut self,
        sheet: &Sheet,
        rows: &[RecordIndex],
        options: &Options,
        operation: &WriteOperation,
        cells: &[Cell<'_>],
        places: &mut [Place<'_>],
    ) -> Result<()> {
        let schema = sheet.schema();
        let known = rows.first().and_then(|row| self.by_row.get(row));
        let known = known.map_or(&[][..], |&at| &self.rows[at].update.cells);
        let values = known.iter().map(|cell| cell.value.len());
        let bytes = values
            .chain(cells.iter().map(|cell| cell.value.len()))
            .sum();
        let overlay = |row| sheet.overlay().row(row).unwrap_or_default();
        let in_doubt = rows
            .iter()
            .filter(|&&row| Room::is_in_doubt(sheet, row, bytes));
        let rooms = in_doubt.filter_map(|&row| Room::of(sheet, row, &overlay(row), bytes));
        let mut rooms: SmallVec<[Room<'_>; 1]> = rooms.collect();
        if rooms.is_empty() {
            return Ok(());
        }
        // Columns that are not there yet are told apart by numbers that no other column has.
        let new = |at: usize| MAX_FIELDS + at;
        for (at, cell) in known.iter().enumerate() {
            let column = schema.position(&cell.column);
            let column = column.unwrap_or(new(cells.len() + at));
            rooms
                .iter_mut()
                .for_each(|room| room.write(column, &cell.value));
        }
        let is_state = |at: &usize| options.stage.has_column(cells[*at].column);
        let (state, rest): (Vec<usize>, Vec<usize>) = (0..cells.len()).partition(is_state);
        let mut left_out = Vec::new();
        for at in state.into_iter().chain(rest) {
            let Cell { column, value, .. } = &cells[at];
            let place = match places[at] {
                Place::At(column) => column,
                Place::New(_) | Place::Own => new(at),
                _ => continue,
            };
            let is_state = is_state(&at);
            if rooms.iter().all(|room| room.takes(place, value, is_state)) {
                rooms.iter_mut().for_each(|room| room.write(place, value));
            } else if operation.is_result {
                left_out.push(column.trim().to_owned());
                places[at] = Place::Aside;
            } else {
                return Err(Error::InvalidValue {
                    po: operation.po_number.clone(),
                    column: column.trim().to_owned(),
                    reason: InvalidValue::NoRoom,
                });
            }
        }
        if !left_out.is_empty() {
            let said = format!(
                "cells for which the row has no room go to ….unplaced.csv ({}): a row has at most {MAX_RECORD_BYTES} bytes",
                escape_list(&left_out)
            );
            self.note(&operation.po_number, said);
        }
        Ok(())
    }

    /// A result whose row is gone waits for the row to come back.
    fn keep_without_row(
        &mut self,
        po: &str,
        options: &Options,
        operation: &WriteOperation,
        now: &str,
    ) {
        let cells = operation.updates.cells(now, options);
        let cells = cells
            .iter()
            .filter(|cell| cell.named || !cell.value.is_empty());
        let cells = cells
            .map(|cell| unplaced(cell.column, &cell.value))
            .collect();
        self.note(
            po,
            "its row is gone: the result goes to ….unplaced.csv".into(),
        );
        self.keep(po, cells, false);
        self.keep(po, set_aside(operation, options).collect(), true);
    }

    fn keep(&mut self, po: &str, mut cells: Vec<CellUpdate>, aside: bool) {
        cells.retain(|cell| !cell.value.trim().is_empty());
        if !cells.is_empty() {
            let po = po.into();
            self.unplaced.push(RowUpdate {
                po,
                cells,
                aside,
                row: None,
            });
        }
    }

    fn note(&mut self, po: &str, said: String) {
        self.tell(po, said, true);
    }

    fn tell(&mut self, po: &str, said: String, is_odd: bool) {
        let po = po.to_owned();
        self.notes.push(Note { po, said, is_odd });
    }

    /// Adds a column of a result's own, unless the operations before did.
    fn add_column(&mut self, po: &str, column: &str, schema: &Schema, options: &Options) {
        let name = &*options.encoding.writable(column.trim());
        if self.columns.iter().any(|known| same_column(known, name)) {
            return;
        }
        let close = schema.close_to(name, options);
        let said = format!(
            "a result adds the column {} at the end{}",
            escape(name),
            Meant {
                wanted: name,
                columns: schema.columns(),
                close: &close
            }
        );
        let is_odd = !close.is_empty() || looks_like(name, schema.columns()).is_some();
        self.tell(po, said, is_odd);
        self.columns.push(name.into());
        self.room -= 1;
    }

    /// What is to be kept beside the backups, and not to be written.
    pub(super) fn keep_aside(&mut self, rows: Vec<RowUpdate>) {
        self.unplaced.extend(rows);
    }

    /// Values with letters that the sheet's encoding lacks, to be said once the frame is durable.
    pub(super) fn take_lossy(&mut self) -> Vec<Lossy> {
        std::mem::take(&mut self.lossy)
    }

    /// What is written to rows.
    pub(super) fn rows(&self) -> impl Iterator<Item = &RowUpdate> {
        self.rows.iter().map(|row| &row.update)
    }

    /// What jobs' results write.
    pub(super) fn results(&self) -> impl Iterator<Item = &RowUpdate> {
        let results = self.rows.iter().filter(|row| row.is_result);
        results.map(|row| &row.update)
    }

    /// The frame, and what is to be said once it is durable.
    pub(super) fn into_frame(self) -> (Option<Frame>, impl FnOnce()) {
        let rows = self.rows.into_iter().map(|row| row.update);
        let rows: Vec<RowUpdate> = rows.chain(self.unplaced).collect();
        let columns = self.columns;
        let results = self.is_of_results && !rows.iter().all(has_time);
        let frame = (!rows.is_empty()).then(|| Frame {
            columns,
            results,
            ..Frame::of(rows)
        });
        let say = move || {
            for Note { po, said, is_odd } in self.notes {
                match is_odd {
                    true => tracing::warn!(key = %Escaped::name(&po), "{said}"),
                    false => tracing::info!(key = %Escaped::name(&po), "{said}"),
                }
            }
        };
        (frame, say)
    }
}

fn set_aside(operation: &WriteOperation, options: &Options) -> impl Iterator<Item = CellUpdate> {
    let aside = operation.updates.aside().iter();
    aside.map(|(column, value)| unplaced(options.stage.column(column), value))
}

fn unplaced(column: &str, value: &str) -> CellUpdate {
    CellUpdate {
        column: column.trim().into(),
        value: value.into(),
        before: Before::new(),
        outside: false,
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
    let mut batch = Batch::new(1, MAX_ADDED_COLUMNS);
    let now = crate::domain::format_timestamp(operation.timestamp);
    batch.add(sheet, options, operation, &now)?;
    Ok(batch.into_frame().0)
}

/// A result's own column as the frame adds it.
fn own_name<'c>(columns: &'c [CompactString], column: &str) -> &'c str {
    let mut names = columns.iter();
    let name = names.find(|name| same_column(name, column));
    name.expect("the batch has added it")
}

/// Whether a column may have this name that somebody made up.
fn may_be_added(name: &str, schema: &Schema) -> bool {
    let name = name.trim();
    let is_key = |name: &str| {
        let mut key = schema.key().iter();
        key.any(|&column| same_column(name, &schema.columns()[column]))
    };
    // By the key the header's delimiter is found: read with another one, it must not show there.
    let shows_key = |delimiter: u8| {
        let mut parts = name.split(char::from(delimiter));
        parts.any(|part| is_key(part.trim().trim_matches('"')))
    };
    !name.is_empty()
        && !name.chars().any(char::is_control)
        && name.chars().take(MAX_NAME_CHARS + 1).count() <= MAX_NAME_CHARS
        && !DELIMITERS.into_iter().any(shows_key)
}

/// Where a value goes.
enum Place<'o> {
    At(usize),
    /// A column of the original system or of the stage that the sheet lacks, and that may be added.
    New(&'o str),
    /// A column of the result's own, which the batch adds.
    Own,
    /// It needs none.
    None,
    /// This column of the key, which never changes.
    Key(usize),
    /// A column that is not there, and may come back.
    Missing,
    /// Nowhere, whatever columns there are.
    Aside,
}

/// The place of a value, as far as columns can be added without an end; what only follows from the status needs
/// none.
fn place_for<'o>(
    schema: &Schema,
    options: &'o Options,
    is_result: bool,
    cell: &Cell<'_>,
) -> Place<'o> {
    if let Some(column) = schema.position(cell.column) {
        return match schema.is_key(column) {
            true => Place::Key(column),
            false => Place::At(column),
        };
    }
    // A result's state has a place in any case.
    let may_add = options.add_columns || is_result && options.stage.has_column(cell.column);
    match options.stage.addable(cell.column) {
        Some(_) if !cell.named && (cell.value.is_empty() || !may_add) => Place::None,
        Some(name) if may_add && schema.columns().len() < MAX_FIELDS => Place::New(name),
        Some(_) => Place::Aside,
        None if is_result
            && options.add_columns
            && options.encoding.has_no(cell.column).is_none()
            && may_be_added(cell.column, schema) =>
        {
            Place::Own
        }
        None => Place::Missing,
    }
}
