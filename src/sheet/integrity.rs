//! What `check` finds: everything in a sheet that a person should look at.

use std::collections::BTreeMap;
use std::path::Path;

use serde::Serialize;

use crate::csv::{RecordIndex, grammar};
use crate::domain::{Encoding, Problem, ProcessingStatus, parse_timestamp};
use crate::error::Result;
use crate::sheet::alike::MAX_COMPARED;
use crate::sheet::misquoted::Misquoted;
use crate::sheet::number::{control_name, control_of};
use crate::sheet::options::{Duplicates, Options};
use crate::sheet::record::{CsvRecord, parse_count};
use crate::sheet::table::Sheet;
use crate::text::{Excerpt, is_plain};

/// One finding about a sheet.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Diagnostic {
    /// Whether a run would refuse the sheet for it.
    pub level: Level,
    /// 1-based line of the file, counted in line feeds.
    pub line: u64,
    /// 1-based byte within that line.
    pub column: u64,
    /// The row's key, if it has one.
    pub po: Option<String>,
    /// What is to be looked at. Text from the sheet is escaped in it.
    pub message: String,
    /// That place in its line; `None` if the file is empty. No part of the JSON.
    #[serde(skip)]
    pub excerpt: Option<Excerpt>,
}

/// How bad a finding is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Level {
    /// A run refuses the sheet.
    Error,
    /// A run works, and what was found is kept as it is.
    Warning,
    /// Nothing is wrong; it says how the sheet is read.
    Info,
}

/// The findings about a sheet that is open.
pub(crate) fn findings(sheet: &Sheet) -> Vec<Diagnostic> {
    findings_with(sheet, sheet.options().duplicates)
}

pub(crate) fn findings_with(sheet: &Sheet, duplicates: Duplicates) -> Vec<Diagnostic> {
    let mut found = Findings {
        sheet,
        list: Vec::new(),
        encoding_told: false,
        told: BTreeMap::new(),
        odd_keys: Vec::new(),
    };
    found.names();
    if duplicates == Duplicates::Refuse {
        for (po, rows) in sheet.duplicates() {
            let lines: Vec<String> = rows
                .iter()
                .map(|&row| sheet.line(row).to_string())
                .collect();
            for &row in &rows[1..] {
                let message = format!(
                    "the key {} stands on lines {}",
                    crate::text::escape(&po),
                    lines.join(", ")
                );
                found.add(Level::Error, row, sheet.schema().key()[0], message);
            }
        }
    }
    for row in sheet.all_rows() {
        found.row(row);
    }
    found.keys();
    found.tell_of_more();
    found
        .list
        .sort_by_key(|finding| (finding.line, finding.column));
    found.list
}

/// Whether some bytes that are read in another encoding are UTF-8 as well, and more than ASCII.
fn is_utf8_too(bytes: &[u8], encoding: Encoding) -> bool {
    !encoding.is_utf8() && !bytes.is_ascii() && std::str::from_utf8(bytes).is_ok()
}

/// Refuses a sheet that was saved as UTF-8 since its encoding was remembered: its keys would be other ones.
pub(super) fn refuse_utf8(bytes: &[u8], path: &Path, options: &Options) -> Result<()> {
    if !options.refuse_utf8 || !is_utf8_too(bytes, options.encoding) {
        return Ok(());
    }
    let malformed = grammar::Malformed {
        offset: bytes.iter().take_while(|byte| byte.is_ascii()).count(),
        problem: Problem::SavedAsUtf8(options.encoding.name()),
    };
    Err(malformed.at(path, bytes))
}

/// Cells that are no text.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NotUtf8 {
    /// How many there are.
    pub cells: usize,
    /// The line of the first row that has one.
    pub line: u64,
    /// The column of its first one.
    pub column: String,
}

impl Sheet {
    /// What is to be said if all that it holds is UTF-8, more than ASCII, and it is read in another encoding.
    pub fn looks_like_utf8(&self) -> Option<String> {
        is_utf8_too(self.bytes(), self.encoding()).then(|| {
            format!(
                "the sheet is read as {}, and is UTF-8 as well: if it was saved so, use --encoding utf-8 (tickoff init FILE --encoding utf-8 remembers it)",
                self.encoding().name()
            )
        })
    }

