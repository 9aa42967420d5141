//! Whole copies of the sheet, kept beside it.
//!
//! The guarantee: a backup that can be seen is complete and survives power loss, never replaces another
//! file, and is open to nobody who could not read the sheet (`make.rs`). What lies in the folder is
//! listed by name (`list.rs`), retired by age (`retention.rs`), and found by what a person calls it
//! (`resolve.rs`).

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use super::attribution::FolderId;
use super::name::Pattern;
use crate::error::{Error, Result};
use crate::text::escape;

/// How many backups of a sheet are kept unless something else is asked for.
pub const DEFAULT_KEEP: usize = 5;

/// Makes, lists and retires the backups of one sheet.
///
/// A backup is named `{stem}_YYYYMMDD_HHMMSS_{session}{extension}` after the sheet and the time in
/// UTC: `input_20260105_101500_nightly.csv`.
#[derive(Debug, Clone)]
pub struct BackupManager {
    /// Canonical.
    pub(super) sheet: PathBuf,
    pub(super) sheet_folder: Option<FolderId>,
    /// The sheet's folder, which may be renamed; `None` if it may not be read.
    pub(super) held: Option<Arc<File>>,
    /// Absolute; it may not be there yet.
    pub(super) folder: PathBuf,
    pub(super) names: Pattern,
    pub(super) keep: usize,
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
            sheet_folder: sheet.parent().and_then(FolderId::of),
            held: sheet
                .parent()
                .and_then(|folder| File::open(folder).ok())
                .map(Arc::new),
            sheet,
            folder,
            names,
            keep,
        })
    }

    /// The sheet, by its canonical path when this was made.
    pub fn sheet(&self) -> &Path {
        &self.sheet
    }

    /// The folder the backups were in when this was made, which may not be there yet. If the sheet's folder is renamed,
    /// backups are made and found where it is then.
    pub fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn keep(&self) -> usize {
        self.keep
    }

    pub(super) fn sheet_name(&self) -> String {
        escape(&self.sheet.file_name().unwrap_or_default().to_string_lossy())
    }

    /// Whether the folder is the sheet's own: the one beside it, and no link to another.
    pub(super) fn is_beside_its_sheet(&self) -> bool {
        let folder = self.folder.canonicalize();
        folder.as_ref().unwrap_or(&self.folder) == &default_folder(&self.sheet)
    }

    pub(crate) fn problem(&self, problem: String) -> Error {
        Error::Backup {
            path: self.folder.clone(),
            problem,
        }
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

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;

    use super::super::place::{Place, sessions};
    use super::*;

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
    fn a_sheet_that_is_gone_still_has_its_backups() {
        let place = Place::with_five_backups();
        std::fs::remove_file(place.path("input.csv")).unwrap();
        assert!(place.backups().resolve("latest").is_ok());
        let missing = place.path("nowhere/input.csv");
        assert!(BackupManager::new(missing, None, 5).is_err());
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
        // By name alone: nothing tells it from another sheet of its name.
        assert!(sessions(&moved).is_empty());
        assert!(moved.resolve("a").is_ok());
    }
}
