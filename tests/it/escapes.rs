//! Whatever a job starts, and however that gets away: it ends with the job that is broken off.

use std::fs;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::cgroups;
use crate::command_line::{Running, end, is_alive, wait_until};
use crate::fixture::TempSheet;

/// A shell function: notes its process, and stays until the test is over. `DIR` is the sheet's folder.
const STAY: &str = "stay() { echo $$ >> DIR/pids; while [ -e DIR ]; do sleep 0.05; done; }; stay";

/// A script in which `STAY` is that as one quoted word, and which waits behind it.
fn escape(sheet: &TempSheet, script: &str) -> String {
    let folder = sheet.folder().to_str().unwrap().to_owned();
    let stay = STAY.replace("DIR", &folder);
    fs::write(sheet.folder().join("stay"), &stay).unwrap();
    format!(
        "{}\nhang",
        script.replace("STAY", &format!("{folder}/stay"))
    )
}

fn pids(sheet: &TempSheet) -> Vec<String> {
    sheet.lines("pids")
}

/// The processes that are there still; they are ended.
fn survivors(sheet: &TempSheet) -> Vec<String> {
    let mut pids = pids(sheet);
    assert!(!pids.is_empty(), "nothing got away");
    pids.retain(|pid| is_alive(pid));
    for pid in &pids {
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        kill_process(pid, Signal::KILL).ok();
    }
    pids
}

/// A command that is broken off takes with it what it started.
#[track_caller]
fn check(script: &str) {
    let sheet = TempSheet::pending(1);
    let script = escape(&sheet, script);
    end(&mut sheet.run("--timeout 1500ms --retries 0", &script)).with(1);
    assert_eq!(survivors(&sheet), [""; 0], "{script}");
    let message = sheet.cell("PO0", "ERROR_MESSAGE");
    assert!(message.starts_with("timed out after 1.5s"), "{message}");
}

#[test]
fn a_session_of_its_own() {
    check("setsid sh STAY &");
}

#[test]
fn a_session_of_its_own_begun_in_a_child() {
    check("setsid -f sh STAY");
}

#[test]
fn a_group_that_timeout_begins() {
    check("timeout 1000 sh STAY");
}

#[test]
fn a_group_that_a_shell_begins() {
    check("set -m; sh STAY & (sh STAY &)");
}

#[test]
fn a_parent_that_has_ended() {
    check("(sh STAY &)");
}

#[test]
fn a_parent_that_has_ended_and_a_session_of_its_own() {
    check("(setsid sh STAY &) ; ((setsid sh STAY &) &)");
}

#[test]
fn a_deaf_ear_for_a_hangup() {
    check("nohup setsid sh STAY > /dev/null 2>&1 &");
}

#[test]
fn a_deaf_ear_for_each_signal() {
    check("setsid sh -c 'trap \"\" TERM HUP INT QUIT; . STAY' &");
}

#[test]
fn an_empty_environment() {
    check("env -i setsid sh STAY & (env -i sh STAY &)");
}

#[test]
fn an_empty_environment_a_lost_parent_and_a_session_of_its_own() {
    check("(env -i setsid sh STAY &)");
}

#[test]
fn no_file_of_ours() {
    check("(setsid sh STAY < /dev/null > /dev/null 2>&1 &)");
}

#[test]
fn a_tree_as_a_browser_has_it() {
    let tree = "for i in 1 2 3; do setsid sh -c '(setsid sh STAY &); setsid sh STAY & exec sh STAY' & done; wait";
    check(&format!("setsid sh -c \"{tree}\" &"));
}

#[test]
fn a_process_that_goes_on_starting_others() {
    check("setsid sh -c 'while [ -e STAY ]; do setsid sh STAY & sleep 0.02; done' &");
}

#[test]
fn a_process_that_is_stopped() {
    check(
        "setsid sh -c 'echo $$ >> ${0%/*}/pids; kill -STOP $$; . STAY' STAY & (sh STAY & kill -STOP $!)",
    );
}

