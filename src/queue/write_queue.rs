//! `WriteQueue`: submitters never lock, and what was accepted is never dropped.
//!
//! A bounded lock-free queue (crossbeam's `ArrayQueue`, Vyukov's MPMC array) feeds one writer
//! thread. While one batch is being written the next one collects, and the writer takes all of it
//! (`gather.rs`: and, at most a moment later, what comes of the last one's answers). What is ours here
//! is waiting, closing and draining:
//!
//! - *Waiting.* Who waits for an answer sleeps on that one alone, marks it before, and only a marked
//!   one is woken: with one place where all sleep, each batch woke all of them for the few that it
//!   answered.
//! - *Full.* A submitter registers as waiting before it tries once more, and the writer looks for
//!   waiting submitters after it has taken a batch; so one of the two sees the other.
//! - *Closed.* A submitter announces itself, then looks whether the queue is closed, then pushes.
//!   The writer ends only when the queue is closed, nobody is announced, and it is empty, in that
//!   order; so what a submitter was told is accepted has been taken.
//! - *Dead.* A panic anywhere in the writer thread is caught, and whoever waits for an operation that it
//!   left behind, in its hands or in the queue, is told that the writer died.
//!
//! Every batch is durable at once, and the sheet follows: it is rewritten by a thread of its own, which
//! takes at most a tenth of the time, and comes at most ten times a second, while nobody waits for
//! *visible*. A rewrite after each batch would take the disk from the results of the next ones, also where
//! the sheet has only 2 MB.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::{DateTime, Utc};
use crossbeam_utils::CachePadded;
use serde::Serialize;

use crate::error::{Error, Result};
use crate::sheet::update::{OperationId, Updates, WriteOperation};
use crate::store::handler::CsvHandler;
use crate::store::writer::{Checkpoint, PATIENCE, Writes};

use super::gather::Gather;
use super::rewriter::{Rewriter, Rewritten};
use super::sync::thread::{self, JoinHandle};
use super::sync::{
    ArcSwapOption, ArrayQueue, AtomicBool, AtomicU8, AtomicUsize, Backoff, Condvar, Instant, Mutex,
    MutexGuard, Ordering, Parker, Unparker,
};

/// How many operations a queue holds unless another capacity is asked for.
pub const DEFAULT_CAPACITY: usize = 1024;

/// How soon a checkpoint that another program is in the way of is tried again.
const SOON: Duration = Duration::from_millis(5);
/// How soon one that failed, after its retries, is tried again.
const LATER: Duration = Duration::from_secs(1);
/// How many times as long as a rewrite took the next one is put off, unless somebody waits for it.
const PACE: u32 = 9;
/// How long it is put off at least, also the first one after a queue began: nobody sees more than ten
/// versions a second, and the syncs of a small sheet's 150 took four parts in a hundred of the time.
const BETWEEN: Duration = Duration::from_millis(100);

/// What a waiter waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Until {
    /// The result survives a crash.
    Durable,
    /// The public CSV shows it, too.
    Visible,
}

/// An accepted operation, to be waited for. Dropping it changes nothing for the operation.
#[derive(Clone)]
pub struct Operation {
    id: OperationId,
    ticket: Arc<Ticket>,
}

impl Operation {
    /// The queue's number for it.
    pub fn id(&self) -> OperationId {
        self.id
    }
}

/// What a queue has done so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct QueueStatus {
    /// Operations that were accepted and are not answered yet.
    pub pending: u64,
    /// Operations that are durable.
    pub completed: u64,
    /// Operations that were refused or could not be made durable.
    pub failed: u64,
    /// Writes that failed and were tried again.
    pub retried: u64,
    /// The most operations that were ever queued at once.
    pub high_water_mark: u64,
    /// When the public CSV was last replaced.
    pub last_write_time: Option<DateTime<Utc>>,
}

