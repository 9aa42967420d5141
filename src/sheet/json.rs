//! JSON as users' languages write it, read without losing what they meant.
//!
//! Numbers keep their text: `1.10` is a price, and 9007199254740993.50 has more digits than a float. A lone
//! surrogate (Python writes a file name that is no UTF-8 so) and a byte that is no UTF-8 become U+FFFD and
//! spoil no more than their own value. A line end, tab or other control character that stands in a text as it
//! is, as printf in a shell writes it, belongs to the text. A byte order mark in front is passed over. Of a name
//! that stands there twice the last value counts.

use std::borrow::Cow;
use std::collections::HashMap;
use std::fmt;

use serde::Deserialize;
use serde::de::{DeserializeSeed, Deserializer, Error as _, MapAccess, Visitor};
use serde_json::value::RawValue;

use crate::domain::columns::{folded, same_column};
use crate::domain::{MAX_RESULT_CELLS, too_many_cells};
use crate::sheet::update::Updates;
use crate::text::{BOM, escape_list};

/// JSON as text that serde_json reads: without a byte order mark, with U+FFFD for what is no UTF-8, and with
/// control characters in texts escaped.
pub fn readable(json: &[u8]) -> Cow<'_, str> {
    match String::from_utf8_lossy(without_mark(json)) {
        text if text.bytes().any(|byte| byte < b' ') => with_escapes(text),
        text => text,
    }
}

fn with_escapes(json: Cow<'_, str>) -> Cow<'_, str> {
    let mut escaped = String::new();
    let mut taken = 0;
    let (mut is_text, mut is_escape) = (false, false);
    for (at, byte) in json.bytes().enumerate() {
        match byte {
            _ if is_escape => is_escape = false,
            b'\\' if is_text => is_escape = true,
            b'"' => is_text = !is_text,
            0..b' ' if is_text => {
                escaped.push_str(&json[taken..at]);
                escaped.push_str(&format!("\\u{byte:04x}"));
                taken = at + 1;
            }
            _ => {}
        }
    }
    match taken {
        0 => json,
        _ => Cow::Owned(escaped + &json[taken..]),
    }
}

/// The beginning of an object, without a member at its end that is not whole, and closed.
#[cfg(any(test, feature = "cli", feature = "fuzzing"))]
fn closed(json: &[u8]) -> Vec<u8> {
    let (mut objects, mut arrays) = (0_usize, 0_usize);
    let (mut is_text, mut is_escape) = (false, false);
    let (mut whole, mut to_close) = (0, 0);
    for (at, byte) in json.iter().enumerate() {
        let end = match byte {
            _ if is_escape => {
                is_escape = false;
                continue;
            }
            b'\\' if is_text => {
                is_escape = true;
                continue;
            }
            b'"' => {
                is_text = !is_text;
                continue;
            }
            _ if is_text => continue,
            b',' => at,
            b'{' | b'[' | b'}' | b']' => {
                match byte {
                    b'{' => objects += 1,
                    b'[' => arrays += 1,
                    b'}' => objects = objects.saturating_sub(1),
                    _ => arrays = arrays.saturating_sub(1),
                }
                at + 1
            }
            _ => continue,
        };
        if arrays == 0 {
            (whole, to_close) = (end, objects);
        }
    }
    let mut closed = json[..whole].to_vec();
    closed.resize(whole + to_close, b'}');
    closed
}

fn without_mark(json: &[u8]) -> &[u8] {
    json.strip_prefix(BOM).unwrap_or(json)
}

/// A JSON object of column updates, and what was odd about it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Answer {
    /// The new values.
    pub updates: Updates,
    /// What a person should know, one sentence each: names that stood there twice.
    pub notes: Vec<String>,
}

