//! Where a cgroup was handed over to the program, each job has one of its own, and nothing gets out of that.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use tempfile::TempDir;

use crate::command_line::{Running, end, is_alive, wait_until};
use crate::fixture::TempSheet;

/// What a job does to wait until it is in a cgroup of its own: it has begun by then.
const IN_ITS_OWN: &str = "until grep -q /tickoff- /proc/self/cgroup; do sleep 0.01; done";

/// Marks of a cgroup that is handed over.
const MARKS: [&str; 2] = ["user.delegate", "trusted.delegate"];

/// The folder of the cgroup that the tests run in.
fn own() -> Option<PathBuf> {
    let mounts = fs::read_to_string("/proc/mounts").ok()?;
    let mount = mounts.lines().find(|line| line.contains(" cgroup2 "))?;
    let own = fs::read_to_string("/proc/self/cgroup").ok()?;
    let own = own.lines().find_map(|line| line.strip_prefix("0::/"))?;
    Some(Path::new(mount.split(' ').nth(1)?).join(own))
}

/// Whether it was handed over, so that jobs get cgroups in all tests.
pub fn are_for_all() -> bool {
    let own = own();
    own.is_some_and(|own| {
        let mut marks = MARKS.iter().map(|mark| xattr::get(&own, mark));
        marks.any(|mark| mark.is_ok_and(|mark| mark.as_deref() == Some(b"1")))
    })
}

/// A cgroup for one test. Dropping it ends what is in it.
struct Cgroup(PathBuf);

impl Cgroup {
    /// One that is marked as handed over to whoever runs in it; `None`, and said so, where none can be made.
    fn delegated() -> Option<Cgroup> {
        let made = Cgroup::made()?;
        let is_marked = MARKS
            .iter()
            .any(|mark| xattr::set(&made.0, mark, b"1").is_ok());
        if !is_marked {
            eprintln!("SKIPPED: a cgroup cannot be marked as delegated here");
        }
        is_marked.then_some(made)
    }

    fn made() -> Option<Cgroup> {
        let made = Cgroup::make();
        if made.is_none() {
            eprintln!(
                "SKIPPED: no cgroup with cgroup.kill can be made here, which takes root and the mount of cgroups of version 2"
            );
        }
        made
    }

    fn make() -> Option<Cgroup> {
        // A name that no other has.
        let unique = TempDir::with_prefix("test-of-tickoff-").ok()?;
        let folder = own()?.join(unique.path().file_name()?);
        fs::create_dir(&folder).ok()?;
        let made = Cgroup(folder);
        made.0.join("cgroup.kill").exists().then_some(made)
    }

    /// A run that is started in it.
    fn run(&self, sheet: &TempSheet, options: &str, script: &str) -> Command {
        let run = sheet.run(options, script);
        let mut shell = Command::new("sh");
        shell
            .args(["-c", "echo $$ > $CGROUP/cgroup.procs && exec \"$0\" \"$@\""])
            .arg(run.get_program())
            .args(run.get_args())
            .env("CGROUP", &self.0)
            .current_dir(sheet.folder());
        shell
    }

    /// The names of those below it.
    fn below(&self) -> Vec<String> {
        let entries = fs::read_dir(&self.0).unwrap().map(Result::unwrap);
        let folders = entries.filter(|entry| entry.file_type().unwrap().is_dir());
        let names = folders.map(|folder| folder.file_name().into_string().unwrap());
        names.collect()
    }
}

impl Drop for Cgroup {
    fn drop(&mut self) {
        fs::write(self.0.join("cgroup.kill"), "1").ok();
        wait_until("its cgroups are empty", || is_removed(&self.0));
    }
}

fn is_removed(cgroup: &Path) -> bool {
    let entries = fs::read_dir(cgroup).unwrap().map(Result::unwrap);
    let below = entries.filter(|entry| entry.file_type().unwrap().is_dir());
    for folder in below {
        is_removed(&folder.path());
    }
    fs::remove_dir(cgroup).is_ok()
}

fn has_python() -> bool {
    let is_there = Command::new("python3").arg("-V").output().is_ok();
    if !is_there {
        eprintln!("SKIPPED: what gets away in such a way takes python3");
    }
    is_there
}

