//! One judgement of a sheet: what a run refuses with exit code 3, `check` calls an error, and a dry run and
//! every other command that writes refuses as well; what `check` passes, they take.

use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::process::Command;

use crate::command_line::{Ended, end};
use crate::fixture::TempSheet;

/// What works on a sheet, and what only says whether it would.
const COMMANDS: [(&str, &[&str]); 5] = [
    ("check", &[]),
    ("run --dry-run", &["--", "true"]),
    ("run -q", &["--", "true"]),
    ("init", &[]),
    ("apply", &[]),
];

/// Ends all of them on a sheet that `make` makes, each on its own, and returns whether they refused it.
#[track_caller]
fn check_all_agree(what: &str, make: impl Fn() -> TempSheet) -> bool {
    check_as(what, |_| {}, make)
}

#[track_caller]
fn check_as(what: &str, user: fn(&mut Command), make: impl Fn() -> TempSheet) -> bool {
    let ended: Vec<Ended> = COMMANDS
        .iter()
        .map(|(command, arguments)| {
            let sheet = make();
            let mut program = sheet.tickoff(command);
            user(&mut program);
            end(program.args(*arguments))
        })
        .collect();
    let refused: Vec<bool> = ended.iter().map(|ended| ended.code == 3).collect();
    assert!(
        refused.iter().all(|&is| is == refused[0]),
        "{what}: {ended:#?}"
    );
    let says_why = ended[0].stdout.contains(": error: ");
    assert_eq!(says_why, refused[0], "{what}: {:#?}", ended[0]);
    refused[0]
}

#[track_caller]
fn check_contents(contents: impl AsRef<[u8]>, is_refused: bool) {
    let contents = contents.as_ref();
    let what = String::from_utf8_lossy(&contents[..contents.len().min(60)]).into_owned();
    let refused = check_all_agree(&what, || TempSheet::new(contents));
    assert_eq!(refused, is_refused, "{what}");
}

#[test]
fn of_contents_that_are_no_sheet() {
    for contents in [
        "",
        "\n\n",
        "ID;STATUS\n1;\n",
        "PO_NUMBER;STATUS\n\"P1;\n",
        "PO_NUMBER;STATUS\rP1;\r",
        "PO_NUMBER;STATUS\nP\0;\n",
        "PO_NUMBER;STATUS;status\nP1;;\n",
        "PO_NUMBER;STATUS\nP1;\nP1;\n",
    ] {
        check_contents(contents, true);
    }
    check_contents(b"PO_NUMBER;STATUS\nP\xe9;\n", true);
    check_contents(b"\xff\xfeP\0O\0", true);
    check_contents(["PO_NUMBER\nP1", &";".repeat(16_384), "\n"].concat(), true);
}

#[test]
fn of_contents_that_are_odd() {
    for contents in [
        "PO_NUMBER;STATUS\n",
        "PO_NUMBER",
        "PO_NUMBER;STATUS\nP1;;x\n",
        "PO_NUMBER;STATUS\nP1;;;x\n",
        "PO_NUMBER;STATUS\nP1;\n;\n",
        "PO_NUMBER;STATUS;LAST_PROCESSED\nP1;COMPLETED;\nP2\n",
        "PO_NUMBER;STATUS\n\nP1;\n\n",
    ] {
        check_contents(contents, false);
    }
    check_contents(b"PO_NUMBER;STATUS;note\nP1;;\xe9\n", false);
}

#[test]
fn of_a_row_in_which_the_columns_of_a_run_or_a_result_have_no_room() {
    let wide = |fields: usize| format!("PO_NUMBER;note\nP1{}\nP2;\n", ";x".repeat(fields - 1));
    check_contents(wide(16_381), false);
    check_contents(wide(16_382), true);
    let long = |bytes: usize| format!("PO_NUMBER;note\nP1;{}\nP2;\n", "x".repeat(bytes));
    check_contents(long((8 << 20) - 100), false);
    check_contents(long(8 << 20), true);
}

#[test]
fn of_a_header_in_which_the_columns_of_a_run_have_no_room() {
    let header = |columns: usize| {
        let more: String = (1..columns).map(|n| format!(";c{n}")).collect();
        format!("PO_NUMBER{more}\nP1\n")
    };
    check_contents(header(16_381), false);
    check_contents(header(16_382), true);
    check_contents(header(16_384), true);
    let sheet = TempSheet::new(header(16_383));
    let ended = end(&mut sheet.run("-q", "true")).with(3);
    let told = sheet.without_folder(&ended.stderr);
    assert!(
        told.contains(
            ": no room for STATUS, LAST_PROCESSED, ERROR_MESSAGE: a row has at most 16384 fields\n"
        ),
        "{told}"
    );
    assert_eq!(sheet.text(), header(16_383));
    assert_eq!(sheet.backup_names(), [""; 0]);
    end(sheet.tickoff("set").args(["P1", "c7=x"])).with(0);
}

