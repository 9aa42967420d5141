//! What is to be written to a row: named updates, and the operation that carries them.
//!
//! This file owns what an update *means*: which values are refused, and which cells an update of
//! the status changes besides. How a cell is encoded is the business of `render.rs`.

use std::borrow::Cow;
use std::collections::{HashMap, HashSet};

use chrono::{DateTime, Utc};
use compact_str::CompactString;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smallvec::SmallVec;

use crate::domain::columns::{ERROR_MESSAGE, LAST_PROCESSED, STATUS, folded, same_column};
use crate::domain::{Encoding, InvalidValue, MAX_VALUE_CHARS, ProcessingStatus, Stage};
use crate::error::{Error, Result};
use crate::sheet::json::Answer;
use crate::sheet::options::Options;

/// New values for some cells of one row: column name → value.
///
/// ```
/// use tickoff::{ProcessingStatus, Updates};
///
/// let updates = Updates::status(ProcessingStatus::Completed).set("ATTACHMENTS_FOUND", "2");
/// assert_eq!(updates.get("attachments_found"), Some("2"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Updates {
    cells: SmallVec<[(CompactString, CompactString); 2]>,
    /// Values of a job's result that are not to be written, and are kept beside the backups.
    aside: Vec<(CompactString, CompactString)>,
    /// Whether STATUS is somebody else's column, and any text may stand in it.
    status_is_text: bool,
}

impl Updates {
    /// No updates.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new status, which also sets `LAST_PROCESSED` and, unless it is a failure, clears
    /// `ERROR_MESSAGE` when it is applied.
    pub fn status(status: ProcessingStatus) -> Self {
        Self::new().set(STATUS, status.as_str())
    }

    /// The status ERROR with its message.
    pub fn error(message: impl AsRef<str>) -> Self {
        Self::status(ProcessingStatus::Error).set(ERROR_MESSAGE, message)
    }

    /// Adds a value. Naming a column twice makes the whole update invalid.
    pub fn set(mut self, column: impl AsRef<str>, value: impl AsRef<str>) -> Self {
        self.cells.push(pair(column, value));
        self
    }

