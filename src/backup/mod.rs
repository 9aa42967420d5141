//! Whole copies of the sheet.

pub(crate) mod copy;
pub(crate) mod count;
mod folder;
mod list;
mod make;
pub(crate) mod manager;
pub(crate) mod metadata;
pub(crate) mod name;
pub(crate) mod origin;
mod original;
#[cfg(test)]
mod place;
mod resolve;
mod retention;
mod usable;
