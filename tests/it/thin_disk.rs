//! A thin disk that is full: a sync fails, and the next one of the same file calls it a success
//! though the data is gone. What was acknowledged is there after the disk is mounted again.
//!
//! The campaign is `TICKOFF_THIN_DISKS=100 cargo test --release --test it thin_disk`; without the
//! variable it is tried once on each filesystem. It takes root.

use std::collections::BTreeMap;
use std::fs::File;

use tickoff::{Options, Sheet};

use crate::campaign::{random, tries};
use crate::command_line::{Running, end, wait_until};
use crate::disk::{Disk, Format};
use crate::fixture::TempSheet;

const JOB: &str = "echo \"$TICKOFF_WORKER $TICKOFF_PO\" >> $LOG; \
     printf '{\"AttachmentName\":\"%s\"}' $NAME > $TICKOFF_RESULT";
const LIMIT: usize = 40;

#[test]
fn on_ext4() {
    fill_again_and_again(Format::Ext4);
}

#[test]
fn on_xfs() {
    fill_again_and_again(Format::Xfs);
}

fn fill_again_and_again(format: Format) {
    let mut random = random();
    let mut ends = BTreeMap::<String, u64>::new();
    for _ in 0..tries("TICKOFF_THIN_DISKS", 2).div_ceil(2) {
        let Some(end) = fill(format, &mut random) else {
            return;
        };
        *ends.entry(end).or_default() += 1;
    }
    println!("{format:?}: {ends:?}");
}

/// Runs into a full thin disk; gives back what came of it.
fn fill(format: Format, random: &mut fastrand::Rng) -> Option<String> {
    let mut disk = Disk::thin(format)?;
    let sheet = TempSheet::sample_on(&disk.path(), "orders-446.csv");
    std::fs::create_dir(sheet.backups()).unwrap();
    rustix::fs::syncfs(File::open(sheet.path()).unwrap()).unwrap();
    let outside = tempfile::tempdir().unwrap();
    let name = "n".repeat(30_000);
    let run = || {
        let mut command = sheet.run(&format!("-j 2 --limit {LIMIT}"), JOB);
        command
            .env("LOG", outside.path().join("log"))
            .env("NAME", &name)
            .current_dir(outside.path());
        command
    };
    disk.leave_room(random.u64(400..1000) << 10);

    let mut running = Running::start(&mut run());
    wait_until("results wait or the run ends", || {
        running.stderr().contains("results wait until") || !running.is_running()
    });
    let acknowledged = acknowledged(outside.path());
    let gets_room = random.bool();
    let came_of_it = if !running.is_running() {
        let ended = running.end();
        assert!(matches!(ended.code, 3 | 6), "{ended:?}");
        format!("ended with {}", ended.code)
    } else if gets_room {
        disk.leave_room(64 << 20);
        let ended = running.end();
        assert!(matches!(ended.code, 0 | 6), "{ended:?}");
        if ended.code == 0 {
            check_is_there(&sheet, &done(outside.path()), &name);
            assert_eq!(sheet.leftovers(), [""; 0]);
        }
        format!("got room and ended with {}", ended.code)
    } else {
        running.kill();
        "killed".to_owned()
    };
    // Replaying the filesystem's log may take some: what was acknowledged has its place already.
    disk.leave_room(64 << 20);
    disk.mount_again();
    check_is_there(&sheet, &acknowledged, &name);

    end(&mut run()).with(0);
    disk.mount_again();
    check_is_there(&sheet, &acknowledged, &name);
    assert_eq!(sheet.leftovers(), [""; 0]);
    assert!(sheet.status()["completed"].as_u64().unwrap() >= LIMIT as u64);
    Some(came_of_it)
}

/// POs whose worker took another one, and so had been told that this one's result is durable.
fn acknowledged(outside: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(outside.join("log")).unwrap_or_default();
    let mut by_worker: BTreeMap<&str, Vec<&str>> = BTreeMap::new();
    for line in text.lines() {
        let (worker, po) = line.split_once(' ').unwrap();
        by_worker.entry(worker).or_default().push(po);
    }
    let all_but_last = by_worker
        .values()
        .flat_map(|pos| pos.split_last().unwrap().1);
    all_but_last.map(|&po| po.to_owned()).collect()
}

/// POs that a job was run for.
fn done(outside: &std::path::Path) -> Vec<String> {
    let text = std::fs::read_to_string(outside.join("log")).unwrap();
    text.lines()
        .map(|line| line.split_once(' ').unwrap().1.to_owned())
        .collect()
}

#[track_caller]
fn check_is_there(sheet: &TempSheet, pos: &[String], name: &str) {
    let shown = Sheet::read(sheet.path(), &Options::default()).unwrap();
    for po in pos {
        let record = shown.record(po).unwrap();
        assert_eq!(record.get("STATUS"), Some("COMPLETED"), "{po}");
        assert!(record.get("AttachmentName") == Some(name), "{po}");
    }
}
