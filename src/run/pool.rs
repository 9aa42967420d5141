//! Workers over a list of POs.
//!
//! This file owns three guarantees. *A crash repeats at most one PO a worker*: a worker takes its
//! next PO only once the result of the last one is durable. *Nothing is done twice that is done*:
//! the PO's present status is looked at each time it is handed out. *No PO ends the run*: a job that
//! panics and a result that is refused cost that PO alone.
//!
//! A result that cannot be made durable waits, and its worker with it, while that may pass: a full
//! disk is not worth a day's work. Only a stop ends the wait. Where waiting helps nothing, the run
//! ends, because every later result would be lost like this one.
//!
//! POs that wait for another attempt lie in a heap, so that no worker waits with them. Nobody has
//! to be woken when one is put there: a worker sleeps only when every PO has been handed out once,
//! and whatever is still running then comes back through the worker that runs it, which is awake.
//! For the same reason a worker may leave as soon as nothing is waiting. Only a stop wakes sleepers.

use crate::text::message::error_message;
use crate::text::message::panic_message;
use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::str::FromStr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tracing::{debug, error, info, warn};

use crate::domain::columns::ERROR_MESSAGE;
use crate::domain::status::ProcessingStatus;
use crate::error::{Error, Result};
use crate::queue::write_queue::{Until, WriteQueue};
use crate::run::ending::ProcessEnd;
use crate::sheet::record::CsvRecord;
use crate::sheet::update::Updates;
use crate::text::escape::Escaped;

/// The longest wait between two attempts at a PO, unless the first wait is longer.
pub const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// How soon a result that found no room is tried again at first; each further wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long results still wait for room after a first stop. A second one ends the wait at once.
const LAST_CHANCE: Duration = Duration::from_secs(5);

/// A number of workers that process a list of POs and record each result as they go.
///
/// ```
/// use tickoff::{Outcome, ProcessingStatus, Updates, WorkerPool};
///
/// let summary = WorkerPool::new(4).run(&["P1", "P2", "P3"], |job| match job.po {
///     "P2" => Outcome::Done(Updates::error("no such order")),
///     _ => Outcome::Done(Updates::status(ProcessingStatus::Completed)),
/// });
/// assert_eq!((summary.completed, summary.errors), (2, 1));
/// ```
pub struct WorkerPool<'a> {
    workers: usize,
    retries: u32,
    backoff: Duration,
    halt: Halt,
    stop: Stop,
    queue: Option<&'a WriteQueue>,
    forced: bool,
    on_event: Option<Box<OnEvent<'a>>>,
}

type OnEvent<'a> = dyn Fn(&Event<'_>) + Sync + 'a;

impl<'a> WorkerPool<'a> {
    /// So many workers (0 counts as 1), the caller's thread being the first of them. One worker
    /// processes the list in its order.
    ///
    /// Without further settings a PO is retried 3 times, first after 1 s; nothing halts the run,
    /// and no result is recorded.
    pub fn new(workers: usize) -> Self {
        WorkerPool {
            workers: workers.max(1),
            retries: 3,
            backoff: Duration::from_secs(1),
            halt: Halt::Never,
            stop: Stop::new(),
            queue: None,
            forced: false,
            on_event: None,
        }
    }

    /// How many more attempts follow a first one that ends in [`Outcome::Retry`].
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How long a PO waits for its second attempt. Each further wait is twice as long, up to
    /// [`MAX_BACKOFF`].
    pub fn backoff(mut self, first: Duration) -> Self {
        self.backoff = first;
        self
    }

    /// After how many failed POs the run ends early.
    pub fn halt(mut self, halt: Halt) -> Self {
        self.halt = halt;
        self
    }

