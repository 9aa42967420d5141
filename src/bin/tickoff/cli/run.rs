//! `tickoff run`: one command per PO.

mod dry;
mod events;
mod joblog;
mod lines;

use std::hash::{BuildHasher, RandomState};
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};

use chrono::Utc;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tickoff::{
    CommandTemplate, Error, Job, KeptOutput, Options, Outcome, RecordCommand, Selection, Session,
    Sheet, Stop, StopLevel, Summary, Updates, WorkerPool, WorkerProcesses, create_output, escape,
    is_ignored,
};

use super::args::RunArgs;
use super::exit::{Exit, Failure, advice};
use super::formulas::{Finding, Formulas};
use crate::stderr::Display;
use crate::stderr::board::Board;
use events::EventLog;
use joblog::JobLog;

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
    let seed = seed(args, display);
    let selection = selection(args, seed);
    if args.dry_run {
        return dry::run(args, &selection, display);
    }
    let interruption = Interruption::watch()?;

    let options = options(args);
    let session = match &args.output {
        None => Session::open(&args.sheet.file, &options)?,
        Some(copy) => {
            if !args.only.is_empty() || !args.conditions.is_empty() {
                // What is selected must be there before a copy is made or gets new rows.
                drop(dry::sheet(args)?.select(&selection)?);
            }
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
    let total = session.count(&selection)?;
    tell_done(args, display, |po| {
        let status = session.handler().status(po);
        status.is_some_and(|status| session.handler().is_done(&status))
    });
    if total == 0 && selection != Selection::all() {
        display.say(NOTHING_TO_DO);
    }
    let joblog = match &args.joblog {
        None => None,
        Some(path) => {
            let template = CommandTemplate::parse(&args.cmd, &session.columns());
            Some(JobLog::open(path, template, args.jobs.get())?)
        }
    };
    let events = match &args.events {
        None => None,
        Some(path) => Some(EventLog::open(path, &session)?),
    };
    let jobs = Jobs::prepare(args, &session)?;

    if let Some(events) = &events {
        events.began(&session, total, args.jobs.get(), seed);
    }
    let board = Board::new(total, args.jobs.get(), Utc::now());
    let progress = display.progress(board, session.teller());
    let mut pool = WorkerPool::new(args.jobs.get())
        .retries(args.retries)
        .backoff(args.backoff)
        .halt(args.halt)
        .stop(&interruption.stop)
        .on_event(|event| {
            if let Some(joblog) = &joblog {
                joblog.take(event);
            }
            if let Some(events) = &events {
                events.take(event);
            }
            progress.take(event);
        });
    if args.force {
        pool = pool.forced();
    }
    let ran = session.run(pool, &selection, |job| {
        judged(args.write.formulas, job, jobs.run(job))
    });
    if let Some(events) = &events {
        events.ended(ran.as_ref());
    }
    let summary = ran?;
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
            let mut command = RecordCommand::new(template, id, key)?;
            if let Some(timeout) = args.timeout {
                command = command.timeout(timeout);
            }
            if let Some(folder) = &args.results {
                command = command.keep_output(KeptOutput::in_folder(folder)?);
            }
            return Ok(Jobs::Commands(command));
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

/// The seed of the order, if it is to be shuffled; what it is, is said.
fn seed(args: &RunArgs, display: &Display) -> Option<u64> {
    if !args.shuffle {
        return None;
    }
    // Short enough to be typed; the standard library has no other source of random numbers.
    let any = || RandomState::new().hash_one(0) >> 32;
    let seed = args.seed.unwrap_or_else(any);
    display.say(&format!(
        "shuffled; --shuffle --seed {seed} repeats this order"
    ));
    Some(seed)
}

fn selection(args: &RunArgs, seed: Option<u64>) -> Selection {
    let mut selection = args.conditions.put_into(Selection::all());
    if !args.only.is_empty() {
        selection = selection.only(args.only.iter());
    }
    if args.retry_failed {
        selection = selection.failed();
    }
    if let Some(limit) = args.limit {
        selection = selection.limit(limit.get());
    }
    if let Some(seed) = seed {
        selection = selection.shuffled(seed);
    }
    selection
}

const NOTHING_TO_DO: &str = "nothing to do: no PO that is not done is among those selected";

/// Says which of the POs that were named need nothing.
fn tell_done(args: &RunArgs, display: &Display, is_done: impl Fn(&str) -> bool) {
    for po in args.only.iter().filter(|po| is_done(po)) {
        display.say(&format!(
            "{} is done, and skipped; --force processes it again",
            escape(po.trim())
        ));
    }
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
