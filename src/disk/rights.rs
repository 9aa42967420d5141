//! Who may read what is made of a sheet: those who may read the sheet.
//!
//! A file begins private, and is then given to those who have the sheet, by its mode and by its access control
//! list; a list that the folder around it gives by default is taken away. Who may not give it to the sheet's group
//! leaves the group's permissions away.

use std::fs::{DirBuilder, File, OpenOptions};
use std::io;
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::path::Path;

use crate::disk::trusted::{Place, Trusted};
use crate::error::{Error, Result};
use crate::sys::acl::{self, Acl};
#[cfg(feature = "cli")]
use crate::sys::names;
use crate::sys::{open, refused, rights};

/// Who but its owner may write a file, or make and remove names in a folder.
const BY_GROUP: u32 = 0o020;
const BY_OTHERS: u32 = 0o002;
/// Of a folder: names in it are removed and replaced by who owns them, or it, alone.
const STICKY: u32 = 0o1000;

/// Owner, group, permissions and access control list of a sheet, for what is kept beside it.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rights {
    owner: u32,
    group: u32,
    mode: u32,
    /// With one, the mode's bits of the group are not the group's rights.
    acl: Option<Acl>,
}

impl Rights {
    /// Those of a sheet, for files that a user named: what the umask keeps from others stays away.
    ///
    /// # Errors
    /// [`Error::Io`] if it cannot be found.
    pub fn of(sheet: impl AsRef<Path>) -> Result<Rights> {
        let of_sheet = Rights::of_place(sheet.as_ref())?;
        Ok(Rights {
            mode: of_sheet.mode & !rights::umask(),
            ..of_sheet
        })
    }

    /// Those of a sheet, for files of ours beside it, whatever the umask is.
    pub(crate) fn of_place(sheet: &Path) -> Result<Rights> {
        let metadata = std::fs::metadata(sheet).map_err(Error::io("read", sheet))?;
        Ok(Rights {
            owner: metadata.uid(),
            group: metadata.gid(),
            mode: metadata.mode(),
            acl: Acl::of(sheet).map_err(Error::io("read", sheet))?,
        })
    }

    pub(crate) fn owner(&self) -> u32 {
        self.owner
    }

    /// Opens a file for adding to it, without waiting for a reader. One that is made by this is for those who have
    /// the sheet; one that is there keeps its rights.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] if it, or a link that leads to it, is neither ours nor root's nor of the sheet's owner;
    /// [`Error::OwnName`]; [`Error::Io`].
    pub fn append(&self, path: &Path) -> Result<File> {
        let trusted = Trusted::for_output(Some(self.owner));
        let place = trusted.place(path).map_err(|error| match error {
            Error::Io { action, source, .. } if action != "find the folder" => Error::Io {
                action: "open",
                path: path.to_owned(),
                source,
            },
            error => error,
        })?;
        let file = self.append_at(&place).map_err(Error::io("open", path))?;
        trusted.judge_opened(&file, &place)?;
        Ok(file)
    }

    /// Opens a file for reading, as it was opened for adding to it.
    ///
    /// # Errors
    /// As [`Rights::append`].
    pub fn read(&self, path: &Path) -> Result<File> {
        let place = Trusted::for_output(Some(self.owner)).place(path)?;
        let file = match &place {
            Place::Descriptor(path) => open::path_to_read(path),
            Place::Name { folder, name, .. } => open::to_read(folder, name),
        };
        file.map_err(Error::io("open", path))
    }

    /// Refuses an output that somebody else put there, or a link that leads to it.
    ///
    /// # Errors
    /// As [`Rights::append`].
    pub(crate) fn refuse_strangers(&self, path: &Path) -> Result<()> {
        Trusted::for_output(Some(self.owner)).place(path).map(drop)
    }

    /// Where a folder for outputs is, or is to be made, without links.
    ///
    /// # Errors
    /// [`Error::OwnName`]; [`Error::Unsuitable`] if somebody else put it there, or a link to it; [`Error::Io`].
    #[cfg(feature = "cli")]
    pub(crate) fn place_of_folder(&self, path: &Path) -> Result<std::path::PathBuf> {
        Trusted::for_output(Some(self.owner)).named_folder_path(path)
    }

    /// Opens a folder for outputs, unless somebody else put it there, or a link in its place.
    ///
    /// # Errors
    /// [`Error::Unsuitable`]; [`Error::Io`].
    #[cfg(feature = "cli")]
    pub(crate) fn own_folder(&self, path: &Path) -> Result<File> {
        let trusted = Trusted::for_output(Some(self.owner));
        match trusted.folder_path(path)? == path {
            true => trusted.folder(path),
            false => Err(Error::io("open", path)(io::ErrorKind::NotADirectory.into())),
        }
    }

