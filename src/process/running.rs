//! One run of a command: waiting for its end or bringing that about, while its stderr is taken in.
//!
//! The thread of the worker does both, with one wait for the exit and the pipes together. What is in a
//! pipe when the command exits is read, and no more: a background process may hold it open for ever. A pipe
//! whose printer has no room is not read, and the command waits in its write.

use std::fs::File;
use std::io::{self, PipeReader, Read, Write};
use std::os::fd::AsFd;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tracing::warn;

use crate::process::ends::Ends;
use crate::process::group::{GRACE, Given, Group};
use crate::process::orphans::Adopted;
use crate::process::poll::{STOP_CHECK, next_look, until};
use crate::process::printing::Printing;
use crate::process::tail::Tail;
use crate::run::{Ending, Stop, StopLevel};
use crate::sys::foreground;
use crate::sys::poll::{Pipe, bytes_in, ready_within};
use crate::sys::spawn::Command;

/// How much is read at once: what a pipe holds.
const CHUNK: usize = 64 << 10;

/// A started command that has not been reaped.
pub(super) struct Running {
    group: Group,
    stderr: Output<Tail>,
    /// Open only if it is wanted or printed.
    stdout: Output<Ends>,
}

/// How a command ended, and what it said.
pub(super) struct Ended {
    /// Its own exit code also if it was asked to end because the run is to end now.
    pub(super) ending: Ending,
    /// Whether it was asked to.
    pub(super) was_stopped: bool,
    /// Whether it handled a signal that who ends a service sends to all of it.
    pub(super) handles_signals: bool,
    /// The end of it.
    pub(super) stderr: String,
    /// Empty unless it was wanted.
    pub(super) stdout: Ends,
}

/// Where what a command says on one of its outputs goes besides.
#[derive(Default)]
pub(super) struct Places {
    /// A file for all of it.
    pub(super) kept: Option<File>,
    pub(super) printed: Option<Printing>,
}

impl Running {
    /// Starts the command, as [`Group::spawn`] does. What it says on stdout comes back if that is wanted; where
    /// it neither comes back nor is printed, the command writes to the file itself, or to the program's own
    /// stdout.
    pub(super) fn spawn(
        command: &mut Command,
        mut stdout: Places,
        stderr: Places,
        is_stdout_wanted: bool,
        adopted: Option<&Arc<Adopted>>,
        stop: &Stop,
    ) -> io::Result<Option<Running>> {
        let given_out = match is_stdout_wanted || stdout.printed.is_some() {
            true => Given::Pipe,
            false => stdout.kept.take().map_or(Given::Ours, Given::File),
        };
        let (given_in, given_err) = match command.is_on_our_terminal() {
            true => (Given::File(foreground::open()?), Given::Ours),
            false => (Given::Nothing, Given::Pipe),
        };
        let stdio = [given_in, given_out, given_err];
        let started = Group::spawn(command, &stdio, adopted, stop)?;
        Ok(started.map(|(group, pipes)| Running {
            group,
            stderr: Output::of("stderr", pipes.stderr, stderr),
            stdout: Output::of("stdout", pipes.stdout, stdout),
        }))
    }

    /// Waits for the end, or brings it about; nothing that the command started is left in that case.
    pub(super) fn wait(
        mut self,
        key: &str,
        timeout: Option<Duration>,
        stop: &Stop,
    ) -> io::Result<Ended> {
        let mut deadline = timeout.and_then(|timeout| Instant::now().checked_add(timeout));
        let mut broken_off = None;
        loop {
            // Asked before the look: this process may be stopped behind it, while the command ends in time.
            let is_due = deadline.is_some_and(|at| until(at).is_zero());
            let is_now = stop.level() == StopLevel::Now;
            let wait = match is_now && broken_off.is_none() {
                true => Duration::ZERO,
                false => next_look(deadline),
            };
            if self.exits_within(wait)? {
                break;
            }
            if broken_off.is_some() {
                if is_due {
                    self.group.kill();
                    deadline = None;
                }
                continue;
            }
            self.group.tell_if_stopped(key);
            broken_off = match timeout {
                _ if is_now => Some(Ending::Stopped),
                Some(timeout) if is_due => Some(Ending::TimedOut(timeout)),
                _ => continue,
            };
            self.group.terminate();
            deadline = Some(Instant::now() + GRACE);
        }
        if broken_off.is_some() {
            // The leader is gone; the others have what is left of the grace.
            while let Some(at) = deadline
                && !until(at).is_zero()
                && (self.stderr.is_open() || !self.group.is_alone())
            {
                let pipes = [self.stdout.readable(), self.stderr.readable()];
                let ready = ready_within(pipes, until(at).min(STOP_CHECK))?;
                self.read(ready)?;
            }
            self.group.kill();
        } else {
            self.group.end_leftovers();
        }
        self.stdout.finish()?;
        self.stderr.finish()?;
        let handles_signals = self.group.handles_signals();
        let ending = match (broken_off, self.group.reap()?) {
            (Some(Ending::Stopped), ending @ Ending::Exit(_)) => ending,
            (Some(broken_off), _) => broken_off,
            (None, ending) => ending,
        };
        Ok(Ended {
            ending,
            was_stopped: broken_off == Some(Ending::Stopped),
            handles_signals,
            stderr: self.stderr.end.text(),
            stdout: self.stdout.end,
        })
    }

