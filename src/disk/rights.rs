//! Who may read what is made of a sheet: those who may read the sheet.
//!
//! A file begins private, and is then given to those who have the sheet. Who may not give it to the sheet's group
//! leaves the group's permissions away.

use std::fs::{DirBuilder, File, Metadata, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::error::{Error, Result};
use crate::sys::{refused, rights};

/// Owner, group and permissions of a sheet, for what is kept beside it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Rights {
    owner: u32,
    group: u32,
    mode: u32,
}

impl Rights {
    /// Those of a sheet, for files that a user named: what the umask keeps from others stays away.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be found.
    pub fn of(sheet: impl AsRef<Path>) -> Result<Rights> {
        let sheet = sheet.as_ref();
        let metadata = std::fs::metadata(sheet).map_err(Error::io("read", sheet))?;
        let of_sheet = Rights::of_file(&metadata);
        Ok(Rights {
            mode: of_sheet.mode & !rights::umask(),
            ..of_sheet
        })
    }

    /// Those of a sheet, for files of ours beside it, whatever the umask is.
    pub(crate) fn of_file(file: &Metadata) -> Rights {
        Rights {
            owner: file.uid(),
            group: file.gid(),
            mode: file.mode(),
        }
    }

    pub(crate) fn owner(&self) -> u32 {
        self.owner
    }

    /// Opens a file for adding to it. One that is made by this is for those who have the sheet; one that is there
    /// stays as it is, whatever it is.
    ///
    /// # Errors
    /// Those of the system.
    pub fn append(&self, options: &OpenOptions, path: &Path) -> io::Result<File> {
        let mut options = options.clone();
        options.append(true).mode(0o600);
        match options.clone().create_new(true).open(path) {
            Ok(file) => {
                self.give(&file)?;
                Ok(file)
            }
            // A link that leads nowhere is there, too.
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                options.create(true).open(path)
            }
            failed => failed,
        }
    }

    /// Makes a file that is not there yet, for those who have the sheet.
    ///
    /// # Errors
    /// Those of the system.
    pub fn create(&self, path: &Path) -> io::Result<File> {
        let mut options = OpenOptions::new();
        let file = options
            .write(true)
            .create_new(true)
            .mode(0o600)
            .open(path)?;
        self.give(&file)?;
        Ok(file)
    }

    /// Makes a folder that is not there yet, which those may enter and list who may read the sheet.
    ///
    /// # Errors
    /// Those of the system.
    pub fn create_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        let folder = File::open(path)?;
        let bits = self.give_owner(&folder)?;
        // What it has from the folder around it stays: its group for what is made in it.
        let special = folder.metadata()?.mode() & 0o7000;
        rights::set_mode(&folder, special | bits | (bits & 0o444) >> 2 | 0o700)
    }

    /// Gives a file that was made private to those who have the sheet.
    pub(crate) fn give(&self, file: &File) -> io::Result<()> {
        let bits = self.give_owner(file)?;
        rights::set_mode(file, bits | 0o600)
    }

    /// Gives a file the sheet's owner and group as far as we may, and returns the permissions that it can have.
    fn give_owner(&self, file: &File) -> io::Result<u32> {
        let owned = rights::set_owner(file, Some(self.owner), Some(self.group))
            .or_else(|_| rights::set_owner(file, None, Some(self.group)));
        match owned {
            Ok(()) => Ok(self.mode & 0o666),
            Err(error) if refused::is_not_permitted(&error) => Ok(self.mode & 0o606),
            Err(error) => Err(error),
        }
    }
}
