//! What is durable becomes visible, by one atomic rewrite of the public CSV.
//!
//! A rewrite is begun and published under the write lock. It takes in what other tickoff processes
//! appended to the journal, and merges what other programs did to the CSV, before it replaces it. In
//! between, while it writes the new version, which takes long for a large sheet, it holds nothing:
//! what becomes durable meanwhile is for the next one. If anything else comes in between, it is
//! planned anew.

use std::fs::File;
use std::sync::{Arc, MutexGuard};

use crate::disk::{Look, Replacement, Target, Version, WriteGuard, take};
use crate::error::{Error, Result};
use crate::journal::Frame;
use crate::sheet::render::Next;
use crate::sheet::{Sheet, merge};
use crate::store::patience::{again, patiently};
use crate::text::Escaped;

use super::outside::Seen;
use super::{Writer, replacement};

/// What is said of a checkpoint that failed and is tried again.
const NOT_WRITTEN: &str = "the sheet could not be written";

/// How far a checkpoint got.
pub(crate) enum Checkpoint {
    /// The public CSV shows all that is durable.
    Visible,
    /// Another program is at the sheet; try again soon.
    Later,
}

impl Checkpoint {
    /// In the terms of [`patiently`].
    pub(crate) fn done(self) -> Option<()> {
        match self {
            Checkpoint::Visible => Some(()),
            Checkpoint::Later => None,
        }
    }
}

/// Brings the public CSV up to all that was durable when it began, and holds the writer only at the
/// beginning and at the end; results are made durable meanwhile. A failure is retried, each time as a
/// complete new attempt; after the last one, everything is still in the journal.
pub(crate) fn checkpoint<'w>(
    writer: impl Fn() -> Result<MutexGuard<'w, Writer>>,
) -> Result<Checkpoint> {
    let retries = writer()?.visible.retries();
    let (result, retried) = again(retries, NOT_WRITTEN, || later_if_busy(attempt(&writer)));
    writer()?.note(&result, retried);
    result
}

fn attempt<'w>(writer: impl Fn() -> Result<MutexGuard<'w, Writer>>) -> Result<Checkpoint> {
    let rewrite = {
        let mut writer = writer()?;
        let held = writer.lock.acquire()?;
        match writer.begin_rewrite(&held)? {
            Begun::Rewrite(rewrite) => rewrite,
            Begun::Nothing(checkpoint) => return Ok(checkpoint),
        }
    };
    let replacement = rewrite.write()?;
    // Its contents are compared now, if they have to be, and not under the lock.
    let seen = match rewrite.replaces {
        Some(before) => {
            let mut seen = before;
            match seen.look(&rewrite.target)? {
                Look::Same => Some((before, seen)),
                Look::Other(..) | Look::Missing => {
                    writer()?.outside.doubt();
                    return Ok(Checkpoint::Later);
                }
            }
        }
        None => None,
    };
    let mut writer = writer()?;
    let held = writer.lock.acquire()?;
    if let Some((before, seen)) = seen {
        writer.outside.was_seen(&before, seen);
    }
    writer.publish(&rewrite, replacement, &held)
}

/// A program that holds a write lease on the sheet is one that is at the sheet, and no failure.
fn later_if_busy(attempted: Result<Checkpoint>) -> Result<Checkpoint> {
    match attempted {
        Err(Error::Busy { .. }) => Ok(Checkpoint::Later),
        attempted => attempted,
    }
}

/// A new version of the sheet between its two ends. Nobody knows of its file until it is published.
struct Rewrite {
    target: Arc<Target>,
    /// Whose owner, mode and attributes it gets.
    like: File,
    next: Next,
    /// The public version; `None` if it was deleted.
    replaces: Option<Version>,
    /// How many [changes](super::visible::Visible::changes) are in it.
    changes: u64,
    /// How many frames of the journal with this id are in it.
    upto: u64,
    log: String,
}

impl Rewrite {
    fn write(&self) -> Result<Replacement<'_>> {
        replacement(&self.target, &self.like, &self.next)
    }
}

