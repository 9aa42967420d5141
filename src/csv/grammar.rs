//! Where records and fields begin and end.
//!
//! The grammar is csv-core's, its strictest common reading: a quote opens a quoted field only at a
//! field's first byte, `""` inside stands for one quote, and what follows the closing quote belongs
//! to the field literally. What this file owns are the *boundaries*, which csv-core does not give:
//! its spans begin with the line feed of the previous CRLF, and a quote that is never closed
//! swallows the rest of the file without an error. Every byte of the input lies in exactly one
//! place here: the byte order mark, the line `sep=;` (`opening.rs`), a record, or the terminators and blank lines between records.
//!
//! Bytes on which programs disagree are refused rather than guessed at: a lone carriage return
//! outside quotes, a quote that is never closed, a NUL. The tests and the fuzz targets hold every
//! boundary against csv-core and the csv crate.

use std::borrow::Cow;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use memchr::{memchr, memchr2, memchr3};

use crate::csv::foreign;
use crate::domain::{MAX_FIELDS, MAX_RECORD_BYTES, Problem};
use crate::error::Error;
use crate::text::{BOM, Excerpt};

/// What stops the reading, and the byte at which it does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Malformed {
    pub(crate) offset: usize,
    pub(crate) problem: Problem,
}

impl Malformed {
    /// The same as an error about a file that holds these bytes.
    pub(crate) fn at(self, path: &Path, bytes: &[u8]) -> Error {
        let (line, column) = position(bytes, self.offset);
        Error::Malformed {
            path: path.to_owned(),
            line,
            column,
            problem: self.problem,
            excerpt: Excerpt::of(bytes, self.offset),
        }
    }
}

/// Refuses what no sheet may hold anywhere, in one pass at memory speed.
pub(crate) fn refuse_foreign_bytes(bytes: &[u8]) -> Result<(), Malformed> {
    let whole = |problem| Err(Malformed { offset: 0, problem });
    if foreign::is_utf16(bytes) {
        return whole(Problem::Utf16);
    }
    if let Some(kind) = foreign::kind(bytes) {
        return whole(Problem::NoCsv(kind));
    }
    match memchr(0, bytes) {
        Some(offset) => Err(Malformed {
            offset,
            problem: Problem::Nul,
        }),
        None => Ok(()),
    }
}

/// Reads one record after another. [`Records::fields`] are those of the record read last.
pub(crate) struct Records<'a> {
    bytes: &'a [u8],
    delimiter: u8,
    at: usize,
    fields: Vec<Range<usize>>,
}

impl<'a> Records<'a> {
    /// Reads from byte `at`, which is a record's first byte or lies before one, between records.
    pub(crate) fn new(bytes: &'a [u8], delimiter: u8, at: usize) -> Self {
        Records {
            bytes,
            delimiter,
            at,
            fields: Vec::new(),
        }
    }

    /// The raw bytes of each field, quotes included, as offsets from the start of the file.
    pub(crate) fn fields(&self) -> &[Range<usize>] {
        &self.fields
    }

    /// Where the next one is looked for.
    pub(crate) fn at(&self) -> usize {
        self.at
    }

    /// The next record without its terminator, or `None` at the end.
    pub(crate) fn next_span(&mut self) -> Result<Option<Range<usize>>, Malformed> {
        match self.next_plain() {
            Some(span) => Ok(Some(span)),
            None => self.next_record(),
        }
    }

    /// The next record if it is a plain one: it begins here, ends with a line feed, its quotes are
    /// where RFC 4180 puts them, and it is too short to have too many fields.
    fn next_plain(&mut self) -> Option<Range<usize>> {
        let (bytes, start) = (self.bytes, self.at);
        let mut at = start;
        let line_feed = loop {
            let found = at + memchr2(b'\n', b'"', &bytes[at..])?;
            if bytes[found] == b'\n' {
                break found;
            }
            if found != start && bytes[found - 1] != self.delimiter {
                return None;
            }
            at = quoted_end(bytes, found)?;
            let follows = *bytes.get(at)?;
            if follows != self.delimiter && follows != b'\n' && follows != b'\r' {
                return None;
            }
        };
        let end = match memchr(b'\r', &bytes[start..line_feed]) {
            None => line_feed,
            Some(end) if start + end + 1 == line_feed => start + end,
            Some(_) => return None,
        };
        if end == start || end - start >= MAX_FIELDS {
            return None;
        }
        self.at = line_feed + 1;
        Some(start..end)
    }

    /// The next record without its terminator, or `None` at the end.
    pub(crate) fn next_record(&mut self) -> Result<Option<Range<usize>>, Malformed> {
        self.skip_blank_lines()?;
        self.fields.clear();
        let start = self.at;
        if start == self.bytes.len() {
            return Ok(None);
        }
        loop {
            let field_start = self.at;
            let end = field_end(self.bytes, self.delimiter, field_start)?;
            if self.fields.len() == MAX_FIELDS {
                return Err(Malformed {
                    offset: field_start,
                    problem: Problem::TooManyFields,
                });
            }
            if end - start > MAX_RECORD_BYTES {
                return Err(Malformed {
                    offset: start,
                    problem: Problem::RecordTooLong,
                });
            }
            self.fields.push(field_start..end);
            match self.bytes.get(end) {
                Some(&byte) if byte == self.delimiter => self.at = end + 1,
                _ => {
                    self.at = end;
                    self.skip_terminator()?;
                    return Ok(Some(start..end));
                }
            }
        }
    }

