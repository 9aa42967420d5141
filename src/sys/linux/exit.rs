//! The end of a child, seen through a pidfd: it becomes readable when the child exits, and does not
//! reap it. Needs Linux 5.3.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use rustix::process::{PidfdFlags, pidfd_open};

use crate::sys::poll::{Pipe, ready_beside};
use crate::sys::spawn::Child;

/// Tells when a child exits.
pub(crate) struct Exit(OwnedFd);

impl Exit {
    /// `child` must not have been reaped.
    pub(crate) fn of(child: &Child) -> io::Result<Exit> {
        Ok(Exit(pidfd_open(child.pid(), PidfdFlags::empty())?))
    }

    /// Waits until the child has exited or one of these pipes is ready, or for so long; whether it has,
    /// and which are. What is `None` is never ready. Returns early when a signal handler ran on this
    /// thread. The child must not have been reaped.
    pub(crate) fn or_ready_within<const N: usize>(
        &self,
        pipes: [Option<Pipe<'_>>; N],
        time: Duration,
    ) -> io::Result<(bool, [bool; N])> {
        ready_beside(Some(self.0.as_fd()), pipes, time)
    }
}
