//! Copying a file by sharing its blocks.

use std::fs::File;
use std::io;

use crate::sys::poor::{Gift, lacks};

/// Makes `copy` hold what `source` holds, without a byte being read or written (FICLONE). Where the
/// filesystem cannot do that, or the two lie on two, it is an error, and `copy` is as it was.
pub(crate) fn share(source: &File, copy: &File) -> io::Result<()> {
    if lacks(Gift::Clone) {
        return Err(io::Error::from_raw_os_error(libc::EOPNOTSUPP));
    }
    Ok(rustix::fs::ioctl_ficlone(copy, source)?)
}
