//! Reading without a trace.

use std::fs::File;

use rustix::fs::{OFlags, fcntl_getfl, fcntl_setfl};

/// From now on reading through this descriptor leaves the file's access time alone: reading is no reason
/// to write the inode at the next sync. Only the owner may ask for that; for others nothing changes.
pub(crate) fn leave(file: &File) {
    if let Ok(flags) = fcntl_getfl(file) {
        fcntl_setfl(file, flags | OFlags::NOATIME).ok();
    }
}
