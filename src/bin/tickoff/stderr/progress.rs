//! The progress of a run, told while it goes on: on the display, in the log, and to whoever watches from
//! outside.
//!
//! Workers wait for nobody who is told: they only note what happened, and a thread of its own tells it.

use std::collections::BTreeSet;
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use tickoff::{Event, PoolSummary, Stop, StopLevel, Teller, Verdict};
use tracing::{info, warn};

use super::board::{Board, Common};
use super::display::{Display, lock};
use super::{summary, view};
use crate::errors::Errors;
use crate::sys::has_keys;

/// The shortest time between two lines of progress where there is no bar, and before the first.
pub const LINE_INTERVAL: TimeDelta = TimeDelta::seconds(10);

/// How many kinds of errors are told apart, so that a run of which every row fails in another way takes no more
/// memory than that.
const KINDS_OF_ERRORS: usize = 1000;

/// How many of them are shown while the run goes on.
const SHOWN_ERRORS: usize = 3;

/// What is said of keys, and for how long.
const KEYS: &str = "keys: p pauses and goes on, + and - change the number of jobs";
const KEYS_SHOWN: TimeDelta = TimeDelta::seconds(10);

/// How often the display changes.
pub const REFRESH: Duration = Duration::from_millis(250);

/// The progress of one run.
pub struct Progress {
    told: Arc<Told>,
    ticker: Option<JoinHandle<()>>,
}

impl Progress {
    /// Begins to show how a run stands, and to tell it to others.
    pub fn show(display: &Display, board: Board, stop: &Stop, teller: Option<Teller>) -> Progress {
        display.begin_showing();
        let with_keys = has_keys();
        display.hold_terminal(with_keys);
        let keys = (with_keys && display.is_showing()).then_some(KEYS);
        Progress::begin(display.clone(), board, stop, teller, keys)
    }

    fn begin(
        display: Display,
        board: Board,
        stop: &Stop,
        teller: Option<Teller>,
        keys: Option<&'static str>,
    ) -> Progress {
        let told = Arc::new(Told {
            display,
            teller,
            stop: stop.clone(),
            keys,
            last_line: Mutex::new((board.began, 0)),
            board: Mutex::new(board),
            errors: Mutex::new(Errors::at_most(KINDS_OF_ERRORS)),
            waiting: Mutex::default(),
            is_over: Mutex::new(false),
            over: Condvar::new(),
        });
        let ticking = Arc::clone(&told);
        let ticker = thread::Builder::new()
            .name("progress".into())
            .spawn(move || ticking.keep_telling());
        let ticker = ticker
            .map_err(|error| warn!(%error, "the progress of the run is not shown"))
            .ok();
        Progress { told, ticker }
    }

    /// Takes in what happened; to be called from any thread.
    pub fn take(&self, event: &Event<'_>) {
        if let Event::Finished(result) = event
            && result.verdict == Verdict::Error
        {
            lock(&self.told.errors).add(result.po, result.updates.get("ERROR_MESSAGE"));
        }
        match event {
            Event::Postponed { job, .. } => {
                lock(&self.told.waiting).insert(job.po.to_owned());
            }
            Event::Finished(result) => {
                lock(&self.told.waiting).remove(result.po);
            }
            _ => {}
        }
        lock(&self.told.board).take(event, Utc::now());
    }

    /// Takes the display away and says what the run did. To people nothing is said of one that had nothing to do:
    /// they were told why.
    pub fn finish(self, summary: &PoolSummary) {
        let told = Arc::clone(&self.told);
        drop(self);
        let had_work = lock(&told.board).total > 0 || summary.processed() > summary.skipped;
        if had_work || told.display.is_json() {
            summary::tell(
                &told.display,
                summary,
                &lock(&told.errors),
                &lock(&told.waiting),
            );
        }
    }
}

impl Drop for Progress {
    /// Nothing of it is left on the screen.
    fn drop(&mut self) {
        *lock(&self.told.is_over) = true;
        self.told.over.notify_all();
        if let Some(ticker) = self.ticker.take() {
            // One that panicked was only of use to people who watched.
            self.told.display.wait_for(&ticker);
        }
        self.told.display.clear();
        self.told.display.release_terminal();
    }
}

/// What workers note and the ticker tells.
struct Told {
    display: Display,
    teller: Option<Teller>,
    /// That of the run.
    stop: Stop,
    /// What is said of keys.
    keys: Option<&'static str>,
    board: Mutex<Board>,
    errors: Mutex<Errors>,
    /// The keys of rows that wait for another attempt.
    waiting: Mutex<BTreeSet<String>>,
    /// When the last line was logged, and how many jobs were done then.
    last_line: Mutex<(DateTime<Utc>, usize)>,
    is_over: Mutex<bool>,
    over: Condvar,
}

impl Told {
    fn keep_telling(&self) {
        // Whoever looks sees at once that the run can be controlled.
        let mut last_told = DateTime::<Utc>::MIN_UTC;
        let mut told = None;
        loop {
            let is_over = lock(&self.is_over);
            if *is_over {
                return;
            }
            let woken = self.over.wait_timeout(is_over, REFRESH);
            // Nobody who ends it waits for a terminal that has stopped reading.
            drop(woken.unwrap_or_else(PoisonError::into_inner));
            let now = Utc::now();
            self.tick(now);
            let board = lock(&self.board).clone();
            let control = Some((board.paused.clone(), board.jobs));
            if let Some(teller) = &self.teller
                && (told != control || now - last_told >= TimeDelta::seconds(1))
            {
                (last_told, told) = (now, control);
                teller.tell(&serde_json::to_string(&board).expect("a board is plain data"));
            }
        }
    }

