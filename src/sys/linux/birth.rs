//! When a file was made.

use std::io;
use std::path::Path;
use std::time::{Duration, SystemTime};

use rustix::fs::{AtFlags, CWD, StatxFlags, statx};

/// When the file was made that a path leads to; `Unsupported` where the filesystem does not tell.
///
/// std asks for it only if it was built for glibc: to `Metadata::created` of a program that is linked with musl, no
/// filesystem tells.
pub(crate) fn of(path: &Path) -> io::Result<SystemTime> {
    let statx = statx(CWD, path, AtFlags::empty(), StatxFlags::BTIME)?;
    if statx.stx_mask & StatxFlags::BTIME.bits() == 0 {
        return Err(io::ErrorKind::Unsupported.into());
    }
    let nanoseconds = Duration::from_nanos(statx.stx_btime.tv_nsec.into());
    let seconds = Duration::from_secs(statx.stx_btime.tv_sec.unsigned_abs());
    let whole = match statx.stx_btime.tv_sec < 0 {
        true => SystemTime::UNIX_EPOCH.checked_sub(seconds),
        false => SystemTime::UNIX_EPOCH.checked_add(seconds),
    };
    let time = whole.and_then(|time| time.checked_add(nanoseconds));
    time.ok_or_else(|| io::ErrorKind::InvalidData.into())
}

#[cfg(all(test, target_env = "gnu"))]
mod tests {
    use super::*;

    #[test]
    fn it_is_what_std_says_where_std_asks() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let std = file.path().metadata().unwrap().created();
        assert_eq!(of(file.path()).ok(), std.ok());
    }
}
