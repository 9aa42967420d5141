//! The result file of an attempt: a JSON object of cells, or lines, in `TICKOFF_RESULT`.
//!
//! Every attempt has a file of its own name, in a folder that only the user can enter. A background
//! process that an earlier attempt left behind can therefore not write into the result of another PO.
//! A command may have made anything of the name: a link is followed to a file of the user alone, a pipe is not
//! waited for, a folder is kept, and no more is read than a result may hold.
//!
//! A folder for temporary files is cleaned by others. One that is gone, or is not ours any more, is made
//! anew under another name before an attempt; if that happened while a command ran, what the command
//! wanted to leave could not come, and its PO is not COMPLETED without it.

use std::borrow::Cow;
use std::fs::{self, File, Permissions};
use std::io::{self, Read};
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};

use memchr::memrchr;
use tempfile::TempDir;
use tracing::warn;

use crate::domain::{MAX_RESULT_BYTES, too_many_cells};
use crate::error::{Error, Result};
use crate::process::result_folder;
use crate::process::result_lines;
use crate::process::retry_after::Asked;
use crate::process::verdict::{Left, Malformed, too_large};
use crate::run::Wait;
use crate::run::stop::lock;
use crate::sheet::{Answer, JsonObject, Updates};
use crate::sys::regular;
use crate::text::{BOM, Escaped};

/// The result files of a run.
#[derive(Debug)]
pub(super) struct ResultFiles {
    /// Never empty. New attempts use the last one; others may still run with the ones before.
    folders: Mutex<Vec<Folder>>,
    attempts_made: AtomicU64,
}

/// What tells one folder from another that has taken its name, or from itself with other rights.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Identity {
    device: u64,
    inode: u64,
    mode: u32,
}

impl Identity {
    fn of(path: &Path) -> io::Result<Identity> {
        let metadata = fs::symlink_metadata(path)?;
        Ok(Identity {
            device: metadata.dev(),
            inode: metadata.ino(),
            mode: metadata.mode(),
        })
    }

    /// Whether it is the same folder, whatever its rights are.
    fn is_same(&self, other: &Identity) -> bool {
        (self.device, self.inode) == (other.device, other.inode)
    }
}

/// A folder that only the user can enter.
#[derive(Debug)]
struct Folder {
    /// Removed with whatever is left in it when the run is over. `None` once it is.
    made: Option<TempDir>,
    identity: Identity,
    /// Open for as long, so that no other folder gets its inode's number.
    _held: File,
}

impl Folder {
    fn make() -> io::Result<Folder> {
        result_folder::remove_abandoned(&std::env::temp_dir());
        let made = tempfile::Builder::new()
            .prefix(result_folder::PREFIX)
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(without_path)?;
        let identity = Identity::of(made.path())?;
        let held = File::open(made.path())?;
        result_folder::hold(&held);
        Ok(Folder {
            _held: held,
            made: Some(made),
            identity,
        })
    }

    fn path(&self) -> &Path {
        let made = self.made.as_ref();
        made.expect("it is there until it is dropped").path()
    }

    fn is_there(&self) -> bool {
        Identity::of(self.path()).is_ok_and(|identity| identity == self.identity)
    }
}

/// Without the random path that was tried.
fn without_path(error: io::Error) -> io::Error {
    let said = error.to_string();
    let (said, _) = said.split_once(" at path ").unwrap_or((&said, ""));
    io::Error::new(error.kind(), said)
}

impl Drop for Folder {
    /// Whatever else has the name now is not ours to remove.
    fn drop(&mut self) {
        let is_ours = Identity::of(self.path()).is_ok_and(|now| now.is_same(&self.identity));
        if let (false, Some(made)) = (is_ours, self.made.take()) {
            // The path is of no use to anybody.
            drop(made.keep());
        }
    }
}

impl ResultFiles {
    pub(super) fn new() -> Result<Self> {
        let folder =
            Folder::make().map_err(Error::io("create a folder in", std::env::temp_dir()))?;
        Ok(ResultFiles {
            folders: Mutex::new(vec![folder]),
            attempts_made: AtomicU64::new(0),
        })
    }

    #[cfg(test)]
    pub(super) fn folder(&self) -> PathBuf {
        current(&lock(&self.folders)).path().to_owned()
    }

    /// A name that no other attempt has, in a folder that is there. There is no such file yet.
    pub(super) fn next(&self) -> io::Result<ResultFile> {
        // Relaxed: only that no number comes twice matters.
        let attempt = self.attempts_made.fetch_add(1, Ordering::Relaxed);
        let mut folders = lock(&self.folders);
        if !current(&folders).is_there() {
            folders.push(Folder::make()?);
            warn!("the folder for results was removed or changed: a new one is made");
        }
        let folder = current(&folders);
        Ok(ResultFile {
            path: folder.path().join(attempt.to_string()),
            folder: folder.identity,
        })
    }
}

