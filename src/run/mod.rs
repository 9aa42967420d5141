//! POs to workers.

pub(crate) mod ending;
pub(crate) mod pool;
