//! What a stranger put in a folder that all share: no link of theirs is followed, no file or folder of theirs is
//! used, for anything beside a sheet and any output.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown, lchown, symlink};
use std::os::unix::process::CommandExt;
use std::path::Path;

use crate::command_line::{Ended, end};
use crate::fixture::TempSheet;
use crate::hostile::NOBODY;

const TEXT: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;\n";
const PLANTED: &str = "input_20260105_101500_planted.csv";
/// A user who is neither root, nor the sheet's owner, nor NOBODY.
const STRANGER: u32 = 4321;

/// Each option that names an output, under the name `out`, and whether it is a folder.
const OUTPUTS: [(&str, &str, bool); 6] = [
    ("run", "--joblog", false),
    ("run", "--events", false),
    ("run", "--results", true),
    ("run", "--output", false),
    ("report", "--html", false),
    ("run", "--backup-dir", true),
];

/// `false`, and said so, where nothing can be given away.
fn can_give_away() -> bool {
    let is_root = rustix::process::geteuid().is_root();
    if !is_root {
        eprintln!("SKIPPED: a file cannot be given away here, which takes root");
    }
    is_root
}

fn shared(sheet: &TempSheet) {
    fs::set_permissions(sheet.folder(), PermissionsExt::from_mode(0o1777)).unwrap();
}

/// Runs the command with its output under a name in the sheet's folder, as that user.
fn ended(
    sheet: &TempSheet,
    (command, option, _): (&str, &str, bool),
    name: &str,
    user: u32,
) -> Ended {
    let mut program = sheet.tickoff(command);
    program.args([option, name]);
    if command == "run" {
        program.args(["--quiet", "--", "touch", "ran"]);
    }
    if user != 0 {
        program.uid(user).gid(user);
    }
    end(&mut program)
}

/// That nothing was done, and that this was said.
#[track_caller]
fn is_refused(sheet: &TempSheet, ended: Ended, said: &str) {
    let ended = ended.with(3);
    let stderr = sheet.without_folder(&ended.stderr);
    assert!(stderr.contains(said), "{stderr}");
    assert!(!sheet.folder().join("ran").exists(), "{stderr}");
    assert!(!sheet.text().contains("COMPLETED"), "{stderr}");
}

/// Everything in a folder, with its bytes and its links.
fn contents(folder: &Path) -> Vec<(String, Vec<u8>)> {
    let entries = fs::read_dir(folder).unwrap().flatten();
    let mut all: Vec<_> = entries
        .map(|entry| {
            let name = entry.file_name().into_string().unwrap();
            (name, fs::read(entry.path()).unwrap_or_default())
        })
        .collect();
    all.sort();
    all
}

#[test]
fn no_output_goes_through_a_link_of_a_strangers() {
    if !can_give_away() {
        return;
    }
    for output in OUTPUTS {
        for leads_to in ["file", "folder", "nothing"] {
            let sheet = TempSheet::new(TEXT);
            shared(&sheet);
            let victims = tempfile::tempdir().unwrap();
            fs::write(victims.path().join("file"), "").unwrap();
            fs::create_dir(victims.path().join("folder")).unwrap();
            let before = contents(victims.path());
            symlink(victims.path().join(leads_to), sheet.folder().join("out")).unwrap();
            lchown(sheet.folder().join("out"), Some(STRANGER), None).unwrap();
            let said = "DIR/out is a link of another user (uid 4321), and ";
            is_refused(&sheet, ended(&sheet, output, "out", 0), said);
            // Nor in the middle of a path.
            symlink(victims.path().join("folder"), sheet.folder().join("way")).unwrap();
            lchown(sheet.folder().join("way"), Some(STRANGER), None).unwrap();
            let said = "DIR/way is a link of another user (uid 4321), and ";
            is_refused(&sheet, ended(&sheet, output, "way/out", 0), said);
            assert_eq!(contents(victims.path()), before, "{output:?}");
            assert!(contents(&victims.path().join("folder")).is_empty());
        }
    }
}