#[test]
fn of_files_of_ours_and_a_folder_of_backups_that_cannot_be_used() {
    for name in [
        ".input.csv.lock",
        ".input.csv.session",
        ".input.csv.journal",
    ] {
        let refused = check_all_agree(name, || {
            let sheet = TempSheet::new("PO_NUMBER\nP1\n");
            symlink("elsewhere", sheet.folder().join(name)).unwrap();
            sheet
        });
        assert!(refused, "{name}");
    }
    let refused = check_all_agree("backup", || {
        let sheet = TempSheet::new("PO_NUMBER\nP1\n");
        std::fs::write(sheet.backups(), "").unwrap();
        sheet
    });
    assert!(refused);
}

const NOBODY: u32 = 65_534;

fn as_nobody(command: &mut Command) {
    use std::os::unix::process::CommandExt;
    command.uid(NOBODY).gid(NOBODY);
}

/// Whether another user can run the program; otherwise the test is skipped, and says so.
fn can_be_run_by_nobody() -> bool {
    let mut probe = crate::command_line::tickoff();
    as_nobody(&mut probe);
    let can = rustix::process::geteuid().is_root() && probe.arg("--version").output().is_ok();
    if !can {
        eprintln!("SKIPPED: only root can run the program as another user, if that one may run it");
    }
    can
}

#[test]
fn of_a_sheet_and_a_folder_of_somebody_else() {
    if !can_be_run_by_nobody() {
        return;
    }
    let made = |folder_mode: u32, owner: u32| {
        move || {
            let sheet = TempSheet::new("PO_NUMBER\nP1\n");
            chown(sheet.path(), Some(owner), Some(owner)).unwrap();
            let mode = std::fs::Permissions::from_mode(folder_mode);
            std::fs::set_permissions(sheet.folder(), mode).unwrap();
            sheet
        }
    };
    assert!(!check_as("its own", as_nobody, made(0o777, NOBODY)));
    assert!(check_as("root's", as_nobody, made(0o777, 0)));
    assert!(check_as(
        "a folder to look at",
        as_nobody,
        made(0o755, NOBODY)
    ));
}

#[test]
fn of_a_sheet_that_is_mounted_by_itself() {
    let folder = tempfile::tempdir().unwrap();
    let source = folder.path().join("source.csv");
    std::fs::write(&source, "PO_NUMBER\nP1\n").unwrap();
    let made = || {
        let sheet = TempSheet::new("");
        let mount = Command::new("mount")
            .arg("--bind")
            .arg(&source)
            .arg(sheet.path())
            .output();
        mount
            .is_ok_and(|mount| mount.status.success())
            .then_some(sheet)
    };
    for (command, arguments) in COMMANDS {
        let Some(sheet) = made() else {
            eprintln!("SKIPPED: a file cannot be mounted here, which takes root");
            return;
        };
        let ended = end(sheet.tickoff(command).args(arguments));
        let unmounted = Command::new("umount").arg("-l").arg(sheet.path()).status();
        assert!(unmounted.is_ok_and(|status| status.success()));
        let told = ended.stdout.clone() + &ended.stderr;
        assert!(
            told.contains("is mounted as a single file"),
            "{command}: {ended:#?}"
        );
        ended.with(3);
    }
}

#[test]
fn other_names_of_the_sheet_are_told_of_and_no_reason_to_refuse_it() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    std::fs::hard_link(sheet.path(), sheet.folder().join("other.csv")).unwrap();
    let ended = end(&mut sheet.tickoff("check")).with(0);
    assert!(
        ended
            .stdout
            .contains("input.csv:1:1: warning: the sheet has several hard links"),
        "{ended:#?}"
    );
    end(&mut sheet.run("", "true")).with(0);
}

#[test]
fn a_copy_that_could_not_be_made_is_refused_by_a_dry_run_too() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    std::fs::write(sheet.folder().join("no-folder"), "").unwrap();
    for dry in ["", "--dry-run"] {
        let run = format!("--output no-folder/copy.csv {dry}");
        end(&mut sheet.run(&run, "true")).with(3);
    }
}

#[test]
fn a_header_without_rows_is_an_empty_sheet_for_every_command() {
    for (command, arguments) in [
        ("status", &[][..]),
        ("pending", &[]),
        ("check", &[]),
        ("init", &[]),
        ("apply", &[]),
        ("run", &["--", "false"]),
        ("run --dry-run", &["--", "false"]),
        ("run --output copy.csv", &["--", "false"]),
        ("run --where STATUS=ERROR", &["--", "false"]),
        ("run --retry-failed", &["--", "false"]),
        ("run --worker-protocol jsonl", &["--", "false"]),
        ("watch", &[]),
        ("report --html report.html --xlsx report.xlsx", &[]),
        ("backup create", &[]),
        ("backup list", &[]),
        ("backup prune", &[]),
    ] {
        for contents in ["PO_NUMBER;STATUS\n", "po_number"] {
            let sheet = TempSheet::new(contents);
            let ended = end(sheet.tickoff(command).args(arguments));
            assert_eq!(ended.code, 0, "{command}: {ended:#?}");
        }
    }
}

