//! Every file operation of a real process, in the order in which its threads make them: seen,
//! failed, cut short, or its last, through ptrace(2).
//!
//! `strace --inject` counts for each thread by itself, so that the n-th operation of a program with
//! several threads cannot be named; here one count goes over all of them. What the program starts
//! in its turn is not traced. Its sleeps end at once, so that retries with backoff cost no time.

use std::collections::HashMap;
use std::fs::File;
use std::os::unix::fs::FileExt;
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::sys::ptrace::{self, Options};
use nix::sys::signal::{Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;

use crate::command_line::Ended;

/// A program that takes longer than this hangs.
const DEADLINE: Duration = Duration::from_secs(60);

/// A system call on a file in the watched folder, or what the program says on stdout.
#[derive(Debug, Clone)]
pub struct Call {
    pub name: &'static str,
    /// The path it names, or that of its descriptor; of two paths, the first.
    pub path: PathBuf,
    /// The second path of a rename or link.
    pub to: Option<PathBuf>,
    pub arguments: [u64; 6],
    pid: Pid,
}

/// What is to come of a call.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    Pass,
    Fail(Errno),
    /// Only half of what it asks to read or write.
    Short,
    /// The program is killed instead.
    Kill,
}

impl Call {
    /// The file behind its descriptor.
    pub fn descriptor(&self, number: u64) -> PathBuf {
        PathBuf::from(format!("/proc/{}/fd/{number}", self.pid))
    }

    /// Sends the program a signal.
    pub fn signal(&self, signal: Signal) {
        kill(self.pid, signal).unwrap();
    }

    /// Bytes of the program's memory.
    pub fn memory(&self, address: u64, length: usize) -> Vec<u8> {
        memory(self.pid, address, length)
    }

    /// Whether it tells the caller something on stdout.
    pub fn is_output(&self) -> bool {
        self.name == "write" && self.arguments[0] == 1
    }

    /// What a read or write may be told to do less of: the argument that holds its length.
    pub fn length_argument(&self) -> Option<usize> {
        match self.name {
            "read" | "write" | "pread64" | "pwrite64" => Some(2),
            "copy_file_range" => Some(4),
            _ => None,
        }
    }
}

/// Where a call has its paths and descriptors.
#[derive(Clone, Copy)]
enum Names {
    Descriptor(usize),
    /// A folder's descriptor and a path.
    At(usize, usize),
    /// Two of them.
    TwoAt,
    Path(usize),
    TwoPaths,
}

const CALLS: &[(i64, &str, Names)] = &[
    (libc::SYS_openat, "openat", Names::At(0, 1)),
    (libc::SYS_open, "open", Names::Path(0)),
    (libc::SYS_read, "read", Names::Descriptor(0)),
    (libc::SYS_pread64, "pread64", Names::Descriptor(0)),
    (libc::SYS_write, "write", Names::Descriptor(0)),
    (libc::SYS_pwrite64, "pwrite64", Names::Descriptor(0)),
    (
        libc::SYS_copy_file_range,
        "copy_file_range",
        Names::Descriptor(2),
    ),
    (libc::SYS_ftruncate, "ftruncate", Names::Descriptor(0)),
    (libc::SYS_fallocate, "fallocate", Names::Descriptor(0)),
    (libc::SYS_fsync, "fsync", Names::Descriptor(0)),
    (libc::SYS_fdatasync, "fdatasync", Names::Descriptor(0)),
    (libc::SYS_flock, "flock", Names::Descriptor(0)),
    (libc::SYS_fcntl, "fcntl", Names::Descriptor(0)),
    (libc::SYS_ioctl, "ioctl", Names::Descriptor(0)),
    (libc::SYS_mmap, "mmap", Names::Descriptor(4)),
    (libc::SYS_fchmod, "fchmod", Names::Descriptor(0)),
    (libc::SYS_fchown, "fchown", Names::Descriptor(0)),
    (libc::SYS_flistxattr, "flistxattr", Names::Descriptor(0)),
    (libc::SYS_fgetxattr, "fgetxattr", Names::Descriptor(0)),
    (libc::SYS_fsetxattr, "fsetxattr", Names::Descriptor(0)),
    (libc::SYS_fstatfs, "fstatfs", Names::Descriptor(0)),
    (libc::SYS_getdents64, "getdents64", Names::Descriptor(0)),
    (libc::SYS_statx, "statx", Names::At(0, 1)),
    (libc::SYS_newfstatat, "newfstatat", Names::At(0, 1)),
    (libc::SYS_mkdir, "mkdir", Names::Path(0)),
    (libc::SYS_mkdirat, "mkdirat", Names::At(0, 1)),
    (libc::SYS_unlink, "unlink", Names::Path(0)),
    (libc::SYS_unlinkat, "unlinkat", Names::At(0, 1)),
    (libc::SYS_linkat, "linkat", Names::TwoAt),
    (libc::SYS_rename, "rename", Names::TwoPaths),
    (libc::SYS_renameat, "renameat", Names::TwoAt),
    (libc::SYS_renameat2, "renameat2", Names::TwoAt),
];

