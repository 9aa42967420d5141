//! `tickoff init`: the columns that a run needs, without a run.

use tickoff::{Options, Session, escape};

use super::args::InitArgs;
use super::exit::{Exit, Failure};
use super::output::print;

/// Adds the missing columns and prints which.
pub fn run(args: &InitArgs) -> Result<Exit, Failure> {
    let options = Options {
        allow_network_fs: args.allow_network_fs,
        ..args.sheet.options()
    };
    let added = Session::open(&args.sheet.file, &args.backup.put_into(options))?.init()?;
    print(|out| {
        added
            .iter()
            .try_for_each(|column| writeln!(out, "added {}", escape(column)))
    })?;
    Ok(Exit::Done)
}
