//! One external command per record.
//!
//! This file owns the guarantee that a PO's outcome is what *its own* process said, and that no
//! process of a PO that timed out or was broken off is left running:
//!
//! - Every attempt has a result file of its own name. A background process that an earlier attempt
//!   left behind can therefore not write into the result of another PO.
//! - Every command leads a process group of its own. The group is signalled only while its leader
//!   has not been reaped: until then the system cannot give its number to anybody else.
//! - An exit is noticed through a pidfd, not through the end of stderr, which a background process
//!   may hold open for ever. What is in the pipe when the command exits is read, and no more.
//!
//! Cells are put into arguments as they are, without a shell, and are never searched for
//! placeholders themselves. A cell that begins with `-` may still look like an option to the command.
//!
//! Needs Linux 5.3. A command that cannot be killed, because it hangs in the kernel on a dead network
//! mount or runs as another user, holds its worker until it ends.

use crate::domain::limits::MAX_RESULT_BYTES;
use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::fs::{self, Permissions};
use std::io::{self, Read, Write};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStderr, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fd::OwnedFd;
use rustix::fs::{Access, AtFlags, CWD, FileType, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, kill_process_group, pidfd_open};
use tempfile::TempDir;
use tracing::warn;

use crate::disk::target::open_at;
use crate::domain::columns::{COLUMNS, ERROR_MESSAGE, LAST_PROCESSED, STATUS, same_column};
use crate::domain::problem::InvalidValue;
use crate::domain::status::ProcessingStatus;
use crate::error::{Error, Result};
use crate::process::kept_output::KeptOutput;
use crate::run::ending::{Ending, Start};
use crate::run::job::{Job, Outcome};
use crate::run::stop::{Stop, StopLevel};
use crate::sheet::record::CsvRecord;
use crate::sheet::update::Updates;
use crate::text::escape::Escaped;
use crate::text::message::{MAX_ERROR_CHARS, error_message};
use crate::text::shell;

/// How long the processes of a command have, after SIGTERM, to end before they are killed.
pub const GRACE: Duration = Duration::from_secs(1);

/// How often a worker looks whether its command is to be broken off. An event descriptor would
/// save these wake-ups and cost a descriptor that has to be created, can fail, and must not leak;
/// most commands end before the first one.
pub(crate) const STOP_CHECK: Duration = Duration::from_millis(50);

/// Where programs are looked for without a PATH, as in the C library.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// The exit code with which a command asks to be tried again: EX_TEMPFAIL of sysexits.h.
pub(crate) const TRY_AGAIN: i32 = 75;

/// A command line with places for the cells of a record.
///
/// `{}` is the PO, and `{NAME}` the cell of the column that is called exactly so in the header;
/// anything else in braces stays as it is. Bytes of a cell that are not UTF-8 become U+FFFD.
#[derive(Debug, Clone)]
pub struct CommandTemplate {
    /// The program and its arguments.
    words: Vec<Word>,
    /// The header of the sheet.
    columns: Vec<String>,
}

impl CommandTemplate {
    /// Finds the placeholders for a sheet with these columns.
    ///
    /// # Panics
    /// If there is no program.
    pub fn parse(argv: &[OsString], columns: &[String]) -> Self {
        assert!(!argv.is_empty(), "a command needs a program");
        let words = argv.iter().map(|word| Word::parse(word, columns)).collect();
        CommandTemplate {
            words,
            columns: columns.to_vec(),
        }
    }

    /// Checks that the program can be started, looking for it where `execvp` would. A program whose
    /// name holds a placeholder is taken on trust.
    ///
    /// # Errors
    /// [`CannotRun`]. Nothing has been started.
    pub fn resolve_program(&self) -> std::result::Result<(), CannotRun> {
        match &self.words[0].0[..] {
            [] => Err(CannotRun::NotFound(OsString::new())),
            [Piece::Literal(program)] => {
                let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
                find_program(program, &path)
            }
            _ => Ok(()),
        }
    }

    /// The command for a PO as one line that can be pasted into a shell; what a terminal might obey
    /// is escaped in the shell's own way. `None` for a record leaves its cells empty.
    pub fn command_line(&self, po: &str, record: Option<&CsvRecord>) -> String {
        shell::command_line(self.words.iter().map(|word| word.fill(po, record)))
    }

    fn command(&self, job: &Job<'_>) -> Command {
        let record = job.record.as_ref();
        let mut words = self.words.iter().map(|word| word.fill(job.po, record));
        let mut command = Command::new(words.next().expect("a template has a program"));
        command.args(words);
        command
    }
}

/// Why no command can be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRun {
    /// There is no such program.
    #[error("{} is not found{}", Escaped::path(Path::new(.0)), on_the_path(.0))]
    NotFound(OsString),
    /// There is one, and it may not be executed.
    #[error("{} cannot be executed: it is a folder, or lacks the permission (chmod +x)", Escaped::path(Path::new(.0)))]
    NotExecutable(OsString),
}

/// The end of the message about a program that was looked for on the PATH, and perhaps lies here.
fn on_the_path(program: &OsStr) -> String {
    let here = Path::new(program);
    if program.is_empty() || program.as_bytes().contains(&b'/') {
        String::new()
    } else if here.is_file() {
        format!(" on the PATH: did you mean ./{}?", Escaped::path(here))
    } else {
        " on the PATH".to_owned()
    }
}

impl CannotRun {
    /// The code with which shells exit then: 127 or 126.
    pub fn exit_code(&self) -> u8 {
        match self {
            CannotRun::NotFound(_) => 127,
            CannotRun::NotExecutable(_) => 126,
        }
    }
}

