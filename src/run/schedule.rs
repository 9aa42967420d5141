//! Which PO a worker gets next, and how long a failed one waits for its next attempt.
//!
//! POs that wait for another attempt lie in a heap, so that no worker waits with them. Nobody has
//! to be woken when one is put there: a worker sleeps only when every PO has been handed out once,
//! and whatever is still running then comes back through the worker that runs it, which is awake.
//! For the same reason a worker may leave as soon as nothing is waiting. Only a stop wakes sleepers.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::time::{Duration, Instant};

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
    /// Ask again at that time.
    At(Instant),
    /// Leave.
    Nothing,
}

impl Schedule {
    /// Hands out a PO whose wait is over, or else one that was not begun.
    pub(super) fn next(&mut self, total: usize, now: Instant) -> Next {
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

    /// Hands this attempt out when it is due.
    pub(super) fn postpone(&mut self, due: Instant, again: Task) {
        self.delayed.push(Reverse((due, again)));
    }
}

/// The wait after that attempt (1-based).
pub(super) fn backoff(first: Duration, attempt: u32) -> Duration {
    let doubled = 2u32.saturating_pow(attempt - 1);
    first.saturating_mul(doubled).min(MAX_BACKOFF.max(first))
}

#[cfg(test)]
mod tests {
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
}
