//! What is outside: the public file as other programs leave it, and what they did to it that has not
//! been taken in yet.
//!
//! A half-written sheet is never taken as a base (see `disk/settled.rs`). An in-place writer may be half
//! done, so a version that was changed in place has to have rested for [`SETTLE`], and one that lost rows
//! or does not parse for [`SETTLE_SUSPICIOUS`], with nobody who has it open for writing.

use std::fs::File;
use std::sync::Arc;
use std::time::{Duration, Instant};

use crate::csv::RecordIndex;
use crate::disk::{
    Displaced, Look, Publication, Replacement, Rest, SETTLE, SETTLE_SUSPICIOUS, Snapshot, Stamp,
    Target, Version, take,
};
use crate::error::{Error, Result};
use crate::journal::{Frame, Public};
use crate::sheet::merge::{self, Held};
use crate::sheet::{Conflict, RowUpdate, Sheet};
use crate::store::patience::patiently;
use crate::sys::lease::{Lease, Leased};

use super::overtaken::{Lost, Overtaken};
use super::site::Site;
use super::typed::Typed;

/// How long another sheet must have had the name before it is taken for one that stays.
const SETTLE_ANOTHER: Duration = Duration::from_secs(10);
/// How long a displaced file is watched where no lease can be had.
const GRACE: Duration = Duration::from_millis(300);

/// The second of the three parts of a writer.
pub(super) struct Outside {
    /// The version that we read or wrote last; base and overlay know all that it shows. Only the file
    /// that is this version is ever replaced.
    public: Version,
    /// A glance at the public file was wrong: somebody wrote to it before its stamp was taken, or in the same
    /// tick of the clock. The next look is a thorough one, or the same rewrite would be tried for ever.
    is_doubted: bool,
    /// What the last glance before a commit found: a version that cannot be taken in yet is not read again
    /// for each result.
    glanced_at: Option<Stamp>,
    /// Whether that version could not be taken in yet.
    pub(super) waits: bool,
    /// How long the version that was looked at last has been left alone.
    rest: Rest,
    /// Versions that an exchange took out of sight before we knew them. None is left when a rewrite
    /// begins.
    displaced: Vec<Unmerged>,
    /// Files without a name that somebody may still be writing to: where there are no leases, each for [`GRACE`];
    /// where somebody has it open, until it is closed.
    watched: Vec<Watched>,
    /// Files that lost the name to other programs' saves.
    pub(super) overtaken: Overtaken,
    /// Since when no file has the sheet's name; `None` as soon as one was seen there.
    missing_since: Option<Instant>,
    /// Since when checkpoints have been put off for another program; `None` as soon as one was not.
    put_off_since: Option<Instant>,
    /// What others changed in cells in which a result may still come.
    pub(super) typed: Typed,
    /// The base from before the first edit of the session, or of the interrupted one that it goes on with.
    pub(super) before_edits: Option<Arc<Sheet>>,
    /// The conflicts that nobody has taken yet.
    conflicts: Vec<Conflict>,
    /// What was found in saves of other programs; the journal learns of it next, before anything else.
    judged: Option<Frame>,
    /// Whether rows came that are done by the result of another key.
    pub(super) has_rekeyed: bool,
    /// Since when another sheet has the name; `None` as soon as ours was seen there.
    another_since: Option<Instant>,
}

/// A displaced file with an edit that is not merged yet.
pub(super) struct Unmerged {
    pub(super) edit: Displaced,
    /// The edits that were held when it lost its public name.
    pub(super) held: Held,
    /// When it lost its public name.
    pub(super) since: Instant,
    /// The base that it is an edit of was forgotten: compared with a later one, whatever others wrote
    /// since would look like an edit that took it back.
    pub(super) is_stray: bool,
}

impl Unmerged {
    /// The record in which it may have been cut off.
    pub(super) fn cut_off(&self, version: &Sheet) -> Option<RecordIndex> {
        match self.edit.in_place {
            true => merge::cut_off(version),
            false => None,
        }
    }
}

/// A displaced file that is still the version it was when it lost its name, as far as we know.
struct Watched {
    file: File,
    version: Version,
    since: Instant,
}

impl Watched {
    /// Keeps a copy of the file if somebody wrote to it.
    fn keep_edit(&self, site: &Site) -> Result<()> {
        let is_untouched = self.version.is_in(&self.file);
        if !is_untouched.map_err(Error::io("read", site.path()))? {
            let kept = site.keep(&self.file, "outside")?;
            tracing::warn!(%kept, "another program wrote to a version of the sheet that was just replaced; a copy is kept");
        }
        Ok(())
    }
}

