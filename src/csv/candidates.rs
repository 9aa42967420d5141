//! Which columns could be a sheet's key: those in which every row has a text, and each another one. Where there
//! is none, it may be two columns together.
//!
//! Read in one pass, record by record, so that a file of any size costs the memory of a few records and of what is
//! compared. A column is given up at its first empty cell or its first repetition; of the others only hashes
//! are kept, [`MAX_COMPARED`] of them in all. Where that ends before the file does, the answer is about the rows
//! before.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};
use std::io::{self, Read};

use hashbrown::HashTable;

use crate::csv::grammar::Records;
use crate::csv::opening::Opening;
use crate::domain::Encoding;
use crate::domain::columns::{ERROR_MESSAGE, LAST_PROCESSED, STATUS, same_column};
use crate::domain::{MAX_RECORD_BYTES, Problem, key_in, stage_prefix};

/// How many columns are tried two by two.
const MAX_PAIRED: usize = 16;
/// How many cells are compared with those above them.
const MAX_COMPARED: usize = 4_000_000;
/// How much is read at once.
const BUFFER: usize = 1 << 20;

/// The columns that could be a sheet's key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyCandidates {
    /// Their names, in the header's order.
    pub columns: Vec<String>,
    /// Where there is none, two columns that could be it together.
    pub pairs: Vec<[String; 2]>,
    /// How many rows were looked at, those without any text left out.
    pub rows: u64,
    /// Whether these are all rows of the sheet.
    pub is_all: bool,
}

/// What could still be the key: the columns in these places.
struct Candidate {
    places: Vec<usize>,
    /// How many of them, the first ones, are a key that is not unique without the others.
    of_key: usize,
    /// Those of which it is told.
    names: Vec<String>,
    seen: HashTable<u64>,
}

/// Finds them in a sheet that is read from here. A row that is malformed ends the search.
pub(crate) fn find(
    sheet: impl Read,
    delimiter: u8,
    encoding: Encoding,
) -> io::Result<KeyCandidates> {
    find_within(sheet, (delimiter, encoding), singles, MAX_COMPARED, BUFFER)
}

/// The same of two columns together.
pub(crate) fn find_pairs(
    sheet: impl Read,
    delimiter: u8,
    encoding: Encoding,
) -> io::Result<KeyCandidates> {
    find_within(sheet, (delimiter, encoding), pairs, MAX_COMPARED, BUFFER)
}

/// The columns that together with those of a key are different in every row that has one.
pub(crate) fn find_completing(
    sheet: impl Read,
    delimiter: u8,
    encoding: Encoding,
    key: &[String],
) -> io::Result<KeyCandidates> {
    let completing = |columns| completing(columns, key);
    find_within(
        sheet,
        (delimiter, encoding),
        completing,
        MAX_COMPARED,
        BUFFER,
    )
}