#[test]
fn no_file_or_folder_of_a_strangers_is_an_output() {
    if !can_give_away() {
        return;
    }
    for output in OUTPUTS {
        let sheet = TempSheet::new(TEXT);
        shared(&sheet);
        let out = sheet.folder().join("out");
        match output.2 {
            true => fs::create_dir(&out).unwrap(),
            false => fs::write(&out, "").unwrap(),
        }
        chown(&out, Some(STRANGER), None).unwrap();
        let said = "DIR/out belongs to another user (uid 4321), and ";
        is_refused(&sheet, ended(&sheet, output, "out", 0), said);
        let metadata = fs::metadata(&out).unwrap();
        assert_eq!(metadata.uid(), STRANGER, "{output:?}");
        assert!(output.2 || metadata.len() == 0, "{output:?}");
    }
}

#[test]
fn a_user_is_kept_from_a_stranger_as_root_is() {
    if !can_give_away() {
        return;
    }
    for output in OUTPUTS {
        let sheet = TempSheet::new(TEXT);
        shared(&sheet);
        chown(sheet.path(), Some(NOBODY), Some(NOBODY)).unwrap();
        let out = sheet.folder().join("out");
        match output.2 {
            true => fs::create_dir(&out).unwrap(),
            false => fs::write(&out, "").unwrap(),
        }
        fs::set_permissions(&out, PermissionsExt::from_mode(0o777)).unwrap();
        chown(&out, Some(STRANGER), None).unwrap();
        let said = "DIR/out belongs to another user (uid 4321), and ";
        is_refused(&sheet, ended(&sheet, output, "out", NOBODY), said);
    }
}

#[test]
fn what_the_sheets_owner_put_there_is_used() {
    if !can_give_away() {
        return;
    }
    for output in OUTPUTS {
        let sheet = TempSheet::new(TEXT);
        shared(&sheet);
        chown(sheet.path(), Some(NOBODY), None).unwrap();
        let place = sheet.folder().join("place");
        fs::create_dir(&place).unwrap();
        chown(&place, Some(NOBODY), None).unwrap();
        symlink(&place, sheet.folder().join("way")).unwrap();
        lchown(sheet.folder().join("way"), Some(NOBODY), None).unwrap();
        ended(&sheet, output, "way/out", 0).with(0);
        assert!(place.join("out").exists(), "{output:?}");
    }
}

#[test]
fn a_folder_of_what_one_job_said_is_no_strangers_either() {
    if !can_give_away() {
        return;
    }
    let sheet = TempSheet::new(TEXT);
    let results = sheet.folder().join("out");
    let victim = sheet.folder().join("victim");
    for folder in [&results, &victim] {
        fs::create_dir(folder).unwrap();
    }
    fs::set_permissions(&results, PermissionsExt::from_mode(0o1777)).unwrap();
    fs::write(victim.join("stdout"), "precious").unwrap();
    symlink(&victim, results.join("P1")).unwrap();
    lchown(results.join("P1"), Some(STRANGER), None).unwrap();
    end(&mut sheet.run("--results out", "echo theirs")).with(1);
    let precious = [("stdout".to_owned(), b"precious".to_vec())];
    assert_eq!(contents(&victim), precious);
    assert_eq!(sheet.cell("P1", "STATUS"), "ERROR");
}

/// The sheet and its folder are NOBODY's, and so is a folder `backup` with this mode and group, in which a stranger
/// put a backup.
fn with_backups(sheets: u32, folders: u32, group: u32) -> TempSheet {
    let sheet = TempSheet::new(TEXT);
    fs::create_dir(sheet.backups()).unwrap();
    for path in [sheet.folder(), sheet.path()] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    let planted = sheet.backups().join(PLANTED);
    fs::write(&planted, "PO_NUMBER;STATUS\nP1;PLANTED\n").unwrap();
    chown(&planted, Some(STRANGER), Some(STRANGER)).unwrap();
    chown(sheet.backups(), Some(NOBODY), Some(group)).unwrap();
    fs::set_permissions(sheet.path(), PermissionsExt::from_mode(sheets)).unwrap();
    fs::set_permissions(sheet.backups(), PermissionsExt::from_mode(folders)).unwrap();
    sheet
}

