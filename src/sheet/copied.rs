//! Whether a sheet is a copy of another one, as far as rows and columns tell: both may have changed since.

use crate::sheet::table::Sheet;

pub(crate) struct Likeness {
    /// Whether half of the keys of one of them are in the other.
    pub(crate) has_rows: bool,
    /// Whether the copy has half of the input's columns, besides the key and those of states.
    pub(crate) has_columns: bool,
    /// The columns that the copy lacks.
    pub(crate) lacking: Vec<String>,
}

impl Likeness {
    pub(crate) fn of(input: &Sheet, copy: &Sheet) -> Likeness {
        let lacking = lacking(input, copy);
        Likeness {
            has_rows: has_rows(input, copy),
            has_columns: lacking.len() * 2 <= own_columns(input).count(),
            lacking,
        }
    }
}

/// The columns that one sheet has of its own and the other one lacks.
pub(crate) fn lacking(one: &Sheet, other: &Sheet) -> Vec<String> {
    let schema = other.schema();
    own_columns(one)
        .filter(|column| schema.position(column).is_none())
        .collect()
}

fn own_columns(sheet: &Sheet) -> impl Iterator<Item = String> {
    let schema = sheet.schema();
    let is_own = move |name: &String| !sheet.options().key.contains(name) && !schema.is_state(name);
    sheet.columns().into_iter().filter(is_own)
}

fn has_rows(input: &Sheet, copy: &Sheet) -> bool {
    let shared = input.keyed_rows().filter(|row| {
        let po = input.key_for(*row, copy);
        copy.rows(&po).next().is_some()
    });
    let fewer = input.keyed_rows().count().min(copy.keyed_rows().count());
    shared.count() * 2 >= fewer
}
