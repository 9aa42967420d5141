//! `tickoff get`: every cell of one PO.

use tickoff::{Sheet, escape};

use super::args::GetArgs;
use super::exit::{Exit, Failure};
use super::output::{json_line, print};

/// Prints the PO's cells, or that there is no such PO.
pub fn run(args: &GetArgs) -> Result<Exit, Failure> {
    let sheet = Sheet::read(&args.sheet.file, &args.sheet.options())?;
    let record = sheet
        .record(&args.po)
        .ok_or_else(|| sheet.unknown_po(&args.po))?;
    print(|out| {
        if args.json {
            return json_line(out, &record);
        }
        record
            .cells()
            .try_for_each(|(column, value)| writeln!(out, "{}: {}", escape(column), escape(value)))
    })?;
    Ok(Exit::Done)
}
