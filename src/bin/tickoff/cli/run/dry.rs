//! What a run would do, without doing any of it: nothing is locked, made or written.

use tickoff::{CommandTemplate, Selection};

use super::args::RunArgs;
use super::{rows, sheet};
use crate::exit::{Exit, Failure};
use crate::stderr::Display;
use crate::stdout::print;

/// Prints the commands that a run would begin with, one a line, in its order.
pub fn run(args: &RunArgs, selection: &Selection, display: &Display) -> Result<Exit, Failure> {
    let sheet = sheet::read_fit(args)?;
    rows::tell_done(args, display, |po| {
        sheet
            .status(po)
            .is_some_and(|status| sheet.is_done(&status))
    });
    rows::tell_left_alone(display, &sheet.left_alone(selection)?);
    let template = CommandTemplate::parse(&args.cmd, &sheet.columns_of_a_run());
    let mut selected = sheet.select(selection)?.peekable();
    if selected.peek().is_none() {
        display.say(rows::NOTHING_TO_DO);
    }
    print(|out| {
        selected.try_for_each(|record| {
            let command = template.command_line(&record.po_number, Some(&record));
            writeln!(out, "{command}")
        })
    })?;
    Ok(Exit::Done)
}
