//! Durable before visible: the one log of cell updates of all tickoff processes on a sheet.
//!
//! A frame is appended, and synced, under the write lock before anything of it reaches the CSV. It
//! makes its updates durable, and its place in the log is their order across processes. Besides, the log
//! notes which versions were made public. It outlives its session: when all of it is visible it is closed,
//! which leaves an entry for each cell, and the next session goes on with it. So a sheet that another program
//! read early and saved late, or a crash, takes nothing away. Replaying it is idempotent.
//!
//! `frame.rs` has the format, `read.rs` tells a torn tail, which a crash leaves and nobody was told of, from
//! damage, and `lost.rs` what to do when the file is taken away.
//!
//! A log belongs to the name that it lies beside, never to a path or an inode: these change with mounts,
//! copies and restores. It is known by its id.
//!
//! Who replaces a log marks the old one, so that others who hold it know; who empties one marks it first,
//! by four bytes in its first sector, and syncs that before the name goes. A sync of the folder behind the
//! unlink was not enough: a process killed between the two, and then a power cut, brought the log back over
//! what another program had written into the sheet meanwhile (found by the crash states). A marked log is as
//! good as none; one that is gone without that mark was taken by somebody else, and is written anew. One that
//! somebody wrote over, as a backup that is copied back does, is known by its edges: nothing is read from it, and
//! its writer begins a new one with what it has in memory.
//!
//! After a failed sync the kernel may forget that pages were dirty and call the next sync a
//! success (Rebello et al., "Can Applications Recover from fsync Failures?", ATC '20). The log is
//! abandoned then, and a new one takes everything that was written in this session. A process that
//! was killed before it could do so, or before its sync, leaves frames that can be read and may never
//! reach the disk; so the frames of others are written again, and synced, before anything stands
//! behind them.

use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::PathBuf;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use super::encoded::{Reading, named};
use super::frame::{Frame, Head, encode, encode_log, open_session, parse, read_frame};
use super::lost::{Found, look_for};
use super::open_log::OpenLog;
use super::read::{Damage, EMPTIED, Log, is_emptied, scan};
use crate::disk::{Staged, Target, WriteGuard, copy_data};
use crate::domain::Encoding;
use crate::domain::KeyColumns;
use crate::error::{Error, Named, Result};
use crate::sheet::Lossy;
use crate::sys::{inode, names};
use crate::text::escape;
use crate::text::shell::command_line;

pub(super) const NAME: &str = "journal";
/// The time in the name of a log that was set aside.
pub(super) const SET_ASIDE: &str = "%Y%m%d_%H%M%S";
/// What is reserved at most, so that a full disk does not stop acknowledgements at once.
const MAX_RESERVED_BYTES: u64 = 16 << 20;

/// The log as a writer holds it. Every method is called under the write lock.
pub(crate) struct Journal {
    target: Arc<Target>,
    /// Of the log that is there, or of one that this writer would begin.
    head: Head,
    /// Of the sheet, as it is read and written here.
    encoding: Encoding,
    /// Of what others wrote.
    reading: Reading,
    /// Values of the log that the sheet's encoding cannot write.
    lost: Vec<Lossy>,
    open: Option<OpenLog>,
    /// A write or a sync failed: nothing is acknowledged through this log any more.
    tainted: bool,
    /// What the last append or new log took, or would have taken.
    wanted_bytes: u64,
    /// That it was taken away is said once.
    has_said_that_it_is_lost: bool,
    /// A log that was read was damaged, and not all of it could be read.
    has_lost_frames: bool,
}

/// What was found in the log.
pub(crate) enum News {
    /// Frames that others appended.
    Frames(Vec<Frame>),
    /// No log was known; these frames are in the one that is there now, if there is one. Others may
    /// have come and gone in between.
    Unknown(Vec<Frame>),
    /// Somebody emptied the log, or wrote another one in its place: the sheet has to be read anew.
    Replaced,
    /// Another program wrote over the log's file: it has to be started over with what is known.
    WrittenOver,
}

/// A log that was there when the journal was opened.
pub(crate) struct Left {
    pub(crate) created: DateTime<Utc>,
    /// The session that began and did not close it, and when.
    pub(crate) session: Option<(String, DateTime<Utc>)>,
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

