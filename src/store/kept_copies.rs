//! All that was kept for a person beside the backups, wherever it lies.
//!
//! None of it is ever deleted, so a person has to be able to find it: in the folder of backups what the sheet did
//! not take, beside the sheet the journals that were set aside, and in the folder for temporary files what a
//! session could save nowhere else.

use std::fs::Metadata;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::backup::{BackupManager, CopyKind, KeptCopy, label_of_copy};
use crate::disk::target;
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::store::writer::RESCUED;
use crate::sys::rights;

/// How the names of rescued results go on behind the session.
const RESULTS: &str = "results-";

/// Refuses what its name says to be no version of a sheet: with results alone in its place, the rows would be gone,
/// and all columns that a person filled.
pub(crate) fn refuse_as_version(copy: &Path, sheet: &Path) -> Result<()> {
    let is_led_to = copy.canonicalize().ok();
    let paths = is_led_to.iter().map(PathBuf::as_path).chain([copy]);
    let holds = paths
        .filter_map(|path| path.file_name()?.to_str())
        .find_map(|name| what_it_holds(name, sheet));
    let Some(holds) = holds else {
        return Ok(());
    };
    Err(Error::Backup {
        path: copy.to_owned(),
        problem: match holds {
            Holds::Results => {
                "holds results alone, and not the sheet: tickoff apply writes them to it, given one JSON object a row, {\"key\": KEY, \"updates\": {COLUMN: VALUE}}"
            }
            Holds::Answer => {
                "holds the answer of a command, and not the sheet: tickoff set writes to it what is of use in there"
            }
        }
        .into(),
    })
}

/// What a copy holds that is no version of the sheet.
enum Holds {
    Results,
    Answer,
}

fn what_it_holds(name: &str, sheet: &Path) -> Option<Holds> {
    let extension = sheet.extension().and_then(|extension| extension.to_str());
    match label_of_copy(name, extension) {
        Some("unplaced" | "discarded") => return Some(Holds::Results),
        Some("answer") => return Some(Holds::Answer),
        _ => {}
    }
    let (_, rescued) = name.strip_prefix(RESCUED)?.split_once('.')?;
    rescued.starts_with(RESULTS).then_some(Holds::Results)
}

impl BackupManager {
    /// What was kept of this sheet besides its backups, the newest first. tickoff deletes none of it.
    ///
    /// # Errors
    ///
    /// As [`BackupManager::list`].
    pub fn list_copies(&self) -> Result<Vec<KeptCopy>> {
        let here = self.here();
        let mut found = here.copies_in_folder()?;
        found.extend(here.journals_set_aside()?);
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
            let is_one = rest.starts_with("sheet-") || rest.starts_with(RESULTS);
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
