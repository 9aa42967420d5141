//! Reading a log from its beginning: all frames up to the first one that is not valid.
//!
//! What is not valid and has no valid frame behind it is the torn tail of a crash and was never
//! acknowledged; what has one is damage, and stops the replay there. To tell the two apart the rest is
//! searched for a frame at every offset, since the length of one that is not valid says nothing. One that is
//! valid where it stood before something was put in front of it, or taken away there, is damage as well: an
//! editor that saved the file may have added a mark, or a line end. So is a file that begins like no log at all.

use std::io;
use std::path::Path;

use memchr::memmem;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::frame::{Frame, Head, PREFIX, parse, read_frame, read_unchecked};
use super::source::Source;
use crate::error::{Error, Result};

/// How every payload begins.
const BEGINNING: &[u8] = b"{\"";
/// What stands at the beginning of a log that is about to be removed; no frame is that long.
pub(super) const EMPTIED: &[u8; 4] = b"gone";

/// How far a frame is looked for from where it was written.
const MOVED: u64 = 64;

/// A log as it was read.
pub(crate) struct Log {
    pub(super) head: Option<Head>,
    pub(crate) frames: Vec<Frame>,
    /// Behind the last valid frame.
    pub(crate) end: u64,
    /// Where a frame is not valid though valid ones follow.
    pub(crate) damage: Option<u64>,
    /// Whether more than reserved space is behind the last valid frame.
    pub(super) torn: bool,
}

/// Whether all of a log was made visible, and only its name may be left to remove.
pub(super) fn is_emptied(source: &(impl Source + ?Sized)) -> io::Result<bool> {
    let mut beginning = [0; EMPTIED.len()];
    Ok(source.fill(&mut beginning, 0)? == EMPTIED.len() && &beginning == EMPTIED)
}

/// Reads a log; `path` is only named in errors.
pub(crate) fn scan(source: &(impl Source + ?Sized), path: &Path) -> Result<Log> {
    let failed = || Error::io("read", path);
    let mut log = Log {
        head: None,
        frames: Vec::new(),
        end: 0,
        damage: None,
        torn: false,
    };
    while let Some((payload, end)) = read_frame(source, log.end).map_err(failed())? {
        match log.head {
            None => log.head = Some(parse(&payload, log.end, path)?),
            Some(_) => log.frames.push(parse(&payload, log.end, path)?),
        }
        log.end = end;
    }
    if log.end == 0 && is_emptied(source).map_err(failed())? {
        return Ok(log);
    }
    let (mut torn, mut damaged) = (false, false);
    for_each_piece(source, log.end, |piece, at| {
        torn |= piece.iter().any(|&byte| byte != 0);
        damaged = damaged || has_valid_frame(source, piece, at, log.end)?;
        Ok(())
    })
    .map_err(failed())?;
    damaged |= torn && log.head.is_none() && !may_be_a_head(source).map_err(failed())?;
    log.damage = damaged.then_some(log.end);
    log.torn = torn && !damaged;
    Ok(log)
}

/// Whether a file may begin with a head that a crash cut off.
fn may_be_a_head(source: &(impl Source + ?Sized)) -> io::Result<bool> {
    let mut beginning = [0; PREFIX + BEGINNING.len()];
    source.fill(&mut beginning, 0)?;
    let payload = beginning[PREFIX..].iter().zip(BEGINNING);
    Ok(payload
        .into_iter()
        .all(|(byte, want)| byte == want || *byte == 0))
}

/// Looks for a frame in the bytes that stand at an offset of the log, behind `end`. Every payload
/// begins like a JSON object.
fn has_valid_frame(
    source: &(impl Source + ?Sized),
    piece: &[u8],
    at: u64,
    end: u64,
) -> io::Result<bool> {
    for payload in memmem::find_iter(piece, BEGINNING) {
        let frame = (at + payload as u64).checked_sub(PREFIX as u64);
        if let Some(frame) = frame.filter(|&frame| frame > end)
            && (read_frame(source, frame)?.is_some() || is_moved_frame(source, frame)?)
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Whether a frame stands at an offset that was written somewhere near it.
fn is_moved_frame(source: &(impl Source + ?Sized), at: u64) -> io::Result<bool> {
    let Some((payload, checksum)) = read_unchecked(source, at)? else {
        return Ok(false);
    };
    if payload.last() != Some(&b'}') {
        return Ok(false);
    }
    let mut offsets = at.saturating_sub(MOVED)..=at + MOVED;
    Ok(offsets.any(|offset| xxh3_64_with_seed(&payload, offset) == checksum))
}

/// Reads all from an offset on, in pieces that overlap by so little that nothing is overlooked.
///
/// A file may be far longer than what is in it, or than memory: its holes are not read.
fn for_each_piece(
    source: &(impl Source + ?Sized),
    mut at: u64,
    mut look: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    const PIECE_BYTES: u64 = 1 << 20;
    let behind = source.size()?.saturating_sub(at);
    let mut piece = vec![0; behind.min(PIECE_BYTES) as usize];
    while let Some(data) = source.next_data(at)? {
        let read = source.fill(&mut piece, data)?;
        look(&piece[..read], data)?;
        if read < BEGINNING.len() {
            break;
        }
        at = data + (read + 1 - BEGINNING.len()) as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::frame::{completed as frame, encode_log};
    use super::*;

    /// The bytes of a log with these frames, and where each frame ends.
    fn log(frames: &[Frame]) -> (Vec<u8>, Vec<usize>) {
        let head = Head::new(Path::new("in.csv"), &crate::domain::KeyColumns::default());
        let ends = (1..=frames.len())
            .map(|count| encode_log(&head, &frames[..count]).len())
            .collect();
        (encode_log(&head, frames), ends)
    }

    #[test]
    fn a_flipped_bit_loses_its_own_frame_and_those_behind_it() {
        let frames = [frame("A"), frame("B"), frame("C")];
        let (mut log, ends) = log(&frames);
        let (begin, last) = (ends[1], ends[2]);
        log.resize(last + 64, 0);
        for bit in 0..log.len() * 8 {
            log[bit / 8] ^= 1 << (bit % 8);
            let read = scan(log.as_slice(), Path::new("log")).unwrap();
            log[bit / 8] ^= 1 << (bit % 8);
            let whole = ends.iter().filter(|&&end| end * 8 <= bit).count();
            assert_eq!(read.frames, frames[..whole], "bit {bit}");
            assert_eq!(read.damage.is_some(), bit / 8 < begin, "bit {bit}");
            assert_eq!(read.torn, bit / 8 >= begin, "bit {bit}");
        }
    }

    #[test]
    fn frames_that_stand_elsewhere_than_they_were_written_are_damage() {
        let frames = [frame("A"), frame("B"), frame("C")];
        let (log, ends) = log(&frames);
        let [a, b, c] = [&log[..ends[0]], &log[ends[0]..ends[1]], &log[ends[1]..]];
        let check = |parts: &[&[u8]], whole: usize, is_damaged: bool| {
            let read = scan(parts.concat().as_slice(), Path::new("log")).unwrap();
            assert_eq!(read.frames, frames[..whole]);
            assert_eq!(read.damage, is_damaged.then_some(read.end));
        };
        check(&[a, b, c], 3, false);
        check(&[a, b, c, c], 3, false);
        check(&[a, b, b, c], 2, false);
        check(&[a, c], 1, false);
        // Of equal length, so that the third stands where it was written.
        check(&[a, c, c], 1, true);
        check(&[a, c, b], 1, false);
        check(&[&vec![0; a.len()], b, c], 0, true);
    }
}
