//! Any bytes are refused, or read as the csv crate reads them, with every byte in its place.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickoff::fuzzing::{decode, records};

fuzz_target!(|input: (u8, &[u8])| {
    let (choice, bytes) = input;
    let delimiter = b";,\t"[choice as usize % 3];
    let Some(ours) = records(bytes, delimiter) else {
        return;
    };

    let mut covered = if bytes.starts_with(b"\xef\xbb\xbf") {
        3
    } else {
        0
    };
    for (span, fields) in &ours {
        assert!(
            bytes[covered..span.start]
                .iter()
                .all(|byte| b"\r\n".contains(byte))
        );
        assert_eq!(fields[0].start, span.start);
        assert!(
            fields
                .windows(2)
                .all(|pair| pair[0].end + 1 == pair[1].start && bytes[pair[0].end] == delimiter)
        );
        covered = fields.last().expect("a record has a field").end;
        assert_eq!(covered, span.end);
    }
    assert!(bytes[covered..].iter().all(|byte| b"\r\n".contains(byte)));

    let mut reader = csv::ReaderBuilder::new()
        .has_headers(false)
        .flexible(true)
        .delimiter(delimiter)
        .from_reader(bytes);
    let mut theirs = reader.byte_records();
    for (_, fields) in &ours {
        let record = theirs
            .next()
            .expect("the csv crate has as many records")
            .expect("memory can be read");
        assert_eq!(record.len(), fields.len());
        for (theirs, ours) in record.iter().zip(fields) {
            assert_eq!(theirs, decode(&bytes[ours.clone()]));
        }
    }
    assert!(theirs.next().is_none());
});
