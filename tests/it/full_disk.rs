//! A disk that becomes full while a session runs: the run does not die, results wait, and are
//! written once there is room.

use std::fs::{File, remove_file};
use std::io::{PipeWriter, Write, pipe};
use std::thread::sleep;
use std::time::Duration;

use rustix::process::Signal;

use crate::command_line::{Running, end, wait_until};
use crate::disk::{Disk, Format};
use crate::fixture::TempSheet;

const ROWS: usize = 400;

fn contents() -> String {
    let mut text = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\n".to_owned();
    for i in 0..ROWS {
        text += &format!("PO{i};PENDING;;;{}\n", "x".repeat(80));
    }
    text
}

/// Fills the disk once, before any result. A filesystem that allocates late keeps some back at first.
const FILL: &str = "echo $TICKOFF_PO >> $LOG; \
     [ -e $LOG.full ] || { touch $LOG.full; \
     for i in 1 2 3; do cat /dev/zero >> filler 2> /dev/null; sync -f filler; done; touch $LOG.done; }; \
     await $LOG.done;";
/// A result of which few fit into the space that the journal has reserved.
const LONG: &str = "printf '{\"note\":\"%s\"}' $NOTE > $TICKOFF_RESULT";

/// A run on a disk that its first job fills.
struct Run<'s> {
    sheet: &'s TempSheet,
    outside: tempfile::TempDir,
}

impl Run<'_> {
    fn on(sheet: &TempSheet) -> Run<'_> {
        Run {
            sheet,
            outside: tempfile::tempdir().unwrap(),
        }
    }

    fn start(&self, options: &str, script: &str) -> Running {
        let mut command = self.sheet.run(options, script);
        command
            .env("LOG", self.outside.path().join("log"))
            .env("TMPDIR", self.outside.path())
            .env("NOTE", note());
        Running::start(&mut command)
    }

    /// POs that a job was run for, in their order.
    fn log(&self) -> Vec<String> {
        let text = std::fs::read_to_string(self.outside.path().join("log")).unwrap();
        text.lines().map(str::to_owned).collect()
    }

    fn make_room(&self) {
        std::fs::remove_file(self.sheet.folder().join("filler")).unwrap();
    }
}

fn note() -> String {
    "y".repeat(30_000)
}

