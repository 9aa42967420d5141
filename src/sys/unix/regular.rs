//! Opening a file that somebody else may have made into anything.

use std::fs::{File, OpenOptions};
use std::io;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// Opens a regular file for reading; `None` if something else has the name. A link is not followed, and
/// a pipe that nobody writes to is not waited for.
pub(crate) fn open(path: &Path) -> io::Result<Option<File>> {
    let opened = OpenOptions::new()
        .read(true)
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    match opened {
        Ok(file) => Ok(file.metadata()?.is_file().then_some(file)),
        // A link; a socket.
        Err(error) if matches!(error.raw_os_error(), Some(libc::ELOOP | libc::ENXIO)) => Ok(None),
        Err(error) => Err(error),
    }
}

/// The same for a regular file of this user to which a link leads; nothing else is opened.
#[cfg(any(feature = "cli", test))]
pub(crate) fn open_own_behind_link(path: &Path) -> io::Result<Option<File>> {
    use std::os::unix::fs::MetadataExt;

    let is_own =
        |there: &std::fs::Metadata| there.is_file() && there.uid() == crate::sys::rights::user();
    if !path.is_symlink() || !is_own(&std::fs::metadata(path)?) {
        return Ok(None);
    }
    let mut options = OpenOptions::new();
    let file = (options.read(true).custom_flags(libc::O_NONBLOCK)).open(path)?;
    Ok(is_own(&file.metadata()?).then_some(file))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::symlink;
    use std::os::unix::net::UnixListener;
    use std::process::Command;

    use super::*;

    #[test]
    fn what_is_no_regular_file_is_not_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "x").unwrap();
        symlink(path("file"), path("link")).unwrap();
        let _socket = UnixListener::bind(path("socket")).unwrap();
        let made = Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());

        assert!(open(&path("file")).unwrap().is_some());
        for name in ["link", "socket", "pipe", "."] {
            assert!(open(&path(name)).unwrap().is_none(), "{name}");
        }
        let missing = open(&path("missing")).unwrap_err();
        assert_eq!(missing.kind(), io::ErrorKind::NotFound);
    }

    #[test]
    fn behind_a_link_only_a_file_of_this_user_is_opened() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        std::fs::write(path("file"), "x").unwrap();
        let made = Command::new("mkfifo").arg(path("pipe")).status().unwrap();
        assert!(made.success());
        let opens = |target: &Path| {
            let link = path("link");
            let _ = std::fs::remove_file(&link);
            symlink(target, &link).unwrap();
            open_own_behind_link(&link).is_ok_and(|file| file.is_some())
        };
        assert!(opens(&path("file")));
        for target in [path("pipe"), path("missing"), "/dev/zero".into()] {
            assert!(!opens(&target), "{}", target.display());
        }
        if crate::sys::rights::is_root() {
            std::os::unix::fs::chown(path("file"), Some(65_534), None).unwrap();
            assert!(!opens(&path("file")));
        }
        assert!(open_own_behind_link(&path("file")).unwrap().is_none());
    }
}
