//! The bytes of an open file, copied for the same people.
//!
//! The copy is open to nobody who could not read its source, and the position that the source's
//! descriptor shares with others is neither used nor moved.

use std::fs::File;
use std::io::{self, Read};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::disk::copy_data;
use crate::error::{Error, Result};
use crate::sys::{acl, blocks, refused, rights};

/// Fills a new, private file with all that `source` holds, then grants what `granting` grants: the source
/// itself, or the sheet whose text is in it. Returns how long it is. The paths are for errors.
pub(super) fn copy(
    source: &File,
    granting: &File,
    source_path: &Path,
    copy: &File,
    copy_path: &Path,
) -> Result<u64> {
    if blocks::share(source, copy).is_err() {
        copy_data(source, source_path, copy, ("write", copy_path))?;
    }
    grant_what_the_source_grants(granting, copy)
        .map_err(Error::io("set the mode of", copy_path))?;
    Ok(copy.metadata().map_err(Error::io("read", copy_path))?.len())
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
    let metadata = source.metadata()?;
    let owner = rights::is_root().then(|| metadata.uid());
    let mode = metadata.mode();
    let same = match rights::set_owner(copy, owner, Some(metadata.gid())) {
        _ if acl::is_on(source) => mode & 0o600,
        Ok(()) => mode & 0o666,
        // Those of the group are others now.
        Err(error) if refused::is_not_permitted(&error) => mode & 0o600 | mode >> 3 & mode & 0o006,
        Err(error) => return Err(error),
    };
    // What the folder gives by default is more than the source has.
    acl::remove(copy)?;
    rights::set_mode(copy, same)
}