fn current(folders: &[Folder]) -> &Folder {
    folders.last().expect("one is made at first")
}

/// Where one attempt may leave its result.
pub(super) struct ResultFile {
    path: PathBuf,
    /// The folder that it is in.
    folder: Identity,
}

impl ResultFile {
    pub(super) fn path(&self) -> &Path {
        &self.path
    }

    /// Reads the file and removes it; `None` if the command, which has ended, wrote none. What is odd
    /// about it is said of this PO. One that is not read as it is, and is large, is first given to `keep`.
    pub(super) fn take(self, po: &str, keep: Option<&Keep<'_>>) -> Left {
        let Some(Answer { updates, notes }) = self.take_with(keep, |file| read(file, keep))? else {
            return Ok(None);
        };
        for note in notes {
            warn!(key = %Escaped::name(po), "{note}");
        }
        Ok(Some(updates))
    }

    /// Does the same for an attempt that is to be repeated: only how long to wait is read.
    pub(super) fn take_wait(self, po: &str) -> Wait {
        let asked = self.take_with(None, |file| {
            let (bytes, _) = beginning(file).unwrap_or_default();
            Ok(Asked::in_file(&bytes))
        });
        // What cannot be read, or is not to be believed, asks for nothing.
        asked.ok().flatten().unwrap_or_default().said(po)
    }

    fn take_with<T>(
        self,
        keep: Option<&Keep<'_>>,
        read: impl FnOnce(&File) -> std::result::Result<T, Malformed>,
    ) -> std::result::Result<Option<T>, Malformed> {
        let path = self.path();
        let folder = path.parent().and_then(|path| Identity::of(path).ok());
        let opened = regular::open(path);
        if !folder.is_some_and(|folder| folder.is_same(&self.folder)) {
            // Whoever made the folder anew, what is there is no secret to keep.
            let there = opened.ok().flatten();
            let (raw, _) = (there.as_ref())
                .and_then(|file| beginning(file).ok())
                .unwrap_or_default();
            let malformed = Malformed::new(FOLDER_IS_GONE, &raw);
            return Err(malformed.kept(|_| Some(keep?(there.as_ref()?))));
        }
        let result = match opened {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return match folder == Some(self.folder) {
                    true => Ok(None),
                    false => Err(Malformed::new(FOLDER_IS_GONE, b"")),
                };
            }
            Err(error) => Err(Malformed::new(unreadable(&error), b"")),
            Ok(Some(file)) => read(&file),
            Ok(None) => match regular::open_own_behind_link(path) {
                Ok(Some(file)) => read(&file),
                _ => Err(Malformed::new(no_file(path, keep.is_some()), b"")),
            },
        };
        if !path.exists() && !path.is_symlink() {
            return result.map(Some);
        }
        if let Err(error) = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path)) {
            warn!(path = %Escaped::path(path), %error, "a result file could not be removed");
        }
        result.map(Some)
    }
}

/// What is said of a value that was read otherwise than it was written.
pub(super) const NO_UNICODE: &str = "what is no UTF-8 is written as U+FFFD";

const FOLDER_IS_GONE: &str = "the folder for it was removed or changed while the command ran";

/// Keeps all of a large result, and tells where.
pub(super) type Keep<'a> = dyn Fn(&File) -> Result<PathBuf> + 'a;

/// As much of a file as is read of a result, and whether that is all.
fn beginning(file: &File) -> io::Result<(Vec<u8>, bool)> {
    let mut bytes = Vec::new();
    file.take(MAX_RESULT_BYTES + 1).read_to_end(&mut bytes)?;
    let is_whole = bytes.len() as u64 <= MAX_RESULT_BYTES;
    bytes.truncate(MAX_RESULT_BYTES as usize);
    Ok((bytes, is_whole))
}

fn read(file: &File, keep: Option<&Keep<'_>>) -> std::result::Result<Answer, Malformed> {
    let (bytes, is_whole) =
        beginning(file).map_err(|error| Malformed::new(unreadable(&error), b""))?;
    let read = match is_whole {
        true => understood(&bytes),
        false => Err(Malformed {
            good: Box::new(cells_in_beginning(&bytes)),
            ..Malformed::new(too_large(MAX_RESULT_BYTES), &bytes)
        }),
    };
    read.map_err(|malformed| malformed.kept(|_| Some(keep?(file))))
}

