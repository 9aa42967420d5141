//! `tickoff run --worker-protocol jsonl`: processes that stay alive and are sent their POs.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::Command;

use rustix::process::Signal;

use crate::command_line::{Running, end, is_alive, wait_until};
use crate::fixture::TempSheet;

/// A sheet of these POs, all pending.
fn sheet(pos: &[&str]) -> TempSheet {
    let rows: String = pos
        .iter()
        .map(|po| format!("{po};PENDING;Acme;\n"))
        .collect();
    TempSheet::new(format!("PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED\n{rows}"))
}

fn worker(name: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("tests/workers")
        .join(name)
}

/// A run with these workers. It retries at once.
fn run(sheet: &TempSheet, options: &str, worker: impl AsRef<std::ffi::OsStr>) -> Command {
    let mut program = sheet.tickoff("run");
    program
        .args(["--worker-protocol", "jsonl", "--backoff", "0s"])
        .args(options.split_whitespace())
        .arg("--")
        .arg(worker);
    program
}

/// The same with a worker in shell, given here.
fn run_script(sheet: &TempSheet, options: &str, script: &str) -> Command {
    let mut program = run(sheet, options, "sh");
    program.args(["-c", script]);
    program
}

/// Whether there is Python for its worker; says so if not.
fn has_python() -> bool {
    let is_there = Command::new("python3").arg("-V").output().is_ok();
    if !is_there {
        eprintln!("SKIPPED: the worker in Python takes python3");
    }
    is_there
}

/// STATUS and ERROR_MESSAGE of a PO.
#[track_caller]
fn outcome(sheet: &TempSheet, po: &str) -> (String, String) {
    (sheet.cell(po, "STATUS"), sheet.cell(po, "ERROR_MESSAGE"))
}

fn completed() -> (String, String) {
    ("COMPLETED".to_owned(), String::new())
}

fn error(message: &str) -> (String, String) {
    ("ERROR".to_owned(), message.to_owned())
}

/// A shell worker's answer to what it has just read, which begins with its id.
const ANSWER: &str = r#"id=${request#\{\"id\":}; echo "{\"id\":${id%%,*},\"updates\":{}}""#;

#[test]
fn a_process_for_each_worker_serves_all_pos() {
    if !has_python() {
        return;
    }
    let pos: Vec<String> = (0..40).map(|i| format!("PO{i}")).collect();
    let sheet = sheet(&pos.iter().map(String::as_str).collect::<Vec<_>>());
    end(&mut run(&sheet, "-j 4", worker("worker.py"))).with(0);

    let table = sheet.table();
    let processes: BTreeSet<&str> = table.values().map(|row| &*row["DOWNLOAD_FOLDER"]).collect();
    assert!((1..=4).contains(&processes.len()), "{processes:?}");
    for row in table.values() {
        assert_eq!(row["STATUS"], "COMPLETED");
        assert_eq!(row["ATTACHMENTS_FOUND"], "2");
        assert_eq!(row["AttachmentName"], "order.pdf;Acme.pdf");
    }
}

#[test]
fn an_answer_becomes_the_row_and_an_error_its_message() {
    if !has_python() {
        return;
    }
    let sheet = sheet(&[
        "P1",
        "P2-MISSING",
        "P3-NONE",
        "P4-BUSY",
        "P5-ALWAYS503",
        "P6-BADCOLUMN",
    ]);
    let ended = end(&mut run(&sheet, "-j 1 --retries 1", worker("worker.py"))).with(1);
    assert_eq!(outcome(&sheet, "P1"), completed());
    assert_eq!(outcome(&sheet, "P2-MISSING"), error("404: no such order"));
    assert_eq!(sheet.cell("P3-NONE", "STATUS"), "NO_ATTACHMENTS");
    assert_eq!(outcome(&sheet, "P4-BUSY"), completed());
    assert_eq!(outcome(&sheet, "P5-ALWAYS503"), error("503: busy"));
    assert_eq!(outcome(&sheet, "P6-BADCOLUMN"), completed());
    assert_eq!(sheet.cell("P6-BADCOLUMN", "NO_SUCH_COLUMN"), "1");
    let is_passed_on = ended.stderr.lines().any(|line| line == "ready");
    assert!(is_passed_on, "{}", ended.stderr);
}

