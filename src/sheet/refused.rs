//! What can be read of a file that is refused as a sheet, so that `check` tells of all that is wrong with it at once.
//!
//! Of columns that are there twice it has the first; without a key column no row has a key; and it ends above the
//! first row that is malformed. Nothing but its findings is made of it.

use std::path::Path;

use crate::csv::{Dialect, Malformed, Records, dialect, grammar};
use crate::disk::Snapshot;
use crate::domain::Problem;
use crate::error::{Error, Result};
use crate::sheet::options::{Duplicates, Options};
use crate::sheet::schema::Schema;
use crate::sheet::table::Sheet;

/// A file that is refused as a sheet, as far as it can be read.
pub(crate) struct Refused {
    pub(crate) sheet: Sheet,
    /// What is wrong with its header's columns, but for a key column that is not there, and with its first
    /// malformed row.
    pub(crate) errors: Vec<Error>,
}

impl Refused {
    /// # Errors
    /// If nothing of it can be read.
    pub(crate) fn of(bytes: Vec<u8>, path: &Path, options: &Options) -> Result<Refused> {
        let (given, encoding) = (options.delimiter, options.encoding);
        let read = dialect::detect(&bytes, &options.key, given, encoding, path);
        let (dialect, names) = match read {
            Err(Error::NoKeyColumn { .. }) => {
                dialect::detect_without_key(&bytes, given, encoding, path)?
            }
            read => read?,
        };
        let key = options.key.written_in(dialect.delimiter);
        let repeated = Schema::repeated(&names, &key, &options.stage);
        let errors = repeated.map(|problem| in_header(problem, &bytes, &dialect, path));
        let mut errors: Vec<Error> = errors.collect();
        let schema = Schema::of_first(&names, &key, &options.stage);
        let options = Options {
            // Keys that lack a part are no keys.
            duplicates: match schema.has_key() {
                true => options.duplicates,
                false => Duplicates::All,
            },
            ..options.clone()
        };
        let of = |bytes| {
            let (dialect, schema) = (dialect.clone(), schema.clone());
            Sheet::with_schema(Snapshot::Owned(bytes), path, &options, dialect, schema)
        };
        let sheet = match of(bytes.clone()) {
            Err(malformed @ Error::Malformed { line, column, .. }) => {
                errors.push(malformed);
                let mut above = bytes;
                let end = begin_of_row(&above, &dialect, offset(&above, line, column));
                above.truncate(end);
                of(above)?
            }
            sheet => sheet?,
        };
        Ok(Refused { sheet, errors })
    }
}

/// The byte at a line and column as an error has them.
fn offset(bytes: &[u8], line: u64, column: u64) -> usize {
    let mut ends = memchr::memchr_iter(b'\n', bytes);
    let above = line
        .checked_sub(2)
        .and_then(|lines| ends.nth(lines as usize));
    above.map_or(0, |end| end + 1) + column as usize - 1
}

/// Where the row begins that has a byte, or is the first that cannot be read.
fn begin_of_row(bytes: &[u8], dialect: &Dialect, offset: usize) -> usize {
    let mut rows = Records::new(bytes, dialect.delimiter, dialect.header_end);
    let mut end = dialect.header_end;
    while let Ok(Some(row)) = rows.next_span() {
        if row.end >= offset {
            return row.start.min(offset);
        }
        end = rows.at();
    }
    end
}

/// What is wrong with one of the header's columns.
pub(super) fn in_header(
    (column, problem): (usize, Problem),
    bytes: &[u8],
    dialect: &Dialect,
    path: &Path,
) -> Error {
    let field = grammar::nth_field(bytes, dialect.delimiter, dialect.header_start, column);
    let offset = field.map_or(dialect.header_start, |field| field.start);
    Malformed { offset, problem }.at(path, bytes)
}
