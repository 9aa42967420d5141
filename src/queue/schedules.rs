//! The queue's own code under schedules that shuttle chooses: at random, and by few but badly timed
//! preemptions (PCT).
//!
//! ```text
//! TICKOFF_SCHEDULES=1000000 RUSTFLAGS="--cfg shuttle" CARGO_TARGET_DIR=target/shuttle \
//!     cargo test --release --lib --no-default-features queue::schedules
//! ```
//!
//! Each scenario runs under `TICKOFF_SCHEDULES` schedules (2,000 by default), half of them of each
//! kind. A failure prints its seed, which `TICKOFF_SEED` takes, and its schedule, which
//! `TICKOFF_SCHEDULE` replays alone. Whoever waits here waits on a condvar or a join: with every
//! thread asleep shuttle reports a deadlock, which is what a lost wake-up is.

use std::env;
use std::panic::resume_unwind;
use std::sync::Arc;
use std::time::Duration;

use shuttle::scheduler::{PctScheduler, RandomScheduler, Scheduler};
use shuttle::thread;

use super::fake::{Fake, full_disk, start, stop, submit};
use super::handoff::{Full, Shared};
use super::operation::{Operation, Until};
use super::sync::Ordering;
use super::sync::model::{pass, set_clock};
use crate::error::Error;
use crate::sheet::WriteOperation;
use crate::store::Checkpoint;

fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(value.parse().expect("a number"))
}

