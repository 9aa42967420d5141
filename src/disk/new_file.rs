//! A file of any kind that takes its name when it is whole.

use std::ffi::OsStr;
use std::fs::File;
use std::path::{Path, PathBuf};

use crate::disk::rights::Rights;
use crate::disk::staged::{self, Staged};
use crate::disk::trusted::{Place, Trusted};
use crate::error::{Error, Result};

/// How much of its name a file's temporary names begin with, so that they fit where the name does.
const MAX_BEGINNING_BYTES: usize = 160;

/// A file that nobody sees before it is [published](NewFile::publish) or takes
/// [the place of another](NewFile::replace). Dropped before that, it leaves nothing behind.
#[derive(Debug)]
pub struct NewFile {
    path: PathBuf,
    staged: Staged<File>,
}

impl NewFile {
    /// Begins a file that is to have this path, for those who have the sheet whose rights these are, and removes
    /// what is left of earlier ones whose makers were killed. A link is followed: what it names is to be replaced.
    ///
    /// # Errors
    /// [`Error::NotAFile`] if the path names none; [`Error::Unsuitable`] if a link of somebody else leads there, or
    /// a file of theirs has the name; [`Error::OwnName`]; [`Error::Io`] if it cannot be made.
    pub fn create(path: &Path, rights: &Rights) -> Result<NewFile> {
        let new = NewFile::begin(path, 0o600, Some(rights.owner()))?;
        rights.give(new.file()).map_err(Error::io("create", path))?;
        Ok(new)
    }

    /// As [`NewFile::create`], for this user alone.
    ///
    /// # Errors
    /// As [`NewFile::create`].
    pub(crate) fn private(path: &Path) -> Result<NewFile> {
        NewFile::begin(path, 0o600, None)
    }

    /// As [`NewFile::create`], with the rights that any new file of this user gets.
    ///
    /// # Errors
    /// As [`NewFile::create`].
    pub(crate) fn like_any(path: &Path) -> Result<NewFile> {
        NewFile::begin(path, 0o666, None)
    }

    fn begin(path: &Path, mode: u32, owner: Option<u32>) -> Result<NewFile> {
        let (folder, name, path) = match Trusted::for_output(owner).place(path)? {
            Place::Name { folder, name, path } => (folder, name, path),
            Place::Descriptor(path) => return Err(Error::NotAFile { path }),
        };
        let beginning = beginning(&name);
        staged::remove_abandoned(&folder, folder_of(&path), &beginning);
        Ok(NewFile {
            staged: Staged::begin(folder, &beginning, mode).map_err(Error::io("create", &path))?,
            path,
        })
    }

    /// The path it is to have, without links.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The file, to be written to.
    pub fn file(&self) -> &File {
        self.staged.file()
    }

    /// Gives it its name, durably, unless a file has that; `false` then.
    ///
    /// # Errors
    /// [`Error::Io`]: it has no name, and leaves nothing behind, unless its folder could not be synced.
    pub fn publish(mut self) -> Result<bool> {
        self.sync()?;
        let published = self.staged.publish(name_in(&self.path)?);
        let published = published.map_err(Error::io("create", &self.path))?;
        let folder = folder_of(&self.path);
        let synced = self.staged.folder().sync_all();
        synced.map_err(Error::io("sync", folder))?;
        Ok(published)
    }

    /// Gives it its name, which another file may lose by that. After a power cut the name stands for that
    /// one or for all of this one.
    ///
    /// # Errors
    /// [`Error::Io`]: the other file has kept its name, and this one leaves nothing behind.
    pub fn replace(mut self) -> Result<()> {
        self.sync()?;
        let replaced = self.staged.replace(name_in(&self.path)?);
        replaced.map_err(Error::io("replace", &self.path))
    }

    fn sync(&self) -> Result<()> {
        let synced = self.staged.file().sync_all();
        synced.map_err(Error::io("write", &self.path))
    }
}

fn name_in(path: &Path) -> Result<&OsStr> {
    path.file_name().ok_or_else(|| Error::NotAFile {
        path: path.to_owned(),
    })
}

fn folder_of(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

/// `.report.html.`, as the files beside a sheet begin, so that a sheet that was made this way clears them.
fn beginning(name: &OsStr) -> String {
    let name = name.to_string_lossy();
    let fits = |&(at, character): &(usize, char)| at + character.len_utf8() <= MAX_BEGINNING_BYTES;
    let name: String = name
        .char_indices()
        .take_while(fits)
        .map(|(_, character)| character)
        .collect();
    format!(".{name}.")
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::os::unix::fs::MetadataExt;

    use super::*;

    fn names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder).unwrap();
        let mut names: Vec<String> = names
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }

    #[test]
    fn a_file_takes_the_place_of_another_when_it_is_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page");
        std::fs::write(&path, "old").unwrap();
        let new = NewFile::private(&path).unwrap();
        new.file().write_all(b"new").unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"old");
        new.replace().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"new");
        assert_eq!(std::fs::metadata(&path).unwrap().mode() & 0o777, 0o600);
        assert_eq!(names(folder.path()), ["page"]);
    }

    #[test]
    fn a_file_that_is_there_is_not_replaced_by_one_that_is_published() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("copy");
        assert!(NewFile::private(&path).unwrap().publish().unwrap());
        std::fs::write(&path, "theirs").unwrap();
        assert!(!NewFile::private(&path).unwrap().publish().unwrap());
        assert_eq!(std::fs::read(&path).unwrap(), b"theirs");
        assert_eq!(names(folder.path()), ["copy"]);
    }

    #[test]
    fn a_name_as_long_as_the_filesystem_takes_is_no_matter() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("ä".repeat(127));
        std::fs::write(&path, "old").unwrap();
        NewFile::private(&path).unwrap().replace().unwrap();
        assert_eq!(std::fs::read(&path).unwrap(), b"");
    }

    #[test]
    fn what_a_killed_one_left_is_removed_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("page");
        for name in [
            ".page.0123456789abcdef.tmp",
            ".page.notes.tmp",
            ".pages.0123456789abcdef.tmp",
        ] {
            std::fs::write(folder.path().join(name), "half of").unwrap();
        }
        NewFile::private(&path).unwrap().replace().unwrap();
        assert_eq!(
            names(folder.path()),
            [".page.notes.tmp", ".pages.0123456789abcdef.tmp", "page"]
        );
    }
}
