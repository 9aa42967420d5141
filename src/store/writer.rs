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
//! files: `commit`, `checkpoint`, `take_in`, `append`, `back_up`, `restore`. `number` comes before there is a
//! writer: it makes the keys by which one writes.

mod append;
mod back_up;
mod batch;
mod checkpoint;
mod commit;
mod durable;
mod known_results;
mod letters;
mod number;
mod outside;
mod overtaken;
mod rescue;
mod restore;
mod site;
mod take_in;
mod taken_back;
mod typed;
mod visible;

#[cfg(feature = "fuzzing")]
pub(crate) use batch::frame_of;
pub(crate) use checkpoint::{Checkpoint, checkpoint};
pub(crate) use number::number_rows;
pub(crate) use rescue::{RESCUED, Rescued};
pub(crate) use restore::restore_unreadable;

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::{Arc, MutexGuard};

use arc_swap::ArcSwap;
use chrono::{DateTime, Utc};

use crate::backup::BackupManager;
use crate::disk::link;
use crate::disk::{
    Look, Replacement, SessionLock, Snapshot, Stamp, Target, Version, WriteGuard, WriteLock,
    is_in_session, take,
};
use crate::error::{Error, Result};
use crate::journal::{Frame, Journal, Left, frame};
use crate::sheet::merge::{self, Merged};
use crate::sheet::render::{self, Next};
use crate::sheet::{Conflict, History, Options, RowUpdate, Sheet, bring};
use crate::store::fitness;
use crate::store::left_behind::{self, Found};
use crate::store::patience::patiently;
use crate::store::renamed_key::key_before;
use crate::store::standing::{Standing, lacks_places, standing};
use crate::store::whole::Settling;
use crate::sys::place;
use crate::text::{Escaped, escape, escape_list};

use durable::Durable;
use letters::Letters;
use outside::Outside;
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
    letters: Letters,
}

/// What was there when a sheet was opened for writing.
pub(crate) struct Recovery {
    /// The journal that somebody left.
    pub(crate) left: Option<Left>,
    /// Rows whose results the CSV did not show.
    pub(crate) behind: usize,
    /// Nobody else had changed the sheet.
    pub(crate) is_as_left: bool,
    /// About how much a person decided, if it was asked.
    pub(crate) decided: Option<Decided>,
    /// What a session that died last told of itself.
    pub(crate) told: Option<String>,
}

