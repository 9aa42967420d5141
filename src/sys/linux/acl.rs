//! Access control lists, which are extended attributes here.

use std::ffi::OsStr;
use std::fs::File;
use std::io;
use std::path::Path;

use xattr::FileExt as _;

use crate::sys::refused;

const ACCESS: &str = "system.posix_acl_access";
/// Of a folder: what is made in it gets this one.
const DEFAULT: &str = "system.posix_acl_default";

/// A list, as the system keeps it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acl(Vec<u8>);

impl Acl {
    /// That of a file; `None` if its mode tells all of its rights.
    pub(crate) fn of(path: &Path) -> io::Result<Option<Acl>> {
        match xattr::get_deref(path, ACCESS) {
            Err(error) if refused::is_unsupported(&error) => Ok(None),
            found => Ok(found?.map(Acl)),
        }
    }

    /// Gives it to a file.
    pub(crate) fn give(&self, file: &File) -> io::Result<()> {
        file.set_xattr(ACCESS, &self.0)
    }
}

/// Whether a file's mode does not tell all of its rights.
pub(crate) fn is_on(file: &File) -> bool {
    file.get_xattr(ACCESS).ok().flatten().is_some()
}

/// Takes away what a new file or folder has from the folder around it.
pub(crate) fn remove(file: &File) -> io::Result<()> {
    for name in [ACCESS, DEFAULT] {
        match file.remove_xattr(OsStr::new(name)) {
            Err(error)
                if error.raw_os_error() == Some(libc::ENODATA)
                    || refused::is_unsupported(&error)
                    // A list by default is a folder's alone.
                    || (name == DEFAULT && refused::is_not_permitted(&error)) => {}
            removed => removed?,
        }
    }
    Ok(())
}

/// Nothing is left to do: the list travels with the attributes.
pub(in crate::sys) fn copy(_from: &File, _to: &File) -> io::Result<()> {
    Ok(())
}
