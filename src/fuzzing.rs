//! What the fuzz targets hold against their models: thin functions over bytes in memory. Behind the
//! feature `fuzzing`, and no part of the public API.

use std::ops::Range;
use std::path::Path;
use std::sync::Arc;

use chrono::DateTime;

use crate::csv::{
    Index, KeyPlace, Malformed, Opening, Plan, RecordIndex, Records, dialect, grammar, scan,
};
use crate::disk::Snapshot;
use crate::domain::{Encoding, Problem, ProcessingStatus};
use crate::error::Result;
use crate::journal::{Frame, Head, frame, read};
use crate::sheet::render::{self, Next};
use crate::sheet::{
    CellUpdate, Diagnostic, Duplicates, Options, RowUpdate, Sheet, Updates, WriteOperation,
    integrity, merge,
};
use crate::store::writer;
use crate::text::BOM;

const PATH: &str = "fuzz.csv";

/// A record's bytes, and its fields' raw bytes.
pub type Record = (Range<usize>, Vec<Range<usize>>);

/// The records of some bytes, as far as they can be read, and what stopped the reading where.
pub fn records(bytes: &[u8], delimiter: u8) -> (Vec<Record>, Option<(usize, Problem)>) {
    let mut found = Vec::new();
    let refused = |malformed: Malformed| Some((malformed.offset, malformed.problem));
    if let Err(malformed) = grammar::refuse_foreign_bytes(bytes) {
        return (found, refused(malformed));
    }
    let mut records = Records::new(bytes, delimiter, begin(bytes));
    loop {
        match records.next_record() {
            Ok(Some(span)) => found.push((span, records.fields().to_vec())),
            Ok(None) => return (found, None),
            Err(malformed) => return (found, refused(malformed)),
        }
    }
}

/// The first byte and the fields of each record, as the index comes by them.
pub fn scanned(bytes: &[u8], delimiter: u8) -> (Vec<Record>, Option<(usize, Problem)>) {
    let mut found = Vec::new();
    let plan = Plan {
        delimiter,
        columns: usize::MAX,
        upto: usize::MAX,
    };
    let ended = scan(bytes, begin(bytes), plan, |record| {
        let fields: Vec<_> = (0..).map_while(|column| record.field(column)).collect();
        found.push((record.start..fields[fields.len() - 1].end, fields));
        Ok(())
    });
    let refused = ended.err();
    (
        found,
        refused.map(|malformed| (malformed.offset, malformed.problem)),
    )
}

/// Where the first record may begin: behind the byte order mark.
fn begin(bytes: &[u8]) -> usize {
    if bytes.starts_with(BOM) { BOM.len() } else { 0 }
}

/// What a reader sees in a raw field.
pub fn decode(raw: &[u8]) -> Vec<u8> {
    grammar::decode(raw).into_owned()
}

/// 1-based line and byte of an offset.
pub fn position(bytes: &[u8], offset: usize) -> (u64, u64) {
    grammar::position(bytes, offset)
}

/// An index over bytes in which every record is a row.
pub struct Keys<'a> {
    bytes: &'a [u8],
    index: Index,
}

impl<'a> Keys<'a> {
    /// Indexes bytes that [`records`] reads to their end; `None` if a key is refused.
    pub fn of(bytes: &'a [u8], delimiter: u8, column: usize) -> Option<Keys<'a>> {
        let index = Index::build(
            bytes,
            (delimiter, Encoding::UTF_8),
            KeyPlace::One(column),
            0,
            begin(bytes),
            |_, _| 0,
        )
        .ok()?
        .0;
        Some(Keys { bytes, index })
    }

    /// How many rows there are.
    pub fn count(&self) -> usize {
        self.index.len()
    }

    /// The rows of a key.
    pub fn rows(&self, key: &str) -> Vec<usize> {
        let rows = self.index.rows(self.bytes, key);
        rows.map(RecordIndex::slot).collect()
    }

    /// A row's first byte, its line, and its key.
    pub fn row(&self, row: usize) -> (usize, u64, String) {
        let row = RecordIndex::from_slot(row);
        let key = self.index.key(self.bytes, row).into_owned();
        (self.index.start(row), self.index.line(self.bytes, row), key)
    }
}

/// What [`dialect::detect`] finds.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Form {
    pub delimiter: u8,
    /// Whether a line `sep=;` names a delimiter.
    pub is_named: bool,
    pub header_start: usize,
    pub terminator: &'static [u8],
    pub quote_all: bool,
    pub names: Vec<String>,
}

/// The form of a sheet.
pub fn form(bytes: &[u8], key: &str, given: Option<u8>) -> Result<Form> {
    let found = dialect::detect(bytes, &key.into(), given, Encoding::UTF_8, Path::new(PATH));
    found.map(|(dialect, names)| Form {
        delimiter: dialect.delimiter,
        is_named: Opening::of(bytes).delimiter.is_some(),
        header_start: dialect.header_start,
        terminator: dialect.terminator,
        quote_all: dialect.quote_all,
        names,
    })
}

/// Where the header ends when it is read with this delimiter, if it has the key column then.
pub fn header_end(bytes: &[u8], key: &str, delimiter: u8) -> Option<usize> {
    let found = dialect::detect(
        bytes,
        &key.into(),
        Some(delimiter),
        Encoding::UTF_8,
        Path::new(PATH),
    );
    found.ok().map(|(dialect, _)| dialect.header_end)
}

