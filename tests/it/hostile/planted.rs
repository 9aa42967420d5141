//! Files that somebody put under the names that tickoff uses: nothing is written through them, none
//! of them stops the program for ever, and what they cost is an error in plain words.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::Command;

use rustix::fs::{CWD, FileType, Mode, mknodat};

use crate::command_line::{Ended, end};
use crate::fixture::TempSheet;
use crate::hostile::{NOBODY, survive};

const TEXT: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;\n";
const VICTIM: &str = "precious";

/// What is planted.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Plant {
    LinkToFile,
    LinkToNothing,
    LinkToFolder,
    Pipe,
    Folder,
    Device,
    Socket,
}

const PLANTS: [Plant; 7] = [
    Plant::LinkToFile,
    Plant::LinkToNothing,
    Plant::LinkToFolder,
    Plant::Pipe,
    Plant::Folder,
    Plant::Device,
    Plant::Socket,
];

impl Plant {
    /// `false` if that takes rights which are not here.
    fn at(self, path: &Path, victims: &Path) -> bool {
        match self {
            Plant::LinkToFile => symlink(victims.join("file"), path).unwrap(),
            Plant::LinkToNothing => symlink(victims.join("nothing"), path).unwrap(),
            Plant::LinkToFolder => symlink(victims.join("folder"), path).unwrap(),
            Plant::Pipe => {
                mknodat(CWD, path, FileType::Fifo, Mode::from_raw_mode(0o666), 0).unwrap()
            }
            Plant::Folder => fs::create_dir(path).unwrap(),
            Plant::Socket => drop(std::os::unix::net::UnixListener::bind(path).unwrap()),
            Plant::Device => {
                // /dev/zero, which never ends.
                let zero = rustix::fs::makedev(1, 5);
                let made = mknodat(
                    CWD,
                    path,
                    FileType::CharacterDevice,
                    Mode::from_raw_mode(0o666),
                    zero,
                );
                if made.is_err() {
                    eprintln!("SKIPPED: a device cannot be made here, which takes root");
                    return false;
                }
            }
        }
        true
    }
}

/// Plants each of them under a name, runs `command`, and holds that it ended, that no victim was
/// touched and that the sheet is what it was or has the result. Gives what was said to `judge`.
#[track_caller]
fn check(name: &str, command: &str, arguments: &[&str], judge: impl Fn(Plant, &Ended, &TempSheet)) {
    for plant in PLANTS {
        let sheet = TempSheet::new(TEXT);
        let victims = tempfile::tempdir().unwrap();
        fs::write(victims.path().join("file"), VICTIM).unwrap();
        fs::create_dir(victims.path().join("folder")).unwrap();
        fs::write(victims.path().join("folder/file"), VICTIM).unwrap();
        let planted = sheet.folder().join(name);
        if !plant.at(&planted, victims.path()) {
            continue;
        }
        let ended = survive(sheet.tickoff(command).args(arguments));
        let victim = |name: &str| fs::read_to_string(victims.path().join(name)).unwrap();
        assert_eq!(
            (victim("file"), victim("folder/file")),
            (VICTIM.into(), VICTIM.into()),
            "{plant:?}"
        );
        assert!(!victims.path().join("nothing").exists(), "{plant:?}");
        let text = sheet.text();
        if ended.code != 0 {
            assert_eq!(text, TEXT, "{plant:?}: {ended:?}");
        }
        judge(plant, &ended, &sheet);
    }
}

#[track_caller]
fn check_refused(name: &str) {
    for (command, arguments) in [
        ("run", &["--quiet", "--", "true"][..]),
        ("set", &["P1", "STATUS=ERROR"]),
        ("init", &[]),
    ] {
        check(name, command, arguments, |plant, ended, sheet| {
            if name.ends_with(".session") && command == "set" {
                return assert_eq!(ended.code, 0, "a set is no session: {ended:?}");
            }
            assert_eq!(ended.code, 3, "{plant:?}: {ended:?}");
            let said = sheet.without_folder(&ended.stderr);
            assert!(said.contains(&format!("DIR/{name}")), "{plant:?}: {said}");
            assert!(
                sheet.folder().join(name).symlink_metadata().is_ok(),
                "{plant:?} is left alone"
            );
        });
    }
}

#[test]
fn at_the_name_of_the_write_lock() {
    check_refused(".input.csv.lock");
}

#[test]
fn at_the_name_of_the_session_lock() {
    check_refused(".input.csv.session");
}

#[test]
fn at_the_name_of_the_journal() {
    check_refused(".input.csv.journal");
    for command in ["status", "pending", "check"] {
        check(".input.csv.journal", command, &[], |plant, ended, _| {
            assert_eq!(ended.code, 3, "{plant:?}: {ended:?}");
        });
    }
}

#[test]
fn at_the_names_of_temporary_files() {
    for name in [
        ".input.csv.0123456789abcdef-1-00000000000000000000000000000000.tmp",
        ".input.csv.0123456789abcdef.tmp",
        // As they were before they were random.
        ".input.csv.journal.next",
        ".input.csv.1-00000000000000000000000000000000.tmp",
        ".input.csv.new-1.tmp",
        ".input.csv.tmp",
    ] {
        check(
            name,
            "run",
            &["--quiet", "--", "true"],
            |plant, ended, sheet| {
                assert_eq!(ended.code, 0, "{name} {plant:?}: {ended:?}");
                assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
                assert!(
                    sheet.folder().join(name).symlink_metadata().is_ok(),
                    "{name} {plant:?} is left alone"
                );
            },
        );
    }
}

