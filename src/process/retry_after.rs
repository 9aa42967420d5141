//! How long a job asks to wait for its next attempt: `retry_after`, and `for` if all are to wait.
//!
//! It is read of an answer that ends an attempt as one to be repeated, and nothing else of that answer is. So
//! nothing is wrong with such an answer: what cannot be understood is said, and the backoff holds.

use std::time::Duration;

use tracing::warn;

use crate::domain::MAX_RETRY_AFTER;
use crate::process::result_lines;
use crate::run::Wait;
use crate::sheet::JsonObject;
use crate::text::{BOM, Escaped, one_line};

/// How many seconds; a decimal number.
pub(super) const RETRY_AFTER: &str = "retry_after";
/// Who waits.
pub(super) const FOR: &str = "for";

/// What an answer asks for, and what a person should know of it.
#[derive(Debug, PartialEq)]
pub(super) struct Asked {
    pub(super) wait: Wait,
    pub(super) note: Option<String>,
}

impl Asked {
    /// Of an answer in a file: an object or lines, whatever else is in it.
    pub(super) fn in_file(bytes: &[u8]) -> Asked {
        if JsonObject::is_begun(bytes) {
            return Asked::in_object(&mut JsonObject::read(bytes).0);
        }
        let text = String::from_utf8_lossy(bytes.strip_prefix(BOM).unwrap_or(bytes));
        let (lines, _) = result_lines::read(&text);
        Asked::of(lines.get(RETRY_AFTER), lines.get(FOR))
    }

    /// Takes it out of an object.
    pub(super) fn in_object(object: &mut JsonObject) -> Asked {
        let mut text = |name| object.take_text(name).unwrap_or_else(Some);
        let (seconds, of) = (text(RETRY_AFTER), text(FOR));
        Asked::of(seconds.as_deref(), of.as_deref())
    }

    fn of(seconds: Option<&str>, of: Option<&str>) -> Asked {
        let Some(seconds) = seconds.filter(|seconds| !seconds.trim().is_empty()) else {
            return Asked::default();
        };
        let Some((wait, mut note)) = duration(seconds) else {
            let seconds = one_line(seconds);
            return Asked {
                note: Some(format!(
                    "{RETRY_AFTER} is no number of seconds, and the backoff is waited: {seconds}"
                )),
                ..Asked::default()
            };
        };
        let wait = match of.map(str::trim) {
            None | Some("") => Wait::Row(wait),
            Some(all) if all.eq_ignore_ascii_case("all") => Wait::Run(wait),
            Some(other) => {
                let other = one_line(other);
                note = Some(format!(
                    "{FOR} can only be all, and this row waits alone: {other}"
                ));
                Wait::Row(wait)
            }
        };
        Asked { wait, note }
    }

    /// Says what is to be known, and tells how long to wait.
    pub(super) fn said(self, po: &str) -> Wait {
        if let Some(note) = self.note {
            warn!(key = %Escaped::name(po), "{note}");
        }
        self.wait
    }
}

impl Default for Asked {
    fn default() -> Self {
        Asked {
            wait: Wait::Backoff,
            note: None,
        }
    }
}

/// So many seconds, and what is to be known of it.
fn duration(seconds: &str) -> Option<(Duration, Option<String>)> {
    let number: f64 = seconds.trim().parse().ok()?;
    let most = MAX_RETRY_AFTER;
    match number {
        _ if !number.is_finite() || number < 0.0 => None,
        _ if number > most.as_secs_f64() => {
            let note = format!("{RETRY_AFTER} is at most {}: {number}", most.as_secs());
            Some((most, Some(note)))
        }
        _ => Some((Duration::from_secs_f64(number), None)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(answer: &str, wait: Wait, note: Option<&str>) {
        let asked = Asked::in_file(answer.as_bytes());
        assert_eq!(
            (asked.wait, asked.note.as_deref()),
            (wait, note),
            "{answer}"
        );
    }

    #[test]
    fn an_object_or_lines_ask_for_seconds() {
        let row = |millis| Wait::Row(Duration::from_millis(millis));
        check("", Wait::Backoff, None);
        check("A=1", Wait::Backoff, None);
        check("{}", Wait::Backoff, None);
        check("retry_after=2", row(2000), None);
        check(" Retry_After = 1.5 \r\nretry_after=0.25\n", row(250), None);
        check("retry_after=0", row(0), None);
        check("retry_after=", Wait::Backoff, None);
        check(r#"{"retry_after":1.5}"#, row(1500), None);
        check(r#"{"retry_after":"30"}"#, row(30_000), None);
        check(r#"{"retry_after":null,"for":"all"}"#, Wait::Backoff, None);
        check("retry_after=86400", row(86_400_000), None);
    }

    #[test]
    fn it_may_be_for_all() {
        let all = Wait::Run(Duration::from_secs(30));
        check("retry_after=30\nfor=all\n", all, None);
        check(r#"{"retry_after":30,"for":"All"}"#, all, None);
        check("for=all", Wait::Backoff, None);
        check(
            "retry_after=30\nfor=us",
            Wait::Row(Duration::from_secs(30)),
            Some("for can only be all, and this row waits alone: us"),
        );
    }

    #[test]
    fn nothing_else_of_the_answer_matters() {
        let row = Wait::Row(Duration::from_secs(5));
        check("nonsense\nretry_after=5\nA<<END\n", row, None);
        check(r#"{"A":{"b":1},"retry_after":5,"C":[1]}"#, row, None);
        check(r#"{"retry_after":5,"A":"#, row, None);
    }

    #[test]
    fn what_is_no_such_number_is_said() {
        for odd in [
            "soon",
            "-1",
            "NaN",
            "inf",
            "1,5",
            "Wed, 21 Oct 2026 07:28:00 GMT",
        ] {
            let note =
                format!("retry_after is no number of seconds, and the backoff is waited: {odd}");
            check(&format!("retry_after={odd}"), Wait::Backoff, Some(&note));
        }
        check(
            r#"{"retry_after":{"seconds":5}}"#,
            Wait::Backoff,
            Some(
                "retry_after is no number of seconds, and the backoff is waited: retry_after must be a text or a number",
            ),
        );
        check(
            "retry_after=100000",
            Wait::Row(MAX_RETRY_AFTER),
            Some("retry_after is at most 86400: 100000"),
        );
    }
}
