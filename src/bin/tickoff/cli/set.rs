//! `tickoff set`: a person's word, which no status stands against.

use tickoff::{CsvHandler, Options, Sheet, Updates, escape};

use super::args::{Assignment, BackupArgs, SheetArgs, WriteArgs};
use super::formulas::Finding;
use crate::exit::{Exit, Failure};
use crate::stderr::Display;

/// Change cells of a row, whatever its status
///
/// A new STATUS, or that of a stage, also sets LAST_PROCESSED, and clears ERROR_MESSAGE unless it is a
/// failure. A STATUS of your own, in which tickoff writes nothing, takes any text. Columns that the
/// sheet does not have are refused. It may be used while a run is going. If nothing was ever written
/// to the sheet it is backed up before.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff set orders.csv PO123 STATUS=PENDING
  tickoff set orders.csv PO123 STATUS=ERROR \"ERROR_MESSAGE=wrong supplier\"
  tickoff set orders.csv --key order --key line 'A1;2' STATUS=PENDING")]
pub struct SetArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    /// The row's key
    #[arg(value_name = "KEY")]
    po: String,

    /// The new value of a column: all that follows the first =
    #[arg(required = true, value_name = "COLUMN=VALUE")]
    cells: Vec<Assignment>,

    #[command(flatten)]
    write: WriteArgs,

    #[command(flatten)]
    backup: BackupArgs,
}

/// Changes the cells of one row; when it returns, the sheet shows them and they are durable.
pub fn run(args: &SetArgs, display: &Display) -> Result<Exit, Failure> {
    let updates: Updates = args
        .cells
        .iter()
        .map(|cell| (&*cell.column, &*cell.value))
        .collect();
    let formula = match args.write.formulas.judge(&args.po, &updates) {
        None => None,
        Some(Finding::Warning(message)) => Some(message),
        Some(Finding::Refusal(message)) => return Err(Failure::Other(Exit::SomeFailed, message)),
    };
    let options = Options {
        allow_network_fs: args.write.allow_network_fs,
        add_columns: false,
        ..args.sheet.options()?
    };
    let options = args.backup.put_into(options);
    let handler = CsvHandler::open_with(&args.sheet.file, &options)?;
    tell_not_utf8(&handler.sheet(), &updates, display);
    handler.set_record(&args.po, updates)?;
    if let Some(message) = formula {
        display.report(format!(
            "{message}; it was written, which --formulas reject refuses"
        ));
    }
    handler.finish()?;
    Ok(Exit::after(&handler))
}

/// Letters that are written in UTF-8 beside others that are not make a sheet that no program reads right.
fn tell_not_utf8(sheet: &Sheet, updates: &Updates, display: &Display) {
    let is_plain = updates.iter().all(|(_, value)| value.is_ascii());
    if is_plain || !sheet.encoding().is_utf8() {
        return;
    }
    if let Some(found) = sheet.not_utf8() {
        display.report(format!(
            "written in UTF-8, which other cells are not in, the first in line {}, {}; if the sheet is in another encoding, set it again with that one: --encoding windows-1252 for a CSV of Excel's in Western Europe",
            found.line,
            escape(&found.column)
        ));
    }
}
