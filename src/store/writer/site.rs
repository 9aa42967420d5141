//! Where the sheet lies, how it is read, and where copies are kept of what has no place in it.

use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::backup::BackupManager;
use crate::disk::{Snapshot, Target, hash_file, replace, scratch_file};
use crate::error::{Error, Result};
use crate::journal::{Journal, frame};
use crate::sheet::render::Next;
use crate::sheet::{Options, Sheet};
use crate::text::escape;

/// In whose name copies are made while there is no session.
const NO_SESSION: &str = "no-session";

/// What does not change while a sheet is written, but for the session's id.
pub(super) struct Site {
    pub(super) target: Arc<Target>,
    pub(super) options: Options,
    pub(super) backups: BackupManager,
    /// That of the interrupted session, if this one continues it. Every copy has it in its name.
    pub(super) session_id: String,
}

impl Site {
    pub(super) fn new(
        target: Arc<Target>,
        options: &Options,
        session: Option<&str>,
    ) -> Result<Site> {
        let backups = BackupManager::new(target.path(), options.backup_dir.clone(), options.keep)?;
        Ok(Site {
            target,
            options: options.clone(),
            backups,
            session_id: session.unwrap_or(NO_SESSION).to_owned(),
        })
    }

    pub(super) fn path(&self) -> &Path {
        self.target.path()
    }

    /// A version of the sheet, of which nothing has been written yet.
    pub(super) fn build(&self, snapshot: Snapshot) -> Result<Sheet> {
        Sheet::build(snapshot, self.path(), &self.options)
    }

    /// The version that we have made public ourselves, whatever its letters are.
    pub(super) fn build_own(&self, snapshot: Snapshot) -> Result<Sheet> {
        let options = Options {
            refuse_utf8: false,
            ..self.options.clone()
        };
        Sheet::build(snapshot, self.path(), &options)
    }

    /// Keeps a copy beside the backups, and returns its path as a terminal may show it.
    pub(super) fn keep(&self, file: &File, label: &str) -> Result<String> {
        let kept = self.keep_path(file, label)?;
        Ok(escape(&kept.display().to_string()))
    }

    /// Keeps some bytes in a copy beside the backups.
    pub(super) fn keep_bytes(&self, bytes: &[u8], label: &str) -> Result<PathBuf> {
        let mut file = scratch_file(&self.target)?;
        file.write_all(bytes)
            .map_err(Error::io("copy", self.path()))?;
        self.keep_text(&file, label)
    }

    /// Keeps what this process put together for those who may read the sheet.
    fn keep_text(&self, text: &File, label: &str) -> Result<PathBuf> {
        match self.target.open_sheet() {
            Ok((sheet, _)) => self
                .backups
                .keep_text(text, &sheet, label, &self.session_id),
            Err(_) => self.keep_path(text, label),
        }
    }

    /// Keeps a copy beside the backups.
    fn keep_path(&self, file: &File, label: &str) -> Result<PathBuf> {
        self.backups.keep_copy(file, label, &self.session_id)
    }

    /// Keeps a copy of a version that something else is about to take the place of, with all that was
    /// written to it, and returns its path as a terminal may show it.
    pub(super) fn keep_whole(&self, sheet: &Arc<Sheet>, label: &str) -> Result<String> {
        let copy = scratch_file(&self.target)?;
        let mut out = BufWriter::new(&copy);
        Next::of(sheet)
            .render(&mut out)
            .and_then(|()| out.flush())
            .map_err(Error::io("copy", self.path()))?;
        drop(out);
        let kept = self.keep_text(&copy, label)?;
        Ok(escape(&kept.display().to_string()))
    }

    /// Keeps the edits that a crash left under temporary names, and clears those names.
    ///
    /// A version of our own that was about to take the sheet's name is told by its inode. In a copy of the folder that
    /// is another one: there the journal tells it, and the one whose place it took.
    pub(super) fn keep_leftovers(&self) -> Result<()> {
        let left = replace::leftovers(&self.target)?;
        if left.is_empty() {
            return Ok(());
        }
        let log = Journal::peek(&self.target)?;
        let history = log.map(|(_, frames)| frame::history(&frames));
        let is_ours = |hash| {
            let versions = history
                .iter()
                .flat_map(|history| history.versions().iter().rev());
            versions.take(2).any(|version| version.hash == hash)
        };
        for edit in left {
            if is_ours(hash_file(&edit.file).map_err(Error::io("read", self.path()))?) {
                edit.remove(&self.target)?;
                continue;
            }
            let kept = self.keep(&edit.file, "outside")?;
            tracing::warn!(%kept, "another program's edit was found that a crash kept from being merged; it is kept in a copy");
            edit.remove(&self.target)?;
        }
        Ok(())
    }
}
