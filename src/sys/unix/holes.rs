//! Holes in files, which need not be read.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use rustix::fs::{SeekFrom, seek};
use rustix::io::Errno;

/// The first byte from an offset on that is not in a hole; the offset itself where the filesystem does
/// not know its holes. `None`: nothing comes any more. Moves the descriptor's position.
pub(crate) fn next_data(file: &File, offset: u64) -> io::Result<Option<u64>> {
    match seek(file, SeekFrom::Data(offset)) {
        Ok(data) => Ok(Some(data)),
        Err(Errno::NXIO) => Ok(None),
        Err(Errno::INVAL) => Ok(Some(offset)),
        Err(errno) => Err(errno.into()),
    }
}

/// The same of a file whose position others use: it is neither used nor moved. Where it cannot be opened once more, it
/// has no holes.
pub(crate) struct Holes(Option<File>);

impl Holes {
    pub(crate) fn of(file: &File) -> Holes {
        Holes(File::open(format!("/proc/self/fd/{}", file.as_raw_fd())).ok())
    }

    pub(crate) fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match &self.0 {
            Some(file) => next_data(file, offset),
            None => Ok(Some(offset)),
        }
    }
}
