//! `tickoff watch`: a run is seen from outside while it is going on.

use std::fs;

use rustix::process::{Pid, Signal, kill_process};

use crate::command_line::{Running, end, wait_until};
use crate::fixture::TempSheet;
use crate::printed::terminal::Terminal;

#[test]
fn a_run_is_watched_to_its_end() {
    let sheet = TempSheet::pending(3);
    let script = "[ $TICKOFF_PO = PO0 ] || await go";
    let run = Running::start(&mut sheet.run("-j 2", script));
    let told = || fs::read_to_string(sheet.folder().join(".input.csv.session")).unwrap_or_default();
    wait_until("the run tells of its workers", || {
        told().contains("\"po\":\"PO2\"")
    });

    let pid = sheet.status()["session"]["pid"].clone();
    assert_eq!(pid, run.id());
    let watch = Running::start(&mut sheet.tickoff("watch"));
    wait_until("it is shown", || {
        watch.stdout().contains("1 of 3: 1 done, 0 errors")
    });
    fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
    let ended = watch.end().with(0);
    assert!(
        ended.stdout.contains("no session is going on\ntotal"),
        "{ended:#?}"
    );
    assert!(ended.stdout.contains("\ncompleted       3"), "{ended:#?}");
}

#[test]
fn who_watches_sees_what_a_run_waits_for() {
    let sheet = TempSheet::pending(3);
    let script = "printf 'retry_after=3600\nfor=all\n' > $TICKOFF_RESULT; exit 75";
    let run = Running::start(&mut sheet.run("-j 1", script));
    let told = || fs::read_to_string(sheet.folder().join(".input.csv.session")).unwrap_or_default();
    wait_until("the run tells that it waits", || {
        told().contains("\"held_until\":\"")
    });
    let watch = Running::start(&mut sheet.tickoff("watch"));
    wait_until("it is shown", || {
        let shown = watch.stdout();
        shown.contains("; a job asked all to wait, the next start is in ")
            && shown.contains("; 1 waits for another attempt, the next in ")
    });
    run.signal(Signal::INT);
    run.end().with(130);
    watch.end().with(0);
}

#[test]
fn without_a_run_the_state_of_the_sheet_is_shown() {
    let sheet = TempSheet::pending(2);
    let ended = end(&mut sheet.tickoff("watch")).with(0);
    assert!(
        ended.stdout.starts_with("no session is going on\ntotal"),
        "{ended:#?}"
    );
    assert!(sheet.leftovers().is_empty());
}

#[test]
fn a_run_that_was_killed_is_not_going_on() {
    let sheet = TempSheet::pending(2);
    let run = Running::start(&mut sheet.run("-j 1", "touch begun; hang"));
    wait_until("the job has begun", || {
        sheet.folder().join("begun").exists()
    });
    run.kill();
    let ended = end(&mut sheet.tickoff("watch")).with(0);
    assert!(
        ended.stdout.starts_with("no session is going on"),
        "{ended:#?}"
    );
}

#[test]
fn a_second_session_is_told_who_runs_however_much_that_one_tells() {
    let sheet = TempSheet::pending(60);
    let run = Running::start(&mut sheet.run("-j 50", "await go"));
    let told = || fs::read_to_string(sheet.folder().join(".input.csv.session")).unwrap_or_default();
    wait_until("the run tells much of itself", || told().len() > 4096);
    let refused = end(&mut sheet.run("", "true")).with(4);
    assert!(
        refused
            .stderr
            .contains(&format!("process {} on ", run.id())),
        "{refused:#?}"
    );
    fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
}

/// With Ctrl-S; what it draws meanwhile is read by nobody.
#[test]
fn on_a_terminal_that_was_stopped_it_ends_at_a_signal_and_leaves_the_terminal_as_it_was() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143)] {
        let sheet = TempSheet::pending(2);
        let run = Running::start(&mut sheet.run("-j 1", "touch begun; hang"));
        wait_until("the job has begun", || {
            sheet.folder().join("begun").exists()
        });
        let script = "echo $$ > watch.new; mv watch.new watch; exec \"$0\" \"$@\"";
        let mut watch = Terminal::of_shell(script, &sheet.tickoff("watch"));
        wait_until("the run is shown", || {
            watch.rows().concat().contains("0/2") && !watch.echoes()
        });
        watch.press(b"\x13");
        std::thread::sleep(std::time::Duration::from_secs(1));
        let pid = sheet.lines("watch").concat().parse().unwrap();
        kill_process(Pid::from_raw(pid).unwrap(), signal).unwrap();
        watch.end(code);
        run.kill();
    }
}
