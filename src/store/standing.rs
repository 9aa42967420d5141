//! What a journal means for the sheet that lies beside it, when both are read from the start.
//!
//! A sheet that is the latest public version, or that somebody edited who had seen what stands in the journal,
//! goes on from where it is. Where it cannot be known what its author meant, nothing is applied and the person
//! is asked: an older version that took the sheet's place, a save that shows nothing of the results, traces
//! that tell different things, or another sheet under this name.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::csv::RecordIndex;
use crate::disk::ContentHash;
use crate::domain::columns::same_column;
use crate::journal::{Frame, frame};
use crate::sheet::{History, Past, PublicVersion, Reading, Sheet, Verdict, edits, is_same, text};

/// What is to be done with what the journal holds.
#[derive(Debug, PartialEq)]
pub(crate) enum Standing {
    /// The sheet shows all that stands before this frame; the rest is applied in order.
    Current(usize),
    /// Somebody saved the sheet; each cell is judged by what they can have seen.
    Saved(Reading),
    /// Another sheet has the name, and the journal has nothing that was not visible in the one before it.
    Anew,
    /// It has to be asked.
    Asked(Question),
}

/// Why it has to be asked.
#[derive(Debug, PartialEq)]
pub(crate) struct Question {
    /// By which the cells are judged if the results are to be applied.
    pub(crate) reading: Reading,
    /// What was found, as the part of a sentence that follows "FILE".
    pub(crate) found: &'static str,
    /// It is another sheet, of which the results are not.
    pub(crate) is_another: bool,
    /// How many keys have results that the sheet does not show.
    pub(crate) rows: usize,
}

impl Standing {
    /// Whether the sheet is another one than that of the journal.
    pub(crate) fn is_of_another(&self) -> bool {
        match self {
            Standing::Asked(question) => question.is_another,
            Standing::Anew => true,
            Standing::Current(_) | Standing::Saved(_) => false,
        }
    }

    /// Whether the journal holds results that the sheet does not show.
    pub(crate) fn adds(&self, frames: &[Frame], history: &History, sheet: &Sheet) -> bool {
        match self {
            Standing::Current(from) => frame::updates(&frames[*from..]).next().is_some(),
            Standing::Saved(reading) => !not_shown(history, *reading, sheet).is_empty(),
            Standing::Anew => false,
            Standing::Asked(_) => true,
        }
    }

    /// How many keys have results that a sheet lacks, if it is the one that they are of.
    pub(crate) fn lacking(&self, frames: &[Frame], history: &History, sheet: &Sheet) -> usize {
        match self {
            Standing::Asked(question) if question.is_another => 0,
            _ => self.keys_lacking(frames, history, sheet).len(),
        }
    }

    /// The keys with results that a sheet lacks: those that a question is about.
    pub(crate) fn keys_lacking<'h>(
        &self,
        frames: &'h [Frame],
        history: &'h History,
        sheet: &Sheet,
    ) -> Vec<&'h str> {
        match self {
            Standing::Current(from) => {
                let updates = frame::updates(&frames[*from..]);
                let keys: HashSet<&str> = updates.map(|update| update.po.as_str()).collect();
                keys.into_iter().collect()
            }
            Standing::Saved(reading) => not_shown(history, *reading, sheet),
            Standing::Asked(question) => not_shown(history, question.reading, sheet),
            Standing::Anew => Vec::new(),
        }
    }
}

/// How a sheet, of which nothing was written yet, stands to the frames of its journal.
pub(crate) fn standing(
    frames: &[Frame],
    history: &History,
    sheet: &Sheet,
    hash: ContentHash,
    is_of_session: bool,
) -> Standing {
    let versions = history.versions();
    if versions.is_empty() {
        // A journal of the first format, which tells of no version.
        return Standing::Current(0);
    }
    let is_kin = || frame::sample(frames).is_none_or(|sample| sample.is_kin_of(sheet));
    let confirmed = versions.iter().rposition(|version| version.is_confirmed);
    let confirmed = confirmed.unwrap_or(0);
    if history.is_empty() {
        let is_this = |version: &PublicVersion| version.hash == hash && !version.has_failed;
        let last = versions.len() - 1;
        return match is_kin() {
            // It lacks nothing; but who writes next has to tell the journal on which version.
            true if !versions[confirmed..].iter().any(is_this) => {
                Standing::Saved(Reading::Between {
                    low: last,
                    high: last,
                })
            }
            false if history.unplaced().is_empty() => Standing::Anew,
            _ => Standing::Current(frames.len()),
        };
    }
    let cell = |po: &str, column: &str| cell(sheet, history, po, column);
    let has_column = |column: &str| has_column(sheet, column);
    let reading = Reading::of(history, hash, has_column, cell);
    let ask = |reading: Reading, found| Question {
        reading,
        found,
        is_another: false,
        rows: not_shown(history, reading, sheet).len(),
    };
    let saved_or_asked = |low, high| {
        let reading = Reading::Between { low, high };
        let is_unclear = low != high
            && history.cells().any(|(po, past)| {
                cell(po, &past.column)
                    .is_some_and(|theirs| reading.verdict(past, &theirs) == Verdict::Unclear)
            });
        if is_unclear {
            return Standing::Asked(ask(
                reading,
                "was saved by somebody who may or may not have seen its newest results",
            ));
        }
        // Who saves an old version lacks results; who lacks none may have put an edit back, or not have known it.
        let lacks = |is_outside: bool| {
            all_cells(history, sheet).any(|(_, past, theirs)| {
                past.is_outside == is_outside
                    && theirs.is_some_and(|theirs| reading.verdict(past, &theirs) == Verdict::Ours)
            })
        };
        match lacks(true) && !lacks(false) {
            true => Standing::Asked(ask(
                reading,
                "shows in cells of results what stood there before another program changed it",
            )),
            false => Standing::Saved(reading),
        }
    };
    match reading {
        Reading::Known(version) => {
            if version >= confirmed {
                return Standing::Current(versions[version].upto as usize);
            }
            let question = ask(reading, "is an older version of itself");
            match question.rows {
                0 => Standing::Saved(reading),
                _ => Standing::Asked(question),
            }
        }
        Reading::Judged => Standing::Saved(reading),
        Reading::Between { low, high } => saved_or_asked(low, high),
        Reading::NoTrace { near } => {
            let all_was_visible = history
                .cells()
                .all(|(_, past)| past.public_since().is_some());
            match (is_kin(), near) {
                (true, Some((low, high))) => saved_or_asked(low, high),
                (true, None) => {
                    let question = ask(
                        reading,
                        "was saved without the times of its results (LAST_PROCESSED), as an old version is",
                    );
                    match question.rows {
                        0 => Standing::Saved(reading),
                        _ => Standing::Asked(question),
                    }
                }
                (false, _) if all_was_visible && !is_of_session => Standing::Anew,
                (false, _) => Standing::Asked(Question {
                    is_another: true,
                    ..ask(reading, "is another sheet than the one its journal is of")
                }),
            }
        }
    }
}

