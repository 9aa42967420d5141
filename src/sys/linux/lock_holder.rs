//! Who holds a lock, asked without taking it.

use std::fs::{self, File};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

/// How often a list without the lock is read: it comes in pieces, and one that is taken or given back in between may
/// hide another one.
const READINGS: usize = 3;

/// Whether the system knows of a flock of that process on the file (proc(5), `/proc/locks`). `None` where it does not
/// tell: the list is hidden, or `/proc` is that of another PID namespace, in which processes have other ids.
pub(crate) fn is(file: &File, pid: u32) -> Option<bool> {
    for _ in 1..READINGS {
        if is_listed(file, pid)? {
            return Some(true);
        }
    }
    is_listed(file, pid)
}

fn is_listed(file: &File, pid: u32) -> Option<bool> {
    let locks = fs::read_to_string("/proc/locks").ok()?;
    let inode = file.metadata().ok()?.ino();
    let ourselves = fs::read_link("/proc/self").ok()?;
    if locks.is_empty() || ourselves != Path::new(&std::process::id().to_string()) {
        return None;
    }
    let pid = pid.to_string();
    // The device is written in several ways, the inode in one.
    let inode = format!(":{inode}");
    Some(locks.lines().any(|line| {
        let fields: Vec<_> = line.split_whitespace().collect();
        matches!(fields[..], [_, "FLOCK", _, _, holder, file, ..]
            if holder == pid && file.ends_with(&inode))
    }))
}
