//! The one place where the sheet changes.
//!
//! A batch of operations is checked in the order of submission, coalesced per cell, made durable by
//! one journal frame, and published to readers; a checkpoint then makes everything durable visible
//! by one atomic rewrite. The two are separate calls, because durable and visible are separate
//! promises. Both run under the write lock, take in what other tickoff processes appended to the
//! journal, and a checkpoint merges what other programs did to the CSV before it replaces it. While a
//! checkpoint writes the new version, which takes long for a large sheet, it holds nothing: what
//! becomes durable meanwhile is for the next one.
//!
//! A half-written sheet is never taken as a base: a version that was changed in place has to have
//! rested for [`SETTLE`], and one that lost rows or does not parse for [`SETTLE_SUSPICIOUS`].

mod batch;
mod outside;
mod restore;

use batch::Batch;
#[cfg(feature = "fuzzing")]
pub(crate) use batch::frame_of;
use outside::Unmerged;
pub(crate) use restore::restore_unreadable;

use std::fs::File;
use std::io::Write as _;
use std::sync::{Arc, MutexGuard};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};

use crate::backup::manager::{BackupManager, BackupMetadata};
use crate::disk::lock::{SessionLock, WriteGuard, WriteLock};
use crate::disk::replace::{self, Publication, Replacement};
use crate::disk::snapshot::{Snapshot, scratch_file};
use crate::disk::target::Target;
use crate::disk::version::{Look, Rest, Stamp, Version, hash_bytes};
use crate::domain::time::format_timestamp;
use crate::error::{Error, Result};
use crate::journal::log::{self, Frame, Head, Journal, News};
use crate::sheet::change::RowUpdate;
use crate::sheet::merge::{self, Conflict, Merged};
use crate::sheet::options::Options;
use crate::sheet::render::{self, Next};
use crate::sheet::table::Sheet;
use crate::sheet::update::WriteOperation;
use crate::store::patience::{RETRIES, again, patiently};
use crate::sys::lease::{Lease, Leased};
use crate::text::escape::escape;

/// How long a sheet that was changed in place must have rested before it is merged.
const SETTLE: Duration = Duration::from_millis(200);
/// The same for one that is empty, lost rows or does not parse, and for one that is gone.
const SETTLE_SUSPICIOUS: Duration = Duration::from_secs(2);
/// How long a displaced file is watched where no lease can be had.
const GRACE: Duration = Duration::from_millis(300);
/// How many results a frame holds at most when a log is started over.
const ROWS_PER_FRAME: usize = 10_000;

const NOT_WRITTEN: &str = "the sheet could not be written";

/// How far a checkpoint got.
pub(crate) enum Checkpoint {
    /// The public CSV shows all that is durable.
    Visible,
    /// Another program is at the sheet; try again soon.
    Later,
}

/// A new version of the sheet between its two ends. It is begun and published under the write lock, and
/// written without any: nobody knows of its file until then.
struct Rewrite {
    target: Arc<Target>,
    /// Whose owner, mode and attributes it gets.
    like: File,
    next: Next,
    /// The public version; `None` if it was deleted.
    replaces: Option<Version>,
    /// [`Writer::changes`] that are in it.
    changes: u64,
}

impl Rewrite {
    fn write(&self) -> Result<Replacement<'_>> {
        Replacement::write(
            &self.target,
            &self.like,
            self.next.sheet().bytes().len() as u64,
            |out| self.next.render(out),
            |written| self.next.verify(written),
        )
    }
}

enum Begun {
    Rewrite(Rewrite),
    /// There is nothing to write, or it cannot be begun.
    Nothing(Checkpoint),
}

