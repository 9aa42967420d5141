//! What the program says on stderr while it runs: the progress of the run, and its log.
//!
//! Workers only note what happened on the [`board`]; a thread of its own ([`Progress`]) shows it a few
//! times a second as a [`view`] has it, and tells it to whoever watches from outside. Log and progress
//! share one [`Display`].

mod backlog;
pub mod board;
mod brief;
mod display;
mod progress;
mod screen;
mod summary;
mod terminal;
pub mod view;
mod waits;

pub use display::{Display, LogFormat, OF_JOBS, Verbosity};
pub use progress::{LINE_INTERVAL, Progress, REFRESH};
pub use waits::Waits;
