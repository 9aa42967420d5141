//! Where a row's key stands, and how it is written.
//!
//! The key of one column is its cell without surrounding blanks, read from the sheet without a copy. The key of
//! several columns is one CSV record of such cells, quoted only where it has to be, so that two rows have the same
//! key exactly if all of their parts are the same. It never begins or ends with a blank, since keys are compared
//! without: an empty part is quoted where the delimiter is a blank.

use std::borrow::Cow;
use std::ops::Range;

use crate::csv::grammar::{self, Records, decode, encode};
use crate::domain::Encoding;
use crate::domain::key_in;

/// The delimiter that a person may type whatever the sheet has, such as a tab.
pub(crate) const TYPED: u8 = b';';

/// The columns that hold the key of each row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum KeyPlace {
    /// One, by its place.
    One(usize),
    /// Several, by their places, and the delimiter between their cells in a key.
    Several(Box<[usize]>, u8),
}

impl KeyPlace {
    /// `delimiter` is the one that a key of several columns is written with.
    pub(crate) fn new(columns: &[usize], delimiter: u8) -> KeyPlace {
        match *columns {
            [column] => KeyPlace::One(column),
            _ => KeyPlace::Several(columns.into(), delimiter),
        }
    }

    /// The last column of the key.
    pub(super) fn last(&self) -> usize {
        match self {
            KeyPlace::One(column) => *column,
            KeyPlace::Several(columns, _) => columns.iter().copied().max().unwrap_or(0),
        }
    }

    /// The key of the record that begins here, which was read before; empty if it has none.
    pub(super) fn key_at<'b>(
        &self,
        bytes: &'b [u8],
        (delimiter, encoding): (u8, Encoding),
        start: usize,
    ) -> Cow<'b, str> {
        let cell = |column: usize| {
            grammar::nth_field(bytes, delimiter, start, column).map_or(Cow::Borrowed(""), |field| {
                trimmed(encoding.read(&bytes[field]))
            })
        };
        match self {
            KeyPlace::One(column) => cell(*column),
            KeyPlace::Several(columns, between) => {
                Cow::Owned(joined(columns.iter().map(|&column| cell(column)), *between))
            }
        }
    }

    /// The key of several columns of a record whose fields are these, or the first byte of a field that is no
    /// text.
    pub(super) fn joined_key(
        columns: &[usize],
        (between, encoding): (u8, Encoding),
        bytes: &[u8],
        field: impl Fn(usize) -> Range<usize>,
    ) -> Result<String, usize> {
        for &column in columns {
            let field = field(column);
            if !encoding.is_text(&encoding.read(&bytes[field.clone()])) {
                return Err(field.start);
            }
        }
        let cells = columns.iter();
        let cells = cells.map(|&column| trimmed(encoding.read(&bytes[field(column)])));
        Ok(joined(cells, between))
    }

    /// A key that a person or a program wrote, as the index has it. What is no record of so many parts may be
    /// one with the delimiter that the sheet has by now, or with one that can be typed.
    pub(super) fn canonical<'k>(&self, key: &'k str, delimiter: u8) -> Cow<'k, str> {
        let record = self.record(key, delimiter);
        record.map_or(Cow::Borrowed(key.trim()), Cow::Owned)
    }

    /// Whether it can be a key here: of several columns it is a record of so many parts.
    pub(crate) fn has_form(&self, key: &str, delimiter: u8) -> bool {
        matches!(self, KeyPlace::One(_)) || self.record(key, delimiter).is_some()
    }

    fn record(&self, key: &str, delimiter: u8) -> Option<String> {
        let KeyPlace::Several(columns, between) = self else {
            return None;
        };
        let mut delimiters = [*between, delimiter, TYPED].into_iter();
        delimiters.find_map(|with| rewritten(key, columns.len(), with, *between))
    }

    /// A key of this sheet as another one with the same key columns writes it.
    pub(crate) fn key_for<'k>(&self, key: Cow<'k, str>, other: &KeyPlace) -> Cow<'k, str> {
        match (self, other) {
            (KeyPlace::Several(columns, is), KeyPlace::Several(_, to)) if is != to => {
                rewritten(&key, columns.len(), *is, *to).map_or(key, Cow::Owned)
            }
            _ => key,
        }
    }
}

/// A record of so many parts, read with one delimiter and written with another one; `None` if it is no such record.
fn rewritten(key: &str, parts: usize, from: u8, to: u8) -> Option<String> {
    let key = match is_blank(from) {
        true => key,
        false => key.trim(),
    };
    let mut records = Records::new(key.as_bytes(), from, 0);
    let record = records.next_record().ok()??;
    if record != (0..key.len()) || records.fields().len() != parts {
        return None;
    }
    let fields = records.fields().iter();
    let cells = fields.map(|field| trimmed(decode(&key.as_bytes()[field.clone()])));
    Some(joined(cells, to))
}