/// What a traced program's calls are shown to.
pub trait Watch {
    /// Before it is made.
    fn before(&mut self, call: &Call) -> Verdict;
    /// After it was made, with what it returned: a negative error number, or its result.
    fn after(&mut self, _call: &Call, _returned: i64) {}
}

impl<F: FnMut(&Call) -> Verdict> Watch for F {
    fn before(&mut self, call: &Call) -> Verdict {
        self(call)
    }
}

struct InFlight {
    call: Option<Call>,
    /// What it is made to return.
    returns: Option<i64>,
}

/// Runs a program to its end and shows each of its file operations in a folder to `watch`.
///
/// # Panics
/// If it hangs.
#[track_caller]
pub fn trace(command: &mut Command, folder: &Path, watch: &mut impl Watch) -> Ended {
    let folder = folder.canonicalize().unwrap();
    let said = tempfile::tempdir().unwrap();
    let file = |name: &str| File::create(said.path().join(name)).unwrap();
    command.stdout(file("stdout")).stderr(file("stderr"));
    #[allow(unsafe_code)]
    // SAFETY: between fork and exec only the one system call is made, which is async-signal-safe.
    unsafe {
        command.pre_exec(|| Ok(ptrace::traceme()?));
    }
    #[expect(clippy::zombie_processes, reason = "it is waited for in `follow`")]
    let child = command.spawn().unwrap();
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let main = Pid::from_raw(child.id() as i32);
    let over = Arc::new(AtomicBool::new(false));
    let watchdog = std::thread::spawn({
        let over = Arc::clone(&over);
        move || {
            let begun = Instant::now();
            while !over.load(Ordering::SeqCst) {
                if begun.elapsed() > DEADLINE {
                    kill(main, Signal::SIGKILL).ok();
                    return true;
                }
                std::thread::park_timeout(Duration::from_millis(500));
            }
            false
        }
    });
    let code = follow(main, &folder, watch);
    over.store(true, Ordering::SeqCst);
    watchdog.thread().unpark();
    let read = |name: &str| {
        String::from_utf8_lossy(&std::fs::read(said.path().join(name)).unwrap()).into_owned()
    };
    let ended = Ended {
        code,
        stdout: read("stdout"),
        stderr: read("stderr"),
    };
    assert!(
        !watchdog.join().unwrap(),
        "it hangs: {command:?} {ended:#?}"
    );
    ended
}

fn follow(main: Pid, folder: &Path, watch: &mut impl Watch) -> i32 {
    // The stop after exec.
    assert!(matches!(
        waitpid(main, None).unwrap(),
        WaitStatus::Stopped(..)
    ));
    let options =
        Options::PTRACE_O_TRACESYSGOOD | Options::PTRACE_O_TRACECLONE | Options::PTRACE_O_EXITKILL;
    ptrace::setoptions(main, options).unwrap();
    ptrace::syscall(main, None).unwrap();
    let mut threads: HashMap<Pid, Option<InFlight>> = HashMap::from([(main, None)]);
    loop {
        let any = WaitPidFlag::__WALL | WaitPidFlag::__WNOTHREAD;
        let status = match waitpid(None, Some(any)) {
            Ok(status) => status,
            Err(Errno::EINTR) => continue,
            Err(error) => panic!("the traced program is lost: {error}"),
        };
        let (pid, signal) = match status {
            WaitStatus::Exited(pid, code) if pid == main => return code,
            WaitStatus::Signaled(pid, signal, _) if pid == main => return -(signal as i32),
            WaitStatus::Exited(pid, _) | WaitStatus::Signaled(pid, ..) => {
                threads.remove(&pid);
                continue;
            }
            WaitStatus::PtraceSyscall(pid) => {
                let thread = threads.entry(pid).or_default();
                // A thread that is being killed cannot be asked any more.
                match thread.take() {
                    None => *thread = enter(main, pid, folder, watch),
                    Some(in_flight) => leave(pid, in_flight, watch),
                }
                (pid, None)
            }
            // A new thread begins with a stop.
            WaitStatus::Stopped(pid, Signal::SIGSTOP) if !threads.contains_key(&pid) => {
                threads.insert(pid, None);
                (pid, None)
            }
            WaitStatus::Stopped(pid, signal) => (pid, Some(signal)),
            WaitStatus::PtraceEvent(pid, ..) => (pid, None),
            _ => continue,
        };
        match ptrace::syscall(pid, signal) {
            Ok(()) | Err(Errno::ESRCH) => {}
            Err(error) => panic!("the traced program is lost: {error}"),
        }
    }
}

