//! Every way in which tickoff can fail.
//!
//! One variant for each decision a caller can make, carrying the evidence: path, line, column, key.
//! A message is one lower-case sentence without a full stop, and what came from a file or a worker
//! is escaped in it, so that printing an error never lets a cell speak to the terminal.

use std::fmt;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use crate::domain::{Encoding, HeaderLine, Holder, InvalidValue, Problem, ProcessingStatus};
use crate::text::shell::command_line;
use crate::text::{
    DidYouMean, Escaped, Excerpt, Meant, MeantKey, Missing, close_to, escape_list, looks_like,
};

/// The result of everything in this crate that can fail.
pub type Result<T> = std::result::Result<T, Error>;

/// Why something could not be done.
///
/// Cloneable, because one failed write answers every operation that was part of it.
#[derive(Debug, Clone, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// The system refused a file operation.
    #[error("cannot {action} {}", Escaped::path(path))]
    Io {
        /// What was tried, as a verb phrase: "read", "replace".
        action: &'static str,
        /// The file or folder it was tried on.
        path: PathBuf,
        /// The system's reason.
        #[source]
        source: Arc<io::Error>,
    },
    /// The sheet is a folder, a device, a pipe or a socket.
    #[error("{} is not a regular file", Escaped::path(path))]
    NotAFile {
        /// What was to be opened.
        path: PathBuf,
    },
    /// The sheet holds no header.
    #[error(
        "{} is empty: a header with the {} is needed",
        Escaped::path(path),
        Named(key)
    )]
    Empty {
        /// The sheet.
        path: PathBuf,
        /// The key columns that were looked for.
        key: Box<[String]>,
    },
    /// The header lacks the key column, or some of several.
    #[error(
        "{}:{line}: no {} in the header, which has {}{}",
        Escaped::path(path),
        Named(missing),
        escape_list(columns),
        Missing { names: missing, columns, close }
    )]
    NoKeyColumn {
        /// The sheet.
        path: Box<Path>,
        /// 1-based line of the file on which the header begins.
        line: u64,
        /// The key columns that were looked for.
        key: Box<[String]>,
        /// Those of them that are not there.
        missing: Box<[String]>,
        /// The delimiter with which the header was read.
        delimiter: u8,
        /// The encoding with which it was read.
        encoding: Encoding,
        /// The columns that are there.
        columns: Box<[String]>,
        /// Those of them that are like the first that is not, at most three.
        close: Box<[String]>,
        /// What the line is that was read as the header.
        header: HeaderLine,
        /// The header.
        excerpt: Excerpt,
    },
    /// The settings beside a sheet cannot be used as they are.
    #[error("{}:{line}:{column}: {}", Escaped::path(path), Escaped::text(problem))]
    Settings {
        /// The file of settings.
        path: PathBuf,
        /// 1-based line of that file.
        line: u64,
        /// 1-based byte within that line.
        column: u64,
        /// What is wrong there.
        problem: String,
        /// That place in its line.
        excerpt: Excerpt,
    },
    /// What was given as the delimiter cannot be one.
    #[error("a delimiter must be an ASCII character, and no quote, line break or NUL, not {}", Escaped::text(&char::from(*delimiter).to_string()))]
    Delimiter {
        /// What was given.
        delimiter: u8,
    },
    /// The bytes of the sheet are not a CSV that can be kept intact.
    #[error("{}:{line}:{column}: {problem}", Escaped::path(path))]
    Malformed {
        /// The sheet.
        path: PathBuf,
        /// 1-based line of the file, counted in line feeds.
        line: u64,
        /// 1-based byte within that line.
        column: u64,
        /// What is wrong there.
        problem: Problem,
        /// That place in its line.
        excerpt: Excerpt,
    },
    /// A key stands in several rows, and the caller did not say that all of them are meant.
    #[error(
        "{}: {} stands in several rows, on lines {}",
        Escaped::path(path),
        Escaped::name(po),
        Lines(lines)
    )]
    DuplicatePo {
        /// The sheet.
        path: PathBuf,
        /// The key that is not unique.
        po: String,
        /// 1-based first line of each of its rows.
        lines: Vec<u64>,
        /// The key columns.
        key: Box<[String]>,
        /// The delimiter with which the sheet was read.
        delimiter: u8,
        /// The encoding with which it was read.
        encoding: Encoding,
    },
    /// A column in which tickoff would write holds what it did not write: words of STATUS that nobody knows,
    /// or text in a column that belongs to a STATUS which is not there. Nothing was changed.
    #[error(
        "{}:{line}:{column}: {}",
        Escaped::path(path),
        foreign_column(name, words)
    )]
    ForeignColumn {
        /// The sheet.
        path: PathBuf,
        /// 1-based line of the file on which the first of them stands.
        line: u64,
        /// 1-based byte within that line.
        column: u64,
        /// The column's name in the header.
        name: String,
        /// Whether it is the STATUS column, so that its words can be declared.
        is_status: bool,
        /// What it holds, the commonest first.
        words: Vec<ForeignWord>,
        /// The first of them.
        excerpt: Excerpt,
    },
    /// The key of an update is not in the sheet. Nothing was changed.
    #[error(
        "no row has the key {}{}{}",
        Escaped::name(po),
        NotOfTheForm(form),
        MeantKey { wanted: po, close, more: *more }
    )]
    UnknownPo {
        /// The key that was asked for.
        po: String,
        /// Of what a key of several columns is made, `order;line`, if that one is not.
        form: Option<String>,
        /// Keys of the sheet that are like it, at most three.
        close: Vec<String>,
        /// How many more have it as a part.
        more: usize,
    },
    /// A column of an update is not in the sheet and may not be added. Nothing was changed.
    #[error(
        "no column {} in the sheet, which has {}{}",
        Escaped::name(column),
        escape_list(columns),
        Meant { wanted: column, columns, close }
    )]
    UnknownColumn {
        /// The column that was asked for.
        column: String,
        /// The columns that are there.
        columns: Vec<String>,
        /// Columns that are like it, at most three; they are there, or may be added.
        close: Vec<String>,
    },
    /// A word that was asked for as a STATUS is neither known nor in the sheet.
    #[error(
        "no row has the STATUS {}, and nobody knows such a word{}",
        Escaped::text(word),
        DidYouMean::one_of(close, 0)
    )]
    UnknownStatus {
        /// The word that was asked for.
        word: String,
        /// Words that are like it, at most three; they are known, or in the sheet.
        close: Vec<String>,
    },
    /// The stage that has to come first has no columns in the sheet.
    #[error(
        "no stage {stage} in the sheet, which has no column {column}{}",
        DidYouMean::one_of(close, 0)
    )]
    UnknownStage {
        /// The stage that was asked for.
        stage: String,
        /// The column of its status.
        column: String,
        /// The columns of stages that are called almost so, at most three.
        close: Vec<String>,
    },
    /// A stage of [`Options::stages`](crate::Options::stages) has no column in the sheet yet.
    #[error(
        "the stage {stage} is in tickoff.toml and has not begun: the sheet has no column {column} yet"
    )]
    StageNotBegun {
        /// The stage that was asked for.
        stage: String,
        /// Its column.
        column: String,
    },
    /// A value that may not be written. Nothing was changed.
    #[error("{}: {} {reason}", Escaped::name(po), Escaped::name(column))]
    InvalidValue {
        /// The key of the update.
        po: String,
        /// The column of the update.
        column: String,
        /// Why it was refused.
        reason: InvalidValue,
    },
    /// A result may not take a row from one status to the other. Nothing was changed.
    #[error("{}: a result may not change {from} to {to}", Escaped::name(po))]
    Transition {
        /// The key of the update.
        po: String,
        /// Its status when the update's turn came.
        from: ProcessingStatus,
        /// The status that the update asked for.
        to: ProcessingStatus,
    },
    /// Another session works on the sheet.
    #[error("{} is in use by {holder}", Escaped::path(path))]
    SessionHeld {
        /// The sheet.
        path: PathBuf,
        /// Who holds it.
        holder: Holder,
    },
    /// Other processes kept the sheet's lock for longer than a writer waits. Nothing was changed.
    #[error("waited {} s for the lock {}", waited.as_secs(), Escaped::path(path))]
    LockTimeout {
        /// The lock file.
        path: PathBuf,
        /// How long was waited.
        waited: Duration,
    },
    /// An update could not be written to the journal: it would not survive a crash.
    /// It was not applied.
    #[error("the result of {} could not be made durable", Escaped::name(po))]
    NotDurable {
        /// The key of the update.
        po: String,
        /// What stopped the last attempt.
        #[source]
        source: Box<Error>,
    },
    /// An update is durable in the journal, and the public CSV does not show it yet.
    /// The next write, or the next session, includes it.
    #[error("not yet written to {}, kept in its journal", Escaped::path(path))]
    NotVisible {
        /// The sheet.
        path: PathBuf,
        /// What stopped the last attempt.
        #[source]
        source: Box<Error>,
    },
    /// The sheet cannot be written, and its journal cannot be reached, as when its folder was removed: the sheet with all
    /// its results is in a file.
    #[error(
        "{} cannot be written, and its journal cannot be reached; the sheet with all results is in {}",
        Escaped::path(path),
        Escaped::path(kept)
    )]
    Rescued {
        /// The sheet.
        path: PathBuf,
        /// The file that has everything.
        kept: PathBuf,
        /// What stopped the last attempt.
        #[source]
        source: Box<Error>,
    },
    /// Another program has the sheet open for writing, or is changing it right now.
    #[error("{} is being written by another program", Escaped::path(path))]
    Busy {
        /// The sheet.
        path: PathBuf,
    },
    /// The new version of the sheet was not what it should be. The old one is still in place.
    #[error(
        "the new version of {} is not as it should be: {problem}",
        Escaped::path(path)
    )]
    Verification {
        /// The sheet.
        path: PathBuf,
        /// What differed.
        problem: String,
    },
    /// The queue was stopped; the operation was not accepted.
    #[error("the write queue is stopped")]
    QueueStopped,
    /// The queue is full; the operation was not accepted.
    #[error("the write queue is full")]
    QueueFull,
    /// The writer thread died. Whether the operation is durable is not known.
    #[error("the writer thread died: {}", Escaped::text(message))]
    WriterDied {
        /// The panic's message.
        message: String,
    },
    /// The journal cannot be used as it is.
    #[error("the journal {} {problem}", Escaped::path(path))]
    Journal {
        /// The journal.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
    /// The sheet lies where the promises cannot be kept.
    #[error("{} {problem}", Escaped::path(path))]
    Unsuitable {
        /// The sheet.
        path: PathBuf,
        /// Why it is unsuitable, and what to do.
        problem: String,
    },
    /// Input and output are one file, and the input was to stay untouched.
    #[error(
        "{} is the input itself: name another file for the results, or none to have them in the input",
        Escaped::path(path)
    )]
    SameFile {
        /// The output.
        path: PathBuf,
    },
    /// An output has a name that tickoff keeps for a file of its own.
    #[error(
        "{} is a name that tickoff keeps for itself: name another file",
        Escaped::path(path)
    )]
    OwnName {
        /// The output.
        path: PathBuf,
    },
    /// Nobody but a person can tell what is to become of the results in the journal. Nothing was changed.
    #[error(
        "{} {found}: its journal has results for {rows} row{} that it does not show: tickoff recover {} --apply writes them, --discard gives them up and keeps them in a copy",
        Escaped::path(path),
        if *rows == 1 { "" } else { "s" },
        command_line([path].into_iter())
    )]
    Undecided {
        /// The sheet.
        path: PathBuf,
        /// What was found: "is an older version of itself".
        found: String,
        /// How many rows that is about.
        rows: usize,
    },
    /// Another program put another sheet in this one's place. Nothing is applied to it; the results are in the
    /// journal, and are written once the sheet is back.
    #[error(
        "{} is another sheet now: nothing is written to it. Put the old one back and run again; or, if that is nowhere any more: {}",
        Escaped::path(path),
        how_to_bring_back(path)
    )]
    AnotherSheet {
        /// The sheet.
        path: PathBuf,
    },
    /// The name by which a sheet was opened does not lead to it any more. All results are in the sheet, and none
    /// where its name leads.
    #[error(
        "{} does not lead to {} any more, {now}",
        Escaped::path(path),
        Escaped::path(sheet)
    )]
    LedAway {
        /// The name.
        path: PathBuf,
        /// The sheet.
        sheet: PathBuf,
        /// What has come of the name, and what to do.
        now: String,
    },
    /// A backup that cannot be made, or is not one.
    #[error("{}: {problem}", Escaped::path(path))]
    Backup {
        /// The backup or its folder.
        path: PathBuf,
        /// What is wrong with it.
        problem: String,
    },
}

