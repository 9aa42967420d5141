//! What one filesystem promises; no CSV.
//!
//! A new file begins in `staged.rs` alone, and gets its name when it is whole and synced; so the public name
//! always has a complete version. What somebody else wrote is neither overwritten nor removed. The two locks
//! of a sheet lie on files that are never deleted or replaced.
//!
//! This room never knows what a record is: what fills a file, and what proves it right, is handed in.

mod lock;
mod new_file;
pub(crate) mod replace;
mod snapshot;
pub(crate) mod staged;
pub(crate) mod target;
mod version;

pub use new_file::NewFile;

pub(crate) use lock::{SessionLock, WriteGuard, WriteLock, read_holder};
pub(crate) use replace::{Displaced, Publication, Replacement};
pub(crate) use snapshot::{Snapshot, scratch_file};
pub(crate) use staged::Staged;
pub(crate) use target::Target;
pub(crate) use version::{Look, Rest, Stamp, Version, hash_bytes};
