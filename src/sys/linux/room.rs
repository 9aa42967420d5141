//! Reserving space, so that a full disk shows before anything is written.
//!
//! Not fs2's `allocate`: it takes the reason of a failure from errno, where posix_fallocate does not
//! leave it, and calls a full disk "Success".

use std::fs::File;
use std::io;

use rustix::fs::{FallocateFlags, fallocate};
use rustix::io::{Errno, retry_on_intr};

use crate::sys::poor::{Gift, lacks};

/// Makes the file so long, with room for all of it. `false`: the filesystem cannot reserve any.
pub(crate) fn reserve(file: &File, size: u64) -> io::Result<bool> {
    ask(file, FallocateFlags::empty(), 0, size)
}

/// Gets room for `length` bytes from `start` on, and leaves the file as long as it is. `false`: the
/// filesystem cannot reserve any.
pub(crate) fn reserve_behind(file: &File, start: u64, length: u64) -> io::Result<bool> {
    ask(file, FallocateFlags::KEEP_SIZE, start, length)
}

fn ask(file: &File, flags: FallocateFlags, start: u64, length: u64) -> io::Result<bool> {
    if lacks(Gift::Fallocate) {
        return Ok(false);
    }
    match retry_on_intr(|| fallocate(file, flags, start, length)) {
        Ok(()) => Ok(true),
        Err(Errno::OPNOTSUPP | Errno::NOSYS) => Ok(false),
        Err(errno) => Err(errno.into()),
    }
}
