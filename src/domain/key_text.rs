//! What of a cell is a row's key.

/// The key in a cell: its text without surrounding blanks. Blanks and control characters alone are none, as
/// in the last line of a file from DOS, which is its mark for the end of the file (0x1A).
pub(crate) fn key_in(cell: &str) -> &str {
    let key = cell.trim();
    match has_text(key.as_bytes()) {
        true => key,
        false => "",
    }
}

/// Whether there is more than blanks and control characters.
pub(crate) fn has_text(cell: &[u8]) -> bool {
    cell.iter().any(|&byte| byte > b' ')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn control_characters_alone_are_no_key() {
        for (cell, key) in [
            (" P1\u{a0}", "P1"),
            ("\u{1a}", ""),
            (" \u{1b}\u{0}\t", ""),
            ("P1\u{1a}", "P1\u{1a}"),
            ("\u{200b}", "\u{200b}"),
        ] {
            assert_eq!(key_in(cell), key, "{cell:?}");
        }
    }
}
