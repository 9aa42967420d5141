//! A board as lines of text: many for a terminal, one for a log.

use chrono::{DateTime, Utc};
use console::{measure_text_width, truncate_str};
use tickoff::escape;

use super::board::{Board, Current, Paused};

/// How wide the bar is, in columns.
const BAR: usize = 24;

/// The lines of the display that are not a worker's: title, bar, counts, and the last errors.
const OTHER_LINES: usize = 7;

/// What a terminal of this size shows: no line is wider, and there are fewer lines than rows.
pub fn lines(
    board: &Board,
    now: DateTime<Utc>,
    title: Option<&str>,
    (rows, columns): (usize, usize),
) -> Vec<String> {
    let mut lines: Vec<_> = title.map(str::to_owned).into_iter().collect();
    lines.extend([bar(board), board.counts.to_string()]);
    let paused = board.paused.as_ref().map(Paused::to_string);
    let waiting = board.waiting(now);
    let other_lines = OTHER_LINES + paused.iter().chain(&waiting).count();
    lines.extend(paused.into_iter().chain(waiting));
    let room = rows.saturating_sub(other_lines + 1).max(1);
    let width = board.workers.len().saturating_sub(1).to_string().len();
    let shown = board.workers.iter().enumerate().take(room);
    for (number, current) in shown {
        let doing = current
            .as_ref()
            .map_or("-".to_owned(), |current| doing(current, now));
        lines.push(format!("  {number:>width$}  {doing}"));
    }
    match board.workers.len().saturating_sub(room) {
        0 => {}
        hidden => lines.push(format!("  … and {hidden} more workers")),
    }
    let room = rows.saturating_sub(lines.len() + 1);
    let newest = board.errors.len().saturating_sub(room);
    for failed in board.errors.iter().skip(newest) {
        lines.push(format!("failed {}: {}", failed.po, failed.reason));
    }
    lines
        .iter()
        .map(|line| truncate_str(line, columns.saturating_sub(1), "…").into_owned())
        .collect()
}

/// What a log shows.
pub fn line(board: &Board, now: DateTime<Utc>) -> String {
    let (stage, sum) = (stage(board), board.counts.sum());
    let waiting = board.waiting(now);
    let paused = board.paused.as_ref();
    format!(
        "{stage}{sum} of {}: {}{}{}{}",
        board.total,
        board.counts,
        pace(board),
        paused.map_or(String::new(), |paused| format!("; {paused}")),
        waiting.map_or(String::new(), |waiting| format!("; {waiting}"))
    )
}

fn bar(board: &Board) -> String {
    let sum = board.counts.sum();
    let share = match board.total {
        0 => 1.0,
        total => sum as f64 / total as f64,
    };
    let full = ((share * BAR as f64) as usize).min(BAR);
    format!(
        "{}{} {:>3} %  {}{sum}/{}{}",
        "█".repeat(full),
        "░".repeat(BAR - full),
        (share * 100.0) as usize,
        stage(board),
        board.total,
        pace(board)
    )
}

fn stage(board: &Board) -> String {
    let stage = board.stage.as_deref();
    stage.map_or(String::new(), |stage| format!("stage {}: ", escape(stage)))
}

fn pace(board: &Board) -> String {
    match (board.rate, board.seconds_left()) {
        (Some(rate), Some(left)) => format!("; {}/s, {} left", decimal(rate), duration(left)),
        _ => String::new(),
    }
}

/// Two digits that count.
fn decimal(rate: f64) -> String {
    match rate {
        ..0.095 => format!("{rate:.3}"),
        ..0.95 => format!("{rate:.2}"),
        ..9.5 => format!("{rate:.1}"),
        _ => format!("{rate:.0}"),
    }
}

/// A time, the coarser the longer it is: what is left is an estimate.
pub fn duration(seconds: u64) -> String {
    let (minutes, hours) = (seconds.div_ceil(60), seconds / 3600);
    match seconds {
        0..60 => format!("{seconds} s"),
        60..3600 => format!("{minutes} min"),
        3600..86_400 => format!("{hours} h {} min", seconds % 3600 / 60),
        _ => format!("{} d {} h", hours / 24, hours % 24),
    }
}

