//! One word of a command line, with places for the cells of a row.
//!
//! This file owns the guarantee that a text in braces is a placeholder, or is left byte for byte, or is
//! refused because it is most likely a mistyped one. Whoever meant a shell's `${x}`, a template's
//! `{{.Name}}`, JSON or a group gets what was typed; whoever mistyped a column is told before anything runs.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use memchr::memchr;

use crate::domain::columns::same_column;
use crate::sheet::CsvRecord;
use crate::text::{Escaped, Meant, close_to, looks_like};

/// A longer text in braces, in bytes, is compared with the columns byte for byte alone.
const MAX_NAME_BYTES: usize = 1000;

/// A text in braces that is most likely a mistyped column.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} names no column{}", Escaped::text(text), self.meant())]
pub struct Misspelt {
    /// With its braces.
    pub text: String,
    /// The placeholders that it is like, at most three.
    pub close: Vec<String>,
}

impl Misspelt {
    fn meant(&self) -> String {
        let bare = |text: &String| {
            let bare = text
                .strip_prefix('{')
                .and_then(|text| text.strip_suffix('}'));
            bare.unwrap_or(text).to_owned()
        };
        let columns: Vec<String> = self.close.iter().map(bare).collect();
        let meant = Meant {
            wanted: &bare(&self.text),
            columns: &columns,
            close: &self.close,
        };
        meant.to_string()
    }
}

/// A word: its pieces in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Word(Vec<Piece>);

/// A part of a word.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Piece {
    Literal(OsString),
    Placeholder {
        /// As it was typed, with its braces.
        text: OsString,
        value: Value,
    },
}

/// What a placeholder stands for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Value {
    Key,
    /// The key without the last dot of its file name and what follows.
    WithoutExtension,
    /// What follows the last slash of the key.
    FileName,
    /// The key without its file name; a dot if that is all of it.
    Folder,
    /// The file name without its extension.
    Stem,
    /// The row's number in the sheet, from 1.
    RowNumber,
    /// The column as the header names it.
    Column(String),
}

/// Those of GNU parallel.
const OF_THE_KEY: [(&[u8], Value); 6] = [
    (b"{}", Value::Key),
    (b"{#}", Value::RowNumber),
    (b"{.}", Value::WithoutExtension),
    (b"{/}", Value::FileName),
    (b"{//}", Value::Folder),
    (b"{/.}", Value::Stem),
];

impl Word {
    /// Finds the placeholders for a sheet with these columns.
    pub(super) fn parse(word: &OsStr, columns: &[String]) -> Result<Word, Misspelt> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = word.as_bytes();
        while let Some(open) = memchr(b'{', rest) {
            literal.extend_from_slice(&rest[..open]);
            let text = &rest[open..];
            let is_another_language = literal.ends_with(b"$") || text.starts_with(b"{{");
            let found = match is_another_language {
                true => None,
                false => placeholder(text, columns)?,
            };
            let length = match found {
                Some((value, length)) => {
                    push_literal(&mut pieces, &mut literal);
                    let text = OsStr::from_bytes(&text[..length]).to_owned();
                    pieces.push(Piece::Placeholder { text, value });
                    length
                }
                None => {
                    let length = match is_another_language {
                        true => pair_length(text).unwrap_or(1),
                        false => 1,
                    };
                    literal.extend_from_slice(&text[..length]);
                    length
                }
            };
            rest = &text[length..];
        }
        literal.extend_from_slice(rest);
        push_literal(&mut pieces, &mut literal);
        Ok(Word(pieces))
    }

    /// A word without placeholders.
    pub(super) fn literal(word: &OsStr) -> Word {
        let mut pieces = Vec::new();
        push_literal(&mut pieces, &mut word.as_bytes().to_vec());
        Word(pieces)
    }

    pub(super) fn pieces(&self) -> &[Piece] {
        &self.0
    }

    /// The word itself if it has no placeholders.
    pub(super) fn as_literal(&self) -> Option<&OsStr> {
        match &self.0[..] {
            [] => Some(OsStr::new("")),
            [Piece::Literal(text)] => Some(text),
            _ => None,
        }
    }

    /// The word as it was typed.
    pub(super) fn typed(&self) -> OsString {
        let pieces = self.0.iter().map(|piece| match piece {
            Piece::Literal(text) | Piece::Placeholder { text, .. } => text.as_os_str(),
        });
        pieces.collect()
    }

    /// The word for a row. `None` for a record leaves its cells empty.
    pub(super) fn fill<'a>(&'a self, po: &'a str, record: Option<&'a CsvRecord>) -> Cow<'a, OsStr> {
        match &self.0[..] {
            [piece] => piece.filled(po, record),
            pieces => {
                let filled = pieces.iter().map(|piece| piece.filled(po, record));
                Cow::Owned(filled.collect())
            }
        }
    }
}

