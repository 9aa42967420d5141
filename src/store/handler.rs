//! `CsvHandler`: the sheet as the original system's programs use it.
//!
//! Reading a record or the counts takes no lock. Writing does: a handler has one writer, which
//! `update_record` and the thread of a [`WriteQueue`](crate::WriteQueue) take in turn. Several
//! handlers, in one process or in several, may be open on one sheet.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::ArcSwap;
use chrono::Utc;

use crate::backup::{BackupManager, BackupMetadata, SET};
use crate::disk::Whereabouts;
use crate::disk::link::Link;
use crate::domain::columns::{STATUS, same_column};
use crate::domain::{ProcessingStatus, Stage, format_timestamp, stage_prefix};
use crate::error::{Error, Result};
use crate::sheet::integrity::findings;
use crate::sheet::{
    Conflict, CsvRecord, Diagnostic, Options, ProcessingProgress, Sheet, Updates, WriteOperation,
};
use crate::store::backups::clean_up;
use crate::store::patience::patiently;
use crate::store::writer::{self, Checkpoint, Judged, Recovery, Rescued, Writer, Writes};
use crate::store::{fitness, left_behind};
use crate::text::Escaped;

/// A sheet opened for reading and writing.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("input.csv");
/// # std::fs::write(&path, "PO_NUMBER;STATUS\nPO1;PENDING\n")?;
/// use tickoff::{CsvHandler, ProcessingStatus, Updates};
///
/// let handler = CsvHandler::open(&path, folder.path().join("backup"))?;
/// handler.update_record("PO1", Updates::status(ProcessingStatus::Completed))?;
/// assert_eq!(handler.get_processing_progress().completed, 1);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
pub struct CsvHandler {
    sheet: Arc<ArcSwap<Sheet>>,
    writer: Mutex<Writer>,
    /// Guards no data; taken before the writer.
    turn: Mutex<()>,
    options: Options,
    /// If it was opened through one.
    link: Option<Link>,
}

impl CsvHandler {
    /// Opens a sheet; its backups go to `backup_dir`.
    ///
    /// Results that an interrupted session left in the journal are seen by every reading method at
    /// once, and become visible in the CSV with the first write.
    ///
    /// # Errors
    /// [`Error::Unsuitable`] where the promises cannot be kept; what makes a file unfit as a sheet,
    /// as for [`Sheet::read`]; [`Error::Busy`] if another program keeps it open for writing. The
    /// sheet is untouched.
    pub fn open(path: impl AsRef<Path>, backup_dir: impl AsRef<Path>) -> Result<CsvHandler> {
        let backup_dir = Some(backup_dir.as_ref().to_owned());
        CsvHandler::open_with(
            path,
            &Options {
                backup_dir,
                ..Options::default()
            },
        )
    }

    /// Opens a sheet that is not quite like those of the original system.
    ///
    /// # Errors
    /// As [`CsvHandler::open`].
    pub fn open_with(path: impl AsRef<Path>, options: &Options) -> Result<CsvHandler> {
        CsvHandler::open_in(path.as_ref(), options, None, Judged::NotYet)
            .map(|(handler, _)| handler)
    }

    /// Opens a sheet in a session of its own.
    pub(crate) fn open_in(
        path: &Path,
        options: &Options,
        session: Option<&str>,
        judged: Judged<'_>,
    ) -> Result<(CsvHandler, Recovery)> {
        let target = Arc::new(left_behind::open(path)?);
        let link = Link::to(path, &target);
        let (writer, recovery) = Writer::open(target, options, session, judged)?;
        if let Some(link) = &link
            && let Err(error) = link.remember()
        {
            tracing::debug!(%error, "where the link leads is not remembered beside it");
        }
        let handler = CsvHandler {
            sheet: Arc::clone(writer.sheet()),
            writer: Mutex::new(writer),
            turn: Mutex::new(()),
            options: options.clone(),
            link,
        };
        Ok((handler, recovery))
    }

    /// The row of a PO, `None` if there is none.
    pub fn record(&self, po: &str) -> Option<CsvRecord> {
        self.sheet.load().record(po)
    }

    /// The status of a PO, `None` if there is no such row.
    pub fn status(&self, po: &str) -> Option<ProcessingStatus> {
        self.sheet.load().status(po)
    }

    /// Whether a status counts as done.
    pub fn is_done(&self, status: &ProcessingStatus) -> bool {
        self.options.is_done(status)
    }

