//! Nothing from a sheet reaches a terminal unescaped.

pub(crate) mod escape;
pub(crate) mod excerpt;
pub(crate) mod message;
pub(crate) mod near;
#[cfg(feature = "cli")]
pub(crate) mod shell;
pub(crate) mod shorten;
