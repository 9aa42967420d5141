//! `kill -9` at random moments, again and again until a run gets through.
//!
//! The campaign is `TICKOFF_KILLS=10000 cargo test --release --test it kills`; without the variable a
//! few kills are tried. `TICKOFF_SEED` replays one.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime};

use crate::campaign::{random, tries};
use crate::command_line::{Running, end};
use crate::fixture::TempSheet;
use crate::oracle::RawSheet;

const JOB: &str = "echo \"$TICKOFF_WORKER $TICKOFF_PO\" >> log";

#[test]
fn kills_at_any_moment_lose_nothing_acknowledged_and_repeat_none_of_it() {
    let wanted = tries("TICKOFF_KILLS", 6);
    let mut random = random();
    let mut kills = 0;
    while kills < wanted {
        kills += run_to_the_end_under_kills(&mut random);
    }
    println!("{kills} kills");
}

/// One sheet, processed by runs of which all but the last are killed. Returns how many were.
fn run_to_the_end_under_kills(random: &mut fastrand::Rng) -> u64 {
    let sheet = TempSheet::sample("orders-446.csv");
    let original = sheet.text();
    let before = RawSheet::parse(&original, ';').cells("COUPA_URL");
    let mut acknowledged = BTreeSet::new();
    for kill in 0.. {
        std::fs::remove_file(sheet.folder().join("log")).ok();
        let mut run = Running::start(&mut sheet.run("-j 4 --quiet", JOB));
        // The last one is left to come to its end.
        let patience = if kill < 6 {
            random.u64(..250_000)
        } else {
            u64::MAX / 2_000
        };
        let deadline = SystemTime::now() + Duration::from_micros(patience);
        while run.is_running() && SystemTime::now() < deadline {
            std::thread::sleep(Duration::from_micros(300));
        }
        let over = !run.is_running();
        if over {
            run.end().with(0);
        } else {
            run.kill();
            // What the killed run had started may still write its line.
            std::thread::sleep(Duration::from_millis(10));
        }

        let mut by_worker: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in sheet.lines("log") {
            let (worker, po) = line.split_once(' ').unwrap();
            assert!(
                !acknowledged.contains(po),
                "{po} was acknowledged and is processed again"
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
            "{lost:?} were acknowledged and are pending again"
        );

        if over {
            assert_eq!(sheet.status()["completed"], 446);
            // There is no log if the last kill came when all was done.
            let left = sheet.leftovers();
            assert!(left.iter().all(|name| name == "log"), "{left:?}");
            for backup in sheet.backup_names() {
                assert_eq!(
                    std::fs::read_to_string(sheet.backups().join(backup)).unwrap(),
                    original
                );
            }
            return kill;
        }
    }
    unreachable!("the seventh run is not killed")
}
