//! Recording a result: through the queue, until it is durable.
//!
//! A result that cannot be made durable waits, and its worker with it, while that may pass: a full
//! disk is not worth a day's work. Only a stop ends the wait. Where waiting helps nothing, the run
//! ends, because every later result would be lost like this one.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use tracing::{error, info};

use crate::domain::ProcessingStatus;
use crate::error::{Error, Result};
use crate::queue::{Until, WriteQueue};
use crate::run::stop::{Stop, StopLevel};
use crate::run::summary::Verdict;
use crate::sheet::Updates;
use crate::text::Escaped;

/// How soon a result that found no room is tried again at first; each further wait is twice as long.
const FIRST_WAIT: Duration = Duration::from_millis(100);
/// The longest of these waits.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// How long results still wait for room after a first stop. A second one ends the wait at once.
const LAST_CHANCE: Duration = Duration::from_secs(5);

/// Where the results of one run go.
pub(crate) struct Recorder<'a> {
    queue: &'a WriteQueue,
    /// Whether a result may take a PO out of COMPLETED.
    forced: bool,
    stop: &'a Stop,
    /// How many results wait for room. Counted by the workers that have them; only what is said
    /// hangs on it.
    waiting: AtomicUsize,
}

impl<'a> Recorder<'a> {
    pub(crate) fn new(queue: &'a WriteQueue, forced: bool, stop: &'a Stop) -> Self {
        Recorder {
            queue,
            forced,
            stop,
            waiting: AtomicUsize::new(0),
        }
    }

    /// Makes a result durable, and says how it counts.
    ///
    /// The sheet refuses none; one that cannot be made durable leaves its PO as it was, and the run is
    /// stopped, because no later one could be recorded either.
    pub(super) fn record(&self, po: &str, updates: &Updates) -> (Verdict, Result<()>) {
        let verdict = Verdict::of(updates, self.queue.handler().options());
        let persisted = self.persist(po, updates);
        match &persisted {
            Ok(()) if self.was_taken_meanwhile(po, updates) => (Verdict::Skipped, persisted),
            Ok(()) => (verdict, persisted),
            Err(refused) => {
                error!(key = %Escaped::name(po), error = %refused.chain(), "its result is not recorded");
                if matches!(
                    refused,
                    Error::NotDurable { .. } | Error::QueueStopped | Error::WriterDied { .. }
                ) {
                    self.stop.soon();
                }
                (verdict, persisted)
            }
        }
    }

    /// Whether the row's state is not this result's but that of somebody who completed it, or gave it a word
    /// that nobody knows.
    fn was_taken_meanwhile(&self, po: &str, updates: &Updates) -> bool {
        let completed = ProcessingStatus::Completed;
        let handler = self.queue.handler();
        let status = updates.new_status().filter(|_| !self.forced);
        status.is_some_and(|status| {
            handler.sheet().is_left_alone(po)
                || status != completed && handler.status(po) == Some(completed)
        })
    }

    /// Submits a result until it is durable, or until that cannot or may not be waited for.
    pub(crate) fn persist(&self, po: &str, updates: &Updates) -> Result<()> {
        let submit = || {
            let operation = self.queue.submit_result(po, updates.clone(), self.forced)?;
            self.queue.wait(&operation, Until::Durable)
        };
        match submit() {
            Err(error) if error.may_pass() => {
                if self.waiting.fetch_add(1, Ordering::Relaxed) == 0 {
                    error!(error = %error.chain(), "results wait until they can be written, and their workers with them; a stop gives them up");
                }
                let done = keep_trying(self.stop, Error::may_pass, submit, error);
                if self.waiting.fetch_sub(1, Ordering::Relaxed) == 1 && done.is_ok() {
                    info!("no result waits any more");
                }
                done
            }
            done => done,
        }
    }
}

/// Tries again what has failed for a reason that may pass, until it succeeds, fails otherwise, or a stop ends
/// the wait.
pub(crate) fn keep_trying<T>(
    stop: &Stop,
    may_pass: impl Fn(&Error) -> bool,
    attempt: impl Fn() -> Result<T>,
    mut error: Error,
) -> Result<T> {
    let mut wait = FIRST_WAIT;
    let mut give_up_at = None;
    loop {
        let level = stop.level();
        let now = Instant::now();
        let mut due = now + wait;
        if level > StopLevel::Continue {
            let last = *give_up_at.get_or_insert(now + LAST_CHANCE);
            if level == StopLevel::Now || now >= last {
                return Err(error);
            }
            due = due.min(last);
        }
        stop.sleep_at(level, due);
        wait = (wait * 2).min(LONGEST_WAIT);
        match attempt() {
            Err(again) if may_pass(&again) => error = again,
            done => return done,
        }
    }
}
