//! Durable before visible: one log of cell updates for all tickoff processes on a sheet.
//!
//! A frame is synced before anything of it is applied or acknowledged, and its place in the log is its
//! order across processes. After a failed write nothing is acknowledged through that log any more. A log
//! is emptied only when all of it is visible, and is marked first.
//!
//! This room never knows what the sheet shows: it holds POs, column names and values, and no rows.

pub(crate) mod frame;
mod log;
mod open_log;
pub(crate) mod read;
mod source;

pub(crate) use frame::{Frame, Head};
pub(crate) use log::{Journal, News};