impl Error {
    /// Attaches what was tried, and on which path, to the system's error.
    pub(crate) fn io(
        action: &'static str,
        path: impl AsRef<Path>,
    ) -> impl FnOnce(io::Error) -> Error {
        let path = path.as_ref().to_path_buf();
        move |source| Error::Io {
            action,
            path,
            source: Arc::new(source),
        }
    }

    /// A column that is not there and may not be added, beside those that are there and those that
    /// may be; if it is known which were `meant`, these are proposed.
    pub(crate) fn unknown_column(
        column: &str,
        columns: &[String],
        addable: &[&str],
        meant: Vec<String>,
    ) -> Error {
        let known = columns.iter().map(String::as_str);
        Error::UnknownColumn {
            column: column.trim().to_owned(),
            columns: columns.to_vec(),
            close: match meant.is_empty() {
                true => close_to(column, known.chain(addable.iter().copied())),
                false => meant,
            },
        }
    }

    /// The column that looks like the one which is not there, if there is such a one.
    pub fn look_alike(&self) -> Option<&str> {
        let (wanted, columns): (&[String], &[String]) = match self {
            Error::NoKeyColumn {
                missing, columns, ..
            } => (missing, columns),
            Error::UnknownColumn {
                column, columns, ..
            } => (std::slice::from_ref(column), columns),
            _ => return None,
        };
        let mut alike = wanted.iter().filter_map(|name| looks_like(name, columns));
        alike.next().map(|(column, _)| column)
    }