/// What stands in the sheet's place once all that could be taken in is.
enum Public {
    /// The version that we know.
    Known,
    /// Nothing.
    Gone,
}

enum Begun {
    Rewrite(Rewrite),
    /// There is nothing to write, or it cannot be begun.
    Nothing(Checkpoint),
}

impl Writer {
    /// Acts on the sheet while everything durable is visible and the public file is the version that
    /// we know; both were seen under the hold of the write lock under which `act` runs. `act` gives
    /// `None` if another program came in between, and is tried again, as long as patience lasts.
    pub(super) fn when_all_is_visible<T>(
        &mut self,
        mut act: impl FnMut(&mut Self, &WriteGuard) -> Result<Option<T>>,
    ) -> Result<T> {
        let target = Arc::clone(&self.site.target);
        patiently(target.path(), || {
            if let Checkpoint::Later = self.checkpoint()? {
                return Ok(None);
            }
            let held = self.lock.acquire()?;
            match self.checkpoint_under(&held)? {
                Checkpoint::Visible => act(self, &held),
                Checkpoint::Later => Ok(None),
            }
        })
    }

    /// Checkpoints until all is visible, as long as patience lasts where another program is in the way.
    pub(crate) fn checkpoint_patiently(&mut self) -> Result<()> {
        self.when_all_is_visible(|_, _| Ok(Some(())))
    }

    /// Brings the public CSV up to all that is durable. A failure is retried, each time as a
    /// complete new attempt; after the last one, everything is still in the journal.
    fn checkpoint(&mut self) -> Result<Checkpoint> {
        let (result, retried) = again(self.visible.retries(), NOT_WRITTEN, || {
            let held = self.lock.acquire()?;
            self.checkpoint_under(&held)
        });
        self.note(&result, retried);
        result
    }

    /// Remembers what came of a checkpoint.
    fn note(&mut self, result: &Result<Checkpoint>, retried: u64) {
        self.visible.note(result.as_ref().err(), retried);
        match result {
            Ok(Checkpoint::Visible) => self.outside.let_us_through(),
            Ok(Checkpoint::Later) => self.outside.was_in_the_way(),
            Err(_) => {}
        }
    }

    /// One attempt at it. [`Checkpoint::Visible`] says, besides, that the public file is the version
    /// that we know.
    pub(super) fn checkpoint_under(&mut self, held: &WriteGuard) -> Result<Checkpoint> {
        later_if_busy(self.attempt_under(held))
    }

    fn attempt_under(&mut self, held: &WriteGuard) -> Result<Checkpoint> {
        let rewrite = match self.begin_rewrite(held)? {
            Begun::Rewrite(rewrite) => rewrite,
            Begun::Nothing(checkpoint) => return Ok(checkpoint),
        };
        let replacement = rewrite.write()?;
        self.publish(&rewrite, replacement, held)
    }

    /// Takes in what other programs did to the public file, before results are checked against it: a person's
    /// word may stand in a row by now. What cannot be taken in yet, or fails, is for the next rewrite.
    pub(super) fn take_in_edits(&mut self, _held: &WriteGuard) {
        if self.outside.may_be_edited(&self.site.target) {
            self.try_to_take_in();
        }
    }

    /// The same while no result comes: a save of somebody who did not see an edit may take its place before one does.
    /// What has not come to rest is looked at again; what cannot be taken in is not, until it changes.
    pub(super) fn keep_edits(&mut self, held: &WriteGuard) {
        match self.outside.waits {
            true => self.try_to_take_in(),
            false => self.take_in_edits(held),
        }
    }

    fn try_to_take_in(&mut self) {
        let taken_in = self.take_in_outside();
        self.outside.waits = matches!(taken_in, Ok(None));
        if let Err(error) = taken_in {
            tracing::debug!(error = %error.chain(), "what another program did is not taken in yet");
        }
    }

