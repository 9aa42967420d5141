//! Several processes on one sheet: none loses what another wrote.

use std::fs::File;
use std::io::Write;
use std::os::unix::fs::MetadataExt;
use std::process::Command;
use std::thread;
use std::time::Duration;

use serde_json::{Value, json};

use crate::command_line::{Running, end, wait_until};
use crate::fixture::TempSheet;

/// How many values each of eight shells sets. The environment variable asks for a longer test.
fn values_per_shell() -> usize {
    match std::env::var_os("TICKOFF_TEST_LONG") {
        Some(_) => 50,
        None => 12,
    }
}

const SHELLS: usize = 8;

/// Eight shells, each of which sets the supplier of rows of its own.
#[track_caller]
fn set_from_eight_shells(sheet: &TempSheet) {
    let values = values_per_shell();
    thread::scope(|scope| {
        for shell in 0..SHELLS {
            scope.spawn(move || {
                for i in 0..values {
                    let row = shell * values + i;
                    let cell = format!("SUPPLIER=s{row}");
                    end(sheet.tickoff("set").args([&format!("PO{row}"), &cell])).with(0);
                }
            });
        }
    });
}

#[track_caller]
fn check_all_are_there(sheet: &TempSheet) {
    let table = sheet.table();
    for row in 0..SHELLS * values_per_shell() {
        assert_eq!(table[&format!("PO{row}")]["SUPPLIER"], format!("s{row}"));
    }
}

