//! What the operating system gives.
//!
//! `unix` holds what all systems share. What only one has lies in a folder of its own under the same
//! names, and the choice is made here, once. Signatures speak of std's types, so that nobody outside
//! knows which system it is.

pub(crate) mod lease;
mod unix;

#[cfg(target_os = "macos")]
mod apple;
#[cfg(target_os = "linux")]
mod linux;

#[cfg(all(feature = "cli", target_os = "macos"))]
pub(crate) use apple::{disposition, exit};
#[cfg(all(feature = "cli", target_os = "linux"))]
pub(crate) use linux::{disposition, exit};
#[cfg(feature = "cli")]
pub(crate) use unix::{group, poll, program, regular, signals};
