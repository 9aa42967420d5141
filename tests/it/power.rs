//! The power goes at random moments, again and again, while a session and single `set`s work on one
//! sheet; after each cut the filesystem replays its log and the sheet is looked at.
//!
//! What was acknowledged is noted before the cut: the answers of `apply --ack`, the `set`s that
//! ended well, and of each worker of `run` every PO but its last, because it took the next one.
//!
//! The campaign is `tests/campaign.sh power`, which goes on where it was stopped: so many cuts on each of four
//! filesystems; without it one is tried on each. `TICKOFF_SEED` replays the moments,
//! not what the scheduler makes of them. It takes root.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::io::Write;
use std::path::Path;
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tickoff::{Options, Sheet};

use crate::campaign::progress;
use crate::command_line::{Running, end};
use crate::disk::{Disk, Format};
use crate::fixture::TempSheet;
use crate::oracle::RawSheet;

/// A round ends with a session whose power is not cut.
const CUTS_OF_A_ROUND: u64 = 10;
const ROWS: usize = 446;

#[test]
fn on_ext4() {
    cut_again_and_again(Format::Ext4, "");
}

/// Without this option ext4 syncs by itself a file that is renamed over another.
#[test]
fn on_ext4_that_does_not_sync_by_itself() {
    cut_again_and_again(Format::Ext4, "noauto_da_alloc");
}

#[test]
fn on_ext4_that_may_show_data_it_never_wrote() {
    cut_again_and_again(Format::Ext4, "noauto_da_alloc,data=writeback");
}

#[test]
fn on_xfs() {
    cut_again_and_again(Format::Xfs, "");
}

fn cut_again_and_again(format: Format, options: &'static str) {
    let Some(mut disk) = Disk::new(format, options) else {
        return;
    };
    let name = format!("-{format:?}-{options}");
    let mut campaign = progress(&name, "TICKOFF_POWER_CUTS", 1);
    let begun = Instant::now();
    let (before, mut acknowledged) = (campaign.done, 0);
    campaign.each_round(|random, cuts_left| {
        let mut round = Round::new(&disk, options.contains("data=writeback"));
        while !round.session(&mut disk, random, cuts_left) {}
        acknowledged += round.acknowledged.len() + round.acknowledged_sets;
        round.cuts
    });
    println!(
        "{format:?} {options}: {} cuts, {acknowledged} acknowledged results, {:.0?} s",
        campaign.done - before,
        begun.elapsed().as_secs_f64()
    );
}

/// One sheet, from pending to done.
struct Round {
    sheet: TempSheet,
    /// What no cut reaches.
    outside: tempfile::TempDir,
    /// The sheet without the cells that are written here.
    untouched: String,
    /// The filesystem may show another file's data in one that was removed.
    may_mix_versions: bool,
    cuts: u64,
    /// POs whose result was acknowledged.
    acknowledged: BTreeSet<String>,
    acknowledged_sets: usize,
    /// What `apply` was given for a PO, acknowledged or not.
    offered: BTreeMap<String, BTreeSet<String>>,
    /// POs that a job was run for.
    run: BTreeSet<String>,
    /// The `Priority` of a PO: what was acknowledged last, and what was tried last.
    set: Mutex<BTreeMap<String, (u64, u64)>>,
}

/// The process that has the session.
struct Session {
    running: Running,
    /// The POs and values in the order in which `apply` gets them.
    lines: Option<Vec<(String, String)>>,
}

impl Round {
    fn new(disk: &Disk, may_mix_versions: bool) -> Round {
        let sheet = TempSheet::sample_on(&disk.path(), "orders-446.csv");
        for path in [sheet.path(), sheet.folder(), &disk.path()] {
            File::open(path).unwrap().sync_all().unwrap();
        }
        Round {
            untouched: untouched(&sheet.text()),
            sheet,
            outside: tempfile::tempdir().unwrap(),
            may_mix_versions,
            cuts: 0,
            acknowledged: BTreeSet::new(),
            acknowledged_sets: 0,
            offered: BTreeMap::new(),
            run: BTreeSet::new(),
            set: Mutex::default(),
        }
    }

