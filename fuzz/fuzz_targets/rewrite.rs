//! A rewrite changes the updated cells and not one byte more, is read back as the table that was
//! meant, and is not changed by the same updates again.
//!
//! The sheet is built from cells whose raw bytes and value are known, so that the model needs no
//! parser.
#![no_main]

mod csv_crate;

use std::collections::BTreeMap;

use arbitrary::Arbitrary;
use libfuzzer_sys::fuzz_target;
use tickoff::fuzzing::{Update, rewrite};

#[derive(Arbitrary, Debug)]
struct Input {
    mark: bool,
    delimiter: Delimiter,
    blank_lines: u8,
    /// The columns beside the key, and the key's place among them.
    columns: Vec<Name>,
    key_at: u8,
    quoted_header: bool,
    rows: Vec<Row>,
    ends_with_terminator: bool,
    updates: Vec<(u8, u8, String)>,
}

#[derive(Arbitrary, Debug, Clone, Copy)]
enum Delimiter {
    Semicolon,
    Comma,
    Tab,
    Letter,
}

#[derive(Arbitrary, Debug, Clone, Copy, PartialEq)]
enum Name {
    A,
    B,
    Status,
    ErrorMessage,
}

#[derive(Arbitrary, Debug)]
struct Row {
    key: Key,
    cells: Vec<Cell>,
    crlf: bool,
    blank_lines: u8,
}

#[derive(Arbitrary, Debug)]
enum Key {
    Plain(u8),
    Blanks(u8),
    Quoted(u8),
    Empty,
}

#[derive(Arbitrary, Debug)]
enum Cell {
    Plain(Vec<u8>),
    Quoted(Vec<u8>),
    /// What follows the closing quote belongs to the cell as it is.
    QuotedThen(Vec<u8>, Vec<u8>),
}

/// A cell's bytes, and what a reader sees.
type Known = (Vec<u8>, Vec<u8>);

/// The columns that a result may add.
const ADDABLE: [&str; 3] = ["STATUS", "ERROR_MESSAGE", "Supplier Segment"];

fuzz_target!(|input: Input| {
    let sheet = Sheet::new(&input);
    let key_of = |row: usize| sheet.keys.get(row % sheet.keys.len().max(1)).cloned();
    let updates: Vec<Update> = input
        .updates
        .iter()
        .filter(|(_, _, value)| !value.contains('\0'))
        .map(|(row, column, value)| {
            let po = key_of(*row as usize).flatten();
            let names = [
                "A",
                "b",
                " status",
                "Error_Message",
                "supplier segment",
                "x",
            ];
            let column = names[*column as usize % names.len()];
            (po.unwrap_or("P?".into()), column.to_owned(), value.clone())
        })
        .collect();
    let before = sheet.render(&sheet.rows, &[]);
    let rewrite = |sheet_bytes: &[u8], updates: &[Update]| {
        rewrite(sheet_bytes, "K", Some(sheet.delimiter), updates).expect("it is a sheet")
    };
    let (rows, added) = sheet.updated(&updates);
    let expected = sheet.render(&rows, &added);
    let next = rewrite(&before, &updates);
    assert_eq!(
        String::from_utf8_lossy(&next),
        String::from_utf8_lossy(&expected),
        "{updates:?}"
    );
    assert_eq!(next, expected);
    assert_eq!(rewrite(&next, &updates), next);

    let table = csv_crate::records(&next, sheet.delimiter);
    assert_eq!(table.len(), 1 + rows.len());
    for (record, row) in table[1..].iter().zip(&rows) {
        assert!(record.iter().eq(row.iter().map(|(_, value)| &value[..])));
    }
});

struct Sheet {
    delimiter: u8,
    quote_all: bool,
    /// Byte order mark and blank lines.
    front: Vec<u8>,
    names: Vec<&'static str>,
    rows: Vec<Vec<Known>>,
    keys: Vec<Option<String>>,
    /// What follows the header and each row.
    terminators: Vec<Vec<u8>>,
}

