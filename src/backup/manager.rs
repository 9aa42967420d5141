//! Whole copies of the sheet, kept beside it.
//!
//! The guarantee: a backup that can be seen is complete and survives power loss, never replaces
//! another file, and is open to nobody who could not read the sheet. Each copy is filled and synced
//! while it has no name, then linked under one that nobody has, and the folder is synced before
//! [`BackupManager::create_backup`] returns.
//!
//! Retention deletes only what is certainly an old backup of this very sheet: a regular file whose
//! name has the exact shape (`backup/name.rs`), and which does not tell that it came from another
//! sheet. A shared folder may hold backups of two sheets of the same name; therefore each carries,
//! where the filesystem has extended attributes, the path of its sheet and its number of records in
//! `user.tickoff.backup`. Elsewhere, two such sheets need a folder each.

use crate::disk::lock::read_holder;
use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use chrono::{DateTime, DurationRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::copy::{self, FromStart, Version};
use super::count;
use super::name::{self, Pattern};
use super::origin::Origin;
use super::staged::{Folder, Staged};
use crate::disk::target::{self, Target};
use crate::error::{Error, Result};
use crate::text::escape::{Escaped, escape};
use crate::text::near::{DidYouMean, close_to};

/// How many backups of a sheet are kept unless something else is asked for.
pub const DEFAULT_KEEP: usize = 5;

/// The word that [`BackupManager::resolve`] takes for the newest backup.
const LATEST: &str = "latest";

/// How many names are tried for one copy before giving up.
const MAX_NAMES: u32 = 100;

/// Makes, lists and retires the backups of one sheet.
///
/// A backup is named `{stem}_YYYYMMDD_HHMMSS_{session}{extension}` after the sheet and the time in
/// UTC: `input_20260105_101500_nightly.csv`.
#[derive(Debug, Clone)]
pub struct BackupManager {
    /// Canonical.
    sheet: PathBuf,
    /// Absolute; it may not be there yet.
    folder: PathBuf,
    names: Pattern,
    keep: usize,
}

/// What is known of one backup.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct BackupMetadata {
    /// The backup itself.
    pub backup_path: PathBuf,
    /// The sheet it is a backup of.
    pub original_path: PathBuf,
    /// The time in its name: whole seconds, UTC.
    pub created_at: DateTime<Utc>,
    /// The session it was made for.
    pub session_id: String,
    /// How many records it holds, the header not counted.
    pub record_count: usize,
    /// How long it is.
    pub size_bytes: u64,
}

impl BackupManager {
    /// The backups of `sheet` in `folder`, or in `backup` beside the canonical sheet when that is
    /// `None`; retention keeps the newest `keep`. Nothing is created yet.
    ///
    /// The sheet itself may be gone, so that it can be restored; its folder may not.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] if the sheet's folder cannot be found, [`Error::NotAFile`] if the path names no
    /// file, [`Error::Unsuitable`] if the sheet's name is not UTF-8.
    pub fn new(sheet: impl AsRef<Path>, folder: Option<PathBuf>, keep: usize) -> Result<Self> {
        let sheet = canonical_even_if_gone(sheet.as_ref())?;
        let name = sheet.file_name().ok_or_else(|| Error::NotAFile {
            path: sheet.clone(),
        })?;
        let name = name.to_str().ok_or_else(|| Error::Unsuitable {
            path: sheet.clone(),
            problem: "has a name that is not UTF-8: rename it".into(),
        })?;
        let names = Pattern::of_sheet(name);
        let folder = match folder {
            Some(folder) => std::path::absolute(&folder).map_err(Error::io("find", &folder))?,
            None => default_folder(&sheet),
        };
        Ok(BackupManager {
            sheet,
            folder,
            names,
            keep,
        })
    }

    /// The sheet, by its canonical path.
    pub fn sheet(&self) -> &Path {
        &self.sheet
    }

