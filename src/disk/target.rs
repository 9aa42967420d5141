//! The sheet's place in the file system, and the files beside it.
//!
//! Everything lies beside the *canonical* target, so that a symlink and its target share lock and
//! journal. Our own files are opened without following symlinks and refused when they are not
//! regular files or belong to a stranger; they take mode and group from the sheet.

use std::ffi::OsStr;
use std::fs::{DirEntry, File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::disk::rights::Rights;
use crate::error::{Error, Result};
use crate::sys::place::Filesystem;
use crate::sys::{interrupted, open, place, rights};
use crate::text::escape;

/// The longest name of a sheet: with it, the longest name beside it has 255 bytes, which is what most
/// filesystems take. That name is a kept copy's: 11 bytes of label, 16 of date, 65 of session.
const MAX_NAME_BYTES: usize = 160;

/// Where a folder is that was at this path when it was opened.
pub(crate) fn whereabouts(folder: &File, path: &Path) -> Whereabouts {
    let Ok(ours) = folder.metadata() else {
        return Whereabouts::There;
    };
    let leads_to_it = |path: &Path| match std::fs::metadata(path) {
        Ok(there) => (there.dev(), there.ino()) == (ours.dev(), ours.ino()),
        // Who may not look does not know.
        Err(error) => error.kind() == io::ErrorKind::PermissionDenied,
    };
    if leads_to_it(path) {
        return Whereabouts::There;
    }
    // Of a filesystem that was taken away the system gives a path from its own root.
    match place::of(folder).filter(|path| leads_to_it(path)) {
        Some(path) => Whereabouts::Moved(path),
        None => Whereabouts::Nowhere,
    }
}

/// Where the sheet is. Paths are canonical; the folder is held open.
#[derive(Debug)]
pub(crate) struct Target {
    path: PathBuf,
    name: String,
    folder: File,
    folder_path: PathBuf,
    /// Those of the sheet when it was opened; a sheet that is deleted meanwhile leaves them to the files beside
    /// it.
    rights: Rights,
}

/// Where a folder is that is held open.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Whereabouts {
    /// Where its path leads.
    There,
    /// Elsewhere.
    Moved(PathBuf),
    /// No path leads to it: it was removed, or its filesystem was.
    Nowhere,
}

impl Target {
    pub(crate) fn open(path: &Path) -> Result<Target> {
        let found = std::fs::canonicalize(path).map_err(|error| {
            // A pipe has no name, and is there: /dev/stdin, or a shell's <(…).
            match std::fs::metadata(path) {
                Ok(found) if !found.is_file() => not_a_file(path),
                _ => Error::io("open", path)(error),
            }
        })?;
        let mut target = Target::at(found)?;
        // It is not opened for that: another program may hold a lease on it.
        let sheet = std::fs::metadata(&target.path).map_err(Error::io("open", &target.path))?;
        target.refuse_other_than_file(&sheet)?;
        target.rights = Rights::of_place(&target.path)?;
        Ok(target)
    }

