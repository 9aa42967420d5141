//! Workers over a list of POs.
//!
//! This file owns three guarantees. *A crash repeats at most one PO a worker*: a worker takes its
//! next PO only once the result of the last one is durable. *Nothing is done twice that is done*:
//! the PO's present status is looked at each time it is handed out. *No PO ends the run*: a job that
//! panics costs that PO alone, and no result is refused for what is in it.
//!
//! The parts have files of their own: what comes next (`schedule`), what a job is given and says
//! (`job`), when it may start (`pace`), who works (`crew`, `control`), how its result becomes durable (`persist`), and when a run ends early
//! (`halt`, `stop`).

use std::num::NonZeroUsize;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{LazyLock, Mutex, PoisonError};
use std::thread::{self, Scope};
use std::time::{Duration, Instant};

use tracing::{debug, info, warn};

use crate::domain::columns::ERROR_MESSAGE;
use crate::error::Result;
use crate::queue::WriteQueue;
use crate::run::control::{Change, Control, RunControl};
use crate::run::crew::Crew;
use crate::run::halt::Halt;
use crate::run::job::{Event, Job, JobResult, OnEvent, Outcome, Retry, Wait};
use crate::run::pace::{Pace, Rate};
use crate::run::persist::Recorder;
use crate::run::po_list::PoList;
use crate::run::schedule::{Next, Schedule, Task, backoff};
use crate::run::stop::{Stop, StopLevel, lock};
use crate::run::summary::{PoolSummary, Verdict};
use crate::sheet::{CsvRecord, Options, Updates};
use crate::text::{Escaped, one_line, panic_message};

/// A number of workers that process a list of POs and record each result as they go.
///
/// ```
/// use tickoff::{Outcome, ProcessingStatus, Updates, WorkerPool};
///
/// let summary = WorkerPool::new(4).run(&["P1", "P2", "P3"], |job| match job.po {
///     "P2" => Outcome::Done(Updates::error("no such order")),
///     _ => Outcome::Done(Updates::status(ProcessingStatus::Completed)),
/// });
/// assert_eq!((summary.completed, summary.errors), (2, 1));
/// ```
pub struct WorkerPool<'a> {
    workers: usize,
    retries: u32,
    backoff: Duration,
    rate: Option<Rate>,
    halt: Halt,
    stop: Stop,
    control: Option<RunControl>,
    queue: Option<&'a WriteQueue>,
    forced: bool,
    is_held: Option<Box<dyn Fn() -> bool + Sync + 'a>>,
    on_event: Option<Box<OnEvent<'a>>>,
}

/// How often it is asked whether the run is still held.
const HELD_CHECK: Duration = Duration::from_millis(50);

impl<'a> WorkerPool<'a> {
    /// So many workers (0 counts as 1), the caller's thread being the first of them. One worker
    /// processes the list in its order.
    ///
    /// Without further settings a PO is retried 3 times, first after 1 s; nothing halts the run,
    /// and no result is recorded.
    pub fn new(workers: usize) -> Self {
        WorkerPool {
            workers: workers.max(1),
            retries: 3,
            backoff: Duration::from_secs(1),
            rate: None,
            halt: Halt::Never,
            stop: Stop::new(),
            control: None,
            queue: None,
            forced: false,
            is_held: None,
            on_event: None,
        }
    }

    /// How many more attempts follow a first one that ends in [`Outcome::Retry`].
    pub fn retries(mut self, retries: u32) -> Self {
        self.retries = retries;
        self
    }

    /// How long a PO waits for its second attempt, at most. Each further wait is twice as long, up to
    /// [`MAX_BACKOFF`](crate::MAX_BACKOFF). By chance a wait is 50 to 100 % of that.
    pub fn backoff(mut self, first: Duration) -> Self {
        self.backoff = first;
        self
    }

    /// How many attempts may start in a time, over all workers: evenly spaced, none saved up for later, further
    /// attempts at a PO included. A PO that is skipped starts nothing.
    pub fn rate(mut self, rate: Rate) -> Self {
        self.rate = Some(rate);
        self
    }

    /// After how many failed POs the run ends early.
    pub fn halt(mut self, halt: Halt) -> Self {
        self.halt = halt;
        self
    }

    /// What others stop the run with. The halt policy requests its stop there too.
    pub fn stop(mut self, stop: &Stop) -> Self {
        self.stop = stop.clone();
        self
    }

    /// What others pause the run with, and change the number of its workers.
    pub fn control(mut self, control: &RunControl) -> Self {
        self.control = Some(control.clone());
        self
    }

    /// What stops the run.
    pub(crate) fn stopper(&self) -> Stop {
        self.stop.clone()
    }

    /// Where results go, and where a PO's present state is looked up. Its writer thread must have
    /// been started.
    pub fn queue(mut self, queue: &'a WriteQueue) -> Self {
        self.queue = Some(queue);
        self
    }

    /// Lets results take a PO out of COMPLETED. POs that are done when their turn comes are skipped
    /// all the same.
    pub fn forced(mut self) -> Self {
        self.forced = true;
        self
    }

