//! Every record of a sheet, in one pass at memory speed.
//!
//! 64 bytes at a time become bit masks: where quotes, delimiters and line ends are. A byte lies inside
//! quotes if the quotes before it are odd in number, which a prefix XOR tells of all 64 at once (after
//! Langdale and Lemire, "Parsing Gigabytes of JSON per Second", VLDB Journal 28, 2019). What is left
//! over outside quotes are the ends of fields and records.
//!
//! That holds as long as every quote is where RFC 4180 has it. What is anything else, a quote or a
//! carriage return out of its place, a NUL, a row beyond the limits, the last row without a line end,
//! is not judged here: `grammar.rs` reads that record, and the pass goes on behind it.

use std::ops::Range;

use memchr::memchr;
use smallvec::SmallVec;
use wide::u8x16;

use crate::csv::grammar::{Malformed, Records, count_lines};
use crate::domain::{MAX_FIELDS, MAX_RECORD_BYTES, Problem};

const BLOCK: usize = 64;
/// So many fields of a record need no second allocation.
const USUAL_FIELDS: usize = 16;

/// What is looked for.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Plan {
    pub(crate) delimiter: u8,
    /// How many of a record's first fields.
    pub(crate) columns: usize,
    /// No record that begins at this byte or behind it.
    pub(crate) upto: usize,
}

/// A record as the pass comes by it.
pub(crate) struct Record<'r> {
    /// Its first byte.
    pub(crate) start: usize,
    /// Line feeds between where the pass began and `start`.
    pub(crate) line: u64,
    /// Where its fields end, as far as they are looked for.
    ends: &'r [usize],
}

impl Record<'_> {
    /// The raw bytes of a field, quotes included, as offsets from the start of the file.
    pub(crate) fn field(&self, column: usize) -> Option<Range<usize>> {
        let start = match column {
            0 => self.start,
            _ => self.ends.get(column - 1)? + 1,
        };
        Some(start..*self.ends.get(column)?)
    }
}

/// Where a pass ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct End {
    /// Behind the line end of the last record or blank line before [`Plan::upto`].
    pub(crate) at: usize,
    /// Line feeds between where the pass began and there.
    pub(crate) line: u64,
}

/// Shows `each` all records from byte `from` on, which is a record's first byte or lies before one,
/// between records. Ends early with the first that is malformed, or at which `each` says so.
pub(crate) fn scan(
    bytes: &[u8],
    from: usize,
    plan: Plan,
    mut each: impl FnMut(&Record<'_>) -> Result<(), Malformed>,
) -> Result<End, Malformed> {
    let mut scan = Scan {
        bytes,
        plan,
        start: from,
        line: 0,
        ends: Vec::with_capacity(plan.columns.min(USUAL_FIELDS)),
    };
    while scan.start < plan.upto.min(bytes.len()) {
        scan.read_plain(&mut each)?;
        if scan.start < plan.upto && !scan.read_odd(&mut each)? {
            break;
        }
    }
    Ok(End {
        at: scan.start,
        line: scan.line,
    })
}

/// Raw fields, quotes included, as offsets from the start of the file.
pub(crate) type Fields = SmallVec<[Range<usize>; USUAL_FIELDS]>;

/// The fields of the record that begins at a byte; `None` if none does.
pub(crate) fn fields_at(
    bytes: &[u8],
    delimiter: u8,
    start: usize,
) -> Result<Option<Fields>, Malformed> {
    let mut found = None;
    let plan = Plan {
        delimiter,
        columns: usize::MAX,
        upto: start + 1,
    };
    scan(bytes, start, plan, |record| {
        let mut start = record.start;
        let field = |&end: &usize| std::mem::replace(&mut start, end + 1)..end;
        found = Some(record.ends.iter().map(field).collect());
        Ok(())
    })?;
    Ok(found)
}

struct Scan<'a> {
    bytes: &'a [u8],
    plan: Plan,
    /// Where the next record begins, or blank lines before it.
    start: usize,
    /// Line feeds between where the pass began and `start`.
    line: u64,
    /// Where the fields end that were found in it so far.
    ends: Vec<usize>,
}

