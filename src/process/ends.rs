//! The start and the end of what a process prints, for a cell that cannot hold more.
//!
//! A process may print any amount. What is kept is bounded, and as much as [`shortened`](crate::text::shortened)
//! needs to give what it would give for the whole.

use crate::domain::MAX_VALUE_CHARS;

/// What was printed, without the line ends at its end.
#[derive(Default)]
pub(super) struct Ends {
    printed: Kept,
    /// Line ends that are only known to be printed in the middle once something follows them.
    held: Kept,
}

impl Ends {
    pub(super) fn push(&mut self, bytes: &[u8]) {
        let is_line_end = |byte: &u8| matches!(byte, b'\n' | b'\r');
        let text = bytes.iter().rposition(|byte| !is_line_end(byte));
        let (text, line_ends) = bytes.split_at(text.map_or(0, |last| last + 1));
        if !text.is_empty() {
            let held = std::mem::take(&mut self.held);
            self.printed.push(&held.first);
            self.printed.push(&held.last);
            self.printed.push(text);
        }
        self.held.push(line_ends);
    }

    /// What is not UTF-8 becomes U+FFFD; whether anything is not.
    pub(super) fn text(&self) -> (String, bool) {
        let kept = [&*self.printed.first, &*self.printed.last].concat();
        match String::from_utf8(kept) {
            Ok(text) => (text, false),
            Err(error) => (
                String::from_utf8_lossy(error.as_bytes()).into_owned(),
                !self.printed.is_cut,
            ),
        }
    }
}

/// The first and the last bytes of something.
#[derive(Default)]
struct Kept {
    /// At most `KEPT`.
    first: Vec<u8>,
    /// What follows; at most twice `KEPT`, so that they are moved once in so many.
    last: Vec<u8>,
    /// Whether something between the two is gone.
    is_cut: bool,
}

impl Kept {
    /// As many characters of four bytes as a cell holds.
    const KEPT: usize = 4 * MAX_VALUE_CHARS;

    fn push(&mut self, bytes: &[u8]) {
        let room = Self::KEPT - self.first.len();
        let (first, last) = bytes.split_at(room.min(bytes.len()));
        self.first.extend_from_slice(first);
        self.last.extend_from_slice(last);
        if self.last.len() > 2 * Self::KEPT {
            self.last.drain(..self.last.len() - Self::KEPT);
            self.is_cut = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::text::shortened;

    #[track_caller]
    fn check(printed: &str, piece: usize) {
        let mut ends = Ends::default();
        for piece in printed.as_bytes().chunks(piece) {
            ends.push(piece);
        }
        let want = shortened(printed.trim_end_matches(['\r', '\n']), MAX_VALUE_CHARS);
        let (text, is_odd) = ends.text();
        assert!(!is_odd);
        assert_eq!(shortened(&text, MAX_VALUE_CHARS), want);
    }

    #[test]
    fn it_gives_what_the_whole_would_give_however_it_comes() {
        let many = |text: &str| text.repeat(600_000);
        for printed in [
            String::new(),
            "\n\r\n".into(),
            "a\n\nb \n\r\n".into(),
            format!("{}\n", many("é")),
            format!("start{}end{}", many("\n"), many("\r\n")),
            format!("{}{}", many("x"), many("\n")),
        ] {
            check(&printed, 7);
            check(&printed, 100_000);
        }
    }

    #[test]
    fn what_is_no_text_is_shown() {
        let mut ends = Ends::default();
        ends.push(b"M\xfcller\n");
        assert_eq!(ends.text(), ("M\u{fffd}ller".into(), true));
    }
}
