//! What is wrong with a sheet, and why a value is refused.

use std::fmt;

use crate::domain::FileKind;
use crate::domain::limits::{
    MAX_FIELDS, MAX_RECORD_BYTES, MAX_RECORDS, MAX_RESULT_ROW_BYTES, MAX_VALUE_CHARS,
};
use crate::text::{Escaped, Meant, escape_list};

/// What makes bytes unfit as a sheet.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Problem {
    /// A quoted field that opens here is never closed.
    UnterminatedQuote,
    /// A carriage return that no line feed follows, outside quotes.
    LoneCarriageReturn,
    /// A NUL byte: the file is damaged, or not UTF-8.
    Nul,
    /// UTF-16, recognised by its byte order mark, or by its NUL bytes.
    Utf16,
    /// A file of another kind, recognised by how it begins.
    NoCsv(FileKind),
    /// A header name or a key that is not UTF-8.
    InvalidUtf8,
    /// A header name or a key with a byte that has no letter in the encoding of this name.
    NoLetter(&'static str),
    /// UTF-8, recognised by its byte order mark, where the encoding of this name was asked for.
    MarkedUtf8(&'static str),
    /// UTF-8, letters beyond ASCII too, where the encoding of this name is only remembered.
    SavedAsUtf8(&'static str),
    /// More fields in a row than the stated limit.
    TooManyFields,
    /// More bytes in a row than the stated limit.
    RecordTooLong,
    /// More rows than the stated limit.
    TooManyRecords,
    /// The header, or a row that is longer, has no room for these columns, which are to be added.
    NoRoomFor(Vec<String>),
    /// A row is so long that a result could make it longer than the stated limit.
    NoRoomForResult,
    /// Two columns that tickoff must tell apart have the same name.
    DuplicateColumn(String),
    /// There is no status column, but one that looks like it, by which rows are done: it would be overlooked.
    LookAlike {
        /// The column that is not there.
        status: String,
        /// The one that looks like it.
        column: String,
        /// How many rows are done by that.
        rows: usize,
    },
    /// A job of a list that is not UTF-8.
    JobNotUtf8,
    /// A job of a list with a letter that the encoding of this name does not have.
    JobNotWritable(&'static str),
    /// A NUL byte in a list of jobs that line ends separate.
    NulInJob,
    /// A job of a list that is longer than [`MAX_VALUE_CHARS`](crate::MAX_VALUE_CHARS).
    JobTooLong,
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Problem::UnterminatedQuote => f.write_str("a quote opens here and is never closed"),
            Problem::LoneCarriageReturn => f.write_str(
                "a carriage return without a line feed, which programs read differently",
            ),
            Problem::Nul => f.write_str("a NUL byte: the file is damaged or is not UTF-8 text"),
            Problem::Utf16 => f.write_str("the file is UTF-16: save it as CSV UTF-8"),
            Problem::NoCsv(kind) => write!(f, "the file is {kind}, and no CSV"),
            Problem::InvalidUtf8 => f.write_str("the header and the key column must be UTF-8"),
            Problem::NoLetter(encoding) => write!(
                f,
                "a byte that is no letter in {encoding}, which the header and the key column must be in"
            ),
            Problem::MarkedUtf8(encoding) => write!(
                f,
                "the file begins with the byte order mark of UTF-8, so it is not in {encoding}"
            ),
            Problem::SavedAsUtf8(encoding) => write!(
                f,
                "the sheet is UTF-8, and {encoding} is remembered of it: another program has saved it so since"
            ),
            Problem::TooManyFields => write!(f, "more than {MAX_FIELDS} fields in a row"),
            Problem::RecordTooLong => write!(f, "more than {MAX_RECORD_BYTES} bytes in a row"),
            Problem::TooManyRecords => write!(f, "more than {MAX_RECORDS} rows"),
            Problem::NoRoomFor(columns) => write!(
                f,
                "no room for {}: a row has at most {MAX_FIELDS} fields",
                escape_list(columns)
            ),
            Problem::NoRoomForResult => write!(
                f,
                "no room for a result: the row has more than {MAX_RESULT_ROW_BYTES} bytes, and at most {MAX_RECORD_BYTES} may be in a row"
            ),
            Problem::DuplicateColumn(name) => {
                write!(f, "the column {} is there twice", Escaped::text(name))
            }
            Problem::LookAlike {
                status,
                column,
                rows,
            } => write!(
                f,
                "no column {status}, and one that looks so, by which {rows} {} done, would be overlooked{}",
                if *rows == 1 { "row is" } else { "rows are" },
                Meant {
                    wanted: status,
                    columns: std::slice::from_ref(column),
                    close: &[]
                }
            ),
            Problem::JobNotUtf8 => f.write_str("a job must be UTF-8"),
            Problem::JobNotWritable(encoding) => {
                write!(f, "a job has a letter that {encoding} cannot write")
            }
            Problem::NulInJob => f.write_str("a NUL byte in a line"),
            Problem::JobTooLong => {
                write!(f, "a job of more than {MAX_VALUE_CHARS} characters")
            }
        }
    }
}

/// Why a value was refused.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum InvalidValue {
    /// It holds a NUL byte.
    Nul,
    /// It is longer than [`MAX_VALUE_CHARS`](crate::MAX_VALUE_CHARS).
    TooLong,
    /// The row would have more bytes than one may have.
    NoRoom,
    /// The key of a row never changes. These are the columns that make it up.
    Key(Box<[String]>),
    /// It is none of the known statuses.
    Status(String),
    /// The same column is named twice in one update.
    Twice,
    /// It has a letter that the sheet's encoding lacks.
    Letter {
        /// The first of them.
        letter: char,
        /// The encoding's name.
        encoding: &'static str,
    },
}

/// The way to another key.
const EDIT_IT: &str = "change it in the sheet itself, where the row keeps its other cells";

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidValue::Nul => f.write_str("may not hold a NUL byte"),
            InvalidValue::TooLong => {
                write!(f, "is longer than {} characters", MAX_VALUE_CHARS)
            }
            InvalidValue::NoRoom => write!(
                f,
                "has no room in its row: a row has at most {MAX_RECORD_BYTES} bytes, of which some are kept for its state"
            ),
            InvalidValue::Key(columns) if columns.len() > 1 => write!(
                f,
                "is part of the key ({}), which no update may change: {EDIT_IT}",
                Escaped::text(&columns.join(", "))
            ),
            InvalidValue::Key(_) => write!(
                f,
                "is the key column, which no update may change: {EDIT_IT}"
            ),
            InvalidValue::Status(word) => write!(
                f,
                "must be PENDING, COMPLETED, ERROR, NO_ATTACHMENTS, FAILED, PARTIAL or PO_NOT_FOUND, not {}",
                Escaped::text(word)
            ),
            InvalidValue::Twice => f.write_str("is named twice in one update"),
            InvalidValue::Letter { letter, encoding } => write!(
                f,
                "has a letter that {encoding} cannot write, {} (U+{:04X})",
                Escaped::text(&letter.to_string()),
                u32::from(*letter)
            ),
        }
    }
}
