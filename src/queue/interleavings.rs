//! The queue's own code under every schedule of few threads with at most a few preemptions, and
//! under every value that the memory model lets a load return (loom).
//!
//! ```text
//! RUSTFLAGS="--cfg loom" CARGO_TARGET_DIR=target/loom \
//!     cargo test --release --lib --no-default-features queue::interleavings
//! ```
//!
//! `TICKOFF_PREEMPTIONS` allows more of them (2 by default; 3 take some minutes a scenario). What is exchanged for a model is in
//! `sync.rs`: crossbeam's queue is modelled access by access, and counters are left out.

use std::env;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use loom::thread;

use super::fake::{Fake, full_disk, start, stop, submit};
use super::handoff::Full;
use super::operation::Until;
use super::sync::Ordering;
use super::sync::model::{pass, set_clock};
use crate::error::Error;
use crate::sheet::WriteOperation;
use crate::store::Checkpoint;

fn check(scenario: fn()) {
    let mut model = loom::model::Builder::new();
    model.max_branches = 10_000;
    let preemptions = env::var("TICKOFF_PREEMPTIONS");
    model.preemption_bound =
        Some(preemptions.map_or(2, |number| number.parse().expect("a number")));
    let began = std::time::Instant::now();
    let schedules = Arc::new(std::sync::atomic::AtomicUsize::new(0));
    let count = Arc::clone(&schedules);
    model.check(move || {
        count.fetch_add(1, Ordering::Relaxed);
        scenario();
    });
    println!("{schedules:?} schedules in {:.1?}", began.elapsed());
}

#[test]
fn what_was_accepted_while_the_queue_is_closed_is_committed() {
    check(|| {
        set_clock(true);
        let (shared, fake, thread) = start(1, Fake::new());
        let submitter = {
            let shared = Arc::clone(&shared);
            thread::spawn(move || submit(&shared, "A", Full::Wait))
        };
        stop(&shared, thread);
        let accepted = submitter.join().unwrap();
        assert_eq!(fake.committed().len(), usize::from(accepted.is_ok()));
        if let Ok(operation) = accepted {
            shared.wait(&operation.ticket, Until::Visible).unwrap();
        }
    });
}

#[test]
fn whoever_waits_for_room_is_woken() {
    check(|| {
        set_clock(true);
        let (shared, fake, thread) = start(1, Fake::new());
        for _ in 0..2 {
            submit(&shared, "A", Full::Wait).unwrap();
        }
        // Nothing that comes later may be what wakes it.
        submit(&shared, "A", Full::Wait).unwrap();
        stop(&shared, thread);
        assert_eq!(fake.committed().len(), 3);
    });
}

#[test]
fn whoever_waits_for_an_answer_is_woken_and_sees_what_was_committed() {
    check(|| {
        set_clock(true);
        let written = Arc::new(loom::sync::atomic::AtomicBool::new(false));
        let commit = {
            let written = Arc::clone(&written);
            move |_: &WriteOperation| {
                written.store(true, Ordering::Relaxed);
                Ok(())
            }
        };
        let (shared, fake, thread) = start(2, Fake::committing(commit));
        let waiter = {
            let (shared, fake) = (Arc::clone(&shared), Arc::clone(&fake));
            thread::spawn(move || {
                let operation = submit(&shared, "A", Full::Wait).unwrap();
                shared.wait(&operation.ticket, Until::Durable).unwrap();
                assert!(written.load(Ordering::Relaxed));
                assert_eq!(fake.committed(), [operation.id()]);
                shared.wait(&operation.ticket, Until::Visible).unwrap();
                assert_eq!(fake.visible(), [operation.id()]);
            })
        };
        waiter.join().unwrap();
        stop(&shared, thread);
    });
}

#[test]
fn the_answer_to_a_failed_checkpoint_comes_with_its_error() {
    check(|| {
        set_clock(true);
        let checkpoint = |n| match n {
            0 => Err(full_disk()),
            _ => Ok(Checkpoint::Visible),
        };
        let (shared, _, thread) = start(1, Fake::checkpointing(checkpoint));
        let operation = submit(&shared, "A", Full::Wait).unwrap();
        let visible = shared.wait(&operation.ticket, Until::Visible);
        assert!(
            matches!(visible, Ok(()) | Err(Error::NotVisible { .. })),
            "{visible:?}"
        );
        stop(&shared, thread);
    });
}

#[test]
fn whoever_waits_for_visible_hastens_a_rewrite_that_was_put_off() {
    check(|| {
        // No deadline arrives: only who waits can make the writer go on.
        set_clock(false);
        let checkpoint = |n| {
            if n == 0 {
                pass(Duration::from_secs(3600));
            }
            Ok(Checkpoint::Visible)
        };
        let (shared, fake, thread) = start(1, Fake::checkpointing(checkpoint));
        for _ in 0..2 {
            let operation = submit(&shared, "A", Full::Wait).unwrap();
            shared.wait(&operation.ticket, Until::Visible).unwrap();
        }
        assert_eq!(fake.visible().len(), 2);
        stop(&shared, thread);
    });
}

#[test]
fn a_dying_writer_wakes_who_waits() {
    check(|| {
        set_clock(true);
        let commit = |_: &WriteOperation| resume_unwind(Box::new("planted"));
        let (shared, _, thread) = start(1, Fake::committing(commit));
        for _ in 0..2 {
            let answer = submit(&shared, "A", Full::Wait)
                .and_then(|operation| shared.wait(&operation.ticket, Until::Durable));
            assert!(
                matches!(answer, Err(Error::WriterDied { .. } | Error::QueueStopped)),
                "{answer:?}"
            );
        }
        stop(&shared, thread);
    });
}
