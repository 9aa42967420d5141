//! A backup takes the sheet's place, in a session of its own.

use std::path::Path;

use crate::backup::BackupManager;
use crate::error::Result;
use crate::session::flow::{Session, new_id};
use crate::sheet::Options;
use crate::store::{BackedUp, clean_up, refuse_as_version, restore_unreadable};

impl Session {
    /// Puts a backup in the sheet's place, after a backup of what it replaces; `None` if there was
    /// nothing to replace. Atomic and durable.
    ///
    /// A sheet that can no longer be read as one is backed up as it is. Where the journal of such a sheet, or of
    /// one that is gone, holds results, it stays, and whoever opens the sheet next is asked
    /// ([`Error::Undecided`](crate::Error::Undecided)).
    ///
    /// # Errors
    /// [`Error::Backup`](crate::Error::Backup) of a copy that holds results alone, by its name;
    /// [`Error::SessionHeld`](crate::Error::SessionHeld); what makes the backup unfit as a sheet; [`Error::Io`](crate::Error::Io),
    /// [`Error::Busy`](crate::Error::Busy): the sheet is as it was.
    pub fn restore(
        path: impl AsRef<Path>,
        options: &Options,
        backup: &Path,
    ) -> Result<Option<BackedUp>> {
        let path = path.as_ref();
        refuse_as_version(backup, path)?;
        let unreadable = || {
            let made = restore_unreadable(path, options, &new_id(), backup)?;
            Ok(made.map(BackedUp::from))
        };
        let session = match path.exists() {
            true => Session::open_decided(path, options, None),
            false => return unreadable(),
        };
        match session {
            Ok(session) => {
                let mut writer = session.handler().writer()?;
                let made = writer.restore(backup, &new_id())?;
                clean_up(
                    writer.backups(),
                    &[made.backup_path.clone(), backup.to_owned()],
                );
                Ok(Some(BackedUp {
                    backup: made,
                    lost_results: writer.has_lost_results(),
                    unplaced: writer.kept_unplaced(),
                }))
            }
            Err(error) if error.is_no_sheet() => unreadable(),
            Err(error) => Err(error),
        }
    }
}

impl BackupManager {
    /// Puts a backup in the sheet's place, atomically and durably, after a backup of what it replaces,
    /// which is returned; `None` if there was nothing to replace. It is a session of its own, so that
    /// nobody works on the sheet meanwhile.
    ///
    /// # Errors
    ///
    /// As [`Session::restore`]: the sheet is as it was.
    pub fn restore_from_backup(
        &self,
        backup: &Path,
        options: &Options,
    ) -> Result<Option<BackedUp>> {
        let options = Options {
            backup_dir: Some(self.folder().to_owned()),
            keep: self.keep(),
            ..options.clone()
        };
        Session::restore(self.sheet(), &options, backup)
    }
}