/// Runs a command for each record.
///
/// The command has an empty stdin, the program's own stdout unless its output is kept in files, and in
/// its environment:
///
/// | variable | value |
/// |---|---|
/// | `TICKOFF_PO` | the PO |
/// | `TICKOFF_SESSION` | the session |
/// | `TICKOFF_WORKER` | the worker's number, from 0 |
/// | `TICKOFF_ATTEMPT` | the attempt's number, from 1 |
/// | `TICKOFF_RESULT` | a file that does not exist yet, in a folder only the user can enter |
///
/// What it says counts as follows; "message" is the end of its stderr in one line, escaped, line
/// breaks shown as ` | `, at most [`MAX_ERROR_CHARS`] characters.
///
/// | it | the PO | the JSON object in `TICKOFF_RESULT` |
/// |---|---|---|
/// | exits with 0 | COMPLETED | is written; its STATUS wins |
/// | exits with 75 | is tried again later | is ignored |
/// | exits with another code | ERROR, `exit 3: message` | is written; its STATUS and ERROR_MESSAGE win |
/// | is killed by a signal | ERROR, `killed by signal 9 (SIGKILL): message` | is written except STATUS, ERROR_MESSAGE, LAST_PROCESSED; ignored if invalid |
/// | exceeds the timeout | ERROR, `timed out after 5s: message` | the same |
/// | is broken off by [`StopLevel::Now`] | keeps its state | is ignored |
/// | cannot be started, or its output not kept | ERROR, `cannot start …`, or tried again later if the system is out of processes, memory, descriptors or room | – |
///
/// An ERROR that the object gives without an ERROR_MESSAGE gets `exit 0: message`.
///
/// Where the object counts and is no JSON object, is larger than [`MAX_RESULT_BYTES`], is not in a
/// regular file, names a column that is neither in the sheet nor one of [`COLUMNS`], or holds a
/// value that no update may write, the PO becomes ERROR with that reason. The STATUS it gives must
/// be COMPLETED, ERROR or NO_ATTACHMENTS.
#[derive(Debug)]
pub struct RecordCommand {
    template: CommandTemplate,
    session_id: String,
    /// The column that no result may change.
    key: String,
    timeout: Option<Duration>,
    output: Option<KeptOutput>,
    /// Removed with whatever is left in it when the run is over.
    results: TempDir,
    attempts_made: AtomicU64,
}

impl RecordCommand {
    /// Prepares to run the command, without a timeout.
    ///
    /// If this process inherited an ignored SIGCHLD it gets an empty handler for it: the system
    /// would otherwise throw away the exit codes of its children.
    ///
    /// # Errors
    /// [`Error::Io`] when no private folder can be made for the result files.
    pub fn new(template: CommandTemplate, session_id: &str, key: &str) -> Result<Self> {
        let results = tempfile::Builder::new()
            .prefix("tickoff-")
            .permissions(Permissions::from_mode(0o700))
            .tempdir()
            .map_err(Error::io("create a folder in", std::env::temp_dir()))?;
        heed_children()?;
        Ok(RecordCommand {
            template,
            session_id: session_id.to_owned(),
            key: key.to_owned(),
            timeout: None,
            output: None,
            results,
            attempts_made: AtomicU64::new(0),
        })
    }

    /// How long one attempt may take before its processes get SIGTERM, and after [`GRACE`] SIGKILL.
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = Some(timeout);
        self
    }

    /// Keeps what the command says, instead of its stdout being the program's own.
    pub fn keep_output(mut self, output: KeptOutput) -> Self {
        self.output = Some(output);
        self
    }

    /// Runs the command for one attempt at one PO and says what became of it.
    pub fn run(&self, job: &Job<'_>) -> Outcome {
        if job.stop.level() == StopLevel::Now {
            return Outcome::Stopped;
        }
        let result_file = self.new_result_file();
        let mut command = self.template.command(job);
        command
            .env("TICKOFF_PO", job.po)
            .env("TICKOFF_SESSION", &self.session_id)
            .env("TICKOFF_WORKER", job.worker.to_string())
            .env("TICKOFF_ATTEMPT", job.attempt.to_string())
            .env("TICKOFF_RESULT", &result_file);
        let start = Start::now();
        let kept = match self.output.as_ref().map(|output| output.files(job.po)) {
            None => None,
            Some(Ok(files)) => {
                command.stdout(files.stdout);
                Some(files.stderr)
            }
            Some(Err(error)) => {
                job.process_ended(&start.ended(Ending::NotStarted(126)));
                return not_kept(&error);
            }
        };
        let running = match Running::spawn(&mut command, kept) {
            Ok(running) => running,
            Err(error) => {
                let code = match error.kind() {
                    io::ErrorKind::NotFound => 127,
                    _ => 126,
                };
                job.process_ended(&start.ended(Ending::NotStarted(code)));
                return not_started(command.get_program(), &error);
            }
        };
        let waited = running.wait(self.timeout, job.stop);
        let ending = waited
            .as_ref()
            .map_or(Ending::Unknown, |(ending, _)| *ending);
        job.process_ended(&start.ended(ending));
        match waited {
            Ok((ending, stderr)) => {
                let result =
                    take_result(&result_file).and_then(|result| self.check(job.po, result));
                outcome(ending, &stderr, result)
            }
            Err(error) => {
                let message =
                    error_message("cannot tell how the command ended", &error.to_string());
                Outcome::Done(Updates::error(message))
            }
        }
    }

    fn new_result_file(&self) -> PathBuf {
        // Relaxed: only that no number comes twice matters.
        let attempt = self.attempts_made.fetch_add(1, Ordering::Relaxed);
        self.results.path().join(attempt.to_string())
    }

    fn check(
        &self,
        po: &str,
        result: Option<Updates>,
    ) -> std::result::Result<Option<Updates>, String> {
        let check = |updates| check_result(&self.template.columns, &self.key, po, updates);
        result.map(check).transpose()
    }
}

