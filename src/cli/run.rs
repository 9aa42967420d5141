//! `tickoff run`: one command per PO.

use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use chrono::Utc;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tickoff::{
    CommandTemplate, Error, Job, Options, Outcome, RecordCommand, Session, Sheet, Stop, StopLevel,
    Summary, Updates, WorkerPool, WorkerProcesses, create_output, escape, is_ignored,
};

use super::args::RunArgs;
use super::exit::{Exit, Failure, advice};
use super::formulas::{Finding, Formulas};
use crate::progress::Display;
use crate::progress::board::Board;

/// Runs the command for every pending PO and records what became of each.
pub fn run(args: &RunArgs, display: &Display) -> Result<Exit, Failure> {
    CommandTemplate::parse(&args.cmd, &[])
        .resolve_program()
        .map_err(|error| {
            let exit = if error.exit_code() == 127 {
                Exit::NoCommand
            } else {
                Exit::CannotRun
            };
            Failure::Other(exit, error.to_string())
        })?;
    let interruption = Interruption::watch()?;

    let options = options(args);
    let session = match &args.output {
        None => Session::open(&args.sheet.file, &options)?,
        Some(copy) => {
            let input = Sheet::read_without_journal(&args.sheet.file, &options)?;
            create_output(&args.sheet.file, copy).map_err(|error| match error {
                Error::SameFile { .. } => Failure::Other(Exit::Usage, error.to_string()),
                error => error.into(),
            })?;
            let mut session = Session::open(copy, &options)?;
            session.take_new_rows(&input)?;
            session
        }
    };
    let jobs = Jobs::prepare(args, &session)?;

    let limit = args.limit.map_or(usize::MAX, |limit| limit.get());
    let total = session.handler().pending_count().min(limit);
    let board = Board::new(total, args.jobs.get(), Utc::now());
    let progress = display.progress(board, session.teller());
    let mut pool = WorkerPool::new(args.jobs.get())
        .retries(args.retries)
        .backoff(args.backoff)
        .halt(args.halt)
        .stop(&interruption.stop)
        .on_event(|event| progress.take(event));
    if args.force {
        pool = pool.forced();
    }
    let summary = session.run(pool, limit, |job| {
        judged(args.write.formulas, job, jobs.run(job))
    })?;
    progress.finish(&summary.pool);
    tell(display, &summary);
    let has_given_up = jobs.finish(&interruption.stop);
    Ok(exit(&summary, has_given_up, &interruption))
}

/// What is done for each PO.
enum Jobs {
    Commands(RecordCommand),
    Workers(WorkerProcesses),
}

impl Jobs {
    fn prepare(args: &RunArgs, session: &Session) -> Result<Jobs, Failure> {
        let (id, key, columns) = (session.id(), &args.sheet.key, session.columns());
        if args.worker_protocol.is_none() {
            let template = CommandTemplate::parse(&args.cmd, &columns);
            let command = RecordCommand::new(template, id, key)?;
            return Ok(Jobs::Commands(match args.timeout {
                Some(timeout) => command.timeout(timeout),
                None => command,
            }));
        }
        let mut workers = WorkerProcesses::new(&args.cmd, args.jobs.get(), id, key, &columns)?
            .stagger(args.stagger);
        if let Some(timeout) = args.timeout {
            workers = workers.timeout(timeout);
        }
        if let Some(answers) = args.recycle_after {
            workers = workers.recycle_after(answers);
        }
        Ok(Jobs::Workers(workers))
    }

    fn run(&self, job: &Job<'_>) -> Outcome {
        match self {
            Jobs::Commands(command) => command.run(job),
            Jobs::Workers(workers) => workers.run(job),
        }
    }

    /// Lets workers end; whether the run was ended because none ever answered.
    fn finish(self, stop: &Stop) -> bool {
        match self {
            Jobs::Commands(_) => false,
            Jobs::Workers(workers) => {
                let has_given_up = workers.gave_up();
                workers.finish(stop);
                has_given_up
            }
        }
    }
}

fn options(args: &RunArgs) -> Options {
    let done = if args.force {
        Vec::new()
    } else {
        args.done.statuses()
    };
    let allow_network_fs = args.write.allow_network_fs;
    args.backup.put_into(Options {
        done,
        allow_network_fs,
        ..args.sheet.options()
    })
}

/// What is written for a result that a spreadsheet would run as a formula.
fn judged(formulas: Formulas, job: &Job<'_>, outcome: Outcome) -> Outcome {
    let Outcome::Done(updates) = &outcome else {
        return outcome;
    };
    match formulas.judge(job.po, updates) {
        None => outcome,
        Some(Finding::Warning(message)) => {
            tracing::warn!("{message}");
            outcome
        }
        Some(Finding::Refusal(message)) => Outcome::Done(Updates::error(message)),
    }
}

fn tell(display: &Display, summary: &Summary) {
    if let Some(backup) = &summary.backup {
        display.say(&format!(
            "the sheet as it was before: {}",
            escape(&backup.to_string_lossy())
        ));
    }
    let unsaved = &summary.pool.unpersisted;
    if !unsaved.is_empty() {
        let unsaved: Vec<_> = unsaved.iter().map(|po| escape(po)).collect();
        display.report(format!(
            "the results of {} are not saved: once the cause is gone, the next tickoff run processes these POs again",
            unsaved.join(", ")
        ));
    }
    if let Some(error) = &summary.not_visible {
        display.report(error.chain());
        if let Some(advice) = advice(error) {
            display.report(advice);
        }
    }
}

fn exit(summary: &Summary, has_given_up: bool, interruption: &Interruption) -> Exit {
    let causes = [
        (summary.pool.errors > 0, Exit::SomeFailed),
        (summary.pool.halted || has_given_up, Exit::Halted),
        (
            !summary.pool.unpersisted.is_empty() || summary.not_visible.is_some(),
            Exit::NotWritten,
        ),
    ];
    let mut exit = interruption.exit();
    for (_, cause) in causes.iter().filter(|(is_so, _)| *is_so) {
        exit = exit.and(*cause);
    }
    exit
}

/// The signals that end a run: the first lets running commands finish, the second kills them.
struct Interruption {
    stop: Stop,
    /// The first of them; 0 for none. Written by the signal thread, read when the run is over.
    signal: Arc<AtomicI32>,
}

impl Interruption {
    fn watch() -> Result<Interruption, Failure> {
        let failed = |error: std::io::Error| {
            Failure::Other(Exit::NotWritten, format!("cannot handle signals: {error}"))
        };
        let heeded = [SIGINT, SIGTERM, SIGHUP]
            .into_iter()
            .filter(|&signal| !is_ignored(signal));
        let mut signals = Signals::new(heeded).map_err(failed)?;
        let interruption = Interruption {
            stop: Stop::new(),
            signal: Arc::default(),
        };
        let (stop, first) = (interruption.stop.clone(), Arc::clone(&interruption.signal));
        std::thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    let is_first =
                        first.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
                    if is_first.is_ok() {
                        tracing::warn!(
                            "stopping: running commands may finish; once more kills them"
                        );
                        stop.soon();
                    } else {
                        stop.now();
                    }
                }
            })
            .map_err(failed)?;
        Ok(interruption)
    }

    fn exit(&self) -> Exit {
        match self.signal.load(Ordering::SeqCst) {
            0 => Exit::Done,
            _ if self.stop.level() == StopLevel::Continue => Exit::Done,
            SIGINT => Exit::Interrupted,
            _ => Exit::Terminated,
        }
    }
}
