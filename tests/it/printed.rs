//! What jobs print reaches a pipe in whole lines, all of it, and holds nothing up.

mod frames;
mod shared;
pub mod terminal;

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::io::{self, PipeReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, kill_process};

use crate::command_line::{end, wait_until};
use crate::fixture::TempSheet;

/// A sheet of the rows `P1`, `P2` and so on.
fn sheet(rows: usize) -> TempSheet {
    let rows: String = (1..=rows).map(|row| format!("P{row}\n")).collect();
    TempSheet::new(format!("PO_NUMBER\n{rows}"))
}

#[test]
fn jobs_that_print_a_line_in_pieces_tear_none() {
    for option in ["--show lines", "--show grouped"] {
        let sheet = sheet(8);
        let script = "n=1; while [ $n -le 2000 ]; do printf \"$TICKOFF_KEY begins \"; \
             [ $((n % 100)) -ne 0 ] || sleep 0.01; echo \"and ends $n\"; n=$((n + 1)); done";
        let ended = end(&mut sheet.run(&format!("-j 8 {option}"), script)).with(0);
        let mut last = BTreeMap::new();
        for line in ended.stdout.lines() {
            let (key, number) = line.split_once(" begins and ends ").expect(line);
            let before = last.insert(key, number.parse::<u32>().expect(line));
            assert_eq!(before.unwrap_or(0) + 1, last[key], "{line}");
        }
        assert_eq!(last.len(), 8);
        assert!(last.values().all(|&number| number == 2000), "{last:?}");
    }
}

#[test]
fn each_output_goes_to_the_programs_own_and_a_last_line_gets_its_end() {
    for options in ["", "-q", "-q --show grouped"] {
        let sheet = sheet(1);
        let ended = end(&mut sheet.run(options, "printf out; printf 'warned\\r\\nof' >&2")).with(0);
        assert_eq!(ended.stdout, "out\n");
        assert!(ended.stderr.starts_with("warned\r\nof\n"), "{ended:?}");
        assert_eq!(ended.stderr.lines().count() == 2, !options.is_empty());
    }
}

#[test]
fn bytes_are_the_jobs_own_in_a_pipe() {
    let sheet = sheet(1);
    let every_byte = "printf '\\000\\033[2J\\t\\377\\342\\200\\256\\r'";
    let output = sheet.run("", every_byte).output().unwrap();
    assert_eq!(output.stdout, b"\0\x1b[2J\t\xff\xe2\x80\xae\r\n");
}

#[test]
fn a_group_comes_in_one_piece_when_its_job_has_ended() {
    let sheet = sheet(2);
    let script = "case $TICKOFF_KEY in \
         P1) echo P1 a; await P2-printed; echo P1 b; echo P1 c; > P1-ends;; \
         P2) echo P2 a; > P2-printed; await P1-ends; sleep 0.2; echo P2 b;; esac";
    let ended = end(&mut sheet.run("-j 2 --show grouped", script)).with(0);
    assert_eq!(ended.stdout, "P1 a\nP1 b\nP1 c\nP2 a\nP2 b\n");
}

#[test]
fn a_large_group_waits_in_a_file_without_a_name() {
    let sheet = sheet(1);
    let temporary = sheet.folder().join("tmp");
    fs::create_dir(&temporary).unwrap();
    let script = "seq 100000; ls tmp > names; readlink /proc/$PPID/fd/* > open";
    let mut run = sheet.run("--show grouped", script);
    let ended = end(run.env("TMPDIR", &temporary)).with(0);
    let all: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(ended.stdout, all);
    let names = sheet.lines("names");
    assert!(
        names
            .iter()
            .all(|name| name.starts_with("tickoff-results-")),
        "{names:?}"
    );
    let is_unlinked = |path: &String| path.contains("/tmp/") && path.ends_with(" (deleted)");
    assert!(
        sheet.lines("open").iter().any(is_unlinked),
        "{:?}",
        sheet.lines("open")
    );
}