/// Refuses a result that a sheet with these columns would refuse, or that is none.
pub(crate) fn check_result(
    columns: &[String],
    key: &str,
    po: &str,
    updates: Updates,
) -> std::result::Result<Updates, String> {
    updates.validate(po).map_err(|error| error.to_string())?;
    for (column, _) in updates.iter() {
        if same_column(column, key) {
            let (po, column) = (po.to_owned(), column.to_owned());
            return Err(Error::InvalidValue {
                po,
                column,
                reason: InvalidValue::Key,
            }
            .to_string());
        }
        if !columns
            .iter()
            .map(String::as_str)
            .chain(COLUMNS)
            .any(|known| same_column(known, column))
        {
            return Err(Error::unknown_column(column, columns, &COLUMNS).to_string());
        }
    }
    if updates.new_status() == Some(ProcessingStatus::Pending) {
        return Err("STATUS must be COMPLETED, ERROR or NO_ATTACHMENTS".to_owned());
    }
    Ok(updates)
}

/// If this process inherited an ignored SIGCHLD, gives it an empty handler: the system would
/// otherwise throw away the exit codes of its children.
pub(crate) fn heed_children() -> Result<()> {
    if is_ignored(libc::SIGCHLD) {
        signal_hook::flag::register(libc::SIGCHLD, Arc::default()).map_err(Error::io(
            "handle SIGCHLD, ignored according to",
            PROCESS_STATUS,
        ))?;
    }
    Ok(())
}

const PROCESS_STATUS: &str = "/proc/self/status";

/// Whether whoever started this process wants it to ignore a signal, as `nohup` does. False too
/// where the system does not say.
pub fn is_ignored(signal: i32) -> bool {
    let status = fs::read_to_string(PROCESS_STATUS).unwrap_or_default();
    let mask = status.lines().find_map(|line| line.strip_prefix("SigIgn:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    mask.is_some_and(|mask| mask >> (signal - 1) & 1 == 1)
}

/// One argument: its pieces in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(OsString),
    Po,
    Column(String),
}

impl Word {
    fn parse(word: &OsStr, columns: &[String]) -> Word {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = word.as_bytes();
        while let Some(&byte) = rest.first() {
            let Some((piece, length)) = placeholder(rest, columns) else {
                literal.push(byte);
                rest = &rest[1..];
                continue;
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(OsString::from_vec(std::mem::take(
                    &mut literal,
                ))));
            }
            pieces.push(piece);
            rest = &rest[length..];
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(OsString::from_vec(literal)));
        }
        Word(pieces)
    }

    fn fill<'a>(&'a self, po: &'a str, record: Option<&'a CsvRecord>) -> Cow<'a, OsStr> {
        match &self.0[..] {
            [piece] => Cow::Borrowed(piece.value(po, record)),
            pieces => {
                let mut word = OsString::new();
                for piece in pieces {
                    word.push(piece.value(po, record));
                }
                Cow::Owned(word)
            }
        }
    }
}

impl Piece {
    /// A cell that the record lacks is empty.
    fn value<'a>(&'a self, po: &'a str, record: Option<&'a CsvRecord>) -> &'a OsStr {
        match self {
            Piece::Literal(text) => text,
            Piece::Po => OsStr::new(po),
            Piece::Column(column) => {
                let cell = record
                    .into_iter()
                    .flat_map(|record| record.cells())
                    .find(|(name, _)| name == column);
                OsStr::new(cell.map_or("", |(_, value)| value))
            }
        }
    }
}

/// The placeholder with which the text begins, and its length in bytes. Column names may hold
/// braces, so the longest that fits is meant.
fn placeholder(text: &[u8], columns: &[String]) -> Option<(Piece, usize)> {
    let inside = text.strip_prefix(b"{")?;
    if inside.starts_with(b"}") {
        return Some((Piece::Po, "{}".len()));
    }
    let fits = |name: &&String| {
        inside
            .strip_prefix(name.as_bytes())
            .is_some_and(|after| after.starts_with(b"}"))
    };
    let name = columns.iter().filter(fits).max_by_key(|name| name.len())?;
    Some((Piece::Column(name.clone()), name.len() + "{}".len()))
}

/// Looks for a program as `execvp` does: a refusal in one folder does not end the search.
fn find_program(program: &OsStr, path: &OsStr) -> std::result::Result<(), CannotRun> {
    let mut refused = CannotRun::NotFound(program.to_owned());
    let places: Vec<PathBuf> = match program.as_bytes() {
        b"" => vec![],
        name if name.contains(&b'/') => vec![program.into()],
        _ => std::env::split_paths(path)
            .map(|folder| folder.join(program))
            .collect(),
    };
    for place in places {
        match executable(&place) {
            Ok(()) => return Ok(()),
            Err(Errno::NOENT | Errno::NOTDIR) => {}
            Err(_) => refused = CannotRun::NotExecutable(program.to_owned()),
        }
    }
    Err(refused)
}

fn executable(path: &Path) -> rustix::io::Result<()> {
    let kind = FileType::from_raw_mode(rustix::fs::stat(path)?.st_mode);
    if kind != FileType::RegularFile {
        return Err(Errno::ACCESS);
    }
    rustix::fs::accessat(CWD, path, Access::EXEC_OK, AtFlags::EACCESS)
}

/// A started command that has not been reaped.
struct Running {
    child: Child,
    exited: OwnedFd,
    stderr: Tail,
    reaped: bool,
}

impl Running {
    /// Starts the command in a process group of its own. Nothing is set that would keep the
    /// standard library from `posix_spawn`: a fork of a process with large maps is slow.
    /// What it says on stderr goes to `kept` as well.
    fn spawn(command: &mut Command, kept: Option<fs::File>) -> io::Result<Running> {
        command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .process_group(0);
        let mut child = command.spawn()?;
        let stderr = Tail::of(child.stderr.take(), kept);
        match pidfd_open(Pid::from_child(&child), PidfdFlags::empty()) {
            Ok(exited) => Ok(Running {
                child,
                exited,
                stderr,
                reaped: false,
            }),
            Err(errno) => {
                end_group(&mut child);
                Err(errno.into())
            }
        }
    }

