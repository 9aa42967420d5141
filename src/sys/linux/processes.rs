//! Other processes, from /proc (proc(5)): who started whom, and with what.
//!
//! A process is held by a pidfd while it is looked at and signalled: a number may come to mean another one. Where
//! there is no `/proc`, or it does not tell children (CONFIG_PROC_CHILDREN), nobody is found.

use std::fs;
use std::os::fd::OwnedFd;

use rustix::process::{
    Pid, PidfdFlags, Signal, WaitOptions, getpid, pidfd_open, pidfd_send_signal,
    set_child_subreaper, waitpid,
};

/// From now on what loses its parent, and was started by this process or by what that started, is a child of this
/// process.
pub(crate) fn adopt_orphans() -> std::io::Result<()> {
    Ok(set_child_subreaper(Some(getpid()))?)
}

/// A process that is there, or was when it was looked at.
#[derive(Debug)]
pub(crate) struct Process {
    pid: Pid,
    handle: OwnedFd,
    /// What it calls itself, at most 15 bytes.
    pub(crate) name: String,
    state: u8,
    pub(crate) group: i32,
    pub(crate) session: i32,
    /// When it was started, in the system's ticks.
    started: u64,
}

impl Process {
    pub(crate) fn open(pid: i32) -> Option<Process> {
        let pid = Pid::from_raw(pid)?;
        let handle = pidfd_open(pid, PidfdFlags::empty()).ok()?;
        let stat = fs::read(format!("/proc/{}/stat", pid.as_raw_nonzero())).ok()?;
        let stat = String::from_utf8_lossy(&stat);
        // The name may hold blanks and brackets.
        let (name, rest) = stat.split_once('(')?.1.rsplit_once(") ")?;
        let fields: Vec<_> = rest.split(' ').collect();
        Some(Process {
            pid,
            handle,
            name: name.to_owned(),
            state: *fields.first()?.as_bytes().first()?,
            group: fields.get(2)?.parse().ok()?,
            session: fields.get(3)?.parse().ok()?,
            started: fields.get(19)?.parse().ok()?,
        })
    }

    pub(crate) fn pid(&self) -> i32 {
        self.pid.as_raw_nonzero().get()
    }

    /// No other process of this machine has the same.
    pub(crate) fn identity(&self) -> (i32, u64) {
        (self.pid(), self.started)
    }

    /// Whether it has ended, and waits to be reaped.
    pub(crate) fn has_ended(&self) -> bool {
        matches!(self.state, b'Z' | b'X')
    }

    /// Whether a signal or a terminal stopped it.
    pub(crate) fn is_stopped(&self) -> bool {
        self.state == b'T'
    }

    /// A variable of the environment that it was started with; `None` too if it may not be asked.
    pub(crate) fn variable(&self, name: &str) -> Option<String> {
        let environment = fs::read(format!("/proc/{}/environ", self.pid())).ok()?;
        let value = environment
            .split(|&byte| byte == 0)
            .find_map(|variable| variable.strip_prefix(name.as_bytes())?.strip_prefix(b"="))?;
        Some(String::from_utf8_lossy(value).into_owned())
    }

    /// Those that it started and that are still its own.
    pub(crate) fn children(&self) -> Vec<Process> {
        let threads = fs::read_dir(format!("/proc/{}/task", self.pid()));
        let threads = threads.into_iter().flatten().flatten();
        threads
            .flat_map(|thread| children_in(&thread.path().join("children"), |_| true))
            .collect()
    }

    /// Asks it to end (SIGTERM).
    pub(crate) fn terminate(&self) {
        self.signal(Signal::TERM);
    }

    /// Keeps it from doing anything (SIGSTOP).
    pub(crate) fn stop(&self) {
        self.signal(Signal::STOP);
    }

    /// Ends it (SIGKILL).
    pub(crate) fn kill(&self) {
        self.signal(Signal::KILL);
    }

    /// Fails silently: it may have ended, or be somebody else's.
    fn signal(&self, signal: Signal) {
        pidfd_send_signal(&self.handle, signal).ok();
    }

    /// Takes a child of this process that has ended from the system.
    pub(crate) fn reap(&self) {
        waitpid(Some(self.pid), WaitOptions::NOHANG).ok();
    }
}

/// The children of this process's first thread, but those that are known: what it adopted, and what that thread
/// started.
pub(crate) fn adopted(is_known: impl Fn(i32) -> bool) -> Vec<Process> {
    let pid = getpid().as_raw_nonzero();
    let list = format!("/proc/self/task/{pid}/children");
    children_in(list.as_ref(), |pid| !is_known(pid))
}

fn children_in(list: &std::path::Path, is_wanted: impl Fn(i32) -> bool) -> Vec<Process> {
    let pids = fs::read_to_string(list).unwrap_or_default();
    let pids = pids.split_whitespace().filter_map(|pid| pid.parse().ok());
    pids.filter(|&pid| is_wanted(pid))
        .filter_map(Process::open)
        .collect()
}

/// Whether a process, which may have ended but was not reaped, handles one of these signals.
pub(crate) fn handles(pid: i32, signals: &[i32]) -> bool {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap_or_default();
    let handled = status.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let handled = handled.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    handled.is_some_and(|mask| signals.iter().any(|signal| mask >> (signal - 1) & 1 == 1))
}

/// Whether this process is the first of its container, to which every orphan there comes.
pub(crate) fn is_first() -> bool {
    getpid().as_raw_nonzero().get() == 1
}

#[cfg(test)]
mod tests {
    use std::io::{BufRead, BufReader};
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn a_process_is_known_by_its_name_its_variables_and_its_children() {
        let mut child = Command::new("sh")
            .args(["-c", "sleep 1000 & echo started; wait"])
            .env("WORD", "a=b")
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut stdout = BufReader::new(child.stdout.take().unwrap());
        stdout.read_line(&mut line).unwrap();
        let shell = Process::open(child.id() as i32).unwrap();
        assert_eq!(shell.name, "sh");
        assert_eq!(shell.variable("WORD").as_deref(), Some("a=b"));
        assert_eq!(shell.variable("WOR"), None);
        let [sleep] = &shell.children()[..] else {
            panic!("one child")
        };
        assert_eq!((sleep.group, sleep.session), (shell.group, shell.session));
        sleep.kill();
        shell.kill();
        while !Process::open(shell.pid()).unwrap().has_ended() {
            std::thread::yield_now();
        }
        child.wait().unwrap();
        shell.kill();
    }
}