    /// The frames of a log that was found beside a sheet with these bytes, and the last other name of the sheet.
    pub(crate) fn read(
        target: &Target,
        found: Option<&File>,
        (key, encoding): (&KeyColumns, Encoding),
        sheet: &[u8],
    ) -> Result<(Vec<Frame>, Option<String>)> {
        let Some(file) = found else {
            return Ok((Vec::new(), None));
        };
        let log = read_log(file, target)?;
        let head = log.head.as_ref();
        let name_before = head.and_then(|head| head.earlier_name(target.name()));
        let name_before = name_before.map(str::to_owned);
        if let Some(head) = &log.head {
            if log.has_no_results() && log.has_another_key(key) {
                return Ok((Vec::new(), None));
            }
            check_head(head, target, key)?;
        }
        if let Some(damage) = &log.damage {
            tracing::warn!(
                journal = %escape(&target.sibling(NAME).display().to_string()),
                offset = damage.offset,
                unreadable_bytes = damage.unreadable_bytes,
                since = %since(damage),
                "the journal is damaged: what stood in the bytes that cannot be read is not shown, what stands behind them is"
            );
        }
        let frames = log.all_frames();
        let seen = Reading::beside(sheet, &frames, encoding).all_seen(frames);
        let seen = seen.map_err(|name| in_another_encoding(target, &name, encoding));
        Ok((seen?, name_before))
    }

