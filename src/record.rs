//! One row of the sheet, typed.

use std::fmt;

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};
use serde::{Deserialize, Serialize};

/// The columns of the original system, in its order. Their names are matched without regard to
/// case or surrounding blanks.
pub const COLUMNS: [&str; 14] = [
    PO_NUMBER,
    STATUS,
    "SUPPLIER",
    "ATTACHMENTS_FOUND",
    "ATTACHMENTS_DOWNLOADED",
    ATTACHMENT_NAME,
    LAST_PROCESSED,
    ERROR_MESSAGE,
    "DOWNLOAD_FOLDER",
    "COUPA_URL",
    "Priority",
    "Supplier Segment",
    "Spend Type",
    "L1 UU Supplier Name",
];

pub(crate) const PO_NUMBER: &str = "PO_NUMBER";
pub(crate) const STATUS: &str = "STATUS";
pub(crate) const LAST_PROCESSED: &str = "LAST_PROCESSED";
pub(crate) const ERROR_MESSAGE: &str = "ERROR_MESSAGE";
pub(crate) const ATTACHMENT_NAME: &str = "AttachmentName";

/// Where a PO stands.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
#[non_exhaustive]
pub enum ProcessingStatus {
    /// Not processed yet. An empty cell, or a sheet without the column, means the same.
    #[default]
    Pending,
    /// Processed; no later run takes it up again.
    Completed,
    /// The last attempt failed; the next run tries again.
    Error,
    /// There was nothing to fetch; the next run looks again.
    NoAttachments,
    /// A word that is none of the four. It is kept as it is and counts as pending.
    Other(String),
}

impl ProcessingStatus {
    /// Reads a cell, without regard to case or surrounding blanks.
    pub fn parse(cell: &str) -> Self {
        let word = cell.trim();
        for (name, status) in [
            ("", Self::Pending),
            ("PENDING", Self::Pending),
            ("COMPLETED", Self::Completed),
            ("ERROR", Self::Error),
            ("NO_ATTACHMENTS", Self::NoAttachments),
        ] {
            if word.eq_ignore_ascii_case(name) {
                return status;
            }
        }
        Self::Other(word.to_owned())
    }

    /// The word that stands in the sheet.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Pending => "PENDING",
            Self::Completed => "COMPLETED",
            Self::Error => "ERROR",
            Self::NoAttachments => "NO_ATTACHMENTS",
            Self::Other(word) => word,
        }
    }

    /// Whether a result may take a PO from this status to `to`.
    ///
    /// Nothing leaves COMPLETED and nothing goes back to PENDING; only a forced update may do that.
    pub fn may_become(&self, to: &ProcessingStatus) -> bool {
        match self {
            Self::Completed => matches!(to, Self::Completed),
            Self::Other(_) => true,
            _ => matches!(to, Self::Completed | Self::Error | Self::NoAttachments),
        }
    }
}

impl fmt::Display for ProcessingStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", crate::escape::Escaped::text(self.as_str()))
    }
}

impl Serialize for ProcessingStatus {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

impl<'de> Deserialize<'de> for ProcessingStatus {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self::parse(&String::deserialize(deserializer)?))
    }
}

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

/// Whether two column names mean the same column.
pub(crate) fn same_column(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (a, b) = (trim(a), trim(b));
    a.eq_ignore_ascii_case(b)
        || (!(a.is_ascii() && b.is_ascii()) && a.to_lowercase() == b.to_lowercase())
}

/// `str::trim`, quick where there is nothing to trim.
fn trim(name: &str) -> &str {
    match name.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => name,
        _ => name.trim(),
    }
}

pub(crate) fn parse_count(cell: &str) -> Option<u64> {
    cell.trim().parse().ok()
}

/// RFC 3339, or the same without a zone, which is taken as UTC.
pub(crate) fn parse_timestamp(cell: &str) -> Option<DateTime<Utc>> {
    let cell = cell.trim();
    if cell.is_empty() {
        return None;
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(cell) {
        return Some(time.with_timezone(&Utc));
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(cell, format).ok())
        .map(|time| time.and_utc())
}

/// RFC 3339, UTC, whole seconds, `Z`.
pub(crate) fn format_timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;
    use ProcessingStatus::*;

    #[test]
    fn whether_two_names_are_one_column_does_not_depend_on_their_order() {
        for (a, b, same) in [
            (" Ü ", "ü", true),
            ("K", "\u{212a}", true), // the sign of Kelvin
            ("Status", "STATUS\u{a0}", true),
            ("Ü", "u", false),
        ] {
            assert_eq!(same_column(a, b), same, "{a:?} {b:?}");
            assert_eq!(same_column(b, a), same, "{b:?} {a:?}");
        }
    }

    #[test]
    fn a_status_is_read_without_regard_to_case_or_blanks() {
        assert_eq!(ProcessingStatus::parse(" no_Attachments "), NoAttachments);
        assert_eq!(ProcessingStatus::parse("  "), Pending);
        assert_eq!(ProcessingStatus::parse("FAILED"), Other("FAILED".into()));
    }

    #[test]
    fn transitions_are_those_of_the_original_system() {
        let all = [Pending, Completed, Error, NoAttachments, Other("X".into())];
        let allowed: Vec<String> = all
            .iter()
            .flat_map(|from| all.iter().map(move |to| (from, to)))
            .filter(|(from, to)| from.may_become(to))
            .map(|(from, to)| format!("{from}>{to}"))
            .collect();
        assert_eq!(
            allowed,
            [
                "PENDING>COMPLETED",
                "PENDING>ERROR",
                "PENDING>NO_ATTACHMENTS",
                "COMPLETED>COMPLETED",
                "ERROR>COMPLETED",
                "ERROR>ERROR",
                "ERROR>NO_ATTACHMENTS",
                "NO_ATTACHMENTS>COMPLETED",
                "NO_ATTACHMENTS>ERROR",
                "NO_ATTACHMENTS>NO_ATTACHMENTS",
                "X>PENDING",
                "X>COMPLETED",
                "X>ERROR",
                "X>NO_ATTACHMENTS",
                "X>X",
            ]
        );
    }

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