/// What stands in the sheet's place.
pub(super) enum Seen {
    /// The version that we know.
    Known,
    /// What another program wrote.
    Changed(File, Stamp),
    /// Nothing, and perhaps only for a moment.
    Missing,
    /// Nothing, for so long that nobody is about to put a file there.
    Gone,
}

impl Outside {
    pub(super) fn new(public: Version) -> Outside {
        Outside {
            public,
            is_doubted: false,
            glanced_at: None,
            waits: false,
            rest: Rest::default(),
            displaced: Vec::new(),
            watched: Vec::new(),
            overtaken: Overtaken::default(),
            missing_since: None,
            put_off_since: None,
            typed: Typed::default(),
            before_edits: None,
            conflicts: Vec::new(),
            judged: None,
            has_rekeyed: false,
            another_since: None,
        }
    }

    /// A save of another program was taken in; this is to be told to the journal.
    pub(super) fn took(&mut self, judged: Frame) {
        self.another_since = None;
        match &mut self.judged {
            // The earlier one did not last: only its cells count, and that it was judged.
            Some(before) => {
                before.rows.extend(judged.rows);
                if !judged.public.is_empty() {
                    let earlier = before.public.drain(..).map(Public::did_not_last);
                    before.public = earlier.chain(judged.public).collect();
                }
            }
            before => *before = Some(judged),
        }
    }

    pub(super) fn take_judged(&mut self) -> Option<Frame> {
        self.judged.take()
    }

    /// Another sheet has the name: nothing is applied to it. That is said once it has stayed for a while.
    pub(super) fn is_another_sheet(&mut self, site: &Site) -> Result<()> {
        self.another_since.get_or_insert_with(Instant::now);
        match self.has_another_stayed() {
            false => Ok(()),
            true => Err(Error::AnotherSheet {
                path: site.path().to_owned(),
            }),
        }
    }

    /// Whether another sheet has the name, and has had it for a while.
    pub(super) fn has_another_stayed(&self) -> bool {
        self.another_since
            .is_some_and(|since| since.elapsed() >= SETTLE_ANOTHER)
    }

    pub(super) fn public(&self) -> Version {
        self.public
    }

    /// All that this version shows is known now.
    pub(super) fn set_public(&mut self, version: Version) {
        self.public = version;
        self.is_doubted = false;
        self.overtaken.knows(&version);
    }

    /// Holds the file that has the sheet's name.
    pub(super) fn hold(&mut self, target: &Target) {
        self.overtaken.look(target, &self.public);
    }

    /// Watches a file without a name, in which this version is.
    pub(super) fn watch(&mut self, file: File, version: Version) {
        self.watched.push(Watched {
            file,
            version,
            since: Instant::now(),
        });
    }

    /// Whether another program changed the public file.
    pub(super) fn has_changed(&mut self, target: &Target) -> Result<bool> {
        Ok(matches!(self.public.look(target)?, Look::Other(..)))
    }

    /// Whether a glance at the public file finds another version than the one that we know, and not the one
    /// that it found last.
    pub(super) fn may_be_edited(&mut self, target: &Target) -> bool {
        let Ok((_, metadata)) = target.open_sheet() else {
            return false;
        };
        let stamp = Stamp::of(&metadata);
        let is_other = self.is_doubted || stamp != self.public.stamp;
        let is_news = is_other && self.glanced_at != Some(stamp);
        self.glanced_at = Some(stamp);
        is_news
    }

    /// Looks at the public file. If it `will_be_replaced`, it is compared once more before it is, and a
    /// glance is enough.
    pub(super) fn look(&mut self, target: &Target, will_be_replaced: bool) -> Result<Seen> {
        let may_glance = will_be_replaced && !self.is_doubted;
        let look = match may_glance && self.public.glance(target)? {
            true => Look::Same,
            false => self.public.look(target)?,
        };
        self.is_doubted &= !matches!(look, Look::Same);
        Ok(match look {
            Look::Same => {
                (self.missing_since, self.another_since) = (None, None);
                Seen::Known
            }
            Look::Other(file, stamp) => {
                self.missing_since = None;
                Seen::Changed(file, stamp)
            }
            Look::Missing => {
                let since = self.missing_since.get_or_insert_with(Instant::now);
                match since.elapsed() < SETTLE_SUSPICIOUS {
                    true => Seen::Missing,
                    false => Seen::Gone,
                }
            }
        })
    }

    /// The public file was found to be another version than the one that we know. If it has that one's stamp, a
    /// glance says no more; that is said once, as each version is taken in once, or not.
    pub(super) fn looks_alike(&mut self, stamp: Stamp) {
        if stamp == self.public.stamp && !self.is_doubted {
            self.glanced_at = None;
            self.doubt();
        }
    }

