//! How many records a CSV holds, read once from start to end in constant memory.
//!
//! What is a record depends on the delimiter: a quote opens a quoted field, which may hold line
//! breaks, only at the start of a field. So the header is looked at first.

use std::io::{self, BufRead, BufReader, Read};

use csv_core::{ReadRecordResult, Reader, ReaderBuilder};

use crate::csv::Opening;
use crate::domain::columns::{PO_NUMBER, same_column};

/// How much is read at once, and how far the end of the header is looked for.
const CHUNK_BYTES: usize = 1 << 16;

/// Counts the records, the header and blank lines left out.
pub(super) fn records(mut csv: impl Read) -> io::Result<usize> {
    let mut start = Vec::new();
    csv.by_ref()
        .take(CHUNK_BYTES as u64)
        .read_to_end(&mut start)?;
    let opening = Opening::of(&start);
    start.drain(..opening.end);
    let delimiter = opening.delimiter.unwrap_or_else(|| guess_delimiter(&start));
    let mut csv = BufReader::with_capacity(CHUNK_BYTES, start.chain(csv));
    let mut reader = ReaderBuilder::new().delimiter(delimiter).build();
    let mut count = 0_usize;
    loop {
        let input = match csv.fill_buf() {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            input => input?,
        };
        let at_end = input.is_empty();
        let (read, records) = feed(&mut reader, input);
        count += records;
        csv.consume(read);
        if at_end {
            return Ok(count.saturating_sub(1));
        }
    }
}

/// Takes in all of the input; empty input means the end. The fields themselves go nowhere.
fn feed(reader: &mut Reader, input: &[u8]) -> (usize, usize) {
    let (mut fields, mut ends) = ([0; 4096], [0; 256]);
    let (mut read, mut records) = (0, 0);
    loop {
        let (result, taken, _, _) = reader.read_record(&input[read..], &mut fields, &mut ends);
        read += taken;
        match result {
            ReadRecordResult::Record => records += 1,
            ReadRecordResult::InputEmpty | ReadRecordResult::End => return (read, records),
            ReadRecordResult::OutputFull | ReadRecordResult::OutputEndsFull => {}
        }
        if read == input.len() && !input.is_empty() {
            return (read, records);
        }
    }
}

/// The delimiter with which the first line has the usual key column, or else the most frequent.
fn guess_delimiter(start: &[u8]) -> u8 {
    const CANDIDATES: [u8; 3] = *b";,\t";
    let header = start
        .split(|byte| matches!(byte, b'\r' | b'\n'))
        .find(|line| !line.is_empty());
    let header = String::from_utf8_lossy(header.unwrap_or_default());
    let has_key = |delimiter: u8| {
        header
            .split(char::from(delimiter))
            .any(|field| same_column(field.trim().trim_matches('"'), PO_NUMBER))
    };
    let frequency = |delimiter: u8| header.bytes().filter(|&byte| byte == delimiter).count();
    CANDIDATES
        .into_iter()
        .find(|&delimiter| has_key(delimiter))
        .unwrap_or_else(|| {
            let by_frequency = CANDIDATES
                .into_iter()
                .rev()
                .max_by_key(|&delimiter| frequency(delimiter));
            by_frequency.expect("there are three candidates")
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Hands out a few bytes at a time.
    struct Trickle<'a>(&'a [u8], usize);

    impl Read for Trickle<'_> {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            let few = buffer.len().min(self.1);
            self.0.read(&mut buffer[..few])
        }
    }

    #[track_caller]
    fn check(csv: &str, want: usize) {
        assert_eq!(records(csv.as_bytes()).unwrap(), want, "{csv:?}");
        for few in [1, 2, 3, 7] {
            assert_eq!(
                records(Trickle(csv.as_bytes(), few)).unwrap(),
                want,
                "{csv:?}"
            );
        }
    }

    #[test]
    fn the_header_and_blank_lines_do_not_count() {
        check("", 0);
        check("PO_NUMBER\n", 0);
        check("PO_NUMBER;STATUS\nP1;\n\r\nP2;\n\n", 2);
        check("PO_NUMBER;STATUS\r\n;\r\nP2", 2);
    }

    #[test]
    fn line_breaks_within_quotes_do_not_count_with_any_delimiter() {
        check("PO_NUMBER;A, B, C\nP1;\"x\ny\"\n", 1);
        check("a,po_number\n\"x\ny\",P1\nz,\"x\n\ny\"\n", 2);
        check("\u{feff}\"PO_NUMBER\"\t\"A\"\r\n\"P1\"\t\"x\r\ny\"\r\n", 1);
        check("Key,Other\nP1,\"x\ny\"\n", 1);
    }

    #[test]
    fn a_line_that_names_the_delimiter_does_not_count() {
        check("sep=;\r\nPO_NUMBER;STATUS\r\nP1;\r\n", 1);
        check("\u{feff}sep=|\nK|L;M;N\nP1|\"x\ny\"\n", 1);
    }

    #[test]
    fn a_quote_within_a_field_is_only_a_character() {
        check("PO_NUMBER;SUPPLIER\nP1;5\" pipe\nP2;x\n", 2);
    }

    #[test]
    fn long_fields_and_many_fields_are_one_record() {
        check(
            &format!(
                "PO_NUMBER;A\nP1;{}\nP2;\"{}\"\n",
                ";".repeat(5000),
                "x\n".repeat(50_000)
            ),
            2,
        );
    }

    #[test]
    fn the_csv_crate_counts_the_same_in_the_sample_sheets() {
        let samples = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
        let samples = std::fs::read_dir(samples).unwrap();
        let samples = samples.map(|sample| sample.unwrap().path());
        for sample in samples.filter(|sample| sample.is_file()) {
            let bytes = std::fs::read(sample).unwrap();
            let want = csv::ReaderBuilder::new()
                .delimiter(guess_delimiter(&bytes))
                .flexible(true)
                .from_reader(bytes.as_slice())
                .byte_records()
                .count();
            assert_eq!(records(bytes.as_slice()).unwrap(), want);
        }
    }
}