/// Runs a scenario under many schedules.
fn check(scenario: fn()) {
    if let Ok(schedule) = env::var("TICKOFF_SCHEDULE") {
        return shuttle::replay(scenario, &schedule);
    }
    let schedules = number("TICKOFF_SCHEDULES").unwrap_or(2_000) as usize;
    let seed = number("TICKOFF_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("TICKOFF_SEED={seed}");
    let began = std::time::Instant::now();
    run(
        scenario,
        RandomScheduler::new_from_seed(seed, schedules / 2),
    );
    run(
        scenario,
        PctScheduler::new_from_seed(seed, 3, schedules / 2),
    );
    println!("{schedules} schedules in {:.1?}", began.elapsed());
}

fn run(scenario: fn(), scheduler: impl Scheduler + 'static) {
    let mut config = shuttle::Config::new();
    config.stack_size = 0x2_0000;
    shuttle::Runner::new(scheduler, config).run(scenario);
}

/// Dies as a panic does, but without a message for each of a million schedules.
fn die() -> ! {
    resume_unwind(Box::new("planted"))
}

/// What one thread submitted, one after the other.
type Submitted = Vec<Operation>;

/// Submits a few operations from each of several threads.
fn submitters(
    shared: &Arc<Shared>,
    threads: usize,
    each: usize,
    full: Full,
) -> Vec<thread::JoinHandle<Submitted>> {
    let submitter = |_| {
        let shared = Arc::clone(shared);
        let submit_some = move || (0..each).flat_map(|_| submit(&shared, "A", full)).collect();
        thread::spawn(submit_some)
    };
    (0..threads).map(submitter).collect()
}

fn joined<T>(threads: Vec<thread::JoinHandle<T>>) -> Vec<T> {
    threads
        .into_iter()
        .map(|thread| thread.join().unwrap())
        .collect()
}

/// Everything that was accepted was committed, once, and in the order of each submitter.
fn check_committed(fake: &Fake, submitted: &[Submitted]) {
    let committed = fake.committed();
    let accepted: usize = submitted.iter().map(Vec::len).sum();
    assert_eq!(committed.len(), accepted);
    for operations in submitted {
        let positions = operations.iter().map(|operation| {
            let place = committed.iter().position(|id| *id == operation.id());
            place.expect("what was accepted is committed")
        });
        assert!(positions.is_sorted());
    }
}

#[test]
fn everybody_gets_into_a_full_queue() {
    check(|| {
        set_clock(true);
        let (shared, fake, thread) = start(1, Fake::new());
        let submitted = joined(submitters(&shared, 3, 2, Full::Wait));
        assert_eq!(submitted.concat().len(), 6);
        stop(&shared, thread);
        check_committed(&fake, &submitted);
    });
}

#[test]
fn what_was_accepted_while_the_queue_is_stopped_is_durable_and_visible() {
    check(|| {
        set_clock(true);
        let (shared, fake, thread) = start(1, Fake::new());
        let mut threads = submitters(&shared, 2, 2, Full::Wait);
        threads.extend(submitters(&shared, 1, 2, Full::Refuse));
        shared.close(Duration::ZERO);
        stop(&shared, thread);
        // Who is on the way in when the thread has ended is refused.
        let submitted = joined(threads);
        check_committed(&fake, &submitted);
        for operation in submitted.concat() {
            shared.wait(&operation.ticket, Until::Durable).unwrap();
            shared.wait(&operation.ticket, Until::Visible).unwrap();
        }
        assert!(shared.failure.load_full().is_none());
    });
}

#[test]
fn an_acknowledged_operation_is_committed_and_a_visible_one_is_shown() {
    check(|| {
        set_clock(true);
        let (shared, fake, thread) = start(2, Fake::new());
        let waiter = |until| {
            let (shared, fake) = (Arc::clone(&shared), Arc::clone(&fake));
            thread::spawn(move || {
                let operation = submit(&shared, "A", Full::Wait).unwrap();
                shared.wait(&operation.ticket, until).unwrap();
                assert!(fake.committed().contains(&operation.id()));
                if until == Until::Visible {
                    assert!(fake.visible().contains(&operation.id()));
                }
            })
        };
        joined(vec![
            waiter(Until::Durable),
            waiter(Until::Visible),
            waiter(Until::Visible),
        ]);
        stop(&shared, thread);
    });
}

#[test]
fn a_writer_that_dies_in_a_commit_wakes_everybody() {
    check(|| {
        set_clock(true);
        let commit = |operation: &WriteOperation| match &*operation.po_number {
            "poison" => die(),
            _ => Ok(()),
        };
        let (shared, fake, thread) = start(1, Fake::committing(commit));
        let worker = |po: &'static str, until| {
            let (shared, fake) = (Arc::clone(&shared), Arc::clone(&fake));
            thread::spawn(move || {
                let operation = submit(&shared, po, Full::Wait)?;
                let answer = shared.wait(&operation.ticket, until);
                assert!(answer.is_err() || fake.committed().contains(&operation.id()));
                answer
            })
        };
        let answers = joined(vec![
            worker("poison", Until::Durable),
            worker("A", Until::Durable),
            worker("B", Until::Visible),
        ]);
        assert!(matches!(answers[0], Err(Error::WriterDied { .. })));
        for answer in answers {
            assert!(matches!(
                answer,
                Ok(()) | Err(Error::WriterDied { .. } | Error::QueueStopped)
            ));
        }
        stop(&shared, thread);
        assert!(shared.queue.is_empty());
        assert_eq!(shared.counts().0, 0);
        assert!(matches!(
            shared.failure.load_full().as_deref(),
            Some(Error::WriterDied { .. })
        ));
    });
}

#[test]
fn a_writer_that_dies_while_it_writes_the_sheet_wakes_everybody() {
    check(|| {
        set_clock(true);
        let checkpoint = |_| die();
        let (shared, fake, thread) = start(1, Fake::checkpointing(checkpoint));
        let worker = |until| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let operation = submit(&shared, "A", Full::Wait)?;
                let answer = shared.wait(&operation.ticket, until);
                Ok::<_, Error>((operation, answer))
            })
        };
        let answers = joined(vec![
            worker(Until::Visible),
            worker(Until::Visible),
            worker(Until::Durable),
        ]);
        stop(&shared, thread);
        let [visible @ .., _] = &answers[..] else {
            unreachable!()
        };
        for (_, answer) in visible.iter().flatten() {
            assert!(
                matches!(answer, Err(Error::WriterDied { .. })),
                "{answer:?}"
            );
        }
        for (operation, _) in answers.iter().flatten() {
            let durable = shared.wait(&operation.ticket, Until::Durable).is_ok();
            assert_eq!(durable, fake.committed().contains(&operation.id()));
        }
        assert!(answers.iter().flatten().count() > 0);
    });
}