fn understood(bytes: &[u8]) -> std::result::Result<Answer, Malformed> {
    if JsonObject::is_begun(bytes) {
        return Answer::from_json(bytes).map_err(|problem| {
            let has_too_many = problem.starts_with(&too_many_cells());
            let problem = format!("it is not a JSON object of cells: {problem}");
            let good = match has_too_many || JsonObject::is_whole(bytes) {
                true => Answer::from_beginning(bytes),
                false => Updates::new(),
            };
            Malformed {
                good: Box::new(good),
                ..Malformed::new(problem, bytes)
            }
        });
    }
    let text = String::from_utf8_lossy(bytes.strip_prefix(BOM).unwrap_or(bytes));
    let (updates, problem) = result_lines::read(&text);
    match problem {
        None => Ok(Answer {
            updates,
            notes: match text {
                Cow::Borrowed(_) => Vec::new(),
                Cow::Owned(_) => vec![NO_UNICODE.to_owned()],
            },
        }),
        Some(problem) => Err(Malformed {
            good: Box::new(updates),
            ..Malformed::new(format!("it is no JSON object, and {problem}"), bytes)
        }),
    }
}

/// The cells that are whole in the beginning of a result.
fn cells_in_beginning(bytes: &[u8]) -> Updates {
    if JsonObject::is_begun(bytes) {
        return Answer::from_beginning(bytes);
    }
    let lines = memrchr(b'\n', bytes).map_or(0, |end| end + 1);
    let text = String::from_utf8_lossy(&bytes[..lines]);
    result_lines::read(text.strip_prefix('\u{feff}').unwrap_or(&text)).0
}

/// What is there instead. A folder with something in it is moved to where it stays.
fn no_file(path: &Path, is_kept: bool) -> String {
    if let Ok(target) = fs::read_link(path) {
        let target = Escaped::path(&target);
        return format!("it is a link to {target}, and no regular file of this user is there");
    }
    let has_something = fs::read_dir(path).is_ok_and(|mut folder| folder.next().is_some());
    match is_kept && has_something {
        false => "it is not a regular file".to_owned(),
        true => match keep_folder(path) {
            Ok(kept) => format!("it is a folder, which is kept: {}", Escaped::path(&kept)),
            Err(error) => format!("it is a folder, which could not be kept: {error}"),
        },
    }
}

fn keep_folder(path: &Path) -> io::Result<PathBuf> {
    let place = path.ancestors().nth(2).unwrap_or(path);
    let private = tempfile::Builder::new()
        .prefix("tickoff_result_")
        .permissions(Permissions::from_mode(0o700))
        .tempdir_in(place)?;
    let kept = private.path().join("result");
    fs::rename(path, &kept)?;
    let _ = private.keep();
    Ok(kept)
}

