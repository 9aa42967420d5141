//! What a job started and let go: found again, and reaped.
//!
//! A process whose parent has ended comes to the system's first process, and nobody knows any more whose it was.
//! A *child subreaper* gets it instead. So the program becomes one, and knows its jobs' orphans by a token in
//! the environment that every child inherits, by the session that they are still in, or by a cgroup (`leaves`).
//!
//! Whoever reaps all that comes may not take the end of a job from who waits for it. So jobs are started, and
//! reaped, under a lock, and are on a list in between. A library cannot know its program's other children: there
//! nobody is adopted.
//!
//! Without a cgroup one orphan is told from no other: one that began a session of its own, and cleared its environment
//! or keeps it from being read. It is ended at the end of a run in which some job was broken off; unless it may come
//! from a child that we had before, as a shell that became this program may have: one of those has ended, or started
//! something.

use std::collections::{HashMap, HashSet};
use std::io;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::sync::{Arc, Mutex, PoisonError, RwLock, Weak};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tracing::warn;

use crate::process::leaves::{self, Leaves};
use crate::process::tree::{kill_all, with_descendants};
use crate::run::stop::lock;
use crate::sys::cgroup::Cgroup;
use crate::sys::processes::{Process, adopt_orphans, adopted, is_first};
use crate::sys::spawn::{Child, Command};
use crate::text::Escaped;

/// The variable by which a job's processes are known. It holds the token of each tickoff around it as well.
const TOKEN: &str = "TICKOFF_JOB";
/// How often orphans are looked at. One that is there twice has been left behind.
const LOOK: Duration = Duration::from_millis(500);
/// How many are named; the others are counted.
const NAMED: usize = 5;

/// Whose orphans come to this process, for who ends it at once.
static ADOPTED: Mutex<Weak<Adopted>> = Mutex::new(Weak::new());

/// What is not to outlive a run that is ended at once, besides its jobs and what is known to be theirs.
pub(super) fn left_to_end() -> Vec<Process> {
    let Some(adopted) = lock(&ADOPTED).upgrade() else {
        return Vec::new();
    };
    adopted.job_is_broken_off();
    adopted.look_at_those_before();
    adopted.to_end()
}

/// Takes care of what jobs leave behind. For a program whose only children are jobs.
pub struct Orphans {
    adopted: Arc<Adopted>,
    /// Dropped to end the thread.
    until: Sender<()>,
    looking: JoinHandle<()>,
}

/// What the jobs of a run share.
pub(super) struct Adopted {
    /// In every token of this process.
    name: String,
    jobs: AtomicU64,
    /// Held for reading by who starts a job until it is on the list, and for writing by who reaps others.
    starting: RwLock<()>,
    /// The jobs that have not been reaped, by their process ids.
    running: Mutex<HashMap<i32, Started>>,
    /// Where jobs have cgroups of their own, if they can.
    leaves: Option<Leaves>,
    /// Whether nothing may be left of a job that has ended by itself.
    kills_leftovers: bool,
    /// Whether some job was broken off. Written by those who do so, read at the end. `SeqCst`: the simplest
    /// that is right.
    has_broken_off: AtomicBool,
    /// Children that we had before, as a shell that became this program may have.
    before: HashSet<(i32, u64)>,
    /// Whether one of those may have let something go. Written by who looks, read at the end. `SeqCst` as above.
    may_be_theirs: AtomicBool,
    told: Mutex<HashSet<(i32, u64)>>,
}

/// What the processes of a job are known by.
#[derive(Clone)]
struct Started {
    token: String,
    leaf: Option<Cgroup>,
}

