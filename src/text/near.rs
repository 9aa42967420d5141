//! Names that are like one that is not there: what was probably meant.
//!
//! Two names are as good as the same when only case, blanks, hyphens, underscores, leading zeros of
//! numbers and the marks on letters differ; after those come the names that the fewest slips of a finger make equal (insert,
//! leave out, replace, transpose; a quarter of the letters at most). Short names get no guesses: any
//! two of them are alike.
//!
//! The work is bounded: names beyond [`MAX_NAME_BYTES`] are never compared, and who asks for names of
//! an open end gives an end to them (`Sheet::unknown_po`).

use std::fmt;

use unicode_normalization::UnicodeNormalization;
use unicode_normalization::char::is_combining_mark;

use crate::text::escape::escape;

/// The most names that are suggested.
const MAX_NAMES: usize = 3;
/// The longest name, in bytes, that is compared with others.
const MAX_NAME_BYTES: usize = 100;
/// The most slips of a finger between two names that are alike.
const MAX_SLIPS: usize = 3;

/// Those of the names that are most like the wanted one, the likest first.
pub fn close_to<N: AsRef<str>>(wanted: &str, names: impl IntoIterator<Item = N>) -> Vec<String> {
    if wanted.len() > MAX_NAME_BYTES {
        return Vec::new();
    }
    let wanted = folded(wanted);
    let letters = wanted.chars().count();
    let mut worst = (letters / 4).min(MAX_SLIPS);
    let mut found: Vec<(usize, String)> = Vec::new();
    let mut other = String::new();
    for name in names {
        let name = name.as_ref();
        if name.len() > MAX_NAME_BYTES {
            continue;
        }
        other.clear();
        fold(name, &mut other);
        if other.is_empty() || slips_at_least(&wanted, &other) > worst {
            continue;
        }
        let slips = strsim::osa_distance(&wanted, &other);
        if slips > worst || found.iter().any(|(_, known)| known == name) {
            continue;
        }
        let at = found.partition_point(|&(better, _)| better <= slips);
        found.insert(at, (slips, name.to_owned()));
        found.truncate(MAX_NAMES);
        if found.len() == MAX_NAMES {
            // What is only as good as the last of them comes too late.
            match found[MAX_NAMES - 1].0.checked_sub(1) {
                Some(better) => worst = better,
                None => break,
            }
        }
    }
    // Beside names that are nearly the same, others are noise.
    let best = found.first().map(|&(slips, _)| slips);
    found.retain(|&(slips, _)| Some(slips) == best);
    found.into_iter().map(|(_, name)| name).collect()
}

/// Displays the end of a message that says what was probably meant; nothing if nobody knows.
pub(crate) struct DidYouMean<'a> {
    names: &'a [String],
    /// How many are as likely and not named.
    more: usize,
}

impl<'a> DidYouMean<'a> {
    pub(crate) fn one_of(names: &'a [String], more: usize) -> DidYouMean<'a> {
        DidYouMean { names, more }
    }
}

impl fmt::Display for DidYouMean<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (i, name) in self.names.iter().enumerate() {
            f.write_str(match i {
                0 => ": did you mean ",
                _ if i + 1 == self.names.len() && self.more == 0 => " or ",
                _ => ", ",
            })?;
            f.write_str(&escape(name))?;
        }
        match (self.names.len(), self.more) {
            (0, _) => Ok(()),
            (_, 0) => f.write_str("?"),
            (_, more) => write!(f, " or {more} more?"),
        }
    }
}

fn folded(name: &str) -> String {
    let mut text = String::new();
    fold(name, &mut text);
    text
}

/// A name without what people leave out or write otherwise.
fn fold(name: &str, out: &mut String) {
    let mut is_in_number = false;
    let mut kept = name
        .chars()
        .filter(|c| !c.is_whitespace() && !matches!(c, '-' | '_'))
        .peekable();
    while let Some(c) = kept.next() {
        let is_leading_zero =
            c == '0' && !is_in_number && kept.peek().is_some_and(char::is_ascii_digit);
        if is_leading_zero {
            continue;
        }
        is_in_number = c.is_ascii_digit();
        match c {
            _ if c.is_ascii() => out.push(c.to_ascii_lowercase()),
            'ß' | 'ẞ' => out.push_str("ss"),
            // Latin, Greek and Cyrillic, whose marks are left out where a keyboard lacks them: é is e.
            '\u{80}'..='\u{52f}' | '\u{1e00}'..='\u{1fff}' => {
                out.extend(c.to_lowercase().nfd().filter(|&c| !is_combining_mark(c)));
            }
            _ => out.extend(c.to_lowercase()),
        }
    }
}