    /// One session, and what is left of it. Whether it came to its end with nothing pending.
    fn session(&mut self, disk: &mut Disk, random: &mut fastrand::Rng, cuts_left: u64) -> bool {
        let may_be_cut = self.cuts < CUTS_OF_A_ROUND.min(cuts_left);
        let pending = self.pending();
        let applies = may_be_cut && pending.len() > 60 && random.bool();
        let patience = match (may_be_cut, random.u32(..4)) {
            (false, _) => Duration::from_secs(3600),
            // While it opens the sheet, and recovers what the last cut left.
            (true, 0) => Duration::from_micros(random.u64(..30_000)),
            (true, _) => Duration::from_micros(random.u64(..300_000)),
        };
        let setters = random.u64(..3);
        let lines = applies.then(|| self.offer(&pending, random));
        let log = self.outside.path().join("log");
        std::fs::remove_file(&log).ok();

        let is_over = AtomicBool::new(false);
        let (promised, was_cut) = thread::scope(|scope| {
            let mut session = self.start(scope, lines);
            for setter in 0..setters {
                let (round, is_over) = (&*self, &is_over);
                scope.spawn(move || round.keep_setting(setter, setters, is_over));
            }
            let deadline = Instant::now() + patience;
            while session.running.is_running() && Instant::now() < deadline {
                thread::sleep(Duration::from_micros(300));
            }
            let was_cut = session.running.is_running();
            if !was_cut {
                is_over.store(true, Ordering::SeqCst);
            }
            let promised = self.promised(&session, &log);
            if was_cut {
                is_over.store(true, Ordering::SeqCst);
                disk.cut_power();
                session.running.kill();
            } else {
                session.running.end().with(0);
            }
            (promised, was_cut)
        });
        if was_cut {
            self.cuts += 1;
            disk.mount_again();
        }
        self.check(&log, promised);
        if was_cut {
            return false;
        }
        self.check_nothing_is_left();
        self.pending().is_empty()
    }

