//! What is to be written to a row: named updates, and the operation that carries them.
//!
//! This file owns what an update *means*: which values are refused, and which cells an update of
//! the status changes besides. How a cell is encoded is the business of `render.rs`.

use std::borrow::Cow;

use chrono::{DateTime, Utc};
use compact_str::CompactString;
use serde::de::{Deserializer, Error as _};
use serde::{Deserialize, Serialize, Serializer};
use smallvec::SmallVec;

use crate::domain::columns::{ERROR_MESSAGE, LAST_PROCESSED, STATUS, same_column};
use crate::domain::{InvalidValue, MAX_VALUE_CHARS, ProcessingStatus};
use crate::error::{Error, Result};

/// New values for some cells of one row: column name → value.
///
/// ```
/// use tickoff::{ProcessingStatus, Updates};
///
/// let updates = Updates::status(ProcessingStatus::Completed).set("ATTACHMENTS_FOUND", "2");
/// assert_eq!(updates.get("attachments_found"), Some("2"));
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Updates(SmallVec<[(CompactString, CompactString); 2]>);

impl Updates {
    /// No updates.
    pub fn new() -> Self {
        Self::default()
    }

    /// A new status, which also sets `LAST_PROCESSED` and, unless it is ERROR, clears
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
        self.0.push(pair(column, value));
        self
    }

    /// The value for a column, matched without regard to case or surrounding blanks.
    pub fn get(&self, column: &str) -> Option<&str> {
        self.0
            .iter()
            .find(|(name, _)| same_column(name, column))
            .map(|(_, value)| value.as_str())
    }

    /// Column and value of each update.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        self.0
            .iter()
            .map(|(column, value)| (column.as_str(), value.as_str()))
    }

    /// Whether nothing is to be changed.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// The status that these updates set, if they set one.
    pub fn new_status(&self) -> Option<ProcessingStatus> {
        self.get(STATUS).map(ProcessingStatus::parse)
    }

    /// Refuses values that can never be written, whatever the sheet holds.
    pub(crate) fn validate(&self, po: &str) -> Result<()> {
        for (i, (column, value)) in self.0.iter().enumerate() {
            let refuse = |reason| {
                Err(Error::InvalidValue {
                    po: po.to_owned(),
                    column: column.trim().to_owned(),
                    reason,
                })
            };
            if self.0[..i]
                .iter()
                .any(|(earlier, _)| same_column(earlier, column))
            {
                return refuse(InvalidValue::Twice);
            }
            if value.contains('\0') {
                return refuse(InvalidValue::Nul);
            }
            if value.len() > MAX_VALUE_CHARS && value.chars().count() > MAX_VALUE_CHARS {
                return refuse(InvalidValue::TooLong);
            }
            if same_column(column, STATUS)
                && let ProcessingStatus::Other(word) = ProcessingStatus::parse(value)
            {
                return refuse(InvalidValue::Status(word));
            }
        }
        Ok(())
    }

    /// The cells that are really to be written: a recognised status in its canonical spelling,
    /// `LAST_PROCESSED` with every status that does not bring its own, and no message left over
    /// from an earlier error.
    pub(crate) fn cells<'a>(&'a self, now: &'a str) -> SmallVec<[Cell<'a>; 4]> {
        let mut cells = SmallVec::new();
        cells.extend(self.iter().map(|(column, value)| Cell {
            column,
            value: Cow::Borrowed(value),
            named: true,
        }));
        let Some(status) = self.new_status() else {
            return cells;
        };
        for cell in &mut cells {
            if same_column(cell.column, STATUS) && cell.value != status.as_str() {
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
            imply(LAST_PROCESSED, now);
        }
        if status != ProcessingStatus::Error && self.get(ERROR_MESSAGE).is_none() {
            imply(ERROR_MESSAGE, "");
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
        Updates(
            pairs
                .into_iter()
                .map(|(column, value)| pair(column, value))
                .collect(),
        )
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

/// A JSON object. Booleans and integers are taken as they are written, other numbers as the shortest
/// text of the same 64-bit float, `null` as an empty cell, and an array of texts as the `;`-separated
/// list that `AttachmentName` holds. A number beyond 64-bit integers is refused: it may have lost digits.
impl<'de> Deserialize<'de> for Updates {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> std::result::Result<Self, D::Error> {
        let object = serde_json::Map::<String, serde_json::Value>::deserialize(deserializer)?;
        let mut updates = Updates::new();
        for (column, value) in object {
            if loses_digits(&value) {
                return Err(D::Error::custom(format!(
                    "the value of {column:?} is a number beyond 64 bits: write it as a text"
                )));
            }
            let text = cell_text(value)
                .ok_or_else(|| D::Error::custom(format!("the value of {column:?} must be a text, a number, true, false, null or a list of texts")))?;
            updates = updates.set(column, text);
        }
        Ok(updates)
    }
}

/// JSON's integers beyond 64 bits have been read as floats, which cannot be told from other large ones.
fn loses_digits(value: &serde_json::Value) -> bool {
    value
        .as_f64()
        .is_some_and(|number| number.abs() >= i64::MAX as f64 && !value.is_u64() && !value.is_i64())
}

fn cell_text(value: serde_json::Value) -> Option<String> {
    use serde_json::Value;
    match value {
        Value::Null => Some(String::new()),
        Value::Bool(value) => Some(value.to_string()),
        Value::Number(value) => Some(value.to_string()),
        Value::String(value) => Some(value),
        Value::Array(items) => {
            let names: Option<Vec<&str>> = items.iter().map(Value::as_str).collect();
            names.map(|names| names.join(";"))
        }
        Value::Object(_) => None,
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
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(updates: Updates, want: &[(&str, &str)]) {
        let cells = updates.cells("2026-11-24T08:00:00Z");
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
        assert_eq!(updates.validate("P1").unwrap_err().to_string(), message);
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
            "P1: STATUS must be PENDING, COMPLETED, ERROR or NO_ATTACHMENTS, not done",
        );
        assert!(
            Updates::from([("A", "é".repeat(32_767))])
                .validate("P1")
                .is_ok()
        );
    }

    #[test]
    fn json_values_become_the_text_of_a_cell() {
        let updates: Updates =
            serde_json::from_str(r#"{"A":2,"B":null,"C":["a.pdf","b.pdf"],"D":true,"E":1.50}"#)
                .unwrap();
        let want = [
            ("A", "2"),
            ("B", ""),
            ("C", "a.pdf;b.pdf"),
            ("D", "true"),
            ("E", "1.5"),
        ];
        assert_eq!(updates.iter().collect::<Vec<_>>(), want);
        assert!(serde_json::from_str::<Updates>(r#"{"A":{}}"#).is_err());
    }

    #[test]
    fn a_number_becomes_the_text_of_the_same_float() {
        for written in ["184467.4073709275807", "0.1", "1e-300"] {
            let json = format!("{{\"A\":{written}}}");
            let updates: Updates = serde_json::from_str(&json).unwrap();
            let text = updates.get("A").unwrap();
            assert_eq!(text.parse::<f64>(), written.parse::<f64>(), "{text}");
        }
    }

    #[test]
    fn an_integer_that_would_lose_digits_is_refused() {
        for kept in ["18446744073709551615", "-9223372036854775808", "1e3"] {
            let updates = serde_json::from_str::<Updates>(&format!("{{\"A\":{kept}}}"));
            let want = if kept == "1e3" { "1000.0" } else { kept };
            assert_eq!(updates.unwrap().get("A"), Some(want));
        }
        let error = serde_json::from_str::<Updates>(r#"{"A":18446744073709551616}"#).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("the value of \"A\" is a number beyond 64 bits: write it as a text"),
            "{error}"
        );
    }
}
