//! The page: one file that loads nothing.
//!
//! Whatever the template is given is escaped on its way in, for HTML and against control characters
//! (see [`Harmless`]), and nothing from a sheet is ever part of a script: the rows are a plain table,
//! which the script sorts and filters. A content policy forbids the page any request besides.

use std::fmt;
use std::fs::File;
use std::io::{self, Read, Seek, Write};

use askama::Template;
use askama::filters::Escaper;
use chrono::{DateTime, TimeDelta, Utc};
use tickoff::{CsvRecord, ProcessingStatus, Sheet, escape};

use super::facts::{Facts, Share, position};
use super::joblog::{FEWEST, Slow};
use super::output::Found;
use super::seal::{self, Sealed};
use super::suppliers::{Supplier, is_unfinished};
use super::timeline::{Histogram, Kind, PAUSE, Stretch};
use crate::errors::Group;

/// How a page begins, and what of ours has in it.
const DOCTYPE: &[u8] = b"<!DOCTYPE html>\n";
const GENERATOR: &[u8] = b"<meta name=\"generator\" content=\"tickoff ";

/// Where the generator stands in a page of ours, in bytes from its beginning.
const MOST_OF_HEAD: usize = 1024;

/// Above this number the page holds only rows that failed or have no result, and no more than this.
const MOST_ROWS: usize = 20_000;

/// No more of a cell is shown, in characters.
const MOST_CHARS: usize = 300;

/// How many errors, suppliers and stretches are listed.
const LISTED: usize = 10;

/// Tells a page of ours by its generator, and one that was changed since by its [`seal`].
pub fn look(file: &mut File) -> io::Result<Found> {
    let mut head = Vec::new();
    (&mut *file)
        .take(MOST_OF_HEAD as u64)
        .read_to_end(&mut head)?;
    if !head.starts_with(DOCTYPE) || memchr::memmem::find(&head, GENERATOR).is_none() {
        return Ok(Found::NoReport);
    }
    file.rewind()?;
    Ok(match seal::is_whole(file)? {
        true => Found::AsWritten,
        false => Found::Edited,
    })
}

/// Writes the page.
pub fn write(out: &mut impl Write, sheet: &Sheet, facts: &Facts<'_>) -> io::Result<()> {
    let stretches = facts.timeline.stretches();
    let page = Page {
        css: include_str!("page.css"),
        script: include_str!("page.js"),
        version: env!("CARGO_PKG_VERSION"),
        facts,
        shares: facts.shares(),
        bars: facts.timeline.histogram().map(Bars),
        listed_stretches: &stretches[stretches.len().saturating_sub(LISTED)..],
        stretches: &stretches,
        errors: facts.errors.commonest(LISTED),
        unfinished: facts
            .suppliers
            .as_ref()
            .map(|suppliers| suppliers.unfinished(LISTED)),
        slowest: facts.joblog.map(|joblog| joblog.slowest(LISTED)),
        rows: Rows::of(sheet, facts),
    };
    let mut sealed = Sealed::new(out);
    page.write_into(&mut sealed)?;
    sealed.finish()?.flush()
}

#[derive(Template)]
#[template(path = "page.html", config = "src/bin/tickoff/report/askama.toml")]
struct Page<'a> {
    css: &'static str,
    script: &'static str,
    version: &'static str,
    facts: &'a Facts<'a>,
    shares: Vec<Share>,
    bars: Option<Bars>,
    stretches: &'a [Stretch],
    listed_stretches: &'a [Stretch],
    errors: Vec<&'a Group>,
    unfinished: Option<Vec<&'a Supplier>>,
    slowest: Option<Vec<Slow>>,
    rows: Rows<'a>,
}

/// Escapes for HTML, and shows control characters and those that change the direction of a text.
#[derive(Debug, Clone, Copy, Default)]
pub struct Harmless;

impl Escaper for Harmless {
    fn write_escaped_str<W: fmt::Write>(&self, dest: W, text: &str) -> fmt::Result {
        askama::filters::Html.write_escaped_str(dest, &escape(text))
    }
}

/// The histogram as the template draws it: each bar one unit wide, and all 100 high.
struct Bars(Histogram);

/// One colour of a bar.
struct Block {
    class: &'static str,
    x: f64,
    y: f64,
    height: f64,
}

impl Bars {
    fn most(&self) -> usize {
        self.results().max().unwrap_or(0)
    }

    fn results(&self) -> impl Iterator<Item = usize> {
        self.0.buckets.iter().map(|bucket| bucket.results())
    }

    fn len(&self) -> usize {
        self.0.buckets.len()
    }

    /// The blocks of all bars, from the bottom up.
    fn blocks(&self) -> impl Iterator<Item = Block> {
        let scale = 100.0 / self.most().max(1) as f64;
        self.0
            .buckets
            .iter()
            .enumerate()
            .flat_map(move |(i, bucket)| {
                let mut top = 100.0;
                KINDS.iter().filter_map(move |&(kind, class, _)| {
                    let height = bucket.counts[kind as usize] as f64 * scale;
                    top -= height;
                    (height > 0.0).then_some(Block {
                        class,
                        x: i as f64 + 0.08,
                        y: top,
                        height,
                    })
                })
            })
    }

