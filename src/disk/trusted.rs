//! Whose links, folders and files are used: those of this user, of root, and of the sheet's owner.
//!
//! In a folder where others may make files, somebody may have put a link to a place of their choice, a folder of
//! their own or a file under a name where something of ours is, or where an output is to go. Whatever lies beside
//! a sheet, and every output, is found by one rule:
//!
//! - No link that a stranger made is followed, wherever in the path it is.
//! - No file of a stranger's is used, and no folder as a folder of ours.
//! - Who is not root may have colleagues: a link of whoever owns the folder that it lies in is followed, as Linux
//!   does in folders like /tmp if `fs.protected_symlinks` is on; and a file or folder of somebody else is used
//!   where not everybody may write, as in a team's folder.
//!
//! A path is resolved here, link by link, and what it leads to is opened without following any. A folder is looked
//! at again after it was opened: a link that is put there in between is seen. What lies in /proc is a descriptor
//! that this process was given, and is taken as it is.

use std::collections::VecDeque;
use std::ffi::{OsStr, OsString};
use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Component, Path, PathBuf};

use crate::disk::target::is_kept_name;
use crate::error::{Error, Result};
use crate::sys::{open, rights};

/// How many links the system follows, and none behind them.
const MAX_LINKS: usize = 40;
/// Writable by everybody.
const BY_OTHERS: u32 = 0o002;

/// Who may say where something is read or written.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Trusted {
    /// The sheet's owner, if there is a sheet.
    owner: Option<u32>,
    /// What is not done with a stranger's.
    refusal: &'static str,
    /// What to do instead.
    way_on: &'static str,
}

/// Where a path leads.
#[derive(Debug)]
pub(crate) enum Place {
    /// To a name in a folder, which may be free.
    Name {
        folder: File,
        name: OsString,
        path: PathBuf,
    },
    /// To a descriptor of this process.
    Descriptor(PathBuf),
}

impl Trusted {
    pub(crate) fn for_output(owner: Option<u32>) -> Trusted {
        Trusted {
            owner,
            refusal: "nothing is written there",
            way_on: "name another one",
        }
    }

    pub(crate) fn for_backups(owner: Option<u32>) -> Trusted {
        Trusted {
            owner,
            refusal: "backups are not put there",
            way_on: "name another folder with --backup-dir",
        }
    }

    pub(crate) fn includes(&self, user: u32) -> bool {
        user == rights::user() || user == 0 || Some(user) == self.owner
    }

    /// The place of an output. What lies there is no stranger's.
    ///
    /// # Errors
    /// [`Error::OwnName`] if it is a name of ours; [`Error::Unsuitable`]; [`Error::Io`].
    pub(crate) fn place(&self, path: &Path) -> Result<Place> {
        let (found, is_descriptor) = self.resolve(path)?;
        if is_descriptor {
            return Ok(Place::Descriptor(found));
        }
        let name = found.file_name().ok_or_else(|| Error::NotAFile {
            path: path.to_owned(),
        })?;
        let around = found.parent().expect("what has a name lies in a folder");
        if is_kept_name(around, name) {
            return Err(Error::OwnName { path: found });
        }
        self.judge(&found, around)?;
        let named = path.parent().filter(|named| !named.as_os_str().is_empty());
        let named = named.unwrap_or(Path::new("."));
        let folder = open::folder(around).map_err(|error| {
            let action = match error.kind() {
                io::ErrorKind::NotFound => "find the folder",
                _ => "open",
            };
            Error::io(action, named)(error)
        })?;
        self.is_at(&folder, around)?;
        Ok(Place::Name {
            folder,
            name: name.to_owned(),
            path: found.clone(),
        })
    }

    /// The same of what was opened there.
    ///
    /// # Errors
    /// [`Error::Unsuitable`]; [`Error::Io`].
    pub(crate) fn judge_opened(&self, file: &File, place: &Place) -> Result<()> {
        let Place::Name { path, .. } = place else {
            return Ok(());
        };
        let there = file.metadata().map_err(Error::io("read", path))?;
        let around = path.parent().expect("what has a name lies in a folder");
        self.judge_found(&there, path, around)
    }

    /// Where a folder of ours is, or is to be made.
    ///
    /// # Errors
    /// [`Error::Unsuitable`]; [`Error::Io`].
    pub(crate) fn folder_path(&self, path: &Path) -> Result<PathBuf> {
        let (found, _) = self.resolve(path)?;
        match found.parent() {
            Some(around) => self.judge(&found, around).map(|()| found),
            None => Ok(found),
        }
    }

    /// The same of a folder that a person names.
    ///
    /// # Errors
    /// [`Error::OwnName`] if it is a name of ours; [`Error::Unsuitable`]; [`Error::Io`].
    pub(crate) fn named_folder_path(&self, path: &Path) -> Result<PathBuf> {
        let found = self.folder_path(path)?;
        if let (Some(around), Some(name)) = (found.parent(), found.file_name())
            && is_kept_name(around, name)
        {
            return Err(Error::OwnName { path: found });
        }
        self.refuse_no_folder(&found, path)?;
        Ok(found)
    }

