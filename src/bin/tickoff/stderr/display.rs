//! Stderr, which log and progress share.
//!
//! This file owns the guarantee that the two never tear each other: a log line is written only
//! while the display is taken off the screen (`screen`), in one piece. And nothing that happens to stderr, be it
//! a terminal that hung up, a full disk or a closed pipe, can harm the run: the log's writer reports success
//! whatever happened (tracing-subscriber would answer an error with `eprintln!`, which panics). A reader that has
//! stopped reading delays what is said, and nobody who says it (`backlog`).

use std::fmt;
use std::io::{self, IsTerminal, Write};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use console::Term;
use tracing::level_filters::LevelFilter;
use tracing::{error, info};
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

use super::backlog::Backlog;
use super::board::Board;
use super::brief::Brief;
use super::screen::Screen;
use super::terminal::Terminal;
use super::view;
use crate::sys::{Patient, is_in_background};

/// Stderr, shared by log and progress. Clones mean the same stderr.
///
/// On a terminal with a human log, progress is a bar; otherwise it is a part of the log, a line at
/// most every [`LINE_INTERVAL`](super::LINE_INTERVAL), so that a JSON log has JSON lines only.
#[derive(Clone)]
pub struct Display(Arc<Shared>);

/// The target of log lines that are what jobs print.
pub const OF_JOBS: &str = "job";

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
        match (verbosity, format) {
            (Verbosity::Normal, LogFormat::Human) if is_terminal() => {
                Display::begin(Style::Bar, format)
            }
            _ => Display::of_lines(format, verbosity),
        }
    }

    /// Stderr as it is, on a terminal that jobs, or who reads them, have: without lines that change, and its modes are left alone.
    pub fn beside_jobs(format: LogFormat, verbosity: Verbosity) -> Self {
        let display = Display::of_lines(format, verbosity);
        display.0.terminal.leave();
        display
    }

    fn of_lines(format: LogFormat, verbosity: Verbosity) -> Self {
        let style = match verbosity {
            Verbosity::Quiet => Style::Nothing,
            Verbosity::Normal => Style::Lines,
        };
        Display::begin(style, format)
    }

    fn begin(style: Style, format: LogFormat) -> Self {
        let display = Display::new(style, format, Box::new(Patient(io::stderr())));
        display.write_behind();
        display
    }

    /// From now on a thread of its own writes, so that nobody waits for a reader but what jobs print.
    fn write_behind(&self) {
        let display = self.clone();
        let write = move |lines: &[u8]| display.write_now(lines);
        let format = self.0.format;
        let writing = Arc::new(Backlog::default());
        let backlog = Arc::clone(&writing);
        let spawned = thread::Builder::new()
            .name("stderr".into())
            .spawn(move || writing.keep_writing(write, |lost| lost_notice(format, lost)));
        // Without a thread everybody writes as before.
        if spawned.is_ok() {
            self.0.backlog.set(backlog).ok();
        }
    }

    /// Waits until all that was said is written.
    pub fn drain(&self) {
        if let Some(backlog) = self.0.backlog.get() {
            backlog.drain();
        }
    }

    /// From now on [`drain`](Display::drain) waits for no reader that has stopped reading.
    pub fn hurry(&self) {
        if let Some(backlog) = self.0.backlog.get() {
            backlog.hurry();
        }
    }

    /// Sends the log of the whole process here. The environment variable `RUST_LOG` overrides the
    /// levels that [`Verbosity`] means. Only the first call in a process has an effect.
    pub fn take_log(&self) {
        let level = match self.0.style {
            Style::Nothing => LevelFilter::WARN,
            Style::Bar | Style::Lines => LevelFilter::INFO,
        };
        // What jobs print is no message.
        let of_jobs = format!("{OF_JOBS}=info").parse().expect("it is valid");
        let filter = EnvFilter::builder()
            .with_default_directive(level.into())
            .from_env_lossy()
            .add_directive(of_jobs);
        let log = tracing_subscriber::fmt()
            .with_env_filter(filter)
            .with_target(false)
            .with_writer(self.clone());
        // An error means that a log is being taken already, which then stays.
        let taken = match self.0.format {
            LogFormat::Human if is_terminal() => {
                let brief = Brief {
                    columns: || size().1,
                };
                log.with_ansi(is_colourful()).event_format(brief).try_init()
            }
            LogFormat::Human => log.with_ansi(false).try_init(),
            LogFormat::Json => log.json().flatten_event(true).try_init(),
        };
        taken.ok();
    }

    /// Begins to show lines that change, if this is a terminal.
    pub fn begin_showing(&self) {
        let is_showing = self.0.style == Style::Bar;
        self.0.is_showing.store(is_showing, Ordering::SeqCst);
    }

    /// Waits for a thread that writes; not for long once no reader is [waited for](Display::hurry).
    pub(super) fn wait_for(&self, writing: &JoinHandle<()>) {
        let backlog = self.0.backlog.get();
        while !is_over_soon(writing) && !backlog.is_some_and(|backlog| backlog.is_hurried()) {}
    }

    /// Takes the lines that change away.
    pub fn clear(&self) {
        self.drain();
        if self.0.is_showing.swap(false, Ordering::SeqCst)
            && let Some(wiping) = self.begin_wiping()
        {
            self.wait_for(&wiping);
        }
    }

    /// Whether there are lines that change; if not, [`line`](view::line)s come at most every
    /// [`LINE_INTERVAL`](super::LINE_INTERVAL).
    pub fn is_showing(&self) -> bool {
        self.0.is_showing.load(Ordering::SeqCst)
    }

    /// Keeps what is typed off the terminal; with keys, if lines change on it, it can be read.
    pub fn hold_terminal(&self, with_keys: bool) {
        self.0.terminal.hold(with_keys && self.is_showing());
    }

    /// Holds the terminal again, should another program have had it.
    pub fn keep_terminal(&self) {
        self.0.terminal.keep();
    }

    /// Gives the terminal back.
    pub fn release_terminal(&self) {
        self.0.terminal.release();
    }

    /// Takes the lines that change away and gives the terminal back while this is done.
    pub fn lend_terminal(&self, meanwhile: impl FnOnce()) {
        let was_showing = self.0.is_showing.swap(false, Ordering::SeqCst);
        self.wipe();
        self.0.terminal.lend(meanwhile);
        self.0.is_showing.store(was_showing, Ordering::SeqCst);
    }

    /// Takes the lines that change away and gives the terminal back, for a program that ends at once.
    pub fn abandon(&self) {
        self.0.is_showing.store(false, Ordering::SeqCst);
        self.wipe();
        self.0.terminal.release();
    }

    /// Takes the lines that change away, unless the terminal has stopped reading.
    fn wipe(&self) {
        self.begin_wiping().as_ref().map(is_over_soon);
    }

    /// Takes the lines that change away, on a thread of its own.
    fn begin_wiping(&self) -> Option<JoinHandle<()>> {
        let display = self.clone();
        let wipe = move || lock(&display.0.screen).show(Vec::new()).unwrap_or_default();
        thread::Builder::new().spawn(wipe).ok()
    }

    /// Whether such lines are a part of the log.
    pub(super) fn logs_progress(&self) -> bool {
        match self.0.style {
            Style::Bar => is_in_background(),
            Style::Lines => true,
            Style::Nothing => false,
        }
    }

    /// Whether they are lines of JSON.
    pub(super) fn logs_json(&self) -> bool {
        self.0.style == Style::Lines && self.is_json()
    }

    /// How many columns a line may have, if that matters.
    pub(super) fn columns(&self) -> Option<usize> {
        (self.0.style == Style::Bar).then(|| size().1)
    }

    /// Lets whole lines be written to the same terminal while no display is on it.
    pub fn above<T>(&self, write: impl FnOnce() -> T) -> T {
        match self.is_showing() {
            true => lock(&self.0.screen).above(write),
            false => write(),
        }
    }

    /// Writes whole lines that jobs print, in one piece.
    pub fn write(&self, lines: &[u8]) -> io::Result<()> {
        match self.0.backlog.get() {
            Some(backlog) => backlog.add_patiently(lines),
            None => self.write_now(lines),
        }
    }

    fn write_now(&self, lines: &[u8]) -> io::Result<()> {
        lock(&self.0.screen).write(lines)
    }

    /// Whether all that is written here is to be lines of JSON.
    pub fn is_json(&self) -> bool {
        self.0.format == LogFormat::Json
    }

    /// Shows how a run stands now.
    pub fn draw(&self, now: DateTime<Utc>, board: &Board, title: Option<&str>) {
        if self.is_showing() {
            let lines = match is_in_background() {
                true => Vec::new(),
                false => view::lines(board, now, title, size()),
            };
            let mut screen = lock(&self.0.screen);
            // It may have been taken away meanwhile.
            if self.is_showing() {
                screen.show(lines).ok();
            }
        }
    }

    pub(super) fn new(style: Style, format: LogFormat, sink: Box<dyn Write + Send>) -> Self {
        Display(Arc::new(Shared {
            style,
            format,
            is_showing: AtomicBool::new(false),
            screen: Mutex::new(Screen::new(sink, || size().1)),
            terminal: Terminal::default(),
            backlog: OnceLock::new(),
        }))
    }

    /// Says one more thing about the run.
    pub fn say(&self, line: &str) {
        match self.0.style {
            Style::Bar => self.put(format!("{line}\n").as_bytes()),
            Style::Lines => info!("{line}"),
            Style::Nothing => {}
        }
    }

    /// Says what went wrong: as a line that begins with the program's name, or in a JSON log as one
    /// of its lines. The message is escaped already.
    pub fn report(&self, message: impl fmt::Display) {
        match self.0.format {
            LogFormat::Human => self.put(format!("tickoff: {message}\n").as_bytes()),
            LogFormat::Json => error!("{message}"),
        }
    }

    /// Shows lines that belong to what was just reported. In a JSON log nothing is said that is not
    /// one of its lines.
    pub fn show(&self, lines: impl fmt::Display) {
        match self.0.format {
            LogFormat::Human => self.put(format!("{lines}\n").as_bytes()),
            LogFormat::Json => {}
        }
    }

    /// Writes a message. What cannot be written is lost.
    fn put(&self, line: &[u8]) {
        match self.0.backlog.get() {
            Some(backlog) => backlog.add(line),
            None => self.write_now(line).unwrap_or_default(),
        }
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
        self.0.put(line);
        Ok(line.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

struct Shared {
    style: Style,
    format: LogFormat,
    /// Whether there are lines that change. Written by whoever runs the command, read by those who write to the
    /// terminal, without `screen`, which may wait for a reader. `SeqCst`: the simplest that is right.
    is_showing: AtomicBool,
    screen: Mutex<Screen>,
    terminal: Terminal,
    /// There if a thread writes.
    backlog: OnceLock<Arc<Backlog>>,
}

/// Whether a thread that writes to the terminal ends within a while; if not, the terminal has stopped reading.
fn is_over_soon(writing: &JoinHandle<()>) -> bool {
    const PATIENCE: Duration = Duration::from_millis(200);
    let began = Instant::now();
    while !writing.is_finished() && began.elapsed() < PATIENCE {
        thread::sleep(Duration::from_millis(1));
    }
    writing.is_finished()
}

/// Whether a person looks at it, through something that does more than write one line below the other.
fn is_terminal() -> bool {
    io::stderr().is_terminal() && std::env::var_os("TERM").is_none_or(|term| term != "dumb")
}

fn is_colourful() -> bool {
    std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// Rows and columns of the terminal.
fn size() -> (usize, usize) {
    let (rows, columns) = Term::stderr().size();
    (rows.into(), columns.into())
}

fn lost_notice(format: LogFormat, lost: u64) -> String {
    let notice = format!("{lost} messages are lost: nobody read them in time");
    match format {
        LogFormat::Human => format!("tickoff: {notice}\n"),
        LogFormat::Json => format!("{{\"level\":\"WARN\",\"message\":\"{notice}\"}}\n"),
    }
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Style {
    Bar,
    Lines,
    Nothing,
}

/// The values behind these locks are never left half changed.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
