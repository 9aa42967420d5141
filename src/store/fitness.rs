//! Whether a sheet can be worked on: one judgement, which `check` and a dry run tell of and everything that
//! writes acts on.
//!
//! It has four parts. What makes bytes unfit as a sheet is said by [`Sheet::build`], through which
//! everybody reads one. What makes a *place* unfit is in [`refuse_place`], whether the columns that a run
//! adds have room in [`refuse_without_room`], and whether its status column is tickoff's in `ownership.rs`.
//! Nothing here changes anything; what only shows when it is tried, keeping the sheet's owner and mode, is
//! tried on a file without a name.

use std::path::Path;

use crate::backup::BackupManager;
use crate::csv::Malformed;
use crate::disk::{Replacement, Rights, Target, refuse_foreign_session};
use crate::domain::{MAX_FIELDS, MAX_RESULT_ROW_BYTES, Problem};
use crate::error::Result;
use crate::sheet::{Options, Sheet};
use crate::store::patience::patiently;

impl Sheet {
    /// Refuses what a run of this sheet at `place`, which is its own path or that of a copy, would refuse
    /// for what the sheet is and for where it would lie. Changes nothing.
    ///
    /// # Errors
    /// [`Error::Unsuitable`](crate::Error::Unsuitable), [`Error::NotAFile`](crate::Error::NotAFile), [`Error::Io`](crate::Error::Io) and [`Error::Backup`](crate::Error::Backup) for the place;
    /// [`Error::ForeignColumn`](crate::Error::ForeignColumn); [`Error::Malformed`](crate::Error::Malformed) if the columns that a run adds have no room.
    pub fn refuse_unfit(&self, place: &Path) -> Result<()> {
        let like = self.file().map(Rights::of_place);
        let target = Target::open_or_missing(place, like.transpose()?.as_ref())?;
        refuse_for_a_run(&target, self.options())?;
        self.refuse_foreign_status()?;
        refuse_without_room(self, &self.missing_columns())
    }
}

/// Refuses a place in which nothing can be written as promised.
pub(crate) fn refuse_place(target: &Target, options: &Options) -> Result<()> {
    target.refuse_unsuitable(options.allow_network_fs)
}

/// The same, and what else a session meets before it changes anything: the files beside the sheet, which it
/// opens, its rights, which it tries to keep, and the folder of its backup.
pub(crate) fn refuse_for_a_run(target: &Target, options: &Options) -> Result<()> {
    refuse_place(target, options)?;
    target.refuse_unusable_siblings()?;
    refuse_foreign_session(target)?;
    if target.path().exists() {
        patiently(target.path(), || {
            Replacement::rehearse_unseen(target).map(Some)
        })?;
    }
    BackupManager::new(target.path(), options.backup_dir.clone(), options.keep)?.refuse_unusable()
}

/// Refuses a header or rows that cannot get these columns, and rows that cannot get results.
pub(crate) fn refuse_without_room(sheet: &Sheet, columns: &[String]) -> Result<()> {
    let refused =
        |offset, problem| Err(Malformed { offset, problem }.at(sheet.path(), sheet.bytes()));
    let most = MAX_FIELDS.saturating_sub(columns.len());
    if sheet.schema().columns().len() > most {
        let problem = Problem::NoRoomFor(columns.to_vec());
        return refused(sheet.dialect().header_end, problem);
    }
    for (start, bytes) in sheet.rows_in_bytes() {
        if bytes > MAX_RESULT_ROW_BYTES {
            return refused(start, Problem::NoRoomForResult);
        }
        // A field has at least the delimiter before it.
        if bytes > most && sheet.fields_from(start) > most {
            return refused(start, Problem::NoRoomFor(columns.to_vec()));
        }
    }
    Ok(())
}