/// A bounded queue of updates of one sheet, and the thread that writes them.
///
/// Of two updates of one cell the one submitted later wins. Dropping the queue stops it, and drains
/// it first.
pub struct WriteQueue {
    handler: Arc<CsvHandler>,
    shared: Arc<Shared>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl WriteQueue {
    /// A queue in front of a sheet, for at most `capacity` operations; it accepts them once
    /// [`WriteQueue::start_writer_thread`] has been called.
    ///
    /// # Panics
    /// If `capacity` is zero.
    pub fn new(handler: Arc<CsvHandler>, capacity: usize) -> WriteQueue {
        WriteQueue {
            handler,
            shared: Arc::new(Shared::new(capacity)),
            thread: Mutex::new(None),
        }
    }

    /// The sheet behind the queue.
    pub fn handler(&self) -> &Arc<CsvHandler> {
        &self.handler
    }

    /// Starts the writer thread, if it is not running.
    ///
    /// # Errors
    /// [`Error::Io`] if the system gives no thread.
    pub fn start_writer_thread(&self) -> Result<()> {
        let mut thread = lock(&self.thread);
        // A thread that ends, or dies, has closed it.
        if !self.shared.is_closed() {
            return Ok(());
        }
        if let Some(ended) = thread.take() {
            ended.join().expect("the writer thread catches its panics");
        }
        *thread = Some(Shared::start(&self.shared, Arc::clone(&self.handler))?);
        Ok(())
    }

    /// Stops accepting, writes everything that was accepted, and ends the thread. `true`: all of it
    /// is durable and visible. `false`: the time was not enough; the thread goes on, and calling
    /// this again waits for it again.
    ///
    /// # Errors
    /// [`Error::NotVisible`] if all is durable but the CSV could not be written;
    /// [`Error::WriterDied`].
    pub fn stop_writer_thread(&self, timeout: Duration) -> Result<bool> {
        let mut thread = lock(&self.thread);
        if !self.shared.close(timeout) {
            return Ok(false);
        }
        if let Some(ended) = thread.take() {
            ended.join().expect("the writer thread catches its panics");
        }
        match self.shared.failure.load_full() {
            Some(error) => Err((*error).clone()),
            None => Ok(true),
        }
    }

    /// Submits an update and returns at once; waits only while the queue is full.
    ///
    /// # Errors
    /// [`Error::UnknownPo`], [`Error::UnknownColumn`], [`Error::InvalidValue`],
    /// [`Error::QueueStopped`]: it was not accepted. Whether its status may follow the one that the
    /// row has when its turn comes is answered by [`WriteQueue::wait`].
    pub fn submit_write(&self, po: &str, updates: impl Into<Updates>) -> Result<Operation> {
        self.submit(po, updates.into(), false, Full::Wait)
    }

    /// The same, and may take a PO out of COMPLETED and back to PENDING.
    ///
    /// # Errors
    /// As [`WriteQueue::submit_write`].
    pub fn submit_forced(&self, po: &str, updates: impl Into<Updates>) -> Result<Operation> {
        self.submit(po, updates.into(), true, Full::Wait)
    }

    /// Submits an update if there is room for it.
    ///
    /// # Errors
    /// As [`WriteQueue::submit_write`], and [`Error::QueueFull`].
    pub fn try_submit_write(&self, po: &str, updates: impl Into<Updates>) -> Result<Operation> {
        self.submit(po, updates.into(), false, Full::Refuse)
    }

    fn submit(&self, po: &str, updates: Updates, force: bool, full: Full) -> Result<Operation> {
        self.handler.validate(po, &updates)?;
        self.shared.submit(Some((po, updates, force)), full)
    }

    /// Waits until an operation is durable, or visible as well.
    ///
    /// # Errors
    /// Why it was refused or could not be made durable. [`Error::NotVisible`]: it is durable, the
    /// CSV could not be written yet, and the next write includes it; asking again later may find it
    /// visible. [`Error::WriterDied`].
    pub fn wait(&self, operation: &Operation, until: Until) -> Result<()> {
        self.shared.wait(&operation.ticket, until)
    }

    /// Waits until everything that was submitted before is durable and visible.
    ///
    /// # Errors
    /// [`Error::NotVisible`], [`Error::QueueStopped`], [`Error::WriterDied`].
    pub fn flush(&self) -> Result<()> {
        let marker = self.shared.submit(None, Full::Wait)?;
        self.shared.wait(&marker.ticket, Until::Visible)
    }

    /// What the queue has done so far.
    pub fn get_queue_status(&self) -> QueueStatus {
        let Writes { retried, last } = *lock(&self.shared.writes);
        let (pending, completed, failed) = self.shared.counts();
        QueueStatus {
            pending,
            completed,
            failed,
            retried,
            high_water_mark: self.shared.high_water_mark.load(Ordering::Relaxed),
            last_write_time: last,
        }
    }
}

impl Drop for WriteQueue {
    fn drop(&mut self) {
        // Whoever stopped it has been told.
        let was_running = lock(&self.thread).is_some();
        match self.stop_writer_thread(Duration::MAX) {
            Err(error) if was_running => {
                tracing::error!(error = %error.chain(), "the write queue was dropped")
            }
            _ => {}
        }
    }
}

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Wait,
    Refuse,
}

