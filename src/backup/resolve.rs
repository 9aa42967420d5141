//! Which backup a person means.

use std::path::PathBuf;

use super::list::Entry;
use super::manager::BackupManager;
use crate::error::{Error, Result};
use crate::text::{DidYouMean, Escaped, close_to, escape};

/// The word for the newest backup.
const LATEST: &str = "latest";
/// The word for the sheet as it was before anything was written to it.
const ORIGINAL: &str = "original";

impl BackupManager {
    /// The file that a user means: `latest`, `original` (the newest of them), the name of a file in the folder of
    /// backups, a session id, or a path. The first two are surely of this sheet.
    ///
    /// # Errors
    ///
    /// [`Error::Backup`] if there is no such backup or it is the sheet itself, [`Error::NotAFile`]
    /// if it is not a regular file, [`Error::Io`] if it cannot be looked at.
    pub fn resolve(&self, which: &str) -> Result<PathBuf> {
        let entries = self.entries()?;
        if which == LATEST {
            return match entries.into_iter().next() {
                Some(newest) => Ok(newest.path),
                None => Err(self.none_is_certain("backup", &self.uncertain_entries()?)),
            };
        }
        // What retention has deleted may be there as an original still.
        let originals = self.original_entries()?;
        if which == ORIGINAL
            && let Some(newest) = originals.first()
        {
            return Ok(newest.path.clone());
        }
        let uncertain = self.uncertain_entries()?;
        let uncertain_originals = self.uncertain_original_entries()?;
        if which == ORIGINAL && !uncertain_originals.is_empty() {
            return Err(self.none_is_certain(ORIGINAL, &uncertain_originals));
        }
        let of_session = entries
            .iter()
            .chain(&originals)
            .chain(&uncertain)
            .chain(&uncertain_originals)
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

    /// Says which is the newest of those that may be of another sheet, if there is one.
    fn none_is_certain(&self, what: &str, uncertain: &[Entry]) -> Error {
        let sheet = self.sheet_name();
        self.problem(match uncertain.first() {
            None => format!("no {what} of {sheet} here: --backup-dir names another folder"),
            Some(newest) => format!(
                "no {what} here is surely of {sheet}: {} may be of another sheet of that name; if it is of this one, restore it by its name",
                escape(&newest.name)
            ),
        })
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
            DidYouMean::one_of(&close, 0)
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::super::place::{CSV, Place};

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
        let original = place.write("backup/input_20260101_101500_s1.original.csv", CSV);
        assert_eq!(backups.resolve("original").unwrap(), original);
        let elsewhere = place.write("other.csv", CSV);
        assert_eq!(
            backups.resolve(elsewhere.to_str().unwrap()).unwrap(),
            elsewhere
        );
    }

    #[test]
    fn the_original_stands_in_for_its_sessions_backup_and_is_never_the_latest() {
        let place = Place::new();
        let backups = place.backups();
        let made = backups.create_backup("first").unwrap();
        let kept = backups.keep_original(&made).unwrap();
        assert_eq!(backups.resolve("first").unwrap(), made.backup_path);
        std::fs::remove_file(made.backup_path).unwrap();
        assert_eq!(backups.resolve("first").unwrap(), kept);
        assert!(backups.resolve("latest").is_err());
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
}