    fn tick(&self, now: DateTime<Utc>) {
        let board = {
            let mut board = lock(&self.board);
            board.tick(now);
            board.is_stopping = self.stop.level() > StopLevel::Continue;
            let errors = lock(&self.errors);
            let commonest = errors.commonest(SHOWN_ERRORS).into_iter();
            board.commonest = commonest.map(Common::of).collect();
            board.clone()
        };
        let display = &self.display;
        let keys = self.keys.filter(|_| now - board.began < KEYS_SHOWN);
        display.draw(now, &board, keys);
        if display.logs_progress() {
            let mut last = lock(&self.last_line);
            let done = board.counts.sum();
            if now - last.0 >= LINE_INTERVAL && done > last.1 {
                *last = (now, done);
                info!("{}", view::line(&board, now));
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::{self, Write};
    use std::process::{Command, Stdio};

    use tracing_subscriber::fmt::MakeWriter;

    use super::super::display::{LogFormat, Style, Verbosity};
    use super::*;

    /// Collects what would be on the terminal, the bar's control sequences in brackets.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Screen {
        fn text(&self) -> String {
            String::from_utf8(lock(&self.0).clone()).unwrap()
        }
    }

    impl Write for Screen {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn display(style: Style, screen: &Screen) -> Display {
        Display::new(style, LogFormat::Human, Box::new(screen.clone()))
    }

    fn summary() -> PoolSummary {
        let elapsed = Duration::from_millis(3_240);
        PoolSummary {
            completed: 4,
            errors: 1,
            skipped: 2,
            elapsed,
            ..PoolSummary::default()
        }
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::UNIX_EPOCH + TimeDelta::seconds(seconds)
    }

    /// Notes that a job was completed.
    fn complete(told: &Told, at: DateTime<Utc>) {
        lock(&told.board).take(
            &Event::Finished(tickoff::JobResult {
                po: "P1",
                verdict: tickoff::Verdict::Completed,
                updates: &tickoff::Updates::new(),
                persisted: Ok(()),
                worker: 0,
                attempts: 1,
                duration: Duration::ZERO,
                processed: 1,
                total: 10,
            }),
            at,
        );
    }

    /// What a run with these results, so many seconds after its start, writes to its log.
    fn lines_of(style: Style, seconds: &[i64]) -> String {
        let screen = Screen::default();
        let display = display(style, &screen);
        let log = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_target(false);
        tracing::subscriber::with_default(log.with_writer(display.clone()).finish(), || {
            // Its ticker logs nothing: it is on another thread.
            let progress = Progress::show(&display, Board::new(10, 2, at(0)), &Stop::new(), None);
            for &second in seconds {
                complete(&progress.told, at(second));
                progress.told.tick(at(second));
            }
            progress.finish(&summary());
        });
        screen.text()
    }

    const SUMMARY: &str = " INFO 4 done, 1 errors, 0 no attachments, 2 skipped in 3.2 s\n";

    #[test]
    fn a_short_run_says_only_its_summary() {
        assert_eq!(lines_of(Style::Lines, &[0, 1, 9]), SUMMARY);
    }

    #[test]
    fn a_line_comes_at_most_every_ten_seconds() {
        assert_eq!(
            lines_of(Style::Lines, &[9, 10, 11, 19, 20]),
            format!(
                " INFO 2 of 10: 2 done, 0 errors, 0 no attachments, 0 skipped; 0.20/s, 40 s left\n \
                 INFO 5 of 10: 5 done, 0 errors, 0 no attachments, 0 skipped; 0.30/s, 17 s left\n{SUMMARY}"
            )
        );
    }

    #[test]
    fn quiet_says_nothing() {
        assert_eq!(lines_of(Style::Nothing, &[9, 10, 30]), "");
    }

    #[test]
    fn a_log_line_never_tears_the_bar() {
        let screen = Screen::default();
        let display = display(Style::Bar, &screen);
        display.begin_showing();
        let board = Board::new(3, 2, Utc::now());
        let progress = Progress::begin(display.clone(), board, &Stop::new(), None, None);
        complete(&progress.told, Utc::now());
        progress.told.tick(Utc::now());
        for _ in 0..20 {
            display.make_writer().write_all(b"LOG\n").unwrap();
        }
        let with_bar = screen.text();
        const GONE: &str = "\r\u{1b}[J";
        assert_eq!(with_bar.matches("LOG\n").count(), 20);
        for (before, _) in with_bar
            .match_indices("LOG\n")
            .map(|(at, _)| with_bar.split_at(at))
        {
            assert!(
                before.ends_with(GONE),
                "the bar is on the screen: {before:?}"
            );
        }
        assert!(with_bar.contains("1/3"), "{with_bar}");

        progress.finish(&summary());
        display.make_writer().write_all(b"AFTER\n").unwrap();
        let end = "\r\u{1b}[J4 done, 1 errors, 0 no attachments, 2 skipped in 3.2 s\nAFTER\n";
        assert!(screen.text().ends_with(end), "{:?}", screen.text());
    }

    #[test]
    fn a_stderr_that_takes_nothing_harms_nobody() {
        if std::env::var_os("TICKOFF_TEST_LOGS").is_some() {
            let display = Display::stderr(LogFormat::Human, Verbosity::Normal);
            display.take_log();
            let progress =
                Progress::show(&display, Board::new(1, 1, Utc::now()), &Stop::new(), None);
            tracing::error!("lost");
            return progress.finish(&summary());
        }
        let this_test = "stderr::progress::tests::a_stderr_that_takes_nothing_harms_nobody";
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let run = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", this_test])
            .env("TICKOFF_TEST_LOGS", "1")
            .stdout(Stdio::piped())
            .stderr(full)
            .output()
            .unwrap();
        let said = String::from_utf8(run.stdout).unwrap();
        assert!(run.status.success() && said.contains("1 passed"), "{said}");
    }
}
