//! Does it beat the budget of 10,000 records in under 5 seconds, and by how much?
//!
//! `updates/10000`: 10,000 updates of a 10,000-row sheet (2.3 MB) by four threads, until every one
//! is durable and visible. `floor/10000`: the least that any of it can cost, one synced, atomic
//! write of the same bytes. `acknowledged/10000`: the same updates, each of four workers waiting
//! until its result is durable before it submits the next.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tickoff::{CsvHandler, DEFAULT_CAPACITY, Until, WriteQueue};

const ROWS: usize = 10_000;
const WORKERS: usize = 4;

/// A deterministic sheet of `rows` pending rows of about 232 bytes.
fn sheet(rows: usize) -> String {
    let mut text = String::from(
        "PO_NUMBER;STATUS;SUPPLIER;ATTACHMENTS_FOUND;ATTACHMENTS_DOWNLOADED;AttachmentName;LAST_PROCESSED;ERROR_MESSAGE;DOWNLOAD_FOLDER;COUPA_URL;Priority;Supplier Segment;Spend Type;L1 UU Supplier Name\n",
    );
    for i in 0..rows {
        text.push_str(&format!(
            "PO{:08};PENDING;\"Supplier; number {}\";0;0;;;;downloads/PO{:08};https://example.invalid/order_headers/{:08}/attachments;Medium;Preferred segment of suppliers;Professional services;SUPPLIER NUMBER {} HOLDING AND SUBSIDIARIES\n",
            15_000_000 + i * 37, i % 500, 15_000_000 + i * 37, i, i % 500
        ));
    }
    text
}

fn fresh(folder: &Path, text: &str) -> (Arc<CsvHandler>, Vec<String>) {
    let path = folder.join("input.csv");
    std::fs::write(&path, text).expect("the bench's folder is writable");
    let handler =
        Arc::new(CsvHandler::open(&path, folder.join("backup")).expect("the sheet is one"));
    let pos = handler.pending_pos();
    (handler, pos)
}

fn update_all(handler: &Arc<CsvHandler>, pos: &[String], wait: bool) {
    let queue = WriteQueue::new(Arc::clone(handler), DEFAULT_CAPACITY);
    queue.start_writer_thread().expect("a thread can be had");
    std::thread::scope(|scope| {
        for worker in 0..WORKERS {
            let queue = &queue;
            scope.spawn(move || {
                for po in pos.iter().skip(worker).step_by(WORKERS) {
                    let operation = queue
                        .submit_write(po, [("STATUS", "COMPLETED"), ("ATTACHMENTS_FOUND", "2")])
                        .expect("the PO is in the sheet");
                    if wait {
                        queue
                            .wait(&operation, Until::Durable)
                            .expect("the disk takes it");
                    }
                }
            });
        }
    });
    assert!(
        queue
            .stop_writer_thread(Duration::from_secs(600))
            .expect("the sheet is written")
    );
}

fn floor(folder: &Path, text: &str) {
    let temporary = folder.join("floor.tmp");
    let mut file = File::create(&temporary).expect("the bench's folder is writable");
    file.write_all(text.as_bytes())
        .and_then(|()| file.sync_all())
        .expect("the disk takes it");
    std::fs::rename(&temporary, folder.join("floor.csv")).expect("the same folder");
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .expect("the folder syncs");
}

fn budget(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").expect("the crate's folder is writable");
    let text = sheet(ROWS);
    let mut group = criterion.benchmark_group("budget");
    group.sample_size(10);
    group.bench_function("floor/10000", |bencher| {
        bencher.iter(|| floor(folder.path(), &text))
    });
    for (name, wait) in [("updates/10000", false), ("acknowledged/10000", true)] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || fresh(folder.path(), &text),
                |(handler, pos)| update_all(&handler, &pos, wait),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, budget);
criterion_main!(benches);