impl Answer {
    /// Reads an object. Texts, numbers, `true` and `false` are taken as they are written, `null` as an empty
    /// cell, a list of texts as the `;`-separated list that `AttachmentName` holds.
    ///
    /// # Errors
    /// What is wrong with it, in one sentence: it is no JSON, no object, or a value is an object.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    pub fn from_json(json: &[u8]) -> Result<Answer, String> {
        match JsonObject::read(json) {
            (object, None) => Answer::of(object),
            (_, Some(problem)) => Err(problem),
        }
    }

    /// The updates that are whole in the beginning of an object, without those that are not as they must be.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    pub fn from_beginning(json: &[u8]) -> Updates {
        let members = JsonObject::read_beginning(json).members.into_iter();
        members
            .filter_map(|(name, value)| Some((name, cell_text(&value)?)))
            .collect()
    }

    fn of(object: JsonObject) -> Result<Answer, String> {
        let mut pairs: Vec<(String, String)> = Vec::with_capacity(object.members.len());
        let mut spoilt: Vec<String> = Vec::new();
        for (name, value) in object.members {
            let text = cell_text(&value).ok_or_else(|| {
                format!("the value of {name:?} must be a text, a number, true, false, null or a list of texts")
            })?;
            if is_spoilt(&text, value.get(), object.is_spoilt) {
                spoilt.push(name.trim().to_owned());
            }
            pairs.push((name, text));
        }
        let mut notes = object.notes;
        if !spoilt.is_empty() {
            let names = escape_list(&spoilt);
            notes.push(format!("what is no Unicode is written as U+FFFD: {names}"));
        }
        Ok(Answer {
            updates: pairs.into_iter().collect(),
            notes,
        })
    }
}

impl<'de> Deserialize<'de> for Answer {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut members = Members::default();
        members.seed().deserialize(deserializer)?;
        Answer::of(members.into()).map_err(D::Error::custom)
    }
}

/// The members of a JSON object, of a name that is there twice the last one.
#[derive(Debug, Default)]
pub struct JsonObject {
    /// In the object's order; no two have the same name.
    members: Vec<(String, Box<RawValue>)>,
    /// What was read otherwise than it was written: a name that is there twice, updates that are no Unicode.
    pub notes: Vec<String>,
    /// Whether it holds bytes that are no UTF-8.
    is_spoilt: bool,
}

impl JsonObject {
    /// Whether somebody wrote an object there, be it broken.
    pub fn is_begun(json: &[u8]) -> bool {
        without_mark(json).trim_ascii_start().first() == Some(&b'{')
    }

    /// Whether an object is there, whatever is in it.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    pub fn is_whole(json: &[u8]) -> bool {
        JsonObject::read(json).1.is_none()
    }

    /// As much of an object as can be read, and what is wrong with it if that is not all.
    pub fn read(json: &[u8]) -> (JsonObject, Option<String>) {
        let text = readable(json);
        let mut members = Members::default();
        let mut source = serde_json::Deserializer::from_str(&text);
        let read = members
            .seed()
            .deserialize(&mut source)
            .and_then(|()| source.end());
        let object = JsonObject {
            is_spoilt: std::str::from_utf8(without_mark(json)).is_err(),
            ..members.into()
        };
        (object, read.err().map(|error| error.to_string()))
    }

    /// The members that are whole in the beginning of an object, and of a member that is an object those of it.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    pub fn read_beginning(json: &[u8]) -> JsonObject {
        JsonObject::read(&closed(json)).0
    }

    /// Takes the value of a name out, as it is written.
    pub fn take(&mut self, name: &str) -> Option<Box<RawValue>> {
        let at = self
            .members
            .iter()
            .position(|(known, _)| same_column(known, name))?;
        Some(self.members.remove(at).1)
    }

    /// Takes a value out that is a text, a number, true or false; `None` if there is none.
    ///
    /// # Errors
    /// If it is anything else.
    pub fn take_text(&mut self, name: &str) -> Result<Option<String>, String> {
        let value = self.take(name);
        match value.as_deref().map(RawValue::get) {
            None | Some("null") => Ok(None),
            Some(json) if json.starts_with(['{', '[']) => {
                Err(format!("{name} must be a text or a number"))
            }
            Some(_) => Ok(value.and_then(|value| cell_text(&value))),
        }
    }

    /// Takes an object of column updates out; `None` if there is none. What was odd about it is among
    /// the notes.
    ///
    /// # Errors
    /// As [`Answer::from_json`].
    pub fn take_updates(&mut self, name: &str) -> Result<Option<Updates>, String> {
        match self.take(name) {
            None => Ok(None),
            Some(value) if value.get() == "null" => Ok(None),
            Some(value) => {
                let (mut object, problem) = JsonObject::read(value.get().as_bytes());
                object.is_spoilt = self.is_spoilt;
                let answer = problem.map_or_else(|| Answer::of(object), Err)?;
                self.notes.extend(answer.notes);
                Ok(Some(answer.updates))
            }
        }
    }

    /// Takes out of an object of updates what is as it must be.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    pub fn take_good_updates(&mut self, name: &str) -> Updates {
        let value = self.take(name);
        value.map_or_else(Updates::new, |value| {
            Answer::from_beginning(value.get().as_bytes())
        })
    }

    /// Takes out why a job failed. Beside updates an empty text says nothing.
    ///
    /// # Errors
    /// As [`JsonObject::take_text`].
    pub fn take_error(&mut self, has_updates: bool) -> Result<Option<String>, String> {
        let error = self.take_text("error")?;
        Ok(error.filter(|text| is_said(text, has_updates)))
    }

    /// Takes out what a program says of a row that it worked on: `updates`, `error`, or both. A row that
    /// failed is ERROR, unless the updates have a failure as its STATUS. What else is there has no place:
    /// it is among the notes, and goes to `….unplaced.csv` beside the backups.
    ///
    /// # Errors
    /// If neither is there, or the updates are not as they must be.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    pub fn take_result(&mut self) -> Result<Updates, String> {
        let updates = self.take_updates("updates")?;
        let error = self.take("error").filter(|value| value.get() != "null");
        let error = error.map(|value| text_of(&value));
        let error = error.filter(|text| is_said(text, updates.is_some()));
        let updates = match (updates, error) {
            (None, None) => return Err("updates is missing".to_owned()),
            (Some(updates), None) => updates,
            (updates, Some(error)) => updates.unwrap_or_default().failed(&error),
        };
        Ok(self.keep_others(updates))
    }

    /// Puts what was not taken out beside updates.
    #[cfg(any(test, feature = "cli", feature = "fuzzing"))]
    fn keep_others(&mut self, mut updates: Updates) -> Updates {
        let mut names = Vec::new();
        for (name, value) in self.members.drain(..) {
            let text = text_of(&value);
            if !text.trim().is_empty() {
                names.push(name.trim().to_owned());
                updates = updates.keep_aside(&name, text);
            }
        }
        if !names.is_empty() {
            let verb = if names.len() == 1 { "stands" } else { "stand" };
            let names = escape_list(&names);
            self.notes.push(format!(
                "{names} {verb} beside updates, where nothing is looked for: it goes to ….unplaced.csv"
            ));
        }
        updates
    }

    /// A name that was not taken out.
    pub fn other_name(&self) -> Option<&str> {
        self.members.first().map(|(name, _)| name.as_str())
    }
}

