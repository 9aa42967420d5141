//! Commands for the tests of this room: one sheet, one record, and what became of it.

use std::borrow::Cow;
use std::ffi::OsString;

use crate::process::command::RecordCommand;
use crate::process::template::CommandTemplate;
use crate::run::{Job, Outcome, Stop};
use crate::sheet::CsvRecord;

pub(super) const COLUMNS_OF_SHEET: [&str; 6] =
    ["PO_NUMBER", "STATUS", "SUPPLIER", "Note {x}", "x", "x}y"];

fn columns() -> Vec<String> {
    COLUMNS_OF_SHEET.map(str::to_owned).to_vec()
}

pub(super) fn job<'a>(po: &'a str, stop: &'a Stop) -> Job<'a> {
    let cells = [po, "", "{} $HOME; é", "braces", "X", "longest"];
    let cells = cells.map(|cell| Cow::Borrowed(cell.as_bytes()));
    let cells = columns().into_iter().zip(cells);
    let record = CsvRecord::of_row(po.to_owned(), 2, 1, cells);
    Job {
        po,
        record: Some(record),
        worker: 1,
        attempt: 2,
        is_last: false,
        stop,
        on_event: None,
    }
}

pub(super) fn template(argv: &[&str]) -> CommandTemplate {
    let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
    CommandTemplate::parse(&argv, &columns()).unwrap()
}

pub(super) fn command(argv: &[&str]) -> RecordCommand {
    RecordCommand::new(template(argv), "s1").unwrap()
}

pub(super) fn shell(script: &str) -> RecordCommand {
    command(&["sh", "-c", script])
}

pub(super) fn run(command: &RecordCommand) -> Outcome {
    command.run(&job("P1", &Stop::new()))
}

#[track_caller]
pub(super) fn check(command: &RecordCommand, want: &[(&str, &str)]) {
    match run(command) {
        Outcome::Done(updates) => assert_eq!(updates.iter().collect::<Vec<_>>(), want),
        other => panic!("not done: {other:?}"),
    }
}

#[track_caller]
pub(super) fn check_shell(script: &str, want: &[(&str, &str)]) {
    check(&shell(script), want);
}

#[track_caller]
pub(super) fn check_error(script: &str, message: &str) {
    check_shell(script, &[("STATUS", "ERROR"), ("ERROR_MESSAGE", message)]);
}
