//! What a person does not see in a name: characters without a shape, and characters that look like others.
//!
//! Two names that look alike are told apart by what makes them differ, the least remarkable first: a character
//! that cannot be seen, blanks, the form or width of a character (Unicode's NFKC), letters of several scripts
//! that look the same (the skeletons of UTS #39). Names of one script are never look-alikes: 1 and l, ı and i,
//! カ and 力 are told apart by those who write with them. What is ASCII costs next to nothing.

use std::borrow::Cow;
use std::fmt;
use std::sync::LazyLock;

use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;
use unicode_security::general_security_profile::IdentifierType;
use unicode_security::mixed_script::AugmentedScriptSet;
use unicode_security::{GeneralSecurityProfile, MixedScript};

use crate::text::escape::{Escaped, escape};
use crate::text::near::DidYouMean;

/// A character that has no shape, and where in a text it stands.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Invisible {
    /// In bytes.
    pub(crate) offset: usize,
    /// Where that is, in words.
    pub(crate) place: &'static str,
    character: char,
}

impl Invisible {
    /// The first one of a text. Line breaks and tabs are none: a name may have several lines.
    pub(crate) fn first_in(text: &str) -> Option<Invisible> {
        if text
            .bytes()
            .all(|byte| byte.is_ascii_graphic() || byte == b' ')
        {
            return None;
        }
        Self::first_that(text, |at, c| !belongs(text, at, c))
    }

    /// The first one of a text for which that holds.
    fn first_that(text: &str, is_meant: impl Fn(usize, char) -> bool) -> Option<Invisible> {
        let (offset, character) = text
            .char_indices()
            .find(|&(at, c)| is_invisible(c) && is_meant(at, c))?;
        let place = match (offset, offset + character.len_utf8()) {
            (0, _) => "at its start",
            (_, end) if end == text.len() => "at its end",
            _ => "inside",
        };
        Some(Invisible {
            offset,
            character,
            place,
        })
    }
}

impl fmt::Display for Invisible {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let name = match self.character {
            '\u{1a}' => " (DOS's end of file)",
            '\u{a0}' => " (a no-break space)",
            '\u{ad}' => " (a soft hyphen)",
            '\u{200b}' => " (a zero-width space)",
            '\u{200c}' => " (a zero-width non-joiner)",
            '\u{200d}' => " (a zero-width joiner)",
            '\u{2060}' => " (a word joiner)",
            '\u{feff}' => " (a byte order mark)",
            '\u{2800}' => " (a blank of Braille)",
            '\u{fffc}' => " (it stands for an object)",
            c if is_variation(c) => " (a variation selector)",
            c if is_tag(c) => " (a tag character)",
            c if is_of_direction(c) => " (it changes the direction of writing)",
            c if c.is_control() => " (a control character)",
            _ => "",
        };
        write!(
            f,
            "an invisible character U+{:04X}{name}",
            u32::from(self.character)
        )
    }
}

/// What Unicode calls default ignorable, deprecated ones too, and what has no shape though it is none of these.
fn is_invisible(c: char) -> bool {
    match c {
        '\t' | '\n' | '\r' => false,
        '\u{a0}' | '\u{2007}' | '\u{2028}' | '\u{2029}' | '\u{202f}' | '\u{2800}' => true,
        c => c.is_control() || is_of_direction(c) || has_no_shape(c),
    }
}

/// Whether nothing at all is shown of it, not even room: zero-width characters, fillers, and the tags in which a
/// whole text can hide.
pub(super) fn has_no_shape(c: char) -> bool {
    match c {
        c if c.is_ascii() => false,
        '\u{206a}'..='\u{206f}' | '\u{fff9}'..='\u{fffc}' | '\u{e0001}' => true,
        c => c.identifier_type() == Some(IdentifierType::Default_Ignorable),
    }
}

fn is_variation(c: char) -> bool {
    matches!(c, '\u{180b}'..='\u{180d}' | '\u{180f}' | '\u{fe00}'..='\u{fe0f}' | '\u{e0100}'..='\u{e01ef}')
}

fn is_tag(c: char) -> bool {
    matches!(c, '\u{e0020}'..='\u{e007f}')
}

fn is_of_direction(c: char) -> bool {
    matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{202a}'..='\u{202e}' | '\u{2066}'..='\u{2069}')
}

