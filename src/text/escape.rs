//! Text from a file or a worker, made harmless for a terminal.
//!
//! Control characters, escape sequences and the bidirectional controls that can make a line read
//! otherwise than it is ("Trojan Source", CVE-2021-42574) are shown as Rust escapes, and so is what has no shape,
//! in which a name can hide a difference or a text. Joiners stay where a script is written with them.

use std::fmt;
use std::path::Path;

use super::{look, shorten::shortened};

/// How many characters of a name a message shows.
const MAX_NAME_CHARS: usize = 200;

/// Displays a text with every dangerous character escaped.
pub(crate) struct Escaped<'a>(std::borrow::Cow<'a, str>);

impl<'a> Escaped<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Escaped(text.into())
    }

    /// A key or the name of a column, of which a message shows no more than a person reads: a job may make one of a
    /// megabyte, in every message.
    pub(crate) fn name(name: &'a str) -> Self {
        Escaped(shortened(name, MAX_NAME_CHARS))
    }

    pub(crate) fn path(path: &'a Path) -> Self {
        Escaped(path.to_string_lossy())
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut clean_from = 0;
        let is_escaped =
            |&(at, c): &(usize, char)| is_dangerous(c) && !look::belongs(&self.0, at, c);
        for (at, c) in self.0.char_indices().filter(is_escaped) {
            f.write_str(&self.0[clean_from..at])?;
            write!(f, "{}", c.escape_default())?;
            clean_from = at + c.len_utf8();
        }
        f.write_str(&self.0[clean_from..])
    }
}

/// The text with every dangerous character escaped.
pub fn escape(text: &str) -> String {
    Escaped::text(text).to_string()
}

/// A key or the name of a column for a message: escaped, and not more of it than a person reads.
pub fn escape_name(name: &str) -> String {
    Escaped::name(name).to_string()
}

/// A few names, escaped and separated by commas; one that has a comma itself is quoted.
pub(crate) fn escape_list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| match name.contains(',') {
            true => format!("\"{}\"", escape_name(name)),
            false => escape_name(name),
        })
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// Whether a terminal may obey it, or show what stands beside it otherwise, or shows nothing of it.
pub(crate) fn is_dangerous(c: char) -> bool {
    c.is_control()
        || look::has_no_shape(c)
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{Escaped, escape, escape_list};

    #[test]
    fn a_name_with_a_comma_is_one_in_a_list() {
        let names = ["A001,10", "b", "Acme, Inc."].map(str::to_owned);
        assert_eq!(escape_list(&names), "\"A001,10\", b, \"Acme, Inc.\"");
    }

    #[test]
    fn an_escape_sequence_is_shown_and_not_obeyed() {
        assert_eq!(escape("a\u{1b}[31mb"), "a\\u{1b}[31mb");
    }

    #[test]
    fn line_breaks_and_bidi_controls_are_shown() {
        assert_eq!(escape("a\r\nb\u{202e}c\u{85}"), "a\\r\\nb\\u{202e}c\\u{85}");
    }

    #[test]
    fn what_has_no_shape_is_shown() {
        assert_eq!(escape("P\u{200b}1"), "P\\u{200b}1");
        assert_eq!(escape("\u{feff}P1\u{ad}"), "\\u{feff}P1\\u{ad}");
        assert_eq!(escape("ok\u{e0041}\u{e007f}"), "ok\\u{e0041}\\u{e007f}");
        assert_eq!(
            escape("a\u{200d}b\u{2060}\u{3164}"),
            "a\\u{200d}b\\u{2060}\\u{3164}"
        );
    }

    #[test]
    fn a_long_name_is_shortened_before_it_is_escaped() {
        let name = "\u{1b}".repeat(1 << 20);
        let shown = Escaped::name(&name).to_string();
        assert_eq!(
            shown,
            format!("{0}…{1}", "\\u{1b}".repeat(100), "\\u{1b}".repeat(99))
        );
        let listed = escape_list(&vec![name; 1000]);
        assert!(listed.len() < 30_000, "{}", listed.len());
        assert!(listed.ends_with(" and 980 more"));
    }

    #[test]
    fn letters_of_any_script_stay() {
        for text in [
            "São 日本 😀",
            "👩\u{200d}💻",
            "می\u{200c}خواهم",
            "1\u{a0}000\u{202f}€",
        ] {
            assert_eq!(escape(text), text);
        }
    }
}