    /// The inode of the log that is there.
    fn identity(target: &Target) -> Result<Option<u64>> {
        match inode::of(target.folder(), &target.sibling_name(NAME)) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            found => found
                .map(Some)
                .map_err(Error::io("read", target.sibling(NAME))),
        }
    }

    /// Opens the log beside a sheet with these bytes, if there is one, and returns what it is and its frames.
    pub(crate) fn open(
        target: &Arc<Target>,
        (key, encoding): (&KeyColumns, Encoding),
        sheet: &[u8],
        _held: &WriteGuard,
    ) -> Result<(Journal, Option<Left>, Vec<Frame>)> {
        let mut journal = Journal {
            target: Arc::clone(target),
            head: Head::new(target.path(), key),
            encoding,
            reading: Reading::unseen(encoding),
            lost: Vec::new(),
            open: None,
            tainted: false,
            wanted_bytes: 0,
            has_said_that_it_is_lost: false,
            has_lost_frames: false,
        };
        let frames = journal.load_beside(Some(sheet))?;
        let left = journal.exists().then(|| Left {
            created: journal.head.created,
            session: open_session(&journal.head, &frames),
        });
        Ok((journal, left, frames))
    }

    /// The last other name of the sheet, if it had any.
    pub(crate) fn earlier_name(&self) -> Option<&str> {
        self.head.earlier_name(self.target.name())
    }

    /// The log that begins next is of a sheet that had this name, or shows results that were written under it.
    pub(crate) fn was_called(&mut self, name: &str) {
        self.head.name_before = Some(name.to_owned());
    }

    pub(crate) fn id(&self) -> &str {
        &self.head.id
    }

    /// The log that begins next holds all of another one, with this id and so many frames.
    pub(crate) fn goes_on_from(&mut self, log: (String, usize)) {
        self.head.goes_on_from = Some(log);
    }

    /// The log that begins next is of a copy of the sheet with this name in its folder.
    pub(crate) fn is_copy_of(&mut self, name: &str) {
        self.head.copy_of = Some(name.to_owned());
    }

    /// Of a log that begins now, in the place of the one that was known.
    fn new_head(&self) -> Head {
        self.head.successor(self.target.path())
    }

    /// Removes a log that is there and holds nothing.
    fn drop_log(&mut self, file: File) -> Result<()> {
        self.open = Some(OpenLog::new(file, 0, 0).map_err(Error::io("read", self.path()))?);
        self.remove()
    }

    /// Reads the log that is there from its beginning.
    pub(crate) fn load(&mut self) -> Result<Vec<Frame>> {
        self.load_beside(None)
    }

    fn load_beside(&mut self, sheet: Option<&[u8]>) -> Result<Vec<Frame>> {
        if Journal::identity(&self.target)?.is_none() {
            self.open = None;
            self.head = self.new_head();
            return Ok(Vec::new());
        }
        let file = self.target.open_sibling(NAME)?;
        if is_emptied(&file).map_err(Error::io("read", self.path()))? {
            return self.drop_log(file).map(|()| Vec::new());
        }
        let log = read_log(&file, &self.target)?;
        if log.has_no_results() && log.has_another_key(&self.head.key()) {
            return self.drop_log(file).map(|()| Vec::new());
        }
        let Log {
            head,
            mut frames,
            end,
            mut damage,
            torn,
            ..
        } = log;
        match &head {
            Some(head) => {
                check_head(head, &self.target, &self.head.key())?;
                self.head = head.clone();
            }
            None => self.head = self.new_head(),
        }
        if let Some(damage) = &mut damage {
            frames.append(&mut damage.behind);
        }
        if let Some(sheet) = sheet {
            self.reading = Reading::beside(sheet, &frames, self.encoding);
            self.lost = self.reading.lost(&frames);
        }
        let seen = self.reading.all_seen(frames);
        let frames =
            seen.map_err(|name| in_another_encoding(&self.target, &name, self.encoding))?;
        // Whoever made it may have been killed before its name was durable.
        self.target.sync_folder()?;
        let journal = escape(&self.path().display().to_string());
        if let Some(damage) = damage {
            let kept = Journal::link_aside(&self.target, "damaged")?;
            tracing::error!(
                %journal,
                offset = damage.offset,
                unreadable_bytes = damage.unreadable_bytes,
                since = %since(&damage),
                kept = %escape(&kept.display().to_string()),
                "the journal is damaged: what stood in the bytes that cannot be read is not recovered, what stands behind them is; the file is kept"
            );
            self.has_lost_frames |= damage.unreadable_bytes > 0;
            self.start_over(&frames)?;
            return Ok(frames);
        }
        if torn {
            tracing::info!(
                %journal,
                offset = end,
                "the journal ends in the middle of a frame, as a crash leaves it: what was not acknowledged yet is dropped"
            );
            // What comes next may be shorter, and the rest of this would be behind it.
            file.set_len(end).map_err(Error::io("write", self.path()))?;
        }
        if head.is_none() {
            tracing::warn!(%journal, "the journal is empty: what it told of earlier results is gone");
        }
        let count = frames.len() as u64;
        let open = OpenLog::new(file, end, count).map_err(Error::io("read", self.path()))?;
        self.open = Some(open);
        Ok(frames)
    }

    /// What others wrote since we looked last. A log that was taken away is written anew first.
    pub(crate) fn catch_up(&mut self) -> Result<News> {
        let there = Journal::identity(&self.target)?;
        let path = self.path();
        let Some(log) = &mut self.open else {
            return Ok(News::Unknown(match there {
                None => Vec::new(),
                Some(_) => self.load()?,
            }));
        };
        if log.end == 0 {
            // A crash left it without a head; somebody may have begun it anew.
            return Ok(News::Unknown(self.load()?));
        }
        let read = || Error::io("read", &path);
        // Who took for ours what was written over it may have emptied that.
        if is_emptied(&log.file).map_err(read())?
            && (log.is_as_known(EMPTIED.len()).map_err(read())?
                || matches!(look_for(&self.target, &self.head, log)?, Found::Successor))
        {
            return Ok(News::Replaced);
        }
        if self.was_written_over()? {
            return self.after_it_was_written_over(there);
        }
        let log = self.open.as_mut().expect("it is open");
        let mut frames = Vec::new();
        while let Some((payload, end)) =
            read_frame(&log.file, log.end).map_err(Error::io("read", &path))?
        {
            let frame = parse(&payload, log.end, &path)?;
            frames.push(self.reading.seen_or_meant(frame));
            log.knows_up_to(end, &payload);
        }
        if there == Some(log.inode) {
            return Ok(News::Frames(frames));
        }
        match look_for(&self.target, &self.head, log)? {
            Found::Successor => return Ok(News::Replaced),
            Found::Same(file) => {
                let (end, count) = (log.end, log.count);
                let adopted = OpenLog::new(file, end, count).map_err(Error::io("read", &path))?;
                self.open = Some(adopted);
                let News::Frames(more) = self.catch_up()? else {
                    return Ok(News::Replaced);
                };
                frames.extend(more);
            }
            found @ (Found::Nothing | Found::Foreign) => {
                if matches!(found, Found::Foreign) {
                    self.set_aside_foreign()?;
                }
                self.write_anew()?;
            }
        }
        Ok(News::Frames(frames))
    }

    fn set_aside_foreign(&self) -> Result<()> {
        let kept = Journal::link_aside(&self.target, "foreign")?;
        tracing::warn!(kept = %escape(&kept.display().to_string()), "another journal was put in the place of this sheet's; it is set aside");
        Ok(())
    }

    /// Whether another program wrote over the file of the log. What it wrote is kept in a copy, since who starts
    /// the log over marks that file.
    fn was_written_over(&mut self) -> Result<bool> {
        let path = self.path();
        let Some(log) = &mut self.open else {
            return Ok(false);
        };
        let read = || Error::io("read", &path);
        if log.is_written_over || log.is_as_known(0).map_err(read())? {
            return Ok(log.is_written_over);
        }
        let journal = escape(&path.display().to_string());
        if log.file.metadata().map_err(read())?.len() == 0 {
            tracing::warn!(%journal, "another program emptied the journal in mid-run; it is written anew with all that is known");
        } else {
            let kept = Journal::copy_aside(&self.target, &log.file, "foreign")?;
            tracing::warn!(%journal, kept = %escape(&kept.display().to_string()), "another program wrote over the journal in mid-run; it is written anew with all that is known, and what was written there is kept");
        }
        log.is_written_over = true;
        Ok(true)
    }

    /// Looks what has the name of a log whose file was written over.
    fn after_it_was_written_over(&self, there: Option<u64>) -> Result<News> {
        let log = self.open.as_ref().expect("it was written over");
        if there.is_some_and(|inode| inode != log.inode) {
            if let Found::Successor = look_for(&self.target, &self.head, log)? {
                return Ok(News::Replaced);
            }
            self.set_aside_foreign()?;
        }
        Ok(News::WrittenOver)
    }

    /// Whether another program wrote over the log's file, and no new log was begun yet.
    pub(crate) fn is_written_over(&self) -> bool {
        let mut log = self.open.iter();
        log.any(|log| log.is_written_over)
    }

    /// Gives the log, whose file was taken away, its name back: a copy of it, since a file without a name
    /// cannot have one again.
    fn write_anew(&mut self) -> Result<()> {
        let log = self.open.as_ref().expect("it was lost while it was open");
        let mut bytes = vec![0; log.end as usize];
        log.file
            .read_exact_at(&mut bytes, 0)
            .map_err(Error::io("read", self.path()))?;
        let (was_tainted, count) = (self.tainted, log.count);
        self.replace(&bytes, count)?;
        self.tainted = was_tainted;
        if !self.has_said_that_it_is_lost {
            self.has_said_that_it_is_lost = true;
            tracing::warn!(
                journal = %escape(&self.path().display().to_string()),
                "the journal was taken away by somebody else; it is written anew, and nothing of it is lost"
            );
        }
        Ok(())
    }

    /// Makes a frame durable. After an error it is not; if the log is tainted then, only
    /// [`Journal::start_over`] makes it usable again.
    pub(crate) fn append(&mut self, frame: &Frame) -> Result<()> {
        assert!(
            !self.tainted,
            "nothing is acknowledged through a log that failed"
        );
        let path = self.path();
        let log = match &mut self.open {
            Some(log) if log.end > 0 => log,
            // Head and frame have to be there together.
            _ => return self.begin(frame),
        };
        let mut bytes = Vec::new();
        encode(&named(frame, self.encoding), log.end, &mut bytes);
        self.wanted_bytes = bytes.len() as u64;
        log.make_room(log.end + self.wanted_bytes)
            .map_err(Error::io("write", &path))?;
        let written = log
            .sync_frames_of_others()
            .and_then(|()| log.file.write_all_at(&bytes, log.end))
            .map_err(Error::io("write", &path))
            .and_then(|()| log.file.sync_data().map_err(Error::io("sync", &path)));
        // Else the frame may stand behind a hole.
        self.tainted = true;
        if self.was_written_over()? {
            return Err(self.problem("was written over by another program"));
        }
        let log = self.open.as_mut().expect("it was written to");
        if written.is_err() {
            // So that nobody takes for durable what is not; if that fails too, they may.
            log.file.set_len(log.end).ok();
            return written;
        }
        self.tainted = false;
        log.knows_up_to(log.end + self.wanted_bytes, &bytes);
        log.unsure_from = log.end;
        Ok(())
    }

    fn problem(&self, problem: &str) -> Error {
        Error::Journal {
            path: self.path(),
            problem: problem.into(),
        }
    }

    /// Begins a log, where none is or where a crash left one without its head.
    fn begin(&mut self, frame: &Frame) -> Result<()> {
        let bytes = encode_log(&self.head, [named(frame, self.encoding)]);
        self.replace(&bytes, 1)
    }

    /// How many frames are known: what is written next has this number.
    pub(crate) fn count(&self) -> u64 {
        self.open.as_ref().map_or(0, |log| log.count)
    }

    /// How long the log is.
    pub(crate) fn bytes(&self) -> u64 {
        self.open.as_ref().map_or(0, |log| log.end)
    }

    /// All frames that are known, read once more.
    pub(crate) fn frames(&self) -> Result<Vec<Frame>> {
        let Some(log) = &self.open else {
            return Ok(Vec::new());
        };
        let path = self.path();
        let mut frames = Vec::with_capacity(log.count as usize);
        let mut at = 0;
        while at < log.end
            && let Some((payload, end)) =
                read_frame(&log.file, at).map_err(Error::io("read", &path))?
        {
            if at > 0 {
                frames.push(self.reading.seen_or_meant(parse(&payload, at, &path)?));
            }
            at = end;
        }
        let read = || Error::io("read", &path);
        match log.is_as_known(0).map_err(read())? || is_emptied(&log.file).map_err(read())? {
            true => Ok(frames),
            false => Err(self.problem("was written over by another program")),
        }
    }

    /// The values of the log, as it was opened, that lose letters in the sheet.
    pub(crate) fn take_lost(&mut self) -> Vec<Lossy> {
        std::mem::take(&mut self.lost)
    }

    /// How many bytes the last frame, or new log, took or would have taken.
    pub(crate) fn wanted_bytes(&self) -> u64 {
        self.wanted_bytes
    }

    /// Whether the log has to be started over before anything is acknowledged.
    pub(crate) fn is_tainted(&self) -> bool {
        self.tainted
    }

    /// Replaces the log by a new one that holds these frames, durably.
    pub(crate) fn start_over(&mut self, frames: &[Frame]) -> Result<()> {
        self.tainted = true;
        let head = self.new_head();
        let named = frames.iter().map(|frame| named(frame, self.encoding));
        let bytes = encode_log(&head, named);
        let before = match &self.open {
            Some(log) => Some(
                log.file
                    .try_clone()
                    .map_err(Error::io("read", self.path()))?,
            ),
            None => None,
        };
        self.replace(&bytes, frames.len() as u64)?;
        self.head = head;
        if let Some(before) = before
            && let Err(error) = before.write_all_at(EMPTIED, 0)
        {
            // Who holds it finds the new one by its predecessors.
            tracing::debug!(%error, "a journal that was replaced could not be marked");
        }
        self.tainted = false;
        Ok(())
    }

    /// Gives the key columns of a log with these frames, all that it has, other names.
    pub(crate) fn rename_key(&mut self, key: &KeyColumns, frames: &[Frame]) -> Result<()> {
        self.head = Head {
            key: key.title(),
            key_columns: key.is_several().then(|| key.clone()),
            ..self.head.clone()
        };
        self.start_over(frames)
    }

    /// Gives the log's name to a new file that holds these bytes, durably.
    fn replace(&mut self, bytes: &[u8], count: u64) -> Result<()> {
        self.wanted_bytes = bytes.len() as u64;
        let failed = |action| Error::io(action, self.path());
        // What comes of an attempt that fails takes up room that the next one needs: it goes on return.
        let mut next = Staged::begin(self.target.folder(), &self.target.sibling_name(""), 0o600)
            .map_err(failed("create"))?;
        self.target.share(next.file()).map_err(failed("open"))?;
        let written = next.file().write_all_at(bytes, 0);
        written.map_err(failed("write"))?;
        next.file().sync_all().map_err(failed("sync"))?;
        let file = next.file().try_clone().map_err(failed("open"))?;
        let mut log = OpenLog::new(file, self.wanted_bytes, count).map_err(failed("read"))?;
        log.unsure_from = log.end;
        next.replace(self.name()).map_err(failed("replace"))?;
        self.open = Some(log);
        self.target.sync_folder()
    }

    /// Gives a session's log room for `pending` results, filled with zeros. A full disk is only
    /// worth a warning: the log grows by itself.
    pub(crate) fn reserve(&mut self, pending: usize) -> Result<()> {
        let path = self.path();
        let Some(log) = self.open.as_mut() else {
            return Ok(());
        };
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

    /// Empties the log: nothing of it is wanted any more, and no crash brings it back over what others do next;
    /// an emptied one that a crash brings back is harmless. After an error the log that may still be there holds
    /// nothing that is not visible, and has to be started over before anything is acknowledged.
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
        names::unlink_if_there(self.target.folder(), &self.name())
            .map_err(Error::io("remove", self.path()))?;
        self.open = None;
        self.head = self.new_head();
        self.tainted = false;
        Ok(())
    }

    /// Whether the log that is held open, if there is one, is still the file that has its name.
    pub(crate) fn has_its_name(&self) -> Result<bool> {
        let there = Journal::identity(&self.target)?;
        Ok(self
            .open
            .as_ref()
            .is_none_or(|log| there == Some(log.inode)))
    }

    /// Whether a log that was read was damaged, and not all of it could be read.
    pub(crate) fn has_lost_frames(&self) -> bool {
        self.has_lost_frames
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

    /// Gives the log another name as well.
    fn link_aside(target: &Target, why: &str) -> Result<PathBuf> {
        let (folder, name) = (target.folder(), target.sibling_name(NAME));
        aside(target, why, |kept| match names::link(folder, &name, kept) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(false),
            linked => linked.map(|()| true),
        })
    }

    /// Copies what is in the file of a log to such a name.
    fn copy_aside(target: &Target, file: &File, why: &str) -> Result<PathBuf> {
        let path = target.sibling(NAME);
        let failed = || Error::io("set aside", &path);
        let mut copy =
            Staged::begin(target.folder(), &target.sibling_name(""), 0o600).map_err(failed())?;
        target.share(copy.file()).map_err(failed())?;
        copy_data(file, &path, copy.file(), ("set aside", &path))?;
        copy.file().sync_all().map_err(failed())?;
        aside(target, why, |kept| copy.publish(kept))
    }
}

