//! What every Unix has.

#[cfg(feature = "cli")]
pub(crate) mod group;
#[cfg(feature = "cli")]
pub(crate) mod poll;
#[cfg(feature = "cli")]
pub(crate) mod program;
#[cfg(feature = "cli")]
pub(crate) mod regular;
#[cfg(feature = "cli")]
pub(crate) mod signals;
