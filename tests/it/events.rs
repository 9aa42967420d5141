//! `tickoff run --events`: all that happens, as JSON lines.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::Read;
use std::process::Command;

use serde_json::Value;

use crate::command_line::{end, wait_until};
use crate::fixture::TempSheet;

fn events(sheet: &TempSheet) -> Vec<Value> {
    let lines = sheet.lines("ev");
    lines
        .iter()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// The events with the named fields of each, times and durations aside.
fn told(events: &[Value], fields: &[&str]) -> Vec<String> {
    events
        .iter()
        .map(|event| {
            let shown = fields
                .iter()
                .map(|field| &event[field])
                .filter(|value| !value.is_null());
            let shown: Vec<String> = shown.map(Value::to_string).collect();
            format!("{} {}", event["event"].as_str().unwrap(), shown.join(" "))
                .trim()
                .to_owned()
        })
        .collect()
}

#[test]
fn a_run_is_told_from_its_beginning_to_its_end() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\nP2;\nP3;COMPLETED\n");
    let script = "test $TICKOFF_PO = P2 || exit 0; test $TICKOFF_ATTEMPT = 2 || exit 75; echo no >&2; exit 3";
    end(&mut sheet.run("-j 1 --backoff 0s --events ev", script)).with(1);
    let events = events(&sheet);
    assert_eq!(
        told(
            &events,
            &[
                "total",
                "workers",
                "po",
                "attempt",
                "attempts",
                "status",
                "message",
                "reason",
                "wait_ms",
                "persisted",
                "processed",
                "completed",
                "errors",
                "retried"
            ]
        ),
        [
            "run_started 2 1",
            "attempt_started \"P1\" 1",
            "po_finished 2 \"P1\" 1 \"COMPLETED\" true 1",
            "attempt_started \"P2\" 1",
            "attempt_postponed \"P2\" 1 \"exit 75\" 0",
            "attempt_started \"P2\" 2",
            "po_finished 2 \"P2\" 2 \"ERROR\" \"exit 3: no\" true 2",
            "run_ended 1 1 1",
        ]
    );
    assert!(
        events
            .iter()
            .all(|event| event.get("key") == event.get("po")),
        "{events:?}"
    );
    let session = sheet.backup_names()[0]
        .rsplit_once('_')
        .unwrap()
        .1
        .replace(".csv", "");
    for event in &events {
        assert_eq!(event["session"], session);
        let time = event["time"].as_str().unwrap();
        assert_eq!(
            (time.len(), &time[23..]),
            ("2026-01-05T10:00:00.000Z".len(), "Z")
        );
    }
}

#[test]
fn the_page_names_every_event_and_field() {
    let page =
        std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/events.md")).unwrap();
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\nP3\n");
    let script = "case $TICKOFF_PO in P1) test $TICKOFF_ATTEMPT = 2 || exit 75; await second; exit 1;; *) echo > second; hang;; esac";
    end(&mut sheet.run("-j 2 --halt now,fail=1 --backoff 0s --events ev", script)).with(5);
    let mut names = BTreeSet::new();
    for event in events(&sheet) {
        names.insert(event["event"].as_str().unwrap().to_owned());
        names.extend(event.as_object().unwrap().keys().cloned());
    }
    assert!(
        names.contains("attempt_broken_off") && names.contains("attempt_postponed"),
        "{names:?}"
    );
    for name in names {
        assert!(page.contains(&format!("`{name}`")), "{name}");
    }
}

#[test]
fn a_later_run_goes_on_with_the_file_also_when_there_is_nothing_to_do() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    end(&mut sheet.run("--events ev", "true")).with(0);
    end(&mut sheet.run("--events ev", "true")).with(0);
    assert_eq!(
        told(&events(&sheet), &["total", "completed"]),
        [
            "run_started 1",
            "attempt_started",
            "po_finished 1",
            "run_ended 1",
            "run_started 0",
            "run_ended 0",
        ]
    );
}

#[test]
fn a_run_that_fails_says_why_at_its_end() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    // No backup can be made.
    std::fs::write(sheet.backups(), "").unwrap();
    end(&mut sheet.run("--events ev", "true")).with(3);
    let events = events(&sheet);
    assert_eq!(told(&events, &[]), ["run_started", "run_ended"]);
    assert!(
        events[1]["error"]
            .as_str()
            .unwrap()
            .contains("/backup is there already and "),
        "{:?}",
        events[1]
    );
}

