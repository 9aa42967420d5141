//! Histories of deeds: results come in, sessions end or are killed, and between and during these people and
//! their programs edit the sheet, put things back, save old versions, rename, delete and copy it (H3, H4, H9,
//! H10, P1 to P3).
//!
//! Each history is a random sequence of deeds on one sheet, with the real library and program on real files.
//! A model that knows what each author had open says what must have become of every result and every edit: see
//! [`model`]. Which deeds are slow, because tickoff waits for an editor, is in [`hands`]; several histories run
//! beside each other meanwhile.
//!
//! The campaign is `tests/campaign.sh deeds`; one that was stopped goes on where it was. `TICKOFF_SEED` replays
//! one, and `TICKOFF_DEEDS=1 TICKOFF_SEED=…` a single history, which is reduced to the deeds that it takes to
//! fail.

mod found;
mod hands;
mod model;
mod table;
mod tools;
mod world;

use std::collections::BTreeMap;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Instant;

use fastrand::Rng;

use crate::campaign::progress;
use world::{Check, World};

/// How many histories run beside each other. Many of their moments are waiting.
const BESIDE: usize = 8;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Results,
    ResultsUnseen,
    End,
    Killed,
    Save,
    StaleSave,
    RolledBack,
    Set,
    Apply,
    ApplyKilled,
    Run,
    RunForced,
    Init,
    Readers,
    Output,
    OtherSheet,
    DeletedAndRestored,
    Renamed,
    Copied,
    Mounted,
    JournalRemoved,
    LocksRemoved,
    BackupRemoved,
}

use Kind::*;

/// How often each comes, of the sum of these numbers.
const KINDS: [(Kind, u32, &str); 23] = [
    (Results, 24, "results"),
    (ResultsUnseen, 8, "results that nothing shows yet"),
    (End, 10, "session ended"),
    (Killed, 8, "session killed"),
    (Save, 26, "saved"),
    (StaleSave, 12, "saved from an older version"),
    (RolledBack, 4, "rolled back"),
    (Set, 4, "set"),
    (Apply, 1, "apply"),
    (ApplyKilled, 2, "apply killed"),
    (Run, 3, "run"),
    (RunForced, 1, "run --force --keep 2"),
    (Init, 1, "init"),
    (Readers, 3, "readers"),
    (Output, 1, "run --output"),
    (OtherSheet, 2, "another sheet under the name"),
    (DeletedAndRestored, 3, "deleted and restored"),
    (Renamed, 2, "renamed"),
    (Copied, 2, "folder copied"),
    (Mounted, 1, "folder mounted elsewhere"),
    (JournalRemoved, 2, "journal removed"),
    (LocksRemoved, 2, "locks removed"),
    (BackupRemoved, 2, "backup removed"),
];

/// One deed, and the random numbers that decide the rest.
#[derive(Debug, Clone, Copy)]
struct Deed {
    kind: Kind,
    dice: u64,
}

fn deeds(dice: &mut Rng) -> Vec<Deed> {
    let all: u32 = KINDS.iter().map(|(_, often, _)| often).sum();
    let any = |dice: &mut Rng| {
        let mut at = dice.u32(..all);
        for (kind, often, _) in KINDS {
            if at < often {
                return kind;
            }
            at -= often;
        }
        unreachable!()
    };
    let count = dice.usize(5..=15);
    let deeds = (0..count).map(|_| Deed {
        kind: any(dice),
        dice: dice.u64(..),
    });
    deeds.collect()
}

impl World {
    fn act(&mut self, deed: Deed) -> Check {
        let mut dice = Rng::with_seed(deed.dice);
        let dice = &mut dice;
        let named = KINDS.iter().find(|(kind, ..)| *kind == deed.kind);
        let (_, _, name) = named.unwrap();
        self.count(name);
        self.tell(*name);
        if self.live.is_some() && self.held.is_none() {
            // What a save lacked may have been written again.
            self.observe()?;
        }
        match deed.kind {
            Results => self.results(dice.usize(1..4), true, dice),
            ResultsUnseen => {
                self.begin(dice)?;
                self.hold();
                self.results(dice.usize(1..3), false, dice)
            }
            End => self.end(),
            Killed => {
                self.begin(dice)?;
                self.kill();
                // What was public by then somebody may have seen.
                self.observe()?;
                self.check_results()
            }
            Save => self.save(false, dice),
            StaleSave => self.save(true, dice),
            RolledBack => self.roll_back(dice),
            Set => self.set(dice),
            Apply => self.apply(false, dice),
            ApplyKilled => self.apply(true, dice),
            Run => self.run(&[], dice),
            RunForced => self.run(&["--force", "--keep", "2"], dice),
            Init => self.init(dice),
            Readers => self.readers(dice),
            Output => self.output(),
            OtherSheet => self.other_sheet(dice),
            DeletedAndRestored => self.delete_and_restore(dice),
            Renamed => self.rename(dice),
            Copied => {
                self.end()?;
                self.move_to_copy();
                self.check_results()
            }
            Mounted => self.mount(),
            JournalRemoved => self.remove_journal(dice),
            LocksRemoved => self.remove_locks(dice),
            BackupRemoved => self.remove_backup(dice),
        }
    }
}

