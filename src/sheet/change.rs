//! The cells that one update comes to, as the journal holds them and every process applies them.

use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use smallvec::SmallVec;

use crate::sheet::row_of::RowOf;

/// The new cells of a PO's rows.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
pub(crate) struct RowUpdate {
    pub(crate) po: CompactString,
    pub(crate) cells: Vec<CellUpdate>,
    /// Cells of a job's result that must not be written, wherever their row and columns are: they are only
    /// to be kept beside the backups (see `unplaced.rs`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) aside: bool,
    /// What another program wrote in one row of a key that stands in several: the cells are of that row alone.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) row: Option<RowOf>,
}

impl RowUpdate {
    /// A value that is only to be kept beside the backups.
    pub(crate) fn aside(po: &str, column: &str, value: &str) -> RowUpdate {
        let cell = CellUpdate {
            column: column.into(),
            value: value.into(),
            before: Before::new(),
            outside: false,
        };
        RowUpdate {
            po: po.into(),
            cells: vec![cell],
            aside: true,
            row: None,
        }
    }
}

/// Values that a cell had: most often one.
pub(crate) type Before = SmallVec<[CompactString; 1]>;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct CellUpdate {
    pub(crate) column: CompactString,
    pub(crate) value: CompactString,
    /// What the cell showed before: an outside version that still shows it did not change it.
    pub(crate) before: Before,
    /// Another program's edit that our exchange took out of sight for a moment (see `merge.rs`).
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) outside: bool,
}

/// A value that loses letters in the sheet's encoding.
pub(crate) struct Lossy {
    pub(crate) po: String,
    pub(crate) column: String,
    /// The first that cannot be written.
    pub(crate) letter: char,
}
