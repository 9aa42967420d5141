//! Which sheet a backup is of.
//!
//! Two sheets of one name may share a folder of backups, and either may be moved, or lie on a disk that is not
//! there. That the sheet of which a backup was made cannot be found is no evidence that it was this one. So a
//! backup counts as this sheet's only by evidence:
//!
//! - It lies in the sheet's own folder of backups, and was not sent there by a sheet elsewhere: folders get
//!   copied and moved with everything in them.
//! - Or it says that it was made of a sheet in this folder, which is told by its inode and birth, and so has
//!   been renamed at most; where a filesystem does not tell these, that it was made of a sheet of this path.
//!
//! One that is neither, and not certainly of another sheet, is left to a person: it is not counted, not deleted,
//! and restored only by name.

use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::SystemTime;

use serde::{Deserialize, Serialize};

use super::manager::BackupManager;
use super::origin::Origin;
use crate::sys::birth;

/// Whose a backup is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Attribution {
    ThisSheet,
    AnotherSheet,
    Unknown,
}

/// What a folder keeps when it is renamed, and no copy of it has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct FolderId {
    inode: u64,
    born: SystemTime,
}

impl FolderId {
    /// `None` where the filesystem does not tell when a folder was made: inodes alone are alike on two disks.
    pub(super) fn of(folder: &Path) -> Option<FolderId> {
        Some(FolderId {
            inode: folder.metadata().ok()?.ino(),
            born: birth::of(folder).ok()?,
        })
    }
}

impl BackupManager {
    /// Whose a backup is that lies in the folder, and says this of itself.
    pub(super) fn attribute(&self, origin: Option<&Origin>, is_own_folder: bool) -> Attribution {
        let Some(origin) = origin else {
            return match is_own_folder {
                true => Attribution::ThisSheet,
                false => Attribution::Unknown,
            };
        };
        if is_own_folder && origin.is_own_folder != Some(false) {
            return Attribution::ThisSheet;
        }
        let is_same_folder = origin.sheet_folder.zip(self.sheet_folder);
        let is_same_folder = is_same_folder.map(|(then, now)| then == now);
        match (origin.original_path == self.sheet, is_same_folder) {
            (true, Some(false)) => Attribution::Unknown,
            (true, _) => Attribution::ThisSheet,
            (false, Some(true)) if !self.is_snapshot_of(origin) => Attribution::ThisSheet,
            (false, _) if origin.original_path.exists() => Attribution::AnotherSheet,
            (false, _) => Attribution::Unknown,
        }
    }