fn unreadable(error: &io::Error) -> String {
    format!("it cannot be read: {error}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::{MAX_RESULT_CELLS, ProcessingStatus};
    use crate::process::command::RecordCommand;
    use crate::process::growth;
    use crate::process::sample::{check, check_error, command, job, run, shell};
    use crate::run::{Outcome, Stop};
    use crate::sheet::Updates;

    /// Each cell takes many times its bytes, and there may be millions.
    #[test]
    fn of_more_cells_than_there_may_be_the_first_count_and_all_is_kept() {
        let cells = |form: fn(usize) -> String| (0..=MAX_RESULT_CELLS).map(form);
        let object: Vec<String> = cells(|at| format!("\"C{at}\":1")).collect();
        let lines: String = cells(|at| format!("C{at}=1\n")).collect();
        for answer in [format!("{{{}}}", object.join(",")), lines] {
            let Err(malformed) = understood(answer.as_bytes()) else {
                panic!("it has too many cells");
            };
            assert!(malformed.problem.contains("more than 100000 cells"));
            assert_eq!(malformed.good.iter().count(), MAX_RESULT_CELLS);
            assert!(malformed.raw == answer.as_bytes());
        }
    }

    const WRITES: &str = r#"echo '{"SUPPLIER":"x"}' > "$TICKOFF_RESULT""#;

    #[track_caller]
    fn check_gone(spoils: &str) {
        let message = format!("invalid TICKOFF_RESULT: {FOLDER_IS_GONE}");
        check_error(
            &format!("cd \"${{TICKOFF_RESULT%/*}}\"; {spoils}"),
            &message,
        );
    }

    #[test]
    fn a_result_that_could_not_come_is_an_error() {
        check_gone("rm -r $PWD");
        check_gone(&format!("rm -r $PWD; {WRITES} || true"));
        check_gone("rm -r $PWD; touch $PWD");
        check_gone("rm -r $PWD; mkdir $PWD");
        check_gone("chmod 500 .");
    }

    #[test]
    fn what_came_into_a_folder_that_was_made_anew_is_kept_and_not_believed() {
        let script =
            format!("cd /; F=${{TICKOFF_RESULT%/*}}; rm -r $F; mkdir $F; touch $F/x; {WRITES}");
        let command = shell(&script);
        let folder = command.results.folder();
        let Outcome::Done(updates) = run(&command) else {
            panic!("not done")
        };
        let [(column, raw)] = updates.aside() else {
            panic!("{updates:?}")
        };
        assert_eq!(
            (&**column, &**raw),
            ("RAW_ANSWER", "{\"SUPPLIER\":\"x\"}\n")
        );
        // It may be anybody's, and so it stays.
        drop(command);
        assert!(folder.join("x").exists());
        fs::remove_dir_all(folder).unwrap();
    }

    #[test]
    fn a_result_in_a_folder_whose_rights_were_changed_is_read() {
        let command = shell(&format!("chmod 711 ${{TICKOFF_RESULT%/*}}; {WRITES}"));
        check(&command, &[("SUPPLIER", "x"), ("STATUS", "COMPLETED")]);
        // The next one has a folder that only the user can enter.
        check_new_folder(&command, |_| {});
    }

    #[track_caller]
    fn check_new_folder(command: &RecordCommand, spoil: impl Fn(&Path)) {
        let folder = command.results.folder();
        spoil(&folder);
        check(command, &[("SUPPLIER", "x"), ("STATUS", "COMPLETED")]);
        assert_ne!(command.results.folder(), folder);
        let there = fs::symlink_metadata(&folder);
        if there.is_ok_and(|there| there.is_file()) {
            fs::remove_file(folder).unwrap();
        }
    }

    #[test]
    fn a_folder_that_is_gone_is_made_anew_before_the_next_attempt() {
        let command = shell(WRITES);
        check_new_folder(&command, |folder| fs::remove_dir_all(folder).unwrap());
        check_new_folder(&command, |folder| {
            fs::remove_dir_all(folder).unwrap();
            fs::write(folder, "mine").unwrap();
        });
        check_new_folder(&command, |folder| {
            fs::set_permissions(folder, Permissions::from_mode(0o500)).unwrap();
        });
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_kept_as_it_came() {
        for (script, raw) in [
            ("printf '{\"A\":\\377' > $TICKOFF_RESULT", "{\"A\":\u{fffd}"),
            ("printf '{\"A\":' > $TICKOFF_RESULT; kill -9 $$", "{\"A\":"),
            ("printf '[1]' > $TICKOFF_RESULT; exit 3", "[1]"),
        ] {
            let Outcome::Done(updates) = run(&shell(script)) else {
                panic!("not done")
            };
            assert_eq!(updates.aside()[0].1, raw);
        }
    }

    #[test]
    fn a_result_that_is_no_reasonable_file_is_an_error() {
        let no_file = "invalid TICKOFF_RESULT: it is not a regular file";
        check_error("mkdir $TICKOFF_RESULT", no_file);
        check_error("mkfifo $TICKOFF_RESULT", no_file);
        check_error(
            "ln -s /dev/zero $TICKOFF_RESULT",
            "invalid TICKOFF_RESULT: it is a link to /dev/zero, and no regular file of this user is there",
        );
        check_error(
            "truncate -s 67108865 $TICKOFF_RESULT",
            "invalid TICKOFF_RESULT: it is larger than 67108864 bytes: what is whole in those is written; only its first 1048576 bytes are kept",
        );
    }

    #[test]
    fn a_result_behind_a_link_is_read_and_stays() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        let (folder, path) = (folder.path().display(), out.display());
        let script = format!("cd {folder}; echo SUPPLIER=x > out; ln -s {path} $TICKOFF_RESULT");
        check(
            &shell(&script),
            &[("SUPPLIER", "x"), ("STATUS", "COMPLETED")],
        );
        assert_eq!(fs::read_to_string(&out).unwrap(), "SUPPLIER=x\n");
    }

    #[test]
    fn a_process_left_behind_cannot_write_into_the_next_result() {
        let late =
            r#"(sleep 0.1; echo '{"SUPPLIER":"late"}' > $TICKOFF_RESULT) & echo "$!" >&2; exit 1"#;
        let command = command(&[
            "sh",
            "-c",
            &format!("[ $TICKOFF_PO = P2 ] && exec sleep 0.4; {late}"),
        ]);
        let stop = Stop::new();
        assert!(matches!(command.run(&job("P1", &stop)), Outcome::Done(_)));
        let want = Outcome::Done(Updates::status(ProcessingStatus::Completed));
        assert_eq!(command.run(&job("P2", &stop)), want);
    }

    #[test]
    fn a_result_costs_as_much_as_it_is_long() {
        growth::check(500, |size| {
            let json = growth::cells(size);
            assert!(understood(json.as_bytes()).is_ok());
            assert!(!cells_in_beginning(&json.as_bytes()[..json.len() - 1]).is_empty());
            let lines: String = (0..size).map(|n| format!("column {n}={n}\n")).collect();
            assert!(understood(lines.as_bytes()).is_ok());
            assert!(understood("note=again\n".repeat(size).as_bytes()).is_ok());
        });
    }
}
