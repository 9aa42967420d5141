//! Nothing that tickoff makes is ever open to anybody who could not read the sheet, whatever the
//! umask is: backups, temporary files, journal, locks and kept copies.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};

use crate::command_line::Running;
use crate::fixture::TempSheet;
use crate::hostile::{NOBODY, after};

const GROUP: u32 = 4242;

/// Everything beside the sheet and among the backups: name, mode, group.
fn made(sheet: &TempSheet) -> Vec<(String, u32, u32)> {
    let mut made = Vec::new();
    for folder in [sheet.folder(), &sheet.backups()] {
        for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
            // It may be gone again.
            if let Ok(metadata) = entry
                .metadata()
                .or_else(|_| entry.path().symlink_metadata())
                && metadata.is_file()
            {
                let name = entry.file_name().into_string().unwrap();
                made.push((name, metadata.mode() & 0o7777, metadata.gid()));
            }
        }
    }
    made
}

fn set_mode(path: &Path, mode: u32) {
    fs::set_permissions(path, fs::Permissions::from_mode(mode)).unwrap();
}

/// Runs under an umask while everything that appears is looked at: nobody but `group` may ever have
/// more than `mode` gives.
#[track_caller]
fn check(umask: &str, mode: u32, group: Option<u32>) {
    let rows: String = (0..40).map(|i| format!("P{i};;;;\n")).collect();
    let sheet = TempSheet::new(format!(
        "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\n{rows}"
    ));
    if let Some(group) = group
        && chown(sheet.path(), None, Some(group)).is_err()
    {
        eprintln!("SKIPPED: only root can give a sheet to a foreign group");
        return;
    }
    set_mode(sheet.path(), mode);
    // The first command takes a row away, so that a copy is kept, and one command edits.
    let script = "case $TICKOFF_PO in P1) (umask 077; grep -v P39 input.csv > saved); mv saved input.csv;; esac";
    let mut run = Running::start(&mut after(
        &format!("umask {umask}"),
        &sheet.run("-j 2 --quiet", script),
    ));
    let over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let watch = scope.spawn(|| {
            let mut seen = 0_u64;
            while !over.load(Ordering::SeqCst) {
                for (name, has, gid) in made(&sheet) {
                    let is_ours = name != "input.csv" && name != "saved";
                    // The file that was edited in may be less open than the sheet was.
                    let allowed = if group.is_none_or(|group| group == gid) {
                        mode
                    } else {
                        mode & !0o070
                    };
                    assert_eq!(
                        has & 0o077 & !allowed,
                        0,
                        "{name} has mode {has:o} and group {gid}"
                    );
                    seen += u64::from(is_ours);
                }
            }
            seen
        });
        while run.is_running() && !watch.is_finished() {
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        over.store(true, Ordering::SeqCst);
        assert!(watch.join().unwrap() > 100, "nothing was there to look at");
    });
    let names = sheet.backup_names();
    // If the row's command had run before it was seen that the row is gone, its result has no place.
    let is_unplaced = names.iter().any(|name| name.ends_with(".unplaced.csv"));
    run.end().with(i32::from(is_unplaced));
    assert!(
        names.iter().any(|name| name.ends_with(".outside.csv")),
        "{names:?}"
    );
}

#[test]
fn a_private_sheet_stays_private_under_any_umask() {
    check("0", 0o600, None);
    check("0777", 0o600, None);
}

#[test]
fn a_sheet_of_a_foreign_group_is_open_to_that_group_alone() {
    if rustix::process::geteuid().is_root() {
        check("0", 0o640, Some(GROUP));
        check("0777", 0o640, Some(GROUP));
    } else {
        eprintln!("SKIPPED: only root can give a sheet to a foreign group");
    }
}

/// Who may not give a file to the sheet's group does not open it to another one.
#[test]
fn a_user_outside_the_sheets_group_opens_nothing_to_others() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give a sheet to a foreign group");
        return;
    }
    let sheet = TempSheet::new("PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;\n");
    chown(sheet.folder(), Some(NOBODY), Some(NOBODY)).unwrap();
    chown(sheet.path(), Some(NOBODY), Some(GROUP)).unwrap();
    set_mode(sheet.path(), 0o640);
    let mut run = sheet.tickoff("run");
    run.args(["--quiet", "--", "true"]).uid(NOBODY).gid(NOBODY);
    let Ok(output) = run.output() else {
        eprintln!("SKIPPED: the program cannot be run by another user here");
        return;
    };
    // Replacing the sheet would take it away from its group, which is said before anything runs.
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(3), "{said}");
    for (name, mode, group) in made(&sheet) {
        let allowed = if group == GROUP { 0o640 } else { 0o600 };
        assert_eq!(
            mode & !allowed,
            0,
            "{name} has mode {mode:o} and group {group}"
        );
    }
}