#[test]
fn a_daemon_that_leaves_all_behind() {
    let daemon = "exec sh STAY 0<&- 1>&- 2>&- 3<&-";
    check(&format!(
        "(cd / && umask 0 && env -i setsid sh -c '(cd / && {daemon}) &' &)"
    ));
}

#[test]
fn a_name_like_the_list_of_processes() {
    check("ln -s $(command -v sh) ') Z 1 1 1'; (setsid sh -c 'exec \"./$0\" STAY' ') Z 1 1 1' &)");
}

/// The same, once something got away, by a second signal: what begins slowly has time for it.
#[track_caller]
fn check_at_second_signal(script: &str) {
    let sheet = TempSheet::pending(1);
    let run = Running::start(&mut sheet.run("", &escape(&sheet, script)));
    wait_until("it got away", || !pids(&sheet).is_empty());
    run.signal(Signal::INT);
    run.wait_until_it_says("stopping");
    run.signal(Signal::INT);
    run.end().with(130);
    assert_eq!(survivors(&sheet), [""; 0], "{script}");
}

fn has_python() -> bool {
    let is_there = Command::new("python3").arg("-V").output().is_ok();
    if !is_there {
        eprintln!("SKIPPED: what starts a process in such a way takes python3");
    }
    is_there
}

#[test]
fn a_thread_that_starts_a_process_and_ends() {
    if has_python() {
        let start = "subprocess.Popen(['setsid', 'sh', 'STAY'])";
        check_at_second_signal(&format!(
            "python3 -c \"
import subprocess, threading, time
threading.Thread(target=lambda: {start}).start()
threading.Thread(target=lambda: ({start}, time.sleep(1000))).start()
time.sleep(1000)\" &"
        ));
    }
}

/// PR_SET_CHILD_SUBREAPER, as a supervisor has it.
#[test]
fn a_parent_that_adopts_orphans_itself() {
    if has_python() {
        check_at_second_signal(
            "setsid python3 -c \"
import ctypes, subprocess, time
assert ctypes.CDLL(None).prctl(36, 1, 0, 0, 0) == 0
subprocess.call(['sh', '-c', '(env -i setsid sh STAY &)'])
time.sleep(1000)\" &",
        );
    }
}

#[test]
fn a_container_of_its_own() {
    if !can_unshare(&["--pid", "--fork"]) {
        return;
    }
    let folder = "${0%/*}";
    // Its own number is another one in there.
    let inside = format!(
        "read -r pid _ < /proc/self/stat; echo $pid >> {folder}/pids; while [ -e {folder} ]; do sleep 0.05; done"
    );
    check_at_second_signal(&format!(
        "(env -i setsid unshare --pid --fork sh -c '{inside}' STAY &)"
    ));
}

fn can_unshare(options: &[&str]) -> bool {
    let can = Command::new("unshare").args(options).arg("true").output();
    let can = can.is_ok_and(|can| can.status.success());
    if !can {
        eprintln!("SKIPPED: no PID namespace can be made here, which takes root");
    }
    can
}

#[test]
fn what_ends_at_sigterm_by_itself_is_given_time_for_it() {
    let sheet = TempSheet::pending(1);
    let tidies = "setsid sh -c 'trap \"sleep 0.2; echo tidy > tidied; exit\" TERM; echo $$ >> pids; while [ -e $PWD ]; do sleep 0.02; done' > /dev/null 2>&1 &";
    let script = escape(&sheet, tidies);
    end(&mut sheet.run("--timeout 1s --retries 0", &script)).with(1);
    assert_eq!(sheet.lines("tidied"), ["tidy"]);
    assert_eq!(survivors(&sheet), [""; 0]);
}

#[test]
fn a_second_signal_reaches_what_got_away_and_nothing_of_other_jobs() {
    let sheet = TempSheet::pending(2);
    let got_away = escape(&sheet, "(setsid sh STAY &)");
    let script = format!("case $TICKOFF_KEY in PO1) await go; exit;; esac\n{got_away}");
    let mut run = Running::start(&mut sheet.run("-j 2 --timeout 1500ms", &script));
    wait_until("it got away", || pids(&sheet).len() == 1);
    assert!(run.is_running());
    run.signal(Signal::INT);
    run.wait_until_it_says("stopping");
    run.signal(Signal::INT);
    run.end();
    assert_eq!(survivors(&sheet), [""; 0]);
}

