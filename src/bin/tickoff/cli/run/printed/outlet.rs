//! What jobs print on its way out.
//!
//! A thread of its own writes it, one piece after the other, so that no line tears another one and no reader that
//! has stopped reading holds a job's result, its time limit or a stop up. What waits for that thread is bounded:
//! beyond [`ROOM`] no job is started, and jobs are not read from any more. If their reader takes nothing meanwhile,
//! that is told. Nothing is left out, unless the output itself fails or whoever is at the terminal asks for the end
//! and the reader takes no more.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Read, Seek};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use tickoff::Stream;
use tracing::warn;

use super::form::Place;
use crate::exit::{Exit, Failure};
use crate::stderr::Display;

/// How many bytes may wait before jobs have to.
const ROOM: u64 = 64 << 20;

/// What one piece takes of that besides its bytes, for its key and its place in the queue.
const ALONE: u64 = 256;

/// What a file takes of it at least: only so many are open at a time.
const FILE: u64 = 1 << 20;

/// The longest piece that is written at once, but for a whole line.
const PIECE: u64 = 64 << 10;

/// How long a reader may take no more before that is told, or the rest is given up if the run is to end.
const PATIENCE: Duration = Duration::from_secs(1);

/// What a job printed on one of its outputs.
pub struct Printed {
    pub key: String,
    pub stream: Stream,
    pub bytes: Bytes,
}

/// Some of it, or all of it.
pub enum Bytes {
    /// Whole lines.
    Lines(Vec<u8>),
    /// So many bytes of a file, from its beginning.
    Spooled(File, u64),
}

impl Bytes {
    fn len(&self) -> u64 {
        match self {
            Bytes::Lines(lines) => lines.len() as u64,
            Bytes::Spooled(_, length) => *length,
        }
    }
}

impl Printed {
    /// What it takes of [`ROOM`].
    fn size(&self) -> u64 {
        let alone = ALONE + self.key.len() as u64;
        alone
            + match &self.bytes {
                Bytes::Lines(lines) => lines.len() as u64,
                Bytes::Spooled(_, length) => FILE.max(*length),
            }
    }
}

/// Writes what it is given, in that order.
pub struct Outlet(Arc<Shared>);

struct Shared {
    state: Mutex<State>,
    changed: Condvar,
}

struct State {
    waiting: VecDeque<Printed>,
    /// What those take of [`ROOM`] that wait, and the ones that are being written.
    taken: u64,
    is_closed: bool,
    /// When something was written, or the outlet began.
    last_write: Instant,
    /// Whether it was told that nobody reads.
    is_told: bool,
}

impl Outlet {
    /// Begins to write, to where the program's own outputs go.
    pub fn open(display: &Display) -> Result<Outlet, Failure> {
        let places = [Stream::Stdout, Stream::Stderr].map(|stream| Place::of(stream, display));
        let shared = Arc::new(Shared {
            state: Mutex::new(State {
                waiting: VecDeque::new(),
                taken: 0,
                is_closed: false,
                last_write: Instant::now(),
                is_told: false,
            }),
            changed: Condvar::new(),
        });
        let writing = Arc::clone(&shared);
        thread::Builder::new()
            .name("printer".into())
            .spawn(move || writing.write_all(places))
            .map_err(|error| {
                Failure::Other(
                    Exit::NotWritten,
                    format!("cannot show what jobs print: {error}"),
                )
            })?;
        Ok(Outlet(shared))
    }

    /// Takes something to be written.
    pub fn push(&self, printed: Printed) {
        let mut state = self.0.lock();
        if state.taken == 0 {
            // Nothing was there to be read.
            state.last_write = Instant::now();
        }
        state.taken += printed.size();
        state.waiting.push_back(printed);
        self.0.changed.notify_all();
    }