#[test]
fn a_worker_that_fails_its_po_is_replaced_and_the_po_tried_again() {
    if !has_python() {
        return;
    }
    let sheet = sheet(&[
        "P1",
        "P2-CRASH",
        "P3-CRASH-ALWAYS",
        "P4-GARBAGE",
        "P5-WRONGID",
        "P6-HUGE",
        "P7",
    ]);
    let ended = end(&mut run(&sheet, "-j 1 --retries 1", worker("worker.py"))).with(1);
    assert_eq!(outcome(&sheet, "P1"), completed());
    assert_eq!(outcome(&sheet, "P2-CRASH"), completed());
    assert_eq!(
        outcome(&sheet, "P3-CRASH-ALWAYS"),
        error("the worker ended: exit 1: ready | cannot stand P3-CRASH-ALWAYS")
    );
    for (po, problem) in [
        ("P4-GARBAGE", "sent no valid answer"),
        ("P5-WRONGID", "answered request"),
        ("P6-HUGE", "sent a line longer than 1048576 bytes"),
    ] {
        let (status, message) = outcome(&sheet, po);
        assert_eq!(status, "ERROR");
        assert!(
            message.starts_with(&format!("the worker was replaced, it {problem}")),
            "{message}"
        );
    }
    assert_eq!(outcome(&sheet, "P7"), completed());
    assert!(
        ended.stderr.contains("the worker ended: exit 1"),
        "{}",
        ended.stderr
    );
}

#[test]
fn a_worker_that_hangs_is_killed_with_all_it_started_and_replaced() {
    let sheet = sheet(&["P1-HANG", "P2"]);
    let script = format!(
        r#"while read -r request; do
            case $request in *HANG*) sleep 60 & echo $! >> sleepers; wait ;; esac
            {ANSWER}
        done"#
    );
    end(&mut run_script(&sheet, "-j 1 --timeout 300ms", &script)).with(1);
    assert_eq!(outcome(&sheet, "P1-HANG"), error("timed out after 300ms"));
    assert_eq!(outcome(&sheet, "P2"), completed());
    for sleeper in sheet.lines("sleepers") {
        wait_until("the sleeper is gone", || !is_alive(&sleeper));
    }
}

#[test]
fn a_worker_that_reads_nothing_is_noticed_however_long_the_request() {
    let long = "x".repeat(1 << 20);
    let sheet = TempSheet::new(format!("PO_NUMBER;STATUS;SUPPLIER\nP1;PENDING;{long}\n"));
    end(&mut run_script(&sheet, "--timeout 300ms", "sleep 60")).with(1);
    assert_eq!(outcome(&sheet, "P1"), error("timed out after 300ms"));
}

#[test]
fn a_request_holds_the_id_the_po_the_attempt_and_every_cell() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS;Note \"x\"\n\"P;1\";PENDING;\"two\nlines\"\n");
    let script = format!("read -r request; printf '%s\\n' \"$request\" > request; {ANSWER}");
    end(&mut run_script(&sheet, "", &script)).with(0);
    let request: serde_json::Value = serde_json::from_str(&sheet.lines("request")[0]).unwrap();
    assert_eq!(
        request,
        serde_json::json!({
            "id": 1, "po_number": "P;1", "key": "P;1", "attempt": 1,
            "cells": {
                "PO_NUMBER": "P;1", "STATUS": "PENDING", "Note \"x\"": "two\nlines",
                "LAST_PROCESSED": "", "ERROR_MESSAGE": "",
            }
        })
    );
}

#[test]
fn a_worker_in_shell_speaks_the_protocol() {
    let sheet = sheet(&["P1", "P2-MISSING", "P3"]);
    end(&mut run(&sheet, "-j 2", worker("worker.sh"))).with(1);
    assert_eq!(outcome(&sheet, "P1"), completed());
    assert_eq!(sheet.cell("P3", "ATTACHMENTS_FOUND"), "1");
    assert_eq!(outcome(&sheet, "P2-MISSING"), error("404: no such order"));
}

#[test]
fn a_worker_that_closes_its_stdout_is_replaced() {
    let sheet = sheet(&["P1-CLOSE", "P2"]);
    let script = format!(
        r#"while read -r request; do
            case $request in *CLOSE*) exec >&-; sleep 60 ;; esac
            {ANSWER}
        done"#
    );
    end(&mut run_script(&sheet, "-j 1 --retries 0", &script)).with(1);
    assert_eq!(
        outcome(&sheet, "P1-CLOSE"),
        error("the worker was replaced, it closed its stdin or stdout")
    );
    assert_eq!(outcome(&sheet, "P2"), completed());
}