#[test]
fn only_jobs_that_fail_in_the_end_are_shown_on_request() {
    let sheet = sheet(4);
    let script = "echo $TICKOFF_KEY $TICKOFF_ATTEMPT; case $TICKOFF_KEY$TICKOFF_ATTEMPT in \
         P2*) exit 3;; P31) exit 75;; P4*) echo STATUS=PARTIAL > $TICKOFF_RESULT;; esac";
    let options = "-j 1 --show failed --backoff 0s";
    let ended = end(&mut sheet.run(options, script)).with(1);
    assert_eq!(ended.stdout, "P2 1\nP4 1\n");
}

#[test]
fn nothing_is_shown_on_request_or_if_it_is_kept_instead() {
    for (options, shown) in [
        ("--show none", ""),
        ("--show none --results res", ""),
        ("--results res", ""),
        ("--results res --show lines", "out\n"),
        ("--stdout-to note", ""),
    ] {
        let sheet = sheet(1);
        let ended = end(&mut sheet.run(&format!("-q {options}"), "echo out; echo err >&2")).with(0);
        assert_eq!(ended.stdout, shown, "{options}");
        let is_err_shown = !options.contains("none") && !options.ends_with("--results res");
        assert_eq!(
            ended.stderr == "err\n",
            is_err_shown,
            "{options}: {ended:?}"
        );
        if options.contains("res") {
            assert_eq!(sheet.lines("res/P1/stdout"), ["out"], "{options}");
            assert_eq!(sheet.lines("res/P1/stderr"), ["err"], "{options}");
        }
    }
}

#[test]
fn a_long_line_comes_in_pieces_and_in_a_group_as_a_whole() {
    let script = "head -c 200000 /dev/zero | tr '\\0' x";
    let (one, grouped) = (sheet(1), sheet(1));
    let pieces = end(&mut one.run("", script)).with(0).stdout;
    assert!(pieces.lines().count() > 1);
    assert!(pieces.lines().all(|piece| piece.len() <= 64 << 10));
    assert_eq!(pieces.replace('\n', ""), "x".repeat(200_000));
    let whole = end(&mut grouped.run("--show grouped", script))
        .with(0)
        .stdout;
    assert_eq!(whole, "x".repeat(200_000) + "\n");
}

#[test]
fn in_a_json_log_a_line_of_stderr_is_one_of_its_lines() {
    let sheet = sheet(1);
    let script = "printf 'one\\033\\ntwo' >&2";
    let ended = end(&mut sheet.run("-q --log-format json", script)).with(0);
    let lines = ended.stderr.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        (line["key"].clone(), line["message"].clone())
    });
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            ("P1".into(), "one\\u{1b}".into()),
            ("P1".into(), "two".into())
        ]
    );
}

#[test]
fn workers_that_stay_alive_show_their_stderr_alone_and_in_the_group_of_its_job() {
    let script = "while read -r request; do id=${request#*:}; id=${id%%,*}; echo asked $id >&2; \
         echo \"{\\\"id\\\":$id,\\\"updates\\\":{}}\"; done; echo bye >&2";
    for show in ["lines", "grouped"] {
        let sheet = sheet(3);
        let options = format!("-q -j 1 --worker-protocol jsonl --show {show}");
        let ended = end(&mut sheet.run(&options, script)).with(0);
        assert_eq!(ended.stdout, "");
        assert_eq!(ended.stderr, "asked 1\nasked 2\nasked 3\nbye\n", "{show}");
    }
    // What was said before an answer belongs to its row.
    let sheet = sheet(100);
    let options = "-q -j 1 --worker-protocol jsonl --log-format json";
    let ended = end(&mut sheet.run(options, script)).with(0);
    let keys = ended.stderr.lines().map(|line| {
        let line: serde_json::Value = serde_json::from_str(line).expect(line);
        let said = line["message"].as_str().unwrap().replace("asked ", "P");
        (line["key"].as_str().unwrap().to_owned(), said)
    });
    let (keys, said): (Vec<_>, Vec<_>) = keys.unzip();
    assert_eq!((keys.len(), &*keys[100]), (101, "worker 0"), "{ended:?}");
    assert_eq!(keys[..100], said[..100]);
}