    /// Whether a result could not be made durable for a reason that somebody can take away while it
    /// waits: a full disk, a used-up quota, a lock or a sheet that others hold.
    pub(crate) fn may_pass(&self) -> bool {
        let Error::NotDurable { source, .. } = self else {
            return false;
        };
        source.is_for_want_of_room()
            || matches!(**source, Error::LockTimeout { .. } | Error::Busy { .. })
    }

    /// Whether a file cannot be read as a sheet, whatever is in it.
    pub(crate) fn is_no_sheet(&self) -> bool {
        matches!(
            self,
            Error::Malformed { .. }
                | Error::Empty { .. }
                | Error::NoKeyColumn { .. }
                | Error::DuplicatePo { .. }
        )
    }

    /// Whether the disk is full or a quota used up.
    pub(crate) fn is_for_want_of_room(&self) -> bool {
        let Error::Io { source, .. } = self else {
            return false;
        };
        matches!(
            source.kind(),
            io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded
        )
    }

    /// The place in a file that the error, or one of its causes, is about.
    pub fn excerpt(&self) -> Option<&Excerpt> {
        match self {
            // Of a file that is no text there is nothing to be seen.
            Error::Malformed {
                problem: Problem::NoCsv(_),
                ..
            } => None,
            Error::Malformed { excerpt, .. }
            | Error::NoKeyColumn { excerpt, .. }
            | Error::ForeignColumn { excerpt, .. }
            | Error::Settings { excerpt, .. } => Some(excerpt),
            Error::NotDurable { source, .. }
            | Error::NotVisible { source, .. }
            | Error::Rescued { source, .. } => source.excerpt(),
            _ => None,
        }
    }

