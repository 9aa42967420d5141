//! How a sheet is read and kept.

use std::path::PathBuf;

use crate::domain::ProcessingStatus;
use crate::domain::columns::PO_NUMBER;

/// How a sheet is read and kept. The default suits the sheets of the original system.
#[derive(Debug, Clone)]
pub struct Options {
    /// The key column, matched without regard to case or surrounding blanks: `PO_NUMBER`.
    pub key: String,
    /// The delimiter, an ASCII character, and no quote, line break or NUL. `None`: the one of `;` `,`
    /// TAB with which the header has the key column.
    pub delimiter: Option<u8>,
    /// Whether a PO may stand in several rows: no.
    pub duplicates: Duplicates,
    /// The statuses that count as done, and so are not processed: COMPLETED.
    pub done: Vec<ProcessingStatus>,
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
            key: PO_NUMBER.into(),
            delimiter: None,
            duplicates: Duplicates::Refuse,
            done: vec![ProcessingStatus::Completed],
            add_columns: true,
            backup_dir: None,
            keep: 5,
            allow_network_fs: false,
        }
    }
}

/// What to do with a PO that stands in several rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Duplicates {
    /// Refuse the sheet, with the lines.
    #[default]
    Refuse,
    /// Process it once and write its result to each of its rows.
    All,
}