    /// The folder the backups are in, which may not be there yet.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn keep(&self) -> usize {
        self.keep
    }

    /// Copies the sheet as it is now; when this returns, the copy is durable.
    ///
    /// `session_id` consists of 1 to 64 letters, digits, `-` and `_`. The records are counted with
    /// the delimiter that the header suggests.
    ///
    /// # Errors
    ///
    /// As [`BackupManager::create_backup_of`], and [`Error::Io`] or [`Error::NotAFile`] if the sheet
    /// cannot be read.
    pub fn create_backup(&self, session_id: &str) -> Result<BackupMetadata> {
        let (source, _) = Target::open(&self.sheet)?.open_sheet()?;
        let record_count =
            count::records(FromStart::of(&source)).map_err(Error::io("read", &self.sheet))?;
        self.create_backup_of(&source, session_id, record_count)
    }

    /// Copies the version of the sheet that `source` has open, which the caller knows to hold
    /// `record_count` records; when this returns, the copy is durable. The position of `source` is
    /// neither used nor moved.
    ///
    /// If a backup of this session in this second is there already, this one is dated to the next
    /// free second: names stay exact and none is ever reused.
    ///
    /// # Errors
    ///
    /// [`Error::Backup`] if the session id is not one, [`Error::Busy`] if the source changed
    /// meanwhile, [`Error::Io`] with the path if the folder cannot be made or written. No backup was
    /// made then, except when the last step, syncing the folder, failed: that one is complete but
    /// may not survive power loss.
    pub fn create_backup_of(
        &self,
        source: &File,
        session_id: &str,
        record_count: usize,
    ) -> Result<BackupMetadata> {
        self.refuse_session(session_id)?;
        let folder = self.create_folder()?;
        let now = this_second();
        let named = |n: u32| now + TimeDelta::seconds(n.into());
        let first = self.folder.join(self.names.backup(now, session_id));

        let before = Version::of(source).map_err(Error::io("read", &self.sheet))?;
        let staged = folder.stage().map_err(Error::io("create", &first))?;
        let size_bytes = copy::copy(source, &self.sheet, staged.file(), &first)?;
        let after = Version::of(source).map_err(Error::io("read", &self.sheet))?;
        if before != after || before.size_bytes != size_bytes {
            return Err(Error::Busy {
                path: self.sheet.clone(),
            });
        }
        Origin {
            original_path: self.sheet.clone(),
            record_count,
            size_bytes,
        }
        .write(staged.file());

        let n = self.publish(&folder, &staged, &first, |n| {
            self.names.backup(named(n), session_id)
        })?;
        let created_at = named(n);
        Ok(BackupMetadata {
            backup_path: self.folder.join(self.names.backup(created_at, session_id)),
            original_path: self.sheet.clone(),
            created_at,
            session_id: session_id.to_owned(),
            record_count,
            size_bytes,
        })
    }

    /// Keeps a version of the sheet that could not be merged, beside the backups but out of the
    /// reach of retention: `input_20260105_101500_nightly.outside.csv` for the label `outside`,
    /// `….outside-2.csv` when that is taken. Returns its path once it is durable.
    ///
    /// `source` is copied from its start to its end as they are now; whoever still writes to it may
    /// leave a mixture.
    ///
    /// # Errors
    ///
    /// [`Error::Backup`] if the session id or the label is not one, [`Error::Io`] with the path if
    /// the folder cannot be made or written.
    pub fn keep_copy(&self, source: &File, label: &str, session_id: &str) -> Result<PathBuf> {
        self.refuse_session(session_id)?;
        if label.is_empty() || !label.bytes().all(|b| b.is_ascii_lowercase() || b == b'-') {
            return Err(self.problem(format!(
                "{} is not a label for a copy",
                Escaped::text(label)
            )));
        }
        let folder = self.create_folder()?;
        let now = this_second();
        let name = |n| match n {
            0 => self.names.copy(now, session_id, label),
            n => self
                .names
                .copy(now, session_id, &format!("{label}-{}", n + 1)),
        };
        let first = self.folder.join(name(0));
        let staged = folder.stage().map_err(Error::io("create", &first))?;
        copy::copy(source, &self.sheet, staged.file(), &first)?;
        let n = self.publish(&folder, &staged, &first, name)?;
        Ok(self.folder.join(name(n)))
    }

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

    /// Deletes all but the newest backups, as many as `keep` says, and returns the paths of what it
    /// deleted, newest first.
    ///
    /// Beyond those it spares what `protect` names, and the backups of the session that works on the
    /// sheet now or was interrupted: the only ones that can undo it. A backup that somebody else
    /// deleted meanwhile is not an error.
    ///
    /// # Errors
    ///
    /// [`Error::Io`] with the path of the first one that could not be deleted; the others are gone.
    pub fn cleanup_old_backups(&self, protect: &[PathBuf]) -> Result<Vec<PathBuf>> {
        let at_work = self.session_at_work();
        let spared = |entry: &Entry| {
            at_work.as_ref() == Some(&entry.session_id)
                || protect
                    .iter()
                    .any(|path| path.file_name() == entry.path.file_name())
        };
        let mut deleted = Vec::new();
        let mut failed = Ok(());
        for entry in self
            .entries()?
            .into_iter()
            .skip(self.keep)
            .filter(|entry| !spared(entry))
        {
            match std::fs::remove_file(&entry.path) {
                Ok(()) => deleted.push(entry.path),
                Err(error) if error.kind() == io::ErrorKind::NotFound => {}
                Err(error) => failed = failed.and(Err(Error::io("delete", &entry.path)(error))),
            }
        }
        failed.map(|()| deleted)
    }

    /// The file that a user means: `latest`, the name of a file in the folder of backups, a session
    /// id, or a path.
    ///
    /// # Errors
    ///
    /// [`Error::Backup`] if there is no such backup or it is the sheet itself, [`Error::NotAFile`]
    /// if it is not a regular file, [`Error::Io`] if it cannot be looked at.
    pub fn resolve(&self, which: &str) -> Result<PathBuf> {
        let entries = self.entries()?;
        if which == LATEST {
            let newest = entries.into_iter().next().map(|entry| entry.path);
            return newest.ok_or_else(|| {
                self.problem(format!(
                    "no backup of {} here: --backup-dir names another folder",
                    self.sheet_name()
                ))
            });
        }
        let of_session = entries
            .iter()
            .find(|entry| entry.session_id == which)
            .map(|entry| entry.path.clone());
        let candidates = if which.contains('/') {
            vec![PathBuf::from(which)]
        } else {
            [
                Some(self.folder.join(which)),
                of_session,
                Some(PathBuf::from(which)),
            ]
            .into_iter()
            .flatten()
            .collect()
        };
        let Some(path) = candidates
            .into_iter()
            .find(|path| path.symlink_metadata().is_ok())
        else {
            return Err(self.no_such_backup(which, &entries));
        };
        let metadata = path.metadata().map_err(Error::io("read", &path))?;
        if !metadata.is_file() {
            return Err(Error::NotAFile { path });
        }
        if path.canonicalize().is_ok_and(|path| path == self.sheet) {
            return Err(Error::Backup {
                path,
                problem: "is the sheet itself and not a backup of it".into(),
            });
        }
        Ok(path)
    }

    /// Says which is like it, or else which is the newest.
    fn no_such_backup(&self, which: &str, entries: &[Entry]) -> Error {
        let name = |entry: &Entry| {
            let name = entry.path.file_name().unwrap_or_default();
            name.to_string_lossy().into_owned()
        };
        let ids = entries.iter().map(|entry| entry.session_id.clone());
        let close = close_to(which, ids.chain(entries.iter().map(name)));
        let newest = match entries.first() {
            Some(newest) if close.is_empty() => {
                format!(": the newest is {}", escape(&name(newest)))
            }
            _ => String::new(),
        };
        self.problem(format!(
            "no backup of {} is called {}{}{newest}",
            self.sheet_name(),
            Escaped::text(which),
            DidYouMean(&close)
        ))
    }

    fn create_folder(&self) -> Result<Folder> {
        target::create_folder(&self.folder)?;
        Folder::open(&self.folder).map_err(Error::io("open", &self.folder))
    }

    /// Syncs a filled copy, gives it the first of the names that is free, and syncs the folder.
    /// Returns the number of that name.
    fn publish(
        &self,
        folder: &Folder,
        staged: &Staged<'_>,
        first: &Path,
        name: impl Fn(u32) -> String,
    ) -> Result<u32> {
        staged.file().sync_all().map_err(Error::io("sync", first))?;
        for n in 0..MAX_NAMES {
            if staged
                .publish(&name(n))
                .map_err(Error::io("create", self.folder.join(name(n))))?
            {
                folder.sync().map_err(Error::io("sync", &self.folder))?;
                return Ok(n);
            }
        }
        Err(self.problem(format!(
            "{MAX_NAMES} files named like {} are there already",
            escape(&name(0))
        )))
    }

    fn refuse_session(&self, session_id: &str) -> Result<()> {
        match name::problem_of_session(session_id) {
            None => Ok(()),
            Some(problem) => Err(self.problem(format!(
                "the session id {} {problem}",
                Escaped::text(session_id)
            ))),
        }
    }

    /// What is in the folder under a name of ours, newest first.
    fn entries(&self) -> Result<Vec<Entry>> {
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
        self.folder != default_folder(&self.sheet)
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

    /// The session that holds the sheet, or that died holding it: one that ends clears its name.
    fn session_at_work(&self) -> Option<String> {
        let mut file = Target::open(&self.sheet)
            .ok()?
            .open_sibling_to_read("session")
            .ok()??;
        read_holder(&mut file).map(|holder| holder.session)
    }

    fn sheet_name(&self) -> String {
        escape(&self.sheet.file_name().unwrap_or_default().to_string_lossy())
    }

    fn problem(&self, problem: String) -> Error {
        Error::Backup {
            path: self.folder.clone(),
            problem,
        }
    }
}

