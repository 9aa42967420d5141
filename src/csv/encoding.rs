//! Bytes ↔ text: which letter a byte stands for.
//!
//! Of the encodings only UTF-8 and those with one byte for each letter are taken: in all of them the bytes below
//! 0x80 are ASCII, so that delimiters, quotes and line ends are found without knowing which it is. A text of
//! ASCII is the same bytes in each, and is never copied.
//!
//! A letter may come in two parts, u and a combining diaeresis, as macOS names files; most encodings have it in one part
//! alone (Unicode's NFC), and it is written so.
//!
//! A byte that has no letter in an encoding reads as U+FFFD, and nothing writes that: such a cell can be carried
//! along, not made.

use std::borrow::Cow;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::csv::grammar;
use crate::domain::{Encoding, Problem};
use crate::text::Excerpt;

impl Encoding {
    /// What a reader sees in a raw field: text, in UTF-8. In a sheet that is UTF-8 it may hold other bytes.
    pub(crate) fn read(self, raw: &[u8]) -> Cow<'_, [u8]> {
        let field = grammar::decode(raw);
        match (self.0, field) {
            (Some(encoding), Cow::Borrowed(field)) if !field.is_ascii() => {
                Cow::Owned(letters(encoding, field).into_bytes())
            }
            (Some(encoding), Cow::Owned(field)) => {
                Cow::Owned(letters(encoding, &field).into_bytes())
            }
            (_, field) => field,
        }
    }

    /// A value as a raw field: quoted where RFC 4180 needs it, or where the cell was quoted before.
    pub(crate) fn write(self, value: &str, delimiter: u8, quoted: bool, out: &mut Vec<u8>) {
        grammar::encode(&self.bytes(value), delimiter, quoted, out);
    }

    /// The letters of some bytes of a file as they stand there; `None` if not all of them are letters.
    pub(crate) fn text(self, raw: &[u8]) -> Option<Cow<'_, str>> {
        match self.0 {
            Some(encoding) => encoding.decode_without_bom_handling_and_without_replacement(raw),
            None => std::str::from_utf8(raw).ok().map(Cow::Borrowed),
        }
    }

    /// A text in the bytes of a file.
    pub(crate) fn bytes(self, text: &str) -> Cow<'_, [u8]> {
        let Some(encoding) = self.0.filter(|_| !text.is_ascii()) else {
            return Cow::Borrowed(text.as_bytes());
        };
        let writable = self.writable(text);
        Cow::Owned(encoding.encode(&writable).0.into_owned())
    }

    /// The text as it is written: in other parts where that helps, with `?` for each letter that cannot be written.
    pub(crate) fn writable(self, text: &str) -> Cow<'_, str> {
        match self.can_write(text) {
            true => Cow::Borrowed(text),
            false => {
                let letters = self.composed(text).into_iter();
                Cow::Owned(letters.map(|letter| letter.unwrap_or('?')).collect())
            }
        }
    }

    /// The first letter of a text that cannot be written, in whatever parts.
    pub fn has_no(self, text: &str) -> Option<char> {
        match self.can_write(text) {
            true => None,
            false => self.composed(text).into_iter().find_map(Result::err),
        }
    }

    /// The letters of a text, each with its marks as they are if these can be written, and in one part otherwise; those
    /// that cannot be written in one part either are errors.
    fn composed(self, text: &str) -> Vec<Result<char, char>> {
        let is_in_one = |c: char| self.can_write(c.encode_utf8(&mut [0; 4]));
        let written = |c: char| if is_in_one(c) { Ok(c) } else { Err(c) };
        let mut letters = Vec::with_capacity(text.len());
        let mut rest = text;
        while !rest.is_empty() {
            let mut ends = rest.char_indices().skip(1);
            let end = ends.find(|&(_, c)| !is_combining_mark(c));
            let (letter, after) = rest.split_at(end.map_or(rest.len(), |(at, _)| at));
            match self.can_write(letter) {
                true => letters.extend(letter.chars().map(Ok)),
                false => letters.extend(letter.nfc().map(written)),
            }
            rest = after;
        }
        letters
    }

    /// Whether each letter of a text can be written as it is.
    pub fn can_write(self, text: &str) -> bool {
        text.is_ascii() || self.0.is_none_or(|encoding| !encoding.encode(text).2)
    }

    /// The first letter of a text that cannot be written as it is.
    pub(crate) fn lacks(self, text: &str) -> Option<char> {
        if self.can_write(text) {
            return None;
        }
        let mut letters = text.chars();
        letters.find(|c| !self.can_write(c.encode_utf8(&mut [0; 4])))
    }

    /// Whether all bytes of a file, or of a part of it, are letters.
    pub(crate) fn can_read(self, raw: &[u8]) -> bool {
        let Some(encoding) = self.0 else {
            return std::str::from_utf8(raw).is_ok();
        };
        // In pieces, so that a large file is not decoded at once.
        let mut pieces = raw.chunks(64 << 10);
        pieces.all(|piece| piece.is_ascii() || !encoding.decode_without_bom_handling(piece).1)
    }

    /// Whether a field is a text, as [`read`](Self::read) gives it.
    pub(crate) fn is_text(self, field: &[u8]) -> bool {
        match (self.0, std::str::from_utf8(field)) {
            (_, Err(_)) => false,
            (None, Ok(_)) => true,
            (Some(_), Ok(text)) => !text.contains(char::REPLACEMENT_CHARACTER),
        }
    }

    /// What is wrong with a header or key that is no text.
    pub(crate) fn not_text(self) -> Problem {
        match self.0 {
            None => Problem::InvalidUtf8,
            Some(encoding) => Problem::NoLetter(encoding.name()),
        }
    }

    /// What a text that was written in another encoding looks like in this one, and whether all of its bytes are
    /// letters here.
    pub(crate) fn seen(self, text: &str, written_in: Encoding) -> (String, bool) {
        let bytes = written_in.bytes(text);
        let read_as = self.0.unwrap_or(encoding_rs::UTF_8);
        let (seen, has_none) = read_as.decode_without_bom_handling(&bytes);
        (seen.into_owned(), !has_none)
    }

    /// The place in a file that a message is about, with its letters.
    pub(crate) fn excerpt(self, bytes: &[u8], offset: usize) -> Excerpt {
        let Some(encoding) = self.0 else {
            return Excerpt::of(bytes, offset);
        };
        let reach = Excerpt::REACH + 1;
        let near = &bytes[offset.saturating_sub(reach)..offset];
        let far = &bytes[offset..bytes.len().min(offset + reach)];
        let before = letters(encoding, near);
        let text = before.clone() + &letters(encoding, far);
        Excerpt::of(text.as_bytes(), before.len())
    }
}