/// About how much a person decided.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Decided {
    /// How many keys have results that the sheet did not show: as many as were asked about.
    pub rows: usize,
    /// How many of these keys have no row in the sheet.
    pub without_row: usize,
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
        judged: Judged<'_>,
    ) -> Result<(Writer, Recovery)> {
        fitness::refuse_place(&target, options)?;
        if let Some(problem) = target.not_promised() {
            tracing::warn!("{} {problem}", Escaped::path(target.path()));
        }
        if session.is_some() && !place::tells_of_processes() {
            tracing::warn!(
                "there is no /proc: who holds a lock, and what commands leave behind, is not seen"
            );
        }
        if target.has_hard_links()? {
            tracing::warn!(path = %escape(&target.path().display().to_string()), "the sheet has several hard links; the others keep the old version");
        }
        let lock = WriteLock::open(&target)?;
        let held = lock.acquire()?;
        let session_lock = session
            .map(|id| SessionLock::acquire(&target, &held, id))
            .transpose()?;
        patiently(target.path(), || Replacement::rehearse(&target).map(Some))?;
        let options = &Options {
            key: Journal::key_as_in_log(&target, &options.key)?,
            ..options.clone()
        };
        let mut site = Site::new(target, options, session)?;
        let mut first = Some(held);
        let mut settling = Settling::default();
        let (held, read, public) = patiently(site.path(), || {
            let held = first.take().map_or_else(|| lock.acquire(), Ok)?;
            let (_, metadata) = site.target.open_sheet()?;
            if !settling.may_be_whole(&Stamp::of(&metadata)) {
                return Ok(None);
            }
            let Some((snapshot, public)) = take(&site.target)? else {
                return Ok(None);
            };
            let read = site.build(snapshot);
            let is_whole = settling.is_whole(&public.stamp, &read);
            Ok(is_whole.then_some((held, read, public)))
        })?;
        site.keep_leftovers()?;
        if let Ok(sheet) = &read {
            site.options.key = sheet.options().key.clone();
        }
        let has_session = session_lock.is_some();
        let (mut journal, mut left, mut frames) = match &read {
            Ok(sheet) => open_journal(&site, sheet, has_session, &held)?,
            Err(_) => Journal::open(&site.target, site.options.form(), &[], &held)?,
        };
        let sheet = read?;
        // Also where that was typed, a save as UTF-8 from now on would get results in other letters.
        site.options.refuse_utf8 |= sheet.looks_like_utf8().is_none();
        let mut letters = Letters::default();
        if let Some(refused) =
            left_behind::took_links_place(&site.target, options, &sheet, public.hash)?
        {
            return Err(refused);
        }
        link::forget(&site.target)
            .map_err(Error::io("remove", link::remembered_at(&site.target)))?;
        // Where that cannot be read it is asked what could be.
        let is_beside_a_session =
            !has_session && is_in_session(&site.target, &held).unwrap_or(false);
        let may_be_of_another = left.is_some()
            && !is_beside_a_session
            && !Journal::names_of_others(&site.target)?.is_empty();
        let is_of_another = may_be_of_another && {
            let history = frame::history(&frames);
            let is_of_session = left.as_ref().is_some_and(|left| left.session.is_some());
            standing(&frames, &history, &sheet, public.hash, is_of_session).is_of_another()
        };
        let Found {
            left: was_renamed,
            known,
            known_from,
            results_of,
            older_than,
        } = match (&left, judged) {
            (Some(_), _) if !is_of_another => Found::default(),
            (Some(_), _) => {
                let found = left_behind::look_for(&site.target, options, &sheet, public.hash)?;
                if let Some(left) = &found.left {
                    return Err(left.beside(&site.target)?);
                }
                found
            }
            (None, Judged::IsCopy(of)) => {
                if let Ok(of) = Target::open(of)
                    && of.folder_path() == site.target.folder_path()
                {
                    journal.is_copy_of(of.name());
                }
                Found {
                    known: left_behind::known_of_copy(of, options, &sheet, public.hash),
                    ..Found::default()
                }
            }
            (None, _) => left_behind::look_for(&site.target, options, &sheet, public.hash)?,
        };
        if left.is_some()
            && let Some(later) = left_behind::gone_on_with(
                &site.target,
                options,
                &sheet,
                (journal.id(), frames.len()),
            )?
        {
            journal.start_over(&later)?;
            frames = later;
        }
        if let Some(behind) = &was_renamed {
            if judged.decision().is_none() {
                return Err(behind.question(site.path()));
            }
            behind.take_over(&site.target, &held)?;
            (journal, left, frames) = open_journal(&site, &sheet, has_session, &held)?;
        }
        if let Some(name) = &results_of {
            journal.was_called(name);
        }
        if let Some(name) = journal.earlier_name() {
            sheet.is_known_as(name);
        }
        if let Some((other, rows)) = older_than.filter(|_| has_session) {
            tracing::warn!(rows, other = %escape(&other), "another sheet of the folder has results that this one, which shows earlier ones of them, lacks: these rows are to be done again here");
        }
        sheet.warn_of_utf8();
        letters.tell(journal.take_lost(), site.options.encoding);
        let of_session = left.as_ref().and_then(|left| left.session.clone());
        let mut writer = Writer {
            site,
            lock,
            session: session_lock,
            durable: Durable::new(journal, &frames, of_session),
            outside: Outside::new(public),
            visible: Visible::new(),
            letters,
            sheet: Arc::new(ArcSwap::from_pointee(sheet)),
        };
        if !known.is_empty() {
            if let Some(log) = known_from {
                writer.durable.goes_on_from(log);
            }
            if !is_of_another {
                frames.clone_from(&known);
            }
            writer.durable.knows(public.hash, known);
        }
        let (behind, is_as_left, decided) = writer.take_up(
            &frames,
            judged.decision(),
            was_renamed.is_some(),
            is_beside_a_session,
        )?;
        writer.hold_public();
        drop(held);
        let recovery = Recovery {
            // Nobody goes on with one that was begun anew.
            left: left.filter(|left| left.session.is_none() || writer.durable.is_of_session()),
            behind,
            is_as_left: is_as_left && was_renamed.is_none(),
            decided,
            told: writer
                .session
                .as_ref()
                .and_then(SessionLock::told_before)
                .map(str::to_owned),
        };
        Ok((writer, recovery))
    }

    /// Brings what the journal holds to the sheet, of which nothing was written yet, or has it asked what is
    /// to become of it. Returns how many rows do not show their results, whether nobody else had changed the
    /// sheet, and about how much was asked.
    fn take_up(
        &mut self,
        frames: &[Frame],
        decision: Option<Decision>,
        was_renamed: bool,
        is_beside_a_session: bool,
    ) -> Result<(usize, bool, Option<Decided>)> {
        let sheet = self.sheet.load_full();
        let history = frame::history(frames);
        let public = self.outside.public().hash;
        let is_of_session = self.durable.is_of_session();
        let standing = standing(frames, &history, &sheet, public, is_of_session);
        if !matches!(standing, Standing::Anew)
            && let Some(doubled) = sheet.doubled(&history)
        {
            return Err(doubled);
        }
        let is_as_its_journal = matches!(standing, Standing::Current(_) | Standing::Saved(_));
        if !was_renamed && !is_beside_a_session && is_as_its_journal {
            let (target, options) = (&self.site.target, &self.site.options);
            let refused = left_behind::beside_another(target, options, &sheet, &history, public)?;
            if let Some(refused) = refused {
                return Err(refused);
            }
        }
        let is_as_left = matches!(standing, Standing::Current(_));
        if !matches!(standing, Standing::Anew) {
            sheet.know(&history);
        }
        let is_decided = was_renamed
            || matches!(standing, Standing::Asked(_))
            || decision == Some(Decision::Discard);
        let decided = is_decided.then(|| {
            let keys = standing.keys_lacking(frames, &history, &sheet);
            let has_no_row = |key: &&&str| sheet.rows(key).next().is_none();
            Decided {
                rows: keys.len(),
                without_row: keys.iter().filter(has_no_row).count(),
            }
        });
        let gives_up = decision == Some(Decision::Discard)
            && (was_renamed || standing.adds(frames, &history, &sheet));
        if !gives_up && standing != Standing::Anew {
            frame::add_waiting_columns(&sheet, frames);
        }
        let merged = match standing {
            _ if gives_up => {
                let is_same = !standing.is_of_another();
                let kept = self
                    .durable
                    .discard(&self.site, &history, &sheet, public, is_same)?;
                tracing::warn!(%kept, "the results in the journal are given up; a copy of them is kept");
                Merged::default()
            }
            Standing::Current(from) => {
                // What has no place is in the log until that is closed, which whoever judged the sheet may not have
                // come to.
                let from = match is_of_session || lacks_places(&history, &sheet) {
                    true => 0,
                    false => from,
                };
                let merged = merge::replay(&sheet, frame::updates(&frames[from..]));
                merge::log(&merged, &[]);
                merged
            }
            Standing::Saved(reading) => {
                let brought = bring(&history, reading, &sheet, None);
                self.keep_what_was_left(&brought, &sheet)?;
                self.took(&history, reading, public, brought)
            }
            Standing::Anew => {
                // Nobody may have kept the sheet that showed them.
                let kept = self
                    .durable
                    .discard(&self.site, &history, &sheet, public, false)?;
                tracing::warn!(%kept, "the sheet is another one than before; a copy of the results of the one before is kept");
                let has_row = |po: &&str| sheet.rows(po).next().is_some();
                let mut known: Vec<String> = history
                    .results()
                    .filter(has_row)
                    .map(str::to_owned)
                    .collect();
                known.sort_unstable();
                if !known.is_empty() {
                    tracing::warn!(rows = known.len(), keys = %escape_list(&known), "these keys had results before: they are taken for new jobs, since fewer than three in four keys of the two sheets are the same");
                }
                Merged::default()
            }
            // A session judges what is saved in mid-run, and so does who writes beside it.
            Standing::Asked(question)
                if decision.is_none() && (question.is_another || !is_beside_a_session) =>
            {
                return Err(Error::Undecided {
                    path: self.site.path().to_owned(),
                    found: question.found.to_owned(),
                    rows: question.rows,
                });
            }
            Standing::Asked(question) => {
                let brought = bring(&history, question.reading, &sheet, None);
                self.keep_what_was_left(&brought, &sheet)?;
                self.took(&history, question.reading, public, brought)
            }
        };
        self.outside.report(merged.conflicts);
        self.durable.set_unplaced(merged.unplaced);
        self.visible.has_new_base(render::differs(&sheet));
        self.tell_what_was_judged()?;
        Ok((merged.behind, is_as_left, decided))
    }

    /// The sheet as readers see it, through every change of its base.
    pub(crate) fn sheet(&self) -> &Arc<ArcSwap<Sheet>> {
        &self.sheet
    }

    pub(crate) fn target(&self) -> &Target {
        &self.site.target
    }

    /// What the public versions showed, read from the log once more.
    pub(crate) fn history(&self) -> Result<History> {
        Ok(self.durable.history()?.0)
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

    /// From now on an edit of the public file is found though another file takes its name.
    fn hold_public(&mut self) {
        if self.session.is_some() {
            self.outside.hold(&self.site.target);
        }
    }

    /// The conflicts with other programs since they were taken last.
    pub(crate) fn take_conflicts(&mut self) -> Vec<Conflict> {
        self.outside.take_conflicts()
    }

    /// The copies that this writer made of results that have no place in the sheet.
    pub(crate) fn kept_unplaced(&self) -> Vec<PathBuf> {
        self.durable.kept().to_vec()
    }

    /// Keeps results whose rows are gone in a copy now: a row may come back without its result, to run again.
    pub(crate) fn keep_results_without_rows(&mut self) -> Result<()> {
        let sheet = self.sheet.load();
        let has_row = |update: &RowUpdate| sheet.rows(&update.po).next().is_some();
        let (with_row, without) = self.durable.take_unplaced().into_iter().partition(has_row);
        self.durable.set_unplaced(without);
        let kept = self.durable.keep_unplaced(&self.site).map(drop);
        self.durable.add_unplaced(with_row);
        kept
    }

    /// Whether the journal was damaged, so that results in it could not be read.
    pub(crate) fn has_lost_results(&self) -> bool {
        self.durable.has_lost_results()
    }

    /// Whether another program gave rows that have a result another key, under which they stay done.
    pub(crate) fn has_rekeyed_rows(&self) -> bool {
        self.outside.has_rekeyed
    }

    /// Gives this session another id: that of the interrupted one which it continues.
    pub(crate) fn continue_session(&mut self, id: &str) -> Result<()> {
        id.clone_into(&mut self.site.session_id);
        self.session
            .as_mut()
            .map_or(Ok(()), |lock| lock.rename(&self.site.target, id))
    }

    /// Notes what others wrote since an interrupted session made this backup, so that it is kept before results take its
    /// place. `false`: that cannot be told, and another backup is needed.
    pub(crate) fn knows_what_came_since(&mut self, session: &str, backup: &Path) -> Result<bool> {
        let file = File::open(backup).map_err(Error::io("read", backup));
        let copied = file.and_then(|file| Snapshot::copy(&self.site.target, &file));
        let Ok(backup) = copied.and_then(|snapshot| self.site.build(snapshot)) else {
            return Ok(false);
        };
        let frames = self.durable.read_log()?;
        let began = |frame: &Frame| frame.session.as_deref() == Some(session);
        let began = frames.iter().rposition(began).unwrap_or(frames.len());
        let (typed, sheet) = (&mut self.outside.typed, self.sheet.load());
        typed.came_since(&backup, &sheet, &frames[began..]);
        drop(sheet);
        self.outside.before_edits = Some(Arc::new(backup));
        Ok(true)
    }

    /// Notes in the journal, of which all is visible, that this session begins, and gives it space for its
    /// results.
    pub(crate) fn begin_session_journal(&mut self, resumed: bool, pending: usize) -> Result<()> {
        self.when_all_is_visible(|writer, _| {
            if !resumed {
                let sheet = writer.sheet.load();
                let public = writer.outside.public().hash;
                writer.durable.begin_session(&writer.site, &sheet, public)?;
            }
            writer.durable.reserve(pending).map(Some)
        })
    }

    /// The public file, and what it is to be compared with; `None` if a rewrite is due, which does that.
    fn to_compare(&self) -> Option<(Arc<Target>, Version)> {
        (!self.is_behind()).then(|| (Arc::clone(&self.site.target), self.outside.public()))
    }

    fn keep_files(&mut self) -> Result<Kept> {
        if let Some(session) = &mut self.session
            && !session.keep(&self.site.target)?
        {
            return Ok(Kept::TakenOver);
        }
        let held = self.lock.acquire()?;
        let before = self.sheet.load_full();
        if self.catch_up()? {
            self.keep_edits(&held);
        }
        self.hold_public();
        if !Arc::ptr_eq(&before, &self.sheet.load()) {
            self.visible.was_saved();
        }
        Ok(match self.outside.has_another_stayed() {
            true => Kept::AnotherSheet,
            false if self.visible.is_lacking() => Kept::Lacking,
            false => Kept::Ours,
        })
    }

    /// Ends the writing: all is visible, and the journal is closed, unless a session of another
    /// process still needs it. Where there are no leases, the versions that were displaced last are
    /// watched to the end.
    pub(crate) fn finish(&mut self) -> Result<()> {
        let finished = self
            .when_all_is_visible(|writer, _| writer.close_journal().map(Some))
            .map_err(|error| Error::NotVisible {
                path: self.site.path().to_owned(),
                source: Box::new(error),
            });
        self.letters.count(self.site.options.encoding);
        finished.and(self.outside.watch_to_the_end(&self.site))?;
        self.settle();
        Ok(())
    }

    /// This session has left nothing to go on with, and has gone on with what was left before.
    fn settle(&mut self) {
        if let Some(lock) = &mut self.session {
            lock.settle();
        }
    }

    /// The same for a handler that goes away, without waiting for anybody: what cannot be made
    /// visible at once stays in the journal.
    pub(crate) fn close(&mut self) -> Result<()> {
        let closed = match self.durable.wrote() {
            true => self.close_at_once(),
            false => Ok(()),
        };
        self.letters.count(self.site.options.encoding);
        closed.and(self.outside.watch_to_the_end(&self.site))
    }

    fn close_at_once(&mut self) -> Result<()> {
        let held = self.lock.acquire()?;
        match self.checkpoint_under(&held)? {
            Checkpoint::Visible => self.close_journal(),
            Checkpoint::Later => Ok(()),
        }
    }

    /// Closes a journal of which all is visible in the public file as it is now. One that a session
    /// began is left to sessions: to the one that is alive, or to the next, which thereby knows that
    /// it goes on after an interrupted one, and keeps that one's backup.
    fn close_journal(&mut self) -> Result<()> {
        let of_session = self.session.is_some();
        if of_session {
            // Though nothing was written: an old save that gets this name is to be told from it.
            let public = self.outside.public().hash;
            self.durable.begin_as_known(public)?;
        }
        if self.durable.has_log() && (of_session || !self.durable.is_of_session()) {
            let sheet = self.sheet.load();
            let public = self.outside.public().hash;
            self.durable.close(&self.site, &sheet, public, of_session)?;
        }
        Ok(())
    }
}

