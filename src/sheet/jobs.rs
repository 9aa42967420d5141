//! Jobs from a stream, one a line, as a sheet with one column.
//!
//! The stream is read a job at a time and only the sheet is kept. A job's text is its cell, byte for byte: what
//! no cell may hold is refused, and with it the whole list. Of jobs with the same key the first is taken.

use std::io::{self, BufRead};
use std::path::Path;

use memchr::memchr;

use crate::csv::Malformed;
use crate::disk::Snapshot;
use crate::domain::columns::same_column;
use crate::domain::{Encoding, MAX_VALUE_CHARS, Problem, key_in};
use crate::error::{Error, Result};
use crate::sheet::options::{Duplicates, Options};
use crate::sheet::table::Sheet;
use crate::text::{BOM, Excerpt};

/// The delimiter of a sheet that needs none.
const DELIMITER: u8 = b';';
/// So many bytes are more than the longest job's, whatever characters it has and whatever ends it.
const MAX_READ: u64 = 4 * MAX_VALUE_CHARS as u64 + 8;

/// What ends a job in a stream. The last one may go without.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum JobEnd {
    /// A line feed, or a carriage return and a line feed.
    Line,
    /// A NUL byte; line ends belong to the job.
    Nul,
}

/// Jobs from a stream, as a sheet that no file holds, and what was not taken as it stood.
pub struct JobList {
    /// A row for each job.
    pub sheet: Sheet,
    /// Jobs without a text, or with blanks and control characters only: they were dropped.
    pub blank: usize,
    /// Jobs whose key an earlier one has: they were dropped.
    pub repeated: usize,
    /// Carriage returns that belonged to a line's end: they were dropped.
    pub carriage_returns: usize,
    /// Jobs with blanks around them. The cell has them, the key does not.
    pub padded: usize,
}

impl JobList {
    /// Reads a stream to its end. `name` says in errors what it is, and the options name the one key column.
    ///
    /// # Errors
    /// [`Error::Malformed`] with the job's number as the line if one is not UTF-8, holds a NUL byte, is longer
    /// than [`MAX_VALUE_CHARS`], or has a letter that the sheet's encoding lacks; [`Error::NoKeyColumn`] if there
    /// are several key columns; [`Error::Io`].
    pub fn read(
        mut from: impl BufRead,
        end: JobEnd,
        name: impl AsRef<Path>,
        options: &Options,
    ) -> Result<JobList> {
        let name = name.as_ref();
        let delimiter = options.delimiter.unwrap_or(DELIMITER);
        let options = Options {
            delimiter: Some(delimiter),
            duplicates: Duplicates::All,
            ..options.clone()
        };
        let mut bytes = Vec::new();
        let encoding = options.encoding;
        encoding.write(&options.key.names()[0], delimiter, false, &mut bytes);
        bytes.push(b'\n');
        let (mut blank, mut carriage_returns, mut padded) = (0, 0, 0);
        let mut job = Vec::new();
        for number in 1.. {
            let is_there = next(&mut from, end, &mut job).map_err(Error::io("read", name))?;
            if !is_there {
                break;
            }
            if end == JobEnd::Line {
                if number == 1 && job.starts_with(BOM) {
                    job.drain(..BOM.len());
                }
                if job.ends_with(b"\r") {
                    job.pop();
                    carriage_returns += 1;
                }
            }
            let text =
                text_of(&job, encoding).map_err(|malformed| at(malformed, name, number, &job))?;
            if end == JobEnd::Line && number == 1 && is_header(text, &options.key.names()[0]) {
                return Err(Error::Unsuitable {
                    path: name.to_owned(),
                    problem: "begins like a CSV, with the key among other columns, and is read as jobs, one a line: save it as a file, and name that instead of -".into(),
                });
            }
            match key_in(text) {
                "" => blank += 1,
                key => {
                    padded += usize::from(key.len() < text.len());
                    encoding.write(text, delimiter, false, &mut bytes);
                    bytes.push(b'\n');
                }
            }
        }
        let mut sheet = Sheet::build(Snapshot::Owned(bytes), name, &options)?;
        let jobs = sheet.len();
        if sheet.has_repeated() {
            let firsts = Snapshot::Owned(without_repeated(&sheet));
            sheet = Sheet::build(firsts, name, &options)?;
        }
        Ok(JobList {
            blank,
            repeated: jobs - sheet.len(),
            carriage_returns,
            padded,
            sheet: sheet.without_file(),
        })
    }
}

/// Whether a text is like the header of a sheet of several columns, one of which is this.
fn is_header(text: &str, key: &str) -> bool {
    [',', ';', '\t', '|'].iter().any(|&delimiter| {
        let mut names = text.split(delimiter);
        text.contains(delimiter)
            && names.any(|name| same_column(name.trim().trim_matches('"'), key))
    })
}

/// Reads the next job without its end, or as much of it as shows that it is too long; `false` if there is none.
fn next(from: impl BufRead, end: JobEnd, job: &mut Vec<u8>) -> io::Result<bool> {
    let end = match end {
        JobEnd::Line => b'\n',
        JobEnd::Nul => 0,
    };
    job.clear();
    let length = from.take(MAX_READ).read_until(end, job)?;
    if job.last() == Some(&end) {
        job.pop();
    }
    Ok(length > 0)
}

