//! One version of the sheet in memory; changes no file.
//!
//! The base (snapshot, dialect, index) never changes; what was written since lies in the overlay. Readers
//! take no lock, and see a row as of before or after an update. The next version is the base with the
//! changed cells, and every other byte is equal to the base's.
//!
//! This room never knows whether a cell is durable or visible, and holds no journal and no lock.

mod across;
mod alike;
mod bring;
pub(crate) mod change;
mod condition;
mod copied;
mod doubled;
mod history;
pub(crate) mod integrity;
mod jobs;
mod json;
mod judge;
mod key_form;
mod kin;
pub(crate) mod merge;
mod misquoted;
mod new_rows;
pub(crate) mod number;
mod options;
mod overlay;
mod progress;
mod record;
pub(crate) mod refused;
mod rekeyed;
pub(crate) mod render;
mod result;
mod room;
mod row_of;
mod schema;
mod selection;
mod shown;
mod table;
mod unplaced;
pub(crate) mod update;

pub use condition::{Condition, InvalidCondition};
pub use integrity::{Diagnostic, Level, NotUtf8};
pub use jobs::{JobEnd, JobList};
pub use json::JsonObject;
pub use merge::Conflict;
pub use number::{ControlRows, Numbered};
pub use options::{Duplicates, Options};
pub use progress::ProcessingProgress;
pub use record::CsvRecord;
pub use selection::Selection;
pub use table::Sheet;
pub use update::{OperationId, Updates, WriteOperation};

pub(crate) use bring::{Brought, bring};
pub(crate) use change::{CellUpdate, Lossy, RowUpdate};
pub(crate) use copied::{Likeness, lacking};
pub(crate) use history::{History, Past, PublicVersion, edits};
#[cfg(feature = "cli")]
pub(crate) use json::Answer;
pub(crate) use judge::{Reading, Verdict, is_same};
pub(crate) use kin::Sample;
pub(crate) use new_rows::{NotFollowed, new_rows};
pub(crate) use room::Room;
pub(crate) use row_of::RowOf;
pub(crate) use schema::Schema;
pub(crate) use shown::{Shown, is_illegible, text};
pub(crate) use unplaced::as_table;
