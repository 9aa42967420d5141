//! One external command per record.
//!
//! This file owns the guarantee that a row's outcome is what *its own* process said, and that no
//! process of a row that timed out or was broken off is left running. The attempt's result file has a
//! name of its own (`result_file`), the command leads a group of its own (`group`, `running`), and the
//! rules by which both become an outcome lie in one place (`verdict`).
//!
//! A command that cannot be killed holds its worker until it ends.

use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tracing::warn;

use crate::backup::BackupManager;
use crate::domain::Stage;
use crate::error::Result;
use crate::process::kept_output::{Files, KeptOutput};
use crate::process::large_answers::LargeAnswers;
use crate::process::orphans::{Adopted, Orphans};
use crate::process::printing::{Printer, Printing, Stream, has_room_in_time};
use crate::process::program::{Broken, CannotRun, exit_code};
use crate::process::result_file::{NO_UNICODE, ResultFile, ResultFiles};
use crate::process::retry_after::{FOR, RETRY_AFTER};
use crate::process::retry_on::RetryOn;
use crate::process::running::{Ended, Places, Running};
use crate::process::shortage::despite_shortage;
use crate::process::signals::{heed_children, interrupt_us, is_interrupted, is_of_the_stop};
use crate::process::template::CommandTemplate;
use crate::process::verdict::{Left, Malformed, after_stop, again, not_kept, not_started, outcome};
use crate::run::ending::Start;
use crate::run::{Ending, Job, Outcome, StopLevel};
use crate::sheet::Updates;
use crate::text::{Escaped, error_message};

const RESULT_FOLDER: &str = "a folder for results";
const OUTPUT_FILES: &str = "files for what commands say";

/// Runs a command for each record.
///
/// The command has an empty stdin, the program's own stdout unless its output is printed, kept in files or goes to
/// a cell, and in its environment:
///
/// | variable | value |
/// |---|---|
/// | `TICKOFF_KEY`, `TICKOFF_PO` | the row's key |
/// | `TICKOFF_SESSION` | the session |
/// | `TICKOFF_WORKER` | the worker's number, from 0 |
/// | `TICKOFF_ATTEMPT` | the attempt's number, from 1 |
/// | `TICKOFF_STAGE` | the stage's name; not there in the main stage |
/// | `TICKOFF_RESULT` | a file that does not exist yet, in a folder only the user can enter |
///
/// What it says counts as follows; "message" is the end of its stderr in one line, escaped, line
/// breaks shown as ` | `, at most [`MAX_ERROR_CHARS`](crate::MAX_ERROR_CHARS) characters.
///
/// | it | the row | what it left in `TICKOFF_RESULT` |
/// |---|---|---|
/// | exits with 0 | COMPLETED | is written; its STATUS wins |
/// | exits with 75, or a code of [`retry_on`](RecordCommand::retry_on) | is tried again later | only `retry_after` and `for` are read |
/// | exits with 75, the last time | ERROR, `exit 75: message` | is written except STATUS, ERROR_MESSAGE, LAST_PROCESSED |
/// | exits with another code | ERROR, `exit 3: message` | is written; its STATUS and ERROR_MESSAGE win |
/// | is killed by a signal | ERROR, `killed by signal 9 (SIGKILL): message` | the same |
/// | exceeds the timeout | ERROR, `timed out after 5s: message` | the same |
/// | is broken off by [`StopLevel::Now`](crate::StopLevel::Now), or from outside while the run stops, and is killed | keeps its state | is ignored |
/// | the same, and exits with 0 | COMPLETED | is written; its STATUS wins |
/// | the same, and exits with another code, from outside with that of a signal | keeps its state, unless the result has a STATUS | is written, but after 75 or a code of `retry_on` |
/// | cannot be started | keeps its state, and the run ends ([`cannot_run`](RecordCommand::cannot_run)); ERROR, `cannot start …`, if the program's name comes from a placeholder or its arguments are too long | – |
/// | cannot be started, or has no place for its result or output, because the system is short of processes, memory, descriptors or room, or the program is being written | waits for its start; keeps its state if the run is stopped meanwhile | – |
/// | has no place for its result or output, nor has another | keeps its state, and the run ends | – |
/// | has no place for its output, for what is there under its own name | ERROR, `cannot keep its output …` | – |
///
/// That is a JSON object if its first byte but for blanks is `{`, or else lines: `NAME=value`, or `NAME<<MARK`
/// and the lines of the value up to `MARK`. An ERROR that it gives without an ERROR_MESSAGE gets
/// `exit 0: message`.
///
/// `retry_after` is after how many seconds it is tried again, instead of the pool's backoff, at most
/// [`MAX_RETRY_AFTER`](crate::MAX_RETRY_AFTER); with `for` as `all` the run starts nothing else either until
/// then. Of a command that exits with such a code the two are no cells, the last time neither.
///
/// Where it counts and is neither, is larger than [`MAX_RESULT_BYTES`](crate::MAX_RESULT_BYTES), is not in a
/// regular file, or the folder for it was removed while the command ran, the row becomes ERROR with that
/// reason, the lines that can be read are written, of one that is too large the cells that can be read, and the answer
/// is kept beside the backups, in the column `RAW_ANSWER` of `….unplaced.csv`, of more than 1 MiB its beginning (see
/// [`keep_large_answers`](RecordCommand::keep_large_answers)); so is one of a killed command. What a result may hold is said at
/// [`WriteQueue::submit_result`](crate::WriteQueue::submit_result).
pub struct RecordCommand {
    template: CommandTemplate,
    session_id: String,
    stage: Stage,
    timeout: Option<Duration>,
    output: Option<KeptOutput>,
    printer: Option<Arc<dyn Printer>>,
    stdout_to: Option<String>,
    large_answers: Option<LargeAnswers>,
    retry_on: RetryOn,
    adopted: Option<Arc<Adopted>>,
    is_on_terminal: bool,
    broken: Broken,
    pub(super) results: ResultFiles,
}

