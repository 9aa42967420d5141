//! The one place where the sheet changes.
//!
//! A batch of operations is checked in the order of submission, coalesced per cell, made durable by
//! one journal frame, and published to readers; a checkpoint then makes everything durable visible
//! by one atomic rewrite. The two are separate calls, because durable and visible are separate
//! promises. Both run under the write lock, take in what other tickoff processes appended to the
//! journal, and a checkpoint merges what other programs did to the CSV before it replaces it.
//!
//! A half-written sheet is never taken as a base: a version that was changed in place has to have
//! rested for [`SETTLE`], and one that lost rows or does not parse for [`SETTLE_SUSPICIOUS`].

use std::collections::HashMap;
use std::fs::File;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use backon::{BlockingRetryable, ExponentialBuilder};
use chrono::{DateTime, Utc};

use crate::backup::{BackupManager, BackupMetadata};
use crate::error::{Error, InvalidValue, Result};
use crate::escape::escape;
use crate::index::RecordIndex;
use crate::journal::{CellUpdate, Frame, Head, Journal, News, RowUpdate};
use crate::lease::{Lease, Leased};
use crate::lock::{SessionLock, WriteGuard, WriteLock};
use crate::merge::{self, Conflict, Merged};
use crate::record::ProcessingStatus;
use crate::render;
use crate::replace::{self, Displaced, Publication, Replacement};
use crate::schema::addable;
use crate::sheet::{Options, Sheet};
use crate::snapshot::{Snapshot, unnamed_file};
use crate::target::Target;
use crate::update::WriteOperation;
use crate::version::{Look, Stamp, Version, hash_bytes};

/// How long a sheet that was changed in place must have rested before it is merged.
const SETTLE: Duration = Duration::from_millis(200);
/// The same for one that is empty, lost rows or does not parse, and for one that is gone.
const SETTLE_SUSPICIOUS: Duration = Duration::from_secs(2);
/// How long somebody who waits for *visible* waits for another program to let go of the sheet.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How long a displaced file is watched where no lease can be had.
const GRACE: Duration = Duration::from_secs(2);
/// A failed write is tried again this many times.
const RETRIES: usize = 3;

