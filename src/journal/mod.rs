//! Durable before visible: one log of cell updates for all tickoff processes on a sheet.
//!
//! A frame is synced before anything of it is applied or acknowledged, and its place in the log is its
//! order across processes. After a failed write nothing is acknowledged through that log any more. A log
//! outlives its session: it is closed when all of it is visible, and tells who saw what.
//!
//! This room never knows what the sheet shows: it holds POs, column names and values, and no rows.

mod compact;
mod encoded;
pub(crate) mod frame;
mod log;
mod lost;
mod open_log;
pub(crate) mod read;
mod salvage;
mod source;
mod unfinished;

pub(crate) use compact::{compact, in_frames};
pub(crate) use encoded::Reading;
pub(crate) use frame::{Frame, Head, Public};
pub(crate) use log::{Journal, Left, News};
