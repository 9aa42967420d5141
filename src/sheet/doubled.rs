//! A column of the same name that somebody put in front of the one that has the results.
//!
//! Of columns with one name the first counts, and the next result would be written over what stands in it.

use crate::domain::columns::same_column;
use crate::error::Error;
use crate::sheet::history::History;
use crate::sheet::judge::is_same;
use crate::sheet::table::Sheet;
use crate::text::Escaped;

/// So many cells with a result tell which column has them.
const LOOKED_AT: usize = 1_000;

impl Sheet {
    /// What is to be said of a column of results in front of which another one of its name stands, if the results are
    /// in the later one.
    pub(crate) fn doubled(&self, history: &History) -> Option<Error> {
        let schema = self.schema();
        let names = &schema.columns()[..schema.header_width];
        let mut doubled = history.columns().into_iter().filter_map(|name| {
            let mut places = (0..names.len()).filter(|&at| same_column(&names[at], name));
            Some((name, places.next()?, places.next()?))
        });
        doubled.find_map(|(name, first, second)| {
            let shown = |column: usize| {
                let cells = history.cells().filter(|(_, past)| {
                    !past.is_outside && !past.last.is_empty() && same_column(&past.column, name)
                });
                let cells = cells.take(LOOKED_AT);
                let is_shown = cells.filter(|(key, past)| {
                    let mut rows = self.rows(key);
                    rows.any(|row| is_same(name, &self.cell(row, column), &past.last))
                });
                is_shown.count()
            };
            (shown(second) > shown(first)).then(|| Error::Unsuitable {
                problem: format!(
                    "has the column {} twice, and the results in the second of them, column {}; the next ones would be written over the first, column {}: rename one of the two",
                    Escaped::text(name),
                    second + 1,
                    first + 1
                ),
                path: self.path().to_owned(),
            })
        })
    }
}