    /// Waits for the end, or brings it about; no process of the group is left in that case.
    fn wait(mut self, timeout: Option<Duration>, stop: &Stop) -> io::Result<(Ending, String)> {
        let mut deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut broken_off = None;
        while !self.exits_within(deadline.map_or(STOP_CHECK, |at| STOP_CHECK.min(until(at))))? {
            let is_due = deadline.is_some_and(|at| until(at).is_zero());
            if broken_off.is_some() {
                if is_due {
                    self.signal_group(Signal::KILL);
                    deadline = None;
                }
                continue;
            }
            broken_off = match timeout {
                _ if stop.level() == StopLevel::Now => Some(Ending::Stopped),
                Some(timeout) if is_due => Some(Ending::TimedOut(timeout)),
                _ => continue,
            };
            self.signal_group(Signal::TERM);
            deadline = Some(Instant::now() + GRACE);
        }
        if broken_off.is_some() {
            // The leader is gone; the others have what is left of the grace, and a closed stderr
            // tells that they are gone as well.
            while let (true, Some(at)) = (self.stderr.is_open(), deadline) {
                if until(at).is_zero() {
                    break;
                }
                self.stderr.read_within(until(at))?;
            }
            self.signal_group(Signal::KILL);
        }
        self.stderr.read_what_is_there()?;
        self.reaped = true;
        let status = self.child.wait()?;
        Ok((
            broken_off.unwrap_or_else(|| status.into()),
            self.stderr.text(),
        ))
    }

    /// Takes in what the command says until it exits or the time is over; whether it has exited.
    fn exits_within(&mut self, time: Duration) -> io::Result<bool> {
        let mut fds = vec![PollFd::new(&self.exited, PollFlags::IN)];
        if let Some(pipe) = &self.stderr.pipe {
            fds.push(PollFd::new(pipe, PollFlags::IN));
        }
        poll_within(&mut fds, time)?;
        let has_exited = !fds[0].revents().is_empty();
        if fds.get(1).is_some_and(|pipe| !pipe.revents().is_empty()) {
            self.stderr.read()?;
        }
        Ok(has_exited)
    }

    fn signal_group(&self, signal: Signal) {
        signal_group(&self.child, signal);
    }
}

impl Drop for Running {
    /// Only when waiting failed: nothing is left running and nothing unreaped.
    fn drop(&mut self) {
        if !self.reaped {
            end_group(&mut self.child);
        }
    }
}

pub(crate) fn end_group(child: &mut Child) {
    signal_group(child, Signal::KILL);
    if let Err(error) = child.wait() {
        warn!(pid = child.id(), %error, "a command could not be waited for");
    }
}

/// The leader must not have been reaped.
pub(crate) fn signal_group(leader: &Child, signal: Signal) {
    if let Err(error) = kill_process_group(Pid::from_child(leader), signal) {
        warn!(pid = leader.id(), %error, "the processes of a command could not be signalled");
    }
}

pub(crate) fn until(at: Instant) -> Duration {
    at.saturating_duration_since(Instant::now())
}

/// Returns early when a signal handler ran on this thread.
pub(crate) fn poll_within(fds: &mut [PollFd<'_>], time: Duration) -> io::Result<()> {
    let time = Timespec::try_from(time).unwrap_or(Timespec {
        tv_sec: i64::MAX,
        tv_nsec: 0,
    });
    match poll(fds, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno.into()),
    }
}

/// The end of what a command writes to stderr, and a file for all of it.
///
/// The command itself writes to a pipe in any case: its end tells when the last process is gone.
struct Tail {
    pipe: Option<ChildStderr>,
    kept: Option<fs::File>,
    /// At most twice `KEPT` bytes.
    bytes: Vec<u8>,
}

impl Tail {
    /// Enough for `MAX_ERROR_CHARS` characters of four bytes.
    const KEPT: usize = 4 * MAX_ERROR_CHARS;

    fn of(pipe: Option<ChildStderr>, kept: Option<fs::File>) -> Self {
        Tail {
            pipe,
            kept,
            bytes: Vec::new(),
        }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// Reads once, and blocks unless there is something to read.
    fn read(&mut self) -> io::Result<usize> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(0);
        };
        let mut chunk = [0; Self::KEPT];
        let length = match pipe.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            read => read?,
        };
        if length == 0 {
            self.pipe = None;
        }
        if let Some(Err(error)) = self
            .kept
            .as_mut()
            .map(|file| file.write_all(&chunk[..length]))
        {
            warn!(%error, "the rest of what a command says on stderr is not kept");
            self.kept = None;
        }
        self.bytes.extend_from_slice(&chunk[..length]);
        if self.bytes.len() > 2 * Self::KEPT {
            self.bytes.drain(..self.bytes.len() - Self::KEPT);
        }
        Ok(length)
    }

    fn read_within(&mut self, time: Duration) -> io::Result<()> {
        let Some(pipe) = &self.pipe else {
            return Ok(());
        };
        let mut fds = [PollFd::new(pipe, PollFlags::IN)];
        poll_within(&mut fds, time)?;
        if !fds[0].revents().is_empty() {
            self.read()?;
        }
        Ok(())
    }

    /// Empties the pipe of what it holds now, however fast others go on filling it.
    fn read_what_is_there(&mut self) -> io::Result<()> {
        let Some(pipe) = &self.pipe else {
            return Ok(());
        };
        let mut left = rustix::io::ioctl_fionread(pipe)?;
        while left > 0 && self.is_open() {
            left = left.saturating_sub(self.read()? as u64);
        }
        Ok(())
    }

    fn text(&self) -> String {
        let from = self.bytes.len().saturating_sub(Self::KEPT);
        String::from_utf8_lossy(&self.bytes[from..]).into_owned()
    }
}

