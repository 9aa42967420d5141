//! What macOS has in its own way.

#[cfg(feature = "cli")]
pub(crate) mod disposition;
#[cfg(feature = "cli")]
pub(crate) mod exit;
