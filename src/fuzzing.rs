//! What the fuzz targets hold against their models: thin functions over bytes in memory. Behind the
//! feature `fuzzing`, and no part of the public API.

use std::io::Write;
use std::ops::Range;
use std::path::Path;
use std::sync::LazyLock;

use chrono::DateTime;

use crate::dialect;
use crate::grammar::{self, BOM, Records};
use crate::journal::{self, CellUpdate, Frame, Head, RowUpdate};
use crate::merge;
use crate::render;
use crate::sheet::{Duplicates, Options, Sheet};
use crate::snapshot::Snapshot;
use crate::target::Target;

/// A record's bytes, and its fields' raw bytes.
pub type Record = (Range<usize>, Vec<Range<usize>>);

/// The records of some bytes; `None` if they are refused.
pub fn records(bytes: &[u8], delimiter: u8) -> Option<Vec<Record>> {
    grammar::refuse_foreign_bytes(bytes).ok()?;
    let start = if bytes.starts_with(BOM) { BOM.len() } else { 0 };
    let mut records = Records::new(bytes, delimiter, start);
    let mut found = Vec::new();
    while let Some(span) = records.next_record().ok()? {
        found.push((span, records.fields().to_vec()));
    }
    Some(found)
}

/// What a reader sees in a raw field.
pub fn decode(raw: &[u8]) -> Vec<u8> {
    grammar::decode(raw).into_owned()
}

/// The delimiter of a sheet with the key column `K`; `None` if it is refused.
pub fn delimiter(bytes: &[u8]) -> Option<u8> {
    dialect::detect(bytes, "K", None, Path::new("fuzz.csv"))
        .ok()
        .map(|(dialect, _)| dialect.delimiter)
}

/// The next version of a sheet with the key column `K` after updates (key, column, value), proven as
/// a real one is; `None` if the sheet is refused.
pub fn rewrite(sheet: &[u8], updates: &[(String, String, String)]) -> Option<Vec<u8>> {
    let options = Options {
        key: "K".into(),
        duplicates: Duplicates::All,
        ..Options::default()
    };
    let snapshot = Snapshot::Owned(sheet.to_vec());
    let sheet = Sheet::build(snapshot, Path::new("fuzz.csv"), &options).ok()?;
    let rows = updates
        .iter()
        .map(|(po, column, value)| row(po, column, value))
        .collect();
    merge::apply(
        &sheet,
        &[Frame {
            at: DateTime::UNIX_EPOCH,
            rows,
        }],
    );
    let mut next = Vec::new();
    render::render(&sheet, &mut next).expect("memory takes it");
    render::verify(&sheet, &next).expect("what was rendered is right");
    Some(next)
}

/// A log with one frame for each PO.
pub fn log(pos: &[String]) -> Vec<u8> {
    let head = Head {
        sheet: TARGET.1.path().to_owned(),
        key: "K".into(),
        session: None,
        created: DateTime::UNIX_EPOCH,
    };
    let frames = pos.iter().map(|po| Frame {
        at: DateTime::UNIX_EPOCH,
        rows: vec![row(po, "A", "x")],
    });
    journal::encode_log(&head, &frames.collect::<Vec<_>>())
}

/// The POs of the frames in a log; `None` if it is refused.
pub fn read_log(bytes: &[u8]) -> Option<Vec<String>> {
    let mut file = tempfile::tempfile().expect("a temporary file can be had");
    file.write_all(bytes).expect("it takes the bytes");
    let log = journal::read_log(&file, &TARGET.1).ok()?;
    Some(
        log.frames
            .into_iter()
            .flat_map(|frame| frame.rows)
            .map(|row| row.po)
            .collect(),
    )
}

static TARGET: LazyLock<(tempfile::TempDir, Target)> = LazyLock::new(|| {
    let folder = tempfile::tempdir().expect("a temporary folder can be had");
    let path = folder.path().join("fuzz.csv");
    std::fs::write(&path, "K\n").expect("it takes a file");
    let target = Target::open(&path).expect("it is a sheet");
    (folder, target)
});

fn row(po: &str, column: &str, value: &str) -> RowUpdate {
    let cell = CellUpdate {
        column: column.into(),
        value: value.into(),
        before: vec![String::new()],
        outside: false,
    };
    RowUpdate {
        po: po.into(),
        cells: vec![cell],
    }
}
