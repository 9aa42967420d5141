//! What was probably meant by a command line that clap refuses: where the command goes, and which word is none. What
//! was typed is shown as names are.

use std::ffi::OsString;
use std::path::Path;

use clap::error::{ContextKind, ContextValue, ErrorKind};
use tickoff::{CommandTemplate, escape, escape_name};

/// The error with what to type instead, if that can be told.
pub fn explained(mut error: clap::Error, typed: &[OsString]) -> clap::Error {
    name_alone(&mut error);
    forget_values(&mut error);
    if let Some(tip) = tip(&error, typed) {
        error.remove(ContextKind::Usage);
        let tip = ContextValue::StyledStrs(vec![escape(&tip).into()]);
        error.insert(ContextKind::Suggested, tip);
    }
    escape_words(&mut error);
    error
}

/// Makes the words harmless that clap shows as they were typed.
fn escape_words(error: &mut clap::Error) {
    let words: Vec<_> = error
        .context()
        .filter_map(|(kind, value)| match value {
            ContextValue::String(word) => Some((kind, ContextValue::String(escape_name(word)))),
            ContextValue::Strings(words) => {
                let words = words.iter().map(|word| escape_name(word));
                Some((kind, ContextValue::Strings(words.collect())))
            }
            _ => None,
        })
        .collect();
    for (kind, word) in words {
        error.insert(kind, word);
    }
}

/// Drops clap's tip to pass an option as a value behind `--`, where the command stands here.
fn forget_values(error: &mut clap::Error) {
    let Some(ContextValue::StyledStrs(tips)) = error.get(ContextKind::Suggested) else {
        return;
    };
    let is_meant = |tip: &&clap::builder::StyledStr| !tip.to_string().contains("as a value");
    let tips: Vec<_> = tips.iter().filter(is_meant).cloned().collect();
    match tips.is_empty() {
        true => error.remove(ContextKind::Suggested),
        false => error.insert(ContextKind::Suggested, ContextValue::StyledStrs(tips)),
    };
}

/// Of an option that other programs have, its name alone is said.
fn name_alone(error: &mut clap::Error) {
    if let Some(ContextValue::String(word)) = error.get(ContextKind::InvalidArg)
        && error.kind() == ErrorKind::UnknownArgument
        && let Some((name, _)) = word.split_once(" [<")
    {
        let name = ContextValue::String(name.to_owned());
        error.insert(ContextKind::InvalidArg, name);
    }
}

fn tip(error: &clap::Error, typed: &[OsString]) -> Option<String> {
    let command = typed.get(1)?.to_str()?;
    let word = match error.get(ContextKind::InvalidArg) {
        Some(ContextValue::String(word)) => word.as_str(),
        _ => "",
    };
    match error.kind() {
        ErrorKind::UnknownArgument if word.starts_with(['–', '—']) => {
            Some(hyphens_for(word.trim_start_matches(['–', '—'])))
        }
        ErrorKind::UnknownArgument if !word.starts_with('-') => {
            on_another_word(command, word, typed)
        }
        ErrorKind::MissingRequiredArgument => on_missing(error, command, typed),
        ErrorKind::InvalidSubcommand if error.get(ContextKind::SuggestedSubcommand).is_none() => {
            on_no_command(command, typed)
        }
        _ => None,
    }
}

/// Word processors make one dash of two hyphens.
fn hyphens_for(name: &str) -> String {
    let meant = match name.chars().count() {
        1 => format!("-{name}"),
        _ => format!("--{name}"),
    };
    format!("that is a dash, as word processors write it, and no hyphen: type {meant}")
}

fn on_another_word(command: &str, word: &str, typed: &[OsString]) -> Option<String> {
    let has_dashes = typed.iter().any(|word| word == "--");
    if command == "run" && !has_dashes {
        let at = typed.iter().position(|typed| typed == word)?;
        return Some(format!(
            "the command goes behind --: {}",
            with(typed, at, "--")
        ));
    }
    Path::new(word)
        .exists()
        .then(|| format!("tickoff {command} takes one FILE, and this is another one"))
}

fn on_missing(error: &clap::Error, command: &str, typed: &[OsString]) -> Option<String> {
    let Some(ContextValue::Strings(missing)) = error.get(ContextKind::InvalidArg) else {
        return None;
    };
    match (command, &missing[..]) {
        ("run", [cmd]) if cmd.contains("CMD") => {
            let typed: Vec<_> = typed.iter().filter(|word| *word != "--").cloned().collect();
            Some(format!(
                "the command to run for each row goes behind --, with {{}} for its key: {} CMD {{}}",
                with(&typed, typed.len(), "--")
            ))
        }
        ("recover", [choice]) if choice.contains("--apply") => Some(
            "--apply writes what the journal holds to the sheet, --discard gives it up and keeps it in a copy; tickoff check FILE tells whether there is anything to decide"
                .to_owned(),
        ),
        _ => None,
    }
}

/// What was to be a command is a file.
fn on_no_command(word: &str, typed: &[OsString]) -> Option<String> {
    let is_file = Path::new(word).exists() || word.contains(['.', '/']);
    if !is_file {
        return None;
    }
    let run = with(typed, 1, "run");
    Some(match typed.iter().any(|word| word == "--") {
        true => format!("that is a file, and the command comes first: {run}"),
        false => format!(
            "that is a file, and the command comes first: {run} -- CMD {{}} runs CMD for each row, {} tells how far it is",
            with(typed, 1, "status")
        ),
    })
}

/// The command line with a word put in.
fn with(typed: &[OsString], at: usize, word: &str) -> String {
    let mut words = typed.to_vec();
    words[0] = "tickoff".into();
    words.insert(at, word.into());
    CommandTemplate::literal(&words).command_line("", None)
}
