//! Where a report is put: a new file in the same folder, which takes the name when it is whole.
//!
//! A link is followed, so that the file that it names is replaced and not the link. What is no
//! regular file (a device, a pipe) is never replaced. A new file is never more readable than the
//! sheet.
//!
//! Only a report that tickoff wrote, and nobody changed since, is replaced. That is asked twice: before
//! the work, and when the new file takes the name, since somebody may save one meanwhile.

use std::fs::{File, Metadata};
use std::io::{self, BufWriter, ErrorKind};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use tickoff::{Error, NewFile, Rights, Sheet, escape};

use crate::exit::{Exit, Failure};

/// A file that is being written. Dropped before it is published, it leaves nothing behind.
pub struct Output {
    new: NewFile,
    look: Look,
}

/// What a file is that has the name of a report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// Somebody else's, or a report of another kind.
    NoReport,
    /// A report of this kind that somebody changed since.
    Edited,
    /// A report of this kind, as tickoff wrote it.
    AsWritten,
}

const IS_KEPT: &str = "is a name that tickoff keeps for itself";

/// Tells what a file is, for one kind of report.
pub type Look = fn(&mut File) -> io::Result<Found>;

impl Output {
    /// Begins a file for a report over this sheet, unless the name is that of something else that
    /// has to stay.
    pub fn create(
        path: &Path,
        look: Look,
        sheet: &Sheet,
        joblog: Option<&Path>,
    ) -> Result<Output, Failure> {
        let rights = Rights::of(sheet.path())?;
        let new = NewFile::create(path, &rights).map_err(|error| match error {
            Error::OwnName { path } => refusal(&path, IS_KEPT),
            Error::NotAFile { path } => refusal(&path, "names no file"),
            error @ Error::Io {
                action: "find the folder",
                ..
            } => Failure::Sheet(error),
            error => not_written(error),
        })?;
        refuse_what_must_stay(new.path(), look, sheet, joblog)?;
        Ok(Output { new, look })
    }

    /// Its name to be, canonical.
    pub fn path(&self) -> &Path {
        self.new.path()
    }

    /// The folder it will be in.
    pub fn folder(&self) -> &Path {
        self.path().parent().expect("resolved")
    }

    /// The file, open for reading and writing.
    pub fn file(&self) -> &File {
        self.new.file()
    }

    /// Writes to it.
    pub fn writer(&self) -> BufWriter<&File> {
        BufWriter::with_capacity(1 << 16, self.new.file())
    }

    /// Says that it could not be written.
    pub fn failed(&self) -> impl FnOnce(io::Error) -> Failure {
        |error| failure("write", self.path().to_owned(), error)
    }

    /// Gives the whole file its name.
    pub fn publish(self) -> Result<(), Failure> {
        refuse_what_is_no_report(self.path(), self.look)?;
        self.new.replace().map_err(not_written)
    }
}

/// Two outputs under one name would leave only the second.
pub fn must_differ(a: Option<&Output>, b: Option<&Output>) -> Result<(), Failure> {
    match (a, b) {
        (Some(a), Some(b)) if a.path() == b.path() => Err(refusal(
            a.path(),
            "cannot be both the page and the workbook",
        )),
        _ => Ok(()),
    }
}

fn refuse_what_must_stay(
    path: &Path,
    look: Look,
    sheet: &Sheet,
    joblog: Option<&Path>,
) -> Result<(), Failure> {
    let is_same = |there: &Metadata, other: &Path| {
        std::fs::metadata(other)
            .is_ok_and(|other| (other.dev(), other.ino()) == (there.dev(), there.ino()))
    };
    if let Ok(there) = std::fs::metadata(path) {
        if is_same(&there, sheet.path()) {
            return Err(refusal(path, "is the sheet itself"));
        }
        if joblog.is_some_and(|joblog| is_same(&there, joblog)) {
            return Err(refusal(path, "is the joblog itself"));
        }
        if !there.is_file() {
            return Err(refusal(path, "is not a regular file"));
        }
    }
    refuse_what_is_no_report(path, look)?;
    let of_sheet = |path: &Path| {
        path.file_name()
            .unwrap_or_default()
            .to_string_lossy()
            .into_owned()
    };
    let kept = format!(".{}.", of_sheet(sheet.path()));
    if path.parent() == sheet.path().parent() && of_sheet(path).starts_with(&kept) {
        return Err(refusal(path, IS_KEPT));
    }
    Ok(())
}

fn refuse_what_is_no_report(path: &Path, look: Look) -> Result<(), Failure> {
    let found = File::open(path).and_then(|mut file| match file.metadata()?.len() {
        0 => Ok(Found::AsWritten),
        _ => look(&mut file),
    });
    match found {
        Ok(Found::AsWritten) => Ok(()),
        Ok(Found::Edited) => Err(refusal(path, "was edited since tickoff wrote it")),
        Ok(Found::NoReport) => Err(refusal(path, "is there already and is no report")),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(()),
        Err(error) => Err(failure("read", path.to_owned(), error)),
    }
}

fn refusal(path: &Path, why: &str) -> Failure {
    let path = escape(&path.to_string_lossy());
    Failure::Other(
        Exit::Usage,
        format!("{path} {why}: name another file for the report"),
    )
}

fn failure(action: &'static str, path: PathBuf, error: io::Error) -> Failure {
    // The workbook's writer wraps the system's reason together with another path.
    let system = std::iter::successors(
        error
            .get_ref()
            .map(|error| error as &(dyn std::error::Error + 'static)),
        |error| error.source(),
    )
    .find_map(|error| error.downcast_ref::<io::Error>()?.raw_os_error());
    let source = Arc::new(system.map_or(error, io::Error::from_raw_os_error));
    not_written(Error::Io {
        action,
        path,
        source,
    })
}

fn not_written(error: Error) -> Failure {
    // What to do about it is said of sheets.
    Failure::Other(Exit::BadSheet, error.chain())
}
