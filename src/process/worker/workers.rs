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
//! - *An answer is never asked for twice.* One that cannot be understood makes its PO an ERROR and is
//!   kept as it came, and so is a second one to the same request, or one to no request.
//!
//! A start that is broken (a missing module, a refused login) would cost every PO its attempts. So
//! until one process has answered for the first time, [`FAILED_STARTS`] a worker end the run.

use std::ffi::OsString;
use std::num::NonZeroU32;
use std::sync::atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tracing::{error, warn};

use crate::backup::BackupManager;
use crate::domain::columns::STATUS;
use crate::domain::{ProcessingStatus, Stage};
use crate::error::Result;
use crate::process::large_answers::LargeAnswers;
use crate::process::orphans::{Adopted, Orphans};
use crate::process::poll::until;
use crate::process::printing::{Printer, has_room_in_time};
use crate::process::program::{Broken, CannotRun};
use crate::process::signals::{heed_children, is_of_the_stop};
use crate::process::template::CommandTemplate;
use crate::process::verdict::{Malformed, not_started};
use crate::process::worker::process::{Failure, Process, described, dismiss};
use crate::process::worker::protocol::{Answer, Cells, Request};
use crate::run::ending::Start;
use crate::run::stop::lock;
use crate::run::{Ending, Job, Outcome, Retry, Stop, StopLevel};
use crate::sheet::Updates;
use crate::text::{Escaped, error_message, one_line};

/// How many processes, for each worker, may end before any has answered.
const FAILED_STARTS: u32 = 3;

/// What is said of one that is not trusted any more.
const UNASKED_ANSWER: &str = "a worker answered a request a second time, or one that was not made: that is kept beside the backups, and the worker is replaced";

/// The processes of a run, one for each of the pool's workers.
pub struct WorkerProcesses {
    command: CommandTemplate,
    printer: Option<Arc<dyn Printer>>,
    broken: Broken,
    session_id: String,
    stage: Stage,
    large_answers: Option<LargeAnswers>,
    timeout: Option<Duration>,
    stagger: Duration,
    recycle_after: Option<NonZeroU32>,
    adopted: Option<Arc<Adopted>>,
    slots: Slots,
    next_start: Mutex<Instant>,
    requests: AtomicU64,
    has_answered: AtomicBool,
    failed_starts: AtomicU32,
}

impl WorkerProcesses {
    /// Prepares so many processes. None is started before its worker has a PO.
    ///
    /// If this process inherited an ignored SIGCHLD it gets an empty handler for it, as in
    /// [`RecordCommand::new`](crate::RecordCommand::new).
    ///
    /// # Errors
    /// [`Error::Io`](crate::Error::Io) when that handler cannot be had.
    ///
    /// # Panics
    /// If there is no program.
    pub fn new(argv: &[OsString], workers: usize, session_id: &str) -> Result<Self> {
        let command = CommandTemplate::literal(argv);
        heed_children()?;
        Ok(WorkerProcesses {
            command,
            printer: None,
            broken: Broken::default(),
            session_id: session_id.to_owned(),
            stage: Stage::default(),
            large_answers: None,
            timeout: None,
            stagger: Duration::ZERO,
            recycle_after: None,
            adopted: None,
            slots: Slots::new(workers),
            next_start: Mutex::new(Instant::now()),
            requests: AtomicU64::new(0),
            has_answered: AtomicBool::new(false),
            failed_starts: AtomicU32::new(0),
        })
    }

    /// For which stage they work: the main one. In their answers STATUS is the stage's.
    pub fn stage(mut self, stage: &Stage) -> Self {
        self.stage = stage.clone();
        self
    }

    /// Keeps a large answer that is not one, of a line the first [`MAX_LINE_BYTES`](crate::MAX_LINE_BYTES), beside these
    /// backups, instead of its beginning alone.
    pub fn keep_large_answers(mut self, backups: BackupManager) -> Self {
        self.large_answers = Some(LargeAnswers::beside(backups, &self.session_id));
        self
    }

