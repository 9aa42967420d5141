//! The sheet as it was before anything was written to it: out of the reach of retention.
//!
//! A sheet's first backup is worth more than all later ones, and the first that retention would delete: a
//! nightly run with `--force` evicts it within a week. So it is kept under a name of its own as well,
//! `input_20260105_101500_nightly.original.csv`. That is a hard link, which takes no room, or a copy where
//! the filesystem has none. Only a person's word removes it. Whether a backup is the first one of its sheet
//! is for the store to say, which can read it.

use std::fs::File;
use std::io::ErrorKind;
use std::path::PathBuf;

use chrono::TimeDelta;

use super::copy;
use super::make::{MAX_NAMES, stage};
use super::manager::BackupManager;
use super::metadata::BackupMetadata;
use super::name::ORIGINAL;
use crate::error::{Error, Result};
use crate::sys::{names, open};

impl BackupManager {
    /// The backups of this sheet as it was before anything was written to it, newest first: one for each
    /// sheet that had the name.
    ///
    /// # Errors
    ///
    /// As [`BackupManager::list`].
    pub fn list_originals(&self) -> Result<Vec<BackupMetadata>> {
        self.describe_all(self.original_entries()?)
    }

    /// Deletes the originals, but not one that is used as a sheet, and returns the paths of what it
    /// deleted, newest first. Nothing else ever deletes them.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with the path of the first one that could not be deleted; the others are gone.
    pub fn remove_originals(&self) -> Result<Vec<PathBuf>> {
        self.delete(self.original_entries()?)
    }

    /// Keeps a backup that was just made as the original, too. When this returns, that is durable.
    pub(crate) fn keep_original(&self, made: &BackupMetadata) -> Result<PathBuf> {
        let here = self.here();
        let folder = here.create_folder()?;
        let name = |n: u32| {
            let time = made.created_at + TimeDelta::seconds(n.into());
            here.names.copy(time, &made.session_id, ORIGINAL)
        };
        let n = match here.link_original(&folder, made, name)? {
            Some(n) => n,
            None => here.copy_original(&folder, made, name)?,
        };
        Ok(here.folder.join(name(n)))
    }

    /// The number of the name that it has now; `None` if it cannot have two.
    fn link_original(
        &self,
        folder: &File,
        made: &BackupMetadata,
        name: impl Fn(u32) -> String,
    ) -> Result<Option<u32>> {
        let file_name = made.backup_path.file_name().unwrap_or_default();
        let backup = file_name.to_str().expect("the names of backups are text");
        for n in 0..MAX_NAMES {
            match names::link(folder, backup, name(n)) {
                Ok(()) => {
                    folder.sync_all().map_err(Error::io("sync", &self.folder))?;
                    return Ok(Some(n));
                }
                Err(error) if error.kind() == ErrorKind::AlreadyExists => {}
                Err(error) => {
                    tracing::debug!(%error, "the original is kept as a copy");
                    return Ok(None);
                }
            }
        }
        Err(self.no_free_name(&name(0)))
    }

    fn copy_original(
        &self,
        folder: &File,
        made: &BackupMetadata,
        name: impl Fn(u32) -> String,
    ) -> Result<u32> {
        let backup = made.backup_path.file_name().unwrap_or_default();
        let source = open::to_read(folder, &*backup.to_string_lossy())
            .map_err(Error::io("open", &made.backup_path))?;
        let first = self.folder.join(name(0));
        let mut staged = stage(folder, &first)?;
        copy::copy(&source, &source, &made.backup_path, staged.file(), &first)?;
        self.origin(Some(made.record_count), made.size_bytes)
            .write(staged.file());
        self.publish(&mut staged, &first, name)
    }
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::super::origin::Origin;
    use super::super::place::{CSV, Place, sessions};
    use super::*;

    #[test]
    fn an_original_outlives_its_backup_and_takes_no_room_of_its_own() {
        let place = Place::new();
        let made = place.backups().create_backup("first").unwrap();
        let kept = place.backups().keep_original(&made).unwrap();
        let name = made.backup_path.to_str().unwrap();
        assert_eq!(
            kept.to_str().unwrap(),
            name.replace("_first.csv", "_first.original.csv")
        );
        let inode = |path: &PathBuf| std::fs::metadata(path).unwrap().ino();
        assert_eq!(inode(&kept), inode(&made.backup_path));
        place.keeping(0).cleanup_old_backups(&[]).unwrap();
        assert!(sessions(&place.backups()).is_empty());
        assert_eq!(std::fs::read(&kept).unwrap(), CSV.as_bytes());
        let listed = place.backups().list_originals().unwrap();
        assert_eq!(
            listed,
            [BackupMetadata {
                backup_path: kept,
                ..made
            }]
        );
    }

    #[test]
    fn an_original_is_a_copy_where_a_file_has_one_name_only() {
        let place = Place::new();
        let backups = place.backups();
        let made = backups.create_backup("first").unwrap();
        let folder = backups.create_folder().unwrap();
        let name = |n: u32| format!("copy-{n}.csv");
        place.write("backup/copy-0.csv", "theirs");
        assert_eq!(backups.copy_original(&folder, &made, name).unwrap(), 1);
        let kept = place.path("backup/copy-1.csv");
        assert_eq!(std::fs::read(&kept).unwrap(), CSV.as_bytes());
        assert_eq!(
            Origin::read(&kept).map(|origin| origin.record_count),
            Origin::read(&made.backup_path).map(|_| Some(2))
        );
    }

    #[test]
    fn a_name_that_is_taken_is_left_to_its_owner() {
        let place = Place::new();
        let made = place.backups().create_backup("first").unwrap();
        let first = place.backups().keep_original(&made).unwrap();
        std::fs::write(&first, "theirs").unwrap();
        std::fs::remove_file(&first).unwrap();
        std::fs::write(&first, "theirs").unwrap();
        let second = place.backups().keep_original(&made).unwrap();
        assert_ne!(first, second);
        assert_eq!(std::fs::read(&first).unwrap(), b"theirs");
        assert_eq!(place.backups().list_originals().unwrap().len(), 2);
    }

    #[test]
    fn only_a_persons_word_removes_originals_and_not_one_that_is_used_as_a_sheet() {
        let place = Place::new();
        let backups = place.backups();
        let kept: Vec<PathBuf> = ["a", "b"]
            .map(|session| {
                let made = backups.create_backup(session).unwrap();
                backups.keep_original(&made).unwrap()
            })
            .to_vec();
        let name = kept[1].file_name().unwrap().to_str().unwrap();
        place.write(&format!("backup/.{name}.session"), "");
        place.write("backup/input_20260101_000000_c.original.csv.bak", CSV);
        assert_eq!(backups.remove_originals().unwrap(), [kept[0].clone()]);
        assert!(kept[1].exists());
        assert_eq!(sessions(&backups).len(), 2, "backups are not originals");
    }

    #[test]
    fn a_copy_may_not_be_labelled_like_an_original() {
        let place = Place::new();
        let source = std::fs::File::open(place.path("input.csv")).unwrap();
        assert!(place.backups().keep_copy(&source, ORIGINAL, "a").is_err());
    }
}