    /// What others stop the run with. The halt policy requests its stop there too.
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// Where results go, and where a PO's present state is looked up. Its writer thread must have
    /// been started.
    pub fn queue(mut self, queue: &'a WriteQueue) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Lets results take a PO out of COMPLETED. POs that are done when their turn comes are skipped
    /// all the same.
    pub fn forced(mut self) -> Self {
        self.forced = true;
        self
    }

    /// Is told each result, after it was recorded, on the thread of the worker that had the PO;
    /// several workers may call it at once.
    pub fn on_result(self, told: impl Fn(&JobResult<'_>) + Sync + 'a) -> Self {
        self.on_event(move |event| {
            if let Event::Finished(result) = event {
                told(result);
            }
        })
    }

    /// Is told all that happens, on the thread of the worker that it happens to; several workers may
    /// call it at once. Takes the place of [`on_result`](WorkerPool::on_result).
    pub fn on_event(mut self, told: impl Fn(&Event<'_>) + Sync + 'a) -> Self {
        self.on_event = Some(Box::new(told));
        self
    }

    /// Processes the POs and returns when every one has a result or the run was stopped.
    ///
    /// With a queue, a PO that is done or gone when its turn comes is skipped; any other gets what
    /// `work` made of it, durable before that worker takes its next PO. On a full disk results wait,
    /// and their workers with them, until there is room or the run is stopped: 5 s longer after
    /// [`Stop::soon`], not longer after [`Stop::now`]. A result that cannot be recorded is logged,
    /// told to the callback, named in `unpersisted`, and leaves its PO as it was. If it could not be
    /// made durable, the queue is stopped or its writer died, the run ends as after
    /// [`Stop::soon`], because no later result could be recorded either. When a thread cannot be
    /// started the run has fewer workers.
    ///
    /// # Panics
    /// If the callback panics; the other workers finish first. A panic in `work` makes its PO an
    /// ERROR.
    pub fn run<S: AsRef<str> + Sync>(
        &self,
        pos: &[S],
        work: impl Fn(&Job<'_>) -> Outcome + Sync,
    ) -> PoolSummary {
        self.run_list(pos, work)
    }

    /// The same for a list whose POs are made as they are needed.
    pub(crate) fn run_list(
        &self,
        pos: &(impl PoList + ?Sized),
        work: impl Fn(&Job<'_>) -> Outcome + Sync,
    ) -> PoolSummary {
        let began = Instant::now();
        let run = Run {
            pool: self,
            pos,
            work: &work,
            schedule: Mutex::default(),
            summary: Mutex::default(),
            waiting: AtomicUsize::new(0),
        };
        thread::scope(|scope| {
            for worker in 1..self.workers.min(pos.len()) {
                let run = &run;
                let thread = thread::Builder::new().name(format!("worker-{worker}"));
                if let Err(error) = thread.spawn_scoped(scope, move || run.serve(worker)) {
                    warn!(%error, "the run has only {worker} of {} workers", self.workers);
                    break;
                }
            }
            run.serve(0);
        });
        let mut summary = run
            .summary
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        summary.not_run = pos.len() - summary.processed();
        summary.elapsed = began.elapsed();
        summary
    }
}

/// The POs of a run.
pub(crate) trait PoList: Sync {
    fn len(&self) -> usize;
    fn po(&self, index: usize) -> Cow<'_, str>;
}

impl<S: AsRef<str> + Sync> PoList for [S] {
    fn len(&self) -> usize {
        <[S]>::len(self)
    }

    fn po(&self, index: usize) -> Cow<'_, str> {
        Cow::Borrowed(self[index].as_ref())
    }
}

/// One attempt at one PO.
pub struct Job<'a> {
    /// Which PO.
    pub po: &'a str,
    /// Its row as it is now; `None` when the pool has no queue.
    pub record: Option<CsvRecord>,
    /// 0-based number of the worker.
    pub worker: usize,
    /// 1-based number of the attempt.
    pub attempt: u32,
    /// Where a long job looks whether it is to break off ([`StopLevel::Now`]).
    pub stop: &'a Stop,
    pub(crate) on_event: Option<&'a OnEvent<'a>>,
}

impl Job<'_> {
    /// Tells the observer of the run how far the job is, in a few words.
    pub fn report(&self, text: &str) {
        if let Some(told) = self.on_event {
            told(&Event::Reported { job: self, text });
        }
    }

    /// Tells the observer of the run how a process that worked on this attempt ended.
    pub fn process_ended(&self, process: &ProcessEnd) {
        if let Some(told) = self.on_event {
            told(&Event::ProcessEnded { job: self, process });
        }
    }
}

/// What happens in a run.
pub enum Event<'a> {
    /// An attempt begins.
    Started(&'a Job<'a>),
    /// A job says how far it is ([`Job::report`]).
    Reported {
        /// Which.
        job: &'a Job<'a>,
        /// In a few words, as it said them.
        text: &'a str,
    },
    /// A process that worked on an attempt is gone; what becomes of the attempt is told next.
    ProcessEnded {
        /// Which attempt.
        job: &'a Job<'a>,
        /// How it ended, and when it ran.
        process: &'a ProcessEnd,
    },
    /// An attempt failed, and another one follows.
    Postponed {
        /// The attempt that failed.
        job: &'a Job<'a>,
        /// Why.
        reason: &'a str,
        /// How long it took.
        duration: Duration,
        /// How long the PO waits for its next attempt.
        wait: Duration,
    },
    /// An attempt was broken off by a stop; its PO keeps its state.
    BrokenOff(&'a Job<'a>),
    /// A PO has a result, or was skipped.
    Finished(JobResult<'a>),
}

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The PO is processed; these cells are to be written. Their status is its result.
    Done(Updates),
    /// Try again later. After the last attempt the PO becomes ERROR with this message.
    Retry(String),
    /// Broken off because of [`StopLevel::Now`]: the PO keeps its state, for the next run.
    Stopped,
}

/// The result of one PO, as told to the callback.
#[derive(Debug, Clone)]
pub struct JobResult<'a> {
    /// Which PO.
    pub po: &'a str,
    /// How it counts.
    pub verdict: Verdict,
    /// What `work` wanted to be written; empty if the PO was skipped before it got to `work`.
    pub updates: &'a Updates,
    /// Whether that is durable. `Ok` also when there was nothing to write or no queue.
    pub persisted: Result<()>,
    /// 0-based number of the worker.
    pub worker: usize,
    /// How many attempts it took; 0 if it was skipped before its first one.
    pub attempts: u32,
    /// How long the last attempt took, without recording its result.
    pub duration: Duration,
    /// How many POs have a result, including this one.
    pub processed: usize,
    /// How many POs the run has.
    pub total: usize,
}

