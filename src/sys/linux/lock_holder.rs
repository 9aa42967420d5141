//! Who holds a lock, asked without taking it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;

/// Whether the system knows of a flock of that process on the file (proc(5), `/proc/locks`).
pub(crate) fn is(file: &File, pid: u32) -> bool {
    let (Ok(locks), Ok(metadata)) = (fs::read_to_string("/proc/locks"), file.metadata()) else {
        return false;
    };
    let pid = pid.to_string();
    // The device is written in several ways, the inode in one.
    let inode = format!(":{}", metadata.ino());
    locks.lines().any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        matches!(fields[..], [_, "FLOCK", _, _, holder, file, ..]
            if holder == pid && file.ends_with(&inode))
    })
}
