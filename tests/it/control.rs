//! A run that is paused, goes on, and gets more or fewer jobs while it runs, from outside and with keys.

use std::collections::BTreeMap;
use std::fs;
use std::os::unix::fs::chown;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;
use std::thread;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};

use crate::command_line::{Ended, Running, end, is_alive, tickoff, wait_until};
use crate::fixture::TempSheet;
use crate::printed::terminal::Terminal;

/// `tickoff control input.csv {asked}`, to its end.
#[track_caller]
fn control(sheet: &TempSheet, asked: &str) -> Ended {
    end(sheet.tickoff("control").arg(asked))
}

/// Notes its start, waits until it may go on, and notes its end.
const PATIENT: &str = "echo $TICKOFF_PO >> begun; await go; echo $TICKOFF_PO >> ended";

fn let_go(sheet: &TempSheet) {
    fs::write(sheet.folder().join("go"), "").unwrap();
}

#[test]
fn a_paused_run_finishes_what_runs_and_starts_nothing_until_it_is_to_go_on() {
    let sheet = TempSheet::pending(6);
    let run = Running::start(&mut sheet.run("-j 2 --events events", PATIENT));
    wait_until("two jobs run", || sheet.lines("begun").len() == 2);
    let paused = control(&sheet, "pause").with(0).stdout;
    let by = paused.split(" by ").nth(1).unwrap();
    let by = by.split(';').next().unwrap().to_owned();
    assert!(
        paused.starts_with("paused since ") && by.contains('@'),
        "{paused}"
    );
    assert!(
        paused.ends_with("; 2 jobs still running, 2 jobs at a time\n"),
        "{paused}"
    );
    let again = control(&sheet, "pause").with(0).stdout;
    assert!(again.starts_with("already paused since "), "{again}");

    let_go(&sheet);
    wait_until("they end", || sheet.lines("ended").len() == 2);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(sheet.lines("begun").len(), 2);
    wait_until("status says so", || {
        sheet.status()["session"]["running"] == json!(0)
    });
    let session = sheet.status()["session"].clone();
    assert_eq!(session["paused"]["by"], json!(by));
    assert_eq!(session["jobs"], json!(2));
    let shown = end(&mut sheet.tickoff("status")).with(0).stdout;
    let line = shown.lines().find(|line| line.starts_with("jobs  "));
    let line = line.unwrap_or_else(|| panic!("{shown}"));
    assert!(line.starts_with("jobs            paused since "), "{line}");
    assert!(
        line.ends_with(&format!(" by {by}; none running, 2 jobs at a time")),
        "{line}"
    );
    let watch = Running::start(&mut sheet.tickoff("watch"));
    wait_until("watch says so", || {
        let said = watch.stdout();
        said.contains("; paused since ") && said.contains(&format!(" by {by}; 2 jobs at a time\n"))
    });

    let goes_on = control(&sheet, "continue").with(0).stdout;
    let has_ended = goes_on == "the run has taken that, and has ended since\n";
    assert!(
        has_ended || goes_on.starts_with("2 jobs at a time, "),
        "{goes_on}"
    );
    let ended = run.end().with(0);
    watch.end().with(0);
    assert!(
        ended.stderr.contains(&format!(" INFO paused by {by}; ")),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains(&format!(" INFO continued by {by}\n")),
        "{ended:?}"
    );
    assert_eq!(sheet.status()["completed"], 6);
    assert_eq!(sheet.leftovers(), ["begun", "ended", "events", "go"]);
    let events: Vec<Value> = sheet
        .lines("events")
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let place = |name: &str| {
        events
            .iter()
            .position(|event| event["event"] == name)
            .unwrap()
    };
    assert_eq!(events[place("run_paused")]["by"], json!(by));
    let between = &events[place("run_paused")..place("run_continued")];
    assert!(
        between
            .iter()
            .all(|event| event["event"] != "attempt_started")
    );
}

