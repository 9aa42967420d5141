//! The backups of a sheet that are in the folder.
//!
//! Only what is certainly an old backup of this very sheet counts: a regular file whose name has the exact
//! shape (`name.rs`), and of which there is evidence that it came from this sheet (`attribution.rs`). For that
//! each carries, where the filesystem has extended attributes, where its sheet was, and its number of records
//! (`origin.rs`).
//!
//! The newest is told by the date in the name, which stays when a folder is copied, or by when it was written if that
//! was earlier: of several that are made within a second all but the first are dated to after it. Where two have the
//! same, the one written later is the newer. A date after now is evidence of a clock that was wrong, or of somebody who
//! chose it, and of nothing else: it counts as older than any date that can be true. Otherwise such a
//! backup would be kept for ever, in the place of one that is needed, and would be restored as the latest.
//! Among themselves they keep their order, so that nothing is mixed up while a clock is set back.

use std::fs::{File, Metadata};
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, TimeDelta, Utc};

use super::attribution::Attribution;
use super::count;
use super::make::MAX_NAMES;
use super::manager::BackupManager;
use super::metadata::{BackupMetadata, CopyKind, KeptCopy};
use super::name::{SET, is_automatic};
use super::origin::{Origin, modified};
use crate::disk::target;
use crate::error::{Error, Result};

/// What a name says of when and for which session.
type Named = Option<(DateTime<Utc>, String)>;

/// A backup found in the folder.
pub(super) struct Entry {
    pub(super) path: PathBuf,
    pub(super) name: String,
    pub(super) created_at: DateTime<Utc>,
    pub(super) session_id: String,
    metadata: Metadata,
    pub(super) origin: Option<Origin>,
    /// Whether it is of this sheet; else that cannot be told.
    is_certain: bool,
}

impl Entry {
    /// Whether somebody has saved it since it was made. One that does not say of what it is was made by an earlier
    /// version, or on another disk, unless it `is_told` of older ones, or of the original.
    pub(super) fn is_edited(&self, is_told: bool) -> bool {
        match &self.origin {
            Some(origin) => {
                let made = origin.modified;
                origin.size_bytes != self.metadata.len()
                    || made.is_some_and(|made| made != modified(&self.metadata))
            }
            None => is_told,
        }
    }

    /// What is greater is newer.
    pub(super) fn age(
        &self,
        now: DateTime<Utc>,
    ) -> (bool, DateTime<Utc>, Option<SystemTime>, &Path) {
        // Of several in one second, ours are dated to the seconds after it.
        let can_be_true = self.created_at <= now + TimeDelta::seconds(MAX_NAMES.into());
        let written = self.metadata.modified().ok();
        let second =
            |time: SystemTime| DateTime::from_timestamp(DateTime::<Utc>::from(time).timestamp(), 0);
        let made = written.and_then(second).filter(|_| can_be_true);
        let made = made.map_or(self.created_at, |second| second.min(self.created_at));
        (can_be_true, made, written, &self.path)
    }

    fn kept(self, kind: CopyKind) -> KeptCopy {
        KeptCopy {
            kind,
            path: self.path,
            created_at: self.created_at,
            size_bytes: self.metadata.len(),
            is_certain: self.is_certain,
        }
    }
}

impl BackupManager {
    /// The backups of this sheet, newest first. A folder that is not there holds none.
    ///
    /// One of which it cannot be told whether it is of this sheet or of another of its name is not among them
    /// ([`BackupManager::list_copies`]). Of two in the same second the one written later is the newer, and one that is
    /// dated to after it was written is as old as that; one that is dated long after now is older than all others.
    /// Where the number of records was not kept with a backup, or its size has changed since, they are counted anew.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with the path if the folder or a backup cannot be read; [`Error::Unsuitable`] if
    /// another user put the folder there.
    pub fn list(&self) -> Result<Vec<BackupMetadata>> {
        self.describe_all(self.entries()?)
    }

    /// The newest backup that was made for this session. One by whose id a run called itself is found also where
    /// it cannot be told of which sheet it is: no other sheet had that run.
    ///
    /// # Errors
    ///
    /// As [`BackupManager::list`].
    pub fn find(&self, session_id: &str) -> Result<Option<BackupMetadata>> {
        let newest = self.of_session(session_id)?.next();
        newest.map(|entry| self.describe(entry)).transpose()
    }

    fn of_session(&self, session_id: &str) -> Result<impl Iterator<Item = Entry>> {
        let is_of_a_run = is_automatic(session_id) && session_id != SET;
        let entries = self.entries_named(|name| self.names.parse(name))?;
        Ok(entries.into_iter().filter(move |entry| {
            entry.session_id == session_id && (entry.is_certain || is_of_a_run)
        }))
    }

    /// What is in the folder under a backup's name and of this sheet, newest first.
    pub(super) fn entries(&self) -> Result<Vec<Entry>> {
        let (certain, _) = self.split_by_certainty(|name| self.names.parse(name))?;
        Ok(certain)
    }

    /// What is in the folder under a backup's name, if it cannot be told whether it is of this sheet.
    pub(super) fn uncertain_entries(&self) -> Result<Vec<Entry>> {
        let (_, uncertain) = self.split_by_certainty(|name| self.names.parse(name))?;
        Ok(uncertain)
    }

