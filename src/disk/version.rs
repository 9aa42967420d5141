//! Which version of the sheet is the public one.
//!
//! A version is known by device, inode, size, mtime and ctime, and by a hash of its contents.
//! ctime is among them because mtime can be set back; contents are compared when the stamp is too
//! fresh to trust, since two writes within one tick of the kernel's clock look alike, or within one second
//! where the filesystem keeps whole seconds (ext4 with inodes of 128 bytes, ext3, HFS+; FAT keeps even ones).

use std::fs::{File, Metadata};
use std::io::{self, Read, Seek};
use std::os::unix::fs::MetadataExt;
use std::time::{Duration, Instant, SystemTime};

use xxhash_rust::xxh3::Xxh3;

use crate::disk::target::Target;
use crate::error::{Error, Result};

/// The kernel's clock for timestamps may be as coarse as this (10 ms at 100 Hz, with some room).
const TICK: Duration = Duration::from_millis(50);
/// How much later than its time says a file may have been changed where times are whole seconds.
const COARSE: Duration = Duration::from_secs(2);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Stamp {
    dev: u64,
    pub(crate) inode: u64,
    pub(crate) size: u64,
    modified: (i64, i64),
    changed: (i64, i64),
}

impl Stamp {
    pub(crate) fn of(metadata: &Metadata) -> Stamp {
        Stamp {
            dev: metadata.dev(),
            inode: metadata.ino(),
            size: metadata.len(),
            modified: (metadata.mtime(), metadata.mtime_nsec()),
            changed: (metadata.ctime(), metadata.ctime_nsec()),
        }
    }

    /// The same file with the same data, though a rename or a link may have changed its ctime.
    pub(crate) fn same_data(&self, other: &Stamp) -> bool {
        Stamp {
            changed: other.changed,
            ..*self
        } == *other
    }

    /// Whether the last that happened to it was that data was written, and not that it was renamed, linked
    /// or given rights.
    pub(crate) fn was_written_last(&self) -> bool {
        self.modified >= self.changed
    }

    /// How far its times are rounded down. Nobody can set a ctime, so one without a fraction is of a filesystem
    /// that keeps none, but for one time in a million.
    fn granularity(&self) -> Duration {
        match self.changed.1 {
            0 => COARSE,
            _ => Duration::ZERO,
        }
    }

    /// The latest time at which it can have been changed.
    fn changed_at(&self) -> SystemTime {
        time(self.changed) + self.granularity()
    }

    /// The latest time at which data can have been written to it last. The earlier of the two times: a time of
    /// writing that was set by hand to one in the future says nothing.
    fn written_at(&self) -> SystemTime {
        time(self.modified.min(self.changed)) + self.granularity()
    }

    #[cfg(test)]
    pub(crate) fn at(modified: SystemTime, changed: SystemTime) -> Stamp {
        let parts = |time: SystemTime| {
            let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap();
            (since.as_secs() as i64, i64::from(since.subsec_nanos()))
        };
        Stamp {
            dev: 1,
            inode: 1,
            size: 1,
            modified: parts(modified),
            changed: parts(changed),
        }
    }
}

fn time((seconds, nanos): (i64, i64)) -> SystemTime {
    SystemTime::UNIX_EPOCH
        + Duration::new(
            seconds.max(0).unsigned_abs(),
            u32::try_from(nanos).unwrap_or(0),
        )
}

/// A fingerprint of contents: 128 bits of XXH3. It tells versions apart; it proves nothing against
/// somebody who wants two versions to look alike.
pub(crate) type ContentHash = u128;

/// One version of the public file.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Version {
    pub(crate) stamp: Stamp,
    pub(crate) hash: ContentHash,
    /// Before when the contents are known to have been these.
    looked_at: SystemTime,
}

/// What stands in the sheet's place.
pub(crate) enum Look {
    Same,
    Other(File, Stamp),
    Missing,
}

impl Version {
    /// `looked_at` is a time before the contents were hashed.
    pub(crate) fn new(stamp: Stamp, hash: ContentHash, looked_at: SystemTime) -> Version {
        Version {
            stamp,
            hash,
            looked_at,
        }
    }

