//! How a key of several columns is written, for whoever wrote it otherwise: a part of it alone, or its parts with
//! blanks between them.

use std::borrow::Cow;
use std::collections::HashSet;

use crate::csv::{RecordIndex, TYPED};
use crate::sheet::table::Sheet;
use crate::text::close_to;

/// The most keys that are suggested.
const MAX_KEYS: usize = 3;
/// How many keys of a list are looked for.
const MAX_LISTED: usize = 100;

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

    /// The keys that were probably meant, and how many more there are: all of a list, those with what was typed as a
    /// part, or those of these rows that are like it.
    pub(super) fn keys_meant<R: Iterator<Item = RecordIndex>>(
        &self,
        typed: &str,
        has_form: bool,
        rows: impl Fn() -> R,
    ) -> (Vec<String>, usize) {
        let (mut meant, mut more) = (self.keys_in_list(typed), 0);
        if meant.is_empty() && !has_form {
            (meant, more) = self.keys_with_parts(typed, rows());
        }
        if meant.is_empty() {
            meant = close_to(typed, rows().map(|row| self.key(row)));
        }
        (meant, more)
    }

    /// The first keys of these rows that have what was typed as one part, or its words as parts, in this order; and
    /// how many more there are.
    fn keys_with_parts(
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

    /// The first keys of a list that was typed as one key, if all of it are keys.
    fn keys_in_list(&self, typed: &str) -> Vec<String> {
        let is_between = |c: char| c.is_whitespace() || ",;|".contains(c);
        let words = typed.split(is_between).filter(|word| !word.is_empty());
        let words: Vec<&str> = words.take(MAX_LISTED).collect();
        match words.len() > 1 && words.iter().all(|word| self.row_for(word).is_some()) {
            true => words
                .into_iter()
                .take(MAX_KEYS)
                .map(str::to_owned)
                .collect(),
            false => Vec::new(),
        }
    }

    fn key_to_type(&self, row: RecordIndex) -> Cow<'_, str> {
        let key = self.key(row);
        match key.contains('\t') {
            true => self.drawn_key(row),
            false => key,
        }
    }
}
