//! The contract of `WriteQueue`, on real sheets.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use tickoff::{CsvHandler, DEFAULT_CAPACITY, Error, ProcessingStatus, Until, Updates, WriteQueue};

use crate::fixture::TempSheet;

fn started(sheet: &TempSheet, capacity: usize) -> WriteQueue {
    let queue = WriteQueue::new(Arc::new(sheet.open()), capacity);
    queue.start_writer_thread().unwrap();
    queue
}

#[test]
fn a_result_that_is_visible_is_in_the_file() {
    let sheet = TempSheet::pending(3);
    let queue = started(&sheet, DEFAULT_CAPACITY);
    let operation = queue.submit_write("PO1", [("SUPPLIER", "new")]).unwrap();
    queue.wait(&operation, Until::Visible).unwrap();
    assert_eq!(sheet.cell("PO1", "SUPPLIER"), "new");
    queue.wait(&operation, Until::Durable).unwrap();
}

#[test]
fn a_result_that_is_durable_is_in_the_journal_of_whoever_reads_next() {
    let sheet = TempSheet::pending(3);
    let queue = started(&sheet, DEFAULT_CAPACITY);
    let operation = queue.submit_write("PO1", [("SUPPLIER", "new")]).unwrap();
    queue.wait(&operation, Until::Durable).unwrap();
    let read = tickoff::Sheet::read(sheet.path(), &tickoff::Options::default()).unwrap();
    assert_eq!(read.record("PO1").unwrap().supplier.as_deref(), Some("new"));
}

#[test]
fn of_two_updates_of_a_cell_the_later_submitted_wins() {
    let sheet = TempSheet::pending(1);
    let queue = started(&sheet, 4);
    for i in 0..100 {
        queue
            .submit_write("PO0", [("SUPPLIER", i.to_string())])
            .unwrap();
    }
    queue.flush().unwrap();
    assert_eq!(sheet.cell("PO0", "SUPPLIER"), "99");
}

#[test]
fn transitions_are_checked_one_by_one_before_they_are_coalesced() {
    let sheet = TempSheet::pending(1);
    let queue = started(&sheet, DEFAULT_CAPACITY);
    let done = queue
        .submit_write("PO0", Updates::status(ProcessingStatus::Completed))
        .unwrap();
    let late = queue
        .submit_write("PO0", Updates::error("too late"))
        .unwrap();
    let other = queue.submit_write("PO0", [("SUPPLIER", "still")]).unwrap();
    assert!(queue.wait(&done, Until::Durable).is_ok());
    assert_eq!(
        queue.wait(&late, Until::Durable).unwrap_err().to_string(),
        "PO0: a result may not change COMPLETED to ERROR"
    );
    queue.wait(&other, Until::Visible).unwrap();
    assert_eq!(
        (
            sheet.cell("PO0", "STATUS").as_str(),
            sheet.cell("PO0", "SUPPLIER").as_str()
        ),
        ("COMPLETED", "still")
    );
    let status = queue.get_queue_status();
    assert_eq!((status.completed, status.failed, status.pending), (2, 1, 0));
}

#[test]
fn what_can_never_be_written_is_refused_at_once() {
    let sheet = TempSheet::pending(1);
    let queue = started(&sheet, DEFAULT_CAPACITY);
    assert!(matches!(
        queue.submit_write("PO9", [("SUPPLIER", "x")]),
        Err(Error::UnknownPo { .. })
    ));
    assert!(matches!(
        queue.submit_write("PO0", [("Colour", "x")]),
        Err(Error::UnknownColumn { .. })
    ));
    assert!(matches!(
        queue.submit_write("PO0", [("SUPPLIER", "\0")]),
        Err(Error::InvalidValue { .. })
    ));
    assert_eq!(queue.get_queue_status().completed, 0);
}

#[test]
fn stopping_drains_everything_that_was_accepted() {
    let sheet = TempSheet::pending(500);
    let queue = started(&sheet, 8);
    for i in 0..500 {
        queue
            .submit_write(&format!("PO{i}"), [("SUPPLIER", format!("s{i}"))])
            .unwrap();
    }
    assert!(queue.stop_writer_thread(Duration::from_secs(60)).unwrap());
    let table = sheet.table();
    for i in 0..500 {
        assert_eq!(table[&format!("PO{i}")]["SUPPLIER"], format!("s{i}"));
    }
    assert!(matches!(
        queue.submit_write("PO0", [("SUPPLIER", "x")]),
        Err(Error::QueueStopped)
    ));
    assert!(queue.get_queue_status().high_water_mark <= 8);
}

