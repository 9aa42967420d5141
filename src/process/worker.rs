//! Long-lived worker processes, which are sent their POs as JSON lines.
//!
//! For work whose start is dear: a process that keeps a browser session or a connection. Each worker
//! of the pool has one process, asks it one PO at a time on its stdin, and reads answers from its
//! stdout (`docs/worker-protocol.md`). This file owns two guarantees:
//!
//! - *An answer counts only for the PO that was asked.* Every request has an id of its own. A process
//!   that answers another one, or something else, is not trusted with a further PO.
//! - *A process that ends, hangs or talks nonsense costs its PO an attempt, and no more.* It is
//!   replaced; no process of its group is left.
//!
//! A start that is broken (a missing module, a refused login) would cost every PO its attempts. So
//! until one process has answered for the first time, [`FAILED_STARTS`] a worker end the run.
//!
//! Its stdin does not block: a process that does not read is noticed like one that does not answer.
//! Its stderr is read by a thread, because a process may fill that pipe while it has nothing to do.

use crate::domain::limits::MAX_LINE_BYTES;
use std::ffi::OsString;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::num::NonZeroU32;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command, Stdio};
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use memchr::memchr;
use rustix::event::{PollFd, PollFlags};
use rustix::fd::OwnedFd;
use rustix::io::ioctl_fionbio;
use rustix::process::{Pid, PidfdFlags, Signal, pidfd_open};
use serde::{Deserialize, Serialize, Serializer};
use tracing::{error, info, warn};

use crate::domain::columns::STATUS;
use crate::domain::status::ProcessingStatus;
use crate::error::Result;
use crate::process::command::{
    GRACE, STOP_CHECK, TRY_AGAIN, check_result, end_group, heed_children, not_started, poll_within,
    signal_group, signal_name, until,
};
use crate::run::ending::{Ending, Start};
use crate::run::job::{Job, Outcome};
use crate::run::stop::{Stop, StopLevel, lock};
use crate::sheet::record::CsvRecord;
use crate::sheet::update::Updates;
use crate::text::escape::Escaped;
use crate::text::message::{MAX_ERROR_CHARS, error_message};

/// How long a process may take to end after its stdin was closed.
pub const FAREWELL: Duration = Duration::from_secs(10);

/// How many processes, for each worker, may end before any has answered.
const FAILED_STARTS: u32 = 3;

/// How much of what is no answer is quoted.
const EXCERPT_BYTES: usize = 200;

/// The longest line of stderr that becomes one line of the log, in bytes.
const MAX_LOG_BYTES: u64 = 8 << 10;

/// The processes of a run, one for each of the pool's workers.
pub struct WorkerProcesses {
    argv: Vec<OsString>,
    session_id: String,
    /// The column that no result may change.
    key: String,
    columns: Vec<String>,
    timeout: Option<Duration>,
    stagger: Duration,
    recycle_after: Option<NonZeroU32>,
    slots: Box<[Mutex<Option<Process>>]>,
    next_start: Mutex<Instant>,
    requests: AtomicU64,
    has_answered: AtomicBool,
    failed_starts: AtomicU32,
}

impl WorkerProcesses {
    /// Prepares so many processes, for a sheet with these columns. None is started before its
    /// worker has a PO.
    ///
    /// If this process inherited an ignored SIGCHLD it gets an empty handler for it, as in
    /// [`RecordCommand::new`](crate::RecordCommand::new).
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when that handler cannot be had.
    ///
    /// # Panics
    /// If there is no program.
    pub fn new(
        argv: &[OsString],
        workers: usize,
        session_id: &str,
        key: &str,
        columns: &[String],
    ) -> Result<Self> {
        assert!(!argv.is_empty(), "a worker needs a program");
        heed_children()?;
        Ok(WorkerProcesses {
            argv: argv.to_vec(),
            session_id: session_id.to_owned(),
            key: key.to_owned(),
            columns: columns.to_vec(),
            timeout: None,
            stagger: Duration::ZERO,
            recycle_after: None,
            slots: (0..workers).map(|_| Mutex::default()).collect(),
            next_start: Mutex::new(Instant::now()),
            requests: AtomicU64::new(0),
            has_answered: AtomicBool::new(false),
            failed_starts: AtomicU32::new(0),
        })
    }