    fn skip_terminator(&mut self) -> Result<(), Malformed> {
        match self.bytes.get(self.at) {
            Some(b'\n') => self.at += 1,
            Some(b'\r') if self.bytes.get(self.at + 1) == Some(&b'\n') => self.at += 2,
            Some(b'\r') => {
                return Err(Malformed {
                    offset: self.at,
                    problem: Problem::LoneCarriageReturn,
                });
            }
            _ => {}
        }
        Ok(())
    }

    fn skip_blank_lines(&mut self) -> Result<(), Malformed> {
        while matches!(self.bytes.get(self.at), Some(b'\n' | b'\r')) {
            self.skip_terminator()?;
        }
        Ok(())
    }
}

/// Where the field that starts here ends: at a delimiter, a terminator or the end of the file.
fn field_end(bytes: &[u8], delimiter: u8, start: usize) -> Result<usize, Malformed> {
    let mut at = start;
    if bytes.get(start) == Some(&b'"') {
        at = quoted_end(bytes, start).ok_or(Malformed {
            offset: start,
            problem: Problem::UnterminatedQuote,
        })?;
    }
    Ok(memchr3(delimiter, b'\n', b'\r', &bytes[at..]).map_or(bytes.len(), |found| at + found))
}

/// Behind the quote that closes the one which stands here; `None` if there is none.
fn quoted_end(bytes: &[u8], open: usize) -> Option<usize> {
    let mut at = open + 1;
    loop {
        at += memchr(b'"', &bytes[at..])? + 1;
        if bytes.get(at) != Some(&b'"') {
            return Some(at);
        }
        at += 1;
    }
}

/// Where one field lies of the record that begins at `start`, which has been read before.
pub(crate) fn nth_field(
    bytes: &[u8],
    delimiter: u8,
    start: usize,
    column: usize,
) -> Option<Range<usize>> {
    let mut at = start;
    for _ in 0..column {
        let end = field_end(bytes, delimiter, at).ok()?;
        if bytes.get(end) != Some(&delimiter) {
            return None;
        }
        at = end + 1;
    }
    Some(at..field_end(bytes, delimiter, at).ok()?)
}

/// What a reader of the CSV sees in a raw field.
pub(crate) fn decode(raw: &[u8]) -> Cow<'_, [u8]> {
    let Some(opened) = raw.strip_prefix(b"\"") else {
        return Cow::Borrowed(raw);
    };
    if let Some(inner) = opened.strip_suffix(b"\"")
        && memchr(b'"', inner).is_none()
    {
        return Cow::Borrowed(inner);
    }
    // The delimiter is irrelevant inside one field, so one that it cannot hold outside quotes, where
    // the boundary would have been, and a terminator that no file holds serve for all dialects.
    // Building a reader takes a hundred times as long as copying one and reading a field.
    static READER: LazyLock<csv_core::Reader> = LazyLock::new(|| {
        csv_core::ReaderBuilder::new()
            .delimiter(0)
            .terminator(csv_core::Terminator::Any(0))
            .nfa(true)
            .build()
    });
    let mut reader = READER.clone();
    let mut output = vec![0; raw.len()];
    let (_, _, written) = reader.read_field(raw, &mut output);
    output.truncate(written);
    Cow::Owned(output)
}

/// A value as a raw field: quoted where RFC 4180 needs it, or where the cell was quoted before.
pub(crate) fn encode(value: &[u8], delimiter: u8, quoted: bool, out: &mut Vec<u8>) {
    let needs_quotes = quoted
        || memchr3(b'"', b'\n', b'\r', value).is_some()
        || memchr(delimiter, value).is_some();
    if !needs_quotes {
        return out.extend_from_slice(value);
    }
    out.push(b'"');
    for (i, part) in value.split(|&byte| byte == b'"').enumerate() {
        if i > 0 {
            out.extend_from_slice(b"\"\"");
        }
        out.extend_from_slice(part);
    }
    out.push(b'"');
}

/// 1-based line, and 1-based byte within it, of an offset. Lines end with a line feed, inside
/// quotes as well, as editors count them.
pub(crate) fn position(bytes: &[u8], offset: usize) -> (u64, u64) {
    let before = &bytes[..offset];
    let line = count_lines(before) + 1;
    let line_start = memchr::memrchr(b'\n', before).map_or(0, |at| at + 1);
    let bom = if line_start == 0 && bytes.starts_with(BOM) {
        BOM.len().min(offset)
    } else {
        0
    };
    (line, (offset - line_start - bom) as u64 + 1)
}

