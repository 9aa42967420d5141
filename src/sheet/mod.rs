//! One version of the sheet in memory; changes no file.

pub(crate) mod bring;
pub(crate) mod change;
pub(crate) mod history;
pub(crate) mod integrity;
pub(crate) mod json;
pub(crate) mod judge;
pub(crate) mod kin;
pub(crate) mod merge;
pub(crate) mod new_rows;
pub(crate) mod options;
pub(crate) mod overlay;
pub(crate) mod record;
pub(crate) mod render;
pub(crate) mod result;
pub(crate) mod schema;
pub(crate) mod selection;
pub(crate) mod table;
pub(crate) mod unplaced;
pub(crate) mod update;
