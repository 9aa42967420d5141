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

use std::io;
use std::path::{Path, PathBuf};

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::source::Source;
use crate::error::{Error, Result};
use crate::sheet::RowUpdate;
use crate::text::escape;

/// How long what stands before a payload is.
pub(super) const PREFIX: usize = 12;
/// The longest frame. A batch is at most a queue of operations, each of some cells of 32,767
/// characters; what is longer than this is not a length.
pub(super) const MAX_FRAME_BYTES: usize = 1 << 30;

/// Cell updates that were made durable together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frame {
    pub(crate) at: DateTime<Utc>,
    pub(crate) rows: Vec<RowUpdate>,
}

/// The updates of some frames, in their order.
pub(crate) fn updates(frames: &[Frame]) -> impl Iterator<Item = &RowUpdate> {
    frames.iter().flat_map(|frame| &frame.rows)
}

/// What the log belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) sheet: PathBuf,
    pub(crate) key: String,
    /// The session that began it; none if it was a handler or a `set`.
    pub(crate) session: Option<String>,
    pub(crate) created: DateTime<Utc>,
}

/// The bytes of a whole log.
pub(crate) fn encode_log(head: &Head, frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(head, 0, &mut bytes);
    for frame in frames {
        let offset = bytes.len() as u64;
        encode(frame, offset, &mut bytes);
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
    let valid = read == length && xxh3_64_with_seed(&payload, offset) == checksum;
    Ok(valid.then_some((payload, end)))
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
            "holds at byte {offset} what this version cannot read ({}): finish with the one that wrote it, or remove the journal to give its results up",
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
        rows: vec![RowUpdate {
            po: po.into(),
            cells: vec![cell],
        }],
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_version_wrote_is_refused_with_the_ways_out() {
        let error = parse::<u8>(b"\"\x1b[2J\"", 64, Path::new("j")).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("the journal j holds at byte 64 what this version cannot read ("),
            "{error}"
        );
        assert!(
            error.ends_with(
                "): finish with the one that wrote it, or remove the journal to give its results up"
            ),
            "{error}"
        );
        assert_eq!(escape(&error), error);
    }
}
