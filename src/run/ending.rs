//! How the process of one attempt ended.
//!
//! A PO's result says what became of the PO; a log of processes wants to know what ended them, and when
//! they ran. Whatever runs processes says it with [`Job::process_ended`](crate::Job::process_ended).

use std::os::unix::process::ExitStatusExt;
use std::process::ExitStatus;
#[cfg(feature = "cli")]
use std::time::Instant;
use std::time::{Duration, SystemTime};

/// The run of one process, or the time in which a process that stays alive worked on one attempt.
///
/// The latter counts as exit 0, or 1 if it answered with an error, or 75 if that is to be tried again.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProcessEnd {
    /// When it was started.
    pub started: SystemTime,
    /// From then until its end was seen.
    pub runtime: Duration,
    /// What ended it.
    pub ending: Ending,
}

/// What ended a process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Ending {
    /// It exited with this code.
    Exit(i32),
    /// This signal killed it.
    Signal(i32),
    /// It was ended because it took longer than this.
    TimedOut(Duration),
    /// It was ended by [`StopLevel::Now`](crate::StopLevel::Now).
    Stopped,
    /// It was never there; shells exit with this code then: 126, or 127 if there is no such program.
    NotStarted(i32),
    /// The system did not say.
    Unknown,
}

impl From<ExitStatus> for Ending {
    fn from(status: ExitStatus) -> Self {
        match status.code() {
            Some(code) => Ending::Exit(code),
            None => Ending::Signal(status.signal().unwrap_or_default()),
        }
    }
}

/// When a process was started, by the clock of the wall and by one that is never set.
#[cfg(feature = "cli")]
#[derive(Debug, Clone, Copy)]
pub(crate) struct Start(SystemTime, Instant);

#[cfg(feature = "cli")]
impl Start {
    pub(crate) fn now() -> Self {
        Start(SystemTime::now(), Instant::now())
    }

    pub(crate) fn ended(self, ending: Ending) -> ProcessEnd {
        ProcessEnd {
            started: self.0,
            runtime: self.1.elapsed(),
            ending,
        }
    }
}