impl Scan<'_> {
    /// Reads records up to the first that is not plain, or the end.
    fn read_plain(
        &mut self,
        each: &mut impl FnMut(&Record<'_>) -> Result<(), Malformed>,
    ) -> Result<(), Malformed> {
        let mut before = Before::A_RECORD;
        // Line feeds in the quoted cells of the record that was begun.
        let mut quoted_lines = 0;
        self.ends.clear();
        for base in (self.start..self.bytes.len()).step_by(BLOCK) {
            let masks = match self.bytes[base..].first_chunk() {
                Some(block) => Masks::of(block, self.plan.delimiter),
                None => {
                    let mut block = [b'\n'; BLOCK];
                    let rest = &self.bytes[base..];
                    block[..rest.len()].copy_from_slice(rest);
                    Masks::of(&block, self.plan.delimiter)
                }
            };
            let (structural, odd) = masks.structure(&mut before);
            let ends = structural & below_lowest(odd);
            let mut quoted = masks.line_feeds & !structural;
            let mut left = match self.ends.len() < self.plan.columns {
                true => ends,
                false => ends & masks.line_feeds,
            };
            while left != 0 {
                let bit = left.trailing_zeros();
                let at = base + bit as usize;
                if masks.line_feeds >> bit & 1 == 0 {
                    self.ends.push(at);
                    left &= left - 1;
                    if self.ends.len() == self.plan.columns {
                        left &= masks.line_feeds;
                    }
                    continue;
                }
                if at >= self.bytes.len() || self.is_long(at) {
                    return Ok(());
                }
                let ends_with_return = at > self.start && self.bytes[at - 1] == b'\r';
                let end = at - usize::from(ends_with_return);
                if end > self.start {
                    if self.ends.len() < self.plan.columns {
                        self.ends.push(end);
                    }
                    each(&Record {
                        start: self.start,
                        line: self.line,
                        ends: &self.ends,
                    })?;
                    self.ends.clear();
                }
                self.start = at + 1;
                let upto_here = u64::MAX >> (63 - bit);
                if quoted != 0 {
                    quoted_lines += u64::from((quoted & upto_here).count_ones());
                    quoted &= !upto_here;
                }
                self.line += 1 + std::mem::take(&mut quoted_lines);
                if self.start >= self.plan.upto {
                    return Ok(());
                }
                left = ends & !upto_here;
            }
            if odd != 0 || self.is_long(base) {
                return Ok(());
            }
            if quoted != 0 {
                quoted_lines += u64::from(quoted.count_ones());
            }
        }
        Ok(())
    }

    /// Whether the record that goes on here may be beyond the limits. One of so many bytes may have
    /// that many fields.
    fn is_long(&self, at: usize) -> bool {
        const { assert!(MAX_FIELDS < MAX_RECORD_BYTES) };
        at.saturating_sub(self.start) >= MAX_FIELDS
    }

    /// Reads one record, whatever it is; `false` if there is none.
    fn read_odd(
        &mut self,
        each: &mut impl FnMut(&Record<'_>) -> Result<(), Malformed>,
    ) -> Result<bool, Malformed> {
        let mut records = Records::new(self.bytes, self.plan.delimiter, self.start);
        let read = records.next_record();
        let upto = match &read {
            Ok(_) => records.at(),
            Err(_) => self.bytes.len(),
        };
        if let Some(nul) = memchr(0, &self.bytes[self.start..upto]) {
            return Err(Malformed {
                offset: self.start + nul,
                problem: Problem::Nul,
            });
        }
        let Some(span) = read? else {
            return Ok(false);
        };
        self.line += count_lines(&self.bytes[self.start..span.start]);
        self.start = span.start;
        if span.start >= self.plan.upto {
            return Ok(true);
        }
        self.ends.clear();
        let fields = records.fields().iter().take(self.plan.columns);
        self.ends.extend(fields.map(|field| field.end));
        each(&Record {
            start: span.start,
            line: self.line,
            ends: &self.ends,
        })?;
        self.line += count_lines(&self.bytes[span.start..upto]);
        self.start = upto;
        Ok(true)
    }
}

/// Which of 64 bytes are what; the first byte is the lowest bit.
struct Masks {
    quotes: u64,
    delimiters: u64,
    line_feeds: u64,
    returns: u64,
    nuls: u64,
}

impl Masks {
    #[inline]
    fn of(block: &[u8; BLOCK], delimiter: u8) -> Masks {
        let (lanes, _) = block.as_chunks::<16>();
        let lanes: [u8x16; 4] = std::array::from_fn(|lane| u8x16::new(lanes[lane]));
        let equal = |byte: u8| lanes.map(|lane| lane.simd_eq(u8x16::splat(byte)));
        let bits = |lanes: [u8x16; 4]| {
            let bits = |lane: usize| u64::from(lanes[lane].to_bitmask());
            bits(0) | bits(1) << 16 | bits(2) << 32 | bits(3) << 48
        };
        let (returns, nuls) = (equal(b'\r'), equal(0));
        let pair = |lane: usize| returns[lane] | nuls[lane];
        let has_rare = (pair(0) | pair(1) | pair(2) | pair(3)).to_bitmask() != 0;
        let (returns, nuls) = match has_rare {
            true => (bits(returns), bits(nuls)),
            false => (0, 0),
        };
        Masks {
            quotes: bits(equal(b'"')),
            delimiters: bits(equal(delimiter)),
            line_feeds: bits(equal(b'\n')),
            returns,
            nuls,
        }
    }

    /// The ends of fields and records, as far as everything is in its place, and what is not.
    #[inline]
    fn structure(&self, before: &mut Before) -> (u64, u64) {
        let inside = parity(self.quotes) ^ before.inside;
        let opening = self.quotes & inside;
        let closing = self.quotes & !inside;
        let returns = self.returns & !inside;
        let ends = self.delimiters | self.line_feeds;
        // A quote opens where a field begins, or once more behind the one that seemed to close it.
        let misplaced = opening & !((ends | self.quotes) << 1 | before.may_open);
        let text_behind_quote =
            (closing << 1 | before.closing) & !(ends | self.returns | self.quotes);
        let lone_return = (returns << 1 | before.returns) & !self.line_feeds;
        *before = Before {
            inside: ((inside as i64) >> 63) as u64,
            may_open: (ends | self.quotes) >> 63,
            closing: closing >> 63,
            returns: returns >> 63,
        };
        (
            ends & !inside,
            misplaced | text_behind_quote | lone_return | self.nuls,
        )
    }
}

/// What a block has to know of the byte before it.
struct Before {
    /// All ones if it is inside quotes.
    inside: u64,
    /// The lowest bit says whether a quote may open behind it; whether it is a closing quote; whether
    /// it is a carriage return.
    may_open: u64,
    closing: u64,
    returns: u64,
}

impl Before {
    const A_RECORD: Before = Before {
        inside: 0,
        may_open: 1,
        closing: 0,
        returns: 0,
    };
}

/// Each bit becomes the parity of itself and those below it.
fn parity(mut bits: u64) -> u64 {
    for shift in [1, 2, 4, 8, 16, 32] {
        bits ^= bits << shift;
    }
    bits
}

/// The bits below the lowest one that is set; all, if none is.
fn below_lowest(bits: u64) -> u64 {
    (bits & bits.wrapping_neg()).wrapping_sub(1)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    type Found = Vec<(usize, u64, Vec<Range<usize>>)>;

    fn scanned(bytes: &[u8], delimiter: u8) -> (Found, Result<(), Malformed>) {
        let mut found = Found::new();
        let plan = Plan {
            delimiter,
            columns: usize::MAX,
            upto: usize::MAX,
        };
        let ended = scan(bytes, 0, plan, |record| {
            let fields = (0..).map_while(|column| record.field(column)).collect();
            found.push((record.start, record.line, fields));
            Ok(())
        });
        (found, ended.map(drop))
    }

    fn read(bytes: &[u8], delimiter: u8) -> (Found, Result<(), Malformed>) {
        let mut found = Found::new();
        let mut records = Records::new(bytes, delimiter, 0);
        loop {
            match records.next_record() {
                Ok(Some(span)) => {
                    let line = count_lines(&bytes[..span.start]);
                    found.push((span.start, line, records.fields().to_vec()));
                }
                Ok(None) => return (found, Ok(())),
                Err(malformed) => return (found, Err(malformed)),
            }
        }
    }

    /// The records of a pass that ends somewhere and of another that goes on from there, with only
    /// some of their fields.
    fn scanned_in_two(bytes: &[u8], upto: usize, columns: usize) -> (Found, Result<(), Malformed>) {
        let mut found = Found::new();
        let (mut from, mut lines) = (0, 0);
        for upto in [upto, usize::MAX] {
            let plan = Plan {
                delimiter: b';',
                columns,
                upto,
            };
            let ended = scan(bytes, from, plan, |record| {
                assert!(record.start < upto);
                let fields = (0..).map_while(|column| record.field(column)).collect();
                found.push((record.start, lines + record.line, fields));
                Ok(())
            });
            match ended {
                Ok(end) => {
                    assert!(upto == usize::MAX || end.at >= upto.min(bytes.len()));
                    (from, lines) = (end.at, lines + end.line);
                }
                Err(malformed) => return (found, Err(malformed)),
            }
        }
        assert_eq!(lines, count_lines(&bytes[..from]));
        (found, Ok(()))
    }

    fn check(bytes: &[u8], upto: usize, columns: usize) -> Result<(), TestCaseError> {
        let (mut wanted, refused) = read(bytes, b';');
        prop_assert_eq!(&scanned(bytes, b';'), &(wanted.clone(), refused.clone()));
        for (_, _, fields) in &mut wanted {
            fields.truncate(columns);
        }
        prop_assert_eq!(scanned_in_two(bytes, upto, columns), (wanted, refused));
        Ok(())
    }

    /// Rows like those of real sheets, with here and there something out of its place.
    fn sheet() -> impl Strategy<Value = Vec<u8>> {
        let cell = prop_oneof![
            6 => "[a-z]{0,9}",
            2 => "\"([a-z;\n\r]|\"\"){0,30}\"",
            1 => "[a-z]{50,90}",
        ];
        let odd = prop_oneof![
            "[a-z]\"[a-z]\"",
            "\"a\"[a-z]",
            "\"",
            "a\rb",
            "\r",
            "\"\"\"\"\""
        ];
        let cell = prop_oneof![60 => cell, 1 => odd];
        let row = (prop::collection::vec(cell, 1..6), "\r?\n(\r?\n)?")
            .prop_map(|(cells, end)| cells.join(";") + &end);
        prop::collection::vec(row, 0..30)
            .prop_flat_map(|rows| {
                let text = rows.concat().into_bytes();
                let length = text.len();
                (Just(text), 0..=length)
            })
            .prop_map(|(mut text, cut)| {
                text.truncate(text.len().max(cut) - cut / 8);
                text
            })
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(1024))]

        #[test]
        fn records_are_those_that_are_read_byte_by_byte(
            input in prop::collection::vec(prop::sample::select(b"a\";\n\r\n; b\"".to_vec()), 0..200),
            upto in 0..200_usize,
            columns in 1..4_usize,
        ) {
            check(&input, upto, columns)?;
        }

        #[test]
        fn records_of_a_sheet_are_those_that_are_read_byte_by_byte(
            sheet in sheet(),
            upto in 0..600_usize,
            columns in 1..4_usize,
        ) {
            check(&sheet, upto, columns)?;
        }
    }

    #[test]
    fn what_once_was_read_differently_is_not_any_more() {
        const ODD: &[u8] = b"\"\"\"\"\"\"\"\"\";\r\r\"\"\ng\rk\r;\";\"\"\"t\n\"\"\"\"\"\"\"\"\n\"\"\"\";r\"\r\n\r\nik;;irvwiqu;ncpqml\r\n\ngxgyucwj;llwxf\n";
        for upto in 0..ODD.len() {
            check(b"\n\"", upto, 2).unwrap();
            check(ODD, upto, 2).unwrap();
        }
    }

    #[test]
    fn a_nul_is_refused_where_it_stands_before_anything_behind_it_is() {
        for at in [0, 1, 5, 63, 64, 65, 130, 199] {
            let mut sheet = "a;\"b\"\n".repeat(30).into_bytes();
            sheet.extend(b"x;y\"z\rlast;\"");
            sheet.resize(200, b'.');
            sheet[at] = 0;
            let malformed = scanned(&sheet, b';').1.unwrap_err();
            assert_eq!((malformed.offset, malformed.problem), (at, Problem::Nul));
        }
    }

    #[test]
    fn a_row_beyond_the_limits_is_refused_and_one_within_is_not() {
        let row = |fields: usize| [b"a\n", vec![b';'; fields - 1].as_slice(), b"\nb\n"].concat();
        let bytes = |length: usize| [b"a\n", vec![b'x'; length].as_slice(), b"\nb\n"].concat();
        for (sheet, problem) in [
            (row(MAX_FIELDS), None),
            (row(MAX_FIELDS + 1), Some(Problem::TooManyFields)),
            (bytes(MAX_RECORD_BYTES), None),
            (bytes(MAX_RECORD_BYTES + 1), Some(Problem::RecordTooLong)),
        ] {
            let (found, ended) = scanned(&sheet, b';');
            assert_eq!((found, ended.clone()), read(&sheet, b';'));
            assert_eq!(ended.err().map(|malformed| malformed.problem), problem);
        }
    }
}
