//! Reading a log from its beginning: all frames up to the first one that is not valid.
//!
//! What is not valid and has no whole frame behind it is the torn tail of a crash and was never
//! acknowledged; where one stands behind it, the log is damaged. To tell the two apart the rest is
//! searched for a frame at every offset (`salvage.rs`), since the length of one that is not valid says nothing.
//! A frame counts wherever it stands: an editor that saved the file may have added a mark, or a piece may have
//! been cut out. A log that does not begin with its head is damaged as well, since no log has its name before
//! its head is synced. A file in which nothing is like a log is somebody else's.

use std::io;
use std::path::Path;

use chrono::{DateTime, Utc};

use super::frame::{Frame, Head, PREFIX, open_session, parse, read_frame};
use super::salvage::look_behind;
use super::source::Source;
use crate::domain::KeyColumns;
use crate::error::{Error, Result};

/// How every payload begins.
pub(super) const BEGINNING: &[u8] = b"{\"";
/// What stands at the beginning of a log that is about to be removed; no frame is that long.
pub(super) const EMPTIED: &[u8; 4] = b"gone";

/// A log as it was read.
pub(crate) struct Log {
    pub(super) head: Option<Head>,
    pub(crate) frames: Vec<Frame>,
    /// Behind the last valid frame.
    pub(crate) end: u64,
    /// What is behind the last valid frame, if that is not the torn end that a crash leaves.
    pub(crate) damage: Option<Damage>,
    /// Whether a torn end is there.
    pub(super) torn: bool,
    /// Whether the file is no log, and never was one.
    pub(super) is_foreign: bool,
}

/// What is wrong with a log.
pub(crate) struct Damage {
    /// Where it begins.
    pub(super) offset: u64,
    /// When the last frame before it was written, or the log begun.
    pub(super) since: Option<DateTime<Utc>>,
    /// Bytes that are missing, or say nothing that can be trusted.
    pub(super) unreadable_bytes: u64,
    /// The frames that could be read behind it.
    pub(crate) behind: Vec<Frame>,
}

impl Log {
    /// Whether no result was ever written to it, and no session is going on with it.
    pub(super) fn has_no_results(&self) -> bool {
        let head = self.head.as_ref().filter(|head| head.is_known());
        let is_closed = |head| open_session(head, &self.frames).is_none();
        self.damage.is_none()
            && head.is_some_and(is_closed)
            && self.frames.iter().all(|frame| frame.rows.is_empty())
    }

    pub(super) fn has_another_key(&self, key: &KeyColumns) -> bool {
        let head = self.head.as_ref();
        head.is_some_and(|head| !head.key().is_same(key))
    }

    /// All frames that could be read.
    pub(super) fn all_frames(self) -> Vec<Frame> {
        let behind = self.damage.map(|damage| damage.behind);
        let frames = self.frames.into_iter();
        frames.chain(behind.unwrap_or_default()).collect()
    }
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
        is_foreign: false,
    };
    let behind = loop {
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
        let behind = look_behind(source, log.end, log.head.is_some()).map_err(failed())?;
        // Readers hold no lock: the frame that was half there may have been written to its end meanwhile.
        let is_there = || read_frame(source, log.end).map(|frame| frame.is_some());
        if !behind.has_frame || !is_there().map_err(failed())? {
            break behind;
        }
    };
    let is_damaged = behind.has_frame || log.head.is_none();
    if behind.has_bytes && is_damaged {
        log.is_foreign =
            !behind.has_frame && log.end == 0 && !may_be_a_head(source).map_err(failed())?;
        let last = log.frames.last().map(|frame| frame.at);
        log.head = log.head.or(behind.head);
        log.damage = Some(Damage {
            offset: log.end,
            since: last.or(log.head.as_ref().map(|head| head.created)),
            unreadable_bytes: behind.unreadable_bytes,
            behind: behind.frames,
        });
    }
    log.torn = behind.has_bytes && !is_damaged;
    Ok(log)
}

