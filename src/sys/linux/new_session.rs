//! How `posix_spawn` is told to begin a session.

/// Among its flags.
pub(crate) const FLAG: i32 = libc::POSIX_SPAWN_SETSID as i32;
