//! What a process is sent and what it answers, each a line of JSON (`docs/worker-protocol.md`).
//!
//! An answer counts only for the request whose id it bears. One that bears it and cannot be understood is
//! still the answer: the work was done, and doing it again would not better it. So it is kept as it came,
//! and the process is asked further. A line that somebody began as an object but that bears no id is kept
//! as well; its process is not trusted any more. Any other line is no answer.
//!
//! Of a line that is too long the rest is not read: what is whole before is the answer, and it is malformed.

use serde::ser::SerializeMap;
use serde::{Serialize, Serializer};

use crate::process::retry_after::Asked;
use crate::process::retry_on::TRY_AGAIN;
use crate::process::verdict::{Malformed, too_large};
use crate::run::Ending;
use crate::sheet::{CsvRecord, JsonObject, Updates};
use crate::text::Escaped;

/// How much of what is no answer is quoted.
const EXCERPT_BYTES: usize = 200;

/// What a process is asked: one line of JSON.
#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub(super) id: u64,
    pub(super) po_number: &'a str,
    /// The PO once more, under its general name.
    pub(super) key: &'a str,
    pub(super) attempt: u32,
    pub(super) cells: Cells<'a>,
}

/// The cells of the row; none without a row.
pub(super) struct Cells<'a>(pub(super) Option<&'a CsvRecord>);

impl Serialize for Cells<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> std::result::Result<S::Ok, S::Error> {
        match self.0 {
            Some(record) => record.cells_as_json().serialize(serializer),
            None => serializer.serialize_map(Some(0))?.end(),
        }
    }
}

/// What a process answered.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Done {
        updates: Updates,
        /// What a person should know of it.
        notes: Vec<String>,
    },
    Error {
        message: String,
        /// When to ask again, if that may help.
        again: Option<Asked>,
    },
    /// An answer that cannot be understood.
    Malformed(Malformed),
}

impl Answer {
    /// The exit code with which a command of its own would have said the same.
    pub(super) fn as_exit(&self) -> Ending {
        Ending::Exit(match self {
            Answer::Done { .. } => 0,
            Answer::Error { again: Some(_), .. } => TRY_AGAIN,
            Answer::Error { .. } | Answer::Malformed(_) => 1,
        })
    }
}

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Progress(String),
    Answer(Answer),
}

/// Why a process is not trusted after a line.
#[derive(Debug, PartialEq)]
pub(super) enum Nonsense {
    /// The line is no answer to the request.
    NoAnswer(String),
    /// It is most likely one, but nobody can tell.
    Unreadable(Malformed),
}

impl Nonsense {
    /// For a line, of which this much is known.
    pub(super) fn of(problem: String, line: &[u8]) -> Nonsense {
        match JsonObject::is_begun(line) {
            true => Nonsense::Unreadable(Malformed::new(problem, line)),
            false => Nonsense::NoAnswer(problem),
        }
    }
}

impl Said {
    /// Reads a line in answer to that request.
    pub(super) fn parse(line: &[u8], id: u64) -> std::result::Result<Said, Nonsense> {
        let line = line.trim_ascii_end();
        let (mut object, problem) = JsonObject::read(line);
        if let Some(problem) = problem {
            return Err(no_answer(&problem, line));
        }
        must_answer(&mut object, id, line)?;
        Ok(Said::understood(object).unwrap_or_else(|problem| {
            Said::Answer(Answer::Malformed(Malformed {
                good: Box::new(JsonObject::read(line).0.take_good_updates("updates")),
                ..Malformed::new(problem, line)
            }))
        }))
    }

    /// Whether a line is an answer, to whatever request.
    pub(super) fn is_answer(line: &[u8]) -> bool {
        let (mut object, problem) = JsonObject::read(line.trim_ascii_end());
        problem.is_none()
            && matches!(object.take_text("id"), Ok(Some(_)))
            && matches!(Said::understood(object), Ok(Said::Answer(_)))
    }

    /// Reads the beginning of a line that is too long.
    pub(super) fn parse_beginning(line: &[u8], id: u64) -> std::result::Result<Said, Nonsense> {
        let mut object = JsonObject::read_beginning(line);
        must_answer(&mut object, id, line)?;
        Ok(Said::Answer(Answer::Malformed(Malformed {
            good: Box::new(object.take_good_updates("updates")),
            ..Malformed::new(too_large(line.len() as u64), line)
        })))
    }

