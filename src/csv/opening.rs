//! What stands in front of the header and is none: the byte order mark, and the line `sep=;`.
//!
//! That line is Excel's: it names the delimiter to whoever opens the file, and is no row. It counts at the very
//! beginning alone, and is carried along like the mark.

use crate::csv::dialect::is_delimiter;
use crate::text::BOM;

/// What stands in front of everything else.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Opening {
    /// How many bytes it takes.
    pub(crate) end: usize,
    /// The delimiter that it names.
    pub(crate) delimiter: Option<u8>,
}

impl Opening {
    /// Looks at the first bytes of a file.
    pub(crate) fn of(bytes: &[u8]) -> Opening {
        let mark = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
        let named = named(&bytes[mark..]);
        Opening {
            end: mark + named.map_or(0, |(_, length)| length),
            delimiter: named.map(|(delimiter, _)| delimiter),
        }
    }
}

/// The delimiter that the first line names, and the length of that line with its end. A program that quotes every
/// cell has quoted this one, too.
fn named(bytes: &[u8]) -> Option<(u8, usize)> {
    let (delimiter, rest) = match bytes {
        [b'"', word @ ..] => match (delimiter_in(word)?, word.get(5..)?) {
            (delimiter, [b'"', rest @ ..]) => (delimiter, rest),
            _ => return None,
        },
        word => (delimiter_in(word)?, &word[5..]),
    };
    let end = match rest {
        [] => 0,
        [b'\n', ..] => 1,
        [b'\r', b'\n', ..] => 2,
        _ => return None,
    };
    Some((delimiter, bytes.len() - rest.len() + end))
}

fn delimiter_in(word: &[u8]) -> Option<u8> {
    let (name, &delimiter) = (word.get(..4)?, word.get(4)?);
    (name.eq_ignore_ascii_case(b"sep=") && is_delimiter(delimiter)).then_some(delimiter)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(file: &str, end: usize, delimiter: Option<u8>) {
        assert_eq!(Opening::of(file.as_bytes()), Opening { end, delimiter });
    }

    #[test]
    fn the_line_names_the_delimiter_and_ends_with_its_line_end() {
        check("sep=;\nK;L\n", 6, Some(b';'));
        check("SEP=,\r\nK,L\r\n", 7, Some(b','));
        check("\u{feff}sep=\t\r\nK", 10, Some(b'\t'));
        check("\"sep=|\"\nK", 8, Some(b'|'));
        check("sep=;", 5, Some(b';'));
    }

    #[test]
    fn anything_else_is_no_such_line() {
        check("", 0, None);
        check("\u{feff}K;sep=;\n", 3, None);
        for file in [
            "sep=\nK",
            "sep=;;\nK",
            "sep=\"\nK",
            "sep=;\rK",
            "sep:;\n",
            "\nsep=;\nK",
            " sep=;\nK",
            "\"sep=;\nK",
            "\"sep=;\";\nK",
            "sep=é\n",
        ] {
            check(file, 0, None);
        }
    }
}
