//! What others ask of a run that goes on elsewhere.
//!
//! Whoever asks puts a whole file beside the sheet, `.input.csv.control`, if nothing has that name. The run looks
//! for it, does what it says, and takes it away. So both need no more than the same folder: between containers,
//! or under a path that is too long for a socket. The file's owner is the system's word for who asks: only the
//! run's own user and root are heeded. It names the session that it is for. So one that nobody took, because all
//! were killed, does nothing to a later session, which takes it away. What has that name and is no such file is left
//! alone.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::sync::Mutex;
use std::thread;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

use crate::disk::{Staged, Target, read_holder};
use crate::domain::Holder;
use crate::error::{Error, Result};
use crate::run::Control;
use crate::run::stop::lock;
use crate::session::flow::Session;
use crate::session::watch::RunningSession;
use crate::sys::{inode, names, open, rights};

const NAME: &str = "control";
/// How such a file begins.
const BEGINNING: &str = "{\"tickoff_control\":";
/// No request is longer, in bytes.
const MOST: u64 = 4096;
/// How long another one's request is waited for that the run has not taken yet.
const PATIENCE: Duration = Duration::from_secs(5);

/// What somebody asks of a run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// What it is to do.
    pub control: Control,
    /// Who asks, in their own words.
    pub by: String,
}

#[derive(Serialize, Deserialize)]
struct Message {
    tickoff_control: Control,
    by: String,
    session: Holder,
}

/// Where a run finds what others ask of it.
#[derive(Debug)]
pub struct Requests {
    target: Target,
    /// The inode of the last one that was applied, and when it was written: somebody else may have to take it away.
    last: Mutex<Option<(u64, i64, i64)>>,
}

impl Session {
    /// Where what others ask of this session is found.
    ///
    /// # Errors
    /// [`Error::Io`] if the sheet's folder cannot be opened.
    pub fn requests(&self) -> Result<Requests> {
        Ok(Requests {
            target: Target::open(&self.handler().path())?,
            last: Mutex::default(),
        })
    }
}

impl Requests {
    /// Hands what is asked now, if anything is, to `apply`, and takes the request away if that says that it was
    /// applied. One that was not stays until its author takes it back.
    pub fn heed(&self, apply: impl FnOnce(&Request) -> bool) {
        self.look(apply);
    }

    fn look(&self, apply: impl FnOnce(&Request) -> bool) -> Option<()> {
        let file = open::to_read(self.target.folder(), &self.target.sibling_name(NAME)).ok()?;
        let metadata = file.metadata().ok()?;
        if ![rights::user(), 0].contains(&metadata.uid()) {
            return None;
        }
        let message = read(&file)?;
        let mut ours = read_holder(&mut self.target.open_sibling_to_read("session").ok()??)?;
        ours.is_here = false;
        let is_for_us = message.session == ours && ours.pid == std::process::id();
        let found = (metadata.ino(), metadata.mtime(), metadata.mtime_nsec());
        let request = Request {
            control: message.tickoff_control,
            by: message.by,
        };
        let mut last = lock(&self.last);
        if !is_for_us || *last == Some(found) || apply(&request) {
            *last = Some(found);
            // In some folders only its author may.
            remove(&self.target, &file).ok();
        }
        Some(())
    }
}

/// A request to a session. Dropped, it is taken back if it was not heeded.
#[derive(Debug)]
pub struct Asked {
    target: Target,
    file: File,
}

