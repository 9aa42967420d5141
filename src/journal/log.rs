//! Durable before visible: the one log of cell updates of all tickoff processes on a sheet.
//!
//! A frame is appended, and synced, under the write lock before anything of it reaches the CSV. It
//! makes its updates durable, and its place in the log is their order across processes. The log is
//! kept until a session has ended and all of it is visible; so a sheet that another program read
//! early and saved late, or a crash, takes nothing away. Replaying it is idempotent.
//!
//! ```text
//! log   = frame(Head) frame(Frame)* zeros*
//! frame = length: u32 LE, checksum: u64 LE, payload: `length` bytes of JSON
//! ```
//!
//! The checksum is XXH3 of the payload seeded with the frame's offset, so that a frame is valid
//! only where it was written. A length of zero is the end: reserved space is filled with zeros. A
//! frame that is not valid and has no valid one behind it is the torn tail of a crash and was never
//! acknowledged; one that has is damage, and stops the replay there.
//!
//! A log of which all is visible is marked as emptied, by four bytes in its first sector, and that is
//! synced before its name goes. A sync of the folder behind the unlink was not enough: a process killed
//! between the two, and then a power cut, brought the log back over what another program had written
//! into the sheet meanwhile (found by the crash states). A marked log is as good as none.
//!
//! After a failed sync the kernel may forget that pages were dirty and call the next sync a
//! success (Rebello et al., "Can Applications Recover from fsync Failures?", ATC '20). The log is
//! abandoned then, and a new one takes everything that was written in this session. A process that
//! was killed before it could do so, or before its sync, leaves frames that can be read and may never
//! reach the disk; so the frames of others are written again, and synced, before anything stands
//! behind them.

use crate::sheet::change::RowUpdate;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use chrono::{DateTime, Utc};
use memchr::memmem;
use rustix::fs::{AtFlags, FallocateFlags, OFlags, StatxFlags, fallocate};
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::disk::lock::WriteGuard;
use crate::disk::target::Target;
use crate::domain::columns::same_column;
use crate::error::{Error, Result};
use crate::text::escape::escape;

const NAME: &str = "journal";
/// A log that is being written to replace it.
const NEXT: &str = "journal.next";
const PREFIX: usize = 12;
/// The longest frame. A batch is at most a queue of operations, each of some cells of 32,767
/// characters; what is longer than this is not a length.
const MAX_FRAME_BYTES: usize = 1 << 30;
const BEGINNING: &[u8] = b"{\"";
/// What stands at the beginning of a log that is about to be removed; no frame is that long.
const EMPTIED: &[u8; 4] = b"gone";
/// What is reserved at most, so that a full disk does not stop acknowledgements at once.
const MAX_RESERVED_BYTES: u64 = 16 << 20;
/// By how much the log's room grows when the reserved space is used up.
const GROWTH_BYTES: u64 = 64 << 10;

/// Cell updates that were made durable together.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Frame {
    pub(crate) at: DateTime<Utc>,
    pub(crate) rows: Vec<RowUpdate>,
}

/// The updates of some frames, in their order.
pub(crate) fn updates(frames: &[Frame]) -> impl Iterator<Item = &RowUpdate> {
    frames.iter().flat_map(|frame| &frame.rows)
}

/// What the log belongs to.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub(crate) struct Head {
    pub(crate) sheet: PathBuf,
    pub(crate) key: String,
    /// The session that began it; none if it was a handler or a `set`.
    pub(crate) session: Option<String>,
    pub(crate) created: DateTime<Utc>,
}

/// The log as a writer holds it. Every method is called under the write lock.
pub(crate) struct Journal {
    target: Arc<Target>,
    /// Of a log that this writer begins.
    own: Head,
    /// Of the log that is there, or `own`: whoever goes on with a log does not take it over.
    head: Head,
    open: Option<OpenLog>,
    /// A write or a sync failed: nothing is acknowledged through this log any more.
    tainted: bool,
    /// What the last append or new log took, or would have taken.
    wanted_bytes: u64,
}

struct OpenLog {
    file: File,
    inode: u64,
    /// Behind the last valid frame: all before it was read or written by us.
    end: u64,
    /// From here on stand frames of others, whose sync may have failed.
    unsure_from: u64,
    /// Up to where the filesystem has given us space, as far as we know.
    room: u64,
}

impl OpenLog {
    fn new(file: File, end: u64) -> io::Result<OpenLog> {
        let metadata = file.metadata()?;
        // Reading is no reason to write the inode at the next sync. Only the owner may ask for that.
        if let Ok(flags) = rustix::fs::fcntl_getfl(&file) {
            rustix::fs::fcntl_setfl(&file, flags | OFlags::NOATIME).ok();
        }
        Ok(OpenLog {
            file,
            inode: metadata.ino(),
            end,
            unsure_from: 0,
            room: metadata.len(),
        })
    }

    /// Writes the frames of others again and syncs them, before anything stands behind them.
    fn sync_frames_of_others(&mut self) -> io::Result<()> {
        if self.unsure_from < self.end {
            let mut bytes = vec![0; (self.end - self.unsure_from) as usize];
            self.file.read_exact_at(&mut bytes, self.unsure_from)?;
            self.file.write_all_at(&bytes, self.unsure_from)?;
            self.file.sync_data()?;
            self.unsure_from = self.end;
        }
        Ok(())
    }

