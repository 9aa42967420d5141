//! When results came, from `LAST_PROCESSED`.
//!
//! A row counts once, at its latest result: what it was before is not in the sheet. How fast results
//! came is said for each stretch of work, so that a night between two runs does not count as slowness.

use chrono::{DateTime, TimeDelta, Utc};
use tickoff::ProcessingStatus;

/// A pause longer than this divides two stretches of work.
pub const PAUSE: TimeDelta = TimeDelta::minutes(10);

/// A histogram has no more bars than this.
const MOST_BUCKETS: i64 = 60;

/// Lengths of time that a bar may stand for, in seconds: those that a clock or a calendar has.
const STEPS: [i64; 22] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200,
    86_400, 172_800, 604_800, 2_592_000, 31_536_000,
];

/// What a result says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    Completed,
    NoAttachments,
    Error,
}

impl Kind {
    /// `None` for a row that has no result.
    pub fn of(status: &ProcessingStatus) -> Option<Kind> {
        match status {
            ProcessingStatus::Completed => Some(Kind::Completed),
            ProcessingStatus::NoAttachments => Some(Kind::NoAttachments),
            status if status.is_failure() => Some(Kind::Error),
            _ => None,
        }
    }
}

/// The results in the order of time.
#[derive(Default)]
pub struct Timeline {
    /// Seconds since 1970, and what came; sorted once all are added.
    results: Vec<(i64, Kind)>,
    /// Rows that have a result and no valid time of it.
    pub undated: usize,
}

/// Results by time.
#[derive(Debug, PartialEq, Eq)]
pub struct Histogram {
    /// What a bar stands for.
    pub step: TimeDelta,
    /// One after the other, without a gap.
    pub buckets: Vec<Bucket>,
}

/// The results between a time and the next bar's.
#[derive(Debug, PartialEq, Eq)]
pub struct Bucket {
    /// A multiple of the step.
    pub from: DateTime<Utc>,
    /// COMPLETED, `NO_ATTACHMENTS`, ERROR.
    pub counts: [usize; 3],
}

impl Bucket {
    /// All of them.
    pub fn results(&self) -> usize {
        self.counts.iter().sum()
    }
}

/// Results that came without a longer pause.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stretch {
    /// The first result.
    pub from: DateTime<Utc>,
    /// The last result.
    pub to: DateTime<Utc>,
    /// How many.
    pub results: usize,
}

impl Stretch {
    /// Results a second; `None` if all came within one second, which is as exact as a sheet is.
    pub fn rate(&self) -> Option<f64> {
        let seconds = (self.to - self.from).num_seconds();
        // The first result only starts the clock.
        (seconds > 0).then(|| (self.results - 1) as f64 / seconds as f64)
    }
}

impl Timeline {
    /// Counts a row that has a result.
    pub fn add(&mut self, kind: Kind, time: Option<DateTime<Utc>>) {
        match time {
            Some(time) => self.results.push((time.timestamp(), kind)),
            None => self.undated += 1,
        }
    }

    /// To be called once, after all are added.
    pub fn sort(&mut self) {
        self.results.sort_unstable();
    }

    /// The first and the last result.
    pub fn span(&self) -> Option<(DateTime<Utc>, DateTime<Utc>)> {
        let (first, last) = (self.results.first()?, self.results.last()?);
        Some((time(first.0), time(last.0)))
    }

    /// The results by time, in bars as fine as their number allows; `None` without results.
    pub fn histogram(&self) -> Option<Histogram> {
        let (first, last) = (self.results.first()?.0, self.results.last()?.0);
        let buckets = |step: i64| last.div_euclid(step) - first.div_euclid(step) + 1;
        let step = STEPS
            .into_iter()
            .find(|&step| buckets(step) <= MOST_BUCKETS)
            .unwrap_or((last - first) / (MOST_BUCKETS - 1) + 1);
        let start = first.div_euclid(step);
        let mut histogram = Histogram {
            step: TimeDelta::seconds(step),
            buckets: (start..start + buckets(step))
                .map(|bucket| Bucket {
                    from: time(bucket * step),
                    counts: [0; 3],
                })
                .collect(),
        };
        for &(at, kind) in &self.results {
            let bucket = (at.div_euclid(step) - start) as usize;
            histogram.buckets[bucket].counts[kind as usize] += 1;
        }
        Some(histogram)
    }

