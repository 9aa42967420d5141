//! What the code that works on a row is given and says, and what an observer is told of it.
//!
//! [`Job`] goes in, [`Outcome`] comes out. Everything between the two, and what becomes of the outcome,
//! is an [`Event`]: observers see a run through this one stream.

use std::time::Duration;

use crate::error::Result;
use crate::run::control::Change;
use crate::run::ending::ProcessEnd;
use crate::run::stop::Stop;
use crate::run::summary::Verdict;
use crate::sheet::{CsvRecord, Updates};

/// One attempt at one row.
pub struct Job<'a> {
    /// The key of its row.
    pub po: &'a str,
    /// Its row as it is now; `None` when the pool has no queue.
    pub record: Option<CsvRecord>,
    /// 0-based number of the worker.
    pub worker: usize,
    /// 1-based number of the attempt.
    pub attempt: u32,
    /// Whether it is the last one: no other follows if it ends in [`Outcome::Retry`].
    pub is_last: bool,
    /// Where a long job looks whether it is to break off ([`StopLevel::Now`](crate::StopLevel::Now)).
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

/// What became of an attempt.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The row is processed; these cells are to be written. Their status is its result.
    Done(Updates),
    /// Try again later. After the last attempt the row becomes ERROR with this reason.
    Retry(Retry),
    /// Broken off, or not begun, because the run ends: the row keeps its state, for the next run.
    Stopped,
}

/// Another attempt that is asked for.
///
/// ```
/// use std::time::Duration;
/// use tickoff::{Outcome, Retry, Wait};
///
/// let busy = Outcome::Retry("busy".into());
/// let limited = Outcome::Retry(Retry {
///     reason: "429 Too Many Requests".to_owned(),
///     wait: Wait::Run(Duration::from_secs(30)),
/// });
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Retry {
    /// Why.
    pub reason: String,
    /// When.
    pub wait: Wait,
}

/// How long another attempt waits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Wait {
    /// As long as the pool says ([`WorkerPool::backoff`](crate::WorkerPool::backoff)).
    Backoff,
    /// So long.
    Row(Duration),
    /// So long, and until then the run starts nothing else either. What is running goes on.
    Run(Duration),
}

impl From<String> for Retry {
    fn from(reason: String) -> Self {
        Retry {
            reason,
            wait: Wait::Backoff,
        }
    }
}

impl From<&str> for Retry {
    fn from(reason: &str) -> Self {
        reason.to_owned().into()
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
        /// How long the row waits for its next attempt.
        wait: Duration,
        /// Whether the job asked that nothing else is started until then either.
        for_all: bool,
    },
    /// An attempt was broken off by a stop; its row keeps its state.
    BrokenOff(&'a Job<'a>),
    /// A row has a result, or was skipped.
    Finished(JobResult<'a>),
    /// Somebody paused the run, let it go on, or gave it another number of workers. Told on a thread of its own.
    Controlled(&'a Change),
    /// The worker of this number (from 0) has ended, because there are to be fewer.
    Retired(usize),
}

/// Who is told.
pub(crate) type OnEvent<'a> = dyn Fn(&Event<'_>) + Sync + 'a;

/// The result of one row, as told to the callback.
#[derive(Debug, Clone)]
pub struct JobResult<'a> {
    /// The key of its row.
    pub po: &'a str,
    /// How it counts.
    pub verdict: Verdict,
    /// What `work` wanted to be written; empty if the row was skipped before it got to `work`.
    pub updates: &'a Updates,
    /// Whether that is durable. `Ok` also when there was nothing to write or no queue.
    pub persisted: Result<()>,
    /// 0-based number of the worker.
    pub worker: usize,
    /// How many attempts it took; 0 if it was skipped before its first one.
    pub attempts: u32,
    /// How long the last attempt took, without recording its result.
    pub duration: Duration,
    /// How many rows have a result, including this one.
    pub processed: usize,
    /// How many rows the run has.
    pub total: usize,
}
