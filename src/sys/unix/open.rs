//! Opening the files in a folder that is held open.
//!
//! Never through a link that somebody planted, never inherited by a command, and never waiting: a pipe
//! that took a file's name would stop whoever opens it, and a write lease of somebody else's is noticed
//! this way. For reading and writing a regular file O_NONBLOCK means nothing.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::os::fd::AsFd;
use std::path::Path;

use rustix::fs::{CWD, Mode, OFlags, RawMode, openat};
use rustix::io::retry_on_intr;
use rustix::path::Arg;

const ALWAYS: OFlags = OFlags::CLOEXEC.union(OFlags::NOFOLLOW);

/// Opens a file that is there for reading.
pub(crate) fn to_read(folder: &File, name: impl Arg + Copy) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | ALWAYS;
    at(folder, name, flags, Mode::empty())
}

/// Opens what a path means for reading, through links too: it is a path that the user gave.
pub(crate) fn path_to_read(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::CLOEXEC;
    at(CWD, path, flags, Mode::empty())
}

/// Opens a file that is there for reading and writing.
pub(crate) fn to_write(folder: &File, name: &str) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::NONBLOCK | ALWAYS;
    at(folder, name, flags, Mode::empty())
}

/// Opens a file that is there for adding to it.
pub(crate) fn to_append(folder: &File, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | ALWAYS;
    at(folder, name, flags, Mode::empty())
}

/// Opens what a path of this process's descriptors means for adding to it.
pub(crate) fn descriptor_to_append(path: &Path) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::NONBLOCK | OFlags::CLOEXEC;
    at(CWD, path, flags, Mode::empty())
}

/// Creates a file for adding to it that nobody else can read; a name that somebody has is `AlreadyExists`.
pub(crate) fn create_to_append(folder: &File, name: &OsStr) -> io::Result<File> {
    let flags = OFlags::WRONLY | OFlags::APPEND | OFlags::CREATE | OFlags::EXCL | ALWAYS;
    at(folder, name, flags, Mode::RUSR | Mode::WUSR)
}

/// Creates a file for reading and writing, with this mode less the umask; a name that somebody has is
/// `AlreadyExists`.
pub(crate) fn create(folder: &File, name: &str, mode: u32) -> io::Result<File> {
    let flags = OFlags::RDWR | OFlags::CREATE | OFlags::EXCL | ALWAYS;
    at(folder, name, flags, Mode::from_raw_mode(mode as RawMode))
}

/// Opens a folder, so that what is made in it goes there even if its path comes to mean another.
pub(crate) fn folder(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    at(CWD, path, flags, Mode::empty())
}

/// The same of what has the name itself, and not of what a link leads to.
pub(crate) fn folder_itself(path: &Path) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | ALWAYS;
    at(CWD, path, flags, Mode::empty())
}

/// The same of a name in a folder.
#[cfg(feature = "cli")]
pub(crate) fn folder_in(folder: &File, name: &str) -> io::Result<File> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | ALWAYS;
    at(folder, name, flags, Mode::empty())
}

/// openat(2), which an interrupting signal does not make fail.
pub(in crate::sys) fn at(
    folder: impl AsFd,
    name: impl Arg + Copy,
    flags: OFlags,
    mode: Mode,
) -> io::Result<File> {
    let opened = retry_on_intr(|| openat(&folder, name, flags, mode))?;
    Ok(opened.into())
}