/// A lower bound of the slips between two names, without the cost of counting them: a slip changes
/// how often a byte occurs by one here and one there. (Other than ASCII is left to the count.)
fn slips_at_least(one: &str, other: &str) -> usize {
    if !one.is_ascii() || !other.is_ascii() {
        return 0;
    }
    let mut surplus = [0i8; 128];
    for byte in one.bytes() {
        surplus[usize::from(byte)] += 1;
    }
    for byte in other.bytes() {
        surplus[usize::from(byte)] -= 1;
    }
    let (mut more, mut less) = (0, 0);
    for count in surplus {
        more += usize::from(count.max(0).unsigned_abs());
        less += usize::from(count.min(0).unsigned_abs());
    }
    more.max(less)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const COLUMNS: [&str; 6] = [
        "PO_NUMBER",
        "STATUS",
        "SUPPLIER",
        "Supplier Segment",
        "Priority",
        "note",
    ];

    #[track_caller]
    fn check(wanted: &str, names: &[&str], close: &[&str]) {
        assert_eq!(close_to(wanted, names), close, "{wanted}");
    }

    #[test]
    fn a_slip_of_a_finger_is_forgiven() {
        check("SUPLIER", &COLUMNS, &["SUPPLIER"]);
        check("STAUTS", &COLUMNS, &["STATUS"]);
        check("Prioritty", &COLUMNS, &["Priority"]);
        check("notr", &COLUMNS, &["note"]);
        check("Colour", &COLUMNS, &[]);
        check(
            "PO1500037",
            &["PO15000036", "PO15000037", "PO25000037"],
            &["PO15000037"],
        );
    }

    #[test]
    fn case_blanks_and_leading_zeros_count_for_nothing() {
        check("po number", &COLUMNS, &["PO_NUMBER"]);
        check("supplier-segment", &COLUMNS, &["Supplier Segment"]);
        check("p7", &["P6", "P7", "P07"], &["P7", "P07"]);
        check("0042", &["41", "42", "043"], &["42"]);
        check("42", &["PO1", "0042"], &["0042"]);
        check("PO-0015", &["PO15", "PO150"], &["PO15"]);
        check("0", &["00", "1"], &["00"]);
    }

    #[test]
    fn letters_that_a_keyboard_lacks_are_typed_otherwise() {
        check("Strasse", &["Straße", "Ort"], &["Straße"]);
        check("strase", &["Straße"], &["Straße"]);
        check("Groesse", &["Größe"], &["Größe"]);
        check("Prenom", &["Prénom", "Nom"], &["Prénom"]);
        check("Pre\u{301}nom", &["Prénom"], &["Prénom"]);
        check("カキ", &["カギ"], &[]);
    }

    #[test]
    fn short_names_get_no_guesses() {
        check("P9", &["P1", "P2"], &[]);
        check("", &["", "P2"], &[]);
        check("   ", &["", "P2", " "], &[]);
    }

    #[test]
    fn at_most_three_are_suggested_and_only_the_likest_in_their_order() {
        let names = ["PO100", "PO101", "PO102", "PO103", "PO104"];
        check("PO109", &names, &["PO100", "PO101", "PO102"]);
        check("PO1033", &names, &["PO103"]);
        check("po103", &names, &["PO103"]);
        check("SUPLIER", &["SUPPLIER", "SUPPLIER"], &["SUPPLIER"]);
    }

    #[test]
    fn names_of_any_length_are_looked_at_and_long_ones_passed_over() {
        let long = "x".repeat(MAX_NAME_BYTES + 1);
        check(&long, &[&long], &[]);
        check("STAUTS", &[&long, "STATUS"], &["STATUS"]);
    }

    #[test]
    fn what_was_meant_is_asked_harmlessly() {
        let ask = |names: &[&str]| {
            let names: Vec<String> = names.iter().map(|&name| name.into()).collect();
            DidYouMean::one_of(&names, 0).to_string()
        };
        assert_eq!(ask(&[]), "");
        assert_eq!(ask(&["P\u{1b}1"]), ": did you mean P\\u{1b}1?");
        assert_eq!(ask(&["A", "B"]), ": did you mean A or B?");
        assert_eq!(ask(&["A", "B", "C"]), ": did you mean A, B or C?");
    }

    proptest! {
        #[test]
        fn what_is_passed_over_unseen_is_too_far_away(one in "[abc01]{0,12}", other in "[abc01é]{0,12}") {
            prop_assert!(slips_at_least(&one, &other) <= strsim::osa_distance(&one, &other));
        }
    }
}