/// How a PO counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Its status is COMPLETED.
    Completed,
    /// Its status is ERROR.
    Error,
    /// Its status is NO_ATTACHMENTS.
    NoAttachments,
    /// It got cells but none of these statuses.
    Other,
    /// It was done or gone when its turn came, or somebody else completed it meanwhile.
    Skipped,
}

impl Verdict {
    fn of(updates: &Updates) -> Self {
        match updates.new_status() {
            Some(ProcessingStatus::Completed) => Verdict::Completed,
            Some(ProcessingStatus::Error) => Verdict::Error,
            Some(ProcessingStatus::NoAttachments) => Verdict::NoAttachments,
            _ => Verdict::Other,
        }
    }
}

/// What a run did. The first six counts add up to the number of POs.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolSummary {
    /// POs whose result is COMPLETED.
    pub completed: usize,
    /// POs whose result is ERROR.
    pub errors: usize,
    /// POs whose result is NO_ATTACHMENTS.
    pub no_attachments: usize,
    /// POs whose result has none of these statuses.
    pub other: usize,
    /// POs that were done or gone when their turn came, or that somebody else completed meanwhile.
    pub skipped: usize,
    /// POs that a stop left as they were: not begun, waiting for another attempt, or broken off.
    pub not_run: usize,
    /// Attempts after the first, over all POs.
    pub retried: usize,
    /// The POs of results, counted above by what they say, that are not durable.
    pub unpersisted: Vec<String>,
    /// Whether the halt policy ended the run.
    pub halted: bool,
    /// From the start of the run to its end.
    pub elapsed: Duration,
    /// Time spent in `work`, over all workers.
    pub working: Duration,
    /// Time spent waiting for results to be durable, over all workers.
    pub recording: Duration,
}

impl PoolSummary {
    /// POs that have a result or were skipped.
    pub fn processed(&self) -> usize {
        self.completed + self.errors + self.no_attachments + self.other + self.skipped
    }

    /// POs that have a result.
    fn results(&self) -> usize {
        self.processed() - self.skipped
    }

    fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Completed => &mut self.completed,
            Verdict::Error => &mut self.errors,
            Verdict::NoAttachments => &mut self.no_attachments,
            Verdict::Other => &mut self.other,
            Verdict::Skipped => &mut self.skipped,
        } += 1;
    }
}

/// After how many failed POs (ERROR after their last attempt) a run ends early.
///
/// ```
/// use tickoff::{Failures, Halt};
///
/// assert_eq!("soon,fail=3".parse(), Ok(Halt::Soon { fail: Failures::Count(3) }));
/// assert_eq!("now,fail=10%".parse(), Ok(Halt::Now { fail: Failures::Percent(10) }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Halt {
    /// It does not.
    #[default]
    Never,
    /// After so many, running jobs are left to finish.
    Soon {
        /// How many.
        fail: Failures,
    },
    /// After so many, running jobs are broken off.
    Now {
        /// How many.
        fail: Failures,
    },
}

/// A number of failed POs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failures {
    /// So many, at least 1.
    Count(usize),
    /// So many of a hundred POs that have a result, 1 to 100, and at least [`FEWEST_FAILURES`]: the
    /// first results say little about the rest.
    Percent(u8),
}

/// How many POs must have failed before a percentage of them halts a run.
pub const FEWEST_FAILURES: usize = 3;

impl Failures {
    fn are_reached(self, summary: &PoolSummary) -> bool {
        match self {
            Failures::Count(count) => summary.errors >= count,
            Failures::Percent(percent) => {
                summary.errors >= FEWEST_FAILURES
                    && summary.errors as u128 * 100
                        >= summary.results() as u128 * u128::from(percent)
            }
        }
    }
}

impl Halt {
    /// What the failures so far call for.
    fn after(self, summary: &PoolSummary) -> StopLevel {
        match self {
            Halt::Soon { fail } if fail.are_reached(summary) => StopLevel::Soon,
            Halt::Now { fail } if fail.are_reached(summary) => StopLevel::Now,
            _ => StopLevel::Continue,
        }
    }
}

impl FromStr for Halt {
    type Err = InvalidHalt;

    /// Reads `never`, `soon,fail=N`, `now,fail=N`, `soon,fail=N%` or `now,fail=N%`.
    fn from_str(text: &str) -> std::result::Result<Self, InvalidHalt> {
        let invalid = || InvalidHalt(text.to_owned());
        if text == "never" {
            return Ok(Halt::Never);
        }
        let (when, fail) = text.split_once(",fail=").ok_or_else(invalid)?;
        let fail = match fail.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| (1..=100).contains(percent))
                .map(Failures::Percent),
            None => fail
                .parse()
                .ok()
                .filter(|&count| count > 0)
                .map(Failures::Count),
        };
        let fail = fail.ok_or_else(invalid)?;
        match when {
            "soon" => Ok(Halt::Soon { fail }),
            "now" => Ok(Halt::Now { fail }),
            _ => Err(invalid()),
        }
    }
}

/// A text that is no halt policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not never, soon,fail=N or now,fail=N, with N of at least 1, or 1% to 100%",
    Escaped::text(.0)
)]
pub struct InvalidHalt(String);

/// Stops a run from another thread. Clones stop the same run; a stop is never taken back.
///
/// It may be used by a thread that handles signals, not inside a signal handler.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    /// Never falls.
    level: Mutex<StopLevel>,
    raised: Condvar,
}

