//! A child that cannot escape.
//!
//! The outcome of a PO is what its own process said, within stated limits. A group is signalled only while
//! its leader has not been reaped. Nothing is left of a process that timed out or was broken off.
//!
//! This room never knows where results go: no file of the sheet, no journal, no queue.

mod command;
mod ends;
mod group;
#[cfg(test)]
mod growth;
mod kept_output;
mod large_answers;
mod leaves;
mod orphans;
mod placeholder;
mod poll;
mod printing;
mod program;
mod result_file;
mod result_folder;
mod result_lines;
mod retry_after;
mod retry_on;
mod running;
#[cfg(test)]
mod sample;
mod script;
mod shortage;
mod signals;
mod tail;
mod template;
mod tree;
mod verdict;
mod worker;

pub use command::RecordCommand;
pub use group::{GRACE, kill_all};
pub use kept_output::KeptOutput;
pub use orphans::Orphans;
pub use placeholder::Misspelt;
pub use printing::{Printer, Stream};
pub use program::CannotRun;
pub use retry_on::RetryOn;
pub use signals::{is_ignored, suspend};
pub use template::{CommandTemplate, InvalidTemplate};
pub use worker::{FAREWELL, WorkerProcesses};
