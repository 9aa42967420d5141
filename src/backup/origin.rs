//! What a backup says of itself, in an extended attribute that is synced with it.

use std::fs::File;
use std::io;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::attribution::FolderId;
use crate::sys::attributes;

const ORIGIN: &str = "user.tickoff.backup";

/// What a backup says of itself.
#[derive(Serialize, Deserialize)]
pub(super) struct Origin {
    pub(super) original_path: PathBuf,
    /// That of the sheet when the backup was made.
    #[serde(default)]
    pub(super) sheet_folder: Option<FolderId>,
    /// Whether it was made in the sheet's own folder of backups.
    #[serde(default)]
    pub(super) is_own_folder: Option<bool>,
    /// `None` of a copy that is no backup.
    pub(super) record_count: Option<usize>,
    /// Of the backup when it was made; if it differs, the count means nothing any more.
    pub(super) size_bytes: u64,
}

impl Origin {
    /// A filesystem without room for it costs a count later, and no backup.
    pub(super) fn write(&self, copy: &File) {
        let written = serde_json::to_vec(self)
            .map_err(io::Error::from)
            .and_then(|json| attributes::set(copy, ORIGIN, &json));
        if let Err(error) = written {
            tracing::debug!(%error, "a backup's origin is not kept with it");
        }
    }

    pub(super) fn read(path: &Path) -> Option<Origin> {
        serde_json::from_slice(&attributes::get(path, ORIGIN).ok()??).ok()
    }
}
