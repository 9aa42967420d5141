//! Who may write, and who may run.
//!
//! Two advisory locks lie beside the sheet, in files that tickoff never deletes or replaces: a file
//! that is can be locked twice. The *write lock* (`.input.csv.lock`) is held from reading the
//! public file's identity to the exchange and while appending to the journal. The *session lock*
//! (`.input.csv.session`) is held by a session for its whole life. Never is the CSV itself locked:
//! the exchange moves its inode from under a lock.
//!
//! Others may take these files away (`git clean`, a sync client). So who has a lock compares its file with
//! the one that has the name, before anything is relied upon. A session looks every second, and puts a new
//! file, locked, into the place of one that is gone; meanwhile its shared lock on the folder tells whoever
//! would create the file that there may be a session, and to wait until it has been put back.
//!
//! The session lock is only ever tried, and only while the write lock is held. It is waited for only
//! while nobody has it any more: a process that was killed, or ended its session, as it started another
//! one leaves it to that one until it executes its program (met in a campaign of kills: the next run was
//! refused).

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::disk::target::Target;
use crate::domain::Holder;
use crate::error::{Error, Result};
use crate::sys::{flock, inode, names, open, peer, process_space};
use crate::text::Escaped;

const WRITE: &str = "lock";
const SESSION: &str = "session";
/// A session's file before it has its name.
const SESSION_NEXT: &str = "session.next";

/// How the line of a session's holder begins.
const BEGINNING: &[u8] = b"{\"pid\":";
/// The most that a session tells of itself behind that line, in bytes.
pub(crate) const MAX_TOLD: u64 = 1 << 20;

/// How long a writer waits for other processes' writes.
pub(crate) const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// After how long it is said that it waits.
const SAID_AFTER: Duration = Duration::from_secs(3);

/// How long a process that is about to execute its program may hold the lock of its killed parent.
const INHERITED_LIMIT: Duration = Duration::from_secs(2);

/// How long who has to create a session lock's file waits while there may be a session without it.
const PUT_BACK_LIMIT: Duration = Duration::from_secs(3);

/// The write lock's file. Holding it is a [`WriteGuard`].
pub(crate) struct WriteLock {
    target: Arc<Target>,
    /// Replaced when the file is found to have lost its name.
    file: Mutex<Arc<File>>,
}

impl WriteLock {
    pub(crate) fn open(target: &Arc<Target>) -> Result<WriteLock> {
        Ok(WriteLock {
            file: Mutex::new(Arc::new(target.open_sibling(WRITE)?)),
            target: Arc::clone(target),
        })
    }

    /// The lock's file, which has the sheet's mode and group.
    pub(crate) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// Waits for the lock, [`LOCK_LIMIT`] at most.
    ///
    /// `flock` has no time limit, so this polls, ever more slowly.
    pub(crate) fn acquire(&self) -> Result<WriteGuard> {
        let path = self.target.sibling(WRITE);
        let start = Instant::now();
        let mut pause = Duration::from_micros(100);
        let mut is_said = false;
        loop {
            let file = self.file();
            let is_locked = try_lock(&file, &path)?;
            if !has_name(&self.target, WRITE, &file)? {
                let anew = Arc::new(self.target.open_sibling(WRITE)?);
                *self.file.lock().unwrap_or_else(PoisonError::into_inner) = anew;
            } else if is_locked {
                return Ok(WriteGuard(file));
            } else {
                if start.elapsed() >= LOCK_LIMIT {
                    return Err(Error::LockTimeout {
                        path,
                        waited: LOCK_LIMIT,
                    });
                }
                if !is_said && start.elapsed() >= SAID_AFTER {
                    is_said = true;
                    tracing::warn!(lock = %Escaped::path(&path), "waits for a lock that another process has; fuser LOCK names it");
                }
                std::thread::sleep(pause);
                pause = (pause * 2).min(Duration::from_millis(5));
            }
        }
    }
}

