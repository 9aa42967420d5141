//! Durable before visible.

pub(crate) mod frame;
pub(crate) mod log;
mod open_log;
pub(crate) mod read;
pub(crate) mod source;