/// What has no variable, no parent and no session of the job's, and may not be looked into.
#[test]
fn what_nothing_else_tells_of_is_ended_with_its_job_and_not_with_the_run() {
    let Some(cgroup) = Cgroup::delegated().filter(|_| has_python()) else {
        return;
    };
    let sheet = TempSheet::pending(2);
    // PR_SET_DUMPABLE, as an agent for keys has it.
    let agent = "import ctypes, os, time; os.setsid(); os.fork() and os._exit(0); ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); open('pids', 'a').write(f'{os.getpid()}\\n'); time.sleep(1000)";
    let script = format!(
        "case $TICKOFF_KEY in PO1) : > second; await go; exit;; esac
        {IN_ITS_OWN}; (env -i PATH=\"$PATH\" python3 -c \"{agent}\" &); hang"
    );
    let mut command = cgroup.run(&sheet, "-j 1 --timeout 4s --retries 0", &script);
    let mut run = Running::start(&mut command);
    wait_until("the second job has begun", || {
        sheet.folder().join("second").exists()
    });
    let pid = sheet.lines("pids").concat();
    assert!(!is_alive(&pid), "what the first one let go is there");
    assert!(run.is_running());
    fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(1);
    let message = sheet.cell("PO0", "ERROR_MESSAGE");
    assert!(message.starts_with("timed out after 4s"), "{message}");
}

/// Each of them is there for a moment, in which it starts the next one in a session of its own.
#[test]
fn what_starts_others_faster_than_it_is_looked_for_is_ended_with_its_job() {
    let Some(cgroup) = Cgroup::delegated().filter(|_| has_python()) else {
        return;
    };
    let sheet = TempSheet::pending(2);
    // 8 at once, which are over after some time in any case, and leave the machine enough process ids.
    let hop = "
import os, time
[os.fork() for _ in range(3)]
until = time.monotonic() + 60
while time.monotonic() < until and not os.path.exists('go'):
    if os.fork(): os._exit(0)
    os.setsid()
    time.sleep(0.003)
    open('hops', 'a').write('.')
open('over', 'a').write('.')";
    let script = format!(
        "case $TICKOFF_KEY in PO1) : > second; await go; exit;; esac
        {IN_ITS_OWN}; (env -i PATH=\"$PATH\" setsid python3 -c \"{hop}\" &); hang"
    );
    let mut command = cgroup.run(&sheet, "-j 1 --timeout 2s --retries 0", &script);
    let run = Running::start(&mut command);
    let size = |name: &str| fs::metadata(sheet.folder().join(name)).map_or(0, |file| file.len());
    wait_until("the second job has begun", || {
        sheet.folder().join("second").exists()
    });
    let hops = size("hops");
    assert!(hops > 100, "{hops}");
    fs::write(sheet.folder().join("go"), "").unwrap();
    let ended = run.end().with(1);
    assert_eq!(size("over"), 0, "they went on until they were asked to end");
    assert_eq!(size("hops"), hops, "they went on");
    assert!(!ended.stderr.contains("does not end"), "{ended:?}");
}

#[test]
fn each_job_has_its_own_and_none_is_left_when_the_run_is_over() {
    let Some(cgroup) = Cgroup::delegated() else {
        return;
    };
    let sheet = TempSheet::pending(3);
    let script =
        format!("{IN_ITS_OWN}; grep ^0:: /proc/self/cgroup >> own; [ $TICKOFF_KEY != PO1 ]");
    end(&mut cgroup.run(&sheet, "-j 2 --retries 0", &script)).with(1);
    let mut own = sheet.lines("own");
    own.sort();
    own.dedup();
    assert_eq!(own.len(), 3, "{own:?}");
    assert_eq!(cgroup.below(), [""; 0]);
}

#[test]
fn what_a_killed_run_left_of_them_is_removed_by_the_next_one() {
    let Some(cgroup) = Cgroup::delegated() else {
        return;
    };
    let sheet = TempSheet::pending(1);
    let script = format!("[ -e again ] && exit; {IN_ITS_OWN}; : > begun; hang");
    let run = Running::start(&mut cgroup.run(&sheet, "", &script));
    wait_until("the job has begun", || {
        sheet.folder().join("begun").exists()
    });
    run.kill();
    let left = cgroup.below();
    assert_eq!(left.len(), 1, "{left:?}");
    let left = cgroup.0.join(&left[0]);
    fs::write(left.join("cgroup.kill"), "1").unwrap();
    wait_until("its job has ended", || {
        fs::read_to_string(left.join("cgroup.procs"))
            .unwrap()
            .is_empty()
    });
    fs::write(sheet.folder().join("again"), "").unwrap();
    end(&mut cgroup.run(&sheet, "", &script)).with(0);
    assert_eq!(cgroup.below(), [""; 0]);
}

/// Also if nothing but the cgroup tells whose it is.
#[test]
fn what_a_job_that_ended_by_itself_left_there_goes_on() {
    let Some(cgroup) = Cgroup::delegated() else {
        return;
    };
    let sheet = TempSheet::pending(2);
    let script = format!(
        "{IN_ITS_OWN}; [ $TICKOFF_KEY = PO1 ] && hang
        own=$(sed -n s/^0::.*tickoff-/tickoff-/p /proc/self/cgroup); mkdir $CGROUP/$own/theirs
        env -i setsid -f sh -c 'echo $$ > left; while [ -e $PWD ]; do sleep 0.05; done' > /dev/null 2>&1"
    );
    let ended =
        end(&mut cgroup.run(&sheet, "-j 2 --timeout 2s --retries 0 --show none", &script)).with(1);
    let left = sheet.lines("left").concat();
    assert!(is_alive(&left), "it was ended with another job");
    assert!(
        ended.stderr.contains("left a process behind, sh,"),
        "{ended:?}"
    );
    let own = cgroup.below();
    assert_eq!(own.len(), 1, "{own:?}");
    let theirs = cgroup.0.join(&own[0]).join("theirs");
    assert!(theirs.exists(), "a cgroup of its own was removed");
}

/// A job runs before it is taken in: so what it started until then is taken in as well.
#[test]
fn what_a_job_starts_at_once_is_in_it_as_well() {
    let Some(cgroup) = Cgroup::delegated() else {
        return;
    };
    let sheet = TempSheet::pending(1);
    let script = "while [ -e $PWD ]; do sleep 0.05; done &
        until grep -q /tickoff- /proc/$!/cgroup; do sleep 0.01; done; kill -KILL $!";
    end(&mut cgroup.run(&sheet, "--timeout 5s --retries 0", script)).with(0);
}

/// It may be somebody's who keeps processes there alone, or other cgroups.
#[test]
fn in_a_cgroup_that_nobody_handed_over_nothing_is_made() {
    let Some(cgroup) = Cgroup::made() else {
        return;
    };
    let sheet = TempSheet::pending(1);
    let script = "sleep 0.5; ls -d $CGROUP/*/ > made; grep ^0:: /proc/self/cgroup > own";
    end(&mut cgroup.run(&sheet, "", script)).with(0);
    assert_eq!(sheet.lines("made"), [""; 0]);
    let own = sheet.lines("own").concat();
    assert!(cgroup.0.ends_with(own.trim_start_matches("0::/")), "{own}");
}