impl RecordCommand {
    /// Prepares to run the command, without a timeout.
    ///
    /// If this process inherited an ignored SIGCHLD it gets an empty handler for it: the system
    /// would otherwise throw away the exit codes of its children.
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when no private folder can be made for the result files.
    pub fn new(template: CommandTemplate, session_id: &str) -> Result<Self> {
        let results = ResultFiles::new()?;
        heed_children()?;
        Ok(RecordCommand {
            template,
            session_id: session_id.to_owned(),
            stage: Stage::default(),
            timeout: None,
            output: None,
            printer: None,
            stdout_to: None,
            large_answers: None,
            retry_on: RetryOn::default(),
            adopted: None,
            is_on_terminal: false,
            broken: Broken::default(),
            results,
        })
    }

    /// For which stage the command works: the main one. In its result STATUS is the stage's.
    pub fn stage(mut self, stage: &Stage) -> Self {
        self.stage = stage.clone();
        self
    }

    /// How long one attempt may take before its processes get SIGTERM, and after [`GRACE`](crate::GRACE) SIGKILL.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Keeps what the command says, instead of its stdout being the program's own.
    pub fn keep_output(mut self, output: KeptOutput) -> Self {
        self.output = Some(output);
        self
    }

    /// Hands what the command says on stdout and stderr to a printer, instead of its stdout being the program's
    /// own; not its stdout if that goes to [a cell](RecordCommand::stdout_to). While the printer has no room, no
    /// command is started, and those that print wait.
    pub fn print_to(mut self, printer: Arc<dyn Printer>) -> Self {
        self.printer = Some(printer);
        self
    }

    /// Takes what the command says on stdout for the cell of a column, instead of its stdout being the
    /// program's own: without the line ends at its end, and whatever becomes of the row, if it has a result.
    /// A command that fails and says nothing leaves the cell as it is.
    /// What the command leaves in `TICKOFF_RESULT` for that column counts instead.
    pub fn stdout_to(mut self, column: &str) -> Self {
        self.stdout_to = Some(column.to_owned());
        self
    }

