//! `tickoff run --joblog`: GNU parallel's columns, and the key.

use std::process::Command;

use crate::command_line::{Running, end};
use crate::fixture::TempSheet;

const HEADER: &str =
    "Seq\tHost\tStarttime\tJobRuntime\tSend\tReceive\tExitval\tSignal\tCommand\tKey";

/// What a log says of each attempt: Seq, Exitval, Signal, Key, in the order of their ends.
#[track_caller]
fn attempts(sheet: &TempSheet) -> Vec<String> {
    let lines = sheet.lines("log");
    assert_eq!(lines[0], HEADER);
    lines[1..]
        .iter()
        .map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            assert_eq!(fields.len(), HEADER.split('\t').count(), "{line}");
            assert_eq!((fields[1], fields[4], fields[5]), (":", "0", "0"));
            assert!(fields[2].parse::<f64>().unwrap() > 1e9, "{line}");
            assert!(fields[3].trim().parse::<f64>().unwrap() >= 0.0, "{line}");
            [fields[0], fields[6], fields[7], fields[9]].join(" ")
        })
        .collect()
}

#[test]
fn every_attempt_has_a_line_with_its_end() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\nP3\nP4\nP5\n");
    let script = "case $TICKOFF_PO in P2) exit 3;; P3) kill -9 $$;; P4) hang;; P5) exit 75;; esac";
    let options = "-j 1 --retries 1 --backoff 0s --timeout 500ms --joblog log";
    end(&mut sheet.run(options, script)).with(1);
    assert_eq!(
        attempts(&sheet),
        [
            "1 0 0 P1",
            "2 3 0 P2",
            "3 0 9 P3",
            "4 -1 15 P4",
            "5 75 0 P5",
            "6 75 0 P5"
        ]
    );
}

#[test]
fn what_cannot_be_started_has_the_code_of_a_shell() {
    let sheet = TempSheet::new("PO_NUMBER\n/no/program\n/etc/hostname\n");
    end(sheet
        .tickoff("run")
        .args(["-j", "1", "--joblog", "log", "--", "{}"]))
    .with(1);
    assert_eq!(
        attempts(&sheet),
        ["1 127 0 /no/program", "2 126 0 /etc/hostname"]
    );
}

#[test]
fn a_later_run_goes_on_with_the_log() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\n");
    end(&mut sheet.run("--joblog log --limit 1", "true")).with(0);
    end(&mut sheet.run("--joblog log", "true")).with(0);
    assert_eq!(attempts(&sheet), ["1 0 0 P1", "1 0 0 P2"]);
}

#[test]
fn a_killed_run_leaves_whole_lines_of_what_ended() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\n");
    let run = Running::start(&mut sheet.run(
        "-j 1 --joblog log",
        "test $TICKOFF_PO = P1 || { echo > second; await go; }",
    ));
    crate::command_line::wait_until("the second command runs", || {
        sheet.folder().join("second").exists()
    });
    run.kill();
    assert_eq!(attempts(&sheet), ["1 0 0 P1"]);
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    end(&mut sheet.run("-j 1 --joblog log", "true")).with(0);
    assert_eq!(attempts(&sheet), ["1 0 0 P1", "1 0 0 P2"]);
}

#[test]
fn a_command_that_a_halt_breaks_off_is_logged() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\n");
    let script = "case $TICKOFF_PO in P1) await second; exit 1;; *) echo > second; hang;; esac";
    end(&mut sheet.run("-j 2 --halt now,fail=1 --joblog log", script)).with(5);
    let mut attempts = attempts(&sheet);
    attempts.iter_mut().for_each(|line| drop(line.drain(..2)));
    assert_eq!(attempts, ["1 0 P1", "-1 15 P2"]);
}

#[test]
fn cells_make_no_columns_lines_or_colours_and_the_command_can_be_pasted() {
    let sheet = TempSheet::new("PO_NUMBER;X\n\"a\tb\nc\";\u{1b}[31m it's\n");
    let command = ["--joblog", "log", "--", "printf", "%s,\\n", "{}", "{X}"];
    let ended = end(sheet.tickoff("run").args(command)).with(0);
    assert_eq!(attempts(&sheet), ["1 0 0 a\\tb\\nc"]);
    let line = &sheet.lines("log")[1];
    assert_eq!(tickoff::escape(line), line.replace('\t', "\\t"));
    let command = line.split('\t').nth(8).unwrap();
    let pasted = Command::new("bash").args(["-c", command]).output().unwrap();
    assert_eq!(String::from_utf8(pasted.stdout).unwrap(), ended.stdout);
}

#[test]
fn a_sheet_is_not_taken_for_a_log() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    for option in ["--joblog", "--events"] {
        let ended = end(sheet
            .tickoff("run")
            .args([option, "input.csv", "--", "true"]))
        .with(2);
        assert!(
            ended
                .stderr
                .contains("input.csv is there already and has no")
        );
        assert_eq!(sheet.text(), "PO_NUMBER\nP1\n");
        assert_eq!(sheet.backup_names(), [""; 0]);
    }
}

#[test]
fn a_log_that_cannot_be_made_stops_the_run_before_anything_changes() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    for option in ["--joblog", "--events"] {
        let ended = end(&mut sheet.run(&format!("{option} none/log"), "true")).with(3);
        assert!(
            ended.stderr.contains("make it: mkdir -p none"),
            "{}",
            ended.stderr
        );
        assert_eq!(sheet.text(), "PO_NUMBER\nP1\n");
        assert_eq!(sheet.backup_names(), [""; 0]);
    }
}

#[test]
fn a_log_that_cannot_be_written_stops_nothing() {
    let sheet = TempSheet::pending(20);
    let ended = end(&mut sheet.run("--joblog /dev/full", "true")).with(0);
    assert_eq!(
        ended.stderr.matches("lines of a job log are lost").count(),
        1
    );
    assert_eq!(sheet.status()["completed"], 20);
}