/// The keys with results that a sheet does not show, and of which its author does not know; or if it lacks none, those
/// with cells of results that another program has changed since.
fn not_shown<'h>(history: &'h History, reading: Reading, sheet: &Sheet) -> Vec<&'h str> {
    let is_shown = |past: &Past, theirs: Option<Cow<'_, str>>| {
        theirs.is_some_and(|theirs| {
            matches!(
                reading.verdict(past, &theirs),
                Verdict::Same | Verdict::Theirs
            )
        })
    };
    let of = |is_outside: bool| {
        let mut rows: Vec<&str> = all_cells(history, sheet)
            .filter(|(_, past, _)| past.is_outside == is_outside)
            .filter_map(|(po, past, theirs)| (!is_shown(past, theirs)).then_some(po))
            .collect();
        rows.sort_unstable();
        rows.dedup();
        rows
    };
    let results = of(false);
    match results.is_empty() {
        true => of(true),
        false => results,
    }
}

/// The cells that were written, in single rows of a key too, and what the sheet shows there.
fn all_cells<'h, 's>(
    history: &'h History,
    sheet: &'s Sheet,
) -> impl Iterator<Item = (&'h str, &'h Past, Option<Cow<'s, str>>)> {
    let all = history
        .cells()
        .map(|(po, past)| (po, past, cell(sheet, history, po, &past.column)));
    let single = history.rows().flat_map(move |(po, _)| {
        history
            .single_rows(po)
            .iter()
            .flat_map(move |(row, cells)| {
                let record = row.find(sheet, po, edits(cells));
                cells.iter().map(move |past| {
                    let shown = record.map(|record| shown_in(sheet, record, &past.column));
                    (po.as_str(), past, shown)
                })
            })
    });
    all.chain(single)
}

/// Whether the journal has results that have no place in a sheet of which nothing was written yet. What never had one
/// in any sheet is not looked at: this may be another sheet.
pub(crate) fn lacks_places(history: &History, sheet: &Sheet) -> bool {
    !history.is_empty() && !history.unplaced().is_empty()
        || history.cells().any(|(po, past)| {
            let is_result = !past.is_outside && !past.last.is_empty();
            is_result && (sheet.rows(po).next().is_none() || !has_column(sheet, &past.column))
        })
}

/// Whether a sheet, of which nothing was written yet, has a column.
pub(crate) fn has_column(sheet: &Sheet, column: &str) -> bool {
    place(sheet, column).is_some()
}

fn place(sheet: &Sheet, column: &str) -> Option<usize> {
    let schema = sheet.schema();
    let place = schema.position(column)?;
    (place < schema.header_width).then_some(place)
}

/// What a sheet, of which nothing was written yet, shows in a key's cell: nothing in a column that it does not
/// have, and `None` where it has no such row.
/// Of several rows it is the first in which no other program wrote something of its own there, of those that show the
/// latest value if there are any: a row may have been added.
pub(crate) fn cell<'s>(
    sheet: &'s Sheet,
    history: &History,
    po: &str,
    column: &str,
) -> Option<Cow<'s, str>> {
    let singles = history.single_rows(po).iter();
    let singles = singles.filter(|(_, cells)| {
        let mut cells = cells.iter();
        cells.any(|past| past.is_outside && same_column(&past.column, column))
    });
    let singles: Vec<_> = singles
        .filter_map(|(row, cells)| row.find(sheet, po, edits(cells)))
        .collect();
    let mut rows = sheet.rows(po).filter(|row| !singles.contains(row));
    let first = rows.next().or_else(|| sheet.rows(po).next())?;
    let shown = shown_in(sheet, first, column);
    let past = history.cell(po, column);
    let is_last = |shown: &str| past.is_none_or(|past| is_same(column, &past.last, shown));
    if is_last(&shown) {
        return Some(shown);
    }
    let mut others = rows.map(|row| shown_in(sheet, row, column));
    Some(others.find(|shown| is_last(shown)).unwrap_or(shown))
}

/// What a row of such a sheet shows: nothing in a column that it does not have.
pub(crate) fn shown_in<'s>(sheet: &'s Sheet, row: RecordIndex, column: &str) -> Cow<'s, str> {
    match place(sheet, column) {
        Some(column) => text(sheet.base_cell(row, column)),
        None => Cow::Borrowed(""),
    }
}