/// A backup found in the folder.
struct Entry {
    path: PathBuf,
    created_at: DateTime<Utc>,
    session_id: String,
    metadata: std::fs::Metadata,
    origin: Option<Origin>,
}

impl Entry {
    fn age(&self) -> (DateTime<Utc>, Option<SystemTime>, &Path) {
        (self.created_at, self.metadata.modified().ok(), &self.path)
    }
}

fn canonical_even_if_gone(sheet: &Path) -> Result<PathBuf> {
    let cannot_find = Error::io("find", sheet);
    match (sheet.canonicalize(), sheet.file_name()) {
        (Err(error), Some(name))
            if error.kind() == io::ErrorKind::NotFound && !sheet.is_symlink() =>
        {
            let absolute = std::path::absolute(sheet).map_err(cannot_find)?;
            let folder = absolute
                .parent()
                .expect("an absolute path that ends in a name has a parent");
            Ok(folder
                .canonicalize()
                .map_err(Error::io("find", folder))?
                .join(name))
        }
        (canonical, _) => canonical.map_err(cannot_find),
    }
}

fn default_folder(sheet: &Path) -> PathBuf {
    sheet.with_file_name("backup")
}

fn this_second() -> DateTime<Utc> {
    Utc::now()
        .duration_trunc(TimeDelta::seconds(1))
        .expect("the clock shows a date that chrono knows")
}

