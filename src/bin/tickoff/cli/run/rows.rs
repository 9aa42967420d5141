//! Which rows a run takes, in which order, and what is said of those it does not.

use std::hash::{BuildHasher, RandomState};

use tickoff::{ProcessingStatus, Selection, Session, Sheet, Stage, escape};

use super::args::RunArgs;
use crate::stderr::Display;
use crate::stderr::board::Board;

/// Says why a run that selects no row has nothing to do.
pub fn tell_nothing_to_do(
    args: &RunArgs,
    sheet: &Sheet,
    selection: &Selection,
    display: &Display,
) -> Result<(), tickoff::Error> {
    let to_be_done = sheet.select(&Selection::all())?.count();
    let why = match to_be_done {
        0 => why_none(args, sheet, selection)?,
        _ => why_not_selected(args, to_be_done),
    };
    display.say(&format!("nothing to do: {why}"));
    Ok(())
}

/// Why there is no row that any run in this stage would take.
fn why_none(
    args: &RunArgs,
    sheet: &Sheet,
    selection: &Selection,
) -> Result<String, tickoff::Error> {
    let rows = sheet.progress().total;
    let words = sheet.words().into_iter();
    let done: Vec<_> = words.filter(|(word, _)| sheet.is_done(word)).collect();
    let count = |words: &[(ProcessingStatus, usize)]| words.iter().map(|(_, rows)| rows).sum();
    let done_rows: usize = count(&done);
    let stage = match args.stage.stage() {
        stage if stage.is_main() => String::new(),
        stage => format!(" in the stage {stage}"),
    };
    if rows == 0 {
        return Ok("the sheet has no row with a key".to_owned());
    }
    if done_rows == rows {
        let words: Vec<_> = done
            .iter()
            .map(|(word, rows)| format!("{rows} {}", escape(word.as_str())))
            .collect();
        let of_words = match words.len() {
            1 => String::new(),
            _ => format!(": {}", words.join(", ")),
        };
        return Ok(match rows {
            1 => format!("the only row is done{stage}"),
            _ => format!("all {rows} are done{stage}{of_words}"),
        });
    }
    let mut parts = Vec::new();
    if done_rows > 0 {
        parts.push(format!("{}{stage}", are(done_rows, "done")));
    }
    let left_alone = count(&sheet.left_alone(&Selection::all())?);
    let waiting = rows.saturating_sub(done_rows + left_alone);
    if let Some(first) = args.stage.first().filter(|_| waiting > 0) {
        let verb = if waiting == 1 { "waits" } else { "wait" };
        parts.push(format!("{waiting} {verb} for the stage {first}"));
    }
    if left_alone > 0 {
        let by = narrowed_by(args);
        if waiting == 0 && !by.is_empty() && sheet.left_alone(selection)?.is_empty() {
            return Ok(format!("none of those selected by {by} is to be done"));
        }
        parts.push(are(left_alone, "left alone"));
    }
    Ok(parts.join(", "))
}

/// Why none of so many rows is selected.
fn why_not_selected(args: &RunArgs, to_be_done: usize) -> String {
    let none = match to_be_done {
        1 => "the row that is to be done".to_owned(),
        _ => format!("none of the {to_be_done} that are to be done"),
    };
    let not = if to_be_done == 1 { " not" } else { "" };
    match narrowed_by(args).as_str() {
        "--retry-failed" => format!("{none} has{not} failed"),
        by => format!("{none} is{not} selected by {by}"),
    }
}

/// The options that select rows.
fn narrowed_by(args: &RunArgs) -> String {
    let options = [
        (!args.only.is_empty(), "--only"),
        (!args.conditions.is_empty(), "--where"),
        (args.retry_failed, "--retry-failed"),
    ];
    let given = options.iter().filter(|(is_given, _)| *is_given);
    let names: Vec<_> = given.map(|(_, name)| *name).collect();
    names.join(" and ")
}

fn are(rows: usize, what: &str) -> String {
    match rows {
        1 => format!("1 is {what}"),
        _ => format!("{rows} are {what}"),
    }
}

/// The seed of the order, if it is to be shuffled; what it is, is said.
pub fn seed(args: &RunArgs, display: &Display) -> Option<u64> {
    if !args.shuffle {
        return None;
    }
    // Short enough to be typed; the standard library has no other source of random numbers.
    let any = || RandomState::new().hash_one(0) >> 32;
    let seed = args.seed.unwrap_or_else(any);
    display.say(&format!(
        "shuffled; --shuffle --seed {seed} repeats this order"
    ));
    Some(seed)
}

/// What is to be processed.
pub fn selection(args: &RunArgs, seed: Option<u64>) -> Selection {
    let mut selection = args.conditions.put_into(Selection::all());
    if !args.only.is_empty() {
        selection = selection.only(args.only.iter());
    }
    if args.retry_failed {
        selection = selection.failed();
    }
    if let Some(limit) = args.limit {
        selection = selection.limit(limit.get());
    }
    if let Some(seed) = seed {
        selection = selection.shuffled(seed);
    }
    selection
}

