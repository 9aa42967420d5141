//! What is visible: how far the public CSV shows what is durable.

use chrono::{DateTime, Utc};

use crate::error::Error;
use crate::store::patience::RETRIES;

/// The third of the three parts of a writer.
pub(super) struct Visible {
    /// Whether the public CSV lacks anything: a result, an added column, or what was brought to a new
    /// base.
    is_behind: bool,
    /// Whether that is because somebody saved it, and no result will soon have it written.
    was_saved: bool,
    /// How often something has come that it lacks. Never falls; a rewrite that began when it was this
    /// shows everything.
    changes: u64,
    /// The last checkpoint failed after all its retries. The next one is tried only once, and its
    /// failure is not reported again.
    failing: bool,
    /// How often a checkpoint was tried again. Never falls.
    retried: u64,
    /// When this writer last replaced the public CSV.
    written_at: Option<DateTime<Utc>>,
}

impl Visible {
    pub(super) fn new() -> Visible {
        Visible {
            is_behind: false,
            was_saved: false,
            changes: 0,
            failing: false,
            retried: 0,
            written_at: None,
        }
    }

    pub(super) fn is_behind(&self) -> bool {
        self.is_behind
    }

    /// Somebody saved the public CSV, and that was taken in.
    pub(super) fn was_saved(&mut self) {
        self.was_saved = self.is_behind;
    }

    /// Whether what somebody saved is still to be written over with what it lacks.
    pub(super) fn is_lacking(&self) -> bool {
        self.was_saved && self.is_behind
    }

    pub(super) fn changes(&self) -> u64 {
        self.changes
    }

    /// Something has come that the public CSV lacks.
    pub(super) fn fall_behind(&mut self) {
        self.is_behind = true;
        self.changes += 1;
    }

    /// Another version is the base, and lacks something or not.
    pub(super) fn has_new_base(&mut self, is_behind: bool) {
        self.is_behind = is_behind;
    }

    /// The public CSV was replaced by a version that shows everything up to so many changes.
    pub(super) fn was_written(&mut self, changes: u64) {
        self.is_behind = self.changes != changes;
        self.was_saved = false;
        self.written_at = Some(Utc::now());
    }

    /// How often a checkpoint is tried again.
    pub(super) fn retries(&self) -> usize {
        if self.failing { 0 } else { RETRIES }
    }

    /// Remembers what came of a checkpoint, and reports the first of several that fail.
    pub(super) fn note(&mut self, failed: Option<&Error>, retried: u64) {
        self.retried += retried;
        if let Some(error) = failed
            && !self.failing
        {
            tracing::error!(error = %error.chain(), "the sheet could not be written");
        }
        self.failing = failed.is_some();
    }

    pub(super) fn retried(&self) -> u64 {
        self.retried
    }

    pub(super) fn written_at(&self) -> Option<DateTime<Utc>> {
        self.written_at
    }
}