    /// Starts nothing while this is so. It is asked before each start, and 50 ms after it was so.
    pub fn held_while(mut self, is_held: impl Fn() -> bool + Sync + 'a) -> Self {
        self.is_held = Some(Box::new(is_held));
        self
    }

    /// Is told each result, after it was recorded, on the thread of the worker that had the PO;
    /// several workers may call it at once.
    pub fn on_result(self, told: impl Fn(&JobResult<'_>) + Sync + 'a) -> Self {
        self.on_event(move |event| {
            if let Event::Finished(result) = event {
                told(result);
            }
        })
    }

    /// Is told all that happens, on the thread of the worker that it happens to; several workers may
    /// call it at once. Takes the place of [`on_result`](WorkerPool::on_result).
    pub fn on_event(mut self, told: impl Fn(&Event<'_>) + Sync + 'a) -> Self {
        self.on_event = Some(Box::new(told));
        self
    }

    /// Processes the POs and returns when every one has a result or the run was stopped.
    ///
    /// With a queue, a PO that is done or gone when its turn comes is skipped, and so is one whose STATUS is
    /// a word that nobody knows ([`Options::todo`]); any other gets what
    /// `work` made of it, durable before that worker takes its next PO: see
    /// [`WriteQueue::submit_result`] for what cannot be written as it is. On a full disk results wait,
    /// and their workers with them, until there is room or the run is stopped: 5 s longer after
    /// [`Stop::soon`], not longer after [`Stop::now`]. A result that cannot be recorded is logged,
    /// told to the callback, named in `unpersisted`, and leaves its PO as it was. If it could not be
    /// made durable, the queue is stopped or its writer died, the run ends as after
    /// [`Stop::soon`], because no later result could be recorded either. When a thread cannot be
    /// started the run has fewer workers.
    ///
    /// # Panics
    /// If the callback panics; the other workers finish first. A panic in `work` makes its PO an
    /// ERROR.
    pub fn run<S: AsRef<str> + Sync>(
        &self,
        pos: &[S],
        work: impl Fn(&Job<'_>) -> Outcome + Sync,
    ) -> PoolSummary {
        self.run_list(pos, work)
    }

    /// Does what [`run`](WorkerPool::run) does, for a list whose POs are made as they are needed.
    pub(crate) fn run_list(
        &self,
        pos: &(impl PoList + ?Sized),
        work: impl Fn(&Job<'_>) -> Outcome + Sync,
    ) -> PoolSummary {
        let began = Instant::now();
        let run = Run {
            pool: self,
            pos,
            work: &work,
            recorder: self
                .queue
                .map(|queue| Recorder::new(queue, self.forced, &self.stop)),
            schedule: Mutex::default(),
            pace: Mutex::new(Pace::new(self.rate)),
            turn: Mutex::default(),
            crew: Crew::default(),
            is_over: AtomicBool::new(false),
            is_paused: AtomicBool::new(self.control.as_ref().is_some_and(RunControl::is_paused)),
            summary: Mutex::default(),
        };
        if let Some(control) = &self.control {
            control.attach(self.workers, &self.stop);
        }
        thread::scope(|scope| {
            let run = &run;
            run.crew.join(1);
            run.complete_crew(scope);
            let _over = Over(run);
            if let Some(control) = &self.control {
                let thread = thread::Builder::new().name("control".into());
                let heed = move || run.heed(scope, control);
                if let Err(error) = thread.spawn_scoped(scope, heed) {
                    warn!(%error, "the run cannot be controlled");
                    run.is_paused.store(false, Ordering::SeqCst);
                    control.detach();
                }
            }
            run.serve(0);
        });
        let mut summary = run
            .summary
            .into_inner()
            .unwrap_or_else(PoisonError::into_inner);
        summary.not_run = pos.len() - summary.processed();
        summary.elapsed = began.elapsed();
        summary
    }
}

/// What the workers of one run share.
struct Run<'r, 'a, L: ?Sized, W> {
    pool: &'r WorkerPool<'a>,
    pos: &'r L,
    work: &'r W,
    /// Where results go.
    recorder: Option<Recorder<'r>>,
    schedule: Mutex<Schedule>,
    /// Whoever takes both locks takes that of the schedule first.
    pace: Mutex<Pace>,
    /// Held by the worker that waits until something may start: one wakes for each start, not all of them.
    turn: Mutex<()>,
    /// Changes only while the turn is held, but for those who join.
    crew: Crew,
    /// Whether nothing is left to be handed out. Written when worker 0 has left, read by whoever heeds the control.
    /// `SeqCst`: the simplest that is right.
    is_over: AtomicBool,
    /// Whether nothing may start. Written by whoever heeds the control, read by the workers. `SeqCst` as above.
    is_paused: AtomicBool,
    summary: Mutex<PoolSummary>,
}

/// Ends the wait for changes when worker 0 leaves, in a panic too.
struct Over<'o, 'r, 'a, L: ?Sized, W>(&'o Run<'r, 'a, L, W>);

impl<L: ?Sized, W> Drop for Over<'_, '_, '_, L, W> {
    fn drop(&mut self) {
        self.0.is_over.store(true, Ordering::SeqCst);
        self.0.pool.stop.nudge();
    }
}

impl<L: PoList + ?Sized, W: Fn(&Job<'_>) -> Outcome + Sync> Run<'_, '_, L, W> {
    /// Tells what is changed from outside, and starts workers that are missing by that.
    fn heed<'s>(&'s self, scope: &'s Scope<'s, '_>, control: &RunControl) {
        loop {
            let nudges = self.pool.stop.nudges();
            let is_over = self.is_over.load(Ordering::SeqCst);
            let changes = match is_over {
                true => control.detach(),
                false => control.take_changes(),
            };
            for change in changes {
                if change.control == Control::Pause {
                    self.is_paused.store(true, Ordering::SeqCst);
                }
                log(&change);
                self.tell(&Event::Controlled(&change));
                // Nobody is told of a start before this.
                if change.control == Control::Continue {
                    self.is_paused.store(false, Ordering::SeqCst);
                    self.pool.stop.nudge();
                }
            }
            if is_over {
                return;
            }
            self.complete_crew(scope);
            self.pool.stop.wait_for_nudge(nudges);
        }
    }

    fn complete_crew<'s>(&'s self, scope: &'s Scope<'s, '_>) {
        let wanted = self.wanted().min(self.pos.len());
        let mut missing = self.crew.join(wanted).into_iter();
        while let Some(worker) = missing.next() {
            let thread = thread::Builder::new().name(format!("worker-{worker}"));
            if let Err(error) = thread.spawn_scoped(scope, move || self.serve(worker)) {
                warn!(%error, "the run has only {worker} of {wanted} workers");
                self.crew.leave(worker);
                missing.by_ref().for_each(|worker| self.crew.leave(worker));
            }
        }
    }

