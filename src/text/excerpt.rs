//! The place in a file that a message is about, as compilers show it: the line's text, and a caret
//! under the byte that is meant.
//!
//! It is taken while the bytes are at hand, so that nothing is read again and what is shown is what
//! was judged. However long the line is, [`Excerpt::REACH`] bytes on either side are looked at and [`WIDTH`]
//! columns kept. Escapes and wide characters are counted as the terminal shows them, each by itself:
//! under a character that a terminal puts together from several, the caret may be off.

use std::fmt;

use unicode_width::UnicodeWidthChar;

use crate::text::escape::escape;

/// The byte order mark of UTF-8: no part of what a person sees.
pub(crate) const BOM: &[u8] = b"\xef\xbb\xbf";

/// The most columns of text that are shown; with the indent they fit a terminal of 80.
const WIDTH: usize = 76;
const INDENT: usize = 4;
const CUT: &str = "…";

/// One line of a file, shortened and escaped, and the place in it that is meant.
///
/// Displayed as two indented lines without a last line feed: the text, and the caret. It is as small
/// as a pointer, because errors carry it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Excerpt(Box<Place>);

#[derive(Debug, Clone, PartialEq, Eq)]
struct Place {
    text: String,
    /// How many columns stand before the caret.
    caret: usize,
}

impl Excerpt {
    /// So far from the place a line is looked at, in bytes. No character takes more than 4, and what takes
    /// no column of its own is cut with the rest.
    pub(crate) const REACH: usize = 4 * WIDTH;

    /// The line that holds a byte, or ends in front of it.
    pub(crate) fn of(bytes: &[u8], offset: usize) -> Excerpt {
        let near = offset.saturating_sub(Self::REACH);
        let start = memchr::memrchr(b'\n', &bytes[near..offset]).map(|at| near + at + 1);
        let is_begun_elsewhere = start.is_none() && near > 0;
        let mut start = start.unwrap_or(near);
        if start == 0 && offset >= BOM.len() && bytes.starts_with(BOM) {
            start = BOM.len();
        }
        if is_begun_elsewhere {
            start += leading_continuations(&bytes[start..offset]);
        }
        let far = bytes.len().min(offset + Self::REACH);
        let end = memchr::memchr(b'\n', &bytes[offset..far]).map(|at| offset + at);
        let goes_on_elsewhere = end.is_none() && far < bytes.len();
        let mut end = end.unwrap_or(far);
        if end < bytes.len() && end > offset && bytes[end - 1] == b'\r' && !goes_on_elsewhere {
            end -= 1;
        }

        let before = Shown::of(&bytes[start..offset]);
        let after = Shown::of(&bytes[offset..end]);
        // The caret takes a column also where the line has ended.
        let behind = after.columns().max(1) + usize::from(goes_on_elsewhere);
        let in_front = before.columns() + usize::from(is_begun_elsewhere);
        let room_in_front = if in_front + behind <= WIDTH {
            WIDTH
        } else if behind < WIDTH / 2 {
            WIDTH - behind
        } else {
            in_front.min(WIDTH / 2)
        };
        let shown = before.end_in(room_in_front, is_begun_elsewhere);
        let rest = after.beginning_in(WIDTH - shown.columns, goes_on_elsewhere);
        Excerpt(Box::new(Place {
            text: shown.text + &rest.text,
            caret: shown.columns,
        }))
    }
}

impl fmt::Display for Excerpt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Place { text, caret } = &*self.0;
        let caret = INDENT + caret;
        write!(f, "{:INDENT$}{text}\n{:caret$}^", "", "")
    }
}

/// A text as it is shown, character by character.
struct Shown {
    text: String,
    /// Where each character ends in the text, and the columns up to there. Both never decrease.
    ends: Vec<(usize, usize)>,
}

/// A part of it that fits.
struct Part {
    text: String,
    columns: usize,
}

impl Shown {
    /// Characters escaped, and bytes that are none as `\xe9`.
    fn of(bytes: &[u8]) -> Shown {
        let mut shown = Shown {
            text: String::with_capacity(bytes.len()),
            ends: Vec::with_capacity(bytes.len()),
        };
        for chunk in bytes.utf8_chunks() {
            for c in chunk.valid().chars() {
                // What most sheets hold is not measured: a sheet may have a finding in every row.
                if let ' '..='~' = c {
                    shown.text.push(c);
                    shown.ends.push((shown.text.len(), shown.columns() + 1));
                } else {
                    shown.text += &escape(c.encode_utf8(&mut [0; 4]));
                    shown.end_character();
                }
            }
            for byte in chunk.invalid() {
                shown.text += &format!("\\x{byte:02x}");
                shown.end_character();
            }
        }
        shown
    }

    fn end_character(&mut self) {
        let (start, columns) = self.ends.last().copied().unwrap_or_default();
        let more = self.text[start..]
            .chars()
            .filter_map(UnicodeWidthChar::width);
        self.ends
            .push((self.text.len(), columns + more.sum::<usize>()));
    }

    fn columns(&self) -> usize {
        self.ends.last().map_or(0, |&(_, columns)| columns)
    }

