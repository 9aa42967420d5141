//! A file that appears complete, under a name that nobody has, or not at all.
//!
//! It is filled without a name (`O_TMPFILE`), so that a crash leaves nothing, or, where the
//! filesystem cannot do that, under a hidden one that is unlinked when filling fails. `linkat`
//! refuses a name that is taken, where `rename` would replace it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

use crate::sys::{names, open, private_file, refused};

/// A folder held open: what is made in it goes there even if its path comes to mean another.
pub(super) struct Folder(File);

impl Folder {
    pub(super) fn open(path: &Path) -> io::Result<Folder> {
        open::folder(path).map(Folder)
    }

    /// Whether the path means this folder.
    pub(super) fn is_at(&self, path: &Path) -> io::Result<bool> {
        let identity = |metadata: Metadata| (metadata.dev(), metadata.ino());
        Ok(identity(self.0.metadata()?) == identity(std::fs::metadata(path)?))
    }

    /// Gives a file in it another name as well; `false` if that is taken.
    pub(super) fn link(&self, old: &str, new: &str) -> io::Result<bool> {
        match names::link(&self.0, old, new) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            linked => linked.map(|()| true),
        }
    }

    /// Opens a file in it, and no link, for reading.
    pub(super) fn read(&self, name: &str) -> io::Result<File> {
        open::to_read(&self.0, name)
    }

    /// Takes a name in it away; `false` if it was gone.
    pub(super) fn unlink(&self, name: &str) -> io::Result<bool> {
        match names::unlink(&self.0, name) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            unlinked => unlinked.map(|()| true),
        }
    }

    /// Begins a new file in it.
    pub(super) fn stage(&self) -> io::Result<Staged<'_>> {
        match private_file::create(&self.0, 0o600) {
            Ok(file) => Ok(Staged {
                folder: self,
                file,
                hidden: None,
            }),
            Err(error)
                if refused::is_unsupported(&error) || error.kind() == io::ErrorKind::NotFound =>
            {
                self.stage_hidden()
            }
            Err(error) => Err(error),
        }
    }

    fn stage_hidden(&self) -> io::Result<Staged<'_>> {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        loop {
            let number = NEXT.fetch_add(1, Ordering::Relaxed);
            let name = format!(".tickoff-{}-{number}.tmp", std::process::id());
            match open::create(&self.0, &name) {
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
                opened => {
                    return Ok(Staged {
                        folder: self,
                        file: opened?,
                        hidden: Some(name),
                    });
                }
            }
        }
    }

    /// Makes the names in it durable.
    pub(super) fn sync(&self) -> io::Result<()> {
        self.0.sync_all()
    }
}

/// A new file that its owner alone can read, and that nobody sees yet.
pub(super) struct Staged<'a> {
    folder: &'a Folder,
    file: File,
    /// The name it has meanwhile, if it needs one.
    hidden: Option<String>,
}

impl Staged<'_> {
    pub(super) fn file(&self) -> &File {
        &self.file
    }

    /// Gives the file its name; `false` if that is taken.
    pub(super) fn publish(&self, name: &str) -> io::Result<bool> {
        let linked = match &self.hidden {
            None => private_file::give_name(&self.file, &self.folder.0, name),
            Some(hidden) => self.link_hidden(hidden, name),
        };
        match linked {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            Err(error) => Err(error),
        }
    }

    fn link_hidden(&self, hidden: &str, name: &str) -> io::Result<()> {
        match names::link(&self.folder.0, hidden, name) {
            Err(error) if refused::is_for_want_of_links(&error) => {
                names::rename_to_free(&self.folder.0, hidden, name)
            }
            linked => linked,
        }
    }
}

impl Drop for Staged<'_> {
    fn drop(&mut self) {
        if let Some(hidden) = &self.hidden {
            // It may have been renamed; and what cannot be unlinked is hidden and harmless.
            let _ = names::unlink(&self.folder.0, hidden);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// Each promise holds for both kinds of staging.
    #[track_caller]
    fn check(promise: impl Fn(Staged<'_>, &Path)) {
        for stage in [Folder::stage, Folder::stage_hidden] {
            let path = tempfile::tempdir().unwrap();
            let folder = Folder::open(path.path()).unwrap();
            promise(stage(&folder).unwrap(), path.path());
        }
    }

    fn visible_names(folder: &Path) -> Vec<String> {
        let names = std::fs::read_dir(folder)
            .unwrap()
            .map(|entry| entry.unwrap().file_name());
        names
            .map(|name| name.into_string().unwrap())
            .filter(|name| !name.starts_with('.'))
            .collect()
    }

    #[test]
    fn a_file_is_not_seen_before_it_is_published() {
        check(|staged, folder| {
            staged.file().write_all(b"all of it").unwrap();
            assert!(visible_names(folder).is_empty());
            assert!(staged.publish("name").unwrap());
            assert_eq!(std::fs::read(folder.join("name")).unwrap(), b"all of it");
        });
    }

    #[test]
    fn a_name_that_is_taken_is_left_to_its_owner() {
        check(|staged, folder| {
            std::fs::write(folder.join("name"), "theirs").unwrap();
            std::os::unix::fs::symlink("elsewhere", folder.join("link")).unwrap();
            assert!(!staged.publish("name").unwrap());
            assert!(!staged.publish("link").unwrap());
            assert!(staged.publish("other").unwrap());
            assert_eq!(std::fs::read(folder.join("name")).unwrap(), b"theirs");
            assert!(!folder.join("elsewhere").exists());
        });
    }

    #[test]
    fn nothing_stays_of_a_file_that_was_given_up() {
        check(|staged, folder| {
            drop(staged);
            assert_eq!(std::fs::read_dir(folder).unwrap().count(), 0);
        });
    }

    #[test]
    fn only_the_name_that_was_asked_for_stays() {
        check(|staged, folder| {
            assert!(staged.publish("name").unwrap());
            drop(staged);
            assert_eq!(std::fs::read_dir(folder).unwrap().count(), 1);
        });
    }
}