/// How urgently a run is to end.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum StopLevel {
    /// No stop was requested.
    #[default]
    Continue,
    /// Hand out nothing more and let running jobs finish.
    Soon,
    /// Break off running jobs as well.
    Now,
}

impl Stop {
    /// No stop requested.
    pub fn new() -> Self {
        Self::default()
    }

    /// Nothing more is handed out; running jobs finish, and POs that wait for another attempt keep
    /// their state.
    pub fn soon(&self) {
        self.raise(StopLevel::Soon);
    }

    /// As [`soon`](Stop::soon), and running jobs break off, which commands do within 50 ms plus
    /// the second that they are given to end themselves.
    pub fn now(&self) {
        self.raise(StopLevel::Now);
    }

    /// How urgently the run is to end.
    pub fn level(&self) -> StopLevel {
        *lock(&self.0.level)
    }

    /// Whether the run is to end.
    pub fn is_requested(&self) -> bool {
        self.level() > StopLevel::Continue
    }

    fn raise(&self, to: StopLevel) {
        let mut level = lock(&self.0.level);
        if to > *level {
            *level = to;
            self.0.raised.notify_all();
        }
    }

    /// Returns at that time, or at once when a stop is requested.
    pub(crate) fn sleep_until(&self, due: Instant) {
        self.sleep_at(StopLevel::Continue, due);
    }

    /// Returns at that time, or at once when a more urgent stop than this is requested.
    fn sleep_at(&self, known: StopLevel, due: Instant) {
        let mut level = lock(&self.0.level);
        while *level <= known {
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.0.raised.wait_timeout(level, left);
            level = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// What the workers of one run share.
struct Run<'r, 'a, L: ?Sized, W> {
    pool: &'r WorkerPool<'a>,
    pos: &'r L,
    work: &'r W,
    schedule: Mutex<Schedule>,
    summary: Mutex<PoolSummary>,
    /// How many results wait for room. Counted by the workers that have them; only what is said
    /// hangs on it.
    waiting: AtomicUsize,
}

impl<L: PoList + ?Sized, W: Fn(&Job<'_>) -> Outcome> Run<'_, '_, L, W> {
    fn serve(&self, worker: usize) {
        while let Some(task) = self.next_task() {
            self.process(worker, task);
        }
    }

    fn next_task(&self) -> Option<Task> {
        loop {
            if self.pool.stop.is_requested() {
                return None;
            }
            let next = lock(&self.schedule).next(self.pos.len(), Instant::now());
            match next {
                Next::Task(task) => return Some(task),
                Next::At(due) => self.pool.stop.sleep_until(due),
                Next::Nothing => return None,
            }
        }
    }

    fn process(&self, worker: usize, task: Task) {
        let po = &*self.pos.po(task.index);
        let record = match self.pool.queue.map(|queue| present(queue, po)) {
            None => None,
            Some(Some(record)) => Some(record),
            Some(None) => {
                return self.conclude(Conclusion {
                    worker,
                    attempts: task.attempt - 1,
                    ..Conclusion::skipped(po)
                });
            }
        };
        if task.attempt > 1 {
            lock(&self.summary).retried += 1;
        }
        let job = Job {
            po,
            record,
            worker,
            attempt: task.attempt,
            stop: &self.pool.stop,
            on_event: self.pool.on_event.as_deref(),
        };
        self.tell(&Event::Started(&job));
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(&job)))
            .unwrap_or_else(|panic| Outcome::Done(Updates::error(panic_message(&*panic))));
        let duration = began.elapsed();
        lock(&self.summary).working += duration;

        let updates = match outcome {
            Outcome::Done(updates) => updates,
            Outcome::Retry(message) if task.attempt <= self.pool.retries => {
                return self.postpone(task, &job, &message, duration);
            }
            Outcome::Retry(message) => Updates::error(message),
            Outcome::Stopped => return self.tell(&Event::BrokenOff(&job)),
        };
        let (verdict, persisted) = self.record(po, &updates);
        self.conclude(Conclusion {
            po,
            verdict,
            updates,
            persisted,
            worker,
            attempts: task.attempt,
            duration,
        });
    }

    fn postpone(&self, task: Task, job: &Job<'_>, reason: &str, duration: Duration) {
        let wait = backoff(self.pool.backoff, task.attempt);
        info!(
            po = %Escaped::text(job.po),
            reason = %Escaped::text(reason),
            "attempt {} is to be repeated in {wait:?}",
            task.attempt
        );
        self.tell(&Event::Postponed {
            job,
            reason,
            duration,
            wait,
        });
        let again = Task {
            attempt: task.attempt + 1,
            ..task
        };
        // A wait beyond what the clock can express is one that no run lives to see.
        if let Some(due) = Instant::now().checked_add(wait) {
            lock(&self.schedule).delayed.push(Reverse((due, again)));
        }
    }

    /// Makes a result durable, and says how it counts.
    fn record(&self, po: &str, updates: &Updates) -> (Verdict, Result<()>) {
        let verdict = Verdict::of(updates);
        let Some(queue) = self.pool.queue.filter(|_| !updates.is_empty()) else {
            return (verdict, Ok(()));
        };
        let began = Instant::now();
        let persisted = self.persist(queue, po, updates);
        lock(&self.summary).recording += began.elapsed();

        match &persisted {
            Ok(()) => (verdict, persisted),
            Err(Error::Transition {
                from: ProcessingStatus::Completed,
                ..
            }) => {
                warn!(po = %Escaped::text(po), "skipped: it was completed meanwhile, that result stays");
                (Verdict::Skipped, Ok(()))
            }
            Err(refused @ (Error::InvalidValue { .. } | Error::UnknownColumn { .. }))
                if verdict != Verdict::Error =>
            {
                self.record(
                    po,
                    &Updates::error(error_message(
                        "the result was refused",
                        &refused.to_string(),
                    )),
                )
            }
            Err(refused) => {
                error!(po = %Escaped::text(po), error = %refused.chain(), "its result is not recorded");
                if matches!(
                    refused,
                    Error::NotDurable { .. } | Error::QueueStopped | Error::WriterDied { .. }
                ) {
                    self.pool.stop.soon();
                }
                (verdict, persisted)
            }
        }
    }

    /// Submits a result until it is durable, or until that cannot or may not be waited for.
    fn persist(&self, queue: &WriteQueue, po: &str, updates: &Updates) -> Result<()> {
        let submit = || {
            let operation = match self.pool.forced {
                true => queue.submit_forced(po, updates.clone()),
                false => queue.submit_write(po, updates.clone()),
            }?;
            queue.wait(&operation, Until::Durable)
        };
        match submit() {
            Err(error) if error.may_pass() => {
                if self.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
                    error!(error = %error.chain(), "results wait until they can be written, and their workers with them; a stop gives them up");
                }
                let done = self.keep_trying(submit, error);
                if self.waiting.fetch_sub(1, Ordering::Relaxed) == 1 && done.is_ok() {
                    info!("no result waits any more");
                }
                done
            }
            done => done,
        }
    }

