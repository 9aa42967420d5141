//! Each row of the table of what we must reach, beside its floor and what a user would pick instead, at
//! 10,000, 100,000 and 1,000,000 rows: `cargo bench --bench budget [-- updates|acknowledged|index|row|spawn]`.
//!
//! With `TICKOFF_ROWS=10000000` in the environment at that size alone. The budget that the project was
//! given, 10,000 records in under 5 seconds, is `updates/tickoff/10000`. For one table with ratios see
//! benches/speed.rs; criterion keeps what it measured and tells what has changed since.

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use criterion::measurement::WallTime;
use criterion::{BenchmarkGroup, BenchmarkId, Criterion, criterion_group, criterion_main};
use tickoff::{CsvHandler, Options, Sheet, Until, Updates};

mod peers;
mod sheet;

/// Results that are recorded, whatever the size of the sheet.
const RESULTS: usize = 10_000;
/// Commands that are started.
const COMMANDS: usize = 1_000;

fn sizes() -> Vec<usize> {
    match std::env::var("TICKOFF_ROWS") {
        Ok(rows) => vec![rows.parse().expect("TICKOFF_ROWS is a number")],
        Err(_) => vec![10_000, 100_000, 1_000_000],
    }
}

/// Measures what times itself, so that its preparation does not count.
fn measure(
    group: &mut BenchmarkGroup<'_, WallTime>,
    name: &str,
    rows: usize,
    mut once: impl FnMut() -> Duration,
) {
    group.bench_function(BenchmarkId::new(name, rows), |bencher| {
        bencher.iter_custom(|times| (0..times).map(|_| once()).sum());
    });
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn record(folder: &Path, rows: usize, wait: Option<Until>) -> Duration {
    let path = sheet::write(folder, rows);
    let (session, mut pos) = sheet::open_file(&path);
    pos.truncate(RESULTS);
    let took = time(|| drop(sheet::update_all(session.handler(), &pos, wait)));
    session.finish().expect("all is written");
    took
}

fn budget(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").expect("the crate's folder is writable");
    let folder = folder.path();

    let mut updates = criterion.benchmark_group("updates");
    updates.sample_size(10);
    for rows in sizes() {
        let text = sheet::text(rows);
        measure(&mut updates, "floor", rows, || {
            time(|| sheet::write_once(folder, &text))
        });
        measure(&mut updates, "tickoff", rows, || record(folder, rows, None));
        measure(&mut updates, "sqlite", rows, || {
            peers::sqlite_in_commits_of_256(folder, rows.min(RESULTS))
        });
    }
    updates.finish();

    let mut acknowledged = criterion.benchmark_group("acknowledged");
    acknowledged.sample_size(10);
    for rows in sizes() {
        measure(&mut acknowledged, "floor", rows, || {
            peers::append_in_groups(folder, RESULTS)
        });
        measure(&mut acknowledged, "tickoff", rows, || {
            record(folder, rows, Some(Until::Durable))
        });
        measure(&mut acknowledged, "sqlite", rows, || {
            peers::sqlite_a_commit_each(folder, rows, RESULTS).1
        });
    }
    acknowledged.finish();

    let mut index = criterion.benchmark_group("index");
    index.sample_size(10);
    for rows in sizes() {
        let path = sheet::write(folder, rows);
        let read = || std::fs::read(&path).expect("it was just written");
        measure(&mut index, "floor", rows, || {
            time(|| {
                black_box(memchr::memchr_iter(b'\n', &read()).count());
            })
        });
        measure(&mut index, "tickoff", rows, || {
            time(|| {
                let sheet = Sheet::read_without_journal(&path, &Options::default());
                black_box(sheet.expect("it is one"));
            })
        });
        measure(&mut index, "csv-core", rows, || {
            time(|| {
                black_box(peers::csv_core_fields(&read()));
            })
        });
    }
    index.finish();

    let mut row = criterion.benchmark_group("row");
    row.sample_size(10);
    for rows in sizes() {
        let path = sheet::write(folder, rows);
        let bytes = std::fs::read(&path).expect("it was just written");
        let handler = CsvHandler::open(&path, folder.join("backup")).expect("the sheet is one");
        let pos = handler.pending_pos();
        let mut turn = 0;
        measure(&mut row, "floor", rows, || {
            time(|| sheet::write_once(folder, &bytes))
        });
        measure(&mut row, "tickoff", rows, || {
            turn += 1;
            let updates = Updates::new().set("ATTACHMENTS_FOUND", turn.to_string());
            let po = &pos[turn * 7 % pos.len()];
            time(|| handler.update_record(po, updates).expect("it is written"))
        });
    }
    row.finish();

    let mut spawn = criterion.benchmark_group("spawn");
    spawn.sample_size(10);
    let names: String = (0..COMMANDS).map(|i| format!("PO{i}\n")).collect();
    let path = folder.join("input.csv");
    measure(&mut spawn, "xargs", COMMANDS, || {
        peers::xargs(folder, &names)
    });
    measure(&mut spawn, "tickoff", COMMANDS, || {
        sheet::run_true(&path, COMMANDS)
    });
    spawn.finish();
}

criterion_group!(benches, budget);
criterion_main!(benches);
