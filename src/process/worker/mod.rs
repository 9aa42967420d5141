//! Processes that stay alive and are asked one PO after the other.

mod process;
mod protocol;
mod received;
mod stderr;
mod workers;

pub use process::FAREWELL;
pub use workers::WorkerProcesses;
