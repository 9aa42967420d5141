//! PO → record, record → bytes.
//!
//! One pass over the snapshot notes where each record begins (8 bytes a row) and puts its number
//! into a hash table that holds no keys (5 to 11 bytes a row): a key is read from the snapshot when
//! it is compared. The hash is keyed at random, so that no sheet can be made to collide. Which line
//! a record is on is noted for every 1,024th and counted from there.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, RandomState};

use hashbrown::HashTable;

use crate::error::Problem;
use crate::grammar::{self, MAX_RECORDS, Malformed, Records, decode};

/// A data record's place in the sheet: 0 is the row below the header. Blank lines do not count.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(crate) struct RecordIndex(u32);

impl RecordIndex {
    pub(crate) fn slot(self) -> usize {
        self.0 as usize
    }

    pub(crate) fn from_slot(slot: usize) -> RecordIndex {
        RecordIndex(u32::try_from(slot).expect("the index admits fewer rows than u32 counts"))
    }
}

const LINES_EVERY: usize = 1024;
/// After so many rows it is guessed how many there are.
const SAMPLE: usize = 1024;

pub(crate) struct Index {
    delimiter: u8,
    key: usize,
    /// The first byte of each record. Strictly increasing.
    starts: Vec<u64>,
    /// The 0-based line of every `LINES_EVERY`th record.
    lines: Vec<u64>,
    by_key: HashTable<u32>,
    hasher: RandomState,
    /// The further rows of keys that are there more than once.
    repeated: HashMap<u32, Vec<u32>>,
    /// Rows whose key is empty.
    pub(crate) unkeyed: usize,
}

impl Index {
    /// Indexes the records behind the header, which ends at `header_end`. `each` is shown every
    /// record with its fields.
    pub(crate) fn build(
        bytes: &[u8],
        delimiter: u8,
        key: usize,
        header_end: usize,
        mut each: impl FnMut(RecordIndex, &Records<'_>),
    ) -> Result<Index, Malformed> {
        let mut index = Index {
            delimiter,
            key,
            starts: Vec::new(),
            lines: Vec::new(),
            by_key: HashTable::new(),
            hasher: RandomState::new(),
            repeated: HashMap::new(),
            unkeyed: 0,
        };
        let mut records = Records::new(bytes, delimiter, header_end);
        let lines_before = grammar::count_lines(&bytes[..header_end]);
        while let Some((span, line)) = records.next_unsplit()? {
            let row = index.starts.len();
            if row >= MAX_RECORDS {
                return Err(Malformed {
                    offset: span.start,
                    problem: Problem::TooManyRecords,
                });
            }
            if row.is_multiple_of(LINES_EVERY) {
                index.lines.push(lines_before + line);
            }
            if row == SAMPLE {
                let expected =
                    (bytes.len() - header_end) / ((span.start - header_end) / row).max(1);
                index.reserve(bytes, expected);
            }
            index.starts.push(span.start as u64);
            if let Some(field) = records.field(key) {
                if std::str::from_utf8(&bytes[field.clone()]).is_err() {
                    return Err(Malformed {
                        offset: field.start,
                        problem: Problem::InvalidUtf8,
                    });
                }
                index.insert(bytes, row as u32, &trimmed(&bytes[field]));
            } else {
                index.unkeyed += 1;
            }
            each(RecordIndex(row as u32), &records);
        }
        index.starts.shrink_to_fit();
        Ok(index)
    }

    /// Makes room for so many rows, so that the table is not built again and again.
    fn reserve(&mut self, bytes: &[u8], rows: usize) {
        self.starts.reserve(rows - self.starts.len().min(rows));
        let (starts, delimiter, column) = (&self.starts, self.delimiter, self.key);
        self.by_key
            .reserve(rows - self.by_key.len().min(rows), |&row| {
                self.hasher
                    .hash_one(key_at(bytes, delimiter, column, starts[row as usize]))
            });
    }

    fn insert(&mut self, bytes: &[u8], row: u32, key: &str) {
        if key.is_empty() {
            self.unkeyed += 1;
            return;
        }
        let hash = self.hasher.hash_one(key);
        let (starts, delimiter, column) = (&self.starts, self.delimiter, self.key);
        let key_at = |row: u32| key_at(bytes, delimiter, column, starts[row as usize]);
        match self.by_key.entry(
            hash,
            |&other| key_at(other) == key,
            |&other| self.hasher.hash_one(key_at(other)),
        ) {
            hashbrown::hash_table::Entry::Occupied(first) => {
                self.repeated.entry(*first.get()).or_default().push(row);
            }
            hashbrown::hash_table::Entry::Vacant(place) => {
                place.insert(row);
            }
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.starts.len()
    }

    /// Where a record begins.
    pub(crate) fn start(&self, row: RecordIndex) -> usize {
        self.starts[row.slot()] as usize
    }

    /// The rows of a key, in the sheet's order: none, one, or several if the key is repeated.
    pub(crate) fn rows(&self, bytes: &[u8], key: &str) -> impl Iterator<Item = RecordIndex> {
        let key = key.trim();
        let found = self.by_key.find(self.hasher.hash_one(key), |&row| {
            key_at(bytes, self.delimiter, self.key, self.starts[row as usize]) == key
        });
        let more = found
            .and_then(|first| self.repeated.get(first))
            .map_or(&[][..], Vec::as_slice);
        found.into_iter().chain(more).copied().map(RecordIndex)
    }

    /// The key of a record, without surrounding blanks; empty if it has none.
    pub(crate) fn key<'a>(&self, bytes: &'a [u8], row: RecordIndex) -> Cow<'a, str> {
        key_at(bytes, self.delimiter, self.key, self.starts[row.slot()])
    }

