//! What a run says at its end: its counts, and the errors that several rows have.

use serde_json::{Value, json};

use crate::command_line::end;
use crate::fixture::TempSheet;

const FAILS: &str = "case $TICKOFF_PO in PO0) exit 0;; PO1) echo odd >&2;; *) echo \"$TICKOFF_PO: HTTP 503 after $$ ms\" >&2;; esac; exit 1";

#[test]
fn errors_that_several_rows_have_are_told_together() {
    let sheet = TempSheet::pending(5);
    let ended = end(&mut sheet.run("-j 1 --show none", FAILS)).with(1);
    let said: Vec<_> = ended
        .stderr
        .lines()
        .filter_map(|line| line.split_once(" INFO ").map(|(_, said)| said))
        .collect();
    assert!(said[0].starts_with("1 done, 4 errors, "), "{said:?}");
    assert_eq!(
        said[1..3],
        [
            "3 × exit 1: ‹key›: HTTP 503 after ‹n› ms, e.g. PO2, PO3",
            "and 1 more kind of error",
        ]
    );
    // In a pipe each failure keeps its time and its whole message.
    let failed = "WARN failed key=PO2 reason=exit 1: PO2: HTTP 503 after ";
    let line = ended.stderr.lines().find(|line| line.contains(failed));
    let (time, _) = line.unwrap().split_once(' ').unwrap();
    assert!(chrono::DateTime::parse_from_rfc3339(time).is_ok(), "{time}");
}

#[test]
fn a_json_log_has_the_summary_as_fields() {
    let sheet = TempSheet::pending(5);
    let ended = end(&mut sheet.run("-j 1 --show none --log-format json", FAILS)).with(1);
    let lines = ended.stderr.lines();
    let mut lines: Vec<Value> = lines
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let summary = lines.iter().position(|line| line["completed"].is_number());
    let mut common = lines.remove(summary.unwrap() + 1);
    let mut summary = lines.remove(summary.unwrap());
    for line in [&mut summary, &mut common] {
        for varies in ["timestamp", "level", "message", "duration_ms"] {
            line.as_object_mut().unwrap().remove(varies);
        }
    }
    assert_eq!(
        summary,
        json!({
            "completed": 1, "errors": 4, "no_attachments": 0, "other": 0, "skipped": 0, "not_run": 0,
            "retried": 0, "not_persisted": 0, "halted": false,
        })
    );
    let error = "exit 1: ‹key›: HTTP 503 after ‹n› ms";
    assert_eq!(
        common,
        json!({ "rows": 3, "error": error, "example": "PO2" })
    );
}

#[test]
fn long_messages_that_differ_in_numbers_and_addresses_are_told_together() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP22\nP333\nP4444\nP55555\n");
    let job = "n=${TICKOFF_KEY#P}; printf 'connection to 10.0.0.%s failed: ' $n >&2; for i in $(seq 40); do printf 'reason ' >&2; done; exit 3";
    let ended = end(&mut sheet.run("-j 1 --show none", job)).with(1);
    let told = "5 × exit 3: connection to ‹n› failed: reason reason ";
    assert!(ended.stderr.contains(told), "{ended:?}");
    assert!(!ended.stderr.contains("more kind"), "{ended:?}");
    let status = end(&mut sheet.tickoff("status")).with(0).stdout;
    assert!(
        status.contains("5  exit 3: connection to ‹n› failed"),
        "{status}"
    );
}
