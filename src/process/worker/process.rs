//! One process that stays alive: asking it, and ending it.
//!
//! Its stdin does not block: a process that does not read is noticed like one that does not answer.
//! One wait sees its exit, its answers and the room for a request.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use memchr::memchr;
use tracing::warn;

use crate::domain::MAX_LINE_BYTES;
use crate::process::group::{GRACE, Given, Group};
use crate::process::orphans::Adopted;
use crate::process::poll::{STOP_CHECK, next_look, until};
use crate::process::printing::Printer;
use crate::process::signals::{is_of_the_stop, killed_by};
use crate::process::verdict::Malformed;
use crate::process::worker::protocol::{Answer, Nonsense, Request, Said};
use crate::process::worker::stderr::Stderr;
use crate::run::{Ending, Job, Stop, StopLevel};
use crate::sys::poll::{Pipe, never_block};
use crate::sys::spawn::Command;

/// How long a process may take to end after its stdin was closed.
pub const FAREWELL: Duration = Duration::from_secs(10);

/// How long a process that was asked to end is given before the next look.
const MOMENT: Duration = Duration::from_millis(5);

/// Why a process is not asked again.
pub(super) enum Failure {
    /// The run is to end now.
    Stopped,
    TimedOut(Duration),
    /// It ended, or closed its stdin or stdout.
    Ended,
    /// What it did instead.
    NoAnswer(String),
    /// It answered, but what that says cannot be told.
    Unreadable(Malformed),
}

/// A started process that has not been reaped.
pub(super) struct Process {
    group: Group,
    /// Closed when the process is to end by itself.
    stdin: Option<PipeWriter>,
    stdout: PipeReader,
    received: Vec<u8>,
    stderr: Stderr,
    /// How many requests it has answered.
    answers: u32,
}

impl Process {
    /// Starts it for a job, as [`Group::spawn`] does.
    pub(super) fn spawn(
        command: &mut Command,
        job: &Job<'_>,
        printer: Option<&Arc<dyn Printer>>,
        adopted: Option<&Arc<Adopted>>,
    ) -> io::Result<Option<Process>> {
        let piped = [Given::Pipe, Given::Pipe, Given::Pipe];
        let Some((group, pipes)) = Group::spawn(command, &piped, adopted, job.stop)? else {
            return Ok(None);
        };
        let piped = || io::Error::other("a pipe is missing");
        let stdin = pipes.stdin.ok_or_else(piped)?;
        let stdout = pipes.stdout.ok_or_else(piped)?;
        let stderr = pipes.stderr.ok_or_else(piped)?;
        never_block(&stdin)?;
        never_block(&stdout)?;
        Ok(Some(Process {
            group,
            stdin: Some(stdin),
            stdout,
            received: Vec::new(),
            stderr: Stderr::read(stderr, job, printer)?,
            answers: 0,
        }))
    }

    /// Sends a request, and takes in what the process says until that is answered.
    pub(super) fn ask(
        &mut self,
        request: &Request<'_>,
        timeout: Option<Duration>,
        job: &Job<'_>,
    ) -> std::result::Result<Answer, Failure> {
        let deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        self.stderr.begin(job.po);
        let mut line = serde_json::to_vec(request).expect("texts and numbers are JSON");
        line.push(b'\n');
        let mut unsent = &line[..];
        loop {
            let is_over = self
                .exchange(&mut unsent, next_look(deadline))
                .map_err(|error| Failure::NoAnswer(format!("cannot be talked to: {error}")))?;
            while let Some(line) = self.next_line() {
                match Said::parse(&line, request.id) {
                    Ok(Said::Progress(text)) => job.report(&text),
                    Ok(Said::Answer(answer)) => return Ok(answer),
                    Err(nonsense) => return Err(self.failed(nonsense)),
                }
            }
            if self.received.len() > MAX_LINE_BYTES {
                let problem = format!("sent a line longer than {MAX_LINE_BYTES} bytes");
                let line = std::mem::take(&mut self.received);
                return Err(self.failed(Nonsense::of(problem, &line)));
            }
            let failure = match timeout {
                _ if is_over => Failure::Ended,
                _ if job.stop.level() == StopLevel::Now => Failure::Stopped,
                Some(timeout) if deadline.is_some_and(|at| until(at).is_zero()) => {
                    Failure::TimedOut(timeout)
                }
                _ => {
                    self.group.tell_if_stopped(job.po);
                    continue;
                }
            };
            return self.last_words(request.id).ok_or(failure);
        }
    }

    /// A request is answered: what is said from now on belongs to no row.
    pub(super) fn rest(&mut self) {
        self.answers += 1;
        self.stderr.pause();
    }

    pub(super) fn answers(&self) -> u32 {
        self.answers
    }

