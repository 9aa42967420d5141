//! Lines that are added to a file while a run goes on.
//!
//! Each is written whole, in one call, at the end of the file: a kill can tear no more than the last one,
//! and the next run begins a new line behind that. Lines that cannot be written are lost, the run goes on,
//! and this is said once. The file may be a FIFO: without a reader lines are lost until one comes, and a
//! reader that does not keep up holds the run up for a second altogether, not longer.

use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::OFlags;
use rustix::io::Errno;
use tickoff::{Error, escape};

use crate::cli::exit::{Exit, Failure};

/// How long all waits for a reader may take together.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file that gets lines from several threads.
pub struct Lines {
    path: PathBuf,
    /// In the plural, as a message has it.
    what: &'static str,
    state: Mutex<State>,
}

struct State {
    /// `None`: a FIFO that nobody reads.
    file: Option<File>,
    /// What is still to be written of a line that was begun.
    rest: Vec<u8>,
    patience: Duration,
    is_lossy: bool,
}

impl Lines {
    /// Opens a file, or makes one that begins with `head`. One that has something in it must begin with
    /// `mark`: no sheet that was named by mistake is written to.
    pub fn open(
        path: &Path,
        what: &'static str,
        head: &[u8],
        mark: &[u8],
    ) -> Result<Lines, Failure> {
        let failed = |error| {
            Failure::Sheet(Error::Io {
                action: "open",
                path: path.to_owned(),
                source: Arc::new(error),
            })
        };
        let mut options = OpenOptions::new();
        let file = match options.append(true).create(true).nonblocking().open(path) {
            Ok(file) => Some(file),
            Err(error) if is(&error, Errno::NXIO) => None,
            Err(error) => return Err(failed(error)),
        };
        let mut rest = head.to_vec();
        if let Some(file) = &file
            && let metadata = file.metadata().map_err(failed)?
            && metadata.is_file()
            && metadata.len() > 0
        {
            let (has_mark, is_torn) = ends(path, mark).map_err(failed)?;
            if !has_mark {
                return Err(Failure::Other(
                    Exit::Usage,
                    format!(
                        "{} is there already and has no {what} in it; name another file",
                        escape(&path.to_string_lossy())
                    ),
                ));
            }
            rest = if is_torn { b"\n".to_vec() } else { Vec::new() };
        }
        let lines = Lines {
            path: path.to_owned(),
            what,
            state: Mutex::new(State {
                file,
                rest,
                patience: PATIENCE,
                is_lossy: false,
            }),
        };
        lines.add(b"");
        Ok(lines)
    }

    /// Adds a line, its terminator included.
    pub fn add(&self, line: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if let Err(error) = state.write(&self.path, line)
            && !state.is_lossy
        {
            state.is_lossy = true;
            let (what, path) = (self.what, escape(&self.path.to_string_lossy()));
            let why = if is(&error, Errno::NXIO) || is(&error, Errno::PIPE) {
                "nobody reads it".to_owned()
            } else if is(&error, Errno::AGAIN) {
                "its reader does not keep up".to_owned()
            } else {
                error.to_string()
            };
            tracing::warn!("{what} are lost, and the run goes on: cannot write to {path}: {why}");
        }
    }
}

impl State {
    fn write(&mut self, path: &Path, line: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            self.file = Some(OpenOptions::new().append(true).nonblocking().open(path)?);
        }
        let begun = std::mem::take(&mut self.rest);
        let left = self.send(&begun)?;
        if left > 0 {
            self.rest = begun[begun.len() - left..].to_vec();
            return Err(Errno::AGAIN.into());
        }
        let left = self.send(line)?;
        if left == line.len() && left > 0 {
            return Err(Errno::AGAIN.into());
        }
        self.rest = line[line.len() - left..].to_vec();
        Ok(())
    }

    /// Writes as much as possible, and says how much is left.
    fn send(&mut self, mut bytes: &[u8]) -> io::Result<usize> {
        while let (false, Some(file)) = (bytes.is_empty(), &mut self.file) {
            match file.write(bytes) {
                Ok(length) => bytes = &bytes[length..],
                Err(error) if is(&error, Errno::INTR) => {}
                Err(error) if is(&error, Errno::AGAIN) => {
                    if !self.wait_for_room()? {
                        break;
                    }
                }
                Err(error) => {
                    if is(&error, Errno::PIPE) {
                        self.file = None;
                    }
                    return Err(error);
                }
            }
        }
        Ok(bytes.len())
    }

    fn wait_for_room(&mut self) -> io::Result<bool> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let began = Instant::now();
        let time = Timespec::try_from(self.patience).expect("a second fits");
        let mut fds = [PollFd::new(file, PollFlags::OUT)];
        match poll(&mut fds, Some(&time)) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(errno) => return Err(errno.into()),
        }
        let has_room = !fds[0].revents().is_empty();
        self.patience = self.patience.saturating_sub(began.elapsed());
        Ok(has_room)
    }
}

/// Whether a file begins with `mark`, and whether its last line has no end.
fn ends(path: &Path, mark: &[u8]) -> io::Result<(bool, bool)> {
    let mut file = File::open(path)?;
    let mut head = Vec::new();
    (&mut file).take(mark.len() as u64).read_to_end(&mut head)?;
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok((head == mark, last != *b"\n"))
}

trait Nonblocking {
    fn nonblocking(&mut self) -> &mut Self;
}

impl Nonblocking for OpenOptions {
    fn nonblocking(&mut self) -> &mut Self {
        self.custom_flags(OFlags::NONBLOCK.bits() as i32)
    }
}

fn is(error: &io::Error, errno: Errno) -> bool {
    error.raw_os_error() == Some(errno.raw_os_error())
}
