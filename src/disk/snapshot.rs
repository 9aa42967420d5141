//! A private copy of the sheet, mapped read-only.
//!
//! The public CSV cannot be mapped: a program that truncates it would kill us with SIGBUS. The
//! copy is an inode without a name (O_TMPFILE), so nobody else can open it, and it goes away with
//! the last reference, crash or not. That is also what makes the map sound. Where the filesystem
//! shares blocks (FICLONE), the copy costs no space.

#![allow(unsafe_code)]

use std::fs::File;
use std::io::{self, Seek};
use std::ops::Deref;

use memmap2::Mmap;
use rustix::fs::{Mode, OFlags};

use crate::disk::target::{Target, open_at};
use crate::error::{Error, Result};

/// The bytes of one version of the sheet.
pub(crate) enum Snapshot {
    Mapped(Mmap),
    /// For readers, who may not be allowed to create a file beside the sheet.
    Owned(Vec<u8>),
}

impl Snapshot {
    /// Copies a file from its beginning.
    pub(crate) fn copy(target: &Target, mut source: &File) -> Result<Snapshot> {
        let mut copy = scratch_file(target)?;
        if rustix::fs::ioctl_ficlone(&copy, source).is_err() {
            source.rewind().map_err(Error::io("read", target.path()))?;
            io::copy(&mut source, &mut copy).map_err(Error::io("copy", target.path()))?;
        }
        Snapshot::map(&copy).map_err(Error::io("map", target.path()))
    }

    /// Maps a file that came from [`unnamed_file`] and has no name yet.
    pub(crate) fn map(unnamed: &File) -> io::Result<Snapshot> {
        // SAFETY: a map is sound while nobody changes or truncates the file under it. The inode
        // was created by `unnamed_file` without a name, or lost it before anything was written, so
        // no other process can open it; and in this process nothing writes to it after it has been
        // mapped: `copy` drops its descriptor here, and `replace.rs` maps its file only to verify
        // it, when all of it is written, and drops the map before the file gets its name.
        let map = unsafe { Mmap::map(unnamed)? };
        Ok(Snapshot::Mapped(map))
    }
}

impl Deref for Snapshot {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        match self {
            Snapshot::Mapped(map) => map,
            Snapshot::Owned(bytes) => bytes,
        }
    }
}

/// A new file in the sheet's folder that has no name, readable by its owner alone.
pub(crate) fn unnamed_file(target: &Target) -> Result<File> {
    let mode = Mode::RUSR | Mode::WUSR;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    open_at(target.folder(), ".", flags, mode)
        .map(File::from)
        .map_err(Error::sys(
            "create a temporary file in",
            target.folder_path(),
        ))
}

/// A file of which only this process knows, also on a filesystem without O_TMPFILE.
pub(crate) fn scratch_file(target: &Target) -> Result<File> {
    match unnamed_file(target) {
        Err(Error::Io { source, .. }) if is_unsupported(&source) => file_that_lost_its_name(target),
        made => made,
    }
}

/// Whether an error means that the filesystem cannot do this at all.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    matches!(
        error.raw_os_error(),
        Some(libc::EOPNOTSUPP | libc::EINVAL | libc::EISDIR | libc::ENOSYS)
    )
}

fn file_that_lost_its_name(target: &Target) -> Result<File> {
    let name = format!(
        "{}-{:x}.tmp",
        target.sibling_name("new"),
        std::process::id()
    );
    let flags = OFlags::CREATE | OFlags::EXCL | OFlags::RDWR | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    let failed = || Error::sys("create a temporary file in", target.folder_path());
    let file = open_at(target.folder(), &name, flags, Mode::RUSR | Mode::WUSR).map_err(failed())?;
    rustix::fs::unlinkat(target.folder(), &name, rustix::fs::AtFlags::empty()).map_err(failed())?;
    Ok(file.into())
}
