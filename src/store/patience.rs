//! How long is waited, and the loops that wait.
//!
//! Another program may be at the sheet at any time, and a disk may fail for a moment. Both are tried
//! again, and neither for ever: whoever waits for another program is told that the sheet is busy when
//! [`PATIENCE`] ends, and what failed [`RETRIES`] times more fails for good.

use std::cell::Cell;
use std::path::Path;
use std::time::{Duration, Instant};

use backon::{BlockingRetryable, ExponentialBuilder};

use crate::error::{Error, Result};

/// How long somebody who waits for *visible* waits for another program to let go of the sheet.
pub(crate) const PATIENCE: Duration = Duration::from_secs(10);
/// How soon it is tried again to get at a sheet that another program is busy with.
pub(crate) const SOON: Duration = Duration::from_millis(5);
/// A failed write is tried again this many times.
pub(crate) const RETRIES: usize = 3;
/// How soon it is tried again the first time; each time after that takes twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(50);

/// Tries until something is done, which `attempt` gives; it gives `None` while another program is in
/// the way.
///
/// # Errors
/// [`Error::Busy`] with `path` when patience ends. An attempt that fails is the last.
pub(crate) fn patiently<T>(
    path: &Path,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        if let Some(done) = attempt()? {
            return Ok(done);
        }
        if start.elapsed() >= PATIENCE {
            return Err(Error::Busy {
                path: path.to_owned(),
            });
        }
        std::thread::sleep(SOON);
    }
}

/// Tries something that may fail once, and so many times again; `what` says in the log that it
/// failed. Returns besides how often it was tried again.
pub(crate) fn again<T>(
    retries: usize,
    what: &str,
    attempt: impl FnMut() -> Result<T>,
) -> (Result<T>, u64) {
    let backoff = ExponentialBuilder::default()
        .with_min_delay(FIRST_PAUSE)
        .with_max_times(retries);
    let retried = Cell::new(0);
    let result = attempt
        .retry(backoff)
        .notify(|error: &Error, _| {
            retried.set(retried.get() + 1);
            tracing::warn!(error = %error.chain(), "{what}, trying again");
        })
        .call();
    (result, retried.get())
}