    /// What a bar stands for.
    fn step(&self) -> String {
        length(self.0.step)
    }

    /// When a bar begins, as exactly as its length makes sense of.
    fn label(&self, from: &DateTime<Utc>) -> String {
        let format = match self.0.step.num_seconds() {
            0..60 => "%Y-%m-%d %H:%M:%S",
            60..86_400 => "%Y-%m-%d %H:%M",
            _ => "%Y-%m-%d",
        };
        from.format(format).to_string()
    }

    fn first(&self) -> String {
        self.label(&self.0.buckets[0].from)
    }

    fn last(&self) -> String {
        self.label(&self.0.buckets[self.len() - 1].from)
    }
}

/// Results by what they say: class in the page, word in the sheet.
const KINDS: [(Kind, &str, &str); 3] = [
    (Kind::Completed, "completed", "COMPLETED"),
    (Kind::NoAttachments, "no_attachments", "NO_ATTACHMENTS"),
    (Kind::Error, "error", "ERROR"),
];

/// The rows that the page holds.
struct Rows<'a> {
    sheet: &'a Sheet,
    columns: Vec<Column>,
    total: usize,
    /// Rows that failed or have no result.
    unfinished: usize,
}

/// A column of the page: its name, and how its cells are read.
struct Column {
    name: String,
    class: &'static str,
    cell: Box<dyn Fn(&CsvRecord) -> String>,
}

impl Rows<'_> {
    fn of<'a>(sheet: &'a Sheet, facts: &Facts<'_>) -> Rows<'a> {
        let columns = sheet.columns();
        let mut shown = Vec::new();
        let mut show =
            |column: &str, name: &str, class, cell: Box<dyn Fn(&CsvRecord) -> String>| {
                if position(&columns, column).is_some() {
                    let name = name.to_owned();
                    shown.push(Column { name, class, cell });
                }
            };
        let text = |column: &str| {
            let column = column.to_owned();
            Box::new(move |record: &CsvRecord| raw(record, &column))
        };
        let [status, last_processed, error_message] = facts.stage.columns();
        let key = Box::new(|record: &CsvRecord| record.po_number.clone());
        show(&facts.key, &facts.key, "po", key);
        let word = Box::new(|record: &CsvRecord| record.status.as_str().to_owned());
        show(status, "Status", "status", word);
        show("SUPPLIER", "Supplier", "text", text("SUPPLIER"));
        let (found, downloaded) = ("ATTACHMENTS_FOUND", "ATTACHMENTS_DOWNLOADED");
        show(found, "Found", "num", text(found));
        show(downloaded, "Downloaded", "num", text(downloaded));
        let as_typed = text(last_processed);
        let time = Box::new(move |record: &CsvRecord| match record.last_processed {
            Some(time) => moment(&time),
            None => as_typed(record),
        });
        show(last_processed, "Last processed", "time", time);
        show(error_message, "Error message", "text", text(error_message));
        let progress = &facts.progress;
        Rows {
            sheet,
            columns: shown,
            total: progress.total,
            unfinished: progress.total - progress.completed - progress.no_attachments,
        }
    }

    fn are_all(&self) -> bool {
        self.total <= MOST_ROWS
    }

    fn shown(&self) -> usize {
        match self.are_all() {
            true => self.total,
            false => self.unfinished.min(MOST_ROWS),
        }
    }

    fn class(&self, record: &CsvRecord) -> &'static str {
        match &record.status {
            ProcessingStatus::Completed => "completed",
            ProcessingStatus::NoAttachments => "no_attachments",
            status if self.sheet.is_failure(status) => "error",
            ProcessingStatus::Pending => "pending",
            _ => "other",
        }
    }

    /// Those that failed come first where not all are shown, so that they are not left out for
    /// rows that nobody has tried.
    fn records(&self) -> impl Iterator<Item = CsvRecord> {
        let are_all = self.are_all();
        let is_error = |record: &CsvRecord| self.sheet.is_failure(&record.status);
        let first = move |record: &CsvRecord| are_all || is_error(record);
        let then = move |record: &CsvRecord| !first(record) && is_unfinished(record);
        (self.sheet.records().filter(first))
            .chain(self.sheet.records().filter(then))
            .take(self.shown())
    }
}

fn raw(record: &CsvRecord, column: &str) -> String {
    record.get(column).unwrap_or("").to_owned()
}

/// The start of a text that may be very long.
fn start(text: impl AsRef<str>) -> String {
    let text = text.as_ref();
    match text.char_indices().nth(MOST_CHARS) {
        None => text.to_owned(),
        Some((end, _)) => format!("{}…", &text[..end]),
    }
}

/// A time as people read it, UTC, which sorts as text.
fn moment(time: &DateTime<Utc>) -> String {
    time.format("%Y-%m-%d %H:%M:%S").to_string()
}

