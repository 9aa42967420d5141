//! The table of what we must reach, measured: `cargo bench --bench speed [-- ROWS [ROUNDS]]`.
//!
//! Each line compares our time with the least that the work can cost on this machine (the floor), and
//! with what a user would pick instead; the three are measured in turn, and the medians and the
//! median of the ratios to ours are printed. What is not installed (pandas, polars, GNU parallel) is
//! left out, and said. ROWS is the size of the large sheet, 1,000,000 unless
//! another is given (its sheets take three times 234 bytes a row on the disk).

use std::hint::black_box;
use std::path::Path;
use std::time::{Duration, Instant};

use tickoff::{CsvHandler, Options, Sheet, Until, Updates};

mod peers;
mod sheet;

const ROWS: usize = 10_000;

type Work<'l> = Box<dyn FnMut() -> Duration + 'l>;

/// One line of the table: what is timed, in turn.
struct Line<'l> {
    work: String,
    goal: &'static str,
    ours: Work<'l>,
    others: Vec<(&'static str, Work<'l>)>,
}

impl Line<'_> {
    /// Returns our median, in seconds.
    fn print(mut self, rounds: usize) -> f64 {
        let mut ours = Vec::new();
        let mut others = vec![Vec::new(); self.others.len()];
        let mut compared = self.others;
        for _ in 0..rounds {
            ours.push((self.ours)().as_secs_f64());
            for (times, (_, other)) in others.iter_mut().zip(&mut compared) {
                times.push(other().as_secs_f64());
            }
        }
        println!("{}", self.work);
        println!(
            "    ours {:>39} ms   must reach: {}",
            milliseconds(median(&ours)),
            self.goal
        );
        for (times, (name, _)) in others.iter().zip(&compared) {
            let ratios: Vec<f64> = ours.iter().zip(times).map(|(ours, it)| ours / it).collect();
            println!(
                "    {name:<34} {:>9} ms   ours is {:.2} times that",
                milliseconds(median(times)),
                median(&ratios)
            );
        }
        median(&ours)
    }
}

