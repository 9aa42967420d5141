//! Access control lists, which are extended attributes here.

use std::fs::File;
use std::io;

use xattr::FileExt as _;

const ACCESS: &str = "system.posix_acl_access";

/// Whether a file's mode does not tell all of its rights.
pub(crate) fn is_on(file: &File) -> bool {
    file.get_xattr(ACCESS).ok().flatten().is_some()
}

/// Nothing is left to do: the list travels with the attributes.
pub(in crate::sys) fn copy(_from: &File, _to: &File) -> io::Result<()> {
    Ok(())
}