    /// The stretches of work in the order of time.
    pub fn stretches(&self) -> Vec<Stretch> {
        self.results
            .chunk_by(|a, b| b.0 - a.0 <= PAUSE.num_seconds())
            .map(|results| Stretch {
                from: time(results[0].0),
                to: time(results[results.len() - 1].0),
                results: results.len(),
            })
            .collect()
    }
}

/// The nearest time that can be shown; the first bar of the earliest result may begin before it.
fn time(seconds: i64) -> DateTime<Utc> {
    let earliest = DateTime::<Utc>::MIN_UTC;
    DateTime::from_timestamp(seconds, 0).unwrap_or(earliest)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn timeline(times: &[&str]) -> Timeline {
        let mut timeline = Timeline::default();
        for time in times {
            timeline.add(Kind::Completed, time.parse().ok());
        }
        timeline.sort();
        timeline
    }

    /// The step in seconds, and the results in each bar.
    #[track_caller]
    fn check(times: &[&str], step: i64, results: &[usize]) {
        let histogram = timeline(times).histogram().unwrap();
        assert_eq!(histogram.step.num_seconds(), step);
        let found: Vec<_> = histogram.buckets.iter().map(Bucket::results).collect();
        assert_eq!(found, results);
    }

    #[test]
    fn bars_are_as_fine_as_the_span_allows() {
        check(
            &[
                "2026-01-05T10:00:02Z",
                "2026-01-05T10:00:00Z",
                "2026-01-05T10:00:00Z",
            ],
            1,
            &[2, 0, 1],
        );
        let mut hour = [0; 60];
        (hour[0], hour[59]) = (1, 1);
        check(&["2026-01-05T10:00:59Z", "2026-01-05T10:59:00Z"], 60, &hour);
        check(
            &["0001-01-01T00:00:00Z", "9999-12-31T23:59:59Z"],
            (315_537_897_599 / 59) + 1,
            &[&[1][..], &[0; 58], &[1]].concat(),
        );
    }

    #[test]
    fn the_earliest_and_the_latest_time_there_are_have_bars() {
        let mut timeline = Timeline::default();
        timeline.add(Kind::Error, Some(DateTime::<Utc>::MIN_UTC));
        timeline.add(Kind::Error, Some(DateTime::<Utc>::MAX_UTC));
        timeline.sort();
        assert!(timeline.histogram().unwrap().buckets.len() <= MOST_BUCKETS as usize);
    }

    #[test]
    fn bars_begin_at_whole_minutes_and_tell_results_apart() {
        let mut timeline = timeline(&["2026-01-05T10:00:30Z", "2026-01-05T10:20:00Z"]);
        timeline.add(Kind::Error, "2026-01-05T10:19:59Z".parse().ok());
        timeline.sort();
        let histogram = timeline.histogram().unwrap();
        assert_eq!(histogram.step, TimeDelta::seconds(30));
        let times: Vec<_> = histogram
            .buckets
            .iter()
            .map(|bucket| bucket.from.to_rfc3339())
            .collect();
        assert_eq!(times[0], "2026-01-05T10:00:30+00:00");
        assert_eq!(times.last().unwrap(), "2026-01-05T10:20:00+00:00");
        assert_eq!(histogram.buckets[38].counts, [0, 0, 1]);
    }

    #[test]
    fn a_long_pause_divides_stretches_and_does_not_count_in_their_rate() {
        let timeline = timeline(&[
            "2026-01-05T10:00:00Z",
            "2026-01-05T10:10:00Z",
            "2026-01-05T10:20:00Z",
            "2026-01-06T09:00:00Z",
            "never",
        ]);
        let stretches = timeline.stretches();
        let results: Vec<_> = stretches.iter().map(|stretch| stretch.results).collect();
        assert_eq!(results, [3, 1]);
        assert_eq!(stretches[0].rate(), Some(2.0 / 1200.0));
        assert_eq!(stretches[1].rate(), None);
        assert_eq!(timeline.undated, 1);
    }

    #[test]
    fn without_results_there_is_nothing() {
        let timeline = Timeline::default();
        assert_eq!((timeline.histogram(), timeline.span()), (None, None));
        assert!(timeline.stretches().is_empty());
    }
}
