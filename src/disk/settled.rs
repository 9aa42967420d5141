//! A version is taken whole, or not at all.
//!
//! Another program may be half done with what is read here: the sheet, the input of a copy, a backup. A
//! version is taken while nobody has it open for writing, which a read lease tells, and only if it did not
//! change meanwhile. It must have been left alone for [`SETTLE`] if the last that happened to it was that
//! data was written to it: a program may close a file between two of its writes. One that looks half
//! written must have been left alone for [`SETTLE_SUSPICIOUS`]. A file that was renamed into its place,
//! as editors and tickoff itself do, was complete before it got its name, and its rename is later than
//! its data; so two commands in a row do not wait for each other.

use std::fs::File;
use std::path::Path;
use std::time::{Duration, SystemTime};

use crate::disk::snapshot::Snapshot;
use crate::disk::target::Target;
use crate::disk::version::{Rest, Stamp, Version, hash_bytes};
use crate::error::{Error, Result};
use crate::sys::lease::{Lease, Leased};

/// How long a version that was written in place must have rested before it is taken.
pub(crate) const SETTLE: Duration = Duration::from_millis(200);
/// The same for one that may be half written, and for one that is gone.
pub(crate) const SETTLE_SUSPICIOUS: Duration = Duration::from_secs(2);

/// A private copy of the public file as it is. `None`: somebody is writing to it.
pub(crate) fn take(target: &Target) -> Result<Option<(Snapshot, Version)>> {
    let (file, _) = target.open_sheet()?;
    take_open(&file, target.path(), |file| Snapshot::copy(target, file))
}

/// The same for any file that is open for reading only, with a copy that is made by `copy`; the path is
/// only named in errors.
pub(crate) fn take_open(
    file: &File,
    path: &Path,
    copy: impl FnOnce(&File) -> Result<Snapshot>,
) -> Result<Option<(Snapshot, Version)>> {
    let stamp = || {
        let metadata = file.metadata().map_err(Error::io("read", path))?;
        Ok(Stamp::of(&metadata))
    };
    let before = stamp()?;
    let lease = match Lease::take(file) {
        Leased::Refused => return Ok(None),
        Leased::Held(lease) => Some(lease),
        Leased::Unsupported => None,
    };
    let looked_at = SystemTime::now();
    let snapshot = copy(file)?;
    let version = Version::new(before, hash_bytes(&snapshot), looked_at);
    let is_whole = stamp()? == before
        && (lease.is_some() || version.is_in(file).map_err(Error::io("read", path))?);
    Ok(is_whole.then_some((snapshot, version)))
}

/// Whether a version that was not known before has been left alone for long enough to be whole.
pub(crate) fn has_settled(rest: &mut Rest, stamp: &Stamp, is_suspicious: bool) -> bool {
    let needed = match (is_suspicious, stamp.was_written_last()) {
        (true, _) => SETTLE_SUSPICIOUS,
        (false, true) => SETTLE,
        (false, false) => return true,
    };
    rest.of_data(stamp) >= needed
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Whether a version that was written and moved so many milliseconds ago has settled, as what.
    #[track_caller]
    fn check(written: u64, changed: u64, whole: bool, suspicious: bool) {
        let now = SystemTime::now();
        let ago = |ms| now - Duration::from_millis(ms);
        let stamp = Stamp::at(ago(written), ago(changed));
        let settled = |is_suspicious| has_settled(&mut Rest::default(), &stamp, is_suspicious);
        let what = format!("written {written} ms ago, changed {changed} ms ago");
        assert_eq!(
            (settled(false), settled(true)),
            (whole, suspicious),
            "{what}"
        );
    }

    #[test]
    fn what_was_written_in_place_has_to_rest_and_what_was_moved_into_place_need_not() {
        check(0, 0, false, false);
        check(500, 500, true, false);
        check(10, 0, true, false);
        check(5_000, 0, true, true);
        check(5_000, 5_000, true, true);
    }

    #[test]
    fn a_time_of_writing_that_lies_in_the_future_is_not_believed() {
        let now = SystemTime::now();
        let stamp = Stamp::at(
            now + Duration::from_secs(3_600),
            now - Duration::from_secs(5),
        );
        assert!(has_settled(&mut Rest::default(), &stamp, true));
    }
}