#[cfg(test)]
mod tests {
    use std::io::{Seek, SeekFrom};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::*;

    const CSV: &str = "PO_NUMBER;STATUS\r\nP1;\r\nP2;\"x\ny\"\r\n";

    /// A temporary folder with a sheet in it.
    struct Place {
        folder: tempfile::TempDir,
    }

    impl Place {
        fn new() -> Place {
            let place = Place {
                folder: tempfile::tempdir().unwrap(),
            };
            place.write("input.csv", CSV);
            place
        }

        fn path(&self, name: &str) -> PathBuf {
            self.folder.path().canonicalize().unwrap().join(name)
        }

        fn write(&self, name: &str, text: &str) -> PathBuf {
            let path = self.path(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(&path, text).unwrap();
            path
        }

        fn backups(&self) -> BackupManager {
            BackupManager::new(self.path("input.csv"), None, DEFAULT_KEEP).unwrap()
        }

        fn keeping(&self, keep: usize) -> BackupManager {
            BackupManager {
                keep,
                ..self.backups()
            }
        }

        /// Backups of five days, made for the sessions s1 to s5.
        fn with_five_backups() -> Place {
            let place = Place::new();
            for day in 1..=5 {
                place.write(&format!("backup/input_2026010{day}_101500_s{day}.csv"), CSV);
            }
            place
        }

        fn names(&self, folder: &str) -> Vec<String> {
            let entries = std::fs::read_dir(self.path(folder)).unwrap();
            let mut names: Vec<_> = entries
                .map(|entry| entry.unwrap().file_name().into_string().unwrap())
                .collect();
            names.sort();
            names
        }
    }

