//! Numbers as people type them.

use std::num::{NonZeroU32, NonZeroUsize};
use std::str::FromStr;

use tickoff::MAX_JOBS;

/// How many commands run at a time.
pub fn jobs(text: &str) -> Result<NonZeroUsize, String> {
    let jobs = text.parse().ok();
    jobs.filter(|jobs: &NonZeroUsize| jobs.get() <= MAX_JOBS)
        .ok_or_else(|| format!("it must be a whole number from 1 to {MAX_JOBS}"))
}

/// How many of something there are to be, where none would mean nothing.
pub fn some(text: &str) -> Result<NonZeroUsize, &'static str> {
    whole(text, "it must be a whole number, 1 or more")
}

/// The same of few.
pub fn some_few(text: &str) -> Result<NonZeroU32, &'static str> {
    whole(text, "it must be a whole number, 1 or more")
}

/// How often something is to happen, which may be never.
pub fn times(text: &str) -> Result<u32, &'static str> {
    whole(text, "it must be a whole number, 0 or more")
}

fn whole<N: FromStr>(text: &str, wanted: &'static str) -> Result<N, &'static str> {
    text.parse().map_err(|_| wanted)
}
