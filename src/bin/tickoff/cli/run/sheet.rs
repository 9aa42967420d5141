//! The sheet that a run works on: FILE, or the copy of it, or of jobs from standard input, that keeps the
//! results (`--output`).

use std::path::Path;

use tickoff::{Error, Options, Selection, Session, Sheet, create_output};

use super::args::RunArgs;
use super::jobs;
use crate::exit::{Exit, Failure};

/// Opens it for the run; a copy is made, or gets the rows that are new in FILE or among `jobs`, once the command
/// is known to fit its columns.
pub fn open(
    args: &RunArgs,
    jobs: Option<Sheet>,
    selection: &Selection,
) -> Result<Session, Failure> {
    let options = options(args);
    let Some(copy) = &args.output else {
        let session = Session::open(&args.sheet.file, &options)?;
        jobs::must_fit(args, &session.columns())?;
        return Ok(session);
    };
    let input = input(args, jobs)?;
    if !args.only.is_empty() || !args.conditions.is_empty() {
        // What is selected must be there before a copy is made or gets new rows.
        match resumed(args, copy, &input)? {
            Some(copy) => drop(copy.select(selection)?),
            None => drop(input.select(selection)?),
        }
    }
    if !copy.exists() {
        jobs::must_fit(args, &input.columns_of_a_run())?;
    }
    create_output(&input, copy).map_err(as_usage)?;
    let mut session = Session::open(copy, &options)?;
    jobs::must_fit(args, &session.columns())?;
    session.take_new_rows(&input)?;
    Ok(session)
}

/// Reads it, changes nothing, and refuses what a run would refuse.
pub fn read_fit(args: &RunArgs, jobs: Option<Sheet>) -> Result<Sheet, Failure> {
    let sheet = read(args, jobs)?;
    sheet.refuse_unfit(args.output.as_ref().unwrap_or(&args.sheet.file))?;
    Ok(sheet)
}

fn read(args: &RunArgs, jobs: Option<Sheet>) -> Result<Sheet, Failure> {
    let Some(copy) = &args.output else {
        return Ok(Sheet::read(&args.sheet.file, &options(args))?);
    };
    let input = input(args, jobs)?;
    Ok(resumed(args, copy, &input)?.unwrap_or(input))
}

fn input(args: &RunArgs, jobs: Option<Sheet>) -> Result<Sheet, Failure> {
    match jobs {
        Some(jobs) => Ok(jobs),
        None => Ok(Sheet::read_input(&args.sheet.file, &options(args))?),
    }
}

/// The copy, if it is there, and what is new in the input.
fn resumed(args: &RunArgs, copy: &Path, input: &Sheet) -> Result<Option<Sheet>, Failure> {
    if !copy.exists() {
        return Ok(None);
    }
    let sheet = Sheet::read_with_new_rows(copy, &options(args), input);
    sheet.map(Some).map_err(as_usage)
}

/// How the sheet is read and kept.
pub fn options(args: &RunArgs) -> Options {
    let done = if args.force {
        Vec::new()
    } else {
        args.done.statuses()
    };
    let allow_network_fs = args.write.allow_network_fs;
    args.backup.put_into(Options {
        done,
        allow_network_fs,
        ..args.sheet.options()
    })
}

/// Two names of one sheet are a mistake on the command line.
fn as_usage(error: Error) -> Failure {
    match error {
        Error::SameFile { .. } => Failure::Other(Exit::Usage, error.to_string()),
        error => error.into(),
    }
}