    /// Says so.
    pub(crate) fn warn_of_utf8(&self) {
        if let Some(message) = self.looks_like_utf8() {
            tracing::warn!("{message}");
        }
    }

    /// The cells with bytes that are no letters in the sheet's encoding, UTF-8 if nothing else was said; `None` if there are none.
    pub fn not_utf8(&self) -> Option<NotUtf8> {
        if self.encoding().can_read(self.bytes()) {
            return None;
        }
        let schema = self.schema();
        let mut found: Option<NotUtf8> = None;
        for row in self.all_rows() {
            let shown = self.shown(row);
            for (column, name) in schema.columns().iter().enumerate() {
                if self.encoding().is_text(&shown.bytes(column)) {
                    continue;
                }
                let found = found.get_or_insert_with(|| NotUtf8 {
                    cells: 0,
                    line: self.line(row),
                    column: name.clone(),
                });
                found.cells += 1;
            }
        }
        found
    }
}

/// What is said of a word that nobody knows.
pub(crate) const LEFT_ALONE: &str = " is none of the known statuses; a run leaves the row alone";

/// How many findings of a [`Kind`] are told one by one.
const MAX_TOLD: usize = 20;

/// Of what may be wrong in every row for one reason, only the first findings are told.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    NameTwice,
    InvisibleInName,
    AlikeName,
    InvisibleInKey,
    AlikeKey,
    ControlRow,
    Misquoted,
}

pub(super) struct Findings<'a> {
    pub(super) sheet: &'a Sheet,
    list: Vec<Diagnostic>,
    /// It was said what to do about cells that are not UTF-8.
    encoding_told: bool,
    /// How many there are of a kind, and the first that is not told.
    told: BTreeMap<Kind, (usize, Option<Diagnostic>)>,
    /// The rows whose keys may look like others: a plain one only looks like one of these.
    pub(super) odd_keys: Vec<RecordIndex>,
}