fn find_within(
    mut sheet: impl Read,
    (delimiter, encoding): (u8, Encoding),
    candidates: impl Fn(Vec<(usize, String)>) -> Vec<Candidate>,
    mut left: usize,
    buffer: usize,
) -> io::Result<KeyCandidates> {
    let hasher = RandomState::new();
    let mut found = KeyCandidates::default();
    let mut columns: Option<Vec<Candidate>> = None;
    let mut bytes = Vec::new();
    let mut is_end = false;
    while !is_end {
        let before = bytes.len();
        sheet.by_ref().take(buffer as u64).read_to_end(&mut bytes)?;
        is_end = bytes.len() == before;
        let start = match columns {
            None => Opening::of(&bytes).end,
            Some(_) => 0,
        };
        let mut records = Records::new(&bytes, delimiter, start);
        let mut read = start;
        loop {
            let record = match records.next_record() {
                // More of it may come.
                Ok(Some(record)) if record.end == bytes.len() && !is_end => break,
                Ok(Some(record)) => record,
                Ok(None) => {
                    read = bytes.len();
                    break;
                }
                Err(wrong) if !is_end && may_end(&wrong.problem) => break,
                Err(_) => return Ok(named(found, columns)),
            };
            read = records.at();
            let cell = |at: usize| records.fields().get(at).map(|field| &bytes[field.clone()]);
            let Some(columns) = &mut columns else {
                let header = records.fields().iter().map(|field| &bytes[field.clone()]);
                columns = Some(candidates(nameable(header, encoding)));
                continue;
            };
            if bytes[record]
                .iter()
                .all(|&byte| byte == delimiter || byte == b'"' || byte <= b' ')
            {
                continue;
            }
            if left < columns.len() {
                return Ok(named(found, Some(std::mem::take(columns))));
            }
            columns.retain_mut(|candidate| {
                let cells = candidate.places.iter().map(|&at| cell(at));
                match key_of(cells, candidate.of_key, encoding, &hasher) {
                    Key::Is(hash) => {
                        let is_new = candidate.seen.find(hash, |&seen| seen == hash).is_none();
                        if is_new {
                            candidate.seen.insert_unique(hash, hash, |&seen| seen);
                        }
                        is_new
                    }
                    Key::Missing => true,
                    Key::Unfit => false,
                }
            });
            left -= columns.len();
            found.rows += 1;
            if columns.is_empty() {
                return Ok(found);
            }
        }
        bytes.drain(..read);
        if bytes.len() > MAX_RECORD_BYTES + BUFFER {
            return Ok(named(found, columns));
        }
    }
    found.is_all = true;
    Ok(named(found, columns))
}

/// Whether what is wrong with a record may be that it is not read to its end.
fn may_end(problem: &Problem) -> bool {
    matches!(
        problem,
        Problem::UnterminatedQuote | Problem::LoneCarriageReturn
    )
}

/// Without rows nothing can be said of a column.
fn named(mut found: KeyCandidates, left: Option<Vec<Candidate>>) -> KeyCandidates {
    if found.rows == 0 {
        return found;
    }
    for candidate in left.unwrap_or_default() {
        match <[String; 2]>::try_from(candidate.names) {
            Ok(pair) => found.pairs.push(pair),
            Err(one) => found.columns.extend(one),
        }
    }
    found
}

fn singles(columns: Vec<(usize, String)>) -> Vec<Candidate> {
    columns
        .into_iter()
        .map(|column| Candidate::of(&[column]))
        .collect()
}

fn pairs(columns: Vec<(usize, String)>) -> Vec<Candidate> {
    let columns = &columns[..columns.len().min(MAX_PAIRED)];
    let pairs = columns.iter().enumerate().flat_map(|(at, first)| {
        let seconds = columns[at + 1..].iter();
        seconds.map(|second| Candidate::of(&[first.clone(), second.clone()]))
    });
    pairs.collect()
}

fn completing(columns: Vec<(usize, String)>, key: &[String]) -> Vec<Candidate> {
    let place_of = |name: &String| columns.iter().find(|(_, column)| same_column(column, name));
    let Some(of_key) = key.iter().map(place_of).collect::<Option<Vec<_>>>() else {
        return Vec::new();
    };
    let others = columns.iter().filter(|column| !of_key.contains(column));
    let candidates = others.map(|(at, name)| Candidate {
        places: of_key
            .iter()
            .map(|(of_key, _)| *of_key)
            .chain([*at])
            .collect(),
        of_key: of_key.len(),
        names: vec![name.clone()],
        seen: HashTable::new(),
    });
    candidates.collect()
}

impl Candidate {
    fn of(columns: &[(usize, String)]) -> Candidate {
        Candidate {
            places: columns.iter().map(|(at, _)| *at).collect(),
            of_key: 0,
            names: columns.iter().map(|(_, name)| name.clone()).collect(),
            seen: HashTable::new(),
        }
    }
}