#[test]
fn a_folder_of_backups_that_is_open_to_strangers_is_not_used() {
    if !can_give_away() {
        return;
    }
    for (sheets, folders, group) in [
        (0o644, 0o777, NOBODY),
        (0o664, 0o757, NOBODY),
        (0o644, 0o775, NOBODY),
        (0o664, 0o775, STRANGER),
    ] {
        let sheet = with_backups(sheets, folders, group);
        let before = contents(&sheet.backups());
        for user in [NOBODY, 0] {
            for (command, arguments) in [
                ("run", &["--quiet", "--", "touch", "ran"][..]),
                ("run", &["--dry-run", "--", "touch", "ran"]),
                ("apply", &[]),
                ("init", &["--done", "OK"]),
                ("set", &["P1", "STATUS=ERROR"]),
                ("backup create", &[]),
                ("backup list", &[]),
                ("backup prune", &[]),
                ("backup restore", &["latest"]),
                ("check", &[]),
            ] {
                if command == "init" {
                    // Else there is nothing to do.
                    fs::write(sheet.path(), "PO_NUMBER\nP1\n").unwrap();
                }
                let mut program = sheet.tickoff(command);
                program.args(arguments).uid(user).gid(user);
                let mut ended = end(&mut program);
                fs::write(sheet.path(), TEXT).unwrap();
                ended.stderr += &ended.stdout;
                let said = "DIR/backup is open to others, who could put a backup there or take one away, and is not used: take that away with chmod go-w, or name another folder with --backup-dir";
                is_refused(&sheet, ended, said);
            }
        }
        assert_eq!(contents(&sheet.backups()), before);
        fs::set_permissions(sheet.backups(), PermissionsExt::from_mode(folders & 0o755)).unwrap();
        end(&mut sheet.run("", "true")).with(0);
    }
}

#[test]
fn a_folder_of_backups_in_which_others_do_nothing_to_ours_or_could_to_the_sheet_is_used() {
    if !can_give_away() {
        return;
    }
    for (sheets, folders, group) in [
        (0o600, 0o755, STRANGER),
        (0o600, 0o1777, NOBODY),
        (0o664, 0o775, NOBODY),
        // As everything is where permissions are not kept.
        (0o777, 0o777, NOBODY),
    ] {
        for user in [NOBODY, 0] {
            let sheet = with_backups(sheets, folders, group);
            let mut run = sheet.run("", "true");
            end(run.uid(user).gid(user)).with(0);
            assert!(sheet.backup_names().len() > 1, "{folders:o}");
        }
    }
    // What a stranger puts in one that is sticky is none of ours.
    let sheet = with_backups(0o600, 0o1777, NOBODY);
    end(sheet.tickoff("backup restore").arg("latest")).with(3);
    end(&mut sheet.run("", "true")).with(0);
    end(sheet.tickoff("backup restore").arg("latest")).with(0);
    assert_eq!(sheet.text(), TEXT);
    end(sheet.tickoff("backup prune").args(["--keep", "1"])).with(0);
    let names = sheet.backup_names();
    assert!(names.contains(&PLANTED.to_owned()), "{names:?}");
    // Without the sheet its folder tells.
    let sheet = with_backups(0o777, 0o777, NOBODY);
    fs::remove_file(sheet.path()).unwrap();
    let refused = end(sheet.tickoff("backup restore").arg(PLANTED)).with(3);
    assert!(refused.stderr.contains("is open to others"), "{refused:?}");
    fs::set_permissions(sheet.folder(), PermissionsExt::from_mode(0o777)).unwrap();
    end(sheet.tickoff("backup restore").arg(PLANTED)).with(0);
}

#[test]
fn no_name_of_ours_is_an_output() {
    let names = [
        ".input.csv.control",
        ".input.csv.lock",
        ".input.csv.session",
        ".input.csv.journal",
        "tickoff.toml",
    ];
    for output in OUTPUTS {
        for name in names {
            let sheet = TempSheet::new(TEXT);
            let said = ended(&sheet, output, name, 0).with(2).stderr;
            let said = sheet.without_folder(&said);
            assert!(
                said.contains(&format!(
                    "DIR/{name} is a name that tickoff keeps for itself: name another file"
                )),
                "{output:?}: {said}"
            );
            assert!(!sheet.text().contains("COMPLETED"));
        }
    }
}

#[test]
fn a_descriptor_that_was_handed_over_is_an_output() {
    let sheet = TempSheet::new(TEXT);
    let ran = end(sheet
        .tickoff("run")
        .args(["--quiet", "--events", "/dev/stderr", "--", "true"]))
    .with(0);
    assert!(ran.stderr.contains("\"event\":"), "{ran:?}");
}
