//! A read lease: the kernel's word that nobody has a file open for writing.
//!
//! An editor that holds the sheet open across our exchange would write into the displaced file,
//! and no timestamp of the public one would tell. A read lease is refused while anybody has the
//! file open for writing, and it is broken, which we can see, when somebody opens it so later; that
//! somebody waits in `open` until we have given the lease back. See fcntl(2), F_SETLEASE.
//!
//! Neither std nor rustix nor nix wraps this call, hence the `unsafe` here: two calls that take
//! integers and no pointers.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;

use super::place;
use crate::sys::poor::{Gift, lacks};

/// From fcntl(2); libc does not have it for every system.
const F_SETSIG: libc::c_int = 10;

/// Held until it is dropped, or somebody opens the file for writing.
pub(crate) struct Lease<'a>(&'a File);

/// What a request for a lease can come to.
pub(crate) enum Leased<'a> {
    Held(Lease<'a>),
    /// Somebody has the file open for writing.
    Refused,
    /// The filesystem, or our rights, do not allow leases.
    Unsupported,
}

impl<'a> Lease<'a> {
    /// Asks for a lease on a file that was opened for reading only.
    pub(crate) fn take(file: &'a File) -> Leased<'a> {
        // FUSE grants one, and knows nothing of who writes on the other side.
        if lacks(Gift::Lease) || !place::sees_all_writers(file) {
            return Leased::Unsupported;
        }
        // The default signal for a broken lease, SIGIO, kills a process that does not handle it.
        // SIGURG is ignored unless somebody asks for it. Nobody needs the signal: we look.
        let prepared = fcntl(file, F_SETSIG, libc::SIGURG)
            .and_then(|_| fcntl(file, libc::F_SETLEASE, libc::F_RDLCK));
        match prepared {
            Ok(_) => Leased::Held(Lease(file)),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => Leased::Refused,
            Err(_) => Leased::Unsupported,
        }
    }

    /// The lease that other programs hold on what they write, for tests: nobody else opens the file then.
    #[cfg(test)]
    pub(crate) fn take_for_writing(file: &'a File) -> io::Result<Lease<'a>> {
        fcntl(file, F_SETSIG, libc::SIGURG)?;
        fcntl(file, libc::F_SETLEASE, libc::F_WRLCK)?;
        Ok(Lease(file))
    }

    /// Whether nobody has opened the file for writing since.
    pub(crate) fn is_held(&self) -> bool {
        fcntl(self.0, libc::F_GETLEASE, 0).is_ok_and(|lease| lease == libc::F_RDLCK)
    }
}

impl Drop for Lease<'_> {
    fn drop(&mut self) {
        // Fails only if the kernel took the lease away already.
        let _ = fcntl(self.0, libc::F_SETLEASE, libc::F_UNLCK);
    }
}

fn fcntl(file: &File, command: libc::c_int, argument: libc::c_int) -> io::Result<libc::c_int> {
    // SAFETY: the descriptor is open for as long as `file` is borrowed, and the commands passed
    // here take an integer and touch no memory of ours.
    match unsafe { libc::fcntl(file.as_raw_fd(), command, argument) } {
        -1 => Err(io::Error::last_os_error()),
        answer => Ok(answer),
    }
}

#[cfg(test)]
mod tests {
    use std::fs::OpenOptions;

    use super::*;

    #[test]
    fn a_lease_is_refused_while_somebody_writes_and_lost_when_somebody_begins_to() {
        let folder = tempfile::tempdir_in(".").unwrap();
        let path = folder.path().join("sheet");
        std::fs::write(&path, "x").unwrap();
        let reader = File::open(&path).unwrap();

        let writer = OpenOptions::new().write(true).open(&path).unwrap();
        assert!(matches!(Lease::take(&reader), Leased::Refused));
        drop(writer);

        let Leased::Held(lease) = Lease::take(&reader) else {
            panic!("no lease on this filesystem")
        };
        assert!(lease.is_held());
        std::thread::scope(|scope| {
            let opening = scope.spawn(|| OpenOptions::new().write(true).open(&path));
            while lease.is_held() {
                std::thread::yield_now();
            }
            drop(lease);
            opening.join().unwrap().unwrap();
        });
    }
}
