//! Stopping this process as the system would, had it no handler for SIGTSTP.
//!
//! SIGSTOP would do that too, but also to a process that nobody could let go on: one whose group is orphaned, as
//! under ssh or in a container. Of those the system ignores a SIGTSTP without a handler.

use std::mem::MaybeUninit;
use std::ptr;

/// Stops all threads, and returns when the process goes on.
#[allow(
    unsafe_code,
    reason = "rustix and nix's safe half cannot change a handler"
)]
pub(crate) fn as_by_default() {
    let mut before = MaybeUninit::<libc::sigaction>::uninit();
    // SAFETY: all zeros are a sigaction, of which the handler is SIG_DFL, as POSIX has it: 0.
    let mut default: libc::sigaction = unsafe { MaybeUninit::zeroed().assume_init() };
    default.sa_sigaction = libc::SIG_DFL;
    // SAFETY: both point to a sigaction of this frame; `before` is written if the call succeeds.
    if unsafe { libc::sigaction(libc::SIGTSTP, &raw const default, before.as_mut_ptr()) } != 0 {
        return;
    }
    // SAFETY: it has no arguments but a number, and is delivered to this thread before it returns.
    unsafe { libc::raise(libc::SIGTSTP) };
    // SAFETY: `before` was written above; it is what was in force, so its handler is there still.
    unsafe { libc::sigaction(libc::SIGTSTP, before.as_ptr(), ptr::null_mut()) };
}
