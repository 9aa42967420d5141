//! What could be the key of a sheet that is asked for one.

use std::path::Path;

use crate::csv::Encoding;
use crate::csv::candidates::{self, KeyCandidates};
use crate::disk::open_file;
use crate::error::{Error, Result};

/// The columns of a sheet that are filled in every row and different in each, read with a delimiter and an encoding. The sheet is
/// read once, and changed in nothing.
///
/// # Errors
/// [`Error::Io`], [`Error::NotAFile`], and [`Error::Busy`] while another program has a write lease on it.
pub fn key_candidates(path: &Path, delimiter: u8, encoding: Encoding) -> Result<KeyCandidates> {
    candidates::find(open_file(path)?, delimiter, encoding).map_err(Error::io("read", path))
}