fn push_literal(pieces: &mut Vec<Piece>, literal: &mut Vec<u8>) {
    if !literal.is_empty() {
        let literal = OsString::from_vec(std::mem::take(literal));
        pieces.push(Piece::Literal(literal));
    }
}

impl Piece {
    fn filled<'a>(&'a self, po: &'a str, record: Option<&'a CsvRecord>) -> Cow<'a, OsStr> {
        let value = match self {
            Piece::Literal(text) => return Cow::Borrowed(text),
            Piece::Placeholder { value, .. } => value,
        };
        let of_key = match value {
            Value::Key => po,
            Value::WithoutExtension => without_extension(po),
            Value::FileName => file_name(po),
            Value::Folder => folder(po),
            Value::Stem => without_extension(file_name(po)),
            Value::RowNumber => {
                let number = record.map(|record| record.row_number().to_string());
                return Cow::Owned(number.unwrap_or_default().into());
            }
            Value::Column(column) => {
                let cell = record.and_then(|record| record.get_bytes(column));
                return Cow::Borrowed(OsStr::from_bytes(cell.unwrap_or_default()));
            }
        };
        Cow::Borrowed(OsStr::new(of_key))
    }
}

fn file_name(po: &str) -> &str {
    po.rfind('/').map_or(po, |slash| &po[slash + 1..])
}

fn without_extension(po: &str) -> &str {
    let name = file_name(po);
    let extension = name.rfind('.').map_or(0, |dot| name.len() - dot);
    &po[..po.len() - extension]
}

/// As dirname(1) has it.
fn folder(po: &str) -> &str {
    match Path::new(po).parent().map(Path::to_str) {
        Some(Some("")) => ".",
        Some(Some(folder)) => folder,
        _ if po.starts_with('/') => "/",
        _ => ".",
    }
}

/// The placeholder with which the text begins, and its length in bytes. Column names may hold
/// braces, so the longest that fits is meant.
fn placeholder(text: &[u8], columns: &[String]) -> Result<Option<(Value, usize)>, Misspelt> {
    let inside = &text[1..];
    if inside.starts_with(b"}") {
        return Ok(Some((Value::Key, "{}".len())));
    }
    let exact = columns.iter().filter(|name| {
        let after = inside.strip_prefix(name.as_bytes());
        after.is_some_and(|after| after.starts_with(b"}"))
    });
    if let Some(name) = exact.max_by_key(|name| name.len()) {
        return Ok(Some((Value::Column(name.clone()), name.len() + "{}".len())));
    }
    if let Some((text, value)) = OF_THE_KEY.iter().find(|(own, _)| text.starts_with(own)) {
        return Ok(Some((value.clone(), text.len())));
    }
    let names: Vec<&str> = names_at(inside).collect();
    let alike = names.iter().rev().find_map(|name| {
        let column = columns.iter().find(|column| same_column(column, name))?;
        Some((Value::Column(column.clone()), name.len() + "{}".len()))
    });
    match (alike, names.first()) {
        (None, Some(name)) if !name.contains('{') => refuse_misspelt(name, columns).map(|()| None),
        (alike, _) => Ok(alike),
    }
}

/// What may be a column's name, before each brace that may close it. It is on one line: a shell's
/// group may go over several.
fn names_at(inside: &[u8]) -> impl Iterator<Item = &str> {
    let line = inside.split(|byte| b"\n\r".contains(byte)).next();
    let line = line.unwrap_or_default();
    let line = &line[..line.len().min(MAX_NAME_BYTES)];
    let closing = memchr::memchr_iter(b'}', line);
    closing.map_while(|end| std::str::from_utf8(&line[..end]).ok())
}

