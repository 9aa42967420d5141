//! Large answers that cannot be taken as they are, kept whole beside the backups.
//!
//! Like a result, one for which there is no room waits, and its worker with it.

use std::fs::File;
use std::io::{self, Seek, Write};
use std::path::PathBuf;

use tracing::{error, warn};

use crate::backup::BackupManager;
use crate::disk::staged::give_another_name;
use crate::error::{Error, Result};
use crate::run::Stop;
use crate::run::persist::keep_trying;
use crate::sys::interrupted;
use crate::text::Escaped;

/// How the names in the folder for temporary files begin.
const PREFIX: &str = "tickoff-answer-";

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

    /// Keeps the answer for a row, once there is room for it; where it is then: in the folder for temporary files if
    /// that fails, or a stop ends the wait.
    pub(super) fn keep(&self, answer: &File, po: &str, stop: &Stop) -> Result<PathBuf> {
        let keep = || self.backups.keep_answer(answer, &self.session_id);
        let key = Escaped::text(po);
        match once_there_is_room(keep, po, stop) {
            Ok(kept) => {
                warn!(%key, kept = %Escaped::path(&kept), "an answer is kept whole beside the backups");
                Ok(kept)
            }
            Err(error) => {
                let kept = keep_elsewhere(answer).map_err(|_| error)?;
                warn!(%key, kept = %Escaped::path(&kept), "a large answer cannot be kept beside the backups: it is kept in the folder for temporary files");
                Ok(kept)
            }
        }
    }

    /// Does the same for one that is in memory.
    pub(super) fn keep_bytes(&self, answer: &[u8], po: &str, stop: &Stop) -> Result<PathBuf> {
        let place = std::env::temp_dir();
        let in_file = || {
            let mut file = tempfile::tempfile().map_err(Error::io("create a file in", &place))?;
            file.write_all(answer)
                .map_err(Error::io("write a file in", &place))?;
            Ok(file)
        };
        self.keep(&once_there_is_room(in_file, po, stop)?, po, stop)
    }
}

fn once_there_is_room<T>(attempt: impl Fn() -> Result<T>, po: &str, stop: &Stop) -> Result<T> {
    match attempt() {
        Err(error) if error.is_for_want_of_room() => {
            let key = Escaped::text(po);
            error!(%key, error = %error.chain(), "a large answer waits until it can be kept, and its worker with it");
            keep_trying(stop, Error::is_for_want_of_room, attempt, error)
        }
        done => done,
    }
}

/// Keeps the answer in the folder for temporary files. It most likely lies there already, and then takes no more room.
fn keep_elsewhere(mut answer: &File) -> io::Result<PathBuf> {
    let folder = std::env::temp_dir();
    if let Ok(kept) = give_another_name(answer, &folder, PREFIX) {
        return Ok(kept);
    }
    let mut copy = tempfile::Builder::new().prefix(PREFIX).tempfile()?;
    answer.rewind()?;
    interrupted::again(|| io::copy(&mut answer, &mut copy))?;
    Ok(copy.keep()?.1)
}