/// Gives what is set aside the first of its names that is free: `name` tells whether it was.
fn aside(
    target: &Target,
    why: &str,
    mut name: impl FnMut(&str) -> io::Result<bool>,
) -> Result<PathBuf> {
    let now = Utc::now().format(SET_ASIDE);
    (1..)
        .map(|n| format!("{NAME}.{why}-{now}-{n}"))
        .find_map(|kept| match name(&target.sibling_name(&kept)) {
            Ok(false) => None,
            named => Some(named.map(|_| target.sibling(&kept))),
        })
        .expect("there are more numbers than files")
        .map_err(Error::io("set aside", target.sibling(NAME)))
}

fn read_log(file: &File, target: &Target) -> Result<Log> {
    let path = target.sibling(NAME);
    let log = scan(file, &path)?;
    match log.is_foreign {
        false => Ok(log),
        true => Err(Error::Journal {
            path,
            problem: "is no journal, and stays as it is: move it away if it is yours; if it was the journal once, what it held cannot be read".into(),
        }),
    }
}

/// Since when results may be missing.
fn since(damage: &Damage) -> String {
    let since = damage.since.map(crate::domain::format_timestamp);
    since.unwrap_or_else(|| "unknown".into())
}

/// Who reads a sheet in an encoding in which the log has no meaning is told the one that the log was written in.
fn in_another_encoding(target: &Target, name: &str, encoding: Encoding) -> Error {
    Error::Journal {
        path: target.sibling(NAME),
        problem: format!(
            "holds results that were written in {0}, and the sheet is read in {1}: use --encoding {0}, or remember it: tickoff init FILE --encoding {0}",
            escape(name),
            encoding.name()
        ),
    }
}

