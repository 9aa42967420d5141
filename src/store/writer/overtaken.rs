//! What others saved in a file that has lost the sheet's name to a later save before it was taken in.
//!
//! Who writes in place is waited for, and another program may rename its own version over that file
//! meanwhile: then no name leads to what was written any more. So a session holds the file that has the name open,
//! and compares it once another one has the name. An edit in it is judged like one that was found under the name,
//! before the later save is.
//!
//! That holds of a file that was taken in. What was written in place into one that never was is kept in a copy. A whole
//! save that another one replaced before it was taken in is dropped, as where no session runs. Which of them a file is,
//! its stamp tells and not its inode: once the file of the known version is gone, a new one may get its inode. Such a
//! save was taken for an edit in place and judged, though another process may have merged it before.
//!
//! What another process of ours displaced is merged by that process, which tells the journal of it in the frame
//! that has its cells: it is left to it while it holds the file, and known afterwards. A file that a kill left
//! behind is judged here, or kept in a copy by the next who opens the sheet.

use std::collections::VecDeque;
use std::fs::File;
use std::io;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Instant, SystemTime};

use crate::disk::{
    Rest, SETTLE, SETTLE_SUSPICIOUS, Snapshot, Stamp, Target, Version, hash_bytes, hash_file,
    is_displaced,
};
use crate::error::{Error, Result};
use crate::sys::lease::{Lease, Leased};
use crate::sys::place;

#[derive(Default)]
pub(super) struct Overtaken {
    held: Option<Held>,
    /// Those that are not judged yet, the oldest first.
    waiting: VecDeque<Lost>,
    /// Where the file went that had the name last, if it was renamed and none has the name since.
    pub(super) renamed_to: Option<PathBuf>,
}

/// The file that had the sheet's name when it was looked at last.
struct Held {
    file: File,
    inode: u64,
    content: Content,
}

#[derive(Clone, Copy)]
enum Content {
    /// What was known to be in it last.
    TakenIn(Version),
    /// It was never taken in, and was so when it was found.
    Found(Stamp),
}

/// A file that has lost the sheet's name.
pub(super) struct Lost {
    pub(super) file: File,
    content: Content,
    since: Instant,
    rest: Rest,
}

/// What is to be done with a file that has lost the name.
pub(super) enum Verdict {
    /// Somebody is still writing to it.
    Wait,
    /// Nobody wrote to it.
    Drop,
    /// Nobody wrote to it, and somebody has it open.
    Watch(Version),
    /// It is to be judged, and watched if somebody has it open.
    Judge {
        snapshot: Snapshot,
        version: Version,
        is_open: bool,
    },
    /// It is no edit of a version that was taken in, or somebody writes on and on: what is there is kept.
    Keep(Version),
}

impl Overtaken {
    /// Looks which file has the sheet's name, and holds it. `public` is the version that is known.
    pub(super) fn look(&mut self, target: &Target, public: &Version) {
        self.may_know(public);
        let now = match target.open_sheet() {
            Ok((file, metadata)) => Some((file, Stamp::of(&metadata))),
            Err(Error::Io { source, .. }) if source.kind() == io::ErrorKind::NotFound => None,
            // Who takes it in comes upon that, too.
            Err(_) => return,
        };
        let inode = now.as_ref().map(|(_, stamp)| stamp.inode);
        if self.held.as_ref().map(|held| held.inode) == inode {
            return;
        }
        self.renamed_to = match (&self.held, &now) {
            (Some(held), None) => place::of(&held.file),
            _ => None,
        };
        let now = now.map(|(file, stamp)| Held {
            file,
            inode: stamp.inode,
            content: Content::Found(stamp),
        });
        self.has_the_name(now);
        self.may_know(public);
    }

    /// Whether no other file than this one had the name when it was looked at last.
    pub(super) fn may_hold(&self, inode: u64) -> bool {
        self.held.as_ref().is_none_or(|held| held.inode == inode)
    }

    fn has_the_name(&mut self, now: Option<Held>) {
        let before = std::mem::replace(&mut self.held, now);
        self.waiting.extend(before.map(|held| Lost {
            file: held.file,
            content: held.content,
            since: Instant::now(),
            rest: Rest::default(),
        }));
    }

    /// What was found is this version, if it has its stamp. The inode alone tells nothing: the file in which that
    /// version was may be gone, and another one have got its inode.
    fn may_know(&mut self, version: &Version) {
        if let Some(held) = &mut self.held
            && matches!(held.content, Content::Found(found) if found == version.stamp)
        {
            held.content = Content::TakenIn(*version);
        }
    }

    /// This version was taken in from the file that has the name, or written.
    pub(super) fn knows(&mut self, version: &Version) {
        if let Some(held) = &mut self.held
            && held.inode == version.stamp.inode
        {
            held.content = Content::TakenIn(*version);
        }
    }