    fn understood(mut line: JsonObject) -> std::result::Result<Said, String> {
        let progress = line.take_text("progress")?;
        let updates = line.take_updates("updates")?;
        let error = line.take_error(updates.is_some())?;
        let retryable = match line.take_text("retryable")?.as_deref() {
            None | Some("false") => false,
            Some("true") => true,
            Some(_) => return Err("retryable must be true or false".to_owned()),
        };
        // Anywhere else the two are fields that nobody knows.
        let asked = error.as_ref().map(|_| Asked::in_object(&mut line));
        if let Some(name) = line.other_name() {
            return Err(format!("unknown field `{name}`"));
        }
        match (progress, updates, error) {
            (Some(text), None, None) if !retryable => Ok(Said::Progress(text)),
            (None, Some(updates), None) if !retryable => Ok(Said::Answer(Answer::Done {
                updates,
                notes: line.notes,
            })),
            (None, None, Some(message)) => Ok(Said::Answer(Answer::Error {
                message,
                again: asked.filter(|_| retryable),
            })),
            _ => Err(
                "it has not exactly one of progress, updates, and error with or without retryable"
                    .to_owned(),
            ),
        }
    }
}

/// Refuses what bears another id than that of the request, or none.
fn must_answer(object: &mut JsonObject, id: u64, line: &[u8]) -> std::result::Result<(), Nonsense> {
    match object.take_text("id") {
        Ok(Some(own)) if is_number(&own, id) => Ok(()),
        Ok(Some(other)) => {
            let other = Escaped::text(&other).to_string();
            let problem = format!("answered request {other} instead of {id}");
            Err(Nonsense::NoAnswer(problem))
        }
        Ok(None) => Err(no_answer("missing field `id`", line)),
        Err(problem) => Err(no_answer(&problem, line)),
    }
}

fn no_answer(problem: &str, line: &[u8]) -> Nonsense {
    let (problem, excerpt) = (Escaped::text(problem), excerpt(line));
    Nonsense::of(format!("sent no valid answer ({problem}): {excerpt}"), line)
}

/// Whether a text is this number, as whatever language writes it: 7, 7.0 or 7e0.
fn is_number(text: &str, number: u64) -> bool {
    let is_exact = number <= 1 << f64::MANTISSA_DIGITS;
    text.parse() == Ok(number) || (is_exact && text.parse() == Ok(number as f64))
}

