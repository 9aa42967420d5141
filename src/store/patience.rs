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

/// Tries until something is done, which `attempt` gives; it gives `None`, or fails with [`Error::Busy`],
/// while another program is in the way.
///
/// # Errors
/// [`Error::Busy`] with `path` when patience ends. An attempt that fails otherwise is the last.
pub(crate) fn patiently<T>(
    path: &Path,
    mut attempt: impl FnMut() -> Result<Option<T>>,
) -> Result<T> {
    let start = Instant::now();
    loop {
        match attempt() {
            Ok(Some(done)) => return Ok(done),
            Ok(None) | Err(Error::Busy { .. }) => {}
            Err(error) => return Err(error),
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

#[cfg(test)]
mod tests {
    use std::fs::File;

    use super::*;
    use crate::sheet::{Options, Sheet};
    use crate::store::diagnose::diagnose;
    use crate::store::handler::CsvHandler;
    use crate::sys::lease::Lease;

    /// Acts while somebody holds a write lease on a sheet for half a second, which is told to give it up
    /// whenever somebody opens the sheet.
    fn while_it_is_leased<T>(path: &Path, act: impl FnOnce() -> Result<T>) -> T {
        let theirs = File::open(path).unwrap();
        // Another test's child has what is open here until it executes its program.
        let lease = patiently(path, || match Lease::take_for_writing(&theirs) {
            Err(error) if error.kind() == std::io::ErrorKind::WouldBlock => Ok(None),
            taken => Ok(Some(taken)),
        });
        let began = Instant::now();
        let lease = match lease.expect("nobody has it open") {
            Err(error) if error.kind() == std::io::ErrorKind::Unsupported => {
                eprintln!("SKIPPED: this system has no leases");
                return act().unwrap();
            }
            taken => taken.unwrap(),
        };
        std::thread::scope(|scope| {
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(500));
                drop(lease);
            });
            let done = act().unwrap_or_else(|error| panic!("{}", error.chain()));
            assert!(
                began.elapsed() >= Duration::from_millis(400),
                "it was not waited for"
            );
            done
        })
    }

    #[test]
    fn a_write_lease_of_another_program_is_waited_for_wherever_the_sheet_is_opened() {
        let folder = tempfile::tempdir_in(".").unwrap();
        let path = folder.path().join("in.csv");
        std::fs::write(&path, "PO_NUMBER;STATUS;note\nP1;;\n").unwrap();
        let options = Options::default();

        while_it_is_leased(&path, || Sheet::read(&path, &options));
        while_it_is_leased(&path, || Sheet::read_without_journal(&path, &options));
        while_it_is_leased(&path, || Sheet::read_input(&path, &options));
        while_it_is_leased(&path, || diagnose(&path, &options));
        while_it_is_leased(&path, || Sheet::read(&path, &options)?.refuse_unfit(&path));
        let handler = while_it_is_leased(&path, || CsvHandler::open_with(&path, &options));
        while_it_is_leased(&path, || handler.update_record("P1", [("note", "x")]));
        while_it_is_leased(&path, || handler.finish());
        drop(handler);
        let text = std::fs::read_to_string(&path).unwrap();
        assert_eq!(text, "PO_NUMBER;STATUS;note\nP1;;x\n");

        let backup = folder.path().join("other.csv");
        std::fs::write(&backup, "PO_NUMBER\nP2\n").unwrap();
        while_it_is_leased(&backup, || {
            crate::store::whole::read(&backup, &options, |file| {
                crate::disk::Snapshot::map(file).map_err(Error::io("map", &backup))
            })
        });
    }
}