/// What was read of an object so far, every member.
#[derive(Default)]
struct Members(Vec<(String, Box<RawValue>)>);

impl Members {
    fn seed(&mut self) -> impl for<'de> DeserializeSeed<'de, Value = ()> {
        struct Object<'m>(&'m mut Vec<(String, Box<RawValue>)>);

        impl<'de> DeserializeSeed<'de> for Object<'_> {
            type Value = ();

            fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<(), D::Error> {
                deserializer.deserialize_map(self)
            }
        }

        impl<'de> Visitor<'de> for Object<'_> {
            type Value = ();

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a JSON object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<(), A::Error> {
                while let Some(Text(name)) = map.next_key()? {
                    if self.0.len() == MAX_RESULT_CELLS {
                        return Err(A::Error::custom(too_many_cells()));
                    }
                    self.0.push((name, map.next_value()?));
                }
                Ok(())
            }
        }

        Object(&mut self.0)
    }
}

impl From<Members> for JsonObject {
    fn from(members: Members) -> JsonObject {
        let mut object = JsonObject::default();
        let mut places: HashMap<String, usize> = HashMap::with_capacity(members.0.len());
        let mut twice: Vec<String> = Vec::new();
        for (name, value) in members.0 {
            let place = *places.entry(folded(&name)).or_insert(object.members.len());
            match object.members.get_mut(place) {
                Some(known) => {
                    known.1 = value;
                    let name = name.trim();
                    if !twice.last().is_some_and(|last| same_column(last, name)) {
                        twice.push(name.to_owned());
                    }
                }
                None => object.members.push((name, value)),
            }
        }
        if !twice.is_empty() {
            let verb = if twice.len() == 1 { "is" } else { "are" };
            let names = escape_list(&twice);
            object
                .notes
                .push(format!("{names} {verb} there twice: the last value counts"));
        }
        object
    }
}

/// A JSON text, with U+FFFD for every lone surrogate.
#[derive(Debug, PartialEq, Eq)]
pub struct Text(pub String);

impl<'de> Deserialize<'de> for Text {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Bytes;
        impl Visitor<'_> for Bytes {
            type Value = Text;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text")
            }

            fn visit_bytes<E>(self, bytes: &[u8]) -> Result<Text, E> {
                Ok(Text(without_surrogates(bytes)))
            }

            fn visit_str<E>(self, text: &str) -> Result<Text, E> {
                Ok(Text(text.to_owned()))
            }
        }
        // Asked for bytes, serde_json gives a lone surrogate as its three bytes instead of refusing it.
        deserializer.deserialize_bytes(Bytes)
    }
}