    /// The value for a column, matched without regard to case or surrounding blanks.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.cells
            .iter()
            .find(|(name, _)| same_column(name, column))
            .map(|(_, value)| value.as_str())
    }

    /// Column and value of each update.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cells
            .iter()
            .map(|(column, value)| (column.as_str(), value.as_str()))
    }

    /// Whether nothing is to be written or kept.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty() && self.aside.is_empty()
    }

    /// Takes the cells out that are not to be written, though a job answered them. They go to
    /// `….unplaced.csv` beside the backups. Serialized, updates do not hold them.
    pub fn set_aside(mut self, is_meant: impl Fn(&str, &str) -> bool) -> Self {
        let aside = &mut self.aside;
        self.cells.retain(|(column, value)| {
            let stays = !is_meant(column, value);
            if !stays {
                aside.push((std::mem::take(column), std::mem::take(value)));
            }
            stays
        });
        self
    }

    /// These updates of a job that says besides that it failed: their STATUS stays if it is a failure, their
    /// message stays, and what says otherwise is kept beside the backups.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    pub(crate) fn failed(mut self, error: &str) -> Updates {
        if !self.new_status().is_some_and(|status| status.is_failure()) {
            self = self
                .set_aside(|column, _| same_column(column, STATUS))
                .set(STATUS, ProcessingStatus::Error.as_str());
        }
        match self.get(ERROR_MESSAGE) {
            Some(message) if !message.trim().is_empty() => self.keep_aside("error", error),
            _ => self.without(ERROR_MESSAGE).set(ERROR_MESSAGE, error),
        }
    }

    /// Adds a value that is kept beside the backups, unless it is blank.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    pub(crate) fn keep_aside(mut self, column: &str, value: impl AsRef<str>) -> Self {
        if !value.as_ref().trim().is_empty() {
            self.aside.push(pair(column, value));
        }
        self
    }

    /// These updates without those of a column.
    pub(crate) fn without(mut self, column: &str) -> Self {
        self.cells.retain(|(name, _)| !same_column(name, column));
        self
    }

    /// These updates with the columns of a stage's state under their general names: STATUS for `ocr_STATUS`.
    pub(crate) fn in_general(mut self, stage: &Stage) -> Self {
        for (column, _) in &mut self.cells {
            if let Some(name) = stage.general_name(column) {
                *column = name.into();
            }
        }
        self
    }

    /// The values that are kept beside the backups.
    /// How many bytes its names and values have.
    pub(crate) fn size(&self) -> usize {
        let all = self.cells.iter().chain(&self.aside);
        all.map(|(column, value)| column.len() + value.len()).sum()
    }

    pub(crate) fn aside(&self) -> &[(CompactString, CompactString)] {
        &self.aside
    }

    /// Of a column that is named twice only the last value, in the place of the first. Returns the
    /// columns that were.
    pub(crate) fn keep_last(&mut self) -> Vec<String> {
        if self.second_name().is_none() {
            return Vec::new();
        }
        let mut twice = Vec::new();
        let mut places = HashMap::new();
        let mut kept: SmallVec<[(CompactString, CompactString); 2]> = SmallVec::new();
        for (column, value) in self.cells.drain(..) {
            let place = *places.entry(folded(&column)).or_insert(kept.len());
            match kept.get_mut(place) {
                Some(known) => {
                    known.1 = value;
                    twice.push(column.trim().to_owned());
                }
                None => kept.push((column, value)),
            }
        }
        self.cells = kept;
        twice
    }

    /// Where a column is named for the second time.
    fn second_name(&self) -> Option<usize> {
        /// Up to so many names it is quicker to compare each with each.
        const FEW: usize = 16;
        let names = || self.cells.iter().map(|(column, _)| column);
        if self.cells.len() <= FEW {
            return names().enumerate().position(|(at, column)| {
                names().take(at).any(|earlier| same_column(earlier, column))
            });
        }
        let mut known = HashSet::with_capacity(self.cells.len());
        names().position(|column| !known.insert(folded(column)))
    }

    pub(crate) fn cells_mut(&mut self) -> impl Iterator<Item = (&str, &mut CompactString)> {
        self.cells
            .iter_mut()
            .map(|(column, value)| (column.as_str(), value))
    }

    /// The status that these updates set, if they set one.
    pub fn new_status(&self) -> Option<ProcessingStatus> {
        let status = self.get(STATUS).filter(|_| !self.status_is_text);
        status.map(ProcessingStatus::parse)
    }

    /// The same where STATUS is somebody else's column.
    pub(crate) fn with_status_as_text(mut self) -> Self {
        self.status_is_text = true;
        self
    }

    /// What follows from a new status of a stage that the options do not work on: its time, and no message of an
    /// earlier failure. `prefix` is what the stage's columns begin with, if a column is the status of one.
    pub(crate) fn with_states(
        mut self,
        po: &str,
        options: &Options,
        now: &str,
        prefix: impl Fn(&str) -> Option<String>,
        has_column: impl Fn(&str) -> bool,
    ) -> Result<Self> {
        let mut implied = Vec::new();
        for (column, value) in &mut self.cells {
            let Some(prefix) = prefix(column) else {
                continue;
            };
            let status = ProcessingStatus::parse(value);
            if let ProcessingStatus::Other(word) = status {
                return Err(Error::InvalidValue {
                    po: po.to_owned(),
                    column: column.trim().to_owned(),
                    reason: InvalidValue::Status(word),
                });
            }
            *value = status.as_str().into();
            implied.push((format!("{prefix}{LAST_PROCESSED}"), now));
            if !options.is_failure(&status) {
                implied.push((format!("{prefix}{ERROR_MESSAGE}"), ""));
            }
        }
        for (column, value) in implied {
            if self.get(&column).is_none() && has_column(&column) {
                self.cells.push(pair(column, value));
            }
        }
        Ok(self)
    }

    /// Refuses values that can never be written to a sheet in this encoding, whatever it holds.
    pub(crate) fn validate(&self, po: &str, encoding: Encoding) -> Result<()> {
        let twice = self.second_name();
        for (i, (column, value)) in self.cells.iter().enumerate() {
            let refuse = |reason| {
                Err(Error::InvalidValue {
                    po: po.to_owned(),
                    column: column.trim().to_owned(),
                    reason,
                })
            };
            if twice == Some(i) {
                return refuse(InvalidValue::Twice);
            }
            if value.contains('\0') {
                return refuse(InvalidValue::Nul);
            }
            if value.len() > MAX_VALUE_CHARS && value.chars().count() > MAX_VALUE_CHARS {
                return refuse(InvalidValue::TooLong);
            }
            if let Some(letter) = encoding.has_no(value) {
                let encoding = encoding.name();
                return refuse(InvalidValue::Letter { letter, encoding });
            }
            if same_column(column, STATUS)
                && !self.status_is_text
                && let ProcessingStatus::Other(word) = ProcessingStatus::parse(value)
            {
                return refuse(InvalidValue::Status(word));
            }
        }
        Ok(())
    }

    /// The cells that are really to be written, by the names of the stage's columns: a recognised status in its canonical spelling,
    /// `LAST_PROCESSED` with every status that does not bring its own, and no message left over
    /// from an earlier error.
    pub(crate) fn cells<'a>(
        &'a self,
        now: &'a str,
        options: &'a Options,
    ) -> SmallVec<[Cell<'a>; 4]> {
        let stage = &options.stage;
        let mut cells = SmallVec::new();
        cells.extend(self.iter().map(|(column, value)| Cell {
            column: stage.column(column),
            value: Cow::Borrowed(value),
            named: true,
        }));
        let Some(status) = self.new_status() else {
            return cells;
        };
        for cell in &mut cells {
            if same_column(cell.column, stage.status()) && cell.value != status.as_str() {
                cell.value = Cow::Owned(status.as_str().to_owned());
            }
        }
        let mut imply = |column, value| {
            cells.push(Cell {
                column,
                value: Cow::Borrowed(value),
                named: false,
            });
        };
        if self.get(LAST_PROCESSED).is_none() {
            imply(stage.last_processed(), now);
        }
        if !options.is_failure(&status) && self.get(ERROR_MESSAGE).is_none() {
            imply(stage.error_message(), "");
        }
        cells
    }
}