    /// The place of a link itself, and not that of what it leads to; `None` if the path is none.
    pub(crate) fn of_link(path: &Path) -> Option<Target> {
        if !path.is_symlink() {
            return None;
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = std::fs::canonicalize(folder.unwrap_or(Path::new("."))).ok()?;
        Target::at(folder.join(path.file_name()?)).ok()
    }

    /// Where the folder is by now.
    pub(crate) fn whereabouts(&self) -> Whereabouts {
        whereabouts(&self.folder, &self.folder_path)
    }

    /// The place of a sheet that may be missing; the files beside it then get the rights of another
    /// file, if there is one.
    pub(crate) fn open_or_missing(path: &Path, like: Option<&Rights>) -> Result<Target> {
        if path.exists() {
            return Target::open(path);
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        let folder = std::fs::canonicalize(folder.unwrap_or(Path::new(".")))
            .map_err(Error::io("open", path))?;
        let name = path.file_name().ok_or_else(|| Error::NotAFile {
            path: path.to_owned(),
        })?;
        let mut target = Target::at(folder.join(name))?;
        if let Some(like) = like {
            target.rights = like.clone();
        }
        Ok(target)
    }

    /// The same place, whose files beside it get the rights of another file.
    pub(crate) fn with_rights(mut self, rights: Rights) -> Target {
        self.rights = rights;
        self
    }

    /// The rights of the sheet, if there is one.
    pub(crate) fn rights_now(&self) -> Result<Option<Rights>> {
        let found = self.metadata()?.map(|_| Rights::of_place(&self.path));
        found.transpose()
    }

    fn at(path: PathBuf) -> Result<Target> {
        let unsuitable = |problem: &str| Error::Unsuitable {
            path: path.clone(),
            problem: problem.into(),
        };
        let name = path
            .file_name()
            .ok_or_else(|| Error::NotAFile { path: path.clone() })?;
        let name = name
            .to_str()
            .ok_or_else(|| unsuitable("has a name that is not UTF-8: rename it"))?
            .to_owned();
        if name.len() > MAX_NAME_BYTES {
            return Err(unsuitable(
                "has too long a name for the files beside it: rename it",
            ));
        }
        let folder_path = path
            .parent()
            .expect("a canonical file has a folder")
            .to_owned();
        let folder = File::open(&folder_path).map_err(Error::io("open", &folder_path))?;
        Ok(Target {
            path,
            name,
            folder,
            folder_path,
            rights: Rights::default(),
        })
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    pub(crate) fn folder(&self) -> &File {
        &self.folder
    }

    pub(crate) fn folder_path(&self) -> &Path {
        &self.folder_path
    }

    /// The sheet as it is now, opened for reading, and its metadata. [`Error::Busy`] while another program
    /// holds a write lease on it: that program was told by this to give it up, and gets time to.
    pub(crate) fn open_sheet(&self) -> Result<(File, Metadata)> {
        let file = open::to_read(&self.folder, &self.name).map_err(not_opened(&self.path))?;
        let metadata = file.metadata().map_err(Error::io("read", &self.path))?;
        self.refuse_other_than_file(&metadata)?;
        Ok((file, metadata))
    }

    fn refuse_other_than_file(&self, metadata: &Metadata) -> Result<()> {
        match metadata.is_file() {
            true => Ok(()),
            false => Err(not_a_file(&self.path)),
        }
    }

    /// `.input.csv.{extension}`
    pub(crate) fn sibling_name(&self, extension: &str) -> String {
        sibling_name(&self.name, extension)
    }

    pub(crate) fn sibling(&self, extension: &str) -> PathBuf {
        self.folder_path.join(self.sibling_name(extension))
    }

    /// Opens one of our own files for reading and writing, creating it with the sheet's mode and
    /// group.
    pub(crate) fn open_sibling(&self, extension: &str) -> Result<File> {
        let path = self.sibling(extension);
        let name = self.sibling_name(extension);
        let file = match open::to_write(&self.folder, &name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                match self.create_sibling(&name) {
                    Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {
                        open::to_write(&self.folder, &name)
                    }
                    created => created,
                }
            }
            opened => opened,
        };
        let file = file.map_err(Error::io("open", &path))?;
        self.refuse_stranger(&file, &path)?;
        Ok(file)
    }

    /// Opens one of our own files for reading, if it is there.
    pub(crate) fn open_sibling_to_read(&self, extension: &str) -> Result<Option<File>> {
        let path = self.sibling(extension);
        match open::to_read(&self.folder, &self.sibling_name(extension)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            opened => {
                let file = opened.map_err(Error::io("open", &path))?;
                self.refuse_stranger(&file, &path)?;
                Ok(Some(file))
            }
        }
    }

    fn create_sibling(&self, name: &str) -> io::Result<File> {
        let file = open::create(&self.folder, name, 0o600)?;
        self.share(&file)?;
        Ok(file)
    }

    /// Gives a private file of ours to those who have the sheet.
    pub(crate) fn share(&self, file: &File) -> io::Result<()> {
        self.rights.give(file)
    }

    /// A file of ours that somebody else planted is not ours.
    fn refuse_stranger(&self, file: &File, path: &Path) -> Result<()> {
        let ours = file.metadata().map_err(Error::io("read", path))?;
        if !ours.is_file() {
            return Err(Error::NotAFile {
                path: path.to_owned(),
            });
        }
        if !self.is_trusted(ours.uid()) {
            return Err(Error::Unsuitable {
                path: path.to_owned(),
                problem: format!(
                    "belongs to another user (uid {}): remove it if it is not wanted",
                    ours.uid()
                ),
            });
        }
        Ok(())
    }

    /// Whether files beside the sheet may be this user's.
    pub(crate) fn is_trusted(&self, user: u32) -> bool {
        [0, rights::user(), self.rights.owner()].contains(&user)
    }

    /// Makes the names in the folder durable.
    pub(crate) fn sync_folder(&self) -> Result<()> {
        self.folder
            .sync_all()
            .map_err(Error::io("sync", &self.folder_path))
    }

    /// Refuses, before anything runs, the places where replacing the sheet must fail or would
    /// change whose it is. A sheet that is missing is one that is about to be made there.
    pub(crate) fn refuse_unsuitable(&self, allow_network_fs: bool) -> Result<()> {
        let refuse = |problem: String| {
            Err(Error::Unsuitable {
                path: self.path.clone(),
                problem,
            })
        };
        let read = || Error::io("read", &self.path);
        let filesystem = place::filesystem(&self.folder).map_err(read())?;
        if let Some(problem) = untrusted(&filesystem).filter(|_| !allow_network_fs) {
            return refuse(problem);
        }
        if let Some(has) = place::forbidding_attribute(&self.folder_path).map_err(read())? {
            return refuse(format!("lies in a folder that is {has}"));
        }
        let Some(metadata) = self.metadata()? else {
            return self.refuse_read_only_folder();
        };
        if place::is_mounted_alone(&self.path).map_err(read())? {
            return refuse(
                "is mounted as a single file, which cannot be replaced: mount its folder instead"
                    .into(),
            );
        }
        if let Some(has) = place::forbidding_attribute(&self.path).map_err(read())? {
            return refuse(format!("is {has}"));
        }
        if !rights::is_root() && metadata.uid() != rights::user() {
            return refuse(format!(
                "belongs to another user (uid {}), which replacing it would change: work on a copy",
                metadata.uid()
            ));
        }
        self.refuse_read_only_folder()
    }

    /// What is less than promised here, to be said before anything runs.
    pub(crate) fn not_promised(&self) -> Option<String> {
        unseen(&place::filesystem(&self.folder).ok()?)
    }

    fn refuse_read_only_folder(&self) -> Result<()> {
        rights::may_write_in(&self.folder).map_err(Error::io("write in", &self.folder_path))
    }

    /// Refuses files of ours that are there and could not be used.
    pub(crate) fn refuse_unusable_siblings(&self) -> Result<()> {
        for extension in ["lock", "session", "journal"] {
            let path = self.sibling(extension);
            match open::to_write(&self.folder, &self.sibling_name(extension)) {
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                opened => {
                    let file = opened.map_err(Error::io("open", &path))?;
                    self.refuse_stranger(&file, &path)?;
                }
            }
        }
        Ok(())
    }

    /// Whether the sheet has other names, which keep the old version when it is replaced.
    pub(crate) fn has_hard_links(&self) -> Result<bool> {
        Ok(self
            .metadata()?
            .is_some_and(|metadata| metadata.nlink() > 1))
    }

    /// `None` if there is no sheet now.
    pub(crate) fn metadata(&self) -> Result<Option<Metadata>> {
        match std::fs::symlink_metadata(&self.path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found.map(Some).map_err(Error::io("read", &self.path)),
        }
    }
}

/// Why nothing is written on a filesystem unless the user insists, and what to do.
fn untrusted(filesystem: &Filesystem) -> Option<String> {
    match filesystem {
        Filesystem::Network(name) => Some(format!(
            "is on the network filesystem {}, where locks and replacing cannot be trusted: copy it to a local disk, or pass --allow-network-fs at your own risk",
            escape(name)
        )),
        Filesystem::Untold => Some(
            "is on FUSE, and without /proc nobody tells what is behind it: mount /proc, copy it to a local disk, or pass --allow-network-fs at your own risk"
                .into(),
        ),
        Filesystem::Disk | Filesystem::Unseen(_) => None,
    }
}

/// What is less than promised on a filesystem, and what to do.
fn unseen(filesystem: &Filesystem) -> Option<String> {
    match filesystem {
        Filesystem::Unseen(name) => Some(format!(
            "is on {}, where nobody tells who writes to it from the other side: an edit there that is not saved by renaming may be lost if a result is written at that moment; save when no run goes on",
            escape(name)
        )),
        _ => None,
    }
}

/// Opens any file for reading, wherever it is, through links too; [`Error::Busy`] as for a sheet.
pub(crate) fn open_file(path: &Path) -> Result<File> {
    let file = open::path_to_read(path).map_err(not_opened(path))?;
    let metadata = file.metadata().map_err(Error::io("read", path))?;
    match metadata.is_file() {
        true => Ok(file),
        false => Err(Error::NotAFile {
            path: path.to_owned(),
        }),
    }
}

/// Why a file could not be opened for reading. Who does not wait is refused so by a write lease alone.
fn not_a_file(path: &Path) -> Error {
    Error::NotAFile {
        path: path.to_owned(),
    }
}

fn not_opened(path: &Path) -> impl FnOnce(io::Error) -> Error {
    let path = path.to_owned();
    move |error| match error.kind() {
        io::ErrorKind::WouldBlock => Error::Busy { path },
        _ => Error::io("open", path)(error),
    }
}

/// The name of a file of ours beside a sheet of this name.
pub(crate) fn sibling_name(sheet: &str, extension: &str) -> String {
    format!(".{sheet}.{extension}")
}

/// What our files beside a sheet are called.
const EXTENSIONS: [&str; 5] = ["control", "journal", "link", "lock", "session"];
/// The name of the settings of the sheets in a folder.
pub(crate) const SETTINGS: &str = "tickoff.toml";

/// Whether a name in a folder is that of a file of ours: of the settings, or beside a file that is there.
pub(crate) fn is_kept_name(folder: &Path, name: &OsStr) -> bool {
    let Some(name) = name.to_str() else {
        return false;
    };
    let sheet = name.strip_prefix('.').and_then(|rest| {
        let (sheet, extension) = rest.rsplit_once('.')?;
        EXTENSIONS.contains(&extension).then_some(sheet)
    });
    name == SETTINGS || sheet.is_some_and(|sheet| folder.join(sheet).symlink_metadata().is_ok())
}

/// What is in a folder; an interrupting signal does not make this fail.
pub(crate) fn read_folder(path: &Path) -> io::Result<Vec<DirEntry>> {
    interrupted::again(|| std::fs::read_dir(path).and_then(Iterator::collect))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filesystem_that_is_no_disk_is_named_with_what_to_do() {
        for (filesystem, names) in [
            (
                Filesystem::Network("Lustre".into()),
                "is on the network filesystem Lustre, ",
            ),
            (Filesystem::Untold, "is on FUSE, and without /proc "),
        ] {
            let said = untrusted(&filesystem).unwrap();
            assert!(said.starts_with(names), "{said}");
            assert!(said.contains("copy it to a local disk, or pass --allow-network-fs"));
            assert_eq!(unseen(&filesystem), None);
        }
        let docker = Filesystem::Unseen("fuse.grpcfuse".into());
        assert_eq!(untrusted(&docker), None);
        let said = unseen(&docker).unwrap();
        assert!(
            said.starts_with("is on fuse.grpcfuse, ") && said.ends_with("save when no run goes on")
        );
        assert_eq!(untrusted(&Filesystem::Disk), None);
        assert_eq!(unseen(&Filesystem::Disk), None);
    }
}
