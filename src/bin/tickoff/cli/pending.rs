//! `tickoff pending`: what a run would process.

use tickoff::{Options, Selection, Sheet, escape};

use super::args::PendingArgs;
use super::exit::{Exit, Failure};
use super::output::{json_line, print};

/// Prints the POs that are not done.
pub fn run(args: &PendingArgs) -> Result<Exit, Failure> {
    let options = Options {
        done: args.done.statuses(),
        ..args.sheet.options()
    };
    let sheet = Sheet::read(&args.sheet.file, &options)?;
    let mut pending = sheet.select(&args.conditions.put_into(Selection::all()))?;
    print(|out| {
        pending.try_for_each(|record| match (args.json, args.null) {
            (true, _) => json_line(out, &record),
            (false, true) => write!(out, "{}\0", record.po_number),
            (false, false) => writeln!(out, "{}", escape(&record.po_number)),
        })
    })?;
    Ok(Exit::Done)
}