/// How far a checkpoint got.
pub(crate) enum Checkpoint {
    /// The public CSV shows all that is durable.
    Visible,
    /// Another program is at the sheet; try again soon.
    Later,
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
    /// Results whose row or column is not in the sheet.
    unplaced: Vec<RowUpdate>,
    /// Files with an edit that is not merged yet.
    displaced: Vec<Displaced>,
    /// Displaced files that somebody may still be writing to, where there are no leases.
    watched: Vec<(File, Stamp, Instant)>,
    missing_since: Option<Instant>,
    /// Since when checkpoints have been put off for another program.
    put_off_since: Option<Instant>,
    conflicts: Vec<Conflict>,
    /// The last checkpoint failed after all its retries; the next one tries only once.
    failing: bool,
    /// Whether this writer made anything durable.
    wrote: bool,
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
        for edit in replace::leftovers(&target)? {
            let kept = backups.keep_copy(&edit.file, "outside", &session_id)?;
            tracing::warn!(kept = %escape(&kept.display().to_string()), "another program's edit was found that a crash kept from being merged; it is kept in a copy");
            edit.remove(&target)?;
        }
        let (journal, left, frames) = Journal::open(&target, &options.key, session, &held)?;
        let (snapshot, public) = take_patiently(&target)?;
        let sheet = Sheet::build(snapshot, target.path(), options)?;
        let merged = merge::replay(&sheet, &frames);
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
            unplaced: merged.unplaced,
            displaced: Vec::new(),
            watched: Vec::new(),
            missing_since: None,
            put_off_since: None,
            conflicts: merged.conflicts,
            failing: false,
            wrote: false,
            writes: Writes::default(),
        };
        Ok((writer, recovery))
    }

    /// The sheet as readers see it, through every change of its base.
    pub(crate) fn sheet(&self) -> &Arc<ArcSwap<Sheet>> {
        &self.sheet
    }

    pub(crate) fn path(&self) -> &std::path::Path {
        self.target.path()
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

    /// Ends the writing of a handler that goes away, without waiting for anybody: what is not
    /// visible stays in the journal.
    pub(crate) fn close(&mut self) -> Result<()> {
        if self.behind || !self.wrote {
            return Ok(());
        }
        let held = self.lock.acquire()?;
        self.empty_journal(&held)
    }

    fn empty_journal(&mut self, held: &WriteGuard) -> Result<()> {
        self.catch_up()?;
        if self.behind || !self.journal.exists() {
            return Ok(());
        }
        if self.session.is_some() {
            return self.remove_journal();
        }
        let target = Arc::clone(&self.target);
        SessionLock::if_free(&target, held, || self.remove_journal()).map(drop)
    }

    /// Removes the journal; the results in it that have no place in the sheet are kept in a copy.
    fn remove_journal(&mut self) -> Result<()> {
        if !self.unplaced.is_empty() {
            let table = merge::as_table(&self.options.key, &self.unplaced);
            let mut file = unnamed_file(&self.target)?;
            file.write_all(&table)
                .map_err(Error::io("copy", self.target.path()))?;
            let kept = self
                .backups
                .keep_copy(&file, "unplaced", &self.session_id)?;
            tracing::warn!(kept = %escape(&kept.display().to_string()), "results whose rows another program took away are kept in a copy");
            self.unplaced.clear();
        }
        self.journal.remove()
    }

    /// Makes operations durable, all in one journal frame, and answers each of them.
    ///
    /// An operation that is refused changes nothing and does not keep the others from being
    /// written. If the journal cannot be written, none of them was applied.
    pub(crate) fn commit(&mut self, operations: &[&WriteOperation]) -> Vec<Result<()>> {
        let (answers, frame) = match self.begin(operations) {
            Ok((_held, answers, batch)) => {
                let Some(frame) = batch.into_frame(&self.sheet.load()) else {
                    return answers;
                };
                (answers, self.make_durable(frame))
            }
            Err(error) => (operations.iter().map(|_| Ok(())).collect(), Err(error)),
        };
        match frame {
            Ok(()) => answers,
            Err(error) => operations
                .iter()
                .zip(answers)
                .map(|(operation, answer)| {
                    answer.and(Err(Error::NotDurable {
                        po: operation.po_number.clone(),
                        source: Box::new(error.clone()),
                    }))
                })
                .collect(),
        }
    }

    fn begin(
        &mut self,
        operations: &[&WriteOperation],
    ) -> Result<(WriteGuard, Vec<Result<()>>, Batch)> {
        let held = self.lock.acquire()?;
        self.catch_up()?;
        let sheet = self.sheet.load();
        let now = Utc::now();
        let mut batch = Batch::default();
        let answers = operations
            .iter()
            .map(|operation| batch.add(&sheet, &self.options, operation, now))
            .collect();
        Ok((held, answers, batch))
    }

    fn make_durable(&mut self, frame: Frame) -> Result<()> {
        let mut first = true;
        let mut attempt = || {
            if std::mem::take(&mut first) {
                return self.journal.append(&frame);
            }
            let sheet = self.sheet.load();
            let so_far = Frame {
                at: frame.at,
                rows: merge::written(&sheet).collect(),
            };
            self.journal.start_over(vec![so_far, frame.clone()])
        };
        let retried = std::cell::Cell::new(0);
        let done = (&mut attempt)
            .retry(backoff(RETRIES))
            .notify(|error: &Error, _| {
                retried.set(retried.get() + 1);
                tracing::warn!(error = %error.chain(), "the journal could not be written, trying again");
            })
            .call();
        self.writes.retried += retried.get();
        done?;
        let sheet = self.sheet.load();
        let unplaced = merge::apply(&sheet, std::slice::from_ref(&frame));
        debug_assert!(
            unplaced.is_empty(),
            "every operation of a batch was found in the sheet"
        );
        self.behind = true;
        self.wrote = true;
        Ok(())
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
                self.behind = true;
            }
        }
        Ok(())
    }

    /// Brings the public CSV up to all that is durable. A failure is retried, each time as a
    /// complete new attempt; after the last one, everything is still in the journal.
    pub(crate) fn checkpoint(&mut self) -> Result<Checkpoint> {
        let retries = if self.failing { 0 } else { RETRIES };
        let retried = std::cell::Cell::new(0);
        let result = (|| self.attempt_unless_put_off())
            .retry(backoff(retries))
            .notify(|error: &Error, _| {
                retried.set(retried.get() + 1);
                tracing::warn!(error = %error.chain(), "the sheet could not be written, trying again");
            })
            .call();
        self.writes.retried += retried.get();
        if let Err(error) = &result
            && !self.failing
        {
            tracing::error!(error = %error.chain(), "the sheet could not be written; the results are kept in the journal");
        }
        self.failing = result.is_err();
        result
    }

    /// Checkpoints until all is visible, [`PATIENCE`] at most where another program is in the way.
    pub(crate) fn checkpoint_patiently(&mut self) -> Result<()> {
        let start = Instant::now();
        loop {
            match self.checkpoint()? {
                Checkpoint::Visible => return Ok(()),
                Checkpoint::Later if start.elapsed() >= PATIENCE => {
                    return Err(Error::Busy {
                        path: self.target.path().to_owned(),
                    });
                }
                Checkpoint::Later => std::thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    fn attempt_unless_put_off(&mut self) -> Result<Checkpoint> {
        let checkpoint = self.attempt()?;
        match checkpoint {
            Checkpoint::Visible => self.put_off_since = None,
            Checkpoint::Later => {
                self.put_off_since.get_or_insert_with(Instant::now);
            }
        }
        Ok(checkpoint)
    }

    fn attempt(&mut self) -> Result<Checkpoint> {
        let _held = self.lock.acquire()?;
        self.catch_up()?;
        if !self.merge_displaced()? {
            return Ok(Checkpoint::Later);
        }
        let gone = match self.public.look(&self.target)? {
            Look::Same => false,
            Look::Other(file, stamp) => {
                self.missing_since = None;
                if !self.merge_public(&file, stamp)? {
                    return Ok(Checkpoint::Later);
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
                    return Ok(Checkpoint::Later);
                }
                tracing::warn!("the sheet was deleted; it is written anew");
                true
            }
        };
        if !self.behind && !gone {
            return Ok(Checkpoint::Visible);
        }
        let sheet = self.sheet.load_full();
        let opened;
        let old = if gone {
            self.lock.file()
        } else {
            opened = self.target.open_sheet()?.0;
            &opened
        };
        let replacement = Replacement::write(
            &self.target,
            old,
            sheet.bytes().len() as u64,
            |out| render::render(&sheet, out),
            |written| render::verify(&sheet, written),
        )?;
        let publication = if gone {
            replacement.publish_anew()?
        } else {
            replacement.publish(&mut self.public)?
        };
        self.missing_since = None;
        match publication {
            Publication::Busy | Publication::Edited => return Ok(Checkpoint::Later),
            Publication::Displaced(version, edit) => {
                self.public = version;
                self.displaced.push(edit);
                return Ok(Checkpoint::Later);
            }
            Publication::Done(version, watch) => {
                self.public = version;
                if let Some(file) = watch {
                    let stamp = Stamp::of(
                        &file
                            .metadata()
                            .map_err(Error::io("read", self.target.path()))?,
                    );
                    self.watched.push((file, stamp, Instant::now()));
                }
            }
        }
        self.behind = false;
        self.writes.last = Some(Utc::now());
        if !sheet.schema().added().is_empty() {
            self.rebase_on_own_version(&sheet)?;
        }
        Ok(Checkpoint::Visible)
    }

    /// Ends the writing: all is visible, and the journal is emptied, unless a session of another
    /// process still needs it.
    pub(crate) fn finish(&mut self) -> Result<()> {
        if let Err(error) = self.checkpoint_patiently() {
            return Err(Error::NotVisible {
                path: self.target.path().to_owned(),
                source: Box::new(error),
            });
        }
        while !self.watched.is_empty() {
            std::thread::sleep(Duration::from_millis(20));
            self.checkpoint_patiently()?;
        }
        let held = self.lock.acquire()?;
        self.empty_journal(&held)
    }

    /// Empties a journal of which all is visible, and begins one for this session with space for
    /// its results.
    pub(crate) fn begin_session_journal(&mut self, resumed: bool, pending: usize) -> Result<()> {
        let held = self.lock.acquire()?;
        if !resumed {
            self.remove_journal()?;
            let session = Some(self.session_id.as_str());
            self.journal = Journal::open(&self.target, &self.options.key, session, &held)?.0;
        }
        self.journal.reserve(pending)
    }

    /// Adds rows at the sheet's end, visibly.
    pub(crate) fn append_rows(&mut self, rows: &[u8]) -> Result<()> {
        self.checkpoint_patiently()?;
        let held = self.lock.acquire()?;
        let sheet = self.sheet.load_full();
        let (old, _) = self.target.open_sheet()?;
        let mut end = Vec::new();
        if !sheet.bytes().ends_with(b"\n") {
            end.extend_from_slice(sheet.dialect().terminator);
        }
        end.extend_from_slice(rows);
        let replacement = Replacement::write(
            &self.target,
            &old,
            (sheet.bytes().len() + end.len()) as u64,
            |out| render::render(&sheet, out).and_then(|()| out.write_all(&end)),
            |written| match written.strip_suffix(end.as_slice()) {
                Some(before) => render::verify(&sheet, before),
                None => Err("the added rows are not at its end".into()),
            },
        )?;
        match replacement.publish(&mut self.public)? {
            Publication::Done(version, _) => self.public = version,
            Publication::Displaced(version, edit) => {
                self.public = version;
                self.displaced.push(edit);
            }
            Publication::Busy | Publication::Edited => {
                return Err(Error::Busy {
                    path: self.target.path().to_owned(),
                });
            }
        }
        self.rebase_on_own_version(&sheet)?;
        drop(held);
        self.checkpoint_patiently()
    }

    /// Backs up the public file as it is.
    pub(crate) fn back_up(&mut self, session: &str) -> Result<BackupMetadata> {
        let _held = self.lock.acquire()?;
        let (file, _) = self.target.open_sheet()?;
        self.backups
            .create_backup_of(&file, session, self.sheet.load().len())
    }

    /// Puts other contents in the sheet's place: a backup's.
    ///
    /// All results are visible and backed up before, so the journal is emptied first: a crash in
    /// between must not bring them back over the restored version.
    pub(crate) fn restore(&mut self, backup: &std::path::Path) -> Result<()> {
        self.checkpoint_patiently()?;
        let _held = self.lock.acquire()?;
        let source = File::open(backup).map_err(Error::io("open", backup))?;
        let snapshot = Snapshot::copy(&self.target, &source)?;
        let restored = Sheet::build(snapshot, backup, &self.options)?;
        self.remove_journal()?;
        let (old, _) = self.target.open_sheet()?;
        let replacement = Replacement::write(
            &self.target,
            &old,
            restored.bytes().len() as u64,
            |out| render::render(&restored, out),
            |written| render::verify(&restored, written),
        )?;
        match replacement.publish(&mut self.public)? {
            Publication::Done(version, _) => self.public = version,
            Publication::Displaced(version, edit) => {
                self.public = version;
                let kept = self
                    .backups
                    .keep_copy(&edit.file, "outside", &self.session_id)?;
                tracing::warn!(kept = %escape(&kept.display().to_string()), "another program changed the sheet during the restore; its version is kept in a copy");
                edit.remove(&self.target)?;
            }
            Publication::Busy | Publication::Edited => {
                return Err(Error::Busy {
                    path: self.target.path().to_owned(),
                });
            }
        }
        self.sheet.store(Arc::new(restored));
        self.behind = false;
        Ok(())
    }

    /// Takes in what other processes appended to the journal.
    fn catch_up(&mut self) -> Result<()> {
        match self.journal.catch_up()? {
            News::Frames(frames) if frames.is_empty() => {}
            News::Frames(frames) => {
                self.unplaced
                    .extend(merge::apply(&self.sheet.load(), &frames));
                self.behind = true;
            }
            News::Replaced(frames) => {
                let (snapshot, version) = take_patiently(&self.target)?;
                let sheet = Sheet::build(snapshot, self.target.path(), &self.options)?;
                self.unplaced = merge::apply(&sheet, &frames);
                self.behind = render::differs(&sheet);
                self.public = version;
                self.sheet.store(Arc::new(sheet));
            }
        }
        Ok(())
    }

    /// Takes the public file, which another program changed, as the new base. `false`: not yet.
    fn merge_public(&mut self, file: &File, stamp: Stamp) -> Result<bool> {
        let in_place = stamp.inode == self.public.stamp.inode;
        // A program that never rests may not put us off for ever: nobody has the file open now, and
        // whether it is whole is looked at below.
        let patient = self
            .put_off_since
            .is_none_or(|since| since.elapsed() < SETTLE_SUSPICIOUS);
        if in_place && patient && stamp.age() < SETTLE {
            return Ok(false);
        }
        let Some((snapshot, version)) = take(&self.target)? else {
            return Ok(false);
        };
        if version.stamp != stamp {
            return Ok(false);
        }
        if self.merge_version(snapshot, file, stamp.age())? {
            self.public = version;
            return Ok(true);
        }
        Ok(false)
    }

    /// Merges the edits in displaced files. `false`: somebody is still writing to one.
    fn merge_displaced(&mut self) -> Result<bool> {
        let mut touched = Vec::new();
        self.watched.retain(|(file, stamp, since)| {
            let edited = file
                .metadata()
                .is_ok_and(|now| !Stamp::of(&now).same_data(stamp));
            if edited {
                touched.extend(file.try_clone().ok());
            }
            !edited && since.elapsed() < GRACE
        });
        for file in touched {
            let snapshot = Snapshot::copy(&self.target, &file)?;
            self.merge_version(snapshot, &file, SETTLE_SUSPICIOUS)?;
        }
        while let Some(edit) = self.displaced.pop() {
            match self.merge_edit(&edit) {
                Ok(true) => edit.remove(&self.target)?,
                not_merged => {
                    self.displaced.push(edit);
                    return not_merged;
                }
            }
        }
        Ok(true)
    }

    /// Merges the edit in a displaced file. Until now the public file showed nothing of it, and its
    /// author may have gone on from there, so the edited cells go into the journal: a later version
    /// that shows what they held before did not mean to undo them.
    fn merge_edit(&mut self, edit: &Displaced) -> Result<bool> {
        let read = || Error::io("read", self.target.path());
        let age = Stamp::of(&edit.file.metadata().map_err(read())?).age();
        let quiet = match Lease::take(&edit.file) {
            Leased::Held(_) => !edit.in_place || age >= SETTLE,
            Leased::Refused => false,
            Leased::Unsupported => age >= SETTLE_SUSPICIOUS,
        };
        if !quiet {
            return Ok(false);
        }
        let old = self.sheet.load_full();
        let snapshot = Snapshot::copy(&self.target, &edit.file)?;
        if !self.merge_version(snapshot, &edit.file, age)? {
            return Ok(false);
        }
        let new = self.sheet.load_full();
        if Arc::ptr_eq(&old, &new) {
            return Ok(true);
        }
        if new.len() > old.len() || new.columns() != old.columns() {
            let kept = self
                .backups
                .keep_copy(&edit.file, "outside", &self.session_id)?;
            tracing::warn!(kept = %escape(&kept.display().to_string()), "another program added rows or columns while the sheet was replaced; a copy of its version is kept");
        }
        let rows = merge::edits(&old, &new);
        if !rows.is_empty() {
            self.make_durable(Frame {
                at: Utc::now(),
                rows,
            })?;
        }
        Ok(true)
    }

    /// Makes an outside version the base and brings everything that tickoff wrote to it; or keeps a
    /// copy of it, if it cannot be a base. `false`: it may be half written, try again later.
    fn merge_version(&mut self, snapshot: Snapshot, file: &File, age: Duration) -> Result<bool> {
        let old = self.sheet.load_full();
        let built = Sheet::build(snapshot, self.target.path(), &self.options);
        let suspicious = built
            .as_ref()
            .map_or(true, |new| new.progress().total < old.progress().total);
        if suspicious && age < SETTLE_SUSPICIOUS {
            return Ok(false);
        }
        self.behind = true;
        if suspicious {
            let kept = self.backups.keep_copy(file, "outside", &self.session_id)?;
            let why = built
                .as_ref()
                .map_or_else(Error::chain, |_| "it has fewer rows".into());
            tracing::warn!(%why, kept = %escape(&kept.display().to_string()), "another program wrote a suspicious version of the sheet; a copy is kept");
        }
        let Ok(new) = built else { return Ok(true) };
        let merged = merge::transfer(&old, &new, &self.unplaced);
        merge::log(&merged);
        self.adopt(new, merged);
        Ok(true)
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

/// Restores a backup over a file that cannot be read as a sheet. See [`crate::Session::restore`].
pub(crate) fn restore_over_unreadable(
    path: &std::path::Path,
    options: &Options,
    session: &str,
    backup: &std::path::Path,
) -> Result<BackupMetadata> {
    let target = Target::open(path)?;
    target.refuse_unsuitable(options.allow_network_fs)?;
    let held = WriteLock::open(&target)?;
    let held = held.acquire()?;
    let _session = SessionLock::acquire(&target, &held, session)?;
    let source = File::open(backup).map_err(Error::io("open", backup))?;
    let restored = Sheet::build(Snapshot::copy(&target, &source)?, backup, options)?;
    let (_, mut public) = take_patiently(&target)?;
    let (old, _) = target.open_sheet()?;
    let backups = BackupManager::new(target.path(), options.backup_dir.clone(), options.keep)?;
    let made = backups.create_backup_of(&old, session, 0)?;
    let replacement = Replacement::write(
        &target,
        &old,
        restored.bytes().len() as u64,
        |out| render::render(&restored, out),
        |written| render::verify(&restored, written),
    )?;
    match replacement.publish(&mut public)? {
        Publication::Done(..) => Ok(made),
        Publication::Displaced(_, edit) => {
            backups.keep_copy(&edit.file, "outside", session)?;
            edit.remove(&target)?;
            Ok(made)
        }
        Publication::Busy | Publication::Edited => Err(Error::Busy {
            path: target.path().to_owned(),
        }),
    }
}

/// The cells that a batch of operations comes to: the last value of each wins.
#[derive(Default)]
struct Batch {
    rows: Vec<BatchRow>,
    by_row: HashMap<RecordIndex, usize>,
}

struct BatchRow {
    po: String,
    status: ProcessingStatus,
    cells: Vec<(usize, String)>,
}

impl Batch {
    fn add(
        &mut self,
        sheet: &Sheet,
        options: &Options,
        operation: &WriteOperation,
        now: DateTime<Utc>,
    ) -> Result<()> {
        let po = operation.po_number.trim();
        let row = sheet
            .rows(po)
            .next()
            .ok_or_else(|| Error::UnknownPo { po: po.to_owned() })?;
        operation.updates.validate(po)?;
        let known = self.by_row.get(&row).copied();
        let from = known.map_or_else(|| sheet.status_at(row), |at| self.rows[at].status.clone());
        let to = operation.updates.new_status();
        if let Some(to) = &to
            && !operation.force
            && !from.may_become(to)
        {
            return Err(Error::Transition {
                po: po.to_owned(),
                from,
                to: to.clone(),
            });
        }
        let mut cells = Vec::new();
        for (name, value) in operation.updates.normalised(now).iter() {
            let named = operation.updates.get(name).is_some();
            if let Some(column) = column_for(sheet, options, name, value, named)? {
                if column == sheet.schema().key {
                    let column = name.trim().to_owned();
                    return Err(Error::InvalidValue {
                        po: po.to_owned(),
                        column,
                        reason: InvalidValue::Key,
                    });
                }
                cells.push((column, value.to_owned()));
            }
        }
        let at = known.unwrap_or_else(|| {
            self.by_row.insert(row, self.rows.len());
            self.rows.push(BatchRow {
                po: po.to_owned(),
                status: from,
                cells: Vec::new(),
            });
            self.rows.len() - 1
        });
        let batch_row = &mut self.rows[at];
        batch_row.status = to.unwrap_or_else(|| batch_row.status.clone());
        for (column, value) in cells {
            match batch_row
                .cells
                .iter_mut()
                .find(|(known, _)| *known == column)
            {
                Some(cell) => cell.1 = value,
                None => batch_row.cells.push((column, value)),
            }
        }
        Ok(())
    }

    fn into_frame(self, sheet: &Sheet) -> Option<Frame> {
        let schema = sheet.schema();
        let rows: Vec<RowUpdate> = self
            .rows
            .into_iter()
            .map(|BatchRow { po, cells, .. }| {
                let before = |column| {
                    let mut values: Vec<String> = sheet
                        .rows(&po)
                        .map(|row| sheet.cell(row, column).into_owned())
                        .collect();
                    values.dedup();
                    values
                };
                let cells = cells
                    .into_iter()
                    .map(|(column, value)| CellUpdate {
                        column: schema.columns()[column].clone(),
                        value,
                        before: before(column),
                        outside: false,
                    })
                    .collect();
                RowUpdate { po, cells }
            })
            .collect();
        (!rows.is_empty()).then(|| Frame {
            at: Utc::now(),
            rows,
        })
    }
}

/// Where a value goes. A column that the sheet lacks is added if it is one of the 14 and may be;
/// a value that only follows from the status is dropped where it has no place.
fn column_for(
    sheet: &Sheet,
    options: &Options,
    name: &str,
    value: &str,
    named: bool,
) -> Result<Option<usize>> {
    if let Some(column) = sheet.schema().position(name) {
        return Ok(Some(column));
    }
    match addable(name) {
        Some(_) if !named && (value.is_empty() || !options.add_columns) => Ok(None),
        Some(column) if options.add_columns => sheet.add_column(column).map(Some),
        _ => sheet.schema().require(name).map(Some),
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

fn take_patiently(target: &Target) -> Result<(Snapshot, Version)> {
    let start = Instant::now();
    loop {
        if let Some(taken) = take(target)? {
            return Ok(taken);
        }
        if start.elapsed() >= PATIENCE {
            return Err(Error::Busy {
                path: target.path().to_owned(),
            });
        }
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn backoff(retries: usize) -> ExponentialBuilder {
    ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(50))
        .with_max_times(retries)
}
