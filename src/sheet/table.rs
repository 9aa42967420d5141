//! One version of the sheet, with what was written to it since.
//!
//! The base (snapshot, dialect, index) never changes; what is written lies in the overlay. Reading
//! a record or the counts takes no lock. Only one thread at a time writes: the one that holds the
//! writer (see `writer.rs`).

use std::borrow::Cow;
use std::collections::HashMap;
use std::ops::Range;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};

use crate::csv::{
    Dialect, Fields, Index, KeyPlace, Malformed, Record, RecordIndex, Records, dialect, fields_at,
    grammar,
};
use crate::disk::Snapshot;
use crate::domain::columns::same_column;
use crate::domain::{Encoding, KNOWN, ProcessingStatus, Stage, parse_timestamp};
use crate::error::{Error, Result};
use crate::sheet::history::History;
use crate::sheet::integrity::refuse_utf8;
use crate::sheet::options::{Duplicates, Options};
use crate::sheet::overlay::{Overlay, OverlayRow};
use crate::sheet::progress::{ProcessingProgress, by_number};
use crate::sheet::record::CsvRecord;
use crate::sheet::refused::in_header;
use crate::sheet::schema::Schema;
use crate::sheet::shown::text;

/// A sheet as it can be read: the CSV, and the results in its journal that it does not show yet.
pub struct Sheet {
    path: PathBuf,
    /// Whether a file at `path` holds it; otherwise that only says in errors what it is.
    has_file: bool,
    options: Options,
    bytes: Snapshot,
    dialect: Dialect,
    /// Grows when a column is added; the header of `bytes` does not.
    schema: ArcSwap<Schema>,
    /// How many columns the header of `bytes` has.
    pub(super) width: usize,
    index: Index,
    overlay: Overlay,
    /// One code a row, so that a status can be told without reading the row. Written by the writer
    /// after the overlay row it belongs to; Release/Acquire makes a reader who sees the code see
    /// that row.
    statuses: Box<[AtomicU8]>,
    /// Rows by code. Written by the writer alone, read by anybody; each count is right, and a
    /// reader may see one row between two of them.
    counts: [AtomicUsize; CODES],
    /// Whether the sheet's journal has statuses that tickoff wrote. Written once by whoever reads both, before
    /// anybody asks.
    has_written_statuses: AtomicBool,
    shows_results_of: OnceLock<String>,
    /// How many keys may still be compared with POs that are not there. Any thread takes from it.
    comparisons_left: AtomicUsize,
}

/// How many rows are searched for POs that are like one which is not there.
const MAX_ROWS_COMPARED: usize = 1_000_000;
/// How many keys are compared for that in all.
const MAX_COMPARISONS: usize = 10_000_000;

/// A known status has its place among [`KNOWN`] as its code.
const OTHER: u8 = KNOWN.len() as u8;
/// Another word, which was declared to be a failure.
const DECLARED_FAILURE: u8 = OTHER + 1;
const UNKEYED: u8 = DECLARED_FAILURE + 1;
const CODES: usize = UNKEYED as usize + 1;

fn code(status: &ProcessingStatus, options: &Options) -> u8 {
    match KNOWN.iter().position(|known| known == status) {
        Some(known) => known as u8,
        None if options.is_failure(status) => DECLARED_FAILURE,
        None => OTHER,
    }
}

/// The code of a raw status field.
fn status_code(raw: &[u8], options: &Options) -> u8 {
    match raw {
        b"" | b"PENDING" => 0,
        b"COMPLETED" => 1,
        raw => code(
            &ProcessingStatus::parse(&text(options.encoding.read(raw))),
            options,
        ),
    }
}

impl Sheet {
    /// Takes a version of the sheet, or says why it is not one.
    pub(crate) fn build(bytes: Snapshot, path: &Path, options: &Options) -> Result<Sheet> {
        refuse_utf8(&bytes, path, options)?;
        let (dialect, names) = dialect::detect(
            &bytes,
            &options.key,
            options.delimiter,
            options.encoding,
            path,
        )?;
        let sheet = Sheet::index(bytes, path, options, dialect, &names)?;
        match options.duplicates {
            Duplicates::Refuse => sheet.refuse_duplicates()?,
            Duplicates::All => {}
        }
        Ok(sheet)
    }