    /// Gets space up to there before anything is written: on a full disk the log stays as it is,
    /// and goes on with whatever fits. Otherwise a frame that fails half way costs the log, and the
    /// new one needs room for all of it once more.
    fn make_room(&mut self, upto: u64) -> io::Result<()> {
        if upto <= self.room {
            return Ok(());
        }
        let allocate = |upto: u64| {
            let (mode, length) = (FallocateFlags::KEEP_SIZE, upto - self.end);
            rustix::io::retry_on_intr(|| fallocate(&self.file, mode, self.end, length))
                .map(|()| upto)
        };
        match allocate(upto + GROWTH_BYTES).or_else(|_| allocate(upto)) {
            Ok(room) => self.room = room,
            // The write itself will tell.
            Err(Errno::OPNOTSUPP | Errno::NOSYS) => {}
            Err(errno) => return Err(errno.into()),
        }
        Ok(())
    }
}

/// What was found in the log.
pub(crate) enum News {
    /// Frames that others appended.
    Frames(Vec<Frame>),
    /// No log was known; these frames are in the one that is there now, if there is one. Others may
    /// have come and gone in between.
    Unknown(Vec<Frame>),
    /// Somebody made all of the log visible and emptied it.
    Replaced,
}

impl Journal {
    /// The log that is there, for a reader that holds no lock.
    pub(crate) fn find(target: &Target) -> Result<Option<File>> {
        let Some(file) = target.open_sibling_to_read(NAME)? else {
            return Ok(None);
        };
        let emptied = is_emptied(&file).map_err(Error::io("read", target.sibling(NAME)))?;
        Ok((!emptied).then_some(file))
    }

    /// Whether a log that was found is still the one that is there. The reader holds it open, so its
    /// inode number cannot have been given to another.
    pub(crate) fn is_still(target: &Target, found: Option<&File>) -> Result<bool> {
        let inode = |log: Option<&File>| {
            log.map(|file| file.metadata().map(|metadata| metadata.ino()))
                .transpose()
                .map_err(Error::io("read", target.sibling(NAME)))
        };
        Ok(inode(Journal::find(target)?.as_ref())? == inode(found)?)
    }

    /// The frames of a log that was found.
    pub(crate) fn read(target: &Target, found: Option<&File>, key: &str) -> Result<Vec<Frame>> {
        let Some(file) = found else {
            return Ok(Vec::new());
        };
        let log = read_log(file, target)?;
        if let Some(head) = &log.head {
            check_head(head, target, key)?;
        }
        if let Some(offset) = log.damage {
            tracing::warn!(
                journal = %escape(&target.sibling(NAME).display().to_string()),
                offset,
                "the journal is damaged; results behind this offset are not shown"
            );
        }
        Ok(log.frames)
    }

    /// The inode of the log that is there. Nothing else is asked for: after a look at its times Linux
    /// gives the next write a new one, and a sync that has to write the inode as well takes half as long
    /// again.
    fn identity(target: &Target) -> Result<Option<u64>> {
        let name = target.sibling_name(NAME);
        let (flags, wanted) = (AtFlags::SYMLINK_NOFOLLOW, StatxFlags::INO);
        match rustix::fs::statx(target.folder(), name, flags, wanted) {
            Ok(stat) => Ok(Some(stat.stx_ino)),
            Err(Errno::NOENT) => Ok(None),
            Err(errno) => Err(Error::sys("read", target.sibling(NAME))(errno)),
        }
    }

    /// Opens the log, if there is one, and returns its head and frames.
    pub(crate) fn open(
        target: &Arc<Target>,
        key: &str,
        session: Option<&str>,
        _held: &WriteGuard,
    ) -> Result<(Journal, Option<Head>, Vec<Frame>)> {
        let head = Head {
            sheet: target.path().to_owned(),
            key: key.trim().to_owned(),
            session: session.map(str::to_owned),
            created: Utc::now(),
        };
        let mut journal = Journal {
            target: Arc::clone(target),
            own: head.clone(),
            head,
            open: None,
            tainted: false,
            wanted_bytes: 0,
        };
        journal.remove_next()?;
        let (found, frames) = journal.load()?;
        Ok((journal, found, frames))
    }

