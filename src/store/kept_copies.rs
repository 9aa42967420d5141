//! All that was kept for a person beside the backups, wherever it lies.
//!
//! None of it is ever deleted, so a person has to be able to find it: in the folder of backups what the sheet did
//! not take, beside the sheet the journals that were set aside, and in the folder for temporary files what a
//! session could save nowhere else.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;

use crate::backup::{BackupManager, CopyKind, KeptCopy};
use crate::disk::target;
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::store::writer::RESCUED;
use crate::sys::rights;

impl BackupManager {
    /// What was kept of this sheet besides its backups, the newest first. tickoff deletes none of it.
    ///
    /// # Errors
    ///
    /// As [`BackupManager::list`].
    pub fn list_copies(&self) -> Result<Vec<KeptCopy>> {
        let mut found = self.copies_in_folder()?;
        found.extend(self.journals_set_aside()?);
        found.extend(self.rescued());
        found.sort_by(|a, b| (b.created_at, &b.path).cmp(&(a.created_at, &a.path)));
        Ok(found)
    }

    fn journals_set_aside(&self) -> Result<Vec<KeptCopy>> {
        let folder = self
            .sheet()
            .parent()
            .expect("a canonical file has a folder");
        let name = self.sheet().file_name().unwrap_or_default();
        let entries = target::read_folder(folder).map_err(Error::io("read", folder))?;
        let found = entries.iter().filter_map(|entry| {
            let entry_name = entry.file_name().into_string().ok()?;
            let (why, created_at) = Journal::parse_set_aside(name.to_str()?, &entry_name)?;
            Some(KeptCopy {
                path: entry.path(),
                kind: CopyKind::of_journal(why)?,
                created_at,
                size_bytes: entry.metadata().ok()?.len(),
                is_certain: true,
            })
        });
        Ok(found.collect())
    }

    /// Only sessions of which there is a backup are known to have worked on this sheet.
    fn rescued(&self) -> Vec<KeptCopy> {
        let folder = std::env::temp_dir();
        let sessions = self.sessions().unwrap_or_default();
        // It belongs to everybody, and what cannot be read in it is nothing of ours.
        let entries = target::read_folder(&folder).unwrap_or_default();
        let found = entries.iter().filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let (session, rest) = name.strip_prefix(RESCUED)?.split_once('.')?;
            let is_one = rest.starts_with("sheet-") || rest.starts_with("results-");
            let is_ours = is_one && sessions.iter().any(|ours| ours == session);
            let metadata = entry.metadata().ok().filter(is_our_file)?;
            is_ours.then(|| KeptCopy {
                path: entry.path(),
                kind: CopyKind::Rescued,
                created_at: metadata.modified().unwrap_or(std::time::UNIX_EPOCH).into(),
                size_bytes: metadata.len(),
                is_certain: true,
            })
        });
        found.collect()
    }
}

fn is_our_file(metadata: &Metadata) -> bool {
    metadata.is_file() && metadata.uid() == rights::user()
}
