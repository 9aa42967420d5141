//! What the operating system gives.

pub(crate) mod lease;
