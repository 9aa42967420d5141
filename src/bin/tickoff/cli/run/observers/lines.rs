//! Lines that are added to a file while a run goes on.
//!
//! Each is written whole, in one call, at the end of the file: a kill can tear no more than the last one,
//! and the next run begins a new line behind that. Lines that cannot be written are lost, the run goes on,
//! and this is said once. The file may be a FIFO: without a reader lines are lost until one comes, and a
//! reader that does not keep up holds the run up for a second altogether, not longer. A file that somebody
//! removed begins anew, and that is said. Where a line can say how many are lost, it comes before the next one.

use std::fs::File;
use std::io::{self, ErrorKind, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use tickoff::{Error, Rights, escape};

use crate::exit::{Exit, Failure};
use crate::sys;

/// How long all waits for a reader may take together.
const PATIENCE: Duration = Duration::from_secs(1);

/// A file that gets lines from several threads.
pub struct Lines {
    path: PathBuf,
    /// Of the sheet whose lines they are.
    rights: Rights,
    /// In the plural, as a message has it.
    what: &'static str,
    /// What the file begins with.
    head: Vec<u8>,
    /// The line that says how many are lost.
    notice: Option<Box<Notice>>,
    state: Mutex<State>,
}

/// Makes a line of how many are lost.
type Notice = dyn Fn(u64) -> Vec<u8> + Send + Sync;

struct State {
    /// `None`: a FIFO that nobody reads.
    file: Option<File>,
    /// What is still to be written of a line that was begun.
    rest: Vec<u8>,
    patience: Duration,
    /// How many lines are lost, and nobody was told of.
    lost: u64,
    /// Whether it was said on stderr that lines are lost.
    is_lossy: bool,
}

impl Lines {
    /// Opens a file, or makes one that begins with `head` and is for those who have the sheet. One that has something in it must begin with
    /// `mark`: no sheet that was named by mistake is written to.
    pub fn open(
        path: &Path,
        rights: Rights,
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
        let file = match rights.append(path) {
            Ok(file) => Some(file),
            Err(Error::Io { source, .. }) if sys::has_no_reader(&source) => None,
            Err(error) => return Err(Failure::Sheet(error)),
        };
        let mut rest = head.to_vec();
        if let Some(file) = &file
            && let metadata = file.metadata().map_err(failed)?
            && metadata.is_file()
            && metadata.len() > 0
        {
            let (has_mark, is_torn) = ends(rights.read(path)?, mark).map_err(failed)?;
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
            rights,
            what,
            head: head.to_vec(),
            notice: None,
            state: Mutex::new(State {
                file,
                rest,
                patience: PATIENCE,
                lost: 0,
                is_lossy: false,
            }),
        };
        lines.add(b"");
        Ok(lines)
    }

    /// Says by such a line how many are lost, once one can be written again.
    pub fn counting(mut self, notice: impl Fn(u64) -> Vec<u8> + Send + Sync + 'static) -> Lines {
        self.notice = Some(Box::new(notice));
        self
    }

    /// Adds a line, its terminator included.
    pub fn add(&self, line: &[u8]) {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if state.was_removed() {
            let (what, path) = (self.what, escape(&self.path.to_string_lossy()));
            tracing::warn!("{path} was removed, and with it {what}: it begins anew");
            state.file = None;
            state.rest.clone_from(&self.head);
        }
        let notice = self.notice.as_ref().filter(|_| state.lost > 0);
        let notice = notice.map(|notice| notice(state.lost));
        let lines = [notice.as_deref().unwrap_or_default(), line].concat();
        let written = state.write(&self.path, &self.rights, &lines);
        match &written {
            Ok(()) if notice.is_some() => state.lost = 0,
            Err(_) if !line.is_empty() => state.lost += 1,
            _ => {}
        }
        if let Err(error) = written
            && !state.is_lossy
        {
            state.is_lossy = true;
            let (what, path) = (self.what, escape(&self.path.to_string_lossy()));
            let why = if sys::has_no_reader(&error) || error.kind() == ErrorKind::BrokenPipe {
                "nobody reads it".to_owned()
            } else if error.kind() == ErrorKind::WouldBlock {
                "its reader does not keep up".to_owned()
            } else {
                error.to_string()
            };
            tracing::warn!("{what} are lost, and the run goes on: cannot write to {path}: {why}");
        }
    }
}

impl State {
    /// Whether the file, if it is a regular one, has no name any more.
    fn was_removed(&self) -> bool {
        let metadata = self.file.as_ref().and_then(|file| file.metadata().ok());
        metadata.is_some_and(|metadata| metadata.is_file() && metadata.nlink() == 0)
    }

    fn write(&mut self, path: &Path, rights: &Rights, line: &[u8]) -> io::Result<()> {
        if self.file.is_none() {
            let opened = rights.append(path).map_err(as_io)?;
            self.file = Some(opened);
        }
        self.flush()?;
        self.rest = line.to_vec();
        match self.flush() {
            // Not begun, it is lost; begun, it is ended before the next one.
            Err(error) if self.rest.len() == line.len() => {
                self.rest.clear();
                Err(error)
            }
            Err(error) if self.rest.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        while let (false, Some(file)) = (self.rest.is_empty(), &mut self.file) {
            match file.write(&self.rest) {
                Ok(length) => {
                    self.rest.drain(..length);
                }
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                Err(error) if error.kind() == ErrorKind::WouldBlock => {
                    if !self.wait_for_room()? {
                        return Err(error);
                    }
                }
                Err(error) => {
                    if error.kind() == ErrorKind::BrokenPipe {
                        self.file = None;
                        // The next reader gets whole lines.
                        self.rest.clear();
                    }
                    return Err(error);
                }
            }
        }
        Ok(())
    }

    /// Waits until something can be written, or the patience is at an end; whether it is worth trying.
    fn wait_for_room(&mut self) -> io::Result<bool> {
        let Some(file) = &self.file else {
            return Ok(false);
        };
        let began = Instant::now();
        let waited = sys::wait_for_room(file, self.patience);
        self.patience = self.patience.saturating_sub(began.elapsed());
        waited
    }
}

/// The system's reason, or ours.
fn as_io(error: Error) -> io::Error {
    match error {
        Error::Io { source, .. } => match source.raw_os_error() {
            Some(number) => io::Error::from_raw_os_error(number),
            None => io::Error::other(source),
        },
        error => io::Error::other(error),
    }
}

/// Whether a file begins with `mark`, and whether its last line has no end.
fn ends(mut file: File, mark: &[u8]) -> io::Result<(bool, bool)> {
    let mut head = Vec::new();
    (&mut file).take(mark.len() as u64).read_to_end(&mut head)?;
    let mut last = [0];
    file.seek(SeekFrom::End(-1))?;
    file.read_exact(&mut last)?;
    Ok((head == mark, last != *b"\n"))
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use rustix::fs::{Mode, OFlags};

    use super::*;

    const HEAD: &[u8] = b"head\n";

    fn open(path: &Path) -> Result<Lines, Failure> {
        let folder = path.parent().expect("it is in a folder");
        Lines::open(path, Rights::of(folder)?, "notes", HEAD, HEAD)
    }

    fn fifo() -> (tempfile::TempDir, PathBuf) {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("fifo");
        let made = Command::new("mkfifo").arg(&path).status();
        assert!(made.unwrap().success());
        (folder, path)
    }

    #[test]
    fn a_file_that_is_removed_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        let lines = open(&path).unwrap();
        lines.add(b"a\n");
        std::fs::remove_file(&path).unwrap();
        lines.add(b"b\n");
        lines.add(b"c\n");
        assert_eq!(std::fs::read(&path).unwrap(), b"head\nb\nc\n");
    }

    fn reader(path: &Path) -> File {
        let flags = OFlags::RDONLY | OFlags::NONBLOCK;
        rustix::fs::open(path, flags, Mode::empty()).unwrap().into()
    }

    fn is_lossy(lines: &Lines) -> bool {
        lines.state.lock().unwrap().is_lossy
    }

    /// What a reader finds in a pipe.
    fn read(reader: &mut File) -> String {
        let mut bytes = vec![0; 1 << 20];
        let mut length = 0;
        while let Ok(more @ 1..) = reader.read(&mut bytes[length..]) {
            length += more;
        }
        String::from_utf8(bytes[..length].to_vec()).unwrap()
    }

    #[test]
    fn a_file_is_gone_on_with_and_has_one_head() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        open(&path).unwrap().add(b"one\n");
        open(&path).unwrap().add(b"two\n");
        assert_eq!(std::fs::read_to_string(path).unwrap(), "head\none\ntwo\n");
    }

    #[test]
    fn a_line_that_a_kill_has_torn_takes_no_other_with_it() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "head\none\ntw").unwrap();
        open(&path).unwrap().add(b"three\n");
        assert_eq!(
            std::fs::read_to_string(path).unwrap(),
            "head\none\ntw\nthree\n"
        );
    }

    #[test]
    fn a_file_with_something_else_in_it_is_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("notes");
        std::fs::write(&path, "PO_NUMBER\nP1\n").unwrap();
        let refused = open(&path).err().unwrap();
        assert_eq!(refused.exit(), Exit::Usage);
        assert!(
            refused
                .to_string()
                .ends_with("notes is there already and has no notes in it; name another file"),
            "{refused}"
        );
        assert_eq!(std::fs::read_to_string(path).unwrap(), "PO_NUMBER\nP1\n");
    }

    #[test]
    fn a_reader_that_comes_late_or_again_gets_whole_lines_from_then_on() {
        let (_folder, path) = fifo();
        let lines = open(&path).unwrap();
        lines.add(b"lost\n");
        assert!(is_lossy(&lines));
        let mut first = reader(&path);
        lines.add(b"one\n");
        assert_eq!(read(&mut first), "head\none\n");
        drop(first);
        lines.add(b"lost\n");
        let mut second = reader(&path);
        lines.add(b"two\n");
        assert_eq!(read(&mut second), "two\n");
    }

    #[test]
    fn how_many_lines_are_lost_is_said_before_the_next_one() {
        let (_folder, path) = fifo();
        let lines = open(&path).unwrap();
        let lines = lines.counting(|lost| format!("{lost} lost\n").into_bytes());
        lines.add(b"a\n");
        lines.add(b"b\n");
        let mut reader = reader(&path);
        lines.add(b"c\n");
        lines.add(b"d\n");
        assert_eq!(read(&mut reader), "head\n2 lost\nc\nd\n");
    }

    #[test]
    fn a_reader_that_does_not_read_gets_whole_lines_and_the_run_is_held_up_for_a_while_only() {
        let (_folder, path) = fifo();
        let mut reader = reader(&path);
        let lines = open(&path).unwrap();
        lines.state.lock().unwrap().patience = Duration::from_millis(10);
        let line = |number: usize| format!("{number}{}\n", "x".repeat(5000));
        // More than a pipe holds.
        for number in 0..100 {
            lines.add(line(number).as_bytes());
        }
        assert!(is_lossy(&lines));
        assert_eq!(lines.state.lock().unwrap().patience, Duration::ZERO);
        let mut said = read(&mut reader);
        lines.add(line(100).as_bytes());
        said += &read(&mut reader);
        let said = said.strip_prefix("head\n").unwrap();
        let numbers: Vec<usize> = said
            .lines()
            .map(|line| {
                assert!(line.ends_with(&"x".repeat(5000)), "{line}");
                line.trim_end_matches('x').parse().unwrap()
            })
            .collect();
        assert!(numbers.is_sorted() && numbers.len() < 100, "{numbers:?}");
        assert_eq!((numbers[0], numbers[numbers.len() - 1]), (0, 100));
    }

    #[test]
    fn a_full_disk_loses_lines_and_stops_nothing() {
        let lines = Lines::open(
            "/dev/full".as_ref(),
            Rights::of("/dev/full").unwrap(),
            "notes",
            b"",
            b"",
        )
        .unwrap();
        lines.add(b"lost\n");
        assert!(is_lossy(&lines));
    }
}
