//! Whose rows are not finished.

use std::collections::HashMap;

use tickoff::{CsvRecord, ProcessingStatus};

/// Rows by supplier.
#[derive(Default)]
pub struct Suppliers(HashMap<String, Supplier>);

/// One supplier's rows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Supplier {
    /// Its name; empty for rows that name none.
    pub name: String,
    /// All of them.
    pub rows: usize,
    /// Those in ERROR.
    pub failed: usize,
    /// Those that have no result.
    pub pending: usize,
}

impl Suppliers {
    /// Counts a row.
    pub fn add(&mut self, record: &CsvRecord, has_failed: bool) {
        let name = name(record);
        let supplier = match self.0.get_mut(name) {
            Some(supplier) => supplier,
            None => self
                .0
                .entry(name.to_owned())
                .or_insert_with_key(|name| Supplier {
                    name: name.clone(),
                    ..Supplier::default()
                }),
        };
        supplier.rows += 1;
        if has_failed {
            supplier.failed += 1;
        } else if is_unfinished(record) {
            supplier.pending += 1;
        }
    }

    /// Those with the most failed rows, and then the most without a result, at most `limit`.
    pub fn unfinished(&self, limit: usize) -> Vec<&Supplier> {
        let open = |supplier: &&Supplier| supplier.failed + supplier.pending > 0;
        let mut found: Vec<&Supplier> = self.0.values().filter(open).collect();
        found.sort_unstable_by(|a, b| {
            (b.failed, b.pending, &a.name).cmp(&(a.failed, a.pending, &b.name))
        });
        found.truncate(limit);
        found
    }
}

/// A row's supplier without surrounding blanks; empty if it names none.
pub fn name(record: &CsvRecord) -> &str {
    record.supplier.as_deref().unwrap_or("").trim()
}

/// Whether a row still needs somebody's eye: it failed, or it has no result.
pub fn is_unfinished(record: &CsvRecord) -> bool {
    !matches!(
        record.status,
        ProcessingStatus::Completed | ProcessingStatus::NoAttachments
    )
}