    /// The same in a folder that is held open, whose path this is.
    ///
    /// # Errors
    /// [`Error::Unsuitable`]; [`Error::Io`].
    #[cfg(feature = "cli")]
    pub(crate) fn own_folder_in(&self, around: &File, path: &Path, name: &str) -> Result<File> {
        let named = path.join(name);
        let folder = open::folder_in(around, name).map_err(Error::io("open", &named))?;
        let there = folder.metadata().map_err(Error::io("read", &named))?;
        let trusted = Trusted::for_output(Some(self.owner));
        trusted.judge_found(&there, &named, path).map(|()| folder)
    }

    fn append_at(&self, place: &Place) -> io::Result<File> {
        let (folder, name) = match place {
            Place::Descriptor(path) => return open::descriptor_to_append(path),
            Place::Name { folder, name, .. } => (folder, name),
        };
        match open::create_to_append(folder, name) {
            Ok(file) => {
                self.give(&file)?;
                Ok(file)
            }
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                open::to_append(folder, name)
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

    /// The same in a folder that is held open.
    ///
    /// # Errors
    /// Those of the system.
    #[cfg(feature = "cli")]
    pub(crate) fn create_in(&self, folder: &File, name: &str) -> io::Result<File> {
        let file = open::create(folder, name, 0o600)?;
        self.give(&file)?;
        Ok(file)
    }

    /// Makes a folder that is not there yet, which those may enter and list who may read the sheet; where an access
    /// control list tells who they are, its owner alone. Nobody but its owner may make or remove anything in it.
    ///
    /// # Errors
    /// Those of the system.
    pub fn create_folder(&self, path: &Path) -> io::Result<()> {
        DirBuilder::new().mode(0o700).create(path)?;
        self.give_folder(&open::folder_itself(path)?)
    }

    /// The same in a folder that is held open.
    ///
    /// # Errors
    /// Those of the system.
    #[cfg(feature = "cli")]
    pub(crate) fn create_folder_in(&self, around: &File, name: &str) -> io::Result<File> {
        names::create_folder(around, name)?;
        let folder = open::folder_in(around, name)?;
        self.give_folder(&folder)?;
        Ok(folder)
    }

    fn give_folder(&self, folder: &File) -> io::Result<()> {
        let (bits, _) = self.give_owner(folder)?;
        let bits = if self.acl.is_none() { bits & 0o444 } else { 0 };
        // What it has from the folder around it stays: its group for what is made in it.
        let special = folder.metadata()?.mode() & 0o7000;
        rights::set_mode(folder, special | bits | bits >> 2 | 0o700)
    }

    /// Makes a folder and those around it, as [`Rights::create_folder`] does, and syncs the one around each, if they
    /// are not there yet.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub(crate) fn create_folders(&self, path: &Path) -> Result<()> {
        let around = path
            .parent()
            .filter(|around| !around.as_os_str().is_empty())
            .unwrap_or(Path::new("."));
        let made = match self.create_folder(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound && !around.is_dir() => {
                self.create_folders(around)?;
                self.create_folder(path)
            }
            made => made,
        };
        match made {
            Ok(()) => File::open(around)
                .and_then(|folder| folder.sync_all())
                .map_err(Error::io("sync", around)),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                match std::fs::metadata(path).map_err(Error::io("read", path))? {
                    there if there.is_dir() => Ok(()),
                    _ => Err(Error::io("create", path)(error)),
                }
            }
            Err(error) => Err(Error::io("create", path)(error)),
        }
    }

    /// Whether others may make and remove names in a folder than those who may write the sheet. In a sticky one
    /// everybody does so with their own alone.
    pub(crate) fn is_open_to_others(&self, folder: &File) -> io::Result<bool> {
        let there = folder.metadata()?;
        let is_one_group = self.group == there.gid() && self.acl.is_none() && !acl::is_on(folder);
        let shared = match self.mode {
            mode if mode & STICKY != 0 => 0,
            mode if is_one_group => mode,
            mode => mode & BY_OTHERS,
        };
        let open_to = there.mode() & (BY_GROUP | BY_OTHERS) & !shared;
        Ok(open_to != 0 && there.mode() & STICKY == 0)
    }

    /// Gives a file that was made private to those who have the sheet.
    pub(crate) fn give(&self, file: &File) -> io::Result<()> {
        let (bits, has_group) = self.give_owner(file)?;
        let bits = match &self.acl {
            None => bits,
            Some(acl) if has_group && acl.give(file).is_ok() => bits,
            Some(_) => 0,
        };
        rights::set_mode(file, bits | 0o600)
    }

    /// Gives a file the sheet's owner and group as far as we may, and nobody else anything. Returns the permissions
    /// that its mode can have, and whether it has the group.
    fn give_owner(&self, file: &File) -> io::Result<(u32, bool)> {
        acl::remove(file)?;
        let owned = rights::set_owner(file, Some(self.owner), Some(self.group))
            .or_else(|_| rights::set_owner(file, None, Some(self.group)));
        match owned {
            Ok(()) => Ok((self.mode & 0o666, true)),
            // Those of the group are others now.
            Err(error) if refused::is_not_permitted(&error) => Ok((
                self.mode & 0o600 | self.mode >> 3 & self.mode & 0o006,
                false,
            )),
            Err(error) => Err(error),
        }
    }
}
