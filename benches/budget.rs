//! Does it beat the budget of 10,000 records in under 5 seconds, and by how much?
//!
//! `updates/10000`: 10,000 updates of a 10,000-row sheet (2.3 MB) by four threads, until every one
//! is durable and visible. `acknowledged/10000`: the same, each of four workers waiting until its
//! result is durable before it submits the next. `floor/10000`: the least that the sheet's new
//! version can cost, one synced, atomic write of its bytes.

use criterion::{BatchSize, Criterion, criterion_group, criterion_main};
use tickoff::Until;

mod sheet;

const ROWS: usize = 10_000;

fn budget(criterion: &mut Criterion) {
    let folder = tempfile::tempdir_in(".").expect("the crate's folder is writable");
    let text = sheet::text(ROWS);
    let mut group = criterion.benchmark_group("budget");
    group.sample_size(10);
    group.bench_function("floor/10000", |bencher| {
        bencher.iter(|| sheet::write_once(folder.path(), &text));
    });
    for (name, wait) in [
        ("updates/10000", None),
        ("acknowledged/10000", Some(Until::Durable)),
    ] {
        group.bench_function(name, |bencher| {
            bencher.iter_batched(
                || sheet::open(folder.path(), &text),
                |(handler, pos)| sheet::update_all(&handler, &pos, wait),
                BatchSize::PerIteration,
            );
        });
    }
    group.finish();
}

criterion_group!(benches, budget);
criterion_main!(benches);