/// Whether a file may begin with a head that a crash cut off.
fn may_be_a_head(source: &(impl Source + ?Sized)) -> io::Result<bool> {
    let mut beginning = [0; PREFIX + BEGINNING.len()];
    source.fill(&mut beginning, 0)?;
    let mut payload = beginning[PREFIX..].iter().zip(BEGINNING);
    // A head is far shorter than 64 KiB.
    let has_length = beginning[2..4] == [0, 0];
    Ok(has_length && payload.all(|(byte, want)| byte == want || *byte == 0))
}

/// Reads all from an offset on, in pieces that overlap by so little that nothing is overlooked.
///
/// A file may be far longer than what is in it, or than memory: its holes are not read.
pub(super) fn for_each_piece(
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
    use super::super::frame::{Public, completed as frame, encode_log};
    use super::*;

    /// The bytes of a log with these frames, and where each frame ends.
    fn log(frames: &[Frame]) -> (Vec<u8>, Vec<usize>) {
        let head = Head::new(Path::new("in.csv"), &crate::domain::KeyColumns::default());
        let ends = (1..=frames.len())
            .map(|count| encode_log(&head, &frames[..count]).len())
            .collect();
        (encode_log(&head, frames), ends)
    }

    /// The frames that say something, of which there are none for what is lost.
    fn behind(read: &Log) -> Vec<&Frame> {
        let behind = read.damage.iter().flat_map(|damage| &damage.behind);
        behind.filter(|frame| !frame.rows.is_empty()).collect()
    }

    #[test]
    fn a_flipped_bit_loses_its_own_frame_alone() {
        let frames = [frame("A"), frame("B"), frame("C")];
        let (mut log, ends) = log(&frames);
        let (begin, last) = (ends[1], ends[2]);
        log.resize(last + 64, 0);
        let head = log.len() - 64 - ends[2] + ends[0];
        for bit in 0..log.len() * 8 {
            log[bit / 8] ^= 1 << (bit % 8);
            let read = scan(log.as_slice(), Path::new("log")).unwrap();
            let payload = &log[begin + PREFIX..last];
            let is_whole = serde_json::from_slice::<Frame>(payload).is_ok()
                && log[begin..begin + 4] == ((last - begin - PREFIX) as u32).to_le_bytes();
            log[bit / 8] ^= 1 << (bit % 8);
            let whole = ends.iter().filter(|&&end| end * 8 <= bit).count();
            assert_eq!(read.frames, frames[..whole], "bit {bit}");
            assert_eq!(
                read.damage.is_some(),
                bit / 8 < begin || bit / 8 < last && is_whole,
                "bit {bit}"
            );
            assert_eq!(read.torn, read.damage.is_none(), "bit {bit}");
            let is_of_head = read.head.is_none();
            assert!(!is_of_head || bit / 8 < head);
            let lost = usize::from(!is_of_head);
            let survive: Vec<_> = frames.iter().skip(whole + lost).collect();
            assert_eq!(behind(&read), survive, "bit {bit}");
        }
    }

    #[test]
    fn frames_that_stand_elsewhere_than_they_were_written_are_damage_and_read_in_their_order() {
        let frames = [frame("A"), frame("B"), frame("C")];
        let (log, ends) = log(&frames);
        let [a, b, c] = [&log[..ends[0]], &log[ends[0]..ends[1]], &log[ends[1]..]];
        let check = |parts: &[&[u8]], whole: usize, found: Option<(&[Frame], usize)>| {
            let read = scan(parts.concat().as_slice(), Path::new("log")).unwrap();
            assert_eq!(read.frames, frames[..whole]);
            assert_eq!(read.damage.is_some(), found.is_some());
            if let Some((survive, unreadable)) = found {
                assert_eq!(behind(&read), survive.iter().collect::<Vec<_>>());
                assert_eq!(read.damage.unwrap().unreadable_bytes, unreadable as u64);
            }
        };
        let none: &[Frame] = &[];
        check(&[a, b, c], 3, None);
        check(&[a, b, c, c], 3, Some((none, 0)));
        check(&[a, b, b, c], 2, Some((&frames[2..], 0)));
        check(&[a, c], 1, Some((&frames[2..], b.len())));
        // Of equal length, so that the third stands where it was written.
        check(&[a, c, c], 1, Some((&frames[2..], b.len())));
        check(&[a, c, b], 1, Some((&frames[1..], 0)));
        check(&[&vec![0; a.len()], b, c], 0, Some((&frames[1..], a.len())));
        check(&[b"\xef\xbb\xbf", a, b, c], 0, Some((&frames, 0)));
        let head = 2 * ends[0] - ends[1];
        check(&[&log[3..]], 0, Some((&frames, head)));
    }

    #[test]
    fn behind_a_long_piece_that_was_cut_out_every_frame_is_read() {
        let long = "x".repeat(70 << 10);
        let frames = ["A", "B", &long, "C", "D"].map(frame);
        let (log, ends) = log(&frames);
        let mut damaged = [&log[..ends[1]], &log[ends[2]..]].concat();
        let read = scan(damaged.as_slice(), Path::new("log")).unwrap();
        assert_eq!(read.frames, frames[..2]);
        assert_eq!(behind(&read), frames[3..].iter().collect::<Vec<_>>());
        let cut = ends[2] - ends[1];
        assert_eq!(read.damage.unwrap().unreadable_bytes, cut as u64);
        // A changed frame has a checksum of nowhere.
        damaged[ends[0] + PREFIX + 20] ^= 1;
        let read = scan(damaged.as_slice(), Path::new("log")).unwrap();
        assert_eq!(behind(&read), frames[3..].iter().collect::<Vec<_>>());
    }

    /// Of a log in which a writer has written half of a frame, and goes on as soon as something else is looked for.
    struct Growing {
        written: Vec<u8>,
        half: usize,
        is_written: std::cell::Cell<bool>,
    }

    impl Source for Growing {
        fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
            let mut log = self.written.clone();
            if !self.is_written.get() {
                log.truncate(self.half);
                log.resize(self.written.len(), 0);
            }
            log.as_slice().read_at(buffer, offset)
        }

        fn size(&self) -> io::Result<u64> {
            Ok(self.written.len() as u64)
        }

        fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
            self.is_written.set(true);
            self.written.as_slice().next_data(offset)
        }
    }

    #[test]
    fn a_frame_that_is_written_while_the_log_is_read_is_no_damage() {
        let frames = [frame("A"), frame("B"), frame("C")];
        let (written, ends) = log(&frames);
        let growing = Growing {
            half: ends[0] + 40,
            written,
            is_written: false.into(),
        };
        let read = scan(&growing, Path::new("log")).unwrap();
        assert!(read.damage.is_none() && !read.torn);
        assert_eq!(read.frames, frames);
    }

    #[test]
    fn what_is_told_of_versions_is_left_out_where_frames_before_it_cannot_be_counted() {
        let told = Frame::telling(vec![Public::next(7, 2, None, None), Public::judged(8)]);
        let frames = [frame("A"), frame("B"), told.clone()];
        let (log, ends) = log(&frames);
        let damaged = |at: usize| {
            let mut log = log.clone();
            log[at] ^= 1;
            scan(log.as_slice(), Path::new("log")).unwrap().all_frames()
        };
        let counted = damaged(ends[0] + PREFIX);
        assert_eq!((counted.len(), &counted[2]), (3, &told));
        let not_counted = damaged(ends[0]);
        assert_eq!(not_counted.len(), 2);
        assert_eq!(not_counted[1].public, [Public::judged(8)]);
    }

    #[test]
    fn a_file_in_which_nothing_is_like_a_log_is_somebody_elses() {
        let (log, ends) = log(&[frame("A")]);
        for (bytes, is_foreign) in [
            (&b"these are notes\n"[..], true),
            (b"{\"a\":1}", true),
            (&log[..ends[0] / 4], false),
            (&log[1..], false),
            (b"", false),
            (&[0; 99], false),
        ] {
            let read = scan(bytes, Path::new("log")).unwrap();
            assert_eq!(read.is_foreign, is_foreign, "{bytes:?}");
        }
    }
}
