//! PO → record, record → bytes.
//!
//! A pass over the snapshot notes where each record begins (8 bytes a row) and hashes its key; then
//! its number goes into a hash table that holds no keys (6 to 11 bytes a row): a key is read from the
//! snapshot when it is compared. The hash is keyed at random, so that no sheet can be made to collide.
//! Which line a record is on is noted for every 64th and counted from there.
//!
//! A large sheet is read by all processors at once, each a part of it. Where a part begins is guessed:
//! behind some line end. Whether that was the end of a record is known when the part before has been
//! read; if it was not, what was read from there is thrown away, and the rest is read in one.
//!
//! The table is in shards that fit a processor's cache, and each is filled at once when all keys are
//! known: a single large one makes the processor wait for memory at almost every key.

use std::borrow::Cow;
use std::collections::HashMap;
use std::hash::{BuildHasher, Hasher, RandomState};
use std::panic::resume_unwind;
use std::thread;

use hashbrown::HashTable;
use memchr::memchr;

use crate::csv::grammar::{Malformed, count_lines};
use crate::csv::key::{KeyPlace, trimmed};
use crate::csv::scan::{End, Plan, Record, scan};
use crate::domain::Encoding;
use crate::domain::{MAX_RECORDS, Problem};

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

const LINES_EVERY: usize = 64;
/// So many rows make full use of a table of 16,384 places, which takes 80 KiB.
const SHARD: usize = 13_500;
/// A part of a sheet that is worth a thread. The tests take all ways.
const PART: usize = if cfg!(test) { 1000 } else { 4 << 20 };
/// The most threads: they wait for the memory rather than for each other.
const MAX_THREADS: usize = 8;

pub(crate) struct Index {
    delimiter: u8,
    encoding: Encoding,
    key: KeyPlace,
    /// The first byte of each record. Strictly increasing.
    starts: Vec<u64>,
    /// Here and there a record and its 0-based line.
    lines: Vec<(u32, u64)>,
    by_key: Box<[HashTable<u32>]>,
    hasher: RandomState,
    repeated: Repeated,
}

/// The first row of each key that is there more than once, and the further ones.
type Repeated = HashMap<u32, Vec<u32>>;