    /// A whole answer that only lacks the end of its line.
    fn last_words(&mut self, id: u64) -> Option<Answer> {
        match Said::parse(&std::mem::take(&mut self.received), id) {
            Ok(Said::Answer(answer)) => Some(answer),
            _ => None,
        }
    }

    /// An answer that runs over several lines is kept as far as it has come.
    fn failed(&mut self, nonsense: Nonsense) -> Failure {
        match nonsense {
            Nonsense::NoAnswer(problem) => Failure::NoAnswer(problem),
            Nonsense::Unreadable(mut answer) => {
                if !self.received.is_empty() {
                    answer.raw.push('\n');
                    answer.raw += &String::from_utf8_lossy(&self.received);
                }
                Failure::Unreadable(answer)
            }
        }
    }

    /// Sends and takes in what can be, after waiting for so long if nothing can; whether the process
    /// has exited or closed one of its ends.
    fn exchange(&mut self, unsent: &mut &[u8], wait: Duration) -> io::Result<bool> {
        let stdin = self.stdin.as_ref().filter(|_| !unsent.is_empty());
        let pipes = [
            Some(Pipe::Readable(self.stdout.as_fd())),
            stdin.map(|stdin| Pipe::Writable(stdin.as_fd())),
        ];
        let (mut is_over, [can_read, can_write]) = self.group.exits_or_ready_within(pipes, wait)?;

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

    pub(super) fn has_exited(&self) -> bool {
        self.group.exits_within(Duration::ZERO)
    }

    /// Ends a process that did not answer as it should; how it ended, and what it said since it was
    /// asked.
    pub(super) fn end_after(mut self, failure: &mut Failure) -> (Ending, String) {
        if matches!(failure, Failure::Ended) {
            if self.group.exits_within(GRACE) {
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

    /// Takes the exit code of a process that ended by itself.
    pub(super) fn end(mut self) -> Ending {
        self.collect().0
    }

    /// SIGTERM for all of its group and, after [`GRACE`], SIGKILL.
    fn kill(mut self) -> (Ending, String) {
        let deadline = Instant::now() + GRACE;
        self.group.terminate();
        self.grant(deadline);
        self.collect()
    }

    /// Waits for its end, and that of what it started, until then.
    fn grant(&self, deadline: Instant) {
        while !until(deadline).is_zero() {
            if self.group.exits_within(until(deadline).min(STOP_CHECK)) && self.is_alone() {
                return;
            }
            thread::sleep(MOMENT);
        }
    }

    /// Whether nothing is left of what it started, for which a closed stderr stands as well.
    fn is_alone(&self) -> bool {
        self.stderr.has_ended() && self.group.is_alone()
    }

    /// Takes the exit code of a process that ended or is killed now, and what it said since it was
    /// asked.
    fn collect(&mut self) -> (Ending, String) {
        // Not reaped yet, so that the group still has its number.
        self.group.kill();
        let ending = self.group.reap().unwrap_or(Ending::Unknown);
        (ending, self.stderr.take())
    }
}

/// Lets processes of these workers end by themselves, all in one time, and says what does not go well.
pub(super) fn dismiss(processes: impl IntoIterator<Item = (usize, Process)>, stop: &Stop) {
    let mut left: Vec<_> = processes.into_iter().collect();
    for (_, process) in &mut left {
        process.stdin = None;
    }
    let deadline = Instant::now() + FAREWELL;
    let mut ended = Vec::new();
    while !left.is_empty() && !until(deadline).is_zero() && stop.level() < StopLevel::Now {
        let (gone, still): (Vec<_>, Vec<_>) = left
            .into_iter()
            .partition(|(_, process)| process.has_exited());
        ended.extend(gone);
        left = still;
        if let [(_, first), ..] = &left[..] {
            first.group.exits_within(STOP_CHECK);
        }
    }
    for (worker, process) in ended {
        let ending = process.end();
        if ending != Ending::Exit(0) && !is_of_the_stop(ending, stop) {
            let ending = described(ending);
            warn!(
                worker,
                "a worker ended with {ending} when its stdin was closed"
            );
        }
    }
    for (_, process) in &left {
        process.group.terminate();
    }
    let deadline = Instant::now() + GRACE;
    for (worker, mut process) in left {
        process.grant(deadline);
        process.collect();
        warn!(
            worker,
            "a worker did not end when its stdin was closed, and was killed"
        );
    }
}

/// Says how a process ended.
pub(super) fn described(ending: Ending) -> String {
    match ending {
        Ending::Exit(code) => format!("exit {code}"),
        Ending::Signal(number) => killed_by(number),
        _ => "the system does not say how".to_owned(),
    }
}

fn may_pass(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
    )
}
