//! How the batch went, as a page and as a workbook for people who have no tickoff.
//!
//! It only reads the sheet, and shows what is durable, as `status` does. An output file appears whole
//! or not at all, and never in the place of the sheet or of a file that tickoff keeps beside it.

// What is said, from the sheet and the joblog; then how it is shown, and where it is put.
mod facts;
mod joblog;
mod suppliers;
mod timeline;

pub mod html;
pub mod xlsx;

mod output;
mod panics;
mod seal;

pub use facts::{Facts, StageCounts};
pub use joblog::Joblog;
pub use output::{Output, must_differ};
