//! Many submitters, one writer.
//!
//! Submitters never lock. What was accepted is never dropped, and gets one answer: `Durable` after it was
//! committed, `Visible` after the sheet was rewritten, or the error. A writer that dies answers too.
//!
//! This room never knows what an update means. The sheet is behind a trait (`store.rs`), so that model
//! checkers run this very code (`schedules.rs`, `interleavings.rs`).

#[cfg(test)]
mod fake;
mod gather;
mod handoff;
#[cfg(all(test, loom))]
mod interleavings;
mod not_visible;
mod operation;
mod rewriter;
#[cfg(all(test, shuttle))]
mod schedules;
mod store;
mod sync;
mod write_queue;
mod writer_thread;

pub use operation::{Operation, Until};
pub use write_queue::{DEFAULT_CAPACITY, QueueStatus, WriteQueue};