impl RunningSession {
    /// Asks something of this session on that sheet, in somebody's name. The request is readable for this user alone,
    /// so root gives it to the user of the session: to this one, or to whom the sheet's journal belongs. What is asked
    /// of a session that does not look for [requests](Requests) stays unheeded.
    ///
    /// # Errors
    /// [`Error::Io`] if nothing can be written beside the sheet; [`Error::Unsuitable`] if something else is there
    /// under that name, a stranger's, or another request that is not taken.
    pub fn ask(
        &self,
        path: impl AsRef<Path>,
        control: Control,
        by: &str,
        user: Option<u32>,
    ) -> Result<Asked> {
        let target = Target::open(path.as_ref())?;
        let message = Message {
            tickoff_control: control,
            by: by.to_owned(),
            session: Holder {
                is_here: false,
                ..self.holder.clone()
            },
        };
        let text = serde_json::to_string(&message).expect("a request is plain data");
        // In a user namespace of its own the session does not know by which number it is known here.
        let user = user.or_else(|| owner(&target, "journal"));
        let path = target.sibling(NAME);
        let began = Instant::now();
        loop {
            let written =
                write(&target, &text, user).map_err(Error::io("write the request", &path))?;
            if let Some(file) = written {
                return Ok(Asked { target, file });
            }
            make_room(&target, &message.session, began)?;
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Asked {
    /// Whether the session has taken it.
    pub fn is_taken(&self) -> bool {
        !has_name(&self.target, &self.file)
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        // It says for which session it is: a later one takes it away.
        remove(&self.target, &self.file).ok();
    }
}

/// `None` if something has the name.
fn write(target: &Target, text: &str, user: Option<u32>) -> io::Result<Option<File>> {
    let mut staged = Staged::begin(target.folder(), &target.sibling_name(""), 0o600)?;
    if rights::is_root() {
        rights::set_owner(staged.file(), user, None)?;
    }
    staged.file().write_all(text.as_bytes())?;
    let published = staged.publish(target.sibling_name(NAME))?;
    let file = staged.file().try_clone()?;
    Ok(published.then_some(file))
}

fn owner(target: &Target, extension: &str) -> Option<u32> {
    let file = target.open_sibling_to_read(extension).ok()??;
    Some(file.metadata().ok()?.uid())
}

/// Takes a request away that was for another session; one for this session is waited for.
fn make_room(target: &Target, session: &Holder, began: Instant) -> Result<()> {
    let refuse = |problem: &str| {
        Err(Error::Unsuitable {
            path: target.sibling(NAME),
            problem: problem.into(),
        })
    };
    let file = match open::to_read(target.folder(), &target.sibling_name(NAME)) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        opened => opened.map_err(Error::io("open", target.sibling(NAME)))?,
    };
    match read(&file) {
        None => refuse(
            "has the name of a file of tickoff's and is none, and stays as it is: move it away if it is yours, or remove it",
        ),
        Some(_) if is_strangers(target, &file)? => {
            refuse("belongs to another user, who can ask nothing of the run: remove it")
        }
        Some(other) if other.session != *session => {
            remove(target, &file).map_err(Error::io("remove", target.sibling(NAME)))
        }
        Some(_) if began.elapsed() < PATIENCE => Ok(()),
        Some(_) => refuse(
            "is a request that the run has not taken yet: remove it if the run takes none, or wait if it is stopped",
        ),
    }
}

fn is_strangers(target: &Target, file: &File) -> Result<bool> {
    let there = file
        .metadata()
        .map_err(Error::io("read", target.sibling(NAME)))?;
    Ok(!target.is_trusted(there.uid()))
}

fn read(mut file: &File) -> Option<Message> {
    let mut text = String::new();
    let is_file = file.metadata().is_ok_and(|metadata| metadata.is_file());
    let read = is_file.then(|| (&mut file).take(MOST).read_to_string(&mut text));
    read?.ok()?;
    text.starts_with(BEGINNING)
        .then(|| serde_json::from_str(&text).ok())?
}

fn has_name(target: &Target, file: &File) -> bool {
    let there = inode::of(target.folder(), &target.sibling_name(NAME)).ok();
    there.is_some() && there == file.metadata().ok().map(|metadata| metadata.ino())
}

fn remove(target: &Target, file: &File) -> io::Result<()> {
    match has_name(target, file) {
        true => names::unlink_if_there(target.folder(), &target.sibling_name(NAME)),
        false => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use std::num::NonZeroUsize;
    use std::path::PathBuf;

    use super::*;
    use crate::sheet::Options;

    /// A session on a sheet, and where its requests lie.
    fn session() -> (tempfile::TempDir, PathBuf, Session) {
        let folder = tempfile::tempdir().unwrap();
        let sheet = folder.path().join("in.csv");
        std::fs::write(&sheet, "PO_NUMBER\nP1\n").unwrap();
        let session = Session::open(&sheet, &Options::default()).unwrap();
        (folder, sheet, session)
    }

    fn heeded(requests: &Requests) -> Option<Request> {
        let mut heeded = None;
        requests.heed(|request| {
            heeded = Some(request.clone());
            true
        });
        heeded
    }

    fn running(sheet: &Path) -> RunningSession {
        RunningSession::on(sheet).unwrap().unwrap()
    }

    #[test]
    fn a_request_is_heeded_once_and_leaves_nothing() {
        let (folder, sheet, session) = session();
        let requests = session.requests().unwrap();
        assert_eq!(heeded(&requests), None);
        let eight = Control::Workers(NonZeroUsize::new(8).unwrap());
        let asked = running(&sheet)
            .ask(&sheet, eight, "ada@host", None)
            .unwrap();
        assert!(!asked.is_taken());
        let request = Request {
            control: eight,
            by: "ada@host".into(),
        };
        assert_eq!(heeded(&requests), Some(request));
        assert!(asked.is_taken());
        assert_eq!(heeded(&requests), None);
        assert!(!folder.path().join(".in.csv.control").exists());
        drop(running(&sheet).ask(&sheet, Control::Pause, "ada", None));
        assert_eq!(heeded(&requests), None, "it was taken back");
    }

    #[test]
    fn a_request_that_is_not_applied_is_not_taken() {
        let (_folder, sheet, session) = session();
        let requests = session.requests().unwrap();
        let asked = running(&sheet)
            .ask(&sheet, Control::Pause, "ada", None)
            .unwrap();
        requests.heed(|_| false);
        assert!(!asked.is_taken());
        assert!(heeded(&requests).is_some() && asked.is_taken());
    }

    #[test]
    fn a_request_to_a_session_that_is_over_does_nothing_to_the_next_one() {
        let (folder, sheet, session) = session();
        let asked = running(&sheet)
            .ask(&sheet, Control::Pause, "ada", None)
            .unwrap();
        let left = folder.path().join(".in.csv.control");
        let text = std::fs::read(&left).unwrap();
        drop((asked, session));
        std::fs::write(&left, &text).unwrap();
        let session = Session::open(&sheet, &Options::default()).unwrap();
        let requests = session.requests().unwrap();
        assert_eq!(heeded(&requests), None);
        assert!(!left.exists());

        std::fs::write(&left, &text).unwrap();
        let asked = running(&sheet).ask(&sheet, Control::Continue, "ada", None);
        assert_eq!(heeded(&requests).unwrap().control, Control::Continue);
        drop(asked);
    }

    #[test]
    fn a_file_of_that_name_that_is_none_of_ours_stays() {
        let (folder, sheet, session) = session();
        let theirs = folder.path().join(".in.csv.control");
        std::fs::write(&theirs, "volume=11\n").unwrap();
        let requests = session.requests().unwrap();
        assert_eq!(heeded(&requests), None);
        let refused = running(&sheet).ask(&sheet, Control::Pause, "ada", None);
        assert!(
            matches!(refused, Err(Error::Unsuitable { .. })),
            "{refused:?}"
        );
        assert_eq!(std::fs::read(&theirs).unwrap(), b"volume=11\n");
    }

    #[test]
    fn a_request_is_readable_for_nobody_but_the_sessions_user() {
        let (folder, sheet, _session) = session();
        let user = rights::is_root().then_some(4321);
        let asked = running(&sheet).ask(&sheet, Control::Pause, "ada", user);
        let there = folder.path().join(".in.csv.control").metadata().unwrap();
        assert_eq!(there.mode() & 0o7777, 0o600);
        assert_eq!(there.uid(), user.unwrap_or(rights::user()));
        drop(asked);
        assert!(!folder.path().join(".in.csv.control").exists());
    }

    #[test]
    fn a_request_of_a_strangers_is_neither_heeded_nor_removed() {
        if !rights::is_root() {
            eprintln!("SKIPPED: a file cannot be given away here, which takes root");
            return;
        }
        let (folder, sheet, session) = session();
        let requests = session.requests().unwrap();
        let asked = running(&sheet).ask(&sheet, Control::Pause, "ada", Some(4321));
        assert_eq!(heeded(&requests), None);
        assert!(folder.path().join(".in.csv.control").exists());
        let refused = running(&sheet).ask(&sheet, Control::Pause, "ada", None);
        let said = refused.unwrap_err().to_string();
        assert!(said.contains("belongs to another user"), "{said}");
        assert!(!asked.unwrap().is_taken());
    }

    #[test]
    fn a_link_in_the_place_of_a_request_is_not_followed() {
        let (folder, sheet, session) = session();
        let asked = running(&sheet).ask(&sheet, Control::Pause, "ada", None);
        let name = folder.path().join(".in.csv.control");
        let elsewhere = folder.path().join("elsewhere");
        std::fs::rename(&name, &elsewhere).unwrap();
        std::os::unix::fs::symlink(&elsewhere, &name).unwrap();
        assert_eq!(heeded(&session.requests().unwrap()), None);
        let refused = running(&sheet).ask(&sheet, Control::Pause, "ada", None);
        assert!(refused.is_err(), "{refused:?}");
        assert!(name.is_symlink() && elsewhere.exists());
        drop(asked);
    }
}