    fn start<'s>(
        &'s self,
        scope: &'s thread::Scope<'s, '_>,
        lines: Option<Vec<(String, String)>>,
    ) -> Session {
        let Some(lines) = lines else {
            let job = format!(
                "echo \"$TICKOFF_WORKER $TICKOFF_PO\" >> {}/log",
                self.outside.path().display()
            );
            let mut command = self.sheet.run("-j 4 --quiet", &job);
            let running = Running::start(command.current_dir(self.outside.path()));
            return Session {
                running,
                lines: None,
            };
        };
        let (input, mut feed) = std::io::pipe().unwrap();
        let mut command = self.sheet.tickoff("apply");
        command.args(["--ack", "--quiet"]).stdin(input);
        let running = Running::start(command.current_dir(self.outside.path()));
        let requests = lines.clone();
        scope.spawn(move || {
            for (i, (po, name)) in requests.iter().enumerate() {
                let updates = json!({"STATUS": "COMPLETED", "AttachmentName": name});
                let line = json!({"po_number": po, "updates": updates, "operation_id": i});
                // A killed program reads nothing more.
                if writeln!(feed, "{line}").is_err() {
                    return;
                }
                if i % 7 == 0 {
                    thread::sleep(Duration::from_millis(1));
                }
            }
        });
        Session {
            running,
            lines: Some(lines),
        }
    }

    /// What `apply` is to get.
    fn offer(&mut self, pending: &[String], random: &mut fastrand::Rng) -> Vec<(String, String)> {
        let mut pos = pending.to_vec();
        random.shuffle(&mut pos);
        pos.truncate(random.usize(1..60));
        let cut = self.cuts;
        let lines: Vec<_> = pos
            .into_iter()
            .map(|po| (po.clone(), format!("{po}; after {cut} cuts")))
            .collect();
        for (po, name) in &lines {
            self.offered
                .entry(po.clone())
                .or_default()
                .insert(name.clone());
        }
        lines
    }

    /// Runs `set` after `set` on rows of its own.
    fn keep_setting(&self, setter: u64, setters: u64, is_over: &AtomicBool) {
        let pos: Vec<String> = (setter..40)
            .step_by(setters as usize)
            .map(|i| format!("PO{}", 15_000_000 + 37 * i))
            .collect();
        for po in pos.iter().cycle() {
            if is_over.load(Ordering::SeqCst) {
                return;
            }
            let value = {
                let mut set = self.set.lock().unwrap();
                let (_, tried) = set.entry(po.clone()).or_default();
                *tried += 1;
                *tried
            };
            let mut command = self.sheet.tickoff("set");
            command.args([po, &format!("Priority={value}")]);
            let ended = end(command.current_dir(self.outside.path()));
            if is_over.load(Ordering::SeqCst) {
                return;
            }
            ended.with(0);
            self.set.lock().unwrap().get_mut(po).unwrap().0 = value;
        }
    }

    /// What is acknowledged at this moment.
    fn promised(&self, session: &Session, log: &Path) -> Promised {
        let results = match &session.lines {
            Some(_) => whole_lines(&session.running.stdout())
                .map(|line| serde_json::from_str::<Value>(line).unwrap())
                .inspect(|answer| assert_eq!(answer["durable"], true, "{answer}"))
                .map(|answer| answer["po_number"].as_str().unwrap().to_owned())
                .collect(),
            None => {
                let mut by_worker: BTreeMap<String, Vec<String>> = BTreeMap::new();
                let text = std::fs::read_to_string(log).unwrap_or_default();
                for line in whole_lines(&text) {
                    let (worker, po) = line.split_once(' ').unwrap();
                    let pos = by_worker.entry(worker.to_owned()).or_default();
                    pos.push(po.to_owned());
                }
                // A worker that took another PO had been told that the last one's result is durable.
                for pos in by_worker.values_mut() {
                    pos.pop();
                }
                by_worker.into_values().flatten().collect()
            }
        };
        Promised {
            results,
            lines: session.lines.clone(),
            set: self.set.lock().unwrap().clone(),
        }
    }

    /// The sheet is complete, and shows what was promised, through the journal.
    fn check(&mut self, log: &Path, promised: Promised) {
        let Promised {
            results,
            lines,
            set,
        } = promised;
        let log = std::fs::read_to_string(log).unwrap_or_default();
        for line in whole_lines(&log) {
            let (_, po) = line.split_once(' ').unwrap();
            assert!(
                !self.acknowledged.contains(po),
                "{po} was acknowledged and is processed again"
            );
            self.run.insert(po.to_owned());
        }
        self.acknowledged.extend(results);

        let path = self.sheet.path();
        let read = |read: fn(&Path, &Options) -> tickoff::Result<Sheet>| {
            read(path, &Options::default()).unwrap()
        };
        let public = read(|path, options| Sheet::read_without_journal(path, options));
        let durable = read(|path, options| Sheet::read(path, options));
        let text = untouched(&self.sheet.text());
        assert!(text == self.untouched, "what nobody touched is {text}");
        for sheet in [&public, &durable] {
            self.check_rows_are_whole(sheet);
            if let Some(lines) = &lines {
                check_is_a_beginning(sheet, lines);
            }
        }
        for po in &self.acknowledged {
            let record = durable.record(po).unwrap();
            assert_eq!(
                record.get("STATUS"),
                Some("COMPLETED"),
                "{po} was acknowledged"
            );
        }
        let mut all_set = self.set.lock().unwrap();
        for (po, (_, tried)) in all_set.iter_mut() {
            let acknowledged = set.get(po).map_or(0, |(acknowledged, _)| *acknowledged);
            let shown = priority(&durable, po);
            assert!(
                (acknowledged..=*tried).contains(&shown),
                "{po} shows Priority {shown}; {acknowledged} was acknowledged, {tried} tried"
            );
        }
        // What is shown now may not go away again: it was read from the disk.
        for (po, (acknowledged, _)) in all_set.iter_mut() {
            *acknowledged = priority(&durable, po);
        }
        self.acknowledged_sets += set.values().filter(|(last, _)| *last > 0).count();
        drop(all_set);
        self.check_with_the_program();
    }

    /// Every row has all of a result, or nothing of it.
    fn check_rows_are_whole(&self, sheet: &Sheet) {
        let records: Vec<_> = sheet.records().collect();
        assert_eq!(records.len(), ROWS);
        for record in records {
            let po = &record.po_number;
            let cell = |column| record.get(column).unwrap();
            let (status, name, time) = (
                cell("STATUS"),
                cell("AttachmentName"),
                cell("LAST_PROCESSED"),
            );
            let is_legal = match status {
                "PENDING" => name.is_empty() && time.is_empty(),
                "COMPLETED" if name.is_empty() => {
                    record.last_processed.is_some() && self.run.contains(po)
                }
                "COMPLETED" => {
                    record.last_processed.is_some()
                        && self
                            .offered
                            .get(po)
                            .is_some_and(|names| names.contains(name))
                }
                _ => false,
            };
            assert!(is_legal, "{po}: {status:?}, {name:?}, {time:?}");
        }
    }

    fn check_with_the_program(&self) {
        let pending = self.pending();
        let lost: Vec<&String> = pending
            .iter()
            .filter(|po| self.acknowledged.contains(*po))
            .collect();
        assert!(
            lost.is_empty(),
            "{lost:?} were acknowledged and are pending again"
        );
        let status = self.sheet.status();
        assert_eq!(status["completed"], ROWS - pending.len());
        if let Some(po) = self.acknowledged.first() {
            assert_eq!(self.sheet.get(po)["status"], "COMPLETED");
        }
    }

    /// A session that came to its end has brought everything into the sheet.
    fn check_nothing_is_left(&self) {
        assert_eq!(self.sheet.leftovers(), [""; 0]);
        let public = Sheet::read_without_journal(self.sheet.path(), &Options::default()).unwrap();
        for po in &self.acknowledged {
            assert!(
                public.is_done(&public.status(po).unwrap()),
                "{po} is not in the sheet"
            );
        }
        let backups = self.sheet.backup_names();
        assert!(!backups.is_empty());
        for backup in backups {
            // With data=writeback ext4 gives the blocks of a removed file away before the removal is
            // durable. After a cut the old version is there again, under its temporary name and with
            // another version's bytes: it cannot be told from somebody's edit, and is kept.
            if backup.ends_with(".outside.csv") && self.may_mix_versions {
                continue;
            }
            assert!(
                backup.starts_with("input_") && !backup.ends_with(".outside.csv"),
                "{backup}"
            );
            let text = std::fs::read_to_string(self.sheet.backups().join(&backup)).unwrap();
            let text = untouched(&text);
            assert!(text == self.untouched, "{backup} is {text}");
        }
    }

    fn pending(&self) -> Vec<String> {
        let said = end(&mut self.sheet.tickoff("pending")).with(0).stdout;
        said.lines().map(str::to_owned).collect()
    }
}

