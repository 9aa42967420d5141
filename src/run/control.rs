//! Pausing a run, and giving it more or fewer workers, from another thread.
//!
//! A pause is no stop: what runs goes on, and whoever has no job waits where a job would be handed out, so that
//! none is held meanwhile. Fewer workers end one by one, each after its present job.

use std::num::NonZeroUsize;
use std::sync::{Arc, Mutex};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::run::stop::{Stop, lock};

/// Pauses a run, lets it go on, and changes the number of its workers, from another thread. Clones control the
/// same run.
///
/// ```
/// use tickoff::{Control, RunControl, Outcome, Updates, WorkerPool};
///
/// let control = RunControl::new();
/// let pool = WorkerPool::new(4).control(&control);
/// control.apply(Control::Pause, "the night shift");
/// assert!(control.is_paused());
/// control.apply(Control::Continue, "the day shift");
/// let summary = pool.run(&["P1", "P2"], |_| Outcome::Done(Updates::error("no")));
/// assert_eq!(summary.errors, 2);
/// ```
#[derive(Debug, Clone, Default)]
pub struct RunControl(Arc<Mutex<State>>);

#[derive(Debug, Default)]
struct State {
    is_paused: bool,
    /// How many workers there are to be; `None` before the run begins, unless somebody said.
    workers: Option<NonZeroUsize>,
    /// Those that no observer was told of yet, in their order.
    changes: Vec<Change>,
    /// Where the workers of the run wait.
    waiting: Option<Stop>,
    /// Whether the run has ended, or hands out nothing more: nothing can be changed.
    is_over: bool,
}

/// What can be asked of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Control {
    /// Start nothing. What runs goes on.
    Pause,
    /// Start jobs again.
    Continue,
    /// Have so many workers.
    #[serde(rename = "jobs")]
    Workers(NonZeroUsize),
}

/// A change that somebody made to a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Change {
    /// What it was.
    pub control: Control,
    /// Who made it, in the words of whoever told.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

impl RunControl {
    /// Of a run that is not paused, with as many workers as its pool says.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes a change in somebody's name, at once. `false` if all is so already, or the run
    /// [has ended](RunControl::has_ended): then nothing is told.
    pub fn apply(&self, control: Control, by: &str) -> bool {
        let waiting = {
            let mut state = lock(&self.0);
            let is_so = match control {
                Control::Pause => state.is_paused,
                Control::Continue => !state.is_paused,
                Control::Workers(workers) => state.workers == Some(workers),
            };
            if is_so || state.is_over {
                return false;
            }
            match control {
                Control::Pause => state.is_paused = true,
                Control::Continue => state.is_paused = false,
                Control::Workers(workers) => state.workers = Some(workers),
            }
            state.changes.push(Change {
                control,
                by: by.to_owned(),
                at: Utc::now(),
            });
            state.waiting.clone()
        };
        if let Some(waiting) = waiting {
            waiting.nudge();
        }
        true
    }

    /// Whether nothing can be changed any more: the run has ended, or has handed out its last row.
    pub fn has_ended(&self) -> bool {
        lock(&self.0).is_over
    }

    /// Whether nothing is started.
    pub fn is_paused(&self) -> bool {
        lock(&self.0).is_paused
    }

    /// How many workers there are to be; `None` before the run begins, unless somebody said.
    pub fn workers(&self) -> Option<NonZeroUsize> {
        lock(&self.0).workers
    }

    /// From now on it controls a run with so many workers, which wait there.
    pub(super) fn attach(&self, workers: usize, waiting: &Stop) {
        let mut state = lock(&self.0);
        state.workers = state.workers.or(NonZeroUsize::new(workers));
        state.waiting = Some(waiting.clone());
        state.is_over = false;
    }

    /// Nothing can be changed from now on; what nobody was told of yet.
    pub(super) fn detach(&self) -> Vec<Change> {
        let mut state = lock(&self.0);
        state.is_over = true;
        std::mem::take(&mut state.changes)
    }

    /// What nobody was told of yet.
    pub(super) fn take_changes(&self) -> Vec<Change> {
        std::mem::take(&mut lock(&self.0).changes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_so_already_is_no_change() {
        let control = RunControl::new();
        assert!(!control.apply(Control::Continue, "a"));
        assert!(control.apply(Control::Pause, "b"));
        assert!(!control.apply(Control::Pause, "c"));
        let four = Control::Workers(NonZeroUsize::new(4).unwrap());
        control.attach(4, &Stop::new());
        assert!(!control.apply(four, "d"));
        assert!(control.apply(Control::Continue, "e"));
        let by: Vec<_> = control.take_changes().into_iter().map(|c| c.by).collect();
        assert_eq!(by, ["b", "e"]);
        assert!(control.take_changes().is_empty());
    }

    #[test]
    fn what_comes_before_the_end_is_told_and_nothing_is_changed_after_it() {
        let control = RunControl::new();
        control.attach(1, &Stop::new());
        assert!(control.apply(Control::Pause, "a"));
        assert!(!control.has_ended());
        assert_eq!(control.detach().len(), 1);
        assert!(control.has_ended() && !control.apply(Control::Continue, "b"));
        assert!(control.is_paused() && control.detach().is_empty());
        control.attach(1, &Stop::new());
        assert!(control.apply(Control::Continue, "c"), "of the next run");
    }
}
