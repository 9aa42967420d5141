//! A private copy of the sheet, mapped read-only.
//!
//! The public CSV cannot be mapped: a program that truncates it would kill us with SIGBUS. The
//! copy is an inode without a name (see [`staged::scratch`]), so nobody else can open it, and it goes
//! away with the last reference, crash or not. That is also what makes the map sound. Where the filesystem
//! shares blocks (FICLONE), the copy costs no space.

use std::fs::File;
use std::io;
use std::ops::Deref;

use crate::disk::data::copy_data;
use crate::disk::staged;
use crate::disk::target::Target;
use crate::error::{Error, Result};
use crate::sys::blocks;
use crate::sys::map::{self, Map};

/// The bytes of one version of the sheet.
pub(crate) enum Snapshot {
    Mapped(Map),
    /// For readers, who may not be allowed to create a file beside the sheet.
    Owned(Vec<u8>),
}

impl Snapshot {
    /// Copies a file from its beginning.
    pub(crate) fn copy(target: &Target, source: &File) -> Result<Snapshot> {
        let copy = scratch_file(target)?;
        if blocks::share(source, &copy).is_err() {
            let path = target.path();
            copy_data(source, path, &copy, ("copy", path))?;
        }
        Snapshot::map(&copy).map_err(Error::io("map", target.path()))
    }

    /// Maps a file of ours that has no name.
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

/// A file of which only this process knows.
pub(crate) fn scratch_file(target: &Target) -> Result<File> {
    staged::scratch(target.folder(), &target.sibling_name("")).map_err(Error::io(
        "create a temporary file in",
        target.folder_path(),
    ))
}