#[test]
fn the_folders_that_root_makes_are_the_sheets_owners() {
    if !rustix::process::geteuid().is_root() {
        eprintln!("SKIPPED: only root can give a sheet to another user");
        return;
    }
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\n");
    for path in [sheet.folder(), sheet.path()] {
        chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
    }
    set_mode(sheet.path(), 0o600);
    let options = "--results new/results --backup-dir above/backup";
    Running::start(&mut sheet.run(options, "true"))
        .end()
        .with(0);
    for name in [
        "above",
        "above/backup",
        "new",
        "new/results",
        "new/results/P1",
    ] {
        let folder = fs::metadata(sheet.folder().join(name)).unwrap();
        let has = (folder.uid(), folder.gid(), folder.mode() & 0o777);
        assert_eq!(has, (NOBODY, NOBODY, 0o700), "{name}");
    }
    // Root finds them also when the sheet is gone.
    fs::remove_file(sheet.path()).unwrap();
    let mut restore = sheet.tickoff("backup restore");
    restore.args(["latest", "--backup-dir", "above/backup"]);
    Running::start(&mut restore).end().with(0);
    let mut list = sheet.tickoff("backup list");
    list.args(["--backup-dir", "above/backup"]);
    let Ok(listed) = list.uid(NOBODY).gid(NOBODY).output() else {
        eprintln!("SKIPPED: the program cannot be run by another user here");
        return;
    };
    assert_eq!(listed.status.code(), Some(0), "{listed:?}");
}

const ACCESS: &str = "system.posix_acl_access";

/// An access control list, as Linux keeps it: for the owner everything, for the user 4321, the group and others
/// these, and as the mask.
fn acl(user: u16, group: u16, mask: u16, others: u16) -> Vec<u8> {
    let nobody = u32::MAX;
    let mut list = 2_u32.to_le_bytes().to_vec();
    for (tag, bits, id) in [
        (1_u16, 6_u16, nobody),
        (2, user, 4321),
        (4, group, nobody),
        (0x10, mask, nobody),
        (0x20, others, nobody),
    ] {
        list.extend(tag.to_le_bytes());
        list.extend(bits.to_le_bytes());
        list.extend(id.to_le_bytes());
    }
    list
}

/// A path, its mode and its list.
type Made = (String, u32, Option<Vec<u8>>);

/// Runs over a sheet with such a list, or none, in a folder with such a default, and gives all that was made.
fn made_with_lists(folders: Option<Vec<u8>>, sheets: Option<Vec<u8>>) -> Option<Vec<Made>> {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\nP2;\n");
    set_mode(sheet.path(), 0o640);
    if let Some(list) = &folders
        && xattr::set(sheet.folder(), "system.posix_acl_default", list).is_err()
    {
        eprintln!("SKIPPED: this filesystem has no access control lists");
        return None;
    }
    if let Some(list) = &sheets
        && xattr::set(sheet.path(), ACCESS, list).is_err()
    {
        eprintln!("SKIPPED: this filesystem has no access control lists");
        return None;
    }
    let run = |options: &str| {
        let mut run = after("umask 022", &sheet.run(options, "echo said"));
        Running::start(&mut run).end().with(0);
    };
    run("-j 1 --limit 1 --joblog log --events events --results new/results");
    run("--output copy.csv");
    let mut init = sheet.tickoff("init");
    let init = after("umask 022", init.args(["--done", "COMPLETED"]));
    Running::start(&mut { init }).end().with(0);
    let mut report = sheet.tickoff("report");
    let report = after(
        "umask 022",
        report.args(["--html", "page", "--xlsx", "book"]),
    );
    Running::start(&mut { report }).end().with(0);

    let mut made = Vec::new();
    let mut folders = vec![sheet.folder().to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(&folder).unwrap().flatten() {
            let metadata = entry.metadata().unwrap();
            if metadata.is_dir() {
                folders.push(entry.path());
            }
            let path = sheet.without_folder(&entry.path().display().to_string());
            let list = xattr::get(entry.path(), ACCESS).unwrap();
            made.push((path, metadata.mode() & 0o777, list));
        }
    }
    assert!(made.len() > 14, "{made:?}");
    Some(made)
}

#[test]
fn a_list_that_the_folder_gives_by_default_opens_nothing() {
    for (path, mode, list) in made_with_lists(Some(acl(6, 6, 6, 6)), None).unwrap_or_default() {
        assert_eq!(list, None, "{path}");
        let is_folder = ["backup", "new", "results", "P1"]
            .iter()
            .any(|name| path.ends_with(name));
        let allowed = if is_folder { 0o750 } else { 0o640 };
        assert_eq!(mode & !allowed, 0, "{path}: {mode:o}");
    }
}

#[test]
fn the_mask_of_a_sheets_list_is_not_taken_for_the_groups_rights() {
    // The user 4321 may read it, its group may not.
    let sheets = acl(4, 0, 4, 0);
    for (path, mode, list) in made_with_lists(None, Some(sheets.clone())).unwrap_or_default() {
        match list {
            Some(list) => assert_eq!(list, sheets, "{path}"),
            None => assert_eq!(mode & 0o077, 0, "{path}: {mode:o}"),
        }
    }
}
