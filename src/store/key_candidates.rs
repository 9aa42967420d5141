//! What could be the key of a sheet that is asked for one.

use std::path::Path;

use crate::csv::candidates::{self, KeyCandidates};
use crate::disk::open_file;
use crate::domain::Encoding;
use crate::error::{Error, Result};

/// The columns of a sheet that are filled in every row and different in each, read with a delimiter and an encoding;
/// where there are none, the pairs of columns of which that is so. The sheet is changed in nothing.
///
/// # Errors
/// [`Error::Io`], [`Error::NotAFile`], and [`Error::Busy`] while another program has a write lease on it.
pub fn key_candidates(path: &Path, delimiter: u8, encoding: Encoding) -> Result<KeyCandidates> {
    let found = candidates::find(open_file(path)?, delimiter, encoding);
    let found = found.map_err(Error::io("read", path))?;
    if found.rows == 0 || !found.columns.is_empty() {
        return Ok(found);
    }
    let pairs = candidates::find_pairs(open_file(path)?, delimiter, encoding);
    let pairs = pairs.map_err(Error::io("read", path))?;
    Ok(if pairs.pairs.is_empty() { found } else { pairs })
}

/// The columns of a sheet that make a key of several columns of one that is not unique: together with its own they are
/// different in every row that has a key.
///
/// # Errors
/// As [`key_candidates`].
pub fn completing_columns(
    path: &Path,
    delimiter: u8,
    encoding: Encoding,
    key: &[String],
) -> Result<KeyCandidates> {
    let found = candidates::find_completing(open_file(path)?, delimiter, encoding, key);
    found.map_err(Error::io("read", path))
}
