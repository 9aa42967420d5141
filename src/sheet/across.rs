//! How the rows stand that go through several stages.

use std::collections::HashMap;

use crate::csv::RecordIndex;
use crate::domain::{KNOWN, ProcessingStatus, Stage};
use crate::sheet::progress::{ProcessingProgress, by_number};
use crate::sheet::record::CsvRecord;
use crate::sheet::table::Sheet;

impl Sheet {
    /// Rows by status over these stages, and how many have each word. A row counts once: by the first of the stages
    /// in which it failed, or else the first in which it is not done, or else the last. So it counts as COMPLETED
    /// when it is done in all of them.
    pub fn progress_across(
        &self,
        stages: &[Stage],
    ) -> (ProcessingProgress, Vec<(ProcessingStatus, usize)>) {
        let mut words: HashMap<ProcessingStatus, usize> = HashMap::new();
        let columns = self.status_columns(stages);
        for row in self.keyed_rows() {
            *words.entry(self.decisive(row, &columns).1).or_default() += 1;
        }
        let mut progress = ProcessingProgress::default();
        for (status, rows) in &words {
            progress.total += rows;
            *match status {
                ProcessingStatus::Completed => &mut progress.completed,
                ProcessingStatus::NoAttachments => &mut progress.no_attachments,
                ProcessingStatus::Pending => &mut progress.pending,
                status if self.is_failure(status) => &mut progress.error,
                _ => &mut progress.other,
            } += rows;
        }
        let known = KNOWN.iter();
        let mut by_word: Vec<_> = known
            .filter_map(|status| words.remove_entry(status))
            .collect();
        by_word.extend(by_number(words));
        (progress, by_word)
    }

    /// Every row that failed in one of these stages, with its status, time and message in the first in which it did.
    pub fn failed_across<'s>(
        &'s self,
        stages: &'s [Stage],
    ) -> impl Iterator<Item = CsvRecord> + 's {
        let columns = self.status_columns(stages);
        self.keyed_rows().filter_map(move |row| {
            let (stage, status) = self.decisive(row, &columns);
            self.is_failure(&status)
                .then(|| self.record_in(row, &stages[stage]))
        })
    }

    /// How many rows are pending in the stage for which the sheet was read, and failed in one of these: each counts
    /// for the first in which it did.
    pub fn failed_before<'n>(&self, stages: &'n [Stage]) -> Vec<(&'n Stage, usize)> {
        let columns = self.status_columns(stages);
        let mut failed = vec![0; stages.len()];
        for row in self.keyed_rows() {
            if self.status_at(row) == ProcessingStatus::Pending
                && let Some(first) = columns
                    .iter()
                    .position(|column| self.is_failure(&self.status_in(row, *column)))
            {
                failed[first] += 1;
            }
        }
        let failed = stages.iter().zip(failed);
        failed.filter(|(_, rows)| *rows > 0).collect()
    }

    fn status_columns(&self, stages: &[Stage]) -> Vec<Option<usize>> {
        let schema = self.schema();
        let stages = stages.iter();
        stages
            .map(|stage| schema.position(stage.status()))
            .collect()
    }

    /// A stage that has no column yet has not begun.
    fn status_in(&self, row: RecordIndex, column: Option<usize>) -> ProcessingStatus {
        column.map_or(ProcessingStatus::Pending, |column| {
            ProcessingStatus::parse(&self.cell(row, column))
        })
    }

    /// The place of the stage by which a row counts, and its status there.
    fn decisive(&self, row: RecordIndex, columns: &[Option<usize>]) -> (usize, ProcessingStatus) {
        let mut decisive: Option<(usize, ProcessingStatus)> = None;
        for (at, column) in columns.iter().enumerate() {
            let status = self.status_in(row, *column);
            if self.is_failure(&status) {
                return (at, status);
            }
            if decisive
                .as_ref()
                .is_none_or(|(_, so_far)| self.is_done(so_far))
            {
                decisive = Some((at, status));
            }
        }
        decisive.unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::Snapshot;
    use crate::sheet::options::Options;

    fn stages() -> Vec<Stage> {
        ["a", "b", "c"].map(|name| name.parse().unwrap()).into()
    }

    fn sheet(rows: &str, stage: &Stage) -> Sheet {
        let bytes = format!("PO_NUMBER;a_STATUS;b_STATUS;b_ERROR_MESSAGE\n{rows}").into_bytes();
        let options = Options {
            stage: stage.clone(),
            done: vec![ProcessingStatus::Completed, ProcessingStatus::NoAttachments],
            ..Options::default()
        };
        Sheet::build(Snapshot::Owned(bytes), Path::new("in.csv"), &options).unwrap()
    }

    #[test]
    fn a_row_counts_once_by_what_failed_or_else_by_what_is_left() {
        let stages = &stages()[..2];
        for (row, word) in [
            ("COMPLETED;COMPLETED", "COMPLETED"),
            ("COMPLETED;", "PENDING"),
            (";COMPLETED", "PENDING"),
            (";", "PENDING"),
            ("COMPLETED;ERROR", "ERROR"),
            (";PARTIAL", "PARTIAL"),
            ("FAILED;ERROR", "FAILED"),
            ("odd;", "odd"),
            ("NO_ATTACHMENTS;COMPLETED", "COMPLETED"),
            ("COMPLETED;NO_ATTACHMENTS", "NO_ATTACHMENTS"),
        ] {
            let sheet = sheet(&format!("P1;{row};\n;;;\n"), &Stage::default());
            let (progress, words) = sheet.progress_across(stages);
            let words: Vec<_> = words
                .iter()
                .map(|(word, rows)| (word.as_str(), *rows))
                .collect();
            assert_eq!(words, [(word, 1)], "{row}");
            assert_eq!(progress.total, 1);
            let counted = match word {
                "COMPLETED" => progress.completed,
                "PENDING" => progress.pending,
                "NO_ATTACHMENTS" => progress.no_attachments,
                "odd" => progress.other,
                _ => progress.error,
            };
            assert_eq!(counted, 1, "{row}: {progress:?}");
        }
    }

    #[test]
    fn a_stage_without_columns_is_still_to_come() {
        let sheet = sheet("P1;COMPLETED;COMPLETED;\n", &Stage::default());
        assert_eq!(sheet.progress_across(&stages()).0.pending, 1);
    }

    #[test]
    fn a_row_that_failed_tells_of_the_stage_in_which_it_did() {
        let sheet = sheet("P1;COMPLETED;ERROR;gone\nP2;;;\n", &Stage::default());
        let stages = stages();
        let failed: Vec<_> = sheet
            .failed_across(&stages)
            .map(|row| (row.po_number, row.error_message))
            .collect();
        assert_eq!(failed, [("P1".to_owned(), Some("gone".to_owned()))]);
    }

    #[test]
    fn what_is_pending_and_failed_before_is_counted_for_its_stage() {
        let stages = stages();
        let sheet = sheet(
            "P1;ERROR;;\nP2;FAILED;ERROR;\nP3;COMPLETED;ERROR;\nP4;COMPLETED;;\n",
            &stages[2],
        );
        assert_eq!(
            sheet.failed_before(&stages[..2]),
            [(&stages[0], 2), (&stages[1], 1)]
        );
        assert_eq!(sheet.failed_before(&[]), []);
    }
}
