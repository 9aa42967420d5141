//! POs to workers.
//!
//! A worker takes its next PO only when the result of its last one is durable. A PO that is done when its
//! turn comes is not done again. No PO ends the run: a job that panics, or a result that is refused, costs
//! that PO alone.
//!
//! This room never knows how a job is done, or what follows the run: observers see one stream of events.

mod control;
mod crew;
pub(crate) mod ending;
mod halt;
mod job;
mod pace;
pub(crate) mod persist;
mod po_list;
mod pool;
mod schedule;
pub(crate) mod stop;
mod summary;

pub use control::{Change, Control, RunControl};
pub use ending::{Ending, ProcessEnd};
pub use halt::{FEWEST_FAILURES, Failures, Halt, InvalidHalt};
pub use job::{Event, Job, JobResult, Outcome, Retry, Wait};
pub use pace::{InvalidRate, Rate};
pub use pool::WorkerPool;
pub use schedule::MAX_BACKOFF;
pub use stop::{Stop, StopLevel};
pub use summary::{PoolSummary, Verdict};

pub(crate) use po_list::PoList;
