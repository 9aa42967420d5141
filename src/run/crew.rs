//! Which workers of a run there are.
//!
//! Worker 0 stays until nothing is left to hand out. So whoever leaves because there are to be fewer leaves no
//! job behind that nobody would take.

use std::collections::BTreeSet;
use std::sync::Mutex;

use crate::run::stop::lock;

/// The numbers of those that are there.
#[derive(Default)]
pub(super) struct Crew(Mutex<BTreeSet<usize>>);

impl Crew {
    /// The numbers below that of which there was no worker; from now on there is.
    pub(super) fn join(&self, wanted: usize) -> Vec<usize> {
        let mut there = lock(&self.0);
        (0..wanted).filter(|&worker| there.insert(worker)).collect()
    }

    /// Whether a worker leaves because so many are wanted. It stays if worker 0 has left: nobody else may be there
    /// for a job that waits for another attempt.
    pub(super) fn leaves(&self, worker: usize, wanted: usize) -> bool {
        let mut there = lock(&self.0);
        worker >= wanted && there.contains(&0) && there.remove(&worker)
    }

    /// A worker leaves because nothing is left to hand out.
    pub(super) fn leave(&self, worker: usize) {
        lock(&self.0).remove(&worker);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_beyond_the_number_leave_while_the_first_is_there() {
        let crew = Crew::default();
        assert_eq!(crew.join(3), [0, 1, 2]);
        assert!(!crew.leaves(1, 2));
        assert!(crew.leaves(2, 2));
        assert_eq!(crew.join(4), [2, 3]);
        crew.leave(0);
        assert!(!crew.leaves(3, 2));
    }
}