/// Whether a character stands where it belongs: Persian and Hindi, for two, and emoji are written with joiners, emoji
/// and Han with variation selectors, and some flags with tags.
pub(super) fn belongs(text: &str, at: usize, c: char) -> bool {
    const FLAG: char = '\u{1f3f4}';
    let has_joiners = |c: char| matches!(c, '\u{590}'..='\u{1dff}' | '\u{2190}'..);
    let has_variations =
        |c: char| matches!(c, '\u{a9}' | '\u{ae}' | '\u{203c}'..) || has_joiners(c);
    let before = text[..at].chars().next_back();
    let after = text[at + c.len_utf8()..].chars().next();
    match c {
        '\u{200c}' | '\u{200d}' => {
            before.is_some_and(has_joiners) && after.is_some_and(has_joiners)
        }
        c if is_variation(c) => {
            let is_of_seen = before.is_some_and(|c| has_variations(c) && !is_invisible(c));
            is_of_seen || after == Some('\u{20e3}')
        }
        c if is_tag(c) => text[..at].trim_end_matches(is_tag).ends_with(FLAG),
        _ => false,
    }
}

/// What makes two names differ that look the same.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Difference {
    Invisible(Invisible),
    Blanks,
    /// One character in two forms, as full-width letters are; and the odd one, if one stands out.
    Form(Option<char>),
    /// The letter of another script.
    Letter(char),
}

impl Difference {
    /// What makes `name` differ from `other`; `None` if they are the same, or do not look it.
    pub(crate) fn between(name: &str, other: &str) -> Option<Difference> {
        if name == other || (is_plain(name) && is_plain(other)) {
            return None;
        }
        let solid = [name, other].map(solid);
        if solid[0] == solid[1] {
            let in_place = |text| Invisible::first_that(text, |_, _| true);
            let invisible = Invisible::first_in(name)
                .or_else(|| Invisible::first_in(other))
                .or_else(|| in_place(name))
                .or_else(|| in_place(other));
            return Some(invisible.map_or(Difference::Blanks, Difference::Invisible));
        }
        let formed = solid.each_ref().map(|text| text.nfkc().collect::<String>());
        if formed[0] == formed[1] {
            return Some(Difference::Form(odd(name, other)));
        }
        let both = formed.concat();
        match formed[0].is_ascii() && formed[1].is_ascii() || both.as_str().is_single_script() {
            true => None,
            false if skeleton(&formed[0]).eq(skeleton(&formed[1])) => {
                odd(name, other).map(Difference::Letter)
            }
            false => None,
        }
    }

    /// The same for names that are compared without regard to case.
    pub(crate) fn between_names(name: &str, other: &str) -> Option<Difference> {
        let (name, other) = (name.trim(), other.trim());
        if is_plain(name) && is_plain(other) {
            return None;
        }
        let upper = |text: &str| text.to_uppercase();
        let lower = |text: &str| text.to_lowercase();
        let found = Difference::between(&upper(name), &upper(other))
            .or_else(|| Difference::between(&lower(name), &lower(other)))?;
        Some(match found {
            Difference::Invisible(found) => {
                Difference::Invisible(Invisible::first_in(name).unwrap_or(found))
            }
            Difference::Blanks => Difference::Blanks,
            Difference::Form(c) => Difference::Form(odd(name, other).or(c)),
            Difference::Letter(c) => Difference::Letter(odd(name, other).unwrap_or(c)),
        })
    }
}

/// What comes behind "they differ in".
impl fmt::Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Difference::Invisible(found) => write!(f, "{found}"),
            Difference::Blanks => f.write_str("blanks"),
            Difference::Form(None) => f.write_str("the form of its characters"),
            Difference::Form(Some(c)) => write!(f, "the form of {}", Named(*c)),
            Difference::Letter(c) => {
                write!(f, "{} ({})", Named(*c), AugmentedScriptSet::for_char(*c))
            }
        }
    }
}

/// A character with its code point.
struct Named(char);

impl fmt::Display for Named {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Named(c) = *self;
        if c.is_alphanumeric() {
            write!(f, "{c} ")?;
        }
        write!(f, "U+{:04X}", u32::from(c))
    }
}

/// What all texts have in common that [`Difference::between`] tells apart, and perhaps some others.
pub(crate) fn look(text: &str) -> Cow<'_, str> {
    static OF_ASCII: LazyLock<[String; 128]> = LazyLock::new(|| {
        std::array::from_fn(|byte| {
            let drawn = solid(&char::from(byte as u8).to_string());
            skeleton(&drawn).collect()
        })
    });
    if !text.is_ascii() {
        let formed = solid(text).nfkc().collect::<String>();
        return Cow::Owned(skeleton(&formed).collect());
    }
    let looks = &*OF_ASCII;
    let is_itself = |byte: u8| looks[usize::from(byte)].as_bytes() == [byte];
    match text.bytes().all(is_itself) {
        true => Cow::Borrowed(text),
        false => text
            .bytes()
            .map(|byte| looks[usize::from(byte)].as_str())
            .collect(),
    }
}

/// Whether a text has only what can be seen, and no blanks: then it differs from every other such text.
pub(crate) fn is_plain(text: &str) -> bool {
    text.bytes().all(|byte| byte.is_ascii_graphic())
}