fn main() {
    let mut numbers = std::env::args()
        .skip(1)
        .filter_map(|word| word.parse::<usize>().ok());
    let large = numbers.next().unwrap_or(1_000_000);
    let rounds = numbers.next().unwrap_or(5);
    let folder = tempfile::tempdir_in(".").expect("the crate's folder is writable");
    let folder = folder.path();
    let text = sheet::text(ROWS);

    Line {
        work: format!("{ROWS} updates of a {ROWS}-row sheet by 4 threads, until all are visible"),
        goal: "8 times the floor",
        ours: Box::new(|| update_all(folder, &text, ROWS, None)),
        others: vec![
            (
                "floor: a synced, atomic write",
                Box::new(|| time(|| sheet::write_once(folder, &text))),
            ),
            (
                "SQLite, 256 a commit, and export",
                Box::new(|| peers::sqlite_in_commits_of_256(folder, ROWS)),
            ),
        ],
    }
    .print(rounds);

    let small = Line {
        work: "the same, each of 4 workers waiting until its result is durable".into(),
        goal: "half of SQLite's time",
        ours: Box::new(|| update_all(folder, &text, ROWS, Some(Until::Durable))),
        others: vec![
            (
                "floor: append, fdatasync in groups",
                Box::new(|| peers::append_in_groups(folder, ROWS)),
            ),
            (
                "SQLite, WAL, FULL, a commit each",
                Box::new(|| peers::sqlite_a_commit_each(folder, ROWS, ROWS).1),
            ),
        ],
    }
    .print(rounds);

    let text = sheet::text(large);
    let many = Line {
        work: format!("the same {ROWS} on a {large}-row sheet"),
        goal: "2.5 times the time on the small sheet",
        ours: Box::new(|| update_all(folder, &text, ROWS, Some(Until::Durable))),
        others: vec![],
    }
    .print(rounds.min(3));
    println!(
        "    ours is {:.2} times that of the small sheet",
        many / small
    );

    let path = folder.join("input.csv");
    if peers::has_dataframes("pandas") {
        const RESULTS: usize = 50;
        std::fs::write(&path, sheet::text(ROWS)).expect("the bench's folder is writable");
        let count = RESULTS.to_string();
        let took = peers::dataframes(&["pandas", "results", &count], &path);
        println!(
            "    pandas, which rewrites the {ROWS}-row sheet in place for each result, without a sync: {:.0} results a second",
            RESULTS as f64 / took.as_secs_f64()
        );
    }
    std::fs::write(&path, &text).expect("the bench's folder is writable");
    sheet::as_new(&path);
    let read = || std::fs::read(&path).expect("it was just written");
    let bytes = read();
    Line {
        work: format!(
            "read and index {large} rows ({} MB)",
            bytes.len() / 1_000_000
        ),
        goal: "3 GB/s without the reading, 3 times as fast as csv-core",
        ours: Box::new(|| {
            time(|| {
                black_box(
                    Sheet::read_without_journal(&path, &Options::default()).expect("it is one"),
                );
            })
        }),
        others: vec![
            (
                "the reading alone",
                Box::new(|| time(|| drop(black_box(read())))),
            ),
            (
                "reading, counting newlines",
                Box::new(|| {
                    time(|| {
                        black_box(memchr::memchr_iter(b'\n', &read()).count());
                    })
                }),
            ),
            (
                "reading, csv-core",
                Box::new(|| {
                    time(|| {
                        black_box(peers::csv_core_fields(&read()));
                    })
                }),
            ),
        ],
    }
    .print(rounds);
    print_dataframes("read", &path);

    let handler = CsvHandler::open(&path, folder.join("backup")).expect("the sheet is one");
    let pos = handler.pending_pos();
    let mut turn = 0;
    Line {
        work: format!("one row changed, durable and visible, in an open sheet of {large} rows"),
        goal: "1.25 times the floor",
        ours: Box::new(|| {
            turn += 1;
            let updates = Updates::new().set("ATTACHMENTS_FOUND", turn.to_string());
            time(|| {
                handler
                    .update_record(&pos[turn * 7], updates)
                    .expect("it is written")
            })
        }),
        others: vec![(
            "floor: a synced, atomic write",
            Box::new(|| time(|| sheet::write_once(folder, &text))),
        )],
    }
    .print(rounds.min(3));
    print_dataframes("change", &path);
    drop(handler);

    let anonymous = sheet::anonymous_memory(&path);
    println!(
        "memory of a run on {large} rows, beyond the file's own pages\n    ours {:>36.1} B a row   must reach: 32 B a row",
        anonymous as f64 / large as f64
    );

    let names: String = (0..ROWS).map(|i| format!("PO{i}\n")).collect();
    Line {
        work: format!("{ROWS} times `true`, 4 at a time, every result durable"),
        goal: "xargs's time",
        ours: Box::new(|| sheet::run_true(&path, ROWS)),
        others: vec![(
            "xargs -P4 -n1 true, keeps nothing",
            Box::new(|| peers::xargs(folder, &names)),
        )],
    }
    .print(rounds.min(3));
    if peers::has("parallel", &["--version"]) {
        print_once(
            "GNU parallel -j4, with a job log",
            peers::parallel(folder, &names),
        );
    }
}

/// What pandas and polars take for it, once: their writes would disturb what is measured in turn.
fn print_dataframes(work: &str, sheet: &Path) {
    for tool in ["polars", "pandas"] {
        if peers::has_dataframes(tool) {
            print_once(tool, peers::dataframes(&[tool, work], sheet));
        }
    }
}

fn print_once(name: &str, took: Duration) {
    println!(
        "    {name:<34} {:>9} ms   once",
        milliseconds(took.as_secs_f64())
    );
}

fn update_all(folder: &Path, text: &str, rows: usize, wait: Option<Until>) -> Duration {
    let (session, mut pos) = sheet::open(folder, text);
    pos.truncate(rows);
    let took = time(|| drop(sheet::update_all(session.handler(), &pos, wait)));
    session.finish().expect("all is written");
    took
}

fn time(work: impl FnOnce()) -> Duration {
    let start = Instant::now();
    work();
    start.elapsed()
}

fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    sorted[sorted.len() / 2]
}

fn milliseconds(seconds: f64) -> String {
    format!("{:.1}", seconds * 1e3)
}