fn options(key: &str, delimiter: Option<u8>) -> Options {
    Options {
        key: key.into(),
        delimiter,
        duplicates: Duplicates::All,
        ..Options::default()
    }
}

fn build(bytes: &[u8], options: &Options) -> Result<Sheet> {
    Sheet::build(Snapshot::Owned(bytes.to_vec()), Path::new(PATH), options)
}

fn next_version(sheet: &Arc<Sheet>) -> Vec<u8> {
    let next = Next::of(sheet);
    let mut written = Vec::new();
    next.render(&mut written).expect("memory takes it");
    next.verify(&written).expect("what was rendered is right");
    written
}

/// A sheet, which may have a PO in several rows, and what `check` finds in it.
pub fn read(bytes: &[u8], key: &str, delimiter: Option<u8>) -> Result<(Sheet, Vec<Diagnostic>)> {
    let sheet = build(bytes, &options(key, delimiter))?;
    let findings = integrity::findings(&sheet);
    Ok((sheet, findings))
}

/// A new value: key, column, value.
pub type Update = (String, String, String);

/// The next version of a sheet after updates that a journal holds, proven as a real one is; `None`
/// if the sheet is refused.
pub fn rewrite(
    sheet: &[u8],
    key: &str,
    delimiter: Option<u8>,
    updates: &[Update],
) -> Option<Vec<u8>> {
    let sheet = Arc::new(build(sheet, &options(key, delimiter)).ok()?);
    let before = sheet.bytes().to_vec();
    merge::apply(&sheet, &frame(updates).rows);
    let next = next_version(&sheet);
    assert_eq!(render::differs(&sheet), next != before);
    Some(next)
}

/// The next version of a sheet with the key column `PO_NUMBER` after the result of a job, as a queue
/// would take it, and what found no place.
pub fn apply(sheet: &[u8], po: &str, updates: Updates, force: bool) -> (Vec<u8>, Vec<Update>) {
    let options = options("PO_NUMBER", None);
    let sheet = Arc::new(build(sheet, &options).expect("it is a sheet"));
    let may_be_pending = force || matches!(sheet.status(po), Some(ProcessingStatus::Other(_)));
    let operation = WriteOperation {
        timestamp: DateTime::UNIX_EPOCH,
        force,
        is_result: true,
        ..WriteOperation::new(po, updates.fit(po, may_be_pending, &options))
    };
    let frame = writer::frame_of(&sheet, &options, &operation).expect("no result is refused");
    let unplaced = frame::apply(&sheet, frame.as_slice());
    (
        next_version(&sheet),
        unplaced.into_iter().flat_map(triples).collect(),
    )
}

fn triples(row: RowUpdate) -> impl Iterator<Item = Update> {
    let po = row.po;
    row.cells
        .into_iter()
        .map(move |cell| (po.to_string(), cell.column.into(), cell.value.into()))
}

/// A log that has these frames, and where its head and each of them ends.
pub fn log(frames: &[Vec<Update>]) -> (Vec<u8>, Vec<usize>) {
    let head = Head::new(Path::new(PATH), &"K".into());
    let mut bytes = Vec::new();
    frame::encode(&head, 0, &mut bytes);
    let mut ends = vec![bytes.len()];
    for updates in frames {
        let offset = bytes.len() as u64;
        frame::encode(&frame(updates), offset, &mut bytes);
        ends.push(bytes.len());
    }
    (bytes, ends)
}

/// Puts a frame with any JSON at an offset of a log, as appending does.
pub fn put_frame(log: &mut Vec<u8>, offset: usize, json: &serde_json::Value) {
    let mut frame = Vec::new();
    frame::encode(json, offset as u64, &mut frame);
    log.resize(log.len().max(offset + frame.len()), 0);
    log[offset..offset + frame.len()].copy_from_slice(&frame);
}

/// The same for a frame of updates.
pub fn append(log: &mut Vec<u8>, offset: usize, updates: &[Update]) {
    let frame = serde_json::to_value(frame(updates)).expect("frames are plain data");
    put_frame(log, offset, &frame);
}

/// A log as it was read: its frames, where the last of them ends, and whether it is damaged.
#[derive(Debug, PartialEq, Eq)]
#[allow(missing_docs)]
pub struct Log {
    pub frames: Vec<Vec<Update>>,
    pub end: usize,
    pub damaged: bool,
}

/// Reads a log.
pub fn read_log(bytes: &[u8]) -> Result<Log> {
    let log = read::scan(bytes, Path::new(PATH))?;
    Ok(Log {
        frames: log
            .frames
            .into_iter()
            .map(|frame| frame.rows.into_iter().flat_map(triples).collect())
            .collect(),
        end: log.end as usize,
        damaged: log.damage.is_some(),
    })
}

fn frame(updates: &[Update]) -> Frame {
    let row = |(po, column, value): &Update| RowUpdate {
        po: po.into(),
        cells: vec![CellUpdate {
            column: column.into(),
            value: value.into(),
            before: smallvec::smallvec![Default::default()],
            outside: false,
        }],
        aside: false,
        row: None,
    };
    Frame {
        at: DateTime::UNIX_EPOCH,
        ..Frame::of(updates.iter().map(row).collect())
    }
}
