//! What a backup says of itself, in an extended attribute that is synced with it.

use std::fs::{File, Metadata};
use std::io;
use std::os::unix::fs::MetadataExt;
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
    /// When it was written to last, in seconds and nanoseconds: later, somebody has changed it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) modified: Option<(i64, i64)>,
}

/// When a file was written to last.
pub(super) fn modified(metadata: &Metadata) -> (i64, i64) {
    (metadata.mtime(), metadata.mtime_nsec())
}

impl Origin {
    /// A filesystem without room for it costs a count later, and no backup.
    pub(super) fn write(mut self, copy: &File) {
        self.modified = copy.metadata().ok().as_ref().map(modified);
        let written = serde_json::to_vec(&self)
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
