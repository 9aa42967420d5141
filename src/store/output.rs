//! Results in a copy: the input stays untouched, and the copy is the sheet.
//!
//! The copy appears whole or not at all, and never in the place of a file that is there. Of an
//! input that has grown since, only the rows that are new come into the copy.

use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::disk::NewFile;
use crate::error::{Error, Result};

/// Makes a copy of a sheet for a session, unless it is there already.
///
/// The copy is never more readable than the input, and durable when this returns.
///
/// # Errors
/// [`Error::SameFile`] if both are one file; [`Error::Io`]. There is no half copy.
pub fn create_output(input: &Path, copy: &Path) -> Result<()> {
    let source = File::open(input).map_err(Error::io("open", input))?;
    match refuse_same_file(input, copy) {
        Err(Error::Io { source: error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            create(copy, &source)
        }
        there => there,
    }
}

/// # Errors
/// [`Error::SameFile`] if both are one file; [`Error::Io`] if one of them is not there.
pub(crate) fn refuse_same_file(input: &Path, copy: &Path) -> Result<()> {
    let identity = |path| {
        let metadata = std::fs::metadata(path).map_err(Error::io("read", path))?;
        Ok((metadata.dev(), metadata.ino()))
    };
    match identity(copy)? == identity(input)? {
        true => Err(Error::SameFile {
            path: copy.to_owned(),
        }),
        false => Ok(()),
    }
}

/// Makes a sheet that is not there, with the contents and at most the mode of another file. If somebody
/// else is quicker, theirs is the copy.
fn create(path: &Path, mut source: &File) -> Result<()> {
    let failed = || Error::io("create", path);
    let mode = source.metadata().map_err(failed())?.mode() & 0o666;
    let new = NewFile::create(path, mode | 0o600)?;
    io::copy(&mut source, &mut new.file()).map_err(failed())?;
    new.publish().map(drop)
}
