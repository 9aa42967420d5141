//! What macOS gives beyond what all unix systems share, and what it lacks.
//!
//! No file without a name, no leases, no blocks shared into an open file, no `/proc`: here the callers
//! take the ways that they have for such filesystems. What std calls a sync is a full one
//! (F_FULLFSYNC), also where only the data is asked for.

pub(crate) mod acl;
#[cfg(feature = "cli")]
pub(crate) mod cgroup;
#[cfg(feature = "cli")]
pub(crate) mod disposition;
#[cfg(feature = "cli")]
pub(crate) mod exit;
#[cfg(feature = "cli")]
pub(crate) mod new_session;
pub(crate) mod place;
#[cfg(feature = "cli")]
pub(crate) mod processes;

/// Reading without a trace.
pub(crate) mod access_time {
    use std::fs::File;

    /// Nobody can ask for that here: reading goes on leaving its trace.
    pub(crate) fn leave(_file: &File) {}
}

/// When a file was made.
pub(crate) mod birth {
    use std::io;
    use std::path::Path;
    use std::time::SystemTime;

    /// When the file was made that a path leads to; `Unsupported` where the filesystem does not tell.
    pub(crate) fn of(path: &Path) -> io::Result<SystemTime> {
        path.metadata()?.created()
    }
}

/// Copying a file by sharing its blocks.
pub(crate) mod blocks {
    use std::fs::File;
    use std::io;

    /// `clonefile` only makes new files, with a name: blocks cannot be shared into one that is open.
    pub(crate) fn share(_source: &File, _copy: &File) -> io::Result<()> {
        Err(io::Error::from_raw_os_error(libc::ENOTSUP))
    }
}

/// Which file a name means.
pub(crate) mod inode {
    use std::fs::File;
    use std::io;

    use rustix::fs::{AtFlags, statat};

    /// The inode that has a name, without following a link.
    pub(crate) fn of(folder: &File, name: &str) -> io::Result<u64> {
        Ok(statat(folder, name, AtFlags::SYMLINK_NOFOLLOW)?.st_ino)
    }
}

/// A read lease: there are none.
pub(crate) mod lease {
    use std::convert::Infallible;
    use std::fs::File;
    use std::marker::PhantomData;

    /// Nobody has one.
    pub(crate) struct Lease<'a>(Infallible, PhantomData<&'a File>);

    /// What a request for a lease can come to.
    #[allow(dead_code, reason = "what other systems answer as well")]
    pub(crate) enum Leased<'a> {
        Held(Lease<'a>),
        Refused,
        Unsupported,
    }

    impl<'a> Lease<'a> {
        pub(crate) fn take(_file: &'a File) -> Leased<'a> {
            Leased::Unsupported
        }

        #[cfg(test)]
        pub(crate) fn take_for_writing(_file: &'a File) -> std::io::Result<Lease<'a>> {
            Err(std::io::ErrorKind::Unsupported.into())
        }

        pub(crate) fn is_held(&self) -> bool {
            match self.0 {}
        }
    }
}

/// Who holds a lock, asked without taking it.
pub(crate) mod lock_holder {
    use std::fs::File;

    use crate::sys::unix::peer;

    /// The system does not tell of locks; so this is whether a process that says it holds one is alive.
    pub(crate) fn is(_file: &File, pid: u32) -> Option<bool> {
        Some(!peer::has_ended(pid))
    }
}

/// A file without a name: there are none.
pub(crate) mod private_file {
    use std::fs::File;
    use std::io;
    use std::path::Path;

    pub(crate) fn create(_folder: &File, _mode: u32) -> io::Result<File> {
        Err(unsupported())
    }

    pub(crate) fn give_name(
        _file: &File,
        _folder: &File,
        _name: impl AsRef<Path>,
    ) -> io::Result<()> {
        Err(unsupported())
    }

    fn unsupported() -> io::Error {
        io::Error::from_raw_os_error(libc::ENOTSUP)
    }
}

/// Among which processes a process id means something.
pub(crate) mod process_space {
    /// There are no PID namespaces here: those of this host, which is told beside it.
    pub(crate) fn ours() -> Option<String> {
        Some("host".to_owned())
    }
}

/// Reserving space: the write itself tells of a full disk.
pub(crate) mod room {
    use std::fs::File;
    use std::io;

    pub(crate) fn reserve(_file: &File, _size: u64) -> io::Result<bool> {
        Ok(false)
    }

    pub(crate) fn reserve_behind(_file: &File, _start: u64, _length: u64) -> io::Result<bool> {
        Ok(false)
    }
}
