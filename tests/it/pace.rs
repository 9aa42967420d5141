//! How fast a run goes: `--rate`, and the waits that jobs ask for.
//!
//! Each time that is looked at is a lower bound, counted from before the run began. What would wait for an hour
//! if a wait were not cut short, or not taken, shows by the test's own patience.

use std::time::{Duration, Instant};

use rustix::process::Signal;
use serde_json::Value;

use crate::command_line::{Running, end, wait_until};
use crate::fixture::TempSheet;

/// The events of a run of that kind.
fn events(sheet: &TempSheet, kind: &str) -> Vec<Value> {
    let lines = sheet.lines("ev");
    let events = lines.iter().map(|line| serde_json::from_str(line).unwrap());
    events
        .filter(|event: &Value| event["event"] == kind)
        .collect()
}

#[test]
fn starts_are_spaced_over_all_workers_and_other_attempts_count() {
    let sheet = TempSheet::pending(8);
    let script =
        "date +%s%N >> starts; [ $TICKOFF_ATTEMPT = 2 ] || [ $TICKOFF_KEY != PO0 ] || exit 75";
    let began = Instant::now();
    end(&mut sheet.run("-j 8 --rate 10/s --backoff 0s", script)).with(0);
    assert!(began.elapsed() >= Duration::from_millis(800));
    assert_eq!(sheet.lines("starts").len(), 9);
    assert_eq!(sheet.status()["completed"], 8);
}

#[test]
fn a_row_that_is_skipped_takes_no_place_of_the_rate() {
    let sheet = TempSheet::pending(4);
    let script = "for PO in PO1 PO2 PO3; do \"$TICKOFF\" set input.csv $PO STATUS=COMPLETED; done";
    end(&mut sheet.run("-j 1 --rate 1/h", script)).with(0);
    assert_eq!(sheet.status()["completed"], 4);
}

#[track_caller]
fn check_ctrl_c_ends_the_wait(options: &str, script: &str, says: &str) {
    let sheet = TempSheet::pending(3);
    let run = Running::start(&mut sheet.run(options, script));
    wait_until("a job has run", || sheet.lines("log").len() == 1);
    run.wait_until_it_says(says);
    run.signal(Signal::INT);
    run.end().with(130);
    assert_eq!(sheet.lines("log").len(), 1);
    assert_eq!(sheet.leftovers(), ["log"]);
}

#[test]
fn ctrl_c_does_not_wait_for_the_next_start() {
    check_ctrl_c_ends_the_wait("-j 2 --rate 1/h", "echo x >> log", "");
}

#[test]
fn ctrl_c_does_not_wait_for_what_a_job_asked_of_all() {
    check_ctrl_c_ends_the_wait(
        "-j 1",
        "echo x >> log; printf 'retry_after=3600\\nfor=all\\n' > $TICKOFF_RESULT; exit 75",
        "attempt 1 is to be repeated in 3600s, and nothing is started before",
    );
}

#[test]
fn a_halt_does_not_wait_for_the_next_start() {
    let sheet = TempSheet::pending(3);
    end(&mut sheet.run("-j 2 --rate 1/h --halt soon,fail=1", "exit 1")).with(5);
    assert_eq!(sheet.status()["pending"], 2);
}

/// A run in which PO0 leaves that answer and is tried again; what the event of that says.
#[track_caller]
fn check_asks(answer: &str, wait_ms: u64, for_all: bool) {
    let sheet = TempSheet::pending(2);
    let script = format!(
        "[ $TICKOFF_ATTEMPT = 2 ] && exit; [ $TICKOFF_KEY = PO0 ] || exit 0; printf '%s\\n' '{answer}' > $TICKOFF_RESULT; exit 75"
    );
    end(&mut sheet.run("-j 1 --backoff 1h --events ev", &script)).with(0);
    let postponed = events(&sheet, "attempt_postponed");
    assert_eq!(postponed.len(), 1, "{answer}");
    assert_eq!(
        (&postponed[0]["wait_ms"], &postponed[0]["for_all"]),
        (&wait_ms.into(), &for_all.into()),
        "{answer}"
    );
    assert!(!sheet.text().contains("retry_after"));
    let started = events(&sheet, "attempt_started");
    let order: Vec<_> = started.iter().map(|event| event["key"].as_str()).collect();
    let want = match for_all {
        true => ["PO0", "PO0", "PO1"],
        false => ["PO0", "PO1", "PO0"],
    };
    assert_eq!(order, want.map(Some), "{answer}");
}

#[test]
fn a_command_says_when_it_is_to_be_tried_again() {
    check_asks("retry_after=0.5", 500, false);
    check_asks(
        r#"{"retry_after": 0.5, "STATUS": "COMPLETED", "x": {"y": 1}}"#,
        500,
        false,
    );
    check_asks("retry_after=0.05\nfor=all", 50, true);
}

#[test]
fn what_a_command_asks_for_is_no_cell_if_no_attempt_follows() {
    for (options, code) in [("--retries 0", 75), ("--retries 0 --retry-on 7", 7)] {
        let sheet = TempSheet::pending(1);
        let script = format!(
            "printf 'retry_after=3600\\nfor=all\\nSUPPLIER=Globex\\n' > $TICKOFF_RESULT; exit {code}"
        );
        end(&mut sheet.run(options, &script)).with(1);
        assert_eq!(sheet.cell("PO0", "STATUS"), "ERROR");
        assert_eq!(sheet.cell("PO0", "SUPPLIER"), "Globex");
        let text = sheet.text();
        assert!(
            !text.contains("retry_after") && !text.contains(";for"),
            "{text}"
        );
    }
}

#[test]
fn of_a_command_that_asks_for_no_other_attempt_they_are_cells_like_any_other() {
    let sheet = TempSheet::pending(1);
    let script = "printf 'retry_after=3600\\nfor=all\\n' > $TICKOFF_RESULT";
    end(&mut sheet.run("", script)).with(0);
    assert_eq!(sheet.cell("PO0", "retry_after"), "3600");
    assert_eq!(sheet.cell("PO0", "for"), "all");
}

#[test]
fn a_wait_that_cannot_be_understood_is_said_and_the_backoff_holds() {
    let sheet = TempSheet::pending(1);
    let script = "[ $TICKOFF_ATTEMPT = 2 ] && exit; echo 'retry_after=so\u{1b}on' > $TICKOFF_RESULT; exit 75";
    let ended = end(&mut sheet.run("--backoff 0s", script)).with(0);
    let says = "retry_after is no number of seconds, and the backoff is waited: so\\u{1b}on";
    assert!(ended.stderr.contains(says), "{ended:?}");
}

#[test]
fn a_worker_says_when_it_is_to_be_asked_again() {
    let sheet = TempSheet::pending(2);
    let script = r#"
        while read -r line; do
            id=${line#*:}; id=${id%%,*}
            case $line in
            *'"key":"PO0","attempt":1'*)
                echo "{\"id\":$id,\"error\":\"429\",\"retryable\":true,\"retry_after\":0.05,\"for\":\"all\"}" ;;
            *) echo "{\"id\":$id,\"updates\":{}}" ;;
            esac
        done"#;
    let options = "-j 1 --worker-protocol jsonl --backoff 1h --events ev";
    end(&mut sheet.run(options, script)).with(0);
    let postponed = events(&sheet, "attempt_postponed");
    assert_eq!(postponed[0]["wait_ms"], 50);
    assert_eq!(postponed[0]["for_all"], true);
    assert_eq!(sheet.status()["completed"], 2);
}
