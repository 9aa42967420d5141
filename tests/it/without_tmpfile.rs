//! A filesystem that has no files without a name: new files have a hidden one until they are whole.

use std::process::{Command, Stdio};
use std::time::Duration;

use crate::command_line::{Running, end, program, tickoff, wait_until};
use crate::fixture::TempSheet;

fn poor(mut command: Command) -> Command {
    command.env("TICKOFF_POOR_SYSTEM", "tmpfile");
    command
}

/// `tickoff set` as process 1 of a container, with a delay at some of its system calls.
fn set_in_a_container(sheet: &TempSheet, po: &str, call: &str, delay: &str) -> Running {
    let mut container = Command::new("unshare");
    container
        .args(["-p", "-f", "--mount-proc", "strace", "-f", "-qq"])
        .args(["-o", "/dev/null", "-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:{delay}")])
        .arg(program())
        .arg("set")
        .arg(sheet.path())
        .args([po, "note=set"]);
    Running::start(&mut poor(container))
}

fn can_make_containers() -> bool {
    let mut container = Command::new("unshare");
    container.args([
        "-p",
        "-f",
        "--mount-proc",
        "strace",
        "-o",
        "/dev/null",
        "true",
    ]);
    let made = container.stderr(Stdio::null()).status();
    let can = made.is_ok_and(|status| status.success());
    if !can {
        eprintln!(
            "SKIPPED: a process cannot be traced in a namespace of its own here, which takes root and strace"
        );
    }
    can
}

/// When a temporary name was made of the process's number, the second one removed the file that the first
/// one was syncing, and the first one put the half-written file of the second into the sheet's place.
#[test]
fn two_containers_on_one_volume_leave_each_others_files_alone() {
    const ROWS: usize = 8_000;
    if !can_make_containers() {
        return;
    }
    let text = |row: usize| format!("PO{row};;{};;\n", "n".repeat(80));
    let rows: String = (0..ROWS).map(text).collect();
    let sheet = TempSheet::new(format!(
        "PO_NUMBER;STATUS;note;LAST_PROCESSED;ERROR_MESSAGE\n{rows}"
    ));
    let mut one = set_in_a_container(&sheet, "PO100", "fsync", "delay_enter=1500000:when=2");
    wait_until("its new version is written", || {
        let is_long = |name: &String| {
            let metadata = std::fs::metadata(sheet.folder().join(name));
            name.ends_with(".tmp")
                && metadata.is_ok_and(|metadata| metadata.len() > 90 * ROWS as u64)
        };
        sheet.leftovers().iter().any(is_long)
    });
    let mut other = set_in_a_container(&sheet, "PO7000", "write", "delay_enter=700000");
    while one.is_running() || other.is_running() {
        let text = sheet.text();
        assert!(
            text.lines().count() == ROWS + 1 && text.ends_with('\n') && !text.contains('\0'),
            "a torn sheet of {} bytes",
            text.len()
        );
        std::thread::sleep(Duration::from_millis(5));
    }
    for set in [one, other] {
        let ended = set.end().with(0);
        assert_eq!(ended.stderr, "", "{ended:?}");
    }
    for po in ["PO100", "PO7000"] {
        assert_eq!(sheet.cell(po, "note"), "set", "{po}");
    }
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn a_run_with_an_output_makes_the_copy_and_leaves_nothing_else() {
    let sheet = TempSheet::pending(3);
    let before = sheet.text();
    let mut run = poor(sheet.tickoff("run"));
    run.args(["--output", "copy.csv", "--quiet", "--", "true"]);
    end(&mut run).with(0);
    assert_eq!(sheet.text(), before);
    let copy = sheet.folder().join("copy.csv");
    let copied = std::fs::read_to_string(&copy).unwrap();
    assert_eq!(copied.matches(";COMPLETED;").count(), 3, "{copied}");
    assert_eq!(
        sheet.leftovers(),
        [
            ".copy.csv.journal",
            ".copy.csv.lock",
            ".copy.csv.session",
            "copy.csv"
        ]
    );
    let names = sheet.backup_names();
    assert!(
        names.len() == 1 && names[0].starts_with("copy_"),
        "{names:?}"
    );
}

#[test]
fn a_report_takes_its_name_and_leaves_nothing_else() {
    let sheet = TempSheet::pending(3);
    for _ in 0..2 {
        let mut report = poor(tickoff());
        report
            .args([
                "report",
                "input.csv",
                "--html",
                "page.html",
                "--xlsx",
                "book.xlsx",
            ])
            .current_dir(sheet.folder());
        end(&mut report).with(0);
        assert_eq!(sheet.leftovers(), ["book.xlsx", "page.html"]);
    }
}
