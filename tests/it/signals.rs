//! What a person, a service manager or a closed terminal does to a run.

use std::process::Command;

use rustix::process::{Pid, Signal, kill_process};

use crate::command_line::{Running, end, is_alive, wait_until};
use crate::fixture::TempSheet;

/// Notes its start, waits until it may go on, and notes its end.
const PATIENT: &str = "echo start >> log; await go; echo end >> log";

const STOPPING: &str = "WARN stopping: running commands may finish; once more kills them";

/// A run of two jobs at a time over six POs, both of which run.
fn running(sheet: &TempSheet) -> Running {
    let run = Running::start(&mut sheet.run("-j 2", PATIENT));
    wait_until("two jobs run", || sheet.lines("log").len() == 2);
    run
}

fn let_go(sheet: &TempSheet) {
    std::fs::write(sheet.folder().join("go"), "").unwrap();
}

#[track_caller]
fn check_lets_jobs_finish(signal: Signal, code: i32) {
    let sheet = TempSheet::pending(6);
    let run = running(&sheet);
    run.signal(signal);
    run.wait_until_it_says(STOPPING);
    let_go(&sheet);
    let ended = run.end().with(code);
    assert_eq!(sheet.lines("log"), ["start", "start", "end", "end"]);
    assert!(
        ended
            .stderr
            .contains("2 done, 0 errors, 0 no attachments, 0 skipped in"),
        "{ended:?}"
    );
    assert!(
        ended.stderr.contains("; 4 left for the next run\n"),
        "{ended:?}"
    );
    let statuses = sheet.table().into_values().map(|row| row["STATUS"].clone());
    assert_eq!(
        statuses.filter(|status| status == "COMPLETED").count(),
        2,
        "written, not only in the journal"
    );
    assert_eq!(sheet.leftovers(), ["go", "log"]);

    end(&mut sheet.run("", PATIENT)).with(0);
    assert_eq!(sheet.status()["completed"], 6);
}

#[test]
fn ctrl_c_hands_out_no_more_and_lets_running_jobs_finish() {
    check_lets_jobs_finish(Signal::INT, 130);
}

#[test]
fn sigterm_does_the_same() {
    check_lets_jobs_finish(Signal::TERM, 143);
}

#[test]
fn sighup_does_the_same() {
    check_lets_jobs_finish(Signal::HUP, 143);
}

#[track_caller]
fn check_kills_jobs(first: Signal, second: Signal, code: i32) {
    let sheet = TempSheet::pending(4);
    let script = "test $TICKOFF_PO = PO0 && exit; sh -c 'echo $$ >> pids; while [ -e $PWD ]; do sleep 0.1; done' & echo $$ >> pids; wait";
    let run = Running::start(&mut sheet.run("-j 2", script));
    wait_until("two jobs run", || sheet.lines("pids").len() == 4);
    run.signal(first);
    run.wait_until_it_says(STOPPING);
    run.signal(second);
    run.end().with(code);
    for pid in sheet.lines("pids") {
        wait_until("what the jobs started is gone", || !is_alive(&pid));
    }
    assert_eq!(sheet.cell("PO0", "STATUS"), "COMPLETED");
    assert_eq!(
        sheet.status()["pending"],
        3,
        "what was broken off keeps its state"
    );
    assert_eq!(sheet.leftovers(), ["pids"]);
}

/// Jobs that end in one way or another when they are asked to, and note that they run.
const ASKED_TO_END: &str = "case $TICKOFF_PO in
    PO0) trap 'echo SUPPLIER=x > $TICKOFF_RESULT; exit 0' TERM;;
    PO1) trap 'echo STATUS=NO_ATTACHMENTS > $TICKOFF_RESULT; exit 3' TERM;;
    PO2) trap 'echo SUPPLIER=x > $TICKOFF_RESULT; exit 143' TERM;;
    PO3) trap 'exit 1' TERM;;
    PO4) trap 'echo STATUS=COMPLETED > $TICKOFF_RESULT; exit 75' TERM;;
    PO5) echo STATUS=COMPLETED > $TICKOFF_RESULT;;
    PO6) trap 'echo SUPPLIER > $TICKOFF_RESULT; exit 1' TERM;;
    PO7) while [ $(wc -l < log) -lt 7 ] || [ ! -e go ]; do sleep 0.05; done; exit 1;;
    esac
    echo x >> log; while [ -e $PWD ]; do sleep 0.05; done";

