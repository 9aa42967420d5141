//! Many submitters, one writer.

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
pub(crate) mod write_queue;
mod writer_thread;