fn letters(encoding: &'static encoding_rs::Encoding, field: &[u8]) -> String {
    encoding.decode_without_bom_handling(field).0.into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every encoding that may be named and is not UTF-8.
    fn single_byte() -> impl Iterator<Item = Encoding> {
        let labels = [
            "ibm866",
            "iso-8859-2",
            "iso-8859-3",
            "iso-8859-4",
            "iso-8859-5",
            "iso-8859-6",
            "iso-8859-7",
            "iso-8859-8",
            "iso-8859-8-i",
            "iso-8859-10",
            "iso-8859-13",
            "iso-8859-14",
            "iso-8859-15",
            "iso-8859-16",
            "koi8-r",
            "koi8-u",
            "macintosh",
            "windows-874",
            "windows-1250",
            "windows-1251",
            "windows-1252",
            "windows-1253",
            "windows-1254",
            "windows-1255",
            "windows-1256",
            "windows-1257",
            "windows-1258",
            "x-mac-cyrillic",
            "x-user-defined",
        ];
        labels.into_iter().map(|label| label.parse().unwrap())
    }

    #[test]
    fn what_is_read_is_written_as_the_same_byte() {
        for encoding in single_byte() {
            for byte in 0..=0xff_u8 {
                let raw = [b'x', byte];
                let read = encoding.read(&raw);
                if !encoding.is_text(&read) {
                    assert!(
                        byte >= 0x80 && !encoding.can_read(&raw),
                        "{encoding:?} {byte}"
                    );
                    continue;
                }
                let text = std::str::from_utf8(&read).unwrap();
                assert!(encoding.can_read(&raw) && encoding.can_write(text));
                assert_eq!(*encoding.bytes(text), raw, "{encoding:?} {byte}");
                assert!(byte >= 0x80 || *read == raw, "{encoding:?} has no ASCII");
            }
        }
    }

    #[test]
    fn a_text_of_ascii_is_not_copied() {
        for encoding in single_byte().chain([Encoding::UTF_8]) {
            for raw in [&b"PO1"[..], b"\"P;1\""] {
                assert!(matches!(encoding.read(raw), Cow::Borrowed(_)));
            }
            assert!(matches!(encoding.bytes("PO1"), Cow::Borrowed(_)));
        }
    }

    #[test]
    fn what_cannot_be_written_is_a_question_mark_for_each_letter() {
        let encoding: Encoding = "Windows-1252".parse().unwrap();
        assert_eq!(encoding.writable("é € 日本 \u{fffd}"), "é € ?? ?");
        assert_eq!(*encoding.bytes("é€日"), *b"\xe9\x80?");
        assert!(matches!(encoding.writable("é"), Cow::Borrowed(_)));
        assert!(matches!(Encoding::UTF_8.writable("日"), Cow::Borrowed(_)));
    }

    #[test]
    fn a_letter_in_two_parts_is_written_in_one_where_only_that_can_be_written() {
        let windows: Encoding = "windows-1252".parse().unwrap();
        let text = "Mu\u{308}ller, A\u{30a}sa, q\u{308} 京u\u{308}";
        assert_eq!(windows.writable(text), "Müller, Åsa, q? ?ü");
        assert_eq!(*windows.bytes("u\u{308}"), *b"\xfc");
        assert_eq!(windows.has_no("Mu\u{308}ller"), None);
        assert_eq!(windows.has_no("q\u{308}京"), Some('\u{308}'));
        assert_eq!(windows.lacks("u\u{308}"), Some('\u{308}'));
        // The marks of Vietnamese are letters of their own there.
        let vietnamese: Encoding = "windows-1258".parse().unwrap();
        assert_eq!(vietnamese.writable("ê\u{301}京"), "ê\u{301}?");
        assert_eq!(Encoding::UTF_8.writable("u\u{308}"), "u\u{308}");
    }

    #[test]
    fn a_text_can_be_looked_at_in_another_encoding() {
        let windows: Encoding = "windows-1252".parse().unwrap();
        let (shown, is_text) = windows.seen("é", Encoding::UTF_8);
        assert_eq!((shown.as_str(), is_text), ("Ã©", true));
        let (shown, is_text) = Encoding::UTF_8.seen("Ã©", windows);
        assert_eq!((shown.as_str(), is_text), ("é", true));
        let (shown, is_text) = Encoding::UTF_8.seen("é", windows);
        assert_eq!((shown.as_str(), is_text), ("\u{fffd}", false));
        let greek: Encoding = "windows-1253".parse().unwrap();
        assert!(!greek.seen("ª", windows).1);
    }

    #[test]
    fn a_place_is_shown_with_its_letters() {
        let windows: Encoding = "windows-1252".parse().unwrap();
        let shown = windows.excerpt(b"a;b\nM\xfcller;\x80;x\n", 11).to_string();
        assert_eq!(shown, "    Müller;€;x\n           ^");
        let long = [&b"\xe9".repeat(2000)[..], b"x", &b"\xe9".repeat(2000)].concat();
        let utf8 = format!("{}x{}", "é".repeat(2000), "é".repeat(2000));
        assert_eq!(
            windows.excerpt(&long, 2000),
            Excerpt::of(utf8.as_bytes(), 4000)
        );
    }

    #[test]
    fn only_encodings_with_one_byte_for_a_letter_may_be_named() {
        for label in [
            "utf-16",
            "utf-16le",
            "shift_jis",
            "gbk",
            "big5",
            "euc-kr",
            "iso-2022-jp",
        ] {
            let refused = label.parse::<Encoding>().unwrap_err();
            assert!(refused.contains("CSV UTF-8"), "{label}: {refused}");
        }
        assert!(
            "excel"
                .parse::<Encoding>()
                .unwrap_err()
                .contains("no encoding")
        );
        assert_eq!(" UTF8 ".parse(), Ok(Encoding::UTF_8));
    }
}
