//! Names in a folder: one more, one less, one for another.

use std::fs::File;
use std::io;
use std::path::Path;

use rustix::fs::{AtFlags, RenameFlags, linkat, renameat, renameat_with, unlinkat};
#[cfg(feature = "cli")]
use rustix::fs::{Mode, mkdirat, statat};

use crate::sys::poor::{Gift, lacks};

/// Gives a file that has a name another one as well; one that somebody has is `AlreadyExists`.
pub(crate) fn link(folder: &File, old: &str, new: impl AsRef<Path>) -> io::Result<()> {
    Ok(linkat(folder, old, folder, new.as_ref(), AtFlags::empty())?)
}

/// Makes a folder that nobody else can enter; a name that somebody has is `AlreadyExists`.
#[cfg(feature = "cli")]
pub(crate) fn create_folder(around: &File, name: &str) -> io::Result<()> {
    Ok(mkdirat(around, name, Mode::RWXU)?)
}

/// Takes a name away.
pub(crate) fn unlink(folder: &File, name: &str) -> io::Result<()> {
    Ok(unlinkat(folder, name, AtFlags::empty())?)
}

/// Takes a name away, if it is there.
pub(crate) fn unlink_if_there(folder: &File, name: &str) -> io::Result<()> {
    match unlink(folder, name) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        unlinked => unlinked,
    }
}

/// Whether anything has a name, be it a link that leads nowhere.
#[cfg(feature = "cli")]
pub(crate) fn is_there(folder: &File, name: &str) -> bool {
    statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).is_ok()
}

/// Gives a file another name; whoever had that loses it.
pub(crate) fn rename(folder: &File, old: &str, new: impl AsRef<Path>) -> io::Result<()> {
    Ok(renameat(folder, old, folder, new.as_ref())?)
}

/// Gives a file another name; one that somebody has is `AlreadyExists`.
pub(crate) fn rename_to_free(folder: &File, old: &str, new: impl AsRef<Path>) -> io::Result<()> {
    Ok(renameat_with(
        folder,
        old,
        folder,
        new.as_ref(),
        RenameFlags::NOREPLACE,
    )?)
}

/// Lets two files swap their names, in one step that nobody sees half done. Where the filesystem cannot
/// do that the error [is unsupported](crate::sys::refused::is_unsupported), and nothing was changed.
pub(crate) fn exchange(folder: &File, one: &str, other: &str) -> io::Result<()> {
    if lacks(Gift::Exchange) {
        return Err(io::Error::from_raw_os_error(libc::EINVAL));
    }
    Ok(renameat_with(
        folder,
        one,
        folder,
        other,
        RenameFlags::EXCHANGE,
    )?)
}
