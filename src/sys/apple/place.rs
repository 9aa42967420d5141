//! What a file lies on.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};

use rustix::fs::{fstatfs, getpath};

pub(crate) use crate::sys::unix::filesystem::Filesystem;

/// One that the system does not call local is a network's; the names are those of mount(8).
pub(crate) fn filesystem(file: &File) -> io::Result<Filesystem> {
    let statfs = fstatfs(file)?;
    if statfs.f_flags & libc::MNT_LOCAL as u32 != 0 {
        return Ok(Filesystem::Disk);
    }
    let name: Vec<u8> = statfs
        .f_fstypename
        .iter()
        .map(|&character| character as u8)
        .take_while(|&byte| byte != 0)
        .collect();
    let name = match name.as_slice() {
        b"nfs" => "NFS",
        b"smbfs" => "SMB",
        b"afpfs" => "AFP",
        b"webdav" => "WebDAV",
        _ => "of another host",
    };
    Ok(Filesystem::Network(name.into()))
}

/// What forbids that a file is replaced; who may not finds out when it is rehearsed.
pub(crate) fn forbidding_attribute(_path: &Path) -> io::Result<Option<&'static str>> {
    Ok(None)
}

/// Whether the system tells of processes and locks, by its own calls.
pub(crate) fn tells_of_processes() -> bool {
    true
}

/// The path that an open folder has by now; `None` if it has none.
pub(crate) fn of(folder: &File) -> Option<PathBuf> {
    let path = getpath(folder).ok()?;
    let path = PathBuf::from(OsStr::from_bytes(path.as_bytes()));
    path.exists().then_some(path)
}

/// Whether a file is mounted by itself: only folders are.
pub(crate) fn is_mounted_alone(_path: &Path) -> io::Result<bool> {
    Ok(false)
}
