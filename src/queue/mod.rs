//! Many submitters, one writer.

#[cfg(test)]
mod fake;
mod gather;
#[cfg(all(test, loom))]
mod interleavings;
mod rewriter;
#[cfg(all(test, shuttle))]
mod schedules;
mod sync;
pub(crate) mod write_queue;
