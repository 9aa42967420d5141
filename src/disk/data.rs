//! The bytes of a file, copied without its holes: a file may be longer than the disk.

use std::fs::File;
use std::io::ErrorKind;
use std::os::unix::fs::FileExt;
use std::path::Path;

use crate::error::{Error, Result};
use crate::sys::holes::Holes;

/// How much is copied at once.
const CHUNK_BYTES: usize = 1 << 20;

/// Fills a new file with all that another one holds, whose position is neither used nor moved. An error of the copy says
/// that this action failed on this path.
pub(crate) fn copy_data(
    source: &File,
    source_path: &Path,
    copy: &File,
    (action, copy_path): (&'static str, &Path),
) -> Result<()> {
    let not_read = || Error::io("read", source_path);
    let not_written = || Error::io(action, copy_path);
    let holes = Holes::of(source);
    let mut chunk = vec![0; CHUNK_BYTES];
    let mut offset = 0;
    let end = loop {
        // Measured first: up to there it is a hole if nothing comes any more.
        let length = source.metadata().map_err(not_read())?.len();
        match holes.next_data(offset).map_err(not_read())? {
            Some(data) => offset = data,
            None => break length.max(offset),
        }
        match source.read_at(&mut chunk, offset) {
            Ok(0) => break offset,
            Ok(read) => {
                // A hole that is not known as one is not written either.
                if chunk[..read].iter().any(|byte| *byte != 0) {
                    copy.write_all_at(&chunk[..read], offset)
                        .map_err(not_written())?;
                }
                offset += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(not_read()(error)),
        }
    };
    copy.set_len(end).map_err(not_written())
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::MetadataExt;

    use super::*;

    #[test]
    fn a_file_that_is_longer_than_the_disk_takes_no_more_room_than_it_had() {
        let (source, copied) = (tempfile::tempfile().unwrap(), tempfile::tempfile().unwrap());
        let texts = [
            (0, "first"),
            (5 << 30, "in between"),
            ((5 << 30) + (3 << 20), "\0\0last"),
        ];
        for (offset, text) in texts {
            source.write_all_at(text.as_bytes(), offset).unwrap();
        }
        source.set_len(1 << 43).unwrap();
        let path = Path::new("a file");
        copy_data(&source, path, &copied, ("copy", path)).unwrap();
        let metadata = copied.metadata().unwrap();
        assert_eq!(metadata.len(), 1 << 43);
        assert!(metadata.blocks() * 512 < 8 << 20, "{}", metadata.blocks());
        for (offset, text) in texts {
            let mut read = vec![0; text.len()];
            copied.read_exact_at(&mut read, offset).unwrap();
            assert_eq!(read, text.as_bytes());
        }
    }
}