/// Runs until results wait for room, and a moment longer.
#[track_caller]
fn check_results_wait_for_room(sheet: &TempSheet) {
    let run = Run::on(sheet);
    let mut running = run.start("-j 2 --limit 20", &format!("{FILL} {LONG}"));
    running.wait_until_it_says("results wait until they can be written");
    wait_until("no PO is begun any more", || {
        let begun = run.log().len();
        sleep(Duration::from_millis(700));
        run.log().len() == begun
    });
    assert!(running.is_running());
    assert!(run.log().len() < 20, "results do not wait");
    assert_eq!(sheet.text().lines().count(), ROWS + 1);
    run.make_room();
    let ended = running.end().with(0);
    assert!(
        ended.stderr.contains("no result waits any more"),
        "{ended:?}"
    );
    assert_eq!(
        ended.stderr.matches("results wait until").count(),
        1,
        "{ended:?}"
    );
    assert!(ended.stderr.contains("needed_bytes="), "{ended:?}");

    let ran = run.log();
    assert_eq!(ran.len(), 20, "none ran twice");
    let table = sheet.table();
    for po in ran {
        assert_eq!(table[&po]["STATUS"], "COMPLETED");
        assert_eq!(table[&po]["note"], note());
    }
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn results_wait_for_room_on_tmpfs() {
    if let Some(sheet) = TempSheet::on_small_disk("4m", contents()) {
        check_results_wait_for_room(&sheet);
    }
}

#[test]
fn results_wait_for_room_on_ext4() {
    if let Some(disk) = Disk::new(Format::Ext4, "") {
        check_results_wait_for_room(&TempSheet::on(&disk.path(), contents()));
    }
}

/// The signals stop a run whose results wait; the next run finishes the work.
#[track_caller]
fn check_stopped(signals: &[Signal]) {
    let Some(sheet) = TempSheet::on_small_disk("4m", contents()) else {
        return;
    };
    let run = Run::on(&sheet);
    let mut running = run.start("-j 1 --quiet", &format!("{FILL} {LONG}"));
    running.wait_until_it_says("results wait until they can be written");
    for (i, &signal) in signals.iter().enumerate() {
        wait_until("the signal before it is heeded", || {
            i == 0 || !running.is_running() || {
                sleep(Duration::from_millis(100));
                true
            }
        });
        running.signal(signal);
    }
    let ended = running.end().with(6);
    let ran = run.log();
    let (unsaved, saved) = ran.split_last().unwrap();
    let said = sheet.without_folder(&ended.stderr);
    let (_, kept) = said
        .split_once(&format!(
            "tickoff: the results of {unsaved} are not saved in the sheet, but in "
        ))
        .unwrap_or_else(|| panic!("{said}"));
    let (kept, then) = kept.split_once(": ").unwrap();
    assert!(
        then.starts_with("once the cause is gone, the next tickoff run does these jobs again\n"),
        "{said}"
    );
    let kept = std::fs::read_to_string(kept).unwrap();
    let kept = kept.lines().nth(1).unwrap();
    assert!(kept.starts_with(&format!("{unsaved};{};COMPLETED;", note())));
    assert!(
        said.ends_with("tickoff: nothing is lost: once the cause is gone, the next tickoff run, apply, init or set on this file finishes the write, or says what has to be done before\n"),
        "{said}"
    );
    let status = sheet.status();
    assert_eq!(status["completed"], saved.len());
    assert_eq!(status["pending"], ROWS - saved.len());

    run.make_room();
    let mut next = sheet.run("-j 1 --quiet --limit 3", "echo $TICKOFF_PO >> $LOG; true");
    end(next.env("LOG", run.outside.path().join("log"))).with(0);
    assert_eq!(run.log()[ran.len()], *unsaved, "it is processed again");
    for po in saved {
        assert_eq!(sheet.cell(po, "note"), note());
    }
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn two_interruptions_give_up_what_waits_and_say_so() {
    check_stopped(&[Signal::INT, Signal::INT]);
}

#[test]
fn one_termination_does_after_a_last_chance() {
    check_stopped(&[Signal::TERM]);
}

/// A large result that is none.
const LARGE: &str = "head -c 2000000 /dev/zero | tr '\\0' a > $TICKOFF_RESULT";

#[track_caller]
fn is_large(answer: &std::path::Path) {
    assert!(std::fs::read(answer).unwrap() == [b'a'; 2_000_000]);
}

#[test]
fn a_large_answer_that_is_none_waits_for_room_and_is_kept_whole() {
    let Some(sheet) = TempSheet::on_small_disk("8m", contents()) else {
        return;
    };
    let run = Run::on(&sheet);
    let running = run.start("-j 1 --limit 1", &format!("{FILL} {LARGE}"));
    running.wait_until_it_says("a large answer waits until it can be kept");
    run.make_room();
    running.end().with(1);
    let answers = sheet.answers();
    is_large(&answers[0]);
    assert_eq!(answers.len(), 1);
    let said = sheet.cell("PO0", "ERROR_MESSAGE");
    assert!(
        said.ends_with(&format!("it is kept in {}", answers[0].display())),
        "{said}"
    );
}

#[test]
fn a_large_answer_whose_wait_is_given_up_is_kept_elsewhere() {
    let Some(sheet) = TempSheet::on_small_disk("8m", contents()) else {
        return;
    };
    let run = Run::on(&sheet);
    let running = run.start("-j 1 --limit 1", &format!("{FILL} {LARGE}"));
    running.wait_until_it_says("a large answer waits until it can be kept");
    running.signal(Signal::INT);
    running.wait_until_it_says("stopping");
    running.signal(Signal::INT);
    let ended = running.end();
    let (_, path) = ended
        .stderr
        .split_once("kept in the folder for temporary files")
        .and_then(|(_, said)| said.split_once(" kept="))
        .unwrap_or_else(|| panic!("{ended:?}"));
    is_large(path.lines().next().unwrap().as_ref());
}

#[test]
fn acknowledgements_go_on_in_the_reserved_space() {
    let Some(sheet) = TempSheet::on_small_disk("4m", contents()) else {
        return;
    };
    let run = Run::on(&sheet);
    let ended = run.start("-j 4 --quiet", FILL).end().with(6);
    assert!(
        ended.stderr.contains("nothing is lost") && !ended.stderr.contains("not saved"),
        "{ended:?}"
    );
    assert_eq!(run.log().len(), ROWS);
    assert_eq!(sheet.status()["completed"], ROWS);
    run.make_room();
    end(sheet.tickoff("set").args(["PO7", "note=n"])).with(0);
    assert!(
        sheet
            .table()
            .values()
            .all(|row| row["STATUS"] == "COMPLETED")
    );
}

#[test]
fn a_result_that_does_not_fit_there_keeps_no_other_from_it() {
    let Some(sheet) = TempSheet::on_small_disk("4m", contents()) else {
        return;
    };
    let run = Run::on(&sheet);
    // The reserved space holds two long results and many short ones.
    let script = format!("{FILL} case $TICKOFF_PO in PO0|PO1|PO2) {LONG};; esac");
    let running = run.start("-j 2 --limit 40 --quiet", &script);
    wait_until("all but one are acknowledged", || {
        sheet.status()["completed"] == 39
    });
    running.wait_until_it_says("results wait until they can be written");
    run.make_room();
    running.end().with(0);
    assert_eq!(run.log().len(), 40);
    for po in ["PO0", "PO1", "PO2"] {
        assert_eq!(sheet.cell(po, "note"), note());
    }
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn a_disk_that_is_gone_ends_the_run_and_names_what_is_not_saved() {
    let Some(disk) = Disk::new(Format::Ext4, "") else {
        return;
    };
    let sheet = TempSheet::on(&disk.path(), contents());
    let run = Run::on(&sheet);
    let running = run.start("-j 2 --quiet", "echo $TICKOFF_PO >> $LOG; sleep 0.05");
    wait_until("some are done", || {
        run.outside.path().join("log").exists() && run.log().len() > 6
    });
    let before = run.log().len();
    disk.cut_power();
    let ended = running.end().with(6);
    let ran = run.log();
    assert!(ran.len() <= before + 4, "it goes on in vain: {ran:?}");
    let (_, unsaved) = ended.stderr.split_once("the results of ").unwrap();
    let (unsaved, kept) = unsaved
        .split_once(" are not saved in the sheet, but in ")
        .unwrap();
    let kept = std::fs::read_to_string(kept.split_once(": ").unwrap().0).unwrap();
    for po in unsaved.split(", ") {
        assert!(ran.contains(&po.to_owned()), "{unsaved}");
        assert!(kept.contains(&format!("\n{po};COMPLETED;")), "{kept}");
    }
}

/// An `apply` that has taken a result before the disk became full.
struct Apply {
    sheet: TempSheet,
    outside: tempfile::TempDir,
    lines: PipeWriter,
    running: Running,
}

impl Apply {
    fn on_a_full_disk() -> Option<Apply> {
        let sheet = TempSheet::on_small_disk("4m", contents())?;
        let outside = tempfile::tempdir().unwrap();
        let (stdin, lines) = pipe().unwrap();
        let mut command = sheet.tickoff("apply");
        command.arg("--ack").env("TMPDIR", outside.path());
        let running = Running::start(command.stdin(stdin));
        let mut apply = Apply {
            sheet,
            outside,
            lines,
            running,
        };
        apply.send(0, "first");
        wait_until("it is answered", || apply.running.stdout().contains("true"));
        let mut filler = File::create(apply.filler()).unwrap();
        while filler.write_all(&[0; 512]).is_ok() {}
        Some(apply)
    }

    fn filler(&self) -> std::path::PathBuf {
        self.sheet.folder().join("filler")
    }

    fn send(&mut self, row: usize, note: &str) {
        let line = format!("{{\"key\":\"PO{row}\",\"updates\":{{\"note\":\"{note}\"}}}}");
        writeln!(self.lines, "{line}").unwrap();
    }

    /// Sends more than there is room for, and then something short.
    fn send_until_results_wait(&mut self) {
        for row in 1..10 {
            self.send(row, &note());
        }
        self.send(9, "later");
        self.running
            .wait_until_it_says("results wait until they can be written");
        sleep(Duration::from_millis(700));
    }
}

#[test]
fn results_of_another_program_wait_for_room_and_stay_in_their_order() {
    let Some(mut apply) = Apply::on_a_full_disk() else {
        return;
    };
    apply.send_until_results_wait();
    assert!(apply.running.is_running());
    remove_file(apply.filler()).unwrap();
    drop(apply.lines);
    let ended = apply.running.end().with(0);
    assert_eq!(ended.stdout.matches("\"durable\":true").count(), 11);
    for row in 1..9 {
        assert_eq!(apply.sheet.cell(&format!("PO{row}"), "note"), note());
    }
    assert_eq!(apply.sheet.cell("PO9", "note"), "later");
    assert_eq!(apply.sheet.leftovers(), [""; 0]);
}

#[test]
fn results_of_another_program_that_are_given_up_are_in_a_file() {
    let Some(mut apply) = Apply::on_a_full_disk() else {
        return;
    };
    apply.send_until_results_wait();
    apply.running.signal(Signal::TERM);
    apply.running.wait_until_it_says("stopping");
    apply.running.signal(Signal::TERM);
    let filler = apply.filler();
    let ended = apply.running.end().with(6);
    let (_, kept) = ended
        .stderr
        .split_once(" are not saved in the sheet, but in ")
        .unwrap_or_else(|| panic!("{ended:?}"));
    let kept = std::fs::read_to_string(kept.split_once(": ").unwrap().0).unwrap();
    remove_file(filler).unwrap();
    end(&mut apply.sheet.tickoff("init")).with(0);
    for row in 1..10 {
        let po = format!("PO{row}");
        let shown = apply.sheet.cell(&po, "note");
        let is_kept = kept.contains(&format!("\n{po};{}\n", note()));
        assert!(shown == note() || is_kept || row == 9, "{po}: {shown}");
    }
    assert!(kept.contains("PO9;later") || apply.sheet.cell("PO9", "note") == "later");
    drop(apply.outside);
}