/// What was acknowledged when the power went.
struct Promised {
    /// POs.
    results: Vec<String>,
    lines: Option<Vec<(String, String)>>,
    set: BTreeMap<String, (u64, u64)>,
}

/// The results are in the order of the lines: none is there without those before it.
fn check_is_a_beginning(sheet: &Sheet, lines: &[(String, String)]) {
    let is_there: Vec<bool> = lines
        .iter()
        .map(|(po, name)| sheet.record(po).unwrap().get("AttachmentName") == Some(name))
        .collect();
    assert!(is_there.is_sorted_by(|a, b| a >= b), "{is_there:?}");
}

/// The number that `set` gave it; 0 for the word that it had before.
fn priority(sheet: &Sheet, po: &str) -> u64 {
    let record = sheet.record(po).unwrap();
    record.get("Priority").unwrap().parse().unwrap_or(0)
}

/// The lines that are written to their end.
fn whole_lines(text: &str) -> impl Iterator<Item = &str> {
    text.split_inclusive('\n')
        .filter_map(|line| line.strip_suffix('\n'))
}

/// The sheet with the cells blanked that are written here: all else has to stay as it was, byte for
/// byte.
fn untouched(text: &str) -> String {
    let mut sheet = RawSheet::parse(text, ';');
    for column in ["STATUS", "LAST_PROCESSED", "AttachmentName", "Priority"] {
        sheet.blank(column);
    }
    sheet.text()
}
