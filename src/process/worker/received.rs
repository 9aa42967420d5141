//! What a process has said and nobody has read yet, line by line.

use memchr::memchr;

use crate::domain::MAX_LINE_BYTES;
use crate::process::worker::protocol::{Nonsense, Said};

/// Of a line that is too long no more than its beginning is kept.
#[derive(Default)]
pub(super) struct Received {
    bytes: Vec<u8>,
    /// Up to where it has no line feed.
    searched: usize,
    /// More was received of the line than is kept.
    is_cut: bool,
}

/// A line that a process sent, or the beginning of one that is too long.
pub(super) struct Line {
    bytes: Vec<u8>,
    is_cut: bool,
}

impl Line {
    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    pub(super) fn say(&self, id: u64) -> std::result::Result<Said, Nonsense> {
        match self.is_cut {
            true => Said::parse_beginning(&self.bytes, id),
            false => Said::parse(&self.bytes, id),
        }
    }
}

impl Received {
    pub(super) fn add(&mut self, chunk: &[u8]) {
        self.bytes.extend_from_slice(chunk);
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The next whole line that is not blank.
    pub(super) fn next_line(&mut self) -> Option<Line> {
        loop {
            self.skip_blank();
            let Some(end) = memchr(b'\n', &self.bytes[self.searched..]) else {
                self.is_cut |= self.bytes.len() > MAX_LINE_BYTES;
                self.bytes.truncate(MAX_LINE_BYTES);
                self.searched = self.bytes.len();
                return None;
            };
            let line = self.take(self.searched + end + 1);
            if !line.bytes.trim_ascii().is_empty() {
                return Some(line);
            }
        }
    }

    /// All of what is there, whole or not.
    pub(super) fn take_all(&mut self) -> Line {
        self.take(self.bytes.len())
    }

    /// Blank lines go all at once: what is behind each is not moved for each.
    fn skip_blank(&mut self) {
        if self.searched == 0 && !self.is_cut {
            let is_blank = |byte: &&u8| byte.is_ascii_whitespace();
            let blank = self.bytes.iter().take_while(is_blank).count();
            self.bytes.drain(..blank);
        }
    }

    /// Takes so much of it, the line feed of a line included.
    fn take(&mut self, length: usize) -> Line {
        let rest = self.bytes.split_off(length);
        let mut bytes = std::mem::replace(&mut self.bytes, rest);
        self.searched = 0;
        let is_cut = std::mem::take(&mut self.is_cut) || length > MAX_LINE_BYTES + 1;
        bytes.truncate(MAX_LINE_BYTES);
        Line { bytes, is_cut }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::growth;

    #[test]
    fn lines_come_whole_and_one_after_the_other() {
        let mut received = Received::default();
        received.add(b"\n \r\n  one\n\n\ntw");
        assert_eq!(received.next_line().unwrap().bytes, b"one\n");
        assert!(received.next_line().is_none());
        received.add(b"o\n\n");
        assert_eq!(received.next_line().unwrap().bytes, b"two\n");
        assert!(received.next_line().is_none());
        assert_eq!(received.bytes(), b"");
    }

    #[test]
    fn blank_lines_cost_as_much_as_they_are_long() {
        growth::check(20_000, |size| {
            let mut received = Received::default();
            received.add("\n".repeat(size).as_bytes());
            assert!(received.next_line().is_none());
        });
    }
}
