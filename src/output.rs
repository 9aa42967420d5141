//! Results in a copy: the input stays untouched, and the copy is the sheet.
//!
//! The copy appears whole or not at all, and never in the place of a file that is there. Of an
//! input that has grown since, only the rows that are new come into the copy.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags};

use crate::error::{Error, Result};
use crate::grammar::{decode, encode};
use crate::index::RecordIndex;
use crate::sheet::{Sheet, text};
use crate::target::open_at;

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

/// Makes a sheet that is not there, with the contents and at most the mode of another file.
fn create(path: &Path, mut source: &File) -> Result<()> {
    let folder_path = match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    };
    let folder = File::open(folder_path).map_err(Error::io("open", folder_path))?;
    let failed = || Error::io("create", path);
    let mode = source.metadata().map_err(failed())?.mode() & 0o666;
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    let file = open_at(&folder, ".", flags, Mode::from_raw_mode(mode | 0o600));
    let mut file = File::from(file.map_err(|errno| failed()(errno.into()))?);
    io::copy(&mut source, &mut file)
        .and_then(|_| file.flush())
        .and_then(|()| file.sync_all())
        .map_err(failed())?;
    let descriptor = format!("/proc/self/fd/{}", std::os::fd::AsRawFd::as_raw_fd(&file));
    match rustix::fs::linkat(CWD, descriptor, CWD, path, AtFlags::SYMLINK_FOLLOW) {
        // Somebody else was quicker: theirs is the copy.
        Ok(()) | Err(rustix::io::Errno::EXIST) => {}
        Err(errno) => return Err(failed()(errno.into())),
    }
    folder.sync_all().map_err(Error::io("sync", folder_path))
}

/// The rows of the input whose PO is not in the copy, as rows of the copy, terminators included.
pub(crate) fn new_rows(input: &Sheet, copy: &Sheet) -> (usize, Vec<u8>) {
    let (from, to) = (input.schema(), copy.schema());
    let same_form = from.columns().len() <= to.columns().len()
        && from
            .columns()
            .iter()
            .zip(to.columns())
            .all(|(a, b)| crate::record::same_column(a, b))
        && input.dialect().delimiter == copy.dialect().delimiter;
    let mut rows = Vec::new();
    let mut count = 0;
    for row in input.all_rows() {
        let po = input.po(row);
        if po.is_empty() || copy.rows(&po).next().is_some() {
            continue;
        }
        count += 1;
        let fields = input.base_fields(row);
        if same_form && fields.len() <= from.columns().len() {
            rows.extend_from_slice(&input.bytes()[input.base_span(row)]);
            let width = to.columns().len();
            rows.extend(std::iter::repeat_n(
                copy.dialect().delimiter,
                width - fields.len(),
            ));
        } else {
            encode_row(input, row, copy, &mut rows);
        }
        rows.extend_from_slice(copy.dialect().terminator);
    }
    (count, rows)
}

fn encode_row(input: &Sheet, row: RecordIndex, copy: &Sheet, out: &mut Vec<u8>) {
    let fields = input.base_fields(row);
    let (from, dialect) = (input.schema(), copy.dialect());
    for (column, name) in copy.schema().columns().iter().enumerate() {
        if column > 0 {
            out.push(dialect.delimiter);
        }
        let field = from.position(name).and_then(|column| fields.get(column));
        let value = field.map(|field| text(decode(&input.bytes()[field.clone()])));
        encode(
            value.as_deref().unwrap_or(""),
            dialect.delimiter,
            dialect.quote_all,
            out,
        );
    }
}