    /// Whether the folder of which that was made is still there, and this sheet's is the same in a snapshot of
    /// the filesystem.
    fn is_snapshot_of(&self, origin: &Origin) -> bool {
        let folders = origin.original_path.parent().zip(self.sheet.parent());
        folders.is_some_and(|(there, here)| {
            let is_another_disk = match (there.metadata(), here.metadata()) {
                (Ok(there), Ok(here)) => there.dev() != here.dev(),
                _ => false,
            };
            is_another_disk && FolderId::of(there) == origin.sheet_folder
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs::rename;
    use std::os::unix::fs::symlink;

    use super::super::metadata::CopyKind;
    use super::super::place::{Place, sessions};
    use super::*;

    /// A place with two sheets of one name, a/input.csv and b/input.csv.
    fn two_sheets() -> Place {
        let place = Place::new();
        for folder in ["a", "b"] {
            place.write(&format!("{folder}/input.csv"), "PO_NUMBER\nP1\n");
        }
        place
    }

    fn sharing(place: &Place, folder: &str) -> BackupManager {
        let sheet = place.path(folder).join("input.csv");
        BackupManager::new(sheet, Some(place.path("shared")), 1).unwrap()
    }

    fn keeps_origins(place: &Place) -> bool {
        let made = sharing(place, "b").create_backup("probe").unwrap();
        let keeps = Origin::read(&made.backup_path).is_some();
        std::fs::remove_file(made.backup_path).unwrap();
        if !keeps {
            eprintln!("SKIPPED: the filesystem keeps no extended attributes");
        }
        keeps
    }

    #[test]
    fn the_backups_of_a_sheet_that_is_gone_are_not_taken_for_those_of_another() {
        let place = two_sheets();
        if !keeps_origins(&place) {
            return;
        }
        let a = sharing(&place, "a");
        let made = a.create_backup("a1").unwrap();
        let original = a.keep_original(&made).unwrap();
        let source = std::fs::File::open(a.sheet()).unwrap();
        let outside = a.keep_copy(&source, "outside", "a1").unwrap();
        let b = sharing(&place, "b");
        assert!(b.copies_in_folder().unwrap().is_empty(), "they are of a");

        rename(place.path("a"), place.path("c")).unwrap();
        for session in ["b1", "b2", "b3"] {
            b.create_backup(session).unwrap();
            b.cleanup_old_backups(&[]).unwrap();
        }
        assert_eq!(sessions(&b), ["b3"]);
        assert!(b.list_originals().unwrap().is_empty());
        assert!(b.remove_originals().unwrap().is_empty());
        assert!(made.backup_path.exists() && original.exists());
        let copies = b.copies_in_folder().unwrap();
        assert!(copies.iter().all(|copy| !copy.is_certain), "{copies:?}");
        let kinds: Vec<CopyKind> = copies.iter().map(|copy| copy.kind).collect();
        for kind in [CopyKind::Backup, CopyKind::Outside] {
            assert!(kinds.contains(&kind), "{kinds:?}");
        }
        assert_eq!(b.resolve("a1").unwrap(), made.backup_path);

        let c = sharing(&place, "c");
        assert_eq!(sessions(&c), ["a1"], "the folder was renamed");
        assert_eq!(c.list_originals().unwrap().len(), 1);
        let copies = c.copies_in_folder().unwrap();
        let of_c = copies.iter().find(|copy| copy.is_certain).unwrap();
        assert_eq!(of_c.path, outside);
    }

    #[test]
    fn latest_and_original_are_surely_of_this_sheet() {
        let place = two_sheets();
        if !keeps_origins(&place) {
            return;
        }
        let a = sharing(&place, "a");
        let made = a.create_backup("a1").unwrap();
        a.keep_original(&made).unwrap();
        let name = made.backup_path.file_name().unwrap().to_str().unwrap();
        rename(place.path("a"), place.path("c")).unwrap();
        let b = sharing(&place, "b");
        for (which, name) in [
            ("latest", name.to_owned()),
            ("original", name.replace("_a1.", "_a1.original.")),
        ] {
            let error = b.resolve(which).unwrap_err().to_string();
            let want = format!(
                "{}: no {which} here is surely of input.csv: {name} may be of another sheet of that name; if it is of this one, restore it by its name",
                place.path("shared").display()
            );
            assert_eq!(error, want.replace("no latest", "no backup"));
            assert_eq!(b.resolve(&name).unwrap(), place.path("shared").join(name));
        }
        let own = b.create_backup("b1").unwrap();
        assert_eq!(b.resolve("latest").unwrap(), own.backup_path);
    }

    #[test]
    fn another_folder_that_got_the_path_has_not_the_backups() {
        let place = two_sheets();
        if !keeps_origins(&place) || FolderId::of(&place.path("a")).is_none() {
            return;
        }
        sharing(&place, "a").create_backup("a1").unwrap();
        rename(place.path("a"), place.path("c")).unwrap();
        rename(place.path("b"), place.path("a")).unwrap();
        assert!(sessions(&sharing(&place, "a")).is_empty());
        assert_eq!(sessions(&sharing(&place, "c")), ["a1"]);
    }

    #[test]
    fn what_says_nothing_is_of_the_sheet_in_whose_own_folder_it_lies_and_elsewhere_of_none() {
        let place = two_sheets();
        let name = "input_20260105_101500_s.csv";
        place.write(&format!("a/backup/{name}"), "PO_NUMBER\n");
        place.write(&format!("shared/{name}"), "PO_NUMBER\n");
        let own = BackupManager::new(place.path("a/input.csv"), None, 0).unwrap();
        assert_eq!(sessions(&own), ["s"]);
        let shared = sharing(&place, "a");
        assert!(sessions(&shared).is_empty());
        shared.cleanup_old_backups(&[]).unwrap();
        assert!(place.path("shared").join(name).exists());
    }

    #[test]
    fn what_another_sheet_sent_to_a_sheets_own_folder_is_not_that_sheets() {
        let place = two_sheets();
        if !keeps_origins(&place) {
            return;
        }
        let folder = Some(place.path("a/backup"));
        let b = BackupManager::new(place.path("b/input.csv"), folder, 1).unwrap();
        b.create_backup("b1").unwrap();
        let own = BackupManager::new(place.path("a/input.csv"), None, 1).unwrap();
        own.create_backup("a1").unwrap();
        assert_eq!(
            (sessions(&own), sessions(&b)),
            (vec!["a1".into()], vec!["b1".into()])
        );
        rename(place.path("b"), place.path("c")).unwrap();
        assert_eq!(sessions(&own), ["a1"]);
    }

    #[test]
    fn a_link_to_a_shared_folder_makes_it_no_sheets_own() {
        let place = two_sheets();
        if !keeps_origins(&place) {
            return;
        }
        let linked = |folder: &str| {
            let link = place.path(folder).join("backup");
            symlink(place.path("shared"), link).unwrap();
            BackupManager::new(place.path(folder).join("input.csv"), None, 1).unwrap()
        };
        let (a, b) = (linked("a"), linked("b"));
        a.create_backup("a1").unwrap();
        b.create_backup("b1").unwrap();
        assert_eq!(
            (sessions(&a), sessions(&b)),
            (vec!["a1".into()], vec!["b1".into()])
        );
    }

    #[test]
    fn the_backup_of_a_run_is_found_by_the_id_that_only_its_sheet_knows() {
        let place = two_sheets();
        place.write("shared/input_20260105_101500_0123abcd.csv", "PO_NUMBER\n");
        place.write("shared/input_20260105_101500_nightly.csv", "PO_NUMBER\n");
        let a = sharing(&place, "a");
        assert!(a.find("0123abcd").unwrap().is_some());
        assert!(a.find("nightly").unwrap().is_none());
    }
}
