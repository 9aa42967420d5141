//! What the program says on stderr while it runs: the progress of the run, and its log.
//!
//! This file owns the guarantee that the two never tear each other: a log line is written only
//! while the bar is taken off the screen, in one piece. And nothing that happens to stderr, be it a
//! terminal that hung up, a full disk or a closed pipe, can harm the run. That is why the bar is a
//! single `ProgressBar` (a `MultiProgress` panics on a terminal that is gone), and why the log's
//! writer reports success whatever happened (tracing-subscriber would answer an error with
//! `eprintln!`, which panics). The bar's message is the whole display, several lines.
//!
//! Workers only note what happened on the [`Board`]; a thread of its own shows it a few times a second,
//! and tells it to whoever watches from outside.

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use console::Term;
use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use tracing::level_filters::LevelFilter;
use tracing::{error, info, warn};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use board::{Board, Counts};
use tickoff::{Event, PoolSummary, Teller};

pub mod board;
pub mod view;

/// The shortest time between two lines of progress where there is no bar, and before the first.
pub const LINE_INTERVAL: TimeDelta = TimeDelta::seconds(10);

/// How often the display changes.
pub const REFRESH: Duration = Duration::from_millis(250);

/// Stderr, shared by log and progress. Clones mean the same stderr.
///
/// On a terminal with a human log, progress is a bar; otherwise it is a part of the log, a line at
/// most every [`LINE_INTERVAL`], so that a JSON log has JSON lines only.
#[derive(Clone)]
pub struct Display(Arc<Shared>);

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, clap::ValueEnum)]
pub enum LogFormat {
    /// Text.
    #[default]
    Human,
    /// One JSON object a line.
    Json,
}

/// How much is said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Verbosity {
    /// Progress, the summary, and log lines from level INFO on.
    #[default]
    Normal,
    /// Only warnings and errors.
    Quiet,
}

impl Display {
    /// Stderr as it is.
    pub fn stderr(format: LogFormat, verbosity: Verbosity) -> Self {
        let is_terminal = io::stderr().is_terminal()
            && std::env::var_os("TERM").is_none_or(|term| term != "dumb");
        let style = match (verbosity, format) {
            (Verbosity::Quiet, _) => Style::Nothing,
            (Verbosity::Normal, LogFormat::Human) if is_terminal => Style::Bar,
            (Verbosity::Normal, _) => Style::Lines,
        };
        Display::new(style, format, Box::new(io::stderr()))
    }

    /// Sends the log of the whole process here. The environment variable `RUST_LOG` overrides the
    /// levels that [`Verbosity`] means. Only the first call in a process has an effect.
    pub fn take_log(&self) {
        let level = match self.0.style {
            Style::Nothing => LevelFilter::WARN,
            Style::Bar | Style::Lines => LevelFilter::INFO,
        };
        let filter = EnvFilter::builder()
            .with_default_directive(level.into())
            .from_env_lossy();
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_target(false)
            .with_writer(self.clone());
        // An error means that a log is being taken already, which then stays.
        let taken = match self.0.format {
            LogFormat::Human => log.with_ansi(self.is_colourful()).try_init(),
            LogFormat::Json => log.json().flatten_event(true).try_init(),
        };
        taken.ok();
    }

    /// Begins to show how a run stands, and to tell it to others.
    pub fn progress(&self, board: Board, teller: Option<Teller>) -> Progress {
        self.begin_showing();
        Progress::begin(self.clone(), board, teller)
    }

    /// Begins to show lines that change, if this is a terminal.
    pub fn begin_showing(&self) {
        self.show_on(ProgressDrawTarget::stderr());
    }

    /// Takes the lines that change away.
    pub fn clear(&self) {
        if let Some(bar) = lock(&self.0.bar).take() {
            bar.finish_and_clear();
        }
    }

    /// Whether there are lines that change; if not, [`line`](view::line)s come at most every
    /// [`LINE_INTERVAL`].
    pub fn is_showing(&self) -> bool {
        lock(&self.0.bar).is_some()
    }

    /// Shows how a run stands now.
    pub fn draw(&self, now: DateTime<Utc>, board: &Board, title: Option<&str>) {
        // A clone, so that log lines need not wait for the terminal here.
        let bar = lock(&self.0.bar).clone();
        if let Some(bar) = bar {
            bar.set_message(view::lines(board, now, title, (self.0.size)()).join("\n"));
        }
    }

    fn new(style: Style, format: LogFormat, sink: Box<dyn Write + Send>) -> Self {
        Display(Arc::new(Shared {
            style,
            format,
            size: || {
                let (rows, columns) = Term::stderr().size();
                (rows.into(), columns.into())
            },
            bar: Mutex::default(),
            sink: Mutex::new(sink),
        }))
    }

