//! From the lock to the summary.

pub(crate) mod flow;
pub(crate) mod restore;
pub(crate) mod selected;
pub(crate) mod watch;
