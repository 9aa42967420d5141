//! `tickoff run`: one command per row.

// What it was asked, and on what it works.
mod args;
mod rows;
mod sheet;
mod standard_input;

// What it does, who follows it, what changes it.
mod controls;
mod jobs;
mod observers;
mod printed;

mod dry;

use std::time::Instant;

use tickoff::{Event, Job, Outcome, RunControl, Summary, Updates, WorkerPool};

use super::args::slip;
use super::formulas::Judge;
use super::interruption::{EndAtOnce, Interruption, RUN};
use crate::exit::{Exit, Failure};
use crate::stderr::Display;
use controls::Controls;
use jobs::Jobs;
use observers::{Beginning, Observers};
use printed::JobOutput;

pub use args::RunArgs;

/// Runs the command for every pending row and records what became of each.
pub fn run(args: &RunArgs, display: &Display) -> Result<Exit, Failure> {
    jobs::must_be_runnable(args)?;
    Observers::refuse_one_file(args)?;
    let reading = EndAtOnce::at_signals()?;
    let input = standard_input::read(args, display)?;
    let seed = rows::seed(args, display);
    let selection = rows::selection(args, seed);
    if args.dry_run {
        return dry::run(args, input, &selection, display);
    }
    let interruption = Interruption::watch(display, RUN)?;
    drop(reading);

    let session = sheet::open(args, input, &selection, display)?;
    let total = session.count(&selection).map_err(slip)?;
    rows::tell_interrupted(&session, display);
    rows::tell_done(args, display, |po| {
        let status = session.handler().status(po);
        status.is_some_and(|status| session.handler().is_done(&status))
    });
    if total == 0 {
        let sheet = session.handler().sheet();
        rows::tell_nothing_to_do(args, &sheet, &selection, display).map_err(slip)?;
    }
    rows::tell_without_key(&session.handler().sheet(), display);
    if total > 0 {
        rows::tell_misquoted(&session.handler().sheet());
        rows::tell_not_utf8(&session.handler().sheet());
    }
    let output = JobOutput::prepare(args, display)?;
    let mut observers = Observers::open(args, display, &session, output.as_ref())?;
    let jobs = Jobs::prepare(args, &session, output.as_ref())?;

    observers.began(&Beginning {
        session: &session,
        total,
        workers: args.jobs.get(),
        stop: &interruption.stop,
        interval: args.rate.map(|rate| rate.interval()),
        seed,
    });
    let control = RunControl::new();
    let controls = Controls::heed(&session, &control, display);
    let mut pool = WorkerPool::new(args.jobs.get())
        .retries(args.retries)
        .backoff(args.backoff)
        .halt(args.halt)
        .stop(&interruption.stop)
        .control(&control)
        .on_event(|event| {
            observers.take(event);
            if let Event::Retired(worker) = event {
                jobs.retire(*worker, &interruption.stop);
            }
        });
    if let Some(rate) = args.rate {
        pool = pool.rate(rate);
    }
    if args.force {
        pool = pool.forced();
    }
    if let Some(output) = &output {
        pool = pool.held_while(|| !output.has_room());
    }
    let judge = Judge::new(args.write.formulas);
    let mut ran = session.run(pool, &selection, |job| judged(&judge, job, jobs.run(job)));
    drop(controls);
    let began_ending = Instant::now();
    let of_jobs = jobs.finish(&interruption.stop);
    if let Ok(summary) = &mut ran {
        summary.elapsed += began_ending.elapsed();
    }
    for message in judge.counted() {
        tracing::warn!("{message}");
    }
    interruption.work_is_over();
    if let Some(output) = &output {
        output.drain(|| interruption.came());
    }
    observers.ended(ran.as_ref());
    let summary = ran?;
    Ok(exit(&summary, of_jobs, &interruption))
}

/// What is left of a result to be written, if a spreadsheet would run some of it as a formula.
fn judged(judge: &Judge, job: &Job<'_>, outcome: Outcome) -> Outcome {
    let result = match outcome {
        Outcome::Done(updates) => updates,
        // The last attempt: its reason will be the message.
        Outcome::Retry(retry) if job.is_last => Updates::error(retry.reason),
        outcome => return outcome,
    };
    let is_known = |column: &str| {
        let record = job.record.as_ref();
        record.is_some_and(|record| record.get(column).is_some())
    };
    let (result, messages) = judge.result(job.po, result, is_known);
    for message in messages {
        tracing::warn!("{message}");
    }
    Outcome::Done(result)
}

fn exit(summary: &Summary, of_jobs: Exit, interruption: &Interruption) -> Exit {
    let causes = [
        (
            summary.pool.errors > 0
                || !summary.unplaced.is_empty()
                || summary.lost_results
                || summary.rekeyed_rows,
            Exit::SomeFailed,
        ),
        (summary.pool.halted, Exit::Halted),
        (summary.taken_over, Exit::Held),
        (
            !summary.pool.unpersisted.is_empty() || summary.not_visible.is_some(),
            Exit::NotWritten,
        ),
    ];
    let mut exit = interruption.exit().and(of_jobs);
    for (_, cause) in causes.iter().filter(|(is_so, _)| *is_so) {
        exit = exit.and(*cause);
    }
    exit
}