/// A cell that an update comes to.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Cell<'a> {
    pub(crate) column: &'a str,
    pub(crate) value: Cow<'a, str>,
    /// Whether the update names it; otherwise it only follows from the status.
    pub(crate) named: bool,
}

fn pair(column: impl AsRef<str>, value: impl AsRef<str>) -> (CompactString, CompactString) {
    (column.as_ref().into(), value.as_ref().into())
}

impl<C: AsRef<str>, V: AsRef<str>> FromIterator<(C, V)> for Updates {
    fn from_iter<I: IntoIterator<Item = (C, V)>>(pairs: I) -> Self {
        Updates {
            cells: pairs
                .into_iter()
                .map(|(column, value)| pair(column, value))
                .collect(),
            aside: Vec::new(),
            status_is_text: false,
        }
    }
}

impl<C: AsRef<str>, V: AsRef<str>, const N: usize> From<[(C, V); N]> for Updates {
    fn from(pairs: [(C, V); N]) -> Self {
        pairs.into_iter().collect()
    }
}

impl Serialize for Updates {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        serializer.collect_map(self.iter())
    }
}

/// A JSON object, as a worker or a command writes it; of a name that is there twice the last one counts.
impl<'de> Deserialize<'de> for Updates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        Ok(Answer::deserialize(deserializer)?.updates)
    }
}

/// The number that a queue gives to each operation it accepts, unique within the queue.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct OperationId(pub u64);

impl std::fmt::Display for OperationId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.0.fmt(f)
    }
}