/// Reads a result file and removes it; `None` if the command wrote none.
fn take_result(path: &Path) -> std::result::Result<Option<Updates>, String> {
    let flags = OFlags::RDONLY | OFlags::NOFOLLOW | OFlags::NONBLOCK | OFlags::CLOEXEC;
    let result = match open_at(CWD, path, flags, Mode::empty()) {
        Err(Errno::NOENT) => return Ok(None),
        Err(Errno::LOOP | Errno::NXIO) => Err("it is not a regular file".to_owned()),
        Err(errno) => Err(format!("it cannot be read: {errno}")),
        Ok(file) => read_result(file.into()),
    };
    if let Err(error) = fs::remove_file(path).or_else(|_| fs::remove_dir_all(path)) {
        warn!(path = %Escaped::path(path), %error, "a result file could not be removed");
    }
    result.map(Some)
}

fn read_result(file: fs::File) -> std::result::Result<Updates, String> {
    let unreadable = |error: io::Error| format!("it cannot be read: {error}");
    if !file.metadata().map_err(unreadable)?.is_file() {
        return Err("it is not a regular file".to_owned());
    }
    let mut json = Vec::new();
    file.take(MAX_RESULT_BYTES + 1)
        .read_to_end(&mut json)
        .map_err(unreadable)?;
    if json.len() as u64 > MAX_RESULT_BYTES {
        return Err(format!("it is larger than {MAX_RESULT_BYTES} bytes"));
    }
    serde_json::from_slice(&json)
        .map_err(|error| format!("it is not a JSON object of cells: {error}"))
}

/// What becomes of the PO; see the table at [`RecordCommand`].
fn outcome(
    ending: Ending,
    stderr: &str,
    result: std::result::Result<Option<Updates>, String>,
) -> Outcome {
    match ending {
        Ending::Stopped => Outcome::Stopped,
        Ending::Exit(TRY_AGAIN) => Outcome::Retry(error_message("exit 75", stderr)),
        Ending::Exit(code) => Outcome::Done(after_exit(code, stderr, result)),
        Ending::Signal(number) => {
            let what = format!("killed by signal {number} ({})", signal_name(number));
            Outcome::Done(after_kill(&what, stderr, result))
        }
        Ending::TimedOut(timeout) => Outcome::Done(after_kill(
            &format!("timed out after {timeout:?}"),
            stderr,
            result,
        )),
        Ending::NotStarted(_) | Ending::Unknown => unreachable!("its end was waited for"),
    }
}

fn after_exit(
    code: i32,
    stderr: &str,
    result: std::result::Result<Option<Updates>, String>,
) -> Updates {
    let mut updates = match result {
        Ok(updates) => updates.unwrap_or_default(),
        Err(problem) => {
            let what = match code {
                0 => "invalid TICKOFF_RESULT".to_owned(),
                _ => format!("exit {code}, invalid TICKOFF_RESULT"),
            };
            return Updates::error(error_message(&what, &problem));
        }
    };
    if updates.new_status().is_none() {
        let status = if code == 0 {
            ProcessingStatus::Completed
        } else {
            ProcessingStatus::Error
        };
        updates = updates.set(STATUS, status.as_str());
    }
    if updates.new_status() == Some(ProcessingStatus::Error) && updates.get(ERROR_MESSAGE).is_none()
    {
        updates = updates.set(
            ERROR_MESSAGE,
            error_message(&format!("exit {code}"), stderr),
        );
    }
    updates
}

fn after_kill(
    what: &str,
    stderr: &str,
    result: std::result::Result<Option<Updates>, String>,
) -> Updates {
    let decided = |column| {
        [STATUS, ERROR_MESSAGE, LAST_PROCESSED]
            .iter()
            .any(|own| same_column(own, column))
    };
    let result = result.ok().flatten().unwrap_or_default();
    let others = result.iter().filter(|(column, _)| !decided(column));
    others.fold(
        Updates::error(error_message(what, stderr)),
        |updates, (column, value)| updates.set(column, value),
    )
}

/// A shortage passes, so it is not the PO's failure.
pub(crate) fn not_started(program: &OsStr, error: &io::Error) -> Outcome {
    let hint = match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(Errno::NOEXEC) => " (a script needs a first line like #!/bin/sh)",
        _ => "",
    };
    let message = error_message(
        "cannot start",
        &format!("{}: {error}{hint}", program.display()),
    );
    failed_before_it_began(error, message)
}

fn not_kept(error: &io::Error) -> Outcome {
    failed_before_it_began(
        error,
        error_message("cannot keep its output", &error.to_string()),
    )
}

/// A shortage passes, so it is not the PO's failure.
fn failed_before_it_began(error: &io::Error, message: String) -> Outcome {
    use Errno as E;
    match error.raw_os_error().map(Errno::from_raw_os_error) {
        Some(E::AGAIN | E::NOMEM | E::MFILE | E::NFILE | E::TXTBSY | E::NOSPC | E::DQUOT) => {
            Outcome::Retry(message)
        }
        _ => Outcome::Done(Updates::error(message)),
    }
}