#[test]
fn what_goes_on_after_its_job_is_not_waited_for() {
    let sheet = sheet(1);
    let began = Instant::now();
    let output = sheet.run("", "echo begun; hang & echo $! > pid").output();
    assert_eq!(output.unwrap().stdout, b"begun\n");
    assert!(began.elapsed() < Duration::from_secs(20));
    let pid: i32 = sheet.lines("pid")[0].parse().unwrap();
    kill_process(Pid::from_raw(pid).unwrap(), Signal::KILL).unwrap();
}

/// A run of which nobody reads yet what it prints; killed if the test fails meanwhile.
struct Unread {
    child: Child,
    reader: PipeReader,
}

impl Unread {
    fn start(run: &mut Command) -> Unread {
        let (reader, writer) = io::pipe().unwrap();
        let child = run.stdout(writer).stderr(Stdio::null()).spawn().unwrap();
        run.stdout(Stdio::null());
        Unread { child, reader }
    }

    fn start_with(run: &mut Command, stderr: File) -> Unread {
        let (reader, writer) = io::pipe().unwrap();
        let child = run.stdout(writer).stderr(stderr).spawn().unwrap();
        run.stdout(Stdio::null());
        Unread { child, reader }
    }

    fn start_with_stderr(run: &mut Command) -> Unread {
        let (reader, writer) = io::pipe().unwrap();
        let child = run.stdout(Stdio::null()).stderr(writer).spawn().unwrap();
        run.stderr(Stdio::null());
        Unread { child, reader }
    }

    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child), signal).unwrap();
    }

    #[track_caller]
    fn ends(&mut self) {
        wait_until("the run ends", || self.child.try_wait().unwrap().is_some());
    }

    #[track_caller]
    fn ends_with(&mut self, code: i32) {
        self.ends();
        assert_eq!(self.child.wait().unwrap().code(), Some(code));
    }
}

