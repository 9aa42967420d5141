//! Backups are there when they are needed: whatever was run since, whoever made the folder, and whatever
//! a clock says.

use std::fs::{self, File};
use std::os::unix::fs::{MetadataExt, PermissionsExt, lchown, symlink};
use std::path::{Path, PathBuf};

use serde_json::Value;

use crate::command_line::{Running, bytes, end, tickoff, wait_until};
use crate::fixture::TempSheet;

/// The first PO gets its result as soon as there is a file `held`; the second job never ends, unless
/// there is a file `go`.
const JOB: &str = "test $TICKOFF_PO != PO0 || { touch first; await held; }
    test $TICKOFF_PO != PO1 || { touch second; await go; }";

/// A run that is killed after its first result; the sheet shows that, if it `is_visible`.
fn interrupt(sheet: &TempSheet, options: &str, is_visible: bool) {
    let is_there = |name: &str| sheet.folder().join(name).exists();
    let options = format!("-j 1 --quiet {options}");
    let run = Running::start(&mut sheet.run(&options, JOB));
    wait_until("the first job runs", || is_there("first"));
    // Nothing becomes visible while another program has the sheet open for writing.
    let writer = (!is_visible).then(|| File::options().append(true).open(sheet.path()).unwrap());
    let before = sheet.text();
    fs::write(sheet.folder().join("held"), "").unwrap();
    wait_until("the second job runs", || is_there("second"));
    if is_visible {
        wait_until("the first result is visible", || sheet.text() != before);
    }
    run.kill();
    drop(writer);
    assert_eq!(sheet.text() != before, is_visible);
    fs::write(sheet.folder().join("go"), "").unwrap();
}

#[track_caller]
fn run(sheet: &TempSheet, options: &str) {
    end(&mut sheet.run(&format!("--quiet {options}"), "true")).with(0);
}

/// Makes backups until retention has deleted all that it may.
fn evict(sheet: &TempSheet) {
    for session in ["x", "y"] {
        let arguments = ["--keep", "1", "--session", session];
        end(sheet.tickoff("backup create").args(arguments)).with(0);
    }
    end(sheet.tickoff("backup prune").args(["--keep", "1"])).with(0);
}

/// Whether a backup other than an original is this text, byte for byte.
fn has_backup(sheet: &TempSheet, text: &str) -> bool {
    let names = sheet.backup_names();
    names
        .iter()
        .any(|name| bytes(&sheet.backups().join(name)) == text.as_bytes())
}

#[track_caller]
fn originals(sheet: &TempSheet) -> Vec<String> {
    let names = sheet.original_names().into_iter();
    names
        .map(|name| fs::read_to_string(sheet.backups().join(name)).unwrap())
        .collect()
}

/// The session of a backup's name.
fn session(name: &str) -> &str {
    let (_, session) = name.rsplit_once('_').unwrap();
    session.split('.').next().unwrap()
}

mod of_an_interrupted_session {
    use super::*;

    /// Either of its two traces is enough.
    #[track_caller]
    fn check_survives(lost: Option<&str>) {
        let sheet = TempSheet::pending(3);
        let original = sheet.text();
        interrupt(&sheet, "", true);
        end(&mut sheet.run("--only NOPE", "true")).with(1);
        if let Some(lost) = lost {
            fs::write(sheet.folder().join(lost), "").unwrap();
        }
        evict(&sheet);
        assert_eq!(sheet.backup_names().len(), 2, "{lost:?}");
        assert!(has_backup(&sheet, &original), "{lost:?}");
    }

    #[test]
    fn they_survive_a_run_that_was_refused_and_retention() {
        check_survives(None);
    }

    #[test]
    fn the_journal_keeps_them_where_nobody_is_named_as_holding_the_sheet() {
        check_survives(Some(".input.csv.session"));
    }

    #[test]
    fn who_died_holding_the_sheet_stays_named_where_the_journal_is_gone() {
        check_survives(Some(".input.csv.journal"));
    }

    #[test]
    fn they_are_like_all_others_when_somebody_has_gone_on_with_the_session() {
        let sheet = TempSheet::pending(3);
        let original = sheet.text();
        interrupt(&sheet, "", true);
        run(&sheet, "");
        evict(&sheet);
        assert!(!has_backup(&sheet, &original));
        assert_eq!(sheet.backup_names().len(), 1);
        assert_eq!(sheet.original_names().len(), 1);
    }
}

