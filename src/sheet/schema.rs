//! Which columns the sheet has, and where.
//!
//! A schema only ever grows, at its end: a column that is added has a place beyond the header's
//! width until a rewrite has put it into the file.

use crate::domain::columns::{COLUMNS, same_column};
use crate::domain::{KeyColumns, MAX_FIELDS, Problem, Stage, is_state};
use crate::error::{Error, Result};
use crate::sheet::options::Options;
use crate::text::close_to;

/// The columns of one version of the sheet, in its order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Schema {
    /// Names without surrounding blanks; those that are to be added come last.
    columns: Vec<String>,
    /// How many of them the file's header has.
    pub(crate) header_width: usize,
    /// The key columns in the key's order: at least one. [`NO_KEY`] in a sheet that has none yet.
    key: Box<[usize]>,
    /// Where the status of the stage stands that is worked on.
    pub(crate) status: Option<usize>,
}

/// A column that no row reaches.
const NO_KEY: usize = MAX_FIELDS;

impl Schema {
    /// Takes the header's names, or says at which of them there is a problem.
    pub(crate) fn new(
        names: &[String],
        key: &KeyColumns,
        stage: &Stage,
    ) -> std::result::Result<Schema, (usize, Problem)> {
        match Schema::repeated(names, key, stage).next() {
            None => Ok(Schema::of_first(names, key, stage)),
            Some(problem) => Err(problem),
        }
    }

    /// The same with the first of columns that are there twice.
    pub(super) fn of_first(names: &[String], key: &KeyColumns, stage: &Stage) -> Schema {
        let columns: Vec<String> = names.iter().map(|name| name.trim().to_owned()).collect();
        let find = |name: &str| columns.iter().position(|column| same_column(column, name));
        let key = key.names().iter();
        Schema {
            header_width: columns.len(),
            key: key.map(|name| find(name).unwrap_or(NO_KEY)).collect(),
            status: find(stage.status()),
            columns,
        }
    }

    /// The columns that are there twice and must be told apart: where each stands for the second time.
    pub(super) fn repeated<'n>(
        names: &'n [String],
        key: &'n KeyColumns,
        stage: &'n Stage,
    ) -> impl Iterator<Item = (usize, Problem)> + use<'n> {
        let key = key.names().iter().map(String::as_str);
        let needed = COLUMNS.into_iter().chain(stage.columns()).chain(key);
        needed.filter_map(|name| {
            let mut places = (0..names.len()).filter(|&at| same_column(&names[at], name));
            let second = places.nth(1)?;
            Some((second, Problem::DuplicateColumn(name.trim().to_owned())))
        })
    }

    /// Whether the header has each of the key columns.
    pub(super) fn has_key(&self) -> bool {
        !self.key.contains(&NO_KEY)
    }

    pub(crate) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The places of the key columns, in the key's order.
    pub(crate) fn key(&self) -> &[usize] {
        &self.key
    }

    /// Whether a column is part of the key.
    pub(crate) fn is_key(&self, column: usize) -> bool {
        self.key.contains(&column)
    }

    /// The columns that the file does not have yet.
    pub(crate) fn added(&self) -> &[String] {
        &self.columns[self.header_width..]
    }

    pub(crate) fn position(&self, name: &str) -> Option<usize> {
        // Most names are written as the header writes them.
        let exact = self.columns.iter().position(|column| column == name);
        let alike = |column: &String| same_column(column, name);
        exact.or_else(|| self.columns.iter().position(alike))
    }

    /// The place of a column, or the error that names those that are there.
    pub(crate) fn require(&self, name: &str, options: &Options) -> Result<usize> {
        self.position(name)
            .ok_or_else(|| self.unknown(name, options))
    }

    /// Whether a column holds what became of a row, in whichever stage.
    pub(crate) fn is_state(&self, name: &str) -> bool {
        is_state(name, |column| self.position(column).is_some())
    }

    /// The error for a column that is not there.
    pub(crate) fn unknown(&self, name: &str, options: &Options) -> Error {
        let addable = addable(options);
        let unknown =
            || Error::unknown_column(name, &self.columns, addable, options.of_stages(name));
        options.not_begun(name).unwrap_or_else(unknown)
    }

    /// Columns that are there, or may be added, whose names are like this one.
    pub(crate) fn close_to(&self, name: &str, options: &Options) -> Vec<String> {
        let columns = self.columns.iter().map(String::as_str);
        close_to(name, columns.chain(addable(options).iter().copied()))
    }

    /// This schema with a column more at its end.
    pub(crate) fn with(&self, name: &str, stage: &Stage) -> Schema {
        let mut schema = self.clone();
        schema.columns.push(name.to_owned());
        schema.status = schema.position(stage.status());
        schema
    }
}

/// The columns that may be added whatever a sheet has.
fn addable(options: &Options) -> &'static [&'static str] {
    if options.add_columns { &COLUMNS } else { &[] }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema(names: &[&str]) -> std::result::Result<Schema, (usize, Problem)> {
        Schema::new(
            &names
                .iter()
                .map(|name| (*name).to_owned())
                .collect::<Vec<_>>(),
            &KeyColumns::default(),
            &Stage::default(),
        )
    }

    #[test]
    fn names_are_matched_without_case_or_blanks() {
        let schema = schema(&["supplier", "po_number ", "status", "custom note"]).unwrap();
        assert_eq!((schema.key(), schema.status), (&[1][..], Some(2)));
        assert_eq!(schema.position(" Custom Note"), Some(3));
    }

    #[test]
    fn a_known_column_may_not_be_there_twice() {
        assert_eq!(
            schema(&["PO_NUMBER", "STATUS", "Status"]),
            Err((2, Problem::DuplicateColumn("STATUS".into())))
        );
        assert!(schema(&["PO_NUMBER", "x", "X"]).is_ok());
    }

    #[test]
    fn an_added_column_comes_last() {
        let schema = schema(&["PO_NUMBER", "note"])
            .unwrap()
            .with("STATUS", &Stage::default());
        assert_eq!(
            (schema.status, schema.added()),
            (Some(2), &["STATUS".to_owned()][..])
        );
    }
}
