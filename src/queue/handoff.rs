//! The hand-off: what submitters and the writer thread share, and the submitters' side of it.
//!
//! - *Full.* A submitter registers as waiting before it tries once more, and the writer looks for
//!   waiting submitters after it has taken a batch; so one of the two sees the other.
//! - *Closed.* A submitter announces itself, then looks whether the queue is closed, then pushes.
//!   The writer ends only when the queue is closed, nobody is announced, and it is empty, in that
//!   order; so what a submitter was told is accepted has been taken.
//!
//! No wait here has a limit of its own, and each ends: the writer thread makes room and answers what
//! it took, and when it ends, or dies, it refuses or answers all that is left. Only the one who
//! closes the queue says how long that may take.

use std::sync::atomic::AtomicU64;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use chrono::Utc;
use crossbeam_utils::CachePadded;

use super::operation::{Entry, Operation, Ticket, Until};
use super::sync::{
    ArcSwapOption, ArrayQueue, AtomicBool, AtomicUsize, Backoff, Condvar, Instant, Mutex, Ordering,
    Unparker, lock,
};
use crate::error::{Error, Result};
use crate::sheet::{OperationId, Updates, WriteOperation};
use crate::store::Writes;

/// What a submitter wants when there is no room.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Full {
    Wait,
    Refuse,
}

pub(super) struct Shared {
    pub(super) queue: ArrayQueue<Entry>,
    /// Set by whoever stops the queue, read by submitters and the writer; SeqCst orders it with
    /// `announced`.
    pub(super) closed: AtomicBool,
    /// Submitters between their look at `closed` and their push. Written by submitters, read by the
    /// writer; SeqCst orders it with `closed`.
    pub(super) announced: CachePadded<AtomicUsize>,
    /// Submitters that wait for room. Written by them, read by the writer after it made room;
    /// SeqCst orders it with the queue's own operations.
    pub(super) waiting_for_room: AtomicUsize,
    pub(super) room: (Mutex<()>, Condvar),
    /// Waiters for *visible*. Written by them, read by the writer thread, which they unpark after.
    visible_wanted: AtomicUsize,
    /// Whether the thread has ended.
    pub(super) ended: (Mutex<bool>, Condvar),
    /// Why the thread died, or else why the last rewrite failed. Written by the writer thread before it
    /// ends, and by whoever starts one; read by whoever stopped it.
    pub(super) failure: ArcSwapOption<Error>,
    next_id: CachePadded<AtomicU64>,
    /// Counters, written by submitters (`accepted`, `high_water_mark`) and by the writer thread
    /// (the others), read by anybody; each is right by itself.
    accepted: AtomicU64,
    pub(super) completed: AtomicU64,
    pub(super) failed: AtomicU64,
    pub(super) high_water_mark: AtomicU64,
    pub(super) writes: Mutex<Writes>,
    /// Of the thread that runs, set before the queue is open.
    pub(super) unparker: ArcSwapOption<Unparker>,
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

    /// Hands an update over, or a marker; the queue may be full, or closed.
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

    fn wait_for_room(&self) {
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

    pub(super) fn wait(&self, ticket: &Ticket, until: Until) -> Result<()> {
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

    /// Whether somebody waits for *visible*.
    pub(super) fn is_wanted(&self) -> bool {
        self.visible_wanted.load(Ordering::SeqCst) > 0
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
}
