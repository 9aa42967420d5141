//! Ending a run from another thread.
//!
//! The level of a stop never falls, and a rise wakes everybody who sleeps here. Whoever waits in a run
//! therefore waits on a [`Stop`], never in a plain sleep. Workers that wait for something to do are also woken by
//! a nudge: when the run was paused, goes on, or has another number of workers.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

/// Stops a run from another thread. Clones stop the same run; a stop is never taken back.
///
/// It may be used by a thread that handles signals, not inside a signal handler.
#[derive(Debug, Clone, Default)]
pub struct Stop(Arc<StopState>);

#[derive(Debug, Default)]
struct StopState {
    told: Mutex<Told>,
    changed: Condvar,
}

#[derive(Debug, Default)]
struct Told {
    /// Never falls.
    level: StopLevel,
    nudges: u64,
    /// Whether somebody else asked the jobs to end as well. Never taken back.
    are_jobs_asked: bool,
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

    /// Somebody else asks the jobs to end as well, as who ends a whole service does: one that fails from now on
    /// keeps its PO's state. Ends nothing by itself, so it is said before [`soon`](Stop::soon).
    pub fn jobs_are_asked_too(&self) {
        lock(&self.0.told).are_jobs_asked = true;
    }

    /// How urgently the run is to end.
    pub fn level(&self) -> StopLevel {
        lock(&self.0.told).level
    }

    /// Whether the run is to end.
    pub fn is_requested(&self) -> bool {
        self.level() > StopLevel::Continue
    }

    #[cfg(feature = "cli")]
    pub(crate) fn are_jobs_asked_too(&self) -> bool {
        lock(&self.0.told).are_jobs_asked
    }

    pub(super) fn raise(&self, to: StopLevel) {
        let mut told = lock(&self.0.told);
        if to > told.level {
            told.level = to;
            self.0.changed.notify_all();
        }
    }

    /// Returns at that time, or at once when a stop is requested.
    #[cfg(feature = "cli")]
    pub(crate) fn sleep_until(&self, due: Instant) {
        self.sleep_at(StopLevel::Continue, due);
    }

    /// Returns at that time, or at once when a more urgent stop than this is requested.
    pub(super) fn sleep_at(&self, known: StopLevel, due: Instant) {
        self.wait(Some(due), |told| told.level <= known);
    }

    /// How often there was a nudge.
    pub(super) fn nudges(&self) -> u64 {
        lock(&self.0.told).nudges
    }

    /// Wakes those who [rest](Stop::rest) or [wait for it](Stop::wait_for_nudge).
    pub(super) fn nudge(&self) {
        lock(&self.0.told).nudges += 1;
        self.0.changed.notify_all();
    }

    /// Returns at that time, if there is one, or at once when a stop is requested or there were more nudges than
    /// these.
    pub(super) fn rest(&self, nudges: u64, due: Option<Instant>) {
        self.wait(due, |told| {
            told.level == StopLevel::Continue && told.nudges == nudges
        });
    }

    /// Returns when there were more nudges than these.
    pub(super) fn wait_for_nudge(&self, nudges: u64) {
        self.wait(None, |told| told.nudges == nudges);
    }

    fn wait(&self, due: Option<Instant>, is_quiet: impl Fn(&Told) -> bool) {
        let mut told = lock(&self.0.told);
        while is_quiet(&told) {
            let Some(due) = due else {
                let woken = self.0.changed.wait(told);
                told = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            };
            let left = due.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return;
            }
            let woken = self.0.changed.wait_timeout(told, left);
            told = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

/// No panic can happen while one of these locks is held in a way that leaves its value half changed.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stop_is_never_taken_back() {
        let stop = Stop::new();
        assert!(!stop.is_requested());
        let clone = stop.clone();
        clone.now();
        stop.soon();
        assert_eq!(stop.level(), StopLevel::Now);
    }
}
