//! Where the tests of this room make backups.

use std::path::PathBuf;

use super::manager::{BackupManager, DEFAULT_KEEP};

pub(super) const CSV: &str = "PO_NUMBER;STATUS\r\nP1;\r\nP2;\"x\ny\"\r\n";

/// A temporary folder with a sheet in it.
pub(super) struct Place {
    folder: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Place {
        let place = Place {
            folder: tempfile::tempdir().unwrap(),
        };
        place.write("input.csv", CSV);
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().canonicalize().unwrap().join(name)
    }

    pub(super) fn write(&self, name: &str, text: &str) -> PathBuf {
        let path = self.path(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    pub(super) fn backups(&self) -> BackupManager {
        BackupManager::new(self.path("input.csv"), None, DEFAULT_KEEP).unwrap()
    }

    pub(super) fn keeping(&self, keep: usize) -> BackupManager {
        BackupManager {
            keep,
            ..self.backups()
        }
    }

    /// Backups of five days, made for the sessions s1 to s5.
    pub(super) fn with_five_backups() -> Place {
        let place = Place::new();
        for day in 1..=5 {
            place.write(&format!("backup/input_2026010{day}_101500_s{day}.csv"), CSV);
        }
        place
    }

    pub(super) fn names(&self, folder: &str) -> Vec<String> {
        let entries = std::fs::read_dir(self.path(folder)).unwrap();
        let mut names: Vec<_> = entries
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        names.sort();
        names
    }
}

/// The sessions of the backups in the folder, in the order of the list.
pub(super) fn sessions(backups: &BackupManager) -> Vec<String> {
    backups
        .list()
        .unwrap()
        .into_iter()
        .map(|backup| backup.session_id)
        .collect()
}
