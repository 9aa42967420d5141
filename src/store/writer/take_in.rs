//! What others did is taken in: other tickoff processes through the journal, other programs through
//! the public file.
//!
//! What others appended to the journal is applied in its order. What other programs did to the public
//! file meets what was written to the sheet: their version becomes the base, and everything that
//! tickoff wrote is brought to it. One that cannot be a base is kept in a copy beside the backups, and
//! so is one that lost rows. Every function here runs under the write lock.
//!
//! A displaced file that was changed in place may be a piece of a sheet: its author cuts it off, and then
//! restores the sheet under the public name, which is another file by now. The record in which the piece
//! ends is therefore no edit and no conflict. In the journal it would undo what its author has put back.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::disk::{ContentHash, SETTLE_SUSPICIOUS, Snapshot, Stamp, Version, hash_bytes, take};
use crate::domain::columns::{STATUS, same_column};
use crate::domain::{is_state, stage_prefix};
use crate::error::{Error, Result};
use crate::journal::{Frame, Public, frame};
use crate::sheet::merge::{self, Merged};
use crate::sheet::{Brought, History, PublicVersion, Reading, Sheet, bring, render};
use crate::store::standing::{Question, Standing, cell, has_column, standing};
use crate::text::{escape, escape_list};

use super::Writer;
use super::outside::{Unmerged, is_suspicious};
use super::overtaken::{Lost, Verdict};
use super::taken_back::takes_back;
use super::typed::Hand;

/// Where an outside version was found.
#[derive(Clone, Copy)]
enum Found<'f> {
    /// Under the sheet's name.
    Public,
    /// In the file that we displaced.
    Displaced(&'f Unmerged),
    /// In a file that has lost the name to a later save.
    Overtaken,
}

/// What came of a file that has lost the name to a later save.
enum Lately {
    Waits,
    Done,
    /// This version of it was dealt with, and somebody may write on.
    Open(Version),
}

impl Writer {
    /// Takes in what other processes wrote through the journal. `false`: the sheet has to be read anew
    /// and somebody is writing to it; what was known before is not used again until it has been read.
    pub(super) fn catch_up(&mut self) -> Result<bool> {
        let (sheet, public) = (self.sheet.load_full(), self.outside.public().hash);
        let has_changed = || self.outside.has_changed(&self.site.target);
        let Some(frames) = self.durable.news(&sheet, public, has_changed)? else {
            return self.read_anew();
        };
        if self.durable.was_begun_anew() {
            self.visible.fall_behind();
        }
        self.tell_what_was_judged()?;
        if !frames.is_empty() {
            if self.session.is_some() {
                let stage = &self.site.options.stage;
                let updates = frame::updates(&frames);
                self.outside.typed.heard(Hand::Command, updates, stage);
            }
            let unplaced = frame::apply(&self.sheet.load(), &frames);
            self.durable.add_unplaced(unplaced);
            self.visible.fall_behind();
        }
        Ok(true)
    }

    /// Forgets what was known: somebody else made all of it visible, and closed or replaced the log.
    fn read_anew(&mut self) -> Result<bool> {
        let frames = self.durable.read_log()?;
        let Some((snapshot, version)) = take(&self.site.target)? else {
            return Ok(false);
        };
        let old = self.sheet.load_full();
        let built = self.site.build(snapshot);
        let suspicious = is_suspicious(&built, &old);
        if suspicious && self.outside.age(&version.stamp) < SETTLE_SUSPICIOUS {
            return Ok(false);
        }
        let sheet = built?;
        if suspicious {
            let kept = self.site.keep_whole(&old, "replaced")?;
            tracing::warn!(%kept, "the sheet has fewer rows than before; the version that had them is kept in a copy");
        }
        self.outside.forget_bases();
        let history = frame::history(&frames);
        let standing = standing(&frames, &history, &sheet, version.hash, false);
        if standing != Standing::Anew {
            frame::add_waiting_columns(&sheet, &frames);
        }
        let merged = match standing {
            Standing::Current(from) => merge::replay(&sheet, frame::updates(&frames[from..])),
            Standing::Anew => Merged::default(),
            Standing::Saved(reading) | Standing::Asked(Question { reading, .. }) => {
                let brought = bring(&history, reading, &sheet, None);
                self.keep_what_was_left(&brought, &sheet)?;
                self.took(&history, reading, version.hash, brought)
            }
        };
        self.outside.report(merged.conflicts);
        self.durable.was_read_anew(merged.unplaced);
        self.visible.has_new_base(render::differs(&sheet));
        self.outside.set_public(version);
        self.has_new_base(sheet);
        self.tell_what_was_judged()?;
        Ok(true)
    }

