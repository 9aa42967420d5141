//! The commands of the program: each file holds what one can be asked, its help, and what it does.
//!
//! A command prints its answer to stdout and everything else to stderr, and ends in an
//! [`Exit`] or a [`Failure`]. What comes from a sheet is escaped on its way out. Help is readable at
//! 80 columns.

use clap::{Parser, Subcommand};
use tickoff::Error;

use self::args::SheetArgs;
use crate::exit::{Exit, Failure};
use crate::stderr::{Display, LogFormat, Verbosity};

// What several commands have in common.
mod args;
mod formulas;
#[cfg(test)]
mod pages;

// The commands.
mod apply;
mod backup;
mod check;
mod completions;
mod control;
mod get;
mod init;
mod interruption;
mod man;
mod mistyped;
mod name_before;
mod pending;
mod recover;
mod report;
mod run;
mod set;
mod status;
mod watch;

/// Run a long batch over a CSV, one command per row.
///
/// Every result is on disk the moment it is known. After a crash, the same command line goes on
/// from the exact row where the batch stopped.
#[derive(Debug, Parser)]
#[command(name = "tickoff", version = env!("TICKOFF_VERSION"), max_term_width = 80, after_help = AFTER_HELP)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  tickoff init urls.csv --key url
  tickoff run urls.csv -j 8 -- curl -fsSO {}
  tickoff status urls.csv
  tickoff set orders.csv PO123 STATUS=PENDING
  tickoff backup restore orders.csv latest

Exit codes:
  0    done
  1    finished, but some rows failed or were refused, some cells found no place, no row has the key, or
       results were lost with a damaged journal
  2    the command line is wrong
  3    the file is missing, unreadable or invalid, or a decision is asked (tickoff recover)
  4    the file is held by another session, or being written by another program
  5    stopped by --halt, or because no worker could start
  6    some results could not be written to the CSV; the message says what to do
  126  the command cannot be run
  127  the command was not found
  130  interrupted (Ctrl-C)
  143  terminated (SIGTERM)";

/// The commands.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "their help is on their arguments")]
pub enum Command {
    Run(Box<run::RunArgs>),
    Status(status::StatusArgs),
    Watch(watch::WatchArgs),
    Control(control::ControlArgs),
    Report(report::ReportArgs),
    Pending(pending::PendingArgs),
    Get(get::GetArgs),
    Set(set::SetArgs),
    Apply(apply::ApplyArgs),
    Check(check::CheckArgs),
    Init(init::InitArgs),
    Recover(recover::RecoverArgs),
    /// Make, list, restore or prune backups of the sheet
    #[command(subcommand)]
    Backup(backup::BackupCommand),
    Completions(completions::CompletionsArgs),
    Man(man::ManArgs),
}

impl Command {
    /// The command that was typed; ends the program with what is wrong if there is none.
    pub fn typed() -> Command {
        let typed: Vec<_> = std::env::args_os().collect();
        let args = Args::try_parse_from(&typed);
        args.unwrap_or_else(|error| mistyped::explained(error, &typed).exit())
            .command
    }

    /// The stderr that the command is to speak to.
    pub fn display(&self) -> Display {
        match self {
            Command::Run(args) if args.tty || args.prints_to_pipe() => {
                args.log.display_beside_jobs()
            }
            Command::Run(args) => args.log.display(),
            Command::Apply(args) => args.log.display(),
            Command::Watch(_) => Display::stderr(LogFormat::Human, Verbosity::Normal),
            _ => Display::stderr(LogFormat::Human, Verbosity::Quiet),
        }
    }

    /// Runs the command to its end.
    pub fn run(&self, display: &Display) -> Result<Exit, Failure> {
        let ended = match self {
            Command::Run(args) => run::run(args, display),
            Command::Status(args) => status::run(args),
            Command::Watch(args) => watch::run(args, display),
            Command::Control(args) => control::run(args),
            Command::Report(args) => report::run(args, display),
            Command::Pending(args) => pending::run(args),
            Command::Get(args) => get::run(args),
            Command::Set(args) => set::run(args, display),
            Command::Apply(args) => apply::run(args, display),
            Command::Check(args) => check::run(args, display),
            Command::Init(args) => init::run(args),
            Command::Recover(args) => recover::run(args),
            Command::Backup(command) => backup::run(command, display),
            Command::Completions(args) => completions::run(args),
            Command::Man(args) => man::run(args),
        };
        ended.map_err(
            |failure| match (failure, self.sheet().map(SheetArgs::typed)) {
                (Failure::Sheet(error @ Error::Undecided { .. }), Some(typed))
                    if !typed.is_empty() =>
                {
                    Failure::Undecided(Box::new((error, typed)))
                }
                (failure, _) => failure,
            },
        )
    }

    /// The sheet of a command that is refused while a decision about it is asked.
    fn sheet(&self) -> Option<&SheetArgs> {
        match self {
            Command::Run(args) => Some(&args.sheet),
            Command::Set(args) => Some(&args.sheet),
            Command::Apply(args) => Some(&args.sheet),
            Command::Init(args) => Some(&args.sheet),
            Command::Backup(command) => command.sheet(),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;

    use super::*;

    pub fn parse(line: &str) -> Result<Command, clap::Error> {
        Args::try_parse_from(line.split(' ')).map(|args| args.command)
    }

    #[track_caller]
    pub fn parse_run(line: &str) -> run::RunArgs {
        match parse(line).unwrap() {
            Command::Run(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    /// The command line is refused with the exit code 2 and a message that says this.
    #[track_caller]
    pub fn check_refused(line: &str, says: &str) {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(says), "{error}");
    }

    #[test]
    fn the_definitions_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }

    #[test]
    fn the_version_is_printed_on_request() {
        assert_eq!(
            parse("tickoff --version").unwrap_err().kind(),
            ErrorKind::DisplayVersion
        );
    }

    #[test]
    fn every_help_is_readable_at_80_columns_and_has_an_example() {
        fn check(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
            let is_group = command.has_subcommands() && command.get_name() != "tickoff";
            assert!(
                is_group || help.contains("\nExample"),
                "{}",
                command.get_name()
            );
            command
                .get_subcommands_mut()
                .filter(|command| command.get_name() != "help")
                .for_each(check);
        }
        let mut command = Args::command();
        command.build();
        check(&mut command);
    }
}
