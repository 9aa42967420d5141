//! What a process is sent and what it answers, each a line of JSON (`docs/worker-protocol.md`).
//!
//! An answer counts only for the request whose id it bears; a line that is anything but one of the
//! messages there is refused whole, with the reason.

use serde::{Deserialize, Serialize, Serializer};

use crate::process::verdict::TRY_AGAIN;
use crate::run::Ending;
use crate::sheet::{CsvRecord, Updates};
use crate::text::Escaped;

/// How much of what is no answer is quoted.
const EXCERPT_BYTES: usize = 200;

/// What a process is asked: one line of JSON.
#[derive(Serialize)]
pub(super) struct Request<'a> {
    pub(super) id: u64,
    pub(super) po_number: &'a str,
    pub(super) attempt: u32,
    #[serde(serialize_with = "object_of_cells")]
    pub(super) cells: Option<&'a CsvRecord>,
}

fn object_of_cells<S: Serializer>(
    record: &Option<&CsvRecord>,
    serializer: S,
) -> std::result::Result<S::Ok, S::Error> {
    serializer.collect_map(record.iter().flat_map(|record| record.cells()))
}

/// A line of a process.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Line {
    id: u64,
    progress: Option<String>,
    updates: Option<Updates>,
    error: Option<String>,
    #[serde(default)]
    retryable: bool,
}

/// What a process answered.
#[derive(Debug, PartialEq)]
pub(super) enum Answer {
    Done(Updates),
    Error { message: String, retryable: bool },
}

impl Answer {
    /// The exit code with which a command of its own would have said the same.
    pub(super) fn as_exit(&self) -> Ending {
        Ending::Exit(match self {
            Answer::Done(_) => 0,
            Answer::Error {
                retryable: true, ..
            } => TRY_AGAIN,
            Answer::Error { .. } => 1,
        })
    }
}

/// What a line says.
#[derive(Debug, PartialEq)]
pub(super) enum Said {
    Progress(String),
    Answer(Answer),
}

impl Said {
    /// Reads a line in answer to that request, or says what is wrong with it.
    pub(super) fn parse(line: &[u8], id: u64) -> std::result::Result<Said, String> {
        let line: Line = serde_json::from_slice(line).map_err(|problem| {
            let problem = problem.to_string();
            format!(
                "sent no valid answer ({}): {}",
                Escaped::text(&problem),
                excerpt(line)
            )
        })?;
        if line.id != id {
            return Err(format!("answered request {} instead of {id}", line.id));
        }
        match (line.progress, line.updates, line.error) {
            (Some(text), None, None) => Ok(Said::Progress(text)),
            (None, Some(updates), None) if !line.retryable => {
                Ok(Said::Answer(Answer::Done(updates)))
            }
            (None, None, Some(message)) => Ok(Said::Answer(Answer::Error {
                message,
                retryable: line.retryable,
            })),
            _ => Err(
                "sent an answer that has not exactly one of progress, updates, and error with or without retryable"
                    .to_owned(),
            ),
        }
    }
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
    use super::*;

    #[track_caller]
    fn check(line: &str, said: Said) {
        assert_eq!(Said::parse(line.as_bytes(), 7), Ok(said), "{line}");
    }

    #[track_caller]
    fn check_refused(line: &str, problem: &str) {
        let refused = Said::parse(line.as_bytes(), 7).unwrap_err();
        assert!(refused.contains(problem), "{line}: {refused}");
    }

    fn failed(message: &str, retryable: bool) -> Said {
        let message = message.to_owned();
        Said::Answer(Answer::Error { message, retryable })
    }

    #[test]
    fn a_line_is_progress_or_updates_or_an_error() {
        check(
            r#"{"id":7,"progress":"2 of 3"}"#,
            Said::Progress("2 of 3".to_owned()),
        );
        check(
            r#"{"updates":{"A":1},"id":7}"#,
            Said::Answer(Answer::Done([("A", "1")].into())),
        );
        check(r#"{"id":7,"error":"404"}"#, failed("404", false));
        check(
            r#"{"id":7,"error":"503","retryable":true}"#,
            failed("503", true),
        );
    }

    #[test]
    fn what_is_none_of_them_or_more_than_one_is_refused() {
        for line in [
            r#"{"id":7}"#,
            r#"{"id":7,"updates":{},"error":"x"}"#,
            r#"{"id":7,"updates":{},"progress":"x"}"#,
            r#"{"id":7,"updates":{},"retryable":true}"#,
        ] {
            check_refused(line, "exactly one of");
        }
        check_refused(
            r#"{"id":7,"updates":{},"retry":true}"#,
            "unknown field `retry`",
        );
        check_refused(r#"{"updates":{}}"#, "missing field `id`");
        check_refused(
            r#"{"id":6,"updates":{}}"#,
            "answered request 6 instead of 7",
        );
        check_refused("[1]", "sent no valid answer");
        check_refused("\u{1b}[2J\n", "\\u{1b}[2J");
        check_refused("", "sent no valid answer");
    }

    #[test]
    fn a_long_line_is_quoted_in_part() {
        let refused = Said::parse(&[b'x'; 1000], 7).unwrap_err();
        assert!(refused.ends_with(&format!("{}…", "x".repeat(EXCERPT_BYTES))));
    }
}