    fn keep_trying(&self, submit: impl Fn() -> Result<()>, mut error: Error) -> Result<()> {
        let mut wait = FIRST_WAIT;
        let mut give_up_at = None;
        loop {
            let level = self.pool.stop.level();
            let now = Instant::now();
            let mut due = now + wait;
            if level > StopLevel::Continue {
                let last = *give_up_at.get_or_insert(now + LAST_CHANCE);
                if level == StopLevel::Now || now >= last {
                    return Err(error);
                }
                due = due.min(last);
            }
            self.pool.stop.sleep_at(level, due);
            wait = (wait * 2).min(LONGEST_WAIT);
            match submit() {
                Err(again) if again.may_pass() => error = again,
                done => return done,
            }
        }
    }

    /// Counts a result, ends the run if it was one failure too many, and tells the callback.
    fn conclude(&self, done: Conclusion<'_>) {
        let Conclusion {
            po,
            verdict,
            updates,
            persisted,
            worker,
            attempts,
            duration,
        } = done;
        match verdict {
            Verdict::Error => {
                let reason = updates.get(ERROR_MESSAGE).unwrap_or_default();
                warn!(po = %Escaped::text(po), reason = %Escaped::text(reason), attempts, "failed");
            }
            _ => debug!(po = %Escaped::text(po), ?verdict, attempts, ?duration, "processed"),
        }
        let processed = {
            let mut summary = lock(&self.summary);
            summary.count(verdict);
            if persisted.is_err() {
                summary.unpersisted.push(po.to_owned());
            }
            let level = self.pool.halt.after(&summary);
            if level > StopLevel::Continue && !summary.halted {
                summary.halted = true;
                let (errors, results) = (summary.errors, summary.results());
                warn!("{errors} of {results} POs failed: the run is halted");
                self.pool.stop.raise(level);
            }
            summary.processed()
        };
        self.tell(&Event::Finished(JobResult {
            po,
            verdict,
            updates: &updates,
            persisted,
            worker,
            attempts,
            duration,
            processed,
            total: self.pos.len(),
        }));
    }

    fn tell(&self, event: &Event<'_>) {
        if let Some(told) = &self.pool.on_event {
            told(event);
        }
    }
}

/// How one PO ended.
struct Conclusion<'a> {
    po: &'a str,
    verdict: Verdict,
    updates: Updates,
    persisted: Result<()>,
    worker: usize,
    attempts: u32,
    duration: Duration,
}

impl<'a> Conclusion<'a> {
    fn skipped(po: &'a str) -> Self {
        Conclusion {
            po,
            verdict: Verdict::Skipped,
            updates: Updates::new(),
            persisted: Ok(()),
            worker: 0,
            attempts: 0,
            duration: Duration::ZERO,
        }
    }
}

/// Which POs are still to be handed out.
#[derive(Default)]
struct Schedule {
    /// How many POs, from the start of the list, had their first attempt.
    begun: usize,
    /// POs that wait for another attempt, the earliest due on top.
    delayed: BinaryHeap<Reverse<(Instant, Task)>>,
}

/// An attempt that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Task {
    /// Place of the PO in the list.
    index: usize,
    /// 1-based.
    attempt: u32,
}

#[derive(Debug, PartialEq)]
enum Next {
    Task(Task),
    At(Instant),
    Nothing,
}