impl Orphans {
    /// From now on the orphans of this process's descendants are its children, and reaped when they end. With
    /// `kills_leftovers` nothing is left of a job that has ended by itself.
    ///
    /// Where the system knows of no such thing, that is said, and nothing is adopted.
    ///
    /// # Errors
    /// If the system refuses, or a thread cannot be started.
    pub fn adopt(kills_leftovers: bool) -> io::Result<Orphans> {
        match adopt_orphans() {
            // So says an emulator of programs for another processor (qemu), which knows of no such thing.
            Err(error) if error.kind() == io::ErrorKind::InvalidInput => {
                warn!("this system gives nobody what jobs let go: that is not seen, and not ended");
            }
            adopted => adopted?,
        }
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        let mut before = adopted(|_| false);
        // What it let go has another parent.
        before.retain(|child| !child.has_ended());
        let adopted = Arc::new(Adopted {
            name: format!(
                "{}-{:x}",
                std::process::id(),
                now.unwrap_or_default().as_nanos()
            ),
            jobs: AtomicU64::new(0),
            starting: RwLock::default(),
            running: Mutex::default(),
            leaves: Leaves::prepare(),
            kills_leftovers,
            has_broken_off: AtomicBool::new(false),
            before: before.iter().map(Process::identity).collect(),
            may_be_theirs: AtomicBool::new(false),
            told: Mutex::default(),
        });
        let (until, ended) = channel::<()>();
        *lock(&ADOPTED) = Arc::downgrade(&adopted);
        let shared = Arc::clone(&adopted);
        let looking = thread::Builder::new()
            .name("orphans".into())
            .spawn(move || {
                let mut seen = HashSet::new();
                while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(LOOK) {
                    seen = shared.look(&seen);
                }
            })?;
        Ok(Orphans {
            adopted,
            until,
            looking,
        })
    }

    pub(super) fn share(&self) -> Arc<Adopted> {
        Arc::clone(&self.adopted)
    }

    /// No job runs any more: reaps what has ended, ends what is to be ended, and names the others.
    pub fn finish(self) {
        drop(self.until);
        self.looking.join().ok();
        self.adopted.finish();
    }
}

impl Adopted {
    /// Starts a job and puts it on the list.
    pub(super) fn start<T>(
        &self,
        command: &mut Command,
        spawn: impl FnOnce(&Command) -> io::Result<(Child, T)>,
    ) -> io::Result<(Child, T)> {
        // Relaxed: only that no number comes twice matters.
        let number = self.jobs.fetch_add(1, Ordering::Relaxed);
        let token = format!("{}-{number}", self.name);
        let around = std::env::var(TOKEN).unwrap_or_default();
        command.env(TOKEN, format!("{around}:{token}"));
        let _starting = self.starting.read().unwrap_or_else(PoisonError::into_inner);
        let started = spawn(command)?;
        let leaf = self.leaves.as_ref().and_then(|leaves| leaves.make(number));
        lock(&self.running).insert(started.0.id(), Started { token, leaf });
        Ok(started)
    }

    /// Reaps a job that has exited, and takes it off the list before its number is given to another one.
    pub(super) fn reap<T>(&self, job: &Child, reap: impl FnOnce() -> T) -> T {
        let mut running = lock(&self.running);
        let reaped = reap();
        let leaf = running.remove(&job.id()).and_then(|job| job.leaf);
        drop(running);
        if let (Some(leaves), Some(leaf)) = (&self.leaves, leaf) {
            leaves.remove(leaf);
        }
        reaped
    }

    pub(super) fn kills_leftovers(&self) -> bool {
        self.kills_leftovers
    }

    pub(super) fn job_is_broken_off(&self) {
        self.has_broken_off.store(true, Ordering::SeqCst);
    }

    /// What has lost its parent and was started by that job, and what is in its cgroup.
    pub(super) fn of(&self, job: i32) -> Vec<Process> {
        let Some(Started { token, leaf }) = lock(&self.running).get(&job).cloned() else {
            return Vec::new();
        };
        let is_of_job =
            |process: &Process| process.session == job || tokens(process).contains(&token);
        let mut orphans = self.orphans();
        orphans.retain(is_of_job);
        orphans.extend(leaf.iter().flat_map(leaves::members));
        orphans
    }

    /// Takes a job, which has not been reaped, into its cgroup.
    pub(super) fn take_into_leaf(&self, job: i32, find: impl Fn() -> Vec<Process>) {
        if let (Some(leaves), Some(leaf)) = (&self.leaves, self.leaf(job)) {
            leaves.fill(&leaf, job, find);
        }
    }

    /// Keeps all that is in a job's cgroup from doing anything.
    pub(super) fn freeze(&self, job: i32) {
        self.leaf(job).iter().for_each(leaves::freeze);
    }

    /// Kills all that is in a job's cgroup.
    pub(super) fn kill(&self, job: i32) {
        self.leaf(job).iter().for_each(leaves::kill);
    }

