//! What jobs print, handed on in whole lines.
//!
//! What is handed on never waits here: a job whose printer has no room is not read from, and so it waits in its
//! own write, as it would for any pipe, while its time and the run's stop are looked at as ever.

use std::sync::Arc;
use std::time::Instant;

use memchr::memrchr;

use crate::process::poll::STOP_CHECK;
use crate::run::Stop;

/// The longest line that is handed on in one piece for certain, in bytes.
const LONGEST_LINE: usize = 64 << 10;

/// One of the two outputs of a job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stream {
    /// The standard output.
    Stdout,
    /// The standard error.
    Stderr,
}

/// Takes what jobs print.
pub trait Printer: Send + Sync {
    /// Takes one or several lines that this worker printed while it was at the row with this key; `None` while a
    /// worker that stays alive had nothing to do. Only the last line of an attempt, and a piece of one that is longer
    /// than 64 KiB, may lack its line end.
    ///
    /// It is to take them at once, whether it [has room](Printer::has_room) or not.
    fn print(&self, worker: usize, key: Option<&str>, stream: Stream, lines: &[u8]);

    /// Whether more may be printed. While that is not so, no job is started and no pipe of one is read.
    fn has_room(&self) -> bool;
}

/// Waits until more may be printed; whether that is so before the run is stopped.
pub(super) fn has_room_in_time(printer: Option<&Arc<dyn Printer>>, stop: &Stop) -> bool {
    while printer.is_some_and(|printer| !printer.has_room()) {
        if stop.is_requested() {
            return false;
        }
        stop.sleep_until(Instant::now() + STOP_CHECK);
    }
    true
}

/// One output of a job that is printed.
pub(super) struct Printing {
    printer: Arc<dyn Printer>,
    worker: usize,
    key: Option<String>,
    stream: Stream,
    lines: Lines,
}

impl Printing {
    pub(super) fn of(
        printer: &Arc<dyn Printer>,
        worker: usize,
        key: Option<&str>,
        stream: Stream,
    ) -> Printing {
        Printing {
            printer: Arc::clone(printer),
            worker,
            key: key.map(str::to_owned),
            stream,
            lines: Lines::default(),
        }
    }

    pub(super) fn has_room(&self) -> bool {
        self.printer.has_room()
    }

    pub(super) fn push(&mut self, bytes: &[u8]) {
        let (worker, key, stream) = (self.worker, self.key.as_deref(), self.stream);
        let print = |lines: &[u8]| self.printer.print(worker, key, stream, lines);
        self.lines.push(bytes, print);
    }

    /// What comes from now on belongs to this key, and to no line that was begun.
    pub(super) fn turn_to(&mut self, next: Option<&str>) {
        if next == self.key.as_deref() {
            return;
        }
        self.end();
        self.key = next.map(str::to_owned);
    }

    /// Hands on the line that has no end.
    pub(super) fn end(&mut self) {
        let begun = std::mem::take(&mut self.lines.begun);
        if !begun.is_empty() {
            let key = self.key.as_deref();
            self.printer.print(self.worker, key, self.stream, &begun);
        }
    }
}

/// Makes whole lines of what comes in pieces.
#[derive(Default)]
struct Lines {
    /// At most `LONGEST_LINE` bytes, without a line end.
    begun: Vec<u8>,
}

impl Lines {
    fn push(&mut self, bytes: &[u8], mut take: impl FnMut(&[u8])) {
        let whole = memrchr(b'\n', bytes).map_or(0, |end| end + 1);
        let (whole, rest) = bytes.split_at(whole);
        if !whole.is_empty() && self.begun.is_empty() {
            take(whole);
        } else if !whole.is_empty() {
            self.begun.extend_from_slice(whole);
            take(&std::mem::take(&mut self.begun));
        }
        self.begun.extend_from_slice(rest);
        while self.begun.len() > LONGEST_LINE {
            let cut = before_character(&self.begun, LONGEST_LINE);
            take(&self.begun[..cut]);
            self.begun.drain(..cut);
        }
    }
}

/// Where the character begins to which the byte there belongs; the same place if that is no text.
fn before_character(bytes: &[u8], at: usize) -> usize {
    let continues_a_character = |at: usize| bytes[at] & 0b1100_0000 == 0b1000_0000;
    (at - 3..=at)
        .rev()
        .find(|&at| !continues_a_character(at))
        .unwrap_or(at)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is handed on of these pieces, and what is begun at the end.
    fn pushed(pieces: &[&[u8]]) -> (Vec<Vec<u8>>, Vec<u8>) {
        let (mut lines, mut taken) = (Lines::default(), Vec::new());
        for piece in pieces {
            lines.push(piece, |lines| taken.push(lines.to_vec()));
        }
        (taken, lines.begun)
    }

    #[test]
    fn a_line_is_handed_on_once_it_has_its_end() {
        let (taken, begun) = pushed(&[b"a", b"b\nc\nd", b"", b"e", b"\n", b"f"]);
        assert_eq!(taken, [&b"ab\nc\n"[..], b"de\n"]);
        assert_eq!(begun, b"f");
    }

    #[test]
    fn a_long_line_comes_in_pieces_that_hold_whole_characters() {
        let long = "é".repeat(100_000);
        for piece in [1 << 16, 4_001] {
            let pieces: Vec<_> = long.as_bytes().chunks(piece).collect();
            let (mut taken, begun) = pushed(&pieces);
            taken.push(begun);
            assert_eq!(taken.concat(), long.as_bytes());
            for piece in taken {
                assert!(piece.len() <= LONGEST_LINE);
                String::from_utf8(piece).unwrap();
            }
        }
        let (taken, _) = pushed(&[&[0x80; LONGEST_LINE + 1]]);
        assert_eq!(taken[0].len(), LONGEST_LINE);
    }
}
