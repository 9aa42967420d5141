//! A log of the processes of a run, in the form of GNU parallel's `--joblog`, with the key behind it.
//!
//! One line an attempt, written when its process is gone. `Exitval` and `Signal` are as GNU parallel has
//! them: a process that was ended because of its time, or by a stop, has -1 and 15. One that could not be
//! started has the code with which a shell exits then.

use std::collections::BTreeMap;
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use signal_hook::consts::SIGTERM;
use tickoff::{CommandTemplate, Ending, Event, Job, ProcessEnd, Rights, Session, escape};

use super::Observer;
use super::lines::Lines;
use crate::cli::run::args::RunArgs;
use crate::cli::run::jobs;
use crate::exit::Failure;

const HEADER: &str =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\tKey\n";

/// The log of one run.
pub struct JobLog {
    lines: Lines,
    template: CommandTemplate,
    /// How many attempts began.
    begun: AtomicU64,
    /// Which of them each worker is at.
    present: Mutex<BTreeMap<usize, u64>>,
}

impl JobLog {
    /// Goes on with a log, or begins one.
    pub fn open(path: &Path, args: &RunArgs, session: &Session) -> Result<JobLog, Failure> {
        let head = HEADER.as_bytes();
        Ok(JobLog {
            lines: Lines::open(
                path,
                Rights::of(session.handler().path())?,
                "lines of a job log",
                head,
                head,
            )?,
            template: jobs::template(args, &session.columns())?,
            begun: AtomicU64::new(0),
            present: Mutex::default(),
        })
    }

    fn present(&self) -> MutexGuard<'_, BTreeMap<usize, u64>> {
        self.present.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Observer for JobLog {
    fn take(&self, event: &Event<'_>) {
        match event {
            Event::Started(job) => {
                let number = self.begun.fetch_add(1, Ordering::Relaxed) + 1;
                self.present().insert(job.worker, number);
            }
            Event::ProcessEnded { job, process } => {
                let number = self.present().get(&job.worker).copied().unwrap_or_default();
                let command = self.template.command_line(job.po, job.record.as_ref());
                self.lines
                    .add(line(number, job, process, &command).as_bytes());
            }
            _ => {}
        }
    }
}

fn line(number: u64, job: &Job<'_>, process: &ProcessEnd, command: &str) -> String {
    let started = process
        .started
        .duration_since(SystemTime::UNIX_EPOCH)
        .unwrap_or_default();
    let (started, runtime) = (started.as_secs_f64(), process.runtime.as_secs_f64());
    let (exitval, signal) = match process.ending {
        Ending::Exit(code) | Ending::NotStarted(code) => (code, 0),
        Ending::Signal(signal) => (0, signal),
        Ending::TimedOut(_) | Ending::Stopped => (-1, SIGTERM),
        _ => (-1, 0),
    };
    let po = escape(job.po);
    format!(
        "{number}\t:\t{started:.3}\t{runtime:10.3}\t0\t0\t{exitval}\t{signal}\t{command}\t{po}\n"
    )
}