impl Index {
    /// Indexes the records behind the header, which ends at `header_end`. `code` gives a byte to every
    /// record, of which it sees the first `columns` fields, and whether it has a key.
    pub(crate) fn build(
        bytes: &[u8],
        (delimiter, encoding): (u8, Encoding),
        key: KeyPlace,
        columns: usize,
        header_end: usize,
        code: impl Fn(&Record<'_>, bool) -> u8 + Sync,
    ) -> Result<(Index, Vec<u8>), Malformed> {
        let rows = &bytes[header_end..];
        let length = usual_length(rows);
        let finder = Finder {
            bytes,
            delimiter,
            encoding,
            columns: columns.max(key.last() + 1),
            key: &key,
            hasher: RandomState::new(),
            length,
            shards: (rows.len() / length).div_ceil(SHARD).max(1),
            code,
        };
        let mut found = finder.find_all(header_end)?;
        let (hasher, shards) = (finder.hasher, finder.shards);
        let lines_before = count_lines(&bytes[..header_end]);
        for (_, line) in &mut found.lines {
            *line += lines_before;
        }
        found.starts.shrink_to_fit();
        let mut index = Index {
            delimiter,
            encoding,
            key,
            starts: found.starts,
            lines: found.lines,
            by_key: Box::default(),
            hasher,
            repeated: Repeated::new(),
        };
        let shards: Vec<usize> = (0..shards).collect();
        let share = shards.len().div_ceil(found.keys.len()).max(1);
        let fill = |shards: &[usize]| index.tables(bytes, &found.keys, shards);
        // As many threads as have read; where the system gives none, this one does it.
        let filled: Vec<_> = thread::scope(|scope| {
            let threads: Vec<_> = shards
                .chunks(share)
                .map(|shards| {
                    let fill = move || fill(shards);
                    (shards, thread::Builder::new().spawn_scoped(scope, fill))
                })
                .collect();
            let tables = threads.into_iter().map(|(shards, thread)| match thread {
                Ok(thread) => thread.join().unwrap_or_else(|panic| resume_unwind(panic)),
                Err(_) => fill(shards),
            });
            tables.collect()
        });
        let mut tables = Vec::with_capacity(shards.len());
        let mut repeated = HashMap::new();
        for (more_tables, more_repeated) in filled {
            tables.extend(more_tables);
            repeated.extend(more_repeated);
        }
        index.by_key = tables.into_boxed_slice();
        index.repeated = repeated;
        Ok((index, found.codes))
    }

    /// Fills some shards, and notes which of their keys are repeated.
    fn tables(
        &self,
        bytes: &[u8],
        parts: &[Keys],
        shards: &[usize],
    ) -> (Vec<HashTable<u32>>, Repeated) {
        let mut repeated = Repeated::new();
        let mut keys = Vec::new();
        let table = |&shard: &usize| {
            keys.clear();
            for part in parts {
                part.copy_shard(shard, &mut keys);
            }
            self.table(bytes, &keys, &mut repeated)
        };
        (shards.iter().map(table).collect(), repeated)
    }

    /// Fills one. While it is filled it holds places in `keys`, so that hardly a key has to be read
    /// again.
    fn table(&self, bytes: &[u8], keys: &[Key], repeated: &mut Repeated) -> HashTable<u32> {
        let key_at = |row: u32| self.key(bytes, RecordIndex(row));
        let mut table: HashTable<u32> = HashTable::with_capacity(keys.len());
        for (place, &(hash, row)) in keys.iter().enumerate() {
            let same = |&other: &u32| {
                let (other_hash, other) = keys[other as usize];
                other_hash == hash && key_at(other) == key_at(row)
            };
            let rehash = |&other: &u32| spread(keys[other as usize].0);
            match table.entry(spread(hash), same, rehash) {
                hashbrown::hash_table::Entry::Occupied(first) => {
                    let (_, first) = keys[*first.get() as usize];
                    repeated.entry(first).or_default().push(row);
                }
                hashbrown::hash_table::Entry::Vacant(free) => {
                    free.insert(place as u32);
                }
            }
        }
        for entry in table.iter_mut() {
            *entry = keys[*entry as usize].1;
        }
        table
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
        let key = self.canonical(key);
        let hash = short_hash(&self.hasher, key.as_bytes());
        let found = self.by_key[shard(hash, self.by_key.len())].find(spread(hash), |&row| {
            self.key(bytes, RecordIndex(row)) == key
        });
        let more = found
            .and_then(|first| self.repeated.get(first))
            .map_or(&[][..], Vec::as_slice);
        found.into_iter().chain(more).copied().map(RecordIndex)
    }

    /// The key of a record, without surrounding blanks; empty if it has none.
    pub(crate) fn key<'a>(&self, bytes: &'a [u8], row: RecordIndex) -> Cow<'a, str> {
        let form = (self.delimiter, self.encoding);
        self.key.key_at(bytes, form, self.start(row))
    }

    /// A key that a person or a program wrote, as it is written here.
    pub(crate) fn canonical<'k>(&self, key: &'k str) -> Cow<'k, str> {
        self.key.canonical(key, self.delimiter)
    }

    /// Whether it can be a key of this sheet.
    pub(crate) fn has_form(&self, key: &str) -> bool {
        self.key.has_form(key, self.delimiter)
    }

    /// Where the key of each record stands.
    pub(crate) fn key_place(&self) -> &KeyPlace {
        &self.key
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
        let behind = self.lines.partition_point(|&(noted, _)| noted <= row.0);
        let (noted, line) = self.lines[behind - 1];
        let from = self.starts[noted as usize] as usize;
        line + count_lines(&bytes[from..self.start(row)]) + 1
    }
}

/// How long a row is, as far as the first of them tell.
fn usual_length(rows: &[u8]) -> usize {
    const SAMPLE: usize = 256 << 10;
    let sample = &rows[..rows.len().min(SAMPLE)];
    (sample.len() / (count_lines(sample) as usize).max(1)).max(1)
}

/// The hash of a key as it stands in the sheet, if it has none of what would be decoded or trimmed.
fn plain_hash(hasher: &RandomState, raw: &[u8]) -> Option<u32> {
    match raw {
        [first, .., last] if *first > b' ' && *first != b'"' && *last > b' ' && raw.is_ascii() => {
            Some(short_hash(hasher, raw))
        }
        _ => None,
    }
}

/// Half of the hash decides on shard and place; whole, it would take twice the memory until the tables
/// are filled.
fn short_hash(hasher: &RandomState, key: &[u8]) -> u32 {
    let mut hasher = hasher.build_hasher();
    hasher.write(key);
    (hasher.finish() >> 32) as u32
}

fn shard(hash: u32, shards: usize) -> usize {
    ((u64::from(hash) * shards as u64) >> 32) as usize
}