    fn sessions(backups: &BackupManager) -> Vec<String> {
        backups
            .list()
            .unwrap()
            .into_iter()
            .map(|backup| backup.session_id)
            .collect()
    }

    #[test]
    fn a_backup_has_the_bytes_of_the_sheet_and_is_named_after_it() {
        let place = Place::new();
        let backups = place.backups();
        let made = backups.create_backup("nightly").unwrap();
        assert_eq!(std::fs::read(&made.backup_path).unwrap(), CSV.as_bytes());
        let stamp = made.created_at.format("%Y%m%d_%H%M%S");
        assert_eq!(
            made.backup_path,
            place.path(&format!("backup/input_{stamp}_nightly.csv"))
        );
        assert_eq!(made.original_path, place.path("input.csv"));
        assert_eq!((made.record_count, made.size_bytes), (2, CSV.len() as u64));
        assert!((Utc::now() - made.created_at).num_seconds() < 10);
        assert_eq!(backups.list().unwrap(), [made]);
    }

    #[test]
    fn metadata_survives_json() {
        let made = Place::new().backups().create_backup("a").unwrap();
        let json = serde_json::to_string(&made).unwrap();
        assert_eq!(serde_json::from_str::<BackupMetadata>(&json).unwrap(), made);
    }

    #[test]
    fn the_version_that_is_open_is_copied_whatever_its_position_and_its_place() {
        let place = Place::new();
        let mut open = File::open(place.path("input.csv")).unwrap();
        open.seek(SeekFrom::Start(7)).unwrap();
        place.write("new.csv", "PO_NUMBER\n");
        std::fs::rename(place.path("new.csv"), place.path("input.csv")).unwrap();

        let made = place.backups().create_backup_of(&open, "a", 2).unwrap();
        assert_eq!(std::fs::read(made.backup_path).unwrap(), CSV.as_bytes());
        assert_eq!(open.stream_position().unwrap(), 7);
    }

    #[test]
    fn a_large_sheet_is_copied_whole() {
        let place = Place::new();
        let text = format!("PO_NUMBER\n{}", "P1\n".repeat(1_000_000));
        place.write("input.csv", &text);
        let made = place.backups().create_backup("a").unwrap();
        assert_eq!(made.record_count, 1_000_000);
        assert!(std::fs::read(made.backup_path).unwrap() == text.as_bytes());
    }

    #[test]
    fn a_source_that_is_not_as_long_as_it_says_is_busy() {
        let place = Place::new();
        let changing = File::open("/proc/self/status").unwrap();
        let error = place
            .backups()
            .create_backup_of(&changing, "a", 0)
            .unwrap_err();
        assert!(matches!(error, Error::Busy { .. }), "{error}");
        assert!(place.names("backup").is_empty());
    }

