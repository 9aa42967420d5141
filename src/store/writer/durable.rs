//! What is durable: the log, and those of its results that have no place in the sheet.
//!
//! A frame is in the log, and synced, before anything of it is applied or acknowledged. Everything
//! here is called under the write lock.

use std::collections::HashSet;
use std::path::PathBuf;

use chrono::{DateTime, Utc};
use compact_str::CompactString;

use crate::disk::ContentHash;
use crate::domain::columns::same_column;
use crate::error::Result;
use crate::journal::{Frame, Journal, News, Public, compact, frame};
use crate::sheet::{History, Past, RowUpdate, Sample, Schema, Sheet, as_table, is_same, merge};
use crate::store::inherited::inherited;
use crate::store::patience::{RETRIES, again};
use crate::store::standing::cell;
use crate::text::escape;

use super::known_results::known_results;
use super::site::Site;

/// How many results a frame holds at most when a log is started over.
const ROWS_PER_FRAME: usize = 10_000;
/// A log of which nobody has made a session is closed when it has grown to this.
const LONG: u64 = 1 << 20;

/// The first of the three parts of a writer.
pub(super) struct Durable {
    /// Holds every result of the overlay that the public file may not show. After a failed write it is
    /// tainted, and nothing is acknowledged until a new one holds all of them.
    journal: Journal,
    /// The session that began the log and has not closed it, and when. Only a session closes such a one.
    of_session: Option<(String, DateTime<Utc>)>,
    /// Results whose row or column is not in the sheet, and cells that must not be written. They are in the
    /// journal too, and go to a copy before it is closed.
    unplaced: Vec<RowUpdate>,
    /// Those copies, and what is in them.
    kept: Vec<PathBuf>,
    kept_rows: Vec<RowUpdate>,
    /// The last frame could not be written after all its retries. The next one is tried only once, and
    /// its failure is not reported again.
    failing: bool,
    /// Whether this writer made anything durable. Only one that did has a log to empty when it goes.
    wrote: bool,
    /// Somebody replaced the log: base and overlay are older than what is public. Nothing is made
    /// durable or visible until the sheet has been read anew.
    stale: bool,
    /// The log was begun anew, and does not tell for certain what the public version shows.
    begun_anew: bool,
    /// How often a frame was tried again. Never falls.
    retried: u64,
    /// The number of the frame in which this writer announced a version that has not taken the sheet's name.
    announced: Option<u64>,
    /// One that has, and the journal does not know yet: the next frame tells it.
    confirmed: Option<u64>,
    /// Columns that results added to this sheet, but for those of the original system. Some may be gone again.
    added: Vec<CompactString>,
    /// Columns of which the log told a result, as they are called there.
    written: HashSet<CompactString>,
    /// With what the log of a version begins, if it has none.
    known: Option<(ContentHash, Vec<Frame>)>,
}

impl Durable {
    pub(super) fn new(
        journal: Journal,
        frames: &[Frame],
        of_session: Option<(String, DateTime<Utc>)>,
    ) -> Durable {
        let mut durable = Durable {
            journal,
            of_session,
            unplaced: Vec::new(),
            kept: Vec::new(),
            kept_rows: Vec::new(),
            failing: false,
            wrote: false,
            stale: false,
            begun_anew: false,
            retried: 0,
            announced: None,
            confirmed: None,
            added: Vec::new(),
            written: HashSet::new(),
            known: None,
        };
        durable.remember_columns(frames);
        durable
    }

    fn remember_columns(&mut self, frames: &[Frame]) {
        for name in frame::added(frames) {
            if !self.added.iter().any(|known| same_column(known, name)) {
                self.added.push(name.clone());
            }
        }
        for row in frame::updates(frames).filter(|row| !row.aside) {
            for cell in row.cells.iter().filter(|cell| !cell.outside) {
                if !self.written.contains(&cell.column) {
                    self.written.insert(cell.column.clone());
                }
            }
        }
    }

