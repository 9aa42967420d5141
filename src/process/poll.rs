//! How long to wait for a child before looking at other things.

use std::time::{Duration, Instant};

/// How often a worker looks whether its command is to be broken off. An event descriptor would
/// save these wake-ups and cost a descriptor that has to be created, can fail, and must not leak;
/// most commands end before the first one.
pub(super) const STOP_CHECK: Duration = Duration::from_millis(50);

/// The time until then; zero once it has passed.
pub(super) fn until(at: Instant) -> Duration {
    at.saturating_duration_since(Instant::now())
}

/// The time until a worker has to look at its stop or its deadline again.
pub(super) fn next_look(deadline: Option<Instant>) -> Duration {
    deadline.map_or(STOP_CHECK, |at| STOP_CHECK.min(until(at)))
}
