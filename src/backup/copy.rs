//! The bytes of an open file, copied for the same people.
//!
//! The copy is open to nobody who could not read its source, and the position that the source's
//! descriptor shares with others is neither used nor moved.

use std::fs::File;
use std::io::{self, Read};
use std::os::fd::AsRawFd;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

use crate::error::{Error, Result};
use crate::sys::{acl, blocks, holes, refused, rights};

/// How much is copied at once where the filesystem cannot share the blocks.
const CHUNK_BYTES: usize = 1 << 20;

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
        copy_bytes(source, source_path, copy, copy_path)?;
    }
    grant_what_the_source_grants(granting, copy)
        .map_err(Error::io("set the mode of", copy_path))?;
    Ok(copy.metadata().map_err(Error::io("read", copy_path))?.len())
}

/// Holes stay holes: a file may be longer than the disk.
fn copy_bytes(source: &File, source_path: &Path, copy: &File, copy_path: &Path) -> Result<()> {
    let failed = || Error::io("read", source_path);
    // One whose position is ours alone. Without it holes are read, and are not written all the same.
    let own = File::open(format!("/proc/self/fd/{}", source.as_raw_fd())).ok();
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    let end = loop {
        if let Some(own) = &own {
            // Measured first: up to there it is a hole if nothing comes any more.
            let length = source.metadata().map_err(failed())?.len();
            match holes::next_data(own, offset).map_err(failed())? {
                Some(data) => offset = data,
                None => break length.max(offset),
            }
        }
        match source.read_at(&mut chunk, offset) {
            Ok(0) => break offset,
            Ok(read) => {
                if chunk[..read].iter().any(|byte| *byte != 0) {
                    copy.write_all_at(&chunk[..read], offset)
                        .map_err(Error::io("write", copy_path))?;
                }
                offset += read as u64;
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(failed()(error)),
        }
    };
    copy.set_len(end).map_err(Error::io("write", copy_path))
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_longer_than_the_disk_takes_no_more_room_than_it_had() {
        let (source, copied) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let texts = [
            (0, "first"),
            (5 << 30, "in between"),
            ((5 << 30) + (3 << 20), "\0\0last"),
        ];
        for (offset, text) in texts {
            source.write_all_at(text.as_bytes(), offset).unwrap();
        }
        source.set_len(1 << 43).unwrap();
        let path = Path::new("a file");
        copy_bytes(&source, path, &copied, path).unwrap();
        let metadata = copied.metadata().unwrap();
        assert_eq!(metadata.len(), 1 << 43);
        assert!(metadata.blocks() * 512 < 8 << 20, "{}", metadata.blocks());
        for (offset, text) in texts {
            let mut read = vec![0; text.len()];
            copied.read_exact_at(&mut read, offset).unwrap();
            assert_eq!(read, text.as_bytes());
        }
    }
}
