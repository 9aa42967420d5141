//! How many rows have which status.

use std::collections::HashMap;

use serde::Serialize;

use crate::domain::ProcessingStatus;

/// Rows by status. `completed + pending + error + no_attachments + other == total`; rows without a
/// key are not among them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize)]
pub struct ProcessingProgress {
    /// Rows that have a key.
    pub total: usize,
    /// COMPLETED.
    pub completed: usize,
    /// PENDING or empty.
    pub pending: usize,
    /// ERROR, the original system's FAILED, PARTIAL and `PO_NOT_FOUND`, and what [`Options::failed`](crate::Options::failed) names.
    pub error: usize,
    /// `NO_ATTACHMENTS`.
    pub no_attachments: usize,
    /// Any other word.
    pub other: usize,
}

/// The commonest first.
pub(crate) fn by_number(words: HashMap<ProcessingStatus, usize>) -> Vec<(ProcessingStatus, usize)> {
    let mut words: Vec<_> = words.into_iter().collect();
    words.sort_by(|(a, more), (b, less)| less.cmp(more).then_with(|| a.as_str().cmp(b.as_str())));
    words
}
