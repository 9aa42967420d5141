//! `tickoff get`: every cell of one row.

use tickoff::{Sheet, escape};

use super::args::SheetArgs;
use crate::exit::{Exit, Failure};
use crate::stdout::{Keyed, json_line, print};

/// Show every cell of a row
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff get orders.csv PO123
  tickoff get orders.csv PO123 --json | jq -r .error_message")]
pub struct GetArgs {
    #[command(flatten)]
    sheet: SheetArgs,

    /// The row's key
    #[arg(value_name = "KEY")]
    po: String,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the row's cells, or that no row has this key.
pub fn run(args: &GetArgs) -> Result<Exit, Failure> {
    let sheet = Sheet::read(&args.sheet.file, &args.sheet.options()?)?;
    let record = sheet
        .record(&args.po)
        .ok_or_else(|| sheet.unknown_po(&args.po))?;
    print(|out| {
        if args.json {
            return json_line(out, &Keyed::of(&record, &record.po_number));
        }
        record
            .cells()
            .try_for_each(|(column, value)| writeln!(out, "{}: {}", escape(column), escape(value)))
    })?;
    Ok(Exit::Done)
}
