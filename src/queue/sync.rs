//! What the queue synchronises with: std and crossbeam, or the models of a checker.
//!
//! `--cfg shuttle` and `--cfg loom` put a model checker under the queue's own code, so that what is
//! checked is what runs. Only what the hand-off between threads rests on changes: counters, each
//! right by itself, and what the tests' store holds stay std's in every build.

#[cfg(not(any(loom, shuttle)))]
pub use {
    arc_swap::ArcSwapOption,
    crossbeam_queue::ArrayQueue,
    crossbeam_utils::Backoff,
    crossbeam_utils::sync::{Parker, Unparker},
    std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    std::sync::{Condvar, Mutex, MutexGuard},
    std::thread,
    std::time::Instant,
};

#[cfg(shuttle)]
pub use shuttle::{
    sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering},
    sync::{Condvar, Mutex, MutexGuard},
    thread,
};

#[cfg(loom)]
pub use {
    atomic::{AtomicBool, AtomicU8, AtomicUsize},
    loom::sync::atomic::Ordering,
    loom::sync::{Condvar, Mutex, MutexGuard},
    loom::thread,
};

#[cfg(loom)]
mod atomic;
#[cfg(any(loom, shuttle))]
pub mod model;
#[cfg(any(loom, shuttle))]
pub use model::{ArcSwapOption, ArrayQueue, Backoff, Instant, Parker, Unparker};

/// Locks what no code that can panic runs under.
pub fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex
        .lock()
        .unwrap_or_else(std::sync::PoisonError::into_inner)
}
