//! A sheet that has the results of another name, of which `tickoff.toml` says what it does not say of this one: rows that
//! are done would not count as such.

use tickoff::{Settings, Sheet, escape};

use crate::exit::{Exit, Failure};

/// Refuses it, unless the command line says it.
pub fn refuse(sheet: &Sheet, typed: Settings) -> Result<(), Failure> {
    match missed(sheet, typed)? {
        None => Ok(()),
        Some(problem) => Err(Failure::Other(Exit::BadSheet, problem)),
    }
}

/// The same where nothing is done by it.
pub fn warn(sheet: &Sheet, typed: Settings) -> Result<(), Failure> {
    if let Some(problem) = missed(sheet, typed)? {
        tracing::warn!("{problem}");
    }
    Ok(())
}

fn missed(sheet: &Sheet, typed: Settings) -> Result<Option<String>, Failure> {
    let Some(other) = sheet.shows_results_of() else {
        return Ok(None);
    };
    let of_other = Settings::of(&sheet.path().with_file_name(other))?;
    // What it takes to read the sheet is missed without a word from here.
    let of_other = Settings {
        done: of_other.done,
        failed: of_other.failed,
        todo: of_other.todo,
        stages: of_other.stages,
        ..Settings::default()
    };
    let lines = of_other.lines_beyond(&typed.or(Settings::of(sheet.path())?));
    let other = escape(other);
    Ok((!lines.is_empty()).then(|| {
        format!(
            "{} has results that were written as {other}, and tickoff.toml says of {other} what it does not say of this sheet, {}: give this name a table there too, or rename that one",
            escape(&sheet.path().to_string_lossy()),
            escape(&lines.join(", "))
        )
    }))
}
