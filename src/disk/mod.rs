//! What one filesystem promises; no CSV.

pub(crate) mod lock;
pub(crate) mod new_file;
pub(crate) mod replace;
pub(crate) mod settled;
pub(crate) mod snapshot;
pub(crate) mod staged;
pub(crate) mod target;
pub(crate) mod version;
