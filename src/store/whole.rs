//! A file that another program may still be writing is read once it is whole.
//!
//! `disk/settled.rs` says when a version has rested for long enough; here is what makes one suspicious,
//! and the wait. Whatever becomes the base of something goes through this: the sheet of a command that
//! writes, the input of a copy, and a backup that is restored. A version that never rests is
//! [`Error::Busy`](crate::Error::Busy); one that rests and is no sheet is refused for what it is.

use std::path::Path;

use crate::disk::{Rest, Snapshot, Stamp, has_settled, open_file, take_open};
use crate::error::{Error, Result};
use crate::sheet::{Options, Sheet};
use crate::store::patience::patiently;

/// How long the versions that are looked at, one after the other, have been left alone.
#[derive(Default)]
pub(crate) struct Settling(Rest);

impl Settling {
    /// Whether it is worth a copy.
    pub(crate) fn may_be_whole(&mut self, stamp: &Stamp) -> bool {
        has_settled(&mut self.0, stamp, false)
    }

    /// Whether a version that reads as this can be believed.
    pub(crate) fn is_whole(&mut self, stamp: &Stamp, read: &Result<Sheet>) -> bool {
        has_settled(&mut self.0, stamp, looks_half_written(read))
    }
}

/// Whether it is no sheet, has no rows, or ends in the middle of a line. All of these may be meant.
fn looks_half_written(read: &Result<Sheet>) -> bool {
    let is_complete = |sheet: &Sheet| sheet.len() > 0 && sheet.bytes().ends_with(b"\n");
    !read.as_ref().is_ok_and(is_complete)
}

/// Reads a file as a sheet of which nothing has been written, from a copy that is made by `copy`.
pub(crate) fn read(
    path: &Path,
    options: &Options,
    copy: impl Fn(&std::fs::File) -> Result<Snapshot>,
) -> Result<Sheet> {
    let mut settling = Settling::default();
    patiently(path, || {
        let file = open_file(path)?;
        let metadata = file.metadata().map_err(Error::io("read", path))?;
        if !settling.may_be_whole(&Stamp::of(&metadata)) {
            return Ok(None);
        }
        let Some((snapshot, version)) = take_open(&file, path, &copy)? else {
            return Ok(None);
        };
        let read = Sheet::build(snapshot, path, options);
        match settling.is_whole(&version.stamp, &read) {
            true => read.map(Some),
            false => Ok(None),
        }
    })
}
