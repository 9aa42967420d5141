//! Whole copies of the sheet.

pub(crate) mod copy;
pub(crate) mod count;
pub(crate) mod manager;
pub(crate) mod name;
pub(crate) mod origin;
pub(crate) mod staged;