mod when_a_session_is_resumed {
    use super::*;

    #[test]
    fn a_sheet_that_is_as_it_was_left_has_its_backup() {
        for is_visible in [true, false] {
            let sheet = TempSheet::pending(3);
            let original = sheet.text();
            interrupt(&sheet, "", is_visible);
            run(&sheet, "");
            assert_eq!(sheet.status()["completed"], 3);
            assert_eq!(sheet.backup_names().len(), 1, "{is_visible}");
            assert!(has_backup(&sheet, &original));
        }
    }

    #[test]
    fn a_sheet_that_was_changed_since_is_backed_up_before_anything_is_written_to_it() {
        for is_visible in [true, false] {
            let sheet = TempSheet::pending(3);
            let original = sheet.text();
            interrupt(&sheet, "", is_visible);
            let edited = sheet
                .text()
                .replace("PO2;PENDING;Acme", "PO2;PENDING;Zenith");
            fs::write(sheet.path(), &edited).unwrap();
            run(&sheet, "");
            assert_eq!(sheet.status()["completed"], 3);
            assert!(has_backup(&sheet, &edited), "{is_visible}");
            assert!(has_backup(&sheet, &original), "{is_visible}");
            let names = sheet.backup_names();
            assert_eq!(names.len(), 2);
            assert_eq!(session(&names[0]), session(&names[1]), "it is one session");
        }
    }

    #[test]
    fn a_cell_that_was_put_back_by_hand_is_a_change() {
        let sheet = TempSheet::pending(3);
        interrupt(&sheet, "", true);
        let put_back = sheet.text().replace("PO0;COMPLETED;", "PO0;PENDING;");
        fs::write(sheet.path(), &put_back).unwrap();
        run(&sheet, "");
        assert!(has_backup(&sheet, &put_back));
    }

    #[test]
    fn another_sheet_under_the_name_is_backed_up_and_has_an_original_of_its_own() {
        for is_visible in [true, false] {
            let sheet = TempSheet::pending(3);
            let original = sheet.text();
            interrupt(&sheet, "", is_visible);
            let next = original.replace("\nPO", "\nDEC");
            fs::write(sheet.folder().join("next.csv"), &next).unwrap();
            fs::rename(sheet.folder().join("next.csv"), sheet.path()).unwrap();
            let asked = end(&mut sheet.run("", "true")).with(3);
            assert!(asked.stderr.contains("is another sheet than"), "{asked:?}");
            assert_eq!(sheet.text(), next);
            end(sheet.tickoff("recover").arg("--discard")).with(0);
            run(&sheet, "");
            assert!(has_backup(&sheet, &next), "{is_visible}");
            assert!(has_backup(&sheet, &original), "{is_visible}");
            let (mut kept, mut want) = (originals(&sheet), [original, next]);
            kept.sort();
            want.sort();
            assert_eq!(kept, want);
        }
    }

    #[test]
    fn a_sheet_without_its_backup_is_backed_up_before_a_cell_of_somebody_else_is_overwritten() {
        let sheet = TempSheet::pending(2);
        interrupt(&sheet, "", false);
        fs::remove_dir_all(sheet.backups()).unwrap();
        let theirs = sheet.text().replace("PO0;PENDING;", "PO0;mine;");
        fs::write(sheet.path(), &theirs).unwrap();
        run(&sheet, "");
        assert!(has_backup(&sheet, &theirs));
    }
}

#[test]
fn a_backup_that_somebody_has_edited_is_no_run_s_to_delete() {
    let sheet = TempSheet::pending(2);
    let file = |name: &str| sheet.backups().join(name);
    run(&sheet, "--force --keep 1");
    run(&sheet, "--force --keep 2");
    run(&sheet, "--force --keep 3");
    let names = sheet.backup_names();
    let text = String::from_utf8(bytes(&file(&names[1]))).unwrap();
    fs::write(file(&names[1]), format!("{text}in place;\n")).unwrap();
    let new = file("new");
    fs::write(&new, format!("{text}as a new file;\n")).unwrap();
    fs::rename(&new, file(&names[2])).unwrap();
    for _ in 0..3 {
        run(&sheet, "--force --keep 1");
    }
    let left = sheet.backup_names();
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(
        left.contains(&names[1]) && left.contains(&names[2]),
        "{left:?}"
    );
}