    /// Reads the log that is there from its beginning.
    pub(crate) fn load(&mut self) -> Result<(Option<Head>, Vec<Frame>)> {
        if Journal::identity(&self.target)?.is_none() {
            self.open = None;
            self.head.clone_from(&self.own);
            return Ok((None, Vec::new()));
        }
        let file = self.target.open_sibling(NAME)?;
        if is_emptied(&file).map_err(Error::io("read", self.path()))? {
            self.open = Some(OpenLog::new(file, 0).map_err(Error::io("read", self.path()))?);
            self.remove()?;
            self.head.clone_from(&self.own);
            return Ok((None, Vec::new()));
        }
        let log = read_log(&file, &self.target)?;
        if let Some(head) = &log.head {
            check_head(head, &self.target, &self.own.key)?;
        }
        self.head = log.head.as_ref().unwrap_or(&self.own).clone();
        // Whoever made it may have been killed before its name was durable.
        self.target.sync_folder()?;
        if let Some(offset) = log.damage {
            let kept = Journal::link_aside(&self.target, "damaged")?;
            tracing::error!(
                journal = %escape(&self.path().display().to_string()),
                offset,
                kept = %escape(&kept.display().to_string()),
                "the journal is damaged; results behind this offset are not recovered, the file is kept"
            );
            self.start_over(&log.frames)?;
            return Ok((log.head, log.frames));
        }
        if log.torn {
            tracing::info!(
                journal = %escape(&self.path().display().to_string()),
                offset = log.end,
                "the journal ends in the middle of a frame, as a crash leaves it: what was not acknowledged yet is dropped"
            );
            // What comes next may be shorter, and the rest of this would be behind it.
            file.set_len(log.end)
                .map_err(Error::io("write", self.path()))?;
        }
        let open = OpenLog::new(file, log.end).map_err(Error::io("read", self.path()))?;
        self.open = Some(open);
        Ok((log.head, log.frames))
    }

    /// What others wrote since we looked last.
    pub(crate) fn catch_up(&mut self) -> Result<News> {
        let there = Journal::identity(&self.target)?;
        let path = self.path();
        match (&mut self.open, there) {
            (None, None) => Ok(News::Unknown(Vec::new())),
            (None, Some(_)) => Ok(News::Unknown(self.load()?.1)),
            // A crash left it without a head; somebody may have begun it anew.
            (Some(log), Some(inode)) if log.inode == inode && log.end == 0 => {
                Ok(News::Unknown(self.load()?.1))
            }
            (Some(log), Some(inode)) if log.inode == inode => {
                if is_emptied(&log.file).map_err(Error::io("read", &path))? {
                    return Ok(News::Replaced);
                }
                let mut frames = Vec::new();
                let mut end = log.end;
                while let Some((payload, next)) =
                    read_frame(&log.file, end).map_err(Error::io("read", &path))?
                {
                    frames.push(parse(&payload, end, &path)?);
                    end = next;
                }
                log.end = end;
                Ok(News::Frames(frames))
            }
            (Some(_), _) => Ok(News::Replaced),
        }
    }

    /// Makes a frame durable. After an error it is not; if the log is tainted then, only
    /// [`Journal::start_over`] makes it usable again.
    pub(crate) fn append(&mut self, frame: &Frame) -> Result<()> {
        assert!(
            !self.tainted,
            "nothing is acknowledged through a log that failed"
        );
        let path = self.path();
        let created = self.open.is_none();
        if created {
            let file = self.target.open_sibling(NAME)?;
            self.open = Some(OpenLog::new(file, 0).map_err(Error::io("read", &path))?);
        }
        let log = self.open.as_mut().expect("opened above");
        let mut bytes = Vec::new();
        if log.end == 0 {
            encode(&self.head, 0, &mut bytes);
        }
        encode(frame, log.end + bytes.len() as u64, &mut bytes);
        self.wanted_bytes = bytes.len() as u64;
        log.make_room(log.end + self.wanted_bytes)
            .map_err(Error::io("write", &path))?;
        let written = log
            .sync_frames_of_others()
            .and_then(|()| log.file.write_all_at(&bytes, log.end))
            .map_err(Error::io("write", &path))
            .and_then(|()| log.file.sync_data().map_err(Error::io("sync", &path)))
            .and_then(|()| {
                if created {
                    self.target.sync_folder()
                } else {
                    Ok(())
                }
            });
        if written.is_err() {
            self.tainted = true;
            // So that nobody takes for durable what is not; if that fails too, they may.
            log.file.set_len(log.end).ok();
            return written;
        }
        log.end += bytes.len() as u64;
        log.unsure_from = log.end;
        Ok(())
    }

    /// How many bytes the last frame, or new log, took or would have taken.
    pub(crate) fn wanted_bytes(&self) -> u64 {
        self.wanted_bytes
    }

    /// Whether the log has to be started over before anything is acknowledged.
    pub(crate) fn is_tainted(&self) -> bool {
        self.tainted
    }

    /// Replaces the log by a new file that holds these frames, durably.
    pub(crate) fn start_over(&mut self, frames: &[Frame]) -> Result<()> {
        self.tainted = true;
        self.remove_next()?;
        let path = self.target.sibling(NEXT);
        let next = self.target.sibling_name(NEXT);
        let bytes = encode_log(&self.head, frames);
        self.wanted_bytes = bytes.len() as u64;
        let file = self.target.open_sibling(NEXT)?;
        let begun = file
            .write_all_at(&bytes, 0)
            .map_err(Error::io("write", &path))
            .and_then(|()| file.sync_all().map_err(Error::io("sync", &path)))
            .and_then(|()| OpenLog::new(file, self.wanted_bytes).map_err(Error::io("read", &path)))
            .and_then(|log| {
                let folder = self.target.folder();
                rustix::fs::renameat(folder, &next, folder, self.name())
                    .map_err(Error::sys("rename", &path))?;
                Ok(log)
            });
        match begun {
            Ok(log) => {
                self.open = Some(OpenLog {
                    unsure_from: log.end,
                    ..log
                });
            }
            Err(error) => {
                // What there is of it takes up room that the next attempt needs.
                self.remove_next().ok();
                return Err(error);
            }
        }
        self.target.sync_folder()?;
        self.tainted = false;
        Ok(())
    }

