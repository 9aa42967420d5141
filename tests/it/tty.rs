//! `run --tty`: a command has the terminal, as from a shell.

use std::fs;
use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::command_line::{end, is_alive, wait_until};
use crate::fixture::TempSheet;
use crate::printed::terminal::Terminal;

/// Waits until the command has the terminal, which is given to it when it has been started.
const HAVE_IT: &str = "until [ $(ps -o tpgid= -p $$) -eq $$ ]; do sleep 0.01; done";

#[test]
fn a_command_asks_on_the_terminal_and_is_answered() {
    let sheet = TempSheet::pending(2);
    // It leaves the terminal silent, which is put right.
    let script = "stty -echo; printf 'password: ' > /dev/tty; read one < /dev/tty; read two; \
        test -t 0 -a -t 1 -a -t 2 && echo $one $two >> got";
    let mut run = Terminal::start(&sheet.run("-j 1 --tty", script), 80);
    for asked in 1..=2 {
        wait_until("it asks", || {
            run.rows().concat().matches("password:").count() == asked
        });
        run.press(b"open\nsesame\n");
        wait_until("it is answered", || sheet.lines("got").len() == asked);
    }
    run.end(0);
    assert_eq!(sheet.lines("got"), ["open sesame", "open sesame"]);
    assert_eq!(sheet.status()["completed"], 2);
}

#[test]
fn ctrl_c_for_the_command_stops_the_run() {
    for script in [
        "echo >> begun; exec sleep 1000",
        "trap 'exit 130' INT; echo >> begun; hang",
    ] {
        let sheet = TempSheet::pending(2);
        let script = format!("{HAVE_IT}; {script}");
        let mut run = Terminal::start(&sheet.run("-j 1 --tty", &script), 80);
        wait_until("the command runs", || sheet.lines("begun").len() == 1);
        run.press(b"\x03");
        run.end(130);
        assert_eq!(sheet.lines("begun").len(), 1);
        assert_eq!(sheet.status()["pending"], 2, "{script}");
    }
}

/// The state of a process, as proc(5) has it.
fn state(pid: &str) -> String {
    let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
    let state = stat.rsplit_once(") ").map(|(_, rest)| rest[..1].to_owned());
    state.unwrap_or_default()
}

#[test]
fn ctrl_z_stops_the_run_as_well_and_both_go_on_together() {
    let sheet = TempSheet::pending(1);
    let script = "echo $PPID > run; read answer < /dev/tty; echo $answer > got";
    let script = format!("{HAVE_IT}; {script}");
    let inner = sheet.run("-j 1 --tty", &script);
    let mut shell = Command::new("sh");
    shell
        .args([
            "-mc",
            "\"$0\" \"$@\"; touch stopped; until [ -e on ]; do sleep 0.01; done; fg > /dev/null",
        ])
        .arg(inner.get_program())
        .args(inner.get_args())
        .current_dir(sheet.folder());
    let mut run = Terminal::start(&shell, 80);
    wait_until("the command runs", || sheet.lines("run").len() == 1);
    run.press(b"\x1a");
    wait_until("the shell has the terminal", || {
        sheet.folder().join("stopped").exists()
    });
    let pid = sheet.lines("run").concat();
    assert_eq!(state(&pid), "T");
    fs::write(sheet.folder().join("on"), "").unwrap();
    wait_until("the run goes on", || state(&pid) != "T");
    run.press(b"yes\n");
    run.end(0);
    assert_eq!(sheet.lines("got"), ["yes"]);
}

/// As under ssh without a shell, or in a container.
#[test]
fn ctrl_z_where_nobody_could_let_the_run_go_on_stops_nothing_for_long() {
    let sheet = TempSheet::pending(1);
    let script = "echo >> begun; read answer < /dev/tty; echo $answer > got";
    let script = format!("{HAVE_IT}; {script}");
    let mut run = Terminal::start(&sheet.run("-j 1 --tty", &script), 80);
    wait_until("the command runs", || sheet.lines("begun").len() == 1);
    run.press(b"\x1a");
    wait_until("the answer is read", || {
        run.press(b"yes\n");
        !sheet.lines("got").is_empty()
    });
    run.end(0);
}

#[test]
fn a_timeout_ends_a_command_that_waits_for_an_answer() {
    let sheet = TempSheet::pending(1);
    let script = "(setsid sh -c 'echo $$ > left; while [ -e $PWD ]; do sleep 0.1; done' &); read x";
    let run = Terminal::start(&sheet.run("-j 1 --tty --timeout 1s", script), 80);
    run.end(1);
    assert_eq!(sheet.cell("PO0", "ERROR_MESSAGE"), "timed out after 1s");
    let left = sheet.lines("left").concat();
    assert!(["", "Z"].contains(&&*state(&left)), "{left}");
}

#[test]
fn there_must_be_a_terminal_and_one_command_at_a_time() {
    let sheet = TempSheet::pending(1);
    let before = sheet.text();
    let refused = end(&mut sheet.run("--tty", "true")).with(2);
    assert_eq!(
        refused.stderr,
        "tickoff: --tty gives the terminal to one command at a time: add -j 1\n"
    );
    let run = sheet.run("--tty -j 1", "true");
    let mut without = Command::new("setsid");
    without
        .arg("--wait")
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(sheet.folder());
    let refused = end(&mut without).with(2);
    assert_eq!(
        refused.stderr,
        "tickoff: --tty gives commands the terminal, and there is none, or this runs in the background\n"
    );
    assert_eq!(sheet.text(), before);
}

/// With Ctrl-S; of Ctrl-C the terminal would go on by itself.
#[test]
fn a_terminal_that_was_stopped_holds_up_no_job_and_no_end() {
    for options in ["-j 1", "-j 1 -q"] {
        let sheet = TempSheet::pending(20);
        let script = "echo $PPID > run.new; mv run.new run; [ $TICKOFF_KEY != PO0 ] || await go; \
            echo printed; echo warned >&2";
        let mut run = Terminal::start(&sheet.run(options, script), 80);
        wait_until("a job runs", || !sheet.lines("run").is_empty());
        wait_until("it has the terminal", || {
            !run.echoes() || options == "-j 1 -q"
        });
        run.press(b"\x13");
        fs::write(sheet.folder().join("go"), "").unwrap();
        wait_until("all have run", || sheet.status()["completed"] == 20);
        wait_until("the session is over", || {
            sheet.status()["session"].is_null()
        });
        std::thread::sleep(std::time::Duration::from_millis(300));
        let pid: i32 = sheet.lines("run").concat().parse().unwrap();
        assert!(is_alive(&pid.to_string()), "what is printed is not read");
        kill_process(Pid::from_raw(pid).unwrap(), Signal::TERM).unwrap();
        run.end(143);
    }
}

#[test]
fn what_waited_for_a_stopped_terminal_is_shown_when_it_goes_on() {
    for options in ["-j 1", "-j 1 -q"] {
        let sheet = TempSheet::pending(20);
        let script = "echo >> begun; [ $TICKOFF_KEY != PO0 ] || await go; echo printed";
        let mut run = Terminal::start(&sheet.run(options, script), 80);
        wait_until("a job runs", || !sheet.lines("begun").is_empty());
        run.press(b"\x13");
        fs::write(sheet.folder().join("go"), "").unwrap();
        wait_until("all have run", || sheet.status()["completed"] == 20);
        std::thread::sleep(std::time::Duration::from_millis(1_500));
        run.press(b"\x11");
        let (lines, _) = run.end(0);
        for key in 0..20 {
            let line = format!("PO{key} | printed");
            assert!(lines.contains(&line), "{line}: {lines:#?}");
        }
    }
}