/// The columns that a header names, each by a name of its own; what is written by tickoff is no key.
fn nameable<'a>(
    header: impl Iterator<Item = &'a [u8]>,
    encoding: Encoding,
) -> Vec<(usize, String)> {
    let text = |raw| String::from_utf8_lossy(&encoding.read(raw)).into_owned();
    let names = header.map(|raw| text(raw).trim().to_owned());
    let names: Vec<String> = names.collect();
    let states = [STATUS, LAST_PROCESSED, ERROR_MESSAGE];
    let is_state = |name: &str| {
        states
            .iter()
            .any(|state| stage_prefix(name, state).is_some())
    };
    let could_be = |name: &str| {
        !name.is_empty()
            && !is_state(name)
            && names
                .iter()
                .filter(|other| same_column(other, name))
                .count()
                == 1
    };
    // As tickoff adds them; what is added behind them came with a result.
    let added = names.windows(states.len()).position(|three| {
        let prefix = stage_prefix(&three[0], STATUS);
        let same = |(name, state): (&String, &str)| stage_prefix(name, state) == prefix;
        prefix.is_some() && three.iter().zip(states).all(same)
    });
    let own = names.iter().enumerate().take(added.unwrap_or(names.len()));
    let columns = own.filter(|(_, name)| could_be(name));
    columns.map(|(at, name)| (at, name.clone())).collect()
}

/// The key that a candidate gives a row.
enum Key {
    Is(u64),
    /// The row has none now, and would have none.
    Missing,
    /// It would have none, or one that no key may be; or the row that has none now would have one.
    Unfit,
}

