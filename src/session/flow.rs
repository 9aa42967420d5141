//! A session: the whole job on one sheet, from the lock to the summary.
//!
//! ```text
//! lock → recover → select rows → back up → result columns → pool → drain → final write → summary
//! ```
//!
//! One session at a time works on a sheet. A session that was interrupted left its journal: the
//! next one makes those results visible first, and continues under the interrupted one's id and
//! backup, so that retention never evicts the only backup from before it. It makes another one only if
//! the sheet is no longer as that session left it, and then before it makes anything visible.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use chrono::{DateTime, Utc};
use serde::Serialize;

use crate::backup::BackupMetadata;
use crate::domain::ProcessingStatus;
use crate::error::{Error, Result};
use crate::queue::{DEFAULT_CAPACITY, WriteQueue};
use crate::run::{Job, Outcome, PoList, PoolSummary, Stop, WorkerPool};
use crate::session::keeper::Keeper;
use crate::session::selected::Selected;
use crate::session::watch::Teller;
use crate::sheet::{
    Conflict, History, Likeness, NotFollowed, Options, Selection, Sheet, Updates, new_rows,
};
use crate::store::{CsvHandler, Decided, Decision, Judged, clean_up, refuse_another};
use crate::text::{Escaped, escape_list};

/// How often rows are added that another program takes away again in the same moment.
const ADD_ROWS_ATTEMPTS: usize = 5;

/// The only one that may run on a sheet, until it is dropped.
pub struct Session {
    /// Looks after its files from the time when it is prepared. It ends before the handler goes.
    keeper: Option<Keeper>,
    handler: Arc<CsvHandler>,
    id: String,
    recovered: Recovered,
    told_before: Option<String>,
    decided: Option<Decided>,
    /// Of the sheet as it is before this session changes it; none until there is one.
    backup: Option<PathBuf>,
    /// What the sheet is a copy of. It may be one of its own backups.
    input: Option<PathBuf>,
    has_told_look_alikes: bool,
    started: Instant,
}

/// What an interrupted session had left, and was brought into the CSV when this one began.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Recovered {
    /// Rows whose results the CSV did not show.
    pub results: usize,
    /// When the journal that held them was begun.
    pub since: Option<DateTime<Utc>>,
    /// Whether this session continues the interrupted one's id and backup.
    pub continued: bool,
}

/// What a session has done.
#[derive(Debug, Clone)]
pub struct Summary {
    /// The session's id.
    pub session: String,
    /// What came of each row.
    pub pool: PoolSummary,
    /// The words of STATUS, with the number of their keys, that nobody knows: these rows are left alone.
    pub left_alone: Vec<(ProcessingStatus, usize)>,
    /// What was recovered when it began.
    pub recovered: Recovered,
    /// Cells that another program had changed as well; the results were kept.
    pub conflicts: Vec<Conflict>,
    /// The sheet as it was before.
    pub backup: Option<PathBuf>,
    /// From the lock to the final write.
    pub elapsed: Duration,
    /// Where that is kept of the results which had no place in the sheet: cells whose row or column is
    /// gone, and what was not to be written.
    pub unplaced: Vec<PathBuf>,
    /// Whether the journal was damaged when the session began, and results in it could not be read: see
    /// [`CsvHandler::has_lost_results`].
    pub lost_results: bool,
    /// Whether rows that have a result have another key now: see [`CsvHandler::has_rekeyed_rows`].
    pub rekeyed_rows: bool,
    /// The results that the CSV does not show: they are in the journal, and the next session, or
    /// any write, brings them in. [`Error::Rescued`]: the journal is gone, and they are in a file.
    /// [`Error::LedAway`]: the sheet shows them, but its name leads elsewhere.
    pub not_visible: Option<Error>,
    /// Where the results are that could not be made durable.
    pub rescued: Option<PathBuf>,
    /// Whether another session took the sheet over, and ended this one by that.
    pub taken_over: bool,
    /// Where the sheet's folder is now, if it was moved meanwhile: the results are there.
    pub moved_to: Option<PathBuf>,
}

