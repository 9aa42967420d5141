//! Bytes to records and back; no file.
//!
//! Every byte lies in exactly one place: the byte order mark, the line `sep=;`, a record, or the line ends and blank
//! lines between records. What programs read differently is refused, not guessed at. The quick pass (`scan`)
//! and the grammar agree on every record. Which letter a byte is, `encoding` alone knows.
//!
//! This room never knows where the bytes come from, or what a value means.

pub(crate) mod candidates;
pub(crate) mod dialect;
mod encoding;
mod foreign;
pub(crate) mod grammar;
mod header;
mod index;
mod key;
mod opening;
mod scan;

pub(crate) use dialect::{DELIMITERS, Dialect};
pub(crate) use grammar::{Malformed, Records};
pub(crate) use index::{Index, RecordIndex};
pub(crate) use key::{KeyPlace, TYPED};
pub(crate) use opening::Opening;
pub(crate) use scan::{Fields, Record, fields_at};
#[cfg(feature = "fuzzing")]
pub(crate) use scan::{Plan, scan};
