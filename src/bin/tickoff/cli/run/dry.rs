//! What a run would do, without doing any of it: nothing is locked, made or written.

use tickoff::{CommandTemplate, Error, Selection, Sheet};

use crate::cli::args::RunArgs;
use crate::cli::exit::{Exit, Failure};
use crate::cli::output::print;
use crate::stderr::Display;

/// Prints the commands that a run would begin with, one a line, in its order.
pub fn run(args: &RunArgs, selection: &Selection, display: &Display) -> Result<Exit, Failure> {
    let sheet = sheet(args)?;
    super::tell_done(args, display, |po| {
        sheet
            .status(po)
            .is_some_and(|status| sheet.is_done(&status))
    });
    let template = CommandTemplate::parse(&args.cmd, &sheet.columns_of_a_run());
    let mut selected = sheet.select(selection)?.peekable();
    if selected.peek().is_none() {
        display.say(super::NOTHING_TO_DO);
    }
    print(|out| {
        selected.try_for_each(|record| {
            let command = template.command_line(&record.po_number, Some(&record));
            writeln!(out, "{command}")
        })
    })?;
    Ok(Exit::Done)
}

/// The sheet that a run would work on.
pub fn sheet(args: &RunArgs) -> Result<Sheet, Failure> {
    let options = super::options(args);
    let Some(copy) = &args.output else {
        return Ok(Sheet::read(&args.sheet.file, &options)?);
    };
    let input = Sheet::read_without_journal(&args.sheet.file, &options)?;
    if !copy.exists() {
        return Ok(input);
    }
    Sheet::read_with_new_rows(copy, &options, &input).map_err(|error| match error {
        Error::SameFile { .. } => Failure::Other(Exit::Usage, error.to_string()),
        error => error.into(),
    })
}