#[test]
fn jobs_are_started_at_once_and_one_that_is_too_many_ends_after_its_job() {
    let sheet = TempSheet::pending(12);
    let script =
        "echo $TICKOFF_PO >> begun; await go$TICKOFF_WORKER; rm go$TICKOFF_WORKER; echo >> ended";
    let run = Running::start(&mut sheet.run(
        "-j 1 --events events --joblog joblog --show grouped",
        script,
    ));
    wait_until("one job runs", || sheet.lines("begun").len() == 1);
    let more = control(&sheet, "jobs=4").with(0).stdout;
    assert!(more.starts_with("4 jobs at a time, "), "{more}");
    wait_until("four jobs run", || sheet.lines("begun").len() == 4);
    assert_eq!(
        control(&sheet, "jobs=4").stdout,
        "already 4 jobs at a time, 4 running\n"
    );

    assert_eq!(
        control(&sheet, "jobs=1").stdout,
        "1 job at a time, 4 running\n"
    );
    for worker in 1..4 {
        fs::write(sheet.folder().join(format!("go{worker}")), "").unwrap();
    }
    wait_until("three end", || sheet.lines("ended").len() == 3);
    wait_until("that is told", || {
        sheet.status()["session"]["running"] == json!(1)
    });
    assert_eq!(sheet.lines("begun").len(), 4);
    let told = fs::read_to_string(sheet.folder().join("events")).unwrap();
    assert!(told.contains("\"event\":\"workers_changed\""), "{told}");

    run.signal(Signal::INT);
    fs::write(sheet.folder().join("go0"), "").unwrap();
    run.end().with(130);
    assert_eq!(sheet.status()["completed"], 4);
    assert_eq!(sheet.lines("joblog").len(), 1 + 4);
}

#[test]
fn ctrl_c_ends_a_paused_run() {
    let sheet = TempSheet::pending(3);
    let run = Running::start(&mut sheet.run("-j 1", PATIENT));
    wait_until("a job runs", || sheet.lines("begun").len() == 1);
    control(&sheet, "pause").with(0);
    let_go(&sheet);
    wait_until("it ends", || sheet.lines("ended").len() == 1);
    run.signal(Signal::INT);
    run.end().with(130);
    assert_eq!(sheet.status()["pending"], 2);
    // A pause ends with the run.
    end(&mut sheet.run("", PATIENT)).with(0);
}

/// Pauses, more and fewer jobs, and kills, whatever is going on; the last run may end.
#[test]
fn nothing_is_lost_or_run_twice_but_what_a_kill_met() {
    const ROWS: usize = 200;
    let sheet = TempSheet::pending(ROWS);
    let script = "echo $TICKOFF_PO >> begun; sleep 0.1; echo $TICKOFF_PO >> ended";
    let done = || sheet.status()["completed"].as_u64().unwrap() as usize;
    let mut met_by_kills = 0;
    for is_killed in [true, true, false] {
        let run = Running::start(&mut sheet.run("-j 2", script));
        for asked in [
            "pause", "jobs=6", "continue", "jobs=1", "pause", "jobs=4", "continue",
        ] {
            let before = sheet.lines("ended").len();
            // On a slow machine it may have come to its end.
            let ended = control(&sheet, asked);
            assert!(ended.code == 0 || done() == ROWS, "{asked}: {ended:?}");
            if asked == "continue" {
                wait_until("it goes on", || {
                    sheet.lines("ended").len() >= before + 10 || done() == ROWS
                });
            }
        }
        match is_killed {
            true => {
                run.kill();
                met_by_kills += 6;
            }
            false => drop(run.end().with(0)),
        }
    }
    let mut begun = BTreeMap::<String, usize>::new();
    for po in sheet.lines("begun") {
        *begun.entry(po).or_default() += 1;
    }
    assert_eq!(begun.len(), ROWS);
    let twice: usize = begun.values().map(|times| times - 1).sum();
    assert!(twice <= met_by_kills, "{twice} of {met_by_kills}");
    assert_eq!(sheet.status()["completed"], ROWS);
    assert_eq!(sheet.leftovers(), ["begun", "ended"]);
}