/// The table takes the place from the lowest bits and tells entries apart by the highest, of which those
/// of the short hash are the same in all of a shard.
fn spread(hash: u32) -> u64 {
    u64::from(hash).wrapping_mul(0x9e37_79b9_7f4a_7c15)
}

/// A short hash, and the row whose key has it.
type Key = (u32, u32);

/// The keys of a part of the sheet, shard by shard.
struct Keys {
    first_row: u32,
    sorted: Vec<Key>,
    /// Where each shard ends.
    ends: Vec<usize>,
}

impl Keys {
    /// Sorts them by counting, in an array of its own: one for each shard would be so small that the
    /// allocator keeps what they took.
    fn sort(unsorted: Vec<Key>, shards: usize) -> Keys {
        let mut places = vec![0; shards];
        for &(hash, _) in &unsorted {
            places[shard(hash, shards)] += 1;
        }
        let mut before = 0;
        for place in &mut places {
            before += std::mem::replace(place, before);
        }
        let mut sorted = vec![(0, 0); unsorted.len()];
        for key in unsorted {
            let place = &mut places[shard(key.0, shards)];
            sorted[*place] = key;
            *place += 1;
        }
        Keys {
            first_row: 0,
            sorted,
            ends: places,
        }
    }

    fn copy_shard(&self, shard: usize, to: &mut Vec<Key>) {
        let start = shard.checked_sub(1).map_or(0, |before| self.ends[before]);
        let keys = self.sorted[start..self.ends[shard]].iter();
        to.extend(keys.map(|&(hash, row)| (hash, row + self.first_row)));
    }
}

/// What goes over the snapshot.
struct Finder<'b, C> {
    bytes: &'b [u8],
    delimiter: u8,
    encoding: Encoding,
    key: &'b KeyPlace,
    columns: usize,
    hasher: RandomState,
    /// Of a row, about.
    length: usize,
    shards: usize,
    code: C,
}

/// The records of a part of the sheet.
struct Found {
    starts: Vec<u64>,
    codes: Vec<u8>,
    /// Every 64th of them, and its line, counted from where the part begins.
    lines: Vec<(u32, u64)>,
    keys: Vec<Keys>,
    end: End,
}

impl Found {
    /// Takes in the records that follow.
    fn append(&mut self, next: Found) -> Result<(), Malformed> {
        let rows = self.starts.len();
        if rows + next.starts.len() > MAX_RECORDS {
            return Err(Malformed {
                offset: next.starts[MAX_RECORDS - rows] as usize,
                problem: Problem::TooManyRecords,
            });
        }
        let (rows, line) = (rows as u32, self.end.line);
        self.starts.extend(next.starts);
        self.codes.extend(next.codes);
        let lines = next.lines.into_iter();
        self.lines
            .extend(lines.map(|(row, before)| (row + rows, before + line)));
        self.keys.extend(next.keys.into_iter().map(|keys| Keys {
            first_row: keys.first_row + rows,
            ..keys
        }));
        self.end = End {
            at: next.end.at,
            line: line + next.end.line,
        };
        Ok(())
    }
}

