//! POs to workers.

pub(crate) mod ending;
pub(crate) mod halt;
pub(crate) mod job;
mod persist;
pub(crate) mod po_list;
pub(crate) mod pool;
pub(crate) mod schedule;
pub(crate) mod stop;
pub(crate) mod summary;
