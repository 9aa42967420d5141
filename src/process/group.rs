//! A started process in a session of its own, of which nothing is left when it is broken off.
//!
//! What left the group, or lost its parent, is found among the leader's descendants and the program's orphans, or in a
//! cgroup (`tree`, `orphans`, `leaves`).
//!
//! It has no terminal, unless it is to have ours: what asks there is told at once that there is none, and nobody is
//! stopped for ever.
//!
//! The group is signalled only while its leader has not been reaped: until then the system cannot give
//! its number to anybody else. So the leader is reaped here alone, after the last signal.
//!
//! An exit is noticed without reaping and without the end of a pipe, which a background process may hold
//! open for ever.
//!
//! A process that cannot be killed, because it hangs in the kernel on a dead network mount or runs as
//! another user, holds its worker until it ends.

use std::collections::BTreeMap;
use std::fs::{File, OpenOptions};
use std::io::{self, PipeReader, PipeWriter};
use std::os::fd::OwnedFd;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::process::orphans::{Adopted, left_to_end};
use crate::process::poll::until;
use crate::process::shortage::despite_shortage;
use crate::process::signals::OF_A_SERVICE;
use crate::process::tree::{self, with_descendants};
use crate::run::stop::lock;
use crate::run::{Ending, Stop};
use crate::sys::exit::Exit;
use crate::sys::foreground::Lent;
use crate::sys::group;
use crate::sys::poll::Pipe;
use crate::sys::processes::{self, Process};
use crate::sys::spawn::{Child, Command, spawn};
use crate::sys::suspend;
use crate::text::Escaped;

/// How long the processes of a command have, after SIGTERM, to end before they are killed.
pub const GRACE: Duration = Duration::from_secs(1);

/// How often it is looked whether a process is stopped.
const STOPPED_LOOK: Duration = Duration::from_secs(2);
/// How long a process that was asked to end, or has the terminal, is given before the next look.
const SHORT_LOOK: Duration = Duration::from_millis(20);

/// The leaders of the groups of this process that are there and not reaped, and where their orphans are found.
static LIVE: Mutex<BTreeMap<i32, Option<Arc<Adopted>>>> = Mutex::new(BTreeMap::new());

/// Kills all that commands and workers of this process are doing, without waiting for it.
pub fn kill_all() {
    // None of them is reaped meanwhile.
    let live = lock(&LIVE);
    let started = live
        .iter()
        .flat_map(|(&leader, adopted)| processes(leader, adopted.as_ref()));
    let started: Vec<_> = started.chain(left_to_end()).collect();
    for (&leader, adopted) in live.iter() {
        group::kill_led_by(leader).ok();
        adopted.iter().for_each(|adopted| adopted.kill(leader));
    }
    started.iter().for_each(Process::kill);
}