fn solid(text: &str) -> String {
    let is_seen = |c: &char| !c.is_whitespace() && !is_invisible(*c);
    text.chars().filter(is_seen).collect()
}

/// The character of another kind at the first place in which two texts differ but for case.
fn odd(name: &str, other: &str) -> Option<char> {
    let (name, other) = (solid(name), solid(other));
    let folded = |c: char| c.to_lowercase().next();
    let mut pairs = name.chars().zip(other.chars());
    let (one, another) = pairs.find(|&(one, another)| folded(one) != folded(another))?;
    [one, another].into_iter().find(|c| !c.is_ascii())
}

/// Displays the end of a message about a column that is not there: which of those that are there looks like it,
/// or else what was probably meant.
pub(crate) struct Meant<'a> {
    pub(crate) wanted: &'a str,
    pub(crate) columns: &'a [String],
    pub(crate) close: &'a [String],
}

impl fmt::Display for Meant<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match looks_like(self.wanted, self.columns) {
            Some((column, difference)) => write_alike(f, column, "it", &difference),
            None if self.close.is_empty() => match alike(self.wanted, self.columns) {
                Some((column, difference)) => write_alike(f, column, "it", &difference),
                None => Ok(()),
            },
            None => write!(f, "{}", DidYouMean::one_of(self.close, 0)),
        }
    }
}

/// The same of one or several columns that are not there: of the first that another one looks like.
pub(crate) struct Missing<'a> {
    pub(crate) names: &'a [String],
    pub(crate) columns: &'a [String],
    pub(crate) close: &'a [String],
}

impl fmt::Display for Missing<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut alike = self.names.iter().filter_map(|name| {
            let (column, difference) = looks_like(name, self.columns)?;
            Some((name, column, difference))
        });
        match (alike.next(), self.names) {
            (Some((_, column, difference)), [_]) => write_alike(f, column, "it", &difference),
            (Some((name, column, difference)), _) => {
                write_alike(f, column, &escape(name), &difference)
            }
            (None, _) => write!(f, "{}", DidYouMean::one_of(self.close, 0)),
        }
    }
}

/// Displays the end of a message about a key that is not there: which one looks like it, though it is another text,
/// or else what was probably meant.
pub(crate) struct MeantKey<'a> {
    pub(crate) wanted: &'a str,
    pub(crate) close: &'a [String],
    /// How many more are like it.
    pub(crate) more: usize,
}

impl fmt::Display for MeantKey<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut alike = self.close.iter().filter_map(|key| {
            let difference = Difference::between(self.wanted, key)?;
            matches!(difference, Difference::Form(_)).then_some((key, difference))
        });
        match alike.next() {
            Some((key, difference)) => write!(
                f,
                ": the key {} looks like it, but they differ in {difference}",
                Escaped::name(key)
            ),
            None => write!(f, "{}", DidYouMean::one_of(self.close, self.more)),
        }
    }
}

fn write_alike(
    f: &mut fmt::Formatter<'_>,
    column: &str,
    name: &str,
    difference: &Difference,
) -> fmt::Result {
    match Invisible::first_in(column.trim()) {
        Some(found) => {
            let place = found.place;
            write!(f, ": the column {} has {found} {place}", escape(column))
        }
        None => write!(
            f,
            ": the column {} looks like {name}, but they differ in {difference}",
            escape(column)
        ),
    }
}

/// The first of the columns that looks like a name which is none of them, blanks apart.
pub(crate) fn looks_like<'c>(wanted: &str, columns: &'c [String]) -> Option<(&'c str, Difference)> {
    all_alike(wanted, columns).find(|(_, difference)| *difference != Difference::Blanks)
}

/// The same, of those that differ in blanks too.
pub(crate) fn alike<'c>(wanted: &str, columns: &'c [String]) -> Option<(&'c str, Difference)> {
    all_alike(wanted, columns).next()
}

