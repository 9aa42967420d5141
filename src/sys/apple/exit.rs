//! The end of a child, seen by asking for it again and again: macOS has no pidfd.
//!
//! The pipes of a child that exits become ready, so that the pause between two questions is seldom
//! waited for to its end.

use std::io;
use std::time::{Duration, Instant};

use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};

use crate::sys::poll::{Pipe, ready_within};
use crate::sys::spawn::Child;

/// How long a child's end may go unnoticed.
const PAUSE: Duration = Duration::from_millis(5);

/// Tells when a child exits.
pub(crate) struct Exit(Pid);

impl Exit {
    /// `child` must not have been reaped.
    pub(crate) fn of(child: &Child) -> io::Result<Exit> {
        Ok(Exit(child.pid()))
    }

    /// Waits until the child has exited or one of these pipes is ready, or for so long; whether it has,
    /// and which are. What is `None` is never ready. Returns early when a signal handler ran on this
    /// thread. The child must not have been reaped: its number may be somebody else's by then.
    pub(crate) fn or_ready_within<const N: usize>(
        &self,
        pipes: [Option<Pipe<'_>>; N],
        time: Duration,
    ) -> io::Result<(bool, [bool; N])> {
        let begun = Instant::now();
        loop {
            let has_exited = self.has_come()?;
            let left = match has_exited {
                true => Duration::ZERO,
                false => time.saturating_sub(begun.elapsed()),
            };
            let ready = ready_within(pipes.clone(), left.min(PAUSE))?;
            if has_exited || left.is_zero() || ready.contains(&true) {
                return Ok((has_exited, ready));
            }
        }
    }

    fn has_come(&self) -> io::Result<bool> {
        // NOWAIT leaves the child to be reaped.
        let options = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        Ok(waitid(WaitId::Pid(self.0), options)?.is_some())
    }
}
