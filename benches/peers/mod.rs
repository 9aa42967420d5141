//! What the speed table compares us with: floors, and what a user would pick instead.
#![allow(dead_code, reason = "each bench uses a part of it")]

use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::mpsc::{SyncSender, channel, sync_channel};
use std::time::{Duration, Instant};

use rusqlite::Connection;

use crate::sheet::WORKERS;

/// What acknowledging can cost at least: four threads that each wait until their line, with all that
/// came meanwhile, is appended and synced.
pub fn append_in_groups(folder: &Path, rows: usize) -> Duration {
    let mut log = File::create(folder.join("floor.log")).expect("the bench's folder is writable");
    let start = Instant::now();
    std::thread::scope(|scope| {
        let (submit, submitted) = channel::<(String, SyncSender<()>)>();
        scope.spawn(move || {
            while let Ok(first) = submitted.recv() {
                let group: Vec<_> = std::iter::once(first).chain(submitted.try_iter()).collect();
                for (line, _) in &group {
                    log.write_all(line.as_bytes()).expect("the disk takes it");
                }
                log.sync_data().expect("the disk syncs");
                for (_, answer) in group {
                    answer.send(()).expect("the worker waits");
                }
            }
        });
        for worker in 0..WORKERS {
            let submit = submit.clone();
            scope.spawn(move || {
                let (answer, answered) = sync_channel(1);
                for i in (worker..rows).step_by(WORKERS) {
                    let line = format!("PO{i:08};COMPLETED;2;2026-01-05T10:00:00Z\n");
                    submit
                        .send((line, answer.clone()))
                        .expect("the log is written");
                    answered.recv().expect("the log answers");
                }
            });
        }
    });
    start.elapsed()
}

const UPDATE: &str =
    "UPDATE orders SET status = 'COMPLETED', found = '2', processed = ?2 WHERE po = ?1";
const NOW: &str = "2026-01-05T10:00:00Z";

/// A database of these rows, with about as many bytes a row as the sheet, durable at each commit.
fn database(folder: &Path, rows: usize) -> Connection {
    for end in ["", "-wal", "-shm"] {
        std::fs::remove_file(folder.join(format!("peer.db{end}"))).ok();
    }
    let mut connection = Connection::open(folder.join("peer.db")).expect("the folder is writable");
    connection
        .execute_batch(
            "PRAGMA journal_mode = WAL; PRAGMA synchronous = FULL;
             CREATE TABLE orders (po TEXT PRIMARY KEY, status TEXT, found TEXT, processed TEXT, rest TEXT) WITHOUT ROWID;",
        )
        .expect("SQLite takes it");
    let filling = connection.transaction().expect("SQLite takes it");
    {
        let mut insert = filling
            .prepare("INSERT INTO orders VALUES (?1, 'PENDING', '0', '', ?2)")
            .expect("SQLite takes it");
        let rest = "x".repeat(200);
        for i in 0..rows {
            insert
                .execute((format!("PO{i:08}"), &rest))
                .expect("SQLite takes it");
        }
    }
    filling.commit().expect("SQLite takes it");
    connection
}

/// All updates, 256 a commit, then all rows into a CSV that is synced and renamed.
pub fn sqlite_in_commits_of_256(folder: &Path, rows: usize) -> Duration {
    let mut connection = database(folder, rows);
    let start = Instant::now();
    for first in (0..rows).step_by(256) {
        let commit = connection.transaction().expect("SQLite takes it");
        {
            let mut update = commit.prepare_cached(UPDATE).expect("SQLite takes it");
            for i in first..rows.min(first + 256) {
                update
                    .execute((format!("PO{i:08}"), NOW))
                    .expect("SQLite takes it");
            }
        }
        commit.commit().expect("SQLite takes it");
    }
    let mut csv = BufWriter::new(File::create(folder.join("peer.tmp")).expect("it is writable"));
    let mut all = connection
        .prepare("SELECT * FROM orders")
        .expect("SQLite takes it");
    let mut found = all.query([]).expect("SQLite takes it");
    while let Some(row) = found.next().expect("SQLite reads it") {
        for column in 0..5 {
            let cell: String = row.get(column).expect("each is text");
            csv.write_all(cell.as_bytes())
                .and_then(|()| csv.write_all(b";"))
                .expect("the disk takes it");
        }
        csv.write_all(b"\n").expect("the disk takes it");
    }
    let csv = csv.into_inner().expect("the disk takes it");
    csv.sync_all().expect("the disk syncs");
    std::fs::rename(folder.join("peer.tmp"), folder.join("peer.csv")).expect("the same folder");
    File::open(folder)
        .and_then(|folder| folder.sync_all())
        .expect("the folder syncs");
    start.elapsed()
}