    fn leaf(&self, job: i32) -> Option<Cgroup> {
        lock(&self.running).get(&job)?.leaf.clone()
    }

    /// Our children that are no jobs, and that we had not before.
    fn orphans(&self) -> Vec<Process> {
        let running = lock(&self.running);
        let mut children = adopted(|pid| running.contains_key(&pid));
        children.retain(|child| !self.before.contains(&child.identity()));
        children
    }

    /// Looks whether one of those that we had before has ended, or started something.
    fn look_at_those_before(&self) {
        let is_quiet = |known: &(i32, u64)| {
            let child = Process::open(known.0).filter(|child| child.identity() == *known);
            child.is_some_and(|child| !child.has_ended() && child.children().is_empty())
        };
        if !self.before.iter().all(is_quiet) {
            self.may_be_theirs.store(true, Ordering::SeqCst);
        }
    }

    /// Reaps what has ended, and names what was there the last time; what is there now.
    fn look(&self, seen: &HashSet<(i32, u64)>) -> HashSet<(i32, u64)> {
        self.look_at_those_before();
        self.leaves.iter().for_each(Leaves::remove_kept);
        let mut orphans = {
            let _nobody_starts = self
                .starting
                .write()
                .unwrap_or_else(PoisonError::into_inner);
            let orphans = self.orphans();
            orphans
                .iter()
                .filter(|orphan| orphan.has_ended())
                .for_each(Process::reap);
            orphans
        };
        orphans.retain(|orphan| !orphan.has_ended());
        for orphan in orphans
            .iter()
            .filter(|orphan| seen.contains(&orphan.identity()) && self.is_ours(orphan))
        {
            self.tell_of(orphan);
        }
        orphans.iter().map(Process::identity).collect()
    }

    /// Says once that a process was left behind, if its job has ended and it is known to be a job's.
    fn tell_of(&self, orphan: &Process) {
        let is_running = {
            let running = lock(&self.running);
            let held = tokens(orphan);
            running.contains_key(&orphan.session)
                || running.values().any(|job| held.contains(&job.token))
        };
        let may_be_anybodys = is_first() && !self.is_ours(orphan);
        if is_running || may_be_anybodys {
            return;
        }
        let mut told = lock(&self.told);
        if !told.insert(orphan.identity()) || told.len() > NAMED {
            return;
        }
        let key = orphan.variable("TICKOFF_KEY").unwrap_or_default();
        warn!(
            key = %Escaped::text(&key),
            pid = orphan.pid(),
            "a job has ended and left a process behind, {}, which goes on",
            Escaped::text(&orphan.name)
        );
    }

    fn is_ours(&self, orphan: &Process) -> bool {
        let has_token = tokens(orphan)
            .iter()
            .any(|token| token.starts_with(&self.name));
        let leaves = self.leaves.as_ref();
        has_token || leaves.is_some_and(|leaves| leaves.keep(orphan))
    }

    /// What is not to outlive the run, and what that started.
    fn to_end(&self) -> Vec<Process> {
        let has_broken_off = self.has_broken_off.load(Ordering::SeqCst);
        let is_sure = !self.may_be_theirs.load(Ordering::SeqCst);
        let mut orphans = self.orphans();
        orphans.retain(|orphan| match self.is_ours(orphan) {
            true => self.kills_leftovers,
            false => is_sure && (self.kills_leftovers || has_broken_off),
        });
        with_descendants(orphans)
    }

    fn finish(&self) {
        let living = || {
            let mut orphans = self.orphans();
            orphans
                .iter()
                .filter(|orphan| orphan.has_ended())
                .for_each(Process::reap);
            orphans.retain(|orphan| !orphan.has_ended());
            orphans
        };
        let to_end = || {
            living();
            self.to_end()
        };
        self.look_at_those_before();
        kill_all(to_end, || (), || ());
        self.leaves.iter().for_each(Leaves::remove_kept);
        living().iter().for_each(|orphan| self.tell_of(orphan));
        if let count @ 1.. = lock(&self.told).len().saturating_sub(NAMED) {
            warn!("jobs left {count} other processes behind");
        }
    }
}

/// The tokens that a process was started with.
fn tokens(process: &Process) -> Vec<String> {
    let tokens = process.variable(TOKEN).unwrap_or_default();
    tokens.split(':').map(str::to_owned).collect()
}
