//! Access control lists, which are no extended attributes here (acl(3)).

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::ptr::NonNull;

/// From sys/acl.h.
const ACL_TYPE_EXTENDED: c_int = 0x100;

// Part of libSystem, which std links; the libc crate does not declare them.
unsafe extern "C" {
    fn acl_get_fd_np(file: c_int, kind: c_int) -> *mut c_void;
    fn acl_set_fd_np(file: c_int, acl: *mut c_void, kind: c_int) -> c_int;
    fn acl_free(acl: *mut c_void) -> c_int;
}

/// A list that the system made a copy of for us.
struct Acl(NonNull<c_void>);

impl Acl {
    fn of(file: &File) -> Option<Acl> {
        // SAFETY: the descriptor is open for as long as `file` is borrowed. The answer is null or a list
        // that is ours to free.
        NonNull::new(unsafe { acl_get_fd_np(file.as_raw_fd(), ACL_TYPE_EXTENDED) }).map(Acl)
    }
}

impl Drop for Acl {
    fn drop(&mut self) {
        // SAFETY: the list came from `acl_get_fd_np` and is freed here only.
        unsafe { acl_free(self.0.as_ptr()) };
    }
}

/// Whether a file's mode does not tell all of its rights.
pub(crate) fn is_on(file: &File) -> bool {
    Acl::of(file).is_some()
}

/// Gives a file the list of another, if that has one.
pub(in crate::sys) fn copy(from: &File, to: &File) -> io::Result<()> {
    let Some(acl) = Acl::of(from) else {
        return Ok(());
    };
    // SAFETY: the descriptor is open for as long as `to` is borrowed, and the list lives until the end of
    // this function; the system only reads it.
    match unsafe { acl_set_fd_np(to.as_raw_fd(), acl.0.as_ptr(), ACL_TYPE_EXTENDED) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
