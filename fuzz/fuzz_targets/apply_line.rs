//! A line of `apply` is refused with a reason that is safe to print, or it changes what it names and
//! what follows from it, and nothing else; what it names and what is not written is kept.
#![no_main]

use std::fmt;

use libfuzzer_sys::fuzz_target;
use serde::de::{Deserialize, Deserializer, MapAccess, Visitor};
use serde_json::value::RawValue;
use tickoff::fuzzing::{Update, apply, read};
use tickoff::{
    COLUMNS, CsvRecord, MAX_ADDED_COLUMNS, MAX_ERROR_CHARS, MAX_VALUE_CHARS, ProcessingStatus,
    Sheet, Updates,
};

#[allow(dead_code)]
#[path = "../../src/bin/tickoff/cli/apply/request.rs"]
mod request;

const SHEET: &[u8] = b"PO_NUMBER;STATUS;note;ERROR_MESSAGE\n\
    P1;;\"a\";\r\nP2;COMPLETED;b\nP3;error;;it failed\n7;odd word;;\n\n;;\nP5;NO_ATTACHMENTS\n";

fuzz_target!(|input: (bool, &[u8])| {
    let (force, line) = input;
    let request = request::Request::parse(line);
    for note in &request.notes {
        assert_eq!(tickoff::escape(note), *note);
    }
    let updates = match request.updates {
        Ok(updates) => updates,
        Err(message) => return assert_eq!(tickoff::escape(&message), message),
    };
    let po = request.po_number.expect("updates without a PO are refused");
    let members = Members::of(&mended(line)).last_of_each();
    if !members.iter().any(|(name, _)| same(name, "error")) {
        says_what_the_line_says(&members, &updates);
    }

    let again = serde_json::to_value(&updates).expect("texts can be written");
    let again = serde_json::from_value::<Updates>(again).unwrap();
    assert!(again.iter().eq(updates.iter()));
    let before = sheet(SHEET);
    let (after, unplaced) = apply(SHEET, &po, updates.clone(), force);
    let applied = Applied {
        before: &before,
        after: &sheet(&after),
        po: po.trim(),
        force,
        unplaced: &unplaced,
    };
    match before.record(&po) {
        Some(was) => applied.changes_what_it_names(&was, &updates),
        None => {
            for (column, value) in updates.iter() {
                let is_state = same(column, "STATUS") || same(column, "ERROR_MESSAGE");
                assert!(
                    is_state || value.trim().is_empty() || applied.keeps(column, &written(value))
                );
            }
            applied.leaves_other_rows();
        }
    }
});

fn sheet(bytes: &[u8]) -> Sheet {
    read(bytes, "PO_NUMBER", None).expect("it is a sheet").0
}

/// The members of an object as they stand there, also those whose name stands there twice.
struct Members(Vec<(String, Box<RawValue>)>);

impl<'de> Deserialize<'de> for Members {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Object;
        impl<'de> Visitor<'de> for Object {
            type Value = Members;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Members, A::Error> {
                let mut members = Vec::new();
                while let Some(member) = map.next_entry()? {
                    members.push(member);
                }
                Ok(Members(members))
            }
        }
        deserializer.deserialize_map(Object)
    }
}

impl Members {
    fn of(json: &str) -> Members {
        serde_json::from_str(json).expect("it was understood")
    }

    /// Of a name that is there twice the last value, in the place of the first.
    fn last_of_each(self) -> Vec<(String, Box<RawValue>)> {
        let mut last: Vec<(String, Box<RawValue>)> = Vec::new();
        for (name, value) in self.0 {
            match last.iter_mut().find(|(known, _)| same(known, &name)) {
                Some(known) => known.1 = value,
                None => last.push((name, value)),
            }
        }
        last
    }
}