/// What is behind the queue: the sheet's writer, or a model of it in tests.
pub(super) trait Store: Clone + Send + 'static {
    fn commit(&self, operations: &[&WriteOperation]) -> Vec<Result<()>>;
    fn checkpoint(&self) -> Result<Checkpoint>;
    /// What is said when another program did not let go of the sheet for [`PATIENCE`].
    fn busy(&self) -> Error;
    fn writes(&self) -> Writes;
}

impl Store for Arc<CsvHandler> {
    fn commit(&self, operations: &[&WriteOperation]) -> Vec<Result<()>> {
        match self.writer() {
            Ok(mut writer) => writer.commit(operations),
            Err(error) => operations.iter().map(|_| Err(error.clone())).collect(),
        }
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        CsvHandler::checkpoint(self).map_err(|error| not_visible(&self.path(), error))
    }

    fn busy(&self) -> Error {
        let path = self.path();
        not_visible(&path.clone(), Error::Busy { path })
    }

    fn writes(&self) -> Writes {
        CsvHandler::writes(self)
    }
}

fn not_visible(path: &std::path::Path, source: Error) -> Error {
    Error::NotVisible {
        path: path.to_owned(),
        source: Box::new(source),
    }
}

/// Where an operation stands. Only ever moves down this list, but that a delayed one may become
/// visible.
const WAITING: u8 = 0;
const FAILED: u8 = 1;
const DURABLE: u8 = 2;
/// Durable, and a checkpoint for it failed.
const DELAYED: u8 = 3;
const VISIBLE: u8 = 4;

/// Set beside that while somebody sleeps until it moves.
const WAITED_FOR: u8 = 1 << 7;

/// The answer to one operation.
#[derive(Default)]
struct Ticket {
    /// Moved by the writer thread, read and marked by waiters. All change it at once, with Acquire and
    /// Release: so either a waiter sees that it has moved, or whoever moves it sees the waiter.
    state: AtomicU8,
    /// Its error, and what waiters sleep under. An error stays when the state moves on: who has seen the
    /// old state may not have read it yet.
    error: Mutex<Option<Error>>,
    moved: Condvar,
}

impl Ticket {
    fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire) & !WAITED_FOR
    }

    fn set(&self, state: u8, error: Option<Error>) {
        if error.is_some() {
            *lock(&self.error) = error;
        }
        if self.state.swap(state, Ordering::AcqRel) & WAITED_FOR != 0 {
            drop(lock(&self.error));
            self.moved.notify_all();
        }
    }

    /// The answer, once it is there.
    fn wait(&self, until: Until) -> Result<()> {
        let mut error = lock(&self.error);
        loop {
            let state = self.state.fetch_or(WAITED_FOR, Ordering::AcqRel) & !WAITED_FOR;
            match Ticket::is_good(state, until) {
                Some(true) => return Ok(()),
                Some(false) => return Err(error.clone().unwrap_or(Error::QueueStopped)),
                None => {
                    error = self
                        .moved
                        .wait(error)
                        .unwrap_or_else(PoisonError::into_inner)
                }
            }
        }
    }

    /// What a state means to who waits; `None`: wait.
    fn is_good(state: u8, until: Until) -> Option<bool> {
        match (state, until) {
            (WAITING, _) | (DURABLE, Until::Visible) => None,
            (DURABLE | DELAYED | VISIBLE, Until::Durable) | (VISIBLE, Until::Visible) => Some(true),
            _ => Some(false),
        }
    }
}

/// A queued operation, or a marker that is answered when its turn comes.
struct Entry {
    operation: Option<WriteOperation>,
    ticket: Arc<Ticket>,
}

