//! `WriteQueue`: submitters never lock, and what was accepted is never dropped.
//!
//! A bounded lock-free queue (crossbeam's `ArrayQueue`, Vyukov's MPMC array) feeds one writer
//! thread, which makes each batch durable at once; the sheet follows. What is ours here is waiting,
//! closing and draining, each in a file of its own: who waits for an answer (`operation.rs`), who waits
//! for room and what closing means (`handoff.rs`), what the writer takes, and leaves when it dies
//! (`writer_thread.rs`), and when the sheet is rewritten (`not_visible.rs`).

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::handoff::{Full, Shared};
use super::operation::{Operation, Until};
use super::sync::thread::JoinHandle;
use super::sync::{Mutex, Ordering, lock};
use crate::domain::ProcessingStatus;
use crate::error::{Error, Result};
use crate::sheet::{Updates, WriteOperation};
use crate::store::{CsvHandler, Writes};

/// How many operations a queue holds unless another capacity is asked for.
pub const DEFAULT_CAPACITY: usize = 1024;

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
            Some(error) => Err(Error::clone(&error)),
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

    /// Submits what a job that has run answered; waits only while the queue is full.
    ///
    /// It is never refused for what is in it. What has a place is written, a value that no cell holds as
    /// far as it can be, and an ERROR_MESSAGE as one line of at most
    /// [`MAX_ERROR_CHARS`](crate::MAX_ERROR_CHARS) characters. A STATUS that no result has makes the row
    /// ERROR. A column that is missing is added, up to [`MAX_ADDED_COLUMNS`](crate::MAX_ADDED_COLUMNS) beside the
    /// original system's, unless [`Options::add_columns`](crate::Options::add_columns) says no. Cells whose row or
    /// column is not there go to `….unplaced.csv` beside the backups; so do status,
    /// time and message where the result would take its PO out of COMPLETED or back to PENDING, or where
    /// the row's STATUS is a word that nobody knows ([`Options::todo`](crate::Options::todo)), unless it is
    /// `forced`.
    ///
    /// # Errors
    /// [`Error::QueueStopped`]: it was not accepted.
    pub fn submit_result(
        &self,
        po: &str,
        updates: impl Into<Updates>,
        forced: bool,
    ) -> Result<Operation> {
        let status = self.handler.status(po);
        let may_be_pending = forced || matches!(status, Some(ProcessingStatus::Other(_)));
        let operation = WriteOperation {
            force: forced,
            is_result: true,
            ..WriteOperation::new(
                po,
                updates
                    .into()
                    .fit(po.trim(), may_be_pending, self.handler.options()),
            )
        };
        self.shared.submit(Some(operation), Full::Wait)
    }

    fn submit(&self, po: &str, updates: Updates, force: bool, full: Full) -> Result<Operation> {
        self.handler.validate(po, &updates)?;
        let operation = WriteOperation {
            force,
            ..WriteOperation::new(po, updates)
        };
        self.shared.submit(Some(operation), full)
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