/// JSON that every reader takes and that means the same: U+FFFD for what is no Unicode, and escapes for
/// control characters in a name.
fn mended(line: &[u8]) -> String {
    let text = String::from_utf8_lossy(line.strip_prefix(b"\xef\xbb\xbf").unwrap_or(line));
    let mut mended = String::new();
    let mut rest = &*text;
    let mut is_in_text = false;
    while let Some(c) = rest.chars().next() {
        let escape = |text: &str| u16::from_str_radix(text.strip_prefix("\\u")?.get(..4)?, 16).ok();
        let (taken, put) = match (c, escape(rest)) {
            ('\\', Some(0xd800..0xdc00))
                if matches!(rest.get(6..).and_then(escape), Some(0xdc00..0xe000)) =>
            {
                (12, None)
            }
            ('\\', Some(0xd800..0xe000)) => (6, Some("\\ufffd".to_owned())),
            ('\\', _) => (1 + rest[1..].chars().next().map_or(0, char::len_utf8), None),
            ('"', _) => {
                is_in_text = !is_in_text;
                (1, None)
            }
            (c, _) if is_in_text && c < ' ' => (1, Some(format!("\\u{:04x}", c as u32))),
            (c, _) => (c.len_utf8(), None),
        };
        mended.push_str(put.as_deref().unwrap_or(&rest[..taken]));
        rest = &rest[taken..];
    }
    mended
}

/// Each value is what the line has for that column, a number with its text.
fn says_what_the_line_says(members: &[(String, Box<RawValue>)], updates: &Updates) {
    let said = members.iter().find(|(name, _)| same(name, "updates"));
    let said = Members::of(said.expect("it has updates").1.get()).last_of_each();
    assert_eq!(updates.iter().count(), said.len());
    for ((column, value), (name, json)) in updates.iter().zip(&said) {
        assert_eq!(column, name);
        let json = json.get();
        match json.as_bytes()[0] {
            b'n' => assert_eq!(value, ""),
            b'"' => assert_eq!(value, serde_json::from_str::<String>(json).unwrap()),
            b'[' => {
                let texts: Vec<String> = serde_json::from_str(json).unwrap();
                assert_eq!(value, texts.join(";"));
            }
            b'{' => panic!("an object is no value"),
            _ => assert_eq!(value, json),
        }
    }
}

fn same(a: &str, b: &str) -> bool {
    a.trim().to_lowercase() == b.trim().to_lowercase()
}

/// What a cell holds of a value.
fn written(value: &str) -> String {
    let value = value.replace('\0', "\u{fffd}");
    let length = value.chars().count();
    if length <= MAX_VALUE_CHARS {
        return value;
    }
    let half = (MAX_VALUE_CHARS - 1) / 2;
    let start = value.chars().take(half);
    let end = value.chars().skip(length - half);
    start.chain(['…']).chain(end).collect()
}

/// What became of a line.
struct Applied<'a> {
    before: &'a Sheet,
    after: &'a Sheet,
    po: &'a str,
    force: bool,
    unplaced: &'a [Update],
}

