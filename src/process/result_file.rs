//! The result file of an attempt: a JSON object of cells, in `TICKOFF_RESULT`.
//!
//! Every attempt has a file of its own name, in a folder that only the user can enter. A background
//! process that an earlier attempt left behind can therefore not write into the result of another PO.
//! A command may have made anything of the name: a link is not followed, a pipe not waited for, and no
//! more is read than a result may hold.

use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};

use tempfile::TempDir;
use tracing::warn;

use crate::domain::MAX_RESULT_BYTES;
use crate::error::{Error, Result};
use crate::sheet::Updates;
use crate::sys::regular;
use crate::text::Escaped;

/// The result files of a run.
#[derive(Debug)]
pub(super) struct ResultFiles {
    /// Removed with whatever is left in it when the run is over.
    folder: TempDir,
    attempts_made: AtomicU64,
}

impl ResultFiles {
    pub(super) fn new() -> Result<Self> {
        let folder = tempfile::Builder::new()
            .prefix("tickoff-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(Error::io("create a folder in", std::env::temp_dir()))?;
        Ok(ResultFiles {
            folder,
            attempts_made: AtomicU64::new(0),
        })
    }

    pub(super) fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// A name that no other attempt has. There is no such file yet.
    pub(super) fn new_name(&self) -> PathBuf {
        // Relaxed: only that no number comes twice matters.
        let attempt = self.attempts_made.fetch_add(1, Ordering::Relaxed);
        self.folder().join(attempt.to_string())
    }
}

/// Reads a result file and removes it; `None` if the command wrote none.
pub(super) fn take(path: &Path) -> std::result::Result<Option<Updates>, String> {
    let result = match regular::open(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => Err(unreadable(&error)),
        Ok(None) => Err("it is not a regular file".to_owned()),
        Ok(Some(file)) => read(file),
    };
    if let Err(error) = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path)) {
        warn!(path = %Escaped::path(path), %error, "a result file could not be removed");
    }
    result.map(Some)
}

fn read(file: File) -> std::result::Result<Updates, String> {
    let mut json = Vec::new();
    file.take(MAX_RESULT_BYTES + 1)
        .read_to_end(&mut json)
        .map_err(|error| unreadable(&error))?;
    if json.len() as u64 > MAX_RESULT_BYTES {
        return Err(format!("it is larger than {MAX_RESULT_BYTES} bytes"));
    }
    serde_json::from_slice(&json)
        .map_err(|error| format!("it is not a JSON object of cells: {error}"))
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::ProcessingStatus;
    use crate::process::sample::{check_error, command, job};
    use crate::run::{Outcome, Stop};

    #[test]
    fn a_result_that_is_no_reasonable_file_is_an_error() {
        let no_file = "invalid TICKOFF_RESULT: it is not a regular file";
        check_error("mkdir -p $TICKOFF_RESULT/x", no_file);
        check_error("mkfifo $TICKOFF_RESULT", no_file);
        check_error("ln -s /etc/passwd $TICKOFF_RESULT", no_file);
        check_error(
            "head -c 1048577 /dev/zero > $TICKOFF_RESULT",
            "invalid TICKOFF_RESULT: it is larger than 1048576 bytes",
        );
    }

    #[test]
    fn a_process_left_behind_cannot_write_into_the_next_result() {
        let late =
            r#"(sleep 0.1; echo '{"SUPPLIER":"late"}' > $TICKOFF_RESULT) & echo "$!" >&2; exit 1"#;
        let command = command(&[
            "sh",
            "-c",
            &format!("[ {{}} = P2 ] && exec sleep 0.4; {late}"),
        ]);
        let stop = Stop::new();
        assert!(matches!(command.run(&job("P1", &stop)), Outcome::Done(_)));
        let want = Outcome::Done(Updates::status(ProcessingStatus::Completed));
        assert_eq!(command.run(&job("P2", &stop)), want);
    }
}
