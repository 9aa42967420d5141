//! What is shown of what jobs print (`--show`): all of it, line by line or in one piece for each job, only that of
//! jobs that fail, or nothing.
//!
//! What is shown in one piece waits in a file without a name until its job has ended; what is short waits in
//! memory.

mod form;
mod outlet;

use std::collections::BTreeMap;
use std::io::{self, Write};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};

use tempfile::{SpooledData, SpooledTempFile};
use tickoff::{Event, Printer, Stream, Verdict};
use tracing::warn;

use super::args::RunArgs;
use super::observers::{EventLog, Observer};
use crate::exit::Failure;
use crate::stderr::Display;
use outlet::{Bytes, Outlet, Printed};

/// How many bytes of one output wait in memory.
const IN_MEMORY: usize = 64 << 10;

/// What is shown of what jobs print.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum Show {
    /// Each line as soon as it is whole.
    Lines,
    /// What a job prints in one piece, when it has ended.
    Grouped,
    /// The same, but only of jobs that failed.
    Failed,
    /// Nothing.
    None,
}

/// Shows what jobs print. Clones show it in the same place.
#[derive(Clone)]
pub struct JobOutput(Arc<Shared>);

struct Shared {
    show: Show,
    outlet: Outlet,
    /// What each worker's job has printed, and is not shown yet.
    workers: Mutex<BTreeMap<usize, Arc<Mutex<Group>>>>,
    /// Who else is told that nobody reads it.
    events: OnceLock<EventLog>,
}

/// What one job printed.
#[derive(Default)]
struct Group {
    /// In the order of [`STREAMS`].
    outputs: [Option<Spool>; 2],
}

const STREAMS: [Stream; 2] = [Stream::Stdout, Stream::Stderr];

/// One output of it.
struct Spool {
    file: SpooledTempFile,
    /// How much of the file counts.
    length: u64,
}

impl JobOutput {
    /// To be shown as it was asked for; `None` if jobs are not to be listened to.
    pub fn prepare(args: &RunArgs, display: &Display) -> Result<Option<JobOutput>, Failure> {
        let Some(show) = args.shown() else {
            return Ok(None);
        };
        Ok(Some(JobOutput(Arc::new(Shared {
            show,
            outlet: Outlet::open(display)?,
            workers: Mutex::default(),
            events: OnceLock::new(),
        }))))
    }

    /// Tells it there, too, if nobody reads what is shown.
    pub fn tell(&self, events: &EventLog) {
        self.0.events.set(events.clone()).ok();
    }

    /// Whether more may be printed.
    pub fn has_room(&self) -> bool {
        self.0.has_room()
    }

    /// What jobs are to print to.
    pub fn printer(&self) -> Arc<dyn Printer> {
        Arc::clone(&self.0) as Arc<dyn Printer>
    }

    /// Waits until all is shown that jobs have printed; no longer than its reader reads once the run is to end.
    pub fn drain(&self, is_to_end: impl Fn() -> bool) {
        if self.0.show == Show::Grouped {
            // What workers that stay alive printed behind their last job.
            let workers: Vec<_> = lock(&self.0.workers).keys().copied().collect();
            for worker in workers {
                self.0.close(worker, &name(worker));
            }
        }
        if !self.0.outlet.drain(is_to_end) {
            warn!("the rest of what jobs printed is not shown: nobody reads it");
        }
    }
}

impl Printer for Shared {
    fn print(&self, worker: usize, key: Option<&str>, stream: Stream, lines: &[u8]) {
        match self.show {
            Show::None => {}
            Show::Lines => {
                let key = key.map_or_else(|| name(worker), str::to_owned);
                self.push(key, stream, Bytes::Lines(lines.to_vec()));
            }
            Show::Grouped | Show::Failed => {
                let group = self.group(worker);
                let mut group = lock(&group);
                let output = &mut group.outputs[stream as usize];
                let spool = output.get_or_insert_with(Spool::new);
                if let Err(error) = spool.add(lines) {
                    warn!(
                        "what jobs print is shown as it comes, it cannot be kept until they end: {error}"
                    );
                    let key = key.map_or_else(|| name(worker), str::to_owned);
                    if let Some(spool) = output.take() {
                        self.show(key.clone(), stream, spool);
                    }
                    self.push(key, stream, Bytes::Lines(lines.to_vec()));
                }
            }
        }
    }

    fn has_room(&self) -> bool {
        self.outlet.has_room(|| {
            warn!(
                "64 MiB of what jobs print are not read: no further job is started until they are"
            );
            if let Some(events) = self.events.get() {
                events.output_unread();
            }
        })
    }
}

impl Observer for JobOutput {
    fn take(&self, event: &Event<'_>) {
        let (worker, key, is_shown) = match event {
            // A row that was skipped has no worker.
            Event::Finished(result) if result.attempts > 0 => {
                let has_failed = result.verdict == Verdict::Error;
                (result.worker, result.po, has_failed)
            }
            Event::Postponed { job, .. } | Event::BrokenOff(job) => (job.worker, job.po, false),
            _ => return,
        };
        match is_shown || self.0.show == Show::Grouped {
            true => self.0.close(worker, key),
            false => *lock(&self.0.group(worker)) = Group::default(),
        }
    }
}

impl Shared {
    fn group(&self, worker: usize) -> Arc<Mutex<Group>> {
        Arc::clone(lock(&self.workers).entry(worker).or_default())
    }

    /// Shows what a worker's job has printed.
    fn close(&self, worker: usize, key: &str) {
        let group = std::mem::take(&mut *lock(&self.group(worker)));
        for (stream, output) in STREAMS.into_iter().zip(group.outputs) {
            if let Some(spool) = output {
                self.show(key.to_owned(), stream, spool);
            }
        }
    }

    fn show(&self, key: String, stream: Stream, spool: Spool) {
        self.push(key, stream, spool.into_bytes());
    }

    fn push(&self, key: String, stream: Stream, bytes: Bytes) {
        self.outlet.push(Printed { key, stream, bytes });
    }
}

/// What is shown in a key's place for what a worker that stays alive prints while it has nothing to do.
fn name(worker: usize) -> String {
    format!("worker {worker}")
}

impl Spool {
    fn new() -> Spool {
        Spool {
            file: SpooledTempFile::new(IN_MEMORY),
            length: 0,
        }
    }

    fn add(&mut self, lines: &[u8]) -> io::Result<()> {
        self.file.write_all(lines)?;
        self.length += lines.len() as u64;
        Ok(())
    }

    fn into_bytes(self) -> Bytes {
        match self.file.into_inner() {
            SpooledData::InMemory(lines) => {
                let mut lines = lines.into_inner();
                lines.truncate(self.length as usize);
                Bytes::Lines(lines)
            }
            SpooledData::OnDisk(file) => Bytes::Spooled(file, self.length),
        }
    }
}

/// The values behind these locks are never left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