impl<C: Fn(&Record<'_>, bool) -> u8 + Sync> Finder<'_, C> {
    fn find_all(&self, from: usize) -> Result<Found, Malformed> {
        let begins = self.further_parts(from);
        let mut ends = begins.iter().copied().chain([usize::MAX]);
        let first_end = ends.next().unwrap_or(usize::MAX);
        thread::scope(|scope| {
            let further: Vec<_> = begins
                .iter()
                .zip(ends)
                .map(|(&begin, end)| {
                    let find = move || self.find(begin, end);
                    (begin, thread::Builder::new().spawn_scoped(scope, find))
                })
                .collect();
            let mut found = self.find(from, first_end)?;
            for (begin, part) in further {
                match part {
                    Ok(part) if begin == found.end.at => match part.join() {
                        Ok(part) => found.append(part?)?,
                        Err(panic) => resume_unwind(panic),
                    },
                    // A wrong guess, or the system gives no thread.
                    _ => {
                        found.append(self.find(found.end.at, usize::MAX)?)?;
                        break;
                    }
                }
            }
            Ok(found)
        })
    }

    /// Where the parts behind the first begin, as far as that can be guessed.
    fn further_parts(&self, from: usize) -> Vec<usize> {
        let length = self.bytes.len() - from;
        let threads = thread::available_parallelism().map_or(1, usize::from);
        let parts = threads.min(MAX_THREADS).min(length / PART).max(1);
        let mut begins: Vec<usize> = (1..parts)
            .map(|part| from + length / parts * part)
            .filter_map(|guess| Some(guess + memchr(b'\n', &self.bytes[guess..])? + 1))
            .collect();
        begins.dedup();
        begins
    }

    /// Reads the records that begin in a part.
    fn find(&self, from: usize, upto: usize) -> Result<Found, Malformed> {
        let rows = (upto.min(self.bytes.len()) - from) / self.length;
        let rows = rows + rows / 16;
        let mut keys = Vec::with_capacity(rows);
        let mut found = Found {
            starts: Vec::with_capacity(rows),
            codes: Vec::with_capacity(rows),
            lines: Vec::new(),
            keys: Vec::new(),
            end: End { at: from, line: 0 },
        };
        let plan = Plan {
            delimiter: self.delimiter,
            columns: self.columns,
            upto,
        };
        found.end = scan(self.bytes, from, plan, |record| {
            self.take(record, &mut found, &mut keys)
        })?;
        found.keys.push(Keys::sort(keys, self.shards));
        Ok(found)
    }

    fn take(
        &self,
        record: &Record<'_>,
        found: &mut Found,
        keys: &mut Vec<Key>,
    ) -> Result<(), Malformed> {
        let malformed = |offset, problem| Err(Malformed { offset, problem });
        let row = found.starts.len();
        if row >= MAX_RECORDS {
            return malformed(record.start, Problem::TooManyRecords);
        }
        if row.is_multiple_of(LINES_EVERY) {
            found.lines.push((row as u32, record.line));
        }
        let hash = match self.hash(record) {
            Ok(hash) => hash,
            Err(offset) => return malformed(offset, self.encoding.not_text()),
        };
        if let Some(hash) = hash {
            keys.push((hash, row as u32));
        }
        found.starts.push(record.start as u64);
        found.codes.push((self.code)(record, hash.is_some()));
        Ok(())
    }

    /// The hash of a record's key, `None` if it has none, or where something is no text.
    fn hash(&self, record: &Record<'_>) -> Result<Option<u32>, usize> {
        let field = |column| record.field(column).unwrap_or_default();
        let column = match self.key {
            KeyPlace::One(column) => *column,
            KeyPlace::Several(columns, between) => {
                let form = (*between, self.encoding);
                let key = KeyPlace::joined_key(columns, form, self.bytes, field)?;
                return Ok((!key.is_empty()).then(|| short_hash(&self.hasher, key.as_bytes())));
            }
        };
        let field = field(column);
        let raw = &self.bytes[field.clone()];
        if let Some(hash) = plain_hash(&self.hasher, raw) {
            return Ok(Some(hash));
        }
        let key = self.encoding.read(raw);
        if !self.encoding.is_text(&key) {
            return Err(field.start);
        }
        let key = trimmed(key);
        Ok((!key.is_empty()).then(|| short_hash(&self.hasher, key.as_bytes())))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::csv::grammar;

    const FORM: (u8, Encoding) = (b';', Encoding::UTF_8);

    fn index(sheet: &str) -> Index {
        Index::build(
            sheet.as_bytes(),
            FORM,
            KeyPlace::One(0),
            0,
            sheet.find('\n').unwrap(),
            |_, _| 0,
        )
        .unwrap()
        .0
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
        assert_eq!(index.len(), 4);
        assert_eq!(index.key(sheet.as_bytes(), RecordIndex(2)), "");
        let lines: Vec<u64> = (0..4)
            .map(|slot| index.line(sheet.as_bytes(), RecordIndex::from_slot(slot)))
            .collect();
        assert_eq!(lines, [2, 4, 6, 7]);
    }

    /// Rows with keys of which many are repeated, and now and then, or often, line ends in a cell.
    fn rows(lines_in_cells: u32) -> impl Strategy<Value = String> {
        let plain = (0..300_u32, "[a-z]{0,40}").prop_map(|(key, cell)| format!("P{key};{cell}\n"));
        let quoted = (0..300_u32, "([a-z;]|\"\"|\n|\r\n){0,40}");
        let quoted = quoted.prop_map(|(key, cell)| format!("\"P{key}\";\"{cell}\"\r\n"));
        let row = prop_oneof![10 => plain, lines_in_cells => quoted];
        prop::collection::vec(row, 0..400).prop_map(|rows| rows.concat())
    }

    /// The index against one that is made of the records as they are read one after the other.
    fn check(sheet: &str) -> Result<(), TestCaseError> {
        let bytes = sheet.as_bytes();
        let header_end = sheet.find('\n').unwrap();
        let code = |record: &Record<'_>, _| bytes[record.start + 1];
        let (index, codes) =
            Index::build(bytes, FORM, KeyPlace::One(0), 0, header_end, code).unwrap();
        let mut records = grammar::Records::new(bytes, b';', header_end);
        let mut rows_of: HashMap<String, Vec<RecordIndex>> = HashMap::new();
        let mut row = 0;
        while let Some(span) = records.next_record().unwrap() {
            let at = RecordIndex::from_slot(row);
            let key = grammar::decode(&bytes[records.fields()[0].clone()]);
            let key = String::from_utf8(key.into_owned()).unwrap();
            prop_assert_eq!(index.start(at), span.start);
            prop_assert_eq!(index.line(bytes, at), count_lines(&bytes[..span.start]) + 1);
            prop_assert_eq!(&index.key(bytes, at), &key);
            prop_assert_eq!(codes[row], bytes[span.start + 1]);
            rows_of.entry(key).or_default().push(at);
            row += 1;
        }
        prop_assert_eq!((index.len(), codes.len()), (row, row));
        let repeated: HashMap<RecordIndex, Vec<RecordIndex>> = index
            .repeated()
            .map(|(first, more)| (first, more.collect()))
            .collect();
        prop_assert_eq!(index.has_repeated(), !repeated.is_empty());
        for (key, rows) in rows_of {
            prop_assert_eq!(&index.rows(bytes, &key).collect::<Vec<_>>(), &rows);
            prop_assert_eq!(
                repeated.get(&rows[0]).cloned().unwrap_or_default(),
                &rows[1..]
            );
        }
        Ok(())
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn a_sheet_that_is_read_in_parts_has_the_same_records(rows in rows(1)) {
            check(&format!("KEY;TEXT\n{rows}"))?;
        }

        #[test]
        fn a_wrong_guess_of_where_a_part_begins_is_noticed(rows in rows(100)) {
            check(&format!("KEY;TEXT\n{rows}"))?;
        }
    }

    #[test]
    fn what_is_malformed_in_a_part_is_refused_where_it_stands() {
        let sheet = "K\n".to_owned() + &"a;\"b\nc\"\n".repeat(1000);
        let refused = |sheet: &[u8]| {
            Index::build(sheet, FORM, KeyPlace::One(0), 0, 1, |_, _| 0)
                .err()
                .unwrap()
        };
        for at in [10, 4000, 7000, sheet.len() - 2] {
            let mut broken = sheet.clone().into_bytes();
            broken[at] = 0;
            assert_eq!(refused(&broken).offset, at);
        }
        let open = sheet.clone() + "\"";
        assert_eq!(refused(open.as_bytes()).offset, sheet.len());
    }

    #[test]
    fn keys_that_collide_in_one_index_do_not_in_another() {
        let hash = |index: Index| short_hash(&index.hasher, b"A");
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
    fn the_rows_of_a_key_of_two_columns_are_found() {
        let sheet =
            "K;x;L\nA;;1\nA;;2\n\"A\"; ; 1 \n;x;\nA\n".to_owned() + &"B;\"\n\";3\n".repeat(2000);
        let place = || KeyPlace::new(&[2, 0], b';');
        let build = |sheet: &[u8]| Index::build(sheet, FORM, place(), 0, 5, |_, has| has.into());
        let (index, codes) = build(sheet.as_bytes()).unwrap();
        let rows = |key| {
            let rows = index.rows(sheet.as_bytes(), key);
            rows.map(RecordIndex::slot).collect::<Vec<_>>()
        };
        assert_eq!(
            (rows("1;A"), rows("2;\"A\""), rows(";A"), rows(";")),
            (vec![0, 2], vec![1], vec![4], vec![])
        );
        assert_eq!(rows("3;B"), (5..2005).collect::<Vec<_>>());
        assert_eq!(codes[..5], [1, 1, 1, 0, 1]);
        let refused = build(b"K;x;L\nA;x;1\nA;x;\xff\n").err().unwrap();
        assert_eq!(
            (refused.offset, refused.problem),
            (16, Problem::InvalidUtf8)
        );
    }

    #[test]
    fn lines_are_right_beyond_the_first_block() {
        let sheet = "K\n".to_owned() + &(0..5000).map(|i| format!("P{i}\n")).collect::<String>();
        let index = index(&sheet);
        assert_eq!(index.line(sheet.as_bytes(), RecordIndex(4999)), 5001);
        assert_eq!(index.key(sheet.as_bytes(), RecordIndex(4321)), "P4321");
    }
}
