//! How a command ends, and the exit code that says so.

mod advice;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::process::ExitCode;

use tickoff::{CsvHandler, Error};

use crate::stderr::Display;

pub use advice::{advice, advice_beside_lost_results, for_a_shell};

/// How a command ended.
///
/// Listed from the least to the most pressing: where several are true, the last of them is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Exit {
    /// All is done.
    Done,
    /// It finished, but some rows failed or were refused, or results were lost with a damaged journal.
    SomeFailed,
    /// `--halt` stopped it, or that no worker could start.
    Halted,
    /// The command that was to be run for each row was not found.
    NoCommand,
    /// The command that was to be run for each row cannot be run.
    CannotRun,
    /// SIGINT stopped it.
    Interrupted,
    /// SIGTERM or SIGHUP stopped it.
    Terminated,
    /// Another session holds the sheet, or another program is writing it.
    Held,
    /// The sheet is missing, unreadable or invalid.
    BadSheet,
    /// Some results could not be written to the sheet.
    NotWritten,
    /// The command line is wrong.
    Usage,
}

impl Exit {
    /// The number that the shell sees.
    pub fn code(self) -> u8 {
        match self {
            Exit::Done => 0,
            Exit::SomeFailed => 1,
            Exit::Usage => 2,
            Exit::BadSheet => 3,
            Exit::Held => 4,
            Exit::Halted => 5,
            Exit::NotWritten => 6,
            Exit::CannotRun => 126,
            Exit::NoCommand => 127,
            Exit::Interrupted => 130,
            Exit::Terminated => 143,
        }
    }

    /// What to say when both are true.
    pub fn and(self, other: Exit) -> Exit {
        self.max(other)
    }

    /// How a command ends that did what it was to do with a sheet: results may have had no place in it, or
    /// have been lost with a damaged journal, or be those of another key now.
    pub fn after(handler: &CsvHandler) -> Exit {
        let is_amiss = handler.has_lost_results() || handler.has_rekeyed_rows();
        Exit::of_loss(is_amiss, &handler.kept_unplaced())
    }

    /// The same, of what a command found.
    pub fn of_loss(has_lost: bool, unplaced: &[PathBuf]) -> Exit {
        match has_lost || !unplaced.is_empty() {
            false => Exit::Done,
            true => Exit::SomeFailed,
        }
    }

    /// How a command ends that this error stopped.
    pub fn of(error: &Error) -> Exit {
        match error {
            Error::UnknownPo { .. }
            | Error::UnknownColumn { .. }
            | Error::StageNotBegun { .. }
            | Error::InvalidValue { .. }
            | Error::Transition { .. } => Exit::SomeFailed,
            Error::UnknownStatus { .. } | Error::UnknownStage { .. } | Error::OwnName { .. } => {
                Exit::Usage
            }
            Error::SessionHeld { .. } | Error::LockTimeout { .. } | Error::Busy { .. } => {
                Exit::Held
            }
            Error::NotDurable { .. }
            | Error::NotVisible { .. }
            | Error::Rescued { .. }
            | Error::LedAway { .. }
            | Error::Verification { .. }
            | Error::WriterDied { .. }
            | Error::QueueStopped
            | Error::QueueFull => Exit::NotWritten,
            _ => Exit::BadSheet,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> ExitCode {
        exit.code().into()
    }
}

/// Why a command could not go on.
#[derive(Debug)]
pub enum Failure {
    /// The library's reason.
    Sheet(Error),
    /// The same, of a slip on the command line.
    Slip(Error),
    /// [`Error::Undecided`], and what the command line says of how the sheet is read.
    Undecided(Box<(Error, String)>),
    /// stdin could not be read.
    Input(io::Error),
    /// stdout could not be written; never because its reader has gone.
    Output(io::Error),
    /// A reason that only the program knows, and how it ends.
    Other(Exit, String),
}

impl Failure {
    /// How the program ends.
    pub fn exit(&self) -> Exit {
        match self {
            Failure::Sheet(error) => Exit::of(error),
            Failure::Undecided(asked) => Exit::of(&asked.0),
            Failure::Slip(_) => Exit::Usage,
            Failure::Input(_) => Exit::BadSheet,
            Failure::Output(_) => Exit::SomeFailed,
            Failure::Other(exit, _) => *exit,
        }
    }

    /// Tells the user on stderr.
    pub fn report(&self, display: &Display) {
        display.report(self);
        let error = match self {
            Failure::Sheet(error) => error,
            // Nothing has to be added to the sheet; that two names only look the same is no slip.
            Failure::Slip(error) if error.look_alike().is_some() => error,
            _ => return,
        };
        if let Some(excerpt) = error.excerpt() {
            display.show(excerpt);
        }
        if let Some(advice) = advice(error) {
            display.report(advice);
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Sheet(error) | Failure::Slip(error) => f.write_str(&error.chain()),
            Failure::Undecided(asked) => {
                let (error, typed) = &**asked;
                write!(f, "{}; type {typed} there as well", error.chain())
            }
            Failure::Input(error) => write!(f, "cannot read the standard input: {error}"),
            Failure::Output(error) => write!(f, "cannot write to the standard output: {error}"),
            Failure::Other(_, message) => f.write_str(message),
        }
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::Sheet(error)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_several_ends_the_most_pressing_is_said() {
        // 6, then 130/143, 126/127, 5, 1.
        let ranked = [
            Exit::Done,
            Exit::SomeFailed,
            Exit::Halted,
            Exit::NoCommand,
            Exit::Interrupted,
            Exit::NotWritten,
        ];
        for (i, less) in ranked.iter().enumerate() {
            for more in &ranked[i..] {
                assert_eq!(less.and(*more), *more);
                assert_eq!(more.and(*less), *more);
            }
        }
        assert_eq!(Exit::Terminated.and(Exit::Halted).code(), 143);
        assert_eq!(Exit::Terminated.and(Exit::NotWritten).code(), 6);
    }

    #[track_caller]
    fn check(error: Error, code: u8) {
        assert_eq!(Exit::of(&error).code(), code, "{error}");
    }

    #[test]
    fn an_error_has_the_exit_code_of_what_can_be_done_about_it() {
        let path = PathBuf::from("input.csv");
        let busy = || Error::Busy {
            path: "input.csv".into(),
        };
        check(
            Error::UnknownPo {
                po: "P9".into(),
                form: None,
                close: vec![],
                more: 0,
            },
            1,
        );
        check(
            Error::UnknownColumn {
                column: "X".into(),
                columns: vec![],
                close: vec![],
            },
            1,
        );
        check(
            Error::Empty {
                path: path.clone(),
                key: ["PO_NUMBER".to_owned()].into(),
            },
            3,
        );
        check(Error::NotAFile { path: path.clone() }, 3);
        check(
            Error::Backup {
                path: path.clone(),
                problem: "x".into(),
            },
            3,
        );
        check(busy(), 4);
        check(
            Error::NotVisible {
                path,
                source: Box::new(busy()),
            },
            6,
        );
        check(
            Error::NotDurable {
                po: "P1".into(),
                source: Box::new(busy()),
            },
            6,
        );
        check(Error::QueueStopped, 6);
    }

    #[test]
    fn the_help_names_every_exit_code() {
        use clap::CommandFactory;
        let help = crate::cli::Args::command().render_help().to_string();
        for code in [0, 1, 2, 3, 4, 5, 6, 126, 127, 130, 143] {
            assert!(
                help.lines()
                    .any(|line| line.starts_with(&format!("  {code:<5}"))),
                "{code}"
            );
        }
    }
}