    /// The public file was found to be another version than the one that we know.
    pub(super) fn doubt(&mut self) {
        self.is_doubted = true;
    }

    /// How long a version has been left alone.
    pub(super) fn age(&mut self, stamp: &Stamp) -> Duration {
        self.rest.of(stamp)
    }

    /// A private copy of the version that another program wrote, once it has rested.
    pub(super) fn take_rested(
        &mut self,
        target: &Target,
        stamp: Stamp,
    ) -> Result<Option<(Snapshot, Version)>> {
        let in_place = stamp.inode == self.public.stamp.inode;
        // A program that never rests may not put us off for ever: nobody has the file open now, and
        // whether it is whole is looked at below.
        let patient = self
            .put_off_since
            .is_none_or(|since| since.elapsed() < SETTLE_SUSPICIOUS);
        if in_place && patient && self.rest.of(&stamp) < SETTLE {
            return Ok(None);
        }
        Ok(take(target)?.filter(|(_, version)| version.stamp == stamp))
    }

    /// The public version was compared with the file while nothing was held.
    pub(super) fn was_seen(&mut self, before: &Version, seen: Version) {
        if before.stamp == self.public.stamp && before.hash == self.public.hash {
            self.public = seen;
        }
    }

    /// Puts a new version in the place of the one that it `replaces`, or of none. `false`: another
    /// program was quicker, and what it wrote is to be merged. `sheet` is what is shown now.
    pub(super) fn publish(
        &mut self,
        replacement: Replacement<'_>,
        replaces: Option<&Version>,
        sheet: &Sheet,
    ) -> Result<bool> {
        let publication = match replaces {
            Some(version) if version.hash != self.public.hash => return Ok(false),
            Some(_) => self.exchange(replacement)?,
            None => replacement.publish_anew()?,
        };
        self.missing_since = None;
        match publication {
            Publication::Busy | Publication::Edited => {
                self.doubt();
                Ok(false)
            }
            Publication::Displaced(version, edit) => {
                self.public = version;
                self.displace(edit, sheet);
                Ok(false)
            }
            Publication::Done(version, _) => {
                self.public = version;
                Ok(true)
            }
        }
    }

    /// Exchanges the public version with a new one, which is not known until somebody
    /// [says so](Outside::set_public). Whoever exchanges, the displaced file is watched from here on.
    pub(super) fn exchange(&mut self, replacement: Replacement<'_>) -> Result<Publication> {
        let mut made = None;
        let publication = replacement.publish_and_hold(&mut self.public, &mut made)?;
        let replaced = self.public;
        Ok(match publication {
            Publication::Done(version, watch) => {
                self.overtaken.replaced(&replaced, true, made, &version);
                if let Some(file) = watch {
                    self.watch(file, replaced);
                }
                Publication::Done(version, None)
            }
            Publication::Displaced(version, edit) => {
                self.overtaken
                    .replaced(&replaced, edit.in_place, made, &version);
                Publication::Displaced(version, edit)
            }
            others => others,
        })
    }

    /// An exchange took an edit out of sight, while the sheet was this one.
    pub(super) fn displace(&mut self, edit: Displaced, sheet: &Sheet) {
        self.displaced.push(Unmerged {
            edit,
            held: merge::held(sheet),
            since: Instant::now(),
            is_stray: false,
        });
    }

    /// The newest edit that is to be merged, of those that were displaced by then.
    pub(super) fn next_displaced(&mut self, before: Option<Instant>) -> Option<Unmerged> {
        let mut displaced = self.displaced.iter();
        let is_meant = |it: &Unmerged| before.is_none_or(|before| it.since <= before);
        let last = displaced.rposition(is_meant)?;
        Some(self.displaced.remove(last))
    }

    /// It could not be merged yet.
    pub(super) fn put_back(&mut self, unmerged: Unmerged) {
        let at = self
            .displaced
            .partition_point(|it| it.since <= unmerged.since);
        self.displaced.insert(at, unmerged);
    }

    /// The base that they are edits of is forgotten.
    pub(super) fn forget_bases(&mut self) {
        for unmerged in &mut self.displaced {
            unmerged.is_stray = true;
        }
    }

    /// Whether whoever wrote to a displaced file has done with it.
    pub(super) fn is_quiet(&mut self, edit: &Displaced, site: &Site) -> Result<(bool, Duration)> {
        let metadata = edit.file.metadata();
        let age = self.age(&Stamp::of(
            &metadata.map_err(Error::io("read", site.path()))?,
        ));
        let is_quiet = match Lease::take(&edit.file) {
            Leased::Held(_) => !edit.in_place || age >= SETTLE,
            Leased::Refused => false,
            Leased::Unsupported if edit.in_place => age >= SETTLE_SUSPICIOUS,
            Leased::Unsupported => age >= SETTLE,
        };
        Ok((is_quiet, age))
    }