/// Odd sheets, each with whether a run refuses it.
const ODD: &[(&str, bool)] = &[
    ("PO_NUMBER\nP1\n", false),
    ("po_number \nP1", false),
    ("\u{feff}PO_NUMBER;STATUS\r\nP1;\r\n", false),
    ("\u{feff}\u{feff}PO_NUMBER;STATUS\nP1;\n", true),
    ("PO_NUMBER\u{200b};STATUS\nP1;\n", true),
    ("PO_NUMBER\u{a0};STATUS\nP1;\n", false),
    ("РО_NUMBER;STATUS\nP1;\n", true),
    ("PO_NUMBER;STАTUS\nP1;active\n", false),
    ("PO_NUMBER;STATUS\u{200b}\nP1;active\n", false),
    ("PO_NUMBER;STATUS\nP1;active\n", true),
    ("PO_NUMBER;STATUS\nP1;\n\u{1a}", false),
    ("PO_NUMBER\nP1\n\u{1a}\n", false),
    ("PO_NUMBER\n\u{1a}", false),
    ("PO_NUMBER\n\u{1a}\n\u{1a}\n", false),
    ("PO_NUMBER;STATUS\n\u{1a};active\n", false),
    ("PO_NUMBER\n\u{200b}\n", false),
    ("PO_NUMBER;Note;Note\nP1;;\n", false),
    ("PO_NUMBER;po_number\nP1;P1\n", true),
    ("PO_NUMBER;LAST_PROCESSED;Last_Processed \nP1;;\n", true),
    ("PO_NUMBER;ocr_STATUS;OCR_STATUS\nP1;;\n", false),
    ("PO_NUMBER;;;\nP1;;;\n", false),
    ("PO_NUMBER\nP1\nP1\u{200b}\nР1\nP１\nP 1\n", false),
    ("PO_NUMBER\nP1\n P1\u{a0}\n", true),
    ("PO_NUMBER\nP1\n\"P1\"\n", true),
    ("PO_NUMBER\np1\nP1\n", false),
    ("PO_NUMBER;x\nP1;\u{202e}\n", false),
    ("PO_NUMBER;x\nP1;\"a\nb\"\n", false),
    ("PO_NUMBER;x\nP1;\"a\n", true),
    ("PO_NUMBER;x\nP1;a\rb\n", true),
    ("PO_NUMBER;x\nP1;a\0b\n", true),
    ("PO_NUMBER,x\nP1,1\n", false),
    ("PO_NUMBER\tx\nP1\t1\n", false),
    ("PO_NUMBER|x\nP1|1\n", true),
    ("PO_NUMBER;x\n;\n;\n", false),
    ("PO_NUMBER;ERROR_MESSAGE\nP1;late\n", true),
    ("PO_NUMBER;STATUS;ERROR_MESSAGE\nP1;;late\n", false),
    (
        "PO_NUMBER;STATUS;LAST_PROCESSED\nP1;odd;2026-01-02T03:04:05Z\n",
        false,
    ),
    ("\u{1a}", true),
    ("\u{feff}", true),
];

#[test]
fn check_a_dry_run_and_a_run_end_alike_on_every_odd_sheet() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/data");
    let samples = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path());
    let samples = samples.filter(|path| path.extension().is_some_and(|end| end == "csv"));
    let samples: Vec<Vec<u8>> = samples.map(|path| std::fs::read(path).unwrap()).collect();
    assert!(samples.len() > 5);
    let odd = ODD
        .iter()
        .map(|&(sheet, refused)| (sheet.as_bytes(), refused));
    for (contents, is_refused) in odd.chain(samples.iter().map(|sheet| (&sheet[..], false))) {
        let what = String::from_utf8_lossy(&contents[..contents.len().min(60)]);
        let code = if is_refused { 3 } else { 0 };
        for (command, arguments) in [("check", &[][..]), ("run --dry-run", &["--", "true"])] {
            let sheet = TempSheet::new(contents);
            let ended = end(sheet.tickoff(command).args(arguments));
            assert_eq!(ended.code, code, "{what:?} {command}: {ended:#?}");
        }
        let sheet = TempSheet::new(contents);
        let ended = end(sheet.tickoff("run -j 8").args(["--", "true"]));
        assert_eq!(ended.code, code, "{what:?}: {ended:#?}");
        if is_refused {
            assert_eq!(std::fs::read(sheet.path()).unwrap(), contents, "{what:?}");
        }
    }
}
