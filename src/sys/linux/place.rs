//! What a file lies on.

use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use rustix::fs::{AtFlags, CWD, StatxAttributes, StatxFlags, fstatfs, statx};

/// The network filesystem that a file lies on, if it does. Magic numbers from statfs(2).
pub(crate) fn network_filesystem(file: &File) -> io::Result<Option<&'static str>> {
    let kind = fstatfs(file)?.f_type as u64;
    Ok(Some(match kind & 0xffff_ffff {
        0x6969 => "NFS",
        0xff53_4d42 => "CIFS",
        0xfe53_4d42 => "SMB2",
        0x517b => "SMB",
        0x5346_414f | 0x6b41_4653 => "AFS",
        0x00c3_6400 => "Ceph",
        0x0102_1997 => "9P",
        0x7375_7245 => "Coda",
        0x564c => "NCP",
        _ => return Ok(None),
    }))
}

/// The path that an open folder has by now; `None` if it has none.
pub(crate) fn of(folder: &File) -> Option<PathBuf> {
    let path = std::fs::read_link(format!("/proc/self/fd/{}", folder.as_raw_fd())).ok()?;
    path.exists().then_some(path)
}

/// Whether a file is mounted by itself, so that nothing can take its place.
pub(crate) fn is_mounted_alone(path: &Path) -> io::Result<bool> {
    let wanted = StatxFlags::BASIC_STATS;
    let statx = statx(CWD, path, AtFlags::SYMLINK_NOFOLLOW, wanted)?;
    Ok(statx.stx_attributes.contains(StatxAttributes::MOUNT_ROOT))
}