fn text_of(job: &[u8], encoding: Encoding) -> std::result::Result<&str, Malformed> {
    let malformed = |offset, problem| Err(Malformed { offset, problem });
    if let Some(offset) = memchr(0, job) {
        return malformed(offset, Problem::NulInJob);
    }
    let (text, is_whole) = match std::str::from_utf8(job) {
        Ok(text) => (text, true),
        Err(error) => {
            let valid = &job[..error.valid_up_to()];
            (std::str::from_utf8(valid).unwrap_or_default(), false)
        }
    };
    if let Some((offset, _)) = text.char_indices().nth(MAX_VALUE_CHARS) {
        return malformed(offset, Problem::JobTooLong);
    }
    if !is_whole {
        return malformed(text.len(), Problem::JobNotUtf8);
    }
    match encoding.lacks(text).and_then(|letter| text.find(letter)) {
        None => Ok(text),
        Some(at) => malformed(at, Problem::JobNotWritable(encoding.name())),
    }
}

fn at(malformed: Malformed, name: &Path, number: u64, job: &[u8]) -> Error {
    Error::Malformed {
        path: name.to_owned(),
        line: number,
        column: malformed.offset as u64 + 1,
        problem: malformed.problem,
        excerpt: Excerpt::of(job, malformed.offset),
    }
}

/// The sheet's bytes without the rows whose key an earlier one has.
fn without_repeated(sheet: &Sheet) -> Vec<u8> {
    let mut bytes = sheet.bytes()[..sheet.dialect().header_end].to_vec();
    bytes.push(b'\n');
    for row in sheet.all_rows() {
        if sheet.rows(&sheet.key(row)).next() == Some(row) {
            bytes.extend_from_slice(&sheet.bytes()[sheet.base_span(row)]);
            bytes.push(b'\n');
        }
    }
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;

    fn options() -> Options {
        Options {
            key: "url".into(),
            ..Options::default()
        }
    }

    fn read(list: impl AsRef<[u8]>, end: JobEnd) -> Result<JobList> {
        JobList::read(list.as_ref(), end, "standard input", &options())
    }

    #[track_caller]
    fn check(list: &str, end: JobEnd, sheet: &str) -> JobList {
        let read = read(list, end).unwrap();
        assert_eq!(std::str::from_utf8(read.sheet.bytes()).unwrap(), sheet);
        read
    }

    #[test]
    fn each_line_is_a_row_of_a_sheet_with_one_column() {
        check("a\nb\n", JobEnd::Line, "url\na\nb\n");
        check("a\nb", JobEnd::Line, "url\na\nb\n");
        check("", JobEnd::Line, "url\n");
        check("a\0b\nc\0", JobEnd::Nul, "url\na\n\"b\nc\"\n");
    }

    #[test]
    fn what_the_dialect_could_take_for_something_else_is_quoted() {
        let list = "a;b\n\"a\"\na,b\n a\u{a0}b \nx\ry\n";
        let csv = "url\n\"a;b\"\n\"\"\"a\"\"\"\na,b\n a\u{a0}b \n\"x\ry\"\n";
        let read = check(list, JobEnd::Line, csv);
        let keys: Vec<String> = read.sheet.pending_pos().collect();
        assert_eq!(keys, ["a;b", "\"a\"", "a,b", "a\u{a0}b", "x\ry"]);
        assert_eq!(read.padded, 1);
    }

    #[test]
    fn the_header_and_the_rows_have_the_delimiter_that_is_asked_for() {
        let options = Options {
            key: " a,b ".into(),
            delimiter: Some(b','),
            ..Options::default()
        };
        let read = JobList::read(&b"1,2\n1;2\n"[..], JobEnd::Line, "list", &options).unwrap();
        assert_eq!(read.sheet.bytes(), b"\"a,b\"\n\"1,2\"\n1;2\n");
    }

    #[test]
    fn blank_lines_carriage_returns_and_repeated_lines_are_dropped_and_counted() {
        let list = "\u{feff}a\r\n\r\n \nb\n a \nb\r\nc\n";
        let read = check(list, JobEnd::Line, "url\na\nb\nc\n");
        assert_eq!(
            (read.blank, read.carriage_returns, read.repeated),
            (2, 3, 2)
        );
        let read = check("a\r\0\0a\0", JobEnd::Nul, "url\n\"a\r\"\n");
        assert_eq!(
            (read.blank, read.carriage_returns, read.repeated),
            (1, 0, 1)
        );
    }

    #[track_caller]
    fn check_refused(list: impl AsRef<[u8]>, end: JobEnd, message: &str) {
        let error = read(list, end).err().unwrap();
        assert_eq!(error.to_string(), message);
    }

    #[test]
    fn what_no_cell_may_hold_is_refused_with_its_number() {
        check_refused(
            b"a\n\nb\xe9\n",
            JobEnd::Line,
            "standard input:3:2: a job must be UTF-8",
        );
        check_refused(
            b"a\0b\xe9",
            JobEnd::Nul,
            "standard input:2:2: a job must be UTF-8",
        );
        check_refused(
            "a\nb\0c\0",
            JobEnd::Line,
            "standard input:2:2: a NUL byte in a line",
        );
    }

    #[test]
    fn a_job_is_as_long_as_a_cell_may_be() {
        for character in ["a", "é", "𝄞"] {
            let longest = character.repeat(MAX_VALUE_CHARS);
            check(
                &format!("{longest}\r\n"),
                JobEnd::Line,
                &format!("url\n{longest}\n"),
            );
            for more in ["b", "bbbbbbbbb"] {
                check_refused(
                    format!("x\n{longest}{more}"),
                    JobEnd::Line,
                    &format!(
                        "standard input:2:{}: a job of more than 32767 characters",
                        longest.len() + 1
                    ),
                );
            }
        }
    }

    #[test]
    fn of_a_line_without_an_end_no_more_is_read_than_shows_it() {
        let error = JobList::read(
            std::io::BufReader::new(std::io::repeat(b'a')),
            JobEnd::Line,
            "list",
            &options(),
        );
        assert!(matches!(error, Err(Error::Malformed { line: 1, .. })));
    }
}