/// The journal beside a sheet, though its key column has another name there.
fn open_journal(
    site: &Site,
    sheet: &Sheet,
    has_session: bool,
    held: &WriteGuard,
) -> Result<(Journal, Option<Left>, Vec<Frame>)> {
    let key = &site.options.key;
    let open = |key| {
        let form = (key, site.options.encoding);
        Journal::open(&site.target, form, sheet.bytes(), held)
    };
    let error = match open(key) {
        Err(error) => error,
        opened => return opened,
    };
    // Who is in a session with the old name is not given another journal.
    let is_free = has_session || !is_in_session(&site.target, held)?;
    let Some(was) = key_before(&site.target, sheet)?.filter(|_| is_free) else {
        return Err(error);
    };
    let (mut journal, left, frames) = open(&was)?;
    journal.rename_key(key, &frames)?;
    tracing::warn!(was = %escape_list(was.names()), is = %escape_list(key.names()), "the key column has another name, and the same keys: the results of its rows are taken over");
    Ok((journal, left, frames))
}

/// A new version of the sheet, with the rights of another file.
fn replacement<'t>(target: &'t Target, like: &File, next: &Next) -> Result<Replacement<'t>> {
    Replacement::write(
        target,
        like,
        next.sheet().bytes().len() as u64,
        |out| next.render(out),
        |written| next.verify(written),
    )
}