/// Whether a file still has its name beside the sheet.
fn has_name(target: &Target, extension: &str, file: &File) -> Result<bool> {
    let failed = || Error::io("read", target.sibling(extension));
    let ours = file.metadata().map_err(failed())?.ino();
    match inode::of(target.folder(), &target.sibling_name(extension)) {
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(false),
        there => Ok(there.map_err(failed())? == ours),
    }
}

/// The right to write, given back on drop.
pub(crate) struct WriteGuard(Arc<File>);

impl Drop for WriteGuard {
    fn drop(&mut self) {
        // Closing the descriptor would release it too; there is nobody to tell about a failure.
        let _ = flock::unlock(&self.0);
    }
}

/// The right to run a session on a sheet, held until it is dropped.
#[derive(Debug)]
pub(crate) struct SessionLock {
    file: File,
    /// Locked, shared with the sessions of other sheets in it.
    _folder: File,
    session: String,
    started: DateTime<Utc>,
    /// Who died holding it, until [all that was left is settled](SessionLock::settle).
    died: Option<Died>,
}

/// A session that died holding its lock.
#[derive(Debug)]
struct Died {
    holder: Holder,
    /// What it last told of itself.
    told: String,
}

impl SessionLock {
    /// Takes the session lock, or says who has it. The caller holds the write lock.
    pub(crate) fn acquire(
        target: &Target,
        _held: &WriteGuard,
        session: &str,
    ) -> Result<SessionLock> {
        let path = target.sibling(SESSION);
        let folder =
            open::folder(target.folder_path()).map_err(Error::io("open", target.folder_path()))?;
        wait_for_what_is_put_back(target, &folder)?;
        refuse_foreign_session(target)?;
        let start = Instant::now();
        let mut file = loop {
            let mut file = target.open_sibling(SESSION)?;
            if !try_lock(&file, &path)? {
                // One that says nothing has just given the lock back, or is about to say something else.
                let holder = read_holder(&mut file);
                let is_over = holder.as_ref().is_none_or(has_ended);
                if !is_over || start.elapsed() >= INHERITED_LIMIT {
                    return Err(Error::SessionHeld {
                        path: target.path().to_owned(),
                        holder: holder.unwrap_or_else(Holder::unknown),
                    });
                }
                std::thread::sleep(Duration::from_millis(1));
            } else if has_name(target, SESSION, &file)? {
                break file;
            }
        };
        // Where a folder cannot be locked, only that help is missing.
        let _ = flock::try_shared(&folder);
        let mut lock = SessionLock {
            died: read_holder(&mut file).map(|holder| Died {
                holder,
                told: read_told(&mut file),
            }),
            file,
            _folder: folder,
            session: session.to_owned(),
            started: Utc::now(),
        };
        lock.rename(target, session)?;
        Ok(lock)
    }

    /// Puts the lock's file back, if somebody took it away. `false`: another session has the lock by now.
    pub(crate) fn keep(&mut self, target: &Target) -> Result<bool> {
        if has_name(target, SESSION, &self.file)? {
            return Ok(true);
        }
        // Locked before it has the name: nobody can come in between.
        let next = target.sibling_name(SESSION_NEXT);
        names::unlink_if_there(target.folder(), &next)
            .map_err(Error::io("remove", target.sibling(SESSION_NEXT)))?;
        let anew = target.open_sibling(SESSION_NEXT)?;
        if !try_lock(&anew, &target.sibling(SESSION_NEXT))? {
            return Ok(false);
        }
        let before = std::mem::replace(&mut self.file, anew);
        let session = self.session.clone();
        self.rename(target, &session)?;
        let linked = names::link(target.folder(), &next, target.sibling_name(SESSION));
        names::unlink_if_there(target.folder(), &next)
            .map_err(Error::io("remove", target.sibling(SESSION_NEXT)))?;
        match linked {
            Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
                self.file = before;
                let theirs = target.open_sibling(SESSION)?;
                let is_free = try_lock(&theirs, &target.sibling(SESSION))?;
                if is_free {
                    self.file = theirs;
                    self.rename(target, &session)?;
                }
                Ok(is_free)
            }
            linked => {
                linked.map_err(Error::io("create", target.sibling(SESSION)))?;
                tracing::warn!(
                    "the session's file beside the sheet was taken away by somebody else; it is put back"
                );
                Ok(true)
            }
        }
    }

    /// Tells whoever looks which session this is.
    pub(crate) fn rename(&mut self, target: &Target, session: &str) -> Result<()> {
        session.clone_into(&mut self.session);
        let holder = Holder {
            pid: std::process::id(),
            host: peer::host_name(),
            session: session.to_owned(),
            started: self.started,
            pid_namespace: process_space::ours(),
            is_here: true,
        };
        write_holder(&holder, &mut self.file).map_err(Error::io("write", target.sibling(SESSION)))
    }
}