fn refuse_misspelt(name: &str, columns: &[String]) -> Result<(), Misspelt> {
    let may_mean = |column: &&String| {
        let is_of_a_name = |c: char| {
            c.is_alphanumeric() || matches!(c, ' ' | '\t' | '-' | '_') || column.contains(c)
        };
        name.chars().all(is_of_a_name)
    };
    let close = match looks_like(name, columns) {
        Some((column, _)) => vec![column.to_owned()],
        None => close_to(name, columns.iter().filter(may_mean)),
    };
    // Names too short for guesses are guessed where two of their letters are in each other's place.
    let close = match close.is_empty() {
        true => swapped(name, columns),
        false => close,
    };
    if close.is_empty() {
        return Ok(());
    }
    let braced = |name: &str| format!("{{{name}}}");
    Err(Misspelt {
        text: braced(name),
        close: close.iter().map(|name| braced(name)).collect(),
    })
}

/// The columns whose letters are those of a name, two of them swapped.
fn swapped(name: &str, columns: &[String]) -> Vec<String> {
    let is_swapped = |column: &&String| {
        let pairs = name.chars().zip(column.chars());
        let differing: Vec<(char, char)> = pairs.filter(|(a, b)| a != b).collect();
        name.len() == column.len() && matches!(differing[..], [(a, b), (c, d)] if a == d && b == c)
    };
    columns.iter().filter(is_swapped).cloned().collect()
}