/// A started process and all that it starts. Dropping it kills what is left.
pub(super) struct Group {
    leader: Child,
    exit: Exit,
    is_reaped: bool,
    /// Where its orphans are found, if anybody adopts them.
    adopted: Option<Arc<Adopted>>,
    /// When it is to be looked again whether something is stopped; `None` once that was told.
    next_look: Option<Instant>,
    /// The terminal, if the command is on ours.
    lent: Option<Lent>,
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
        adopted: Option<&Arc<Adopted>>,
        stop: &Stop,
    ) -> io::Result<Option<(Group, Pipes)>> {
        let Some((leader, pipes)) = spawn_patiently(command, stdio, adopted, stop)? else {
            return Ok(None);
        };
        lock(&LIVE).insert(leader.id(), adopted.cloned());
        if let Some(adopted) = adopted {
            let find = || processes(leader.id(), Some(adopted));
            adopted.take_into_leaf(leader.id(), find);
        }
        let what = || String::from("a process that was started cannot be watched");
        match despite_shortage(what, stop, || Exit::of(&leader)) {
            Ok(Some(exit)) => {
                let mut group = Group {
                    leader,
                    exit,
                    is_reaped: false,
                    adopted: adopted.cloned(),
                    next_look: Some(Instant::now() + STOPPED_LOOK),
                    lent: None,
                };
                if command.is_on_our_terminal() {
                    group.lend_terminal()?;
                }
                Ok(Some((group, pipes)))
            }
            other => {
                end(&leader, adopted);
                other.map(|_| None)
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

    /// Asks every process that the leader started to end: the job is broken off.
    pub(super) fn terminate(&self) {
        if let Some(adopted) = &self.adopted {
            adopted.job_is_broken_off();
        }
        self.ask_to_end();
    }

    fn ask_to_end(&self) {
        let leader = self.leader.id();
        let has_left = |process: &&Process| process.group != leader;
        let found = self.processes();
        found.iter().filter(has_left).for_each(Process::terminate);
        warn_unless_signalled(&self.leader, group::terminate(&self.leader));
    }

    /// Kills every process that the leader started, and the leader.
    pub(super) fn kill(&self) {
        let in_cgroup = |act: fn(&Adopted, i32)| {
            if let Some(adopted) = &self.adopted {
                act(adopted, self.leader.id());
            }
        };
        let left = tree::kill_all(
            || self.processes(),
            || {
                in_cgroup(Adopted::freeze);
                warn_unless_signalled(&self.leader, group::stop(&self.leader));
            },
            || {
                in_cgroup(Adopted::kill);
                warn_unless_signalled(&self.leader, group::kill(&self.leader));
            },
        );
        for process in left {
            let (pid, name) = (process.pid(), Escaped::text(&process.name));
            warn!(pid, %name, "a process of a job does not end though it was killed");
        }
    }

    fn lend_terminal(&mut self) -> io::Result<()> {
        self.next_look = Some(Instant::now() + SHORT_LOOK);
        self.lent = Some(Lent::to(&self.leader)?);
        Ok(())
    }

    /// If Ctrl-Z has stopped the processes, stops ourselves, so that the shell has its terminal, until both go on.
    fn stop_as_well(&mut self) {
        self.lent = None;
        suspend::as_by_default();
        if let Err(error) = self.lend_terminal() {
            warn!(%error, "the terminal cannot be given to the job again");
        }
    }

    /// Says once if one of the processes is stopped: the job of this key waits for it, and for ever unless somebody
    /// lets it go on.
    pub(super) fn tell_if_stopped(&mut self, key: &str) {
        let now = Instant::now();
        if self.next_look.is_none_or(|at| now < at) {
            return;
        }
        self.next_look = Some(now + STOPPED_LOOK);
        if self.lent.is_some() {
            self.next_look = Some(now + SHORT_LOOK);
            let leader = Process::open(self.leader.id());
            if leader.is_some_and(|leader| leader.is_stopped()) {
                self.stop_as_well();
            }
            return;
        }
        if let Some(stopped) = self.processes().iter().find(|process| process.is_stopped()) {
            self.next_look = None;
            let pid = stopped.pid();
            warn!(
                key = %Escaped::text(key),
                "the job waits for a process that is stopped, {}: kill -CONT {pid} lets it go on",
                Escaped::text(&stopped.name)
            );
        }
    }

    /// Whether the leader's end is the end of all that it started, as far as that can be told.
    pub(super) fn is_alone(&self) -> bool {
        let leader = self.leader.id();
        self.processes()
            .iter()
            .all(|process| process.pid() == leader)
    }

    /// Ends what a leader that ended by itself left behind, if that is wanted. All of it was adopted by then.
    pub(super) fn end_leftovers(&self) {
        let leader = self.leader.id();
        let adopted = self.adopted.iter();
        let mut adopted = adopted.filter(|adopted| adopted.kills_leftovers());
        if adopted.all(|adopted| adopted.of(leader).is_empty()) {
            return;
        }
        self.ask_to_end();
        let deadline = Instant::now() + GRACE;
        while !self.is_alone() && !until(deadline).is_zero() {
            thread::sleep(SHORT_LOOK);
        }
        self.kill();
    }

    fn processes(&self) -> Vec<Process> {
        processes(self.leader.id(), self.adopted.as_ref())
    }

    /// Whether the leader, which has not been reaped, handles a signal for a whole service.
    pub(super) fn handles_signals(&self) -> bool {
        processes::handles(self.leader.id(), &OF_A_SERVICE)
    }

    /// Waits for the leader's end and takes its exit code. No process of the group is signalled any
    /// more.
    pub(super) fn reap(&mut self) -> io::Result<Ending> {
        self.is_reaped = true;
        self.lent = None;
        // Others may start and end meanwhile; reaping itself takes no time.
        while let Ok((false, [])) = self.exit.or_ready_within([], Duration::MAX) {}
        lock(&LIVE).remove(&self.leader.id());
        reap(&self.leader, self.adopted.as_ref())
    }
}

impl Drop for Group {
    /// Nothing is left running and nothing unreaped.
    fn drop(&mut self) {
        if !self.is_reaped {
            self.kill();
            let reaped = self.reap();
            warn_unless_reaped(&self.leader, reaped);
        }
    }
}

/// A leader and what it started, without what has ended.
fn processes(leader: i32, adopted: Option<&Arc<Adopted>>) -> Vec<Process> {
    let orphans = adopted.into_iter().flat_map(|adopted| adopted.of(leader));
    with_descendants(Process::open(leader).into_iter().chain(orphans).collect())
}

fn spawn_patiently(
    command: &mut Command,
    stdio: &[Given; 3],
    adopted: Option<&Arc<Adopted>>,
    stop: &Stop,
) -> io::Result<Option<(Child, Pipes)>> {
    let program = command.program().to_owned();
    let what = || {
        let program = program.to_string_lossy();
        format!("{} cannot be started", Escaped::text(&program))
    };
    despite_shortage(what, stop, || match adopted {
        Some(adopted) => adopted.start(command, |command| start(command, stdio)),
        None => start(command, stdio),
    })
}

fn start(command: &Command, [stdin, stdout, stderr]: &[Given; 3]) -> io::Result<(Child, Pipes)> {
    let (given_in, stdin) = stdin.as_input()?;
    let (given_out, stdout) = stdout.as_output()?;
    let (given_err, stderr) = stderr.as_output()?;
    let given = [&given_in, &given_out, &given_err].map(Option::as_ref);
    let child = spawn(command, given)?;
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

/// Ends a process whose end cannot be seen otherwise.
fn end(leader: &Child, adopted: Option<&Arc<Adopted>>) {
    adopted.iter().for_each(|adopted| adopted.kill(leader.id()));
    warn_unless_signalled(leader, group::kill(leader));
    lock(&LIVE).remove(&leader.id());
    warn_unless_reaped(leader, reap(leader, adopted));
}

fn reap(leader: &Child, adopted: Option<&Arc<Adopted>>) -> io::Result<Ending> {
    let ended = match adopted {
        Some(adopted) => adopted.reap(leader, || leader.wait()),
        None => leader.wait(),
    };
    Ok(ended?.into())
}

fn warn_unless_reaped(leader: &Child, reaped: io::Result<Ending>) {
    if let Err(error) = reaped {
        warn!(pid = leader.id(), %error, "a command could not be waited for");
    }
}

fn warn_unless_signalled(leader: &Child, signalled: io::Result<()>) {
    if let Err(error) = signalled {
        warn!(pid = leader.id(), %error, "the processes of a command could not be signalled");
    }
}
