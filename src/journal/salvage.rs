//! What can still be read behind the place where a log is damaged.
//!
//! Work that was done is not thrown away because a piece of the log before it is gone. A frame is looked for
//! at every offset. Its checksum tells where it was written, and so does the order of all that is found: a
//! frame that somebody moved has its place, and a copy of one that was read counts once.
//!
//! Frames tell of versions by the numbers of other frames. Where it cannot be counted how many are lost, what
//! is told of versions behind that is left out: a version that is not known is judged by its contents, one with
//! a wrong number would hide results.

use std::collections::BTreeMap;
use std::io;

use memchr::memmem;
use xxhash_rust::xxh3::xxh3_64_with_seed;

use super::frame::{Frame, Head, PREFIX, Public, read_unchecked};
use super::read::{BEGINNING, for_each_piece};
use super::source::Source;

/// How far from where it stands now a frame may have been written, if nothing else tells: a piece of this
/// length may have been cut out or put in.
const MOVED: u64 = 64 << 10;

/// How many bytes are hashed to find out how long a piece was that was cut out, if it was longer than that: of a
/// frame of 500 bytes, one of up to 2 MiB. So bounded, a damaged log is still opened in a moment.
const HASHED: u64 = 1 << 30;

/// What stands behind the last frame that could be read in order.
pub(super) struct Behind {
    pub(super) head: Option<Head>,
    /// In the order in which they were written. One that holds nothing stands for each that is lost, where it is
    /// known how many are.
    pub(super) frames: Vec<Frame>,
    /// Bytes that are missing, or say nothing that can be trusted.
    pub(super) unreadable_bytes: u64,
    /// There is something else than zeros.
    pub(super) has_bytes: bool,
    /// There is a whole frame, which no torn end has.
    pub(super) has_frame: bool,
}

/// A frame whose checksum tells where it was written.
struct Found {
    at: u64,
    length: u64,
    entry: Entry,
}

enum Entry {
    Head(Head),
    Frame(Frame),
}

/// Looks for what was written behind an offset; `is_begun` tells whether the head stands before it.
pub(super) fn look_behind(
    source: &(impl Source + ?Sized),
    from: u64,
    is_begun: bool,
) -> io::Result<Behind> {
    let mut search = Search {
        source,
        next: from,
        known_upto: from,
        origin: from,
        astray: Vec::new(),
        has_frame: false,
        found: BTreeMap::new(),
    };
    let mut end_of_data = from;
    for_each_piece(source, from, |piece, at| {
        if let Some(last) = piece.iter().rposition(|&byte| byte != 0) {
            end_of_data = at + last as u64 + 1;
        }
        for payload in memmem::find_iter(piece, BEGINNING) {
            if let Some(at) = (at + payload as u64).checked_sub(PREFIX as u64) {
                search.take(at)?;
            }
        }
        Ok(())
    })?;
    search.find_astray()?;
    let Search {
        has_frame,
        known_upto,
        found,
        ..
    } = search;
    let mut behind = Behind {
        head: None,
        frames: Vec::new(),
        unreadable_bytes: end_of_data.saturating_sub(known_upto),
        has_bytes: end_of_data > from,
        has_frame,
    };
    let mut lost_frames = Some(0);
    // Behind the last one: where it stands, and where it was written.
    let (mut upto, mut origin_upto) = (from, from);
    let mut is_begun = is_begun;
    for (origin, found) in found.range(from..) {
        if *origin > origin_upto {
            behind.unreadable_bytes += origin - origin_upto;
            let is_in_place = found.at == *origin && upto == origin_upto;
            let walked = match is_in_place {
                true => walk(source, origin_upto, *origin)?,
                false => None,
            };
            let more = walked.and_then(|frames| frames.checked_sub(u64::from(!is_begun)));
            lost_frames = lost_frames.and(more);
            let lost = more.unwrap_or_default() as usize;
            behind
                .frames
                .extend(std::iter::repeat_with(Frame::now).take(lost));
        }
        is_begun = true;
        match &found.entry {
            Entry::Head(head) => behind.head = Some(head.clone()),
            Entry::Frame(frame) => behind.frames.push(match lost_frames {
                Some(_) => frame.clone(),
                None => without_numbers(frame),
            }),
        }
        origin_upto = origin + found.length;
        upto = found.at + found.length;
    }
    Ok(behind)
}

