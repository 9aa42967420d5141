//! A process id is told only where it is one: not to another container, where it is another process.

use std::process::Command;

use serde_json::json;

use crate::command_line::{Running, end, program, wait_until};
use crate::fixture::TempSheet;

/// A run in PID and host name namespaces of its own, where it is process 1 or close to it; `None` where
/// there are none, and says so.
fn run_in_a_container(sheet: &TempSheet) -> Option<Running> {
    let unshare = ["-u", "-p", "-f", "--mount-proc", "--kill-child"];
    let can = Command::new("unshare").args(unshare).arg("true").output();
    if !can.is_ok_and(|can| can.status.success()) {
        eprintln!("SKIPPED: no PID namespace can be made here, which takes root");
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
        .arg(env!("CARGO_BIN_EXE_tickoff"))
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
