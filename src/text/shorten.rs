//! A text that is too long keeps its start and its end.

use std::borrow::Cow;

/// The text if it has at most so many characters, or else its start and its end around `…`, which are so
/// many together.
pub(crate) fn shortened(text: &str, most_chars: usize) -> Cow<'_, str> {
    if text.len() <= most_chars || text.chars().count() <= most_chars {
        return text.into();
    }
    let kept = most_chars.saturating_sub(1);
    let (first, last) = (kept.div_ceil(2), kept / 2);
    let start = text.chars().take(first).map(char::len_utf8).sum::<usize>();
    let end = text
        .chars()
        .rev()
        .take(last)
        .map(char::len_utf8)
        .sum::<usize>();
    format!("{}…{}", &text[..start], &text[text.len() - end..]).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_long_text_keeps_its_start_and_its_end() {
        assert_eq!(shortened("abcdefgh", 8), "abcdefgh");
        assert_eq!(shortened("abcdefghi", 8), "abcd…ghi");
        assert_eq!(shortened("éééééé", 5), "éé…éé");
        assert_eq!(shortened("éé", 2), "éé");
        assert_eq!(shortened("éé", 1), "…");
    }
}