#[test]
fn a_skipped_po_has_no_status() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\nP2;\n");
    let script = "test $TICKOFF_PO = P2 || \"$TICKOFF\" set input.csv P2 STATUS=COMPLETED";
    end(&mut sheet.run("-j 1 --events ev", script)).with(0);
    let events = events(&sheet);
    assert_eq!(
        told(&events, &["po", "attempts", "status", "skipped"])[2..4],
        [
            "po_finished \"P1\" 1 \"COMPLETED\" false",
            "po_finished \"P2\" 0 true"
        ]
    );
}

#[test]
fn a_line_speaks_to_no_terminal_and_holds_the_po_as_it_is() {
    let sheet = TempSheet::new("PO_NUMBER\n\"a\u{1b}[31m\nb\u{202e}\"\n");
    end(&mut sheet.run("--events ev", "true")).with(0);
    for line in sheet.lines("ev") {
        assert_eq!(tickoff::escape(&line), line);
    }
    assert_eq!(events(&sheet)[1]["po"], "a\u{1b}[31m\nb\u{202e}");
}

#[test]
fn stdout_is_the_commands_own() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    let ended = end(&mut sheet.run("--events -", "true")).with(2);
    assert!(
        ended.stderr.contains("name a file or a FIFO"),
        "{}",
        ended.stderr
    );
    assert_eq!(sheet.leftovers(), [""; 0]);
}

mod a_fifo {
    use super::*;

    fn sheet() -> TempSheet {
        let sheet = TempSheet::pending(30);
        let made = Command::new("mkfifo")
            .arg(sheet.folder().join("fifo"))
            .status();
        assert!(made.unwrap().success());
        sheet
    }

    #[test]
    fn gives_its_reader_every_event() {
        let sheet = sheet();
        let path = sheet.folder().join("fifo");
        let (open, opened) = std::sync::mpsc::channel();
        let reader = std::thread::spawn(move || {
            // Opening waits for a writer.
            open.send(()).unwrap();
            let mut said = String::new();
            File::open(path).unwrap().read_to_string(&mut said).unwrap();
            said
        });
        opened.recv().unwrap();
        wait_until("the reader waits for a writer", || {
            rustix::fs::open(
                sheet.folder().join("fifo"),
                rustix::fs::OFlags::WRONLY | rustix::fs::OFlags::NONBLOCK,
                rustix::fs::Mode::empty(),
            )
            .map(|writer| {
                // Kept open until the run has its own.
                let ended = end(&mut sheet.run("--events fifo", "true")).with(0);
                drop(writer);
                assert!(!ended.stderr.contains("lost"), "{}", ended.stderr);
            })
            .is_ok()
        });
        let said = reader.join().unwrap();
        assert_eq!(said.lines().count(), 1 + 2 * 30 + 1);
        assert!(
            said.lines()
                .all(|line| serde_json::from_str::<Value>(line).is_ok())
        );
    }

    #[test]
    fn without_a_reader_stops_nothing_and_says_once_that_events_are_lost() {
        let sheet = sheet();
        let ended = end(&mut sheet.run("--events fifo", "true")).with(0);
        assert_eq!(
            ended.stderr.matches("events are lost").count(),
            1,
            "{}",
            ended.stderr
        );
        assert!(ended.stderr.contains("nobody reads it"), "{}", ended.stderr);
        assert_eq!(sheet.status()["completed"], 30);
    }

    #[test]
    fn whose_reader_goes_away_stops_nothing() {
        let sheet = sheet();
        // The reader takes a line and goes.
        let mut head = Command::new("head")
            .args(["-n", "1"])
            .arg(sheet.folder().join("fifo"))
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let ended =
            end(&mut sheet.run("-j 1 --events fifo", "test $TICKOFF_PO != PO0 || sleep 0.3"))
                .with(0);
        head.wait().unwrap();
        assert_eq!(
            ended.stderr.matches("events are lost").count(),
            1,
            "{}",
            ended.stderr
        );
        assert_eq!(sheet.status()["completed"], 30);
    }
}