/// One update of one PO on its way to the sheet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct WriteOperation {
    /// The queue's number for it.
    pub operation_id: OperationId,
    /// The row, by its key.
    pub po_number: String,
    /// The new values.
    pub updates: Updates,
    /// When it was submitted.
    pub timestamp: DateTime<Utc>,
    /// How often the submitter has tried before. Carried for it; the retries of tickoff's own writes
    /// are counted by the queue.
    pub retry_count: u32,
    /// Carried for the submitter; the order of writing is that of submission.
    pub priority: i32,
    /// Whether it may take a PO out of COMPLETED or back to PENDING.
    #[serde(default)]
    pub force: bool,
    /// Whether it is the result of a job that has run, which is never refused.
    #[serde(default)]
    pub is_result: bool,
    /// Whether a person made it by hand: if a result takes its place, that is said.
    #[serde(default)]
    pub is_by_hand: bool,
}

impl WriteOperation {
    /// An operation that nobody has numbered, tried or forced yet, and that is no job's result.
    pub(crate) fn new(po: &str, updates: Updates) -> WriteOperation {
        WriteOperation {
            operation_id: OperationId(0),
            po_number: po.to_owned(),
            updates,
            timestamp: Utc::now(),
            retry_count: 0,
            priority: 0,
            force: false,
            is_result: false,
            is_by_hand: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(updates: Updates, want: &[(&str, &str)]) {
        let options = Options::default();
        let cells = updates.cells("2026-11-24T08:00:00Z", &options);
        let got: Vec<_> = cells
            .iter()
            .map(|cell| (cell.column, &*cell.value))
            .collect();
        assert_eq!(got, want);
    }

    #[test]
    fn a_status_sets_last_processed_and_clears_the_message() {
        check(
            [("status", " completed ")].into(),
            &[
                ("status", "COMPLETED"),
                ("LAST_PROCESSED", "2026-11-24T08:00:00Z"),
                ("ERROR_MESSAGE", ""),
            ],
        );
    }

    #[test]
    fn an_error_without_a_message_keeps_the_one_that_is_there() {
        check(
            [("STATUS", "ERROR")].into(),
            &[
                ("STATUS", "ERROR"),
                ("LAST_PROCESSED", "2026-11-24T08:00:00Z"),
            ],
        );
    }

    #[test]
    fn a_word_that_is_declared_a_failure_keeps_its_message_too() {
        let options = Options {
            failed: vec![ProcessingStatus::Other("lost".into())],
            ..Options::default()
        };
        let updates = Updates::from([("STATUS", "Lost")]);
        let cells = updates.cells("then", &options);
        assert!(cells.iter().all(|cell| cell.column != ERROR_MESSAGE));
    }

    #[test]
    fn values_that_are_named_win_over_those_that_follow_from_the_status() {
        check(
            [
                ("STATUS", "COMPLETED"),
                ("error_message", "odd"),
                ("Last_Processed", "then"),
            ]
            .into(),
            &[
                ("STATUS", "COMPLETED"),
                ("error_message", "odd"),
                ("Last_Processed", "then"),
            ],
        );
    }

    #[test]
    fn an_update_of_other_cells_leaves_last_processed_alone() {
        check([("SUPPLIER", "Acme")].into(), &[("SUPPLIER", "Acme")]);
    }

    #[track_caller]
    fn check_refused(updates: Updates, message: &str) {
        assert_eq!(
            updates
                .validate("P1", Encoding::UTF_8)
                .unwrap_err()
                .to_string(),
            message
        );
    }

    #[test]
    fn values_that_cannot_be_written_are_refused() {
        check_refused([("A", "x\0y")].into(), "P1: A may not hold a NUL byte");
        check_refused(
            [("A", "é".repeat(32_768))].into(),
            "P1: A is longer than 32767 characters",
        );
        check_refused(
            [("A", "1"), (" a ", "2")].into(),
            "P1: a is named twice in one update",
        );
        check_refused(
            [("STATUS", "done\n")].into(),
            "P1: STATUS must be PENDING, COMPLETED, ERROR, NO_ATTACHMENTS, FAILED, PARTIAL or PO_NOT_FOUND, not done",
        );
        assert!(
            Updates::from([("A", "é".repeat(32_767))])
                .validate("P1", Encoding::UTF_8)
                .is_ok()
        );
    }
}
