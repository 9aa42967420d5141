//! A backup takes the sheet's place.
//!
//! Everything durable is visible first, and the version that is replaced is backed up, under one
//! hold of the write lock. The journal is emptied before the replacement: a crash in between must
//! not bring its results back over the restored version.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use crate::backup::{BackupManager, BackupMetadata};
use crate::disk::{Publication, Replacement, SessionLock, Snapshot, Target, WriteLock};
use crate::error::{Error, Result};
use crate::journal::Journal;
use crate::sheet::render::Next;
use crate::sheet::{Options, Sheet};
use crate::text::escape;

use super::Writer;
use super::outside::take;

impl Writer {
    /// Restores a backup, and returns the one that was made of what it replaced.
    pub(crate) fn restore(&mut self, backup: &Path, session: &str) -> Result<BackupMetadata> {
        let restored = Arc::new(read(&self.site.target, backup, &self.site.options)?);
        let made = self.when_all_is_visible(|writer, _| {
            let made = writer.copy_to_backup(session)?;
            writer.durable.empty(&writer.site)?;
            let (old, _) = writer.site.target.open_sheet()?;
            let replacement = write(&writer.site.target, &old, &restored)?;
            match writer.outside.exchange(replacement)? {
                Publication::Done(version, _) => writer.outside.set_public(version),
                Publication::Displaced(version, edit) => {
                    writer.outside.set_public(version);
                    keep(&writer.site.backups, &edit.file, session)?;
                    edit.remove(&writer.site.target)?;
                }
                Publication::Busy | Publication::Edited => return Ok(None),
            }
            Ok(Some(made))
        })?;
        self.sheet.store(restored);
        self.visible.has_new_base(false);
        Ok(made)
    }
}

/// Restores a backup where there is no sheet, or none that can be read as one; that one is backed up
/// as it is. A journal that is there is kept aside: what it holds cannot be shown in what was lost.
pub(crate) fn restore_unreadable(
    path: &Path,
    options: &Options,
    session: &str,
    backup: &Path,
) -> Result<Option<BackupMetadata>> {
    let source = File::open(backup).map_err(Error::io("open", backup))?;
    let like = source.metadata().map_err(Error::io("read", backup))?;
    let target = Target::open_or_missing(path, &like)?;
    let lock = WriteLock::open(&target)?;
    let held = lock.acquire()?;
    let _session = SessionLock::acquire(&target, &held, session)?;
    let restored = Arc::new(read(&target, backup, options)?);
    let backups = BackupManager::new(target.path(), options.backup_dir.clone(), options.keep)?;
    if let Some(kept) = Journal::keep_aside(&target, "not-restored")? {
        tracing::warn!(kept = %escape(&kept.display().to_string()), "the journal of the sheet that was replaced is kept");
    }
    if !target.path().exists() {
        return match write(&target, &source, &restored)?.publish_anew()? {
            Publication::Done(..) => Ok(None),
            _ => Err(busy(&target)),
        };
    }
    target.refuse_unsuitable(options.allow_network_fs)?;
    let (_, mut public) = take(&target)?.ok_or_else(|| busy(&target))?;
    let (old, _) = target.open_sheet()?;
    let made = backups.create_backup_of(&old, session, 0)?;
    match write(&target, &old, &restored)?.publish(&mut public)? {
        Publication::Done(..) => {}
        Publication::Displaced(_, edit) => {
            keep(&backups, &edit.file, session)?;
            edit.remove(&target)?;
        }
        Publication::Busy | Publication::Edited => return Err(busy(&target)),
    }
    Ok(Some(made))
}

fn read(target: &Target, backup: &Path, options: &Options) -> Result<Sheet> {
    let source = File::open(backup).map_err(Error::io("open", backup))?;
    Sheet::build(Snapshot::copy(target, &source)?, backup, options)
}

fn write<'t>(target: &'t Target, like: &File, restored: &Arc<Sheet>) -> Result<Replacement<'t>> {
    let next = Next::of(restored);
    Replacement::write(
        target,
        like,
        restored.bytes().len() as u64,
        |out| next.render(out),
        |written| next.verify(written),
    )
}

fn keep(backups: &BackupManager, edit: &File, session: &str) -> Result<()> {
    let kept = backups.keep_copy(edit, "outside", session)?;
    tracing::warn!(kept = %escape(&kept.display().to_string()), "another program changed the sheet during the restore; its version is kept in a copy");
    Ok(())
}

fn busy(target: &Target) -> Error {
    Error::Busy {
        path: target.path().to_owned(),
    }
}