pub(crate) fn signal_name(number: i32) -> &'static str {
    match number {
        libc::SIGHUP => "SIGHUP",
        libc::SIGINT => "SIGINT",
        libc::SIGQUIT => "SIGQUIT",
        libc::SIGILL => "SIGILL",
        libc::SIGTRAP => "SIGTRAP",
        libc::SIGABRT => "SIGABRT",
        libc::SIGBUS => "SIGBUS",
        libc::SIGFPE => "SIGFPE",
        libc::SIGKILL => "SIGKILL",
        libc::SIGUSR1 => "SIGUSR1",
        libc::SIGSEGV => "SIGSEGV",
        libc::SIGUSR2 => "SIGUSR2",
        libc::SIGPIPE => "SIGPIPE",
        libc::SIGALRM => "SIGALRM",
        libc::SIGTERM => "SIGTERM",
        libc::SIGXCPU => "SIGXCPU",
        libc::SIGXFSZ => "SIGXFSZ",
        libc::SIGSYS => "SIGSYS",
        _ => "no common name",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sheet::record::CsvRecord;
    use std::thread;

    const COLUMNS_OF_SHEET: [&str; 6] = ["PO_NUMBER", "STATUS", "SUPPLIER", "Note {x}", "x", "x}y"];

    fn columns() -> Vec<String> {
        COLUMNS_OF_SHEET.map(str::to_owned).to_vec()
    }

    fn job<'a>(po: &'a str, stop: &'a Stop) -> Job<'a> {
        let cells = [po, "", "{} $HOME; é", "braces", "X", "longest"];
        let cells = columns()
            .into_iter()
            .zip(cells.map(str::to_owned))
            .collect();
        let record = CsvRecord::from_cells(po.to_owned(), 2, cells);
        Job {
            po,
            record: Some(record),
            worker: 1,
            attempt: 2,
            stop,
            on_event: None,
        }
    }

    fn template(argv: &[&str]) -> CommandTemplate {
        let argv: Vec<OsString> = argv.iter().map(OsString::from).collect();
        CommandTemplate::parse(&argv, &columns())
    }

    fn command(argv: &[&str]) -> RecordCommand {
        RecordCommand::new(template(argv), "s1", "PO_NUMBER").unwrap()
    }

    fn shell(script: &str) -> RecordCommand {
        command(&["sh", "-c", script])
    }

    fn run(command: &RecordCommand) -> Outcome {
        command.run(&job("P1", &Stop::new()))
    }

    #[track_caller]
    fn check(command: &RecordCommand, want: &[(&str, &str)]) {
        match run(command) {
            Outcome::Done(updates) => assert_eq!(updates.iter().collect::<Vec<_>>(), want),
            other => panic!("not done: {other:?}"),
        }
    }

    #[track_caller]
    fn check_shell(script: &str, want: &[(&str, &str)]) {
        check(&shell(script), want);
    }

    #[track_caller]
    fn check_error(script: &str, message: &str) {
        check_shell(script, &[("STATUS", "ERROR"), ("ERROR_MESSAGE", message)]);
    }

    /// Whether a process does anything still; a dead one may wait for its parent to take notice.
    fn is_running(pid: &str) -> bool {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.is_ok_and(|stat| {
            !stat
                .rsplit(") ")
                .next()
                .unwrap_or_default()
                .starts_with(['Z', 'X'])
        })
    }

    /// Whether a process ends soon; a killed one takes a moment.
    fn ends(pid: &str) -> bool {
        let deadline = Instant::now() + Duration::from_secs(30);
        while is_running(pid) && Instant::now() < deadline {
            std::thread::sleep(Duration::from_millis(1));
        }
        !is_running(pid)
    }

    fn wait_for(file: &Path) -> String {
        loop {
            match fs::read_to_string(file) {
                Ok(text) if text.ends_with('\n') => return text.trim().to_owned(),
                _ => thread::sleep(Duration::from_millis(5)),
            }
        }
    }

    /// Breaks a script off once it has written to the file `$1`, and returns what that says.
    fn break_off(script: &str) -> (Outcome, String) {
        let folder = tempfile::tempdir().unwrap();
        let ready = folder.path().join("ready");
        let command = command(&["sh", "-c", script, "sh", ready.to_str().unwrap()]);
        let stop = Stop::new();
        let outcome = thread::scope(|scope| {
            scope.spawn(|| {
                wait_for(&ready);
                stop.now();
            });
            command.run(&job("P1", &stop))
        });
        (outcome, wait_for(&ready))
    }

    #[track_caller]
    fn check_word(word: &str, want: &str) {
        let stop = Stop::new();
        let template = template(&["true", word]);
        let command = template.command(&job("P1", &stop));
        assert_eq!(command.get_args().collect::<Vec<_>>(), [want]);
    }

    #[test]
    fn placeholders_become_the_po_and_its_cells() {
        check_word("{}", "P1");
        check_word("a{}b{x}c{}", "aP1bXcP1");
        check_word("{PO_NUMBER}", "P1");
        check_word("{Note {x}}", "braces");
        check_word("{x}y}{x}z", "longestXz");
    }

    #[test]
    fn anything_else_in_braces_stays() {
        check_word("{supplier}", "{supplier}");
        check_word("{ x }{x", "{ x }{x");
        check_word("awk {print $1}", "awk {print $1}");
        check_word("{{x}}", "{X}");
        check_word("", "");
    }

    #[test]
    fn a_cell_is_never_expanded_again() {
        check_word("{SUPPLIER}{x}", "{} $HOME; éX");
        let script = r#"[ "$1" = "$(printf '\173\175 %s' '$HOME; é')" ]"#;
        let sees_it_whole = command(&["sh", "-c", script, "sh", "{SUPPLIER}"]);
        check(&sees_it_whole, &[("STATUS", "COMPLETED")]);
    }

    #[test]
    fn arguments_that_are_not_utf_8_are_passed_on() {
        let stop = Stop::new();
        let word = OsString::from_vec(b"\xff{}\xfe".to_vec());
        let template = CommandTemplate::parse(&["true".into(), word], &[]);
        let command = template.command(&job("P1", &stop));
        assert_eq!(command.get_args().next().unwrap().as_bytes(), b"\xffP1\xfe");
    }

    #[test]
    fn the_exit_code_decides() {
        check_shell("exit 0", &[("STATUS", "COMPLETED")]);
        check_error("exit 3", "exit 3");
        check_error(
            "echo; echo no such order >&2; exit 1",
            "exit 1: no such order",
        );
        check_error("kill -9 $$", "killed by signal 9 (SIGKILL)");
        check_error(
            "echo ouch >&2; kill -SEGV $$",
            "killed by signal 11 (SIGSEGV): ouch",
        );
        assert_eq!(
            run(&shell("echo later >&2; exit 75")),
            Outcome::Retry("exit 75: later".into())
        );
    }

    #[test]
    fn only_the_end_of_stderr_is_kept_in_one_line() {
        check_error(
            r"printf 'a\n\033[2Jb\n' >&2; exit 1",
            r"exit 1: a | \u{1b}[2Jb",
        );
        let end = "x".repeat(MAX_ERROR_CHARS - "exit 1: … | the end".chars().count());
        let script =
            "head -c 1000000 /dev/zero | tr '\\0' x >&2; echo >&2; echo the end >&2; exit 1";
        check_error(script, &format!("exit 1: …{end} | the end"));
    }

    #[test]
    fn the_command_has_an_environment_and_no_input() {
        check_shell(
            r#"[ -z "$(cat)" ] && printf '{"SUPPLIER":"%s"}' "$TICKOFF_PO $TICKOFF_SESSION $TICKOFF_WORKER $TICKOFF_ATTEMPT" > "$TICKOFF_RESULT""#,
            &[("SUPPLIER", "P1 s1 1 2"), ("STATUS", "COMPLETED")],
        );
    }

    #[test]
    fn the_result_file_is_private_and_does_not_outlive_the_run() {
        let shell = shell(
            r#"[ ! -e "$TICKOFF_RESULT" ] && printf '{"SUPPLIER":"%s"}' "$(stat -c %a "${TICKOFF_RESULT%/*}")" > "$TICKOFF_RESULT""#,
        );
        check(&shell, &[("SUPPLIER", "700"), ("STATUS", "COMPLETED")]);
        let folder = shell.results.path().to_owned();
        assert_eq!(fs::read_dir(&folder).unwrap().count(), 0);
        drop(shell);
        assert!(!folder.exists());
    }

    #[track_caller]
    fn check_result(json: &str, and_then: &str, want: &[(&str, &str)]) {
        check_shell(
            &format!("printf '%s' '{json}' > $TICKOFF_RESULT; {and_then}"),
            want,
        );
    }

    #[test]
    fn the_results_status_wins_over_an_exit() {
        check_result(
            r#"{"STATUS":"NO_ATTACHMENTS","ATTACHMENTS_FOUND":0}"#,
            "exit 3",
            &[("STATUS", "NO_ATTACHMENTS"), ("ATTACHMENTS_FOUND", "0")],
        );
        check_result(
            r#"{"status":"ERROR"}"#,
            "echo no >&2",
            &[("status", "ERROR"), ("ERROR_MESSAGE", "exit 0: no")],
        );
        check_result(
            r#"{"error_message":"mine"}"#,
            "echo no >&2; exit 3",
            &[("error_message", "mine"), ("STATUS", "ERROR")],
        );
    }

    #[test]
    fn the_results_status_does_not_win_over_75_or_a_signal() {
        let result = r#"{"STATUS":"COMPLETED","ERROR_MESSAGE":"","SUPPLIER":"Acme"}"#;
        let killed = "killed by signal 15 (SIGTERM)";
        check_result(
            result,
            "kill $$",
            &[
                ("STATUS", "ERROR"),
                ("ERROR_MESSAGE", killed),
                ("SUPPLIER", "Acme"),
            ],
        );
        check_result(
            "{\"SUPP",
            "kill $$",
            &[("STATUS", "ERROR"), ("ERROR_MESSAGE", killed)],
        );
        let later = shell(&format!(
            "printf '%s' '{result}' > $TICKOFF_RESULT; exit 75"
        ));
        assert_eq!(run(&later), Outcome::Retry("exit 75".into()));
    }

    #[test]
    fn an_invalid_result_is_an_error_that_says_so() {
        let check = |json: &str, problem: &str| {
            let message = format!("invalid TICKOFF_RESULT: {problem}");
            check_result(
                json,
                "exit 0",
                &[("STATUS", "ERROR"), ("ERROR_MESSAGE", &message)],
            );
            let message = format!("exit 3, {message}");
            check_result(
                json,
                "exit 3",
                &[("STATUS", "ERROR"), ("ERROR_MESSAGE", &message)],
            );
        };
        let no_object = "it is not a JSON object of cells:";
        check(
            "",
            &format!("{no_object} EOF while parsing a value at line 1 column 0"),
        );
        check(
            r#"{"x":1} 2"#,
            &format!("{no_object} trailing characters at line 1 column 9"),
        );
        check(
            "[]",
            &format!("{no_object} invalid type: sequence, expected a map at line 1 column 0"),
        );
        let columns = COLUMNS_OF_SHEET.join(", ");
        check(
            r#"{"Colour":"red"}"#,
            &format!("no column Colour in the sheet, which has {columns}"),
        );
        check(
            r#"{"STATUS":"done"}"#,
            "P1: STATUS must be PENDING, COMPLETED, ERROR or NO_ATTACHMENTS, not done",
        );
        check(
            r#"{"STATUS":"pending"}"#,
            "STATUS must be COMPLETED, ERROR or NO_ATTACHMENTS",
        );
        check(
            r#"{"SUPPLIER":"a\u0000"}"#,
            "P1: SUPPLIER may not hold a NUL byte",
        );
        check(
            r#"{"po_number":"P1"}"#,
            "P1: po_number is the key column, which no update may change",
        );
    }

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

    #[test]
    fn a_background_process_that_holds_stderr_is_not_waited_for() {
        let Outcome::Done(updates) = run(&shell("sleep 1000 & echo $! >&2; exit 1")) else {
            panic!("not done")
        };
        let pid = updates
            .get(ERROR_MESSAGE)
            .unwrap()
            .strip_prefix("exit 1: ")
            .unwrap();
        assert!(is_running(pid));
        Command::new("kill").arg(pid).status().unwrap();
    }

    #[test]
    fn a_timeout_ends_the_whole_group_and_says_so() {
        let script =
            r#"sleep 1000 & printf '{"SUPPLIER":"%s"}' $! > $TICKOFF_RESULT; echo slow >&2; wait"#;
        let Outcome::Done(updates) = run(&shell(script).timeout(Duration::from_secs(1))) else {
            panic!("not done")
        };
        assert_eq!(updates.get(STATUS), Some("ERROR"));
        assert_eq!(updates.get(ERROR_MESSAGE), Some("timed out after 1s: slow"));
        assert!(ends(updates.get("SUPPLIER").unwrap()));
    }

    #[test]
    fn a_command_in_time_is_left_alone() {
        let command = shell("sleep 0.1").timeout(Duration::from_secs(60));
        check(&command, &[("STATUS", "COMPLETED")]);
    }

    #[test]
    fn a_command_that_is_broken_off_leaves_its_po_as_it_was() {
        let (outcome, pid) = break_off("sleep 1000 & echo $! > $1; wait");
        assert_eq!(outcome, Outcome::Stopped);
        assert!(ends(&pid));
    }

    #[test]
    fn a_group_that_ignores_sigterm_is_killed() {
        let (outcome, pid) = break_off("trap '' TERM; sleep 1000 & echo $! > $1; wait");
        assert_eq!(outcome, Outcome::Stopped);
        assert!(ends(&pid));
    }

    #[test]
    fn a_process_may_tidy_up_after_its_leader_died() {
        let tidies = "trap 'sleep 0.1; echo tidy > $1; exit' TERM; echo ready > $1; while :; do sleep 0.02; done";
        let (outcome, said) = break_off(&format!("({tidies}) & exec sleep 1000"));
        assert_eq!((outcome, &*said), (Outcome::Stopped, "tidy"));
    }

    #[test]
    fn a_soft_stop_lets_the_command_finish() {
        let stop = Stop::new();
        stop.soon();
        let outcome = shell("sleep 0.1; exit 3").run(&job("P1", &stop));
        assert_eq!(outcome, Outcome::Done(Updates::error("exit 3")));
    }

    #[test]
    fn nothing_is_started_after_a_hard_stop() {
        let stop = Stop::new();
        stop.now();
        let never = command(&["no such program"]);
        assert_eq!(never.run(&job("P1", &stop)), Outcome::Stopped);
    }

    #[test]
    fn what_cannot_be_started_is_an_error() {
        let message = "cannot start: /no\\u{1b}/P1: No such file or directory (os error 2)";
        check(
            &command(&["/no\u{1b}/{}"]),
            &[("STATUS", "ERROR"), ("ERROR_MESSAGE", message)],
        );

        let folder = tempfile::tempdir().unwrap();
        let script = folder.path().join("script");
        fs::write(&script, "echo hello\n").unwrap();
        fs::set_permissions(&script, Permissions::from_mode(0o755)).unwrap();
        let script = script.to_str().unwrap();
        let message = format!(
            "cannot start: {script}: Exec format error (os error 8) (a script needs a first line like #!/bin/sh)"
        );
        check(
            &command(&[script]),
            &[("STATUS", "ERROR"), ("ERROR_MESSAGE", &message)],
        );
    }

    #[test]
    fn exit_codes_are_seen_by_a_process_that_inherited_an_ignored_sigchld() {
        if std::env::var_os("TICKOFF_TEST_SIGCHLD").is_some() {
            assert!(is_ignored(libc::SIGCHLD));
            return check_error("exit 3", "exit 3");
        }
        let status = Command::new("env")
            .arg("--ignore-signal=CHLD")
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture"])
            .arg("command::tests::exit_codes_are_seen_by_a_process_that_inherited_an_ignored_sigchld")
            .env("TICKOFF_TEST_SIGCHLD", "1")
            .stdout(Stdio::null())
            .status();
        assert!(status.unwrap().success());
    }

    #[test]
    fn a_shortage_is_no_failure_of_the_po() {
        let outcome = not_started("x".as_ref(), &Errno::AGAIN.into());
        assert!(
            matches!(outcome, Outcome::Retry(message) if message.starts_with("cannot start: x: "))
        );
    }

    #[test]
    fn a_program_is_found_as_execvp_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        for (file, mode) in [
            (first.join("a"), 0o644),
            (first.join("b"), 0o644),
            (second.join("b"), 0o755),
        ] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        }
        let path = std::env::join_paths([&first, &second]).unwrap();
        let find = |program: &Path| {
            find_program(program.as_os_str(), &path).map_err(|error| error.exit_code())
        };
        assert_eq!(find(Path::new("a")), Err(126));
        assert_eq!(find(Path::new("b")), Ok(()));
        assert_eq!(find(Path::new("c")), Err(127));
        assert_eq!(find(Path::new("")), Err(127));
        assert_eq!(find(&second.join("b")), Ok(()));
        assert_eq!(find(&second), Err(126));
        assert_eq!(find(&second.join("b/c")), Err(127));
    }

    #[test]
    fn a_program_is_checked_before_anything_starts() {
        assert_eq!(template(&["sh", "{}"]).resolve_program(), Ok(()));
        assert_eq!(template(&["/no/{}"]).resolve_program(), Ok(()));
        let missing = template(&["/no/\u{1b}"]).resolve_program().unwrap_err();
        assert_eq!(missing.to_string(), "/no/\\u{1b} is not found");
        assert_eq!(
            template(&["/tmp"])
                .resolve_program()
                .unwrap_err()
                .to_string(),
            "/tmp cannot be executed: it is a folder, or lacks the permission (chmod +x)"
        );
    }
}
