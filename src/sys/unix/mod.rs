//! What all unix systems share.

pub(crate) mod attributes;
pub(crate) mod flock;
pub(crate) mod holes;
pub(crate) mod map;
pub(crate) mod names;
pub(crate) mod open;
pub(crate) mod peer;
pub(crate) mod refused;
pub(crate) mod rights;
