//! What becomes of a PO, from what its process said: the exit code, the result and the end of stderr.
//!
//! The rules are in the table at [`RecordCommand`](crate::RecordCommand). Commands and workers share that
//! an answer which cannot be read is kept as it came, and that a shortage of the system is not the PO's
//! failure. What a result may hold is not judged here: no result is refused (`sheet/result.rs`).

use std::borrow::Cow;
use std::ffi::OsStr;
use std::io;
use std::path::PathBuf;

use crate::domain::ProcessingStatus;
use crate::domain::columns::{ERROR_MESSAGE, LAST_PROCESSED, RAW_ANSWER, STATUS, same_column};
use crate::error::Result;
use crate::process::retry_on::TRY_AGAIN;
use crate::process::signals::killed_by;
use crate::run::{Ending, Outcome, Retry, Wait};
use crate::sheet::Updates;
use crate::sys::program::{has_no_interpreter, is_shortage};
use crate::text::{Escaped, error_message};

/// The most bytes of an answer that cannot be read which are kept as `RAW_ANSWER`.
pub(super) const MAX_RAW_BYTES: usize = 1 << 20;

/// An answer that cannot be read.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Malformed {
    /// What is wrong with it.
    pub(super) problem: String,
    /// As it came, as far as it came; empty if there was nothing to keep.
    pub(super) raw: Vec<u8>,
    /// What could be read of it.
    pub(super) good: Box<Updates>,
}

impl Malformed {
    pub(super) fn new(problem: impl Into<String>, raw: &[u8]) -> Malformed {
        Malformed {
            problem: problem.into(),
            raw: raw.to_owned(),
            good: Box::default(),
        }
    }

    /// One that is too large for a line of `….unplaced.csv` is given to `keep`, which tells where it is now.
    pub(super) fn kept(mut self, keep: impl FnOnce(&[u8]) -> Option<Result<PathBuf>>) -> Malformed {
        if self.raw.len() > MAX_RAW_BYTES {
            let beginning = format!("only its first {MAX_RAW_BYTES} bytes are kept");
            let place = match keep(&self.raw) {
                Some(Ok(path)) => format!("it is kept in {}", Escaped::path(&path)),
                Some(Err(error)) => format!("{beginning}: {}", error.chain()),
                None => beginning,
            };
            self.problem = format!("{}; {place}", self.problem);
            self.raw.truncate(MAX_RAW_BYTES);
        }
        self
    }

    /// These updates, and the answer beside the backups.
    pub(super) fn beside(&self, updates: Updates) -> Updates {
        updates.keep_aside(RAW_ANSWER, self.raw())
    }

    fn raw(&self) -> Cow<'_, str> {
        String::from_utf8_lossy(&self.raw)
    }

    /// The ERROR that a PO has because of it. The answer is kept beside the backups.
    pub(super) fn error(&self, what: &str) -> Updates {
        let error = Updates::error(error_message(what, &self.problem));
        and_other_cells(error, &self.good).keep_aside(RAW_ANSWER, self.raw())
    }
}

/// What is wrong with an answer of which no more than so many bytes are read.
pub(super) fn too_large(bytes: u64) -> String {
    format!("it is larger than {bytes} bytes: what is whole in those is written")
}

/// What a command left as its result, if it left one.
pub(super) type Left = std::result::Result<Option<Updates>, Malformed>;

/// What becomes of a PO whose command asks by its exit code for another attempt, after such a wait.
pub(super) fn again(code: i32, stderr: &str, wait: Wait) -> Outcome {
    Outcome::Retry(Retry {
        reason: error_message(&format!("exit {code}"), stderr),
        wait,
    })
}

/// What becomes of a PO whose command has ended, and will not be repeated.
pub(super) fn outcome(ending: Ending, stderr: &str, result: Left) -> Outcome {
    match ending {
        Ending::Exit(TRY_AGAIN) => Outcome::Done(after_kill("exit 75", stderr, result)),
        Ending::Exit(code) => Outcome::Done(after_exit(code, stderr, result)),
        Ending::Signal(number) => Outcome::Done(after_kill(&killed_by(number), stderr, result)),
        Ending::TimedOut(timeout) => Outcome::Done(after_kill(
            &format!("timed out after {timeout:?}"),
            stderr,
            result,
        )),
        Ending::Stopped | Ending::NotStarted(_) | Ending::Unknown => {
            unreachable!("its end was waited for")
        }
    }
}

/// What becomes of a PO whose command was asked to end because the run is to end now, and exited with this code: most
/// likely it failed for that, so only what it had to say before counts.
pub(super) fn after_stop(code: i32, stderr: &str, result: Left) -> Outcome {
    let cells = match result {
        Ok(Some(result)) if result.new_status().is_some() => {
            return Outcome::Done(after_exit(code, stderr, Ok(Some(result))));
        }
        Ok(result) => and_other_cells(Updates::default(), &result.unwrap_or_default()),
        Err(malformed) => and_other_cells(Updates::default(), &malformed.good)
            .keep_aside(RAW_ANSWER, malformed.raw()),
    };
    match cells.is_empty() {
        true => Outcome::Stopped,
        false => Outcome::Done(cells),
    }
}

fn after_exit(code: i32, stderr: &str, result: Left) -> Updates {
    let mut updates = match result {
        Ok(updates) => updates.unwrap_or_default(),
        Err(malformed) => {
            return malformed.error(&match code {
                0 => "invalid TICKOFF_RESULT".to_owned(),
                _ => format!("exit {code}, invalid TICKOFF_RESULT"),
            });
        }
    };
    if updates.new_status().is_none() {
        let status = if code == 0 {
            ProcessingStatus::Completed
        } else {
            ProcessingStatus::Error
        };
        updates = updates.set(STATUS, status.as_str());
    }
    let has_failed = updates
        .new_status()
        .is_some_and(|status| status.is_failure());
    if has_failed && updates.get(ERROR_MESSAGE).is_none() {
        updates = updates.set(
            ERROR_MESSAGE,
            error_message(&format!("exit {code}"), stderr),
        );
    }
    updates
}

