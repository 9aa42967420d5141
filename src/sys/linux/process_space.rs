//! Among which processes a process id means something.

use std::fs;
use std::os::unix::fs::MetadataExt;

/// The boot of this machine and the PID namespace of this process: a process id that was told with the
/// same is one here. `None` where the system does not tell, as without `/proc`.
pub(crate) fn ours() -> Option<String> {
    let boot = fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    let namespace = fs::metadata("/proc/self/ns/pid").ok()?;
    Some(format!("{}:{}", boot.trim(), namespace.ino()))
}
