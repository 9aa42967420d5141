//! Any bytes are refused for a reason that is there, or read as the csv crate reads them, with every
//! byte in its place and every key in the index.
#![no_main]

mod csv_crate;

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use tickoff::Problem;
use tickoff::fuzzing::{Keys, Record, decode, position, records, scanned};

const DELIMITERS: &[u8] = b";,\t|: x\xc3";

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let delimiter = DELIMITERS[choice as usize % DELIMITERS.len()];
    let (ours, refused) = records(bytes, delimiter);
    // What stands before a NUL is read before it is found.
    if !matches!(
        refused,
        Some((_, Problem::Nul | Problem::Utf16 | Problem::NoCsv(_)))
    ) {
        assert_eq!(scanned(bytes, delimiter), (ours.clone(), refused.clone()));
    }
    let rest = every_byte_has_its_place(bytes, delimiter, &ours);
    match &refused {
        None => assert!(all_terminators(&bytes[rest..])),
        Some((offset, problem)) => the_reason_is_there(bytes, delimiter, *offset, problem),
    }
    let more = the_csv_crate_reads_the_same(bytes, delimiter, &ours);
    match refused {
        None => {
            assert_eq!(more, 0);
            for column in 0..3 {
                every_key_is_found(bytes, delimiter, column, &ours);
            }
        }
        // It swallows the rest of the file.
        Some((_, Problem::UnterminatedQuote)) => assert_eq!(more, 1),
        Some(_) => {}
    }
});

fn all_terminators(bytes: &[u8]) -> bool {
    bytes.iter().all(|byte| b"\r\n".contains(byte))
}

/// Returns where the last record ends.
fn every_byte_has_its_place(bytes: &[u8], delimiter: u8, ours: &[Record]) -> usize {
    let mut covered = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    for (i, (span, fields)) in ours.iter().enumerate() {
        let between = &bytes[covered..span.start];
        assert!(all_terminators(between));
        assert!(i == 0 || between.starts_with(b"\n") || between.starts_with(b"\r\n"));
        assert_eq!(fields[0].start, span.start);
        let adjoin = |pair: &[std::ops::Range<usize>]| {
            pair[0].end + 1 == pair[1].start && bytes[pair[0].end] == delimiter
        };
        assert!(fields.windows(2).all(adjoin));
        covered = fields.last().expect("a record has a field").end;
        assert_eq!(covered, span.end);
    }
    covered
}

fn the_reason_is_there(bytes: &[u8], delimiter: u8, offset: usize, problem: &Problem) {
    let before = &bytes[..offset];
    match problem {
        Problem::Utf16 => {
            let has_mark = bytes[0] >= 0xfe && bytes[1] >= 0xfe;
            assert!(offset == 0 && (has_mark || bytes.contains(&0)));
        }
        Problem::NoCsv(_) => assert!(offset == 0 && bytes.len() > 1),
        Problem::Nul => assert!(bytes[offset] == 0 && !before.contains(&0)),
        Problem::LoneCarriageReturn => {
            assert!(bytes[offset] == b'\r' && bytes.get(offset + 1) != Some(&b'\n'))
        }
        Problem::UnterminatedQuote => {
            assert_eq!(bytes[offset], b'"');
            assert!(
                before.is_empty()
                    || before == b"\xef\xbb\xbf"
                    || before.ends_with(b"\n")
                    || before.ends_with(&[delimiter])
            );
            let quotes = bytes[offset..].iter().filter(|&&byte| byte == b'"');
            assert!(quotes.count() % 2 == 1);
        }
        other => panic!("{other} in {} bytes", bytes.len()),
    }
    let (line, column) = position(bytes, offset);
    let lines: Vec<&[u8]> = before.split(|&byte| byte == b'\n').collect();
    assert_eq!(line, lines.len() as u64);
    let last = lines[lines.len() - 1].len();
    let mark = if line == 1 && bytes.starts_with(b"\xef\xbb\xbf") {
        last.min(3)
    } else {
        0
    };
    assert_eq!(column, (last - mark) as u64 + 1);
}

/// Returns how many records more the csv crate reads.
fn the_csv_crate_reads_the_same(bytes: &[u8], delimiter: u8, ours: &[Record]) -> usize {
    if ours.is_empty() && bytes.contains(&0) {
        return 0;
    }
    let theirs = csv_crate::records(bytes, delimiter);
    assert!(theirs.len() >= ours.len());
    let mut previous_end = 0;
    for ((span, fields), record) in ours.iter().zip(&theirs) {
        assert_eq!(record.len(), fields.len());
        for (theirs, ours) in record.iter().zip(fields) {
            assert_eq!(theirs, decode(&bytes[ours.clone()]));
        }
        // Its records begin with what is left of the terminators before them.
        let begin = record.position().expect("it was read").byte() as usize;
        assert!((previous_end..=span.start).contains(&begin));
        previous_end = span.end;
    }
    theirs.len() - ours.len()
}

fn every_key_is_found(bytes: &[u8], delimiter: u8, column: usize, ours: &[Record]) {
    let raw = |record: &Record| record.1.get(column).map(|field| &bytes[field.clone()]);
    let is_text = |record| raw(record).is_none_or(|raw| String::from_utf8(decode(raw)).is_ok());
    let Some(keys) = Keys::of(bytes, delimiter, column) else {
        return assert!(!ours.iter().all(is_text));
    };
    assert!(ours.iter().all(is_text));
    let mut rows_of: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for (row, record) in ours.iter().enumerate() {
        let key = String::from_utf8(decode(raw(record).unwrap_or_default())).expect("it is text");
        // Control characters alone are no key.
        let is_text = key.bytes().any(|byte| byte > b' ');
        let key = if is_text { key.trim() } else { "" }.to_owned();
        let start = record.0.start;
        let line = bytes[..start].iter().filter(|&&byte| byte == b'\n').count() as u64 + 1;
        assert_eq!(keys.row(row), (start, line, key.clone()));
        rows_of.entry(key).or_default().push(row);
    }
    rows_of.remove("");
    assert_eq!(keys.count(), ours.len());
    assert!(keys.rows("").is_empty() && keys.rows("\0").is_empty());
    for (key, rows) in &rows_of {
        assert_eq!(keys.rows(&format!("\t{key} ")), *rows);
    }
}
