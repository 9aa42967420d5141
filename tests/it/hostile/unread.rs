//! Answers that nobody reads: they take no more than a bounded place, and a signal is heard.

use std::fs::{self, File};
use std::io::Write;
use std::process::{Child, ChildStdin, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::command_line::wait_until;
use crate::fixture::TempSheet;

const SHEET: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;\n";
const SAID: &str = "64 MiB of lines are not answered: no further one is read until they are";

/// An `apply --ack` that is sent lines without end, and whose answers are not read.
struct Unread {
    sheet: TempSheet,
    apply: Child,
    lines: Arc<AtomicUsize>,
}

impl Unread {
    fn start() -> Unread {
        let sheet = TempSheet::new(SHEET);
        let mut apply = sheet.tickoff("apply");
        let stderr = File::create(sheet.folder().join("stderr")).unwrap();
        let mut apply = apply
            .arg("--ack")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(stderr)
            .spawn()
            .unwrap();
        let lines = Arc::new(AtomicUsize::new(0));
        let (stdin, sent) = (apply.stdin.take().unwrap(), Arc::clone(&lines));
        // Ends with the program that reads them.
        thread::spawn(move || send(stdin, &sent));
        let unread = Unread {
            sheet,
            apply,
            lines,
        };
        wait_until("it says that it reads no further", || {
            unread.said().contains(SAID)
        });
        unread
    }

    fn said(&self) -> String {
        fs::read_to_string(self.sheet.folder().join("stderr")).unwrap()
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.apply.kill().ok();
        self.apply.wait().ok();
    }
}

fn send(mut stdin: ChildStdin, sent: &AtomicUsize) {
    let id = "x".repeat(1 << 20);
    let first = "{\"po_number\":\"P1\",\"updates\":{\"STATUS\":\"COMPLETED\"}}\n".to_owned();
    let others = format!("{{\"po_number\":\"P1\",\"updates\":{{}},\"operation_id\":\"{id}\"}}\n");
    for line in std::iter::once(&first).chain(std::iter::repeat(&others)) {
        if stdin.write_all(line.as_bytes()).is_err() {
            return;
        }
        sent.fetch_add(1, Ordering::SeqCst);
    }
}

#[test]
fn no_further_line_is_read_and_memory_stays_bounded() {
    let unread = Unread::start();
    let lines = unread.lines.load(Ordering::SeqCst);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(unread.lines.load(Ordering::SeqCst), lines);
    let status = fs::read_to_string(format!("/proc/{}/status", unread.apply.id())).unwrap();
    let most = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let most: u64 = most
        .unwrap()
        .trim()
        .trim_end_matches(" kB")
        .parse()
        .unwrap();
    assert!(most < 150_000, "{most} kB");
    assert_eq!(unread.said().matches(SAID).count(), 1);
}

#[test]
fn a_signal_ends_it_and_what_was_durable_stays() {
    let mut unread = Unread::start();
    let began = Instant::now();
    kill_process(Pid::from_child(&unread.apply), Signal::TERM).unwrap();
    wait_until("it ends", || unread.apply.try_wait().unwrap().is_some());
    let status = unread.apply.wait().unwrap();
    assert!(began.elapsed() < Duration::from_secs(10));
    assert_eq!(status.code(), Some(143));
    assert!(
        unread.said().contains("nobody reads the answers"),
        "{}",
        unread.said()
    );
    let cells = unread.sheet.get("P1")["cells"].clone();
    assert_eq!(cells["STATUS"], "COMPLETED");
}

#[test]
fn who_begins_to_read_gets_every_answer() {
    let mut unread = Unread::start();
    let before = unread.lines.load(Ordering::SeqCst);
    let mut answers = std::io::BufReader::new(unread.apply.stdout.take().unwrap());
    for number in 1..=before + 2 {
        let mut answer = String::new();
        std::io::BufRead::read_line(&mut answers, &mut answer).unwrap();
        let beginning = format!("{{\"line\":{number},");
        assert!(answer.starts_with(&beginning), "{:.80}", answer);
        assert!(answer.ends_with("\"durable\":true}\n"), "{number}");
    }
}

#[test]
fn the_first_signal_ends_an_apply_of_which_only_unread_messages_are_left() {
    let sheet = TempSheet::new(SHEET);
    let mut apply = sheet.tickoff("apply");
    let (reader, writer) = std::io::pipe().unwrap();
    let mut child = apply.stdin(Stdio::piped()).stderr(writer).spawn().unwrap();
    drop(apply);
    let mut stdin = child.stdin.take().unwrap();
    stdin
        .write_all(b"no line\n".repeat(3_000).as_slice())
        .unwrap();
    let last = b"{\"po_number\":\"P1\",\"updates\":{\"STATUS\":\"COMPLETED\"}}\n";
    stdin.write_all(last).unwrap();
    drop(stdin);
    wait_until("all is applied", || {
        let status = sheet.status();
        status["completed"] == 1 && status["session"].is_null()
    });
    thread::sleep(Duration::from_millis(300));
    assert!(child.try_wait().unwrap().is_none(), "it is not read");
    kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
    wait_until("it ends", || child.try_wait().unwrap().is_some());
    drop(reader);
}
