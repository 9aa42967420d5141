//! Which processes the terminal listens to.
#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::mem::MaybeUninit;
use std::ptr;

use libc::sigset_t;
use rustix::process::{Signal, getpgrp, getpid, kill_process, kill_process_group};
use rustix::termios::{OptionalActions, Termios, tcgetattr, tcsetattr, tcsetpgrp};

use crate::sys::spawn::Child;

/// The terminal of this process, which a group of its own has until this is dropped. Then its modes are what they
/// were.
#[derive(Debug)]
pub(crate) struct Lent {
    terminal: File,
    modes: Termios,
}

impl Lent {
    /// Lends it to the group of `leader`, which must not have been reaped and may have been stopped for want of it.
    pub(crate) fn to(leader: &Child) -> io::Result<Lent> {
        let terminal = open()?;
        let modes = tcgetattr(&terminal)?;
        unstopped(|| tcsetpgrp(&terminal, leader.pid()))?;
        kill_process_group(leader.pid(), Signal::CONT)?;
        Ok(Lent { terminal, modes })
    }
}

impl Drop for Lent {
    fn drop(&mut self) {
        // A terminal that has hung up is nobody's.
        unstopped(|| {
            tcsetpgrp(&self.terminal, getpgrp()).ok();
            tcsetattr(&self.terminal, OptionalActions::Drain, &self.modes).ok();
        });
    }
}

/// The terminal, to be read and written.
pub(crate) fn open() -> io::Result<File> {
    File::options().read(true).write(true).open("/dev/tty")
}

/// Does to this process what Ctrl-C does.
pub(crate) fn interrupt() {
    kill_process(getpid(), Signal::INT).ok();
}

/// Changes the terminal, which would stop a process in the background (SIGTTOU).
fn unstopped<T>(change: impl FnOnce() -> T) -> T {
    let [mut blocked, mut before] = [MaybeUninit::<sigset_t>::uninit(); 2];
    // SAFETY: `sigemptyset` initialises a set of our own, and the call the other one; both outlive it. It cannot
    // fail with these arguments, and changes this thread's mask alone.
    unsafe {
        libc::sigemptyset(blocked.as_mut_ptr());
        libc::sigaddset(blocked.as_mut_ptr(), libc::SIGTTOU);
        libc::pthread_sigmask(libc::SIG_BLOCK, blocked.as_ptr(), before.as_mut_ptr());
    }
    let changed = change();
    // SAFETY: `before` was initialised above.
    unsafe { libc::pthread_sigmask(libc::SIG_SETMASK, before.as_ptr(), ptr::null_mut()) };
    changed
}