    /// Every row that is to be processed, in the sheet's order: its status is anything that does
    /// not count as done. A PO in several rows is there once. A run does not take all of them: it leaves
    /// those alone whose status is a word that nobody knows.
    pub fn get_pending_records(&self) -> Vec<CsvRecord> {
        self.sheet.load().pending().collect()
    }

    /// Their POs.
    pub fn pending_pos(&self) -> Vec<String> {
        self.sheet.load().pending_pos().collect()
    }

    /// How many they are.
    pub fn pending_count(&self) -> usize {
        self.sheet.load().pending_rows().count()
    }

    /// Rows by status.
    pub fn get_processing_progress(&self) -> ProcessingProgress {
        self.sheet.load().progress()
    }

    /// The columns, as the header names them, without surrounding blanks.
    pub fn columns(&self) -> Vec<String> {
        self.sheet.load().columns()
    }

    /// What a person should look at in the sheet: see [`Diagnostic`].
    pub fn validate_csv_integrity(&self) -> Vec<Diagnostic> {
        findings(&self.sheet.load())
    }

    /// Writes to the rows of a PO, and returns when the result is durable and the public CSV shows
    /// it.
    ///
    /// # Errors
    /// [`Error::UnknownPo`], [`Error::UnknownColumn`], [`Error::InvalidValue`],
    /// [`Error::Transition`], [`Error::NotDurable`]: nothing was changed. [`Error::NotVisible`]:
    /// the result is durable in the journal, and the next write includes it.
    pub fn update_record(&self, po: &str, updates: impl Into<Updates>) -> Result<()> {
        self.update(po, updates.into(), false)
    }

    /// The same for a person's decision: it may take a PO out of COMPLETED and back to PENDING.
    ///
    /// # Errors
    /// As [`CsvHandler::update_record`], without [`Error::Transition`].
    pub fn update_record_forced(&self, po: &str, updates: impl Into<Updates>) -> Result<()> {
        self.update(po, updates.into(), true)
    }

    /// The same for what a person changes by hand, perhaps before any session: if nothing was ever
    /// written to the sheet it is backed up before, once. A change that is refused makes no backup.
    ///
    /// While a session goes on, the result of a job may take the place of what the person wrote; then the sheet
    /// with that is kept in a copy, and [`CsvHandler::take_conflicts`] names both values. STATUS and its time are
    /// not meant by that: the result is the answer to them.
    ///
    /// # Errors
    /// As [`CsvHandler::update_record_forced`]; [`Error::Io`], [`Error::Backup`] if there can be no
    /// backup: nothing was changed.
    pub fn set_record(&self, po: &str, updates: impl Into<Updates>) -> Result<()> {
        let updates = self.as_set(po, updates.into().in_general(&self.options.stage))?;
        self.validate(po, &updates)?;
        let made = self.writer()?.back_up_original(SET)?;
        if let Some(made) = made {
            clean_up(self.writer()?.backups(), &[made.backup_path]);
        }
        self.write(&WriteOperation {
            force: true,
            is_by_hand: true,
            ..WriteOperation::new(po, updates)
        })
    }

    /// What a person sets, where the sheet says which columns keep a state and which are the person's own.
    fn as_set(&self, po: &str, updates: Updates) -> Result<Updates> {
        let sheet = self.sheet.load();
        let schema = sheet.schema();
        let has_column = |name: &str| schema.position(name).is_some();
        let prefix = |column: &str| {
            let prefix = stage_prefix(column, STATUS).filter(|prefix| !prefix.is_empty())?;
            let listed = &mut self.options.stages.iter();
            let is_listed = listed.any(|stage| same_column(stage.status(), column));
            (is_listed || schema.is_state(column)).then(|| prefix.to_owned())
        };
        let updates = match sheet.status_is_text() {
            true => updates.with_status_as_text(),
            false => updates,
        };
        let now = format_timestamp(Utc::now());
        updates.with_states(po.trim(), &self.options, &now, prefix, has_column)
    }

    fn update(&self, po: &str, updates: Updates, force: bool) -> Result<()> {
        self.write(&WriteOperation {
            force,
            ..WriteOperation::new(po, updates.in_general(&self.options.stage))
        })
    }

    fn write(&self, operation: &WriteOperation) -> Result<()> {
        let answers = self.writer()?.commit(&[operation]);
        answers
            .into_iter()
            .next()
            .expect("one answer for each operation")?;
        self.make_visible()
    }