#[test]
fn the_job_log_has_a_line_for_each_request() {
    if !has_python() {
        return;
    }
    let sheet = sheet(&["P1", "P2-MISSING", "P3-BUSY", "P4-CRASH"]);
    end(&mut run(
        &sheet,
        "-j 1 --joblog log --timeout 60s",
        worker("worker.py"),
    ))
    .with(1);
    let ends: BTreeSet<String> = sheet.lines("log")[1..]
        .iter()
        .map(|line| {
            let fields: Vec<_> = line.split('\t').collect();
            format!("{} {}", fields[9], fields[6])
        })
        .collect();
    let wanted = [
        "P1 0",
        "P2-MISSING 1",
        "P3-BUSY 0",
        "P3-BUSY 75",
        "P4-CRASH 0",
        "P4-CRASH 1",
    ];
    assert_eq!(ends, wanted.map(str::to_owned).into());
}

#[test]
fn a_worker_is_replaced_after_so_many_answers() {
    let sheet = sheet(&["P1", "P2", "P3", "P4", "P5"]);
    let script =
        format!("echo start >> starts; while read -r request; do {ANSWER}; done; echo end >> ends");
    end(&mut run_script(&sheet, "-j 1 --recycle-after 2", &script)).with(0);
    assert_eq!(sheet.lines("starts").len(), 3);
    // Each was let go, and had the time to say so.
    assert_eq!(sheet.lines("ends").len(), 3);
}

#[test]
fn a_worker_that_ends_after_each_answer_leaves_no_po_undone() {
    let sheet = sheet(&["P1", "P2", "P3"]);
    let script = format!("read -r request; {ANSWER}");
    // Whether its end is noticed before the next request or costs that an attempt is a race.
    end(&mut run_script(&sheet, "-j 1 --retries 1", &script)).with(0);
    for po in ["P1", "P2", "P3"] {
        assert_eq!(outcome(&sheet, po), completed());
    }
}

#[test]
fn workers_that_cannot_start_end_the_run_and_leave_their_pos_as_they_were() {
    let pos: Vec<String> = (0..50).map(|i| format!("PO{i}")).collect();
    let sheet = sheet(&pos.iter().map(String::as_str).collect::<Vec<_>>());
    let script = "echo 'ModuleNotFoundError: selenium' >&2; exit 1";
    // Whether a PO has used its attempts up before is a race.
    let ended = end(&mut run_script(&sheet, "-j 2 --retries 20", script)).with(5);
    assert!(
        ended.stderr.contains("none has answered"),
        "{}",
        ended.stderr
    );
    assert!(
        ended.stderr.contains("ModuleNotFoundError: selenium"),
        "{}",
        ended.stderr
    );
    assert_eq!(sheet.status()["pending"], 50);
}

#[test]
fn a_worker_that_is_not_found_is_an_error_before_anything_is_changed() {
    let sheet = sheet(&["P1"]);
    end(&mut run(&sheet, "", "no-such-worker")).with(127);
    assert!(sheet.leftovers().is_empty());
    assert!(sheet.backup_names().is_empty());
}

#[test]
fn ctrl_c_lets_workers_answer_and_end() {
    let sheet = sheet(&["P1", "P2", "P3"]);
    let script = format!(
        "while read -r request; do
            touch begun; while [ ! -e go ] && [ -e $PWD ]; do sleep 0.01; done
            {ANSWER}
        done; touch ended"
    );
    let run = Running::start(&mut run_script(&sheet, "-j 1", &script));
    wait_until("the job has begun", || {
        sheet.folder().join("begun").exists()
    });
    run.signal(Signal::INT);
    run.wait_until_it_says("stopping");
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(130);
    assert_eq!(outcome(&sheet, "P1"), completed());
    assert_eq!(sheet.status()["pending"], 2);
    assert!(sheet.folder().join("ended").exists());
}

#[test]
fn a_second_ctrl_c_kills_workers_and_their_pos_keep_their_state() {
    let sheet = sheet(&["P1", "P2"]);
    let run = Running::start(&mut run_script(
        &sheet,
        "-j 1",
        "read -r request; touch begun; sleep 60",
    ));
    wait_until("the job has begun", || {
        sheet.folder().join("begun").exists()
    });
    run.signal(Signal::INT);
    run.wait_until_it_says("stopping");
    run.signal(Signal::INT);
    run.end().with(130);
    assert_eq!(sheet.status()["pending"], 2);
}

