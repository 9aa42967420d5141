//! What one filesystem promises; no CSV.
//!
//! A new file begins in `staged.rs` alone, and gets its name when it is whole and synced; so the public name
//! always has a complete version. What somebody else wrote is neither overwritten nor removed. The two locks
//! of a sheet lie on files that we never delete or replace; one that somebody else takes away is put back.
//!
//! This room never knows what a record is: what fills a file, and what proves it right, is handed in.

mod data;
pub(crate) mod link;
mod lock;
mod new_file;
pub(crate) mod replace;
mod rights;
mod settled;
mod snapshot;
pub(crate) mod staged;
pub(crate) mod target;
mod trusted;
mod version;

pub use new_file::NewFile;
pub use rights::Rights;

pub(crate) use data::copy_data;
pub(crate) use lock::{
    MAX_TOLD, SessionLock, WriteGuard, WriteLock, is_held, is_in_session, parse_holder,
    read_holder, refuse_foreign_session,
};
pub(crate) use replace::{Displaced, Publication, Replacement, is_displaced};
pub(crate) use settled::{SETTLE, SETTLE_SUSPICIOUS, has_settled, take, take_open};
pub(crate) use snapshot::{Snapshot, scratch_file};
pub(crate) use staged::Staged;
pub(crate) use target::{Target, Whereabouts, open_file, sibling_name};
pub(crate) use trusted::Trusted;
pub(crate) use version::{ContentHash, Look, Rest, Stamp, Version, hash_bytes, hash_file};
