//! What is said when a run is over: its counts, and the errors that several rows have.

use std::collections::BTreeSet;

use tickoff::{PoolSummary, escape};
use tracing::info;

use super::board::{Counts, shown};
use super::display::Display;
use super::view;
use crate::errors::{Errors, Group};

/// How many of the commonest errors are shown.
const SHOWN: usize = 5;

/// Says what a run did. In a JSON log the numbers are fields besides, named as in `--events`.
pub(super) fn tell(
    display: &Display,
    summary: &PoolSummary,
    errors: &Errors,
    waiting: &BTreeSet<String>,
) {
    let line = line(summary);
    match display.logs_json() {
        true => info!(
            completed = summary.completed,
            errors = summary.errors,
            no_attachments = summary.no_attachments,
            other = summary.other,
            skipped = summary.skipped,
            not_run = summary.not_run,
            retried = summary.retried,
            not_persisted = summary.unpersisted.len(),
            halted = summary.halted,
            duration_ms = summary.elapsed.as_millis() as u64,
            "{line}"
        ),
        false => {
            for line in view::wrapped(&line, room(display)) {
                display.say(&line);
            }
        }
    }
    if let Some(line) = of_waiting(waiting) {
        display.say(&line);
    }
    let common = common(errors);
    for group in &common {
        let line = of_group(group, room(display));
        match display.logs_json() {
            true => info!(
                rows = group.rows,
                error = escape(&group.message),
                example = escape(group.example()),
                "{line}"
            ),
            false => display.say(&line),
        }
    }
    if let Some(line) = more(errors, common.len()) {
        display.say(&line);
    }
}

fn line(summary: &PoolSummary) -> String {
    let counts = Counts::from(summary);
    let mut line = format!("{counts} in {:.1} s", summary.elapsed.as_secs_f64());
    for (count, what) in [
        (summary.retried, "attempts repeated"),
        (summary.not_run, "left for the next run"),
        (summary.unpersisted.len(), "not recorded"),
    ] {
        if count > 0 {
            line.push_str(&format!("; {count} {what}"));
        }
    }
    line
}

/// Which rows a stop left that were to be tried again.
fn of_waiting(keys: &BTreeSet<String>) -> Option<String> {
    let named: Vec<_> = keys.iter().take(SHOWN).map(|key| shown(key)).collect();
    let more = match keys.len().saturating_sub(SHOWN) {
        0 => String::new(),
        more => format!(" and {more} more"),
    };
    (!named.is_empty())
        .then(|| format!("not tried again before the end: {}{more}", named.join(", ")))
}

/// How many columns a line may have.
fn room(display: &Display) -> usize {
    let columns = display.columns();
    columns.map_or(usize::MAX, |columns| columns.saturating_sub(1))
}

/// The commonest errors. One that a single row has was told when it came.
fn common(errors: &Errors) -> Vec<&Group> {
    let mut common = errors.commonest(SHOWN);
    common.retain(|group| group.rows > 1);
    common
}

/// A group as a line.
fn of_group(group: &Group, columns: usize) -> String {
    let examples: Vec<_> = group.examples.iter().map(|key| shown(key)).collect();
    let message = escape(&group.message);
    view::of_errors(group.rows, &message, &examples.join(", "), columns)
}

/// How many kinds of errors are not shown, if some are.
fn more(errors: &Errors, shown: usize) -> Option<String> {
    let more = errors.len() - shown;
    match (shown, more, errors.is_full()) {
        (0, ..) | (_, 0, false) => None,
        (_, 1, false) => Some("and 1 more kind of error".to_owned()),
        (_, _, false) => Some(format!("and {more} more kinds of errors")),
        (_, _, true) => Some(format!("and more than {more} more kinds of errors")),
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn the_summary_names_what_was_not_done() {
        let summary = PoolSummary {
            completed: 4,
            errors: 1,
            skipped: 2,
            other: 1,
            retried: 3,
            not_run: 5,
            unpersisted: vec![
                ("P1".into(), tickoff::Updates::new()),
                ("P2".into(), tickoff::Updates::new()),
            ],
            elapsed: Duration::from_millis(3_240),
            ..PoolSummary::default()
        };
        assert_eq!(
            line(&summary),
            "4 done, 1 errors, 0 no attachments, 2 skipped, 1 other in 3.2 s; \
             3 attempts repeated; 5 left for the next run; 2 not recorded"
        );
    }

    #[test]
    fn the_first_rows_that_wait_for_another_attempt_are_named() {
        let waiting = |keys: usize| of_waiting(&(1..=keys).map(|at| format!("P{at}")).collect());
        assert_eq!(waiting(0), None);
        assert_eq!(
            waiting(2).unwrap(),
            "not tried again before the end: P1, P2"
        );
        assert_eq!(
            waiting(7).unwrap(),
            "not tried again before the end: P1, P2, P3, P4, P5 and 2 more"
        );
    }

    #[track_caller]
    fn check(errors: &Errors, columns: usize, want: &[&str]) {
        let common = common(errors);
        let lines = common.iter().map(|group| of_group(group, columns));
        let lines: Vec<_> = lines.chain(more(errors, common.len())).collect();
        assert_eq!(lines, want);
    }

    /// Errors of these kinds, each in so many rows.
    fn errors(kinds: &[(usize, &str)]) -> Errors {
        let mut errors = Errors::at_most(8);
        let mut row = 0;
        for (rows, message) in kinds {
            for _ in 0..*rows {
                row += 1;
                errors.add(&format!("P{row}"), Some(message));
            }
        }
        errors
    }

    #[test]
    fn errors_of_several_rows_are_told_together_and_what_happened_once_is_not_repeated() {
        check(&errors(&[]), usize::MAX, &[]);
        check(&errors(&[(1, "a"), (1, "b")]), usize::MAX, &[]);
        check(
            &errors(&[(1, "odd"), (2, "exit 1: 404"), (3, "exit 1: HTTP 503")]),
            usize::MAX,
            &[
                "3 × exit 1: HTTP 503, e.g. P4, P5",
                "2 × exit 1: 404, e.g. P2, P3",
                "and 1 more kind of error",
            ],
        );
        let kinds = ["a", "b", "c", "d", "e", "f", "g", "h", "i"].map(|kind| (2, kind));
        let of = |kinds| {
            let errors = errors(kinds);
            more(&errors, common(&errors).len()).unwrap()
        };
        assert_eq!(of(&kinds[..8]), "and 3 more kinds of errors");
        assert_eq!(of(&kinds), "and more than 3 more kinds of errors");
    }

    #[test]
    fn a_message_gives_way_where_there_is_no_room() {
        let errors = errors(&[(2, "no connection to 漢字漢字漢字漢字漢字")]);
        check(&errors, 39, &["2 × no connection to 漢字…, e.g. P1, P2"]);
        check(&errors, 11, &["2 × no…, e…"]);
    }
}
