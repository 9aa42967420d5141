//! Which errors are the commonest: messages that differ only in what varies are one.
//!
//! What varies is the row's own key, addresses, identifiers and numbers; they are shown as `‹key›`,
//! `‹url›`, `‹id›` and `‹n›`. A number that says what happened (an exit code, a signal, an HTTP
//! status) stays: 404 and 500 are two errors.

use std::collections::HashMap;
use std::sync::LazyLock;

use regex::{Captures, Regex};
use tickoff::MAX_ERROR_CHARS;

/// No more of what is left of a message is compared, in characters.
const COMPARED: usize = 300;
/// That, of each of the two parts of a message that was cut when it was written.
const COMPARED_OF_A_PART: usize = 150;

/// How many keys of a group are kept.
const EXAMPLES: usize = 2;

/// The rows in ERROR by what their messages say.
#[derive(Default)]
pub struct Errors {
    groups: HashMap<String, Group>,
    /// How many groups there may be.
    limit: Option<usize>,
    /// Whether there were more.
    is_full: bool,
}

/// Rows with the same error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Group {
    /// The message without what varies.
    pub message: String,
    /// How many rows.
    pub rows: usize,
    /// The first of them.
    pub examples: Vec<String>,
    /// How many groups there were before it.
    rank: usize,
}

impl Group {
    /// The first row that has it.
    pub fn example(&self) -> &str {
        &self.examples[0]
    }
}

impl Errors {
    /// Of which at most so many are told apart: of what comes beyond that, it is known that there is more.
    pub fn at_most(limit: usize) -> Errors {
        Errors {
            limit: Some(limit),
            ..Errors::default()
        }
    }

    /// Counts a row in ERROR.
    pub fn add(&mut self, po: &str, message: Option<&str>) {
        let message = message.map_or_else(|| "(no message)".to_owned(), |text| pattern(text, po));
        let rank = self.groups.len();
        if self.limit.is_some_and(|limit| rank >= limit) && !self.groups.contains_key(&message) {
            self.is_full = true;
            return;
        }
        let group = self.groups.entry(message);
        let group = group.or_insert_with_key(|message| Group {
            message: message.clone(),
            rows: 0,
            examples: Vec::new(),
            rank,
        });
        group.rows += 1;
        if group.examples.len() < EXAMPLES {
            group.examples.push(po.to_owned());
        }
    }

    /// How many different errors there are.
    pub fn len(&self) -> usize {
        self.groups.len()
    }

    /// Whether there are still more, which are not told apart.
    pub fn is_full(&self) -> bool {
        self.is_full
    }

    /// The errors that most rows have, at most `limit`; of two as common, the one that came first.
    pub fn commonest(&self, limit: usize) -> Vec<&Group> {
        let mut groups: Vec<&Group> = self.groups.values().collect();
        groups.sort_unstable_by_key(|group| (std::cmp::Reverse(group.rows), group.rank));
        groups.truncate(limit);
        groups
    }
}

/// A key of fewer digits is a number like any other: what is the same number by chance is not the key.
const DIGITS_OF_A_KEY: usize = 4;

