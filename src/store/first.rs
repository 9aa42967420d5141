//! Whether a version of a sheet is the one before anything was written to it, which is kept for good.
//!
//! Nothing was written if no LAST_PROCESSED stands in it: whatever gives a row a status gives it that as
//! well. It is kept once for each sheet, not for each session that begins before there is a result. But
//! another sheet may come to have the name, next month's export say, and gets an original of its own. Two
//! versions are of one sheet if nearly all keys of each are in the other: a sheet that has grown is
//! worth another original more than it is worth being taken for the old one.

use std::borrow::Cow;
use std::collections::HashSet;
use std::path::Path;

use crate::backup::BackupManager;
use crate::csv::RecordIndex;
use crate::disk::Snapshot;
use crate::domain::columns::LAST_PROCESSED;
use crate::domain::parse_timestamp;
use crate::error::{Error, Result};
use crate::sheet::{Sheet, text};

/// Which of its two versions of the sheet is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Shown {
    /// The file as it was read.
    Base,
    /// That, with everything that was written since.
    Now,
}

/// Whether no result stands in the sheet, and its original is not kept yet.
pub(crate) fn is_original(sheet: &Sheet, shown: Shown, backups: &BackupManager) -> Result<bool> {
    if has_results(sheet, shown) {
        return Ok(false);
    }
    let is_kept = |path: &Path| {
        let bytes = std::fs::read(path).map_err(Error::io("read", path))?;
        Ok(
            match Sheet::build(Snapshot::Owned(bytes), path, sheet.options()) {
                Ok(original) => is_one_sheet(&original, sheet),
                // Whatever it is, it is not this sheet.
                Err(_) => false,
            },
        )
    };
    for original in backups.list_originals()? {
        if is_kept(&original.backup_path)? {
            return Ok(false);
        }
    }
    Ok(true)
}

pub(crate) fn has_results(sheet: &Sheet, shown: Shown) -> bool {
    let Some(column) = sheet.schema().position(LAST_PROCESSED) else {
        return false;
    };
    let cell = |row: RecordIndex| match shown {
        Shown::Base => text(sheet.base_cell(row, column)),
        Shown::Now => sheet.cell(row, column),
    };
    sheet
        .all_rows()
        .any(|row| parse_timestamp(&cell(row)).is_some())
}

fn is_one_sheet(a: &Sheet, b: &Sheet) -> bool {
    let (a, b) = (keys(a), keys(b));
    let shared = a.intersection(&b).count();
    shared * 10 >= a.len().max(b.len()) * 9
}

fn keys(sheet: &Sheet) -> HashSet<Cow<'_, str>> {
    sheet.all_rows().map(|row| sheet.key(row)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::Options;

    fn sheet(csv: &str) -> Sheet {
        let bytes = Snapshot::Owned(csv.as_bytes().to_vec());
        Sheet::build(bytes, Path::new("in.csv"), &Options::default()).unwrap()
    }

    #[test]
    fn a_valid_time_of_processing_is_a_result() {
        let of = |cell: &str| {
            let csv = format!("PO_NUMBER;STATUS;LAST_PROCESSED\nP1;COMPLETED;\nP2;;{cell}\n");
            has_results(&sheet(&csv), Shown::Now)
        };
        assert!(of("2026-01-05T10:15:00Z"));
        assert!(!of(""));
        assert!(!of("never"));
        assert!(!has_results(
            &sheet("PO_NUMBER;STATUS\nP1;COMPLETED\n"),
            Shown::Now
        ));
    }

    #[test]
    fn sheets_are_one_if_nearly_all_their_keys_are() {
        let of = |from: usize, to: usize| {
            let rows: String = (from..to).map(|n| format!("P{n}\n")).collect();
            sheet(&format!("PO_NUMBER\n{rows}"))
        };
        assert!(is_one_sheet(&of(0, 10), &of(0, 10)));
        assert!(is_one_sheet(&of(0, 10), &of(1, 10)));
        assert!(is_one_sheet(&of(0, 0), &of(0, 0)));
        assert!(!is_one_sheet(&of(0, 10), &of(2, 10)));
        assert!(!is_one_sheet(&of(0, 10), &of(0, 100)), "it has grown");
        assert!(!is_one_sheet(&of(0, 10), &of(10, 20)));
        assert!(!is_one_sheet(&of(0, 0), &of(0, 10)));
    }
}
