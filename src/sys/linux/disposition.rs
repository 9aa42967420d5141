//! What this process does with a signal, from /proc: std and rustix have no call that asks.

use std::fs;

/// Where that is said, for messages.
pub(crate) const SOURCE: &str = "/proc/self/status";

/// Whether this process ignores a signal. False too where the system does not say.
pub(crate) fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string(SOURCE).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}
