//! The writer thread: it takes what has collected, makes it durable, answers, and has the sheet
//! rewritten.
//!
//! Natural batching: while one batch is being written the next one collects, and the writer takes all
//! of it (`gather.rs`: and, at most a moment later, what comes of the last one's answers). The rewriter
//! is a thread of its own, so that the writer goes on making results durable.
//!
//! A panic anywhere in the thread is caught, and whoever waits for an operation that it left behind, in
//! its hands or in the queue, is told that the writer died.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;

use super::gather::Gather;
use super::handoff::Shared;
use super::not_visible::NotVisibleYet;
use super::operation::{DURABLE, Entry, FAILED, WAITING};
use super::rewriter::{Rewriter, Rewritten};
use super::store::Store;
use super::sync::thread::{self, JoinHandle};
use super::sync::{Instant, Ordering, Parker, lock};
use crate::error::{Error, Result};
use crate::sheet::WriteOperation;
use crate::text::panic_message;

impl Shared {
    /// Opens the queue and starts the thread.
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

    /// The writer thread.
    fn serve(&self, store: &impl Store, mut rewriter: Rewriter, parker: &Parker) {
        let mut batch = Vec::new();
        let mut not_visible = NotVisibleYet::new();
        let write = || {
            self.write_batches(store, &mut rewriter, parker, &mut batch, &mut not_visible);
        };
        if let Err(panic) = catch_unwind(AssertUnwindSafe(write)) {
            let message = panic_message(&*panic);
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
                if closed && (not_visible.is_empty() || not_visible.gave_up()) {
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
                    not_visible.add(ticket);
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
        if let Some(answer) = not_visible.answer(rewritten, || store.busy()) {
            self.failure.store(answer.err().map(Arc::new));
        }
        *lock(&self.writes) = store.writes();
    }
}

// miri runs these, on crossbeam's real queue:
// `MIRIFLAGS=-Zmiri-disable-isolation cargo +nightly miri test --lib --no-default-features -- queue:: overlay::`
#[cfg(all(test, not(any(loom, shuttle))))]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::queue::fake::{Fake, full_disk, start, stop, submit};
    use crate::queue::handoff::Full;
    use crate::queue::operation::{Operation, Until};
    use crate::queue::sync::{AtomicBool, Mutex};
    use crate::store::Checkpoint;

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
                form: None,
                close: vec![],
                more: 0,
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
