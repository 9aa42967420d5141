//! Advisory locks on whole files (flock(2)), which go with the last descriptor.
//!
//! fs2's methods share their names with those that std's `File` has had since 1.89; so they are called
//! through the trait.

use std::fs::File;
use std::io;

use fs2::FileExt;

use super::interrupted;

/// Takes the lock that excludes all others. `false`: somebody has one.
pub(crate) fn try_exclusive(file: &File) -> io::Result<bool> {
    attempt(|| FileExt::try_lock_exclusive(file))
}

/// Takes a lock that others may have as well. `false`: somebody has the one that excludes all others.
pub(crate) fn try_shared(file: &File) -> io::Result<bool> {
    attempt(|| FileExt::try_lock_shared(file))
}

fn attempt(lock: impl Fn() -> io::Result<()>) -> io::Result<bool> {
    match interrupted::again(lock) {
        Ok(()) => Ok(true),
        Err(error) if error.raw_os_error() == fs2::lock_contended_error().raw_os_error() => {
            Ok(false)
        }
        Err(error) => Err(error),
    }
}

/// Gives the lock back, though the descriptor stays open.
pub(crate) fn unlock(file: &File) -> io::Result<()> {
    interrupted::again(|| FileExt::unlock(file))
}