    /// The same for somebody who is about to act on what a row says.
    pub(crate) fn look_for_edits(&mut self) {
        if let Ok(held) = self.lock.acquire()
            && let Ok(true) = self.catch_up()
        {
            self.take_in_edits(&held);
        }
    }

    /// Takes in what other programs did to the public file. `None`: not yet.
    fn take_in_outside(&mut self) -> Result<Option<Public>> {
        self.outside.look_at_watched(&self.site)?;
        self.hold_public();
        self.take_in_behind_the_hold()
    }

    /// The same, once the file that has the name is held.
    fn take_in_behind_the_hold(&mut self) -> Result<Option<Public>> {
        if !self.merge_nameless()? {
            return Ok(None);
        }
        let target = &self.site.target;
        Ok(match self.outside.look(target, self.visible.is_behind())? {
            Seen::Known => Some(Public::Known),
            // What another one took the name of just now comes first.
            Seen::Changed(_, stamp) if !self.outside.overtaken.may_hold(stamp.inode) => None,
            Seen::Changed(file, stamp) => {
                let is_merged = self.merge_public(&file, stamp)?;
                is_merged.then_some(Public::Known)
            }
            Seen::Missing => None,
            Seen::Gone => Some(Public::Gone),
        })
    }

    /// Takes in what others did, and plans the version that is to replace the public one.
    fn begin_rewrite(&mut self, _held: &WriteGuard) -> Result<Begun> {
        let later = Ok(Begun::Nothing(Checkpoint::Later));
        if !self.catch_up()? {
            return later;
        }
        let is_gone = match self.take_in_outside()? {
            None => return later,
            Some(Public::Known) => false,
            Some(Public::Gone) => {
                match &self.outside.overtaken.renamed_to {
                    Some(now) => {
                        tracing::warn!(now = %Escaped::path(now), "the sheet was renamed or moved; it is written anew under its old name, and the renamed file stays as it is")
                    }
                    None => tracing::warn!("the sheet was deleted; it is written anew"),
                }
                true
            }
        };
        if !self.visible.is_behind() && !is_gone {
            return Ok(Begun::Nothing(Checkpoint::Visible));
        }
        let like = match is_gone {
            true => self.lock.file().try_clone(),
            false => Ok(self.site.target.open_sheet()?.0),
        };
        Ok(Begun::Rewrite(Rewrite {
            target: Arc::clone(&self.site.target),
            like: like.map_err(Error::io("open", self.site.path()))?,
            next: Next::of(&self.sheet.load_full()),
            replaces: (!is_gone).then_some(self.outside.public()),
            changes: self.visible.changes(),
            upto: self.durable.count(),
            log: self.durable.log_id().to_owned(),
        }))
    }

    /// Puts a version that was planned into the place of the one that was public then. If anything
    /// has come in between but results, which are for the next one, it is planned anew.
    fn publish(
        &mut self,
        rewrite: &Rewrite,
        replacement: Replacement<'_>,
        _held: &WriteGuard,
    ) -> Result<Checkpoint> {
        if !self.catch_up()? {
            return Ok(Checkpoint::Later);
        }
        let sheet = self.sheet.load_full();
        let is_same_log = self.durable.log_id() == rewrite.log;
        if !is_same_log || !Arc::ptr_eq(&sheet, rewrite.next.sheet()) {
            return Ok(Checkpoint::Later);
        }
        let replaces = rewrite.replaces.as_ref();
        let next = replacement.hash();
        let public = self.outside.public().hash;
        self.durable.announce(next, rewrite.upto, &sheet, public)?;
        let published = self.outside.publish(replacement, replaces, &sheet)?;
        self.hold_public();
        // It may have displaced an edit, and is public all the same.
        if self.outside.public().hash == next {
            self.durable.confirm();
        }
        if !published {
            return Ok(Checkpoint::Later);
        }
        self.visible.was_written(rewrite.changes);
        if rewrite.next.has_added_columns() {
            self.tell_of_public_columns(rewrite.next.added_columns(), &sheet);
            self.rebase_on_own_version(&sheet)?;
        }
        Ok(Checkpoint::Visible)
    }

