//! A backup takes the sheet's place.
//!
//! Everything durable is visible first, and the version that is replaced is backed up, under one
//! hold of the write lock. The journal is begun anew before the replacement: a crash in between must
//! not bring its results back over the restored version.

use std::path::Path;
use std::sync::Arc;

use crate::backup::BackupMetadata;
use crate::disk::{Publication, Rights, SessionLock, Snapshot, Target, WriteLock, open_file, take};
use crate::error::{Error, Result};
use crate::sheet::render::Next;
use crate::sheet::{Options, Sheet};
use crate::store::first::Shown;
use crate::store::patience::patiently;
use crate::store::{fitness, left_behind, whole};
use crate::text::escape;

use super::outside::Outside;
use super::site::Site;
use super::{Writer, replacement};

impl Writer {
    /// Restores a backup, and returns the one that was made of what it replaced.
    pub(crate) fn restore(&mut self, backup: &Path, session: &str) -> Result<BackupMetadata> {
        let restored = Arc::new(read(&self.site.target, backup, &self.site.options)?);
        let made = self.when_all_is_visible(|writer, _| {
            let made = writer.copy_to_backup(session, Shown::Now)?;
            let (old, _) = writer.site.target.open_sheet()?;
            let next = Next::of(&restored);
            let replacement = replacement(&writer.site.target, &old, &next)?;
            let hash = replacement.hash();
            writer
                .durable
                .begin_anew(&writer.site, &restored, hash, true)?;
            match writer.outside.exchange(replacement)? {
                Publication::Done(version, _) => writer.outside.set_public(version),
                Publication::Displaced(version, edit) => {
                    writer.outside.set_public(version);
                    writer.outside.keep_displaced(edit, &writer.site)?;
                }
                Publication::Busy | Publication::Edited => return Ok(None),
            }
            Ok(Some(made))
        })?;
        self.sheet.store(restored);
        self.visible.has_new_base(false);
        self.settle();
        Ok(made)
    }
}

/// Restores a backup where there is no sheet, or none that can be read as one; that one is backed up
/// as it is. A journal that is there stays: whether its results belong to what is restored only a person knows,
/// and every command asks from here on. It was set aside once, and then no command found the results any more.
pub(crate) fn restore_unreadable(
    path: &Path,
    options: &Options,
    session: &str,
    backup: &Path,
) -> Result<Option<BackupMetadata>> {
    let source = patiently(backup, || open_file(backup).map(Some))?;
    let like = Rights::of_place(backup)?;
    let target = Arc::new(Target::open_or_missing(path, Some(&like))?);
    let lock = WriteLock::open(&target)?;
    let held = lock.acquire()?;
    let mut session_lock = SessionLock::acquire(&target, &held, session)?;
    let next = Next::of(&Arc::new(read(&target, backup, options)?));
    let site = Site::new(target, options, Some(session))?;
    let target = &*site.target;
    if !target.path().exists() {
        return match replacement(target, &source, &next)?.publish_anew()? {
            Publication::Done(..) => {
                session_lock.settle();
                tell_of_results(target);
                Ok(None)
            }
            _ => Err(busy(target)),
        };
    }
    fitness::refuse_place(target, options)?;
    let (old, public) = patiently(target.path(), || {
        let (old, _) = target.open_sheet()?;
        Ok(take(target)?.map(|(_, public)| (old, public)))
    })?;
    let made = site.backups.create_backup_of(&old, session, 0)?;
    let mut outside = Outside::new(public);
    match outside.exchange(replacement(target, &old, &next)?)? {
        Publication::Done(..) => {}
        Publication::Displaced(_, edit) => outside.keep_displaced(edit, &site)?,
        Publication::Busy | Publication::Edited => return Err(busy(target)),
    }
    outside.watch_to_the_end(&site)?;
    session_lock.settle();
    tell_of_results(target);
    Ok(Some(made))
}

fn tell_of_results(target: &Target) {
    let rows = left_behind::results_beside(target);
    if rows > 0 {
        let path = escape(&target.path().display().to_string());
        tracing::warn!(
            rows,
            "the journal holds results that the backup may not show: tickoff recover {path} --apply writes them, --discard gives them up and keeps them in a copy"
        );
    }
}

/// A backup, once it is whole: somebody may still be copying it to where it is.
fn read(target: &Target, backup: &Path, options: &Options) -> Result<Sheet> {
    whole::read(backup, options, |file| Snapshot::copy(target, file))
}

fn busy(target: &Target) -> Error {
    Error::Busy {
        path: target.path().to_owned(),
    }
}
