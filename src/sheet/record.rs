//! One row of the sheet, typed.

use crate::domain::columns::{ATTACHMENT_NAME, ERROR_MESSAGE, LAST_PROCESSED, STATUS, same_column};
use crate::domain::{ProcessingStatus, parse_timestamp};

use chrono::{DateTime, Utc};
use serde::Serialize;

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
    #[serde(serialize_with = "as_map")]
    cells: Vec<(String, String)>,
}

impl CsvRecord {
    pub(crate) fn from_cells(po_number: String, line: u64, cells: Vec<(String, String)>) -> Self {
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
            cells,
        }
    }

    /// The cell of a column, matched without regard to case or surrounding blanks; `None` if the
    /// sheet has no such column. A row that is too short has empty cells.
    pub fn get(&self, column: &str) -> Option<&str> {
        cell(&self.cells, column)
    }

    /// Every cell in the sheet's order: column name, value.
    pub fn cells(&self) -> impl Iterator<Item = (&str, &str)> {
        self.cells
            .iter()
            .map(|(name, value)| (name.as_str(), value.as_str()))
    }
}

fn cell<'a>(cells: &'a [(String, String)], column: &str) -> Option<&'a str> {
    // Most names are written as the header writes them.
    let exact = cells.iter().find(|(name, _)| name == column);
    let alike = |(name, _): &&(String, String)| same_column(name, column);
    let found = exact.or_else(|| cells.iter().find(alike));
    found.map(|(_, value)| value.as_str())
}

fn as_map<S: serde::Serializer>(
    cells: &[(String, String)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(cells.iter().map(|(name, value)| (name, value)))
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
}