#[test]
fn a_third_signal_reaches_what_got_away_as_well() {
    let sheet = TempSheet::pending(1);
    let deaf = "(setsid sh -c 'trap \"\" TERM; . STAY' &); sh STAY & (env -i setsid sh STAY &) ; trap '' TERM";
    let run = Running::start(&mut sheet.run("-j 1", &escape(&sheet, deaf)));
    wait_until("it got away", || pids(&sheet).len() == 3);
    run.signal(Signal::INT);
    run.wait_until_it_says("once more kills them");
    run.signal(Signal::INT);
    run.wait_until_it_says("once more ends tickoff at once");
    run.signal(Signal::INT);
    run.end().with(130);
    wait_until("all are gone", || {
        !pids(&sheet).iter().any(|pid| is_alive(pid))
    });
}

/// Runs with a child that it had before, and a job that leaves something behind that no variable tells and none may
/// look into; what is said.
fn run_after(before: &str, sheet: &TempSheet) -> String {
    // PR_SET_DUMPABLE, as an agent for keys has it.
    let left = "python3 -c 'import ctypes, os, time; os.setsid(); os.fork() and os._exit(0); ctypes.CDLL(None).prctl(4, 0, 0, 0, 0); open(\"pids\", \"a\").write(f\"{os.getpid()}\\n\"); time.sleep(1000)' &
        while [ ! -s pids ]; do sleep 0.02; done";
    let left = format!("env -i PATH=\"$PATH\" {left}");
    let run = sheet.run("--kill-leftovers", &left);
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{before} & echo $! > before; exec \"$0\" \"$@\""))
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(sheet.folder());
    end(&mut shell).with(0).stderr
}

#[test]
fn what_cannot_be_looked_into_is_ended_also_by_a_run_that_had_a_child_before() {
    if !has_python() {
        return;
    }
    let sheet = TempSheet::pending(1);
    run_after("sleep 1000 > /dev/null 2>&1", &sheet);
    assert_eq!(survivors(&sheet), [""; 0]);
    let before = sheet.lines("before").concat();
    assert!(is_alive(&before), "a child that was there before is ended");
    kill_process(
        Pid::from_raw(before.parse().unwrap()).unwrap(),
        Signal::KILL,
    )
    .unwrap();
}

#[test]
fn what_a_child_of_before_may_have_let_go_is_left() {
    if !has_python() {
        return;
    }
    if cgroups::are_for_all() {
        eprintln!("SKIPPED: here a cgroup tells what is a job's");
        return;
    }
    let sheet = TempSheet::pending(1);
    let before = "sh -c 'sleep 5; :' > /dev/null 2>&1";
    let said = run_after(before, &sheet);
    assert!(said.contains("left a process behind"), "{said}");
    assert_eq!(survivors(&sheet).len(), 1);
}

/// What a job let go is ended, for which a second is given, after the job: no workers are left whom a signal would
/// reach.
#[test]
fn a_third_signal_ends_the_run_while_leftovers_are_ended() {
    let sheet = TempSheet::pending(1);
    let deaf = "(setsid sh -c 'trap \": > asked\" TERM; . STAY' &); while [ ! -s pids ]; do sleep 0.02; done";
    let script = escape(&sheet, deaf).replace("\nhang", "");
    let run = Running::start(&mut sheet.run("--kill-leftovers", &format!("{script}; await go")));
    wait_until("it got away", || pids(&sheet).len() == 1);
    run.signal(Signal::INT);
    run.wait_until_it_says("once more kills them");
    fs::write(sheet.folder().join("go"), "").unwrap();
    wait_until("it is asked to end", || {
        sheet.folder().join("asked").exists()
    });
    run.signal(Signal::INT);
    run.wait_until_it_says("once more ends tickoff at once");
    run.signal(Signal::INT);
    let ended = run.end().with(130);
    wait_until("it is gone", || !is_alive(&pids(&sheet)[0]));
    assert!(!ended.stderr.contains(" done, "), "{ended:?}");
}