    fn show_on(&self, target: ProgressDrawTarget) {
        if self.0.style == Style::Bar {
            let bar = ProgressBar::with_draw_target(None, target);
            bar.set_style(ProgressStyle::with_template("{msg}").expect("the template is valid"));
            *lock(&self.0.bar) = Some(bar);
        }
    }

    /// Says one more thing about the run.
    pub fn say(&self, line: &str) {
        match self.0.style {
            Style::Bar => self.write(format!("{line}\n").as_bytes()),
            Style::Lines => info!("{line}"),
            Style::Nothing => {}
        }
    }

    /// Says what went wrong: as a line that begins with the program's name, or in a JSON log as one
    /// of its lines. The message is escaped already.
    pub fn report(&self, message: impl fmt::Display) {
        match self.0.format {
            LogFormat::Human => self.write(format!("tickoff: {message}\n").as_bytes()),
            LogFormat::Json => error!("{message}"),
        }
    }

    /// Shows lines that belong to what was just reported. In a JSON log nothing is said that is not
    /// one of its lines.
    pub fn show(&self, lines: impl fmt::Display) {
        match self.0.format {
            LogFormat::Human => self.write(format!("{lines}\n").as_bytes()),
            LogFormat::Json => {}
        }
    }

    fn is_colourful(&self) -> bool {
        self.0.style == Style::Bar
            && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
    }

    /// Writes a whole line, or several, while no bar is on the screen. What cannot be written is
    /// lost.
    fn write(&self, line: &[u8]) {
        let write = || lock(&self.0.sink).write_all(line).ok();
        match &*lock(&self.0.bar) {
            Some(bar) => bar.suspend(write),
            None => write(),
        };
    }
}

impl<'a> MakeWriter<'a> for Display {
    type Writer = LogWriter<'a>;

    fn make_writer(&'a self) -> LogWriter<'a> {
        LogWriter(self)
    }
}

/// Writes log lines, each in one call, as tracing-subscriber does. It never reports an error.
pub struct LogWriter<'a>(&'a Display);

