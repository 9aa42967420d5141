//! Making a backup.
//!
//! Each copy is filled and synced while it has no name, then linked under one that nobody has, and the
//! folder is synced before [`BackupManager::create_backup`] returns. So what can be seen is complete, and
//! no file is ever replaced, whoever put it there.

use std::fs::File;
use std::path::{Path, PathBuf};

use chrono::{DateTime, DurationRound, TimeDelta, Utc};

use super::copy::{self, FromStart, Version};
use super::manager::BackupManager;
use super::metadata::BackupMetadata;
use super::name::ORIGINAL;
use super::origin::Origin;
use super::{count, folder, name};
use crate::disk::{Staged, Target};
use crate::error::{Error, Result};
use crate::text::{Escaped, escape};

/// How many names are tried for one copy before giving up.
pub(super) const MAX_NAMES: u32 = 100;

impl BackupManager {
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
        let here = self.here();
        let (source, _) = Target::open(&here.sheet)?.open_sheet()?;
        let record_count =
            count::records(FromStart::of(&source)).map_err(Error::io("read", &here.sheet))?;
        here.create_backup_of(&source, session_id, record_count)
    }

    /// Copies the version of the sheet that `source` has open, which the caller knows to hold
    /// `record_count` records; when this returns, the copy is durable. The position of `source` is
    /// neither used nor moved.
    ///
    /// If a backup of this session in this second is there already, this one is dated to the next
    /// free second, and none to before one that is there, up to 99 s from now: names stay exact, and the name of
    /// one that was deleted meanwhile is not given to a newer one.
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
        let here = self.here();
        here.refuse_session(session_id)?;
        let folder = here.create_folder()?;
        let now = this_second();
        let ahead = here.seconds_ahead(now)?;
        let named = |n: u32| now + TimeDelta::seconds(((ahead + n) % MAX_NAMES).into());
        let first = here.folder.join(here.names.backup(named(0), session_id));

        let before = Version::of(source).map_err(Error::io("read", &here.sheet))?;
        let mut staged = stage(&folder, &first)?;
        let size_bytes = copy::copy(source, source, &here.sheet, staged.file(), &first)?;
        let after = Version::of(source).map_err(Error::io("read", &here.sheet))?;
        if before != after || before.size_bytes != size_bytes {
            return Err(Error::Busy {
                path: here.sheet.clone(),
            });
        }
        here.origin(Some(record_count), size_bytes)
            .write(staged.file());

        let n = here.publish(&mut staged, &first, |n| {
            here.names.backup(named(n), session_id)
        })?;
        let created_at = named(n);
        Ok(BackupMetadata {
            backup_path: here.folder.join(here.names.backup(created_at, session_id)),
            original_path: here.sheet.clone(),
            created_at,
            session_id: session_id.to_owned(),
            record_count,
            size_bytes,
        })
    }

    /// How far the dates of several that were made within a second run ahead of the clock.
    fn seconds_ahead(&self, now: DateTime<Utc>) -> Result<u32> {
        let entries = self.entries()?.into_iter();
        let ahead = entries.filter_map(|entry| {
            let seconds = u32::try_from((entry.created_at - now).num_seconds()).ok();
            seconds.filter(|seconds| *seconds < MAX_NAMES)
        });
        Ok(ahead.max().unwrap_or_default())
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
        self.keep_text(source, source, label, session_id)
    }

    /// Keeps a job's answer that is too large for a result, whole, as `….answer.csv`: for those who may read the
    /// sheet, or if that is gone, as the answer is.
    ///
    /// # Errors
    /// As [`BackupManager::keep_copy`].
    pub fn keep_answer(&self, answer: &File, session_id: &str) -> Result<PathBuf> {
        let here = self.here();
        let sheet = File::open(&here.sheet);
        here.keep_text(
            answer,
            sheet.as_ref().unwrap_or(answer),
            "answer",
            session_id,
        )
    }

    /// The same of text that this process put together, for those who may read `granting`, the sheet.
    pub(crate) fn keep_text(
        &self,
        source: &File,
        granting: &File,
        label: &str,
        session_id: &str,
    ) -> Result<PathBuf> {
        let here = self.here();
        here.refuse_session(session_id)?;
        let is_plain = |b: u8| b.is_ascii_lowercase() || b == b'-';
        if label.is_empty() || label == ORIGINAL || !label.bytes().all(is_plain) {
            return Err(here.problem(format!(
                "{} is not a label for a copy",
                Escaped::text(label)
            )));
        }
        let folder = here.create_folder()?;
        let now = this_second();
        let name = |n| match n {
            0 => here.names.copy(now, session_id, label),
            n => self
                .names
                .copy(now, session_id, &format!("{label}-{}", n + 1)),
        };
        let first = here.folder.join(name(0));
        let mut staged = stage(&folder, &first)?;
        let size_bytes = copy::copy(source, granting, &here.sheet, staged.file(), &first)?;
        here.origin(None, size_bytes).write(staged.file());
        let n = here.publish(&mut staged, &first, name)?;
        Ok(here.folder.join(name(n)))
    }

    /// What a copy that is made now says of itself.
    pub(super) fn origin(&self, record_count: Option<usize>, size_bytes: u64) -> Origin {
        Origin {
            original_path: self.sheet.clone(),
            sheet_folder: self.sheet_folder,
            is_own_folder: Some(self.is_beside_its_sheet()),
            record_count,
            size_bytes,
            modified: None,
        }
    }

    /// Syncs a filled copy, gives it the first of the names that is free, and syncs the folder.
    /// Returns the number of that name.
    pub(super) fn publish(
        &self,
        staged: &mut Staged<&File>,
        first: &Path,
        name: impl Fn(u32) -> String,
    ) -> Result<u32> {
        staged.file().sync_all().map_err(Error::io("sync", first))?;
        for n in 0..MAX_NAMES {
            if staged
                .publish(name(n))
                .map_err(Error::io("create", self.folder.join(name(n))))?
            {
                let synced = staged.folder().sync_all();
                synced.map_err(Error::io("sync", &self.folder))?;
                return Ok(n);
            }
        }
        Err(self.no_free_name(&name(0)))
    }

    pub(super) fn no_free_name(&self, first: &str) -> Error {
        self.problem(format!(
            "{MAX_NAMES} files named like {} are there already",
            escape(first)
        ))
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
}