    /// Whether the public file looks like this version. One that was changed and looks the same, within
    /// a tick of the clock, is found by [`Version::look`] before anything is done about it.
    pub(crate) fn glance(&self, target: &Target) -> Result<bool> {
        match target.open_sheet() {
            Ok((_, metadata)) => Ok(Stamp::of(&metadata) == self.stamp),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// Whether the public file still is this version. Contents are read only if the stamp cannot
    /// tell, and a version that was only touched is recognised.
    pub(crate) fn look(&mut self, target: &Target) -> Result<Look> {
        let (file, metadata) = match target.open_sheet() {
            Ok(opened) => opened,
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => {
                return Ok(Look::Missing);
            }
            Err(error) => return Err(error),
        };
        let stamp = Stamp::of(&metadata);
        if stamp == self.stamp && self.is_told_by_its_stamp() {
            return Ok(Look::Same);
        }
        if stamp.size == self.stamp.size {
            let looked_at = SystemTime::now();
            let hash = hash_file(&file).map_err(Error::io("read", target.path()))?;
            let after = file.metadata().map_err(Error::io("read", target.path()))?;
            if hash == self.hash && Stamp::of(&after) == stamp {
                *self = Version {
                    stamp,
                    hash,
                    looked_at,
                };
                return Ok(Look::Same);
            }
        }
        Ok(Look::Other(file, stamp))
    }

    /// Whether whatever was changed since its contents were read has another stamp.
    fn is_told_by_its_stamp(&self) -> bool {
        self.looked_at
            .duration_since(self.stamp.changed_at())
            .is_ok_and(|settled| settled > TICK)
    }

    /// Whether a file holds the data of this version, whatever became of its name. Contents are read only if the
    /// stamp cannot tell.
    pub(crate) fn is_in(&self, file: &File) -> io::Result<bool> {
        let stamp = Stamp::of(&file.metadata()?);
        Ok(stamp.same_data(&self.stamp)
            && (self.is_told_by_its_stamp() || hash_file(file)? == self.hash))
    }
}

/// How long a file has been left alone.
///
/// By its own time, or since this stamp was first seen, whichever is longer: after the clock was set
/// back a file's time lies in the future for as long as that was.
#[derive(Default)]
pub(crate) struct Rest(Option<(Stamp, Instant)>);

impl Rest {
    pub(crate) fn of(&mut self, stamp: &Stamp) -> Duration {
        self.since(stamp, stamp.changed_at())
    }

    /// How long its data has been left alone, whatever became of its name and rights.
    pub(crate) fn of_data(&mut self, stamp: &Stamp) -> Duration {
        self.since(stamp, stamp.written_at())
    }

    fn since(&mut self, stamp: &Stamp, its_own: SystemTime) -> Duration {
        let since = match self.0 {
            Some((seen, since)) if seen == *stamp => since,
            _ => {
                let now = Instant::now();
                self.0 = Some((*stamp, now));
                now
            }
        };
        SystemTime::now()
            .duration_since(its_own)
            .unwrap_or_default()
            .max(since.elapsed())
    }
}

pub(crate) fn hash_bytes(bytes: &[u8]) -> ContentHash {
    xxhash_rust::xxh3::xxh3_128(bytes)
}

pub(crate) fn hash_file(mut file: &File) -> io::Result<ContentHash> {
    let mut hasher = Xxh3::new();
    let mut buffer = vec![0; 256 << 10];
    file.rewind()?;
    loop {
        match file.read(&mut buffer) {
            Ok(0) => return Ok(hasher.digest128()),
            Ok(read) => hasher.update(&buffer[..read]),
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    fn stamp(changed: i64) -> Stamp {
        Stamp {
            dev: 1,
            inode: 1,
            size: 1,
            modified: (0, 0),
            changed: (changed, 0),
        }
    }

    #[test]
    fn a_file_from_the_future_rests_from_when_it_was_seen() {
        let (future, touched) = (stamp(i64::from(u32::MAX)), stamp(i64::from(u32::MAX) + 1));
        let mut rest = Rest::default();
        assert!(rest.of(&future) < Duration::from_secs(1));
        std::thread::sleep(Duration::from_millis(20));
        assert!(rest.of(&future) >= Duration::from_millis(20));
        assert!(rest.of(&touched) < rest.of(&stamp(0)));
        assert!(rest.of(&stamp(0)) > Duration::from_secs(1_000_000));
    }

    #[test]
    fn a_time_in_whole_seconds_tells_nothing_before_its_second_is_over() {
        let told = |nanos, looked_at_ms| {
            let stamp = Stamp {
                changed: (1_000, nanos),
                ..stamp(0)
            };
            let looked_at = SystemTime::UNIX_EPOCH + Duration::from_millis(looked_at_ms);
            Version::new(stamp, 0, looked_at).is_told_by_its_stamp()
        };
        assert!(!told(1, 1_000_040) && told(1, 1_000_060));
        assert!(!told(0, 1_000_060) && !told(0, 1_001_990) && told(0, 1_002_060));

        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
        let this_second = i64::try_from(now.unwrap().as_secs()).unwrap();
        let rested = Rest::default().of(&stamp(this_second));
        assert!(rested < Duration::from_millis(100), "{rested:?}");
    }

    #[test]
    fn contents_are_compared_where_the_stamp_of_a_displaced_file_cannot_tell() {
        let file = tempfile::tempfile().unwrap();
        (&file).write_all(b"theirs").unwrap();
        let stamp = Stamp::of(&file.metadata().unwrap());
        let is_in = |stamp: Stamp, contents: &[u8], later| {
            let looked_at = time(stamp.changed) + Duration::from_secs(later);
            let version = Version::new(stamp, hash_bytes(contents), looked_at);
            version.is_in(&file).unwrap()
        };
        let coarse = Stamp {
            changed: (stamp.changed.0, 0),
            ..stamp
        };
        assert!(!is_in(coarse, b"before", 1) && is_in(coarse, b"theirs", 1));
        assert!(
            is_in(coarse, b"before", 3),
            "the stamp would be another one"
        );
        assert!(!is_in(stamp, b"before", 0) && is_in(stamp, b"before", 1));
    }
}
