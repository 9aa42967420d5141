//! What is said on stderr on its way out.
//!
//! A pager that is not scrolled, a log collector that hangs: whoever reads stderr may stop reading, and a write
//! would wait for that reader. So a thread of its own writes, and whoever says something goes on. What waits is
//! bounded: messages beyond that are counted, and their number is said when there is room again. What jobs print
//! is never left out, but waits for room.

use std::io::{self, ErrorKind};
use std::sync::{Condvar, Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::display::lock;

/// How many bytes of messages may wait.
const ROOM: usize = 1 << 20;

/// Beyond how many bytes what jobs print waits, so that messages have room beside it.
const ROOM_OF_JOBS: usize = 64 << 10;

/// How long a reader may take nothing before the rest is given up, if whoever is there asks for the end.
const PATIENCE: Duration = Duration::from_secs(1);

/// Whole lines that wait for their reader.
#[derive(Default)]
pub(super) struct Backlog {
    state: Mutex<State>,
    changed: Condvar,
}

#[derive(Default)]
struct State {
    waiting: Vec<u8>,
    /// How many messages found no room.
    lost: u64,
    /// Whether the thread is at something that no longer waits.
    is_writing: bool,
    /// How the last write ended, if it failed.
    failed: Option<ErrorKind>,
    is_hurried: bool,
}

impl Backlog {
    /// Takes a message, without waiting.
    pub(super) fn add(&self, message: &[u8]) {
        let mut state = lock(&self.state);
        if state.waiting.len() + message.len() > ROOM {
            state.lost += 1;
        } else {
            state.waiting.extend_from_slice(message);
        }
        self.changed.notify_all();
    }

    /// Takes lines once there is room for them. Fails if what was written last could not be.
    pub(super) fn add_patiently(&self, lines: &[u8]) -> io::Result<()> {
        let mut state = lock(&self.state);
        while state.waiting.len() >= ROOM_OF_JOBS && state.failed.is_none() {
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        if let Some(kind) = state.failed {
            return Err(kind.into());
        }
        state.waiting.extend_from_slice(lines);
        self.changed.notify_all();
        Ok(())
    }

    /// Writes what comes, for ever; `notice` says how many messages are lost.
    pub(super) fn keep_writing(
        &self,
        write: impl Fn(&[u8]) -> io::Result<()>,
        notice: impl Fn(u64) -> String,
    ) {
        let mut state = lock(&self.state);
        loop {
            if state.waiting.is_empty() && state.lost == 0 {
                let woken = self.changed.wait(state);
                state = woken.unwrap_or_else(PoisonError::into_inner);
                continue;
            }
            let mut lines = std::mem::take(&mut state.waiting);
            if let lost @ 1.. = std::mem::take(&mut state.lost) {
                lines.extend_from_slice(notice(lost).as_bytes());
            }
            state.is_writing = true;
            drop(state);
            let written = write(&lines);
            state = lock(&self.state);
            state.is_writing = false;
            state.failed = written.err().map(|error| error.kind());
            self.changed.notify_all();
        }
    }

    /// From now on no reader is waited for that takes nothing.
    pub(super) fn hurry(&self) {
        lock(&self.state).is_hurried = true;
        self.changed.notify_all();
    }

    /// Whether that is so.
    pub(super) fn is_hurried(&self) -> bool {
        lock(&self.state).is_hurried
    }

    /// Waits until all is written, or for as long as is worth it once that is [hurried](Backlog::hurry).
    pub(super) fn drain(&self) {
        let mut state = lock(&self.state);
        let mut deadline = None;
        while state.is_writing || !state.waiting.is_empty() {
            if state.is_hurried && deadline.is_none() {
                deadline = Some(Instant::now() + PATIENCE);
            }
            if deadline.is_some_and(|at| at <= Instant::now()) {
                return;
            }
            let woken = self.changed.wait_timeout(state, PATIENCE / 10);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, Read, Write};
    use std::sync::Arc;
    use std::thread;

    use super::*;

    /// A backlog whose reader has not begun to read.
    fn unread() -> (Arc<Backlog>, io::PipeReader) {
        let backlog = Arc::new(Backlog::default());
        let (reader, writer) = io::pipe().unwrap();
        let writing = Arc::clone(&backlog);
        thread::spawn(move || {
            let write = |lines: &[u8]| (&writer).write_all(lines);
            writing.keep_writing(write, |lost| format!("{lost} lost\n"));
        });
        (backlog, reader)
    }

    #[test]
    fn a_message_waits_for_no_reader_and_those_without_room_are_counted() {
        let (backlog, reader) = unread();
        let line = [&[b'x'; 1023][..], b"\n"].concat();
        for _ in 0..3_000 {
            backlog.add(&line);
        }
        let reading = thread::spawn(move || {
            let mut lines = io::BufReader::new(reader).lines();
            let (mut shown, mut lost) = (0, 0);
            // When the writer takes what waits decides how often it says what is lost.
            while shown + lost < 3_000 {
                let line = lines.next().unwrap().unwrap();
                match line.strip_suffix(" lost") {
                    Some(count) => lost += count.parse::<usize>().unwrap(),
                    None => {
                        assert_eq!(line.len(), 1023);
                        shown += 1;
                    }
                }
            }
            (shown, lost)
        });
        let (shown, lost) = reading.join().unwrap();
        assert_eq!(shown + lost, 3_000);
        assert!(lost > 0);
    }

    #[test]
    fn whoever_is_in_a_hurry_waits_for_a_while_only() {
        let (backlog, mut reader) = unread();
        backlog.add(b"read\n");
        backlog.drain();
        let mut read = [0; 5];
        reader.read_exact(&mut read).unwrap();
        assert_eq!(&read, b"read\n");
        backlog.add(&[b'x'; 1 << 19]);
        backlog.hurry();
        backlog.drain();
    }
}