pub(super) struct Shared {
    queue: ArrayQueue<Entry>,
    /// Set by whoever stops the queue, read by submitters and the writer; SeqCst orders it with
    /// `announced`.
    closed: AtomicBool,
    /// Submitters between their look at `closed` and their push. Written by submitters, read by the
    /// writer; SeqCst orders it with `closed`.
    announced: CachePadded<AtomicUsize>,
    /// Submitters that wait for room. Written by them, read by the writer after it made room;
    /// SeqCst orders it with the queue's own operations.
    waiting_for_room: AtomicUsize,
    room: (Mutex<()>, Condvar),
    /// Waiters for *visible*. Written by them, read by the writer thread, which they unpark after.
    visible_wanted: AtomicUsize,
    /// Whether the thread has ended.
    ended: (Mutex<bool>, Condvar),
    failure: ArcSwapOption<Error>,
    next_id: CachePadded<AtomicU64>,
    /// Counters, written by submitters (`accepted`, `high_water_mark`) and by the writer thread
    /// (the others), read by anybody; each is right by itself.
    accepted: AtomicU64,
    completed: AtomicU64,
    failed: AtomicU64,
    high_water_mark: AtomicU64,
    writes: Mutex<Writes>,
    unparker: ArcSwapOption<Unparker>,
}

impl Shared {
    pub(super) fn new(capacity: usize) -> Shared {
        Shared {
            queue: ArrayQueue::new(capacity),
            closed: AtomicBool::new(true),
            announced: CachePadded::new(AtomicUsize::new(0)),
            waiting_for_room: AtomicUsize::new(0),
            room: Default::default(),
            visible_wanted: AtomicUsize::new(0),
            ended: (Mutex::new(true), Condvar::new()),
            failure: ArcSwapOption::empty(),
            next_id: CachePadded::new(AtomicU64::new(1)),
            accepted: AtomicU64::new(0),
            completed: AtomicU64::new(0),
            failed: AtomicU64::new(0),
            high_water_mark: AtomicU64::new(0),
            writes: Mutex::default(),
            unparker: ArcSwapOption::empty(),
        }
    }

    pub(super) fn start(shared: &Arc<Shared>, store: impl Store) -> Result<JoinHandle<()>> {
        let parker = Parker::new();
        shared
            .unparker
            .store(Some(Arc::new(parker.unparker().clone())));
        shared.failure.store(None);
        *lock(&shared.ended.0) = false;
        shared.closed.store(false, Ordering::SeqCst);
        let thread_shared = Arc::clone(shared);
        let started =
            Rewriter::start(store.clone(), parker.unparker().clone()).and_then(|rewriter| {
                thread::Builder::new()
                    .name("tickoff-writer".into())
                    .spawn(move || thread_shared.serve(&store, rewriter, &parker))
            });
        started.map_err(|error| {
            shared.end();
            Error::io("start a thread in", "this process")(error)
        })
    }

    /// How many operations are pending, completed and failed.
    pub(super) fn counts(&self) -> (u64, u64, u64) {
        let completed = self.completed.load(Ordering::Relaxed);
        let failed = self.failed.load(Ordering::Relaxed);
        let accepted = self.accepted.load(Ordering::Relaxed);
        // An operation may be answered before it is counted as accepted.
        let pending = accepted.saturating_sub(completed + failed);
        (pending, completed, failed)
    }

