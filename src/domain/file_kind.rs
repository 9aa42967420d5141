//! What a file is that was named as the sheet, and is none.

use std::fmt;

/// The kind of a file that is no CSV.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum FileKind {
    /// Excel's, since 2007.
    Workbook,
    /// Excel's, before.
    OldWorkbook,
    /// LibreOffice's.
    OpenDocument,
    /// Packed; the command that unpacks it.
    Compressed(&'static str),
    /// SQLite's.
    Database,
    /// A PDF.
    Pdf,
    /// HTML or XML.
    Markup,
    /// JSON.
    Json,
}

impl fmt::Display for FileKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            FileKind::Workbook => "an Excel workbook (.xlsx)",
            FileKind::OldWorkbook => "an old Excel workbook (.xls)",
            FileKind::OpenDocument => "an OpenDocument file (.ods)",
            FileKind::Compressed(_) => "compressed",
            FileKind::Database => "an SQLite database",
            FileKind::Pdf => "a PDF",
            FileKind::Markup => "HTML or XML",
            FileKind::Json => "JSON",
        })
    }
}
