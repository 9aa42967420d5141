//! The sheet is backed up, under the write lock: what is copied is a version that we know.
//!
//! A backup that a session makes before it changes anything has everything durable in it. What was left
//! in the journal is made visible first; but where that would change a version that the journal does not
//! explain, the version is backed up before that, as it is.

use std::fs::File;

use crate::backup::{BackupManager, BackupMetadata};
use crate::error::{Error, Result};
use crate::sheet::Sheet;
use crate::store::first::{Shown, is_original};
use crate::store::patience::patiently;

use super::Writer;

impl Writer {
    /// Backs up the sheet with everything that is durable in it.
    pub(crate) fn back_up(&mut self, session: &str) -> Result<BackupMetadata> {
        self.when_all_is_visible(|writer, _| writer.copy_to_backup(session, Shown::Now).map(Some))
    }

    /// Backs it up if nothing was ever written to it, and that version is not kept yet.
    pub(crate) fn back_up_original(&mut self, session: &str) -> Result<Option<BackupMetadata>> {
        self.when_all_is_visible(|writer, _| {
            let is_first = is_original(&writer.sheet.load(), Shown::Now, writer.backups())?;
            let made = is_first.then(|| writer.copy_to_backup(session, Shown::Now));
            made.transpose().map(Some)
        })
    }

    /// Backs up the public file as it is, without what only the journal holds.
    pub(crate) fn back_up_as_it_is(&mut self, session: &str) -> Result<BackupMetadata> {
        patiently(self.site.path(), || {
            let _held = self.lock.acquire()?;
            match self.copy_to_backup(session, Shown::Base) {
                Err(Error::Busy { .. }) => Ok(None),
                made => made.map(Some),
            }
        })
    }

    /// The caller knows that the public file is the version that we know.
    pub(super) fn copy_to_backup(&self, session: &str, shown: Shown) -> Result<BackupMetadata> {
        let (file, _) = self.site.target.open_sheet()?;
        let sheet = self.sheet.load();
        copy(&file, &sheet, shown, &self.site.backups, session)
    }
}

/// Backs a file up that is this sheet, and keeps it as the original if nothing was ever written to it.
pub(super) fn copy(
    file: &File,
    sheet: &Sheet,
    shown: Shown,
    backups: &BackupManager,
    session: &str,
) -> Result<BackupMetadata> {
    let is_first = is_original(sheet, shown, backups)?;
    let made = backups.create_backup_of(file, session, sheet.len())?;
    if is_first {
        backups.keep_original(&made)?;
    }
    Ok(made)
}