/// Looks whether somebody took away what lies beside the sheet, and puts it back; and takes in what others saved.
///
/// A save in place, in the moment in which a new version gets its stamp, has that stamp as well. So contents are
/// compared here until the stamp can tell, and nothing is held meanwhile.
pub(crate) fn keep_files<'w>(writer: impl Fn() -> Result<MutexGuard<'w, Writer>>) -> Result<Kept> {
    let to_compare = writer()?.to_compare();
    let seen = to_compare.map(|(target, known)| {
        let mut seen = known;
        (known, seen.look(&target), seen)
    });
    let mut writer = writer()?;
    match seen {
        Some((known, Ok(Look::Same), seen)) => writer.outside.was_seen(&known, seen),
        Some((_, Ok(Look::Other(_, stamp)), _)) => writer.outside.looks_alike(stamp),
        Some((_, Ok(Look::Missing) | Err(_), _)) | None => {}
    }
    writer.keep_files()
}

/// Whose the sheet is that a session works on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kept {
    /// This session's, with all that lies beside it.
    Ours,
    /// The same, and somebody saved it without what is to be seen in it.
    Lacking,
    /// Another session has it by now.
    TakenOver,
    /// Another sheet has had its name for a while.
    AnotherSheet,
}

/// What is known, when a sheet is opened, of what a journal may hold for it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Judged<'p> {
    /// Nothing: where nobody else can tell, a person is asked.
    NotYet,
    /// It is a copy of this sheet that was just made, and left no journal anywhere.
    IsCopy(&'p Path),
    /// What a person wants where nobody else can tell.
    Decided(Decision),
}

impl Judged<'_> {
    fn decision(self) -> Option<Decision> {
        match self {
            Judged::Decided(decision) => Some(decision),
            Judged::NotYet | Judged::IsCopy(_) => None,
        }
    }
}

/// What a person wants of the results in a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// They are written to the sheet.
    Apply,
    /// They are given up, and kept in a copy.
    Discard,
}
