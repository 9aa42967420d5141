//! The comments in a list, which stay when its items change.
//!
//! A comment belongs to the item in whose line it stands, or else to the next one. The library keeps what
//! stands behind an item's comma with the item that follows, so that a list that is written anew item by item would
//! lose comments or give them to others.

use toml_edit::{Array, RawString, Value};

const NEW_LINE: &str = "\n  ";

/// Those of one list.
#[derive(Default)]
pub(super) struct Comments {
    items: Vec<Commented>,
    /// Below the last item.
    below: Vec<String>,
}

#[derive(Default)]
struct Commented {
    word: String,
    above: Vec<String>,
    behind: Option<String>,
}

impl Comments {
    pub(super) fn of(list: &Array) -> Comments {
        let mut comments = Comments::default();
        // What stands between two items, but for the comma.
        let mut gap = String::new();
        for item in list {
            gap.push_str(raw(item.decor().prefix()));
            let above = comments.divide(&gap);
            comments.items.push(Commented {
                word: word(item),
                above,
                behind: None,
            });
            gap = raw(item.decor().suffix()).to_owned();
        }
        gap.push_str(raw(Some(list.trailing())));
        comments.below = comments.divide(&gap);
        comments
    }

    /// Gives the last item what stands in its line, and returns the other comments.
    fn divide(&mut self, gap: &str) -> Vec<String> {
        let mut lines = gap.lines().map(|line| line.trim().to_owned());
        if let Some(item) = self.items.last_mut() {
            item.behind = lines.next().filter(|line| !line.is_empty());
        }
        lines.filter(|line| !line.is_empty()).collect()
    }

    pub(super) fn is_empty(&self) -> bool {
        let has_none = |item: &Commented| item.above.is_empty() && item.behind.is_none();
        self.below.is_empty() && self.items.iter().all(has_none)
    }

    /// A list of what a value says, with a line for each item, and with all comments: those of items that are gone
    /// stand at its end.
    pub(super) fn put_into(mut self, value: &Value) -> Array {
        let mut list = Array::new();
        let mut gap = String::new();
        let items = value
            .as_array()
            .map_or(vec![value], |list| list.iter().collect());
        for item in items {
            let found = self.items.iter().position(|old| old.word == word(item));
            let old = found.map_or_else(Commented::default, |at| self.items.remove(at));
            add_lines(&mut gap, old.above);
            gap.push_str(NEW_LINE);
            list.push_formatted(item.clone().decorated(std::mem::take(&mut gap), ""));
            gap = old
                .behind
                .map_or_else(String::new, |comment| format!(" {comment}"));
        }
        for gone in self.items {
            add_lines(&mut gap, gone.above.into_iter().chain(gone.behind));
        }
        add_lines(&mut gap, self.below);
        gap.push('\n');
        list.set_trailing(gap);
        list.set_trailing_comma(true);
        list
    }
}

fn add_lines(text: &mut String, lines: impl IntoIterator<Item = String>) {
    for line in lines {
        text.push_str(NEW_LINE);
        text.push_str(&line);
    }
}

fn raw(text: Option<&RawString>) -> &str {
    text.and_then(RawString::as_str).unwrap_or_default()
}

/// What an item says, however it is written.
fn word(item: &Value) -> String {
    let text = item
        .as_str()
        .map_or_else(|| item.to_string(), str::to_owned);
    text.trim().to_uppercase()
}
