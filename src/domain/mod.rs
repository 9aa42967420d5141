//! The words in which everything is said.

pub(crate) mod columns;
pub(crate) mod holder;
pub(crate) mod limits;
pub(crate) mod problem;
pub(crate) mod status;
pub(crate) mod time;
