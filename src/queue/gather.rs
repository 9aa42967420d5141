//! Lets those who were just answered come again before the next batch is taken.
//!
//! Workers that wait for each answer and come back at once fall into two groups: those of one come
//! while the results of the other are synced, so that a sync is shared by half of them. A writer that
//! waits a moment for as many as there were gets them all into one. PostgreSQL's `commit_delay` is the
//! same with a number that somebody has to find; here it is a part of what the last batch took, and
//! where it was in vain the writer leaves it be, for longer and longer.

use std::time::Duration;

use super::sync::{Instant, thread};

/// The most that is waited for the next batch: what a thread takes to be woken and come back, and no more
/// than this part of what the last batch took.
const MOMENT: Duration = Duration::from_micros(200);
const PART: u32 = 2;
/// The most batches that are taken at once after waiting was in vain.
const MAX_PAUSE: u32 = 63;

/// What waiting has brought so far.
#[derive(Default)]
pub struct Gather {
    /// So many batches are taken without waiting.
    left: u32,
    /// How many it was the last time.
    pause: u32,
}

impl Gather {
    /// Waits until `queued` says that so many are there as `wanted`, if that has been worth it.
    pub fn wait(&mut self, wanted: usize, batch_took: Duration, queued: impl Fn() -> usize) {
        self.wait_at_most((batch_took / PART).min(MOMENT), wanted, queued);
    }

    fn wait_at_most(&mut self, time: Duration, wanted: usize, queued: impl Fn() -> usize) {
        if self.left > 0 {
            self.left -= 1;
            return;
        }
        let deadline = Instant::now() + time;
        while queued() < wanted {
            if Instant::now() >= deadline {
                self.pause = (2 * self.pause + 1).min(MAX_PAUSE);
                self.left = self.pause;
                return;
            }
            thread::yield_now();
        }
        self.pause = 0;
    }
}

#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::cell::Cell;

    use super::*;

    #[test]
    fn it_waits_for_as_many_as_there_were_as_long_as_they_come() {
        let mut gather = Gather::default();
        let hour = Duration::from_secs(3600);
        for _ in 0..3 {
            let looks = Cell::new(0);
            gather.wait_at_most(hour, 4, || looks.replace(looks.get() + 1));
            assert_eq!((gather.left, looks.get()), (0, 5));
        }
    }

    #[test]
    fn what_was_in_vain_is_tried_again_after_more_and_more_batches() {
        let mut gather = Gather::default();
        let tries = Cell::new(0);
        let batches_until_the_next_try = |gather: &mut Gather| {
            let before = tries.get();
            (0..)
                .take_while(|_| {
                    gather.wait(4, Duration::ZERO, || {
                        tries.set(tries.get() + 1);
                        3
                    });
                    tries.get() == before
                })
                .count()
        };
        let pauses: Vec<usize> = (0..8)
            .map(|_| batches_until_the_next_try(&mut gather))
            .collect();
        assert_eq!(pauses, [0, 1, 3, 7, 15, 31, 63, 63]);
        while gather.left > 0 {
            gather.wait(4, Duration::ZERO, || 4);
        }
        gather.wait(4, Duration::ZERO, || 4);
        assert_eq!(
            (gather.left, gather.pause),
            (0, 0),
            "it was worth it once more"
        );
    }
}
