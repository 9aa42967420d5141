//! The end of what a process says, for a message about it.
//!
//! A process may say any amount; what is kept is bounded, and enough for the longest message.

use crate::text::MAX_ERROR_CHARS;

/// The last bytes of a text.
#[derive(Default)]
pub(super) struct Tail {
    /// At most twice `KEPT`, so that they are moved once in so many.
    bytes: Vec<u8>,
}

impl Tail {
    /// Enough for `MAX_ERROR_CHARS` characters of four bytes.
    pub(super) const KEPT: usize = 4 * MAX_ERROR_CHARS;

    pub(super) fn push(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
        if self.bytes.len() > 2 * Self::KEPT {
            // One byte too many tells that something was cut off.
            self.bytes.drain(..self.bytes.len() - Self::KEPT - 1);
        }
    }

    /// The last `KEPT` bytes, from the first whole character on. What is not UTF-8 becomes U+FFFD.
    pub(super) fn text(&self) -> String {
        let cut = self.bytes.len().saturating_sub(Self::KEPT);
        let continues_a_character = |at: usize| self.bytes[at] & 0b1100_0000 == 0b1000_0000;
        let begin = match cut {
            0 => 0,
            // A character has four bytes at most; what goes on for longer is no text.
            _ => (cut..cut + 4)
                .find(|&at| !continues_a_character(at))
                .unwrap_or(cut),
        };
        String::from_utf8_lossy(&self.bytes[begin..]).into_owned()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_end_is_kept_however_it_comes() {
        let said: String = (0..10_000).map(|number| format!("{number} ")).collect();
        for size in [1, 7, Tail::KEPT, said.len()] {
            let mut tail = Tail::default();
            for piece in said.as_bytes().chunks(size) {
                tail.push(piece);
                assert!(tail.bytes.len() <= 2 * Tail::KEPT);
            }
            assert_eq!(tail.text(), said[said.len() - Tail::KEPT..]);
        }
    }

    #[test]
    fn it_begins_with_a_whole_character() {
        let pushes: [&[&str]; 2] = [
            &[&"é".repeat(Tail::KEPT / 2), "x"],
            &[&"é".repeat(Tail::KEPT + 1), "x"],
        ];
        for pushed in pushes {
            let mut tail = Tail::default();
            for text in pushed {
                tail.push(text.as_bytes());
            }
            assert_eq!(tail.text(), "é".repeat(Tail::KEPT / 2 - 1) + "x");
        }
    }

    #[test]
    fn a_short_text_is_whole_and_what_is_no_text_is_shown() {
        let mut tail = Tail::default();
        tail.push(b"\x80ab\xff");
        assert_eq!(tail.text(), "\u{fffd}ab\u{fffd}");
    }
}
