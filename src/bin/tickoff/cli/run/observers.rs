//! What follows a run: each observer is told of its beginning, of every event, and of its end.
//!
//! The library's pool has one stream of events, and all that is kept or shown of a run is made from it, so
//! that no two records of a run tell different stories. An observer never fails the run: what it cannot
//! keep it says once, and goes on. What the commands themselves say is not among them: that
//! goes to files (`--results`) and to whoever looks on (`printed`) as it comes.

mod display;
mod events;
mod joblog;
mod lines;

use std::path::{Path, PathBuf};
use std::time::Duration;

use tickoff::{Error, Event, Session, Stop, Summary, escape};

use super::args::RunArgs;
use super::printed::JobOutput;
use crate::exit::{Exit, Failure};
use crate::stderr::Display;
use display::Shown;
use joblog::JobLog;

pub use events::EventLog;

/// Follows one run.
pub trait Observer: Sync {
    /// The run begins.
    fn began(&mut self, _run: &Beginning<'_>) {}

    /// Something happened. Called by the worker that it happened to, by several at once.
    fn take(&self, event: &Event<'_>);

    /// The run is over, or an error has stopped it.
    fn ended(&mut self, _ran: Result<&Summary, &Error>) {}
}

/// What is known of a run when it begins.
pub struct Beginning<'a> {
    /// Its session.
    pub session: &'a Session,
    /// How many jobs it has.
    pub total: usize,
    /// How many are processed at a time.
    pub workers: usize,
    /// What ends it early.
    pub stop: &'a Stop,
    /// From one start to the next, if there is a rate.
    pub interval: Option<Duration>,
    /// That of their order, if it is a random one.
    pub seed: Option<u64>,
}

/// All that follow a run, told in this order.
pub struct Observers(Vec<Box<dyn Observer>>);

impl Observers {
    /// Those that are asked for; their files are opened.
    pub fn open(
        args: &RunArgs,
        display: &Display,
        session: &Session,
        output: Option<&JobOutput>,
    ) -> Result<Self, Failure> {
        let mut observers = Observers(Vec::new());
        if let Some(path) = &args.joblog {
            observers.add(JobLog::open(path, args, session)?);
        }
        if let Some(path) = &args.events {
            let events = EventLog::open(path, session)?;
            if let Some(output) = output {
                output.tell(&events);
            }
            observers.add(events);
        }
        if let Some(output) = output {
            observers.add(output.clone());
        }
        observers.add(Shown::on(display));
        Ok(observers)
    }

    /// Refuses a file that is to be both records at once.
    pub fn refuse_one_file(args: &RunArgs) -> Result<(), Failure> {
        let (Some(joblog), Some(events)) = (&args.joblog, &args.events) else {
            return Ok(());
        };
        // A device, as /dev/null is, takes whatever comes.
        let is_a_record = !joblog.exists() || joblog.is_file();
        match is_a_record && place(joblog) == place(events) {
            true => Err(Failure::Other(
                Exit::Usage,
                format!(
                    "{} cannot be --joblog and --events at once: name another file for one of them",
                    escape(&events.to_string_lossy())
                ),
            )),
            false => Ok(()),
        }
    }

    /// Tells all that the run begins.
    pub fn began(&mut self, run: &Beginning<'_>) {
        self.0.iter_mut().for_each(|observer| observer.began(run));
    }

    /// Tells all what happened.
    pub fn take(&self, event: &Event<'_>) {
        self.0.iter().for_each(|observer| observer.take(event));
    }

    /// Tells all how the run ended.
    pub fn ended(&mut self, ran: Result<&Summary, &Error>) {
        self.0.iter_mut().for_each(|observer| observer.ended(ran));
    }

    fn add(&mut self, observer: impl Observer + 'static) {
        self.0.push(Box::new(observer));
    }
}

/// Where a file is, or is to be made.
fn place(path: &Path) -> Option<PathBuf> {
    if let Ok(found) = path.canonicalize() {
        return Some(found);
    }
    let absolute = std::path::absolute(path).ok()?;
    let around = absolute.parent()?;
    let around = around.canonicalize().unwrap_or_else(|_| around.to_owned());
    Some(around.join(absolute.file_name()?))
}
