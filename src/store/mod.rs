//! The one place where a sheet changes.

pub(crate) mod diagnose;
pub(crate) mod handler;
pub(crate) mod output;
pub(crate) mod patience;
pub(crate) mod read;
pub(crate) mod writer;