    /// Whether more should be given. `unread` is called, once, if that is not so and nothing is read.
    pub fn has_room(&self, unread: impl FnOnce()) -> bool {
        let mut state = self.0.lock();
        if state.taken < ROOM {
            return true;
        }
        if !state.is_told && state.last_write.elapsed() >= PATIENCE {
            state.is_told = true;
            drop(state);
            unread();
        }
        false
    }

    /// Waits until all is written; no longer than its reader reads once the run is to end. Whether it is written.
    pub fn drain(&self, is_to_end: impl Fn() -> bool) -> bool {
        let mut state = self.0.lock();
        let mut last = (state.last_write, Instant::now());
        while state.taken > 0 {
            let woken = self.0.changed.wait_timeout(state, PATIENCE / 10);
            state = woken.unwrap_or_else(PoisonError::into_inner).0;
            if state.last_write != last.0 || !is_to_end() {
                last = (state.last_write, Instant::now());
            } else if last.1.elapsed() >= PATIENCE {
                return false;
            }
        }
        true
    }
}

impl Drop for Outlet {
    fn drop(&mut self) {
        self.0.lock().is_closed = true;
        self.0.changed.notify_all();
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn write_all(&self, places: [Place; 2]) {
        let mut places = places.map(Some);
        while let Some((stream, batch)) = self.next() {
            let size: u64 = batch.iter().map(Printed::size).sum();
            let place = &mut places[stream as usize];
            if let Some(open) = place
                && let Err(error) = self.write(open, batch)
            {
                if error.kind() != io::ErrorKind::BrokenPipe {
                    warn!("the rest of what jobs print is lost, and the run goes on: {error}");
                }
                *place = None;
            }
            let mut state = self.lock();
            state.taken -= size;
            state.last_write = Instant::now();
            self.changed.notify_all();
        }
    }

    /// What is written next: what waits for one output, so that a display is taken away once for all of it.
    fn next(&self) -> Option<(Stream, Vec<Printed>)> {
        let mut state = self.lock();
        while state.waiting.is_empty() {
            if state.is_closed {
                return None;
            }
            let woken = self.changed.wait(state);
            state = woken.unwrap_or_else(PoisonError::into_inner);
        }
        let first = state.waiting.pop_front()?;
        let stream = first.stream;
        let mut room = PIECE.saturating_sub(first.bytes.len());
        let mut batch = vec![first];
        let fits = |next: &Printed, room| next.stream == stream && next.bytes.len() <= room;
        while state.waiting.front().is_some_and(|next| fits(next, room)) {
            let next = state.waiting.pop_front()?;
            room -= next.bytes.len();
            batch.push(next);
        }
        Some((stream, batch))
    }

    fn write(&self, place: &Place, batch: Vec<Printed>) -> io::Result<()> {
        let mut shown = Vec::new();
        for Printed { key, bytes, .. } in batch {
            match bytes {
                Bytes::Lines(lines) => place.add(&mut shown, &key, &lines, true),
                Bytes::Spooled(file, length) => {
                    self.write_spooled(place, &mut shown, &key, file, length)?;
                }
            }
        }
        place.write(&shown)
    }

    /// Writes a file, after what is to be shown before it.
    fn write_spooled(
        &self,
        place: &Place,
        shown: &mut Vec<u8>,
        key: &str,
        mut file: File,
        length: u64,
    ) -> io::Result<()> {
        file.rewind()?;
        let mut rest = BufReader::new(file.take(length));
        loop {
            let mut piece = Vec::new();
            (&mut rest).take(PIECE).read_to_end(&mut piece)?;
            if !piece.ends_with(b"\n") {
                (&mut rest).take(PIECE).read_until(b'\n', &mut piece)?;
            }
            if piece.is_empty() {
                return Ok(());
            }
            let is_all = loop {
                match rest.fill_buf().map(<[u8]>::is_empty) {
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    is_empty => break is_empty?,
                }
            };
            place.add(shown, key, &piece, is_all);
            if shown.len() as u64 >= PIECE {
                place.write(&std::mem::take(shown))?;
                self.lock().last_write = Instant::now();
            }
        }
    }
}
