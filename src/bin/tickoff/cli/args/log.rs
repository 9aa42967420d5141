//! What is said on stderr while a session runs.

use crate::stderr::{Display, LogFormat, Verbosity};

/// What is said on stderr while a session runs.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// Say nothing but warnings and errors
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,

    /// Form of the messages on stderr
    #[arg(
        long,
        value_name = "human|json",
        default_value = "human",
        hide_possible_values = true,
        help_heading = "Messages"
    )]
    pub log_format: LogFormat,
}

impl LogArgs {
    /// The stderr that was asked for.
    pub fn display(&self) -> Display {
        Display::stderr(self.log_format, self.verbosity())
    }

    /// The same, without lines that change: jobs, or who reads them, have the terminal.
    pub fn display_beside_jobs(&self) -> Display {
        Display::beside_jobs(self.log_format, self.verbosity())
    }

    fn verbosity(&self) -> Verbosity {
        match self.quiet {
            true => Verbosity::Quiet,
            false => Verbosity::Normal,
        }
    }
}
