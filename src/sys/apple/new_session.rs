//! How `posix_spawn` is told to begin a session (spawn.h; not in libc).

/// Among its flags.
pub(crate) const FLAG: i32 = 0x0400;