    pub(super) fn index(
        bytes: Snapshot,
        path: &Path,
        options: &Options,
        dialect: Dialect,
        names: &[String],
    ) -> Result<Sheet> {
        let schema = Schema::new(names, &options.key, &options.stage)
            .map_err(|problem| in_header(problem, &bytes, &dialect, path))?;
        Sheet::with_schema(bytes, path, options, dialect, schema)
    }

    pub(super) fn with_schema(
        bytes: Snapshot,
        path: &Path,
        options: &Options,
        dialect: Dialect,
        schema: Schema,
    ) -> Result<Sheet> {
        let malformed = |malformed: Malformed| malformed.at(path, &bytes);
        let options = &Options {
            key: options.key.written_in(dialect.delimiter),
            ..options.clone()
        };
        let code = |record: &Record<'_>, has_key| {
            let raw = schema.status.and_then(|column| record.field(column));
            match has_key {
                true => raw.map_or(0, |field| status_code(&bytes[field], options)),
                false => UNKEYED,
            }
        };
        let (index, codes) = Index::build(
            &bytes,
            (dialect.delimiter, dialect.encoding),
            KeyPlace::new(schema.key(), options.key.delimiter_in(dialect.delimiter)),
            schema.status.map_or(0, |column| column + 1),
            dialect.header_end,
            code,
        )
        .map_err(malformed)?;
        let statuses: Box<[AtomicU8]> = codes.into_iter().map(AtomicU8::new).collect();
        let mut counts = [0; CODES];
        for status in &statuses {
            counts[status.load(Ordering::Relaxed) as usize] += 1;
        }

