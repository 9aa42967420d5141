//! The sheet that a run works on: FILE, or the copy of it, or of jobs from standard input, that keeps the
//! results (`--output`).

use std::path::Path;

use tickoff::{Error, Options, Selection, Session, Settings, Sheet, Stage, create_output, escape};

use super::args::RunArgs;
use super::jobs;
use super::standard_input;
use crate::cli::args::{merged, refuse_unwritable, slip};
use crate::cli::name_before;
use crate::exit::{Exit, Failure, for_a_shell};
use crate::stderr::Display;

/// Opens it for the run; a copy is made, or gets the rows that are new in FILE or among `jobs`, once the command
/// is known to fit its columns.
pub fn open(
    args: &RunArgs,
    jobs: Option<Sheet>,
    selection: &Selection,
    display: &Display,
) -> Result<Session, Failure> {
    let options = options(args)?;
    refuse_own_column(args, &options)?;
    let must_hold_column = args.stdout_to.is_some() && args.columns.no_new_columns;
    let Some(copy) = &args.output else {
        if must_hold_column {
            refuse_without_column(args, &Sheet::read_for_a_run(&args.sheet.file, &options)?)?;
        }
        let session = Session::open(&args.sheet.file, &options)?;
        name_before::refuse(&session.handler().sheet(), typed(args)?)?;
        jobs::must_fit(args, &session.columns())?;
        return Ok(session);
    };
    let input = input(args, jobs, &options)?;
    name_before::refuse(&input, typed(args)?.or(Settings::of(copy)?))?;
    if must_hold_column || !args.only.is_empty() || !args.conditions.is_empty() {
        // What is selected, and where stdout goes, must be there before a copy is made or gets new rows.
        let resumed = resumed(copy, &input, &options)?;
        let sheet = resumed.as_ref().unwrap_or(&input);
        refuse_without_column(args, sheet)?;
        drop(sheet.select(selection).map_err(slip)?);
    }
    if !copy.exists() {
        input.refuse_foreign_status()?;
        jobs::must_fit(args, &input.columns_of_a_run())?;
    }
    let mut session = match create_output(&input, copy).map_err(as_usage)? {
        true => Session::open_new(copy, &args.sheet.file, &options)?,
        false => Session::open(copy, &options)?,
    };
    jobs::must_fit(args, &session.columns())?;
    let added = session.take_new_rows(&input)?;
    remember(args, copy, display)?;
    if added > 0 && args.retry_failed {
        let are = match added {
            1 => "1 row is".to_owned(),
            rows => format!("{rows} rows are"),
        };
        display.say(&format!(
            "{are} new, and not run: --retry-failed takes those that failed; without it they run"
        ));
    }
    Ok(session)
}

/// Reads it, changes nothing, and refuses what a run would refuse.
pub fn read_fit(args: &RunArgs, jobs: Option<Sheet>) -> Result<Sheet, Failure> {
    let options = options(args)?;
    refuse_own_column(args, &options)?;
    let sheet = read(args, jobs, &options)?;
    refuse_without_column(args, &sheet)?;
    sheet.refuse_unfit(args.output.as_ref().unwrap_or(&args.sheet.file))?;
    Ok(sheet)
}

/// Refuses a column that cannot take what the commands say.
fn refuse_own_column(args: &RunArgs, options: &Options) -> Result<(), Failure> {
    let Some(column) = &args.stdout_to else {
        return Ok(());
    };
    let stages = [&Stage::default(), &options.stage];
    if options.key.contains(column) || stages.iter().any(|stage| stage.has_column(column)) {
        let column = escape(column.trim());
        return Err(Failure::Other(
            Exit::Usage,
            format!(
                "--stdout-to {column}: the key and what became of a row are not a command's to print; name another column"
            ),
        ));
    }
    refuse_unwritable("--stdout-to", column, options.encoding)
}