impl Schedule {
    fn next(&mut self, total: usize, now: Instant) -> Next {
        let earliest = self.delayed.peek().map(|Reverse((due, _))| *due);
        match earliest {
            Some(due) if due <= now => {
                let Reverse((_, task)) = self.delayed.pop().expect("it was peeked at");
                Next::Task(task)
            }
            _ if self.begun < total => {
                self.begun += 1;
                Next::Task(Task {
                    index: self.begun - 1,
                    attempt: 1,
                })
            }
            Some(due) => Next::At(due),
            None => Next::Nothing,
        }
    }
}

/// The PO's row, unless it is done or gone.
fn present(queue: &WriteQueue, po: &str) -> Option<CsvRecord> {
    let handler = queue.handler();
    handler
        .record(po)
        .filter(|record| !handler.is_done(&record.status))
}

/// The wait after that attempt (1-based).
fn backoff(first: Duration, attempt: u32) -> Duration {
    let doubled = 2u32.saturating_pow(attempt - 1);
    first.saturating_mul(doubled).min(MAX_BACKOFF.max(first))
}

/// No panic can happen while one of these locks is held in a way that leaves its value half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::mpsc;

    const COMPLETED: ProcessingStatus = ProcessingStatus::Completed;

    fn done(status: ProcessingStatus) -> Outcome {
        Outcome::Done(Updates::status(status))
    }

    fn pos(count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("P{number}")).collect()
    }

    /// completed, errors, no_attachments, other, skipped, not_run
    fn counts(summary: &PoolSummary) -> [usize; 6] {
        let &PoolSummary {
            completed,
            errors,
            no_attachments,
            other,
            skipped,
            not_run,
            ..
        } = summary;
        [completed, errors, no_attachments, other, skipped, not_run]
    }

    #[test]
    fn every_po_is_processed_once_whatever_the_number_of_workers() {
        for workers in [0, 1, 3, 100] {
            let seen = Mutex::new(Vec::new());
            let summary = WorkerPool::new(workers).run(&pos(50), |job| {
                lock(&seen).push(job.po.to_owned());
                done(COMPLETED)
            });
            let mut seen = seen.into_inner().unwrap();
            seen.sort_by_key(|po| po[1..].parse::<usize>().unwrap());
            assert_eq!(seen, pos(50), "{workers} workers");
            assert_eq!(counts(&summary), [50, 0, 0, 0, 0, 0]);
        }
    }

    #[test]
    fn no_pos_are_no_work() {
        let summary = WorkerPool::new(4).run(&pos(0), |_| unreachable!());
        assert_eq!(counts(&summary), [0; 6]);
    }

    #[test]
    fn one_worker_keeps_the_order_of_the_list() {
        let seen = Mutex::new(Vec::new());
        WorkerPool::new(1).run(&["P3", "P1", "P2"], |job| {
            lock(&seen).push(job.po.to_owned());
            done(COMPLETED)
        });
        assert_eq!(*lock(&seen), ["P3", "P1", "P2"]);
    }

    #[test]
    fn workers_work_at_the_same_time() {
        let all_here = (Mutex::new(0), Condvar::new());
        let summary = WorkerPool::new(3).run(&pos(3), |job| {
            let mut here = lock(&all_here.0);
            *here += 1;
            all_here.1.notify_all();
            let patience = Duration::from_secs(20);
            let (_here, timeout) = all_here
                .1
                .wait_timeout_while(here, patience, |here| *here < 3)
                .unwrap();
            assert!(!timeout.timed_out(), "{} waits alone", job.po);
            done(COMPLETED)
        });
        assert_eq!(summary.completed, 3);
    }

    #[test]
    fn results_are_counted_by_their_status() {
        let summary = WorkerPool::new(2).run(&pos(4), |job| match job.po {
            "P1" => done(COMPLETED),
            "P2" => Outcome::Done(Updates::error("no")),
            "P3" => done(ProcessingStatus::NoAttachments),
            _ => Outcome::Done([("SUPPLIER", "Acme")].into()),
        });
        assert_eq!(counts(&summary), [1, 1, 1, 1, 0, 0]);
        assert!(!summary.halted);
    }

    #[test]
    fn the_observer_is_told_what_happens_in_order() {
        let told = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1)
            .backoff(Duration::ZERO)
            .on_event(|event| {
                lock(&told).push(match event {
                    Event::Started(job) => format!("{} begins, attempt {}", job.po, job.attempt),
                    Event::Reported { job, text } => format!("{}: {text}", job.po),
                    Event::ProcessEnded { job, process } => {
                        format!("{}: {:?}", job.po, process.ending)
                    }
                    Event::Postponed { job, reason, .. } => format!("{} later: {reason}", job.po),
                    Event::BrokenOff(job) => format!("{} broken off", job.po),
                    Event::Finished(result) => format!("{} {:?}", result.po, result.verdict),
                });
            });
        pool.run(&pos(2), |job| {
            if job.po == "P2" {
                return Outcome::Stopped;
            }
            job.report("half");
            job.process_ended(&ProcessEnd {
                started: std::time::SystemTime::now(),
                runtime: Duration::ZERO,
                ending: crate::run::ending::Ending::Exit(75),
            });
            match job.attempt {
                1 => Outcome::Retry("busy".into()),
                _ => done(COMPLETED),
            }
        });
        assert_eq!(
            *lock(&told),
            [
                "P1 begins, attempt 1",
                "P1: half",
                "P1: Exit(75)",
                "P1 later: busy",
                "P1 begins, attempt 2",
                "P1: half",
                "P1: Exit(75)",
                "P1 Completed",
                "P2 begins, attempt 1",
                "P2 broken off"
            ]
        );
    }

    #[test]
    fn a_panic_makes_its_po_an_error_and_the_pool_goes_on() {
        let messages = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1).on_result(|result| {
            lock(&messages).extend(result.updates.get(ERROR_MESSAGE).map(str::to_owned));
        });
        let summary = pool.run(&pos(3), |job| match job.po {
            "P1" => panic!("out of\n{}", "paper\u{1b}"),
            "P2" => std::panic::panic_any(7),
            _ => done(COMPLETED),
        });
        assert_eq!(counts(&summary), [1, 2, 0, 0, 0, 0]);
        assert_eq!(
            *lock(&messages),
            ["panicked: out of | paper\\u{1b}", "panicked: (no message)"]
        );
    }

    #[test]
    fn a_po_is_tried_again_until_its_attempts_are_used_up() {
        let attempts = Mutex::new(Vec::new());
        let told = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1)
            .retries(2)
            .backoff(Duration::ZERO)
            .on_result(|result| {
                lock(&told).push((result.attempts, result.updates.clone()));
            });
        let summary = pool.run(&["P1"], |job| {
            lock(&attempts).push(job.attempt);
            Outcome::Retry(format!("busy {}", job.attempt))
        });
        assert_eq!(*lock(&attempts), [1, 2, 3]);
        assert_eq!(*lock(&told), [(3, Updates::error("busy 3"))]);
        assert_eq!((counts(&summary), summary.retried), ([0, 1, 0, 0, 0, 0], 2));
    }

    #[test]
    fn a_po_that_waits_for_another_attempt_does_not_hold_its_worker() {
        let seen = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1).backoff(Duration::from_millis(100));
        let summary = pool.run(&pos(3), |job| {
            lock(&seen).push((job.po.to_owned(), job.attempt));
            match (job.po, job.attempt) {
                ("P1", 1) => Outcome::Retry("busy".into()),
                _ => done(COMPLETED),
            }
        });
        let seen: Vec<_> = seen.into_inner().unwrap();
        assert_eq!(
            seen.iter()
                .map(|(po, attempt)| (&**po, *attempt))
                .collect::<Vec<_>>(),
            [("P1", 1), ("P2", 1), ("P3", 1), ("P1", 2)]
        );
        assert_eq!(summary.completed, 3);
    }

    #[test]
    fn a_po_whose_wait_is_over_goes_before_new_ones() {
        let now = Instant::now();
        let again = |index| Task { index, attempt: 2 };
        let first = |index| Next::Task(Task { index, attempt: 1 });
        let mut schedule = Schedule {
            begun: 2,
            ..Schedule::default()
        };
        schedule
            .delayed
            .push(Reverse((now + Duration::from_secs(9), again(0))));
        schedule
            .delayed
            .push(Reverse((now + Duration::from_secs(5), again(1))));

        assert_eq!(schedule.next(4, now), first(2));
        assert_eq!(
            schedule.next(4, now + Duration::from_secs(5)),
            Next::Task(again(1))
        );
        assert_eq!(schedule.next(4, now + Duration::from_secs(5)), first(3));
        assert_eq!(
            schedule.next(4, now + Duration::from_secs(5)),
            Next::At(now + Duration::from_secs(9))
        );
        assert_eq!(
            schedule.next(4, now + Duration::from_secs(9)),
            Next::Task(again(0))
        );
        assert_eq!(
            schedule.next(4, now + Duration::from_secs(9)),
            Next::Nothing
        );
    }

    #[test]
    fn each_wait_is_twice_the_last_up_to_a_limit() {
        let second = Duration::from_secs(1);
        assert_eq!(
            [1, 2, 3, 9, 10, 100].map(|attempt| backoff(second, attempt).as_secs()),
            [1, 2, 4, 256, 300, 300]
        );
        assert_eq!(backoff(MAX_BACKOFF * 2, 3), MAX_BACKOFF * 2);
    }

    #[test]
    fn a_stop_hands_out_nothing_more_and_lets_running_jobs_finish() {
        let stop = Stop::new();
        let summary = WorkerPool::new(1).stop(&stop).run(&pos(3), |job| {
            stop.soon();
            assert_eq!(job.stop.level(), StopLevel::Soon);
            done(COMPLETED)
        });
        assert_eq!(counts(&summary), [1, 0, 0, 0, 0, 2]);
        assert!(!summary.halted);
    }

    #[test]
    fn a_stop_wakes_workers_that_wait_and_leaves_their_pos_as_they_were() {
        let stop = Stop::new();
        let (waits, is_waiting) = mpsc::channel();
        let summary = thread::scope(|scope| {
            let stop = &stop;
            scope.spawn(move || {
                is_waiting.iter().take(2).for_each(drop);
                stop.soon();
            });
            let told = |_: &JobResult<'_>| panic!("there is no result");
            let pool = WorkerPool::new(2)
                .stop(stop)
                .backoff(Duration::from_secs(3600))
                .on_result(told);
            pool.run(&pos(2), |_| {
                waits.send(()).unwrap();
                Outcome::Retry("busy".into())
            })
        });
        assert_eq!((counts(&summary), summary.retried), ([0, 0, 0, 0, 0, 2], 0));
    }

    #[test]
    fn a_job_that_was_broken_off_leaves_its_po_as_it_was() {
        let summary = WorkerPool::new(1).run(&pos(2), |job| match job.po {
            "P1" => Outcome::Stopped,
            _ => done(COMPLETED),
        });
        assert_eq!(counts(&summary), [1, 0, 0, 0, 0, 1]);
    }

    #[test]
    fn a_stop_is_never_taken_back() {
        let stop = Stop::new();
        assert!(!stop.is_requested());
        let clone = stop.clone();
        clone.now();
        stop.soon();
        assert_eq!(stop.level(), StopLevel::Now);
    }

    #[track_caller]
    fn check_halt(halt: Halt, want: [usize; 6], level: StopLevel) {
        let stop = Stop::new();
        let pool = WorkerPool::new(1)
            .stop(&stop)
            .halt(halt)
            .retries(1)
            .backoff(Duration::ZERO);
        let summary = pool.run(&pos(6), |job| match (job.po, job.attempt) {
            ("P1", 1) => Outcome::Retry("a failed attempt is no failed PO".into()),
            ("P2" | "P4" | "P6", _) => Outcome::Done(Updates::error("no")),
            _ => done(COMPLETED),
        });
        assert_eq!(counts(&summary), want);
        assert_eq!(
            (summary.halted, stop.level()),
            (level > StopLevel::Continue, level)
        );
    }

    #[test]
    fn a_run_is_halted_after_so_many_failed_pos() {
        check_halt(Halt::Never, [3, 3, 0, 0, 0, 0], StopLevel::Continue);
        let soon = |count| Halt::Soon {
            fail: Failures::Count(count),
        };
        let now = |count| Halt::Now {
            fail: Failures::Count(count),
        };
        check_halt(soon(2), [2, 2, 0, 0, 0, 2], StopLevel::Soon);
        check_halt(now(1), [1, 1, 0, 0, 0, 4], StopLevel::Now);
        check_halt(now(4), [3, 3, 0, 0, 0, 0], StopLevel::Continue);
    }

    #[test]
    fn a_percentage_is_of_the_results_so_far_and_needs_three_failures() {
        let soon = |percent| Halt::Soon {
            fail: Failures::Percent(percent),
        };
        let after = |halt: Halt, errors, completed, skipped| {
            halt.after(&PoolSummary {
                errors,
                completed,
                skipped,
                ..PoolSummary::default()
            })
        };
        assert_eq!(after(soon(50), 2, 0, 0), StopLevel::Continue);
        assert_eq!(after(soon(100), 3, 0, 7), StopLevel::Soon);
        assert_eq!(after(soon(50), 3, 3, 7), StopLevel::Soon);
        assert_eq!(after(soon(50), 3, 4, 0), StopLevel::Continue);
        assert_eq!(after(soon(1), 3, 297, 0), StopLevel::Soon);
        assert_eq!(after(soon(1), 3, 298, 0), StopLevel::Continue);
        // P2, P4 and P6 fail of six.
        check_halt(soon(50), [3, 3, 0, 0, 0, 0], StopLevel::Soon);
        check_halt(soon(51), [3, 3, 0, 0, 0, 0], StopLevel::Continue);
    }

    #[test]
    fn a_halt_policy_is_read_from_text() {
        assert_eq!("never".parse(), Ok(Halt::Never));
        let fail = Failures::Count(1);
        assert_eq!("soon,fail=1".parse(), Ok(Halt::Soon { fail }));
        let fail = Failures::Count(20);
        assert_eq!("now,fail=20".parse(), Ok(Halt::Now { fail }));
        let fail = Failures::Percent(100);
        assert_eq!("now,fail=100%".parse(), Ok(Halt::Now { fail }));
        for wrong in [
            "",
            "soon",
            "soon,fail=0",
            "soon,fail=-1",
            "later,fail=1",
            "now,fail=0%",
            "now,fail=101%",
            "now,fail=%",
            "now,fail=1.5%",
        ] {
            assert_eq!(wrong.parse::<Halt>(), Err(InvalidHalt(wrong.to_owned())));
        }
        assert_eq!(
            "now,\u{1b}".parse::<Halt>().unwrap_err().to_string(),
            "now,\\u{1b} is not never, soon,fail=N or now,fail=N, with N of at least 1, or 1% to 100%"
        );
    }

    #[test]
    fn the_callback_is_told_how_far_the_run_is() {
        let told = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1).on_result(|result| {
            assert!(result.persisted.is_ok());
            lock(&told).push((
                result.po.to_owned(),
                result.verdict,
                result.processed,
                result.total,
            ));
        });
        pool.run(&pos(2), |job| match job.po {
            "P1" => Outcome::Done(Updates::error("no")),
            _ => done(COMPLETED),
        });
        assert_eq!(
            *lock(&told),
            [
                ("P1".into(), Verdict::Error, 1, 2),
                ("P2".into(), Verdict::Completed, 2, 2)
            ]
        );
    }
}