/// What varies, and before it what looks so and does not.
static VARIES: LazyLock<Regex> = LazyLock::new(|| {
    Regex::new(
        r#"(?xi)
        (?P<url>\b[a-z][a-z0-9+.-]*://[^\s"'<>)]+)
        |(?P<code>\b(?:exit(?:\ (?:code|status))?|https?(?:/\d(?:\.\d)?)?|status(?:\ code)?|code|errors?|errno|signal)
            [\s:=\#(]*\d{1,3}\b)(?P<more>:\ ?[1-5]\d\d\b)?
        |(?P<id>\b(?:[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}|0x[0-9a-f]+|[a-z_]+-?\d{4,}\w*)\b)
        |(?P<n>\d+(?:[.,:]\d+)*)"#,
    )
    .expect("a constant that a test compiles")
});

/// The message without what varies. A long one is cut only then: how long what varies is makes no difference.
fn pattern(message: &str, po: &str) -> String {
    let message = first(message, MAX_ERROR_CHARS);
    let is_cut = message.chars().count() == MAX_ERROR_CHARS;
    // Where one was cut when it was written depends on what varies, too: what is near that place is left out.
    if is_cut && let Some((start, end)) = message.split_once('…') {
        let (start, end) = (constant(start, po), constant(end, po));
        return format!(
            "{}…{}",
            first(&start, COMPARED_OF_A_PART),
            last(&end, COMPARED_OF_A_PART)
        );
    }
    let text = constant(message.trim(), po);
    match first(&text, COMPARED) {
        start if start.len() < text.len() => format!("{start}…"),
        _ => text,
    }
}

fn first(text: &str, most_chars: usize) -> &str {
    let end = text.char_indices().nth(most_chars);
    end.map_or(text, |(end, _)| &text[..end])
}

fn last(text: &str, most_chars: usize) -> &str {
    let start = text.char_indices().rev().take(most_chars).last();
    start.map_or("", |(start, _)| &text[start..])
}

/// A text without what varies in it.
fn constant(text: &str, po: &str) -> String {
    let text = without_po(text, po);
    VARIES
        .replace_all(&text, |found: &Captures<'_>| {
            if let Some(more) = found.name("more")
                && more.as_str().trim_start_matches([':', ' ']) == po
            {
                return format!("{}: ‹n›", &found["code"]);
            }
            let shown = ["url", "id", "n"]
                .into_iter()
                .find(|name| found.name(name).is_some());
            shown.map_or_else(|| found[0].to_owned(), |name| format!("‹{name}›"))
        })
        .into_owned()
}

/// The text with the key replaced wherever it stands by itself.
fn without_po(text: &str, po: &str) -> String {
    if po.len() < DIGITS_OF_A_KEY && po.bytes().all(|byte| byte.is_ascii_digit()) {
        return text.to_owned();
    }
    let mut out = String::with_capacity(text.len());
    let mut rest_from = 0;
    for (at, _) in text.match_indices(po) {
        let before = text[..at].chars().next_back();
        let after = text[at + po.len()..].chars().next();
        if ![before, after]
            .iter()
            .flatten()
            .any(|c| c.is_alphanumeric())
        {
            out.push_str(&text[rest_from..at]);
            out.push_str("‹key›");
            rest_from = at + po.len();
        }
    }
    out.push_str(&text[rest_from..]);
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(message: &str, want: &str) {
        assert_eq!(pattern(message, "PO15000037"), want);
    }

    #[test]
    fn what_varies_is_left_out() {
        check("timeout after 31 s", "timeout after ‹n› s");
        check("timed out after 29.5s: ", "timed out after ‹n›s:");
        check("no order PO15000037!", "no order ‹key›!");
        check("merged into PO15000074", "merged into ‹id›");
        check("GET https://x.invalid/a?b=1 failed", "GET ‹url› failed");
        check("at 0x7ffe12, 10:22:31", "at ‹id›, ‹n›");
        check(
            "request 6f1c2a90-0b1d-4c7e-9a55-0123456789ab",
            "request ‹id›",
        );
    }

    #[test]
    fn a_number_that_says_what_happened_stays() {
        for message in [
            "exit 3: no such order",
            "exit 1: 404: no such order",
            "killed by signal 9 (SIGKILL)",
            "HTTP 503 Service Unavailable",
            "HTTP/1.1 404",
            "curl: the URL returned error: 404",
            "status code 429",
            "Connection refused (os error 111)",
            "utf-8 is not é",
        ] {
            check(message, &message.replace("utf-8", "utf-‹n›"));
        }
    }

    #[test]
    fn a_po_inside_another_word_is_not_the_row_s() {
        assert_eq!(
            pattern("PO1 is not xPO1 or PO1x", "PO1"),
            "‹key› is not xPO‹n› or PO‹n›x"
        );
        assert_eq!(pattern("any", ""), "any");
    }

    #[test]
    fn a_short_number_is_told_apart_from_no_other_number() {
        for key in ["1", "4", "404", "8"] {
            assert_eq!(pattern("exit 4: HTTP 404", key), "exit 4: HTTP 404");
            assert_eq!(pattern("timed out after 4.5s", key), "timed out after ‹n›s");
            let own = format!("exit 1: {key} is not there");
            assert_eq!(pattern(&own, key), "exit 1: ‹n› is not there");
        }
        assert_eq!(
            pattern("exit 1: no 15000037", "15000037"),
            "exit 1: no ‹key›"
        );
        assert_eq!(pattern("exit 1: 7 of 15000037", "7"), "exit 1: ‹n› of ‹n›");
    }

    #[test]
    fn a_long_message_is_cut_between_characters() {
        let cut = pattern(&"é".repeat(COMPARED + 1), "P1");
        assert_eq!(cut, "é".repeat(COMPARED) + "…");
    }

    #[test]
    fn long_messages_that_differ_in_what_varies_are_one_wherever_they_were_cut() {
        let words = |number: u32| format!("no {number} ").repeat(20) + &"reason ".repeat(60);
        for messages in [
            [3, 44_444].map(|number| words(number)[..400].to_owned()),
            // As a command's stderr is cut, and as a worker's message is.
            [3, 44_444].map(|number| {
                let end = words(number).repeat(3);
                format!("exit 3: …{}", &end[end.len() - (MAX_ERROR_CHARS - 9)..])
            }),
            [3, 44_444].map(|number| {
                let words = words(number);
                format!("{}…{}", &words[..500], &words[words.len() - 499..])
            }),
        ] {
            let [one, other] = messages.map(|message| pattern(&message, "P1"));
            assert_eq!(one, other);
        }
    }

    #[test]
    fn the_commonest_come_first_each_with_its_first_po() {
        let mut errors = Errors::default();
        errors.add("P1", Some("odd"));
        errors.add("P2", Some("timeout after 31 s"));
        errors.add("P3", None);
        errors.add("P4", Some("timeout after 29 s"));
        let found: Vec<_> = errors
            .commonest(2)
            .into_iter()
            .map(|group| (group.message.as_str(), group.rows, group.example()))
            .collect();
        assert_eq!(found, [("timeout after ‹n› s", 2, "P2"), ("odd", 1, "P1")]);
        assert_eq!(errors.len(), 3);
        assert_eq!(errors.commonest(1)[0].examples, ["P2", "P4"]);
    }

    #[test]
    fn beyond_the_limit_only_what_is_known_already_is_counted() {
        let mut errors = Errors::at_most(1);
        for message in ["odd", "even", "odd"] {
            errors.add("P1", Some(message));
        }
        assert_eq!((errors.len(), errors.is_full()), (1, true));
        assert_eq!(errors.commonest(5)[0].rows, 2);
    }
}
