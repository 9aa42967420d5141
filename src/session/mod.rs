//! The whole job on one sheet, from the lock to the summary.
//!
//! One session at a time works on a sheet. What an interrupted one left becomes visible first, and is
//! continued under its id. A whole copy exists before a session changes the first cell.
//!
//! This room never knows how a job is done, who follows the run, or how the program ends.

mod control;
mod flow;
mod keeper;
mod number;
mod restore;
mod results;
mod selected;
mod watch;

pub use control::{Asked, Request, Requests};
pub use flow::{Recovered, Session, Summary};
pub use results::{Results, SubmittedResult};
pub use watch::{RunningSession, Teller};