    /// How long one attempt may take, the first one of a process with its start, before its
    /// processes get SIGTERM, and after [`GRACE`] SIGKILL.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// How long after another process the next one may start.
    pub fn stagger(mut self, stagger: Duration) -> Self {
        self.stagger = stagger;
        self
    }

    /// After how many answers a process is replaced.
    pub fn recycle_after(mut self, answers: NonZeroU32) -> Self {
        self.recycle_after = Some(answers);
        self
    }

    /// Asks the process of the job's worker, and says what became of the attempt.
    ///
    /// # Panics
    /// If the pool has more workers than there are processes.
    pub fn run(&self, job: &Job<'_>) -> Outcome {
        let mut slot = lock(&self.slots[job.worker]);
        if let Some(ended) = slot.take_if(|process| process.has_exited()) {
            warn!(worker = job.worker, ending = %described(ended.end()), "a worker ended while it had nothing to do");
        }
        let is_worn = |process: &mut Process| {
            let limit = self.recycle_after;
            limit.is_some_and(|limit| process.answers >= limit.get())
        };
        if let Some(worn) = slot.take_if(is_worn) {
            worn.dismiss(job.stop, job.worker);
        }
        let process = match &mut *slot {
            Some(process) => process,
            None => match self.start(job) {
                Ok(process) => slot.insert(process),
                Err(outcome) => return outcome,
            },
        };
        let request = Request {
            // Relaxed: only that no number comes twice matters.
            id: self.requests.fetch_add(1, Ordering::Relaxed) + 1,
            po_number: job.po,
            attempt: job.attempt,
            cells: job.record.as_ref(),
        };
        let start = Start::now();
        match process.ask(&request, self.timeout, job) {
            Ok(answer) => {
                process.answers += 1;
                self.has_answered.store(true, Ordering::Relaxed);
                job.process_ended(&start.ended(answer.as_exit()));
                self.outcome(job, answer)
            }
            Err(mut failure) => {
                let is_new = process.answers == 0;
                let process = slot.take().expect("it was asked");
                let (ending, said) = process.end_after(&mut failure);
                job.process_ended(&start.ended(ending));
                self.replaced(job, &failure, (ending, said), is_new)
            }
        }
    }

    /// Lets every process end: closes their stdin, waits, [`FAREWELL`] at most, and kills those that
    /// are left.
    pub fn finish(self, stop: &Stop) {
        let mut processes: Vec<_> = self.slots.into_iter().map(into_inner).collect();
        for process in processes.iter_mut().flatten() {
            process.stdin = None;
        }
        for (worker, process) in processes.into_iter().enumerate() {
            if let Some(process) = process {
                process.dismiss(stop, worker);
            }
        }
    }

    /// Whether the run was ended because no process ever answered.
    pub fn gave_up(&self) -> bool {
        !self.has_answered.load(Ordering::Relaxed)
            && self.failed_starts.load(Ordering::Relaxed) >= self.allowed_failures()
    }

    fn allowed_failures(&self) -> u32 {
        FAILED_STARTS.saturating_mul(self.slots.len() as u32)
    }

    /// Starts a process once its turn has come.
    fn start(&self, job: &Job<'_>) -> std::result::Result<Process, Outcome> {
        let due = {
            let mut next = lock(&self.next_start);
            let due = (*next).max(Instant::now());
            *next = due + self.stagger;
            due
        };
        job.stop.sleep_until(due);
        if until(due) > Duration::ZERO || job.stop.level() == StopLevel::Now {
            return Err(Outcome::Stopped);
        }
        let mut command = Command::new(&self.argv[0]);
        command
            .args(&self.argv[1..])
            .env("TICKOFF_SESSION", &self.session_id)
            .env("TICKOFF_WORKER", job.worker.to_string());
        Process::spawn(&mut command, job.worker)
            .map_err(|error| not_started(command.get_program(), &error))
    }

