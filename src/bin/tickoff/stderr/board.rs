//! How a run stands: what its workers do, what came of its jobs, how fast it is.
//!
//! A board takes in events and knows nothing of terminals. It is what a run tells others of itself
//! (`tickoff watch`), so it holds points in time, not spans, and its texts are escaped.

use std::collections::VecDeque;
use std::fmt;

use chrono::{DateTime, Local, TimeDelta, Utc};
use serde::{Deserialize, Serialize};
use tickoff::{Change, Control, Event, PoolSummary, Verdict, escape};

use super::waits::Waits;
use crate::errors::Group;
use crate::sys::{user, user_namespace};

/// The longest text of a worker's report or an error that is kept, in characters.
const MAX_TEXT_CHARS: usize = 200;

/// The rate is that of the last quarter of the run, but of at least, and at most, so many seconds:
/// so it settles as a run goes on and still follows when its pace changes.
const SHORTEST_WINDOW: i64 = 10;
const LONGEST_WINDOW: i64 = 600;

/// How a run stands.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Board {
    /// When it began.
    pub began: DateTime<Utc>,
    /// The stage that is worked on, if it is another one than main.
    #[serde(default)]
    pub stage: Option<String>,
    /// How many jobs it has.
    pub total: usize,
    /// What came of those that are done.
    pub counts: Counts,
    /// Jobs a second, once there is one.
    pub rate: Option<f64>,
    /// What each worker does; `None` if nothing.
    pub workers: Vec<Option<Current>>,
    /// Some of its errors, the commonest first.
    #[serde(default)]
    pub commonest: Vec<Common>,
    /// What is waited for.
    #[serde(default)]
    pub waits: Waits,
    /// Whether nothing more is started.
    #[serde(default)]
    pub is_stopping: bool,
    /// Since when nothing is started, and by whom.
    #[serde(default)]
    pub paused: Option<Paused>,
    /// How many jobs run at a time; `None` of a run that cannot be controlled.
    #[serde(default)]
    pub jobs: Option<usize>,
    /// As whom it runs: nobody else but root may control it.
    #[serde(default)]
    pub user: Option<u32>,
    /// Among which users that number is one.
    #[serde(default)]
    pub user_namespace: Option<u64>,
    /// How long it was paused before.
    #[serde(skip)]
    pauses: TimeDelta,
    /// How many jobs were done, once a second, after how long without pauses.
    #[serde(skip)]
    samples: VecDeque<(TimeDelta, usize)>,
}

/// A pause.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Paused {
    /// When it began.
    pub since: DateTime<Utc>,
    /// Who asked for it.
    pub by: String,
}

impl fmt::Display for Paused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let since = self.since.with_timezone(&Local);
        let form = match since.date_naive() == Local::now().date_naive() {
            true => "%H:%M:%S",
            false => "%Y-%m-%d %H:%M:%S",
        };
        write!(f, "paused since {} by {}", since.format(form), self.by)
    }
}

/// What a worker does.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Current {
    /// Its key.
    pub po: String,
    /// 1-based.
    pub attempt: u32,
    /// When the attempt began.
    pub since: DateTime<Utc>,
    /// What the worker last said of it.
    pub report: String,
}

/// Jobs that failed in the same way.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Common {
    /// How many.
    pub rows: usize,
    /// Why, without what varies.
    pub message: String,
    /// The key of one.
    pub example: String,
}

impl Common {
    /// Those of a group.
    pub fn of(group: &Group) -> Common {
        Common {
            rows: group.rows,
            message: shown(&group.message),
            example: shown(group.example()),
        }
    }
}

impl Board {
    /// A run of so many jobs that begins now.
    pub fn new(total: usize, workers: usize, now: DateTime<Utc>) -> Board {
        Board {
            began: now,
            stage: None,
            total,
            counts: Counts::default(),
            rate: None,
            workers: vec![None; workers.min(total)],
            commonest: Vec::new(),
            waits: Waits::default(),
            is_stopping: false,
            paused: None,
            jobs: Some(workers),
            user: Some(user()),
            user_namespace: user_namespace(),
            pauses: TimeDelta::zero(),
            samples: VecDeque::from([(TimeDelta::zero(), 0)]),
        }
    }