fn excerpt(line: &[u8]) -> String {
    let line = line.trim_ascii_end();
    let is_whole = line.len() <= EXCERPT_BYTES;
    let shown = String::from_utf8_lossy(&line[..line.len().min(EXCERPT_BYTES)]);
    format!(
        "{}{}",
        Escaped::text(&shown),
        if is_whole { "" } else { "…" }
    )
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::process::growth;
    use crate::run::Wait;

    #[track_caller]
    fn check(line: impl AsRef<[u8]>, said: Said) {
        assert_eq!(Said::parse(line.as_ref(), 7), Ok(said));
    }

    /// It is the answer, whatever it says.
    #[track_caller]
    fn check_malformed(line: &str, problem: &str) {
        match Said::parse(line.as_bytes(), 7) {
            Ok(Said::Answer(Answer::Malformed(malformed))) => {
                assert!(malformed.problem.contains(problem), "{malformed:?}");
                assert_eq!(malformed.raw, line.as_bytes());
            }
            said => panic!("{line}: {said:?}"),
        }
    }

    #[track_caller]
    fn check_unreadable(line: &str, problem: &str) {
        match Said::parse(line.as_bytes(), 7) {
            Err(Nonsense::Unreadable(malformed)) => {
                assert!(malformed.problem.contains(problem), "{malformed:?}");
                assert_eq!(malformed.raw, line.as_bytes());
            }
            said => panic!("{line}: {said:?}"),
        }
    }

    #[track_caller]
    fn check_no_answer(line: &str, problem: &str) {
        match Said::parse(line.as_bytes(), 7) {
            Err(Nonsense::NoAnswer(said)) => assert!(said.contains(problem), "{said}"),
            said => panic!("{line}: {said:?}"),
        }
    }

    fn done(updates: Updates, notes: &[&str]) -> Said {
        let notes = notes.iter().map(|note| (*note).to_owned()).collect();
        Said::Answer(Answer::Done { updates, notes })
    }

    fn failed(message: &str, again: Option<Wait>) -> Said {
        let message = message.to_owned();
        let again = again.map(|wait| Asked { wait, note: None });
        Said::Answer(Answer::Error { message, again })
    }

    #[test]
    fn a_line_is_progress_or_updates_or_an_error() {
        check(
            r#"{"id":7,"progress":"2 of 3"}"#,
            Said::Progress("2 of 3".to_owned()),
        );
        check(
            r#"{"updates":{"A":1},"id":"7","error":null}"#,
            done([("A", "1")].into(), &[]),
        );
        check(r#"{"id":7,"error":"404"}"#, failed("404", None));
        check(r#"{"id":7,"error":404}"#, failed("404", None));
        check(
            r#"{"id":7,"error":"503","retryable":true}"#,
            failed("503", Some(Wait::Backoff)),
        );
    }

    #[test]
    fn an_error_that_is_retryable_may_ask_for_a_wait() {
        let seconds = Duration::from_secs;
        check(
            r#"{"id":7,"error":"429","retryable":true,"retry_after":2}"#,
            failed("429", Some(Wait::Row(seconds(2)))),
        );
        check(
            r#"{"id":7,"error":"429","retryable":true,"retry_after":"30","for":"all"}"#,
            failed("429", Some(Wait::Run(seconds(30)))),
        );
        check(
            r#"{"id":7,"error":"404","retry_after":30}"#,
            failed("404", None),
        );
        check_malformed(
            r#"{"id":7,"updates":{},"retry_after":30}"#,
            "unknown field `retry_after`",
        );
    }

    #[test]
    fn an_answer_is_read_as_users_languages_write_it() {
        check(
            b"\xef\xbb\xbf{\"id\":7,\"updates\":{\"A\":\"M\xfcller\",\"B\":\"\\udcfc\",\"C\":1.10}}",
            done(
                [("A", "M\u{fffd}ller"), ("B", "\u{fffd}"), ("C", "1.10")].into(),
                &["what is no Unicode is written as U+FFFD: A, B"],
            ),
        );
        check(
            r#"{"id":7,"updates":{"A":1," a":2}}"#,
            done(
                [("A", "2")].into(),
                &["a is there twice: the last value counts"],
            ),
        );
        check(
            r#"{"id":7,"updates":{"A":1},"updates":{"A":2}}"#,
            done(
                [("A", "2")].into(),
                &["updates is there twice: the last value counts"],
            ),
        );
        check(r#"{"id":7,"error":"\udcfc"}"#, failed("\u{fffd}", None));
    }

    #[test]
    fn an_answer_that_cannot_be_understood_is_kept_as_it_came() {
        for line in [
            r#"{"id":7}"#,
            r#"{"id":7,"updates":{},"error":"x"}"#,
            r#"{"id":7,"updates":{},"progress":"x"}"#,
            r#"{"id":7,"updates":{},"retryable":true}"#,
        ] {
            check_malformed(line, "exactly one of");
        }
        check_malformed(
            r#"{"id":7,"updates":{},"retry":true}"#,
            "unknown field `retry`",
        );
        check_malformed(r#"{"id":7,"updates":{"A":{}}}"#, "the value of \"A\"");
        check_malformed(r#"{"id":7,"error":{}}"#, "error must be a text");
        check_unreadable(r#"{"updates":{}}"#, "missing field `id`");
        check_unreadable(r#"{"id":7,"updates":{"A":"#, "EOF while parsing");
    }

    #[test]
    fn an_id_is_a_number_however_it_is_written() {
        for id in ["7", "\"7\"", "7.0", "7e0", "0.7e1", "\"7.0\""] {
            check(
                format!("{{\"id\":{id},\"error\":\"x\"}}"),
                failed("x", None),
            );
        }
        for id in ["7.5", "70", "6.0", "-7", "\"seven\"", "\"nan\""] {
            check_no_answer(&format!("{{\"id\":{id},\"error\":\"x\"}}"), "instead of 7");
        }
    }

    #[test]
    fn what_answers_nothing_that_was_asked_is_no_answer() {
        check_no_answer(
            r#"{"id":6,"updates":{}}"#,
            "answered request 6 instead of 7",
        );
        check_no_answer("[1]", "sent no valid answer");
        check_no_answer("\u{1b}[2J\n", "\\u{1b}[2J");
        check_no_answer("", "sent no valid answer");
    }

    #[test]
    fn a_long_line_is_quoted_in_part() {
        match Said::parse(&[b'x'; 1000], 7) {
            Err(Nonsense::NoAnswer(said)) => {
                assert!(said.ends_with(&format!("{}…", "x".repeat(EXCERPT_BYTES))));
            }
            said => panic!("{said:?}"),
        }
    }

    #[test]
    fn a_line_costs_as_much_as_it_is_long() {
        growth::check(500, |size| {
            let line = format!("{{\"id\":7,\"updates\":{}}}", growth::cells(size));
            assert!(Said::parse(line.as_bytes(), 7).is_ok());
            let beginning = &line.as_bytes()[..line.len() - 2];
            assert!(Said::parse_beginning(beginning, 7).is_ok());
            let blank = " ".repeat(20 * size);
            assert!(Said::parse(blank.as_bytes(), 7).is_err());
        });
    }
}
