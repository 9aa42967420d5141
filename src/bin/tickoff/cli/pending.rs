//! `tickoff pending`: what a run would process.

use tickoff::{Selection, Sheet, escape};

use super::args::{AfterArgs, ConditionArgs, SheetArgs, WordArgs, slip};
use super::name_before;
use crate::exit::{Exit, Failure};
use crate::stdout::{Keyed, json_line, print};

/// List the keys of the rows that a run would process
///
/// One key a line, in the sheet's order. Rows with an unknown word as their STATUS are not among them, as a
/// run leaves them alone; --todo says which words mean that a row is to be processed. Control characters are shown as escapes; use -0 to hand keys
/// on to another program as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff pending orders.csv | head
  tickoff pending orders.csv --stage ocr --after main
  tickoff pending orders.csv -0 | xargs -0 -n1 ./fetch.sh")]
pub struct PendingArgs {
    #[command(flatten)]
    sheet: SheetArgs,

    #[command(flatten)]
    conditions: ConditionArgs,

    #[command(flatten)]
    words: WordArgs,

    #[command(flatten)]
    stage: AfterArgs,

    /// Print each record as a JSON object on a line of its own
    #[arg(long)]
    json: bool,

    /// End each key with a NUL byte, and do not escape it
    #[arg(short = '0', long, conflicts_with = "json")]
    null: bool,
}

/// Prints the keys of the rows that are not done.
pub fn run(args: &PendingArgs) -> Result<Exit, Failure> {
    let typed = args.words.put_into(args.sheet.settings()?);
    let options = args.stage.put_into_listed(
        args.sheet.options_with(typed.clone())?,
        &args.sheet.in_command("pending"),
    )?;
    let sheet = Sheet::read(&args.sheet.file, &options)?;
    sheet.refuse_mistyped_stage()?;
    name_before::refuse(&sheet, typed)?;
    let mut pending = sheet
        .select(&args.conditions.put_into(Selection::all()))
        .map_err(slip)?;
    print(|out| {
        pending.try_for_each(|record| match (args.json, args.null) {
            (true, _) => json_line(out, &Keyed::of(&record, &record.po_number)),
            (false, true) => write!(out, "{}\0", record.po_number),
            (false, false) => writeln!(out, "{}", escape(&record.po_number)),
        })
    })?;
    Ok(Exit::Done)
}

#[cfg(test)]
mod tests {
    use crate::cli::Command;
    use crate::cli::tests::{check_refused, parse};

    #[test]
    fn pending_is_json_or_nul_separated() {
        assert!(
            matches!(parse("tickoff pending in.csv -0").unwrap(), Command::Pending(args) if args.null)
        );
        check_refused("tickoff pending in.csv -0 --json", "cannot be used with");
    }
}
