//! Waiting while the system is short of what a start needs: that is no failure of the row.

use std::io;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::run::Stop;
use crate::sys::program::is_shortage;

/// How long is waited after the first try. Each further wait is twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What still waits when the next wait is as long as this is told of.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// Tries until the system is not short of anything; `None` if the run is stopped meanwhile. `what` cannot be done is
/// said once.
pub(super) fn despite_shortage<T>(
    what: impl Fn() -> String,
    stop: &Stop,
    mut attempt: impl FnMut() -> io::Result<T>,
) -> io::Result<Option<T>> {
    let mut wait = FIRST_WAIT;
    loop {
        let error = match attempt() {
            Err(error) if is_shortage(&error) => error,
            done => return done.map(Some),
        };
        if (WORTH_TELLING..2 * WORTH_TELLING).contains(&wait) {
            warn!("{} yet, and is tried again: {error}", what());
        }
        stop.sleep_until(Instant::now() + wait);
        if stop.is_requested() {
            return Ok(None);
        }
        wait = (2 * wait).min(LONGEST_WAIT);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_system_is_short_of_is_waited_for_and_nothing_else() {
        let stop = Stop::new();
        let failing = |kind, mut left: u32| {
            despite_shortage(String::new, &stop, move || match left {
                0 => Ok(()),
                _ => {
                    left -= 1;
                    Err(io::Error::from(kind))
                }
            })
        };
        assert_eq!(failing(io::ErrorKind::StorageFull, 2).unwrap(), Some(()));
        failing(io::ErrorKind::NotFound, 1).unwrap_err();
        stop.soon();
        assert_eq!(failing(io::ErrorKind::StorageFull, 1).unwrap(), None);
    }
}
