//! A sheet whose folder was renamed while somebody works on it has its backups where it is now.
//!
//! The folder is held open, and tells where it is. A path that was right when the work began would lead nowhere: the
//! folder would be made anew under its old name, and what is kept there would be found by nobody.

use std::path::{Path, PathBuf};

use super::manager::BackupManager;
use crate::disk::{Whereabouts, target};

impl BackupManager {
    /// With the paths that lead to the sheet and its backups by now.
    pub(crate) fn here(&self) -> BackupManager {
        let whereabouts = match (&self.held, self.sheet.parent()) {
            (Some(held), Some(folder)) => target::whereabouts(held, folder),
            _ => Whereabouts::There,
        };
        match whereabouts {
            Whereabouts::Moved(folder) => self.moved_to(&folder),
            Whereabouts::There | Whereabouts::Nowhere => self.clone(),
        }
    }

    /// Where a file is by now that was in the folder of backups.
    pub(crate) fn path_here(&self, path: &Path) -> PathBuf {
        match path.strip_prefix(&self.folder) {
            Ok(name) => self.here().folder.join(name),
            Err(_) => path.to_owned(),
        }
    }

    fn moved_to(&self, folder: &Path) -> BackupManager {
        let mut moved = self.clone();
        moved.sheet = folder.join(self.sheet.file_name().unwrap_or_default());
        let (mut from, mut to) = (self.sheet.parent().unwrap_or(&self.sheet), folder);
        if let Ok(below) = self.folder.strip_prefix(from) {
            moved.folder = to.join(below);
            return moved;
        }
        // What both paths end with was not renamed, but a folder above it, and the backups may lie in that.
        while let (Some(old), Some(new)) = (from.file_name(), to.file_name())
            && old == new
            && let (Some(above_old), Some(above_new)) = (from.parent(), to.parent())
        {
            (from, to) = (above_old, above_new);
        }
        if let Ok(below) = self.folder.strip_prefix(from)
            && !self.folder.exists()
            && to.join(below).is_dir()
        {
            moved.folder = to.join(below);
        }
        moved
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{File, create_dir, rename};

    use super::super::place::{Place, sessions};
    use super::*;

    /// A sheet whose backups are in a folder of that path, before and after another path was renamed.
    #[track_caller]
    fn check(backups: &str, old: &str, new: &str, want: &str) {
        let place = Place::new();
        let sheet = place.write("above/work/input.csv", "PO_NUMBER\nP1\n");
        let manager = BackupManager::new(&sheet, Some(place.path(backups)), 1).unwrap();
        let source = File::open(&sheet).unwrap();
        let made = manager.create_backup("a").unwrap();
        manager.keep_original(&made).unwrap();
        rename(place.path(old), place.path(new)).unwrap();
        let now = manager.path_here(&made.backup_path);
        assert!(now.starts_with(place.path(want)) && now.exists(), "{now:?}");
        for session in ["b", "c"] {
            let made = manager.create_backup(session).unwrap();
            assert!(made.backup_path.starts_with(place.path(want)), "{made:?}");
        }
        let copy = manager.keep_copy(&source, "outside", "c").unwrap();
        let answer = manager.keep_answer(&source, "c").unwrap();
        for kept in [copy, answer] {
            assert!(
                kept.starts_with(place.path(want)) && kept.exists(),
                "{kept:?}"
            );
        }
        assert!(!place.path(old).exists(), "it was made anew");
        manager.cleanup_old_backups(&[]).unwrap();
        assert_eq!(sessions(&manager), ["c"]);
        assert_eq!(manager.list_originals().unwrap().len(), 1);
        assert_eq!(manager.list_copies().unwrap().len(), 2);
    }

    #[test]
    fn backups_are_where_the_sheet_is_after_its_folder_was_renamed() {
        check("above/work/backup", "above/work", "moved", "moved/backup");
        check("above/work/deep/er", "above/work", "moved", "moved/deep/er");
    }

    #[test]
    fn backups_in_a_folder_above_are_where_that_is() {
        check("above/common", "above", "moved", "moved/common");
        check("above/work/backup", "above", "moved", "moved/work/backup");
    }

    #[test]
    fn backups_in_a_folder_that_stayed_stay_there() {
        check("common", "above", "moved", "common");
        check("above/common", "above/work", "moved", "above/common");
    }

    #[test]
    fn another_folder_at_the_old_path_gets_nothing() {
        let place = Place::new();
        place.write("work/input.csv", "PO_NUMBER\nP1\n");
        let manager = BackupManager::new(place.path("work/input.csv"), None, 5).unwrap();
        rename(place.path("work"), place.path("moved")).unwrap();
        create_dir(place.path("work")).unwrap();
        let made = manager.create_backup("a").unwrap();
        assert!(made.backup_path.starts_with(place.path("moved/backup")));
        assert!(place.names("work").is_empty());
    }
}
