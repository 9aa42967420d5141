//! Performance gates for CI: `cargo bench --bench gates` fails when we fall behind; with `-- NAME` only
//! those of that name are tried.
//!
//! Each gate compares two things that are measured in the same run, one after the other in turn, and
//! judges the median of the ratios, so that a noisy or slow machine moves both. The limits leave
//! room for noise above what was measured when they were set, and less than a planted slow-down takes:
//! that each gate can fail was seen with `tests/planted/slow-*.patch`.

use std::hint::black_box;
use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tickoff::{CsvHandler, Options, Sheet, Until, Updates};

mod peers;
mod sheet;

const ROWS: usize = 10_000;
/// Of the sheets whose size is not to matter.
const MANY_ROWS: usize = 200_000;
const ROUNDS: usize = 15;
const GATES: [&str; 6] = [
    "updates",
    "acknowledged",
    "many rows",
    "index",
    "one row",
    "commands",
];
/// What the original's users were promised for 10,000 records.
const BUDGET: Duration = Duration::from_secs(5);

struct Gate<'g> {
    name: &'static str,
    against: &'static str,
    /// The largest ratio of ours to theirs that passes.
    limit: f64,
    ours: &'g mut dyn FnMut() -> Duration,
    theirs: &'g mut dyn FnMut() -> Duration,
}

impl Gate<'_> {
    fn passes(self) -> bool {
        let wanted = wanted();
        if !wanted.is_empty() && !wanted.iter().any(|name| name == self.name) {
            return true;
        }
        let mut rounds: Vec<(Duration, Duration)> = (0..ROUNDS)
            .map(|_| ((self.theirs)(), (self.ours)()))
            .collect();
        let ratio =
            |&(theirs, ours): &(Duration, Duration)| ours.as_secs_f64() / theirs.as_secs_f64();
        rounds.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let median = &rounds[ROUNDS / 2];
        let ok = ratio(median) <= self.limit && median.1 <= BUDGET;
        println!(
            "{} {:<13} {:>8.1} ms against {:>8.1} ms ({}): {:.2} of at most {} times",
            if ok { "ok    " } else { "BEHIND" },
            self.name,
            median.1.as_secs_f64() * 1e3,
            median.0.as_secs_f64() * 1e3,
            self.against,
            ratio(median),
            self.limit,
        );
        ok
    }
}

/// The gates that were asked for; none means all.
fn wanted() -> Vec<String> {
    let words = std::env::args().skip(1);
    words.filter(|word| word != "--bench").collect()
}

fn main() -> ExitCode {
    for name in wanted() {
        assert!(
            GATES.contains(&&*name),
            "no gate is called {name}: {GATES:?}"
        );
    }
    let folder = tempfile::tempdir_in(".").expect("the crate's folder is writable");
    let folder = folder.path();
    let (text, long) = (sheet::text(ROWS), sheet::text(MANY_ROWS));
    println!(
        "{ROWS} results of {} workers on {ROWS} rows where nothing else is said, medians of {ROUNDS}",
        sheet::WORKERS
    );
    let mut passed = true;

    passed &= Gate {
        name: "updates",
        against: "one synced, atomic write of the sheet",
        limit: 20.0,
        ours: &mut || update(folder, &text, ROWS, None),
        theirs: &mut || time(|| sheet::write_once(folder, &text)),
    }
    .passes();
    passed &= Gate {
        name: "acknowledged",
        against: "append and fdatasync in groups",
        limit: 1.5,
        ours: &mut || update(folder, &text, ROWS, Some(Until::Durable)),
        theirs: &mut || peers::append_in_groups(folder, ROWS),
    }
    .passes();
    let some = ROWS / 2;
    passed &= Gate {
        name: "many rows",
        against: "5,000 results, acknowledged; 200,000 rows against 10,000",
        limit: 2.5,
        ours: &mut || update(folder, &long, some, Some(Until::Durable)),
        theirs: &mut || update(folder, &text, some, Some(Until::Durable)),
    }
    .passes();

    let path = folder.join("input.csv");
    std::fs::write(&path, &long).expect("the bench's folder is writable");
    sheet::as_new(&path);
    let read = || std::fs::read(&path).expect("it was just written");
    passed &= Gate {
        name: "index",
        against: "csv-core without an index, both without the reading, 200,000 rows",
        limit: 1.0,
        ours: &mut || {
            let options = Options::default();
            let reading = time(|| drop(black_box(read())));
            let all = time(|| {
                black_box(Sheet::read_without_journal(&path, &options).expect("it is one"));
            });
            all.saturating_sub(reading)
        },
        theirs: &mut || {
            let bytes = read();
            time(|| {
                black_box(peers::csv_core_fields(&bytes));
            })
        },
    }
    .passes();
    let handler = CsvHandler::open(&path, folder.join("backup")).expect("the sheet is one");
    let pos = handler.pending_pos();
    let mut turn = 0;
    passed &= Gate {
        name: "one row",
        against: "one synced, atomic write of the sheet, 200,000 rows",
        limit: 1.25,
        ours: &mut || {
            turn += 1;
            let updates = Updates::new().set("ATTACHMENTS_FOUND", turn.to_string());
            time(|| {
                handler
                    .update_record(&pos[turn * 7], updates)
                    .expect("it is written")
            })
        },
        theirs: &mut || time(|| sheet::write_once(folder, &long)),
    }
    .passes();
    drop(handler);

    let some = ROWS / 5;
    let names: String = (0..some).map(|i| format!("PO{i}\n")).collect();
    passed &= Gate {
        name: "commands",
        against: "2,000 times `true`, against xargs -P4, which keeps nothing",
        limit: 1.3,
        ours: &mut || sheet::run_true(&path, some),
        theirs: &mut || peers::xargs(folder, &names),
    }
    .passes();

    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn update(folder: &Path, text: &str, results: usize, wait: Option<Until>) -> Duration {
    let (session, mut pos) = sheet::open(folder, text);
    pos.truncate(results);
    let took = time(|| drop(sheet::update_all(session.handler(), &pos, wait)));
    session.finish().expect("all is written");
    took
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
