//! How rows count, and the counts of a run.
//!
//! Every row of a run is in exactly one of the first six counts.

use std::time::Duration;

use crate::domain::ProcessingStatus;
use crate::sheet::{Options, Updates};

/// How a row counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Verdict {
    /// Its status is COMPLETED.
    Completed,
    /// Its status is a failure: ERROR, FAILED, PARTIAL, PO_NOT_FOUND or one of [`Options::failed`].
    Error,
    /// Its status is NO_ATTACHMENTS.
    NoAttachments,
    /// It got cells but none of these statuses.
    Other,
    /// It was done, gone or had a word that nobody knows as its STATUS when its turn came, or somebody else
    /// completed it or typed such a word meanwhile: then the cells of its result are written, and its
    /// status, time and message kept beside the backups.
    Skipped,
}

impl Verdict {
    pub(super) fn of(updates: &Updates, options: &Options) -> Self {
        match updates.new_status() {
            Some(ProcessingStatus::Completed) => Verdict::Completed,
            Some(status) if options.is_failure(&status) => Verdict::Error,
            Some(ProcessingStatus::NoAttachments) => Verdict::NoAttachments,
            _ => Verdict::Other,
        }
    }
}

/// What a run did. The first six counts add up to the number of rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PoolSummary {
    /// Rows whose result is COMPLETED.
    pub completed: usize,
    /// Rows whose result is a failure.
    pub errors: usize,
    /// Rows whose result is NO_ATTACHMENTS.
    pub no_attachments: usize,
    /// Rows whose result has none of these statuses.
    pub other: usize,
    /// Rows that were done or gone when their turn came, or that somebody else completed meanwhile; and those
    /// that are left alone because their STATUS is a word that nobody knows.
    pub skipped: usize,
    /// Rows that a stop left as they were: not begun, waiting for another attempt, or broken off.
    pub not_run: usize,
    /// Attempts after the first, over all rows.
    pub retried: usize,
    /// Results, counted above by what they say, that are not durable: the key, and its cells.
    pub unpersisted: Vec<(String, Updates)>,
    /// Whether the halt policy ended the run.
    pub halted: bool,
    /// From the start of the run to its end.
    pub elapsed: Duration,
    /// Time spent in `work`, over all workers.
    pub working: Duration,
    /// Time spent waiting for results to be durable, over all workers.
    pub recording: Duration,
}

impl PoolSummary {
    /// Rows that have a result or were skipped.
    pub fn processed(&self) -> usize {
        self.completed + self.errors + self.no_attachments + self.other + self.skipped
    }

    /// Rows that have a result.
    pub(super) fn results(&self) -> usize {
        self.processed() - self.skipped
    }

    pub(super) fn count(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Completed => &mut self.completed,
            Verdict::Error => &mut self.errors,
            Verdict::NoAttachments => &mut self.no_attachments,
            Verdict::Other => &mut self.other,
            Verdict::Skipped => &mut self.skipped,
        } += 1;
    }
}
