//! Any bytes are refused, or are a sheet that is rewritten to itself and keeps its form when cells and
//! columns change. Everything that can be asked of it is answered.
#![no_main]

use libfuzzer_sys::fuzz_target;
use tickoff::Error;
use tickoff::fuzzing::{Update, form, header_end, read, rewrite};

/// Those that are tried.
const DELIMITERS: [u8; 3] = [b';', b',', b'\t'];

fuzz_target!(|input: (Option<u8>, bool, [&str; 3], &[u8])| {
    let (given, by_number, values, sheet) = input;
    let key = if by_number { "PO_NUMBER" } else { "K" };
    let found = match form(sheet, key, given) {
        Ok(found) => found,
        Err(error) => return is_safe_to_print(&error),
    };
    let key_column = |name: &String| name.trim().eq_ignore_ascii_case(key);
    assert!(found.names.iter().any(key_column));
    if given.is_none() {
        assert_eq!(form(sheet, key, Some(found.delimiter)).unwrap(), found);
        // No other reading ends the header sooner: what stands behind it does not decide. A delimiter that is named
        // is not compared with others.
        let end = |delimiter| header_end(sheet, key, delimiter);
        let ours = end(found.delimiter).expect("it was read");
        assert!(
            found.is_named
                || DELIMITERS
                    .into_iter()
                    .filter_map(end)
                    .all(|other| ours <= other)
        );
    }
    let (read, findings) = match read(sheet, key, given) {
        Ok(read) => read,
        Err(error) => return is_safe_to_print(&error),
    };
    let progress = read.progress();
    let keyed: Vec<_> = read.records().collect();
    assert_eq!(keyed.len(), progress.total);
    let sum = progress.pending + progress.completed + progress.error;
    assert_eq!(
        sum + progress.no_attachments + progress.other,
        progress.total
    );
    let lines = sheet.split(|&byte| byte == b'\n').count() as u64;
    for record in &keyed {
        let found = read.record(&record.po_number).expect("it has a row");
        assert_eq!(found.po_number, record.po_number);
        assert!((1..=lines).contains(&record.line));
    }
    for finding in &findings {
        assert!((1..=lines).contains(&finding.line));
        assert_eq!(tickoff::escape(&finding.message), finding.message);
    }

    assert_eq!(rewrite(sheet, key, given, &[]).expect("it was read"), sheet);
    let updates: Vec<Update> = keyed
        .iter()
        .zip(["STATUS", "Supplier Segment", "note"].iter().zip(values))
        .map(|(record, (column, value))| {
            let po = record.po_number.clone();
            (po, column.to_string(), value.replace('\0', ""))
        })
        .collect();
    let next = rewrite(sheet, key, given, &updates).expect("it was read");
    let mut form = form(&next, key, given).expect("the next version is a sheet");
    assert!(form.names.len() >= found.names.len());
    form.names.truncate(found.names.len());
    assert_eq!(form, found);
    assert_eq!(
        rewrite(&next, key, given, &updates).expect("it is read"),
        next
    );
});

fn is_safe_to_print(error: &Error) {
    let message = error.to_string();
    assert_eq!(tickoff::escape(&message), message);
}
