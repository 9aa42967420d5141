//! Deleting old backups: only what is certainly one of this very sheet (`list.rs`), never the newest, and
//! never the ones that can undo what is going on.
//!
//! Somebody may have begun to use a backup as a sheet, by running tickoff on a file in the folder. It is
//! theirs then, and no backup any more: it is not deleted, and takes nobody's place among the newest.
//! So it is with one in which somebody worked, and saved it, in place or as a new file, which does not say what it is of.
//! So it is with one that a person made and named: sessions count and delete only their own (`is_automatic`).

use std::io::ErrorKind;
use std::path::PathBuf;

use chrono::Utc;

use super::list::Entry;
use super::manager::BackupManager;
use crate::disk::sibling_name;
use crate::error::{Error, Result};
use crate::sys::names;

/// Whoever used a file as a sheet has left one of these beside it.
const SIGNS_OF_A_SHEET: [&str; 3] = ["lock", "session", "journal"];

impl BackupManager {
    /// Deletes all but the newest backups of those whose session id `is_among`, as many as `keep` says, and
    /// returns the paths of what it deleted, newest first. Spares those of `sessions`, and what `protect` names.
    /// A backup that somebody else deleted meanwhile is not an error.
    pub(crate) fn delete_old(
        &self,
        is_among: impl Fn(&str) -> bool,
        sessions: &[String],
        protect: &[PathBuf],
    ) -> Result<Vec<PathBuf>> {
        let is_spared = |entry: &Entry| {
            let is_meant = |path: &PathBuf| path.file_name() == entry.path.file_name();
            sessions.contains(&entry.session_id) || protect.iter().any(is_meant)
        };
        let entries = self.entries()?;
        let oldest_told = entries.iter().rposition(|entry| entry.origin.is_some());
        let originals = self.original_entries()?;
        let now = Utc::now();
        let is_told_of_original = |entry: &Entry| {
            let mut told = originals
                .iter()
                .filter(|original| original.origin.is_some());
            // The first backup is as old as the original.
            let since = |entry: &Entry| {
                let (can_be_true, made, ..) = entry.age(now);
                (can_be_true, made)
            };
            told.any(|original| since(original) <= since(entry))
        };
        let ours = entries.into_iter().enumerate().filter(|(at, entry)| {
            let is_told = Some(*at) < oldest_told || is_told_of_original(entry);
            let is_theirs = entry.is_edited(is_told) || self.is_used_as_a_sheet(entry);
            is_among(&entry.session_id) && !is_theirs
        });
        let mut old: Vec<Entry> = ours.map(|(_, entry)| entry).collect();
        let mut old = old.split_off(self.keep.min(old.len()));
        old.retain(|entry| !is_spared(entry));
        self.delete(old)
    }

    /// Deletes these, but not one that is used as a sheet.
    pub(super) fn delete(&self, mut entries: Vec<Entry>) -> Result<Vec<PathBuf>> {
        let here = self.here();
        entries.retain(|entry| !here.is_used_as_a_sheet(entry));
        let mut deleted = Vec::new();
        let Some(folder) = here.find_folder()? else {
            return Ok(deleted);
        };
        let mut failed = Ok(());
        for entry in entries {
            match names::unlink(&folder, &entry.name) {
                Ok(()) => deleted.push(entry.path),
                Err(error) if error.kind() == ErrorKind::NotFound => {}
                Err(error) => failed = failed.and(Err(Error::io("delete", &entry.path)(error))),
            }
        }
        failed.map(|()| deleted)
    }

    fn is_used_as_a_sheet(&self, entry: &Entry) -> bool {
        SIGNS_OF_A_SHEET.iter().any(|sign| {
            let sign = self.folder.join(sibling_name(&entry.name, sign));
            sign.symlink_metadata().is_ok()
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::File;
    use std::os::unix::fs::symlink;

    use super::super::origin::Origin;
    use super::super::place::{CSV, Place, sessions};
    use super::*;

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
    fn backups_that_are_dated_after_now_evict_none_and_do_not_live_for_ever() {
        let place = Place::with_five_backups();
        for year in 2990..2995 {
            place.write(&format!("backup/input_{year}0101_000000_future.csv"), CSV);
        }
        let real = place.backups().create_backup("real").unwrap();
        let deleted = place.backups().cleanup_old_backups(&[]).unwrap();
        assert_eq!(deleted.len(), 6, "{deleted:?}");
        assert_eq!(sessions(&place.backups()), ["real", "s5", "s4", "s3", "s2"]);
        assert!(real.backup_path.exists());
    }

    #[test]
    fn a_backup_that_is_used_as_a_sheet_is_kept_and_takes_nobodys_place() {
        let place = Place::with_five_backups();
        for (day, sign) in [(1, "lock"), (2, "session"), (5, "journal")] {
            place.write(
                &format!("backup/.input_2026010{day}_101500_s{day}.csv.{sign}"),
                "",
            );
        }
        place.keeping(1).cleanup_old_backups(&[]).unwrap();
        assert_eq!(sessions(&place.backups()), ["s5", "s4", "s2", "s1"]);
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
}
