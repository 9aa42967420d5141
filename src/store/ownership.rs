//! Whether the columns in which tickoff would write are its own.
//!
//! A sheet from elsewhere may have a column STATUS with words of its own ("active", "sold"). They are not
//! taken over: such a sheet is refused before anything is done, with the words and the ways on. The column is
//! tickoff's if the journal has statuses that tickoff wrote, if a row has a valid LAST_PROCESSED, or if it
//! holds no word that nobody knows: those that the options declare, also as the sheet's settings say them, are known.
//!
//! A column that only looks like the status column is none: the rows would have no state, and those that are done
//! would be processed again. If there are such rows, the sheet is refused as well.

use std::collections::HashMap;

use crate::csv::{RecordIndex, Records, grammar};
use crate::domain::{Problem, ProcessingStatus};
use crate::error::{Error, ForeignWord, Result};
use crate::sheet::{Options, Sheet};
use crate::store::first::{Shown, has_times};
use crate::text::{Meant, alike, looks_like, shortened};

/// How many lines of a word are named.
const LINES: usize = 3;
/// How much of a text is shown, in characters.
const WORD_CHARS: usize = 60;

impl Sheet {
    /// Refuses a sheet whose status column is somebody else's, or cannot be known as the status column.
    ///
    /// # Errors
    /// [`Error::ForeignColumn`]; [`Error::Malformed`] with [`Problem::LookAlike`].
    pub fn refuse_foreign_status(&self) -> Result<()> {
        self.refuse_look_alike()?;
        let schema = self.schema();
        let place = |name| schema.position(name);
        match schema.status {
            Some(status) if self.has_unknown_word() && !self.has_own_status() => {
                let status_at = |row| match self.status_at(row) {
                    status if self.options().is_known(&status) => None,
                    status => Some(status.as_str().to_owned()),
                };
                self.refuse_words(status, true, status_at)
            }
            None if !self.has_written_statuses() => {
                let stage = &self.options().stage;
                let mut columns = [stage.error_message(), stage.last_processed()].into_iter();
                columns.try_for_each(|name| place(name).map_or(Ok(()), |at| self.refuse_text(at)))
            }
            _ => Ok(()),
        }
    }

    /// Whether the status column is a person's own, in which any text may stand: it holds other words, or other
    /// stages are listed and nothing was ever written to it.
    pub(crate) fn status_is_text(&self) -> bool {
        let Options { stage, stages, .. } = self.options();
        match stages.is_empty() || stages.iter().any(|listed| listed.is_same(stage)) {
            true => self.refuse_foreign_status().is_err(),
            false => !self.has_own_status(),
        }
    }

    /// Whether the status column is tickoff's, whatever words it holds.
    pub(crate) fn has_own_status(&self) -> bool {
        let times = self.options().stage.last_processed();
        self.has_written_statuses() || has_times(self, Shown::Now, times)
    }

    /// Refuses a column that looks like the status column, if that is not there, and says that rows are done.
    fn refuse_look_alike(&self) -> Result<()> {
        let schema = self.schema();
        let status = self.options().stage.status();
        let alike = match schema.status {
            Some(_) => None,
            None => alike(status, schema.columns()),
        };
        let Some(at) = alike.and_then(|(name, _)| schema.position(name)) else {
            return Ok(());
        };
        let is_done = |row: &RecordIndex| {
            let status = ProcessingStatus::parse(&self.cell(*row, at));
            !self.key(*row).is_empty() && self.is_done(&status)
        };
        let rows = self.all_rows().filter(is_done).count();
        if rows == 0 {
            return Ok(());
        }
        let offset = self.name_offset(at);
        let (line, column) = grammar::position(self.bytes(), offset);
        Err(Error::Malformed {
            path: self.path().to_owned(),
            line,
            column,
            problem: Problem::LookAlike {
                status: status.to_owned(),
                column: schema.columns()[at].clone(),
                rows,
            },
            excerpt: self.encoding().excerpt(self.bytes(), offset),
        })
    }

    /// Says which of the columns that are about to be added look like one that is there.
    pub(crate) fn tell_look_alikes(&self, added: &[String]) {
        let schema = self.schema();
        let is_odd = |name: &&String| looks_like(name, schema.columns()).is_some();
        for name in added.iter().filter(is_odd) {
            let alike = Meant {
                wanted: name,
                columns: schema.columns(),
                close: &[],
            };
            tracing::warn!("the column {name} is added at the end{alike}");
        }
    }

    /// Where a column's name begins in the file.
    fn name_offset(&self, column: usize) -> usize {
        let dialect = self.dialect();
        let mut header = Records::new(self.bytes(), dialect.delimiter, dialect.header_start);
        let is_there = matches!(header.next_record(), Ok(Some(_)));
        let name = header.fields().get(column).filter(|_| is_there);
        name.map_or(dialect.header_start, |name| name.start)
    }

    /// Refuses any text in a column.
    fn refuse_text(&self, column: usize) -> Result<()> {
        self.refuse_words(column, false, |row| {
            let cell = self.cell(row, column);
            let text = cell.trim();
            (!text.is_empty()).then(|| shortened(text, WORD_CHARS).into_owned())
        })
    }

    fn refuse_words(
        &self,
        column: usize,
        is_status: bool,
        foreign: impl Fn(RecordIndex) -> Option<String>,
    ) -> Result<()> {
        let mut words: Vec<ForeignWord> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        let mut first = None;
        let keyed = self.all_rows().filter(|&row| !self.key(row).is_empty());
        for (row, word) in keyed.filter_map(|row| Some((row, foreign(row)?))) {
            first.get_or_insert(row);
            let place = *places.entry(word).or_insert_with_key(|word| {
                words.push(ForeignWord {
                    word: word.clone(),
                    rows: 0,
                    lines: Vec::new(),
                });
                words.len() - 1
            });
            words[place].rows += 1;
            if words[place].lines.len() < LINES {
                words[place].lines.push(self.line(row));
            }
        }
        let Some(first) = first else { return Ok(()) };
        words.sort_by_key(|word| std::cmp::Reverse(word.rows));
        let offset = self.offset(first, column);
        let before = &self.bytes()[..offset];
        let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
        let row_start = self.base_span(first).start;
        Err(Error::ForeignColumn {
            path: self.path().to_owned(),
            line: self.line(first) + grammar::count_lines(&before[row_start..]),
            column: (offset - line_start) as u64 + 1,
            name: self.schema().columns()[column].clone(),
            is_status,
            words,
            excerpt: self.encoding().excerpt(self.bytes(), offset),
        })
    }

    /// Where a cell begins in the file, or its row ends if it is too short.
    fn offset(&self, row: RecordIndex, column: usize) -> usize {
        let fields = self.base_fields(row);
        let field = fields.get(column).map(|field| field.start);
        field.unwrap_or_else(|| self.base_span(row).end)
    }
}
