//! A line of `apply` is refused with a reason that is safe to print, or it changes what it names and
//! what follows from it, and nothing else.
#![no_main]

use std::collections::BTreeMap;

use libfuzzer_sys::fuzz_target;
use serde_json::value::RawValue;
use serde_json::{Map, Value};
use tickoff::fuzzing::{apply, read};
use tickoff::{COLUMNS, CsvRecord, Error, ProcessingStatus, Sheet, Updates};

#[allow(dead_code)]
#[path = "../../src/bin/tickoff/cli/apply/request.rs"]
mod request;

const SHEET: &[u8] = b"PO_NUMBER;STATUS;note;ERROR_MESSAGE\n\
    P1;;\"a\";\r\nP2;COMPLETED;b\nP3;error;;it failed\n7;odd word;;\n\n;;\nP5;NO_ATTACHMENTS\n";

fuzz_target!(|input: (bool, &[u8])| {
    let (force, line) = input;
    let request = request::Request::parse(line);
    let updates = match request.updates {
        Ok(updates) => updates,
        Err(message) => return assert_eq!(tickoff::escape(&message), message),
    };
    let po = request.po_number.expect("updates without a PO are refused");
    says_what_the_line_says(line, &updates);

    let again = serde_json::to_value(&updates).expect("texts can be written");
    // A column that is named twice is one key of an object.
    if let Ok(()) = validated(&po, &updates) {
        assert_eq!(serde_json::from_value::<Updates>(again).unwrap(), updates);
    }
    let before = sheet(SHEET);
    match apply(SHEET, &po, updates.clone(), force) {
        Ok(after) => changes_what_it_names(&before, &sheet(&after), po.trim(), &updates, force),
        Err(error) => is_refused_rightly(&before, po.trim(), &updates, force, &error),
    }
});

fn sheet(bytes: &[u8]) -> Sheet {
    read(bytes, "PO_NUMBER", None).expect("it is a sheet").0
}

/// Each value is a text that the line has for that column, an integer with the line's digits.
fn says_what_the_line_says(line: &[u8], updates: &Updates) {
    let raw: BTreeMap<String, &RawValue> = serde_json::from_slice(line).expect("it was understood");
    let said = raw["updates"].get();
    let digits: BTreeMap<String, &RawValue> = serde_json::from_str(said).expect("it is an object");
    let said: Map<String, Value> = serde_json::from_str(said).expect("it is an object");
    assert_eq!(updates.iter().count(), said.len());
    for ((column, value), (name, json)) in updates.iter().zip(&said) {
        assert_eq!(column, name);
        match json {
            Value::Null => assert_eq!(value, ""),
            Value::String(text) => assert_eq!(value, text),
            Value::Array(texts) => {
                let texts: Vec<&str> = texts.iter().map(|text| text.as_str().unwrap()).collect();
                assert_eq!(value, texts.join(";"));
            }
            Value::Bool(_) => assert_eq!(value, json.to_string()),
            Value::Number(_) => {
                let written = digits[name].get();
                if written != "-0" && !written.contains(['.', 'e', 'E']) {
                    assert_eq!(value, written);
                }
                assert_eq!(value.parse::<f64>(), written.parse());
            }
            Value::Object(_) => panic!("an object is no value"),
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// What is wrong with the updates whatever the sheet holds.
fn validated(po: &str, updates: &Updates) -> Result<(), String> {
    let list: Vec<_> = updates.iter().collect();
    for (i, (column, value)) in list.iter().enumerate() {
        let is_known = !matches!(ProcessingStatus::parse(value), ProcessingStatus::Other(_));
        let fits = value.chars().count() <= tickoff::MAX_VALUE_CHARS && !value.contains('\0');
        let is_first = !list[..i].iter().any(|(other, _)| same(other, column));
        if !fits || !is_first || (same(column, "STATUS") && !is_known) {
            return Err(format!("{po}: {column}"));
        }
    }
    Ok(())
}

fn has_place(before: &Sheet, column: &str) -> bool {
    let columns = before.columns();
    let known = columns.iter().map(String::as_str).chain(COLUMNS);
    known.into_iter().any(|known| same(known, column))
}

fn is_refused_rightly(before: &Sheet, po: &str, updates: &Updates, force: bool, error: &Error) {
    let message = error.to_string();
    assert_eq!(tickoff::escape(&message), message);
    match error {
        Error::UnknownPo { .. } => assert!(before.record(po).is_none()),
        Error::UnknownColumn { column, .. } => assert!(!has_place(before, column)),
        Error::InvalidValue { column, .. } => {
            assert!(validated(po, updates).is_err() || same(column, "PO_NUMBER"));
        }
        Error::Transition { from, to, .. } => {
            assert!(!force);
            assert_eq!(before.status(po).as_ref(), Some(from));
            assert!(*from == ProcessingStatus::Completed || *to == ProcessingStatus::Pending);
        }
        other => panic!("{other}"),
    }
}

fn changes_what_it_names(before: &Sheet, after: &Sheet, po: &str, updates: &Updates, force: bool) {
    validated(po, updates).expect("it was applied");
    let (was, is) = (before.record(po).unwrap(), after.record(po).unwrap());
    let status = updates.new_status();
    for (column, value) in updates.iter() {
        assert!(has_place(before, column) && !same(column, "PO_NUMBER"));
        let shown = cell(&is, column);
        match &status {
            Some(status) if same(column, "STATUS") => assert_eq!(shown, status.as_str()),
            _ => assert_eq!(shown, value),
        }
    }
    let follows = |name: &str| status.is_some() && updates.get(name).is_none();
    if follows("LAST_PROCESSED") {
        assert_eq!(cell(&is, "LAST_PROCESSED"), "1970-01-01T00:00:00Z");
    }
    if follows("ERROR_MESSAGE") && status != Some(ProcessingStatus::Error) {
        assert_eq!(cell(&is, "ERROR_MESSAGE"), "");
    }
    if let Some(status) = &status
        && !force
    {
        assert!(was.status != ProcessingStatus::Completed || *status == was.status);
        assert!(*status != ProcessingStatus::Pending || was.status == *status);
    }
    for (name, value) in was.cells() {
        let may_follow = same(name, "ERROR_MESSAGE") && status.is_some();
        assert!(updates.get(name).is_some() || may_follow || cell(&is, name) == value);
    }
    assert_eq!(after.records().count(), before.records().count());
    for other in before.records().filter(|record| record.po_number != po) {
        let now = after.record(&other.po_number).expect("no row is lost");
        assert!(other.cells().all(|(name, value)| cell(&now, name) == value));
    }
}

fn cell<'a>(record: &'a CsvRecord, name: &str) -> &'a str {
    record.get(name).unwrap_or_default()
}