/// A history that failed, and why.
struct Failure {
    told: Vec<String>,
    why: String,
}

/// Lives through a history, and ends it well.
fn live_through(first: u64, deeds: &[Deed]) -> (BTreeMap<&'static str, u64>, Option<Failure>) {
    let mut world = World::new(&hands::first_sheet(&mut Rng::with_seed(first)));
    let lived = catch_unwind(AssertUnwindSafe(|| {
        for deed in deeds {
            world.act(*deed)?;
        }
        // What nobody has taken in yet is.
        let dice = &mut Rng::with_seed(first);
        world.tell("at the end");
        world.begin(dice)?;
        world.end()
    }));
    let why = match lived {
        Ok(Ok(())) => None,
        Ok(Err(why)) => Some(why),
        Err(panic) => {
            let text = panic.downcast_ref::<String>().cloned();
            let text = text.or(panic.downcast_ref::<&str>().map(|&text| text.into()));
            Some(format!("panicked: {}", text.unwrap_or_default()))
        }
    };
    let failure = why.map(|why| Failure {
        told: std::mem::take(&mut world.told),
        why,
    });
    // A session that is left after a failure must not wait for anybody.
    world.held = None;
    (std::mem::take(&mut world.counts), failure)
}

/// The fewest deeds of a history with which it still fails.
fn reduce(first: u64, mut deeds: Vec<Deed>, mut failure: Failure) -> Failure {
    let begun = Instant::now();
    let mut at = 0;
    while at < deeds.len() && begun.elapsed().as_secs() < 60 {
        let mut fewer = deeds.clone();
        fewer.remove(at);
        match live_through(first, &fewer).1 {
            Some(smaller) => (deeds, failure) = (fewer, smaller),
            None => at += 1,
        }
    }
    failure
}

fn history(seed: u64) -> (BTreeMap<&'static str, u64>, Option<String>) {
    let mut dice = Rng::with_seed(seed);
    let first = dice.u64(..);
    let deeds = deeds(&mut dice);
    let (counts, failure) = live_through(first, &deeds);
    let failure = failure.map(|failure| {
        let Failure { told, why } = reduce(first, deeds, failure);
        format!(
            "TICKOFF_DEEDS=1 TICKOFF_SEED={seed}\n{}\n=> {why}\n",
            told.join("\n")
        )
    });
    (counts, failure)
}

#[test]
fn what_people_and_tickoff_do_one_after_the_other_loses_nothing() {
    let mut campaign = progress("", "TICKOFF_DEEDS", 24).short_from("TICKOFF_DEEDS", 1);
    let begun = Instant::now();
    let (first, wanted) = (campaign.done, campaign.wanted);
    let next = AtomicU64::new(first);
    let counts: Mutex<BTreeMap<&str, u64>> = Mutex::default();
    let failures: Mutex<Vec<String>> = Mutex::default();
    let campaign = Mutex::new(&mut campaign);
    let running: [AtomicU64; BESIDE] = std::array::from_fn(|_| AtomicU64::new(u64::MAX));
    std::thread::scope(|scope| {
        for me in 0..BESIDE {
            let (next, counts, failures) = (&next, &counts, &failures);
            let (campaign, running) = (&campaign, &running);
            scope.spawn(move || {
                loop {
                    let (number, seed) = {
                        let mut campaign = campaign.lock().unwrap();
                        let number = next.fetch_add(1, Ordering::SeqCst);
                        running[me].store(number, Ordering::SeqCst);
                        let oldest = running.iter().map(|it| it.load(Ordering::SeqCst)).min();
                        let over = oldest.unwrap().min(wanted);
                        campaign.has_done(over, over);
                        (number, campaign.seed_of(number))
                    };
                    if number >= wanted || failures.lock().unwrap().len() >= 10 {
                        running[me].store(u64::MAX, Ordering::SeqCst);
                        return;
                    }
                    let (of_one, failure) = history(seed);
                    let mut counts = counts.lock().unwrap();
                    for (kind, count) in of_one {
                        *counts.entry(kind).or_default() += count;
                    }
                    drop(counts);
                    if let Some(failure) = failure {
                        eprintln!("{failure}");
                        failures.lock().unwrap().push(failure);
                    }
                    if (number + 1) % 500 == 0 {
                        eprintln!("{} histories so far", number + 1);
                    }
                }
            });
        }
    });
    for (kind, count) in counts.into_inner().unwrap() {
        println!("  {count:>7} {kind}");
    }
    let failures = failures.into_inner().unwrap();
    let lived = next.into_inner().min(wanted) - first;
    println!("{lived} histories in {} s", begun.elapsed().as_secs());
    assert!(failures.is_empty(), "{} histories failed", failures.len());
}
