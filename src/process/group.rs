//! A started process in a group of its own, of which nothing is left when it is broken off.
//!
//! The group is signalled only while its leader has not been reaped: until then the system cannot give
//! its number to anybody else. So the leader is reaped here alone, after the last signal.
//!
//! An exit is noticed without reaping and without the end of a pipe, which a background process may hold
//! open for ever.
//!
//! A process that cannot be killed, because it hangs in the kernel on a dead network mount or runs as
//! another user, holds its worker until it ends.

use std::collections::BTreeSet;
use std::io;
use std::os::unix::process::CommandExt;
use std::process::{Child, ChildStderr, ChildStdin, ChildStdout, Command};
use std::sync::Mutex;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::run::stop::lock;
use crate::run::{Ending, Stop};
use crate::sys::exit::Exit;
use crate::sys::group;
use crate::sys::poll::Pipe;
use crate::sys::program::is_shortage;
use crate::text::Escaped;

/// How long the processes of a command have, after SIGTERM, to end before they are killed.
pub const GRACE: Duration = Duration::from_secs(1);

/// How long a start waits that failed because the system was short of something. Each further wait is
/// twice as long, up to the longest.
const FIRST_WAIT: Duration = Duration::from_millis(20);
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// A start that still waits when the next wait is as long as this is told of.
const WORTH_TELLING: Duration = Duration::from_secs(1);

/// The groups of this process that are there and not reaped.
static LIVE: Mutex<BTreeSet<u32>> = Mutex::new(BTreeSet::new());

/// Kills all that commands and workers of this process are doing, without waiting for it.
pub fn kill_all() {
    // None of them is reaped meanwhile.
    for &leader in lock(&LIVE).iter() {
        group::kill_led_by(leader).ok();
    }
}

/// A started process and all that it starts. Dropping it kills what is left.
pub(super) struct Group {
    leader: Child,
    exit: Exit,
    is_reaped: bool,
}

/// The ends of a started process's pipes, as far as it was given any.
pub(super) struct Pipes {
    pub(super) stdin: Option<ChildStdin>,
    pub(super) stdout: Option<ChildStdout>,
    pub(super) stderr: Option<ChildStderr>,
}

impl Group {
    /// Starts the command in a process group of its own. If the system is short of processes or memory, or
    /// somebody is just writing the program, waits until it can be started; `None` if the run is stopped
    /// meanwhile. Nothing is set that would keep the standard library from `posix_spawn`: a fork of a
    /// process with large maps is slow.
    pub(super) fn spawn(command: &mut Command, stop: &Stop) -> io::Result<Option<(Group, Pipes)>> {
        command.process_group(0);
        let Some(mut leader) = spawn_patiently(command, stop)? else {
            return Ok(None);
        };
        lock(&LIVE).insert(leader.id());
        let pipes = Pipes {
            stdin: leader.stdin.take(),
            stdout: leader.stdout.take(),
            stderr: leader.stderr.take(),
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
                end(&mut leader);
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
        lock(&LIVE).remove(&self.leader.id());
        Ok(self.leader.wait()?.into())
    }
}

impl Drop for Group {
    /// Nothing is left running and nothing unreaped.
    fn drop(&mut self) {
        if !self.is_reaped {
            end(&mut self.leader);
        }
    }
}

fn spawn_patiently(command: &mut Command, stop: &Stop) -> io::Result<Option<Child>> {
    let mut wait = FIRST_WAIT;
    loop {
        let error = match command.spawn() {
            Err(error) if is_shortage(&error) => error,
            spawned => return spawned.map(Some),
        };
        if (WORTH_TELLING..2 * WORTH_TELLING).contains(&wait) {
            let program = command.get_program().to_string_lossy();
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

fn end(leader: &mut Child) {
    warn_unless_signalled(leader, group::kill(leader));
    lock(&LIVE).remove(&leader.id());
    if let Err(error) = leader.wait() {
        warn!(pid = leader.id(), %error, "a command could not be waited for");
    }
}

fn warn_unless_signalled(leader: &Child, signalled: io::Result<()>) {
    if let Err(error) = signalled {
        warn!(pid = leader.id(), %error, "the processes of a command could not be signalled");
    }
}
