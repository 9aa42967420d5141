//! A board as lines of text: many for a terminal, one for a log.

use chrono::{DateTime, Utc};
use console::{measure_text_width, truncate_str};
use tickoff::escape;

use super::board::{Board, Common, Current, Paused};
use crate::percent::percents;

/// How wide the bar is at most, and at least, in columns: in a narrow window it leaves room to the numbers.
const BAR: usize = 24;
const NARROWEST_BAR: usize = 6;

/// The longest key of a worker, in columns: as in front of what a job prints.
const LONGEST_KEY: usize = 40;

/// From how many rows on a line that is too long is continued in another one.
const ENOUGH_ROWS: usize = 16;

/// The lines of the display that are not a worker's: title, bar, counts, and the commonest errors.
const OTHER_LINES: usize = 7;

/// What a terminal of this size shows: no line is wider, and there are fewer lines than rows.
pub fn lines(
    board: &Board,
    now: DateTime<Utc>,
    title: Option<&str>,
    (rows, columns): (usize, usize),
) -> Vec<String> {
    let mut lines: Vec<_> = title.map(str::to_owned).into_iter().collect();
    let width = columns.saturating_sub(1);
    lines.push(bar(board, width));
    let wrap = |text: String| match rows < ENOUGH_ROWS {
        true => vec![text],
        false => wrapped(&text, width),
    };
    let paused = board.paused.as_ref().map(Paused::to_string);
    let texts = [Some(board.counts.to_string()), paused, board.waiting(now)];
    let texts: Vec<_> = texts.into_iter().flatten().flat_map(wrap).collect();
    let other_lines = OTHER_LINES + texts.len() - 1;
    lines.extend(texts);
    let room = rows.saturating_sub(other_lines + 1).max(1);
    let digits = board.workers.len().saturating_sub(1).to_string().len();
    let shown = board.workers.iter().enumerate().take(room);
    for (number, current) in shown {
        let room = width.saturating_sub(digits + 4);
        let doing = current
            .as_ref()
            .map_or("-".to_owned(), |current| doing(current, now, room));
        lines.push(format!("  {number:>digits$}  {doing}"));
    }
    match board.workers.len().saturating_sub(room) {
        0 => {}
        hidden => lines.push(format!("  … and {hidden} more workers")),
    }
    let room = rows.saturating_sub(lines.len() + 1);
    // What happened once has a line of its own above the display.
    let told = |common: &&Common| common.rows > 1 || title.is_some();
    for common in board.commonest.iter().filter(told).take(room) {
        let (rows, message) = (common.rows, &common.message);
        lines.push(of_errors(rows, message, &common.example, width));
    }
    lines
        .iter()
        .map(|line| truncate_str(line, width, "…").into_owned())
        .collect()
}

/// How many rows have an error, and which; its message gives way if there are only so many columns.
pub fn of_errors(rows: usize, message: &str, examples: &str, columns: usize) -> String {
    let line = |message: &str| format!("{rows} × {message}, e.g. {examples}");
    let beside = measure_text_width(&line(""));
    let room = columns.saturating_sub(beside).max(columns / 3);
    truncate_str(&line(&truncate_str(message, room, "…")), columns, "…").into_owned()
}

