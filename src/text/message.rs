//! What somebody said, as one line that may stand in a cell and on a terminal.
//!
//! Every ERROR_MESSAGE of a result comes through here, whoever said it: escaped, and at most
//! [`MAX_ERROR_CHARS`] characters long.

use std::any::Any;

use crate::text::escape::Escaped;
use crate::text::shorten::shortened;

/// The most characters of a message: what an ERROR_MESSAGE holds.
pub const MAX_ERROR_CHARS: usize = 1_000;

pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let message = panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("(no message)");
    error_message("panicked", message)
}

/// What was said, in one line that is safe to print: escaped, line breaks shown as ` | `, empty lines
/// left out; its start and its end if it is longer than [`MAX_ERROR_CHARS`] characters. Such a line stays
/// as it is.
pub(crate) fn one_line(said: &str) -> String {
    shortened(&joined(said), MAX_ERROR_CHARS).into_owned()
}

fn joined(said: &str) -> String {
    let lines = said
        .lines()
        .map(str::trim_end)
        .filter(|line| !line.is_empty());
    lines
        .map(|line| Escaped::text(line).to_string())
        .collect::<Vec<_>>()
        .join(" | ")
}

/// What happened, and the end of what was said about it, in [one line](one_line).
pub(crate) fn error_message(what: &str, said: &str) -> String {
    let what = one_line(what);
    let said = joined(said);
    if said.is_empty() {
        return what;
    }
    let room = MAX_ERROR_CHARS.saturating_sub(what.chars().count() + ": …".chars().count());
    let surplus = said.chars().count().saturating_sub(room);
    match said.char_indices().nth(surplus) {
        Some((from, _)) if surplus > 1 => format!("{what}: …{}", &said[from..]),
        None => what,
        _ => format!("{what}: {said}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_message_is_one_harmless_line() {
        assert_eq!(
            error_message("exit 3", " a\u{1b}[2J\r\n\n b \u{202e}\n"),
            "exit 3:  a\\u{1b}[2J |  b \\u{202e}"
        );
        assert_eq!(error_message("exit 3", " \n\n"), "exit 3");
    }

    #[test]
    fn a_line_of_its_own_keeps_its_start_and_its_end_and_stays_as_it_is() {
        let long = format!("first\0 {}\nlast \u{1b}", "é".repeat(40_000));
        let line = one_line(&long);
        assert_eq!(line.chars().count(), MAX_ERROR_CHARS);
        assert!(line.starts_with("first\\u{0} é"), "{line}");
        assert!(line.ends_with("é | last \\u{1b}"), "{line}");
        assert_eq!(one_line(&line), line);
        assert_eq!(error_message(&long, ""), line);
    }

    #[test]
    fn a_long_message_keeps_its_end_and_the_limit() {
        let room = MAX_ERROR_CHARS - "exit 3: ".len();
        let fits = "é".repeat(room);
        assert_eq!(error_message("exit 3", &fits), format!("exit 3: {fits}"));
        let cut = error_message("exit 3", &format!("{fits}z"));
        assert_eq!(cut, format!("exit 3: …{}z", "é".repeat(room - 2)));
        assert_eq!(cut.chars().count(), MAX_ERROR_CHARS);
    }
}
