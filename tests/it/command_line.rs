//! The program as a process, on a sheet of the fixture.

use std::fs::File;
use std::io::Read;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use crate::fixture::TempSheet;

/// The program under test: the one that cargo built, or that which `TICKOFF_PROGRAM` names, as a release is
/// tested.
pub fn program() -> String {
    std::env::var("TICKOFF_PROGRAM").unwrap_or_else(|_| env!("CARGO_BIN_EXE_tickoff").to_owned())
}

/// The program, without what the environment could add to what it says.
pub fn tickoff() -> Command {
    let mut program = Command::new(program());
    program
        .env_remove("RUST_LOG")
        .env_remove("COLUMNS")
        .stdin(Stdio::null());
    program
}

impl TempSheet {
    /// `tickoff {command} input.csv`, in the sheet's folder.
    pub fn tickoff(&self, command: &str) -> Command {
        let mut program = tickoff();
        program
            .args(command.split(' '))
            .arg(self.path())
            .current_dir(self.folder());
        program
    }

    /// `tickoff run input.csv {options} -- sh -c {script}`. The script finds the program's path in
    /// `$TICKOFF`, waits with `await FILE`, and with `hang` for ever; it does neither for longer
    /// than there is a test, whose sheet's folder goes with it.
    pub fn run(&self, options: &str, script: &str) -> Command {
        const FUNCTIONS: &str = "await() { while [ ! -e $1 ] && [ -e $PWD ]; do sleep 0.01; done; }
            hang() { while [ -e $PWD ]; do sleep 0.05; done; }\n";
        let mut program = self.tickoff("run");
        program
            .args(options.split_whitespace())
            .args(["--", "sh", "-c", &(FUNCTIONS.to_owned() + script)])
            .env("TICKOFF", self::program());
        program
    }

    /// A PO as `get --json` shows it: the journal is read over the sheet.
    #[track_caller]
    pub fn get(&self, po: &str) -> Value {
        end(self.tickoff("get").args([po, "--json"])).json()
    }

    /// The six counts of `status --json`.
    #[track_caller]
    pub fn counts(&self) -> Value {
        let mut status = self.status();
        let object = status.as_object_mut().unwrap();
        for other in ["words", "last_result", "session", "not_visible", "errors"] {
            assert!(object.remove(other).is_some(), "{other}");
        }
        status
    }

    /// What `status --json` says.
    #[track_caller]
    pub fn status(&self) -> Value {
        end(self.tickoff("status").arg("--json")).json()
    }

    /// The lines of a file that the jobs write in the sheet's folder; none if it is not there.
    pub fn lines(&self, name: &str) -> Vec<String> {
        let text = std::fs::read_to_string(self.folder().join(name)).unwrap_or_default();
        text.lines().map(str::to_owned).collect()
    }

    /// A text with the sheet's folder shown as `DIR`.
    pub fn without_folder(&self, text: &str) -> String {
        let folder = self.folder().canonicalize().unwrap();
        text.replace(&*folder.to_string_lossy(), "DIR")
    }
}

/// How a command ended, and what it said.
#[derive(Debug)]
pub struct Ended {
    /// Negative if a signal killed it.
    pub code: i32,
    pub stdout: String,
    pub stderr: String,
}

impl Ended {
    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.stdout)
            .unwrap_or_else(|error| panic!("{error} in what {self:?} said"))
    }

    /// Ended with this code; otherwise what it said is shown.
    #[track_caller]
    pub fn with(self, code: i32) -> Ended {
        assert_eq!(self.code, code, "{self:#?}");
        self
    }
}

/// Runs a command to its end.
#[track_caller]
pub fn end(command: &mut Command) -> Ended {
    Running::start(command).end()
}

/// A command that runs; killed if the test fails meanwhile.
pub struct Running {
    child: Child,
    stdout: Said,
    stderr: Said,
}

impl Running {
    #[track_caller]
    pub fn start(command: &mut Command) -> Running {
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        Running {
            stdout: Said::on(child.stdout.take().unwrap()),
            stderr: Said::on(child.stderr.take().unwrap()),
            child,
        }
    }

    pub fn id(&self) -> u32 {
        self.child.id()
    }

    pub fn pid(&self) -> Pid {
        Pid::from_child(&self.child)
    }

    pub fn signal(&self, signal: Signal) {
        kill_process(self.pid(), signal).unwrap();
    }

    pub fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// What it has said on stdout so far.
    pub fn stdout(&self) -> String {
        self.stdout.so_far()
    }

    /// What it has said on stderr so far.
    pub fn stderr(&self) -> String {
        self.stderr.so_far()
    }

    /// Waits until it has said this on stderr.
    #[track_caller]
    pub fn wait_until_it_says(&self, text: &str) {
        wait_until(&format!("it says {text:?}"), || {
            self.stderr.so_far().contains(text)
        });
    }

    /// Waits for its end, and for that of everything to which it lent its stdout or stderr.
    #[track_caller]
    pub fn end(mut self) -> Ended {
        use std::os::unix::process::ExitStatusExt;
        wait_until("the command ends", || !self.is_running());
        let status = self.child.wait().unwrap();
        Ended {
            code: status
                .code()
                .unwrap_or_else(|| -status.signal().unwrap_or_default()),
            stdout: self.stdout.read_to_end(),
            stderr: self.stderr.read_to_end(),
        }
    }

    /// Kills it as the system does when memory is short, or a person with `kill -9`. What it had
    /// started goes on.
    pub fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        if self.is_running() {
            self.child.kill().ok();
            self.child.wait().ok();
        }
    }
}

/// What comes out of a pipe.
struct Said {
    bytes: Arc<Mutex<Vec<u8>>>,
    reader: Option<JoinHandle<()>>,
}

impl Said {
    fn on(mut pipe: impl Read + Send + 'static) -> Said {
        let bytes = Arc::new(Mutex::new(Vec::new()));
        let taken = Arc::clone(&bytes);
        let reader = thread::spawn(move || {
            let mut chunk = [0; 4096];
            while let Ok(length @ 1..) = pipe.read(&mut chunk) {
                taken.lock().unwrap().extend_from_slice(&chunk[..length]);
            }
        });
        Said {
            bytes,
            reader: Some(reader),
        }
    }

    fn so_far(&self) -> String {
        String::from_utf8_lossy(&self.bytes.lock().unwrap()).into_owned()
    }

    fn read_to_end(&mut self) -> String {
        if let Some(reader) = self.reader.take() {
            wait_until("nobody holds its output open", || reader.is_finished());
            reader.join().unwrap();
        }
        self.so_far()
    }
}

/// Waits until something is so; a test that waits in vain fails and says for what.
#[track_caller]
pub fn wait_until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(
            begun.elapsed() < Duration::from_secs(180),
            "waited in vain until {what}"
        );
        thread::sleep(Duration::from_millis(2));
    }
}

/// Whether a process is there and not only waits for being reaped.
pub fn is_alive(pid: &str) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{}/stat", pid.trim())).unwrap_or_default();
    // `pid (name) state …`, and the name may hold anything.
    stat.rsplit_once(") ")
        .is_some_and(|(_, rest)| !rest.starts_with(['Z', 'X']))
}

/// A file as it is, for comparing it later.
#[track_caller]
pub fn bytes(path: &Path) -> Vec<u8> {
    let mut bytes = Vec::new();
    File::open(path).unwrap().read_to_end(&mut bytes).unwrap();
    bytes
}