fn doing(current: &Current, now: DateTime<Utc>) -> String {
    let Current {
        po,
        attempt,
        since,
        report,
    } = current;
    let seconds = (now - since).num_seconds().max(0) as u64;
    let mut text = format!("{po}  {}", duration(seconds));
    if *attempt > 1 {
        text.push_str(&format!("  attempt {attempt}"));
    }
    if !report.is_empty() {
        let room = 28usize.saturating_sub(measure_text_width(&text));
        text.push_str(&format!("{:room$}  {report}", ""));
    }
    text
}

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use chrono::TimeDelta;

    use super::super::board::Failed;
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    fn current(po: &str, since: i64, report: &str) -> Option<Current> {
        Some(Current {
            po: po.to_owned(),
            attempt: 1,
            since: at(since),
            report: report.to_owned(),
        })
    }

    fn board() -> Board {
        let mut board = Board::new(446, 3, at(0));
        board.workers = vec![
            current("PO15000037", 7, "2 of 3 files"),
            None,
            current("PO15000040", 10, ""),
        ];
        board.rate = Some(12.34);
        board.errors = VecDeque::from([Failed {
            po: "PO15000030".to_owned(),
            reason: "exit 1: 404".to_owned(),
        }]);
        board
    }

    #[test]
    fn a_terminal_shows_bar_counts_workers_and_errors() {
        assert_eq!(
            lines(&board(), at(10), Some("process 7"), (24, 80)),
            [
                "process 7",
                "░░░░░░░░░░░░░░░░░░░░░░░░   0 %  0/446; 12/s, 37 s left",
                "0 done, 0 errors, 0 no attachments, 0 skipped",
                "  0  PO15000037  3 s               2 of 3 files",
                "  1  -",
                "  2  PO15000040  0 s",
                "failed PO15000030: exit 1: 404",
            ]
        );
    }

    #[test]
    fn the_stage_stands_before_the_numbers() {
        let mut board = board();
        board.stage = Some("ocr".to_owned());
        assert!(line(&board, at(10)).starts_with("stage ocr: 0 of 446: "));
        let lines = lines(&board, at(10), None, (24, 80));
        assert!(lines[0].contains(" %  stage ocr: 0/446; 12/s"), "{lines:?}");
    }

    #[test]
    fn what_is_waited_for_has_a_line_of_its_own() {
        let mut board = board();
        let wait = std::time::Duration::from_secs(15);
        board.waits.postponed(wait, false, at(0));
        let says = "1 waits for another attempt, the next in 5 s";
        assert_eq!(lines(&board, at(10), None, (24, 80))[2], says);
        assert!(line(&board, at(10)).ends_with(&format!("; {says}")));
    }

    #[test]
    fn nothing_is_wider_or_higher_than_the_terminal() {
        let mut board = board();
        board.workers = vec![current("漢字漢字漢字漢字漢字", 0, &"x".repeat(500)); 100];
        let wait = std::time::Duration::from_secs(3600);
        board.waits.postponed(wait, true, at(0));
        for rows in 1..30 {
            for columns in [1, 2, 20, 80] {
                let lines = lines(&board, at(10), Some("process 7"), (rows, columns));
                assert!(lines.len() < rows.max(7), "{rows}: {lines:#?}");
                for line in lines {
                    assert!(
                        measure_text_width(&line) < columns.max(2),
                        "{columns}: {line}"
                    );
                }
            }
        }
    }

    #[test]
    fn workers_that_have_no_place_are_counted() {
        let mut board = board();
        board.workers = vec![None; 100];
        let lines = lines(&board, at(10), None, (24, 80));
        assert!(
            lines.contains(&"  … and 84 more workers".to_owned()),
            "{lines:#?}"
        );
    }

    #[test]
    fn a_time_is_the_coarser_the_longer_it_is() {
        let texts = [0, 59, 60, 61, 3599, 3600, 7380, 90_000].map(duration);
        assert_eq!(
            texts,
            [
                "0 s",
                "59 s",
                "1 min",
                "2 min",
                "60 min",
                "1 h 0 min",
                "2 h 3 min",
                "1 d 1 h"
            ]
        );
    }

    #[test]
    fn a_rate_has_two_digits_that_count() {
        let texts = [0.0123, 0.123, 1.23, 12.3, 1234.5].map(decimal);
        assert_eq!(texts, ["0.012", "0.12", "1.2", "12", "1234"]);
    }
}