    /// We put a version, which is the one that was `made`, in the place of another one; of a file in which it `was`
    /// itself we know what became.
    pub(super) fn replaced(&mut self, it: &Version, was: bool, made: Option<File>, by: &Version) {
        if self.held.is_none() {
            return;
        }
        self.knows(it);
        let now = made.map(|file| Held {
            file,
            inode: by.stamp.inode,
            content: Content::TakenIn(*by),
        });
        self.held
            .take_if(|held| was && held.inode == it.stamp.inode);
        self.has_the_name(now);
    }

    /// When the next one lost the name.
    pub(super) fn next_since(&self) -> Option<Instant> {
        self.waiting.front().map(|lost| lost.since)
    }

    /// The one that lost the name first.
    pub(super) fn next(&mut self) -> Option<Lost> {
        self.waiting.pop_front()
    }

    /// It could not be judged yet.
    pub(super) fn put_back(&mut self, lost: Lost) {
        self.waiting.push_front(lost);
    }
}

impl Lost {
    /// Whether there is anything in it that was not taken in.
    pub(super) fn is_changed(&self, path: &Path) -> Result<bool> {
        let metadata = self.file.metadata().map_err(Error::io("read", path))?;
        let stamp = Stamp::of(&metadata);
        let is_unchanged = self.is_unchanged(&stamp).map_err(Error::io("read", path))?;
        let is_elsewhere = metadata.nlink() > 0 && stamp.was_written_last();
        Ok(!is_unchanged && !is_elsewhere && stamp.size > 0)
    }

    pub(super) fn verdict(&mut self, target: &Target) -> Result<Verdict> {
        let read = || Error::io("read", target.path());
        let metadata = self.file.metadata().map_err(read())?;
        let stamp = Stamp::of(&metadata);
        let has_a_name = metadata.nlink() > 0;
        let (is_open, is_final) = match Lease::take(&self.file) {
            Leased::Held(_) => (false, true),
            Leased::Refused => (true, false),
            Leased::Unsupported => (!has_a_name, false),
        };
        if self.is_unchanged(&stamp).map_err(read())? {
            return Ok(match self.content {
                Content::TakenIn(known) if is_open && !has_a_name => Verdict::Watch(known),
                _ => Verdict::Drop,
            });
        }
        // What is written to a file that has another name by now is that file's, and what a process of ours displaced
        // is merged by that one.
        let is_displaced = is_displaced(target, &self.file)?;
        if has_a_name && (stamp.was_written_last() || is_displaced) {
            return Ok(Verdict::Drop);
        }
        let rested = self.rest.of_data(&stamp);
        let is_over = self.since.elapsed() >= SETTLE_SUSPICIOUS;
        if !is_over && (!is_final || is_displaced) {
            return Ok(Verdict::Wait);
        }
        if stamp.size == 0 && !is_open {
            return Ok(Verdict::Drop);
        }
        let looked_at = SystemTime::now();
        let snapshot = Snapshot::copy(target, &self.file)?;
        let version = Version::new(stamp, hash_bytes(&snapshot), looked_at);
        let is_whole = Stamp::of(&self.file.metadata().map_err(read())?) == stamp;
        let is_edit = matches!(self.content, Content::TakenIn(_));
        Ok(
            match is_edit && (is_final || rested >= SETTLE && is_whole) {
                true => Verdict::Judge {
                    snapshot,
                    version,
                    is_open: is_open && !has_a_name,
                },
                false => Verdict::Keep(version),
            },
        )
    }

    /// Whether nobody wrote to it since it was taken in, or found.
    fn is_unchanged(&self, stamp: &Stamp) -> io::Result<bool> {
        Ok(match self.content {
            Content::TakenIn(known) => {
                known.is_in(&self.file)?
                    || stamp.size == known.stamp.size && hash_file(&self.file)? == known.hash
            }
            Content::Found(found) => stamp.same_data(&found),
        })
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn a_file_that_got_the_inode_of_a_version_that_is_gone_is_no_edit_of_it() {
        let folder = tempfile::tempdir_in(".").unwrap();
        let path = folder.path().join("in.csv");
        fs::write(&path, "PO_NUMBER\n").unwrap();
        let target = Target::open(&path).unwrap();
        let (_, metadata) = target.open_sheet().unwrap();
        let gone = Version::new(Stamp::of(&metadata), 1, SystemTime::now());
        // Another one, as the name tells it.
        fs::write(&path, "PO_NUMBER\nA\n").unwrap();
        let mut overtaken = Overtaken::default();
        overtaken.look(&target, &gone);
        fs::write(folder.path().join("saved"), "PO_NUMBER\nB\n").unwrap();
        fs::rename(folder.path().join("saved"), &path).unwrap();
        overtaken.look(&target, &gone);
        let verdict = overtaken.next().unwrap().verdict(&target).unwrap();
        assert!(matches!(verdict, Verdict::Drop));
    }
}