impl Write for LogWriter<'_> {
    fn write(&mut self, line: &[u8]) -> io::Result<usize> {
        self.0.write(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// The progress of one run.
pub struct Progress {
    told: Arc<Told>,
    ticker: Option<JoinHandle<()>>,
}

impl Progress {
    fn begin(display: Display, board: Board, teller: Option<Teller>) -> Progress {
        let told = Arc::new(Told {
            display,
            teller,
            last_line: Mutex::new((board.began, 0)),
            board: Mutex::new(board),
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
        lock(&self.told.board).take(event, Utc::now());
    }

    /// Takes the display away and says what the run did.
    pub fn finish(self, summary: &PoolSummary) {
        *lock(&self.told.is_over) = true;
        self.told.over.notify_all();
        if let Some(ticker) = self.ticker {
            // One that panicked was only of use to people who watched.
            ticker.join().ok();
        }
        self.told.display.clear();
        self.told.display.say(&summary_line(summary));
    }
}

/// What workers note and the ticker tells.
struct Told {
    display: Display,
    teller: Option<Teller>,
    board: Mutex<Board>,
    /// When the last line was logged, and how many POs were done then.
    last_line: Mutex<(DateTime<Utc>, usize)>,
    is_over: Mutex<bool>,
    over: Condvar,
}

impl Told {
    fn keep_telling(&self) {
        let mut last_told = Utc::now();
        let mut is_over = lock(&self.is_over);
        while !*is_over {
            let woken = self.over.wait_timeout(is_over, REFRESH);
            is_over = woken.unwrap_or_else(PoisonError::into_inner).0;
            let now = Utc::now();
            self.tick(now);
            if let Some(teller) = &self.teller
                && now - last_told >= TimeDelta::seconds(1)
            {
                last_told = now;
                let board = lock(&self.board).clone();
                teller.tell(&serde_json::to_string(&board).expect("a board is plain data"));
            }
        }
    }

    fn tick(&self, now: DateTime<Utc>) {
        let board = {
            let mut board = lock(&self.board);
            board.tick(now);
            board.clone()
        };
        let display = &self.display;
        display.draw(now, &board, None);
        if display.0.style == Style::Lines {
            let mut last = lock(&self.last_line);
            let done = board.counts.sum();
            if now - last.0 >= LINE_INTERVAL && done > last.1 {
                *last = (now, done);
                info!("{}", view::line(&board));
            }
        }
    }
}

struct Shared {
    style: Style,
    format: LogFormat,
    /// Rows and columns of the terminal.
    size: fn() -> (usize, usize),
    /// There while something is shown.
    bar: Mutex<Option<ProgressBar>>,
    /// Taken after `bar`.
    sink: Mutex<Box<dyn Write + Send>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Style {
    Bar,
    Lines,
    Nothing,
}

fn summary_line(summary: &PoolSummary) -> String {
    let counts = Counts::from(summary);
    let mut line = format!("{counts} in {:.1} s", summary.elapsed.as_secs_f64());
    for (count, what) in [
        (summary.retried, "attempts repeated"),
        (summary.not_run, "left for the next run"),
        (summary.unpersisted.len(), "not recorded"),
    ] {
        if count > 0 {
            line.push_str(&format!("; {count} {what}"));
        }
    }
    line
}

/// The values behind these locks are never left half changed.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

#[cfg(test)]
mod tests {
    use super::*;
    use indicatif::TermLike;
    use std::process::{Command, Stdio};

    /// Collects what would be on the terminal, the bar's control sequences in brackets.
    #[derive(Debug, Clone, Default)]
    struct Screen(Arc<Mutex<Vec<u8>>>);

    impl Screen {
        fn text(&self) -> String {
            String::from_utf8(lock(&self.0).clone()).unwrap()
        }

        fn put(&self, text: &str) -> io::Result<()> {
            self.clone().write_all(text.as_bytes())
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

    impl TermLike for Screen {
        fn width(&self) -> u16 {
            120
        }

        fn move_cursor_up(&self, lines: usize) -> io::Result<()> {
            if lines > 0 {
                self.put(&format!("[up {lines}]"))
            } else {
                Ok(())
            }
        }

        fn move_cursor_down(&self, lines: usize) -> io::Result<()> {
            self.put(&format!("[down {lines}]"))
        }

        fn move_cursor_right(&self, columns: usize) -> io::Result<()> {
            self.put(&format!("[right {columns}]"))
        }

        fn move_cursor_left(&self, columns: usize) -> io::Result<()> {
            self.put(&format!("[left {columns}]"))
        }

        fn write_line(&self, text: &str) -> io::Result<()> {
            self.put(text)?;
            self.put("\n")
        }

        fn write_str(&self, text: &str) -> io::Result<()> {
            self.put(text)
        }

        fn clear_line(&self) -> io::Result<()> {
            self.put("[clear]")
        }

        fn flush(&self) -> io::Result<()> {
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

    /// Notes that a PO was completed.
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
            let progress = display.progress(Board::new(10, 2, at(0)), None);
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
    fn the_summary_names_what_was_not_done() {
        let summary = PoolSummary {
            other: 1,
            retried: 3,
            not_run: 5,
            unpersisted: vec!["P1".into(), "P2".into()],
            ..summary()
        };
        assert_eq!(
            summary_line(&summary),
            "4 done, 1 errors, 0 no attachments, 2 skipped, 1 other in 3.2 s; \
             3 attempts repeated; 5 left for the next run; 2 not recorded"
        );
    }

    #[test]
    fn a_log_line_never_tears_the_bar() {
        let screen = Screen::default();
        let display = display(Style::Bar, &screen);
        display.show_on(ProgressDrawTarget::term_like(Box::new(screen.clone())));
        let progress = Progress::begin(display.clone(), Board::new(3, 2, Utc::now()), None);
        complete(&progress.told, Utc::now());
        progress.told.tick(Utc::now());
        for _ in 0..20 {
            display.make_writer().write_all(b"LOG\n").unwrap();
        }
        let with_bar = screen.text();
        // Bar, counts and two workers.
        const GONE: &str = "[up 3][clear][down 1][clear][down 1][clear][down 1][clear][up 3]";
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
        let end = "[up 3]4 done, 1 errors, 0 no attachments, 2 skipped in 3.2 s\nAFTER\n";
        assert!(screen.text().ends_with(end), "{:?}", screen.text());
    }

    #[test]
    fn a_stderr_that_takes_nothing_harms_nobody() {
        if std::env::var_os("TICKOFF_TEST_LOGS").is_some() {
            let display = Display::stderr(LogFormat::Human, Verbosity::Normal);
            display.take_log();
            let progress = display.progress(Board::new(1, 1, Utc::now()), None);
            tracing::error!("lost");
            return progress.finish(&summary());
        }
        let this_test = "progress::tests::a_stderr_that_takes_nothing_harms_nobody";
        let full = std::fs::File::options()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let status = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "--nocapture", this_test])
            .env("TICKOFF_TEST_LOGS", "1")
            .stdout(Stdio::null())
            .stderr(full)
            .status();
        assert!(status.unwrap().success());
    }
}
