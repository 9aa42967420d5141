//! Which columns the key of a row is made of.

use serde::{Deserialize, Serialize};

use super::columns::{PO_NUMBER, same_column};

/// The columns that make up a row's key: one in most sheets. Their names are matched without regard to case or
/// surrounding blanks.
///
/// The key of several columns is one CSV record of their cells, in this order and with the sheet's delimiter:
/// `A1;2`. Of each cell the blanks around it are left out, and it is quoted only where RFC 4180 needs it. A row in
/// which all of them are empty has no key.
///
/// ```
/// # fn main() -> Result<(), &'static str> {
/// use tickoff::{KeyColumns, Options};
///
/// let options = Options {
///     key: KeyColumns::new(["order", "line"])?,
///     ..Options::default()
/// };
/// assert_eq!(KeyColumns::from("id").names(), ["id"]);
/// # Ok(())
/// # }
/// ```
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct KeyColumns {
    names: Box<[String]>,
    /// With which the keys of several columns are written. `None`: with the sheet's. Once results are kept under
    /// such keys it never changes, though another program may save the sheet with another delimiter.
    delimiter: Option<u8>,
}

impl KeyColumns {
    /// The key of these columns.
    ///
    /// # Errors
    /// What is wrong: there is none, one has no name, or two names are the same column's.
    pub fn new<S: Into<String>>(
        names: impl IntoIterator<Item = S>,
    ) -> Result<KeyColumns, &'static str> {
        let names: Box<[String]> = names.into_iter().map(Into::into).collect();
        if names.is_empty() || names.iter().any(|name| name.trim().is_empty()) {
            return Err("a key needs the name of a column");
        }
        for (at, name) in names.iter().enumerate() {
            if names[..at].iter().any(|other| same_column(other, name)) {
                return Err("a column can be in the key once");
            }
        }
        Ok(KeyColumns::of(&names))
    }

    fn of(names: &[String]) -> KeyColumns {
        let names = names.iter().map(|name| name.trim().to_owned()).collect();
        KeyColumns {
            names,
            delimiter: None,
        }
    }

    /// Their names, without surrounding blanks.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// Whether this is the name of one of them.
    pub fn contains(&self, column: &str) -> bool {
        self.names.iter().any(|name| same_column(name, column))
    }

    /// All of them as one text: `id`, or `order, line`.
    pub fn title(&self) -> String {
        self.names.join(", ")
    }

    /// Whether the keys of both are the same cells.
    pub(crate) fn is_same(&self, other: &KeyColumns) -> bool {
        let mut pairs = self.names.iter().zip(&other.names);
        self.names.len() == other.names.len() && pairs.all(|(a, b)| same_column(a, b))
    }

    pub(crate) fn is_several(&self) -> bool {
        self.names.len() > 1
    }

    /// With which the keys of several columns are written in a sheet with this delimiter.
    pub(crate) fn delimiter_in(&self, delimiter: u8) -> u8 {
        self.delimiter.unwrap_or(delimiter)
    }

    /// These columns, with keys as they are written in such a sheet, and from now on in every version of it.
    pub(crate) fn written_in(&self, delimiter: u8) -> KeyColumns {
        KeyColumns {
            names: self.names.clone(),
            delimiter: self.is_several().then(|| self.delimiter_in(delimiter)),
        }
    }
}

impl Default for KeyColumns {
    fn default() -> Self {
        PO_NUMBER.into()
    }
}

impl From<&str> for KeyColumns {
    fn from(name: &str) -> Self {
        KeyColumns::of(&[name.to_owned()])
    }
}

impl From<String> for KeyColumns {
    fn from(name: String) -> Self {
        KeyColumns::of(&[name])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_column_is_in_a_key_once_and_has_a_name() {
        let none: [&str; 0] = [];
        assert!(KeyColumns::new(none).is_err());
        assert!(KeyColumns::new(["a", " "]).is_err());
        assert!(KeyColumns::new(["Line", "order", " line "]).is_err());
        let key = KeyColumns::new([" order", "line"]).unwrap();
        assert_eq!(key.names(), ["order", "line"]);
        assert!(key.contains("LINE ") && !key.contains("order;line"));
    }

    #[test]
    fn keys_are_the_same_if_their_columns_are_in_their_order() {
        let key = |names: &[&str]| KeyColumns::new(names.iter().copied()).unwrap();
        assert!(key(&["a", "b"]).is_same(&key(&["A ", "b"])));
        assert!(!key(&["a", "b"]).is_same(&key(&["b", "a"])));
        assert!(!key(&["a", "b"]).is_same(&key(&["a"])));
        assert!(!key(&["a, b"]).is_same(&key(&["a", "b"])));
    }

    #[test]
    fn how_keys_are_written_is_settled_once() {
        let key = KeyColumns::new(["a", "b"]).unwrap().written_in(b';');
        assert_eq!(key.written_in(b',').delimiter_in(b','), b';');
    }
}
