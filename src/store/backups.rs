//! What backups have to know of the journal: which of them are needed, and what the sheet does not show.
//!
//! The backup of a session that was interrupted is the only copy of the sheet before its results, so
//! retention spares it. That hung on the text of the session lock's file alone, and a run that was refused
//! for a typing error emptied it. The journal is evidence that nobody empties in passing: while it is not
//! finished with, it names its session. Where it cannot be read nothing is deleted.

use std::path::{Path, PathBuf};

use crate::backup::{BackupManager, BackupMetadata, is_automatic};
use crate::disk::{Rights, Target, read_holder};
use crate::error::Result;
use crate::journal::Journal;
use crate::sheet::Options;
use crate::store::handler::CsvHandler;
use crate::text::escape;

/// A backup, and what was read before it was made.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackedUp {
    /// What was made.
    pub backup: BackupMetadata,
    /// The journal was damaged: see [`CsvHandler::has_lost_results`].
    pub lost_results: bool,
    /// Where that is kept of the results which had no place in the sheet: see [`CsvHandler::kept_unplaced`].
    pub unplaced: Vec<PathBuf>,
}

impl From<BackupMetadata> for BackedUp {
    fn from(backup: BackupMetadata) -> BackedUp {
        BackedUp {
            backup,
            lost_results: false,
            unplaced: Vec::new(),
        }
    }
}

impl BackupManager {
    /// Deletes all but the newest backups, as many as `keep` says, and returns the paths of what it
    /// deleted, newest first.
    ///
    /// Beyond those it spares what `protect` names, the backups of the session that works on the sheet now
    /// or was interrupted, which are the only ones that can undo it, and a backup that somebody uses as a
    /// sheet. Originals are not among them. A backup that somebody else deleted meanwhile is not an error.
    ///
    /// # Errors
    ///
    /// [`Error::Io`](crate::Error::Io) with the path of the first one that could not be deleted; the others are gone.
    /// [`Error::Journal`](crate::Error::Journal), [`Error::Unsuitable`](crate::Error::Unsuitable) if it cannot be told which are needed: none was deleted.
    pub fn cleanup_old_backups(&self, protect: &[PathBuf]) -> Result<Vec<PathBuf>> {
        self.delete_old(|_| true, &sessions_at_work(self.here().sheet())?, protect)
    }

    /// What follows a backup that a person made: the newest stay of those that have its name, and of those that
    /// sessions made by themselves, as many of each as `keep` says. Others that a person named are left alone.
    /// Returns the paths of what it deleted.
    ///
    /// # Errors
    /// As [`BackupManager::cleanup_old_backups`].
    pub fn cleanup_after(&self, made: &BackupMetadata) -> Result<Vec<PathBuf>> {
        let protect = std::slice::from_ref(&made.backup_path);
        let at_work = sessions_at_work(self.here().sheet())?;
        let mut deleted = self.delete_old(|id| id == made.session_id, &at_work, protect)?;
        deleted.extend(self.delete_old(is_automatic, &at_work, protect)?);
        Ok(deleted)
    }

    fn cleanup_of_sessions(&self, protect: &[PathBuf]) -> Result<Vec<PathBuf>> {
        self.delete_old(
            is_automatic,
            &sessions_at_work(self.here().sheet())?,
            protect,
        )
    }

    /// Copies the sheet with everything that is durable: what only its journal holds, because another
    /// session goes on or was interrupted, is written into the sheet first.
    ///
    /// By which key column that is done the journal knows. A file that cannot be read as a sheet is copied
    /// as it is.
    ///
    /// # Errors
    ///
    /// As [`BackupManager::create_backup`], [`CsvHandler::open`]. [`Error::Backup`](crate::Error::Backup) for an id that a session could
    /// have given itself: its backup would be deleted with those of sessions.
    pub fn create_backup_with_results(
        &self,
        session_id: &str,
        options: &Options,
    ) -> Result<BackedUp> {
        if is_automatic(session_id) {
            return Err(self.problem(format!(
                "the session id {session_id} is one that runs give themselves, and their backups are deleted by later ones: name another, such as {session_id}-mine"
            )));
        }
        let target = Target::open(self.sheet())?;
        if Journal::find(&target)?.is_none() {
            return self.create_backup(session_id).map(BackedUp::from);
        }
        let options = Options {
            // One whose beginning is lost does not tell.
            key: Journal::open_key(&target)?.unwrap_or_else(|| options.key.clone()),
            backup_dir: Some(self.folder().to_owned()),
            keep: self.keep(),
            ..options.clone()
        };
        match CsvHandler::open_with(self.sheet(), &options) {
            Err(error) if error.is_no_sheet() => {
                tracing::warn!(error = %error.chain(), "this is no sheet now and is copied as it is: the results that its journal holds are not in the backup");
                self.create_backup(session_id).map(BackedUp::from)
            }
            opened => {
                let handler = opened?;
                let backup = handler.create_session_backup(session_id)?;
                handler.close();
                Ok(BackedUp {
                    backup,
                    lost_results: handler.has_lost_results(),
                    unplaced: handler.kept_unplaced(),
                })
            }
        }
    }
}

/// The session that goes on with the sheet, and those that died before they were done with it.
fn sessions_at_work(sheet: &Path) -> Result<Vec<String>> {
    let folder = sheet.parent().expect("a canonical file has a folder");
    let like = Rights::of_place(folder)?;
    let target = Target::open_or_missing(sheet, Some(&like))?;
    let holder = target
        .open_sibling_to_read("session")?
        .and_then(|mut file| read_holder(&mut file));
    let sessions = holder.map(|holder| holder.session);
    Ok(sessions
        .into_iter()
        .chain(Journal::open_session(&target)?)
        .collect())
}

/// Old backups go only when there is a new one, and never one that is in use.
pub(crate) fn clean_up(backups: &BackupManager, in_use: &[PathBuf]) {
    match backups.cleanup_of_sessions(in_use) {
        Ok(removed) => {
            for path in removed {
                tracing::debug!(backup = %escape(&path.display().to_string()), "an old backup was removed");
            }
        }
        Err(error) => {
            tracing::warn!(error = %error.chain(), "old backups could not be removed");
        }
    }
}
