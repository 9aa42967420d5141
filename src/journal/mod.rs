//! Durable before visible.

pub(crate) mod compact;
pub(crate) mod frame;
pub(crate) mod log;
mod lost;
mod open_log;
pub(crate) mod read;
pub(crate) mod source;
mod unfinished;