    /// Takes in what happened.
    pub fn take(&mut self, event: &Event<'_>, now: DateTime<Utc>) {
        match event {
            Event::Started(job) => {
                let current = Current {
                    po: shown(job.po),
                    attempt: job.attempt,
                    since: now,
                    report: String::new(),
                };
                self.put(job.worker, Some(current));
                self.waits.started(job.attempt, now);
            }
            Event::Reported { job, text } => {
                if let Some(Some(current)) = self.workers.get_mut(job.worker) {
                    current.report = shown(text);
                }
            }
            Event::ProcessEnded { .. } | Event::Retired(_) => {}
            Event::Controlled(change) => self.control(change),
            Event::Postponed {
                job, wait, for_all, ..
            } => {
                self.put(job.worker, None);
                self.waits.postponed(*wait, *for_all, now);
            }
            Event::BrokenOff(job) => self.put(job.worker, None),
            Event::Finished(result) => {
                if result.attempts > 0 && self.is_idle(result.worker) {
                    // It had waited, and was skipped instead.
                    self.waits.resumed();
                }
                self.put(result.worker, None);
                self.counts.add(result.verdict);
            }
        }
    }

    /// Lets the time pass; to be called about once a second or more often.
    pub fn tick(&mut self, now: DateTime<Utc>) {
        let now = self.active(now);
        let is_due = |&(last, _): &(TimeDelta, usize)| now - last >= TimeDelta::seconds(1);
        if self.samples.back().is_none_or(is_due) {
            self.samples.push_back((now, self.counts.sum()));
        }
        let window = (now / 4).clamp(
            TimeDelta::seconds(SHORTEST_WINDOW),
            TimeDelta::seconds(LONGEST_WINDOW),
        );
        while self
            .samples
            .get(1)
            .is_some_and(|&(at, _)| now - at >= window)
        {
            self.samples.pop_front();
        }
        let Some(&(since, done_then)) = self.samples.front() else {
            return;
        };
        let seconds = (now - since).as_seconds_f64();
        let done = self.counts.sum() - done_then;
        if done > 0 && seconds >= 1.0 {
            self.rate = Some(done as f64 / seconds);
        }
    }

    /// How long it has gone on, without pauses.
    fn active(&self, now: DateTime<Utc>) -> TimeDelta {
        let until = self.paused.as_ref().map_or(now, |paused| paused.since);
        until - self.began - self.pauses
    }

    /// How long the rest takes at this rate, in seconds.
    pub fn seconds_left(&self) -> Option<u64> {
        let left = self.total.saturating_sub(self.counts.sum());
        self.rate.map(|rate| (left as f64 / rate).ceil() as u64)
    }

    /// For what is waited, and how long.
    pub fn waiting(&self, now: DateTime<Utc>) -> Option<String> {
        if self.is_stopping {
            return None;
        }
        let is_idle = self.workers.iter().all(Option::is_none) && self.counts.sum() < self.total;
        self.waits.text(is_idle, now)
    }

    fn is_idle(&self, worker: usize) -> bool {
        self.workers.get(worker).is_some_and(Option::is_none)
    }

    fn put(&mut self, worker: usize, current: Option<Current>) {
        if let Some(place) = self.workers.get_mut(worker) {
            *place = current;
        }
        self.fit_workers();
    }

    fn control(&mut self, change: &Change) {
        match change.control {
            Control::Pause => {
                self.paused = Some(Paused {
                    since: change.at,
                    by: shown(&change.by),
                });
            }
            Control::Continue => {
                if let Some(paused) = self.paused.take() {
                    self.pauses += change.at - paused.since;
                }
            }
            Control::Workers(workers) => self.jobs = Some(workers.get()),
        }
        self.fit_workers();
    }

    /// There is a place for each worker, and beyond them for those that are still busy.
    fn fit_workers(&mut self) {
        let Some(jobs) = self.jobs else { return };
        let busy = self.workers.iter().rposition(Option::is_some);
        let places = jobs.min(self.total).max(busy.map_or(0, |last| last + 1));
        self.workers.resize(places, None);
    }

    /// Whether it is paused, and how many jobs there are; `None` of a run that cannot be controlled.
    pub fn control_text(&self) -> Option<String> {
        let jobs = self.jobs_text()?;
        Some(match (&self.paused, self.running()) {
            (None, 0) => format!("{jobs}, none running"),
            (None, running) => format!("{jobs}, {running} running"),
            (Some(paused), 0) => format!("{paused}; none running, {jobs}"),
            (Some(paused), 1) => format!("{paused}; 1 job still running, {jobs}"),
            (Some(paused), running) => format!("{paused}; {running} jobs still running, {jobs}"),
        })
    }

    /// How many jobs there are at a time; `None` of a run that cannot be controlled.
    pub fn jobs_text(&self) -> Option<String> {
        self.jobs.map(|jobs| match jobs {
            1 => "1 job at a time".to_owned(),
            _ => format!("{jobs} jobs at a time"),
        })
    }

    /// How many jobs run now.
    pub fn running(&self) -> usize {
        self.workers.iter().flatten().count()
    }
}

