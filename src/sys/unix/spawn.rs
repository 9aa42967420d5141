//! Starting a program in a session of its own: it has no terminal, and leads a group.
//!
//! std has a call for that only between `fork` and `exec`, and a fork of a process with large maps is slow.
//! So `posix_spawnp` is called as std calls it, with one flag more.
#![allow(unsafe_code)]

use std::collections::BTreeMap;
use std::ffi::{CString, OsStr, OsString};
use std::io;
use std::mem::MaybeUninit;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::process::ExitStatus;
use std::ptr;

use libc::{c_char, c_int, posix_spawn_file_actions_t, posix_spawnattr_t, sigset_t};
use rustix::process::{Pid, WaitOptions, waitpid};

use crate::sys::system::new_session;

/// A program, its arguments, and what its environment has other than ours. What std's `Command` tells of itself is
/// changed where it holds a NUL.
#[derive(Debug)]
pub(crate) struct Command {
    /// The program first.
    words: Vec<OsString>,
    /// `None` for what is removed.
    variables: BTreeMap<OsString, Option<OsString>>,
    terminal: Terminal,
}

impl Command {
    /// # Panics
    /// If there is no program.
    pub(crate) fn new(words: impl IntoIterator<Item = OsString>) -> Command {
        let words: Vec<_> = words.into_iter().collect();
        assert!(!words.is_empty(), "a command needs a program");
        Command {
            words,
            variables: BTreeMap::new(),
            terminal: Terminal::None,
        }
    }

    pub(crate) fn program(&self) -> &OsStr {
        &self.words[0]
    }

    pub(crate) fn env(&mut self, name: &str, value: impl AsRef<OsStr>) -> &mut Self {
        let value = value.as_ref().to_owned();
        self.variables.insert(name.into(), Some(value));
        self
    }

    pub(crate) fn env_remove(&mut self, name: &str) -> &mut Self {
        self.variables.insert(name.into(), None);
        self
    }

    /// Starts it in our session.
    pub(crate) fn on_our_terminal(&mut self) -> &mut Self {
        self.terminal = Terminal::Ours;
        self
    }

    pub(crate) fn is_on_our_terminal(&self) -> bool {
        self.terminal == Terminal::Ours
    }

    fn environment(&self) -> io::Result<Vec<CString>> {
        let mut variables: BTreeMap<OsString, OsString> = std::env::vars_os().collect();
        for (name, value) in &self.variables {
            match value {
                Some(value) => variables.insert(name.clone(), value.clone()),
                None => variables.remove(name),
            };
        }
        let variables = variables.into_iter().map(|(mut name, value)| {
            name.push("=");
            name.push(value);
            c_string(name)
        });
        variables.collect()
    }
}

/// A child, which stays the system's until it is [reaped](Child::wait).
#[derive(Debug)]
pub(crate) struct Child(Pid);

impl Child {
    pub(crate) fn pid(&self) -> Pid {
        self.0
    }

    /// Its process id, for people.
    pub(crate) fn id(&self) -> i32 {
        self.0.as_raw_nonzero().get()
    }

    /// Waits for its end and reaps it: its number may be somebody else's from then on.
    pub(crate) fn wait(&self) -> io::Result<ExitStatus> {
        use std::os::unix::process::ExitStatusExt;
        loop {
            match waitpid(Some(self.0), WaitOptions::empty()) {
                Ok(Some((_, status))) => return Ok(ExitStatus::from_raw(status.as_raw())),
                Ok(None) | Err(rustix::io::Errno::INTR) => {}
                Err(errno) => return Err(errno.into()),
            }
        }
    }
}

/// Whether the program gets a session of its own.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Terminal {
    /// It does, and has no terminal.
    None,
    /// It stays in ours, as the leader of a group.
    Ours,
}

/// Starts a program; its folder and its stdio are ours,
/// but for what is given for stdin, stdout and stderr.
pub(crate) fn spawn(command: &Command, given: [Option<&OwnedFd>; 3]) -> io::Result<Child> {
    let words = command.words.iter().cloned().map(c_string);
    let words = words.collect::<io::Result<Vec<_>>>()?;
    let environment = command.environment()?;

    let mut actions = Actions::new()?;
    for (number, file) in (0..).zip(given) {
        if let Some(file) = file {
            actions.give(file, number)?;
        }
    }
    let attributes = Attributes::new(command.terminal)?;
    let [arguments, variables] = [&words, &environment].map(|texts| pointers(texts));
    let mut pid = 0;
    // SAFETY: the program and both lists end with a null and outlive the call, as do the actions and the
    // attributes, which were initialised; nothing of them is kept.
    check(unsafe {
        libc::posix_spawnp(
            &mut pid,
            words[0].as_ptr(),
            &actions.0,
            &attributes.0,
            arguments.as_ptr(),
            variables.as_ptr(),
        )
    })?;
    let pid = Pid::from_raw(pid).ok_or_else(|| io::Error::other("a child has no number"))?;
    Ok(Child(pid))
}

fn c_string(text: OsString) -> io::Result<CString> {
    CString::new(text.into_vec()).map_err(|_| {
        io::Error::new(
            io::ErrorKind::InvalidInput,
            "nul byte found in provided data",
        )
    })
}

fn pointers(texts: &[CString]) -> Vec<*mut c_char> {
    let texts = texts.iter().map(|text| text.as_ptr().cast_mut());
    texts.chain([ptr::null_mut()]).collect()
}

/// These calls return what others leave in errno.
fn check(returned: c_int) -> io::Result<()> {
    match returned {
        0 => Ok(()),
        errno => Err(io::Error::from_raw_os_error(errno)),
    }
}

/// What the child does before the program begins.
struct Actions(posix_spawn_file_actions_t);