/// Of a key that is made longer a part may be empty, as everywhere.
fn key_of<'c>(
    cells: impl Iterator<Item = Option<&'c [u8]>>,
    of_key: usize,
    encoding: Encoding,
    hasher: &RandomState,
) -> Key {
    let mut hash = hasher.build_hasher();
    let (mut has_key, mut has_more) = (of_key == 0, false);
    for (at, cell) in cells.enumerate() {
        let text = encoding.read(cell.unwrap_or_default());
        let text = match std::str::from_utf8(&text) {
            Ok(text) if encoding.is_text(text.as_bytes()) => key_in(text),
            _ => return Key::Unfit,
        };
        match text.is_empty() {
            true if of_key == 0 => return Key::Unfit,
            true => {}
            false if at < of_key => has_key = true,
            false => has_more = true,
        }
        text.hash(&mut hash);
    }
    match (has_key, has_more) {
        (true, _) => Key::Is(hash.finish()),
        (false, false) => Key::Missing,
        (false, true) => Key::Unfit,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: (u8, Encoding) = (b';', Encoding::UTF_8);

    #[track_caller]
    fn check(sheet: impl AsRef<[u8]>, columns: &[&str], rows: u64) {
        let found = find_within(sheet.as_ref(), FORM, singles, MAX_COMPARED, 3).unwrap();
        assert_eq!(
            (found.columns, found.rows),
            (columns.iter().map(|&name| name.to_owned()).collect(), rows)
        );
        assert!(found.is_all || columns.is_empty());
    }

    #[test]
    fn a_column_that_is_filled_and_different_in_every_row_could_be_the_key() {
        check("id;name;x\n1;Ada;7\n2;Bob;7\n3;Ada;8\n", &["id"], 3);
        check(
            "\u{feff}\"id\";name\r\n\"1\";A\r\n\"2\";\"A\n;\"\"\"\r\n",
            &["id", "name"],
            2,
        );
        check("id;name\n1;\n2;B\n", &["id"], 2);
        check("a;b\nx; x\nX;y\n", &["a", "b"], 2);
        check("a;b\nx;\" x \"\n x;x\n", &[], 2);
    }

    #[test]
    fn what_tickoff_added_is_no_key() {
        let rows = "1;7;;;;p1\n2;8;;;;p2\n";
        check(
            format!("id;no;STATUS;LAST_PROCESSED;ERROR_MESSAGE;page\n{rows}"),
            &["id", "no"],
            2,
        );
        let stage = "a_STATUS;a_LAST_PROCESSED;a_ERROR_MESSAGE";
        check(format!("id;no;{stage};page\n{rows}"), &["id", "no"], 2);
        // These stand elsewhere: somebody else made the columns.
        check(
            format!("id;no;STATUS;x;ERROR_MESSAGE;page\n{rows}"),
            &["id", "no", "page"],
            2,
        );
    }

    #[test]
    fn two_columns_could_be_the_key_together() {
        let sheet = "order;line;qty;STATUS\nA;1;5;1\nA;2;5;2\n;;;\nB;1;5;3\n";
        let pairs = |sheet: &str| {
            find_pairs(sheet.as_bytes(), b';', Encoding::UTF_8)
                .unwrap()
                .pairs
        };
        assert_eq!(pairs(sheet), [["order".to_owned(), "line".to_owned()]]);
        assert!(pairs("a;b\nx;yz\nxy;z\nx;yz\n").is_empty());
        assert!(pairs("a;b\n1;\n2;x\n").is_empty());
        assert_eq!(pairs("a;b\nx;yz\nxy;z\n").len(), 1);
    }

    #[test]
    fn a_column_may_complete_a_key() {
        let completing = |sheet: &str, key: &[&str]| {
            let key: Vec<String> = key.iter().map(|&name| name.to_owned()).collect();
            find_completing(sheet.as_bytes(), b';', Encoding::UTF_8, &key)
                .unwrap()
                .columns
        };
        let sheet = "qty;Order;line;part\n5;A;1;x\n5;A;2;x\n5;B;1;x\n5;B;1;y\n";
        assert!(completing(sheet, &["order"]).is_empty());
        assert_eq!(completing(sheet, &["order", "line"]), ["part"]);
        assert_eq!(
            completing("a;b;c;STATUS\n1;x;y;1\n1;z;y;2\n", &["a"]),
            ["b"]
        );
        let with_blanks = "a;b;c\n1;x;1\n1;;2\n;;\n;;total\n;;sum\n2;;3\n";
        assert_eq!(completing(with_blanks, &["a"]), ["b"]);
        assert!(completing("a;b\n1;x\n1;y\n", &["gone"]).is_empty());
    }

    #[test]
    fn rows_without_any_text_do_not_count() {
        check("id;name\n1;A\n;\n\n \" \";\n2;A\n", &["id"], 2);
        check("id;name\n;\n", &[], 0);
        check("id;name\n", &[], 0);
    }

    #[test]
    fn a_short_row_has_an_empty_cell() {
        check("id;name\n1\n2;B", &["id"], 2);
    }

    #[test]
    fn what_tickoff_writes_and_what_cannot_be_named_is_no_key() {
        check("id;status;x;X; \n1;a;1;1;1\n2;b;2;2;2\n", &["id"], 2);
        check(b"id;name\n1;\xff\n2;\xfe\n", &["id"], 2);
    }

    #[test]
    fn what_is_malformed_ends_the_search() {
        let found = find(&b"id\n1\n2\n3\r4\n1\n"[..], FORM.0, FORM.1).unwrap();
        assert!(!found.is_all);
        assert_eq!(found.rows, 2);
    }

    #[test]
    fn no_more_is_compared_than_has_room() {
        let rows: String = (0..100).map(|row| format!("{row};{row}\n")).collect();
        let found = find_within(
            format!("id;no\n{rows}").as_bytes(),
            FORM,
            singles,
            21,
            BUFFER,
        )
        .unwrap();
        assert_eq!(
            (found.columns.len(), found.rows, found.is_all),
            (2, 10, false)
        );
    }

    #[test]
    fn a_record_may_begin_in_one_piece_and_end_in_another() {
        let text = "x".repeat(BUFFER / 3);
        let rows: String = (0..10)
            .map(|row| format!("{row};\"{row}\r\n{text}\"\r\n"))
            .collect();
        let found = find(format!("id;text\r\n{rows}").as_bytes(), FORM.0, FORM.1).unwrap();
        assert_eq!(
            (found.columns.len(), found.rows, found.is_all),
            (2, 10, true)
        );
    }
}
