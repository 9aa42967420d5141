//! An accepted operation, its answer, and who waits for it.
//!
//! Who waits for an answer sleeps on that one alone, marks it before, and only a marked one is woken:
//! with one place where all sleep, each batch woke all of them for the few that it answered.

use std::sync::{Arc, PoisonError};

use super::sync::{AtomicU8, Condvar, Mutex, Ordering, lock};
use crate::error::{Error, Result};
use crate::sheet::{OperationId, WriteOperation};

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
    pub(super) id: OperationId,
    pub(super) ticket: Arc<Ticket>,
}

impl Operation {
    /// The queue's number for it.
    pub fn id(&self) -> OperationId {
        self.id
    }
}

/// A queued operation, or a marker that is answered when its turn comes.
pub(super) struct Entry {
    pub(super) operation: Option<WriteOperation>,
    pub(super) ticket: Arc<Ticket>,
}

/// Where an operation stands. Only ever moves down this list, but that a delayed one may become
/// visible.
pub(super) const WAITING: u8 = 0;
pub(super) const FAILED: u8 = 1;
pub(super) const DURABLE: u8 = 2;
/// Durable, and a checkpoint for it failed.
pub(super) const DELAYED: u8 = 3;
pub(super) const VISIBLE: u8 = 4;

/// Set beside that while somebody sleeps until it moves.
const WAITED_FOR: u8 = 1 << 7;

/// The answer to one operation.
#[derive(Default)]
pub(super) struct Ticket {
    /// Moved by the writer thread, read and marked by waiters. All change it at once, with Acquire and
    /// Release: so either a waiter sees that it has moved, or whoever moves it sees the waiter.
    state: AtomicU8,
    /// Its error, and what waiters sleep under. An error stays when the state moves on: who has seen the
    /// old state may not have read it yet.
    error: Mutex<Option<Error>>,
    moved: Condvar,
}

impl Ticket {
    pub(super) fn state(&self) -> u8 {
        self.state.load(Ordering::Acquire) & !WAITED_FOR
    }

    pub(super) fn set(&self, state: u8, error: Option<Error>) {
        if error.is_some() {
            *lock(&self.error) = error;
        }
        if self.state.swap(state, Ordering::AcqRel) & WAITED_FOR != 0 {
            drop(lock(&self.error));
            self.moved.notify_all();
        }
    }

    /// The answer, once it is there.
    pub(super) fn wait(&self, until: Until) -> Result<()> {
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
    pub(super) fn is_good(state: u8, until: Until) -> Option<bool> {
        match (state, until) {
            (WAITING, _) | (DURABLE, Until::Visible) => None,
            (DURABLE | DELAYED | VISIBLE, Until::Durable) | (VISIBLE, Until::Visible) => Some(true),
            _ => Some(false),
        }
    }
}