    /// How many workers there are to be.
    fn wanted(&self) -> usize {
        let control = self.pool.control.as_ref();
        let workers = control.and_then(RunControl::workers);
        workers.map_or(self.pool.workers, NonZeroUsize::get)
    }

    fn serve(&self, worker: usize) {
        while let Some(task) = self.next_task(worker) {
            self.process(worker, task);
        }
    }

    /// Which words of STATUS mean what.
    fn options(&self) -> &Options {
        static ORIGINAL: LazyLock<Options> = LazyLock::new(Options::default);
        let queue = self.pool.queue;
        queue.map_or(&ORIGINAL, |queue| queue.handler().options())
    }

    fn next_task(&self, worker: usize) -> Option<Task> {
        let mut turn = lock(&self.turn);
        loop {
            let nudges = self.pool.stop.nudges();
            if self.pool.stop.is_requested() {
                return None;
            }
            if self.crew.leaves(worker, self.wanted()) {
                drop(turn);
                self.tell(&Event::Retired(worker));
                return None;
            }
            let (total, now) = (self.pos.len(), Instant::now());
            let next = lock(&self.schedule).next(total, now, |task| self.may_start(task));
            match next {
                Next::Task(task) => return Some(task),
                Next::Held(until) => self.pool.stop.rest(nudges, until),
                Next::At(due) => {
                    drop(turn);
                    self.pool.stop.rest(nudges, Some(due));
                    turn = lock(&self.turn);
                }
                Next::Nothing => {
                    self.crew.leave(worker);
                    return None;
                }
            }
        }
    }

    /// Whether this attempt may start now, or else before when it may not, if that is known.
    fn may_start(&self, task: Task) -> std::result::Result<(), Option<Instant>> {
        let is_held = self.pool.is_held.as_ref();
        let started = if self.is_paused.load(Ordering::SeqCst) {
            Err(None)
        } else if is_held.is_some_and(|is_held| is_held()) {
            Err(Some(Instant::now() + HELD_CHECK))
        } else {
            lock(&self.pace).start().map_err(Some)
        };
        let queue = self.pool.queue.filter(|_| started.is_err());
        match queue.map(|queue| present(queue, &self.pos.po(task.index))) {
            // It will be skipped.
            Some(None) => Ok(()),
            _ => started,
        }
    }

    fn process(&self, worker: usize, task: Task) {
        let po = &*self.pos.po(task.index);
        if let Some(queue) = self.pool.queue.filter(|_| task.attempt > 1) {
            // Nothing may have been written since the last attempt, so nothing was looked at.
            queue.handler().take_in_edits();
        }
        let record = match self.pool.queue.map(|queue| present(queue, po)) {
            None => None,
            Some(Some(record)) => Some(record),
            Some(None) => {
                return self.conclude(Conclusion {
                    worker,
                    attempts: task.attempt - 1,
                    ..Conclusion::skipped(po)
                });
            }
        };
        if task.attempt > 1 {
            lock(&self.summary).retried += 1;
        }
        let job = Job {
            po,
            record,
            worker,
            attempt: task.attempt,
            is_last: task.attempt > self.pool.retries,
            stop: &self.pool.stop,
            on_event: self.pool.on_event.as_deref(),
        };
        self.tell(&Event::Started(&job));
        let began = Instant::now();
        let outcome = catch_unwind(AssertUnwindSafe(|| (self.work)(&job)))
            .unwrap_or_else(|panic| Outcome::Done(Updates::error(panic_message(&*panic))));
        let duration = began.elapsed();
        lock(&self.summary).working += duration;

        let updates = match outcome {
            Outcome::Done(updates) => updates,
            Outcome::Retry(retry) if job.is_last => Updates::error(one_line(&retry.reason)),
            Outcome::Retry(retry) => return self.postpone(task, &job, &retry, duration),
            Outcome::Stopped => return self.tell(&Event::BrokenOff(&job)),
        };
        let updates = updates.fit(po, self.pool.forced, self.options());
        let (verdict, persisted) = self.record(po, &updates);
        self.conclude(Conclusion {
            po,
            verdict,
            updates,
            persisted,
            worker,
            attempts: task.attempt,
            duration,
        });
    }

