//! After how many failed jobs a run ends early.
//!
//! A policy looks only at counts of finished jobs, so that an attempt that is repeated never halts a run.
//! A percentage waits for [`FEWEST_FAILURES`]: one failure among the first two results would be half.

use std::str::FromStr;

use crate::run::stop::StopLevel;
use crate::run::summary::PoolSummary;
use crate::text::Escaped;

/// After how many failed jobs (ERROR after their last attempt) a run ends early.
///
/// ```
/// use tickoff::{Failures, Halt};
///
/// assert_eq!("soon,fail=3".parse(), Ok(Halt::Soon { fail: Failures::Count(3) }));
/// assert_eq!("now,fail=10%".parse(), Ok(Halt::Now { fail: Failures::Percent(10) }));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Halt {
    /// It does not.
    #[default]
    Never,
    /// After so many, running jobs are left to finish.
    Soon {
        /// How many.
        fail: Failures,
    },
    /// After so many, running jobs are broken off.
    Now {
        /// How many.
        fail: Failures,
    },
}

/// A number of failed jobs.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failures {
    /// So many, at least 1.
    Count(usize),
    /// So many of a hundred jobs that have a result, 1 to 100, and at least [`FEWEST_FAILURES`]: the
    /// first results say little about the rest.
    Percent(u8),
}

/// How many jobs must have failed before a percentage of them halts a run.
pub const FEWEST_FAILURES: usize = 3;

impl Failures {
    fn are_reached(self, summary: &PoolSummary) -> bool {
        match self {
            Failures::Count(count) => summary.errors >= count,
            Failures::Percent(percent) => {
                summary.errors >= FEWEST_FAILURES
                    && summary.errors as u128 * 100
                        >= summary.results() as u128 * u128::from(percent)
            }
        }
    }
}

impl Halt {
    /// What the failures so far call for.
    pub(super) fn after(self, summary: &PoolSummary) -> StopLevel {
        match self {
            Halt::Soon { fail } if fail.are_reached(summary) => StopLevel::Soon,
            Halt::Now { fail } if fail.are_reached(summary) => StopLevel::Now,
            _ => StopLevel::Continue,
        }
    }
}

impl FromStr for Halt {
    type Err = InvalidHalt;

    /// Reads `never`, `soon,fail=N`, `now,fail=N`, `soon,fail=N%` or `now,fail=N%`.
    fn from_str(text: &str) -> std::result::Result<Self, InvalidHalt> {
        let invalid = || InvalidHalt(text.to_owned());
        if text == "never" {
            return Ok(Halt::Never);
        }
        let (when, fail) = text.split_once(",fail=").ok_or_else(invalid)?;
        let fail = match fail.strip_suffix('%') {
            Some(percent) => percent
                .parse()
                .ok()
                .filter(|percent| (1..=100).contains(percent))
                .map(Failures::Percent),
            None => fail
                .parse()
                .ok()
                .filter(|&count| count > 0)
                .map(Failures::Count),
        };
        let fail = fail.ok_or_else(invalid)?;
        match when {
            "soon" => Ok(Halt::Soon { fail }),
            "now" => Ok(Halt::Now { fail }),
            _ => Err(invalid()),
        }
    }
}

/// A text that is no halt policy.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not never, soon,fail=N or now,fail=N, with N of at least 1, or 1% to 100%",
    Escaped::text(.0)
)]
pub struct InvalidHalt(String);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_percentage_is_of_the_results_so_far_and_needs_three_failures() {
        let soon = |percent| Halt::Soon {
            fail: Failures::Percent(percent),
        };
        let after = |halt: Halt, errors, completed, skipped| {
            halt.after(&PoolSummary {
                errors,
                completed,
                skipped,
                ..PoolSummary::default()
            })
        };
        assert_eq!(after(soon(50), 2, 0, 0), StopLevel::Continue);
        assert_eq!(after(soon(100), 3, 0, 7), StopLevel::Soon);
        assert_eq!(after(soon(50), 3, 3, 7), StopLevel::Soon);
        assert_eq!(after(soon(50), 3, 4, 0), StopLevel::Continue);
        assert_eq!(after(soon(1), 3, 297, 0), StopLevel::Soon);
        assert_eq!(after(soon(1), 3, 298, 0), StopLevel::Continue);
    }

    #[test]
    fn a_halt_policy_is_read_from_text() {
        assert_eq!("never".parse(), Ok(Halt::Never));
        let fail = Failures::Count(1);
        assert_eq!("soon,fail=1".parse(), Ok(Halt::Soon { fail }));
        let fail = Failures::Count(20);
        assert_eq!("now,fail=20".parse(), Ok(Halt::Now { fail }));
        let fail = Failures::Percent(100);
        assert_eq!("now,fail=100%".parse(), Ok(Halt::Now { fail }));
        for wrong in [
            "",
            "soon",
            "soon,fail=0",
            "soon,fail=-1",
            "later,fail=1",
            "now,fail=0%",
            "now,fail=101%",
            "now,fail=%",
            "now,fail=1.5%",
        ] {
            assert_eq!(wrong.parse::<Halt>(), Err(InvalidHalt(wrong.to_owned())));
        }
        assert_eq!(
            "now,\u{1b}".parse::<Halt>().unwrap_err().to_string(),
            "now,\\u{1b} is not never, soon,fail=N or now,fail=N, with N of at least 1, or 1% to 100%"
        );
    }
}