#[test]
fn workers_that_stay_alive_are_started_and_ended_with_the_number_of_jobs() {
    let sheet = TempSheet::pending(400);
    let script = r#"echo $$ >> pids; while read -r request; do sleep 0.02; id=${request#\{\"id\":}; echo "{\"id\":${id%%,*},\"updates\":{}}"; done"#;
    let mut run = sheet.tickoff("run");
    run.args([
        "--worker-protocol",
        "jsonl",
        "-j",
        "1",
        "--",
        "sh",
        "-c",
        script,
    ]);
    let run = Running::start(&mut run);
    wait_until("a worker is there", || sheet.lines("pids").len() == 1);
    control(&sheet, "jobs=3").with(0);
    wait_until("three are", || sheet.lines("pids").len() == 3);
    control(&sheet, "jobs=1").with(0);
    let alive = || {
        let pids = sheet.lines("pids");
        pids.iter().filter(|pid| is_alive(pid)).count()
    };
    wait_until("two of them have ended", || alive() == 1);
    assert!(sheet.status()["session"].is_object(), "the run goes on");
    control(&sheet, "jobs=4").with(0);
    run.end().with(0);
    assert_eq!(sheet.lines("pids").len(), 6);
    assert_eq!(sheet.status()["completed"], 400);
}

#[test]
fn without_a_run_it_is_said_that_none_goes_on() {
    let sheet = TempSheet::pending(1);
    let says = "no run is going on on ";
    let ended = control(&sheet, "pause").with(1);
    assert!(ended.stderr.contains(says), "{ended:?}");
    let run = Running::start(&mut sheet.run("", PATIENT));
    wait_until("a job runs", || sheet.lines("begun").len() == 1);
    run.kill();
    let ended = control(&sheet, "continue").with(1);
    assert!(ended.stderr.contains(says), "{ended:?}");
    assert_eq!(sheet.leftovers(), ["begun"]);
    let_go(&sheet);
}