    /// Keeps all of a large answer that is not one, or larger than [`MAX_RESULT_BYTES`](crate::MAX_RESULT_BYTES),
    /// beside these backups, instead of its beginning alone.
    pub fn keep_large_answers(mut self, backups: BackupManager) -> Self {
        self.large_answers = Some(LargeAnswers::beside(backups, &self.session_id));
        self
    }

    /// With which exit codes the command asks to be tried again, beside 75.
    pub fn retry_on(mut self, codes: RetryOn) -> Self {
        self.retry_on = codes;
        self
    }

    /// Finds what left a command's process group, to end it with the command, instead of the group and the
    /// descendants alone.
    pub fn orphans(mut self, orphans: &Orphans) -> Self {
        self.adopted = Some(orphans.share());
        self
    }

    /// Gives a command the terminal of this process, as a shell does, and its stdin, and stdout and stderr as far as they
    /// are not kept. What Ctrl-C does to it is done to this process as well. For one worker.
    pub fn on_terminal(mut self) -> Self {
        self.is_on_terminal = true;
        self
    }

    /// Why no command can be started, if that has ended the run.
    pub fn cannot_run(&self) -> Option<&CannotRun> {
        self.broken.reason()
    }

    /// Runs the command for one attempt at one row and says what became of it.
    pub fn run(&self, job: &Job<'_>) -> Outcome {
        if job.stop.level() == StopLevel::Now || !has_room_in_time(self.printer.as_ref(), job.stop)
        {
            return Outcome::Stopped;
        }
        let start = Start::now();
        let what = || format!("{RESULT_FOLDER} cannot be made");
        let result_file = match despite_shortage(what, job.stop, || self.results.next()) {
            Ok(Some(result_file)) => result_file,
            Ok(None) => return Outcome::Stopped,
            Err(error) => {
                job.process_ended(&start.ended(Ending::NotStarted(126)));
                return self.no_place(RESULT_FOLDER, &std::env::temp_dir(), &error, job);
            }
        };
        let mut command = self.template.command(job, &self.stage);
        command
            .env("TICKOFF_PO", job.po)
            .env("TICKOFF_KEY", job.po)
            .env("TICKOFF_SESSION", &self.session_id)
            .env("TICKOFF_WORKER", job.worker.to_string())
            .env("TICKOFF_ATTEMPT", job.attempt.to_string())
            .env("TICKOFF_RESULT", result_file.path());
        if self.is_on_terminal {
            command.on_our_terminal();
        }
        let what = || format!("{OUTPUT_FILES} cannot be made");
        let kept = self.output.as_ref();
        let files = kept.map(|output| despite_shortage(what, job.stop, || output.files(job.po)));
        let (stdout, stderr) = match files.transpose() {
            Ok(Some(None)) => return Outcome::Stopped,
            Ok(files) => self.places(files.flatten(), job),
            Err(error) => {
                job.process_ended(&start.ended(Ending::NotStarted(126)));
                return match kept.filter(|output| !output.is_of_the_po(job.po, &error)) {
                    Some(output) => self.no_place(OUTPUT_FILES, output.folder(), &error, job),
                    None => not_kept(&error),
                };
            }
        };
        let is_stdout_wanted = self.stdout_to.is_some();
        let running = match Running::spawn(
            &mut command,
            stdout,
            stderr,
            is_stdout_wanted,
            self.adopted.as_ref(),
            job.stop,
        ) {
            Ok(Some(running)) => running,
            Ok(None) => return Outcome::Stopped,
            Err(error) => {
                let code = exit_code(&error).unwrap_or(126);
                job.process_ended(&start.ended(Ending::NotStarted(code.into())));
                return match self.template.why_not(&error) {
                    Some(reason) => self.broken.end_run(reason, job.stop),
                    None => not_started(command.program(), &error),
                };
            }
        };
        let waited = running.wait(job.po, self.timeout, job.stop);
        let ending = waited
            .as_ref()
            .map_or(Ending::Unknown, |ended| ended.ending);
        job.process_ended(&start.ended(ending));
        if self.is_on_terminal && is_interrupted(ending) {
            interrupt_us(job.stop);
        }
        let handles_signals = waited.as_ref().is_ok_and(|ended| ended.handles_signals);
        let is_of_the_stop = is_of_the_stop(ending, handles_signals, job.stop);
        match waited {
            Ok(ended) => {
                let asks_again = match ended.ending {
                    Ending::Exit(code) => Some(code).filter(|code| self.retry_on.contains(*code)),
                    _ => None,
                };
                if is_of_the_stop || ended.was_stopped && ended.ending != Ending::Exit(0) {
                    return match (ended.ending, asks_again) {
                        (Ending::Exit(code), None) => {
                            let left = in_general(self.take(result_file, job), &self.stage);
                            after_stop(code, &ended.stderr, left)
                        }
                        _ => Outcome::Stopped,
                    };
                }
                if let Some(code) = asks_again.filter(|_| !job.is_last) {
                    return again(code, &ended.stderr, result_file.take_wait(job.po));
                }
                let mut left = in_general(self.take(result_file, job), &self.stage);
                if asks_again.is_some() {
                    left = without_wait(left);
                }
                let outcome = outcome(ended.ending, &ended.stderr, left);
                self.with_stdout(outcome, &ended, job.po)
            }
            Err(error) => {
                let message =
                    error_message("cannot tell how the command ended", &error.to_string());
                Outcome::Done(Updates::error(message))
            }
        }
    }

