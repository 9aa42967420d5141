//! `tickoff recover`: a person decides what becomes of results that only the journal holds.

use std::sync::Arc;

use tickoff::{Decided, Decision, Session};

use super::args::{BackupArgs, SheetArgs};
use crate::exit::{Exit, Failure};
use crate::stdout::print;

/// Decide about results in the journal that the sheet does not show
///
/// It is asked for where nobody else can tell: when an older version, or another sheet, has taken the
/// sheet's place, or somebody saved it who may not have seen its newest results. Until then run, apply,
/// init, set and backup end with exit code 3, and readers show the sheet as it is.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff recover orders.csv --apply
  tickoff recover orders.csv --discard")]
pub struct RecoverArgs {
    #[command(flatten)]
    sheet: SheetArgs,

    #[command(flatten)]
    decision: DecisionArgs,

    #[command(flatten)]
    backup: BackupArgs,
}

#[derive(Debug, clap::Args)]
#[group(required = true, multiple = false)]
struct DecisionArgs {
    /// Write the results to the sheet; what has no row there is kept in a copy, ….unplaced.csv, and the
    /// exit code is 1
    #[arg(long)]
    apply: bool,

    /// Leave the sheet as it is, and keep the results in a copy, ….discarded.csv
    #[arg(long)]
    discard: bool,
}

/// Brings the results into the sheet, or gives them up, as a session of its own.
pub fn run(args: &RecoverArgs) -> Result<Exit, Failure> {
    let options = args.backup.put_into(args.sheet.options()?);
    let decision = match args.decision.apply {
        true => Decision::Apply,
        false => Decision::Discard,
    };
    let session = Session::open_decided(&args.sheet.file, &options, Some(decision))?;
    // As many as it was asked about, if it was.
    let Decided { rows, without_row } = session.decided().unwrap_or(Decided {
        rows: session.recovered().results,
        without_row: 0,
    });
    let handler = Arc::clone(session.handler());
    session.finish()?;
    let of_rows = match rows {
        1 => "results of 1 row".to_owned(),
        _ => format!("results of {rows} rows"),
    };
    print(|out| match decision {
        Decision::Apply if without_row > 0 => writeln!(
            out,
            "{of_rows}: {} written, {without_row} without a row in the sheet kept in a copy",
            rows - without_row
        ),
        Decision::Apply if rows == 0 => {
            writeln!(out, "nothing is to be decided: the sheet has all results")
        }
        Decision::Apply => writeln!(out, "{of_rows} written"),
        Decision::Discard if rows > 0 => {
            writeln!(
                out,
                "{of_rows} given up, and kept in a copy: the sheet stays as it is"
            )
        }
        Decision::Discard => writeln!(out, "the sheet stays as it is"),
    })?;
    Ok(Exit::after(&handler))
}
