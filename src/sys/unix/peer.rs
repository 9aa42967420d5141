//! The other processes of this machine.

use rustix::io::Errno;
use rustix::process::{Pid, test_kill_process};

/// Whether there is certainly no process of this id on this machine any more.
pub(crate) fn has_ended(pid: u32) -> bool {
    let pid = i32::try_from(pid).ok().and_then(Pid::from_raw);
    pid.is_some_and(|pid| test_kill_process(pid) == Err(Errno::SRCH))
}

/// What this machine calls itself.
pub(crate) fn host_name() -> String {
    rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned()
}