    /// Ends the run: no other row would have a place for that either.
    fn no_place(
        &self,
        what: &'static str,
        folder: &Path,
        error: &io::Error,
        job: &Job<'_>,
    ) -> Outcome {
        let reason = CannotRun::NoPlace {
            what,
            folder: folder.to_owned(),
            error: error.to_string(),
        };
        self.broken.end_run(reason, job.stop)
    }

    /// Where what the command says on stdout and stderr goes.
    fn places(&self, files: Option<Files>, job: &Job<'_>) -> (Places, Places) {
        let printing = |stream| {
            let printer = self.printer.as_ref();
            printer.map(|printer| Printing::of(printer, job.worker, Some(job.po), stream))
        };
        let (stdout, stderr) = files.map(|files| (files.stdout, files.stderr)).unzip();
        let stdout = Places {
            kept: stdout,
            printed: printing(Stream::Stdout).filter(|_| self.stdout_to.is_none()),
        };
        let stderr = Places {
            kept: stderr,
            printed: printing(Stream::Stderr),
        };
        (stdout, stderr)
    }

    fn take(&self, result_file: ResultFile, job: &Job<'_>) -> Left {
        match &self.large_answers {
            Some(large) => {
                result_file.take(job.po, Some(&|answer| large.keep(answer, job.po, job.stop)))
            }
            None => result_file.take(job.po, None),
        }
    }

    /// The outcome with what the command said on stdout, if that is wanted. A failure that said nothing is no
    /// word about the cell.
    fn with_stdout(&self, outcome: Outcome, ended: &Ended, po: &str) -> Outcome {
        match (outcome, &self.stdout_to) {
            (Outcome::Done(updates), Some(column)) if updates.get(column).is_none() => {
                let (text, is_odd) = ended.stdout.text();
                let status = updates.new_status();
                let has_failed = ended.ending != Ending::Exit(0)
                    || status.is_some_and(|status| status.is_failure());
                if text.is_empty() && has_failed {
                    return Outcome::Done(updates);
                }
                if is_odd {
                    let (key, column) = (Escaped::name(po), Escaped::name(column));
                    warn!(%key, %column, "{NO_UNICODE}");
                }
                Outcome::Done(updates.set(column, text))
            }
            (outcome, _) => outcome,
        }
    }
}

/// A result with the columns of the stage's state under their general names.
fn in_general(left: Left, stage: &Stage) -> Left {
    with_cells(left, |cells| cells.in_general(stage))
}

