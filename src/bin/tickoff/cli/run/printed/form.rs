//! How what a job prints looks where it is shown.
//!
//! In a pipe or a file nothing is changed, but that every piece ends with a line end. On a terminal each line has
//! its key in front, and says nothing to the terminal. In a JSON log it is a line of that.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::AsFd;

use console::measure_text_width;
use tickoff::{Stream, escape};
use tracing::info;

use crate::stderr::{Display, OF_JOBS};
use crate::sys::Patient;

/// The longest key in front of a line, in characters.
const LONGEST_KEY: usize = 40;

/// Where one output of the jobs goes.
pub struct Place {
    stream: Stream,
    form: Form,
    display: Display,
}

#[derive(Clone, Copy)]
enum Form {
    Plain,
    Tagged,
    Json,
}

impl Place {
    /// Where the program's own output of that name goes.
    pub fn of(stream: Stream, display: &Display) -> Place {
        let is_terminal = match stream {
            Stream::Stdout => io::stdout().is_terminal(),
            Stream::Stderr => io::stderr().is_terminal(),
        };
        let form = match stream {
            Stream::Stderr if display.is_json() => Form::Json,
            _ if is_terminal => Form::Tagged,
            _ => Form::Plain,
        };
        Place {
            stream,
            form,
            display: display.clone(),
        }
    }

    /// Adds a piece of what the job with this key printed to what is written next. It ends with a line end, unless
    /// the rest of its last line is to follow.
    pub fn add(&self, shown: &mut Vec<u8>, key: &str, piece: &[u8], is_all: bool) {
        match self.form {
            Form::Plain => {
                shown.extend_from_slice(piece);
                if is_all && !piece.ends_with(b"\n") {
                    shown.push(b'\n');
                }
            }
            Form::Tagged => shown.extend_from_slice(tagged(key, piece).as_bytes()),
            Form::Json => {
                for line in lines(piece) {
                    // A message does not wait for its reader, and this is to.
                    self.display.write(&[]).ok();
                    info!(target: OF_JOBS, key = escape(key), "{}", escape(&line));
                }
            }
        }
    }

    /// Writes it, in one piece.
    pub fn write(&self, shown: &[u8]) -> io::Result<()> {
        let write = || {
            let stdout = io::stdout().as_fd().try_clone_to_owned()?;
            Patient(File::from(stdout)).write_all(shown)
        };
        match (self.stream, self.form) {
            (Stream::Stderr, _) => self.display.write(shown),
            (Stream::Stdout, Form::Tagged) => self.display.above(write),
            // Not on the display's terminal, which need not wait for its reader.
            (Stream::Stdout, _) => write(),
        }
    }
}

/// The lines of a piece, without their ends. What is not UTF-8 becomes U+FFFD.
fn lines(piece: &[u8]) -> impl Iterator<Item = std::borrow::Cow<'_, str>> {
    piece.split_inclusive(|&byte| byte == b'\n').map(|line| {
        let line = line.strip_suffix(b"\n").unwrap_or(line);
        String::from_utf8_lossy(line.strip_suffix(b"\r").unwrap_or(line))
    })
}

fn tagged(key: &str, piece: &[u8]) -> String {
    let key = shortened(key);
    let mut text = String::with_capacity(2 * piece.len());
    for line in lines(piece) {
        let line = format!("{key} | {}", harmless(&line));
        text.push_str(line.trim_end());
        text.push('\n');
    }
    text
}

/// A line that says nothing to a terminal. A tab becomes blanks up to where it would have led.
fn harmless(line: &str) -> String {
    let mut parts = line.split('\t').map(escape);
    let mut text = parts.next().unwrap_or_default();
    for part in parts {
        let width = measure_text_width(&text);
        text.push_str(&" ".repeat(8 - width % 8));
        text.push_str(&part);
    }
    text
}

/// A key with its start and its end, if it is long.
fn shortened(key: &str) -> String {
    let length = key.chars().count();
    if length <= LONGEST_KEY {
        return escape(key);
    }
    let half = LONGEST_KEY / 2;
    let start: String = key.chars().take(half).collect();
    let end: String = key.chars().skip(length - half + 1).collect();
    format!("{}…{}", escape(&start), escape(&end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(printed: &str, shown: &str) {
        assert_eq!(tagged("P1", printed.as_bytes()), shown);
    }

    #[test]
    fn on_a_terminal_each_line_has_its_key_and_is_harmless() {
        check("a\nb\n", "P1 | a\nP1 | b\n");
        check("no end", "P1 | no end\n");
        check("\n", "P1 |\n");
        check("of Windows\r\n", "P1 | of Windows\n");
        check("10 %\r20 %\n", "P1 | 10 %\\r20 %\n");
        check("\u{1b}[2J\u{202e}\n", "P1 | \\u{1b}[2J\\u{202e}\n");
        check("é\tb\tc\n", "P1 | é       b       c\n");
        assert_eq!(tagged("\u{7}", b"M\xfcller"), "\\u{7} | M\u{fffd}ller\n");
    }

    #[test]
    fn a_long_key_has_its_start_and_its_end() {
        let key = format!("https://{}/last.pdf", "x".repeat(100));
        let shown = shortened(&key);
        assert_eq!(shown.chars().count(), LONGEST_KEY);
        assert!(
            shown.starts_with("https://x") && shown.ends_with("x/last.pdf"),
            "{shown}"
        );
    }
}
