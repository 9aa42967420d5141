//! What the program asks of the operating system beyond std. All of it is POSIX.

use std::io::{self, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::Duration;

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::getpgrp;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};

/// Makes a file-size limit an error of the write that meets it, and not a death in the middle.
///
/// An empty handler does. Ignoring the signal would too, but commands would inherit that. Should
/// there be none, the limit kills the program, which loses nothing either.
pub fn survive_file_size_limits() {
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).ok();
}

/// Whether a FIFO could not be opened for writing because nobody has it open for reading.
pub fn has_no_reader(error: &io::Error) -> bool {
    error.raw_os_error() == Some(Errno::NXIO.raw_os_error())
}

/// An output that somebody may have set not to wait, as programs do with a terminal that is ours as well: what it
/// does not take yet is written when it does.
pub struct Patient<W>(pub W);

impl<W: Write + AsFd> Write for Patient<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        loop {
            match self.0.write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    wait_for_room(&self.0, Duration::from_secs(1))?;
                }
                written => return written,
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

/// Waits at most so long until something can be written to a file; whether it is worth trying. It is,
/// too, when a signal has cut the wait short.
pub fn wait_for_room(file: impl AsFd, patience: Duration) -> io::Result<bool> {
    let time = Timespec::try_from(patience).map_err(io::Error::other)?;
    match poll(&mut [PollFd::new(&file, PollFlags::OUT)], Some(&time)) {
        Ok(ready) => Ok(ready > 0),
        Err(Errno::INTR) => Ok(true),
        Err(errno) => Err(errno.into()),
    }
}

/// The terminal of stderr, which does not echo what is typed until this is dropped. What is typed stays for who
/// reads it, and Ctrl-C means what it meant.
pub struct Unechoed {
    /// What it echoed before.
    before: LocalModes,
}

const ECHO: LocalModes = LocalModes::ECHO.union(LocalModes::ECHONL);

impl Unechoed {
    /// `None` if there is nothing to be silenced, or the terminal is another program's at present.
    pub fn begin() -> Option<Unechoed> {
        let before = change_modes(|modes| modes.remove(ECHO))?;
        Some(Unechoed {
            before: before & ECHO,
        })
    }
}

impl Drop for Unechoed {
    fn drop(&mut self) {
        change_modes(|modes| modes.insert(self.before));
    }
}

/// Changes the modes of the terminal and returns those before; `None` if it is not ours. In the background the
/// system would stop who changes them.
fn change_modes(change: impl FnOnce(&mut LocalModes)) -> Option<LocalModes> {
    let terminal = io::stderr();
    if tcgetpgrp(&terminal).ok()? != getpgrp() {
        return None;
    }
    let mut attributes = tcgetattr(&terminal).ok()?;
    let before = attributes.local_modes;
    change(&mut attributes.local_modes);
    tcsetattr(&terminal, OptionalActions::Now, &attributes).ok()?;
    Some(before)
}
