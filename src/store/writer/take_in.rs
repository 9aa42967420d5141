//! What others did is taken in: other tickoff processes through the journal, other programs through
//! the public file.
//!
//! What others appended to the journal is applied in its order. What other programs did to the public
//! file meets what was written to the sheet: their version becomes the base, and everything that
//! tickoff wrote is brought to it. One that cannot be a base is kept in a copy beside the backups, and
//! so is one that lost rows. Every function here runs under the write lock.

use std::fs::File;
use std::sync::Arc;
use std::time::Duration;

use chrono::Utc;

use crate::disk::{Snapshot, Stamp};
use crate::error::{Error, Result};
use crate::journal::{Frame, frame};
use crate::sheet::merge::{self, Merged};
use crate::sheet::{Sheet, render};
use crate::sys::lease::{Lease, Leased};

use super::Writer;
use super::outside::{SETTLE, SETTLE_SUSPICIOUS, Unmerged, is_suspicious, take};

impl Writer {
    /// Takes in what other processes wrote through the journal. `false`: the sheet has to be read anew
    /// and somebody is writing to it; what was known before is not used again until it has been read.
    pub(super) fn catch_up(&mut self) -> Result<bool> {
        let has_changed = || self.outside.has_changed(&self.site.target);
        let Some(frames) = self.durable.news(has_changed)? else {
            return self.read_anew();
        };
        if !frames.is_empty() {
            let unplaced = merge::apply(&self.sheet.load(), frame::updates(&frames));
            self.durable.add_unplaced(unplaced);
            self.visible.fall_behind();
        }
        Ok(true)
    }

    /// Forgets what was known: all of it was made visible by somebody else, who emptied the log.
    fn read_anew(&mut self) -> Result<bool> {
        let frames = self.durable.read_log()?;
        let Some((snapshot, version)) = take(&self.site.target)? else {
            return Ok(false);
        };
        let built = self.site.build(snapshot);
        if is_suspicious(&built, &self.sheet.load())
            && self.outside.age(&version.stamp) < SETTLE_SUSPICIOUS
        {
            return Ok(false);
        }
        let sheet = built?;
        self.outside.forget_bases();
        self.durable
            .was_read_anew(merge::apply(&sheet, frame::updates(&frames)));
        self.visible.has_new_base(render::differs(&sheet));
        self.outside.set_public(version);
        self.sheet.store(Arc::new(sheet));
        Ok(true)
    }

    /// Takes the public file, which another program changed, as the new base. `false`: not yet.
    pub(super) fn merge_public(&mut self, file: &File, stamp: Stamp) -> Result<bool> {
        let Some((snapshot, version)) = self.outside.take_rested(&self.site.target, stamp)? else {
            return Ok(false);
        };
        let age = self.outside.age(&stamp);
        if self.merge_version(snapshot, file, age)? {
            self.outside.set_public(version);
            return Ok(true);
        }
        Ok(false)
    }

    /// Merges the edits in displaced files. `false`: somebody is still writing to one.
    pub(super) fn merge_displaced(&mut self) -> Result<bool> {
        while let Some(unmerged) = self.outside.next_displaced() {
            match self.merge_edit(&unmerged) {
                Ok(true) => unmerged.edit.remove(&self.site.target)?,
                not_merged => {
                    self.outside.put_back(unmerged);
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
        let read = || Error::io("read", self.site.path());
        let stamp = Stamp::of(&edit.file.metadata().map_err(read())?);
        let age = self.outside.age(&stamp);
        let quiet = match Lease::take(&edit.file) {
            Leased::Held(_) => !edit.in_place || age >= SETTLE,
            Leased::Refused => false,
            Leased::Unsupported if edit.in_place => age >= SETTLE_SUSPICIOUS,
            Leased::Unsupported => age >= SETTLE,
        };
        if !quiet {
            return Ok(false);
        }
        if *is_stray {
            let kept = self.site.keep(&edit.file, "outside")?;
            tracing::warn!(%kept, "another program changed the sheet while it was replaced, and others have gone on since; a copy of its version is kept");
            return Ok(true);
        }
        let old = self.sheet.load_full();
        let snapshot = Snapshot::copy(&self.site.target, &edit.file)?;
        if !self.merge_version(snapshot, &edit.file, age)? {
            return Ok(false);
        }
        let new = self.sheet.load_full();
        if Arc::ptr_eq(&old, &new) {
            return Ok(true);
        }
        let (rows, is_all) = merge::edits(&old, &new, held);
        if !is_all || new.columns() != old.columns() || new.has_repeated() {
            let kept = self.site.keep(&edit.file, "outside")?;
            tracing::warn!(%kept, "another program changed more than single cells while the sheet was replaced; a copy of its version is kept");
        }
        if !rows.is_empty() {
            let at = Utc::now();
            self.make_durable(&Frame { at, rows })?;
        }
        Ok(true)
    }

    /// Makes an outside version the base and brings everything that tickoff wrote to it; or keeps a
    /// copy of it, if it cannot be a base. `false`: it may be half written, try again later.
    fn merge_version(&mut self, snapshot: Snapshot, file: &File, age: Duration) -> Result<bool> {
        let old = self.sheet.load_full();
        let built = self.site.build(snapshot);
        let suspicious = is_suspicious(&built, &old);
        if suspicious && age < SETTLE_SUSPICIOUS {
            return Ok(false);
        }
        self.visible.fall_behind();
        if suspicious {
            let kept = self.site.keep(file, "outside")?;
            let why = built
                .as_ref()
                .map_or_else(Error::chain, |_| "it has fewer rows".into());
            tracing::warn!(%why, %kept, "another program wrote a suspicious version of the sheet; a copy is kept");
        }
        let Ok(new) = built else { return Ok(true) };
        let merged = merge::transfer(&old, &new, self.durable.unplaced());
        merge::log(&merged);
        self.adopt(new, merged);
        Ok(true)
    }

    /// Makes a version, to which everything was brought, the base.
    pub(super) fn adopt(&mut self, new: Sheet, merged: Merged) {
        self.visible.has_new_base(render::differs(&new));
        self.durable.set_unplaced(merged.unplaced);
        self.outside.report(merged.conflicts);
        self.sheet.store(Arc::new(new));
    }
}