        let overlay = Overlay::new(index.len());
        Ok(Sheet {
            path: path.to_owned(),
            has_file: true,
            options: options.clone(),
            bytes,
            dialect,
            width: schema.header_width,
            schema: ArcSwap::from_pointee(schema),
            index,
            overlay,
            statuses,
            counts: counts.map(AtomicUsize::new),
            has_written_statuses: AtomicBool::new(false),
            shows_results_of: OnceLock::new(),
            comparisons_left: AtomicUsize::new(MAX_COMPARISONS),
        })
    }

    fn refuse_duplicates(&self) -> Result<()> {
        match self
            .duplicates()
            .into_iter()
            .min_by_key(|(_, rows)| rows[0])
        {
            None => Ok(()),
            Some((po, rows)) => Err(Error::DuplicatePo {
                path: self.path.clone(),
                po,
                lines: rows.into_iter().map(|row| self.line(row)).collect(),
                key: self.options.key.names().into(),
                delimiter: self.dialect.delimiter,
                encoding: self.dialect.encoding,
            }),
        }
    }

    pub(crate) fn has_repeated(&self) -> bool {
        self.index.has_repeated()
    }

    /// Keys that stand in several rows, with these rows.
    pub(crate) fn duplicates(&self) -> Vec<(String, Vec<RecordIndex>)> {
        self.index
            .repeated()
            .map(|(first, more)| (self.po(first), std::iter::once(first).chain(more).collect()))
            .collect()
    }

    /// Remembers of the sheet's own journal whether tickoff wrote statuses, or the times of some that were removed since.
    pub(crate) fn know(&self, history: &History) {
        let mut cells = history.cells();
        let status = self.options.stage.status();
        let time = self.options.stage.last_processed();
        // Any other text was set by a person, in a column of the person's own.
        let is_word = |value: &str| {
            !value.trim().is_empty() && KNOWN.contains(&ProcessingStatus::parse(value))
        };
        let is_written = cells.any(|(_, past)| {
            !past.is_outside
                && (same_column(&past.column, status) && is_word(&past.last)
                    || same_column(&past.column, time) && !past.last.is_empty())
        });
        // Relaxed: a flag, by which nothing else is read.
        self.has_written_statuses
            .store(is_written, Ordering::Relaxed);
    }

    /// Remembers that it had another name in its folder, or is a copy of what has it.
    pub(crate) fn is_known_as(&self, name: &str) {
        drop(self.shows_results_of.set(name.to_owned()));
    }

    /// The other name in its folder under which the results were written that it shows, as far as a journal tells: the
    /// sheet was renamed or copied.
    pub fn shows_results_of(&self) -> Option<&str> {
        self.shows_results_of.get().map(String::as_str)
    }

    /// Whether the sheet's journal has statuses that tickoff wrote, or their times.
    pub(crate) fn has_written_statuses(&self) -> bool {
        self.has_written_statuses.load(Ordering::Relaxed)
    }

    /// Rows by status.
    pub fn progress(&self) -> ProcessingProgress {
        let mut progress = ProcessingProgress::default();
        for (code, count) in self.counts[..UNKEYED as usize].iter().enumerate() {
            let count = count.load(Ordering::Relaxed);
            progress.total += count;
            *match KNOWN.get(code) {
                Some(ProcessingStatus::Completed) => &mut progress.completed,
                Some(ProcessingStatus::NoAttachments) => &mut progress.no_attachments,
                Some(ProcessingStatus::Pending) => &mut progress.pending,
                None if code == usize::from(OTHER) => &mut progress.other,
                Some(_) | None => &mut progress.error,
            } += count;
        }
        progress
    }

    /// How many rows have each word as their status: of the known words in their order those that are there,
    /// then the others by their number. An empty cell counts as PENDING.
    pub fn words(&self) -> Vec<(ProcessingStatus, usize)> {
        let count = |code: usize| self.counts[code].load(Ordering::Relaxed);
        let known = KNOWN.iter().cloned().enumerate();
        let mut words: Vec<_> = known.map(|(at, status)| (status, count(at))).collect();
        words.retain(|(_, count)| *count > 0);
        if count(OTHER as usize) + count(DECLARED_FAILURE as usize) > 0 {
            let mut others: HashMap<ProcessingStatus, usize> = HashMap::new();
            for row in self.keyed_rows() {
                if let status @ ProcessingStatus::Other(_) = self.status_at(row) {
                    *others.entry(status).or_default() += 1;
                }
            }
            words.extend(by_number(others));
        }
        words
    }

    /// The row of a PO, `None` if there is none. Of a PO in several rows, the first that is not done,
    /// or else the first.
    pub fn record(&self, po: &str) -> Option<CsvRecord> {
        self.row_for(po).map(|row| self.record_at(row))
    }

    pub(crate) fn row_for(&self, po: &str) -> Option<RecordIndex> {
        let is_pending = |row: &RecordIndex| !self.is_done(&self.status_at(*row));
        self.rows(po)
            .find(is_pending)
            .or_else(|| self.rows(po).next())
    }

    /// [`Error::UnknownPo`] with the POs that are like the one which is not there.
    ///
    /// They are looked for among the first 1,000,000 rows; and once 10,000,000 keys of this version of
    /// the sheet have been compared, not at all: a program that asks for one unknown PO after the other
    /// does not wait for guesses.
    pub fn unknown_po(&self, po: &str) -> Error {
        let looked_at = self.len().min(MAX_ROWS_COMPARED);
        // Relaxed: nothing else is read by it, and two threads that spend the same rest do no harm.
        let may_compare = self
            .comparisons_left
            .fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| {
                left.checked_sub(looked_at)
            })
            .is_ok();
        let rows = || {
            self.all_rows()
                .take(if may_compare { looked_at } else { 0 })
        };
        let has_form = self.index.has_form(po);
        let (close, more) = self.keys_meant(po, has_form, rows);
        Error::UnknownPo {
            po: self.canonical(po).into_owned(),
            form: (!has_form).then(|| self.key_form()),
            close,
            more,
        }
    }

    /// Every row that has a key, in the sheet's order.
    pub fn records(&self) -> impl Iterator<Item = CsvRecord> {
        self.keyed_rows().map(|row| self.record_at(row))
    }

    /// Every row that has a key and whose last attempt failed, in the sheet's order.
    pub fn failed_records(&self) -> impl Iterator<Item = CsvRecord> {
        self.keyed_rows()
            .filter(|&row| self.options.is_failure(&self.status_at(row)))
            .map(|row| self.record_at(row))
    }

    /// The latest LAST_PROCESSED, `None` if no row has one.
    pub fn last_processed(&self) -> Option<DateTime<Utc>> {
        let column = self
            .schema
            .load()
            .position(self.options.stage.last_processed())?;
        let cells = self.keyed_rows().map(|row| self.cell(row, column));
        cells.filter_map(|cell| parse_timestamp(&cell)).max()
    }

    /// The POs that are not done, in the sheet's order, each once. A run leaves those of them alone whose
    /// status is a word that nobody knows: see [`Sheet::select`].
    pub fn pending_pos(&self) -> impl Iterator<Item = String> {
        self.pending_rows().map(|row| self.po(row))
    }

    /// Their rows.
    pub fn pending(&self) -> impl Iterator<Item = CsvRecord> {
        self.pending_rows().map(|row| self.record_at(row))
    }

    /// The status of a PO, `None` if there is no such row.
    pub fn status(&self, po: &str) -> Option<ProcessingStatus> {
        self.row_for(po).map(|row| self.status_at(row))
    }

    /// Whether a status counts as done.
    pub fn is_done(&self, status: &ProcessingStatus) -> bool {
        self.options.is_done(status)
    }

    /// Whether a status says that the last attempt failed.
    pub fn is_failure(&self, status: &ProcessingStatus) -> bool {
        self.options.is_failure(status)
    }

    /// The names of the key columns, as they were asked for.
    pub fn key_columns(&self) -> &[String] {
        self.options.key.names()
    }

    /// The columns, as the header names them, without surrounding blanks.
    pub fn columns(&self) -> Vec<String> {
        self.schema.load().columns().to_vec()
    }

    /// Refuses the name of a column that the sheet does not have.
    ///
    /// # Errors
    /// [`Error::UnknownColumn`].
    pub fn require_column(&self, name: &str) -> Result<()> {
        self.schema.load().require(name, &self.options).map(drop)
    }

    /// The columns, and those that a run adds.
    pub fn columns_of_a_run(&self) -> Vec<String> {
        let mut columns = self.columns();
        columns.extend(self.missing_columns());
        columns
    }

    /// Those of the columns that a session needs which the sheet lacks.
    pub(crate) fn missing_columns(&self) -> Vec<String> {
        self.missing_columns_of(std::slice::from_ref(&self.options.stage))
    }

    /// Those of the columns of these stages which the sheet lacks.
    pub(crate) fn missing_columns_of(&self, stages: &[Stage]) -> Vec<String> {
        let schema = self.schema.load();
        let mut missing: Vec<String> = Vec::new();
        for name in stages.iter().flat_map(Stage::columns) {
            let is_missing = |known: &String| same_column(known, name);
            if schema.position(name).is_none() && !missing.iter().any(is_missing) {
                missing.push(name.to_owned());
            }
        }
        missing
    }

    /// Whether a run leaves a PO alone, because the status in one of its rows is a word that nobody knows.
    pub fn is_left_alone(&self, po: &str) -> bool {
        self.has_unknown_word() && self.rows(po).any(|row| self.leaves_alone(row))
    }

    /// The same for the PO of a row.
    pub(crate) fn is_row_left_alone(&self, row: RecordIndex) -> bool {
        match self.has_repeated() {
            true => self.is_left_alone(&self.key(row)),
            false => self.leaves_alone(row),
        }
    }

    /// The word for which the PO of a row is left alone.
    pub(crate) fn unknown_word(&self, row: RecordIndex) -> ProcessingStatus {
        let key = self.key(row);
        let row = self.rows(&key).find(|&row| self.leaves_alone(row));
        row.map(|row| self.status_at(row)).unwrap_or_default()
    }

    fn leaves_alone(&self, row: RecordIndex) -> bool {
        self.statuses[row.slot()].load(Ordering::Acquire) == OTHER
            && self.options.leaves_alone(&self.status_at(row))
    }

    /// Whether a word may be among the statuses that nobody knows.
    pub(crate) fn has_unknown_word(&self) -> bool {
        self.counts[usize::from(OTHER)].load(Ordering::Relaxed) > 0
    }

    pub(crate) fn pending_rows(&self) -> impl Iterator<Item = RecordIndex> {
        self.keyed_rows().filter(|&row| {
            !self.is_done(&self.status_at(row))
                && (!self.has_repeated() || self.row_for(&self.po(row)) == Some(row))
        })
    }

    /// Whether any row has no key.
    pub(crate) fn has_unkeyed(&self) -> bool {
        self.counts[usize::from(UNKEYED)].load(Ordering::Relaxed) > 0
    }

    pub(super) fn keyed_rows(&self) -> impl Iterator<Item = RecordIndex> {
        self.all_rows()
            .filter(|row| self.statuses[row.slot()].load(Ordering::Acquire) != UNKEYED)
    }

    pub(crate) fn all_rows(&self) -> impl Iterator<Item = RecordIndex> + use<> {
        (0..self.index.len()).map(RecordIndex::from_slot)
    }

    /// The sheet's canonical path.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file that holds it; `None` if it was made of jobs from a stream.
    pub(crate) fn file(&self) -> Option<&Path> {
        self.has_file.then_some(&self.path)
    }

    pub(super) fn without_file(self) -> Sheet {
        Sheet {
            has_file: false,
            ..self
        }
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    pub(crate) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The encoding of its cells.
    pub fn encoding(&self) -> Encoding {
        self.dialect.encoding
    }

    pub(crate) fn dialect(&self) -> &Dialect {
        &self.dialect
    }

    pub(crate) fn schema(&self) -> Arc<Schema> {
        self.schema.load_full()
    }

    pub(crate) fn overlay(&self) -> &Overlay {
        &self.overlay
    }

    pub(crate) fn len(&self) -> usize {
        self.index.len()
    }

    pub(crate) fn rows(&self, po: &str) -> impl Iterator<Item = RecordIndex> {
        self.index.rows(&self.bytes, po)
    }

    pub(crate) fn po(&self, row: RecordIndex) -> String {
        self.key(row).into_owned()
    }

    pub(crate) fn key(&self, row: RecordIndex) -> Cow<'_, str> {
        self.index.key(&self.bytes, row)
    }

    /// A key that a person or a program wrote, as this sheet writes it.
    pub(crate) fn canonical<'k>(&self, po: &'k str) -> Cow<'k, str> {
        self.index.canonical(po)
    }

    /// The key of a row with something to be seen between its parts.
    pub(crate) fn drawn_key(&self, row: RecordIndex) -> Cow<'_, str> {
        let drawn = KeyPlace::new(self.schema().key(), b';');
        self.index.key_place().key_for(self.key(row), &drawn)
    }

    /// The key of a row as another sheet with the same key columns writes it.
    pub(crate) fn key_for(&self, row: RecordIndex, other: &Sheet) -> Cow<'_, str> {
        let to = other.index.key_place();
        self.index.key_place().key_for(self.key(row), to)
    }

    pub(crate) fn line(&self, row: RecordIndex) -> u64 {
        self.index.line(&self.bytes, row)
    }

    /// The raw fields of a record of the base.
    /// Where each row begins, and how long it is with its line end and the blank lines behind it.
    pub(crate) fn rows_in_bytes(&self) -> impl Iterator<Item = (usize, usize)> {
        let starts = || self.all_rows().map(|row| self.index.start(row));
        let ends = starts().skip(1).chain([self.bytes.len()]);
        starts().zip(ends).map(|(start, end)| (start, end - start))
    }

    /// How many bytes a row has at most: to where the next one begins.
    pub(crate) fn most_bytes(&self, row: RecordIndex) -> usize {
        let next = row.slot() + 1;
        let end = match next < self.index.len() {
            true => self.index.start(RecordIndex::from_slot(next)),
            false => self.bytes.len(),
        };
        end - self.index.start(row)
    }

    /// How many fields a row has that begins there.
    pub(crate) fn fields_from(&self, start: usize) -> usize {
        indexed(fields_at(&self.bytes, self.dialect.delimiter, start)).len()
    }

    pub(crate) fn base_fields(&self, row: RecordIndex) -> Fields {
        let start = self.index.start(row);
        indexed(fields_at(&self.bytes, self.dialect.delimiter, start))
    }

    /// Its bytes without the terminator.
    pub(crate) fn base_span(&self, row: RecordIndex) -> Range<usize> {
        indexed(self.records_from(row).next_span())
    }

    fn records_from(&self, row: RecordIndex) -> Records<'_> {
        Records::new(&self.bytes, self.dialect.delimiter, self.index.start(row))
    }

    /// What the base holds in a cell, as a reader sees it; empty where the row is too short, and in a column that is yet to be
    /// added: what stands there, beside the table, is no cell of it.
    pub(crate) fn base_cell(&self, row: RecordIndex, column: usize) -> Cow<'_, [u8]> {
        if column >= self.width {
            return Cow::Borrowed(&[]);
        }
        let start = self.index.start(row);
        grammar::nth_field(&self.bytes, self.dialect.delimiter, start, column)
            .map_or(Cow::Borrowed(&[]), |field| {
                self.dialect.encoding.read(&self.bytes[field])
            })
    }

    /// What stands behind the last column of a row, which is no cell of the sheet, as it is written.
    pub(crate) fn base_behind(&self, row: RecordIndex) -> Vec<&[u8]> {
        let mut records = self.records_from(row);
        indexed(records.next_record());
        let behind = records.fields().iter().skip(self.width);
        behind.map(|field| &self.bytes[field.clone()]).collect()
    }

    pub(crate) fn status_at(&self, row: RecordIndex) -> ProcessingStatus {
        let code = self.statuses[row.slot()].load(Ordering::Acquire);
        match (KNOWN.get(usize::from(code)), self.schema.load().status) {
            (Some(known), _) => known.clone(),
            (None, Some(column)) => ProcessingStatus::parse(&self.cell(row, column)),
            (None, None) => ProcessingStatus::Pending,
        }
    }

    /// Publishes a row's overlay as it is. Only the writer calls this.
    pub(crate) fn publish(&self, row: RecordIndex, cells: OverlayRow) {
        let status = self
            .schema
            .load()
            .status
            .and_then(|column| cells.get(column));
        let new = status.map(|cell| code(&ProcessingStatus::parse(&cell.value), &self.options));
        self.overlay.publish(row, cells);
        if let Some(new) = new {
            let old = self.statuses[row.slot()].swap(new, Ordering::AcqRel);
            self.counts[new as usize].fetch_add(1, Ordering::Relaxed);
            self.counts[old as usize].fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Gives a column a place behind the last one, and returns it. Only the writer calls this.
    pub(crate) fn add_column(&self, name: &str) -> usize {
        let schema = self.schema();
        self.schema
            .store(Arc::new(schema.with(name, &self.options.stage)));
        schema.columns().len()
    }
}

/// What was read when it was indexed can be read again: a snapshot never changes.
fn indexed<T>(read: std::result::Result<Option<T>, Malformed>) -> T {
    match read {
        Ok(Some(read)) => read,
        _ => unreachable!("the record was read when it was indexed"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn guesses_end_when_as_many_keys_have_been_compared_as_may_be() {
        let bytes = b"PO_NUMBER\nPO101\nPO102\nPO203\n".to_vec();
        let path = Path::new("in.csv");
        let sheet = Sheet::build(Snapshot::Owned(bytes), path, &Options::default()).unwrap();
        let ask = || sheet.unknown_po(" PO1O1 ").to_string();
        sheet.comparisons_left.store(7, Ordering::Relaxed);
        for _ in 0..2 {
            assert_eq!(ask(), "no row has the key PO1O1: did you mean PO101?");
        }
        assert_eq!(ask(), "no row has the key PO1O1");
    }

    #[test]
    fn a_word_that_is_declared_a_failure_counts_as_one() {
        let bytes = b"PO_NUMBER;STATUS\nP1;lost\nP2;odd\nP3;ERROR\n".to_vec();
        let options = Options {
            failed: vec![ProcessingStatus::Other("Lost".into())],
            ..Options::default()
        };
        let sheet = Sheet::build(Snapshot::Owned(bytes), Path::new("in.csv"), &options).unwrap();
        let progress = sheet.progress();
        assert_eq!((progress.total, progress.error, progress.other), (3, 2, 1));
        let failed: Vec<_> = sheet.failed_records().map(|row| row.po_number).collect();
        assert_eq!(failed, ["P1", "P3"]);
        let words: Vec<_> = sheet
            .words()
            .into_iter()
            .map(|(word, _)| word.as_str().to_owned())
            .collect();
        assert_eq!(words, ["ERROR", "lost", "odd"]);
    }
}
