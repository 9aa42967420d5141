//! A cgroup for each job, where the one that we run in was handed over to us.
//!
//! What a job starts is born in its cgroup, whatever becomes of its parent, its session and its environment. So all
//! of it is found there, and ended at once however fast it starts others.
//!
//! `posix_spawn` starts nothing in another cgroup, and a fork of our own would be slow: so a job is taken in once it
//! runs, and what it started by then is fetched. What got away in that moment is found as where there are no cgroups,
//! and so is everything if something of this fails.

use std::io;
use std::sync::Mutex;

use tracing::debug;

use crate::run::stop::lock;
use crate::sys::cgroup::{self, Cgroup};
use crate::sys::peer;
use crate::sys::processes::Process;

/// What begins the name of a job's cgroup. The process id of its tickoff follows, and a number.
const NAME: &str = "tickoff";
/// How often it is looked whether a job started something before it was taken in.
const FETCHES: usize = 8;

pub(super) struct Leaves {
    home: Cgroup,
    /// Those of jobs that have ended and left something behind.
    kept: Mutex<Vec<Cgroup>>,
}

impl Leaves {
    /// Where jobs can have cgroups; `None` if nowhere. Removes those that runs which are gone have left empty.
    pub(super) fn prepare() -> Option<Leaves> {
        let home = Cgroup::delegated()?;
        for leaf in home.below() {
            if leaf.name().is_some_and(is_of_one_that_has_ended) {
                tell(leaf.remove());
            }
        }
        let kept = Mutex::default();
        Some(Leaves { home, kept })
    }

    /// A cgroup for the next job.
    pub(super) fn make(&self, number: u64) -> Option<Cgroup> {
        let name = format!("{NAME}-{}-{number}", std::process::id());
        tell(self.home.make(&name))
    }

    /// Takes a job in, which has not been reaped, and what it has started by now, as far as that is found.
    pub(super) fn fill(&self, leaf: &Cgroup, job: i32, find: impl Fn() -> Vec<Process>) {
        if tell(leaf.take_in(job)).is_none() {
            return;
        }
        for _ in 0..FETCHES {
            let mut left = find();
            left.retain(|process| self.home.has(process.pid()));
            if left.is_empty() {
                return;
            }
            for process in left {
                self.fetch(leaf, &process);
            }
        }
    }

    fn fetch(&self, leaf: &Cgroup, process: &Process) {
        let pid = process.pid();
        tell(leaf.take_in(pid));
        // The number of one that ended meanwhile may be another's.
        let is_same = |now: Process| now.identity() == process.identity();
        if !Process::open(pid).is_some_and(is_same) {
            self.home.take_in(pid).ok();
        }
    }

    /// Removes the cgroup of a job that was reaped: later, if something lives on in it.
    pub(super) fn remove(&self, leaf: Cgroup) {
        if leaf.remove().is_err() {
            lock(&self.kept).push(leaf);
        }
    }

    /// Whether a process was left behind by a job that has ended by itself.
    pub(super) fn keep(&self, process: &Process) -> bool {
        let path = cgroup::path_of(process.pid()).unwrap_or_default();
        let names: Vec<_> = path.split('/').collect();
        let kept = lock(&self.kept);
        let mut kept = kept.iter().filter_map(Cgroup::name);
        kept.any(|name| names.contains(&name))
    }

    /// Removes those that are empty by now.
    pub(super) fn remove_kept(&self) {
        lock(&self.kept).retain(|leaf| leaf.remove().is_err());
    }
}

/// What is in a job's cgroup.
pub(super) fn members(leaf: &Cgroup) -> impl Iterator<Item = Process> {
    leaf.members().into_iter().filter_map(Process::open)
}

pub(super) fn freeze(leaf: &Cgroup) {
    tell(leaf.freeze());
}

pub(super) fn kill(leaf: &Cgroup) {
    tell(leaf.kill());
}

fn is_of_one_that_has_ended(name: &str) -> bool {
    let number = name
        .strip_prefix(NAME)
        .and_then(|name| name.strip_prefix('-'));
    let pid = number.and_then(|number| number.split_once('-'));
    pid.and_then(|(pid, _)| pid.parse().ok())
        .is_some_and(peer::has_ended)
}

fn tell<T>(done: io::Result<T>) -> Option<T> {
    if let Err(error) = &done {
        debug!(%error, "a cgroup of a job could not be used");
    }
    done.ok()
}
