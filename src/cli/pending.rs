//! `tickoff pending`: what a run would process.

use tickoff::{Options, Sheet, escape};

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
    print(|out| {
        sheet
            .pending()
            .try_for_each(|record| match (args.json, args.null) {
                (true, _) => json_line(out, &record),
                (false, true) => write!(out, "{}\0", record.po_number),
                (false, false) => writeln!(out, "{}", escape(&record.po_number)),
            })
    })?;
    Ok(Exit::Done)
}
