//! The words in which everything is said.
//!
//! Statuses, columns, times, problems and limits are defined here, each once. Whether two spellings mean
//! the same status or column is decided here and nowhere else.
//!
//! This room never knows where a word stands: no bytes, no offsets, no file.

pub(crate) mod columns;
mod encoding;
mod file_kind;
mod header_line;
mod holder;
mod key;
mod key_text;
mod limits;
mod problem;
mod stage;
mod status;
mod time;

pub use encoding::Encoding;
pub use file_kind::FileKind;
pub use header_line::HeaderLine;
pub use holder::Holder;
pub use key::KeyColumns;
pub use limits::{
    MAX_ADDED_COLUMNS, MAX_JOBS, MAX_LINE_BYTES, MAX_RESULT_BYTES, MAX_RESULT_CELLS,
    MAX_RETRY_AFTER, MAX_VALUE_CHARS,
};
pub use problem::{InvalidValue, Problem};
pub use stage::{InvalidStage, Stage};
pub use status::ProcessingStatus;

pub(crate) use key_text::{has_text, key_in};
pub(crate) use limits::{
    MAX_FIELDS, MAX_NAME_CHARS, MAX_RECORD_BYTES, MAX_RECORDS, MAX_RESULT_ROW_BYTES, too_many_cells,
};
pub(crate) use stage::{is_state, may_return, stage_prefix};
pub(crate) use status::KNOWN;
pub(crate) use time::{format_timestamp, is_same_time, parse_timestamp};
