//! The thread that rewrites the sheet, so that the writer thread can go on making results durable.
//!
//! The two take turns: the writer asks for a rewrite, goes on, and is unparked when it is done; it asks
//! for the next one only after it has taken the outcome.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::store::Store;
use super::sync::thread::{self, JoinHandle};
use super::sync::{Condvar, Instant, Mutex, Unparker, lock};
use crate::error::Result;
use crate::store::Checkpoint;

/// What came of a rewrite, and from when to when it took.
pub struct Rewritten {
    pub began: Instant,
    pub ended: Instant,
    pub checkpoint: Result<Checkpoint>,
}

enum Turn {
    /// The writer's.
    Free,
    Asked,
    /// A panic is handed on to the writer.
    Done(std::result::Result<Rewritten, Box<dyn Any + Send>>),
    Over,
}

type Shared = Arc<(Mutex<Turn>, Condvar)>;

/// The writer's end. Dropping it waits for a rewrite that is going on.
pub struct Rewriter {
    shared: Shared,
    is_busy: bool,
    thread: Option<JoinHandle<()>>,
}

impl Rewriter {
    pub fn start(store: impl Store, writer: Unparker) -> std::io::Result<Rewriter> {
        let shared: Shared = Arc::new((Mutex::new(Turn::Free), Condvar::new()));
        let its = Arc::clone(&shared);
        let thread = thread::Builder::new()
            .name("tickoff-rewriter".into())
            .spawn(move || serve(&its, &store, &writer))?;
        Ok(Rewriter {
            shared,
            is_busy: false,
            thread: Some(thread),
        })
    }

    /// Whether a rewrite was asked for whose outcome was not taken yet.
    pub fn is_busy(&self) -> bool {
        self.is_busy
    }

    pub fn ask(&mut self) {
        self.is_busy = true;
        self.set(Turn::Asked);
    }

    /// What came of it, once. A panic goes on here.
    pub fn outcome(&mut self) -> Option<Rewritten> {
        if !self.is_busy {
            return None;
        }
        let mut turn = lock(&self.shared.0);
        match std::mem::replace(&mut *turn, Turn::Free) {
            Turn::Done(done) => {
                self.is_busy = false;
                drop(turn);
                Some(done.unwrap_or_else(|panic| std::panic::resume_unwind(panic)))
            }
            not_done => {
                *turn = not_done;
                None
            }
        }
    }

    fn set(&self, turn: Turn) {
        *lock(&self.shared.0) = turn;
        self.shared.1.notify_one();
    }
}

impl Drop for Rewriter {
    fn drop(&mut self) {
        self.set(Turn::Over);
        if let Some(thread) = self.thread.take() {
            thread.join().expect("it catches its panics");
        }
    }
}

fn serve(shared: &(Mutex<Turn>, Condvar), store: &impl Store, writer: &Unparker) {
    let mut turn = lock(&shared.0);
    loop {
        match &*turn {
            Turn::Over => return,
            Turn::Free | Turn::Done(_) => {
                turn = shared
                    .1
                    .wait(turn)
                    .unwrap_or_else(std::sync::PoisonError::into_inner);
            }
            Turn::Asked => {
                drop(turn);
                let began = Instant::now();
                let checkpoint = catch_unwind(AssertUnwindSafe(|| store.checkpoint()));
                let ended = Instant::now();
                let done = checkpoint.map(|checkpoint| Rewritten {
                    began,
                    ended,
                    checkpoint,
                });
                turn = lock(&shared.0);
                if matches!(*turn, Turn::Asked) {
                    *turn = Turn::Done(done);
                    writer.unpark();
                }
            }
        }
    }
}
