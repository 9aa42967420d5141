//! What the system means by refusing.

use std::io;

/// Whether the filesystem cannot do this at all.
pub(crate) fn is_unsupported(error: &io::Error) -> bool {
    // Two numbers on macOS, one on Linux.
    is_one_of(error, &[libc::EOPNOTSUPP, libc::ENOTSUP])
        || is_one_of(error, &[libc::EINVAL, libc::EISDIR, libc::ENOSYS])
}

/// Whether we have not the right to it.
pub(crate) fn is_not_permitted(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EPERM])
}

/// Whether a link could not be made because the filesystem has none, as FAT has.
pub(crate) fn is_for_want_of_links(error: &io::Error) -> bool {
    is_one_of(error, &[libc::EPERM, libc::EOPNOTSUPP, libc::ENOTSUP])
}

/// Whether a file could not be locked because the filesystem has no locks.
pub(crate) fn is_for_want_of_locks(error: &io::Error) -> bool {
    is_unsupported(error) || is_one_of(error, &[libc::ENOLCK])
}

fn is_one_of(error: &io::Error, numbers: &[i32]) -> bool {
    error
        .raw_os_error()
        .is_some_and(|number| numbers.contains(&number))
}