impl Sheet {
    fn new(input: &Input) -> Sheet {
        let delimiter = match input.delimiter {
            Delimiter::Semicolon => b';',
            Delimiter::Comma => b',',
            Delimiter::Tab => b'\t',
            Delimiter::Letter => b'T',
        };
        let mut names = Vec::new();
        for name in &input.columns {
            let name = match name {
                Name::A => "A",
                Name::B => "B",
                Name::Status => "STATUS",
                Name::ErrorMessage => "ERROR_MESSAGE",
            };
            if !names.contains(&name) {
                names.push(name);
            }
        }
        let key = input.key_at as usize % (names.len() + 1);
        names.insert(key, "K");

        let mut rows = Vec::new();
        let mut keys = Vec::new();
        let mut terminators = vec![terminator(false, 0)];
        for row in &input.rows {
            let mut cells: Vec<Known> =
                row.cells.iter().map(|cell| cell.known(delimiter)).collect();
            let known = (cells.len() >= key).then(|| row.key.known());
            keys.push(known.as_ref().and_then(|(_, po)| po.clone()));
            if let Some((raw, _)) = known {
                let value = raw.iter().copied().filter(|&byte| byte != b'"').collect();
                cells.insert(key, (raw, value));
            }
            if let [] | [(_, _)] = &cells[..]
                && cells.first().is_none_or(|(raw, _)| raw.is_empty())
            {
                // It would be a blank line.
                cells = vec![(b"\"\"".to_vec(), Vec::new())];
            }
            rows.push(cells);
            terminators.push(terminator(row.crlf, row.blank_lines));
        }
        if !input.ends_with_terminator {
            *terminators.last_mut().expect("the header has one") = Vec::new();
        }
        let mark: &[u8] = if input.mark { b"\xef\xbb\xbf" } else { b"" };
        Sheet {
            delimiter,
            quote_all: input.quoted_header,
            front: [mark, &b"\n".repeat(input.blank_lines as usize % 3)].concat(),
            names,
            rows,
            keys,
            terminators,
        }
    }

    fn render(&self, rows: &[Vec<Known>], added: &[&str]) -> Vec<u8> {
        let header = self.names.iter().chain(added);
        let name = |name: &&str| encode(name.as_bytes(), self.delimiter, self.quote_all);
        let mut bytes = self.front.clone();
        bytes.extend(self.join(header.map(name)));
        for (row, terminator) in rows.iter().zip(&self.terminators) {
            bytes.extend(terminator);
            bytes.extend(self.join(row.iter().map(|(raw, _)| raw.clone())));
        }
        bytes.extend(&self.terminators[rows.len()]);
        bytes
    }

    fn join(&self, cells: impl Iterator<Item = Vec<u8>>) -> Vec<u8> {
        cells.collect::<Vec<_>>().join(&self.delimiter)
    }