    fn outcome(&self, job: &Job<'_>, answer: Answer) -> Outcome {
        match answer {
            Answer::Done(updates) => {
                let checked = check_result(&self.columns, &self.key, job.po, updates);
                Outcome::Done(match checked {
                    Ok(updates) if updates.new_status().is_none() => {
                        updates.set(STATUS, ProcessingStatus::Completed.as_str())
                    }
                    Ok(updates) => updates,
                    Err(problem) => Updates::error(error_message("invalid updates", &problem)),
                })
            }
            Answer::Error {
                message,
                retryable: true,
            } => Outcome::Retry(message),
            Answer::Error { message, .. } => Outcome::Done(Updates::error(message)),
        }
    }

    /// What becomes of a job whose process did not answer as it should, and was ended.
    fn replaced(
        &self,
        job: &Job<'_>,
        failure: &Failure,
        (ending, said): (Ending, String),
        is_new: bool,
    ) -> Outcome {
        let what = match failure {
            Failure::Stopped => return Outcome::Stopped,
            Failure::TimedOut(timeout) => format!("timed out after {timeout:?}"),
            Failure::NoAnswer(problem) => format!("the worker was replaced, it {problem}"),
            Failure::Ended => format!("the worker ended: {}", described(ending)),
        };
        let message = error_message(&what, &said);
        warn!(worker = job.worker, po = %Escaped::text(job.po), "{message}");
        if matches!(failure, Failure::TimedOut(_)) {
            return Outcome::Done(Updates::error(message));
        }
        if is_new {
            let failed = self.failed_starts.fetch_add(1, Ordering::Relaxed) + 1;
            if self.gave_up() {
                if failed == self.allowed_failures() {
                    error!(
                        "{failed} workers have failed and none has answered: the run ends, and its POs keep their state"
                    );
                    job.stop.soon();
                }
                return Outcome::Stopped;
            }
        }
        Outcome::Retry(message)
    }
}

/// What a process is asked: one line of JSON.
#[derive(Serialize)]
struct Request<'a> {
    id: u64,
    po_number: &'a str,
    attempt: u32,
    #[serde(serialize_with = "object_of_cells")]
    cells: Option<&'a CsvRecord>,
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
enum Answer {
    Done(Updates),
    Error { message: String, retryable: bool },
}