#[track_caller]
fn check_asked_to_end(sheet: &TempSheet) {
    let cells = |column| [0, 1, 2, 3, 4, 5, 6].map(|n| sheet.cell(&format!("PO{n}"), column));
    let [completed, none, pending] = ["COMPLETED", "NO_ATTACHMENTS", "PENDING"];
    assert_eq!(
        cells("STATUS"),
        [completed, none, pending, pending, pending, pending, pending]
    );
    assert_eq!(
        cells("SUPPLIER"),
        ["x", "Acme", "x", "Acme", "Acme", "Acme", "Acme"]
    );
    assert_eq!(cells("ERROR_MESSAGE"), [""; 7]);
    assert_eq!(
        sheet.unplaced(),
        "PO_NUMBER;RAW_ANSWER\nPO6;\"SUPPLIER\n\"\n"
    );
}

#[test]
fn what_a_job_says_within_the_second_before_it_is_killed_counts_and_that_it_failed_does_not() {
    let sheet = TempSheet::pending(7);
    let run = Running::start(&mut sheet.run("-j 7", ASKED_TO_END));
    wait_until("the jobs run", || sheet.lines("log").len() == 7);
    run.signal(Signal::INT);
    run.wait_until_it_says(STOPPING);
    run.signal(Signal::INT);
    run.end().with(130);
    check_asked_to_end(&sheet);
}

#[test]
fn the_same_holds_when_a_failure_halts_the_run_at_once() {
    let sheet = TempSheet::pending(8);
    let mut run = sheet.run("-j 8 --halt now,fail=1", ASKED_TO_END);
    let run = Running::start(&mut run);
    wait_until("the jobs run", || sheet.lines("log").len() == 7);
    let_go(&sheet);
    run.end().with(5);
    check_asked_to_end(&sheet);
}

#[test]
fn ctrl_c_twice_kills_the_jobs_and_what_they_started() {
    check_kills_jobs(Signal::INT, Signal::INT, 130);
}

#[test]
fn the_first_signal_decides_the_exit_code() {
    check_kills_jobs(Signal::TERM, Signal::INT, 143);
}

#[test]
fn sighup_is_ignored_where_it_was_ignored_before() {
    let sheet = TempSheet::pending(3);
    let run = sheet.run("-j 1", PATIENT);
    let mut nohup = Command::new("sh");
    nohup
        .args(["-c", "trap '' HUP; exec \"$0\" \"$@\""])
        .arg(run.get_program())
        .args(run.get_args())
        .current_dir(sheet.folder());
    let run = Running::start(&mut nohup);
    wait_until("a job runs", || sheet.lines("log").len() == 1);
    run.signal(Signal::HUP);
    let_go(&sheet);
    let ended = run.end().with(0);
    assert!(!ended.stderr.contains("stopping"), "{ended:?}");
    assert_eq!(sheet.status()["completed"], 3);
}