    /// Removes a new log that did not come to replace the old one; nothing relies on it.
    fn remove_next(&self) -> Result<()> {
        let next = self.target.sibling_name(NEXT);
        match rustix::fs::unlinkat(self.target.folder(), next, AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(errno) => Err(Error::sys("remove", self.target.sibling(NEXT))(errno)),
        }
    }

    /// Gives a session's log room for `pending` results, filled with zeros. A full disk is only
    /// worth a warning: the log grows by itself.
    pub(crate) fn reserve(&mut self, pending: usize) -> Result<()> {
        if self.open.is_none() {
            self.start_over(&[])?;
        }
        let path = self.path();
        let log = self.open.as_mut().expect("opened above");
        let wanted = (64 * 1024 + 256 * pending as u64).min(MAX_RESERVED_BYTES);
        let reserved = log.file.write_all_at(&vec![0; wanted as usize], log.end);
        if let Err(error) = reserved {
            tracing::warn!(%error, bytes = wanted, "no space could be reserved for the journal");
            return log.file.set_len(log.end).map_err(Error::io("write", path));
        }
        log.room = log.end + wanted;
        let synced = log.file.sync_all().map_err(Error::io("sync", path));
        self.tainted |= synced.is_err();
        synced
    }

    /// Whether a session began this log: then only a session may empty it.
    pub(crate) fn is_of_session(&self) -> bool {
        self.head.session.is_some()
    }

    /// Empties the log: all of it is visible, and no crash brings it back over what others do next; an
    /// emptied one that a crash brings back is harmless.
    /// After an error the log that may still be there holds nothing that is not visible, and has to be
    /// started over before anything is acknowledged.
    pub(crate) fn remove(&mut self) -> Result<()> {
        let Some(log) = &self.open else {
            return Ok(());
        };
        self.tainted = true;
        log.file
            .write_all_at(EMPTIED, 0)
            .map_err(Error::io("write", self.path()))?;
        log.file
            .sync_data()
            .map_err(Error::io("sync", self.path()))?;
        match rustix::fs::unlinkat(self.target.folder(), self.name(), AtFlags::empty()) {
            Ok(()) | Err(Errno::NOENT) => {}
            Err(errno) => return Err(Error::sys("remove", self.path())(errno)),
        }
        self.open = None;
        self.tainted = false;
        Ok(())
    }

    /// Whether a log is there that this writer knows of.
    pub(crate) fn exists(&self) -> bool {
        self.open.is_some()
    }

    pub(crate) fn path(&self) -> PathBuf {
        self.target.sibling(NAME)
    }

    fn name(&self) -> String {
        self.target.sibling_name(NAME)
    }

    /// Takes a log away from the sheet and keeps it under another name.
    pub(crate) fn keep_aside(target: &Target, why: &str) -> Result<Option<PathBuf>> {
        if Journal::find(target)?.is_none() {
            return Ok(None);
        }
        let kept = Journal::link_aside(target, why)?;
        rustix::fs::unlinkat(target.folder(), target.sibling_name(NAME), AtFlags::empty())
            .map_err(Error::sys("remove", target.sibling(NAME)))?;
        target.sync_folder()?;
        Ok(Some(kept))
    }

    /// Gives the log another name as well.
    fn link_aside(target: &Target, why: &str) -> Result<PathBuf> {
        let (folder, name) = (target.folder(), target.sibling_name(NAME));
        let now = Utc::now().format("%Y%m%d_%H%M%S");
        (1..)
            .map(|n| format!("{NAME}.{why}-{now}-{n}"))
            .find_map(|kept| {
                let linked = rustix::fs::linkat(
                    folder,
                    &name,
                    folder,
                    target.sibling_name(&kept),
                    AtFlags::empty(),
                );
                match linked {
                    Err(Errno::EXIST) => None,
                    linked => Some(linked.map(|()| target.sibling(&kept))),
                }
            })
            .expect("there are more numbers than files")
            .map_err(Error::sys("set aside", target.sibling(NAME)))
    }
}

/// A log as it was read.
pub(crate) struct Log {
    head: Option<Head>,
    pub(crate) frames: Vec<Frame>,
    /// Behind the last valid frame.
    pub(crate) end: u64,
    /// Where a frame is not valid though valid ones follow.
    pub(crate) damage: Option<u64>,
    /// Whether more than reserved space is behind the last valid frame.
    torn: bool,
}

/// Whether all of a log was made visible, and only its name may be left to remove.
fn is_emptied(source: &(impl Source + ?Sized)) -> io::Result<bool> {
    let mut beginning = [0; EMPTIED.len()];
    Ok(source.fill(&mut beginning, 0)? == EMPTIED.len() && &beginning == EMPTIED)
}

fn read_log(file: &File, target: &Target) -> Result<Log> {
    scan(file, &target.sibling(NAME))
}