/// By its size, though its date was put back; and where no older backup tells that such a file is none of tickoff's,
/// the original does.
#[test]
fn one_that_was_edited_is_known_by_its_size_and_by_the_original_too() {
    for is_new_file in [true, false] {
        let sheet = TempSheet::pending(2);
        run(&sheet, "--force --keep 2");
        run(&sheet, "--force --keep 2");
        let names = sheet.backup_names();
        let edited = sheet.backups().join(&names[1]);
        let text = fs::read_to_string(&edited).unwrap();
        let date = edited.metadata().unwrap().modified().unwrap();
        let place = match is_new_file {
            true => sheet.backups().join("new"),
            false => edited.clone(),
        };
        fs::write(&place, format!("{text}mine;\n")).unwrap();
        let file = fs::File::options().append(true).open(&place).unwrap();
        file.set_modified(date).unwrap();
        fs::rename(&place, &edited).unwrap();
        for _ in 0..3 {
            run(&sheet, "--force --keep 2");
        }
        assert!(fs::read_to_string(&edited).unwrap().contains("mine"));
        assert_eq!(sheet.backup_names().len(), 3);
    }
}

mod originals_of_a_sheet {
    use super::*;

    #[test]
    fn they_outlive_all_runs_and_go_only_by_a_persons_word() {
        let sheet = TempSheet::pending(2);
        let original = sheet.text();
        for _ in 0..3 {
            run(&sheet, "--force --keep 1");
        }
        assert_eq!(sheet.backup_names().len(), 1);
        assert_eq!(originals(&sheet), [original]);
        end(sheet.tickoff("backup prune").args(["--keep", "1"])).with(0);
        let [name] = &sheet.original_names()[..] else {
            panic!("{:?}", sheet.original_names());
        };
        let pruned = end(sheet.tickoff("backup prune").arg("--originals")).with(0);
        assert_eq!(
            sheet.without_folder(&pruned.stdout),
            format!("DIR/backup/{name}\n")
        );
        assert_eq!(sheet.original_names(), [""; 0]);
        assert_eq!(sheet.backup_names().len(), 1);
    }

    #[test]
    fn there_is_one_for_all_sessions_before_the_first_result() {
        let sheet = TempSheet::new("PO_NUMBER;note\nP1;a\nP2;b\n");
        end(&mut sheet.tickoff("init")).with(0);
        let with_columns = sheet.text();
        run(&sheet, "--limit 1");
        run(&sheet, "");
        assert_eq!(originals(&sheet), ["PO_NUMBER;note\nP1;a\nP2;b\n"]);
        assert!(has_backup(&sheet, &with_columns));
    }

    #[test]
    fn a_sheet_that_comes_with_results_has_none() {
        let done = "PO_NUMBER;STATUS;LAST_PROCESSED\nP1;COMPLETED;2026-01-05T10:15:00Z\nP2;;\n";
        let sheet = TempSheet::new(done);
        run(&sheet, "");
        assert!(has_backup(&sheet, done));
        assert_eq!(sheet.original_names(), [""; 0]);
    }

    #[test]
    fn a_backup_that_a_person_makes_is_none() {
        let sheet = TempSheet::pending(1);
        end(&mut sheet.tickoff("backup create")).with(0);
        assert_eq!(sheet.original_names(), [""; 0]);
    }

    #[test]
    fn the_first_set_makes_one_and_a_backup_unless_it_is_refused() {
        let sheet = TempSheet::pending(2);
        let original = sheet.text();
        end(sheet.tickoff("set").args(["PO9", "SUPPLIER=x"])).with(1);
        end(sheet.tickoff("set").args(["PO1", "nosuch=x"])).with(1);
        assert!(!sheet.backups().exists());
        for value in ["a", "b"] {
            let cell = format!("SUPPLIER={value}");
            end(sheet.tickoff("set").args(["PO0", &cell])).with(0);
            assert_eq!(originals(&sheet), [&*original]);
            assert_eq!(sheet.backup_names().len(), 1);
            assert!(has_backup(&sheet, &original));
        }
        run(&sheet, "");
        end(sheet.tickoff("set").args(["PO0", "SUPPLIER=c"])).with(0);
        assert_eq!(originals(&sheet), [original]);
        assert_eq!(sheet.backup_names().len(), 2);
    }
}

