//! Durable before visible.

pub(crate) mod log;