fn check_head(head: &Head, target: &Target, key: &KeyColumns) -> Result<()> {
    let refuse = |problem: String| {
        Err(Error::Journal {
            path: target.sibling(NAME),
            problem,
        })
    };
    if !head.is_known() {
        return refuse(format!(
            "has the format {}, which this version cannot read: finish with the one that wrote it",
            head.format
        ));
    }
    let its_key = head.key();
    if !its_key.is_same(key) {
        let keys = its_key.names().iter().flat_map(|name| ["--key", name]);
        let each = command_line(keys);
        return refuse(format!(
            "holds results by the key {}: use {each} (tickoff init FILE {each} remembers it)",
            Named(its_key.names()),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::super::frame::{MAX_FRAME_BYTES, PREFIX, completed as frame, updates};
    use super::*;
    use crate::disk::WriteLock;

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

        fn open(&self) -> Result<(Journal, Option<Left>, Vec<Frame>)> {
            Journal::open(
                &self.target,
                (&KeyColumns::default(), Encoding::UTF_8),
                &[],
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
        Journal::read(
            target,
            Journal::find(target)?.as_ref(),
            (&key.into(), Encoding::UTF_8),
            &[],
        )
        .map(|(frames, _)| frames)
    }

    #[test]
    fn what_was_appended_is_read_by_whoever_opens_it_next() {
        let fixture = Fixture::new();
        fixture.log(&[frame("A"), frame("B")]);
        let (_, left, frames) = fixture.open().unwrap();
        assert!(left.unwrap().session.is_none());
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
        assert_eq!(ours.load().unwrap(), [frame("B")]);
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
        assert_eq!(ours.load().unwrap(), []);
        assert!(!ours.path().exists());
        ours.append(&frame("B")).unwrap();
        assert_eq!(fixture.open().unwrap().2, [frame("B")]);
        assert_eq!(fixture.kept_aside(), 0);
    }

    #[test]
    fn a_tail_torn_at_any_byte_loses_only_its_own_frame() {
        let fixture = Fixture::new();
        let (log, ends) = fixture.log(&[frame("A"), frame("B")]);
        let head = ends[0] - (ends[1] - ends[0]);
        for cut in 0..log.len() {
            for zeros in [0, 64] {
                let mut torn = log[..cut].to_vec();
                torn.resize(cut + zeros, 0);
                std::fs::write(fixture.target.sibling(NAME), torn).unwrap();
                let kept_before = fixture.kept_aside();
                let (mut journal, _, frames) = fixture.open().unwrap();
                let whole = ends.iter().filter(|&&end| end <= cut).count();
                assert_eq!(frames, [frame("A"), frame("B")][..whole], "cut at {cut}");
                journal.append(&frame("C")).unwrap();
                assert_eq!(
                    fixture.open().unwrap().2.last(),
                    Some(&frame("C")),
                    "cut at {cut}"
                );
                // No log has its name before its head is whole.
                let is_damaged = (1..head).contains(&cut);
                let kept = kept_before + usize::from(is_damaged);
                assert_eq!(fixture.kept_aside(), kept, "cut at {cut}");
            }
        }
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
    fn a_length_that_no_frame_has_is_not_believed() {
        let fixture = Fixture::new();
        let (log, ends) = fixture.log(&[frame("A"), frame("B")]);
        let within = (ends[1] - ends[0] - PREFIX) as u32;
        let huge = [within + 1, MAX_FRAME_BYTES as u32, u32::MAX];
        for length in huge.into_iter().chain([0, 1, within - 1]) {
            for (at, survive) in [(0, &["A", "B"][..]), (ends[0], &["A"])] {
                let mut bytes = log.clone();
                bytes[at..at + 4].copy_from_slice(&length.to_le_bytes());
                std::fs::write(fixture.target.sibling(NAME), bytes).unwrap();
                let (mut journal, _, frames) = fixture.open().unwrap();
                let rows = updates(&frames).map(|row| row.po.as_str());
                assert!(rows.eq(survive.iter().copied()), "{length} at {at}");
                assert!(
                    matches!(journal.catch_up().unwrap(), News::Frames(f) | News::Unknown(f) if f.is_empty())
                );
            }
        }
    }

    #[test]
    fn a_flipped_bit_loses_its_own_frame_and_the_file_is_kept() {
        let fixture = Fixture::new();
        let (log, ends) = fixture.log(&[frame("A"), frame("B"), frame("C")]);
        for bit in (0..ends[1] * 8).step_by(7) {
            let mut flipped = log.clone();
            flipped[bit / 8] ^= 1 << (bit % 8);
            std::fs::write(fixture.target.sibling(NAME), &flipped).unwrap();
            let kept_before = fixture.kept_aside();
            let (_, _, frames) = fixture.open().unwrap();
            let rows: Vec<_> = updates(&frames).map(|row| row.po.as_str()).collect();
            let lost = match bit / 8 {
                at if at < ends[0] - (ends[1] - ends[0]) => None,
                at if at < ends[0] => Some("A"),
                _ => Some("B"),
            };
            let mut whole = vec!["A", "B", "C"];
            whole.retain(|&po| Some(po) != lost);
            assert_eq!(rows, whole, "bit {bit}");
            assert_eq!(fixture.kept_aside(), kept_before + 1, "bit {bit}");
            assert_eq!(
                fixture.open().unwrap().2,
                frames,
                "what was valid is in the log that goes on"
            );
        }
    }

    #[test]
    fn a_log_of_another_key_is_refused() {
        let fixture = Fixture::new();
        fixture.log(&[frame("A")]);
        let error = read(&fixture.target, "ID").unwrap_err().to_string();
        assert!(error.ends_with("holds results by the key column PO_NUMBER: use --key PO_NUMBER (tickoff init FILE --key PO_NUMBER remembers it)"), "{error}");
    }

    #[test]
    fn a_log_of_a_later_format_is_refused_and_left_as_it_is() {
        let fixture = Fixture::new();
        let head = Head {
            format: 3,
            ..Head::new(fixture.target.path(), &KeyColumns::default())
        };
        let bytes = encode_log(&head, &[frame("A")]);
        std::fs::write(fixture.target.sibling(NAME), &bytes).unwrap();
        let error = fixture.open().err().unwrap().to_string();
        assert!(error.ends_with("has the format 3, which this version cannot read: finish with the one that wrote it"), "{error}");
        assert_eq!(std::fs::read(fixture.target.sibling(NAME)).unwrap(), bytes);
    }

    #[test]
    fn a_log_belongs_to_the_name_that_it_lies_beside() {
        let fixture = Fixture::new();
        fixture.log(&[frame("A")]);
        let moved = fixture.target.folder_path().join("moved.csv");
        std::fs::rename(fixture.target.path(), &moved).unwrap();
        let log = moved.with_file_name(".moved.csv.journal");
        std::fs::rename(fixture.target.sibling(NAME), log).unwrap();
        let frames = read(&Target::open(&moved).unwrap(), "PO_NUMBER").unwrap();
        assert_eq!(frames, [frame("A")]);
    }

    #[test]
    fn a_log_that_somebody_takes_away_is_written_anew() {
        let fixture = Fixture::new();
        let (mut ours, mut theirs) = (fixture.open().unwrap().0, fixture.open().unwrap().0);
        ours.append(&frame("A")).unwrap();
        theirs.catch_up().unwrap();
        theirs.append(&frame("B")).unwrap();
        std::fs::remove_file(ours.path()).unwrap();
        assert!(matches!(ours.catch_up().unwrap(), News::Frames(frames) if frames == [frame("B")]));
        assert_eq!(
            read(&fixture.target, "PO_NUMBER").unwrap(),
            [frame("A"), frame("B")]
        );
        // The other one finds that it is the same log.
        ours.append(&frame("C")).unwrap();
        assert!(
            matches!(theirs.catch_up().unwrap(), News::Frames(frames) if frames == [frame("C")])
        );
        theirs.append(&frame("D")).unwrap();
        assert_eq!(fixture.open().unwrap().2.len(), 4);
    }

    #[test]
    fn an_older_copy_or_another_log_in_its_place_is_set_aside() {
        let fixture = Fixture::new();
        let mut ours = fixture.open().unwrap().0;
        ours.append(&frame("A")).unwrap();
        let older = std::fs::read(ours.path()).unwrap();
        ours.append(&frame("B")).unwrap();
        let other = Fixture::new();
        let (other, _) = other.log(&[frame("X"), frame("Y"), frame("Z")]);
        for planted in [older, other, b"no log at all".to_vec(), Vec::new()] {
            std::fs::remove_file(ours.path()).unwrap();
            std::fs::write(ours.path(), &planted).unwrap();
            assert!(matches!(ours.catch_up().unwrap(), News::Frames(frames) if frames.is_empty()));
            assert_eq!(
                read(&fixture.target, "PO_NUMBER").unwrap(),
                [frame("A"), frame("B")]
            );
        }
    }

    #[test]
    fn a_log_that_another_program_writes_over_is_noticed_and_what_it_wrote_is_kept() {
        let fixture = Fixture::new();
        let (mut ours, mut theirs) = (fixture.open().unwrap().0, fixture.open().unwrap().0);
        ours.append(&frame("A")).unwrap();
        let older = std::fs::read(ours.path()).unwrap();
        ours.append(&frame("B")).unwrap();
        let longer = [older.as_slice(), &[0; 4096]].concat();
        let other = Fixture::new();
        let (other, _) = other.log(&[frame("X"), frame("Y"), frame("Z")]);
        for (number, planted) in [older, longer, other, b"no log".to_vec(), Vec::new()]
            .into_iter()
            .enumerate()
        {
            theirs.catch_up().unwrap();
            // In place, as cp does.
            std::fs::write(ours.path(), &planted).unwrap();
            for _ in 0..2 {
                assert!(matches!(ours.catch_up().unwrap(), News::WrittenOver));
            }
            assert!(ours.frames().is_err());
            let kept = std::fs::read_dir(fixture.target.folder_path()).unwrap();
            let kept = kept.map(|entry| entry.unwrap().path());
            let kept = kept.filter(|path| path.to_string_lossy().contains("foreign"));
            let mut kept: Vec<_> = kept.map(|path| std::fs::read(path).unwrap()).collect();
            assert_eq!(kept.len(), (number + 1).min(4));
            kept.retain(|kept| *kept == planted);
            assert_eq!(kept.len(), usize::from(!planted.is_empty()));

            ours.start_over(&[frame("A"), frame("B")]).unwrap();
            assert!(matches!(ours.catch_up().unwrap(), News::Frames(frames) if frames.is_empty()));
            assert!(matches!(theirs.catch_up().unwrap(), News::Replaced));
            assert_eq!(theirs.load().unwrap(), [frame("A"), frame("B")]);
        }
    }

    #[test]
    fn what_follows_a_log_that_was_written_over_does_not_follow_ours() {
        let fixture = Fixture::new();
        let mut ours = fixture.open().unwrap().0;
        ours.append(&frame("A")).unwrap();
        std::fs::write(ours.path(), Fixture::new().log(&[frame("X")]).0).unwrap();
        let (mut misled, _, frames) = fixture.open().unwrap();
        assert_eq!(frames, [frame("X")]);
        misled.start_over(&[frame("X"), frame("Y")]).unwrap();
        assert!(matches!(ours.catch_up().unwrap(), News::WrittenOver));
        ours.start_over(&[frame("A")]).unwrap();
        assert_eq!(fixture.open().unwrap().2, [frame("A")]);
    }

    #[test]
    fn a_frame_that_stands_behind_a_hole_is_not_durable() {
        let fixture = Fixture::new();
        let mut ours = fixture.open().unwrap().0;
        ours.append(&frame("A")).unwrap();
        let older = std::fs::read(ours.path()).unwrap();
        ours.append(&frame("B")).unwrap();
        std::fs::write(ours.path(), older).unwrap();
        assert!(ours.append(&frame("C")).is_err());
        assert!(ours.is_tainted());
        assert!(ours.is_written_over());
    }

    #[test]
    fn reserved_space_is_an_empty_log() {
        let fixture = Fixture::new();
        let mut journal = fixture.open().unwrap().0;
        journal.start_over(&[]).unwrap();
        journal.reserve(10).unwrap();
        assert!(std::fs::metadata(journal.path()).unwrap().len() > 64 << 10);
        journal.append(&frame("A")).unwrap();
        assert_eq!(fixture.open().unwrap().2, [frame("A")]);
        journal.remove().unwrap();
        assert!(!journal.path().exists());
    }
}