impl Session {
    /// Locks a sheet and brings in what an interrupted session left.
    ///
    /// # Errors
    /// [`Error::SessionHeld`] with the holder's pid, host, session and start time. As
    /// [`CsvHandler::open`]. [`Error::ForeignColumn`]. [`Error::NotVisible`] if what was left cannot be
    /// written.
    pub fn open(path: impl AsRef<Path>, options: &Options) -> Result<Session> {
        let refuse = |sheet: &Sheet| sheet.refuse_foreign_status();
        Session::open_unless(path.as_ref(), options, Judged::NotYet, refuse)
    }

    /// The same for a copy of `input` that [`create_output`](crate::create_output) has just made: the journals of other
    /// names are none of its business, since what is to be asked about the input was asked when that was read. Of the
    /// results that it shows, what the input's journal tells is known.
    ///
    /// # Errors
    /// As [`Session::open`].
    pub fn open_new(
        path: impl AsRef<Path>,
        input: impl AsRef<Path>,
        options: &Options,
    ) -> Result<Session> {
        let refuse = |sheet: &Sheet| sheet.refuse_foreign_status();
        let judged = Judged::IsCopy(input.as_ref());
        Session::open_unless(path.as_ref(), options, judged, refuse)
    }

    /// The same for a session that gives no row a status, with what a person wants where
    /// [`Error::Undecided`] would be the answer.
    ///
    /// # Errors
    /// As [`Session::open`], without [`Error::ForeignColumn`], and without [`Error::Undecided`] if there is a
    /// decision.
    pub fn open_decided(
        path: impl AsRef<Path>,
        options: &Options,
        decision: Option<Decision>,
    ) -> Result<Session> {
        let judged = decision.map_or(Judged::NotYet, Judged::Decided);
        Session::open_unless(path.as_ref(), options, judged, |_| Ok(()))
    }

    /// Opens a session unless the sheet is refused, before anything of it is changed.
    fn open_unless(
        path: &Path,
        options: &Options,
        judged: Judged<'_>,
        refuse: impl Fn(&Sheet) -> Result<()>,
    ) -> Result<Session> {
        let started = Instant::now();
        let mut id = new_id();
        let (handler, recovery) = CsvHandler::open_in(path, options, Some(&id), judged)?;
        refuse(&handler.sheet())?;
        let since = match &recovery.left {
            Some(left) if recovery.behind > 0 || left.session.is_some() => {
                let begun = left.session.as_ref().map(|(_, since)| *since);
                Some(begun.unwrap_or(left.created))
            }
            _ => None,
        };
        let (told_before, decided) = (recovery.told, recovery.decided);
        let left = recovery.left.and_then(|left| left.session);
        let was_interrupted = left.is_some();
        let mut recovered = Recovered {
            results: recovery.behind,
            since,
            continued: false,
        };
        let mut backup = None;
        {
            let mut writer = handler.writer()?;
            if let Some((interrupted, _)) = left
                && let Some(found) = writer.backups().find(&interrupted)?
            {
                if recovery.is_as_left
                    && writer.knows_what_came_since(&interrupted, &found.backup_path)?
                {
                    backup = Some(found.backup_path);
                }
                writer.continue_session(&interrupted)?;
                id = interrupted;
                recovered.continued = true;
            }
            if writer.is_behind() {
                if backup.is_none() && !recovery.is_as_left {
                    let made = writer.back_up_as_it_is(&id)?.backup_path;
                    clean_up(writer.backups(), std::slice::from_ref(&made));
                    backup = Some(made);
                }
                writer
                    .checkpoint_patiently()
                    .map_err(|error| Error::NotVisible {
                        path: path.to_owned(),
                        source: Box::new(error),
                    })?;
            }
        }
        if recovered.results > 0 && !was_interrupted {
            tracing::info!(
                recovered = recovered.results,
                "results that the sheet did not show are written to it"
            );
        } else if let Some(since) = recovered.since
            && (recovered.continued || recovered.results > 0)
        {
            tracing::info!(
                recovered = recovered.results,
                "going on after a session that was interrupted; it began at {}",
                crate::domain::format_timestamp(since)
            );
        }
        Ok(Session {
            keeper: None,
            handler: Arc::new(handler),
            id,
            recovered,
            told_before,
            decided,
            backup,
            input: None,
            has_told_look_alikes: false,
            started,
        })
    }

