//! The bytes of a private file, mapped read-only.

#![allow(unsafe_code)]

use std::fs::File;
use std::io;
use std::ops::Deref;

use memmap2::Mmap;

/// All that a file held when it was mapped. It outlives the descriptor.
pub(crate) struct Map(Mmap);

/// Maps all of a file that nobody else can open, and that nobody writes to while the map is there: one
/// that was made without a name, or lost it before anything was written. A file that another program
/// can truncate kills whoever reads its map (SIGBUS).
pub(crate) fn private(unnamed: &File) -> io::Result<Map> {
    // SAFETY: a map is sound while nobody changes or truncates the file under it. Both callers are in
    // `disk/`, and neither lets anybody: their inodes have no name, so no other process can open them,
    // and in this process nothing writes to one after it has been mapped. `snapshot.rs` drops the
    // descriptor of its copy; `replace.rs` maps its file only to verify it, when all of it is written,
    // and drops the map before the file gets its name.
    let map = unsafe { Mmap::map(unnamed)? };
    Ok(Map(map))
}

impl Deref for Map {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}
