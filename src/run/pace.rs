//! When the next attempt may start, whoever makes it.
//!
//! This file owns the guarantee that no start comes earlier than the rate allows and that none is saved up:
//! governor's cell rate algorithm (GCRA) with a burst of one, asked for each start under the lock of the
//! schedule. It is only asked, never waited in: whoever has to wait sleeps on the run's
//! [`Stop`](crate::Stop), which ends every wait at once.
//!
//! A server counts what arrives, and a request arrives some milliseconds after its job starts, not always as many:
//! at exactly 5 a second, every seventh was refused by one that allows 5 in any second. Hence [`SLACK`].

use std::num::NonZeroU32;
use std::str::FromStr;
use std::time::{Duration, Instant};

use governor::{DefaultDirectRateLimiter, Quota, RateLimiter};

use crate::text::Escaped;

/// How many attempts may start in a time, over all workers.
///
/// ```
/// use std::time::Duration;
/// use tickoff::Rate;
///
/// let rate: Rate = "5/s".parse().unwrap();
/// assert_eq!(rate.interval(), Duration::from_millis(208));
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rate {
    count: NonZeroU32,
    unit: Unit,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Second,
    Minute,
    Hour,
}

/// How much longer than its name says a second, a minute or an hour is, in which so many attempts start.
const SLACK: Duration = Duration::from_millis(40);

/// The most in a unit of time: their interval is never so short that it is none.
const MOST: u32 = 1_000_000;

impl Rate {
    /// From one start to the next. So many of them last 40 ms longer than the second, minute or hour, since a job's
    /// request may reach its server that much sooner or later than others do.
    pub fn interval(&self) -> Duration {
        let seconds = match self.unit {
            Unit::Second => 1,
            Unit::Minute => 60,
            Unit::Hour => 3600,
        };
        let unit = Duration::from_secs(seconds) + SLACK;
        let nanos = unit.as_nanos() as u64;
        Duration::from_nanos(nanos.div_ceil(self.count.get().into()))
    }
}

impl FromStr for Rate {
    type Err = InvalidRate;

    /// Reads `N/s`, `N/m` or `N/h`.
    fn from_str(text: &str) -> Result<Self, InvalidRate> {
        let read = || {
            let (count, unit) = text.split_once('/')?;
            let count: NonZeroU32 = count.parse().ok()?;
            let unit = match unit {
                "s" => Unit::Second,
                "m" => Unit::Minute,
                "h" => Unit::Hour,
                _ => return None,
            };
            (count.get() <= MOST).then_some(Rate { count, unit })
        };
        read().ok_or_else(|| InvalidRate(text.to_owned()))
    }
}

/// A text that is no rate.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "{} is not N/s, N/m or N/h, like 5/s, 300/m or 1000/h, with a whole N from 1 to {MOST}",
    Escaped::text(.0)
)]
pub struct InvalidRate(String);

/// The pace of one run.
#[derive(Default)]
pub(super) struct Pace {
    limiter: Option<DefaultDirectRateLimiter>,
    /// Never goes back.
    held_until: Option<Instant>,
}

impl Pace {
    /// Without a rate every start is in time.
    pub(super) fn new(rate: Option<Rate>) -> Pace {
        let quota = |rate: Rate| Quota::with_period(rate.interval()).expect("it is some time");
        Pace {
            limiter: rate.map(|rate| RateLimiter::direct(quota(rate))),
            held_until: None,
        }
    }

    /// Takes the place of the next start.
    ///
    /// # Errors
    /// Before when there is none.
    pub(super) fn start(&self) -> Result<(), Instant> {
        if let Some(until) = self.held_until.filter(|until| *until > Instant::now()) {
            return Err(until);
        }
        match self.limiter.as_ref().map(RateLimiter::check) {
            None | Some(Ok(())) => Ok(()),
            Some(Err(not_until)) => Err(not_until.earliest_possible()),
        }
    }

    /// Lets nothing start before that.
    pub(super) fn hold_until(&mut self, until: Instant) {
        self.held_until = self.held_until.max(Some(until));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rate_is_so_many_in_a_second_a_minute_or_an_hour() {
        let interval = |text: &str| text.parse::<Rate>().unwrap().interval();
        assert_eq!(interval("5/s"), Duration::from_millis(208));
        assert_eq!(interval("20/m"), Duration::from_millis(3002));
        assert_eq!(interval("1/h"), Duration::from_millis(3_600_040));
        assert_eq!(interval("3/s"), Duration::from_nanos(346_666_667));
        assert_eq!(interval("1000000/s"), Duration::from_nanos(1040));
        for wrong in [
            "",
            "5",
            "5/",
            "/s",
            "0/s",
            "-1/s",
            "1.5/s",
            "5/sec",
            "5 / s",
            "1000001/s",
        ] {
            assert_eq!(
                wrong.parse::<Rate>(),
                Err(InvalidRate(wrong.to_owned())),
                "{wrong}"
            );
        }
        assert_eq!(
            "5/\u{1b}".parse::<Rate>().unwrap_err().to_string(),
            "5/\\u{1b} is not N/s, N/m or N/h, like 5/s, 300/m or 1000/h, with a whole N from 1 to 1000000"
        );
    }

    #[test]
    fn nothing_is_saved_up_for_a_burst() {
        let pace = Pace::new(Some("1/h".parse().unwrap()));
        let asked = Instant::now();
        assert_eq!(pace.start(), Ok(()));
        let next = pace.start().unwrap_err();
        assert!(next >= asked + Duration::from_secs(3600), "{next:?}");
        // Who asks early does not put it off.
        assert_eq!(pace.start(), Err(next));

        let quick = Pace::new(Some("1000/s".parse().unwrap()));
        std::thread::sleep(Duration::from_millis(50));
        let began = Instant::now();
        let starts = (0..1000).filter(|_| quick.start().is_ok()).count();
        let most = 1 + began.elapsed().as_millis();
        assert!((1..=most).contains(&(starts as u128)), "{starts} of {most}");
    }

    #[test]
    fn a_hold_is_never_shortened() {
        let now = Instant::now();
        let mut pace = Pace::new(None);
        assert_eq!(pace.start(), Ok(()));
        pace.hold_until(now + Duration::from_secs(60));
        pace.hold_until(now + Duration::from_secs(30));
        assert_eq!(pace.start(), Err(now + Duration::from_secs(60)));
        let mut over = Pace::new(None);
        over.hold_until(now);
        assert_eq!(over.start(), Ok(()));
    }
}
