//! Which PO a worker gets next, and how long a failed one waits for its next attempt.
//!
//! POs that wait for another attempt lie in a heap, so that no worker waits with them. Nobody has
//! to be woken when one is put there: a worker sleeps only when every PO has been handed out once,
//! and whatever is still running then comes back through the worker that runs it, which is awake.
//! For the same reason a worker may leave as soon as nothing is waiting. Only a stop or a nudge wakes sleepers.
//!
//! A PO that may not start yet, because of the run's pace or a pause, stays where it is.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

use backon::{BackoffBuilder, ExponentialBuilder};

/// The longest wait between two attempts at a PO, unless the first wait is longer.
pub const MAX_BACKOFF: Duration = Duration::from_secs(300);

/// Which POs are still to be handed out.
#[derive(Default)]
pub(super) struct Schedule {
    /// How many POs, from the start of the list, had their first attempt.
    begun: usize,
    /// POs that wait for another attempt, the earliest due on top.
    delayed: BinaryHeap<Reverse<(Instant, Task)>>,
}

/// An attempt that is to be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Task {
    /// Place of the PO in the list.
    pub(super) index: usize,
    /// 1-based.
    pub(super) attempt: u32,
}

/// What a worker that asks for work is to do.
#[derive(Debug, PartialEq)]
pub(super) enum Next {
    Task(Task),
    /// Ask again at that time: no PO is due before.
    At(Instant),
    /// Ask again at that time, or after a nudge: one is due, and none may start before.
    Held(Option<Instant>),
    /// Leave.
    Nothing,
}

impl Schedule {
    /// Hands out a PO whose wait is over, or else one that was not begun, unless `start` says before when it may
    /// not start, if that is known.
    pub(super) fn next(
        &mut self,
        total: usize,
        now: Instant,
        start: impl FnOnce(Task) -> Result<(), Option<Instant>>,
    ) -> Next {
        let earliest = self.delayed.peek().map(|Reverse(earliest)| *earliest);
        let (task, is_again) = match earliest {
            Some((due, again)) if due <= now => (again, true),
            _ if self.begun < total => {
                let first = Task {
                    index: self.begun,
                    attempt: 1,
                };
                (first, false)
            }
            Some((due, _)) => return Next::At(due),
            None => return Next::Nothing,
        };
        if let Err(until) = start(task) {
            return Next::Held(until);
        }
        match is_again {
            true => drop(self.delayed.pop()),
            false => self.begun += 1,
        }
        Next::Task(task)
    }

    /// Hands this attempt out when it is due.
    pub(super) fn postpone(&mut self, due: Instant, again: Task) {
        self.delayed.push(Reverse((due, again)));
    }
}

/// The wait after that attempt (1-based): 50 to 100 % of the backoff, so that rows that failed together do not
/// come back together.
pub(super) fn backoff(first: Duration, attempt: u32) -> Duration {
    // Its jitter adds up to as much again.
    let mut waits = ExponentialBuilder::new()
        .with_min_delay(first / 2)
        .with_max_delay(MAX_BACKOFF.max(first) / 2)
        .without_max_times()
        .with_jitter()
        .build();
    let wait = waits.nth(attempt as usize - 1);
    wait.expect("their number has no limit")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

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

        assert_eq!(schedule.next(4, now, |_| Ok(())), first(2));
        assert_eq!(
            schedule.next(4, now + Duration::from_secs(5), |_| Ok(())),
            Next::Task(again(1))
        );
        assert_eq!(
            schedule.next(4, now + Duration::from_secs(5), |_| Ok(())),
            first(3)
        );
        assert_eq!(
            schedule.next(4, now + Duration::from_secs(5), |_| Ok(())),
            Next::At(now + Duration::from_secs(9))
        );
        assert_eq!(
            schedule.next(4, now + Duration::from_secs(9), |_| Ok(())),
            Next::Task(again(0))
        );
        assert_eq!(
            schedule.next(4, now + Duration::from_secs(9), |_| Ok(())),
            Next::Nothing
        );
    }

    #[test]
    fn what_may_not_start_yet_stays_where_it_is() {
        let now = Instant::now();
        let later = Some(now + Duration::from_secs(5));
        let mut schedule = Schedule::default();
        assert_eq!(schedule.next(1, now, |_| Err(later)), Next::Held(later));
        let first = Task {
            index: 0,
            attempt: 1,
        };
        assert_eq!(schedule.next(1, now, |_| Ok(())), Next::Task(first));
        schedule.postpone(now, first);
        assert_eq!(schedule.next(1, now, |_| Err(later)), Next::Held(later));
        assert_eq!(schedule.next(1, now, |_| Ok(())), Next::Task(first));
        assert_eq!(schedule.next(1, now, |_| unreachable!()), Next::Nothing);
    }

    #[track_caller]
    fn check_backoff(first: Duration, attempt: u32, most: Duration) {
        let waits: BTreeSet<_> = (0..100).map(|_| backoff(first, attempt)).collect();
        let (shortest, longest) = (*waits.first().unwrap(), *waits.last().unwrap());
        assert!(most / 2 <= shortest && longest <= most, "{waits:?}");
        assert!(longest - shortest > most / 4, "they are alike: {waits:?}");
    }

    #[test]
    fn a_wait_is_50_to_100_percent_of_a_backoff_that_doubles_up_to_a_limit() {
        let seconds = Duration::from_secs;
        for (attempt, most) in [(1, 1), (2, 2), (3, 4), (9, 256), (10, 300), (100, 300)] {
            check_backoff(seconds(1), attempt, seconds(most));
        }
        check_backoff(MAX_BACKOFF * 2, 3, MAX_BACKOFF * 2);
        assert_eq!(backoff(Duration::ZERO, 5), Duration::ZERO);
    }
}
