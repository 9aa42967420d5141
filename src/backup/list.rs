//! The backups of a sheet that are in the folder.
//!
//! Only what is certainly an old backup of this very sheet counts: a regular file whose name has the exact
//! shape (`name.rs`), and which does not tell that it came from another sheet. A shared folder may hold
//! backups of two sheets of the same name; therefore each carries, where the filesystem has extended
//! attributes, the path of its sheet and its number of records (`origin.rs`). Elsewhere, two such sheets
//! need a folder each.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, Utc};

use super::count;
use super::manager::BackupManager;
use super::metadata::BackupMetadata;
use super::origin::Origin;
use crate::disk::target;
use crate::error::{Error, Result};

/// A backup found in the folder.
pub(super) struct Entry {
    pub(super) path: PathBuf,
    created_at: DateTime<Utc>,
    pub(super) session_id: String,
    metadata: std::fs::Metadata,
    pub(super) origin: Option<Origin>,
}

impl Entry {
    fn age(&self) -> (DateTime<Utc>, Option<SystemTime>, &Path) {
        (self.created_at, self.metadata.modified().ok(), &self.path)
    }
}

impl BackupManager {
    /// The backups of this sheet, newest first. A folder that is not there holds none.
    ///
    /// Of two in the same second the one written later is the newer. Where the number of records
    /// was not kept with a backup, or its size has changed since, they are counted anew.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with the path if the folder or a backup cannot be read.
    pub fn list(&self) -> Result<Vec<BackupMetadata>> {
        self.entries()?
            .into_iter()
            .map(|entry| self.describe(entry))
            .collect()
    }

    /// The newest backup that was made for this session.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with the path if the folder or the backup cannot be read.
    pub fn find(&self, session_id: &str) -> Result<Option<BackupMetadata>> {
        let entry = self
            .entries()?
            .into_iter()
            .find(|entry| entry.session_id == session_id);
        entry.map(|entry| self.describe(entry)).transpose()
    }

    /// What is in the folder under a name of ours, newest first.
    pub(super) fn entries(&self) -> Result<Vec<Entry>> {
        let read = Error::io("read", &self.folder);
        let listing = match target::read_folder(&self.folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            listing => listing.map_err(read)?,
        };
        let mut entries: Vec<Entry> = listing
            .iter()
            .filter_map(|entry| self.recognise(entry))
            .collect();
        entries.sort_by(|a, b| b.age().cmp(&a.age()));
        Ok(entries)
    }

    fn recognise(&self, entry: &std::fs::DirEntry) -> Option<Entry> {
        let (created_at, session_id) = self.names.parse(entry.file_name().to_str()?)?;
        let metadata = entry
            .metadata()
            .ok()
            .filter(|metadata| metadata.is_file())?;
        let path = self.folder.join(entry.file_name());
        let origin = Origin::read(&path);
        if origin
            .as_ref()
            .is_some_and(|origin| self.is_of_another_sheet(origin))
        {
            return None;
        }
        Some(Entry {
            path,
            created_at,
            session_id,
            metadata,
            origin,
        })
    }

    /// Beside the sheet, a name says enough, and folders get copied and moved with everything in
    /// them. Elsewhere a backup may come from another sheet of the same name, if that is still there.
    fn is_of_another_sheet(&self, origin: &Origin) -> bool {
        !self.is_beside_its_sheet()
            && origin.original_path != self.sheet
            && origin.original_path.exists()
    }

    fn describe(&self, entry: Entry) -> Result<BackupMetadata> {
        let size_bytes = entry.metadata.len();
        let kept = entry
            .origin
            .filter(|origin| origin.size_bytes == size_bytes);
        let record_count = match kept {
            Some(origin) => origin.record_count,
            None => File::open(&entry.path)
                .and_then(count::records)
                .map_err(Error::io("read", &entry.path))?,
        };
        Ok(BackupMetadata {
            backup_path: entry.path,
            original_path: self.sheet.clone(),
            created_at: entry.created_at,
            session_id: entry.session_id,
            record_count,
            size_bytes,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::{CSV, Place, sessions};
    use super::*;

    #[test]
    fn backups_are_listed_newest_first() {
        assert_eq!(
            sessions(&Place::with_five_backups().backups()),
            ["s5", "s4", "s3", "s2", "s1"]
        );
        assert!(
            sessions(&Place::new().backups()).is_empty(),
            "without a folder there are none"
        );
    }

    #[test]
    fn of_one_second_the_backup_written_later_is_the_newer() {
        let place = Place::new();
        for (session, modified) in [("z", 1), ("a", 3), ("m", 2)] {
            let path = place.write(&format!("backup/input_20260105_101500_{session}.csv"), CSV);
            let time = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(modified);
            File::options()
                .write(true)
                .open(path)
                .unwrap()
                .set_modified(time)
                .unwrap();
        }
        assert_eq!(sessions(&place.backups()), ["a", "m", "z"]);
    }

    #[test]
    fn a_backup_that_was_edited_is_counted_anew() {
        let place = Place::new();
        let backups = place.backups();
        let source = File::open(place.path("input.csv")).unwrap();
        let made = backups.create_backup_of(&source, "a", 77).unwrap();
        assert_eq!(
            backups.list().unwrap()[0].record_count,
            77,
            "the caller knows best"
        );
        std::fs::write(made.backup_path, "PO_NUMBER\nP1\n").unwrap();
        assert_eq!(backups.list().unwrap()[0].record_count, 1);
    }

    #[test]
    fn a_backup_is_found_by_its_session() {
        let place = Place::with_five_backups();
        place.write("backup/input_20260203_101500_s3.csv", CSV);
        let found = place.backups().find("s3").unwrap().unwrap();
        assert_eq!(
            found.backup_path,
            place.path("backup/input_20260203_101500_s3.csv")
        );
        assert_eq!(place.backups().find("s").unwrap(), None);
    }
}
