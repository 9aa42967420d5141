//! The sheet that a run works on: FILE, or the copy of it that keeps the results (`--output`).

use tickoff::{Error, Options, Selection, Session, Settings, Sheet, create_output};

use super::args::RunArgs;
use super::jobs;
use crate::exit::{Exit, Failure};

/// Opens it for the run; a copy is made, or gets the rows that are new in FILE, once the command is known to
/// fit its columns.
pub fn open(args: &RunArgs, selection: &Selection) -> Result<Session, Failure> {
    let options = options(args)?;
    let Some(copy) = &args.output else {
        let session = Session::open(&args.sheet.file, &options)?;
        jobs::must_fit(args, &session.columns())?;
        return Ok(session);
    };
    if !args.only.is_empty() || !args.conditions.is_empty() {
        // What is selected must be there before a copy is made or gets new rows.
        drop(read(args)?.select(selection)?);
    }
    let input = Sheet::read_input(&args.sheet.file, &options)?;
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
pub fn read_fit(args: &RunArgs) -> Result<Sheet, Failure> {
    let sheet = read(args)?;
    sheet.refuse_unfit(args.output.as_ref().unwrap_or(&args.sheet.file))?;
    Ok(sheet)
}

fn read(args: &RunArgs) -> Result<Sheet, Failure> {
    let options = options(args)?;
    let Some(copy) = &args.output else {
        return Ok(Sheet::read(&args.sheet.file, &options)?);
    };
    let input = Sheet::read_input(&args.sheet.file, &options)?;
    if !copy.exists() {
        return Ok(input);
    }
    Sheet::read_with_new_rows(copy, &options, &input).map_err(as_usage)
}

fn options(args: &RunArgs) -> tickoff::Result<Options> {
    let typed = args.done.put_into(args.sheet.settings());
    let kept = match &args.output {
        Some(copy) => Settings::of_copy(copy, &args.sheet.file)?,
        None => Settings::of(&args.sheet.file)?,
    };
    let mut options = args.backup.put_into(Options {
        allow_network_fs: args.write.allow_network_fs,
        ..typed.or(kept).put_into(Options::default())
    });
    if args.force {
        options.done.clear();
    }
    Ok(options)
}

/// Two names of one sheet are a mistake on the command line.
fn as_usage(error: Error) -> Failure {
    match error {
        Error::SameFile { .. } => Failure::Other(Exit::Usage, error.to_string()),
        error => error.into(),
    }
}
