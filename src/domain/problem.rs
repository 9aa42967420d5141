//! What is wrong with a sheet, and why a value is refused.

use std::fmt;

use crate::domain::limits::{MAX_FIELDS, MAX_RECORD_BYTES, MAX_RECORDS, MAX_VALUE_CHARS};
use crate::text::Escaped;

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
    /// UTF-16, recognised by its byte order mark.
    Utf16,
    /// A header name or a key that is not UTF-8.
    InvalidUtf8,
    /// More fields in a row than the stated limit.
    TooManyFields,
    /// More bytes in a row than the stated limit.
    RecordTooLong,
    /// More rows than the stated limit.
    TooManyRecords,
    /// Two columns that tickoff must tell apart have the same name.
    DuplicateColumn(String),
    /// A surplus field that would slide under a column that is to be added.
    SurplusField,
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
            Problem::InvalidUtf8 => f.write_str("the header and the key column must be UTF-8"),
            Problem::TooManyFields => write!(f, "more than {MAX_FIELDS} fields in a row"),
            Problem::RecordTooLong => write!(f, "more than {MAX_RECORD_BYTES} bytes in a row"),
            Problem::TooManyRecords => write!(f, "more than {MAX_RECORDS} rows"),
            Problem::DuplicateColumn(name) => {
                write!(f, "the column {} is there twice", Escaped::text(name))
            }
            Problem::SurplusField => f.write_str(
                "a field beyond the header's last column would slide under an added column",
            ),
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
    /// The key of a row never changes.
    Key,
    /// It is not one of the four statuses.
    Status(String),
    /// The same column is named twice in one update.
    Twice,
}

impl fmt::Display for InvalidValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            InvalidValue::Nul => f.write_str("may not hold a NUL byte"),
            InvalidValue::TooLong => {
                write!(f, "is longer than {} characters", MAX_VALUE_CHARS)
            }
            InvalidValue::Key => f.write_str("is the key column, which no update may change"),
            InvalidValue::Status(word) => write!(
                f,
                "must be PENDING, COMPLETED, ERROR or NO_ATTACHMENTS, not {}",
                Escaped::text(word)
            ),
            InvalidValue::Twice => f.write_str("is named twice in one update"),
        }
    }
}