/// A result without the wait that it asks for: that is no cell, also where no attempt follows.
fn without_wait(left: Left) -> Left {
    with_cells(left, |cells| match cells.get(RETRY_AFTER) {
        Some(_) => cells.without(RETRY_AFTER).without(FOR),
        None => cells,
    })
}

fn with_cells(left: Left, change: impl FnOnce(Updates) -> Updates) -> Left {
    match left {
        Ok(result) => Ok(result.map(change)),
        Err(malformed) => Err(Malformed {
            good: Box::new(change(*malformed.good)),
            ..malformed
        }),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::process::sample::{check, check_shell, command, job, shell};
    use crate::run::Stop;

    #[test]
    fn the_command_has_an_environment_and_no_input() {
        check_shell(
            r#"[ -z "$(cat)" ] && printf '{"SUPPLIER":"%s"}' "$TICKOFF_PO $TICKOFF_SESSION $TICKOFF_WORKER $TICKOFF_ATTEMPT" > "$TICKOFF_RESULT""#,
            &[("SUPPLIER", "P1 s1 1 2"), ("STATUS", "COMPLETED")],
        );
    }

    #[test]
    fn the_result_file_is_private_and_does_not_outlive_the_run() {
        let shell = shell(
            r#"[ ! -e "$TICKOFF_RESULT" ] && printf '{"SUPPLIER":"%s"}' "$(stat -c %a "${TICKOFF_RESULT%/*}")" > "$TICKOFF_RESULT""#,
        );
        check(&shell, &[("SUPPLIER", "700"), ("STATUS", "COMPLETED")]);
        let folder = shell.results.folder();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        drop(shell);
        assert!(!folder.exists());
    }

    #[test]
    fn nothing_is_started_after_a_hard_stop() {
        let stop = Stop::new();
        stop.now();
        let never = command(&["no such program"]);
        assert_eq!(never.run(&job("P1", &stop)), Outcome::Stopped);
    }

    #[test]
    fn a_program_that_a_row_names_and_cannot_be_started_is_an_error_of_the_row() {
        let message = "cannot start: /no\\u{1b}/P1: No such file or directory (os error 2)";
        let named = command(&["/no\u{1b}/{}"]);
        check(&named, &[("STATUS", "ERROR"), ("ERROR_MESSAGE", message)]);
        assert_eq!(named.cannot_run(), None);
    }

    #[test]
    fn a_program_that_cannot_be_started_for_any_row_ends_the_run() {
        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "#!/bin/sh\n").unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let script = command(&[script.to_str().unwrap(), "{}"]);
        check(&script, &[("STATUS", "COMPLETED")]);
        folder.close().unwrap();
        let stop = Stop::new();
        for _ in 0..2 {
            assert_eq!(script.run(&job("P1", &stop)), Outcome::Stopped);
        }
        assert_eq!(stop.level(), StopLevel::Soon);
        assert_eq!(script.cannot_run().unwrap().exit_code(), 127);
    }

    #[test]
    fn a_program_that_is_being_written_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("program");
        fs::copy("/bin/true", &program).unwrap();
        let command = command(&[program.to_str().unwrap()]);
        let write = || fs::File::options().append(true).open(&program).unwrap();

        let writing = write();
        std::thread::scope(|scope| {
            let stop = Stop::new();
            let waiting = scope.spawn(|| command.run(&job("P1", &Stop::new())));
            std::thread::sleep(Duration::from_millis(100));
            assert!(!waiting.is_finished());
            drop(writing);
            let done = waiting.join().unwrap();
            assert!(matches!(done, Outcome::Done(_)), "{done:?}");

            let _writing = write();
            let waiting = scope.spawn({
                let (command, stop) = (&command, stop.clone());
                move || command.run(&job("P1", &stop))
            });
            std::thread::sleep(Duration::from_millis(100));
            stop.soon();
            assert_eq!(waiting.join().unwrap(), Outcome::Stopped);
        });
    }
}
