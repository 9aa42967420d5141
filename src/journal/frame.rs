//! What stands in a log, and how.
//!
//! ```text
//! log   = frame(Head) frame(Frame)* zeros*
//! frame = length: u32 LE, checksum: u64 LE, payload: `length` bytes of JSON
//! ```
//!
//! The checksum is XXH3 of the payload seeded with the frame's offset, so that a frame is valid only
//! where it was written: one that a disk or a person put elsewhere is not applied twice. A length of
//! zero is the end: reserved space is filled with zeros.

use std::ffi::OsStr;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::time::Instant;

use chrono::{DateTime, Utc};
use compact_str::CompactString;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::source::Source;
use crate::disk::ContentHash;
use crate::domain::columns::{LAST_PROCESSED, addable, same_column};
use crate::domain::{KeyColumns, stage_prefix};
use crate::error::{Error, Result};
use crate::sheet::{History, RowUpdate, Sample, Sheet, merge};
use crate::text::escape;

/// How long what stands before a payload is.
pub(super) const PREFIX: usize = 12;
/// The longest frame. A batch is at most a queue of operations, each of some cells of 32,767
/// characters; what is longer than this is not a length.
pub(super) const MAX_FRAME_BYTES: usize = 1 << 30;

/// The format that this program writes. It reads the first one, too, which had no versions, and removed a log
/// when all of it was visible.
const FORMAT: u32 = 2;

/// How many logs a log knows to have taken the place of.
const MAX_PREDECESSORS: usize = 8;

/// What was made durable together, or became known of what is public.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frame {
    pub(crate) at: DateTime<Utc>,
    /// What was known when the updates were made. They are in one frame, and so are valid together or not at
    /// all: a second frame that reached the disk without the first would look like damage.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) public: Vec<Public>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) rows: Vec<RowUpdate>,
    /// Columns that were added to the sheet's end, before the updates of the frame. A closed log names here those
    /// that are in the sheet, too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) columns: Vec<CompactString>,
    /// Columns that were added and have become public since. If the sheet lacks one of these, a person
    /// removed it, who has seen it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) public_columns: Vec<CompactString>,
    /// A session begins, with this id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) session: Option<String>,
    /// The name of the encoding that the sheet is in (see `encoded.rs`): in the log alone, and only if it is not
    /// UTF-8 and that matters.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) encoding: Option<CompactString>,
    /// All of its updates are results, and one of them has no time that tells so.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub(crate) results: bool,
}

/// What is known of a version of the sheet.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Public {
    /// It is about to take the sheet's name.
    Next {
        /// XXH3-128 of its bytes, in hexadecimal digits.
        hash: String,
        /// It shows the updates of so many frames of this log.
        upto: u64,
        /// The number of the frame in which the same process announced one that never took the name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<u64>,
        /// Of the sheet in which the log began.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        sample: Option<Sample>,
    },
    /// A version has taken the sheet's name, durably: the one that the frame with this number told of, or else
    /// this frame. Two processes may announce the same contents, so contents do not tell.
    Confirmed {
        #[serde(default, skip_serializing_if = "Option::is_none")]
        frame: Option<u64>,
    },
    /// Another program saved one: it shows what the last one did, and the updates of this frame, which its
    /// author made.
    Saved {
        hash: String,
        /// The number of the frame in which one was announced that never took the name.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        failed: Option<u64>,
    },
    /// Another program saved one that lacks results which its author cannot have known. The updates of this
    /// frame are all that was taken over.
    Judged { hash: String },
}

/// Whether an update has a time of its own, as what a person sets has not.
pub(crate) fn has_time(row: &RowUpdate) -> bool {
    let mut cells = row.cells.iter();
    cells.any(|cell| stage_prefix(&cell.column, LAST_PROCESSED).is_some())
}

impl Frame {
    /// One that holds nothing yet.
    pub(crate) fn now() -> Frame {
        Frame {
            at: Utc::now(),
            rows: Vec::new(),
            public: Vec::new(),
            columns: Vec::new(),
            public_columns: Vec::new(),
            session: None,
            encoding: None,
            results: false,
        }
    }

    pub(crate) fn of(rows: Vec<RowUpdate>) -> Frame {
        Frame {
            rows,
            ..Frame::now()
        }
    }

    /// Whether an update in it is a job's result.
    pub(crate) fn has_as_result(&self, row: &RowUpdate) -> bool {
        self.results || has_time(row)
    }

