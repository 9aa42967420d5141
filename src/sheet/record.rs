//! One row of the sheet, typed.

use std::borrow::Cow;

use base64::display::Base64Display;
use base64::engine::general_purpose::STANDARD;
use chrono::{DateTime, Utc};
use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::domain::columns::{ATTACHMENT_NAME, ERROR_MESSAGE, LAST_PROCESSED, STATUS, same_column};
use crate::domain::{ProcessingStatus, parse_timestamp};

/// One row: the 14 columns of the original system typed, and every cell by name.
///
/// A value of `None` means that the column is missing, the cell empty, or not of that type.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct CsvRecord {
    /// The key, without surrounding blanks.
    pub po_number: String,
    /// Where the PO stands.
    pub status: ProcessingStatus,
    /// Who supplies.
    pub supplier: Option<String>,
    /// How many attachments the PO has.
    pub attachments_found: Option<u64>,
    /// How many of them were fetched.
    pub attachments_downloaded: Option<u64>,
    /// Their names: the cell's parts between semicolons, without surrounding blanks.
    pub attachment_names: Vec<String>,
    /// When the status was last set.
    pub last_processed: Option<DateTime<Utc>>,
    /// Why the last attempt failed.
    pub error_message: Option<String>,
    /// Where the attachments lie.
    pub download_folder: Option<String>,
    /// The PO's page.
    pub coupa_url: Option<String>,
    /// As the sheet has it; tickoff's order is the sheet's.
    pub priority: Option<String>,
    /// As the sheet has it.
    pub supplier_segment: Option<String>,
    /// As the sheet has it.
    pub spend_type: Option<String>,
    /// As the sheet has it.
    pub l1_uu_supplier_name: Option<String>,
    /// 1-based line of the file on which the row began when the sheet was read.
    pub line: u64,
    /// Every cell, in the sheet's order: column name as in the header, value as a reader sees it.
    /// Bytes that are not UTF-8 are shown as U+FFFD.
    cells: Cells,
    #[serde(skip)]
    row_number: usize,
}

/// The cells of a row by name, in the sheet's order.
///
/// As JSON they are an object; a cell that is not UTF-8 is `{"base64":…}` in it.
#[derive(Debug, Clone, PartialEq, Default)]
struct Cells {
    texts: Vec<(String, String)>,
    /// The bytes of the cells that are not UTF-8, by their places, which ascend.
    not_text: Vec<(usize, Box<[u8]>)>,
}

impl CsvRecord {
    /// A row as it stands in a sheet; `row_number` counts from 1.
    pub(crate) fn of_row<'c>(
        po_number: String,
        line: u64,
        row_number: usize,
        cells: impl Iterator<Item = (String, Cow<'c, [u8]>)>,
    ) -> Self {
        let mut not_text = Vec::new();
        let texts = cells.enumerate().map(|(place, (name, value))| {
            let text = String::from_utf8(value.into_owned()).unwrap_or_else(|error| {
                let text = String::from_utf8_lossy(error.as_bytes()).into_owned();
                not_text.push((place, error.into_bytes().into()));
                text
            });
            (name, text)
        });
        let mut record = CsvRecord::from_cells(po_number, line, texts.collect());
        record.cells.not_text = not_text;
        record.row_number = row_number;
        record
    }

    fn from_cells(po_number: String, line: u64, cells: Vec<(String, String)>) -> Self {
        let find = |name: &str| cell(&cells, name).filter(|value| !value.trim().is_empty());
        let text = |name| find(name).map(str::to_owned);
        let count = |name| find(name).and_then(parse_count);
        CsvRecord {
            status: ProcessingStatus::parse(find(STATUS).unwrap_or("")),
            supplier: text("SUPPLIER"),
            attachments_found: count("ATTACHMENTS_FOUND"),
            attachments_downloaded: count("ATTACHMENTS_DOWNLOADED"),
            attachment_names: find(ATTACHMENT_NAME)
                .unwrap_or("")
                .split(';')
                .map(str::trim)
                .filter(|name| !name.is_empty())
                .map(str::to_owned)
                .collect(),
            last_processed: find(LAST_PROCESSED).and_then(parse_timestamp),
            error_message: text(ERROR_MESSAGE),
            download_folder: text("DOWNLOAD_FOLDER"),
            coupa_url: text("COUPA_URL"),
            priority: text("Priority"),
            supplier_segment: text("Supplier Segment"),
            spend_type: text("Spend Type"),
            l1_uu_supplier_name: text("L1 UU Supplier Name"),
            po_number,
            line,
            cells: Cells {
                texts: cells,
                not_text: Vec::new(),
            },
            row_number: 0,
        }
    }