    /// As much of its end as fits; where something is cut off, a column says so.
    fn end_in(&self, room: usize, begins_elsewhere: bool) -> Part {
        let all = self.columns();
        if !begins_elsewhere && all <= room {
            return Part {
                text: self.text.clone(),
                columns: all,
            };
        }
        // Behind the first character after which no more is left than there is room for.
        let cut = self
            .ends
            .partition_point(|&(_, columns)| all - columns + 1 > room);
        let (from, before) = match all < room {
            true => (0, 0),
            false => self
                .ends
                .get(cut)
                .copied()
                .unwrap_or((self.text.len(), all)),
        };
        Part {
            text: format!("{CUT}{}", &self.text[from..]),
            columns: all - before + 1,
        }
    }

    /// As much of its beginning as fits, in the same way.
    fn beginning_in(&self, room: usize, goes_on_elsewhere: bool) -> Part {
        let all = self.columns();
        if !goes_on_elsewhere && all <= room {
            return Part {
                text: self.text.clone(),
                columns: all,
            };
        }
        let fitting = self.ends.partition_point(|&(_, columns)| columns < room);
        let (to, columns) = fitting
            .checked_sub(1)
            .map_or((0, 0), |last| self.ends[last]);
        Part {
            text: format!("{}{CUT}", &self.text[..to]),
            columns: columns + 1,
        }
    }
}

/// How many bytes at the front belong to a character that begins before them.
fn leading_continuations(bytes: &[u8]) -> usize {
    let continuations = bytes.iter().take_while(|&&byte| byte & 0xc0 == 0x80);
    continuations.take(3).count()
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    /// The place is where `«` stands, which is taken out.
    #[track_caller]
    fn check(marked: &str, wanted: &str) {
        let offset = marked.find('«').unwrap();
        let bytes = marked.replace('«', "");
        assert_eq!(Excerpt::of(bytes.as_bytes(), offset).to_string(), wanted);
    }

    #[test]
    fn the_caret_stands_under_what_is_meant() {
        check("a;b\nP1;«\"x\nP2\n", "    P1;\"x\n       ^");
        check("«a;b\n", "    a;b\n    ^");
        check("a;b\nP1;«\r\nP2\n", "    P1;\n       ^");
        check("a;b«", "    a;b\n       ^");
        check("«", "    \n    ^");
        check("\u{feff}«PO;b\r\n", "    PO;b\n    ^");
    }

    #[test]
    fn escapes_and_wide_characters_are_counted_as_they_are_shown() {
        check("\t\u{1b}[2J;«x\n", "    \\t\\u{1b}[2J;x\n                ^");
        check("日本;«x\n", "    日本;x\n         ^");
        check("e\u{301};«x\n", "    e\u{301};x\n      ^");
        let bytes = b"caf\xe9;\"x";
        assert_eq!(
            Excerpt::of(bytes, 5).to_string(),
            "    caf\\xe9;\"x\n            ^"
        );
    }

    #[test]
    fn a_lone_carriage_return_is_part_of_the_line() {
        check("P1;x«\rP2;\n", "    P1;x\\rP2;\n        ^");
    }

    #[test]
    fn a_long_line_is_shown_around_the_place() {
        let x = |count| "x".repeat(count);
        check(&format!("«{}\n", x(100)), &format!("    {}…\n    ^", x(75)));
        check(
            &format!("{}«!\n", x(100)),
            &format!("    …{}!\n{}^", x(74), " ".repeat(79)),
        );
        check(
            &format!("{}«!{}\n", x(1_000_000), x(1_000_000)),
            &format!("    …{}!{}…\n{}^", x(37), x(36), " ".repeat(42)),
        );
    }

    proptest! {
        #[test]
        fn whatever_the_bytes_two_harmless_lines_fit_a_terminal(
            before in prop::collection::vec(prop::sample::select(b"a;\n\r\t\xe6\x97\xa5\xcc\x81\x1b".to_vec()), 0..700),
            after in prop::collection::vec(any::<u8>(), 0..700),
        ) {
            let bytes = [before.as_slice(), &after].concat();
            let shown = Excerpt::of(&bytes, before.len()).to_string();
            let lines: Vec<&str> = shown.split('\n').collect();
            prop_assert_eq!(lines.len(), 2);
            for line in lines {
                prop_assert_eq!(escape(line), line);
                let columns: usize = line.chars().filter_map(UnicodeWidthChar::width).sum();
                prop_assert!(columns <= 80, "{} columns: {}", columns, line);
            }
        }

        #[test]
        fn the_character_over_the_caret_is_the_one_that_is_meant(
            before in "[a;é日\t\u{1b}]{0,300}",
            after in "[a;é日\t]{0,300}",
        ) {
            let bytes = format!("{before}!{after}");
            let shown = Excerpt::of(bytes.as_bytes(), before.len()).to_string();
            let (text, caret) = shown.split_once('\n').unwrap();
            let in_front = text.split_once('!').unwrap().0;
            let columns: usize = in_front.chars().filter_map(UnicodeWidthChar::width).sum();
            prop_assert_eq!(columns, caret.len() - 1);
        }
    }
}