    /// Whether its updates are what another program saved.
    pub(crate) fn is_of_a_save(&self) -> bool {
        let mut public = self.public.iter();
        public.any(|it| matches!(it, Public::Saved { .. } | Public::Judged { .. }))
    }

    /// One that tells of versions.
    pub(crate) fn telling(public: Vec<Public>) -> Frame {
        Frame {
            public,
            ..Frame::now()
        }
    }
}

impl Public {
    /// Another program saved a version; `is_latest` tells whether its author knew the last one.
    pub(crate) fn saved(hash: ContentHash, is_latest: bool, failed: Option<u64>) -> Public {
        match is_latest {
            true => Public::Saved {
                hash: digits(hash),
                failed,
            },
            false => Public::judged(hash),
        }
    }

    /// What is saved with these contents is old.
    pub(crate) fn judged(hash: ContentHash) -> Public {
        Public::Judged { hash: digits(hash) }
    }

    /// A save that others came behind before this was told.
    pub(crate) fn did_not_last(self) -> Public {
        match self {
            Public::Saved { hash, .. } => Public::Judged { hash },
            others => others,
        }
    }

    /// A version has the sheet's name: the one that the frame with this number told of, or else this frame.
    pub(crate) fn confirmed(frame: Option<u64>) -> Public {
        Public::Confirmed { frame }
    }

    /// A version is about to take the sheet's name, which shows so many of the log's frames.
    pub(crate) fn next(
        hash: ContentHash,
        upto: u64,
        failed: Option<u64>,
        sample: Option<Sample>,
    ) -> Public {
        Public::Next {
            hash: digits(hash),
            upto,
            failed,
            sample,
        }
    }
}

/// The updates of some frames, in their order.
pub(crate) fn updates(frames: &[Frame]) -> impl Iterator<Item = &RowUpdate> + Clone {
    frames.iter().flat_map(|frame| &frame.rows)
}

/// Applies the frames that others appended to a sheet that knows all before them, and returns the updates
/// that found no place.
pub(crate) fn apply(sheet: &Sheet, frames: &[Frame]) -> Vec<RowUpdate> {
    for frame in frames {
        let is_public = |name: &&CompactString| {
            let mut public = frame.public_columns.iter();
            public.any(|public| same_column(public, name))
        };
        add_columns(sheet, frame.columns.iter().filter(|name| !is_public(name)));
    }
    merge::apply(sheet, updates(frames))
}

/// The columns of its own that tickoff added, as a log tells it.
pub(crate) fn added(frames: &[Frame]) -> impl Iterator<Item = &CompactString> {
    let names = frames.iter().flat_map(|frame| &frame.columns);
    names.filter(|name| addable(name).is_none())
}

/// Adds the columns that were to be added and have not become public yet; one that has, and is missing, a
/// person removed.
pub(crate) fn add_waiting_columns(sheet: &Sheet, frames: &[Frame]) {
    let mut waiting: Vec<CompactString> = Vec::new();
    for frame in frames {
        waiting.extend(frame.columns.iter().cloned());
        waiting.retain(|name| {
            let mut public = frame.public_columns.iter();
            !public.any(|public| same_column(public, name))
        });
    }
    add_columns(sheet, &waiting);
}

fn add_columns<'n>(sheet: &Sheet, names: impl IntoIterator<Item = &'n CompactString>) {
    for name in names {
        if sheet.schema().position(name).is_none() {
            sheet.add_column(name);
        }
    }
}

/// What the public versions showed, as a log's frames tell it.
pub(crate) fn history(frames: &[Frame]) -> History {
    let mut history = History::default();
    added(frames).for_each(|name| history.added(name));
    for (number, frame) in frames.iter().enumerate() {
        for update in &frame.rows {
            history.wrote(number as u64, update);
        }
        for public in &frame.public {
            match public {
                Public::Next {
                    hash, upto, failed, ..
                } => {
                    failed.iter().for_each(|frame| history.failed(*frame));
                    history.published(parsed(hash), *upto, number as u64);
                }
                Public::Confirmed { frame } => {
                    history.confirmed(frame.unwrap_or(number as u64));
                }
                Public::Saved { hash, failed } => {
                    failed.iter().for_each(|frame| history.failed(*frame));
                    history.saved(parsed(hash), number as u64);
                }
                Public::Judged { hash } => history.judged(parsed(hash)),
            }
        }
    }
    history.settle();
    history
}