#[test]
fn dropping_the_queue_drains_it_too() {
    let sheet = TempSheet::pending(50);
    let queue = started(&sheet, DEFAULT_CAPACITY);
    for i in 0..50 {
        queue
            .submit_write(&format!("PO{i}"), [("SUPPLIER", "kept")])
            .unwrap();
    }
    drop(queue);
    assert!(sheet.table().values().all(|row| row["SUPPLIER"] == "kept"));
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn a_stopped_queue_can_be_started_again() {
    let sheet = TempSheet::pending(1);
    let queue = started(&sheet, DEFAULT_CAPACITY);
    assert!(queue.stop_writer_thread(Duration::from_secs(60)).unwrap());
    queue.start_writer_thread().unwrap();
    queue.submit_write("PO0", [("SUPPLIER", "again")]).unwrap();
    queue.flush().unwrap();
    assert_eq!(sheet.cell("PO0", "SUPPLIER"), "again");
}

#[test]
fn four_workers_behind_a_small_queue_and_a_second_handler_lose_nothing() {
    let sheet = TempSheet::pending(400);
    let queue = started(&sheet, 4);
    let other = CsvHandler::open(sheet.path(), sheet.backups()).unwrap();
    std::thread::scope(|scope| {
        for worker in 0..4 {
            let queue = &queue;
            scope.spawn(move || {
                for i in (worker..300).step_by(4) {
                    for value in ["first", "second"] {
                        queue
                            .submit_write(&format!("PO{i}"), [("SUPPLIER", value)])
                            .unwrap();
                    }
                }
            });
        }
        scope.spawn(|| {
            for i in 300..340 {
                other
                    .update_record(&format!("PO{i}"), [("SUPPLIER", "other")])
                    .unwrap();
            }
        });
    });
    queue.flush().unwrap();
    let table = sheet.table();
    for i in 0..400 {
        let want = if i < 300 {
            "second"
        } else if i < 340 {
            "other"
        } else {
            "Acme"
        };
        assert_eq!(table[&format!("PO{i}")]["SUPPLIER"], want, "PO{i}");
    }
}

/// Made for ThreadSanitizer; `TICKOFF_ROUNDS` repeats it:
///
/// ```text
/// RUSTC_BOOTSTRAP=1 RUSTFLAGS=-Zsanitizer=thread CARGO_TARGET_DIR=target/tsan cargo test \
///     -Zbuild-std --target x86_64-unknown-linux-gnu --no-default-features --test it queue::
/// ```
#[test]
fn hammered_from_all_sides_a_queue_loses_nothing() {
    let rounds = std::env::var("TICKOFF_ROUNDS").map_or(1, |rounds| rounds.parse().unwrap());
    for _ in 0..rounds {
        hammer();
    }
}

/// Submitters of every kind, readers, flushes, restarts, another handler and another program, all at
/// once on one sheet.
fn hammer() {
    let sheet = TempSheet::pending(12);
    let queue = started(&sheet, 2);
    let other = CsvHandler::open(sheet.path(), sheet.backups()).unwrap();
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let (queue, sheet, is_over) = (&queue, &sheet, &is_over);
        let submitters: Vec<_> = (0..4)
            .map(|worker| scope.spawn(move || submit_numbers(queue, &format!("PO{worker}"))))
            .collect();
        let restarts = scope.spawn(move || {
            for _ in 0..5 {
                assert!(queue.stop_writer_thread(Duration::from_secs(60)).unwrap());
                queue.start_writer_thread().unwrap();
                std::thread::sleep(Duration::from_millis(20));
            }
        });
        scope.spawn(move || {
            for value in 0..20 {
                other
                    .update_record("PO4", [("SUPPLIER", value.to_string())])
                    .unwrap();
            }
        });
        scope.spawn(move || {
            for i in 5..12 {
                let row = format!("PO{i};PENDING;Acme");
                let edited = format!("PO{i};PENDING;outside");
                let saved = sheet.folder().join("saved.csv");
                std::fs::write(&saved, sheet.text().replace(&row, &edited)).unwrap();
                std::fs::rename(saved, sheet.path()).unwrap();
                std::thread::sleep(Duration::from_millis(5));
            }
        });
        for _ in 0..2 {
            scope.spawn(move || {
                while !is_over.load(Ordering::Relaxed) {
                    let handler = queue.handler();
                    let progress = handler.get_processing_progress();
                    assert_eq!((progress.total, progress.pending), (12, 12));
                    assert!(handler.record("PO0").is_some());
                    assert_eq!(handler.get_pending_records().len(), 12);
                    assert_eq!(queue.get_queue_status().failed, 0);
                }
            });
        }
        for submitter in submitters {
            submitter.join().unwrap();
        }
        restarts.join().unwrap();
        is_over.store(true, Ordering::Relaxed);
    });
    queue.flush().unwrap();
    let table = sheet.table();
    for i in 0..12 {
        let want = if i < 4 {
            "49"
        } else if i < 5 {
            "19"
        } else {
            "outside"
        };
        assert_eq!(table[&format!("PO{i}")]["SUPPLIER"], want, "PO{i}");
    }
    assert_eq!(queue.get_queue_status().completed, 4 * 50);
}

/// Submits 0 to 49 for one PO, again if the queue is stopped, and waits in every way for some.
fn submit_numbers(queue: &WriteQueue, po: &str) {
    for value in 0..50 {
        let operation = loop {
            match queue.submit_write(po, [("SUPPLIER", value.to_string())]) {
                Ok(operation) => break operation,
                Err(Error::QueueStopped) => std::thread::yield_now(),
                Err(error) => panic!("{}", error.chain()),
            }
        };
        match value % 8 {
            0 => queue.wait(&operation, Until::Durable).unwrap(),
            4 => queue.wait(&operation, Until::Visible).unwrap(),
            7 => match queue.flush() {
                Ok(()) | Err(Error::QueueStopped) => {}
                Err(error) => panic!("{}", error.chain()),
            },
            _ => {}
        }
    }
}