    /// Takes the public file, which another program changed, as the new base. `false`: not yet.
    pub(super) fn merge_public(&mut self, file: &File, stamp: Stamp) -> Result<bool> {
        let Some((snapshot, version)) = self.outside.take_rested(&self.site.target, stamp)? else {
            return Ok(false);
        };
        let age = self.outside.age(&stamp);
        if self.merge_version(snapshot, &version, file, age, Found::Public)? {
            self.outside.set_public(version);
            // Under the same hold of the lock, so that the journal has the versions in their order.
            self.tell_what_was_judged()?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Merges the edits in displaced files. `false`: somebody is still writing to one.
    fn merge_displaced(&mut self, before: Option<Instant>) -> Result<bool> {
        while let Some(unmerged) = self.outside.next_displaced(before) {
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
            ..
        } = unmerged;
        let (is_quiet, age) = self.outside.is_quiet(edit, &self.site)?;
        if !is_quiet {
            return Ok(false);
        }
        if *is_stray {
            let kept = self.site.keep(&edit.file, "outside")?;
            tracing::warn!(%kept, "another program changed the sheet while it was replaced, and others have gone on since; a copy of its version is kept");
            return Ok(true);
        }
        let old = self.sheet.load_full();
        let snapshot = Snapshot::copy(&self.site.target, &edit.file)?;
        let metadata = edit.file.metadata();
        let stamp = Stamp::of(&metadata.map_err(Error::io("read", self.site.path()))?);
        let version = Version::new(stamp, hash_bytes(&snapshot), SystemTime::UNIX_EPOCH);
        let found = Found::Displaced(unmerged);
        if !self.merge_version(snapshot, &version, &edit.file, age, found)? {
            return Ok(false);
        }
        let new = self.sheet.load_full();
        if !Arc::ptr_eq(&old, &new) {
            let (rows, is_all) = merge::edits(&old, &new, held, unmerged.cut_off(&new));
            if !is_all || new.columns() != old.columns() || new.has_repeated() {
                let kept = self.site.keep(&edit.file, "outside")?;
                tracing::warn!(%kept, "another program changed more than single cells while the sheet was replaced; a copy of its version is kept");
            }
            if !rows.is_empty() {
                self.outside.took(Frame::of(rows));
            }
        }
        // With its cells, and before what came later: a session that held the file open does not judge it once more.
        self.tell_what_was_judged()?;
        Ok(true)
    }

    /// Takes in what others did that no name leads to any more, each before what came later: judged afterwards, the
    /// earlier save of two would undo the later one. `false`: somebody is writing to one.
    pub(super) fn merge_nameless(&mut self) -> Result<bool> {
        while let Some(since) = self.outside.overtaken.next_since() {
            if !self.merge_displaced(Some(since))? || !self.merge_overtaken()? {
                return Ok(false);
            }
        }
        self.merge_displaced(None)
    }

    /// Judges what others saved in the file that lost the name to a later save first, as if it still had it.
    fn merge_overtaken(&mut self) -> Result<bool> {
        let Some(mut lost) = self.outside.overtaken.next() else {
            return Ok(true);
        };
        match self.merge_lost(&mut lost) {
            Ok(Lately::Waits) => {
                self.outside.overtaken.put_back(lost);
                return Ok(false);
            }
            Ok(Lately::Done) => {}
            Ok(Lately::Open(version)) => self.outside.watch(lost.file, version),
            Err(error) => {
                self.outside.overtaken.put_back(lost);
                return Err(error);
            }
        }
        Ok(true)
    }

    fn merge_lost(&mut self, lost: &mut Lost) -> Result<Lately> {
        let (snapshot, version, is_open) = match lost.verdict(&self.site.target)? {
            Verdict::Wait => return Ok(Lately::Waits),
            Verdict::Drop => return Ok(Lately::Done),
            Verdict::Watch(version) => return Ok(Lately::Open(version)),
            Verdict::Keep(version) => {
                self.outside.keep_lost(lost, &self.site)?;
                return Ok(Lately::Open(version));
            }
            Verdict::Judge {
                snapshot,
                version,
                is_open,
            } => (snapshot, version, is_open),
        };
        // Another process may have taken it in.
        if !self.durable.history()?.0.knows(version.hash) {
            let age = Duration::MAX;
            if self.merge_version(snapshot, &version, &lost.file, age, Found::Overtaken)? {
                self.outside.set_public(version);
                self.tell_what_was_judged()?;
            }
        }
        Ok(match is_open {
            true => Lately::Open(version),
            false => Lately::Done,
        })
    }

    /// Makes an outside version the base and brings everything that tickoff wrote to it; or keeps a
    /// copy of it, if it cannot be a base. `false`: it may be half written, try again later.
    fn merge_version(
        &mut self,
        snapshot: Snapshot,
        version: &Version,
        file: &File,
        age: Duration,
        found: Found<'_>,
    ) -> Result<bool> {
        let edit = match found {
            Found::Displaced(unmerged) => Some(unmerged),
            Found::Public | Found::Overtaken => None,
        };
        let old = self.sheet.load_full();
        let built = self.site.build(snapshot);
        let mut suspicious = is_suspicious(&built, &old);
        if suspicious && age < SETTLE_SUSPICIOUS {
            return Ok(false);
        }
        let (history, sample) = self.durable.history()?;
        let built = built.and_then(|new| new.doubled(&history).map_or(Ok(new), Err));
        if built.is_err() && !suspicious {
            if age < SETTLE_SUSPICIOUS {
                return Ok(false);
            }
            suspicious = true;
        }
        let reading = built.as_ref().ok().map(|new| {
            let reading = Reading::of(
                &history,
                version.hash,
                |column| has_column(new, column),
                |po, column| cell(new, &history, po, column),
            );
            let displaced = edit.and_then(|unmerged| {
                let mut versions = history.versions().iter();
                versions.rposition(|version| version.hash == unmerged.edit.expected)
            });
            match displaced {
                // Its author had read that or an earlier one.
                Some(version) => reading.at_most(version),
                None => reading,
            }
        });
        if let (Ok(new), Some(Reading::NoTrace { .. })) = (&built, reading)
            && !history.is_empty()
            && new.progress().total > 0
            && sample.is_some_and(|sample| !sample.is_kin_of(new))
        {
            if let Found::Public = found {
                return self.outside.is_another_sheet(&self.site).map(|()| false);
            }
            let kept = self.site.keep(file, "outside")?;
            tracing::warn!(%kept, "another sheet took the name while this one was written; a copy of it is kept");
            return Ok(matches!(found, Found::Displaced(_)));
        }
        self.visible.fall_behind();
        if suspicious {
            let kept = self.site.keep(file, "outside")?;
            let why = built
                .as_ref()
                .map_or_else(Error::chain, |_| "it has fewer rows".into());
            let is_overtaken = matches!(found, Found::Overtaken);
            match built.is_ok() && !is_overtaken {
                true => {
                    tracing::warn!(%kept, "another program saved the sheet with fewer rows: the sheet is that save now, with the results of its rows; a copy of the save is kept")
                }
                false => {
                    tracing::warn!(%why, %kept, "what another program saved is not taken over: the sheet is what it was before, with all results; a copy of the save is kept")
                }
            }
            if is_overtaken {
                return Ok(false);
            }
        }
        let (Ok(new), Some(reading)) = (built, reading) else {
            return Ok(true);
        };
        if suspicious {
            // What is not in the new version is nowhere else once it is the base.
            let kept = self.site.keep_whole(&old, "replaced")?;
            tracing::warn!(%kept, "the version before that save, with the rows that it lacks, is kept in a copy");
        }
        if !suspicious {
            self.keep_what_is_taken_back(&old, &new, &history);
        }
        let cut_off = match found {
            Found::Public => None,
            Found::Displaced(edit) => edit.cut_off(&new),
            Found::Overtaken => merge::cut_off(&new),
        };
        let cut_off = cut_off.map(|record| new.po(record));
        if history.versions().is_empty() {
            // Nothing was written since the log began, or it is of the first format.
            let mut merged = merge::transfer(&old, &new, self.durable.unplaced());
            cut_off.inspect(|po| merged.leave_out(po));
            merge::log(&merged, &[]);
            self.adopt(new, merged);
            return Ok(true);
        }
        // What the old version only was to get; a column that it had, the author of the new one removed.
        for name in old.schema().added() {
            if new.schema().position(name).is_none() {
                new.add_column(name);
            }
        }
        let mut brought = bring(&history, reading, &new, edit.map(|edit| &edit.held));
        cut_off.inspect(|po| brought.leave_out(po));
        if !suspicious {
            self.keep_what_was_left(&brought, &new)?;
        }
        let merged = self.took(&history, reading, version.hash, brought);
        self.adopt(new, merged);
        Ok(true)
    }

    /// Keeps the version with what others have saved while this session goes on, if a save lacks some of that.
    fn keep_what_is_taken_back(&mut self, old: &Arc<Sheet>, new: &Sheet, history: &History) {
        if self.session.is_none() {
            return;
        }
        let first = self
            .outside
            .before_edits
            .get_or_insert_with(|| Arc::clone(old));
        if Arc::ptr_eq(first, old) || !takes_back(first, old, new, history) {
            return;
        }
        match self.site.keep_whole(old, "replaced") {
            Ok(kept) => {
                tracing::warn!(%kept, "another program saved the sheet without what had been saved before, while this run went on; the version that has that is kept in a copy")
            }
            Err(error) => {
                tracing::warn!(why = %escape(&error.chain()), "another program saved the sheet without what had been saved before, while this run went on, and no copy of the version that has that could be kept")
            }
        }
    }

    /// Keeps a copy of a save of which not all was taken over.
    pub(super) fn keep_what_was_left(&self, brought: &Brought, saved: &Sheet) -> Result<()> {
        if !brought.is_taken_over() || !brought.illegible.is_empty() {
            let kept = self.site.keep_bytes(saved.bytes(), "outside")?;
            let kept = escape(&kept.display().to_string());
            match brought.is_taken_over() {
                false => {
                    tracing::warn!(%kept, "not all of what another program saved was taken over; a copy of it is kept")
                }
                true => {
                    let encoding = self.site.options.encoding.name();
                    tracing::warn!(%kept, "a copy of what another program saved is kept, as not all of it is {encoding}");
                }
            }
        }
        Ok(())
    }

    /// Tells the journal what was found in a save.
    pub(super) fn tell_what_was_judged(&mut self) -> Result<()> {
        match self.outside.take_judged() {
            None => Ok(()),
            Some(judged) => self
                .make_durable(judged.clone())
                .inspect_err(|_| self.outside.took(judged)),
        }
    }

    /// Says what became of a save, and remembers what is to be told to the journal.
    pub(super) fn took(
        &mut self,
        history: &History,
        reading: Reading,
        hash: ContentHash,
        brought: Brought,
    ) -> Merged {
        let Brought {
            mut merged,
            taken,
            again,
            again_in,
            edited_again,
            unclear,
            lost,
            illegible,
            illegible_lost,
            rekeyed,
            removed,
        } = brought;
        let shown = rekeyed.iter().filter_map(|row| row.shows_all_of.as_deref());
        merge::log(&merged, &shown.collect::<Vec<_>>());
        if !rekeyed.is_empty() {
            self.outside.has_rekeyed = true;
            let status = self.site.options.stage.status();
            let of = |is_copy: bool| {
                let rows = rekeyed.iter().filter(move |row| row.is_copy == is_copy);
                rows.map(|row| row.key.clone()).collect::<Vec<String>>()
            };
            let (copies, keys) = (of(true), of(false));
            let copied = match merged.unplaced.iter().any(|row| !row.aside) {
                true => " a copy has the results of keys that no row has any more;",
                false => "",
            };
            if !keys.is_empty() {
                tracing::warn!(rows = keys.len(), keys = %escape_list(&keys), "rows that had a result have another key now and stay done;{copied} tickoff set FILE KEY {status}=PENDING has one of them run under the new one");
            }
            if !copies.is_empty() {
                tracing::warn!(rows = copies.len(), keys = %escape_list(&copies), "rows that were added show the status, the time and all results of another row, and so are done: they seem to be copies of it; tickoff set FILE KEY {status}=PENDING has one of them run");
            }
        }
        if !illegible.is_empty() {
            let encoding = self.site.options.encoding.name();
            tracing::warn!(rows = illegible.len(), keys = %escape_list(&illegible), "another program wrote bytes that are no {encoding} into cells of results; they stay as they are");
        }
        if !illegible_lost.is_empty() {
            let encoding = self.site.options.encoding.name();
            tracing::warn!(rows = illegible_lost.len(), keys = %escape_list(&illegible_lost), "another program saved a version of the sheet without cells of these keys that are no {encoding}; they cannot be written again, and stand in the copy of the save that had them");
        }
        if !lost.is_empty() {
            tracing::warn!(keys = %escape_list(&lost), "another program saved a version of the sheet that lacks what stood in single rows of these keys, and those rows look otherwise; it is kept in a copy");
        }
        if !removed.is_empty() {
            let was_there = |column: &str| {
                let mut cells = history.cells();
                cells.any(|(_, past)| same_column(&past.column, column))
            };
            let mut statuses = removed
                .iter()
                .filter(|name| stage_prefix(name, STATUS).is_some() && is_state(name, was_there));
            let rows_run_again = statuses.next().map_or(String::new(), |name| {
                format!(
                    "; without {} no row is done, and all run again",
                    escape(name)
                )
            });
            tracing::warn!(columns = %escape_list(&removed), "another program removed columns that hold results; the results are kept in a copy{rows_run_again}");
        }
        if !again.is_empty() {
            let of_stage = |status: &String| format!("{}=PENDING", escape(status));
            let pending: Vec<String> = again_in.iter().map(of_stage).collect();
            let pending = match pending.is_empty() {
                true => format!("{}=PENDING", self.site.options.stage.status()),
                false => pending.join(" or "),
            };
            tracing::warn!(rows = again.len(), keys = %escape_list(&again), "another program saved a version of the sheet without these results; they are written again, and tickoff set FILE KEY {pending} has one of them run again");
        }
        if !edited_again.is_empty() {
            tracing::warn!(rows = edited_again.len(), keys = %escape_list(&edited_again), "another program saved a version of the sheet without edits that had been taken over in these rows before; they are written again, and a STATUS among them counts");
        }
        if !unclear.is_empty() {
            tracing::warn!(rows = unclear.len(), keys = %escape_list(&unclear), "whoever saved the sheet may or may not have seen these results; they stay, and tickoff set changes them");
        }
        if let Reading::Known(known) = reading {
            // Another process made it public, and has told; or we did, and an error came behind it.
            if self.durable.announced() == Some(history.versions()[known].frame) {
                self.durable.confirm();
            }
            let confirmed = history.versions().iter().rposition(|it| it.is_confirmed);
            if confirmed.is_some_and(|confirmed| known < confirmed) {
                // What comes now comes to this one.
                self.outside
                    .took(Frame::telling(vec![Public::judged(hash)]));
            }
            let aside = taken.into_iter().filter(|row| row.aside);
            merged.unplaced.extend(aside);
            return merged;
        }
        let failed = self.durable.announced();
        let is_public =
            |version: &PublicVersion| !version.has_failed && Some(version.frame) != failed;
        let last = history.versions().iter().rposition(is_public).unwrap_or(0);
        let is_latest = reading.is_of(last) && merged.conflicts.is_empty();
        self.outside.took(Frame {
            public: vec![Public::saved(hash, is_latest, failed)],
            ..Frame::of(taken)
        });
        merged
    }

    /// Makes a version, to which everything was brought, the base.
    pub(super) fn adopt(&mut self, new: Sheet, merged: Merged) {
        self.visible.has_new_base(render::differs(&new));
        self.durable.set_unplaced(merged.unplaced);
        self.outside.report(merged.conflicts);
        self.has_new_base(new);
    }

    fn has_new_base(&mut self, new: Sheet) {
        if self.session.is_some() {
            self.outside.typed.saw(&self.sheet.load(), &new);
        }
        self.sheet.store(Arc::new(new));
    }
}