fn after_kill(what: &str, stderr: &str, result: Left) -> Updates {
    let killed = Updates::error(error_message(what, stderr));
    match result {
        Ok(result) => and_other_cells(killed, &result.unwrap_or_default()),
        Err(malformed) => {
            and_other_cells(killed, &malformed.good).keep_aside(RAW_ANSWER, malformed.raw())
        }
    }
}

/// These updates, and those cells of a result that do not say what became of its PO.
fn and_other_cells(updates: Updates, result: &Updates) -> Updates {
    let is_decided = |column| {
        [STATUS, ERROR_MESSAGE, LAST_PROCESSED]
            .iter()
            .any(|own| same_column(own, column))
    };
    let others = result.iter().filter(|(column, _)| !is_decided(column));
    others.fold(updates, |updates, (column, value)| {
        updates.set(column, value)
    })
}

/// What becomes of a PO whose process could not be started. A shortage passes, so it is not the PO's failure.
pub(super) fn not_started(program: &OsStr, error: &io::Error) -> Outcome {
    let hint = match has_no_interpreter(error) {
        true => " (a script needs a first line like #!/bin/sh)",
        false => "",
    };
    let message = error_message(
        "cannot start",
        &format!("{}: {error}{hint}", program.display()),
    );
    match is_shortage(error) {
        true => Outcome::Retry(message.into()),
        false => Outcome::Done(Updates::error(message)),
    }
}

/// What becomes of a PO for whose output no file could be had, for something that is in its place.
pub(super) fn not_kept(error: &io::Error) -> Outcome {
    let message = error_message("cannot keep its output", &error.to_string());
    Outcome::Done(Updates::error(message))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::sample::{check_error, check_shell, run, shell};

    #[test]
    fn the_exit_code_decides() {
        check_shell("exit 0", &[("STATUS", "COMPLETED")]);
        check_error("exit 3", "exit 3");
        check_error(
            "echo; echo no such order >&2; exit 1",
            "exit 1: no such order",
        );
        check_error("kill -9 $$", "killed by signal 9 (SIGKILL)");
        check_error(
            "echo ouch >&2; kill -SEGV $$",
            "killed by signal 11 (SIGSEGV): ouch",
        );
        assert_eq!(
            run(&shell("echo later >&2; exit 75")),
            Outcome::Retry("exit 75: later".into())
        );
    }

    #[track_caller]
    fn check_with(json: &str, and_then: &str, want: &[(&str, &str)]) {
        check_shell(
            &format!("printf '%s' '{json}' > $TICKOFF_RESULT; {and_then}"),
            want,
        );
    }

    #[test]
    fn the_results_status_wins_over_an_exit() {
        check_with(
            r#"{"STATUS":"NO_ATTACHMENTS","ATTACHMENTS_FOUND":0}"#,
            "exit 3",
            &[("STATUS", "NO_ATTACHMENTS"), ("ATTACHMENTS_FOUND", "0")],
        );
        check_with(
            r#"{"status":"ERROR"}"#,
            "echo no >&2",
            &[("status", "ERROR"), ("ERROR_MESSAGE", "exit 0: no")],
        );
        check_with(
            r#"{"error_message":"mine"}"#,
            "echo no >&2; exit 3",
            &[("error_message", "mine"), ("STATUS", "ERROR")],
        );
    }

    #[test]
    fn the_results_status_does_not_win_over_75_or_a_signal() {
        let result = r#"{"STATUS":"COMPLETED","ERROR_MESSAGE":"","SUPPLIER":"Acme"}"#;
        let killed = "killed by signal 15 (SIGTERM)";
        check_with(
            result,
            "kill $$",
            &[
                ("STATUS", "ERROR"),
                ("ERROR_MESSAGE", killed),
                ("SUPPLIER", "Acme"),
            ],
        );
        check_with(
            "{\"SUPP",
            "kill $$",
            &[("STATUS", "ERROR"), ("ERROR_MESSAGE", killed)],
        );
        let later = shell(&format!(
            "printf '%s' '{result}' > $TICKOFF_RESULT; exit 75"
        ));
        assert_eq!(run(&later), Outcome::Retry("exit 75".into()));
    }

    #[test]
    fn an_invalid_result_is_an_error_that_says_so() {
        let check = |json: &str, problem: &str| {
            let message = format!("invalid TICKOFF_RESULT: {problem}");
            check_with(
                json,
                "exit 0",
                &[("STATUS", "ERROR"), ("ERROR_MESSAGE", &message)],
            );
            let message = format!("exit 3, {message}");
            check_with(
                json,
                "exit 3",
                &[("STATUS", "ERROR"), ("ERROR_MESSAGE", &message)],
            );
        };
        let no_object = "it is not a JSON object of cells:";
        check(
            "{",
            &format!("{no_object} EOF while parsing an object at line 1 column 1"),
        );
        check(
            r#"{"x":1} 2"#,
            &format!("{no_object} trailing characters at line 1 column 9"),
        );
        check(
            "[]",
            "it is no JSON object, and line 1 is no NAME=value or NAME<<MARK",
        );
    }

    #[test]
    fn a_shortage_is_no_failure_of_the_po() {
        let shortage = io::Error::from_raw_os_error(libc::EAGAIN);
        let outcome = not_started("x".as_ref(), &shortage);
        assert!(
            matches!(outcome, Outcome::Retry(retry) if retry.reason.starts_with("cannot start: x: "))
        );
    }
}
