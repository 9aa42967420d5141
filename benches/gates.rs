//! Performance gates for CI: `cargo bench --bench gates` fails when we fall behind.
//!
//! Each gate compares two things that are measured in the same run, one after the other in turn, and
//! judges the median of the ratios, so that a noisy or slow machine moves both. The limits leave
//! about twice what was measured when they were set. That each can fail was seen by planting a
//! slow-down: a second `sync_data` in `Journal::append` trips `acknowledged`; a checkpoint after
//! every batch (`PACE = 0`, and no look at the queue's length) trips both.

use std::path::Path;
use std::process::ExitCode;
use std::time::{Duration, Instant};

use tickoff::Until;

mod peers;
mod sheet;

const ROWS: usize = 10_000;
const ROUNDS: usize = 7;
/// What the original's users were promised for 10,000 records.
const BUDGET: Duration = Duration::from_secs(5);

struct Gate {
    name: &'static str,
    against: &'static str,
    /// The largest ratio of ours to theirs that passes.
    limit: f64,
    ours: fn(&Path, &str) -> Duration,
    theirs: fn(&Path, &str) -> Duration,
}

const GATES: [Gate; 2] = [
    Gate {
        name: "updates",
        against: "one synced, atomic write of the sheet",
        limit: 40.0,
        ours: |folder, text| update_all(folder, text, None),
        theirs: |folder, text| time(|| sheet::write_once(folder, text)),
    },
    Gate {
        name: "acknowledged",
        against: "append and fdatasync in groups",
        limit: 2.5,
        ours: |folder, text| update_all(folder, text, Some(Until::Durable)),
        theirs: |folder, _| peers::append_in_groups(folder, ROWS),
    },
];

fn main() -> ExitCode {
    let folder = tempfile::tempdir_in(".").expect("the crate's folder is writable");
    let text = sheet::text(ROWS);
    let mut passed = true;
    println!(
        "{ROWS} updates of a {ROWS}-row sheet by {} workers, medians of {ROUNDS}",
        sheet::WORKERS
    );
    for gate in GATES {
        let mut rounds: Vec<(Duration, Duration)> = (0..ROUNDS)
            .map(|_| {
                (
                    (gate.theirs)(folder.path(), &text),
                    (gate.ours)(folder.path(), &text),
                )
            })
            .collect();
        let ratio =
            |&(theirs, ours): &(Duration, Duration)| ours.as_secs_f64() / theirs.as_secs_f64();
        rounds.sort_by(|a, b| ratio(a).total_cmp(&ratio(b)));
        let median = &rounds[ROUNDS / 2];
        let ok = ratio(median) <= gate.limit && median.1 <= BUDGET;
        passed &= ok;
        println!(
            "{} {:<13} {:>8.1} ms against {:>8.1} ms ({}): {:.1} of at most {} times",
            if ok { "ok    " } else { "BEHIND" },
            gate.name,
            median.1.as_secs_f64() * 1e3,
            median.0.as_secs_f64() * 1e3,
            gate.against,
            ratio(median),
            gate.limit,
        );
    }
    if passed {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}

fn update_all(folder: &Path, text: &str, wait: Option<Until>) -> Duration {
    let (handler, pos) = sheet::open(folder, text);
    time(|| sheet::update_all(&handler, &pos, wait))
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}