/// A text in lines that end behind a comma or a semicolon where they would be too long.
pub fn wrapped(text: &str, columns: usize) -> Vec<String> {
    let mut lines = vec![String::new()];
    for part in text.split_inclusive([',', ';']) {
        let line = lines.last_mut().expect("there is one");
        match line.is_empty() || measure_text_width(line) + measure_text_width(part) <= columns {
            true => line.push_str(part),
            false => lines.push(part.trim_start().to_owned()),
        }
    }
    lines
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

fn bar(board: &Board, columns: usize) -> String {
    let sum = board.counts.sum();
    let shares = percents(&[sum, board.total.saturating_sub(sum)], 0);
    let numbers = format!(
        " {:>3} %  {}{sum}/{}{}",
        shares[0].text,
        stage(board),
        board.total,
        pace(board)
    );
    let room = columns.saturating_sub(measure_text_width(&numbers));
    let width = room.clamp(NARROWEST_BAR, BAR);
    let full = (width * sum / board.total.max(1)).min(width);
    let (full, empty) = ("█".repeat(full), "░".repeat(width - full));
    format!("{full}{empty}{numbers}")
}

fn stage(board: &Board) -> String {
    let stage = board.stage.as_deref();
    stage.map_or(String::new(), |stage| format!("stage {}: ", escape(stage)))
}

fn pace(board: &Board) -> String {
    if board.is_stopping {
        return "; stopping".to_owned();
    }
    if board.paused.is_some() {
        return String::new();
    }
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

fn doing(current: &Current, now: DateTime<Utc>, columns: usize) -> String {
    let Current {
        po,
        attempt,
        since,
        report,
    } = current;
    let seconds = (now - since).num_seconds().max(0) as u64;
    let mut age = format!("  {}", duration(seconds));
    if *attempt > 1 {
        age.push_str(&format!("  attempt {attempt}"));
    }
    let room = columns.saturating_sub(measure_text_width(&age));
    let mut text = shortened(po, room.min(LONGEST_KEY)) + &age;
    if !report.is_empty() {
        let room = 28usize.saturating_sub(measure_text_width(&text));
        text.push_str(&format!("{:room$}  {report}", ""));
    }
    text
}

/// A key with its start and its end, if it has more columns than these.
fn shortened(key: &str, columns: usize) -> String {
    let width = measure_text_width(key);
    if width <= columns {
        return key.to_owned();
    }
    let start = truncate_str(key, columns / 2, "");
    let room = columns.saturating_sub(columns / 2 + 1);
    let mut end = key;
    while measure_text_width(end) > room {
        let mut chars = end.chars();
        chars.next();
        end = chars.as_str();
    }
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use chrono::TimeDelta;

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
        let common = |rows, message: &str| Common {
            rows,
            message: message.to_owned(),
            example: "PO15000030".to_owned(),
        };
        board.commonest = vec![common(12, "exit 1: 404"), common(1, "exit 1: 500")];
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
                "12 × exit 1: 404, e.g. PO15000030",
                "1 × exit 1: 500, e.g. PO15000030",
            ]
        );
        let of_run = lines(&board(), at(10), None, (24, 80));
        assert!(
            of_run.last().unwrap().starts_with("12 × "),
            "what happened once stands above: {of_run:?}"
        );
    }

    #[test]
    fn the_bar_leaves_room_for_the_numbers_in_a_narrow_window() {
        let mut board = board();
        board.counts = serde_json::from_str(
            r#"{"done":445,"errors":0,"no_attachments":0,"other":0,"skipped":0}"#,
        )
        .unwrap();
        assert_eq!(
            lines(&board, at(10), None, (24, 40))[0],
            "███████░ >99 %  445/446; 12/s, 1 s left"
        );
        board.total = 123_456;
        assert!(lines(&board, at(10), None, (24, 40))[0].starts_with("░░░░░░  <1 %  445/"));
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
    fn numbers_that_are_too_wide_are_continued_and_messages_are_cut() {
        let mut board = board();
        let wait = std::time::Duration::from_secs(15);
        board.waits.postponed(wait, false, at(0));
        board.commonest[0].message = "no answer from the server".to_owned();
        let lines = lines(&board, at(10), None, (24, 40));
        assert_eq!(
            lines[1..5],
            [
                "0 done, 0 errors, 0 no attachments,",
                "0 skipped",
                "1 waits for another attempt,",
                "the next in 5 s",
            ]
        );
        let errors = lines.last().unwrap();
        assert_eq!(errors, "12 × no answer from t…, e.g. PO15000030");
    }

    #[test]
    fn a_run_that_stops_waits_for_no_row_and_has_no_rest() {
        let mut board = board();
        let wait = std::time::Duration::from_secs(15);
        board.waits.postponed(wait, false, at(0));
        board.is_stopping = true;
        let counts = "0 done, 0 errors, 0 no attachments, 0 skipped";
        assert_eq!(
            line(&board, at(10)),
            format!("0 of 446: {counts}; stopping")
        );
        let lines = lines(&board, at(10), None, (24, 80));
        assert!(lines[0].ends_with(" 0/446; stopping"), "{lines:?}");
        assert_eq!(lines[1], counts);
        assert!(lines[2].starts_with("  0  "), "{lines:?}");
    }

    #[test]
    fn a_run_that_is_paused_has_no_speed_and_no_rest() {
        let mut board = board();
        board.paused = Some(Paused {
            since: at(0),
            by: "ada".to_owned(),
        });
        let shown = lines(&board, at(10), None, (24, 80));
        assert!(shown[0].ends_with(" 0/446"), "{shown:?}");
        let line = line(&board, at(10));
        assert!(line.contains(" 0 skipped; paused since "), "{line}");
    }

    #[test]
    fn a_key_that_is_too_long_has_its_start_its_end_and_its_age() {
        let mut board = board();
        let key = format!("https://{}/last.pdf", "x".repeat(65));
        board.workers = vec![current(&key, 7, "")];
        for columns in [80, 30] {
            let lines = lines(&board, at(10), None, (24, columns));
            let workers: Vec<_> = lines.iter().filter(|line| line.contains("https")).collect();
            assert!(workers[0].starts_with("  0  https://x"), "{lines:#?}");
            assert!(workers[0].ends_with("t.pdf  3 s"), "{lines:#?}");
        }
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