    /// What is in the folder under an original's name and of this sheet, newest first.
    pub(super) fn original_entries(&self) -> Result<Vec<Entry>> {
        let (certain, _) = self.split_by_certainty(|name| self.names.parse_original(name))?;
        Ok(certain)
    }

    /// What is in the folder under an original's name, if it cannot be told whether it is of this sheet.
    pub(super) fn uncertain_original_entries(&self) -> Result<Vec<Entry>> {
        let (_, uncertain) = self.split_by_certainty(|name| self.names.parse_original(name))?;
        Ok(uncertain)
    }

    fn split_by_certainty(
        &self,
        parse: impl Fn(&str) -> Named,
    ) -> Result<(Vec<Entry>, Vec<Entry>)> {
        let entries = self.entries_named(parse)?.into_iter();
        Ok(entries.partition(|entry| entry.is_certain))
    }

    /// What was kept in the folder besides backups of this sheet.
    pub(crate) fn copies_in_folder(&self) -> Result<Vec<KeptCopy>> {
        let kind = |name: &str| {
            let (_, _, label) = self.names.parse_copy(name)?;
            CopyKind::of_label(label)
        };
        let mut backups = self.uncertain_entries()?;
        backups.extend(self.uncertain_original_entries()?);
        let backups = backups
            .into_iter()
            .map(|entry| entry.kept(CopyKind::Backup));
        let entries = self.entries_named(|name| {
            let (time, session, _) = self.names.parse_copy(name)?;
            kind(name).map(|_| (time, session))
        })?;
        let copies = entries.into_iter().filter_map(|entry| {
            let kind = kind(&entry.name)?;
            Some(entry.kept(kind))
        });
        Ok(copies.chain(backups).collect())
    }

    /// The sessions of which there is a backup.
    pub(crate) fn sessions(&self) -> Result<Vec<String>> {
        let entries = self.entries()?.into_iter().chain(self.original_entries()?);
        Ok(entries.map(|entry| entry.session_id).collect())
    }

    fn entries_named(&self, parse: impl Fn(&str) -> Named) -> Result<Vec<Entry>> {
        let here = self.here();
        let Some(folder) = here.find_folder()? else {
            return Ok(Vec::new());
        };
        let is_strangers = here.strangers_in(&folder)?;
        let listing = target::read_folder(&here.folder).map_err(Error::io("read", &here.folder))?;
        let is_own_folder = here.is_beside_its_sheet();
        let mut entries: Vec<Entry> = listing
            .iter()
            .filter_map(|entry| here.recognise(entry, &parse, is_own_folder))
            .map(|entry| Entry {
                is_certain: entry.is_certain && !is_strangers(&entry.metadata),
                ..entry
            })
            .collect();
        let now = Utc::now();
        entries.sort_by(|a, b| b.age(now).cmp(&a.age(now)));
        Ok(entries)
    }

    fn recognise(
        &self,
        entry: &std::fs::DirEntry,
        parse: impl Fn(&str) -> Named,
        is_own_folder: bool,
    ) -> Option<Entry> {
        let name = entry.file_name().into_string().ok()?;
        let (created_at, session_id) = parse(&name)?;
        let metadata = entry
            .metadata()
            .ok()
            .filter(|metadata| metadata.is_file())?;
        let path = self.folder.join(&name);
        let origin = Origin::read(&path);
        let is_certain = match self.attribute(origin.as_ref(), is_own_folder) {
            Attribution::ThisSheet => true,
            Attribution::Unknown => false,
            Attribution::AnotherSheet => return None,
        };
        Some(Entry {
            is_certain,
            path,
            name,
            created_at,
            session_id,
            metadata,
            origin,
        })
    }

    pub(super) fn describe_all(&self, entries: Vec<Entry>) -> Result<Vec<BackupMetadata>> {
        let here = self.here();
        entries
            .into_iter()
            .map(|entry| here.describe(entry))
            .collect()
    }

    fn describe(&self, entry: Entry) -> Result<BackupMetadata> {
        let size_bytes = entry.metadata.len();
        let kept = entry
            .origin
            .filter(|origin| origin.size_bytes == size_bytes);
        let record_count = match kept.and_then(|origin| origin.record_count) {
            Some(record_count) => record_count,
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
    fn a_date_after_now_is_older_than_all_that_can_be_true() {
        let place = Place::with_five_backups();
        let real = place.backups().create_backup("real").unwrap();
        for (year, session) in [(2999, "later"), (2998, "sooner")] {
            place.write(
                &format!("backup/input_{year}0101_000000_{session}.csv"),
                CSV,
            );
        }
        let want = ["real", "s5", "s4", "s3", "s2", "s1", "later", "sooner"];
        assert_eq!(sessions(&place.backups()), want);
        assert_eq!(place.backups().resolve("latest").unwrap(), real.backup_path);
    }

    #[test]
    fn many_backups_of_one_second_are_dated_to_the_next_and_count_as_new() {
        let place = Place::with_five_backups();
        let backups = place.backups();
        for _ in 0..20 {
            let newest = backups.create_backup("a").unwrap();
            assert_eq!(backups.list().unwrap()[0], newest);
        }
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
