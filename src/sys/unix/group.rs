//! Signals for all processes of a group.
//!
//! A group has the number of its leader. The system gives that number to somebody else once the leader
//! has been reaped and the group is empty, so these functions may be called only before the leader is
//! waited for.

use std::io;
use std::process::Child;

use rustix::process::{Pid, Signal, kill_process_group};

/// Asks every process of the group to end (SIGTERM). `leader` must not have been reaped.
pub(crate) fn terminate(leader: &Child) -> io::Result<()> {
    Ok(kill_process_group(Pid::from_child(leader), Signal::TERM)?)
}

/// Ends every process of the group (SIGKILL). `leader` must not have been reaped.
pub(crate) fn kill(leader: &Child) -> io::Result<()> {
    Ok(kill_process_group(Pid::from_child(leader), Signal::KILL)?)
}

/// Ends every process of the group with this leader (SIGKILL), which must not have been reaped.
pub(crate) fn kill_led_by(leader: u32) -> io::Result<()> {
    let leader = i32::try_from(leader).ok().and_then(Pid::from_raw);
    Ok(kill_process_group(
        leader.ok_or(io::ErrorKind::InvalidInput)?,
        Signal::KILL,
    )?)
}