    /// From now on, who removes these columns has seen them, and they are not added again after a crash. If
    /// this cannot be written they are, and a person has to remove them once more.
    fn tell_of_public_columns(&mut self, names: &[String], sheet: &Sheet) {
        let mut frame = Frame {
            public_columns: names.iter().map(|name| name.as_str().into()).collect(),
            ..Frame::now()
        };
        let public = self.outside.public().hash;
        let told = self.durable.append(&mut frame, sheet, public);
        if let Err(error) = told {
            tracing::debug!(error = %error.chain(), "the journal does not tell that added columns are public");
        }
    }

    /// After columns were added, the version that has them becomes the base, so that later rewrites
    /// copy rows instead of padding them again.
    fn rebase_on_own_version(&mut self, old: &Sheet) -> Result<()> {
        let Some((snapshot, version)) = take(&self.site.target)? else {
            return Ok(());
        };
        if version.hash != self.outside.public().hash {
            return Ok(());
        }
        let new = self.site.build_own(snapshot)?;
        let mut merged = merge::transfer(old, &new, self.durable.unplaced());
        // What it shows that was written again since is ours, too.
        merged.conflicts.clear();
        self.outside.set_public(version);
        self.adopt(new, merged);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::Judged;
    use super::*;
    use crate::sheet::{Options, Updates, WriteOperation};

    #[test]
    fn what_is_written_to_a_file_that_loses_the_name_behind_the_hold_comes_before_what_takes_it() {
        let folder = tempfile::tempdir_in(".").unwrap();
        let path = folder.path().join("in.csv");
        let text = "PO_NUMBER;STATUS;note\nP1;;first\n";
        fs::write(&path, text).unwrap();
        let target = Arc::new(Target::open(&path).unwrap());
        let (options, session) = (Options::default(), Some("session"));
        let (mut writer, _) = Writer::open(target, &options, session, Judged::NotYet).unwrap();

        let held = writer.lock.acquire().unwrap();
        writer.hold_public();
        fs::write(&path, text.replace("first", "earlier")).unwrap();
        let saved = folder.path().join("saved");
        fs::write(&saved, text.replace("first", "later")).unwrap();
        fs::rename(saved, &path).unwrap();
        let taken_in = writer.take_in_behind_the_hold().unwrap();
        assert!(taken_in.is_none(), "it is held before it is taken in");
        drop(held);

        writer.checkpoint_patiently().unwrap();
        let shown = fs::read_to_string(&path).unwrap();
        assert!(shown.contains("later"), "{shown}");
        let copies = writer.backups().list_copies().unwrap();
        let [kept] = &copies[..] else {
            panic!("one of them takes back the other: {copies:?}");
        };
        let kept = fs::read_to_string(&kept.path).unwrap();
        assert!(kept.contains("earlier"), "{kept}");
    }

    #[test]
    fn a_version_that_was_planned_with_another_log_is_planned_anew() {
        let folder = tempfile::tempdir_in(".").unwrap();
        let path = folder.path().join("in.csv");
        fs::write(&path, "PO_NUMBER;STATUS;LAST_PROCESSED\nP1;;\n").unwrap();
        let target = Arc::new(Target::open(&path).unwrap());
        let (mut writer, _) =
            Writer::open(target, &Options::default(), None, Judged::NotYet).unwrap();
        let done = WriteOperation::new("P1", Updates::from([("STATUS", "COMPLETED")]));
        writer.commit(&[&done]).remove(0).unwrap();
        let held = writer.lock.acquire().unwrap();
        let Begun::Rewrite(rewrite) = writer.begin_rewrite(&held).unwrap() else {
            panic!("a result is not visible");
        };
        fs::write(folder.path().join(".in.csv.journal"), "").unwrap();
        let replacement = rewrite.write().unwrap();
        let published = writer.publish(&rewrite, replacement, &held).unwrap();
        assert!(matches!(published, Checkpoint::Later));
    }
}