/// A worker that says this when it is asked to end.
fn says_when_asked_to_end(says: &str) -> String {
    format!(
        "read -r request; trap '{says}; exit' TERM; touch begun; while [ -e $PWD ]; do sleep 0.05; done"
    )
}

const FAILURE: &str =
    r#"id=${request#*:}; echo "{\"id\":${id%%,*},\"error\":\"closed\",\"retryable\":true}""#;

fn ended_by_a_second_ctrl_c(sheet: &TempSheet, says: &str) {
    let script = says_when_asked_to_end(says);
    let run = Running::start(&mut run_script(sheet, "-j 1 --retries 0", &script));
    wait_until("the job has begun", || {
        sheet.folder().join("begun").exists()
    });
    run.signal(Signal::INT);
    run.wait_until_it_says("stopping");
    run.signal(Signal::INT);
    run.end().with(130);
}

#[test]
fn an_answer_within_the_second_before_its_worker_is_killed_counts() {
    let sheet_of_one = sheet(&["P1"]);
    ended_by_a_second_ctrl_c(&sheet_of_one, ANSWER);
    assert_eq!(outcome(&sheet_of_one, "P1"), completed());

    let sheet = sheet(&["P1", "P2"]);
    let script = says_when_asked_to_end(ANSWER);
    end(&mut run_script(&sheet, "-j 1 --timeout 1s", &script)).with(0);
    for po in ["P1", "P2"] {
        assert_eq!(outcome(&sheet, po), completed());
    }
}

#[test]
fn a_failure_within_the_second_before_its_worker_is_killed_does_not_count() {
    for says in [FAILURE, "echo Terminated", "echo no >&2"] {
        let sheet = sheet(&["P1"]);
        ended_by_a_second_ctrl_c(&sheet, says);
        assert_eq!(sheet.status()["pending"], 1, "{says}");
    }
    let sheet = sheet(&["P1"]);
    let script = says_when_asked_to_end(FAILURE);
    end(&mut run_script(&sheet, "-j 1 --timeout 1s", &script)).with(1);
    let (status, message) = outcome(&sheet, "P1");
    assert_eq!(status, "ERROR");
    assert!(message.starts_with("timed out after 1s"), "{message}");
}

#[test]
fn a_chatty_stderr_blocks_no_worker() {
    let sheet = sheet(&["P1", "P2"]);
    let script = format!(
        "while read -r request; do {ANSWER}; head -c 300000 /dev/zero | tr '\\0' x >&2; done"
    );
    end(&mut run_script(&sheet, "-j 1 -q", &script)).with(0);
}

#[test]
fn an_answer_without_a_line_end_counts_when_its_worker_ends_or_its_time_is_up() {
    const ASKED: &str = "read -r request; echo asked >> log; printf '{\"id\":%s,\"updates\":{\"ATTACHMENTS_FOUND\":5}}' \"$(echo $request | sed 's/.*\"id\":\\([0-9]*\\).*/\\1/')\"";
    for (options, then) in [("-j 1", ""), ("-j 1 --timeout 1s", "; sleep 60")] {
        let sheet = sheet(&["P1"]);
        end(&mut run_script(&sheet, options, &format!("{ASKED}{then}"))).with(0);
        assert_eq!(sheet.lines("log"), ["asked"], "{options}");
        assert_eq!(sheet.cell("P1", "ATTACHMENTS_FOUND"), "5");
        assert_eq!(outcome(&sheet, "P1"), completed());
    }
}

/// Answers each request; `$id` is that of the last one.
const ANSWERS: &str = r#"while read -r line; do id=${line#*:}; id=${id%%,*}; echo "{\"id\":$id,\"updates\":{}}"; done; "#;

#[test]
fn workers_that_do_not_end_are_killed_together() {
    let rows: Vec<_> = (1..=8).map(|row| format!("P{row}")).collect();
    let sheet = sheet(&rows.iter().map(String::as_str).collect::<Vec<_>>());
    let hang =
        format!("trap '' TERM; {ANSWERS} echo >> over; while [ -e $PWD ]; do sleep 0.1; done");
    let run = Running::start(&mut run_script(&sheet, "-j 8", &hang));
    wait_until("their stdin is closed", || !sheet.lines("over").is_empty());
    let begun = std::time::Instant::now();
    run.signal(Signal::INT);
    run.wait_until_it_says("stopping");
    run.signal(Signal::INT);
    let ended = run.end();
    let took = begun.elapsed().as_secs_f64();
    assert!(took < 4.0, "{took}: {ended:?}");
    assert!(
        ended
            .stderr
            .contains("a worker did not end when its stdin was closed"),
        "{ended:?}"
    );
}