pub(crate) fn count_lines(bytes: &[u8]) -> u64 {
    memchr::memchr_iter(b'\n', bytes).count() as u64
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Table = Vec<Vec<Vec<u8>>>;

    fn ours(bytes: &[u8], delimiter: u8) -> Result<Table, Malformed> {
        refuse_foreign_bytes(bytes)?;
        let start = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
        let mut records = Records::new(bytes, delimiter, start);
        let mut table = Table::new();
        let mut covered = start;
        while let Some(span) = records.next_record()? {
            assert!(
                bytes[covered..span.start]
                    .iter()
                    .all(|b| b"\r\n".contains(b)),
                "a byte lies in no record"
            );
            assert_eq!(records.fields()[0].start, span.start);
            assert_eq!(records.fields().last().unwrap().end, span.end);
            table.push(
                records
                    .fields()
                    .iter()
                    .map(|f| decode(&bytes[f.clone()]).into_owned())
                    .collect(),
            );
            covered = span.end;
        }
        assert!(
            bytes[covered..].iter().all(|b| b"\r\n".contains(b)),
            "a byte lies in no record"
        );
        Ok(table)
    }

    fn csv_crate(bytes: &[u8], delimiter: u8) -> Table {
        csv::ReaderBuilder::new()
            .has_headers(false)
            .flexible(true)
            .delimiter(delimiter)
            .from_reader(bytes)
            .byte_records()
            .map(|record| record.unwrap().iter().map(<[u8]>::to_vec).collect())
            .collect()
    }

    #[track_caller]
    fn check(input: &str) {
        assert_eq!(
            ours(input.as_bytes(), b';').unwrap(),
            csv_crate(input.as_bytes(), b';'),
            "{input:?}"
        );
    }

    #[test]
    fn records_are_those_of_the_csv_crate() {
        check("");
        check("a;b\nc;d\n");
        check("a;b\r\nc;d\r\n\r\n\n;;\n");
        check("\n\n\"a\nb\";\"c\"\"d\"\r\n\"\";x");
        check("\u{feff}\"a;\r\";b\n");
        check("a\"b\"\";c\n\"a\"b\"c\";d\n\"a\" ;\"\"\n");
        check(";\n;");
    }

    #[track_caller]
    fn check_refused(input: &[u8], problem: Problem, position_wanted: (u64, u64)) {
        let malformed = ours(input, b';').unwrap_err();
        assert_eq!(malformed.problem, problem);
        assert_eq!(position(input, malformed.offset), position_wanted);
    }

    #[test]
    fn bytes_that_programs_read_differently_are_refused_where_they_stand() {
        check_refused(b"a;b\nc;\"d\ne;f\n", Problem::UnterminatedQuote, (2, 3));
        check_refused(b"a\rb\r", Problem::LoneCarriageReturn, (1, 2));
        check_refused(b"a\n\rb", Problem::LoneCarriageReturn, (2, 1));
        check_refused(b"\xef\xbb\xbfa\r", Problem::LoneCarriageReturn, (1, 2));
        check_refused(b"a\nb;\0\n", Problem::Nul, (2, 3));
        check_refused(b"\xff\xfea\0", Problem::Utf16, (1, 1));
    }

    #[test]
    fn fields_and_bytes_of_a_row_are_limited() {
        check_refused(
            &[b';'; MAX_FIELDS + 1],
            Problem::TooManyFields,
            (1, MAX_FIELDS as u64 + 1),
        );
        let long = [b"a\n".as_slice(), &vec![b'x'; MAX_RECORD_BYTES + 1]].concat();
        check_refused(&long, Problem::RecordTooLong, (2, 1));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused_or_read_as_the_csv_crate_reads_them(
            input in prop::collection::vec(prop::sample::select(b"a\";,\n\r\t b\xef".to_vec()), 0..40),
            delimiter in prop::sample::select(b";,\t".to_vec()),
        ) {
            if let Ok(table) = ours(&input, delimiter) {
                prop_assert_eq!(table, csv_crate(&input, delimiter));
            }
        }

        #[test]
        fn a_record_that_is_not_split_is_the_same_record(
            input in prop::collection::vec(prop::sample::select(b"a\";\n\r\n; b".to_vec()), 0..40),
        ) {
            let mut split = Records::new(&input, b';', 0);
            let mut unsplit = Records::new(&input, b';', 0);
            loop {
                let (wanted, found) = (split.next_record(), unsplit.next_span());
                prop_assert_eq!(&found, &wanted);
                let Ok(Some(_)) = found else { break };
            }
        }

        #[test]
        fn an_encoded_value_is_read_back(value in "[a\";,\n\r é]{0,12}", quoted: bool) {
            let mut raw = Vec::new();
            encode(value.as_bytes(), b';', quoted, &mut raw);
            prop_assert_eq!(&*decode(&raw), value.as_bytes());
            let line = [b"x;".as_slice(), &raw, b";y\n"].concat();
            prop_assert_eq!(csv_crate(&line, b';'), [[b"x".to_vec(), value.into_bytes(), b"y".to_vec()]]);
        }
    }
}