/// Brings the public CSV up to all that was durable when it began, and holds the writer only at the
/// beginning and at the end; results are made durable meanwhile. A failure is retried, each time as a
/// complete new attempt; after the last one, everything is still in the journal.
pub(crate) fn checkpoint<'w>(
    writer: impl Fn() -> Result<MutexGuard<'w, Writer>>,
) -> Result<Checkpoint> {
    let retries = writer()?.retries();
    let (result, retried) = again(retries, NOT_WRITTEN, || {
        let rewrite = {
            let mut writer = writer()?;
            let held = writer.lock.acquire()?;
            match writer.begin_rewrite(&held)? {
                Begun::Rewrite(rewrite) => rewrite,
                Begun::Nothing(checkpoint) => return Ok(checkpoint),
            }
        };
        let replacement = rewrite.write()?;
        // Its contents are compared now, if they have to be, and not under the lock.
        let seen = match rewrite.replaces {
            Some(mut version) => match version.look(&rewrite.target)? {
                Look::Same => Some(version),
                Look::Other(..) | Look::Missing => return Ok(Checkpoint::Later),
            },
            None => None,
        };
        let mut writer = writer()?;
        let held = writer.lock.acquire()?;
        if let Some(seen) = seen
            && rewrite
                .replaces
                .is_some_and(|version| version.stamp == writer.public.stamp)
        {
            writer.public = seen;
        }
        writer.publish(&rewrite, replacement, &held)
    });
    writer()?.note(&result, retried);
    result
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

/// Everything that changing the sheet needs; whoever holds it writes.
pub(crate) struct Writer {
    target: Arc<Target>,
    options: Options,
    lock: WriteLock,
    /// Held if this writer belongs to a session.
    session: Option<SessionLock>,
    session_id: String,
    sheet: Arc<ArcSwap<Sheet>>,
    journal: Journal,
    backups: BackupManager,
    /// The version that we read or wrote last.
    public: Version,
    /// Whether something durable is not visible.
    behind: bool,
    /// How often that has begun to be so.
    changes: u64,
    /// Results whose row or column is not in the sheet.
    unplaced: Vec<RowUpdate>,
    displaced: Vec<Unmerged>,
    /// Displaced files that somebody may still be writing to, where there are no leases.
    watched: Vec<(File, Stamp, Instant)>,
    missing_since: Option<Instant>,
    /// How long the version of another program that was looked at last has been left alone.
    rest: Rest,
    /// Since when checkpoints have been put off for another program.
    put_off_since: Option<Instant>,
    conflicts: Vec<Conflict>,
    /// The last checkpoint failed after all its retries; the next one tries only once.
    failing: bool,
    /// The same for the journal.
    journal_failing: bool,
    /// Whether this writer made anything durable.
    wrote: bool,
    /// Somebody emptied the log: base and overlay are older than what is public.
    stale: bool,
    writes: Writes,
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
        let backups = BackupManager::new(target.path(), options.backup_dir.clone(), options.keep)?;
        let session_id = session.unwrap_or("no-session").to_owned();
        let mut first = Some(held);
        let (held, snapshot, public) = patiently(target.path(), || {
            let held = first.take().map_or_else(|| lock.acquire(), Ok)?;
            Ok(take(&target)?.map(|(snapshot, public)| (held, snapshot, public)))
        })?;
        for edit in replace::leftovers(&target)? {
            let kept = backups.keep_copy(&edit.file, "outside", &session_id)?;
            tracing::warn!(kept = %escape(&kept.display().to_string()), "another program's edit was found that a crash kept from being merged; it is kept in a copy");
            edit.remove(&target)?;
        }
        let (journal, left, frames) = Journal::open(&target, &options.key, session, &held)?;
        let sheet = Sheet::build(snapshot, target.path(), options)?;
        let merged = merge::replay(&sheet, log::updates(&frames));
        merge::log(&merged);
        let behind = render::differs(&sheet);
        drop(held);
        let recovery = Recovery {
            left,
            behind: merged.behind,
        };
        let writer = Writer {
            target,
            options: options.clone(),
            lock,
            session: session_lock,
            session_id,
            sheet: Arc::new(ArcSwap::from_pointee(sheet)),
            journal,
            backups,
            public,
            behind,
            changes: 0,
            unplaced: merged.unplaced,
            displaced: Vec::new(),
            watched: Vec::new(),
            missing_since: None,
            rest: Rest::default(),
            put_off_since: None,
            conflicts: merged.conflicts,
            failing: false,
            journal_failing: false,
            wrote: false,
            stale: false,
            writes: Writes::default(),
        };
        Ok((writer, recovery))
    }

    /// The sheet as readers see it, through every change of its base.
    pub(crate) fn sheet(&self) -> &Arc<ArcSwap<Sheet>> {
        &self.sheet
    }

    pub(crate) fn target(&self) -> &Target {
        &self.target
    }

    pub(crate) fn backups(&self) -> &BackupManager {
        &self.backups
    }

    pub(crate) fn writes(&self) -> Writes {
        self.writes
    }

    pub(crate) fn is_behind(&self) -> bool {
        self.behind
    }

    /// The conflicts with other programs since they were taken last.
    pub(crate) fn take_conflicts(&mut self) -> Vec<Conflict> {
        std::mem::take(&mut self.conflicts)
    }

    /// Gives this session another id: that of the interrupted one which it continues.
    pub(crate) fn continue_session(&mut self, id: &str) -> Result<()> {
        id.clone_into(&mut self.session_id);
        self.session
            .as_mut()
            .map_or(Ok(()), |lock| lock.rename(&self.target, id))
    }

    /// Ends the writing: all is visible, and the journal is emptied, unless a session of another
    /// process still needs it.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let target = Arc::clone(&self.target);
        patiently(target.path(), || {
            self.look_at_watched()?;
            Ok(self.watched.is_empty().then_some(()))
        })?;
        self.when_all_is_visible(|writer, _| writer.empty_journal().map(Some))
            .map_err(|error| Error::NotVisible {
                path: self.target.path().to_owned(),
                source: Box::new(error),
            })
    }

    /// The same for a handler that goes away, without waiting for anybody: what cannot be made
    /// visible at once stays in the journal.
    pub(crate) fn close(&mut self) -> Result<()> {
        if !self.wrote {
            return Ok(());
        }
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
        if self.journal.exists() && (self.session.is_some() || !self.journal.is_of_session()) {
            self.remove_journal()?;
        }
        Ok(())
    }

    /// Removes the journal; the results in it that have no place in the sheet are kept in a copy.
    fn remove_journal(&mut self) -> Result<()> {
        if !self.unplaced.is_empty() {
            let table = merge::as_table(&self.options.key, &self.unplaced);
            let mut file = scratch_file(&self.target)?;
            file.write_all(&table)
                .map_err(Error::io("copy", self.target.path()))?;
            let kept = self
                .backups
                .keep_copy(&file, "unplaced", &self.session_id)?;
            tracing::warn!(kept = %escape(&kept.display().to_string()), "results whose rows another program took away are kept in a copy");
            self.unplaced.clear();
        }
        again(RETRIES, "the journal could not be removed", || {
            self.journal.remove()
        })
        .0
    }

    /// Makes operations durable, all in one journal frame, and answers each of them.
    ///
    /// An operation that is refused changes nothing and does not keep the others from being
    /// written. If the journal cannot be written, none of them was applied; if that is for want of
    /// room, each gets a frame of its own, because some of them may find it.
    pub(crate) fn commit(&mut self, operations: &[&WriteOperation]) -> Vec<Result<()>> {
        let (answers, error) = match self.commit_together(operations) {
            (answers, Ok(())) => return answers,
            (answers, Err(error)) => (answers, error),
        };
        if operations.len() > 1 && error.is_for_want_of_room() && !self.journal.is_tainted() {
            return operations
                .iter()
                .flat_map(|&operation| self.commit(&[operation]))
                .collect();
        }
        operations
            .iter()
            .zip(answers)
            .map(|(operation, answer)| {
                answer.and(Err(Error::NotDurable {
                    po: operation.po_number.clone(),
                    source: Box::new(error.clone()),
                }))
            })
            .collect()
    }

    /// The answers that do not depend on the journal, and what came of the frame.
    fn commit_together(&mut self, operations: &[&WriteOperation]) -> (Vec<Result<()>>, Result<()>) {
        match self.begin(operations) {
            Ok((_held, answers, batch)) => match batch.into_frame() {
                Some(frame) => (answers, self.make_durable(frame)),
                None => (answers, Ok(())),
            },
            Err(error) => (operations.iter().map(|_| Ok(())).collect(), Err(error)),
        }
    }

    fn begin(
        &mut self,
        operations: &[&WriteOperation],
    ) -> Result<(WriteGuard, Vec<Result<()>>, Batch)> {
        let target = Arc::clone(&self.target);
        let held = patiently(target.path(), || {
            let held = self.lock.acquire()?;
            match self.catch_up() {
                Ok(()) => Ok(Some(held)),
                Err(Error::Busy { .. }) => Ok(None),
                Err(error) => Err(error),
            }
        })?;
        let sheet = self.sheet.load();
        let now = format_timestamp(Utc::now());
        let mut batch = Batch::with_capacity(operations.len());
        let answers = operations
            .iter()
            .map(|operation| batch.add(&sheet, &self.options, operation, &now))
            .collect();
        Ok((held, answers, batch))
    }

    fn make_durable(&mut self, frame: Frame) -> Result<()> {
        let mut attempt = || {
            if !self.journal.is_tainted() {
                return self.journal.append(&frame);
            }
            let sheet = self.sheet.load();
            let rows: Vec<RowUpdate> = merge::written(&sheet)
                .chain(self.unplaced.iter().cloned())
                .collect();
            let at = frame.at;
            let mut frames: Vec<Frame> = rows
                .chunks(ROWS_PER_FRAME)
                .map(|rows| Frame {
                    at,
                    rows: rows.to_vec(),
                })
                .collect();
            frames.push(frame.clone());
            self.journal.start_over(&frames)
        };
        let retries = if self.journal_failing { 0 } else { RETRIES };
        let (done, retried) = again(retries, "the journal could not be written", &mut attempt);
        self.writes.retried += retried;
        if let Err(error) = &done
            && !self.journal_failing
        {
            tracing::error!(
                error = %error.chain(),
                needed_bytes = self.journal.wanted_bytes(),
                "the journal could not be written"
            );
        }
        self.journal_failing = done.is_err();
        done?;
        let sheet = self.sheet.load();
        let unplaced = merge::apply(&sheet, &frame.rows);
        debug_assert!(
            unplaced.is_empty(),
            "every row of a frame of ours is in the sheet"
        );
        self.fall_behind();
        self.wrote = true;
        Ok(())
    }

    fn fall_behind(&mut self) {
        self.behind = true;
        self.changes += 1;
    }

    /// Adds columns behind the header, if they are missing. The next checkpoint makes them visible.
    ///
    /// # Errors
    /// [`Error::Malformed`] if a surplus field would slide under one of them.
    pub(crate) fn add_columns(&mut self, names: &[&str]) -> Result<()> {
        let sheet = self.sheet.load_full();
        for name in names {
            if sheet.schema().position(name).is_none() {
                sheet.add_column(name)?;
                self.fall_behind();
            }
        }
        Ok(())
    }

    /// Brings the public CSV up to all that is durable. A failure is retried, each time as a
    /// complete new attempt; after the last one, everything is still in the journal.
    fn checkpoint(&mut self) -> Result<Checkpoint> {
        let (result, retried) = again(self.retries(), NOT_WRITTEN, || {
            let held = self.lock.acquire()?;
            self.checkpoint_under(&held)
        });
        self.note(&result, retried);
        result
    }

    fn retries(&self) -> usize {
        if self.failing { 0 } else { RETRIES }
    }

    /// Remembers what came of a checkpoint.
    fn note(&mut self, result: &Result<Checkpoint>, retried: u64) {
        self.writes.retried += retried;
        if let Err(error) = result
            && !self.failing
        {
            tracing::error!(error = %error.chain(), "the sheet could not be written; the results are kept in the journal");
        }
        self.failing = result.is_err();
        match result {
            Ok(Checkpoint::Visible) => self.put_off_since = None,
            Ok(Checkpoint::Later) => {
                self.put_off_since.get_or_insert_with(Instant::now);
            }
            Err(_) => {}
        }
    }

    /// Acts on the sheet while everything durable is visible and the public file is the version that
    /// we know; both were seen under the hold of the write lock under which `act` runs. `act` gives
    /// `None` if another program came in between, and is tried again, as long as patience lasts.
    fn when_all_is_visible<T>(
        &mut self,
        mut act: impl FnMut(&mut Self, &WriteGuard) -> Result<Option<T>>,
    ) -> Result<T> {
        let target = Arc::clone(&self.target);
        patiently(target.path(), || {
            if let Checkpoint::Later = self.checkpoint()? {
                return Ok(None);
            }
            let held = self.lock.acquire()?;
            match self.checkpoint_under(&held)? {
                Checkpoint::Visible => act(self, &held),
                Checkpoint::Later => Ok(None),
            }
        })
    }

    /// Checkpoints until all is visible, as long as patience lasts where another program is in the way.
    pub(crate) fn checkpoint_patiently(&mut self) -> Result<()> {
        self.when_all_is_visible(|_, _| Ok(Some(())))
    }

    /// One attempt at it. [`Checkpoint::Visible`] says, besides, that the public file is the version
    /// that we know.
    fn checkpoint_under(&mut self, held: &WriteGuard) -> Result<Checkpoint> {
        let rewrite = match self.begin_rewrite(held)? {
            Begun::Rewrite(rewrite) => rewrite,
            Begun::Nothing(checkpoint) => return Ok(checkpoint),
        };
        let replacement = rewrite.write()?;
        self.publish(&rewrite, replacement, held)
    }

    /// Takes in what others did, and plans the version that is to replace the public one.
    fn begin_rewrite(&mut self, _held: &WriteGuard) -> Result<Begun> {
        let later = Ok(Begun::Nothing(Checkpoint::Later));
        match self.catch_up() {
            Ok(()) => {}
            Err(Error::Busy { .. }) => return later,
            Err(error) => return Err(error),
        }
        self.look_at_watched()?;
        if !self.merge_displaced()? {
            return later;
        }
        // A version that is to be replaced is compared once more before it is.
        let look = match self.behind && self.public.glance(&self.target)? {
            true => Look::Same,
            false => self.public.look(&self.target)?,
        };
        let is_gone = match look {
            Look::Same => {
                self.missing_since = None;
                false
            }
            Look::Other(file, stamp) => {
                self.missing_since = None;
                if !self.merge_public(&file, stamp)? {
                    return later;
                }
                false
            }
            Look::Missing => {
                if self
                    .missing_since
                    .get_or_insert_with(Instant::now)
                    .elapsed()
                    < SETTLE_SUSPICIOUS
                {
                    return later;
                }
                tracing::warn!("the sheet was deleted; it is written anew");
                true
            }
        };
        if !self.behind && !is_gone {
            return Ok(Begun::Nothing(Checkpoint::Visible));
        }
        let like = match is_gone {
            true => self.lock.file().try_clone(),
            false => Ok(self.target.open_sheet()?.0),
        };
        Ok(Begun::Rewrite(Rewrite {
            target: Arc::clone(&self.target),
            like: like.map_err(Error::io("open", self.target.path()))?,
            next: Next::of(&self.sheet.load_full()),
            replaces: (!is_gone).then_some(self.public),
            changes: self.changes,
        }))
    }

    /// Puts a version that was planned into the place of the one that was public then. If anything
    /// has come in between but results, which are for the next one, it is planned anew.
    fn publish(
        &mut self,
        rewrite: &Rewrite,
        replacement: Replacement<'_>,
        _held: &WriteGuard,
    ) -> Result<Checkpoint> {
        match self.catch_up() {
            Ok(()) => {}
            Err(Error::Busy { .. }) => return Ok(Checkpoint::Later),
            Err(error) => return Err(error),
        }
        let before = self.public.stamp;
        let sheet = self.sheet.load_full();
        let replaces = rewrite.replaces;
        if !Arc::ptr_eq(&sheet, rewrite.next.sheet())
            || replaces.is_some_and(|version| version.hash != self.public.hash)
        {
            return Ok(Checkpoint::Later);
        }
        let publication = match replaces {
            None => replacement.publish_anew()?,
            Some(_) => replacement.publish(&mut self.public)?,
        };
        self.missing_since = None;
        match publication {
            Publication::Busy | Publication::Edited => return Ok(Checkpoint::Later),
            Publication::Displaced(version, edit) => {
                self.public = version;
                self.displaced.push(Unmerged::new(edit, &sheet));
                return Ok(Checkpoint::Later);
            }
            Publication::Done(version, watch) => {
                self.public = version;
                if let Some(file) = watch {
                    self.watched.push((file, before, Instant::now()));
                }
            }
        }
        self.behind = self.changes != rewrite.changes;
        self.writes.last = Some(Utc::now());
        if rewrite.next.has_added_columns() {
            self.rebase_on_own_version(&sheet)?;
        }
        Ok(Checkpoint::Visible)
    }

    /// Empties a journal of which all is visible, and begins one for this session with space for
    /// its results.
    pub(crate) fn begin_session_journal(&mut self, resumed: bool, pending: usize) -> Result<()> {
        self.when_all_is_visible(|writer, held| {
            if !resumed {
                writer.remove_journal()?;
                let session = Some(writer.session_id.as_str());
                writer.journal =
                    Journal::open(&writer.target, &writer.options.key, session, held)?.0;
            }
            writer.journal.reserve(pending).map(Some)
        })
    }

    /// Adds rows at the sheet's end, visibly.
    pub(crate) fn append_rows(&mut self, rows: &[u8]) -> Result<()> {
        self.when_all_is_visible(|writer, _| {
            let sheet = writer.sheet.load_full();
            let next = Next::of(&sheet);
            let (old, _) = writer.target.open_sheet()?;
            let mut end = Vec::new();
            if !sheet.bytes().ends_with(b"\n") {
                end.extend_from_slice(sheet.dialect().terminator);
            }
            end.extend_from_slice(rows);
            let replacement = Replacement::write(
                &writer.target,
                &old,
                (sheet.bytes().len() + end.len()) as u64,
                |out| next.render(out).and_then(|()| out.write_all(&end)),
                |written| match written.strip_suffix(end.as_slice()) {
                    Some(before) => next.verify(before),
                    None => Err("the added rows are not at its end".into()),
                },
            )?;
            // The version that we know stays the old one: the next checkpoint finds the new one
            // like another program's, and makes it the base with its rows.
            match replacement.publish(&mut writer.public)? {
                Publication::Done(..) => Ok(Some(())),
                Publication::Displaced(_, edit) => {
                    writer.displaced.push(Unmerged::new(edit, &sheet));
                    Ok(Some(()))
                }
                Publication::Busy | Publication::Edited => Ok(None),
            }
        })?;
        self.checkpoint_patiently()
    }

    /// Backs up the sheet with everything that is durable in it.
    pub(crate) fn back_up(&mut self, session: &str) -> Result<BackupMetadata> {
        self.when_all_is_visible(|writer, _| writer.copy_to_backup(session).map(Some))
    }

    /// The caller knows that the public file is the version that we know.
    fn copy_to_backup(&self, session: &str) -> Result<BackupMetadata> {
        let (file, _) = self.target.open_sheet()?;
        self.backups
            .create_backup_of(&file, session, self.sheet.load().len())
    }

    /// Takes in what other processes wrote through the journal.
    ///
    /// # Errors
    /// [`Error::Busy`] if the sheet has to be read anew and somebody is writing to it; what was
    /// known before is not used again until it has been read.
    fn catch_up(&mut self) -> Result<()> {
        let frames = match self.journal.catch_up()? {
            News::Frames(frames) => frames,
            News::Replaced => {
                self.stale = true;
                Vec::new()
            }
            // A log may have come and gone since we looked; then the sheet shows what was in it.
            News::Unknown(frames) => {
                self.stale |= matches!(self.public.look(&self.target)?, Look::Other(..));
                frames
            }
        };
        if self.stale {
            return self.read_anew();
        }
        if !frames.is_empty() {
            self.unplaced
                .extend(merge::apply(&self.sheet.load(), log::updates(&frames)));
            self.fall_behind();
        }
        Ok(())
    }

    /// Forgets what was known: all of it was made visible by somebody else, who emptied the log.
    fn read_anew(&mut self) -> Result<()> {
        let frames = self.journal.load()?.1;
        let busy = || Error::Busy {
            path: self.target.path().to_owned(),
        };
        let (snapshot, version) = take(&self.target)?.ok_or_else(busy)?;
        let built = Sheet::build(snapshot, self.target.path(), &self.options);
        if outside::is_suspicious(&built, &self.sheet.load())
            && self.rest.of(&version.stamp) < SETTLE_SUSPICIOUS
        {
            return Err(busy());
        }
        let sheet = built?;
        self.displaced.iter_mut().for_each(Unmerged::lose_its_base);
        self.unplaced = merge::apply(&sheet, log::updates(&frames));
        self.behind = render::differs(&sheet);
        self.public = version;
        self.sheet.store(Arc::new(sheet));
        self.stale = false;
        Ok(())
    }

    fn adopt(&mut self, new: Sheet, merged: Merged) {
        self.behind = render::differs(&new);
        self.unplaced = merged.unplaced;
        self.conflicts.extend(merged.conflicts);
        self.sheet.store(Arc::new(new));
    }

    /// After columns were added, the version that has them becomes the base, so that later rewrites
    /// copy rows instead of padding them again.
    fn rebase_on_own_version(&mut self, old: &Sheet) -> Result<()> {
        let Some((snapshot, version)) = take(&self.target)? else {
            return Ok(());
        };
        if version.hash != self.public.hash {
            return Ok(());
        }
        let new = Sheet::build(snapshot, self.target.path(), &self.options)?;
        let merged = merge::transfer(old, &new, &self.unplaced);
        self.public = version;
        self.adopt(new, merged);
        Ok(())
    }
}

/// A private copy of the public file as it is. `None`: somebody is writing to it.
fn take(target: &Target) -> Result<Option<(Snapshot, Version)>> {
    let (file, metadata) = target.open_sheet()?;
    let stamp = Stamp::of(&metadata);
    let _lease = match Lease::take(&file) {
        Leased::Refused => return Ok(None),
        Leased::Held(lease) => Some(lease),
        Leased::Unsupported => None,
    };
    let looked_at = SystemTime::now();
    let snapshot = Snapshot::copy(target, &file)?;
    let after = file.metadata().map_err(Error::io("read", target.path()))?;
    let version = Version::new(stamp, hash_bytes(&snapshot), looked_at);
    Ok((Stamp::of(&after) == stamp).then_some((snapshot, version)))
}