impl Drop for Unread {
    fn drop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Makes a file `block` of 1 MiB, in whole lines.
fn make_block(sheet: &TempSheet) {
    let line = "x".repeat(1023) + "\n";
    fs::write(sheet.folder().join("block"), line.repeat(1 << 10)).unwrap();
}

const UNREAD: &str =
    "64 MiB of what jobs print are not read: no further job is started until they are";

#[test]
fn a_job_waits_for_its_reader_and_nothing_is_left_out() {
    let sheet = sheet(1);
    make_block(&sheet);
    let script = "n=0; while [ $n -lt 80 ]; do cat block; echo >> printed; n=$((n + 1)); done";
    let mut run = Unread::start(&mut sheet.run("", script));
    wait_until("as much is taken as has room", || {
        sheet.lines("printed").len() >= 63
    });
    std::thread::sleep(Duration::from_millis(500));
    let printed = sheet.lines("printed").len();
    assert!(printed <= 65, "{printed} of 80 were taken without a reader");
    let mut all = Vec::new();
    run.reader.read_to_end(&mut all).unwrap();
    run.ends_with(0);
    assert_eq!(all.len(), 80 << 20);
    assert_eq!(all.split(|&byte| byte == b'\n').count(), (80 << 10) + 1);
}

#[test]
fn jobs_go_on_without_a_reader_until_64_mib_are_unread_and_that_is_told_once() {
    let sheet = sheet(90);
    make_block(&sheet);
    let (mut reader, writer) = io::pipe().unwrap();
    let mut run = sheet.run("-j 2 --events events", "cat block; echo >> done");
    let stderr = File::create(sheet.folder().join("stderr")).unwrap();
    let mut child = run.stdout(writer).stderr(stderr).spawn().unwrap();
    drop(run);
    let said = || sheet.lines("stderr").join("\n");
    wait_until("it says that nobody reads", || said().contains(UNREAD));
    let begun = || {
        let events = sheet.lines("events");
        let events = events
            .iter()
            .filter(|event| event.contains("attempt_started"));
        events.count()
    };
    let (before, durable) = (begun(), sheet.status()["completed"].as_u64().unwrap());
    assert!((63..=68).contains(&before), "{before} were started");
    assert!(durable >= 62, "{durable} are durable");
    std::thread::sleep(Duration::from_millis(300));
    assert_eq!(begun(), before);
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(all.len(), 90 << 20);
    assert_eq!(said().matches(UNREAD).count(), 1);
    let events = sheet.lines("events");
    let told: Vec<_> = events
        .iter()
        .filter(|event| event.contains("\"event\":\"output_unread\""))
        .collect();
    assert_eq!(told.len(), 1, "{told:?}");
}

#[test]
fn no_job_is_handed_out_while_64_mib_are_unread() {
    let sheet = sheet(3);
    make_block(&sheet);
    let script = "case $TICKOFF_KEY in \
         P1) n=0; while [ $n -lt 70 ]; do cat block; n=$((n + 1)); done;; P2) await full;; esac";
    let (mut reader, writer) = io::pipe().unwrap();
    let mut run = sheet.run("-j 2 --events events", script);
    let stderr = File::create(sheet.folder().join("stderr")).unwrap();
    let mut child = run.stdout(writer).stderr(stderr).spawn().unwrap();
    drop(run);
    wait_until("it says that nobody reads", || {
        sheet.lines("stderr").join("\n").contains(UNREAD)
    });
    fs::write(sheet.folder().join("full"), "").unwrap();
    wait_until("the second job has ended", || {
        sheet.get("P2")["status"] == "COMPLETED"
    });
    std::thread::sleep(Duration::from_millis(300));
    let events = sheet.lines("events").join("\n");
    assert_eq!(events.matches("attempt_started").count(), 2, "{events}");
    let mut all = Vec::new();
    reader.read_to_end(&mut all).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(all.len(), 70 << 20);
    assert_eq!(sheet.status()["completed"], 3);
}

#[test]
fn large_groups_without_a_reader_hold_few_files_open() {
    let sheet = sheet(300);
    let script = "head -c 100000 block; ls /proc/$PPID/fd | wc -l >> open";
    make_block(&sheet);
    let mut run = Unread::start(&mut sheet.run("-j 2 --show grouped", script));
    wait_until("some wait", || sheet.lines("open").len() >= 60);
    std::thread::sleep(Duration::from_millis(500));
    let open = sheet.lines("open");
    let most = open.iter().map(|open| open.trim().parse::<u32>().unwrap());
    let most = most.max().unwrap();
    assert!((60..120).contains(&most), "{most} are open");
    let mut all = Vec::new();
    run.reader.read_to_end(&mut all).unwrap();
    run.ends_with(0);
    assert_eq!(sheet.lines("open").len(), 300);
}

#[test]
fn a_reader_that_does_not_read_holds_up_no_time_limit_no_result_and_no_stop() {
    let sheet = sheet(3);
    make_block(&sheet);
    let script = "[ $TICKOFF_KEY = P1 ] || echo > waits; while cat block; do :; done";
    let mut run = sheet.run("-j 1 --timeout 9s", script);
    let mut run = Unread::start(&mut run);
    wait_until("the first job is out of time", || {
        sheet.get("P1")["status"] == "ERROR"
    });
    run.signal(Signal::INT);
    run.ends_with(130);
    assert_eq!(sheet.cell("P1", "ERROR_MESSAGE"), "timed out after 9s");
    assert_eq!(sheet.lines("waits"), [""; 0], "no job began without room");
    assert_eq!(sheet.status()["pending"], 2);
}

#[test]
fn a_reader_of_messages_that_has_stopped_reading_holds_up_no_job_and_no_stop() {
    let sheet = sheet(300);
    // More than the pipe holds: a message has the end of what a command says on stderr.
    let script = "head -c 1000 /dev/zero | tr '\\0' x >&2; exit 1";
    let mut run = sheet.run("-j 2 --show none", script);
    let mut run = Unread::start_with_stderr(&mut run);
    wait_until("all have run", || sheet.status()["pending"] == 0);
    std::thread::sleep(Duration::from_millis(300));
    assert!(
        run.child.try_wait().unwrap().is_none(),
        "its messages are not read yet"
    );
    run.signal(Signal::INT);
    run.ends();
    let mut said = String::new();
    run.reader.read_to_string(&mut said).unwrap();
    assert!(said.contains("failed key=P1 "), "{said}");
}

#[test]
fn a_run_of_which_only_unread_output_is_left_is_ended_by_the_first_signal() {
    for (signal, code) in [(Signal::INT, 130), (Signal::TERM, 143), (Signal::HUP, 143)] {
        let sheet = sheet(2);
        make_block(&sheet);
        let mut run = sheet.run("-j 2", "cat block");
        let stderr = File::create(sheet.folder().join("stderr")).unwrap();
        let mut run = Unread::start_with(&mut run, stderr);
        wait_until("all have run", || sheet.status()["completed"] == 2);
        // It is the end of the session that leaves only what is unread.
        wait_until("the session is over", || {
            sheet.status()["session"].is_null()
        });
        assert!(run.child.try_wait().unwrap().is_none(), "it is not read");
        run.signal(signal);
        run.ends_with(code);
        let said = sheet.lines("stderr").join("\n");
        let words = [
            "ending: what nobody reads is not waited for",
            "the rest of what jobs printed is not shown: nobody reads it",
            "2 done, 0 errors",
        ];
        assert!(words.iter().all(|words| said.contains(words)), "{said}");
        assert!(!said.contains("running commands"), "{said}");
    }
}

#[test]
fn a_signal_while_jobs_run_is_enough_though_what_they_printed_is_not_read() {
    let sheet = sheet(2);
    make_block(&sheet);
    let script = "cat block; echo >> printed; await go";
    let mut run = Unread::start(&mut sheet.run("-j 1", script));
    wait_until("the job has printed", || !sheet.lines("printed").is_empty());
    run.signal(Signal::TERM);
    std::thread::sleep(Duration::from_millis(300));
    fs::write(sheet.folder().join("go"), "").unwrap();
    run.ends_with(143);
    let statuses = ["P1", "P2"].map(|key| sheet.cell(key, "STATUS"));
    assert_eq!(statuses, ["COMPLETED", ""]);
}

#[test]
fn a_reader_is_waited_for_without_a_signal_and_one_that_reads_with_a_signal() {
    for is_ended in [false, true] {
        let sheet = sheet(4);
        make_block(&sheet);
        let options = "-j 1 --halt soon,fail=1";
        let mut run = Unread::start(&mut sheet.run(options, "cat block block; exit 1"));
        wait_until("a job has failed", || sheet.get("P1")["status"] == "ERROR");
        let mut all = Vec::new();
        if is_ended {
            run.signal(Signal::TERM);
            let mut piece = [0; 1 << 18];
            while let length @ 1.. = run.reader.read(&mut piece).unwrap() {
                all.extend_from_slice(&piece[..length]);
                std::thread::sleep(Duration::from_millis(100));
            }
        } else {
            std::thread::sleep(Duration::from_millis(2_500));
            run.reader.read_to_end(&mut all).unwrap();
        }
        assert_eq!(all.len(), 2 << 20);
        run.ends();
    }
}

#[test]
fn an_output_that_was_set_not_to_wait_gets_all_of_it() {
    for option in ["--show lines", "--show lines -q --log-format json"] {
        let sheet = sheet(1);
        let (mut reader, writer) = io::pipe().unwrap();
        rustix::io::ioctl_fionbio(&writer, true).unwrap();
        let script = "seq 50000; seq 50000 >&2";
        let mut run = sheet.run(option, script);
        let mut child = run
            .stdout(writer.try_clone().unwrap())
            .stderr(writer)
            .spawn()
            .unwrap();
        drop(run);
        std::thread::sleep(Duration::from_millis(500));
        let mut all = String::new();
        reader.read_to_string(&mut all).unwrap();
        assert!(child.wait().unwrap().success());
        let numbers = |line: &&str| line.parse::<u32>().is_ok() || line.contains("\"key\":\"P1\"");
        assert_eq!(all.lines().filter(numbers).count(), 100_000, "{option}");
    }
}

#[test]
fn a_reader_that_has_gone_is_no_failure() {
    let sheet = sheet(20);
    let mut run = Unread::start(&mut sheet.run("-j 2", "seq 10000"));
    let mut first = [0; 2];
    run.reader.read_exact(&mut first).unwrap();
    run.reader = io::pipe().unwrap().0;
    run.ends_with(0);
    assert_eq!(sheet.status()["completed"], 20);
}
