//! The one place where a sheet changes.

pub(crate) mod backups;
pub(crate) mod diagnose;
pub(crate) mod first;
pub(crate) mod fitness;
pub(crate) mod handler;
pub(crate) mod output;
pub(crate) mod patience;
pub(crate) mod read;
pub(crate) mod standing;
pub(crate) mod whole;
pub(crate) mod writer;