#[test]
fn ctrl_c_does_not_wait_for_a_po_that_waits_for_its_next_attempt() {
    let sheet = TempSheet::pending(1);
    let run = Running::start(&mut sheet.run("--backoff 1h", "exit 75"));
    run.wait_until_it_says("attempt 1 is to be repeated in ");
    run.signal(Signal::INT);
    let ended = run.end().with(130);
    assert!(
        ended
            .stderr
            .contains("not tried again before the end: PO0\n"),
        "{ended:?}"
    );
    assert_eq!(sheet.cell("PO0", "STATUS"), "PENDING");
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn jobs_have_no_terminal_and_do_not_get_its_ctrl_c() {
    let sheet = TempSheet::pending(1);
    let script = "echo $$ $(ps -o pgid=,sid=,tty= -p $$) > job; (: < /dev/tty) || echo none >> job";
    Running::start(&mut sheet.run("", script)).end().with(0);
    let said = sheet.lines("job");
    let pid = said[0].split(' ').next().unwrap();
    assert_eq!(said, [format!("{pid} {pid} {pid} ?"), "none".to_owned()]);
}

/// As a service manager does: each process of the service gets the signal, the jobs first.
#[test]
fn a_signal_for_all_processes_leaves_the_rows_that_were_running_as_they_were() {
    let sheet = TempSheet::pending(4);
    let script = "case $TICKOFF_KEY in PO0) trap 'exit 143' TERM;; esac; echo $$ >> pids; hang";
    let run = Running::start(&mut sheet.run("-j 2", script));
    wait_until("two jobs run", || sheet.lines("pids").len() == 2);
    for pid in sheet.lines("pids") {
        let pid = Pid::from_raw(pid.parse().unwrap()).unwrap();
        // The one that ends by a code says it late.
        kill_process(pid, Signal::TERM).unwrap();
    }
    run.signal(Signal::TERM);
    let ended = run.end().with(143);
    assert_eq!(sheet.cell("PO1", "STATUS"), "PENDING", "{ended:?}");
    assert!(!ended.stderr.contains("killed by signal"), "{ended:?}");
}

#[test]
fn a_job_that_fails_when_the_whole_service_is_ended_keeps_its_state() {
    for (signal, failure) in [
        (Signal::TERM, "exit 1"),
        (Signal::HUP, "exit 1"),
        (Signal::TERM, "exit 75"),
        (Signal::TERM, "kill -PIPE $$"),
    ] {
        let sheet = TempSheet::pending(2);
        let script = format!("echo >> log; await go; {failure}");
        let run = Running::start(&mut sheet.run("-j 1", &script));
        wait_until("a job runs", || sheet.lines("log").len() == 1);
        run.signal(signal);
        run.wait_until_it_says(STOPPING);
        let_go(&sheet);
        run.end().with(143);
        assert_eq!(sheet.status()["pending"], 2, "{failure}");
        assert_eq!(sheet.cell("PO0", "ERROR_MESSAGE"), "", "{failure}");
    }
}

#[test]
fn a_job_that_handles_the_signal_of_a_service_a_moment_before_the_run_keeps_its_state() {
    let sheet = TempSheet::pending(1);
    // The signal for the run comes as the job ends.
    let script = "trap 'exit 1' TERM; kill -TERM $PPID & exit 1";
    for _ in 0..10 {
        end(&mut sheet.run("", script)).with(143);
        assert_eq!(sheet.cell("PO0", "STATUS"), "PENDING");
    }
}

#[test]
fn a_job_that_fails_after_ctrl_c_has_failed() {
    let sheet = TempSheet::pending(1);
    let run = Running::start(&mut sheet.run("", "echo >> log; await go; exit 1"));
    wait_until("the job runs", || sheet.lines("log").len() == 1);
    run.signal(Signal::INT);
    run.wait_until_it_says(STOPPING);
    let_go(&sheet);
    run.end().with(130);
    assert_eq!(sheet.cell("PO0", "ERROR_MESSAGE"), "exit 1");
}

#[test]
fn a_worker_that_fails_when_the_whole_service_is_ended_leaves_its_row_as_it_was() {
    let fails = r#"echo "{\"id\":${id%%,*},\"error\":\"ended\"}"; read end"#;
    for failure in [fails, "exit 1"] {
        let sheet = TempSheet::pending(1);
        let script = format!(
            r#"read request; id=${{request#\{{\"id\":}}; echo >> log; await go; {failure}"#
        );
        let mut run = sheet.run("-j 1 --worker-protocol jsonl", &script);
        let run = Running::start(&mut run);
        wait_until("the worker is asked", || sheet.lines("log").len() == 1);
        run.signal(Signal::TERM);
        run.wait_until_it_says(STOPPING);
        let_go(&sheet);
        run.end().with(143);
        assert_eq!(sheet.cell("PO0", "STATUS"), "PENDING", "{failure}");
    }
}

#[test]
fn a_job_that_is_killed_while_the_run_goes_on_has_failed() {
    let sheet = TempSheet::pending(1);
    end(&mut sheet.run("", "kill -TERM $$")).with(1);
    assert_eq!(
        sheet.cell("PO0", "ERROR_MESSAGE"),
        "killed by signal 15 (SIGTERM)"
    );
}

/// Of Ctrl-\ say; nobody records between the end of a job and that of the run that it failed.
#[test]
fn jobs_that_are_killed_since_the_run_dies_of_a_signal_keep_their_states() {
    for _ in 0..4 {
        let sheet = TempSheet::pending(8);
        let run = Running::start(&mut sheet.run("-j 8", "echo >> begun; exec sleep 1000"));
        wait_until("the jobs run", || sheet.lines("begun").len() == 8);
        run.signal(Signal::ALARM);
        run.end();
        assert_eq!(sheet.status()["error"], 0);
        assert_eq!(sheet.status()["pending"], 8);
    }
}

#[test]
fn a_job_that_is_killed_while_the_run_stops_keeps_its_state() {
    for killed in ["kill -KILL $$", "kill -TERM $$", "exit 143"] {
        let sheet = TempSheet::pending(2);
        let run =
            Running::start(&mut sheet.run("-j 1", &format!("echo >> log; await go; {killed}")));
        wait_until("a job runs", || sheet.lines("log").len() == 1);
        run.signal(Signal::INT);
        run.wait_until_it_says(STOPPING);
        let_go(&sheet);
        run.end().with(130);
        assert_eq!(sheet.status()["pending"], 2, "{killed}");
    }
}

#[test]
fn what_a_job_left_that_is_killed_while_the_run_stops_counts() {
    let sheet = TempSheet::pending(2);
    let script = "echo >> log; trap 'echo STATUS=NO_ATTACHMENTS > $TICKOFF_RESULT; exit 143' TERM; await go; kill -TERM $$";
    let run = Running::start(&mut sheet.run("-j 1", script));
    wait_until("a job runs", || sheet.lines("log").len() == 1);
    run.signal(Signal::INT);
    run.wait_until_it_says(STOPPING);
    let_go(&sheet);
    run.end().with(130);
    assert_eq!(sheet.cell("PO0", "STATUS"), "NO_ATTACHMENTS");
    assert_eq!(sheet.cell("PO1", "STATUS"), "PENDING");
}

#[test]
fn a_job_that_is_stopped_is_named() {
    let sheet = TempSheet::pending(1);
    let script = "sh -c 'echo $$ > pids; kill -STOP $$; exit 3'";
    let run = Running::start(&mut sheet.run("", script));
    run.wait_until_it_says("the job waits for a process that is stopped, sh: kill -CONT ");
    let pid = sheet.lines("pids").concat();
    let advice = format!("kill -CONT {pid} lets it go on");
    assert!(run.stderr().contains(&advice), "{}", run.stderr());
    kill_process(Pid::from_raw(pid.parse().unwrap()).unwrap(), Signal::CONT).unwrap();
    run.end().with(1);
    assert_eq!(sheet.cell("PO0", "ERROR_MESSAGE"), "exit 3");
}

/// A run that does not go on for three seconds behind one of its looks at its jobs, as one that Ctrl-Z stops; strace holds
/// it.
fn held_behind_a_look(
    sheet: &TempSheet,
    which: u32,
    options: &[&str],
    script: &str,
) -> Option<Running> {
    if Command::new("strace").arg("-V").output().is_err() {
        eprintln!("SKIPPED: strace is not here");
        return None;
    }
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o"])
        .arg(sheet.folder().join("trace"))
        .args(["-e", "trace=ppoll", "-e"])
        .arg(format!("inject=ppoll:delay_exit=3000000:when={which}"))
        .arg(crate::command_line::program())
        .args(["run", "input.csv", "-j1"])
        .args(options)
        .args(["--", "sh", "-c", script])
        .current_dir(sheet.folder())
        .env_remove("RUST_LOG")
        .env_remove("COLUMNS");
    Some(Running::start(&mut strace))
}

#[test]
fn a_command_that_ended_in_time_while_the_run_was_stopped_is_not_timed_out() {
    let sheet = TempSheet::pending(1);
    let script = "sleep 0.3; echo note=mine > $TICKOFF_RESULT";
    let Some(run) = held_behind_a_look(&sheet, 1, &["--timeout", "2s"], script) else {
        return;
    };
    run.end().with(0);
    let cells = ["STATUS", "note"].map(|column| sheet.cell("PO0", column));
    assert_eq!(cells, ["COMPLETED", "mine"]);
}

#[test]
fn an_answer_that_came_in_time_while_the_run_was_stopped_is_taken() {
    let sheet = TempSheet::pending(1);
    let script = r#"trap 'echo ended > ended' TERM; read request; id=${request#\{\"id\":}; sleep 0.3
        echo "{\"id\":${id%%,*},\"updates\":{\"note\":\"mine\"}}"; read end"#;
    let options = ["--timeout", "2s", "--worker-protocol", "jsonl"];
    // The first one is for the room of the request.
    let Some(run) = held_behind_a_look(&sheet, 2, &options, script) else {
        return;
    };
    run.end().with(0);
    let cells = ["STATUS", "note"].map(|column| sheet.cell("PO0", column));
    assert_eq!(cells, ["COMPLETED", "mine"]);
    assert!(!sheet.folder().join("ended").exists());
}

#[test]
fn a_command_that_ended_before_it_was_to_be_killed_keeps_its_result() {
    let sheet = TempSheet::pending(1);
    let script = "echo $PPID > run.new; mv run.new run; sleep 0.5; echo own >&2; exit 3";
    let Some(run) = held_behind_a_look(&sheet, 1, &[], script) else {
        return;
    };
    wait_until("the job runs", || sheet.folder().join("run").exists());
    let program: i32 = sheet.lines("run")[0].parse().unwrap();
    let interrupt = || kill_process(Pid::from_raw(program).unwrap(), Signal::INT).unwrap();
    // A signal would begin the look anew that it interrupts.
    std::thread::sleep(std::time::Duration::from_millis(200));
    interrupt();
    run.wait_until_it_says(STOPPING);
    interrupt();
    run.end().with(130);
    let cells = ["STATUS", "ERROR_MESSAGE"].map(|column| sheet.cell("PO0", column));
    assert_eq!(cells, ["ERROR", "exit 3: own"]);
}