mod in_use {
    use super::*;

    #[test]
    fn a_backup_on_which_somebody_runs_tickoff_is_a_sheet_of_theirs() {
        let sheet = TempSheet::pending(2);
        end(&mut sheet.tickoff("backup create")).with(0);
        let backup = sheet.backups().join(&sheet.backup_names()[0]);
        let ended = tickoff()
            .args(["run", "--quiet", backup.to_str().unwrap(), "--", "true"])
            .output()
            .unwrap();
        assert!(ended.status.success(), "{ended:?}");
        let theirs = bytes(&backup);
        evict(&sheet);
        assert_eq!(bytes(&backup), theirs);
    }

    #[test]
    fn a_backup_from_which_a_run_fills_the_sheet_is_its_input() {
        let sheet = TempSheet::pending(2);
        end(&mut sheet.tickoff("backup create")).with(0);
        let backup = sheet.backups().join(&sheet.backup_names()[0]);
        fs::remove_file(sheet.path()).unwrap();
        for _ in 0..3 {
            let arguments = ["--force", "--quiet", "--keep", "1", "--output"];
            let ended = tickoff()
                .arg("run")
                .arg(&backup)
                .args(arguments)
                .arg(sheet.path())
                .args(["--", "true"])
                .output()
                .unwrap();
            assert!(ended.status.success(), "{ended:?}");
        }
        assert_eq!(sheet.status()["completed"], 2);
        assert!(backup.exists());
    }
}

mod created_by_a_person {
    use super::*;

    fn has(sheet: &TempSheet, session: &str) -> usize {
        let end = format!("_{session}.csv");
        let names = sheet.backup_names();
        names.iter().filter(|name| name.ends_with(&end)).count()
    }

    #[test]
    fn no_run_and_no_backup_of_another_name_deletes_it() {
        let sheet = TempSheet::pending(1);
        let create = |arguments: &[&str]| end(sheet.tickoff("backup create").args(arguments));
        create(&["--session", "before-cleanup"]).with(0);
        create(&[]).with(0);
        for _ in 0..4 {
            run(&sheet, "--force --keep 2");
        }
        for _ in 0..3 {
            create(&["--session", "nightly", "--keep", "2"]).with(0);
        }
        assert_eq!(has(&sheet, "before-cleanup"), 1);
        assert_eq!(has(&sheet, "manual"), 1);
        assert_eq!(has(&sheet, "nightly"), 2, "those of one name count");
        assert_eq!(sheet.backup_names().len(), 4 + 2, "and those of runs");
        end(sheet.tickoff("backup prune").args(["--keep", "1"])).with(0);
        assert_eq!(sheet.backup_names().len(), 1);
        assert_eq!(has(&sheet, "nightly"), 1);
    }

    #[test]
    fn it_cannot_have_the_name_of_a_run() {
        let sheet = TempSheet::pending(1);
        for id in ["20261126", "set"] {
            let refused = end(sheet.tickoff("backup create").args(["--session", id])).with(3);
            assert!(
                refused
                    .stderr
                    .contains(&format!("name another, such as {id}-mine")),
                "{refused:?}"
            );
        }
        assert!(sheet.leftovers().is_empty());
    }

    fn create(sheet: &TempSheet) -> String {
        let ended = end(&mut sheet.tickoff("backup create")).with(0);
        fs::read_to_string(PathBuf::from(ended.stdout.trim_end())).unwrap()
    }

    #[test]
    fn they_hold_what_only_the_journal_held_after_a_crash() {
        let sheet = TempSheet::pending(3);
        interrupt(&sheet, "", false);
        let made = create(&sheet);
        assert!(made.contains("\nPO0;COMPLETED;"), "{made}");
        assert_eq!(made, sheet.text());
        assert_eq!(sheet.status()["completed"], 1);
    }

    #[test]
    fn the_journal_knows_the_key() {
        let sheet = TempSheet::new("id,STATUS,LAST_PROCESSED,ERROR_MESSAGE\nPO0,,,\nPO1,,,\n");
        interrupt(&sheet, "--key id", false);
        let made = create(&sheet);
        assert!(made.contains("\nPO0,COMPLETED,"), "{made}");
    }

