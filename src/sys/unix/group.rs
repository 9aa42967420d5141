//! Signals for all processes of a group.
//!
//! A group has the number of its leader. The system gives that number to somebody else once the leader
//! has been reaped and the group is empty, so these functions may be called only before the leader is
//! waited for.

use std::io;

use rustix::process::{Pid, Signal, kill_process_group};

use crate::sys::spawn::Child;

/// Asks every process of the group to end (SIGTERM). `leader` must not have been reaped.
pub(crate) fn terminate(leader: &Child) -> io::Result<()> {
    Ok(kill_process_group(leader.pid(), Signal::TERM)?)
}

/// Keeps every process of the group from doing anything (SIGSTOP). `leader` must not have been reaped.
pub(crate) fn stop(leader: &Child) -> io::Result<()> {
    Ok(kill_process_group(leader.pid(), Signal::STOP)?)
}

/// Ends every process of the group (SIGKILL). `leader` must not have been reaped.
pub(crate) fn kill(leader: &Child) -> io::Result<()> {
    Ok(kill_process_group(leader.pid(), Signal::KILL)?)
}

/// Ends every process of the group with this leader (SIGKILL), which must not have been reaped.
pub(crate) fn kill_led_by(leader: i32) -> io::Result<()> {
    let leader = Pid::from_raw(leader).ok_or(io::ErrorKind::InvalidInput)?;
    Ok(kill_process_group(leader, Signal::KILL)?)
}