#[test]
fn eight_shells_that_set_values_lose_none_of_them() {
    let sheet = TempSheet::pending(SHELLS * values_per_shell() + 4);
    let before = sheet.text();
    set_from_eight_shells(&sheet);
    check_all_are_there(&sheet);
    let untouched = |text: &str| {
        text.lines()
            .rev()
            .take(4)
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    assert_eq!(untouched(&sheet.text()), untouched(&before));
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn eight_shells_and_a_run_lose_nothing_of_each_other() {
    let rows = SHELLS * values_per_shell();
    let sheet = TempSheet::pending(rows);
    let run = Running::start(&mut sheet.run("-j 2 --quiet", "await go"));
    wait_until("the run has begun", || {
        sheet.folder().join(".input.csv.journal").exists()
    });
    thread::scope(|scope| {
        scope.spawn(|| set_from_eight_shells(&sheet));
        std::fs::write(sheet.folder().join("go"), "").unwrap();
    });
    run.end().with(0);
    check_all_are_there(&sheet);
    assert!(
        sheet
            .table()
            .values()
            .all(|row| row["STATUS"] == "COMPLETED")
    );
    assert_eq!(sheet.leftovers(), ["go"]);
}

/// A run whose first PO is done and whose second one waits until it may go on.
#[track_caller]
fn run_at_its_second_po(sheet: &TempSheet) -> Running {
    let script = "echo $TICKOFF_PO >> log; test $TICKOFF_PO = PO0 || await go";
    let run = Running::start(&mut sheet.run("-j 1", script));
    wait_until("the second PO is at work", || sheet.lines("log").len() == 2);
    run
}

fn let_go(sheet: &TempSheet) {
    std::fs::write(sheet.folder().join("go"), "").unwrap();
}

#[test]
fn what_a_person_sets_during_a_run_is_not_undone_by_it() {
    let sheet = TempSheet::pending(4);
    let run = run_at_its_second_po(&sheet);
    assert_eq!(sheet.get("PO0")["status"], "COMPLETED");
    end(sheet
        .tickoff("set")
        .args(["PO0", "STATUS=PENDING", "SUPPLIER=mine"]))
    .with(0);
    // Done by hand, so there is nothing left to do for the run.
    end(sheet
        .tickoff("set")
        .args(["PO2", "STATUS=COMPLETED", "LAST_PROCESSED=by hand"]))
    .with(0);
    let_go(&sheet);
    let ended = run.end().with(0);
    let table = sheet.table();
    assert_eq!(
        (
            table["PO0"]["STATUS"].as_str(),
            table["PO0"]["SUPPLIER"].as_str()
        ),
        ("PENDING", "mine")
    );
    assert_eq!(table["PO2"]["LAST_PROCESSED"], "by hand");
    assert_eq!(sheet.lines("log"), ["PO0", "PO1", "PO3"]);
    assert!(
        ended
            .stderr
            .contains("3 done, 0 errors, 0 no attachments, 1 skipped"),
        "{ended:?}"
    );
    assert!(
        !ended.stderr.contains("WARN"),
        "no other tickoff is an outside program: {ended:?}"
    );
}

#[test]
fn of_a_set_and_the_result_of_a_running_job_the_later_wins() {
    let sheet = TempSheet::pending(2);
    let run = run_at_its_second_po(&sheet);
    end(sheet
        .tickoff("set")
        .args(["PO1", "STATUS=ERROR", "ERROR_MESSAGE=by hand"]))
    .with(0);
    let_go(&sheet);
    run.end().with(0);
    let row = &sheet.table()["PO1"];
    assert_eq!(
        (row["STATUS"].as_str(), row["ERROR_MESSAGE"].as_str()),
        ("COMPLETED", "")
    );
}

#[test]
fn a_po_that_a_person_completes_while_its_job_fails_stays_completed() {
    let sheet = TempSheet::pending(1);
    let script = r#"touch begun; await go; echo '{"SUPPLIER":"found"}' > $TICKOFF_RESULT; exit 1"#;
    let run = Running::start(&mut sheet.run("", script));
    wait_until("the job runs", || sheet.folder().join("begun").exists());
    end(sheet
        .tickoff("set")
        .args(["PO0", "STATUS=COMPLETED", "LAST_PROCESSED=by hand"]))
    .with(0);
    let_go(&sheet);
    let ended = run.end().with(1);
    let row = &sheet.table()["PO0"];
    assert_eq!(
        ["STATUS", "LAST_PROCESSED", "ERROR_MESSAGE", "SUPPLIER"].map(|name| row[name].as_str()),
        ["COMPLETED", "by hand", "", "found"],
        "its other cells are written"
    );
    let unplaced = sheet.unplaced();
    assert!(
        unplaced.starts_with("PO_NUMBER;STATUS;ERROR_MESSAGE;LAST_PROCESSED\nPO0;ERROR;exit 1;20"),
        "{unplaced}"
    );
    for said in [
        "WARN a result may not change COMPLETED to ERROR: its status, time and message go to ….unplaced.csv key=PO0",
        "0 done, 0 errors, 0 no attachments, 1 skipped",
        ".unplaced.csv",
    ] {
        assert!(ended.stderr.contains(said), "{said}: {ended:?}");
    }
}

/// Ours, as a session tells it.
fn pid_namespace() -> String {
    let boot = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").unwrap();
    let namespace = std::fs::metadata("/proc/self/ns/pid").unwrap();
    format!("{}:{}", boot.trim(), namespace.ino())
}

#[test]
fn a_run_waits_for_the_lock_that_a_killed_one_left_to_a_job_it_was_starting() {
    let sheet = TempSheet::pending(3);
    let mut killed = Command::new("true").spawn().unwrap();
    killed.wait().unwrap();
    let host = rustix::system::uname().nodename().to_owned();
    let holder = json!({
        "pid": killed.id(),
        "host": host.to_str().unwrap(),
        "session": "killed",
        "started": "2026-11-24T08:00:00Z",
        "pid_namespace": pid_namespace(),
    });
    let mut lock = File::create(sheet.folder().join(".input.csv.session")).unwrap();
    lock.lock().unwrap();
    lock.write_all(holder.to_string().as_bytes()).unwrap();
    let mut run = Running::start(&mut sheet.run("--quiet", "true"));
    thread::sleep(Duration::from_millis(200));
    assert!(run.is_running());
    drop(lock);
    run.end().with(0);
    assert_eq!(sheet.status()["completed"], 3);
}

#[test]
fn a_second_session_is_refused_at_once_and_told_who_holds_the_sheet() {
    let sheet = TempSheet::pending(3);
    let run = run_at_its_second_po(&sheet);
    let session = std::fs::read_to_string(sheet.folder().join(".input.csv.session")).unwrap();
    // What the session tells of itself, once a second, is behind the first line.
    let holder: Value = serde_json::from_str(session.lines().next().unwrap()).unwrap();
    let session = sheet.backup_names()[0]
        .rsplit_once('_')
        .unwrap()
        .1
        .replace(".csv", "");
    let host = rustix::system::uname()
        .nodename()
        .to_string_lossy()
        .into_owned();
    let started = holder["started"]
        .as_str()
        .unwrap()
        .split('.')
        .next()
        .unwrap()
        .trim_end_matches('Z');
    let message = format!(
        "tickoff: DIR/input.csv is in use by process {0} on {host} (session {session}, started {started}Z)\n\
         tickoff: wait until it has ended, or end it with kill {0}, at which it writes what it has; status, pending, get, check and set work meanwhile\n",
        run.id()
    );
    wait_until("the first result is visible", || {
        sheet.text().contains("PO0;COMPLETED")
    });
    let before = sheet.text();
    for (command, arguments) in [
        ("run", &["--", "touch", "ran"][..]),
        ("apply", &[]),
        ("init", &[]),
        ("backup restore", &[]),
    ] {
        let ended = end(sheet.tickoff(command).args(arguments)).with(4);
        assert_eq!(sheet.without_folder(&ended.stderr), message, "{command}");
    }
    let copy_of_other = end(sheet
        .tickoff("run")
        .args(["--output", "copy.csv", "--limit", "1", "--", "true"]))
    .with(0);
    assert_eq!(copy_of_other.stdout, "", "a copy is another sheet");
    assert_eq!(sheet.text(), before);
    assert!(!sheet.folder().join("ran").exists());
    let_go(&sheet);
    run.end().with(0);
    assert_eq!(sheet.status()["completed"], 3);
}

#[test]
fn of_many_runs_started_at_once_one_works_and_the_others_are_refused() {
    let sheet = TempSheet::pending(2);
    let script = "echo $TICKOFF_PO >> log; await go";
    let mut runs: Vec<Running> = (0..6)
        .map(|_| Running::start(&mut sheet.run("-j 1", script)))
        .collect();
    wait_until("all but one have given up", || {
        runs.iter_mut()
            .filter_map(|run| run.is_running().then_some(()))
            .count()
            == 1
    });
    let_go(&sheet);
    let mut codes: Vec<i32> = runs.into_iter().map(|run| run.end().code).collect();
    codes.sort();
    assert_eq!(codes, [0, 4, 4, 4, 4, 4]);
    assert_eq!(sheet.lines("log"), ["PO0", "PO1"]);
    assert_eq!(sheet.backup_names().len(), 1);
}

#[test]
fn readers_wait_for_no_lock() {
    let sheet = TempSheet::pending(3);
    let run = run_at_its_second_po(&sheet);
    let lock = File::open(sheet.folder().join(".input.csv.lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let want = json!({"total": 3, "completed": 1, "pending": 2, "error": 0, "no_attachments": 0, "other": 0});
    assert_eq!(sheet.counts(), want);
    assert_eq!(sheet.get("PO0")["status"], "COMPLETED");
    assert_eq!(
        end(&mut sheet.tickoff("pending")).with(0).stdout,
        "PO1\nPO2\n"
    );
    end(&mut sheet.tickoff("check")).with(0);
    end(&mut sheet.tickoff("backup list")).with(0);
    drop(lock);
    let_go(&sheet);
    run.end().with(0);
}

#[test]
fn whoever_reads_during_a_run_sees_a_complete_sheet_and_counts_that_only_grow() {
    let sheet = TempSheet::pending(60);
    let mut run = Running::start(&mut sheet.run("-j 2 --quiet", "true"));
    let mut last = 0;
    while run.is_running() {
        let counts = sheet.status();
        let count = |name: &str| counts[name].as_u64().unwrap();
        assert_eq!(
            (count("total"), count("completed") + count("pending")),
            (60, 60),
            "{counts}"
        );
        assert!(count("completed") >= last, "{counts} after {last}");
        last = count("completed");
        assert_eq!(sheet.table().len(), 60);
    }
    run.end().with(0);
}

#[test]
fn a_handler_that_was_open_during_a_session_does_not_make_it_look_interrupted() {
    let sheet = TempSheet::pending(3);
    let run = run_at_its_second_po(&sheet);
    let handler = sheet.open();
    let_go(&sheet);
    run.end().with(0);
    handler
        .update_record("PO0", [("SUPPLIER", "late")])
        .unwrap();
    drop(handler);
    assert_eq!(sheet.cell("PO0", "SUPPLIER"), "late");
    assert_eq!(sheet.leftovers(), ["go", "log"]);
    end(&mut sheet.run("--force --quiet", "true")).with(0);
    assert_eq!(
        sheet.backup_names().len(),
        2,
        "the next session is another one, with its own backup"
    );
}

#[test]
fn a_worker_waits_until_its_result_is_durable_before_it_takes_its_next_po() {
    let sheet = TempSheet::pending(2);
    let run = Running::start(&mut sheet.run("-j 1", "echo $TICKOFF_PO >> log; await go"));
    wait_until("the first job runs", || sheet.lines("log") == ["PO0"]);
    // While somebody else has the lock nothing becomes durable.
    let lock = File::open(sheet.folder().join(".input.csv.lock")).unwrap();
    fs2::FileExt::lock_exclusive(&lock).unwrap();
    let_go(&sheet);
    thread::sleep(Duration::from_millis(300));
    assert_eq!(sheet.lines("log"), ["PO0"]);
    drop(lock);
    run.end().with(0);
    assert_eq!(sheet.lines("log"), ["PO0", "PO1"]);
}