    fn postpone(&self, task: Task, job: &Job<'_>, retry: &Retry, duration: Duration) {
        let reason = &one_line(&retry.reason);
        let (wait, for_all) = match retry.wait {
            Wait::Backoff => (backoff(self.pool.backoff, task.attempt), false),
            Wait::Row(wait) => (wait, false),
            Wait::Run(wait) => (wait, true),
        };
        // A wait beyond what the clock can express is one that no run lives to see.
        let due = Instant::now().checked_add(wait);
        if let Some(due) = due.filter(|_| for_all) {
            lock(&self.pace).hold_until(due);
        }
        let whole_millis = wait - Duration::from_nanos((wait.subsec_nanos() % 1_000_000).into());
        info!(
            key = %Escaped::name(job.po),
            reason = %Escaped::text(reason),
            "attempt {} is to be repeated in {whole_millis:?}{}",
            task.attempt,
            if for_all { ", and nothing is started before" } else { "" }
        );
        self.tell(&Event::Postponed {
            job,
            reason,
            duration,
            wait,
            for_all,
        });
        let again = Task {
            attempt: task.attempt + 1,
            ..task
        };
        if let Some(due) = due {
            lock(&self.schedule).postpone(due, again);
        }
    }

    /// Makes a result durable if there is anything to write and somewhere to write it to, and says
    /// how it counts.
    fn record(&self, po: &str, updates: &Updates) -> (Verdict, Result<()>) {
        let Some(recorder) = self.recorder.as_ref().filter(|_| !updates.is_empty()) else {
            return (Verdict::of(updates, self.options()), Ok(()));
        };
        let began = Instant::now();
        let recorded = recorder.record(po, updates);
        lock(&self.summary).recording += began.elapsed();
        recorded
    }

    /// Counts a result, ends the run if it was one failure too many, and tells the callback.
    fn conclude(&self, done: Conclusion<'_>) {
        let Conclusion {
            po,
            verdict,
            updates,
            persisted,
            worker,
            attempts,
            duration,
        } = done;
        match verdict {
            Verdict::Error => {
                let reason = updates.get(ERROR_MESSAGE).unwrap_or_default();
                warn!(key = %Escaped::name(po), reason = %Escaped::text(reason), attempts, "failed");
            }
            _ => debug!(key = %Escaped::name(po), ?verdict, attempts, ?duration, "processed"),
        }
        let processed = {
            let mut summary = lock(&self.summary);
            summary.count(verdict);
            if persisted.is_err() {
                summary.unpersisted.push((po.to_owned(), updates.clone()));
            }
            let level = self.pool.halt.after(&summary);
            if level > StopLevel::Continue && !summary.halted {
                summary.halted = true;
                let (errors, results) = (summary.errors, summary.results());
                warn!("{errors} of {results} jobs failed: the run is halted");
                self.pool.stop.raise(level);
            }
            summary.processed()
        };
        self.tell(&Event::Finished(JobResult {
            po,
            verdict,
            updates: &updates,
            persisted,
            worker,
            attempts,
            duration,
            processed,
            total: self.pos.len(),
        }));
    }

    fn tell(&self, event: &Event<'_>) {
        if let Some(told) = &self.pool.on_event {
            told(event);
        }
    }
}

fn log(change: &Change) {
    let by = Escaped::text(&change.by);
    match change.control {
        Control::Pause => info!("paused by {by}; what runs goes on"),
        Control::Continue => info!("continued by {by}"),
        Control::Workers(workers) => info!("workers: {workers}, by {by}"),
    }
}

/// How one PO ended.
struct Conclusion<'a> {
    po: &'a str,
    verdict: Verdict,
    updates: Updates,
    persisted: Result<()>,
    worker: usize,
    attempts: u32,
    duration: Duration,
}

impl<'a> Conclusion<'a> {
    fn skipped(po: &'a str) -> Self {
        Conclusion {
            po,
            verdict: Verdict::Skipped,
            updates: Updates::new(),
            persisted: Ok(()),
            worker: 0,
            attempts: 0,
            duration: Duration::ZERO,
        }
    }
}

/// The PO's row, unless it is done or gone, is not done in the stage that comes first, or has a status that
/// nobody knows.
fn present(queue: &WriteQueue, po: &str) -> Option<CsvRecord> {
    let sheet = queue.handler().sheet();
    let row = sheet.row_for(po)?;
    let record = sheet.record_at(row);
    let is_due = !sheet.is_done(&record.status) && sheet.is_done_before(row);
    (is_due && !sheet.is_left_alone(po)).then_some(record)
}

