//! `kill -9` at random moments, again and again until a run gets through.
//!
//! The campaign is `tests/campaign.sh kills`, which goes on where it was stopped; without it a few kills are
//! tried. `TICKOFF_SEED` replays the choices of one round.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use crate::campaign::progress;
use crate::command_line::{Running, end};
use crate::fixture::TempSheet;
use crate::oracle::RawSheet;

const JOB: &str = "echo \"$TICKOFF_WORKER $TICKOFF_PO\" >> $LOG";

#[test]
fn kills_at_any_moment_lose_nothing_acknowledged_and_repeat_none_of_it() {
    let mut campaign = progress("", "TICKOFF_KILLS", 6);
    campaign.each_round(|random, _| run_to_the_end_under_kills(random));
    println!("{} kills", campaign.done);
}

/// When a run is killed.
#[derive(Debug)]
enum Kill {
    After(Duration),
    /// Before its n-th file operation: a moment that is over too soon to be met by chance.
    #[cfg(target_arch = "x86_64")]
    AtOperation(usize),
    Never,
}

impl Kill {
    fn choose(random: &mut fastrand::Rng, rows: usize) -> Kill {
        #[cfg(target_arch = "x86_64")]
        if random.bool() {
            return Kill::AtOperation(random.usize(..300 + 60 * rows));
        }
        Kill::After(Duration::from_micros(
            random.u64(..30_000 + 500 * rows as u64),
        ))
    }

    /// Runs a command, and says whether it came to its end.
    fn run(&self, command: &mut Command, folder: &Path) -> bool {
        match self {
            Kill::After(patience) => {
                let mut run = Running::start(command);
                let deadline = Instant::now() + *patience;
                while run.is_running() && Instant::now() < deadline {
                    std::thread::sleep(Duration::from_micros(300));
                }
                let over = !run.is_running();
                if over {
                    run.end().with(0);
                } else {
                    run.kill();
                }
                over
            }
            #[cfg(target_arch = "x86_64")]
            Kill::AtOperation(at) => {
                use crate::tracer::{Call, Verdict, trace};
                let mut seen = 0;
                let ended = trace(command, folder, &mut |_: &Call| {
                    seen += 1;
                    if seen > *at {
                        Verdict::Kill
                    } else {
                        Verdict::Pass
                    }
                });
                assert!([0, -9].contains(&ended.code), "{ended:#?}");
                ended.code == 0
            }
            Kill::Never => {
                end(command).with(0);
                true
            }
        }
    }
}

/// One sheet, processed by runs of which all but the last are killed. Returns how many were.
fn run_to_the_end_under_kills(random: &mut fastrand::Rng) -> u64 {
    let rows = [12, 60, 446][random.usize(..3)];
    let sheet = match rows {
        446 => TempSheet::sample("orders-446.csv"),
        rows => TempSheet::pending(rows),
    };
    let original = sheet.text();
    let before = RawSheet::parse(&original, ';').cells("COUPA_URL");
    let mut acknowledged = BTreeSet::new();
    for killed in 0.. {
        // What a killed run had started may still write its line: not where the next run's are.
        let log = format!("log-{killed}");
        let kill = match killed {
            0..6 => Kill::choose(random, rows),
            _ => Kill::Never,
        };
        let over = kill.run(
            sheet.run("-j 4 --quiet", JOB).env("LOG", &log),
            sheet.folder(),
        );
        let mut by_worker: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in sheet.lines(&log) {
            let (worker, po) = line.split_once(' ').unwrap();
            assert!(
                !acknowledged.contains(po),
                "{po} was acknowledged and is processed again after {kill:?}"
            );
            by_worker
                .entry(worker.to_owned())
                .or_default()
                .push(po.to_owned());
        }
        // A worker that took another PO had been told that the last one's result is durable.
        acknowledged.extend(by_worker.into_values().flat_map(|mut pos| {
            pos.pop();
            pos
        }));
        assert_eq!(
            RawSheet::parse(&sheet.text(), ';').cells("COUPA_URL"),
            before
        );
        let pending = end(&mut sheet.tickoff("pending")).with(0).stdout;
        let lost: Vec<&str> = pending
            .lines()
            .filter(|po| acknowledged.contains(*po))
            .collect();
        assert!(
            lost.is_empty(),
            "{lost:?} were acknowledged and are pending again after {kill:?}"
        );

        if over {
            assert_eq!(sheet.status()["completed"], rows);
            // There is no log if the last kill came when all was done.
            let left = sheet.leftovers();
            assert!(left.iter().all(|name| name.starts_with("log-")), "{left:?}");
            for backup in sheet.backup_names() {
                assert_eq!(
                    std::fs::read_to_string(sheet.backups().join(backup)).unwrap(),
                    original
                );
            }
            return killed;
        }
    }
    unreachable!("the seventh run is not killed")
}
