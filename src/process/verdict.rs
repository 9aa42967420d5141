//! What becomes of a PO, from what its process said: the exit code, the result and the end of stderr.
//!
//! The rules are in the table at [`RecordCommand`](crate::RecordCommand). Commands and workers share
//! what a result may hold, and that a shortage of the system is not the PO's failure.

use std::ffi::OsStr;
use std::io;

use crate::domain::columns::{COLUMNS, ERROR_MESSAGE, LAST_PROCESSED, STATUS, same_column};
use crate::domain::{InvalidValue, ProcessingStatus};
use crate::error::Error;
use crate::process::signals::killed_by;
use crate::run::{Ending, Outcome};
use crate::sheet::Updates;
use crate::sys::program::{has_no_interpreter, is_shortage};
use crate::text::error_message;

/// The exit code with which a command asks to be tried again: EX_TEMPFAIL of sysexits.h.
pub(super) const TRY_AGAIN: i32 = 75;

/// What becomes of a PO whose command has ended.
pub(super) fn outcome(
    ending: Ending,
    stderr: &str,
    result: std::result::Result<Option<Updates>, String>,
) -> Outcome {
    match ending {
        Ending::Stopped => Outcome::Stopped,
        Ending::Exit(TRY_AGAIN) => Outcome::Retry(error_message("exit 75", stderr)),
        Ending::Exit(code) => Outcome::Done(after_exit(code, stderr, result)),
        Ending::Signal(number) => Outcome::Done(after_kill(&killed_by(number), stderr, result)),
        Ending::TimedOut(timeout) => Outcome::Done(after_kill(
            &format!("timed out after {timeout:?}"),
            stderr,
            result,
        )),
        Ending::NotStarted(_) | Ending::Unknown => unreachable!("its end was waited for"),
    }
}

fn after_exit(
    code: i32,
    stderr: &str,
    result: std::result::Result<Option<Updates>, String>,
) -> Updates {
    let mut updates = match result {
        Ok(updates) => updates.unwrap_or_default(),
        Err(problem) => {
            let what = match code {
                0 => "invalid TICKOFF_RESULT".to_owned(),
                _ => format!("exit {code}, invalid TICKOFF_RESULT"),
            };
            return Updates::error(error_message(&what, &problem));
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
    if updates.new_status() == Some(ProcessingStatus::Error) && updates.get(ERROR_MESSAGE).is_none()
    {
        updates = updates.set(
            ERROR_MESSAGE,
            error_message(&format!("exit {code}"), stderr),
        );
    }
    updates
}

fn after_kill(
    what: &str,
    stderr: &str,
    result: std::result::Result<Option<Updates>, String>,
) -> Updates {
    let decided = |column| {
        [STATUS, ERROR_MESSAGE, LAST_PROCESSED]
            .iter()
            .any(|own| same_column(own, column))
    };
    let result = result.ok().flatten().unwrap_or_default();
    let others = result.iter().filter(|(column, _)| !decided(column));
    others.fold(
        Updates::error(error_message(what, stderr)),
        |updates, (column, value)| updates.set(column, value),
    )
}

/// What becomes of a PO whose process could not be started.
pub(super) fn not_started(program: &OsStr, error: &io::Error) -> Outcome {
    let hint = match has_no_interpreter(error) {
        true => " (a script needs a first line like #!/bin/sh)",
        false => "",
    };
    let message = error_message(
        "cannot start",
        &format!("{}: {error}{hint}", program.display()),
    );
    failed_before_it_began(error, message)
}

/// What becomes of a PO for whose output no file could be had.
pub(super) fn not_kept(error: &io::Error) -> Outcome {
    failed_before_it_began(
        error,
        error_message("cannot keep its output", &error.to_string()),
    )
}

/// A shortage passes, so it is not the PO's failure.
fn failed_before_it_began(error: &io::Error, message: String) -> Outcome {
    match is_shortage(error) {
        true => Outcome::Retry(message),
        false => Outcome::Done(Updates::error(message)),
    }
}

/// Refuses a result that a sheet with these columns would refuse, or that is none.
pub(super) fn check_result(
    columns: &[String],
    key: &str,
    po: &str,
    updates: Updates,
) -> std::result::Result<Updates, String> {
    updates.validate(po).map_err(|error| error.to_string())?;
    for (column, _) in updates.iter() {
        if same_column(column, key) {
            let (po, column) = (po.to_owned(), column.to_owned());
            return Err(Error::InvalidValue {
                po,
                column,
                reason: InvalidValue::Key,
            }
            .to_string());
        }
        if !columns
            .iter()
            .map(String::as_str)
            .chain(COLUMNS)
            .any(|known| same_column(known, column))
        {
            return Err(Error::unknown_column(column, columns, &COLUMNS).to_string());
        }
    }
    if updates.new_status() == Some(ProcessingStatus::Pending) {
        return Err("STATUS must be COMPLETED, ERROR or NO_ATTACHMENTS".to_owned());
    }
    Ok(updates)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::sample::{COLUMNS_OF_SHEET, check_error, check_shell, run, shell};

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
            "",
            &format!("{no_object} EOF while parsing a value at line 1 column 0"),
        );
        check(
            r#"{"x":1} 2"#,
            &format!("{no_object} trailing characters at line 1 column 9"),
        );
        check(
            "[]",
            &format!("{no_object} invalid type: sequence, expected a map at line 1 column 0"),
        );
        let columns = COLUMNS_OF_SHEET.join(", ");
        check(
            r#"{"Colour":"red"}"#,
            &format!("no column Colour in the sheet, which has {columns}"),
        );
        check(
            r#"{"STATUS":"done"}"#,
            "P1: STATUS must be PENDING, COMPLETED, ERROR or NO_ATTACHMENTS, not done",
        );
        check(
            r#"{"STATUS":"pending"}"#,
            "STATUS must be COMPLETED, ERROR or NO_ATTACHMENTS",
        );
        check(
            r#"{"SUPPLIER":"a\u0000"}"#,
            "P1: SUPPLIER may not hold a NUL byte",
        );
        check(
            r#"{"po_number":"P1"}"#,
            "P1: po_number is the key column, which no update may change",
        );
    }

    #[test]
    fn a_shortage_is_no_failure_of_the_po() {
        let shortage = io::Error::from_raw_os_error(libc::EAGAIN);
        let outcome = not_started("x".as_ref(), &shortage);
        assert!(
            matches!(outcome, Outcome::Retry(message) if message.starts_with("cannot start: x: "))
        );
    }
}
