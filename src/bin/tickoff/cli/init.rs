//! `tickoff init`: the columns that a run needs, without a run.

use std::sync::Arc;

use tickoff::{Options, Session, escape};

use super::args::{BackupArgs, SheetArgs, WordArgs};
use crate::exit::{Exit, Failure};
use crate::stdout::print;

/// Add STATUS, LAST_PROCESSED and ERROR_MESSAGE where they are missing
///
/// A run does the same when it starts. A backup is made first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tickoff init orders.csv")]
pub struct InitArgs {
    #[command(flatten)]
    sheet: SheetArgs,

    #[command(flatten)]
    words: WordArgs,

    /// Accept a sheet on a network filesystem, at your own risk
    #[arg(long, help_heading = "Results")]
    allow_network_fs: bool,

    #[command(flatten)]
    backup: BackupArgs,
}

/// Adds the missing columns and prints which.
pub fn run(args: &InitArgs) -> Result<Exit, Failure> {
    let options = Options {
        allow_network_fs: args.allow_network_fs,
        ..args.words.put_into(args.sheet.options())?
    };
    let session = Session::open(&args.sheet.file, &args.backup.put_into(options))?;
    let handler = Arc::clone(session.handler());
    let added = session.init()?;
    print(|out| {
        added
            .iter()
            .try_for_each(|column| writeln!(out, "added {}", escape(column)))
    })?;
    Ok(Exit::for_unplaced(&handler.kept_unplaced()))
}