    #[test]
    fn a_backup_is_open_to_nobody_who_could_not_read_the_sheet() {
        let place = Place::new();
        for (mode, want) in [
            (0o600, 0o600),
            (0o640, 0o640),
            (0o444, 0o444),
            (0o777, 0o666),
        ] {
            let sheet = place.path("input.csv");
            std::fs::set_permissions(&sheet, PermissionsExt::from_mode(mode)).unwrap();
            let made = place.backups().create_backup("a").unwrap();
            let metadata = std::fs::metadata(made.backup_path).unwrap();
            assert_eq!(metadata.mode() & 0o7777, want, "{mode:o}");
            assert_eq!(metadata.gid(), std::fs::metadata(sheet).unwrap().gid());
        }
    }

    #[test]
    fn a_sheet_with_an_access_control_list_has_private_backups() {
        // Version 2; owner rw-, user 1 ---, group ---, mask r--, others r--.
        const ACL: [(u16, u16, u32); 5] = [
            (0x01, 6, !0),
            (0x02, 0, 1),
            (0x04, 0, !0),
            (0x10, 4, !0),
            (0x20, 4, !0),
        ];
        let mut acl = 2_u32.to_le_bytes().to_vec();
        for (tag, permissions, id) in ACL {
            acl.extend(tag.to_le_bytes());
            acl.extend(permissions.to_le_bytes());
            acl.extend(id.to_le_bytes());
        }
        let place = Place::new();
        if let Err(error) = xattr::set(place.path("input.csv"), "system.posix_acl_access", &acl) {
            assert_eq!(error.kind(), io::ErrorKind::Unsupported);
            return;
        }
        let made = place.backups().create_backup("a").unwrap();
        assert_eq!(
            std::fs::metadata(made.backup_path).unwrap().mode() & 0o7777,
            0o600
        );
    }

    #[test]
    fn a_second_backup_in_the_same_second_does_not_touch_the_first() {
        let place = Place::new();
        let backups = place.backups();
        let first = backups.create_backup("a").unwrap();
        place.write("input.csv", "PO_NUMBER\n");
        let second = backups.create_backup("a").unwrap();
        assert!(first.created_at < second.created_at);
        assert_eq!(std::fs::read(&first.backup_path).unwrap(), CSV.as_bytes());
        assert_eq!(backups.list().unwrap(), [second, first]);
    }

    #[test]
    fn a_link_planted_under_the_next_name_is_not_followed() {
        let place = Place::new();
        let backups = place.backups();
        std::fs::create_dir(place.path("backup")).unwrap();
        let now = this_second();
        let planted: Vec<PathBuf> = (0..5)
            .map(|n| {
                backups
                    .folder()
                    .join(backups.names.backup(now + TimeDelta::seconds(n), "a"))
            })
            .collect();
        for path in &planted {
            symlink(place.path("victim"), path).unwrap();
        }
        let made = backups.create_backup("a").unwrap();
        assert!(!place.path("victim").exists());
        assert!(!planted.contains(&made.backup_path));
        assert_eq!(
            sessions(&backups).len(),
            1,
            "the planted links are no backups"
        );
    }

    #[test]
    fn a_symlinked_sheet_has_its_backups_beside_its_target() {
        let place = Place::new();
        std::fs::create_dir(place.path("elsewhere")).unwrap();
        symlink(place.path("input.csv"), place.path("elsewhere/link.csv")).unwrap();
        let backups = BackupManager::new(place.path("elsewhere/link.csv"), None, 5).unwrap();
        let made = backups.create_backup("a").unwrap();
        assert_eq!(made.backup_path.parent().unwrap(), place.path("backup"));
        assert_eq!(sessions(&place.backups()), ["a"]);
    }