fn all_alike<'c>(
    wanted: &str,
    columns: &'c [String],
) -> impl Iterator<Item = (&'c str, Difference)> {
    columns.iter().filter_map(move |column| {
        let difference = Difference::between_names(column, wanted)?;
        Some((column.as_str(), difference))
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(name: &str, other: &str, want: Option<&str>) {
        let found = Difference::between(name, other).map(|found| found.to_string());
        assert_eq!(found.as_deref(), want, "{name:?} {other:?}");
        if want.is_some() {
            assert_eq!(look(name), look(other), "{name:?} {other:?}");
        }
    }

    #[test]
    fn what_makes_names_differ_that_look_the_same_is_named() {
        check(
            "PO1\u{200b}",
            "PO1",
            Some("an invisible character U+200B (a zero-width space)"),
        );
        check(
            "PO1",
            "PO\u{ad}1",
            Some("an invisible character U+00AD (a soft hyphen)"),
        );
        check(
            "PO\u{a0}1",
            "PO 1",
            Some("an invisible character U+00A0 (a no-break space)"),
        );
        check(
            "❤\u{fe0f}",
            "❤",
            Some("an invisible character U+FE0F (a variation selector)"),
        );
        check("PO 1", "PO1", Some("blanks"));
        check("PO １", "PO1", Some("the form of １ U+FF11"));
        check("Ａ", "A", Some("the form of Ａ U+FF21"));
        check("Zu\u{308}rich", "Zürich", Some("the form of ü U+00FC"));
        check("СА1", "CA1", Some("С U+0421 (Cyrillic)"));
        check("CA1", "СА1", Some("С U+0421 (Cyrillic)"));
        check("ΑΒΓ", "ABΓ", Some("Α U+0391 (Greek)"));
    }

    #[test]
    fn names_of_one_script_are_told_apart_by_who_reads_it() {
        for (name, other) in [
            ("PO1", "POl"),
            ("PO1", "PO1"),
            ("rn", "m"),
            ("kın", "kin"),
            ("カ", "力"),
            ("へ", "ヘ"),
            ("статус", "статуc "),
            ("Größe", "Grösse"),
            ("ÄB", "AB"),
        ] {
            let is_of_two_scripts = name == "статус";
            let found = Difference::between(name, other);
            assert_eq!(found.is_some(), is_of_two_scripts, "{name} {other}");
        }
    }

    #[test]
    fn ordinary_names_have_nothing_invisible() {
        for name in [
            "Supplier Segment",
            "Größe",
            "Статус заказа",
            "注文　番号",
            "نام\u{200c}خانوادگی",
            "क्\u{200d}ष",
            "👩\u{200d}🚀 ❤\u{fe0f}",
            "1\u{fe0f}\u{20e3} ©\u{fe0f} ℹ\u{fe0f}",
            "葛\u{e0100}",
            "🏴\u{e0067}\u{e0062}\u{e007f}",
            "Supplier\r\nName",
        ] {
            assert_eq!(Invisible::first_in(name), None, "{name}");
        }
        for (name, offset, place) in [
            ("\u{feff}PO", 0, "at its start"),
            ("P\u{200c}O", 1, "inside"),
            ("Ü\u{202e}", 2, "at its end"),
            ("\u{1a}", 0, "at its start"),
            ("P1\u{fe0f}", 2, "at its end"),
            ("P1\u{180b}", 2, "at its end"),
            ("P1\u{e0100}", 2, "at its end"),
            ("P1\u{e0041}", 2, "at its end"),
            ("P1\u{e0001}", 2, "at its end"),
            ("P1\u{2800}", 2, "at its end"),
            ("P1\u{1d173}", 2, "at its end"),
            ("P1\u{fffc}", 2, "at its end"),
        ] {
            let found = Invisible::first_in(name).unwrap();
            assert_eq!((found.offset, found.place), (offset, place), "{name:?}");
        }
    }

    #[test]
    fn names_are_compared_without_case_and_shown_as_they_are() {
        let found = |name, other| {
            Difference::between_names(name, other).map(|difference| difference.to_string())
        };
        let cyrillic = Some("а U+0430 (Cyrillic)".to_owned());
        assert_eq!(found("stаtus", "STATUS"), cyrillic);
        assert_eq!(found(" STАTUS", "status").unwrap(), "А U+0410 (Cyrillic)");
        assert_eq!(
            found("ＳＴＡＴＵＳ", "Status").unwrap(),
            "the form of Ｓ U+FF33"
        );
        assert_eq!(found("STATUS", "Status"), None);
    }

    #[test]
    fn a_column_that_looks_like_the_one_asked_for_comes_before_every_guess() {
        let ask = |wanted, columns: &[&str]| {
            let columns: Vec<String> = columns.iter().map(|&name| name.into()).collect();
            let close = &columns[..1];
            let meant = Meant {
                wanted,
                columns: &columns,
                close,
            };
            meant.to_string()
        };
        assert_eq!(
            ask("STATUS", &["STATE", "STATUS\u{200b}"]),
            ": the column STATUS\\u{200b} has an invisible character U+200B (a zero-width space) at its end"
        );
        assert_eq!(
            ask("status", &["STATE", "STАTUS"]),
            ": the column STАTUS looks like it, but they differ in А U+0410 (Cyrillic)"
        );
        assert_eq!(
            ask("STATUS\u{200b}", &["STATE", "STATUS"]),
            ": the column STATUS looks like it, but they differ in an invisible character U+200B (a zero-width space)"
        );
        assert_eq!(ask("STATUS", &["STA TUS"]), ": did you mean STA TUS?");
        assert_eq!(ask("STATUS", &["STATUES"]), ": did you mean STATUES?");
    }
}
