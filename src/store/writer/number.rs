//! Rows without a key get numbers, before there is a key by which anything could be written.
//!
//! Without a key there is no journal and nothing to merge by. So the whole version is read, numbered and
//! exchanged under one hold of the write lock; if another program wrote to it meanwhile, all of that is begun
//! anew.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use crate::backup::CopyKind;
use crate::disk::{
    Displaced, Publication, Replacement, SessionLock, Snapshot, Stamp, Target, WriteLock, take,
};
use crate::error::Result;
use crate::journal::{Journal, frame};
use crate::sheet::render::Next;
use crate::sheet::{Duplicates, Numbered, Options, Sheet, number};
use crate::store::first::Shown;
use crate::store::patience::patiently;
use crate::store::whole::Settling;
use crate::store::{clean_up, fitness};

use super::outside::Outside;
use super::site::Site;
use super::{back_up, replacement};

/// Numbers the rows of a sheet that have no key, in a session of its own, after a backup. With none to number
/// it changes nothing.
pub(crate) fn number_rows(path: &Path, options: &Options, session: &str) -> Result<Numbered> {
    let target = Arc::new(Target::open(path)?);
    fitness::refuse_for_a_run(&target, options)?;
    let lock = WriteLock::open(&target)?;
    let held = lock.acquire()?;
    let mut session_lock = SessionLock::acquire(&target, &held, session)?;
    drop(held);
    let site = Site::new(target, options, Some(session))?;
    site.keep_leftovers()?;
    let mut settling = Settling::default();
    let mut backed_up = None;
    let given = highest_given(&site);
    let numbered = patiently(site.path(), || {
        let _held = lock.acquire()?;
        let (old, metadata) = site.target.open_sheet()?;
        if !settling.may_be_whole(&Stamp::of(&metadata)) {
            return Ok(None);
        }
        let Some((snapshot, public)) = take(&site.target)? else {
            return Ok(None);
        };
        let read = number::build(snapshot, site.path(), options);
        if !settling.is_whole(&public.stamp, &read) {
            return Ok(None);
        }
        let sheet = Arc::new(read?);
        let numbered = number::number(&sheet, given);
        let next = Next::of(&sheet);
        if numbered.rows == 0 && !next.has_added_columns() {
            return Ok(Some(numbered));
        }
        if next.has_added_columns() {
            fitness::refuse_without_room(&sheet, &[])?;
        }
        if backed_up != Some(public.hash) {
            back_up::copy(&old, &sheet, Shown::Base, &site.backups, session)?;
            backed_up = Some(public.hash);
        }
        let numbers = replacement(&site.target, &old, &next)?;
        let mut outside = Outside::new(public);
        match outside.exchange(numbers)? {
            Publication::Done(..) => {}
            Publication::Displaced(version, edit) => {
                outside.set_public(version);
                put_back(&mut outside, edit, &site)?;
                return Ok(None);
            }
            Publication::Busy | Publication::Edited => return Ok(None),
        }
        outside.watch_to_the_end(&site)?;
        Ok(Some(numbered))
    })?;
    if backed_up.is_some() {
        clean_up(&site.backups, &[]);
    }
    session_lock.settle();
    Ok(numbered)
}

/// The highest number of a row that had a result, though it may be gone: another one with it would get what is kept
/// of that.
fn highest_given(site: &Site) -> Option<u64> {
    let key = &site.options.key;
    let journal = Journal::peek(&site.target).ok().flatten();
    let of_journal = journal.filter(|(head, _)| head.key().is_same(key));
    let of_journal = of_journal.and_then(|(_, frames)| {
        let history = frame::history(&frames);
        let without_place = history.unplaced().iter().map(|update| update.po.as_str());
        number::highest(history.results().chain(without_place))
    });
    let options = Options {
        key: key.clone(),
        delimiter: Some(b';'),
        duplicates: Duplicates::All,
        ..Options::default()
    };
    let copies = site.backups.list_copies().unwrap_or_default();
    let unplaced = copies.iter().filter(|copy| copy.kind == CopyKind::Unplaced);
    let of_copies = unplaced.filter_map(|copy| {
        let copy = Sheet::read_without_journal(&copy.path, &options).ok()?;
        number::highest(copy.all_rows().map(|row| copy.key(row)))
    });
    of_copies.max().max(of_journal)
}

/// Puts an edit that the exchange took out of sight back in its place, in which the numbers are that it lacks.
fn put_back(outside: &mut Outside, edit: Displaced, site: &Site) -> Result<()> {
    let target = &*site.target;
    let quiet = patiently(site.path(), || {
        Ok(outside.is_quiet(&edit, site)?.0.then_some(()))
    });
    if quiet.is_err() {
        return outside.keep_displaced(edit, site);
    }
    let theirs = Snapshot::copy(target, &edit.file)?;
    let is_theirs = |written: &[u8]| match *written == *theirs {
        true => Ok(()),
        false => Err("it is not the version that was displaced".into()),
    };
    let size = theirs.len() as u64;
    let render = |out: &mut BufWriter<&File>| out.write_all(&theirs);
    let replacement = Replacement::write(target, &edit.file, size, render, is_theirs)?;
    match outside.exchange(replacement)? {
        Publication::Done(..) => edit.remove(target),
        Publication::Displaced(_, newer) => {
            edit.remove(target)?;
            outside.keep_displaced(newer, site)
        }
        // Somebody goes on from the numbered version.
        Publication::Busy | Publication::Edited => outside.keep_displaced(edit, site),
    }
}
