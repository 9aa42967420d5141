//! Which rows a run takes, in which order, and what is said of those it does not.

use std::hash::{BuildHasher, RandomState};

use tickoff::{ProcessingStatus, Selection, Session, Sheet, Stage, escape};

use super::args::RunArgs;
use crate::stderr::Display;
use crate::stderr::board::Board;

/// Says that no row that is not done is selected.
pub fn tell_nothing_to_do(args: &RunArgs, display: &Display) {
    display.say(&match args.stage.first() {
        Some(first) => format!(
            "nothing to do: no row that is done in the stage {first}, and not in {}, is among those selected",
            args.stage.stage()
        ),
        None => "nothing to do: no row that is not done is among those selected".to_owned(),
    });
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

/// Says which rows were running when a run was killed, as it last told, and have no result: each is to be done
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
    let is_to_be_done = |po: &&str| {
        let status = session.handler().status(po);
        status.is_some_and(|status| !session.handler().is_done(&status))
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
        "{were} running when the last run was killed; to be run again: {}",
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
        [column] => format!(
            "tickoff init FILE --add-key {} numbers them",
            escape(column)
        ),
        columns => {
            let columns: Vec<_> = columns.iter().map(|column| escape(column)).collect();
            format!("{} are empty there", columns.join(", "))
        }
    };
    display.say(&format!(
        "{have} no key, the first in line {line}, and no job: {way_on}"
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

/// Says that there are cells which are no text, or another text than they look like.
pub fn tell_not_utf8(sheet: &Sheet) {
    if let Some(message) = sheet.looks_like_utf8() {
        tracing::warn!("{message}");
    }
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