fn is_blank(delimiter: u8) -> bool {
    char::from(delimiter).is_whitespace()
}

/// One record of these cells; empty if all of them are.
fn joined<'c>(cells: impl Iterator<Item = Cow<'c, str>>, between: u8) -> String {
    let mut key = Vec::new();
    let mut is_empty = true;
    for (at, cell) in cells.enumerate() {
        if at > 0 {
            key.push(between);
        }
        is_empty &= cell.is_empty();
        encode(
            cell.as_bytes(),
            between,
            cell.is_empty() && is_blank(between),
            &mut key,
        );
    }
    if is_empty {
        return String::new();
    }
    String::from_utf8(key).expect("texts and an ASCII delimiter are text")
}

/// The key in a cell that is a text.
pub(super) fn trimmed(cell: Cow<'_, [u8]>) -> Cow<'_, str> {
    match cell {
        Cow::Borrowed(cell) => {
            let cell = std::str::from_utf8(cell).expect("keys were checked");
            Cow::Borrowed(key_in(cell))
        }
        Cow::Owned(cell) => {
            let cell = String::from_utf8(cell).expect("keys were checked");
            Cow::Owned(key_in(&cell).to_owned())
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(record: &str, delimiter: u8, key: &str) {
        let place = KeyPlace::new(&[0, 1], delimiter);
        assert_eq!(
            place.key_at(record.as_bytes(), (delimiter, Encoding::UTF_8), 0),
            key
        );
        assert_eq!(place.canonical(key, delimiter), key);
    }

    #[test]
    fn a_key_of_two_columns_is_a_record_of_their_cells() {
        check("A1;2;x", b';', "A1;2");
        check(" A1 ;\" 2 \";x", b';', "A1;2");
        check("\"a;b\";c", b';', "\"a;b\";c");
        check("a;\"b;c\"", b';', "a;\"b;c\"");
        check(
            "\"say \"\"hi\"\"\";\"x\ny\"",
            b';',
            "\"say \"\"hi\"\"\";\"x\ny\"",
        );
        check("a\t\"b;c\"", b'\t', "a\tb;c");
    }

    #[test]
    fn a_key_is_empty_if_all_its_parts_are() {
        check("A", b';', "A;");
        check("A;", b';', "A;");
        check(";A", b';', ";A");
        check(" ;\" \";x", b';', "");
        check("", b';', "");
        check("A\t", b'\t', "A\t\"\"");
        check("\tA", b'\t', "\"\"\tA");
    }

    #[test]
    fn what_a_person_types_is_the_same_key_however_it_is_quoted() {
        let place = KeyPlace::new(&[2, 0], b';');
        for typed in ["A1;2", " A1;2\n", "A1 ; 2", "\"A1\";\"2\"", "\" A1\";2"] {
            assert_eq!(place.canonical(typed, b';'), "A1;2", "{typed}");
        }
        for wrong in ["A1", "A1;2;3", "A1\n;2", "\"A1;2", "A1,2"] {
            assert_eq!(place.canonical(wrong, b';'), wrong);
        }
        let tabs = KeyPlace::new(&[0, 1], b'\t');
        assert_eq!(tabs.canonical("A\t", b'\t'), "A\t\"\"");
        assert_eq!(tabs.canonical("A1;2", b'\t'), "A1\t2");
        assert_eq!(tabs.canonical("A;1\t2", b'\t'), "A;1\t2");
    }

    #[test]
    fn a_key_is_rewritten_for_another_delimiter() {
        let place = |delimiter| KeyPlace::new(&[0, 1], delimiter);
        let key = Cow::Borrowed("\"a;b\";c,d");
        assert_eq!(place(b';').key_for(key, &place(b',')), "a;b,\"c,d\"");
        assert_eq!(place(b';').canonical("A1,2", b','), "A1;2");
        assert_eq!(place(b';').canonical("A1,5;2", b','), "A1,5;2");
    }

    proptest! {
        #[test]
        fn two_rows_have_one_key_exactly_if_all_parts_are_the_same(
            a in prop::collection::vec("[ab;, \t\"\n]{0,3}", 2),
            b in prop::collection::vec("[ab;, \t\"\n]{0,3}", 2),
            between in prop::sample::select(vec![b';', b',', b'\t', b' ']),
        ) {
            let key = |parts: &[String]| {
                joined(parts.iter().map(|part| Cow::Borrowed(part.trim())), between)
            };
            let parts = |parts: &[String]| -> Vec<String> {
                parts.iter().map(|part| part.trim().to_owned()).collect()
            };
            prop_assert_eq!(key(&a) == key(&b), parts(&a) == parts(&b));
            let key = key(&a);
            prop_assert_eq!(key.trim(), &key);
            let place = KeyPlace::new(&[0, 1], between);
            prop_assert_eq!(&*place.canonical(&key, b'|'), &key);
        }
    }
}