    pub(super) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::SeqCst)
    }

    pub(super) fn submit(
        &self,
        update: Option<(&str, Updates, bool)>,
        full: Full,
    ) -> Result<Operation> {
        let id = OperationId(self.next_id.fetch_add(1, Ordering::Relaxed));
        let ticket = Arc::new(Ticket::default());
        let operation = update.map(|(po, updates, force)| WriteOperation {
            operation_id: id,
            po_number: po.to_owned(),
            updates,
            timestamp: Utc::now(),
            retry_count: 0,
            priority: 0,
            force,
        });
        let counts = operation.is_some();
        let entry = Entry {
            operation,
            ticket: Arc::clone(&ticket),
        };
        self.announced.fetch_add(1, Ordering::SeqCst);
        let pushed = self.push(entry, full);
        if pushed.is_ok() && counts {
            self.accepted.fetch_add(1, Ordering::Relaxed);
        }
        self.announced.fetch_sub(1, Ordering::SeqCst);
        self.wake_writer();
        pushed.map(|()| Operation { id, ticket })
    }

    fn push(&self, mut entry: Entry, full: Full) -> Result<()> {
        let backoff = Backoff::new();
        loop {
            if self.is_closed() {
                return Err(Error::QueueStopped);
            }
            match self.queue.push(entry) {
                Ok(()) => {
                    let queued = self.queue.len() as u64;
                    if queued > self.high_water_mark.load(Ordering::Relaxed) {
                        self.high_water_mark.fetch_max(queued, Ordering::Relaxed);
                    }
                    return Ok(());
                }
                Err(_) if full == Full::Refuse => return Err(Error::QueueFull),
                Err(refused) => entry = refused,
            }
            if backoff.is_completed() {
                self.wait_for_room();
            } else {
                backoff.snooze();
            }
        }
    }

    pub(super) fn wait_for_room(&self) {
        let (mutex, condvar) = &self.room;
        let guard = lock(mutex);
        self.waiting_for_room.fetch_add(1, Ordering::SeqCst);
        if self.queue.is_full() && !self.is_closed() {
            drop(condvar.wait(guard).unwrap_or_else(PoisonError::into_inner));
        }
        self.waiting_for_room.fetch_sub(1, Ordering::SeqCst);
    }

    pub(super) fn wake_submitters(&self) {
        if self.waiting_for_room.load(Ordering::SeqCst) > 0 {
            drop(lock(&self.room.0));
            self.room.1.notify_all();
        }
    }

    pub(super) fn wake_writer(&self) {
        if let Some(unparker) = &*self.unparker.load() {
            unparker.unpark();
        }
    }

    fn wait(&self, ticket: &Ticket, until: Until) -> Result<()> {
        if let Some(true) = Ticket::is_good(ticket.state(), until) {
            return Ok(());
        }
        let wanted = usize::from(until == Until::Visible);
        self.visible_wanted.fetch_add(wanted, Ordering::SeqCst);
        self.wake_writer();
        let answer = ticket.wait(until);
        self.visible_wanted.fetch_sub(wanted, Ordering::SeqCst);
        answer
    }

    /// Closes the queue and waits for the thread to end; `false` if it did not in time.
    pub(super) fn close(&self, timeout: Duration) -> bool {
        self.closed.store(true, Ordering::SeqCst);
        drop(lock(&self.room.0));
        self.room.1.notify_all();
        self.wake_writer();
        let deadline = Instant::now().checked_add(timeout);
        let (ended, has_ended) = &self.ended;
        let mut ended = lock(ended);
        while !*ended {
            let left = deadline.map_or(Duration::from_secs(3600), |at| {
                at.saturating_duration_since(Instant::now())
            });
            if left.is_zero() {
                return false;
            }
            ended = has_ended
                .wait_timeout(ended, left)
                .unwrap_or_else(PoisonError::into_inner)
                .0;
        }
        true
    }

    /// The writer thread.
    pub(super) fn serve(&self, store: &impl Store, mut rewriter: Rewriter, parker: &Parker) {
        let mut batch = Vec::new();
        let mut not_visible = NotVisibleYet::new();
        let write = || {
            self.write_batches(store, &mut rewriter, parker, &mut batch, &mut not_visible);
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(write)) {
            let message = crate::text::message::panic_message(&*panic);
            tracing::error!(%message, "the writer thread died");
            self.failure
                .store(Some(Arc::new(Error::WriterDied { message })));
        }
        self.closed.store(true, Ordering::SeqCst);
        for entry in batch {
            self.abandon(entry);
        }
        drop(not_visible);
        drop(rewriter);
        self.end();
    }

    /// Refuses what is still on its way in, and ends.
    pub(super) fn end(&self) {
        self.closed.store(true, Ordering::SeqCst);
        // Submitters that saw it open may still be in front of their push; later ones see that it is
        // closed.
        while self.announced.load(Ordering::SeqCst) > 0 || !self.queue.is_empty() {
            if let Some(entry) = self.queue.pop() {
                self.abandon(entry);
            }
            drop(lock(&self.room.0));
            self.room.1.notify_all();
            thread::yield_now();
        }
        *lock(&self.ended.0) = true;
        self.ended.1.notify_all();
    }

    /// Tells whoever waits for an operation that the writer died before it answered, if it did.
    fn abandon(&self, entry: Entry) {
        if entry.ticket.state() == WAITING {
            self.failed
                .fetch_add(u64::from(entry.operation.is_some()), Ordering::Relaxed);
            let message = "before it answered".into();
            entry
                .ticket
                .set(FAILED, Some(Error::WriterDied { message }));
        }
    }

    fn write_batches(
        &self,
        store: &impl Store,
        rewriter: &mut Rewriter,
        parker: &Parker,
        batch: &mut Vec<Entry>,
        not_visible: &mut NotVisibleYet,
    ) {
        let mut gather = Gather::default();
        loop {
            if let Some(rewritten) = rewriter.outcome() {
                self.answer_rewritten(store, rewritten, not_visible);
            }
            let closed = self.is_closed() && self.announced.load(Ordering::SeqCst) == 0;
            let queued = std::iter::from_fn(|| self.queue.pop());
            batch.extend(queued.take(self.queue.capacity()));
            if batch.is_empty() {
                if rewriter.is_busy() {
                    parker.park();
                    continue;
                }
                if closed && (not_visible.tickets.is_empty() || not_visible.gave_up()) {
                    return;
                }
                match not_visible.due(closed || self.is_wanted()) {
                    Some(due) if due <= Instant::now() => not_visible.rewrite(rewriter),
                    Some(due) => parker.park_deadline(due),
                    None => parker.park(),
                }
                continue;
            }
            self.wake_submitters();
            let taken = batch.len();
            let began = Instant::now();
            self.commit(store, batch, not_visible);
            let ended = Instant::now();
            // A burst costs few rewrites: one that more than what was taken waits for can wait.
            let due = not_visible.due(self.is_wanted());
            if !rewriter.is_busy()
                && self.queue.len() <= taken
                && due.is_some_and(|due| due <= ended)
            {
                not_visible.rewrite(rewriter);
            }
            if !closed {
                let wanted = (taken + self.queue.len()).min(self.queue.capacity());
                gather.wait(wanted, ended - began, || self.queue.len());
            }
        }
    }

    pub(super) fn is_wanted(&self) -> bool {
        self.visible_wanted.load(Ordering::SeqCst) > 0
    }

    fn commit(&self, store: &impl Store, batch: &mut Vec<Entry>, not_visible: &mut NotVisibleYet) {
        let operations: Vec<&WriteOperation> = batch
            .iter()
            .filter_map(|entry| entry.operation.as_ref())
            .collect();
        let answers = store.commit(&operations);
        assert_eq!(answers.len(), operations.len(), "one answer for each");
        let failed = answers.iter().filter(|answer| answer.is_err()).count() as u64;
        let completed = answers.len() as u64 - failed;
        self.completed.fetch_add(completed, Ordering::Relaxed);
        self.failed.fetch_add(failed, Ordering::Relaxed);
        let mut answers = answers.into_iter();
        for Entry { operation, ticket } in batch.drain(..) {
            // A marker has none, and is good.
            match operation.and_then(|_| answers.next()) {
                Some(Err(error)) => ticket.set(FAILED, Some(error)),
                Some(Ok(())) | None => {
                    ticket.set(DURABLE, None);
                    not_visible.tickets.push(ticket);
                }
            }
        }
    }

    fn answer_rewritten(
        &self,
        store: &impl Store,
        rewritten: Rewritten,
        not_visible: &mut NotVisibleYet,
    ) {
        let Rewritten {
            began,
            ended,
            checkpoint,
        } = rewritten;
        not_visible.paced_until = ended + ((ended - began) * PACE).max(BETWEEN);
        let (pause, delay) = match &checkpoint {
            Ok(Checkpoint::Visible) => {
                for ticket in not_visible.tickets.drain(..not_visible.in_rewrite) {
                    ticket.set(VISIBLE, None);
                }
                self.failure.store(None);
                (Duration::ZERO, None)
            }
            Ok(Checkpoint::Later) => {
                let since = *not_visible.put_off_since.get_or_insert(ended);
                if ended - since < PATIENCE {
                    (SOON, None)
                } else {
                    (SOON * 20, Some(store.busy()))
                }
            }
            Err(error) => (LATER, Some(error.clone())),
        };
        if !matches!(checkpoint, Ok(Checkpoint::Later)) {
            not_visible.put_off_since = None;
        }
        not_visible.in_the_way_until = ended + pause;
        if let Some(error) = delay {
            for ticket in &not_visible.tickets[..not_visible.in_rewrite] {
                ticket.set(DELAYED, Some(error.clone()));
            }
            self.failure.store(Some(Arc::new(error)));
        }
        *lock(&self.writes) = store.writes();
    }
}

