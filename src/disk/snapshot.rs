//! A private copy of the sheet, mapped read-only.
//!
//! The public CSV cannot be mapped: a program that truncates it would kill us with SIGBUS. The
//! copy is an inode without a name (O_TMPFILE), so nobody else can open it, and it goes away with
//! the last reference, crash or not. That is also what makes the map sound. Where the filesystem
//! shares blocks (FICLONE), the copy costs no space.

use std::fs::File;
use std::io::{self, Seek};
use std::ops::Deref;

use crate::disk::target::Target;
use crate::error::{Error, Result};
use crate::sys::map::{self, Map};
use crate::sys::refused::is_unsupported;
use crate::sys::{blocks, names, open, private_file};

/// The bytes of one version of the sheet.
pub(crate) enum Snapshot {
    Mapped(Map),
    /// For readers, who may not be allowed to create a file beside the sheet.
    Owned(Vec<u8>),
}

impl Snapshot {
    /// Copies a file from its beginning.
    pub(crate) fn copy(target: &Target, mut source: &File) -> Result<Snapshot> {
        let mut copy = scratch_file(target)?;
        if blocks::share(source, &copy).is_err() {
            source.rewind().map_err(Error::io("read", target.path()))?;
            io::copy(&mut source, &mut copy).map_err(Error::io("copy", target.path()))?;
        }
        Snapshot::map(&copy).map_err(Error::io("map", target.path()))
    }

    /// Maps a file that came from [`unnamed_file`] and has no name yet.
    pub(crate) fn map(unnamed: &File) -> io::Result<Snapshot> {
        map::private(unnamed).map(Snapshot::Mapped)
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
    private_file::create(target.folder(), 0o600).map_err(Error::io(
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

fn file_that_lost_its_name(target: &Target) -> Result<File> {
    let name = format!(
        "{}-{:x}.tmp",
        target.sibling_name("new"),
        std::process::id()
    );
    let failed = || Error::io("create a temporary file in", target.folder_path());
    let file = open::create(target.folder(), &name).map_err(failed())?;
    names::unlink(target.folder(), &name).map_err(failed())?;
    Ok(file)
}
