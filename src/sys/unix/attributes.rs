//! Extended attributes.

use std::fs::File;
use std::io;
use std::path::Path;

use xattr::FileExt as _;

use super::refused;
use crate::sys::system::acl;

/// Gives a file all extended attributes and the access control list of another, as far as they may be
/// given away. A filesystem that keeps none has none to give.
pub(crate) fn copy(from: &File, to: &File) -> io::Result<()> {
    acl::copy(from, to)?;
    let Ok(names) = from.list_xattr() else {
        return Ok(());
    };
    for name in names {
        let Some(value) = from.get_xattr(&name)? else {
            continue;
        };
        match to.set_xattr(&name, &value) {
            // Labels that the system sets by itself, and that only it may set.
            Err(error) if refused::is_unsupported(&error) || refused::is_not_permitted(&error) => {
                tracing::debug!(attribute = ?name, %error, "an extended attribute was not kept");
            }
            set => set?,
        }
    }
    Ok(())
}

/// Gives an open file an attribute.
pub(crate) fn set(file: &File, name: &str, value: &[u8]) -> io::Result<()> {
    file.set_xattr(name, value)
}

/// The attribute of a file, if it has it.
pub(crate) fn get(path: &Path, name: &str) -> io::Result<Option<Vec<u8>>> {
    xattr::get(path, name)
}
