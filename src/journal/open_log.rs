//! The file of a log, as its writer holds it: what is known of it, and where it ends.
//!
//! Two things happen before anything is written behind the end. The frames of others are written and
//! synced again: who wrote them may have been killed after a sync that failed. And space is had.
//!
//! The edges of what is known are remembered: another program may write over the file, which keeps its inode.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};

use super::source::Source;
use crate::sys::{access_time, room};

/// By how much the log's room grows when the reserved space is used up.
const GROWTH_BYTES: u64 = 64 << 10;
/// How much of either end of the known part is remembered at most.
const EDGE_BYTES: usize = 64;

/// A log that is open for appending.
pub(super) struct OpenLog {
    pub(super) file: File,
    pub(super) inode: u64,
    /// Behind the last valid frame: all before it was read or written by us.
    pub(super) end: u64,
    /// How many frames stand before that.
    pub(super) count: u64,
    /// From here on stand frames of others, whose sync may have failed.
    pub(super) unsure_from: u64,
    /// Up to where the filesystem has given us space, as far as we know.
    pub(super) room: u64,
    /// Another program wrote over the file, and what it wrote is kept.
    pub(super) is_written_over: bool,
    /// What the known part begins with.
    beginning: Vec<u8>,
    /// What it ends with.
    ending: Vec<u8>,
}

impl OpenLog {
    pub(super) fn new(file: File, end: u64, count: u64) -> io::Result<OpenLog> {
        let metadata = file.metadata()?;
        // Reading is no reason to write the inode at the next sync.
        access_time::leave(&file);
        let edge = EDGE_BYTES.min(end as usize);
        let (mut beginning, mut ending) = (vec![0; edge], vec![0; edge]);
        file.read_exact_at(&mut beginning, 0)?;
        file.read_exact_at(&mut ending, end - edge as u64)?;
        Ok(OpenLog {
            file,
            inode: metadata.ino(),
            end,
            count,
            unsure_from: 0,
            room: metadata.len(),
            is_written_over: false,
            beginning,
            ending,
        })
    }

    /// One more frame is known, which ends there with these bytes.
    pub(super) fn knows_up_to(&mut self, end: u64, last: &[u8]) {
        self.ending = last[last.len().saturating_sub(EDGE_BYTES)..].to_vec();
        (self.end, self.count) = (end, self.count + 1);
    }

    /// Whether the edges of what is known are still in the file, but for so many bytes at its beginning.
    pub(super) fn is_as_known(&self, but: usize) -> io::Result<bool> {
        let has = |edge: &[u8], at: u64| -> io::Result<bool> {
            let mut there = vec![0; edge.len()];
            Ok(Source::fill(&self.file, &mut there, at)? == edge.len() && there == edge)
        };
        let ending = self.end - self.ending.len() as u64;
        Ok(has(&self.beginning[but..], but as u64)? && has(&self.ending, ending)?)
    }

    /// Writes the frames of others again and syncs them, before anything stands behind them.
    pub(super) fn sync_frames_of_others(&mut self) -> io::Result<()> {
        if self.unsure_from < self.end {
            let mut bytes = vec![0; (self.end - self.unsure_from) as usize];
            self.file.read_exact_at(&mut bytes, self.unsure_from)?;
            self.file.write_all_at(&bytes, self.unsure_from)?;
            self.file.sync_data()?;
            self.unsure_from = self.end;
        }
        Ok(())
    }

    /// Gets space up to there before anything is written: on a full disk the log stays as it is,
    /// and goes on with whatever fits. Otherwise a frame that fails half way costs the log, and the
    /// new one needs room for all of it once more.
    pub(super) fn make_room(&mut self, upto: u64) -> io::Result<()> {
        if upto <= self.room {
            return Ok(());
        }
        let reserve = |upto: u64| {
            let reserved = room::reserve_behind(&self.file, self.end, upto - self.end)?;
            Ok(reserved.then_some(upto))
        };
        let reserved = reserve(upto + GROWTH_BYTES).or_else(|_: io::Error| reserve(upto))?;
        self.room = match reserved {
            Some(room) => room,
            None => self
                .fill(upto + GROWTH_BYTES)
                .or_else(|_| self.fill(upto))?,
        };
        Ok(())
    }

    /// Where the filesystem reserves nothing, space is had by zeros, as the reserved space of a session is.
    fn fill(&self, upto: u64) -> io::Result<u64> {
        let start = self.file.metadata()?.len().max(self.end);
        let zeros = vec![0; upto.saturating_sub(start) as usize];
        if let Err(error) = self.file.write_all_at(&zeros, start) {
            self.file.set_len(start)?;
            return Err(error);
        }
        Ok(upto)
    }
}
