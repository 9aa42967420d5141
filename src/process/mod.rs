//! A child that cannot escape.

pub(crate) mod command;
pub(crate) mod kept_output;
pub(crate) mod worker;
