//! Whether a program may be started, and why one was not.

use std::io;
use std::path::Path;

use rustix::fs::{Access, AtFlags, CWD};
use rustix::io::Errno;

/// Fails unless this is a regular file that this process may execute.
pub(crate) fn check_executable(path: &Path) -> io::Result<()> {
    if !path.metadata()?.is_file() {
        return Err(Errno::ACCESS.into());
    }
    Ok(rustix::fs::accessat(
        CWD,
        path,
        Access::EXEC_OK,
        AtFlags::EACCESS,
    )?)
}

/// Whether the system was short of something that others give back: processes, memory, descriptors,
/// room on a disk. A program that somebody is just writing counts too.
pub(crate) fn is_shortage(error: &io::Error) -> bool {
    use Errno as E;
    use io::ErrorKind as K;
    match Errno::from_io_error(error) {
        Some(number) => matches!(
            number,
            E::AGAIN | E::NOMEM | E::MFILE | E::NFILE | E::TXTBSY | E::NOSPC | E::DQUOT
        ),
        // Who tells more of it keeps the kind.
        None => matches!(
            error.kind(),
            K::StorageFull | K::QuotaExceeded | K::OutOfMemory
        ),
    }
}

/// Whether an executable file was neither a program of this system nor named the program that reads it.
pub(crate) fn has_no_interpreter(error: &io::Error) -> bool {
    Errno::from_io_error(error) == Some(Errno::NOEXEC)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_passes_is_a_shortage() {
        assert!(is_shortage(&Errno::AGAIN.into()));
        assert!(is_shortage(&Errno::NOSPC.into()));
        let told = io::Error::new(io::ErrorKind::StorageFull, "no room at path /tmp/x");
        assert!(is_shortage(&told));
        assert!(!is_shortage(&Errno::NOENT.into()));
        assert!(!is_shortage(&io::ErrorKind::WouldBlock.into()));
        assert!(has_no_interpreter(&Errno::NOEXEC.into()));
        assert!(!has_no_interpreter(&Errno::ACCESS.into()));
    }
}