/// The operations that are durable and not visible.
struct NotVisibleYet {
    tickets: Vec<Arc<Ticket>>,
    /// The first so many of them are in the rewrite that was asked for last.
    in_rewrite: usize,
    /// Since when another program has been in the way.
    put_off_since: Option<Instant>,
    /// A checkpoint failed or was put off: none is tried before.
    in_the_way_until: Instant,
    /// None is tried before, unless somebody waits for it.
    paced_until: Instant,
}

impl NotVisibleYet {
    fn new() -> NotVisibleYet {
        let now = Instant::now();
        NotVisibleYet {
            tickets: Vec::new(),
            in_rewrite: 0,
            put_off_since: None,
            in_the_way_until: now,
            paced_until: now + BETWEEN,
        }
    }

    fn rewrite(&mut self, rewriter: &mut Rewriter) {
        self.in_rewrite = self.tickets.len();
        rewriter.ask();
    }

    /// When the next checkpoint is to be tried.
    fn due(&self, wanted: bool) -> Option<Instant> {
        let due = if wanted {
            self.in_the_way_until
        } else {
            self.in_the_way_until.max(self.paced_until)
        };
        (!self.tickets.is_empty()).then_some(due)
    }

    /// Whether a checkpoint for all of them has failed after its retries.
    fn gave_up(&self) -> bool {
        self.tickets.iter().all(|ticket| ticket.state() == DELAYED)
    }
}

