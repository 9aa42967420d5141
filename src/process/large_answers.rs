//! Large answers that cannot be taken as they are, kept whole beside the backups.

use std::fs::File;
use std::io::Write;
use std::path::PathBuf;

use tracing::warn;

use crate::backup::BackupManager;
use crate::error::{Error, Result};
use crate::text::Escaped;

/// Where such answers are kept.
pub(super) struct LargeAnswers {
    backups: BackupManager,
    session_id: String,
}

impl LargeAnswers {
    pub(super) fn beside(backups: BackupManager, session_id: &str) -> LargeAnswers {
        LargeAnswers {
            backups,
            session_id: session_id.to_owned(),
        }
    }

    /// Keeps the answer for a row; where it is then.
    pub(super) fn keep(&self, answer: &File, po: &str) -> Result<PathBuf> {
        let kept = self.backups.keep_answer(answer, &self.session_id)?;
        let (key, path) = (Escaped::text(po), Escaped::path(&kept));
        warn!(%key, kept = %path, "a large answer is kept beside the backups");
        Ok(kept)
    }

    /// Does the same for one that is in memory.
    pub(super) fn keep_bytes(&self, answer: &[u8], po: &str) -> Result<PathBuf> {
        let place = std::env::temp_dir();
        let mut file = tempfile::tempfile().map_err(Error::io("create a file in", &place))?;
        file.write_all(answer)
            .map_err(Error::io("write a file in", &place))?;
        self.keep(&file, po)
    }
}
