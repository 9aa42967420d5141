//! Whose a file is, and who may do what with it.

use std::fs::{File, Permissions};
use std::io;
use std::os::unix::fs::{PermissionsExt, fchown};

use rustix::fs::{Access, AtFlags, accessat};
use rustix::io::Errno;

/// As whom this process acts.
pub(crate) fn user() -> u32 {
    rustix::process::geteuid().as_raw()
}

/// Whether this process may do everything.
pub(crate) fn is_root() -> bool {
    user() == 0
}

/// Whether this process may make and remove names in a folder; if not, why.
pub(crate) fn may_write_in(folder: &File) -> io::Result<()> {
    let access = Access::WRITE_OK | Access::EXEC_OK;
    Ok(accessat(folder, ".", access, AtFlags::EACCESS)?)
}

/// What this process keeps from others in files that it makes; all where that is not told. To ask the system
/// for it would change it, for every thread.
pub(crate) fn umask() -> u32 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let mut lines = status.lines();
    let told = lines.find_map(|line| line.strip_prefix("Umask:"));
    let umask = told.and_then(|umask| u32::from_str_radix(umask.trim(), 8).ok());
    umask.unwrap_or(0o077)
}

/// Gives an open file away; `None` leaves its owner, or its group, as it is. One that has no number in this user
/// namespace, as in a container of a user's own, is not permitted.
pub(crate) fn set_owner(file: &File, owner: Option<u32>, group: Option<u32>) -> io::Result<()> {
    fchown(file, owner, group).map_err(|error| match Errno::from_io_error(&error) {
        Some(Errno::INVAL) => Errno::PERM.into(),
        _ => error,
    })
}

/// Sets the permissions of an open file, whatever the umask.
pub(crate) fn set_mode(file: &File, mode: u32) -> io::Result<()> {
    file.set_permissions(Permissions::from_mode(mode))
}
