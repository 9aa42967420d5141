//! `tickoff init`: the columns that a run needs, without a run, and what is remembered of the sheet.

use std::sync::Arc;

use tickoff::{Options, Session, escape};

use super::args::{BackupArgs, SheetArgs, WordArgs};
use crate::exit::{Exit, Failure};
use crate::stdout::print;

/// Add STATUS, LAST_PROCESSED and ERROR_MESSAGE where they are missing
///
/// A run does the same when it starts. A backup is made first.
///
/// What is said of the sheet (--key, --delimiter, --duplicates, --done, --failed, --todo) is written to
/// tickoff.toml beside it, where every command finds it from then on; an option of a command wins
/// over it. The file is made to be edited by hand: comments, and what is said of other sheets, are kept.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff init orders.csv
  tickoff init customers.csv --key id --done COMPLETED,NO_ATTACHMENTS")]
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
    let typed = args.words.put_into(args.sheet.settings());
    let options = Options {
        allow_network_fs: args.allow_network_fs,
        ..args.sheet.options_with(typed.clone())?
    };
    // Only settings with which the sheet can be read are remembered.
    let session = Session::open(&args.sheet.file, &args.backup.put_into(options))?;
    let handler = Arc::clone(session.handler());
    let remembered = typed.remember(&args.sheet.file)?;
    print(|out| {
        remembered
            .iter()
            .try_for_each(|line| writeln!(out, "remembered {}", escape(line)))
    })?;
    let added = session.init()?;
    print(|out| {
        added
            .iter()
            .try_for_each(|column| writeln!(out, "added {}", escape(column)))
    })?;
    Ok(Exit::for_unplaced(&handler.kept_unplaced()))
}