    /// Refuses what is there and no folder.
    fn refuse_no_folder(&self, found: &Path, named: &Path) -> Result<()> {
        match if_there(found.symlink_metadata(), found)? {
            Some(there) if !there.is_dir() => Err(Error::Unsuitable {
                path: named.to_owned(),
                problem: format!("is there already and is no folder: {}", self.way_on),
            }),
            _ => Ok(()),
        }
    }

    /// A folder of ours that is there.
    ///
    /// # Errors
    /// [`Error::Unsuitable`]; [`Error::Io`].
    pub(crate) fn folder(&self, path: &Path) -> Result<File> {
        let found = self.folder_path(path)?;
        self.refuse_no_folder(&found, path)?;
        let folder = open::folder(&found).map_err(Error::io("open", path))?;
        self.is_at(&folder, &self.folder_path(path)?)?;
        Ok(folder)
    }

    /// An error unless the path, which has been resolved, means this folder.
    fn is_at(&self, folder: &File, path: &Path) -> Result<()> {
        let read = || Error::io("read", path);
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        let there = path.symlink_metadata().map_err(read())?;
        match identity(folder.metadata().map_err(read())?) == identity(there) {
            true => Ok(()),
            false => Err(Error::Unsuitable {
                path: path.to_owned(),
                problem: "was replaced while it was opened: try again".into(),
            }),
        }
    }

    /// The path without links, and whether it is that of a descriptor. The end of it may be missing.
    fn resolve(&self, path: &Path) -> Result<(PathBuf, bool)> {
        let absolute = std::path::absolute(path).map_err(Error::io("find", path))?;
        let mut rest: VecDeque<OsString> = parts(&absolute);
        let mut found = PathBuf::from("/");
        let mut links = 0;
        while let Some(part) = rest.pop_front() {
            if part == ".." {
                found.pop();
                continue;
            }
            let next = found.join(&part);
            let there = match if_there(next.symlink_metadata(), &next)? {
                Some(there) if there.is_symlink() => there,
                _ => {
                    found = next;
                    continue;
                }
            };
            if found.starts_with("/proc") {
                return Ok((rest.iter().fold(next, |path, part| path.join(part)), true));
            }
            self.judge_found(&there, &next, &found)?;
            links += 1;
            if links > MAX_LINKS {
                return Err(Error::Unsuitable {
                    path: path.to_owned(),
                    problem: format!("leads through more than {MAX_LINKS} links"),
                });
            }
            let leads_to = std::fs::read_link(&next).map_err(Error::io("read", &next))?;
            if leads_to.is_absolute() {
                found = PathBuf::from("/");
            }
            for part in parts(&leads_to).into_iter().rev() {
                rest.push_front(part);
            }
        }
        Ok((found, false))
    }

    /// Refuses what a stranger put there; what is missing is nobody's.
    fn judge(&self, path: &Path, around: &Path) -> Result<()> {
        match if_there(path.symlink_metadata(), path)? {
            Some(there) => self.judge_found(&there, path, around),
            None => Ok(()),
        }
    }

    pub(crate) fn judge_found(&self, there: &Metadata, path: &Path, around: &Path) -> Result<()> {
        // Nobody but root can make a device, and a terminal belongs to whoever sits at it.
        let kind = there.file_type();
        if self.includes(there.uid()) || kind.is_char_device() || kind.is_block_device() {
            return Ok(());
        }
        let around = around.metadata().map_err(Error::io("read", around))?;
        let is_colleagues = match there.is_symlink() {
            true => there.uid() == around.uid(),
            false => around.mode() & BY_OTHERS == 0,
        };
        if is_colleagues && !rights::is_root() {
            return Ok(());
        }
        let what = match there.is_symlink() {
            true => "is a link of another user",
            false => "belongs to another user",
        };
        Err(Error::Unsuitable {
            path: path.to_owned(),
            problem: format!(
                "{what} (uid {}), and {}: remove it, or {}",
                there.uid(),
                self.refusal,
                self.way_on
            ),
        })
    }
}

/// What a path names on its way, but for where it begins.
fn parts(path: &Path) -> VecDeque<OsString> {
    let parts = path.components().filter_map(|part| match part {
        Component::Normal(name) => Some(name),
        Component::ParentDir => Some(OsStr::new("..")),
        _ => None,
    });
    parts.map(OsStr::to_owned).collect()
}

/// A file in the way of a folder is found when the folder is opened or made.
fn if_there(found: io::Result<Metadata>, path: &Path) -> Result<Option<Metadata>> {
    use io::ErrorKind::{NotADirectory, NotFound};
    match found {
        Err(error) if matches!(error.kind(), NotFound | NotADirectory) => Ok(None),
        found => found.map(Some).map_err(Error::io("read", path)),
    }
}