#[test]
fn the_time_of_a_run_is_that_of_its_workers_as_well() {
    let sheet = sheet(&["P1"]);
    let slow = format!("{ANSWERS} sleep 2");
    let ended = end(&mut run_script(&sheet, "-j 1", &slow)).with(0);
    let (_, time) = ended.stderr.split_once(" skipped in ").unwrap();
    let seconds: f64 = time.split(' ').next().unwrap().parse().unwrap();
    assert!(seconds >= 2.0, "{ended:?}");
}

#[test]
fn a_third_signal_ends_the_run_while_its_workers_are_ended() {
    let sheet = TempSheet::pending(1);
    let deaf = r#"trap '' TERM; echo $$ > pids; read request; id=${request#\{\"id\":}
        echo "{\"id\":${id%%,*},\"updates\":{\"SUPPLIER\":\"x\"}}"; : > answered; hang"#;
    let run = Running::start(&mut sheet.run("-j 1 --worker-protocol jsonl", deaf));
    wait_until("it has answered", || {
        sheet.folder().join("answered").exists()
    });
    for said in ["once more kills them", "once more ends tickoff at once"] {
        run.signal(Signal::INT);
        run.wait_until_it_says(said);
    }
    run.signal(Signal::INT);
    let ended = run.end().with(130);
    assert!(!ended.stderr.contains(" done, "), "{ended:?}");
    wait_until("the worker is gone", || !is_alive(&sheet.lines("pids")[0]));
}

/// At once, when it is asked further, and when it ends.
const ANSWERS_TWICE: &str = r#"again() { echo "{\"id\":$2,\"updates\":{\"SUPPLIER\":\"$1\"}}"; }
    while read -r request; do
        id=${request#*:}; id=${id%%,*}; answer="{\"id\":$id,\"updates\":{}}"
        [ -z "$late" ] || again late $late; late=
        case $request in
            *'"P1"'*) printf '%s\n%s\n' "$answer" "$(again twice $id)";;
            *'"P2"'*) echo "$answer"; late=$id;;
            *) echo "$answer"; last=$id;;
        esac
    done
    [ -z "$last" ] || again last $last"#;

#[test]
fn an_answer_to_a_request_that_nobody_made_is_kept_with_the_key_that_was_asked_for() {
    let sheet = sheet(&["P1"]);
    let script = r#"while read -r line; do
        id=${line#*\"id\":}; id=${id%%,*}
        [ -e once ] && echo '{"id":'$id',"updates":{"SUPPLIER":"Acme"}}' && continue
        : > once; echo '{"id":4711,"updates":{"SUPPLIER":"of another"}}'
    done"#;
    let ended = end(&mut run_script(&sheet, "-j 1", script)).with(0);
    assert!(ended.stderr.contains("one that was not made: that is kept beside the backups, and the worker is replaced key=P1\n"), "{ended:?}");
    assert_eq!(sheet.cell("P1", "SUPPLIER"), "Acme");
    let [answer] = &sheet.answers()[..] else {
        panic!("{:?}", sheet.answers());
    };
    assert!(
        std::fs::read_to_string(answer)
            .unwrap()
            .contains("of another")
    );
}

#[test]
fn what_a_worker_answers_a_second_time_is_kept_beside_the_backups_and_said() {
    let sheet = sheet(&["P1", "P2", "P3"]);
    let ended = end(&mut run_script(&sheet, "-j 1", ANSWERS_TWICE)).with(1);
    for po in ["P1", "P2", "P3"] {
        assert_eq!(outcome(&sheet, po), completed());
        assert_eq!(sheet.cell(po, "SUPPLIER"), "Acme");
        let said = format!(
            "a worker answered a request a second time, or one that was not made: that is kept beside the backups, and the worker is replaced key={po}\n"
        );
        assert!(ended.stderr.contains(&said), "{ended:?}");
    }
    let unplaced = sheet.unplaced();
    assert!(
        unplaced.starts_with("PO_NUMBER;RAW_ANSWER\nP1;"),
        "{unplaced}"
    );
    assert!(unplaced.contains("twice"), "{unplaced}");
    let answers = sheet.answers();
    let answers: Vec<_> = answers
        .iter()
        .map(|path| std::fs::read_to_string(path).unwrap())
        .collect();
    for text in ["late", "last"] {
        assert!(
            answers.iter().any(|answer| answer.contains(text)),
            "{answers:?}"
        );
    }
}
