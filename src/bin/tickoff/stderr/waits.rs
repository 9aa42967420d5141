//! What a run waits for: rows for another attempt, all of it for a while, the next start for the rate.
//!
//! Like the board, of which this is a part, it holds points in time, so that whoever watches from outside sees
//! them pass.

use std::collections::BTreeMap;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::view::duration;

/// What a run waits for.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
pub struct Waits {
    /// How many rows wait for another attempt.
    rows: usize,
    /// When the first of them is due.
    next: Option<DateTime<Utc>>,
    /// Until when nothing is started, because a job asked for that.
    held_until: Option<DateTime<Utc>>,
    /// When the rate allows the next start.
    next_start: Option<DateTime<Utc>>,
    /// How many rows are due when.
    #[serde(skip)]
    due: BTreeMap<DateTime<Utc>, usize>,
    /// From one start to the next, if there is a rate.
    #[serde(skip)]
    interval: Option<TimeDelta>,
}

impl Waits {
    /// Those of a run with this interval between two starts, if it has a rate.
    pub fn new(interval: Option<Duration>) -> Waits {
        Waits {
            interval: interval.and_then(|interval| TimeDelta::from_std(interval).ok()),
            ..Waits::default()
        }
    }

    /// A row waits for its next attempt, and with `for_all` the whole run until then.
    pub fn postponed(&mut self, wait: Duration, for_all: bool, now: DateTime<Utc>) {
        let due = TimeDelta::from_std(wait).ok();
        let due = due.and_then(|wait| now.checked_add_signed(wait));
        let due = due.unwrap_or(DateTime::<Utc>::MAX_UTC);
        if for_all {
            self.held_until = self.held_until.max(Some(due));
        }
        *self.due.entry(due).or_default() += 1;
        self.rows += 1;
        self.next = self.due.keys().next().copied();
    }

    /// An attempt begins.
    pub fn started(&mut self, attempt: u32, now: DateTime<Utc>) {
        self.next_start = self.interval.map(|interval| now + interval);
        if attempt > 1 {
            self.resumed();
        }
    }

    /// A row does not wait any more: the one that was due first, since it comes first.
    pub fn resumed(&mut self) {
        let Some(mut first) = self.due.first_entry() else {
            return;
        };
        *first.get_mut() -= 1;
        if *first.get() == 0 {
            first.remove();
        }
        self.rows -= 1;
        self.next = self.due.keys().next().copied();
    }

    /// For what is waited, and how long.
    pub fn text(&self, is_idle: bool, now: DateTime<Utc>) -> Option<String> {
        let is_ahead = |at: &DateTime<Utc>| *at > now;
        let held_until = self.held_until.filter(is_ahead);
        let next_start = self.next_start.filter(is_ahead).filter(|_| is_idle);
        let start = match (held_until, next_start) {
            (Some(until), _) => Some(format!(
                "a job asked all to wait, the next start is in {}",
                left(until, now)
            )),
            (None, Some(next)) => Some(format!("the rate allows a start in {}", left(next, now))),
            (None, None) => None,
        };
        let rows = (self.rows > 0).then(|| {
            let verb = if self.rows == 1 { "waits" } else { "wait" };
            let next = self.next.filter(is_ahead).map_or(String::new(), |next| {
                format!(", the next in {}", left(next, now))
            });
            format!("{} {verb} for another attempt{next}", self.rows)
        });
        let parts: Vec<_> = start.into_iter().chain(rows).collect();
        (!parts.is_empty()).then(|| parts.join("; "))
    }
}

fn left(until: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let millis = (until - now).num_milliseconds().max(0) as u64;
    duration(millis.div_ceil(1000))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    const fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    #[track_caller]
    fn check(waits: &Waits, now: i64, text: &str) {
        let told: Waits = serde_json::from_str(&serde_json::to_string(waits).unwrap()).unwrap();
        for waits in [waits, &told] {
            assert_eq!(waits.text(true, at(now)).unwrap_or_default(), text);
        }
    }

    #[test]
    fn rows_that_wait_are_counted_until_they_begin_or_are_skipped() {
        let mut waits = Waits::new(None);
        check(&waits, 0, "");
        for wait in [9, 5, 5, 90] {
            waits.postponed(seconds(wait), false, at(0));
        }
        check(&waits, 0, "4 wait for another attempt, the next in 5 s");
        waits.started(1, at(1));
        check(&waits, 1, "4 wait for another attempt, the next in 4 s");
        check(&waits, 6, "4 wait for another attempt");
        waits.started(2, at(6));
        waits.resumed();
        check(&waits, 6, "2 wait for another attempt, the next in 3 s");
        waits.started(3, at(9));
        check(&waits, 9, "1 waits for another attempt, the next in 2 min");
        waits.started(2, at(90));
        check(&waits, 90, "");
    }

    #[test]
    fn a_wait_of_all_is_told_until_it_is_over() {
        let mut waits = Waits::new(Some(seconds(3600)));
        waits.started(1, at(0));
        waits.postponed(seconds(30), true, at(0));
        waits.postponed(seconds(20), true, at(0));
        let says = "a job asked all to wait, the next start is in 30 s; 2 wait for another attempt, the next in 20 s";
        check(&waits, 0, says);
        assert_eq!(waits.text(false, at(0)).unwrap(), says);
        waits.postponed(Duration::MAX, true, at(0));
        assert!(waits.text(true, at(0)).is_some());
    }

    #[test]
    fn what_the_rate_allows_is_told_when_nothing_runs() {
        let mut waits = Waits::new(Some(seconds(120)));
        check(&waits, 0, "");
        waits.started(1, at(0));
        check(&waits, 59, "the rate allows a start in 2 min");
        check(&waits, 61, "the rate allows a start in 59 s");
        check(&waits, 121, "");
        assert_eq!(waits.text(false, at(60)), None);
    }
}
