//! The sheet that the benches work on, and the work they do on it.

use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use tickoff::{CsvHandler, DEFAULT_CAPACITY, Until, WriteQueue};

pub const WORKERS: usize = 4;

/// A deterministic sheet of `rows` pending rows, about 230 bytes each.
pub fn text(rows: usize) -> String {
    let mut text = String::from(
        "PO_NUMBER;STATUS;SUPPLIER;ATTACHMENTS_FOUND;ATTACHMENTS_DOWNLOADED;AttachmentName;LAST_PROCESSED;ERROR_MESSAGE;DOWNLOAD_FOLDER;COUPA_URL;Priority;Supplier Segment;Spend Type;L1 UU Supplier Name\n",
    );
    for i in 0..rows {
        let (po, supplier) = (15_000_000 + i * 37, i % 500);
        text.push_str(&format!(
            "PO{po:08};PENDING;\"Supplier; number {supplier}\";0;0;;;;downloads/PO{po:08};https://example.invalid/order_headers/{i:08}/attachments;Medium;Preferred segment of suppliers;Professional services;SUPPLIER NUMBER {supplier} HOLDING AND SUBSIDIARIES\n"
        ));
    }
    text
}

/// The sheet as a new file in `folder`, opened, and its POs.
pub fn open(folder: &Path, text: &str) -> (Arc<CsvHandler>, Vec<String>) {
    let path = folder.join("input.csv");
    std::fs::write(&path, text).expect("the bench's folder is writable");
    let handler = CsvHandler::open(&path, folder.join("backup")).expect("the sheet is one");
    let pos = handler.pending_pos();
    (Arc::new(handler), pos)
}

/// Updates every PO through a queue, by [`WORKERS`] threads that submit and go on, or that wait for
/// each result to be durable. Returns when every result is durable and visible.
pub fn update_all(handler: &Arc<CsvHandler>, pos: &[String], wait: Option<Until>) {
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
                    if let Some(until) = wait {
                        queue.wait(&operation, until).expect("the disk takes it");
                    }
                }
            });
        }
    });
    let drained = queue.stop_writer_thread(Duration::from_secs(600));
    assert!(drained.expect("the sheet is written"));
}

/// The least that a new version of the sheet can cost: one synced, atomic write of its bytes.
pub fn write_once(folder: &Path, text: &str) {
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
