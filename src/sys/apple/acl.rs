//! Access control lists, which are no extended attributes here (acl(3)).

#![allow(unsafe_code)]

use std::ffi::{c_int, c_void};
use std::fs::File;
use std::io;
use std::os::fd::AsRawFd;
use std::path::Path;
use std::ptr::NonNull;

use crate::sys::refused;

/// From sys/acl.h.
const ACL_TYPE_EXTENDED: c_int = 0x100;

// Part of libSystem, which std links; the libc crate does not declare them.
unsafe extern "C" {
    fn acl_get_fd_np(file: c_int, kind: c_int) -> *mut c_void;
    fn acl_set_fd_np(file: c_int, acl: *mut c_void, kind: c_int) -> c_int;
    fn acl_init(count: c_int) -> *mut c_void;
    fn acl_free(acl: *mut c_void) -> c_int;
}

/// A list that the system made a copy of for us.
struct List(NonNull<c_void>);

impl List {
    fn of(file: &File) -> Option<List> {
        // SAFETY: the descriptor is open for as long as `file` is borrowed. The answer is null or a list
        // that is ours to free.
        NonNull::new(unsafe { acl_get_fd_np(file.as_raw_fd(), ACL_TYPE_EXTENDED) }).map(List)
    }
}

impl Drop for List {
    fn drop(&mut self) {
        // SAFETY: the list came from `acl_get_fd_np` or `acl_init` and is freed here only.
        unsafe { acl_free(self.0.as_ptr()) };
    }
}

/// That a file has a list, which is not given to others by its path here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Acl;

impl Acl {
    /// That of a file; `None` if its mode tells all of its rights.
    pub(crate) fn of(path: &Path) -> io::Result<Option<Acl>> {
        Ok(is_on(&File::open(path)?).then_some(Acl))
    }

    /// Gives it to a file.
    pub(crate) fn give(&self, _file: &File) -> io::Result<()> {
        Err(io::ErrorKind::Unsupported.into())
    }
}

/// Whether a file's mode does not tell all of its rights.
pub(crate) fn is_on(file: &File) -> bool {
    List::of(file).is_some()
}

/// Takes away what a new file or folder has from the folder around it.
pub(crate) fn remove(file: &File) -> io::Result<()> {
    // SAFETY: the answer is null or an empty list, which is ours to free and lives until the end of this function.
    let Some(none) = NonNull::new(unsafe { acl_init(0) }).map(List) else {
        return Err(io::Error::last_os_error());
    };
    // SAFETY: the descriptor is open for as long as `file` is borrowed; the system only reads the list.
    match unsafe { acl_set_fd_np(file.as_raw_fd(), none.0.as_ptr(), ACL_TYPE_EXTENDED) } {
        0 => Ok(()),
        _ => match io::Error::last_os_error() {
            error if refused::is_unsupported(&error) => Ok(()),
            error => Err(error),
        },
    }
}

/// Gives a file the list of another, if that has one.
pub(in crate::sys) fn copy(from: &File, to: &File) -> io::Result<()> {
    let Some(acl) = List::of(from) else {
        return Ok(());
    };
    // SAFETY: the descriptor is open for as long as `to` is borrowed, and the list lives until the end of
    // this function; the system only reads it.
    match unsafe { acl_set_fd_np(to.as_raw_fd(), acl.0.as_ptr(), ACL_TYPE_EXTENDED) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}
