//! How a sheet is read and kept.

use std::path::PathBuf;

use crate::domain::Encoding;
use crate::domain::columns::same_column;
use crate::domain::{KeyColumns, ProcessingStatus, Stage};
use crate::error::Error;

/// How a sheet is read and kept. The default suits the sheets of the original system.
#[derive(Debug, Clone)]
pub struct Options {
    /// The column that holds the key of each row, or several: `PO_NUMBER`.
    pub key: KeyColumns,
    /// The delimiter, an ASCII character, and no quote, line break or NUL. `None`: the one of `;` `,`
    /// TAB with which the header has the key columns.
    pub delimiter: Option<u8>,
    /// The encoding of the cells, the header and what is written to them: UTF-8.
    pub encoding: Encoding,
    /// Whether a sheet that is UTF-8, letters beyond ASCII too, is refused if [`encoding`](Self::encoding) is another
    /// one: no. For an encoding that is only [remembered](Self::remembered), yes: another program has saved it so since.
    pub refuse_utf8: bool,
    /// Whether a key may stand in several rows: no.
    pub duplicates: Duplicates,
    /// The step of the work whose state is read and written: the main one. STATUS, LAST_PROCESSED and
    /// ERROR_MESSAGE in [`Updates`](crate::Updates) mean its columns.
    pub stage: Stage,
    /// The stage in which a row must be done to be processed: none.
    pub after: Option<Stage>,
    /// The stages of the sheet's work: none. [`Session::init`](crate::Session::init) adds their columns. What works
    /// on a stage, and what reads its state, looks at `stage` alone.
    pub stages: Vec<Stage>,
    /// The statuses that count as done, and so are not processed: COMPLETED.
    pub done: Vec<ProcessingStatus>,
    /// The statuses that count as failures besides ERROR, FAILED, PARTIAL and `PO_NOT_FOUND`: none.
    pub failed: Vec<ProcessingStatus>,
    /// The words of STATUS that say that a row is still to be processed, besides PENDING: none. A row with
    /// a word that is neither known nor among these three lists is left alone by a run.
    pub todo: Vec<ProcessingStatus>,
    /// Whether what is done is processed as well: no.
    pub take_done: bool,
    /// Whether a run processes rows with a word of STATUS that nobody knows as well: no.
    pub take_unknown: bool,
    /// Whether columns that the sheet lacks are added for what is written: yes. An update adds those of
    /// the 14, the result of a job any, up to [`MAX_ADDED_COLUMNS`](crate::MAX_ADDED_COLUMNS) of its own.
    pub add_columns: bool,
    /// The folder for backups. `None`: `backup` beside the sheet.
    pub backup_dir: Option<PathBuf>,
    /// How many backups are kept: 5.
    pub keep: usize,
    /// Whether a sheet on a network filesystem is accepted, where nothing is promised: no.
    pub allow_network_fs: bool,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            key: KeyColumns::default(),
            delimiter: None,
            encoding: Encoding::UTF_8,
            refuse_utf8: false,
            duplicates: Duplicates::Refuse,
            stage: Stage::default(),
            after: None,
            stages: Vec::new(),
            done: vec![ProcessingStatus::Completed],
            failed: Vec::new(),
            todo: Vec::new(),
            take_done: false,
            take_unknown: false,
            add_columns: true,
            backup_dir: None,
            keep: 5,
            allow_network_fs: false,
        }
    }
}

impl Options {
    /// By which key and in which encoding the sheet is read: what a journal has to know of it.
    pub(crate) fn form(&self) -> (&KeyColumns, Encoding) {
        (&self.key, self.encoding)
    }

    /// The error for a column that is not there, if it is one of a stage that is listed.
    pub(crate) fn not_begun(&self, column: &str) -> Option<Error> {
        let is_asked_for = |own: &&str| same_column(own, column);
        let mut stages = self.stages.iter();
        let (stage, column) = stages.find_map(|stage| {
            let own = stage.columns().into_iter().find(is_asked_for)?;
            Some((stage, own))
        })?;
        Some(Error::StageNotBegun {
            stage: stage.to_string(),
            column: column.to_owned(),
        })
    }

    /// What may be meant by a plain column of a row's state that is not there, where others are worked on: that of
    /// the stage that is worked on, or else those of the stages that are listed, at most three.
    pub(crate) fn of_stages(&self, column: &str) -> Vec<String> {
        let main = Stage::default();
        if !main.has_column(column) || self.stages.iter().any(Stage::is_main) {
            return Vec::new();
        }
        let stages = match self.stage.is_main() {
            true => &self.stages[..],
            false if self.stages.is_empty() => &[],
            false => std::slice::from_ref(&self.stage),
        };
        let names = stages.iter().map(|stage| stage.column(column).to_owned());
        names.take(3).collect()
    }

    /// Whether a row with this status is not to be processed any more.
    pub(crate) fn is_done(&self, status: &ProcessingStatus) -> bool {
        !self.take_done && self.means_done(status)
    }

    /// Whether a status says that a stage's work on a row is done.
    pub(crate) fn means_done(&self, status: &ProcessingStatus) -> bool {
        contains(&self.done, status)
    }

    /// Whether a status says that the last attempt failed.
    pub(crate) fn is_failure(&self, status: &ProcessingStatus) -> bool {
        status.is_failure() || contains(&self.failed, status)
    }

    /// Whether it is said what a status means: by us, or by whoever declared the word.
    pub(crate) fn is_known(&self, status: &ProcessingStatus) -> bool {
        let declared = [&self.done, &self.failed, &self.todo];
        !matches!(status, ProcessingStatus::Other(_))
            || declared.into_iter().any(|words| contains(words, status))
    }

    /// Whether a run leaves a row with this status alone.
    pub(crate) fn leaves_alone(&self, status: &ProcessingStatus) -> bool {
        !self.take_unknown && !self.is_known(status)
    }

    /// Whether a result may take a row from one status to another one: see [`ProcessingStatus::may_become`].
    pub(crate) fn may_become(&self, from: &ProcessingStatus, to: &ProcessingStatus) -> bool {
        match self.is_failure(from) {
            true => *to != ProcessingStatus::Pending,
            false => from.may_become(to),
        }
    }
}

fn contains(words: &[ProcessingStatus], status: &ProcessingStatus) -> bool {
    words.iter().any(|word| word.is_same_word(status))
}

/// What to do with a key that stands in several rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// Refuse the sheet, with the lines.
    #[default]
    Refuse,
    /// Process it once and write its result to each of its rows.
    All,
}