/// Begins a copy, of which the path is for errors.
pub(super) fn stage<'f>(folder: &'f File, path: &Path) -> Result<Staged<&'f File>> {
    Staged::begin(folder, folder::TEMPORARY, 0o600).map_err(Error::io("create", path))
}

fn this_second() -> DateTime<Utc> {
    Utc::now()
        .duration_trunc(TimeDelta::seconds(1))
        .expect("the clock shows a date that chrono knows")
}

#[cfg(test)]
mod tests {
    use std::io::{self, Seek, SeekFrom};
    use std::os::unix::fs::{MetadataExt, PermissionsExt, symlink};

    use super::super::place::{CSV, Place, sessions};
    use super::*;
    use crate::sys::flock;

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
    fn of_a_burst_of_backups_the_last_ones_are_kept_and_are_the_newest() {
        let place = Place::new();
        let backups = place.keeping(3);
        let mut made = Vec::new();
        for _ in 0..150 {
            made.push(backups.create_backup("manual").unwrap());
            backups.cleanup_after(&made[made.len() - 1]).unwrap();
            let newest: Vec<_> = made.iter().rev().take(3).cloned().collect();
            assert_eq!(backups.list().unwrap(), newest);
        }
        let run = backups.create_backup("0123abcd").unwrap();
        assert_eq!(backups.list().unwrap()[0], run);
        let is_dated_in_order = |pair: &[BackupMetadata]| pair[0].created_at < pair[1].created_at;
        assert!(made[..50].windows(2).all(is_dated_in_order));
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
    fn what_a_kill_left_of_a_copy_goes_with_the_next_one() {
        let place = Place::new();
        let left = place.write("backup/.tickoff-0123456789abcdef.tmp", "half of");
        let written = place.write("backup/.tickoff-fedcba9876543210.tmp", "half of");
        let alive = File::open(&written).unwrap();
        assert!(flock::try_exclusive(&alive).unwrap());
        place.backups().create_backup("a").unwrap();
        assert!(!left.exists() && written.exists());
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
}
