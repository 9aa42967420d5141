//! What `check` finds in a file, be it a sheet or not.

use std::path::Path;

use crate::error::{Error, Result};
use crate::sheet::integrity::findings_with;
use crate::sheet::{Diagnostic, Duplicates, Level, Options, Sheet};
use crate::text::{DidYouMean, escape, escape_list};

/// Reads a sheet and returns its findings in the order of its lines; what makes it unfit as a sheet
/// is a finding, too, and then the only one.
///
/// # Errors
/// [`Error::Io`] and [`Error::NotAFile`] if it cannot be read at all, [`Error::Journal`].
pub fn diagnose(path: impl AsRef<Path>, options: &Options) -> Result<Vec<Diagnostic>> {
    let all = Options {
        duplicates: Duplicates::All,
        ..options.clone()
    };
    let fatal = |line, column, message, excerpt| {
        vec![Diagnostic {
            level: Level::Error,
            line,
            column,
            po: None,
            message,
            excerpt,
        }]
    };
    match Sheet::read(path, &all) {
        Ok(sheet) => Ok(findings_with(&sheet, options.duplicates)),
        Err(Error::Malformed {
            line,
            column,
            problem,
            excerpt,
            ..
        }) => Ok(fatal(line, column, problem.to_string(), Some(excerpt))),
        Err(Error::NoKeyColumn {
            line,
            key,
            columns,
            close,
            excerpt,
            ..
        }) => Ok(fatal(
            line,
            1,
            format!(
                "no column {} in the header, which has {}{}",
                escape(&key),
                escape_list(&columns),
                DidYouMean(&close)
            ),
            Some(excerpt),
        )),
        Err(Error::Empty { key, .. }) => Ok(fatal(
            1,
            1,
            format!(
                "the file is empty: a header with the column {} is needed",
                escape(&key)
            ),
            None,
        )),
        Err(error) => Err(error),
    }
}