/// Refuses a sheet that lacks the column for what the commands say, if none may be added.
fn refuse_without_column(args: &RunArgs, sheet: &Sheet) -> Result<(), Failure> {
    match &args.stdout_to {
        Some(column) if args.columns.no_new_columns => sheet
            .require_column(column)
            .map(drop)
            .map_err(|error| Failure::Other(Exit::BadSheet, format!("--stdout-to: {error}"))),
        _ => Ok(()),
    }
}

fn read(args: &RunArgs, jobs: Option<Sheet>, options: &Options) -> Result<Sheet, Failure> {
    let Some(copy) = &args.output else {
        let sheet = Sheet::read_for_a_run(&args.sheet.file, options)?;
        name_before::refuse(&sheet, typed(args)?)?;
        return Ok(sheet);
    };
    let input = input(args, jobs, options)?;
    name_before::refuse(&input, typed(args)?.or(Settings::of(copy)?))?;
    Ok(resumed(copy, &input, options)?.unwrap_or(input))
}

fn input(args: &RunArgs, jobs: Option<Sheet>, options: &Options) -> Result<Sheet, Failure> {
    match jobs {
        Some(jobs) => Ok(jobs),
        None => Ok(Sheet::read_input(&args.sheet.file, options)?),
    }
}

/// The copy, if it is there, and what is new in the input.
fn resumed(copy: &Path, input: &Sheet, options: &Options) -> Result<Option<Sheet>, Failure> {
    if !copy.exists() {
        return Ok(None);
    }
    let sheet = Sheet::read_with_new_rows(copy, options, input);
    sheet.map(Some).map_err(as_usage)
}

/// What the command line says of the sheet.
fn typed(args: &RunArgs) -> Result<Settings, Failure> {
    Ok(args.words.put_into(args.sheet.settings()?))
}

/// How the sheet is read and kept.
pub fn options(args: &RunArgs) -> Result<Options, Failure> {
    let typed = typed(args)?;
    let kept = match &args.output {
        Some(copy) if standard_input::has_jobs(args) => Settings::of(copy)?,
        Some(copy) => Settings::of_copy(copy, &args.sheet.file)?,
        None => Settings::of(&args.sheet.file)?,
    };
    let mut on = args.sheet.in_command("run");
    on.behind = " -- …";
    if let Some(copy) = &args.output {
        on.before += &format!(" --output {}", for_a_shell(&copy.to_string_lossy()));
        if copy.exists() {
            on.sheet = copy;
        }
    }
    let options = args.stage.put_into_listed(merged(typed, kept)?, &on)?;
    let options = args.columns.put_into(options);
    let mut options = args.backup.put_into(options);
    options.allow_network_fs = args.write.allow_network_fs;
    options.take_unknown = args.force || !args.only.is_empty();
    options.take_done = args.force;
    Ok(options)
}

/// Remembers how COPY is read, so that no other command has to be told. What is said of it already stays.
fn remember(args: &RunArgs, copy: &Path, display: &Display) -> Result<(), Failure> {
    let typed = args.sheet.settings()?;
    let read = match standard_input::has_jobs(args) {
        // A list has no job twice.
        true => Settings {
            duplicates: None,
            ..typed.clone()
        },
        false => typed.clone().or(Settings::of(&args.sheet.file)?),
    };
    match read.remember_unsaid(copy) {
        Ok(lines) => lines.iter().for_each(|line| {
            display.say(&format!("remembered {} in tickoff.toml", escape(line)));
        }),
        // The run can do without.
        Err(error) => tracing::warn!(
            "the key is not remembered, so other commands need --key as well: {}",
            error.chain()
        ),
    }
    let kept = Settings::of(copy)?;
    if let (Some(kept), Some(typed)) = (&kept.key, &typed.key)
        && !typed.names().iter().all(|name| kept.contains(name))
    {
        tracing::warn!(
            "tickoff.toml says that the key of {} is {}: commands without --key look for that column",
            escape(&copy.to_string_lossy()),
            escape(&kept.title())
        );
    }
    Ok(())
}

/// Two names of one sheet are a mistake on the command line.
fn as_usage(error: Error) -> Failure {
    match error {
        Error::SameFile { .. } => Failure::Other(Exit::Usage, error.to_string()),
        error => error.into(),
    }
}
