//! Rows without a key get numbers, before there is a key by which anything could be written.
//!
//! Without a key there is no journal and nothing to merge by. So the whole version is read, numbered and
//! exchanged under one hold of the write lock; if another program wrote to it meanwhile, all of that is begun
//! anew.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::Path;
use std::sync::Arc;

use crate::disk::{
    Displaced, Publication, Replacement, SessionLock, Snapshot, Stamp, Target, WriteLock, take,
};
use crate::error::Result;
use crate::sheet::render::Next;
use crate::sheet::{Numbered, Options, number};
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
        let numbered = number::number(&sheet);
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