    /// The columns that results added to this sheet and that are there, but for those of the original system.
    pub(super) fn added<'d>(&'d self, schema: &Schema) -> impl Iterator<Item = &'d CompactString> {
        let is_there = |name: &&CompactString| schema.position(name).is_some();
        self.added.iter().filter(is_there)
    }

    /// Makes a frame durable; after an error it is not. `sheet` shows all that was written before it, and
    /// `public` is the version that is public, all of which is known.
    pub(super) fn append(
        &mut self,
        frame: &mut Frame,
        sheet: &Sheet,
        public: ContentHash,
    ) -> Result<()> {
        let retries = if self.failing { 0 } else { RETRIES };
        self.begin_as_known(public)?;
        if !self.journal.exists() {
            frame.public.splice(0..0, beginning(public, 0, sheet));
        } else if let Some(confirmed) = self.confirmed {
            frame.public.insert(0, Public::confirmed(Some(confirmed)));
        }
        let (done, retried) = again(retries, "the journal could not be written", || {
            match self.journal.is_tainted() {
                false => self.journal.append(frame),
                true => self.start_over(Some(frame), sheet, public),
            }
        });
        self.retried += retried;
        if let Err(error) = &done
            && !self.failing
        {
            tracing::error!(
                error = %error.chain(),
                needed_bytes = self.journal.wanted_bytes(),
                "the journal could not be written"
            );
        }
        self.failing = done.is_err();
        if done.is_ok() {
            self.wrote = true;
            self.confirmed = None;
            self.remember_columns(std::slice::from_ref(frame));
        }
        done
    }

    /// A new log takes everything that was written, and the frame behind it. What earlier versions showed is
    /// not known any more; as far as the new log tells, the public one shows nothing of ours, so that nothing
    /// that is missing in a save looks as if it had been taken away on purpose. One that was written over may
    /// have an older sheet beside it, so its successor takes all results that are known.
    fn start_over(
        &mut self,
        frame: Option<&Frame>,
        sheet: &Sheet,
        public: ContentHash,
    ) -> Result<()> {
        let rows: Vec<RowUpdate> = merge::written(sheet)
            .chain(self.unplaced.iter().cloned())
            .collect();
        let schema = sheet.schema();
        let waiting = schema.added().iter().map(|name| name.as_str().into());
        let is_public = |name: &&CompactString| {
            let place = schema.position(name);
            place.is_some_and(|place| place < schema.header_width)
        };
        let public_columns: Vec<_> = self.added(&schema).filter(is_public).cloned().collect();
        let mut frames = vec![Frame {
            columns: waiting.chain(public_columns.iter().cloned()).collect(),
            public_columns,
            ..Frame::now()
        }];
        if let Some((session, began)) = &self.of_session {
            frames[0].session = Some(session.clone());
            frames[0].at = *began;
        }
        let shown = match self.journal.is_written_over() {
            true => known_results(sheet, &self.written, public, &mut frames),
            false => 0,
        };
        let told = beginning(public, shown, sheet);
        match shown {
            0 => frames[0].public = told.into(),
            _ => frames.push(Frame::telling(told.into())),
        }
        frames.extend(
            rows.chunks(ROWS_PER_FRAME)
                .map(|rows| Frame::of(rows.to_vec())),
        );
        if let Some(frame) = frame {
            let mut frame = frame.clone();
            for public in &mut frame.public {
                match public {
                    Public::Next { upto, failed, .. } => {
                        let shows_all = *upto >= self.journal.count();
                        *upto = if shows_all {
                            frames.len() as u64
                        } else {
                            shown
                        };
                        *failed = None;
                    }
                    Public::Saved { failed, .. } => *failed = None,
                    Public::Confirmed { .. } | Public::Judged { .. } => {}
                }
            }
            // The numbers of the old log say nothing in the new one, which knows the public version.
            let is_known =
                |public: &Public| !matches!(public, Public::Confirmed { frame: Some(_) });
            frame.public.retain(is_known);
            frames.push(frame);
        }
        self.journal.start_over(&frames)?;
        (self.confirmed, self.announced) = (None, None);
        Ok(())
    }

    /// Tells the journal, durably, that a version is about to take the sheet's name, which shows so many of its
    /// frames. Without it a change that somebody makes who has seen that version would look like a conflict.
    pub(super) fn announce(
        &mut self,
        version: ContentHash,
        upto: u64,
        sheet: &Sheet,
        public: ContentHash,
    ) -> Result<()> {
        if !self.journal.exists() {
            return Ok(());
        }
        let next = Public::next(version, upto, self.announced, None);
        self.append(&mut Frame::telling(vec![next]), sheet, public)?;
        self.announced = Some(self.journal.count() - 1);
        Ok(())
    }

    /// The number of the frame that announced a version which has not taken the sheet's name.
    pub(super) fn announced(&self) -> Option<u64> {
        self.announced
    }

    /// The version that was announced has the sheet's name.
    pub(super) fn confirm(&mut self) {
        self.confirmed = self.announced.take();
    }

    /// The log that is there, in which frames have their numbers.
    pub(super) fn log_id(&self) -> &str {
        self.journal.id()
    }

    /// How many frames the log has.
    pub(super) fn count(&self) -> u64 {
        self.journal.count()
    }

    /// What the public versions showed, read from the log once more.
    pub(super) fn history(&self) -> Result<(History, Option<Sample>)> {
        let frames = self.journal.frames()?;
        let sample = frame::sample(&frames).cloned();
        Ok((frame::history(&frames), sample))
    }

    /// What other processes appended; `None` if somebody replaced the log, until the sheet
    /// [was read anew](Durable::was_read_anew). One that another program wrote over is started over: `sheet`
    /// shows all that was written, and `public` is the version that is public.
    pub(super) fn news(
        &mut self,
        sheet: &Sheet,
        public: ContentHash,
        has_public_changed: impl FnOnce() -> Result<bool>,
    ) -> Result<Option<Vec<Frame>>> {
        let frames = match self.journal.catch_up()? {
            News::Frames(frames) => frames,
            News::Replaced => {
                self.stale = true;
                Vec::new()
            }
            News::WrittenOver => {
                if !self.stale {
                    let begin = || self.start_over(None, sheet, public);
                    again(RETRIES, "the journal could not be begun anew", begin).0?;
                    self.begun_anew = true;
                }
                Vec::new()
            }
            // A log may have come and gone since we looked; then the sheet shows what was in it.
            News::Unknown(frames) => {
                self.stale |= has_public_changed()?;
                frames
            }
        };
        self.remember_columns(&frames);
        let mut begun = frames.iter().rev();
        if let Some(frame) = begun.find(|frame| frame.session.is_some()) {
            self.of_session = frame.session.clone().map(|session| (session, frame.at));
        }
        Ok((!self.stale).then_some(frames))
    }

    /// Whether the log was begun anew since this was asked last: another version is to be made public, of which
    /// the log tells what it shows.
    pub(super) fn was_begun_anew(&mut self) -> bool {
        std::mem::take(&mut self.begun_anew)
    }

    /// All that is in the log that is there now.
    pub(super) fn read_log(&mut self) -> Result<Vec<Frame>> {
        let frames = self.journal.load()?;
        self.added.clear();
        self.remember_columns(&frames);
        Ok(frames)
    }

    /// The sheet was read anew, with all that is in the log.
    pub(super) fn was_read_anew(&mut self, unplaced: Vec<RowUpdate>) {
        self.unplaced = unplaced;
        self.stale = false;
        (self.announced, self.confirmed) = (None, None);
    }

    pub(super) fn unplaced(&self) -> &[RowUpdate] {
        &self.unplaced
    }

    pub(super) fn take_unplaced(&mut self) -> Vec<RowUpdate> {
        std::mem::take(&mut self.unplaced)
    }

    pub(super) fn add_unplaced(&mut self, unplaced: Vec<RowUpdate>) {
        self.unplaced.extend(unplaced);
    }

    /// The copies that were made of what has no place.
    pub(super) fn kept(&self) -> &[PathBuf] {
        &self.kept
    }

    /// All that was written was brought to another base.
    pub(super) fn set_unplaced(&mut self, unplaced: Vec<RowUpdate>) {
        self.unplaced = unplaced;
    }

    /// Keeps the results that have no place in the sheet in a copy.
    pub(super) fn keep_unplaced(&mut self, site: &Site) -> Result<bool> {
        let mut unplaced = std::mem::take(&mut self.unplaced);
        let is_kept = |update: &RowUpdate| {
            let same = |kept: &RowUpdate| kept.po == update.po && kept.cells == update.cells;
            self.kept_rows.iter().any(same)
        };
        unplaced.retain(|update| !is_kept(update));
        let has_some = !unplaced.is_empty();
        if has_some {
            let table = as_table(&site.options.key, &unplaced);
            let kept = site.keep_bytes(&table, "unplaced");
            let kept = kept.inspect_err(|_| self.unplaced.clone_from(&unplaced))?;
            tracing::warn!(kept = %escape(&kept.display().to_string()), "what had no place in the sheet is kept beside the backups");
            self.kept_rows.extend(unplaced);
            self.kept.push(kept);
        }
        Ok(has_some)
    }

    /// Begins the log anew: no result of it is wanted any more but what `public` shows, the version that counts. All
    /// earlier ones are told to be old: who has one open and saves it takes nothing away from what comes now, whatever the
    /// traces say. Of another sheet than this one was nothing is told: if it comes back it is another one again.
    pub(super) fn begin_anew(
        &mut self,
        site: &Site,
        sheet: &Sheet,
        public: ContentHash,
        is_same_sheet: bool,
    ) -> Result<()> {
        self.keep_unplaced(site)?;
        let known = self.known.take_if(|_| !is_same_sheet);
        // Else the same would be found, and asked, again.
        self.begin_as_known(public)?;
        if !self.journal.exists() {
            return Ok(());
        }
        let (history, _) = self.history()?;
        let mut frames = match (is_same_sheet, known) {
            (true, _) => inherited(&history, sheet, public, self.added.iter().cloned()),
            (false, Some((of, frames))) if of == public => frames,
            (false, _) => Vec::new(),
        };
        if frames.is_empty() {
            let old = history.old_versions(public).filter(|_| is_same_sheet);
            let old = old.map(Public::judged);
            frames.push(Frame::telling(
                old.chain(beginning(public, 0, sheet)).collect(),
            ));
        }
        let begin = || self.journal.start_over(&frames);
        again(RETRIES, "the journal could not be begun anew", begin).0?;
        self.of_session = None;
        self.added.clear();
        self.written.clear();
        self.remember_columns(&frames);
        (self.confirmed, self.announced) = (None, None);
        Ok(())
    }

    /// Closes the log, all of which is visible in the public version: an entry for each cell stays. One that
    /// no session began is only closed when it has grown long.
    pub(super) fn close(
        &mut self,
        site: &Site,
        sheet: &Sheet,
        public: ContentHash,
        of_session: bool,
    ) -> Result<()> {
        let has_kept = self.keep_unplaced(site)?;
        if !of_session && !has_kept && self.journal.bytes() < LONG {
            if let Some(confirmed) = self.confirmed
                && !self.journal.is_tainted()
            {
                let told = vec![Public::confirmed(Some(confirmed))];
                self.journal.append(&Frame::telling(told))?;
                self.confirmed = None;
            }
            return Ok(());
        }
        let (mut history, _) = self.history()?;
        let count = self.journal.count();
        let schema = sheet.schema();
        history.found_their_places(count.saturating_sub(1), |po, cell| {
            let column = schema.position(&cell.column);
            let mut rows = sheet.rows(po);
            column.is_some_and(|column| {
                rows.any(|row| is_same(&cell.column, &sheet.shown(row).cell(column), &cell.value))
            })
        });
        history.published(public, count, count);
        history.confirmed(count);
        history.settle();
        let sample = Some(Sample::of(sheet));
        let added = self.added(&schema).cloned().collect();
        let frames = compact(&history, sample, added, |po, column| {
            schema.position(column).is_some() && sheet.rows(po).next().is_some()
        });
        let close = || self.journal.start_over(&frames);
        again(RETRIES, "the journal could not be closed", close).0?;
        self.of_session = None;
        (self.confirmed, self.announced) = (None, None);
        Ok(())
    }

    /// A session begins, while all that is in the log is visible in the public version.
    pub(super) fn begin_session(
        &mut self,
        site: &Site,
        sheet: &Sheet,
        public: ContentHash,
    ) -> Result<()> {
        self.begin_as_known(public)?;
        let mut begun = Frame {
            session: Some(site.session_id.clone()),
            ..Frame::now()
        };
        if self.journal.exists() {
            let sample = Some(Sample::of(sheet));
            let next = Public::next(public, self.journal.count(), None, sample);
            begun.public = vec![next, Public::confirmed(None)];
        }
        self.append(&mut begun, sheet, public)?;
        self.of_session = Some((site.session_id.clone(), begun.at));
        Ok(())
    }

    /// What is known of this version of the sheet, which has no log yet: with this its log begins.
    pub(super) fn knows(&mut self, public: ContentHash, frames: Vec<Frame>) {
        self.known = Some((public, frames));
    }

    /// The log that begins next holds all of another one, with this id and so many frames.
    pub(super) fn goes_on_from(&mut self, log: (String, usize)) {
        self.journal.goes_on_from(log);
    }

    /// Begins the log with what is known of the public version, if that is still the one.
    pub(super) fn begin_as_known(&mut self, public: ContentHash) -> Result<()> {
        let Some((of, known)) = self.known.take() else {
            return Ok(());
        };
        if self.journal.exists() || of != public {
            return Ok(());
        }
        let begin = || self.journal.start_over(&known);
        again(RETRIES, "the journal could not be begun", begin).0?;
        self.remember_columns(&known);
        Ok(())
    }

    /// Whether a session began the log and has not closed it.
    pub(super) fn is_of_session(&self) -> bool {
        self.of_session.is_some()
    }

    /// Gives up the results in the log, and keeps them in a copy, whose path is returned as a terminal may
    /// show it.
    pub(super) fn discard(
        &mut self,
        site: &Site,
        history: &History,
        sheet: &Sheet,
        public: ContentHash,
        is_same_sheet: bool,
    ) -> Result<String> {
        let is_shown = |po: &str, past: &Past| {
            let shown = cell(sheet, history, po, &past.column);
            shown.is_some_and(|shown| is_same(&past.column, &past.last, &shown))
        };
        let mut rows: Vec<RowUpdate> = history
            .rows()
            .filter(|(po, row)| !is_same_sheet || !row.iter().all(|past| is_shown(po, past)))
            .map(|(po, row)| RowUpdate {
                po: po.clone(),
                cells: row.iter().map(Past::update).collect(),
                aside: false,
                row: None,
            })
            .chain(history.unplaced().iter().cloned())
            .collect();
        rows.sort_by(|one, other| one.po.cmp(&other.po));
        let kept = site.keep_bytes(&as_table(&site.options.key, &rows), "discarded")?;
        self.begin_anew(site, sheet, public, is_same_sheet)?;
        Ok(escape(&kept.display().to_string()))
    }

    /// Gives a session's log room for so many results.
    pub(super) fn reserve(&mut self, results: usize) -> Result<()> {
        self.journal.reserve(results)
    }

    /// Whether a failed write has to be made up for before anything is acknowledged.
    pub(super) fn is_tainted(&self) -> bool {
        self.journal.is_tainted()
    }

    /// Whether the log, if there is one, still has its name.
    pub(super) fn is_beside_the_sheet(&self) -> Result<bool> {
        self.journal.has_its_name()
    }

    /// Whether a journal that was read was damaged, and not all of it could be read.
    pub(super) fn has_lost_results(&self) -> bool {
        self.journal.has_lost_frames()
    }

    /// Whether a log is there that this writer knows of.
    pub(super) fn has_log(&self) -> bool {
        self.journal.exists()
    }

    pub(super) fn wrote(&self) -> bool {
        self.wrote
    }

    pub(super) fn retried(&self) -> u64 {
        self.retried
    }
}

/// How a log begins: with the version that is public, which shows so many of its frames.
fn beginning(public: ContentHash, upto: u64, sheet: &Sheet) -> [Public; 2] {
    let sample = Some(Sample::of(sheet));
    let next = Public::next(public, upto, None, sample);
    [next, Public::confirmed(None)]
}
