//! A file without a name: nobody else can open it, and a crash leaves nothing of it.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;

use rustix::fs::{AtFlags, CWD, Mode, OFlags, linkat};
use rustix::io::Errno;

use crate::sys::poor::{Gift, lacks};
use crate::sys::unix::open;

/// Creates a file in a folder, for reading and writing, with this mode less the umask (O_TMPFILE). Where
/// the filesystem has no such thing the error [is unsupported](crate::sys::refused::is_unsupported).
pub(crate) fn create(folder: &File, mode: u32) -> io::Result<File> {
    if lacks(Gift::Tmpfile) {
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    let flags = OFlags::TMPFILE | OFlags::RDWR | OFlags::CLOEXEC;
    open::at(folder, ".", flags, Mode::from_raw_mode(mode))
}

/// Gives the file a name that nobody has; one that somebody has is `AlreadyExists`.
pub(crate) fn give_name(file: &File, folder: &File, name: impl AsRef<Path>) -> io::Result<()> {
    let name = name.as_ref();
    let by_proc = format!("/proc/self/fd/{}", file.as_raw_fd());
    match linkat(CWD, by_proc, folder, name, AtFlags::SYMLINK_FOLLOW) {
        // Without /proc; this way needs a privilege on older kernels.
        Err(Errno::NOENT) => Ok(linkat(file, "", folder, name, AtFlags::EMPTY_PATH)?),
        linked => Ok(linked?),
    }
}