#[test]
fn a_timeout_of_one_job_leaves_what_others_started() {
    let sheet = TempSheet::pending(2);
    let got_away = escape(&sheet, "(setsid sh STAY &)");
    let script = format!(
        "case $TICKOFF_KEY in PO0) hang;; esac\n{}",
        got_away.trim_end_matches("hang")
    );
    let ended = end(&mut sheet.run("-j 2 --timeout 2s --show none", &script)).with(1);
    assert!(
        ended.stderr.contains("left a process behind, sh,"),
        "{ended:?}"
    );
    assert_eq!(survivors(&sheet).len(), 1);
}

/// A worker that never answers, and what it started in another session.
#[test]
fn a_worker_that_is_replaced_takes_with_it_what_got_away() {
    let sheet = TempSheet::pending(1);
    let script = escape(&sheet, "(setsid sh STAY &)");
    let options = "-j 1 --worker-protocol jsonl --timeout 1s --retries 0";
    end(&mut sheet.run(options, &script)).with(1);
    assert_eq!(survivors(&sheet), [""; 0]);
}

#[test]
fn what_a_job_that_ended_by_itself_left_is_named_once_and_goes_on() {
    let sheet = TempSheet::pending(2);
    let left = escape(
        &sheet,
        "[ $TICKOFF_KEY = PO1 ] && sleep 2 || setsid -f sh STAY",
    );
    let left = left.trim_end_matches("hang");
    let ended = end(&mut sheet.run("-j 1 --show none", left)).with(0);
    let said = "a job has ended and left a process behind, sh, which goes on";
    assert_eq!(ended.stderr.matches(said).count(), 1, "{ended:?}");
    let pid = pids(&sheet).concat();
    assert!(
        ended.stderr.contains(&format!("key=PO0 pid={pid}")),
        "{ended:?}"
    );
    assert_eq!(survivors(&sheet).len(), 1);
}

#[test]
fn what_a_job_left_is_killed_if_that_is_asked_for() {
    let sheet = TempSheet::pending(2);
    let left = escape(
        &sheet,
        "sh STAY & setsid -f sh STAY; (env -i setsid sh STAY &); sleep 0.3",
    );
    let left = left.trim_end_matches("hang");
    let ended = end(&mut sheet.run("-j 1 --show none --kill-leftovers", left)).with(0);
    assert!(!ended.stderr.contains("WARN"), "{ended:?}");
    assert_eq!(pids(&sheet).len(), 6);
    assert_eq!(survivors(&sheet), [""; 0]);
}

/// How many children of a process have ended and wait to be reaped.
fn zombies(of: u32) -> usize {
    let children = fs::read_to_string(format!("/proc/{of}/task/{of}/children")).unwrap();
    children
        .split_whitespace()
        .filter(|pid| !is_alive(pid))
        .count()
}

#[test]
fn what_ends_meanwhile_is_reaped() {
    let sheet = TempSheet::pending(1);
    let script = "for i in 1 2 3 4 5; do setsid -f sh -c 'echo $$ >> pids'; done; await go";
    let run = Running::start(&mut sheet.run("", script));
    wait_until("all have ended", || pids(&sheet).len() == 5);
    wait_until("they are reaped", || {
        let is_gone = |pid: &String| fs::metadata(format!("/proc/{pid}")).is_err();
        pids(&sheet).iter().all(is_gone) && zombies(run.id()) == 0
    });
    fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
}

#[test]
fn the_first_process_of_a_container_reaps_too() {
    let unshare = ["--pid", "--fork", "--mount-proc", "--kill-child"];
    if !can_unshare(&unshare) {
        return;
    }
    let sheet = TempSheet::pending(1);
    let inner = sheet.run(
        "",
        "setsid -f true; (true &); sleep 1.2; ps -eo stat= > states",
    );
    let mut run = Command::new("unshare");
    run.args(unshare)
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(sheet.folder());
    end(&mut run).with(0);
    let states = sheet.lines("states");
    assert!(states.len() >= 3, "{states:?}");
    assert!(
        !states.iter().any(|state| state.starts_with('Z')),
        "{states:?}"
    );
}