#[test]
fn at_the_name_of_the_backup_folder() {
    check(
        "backup",
        "run",
        &["--quiet", "--", "true"],
        |plant, ended, sheet| {
            // A link to a folder may be meant: somebody keeps backups on another disk.
            if matches!(plant, Plant::LinkToFolder | Plant::Folder) {
                assert_eq!(ended.code, 0, "{plant:?}: {ended:?}");
                assert_eq!(
                    sheet
                        .backup_names()
                        .iter()
                        .filter(|name| name.starts_with("input_"))
                        .count(),
                    1
                );
            } else {
                assert_eq!(ended.code, 3, "{plant:?}: {ended:?}");
                assert_eq!(sheet.leftovers(), [""; 0]);
            }
        },
    );
}

#[test]
fn among_the_backups() {
    const NAME: &str = "input_20260105_101500_planted.csv";
    for plant in PLANTS {
        let sheet = TempSheet::new(TEXT);
        let victims = tempfile::tempdir().unwrap();
        fs::write(victims.path().join("file"), VICTIM).unwrap();
        fs::create_dir(victims.path().join("folder")).unwrap();
        fs::create_dir(sheet.backups()).unwrap();
        if !plant.at(&sheet.backups().join(NAME), victims.path()) {
            continue;
        }
        let listed = survive(&mut sheet.tickoff("backup list")).with(0);
        assert!(!listed.stdout.contains("planted"), "{plant:?}: {listed:?}");
        survive(sheet.tickoff("backup prune").args(["--keep", "1"])).with(0);
        survive(sheet.tickoff("backup restore").arg("latest")).with(3);
        survive(sheet.tickoff("backup restore").arg(NAME)).with(3);
        assert!(
            sheet.backups().join(NAME).symlink_metadata().is_ok(),
            "{plant:?} is left alone"
        );
        assert_eq!(sheet.text(), TEXT);
        assert_eq!(
            fs::read_to_string(victims.path().join("file")).unwrap(),
            VICTIM
        );
    }
}

/// A lock, a session or a journal of another user is not trusted by anybody but root's own.
#[test]
fn what_belongs_to_another_user_is_refused() {
    const SOMEBODY: u32 = 65533;
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can make files of other users");
        return;
    }
    for name in [
        ".input.csv.lock",
        ".input.csv.session",
        ".input.csv.journal",
    ] {
        let sheet = TempSheet::new(TEXT);
        for path in [sheet.folder(), sheet.path()] {
            chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
        }
        let planted = sheet.folder().join(name);
        fs::write(&planted, "planted").unwrap();
        fs::set_permissions(&planted, fs::Permissions::from_mode(0o666)).unwrap();
        chown(&planted, Some(SOMEBODY), Some(SOMEBODY)).unwrap();
        // As the sheet's owner, and as root.
        for user in [NOBODY, 0] {
            let mut run = sheet.tickoff("run");
            run.args(["--quiet", "--", "true"]).uid(user).gid(user);
            if !can_be_started(&mut run) {
                continue;
            }
            let ended = survive(&mut run).with(3);
            let said = sheet.without_folder(&ended.stderr);
            assert!(
                said.contains(&format!("DIR/{name}"))
                    && said.contains("belongs to another user (uid 65533)"),
                "{said}"
            );
            assert_eq!(
                (sheet.text(), fs::read_to_string(&planted).unwrap()),
                (TEXT.into(), "planted".into())
            );
        }
    }
}

fn can_be_started(command: &mut Command) -> bool {
    let can = command.output().is_ok();
    if !can {
        eprintln!("SKIPPED: the program cannot be run by another user here");
    }
    can
}

/// Hard links cannot be told from files; the program does not write to what it finds before it
/// knows whose it is.
#[test]
fn a_session_that_is_running_is_told_from_a_forged_one() {
    let sheet = TempSheet::new(TEXT);
    let forged = "{\"pid\":1,\"host\":\"\u{1b}[2J\",\"session\":\"\u{1b}]0;x\u{7}\",\"started\":\"2026-01-05T10:00:00Z\"}".replace('\u{1b}', "\\u001b").replace('\u{7}', "\\u0007");
    fs::write(sheet.folder().join(".input.csv.session"), forged).unwrap();
    end(sheet.tickoff("run").args(["--quiet", "--", "true"])).with(0);
    assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
}

/// They need not be an attack: somebody may have named notes so.
#[test]
fn a_persons_own_file_with_the_name_of_a_sessions_is_refused_and_left_alone() {
    for name in [".input.csv.session", ".input.csv.session.next"] {
        let sheet = TempSheet::new(TEXT);
        let theirs = sheet.folder().join(name);
        fs::write(&theirs, "notes of a session\n").unwrap();
        for command in ["run", "apply", "init", "check", "recover"] {
            let mut program = sheet.tickoff(command);
            match command {
                "run" => drop(program.args(["--", "true"])),
                "recover" => drop(program.arg("--apply")),
                _ => {}
            }
            let ended = end(&mut program).with(3);
            let said = sheet.without_folder(&(ended.stderr + &ended.stdout));
            let want =
                "has the name of a file of tickoff's and is none, and stays as it is: move it away";
            assert!(
                said.contains(&format!("DIR/{name} {want}")),
                "{command}: {said}"
            );
        }
        assert_eq!(fs::read_to_string(&theirs).unwrap(), "notes of a session\n");
        assert_eq!(sheet.text(), TEXT);
        assert_eq!(sheet.backup_names(), [""; 0]);
    }
}

/// It is locked, and nothing is ever written to it.
#[test]
fn a_persons_own_file_with_the_name_of_the_lock_stays_as_it_is() {
    let sheet = TempSheet::new(TEXT);
    let theirs = sheet.folder().join(".input.csv.lock");
    fs::write(&theirs, "notes on locks\n").unwrap();
    end(&mut sheet.run("", "true")).with(0);
    assert_eq!(fs::read_to_string(&theirs).unwrap(), "notes on locks\n");
    assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
}
