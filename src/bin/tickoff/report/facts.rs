//! All that a report says, counted in one pass over the sheet.

use chrono::{DateTime, SubsecRound, Utc};
use tickoff::{KeyColumns, ProcessingProgress, Sheet, Stage};

use super::joblog::Joblog;
use super::suppliers::Suppliers;
use super::timeline::{Kind, Timeline};
use crate::errors::Errors;
use crate::percent::{Percent, percents};

/// What is known about the batch.
pub struct Facts<'a> {
    /// The sheet's name, without its folder: a report is passed on.
    pub name: String,
    /// When the sheet was read.
    pub made: DateTime<Utc>,
    /// The name of the column that holds the key.
    pub key: String,
    /// The stage that it tells of.
    pub stage: Stage,
    /// Rows by status.
    pub progress: ProcessingProgress,
    /// When the results came.
    pub timeline: Timeline,
    /// What the rows in ERROR say.
    pub errors: Errors,
    /// Rows by supplier; `None` if the sheet has no such column.
    pub suppliers: Option<Suppliers>,
    /// Rows by status in each stage that is listed.
    pub stages: Vec<StageCounts>,
    /// How long commands took, if a joblog was given.
    pub joblog: Option<&'a Joblog>,
}

impl<'a> Facts<'a> {
    /// Counts a sheet, which was read for this stage.
    pub fn of(
        (stage, sheet): (Stage, &Sheet),
        key: &KeyColumns,
        joblog: Option<&'a Joblog>,
        made: DateTime<Utc>,
    ) -> Facts<'a> {
        let columns = sheet.columns();
        let find = |name: &str| position(&columns, name);
        let mut timeline = Timeline::default();
        let mut errors = Errors::default();
        let mut suppliers = find("SUPPLIER").map(|_| Suppliers::default());
        for record in sheet.records() {
            let has_failed = sheet.is_failure(&record.status);
            let kind = match has_failed {
                true => Some(Kind::Error),
                false => Kind::of(&record.status),
            };
            if let Some(kind) = kind {
                timeline.add(kind, record.last_processed);
            }
            if has_failed {
                errors.add(&record.po_number, record.error_message.as_deref());
            }
            if let Some(suppliers) = &mut suppliers {
                suppliers.add(&record, has_failed);
            }
        }
        timeline.sort();
        Facts {
            name: name(sheet),
            made: made.trunc_subsecs(0),
            key: title(key, &columns),
            stage,
            progress: sheet.progress(),
            timeline,
            errors,
            suppliers,
            stages: Vec::new(),
            joblog,
        }
    }

    /// What stands above the counts by status.
    pub fn heading(&self) -> String {
        match self.stage.is_main() && self.stages.is_empty() {
            true => "Status".to_owned(),
            false => format!("Status in the stage {}", self.stage),
        }
    }

    /// The statuses as words, with the rows in each, and their share of all rows. Words that are no status
    /// count together as `other`, which is left out if there is none.
    pub fn shares(&self) -> Vec<Share> {
        let progress = &self.progress;
        let counts = [
            ("COMPLETED", "completed", progress.completed),
            ("NO_ATTACHMENTS", "no_attachments", progress.no_attachments),
            ("ERROR", "error", progress.error),
            ("PENDING", "pending", progress.pending),
            ("other", "other", progress.other),
        ];
        let percents = percents(&counts.map(|(_, _, rows)| rows), 1);
        let mut from = 0.0;
        counts
            .into_iter()
            .zip(percents)
            .filter(|((word, _, rows), _)| *word != "other" || *rows > 0)
            .map(|((word, class, rows), percent)| {
                let width = 100.0 * rows as f64 / progress.total.max(1) as f64;
                from += width;
                Share {
                    word,
                    class,
                    rows,
                    percent,
                    width,
                    from: from - width,
                }
            })
            .collect()
    }
}

/// How a stage stands.
pub struct StageCounts {
    /// Its name.
    pub name: String,
    /// Its rows by status.
    pub progress: ProcessingProgress,
}

/// How many rows have a status.
pub struct Share {
    /// The word in the sheet.
    pub word: &'static str,
    /// Its class in the page.
    pub class: &'static str,
    /// How many rows.
    pub rows: usize,
    /// Of all rows, rounded so that all add up.
    pub percent: Percent,
    /// The same as it is, in percent: how wide it is drawn.
    pub width: f64,
    /// The sum of the widths before it.
    pub from: f64,
}

/// The place of a column, its name matched as the sheet matches it.
pub fn position(columns: &[String], name: &str) -> Option<usize> {
    let name = name.trim().to_lowercase();
    columns
        .iter()
        .position(|column| column.trim().to_lowercase() == name)
}

/// The key columns, as the header names them.
fn title(key: &KeyColumns, columns: &[String]) -> String {
    let in_header = |name: &String| position(columns, name).map(|at| columns[at].clone());
    let names = key.names().iter();
    let names: Vec<String> = names
        .map(|name| in_header(name).unwrap_or(name.clone()))
        .collect();
    names.join(", ")
}

fn name(sheet: &Sheet) -> String {
    let name = sheet.path().file_name().unwrap_or_default();
    name.to_string_lossy().into_owned()
}