/// A text as it is kept.
pub(super) fn shown(text: &str) -> String {
    match text.char_indices().nth(MAX_TEXT_CHARS) {
        Some((end, _)) => escape(&text[..end]) + "…",
        None => escape(text),
    }
}

/// How many jobs ended in which way.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Counts {
    done: usize,
    errors: usize,
    no_attachments: usize,
    other: usize,
    skipped: usize,
}

impl Counts {
    fn add(&mut self, verdict: Verdict) {
        *match verdict {
            Verdict::Completed => &mut self.done,
            Verdict::Error => &mut self.errors,
            Verdict::NoAttachments => &mut self.no_attachments,
            Verdict::Other => &mut self.other,
            Verdict::Skipped => &mut self.skipped,
        } += 1;
    }

    /// All of them.
    pub fn sum(&self) -> usize {
        self.done + self.errors + self.no_attachments + self.other + self.skipped
    }
}

impl From<&PoolSummary> for Counts {
    fn from(summary: &PoolSummary) -> Counts {
        Counts {
            done: summary.completed,
            errors: summary.errors,
            no_attachments: summary.no_attachments,
            other: summary.other,
            skipped: summary.skipped,
        }
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Counts {
            done,
            errors,
            no_attachments,
            other,
            skipped,
        } = self;
        write!(
            f,
            "{done} done, {errors} errors, {no_attachments} no attachments, {skipped} skipped"
        )?;
        match other {
            0 => Ok(()),
            _ => write!(f, ", {other} other"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    /// A board after so many jobs were done at each of these seconds, ticked every second until `end`.
    fn board(done: &[(i64, usize)], end: i64) -> Board {
        let mut board = Board::new(1000, 4, at(0));
        for second in 1..=end {
            for (_, count) in done.iter().filter(|(when, _)| *when == second) {
                board.counts.done += count;
            }
            board.tick(at(second));
        }
        board
    }

    #[test]
    fn there_is_no_rate_before_a_po_is_done() {
        assert_eq!(board(&[], 100).rate, None);
        assert_eq!(board(&[], 100).seconds_left(), None);
    }

    #[test]
    fn the_rate_of_a_steady_run_is_its_pace() {
        let steady: Vec<_> = (1..=400).map(|second| (second, 2)).collect();
        let board = board(&steady, 400);
        assert_eq!(board.rate, Some(2.0));
        assert_eq!(board.seconds_left(), Some(100));
    }

    #[test]
    fn the_rate_follows_when_the_pace_changes() {
        let slower: Vec<_> = (1..=100)
            .map(|second| (second, if second <= 50 { 8 } else { 1 }))
            .collect();
        // The last quarter of 100 seconds is all of the slow pace.
        assert_eq!(board(&slower, 100).rate, Some(1.0));
    }

    #[test]
    fn a_pause_does_not_bring_the_rate_to_zero() {
        assert_eq!(board(&[(1, 10)], 5).rate, Some(2.0));
        let after_long = board(&[(1, 10)], 400).rate.unwrap();
        assert!(after_long > 0.0, "{after_long}");
    }

    #[test]
    fn the_time_of_a_pause_does_not_count() {
        let mut board = Board::new(1000, 4, at(0));
        for second in 1..=140 {
            let control = match second {
                21 => Some(Control::Pause),
                121 => Some(Control::Continue),
                _ => None,
            };
            if let Some(control) = control {
                let by = "ada".into();
                board.control(&Change {
                    control,
                    by,
                    at: at(second - 1),
                });
            }
            if board.paused.is_none() {
                board.counts.done += 2;
            }
            board.tick(at(second));
            assert!(board.rate.is_none_or(|rate| rate == 2.0), "{second}");
        }
        assert_eq!(board.rate, Some(2.0));
        assert_eq!(board.counts.done, 80);
    }

    #[test]
    fn long_texts_are_cut_and_all_are_escaped() {
        assert_eq!(shown("a\u{1b}[2Jb"), escape("a\u{1b}[2Jb"));
        assert_eq!(shown(&"x".repeat(300)).chars().count(), MAX_TEXT_CHARS + 1);
    }

    #[test]
    fn it_survives_being_told_to_others() {
        let mut board = board(&[(1, 3)], 2);
        board.put(
            0,
            Some(Current {
                po: "P1".to_owned(),
                attempt: 2,
                since: at(1),
                report: "half".to_owned(),
            }),
        );
        let told: Board = serde_json::from_str(&serde_json::to_string(&board).unwrap()).unwrap();
        board.samples.clear();
        assert_eq!(told, board);
    }
}