impl SessionLock {
    /// What a session that died holding the lock last told of itself.
    pub(crate) fn told_before(&self) -> Option<&str> {
        self.died.as_ref().map(|died| died.told.as_str())
    }

    /// Nothing is left to go on with, of this session or of one that died before it.
    pub(crate) fn settle(&mut self) {
        self.died = None;
    }
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        // Who died holding the lock stays named until somebody has gone on with what it left: a start
        // that was refused has not. All else is only a courtesy to whoever looks into the file; the lock
        // goes with the descriptor.
        let _ = match &self.died {
            Some(died) => write_holder(&died.holder, &mut self.file)
                .and_then(|()| self.file.write_all(died.told.as_bytes())),
            None => self.file.set_len(0),
        };
    }
}

/// While a folder is locked there may be a session whose file was taken away: it is put back soon.
fn wait_for_what_is_put_back(target: &Target, folder: &File) -> Result<()> {
    let start = Instant::now();
    while target.open_sibling_to_read(SESSION)?.is_none() && start.elapsed() < PUT_BACK_LIMIT {
        if flock::try_exclusive(folder).unwrap_or(true) {
            let _ = flock::unlock(folder);
            return Ok(());
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

fn try_lock(file: &File, path: &Path) -> Result<bool> {
    flock::try_exclusive(file).map_err(Error::io("lock", path))
}

/// Refuses a file under the name of a session's that no session wrote: it would be written over.
pub(crate) fn refuse_foreign_session(target: &Target) -> Result<()> {
    for name in [SESSION, SESSION_NEXT] {
        if let Some(file) = target.open_sibling_to_read(name)? {
            refuse_foreign(&file, &target.sibling(name))?;
        }
    }
    Ok(())
}

fn refuse_foreign(file: &File, path: &Path) -> Result<()> {
    let mut beginning = Vec::new();
    let read = file
        .take(BEGINNING.len() as u64)
        .read_to_end(&mut beginning);
    read.map_err(Error::io("read", path))?;
    let mut bytes = beginning.iter().zip(BEGINNING);
    // A power cut may leave zeros.
    match bytes.all(|(byte, ours)| byte == ours || *byte == 0) {
        true => Ok(()),
        false => Err(Error::Unsuitable {
            path: path.to_owned(),
            problem: "has the name of a file of tickoff's and is none, and stays as it is: move it away if it is yours, or remove it".into(),
        }),
    }
}

/// What a session told behind the line of its holder.
fn read_told(file: &mut File) -> String {
    let mut bytes = Vec::new();
    // What cannot be read is not there.
    let read = file
        .rewind()
        .and_then(|()| file.take(MAX_TOLD).read_to_end(&mut bytes));
    let text = String::from_utf8_lossy(&bytes);
    let told = text.split_once('\n').map(|(_, told)| told);
    read.ok().and(told).unwrap_or_default().to_owned()
}

/// What the session lock's file tells.
pub(crate) fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    // What follows this line is what the session tells of itself (see watch.rs).
    BufReader::new(file.take(4096)).read_line(&mut text).ok()?;
    parse_holder(&text)
}

/// What the first line of that file tells, and whether its process is one here.
pub(crate) fn parse_holder(line: &str) -> Option<Holder> {
    let ours = process_space::ours();
    Holder::parse(line, &peer::host_name(), ours.as_deref())
}

/// Whether the holder has certainly ended. Of a process in another container or on another host the
/// process id says nothing here.
fn has_ended(holder: &Holder) -> bool {
    holder.is_here && peer::has_ended(holder.pid)
}

/// Whether somebody has the session lock, for those to whom the holder's process id says nothing: the lock
/// is tried. That could refuse a session that begins in the same moment; but one begins only under the
/// write lock, so that is had meanwhile.
pub(crate) fn is_held(target: &Target, session: &File) -> Result<bool> {
    const ATTEMPTS: u32 = 200;
    let Some(write) = target.open_sibling_to_read("lock")? else {
        return Ok(false);
    };
    let failed = || Error::io("lock", target.sibling("lock"));
    for _ in 0..ATTEMPTS {
        if flock::try_shared(&write).map_err(failed())? {
            return is_taken(target, session);
        }
        std::thread::sleep(Duration::from_millis(5));
    }
    // Somebody writes all the time.
    Ok(true)
}

/// Whether a session works on the sheet, for who holds its write lock.
pub(crate) fn is_in_session(target: &Target, _held: &WriteGuard) -> Result<bool> {
    let session = target.open_sibling_to_read("session")?;
    session.map_or(Ok(false), |session| is_taken(target, &session))
}

fn is_taken(target: &Target, session: &File) -> Result<bool> {
    let failed = || Error::io("lock", target.sibling("session"));
    let is_free = flock::try_shared(session).map_err(failed())?;
    if is_free {
        flock::unlock(session).map_err(failed())?;
    }
    Ok(!is_free)
}

fn write_holder(holder: &Holder, file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let mut text = serde_json::to_string(holder).expect("a holder is plain data");
    text.push('\n');
    file.write_all(text.as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A process id that no process has any more.
    fn ended() -> u32 {
        let mut child = std::process::Command::new("true").spawn().unwrap();
        child.wait().unwrap();
        child.id()
    }

    #[test]
    fn a_process_id_of_another_namespace_does_not_tell_whether_its_process_has_ended() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("in.csv"), "PO_NUMBER\n").unwrap();
        let target = Arc::new(Target::open(&folder.path().join("in.csv")).unwrap());
        let lock = WriteLock::open(&target).unwrap();
        let held = lock.acquire().unwrap();
        let mut file = target.open_sibling("session").unwrap();
        assert!(flock::try_exclusive(&file).unwrap());

        let mut holder = Holder {
            pid: ended(),
            host: peer::host_name(),
            pid_namespace: Some("another".into()),
            ..Holder::unknown()
        };
        let mut refused_after = |holder: &Holder| {
            write_holder(holder, &mut file).unwrap();
            let began = Instant::now();
            let refused = SessionLock::acquire(&target, &held, "mine").unwrap_err();
            assert!(matches!(refused, Error::SessionHeld { holder: found, .. }
                if found.is_here == (holder.pid_namespace == process_space::ours())));
            began.elapsed()
        };
        assert!(refused_after(&holder) < INHERITED_LIMIT);
        holder.pid_namespace = process_space::ours();
        assert!(refused_after(&holder) >= INHERITED_LIMIT);
    }

    #[test]
    fn whether_the_lock_is_held_can_be_asked_without_a_process_id() {
        let folder = tempfile::tempdir().unwrap();
        std::fs::write(folder.path().join("in.csv"), "PO_NUMBER\n").unwrap();
        let target = Arc::new(Target::open(&folder.path().join("in.csv")).unwrap());
        let asked = || {
            let session = target.open_sibling("session").unwrap();
            is_held(&target, &session).unwrap()
        };
        assert!(!asked(), "there is no lock yet");
        let lock = WriteLock::open(&target).unwrap();
        let held = lock.acquire().unwrap();
        let session = SessionLock::acquire(&target, &held, "s").unwrap();
        drop(held);
        assert!(asked());
        drop(session);
        assert!(!asked());
        let held = lock.acquire().unwrap();
        SessionLock::acquire(&target, &held, "s").expect("asking left nothing held");
    }
}