    /// The rows after updates, and the columns that were added for them.
    fn updated(&self, updates: &[Update]) -> (Vec<Vec<Known>>, Vec<&'static str>) {
        let width = self.names.len();
        let mut columns = self.names.clone();
        let mut written: BTreeMap<(usize, usize), &str> = BTreeMap::new();
        for (po, name, value) in updates {
            let is_same = |column: &&str| column.eq_ignore_ascii_case(name.trim());
            let column = columns.iter().position(is_same).or_else(|| {
                let addable = ADDABLE.into_iter().find(|column| is_same(column))?;
                (!value.is_empty()).then(|| columns.push(addable))?;
                Some(columns.len() - 1)
            });
            let Some(column) = column else { continue };
            for (row, key) in self.keys.iter().enumerate() {
                if key.as_ref() == Some(po) {
                    written.insert((row, column), value);
                }
            }
        }
        let added = columns.split_off(width);
        let padded = if added.is_empty() {
            0
        } else {
            width + added.len()
        };
        let rows = self.rows.iter().enumerate().map(|(i, row)| {
            // Nothing but control characters, as DOS's end of file, gets no cells.
            let mut bytes = row.iter().flat_map(|(_, value)| value);
            let has_text = bytes.clone().any(|&byte| byte > b' ');
            let has_control =
                bytes.any(|byte| byte.is_ascii_control() && !byte.is_ascii_whitespace());
            let padded = if has_control && !has_text { 0 } else { padded };
            // Beside the table: the first empty fields become cells of added columns, the rest moves on.
            let beside = row.get(width..).unwrap_or_default();
            let empty = beside.iter().take(added.len());
            let taken = empty.take_while(|(_, value)| value.is_empty()).count();
            let moved = beside[taken..].iter().cloned();
            let row = &row[..row.len() - moved.len()];
            let of_row = written.range((i, 0)..(i + 1, 0));
            let filled = of_row.filter(|(_, value)| !value.is_empty());
            let needed = filled.last().map_or(0, |((_, column), _)| column + 1);
            let cell = |column| match (row.get(column), written.get(&(i, column))) {
                (Some((raw, value)), Some(new)) if value != new.as_bytes() => {
                    let raw = encode(new.as_bytes(), self.delimiter, raw.starts_with(b"\""));
                    (raw, new.as_bytes().to_vec())
                }
                (Some(known), _) => known.clone(),
                (None, new) => {
                    let value = new.map_or("", |new| new).as_bytes();
                    (
                        encode(value, self.delimiter, self.quote_all),
                        value.to_vec(),
                    )
                }
            };
            (0..row.len().max(padded).max(needed))
                .map(cell)
                .chain(moved)
                .collect()
        });
        (rows.collect(), added)
    }
}

impl Key {
    /// Its bytes, and the PO, if it is one.
    fn known(&self) -> (Vec<u8>, Option<String>) {
        // Few, so that some stand in several rows.
        let po = |number: &u8| format!("P{}", number % 4);
        match self {
            Key::Plain(number) => (po(number).into(), Some(po(number))),
            Key::Blanks(number) => (format!("\u{a0}{} ", po(number)).into(), Some(po(number))),
            Key::Quoted(number) => (format!("\"{}\"", po(number)).into(), Some(po(number))),
            Key::Empty => (b" ".to_vec(), None),
        }
    }
}

impl Cell {
    fn known(&self, delimiter: u8) -> Known {
        let without = |bytes: &[u8], banned: &[u8]| -> Vec<u8> {
            let kept = bytes.iter().filter(|byte| !banned.contains(byte));
            kept.copied().collect()
        };
        let outside = [0, b'\r', b'\n', delimiter];
        let leading = |bytes: &[u8]| bytes.iter().take_while(|&&byte| byte == b'"').count();
        match self {
            Cell::Plain(bytes) => {
                let bytes = without(bytes, &outside);
                let plain = bytes[leading(&bytes)..].to_vec();
                (plain.clone(), plain)
            }
            Cell::Quoted(bytes) => {
                let value = without(bytes, &[0]);
                (encode(&value, delimiter, true), value)
            }
            Cell::QuotedThen(inside, then) => {
                let (inside, then) = (without(inside, &[0]), without(then, &outside));
                let then = &then[leading(&then)..];
                let raw = [&encode(&inside, delimiter, true), then].concat();
                (raw, [&inside, then].concat())
            }
        }
    }
}

/// A value as RFC 4180 has it, quoted where it must or shall be.
fn encode(value: &[u8], delimiter: u8, quoted: bool) -> Vec<u8> {
    let special = [b'"', b'\r', b'\n', delimiter];
    if !quoted && !value.iter().any(|byte| special.contains(byte)) {
        return value.to_vec();
    }
    let mut raw = vec![b'"'];
    for &byte in value {
        raw.extend(std::iter::repeat_n(byte, if byte == b'"' { 2 } else { 1 }));
    }
    raw.push(b'"');
    raw
}

fn terminator(crlf: bool, blank_lines: u8) -> Vec<u8> {
    let end: &[u8] = if crlf { b"\r\n" } else { b"\n" };
    let blank: &[u8] = if blank_lines & 4 == 0 { b"\n" } else { b"\r\n" };
    [end, &blank.repeat(blank_lines as usize % 3)].concat()
}
