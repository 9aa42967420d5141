//! Text from a file or a worker, made harmless for a terminal.
//!
//! Control characters, escape sequences and the bidirectional controls that can make a line read
//! otherwise than it is ("Trojan Source", CVE-2021-42574) are shown as Rust escapes.

use std::fmt;
use std::path::Path;

use crate::text::shorten::shortened;

/// So many characters of a key are shown in a message.
const MAX_KEY_CHARS: usize = 300;

/// Displays a text with every dangerous character escaped.
pub(crate) struct Escaped<'a>(std::borrow::Cow<'a, str>);

impl<'a> Escaped<'a> {
    pub(crate) fn text(text: &'a str) -> Self {
        Escaped(text.into())
    }

    /// A key of many pages keeps its start and its end.
    pub(crate) fn key(key: &'a str) -> Self {
        Escaped(shortened(key, MAX_KEY_CHARS))
    }

    pub(crate) fn path(path: &'a Path) -> Self {
        Escaped(path.to_string_lossy())
    }
}

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut clean_from = 0;
        for (at, c) in self.0.char_indices().filter(|&(_, c)| is_dangerous(c)) {
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

/// A few names, escaped and separated by commas; one that has a comma itself is quoted.
pub(crate) fn escape_list(names: &[String]) -> String {
    const SHOWN: usize = 20;
    let mut text = names
        .iter()
        .take(SHOWN)
        .map(|name| match name.contains(',') {
            true => format!("\"{}\"", escape(name)),
            false => escape(name),
        })
        .collect::<Vec<_>>()
        .join(", ");
    if names.len() > SHOWN {
        text.push_str(&format!(" and {} more", names.len() - SHOWN));
    }
    text
}

/// Whether a terminal may obey it, or show what stands beside it otherwise.
pub(crate) fn is_dangerous(c: char) -> bool {
    c.is_control()
        || matches!(c,
            '\u{061c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

#[cfg(test)]
mod tests {
    use super::{escape, escape_list};

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
    fn letters_of_any_script_stay() {
        assert_eq!(escape("São 日本 😀"), "São 日本 😀");
    }
}
