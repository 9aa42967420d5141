//! What `check` finds in names and keys that people cannot see: characters without a shape, and names or keys that
//! look the same and are not.
//!
//! A sheet of plain names and keys costs a look at each. Of the others the first [`MAX_COMPARED`] are compared,
//! with all plain keys, by what they have in common ([`look`]); a hash of it is kept for each of these alone.

use std::collections::HashMap;
use std::ops::Range;

use xxhash_rust::xxh3::xxh3_64;

use crate::csv::{RecordIndex, Records};
use crate::domain::columns::{COLUMNS, folded, same_column};
use crate::domain::{Encoding, Stage};
use crate::sheet::integrity::{Findings, Kind};
use crate::text::{Difference, Invisible, escape, is_plain, look};

/// How many keys are compared with all others.
pub(super) const MAX_COMPARED: usize = 1_000_000;
/// With how many keys of the same look above it a key is compared.
const MAX_BEFORE: usize = 8;

impl Findings<'_> {
    /// What there is to say about the header's names.
    pub(super) fn names(&mut self) {
        let schema = self.sheet.schema();
        let names = &schema.columns()[..schema.header_width];
        let dialect = self.sheet.dialect();
        let bytes = self.sheet.bytes();
        let mut header = Records::new(bytes, dialect.delimiter, dialect.header_start);
        if !matches!(header.next_record(), Ok(Some(_))) {
            return;
        }
        let fields = header.fields().to_vec();
        let stage = &self.sheet.options().stage;
        let key = self.sheet.key_columns().iter().map(String::as_str);
        let listed = &self.sheet.options().stages;
        let needed: Vec<&str> = COLUMNS
            .into_iter()
            .chain(stage.columns())
            .chain(listed.iter().flat_map(Stage::columns))
            .chain(key)
            .collect();
        let is_needed = |name: &str| needed.iter().any(|own| same_column(own, name));

        let mut places: HashMap<String, usize> = HashMap::new();
        let mut looks: HashMap<String, usize> = HashMap::new();
        for (column, name) in names
            .iter()
            .enumerate()
            .filter(|(_, name)| !name.is_empty())
        {
            let (field, number) = (fields[column].clone(), column + 1);
            if let Some(&first) = places.get(&folded(name)) {
                let message = format!(
                    "the column {} is there twice, as column {} and {number}: the first counts where a name fits both",
                    escape(name),
                    first + 1
                );
                self.of_header(Kind::NameTwice, field.start, message);
                continue;
            }
            places.insert(folded(name), column);
            if let Some((offset, found)) = invisible(&bytes[field.clone()], self.sheet.encoding()) {
                let place = found.place;
                let message = format!("the column {} has {found} {place}", escape(name));
                self.of_header(Kind::InvisibleInName, field.start + offset, message);
            }
            let alike = cased(name).into_iter().find_map(|cased| {
                let other = looks.get(&*look(&cased))?;
                Some((
                    &names[*other],
                    Difference::between_names(name, &names[*other])?,
                ))
            });
            let message = match alike {
                Some((other, difference)) => Some(format!(
                    "the column {} looks like {} and is another one: they differ in {difference}",
                    escape(name),
                    escape(other)
                )),
                None if is_plain(name) || is_needed(name) => None,
                None => needed.iter().find_map(|own| {
                    let difference = Difference::between_names(name, own)?;
                    Some(format!(
                        "the column {} looks like {own} and is another one: they differ in {difference}",
                        escape(name)
                    ))
                }),
            };
            if let Some(message) = message {
                self.of_header(Kind::AlikeName, field.start, message);
            }
            for cased in cased(name) {
                looks.entry(look(&cased).into_owned()).or_insert(column);
            }
        }
    }

    /// What cannot be seen in a row's key, the parts of which are among these fields.
    pub(super) fn key(&mut self, row: RecordIndex, fields: &[Range<usize>]) {
        let schema = self.sheet.schema();
        for &column in schema.key() {
            let Some(field) = fields.get(column) else {
                continue;
            };
            let field = &self.sheet.bytes()[field.clone()];
            let Some((offset, found)) = invisible(field, self.sheet.encoding()) else {
                continue;
            };
            let part = match schema.key() {
                [_] => "the key".to_owned(),
                _ => format!("{} in the key", escape(&schema.columns()[column])),
            };
            let message = format!("{part} has {found} {}", found.place);
            self.of_key(Kind::InvisibleInKey, row, (column, offset), message);
        }
    }

    /// Keys that look the same and are not.
    pub(super) fn keys(&mut self) {
        let sheet = self.sheet;
        let hash = |row: RecordIndex| xxh3_64(look(&sheet.drawn_key(row)).as_bytes());
        let odd = std::mem::take(&mut self.odd_keys).into_iter();
        let mut looks: Vec<(u64, RecordIndex)> = odd.map(|row| (hash(row), row)).collect();
        if looks.is_empty() {
            return;
        }
        looks.sort_unstable();
        let is_of_odd = |hash: u64| looks.binary_search_by_key(&hash, |&(odd, _)| odd).is_ok();
        let is_plain_key = |row: &RecordIndex| {
            let key = sheet.drawn_key(*row);
            !key.is_empty() && is_plain(&key)
        };
        let plain = sheet.all_rows().filter(is_plain_key);
        let plain = plain.map(|row| (hash(row), row));
        let plain = plain.filter(|&(hash, _)| is_of_odd(hash));
        let plain: Vec<_> = plain.take(MAX_COMPARED).collect();
        looks.extend(plain);
        looks.sort_unstable();
        let difference = |&(row, first): &(RecordIndex, RecordIndex)| {
            Difference::between(&sheet.drawn_key(row), &sheet.drawn_key(first))
        };
        let same = looks.chunk_by(|(one, _), (other, _)| one == other);
        // Some have the same look and are told apart: 1 and l.
        let pairs = same.flat_map(|same| {
            (1..same.len()).filter_map(|at| {
                let before = same[..at].iter().take(MAX_BEFORE);
                let mut pairs = before.map(|&(_, first)| (same[at].1, first));
                pairs.find(|pair| difference(pair).is_some())
            })
        });
        let mut alike: Vec<(RecordIndex, RecordIndex)> = pairs.collect();
        alike.sort_unstable();
        for pair @ (row, first) in alike {
            let Some(difference) = difference(&pair) else {
                continue;
            };
            let message = format!(
                "the key looks like {} of line {} and is another one: they differ in {difference}",
                escape(&sheet.key(first)),
                sheet.line(first)
            );
            let column = sheet.schema().key()[0];
            self.of_key(Kind::AlikeKey, row, (column, 0), message);
        }
    }
}

/// The first invisible character of a field as it stands in the file, and at which of its bytes.
fn invisible(field: &[u8], encoding: Encoding) -> Option<(usize, Invisible)> {
    let inside = field
        .strip_prefix(b"\"")
        .and_then(|field| field.strip_suffix(b"\""));
    let text = encoding.text(inside.unwrap_or(field))?;
    let found = Invisible::first_in(&text)?;
    let before = encoding.bytes(&text[..found.offset]).len();
    Some((before + usize::from(inside.is_some()), found))
}

/// A name as its look is compared: letters may look alike in one case only.
fn cased(name: &str) -> [String; 2] {
    [name.to_uppercase(), name.to_lowercase()]
}