    /// The session's id, which is part of its backup's name.
    pub fn id(&self) -> &str {
        &self.id
    }

    /// The sheet.
    pub fn handler(&self) -> &Arc<CsvHandler> {
        &self.handler
    }

    /// With what it can tell others of itself; `None` where that cannot be had.
    pub fn teller(&self) -> Option<Teller> {
        let writer = self.handler.writer().ok()?;
        Teller::of(writer.target()).ok().flatten()
    }

    /// What an interrupted session had left.
    pub fn recovered(&self) -> &Recovered {
        &self.recovered
    }

    /// About how much was decided when it was opened, if it had to be asked.
    pub fn decided(&self) -> Option<Decided> {
        self.decided
    }

    /// What a session that was killed last told of itself with a [`Teller`], if one was.
    pub fn told_before(&self) -> Option<&str> {
        self.told_before.as_deref()
    }

    /// The backup of this session, once it is made.
    pub fn backup(&self) -> Option<&Path> {
        self.backup.as_deref()
    }

    /// For which words of STATUS a run with this selection leaves rows alone: see [`Sheet::left_alone`].
    ///
    /// # Errors
    /// [`Error::UnknownPo`], [`Error::UnknownColumn`], [`Error::UnknownStatus`], [`Error::UnknownStage`].
    pub fn left_alone(&self, selection: &Selection) -> Result<Vec<(ProcessingStatus, usize)>> {
        self.handler.sheet().left_alone(selection)
    }

    /// How many rows a run with this selection would process.
    ///
    /// # Errors
    /// [`Error::UnknownPo`], [`Error::UnknownColumn`], [`Error::UnknownStatus`], [`Error::UnknownStage`].
    pub fn count(&self, selection: &Selection) -> Result<usize> {
        Ok(Selected::of(self.handler.sheet(), selection)?.len())
    }

    /// Does `work` for every row that is selected, with the workers of `pool`, and makes each result
    /// durable before its worker takes the next row.
    ///
    /// With nothing to process it changes nothing, and makes no backup. A summary with `not_visible`
    /// tells of results that are only in the journal.
    ///
    /// # Errors
    /// [`Error::UnknownPo`], [`Error::UnknownColumn`], [`Error::UnknownStatus`], [`Error::UnknownStage`] in the selection; [`Error::Io`],
    /// [`Error::Backup`] if there can be no backup: nothing was changed. [`Error::NotVisible`] if they cannot be written.
    pub fn run(
        mut self,
        pool: WorkerPool<'_>,
        selection: &Selection,
        work: impl Fn(&Job<'_>) -> Outcome + Sync,
    ) -> Result<Summary> {
        let mut selected = Selected::of(self.handler.sheet(), selection)?;
        let left_alone = selection.left_alone(&self.handler.sheet())?.len();
        if selected.len() == 0 {
            self.handler.finish()?;
            let done = PoolSummary {
                skipped: left_alone,
                ..PoolSummary::default()
            };
            return Ok(self.summary(done, selection, None));
        }
        self.prepare_for(selected.len(), pool.stopper())?;
        let sheet = self.handler.sheet();
        if !selected.is_of(&sheet) {
            selected = Selected::of(sheet, selection)?;
        }
        let queue = WriteQueue::new(Arc::clone(&self.handler), DEFAULT_CAPACITY);
        queue.start_writer_thread()?;
        let mut done = pool.queue(&queue).run_list(&selected, work);
        done.skipped += left_alone;
        let keeper = self.keeper.take();
        let taken_over = keeper.as_ref().is_some_and(Keeper::was_taken_over);
        drop(keeper);
        let drained = queue.stop_writer_thread(Duration::MAX);
        let (finished, rescued) = match drained {
            Err(died @ Error::WriterDied { .. }) => (Err(died), None),
            _ => self.handler.finish_with(&done.unpersisted),
        };
        let not_visible = finished.and_then(|()| self.handler.refuse_led_away()).err();
        let moved_to = self.handler.moved_to();
        if let (Some(backup), Ok(backups)) = (&mut self.backup, self.handler.backups()) {
            *backup = backups.path_here(backup);
        }
        Ok(Summary {
            rescued,
            taken_over,
            moved_to,
            ..self.summary(done, selection, not_visible)
        })
    }

    /// Refuses what [`Session::prepare`] would refuse, as far as that is seen before anything is changed.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn refuse_unprepared(&mut self) -> Result<()> {
        self.judge()?;
        match self.backup {
            Some(_) => Ok(()),
            None => self.handler.backups()?.refuse_unusable(),
        }
    }

