//! What this process does with a signal, from sigaction(2), which std and rustix do not have.

#![allow(unsafe_code)]

use std::mem::MaybeUninit;
use std::ptr;

/// Where that is said, for messages.
pub(crate) const SOURCE: &str = "sigaction";

/// Whether this process ignores a signal. False too where the system does not say.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let mut action = MaybeUninit::<libc::sigaction>::zeroed();
    // SAFETY: no new action is given, so nothing changes, and the system writes one `sigaction` to
    // where there is room for it.
    let answer = unsafe { libc::sigaction(signal, ptr::null(), action.as_mut_ptr()) };
    // SAFETY: a `sigaction` is integers and an address that is only compared, for which zeros are
    // values too.
    let action = unsafe { action.assume_init() };
    answer == 0 && action.sa_sigaction == libc::SIG_IGN
}
