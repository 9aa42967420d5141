//! What other programs did to the public file meets what was written to the sheet.
//!
//! An in-place writer may be half done, so a version is only taken as the new base once it has
//! rested, nobody has it open for writing, and it is whole; one that cannot be a base is kept in a
//! copy beside the backups, and so is one that lost rows. Every function here runs under the write
//! lock.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use super::{GRACE, SETTLE, SETTLE_SUSPICIOUS, Writer, take};
use crate::disk::replace::Displaced;
use crate::disk::snapshot::Snapshot;
use crate::disk::version::Stamp;
use crate::error::{Error, Result};
use crate::journal::frame::Frame;
use crate::sheet::merge::{self, Held};
use crate::sheet::table::Sheet;
use crate::sys::lease::{Lease, Leased};
use crate::text::escape::escape;

/// A displaced file with an edit that is not merged yet.
pub(super) struct Unmerged {
    edit: Displaced,
    /// The edits that were held when it lost its public name.
    held: Held,
    /// The base that it is an edit of was forgotten: compared with a later one, whatever others wrote
    /// since would look like an edit that took it back.
    is_stray: bool,
}

impl Unmerged {
    pub(super) fn new(edit: Displaced, sheet: &Sheet) -> Unmerged {
        Unmerged {
            edit,
            held: merge::held(sheet),
            is_stray: false,
        }
    }

    /// The sheet is read anew.
    pub(super) fn lose_its_base(&mut self) {
        self.is_stray = true;
    }
}

impl Writer {
    /// Takes the public file, which another program changed, as the new base. `false`: not yet.
    pub(super) fn merge_public(&mut self, file: &File, stamp: Stamp) -> Result<bool> {
        let in_place = stamp.inode == self.public.stamp.inode;
        // A program that never rests may not put us off for ever: nobody has the file open now, and
        // whether it is whole is looked at below.
        let patient = self
            .put_off_since
            .is_none_or(|since| since.elapsed() < SETTLE_SUSPICIOUS);
        if in_place && patient && self.rest.of(&stamp) < SETTLE {
            return Ok(false);
        }
        let Some((snapshot, version)) = take(&self.target)? else {
            return Ok(false);
        };
        if version.stamp != stamp {
            return Ok(false);
        }
        let age = self.rest.of(&stamp);
        if self.merge_version(snapshot, file, age)? {
            self.public = version;
            return Ok(true);
        }
        Ok(false)
    }

    /// Merges the edits in displaced files. `false`: somebody is still writing to one.
    pub(super) fn merge_displaced(&mut self) -> Result<bool> {
        while let Some(unmerged) = self.displaced.pop() {
            match self.merge_edit(&unmerged) {
                Ok(true) => unmerged.edit.remove(&self.target)?,
                not_merged => {
                    self.displaced.push(unmerged);
                    return not_merged;
                }
            }
        }
        Ok(true)
    }

    /// Merges the edit in a displaced file. Until now the public file showed nothing of it, and its
    /// author may have gone on from there, so the edited cells go into the journal: a later version
    /// that shows what they held before did not mean to undo them.
    fn merge_edit(&mut self, unmerged: &Unmerged) -> Result<bool> {
        let Unmerged {
            edit,
            held,
            is_stray,
        } = unmerged;
        let read = || Error::io("read", self.target.path());
        let stamp = Stamp::of(&edit.file.metadata().map_err(read())?);
        let age = self.rest.of(&stamp);
        let quiet = match Lease::take(&edit.file) {
            Leased::Held(_) => !edit.in_place || age >= SETTLE,
            Leased::Refused => false,
            Leased::Unsupported => age >= SETTLE_SUSPICIOUS,
        };
        if !quiet {
            return Ok(false);
        }
        if *is_stray {
            let kept = self
                .backups
                .keep_copy(&edit.file, "outside", &self.session_id)?;
            tracing::warn!(kept = %escape(&kept.display().to_string()), "another program changed the sheet while it was replaced, and others have gone on since; a copy of its version is kept");
            return Ok(true);
        }
        let old = self.sheet.load_full();
        let snapshot = Snapshot::copy(&self.target, &edit.file)?;
        if !self.merge_version(snapshot, &edit.file, age)? {
            return Ok(false);
        }
        let new = self.sheet.load_full();
        if Arc::ptr_eq(&old, &new) {
            return Ok(true);
        }
        let (rows, is_all) = merge::edits(&old, &new, held);
        if !is_all || new.columns() != old.columns() || new.has_repeated() {
            let kept = self
                .backups
                .keep_copy(&edit.file, "outside", &self.session_id)?;
            tracing::warn!(kept = %escape(&kept.display().to_string()), "another program changed more than single cells while the sheet was replaced; a copy of its version is kept");
        }
        if !rows.is_empty() {
            self.make_durable(Frame {
                at: Utc::now(),
                rows,
            })?;
        }
        Ok(true)
    }

    /// Makes an outside version the base and brings everything that tickoff wrote to it; or keeps a
    /// copy of it, if it cannot be a base. `false`: it may be half written, try again later.
    fn merge_version(&mut self, snapshot: Snapshot, file: &File, age: Duration) -> Result<bool> {
        let old = self.sheet.load_full();
        let built = Sheet::build(snapshot, self.target.path(), &self.options);
        let suspicious = is_suspicious(&built, &old);
        if suspicious && age < SETTLE_SUSPICIOUS {
            return Ok(false);
        }
        self.fall_behind();
        if suspicious {
            let kept = self.backups.keep_copy(file, "outside", &self.session_id)?;
            let why = built
                .as_ref()
                .map_or_else(Error::chain, |_| "it has fewer rows".into());
            tracing::warn!(%why, kept = %escape(&kept.display().to_string()), "another program wrote a suspicious version of the sheet; a copy is kept");
        }
        let Ok(new) = built else { return Ok(true) };
        let merged = merge::transfer(&old, &new, &self.unplaced);
        merge::log(&merged);
        self.adopt(new, merged);
        Ok(true)
    }

    /// Keeps a copy of what somebody wrote to a displaced file where no lease tells of it. It is too
    /// old to be merged: others may have gone on from the version that displaced it.
    pub(super) fn look_at_watched(&mut self) -> Result<()> {
        for (file, stamp, since) in std::mem::take(&mut self.watched) {
            let now = Stamp::of(
                &file
                    .metadata()
                    .map_err(Error::io("read", self.target.path()))?,
            );
            if !now.same_data(&stamp) {
                let kept = self.backups.keep_copy(&file, "outside", &self.session_id)?;
                tracing::warn!(kept = %escape(&kept.display().to_string()), "another program wrote to a version of the sheet that was just replaced; a copy is kept");
            } else if since.elapsed() < GRACE {
                self.watched.push((file, stamp, since));
            }
        }
        Ok(())
    }
}

/// Whether a version may be half written, though nobody has it open: it is no sheet, or lost rows.
pub(super) fn is_suspicious(new: &Result<Sheet>, old: &Sheet) -> bool {
    new.as_ref()
        .map_or(true, |new| new.progress().total < old.progress().total)
}