struct Search<'s, S: ?Sized> {
    source: &'s S,
    /// Behind the last whole frame, where it stands.
    next: u64,
    /// Behind the last of which it is known where it was written, where it stands.
    known_upto: u64,
    /// The same, where it was written.
    origin: u64,
    /// Frames of which it could not be told where they were written.
    astray: Vec<Found>,
    has_frame: bool,
    /// By where they were written.
    found: BTreeMap<u64, Found>,
}

impl<S: Source + ?Sized> Search<'_, S> {
    /// Takes the frame that stands at an offset, if one does.
    fn take(&mut self, at: u64) -> io::Result<()> {
        if at < self.next {
            return Ok(());
        }
        let Some((payload, checksum)) = read_unchecked(self.source, at)? else {
            return Ok(());
        };
        if payload.last() != Some(&b'}') {
            return Ok(());
        }
        let entry = match serde_json::from_slice(&payload) {
            Ok(frame) => Entry::Frame(frame),
            Err(_) => match serde_json::from_slice(&payload) {
                Ok(head) => Entry::Head(head),
                Err(_) => return Ok(()),
            },
        };
        let length = (PREFIX + payload.len()) as u64;
        self.has_frame = true;
        self.next = at + length;
        let is_of = |origin: &u64| xxh3_64_with_seed(&payload, *origin) == checksum;
        let mut likely = [at, self.origin, 0].into_iter();
        let origin = match likely.find(is_of) {
            None if self.astray.is_empty() => (at.saturating_sub(MOVED)..=at + MOVED).find(is_of),
            likely => likely,
        };
        let found = Found { at, length, entry };
        match origin {
            Some(origin) => self.place(found, origin),
            None => self.astray.push(found),
        }
        Ok(())
    }

    fn place(&mut self, found: Found, origin: u64) {
        self.known_upto = self.known_upto.max(found.at + found.length);
        self.origin = origin + found.length;
        self.found.entry(origin).or_insert(found);
    }

    /// A longer piece was cut out, if frames that follow each other have lost their places. One alone is most likely
    /// changed.
    fn find_astray(&mut self) -> io::Result<()> {
        let astray = std::mem::take(&mut self.astray);
        let in_a_row = astray.chunk_by(|one, next| one.at + one.length == next.at);
        let longest = in_a_row.max_by_key(|row| row.len()).unwrap_or_default();
        let shortest = longest.iter().min_by_key(|found| found.length);
        let Some(shortest) = shortest.filter(|_| longest.len() > 1) else {
            return Ok(());
        };
        let Some((payload, checksum)) = read_unchecked(self.source, shortest.at)? else {
            return Ok(());
        };
        let mut lengths = MOVED + 1..=HASHED / shortest.length;
        let is_of = |cut: &u64| xxh3_64_with_seed(&payload, shortest.at + cut) == checksum;
        let Some(cut) = lengths.find(is_of) else {
            return Ok(());
        };
        for found in astray {
            let origin = found.at + cut;
            if let Some((payload, checksum)) = read_unchecked(self.source, found.at)?
                && xxh3_64_with_seed(&payload, origin) == checksum
            {
                self.place(found, origin);
            }
        }
        Ok(())
    }
}

/// How many frames stood between two offsets, if their lengths still tell.
fn walk(source: &(impl Source + ?Sized), from: u64, to: u64) -> io::Result<Option<u64>> {
    let (mut at, mut frames) = (from, 0);
    while at < to {
        let mut length = [0; 4];
        if source.fill(&mut length, at)? < length.len() {
            return Ok(None);
        }
        let length = u32::from_le_bytes(length);
        if length == 0 {
            return Ok(None);
        }
        at += PREFIX as u64 + u64::from(length);
        frames += 1;
    }
    Ok((at == to).then_some(frames))
}

fn without_numbers(frame: &Frame) -> Frame {
    let mut frame = frame.clone();
    let public = &mut frame.public;
    public.retain(|public| matches!(public, Public::Judged { .. }));
    frame
}