    /// Refuses what can be refused without waiting for the writer.
    pub(crate) fn validate(&self, po: &str, updates: &Updates) -> Result<()> {
        let sheet = self.sheet.load();
        if sheet.rows(po).next().is_none() {
            return Err(sheet.unknown_po(po));
        }
        updates.validate(po.trim(), self.options.encoding)?;
        let schema = sheet.schema();
        for (column, _) in updates.iter() {
            if !(self.options.add_columns && self.options.stage.addable(column).is_some()) {
                schema.require(self.options.stage.column(column), &self.options)?;
            }
        }
        Ok(())
    }

    /// Brings the public CSV up to all that is durable.
    fn make_visible(&self) -> Result<()> {
        let path = self.path();
        let shown = patiently(&path, || self.checkpoint().map(Checkpoint::done));
        shown.map_err(|error| Error::NotVisible {
            path,
            source: Box::new(error),
        })
    }

    /// One checkpoint after the other: two at once would write the same twice.
    pub(crate) fn checkpoint(&self) -> Result<Checkpoint> {
        let _turn = self.turn.lock().unwrap_or_else(PoisonError::into_inner);
        writer::checkpoint(|| self.writer())
    }

    /// Backs up the sheet as it is, durably, to `input_YYYYMMDD_HHMMSS_{session_id}.csv`. If nothing was
    /// ever written to it the backup is also kept as its original, `….original.csv`, which no retention
    /// deletes.
    ///
    /// # Errors
    /// [`Error::Backup`] for a session id that is not made of letters, digits, `-` and `_`;
    /// [`Error::Io`] if it cannot be written. The sheet is untouched.
    pub fn create_session_backup(&self, session_id: &str) -> Result<BackupMetadata> {
        self.writer()?.back_up(session_id)
    }

    /// Where the backups of the sheet are.
    ///
    /// # Errors
    /// [`Error::WriterDied`] if it died in the middle of something.
    pub fn backups(&self) -> Result<BackupManager> {
        Ok(self.writer()?.backups().clone())
    }

    /// Adds those of `STATUS`, `LAST_PROCESSED` and `ERROR_MESSAGE`, as the stage calls them, that are missing at the end of
    /// the header, and pads every row in the same rewrite. Returns those that it added.
    ///
    /// # Errors
    /// [`Error::Malformed`] if the header has no room for them, [`Error::Io`]: nothing was added.
    /// [`Error::NotVisible`]: what is missing is in the journal.
    pub fn add_missing_columns(&self) -> Result<Vec<String>> {
        self.add_columns(&self.missing_columns())
    }

