//! The commands of the program, one file each.
//!
//! A command prints its answer to stdout and everything else to stderr, and ends in an
//! [`Exit`](exit::Exit) or a [`Failure`](exit::Failure). What comes from a sheet is escaped on its
//! way out.

// Read in this order: what can be asked, how it ends, how it is said, then the commands.
pub mod args;
mod errors;
pub mod exit;
mod formulas;
mod output;

mod apply;
mod backup;
mod check;
mod completions;
mod get;
mod init;
mod man;
mod pending;
mod report;
mod run;
mod set;
mod status;
mod watch;

use std::sync::Arc;

use args::Command;
use exit::Exit;

use crate::stderr::{Display, LogFormat, Verbosity};

/// Runs one command to its end, and says on stderr what stopped it.
pub fn run(command: &Command) -> Exit {
    let display = match command {
        Command::Run(args) => args.log.display(),
        Command::Apply(args) => args.log.display(),
        Command::Watch(_) => Display::stderr(LogFormat::Human, Verbosity::Normal),
        _ => Display::stderr(LogFormat::Human, Verbosity::Quiet),
    };
    display.take_log();
    survive_file_size_limits();
    let ended = match command {
        Command::Run(args) => run::run(args, &display),
        Command::Status(args) => status::run(args),
        Command::Watch(args) => watch::run(args, &display),
        Command::Report(args) => report::run(args, &display),
        Command::Pending(args) => pending::run(args),
        Command::Get(args) => get::run(args),
        Command::Set(args) => set::run(args, &display),
        Command::Apply(args) => apply::run(args, &display),
        Command::Check(args) => check::run(args),
        Command::Init(args) => init::run(args),
        Command::Backup(command) => backup::run(command),
        Command::Completions(args) => completions::run(args),
        Command::Man(args) => man::run(args),
    };
    ended.unwrap_or_else(|failure| {
        failure.report(&display);
        failure.exit()
    })
}

/// Makes a file-size limit an error of the write that meets it, and not a death in the middle.
///
/// An empty handler does. Ignoring the signal would too, but commands would inherit that. Should
/// there be none, the limit kills the program, which loses nothing either.
fn survive_file_size_limits() {
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).ok();
}
