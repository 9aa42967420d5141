//! The one place where a sheet changes.
//!
//! What was acknowledged is in the journal. Only a public file that is the version we know is ever
//! replaced, and what another program wrote is merged or kept before that. Reading takes no lock.
//!
//! This room never knows who waits for a result: no queue, no worker, no run.

mod backups;
mod diagnose;
mod first;
mod fitness;
mod free_name;
mod handler;
mod inherited;
mod kept_copies;
mod key_candidates;
mod left_behind;
mod output;
mod ownership;
pub(crate) mod patience;
mod read;
mod renamed_key;
mod standing;
mod whole;
pub(crate) mod writer;

pub use backups::BackedUp;
pub use diagnose::diagnose;
pub use handler::CsvHandler;
pub use key_candidates::{completing_columns, key_candidates};
pub use output::create_output;

pub(crate) use output::refuse_another;
pub(crate) use writer::Judged;
pub use writer::{Decided, Decision};
pub(crate) use writer::{Kept, keep_files};

pub(crate) use backups::clean_up;
pub(crate) use kept_copies::refuse_as_version;
pub(crate) use writer::{Checkpoint, Writes, number_rows, restore_unreadable};