/// Whether a value has a U+FFFD that nobody wrote there: in its JSON it is neither itself nor escaped, or may stand
/// for bytes that are no UTF-8.
fn is_spoilt(text: &str, json: &str, may_stand_for_bytes: bool) -> bool {
    text.contains(char::REPLACEMENT_CHARACTER)
        && match json.contains(char::REPLACEMENT_CHARACTER) {
            true => may_stand_for_bytes,
            false => !json.to_ascii_lowercase().contains("\\ufffd"),
        }
}

fn without_surrogates(bytes: &[u8]) -> String {
    let mut text = String::with_capacity(bytes.len());
    for chunk in bytes.utf8_chunks() {
        text.push_str(chunk.valid());
        // A surrogate's three bytes are three chunks: the first begins with ED.
        let is_surrogate = matches!(chunk.invalid(), [0xed, ..]);
        let continues = |byte: &u8| (0x80..0xc0).contains(byte);
        if is_surrogate || !chunk.invalid().iter().all(continues) {
            text.push(char::REPLACEMENT_CHARACTER);
        }
    }
    text
}

/// Whether a text tells of a failure: beside updates an empty one does not.
fn is_said(error: &str, has_updates: bool) -> bool {
    !has_updates || !error.trim().is_empty()
}

/// A JSON value as a text: what it is in a cell, or else as it is written.
#[cfg(any(test, feature = "cli", feature = "fuzzing"))]
fn text_of(value: &RawValue) -> String {
    cell_text(value).unwrap_or_else(|| value.get().to_owned())
}

