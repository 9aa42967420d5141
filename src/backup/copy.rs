//! The bytes of an open file, copied for the same people.
//!
//! The copy is open to nobody who could not read its source, and the position that the source's
//! descriptor shares with others is neither used nor moved.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use rustix::fs::{Gid, Mode, Uid};
use xattr::FileExt as _;

use crate::error::{Error, Result};

/// How much is copied at once where the filesystem cannot share the blocks.
const CHUNK_BYTES: usize = 1 << 20;

/// Fills a new, private file with all that `source` holds, then grants what the source grants.
/// Returns how long it is. The paths are for errors.
pub(super) fn copy(
    source: &File,
    source_path: &Path,
    copy: &File,
    copy_path: &Path,
) -> Result<u64> {
    if rustix::fs::ioctl_ficlone(copy, source).is_err() {
        copy_bytes(source, source_path, copy, copy_path)?;
    }
    grant_what_the_source_grants(source, copy).map_err(Error::io("set the mode of", copy_path))?;
    Ok(copy.metadata().map_err(Error::io("read", copy_path))?.len())
}

fn copy_bytes(source: &File, source_path: &Path, mut copy: &File, copy_path: &Path) -> Result<()> {
    let mut source = FromStart::of(source);
    let mut chunk = vec![0; CHUNK_BYTES];
    loop {
        match source.read(&mut chunk) {
            Ok(0) => return Ok(()),
            Ok(read) => copy
                .write_all(&chunk[..read])
                .map_err(Error::io("write", copy_path))?,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(Error::io("read", source_path)(error)),
        }
    }
}

/// What changes when somebody writes into an open file.
#[derive(PartialEq)]
pub(super) struct Version {
    pub(super) size_bytes: u64,
    modified: (i64, i64),
}

impl Version {
    pub(super) fn of(file: &File) -> io::Result<Version> {
        let metadata = file.metadata()?;
        Ok(Version {
            size_bytes: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
        })
    }
}

/// Reads a file from its start, wherever the position is that its descriptor shares with others.
pub(super) struct FromStart<'a> {
    file: &'a File,
    offset: u64,
}

impl<'a> FromStart<'a> {
    pub(super) fn of(file: &'a File) -> Self {
        FromStart { file, offset: 0 }
    }
}

impl Read for FromStart<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read_at(buffer, self.offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}

/// Gives a copy the owner and group of its source where that is allowed, and such of the source's
/// permissions to read and write as then mean the same people.
///
/// With an access control list, the group's bits are not the group's rights, and somebody may be
/// shut out by name: then only the owner's bits are taken over.
fn grant_what_the_source_grants(source: &File, copy: &File) -> io::Result<()> {
    const ACL: &str = "system.posix_acl_access";
    let metadata = source.metadata()?;
    let owner = rustix::process::geteuid()
        .is_root()
        .then(|| Uid::from_raw(metadata.uid()));
    let mask = match rustix::fs::fchown(copy, owner, Some(Gid::from_raw(metadata.gid()))) {
        _ if source.get_xattr(ACL).ok().flatten().is_some() => 0o600,
        Ok(()) => 0o666,
        Err(rustix::io::Errno::PERM) => 0o606,
        Err(errno) => return Err(errno.into()),
    };
    Ok(rustix::fs::fchmod(
        copy,
        Mode::from_raw_mode(metadata.mode() & mask),
    )?)
}
