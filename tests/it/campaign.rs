//! Campaigns: the same test tried a few times by default, and as often as the environment says.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::thread;

/// How often to try: the number in an environment variable, or `few`.
#[track_caller]
pub fn tries(variable: &str, few: u64) -> u64 {
    number(variable).unwrap_or(few)
}

/// Random numbers whose seed is printed, and taken from `TICKOFF_SEED` if that is set.
#[track_caller]
pub fn random() -> fastrand::Rng {
    let seed = number("TICKOFF_SEED").unwrap_or_else(|| fastrand::u64(..));
    println!("TICKOFF_SEED={seed}");
    fastrand::Rng::with_seed(seed)
}

/// A campaign of rounds, each with a seed of its own, that goes on where it was stopped: its seed, and how many
/// rounds and tries are done, are kept under `target/` by the name in `TICKOFF_CAMPAIGN`.
pub struct Progress {
    seed: u64,
    /// So many tries are asked for.
    pub wanted: u64,
    /// So many tries are made, by so many of the first rounds.
    pub done: u64,
    pub rounds: u64,
    kept: Option<PathBuf>,
}

/// The part of that campaign with this name: so many tries as the environment variable says, or `few`.
#[track_caller]
pub fn progress(part: &str, variable: &str, few: u64) -> Progress {
    let wanted = tries(variable, few);
    let replayed = number("TICKOFF_SEED");
    let campaign = env::var("TICKOFF_CAMPAIGN").ok();
    let kept = campaign.filter(|_| replayed.is_none()).map(|campaign| {
        let name =
            format!("campaign-{campaign}{part}").replace(|c: char| !c.is_alphanumeric(), "-");
        Path::new(env!("CARGO_TARGET_TMPDIR")).join(name)
    });
    let before = kept.as_deref().map_or_else(Vec::new, |file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.split_whitespace().flat_map(str::parse).collect()
    });
    let (seed, rounds, done) = match before[..] {
        [seed, rounds, done] if done < wanted => (seed, rounds, done),
        _ => (replayed.unwrap_or_else(|| fastrand::u64(..)), 0, 0),
    };
    let progress = Progress {
        seed,
        wanted,
        done,
        rounds,
        kept,
    };
    progress.tell();
    progress
}

impl Progress {
    /// With this seed, unless a number of tries or another seed was asked for: new findings are the campaign's, and
    /// no surprise in somebody's change.
    pub fn short_from(mut self, variable: &str, seed: u64) -> Progress {
        if number(variable).or(number("TICKOFF_SEED")).is_none() {
            self.seed = seed;
            self.tell();
        }
        self
    }

    fn tell(&self) {
        println!("TICKOFF_SEED={}", self.seed);
        if self.done > 0 {
            println!("going on after {} of {}", self.done, self.wanted);
        }
    }

    /// The seed of a round. That of the first is the campaign's, so that each can be replayed as the first.
    pub fn seed_of(&self, round: u64) -> u64 {
        self.seed
            .wrapping_add(round.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// Makes rounds until there are as many tries as were asked for. A round gets its random numbers and how many
    /// tries are left, and returns how many it made.
    pub fn each_round(&mut self, mut round: impl FnMut(&mut fastrand::Rng, u64) -> u64) {
        while self.done < self.wanted {
            let seed = self.seed_of(self.rounds);
            let _seed = SaidOnPanic(seed);
            let made = round(&mut fastrand::Rng::with_seed(seed), self.wanted - self.done);
            if (self.done + made) / 500 > self.done / 500 {
                eprintln!("{} so far", self.done + made);
            }
            self.has_done(self.rounds + 1, self.done + made);
        }
    }

    /// The first rounds are over, with so many tries.
    pub fn has_done(&mut self, rounds: u64, done: u64) {
        (self.rounds, self.done) = (rounds, done);
        let Some(file) = &self.kept else { return };
        if done >= self.wanted {
            fs::remove_file(file).ok();
        } else {
            fs::write(file, format!("{} {rounds} {done}\n", self.seed)).unwrap();
        }
    }
}

/// The seed of the round that is under way.
struct SaidOnPanic(u64);

impl Drop for SaidOnPanic {
    fn drop(&mut self) {
        if thread::panicking() {
            eprintln!("the round that failed: TICKOFF_SEED={}", self.0);
        }
    }
}

#[track_caller]
fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={value} is not a number")),
    )
}
