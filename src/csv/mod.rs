//! Bytes to records and back; no file.

pub(crate) mod dialect;
pub(crate) mod grammar;
pub(crate) mod index;
pub(crate) mod scan;