#[test]
fn jobs_may_be_counted_from_those_that_there_are() {
    let sheet = TempSheet::pending(1);
    let run = Running::start(&mut sheet.run("-j 6", PATIENT));
    wait_until("a job runs", || sheet.lines("begun").len() == 1);
    for (asked, says) in [
        ("jobs=+1", "7 jobs"),
        ("jobs=-5", "2 jobs"),
        ("jobs=-1", "1 job"),
    ] {
        let told = control(&sheet, asked).with(0).stdout;
        assert!(told.starts_with(&format!("{says} at a time, ")), "{told}");
    }
    for (asked, says) in [
        (
            "jobs=-1",
            "from 1 at a time that comes to 0: it must be a whole number from 1 to 10000; to start none, say pause",
        ),
        ("jobs=+10000", "from 1 at a time that comes to 10001"),
    ] {
        let ended = control(&sheet, asked).with(2);
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
    assert_eq!(sheet.status()["session"]["jobs"], json!(1));
    let_go(&sheet);
    run.end().with(0);
}

#[test]
fn what_cannot_be_asked_is_refused_before_the_sheet_is_looked_at() {
    let sheet = TempSheet::pending(1);
    for (asked, says) in [
        ("jobs=0", "to start none, say pause"),
        ("jobs=eight", "say a whole number of jobs, as in jobs=8"),
        ("jobs=100000", "it must be a whole number from 1 to 10000"),
        ("stop", "say pause, continue or jobs=N, as in jobs=8"),
    ] {
        let ended = control(&sheet, asked).with(2);
        assert!(ended.stderr.contains(says), "{ended:?}");
    }
}

#[test]
fn a_file_of_the_users_in_the_place_of_a_request_stays() {
    let sheet = TempSheet::pending(1);
    let theirs = sheet.folder().join(".input.csv.control");
    fs::write(&theirs, "volume=11\n").unwrap();
    let run = Running::start(&mut sheet.run("", PATIENT));
    wait_until("a job runs", || sheet.lines("begun").len() == 1);
    let refused = control(&sheet, "pause").with(3);
    assert!(
        refused
            .stderr
            .contains("has the name of a file of tickoff's and is none"),
        "{refused:?}"
    );
    let_go(&sheet);
    run.end().with(0);
    assert_eq!(fs::read(&theirs).unwrap(), b"volume=11\n");
}

#[test]
fn a_run_in_another_container_is_paused() {
    let sheet = TempSheet::pending(2);
    let unshare = ["-u", "-p", "-f", "--mount-proc", "--kill-child"];
    let can = Command::new("unshare").args(unshare).arg("true").output();
    if !can.is_ok_and(|can| can.status.success()) {
        eprintln!("SKIPPED: no PID namespace can be made here, which takes root");
        return;
    }
    let run = sheet.run("-j 1", PATIENT);
    let mut contained = Command::new("unshare");
    contained
        .args(unshare)
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(sheet.folder());
    let run = Running::start(&mut contained);
    wait_until("a job runs", || sheet.lines("begun").len() == 1);
    control(&sheet, "pause").with(0);
    let_go(&sheet);
    wait_until("it ends", || sheet.lines("ended").len() == 1);
    thread::sleep(Duration::from_millis(200));
    assert_eq!(sheet.lines("begun").len(), 1);
    control(&sheet, "continue").with(0);
    run.end().with(0);
}

/// Who runs it, and who else there is.
const RUNS: u32 = 65_533;
const STRANGER: u32 = 65_532;

#[test]
fn only_the_runs_user_and_root_control_it() {
    let sheet = TempSheet::pending(2);
    let all_may = |path: &Path| {
        fs::set_permissions(path, std::os::unix::fs::PermissionsExt::from_mode(0o777))
    };
    if chown(sheet.path(), Some(RUNS), None).is_err() || all_may(sheet.folder()).is_err() {
        eprintln!("SKIPPED: becoming another user takes root");
        return;
    }
    let mut run = sheet.run("-j 1", PATIENT);
    let Ok(probe) = tickoff().arg("--version").uid(RUNS).output() else {
        eprintln!("SKIPPED: other users cannot run the program where it is");
        return;
    };
    assert!(probe.status.success());
    let run = Running::start(run.uid(RUNS));
    wait_until("a job runs", || sheet.lines("begun").len() == 1);
    let refused = end(sheet.tickoff("control").arg("pause").uid(STRANGER));
    assert!(
        refused.code == 1 && refused.stderr.contains("only they and root may control it"),
        "{refused:?}"
    );
    // Not even with a file that says what theirs would say.
    control(&sheet, "pause").with(0);
    end(sheet.tickoff("control").arg("continue").uid(RUNS)).with(0);
    let_go(&sheet);
    run.end().with(0);
}

#[test]
fn a_third_ctrl_c_ends_the_run_at_once_and_its_jobs() {
    let sheet = TempSheet::pending(2);
    let run = Running::start(&mut sheet.run("-j 1", "trap '' TERM; echo $$ > pid; hang"));
    wait_until("a job runs", || sheet.lines("pid").len() == 1);
    run.signal(Signal::INT);
    run.wait_until_it_says("once more kills them");
    run.signal(Signal::INT);
    run.wait_until_it_says("once more ends tickoff at once");
    run.signal(Signal::INT);
    let ended = run.end().with(130);
    assert!(
        !ended.stderr.contains(" left for the next run"),
        "{ended:?}"
    );
    let pid = sheet.lines("pid")[0].clone();
    wait_until("the job is gone", || !is_alive(&pid));
    assert_eq!(sheet.status()["pending"], 2);
    let_go(&sheet);
    end(&mut sheet.run("", "true")).with(0);
}

fn shows(terminal: &Terminal, text: &str) -> bool {
    terminal.rows().iter().any(|row| row.contains(text))
}

#[test]
fn keys_pause_the_run_and_change_the_number_of_jobs() {
    let sheet = TempSheet::pending(8);
    let mut run = Terminal::start(&sheet.run("-j 2", PATIENT), 80);
    wait_until("two jobs run", || sheet.lines("begun").len() == 2);
    wait_until("the keys are named", || {
        shows(
            &run,
            "keys: p pauses and goes on, + and - change the number of jobs",
        )
    });
    run.press(b"+");
    wait_until("three jobs run", || sheet.lines("begun").len() == 3);
    run.press(b"p");
    wait_until("the pause is shown", || {
        run.rows()
            .iter()
            .any(|row| row.starts_with("paused since ") && row.ends_with(" by the keyboard"))
    });
    // No key of ours.
    run.press(b"x\n\x1b[A");
    run.press(b"--");
    wait_until("status says so", || {
        sheet.status()["session"]["jobs"] == json!(1)
    });
    assert_eq!(
        sheet.status()["session"]["paused"]["by"],
        json!("the keyboard")
    );
    let_go(&sheet);
    wait_until("three end", || sheet.lines("ended").len() == 3);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(sheet.lines("begun").len(), 3);
    run.press(b"p");
    let (lines, _) = run.end(0);
    assert!(
        !lines.iter().any(|line| line.starts_with("paused since")),
        "{lines:#?}"
    );
    assert!(
        !lines.iter().any(|line| line.starts_with("keys: ")),
        "{lines:#?}"
    );
}

#[test]
fn a_run_without_a_terminal_on_stdin_reads_no_keys() {
    let sheet = TempSheet::pending(2);
    let run = sheet.run("-j 1", PATIENT);
    let mut run = Terminal::of_shell("exec \"$0\" \"$@\" < /dev/null", &run);
    wait_until("there is a display", || shows(&run, "0/2"));
    run.press(b"p");
    let_go(&sheet);
    let (lines, frames) = run.end(0);
    assert!(
        !lines.iter().any(|line| line.contains("paused")),
        "{lines:#?}"
    );
    assert!(!frames.iter().flatten().any(|line| line.contains("keys: ")));
}

#[test]
fn ctrl_z_gives_the_terminal_back_and_the_run_takes_it_again() {
    let sheet = TempSheet::pending(2);
    let run = sheet.run("-j 1", PATIENT);
    // As an interactive shell does, without one's own modes.
    let script = "set -m; \"$0\" \"$@\"; touch stopped; until [ -e on ]; do sleep 0.01; done; fg > /dev/null";
    let mut run = Terminal::of_shell(script, &run);
    wait_until("there is a display", || shows(&run, "0/2"));
    assert!(!run.echoes());
    run.press(b"\x1a");
    wait_until("it is stopped", || sheet.folder().join("stopped").exists());
    assert!(run.echoes());
    wait_until("the display is gone", || !shows(&run, "0/2"));
    thread::sleep(Duration::from_millis(300));
    assert!(!shows(&run, "0/2"), "{:#?}", run.rows());
    fs::write(sheet.folder().join("on"), "").unwrap();
    wait_until("it is shown again", || shows(&run, "0/2"));
    wait_until("it has the terminal", || !run.echoes());
    run.press(b"p");
    wait_until("keys are read again", || shows(&run, "paused since "));
    run.press(b"p");
    let_go(&sheet);
    run.end(0);
}

#[test]
fn a_third_ctrl_c_leaves_the_terminal_as_it_was() {
    let sheet = TempSheet::pending(1);
    let mut run = Terminal::start(&sheet.run("", "trap '' TERM; touch begun; hang"), 80);
    wait_until("a job runs", || sheet.folder().join("begun").exists());
    wait_until("there is a display", || shows(&run, "0/1"));
    run.press(b"\x03");
    wait_until("it stops", || shows(&run, "stopping: "));
    run.press(b"\x03");
    wait_until("it kills", || shows(&run, "killing "));
    run.press(b"\x03");
    let (lines, _) = run.end(130);
    assert!(!lines.iter().any(|line| line.contains("0/1")), "{lines:#?}");
}

#[test]
fn ctrl_backslash_and_other_deadly_signals_leave_the_terminal_as_it_was_and_no_job() {
    for signal in [Signal::QUIT, Signal::ABORT, Signal::USR1, Signal::ALARM] {
        let sheet = TempSheet::pending(1);
        let run = sheet.run("", "echo $$ > job; echo $PPID > run; hang");
        // It gets Ctrl-\, too, as any shell in a script.
        let script = "ulimit -c 0; trap : QUIT; \"$0\" \"$@\"; echo died $?; stty -a > after";
        let mut run = Terminal::of_shell(script, &run);
        wait_until("a job runs", || sheet.lines("run").len() == 1);
        wait_until("there is a display", || shows(&run, "0/1") && !run.echoes());
        if signal == Signal::QUIT {
            run.press(b"\x1c");
        } else {
            let pid = sheet.lines("run").concat().parse().unwrap();
            kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        }
        let (lines, _) = run.end(0);
        assert!(!lines.iter().any(|line| line.contains("0/1")), "{lines:#?}");
        let died = format!("died {}", 128 + signal.as_raw());
        assert!(lines.contains(&died), "{signal:?}: {lines:#?}");
        let job = sheet.lines("job").concat();
        wait_until("the job is gone", || !is_alive(&job));
        let modes = sheet.lines("after").join(" ");
        assert!(
            modes.contains(" icanon ") && modes.contains(" echo "),
            "{modes}"
        );
    }
}