/// A length of time in its one or two largest units.
fn length(time: TimeDelta) -> String {
    const UNITS: [(i64, &str); 4] = [
        (86_400, "day"),
        (3_600, "hour"),
        (60, "minute"),
        (1, "second"),
    ];
    let mut rest = time.num_seconds();
    let mut parts = Vec::new();
    for (seconds, name) in UNITS {
        let count = rest / seconds;
        rest %= seconds;
        if count > 0 && parts.len() < 2 {
            let plural = if count == 1 { "" } else { "s" };
            parts.push(format!("{} {name}{plural}", thousands(&(count as usize))));
        }
    }
    match parts.is_empty() {
        true => "less than a second".to_owned(),
        false => parts.join(" "),
    }
}

/// How fast results came, in the unit in which it is a number that one can imagine.
fn rate(stretch: &Stretch) -> String {
    let Some(a_second) = stretch.rate() else {
        return "–".to_owned();
    };
    [(1.0, "a second"), (60.0, "a minute"), (3_600.0, "an hour")]
        .into_iter()
        .map(|(seconds, unit)| (a_second * seconds, unit))
        .find(|&(rate, unit)| rate >= 1.0 || unit == "an hour")
        .map(|(rate, unit)| format!("{rate:.1} {unit}"))
        .expect("the last unit is always taken")
}

/// Seconds with as many digits as mean something.
fn seconds(time: &std::time::Duration) -> String {
    let seconds = time.as_secs_f64();
    let digits = if seconds < 10.0 { 2 } else { 0 };
    format!("{seconds:.digits$} s")
}

/// A number with its thousands set apart.
fn thousands(number: &usize) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A supplier's name, or what stands for none.
fn named(name: &str) -> &str {
    if name.is_empty() { "(none)" } else { name }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::super::timeline::Bucket;
    use super::*;

    #[test]
    fn text_is_harmless_in_html_and_shows_what_would_hide() {
        let mut text = String::new();
        Harmless
            .write_escaped_str(&mut text, "<b> & \"q\" 'a' \u{202e}\u{2028}\u{1b}[31m São")
            .unwrap();
        assert_eq!(
            text,
            "&#60;b&#62; &#38; &#34;q&#34; &#39;a&#39; \\u{202e}\\u{2028}\\u{1b}[31m São"
        );
    }

    #[test]
    fn the_page_s_own_parts_load_nothing_and_do_not_end_themselves() {
        let (css, script) = (include_str!("page.css"), include_str!("page.js"));
        for never in [
            "</",
            "url(",
            "@import",
            "http:",
            "https:",
            "fetch(",
            "innerHTML",
        ] {
            assert!(!css.contains(never) && !script.contains(never), "{never}");
        }
    }

    #[test]
    fn a_bar_is_stacked_from_the_bottom_and_the_highest_fills_the_picture() {
        let bucket = |counts| Bucket {
            from: DateTime::UNIX_EPOCH,
            counts,
        };
        let bars = Bars(Histogram {
            step: TimeDelta::minutes(1),
            buckets: vec![bucket([2, 0, 2]), bucket([0, 0, 0]), bucket([0, 1, 0])],
        });
        let blocks: Vec<_> = bars
            .blocks()
            .map(|block| (block.class, block.x, block.y, block.height))
            .collect();
        assert_eq!(
            blocks,
            [
                ("completed", 0.08, 50.0, 50.0),
                ("error", 0.08, 0.0, 50.0),
                ("no_attachments", 2.08, 75.0, 25.0)
            ]
        );
        assert_eq!((bars.most(), bars.step().as_str()), (4, "1 minute"));
        assert_eq!(bars.first(), "1970-01-01 00:00");
    }

    #[test]
    fn numbers_are_written_as_people_read_them() {
        let numbers = [0, 999, 1_000, 1_234_567].map(|number| thousands(&number));
        assert_eq!(numbers, ["0", "999", "1,000", "1,234,567"]);
        let lengths = [0, 1, 90, 7_200, 90_061].map(|s| length(TimeDelta::seconds(s)));
        assert_eq!(
            lengths,
            [
                "less than a second",
                "1 second",
                "1 minute 30 seconds",
                "2 hours",
                "1 day 1 hour"
            ]
        );
        let times = [0.5, 12.3].map(|s| seconds(&Duration::from_secs_f64(s)));
        assert_eq!(times, ["0.50 s", "12 s"]);
        assert_eq!(start("é".repeat(301)), "é".repeat(300) + "…");
    }

    #[track_caller]
    fn check_rate(results: usize, seconds: i64, want: &str) {
        let from = DateTime::UNIX_EPOCH;
        let to = from + TimeDelta::seconds(seconds);
        assert_eq!(rate(&Stretch { from, to, results }), want);
    }

    #[test]
    fn a_rate_has_the_unit_in_which_it_is_at_least_one() {
        check_rate(101, 10, "10.0 a second");
        check_rate(11, 100, "6.0 a minute");
        check_rate(2, 1_200, "3.0 an hour");
        check_rate(9, 0, "–");
    }
}
