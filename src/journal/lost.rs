//! What has the log's name when it is not the file that we hold: absence is never a message.
//!
//! A tidy colleague, `git clean`, a sync client or `rsync --delete` may take the file away, or put an older
//! copy or another log in its place. Our descriptor still has all of it, so nothing is lost as long as that is
//! noticed. Only a log that says so has taken ours' place.

use std::fs::File;
use std::io;

use super::frame::{Head, parse, read_frame};
use super::log::NAME;
use super::open_log::OpenLog;
use super::source::Source;
use crate::disk::Target;
use crate::error::{Error, Result};

/// What has the name of a log that we hold open under another inode.
pub(super) enum Found {
    Nothing,
    /// Another process wrote the same log anew: ours, and perhaps more behind it.
    Same(File),
    /// One that was begun in the place of ours.
    Successor,
    /// Something else, an older copy among it.
    Foreign,
}

/// Looks at what has the log's name.
pub(super) fn look_for(target: &Target, ours: &Head, log: &OpenLog) -> Result<Found> {
    let path = target.sibling(NAME);
    let file = match target.open_sibling_to_read(NAME)? {
        Some(_) => target.open_sibling(NAME)?,
        None => return Ok(Found::Nothing),
    };
    let first = read_frame(&file, 0).map_err(Error::io("read", &path))?;
    let head = first.and_then(|(payload, _)| parse::<Head>(&payload, 0, &path).ok());
    Ok(match head {
        Some(head) if head.after.contains(&ours.id) => Found::Successor,
        // Logs of the first format have no id, and were only ever replaced by such as take their place.
        Some(_) if ours.id.is_empty() => Found::Successor,
        Some(head)
            if head.id == ours.id
                && begins_alike(&file, log).map_err(Error::io("read", &path))? =>
        {
            Found::Same(file)
        }
        _ => Found::Foreign,
    })
}

/// Whether a file begins with all that is known of the log.
fn begins_alike(file: &File, log: &OpenLog) -> io::Result<bool> {
    const PIECE: usize = 64 << 10;
    let (mut theirs, mut ours) = (vec![0; PIECE], vec![0; PIECE]);
    let mut at = 0;
    while at < log.end {
        let length = PIECE.min((log.end - at) as usize);
        // Either may have been cut off.
        let is_whole = log.file.fill(&mut ours[..length], at)? == length
            && file.fill(&mut theirs[..length], at)? == length;
        if !is_whole || theirs[..length] != ours[..length] {
            return Ok(false);
        }
        at += length as u64;
    }
    Ok(true)
}
