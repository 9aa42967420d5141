//! Who may write, and who may run.
//!
//! Two advisory locks lie beside the sheet, in files that are never deleted or replaced: a file
//! that is can be locked twice. The *write lock* (`.input.csv.lock`) is held from reading the
//! public file's identity to the exchange and while appending to the journal. The *session lock*
//! (`.input.csv.session`) is held by a session for its whole life. Never is the CSV itself locked:
//! the exchange moves its inode from under a lock.
//!
//! The session lock is only ever tried, and only while the write lock is held. It is waited for only
//! while nobody has it any more: a process that was killed, or ended its session, as it started another
//! one leaves it to that one until it executes its program (met in a campaign of kills: the next run was
//! refused).

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Seek, Write};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};

use crate::disk::target::Target;
use crate::domain::Holder;
use crate::error::{Error, Result};
use crate::sys::{flock, peer};

/// How long a writer waits for other processes' writes.
pub(crate) const LOCK_LIMIT: Duration = Duration::from_secs(30);

/// How long a process that is about to execute its program may hold the lock of its killed parent.
const INHERITED_LIMIT: Duration = Duration::from_secs(2);

/// The write lock's file. Holding it is a [`WriteGuard`].
pub(crate) struct WriteLock {
    file: Arc<File>,
    path: PathBuf,
}

impl WriteLock {
    pub(crate) fn open(target: &Target) -> Result<WriteLock> {
        let path = target.sibling("lock");
        Ok(WriteLock {
            file: Arc::new(target.open_sibling("lock")?),
            path,
        })
    }

    /// The lock's file, which has the sheet's mode and group.
    pub(crate) fn file(&self) -> &File {
        &self.file
    }

    /// Waits for the lock, [`LOCK_LIMIT`] at most.
    ///
    /// `flock` has no time limit, so this polls, ever more slowly.
    pub(crate) fn acquire(&self) -> Result<WriteGuard> {
        let start = Instant::now();
        let mut pause = Duration::from_micros(100);
        while !try_lock(&self.file, &self.path)? {
            if start.elapsed() >= LOCK_LIMIT {
                return Err(Error::LockTimeout {
                    path: self.path.clone(),
                    waited: LOCK_LIMIT,
                });
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(5));
        }
        Ok(WriteGuard(Arc::clone(&self.file)))
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
    started: DateTime<Utc>,
}

impl SessionLock {
    /// Takes the session lock, or says who has it. The caller holds the write lock.
    pub(crate) fn acquire(
        target: &Target,
        _held: &WriteGuard,
        session: &str,
    ) -> Result<SessionLock> {
        let path = target.sibling("session");
        let mut file = target.open_sibling("session")?;
        let start = Instant::now();
        while !try_lock(&file, &path)? {
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
        }
        let mut lock = SessionLock {
            file,
            started: Utc::now(),
        };
        lock.rename(target, session)?;
        Ok(lock)
    }

    /// Tells whoever looks which session this is.
    pub(crate) fn rename(&mut self, target: &Target, session: &str) -> Result<()> {
        let holder = Holder {
            pid: std::process::id(),
            host: peer::host_name(),
            session: session.to_owned(),
            started: self.started,
        };
        write_holder(&holder, &mut self.file).map_err(Error::io("write", target.sibling("session")))
    }
}

impl Drop for SessionLock {
    fn drop(&mut self) {
        // Only a courtesy to whoever looks into the file; the lock goes with the descriptor.
        let _ = self.file.set_len(0);
    }
}

fn try_lock(file: &File, path: &Path) -> Result<bool> {
    flock::try_exclusive(file).map_err(Error::io("lock", path))
}

/// What the session lock's file tells.
pub(crate) fn read_holder(file: &mut File) -> Option<Holder> {
    let mut text = String::new();
    file.rewind().ok()?;
    // What follows this line is what the session tells of itself (see watch.rs).
    BufReader::new(file.take(4096)).read_line(&mut text).ok()?;
    Holder::parse(&text)
}

fn has_ended(holder: &Holder) -> bool {
    holder.host == peer::host_name() && peer::has_ended(holder.pid)
}

fn write_holder(holder: &Holder, file: &mut File) -> std::io::Result<()> {
    file.set_len(0)?;
    file.rewind()?;
    let mut text = serde_json::to_string(holder).expect("a holder is plain data");
    text.push('\n');
    file.write_all(text.as_bytes())
}