#[cfg(test)]
mod tests {
    use std::sync::{Condvar, mpsc};

    use super::*;
    use crate::domain::ProcessingStatus;
    use crate::run::ending::{Ending, ProcessEnd};
    use crate::run::halt::Failures;

    const COMPLETED: ProcessingStatus = ProcessingStatus::Completed;

    fn done(status: ProcessingStatus) -> Outcome {
        Outcome::Done(Updates::status(status))
    }

    fn pos(count: usize) -> Vec<String> {
        (1..=count).map(|number| format!("P{number}")).collect()
    }

    /// completed, errors, no_attachments, other, skipped, not_run
    fn counts(summary: &PoolSummary) -> [usize; 6] {
        let &PoolSummary {
            completed,
            errors,
            no_attachments,
            other,
            skipped,
            not_run,
            ..
        } = summary;
        [completed, errors, no_attachments, other, skipped, not_run]
    }

    #[test]
    fn every_po_is_processed_once_whatever_the_number_of_workers() {
        for workers in [0, 1, 3, 100] {
            let seen = Mutex::new(Vec::new());
            let summary = WorkerPool::new(workers).run(&pos(50), |job| {
                lock(&seen).push(job.po.to_owned());
                done(COMPLETED)
            });
            let mut seen = seen.into_inner().unwrap();
            seen.sort_by_key(|po| po[1..].parse::<usize>().unwrap());
            assert_eq!(seen, pos(50), "{workers} workers");
            assert_eq!(counts(&summary), [50, 0, 0, 0, 0, 0]);
        }
    }

    #[test]
    fn no_pos_are_no_work() {
        let summary = WorkerPool::new(4).run(&pos(0), |_| unreachable!());
        assert_eq!(counts(&summary), [0; 6]);
    }

    #[test]
    fn one_worker_keeps_the_order_of_the_list() {
        let seen = Mutex::new(Vec::new());
        WorkerPool::new(1).run(&["P3", "P1", "P2"], |job| {
            lock(&seen).push(job.po.to_owned());
            done(COMPLETED)
        });
        assert_eq!(*lock(&seen), ["P3", "P1", "P2"]);
    }

    #[test]
    fn workers_work_at_the_same_time() {
        let all_here = (Mutex::new(0), Condvar::new());
        let summary = WorkerPool::new(3).run(&pos(3), |job| {
            let mut here = lock(&all_here.0);
            *here += 1;
            all_here.1.notify_all();
            let patience = Duration::from_secs(20);
            let (_here, timeout) = all_here
                .1
                .wait_timeout_while(here, patience, |here| *here < 3)
                .unwrap();
            assert!(!timeout.timed_out(), "{} waits alone", job.po);
            done(COMPLETED)
        });
        assert_eq!(summary.completed, 3);
    }

    #[test]
    fn results_are_counted_by_their_status() {
        let summary = WorkerPool::new(2).run(&pos(4), |job| match job.po {
            "P1" => done(COMPLETED),
            "P2" => Outcome::Done(Updates::error("no")),
            "P3" => done(ProcessingStatus::NoAttachments),
            _ => Outcome::Done([("SUPPLIER", "Acme")].into()),
        });
        assert_eq!(counts(&summary), [1, 1, 1, 1, 0, 0]);
        assert!(!summary.halted);
    }

