//! A child that cannot escape.

pub(crate) mod command;
pub(crate) mod group;
pub(crate) mod kept_output;
mod poll;
mod result_file;
mod running;
#[cfg(test)]
mod sample;
pub(crate) mod signals;
mod tail;
pub(crate) mod template;
mod verdict;
pub(crate) mod worker;
