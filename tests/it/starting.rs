//! A command that cannot be started: it is no result of any row, and ends the run.

use std::fs::{self, Permissions};
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::command_line::{Running, end, wait_until};
use crate::fixture::TempSheet;

const SHEET: &str =
    "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;\nP2;ERROR;;why\nP3;;;\nP4;;;\n";

/// Writes an executable file into the sheet's folder.
fn program(sheet: &TempSheet, name: &str, contents: &str) {
    let path = sheet.folder().join(name);
    fs::write(&path, contents).unwrap();
    fs::set_permissions(path, Permissions::from_mode(0o755)).unwrap();
}

#[track_caller]
fn statuses(sheet: &TempSheet) -> [String; 4] {
    ["P1", "P2", "P3", "P4"].map(|po| sheet.cell(po, "STATUS"))
}

/// Plain, in a dry run, and as a worker: refused before anything is changed.
#[track_caller]
fn check_refused(sheet: &TempSheet, command: &[&str], code: i32, said: &str) {
    for options in [&[][..], &["--dry-run"], &["--worker-protocol", "jsonl"]] {
        let mut run = sheet.tickoff("run");
        run.args(options).arg("--").args(command);
        let ended = end(&mut run).with(code);
        assert_eq!(ended.stderr, format!("tickoff: {said}\n"), "{options:?}");
        assert_eq!(sheet.text(), SHEET);
        assert!(!sheet.backups().exists() && !sheet.folder().join(".input.csv.lock").exists());
    }
}

#[test]
fn a_whole_command_in_quotes_is_refused_with_what_is_to_be_typed() {
    let sheet = TempSheet::new(SHEET);
    let in_quotes = "is one word with a blank in it, and no program is called so: type the command without the quotes around it, as in --";
    program(&sheet, "fetch", "#!/bin/sh\n");
    for word in ["echo {}", "./fetch {}", "nosuchprogram -a"] {
        check_refused(&sheet, &[word], 127, &format!("{word} {in_quotes} {word}"));
    }
}

#[test]
fn a_script_that_no_system_starts_is_refused_with_the_reason() {
    let sheet = TempSheet::new(SHEET);
    program(&sheet, "job", "#!/usr/bin/pyton3\n");
    check_refused(
        &sheet,
        &["./job", "x"],
        127,
        "the first line of ./job names a program that cannot be started: /usr/bin/pyton3 is not found",
    );
    program(&sheet, "job", "#!/bin/sh\r\nexit\r\n");
    check_refused(
        &sheet,
        &["./job", "x"],
        127,
        "the first line of ./job ends with a carriage return, which is taken for a part of the program's name: save the script with line ends of Unix (sed -i 's/\\r$//' ./job)",
    );
    program(&sheet, "job", "echo hello\n");
    check_refused(
        &sheet,
        &["./job", "x"],
        126,
        "./job cannot be executed: a script needs a first line like #!/bin/sh",
    );
}

#[test]
fn a_program_that_vanishes_ends_the_run_and_what_runs_is_recorded() {
    let sheet = TempSheet::new(SHEET);
    program(
        &sheet,
        "job",
        "#!/bin/sh\ncase $1 in\nP1) while [ ! -e go ] && [ -e $PWD ]; do sleep 0.01; done;;\nP2) rm $0;;\nesac\n",
    );
    let mut run = sheet.tickoff("run");
    run.args(["-j", "2", "--joblog", "log", "--", "./job", "{}"]);
    let run = Running::start(&mut run);
    run.wait_until_it_says(
        "./job is not found: the run ends, and rows without a result keep their state",
    );
    fs::write(sheet.folder().join("go"), "").unwrap();
    let ended = run.end().with(127);
    assert_eq!(ended.stderr.matches("the run ends").count(), 1, "{ended:?}");
    assert!(
        ended.stderr.contains("2 left for the next run"),
        "{ended:?}"
    );
    assert_eq!(statuses(&sheet), ["COMPLETED", "COMPLETED", "", ""]);
    let log = fs::read_to_string(sheet.folder().join("log")).unwrap();
    assert!(log.contains("\t127\t0\t./job P3\tP3\n"), "{log}");

    program(&sheet, "job", "#!/bin/sh\n");
    end(sheet.tickoff("run").args(["--", "./job", "{}"])).with(0);
    assert_eq!(statuses(&sheet), ["COMPLETED"; 4]);
}

#[test]
fn a_program_that_may_not_be_run_any_more_ends_the_run() {
    for spoilt in ["chmod -x $0", "echo echo >new; chmod +x new; mv new $0"] {
        let sheet = TempSheet::new(SHEET);
        program(&sheet, "job", &format!("#!/bin/sh\n{spoilt}\n"));
        end(sheet.tickoff("run").args(["-j", "1", "--", "./job"])).with(126);
        assert_eq!(statuses(&sheet), ["COMPLETED", "ERROR", "", ""], "{spoilt}");
        assert_eq!(sheet.cell("P2", "ERROR_MESSAGE"), "why");
    }
}

#[test]
fn a_worker_that_cannot_be_started_again_ends_the_run() {
    let sheet = TempSheet::new(SHEET);
    let answer = r#"id=${request#\{\"id\":}; echo "{\"id\":${id%%,*},\"updates\":{}}""#;
    program(
        &sheet,
        "job",
        &format!("#!/bin/sh\nread -r request; rm $0; {answer}; read -r request\n"),
    );
    let options = [
        "-j",
        "1",
        "--worker-protocol",
        "jsonl",
        "--recycle-after",
        "1",
    ];
    let ended = end(sheet.tickoff("run").args(options).args(["--", "./job"])).with(127);
    assert!(
        ended.stderr.contains("./job is not found: the run ends"),
        "{ended:?}"
    );
    assert_eq!(statuses(&sheet), ["COMPLETED", "ERROR", "", ""]);
}

#[test]
fn a_program_that_a_row_names_is_an_error_of_that_row() {
    for program in ["{}", "{Tool}"] {
        let sheet = TempSheet::new(
            "PO_NUMBER;STATUS;TOOL\n/no/program;;/no/program\ntrue;;true\n/no/other;;/no/other\n",
        );
        end(sheet.tickoff("run").args(["-j", "1", "--", program])).with(1);
        let status = |po: &str| sheet.cell(po, "STATUS");
        assert_eq!(
            ["/no/program", "true", "/no/other"].map(status),
            ["ERROR", "COMPLETED", "ERROR"]
        );
        assert_eq!(
            sheet.cell("/no/program", "ERROR_MESSAGE"),
            "cannot start: /no/program: No such file or directory (os error 2)"
        );
    }
}

#[test]
fn a_program_that_is_being_written_is_waited_for_until_ctrl_c() {
    let sheet = TempSheet::new(SHEET);
    let job = sheet.folder().join("job");
    fs::copy("/bin/true", &job).unwrap();
    let write = |path: &Path| fs::File::options().append(true).open(path).unwrap();

    let writing = write(&job);
    let mut run = sheet.tickoff("run");
    run.args(["-j", "1", "--", "./job"]);
    let first = Running::start(&mut run);
    first.wait_until_it_says("./job cannot be started yet, and is tried again: Text file busy");
    first.signal(rustix::process::Signal::INT);
    first.end().with(130);
    assert_eq!(statuses(&sheet), ["", "ERROR", "", ""]);

    let mut second = Running::start(&mut run);
    wait_until("it has begun", || {
        !second.is_running() || sheet.has_open_journal()
    });
    drop(writing);
    second.end().with(0);
    assert_eq!(statuses(&sheet), ["COMPLETED"; 4]);
}