    #[test]
    fn a_sheet_that_is_destroyed_is_copied_as_it_is_and_its_results_are_not_forgotten() {
        let sheet = TempSheet::pending(3);
        interrupt(&sheet, "", false);
        let good = sheet.text();
        fs::write(sheet.path(), "PO_NUMBER\n\"open").unwrap();
        assert_eq!(create(&sheet), "PO_NUMBER\n\"open");
        fs::write(sheet.path(), good).unwrap();
        assert_eq!(sheet.status()["completed"], 1);
    }
}

#[test]
fn the_list_ends_with_the_sum_in_which_a_file_with_two_names_counts_once() {
    let sheet = TempSheet::pending(2);
    let size = sheet.text().len();
    run(&sheet, "");
    let grown = sheet.text().len();
    end(&mut sheet.tickoff("backup create")).with(0);
    let table = end(&mut sheet.tickoff("backup list")).with(0).stdout;
    assert_eq!(table.lines().count(), 4, "{table}");
    assert!(table.contains(".original.csv\n"), "{table}");
    let sum = size + grown;
    assert!(
        table.ends_with(&format!("\n3 in all: {sum} bytes\n")),
        "{table}"
    );
    let listed = end(sheet.tickoff("backup list").arg("--json")).with(0);
    let last: Value = serde_json::from_str(listed.stdout.lines().last().unwrap()).unwrap();
    assert_eq!(
        last,
        serde_json::json!({"total_backups": 3, "total_size_bytes": sum})
    );
}

#[test]
fn a_date_after_now_keeps_no_backup_and_evicts_none() {
    let sheet = TempSheet::pending(2);
    fs::create_dir(sheet.backups()).unwrap();
    for day in 1..=5 {
        let name = format!("input_2999010{day}_000000_deadbeef.csv");
        fs::write(sheet.backups().join(name), "PO_NUMBER\nPLANTED\n").unwrap();
    }
    let mut versions = Vec::new();
    for _ in 0..5 {
        versions.push(sheet.text());
        run(&sheet, "--force");
    }
    for version in &versions {
        assert!(has_backup(&sheet, version));
    }
    assert_eq!(sheet.backup_names().len(), 5);
    end(&mut sheet.tickoff("backup restore")).with(0);
    assert_eq!(
        &sheet.text(),
        versions.last().unwrap(),
        "the latest is a real one"
    );
}

#[test]
fn a_link_that_somebody_else_put_in_the_folders_place_is_refused_before_any_command_runs() {
    if fs::metadata("/proc/self").unwrap().uid() != 0 {
        eprintln!("SKIPPED: a link cannot be given away here, which takes root");
        return;
    }
    let sheet = TempSheet::new("PO_NUMBER;SUPPLIER\nPO0;a\n");
    let elsewhere = tempfile::tempdir().unwrap();
    let link = |owner| {
        let _ = fs::remove_file(sheet.backups());
        symlink(elsewhere.path(), sheet.backups()).unwrap();
        lchown(sheet.backups(), owner, None).unwrap();
    };
    let is_empty = |folder: &Path| fs::read_dir(folder).unwrap().count() == 0;
    fs::set_permissions(sheet.folder(), PermissionsExt::from_mode(0o1777)).unwrap();
    link(Some(65534));
    let refused = "tickoff: DIR/backup is a link of another user (uid 65534), and backups are not put there: remove it, or name another folder with --backup-dir\n";
    for command in [
        "init",
        "apply",
        "backup create",
        "backup list",
        "backup prune",
    ] {
        let ended = end(&mut sheet.tickoff(command)).with(3);
        assert_eq!(sheet.without_folder(&ended.stderr), refused, "{command}");
    }
    let ended = end(&mut sheet.run("", "touch ran")).with(3);
    assert_eq!(sheet.without_folder(&ended.stderr), refused);
    end(sheet.tickoff("set").args(["PO0", "SUPPLIER=x"])).with(3);
    assert!(is_empty(elsewhere.path()) && !sheet.folder().join("ran").exists());
    assert_eq!(sheet.status()["pending"], 1);

    link(None);
    run(&sheet, "");
    assert!(!is_empty(elsewhere.path()), "one's own link is followed");
}

