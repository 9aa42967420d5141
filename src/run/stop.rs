//! Ending a run from another thread.
//!
//! The level of a stop never falls, and a rise wakes everybody who sleeps here. Whoever waits in a run
//! therefore waits on a [`Stop`], never in a plain sleep.

use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

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

    pub(super) fn raise(&self, to: StopLevel) {
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
    pub(super) fn sleep_at(&self, known: StopLevel, due: Instant) {
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
