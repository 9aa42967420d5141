//! How a key of several columns is written, for whoever wrote it otherwise: a part of it alone, or its parts with
//! blanks between them.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::csv::{RecordIndex, TYPED};
use crate::sheet::table::Sheet;

/// The most keys that are suggested.
const MAX_KEYS: usize = 3;

impl Sheet {
    /// `order;line`: of what a key is made.
    pub(super) fn key_form(&self) -> String {
        let between = char::from(self.options().key.delimiter_in(self.dialect().delimiter));
        let between = match between.is_whitespace() {
            true => char::from(TYPED),
            false => between,
        };
        self.key_columns().join(&between.to_string())
    }

    /// The first keys of these rows that have what was typed as one part, or its words as parts, in this order; and
    /// how many more there are.
    pub(super) fn keys_with_parts(
        &self,
        typed: &str,
        rows: impl Iterator<Item = RecordIndex>,
    ) -> (Vec<String>, usize) {
        let is_between = |c: char| c.is_whitespace() || ",;|:/".contains(c);
        let words = typed.split(is_between).filter(|word| !word.is_empty());
        let words: Vec<&str> = words.collect();
        let schema = self.schema();
        let mut keys: Vec<String> = Vec::new();
        let mut known = HashSet::new();
        for row in rows {
            let parts = schema.key().iter().map(|&column| self.cell(row, column));
            let parts: Vec<_> = parts.collect();
            let has = |words: &[&str]| {
                let mut parts = parts.iter().map(|part| part.trim());
                !words.is_empty() && words.iter().all(|word| parts.any(|part| part == *word))
            };
            if has(&[typed.trim()]) || has(&words) {
                let key = self.key_to_type(row);
                if known.insert(key.clone()) && keys.len() < MAX_KEYS {
                    keys.push(key.into_owned());
                }
            }
        }
        let more = known.len() - keys.len();
        (keys, more)
    }

    fn key_to_type(&self, row: RecordIndex) -> Cow<'_, str> {
        let key = self.key(row);
        match key.contains('\t') {
            true => self.drawn_key(row),
            false => key,
        }
    }
}
