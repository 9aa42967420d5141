//! What is remembered of a sheet: its settings, in `tickoff.toml` beside it.
//!
//! The file has a table for each sheet of its folder, is made to be edited by hand, and is the user's: what is
//! written to it changes no other byte that matters, and an edit that comes in between is kept. It says how a
//! sheet is read and which words count. It holds no path and no program, so that who may write it cannot choose what
//! is run, or where; and one of a stranger is refused.
//!
//! This room never knows what a setting does: all of them end in the sheet's options.

mod comments;
mod file;
mod remember;
mod table;

pub use table::{Contradiction, Settings};
