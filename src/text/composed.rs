//! Letters in one part: u and a combining diaeresis, as macOS writes ü, are one letter to a reader.

use std::borrow::Cow;

use unicode_normalization::{UnicodeNormalization, is_nfc};

/// A text with each letter in one part (Unicode's NFC). Two texts that are the same then cannot be told apart by any
/// reader.
pub(crate) fn composed(text: &str) -> Cow<'_, str> {
    match text.is_ascii() || is_nfc(text) {
        true => Cow::Borrowed(text),
        false => Cow::Owned(text.nfc().collect()),
    }
}
