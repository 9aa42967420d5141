//! Whole copies of the sheet.
//!
//! A backup that can be seen is complete and survives power loss. It never takes the place of another
//! file, and nobody may read it who could not read the sheet. Only what is certainly an old backup of this
//! very sheet is ever deleted.
//!
//! This room never knows what was changed: no updates, no journal, no session beyond its id.

mod attribution;
mod copy;
mod count;
mod folder;
mod here;
mod list;
mod make;
mod manager;
mod metadata;
mod name;
mod origin;
mod original;
#[cfg(test)]
mod place;
mod resolve;
mod retention;
mod usable;

pub use manager::{BackupManager, DEFAULT_KEEP};
pub use metadata::{BackupMetadata, CopyKind, KeptCopy};
pub(crate) use name::{SET, is_automatic, label_of_copy};