#[test]
fn retention_holds_also_for_a_sheet_that_is_edited_between_runs() {
    let sheet = TempSheet::new("PO_NUMBER;note;STATUS\nP1;;\nP2;;\nP3;;\nP4;;\nP5;a;\n");
    for run in 0..4 {
        end(&mut sheet.run("--limit 1 --keep 2", "true")).with(0);
        let text = sheet.text();
        let edited: Vec<String> = text
            .lines()
            .map(|line| match line.starts_with("P5;") {
                true => format!("P5;e{run};"),
                false => line.to_owned(),
            })
            .collect();
        std::fs::write(sheet.path(), edited.join("\n") + "\n").unwrap();
        crate::fixture::rested(sheet.path());
    }
    let mut kept = sheet.backup_names();
    kept.retain(|name| !name.contains("original"));
    assert_eq!(kept.len(), 2, "{kept:?}");
}

#[test]
fn the_list_names_what_else_was_kept_wherever_it_lies_and_what_to_do_with_it() {
    let sheet = TempSheet::pending(2);
    run(&sheet, "");
    let listed = end(sheet.tickoff("backup list").arg("--json")).with(0);
    let session = sheet.backup_names()[0].clone();
    let session = session.trim_end_matches(".csv").rsplit('_').next().unwrap();
    let temporary = sheet.folder().join("temporary");
    fs::create_dir(&temporary).unwrap();
    let rescued = format!("tickoff_{session}.results-0.csv");
    for (folder, name) in [
        (sheet.backups(), "input_20260105_101500_a.outside.csv"),
        (sheet.backups(), "input_20260105_101501_a.replaced.csv"),
        (sheet.backups(), "input_20260105_101502_a.unplaced-2.csv"),
        (sheet.backups(), "input_20260105_101503_a.discarded.csv"),
        (
            sheet.folder().to_owned(),
            ".input.csv.journal.damaged-20260105_101504-1",
        ),
        (
            sheet.folder().to_owned(),
            ".input.csv.journal.foreign-20260105_101505-1",
        ),
        (temporary.clone(), &rescued),
        // Not of this sheet, and nothing that tickoff keeps.
        (sheet.backups(), "other_20260105_101503_a.discarded.csv"),
        (sheet.backups(), "input_20260105_101503_a.notes.csv"),
        (
            sheet.folder().to_owned(),
            ".other.csv.journal.damaged-20260105_101504-1",
        ),
        (temporary.clone(), "tickoff_another.results-0.csv"),
    ] {
        fs::write(folder.join(name), "x\n").unwrap();
    }
    let mut list = sheet.tickoff("backup list");
    let table = end(list.env("TMPDIR", &temporary)).with(0).stdout;
    let (backups, copies) = table
        .split_once("\nkept besides, until you delete it:\n")
        .unwrap();
    assert!(backups.ends_with(" bytes\n"), "{table}");
    let copies = sheet.without_folder(copies);
    let (copies, told) = copies.split_once("\n\n").unwrap();
    let mut lines = copies.lines();
    let first = lines.next().unwrap();
    assert!(
        first.contains("Z  rescued                     2 bytes  DIR/temporary/tickoff_"),
        "{first}"
    );
    assert_eq!(
        lines.collect::<Vec<_>>(),
        [
            "2026-01-05T10:15:05Z  other journal               2 bytes  DIR/.input.csv.journal.foreign-20260105_101505-1",
            "2026-01-05T10:15:04Z  damaged journal             2 bytes  DIR/.input.csv.journal.damaged-20260105_101504-1",
            "2026-01-05T10:15:03Z  discarded                   2 bytes  DIR/backup/input_20260105_101503_a.discarded.csv",
            "2026-01-05T10:15:02Z  unplaced                    2 bytes  DIR/backup/input_20260105_101502_a.unplaced-2.csv",
            "2026-01-05T10:15:01Z  replaced                    2 bytes  DIR/backup/input_20260105_101501_a.replaced.csv",
            "2026-01-05T10:15:00Z  outside                     2 bytes  DIR/backup/input_20260105_101500_a.outside.csv",
        ]
    );
    let kinds: Vec<_> = told
        .lines()
        .map(|line| line.split(':').next().unwrap())
        .collect();
    assert_eq!(
        kinds,
        [
            "outside",
            "replaced",
            "unplaced",
            "discarded",
            "damaged journal",
            "other journal",
            "rescued"
        ]
    );
    // What programs read is as it was.
    assert_eq!(
        end(sheet.tickoff("backup list").arg("--json"))
            .with(0)
            .stdout,
        listed.stdout
    );
}
