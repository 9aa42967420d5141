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
  tickoff get orders.csv PO123 --json | jq -r .error_message
  tickoff get orders.csv --key order --key line 'A1;2'")]
pub struct GetArgs {
    #[command(flatten)]
    sheet: SheetArgs,

    /// The row's key
    #[arg(value_name = "KEY")]
    po: String,

    #[arg(hide = true)]
    more: Vec<String>,

    /// Print one JSON object
    #[arg(long)]
    json: bool,
}

/// Prints the row's cells, or that no row has this key.
pub fn run(args: &GetArgs) -> Result<Exit, Failure> {
    let sheet = Sheet::read(&args.sheet.file, &args.sheet.options()?)?;
    if !args.more.is_empty() {
        return Err(several_words(args, &sheet));
    }
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

/// Of several words, which may be meant as one key.
fn several_words(args: &GetArgs, sheet: &Sheet) -> Failure {
    let words = format!("{} {}", args.po, args.more.join(" "));
    let meant = match sheet.record(&words) {
        Some(_) => format!("quote it: '{}'", escape(&words)),
        None => sheet.unknown_po(&words).to_string(),
    };
    let message = format!("get shows one row, whose key is one word; {meant}");
    Failure::Other(Exit::Usage, message)
}