    /// The cell of a column, matched without regard to case or surrounding blanks; `None` if the
    /// sheet has no such column. A row that is too short has empty cells.
    pub fn get(&self, column: &str) -> Option<&str> {
        cell(&self.cells.texts, column)
    }

    /// The bytes of a cell, which need not be UTF-8; the column is matched as by [`get`](Self::get).
    pub fn get_bytes(&self, column: &str) -> Option<&[u8]> {
        place(&self.cells.texts, column).map(|place| self.cells.bytes(place))
    }

    /// Every cell in the sheet's order: column name, value.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str)> {
        let texts = self.cells.texts.iter();
        texts.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The row's place among the sheet's rows, the header not counted, from 1.
    pub fn row_number(&self) -> usize {
        self.row_number
    }

    /// Every cell as JSON has it.
    #[cfg(feature = "cli")]
    pub(crate) fn cells_as_json(&self) -> impl Serialize + '_ {
        &self.cells
    }
}

impl Cells {
    fn bytes(&self, place: usize) -> &[u8] {
        let not_text = self.not_text.binary_search_by_key(&place, |(at, _)| *at);
        not_text.map_or(self.texts[place].1.as_bytes(), |at| &self.not_text[at].1)
    }
}

impl Serialize for Cells {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(self.texts.len()))?;
        for (place, (name, text)) in self.texts.iter().enumerate() {
            match self.not_text.iter().find(|(at, _)| *at == place) {
                None => map.serialize_entry(name, text)?,
                Some((_, bytes)) => map.serialize_entry(name, &InBase64 { base64: bytes })?,
            }
        }
        map.end()
    }
}

/// Bytes that are no text, in JSON.
#[derive(Serialize)]
struct InBase64<'a> {
    #[serde(serialize_with = "base64")]
    base64: &'a [u8],
}

fn base64<S: Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&Base64Display::new(bytes, &STANDARD))
}

fn cell<'a>(cells: &'a [(String, String)], column: &str) -> Option<&'a str> {
    place(cells, column).map(|place| cells[place].1.as_str())
}

fn place(cells: &[(String, String)], column: &str) -> Option<usize> {
    // Most names are written as the header writes them.
    let exact = cells.iter().position(|(name, _)| name == column);
    exact.or_else(|| cells.iter().position(|(name, _)| same_column(name, column)))
}

pub(crate) fn parse_count(cell: &str) -> Option<u64> {
    cell.trim().parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::format_timestamp;

    #[test]
    fn typed_fields_come_from_cells_whatever_the_case_of_their_names() {
        let cells = [
            ("po_number ", "P1"),
            ("attachments_found", " 2 "),
            ("ATTACHMENTNAME", "a.pdf; b.pdf;"),
            ("last_processed", "2026-01-05T10:00:00Z"),
            ("Note", "x"),
        ];
        let cells = cells.map(|(n, v)| (n.to_owned(), v.to_owned())).to_vec();
        let record = CsvRecord::from_cells("P1".into(), 2, cells);
        assert_eq!(record.attachments_found, Some(2));
        assert_eq!(record.attachments_downloaded, None);
        assert_eq!(record.attachment_names, ["a.pdf", "b.pdf"]);
        assert_eq!(
            format_timestamp(record.last_processed.unwrap()),
            "2026-01-05T10:00:00Z"
        );
        assert_eq!(record.get(" NOTE"), Some("x"));
        assert_eq!(record.get("missing"), None);
    }
    #[test]
    fn a_cell_that_is_no_text_keeps_its_bytes() {
        let cells = [
            ("PO_NUMBER", &b"P1"[..]),
            ("Name", b"M\xfcller"),
            ("x", b"y"),
        ];
        let cells = cells.map(|(name, value)| (name.to_owned(), Cow::Borrowed(value)));
        let record = CsvRecord::of_row("P1".into(), 2, 1, cells.into_iter());
        assert_eq!(record.get("name"), Some("M\u{fffd}ller"));
        assert_eq!(record.get_bytes("name"), Some(&b"M\xfcller"[..]));
        assert_eq!(record.get_bytes("x"), Some(&b"y"[..]));
        assert_eq!(record.get_bytes("missing"), None);
        assert_eq!(
            serde_json::to_string(&record.cells).unwrap(),
            r#"{"PO_NUMBER":"P1","Name":{"base64":"TfxsbGVy"},"x":"y"}"#
        );
    }
}
