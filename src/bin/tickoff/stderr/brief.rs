//! Log lines for people at a terminal: the local time, and what a job says of its failure cut to one line.
//!
//! Whatever is in an event, it says nothing to the terminal and has one line of its own; what a job said may be long
//! and gives way, what tickoff says may be wrapped. In a pipe and in a file nothing is cut.

use std::fmt;

use chrono::Local;
use console::{Style, measure_text_width, truncate_str};
use tickoff::escape;
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::registry::LookupSpan;

/// The narrowest that a key is shown, in columns.
const NARROWEST_KEY: usize = 12;

/// Writes events in this form.
pub(super) struct Brief {
    /// How many columns there are now.
    pub(super) columns: fn() -> usize,
}

impl<S, N> FormatEvent<S, N> for Brief
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _context: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut said = Said::default();
        event.record(&mut said);
        let level = *event.metadata().level();
        let colour = match level {
            Level::ERROR => Style::new().red(),
            Level::WARN => Style::new().yellow(),
            Level::INFO => Style::new().green(),
            _ => Style::new().dim(),
        };
        let painted = colour
            .force_styling(writer.has_ansi_escapes())
            .apply_to(level);
        let time = Local::now().format("%H:%M:%S");
        let head = format!("{time} {level} ").len();
        let said = said.line((self.columns)().saturating_sub(head + 1));
        writeln!(writer, "{time} {painted} {said}")
    }
}

/// What an event says.
#[derive(Default)]
struct Said {
    message: String,
    /// The row that it is about.
    key: Option<String>,
    /// What its job said.
    reason: Option<String>,
    /// All it tells besides the message, as ` name=value`.
    fields: String,
}

impl Said {
    /// As a line, which has at most so many columns if a job's reason is in it. How often that was tried was told
    /// each time.
    fn line(&self, columns: usize) -> String {
        let (Some(key), Some(reason)) = (&self.key, &self.reason) else {
            return format!("{}{}", self.message, self.fields);
        };
        let key = shortened(key, (columns / 3).max(NARROWEST_KEY));
        let line = format!("{key} {}: {reason}", self.message);
        truncate_str(&line, columns, "…").into_owned()
    }
}

impl Visit for Said {
    fn record_debug(&mut self, field: &Field, value: &dyn fmt::Debug) {
        let value = escape(&format!("{value:?}"));
        match field.name() {
            "message" => return self.message = value,
            "key" => self.key = Some(value.clone()),
            "reason" => self.reason = Some(value.clone()),
            _ => {}
        }
        self.fields.push_str(&format!(" {}={value}", field.name()));
    }

    fn record_str(&mut self, field: &Field, value: &str) {
        self.record_debug(field, &format_args!("{value}"));
    }
}

/// A text with its start and its end, if it has more columns than that.
fn shortened(text: &str, columns: usize) -> String {
    if measure_text_width(text) <= columns {
        return text.to_owned();
    }
    let kept = columns.saturating_sub(1);
    let start = truncate_str(text, kept.div_ceil(2), "");
    let mut end = text;
    while measure_text_width(end) > kept / 2 {
        let mut chars = end.chars();
        chars.next();
        end = chars.as_str();
    }
    format!("{start}…{end}")
}

#[cfg(test)]
mod tests {
    use std::io;
    use std::sync::{Arc, Mutex};

    use tracing::{info, warn};

    use super::super::display::lock;
    use super::*;

    #[derive(Clone, Default)]
    struct Sink(Arc<Mutex<Vec<u8>>>);

    impl io::Write for Sink {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            lock(&self.0).extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    /// What is written of an event on a terminal with 40 columns, without the time.
    fn written(is_colourful: bool, say: impl FnOnce()) -> String {
        let sink = Sink::default();
        let writer = sink.clone();
        let log = tracing_subscriber::fmt()
            .with_ansi(is_colourful)
            .event_format(Brief { columns: || 40 })
            .with_writer(move || writer.clone());
        tracing::subscriber::with_default(log.finish(), say);
        let text = String::from_utf8(lock(&sink.0).clone()).unwrap();
        let (time, said) = text.split_once(' ').unwrap();
        chrono::NaiveTime::parse_from_str(time, "%H:%M:%S").unwrap();
        said.to_owned()
    }

    #[track_caller]
    fn check(say: impl FnOnce(), want: &str) {
        assert_eq!(written(false, say), format!("{want}\n"));
    }

    fn failed(key: &str, reason: &str, attempts: u32) {
        warn!(%key, %reason, attempts, "failed");
    }

    #[test]
    fn a_failure_has_one_line() {
        check(|| failed("P1", "exit 1", 1), "WARN P1 failed: exit 1");
        check(
            || failed("P1", "exit 1: a\nb", 3),
            "WARN P1 failed: exit 1: a\\nb",
        );
        let long = "x".repeat(100);
        check(
            || failed("https://example.invalid/last", &long, 1),
            "WARN https:…/last failed: xxx…",
        );
        check(
            || failed("P1", "漢字漢字漢字漢字", 1),
            "WARN P1 failed: 漢字漢字漢字…",
        );
        check(
            || info!(key = "P1", reason = "busy", "again in 1s"),
            "INFO P1 again in 1s: busy",
        );
    }

    #[test]
    fn what_tickoff_says_is_never_cut() {
        let path = "x".repeat(100);
        check(
            || warn!(%path, rows = 2, "what has no place is kept"),
            &format!("WARN what has no place is kept path={path} rows=2"),
        );
        check(
            || warn!(key = %"P1", "its result is not recorded"),
            "WARN its result is not recorded key=P1",
        );
        check(|| warn!("a\u{1b}[2J\r\nb"), "WARN a\\u{1b}[2J\\r\\nb");
    }

    #[test]
    fn colours_are_there_on_request_and_take_no_room() {
        let say = || failed("P1", "漢字漢字漢字漢字", 1);
        let plain = written(false, say);
        let coloured = written(true, say);
        assert_eq!(coloured, plain.replace("WARN", "\u{1b}[33mWARN\u{1b}[0m"));
    }
}
