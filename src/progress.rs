//! What the program says on stderr while it runs: the progress of the run, and its log.
//!
//! This file owns the guarantee that the two never tear each other: a log line is written only
//! while the bar is taken off the screen, in one piece. And nothing that happens to stderr, be it a
//! terminal that hung up, a full disk or a closed pipe, can harm the run. That is why the bar is a
//! single `ProgressBar` (a `MultiProgress` panics on a terminal that is gone), and why the log's
//! writer reports success whatever happened (tracing-subscriber would answer an error with
//! `eprintln!`, which panics).

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use indicatif::{HumanDuration, ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};
use tracing::level_filters::LevelFilter;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use tickoff::{JobResult, PoolSummary, Verdict};

/// The shortest time between two lines of progress where there is no bar, and before the first.
pub const LINE_INTERVAL: Duration = Duration::from_secs(10);

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

    /// Begins to show the progress of a run over so many POs.
    pub fn progress(&self, total: usize) -> Progress {
        self.progress_on(total, ProgressDrawTarget::stderr())
    }

    fn new(style: Style, format: LogFormat, sink: Box<dyn Write + Send>) -> Self {
        Display(Arc::new(Shared {
            style,
            format,
            bar: Mutex::default(),
            sink: Mutex::new(sink),
        }))
    }

    fn progress_on(&self, total: usize, target: ProgressDrawTarget) -> Progress {
        if self.0.style == Style::Bar {
            let bar = ProgressBar::with_draw_target(Some(total as u64), target);
            let style = ProgressStyle::with_template("{msg}  {rate}, {eta} left  {wide_bar}")
                .expect("the template is valid")
                .with_key(
                    "rate",
                    |state: &ProgressState, text: &mut dyn std::fmt::Write| {
                        // A text that cannot be written is not shown.
                        write!(text, "{:.1}/s", state.per_sec()).ok();
                    },
                );
            bar.set_style(style);
            bar.set_message(bar_text(Counts::default(), total));
            // Jobs may take minutes; the time left is counted down meanwhile.
            bar.enable_steady_tick(Duration::from_millis(500));
            *lock(&self.0.bar) = Some(bar);
        }
        let now = Instant::now();
        Progress {
            display: self.clone(),
            total,
            began: now,
            state: Mutex::new(State {
                counts: Counts::default(),
                last_line: now,
            }),
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
    display: Display,
    total: usize,
    began: Instant,
    state: Mutex<State>,
}

impl Progress {
    /// Takes in a result; to be called for each, from any thread.
    pub fn update(&self, result: &JobResult<'_>) {
        self.update_at(result.verdict, Instant::now());
    }

    /// Takes the bar away and says what the run did.
    pub fn finish(self, summary: &PoolSummary) {
        if let Some(bar) = lock(&self.display.0.bar).take() {
            bar.finish_and_clear();
        }
        self.display.say(&summary_line(summary));
    }

    fn update_at(&self, verdict: Verdict, now: Instant) {
        let mut state = lock(&self.state);
        state.counts.add(verdict);
        let counts = state.counts;
        match self.display.0.style {
            Style::Nothing => {}
            Style::Bar => {
                if let Some(bar) = &*lock(&self.display.0.bar) {
                    bar.set_position(counts.sum() as u64);
                    bar.set_message(bar_text(counts, self.total));
                }
            }
            Style::Lines => {
                if now.duration_since(state.last_line) >= LINE_INTERVAL {
                    state.last_line = now;
                    drop(state);
                    info!("{}", progress_line(counts, self.total, now - self.began));
                }
            }
        }
    }
}

struct Shared {
    style: Style,
    format: LogFormat,
    /// There while a run is in progress.
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

struct State {
    counts: Counts,
    last_line: Instant,
}

#[derive(Debug, Clone, Copy, Default)]
struct Counts {
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

    fn sum(&self) -> usize {
        self.done + self.errors + self.no_attachments + self.other + self.skipped
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

fn bar_text(counts: Counts, total: usize) -> String {
    format!("{}/{total}  {counts}", counts.sum())
}

fn progress_line(counts: Counts, total: usize, elapsed: Duration) -> String {
    let sum = counts.sum();
    let per_second = sum as f64 / elapsed.as_secs_f64();
    let left = elapsed.mul_f64(total.saturating_sub(sum) as f64 / sum as f64);
    format!(
        "{sum} of {total}: {counts}; {per_second:.1}/s, {} left",
        HumanDuration(left)
    )
}

fn summary_line(summary: &PoolSummary) -> String {
    let &PoolSummary {
        completed,
        errors,
        no_attachments,
        other,
        skipped,
        ..
    } = summary;
    let counts = Counts {
        done: completed,
        errors,
        no_attachments,
        other,
        skipped,
    };
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

    /// What a run with these results, so many seconds after its start, writes to its log.
    fn lines_of(style: Style, seconds: &[u64]) -> String {
        let screen = Screen::default();
        let display = display(style, &screen);
        let log = tracing_subscriber::fmt()
            .without_time()
            .with_ansi(false)
            .with_target(false);
        tracing::subscriber::with_default(log.with_writer(display.clone()).finish(), || {
            let progress = display.progress(10);
            for second in seconds {
                progress.update_at(
                    Verdict::Completed,
                    progress.began + Duration::from_secs(*second),
                );
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
                " INFO 2 of 10: 2 done, 0 errors, 0 no attachments, 0 skipped; 0.2/s, 40 seconds left\n \
                 INFO 5 of 10: 5 done, 0 errors, 0 no attachments, 0 skipped; 0.2/s, 20 seconds left\n{SUMMARY}"
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
        let target = ProgressDrawTarget::term_like(Box::new(screen.clone()));
        let progress = display.progress_on(3, target);
        progress.update_at(Verdict::Error, Instant::now());
        for _ in 0..20 {
            display.make_writer().write_all(b"LOG\n").unwrap();
        }
        let with_bar = screen.text();
        assert_eq!(with_bar.matches("LOG\n").count(), 20);
        for (before, _) in with_bar
            .match_indices("LOG\n")
            .map(|(at, _)| with_bar.split_at(at))
        {
            assert!(
                before.ends_with("[clear]"),
                "the bar is on the screen: {before:?}"
            );
        }
        assert!(
            with_bar.contains("1/3  0 done, 1 errors, 0 no attachments, 0 skipped"),
            "{with_bar}"
        );

        progress.finish(&summary());
        display.make_writer().write_all(b"AFTER\n").unwrap();
        let end = "[clear]4 done, 1 errors, 0 no attachments, 2 skipped in 3.2 s\nAFTER\n";
        assert!(screen.text().ends_with(end), "{:?}", screen.text());
    }

    #[test]
    fn a_stderr_that_takes_nothing_harms_nobody() {
        if std::env::var_os("TICKOFF_TEST_LOGS").is_some() {
            let display = Display::stderr(LogFormat::Human, Verbosity::Normal);
            display.take_log();
            let progress = display.progress(1);
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