fn digits(hash: ContentHash) -> String {
    format!("{hash:032x}")
}

fn parsed(hash: &str) -> ContentHash {
    ContentHash::from_str_radix(hash, 16).unwrap_or_default()
}

/// The sample of the sheet in which the log, or what is left of it, began.
pub(crate) fn sample(frames: &[Frame]) -> Option<&Sample> {
    let mut told = frames.iter().flat_map(|frame| &frame.public).rev();
    told.find_map(|public| match public {
        Public::Next { sample, .. } => sample.as_ref(),
        Public::Confirmed { .. } | Public::Saved { .. } | Public::Judged { .. } => None,
    })
}

/// What the log belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    #[serde(default = "first_format")]
    pub(crate) format: u32,
    /// By which the log is known whatever becomes of its file; the first format has none.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub(crate) id: String,
    /// The ids of the logs whose place it took, the last one first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) after: Vec<String>,
    /// Where the sheet was when the log began. It belongs to the name that it lies beside.
    pub(crate) sheet: PathBuf,
    /// The name of the sheet in its folder of which it is a copy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) copy_of: Option<String>,
    /// The id of the log of another name of this sheet with which it began, and how many frames that had.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) goes_on_from: Option<(String, usize)>,
    /// Another name that the sheet, or the one of which it shows results, had before.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name_before: Option<String>,
    /// The key column; of several all names as one text, so that a version which knows only of one refuses the
    /// log.
    pub(super) key: String,
    /// The key columns, and how their keys are written, if there are several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(super) key_columns: Option<KeyColumns>,
    /// The session that began it; none if it was a handler or a `set`.
    pub(crate) session: Option<String>,
    pub(crate) created: DateTime<Utc>,
}

fn first_format() -> u32 {
    1
}

impl Head {
    /// Of a log that begins now.
    pub(crate) fn new(sheet: &Path, key: &KeyColumns) -> Head {
        Head {
            format: FORMAT,
            id: format!("{:016x}", RandomState::new().hash_one(Instant::now())),
            after: Vec::new(),
            sheet: sheet.to_owned(),
            copy_of: None,
            goes_on_from: None,
            name_before: None,
            key: key.title(),
            key_columns: key.is_several().then(|| key.clone()),
            session: None,
            created: Utc::now(),
        }
    }

    /// Of a log that takes this one's place now.
    pub(crate) fn successor(&self, sheet: &Path) -> Head {
        let before = self.after.iter().take(MAX_PREDECESSORS - 1);
        let name = sheet.file_name().and_then(OsStr::to_str);
        let name_before = self.earlier_name(name.unwrap_or_default());
        Head {
            after: std::iter::once(&self.id).chain(before).cloned().collect(),
            copy_of: self.copy_of.clone(),
            goes_on_from: self.goes_on_from.clone(),
            name_before: name_before.map(str::to_owned),
            ..Head::new(sheet, &self.key())
        }
    }

    /// The last other name of a sheet that has this one now, if it had any.
    pub(crate) fn earlier_name(&self, now: &str) -> Option<&str> {
        let began_as = self.sheet.file_name().and_then(OsStr::to_str);
        let mut names = began_as.into_iter().chain(self.name_before.as_deref());
        names.find(|name| *name != now)
    }

    /// The columns by whose cells the rows are named.
    pub(crate) fn key(&self) -> KeyColumns {
        let several = self.key_columns.clone();
        several.unwrap_or_else(|| self.key.as_str().into())
    }

    /// Whether this program can read what stands in the log.
    pub(crate) fn is_known(&self) -> bool {
        (1..=FORMAT).contains(&self.format)
    }
}

/// The session that a log is of, and when it began: one that began and has not closed the log.
pub(crate) fn open_session(head: &Head, frames: &[Frame]) -> Option<(String, DateTime<Utc>)> {
    let begun = frames.iter().rev().find(|frame| frame.session.is_some());
    match begun {
        Some(frame) => Some((frame.session.clone()?, frame.at)),
        None => Some((head.session.clone()?, head.created)),
    }
}

/// The bytes of a whole log.
pub(crate) fn encode_log<F: Serialize>(
    head: &Head,
    frames: impl IntoIterator<Item = F>,
) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(head, 0, &mut bytes);
    for frame in frames {
        let offset = bytes.len() as u64;
        encode(&frame, offset, &mut bytes);
    }
    bytes
}