/// Reads a log; `path` is only named in errors.
pub(crate) fn scan(source: &(impl Source + ?Sized), path: &Path) -> Result<Log> {
    let failed = || Error::io("read", path);
    let mut log = Log {
        head: None,
        frames: Vec::new(),
        end: 0,
        damage: None,
        torn: false,
    };
    while let Some((payload, end)) = read_frame(source, log.end).map_err(failed())? {
        match log.head {
            None => log.head = Some(parse(&payload, log.end, path)?),
            Some(_) => log.frames.push(parse(&payload, log.end, path)?),
        }
        log.end = end;
    }
    if log.end == 0 && is_emptied(source).map_err(failed())? {
        return Ok(log);
    }
    let (mut torn, mut damaged) = (false, false);
    for_each_piece(source, log.end, |piece, at| {
        torn |= piece.iter().any(|&byte| byte != 0);
        damaged = damaged || has_valid_frame(source, piece, at, log.end)?;
        Ok(())
    })
    .map_err(failed())?;
    log.damage = damaged.then_some(log.end);
    log.torn = torn && !damaged;
    Ok(log)
}

/// Where the bytes of a log are.
pub(crate) trait Source {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize>;
    fn size(&self) -> io::Result<u64>;
    /// The first byte from an offset on that is not in a hole, as far as that is known.
    fn next_data(&self, offset: u64) -> io::Result<Option<u64>>;

    /// Fills the buffer as far as there are bytes.
    fn fill(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut filled = 0;
        while filled < buffer.len() {
            match self.read_at(&mut buffer[filled..], offset + filled as u64) {
                Ok(0) => break,
                Ok(read) => filled += read,
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(error) => return Err(error),
            }
        }
        Ok(filled)
    }
}

impl Source for File {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        FileExt::read_at(self, buffer, offset)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.metadata()?.len())
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        match rustix::fs::seek(self, rustix::fs::SeekFrom::Data(offset)) {
            Ok(data) => Ok(Some(data)),
            Err(rustix::io::Errno::NXIO) => Ok(None),
            Err(rustix::io::Errno::INVAL) => Ok(Some(offset)),
            Err(errno) => Err(errno.into()),
        }
    }
}

impl Source for [u8] {
    fn read_at(&self, buffer: &mut [u8], offset: u64) -> io::Result<usize> {
        let rest = self.get(offset as usize..).unwrap_or_default();
        let length = rest.len().min(buffer.len());
        buffer[..length].copy_from_slice(&rest[..length]);
        Ok(length)
    }

    fn size(&self) -> io::Result<u64> {
        Ok(self.len() as u64)
    }

    fn next_data(&self, offset: u64) -> io::Result<Option<u64>> {
        Ok((offset < self.len() as u64).then_some(offset))
    }
}

fn check_head(head: &Head, target: &Target, key: &str) -> Result<()> {
    let refuse = |problem: String| {
        Err(Error::Journal {
            path: target.sibling(NAME),
            problem,
        })
    };
    if head.sheet != target.path() {
        return refuse(format!(
            "holds results for {}: move the sheet back there and run again, or remove the journal to give them up",
            escape(&head.sheet.display().to_string())
        ));
    }
    if !same_column(&head.key, key) {
        return refuse(format!(
            "holds results by the key column {}: use --key with it, or remove the journal to give them up",
            escape(&head.key)
        ));
    }
    Ok(())
}

/// The bytes of a whole log.
pub(crate) fn encode_log(head: &Head, frames: &[Frame]) -> Vec<u8> {
    let mut bytes = Vec::new();
    encode(head, 0, &mut bytes);
    for frame in frames {
        let offset = bytes.len() as u64;
        encode(frame, offset, &mut bytes);
    }
    bytes
}

/// Adds the frame that holds this content where it stands at an offset of the log.
pub(crate) fn encode(content: &impl Serialize, offset: u64, out: &mut Vec<u8>) {
    let prefix = out.len();
    out.extend_from_slice(&[0; PREFIX]);
    serde_json::to_writer(&mut *out, content).expect("frames are plain data");
    let payload = &out[prefix + PREFIX..];
    let length = u32::try_from(payload.len()).expect("a frame is far shorter than 4 GiB");
    let checksum = xxh3_64_with_seed(payload, offset);
    out[prefix..prefix + 4].copy_from_slice(&length.to_le_bytes());
    out[prefix + 4..prefix + PREFIX].copy_from_slice(&checksum.to_le_bytes());
}

/// The payload of the valid frame at an offset, and where it ends. Reads no more than that frame.
fn read_frame(source: &(impl Source + ?Sized), offset: u64) -> io::Result<Option<(Vec<u8>, u64)>> {
    let mut prefix = [0; PREFIX];
    if source.fill(&mut prefix, offset)? < PREFIX {
        return Ok(None);
    }
    let (length, checksum) = split(&prefix);
    let end = offset + (PREFIX + length) as u64;
    if !(1..=MAX_FRAME_BYTES).contains(&length) || end > source.size()? {
        return Ok(None);
    }
    let mut payload = vec![0; length];
    let read = source.fill(&mut payload, offset + PREFIX as u64)?;
    let valid = read == length && xxh3_64_with_seed(&payload, offset) == checksum;
    Ok(valid.then_some((payload, end)))
}