    /// Takes in what the command says until it exits or the time is over; whether it has exited.
    fn exits_within(&mut self, time: Duration) -> io::Result<bool> {
        let pipes = [self.stdout.readable(), self.stderr.readable()];
        let (has_exited, ready) = self.group.exits_or_ready_within(pipes, time)?;
        self.read(ready)?;
        Ok(has_exited)
    }

    fn read(&mut self, [stdout, stderr]: [bool; 2]) -> io::Result<()> {
        if stdout {
            self.stdout.read()?;
        }
        if stderr {
            self.stderr.read()?;
        }
        Ok(())
    }
}

/// What is kept of an output in memory.
trait Keep: Default {
    fn push(&mut self, bytes: &[u8]);
}

impl Keep for Tail {
    fn push(&mut self, bytes: &[u8]) {
        Tail::push(self, bytes);
    }
}

impl Keep for Ends {
    fn push(&mut self, bytes: &[u8]) {
        Ends::push(self, bytes);
    }
}

/// What a command writes to one of its outputs: as much as is wanted of it, and the other places for all of it.
///
/// To stderr the command writes through a pipe in any case: its end tells when the last process is gone.
struct Output<K> {
    name: &'static str,
    pipe: Option<PipeReader>,
    places: Places,
    end: K,
}

impl<K: Keep> Output<K> {
    fn of(name: &'static str, pipe: Option<PipeReader>, places: Places) -> Self {
        let end = K::default();
        Output {
            name,
            pipe,
            places,
            end,
        }
    }

    fn is_open(&self) -> bool {
        self.pipe.is_some()
    }

    /// What to wait for; nothing while there is no room for it.
    fn readable(&self) -> Option<Pipe<'_>> {
        let has_room = |printed: &Printing| printed.has_room();
        let pipe = self.pipe.as_ref();
        pipe.filter(|_| self.places.printed.as_ref().is_none_or(has_room))
            .map(|pipe| Pipe::Readable(pipe.as_fd()))
    }

    /// Reads once, and blocks unless there is something to read.
    fn read(&mut self) -> io::Result<usize> {
        let Some(pipe) = &mut self.pipe else {
            return Ok(0);
        };
        let mut chunk = [0; CHUNK];
        let length = match pipe.read(&mut chunk) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(0),
            read => read?,
        };
        if length == 0 {
            self.pipe = None;
        }
        if let Some(printed) = &mut self.places.printed {
            printed.push(&chunk[..length]);
        }
        if let Some(Err(error)) = self
            .places
            .kept
            .as_mut()
            .map(|file| file.write_all(&chunk[..length]))
        {
            let name = self.name;
            warn!(%error, "the rest of what a command says on {name} is not kept");
            self.places.kept = None;
        }
        self.end.push(&chunk[..length]);
        Ok(length)
    }

    /// Empties the pipe of what it holds now, however fast others go on filling it.
    fn finish(&mut self) -> io::Result<()> {
        let mut left = self.pipe.as_ref().map_or(Ok(0), bytes_in)?;
        while left > 0 && self.is_open() {
            left = left.saturating_sub(self.read()? as u64);
        }
        if let Some(printed) = &mut self.places.printed {
            printed.end();
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::path::Path;
    use std::thread;

    use super::*;
    use crate::domain::columns::{ERROR_MESSAGE, STATUS};
    use crate::process::sample::{check, check_error, command, job, run, shell};
    use crate::run::Outcome;
    use crate::sheet::Updates;
    use crate::text::MAX_ERROR_CHARS;

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
        std::process::Command::new("kill")
            .arg(pid)
            .status()
            .unwrap();
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
}
