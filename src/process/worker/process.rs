//! One process that stays alive: asking it, and ending it.
//!
//! Its stdin does not block: a process that does not read is noticed like one that does not answer.
//! One wait sees its exit, its answers and the room for a request.

use std::io::{self, PipeReader, PipeWriter, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::domain::MAX_LINE_BYTES;
use crate::process::group::{GRACE, Given, Group};
use crate::process::orphans::Adopted;
use crate::process::poll::{STOP_CHECK, next_look, until};
use crate::process::printing::Printer;
use crate::process::signals::{is_of_the_stop, killed_by};
use crate::process::verdict::{MAX_RAW_BYTES, Malformed};
use crate::process::worker::protocol::{Answer, Nonsense, Request, Said};
use crate::process::worker::received::{Line, Received};
use crate::process::worker::stderr::Stderr;
use crate::run::{Ending, Job, Stop, StopLevel};
use crate::sheet::JsonObject;
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
    received: Received,
    stderr: Stderr,
    /// How many requests it has answered.
    answers: u32,
    /// The request that it answered last, and its key.
    answered: Option<(u64, String)>,
    /// What it answered to that once more, or to no request at all, and what came behind it; with the key.
    second: Option<(String, Vec<u8>)>,
    /// When it is killed, once it was asked to end.
    killed_at: Option<Instant>,
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
        let Some(stderr) = Stderr::read(stderr, job, printer)? else {
            return Ok(None);
        };
        Ok(Some(Process {
            group,
            stdin: Some(stdin),
            stdout,
            received: Received::default(),
            stderr,
            answers: 0,
            answered: None,
            second: None,
            killed_at: None,
        }))
    }

    /// Sends a request, and takes in what the process says until that is answered. One that is asked to end, because
    /// its time is up or the run is to end now, may answer until it is killed; but that it failed counts no more then.
    pub(super) fn ask(
        &mut self,
        request: &Request<'_>,
        timeout: Option<Duration>,
        job: &Job<'_>,
    ) -> std::result::Result<Answer, Failure> {
        let mut deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut broken_off = None;
        self.stderr.begin(job.po);
        let mut line = serde_json::to_vec(request).expect("texts and numbers are JSON");
        line.push(b'\n');
        let mut unsent = &line[..];
        loop {
            // Asked before the look: this process may be stopped behind it, while the answer comes in time.
            let is_due = deadline.is_some_and(|at| until(at).is_zero());
            let is_now = job.stop.level() == StopLevel::Now;
            let wait = match is_now && broken_off.is_none() {
                true => Duration::ZERO,
                false => next_look(deadline),
            };
            let is_over = match self.exchange(&mut unsent, wait) {
                Ok(is_over) => is_over,
                Err(error) => {
                    let failure = Failure::NoAnswer(format!("cannot be talked to: {error}"));
                    return Err(broken_off.unwrap_or(failure));
                }
            };
            while let Some(line) = self.received.next_line() {
                let said = match line.say(request.id) {
                    Ok(Said::Progress(text)) => {
                        job.report(&text);
                        continue;
                    }
                    Ok(Said::Answer(answer)) => Ok(answer),
                    Err(nonsense) => {
                        self.keep_second(&line, Some(job.po));
                        Err(self.failed(nonsense))
                    }
                };
                return heeded(said, broken_off);
            }
            let begun = self.received.bytes();
            if begun.len() > MAX_RAW_BYTES && !JsonObject::is_begun(begun) {
                let failure = Failure::NoAnswer(format!(
                    "sent a line longer than {MAX_RAW_BYTES} bytes that is no JSON object"
                ));
                return Err(broken_off.unwrap_or(failure));
            }
            if is_over || is_due && broken_off.is_some() {
                let said = self.last_words(request.id).unwrap_or(Err(Failure::Ended));
                return heeded(said, broken_off);
            }
            if broken_off.is_some() {
                continue;
            }
            self.group.tell_if_stopped(job.po);
            broken_off = match timeout {
                _ if is_now => Some(Failure::Stopped),
                Some(timeout) if is_due => Some(Failure::TimedOut(timeout)),
                _ => continue,
            };
            deadline = Some(self.terminate());
        }
    }

    /// A request is answered: what is said from now on belongs to no row.
    pub(super) fn rest(&mut self, id: u64, po: &str) {
        self.answers += 1;
        self.answered = Some((id, po.to_owned()));
        self.stderr.pause();
    }

    /// What it answered a second time to the request before, as far as that has come, and the key of that.
    pub(super) fn take_second(&mut self) -> Option<(String, Vec<u8>)> {
        // Whoever has nothing more to say has ended, or goes on.
        let _ = self.exchange(&mut &[][..], Duration::ZERO);
        if self.second.is_none() {
            let bytes = self.received.bytes().to_owned();
            if let Some(line) = self.received.next_line() {
                self.keep_second(&line, None);
                self.received = Received::default();
                self.received.add(&bytes);
            }
        }
        self.second.take()
    }

    /// One to a request that nobody made is kept with the key that was `asked` for.
    fn keep_second(&mut self, line: &Line, asked: Option<&str>) {
        let answered = self.answered.as_ref();
        let answered = answered.filter(|(id, _)| matches!(line.say(*id), Ok(Said::Answer(_))));
        let po = match (answered, asked) {
            (Some((_, po)), _) => po.clone(),
            (None, Some(po)) if Said::is_answer(line.bytes()) => po.to_owned(),
            (None, _) => return,
        };
        self.second = Some((po, [line.bytes(), self.received.bytes()].concat()));
    }

    pub(super) fn answers(&self) -> u32 {
        self.answers
    }

    /// A whole answer that only lacks the end of its line, or a whole object that may be one.
    fn last_words(&mut self, id: u64) -> Option<std::result::Result<Answer, Failure>> {
        match self.received.take_all().say(id) {
            Ok(Said::Answer(answer)) => Some(Ok(answer)),
            Err(Nonsense::Unreadable(answer)) if JsonObject::is_whole(&answer.raw) => {
                Some(Err(Failure::Unreadable(answer)))
            }
            _ => None,
        }
    }

    /// An answer that runs over several lines is kept as far as it has come.
    fn failed(&mut self, nonsense: Nonsense) -> Failure {
        match nonsense {
            Nonsense::NoAnswer(problem) => Failure::NoAnswer(problem),
            Nonsense::Unreadable(mut answer) => {
                if !self.received.bytes().is_empty() {
                    answer.raw.push(b'\n');
                    answer.raw.extend_from_slice(self.received.bytes());
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
                    self.received.add(&chunk[..length]);
                    if !is_over {
                        break;
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => break,
                Err(error) if may_pass(&error) => continue,
                Err(error) => return Err(error),
            }
            if self.received.bytes().len() > MAX_LINE_BYTES {
                break;
            }
        }
        Ok(is_over)
    }

    pub(super) fn has_exited(&self) -> bool {
        self.group.exits_within(Duration::ZERO)
    }

    /// Whether it was asked to end.
    pub(super) fn is_ending(&self) -> bool {
        self.killed_at.is_some()
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
    pub(super) fn kill(mut self) -> (Ending, String) {
        let deadline = self.terminate();
        self.grant(deadline);
        self.collect()
    }

    /// Asks all that it started to end, once; when it is killed.
    fn terminate(&mut self) -> Instant {
        *self.killed_at.get_or_insert_with(|| {
            self.group.terminate();
            Instant::now() + GRACE
        })
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
/// What one answered a second time is given to `keep`.
pub(super) fn dismiss(
    processes: impl IntoIterator<Item = (usize, Process)>,
    stop: &Stop,
    keep: impl Fn(&mut Process),
) {
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
    for (worker, mut process) in ended {
        keep(&mut process);
        let ending = process.end();
        if ending != Ending::Exit(0) && !is_of_the_stop(ending, true, stop) {
            let ending = described(ending);
            warn!(
                worker,
                "a worker ended with {ending} when its stdin was closed"
            );
        }
    }
    for (_, process) in &mut left {
        process.terminate();
    }
    for (worker, mut process) in left {
        keep(&mut process);
        process.kill();
        warn!(
            worker,
            "a worker did not end when its stdin was closed, and was killed"
        );
    }
}

/// What counts of what a process said that may have been broken off: whatever is an answer, and no failure, which
/// most likely came of that.
fn heeded(
    said: std::result::Result<Answer, Failure>,
    broken_off: Option<Failure>,
) -> std::result::Result<Answer, Failure> {
    match (said, broken_off) {
        (
            Ok(Answer::Error { .. }) | Err(Failure::NoAnswer(_) | Failure::Ended),
            Some(broken_off),
        ) => Err(broken_off),
        (said, _) => said,
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
