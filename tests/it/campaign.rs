//! Campaigns: the same test tried a few times by default, and as often as the environment says.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};

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

/// A campaign of numbered tries, each with a seed of its own, that goes on where it was stopped: its seed, and
/// how many tries are done, are kept under `target/`.
pub struct Progress {
    pub seed: u64,
    pub wanted: u64,
    /// So many of the first are done.
    pub done: u64,
    /// Where that is kept; not of the short form, nor of one that is replayed.
    kept: Option<PathBuf>,
}

/// The seed of the short form: new findings are the campaign's, and no surprise in somebody's change.
const SHORT: u64 = 1;

/// The campaign of this name: so many tries as the environment variable says, or `few`.
#[track_caller]
pub fn progress(name: &str, variable: &str, few: u64) -> Progress {
    let wanted = tries(variable, few);
    let replayed = number("TICKOFF_SEED");
    let is_kept = number(variable).is_some() && replayed.is_none();
    let file = || Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("campaign-{name}"));
    let kept = is_kept.then(file);
    let mut before = kept.as_deref().map_or_else(Vec::new, |file| {
        let text = fs::read_to_string(file).unwrap_or_default();
        text.split_whitespace().flat_map(str::parse).collect()
    });
    if before.len() != 2 || before[1] >= wanted {
        let fresh = || match number(variable) {
            Some(_) => fastrand::u64(..),
            None => SHORT,
        };
        before = vec![replayed.unwrap_or_else(fresh), 0];
    }
    println!("TICKOFF_SEED={}", before[0]);
    if before[1] > 0 {
        println!("going on after {} of {wanted}", before[1]);
    }
    Progress {
        seed: before[0],
        wanted,
        done: before[1],
        kept,
    }
}

impl Progress {
    /// The seed of one try. That of the first is the campaign's, so that each can be replayed as the first.
    pub fn seed_of(&self, number: u64) -> u64 {
        self.seed
            .wrapping_add(number.wrapping_mul(0x9e37_79b9_7f4a_7c15))
    }

    /// So many of the first are done by now.
    pub fn has_done(&mut self, done: u64) {
        self.done = done;
        let Some(file) = &self.kept else { return };
        if done >= self.wanted {
            fs::remove_file(file).ok();
        } else {
            fs::write(file, format!("{} {done}\n", self.seed)).unwrap();
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