    /// Keys that stand in several rows: the first of them, and the others.
    pub(crate) fn repeated(
        &self,
    ) -> impl Iterator<Item = (RecordIndex, impl Iterator<Item = RecordIndex>)> {
        self.repeated
            .iter()
            .map(|(&first, more)| (RecordIndex(first), more.iter().copied().map(RecordIndex)))
    }

    /// Whether any key stands in several rows.
    pub(crate) fn has_repeated(&self) -> bool {
        !self.repeated.is_empty()
    }

    /// The 1-based line on which a record begins.
    pub(crate) fn line(&self, bytes: &[u8], row: RecordIndex) -> u64 {
        let noted = row.slot() / LINES_EVERY;
        let from = self.starts[noted * LINES_EVERY] as usize;
        self.lines[noted] + grammar::count_lines(&bytes[from..self.start(row)]) + 1
    }
}

fn key_at(bytes: &[u8], delimiter: u8, column: usize, start: u64) -> Cow<'_, str> {
    grammar::nth_field(bytes, delimiter, start as usize, column)
        .map_or(Cow::Borrowed(""), |field| trimmed(&bytes[field]))
}

fn trimmed(raw: &[u8]) -> Cow<'_, str> {
    match decode(raw) {
        Cow::Borrowed(key) => {
            Cow::Borrowed(std::str::from_utf8(key).expect("keys were checked").trim())
        }
        Cow::Owned(key) => Cow::Owned(
            String::from_utf8(key)
                .expect("keys were checked")
                .trim()
                .to_owned(),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn index(sheet: &str) -> Index {
        Index::build(
            sheet.as_bytes(),
            b';',
            0,
            sheet.find('\n').unwrap(),
            |_, _| {},
        )
        .unwrap()
    }

    #[test]
    fn a_key_is_found_whatever_its_quoting_and_blanks() {
        let sheet = "K;V\n\"P 1\";x\r\n\n P2 ;\"a\nb\"\n;;\n\"P\"\"3\"";
        let index = index(sheet);
        let find = |key| {
            index
                .rows(sheet.as_bytes(), key)
                .map(RecordIndex::slot)
                .collect::<Vec<_>>()
        };
        assert_eq!(
            (find("P 1"), find("P2 "), find("P\"3"), find("P4"), find("")),
            (vec![0], vec![1], vec![3], vec![], vec![])
        );
        assert_eq!((index.len(), index.unkeyed), (4, 1));
        let lines: Vec<u64> = (0..4)
            .map(|slot| index.line(sheet.as_bytes(), RecordIndex::from_slot(slot)))
            .collect();
        assert_eq!(lines, [2, 4, 6, 7]);
    }

    #[test]
    fn keys_that_collide_in_one_index_do_not_in_another() {
        let hash = |index: Index| index.hasher.hash_one("A");
        assert_ne!(hash(index("K\nA\n")), hash(index("K\nA\n")));
    }

    #[test]
    fn a_repeated_key_has_all_its_rows_in_order() {
        let sheet = "K\nA\nB\nA\n A\nB";
        let index = index(sheet);
        let rows = |key| {
            index
                .rows(sheet.as_bytes(), key)
                .map(RecordIndex::slot)
                .collect::<Vec<_>>()
        };
        assert_eq!((rows("A"), rows("B")), (vec![0, 2, 3], vec![1, 4]));
    }

    #[test]
    fn lines_are_right_beyond_the_first_block() {
        let sheet = "K\n".to_owned() + &(0..5000).map(|i| format!("P{i}\n")).collect::<String>();
        let index = index(&sheet);
        assert_eq!(index.line(sheet.as_bytes(), RecordIndex(4999)), 5001);
        assert_eq!(index.key(sheet.as_bytes(), RecordIndex(4321)), "P4321");
    }
}
