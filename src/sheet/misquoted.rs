//! Rows that a quote makes of what was meant otherwise: a cell that has swallowed the rows behind it, and a row that is
//! in quotes as a whole.
//!
//! Both are kept as they are. What gives them away is the delimiter inside: all lines of a cell but its first and last,
//! or a row's only cell, have as many fields as the header. One such line is enough where text follows the closing
//! quote, which RFC 4180 knows nothing of.

use memchr::{memchr, memchr_iter};

use crate::csv::RecordIndex;
use crate::sheet::table::Sheet;

/// So many lines of a cell, all of them like rows, are no chance.
const FEW: usize = 2;
/// The same in a sheet of two columns, since a text may have a comma or semicolon in each line.
const MANY: usize = 5;

/// What a quote has made of rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Misquoted {
    /// A cell with so many lines that are like rows.
    Rows { column: usize, lines: usize },
    /// A row of one cell that would have so many.
    Whole { fields: usize },
}

impl Misquoted {
    pub(super) fn of(sheet: &Sheet, row: RecordIndex) -> Option<Misquoted> {
        let fields = sheet.schema().header_width;
        let raw = &sheet.bytes()[sheet.base_span(row)];
        if fields < 2 || memchr(b'"', raw).is_none() {
            return None;
        }
        let delimiter = sheet.dialect().delimiter;
        let is_row = |text: &&[u8]| memchr_iter(delimiter, text).count() + 1 == fields;
        let cells = sheet.base_fields(row);
        if cells.len() == 1 && is_row(&raw) {
            return Some(Misquoted::Whole { fields });
        }
        let mut cells = cells.iter().enumerate();
        cells.find_map(|(column, cell)| {
            let cell = &sheet.bytes()[cell.clone()];
            memchr(b'\n', cell)?;
            let mut inner = cell.split(|&byte| byte == b'\n');
            inner.next();
            inner.next_back();
            let lines = inner.clone().count();
            let enough = match fields {
                _ if has_text_behind_its_quote(cell) => 1,
                2 => MANY,
                _ => FEW,
            };
            (lines >= enough && inner.all(|line| is_row(&line)))
                .then_some(Misquoted::Rows { column, lines })
        })
    }

    /// Where it is to be seen.
    pub(super) fn column(self) -> usize {
        match self {
            Misquoted::Rows { column, .. } => column,
            Misquoted::Whole { .. } => 0,
        }
    }

    /// In words, and what may be behind it.
    pub(super) fn said(self) -> String {
        match self {
            Misquoted::Rows { lines, .. } => {
                let lines = match lines {
                    1 => "a line of the cell is like a row".to_owned(),
                    _ => format!("{lines} lines of the cell are like rows"),
                };
                format!("{lines} of the sheet: a stray quote may have made one cell of them")
            }
            Misquoted::Whole { fields } => format!(
                "the row is in quotes as a whole, and so one cell of what would be {fields}"
            ),
        }
    }
}

/// Whether a cell in quotes goes on behind the closing one.
fn has_text_behind_its_quote(cell: &[u8]) -> bool {
    let Some(mut inside) = cell.strip_prefix(b"\"") else {
        return false;
    };
    while let Some(quote) = memchr(b'"', inside) {
        match inside[quote + 1..].strip_prefix(b"\"") {
            Some(behind) => inside = behind,
            None => return quote + 1 < inside.len(),
        }
    }
    false
}

impl Sheet {
    /// How many rows a quote seems to have made of what was meant otherwise, and what is to be said of the first;
    /// `None` if there is none.
    pub fn misquoted(&self) -> Option<(usize, String)> {
        memchr(b'"', self.bytes())?;
        let rows = self.all_rows();
        let mut rows = rows.filter_map(|row| Some((row, Misquoted::of(self, row)?)));
        let (first, found) = rows.next()?;
        let said = format!("line {}: {}", self.line(first), found.said());
        Some((rows.count() + 1, said))
    }
}
