//! A sheet that has the results of another name, of which `tickoff.toml` says what it does not say of this one: rows that
//! are done would not count as such.

use tickoff::{KeyColumns, Settings, Sheet, escape};

use crate::exit::{Exit, Failure, for_a_shell};

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
    let key = typed.key.clone();
    let lines = of_other.lines_beyond(&typed.or(Settings::of(sheet.path())?));
    let init = init(sheet, key.as_ref(), &of_other);
    let other = escape(other);
    Ok((!lines.is_empty()).then(|| {
        format!(
            "{} has results that were written as {other}, and tickoff.toml says of {other} what it does not say of this sheet, {}: {init} remembers it of this one too, or rename the table there",
            escape(&sheet.path().to_string_lossy()),
            escape(&lines.join(", "))
        )
    }))
}

/// The command that remembers this of a sheet.
fn init(sheet: &Sheet, key: Option<&KeyColumns>, settings: &Settings) -> String {
    let names = key.map_or(&[][..], KeyColumns::names);
    let keys = names.iter().map(|name| ("--key", name.clone()));
    let words = [
        ("--done", &settings.done),
        ("--failed", &settings.failed),
        ("--todo", &settings.todo),
    ];
    let words = words.into_iter().filter_map(|(option, words)| {
        let words = words.as_ref()?.iter().map(ToString::to_string);
        Some((option, words.collect::<Vec<_>>().join(",")))
    });
    let stages = settings.stages.as_ref().map(|stages| {
        let names = stages.iter().map(|stage| stage.name().to_owned());
        ("--stages", names.collect::<Vec<_>>().join(","))
    });
    let options: Vec<String> = keys
        .chain(words)
        .chain(stages)
        .map(|(option, value)| format!(" {option} {}", for_a_shell(&value)))
        .collect();
    let file = for_a_shell(&sheet.path().to_string_lossy());
    format!("tickoff init {file}{}", options.concat())
}
