//! A started process in a session of its own, of which nothing is left when it is broken off.
//!
//! It has no terminal: what asks there is told at once that there is none, and nobody is stopped for ever.
//!
//! The group is signalled only while its leader has not been reaped: until then the system cannot give
//! its number to anybody else. So the leader is reaped here alone, after the last signal.
//!
//! An exit is noticed without reaping and without the end of a pipe, which a background process may hold
//! open for ever.
//!
//! A process that cannot be killed, because it hangs in the kernel on a dead network mount or runs as
//! another user, holds its worker until it ends.

use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::run::{Ending, Stop};
use crate::sys::exit::Exit;
use crate::sys::group;
use crate::sys::poll::Pipe;
use crate::sys::program::is_shortage;
use crate::sys::spawn::{Child, Command, Terminal, spawn};
use crate::text::Escaped;

/// How long the processes of a command have, after SIGTERM, to end before they are killed.
pub const GRACE: Duration = Duration::from_secs(1);

/// How long a start waits that failed because the system was short of something. Each further wait is
/// twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A start that still waits when the next wait is as long as this is told of.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// A started process and all that it starts. Dropping it kills what is left.
pub(super) struct Group {
    leader: Child,
    exit: Exit,
    is_reaped: bool,
}

/// What a process has as its stdin, stdout or stderr.
pub(super) enum Given {
    /// An empty file.
    Nothing,
    /// A pipe whose other end is ours.
    Pipe,
    File(File),
    /// The program's own.
    Ours,
}

/// Our ends of a started process's pipes, as far as it was given any.
pub(super) struct Pipes {
    pub(super) stdin: Option<PipeWriter>,
    pub(super) stdout: Option<PipeReader>,
    pub(super) stderr: Option<PipeReader>,
}

impl Group {
    /// Starts the command in a session of its own. If the system is short of processes or memory, or
    /// somebody is just writing the program, waits until it can be started; `None` if the run is stopped
    /// meanwhile.
    pub(super) fn spawn(
        command: &mut Command,
        stdio: &[Given; 3],
        stop: &Stop,
    ) -> io::Result<Option<(Group, Pipes)>> {
        let Some((leader, pipes)) = spawn_patiently(command, stdio, stop)? else {
            return Ok(None);
        };
        match Exit::of(&leader) {
            Ok(exit) => {
                let group = Group {
                    leader,
                    exit,
                    is_reaped: false,
                };
                Ok(Some((group, pipes)))
            }
            Err(error) => {
                end(&leader);
                Err(error)
            }
        }
    }

    /// Waits until the leader has exited or one of these pipes is ready, or for so long; whether it
    /// has, and which are. Returns early when a signal handler ran on this thread.
    pub(super) fn exits_or_ready_within<const N: usize>(
        &self,
        pipes: [Option<Pipe<'_>>; N],
        time: Duration,
    ) -> io::Result<(bool, [bool; N])> {
        self.exit.or_ready_within(pipes, time)
    }

    /// Whether the leader exits within this time. False too if a signal handler ran on this thread, or
    /// the system does not say.
    pub(super) fn exits_within(&self, time: Duration) -> bool {
        let waited = self.exit.or_ready_within([], time);
        waited.is_ok_and(|(has_exited, [])| has_exited)
    }

    /// Asks every process of the group to end.
    pub(super) fn terminate(&self) {
        warn_unless_signalled(&self.leader, group::terminate(&self.leader));
    }

    /// Kills every process of the group.
    pub(super) fn kill(&self) {
        warn_unless_signalled(&self.leader, group::kill(&self.leader));
    }

    /// Waits for the leader's end and takes its exit code. No process of the group is signalled any
    /// more.
    pub(super) fn reap(&mut self) -> io::Result<Ending> {
        self.is_reaped = true;
        Ok(self.leader.wait()?.into())
    }
}

impl Drop for Group {
    /// Nothing is left running and nothing unreaped.
    fn drop(&mut self) {
        if !self.is_reaped {
            end(&self.leader);
        }
    }
}

fn spawn_patiently(
    command: &Command,
    stdio: &[Given; 3],
    stop: &Stop,
) -> io::Result<Option<(Child, Pipes)>> {
    let mut wait = FIRST_WAIT;
    loop {
        let error = match start(command, stdio) {
            Err(error) if is_shortage(&error) => error,
            spawned => return spawned.map(Some),
        };
        if (WORTH_TELLING..2 * WORTH_TELLING).contains(&wait) {
            let program = command.program().to_string_lossy();
            warn!(
                "{} cannot be started yet, and is tried again: {error}",
                Escaped::text(&program)
            );
        }
        stop.sleep_until(Instant::now() + wait);
        if stop.is_requested() {
            return Ok(None);
        }
        wait = (2 * wait).min(LONGEST_WAIT);
    }
}

fn start(command: &Command, [stdin, stdout, stderr]: &[Given; 3]) -> io::Result<(Child, Pipes)> {
    let (given_in, stdin) = stdin.as_input()?;
    let (given_out, stdout) = stdout.as_output()?;
    let (given_err, stderr) = stderr.as_output()?;
    let given = [&given_in, &given_out, &given_err].map(Option::as_ref);
    let child = spawn(command, given, Terminal::None)?;
    let pipes = Pipes {
        stdin,
        stdout,
        stderr,
    };
    Ok((child, pipes))
}

impl Given {
    /// What the process gets, if that is not ours, and our end of a pipe.
    fn as_input(&self) -> io::Result<(Option<OwnedFd>, Option<PipeWriter>)> {
        match self {
            Given::Pipe => {
                let (reader, writer) = io::pipe()?;
                Ok((Some(reader.into()), Some(writer)))
            }
            _ => Ok((self.as_file(File::options().read(true))?, None)),
        }
    }

    /// The same, of an output.
    fn as_output(&self) -> io::Result<(Option<OwnedFd>, Option<PipeReader>)> {
        match self {
            Given::Pipe => {
                let (reader, writer) = io::pipe()?;
                Ok((Some(writer.into()), Some(reader)))
            }
            _ => Ok((self.as_file(File::options().write(true))?, None)),
        }
    }

    fn as_file(&self, access: &OpenOptions) -> io::Result<Option<OwnedFd>> {
        match self {
            Given::Nothing => Ok(Some(access.open("/dev/null")?.into())),
            Given::File(file) => Ok(Some(file.try_clone()?.into())),
            Given::Pipe | Given::Ours => Ok(None),
        }
    }
}

fn end(leader: &Child) {
    warn_unless_signalled(leader, group::kill(leader));
    if let Err(error) = leader.wait() {
        warn!(pid = leader.id(), %error, "a command could not be waited for");
    }
}

fn warn_unless_signalled(leader: &Child, signalled: io::Result<()>) {
    if let Err(error) = signalled {
        warn!(pid = leader.id(), %error, "the processes of a command could not be signalled");
    }
}