impl Applied<'_> {
    fn keeps(&self, column: &str, value: &str) -> bool {
        let mut unplaced = self.unplaced.iter();
        unplaced.any(|(po, name, kept)| po == self.po && same(name, column) && kept == value)
    }

    fn changes_what_it_names(&self, was: &CsvRecord, updates: &Updates) {
        let is = self.after.record(self.po).expect("no row is lost");
        let word = updates.get("STATUS").map(ProcessingStatus::parse);
        let is_other = matches!(was.status, ProcessingStatus::Other(_));
        let to = word.clone().map(|word| match word {
            ProcessingStatus::Pending if self.force || is_other => word,
            ProcessingStatus::Pending | ProcessingStatus::Other(_) => ProcessingStatus::Error,
            word => word,
        });
        let stays = to.as_ref().is_some_and(|to| {
            let is_taken = was.status == ProcessingStatus::Completed && *to != was.status;
            !self.force && (is_taken || is_other)
        });
        match &to {
            Some(to) if !stays => assert_eq!(is.status, *to),
            _ => assert_eq!(is.status, was.status),
        }
        if stays {
            for name in ["STATUS", "ERROR_MESSAGE", "LAST_PROCESSED"] {
                assert_eq!(cell(&is, name), cell(was, name));
            }
            assert!(self.keeps("STATUS", to.as_ref().unwrap().as_str()));
        }
        if word != to {
            let word = updates.get("STATUS").unwrap().trim();
            assert!(word.is_empty() || self.unplaced.iter().any(|kept| kept.2.trim() == word));
        }
        for (column, value) in updates.iter() {
            let is_state = ["STATUS", "LAST_PROCESSED", "ERROR_MESSAGE"]
                .iter()
                .any(|name| same(name, column));
            let has_place = self.has_place(column);
            let shown = cell(&is, column);
            if same(column, "STATUS") {
                continue;
            } else if same(column, "ERROR_MESSAGE") {
                assert!(shown.chars().count() <= MAX_ERROR_CHARS);
                assert!(stays || tickoff::escape(shown) == shown);
                let is_simple = value.chars().count() <= MAX_ERROR_CHARS
                    && tickoff::escape(value) == value
                    && value.trim_end() == value;
                assert!(stays || word != to || !is_simple || shown == value);
            } else if same(column, "PO_NUMBER") {
                let kept = self.keeps("ANSWERED_PO_NUMBER", &written(value));
                assert!(value == self.po || value.trim().is_empty() || kept);
            } else if !has_place || (stays && is_state) {
                assert!(value.trim().is_empty() || self.keeps(column, &written(value)));
            } else {
                assert_eq!(shown, written(value));
            }
        }
        let follows = |name: &str| to.is_some() && !stays && updates.get(name).is_none();
        if follows("LAST_PROCESSED") {
            assert_eq!(cell(&is, "LAST_PROCESSED"), "1970-01-01T00:00:00Z");
        }
        if follows("ERROR_MESSAGE") && !is.status.is_failure() {
            assert_eq!(cell(&is, "ERROR_MESSAGE"), "");
        }
        for (name, value) in was.cells() {
            let may_follow = same(name, "ERROR_MESSAGE") && to.is_some();
            assert!(updates.get(name).is_some() || may_follow || cell(&is, name) == value);
        }
        self.leaves_other_rows();
    }

    fn has_place(&self, column: &str) -> bool {
        let is_in = |columns: &[String]| columns.iter().any(|known| same(known, column));
        let own = COLUMNS.iter().any(|known| same(known, column));
        let (before, after) = (self.before.columns(), self.after.columns());
        let mut added = after[before.len()..].iter();
        added.clone().for_each(|name| assert!(may_be_added(name)));
        let is_own = |name: &&String| COLUMNS.iter().any(|own| same(own, name));
        let others = added.clone().filter(|name| !is_own(name)).count();
        assert!(others <= MAX_ADDED_COLUMNS);
        let is_added = added.any(|name| same(name, column));
        let must_be = may_be_added(column) && others < MAX_ADDED_COLUMNS;
        assert!(own || is_in(&before) || is_added || !must_be);
        own || is_in(&before) || is_added
    }

    fn leaves_other_rows(&self) {
        let (before, after) = (self.before, self.after);
        assert_eq!(after.records().count(), before.records().count());
        for other in before
            .records()
            .filter(|record| record.po_number != self.po)
        {
            let now = after.record(&other.po_number).expect("no row is lost");
            assert!(other.cells().all(|(name, value)| cell(&now, name) == value));
        }
    }
}

fn may_be_added(name: &str) -> bool {
    let name = name.trim();
    let is_key = |part: &str| same(part.trim().trim_matches('"'), "PO_NUMBER");
    !name.is_empty()
        && !name.chars().any(char::is_control)
        && name.chars().count() <= 255
        && ![';', ',', '\t']
            .into_iter()
            .any(|delimiter| name.split(delimiter).any(is_key))
}

fn cell<'a>(record: &'a CsvRecord, name: &str) -> &'a str {
    record.get(name).unwrap_or_default()
}