impl Drop for NotVisibleYet {
    fn drop(&mut self) {
        // Only after a panic is any of them unanswered.
        for ticket in &self.tickets {
            if ticket.state() == DURABLE {
                let message = "before the sheet showed the result".into();
                ticket.set(DELAYED, Some(Error::WriterDied { message }));
            }
        }
    }
}

pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    // No code that can panic runs under these locks.
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

// miri runs these, on crossbeam's real queue:
// `MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test --lib --no-default-features -- queue:: overlay::`
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use super::*;
    use crate::queue::fake::{Fake, full_disk, start, stop, submit};

    #[test]
    fn a_full_queue_refuses_or_waits() {
        let gate = Arc::new((AtomicBool::new(false), Mutex::new(())));
        let closed = lock(&gate.1);
        let inner = Arc::clone(&gate);
        let commit = move |_: &WriteOperation| {
            inner.0.store(true, Ordering::SeqCst);
            drop(lock(&inner.1));
            Ok(())
        };
        let (shared, fake, thread) = start(2, Fake::committing(commit));
        let first = submit(&shared, "A", Full::Wait).unwrap();
        while !gate.0.load(Ordering::SeqCst) {
            std::thread::yield_now();
        }
        submit(&shared, "B", Full::Refuse).unwrap();
        submit(&shared, "C", Full::Refuse).unwrap();
        assert!(matches!(
            submit(&shared, "D", Full::Refuse),
            Err(Error::QueueFull)
        ));
        let waiting = std::thread::spawn({
            let shared = Arc::clone(&shared);
            move || submit(&shared, "E", Full::Wait)
        });
        while shared.waiting_for_room.load(Ordering::SeqCst) == 0 {
            std::thread::yield_now();
        }
        drop(closed);
        let last = waiting.join().unwrap().unwrap();
        shared.wait(&first.ticket, Until::Durable).unwrap();
        shared.wait(&last.ticket, Until::Visible).unwrap();
        assert_eq!(fake.committed().len(), 4);
        stop(&shared, thread);
    }

    #[test]
    fn a_result_whose_write_failed_is_durable_and_becomes_visible_with_the_next_write() {
        let checkpoint = |n| {
            if n == 0 {
                Err(full_disk())
            } else {
                Ok(Checkpoint::Visible)
            }
        };
        let (shared, _, thread) = start(8, Fake::checkpointing(checkpoint));
        let first = submit(&shared, "A", Full::Wait).unwrap();
        assert!(matches!(
            shared.wait(&first.ticket, Until::Visible),
            Err(Error::NotVisible { .. })
        ));
        shared.wait(&first.ticket, Until::Durable).unwrap();
        let second = submit(&shared, "B", Full::Wait).unwrap();
        shared.wait(&second.ticket, Until::Visible).unwrap();
        shared.wait(&first.ticket, Until::Visible).unwrap();
        stop(&shared, thread);
    }

    #[test]
    fn stopping_ends_although_the_sheet_cannot_be_written_and_says_so() {
        let (shared, _, thread) = start(8, Fake::checkpointing(|_| Err(full_disk())));
        submit(&shared, "A", Full::Wait).unwrap();
        stop(&shared, thread);
        assert!(matches!(
            shared.failure.load_full().as_deref(),
            Some(Error::NotVisible { .. })
        ));
    }

    #[test]
    fn each_operation_of_a_batch_gets_its_own_answer() {
        let commit = |operation: &WriteOperation| match operation.po_number.as_str() {
            "bad" => Err(Error::UnknownPo {
                po: "bad".into(),
                close: vec![],
            }),
            _ => Ok(()),
        };
        let (shared, _, thread) = start(8, Fake::committing(commit));
        let operations: Vec<Operation> = ["A", "bad", "B"]
            .iter()
            .map(|po| submit(&shared, po, Full::Wait).unwrap())
            .collect();
        let answers: Vec<bool> = operations
            .iter()
            .map(|operation| shared.wait(&operation.ticket, Until::Durable).is_ok())
            .collect();
        assert_eq!(answers, [true, false, true]);
        stop(&shared, thread);
    }

    #[test]
    fn a_dying_writer_wakes_every_waiter_with_an_error() {
        let commit = |operation: &WriteOperation| {
            assert_ne!(operation.po_number, "poison", "planted");
            Ok(())
        };
        let (shared, _, thread) = start(1, Fake::committing(commit));
        let answers: Vec<Result<()>> = std::thread::scope(|scope| {
            let workers: Vec<_> = (0..8)
                .map(|i| {
                    let shared = &shared;
                    scope.spawn(move || {
                        let operation =
                            submit(shared, if i == 3 { "poison" } else { "A" }, Full::Wait)?;
                        shared.wait(&operation.ticket, Until::Visible)
                    })
                })
                .collect();
            workers
                .into_iter()
                .map(|worker| worker.join().unwrap())
                .collect()
        });
        assert!(
            matches!(answers[3], Err(Error::WriterDied { .. })),
            "{answers:?}"
        );
        assert!(answers.iter().flatten().count() < 8);
        assert!(matches!(
            submit(&shared, "A", Full::Wait),
            Err(Error::QueueStopped)
        ));
        stop(&shared, thread);
        assert_eq!(shared.counts().0, 0);
    }

    #[test]
    fn a_writer_that_dies_while_it_writes_the_sheet_wakes_who_waits_for_it() {
        let checkpoint = |_| panic!("planted");
        let (shared, _, thread) = start(8, Fake::checkpointing(checkpoint));
        let operation = submit(&shared, "A", Full::Wait).unwrap();
        let visible = shared.wait(&operation.ticket, Until::Visible);
        assert!(
            matches!(visible, Err(Error::WriterDied { .. })),
            "{visible:?}"
        );
        shared.wait(&operation.ticket, Until::Durable).unwrap();
        stop(&shared, thread);
    }

    #[test]
    fn a_short_obstacle_after_a_long_pause_is_waited_out() {
        let checkpoint = |n| match n {
            0 => Ok(Checkpoint::Later),
            _ => Ok(Checkpoint::Visible),
        };
        let (shared, _, thread) = start(8, Fake::checkpointing(checkpoint));
        let operation = submit(&shared, "A", Full::Wait).unwrap();
        shared.wait(&operation.ticket, Until::Visible).unwrap();
        stop(&shared, thread);
        assert!(shared.failure.load_full().is_none());
    }

    #[test]
    fn nothing_that_was_accepted_while_the_queue_is_stopped_is_lost() {
        for _ in 0..if cfg!(miri) { 5 } else { 200 } {
            let (shared, fake, thread) = start(2, Fake::new());
            let accepted: usize = std::thread::scope(|scope| {
                let workers: Vec<_> = (0..3)
                    .map(|_| {
                        scope.spawn(|| {
                            (0..20)
                                .filter(|_| submit(&shared, "A", Full::Wait).is_ok())
                                .count()
                        })
                    })
                    .collect();
                shared.close(Duration::from_secs(60));
                workers
                    .into_iter()
                    .map(|worker| worker.join().unwrap())
                    .sum()
            });
            thread.join().unwrap();
            assert_eq!(fake.committed().len(), accepted);
        }
    }

    #[test]
    fn a_burst_costs_few_rewrites() {
        let (shared, fake, thread) = start(64, Fake::new());
        let burst = if cfg!(miri) { 200 } else { 6400 };
        for _ in 0..burst {
            submit(&shared, "A", Full::Wait).unwrap();
        }
        stop(&shared, thread);
        assert_eq!(fake.committed().len(), burst);
        assert!(fake.checkpoints.load(Ordering::SeqCst) <= fake.commits().len());
    }
}