fn enter(main: Pid, pid: Pid, folder: &Path, watch: &mut impl Watch) -> Option<InFlight> {
    let mut registers = ptrace::getregs(pid).ok()?;
    let number = registers.orig_rax as i64;
    let mut in_flight = InFlight {
        call: None,
        returns: None,
    };
    if number == libc::SYS_clock_nanosleep {
        in_flight.returns = Some(0);
    } else if let Some(call) = call(main, number, &registers, folder) {
        match watch.before(&call) {
            Verdict::Pass => {}
            Verdict::Fail(errno) => in_flight.returns = Some(-(errno as i64)),
            Verdict::Short => {
                let half = |length: u64| length.div_ceil(2).max(1);
                match call.length_argument() {
                    Some(2) => registers.rdx = half(registers.rdx),
                    Some(4) => registers.r8 = half(registers.r8),
                    _ => panic!("{call:?} has no length"),
                }
                ptrace::setregs(pid, registers).ok()?;
            }
            Verdict::Kill => {
                kill(main, Signal::SIGKILL).unwrap();
            }
        }
        in_flight.call = Some(call);
    }
    if in_flight.returns.is_some() {
        // No such call: the kernel makes none.
        registers.orig_rax = u64::MAX;
        ptrace::setregs(pid, registers).ok()?;
    }
    Some(in_flight)
}

fn leave(pid: Pid, in_flight: InFlight, watch: &mut impl Watch) {
    let Ok(mut registers) = ptrace::getregs(pid) else {
        return;
    };
    if let Some(returns) = in_flight.returns {
        registers.rax = returns as u64;
        ptrace::setregs(pid, registers).ok();
    }
    if let Some(call) = in_flight.call {
        watch.after(&call, registers.rax as i64);
    }
}

fn call(main: Pid, number: i64, registers: &libc::user_regs_struct, folder: &Path) -> Option<Call> {
    let &(_, name, names) = CALLS.iter().find(|(known, ..)| *known == number)?;
    let arguments = [
        registers.rdi,
        registers.rsi,
        registers.rdx,
        registers.r10,
        registers.r8,
        registers.r9,
    ];
    let descriptor = |index: usize| match arguments[index] as i32 {
        libc::AT_FDCWD => std::fs::read_link(format!("/proc/{main}/cwd")).ok(),
        number => std::fs::read_link(format!("/proc/{main}/fd/{number}")).ok(),
    };
    let string = |index: usize| {
        let bytes = memory(main, arguments[index], libc::PATH_MAX as usize);
        let text = bytes.split(|byte| *byte == 0).next().unwrap_or_default();
        PathBuf::from(String::from_utf8_lossy(text).into_owned())
    };
    // An empty path stands for the descriptor itself; without one the kernel is only asked whether
    // it knows the call.
    let at = |folder: usize, path: usize| match string(path) {
        _ if arguments[path] == 0 => None,
        path if path.as_os_str().is_empty() => descriptor(folder),
        path if path.is_absolute() => Some(path),
        path => Some(descriptor(folder)?.join(path)),
    };
    let (path, to) = match names {
        Names::Descriptor(index) => (descriptor(index)?, None),
        Names::At(folder, path) => (at(folder, path)?, None),
        Names::TwoAt => (at(0, 1)?, Some(at(2, 3)?)),
        Names::Path(path) => (string(path), None),
        Names::TwoPaths => (string(0), Some(string(1))),
    };
    let call = Call {
        name,
        path,
        to,
        arguments,
        pid: main,
    };
    let is_in_folder =
        call.path.starts_with(folder) || call.to.as_ref().is_some_and(|to| to.starts_with(folder));
    // Copies of descriptors and their flags are no matter of the file.
    let leases = [libc::F_SETLEASE, libc::F_GETLEASE].map(|command| command as u64);
    let is_about_the_file = name != "fcntl" || leases.contains(&arguments[1]);
    (is_in_folder && is_about_the_file || call.is_output()).then_some(call)
}

fn memory(pid: Pid, address: u64, length: usize) -> Vec<u8> {
    let mut bytes = vec![0; length];
    let Ok(file) = File::open(format!("/proc/{pid}/mem")) else {
        return Vec::new();
    };
    // What follows a string may not be mapped: then it ends within its page.
    let to_page_end = 4096 - (address % 4096) as usize;
    for length in [length, to_page_end.min(length)] {
        if let Ok(read) = file.read_at(&mut bytes[..length], address) {
            bytes.truncate(read);
            return bytes;
        }
    }
    Vec::new()
}
