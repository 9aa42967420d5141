//! The sheet that the benches work on, and the work they do on it.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use tickoff::{CsvHandler, DEFAULT_CAPACITY, Options, Session, Until, WriteQueue};

pub const WORKERS: usize = 4;

/// A deterministic sheet of `rows` pending rows, about 230 bytes each.
pub fn text(rows: usize) -> String {
    let mut text = String::from(HEADER);
    for i in 0..rows {
        text.push_str(&row(i));
    }
    text
}

const HEADER: &str = "PO_NUMBER;STATUS;SUPPLIER;ATTACHMENTS_FOUND;ATTACHMENTS_DOWNLOADED;AttachmentName;LAST_PROCESSED;ERROR_MESSAGE;DOWNLOAD_FOLDER;COUPA_URL;Priority;Supplier Segment;Spend Type;L1 UU Supplier Name\n";

fn row(i: usize) -> String {
    let (po, supplier) = (15_000_000 + i * 37, i % 500);
    format!(
        "PO{po:08};PENDING;\"Supplier; number {supplier}\";0;0;;;;downloads/PO{po:08};https://example.invalid/order_headers/{i:08}/attachments;Medium;Preferred segment of suppliers;Professional services;SUPPLIER NUMBER {supplier} HOLDING AND SUBSIDIARIES\n"
    )
}

/// The same as a new file in `folder`, a piece at a time.
pub fn write(folder: &Path, rows: usize) -> PathBuf {
    let path = folder.join("input.csv");
    let mut file = BufWriter::new(File::create(&path).expect("the bench's folder is writable"));
    file.write_all(HEADER.as_bytes())
        .expect("the disk takes it");
    for i in 0..rows {
        file.write_all(row(i).as_bytes())
            .expect("the disk takes it");
    }
    file.into_inner()
        .expect("the disk takes it")
        .sync_all()
        .expect("the disk syncs");
    as_new(&path);
    path
}

/// Makes a file a sheet of which tickoff knows nothing: the journal of the one before it would say that an older
/// version has come back.
pub fn as_new(sheet: &Path) {
    let journal = sheet.with_file_name(".input.csv.journal");
    match std::fs::remove_file(journal) {
        Err(error) if error.kind() != std::io::ErrorKind::NotFound => panic!("{error}"),
        _ => rested(sheet),
    }
}

/// Makes a sheet one that was written an hour ago: tickoff waits 0.2 s for one that was just written, which
/// is not what is measured.
fn rested(sheet: &Path) {
    let hour = Duration::from_secs(3_600);
    File::options()
        .write(true)
        .open(sheet)
        .and_then(|file| file.set_modified(SystemTime::now() - hour))
        .expect("the sheet is ours");
}

/// What a run of every row keeps in memory beyond the pages of its private copy, in bytes: as the
/// kernel counts it while the first command runs, which then ends the run.
pub fn anonymous_memory(sheet: &Path) -> u64 {
    let out = sheet.with_file_name("memory");
    let status = Command::new(env!("CARGO_BIN_EXE_tickoff"))
        .args(["run", "--quiet", "--halt", "now,fail=1", "-j", "1"])
        .arg(sheet)
        .args([
            "--",
            "sh",
            "-c",
            "grep RssAnon /proc/$PPID/status > \"$OUT\"; exit 1",
        ])
        .env("OUT", &out)
        .status();
    assert_eq!(status.expect("it starts").code(), Some(5), "it is halted");
    let line = std::fs::read_to_string(out).expect("the command wrote it");
    let kilobytes = line.split_whitespace().nth(1).expect("RssAnon: N kB");
    kilobytes.parse::<u64>().expect("a number") * 1024
}

/// A run of `true` for each of so many POs, four at a time.
pub fn run_true(sheet: &Path, rows: usize) -> Duration {
    let rows: String = (0..rows).map(|i| format!("PO{i};\n")).collect();
    std::fs::write(sheet, format!("PO_NUMBER;STATUS\n{rows}")).expect("it is writable");
    as_new(sheet);
    let start = Instant::now();
    let status = Command::new(env!("CARGO_BIN_EXE_tickoff"))
        .args(["run", "-j", "4", "--quiet"])
        .arg(sheet)
        .args(["--", "true"])
        .status();
    assert!(status.expect("it starts").success());
    start.elapsed()
}

/// The sheet as a new file in `folder`, in a session that is about to begin, and its POs.
pub fn open(folder: &Path, text: &str) -> (Session, Vec<String>) {
    let path = folder.join("input.csv");
    std::fs::write(&path, text).expect("the bench's folder is writable");
    as_new(&path);
    open_file(&path)
}

/// The same with a file that is there.
pub fn open_file(path: &Path) -> (Session, Vec<String>) {
    let mut session = Session::open(path, &Options::default()).expect("the sheet is one");
    let pos = session.handler().pending_pos();
    session.prepare(pos.len()).expect("the disk takes it");
    (session, pos)
}

/// Updates every PO through a queue, by [`WORKERS`] threads that submit and go on, or that wait for
/// each result to be durable. Returns when every result is durable and visible: how long each took
/// until its worker went on.
pub fn update_all(handler: &Arc<CsvHandler>, pos: &[String], wait: Option<Until>) -> Vec<Duration> {
    let queue = WriteQueue::new(Arc::clone(handler), DEFAULT_CAPACITY);
    queue.start_writer_thread().expect("a thread can be had");
    let latencies = std::thread::scope(|scope| {
        let worker = |worker| {
            let queue = &queue;
            scope.spawn(move || {
                let mut latencies = Vec::new();
                for po in pos.iter().skip(worker).step_by(WORKERS) {
                    let start = Instant::now();
                    let operation = queue
                        .submit_write(po, [("STATUS", "COMPLETED"), ("ATTACHMENTS_FOUND", "2")])
                        .expect("the PO is in the sheet");
                    if let Some(until) = wait {
                        queue.wait(&operation, until).expect("the disk takes it");
                    }
                    latencies.push(start.elapsed());
                }
                latencies
            })
        };
        let workers: Vec<_> = (0..WORKERS).map(worker).collect();
        workers
            .into_iter()
            .flat_map(|worker| worker.join().expect("no worker panics"))
            .collect()
    });
    let drained = queue.stop_writer_thread(Duration::from_secs(600));
    assert!(drained.expect("the sheet is written"));
    latencies
}

/// The least that a new version of the sheet can cost: one synced, atomic write of its bytes.
pub fn write_once(folder: &Path, text: impl AsRef<[u8]>) {
    let temporary = folder.join("floor.tmp");
    let mut file = File::create(&temporary).expect("the bench's folder is writable");
    file.write_all(text.as_ref())
        .and_then(|()| file.sync_all())
        .expect("the disk takes it");
    std::fs::rename(&temporary, folder.join("floor.csv")).expect("the same folder");
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .expect("the folder syncs");
}