    #[test]
    fn a_refused_session_id_leaves_no_trace() {
        let place = Place::new();
        let error = place.backups().create_backup("../evil\n").unwrap_err();
        let folder = place.path("backup");
        assert_eq!(
            error.to_string(),
            format!(
                "{}: the session id ../evil\\n may only hold letters, digits, - and _",
                folder.display()
            )
        );
        assert!(!folder.exists());
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_named_with_the_cause() {
        let place = Place::new();
        let folder = place.write("in_the_way", "").join("backup");
        let backups = BackupManager::new(place.path("input.csv"), Some(folder.clone()), 5).unwrap();
        let error = backups.create_backup("a").unwrap_err();
        assert_eq!(
            error.chain(),
            format!(
                "cannot create {}: Not a directory (os error 20)",
                folder.display()
            )
        );
    }

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
    fn retention_keeps_the_newest_and_tells_what_it_deleted() {
        let place = Place::with_five_backups();
        let deleted = place.keeping(2).cleanup_old_backups(&[]).unwrap();
        let want = [3, 2, 1]
            .map(|day| place.path(&format!("backup/input_2026010{day}_101500_s{day}.csv")));
        assert_eq!(deleted, want);
        assert_eq!(sessions(&place.backups()), ["s5", "s4"]);
        assert!(
            place
                .keeping(2)
                .cleanup_old_backups(&[])
                .unwrap()
                .is_empty()
        );
    }

    #[test]
    fn retention_spares_what_is_protected() {
        let place = Place::with_five_backups();
        let protect = [place.path("backup/input_20260101_101500_s1.csv")];
        assert_eq!(
            place
                .keeping(2)
                .cleanup_old_backups(&protect)
                .unwrap()
                .len(),
            2
        );
        assert_eq!(sessions(&place.backups()), ["s5", "s4", "s1"]);
    }

    #[test]
    fn retention_spares_the_session_that_works_or_was_interrupted() {
        let place = Place::with_five_backups();
        place.write(
            ".input.csv.session",
            r#"{"pid":1,"host":"h","session":"s2","started":"2026-01-02T10:15:00Z"}"#,
        );
        place.keeping(1).cleanup_old_backups(&[]).unwrap();
        assert_eq!(sessions(&place.backups()), ["s5", "s2"]);
    }

    #[test]
    fn retention_touches_nothing_but_backups_of_this_sheet() {
        let place = Place::with_five_backups();
        let others = [
            "input_2_20260101_101500_s.csv",
            "input_20260101_101500_a_20260202_101500_b.csv",
            "input_20260101_101500_s.outside.csv",
            "input_20260101_101500_s.csv.bak",
            "input_20269901_101500_s.csv",
            "input.csv",
            "notes.txt",
        ];
        for name in others {
            place.write(&format!("backup/{name}"), CSV);
        }
        std::fs::create_dir(place.path("backup/input_20260101_101500_folder.csv")).unwrap();
        symlink(
            place.path("input.csv"),
            place.path("backup/input_20260101_101500_link.csv"),
        )
        .unwrap();

        assert_eq!(place.keeping(0).cleanup_old_backups(&[]).unwrap().len(), 5);
        let left = place.names("backup");
        assert_eq!(left.len(), others.len() + 2, "{left:?}");
        assert_eq!(
            std::fs::read(place.path("input.csv")).unwrap(),
            CSV.as_bytes()
        );
    }

    #[test]
    fn sheets_of_one_name_share_a_folder_without_taking_each_others_backups() {
        let place = Place::new();
        place.write("b/input.csv", "PO_NUMBER\nB\n");
        let shared = Some(place.path("shared"));
        let a = BackupManager::new(place.path("input.csv"), shared.clone(), 1).unwrap();
        let b = BackupManager::new(place.path("b/input.csv"), shared, 1).unwrap();
        a.create_backup("a").unwrap();
        b.create_backup("b1").unwrap();
        b.create_backup("b2").unwrap();
        if Origin::read(&a.entries().unwrap()[0].path).is_none() {
            return; // A filesystem that keeps no origin cannot keep this promise.
        }
        b.cleanup_old_backups(&[]).unwrap();
        assert_eq!(
            (sessions(&a), sessions(&b)),
            (vec!["a".to_owned()], vec!["b2".to_owned()])
        );
    }

    #[test]
    fn a_sheet_that_was_moved_still_has_its_backups() {
        let place = Place::new();
        let shared = Some(place.path("shared"));
        BackupManager::new(place.path("input.csv"), shared.clone(), 5)
            .unwrap()
            .create_backup("a")
            .unwrap();
        std::fs::create_dir(place.path("new")).unwrap();
        std::fs::rename(place.path("input.csv"), place.path("new/input.csv")).unwrap();
        let moved = BackupManager::new(place.path("new/input.csv"), shared, 5).unwrap();
        assert_eq!(sessions(&moved), ["a"]);
    }

    #[test]
    fn a_copy_that_was_kept_is_out_of_the_reach_of_retention() {
        let place = Place::new();
        let backups = place.keeping(0);
        let outside = File::open(place.write("edited.csv", "PO_NUMBER\nX\n")).unwrap();
        let kept: Vec<PathBuf> = (0..3)
            .map(|_| backups.keep_copy(&outside, "outside", "a").unwrap())
            .collect();
        backups.cleanup_old_backups(&[]).unwrap();
        for path in &kept {
            assert_eq!(std::fs::read(path).unwrap(), b"PO_NUMBER\nX\n");
        }
        let name = kept[0].file_name().unwrap().to_str().unwrap();
        assert!(
            name.starts_with("input_") && name.ends_with("_a.outside.csv"),
            "{name}"
        );
        assert!(kept[1] != kept[0] && kept[2] != kept[1]);
        assert!(sessions(&backups).is_empty());
    }

    #[test]
    fn a_second_copy_with_the_same_label_is_numbered() {
        let place = Place::new();
        let outside = File::open(place.path("input.csv")).unwrap();
        // Enough that several of them fall into one second.
        for _ in 0..20 {
            place.backups().keep_copy(&outside, "ours", "a").unwrap();
        }
        let endings: Vec<String> = place
            .names("backup")
            .iter()
            .map(|name| name["input_20260105_101500".len()..].to_owned())
            .collect();
        assert_eq!(endings.len(), 20);
        assert!(
            endings.iter().any(|ending| ending == "_a.ours-2.csv"),
            "{endings:?}"
        );
        assert!(
            endings.iter().all(|ending| ending != "_a.ours-1.csv"),
            "{endings:?}"
        );
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

    #[test]
    fn what_the_user_names_is_resolved() {
        let place = Place::with_five_backups();
        let backups = place.backups();
        let s2 = place.path("backup/input_20260102_101500_s2.csv");
        assert_eq!(
            backups.resolve("latest").unwrap(),
            place.path("backup/input_20260105_101500_s5.csv")
        );
        assert_eq!(backups.resolve("s2").unwrap(), s2);
        assert_eq!(backups.resolve("input_20260102_101500_s2.csv").unwrap(), s2);
        let elsewhere = place.write("other.csv", CSV);
        assert_eq!(
            backups.resolve(elsewhere.to_str().unwrap()).unwrap(),
            elsewhere
        );
    }

    #[test]
    fn what_cannot_be_restored_is_refused_with_the_reason() {
        let place = Place::new();
        #[track_caller]
        fn check(place: &Place, which: &str, want: &str) {
            let error = place.backups().resolve(which).unwrap_err().to_string();
            assert_eq!(error.replace(place.path("").to_str().unwrap(), ""), want);
        }
        check(
            &place,
            "latest",
            "backup: no backup of input.csv here: --backup-dir names another folder",
        );
        check(
            &place,
            "s9\u{1b}",
            "backup: no backup of input.csv is called s9\\u{1b}",
        );
        check(
            &place,
            "./missing.csv",
            "backup: no backup of input.csv is called ./missing.csv",
        );
        check(
            &place,
            place.path("").to_str().unwrap(),
            " is not a regular file",
        );
        let sheet = place.path("input.csv");
        check(
            &place,
            sheet.to_str().unwrap(),
            "input.csv: is the sheet itself and not a backup of it",
        );
    }

    #[test]
    fn a_sheet_that_is_gone_still_has_its_backups() {
        let place = Place::with_five_backups();
        std::fs::remove_file(place.path("input.csv")).unwrap();
        assert!(place.backups().resolve("latest").is_ok());
        let missing = place.path("nowhere/input.csv");
        assert!(BackupManager::new(missing, None, 5).is_err());
    }
}
