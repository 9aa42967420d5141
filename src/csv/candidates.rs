//! Which columns could be a sheet's key: those in which every row has a text, and each another one.
//!
//! Read in one pass, record by record, so that a file of any size costs the memory of a few records and of what is
//! compared. A column is given up at its first empty cell or its first repetition; of the others only hashes
//! are kept, [`MAX_COMPARED`] of them in all. Where that ends before the file does, the answer is about the rows
//! before.

use std::hash::{BuildHasher, RandomState};
use std::io::{self, Read};

use hashbrown::HashTable;

use crate::csv::encoding::Encoding;
use crate::csv::grammar::Records;
use crate::domain::columns::{ERROR_MESSAGE, LAST_PROCESSED, STATUS, same_column};
use crate::domain::{MAX_RECORD_BYTES, Problem, key_in};
use crate::text::BOM;

/// How many cells are compared with those above them.
const MAX_COMPARED: usize = 4_000_000;
/// How much is read at once.
const BUFFER: usize = 1 << 20;

/// The columns that could be a sheet's key.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct KeyCandidates {
    /// Their names, in the header's order.
    pub columns: Vec<String>,
    /// How many rows were looked at, those without any text left out.
    pub rows: u64,
    /// Whether these are all rows of the sheet.
    pub is_all: bool,
}

/// A column that could still be the key.
struct Column {
    at: usize,
    name: String,
    seen: HashTable<u64>,
}

/// Finds them in a sheet that is read from here. A row that is malformed ends the search.
pub(crate) fn find(
    sheet: impl Read,
    delimiter: u8,
    encoding: Encoding,
) -> io::Result<KeyCandidates> {
    find_within(sheet, (delimiter, encoding), MAX_COMPARED, BUFFER)
}

fn find_within(
    mut sheet: impl Read,
    (delimiter, encoding): (u8, Encoding),
    mut left: usize,
    buffer: usize,
) -> io::Result<KeyCandidates> {
    let hasher = RandomState::new();
    let mut found = KeyCandidates::default();
    let mut columns: Option<Vec<Column>> = None;
    let mut bytes = Vec::new();
    let mut is_end = false;
    while !is_end {
        let before = bytes.len();
        sheet.by_ref().take(buffer as u64).read_to_end(&mut bytes)?;
        is_end = bytes.len() == before;
        let start = match columns {
            None if bytes.starts_with(BOM) => BOM.len(),
            _ => 0,
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
                columns = Some(those_of(header, encoding));
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
            columns.retain_mut(|column| {
                let hash = cell(column.at).and_then(|raw| hash_of_text(raw, encoding, &hasher));
                hash.is_some_and(|hash| {
                    let is_new = column.seen.find(hash, |&seen| seen == hash).is_none();
                    if is_new {
                        column.seen.insert_unique(hash, hash, |&seen| seen);
                    }
                    is_new
                })
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
fn named(mut found: KeyCandidates, columns: Option<Vec<Column>>) -> KeyCandidates {
    if found.rows > 0 {
        let columns = columns.unwrap_or_default().into_iter();
        found.columns = columns.map(|column| column.name).collect();
    }
    found
}

/// The columns that a header names, each by a name of its own; what is written by tickoff is no key.
fn those_of<'a>(header: impl Iterator<Item = &'a [u8]>, encoding: Encoding) -> Vec<Column> {
    let text = |raw| String::from_utf8_lossy(&encoding.read(raw)).into_owned();
    let names = header.map(|raw| text(raw).trim().to_owned());
    let names: Vec<String> = names.collect();
    let could_be = |name: &str| {
        let is_ours = [STATUS, LAST_PROCESSED, ERROR_MESSAGE];
        !name.is_empty()
            && !is_ours.iter().any(|ours| same_column(ours, name))
            && names
                .iter()
                .filter(|other| same_column(other, name))
                .count()
                == 1
    };
    let columns = names.iter().enumerate().filter(|(_, name)| could_be(name));
    columns
        .map(|(at, name)| Column {
            at,
            name: name.clone(),
            seen: HashTable::new(),
        })
        .collect()
}

/// `None` if there is no text, or one that no key may be.
fn hash_of_text(raw: &[u8], encoding: Encoding, hasher: &RandomState) -> Option<u64> {
    let text = encoding.read(raw);
    if !encoding.is_text(&text) {
        return None;
    }
    let text = key_in(std::str::from_utf8(&text).ok()?);
    (!text.is_empty()).then(|| hasher.hash_one(text))
}

#[cfg(test)]
mod tests {
    use super::*;

    const FORM: (u8, Encoding) = (b';', Encoding::UTF_8);

    #[track_caller]
    fn check(sheet: impl AsRef<[u8]>, columns: &[&str], rows: u64) {
        let found = find_within(sheet.as_ref(), FORM, MAX_COMPARED, 3).unwrap();
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
        let found = find_within(format!("id;no\n{rows}").as_bytes(), FORM, 21, BUFFER).unwrap();
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
