//! The POs that a run takes, named by their place in the version that they were selected in.

use std::borrow::Cow;
use std::sync::Arc;

use crate::csv::RecordIndex;
use crate::error::Result;
use crate::run::PoList;
use crate::sheet::{Selection, Sheet};

/// What is selected of a sheet, as it was when the run began. That version stays in memory for as long,
/// also when another program's has taken its place; names would take more than the index does.
pub(crate) struct Selected {
    sheet: Arc<Sheet>,
    rows: Box<[RecordIndex]>,
}

impl Selected {
    pub(crate) fn of(sheet: Arc<Sheet>, selection: &Selection) -> Result<Selected> {
        let rows = selection.rows(&sheet)?;
        Ok(Selected { sheet, rows })
    }

    /// Whether that version is the present one.
    pub(crate) fn is_of(&self, sheet: &Arc<Sheet>) -> bool {
        Arc::ptr_eq(&self.sheet, sheet)
    }
}

impl PoList for Selected {
    fn len(&self) -> usize {
        self.rows.len()
    }

    fn po(&self, index: usize) -> Cow<'_, str> {
        self.sheet.key(self.rows[index])
    }
}
