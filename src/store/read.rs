//! Reading a sheet with nothing locked and nothing changed.

use std::fs::File;
use std::io::Read;
use std::path::Path;

use crate::disk::{Snapshot, Stamp, Target};
use crate::error::{Error, Result};
use crate::journal::{Frame, Journal, frame};
use crate::sheet::{Options, Sheet, merge, new_rows};
use crate::store::output::refuse_same_file;

impl Sheet {
    /// Reads a sheet and what its journal adds to it. Nothing is locked and nothing is changed.
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::NotAFile`], [`Error::Delimiter`], and what makes a file unfit as a sheet:
    /// [`Error::Empty`], [`Error::NoKeyColumn`], [`Error::Malformed`], [`Error::DuplicatePo`]. A journal that cannot
    /// be used is [`Error::Journal`].
    pub fn read(path: impl AsRef<Path>, options: &Options) -> Result<Sheet> {
        let (bytes, frames, target) = read_settled(path.as_ref(), options)?;
        let sheet = Sheet::build(Snapshot::Owned(bytes), target.path(), options)?;
        merge::replay(&sheet, frame::updates(&frames));
        Ok(sheet)
    }

    /// The copy that a run with `--output` goes on with: the sheet at `path`, and behind its rows those
    /// of `input` whose POs are not in it.
    ///
    /// # Errors
    /// As [`Sheet::read`]; [`Error::SameFile`] if both are one file.
    pub fn read_with_new_rows(
        path: impl AsRef<Path>,
        options: &Options,
        input: &Sheet,
    ) -> Result<Sheet> {
        let path = path.as_ref();
        refuse_same_file(input.path(), path)?;
        let (mut bytes, frames, target) = read_settled(path, options)?;
        let copy = Sheet::build(Snapshot::Owned(bytes.clone()), target.path(), options)?;
        let (count, rows) = new_rows(input, &copy);
        let sheet = if count == 0 {
            copy
        } else {
            if !bytes.ends_with(b"\n") {
                bytes.extend_from_slice(copy.dialect().terminator);
            }
            bytes.extend_from_slice(&rows);
            Sheet::build(Snapshot::Owned(bytes), target.path(), options)?
        };
        merge::replay(&sheet, frame::updates(&frames));
        Ok(sheet)
    }

    /// The same for a sheet whose journal is nobody's business: an input that stays untouched.
    ///
    /// # Errors
    /// As [`Sheet::read`], without [`Error::Journal`].
    pub fn read_without_journal(path: impl AsRef<Path>, options: &Options) -> Result<Sheet> {
        let target = Target::open(path.as_ref())?;
        let (file, _) = target.open_sheet()?;
        Sheet::build(
            Snapshot::Owned(read_all(&file, &target)?),
            target.path(),
            options,
        )
    }
}

/// A sheet's bytes, and what its journal adds to them.
fn read_settled(path: &Path, options: &Options) -> Result<(Vec<u8>, Vec<Frame>, Target)> {
    const ATTEMPTS: usize = 100;
    let target = Target::open(path)?;
    let mut attempt = 0;
    loop {
        attempt += 1;
        let log = Journal::find(&target)?;
        let (file, metadata) = target.open_sheet()?;
        let bytes = read_all(&file, &target)?;
        let frames = Journal::read(&target, log.as_ref(), &options.key)?;
        // All that the file shows, and more, is in the log that was there before and after it
        // was read; without one, all is in the file, if nobody replaced it meanwhile.
        let settled = Journal::is_still(&target, log.as_ref())?
            && (log.is_some() || Stamp::of(&target.open_sheet()?.1) == Stamp::of(&metadata));
        if settled || attempt == ATTEMPTS {
            return Ok((bytes, frames, target));
        }
    }
}

fn read_all(mut file: &File, target: &Target) -> Result<Vec<u8>> {
    let mut bytes = Vec::new();
    file.read_to_end(&mut bytes)
        .map_err(Error::io("read", target.path()))?;
    Ok(bytes)
}
