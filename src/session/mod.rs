//! From the lock to the summary.

pub(crate) mod flow;
mod keeper;
pub(crate) mod restore;
pub(crate) mod selected;
pub(crate) mod watch;