/// What a JSON value is in a cell; `None` for an object, or a list of other things than texts.
fn cell_text(value: &RawValue) -> Option<String> {
    let json = value.get();
    match json.as_bytes()[0] {
        b'"' => serde_json::from_str::<Text>(json).ok().map(|text| text.0),
        b'n' => Some(String::new()),
        b'[' => {
            let names: Vec<Text> = serde_json::from_str(json).ok()?;
            let names: Vec<String> = names.into_iter().map(|name| name.0).collect();
            Some(names.join(";"))
        }
        b'{' => None,
        _ => Some(json.to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(json: &[u8], want: &[(&str, &str)]) {
        let answer = Answer::from_json(json).unwrap();
        assert_eq!(answer.updates.iter().collect::<Vec<_>>(), want);
    }

    #[test]
    fn of_the_beginning_of_an_object_the_whole_members_are_read() {
        let json = r#"{"a":"x,}\"","b":[1,{"c":2}],"d":{"e":"é","f":[]},"g":1}"#;
        for end in 1..json.len() {
            let beginning = &json.as_bytes()[..end];
            let mut read = JsonObject::read_beginning(beginning);
            let is_before = |mark: &str| end >= json.find(mark).unwrap() + mark.len();
            let mut has = |name: &str| read.take(name).is_some();
            assert_eq!(has("a"), is_before(r#""x,}\"","#), "{end}");
            assert_eq!(has("b"), is_before("2}]"), "{end}");
            assert_eq!(has("d"), is_before(r#""d":{"#), "{end}");
            assert!(!has("g"), "{end}");
        }
        let json = r#"{"id":1,"updates":{"a":"1","b":["2"],"c":["3","4"#;
        let mut read = JsonObject::read_beginning(json.as_bytes());
        let want = [("a", "1"), ("b", "2")].into();
        assert_eq!(read.take_updates("updates"), Ok(Some(want)));
        assert_eq!(Answer::from_beginning(b"{\"a\":1"), Updates::new());
        assert_eq!(Answer::from_beginning(b"{\"a\":1,"), [("a", "1")].into());
    }

    #[test]
    fn numbers_keep_their_text() {
        for number in [
            "1.10",
            "0.1000",
            "1e3",
            "9007199254740993.50",
            "-0",
            "18446744073709551616",
            "1E+400",
        ] {
            check(format!("{{\"A\": {number} }}").as_bytes(), &[("A", number)]);
        }
    }

    #[test]
    fn values_become_the_text_of_a_cell() {
        check(
            br#"{"A":2,"B":null,"C":["a.pdf","b.pdf"],"D":true,"E":"x\ny","F":[]}"#,
            &[
                ("A", "2"),
                ("B", ""),
                ("C", "a.pdf;b.pdf"),
                ("D", "true"),
                ("E", "x\ny"),
                ("F", ""),
            ],
        );
    }

    #[test]
    fn what_is_no_unicode_spoils_its_own_value_alone() {
        check(
            br#"{"A":"Rechnung_\udcfc.pdf","B":"ok"}"#,
            &[("A", "Rechnung_\u{fffd}.pdf"), ("B", "ok")],
        );
        check(
            br#"{"A":"\ud83d\ude00 \ud83d","\udc00":"1"}"#,
            &[("A", "\u{1f600} \u{fffd}"), ("\u{fffd}", "1")],
        );
        check(
            b"{\"A\":\"M\xfcller\",\"B\":[\"\\udcfc\"]}",
            &[("A", "M\u{fffd}ller"), ("B", "\u{fffd}")],
        );
    }

    #[test]
    fn what_is_no_unicode_is_said_and_a_replacement_character_of_its_own_is_not() {
        let notes = |json: &[u8]| Answer::from_json(json).unwrap().notes;
        let said = |names: &str| vec![format!("what is no Unicode is written as U+FFFD: {names}")];
        assert_eq!(
            notes(b"{\"A\":\"M\xfcller\",\"B\":1,\"C\":[\"\\udcfc\"]}"),
            said("A, C")
        );
        assert_eq!(notes("{\"A\":\"\u{fffd} \\uFFFD\"}".as_bytes()), [""; 0]);
        assert_eq!(notes("{\"A\":\"\u{fffd}\n\"}".as_bytes()), [""; 0]);
        let line = b"{\"updates\":{\"A\":\"\xfc\"}}";
        let (mut object, _) = JsonObject::read(line);
        object.take_updates("updates").unwrap();
        assert_eq!(object.notes, said("A"));
    }

    #[test]
    fn a_control_character_that_stands_in_a_text_as_it_is_belongs_to_the_text() {
        check(
            b"{\n\t\"A\":\"one\ntwo\t\\\"\\n\",\r\n\"B\":\"\x01\"\n}\n",
            &[("A", "one\ntwo\t\"\n"), ("B", "\u{1}")],
        );
        let nul = Answer::from_json(b"{\"A\":\"x\0y\"}").unwrap();
        assert_eq!(nul.updates.get("A"), Some("x\0y"));
        assert!(Answer::from_json(b"{\"A\":\0\"x\"}").is_err());
    }

    #[test]
    fn a_byte_order_mark_is_passed_over() {
        check(b"\xef\xbb\xbf{\"A\":1}", &[("A", "1")]);
    }

    #[test]
    fn of_a_name_that_is_there_twice_the_last_value_counts_and_that_is_said() {
        let answer =
            Answer::from_json(br#"{"Status":"ERROR","A":1," STATUS ":"COMPLETED"}"#).unwrap();
        assert_eq!(
            answer.updates.iter().collect::<Vec<_>>(),
            [("Status", "COMPLETED"), ("A", "1")]
        );
        assert_eq!(
            answer.notes,
            ["STATUS is there twice: the last value counts"]
        );
    }

    #[test]
    fn as_much_of_a_broken_object_as_can_be_read_is_there() {
        let (mut object, problem) =
            JsonObject::read(b"{\"id\":\"a\\udcfc\",\"n\":1.10,\"x\":{\"y\":");
        assert!(problem.unwrap().starts_with("EOF while parsing"));
        assert_eq!(object.take_text("ID").unwrap().unwrap(), "a\u{fffd}");
        assert_eq!(object.take_text("n").unwrap().unwrap(), "1.10");
        assert_eq!(object.other_name(), None);
        assert!(JsonObject::is_begun(b"\xef\xbb\xbf {"));
        assert!(!JsonObject::is_begun(b"x{"));
    }

    #[test]
    fn an_object_with_very_many_names_is_read_in_a_moment() {
        let names: String = (0..60_000)
            .map(|n| format!("\"field_{}\":{n},", n / 2))
            .collect();
        let began = std::time::Instant::now();
        let answer = Answer::from_json(format!("{{{names}\"last\":1}}").as_bytes()).unwrap();
        assert!(began.elapsed().as_secs() < 3);
        assert_eq!(answer.updates.iter().count(), 30_001);
        assert!(
            answer.notes[0].ends_with(" and 29980 more are there twice: the last value counts")
        );
    }

    #[test]
    fn what_is_no_object_of_cells_is_refused() {
        for json in [
            &b"[1]"[..],
            b"{\"A\":{}}",
            b"{\"A\":[1]}",
            b"{\"A\":1",
            b"",
            b"{\"A\":1}x",
            b"nul",
        ] {
            assert!(Answer::from_json(json).is_err(), "{}", readable(json));
        }
    }
}