/// Up to the brace that closes the first one, if there is one.
fn pair_length(text: &[u8]) -> Option<usize> {
    let mut depth = 0;
    for at in memchr::memchr2_iter(b'{', b'}', text) {
        match text[at] {
            b'{' => depth += 1,
            _ => depth -= 1,
        }
        if depth == 0 {
            return Some(at + 1);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::domain::Stage;
    use crate::process::sample::{COLUMNS_OF_SHEET, job};
    use crate::run::Stop;

    fn parse(word: &str, columns: &[&str]) -> Result<Word, Misspelt> {
        let columns: Vec<String> = columns.iter().map(|&name| name.to_owned()).collect();
        Word::parse(OsStr::new(word), &columns)
    }

    #[track_caller]
    fn check_po(po: &str, word: &str, want: &str) {
        let stop = Stop::new();
        let record = job(po, &stop).record;
        let parsed = parse(word, &COLUMNS_OF_SHEET).unwrap();
        assert_eq!(&*parsed.fill(po, record.as_ref()), want, "{word}");
        assert_eq!(parsed.typed(), word);
    }

    #[track_caller]
    fn check(word: &str, want: &str) {
        check_po("P1", word, want);
    }

    #[test]
    fn placeholders_become_the_po_and_its_cells() {
        check("{}", "P1");
        check("a{}b{x}c{}", "aP1bXcP1");
        check("{PO_NUMBER}", "P1");
        check("{Note {x}}", "braces");
        check("{x}y}{x}z", "longestXz");
        check("{#}", "1");
        check(r#"{"po":"{}","x":"{x}"}"#, r#"{"po":"P1","x":"X"}"#);
    }

    #[test]
    fn case_and_surrounding_blanks_of_a_column_count_for_nothing() {
        check("{supplier}{ SUPPLIER }", "{} $HOME; é{} $HOME; é");
        check("{note {X}}", "braces");
        check("{X}Y}", "longest");
        check("{ x }{x", "X{x");
    }

    #[test]
    fn parts_of_the_key_are_those_of_gnu_parallel() {
        for (po, dot, name, folder, stem) in [
            (
                "a/b.c/d.tar.gz",
                "a/b.c/d.tar",
                "d.tar.gz",
                "a/b.c",
                "d.tar",
            ),
            ("a.b/c", "a.b/c", "c", "a.b", "c"),
            ("P1", "P1", "P1", ".", "P1"),
            ("/x.pdf", "/x", "x.pdf", "/", "x"),
            (
                "https://x.org/a.pdf",
                "https://x.org/a",
                "a.pdf",
                "https://x.org",
                "a",
            ),
            ("a/", "a/", "", ".", ""),
            ("/", "/", "", "/", ""),
            ("é.ü", "é", "é.ü", ".", "é"),
            ("", "", "", ".", ""),
        ] {
            check_po(po, "{.}", dot);
            check_po(po, "{/}", name);
            check_po(po, "{//}", folder);
            check_po(po, "{/.}", stem);
        }
    }

    #[test]
    fn a_column_of_that_very_name_wins() {
        let word = parse("{.}{#}{/}", &["K", ".", "#"]).unwrap();
        let column = |name: &str| Value::Column(name.to_owned());
        let values = word.pieces().iter().map(|piece| match piece {
            Piece::Placeholder { value, .. } => value.clone(),
            Piece::Literal(text) => panic!("{text:?}"),
        });
        let values: Vec<_> = values.collect();
        assert_eq!(values, [column("."), column("#"), Value::FileName]);
    }

    #[test]
    fn a_cell_is_not_searched_for_placeholders() {
        check("{SUPPLIER}{x}", "{} $HOME; éX");
    }

    #[test]
    fn any_other_text_in_braces_is_left_byte_for_byte() {
        for word in [
            "",
            "{",
            "}{",
            "{ }",
            "${x}",
            "${supplier:-{}}",
            "$(a ${x}) ${PO_NUMBER}",
            "{{x}}",
            "{{}}",
            "{{.Name}} {{range .x}}{{{x}}}{{end}}",
            "{{ x } x }",
            "awk {print $1}",
            "{ echo; }",
            "f() {\n  supplier\n}",
            "{1..3} {a,b} {1} {-1} {= s/x// =} {+}",
            r#"{"a": 1}"#,
            r#"{"SUPPLIER":"x"}"#,
            r#"{\"STATUS\":2}"#,
            "{NONE}",
            "{STATUSES OF ALL}",
            "HEAD@{1}",
            "stash@{upstream}",
            "[a-z]{2,5}",
            "{%s}",
            "{po_number, status}",
        ] {
            check(word, word);
        }
        check("$x{}", "$xP1");
        check("{{}", "{P1");
        check("{{a} {x}", "{{a} X");
    }

    #[test]
    fn a_text_that_is_close_to_a_column_is_refused() {
        let check = |word: &str, said: &str| {
            let refused = parse(word, &["PO_NUMBER", "SUPPLIER", "note", "a.b.c"]).unwrap_err();
            assert_eq!(refused.to_string(), said);
        };
        check(
            "x{Suplier}",
            "{Suplier} names no column: did you mean {SUPPLIER}?",
        );
        check(
            "{po number}",
            "{po number} names no column: did you mean {PO_NUMBER}?",
        );
        check("{}{notr }", "{notr } names no column: did you mean {note}?");
        check("{a.b.d}", "{a.b.d} names no column: did you mean {a.b.c}?");
        check(
            "{\"s\":\"{supplyer}\"}",
            "{supplyer} names no column: did you mean {SUPPLIER}?",
        );
    }

    proptest! {
        #[test]
        fn whatever_is_typed_is_kept_or_refused(word in r#"([${}xX #./\n]|SUPPLIER|Note )*"#) {
            match parse(&word, &COLUMNS_OF_SHEET) {
                Ok(parsed) => prop_assert_eq!(parsed.typed(), OsString::from(word)),
                Err(misspelt) => prop_assert!(word.contains(&misspelt.text)),
            }
        }
    }

    #[test]
    fn words_and_cells_that_are_not_utf_8_are_passed_on() {
        let columns = ["Name".to_owned()];
        let word = OsString::from_vec(b"\xff{}\xfe{name}{\xfd}".to_vec());
        let word = Word::parse(&word, &columns).unwrap();
        let cells = [("Name".to_owned(), Cow::Borrowed(&b"M\xfcller"[..]))];
        let record = CsvRecord::of_row("P1".into(), 2, 1, cells.into_iter(), &Stage::default());
        assert_eq!(
            word.fill("P1", Some(&record)).as_bytes(),
            b"\xffP1\xfeM\xfcller{\xfd}"
        );
        assert_eq!(word.fill("P1", None).as_bytes(), b"\xffP1\xfe{\xfd}");
    }
}