    pub(crate) fn add_columns(&self, names: &[String]) -> Result<Vec<String>> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let added = self.writer()?.add_columns(names)?;
        self.make_visible()?;
        Ok(added)
    }

    /// Refuses a header that has no room for these columns.
    pub(crate) fn refuse_without_room(&self, columns: &[String]) -> Result<()> {
        fitness::refuse_without_room(&self.sheet.load(), columns)
    }

    pub(crate) fn missing_columns(&self) -> Vec<String> {
        self.sheet.load().missing_columns()
    }

    /// The columns that are missing of every stage that is listed, or if none is, of the one that is worked on.
    pub(crate) fn missing_columns_of_all(&self) -> Vec<String> {
        match &self.options.stages[..] {
            [] => self.missing_columns(),
            listed => self.sheet.load().missing_columns_of(listed),
        }
    }

    /// Takes in what other programs did to the public file, if that can be done now.
    pub(crate) fn take_in_edits(&self) {
        if let Ok(mut writer) = self.writer() {
            writer.look_for_edits();
        }
    }

    /// Makes everything visible and closes the journal, unless a session of another process still
    /// needs it. Dropping a handler does the same for what is visible already, and reports nothing.
    ///
    /// # Errors
    /// [`Error::NotVisible`]: what is missing is in the journal, and the next session writes it.
    /// [`Error::Rescued`]: the journal is gone, and everything is in a file.
    pub fn finish(&self) -> Result<()> {
        self.finish_with(&[]).0
    }

    /// The same, after results of jobs could not be made durable. Returns the file that they are in, or those
    /// that have no place in the sheet.
    pub(crate) fn finish_with(
        &self,
        unsaved: &[(String, Updates)],
    ) -> (Result<()>, Option<PathBuf>) {
        let mut writer = match self.writer() {
            Ok(writer) => writer,
            Err(died) => return (Err(died), None),
        };
        let in_reach = |writer: &Writer| writer.refuse_out_of_reach();
        let finished = in_reach(&writer).and_then(|()| writer.finish());
        let finished = finished.and_then(|()| in_reach(&writer));
        if finished.is_ok() && unsaved.is_empty() {
            return (finished, None);
        }
        let unsaved: Vec<WriteOperation> = unsaved
            .iter()
            .map(|(po, updates)| WriteOperation {
                force: true,
                is_result: true,
                ..WriteOperation::new(po, updates.clone())
            })
            .collect();
        let rescued = writer.rescue(&unsaved, finished.is_ok());
        let is_journal_gone = writer.is_journal_gone();
        drop(writer);
        match rescued {
            Ok(Rescued {
                sheet: None,
                results,
            }) => (finished, results),
            Ok(Rescued {
                sheet: Some(kept),
                results,
            }) => {
                if let Some(results) = &results {
                    tracing::warn!(kept = %Escaped::path(results), "what has no place in the sheet is kept");
                }
                let finished = finished.map_err(|error| Error::Rescued {
                    path: self.path(),
                    kept: kept.clone(),
                    source: match error {
                        Error::NotVisible { source, .. } => source,
                        other => Box::new(other),
                    },
                });
                (finished, Some(kept))
            }
            Err(error) => {
                tracing::error!(error = %error.chain(), "what is not in the sheet could not be kept elsewhere either");
                let finished = finished.map_err(|not_visible| match is_journal_gone {
                    true => error,
                    false => not_visible,
                });
                (finished, None)
            }
        }
    }

    /// The cells that another program changed as well, since they were taken last.
    pub fn take_conflicts(&self) -> Vec<Conflict> {
        self.writer()
            .map(|mut writer| writer.take_conflicts())
            .unwrap_or_default()
    }

    /// The copies, beside the backups, of results that had no place in the sheet when the journal
    /// was closed: their row or column was gone, or they were not to be written.
    pub fn kept_unplaced(&self) -> Vec<PathBuf> {
        self.writer()
            .map(|writer| writer.kept_unplaced())
            .unwrap_or_default()
    }

    /// The keys of which the journal has results, also those whose rows are gone.
    ///
    /// # Errors
    /// The journal cannot be read.
    pub fn keys_with_results(&self) -> Result<HashSet<String>> {
        let history = self.writer()?.history()?;
        let unplaced = history.unplaced().iter().map(|update| update.po.as_str());
        Ok(history
            .results()
            .chain(unplaced)
            .map(str::to_owned)
            .collect())
    }

    /// Whether the journal was damaged when it was read, so that results in it may be lost: those that the
    /// sheet does not show. Their rows are still to be done. The damaged journal is kept beside the sheet.
    pub fn has_lost_results(&self) -> bool {
        self.writer().is_ok_and(|writer| writer.has_lost_results())
    }

    /// Whether another program gave rows that have a result another key: they stay done under it.
    pub fn has_rekeyed_rows(&self) -> bool {
        self.writer().is_ok_and(|writer| writer.has_rekeyed_rows())
    }

    pub(crate) fn options(&self) -> &Options {
        &self.options
    }

    /// The stage that is worked on.
    pub fn stage(&self) -> Stage {
        self.sheet.load().options().stage.clone()
    }

    /// The sheet's canonical path.
    pub fn path(&self) -> PathBuf {
        self.sheet.load().path().to_owned()
    }

    /// Where the sheet's folder is by now, if not at its path.
    pub(crate) fn moved_to(&self) -> Option<PathBuf> {
        match self.writer().ok()?.target().whereabouts() {
            Whereabouts::Moved(path) => Some(path),
            Whereabouts::There | Whereabouts::Nowhere => None,
        }
    }

    /// Refuses a name that leads to the sheet no more.
    pub(crate) fn refuse_led_away(&self) -> Result<()> {
        self.link
            .as_ref()
            .map_or(Ok(()), left_behind::refuse_led_away)
    }

    pub(crate) fn writes(&self) -> Writes {
        self.writer()
            .map(|writer| writer.writes())
            .unwrap_or_default()
    }

    /// The sheet as it is now. Results that are written to it later are seen in it, until another
    /// program's version takes its place.
    pub fn sheet(&self) -> Arc<Sheet> {
        self.sheet.load_full()
    }

    /// The writer; an error if it died in the middle of something.
    pub(crate) fn writer(&self) -> Result<MutexGuard<'_, Writer>> {
        self.writer.lock().map_err(|_| Error::WriterDied {
            message: "it panicked while it held the sheet".into(),
        })
    }
}

impl CsvHandler {
    /// What dropping it does.
    pub(crate) fn close(&self) {
        if let Ok(mut writer) = self.writer()
            && let Err(error) = writer.close()
        {
            tracing::warn!(error = %error.chain(), "the journal is left for the next session");
        }
    }
}

impl Drop for CsvHandler {
    fn drop(&mut self) {
        self.close();
    }
}