/// Says which rows are left alone for a word that nobody knows, if any are.
pub fn tell_left_alone(display: &Display, words: &[(ProcessingStatus, usize)]) {
    const SHOWN: usize = 8;
    if words.is_empty() {
        return;
    }
    let total: usize = words.iter().map(|(_, pos)| pos).sum();
    let shown = words.iter().take(SHOWN);
    let mut shown: Vec<String> = shown.map(|(word, pos)| format!("{word} ({pos})")).collect();
    if let more @ 1.. = words.len().saturating_sub(SHOWN) {
        shown.push(format!("{more} more words"));
    }
    display.say(&format!(
        "left alone, because nobody has said what their STATUS means: {total} rows: {}; --todo, --done or --failed says it, --only or --force takes them as they are",
        shown.join(", ")
    ));
}

/// Says which of the rows that were named need nothing.
pub fn tell_done(args: &RunArgs, display: &Display, is_done: impl Fn(&str) -> bool) {
    for po in args.only.iter().filter(|po| is_done(po)) {
        display.say(&format!(
            "{} is done, and skipped; --force processes it again",
            escape(po.trim())
        ));
    }
}

/// How many rows are named that were running when a run was killed.
const NAMED: usize = 5;

/// Says which rows were running when a run that was killed last told, and have no result: each is to be done
/// again, though its job may have done some of it.
pub fn tell_interrupted(session: &Session, display: &Display) {
    let told = session.told_before().unwrap_or_default();
    // Half of a text, or one of another program.
    let Ok(board) = serde_json::from_str::<Board>(told) else {
        return;
    };
    let stage = session.handler().stage();
    if board
        .stage
        .unwrap_or_else(|| Stage::default().name().to_owned())
        != stage.name()
    {
        return;
    }
    let sheet = session.handler().sheet();
    let is_to_be_done = |po: &&str| {
        let status = sheet.status(po);
        status.is_some_and(|status| !sheet.is_done(&status)) && !sheet.is_left_alone(po)
    };
    let current = board.workers.iter().flatten();
    let running: Vec<&str> = current
        .map(|current| current.po.as_str())
        .filter(is_to_be_done)
        .collect();
    if running.is_empty() {
        return;
    }
    let were = match running.len() {
        1 => "1 row was".to_owned(),
        rows => format!("{rows} rows were"),
    };
    let mut named: Vec<String> = running.iter().take(NAMED).map(|po| escape(po)).collect();
    if running.len() > NAMED {
        named.push(format!("and {} more", running.len() - NAMED));
    }
    display.say(&format!(
        "{were} running up to a second before the last run was killed; to be run again: {}",
        named.join(", ")
    ));
}

/// Says that there are rows which have no key.
pub fn tell_without_key(sheet: &Sheet, display: &Display) {
    if let Some(found) = sheet.control_rows() {
        let more = match found.rows - 1 {
            0 => String::new(),
            1 => ", and another row is like it".to_owned(),
            more => format!(", and {more} more rows are like it"),
        };
        display.say(&format!(
            "line {} is {}, and no job: it is kept{more}",
            found.line,
            found.name()
        ));
    }
    let Some((rows, line)) = sheet.rows_without_key() else {
        return;
    };
    let have = match rows {
        1 => "1 row has".to_owned(),
        rows => format!("{rows} rows have"),
    };
    let way_on = match sheet.key_columns() {
        [column] => {
            let (are, them) = match rows {
                1 => ("it is a job", "it"),
                _ => ("they are jobs", "them"),
            };
            format!(
                ", as a row of totals or a note should be; if {are}, tickoff init FILE --add-key {} numbers {them}",
                escape(column)
            )
        }
        columns => {
            let columns: Vec<_> = columns.iter().map(|column| escape(column)).collect();
            format!(": {} are empty there", columns.join(", "))
        }
    };
    display.say(&format!(
        "{have} no key, the first in line {line}, and no job{way_on}"
    ));
}

/// Says that there are rows of which a quote has made something else.
pub fn tell_misquoted(sheet: &Sheet) {
    if let Some((rows, first)) = sheet.misquoted() {
        let more = match rows - 1 {
            0 => String::new(),
            1 => ", and another row is like it".to_owned(),
            more => format!(", and {more} more rows are like it"),
        };
        tracing::warn!("{first}{more}; tickoff check FILE shows where");
    }
}

/// Says that there are cells which are no text.
pub fn tell_not_utf8(sheet: &Sheet) {
    let Some(found) = sheet.not_utf8() else {
        return;
    };
    let column = escape(&found.column);
    let are = match found.cells {
        1 => "1 cell is".to_owned(),
        cells => format!("{cells} cells are"),
    };
    let encoding = sheet.encoding();
    let what_it_is = match encoding.is_utf8() {
        true => {
            "a command gets its bytes as they are, a worker {\"base64\":…}, and results are written in UTF-8 beside them; if they are letters, pass the sheet's encoding, --encoding windows-1252 for a CSV of Excel's in Western Europe"
        }
        false => {
            "commands and workers get U+FFFD for what is no letter in it; if the sheet is in another encoding, pass that"
        }
    };
    tracing::warn!(
        "{are} not {}, the first in line {}, {column}: {what_it_is}",
        encoding.name(),
        found.line
    );
}
