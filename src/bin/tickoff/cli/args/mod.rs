//! What several commands ask in the same words, so that an option means the same to all of them.
//!
//! What is asked about the [`sheet`] and the files beside it, which of its [`rows`] count in which of the
//! [`stages`] of work, and what is said meanwhile (the [`log`]). A value that cannot be meant is refused while the command line is parsed, with
//! exit code 2, before any file is touched.

mod log;
mod number;
mod rows;
mod sheet;
mod stages;

pub use log::LogArgs;
pub use number::{jobs, some, some_few, times};
pub use rows::{Assignment, ConditionArgs, FailedArgs, WordArgs, slip};
pub use sheet::{BackupArgs, ColumnArgs, SheetArgs, WriteArgs, merged, refuse_unwritable};
pub use stages::{AfterArgs, CommandOn, StageArgs, refuse_unknown_stage};
