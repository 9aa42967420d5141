//! `tickoff set`: a person's word, which no status stands against.

use tickoff::{CsvHandler, Options, Updates};

use super::args::SetArgs;
use super::exit::{Exit, Failure};
use super::formulas::Finding;
use crate::stderr::Display;

/// Changes the cells of one PO; when it returns, the sheet shows them and they are durable.
pub fn run(args: &SetArgs, display: &Display) -> Result<Exit, Failure> {
    let updates: Updates = args
        .cells
        .iter()
        .map(|cell| (&*cell.column, &*cell.value))
        .collect();
    match args.write.formulas.judge(&args.po, &updates) {
        None => {}
        Some(Finding::Warning(message)) => display.report(message),
        Some(Finding::Refusal(message)) => return Err(Failure::Other(Exit::SomeFailed, message)),
    }
    let options = Options {
        allow_network_fs: args.write.allow_network_fs,
        add_columns: false,
        ..args.sheet.options()
    };
    CsvHandler::open_with(&args.sheet.file, &options)?.update_record_forced(&args.po, updates)?;
    Ok(Exit::Done)
}