    /// Backs the sheet up, unless this session continues one that did and nobody has changed it since;
    /// begins the journal with room for `results`; and adds the result columns that are missing. Old
    /// backups are cleaned up only now that there is a new one. From now on the session puts its files back
    /// if somebody takes them away.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn prepare(&mut self, results: usize) -> Result<()> {
        self.prepare_for(results, Stop::default())
    }

    /// The same for a run, which is to be stopped should another session have taken the sheet over.
    fn prepare_for(&mut self, results: usize, stop: Stop) -> Result<()> {
        self.judge()?;
        self.back_up()?;
        self.handler.writer()?.keep_results_without_rows()?;
        self.handler
            .writer()?
            .begin_session_journal(self.recovered.continued, results)?;
        self.handler.add_missing_columns()?;
        self.keeper = Some(Keeper::start(Arc::clone(&self.handler), stop));
        Ok(())
    }

    /// Refuses a sheet that cannot have the results, and tells once of columns that look like those it lacks.
    fn judge(&mut self) -> Result<()> {
        let missing = self.handler.missing_columns();
        self.handler.refuse_without_room(&missing)?;
        let sheet = self.handler.sheet();
        if !std::mem::replace(&mut self.has_told_look_alikes, true) {
            sheet.tell_look_alikes(&missing);
        }
        sheet.refuse_mistyped_stage()
    }

    /// Adds the result columns that are missing, after a backup; with none missing it does neither.
    /// They are those of every stage in [`Options::stages`], or if it lists none, of [`Options::stage`].
    /// Returns the columns that were added.
    ///
    /// # Errors
    /// As [`Session::run`].
    pub fn init(mut self) -> Result<Vec<String>> {
        let missing = self.handler.missing_columns_of_all();
        if missing.is_empty() {
            self.handler.finish()?;
            return Ok(missing);
        }
        self.handler.refuse_without_room(&missing)?;
        self.handler.sheet().tell_look_alikes(&missing);
        self.back_up()?;
        let added = self.handler.add_columns(&missing)?;
        self.handler.finish()?;
        Ok(added)
    }

    /// Adds the rows of another sheet whose keys are not in this one, after a backup, and returns
    /// how many there were.
    ///
    /// # Errors
    /// As [`Session::run`]; [`Error::ForeignColumn`] of the other sheet, unless this one has results;
    /// [`Error::Unsuitable`] if this one is no copy of it; [`Error::Busy`] if another program takes them away each time.
    pub fn take_new_rows(&mut self, input: &Sheet) -> Result<usize> {
        if !self.handler.sheet().has_own_status() {
            input.refuse_foreign_status()?;
        }
        let history = self.handler.writer()?.history()?;
        refuse_another(input, &self.handler.sheet(), &history)?;
        self.input = input.file().map(Path::to_owned);
        if input.file().is_some() {
            tell_what_is_not_followed(input, &self.handler.sheet(), &history);
        }
        let has_other_rows =
            input.file().is_some() && !Likeness::of(input, &self.handler.sheet()).has_rows;
        let mut added = 0;
        let mut attempts = 0..ADD_ROWS_ATTEMPTS;
        // Once more if another program was at the copy in the same moment.
        loop {
            let sheet = self.handler.sheet();
            let (count, rows) = new_rows(input, &sheet);
            if count == 0 {
                break;
            }
            if attempts.next().is_none() {
                return Err(Error::Busy {
                    path: sheet.path().to_owned(),
                });
            }
            self.back_up()?;
            let mut writer = self.handler.writer()?;
            writer.keep_results_without_rows()?;
            writer.append_rows(&rows)?;
            drop(writer);
            added = count.max(added);
        }
        if let (true, Some(backup)) = (has_other_rows, &self.backup) {
            tracing::warn!(
                "hardly a row of the input was in the copy: if that is another sheet, put it back as it was from {}",
                Escaped::path(backup)
            );
        }
        if added > 0 {
            tracing::info!(rows = added, "added the rows that are new in the input");
        }
        Ok(added)
    }

    /// The columns, as the header names them, and those that a run adds.
    pub fn columns(&self) -> Vec<String> {
        self.handler.sheet().columns_of_a_run()
    }

    /// Ends a session that was prepared by hand. Returns where that is kept of the results which had no
    /// place in the sheet.
    ///
    /// # Errors
    /// [`Error::NotVisible`]: what is missing is in the journal. [`Error::LedAway`]: the sheet shows all, but its
    /// name leads elsewhere by now.
    pub fn finish(self) -> Result<Vec<PathBuf>> {
        let handler = Arc::clone(&self.handler);
        self.finish_with(&[]).0?;
        Ok(handler.kept_unplaced())
    }

    /// The same, after results could not be made durable ([`Results::unsaved`](crate::Results::unsaved)). Returns
    /// besides the file that they are in.
    pub fn finish_with(mut self, unsaved: &[(String, Updates)]) -> (Result<()>, Option<PathBuf>) {
        drop(self.keeper.take());
        let (finished, rescued) = self.handler.finish_with(unsaved);
        let finished = finished.and_then(|()| self.handler.refuse_led_away());
        (finished, rescued)
    }

    fn back_up(&mut self) -> Result<Option<BackupMetadata>> {
        if self.backup.is_some() {
            return Ok(None);
        }
        let mut writer = self.handler.writer()?;
        let made = writer.back_up(&self.id)?;
        let in_use: Vec<PathBuf> = [Some(made.backup_path.clone()), self.input.clone()]
            .into_iter()
            .flatten()
            .collect();
        clean_up(writer.backups(), &in_use);
        drop(writer);
        self.backup = Some(made.backup_path.clone());
        Ok(Some(made))
    }

    fn summary(
        self,
        pool: PoolSummary,
        selection: &Selection,
        not_visible: Option<Error>,
    ) -> Summary {
        Summary {
            session: self.id,
            pool,
            // Nothing of it is missing if a column of the selection has gone meanwhile.
            left_alone: self
                .handler
                .sheet()
                .left_alone(selection)
                .unwrap_or_default(),
            recovered: self.recovered,
            conflicts: self.handler.take_conflicts(),
            unplaced: self.handler.kept_unplaced(),
            lost_results: self.handler.has_lost_results(),
            rekeyed_rows: self.handler.has_rekeyed_rows(),
            backup: self.backup,
            elapsed: self.started.elapsed(),
            not_visible,
            rescued: None,
            taken_over: false,
            moved_to: None,
        }
    }
}

fn tell_what_is_not_followed(input: &Sheet, copy: &Sheet, history: &History) {
    let NotFollowed {
        columns,
        gone,
        changed,
    } = NotFollowed::of(input, copy, history);
    if !columns.is_empty() {
        tracing::warn!(columns = %escape_list(&columns), "the input has columns that the copy does not have: they are not taken over");
    }
    if gone > 0 {
        tracing::warn!(
            rows = gone,
            "rows that are not in the input any more stay in the copy"
        );
    }
    if changed.cells > 0 {
        tracing::warn!(
            cells = changed.cells,
            rows = changed.keys.len(),
            columns = %escape_list(&changed.columns),
            keys = %escape_list(&changed.keys),
            "the input has other cells than the copy, and the copy's are used: to change one, edit {}",
            Escaped::path(copy.path())
        );
    }
}

/// Eight hex digits that two sessions on one sheet hardly share.
pub(super) fn new_id() -> String {
    let now = SystemTime::now()
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let seed = [
        now.as_nanos().to_le_bytes().as_slice(),
        &std::process::id().to_le_bytes(),
    ]
    .concat();
    format!("{:08x}", xxhash_rust::xxh3::xxh3_64(&seed) as u32)
}