/// Adds the frame that holds this content where it stands at an offset of the log.
pub(crate) fn encode(content: &impl Serialize, offset: u64, out: &mut Vec<u8>) {
    let prefix = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    serde_json::to_writer(&mut *out, content).expect("frames are plain data");
    let payload = &out[prefix + PREFIX..];
    let length = u32::try_from(payload.len()).expect("a frame is far shorter than 4 GiB");
    let checksum = xxh3_64_with_seed(payload, offset);
    out[prefix..prefix + 4].copy_from_slice(&length.to_le_bytes());
    out[prefix + 4..prefix + PREFIX].copy_from_slice(&checksum.to_le_bytes());
}

/// The payload of the valid frame at an offset, and where it ends. Reads no more than that frame.
pub(super) fn read_frame(
    source: &(impl Source + ?Sized),
    offset: u64,
) -> io::Result<Option<(Vec<u8>, u64)>> {
    let read = read_unchecked(source, offset)?;
    let valid = read.filter(|(payload, sum)| xxh3_64_with_seed(payload, offset) == *sum);
    Ok(valid.map(|(payload, _)| {
        let end = offset + (PREFIX + payload.len()) as u64;
        (payload, end)
    }))
}

/// What may be the payload of a frame at an offset, and the checksum that stands before it.
pub(super) fn read_unchecked(
    source: &(impl Source + ?Sized),
    offset: u64,
) -> io::Result<Option<(Vec<u8>, u64)>> {
    let mut prefix = [0; PREFIX];
    if source.fill(&mut prefix, offset)? < PREFIX {
        return Ok(None);
    }
    let (length, checksum) = split(&prefix);
    let end = offset + (PREFIX + length) as u64;
    if !(1..=MAX_FRAME_BYTES).contains(&length) || end > source.size()? {
        return Ok(None);
    }
    let mut payload = vec![0; length];
    let read = source.fill(&mut payload, offset + PREFIX as u64)?;
    Ok((read == length).then_some((payload, checksum)))
}

fn split(prefix: &[u8]) -> (usize, u64) {
    let length = u32::from_le_bytes(prefix[..4].try_into().expect("four bytes"));
    let checksum = u64::from_le_bytes(prefix[4..PREFIX].try_into().expect("eight bytes"));
    (length as usize, checksum)
}

/// What a payload at that offset says; `path` is only named in errors.
pub(super) fn parse<T: for<'de> Deserialize<'de>>(
    payload: &[u8],
    offset: u64,
    path: &Path,
) -> Result<T> {
    serde_json::from_slice(payload).map_err(|error| Error::Journal {
        path: path.to_owned(),
        problem: format!(
            "holds at byte {offset} what this version cannot read ({}): finish with the one that wrote it",
            escape(&error.to_string())
        ),
    })
}

/// What says that a PO was completed.
#[cfg(test)]
pub(super) fn completed(po: &str) -> Frame {
    let cell = crate::sheet::CellUpdate {
        column: "STATUS".into(),
        value: "COMPLETED".into(),
        before: smallvec::smallvec!["".into()],
        outside: false,
    };
    Frame {
        at: DateTime::UNIX_EPOCH,
        ..Frame::of(vec![RowUpdate {
            po: po.into(),
            cells: vec![cell],
            aside: false,
            row: None,
        }])
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_without_columns_is_written_and_read_as_it_was_before_there_were_any() {
        let of_today = r#"{"at":"1970-01-01T00:00:00Z","rows":[{"po":"P1","cells":[{"column":"STATUS","value":"COMPLETED","before":[""]}]}]}"#;
        assert_eq!(serde_json::to_string(&completed("P1")).unwrap(), of_today);
        let read: Frame = parse(of_today.as_bytes(), 0, Path::new("j")).unwrap();
        assert_eq!(read, completed("P1"));
    }

    #[test]
    fn what_another_version_wrote_is_refused_with_the_ways_out() {
        let error = parse::<u8>(b"\"\x1b[2J\"", 64, Path::new("j")).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("the journal j holds at byte 64 what this version cannot read ("),
            "{error}"
        );
        assert!(
            error.ends_with("): finish with the one that wrote it"),
            "{error}"
        );
        assert_eq!(escape(&error), error);
    }
}