    /// Keeps a displaced file with an edit in a copy, where nothing goes on from it: when its author has
    /// done with it, or patience ends. Then it keeps its name too, if it has one, for the next who opens the
    /// sheet.
    pub(super) fn keep_displaced(&mut self, edit: Displaced, site: &Site) -> Result<()> {
        let quiet = patiently(site.path(), || {
            Ok(self.is_quiet(&edit, site)?.0.then_some(()))
        });
        let is_quiet = match quiet {
            Ok(()) => true,
            Err(Error::Busy { .. }) => false,
            Err(error) => return Err(error),
        };
        let kept = site.keep(&edit.file, "outside")?;
        tracing::warn!(%kept, "another program changed the sheet while it was replaced; its version is kept in a copy");
        match is_quiet {
            true => edit.remove(&site.target),
            false => Ok(()),
        }
    }

    /// Keeps a copy of what somebody wrote to a file without a name, once that has been watched for long
    /// enough. It is too old to be merged: others may have gone on from the version
    /// that displaced it.
    pub(super) fn look_at_watched(&mut self, site: &Site) -> Result<()> {
        let is_over = |watched: &mut Watched| {
            watched.since.elapsed() >= GRACE
                && !matches!(Lease::take(&watched.file), Leased::Refused)
        };
        let over: Vec<Watched> = self.watched.extract_if(.., is_over).collect();
        over.iter().try_for_each(|watched| watched.keep_edit(site))
    }

    /// Waits until all displaced files have been watched for long enough. One whose edit could not be
    /// merged yet, because its author still has it open, is kept in a copy as it is, unless it has a name
    /// under which the next who opens the sheet finds it.
    pub(super) fn watch_to_the_end(&mut self, site: &Site) -> Result<()> {
        for unmerged in self
            .displaced
            .extract_if(.., |unmerged| !unmerged.edit.has_a_name())
        {
            let kept = site.keep(&unmerged.edit.file, "outside")?;
            tracing::warn!(%kept, "another program is still writing to a version of the sheet that was replaced; a copy of what it has written so far is kept");
        }
        while let Some(lost) = self.overtaken.next() {
            if lost.is_changed(site.path())? {
                self.keep_lost(&lost, site)?;
            }
        }
        for watched in std::mem::take(&mut self.watched) {
            std::thread::sleep(GRACE.saturating_sub(watched.since.elapsed()));
            watched.keep_edit(site)?;
        }
        Ok(())
    }

    /// Keeps what others saved in a file that lost the name, where nothing goes on from it.
    pub(super) fn keep_lost(&self, lost: &Lost, site: &Site) -> Result<()> {
        let kept = site.keep(&lost.file, "outside")?;
        tracing::warn!(%kept, "another program put its version of the sheet in the place of one to which somebody was still writing; a copy of what was written is kept");
        Ok(())
    }

    /// A checkpoint was put off for another program.
    pub(super) fn was_in_the_way(&mut self) {
        self.put_off_since.get_or_insert_with(Instant::now);
    }

    /// A checkpoint was not.
    pub(super) fn let_us_through(&mut self) {
        self.put_off_since = None;
    }

    pub(super) fn report(&mut self, conflicts: Vec<Conflict>) {
        self.conflicts.extend(conflicts);
    }

    /// Results take the place of what others changed meanwhile; that is kept, and named. Returns what could not be
    /// kept.
    pub(super) fn give_way<'u>(
        &mut self,
        results: impl Iterator<Item = &'u RowUpdate>,
        sheet: &Arc<Sheet>,
        site: &Site,
    ) -> Vec<RowUpdate> {
        let (conflicts, is_owed) = self.typed.give_way(results, sheet, site);
        let owed = conflicts.iter().filter(|_| is_owed);
        let owed =
            owed.map(|conflict| RowUpdate::aside(&conflict.po, &conflict.column, &conflict.theirs));
        let owed = owed.collect();
        self.report(conflicts);
        owed
    }

    pub(super) fn take_conflicts(&mut self) -> Vec<Conflict> {
        std::mem::take(&mut self.conflicts)
    }
}

/// Whether a version may be half written, though nobody has it open: it is no sheet, or lost rows.
pub(super) fn is_suspicious(new: &Result<Sheet>, old: &Sheet) -> bool {
    new.as_ref()
        .map_or(true, |new| new.progress().total < old.progress().total)
}