    #[test]
    fn the_observer_is_told_what_happens_in_order() {
        let told = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1)
            .backoff(Duration::ZERO)
            .on_event(|event| {
                lock(&told).push(match event {
                    Event::Started(job) => format!("{} begins, attempt {}", job.po, job.attempt),
                    Event::Reported { job, text } => format!("{}: {text}", job.po),
                    Event::ProcessEnded { job, process } => {
                        format!("{}: {:?}", job.po, process.ending)
                    }
                    Event::Postponed { job, reason, .. } => format!("{} later: {reason}", job.po),
                    Event::BrokenOff(job) => format!("{} broken off", job.po),
                    Event::Finished(result) => format!("{} {:?}", result.po, result.verdict),
                    Event::Controlled(change) => format!("{:?}", change.control),
                    Event::Retired(worker) => format!("{worker} retired"),
                });
            });
        pool.run(&pos(2), |job| {
            if job.po == "P2" {
                return Outcome::Stopped;
            }
            job.report("half");
            job.process_ended(&ProcessEnd {
                started: std::time::SystemTime::now(),
                runtime: Duration::ZERO,
                ending: Ending::Exit(75),
            });
            match job.attempt {
                1 => Outcome::Retry("busy".into()),
                _ => done(COMPLETED),
            }
        });
        assert_eq!(
            *lock(&told),
            [
                "P1 begins, attempt 1",
                "P1: half",
                "P1: Exit(75)",
                "P1 later: busy",
                "P1 begins, attempt 2",
                "P1: half",
                "P1: Exit(75)",
                "P1 Completed",
                "P2 begins, attempt 1",
                "P2 broken off"
            ]
        );
    }

    #[test]
    fn a_panic_makes_its_po_an_error_and_the_pool_goes_on() {
        let messages = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1).on_result(|result| {
            lock(&messages).extend(result.updates.get(ERROR_MESSAGE).map(str::to_owned));
        });
        let summary = pool.run(&pos(3), |job| match job.po {
            "P1" => panic!("out of\n{}", "paper\u{1b}"),
            "P2" => std::panic::panic_any(7),
            _ => done(COMPLETED),
        });
        assert_eq!(counts(&summary), [1, 2, 0, 0, 0, 0]);
        assert_eq!(
            *lock(&messages),
            ["panicked: out of | paper\\u{1b}", "panicked: (no message)"]
        );
    }

    fn workers(count: usize) -> Control {
        Control::Workers(NonZeroUsize::new(count).unwrap())
    }

    #[test]
    fn a_paused_run_starts_nothing_until_it_goes_on() {
        let control = RunControl::new();
        let pool = WorkerPool::new(2).control(&control);
        let started = Mutex::new(0);
        control.apply(Control::Pause, "a");
        let summary = thread::scope(|scope| {
            let run = scope.spawn(|| {
                pool.run(&pos(6), |_| {
                    *lock(&started) += 1;
                    done(COMPLETED)
                })
            });
            thread::sleep(Duration::from_millis(50));
            assert_eq!(*lock(&started), 0);
            control.apply(Control::Continue, "b");
            run.join().unwrap()
        });
        assert_eq!(counts(&summary), [6, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn a_stop_ends_a_pause() {
        let (control, stop) = (RunControl::new(), Stop::new());
        control.apply(Control::Pause, "a");
        let pool = WorkerPool::new(2).control(&control).stop(&stop);
        let summary = thread::scope(|scope| {
            let run = scope.spawn(|| pool.run(&pos(6), |_| unreachable!()));
            thread::sleep(Duration::from_millis(20));
            stop.soon();
            run.join().unwrap()
        });
        assert_eq!(counts(&summary), [0, 0, 0, 0, 0, 6]);
    }

    #[test]
    fn workers_that_are_added_work_at_once_beside_those_that_are_busy() {
        let control = RunControl::new();
        let (busy, is_busy) = mpsc::channel();
        let all_here = (Mutex::new(0), Condvar::new());
        let pool = WorkerPool::new(1).control(&control);
        let summary = thread::scope(|scope| {
            let more = control.clone();
            scope.spawn(move || {
                is_busy.recv().unwrap();
                more.apply(workers(3), "a");
            });
            pool.run(&pos(3), |_| {
                busy.send(()).ok();
                let mut here = lock(&all_here.0);
                *here += 1;
                all_here.1.notify_all();
                let patience = Duration::from_secs(20);
                let woken = all_here
                    .1
                    .wait_timeout_while(here, patience, |here| *here < 3);
                assert!(!woken.unwrap().1.timed_out());
                done(COMPLETED)
            })
        });
        assert_eq!(summary.completed, 3);
    }

    #[test]
    fn a_worker_that_is_one_too_many_ends_after_its_job_and_a_job_that_it_leaves_is_not_lost() {
        let control = RunControl::new();
        let (seen, retired) = (Mutex::new(Vec::new()), Mutex::new(Vec::new()));
        let summary = WorkerPool::new(4)
            .control(&control)
            .backoff(Duration::from_millis(30))
            .on_event(|event| {
                if let Event::Retired(worker) = event {
                    lock(&retired).push(*worker);
                }
            })
            .run(&pos(40), |job| {
                if job.attempt == 1 && job.po == "P4" {
                    control.apply(workers(1), "a");
                }
                thread::sleep(Duration::from_millis(2));
                lock(&seen).push((job.po.to_owned(), job.worker));
                match job.attempt {
                    1 => Outcome::Retry("busy".into()),
                    _ => done(COMPLETED),
                }
            });
        assert_eq!(counts(&summary), [40, 0, 0, 0, 0, 0]);
        let seen = lock(&seen);
        assert_eq!(seen.len(), 80);
        assert!(
            seen[20..].iter().all(|(_, worker)| *worker == 0),
            "{seen:?}"
        );
        lock(&retired).sort_unstable();
        assert_eq!(*lock(&retired), [1, 2, 3]);
    }

    #[test]
    fn a_job_that_waits_is_done_by_a_worker_that_is_one_too_many_if_no_other_is_there() {
        let control = RunControl::new();
        let (first, second) = (AtomicBool::new(false), AtomicBool::new(false));
        let until = |so: &AtomicBool| {
            while !so.load(Ordering::SeqCst) {
                thread::sleep(Duration::from_millis(1));
            }
        };
        let summary = WorkerPool::new(2)
            .control(&control)
            .backoff(Duration::from_millis(10))
            .on_result(|result| first.store(result.worker == 0, Ordering::SeqCst))
            .run(&pos(2), |job| {
                second.fetch_or(job.worker == 1, Ordering::SeqCst);
                if job.worker == 0 {
                    until(&second);
                } else if job.attempt == 1 {
                    until(&first);
                    // Worker 0 finds nothing to do.
                    thread::sleep(Duration::from_millis(50));
                    control.apply(workers(1), "a");
                    return Outcome::Retry("busy".into());
                }
                done(COMPLETED)
            });
        assert_eq!(counts(&summary), [2, 0, 0, 0, 0, 0]);
    }

    #[test]
    fn who_changed_the_run_is_told_once_and_in_order() {
        let control = RunControl::new();
        let told = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1).control(&control).on_event(|event| {
            if let Event::Controlled(change) = event {
                lock(&told).push((change.control, change.by.clone()));
            }
        });
        control.apply(Control::Pause, "a");
        control.apply(workers(2), "b");
        control.apply(workers(2), "c");
        control.apply(Control::Continue, "d");
        pool.run(&pos(3), |_| done(COMPLETED));
        let is_late = control.has_ended() && !control.apply(Control::Pause, "e");
        assert!(is_late, "nobody would be told");
        let want = [
            (Control::Pause, "a".to_owned()),
            (workers(2), "b".to_owned()),
            (Control::Continue, "d".to_owned()),
        ];
        assert_eq!(*lock(&told), want);
    }

    #[test]
    fn a_po_is_tried_again_until_its_attempts_are_used_up() {
        let attempts = Mutex::new(Vec::new());
        let told = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1)
            .retries(2)
            .backoff(Duration::ZERO)
            .on_result(|result| {
                lock(&told).push((result.attempts, result.updates.clone()));
            });
        let summary = pool.run(&["P1"], |job| {
            lock(&attempts).push(job.attempt);
            Outcome::Retry(format!("busy {}", job.attempt).into())
        });
        assert_eq!(*lock(&attempts), [1, 2, 3]);
        assert_eq!(*lock(&told), [(3, Updates::error("busy 3"))]);
        assert_eq!((counts(&summary), summary.retried), ([0, 1, 0, 0, 0, 0], 2));
    }

    #[test]
    fn a_po_that_waits_for_another_attempt_does_not_hold_its_worker() {
        let seen = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1).backoff(Duration::from_millis(100));
        let summary = pool.run(&pos(3), |job| {
            lock(&seen).push((job.po.to_owned(), job.attempt));
            match (job.po, job.attempt) {
                ("P1", 1) => Outcome::Retry("busy".into()),
                _ => done(COMPLETED),
            }
        });
        let seen: Vec<_> = seen.into_inner().unwrap();
        assert_eq!(
            seen.iter()
                .map(|(po, attempt)| (&**po, *attempt))
                .collect::<Vec<_>>(),
            [("P1", 1), ("P2", 1), ("P3", 1), ("P1", 2)]
        );
        assert_eq!(summary.completed, 3);
    }

    #[test]
    fn a_stop_hands_out_nothing_more_and_lets_running_jobs_finish() {
        let stop = Stop::new();
        let summary = WorkerPool::new(1).stop(&stop).run(&pos(3), |job| {
            stop.soon();
            assert_eq!(job.stop.level(), StopLevel::Soon);
            done(COMPLETED)
        });
        assert_eq!(counts(&summary), [1, 0, 0, 0, 0, 2]);
        assert!(!summary.halted);
    }

    #[test]
    fn a_stop_wakes_workers_that_wait_and_leaves_their_pos_as_they_were() {
        let stop = Stop::new();
        let (waits, is_waiting) = mpsc::channel();
        let summary = thread::scope(|scope| {
            let stop = &stop;
            scope.spawn(move || {
                is_waiting.iter().take(2).for_each(drop);
                stop.soon();
            });
            let told = |_: &JobResult<'_>| panic!("there is no result");
            let pool = WorkerPool::new(2)
                .stop(stop)
                .backoff(Duration::from_secs(3600))
                .on_result(told);
            pool.run(&pos(2), |_| {
                waits.send(()).unwrap();
                Outcome::Retry("busy".into())
            })
        });
        assert_eq!((counts(&summary), summary.retried), ([0, 0, 0, 0, 0, 2], 0));
    }

    #[test]
    fn a_job_may_say_how_long_its_next_attempt_waits() {
        let waits = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1)
            .backoff(Duration::from_secs(3600))
            .on_event(|event| {
                if let Event::Postponed { wait, .. } = event {
                    lock(&waits).push(*wait);
                }
            });
        let summary = pool.run(&pos(1), |job| match job.attempt {
            1 => Outcome::Retry(Retry {
                reason: "429".to_owned(),
                wait: Wait::Row(Duration::from_millis(20)),
            }),
            _ => done(COMPLETED),
        });
        assert_eq!((summary.completed, summary.retried), (1, 1));
        assert_eq!(*lock(&waits), [Duration::from_millis(20)]);
    }

    #[test]
    fn a_job_may_let_the_whole_run_wait() {
        const WAIT: Duration = Duration::from_millis(100);
        let starts = Mutex::new(Vec::new());
        let began = Instant::now();
        let summary = WorkerPool::new(1).run(&pos(3), |job| {
            lock(&starts).push((job.po.to_owned(), began.elapsed()));
            match (job.po, job.attempt) {
                ("P1", 1) => Outcome::Retry(Retry {
                    reason: "429".to_owned(),
                    wait: Wait::Run(WAIT),
                }),
                _ => done(COMPLETED),
            }
        });
        assert_eq!(summary.completed, 3);
        let starts = starts.into_inner().unwrap();
        let order: Vec<_> = starts.iter().map(|(po, _)| &**po).collect();
        assert_eq!(order, ["P1", "P1", "P2", "P3"]);
        assert!(
            starts[1..].iter().all(|(_, start)| *start >= WAIT),
            "{starts:?}"
        );
    }

    #[test]
    fn a_stop_ends_the_wait_that_a_job_asked_of_all() {
        let stop = Stop::new();
        let (asks, has_asked) = mpsc::channel();
        let summary = thread::scope(|scope| {
            let stop = &stop;
            scope.spawn(move || {
                has_asked.iter().take(1).for_each(drop);
                stop.soon();
            });
            let pool = WorkerPool::new(2).stop(stop).on_event(|event| {
                if let Event::Postponed { for_all: true, .. } = event {
                    // Of the second one nobody needs to know.
                    asks.send(()).ok();
                }
            });
            pool.run(&pos(5), |_| {
                Outcome::Retry(Retry {
                    reason: "429".to_owned(),
                    wait: Wait::Run(Duration::from_secs(3600)),
                })
            })
        });
        assert_eq!((summary.not_run, summary.retried), (5, 0));
    }

    #[test]
    fn starts_are_evenly_spaced_over_all_workers_and_attempts() {
        let starts = Mutex::new(Vec::new());
        let pool = WorkerPool::new(4)
            .backoff(Duration::ZERO)
            .rate("100/s".parse().unwrap());
        let began = Instant::now();
        let summary = pool.run(&pos(10), |job| {
            lock(&starts).push(began.elapsed());
            match job.attempt {
                1 => Outcome::Retry("busy".into()),
                _ => done(COMPLETED),
            }
        });
        assert_eq!((summary.completed, summary.retried), (10, 10));
        let mut starts = starts.into_inner().unwrap();
        starts.sort_unstable();
        for (number, start) in (0..).zip(&starts) {
            assert!(*start >= Duration::from_millis(10) * number, "{starts:?}");
        }
    }

    #[test]
    fn a_stop_wakes_workers_that_wait_for_their_start() {
        let stop = Stop::new();
        let pool = WorkerPool::new(3).stop(&stop).rate("1/h".parse().unwrap());
        let summary = pool.run(&pos(5), |_| {
            stop.soon();
            done(COMPLETED)
        });
        assert_eq!(counts(&summary), [1, 0, 0, 0, 0, 4]);
    }

    #[test]
    fn a_job_that_was_broken_off_leaves_its_po_as_it_was() {
        let summary = WorkerPool::new(1).run(&pos(2), |job| match job.po {
            "P1" => Outcome::Stopped,
            _ => done(COMPLETED),
        });
        assert_eq!(counts(&summary), [1, 0, 0, 0, 0, 1]);
    }

    #[track_caller]
    fn check_halt(halt: Halt, want: [usize; 6], level: StopLevel) {
        let stop = Stop::new();
        let pool = WorkerPool::new(1)
            .stop(&stop)
            .halt(halt)
            .retries(1)
            .backoff(Duration::ZERO);
        let summary = pool.run(&pos(6), |job| match (job.po, job.attempt) {
            ("P1", 1) => Outcome::Retry("a failed attempt is no failed PO".into()),
            ("P2" | "P4" | "P6", _) => Outcome::Done(Updates::error("no")),
            _ => done(COMPLETED),
        });
        assert_eq!(counts(&summary), want);
        assert_eq!(
            (summary.halted, stop.level()),
            (level > StopLevel::Continue, level)
        );
    }

    #[test]
    fn a_run_is_halted_after_so_many_failed_pos() {
        check_halt(Halt::Never, [3, 3, 0, 0, 0, 0], StopLevel::Continue);
        let soon = |count| Halt::Soon {
            fail: Failures::Count(count),
        };
        let now = |count| Halt::Now {
            fail: Failures::Count(count),
        };
        check_halt(soon(2), [2, 2, 0, 0, 0, 2], StopLevel::Soon);
        check_halt(now(1), [1, 1, 0, 0, 0, 4], StopLevel::Now);
        check_halt(now(4), [3, 3, 0, 0, 0, 0], StopLevel::Continue);
        // P2, P4 and P6 fail of six.
        let soon = |percent| Halt::Soon {
            fail: Failures::Percent(percent),
        };
        check_halt(soon(50), [3, 3, 0, 0, 0, 0], StopLevel::Soon);
        check_halt(soon(51), [3, 3, 0, 0, 0, 0], StopLevel::Continue);
    }

    #[test]
    fn the_callback_is_told_how_far_the_run_is() {
        let told = Mutex::new(Vec::new());
        let pool = WorkerPool::new(1).on_result(|result| {
            assert!(result.persisted.is_ok());
            lock(&told).push((
                result.po.to_owned(),
                result.verdict,
                result.processed,
                result.total,
            ));
        });
        pool.run(&pos(2), |job| match job.po {
            "P1" => Outcome::Done(Updates::error("no")),
            _ => done(COMPLETED),
        });
        assert_eq!(
            *lock(&told),
            [
                ("P1".into(), Verdict::Error, 1, 2),
                ("P2".into(), Verdict::Completed, 2, 2)
            ]
        );
    }
}
