//! What a run would do, without doing any of it: nothing is locked, made or written.

use tickoff::{Selection, Sheet};

use super::args::RunArgs;
use super::{jobs, rows, sheet};
use crate::cli::args::slip;
use crate::exit::{Exit, Failure};
use crate::stderr::Display;
use crate::stdout::print;

/// Prints the commands that a run would begin with, one a line, in its order.
pub fn run(
    args: &RunArgs,
    jobs: Option<Sheet>,
    selection: &Selection,
    display: &Display,
) -> Result<Exit, Failure> {
    let sheet = sheet::read_fit(args, jobs)?;
    sheet.refuse_mistyped_stage()?;
    let columns = sheet.columns_of_a_run();
    jobs::must_fit(args, &columns)?;
    let template = jobs::template(args, &columns)?;
    rows::tell_done(args, display, |po| {
        sheet
            .status(po)
            .is_some_and(|status| sheet.is_done(&status))
    });
    rows::tell_without_key(&sheet, display);
    rows::tell_misquoted(&sheet);
    rows::tell_not_utf8(&sheet);
    rows::tell_left_alone(display, &sheet.left_alone(selection).map_err(slip)?);
    let mut selected = sheet.select(selection).map_err(slip)?.peekable();
    if selected.peek().is_none() {
        rows::tell_nothing_to_do(args, &sheet, selection, display).map_err(slip)?;
    }
    print(|out| {
        selected.try_for_each(|record| {
            let command = template.command_line(&record.po_number, Some(&record));
            writeln!(out, "{command}")
        })
    })?;
    Ok(Exit::Done)
}