impl Answer {
    /// The exit code with which a command of its own would have said the same.
    fn as_exit(&self) -> Ending {
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
enum Said {
    Progress(String),
    Answer(Answer),
}

impl Said {
    /// Reads a line in answer to that request, or says what is wrong with it.
    fn parse(line: &[u8], id: u64) -> std::result::Result<Said, String> {
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

/// Why a process is not asked again.
enum Failure {
    /// The run is to end now.
    Stopped,
    TimedOut(Duration),
    /// It ended, or closed its stdin or stdout.
    Ended,
    /// What it did instead.
    NoAnswer(String),
}

/// A started process that has not been reaped. It is the leader of its group, which is signalled only
/// until then.
struct Process {
    child: Child,
    exited: OwnedFd,
    stdin: Option<ChildStdin>,
    stdout: ChildStdout,
    received: Vec<u8>,
    stderr: Stderr,
    answers: u32,
    is_reaped: bool,
}

impl Process {
    fn spawn(command: &mut Command, worker: usize) -> io::Result<Process> {
        command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn()?;
        let prepared = (|| {
            let piped = || io::Error::other("a pipe is missing");
            let stdin = child.stdin.take().ok_or_else(piped)?;
            let stdout = child.stdout.take().ok_or_else(piped)?;
            let stderr = child.stderr.take().ok_or_else(piped)?;
            ioctl_fionbio(&stdin, true)?;
            ioctl_fionbio(&stdout, true)?;
            let exited = pidfd_open(Pid::from_child(&child), PidfdFlags::empty())?;
            Ok((stdin, stdout, Stderr::read(stderr, worker)?, exited))
        })();
        match prepared {
            Ok((stdin, stdout, stderr, exited)) => Ok(Process {
                child,
                exited,
                stdin: Some(stdin),
                stdout,
                received: Vec::new(),
                stderr,
                answers: 0,
                is_reaped: false,
            }),
            Err(error) => {
                end_group(&mut child);
                Err(error)
            }
        }
    }

    /// Sends a request, and takes in what the process says until that is answered.
    fn ask(
        &mut self,
        request: &Request<'_>,
        timeout: Option<Duration>,
        job: &Job<'_>,
    ) -> std::result::Result<Answer, Failure> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.stderr.begin();
        let mut line = serde_json::to_vec(request).expect("texts and numbers are JSON");
        line.push(b'\n');
        let mut unsent = &line[..];
        loop {
            let wait = deadline.map_or(STOP_CHECK, |at| STOP_CHECK.min(until(at)));
            let is_over = self
                .exchange(&mut unsent, wait)
                .map_err(|error| Failure::NoAnswer(format!("cannot be talked to: {error}")))?;
            while let Some(line) = self.next_line() {
                match Said::parse(&line, request.id).map_err(Failure::NoAnswer)? {
                    Said::Progress(text) => job.report(&text),
                    Said::Answer(answer) => return Ok(answer),
                }
            }
            if self.received.len() > MAX_LINE_BYTES {
                let problem = format!("sent a line longer than {MAX_LINE_BYTES} bytes");
                return Err(Failure::NoAnswer(problem));
            }
            match timeout {
                _ if is_over => return Err(Failure::Ended),
                _ if job.stop.level() == StopLevel::Now => return Err(Failure::Stopped),
                Some(timeout) if deadline.is_some_and(|at| until(at).is_zero()) => {
                    return Err(Failure::TimedOut(timeout));
                }
                _ => {}
            }
        }
    }

    /// Sends and takes in what can be, after waiting for so long if nothing can; whether the process
    /// has exited or closed one of its ends.
    fn exchange(&mut self, unsent: &mut &[u8], wait: Duration) -> io::Result<bool> {
        let mut fds = vec![
            PollFd::new(&self.exited, PollFlags::IN),
            PollFd::new(&self.stdout, PollFlags::IN),
        ];
        if let (Some(stdin), false) = (&self.stdin, unsent.is_empty()) {
            fds.push(PollFd::new(stdin, PollFlags::OUT));
        }
        poll_within(&mut fds, wait)?;
        let mut is_over = !fds[0].revents().is_empty();
        let can_read = !fds[1].revents().is_empty();
        let can_write = fds.get(2).is_some_and(|fd| !fd.revents().is_empty());

        if let (Some(stdin), true) = (&mut self.stdin, can_write) {
            match stdin.write(unsent) {
                Ok(written) => *unsent = &unsent[written..],
                Err(error) if may_pass(&error) => {}
                Err(error) if error.kind() == io::ErrorKind::BrokenPipe => is_over = true,
                Err(error) => return Err(error),
            }
        }
        // What was said before the exit is in the pipe.
        while can_read || is_over {
            let mut chunk = [0; 64 << 10];
            match self.stdout.read(&mut chunk) {
                Ok(0) => {
                    is_over = true;
                    break;
                }
                Ok(length) => {
                    self.received.extend_from_slice(&chunk[..length]);
                    if !is_over {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if may_pass(&error) => continue,
                Err(error) => return Err(error),
            }
            if self.received.len() > MAX_LINE_BYTES {
                break;
            }
        }
        Ok(is_over)
    }

    /// The next whole line that is not blank.
    fn next_line(&mut self) -> Option<Vec<u8>> {
        loop {
            let end = memchr(b'\n', &self.received)?;
            let line: Vec<u8> = self.received.drain(..=end).collect();
            if !line.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }

    fn has_exited(&self) -> bool {
        self.exits_within(Duration::ZERO)
    }

    fn exits_within(&self, time: Duration) -> bool {
        let mut fds = [PollFd::new(&self.exited, PollFlags::IN)];
        poll_within(&mut fds, time).is_ok() && !fds[0].revents().is_empty()
    }

    /// Lets the process end by itself, and says so if that does not go well.
    fn dismiss(mut self, stop: &Stop, worker: usize) {
        self.stdin = None;
        let deadline = Instant::now() + FAREWELL;
        while !self.exits_within(STOP_CHECK) {
            if until(deadline).is_zero() || stop.level() == StopLevel::Now {
                self.kill();
                return warn!(
                    worker,
                    "a worker did not end when its stdin was closed, and was killed"
                );
            }
        }
        let ending = self.end();
        if ending != Ending::Exit(0) {
            let ending = described(ending);
            warn!(
                worker,
                "a worker ended with {ending} when its stdin was closed"
            );
        }
    }

    /// Ends a process that did not answer as it should; how it ended, and what it said since it was
    /// asked.
    fn end_after(mut self, failure: &mut Failure) -> (Ending, String) {
        if matches!(failure, Failure::Ended) {
            if self.exits_within(GRACE) {
                return self.collect();
            }
            *failure = Failure::NoAnswer("closed its stdin or stdout".to_owned());
        }
        let (ending, said) = self.kill();
        match failure {
            Failure::TimedOut(timeout) => (Ending::TimedOut(*timeout), said),
            Failure::Stopped => (Ending::Stopped, said),
            _ => (ending, said),
        }
    }

    fn end(mut self) -> Ending {
        self.collect().0
    }

    /// SIGTERM for all of its group and, after [`GRACE`], SIGKILL.
    fn kill(mut self) -> (Ending, String) {
        let deadline = Instant::now() + GRACE;
        signal_group(&self.child, Signal::TERM);
        self.exits_within(GRACE);
        // The others have what is left of the grace; a closed stderr tells that they are gone.
        self.stderr.ends_within(until(deadline));
        self.collect()
    }

    /// Takes the exit code of a process that ended or is killed now, and what it said since it was
    /// asked.
    fn collect(&mut self) -> (Ending, String) {
        // Not reaped yet, so that the group still has its number.
        signal_group(&self.child, Signal::KILL);
        self.is_reaped = true;
        let ending = self.child.wait().map_or(Ending::Unknown, Ending::from);
        (ending, self.stderr.take())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        if !self.is_reaped {
            end_group(&mut self.child);
        }
    }
}

fn described(ending: Ending) -> String {
    match ending {
        Ending::Exit(code) => format!("exit {code}"),
        Ending::Signal(number) => format!("killed by signal {number} ({})", signal_name(number)),
        _ => "the system does not say how".to_owned(),
    }
}

fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}

/// What a process writes to its stderr: logged line by line, its end kept for messages.
struct Stderr {
    said: Arc<Mutex<String>>,
    reader: JoinHandle<()>,
}

impl Stderr {
    /// Enough for `MAX_ERROR_CHARS` characters of four bytes.
    const KEPT: usize = 4 * MAX_ERROR_CHARS;

    fn read(pipe: ChildStderr, worker: usize) -> io::Result<Stderr> {
        let said = Arc::default();
        let kept = Arc::clone(&said);
        let reader = thread::Builder::new()
            .name(format!("stderr-{worker}"))
            .spawn(move || log_lines(pipe, worker, &kept))?;
        Ok(Stderr { said, reader })
    }

    /// Forgets what was said before.
    fn begin(&self) {
        lock(&self.said).clear();
    }

    /// Waits for so long until nobody can say anything more.
    fn ends_within(&self, time: Duration) {
        let deadline = Instant::now() + time;
        while !self.reader.is_finished() && !until(deadline).is_zero() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// What was said since. The process has been reaped: what it wrote is in the pipe, and a process
    /// that it left behind is not waited for.
    fn take(&self) -> String {
        self.ends_within(Duration::from_millis(200));
        std::mem::take(&mut *lock(&self.said))
    }
}

fn log_lines(pipe: impl Read, worker: usize, said: &Mutex<String>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    // A pipe that cannot be read has nothing more to say.
    while pipe
        .by_ref()
        .take(MAX_LOG_BYTES)
        .read_until(b'\n', &mut line)
        .is_ok_and(|length| length > 0)
    {
        let text = String::from_utf8_lossy(line.trim_ascii_end());
        if !text.is_empty() {
            info!(worker, "{}", Escaped::text(&text));
            let mut said = lock(said);
            said.push_str(&text);
            said.push('\n');
            let surplus = said.len().saturating_sub(Stderr::KEPT);
            let from = (surplus..said.len()).find(|&at| said.is_char_boundary(at));
            said.drain(..from.unwrap_or_default());
        }
        line.clear();
    }
}

fn into_inner<T>(mutex: Mutex<T>) -> T {
    mutex.into_inner().unwrap_or_else(PoisonError::into_inner)
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
