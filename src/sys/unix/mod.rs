//! What all unix systems share.

pub(crate) mod attributes;
pub(crate) mod filesystem;
pub(crate) mod flock;
#[cfg(feature = "cli")]
pub(crate) mod foreground;
#[cfg(feature = "cli")]
pub(crate) mod group;
pub(crate) mod holes;
pub(crate) mod interrupted;
pub(crate) mod map;
pub(crate) mod names;
pub(crate) mod open;
pub(crate) mod peer;
#[cfg(feature = "cli")]
pub(crate) mod poll;
#[cfg(feature = "cli")]
pub(crate) mod program;
pub(crate) mod refused;
pub(crate) mod regular;
pub(crate) mod rights;
#[cfg(feature = "cli")]
pub(crate) mod signals;
#[cfg(feature = "cli")]
pub(crate) mod spawn;
#[cfg(feature = "cli")]
pub(crate) mod suspend;
