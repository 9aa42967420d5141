//! Results that another program worked out: each is made durable as one of a run is.
//!
//! One that finds no room waits, and is tried again until there is some or a stop is requested. What cannot be made
//! durable is remembered, for the file in which the session keeps it when it ends. Of two results of a key the later
//! counts, also if the earlier one had to wait.

use std::collections::HashSet;
use std::sync::Mutex;

use crate::error::{Error, Result};
use crate::queue::{Operation, Until, WriteQueue};
use crate::run::persist::Recorder;
use crate::run::stop::{Stop, lock};
use crate::sheet::Updates;

/// Where such results go while a session goes on.
pub struct Results<'q> {
    queue: &'q WriteQueue,
    recorder: Recorder<'q>,
    /// Whether they may take a row out of COMPLETED.
    forced: bool,
    /// Keys of which a result had to wait: what was submitted after it may have been written before it.
    late: Mutex<HashSet<String>>,
    unsaved: Mutex<Vec<(String, Updates)>>,
}

/// A result that was submitted.
pub struct SubmittedResult {
    operation: Operation,
    po: String,
    updates: Updates,
}

impl<'q> Results<'q> {
    /// Results that go to a queue; a stop gives up those that wait.
    pub fn new(queue: &'q WriteQueue, forced: bool, stop: &'q Stop) -> Results<'q> {
        Results {
            queue,
            recorder: Recorder::new(queue, forced, stop),
            forced,
            late: Mutex::default(),
            unsaved: Mutex::default(),
        }
    }

    /// Submits a result; waits only while the queue is full.
    ///
    /// # Errors
    /// As [`WriteQueue::submit_result`].
    pub fn submit(&self, po: &str, updates: Updates) -> Result<SubmittedResult> {
        let submitted = self.queue.submit_result(po, updates.clone(), self.forced);
        match submitted {
            Ok(operation) => Ok(SubmittedResult {
                operation,
                po: po.to_owned(),
                updates,
            }),
            Err(error) => {
                lock(&self.unsaved).push((po.to_owned(), updates));
                Err(error)
            }
        }
    }

    /// Remembers a result that cannot be submitted among those that are not saved. Returns the error that says so.
    pub fn keep(&self, po: &str, updates: Updates, why: Error) -> Error {
        lock(&self.unsaved).push((po.to_owned(), updates));
        Error::NotDurable {
            po: po.to_owned(),
            source: Box::new(why),
        }
    }

    /// Waits until a result is durable; to be called in the order in which they were submitted.
    ///
    /// # Errors
    /// [`Error::NotDurable`], [`Error::QueueStopped`], [`Error::WriterDied`]: it is among those that are not saved.
    pub fn wait(&self, submitted: &SubmittedResult) -> Result<()> {
        let SubmittedResult {
            operation,
            po,
            updates,
        } = submitted;
        let is_late = || lock(&self.late).contains(po.trim());
        let done = match self.queue.wait(operation, Until::Durable) {
            Ok(()) if !is_late() => Ok(()),
            Err(error) if !error.may_pass() => Err(error),
            _ => {
                lock(&self.late).insert(po.trim().to_owned());
                self.recorder.persist(po, updates)
            }
        };
        if let Err(Error::NotDurable { .. } | Error::QueueStopped | Error::WriterDied { .. }) = done
        {
            lock(&self.unsaved).push((po.clone(), updates.clone()));
        }
        done
    }

    /// Those that could not be made durable, for [`Session::finish_with`](crate::Session::finish_with).
    pub fn unsaved(&self) -> Vec<(String, Updates)> {
        std::mem::take(&mut lock(&self.unsaved))
    }
}