impl Actions {
    fn new() -> io::Result<Actions> {
        let mut actions = MaybeUninit::uninit();
        // SAFETY: it is initialised if the call succeeds.
        check(unsafe { libc::posix_spawn_file_actions_init(actions.as_mut_ptr()) })?;
        // SAFETY: it did.
        Ok(Actions(unsafe { actions.assume_init() }))
    }

    fn give(&mut self, file: &OwnedFd, number: c_int) -> io::Result<()> {
        // SAFETY: `new` initialised it.
        check(unsafe {
            libc::posix_spawn_file_actions_adddup2(&mut self.0, file.as_raw_fd(), number)
        })
    }
}

impl Drop for Actions {
    fn drop(&mut self) {
        // SAFETY: `new` initialised it, and nothing uses it afterwards.
        unsafe { libc::posix_spawn_file_actions_destroy(&mut self.0) };
    }
}

/// What the child is: in a session or group of its own, with no signal blocked, and SIGPIPE, which Rust's
/// programs ignore, as it is by default.
struct Attributes(posix_spawnattr_t);

impl Attributes {
    fn new(terminal: Terminal) -> io::Result<Attributes> {
        let mut attributes = MaybeUninit::uninit();
        // SAFETY: it is initialised if the call succeeds.
        check(unsafe { libc::posix_spawnattr_init(attributes.as_mut_ptr()) })?;
        // SAFETY: it did.
        let mut attributes = Attributes(unsafe { attributes.assume_init() });
        let own = match terminal {
            Terminal::None => new_session::FLAG,
            Terminal::Ours => libc::POSIX_SPAWN_SETPGROUP as c_int,
        };
        let flags =
            own | libc::POSIX_SPAWN_SETSIGMASK as c_int | libc::POSIX_SPAWN_SETSIGDEF as c_int;
        let mut signals = MaybeUninit::<sigset_t>::uninit();
        // SAFETY: the attributes were initialised, and a set is by `sigemptyset`, which cannot fail for a set of
        // our own. A group of 0 is that of the child.
        unsafe {
            let signals = signals.as_mut_ptr();
            libc::sigemptyset(signals);
            check(libc::posix_spawnattr_setsigmask(&mut attributes.0, signals))?;
            libc::sigaddset(signals, libc::SIGPIPE);
            check(libc::posix_spawnattr_setsigdefault(
                &mut attributes.0,
                signals,
            ))?;
            check(libc::posix_spawnattr_setpgroup(&mut attributes.0, 0))?;
            check(libc::posix_spawnattr_setflags(
                &mut attributes.0,
                flags as _,
            ))?;
        }
        Ok(attributes)
    }
}

impl Drop for Attributes {
    fn drop(&mut self) {
        // SAFETY: `new` initialised it, and nothing uses it afterwards.
        unsafe { libc::posix_spawnattr_destroy(&mut self.0) };
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;

    use super::*;

    fn command(words: &[&str]) -> Command {
        Command::new(words.iter().map(OsString::from))
    }

    /// What a shell says on stdout.
    fn said_by(script: &str, is_on_terminal: bool) -> (String, ExitStatus) {
        let (mut reader, writer) = io::pipe().unwrap();
        let writer = OwnedFd::from(writer);
        let mut command = command(&["sh", "-c", script]);
        command.env("WORD", "é").env_remove("HOME");
        if is_on_terminal {
            command.on_our_terminal();
        }
        let child = spawn(&command, [None, Some(&writer), None]).unwrap();
        drop(writer);
        let mut said = String::new();
        reader.read_to_string(&mut said).unwrap();
        (said, child.wait().unwrap())
    }

    #[test]
    fn the_program_leads_a_session_without_a_terminal() {
        let (said, status) = said_by("cat /proc/$$/stat; exit 3", false);
        assert_eq!(status.code(), Some(3));
        let fields: Vec<_> = said.split_whitespace().collect();
        let [pid, group, session, terminal] = [0, 4, 5, 6].map(|field| fields[field]);
        assert_eq!([group, session, terminal], [pid, pid, "0"]);

        let (said, _) = said_by("cat /proc/$$/stat", true);
        let fields: Vec<_> = said.split_whitespace().collect();
        assert_eq!(fields[4], fields[0], "it leads a group");
        assert_ne!(fields[5], fields[0], "in our session");
    }

    #[test]
    fn it_has_the_environment_and_the_signals_of_any_program() {
        let script =
            r#"echo "$WORD ${HOME-none}"; grep -E 'Sig(Blk|Ign)' /proc/self/status; kill -PIPE $$"#;
        let (said, status) = said_by(script, false);
        let lines: Vec<_> = said.lines().collect();
        assert_eq!(lines[0], "é none");
        assert!(lines[1].ends_with("0000000000000000"), "{said}");
        let ignored = lines[2].trim_start_matches("SigIgn:").trim();
        let pipe = 1 << (libc::SIGPIPE - 1);
        assert_eq!(u64::from_str_radix(ignored, 16).unwrap() & pipe, 0);
        assert_eq!(status.code(), None, "SIGPIPE kills it");
    }

    #[test]
    fn why_a_program_did_not_start_is_told() {
        let spawn = |words: &[&str]| spawn(&command(words), [None; 3]).unwrap_err();
        let kind = |program: &str| spawn(&[program]).kind();
        assert_eq!(kind("/no/such"), io::ErrorKind::NotFound);
        assert_eq!(kind("no-such-program"), io::ErrorKind::NotFound);
        assert_eq!(kind("/"), io::ErrorKind::PermissionDenied);
        let error = spawn(&["true", "a\0b"]);
        assert_eq!(error.to_string(), "nul byte found in provided data");
    }
}