/// Four threads that commit each update by itself. They share one connection: with one each, SQLite
/// makes them wait for each other by sleeping.
///
/// Returns how long each took, and all together.
pub fn sqlite_a_commit_each(
    folder: &Path,
    rows: usize,
    updates: usize,
) -> (Vec<Duration>, Duration) {
    let connection = Mutex::new(database(folder, rows));
    let start = Instant::now();
    let latencies = std::thread::scope(|scope| {
        let worker = |worker| {
            let connection = &connection;
            scope.spawn(move || {
                let mut latencies = Vec::new();
                for i in (worker..updates).step_by(WORKERS) {
                    let start = Instant::now();
                    let connection = connection.lock().expect("no worker panics");
                    let mut update = connection.prepare_cached(UPDATE).expect("SQLite takes it");
                    update
                        .execute((format!("PO{i:08}"), NOW))
                        .expect("SQLite takes it");
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
    (latencies, start.elapsed())
}

/// How many fields csv-core finds.
pub fn csv_core_fields(bytes: &[u8]) -> usize {
    let mut reader = csv_core::ReaderBuilder::new().delimiter(b';').build();
    let (mut at, mut fields) = (0, 0);
    let (mut output, mut ends) = (vec![0; 1 << 16], vec![0; 1 << 10]);
    loop {
        let (result, read, _, ended) = reader.read_record(&bytes[at..], &mut output, &mut ends);
        at += read;
        fields += ended;
        if let csv_core::ReadRecordResult::End = result {
            return fields;
        }
    }
}

/// Starts `true` once for each name, four at a time.
pub fn xargs(folder: &Path, names: &str) -> Duration {
    let input = folder.join("names");
    std::fs::write(&input, names).expect("it is writable");
    let start = Instant::now();
    let status = Command::new("xargs")
        .args(["-P4", "-n1", "true"])
        .stdin(File::open(input).expect("it was just written"))
        .stdout(Stdio::null())
        .status();
    assert!(status.expect("xargs is there").success());
    start.elapsed()
}

/// Whether a program is there that a user would pick instead.
pub fn has(program: &str, arguments: &[&str]) -> bool {
    let ran = Command::new(program)
        .args(arguments)
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .status();
    let is_there = ran.is_ok_and(|status| status.success());
    if !is_there {
        eprintln!(
            "SKIPPED: {program} {} does not run here",
            arguments.join(" ")
        );
    }
    is_there
}

/// Whether Python has pandas, or polars.
pub fn has_dataframes(tool: &str) -> bool {
    has("python3", &["-c", &format!("import {tool}")])
}

/// What benches/peers/dataframes.py takes, without the start of Python.
pub fn dataframes(arguments: &[&str], sheet: &Path) -> Duration {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/benches/peers/dataframes.py");
    let output = Command::new("python3")
        .arg(script)
        .args(&arguments[..2])
        .arg(sheet)
        .args(&arguments[2..])
        .stderr(Stdio::inherit())
        .output()
        .expect("it was there before");
    let seconds = String::from_utf8_lossy(&output.stdout);
    Duration::from_secs_f64(seconds.trim().parse().expect("the script prints seconds"))
}

/// `parallel --joblog`: GNU parallel keeps no results, but a log of its jobs.
pub fn parallel(folder: &Path, names: &str) -> Duration {
    let start = Instant::now();
    let mut parallel = Command::new("parallel")
        .args(["-j4", "--joblog", "parallel.log", "true"])
        .current_dir(folder)
        .stdin(Stdio::piped())
        .spawn()
        .expect("it was there before");
    let mut stdin = parallel.stdin.take().expect("it is piped");
    stdin.write_all(names.as_bytes()).expect("parallel reads");
    drop(stdin);
    assert!(parallel.wait().expect("it ends").success());
    start.elapsed()
}