impl Findings<'_> {
    /// Adds a warning about the header, at a byte of the file.
    pub(super) fn of_header(&mut self, kind: Kind, offset: usize, message: String) {
        let (line, column) = grammar::position(self.sheet.bytes(), offset);
        self.add_of(
            kind,
            Diagnostic {
                level: Level::Warning,
                line,
                column,
                po: None,
                message,
                excerpt: Some(self.sheet.encoding().excerpt(self.sheet.bytes(), offset)),
            },
        );
    }

    /// Adds a warning about a row's key, at a byte of one of its columns.
    pub(super) fn of_key(
        &mut self,
        kind: Kind,
        row: RecordIndex,
        (column, within): (usize, usize),
        message: String,
    ) {
        let found = self.place(Level::Warning, row, column, within, message);
        self.add_of(kind, found);
    }

    fn add_of(&mut self, kind: Kind, found: Diagnostic) {
        let (count, untold) = self.told.entry(kind).or_default();
        *count += 1;
        match *count <= MAX_TOLD {
            true => self.list.push(found),
            false => drop(untold.get_or_insert(found)),
        }
    }

    fn tell_of_more(&mut self) {
        for (kind, (count, untold)) in std::mem::take(&mut self.told) {
            let Some(first) = untold else { continue };
            let are = match kind {
                Kind::NameTwice => "column names are there twice",
                Kind::InvisibleInName => "column names have invisible characters",
                Kind::AlikeName => "column names look like others",
                Kind::InvisibleInKey => "keys have invisible characters",
                Kind::AlikeKey => "keys look like others",
                Kind::ControlRow => "rows are control characters",
                Kind::Misquoted => "rows are quoted otherwise than they were meant",
            };
            self.list.push(Diagnostic {
                po: None,
                message: format!("from here on {} more {are}", count - MAX_TOLD),
                ..first
            });
        }
    }

    fn row(&mut self, row: RecordIndex) {
        let po = self.sheet.po(row);
        if po.is_empty()
            && let Some(control) = control_of(self.sheet, row)
        {
            let message = format!("{}: the row is kept and is no job", control_name(control));
            let found = self.place(Level::Warning, row, 0, 0, message);
            return self.add_of(Kind::ControlRow, found);
        }
        if let Some(found) = Misquoted::of(self.sheet, row) {
            let found = self.place(Level::Warning, row, found.column(), 0, found.said());
            self.add_of(Kind::Misquoted, found);
        }
        let schema = self.sheet.schema();
        let fields = self.sheet.base_fields(row);
        for (column, field) in fields.iter().enumerate() {
            let raw = &self.sheet.bytes()[field.clone()];
            let encoding = self.sheet.encoding();
            if !encoding.can_read(raw) {
                let name = encoding.name();
                let mut message = format!("the cell is not {name}; it is kept as it is");
                if encoding.is_utf8() && !std::mem::replace(&mut self.encoding_told, true) {
                    message += "; if these are letters, pass the sheet's encoding, --encoding windows-1252 for a CSV of Excel's in Western Europe";
                }
                self.warn(row, column, message);
            }
            if column == schema.header_width && !raw.is_empty() {
                self.warn(
                    row,
                    column,
                    "the row has more fields than the header".into(),
                );
            }
        }
        self.key(row, &fields);
        if !is_plain(&self.sheet.drawn_key(row)) && self.odd_keys.len() < MAX_COMPARED {
            self.odd_keys.push(row);
        }
        if po.is_empty() && schema.has_key() {
            self.warn(
                row,
                schema.key()[0],
                "the row has no key; it is kept and never processed, as a row of totals or a note should be".into(),
            );
            return;
        }
        self.record(row, &self.sheet.record_at(row));
    }

    fn record(&mut self, row: RecordIndex, record: &CsvRecord) {
        let schema = self.sheet.schema();
        let options = self.sheet.options();
        let stage = &options.stage;
        let mut warn = |name: &str, message: String| {
            let column = schema.position(name).unwrap_or(schema.key()[0]);
            self.warn(row, column, message);
        };
        match &record.status {
            status if !options.is_known(status) => {
                warn(stage.status(), format!("{status}{LEFT_ALONE}"));
            }
            ProcessingStatus::Completed
                if record
                    .get(stage.last_processed())
                    .is_none_or(|cell| parse_timestamp(cell).is_none()) =>
            {
                warn(
                    stage.last_processed(),
                    format!(
                        "the row is COMPLETED without a valid {}",
                        stage.last_processed()
                    ),
                );
            }
            status if options.is_failure(status) && record.error_message.is_none() => {
                warn(
                    stage.error_message(),
                    format!("the row is {status} without a message"),
                );
            }
            _ => {}
        }
        for name in ["ATTACHMENTS_FOUND", "ATTACHMENTS_DOWNLOADED"] {
            if record
                .get(name)
                .is_some_and(|cell| !cell.trim().is_empty() && parse_count(cell).is_none())
            {
                warn(name, format!("{name} is not a whole number"));
            }
        }
        if let (Some(found), Some(downloaded)) =
            (record.attachments_found, record.attachments_downloaded)
            && downloaded > found
        {
            warn(
                "ATTACHMENTS_DOWNLOADED",
                format!("{downloaded} attachments were downloaded of {found} found"),
            );
        }
    }

    fn warn(&mut self, row: RecordIndex, column: usize, message: String) {
        self.add(Level::Warning, row, column, message);
    }

    fn add(&mut self, level: Level, row: RecordIndex, column: usize, message: String) {
        let found = self.place(level, row, column, 0, message);
        self.list.push(found);
    }

    /// A finding at a byte of a cell.
    fn place(
        &self,
        level: Level,
        row: RecordIndex,
        column: usize,
        within: usize,
        message: String,
    ) -> Diagnostic {
        let span = self.sheet.base_span(row);
        let fields = self.sheet.base_fields(row);
        let offset = fields
            .get(column)
            .map_or(span.end, |field| field.start + within);
        let before = &self.sheet.bytes()[span.start..offset];
        let line = self.sheet.line(row) + grammar::count_lines(before);
        let line_start =
            memchr::memrchr(b'\n', &self.sheet.bytes()[..offset]).map_or(0, |at| at + 1);
        let po = Some(self.sheet.po(row)).filter(|po| !po.is_empty());
        Diagnostic {
            level,
            line,
            column: (offset - line_start) as u64 + 1,
            po,
            message,
            excerpt: Some(self.sheet.encoding().excerpt(self.sheet.bytes(), offset)),
        }
    }
}
