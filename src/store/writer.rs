//! The one place where the sheet changes.
//!
//! ```text
//! operations ─commit─▶ durable (one journal frame, readable) ─checkpoint─▶ visible (one atomic rewrite)
//!                          ▲                                      ▲
//! other processes' frames ─┴───────────── take_in ────────────────┴─ other programs' edits
//! ```
//!
//! Making durable and making visible are separate calls, because they are separate promises. Both run
//! under the write lock. A [`Writer`] consists of what it needs for either (the lock, the session, the
//! sheet, its site) and of three parts, each with its own invariants: what is [durable](Durable), what
//! came from [outside](Outside), and what is [visible](Visible). The flows between them are the other
//! files: `commit`, `checkpoint`, `take_in`, `append`, `restore`.

mod append;
mod batch;
mod checkpoint;
mod commit;
mod durable;
mod outside;
mod restore;
mod site;
mod take_in;
mod visible;

#[cfg(feature = "fuzzing")]
pub(crate) use batch::frame_of;
pub(crate) use checkpoint::{Checkpoint, checkpoint};
pub(crate) use restore::restore_unreadable;

use std::sync::Arc;

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};

use crate::backup::{BackupManager, BackupMetadata};
use crate::disk::{Replacement, SessionLock, Target, WriteLock};
use crate::error::{Error, Result};
use crate::journal::{Head, Journal, frame};
use crate::sheet::{Conflict, Options, Sheet, merge, render};
use crate::store::patience::patiently;

use durable::Durable;
use outside::{Outside, is_at_rest, take};
use site::Site;
use visible::Visible;

/// Everything that changing the sheet needs; whoever holds it writes.
pub(crate) struct Writer {
    site: Site,
    lock: WriteLock,
    /// Held if this writer belongs to a session.
    session: Option<SessionLock>,
    /// As readers see it, through every change of its base: the public version that is known, and over
    /// it everything that is durable.
    sheet: Arc<ArcSwap<Sheet>>,
    durable: Durable,
    outside: Outside,
    visible: Visible,
}

/// What was there when a sheet was opened for writing.
pub(crate) struct Recovery {
    /// The head of a journal that somebody left.
    pub(crate) left: Option<Head>,
    /// Rows whose results the CSV did not show.
    pub(crate) behind: usize,
}

/// Counts for `get_queue_status`.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Writes {
    pub(crate) retried: u64,
    pub(crate) last: Option<DateTime<Utc>>,
}

impl Writer {
    /// Opens a sheet for writing, with everything in its journal applied.
    ///
    /// `session` is the id of the session that is to be held, if one is.
    pub(crate) fn open(
        target: Arc<Target>,
        options: &Options,
        session: Option<&str>,
    ) -> Result<(Writer, Recovery)> {
        target.refuse_unsuitable(options.allow_network_fs)?;
        let lock = WriteLock::open(&target)?;
        let held = lock.acquire()?;
        let session_lock = session
            .map(|id| SessionLock::acquire(&target, &held, id))
            .transpose()?;
        Replacement::rehearse(&target)?;
        let site = Site::new(target, options, session)?;
        let mut first = Some(held);
        let (held, snapshot, public) = patiently(site.path(), || {
            let held = first.take().map_or_else(|| lock.acquire(), Ok)?;
            if !is_at_rest(&site.target, &held)? {
                return Ok(None);
            }
            Ok(take(&site.target)?.map(|(snapshot, public)| (held, snapshot, public)))
        })?;
        site.keep_leftovers()?;
        let (journal, left, frames) = Journal::open(&site.target, &options.key, session, &held)?;
        let sheet = site.build(snapshot)?;
        let merged = merge::replay(&sheet, frame::updates(&frames));
        merge::log(&merged);
        drop(held);
        let recovery = Recovery {
            left,
            behind: merged.behind,
        };
        let writer = Writer {
            site,
            lock,
            session: session_lock,
            durable: Durable::new(journal, merged.unplaced),
            outside: Outside::new(public, merged.conflicts),
            visible: Visible::new(render::differs(&sheet)),
            sheet: Arc::new(ArcSwap::from_pointee(sheet)),
        };
        Ok((writer, recovery))
    }

    /// The sheet as readers see it, through every change of its base.
    pub(crate) fn sheet(&self) -> &Arc<ArcSwap<Sheet>> {
        &self.sheet
    }

    pub(crate) fn target(&self) -> &Target {
        &self.site.target
    }

    pub(crate) fn backups(&self) -> &BackupManager {
        &self.site.backups
    }

    pub(crate) fn writes(&self) -> Writes {
        Writes {
            retried: self.durable.retried() + self.visible.retried(),
            last: self.visible.written_at(),
        }
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.visible.is_behind()
    }

    /// The conflicts with other programs since they were taken last.
    pub(crate) fn take_conflicts(&mut self) -> Vec<Conflict> {
        self.outside.take_conflicts()
    }

    /// Gives this session another id: that of the interrupted one which it continues.
    pub(crate) fn continue_session(&mut self, id: &str) -> Result<()> {
        id.clone_into(&mut self.site.session_id);
        self.session
            .as_mut()
            .map_or(Ok(()), |lock| lock.rename(&self.site.target, id))
    }

    /// Empties a journal of which all is visible, and begins one for this session with space for
    /// its results.
    pub(crate) fn begin_session_journal(&mut self, resumed: bool, pending: usize) -> Result<()> {
        self.when_all_is_visible(|writer, held| {
            if !resumed {
                writer.durable.begin_session(&writer.site, held)?;
            }
            writer.durable.reserve(pending).map(Some)
        })
    }

    /// Backs up the sheet with everything that is durable in it.
    pub(crate) fn back_up(&mut self, session: &str) -> Result<BackupMetadata> {
        self.when_all_is_visible(|writer, _| writer.copy_to_backup(session).map(Some))
    }

    /// The caller knows that the public file is the version that we know.
    fn copy_to_backup(&self, session: &str) -> Result<BackupMetadata> {
        let (file, _) = self.site.target.open_sheet()?;
        self.site
            .backups
            .create_backup_of(&file, session, self.sheet.load().len())
    }

    /// Ends the writing: all is visible, and the journal is emptied, unless a session of another
    /// process still needs it. Where there are no leases, the versions that were displaced last are
    /// watched to the end.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let finished = self
            .when_all_is_visible(|writer, _| writer.empty_journal().map(Some))
            .map_err(|error| Error::NotVisible {
                path: self.site.path().to_owned(),
                source: Box::new(error),
            });
        finished.and(self.outside.watch_to_the_end(&self.site))
    }

    /// The same for a handler that goes away, without waiting for anybody: what cannot be made
    /// visible at once stays in the journal.
    pub(crate) fn close(&mut self) -> Result<()> {
        let closed = match self.durable.wrote() {
            true => self.close_journal(),
            false => Ok(()),
        };
        closed.and(self.outside.watch_to_the_end(&self.site))
    }

    fn close_journal(&mut self) -> Result<()> {
        let held = self.lock.acquire()?;
        match self.checkpoint_under(&held)? {
            Checkpoint::Visible => self.empty_journal(),
            Checkpoint::Later => Ok(()),
        }
    }

    /// Empties a journal of which all is visible in the public file as it is now. One that a session
    /// began is left to sessions: to the one that is alive, or to the next, which thereby knows that
    /// it goes on after an interrupted one, and keeps that one's backup.
    fn empty_journal(&mut self) -> Result<()> {
        if self.durable.has_log() && (self.session.is_some() || !self.durable.is_of_session()) {
            self.durable.empty(&self.site)?;
        }
        Ok(())
    }
}