#[test]
fn a_queue_that_got_no_thread_answers_whoever_was_faster() {
    check(|| {
        let shared = Arc::new(Shared::new(1));
        // Open, as it is while its thread is asked for.
        shared.closed.store(false, Ordering::SeqCst);
        let worker = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let operation = submit(&shared, "A", Full::Wait)?;
                shared.wait(&operation.ticket, Until::Durable)
            })
        };
        let threads = (0..3).map(worker).collect();
        shared.end();
        for answer in joined(threads) {
            assert!(matches!(
                answer,
                Err(Error::WriterDied { .. } | Error::QueueStopped)
            ));
        }
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
        let (shared, fake, thread) = start(2, Fake::checkpointing(checkpoint));
        let first = submit(&shared, "A", Full::Wait).unwrap();
        shared.wait(&first.ticket, Until::Visible).unwrap();
        let second = submit(&shared, "B", Full::Wait).unwrap();
        shared.wait(&second.ticket, Until::Durable).unwrap();
        let waiter = |_| {
            let (shared, second) = (Arc::clone(&shared), second.clone());
            thread::spawn(move || shared.wait(&second.ticket, Until::Visible).unwrap())
        };
        joined((0..2).map(waiter).collect());
        assert_eq!(fake.visible().len(), 2);
        stop(&shared, thread);
    });
}

#[test]
fn a_checkpoint_that_failed_is_made_up_for() {
    check(|| {
        set_clock(true);
        let checkpoint = |n| match n {
            0 => Err(full_disk()),
            1 => Ok(Checkpoint::Later),
            _ => Ok(Checkpoint::Visible),
        };
        let (shared, fake, thread) = start(2, Fake::checkpointing(checkpoint));
        let worker = |_| {
            let shared = Arc::clone(&shared);
            thread::spawn(move || {
                let operation = submit(&shared, "A", Full::Wait).unwrap();
                for _ in 0..2 {
                    let visible = shared.wait(&operation.ticket, Until::Visible);
                    assert!(
                        matches!(visible, Ok(()) | Err(Error::NotVisible { .. })),
                        "{visible:?}"
                    );
                    shared.wait(&operation.ticket, Until::Durable).unwrap();
                }
                operation
            })
        };
        let operations = joined((0..2).map(worker).collect());
        stop(&shared, thread);
        let failed = shared.failure.load_full().is_some();
        for operation in operations {
            let visible = shared.wait(&operation.ticket, Until::Visible);
            assert_eq!(visible.is_ok(), fake.visible().contains(&operation.id()));
            assert!(failed || visible.is_ok());
        }
    });
}

#[test]
fn a_stopped_queue_starts_again_and_loses_nothing() {
    check(|| {
        set_clock(true);
        let (shared, fake, thread) = start(1, Fake::new());
        let threads = submitters(&shared, 2, 2, Full::Wait);
        stop(&shared, thread);
        let thread = Shared::start(&shared, Arc::clone(&fake)).unwrap();
        let last = submit(&shared, "B", Full::Wait).unwrap();
        shared.wait(&last.ticket, Until::Visible).unwrap();
        let mut submitted = joined(threads);
        stop(&shared, thread);
        submitted.push(vec![last]);
        check_committed(&fake, &submitted);
        for operation in submitted.concat() {
            shared.wait(&operation.ticket, Until::Visible).unwrap();
        }
    });
}

#[test]
fn a_flush_covers_everything_that_was_submitted_before() {
    check(|| {
        set_clock(true);
        let (shared, fake, thread) = start(2, Fake::new());
        let worker = |_| {
            let (shared, fake) = (Arc::clone(&shared), Arc::clone(&fake));
            thread::spawn(move || {
                let operations = [(); 2].map(|()| submit(&shared, "A", Full::Wait).unwrap());
                let marker = shared.submit(None, Full::Wait).unwrap();
                shared.wait(&marker.ticket, Until::Visible).unwrap();
                for operation in &operations {
                    assert!(fake.visible().contains(&operation.id()));
                    shared.wait(&operation.ticket, Until::Visible).unwrap();
                }
                operations.to_vec()
            })
        };
        let submitted = joined((0..2).map(worker).collect());
        stop(&shared, thread);
        check_committed(&fake, &submitted);
    });
}
