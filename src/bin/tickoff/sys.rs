//! What the program asks of the operating system beyond std. All of it is POSIX.

use std::fs::OpenOptions;
use std::io::{self, ErrorKind, IsTerminal, Read, Write};
use std::os::fd::{AsFd, BorrowedFd};
use std::os::unix::fs::MetadataExt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::{FileType, fstat};
use rustix::io::Errno;
use rustix::process::{geteuid, getpgrp};
use rustix::system::uname;
use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcgetpgrp, tcsetattr};
use tickoff::Stop;

/// Whether there is a terminal, and it listens to this program.
pub fn has_terminal() -> bool {
    let terminal = OpenOptions::new().read(true).write(true).open("/dev/tty");
    terminal.is_ok_and(|terminal| tcgetpgrp(&terminal) == Ok(getpgrp()))
}

/// Makes a file-size limit an error of the write that meets it, and not a death in the middle.
///
/// An empty handler does. Ignoring the signal would too, but commands would inherit that. Should
/// there be none, the limit kills the program, which loses nothing either.
pub fn survive_file_size_limits() {
    signal_hook::flag::register(signal_hook::consts::SIGXFSZ, Arc::default()).ok();
}

/// As whom the program runs.
pub fn user() -> u32 {
    geteuid().as_raw()
}

/// Among which users that is one; `None` where the system does not tell.
pub fn user_namespace() -> Option<u64> {
    Some(std::fs::metadata("/proc/self/ns/user").ok()?.ino())
}

/// The name of that user, or else its number.
pub fn user_name() -> String {
    let name = uzers::get_effective_username();
    name.map_or_else(
        || user().to_string(),
        |name| name.to_string_lossy().into_owned(),
    )
}

/// What this machine calls itself.
pub fn host() -> String {
    uname().nodename().to_string_lossy().into_owned()
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

/// An input that ends when a stop is requested, also while nothing comes from it; or an output that is given up then,
/// if nobody reads it.
pub struct UntilStopped<F> {
    pub file: F,
    pub stop: Stop,
}

impl<F> UntilStopped<F> {
    /// How often it is looked for a stop.
    const EVERY: Timespec = Timespec {
        tv_sec: 0,
        tv_nsec: 100_000_000,
    };
    /// How long a reader may take once a stop is requested.
    const PATIENCE: Duration = Duration::from_secs(1);
}

impl<R: Read + AsFd> Read for UntilStopped<R> {
    fn read(&mut self, bytes: &mut [u8]) -> io::Result<usize> {
        while !self.stop.is_requested() {
            let mut input = [PollFd::new(&self.file, PollFlags::IN)];
            match poll(&mut input, Some(&Self::EVERY)) {
                Ok(0) | Err(Errno::INTR) => {}
                _ => return self.file.read(bytes),
            }
        }
        Ok(0)
    }
}

impl<W: Write + AsFd> Write for UntilStopped<W> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        /// What a pipe that has room takes without waiting: POSIX's least PIPE_BUF is smaller, but Linux has a page.
        const AT_ONCE: usize = 4096;
        let mut stopping: Option<Instant> = None;
        loop {
            let mut output = [PollFd::new(&self.file, PollFlags::OUT)];
            match poll(&mut output, Some(&Self::EVERY)) {
                Ok(0) | Err(Errno::INTR) => {}
                _ => return self.file.write(&bytes[..bytes.len().min(AT_ONCE)]),
            }
            if self.stop.is_requested()
                && stopping.get_or_insert_with(Instant::now).elapsed() > Self::PATIENCE
            {
                return Err(ErrorKind::TimedOut.into());
            }
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

/// A file to which all goes at once.
pub struct Unbuffered<F>(pub F);

impl<F: AsFd> AsFd for Unbuffered<F> {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl<F: AsFd> Write for Unbuffered<F> {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        Ok(rustix::io::write(&self.0, bytes)?)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
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

/// The terminal of stderr, which does not echo what is typed until this is dropped, and Ctrl-C means what it meant.
/// With keys, what is typed can be read at once; without, it stays for who reads it.
pub struct Unechoed {
    /// Those of the changed modes that it had before.
    before: LocalModes,
}

const ECHO: LocalModes = LocalModes::ECHO.union(LocalModes::ECHONL);

impl Unechoed {
    /// `None` if the terminal is another program's at present.
    pub fn begin(with_keys: bool) -> Option<Unechoed> {
        let changed = match with_keys {
            true => ECHO | LocalModes::ICANON,
            false => ECHO,
        };
        let before = change_modes(|modes| modes.remove(changed))?;
        Some(Unechoed {
            before: before & changed,
        })
    }
}

impl Drop for Unechoed {
    fn drop(&mut self) {
        change_modes(|modes| modes.insert(self.before));
    }
}

/// Whether stdin is the terminal of stderr, so that keys can be read.
pub fn has_keys() -> bool {
    let device = |file: BorrowedFd<'_>| fstat(file).ok().map(|stat| stat.st_rdev);
    let (stdin, stderr) = (io::stdin(), io::stderr());
    stdin.is_terminal() && device(stdin.as_fd()) == device(stderr.as_fd())
}

/// Whether stdout is a pipe or a socket, whose reader may print to the terminal of stderr.
pub fn prints_to_pipe() -> bool {
    let kind = fstat(io::stdout()).map(|stat| FileType::from_raw_mode(stat.st_mode));
    matches!(kind, Ok(FileType::Fifo | FileType::Socket))
}

/// Whether the terminal of stderr is ours, and not another program's at present.
pub fn is_in_foreground() -> bool {
    tcgetpgrp(io::stderr()).is_ok_and(|group| group == getpgrp())
}

/// Whether the terminal of stderr is another program's at present.
pub fn is_in_background() -> bool {
    tcgetpgrp(io::stderr()).is_ok_and(|group| group != getpgrp())
}

/// What is typed within this time; `None` if nothing more will be. In the background nothing is read: the system
/// would stop who does.
pub fn typed_within(time: Duration) -> Option<Vec<u8>> {
    if !is_in_foreground() {
        std::thread::sleep(time);
        return Some(Vec::new());
    }
    let stdin = io::stdin();
    let limit = Timespec::try_from(time).ok()?;
    let ready = poll(&mut [PollFd::new(&stdin, PollFlags::IN)], Some(&limit));
    if !matches!(ready, Ok(1..)) || !is_in_foreground() {
        return Some(Vec::new());
    }
    let mut keys = [0; 64];
    match rustix::io::read(&stdin, &mut keys) {
        Ok(0) => None,
        Ok(length) => Some(keys[..length].to_vec()),
        Err(Errno::INTR | Errno::AGAIN) => Some(Vec::new()),
        Err(_) => None,
    }
}

/// Changes the modes of the terminal and returns those before; `None` if it is not ours. In the background the
/// system would stop who changes them.
fn change_modes(change: impl FnOnce(&mut LocalModes)) -> Option<LocalModes> {
    let terminal = io::stderr();
    if !is_in_foreground() {
        return None;
    }
    let mut attributes = tcgetattr(&terminal).ok()?;
    let before = attributes.local_modes;
    change(&mut attributes.local_modes);
    tcsetattr(&terminal, OptionalActions::Now, &attributes).ok()?;
    Some(before)
}
