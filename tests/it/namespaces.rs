//! A process id is told only where it is one: not to another container, where it is another process.

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::PathBuf;
use std::process::Command;

use serde_json::json;

use crate::command_line::{Running, end, program, wait_until};
use crate::fixture::TempSheet;

/// Whether namespaces can be made for a command, which is tried; where not, says so.
fn can_unshare(arguments: &[&str]) -> bool {
    let mut unshare = Command::new("unshare");
    let is_command = arguments.contains(&"sh");
    let tried = unshare
        .args(arguments)
        .args((!is_command).then_some("true"));
    let can = tried.output().is_ok_and(|tried| tried.status.success());
    if !can {
        eprintln!("SKIPPED: no such namespace can be made here, which takes root");
    }
    can
}

/// A run in PID and host name namespaces of its own, where it is process 1 or close to it; `None` where
/// there are none, and says so.
fn run_in_a_container(sheet: &TempSheet) -> Option<Running> {
    let unshare = ["-u", "-p", "-f", "--mount-proc", "--kill-child"];
    if !can_unshare(&unshare) {
        return None;
    }
    let mut run = Command::new("unshare");
    run.args(unshare)
        .args(["sh", "-c"])
        .arg("hostname other; exec \"$0\" run input.csv -j1 -- sh -c 'touch begun; while [ ! -e go ]; do sleep 0.01; done'")
        .arg(program())
        .current_dir(sheet.folder());
    let run = Running::start(&mut run);
    wait_until("its job runs", || sheet.folder().join("begun").exists());
    Some(run)
}

#[test]
fn who_is_refused_is_not_told_to_end_a_process_of_another_container() {
    let sheet = TempSheet::pending(1);
    let Some(run) = run_in_a_container(&sheet) else {
        return;
    };
    let ended = end(&mut sheet.run("", "true")).with(4);
    assert!(
        ended
            .stderr
            .contains(" on other, in another container or on another host (session "),
        "{ended:?}"
    );
    assert!(
        ended
            .stderr
            .contains("or end it there, in the other container or on the host other, "),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("kill "), "{ended:?}");

    // Who looks from outside sees that it goes on, and from which container.
    let session = &sheet.status()["session"];
    assert_eq!(session["host"], json!("other"));
    assert!(session["pid_namespace"].is_string(), "{session}");

    std::fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
    assert_eq!(sheet.status()["session"], json!(null));
}

#[test]
fn one_container_sees_the_run_of_another() {
    let sheet = TempSheet::pending(1);
    let Some(run) = run_in_a_container(&sheet) else {
        return;
    };
    let mut status = Command::new("unshare");
    status
        .args(["-p", "-f", "--mount-proc", "--kill-child"])
        .arg(program())
        .args(["status", "input.csv", "--json"])
        .current_dir(sheet.folder());
    let seen = end(&mut status).with(0).json();
    assert_eq!(seen["session"]["host"], json!("other"));
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
    assert_eq!(end(&mut status).json()["session"], json!(null));
}

#[test]
fn a_run_is_watched_from_another_container_to_its_end() {
    let sheet = TempSheet::pending(1);
    let Some(run) = run_in_a_container(&sheet) else {
        return;
    };
    let mut watch = Command::new("unshare");
    watch
        .args(["-p", "-f", "--mount-proc", "--kill-child"])
        .arg(program())
        .args(["watch", "input.csv"])
        .current_dir(sheet.folder());
    let inside = Running::start(&mut watch);
    let outside = Running::start(&mut sheet.tickoff("watch"));
    for watch in [&inside, &outside] {
        wait_until("it is shown", || watch.stdout().contains("0 of 1: "));
    }
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
    for watch in [inside, outside] {
        let ended = watch.end().with(0);
        assert!(
            ended.stdout.contains("no session is going on\n"),
            "{ended:?}"
        );
    }
}

#[test]
fn a_run_is_seen_and_controlled_in_its_own_container_under_an_outer_proc() {
    let sheet = TempSheet::pending(2);
    let script = "\"$0\" run input.csv -j1 --quiet -- sh -c 'touch begun; while [ ! -e go ]; do sleep 0.01; done' &
        while [ ! -e begun ]; do sleep 0.01; done
        \"$0\" status input.csv --json > seen; \"$0\" control input.csv jobs=2 > controlled
        touch go; wait $!";
    let mut container = Command::new("unshare");
    container
        .args(["-p", "-f", "--kill-child", "sh", "-c", script])
        .arg(program())
        .current_dir(sheet.folder());
    if !can_unshare(&["-p", "-f"]) {
        return;
    }
    end(&mut container).with(0);
    let seen: serde_json::Value = serde_json::from_str(&sheet.lines("seen").concat()).unwrap();
    assert!(seen["session"].is_object(), "{seen}");
    let controlled = sheet.lines("controlled").concat();
    assert!(controlled.starts_with("2 jobs at a time"), "{controlled}");
}

