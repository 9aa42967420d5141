//! Results in a copy: the input stays untouched, and the copy is the sheet.
//!
//! The copy appears whole or not at all, and never in the place of a file that is there. It is made of what
//! was read of the input and judged, and not of what the input has become since. Of an input that has grown
//! since, only the rows that are new come into the copy. An input may be jobs from a stream, which no file
//! holds.
//!
//! What is there already is gone on with if it is such a copy: two of three have to speak for it, its rows, its
//! columns, and results. A sheet that somebody made by hand does not get the rows of another one.

use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use crate::disk::{NewFile, Rights};
use crate::error::{Error, Result};
use crate::sheet::{History, Likeness, Sheet, lacking};
use crate::store::left_behind;
use crate::text::{Escaped, escape_list};

/// Makes a copy of a sheet, as it was read, for a session, unless it is there already. Returns whether it was made,
/// for [`Session::open_new`](crate::Session::open_new).
///
/// The copy is never more readable than the input, and durable when this returns.
///
/// # Errors
/// [`Error::SameFile`] if both are one file; [`Error::Unsuitable`] if there is none, and a journal beside its name
/// has results, or if somebody else put it there, or a link to it; [`Error::OwnName`]; [`Error::Io`]. There is no
/// half copy.
pub fn create_output(input: &Sheet, copy: &Path) -> Result<bool> {
    if let Some(refused) = left_behind::gone(copy).filter(|_| !copy.exists()) {
        return Err(refused);
    }
    let Some(file) = input.file() else {
        return match copy.exists() {
            true => Rights::default().refuse_strangers(copy).map(|()| false),
            false => fill(NewFile::like_any(copy)?, input),
        };
    };
    match refuse_same_file(file, copy) {
        Err(Error::Io { source: error, .. }) if error.kind() == io::ErrorKind::NotFound => {
            fill(NewFile::create(copy, &Rights::of(file)?)?, input)
        }
        there => {
            there?;
            Rights::of(file)?.refuse_strangers(copy).map(|()| false)
        }
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

/// Refuses a sheet that is no copy of the input. The history is that sheet's.
///
/// # Errors
/// [`Error::Unsuitable`].
pub(crate) fn refuse_another(input: &Sheet, copy: &Sheet, history: &History) -> Result<()> {
    let like = Likeness::of(input, copy);
    let has_results = copy.has_own_status() || history.results().next().is_some();
    let evidence = [like.has_rows, like.has_columns, has_results];
    let speaks = evidence.iter().filter(|speaks| **speaks).count();
    // The jobs of two lists are seldom the same.
    let is_list = || input.file().is_none() && lacking(copy, input).is_empty();
    if speaks >= 2 || copy.len() == 0 || is_list() {
        return Ok(());
    }
    let input = match input.file() {
        Some(file) => Escaped::path(file).to_string(),
        None => "those jobs".to_owned(),
    };
    let reasons = [
        (!like.has_rows).then(|| "has other rows".to_owned()),
        (!like.has_columns).then(|| format!("lacks {}", escape_list(&like.lacking))),
        (!has_results).then(|| "has no results".to_owned()),
    ];
    let reasons: Vec<String> = reasons.into_iter().flatten().collect();
    Err(Error::Unsuitable {
        problem: format!(
            "is there already and is no copy of {input}: it {}; it was left as it is: name another file for the results",
            reasons.join(", ")
        ),
        path: copy.path().to_owned(),
    })
}

/// Makes a sheet that is not there, with the contents of another one. If somebody else is quicker, theirs is
/// the copy.
fn fill(new: NewFile, input: &Sheet) -> Result<bool> {
    let written = new.file().write_all(input.bytes());
    written.map_err(Error::io("create", new.path()))?;
    new.publish()
}