    /// The error and its causes in one line, as the program prints it.
    pub fn chain(&self) -> String {
        let mut text = self.to_string();
        let mut cause = std::error::Error::source(self);
        while let Some(error) = cause {
            text.push_str(": ");
            text.push_str(&error.to_string());
            cause = error.source();
        }
        text
    }
}

/// A word that is not tickoff's, in a column in which tickoff would write.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ForeignWord {
    /// The word, without blanks around it; a long text is shortened.
    pub word: String,
    /// How many rows have it.
    pub rows: usize,
    /// 1-based lines of the first of them.
    pub lines: Vec<u64>,
}

/// What is wrong with a column that is somebody else's.
pub(crate) fn foreign_column(name: &str, words: &[ForeignWord]) -> String {
    let (name, words) = (Escaped::text(name), ForeignWords(words));
    format!("the column {name} holds what is not tickoff's: {words}")
}

/// Words with their rows, cut after a few.
struct ForeignWords<'a>(&'a [ForeignWord]);

impl fmt::Display for ForeignWords<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        for (i, ForeignWord { word, rows, lines }) in self.0.iter().take(SHOWN).enumerate() {
            let (comma, word) = (if i > 0 { ", " } else { "" }, Escaped::text(word));
            match rows {
                1 => write!(f, "{comma}{word} in 1 row (line {}", Lines(lines))?,
                _ => write!(f, "{comma}{word} in {rows} rows (lines {}", Lines(lines))?,
            }
            f.write_str(if *rows > lines.len() { ", …)" } else { ")" })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more words"),
        }
    }
}

/// A key of several columns that was written otherwise.
struct NotOfTheForm<'a>(&'a Option<String>);

impl fmt::Display for NotOfTheForm<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(form) => write!(f, ", which is not of the form {}", Escaped::text(form)),
            None => Ok(()),
        }
    }
}

/// The commands that bring a sheet back in whose place another one is; that one is moved aside.
fn how_to_bring_back(path: &Path) -> String {
    let mut aside = path.as_os_str().to_owned();
    aside.push(".new");
    let sheet = command_line([path].into_iter());
    format!(
        "mv -n {} && tickoff backup restore {sheet} latest && tickoff recover {sheet} --apply",
        command_line([path, Path::new(&aside)].into_iter())
    )
}

/// Columns by their names: `column id`, `columns order, line`.
pub(crate) struct Named<'a>(pub(crate) &'a [String]);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            [] => f.write_str("columns"),
            [name] => write!(f, "column {}", Escaped::text(name)),
            names => write!(f, "columns {}", escape_list(names)),
        }
    }
}

/// Line numbers as people write them, cut after a few.
struct Lines<'a>(&'a [u64]);

impl fmt::Display for Lines<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        const SHOWN: usize = 8;
        for (i, line) in self.0.iter().take(SHOWN).enumerate() {
            write!(f, "{}{line}", if i > 0 { ", " } else { "" })?;
        }
        match self.0.len().saturating_sub(SHOWN) {
            0 => Ok(()),
            more => write!(f, " and {more} more"),
        }
    }
}