#[test]
fn a_run_is_seen_where_the_list_of_locks_is_hidden_and_a_killed_one_is_not() {
    let hidden = "mount --bind /dev/null /proc/locks";
    if !can_unshare(&["-m", "sh", "-c", hidden]) {
        return;
    }
    let sheet = TempSheet::pending(1);
    let status = || {
        let mut status = Command::new("unshare");
        status
            .args(["-m", "sh", "-c"])
            .arg(format!("{hidden}; exec \"$0\" status input.csv --json"))
            .arg(program())
            .current_dir(sheet.folder());
        end(&mut status).with(0).json()["session"].clone()
    };
    let run = Running::start(&mut sheet.run("", "echo >> begun; await go"));
    wait_until("its job runs", || sheet.folder().join("begun").exists());
    assert_eq!(status()["pid"], json!(run.id()));
    run.signal(rustix::process::Signal::KILL);
    run.end();
    assert_eq!(status(), json!(null));
    std::fs::write(sheet.folder().join("go"), "").unwrap();
}

/// A number that no user has here.
const USER: &str = "100000";

fn as_user() -> Command {
    let mut command = Command::new("setpriv");
    command.args(["--reuid", USER, "--regid", USER, "--clear-groups"]);
    command
}

/// As that user, in a user namespace where they are root and nobody else has a number.
fn as_root_of_their_own() -> Command {
    let mut command = as_user();
    command.args(["unshare", "-U", "-r"]);
    command
}

/// Gives a sheet and its folder to the user and to a group, and puts the program there, which they may not reach
/// elsewhere. `None` where that cannot be done, and says so.
fn given_to_user(sheet: &TempSheet, group: &str) -> Option<PathBuf> {
    let copy = sheet.folder().join("program");
    std::fs::copy(program(), &copy).unwrap();
    let mut give = Command::new("chown");
    let given = give
        .args(["-R", &format!("{USER}:{group}")])
        .arg(sheet.folder())
        .status();
    let mut can = as_root_of_their_own();
    can.arg(&copy).arg("--version");
    let can = given.unwrap().success() && can.output().is_ok_and(|can| can.status.success());
    if !can {
        eprintln!("SKIPPED: no user namespace can be made for another user here, which takes root");
    }
    can.then_some(copy)
}

#[test]
fn a_run_with_users_of_its_own_is_controlled_by_root_and_by_its_user() {
    let sheet = TempSheet::pending(2);
    let Some(program) = given_to_user(&sheet, USER) else {
        return;
    };
    let mut run = as_root_of_their_own();
    run.arg(&program)
        .args(["run", "input.csv", "-j1", "--", "sh", "-c"])
        .arg("touch begun; while [ ! -e go ]; do sleep 0.01; done")
        .current_dir(sheet.folder());
    let run = Running::start(&mut run);
    wait_until("its job runs", || sheet.folder().join("begun").exists());
    let mut elsewhere = Command::new("unshare");
    elsewhere.args(["-p", "-f", "-u", "--mount-proc", "--kill-child", "env"]);
    for (jobs, mut control) in [(2, Command::new("env")), (3, as_user()), (4, elsewhere)] {
        control
            .arg(&program)
            .args(["control", "input.csv"])
            .arg(format!("jobs={jobs}"))
            .current_dir(sheet.folder());
        let said = end(&mut control).with(0).stdout;
        assert!(
            said.starts_with(&format!("{jobs} jobs at a time")),
            "{said}"
        );
    }
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
}

#[test]
fn a_sheet_of_a_group_that_has_no_number_in_the_container_is_run_with_its_rights() {
    let sheet = TempSheet::pending(2);
    let Some(program) = given_to_user(&sheet, "100001") else {
        return;
    };
    // What is made in the folder is of its group.
    std::fs::set_permissions(sheet.folder(), PermissionsExt::from_mode(0o2770)).unwrap();
    std::fs::set_permissions(sheet.path(), PermissionsExt::from_mode(0o660)).unwrap();
    let mut run = as_root_of_their_own();
    run.arg(&program)
        .args(["run", "input.csv", "--quiet", "--", "true"])
        .current_dir(sheet.folder());
    end(&mut run).with(0);
    let table = sheet.table();
    assert!(
        table.values().all(|row| row["STATUS"] == "COMPLETED"),
        "{table:?}"
    );
    let made = std::fs::metadata(sheet.path()).unwrap();
    assert_eq!((made.gid(), made.mode() & 0o777), (100_001, 0o660));
    for copy in std::fs::read_dir(sheet.folder().join("backup")).unwrap() {
        let mode = copy.unwrap().metadata().unwrap().mode();
        assert_eq!(mode & 0o077, 0, "the group is not known: {mode:o}");
    }
}
