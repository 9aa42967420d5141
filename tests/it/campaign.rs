//! Campaigns: the same test tried a few times by default, and as often as the environment says.

use std::env;

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

#[track_caller]
fn number(variable: &str) -> Option<u64> {
    let value = env::var(variable).ok()?;
    Some(
        value
            .parse()
            .unwrap_or_else(|_| panic!("{variable}={value} is not a number")),
    )
}
