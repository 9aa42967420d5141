//! One version of the sheet in memory; changes no file.
//!
//! The base (snapshot, dialect, index) never changes; what was written since lies in the overlay. Readers
//! take no lock, and see a row as of before or after an update. The next version is the base with the
//! changed cells, and every other byte is equal to the base's.
//!
//! This room never knows whether a cell is durable or visible, and holds no journal and no lock.

pub(crate) mod change;
pub(crate) mod integrity;
pub(crate) mod merge;
mod new_rows;
mod options;
mod overlay;
mod record;
pub(crate) mod render;
mod schema;
mod selection;
mod table;
pub(crate) mod update;

pub use integrity::{Diagnostic, Level};
pub use merge::Conflict;
pub use options::{Duplicates, Options};
pub use record::CsvRecord;
pub use selection::Selection;
pub use table::{ProcessingProgress, Sheet};
pub use update::{OperationId, Updates, WriteOperation};

pub(crate) use change::{CellUpdate, RowUpdate};
pub(crate) use new_rows::new_rows;
pub(crate) use schema::Schema;
pub(crate) use table::Shown;