fn split(prefix: &[u8]) -> (usize, u64) {
    let length = u32::from_le_bytes(prefix[..4].try_into().expect("four bytes"));
    let checksum = u64::from_le_bytes(prefix[4..PREFIX].try_into().expect("eight bytes"));
    (length as usize, checksum)
}

/// Looks for a frame in the bytes that stand at an offset of the log, behind `end`. Every payload
/// begins like a JSON object.
fn has_valid_frame(
    source: &(impl Source + ?Sized),
    piece: &[u8],
    at: u64,
    end: u64,
) -> io::Result<bool> {
    for payload in memmem::find_iter(piece, BEGINNING) {
        let frame = (at + payload as u64).checked_sub(PREFIX as u64);
        if let Some(frame) = frame.filter(|&frame| frame > end)
            && read_frame(source, frame)?.is_some()
        {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Reads all from an offset on, in pieces that overlap by so little that nothing is overlooked.
///
/// A file may be far longer than what is in it, or than memory: its holes are not read.
fn for_each_piece(
    source: &(impl Source + ?Sized),
    mut at: u64,
    mut look: impl FnMut(&[u8], u64) -> io::Result<()>,
) -> io::Result<()> {
    const PIECE_BYTES: u64 = 1 << 20;
    let behind = source.size()?.saturating_sub(at);
    let mut piece = vec![0; behind.min(PIECE_BYTES) as usize];
    while let Some(data) = source.next_data(at)? {
        let read = source.fill(&mut piece, data)?;
        look(&piece[..read], data)?;
        if read < BEGINNING.len() {
            break;
        }
        at = data + (read + 1 - BEGINNING.len()) as u64;
    }
    Ok(())
}

fn parse<T: for<'de> Deserialize<'de>>(payload: &[u8], offset: u64, path: &Path) -> Result<T> {
    serde_json::from_slice(payload).map_err(|error| Error::Journal {
        path: path.to_owned(),
        problem: format!(
            "holds at byte {offset} what this version cannot read ({}): finish with the one that wrote it, or remove the journal to give its results up",
            escape(&error.to_string())
        ),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::lock::WriteLock;
    use crate::sheet::change::CellUpdate;

    struct Fixture {
        _folder: tempfile::TempDir,
        target: Arc<Target>,
        lock: WriteLock,
    }

    impl Fixture {
        fn new() -> Fixture {
            let folder = tempfile::tempdir().unwrap();
            let path = folder.path().join("in.csv");
            std::fs::write(&path, "PO_NUMBER\nA\n").unwrap();
            let target = Arc::new(Target::open(&path).unwrap());
            let lock = WriteLock::open(&target).unwrap();
            Fixture {
                _folder: folder,
                target,
                lock,
            }
        }

        fn open(&self) -> Result<(Journal, Option<Head>, Vec<Frame>)> {
            Journal::open(
                &self.target,
                "PO_NUMBER",
                Some("s1"),
                &self.lock.acquire().unwrap(),
            )
        }

        /// The bytes of a log with these frames, and where each frame ends.
        fn log(&self, frames: &[Frame]) -> (Vec<u8>, Vec<usize>) {
            let mut journal = self.open().unwrap().0;
            let ends = frames
                .iter()
                .map(|frame| {
                    journal.append(frame).unwrap();
                    std::fs::metadata(journal.path()).unwrap().len() as usize
                })
                .collect();
            (std::fs::read(journal.path()).unwrap(), ends)
        }

        fn kept_aside(&self) -> usize {
            std::fs::read_dir(self.target.folder_path())
                .unwrap()
                .filter(|entry| {
                    entry
                        .as_ref()
                        .unwrap()
                        .file_name()
                        .to_string_lossy()
                        .contains("damaged")
                })
                .count()
        }
    }

    fn read(target: &Target, key: &str) -> Result<Vec<Frame>> {
        Journal::read(target, Journal::find(target)?.as_ref(), key)
    }

    fn frame(po: &str) -> Frame {
        let cell = CellUpdate {
            column: "STATUS".into(),
            value: "COMPLETED".into(),
            before: smallvec::smallvec!["".into()],
            outside: false,
        };
        Frame {
            at: DateTime::UNIX_EPOCH,
            rows: vec![RowUpdate {
                po: po.into(),
                cells: vec![cell],
            }],
        }
    }

    #[test]
    fn what_another_version_wrote_is_refused_with_the_ways_out() {
        let error = parse::<u8>(b"\"\x1b[2J\"", 64, Path::new("j")).unwrap_err();
        let error = error.to_string();
        assert!(
            error.starts_with("the journal j holds at byte 64 what this version cannot read ("),
            "{error}"
        );
        assert!(
            error.ends_with(
                "): finish with the one that wrote it, or remove the journal to give its results up"
            ),
            "{error}"
        );
        assert_eq!(escape(&error), error);
    }

    #[test]
    fn what_was_appended_is_read_by_whoever_opens_it_next() {
        let fixture = Fixture::new();
        fixture.log(&[frame("A"), frame("B")]);
        let (_, head, frames) = fixture.open().unwrap();
        assert_eq!(head.unwrap().session.as_deref(), Some("s1"));
        assert_eq!(frames, [frame("A"), frame("B")]);
        assert_eq!(read(&fixture.target, "po_number").unwrap(), frames);
    }

    #[test]
    fn frames_of_others_are_read_once_and_in_order() {
        let fixture = Fixture::new();
        let (mut ours, mut theirs) = (fixture.open().unwrap().0, fixture.open().unwrap().0);
        theirs.append(&frame("A")).unwrap();
        theirs.append(&frame("B")).unwrap();
        assert!(
            matches!(ours.catch_up().unwrap(), News::Unknown(frames) if frames == [frame("A"), frame("B")])
        );
        ours.append(&frame("C")).unwrap();
        assert!(matches!(ours.catch_up().unwrap(), News::Frames(frames) if frames.is_empty()));
        assert!(
            matches!(theirs.catch_up().unwrap(), News::Frames(frames) if frames == [frame("C")])
        );
    }

    #[test]
    fn a_log_that_a_crash_left_without_its_head_is_begun_by_whoever_writes_first() {
        let fixture = Fixture::new();
        std::fs::write(fixture.target.sibling(NAME), [0; 64]).unwrap();
        let (mut ours, mut theirs) = (fixture.open().unwrap().0, fixture.open().unwrap().0);
        theirs.append(&frame("A")).unwrap();
        assert!(
            matches!(ours.catch_up().unwrap(), News::Unknown(frames) if frames == [frame("A")])
        );
        ours.append(&frame("B")).unwrap();
        assert_eq!(fixture.open().unwrap().2, [frame("A"), frame("B")]);
    }

    #[test]
    fn a_log_that_was_emptied_or_replaced_meanwhile_is_noticed() {
        let fixture = Fixture::new();
        let (mut ours, mut theirs) = (fixture.open().unwrap().0, fixture.open().unwrap().0);
        theirs.append(&frame("A")).unwrap();
        ours.catch_up().unwrap();
        theirs.remove().unwrap();
        assert!(matches!(ours.catch_up().unwrap(), News::Replaced));
        theirs.append(&frame("B")).unwrap();
        assert_eq!(ours.load().unwrap().1, [frame("B")]);
        theirs.start_over(&[frame("B"), frame("C")]).unwrap();
        assert!(matches!(ours.catch_up().unwrap(), News::Replaced));
    }

    #[test]
    fn a_log_that_was_emptied_before_a_kill_holds_nothing_though_its_name_is_left() {
        let fixture = Fixture::new();
        let (mut ours, mut theirs) = (fixture.open().unwrap().0, fixture.open().unwrap().0);
        theirs.append(&frame("A")).unwrap();
        ours.catch_up().unwrap();
        let seen = Journal::find(&fixture.target).unwrap();
        let again = fixture.target.sibling("again");
        std::fs::hard_link(ours.path(), &again).unwrap();
        theirs.remove().unwrap();
        std::fs::rename(&again, ours.path()).unwrap();

        assert!(!Journal::is_still(&fixture.target, seen.as_ref()).unwrap());
        assert_eq!(read(&fixture.target, "PO_NUMBER").unwrap(), []);
        assert!(matches!(ours.catch_up().unwrap(), News::Replaced));
        assert_eq!(ours.load().unwrap().1, []);
        assert!(!ours.path().exists());
        ours.append(&frame("B")).unwrap();
        assert_eq!(fixture.open().unwrap().2, [frame("B")]);
        assert_eq!(fixture.kept_aside(), 0);
    }

    #[test]
    fn a_tail_torn_at_any_byte_loses_only_its_own_frame() {
        let fixture = Fixture::new();
        let (log, ends) = fixture.log(&[frame("A"), frame("B")]);
        for cut in 0..log.len() {
            for zeros in [0, 64] {
                let mut torn = log[..cut].to_vec();
                torn.resize(cut + zeros, 0);
                std::fs::write(fixture.target.sibling(NAME), torn).unwrap();
                let (mut journal, _, frames) = fixture.open().unwrap();
                let whole = ends.iter().filter(|&&end| end <= cut).count();
                assert_eq!(frames, [frame("A"), frame("B")][..whole], "cut at {cut}");
                journal.append(&frame("C")).unwrap();
                assert_eq!(
                    fixture.open().unwrap().2.last(),
                    Some(&frame("C")),
                    "cut at {cut}"
                );
            }
        }
        assert_eq!(fixture.kept_aside(), 0);
    }

    #[test]
    fn nothing_of_a_torn_tail_is_left_behind_what_is_written_next() {
        let fixture = Fixture::new();
        let (log, ends) = fixture.log(&[frame("A"), frame(&"B".repeat(99))]);
        std::fs::write(fixture.target.sibling(NAME), &log[..ends[1] - 1]).unwrap();
        fixture.open().unwrap().0.append(&frame("C")).unwrap();
        let bytes = std::fs::read(fixture.target.sibling(NAME)).unwrap();
        let read = scan(bytes.as_slice(), fixture.target.path()).unwrap();
        assert_eq!(read.frames, [frame("A"), frame("C")]);
        assert_eq!(read.end, bytes.len() as u64);
    }

    #[test]
    fn a_flipped_bit_loses_its_own_frame_and_those_behind_it() {
        let fixture = Fixture::new();
        let frames = [frame("A"), frame("B"), frame("C")];
        let (mut log, ends) = fixture.log(&frames);
        let (begin, last) = (ends[1], ends[2]);
        log.resize(last + 64, 0);
        for bit in 0..log.len() * 8 {
            log[bit / 8] ^= 1 << (bit % 8);
            let read = scan(log.as_slice(), fixture.target.path()).unwrap();
            log[bit / 8] ^= 1 << (bit % 8);
            let whole = ends.iter().filter(|&&end| end * 8 <= bit).count();
            assert_eq!(read.frames, frames[..whole], "bit {bit}");
            assert_eq!(read.damage.is_some(), bit / 8 < begin, "bit {bit}");
            assert_eq!(read.torn, bit / 8 >= begin, "bit {bit}");
        }
    }

    #[test]
    fn frames_that_stand_elsewhere_than_they_were_written_are_damage() {
        let fixture = Fixture::new();
        let frames = [frame("A"), frame("B"), frame("C")];
        let (log, ends) = fixture.log(&frames);
        let [a, b, c] = [&log[..ends[0]], &log[ends[0]..ends[1]], &log[ends[1]..]];
        let check = |parts: &[&[u8]], whole: usize, is_damaged: bool| {
            let read = scan(parts.concat().as_slice(), fixture.target.path()).unwrap();
            assert_eq!(read.frames, frames[..whole]);
            assert_eq!(read.damage, is_damaged.then_some(read.end));
        };
        check(&[a, b, c], 3, false);
        check(&[a, b, c, c], 3, false);
        check(&[a, b, b, c], 2, false);
        check(&[a, c], 1, false);
        // Of equal length, so that the third stands where it was written.
        check(&[a, c, c], 1, true);
        check(&[a, c, b], 1, false);
        check(&[&vec![0; a.len()], b, c], 0, true);
    }

    #[test]
    fn a_length_that_no_frame_has_is_not_believed() {
        let fixture = Fixture::new();
        let (log, ends) = fixture.log(&[frame("A"), frame("B")]);
        let within = (ends[1] - ends[0] - PREFIX) as u32;
        let huge = [within + 1, MAX_FRAME_BYTES as u32, u32::MAX];
        for length in huge.into_iter().chain([0, 1, within - 1]) {
            for (at, whole) in [(0, 0), (ends[0], 1)] {
                let mut bytes = log.clone();
                bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
                std::fs::write(fixture.target.sibling(NAME), bytes).unwrap();
                let (mut journal, _, frames) = fixture.open().unwrap();
                assert_eq!(frames, [frame("A")][..whole], "{length} at {at}");
                assert!(
                    matches!(journal.catch_up().unwrap(), News::Frames(f) | News::Unknown(f) if f.is_empty())
                );
            }
        }
    }

    #[test]
    fn a_flipped_bit_stops_the_replay_there_and_the_file_is_kept() {
        let fixture = Fixture::new();
        let (log, ends) = fixture.log(&[frame("A"), frame("B"), frame("C")]);
        for bit in (0..ends[1] * 8).step_by(7) {
            let mut flipped = log.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(fixture.target.sibling(NAME), &flipped).unwrap();
            let kept_before = fixture.kept_aside();
            let (_, _, frames) = fixture.open().unwrap();
            let whole = ends.iter().filter(|&&end| end * 8 <= bit).count();
            assert_eq!(frames, [frame("A"), frame("B")][..whole], "bit {bit}");
            assert_eq!(fixture.kept_aside(), kept_before + 1, "bit {bit}");
            assert_eq!(
                fixture.open().unwrap().2,
                frames,
                "what was valid is in the log that goes on"
            );
        }
    }

    #[test]
    fn a_log_of_another_sheet_or_key_is_refused() {
        let fixture = Fixture::new();
        fixture.log(&[frame("A")]);
        let error = read(&fixture.target, "ID").unwrap_err().to_string();
        assert!(error.ends_with("holds results by the key column PO_NUMBER: use --key with it, or remove the journal to give them up"), "{error}");
        let moved = fixture.target.folder_path().join("moved.csv");
        std::fs::rename(fixture.target.path(), &moved).unwrap();
        std::fs::rename(
            fixture.target.sibling(NAME),
            moved.with_file_name(".moved.csv.journal"),
        )
        .unwrap();
        let error = read(&Target::open(&moved).unwrap(), "PO_NUMBER")
            .unwrap_err()
            .to_string();
        assert!(
            error.contains("holds results for ") && error.contains("in.csv: move the sheet back"),
            "{error}"
        );
    }

    #[test]
    fn reserved_space_is_an_empty_log() {
        let fixture = Fixture::new();
        let mut journal = fixture.open().unwrap().0;
        journal.reserve(10).unwrap();
        assert!(std::fs::metadata(journal.path()).unwrap().len() > 64 << 10);
        journal.append(&frame("A")).unwrap();
        assert_eq!(fixture.open().unwrap().2, [frame("A")]);
        journal.remove().unwrap();
        assert!(!journal.path().exists());
    }
}