    /// How long one attempt may take, the first one of a process with its start, before its
    /// processes get SIGTERM, and after [`GRACE`](crate::GRACE) SIGKILL.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Hands what they say on stderr to a printer. While that has no room, nothing is asked, and those that print
    /// wait.
    pub fn print_to(mut self, printer: Arc<dyn Printer>) -> Self {
        self.printer = Some(printer);
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

    /// Finds what left a process's group, to end it with the process, as
    /// [`RecordCommand::orphans`](crate::RecordCommand::orphans) does.
    pub fn orphans(mut self, orphans: &Orphans) -> Self {
        self.adopted = Some(orphans.share());
        self
    }

    /// Asks the process of the job's worker, and says what became of the attempt. A worker beyond those that were
    /// prepared for gets one, too.
    pub fn run(&self, job: &Job<'_>) -> Outcome {
        if !has_room_in_time(self.printer.as_ref(), job.stop) {
            return Outcome::Stopped;
        }
        let slot = self.slots.of(job.worker);
        let mut slot = lock(&slot);
        if let Some(mut ended) = slot.take_if(|process| process.has_exited()) {
            self.keep_second(&mut ended, job.stop);
            warn!(worker = job.worker, ending = %described(ended.end()), "a worker ended while it had nothing to do");
        }
        let is_worn = |process: &mut Process| {
            let limit = self.recycle_after;
            limit.is_some_and(|limit| process.answers() >= limit.get())
        };
        if let Some(worn) = slot.take_if(is_worn) {
            self.dismiss([(job.worker, worn)], job.stop);
        }
        let process = match &mut *slot {
            Some(process) => process,
            None => match self.start(job) {
                Ok(process) => slot.insert(process),
                Err(outcome) => return *outcome,
            },
        };
        let request = Request {
            // Relaxed: only that no number comes twice matters.
            id: self.requests.fetch_add(1, Ordering::Relaxed) + 1,
            po_number: job.po,
            key: job.po,
            attempt: job.attempt,
            cells: Cells(job.record.as_ref()),
        };
        let start = Start::now();
        match process.ask(&request, self.timeout, job) {
            Ok(answer) => {
                process.rest(request.id, job.po);
                let is_done = matches!(answer, Answer::Done { .. });
                let second = is_done.then(|| process.take_second()).flatten();
                if let Some(ending) =
                    slot.take_if(|process| process.is_ending() || second.is_some())
                {
                    ending.kill();
                }
                self.has_answered.store(true, Ordering::Relaxed);
                job.process_ended(&start.ended(answer.as_exit()));
                let has_failed = matches!(answer, Answer::Error { .. });
                if has_failed && job.stop.are_jobs_asked_too() {
                    return Outcome::Stopped;
                }
                match (self.outcome(job, answer), second) {
                    (Outcome::Done(updates), Some((_, raw))) => {
                        warn!(key = %Escaped::name(job.po), "{UNASKED_ANSWER}");
                        let second = Malformed::new(UNASKED_ANSWER, &raw);
                        Outcome::Done(self.kept(job, second).beside(updates))
                    }
                    (outcome, _) => outcome,
                }
            }
            Err(mut failure) => {
                let is_new = process.answers() == 0;
                let mut process = slot.take().expect("it was asked");
                self.keep_second(&mut process, job.stop);
                let (ending, said) = process.end_after(&mut failure);
                job.process_ended(&start.ended(ending));
                let has_ended = matches!(failure, Failure::Ended);
                let is_silent = has_ended || matches!(failure, Failure::NoAnswer(_));
                if has_ended && is_of_the_stop(ending, true, job.stop)
                    || is_silent && job.stop.are_jobs_asked_too()
                {
                    return Outcome::Stopped;
                }
                self.replaced(job, failure, (ending, said), is_new)
            }
        }
    }

    /// Lets every process end: closes their stdin, waits, [`FAREWELL`](crate::FAREWELL) at most for all of them, and
    /// kills those that are left.
    pub fn finish(self, stop: &Stop) {
        let processes = self.slots.take_all().into_iter().enumerate();
        self.dismiss(
            processes.filter_map(|(worker, process)| Some((worker, process?))),
            stop,
        );
    }

    fn dismiss(&self, processes: impl IntoIterator<Item = (usize, Process)>, stop: &Stop) {
        dismiss(processes, stop, |process| self.keep_second(process, stop));
    }

    /// Keeps what a process answered a second time, when its row has been recorded.
    fn keep_second(&self, process: &mut Process, stop: &Stop) {
        let Some((po, raw)) = process.take_second() else {
            return;
        };
        let key = Escaped::name(&po);
        warn!(%key, "{UNASKED_ANSWER}");
        let kept = self.large_answers.as_ref();
        if let Some(Err(error)) = kept.map(|kept| kept.keep_bytes(&raw, &po, stop)) {
            warn!(%key, error = %error.chain(), "the answer cannot be kept");
        }
    }

    /// Lets the process of a worker end that the pool has no more ([`Event::Retired`](crate::Event::Retired)).
    pub fn retire(&self, worker: usize, stop: &Stop) {
        let retired = lock(&self.slots.of(worker)).take();
        if let Some(process) = retired {
            self.dismiss([(worker, process)], stop);
        }
    }

    /// Why no process can be started, if that has ended the run.
    pub fn cannot_run(&self) -> Option<&CannotRun> {
        self.broken.reason()
    }

    /// Whether the run was ended because no process ever answered.
    pub fn gave_up(&self) -> bool {
        !self.has_answered.load(Ordering::Relaxed)
            && self.failed_starts.load(Ordering::Relaxed) >= self.allowed_failures()
    }

    fn allowed_failures(&self) -> u32 {
        FAILED_STARTS.saturating_mul(self.slots.count() as u32)
    }

    /// Starts a process once its turn has come.
    fn start(&self, job: &Job<'_>) -> std::result::Result<Process, Box<Outcome>> {
        let due = {
            let mut next = lock(&self.next_start);
            let due = (*next).max(Instant::now());
            *next = due + self.stagger;
            due
        };
        job.stop.sleep_until(due);
        if until(due) > Duration::ZERO || job.stop.level() == StopLevel::Now {
            return Err(Box::new(Outcome::Stopped));
        }
        let mut command = self.command.command(job, &self.stage);
        command
            .env("TICKOFF_SESSION", &self.session_id)
            .env("TICKOFF_WORKER", job.worker.to_string());
        let outcome = match Process::spawn(
            &mut command,
            job,
            self.printer.as_ref(),
            self.adopted.as_ref(),
        ) {
            Ok(Some(process)) => return Ok(process),
            Ok(None) => Outcome::Stopped,
            Err(error) => match self.command.why_not(&error) {
                Some(reason) => self.broken.end_run(reason, job.stop),
                None => not_started(command.program(), &error),
            },
        };
        Err(Box::new(outcome))
    }

    /// What became of an attempt that was answered.
    fn outcome(&self, job: &Job<'_>, answer: Answer) -> Outcome {
        match answer {
            Answer::Done { updates, notes } => {
                for note in notes {
                    warn!(key = %Escaped::name(job.po), "{note}");
                }
                let updates = updates.in_general(&self.stage);
                Outcome::Done(match updates.new_status() {
                    None => updates.set(STATUS, ProcessingStatus::Completed.as_str()),
                    Some(_) => updates,
                })
            }
            Answer::Error {
                message,
                again: Some(asked),
            } => Outcome::Retry(Retry {
                reason: one_line(&message),
                wait: asked.said(job.po),
            }),
            Answer::Error { message, .. } => Outcome::Done(Updates::error(one_line(&message))),
            Answer::Malformed(answer) => {
                Outcome::Done(self.malformed(job, answer, "invalid answer"))
            }
        }
    }

    /// The ERROR of a row whose answer cannot be taken as it is.
    fn malformed(&self, job: &Job<'_>, mut answer: Malformed, what: &str) -> Updates {
        *answer.good = answer.good.in_general(&self.stage);
        self.kept(job, answer).error(what)
    }

    fn kept(&self, job: &Job<'_>, answer: Malformed) -> Malformed {
        let keep = |raw: &[u8]| {
            Some(
                self.large_answers
                    .as_ref()?
                    .keep_bytes(raw, job.po, job.stop),
            )
        };
        answer.kept(keep)
    }

    /// What becomes of a job whose process did not answer as it should, and was ended.
    fn replaced(
        &self,
        job: &Job<'_>,
        failure: Failure,
        (ending, said): (Ending, String),
        is_new: bool,
    ) -> Outcome {
        let is_late = matches!(failure, Failure::TimedOut(_));
        let what = match failure {
            Failure::Stopped => return Outcome::Stopped,
            Failure::TimedOut(timeout) => format!("timed out after {timeout:?}"),
            Failure::NoAnswer(problem) => format!("the worker was replaced, it {problem}"),
            Failure::Unreadable(answer) => {
                // It has answered, though nobody can tell what.
                self.has_answered.store(true, Ordering::Relaxed);
                warn!(worker = job.worker, key = %Escaped::name(job.po), "the worker was replaced, it {}", answer.problem);
                let what = "invalid answer, the worker was replaced";
                return Outcome::Done(self.malformed(job, answer, what));
            }
            Failure::Ended => format!("the worker ended: {}", described(ending)),
        };
        let message = error_message(&what, &said);
        warn!(worker = job.worker, key = %Escaped::name(job.po), "{message}");
        if is_late {
            return Outcome::Done(Updates::error(message));
        }
        if is_new {
            let failed = self.failed_starts.fetch_add(1, Ordering::Relaxed) + 1;
            if self.gave_up() {
                if failed == self.allowed_failures() {
                    error!(
                        "{failed} workers have failed and none has answered: the run ends, and its jobs keep their state"
                    );
                    job.stop.soon();
                }
                return Outcome::Stopped;
            }
        }
        Outcome::Retry(message.into())
    }
}

/// A place for each worker's process.
struct Slots(Mutex<Vec<Slot>>);

type Slot = Arc<Mutex<Option<Process>>>;

impl Slots {
    fn new(workers: usize) -> Slots {
        let mut slots = Vec::new();
        slots.resize_with(workers, Slot::default);
        Slots(Mutex::new(slots))
    }

    fn of(&self, worker: usize) -> Slot {
        let mut slots = lock(&self.0);
        let count = slots.len().max(worker + 1);
        slots.resize_with(count, Slot::default);
        Arc::clone(&slots[worker])
    }

    /// The most workers there were.
    fn count(&self) -> usize {
        lock(&self.0).len()
    }

    fn take_all(&self) -> Vec<Option<Process>> {
        lock(&self.0).iter().map(|slot| lock(slot).take()).collect()
    }
}
