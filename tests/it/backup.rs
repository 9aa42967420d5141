//! `tickoff backup`: whole copies of the sheet, and the way back.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};

use serde_json::Value;

use crate::command_line::{Ended, Running, bytes, end, wait_until};
use crate::fixture::TempSheet;

const OLD: &str = "PO_NUMBER;STATUS\r\nP1;\"PENDING\"\r\nP2;PENDING";
const NEW: &str = "PO_NUMBER;STATUS\nP1;COMPLETED\n";

/// Makes a backup and returns its path.
#[track_caller]
fn create(sheet: &TempSheet, session: &str) -> PathBuf {
    let ended = end(sheet.tickoff("backup create").args(["--session", session])).with(0);
    PathBuf::from(ended.stdout.trim_end())
}

#[track_caller]
fn restore(sheet: &TempSheet, which: &str) -> String {
    let ended = end(sheet.tickoff("backup restore").arg(which)).with(0);
    sheet.without_folder(&ended.stdout)
}

/// The first of the listed backups.
#[track_caller]
fn first(listed: &Ended) -> Value {
    serde_json::from_str(listed.stdout.lines().next().unwrap()).unwrap()
}

/// The contents of all backups.
fn contents(sheet: &TempSheet) -> BTreeSet<Vec<u8>> {
    let names = sheet.backup_names().into_iter();
    names
        .map(|name| bytes(&sheet.backups().join(name)))
        .collect()
}

#[test]
fn a_backup_has_the_bytes_of_the_sheet_and_is_listed() {
    let sheet = TempSheet::new(OLD);
    assert_eq!(end(&mut sheet.tickoff("backup list")).with(0).stdout, "");
    let made = create(&sheet, "before-cleanup");
    assert_eq!(bytes(&made), OLD.as_bytes());
    let name = made.file_name().unwrap().to_str().unwrap();
    let time = name
        .strip_prefix("input_")
        .unwrap()
        .strip_suffix("_before-cleanup.csv")
        .unwrap();
    let time = chrono::NaiveDateTime::parse_from_str(time, "%Y%m%d_%H%M%S").unwrap();
    let listed = end(sheet.tickoff("backup list").arg("--json")).with(0);
    assert_eq!(
        first(&listed),
        serde_json::json!({
            "backup_path": made,
            "original_path": sheet.path().canonicalize().unwrap(),
            "created_at": time.and_utc().format("%Y-%m-%dT%H:%M:%SZ").to_string(),
            "session_id": "before-cleanup",
            "record_count": 2,
            "size_bytes": OLD.len(),
        })
    );
    let table = end(&mut sheet.tickoff("backup list")).with(0).stdout;
    assert_eq!(
        sheet.without_folder(&table),
        format!(
            "{}          2 records  {:>12} bytes  before-cleanup  DIR/backup/{name}\n1 in all: {1} bytes\n",
            time.and_utc().format("%Y-%m-%dT%H:%M:%SZ"),
            OLD.len()
        )
    );
}

#[test]
fn a_restore_backs_up_what_it_replaces_so_that_it_can_be_undone() {
    let sheet = TempSheet::new(OLD);
    create(&sheet, "first");
    std::fs::write(sheet.path(), NEW).unwrap();
    let ended = end(sheet.tickoff("backup restore").arg("first")).with(0);
    let said = sheet.without_folder(&ended.stdout);
    assert!(
        said.starts_with("DIR/backup/input_") && said.ends_with("_first.csv\n"),
        "{said}"
    );
    let told = ended.stderr.split_once("the sheet as it was before: ");
    let made = told.unwrap_or_else(|| panic!("{ended:?}")).1.trim_end();
    assert_eq!(std::fs::read_to_string(made).unwrap(), NEW);
    assert_eq!(sheet.text(), OLD);
    assert_eq!(contents(&sheet), BTreeSet::from([OLD.into(), NEW.into()]));
    restore(&sheet, "latest");
    assert_eq!(sheet.text(), NEW);
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn a_backup_can_be_named_by_its_session_its_file_name_or_a_path() {
    let sheet = TempSheet::new(OLD);
    let made = create(&sheet, "first");
    let elsewhere = sheet.folder().join("elsewhere.csv");
    std::fs::copy(&made, &elsewhere).unwrap();
    for which in [
        "first",
        made.file_name().unwrap().to_str().unwrap(),
        made.to_str().unwrap(),
        "elsewhere.csv",
        "./elsewhere.csv",
    ] {
        std::fs::write(sheet.path(), NEW).unwrap();
        restore(&sheet, which);
        assert_eq!(sheet.text(), OLD, "{which}");
    }
}

#[track_caller]
fn check_refused(sheet: &TempSheet, which: &str, message: &str) {
    let before = bytes(sheet.path());
    let backups = sheet.backup_names();
    let ended = end(sheet.tickoff("backup restore").arg(which)).with(3);
    assert_eq!(
        sheet.without_folder(&ended.stderr),
        format!("tickoff: {message}\n")
    );
    assert_eq!(bytes(sheet.path()), before);
    assert_eq!(sheet.backup_names(), backups);
}

#[test]
fn what_is_no_backup_is_refused_and_the_sheet_stays_as_it_is() {
    let sheet = TempSheet::new(OLD);
    check_refused(
        &sheet,
        "latest",
        "DIR/backup: no backup of input.csv here: --backup-dir names another folder",
    );
    create(&sheet, "first");
    let [name] = &sheet.backup_names()[..] else {
        panic!("{:?}", sheet.backup_names());
    };
    check_refused(
        &sheet,
        "nosuch",
        &format!("DIR/backup: no backup of input.csv is called nosuch: the newest is {name}"),
    );
    check_refused(
        &sheet,
        "frist",
        "DIR/backup: no backup of input.csv is called frist: did you mean first?",
    );
    check_refused(
        &sheet,
        "input.csv",
        "input.csv: is the sheet itself and not a backup of it",
    );
    check_refused(
        &sheet,
        ".",
        "DIR/backup/. is not a regular file\ntickoff: that is a folder: name the CSV in it",
    );
}

#[test]
fn a_backup_that_is_no_sheet_is_refused_and_the_sheet_stays_as_it_is() {
    let sheet = TempSheet::new(OLD);
    std::fs::write(sheet.folder().join("bad.csv"), "PO_NUMBER\n\"x\n").unwrap();
    let ended = end(sheet.tickoff("backup restore").arg("./bad.csv")).with(3);
    assert_eq!(
        ended.stderr,
        "tickoff: ./bad.csv:2:1: a quote opens here and is never closed\n    \"x\n    ^\ntickoff: close the quote; one that belongs to the text is written twice, in a quoted field: \"5\"\" pipe\"\n"
    );
    assert_eq!(sheet.text(), OLD);
    assert_eq!(sheet.leftovers(), ["bad.csv"]);
}

#[test]
fn a_list_of_results_is_refused_by_its_name_and_a_whole_version_is_not() {
    let sheet = TempSheet::new(OLD);
    let results = "holds results alone, and not the sheet: tickoff apply writes them to it, given one JSON object a row, {\"key\": KEY, \"updates\": {COLUMN: VALUE}}";
    let answer = "holds the answer of a command, and not the sheet: tickoff set writes to it what is of use in there";
    let put = |name: &str| {
        std::fs::create_dir_all(sheet.backups()).unwrap();
        std::fs::write(sheet.folder().join(name), NEW).unwrap();
    };
    for (label, holds) in [
        ("unplaced", results),
        ("unplaced-2", results),
        ("discarded", results),
        ("answer", answer),
    ] {
        for of in ["input", "another"] {
            let name = format!("{of}_20260105_101500_nightly.{label}.csv");
            put(&format!("backup/{name}"));
            let path = format!("DIR/backup/{name}");
            check_refused(&sheet, &name, &format!("{path}: {holds}"));
        }
    }
    let unplaced = "backup/input_20260105_101500_nightly.unplaced.csv";
    std::os::unix::fs::symlink(unplaced, sheet.folder().join("link.csv")).unwrap();
    put("tickoff_nightly.results-x1.csv");
    for name in ["./link.csv", "./tickoff_nightly.results-x1.csv"] {
        check_refused(&sheet, name, &format!("{name}: {results}"));
    }
    std::fs::remove_file(sheet.path()).unwrap();
    end(sheet.tickoff("backup restore").arg(unplaced)).with(3);
    assert!(!sheet.path().exists());

    for name in [
        "backup/input_20260105_101500_nightly.replaced.csv",
        "backup/input_20260105_101500_nightly.outside.csv",
        "backup/input_20260105_101500_nightly.original.csv",
        "tickoff_nightly.sheet-x1.csv",
        "my.unplaced.csv",
    ] {
        std::fs::write(sheet.path(), OLD).unwrap();
        put(name);
        restore(&sheet, name.strip_prefix("backup/").unwrap_or(name));
        assert_eq!(sheet.text(), NEW, "{name}");
    }
}

#[test]
fn a_destroyed_sheet_is_kept_as_it_is_and_replaced() {
    for destroyed in [
        &b""[..],
        b"PO_NUMBER;STATUS\r\nP1;\"PEN",
        b"\x00\xff garbage\n\"",
        b"something;else\n1;2\n",
        b"PO_NUMBER\nP1\nP1\n",
    ] {
        let sheet = TempSheet::new(OLD);
        create(&sheet, "first");
        std::fs::write(sheet.path(), destroyed).unwrap();
        restore(&sheet, "first");
        assert_eq!(sheet.text(), OLD);
        assert_eq!(
            contents(&sheet),
            BTreeSet::from([OLD.into(), destroyed.to_vec()])
        );
        assert_eq!(sheet.leftovers(), [""; 0]);
    }
}

#[test]
fn a_deleted_sheet_comes_back() {
    let sheet = TempSheet::new(OLD);
    create(&sheet, "first");
    std::fs::remove_file(sheet.path()).unwrap();
    assert!(restore(&sheet, "latest").ends_with("_first.csv\n"));
    assert_eq!(sheet.text(), OLD);
    assert_eq!(sheet.backup_names().len(), 1);
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn a_sheet_that_was_deleted_during_a_session_is_not_restored_into_it() {
    let sheet = TempSheet::pending(2);
    let run = Running::start(&mut sheet.run("-j 1", "touch begun; await go"));
    wait_until("a job runs", || sheet.folder().join("begun").exists());
    std::fs::remove_file(sheet.path()).unwrap();
    let ended = end(&mut sheet.tickoff("backup restore")).with(4);
    assert!(ended.stderr.contains("is in use by process"), "{ended:?}");
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
    assert_eq!(sheet.status()["completed"], 2);
}

#[test]
fn readers_see_the_old_or_the_restored_version_and_nothing_between() {
    let big = |status: &str| {
        let rows = (0..20_000).map(|i| format!("PO{i};{status}\n"));
        "PO_NUMBER;STATUS\n".to_owned() + &rows.collect::<String>()
    };
    let versions = [big("PENDING"), big("COMPLETED")];
    let sheet = TempSheet::new(&versions[0]);
    create(&sheet, "a");
    std::fs::write(sheet.path(), &versions[1]).unwrap();
    create(&sheet, "b");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let mut read = 0;
            while !is_over.load(Ordering::Relaxed) {
                let text = sheet.text();
                assert!(
                    versions.contains(&text),
                    "{} bytes are neither version",
                    text.len()
                );
                read += 1;
            }
            read
        });
        for which in ["a", "b", "a", "b"] {
            restore(&sheet, which);
        }
        is_over.store(true, Ordering::Relaxed);
        assert!(reader.join().unwrap() > 0);
    });
}

#[test]
fn a_restore_after_a_crash_keeps_the_results_in_its_backup_and_brings_none_of_them_back() {
    let sheet = TempSheet::pending(3);
    let original = sheet.text();
    let run = Running::start(&mut sheet.run(
        "-j 1 --quiet",
        "test $TICKOFF_PO = PO0 || { touch second; hang; }",
    ));
    wait_until("the second job runs", || {
        sheet.folder().join("second").exists()
    });
    run.kill();
    let listed = end(sheet.tickoff("backup list").arg("--json")).with(0);
    restore(&sheet, first(&listed)["session_id"].as_str().unwrap());
    assert_eq!(sheet.text(), original);
    assert_eq!(sheet.status()["pending"], 3);
    let kept = contents(&sheet);
    assert_eq!(kept.len(), 2);
    assert!(
        kept.iter()
            .any(|kept| String::from_utf8_lossy(kept).contains("PO0;COMPLETED;"))
    );
    assert_eq!(sheet.leftovers(), ["second"]);
}

#[test]
fn a_run_keeps_the_newest_five_backups_and_leaves_foreign_files_alone() {
    let sheet = TempSheet::pending(1);
    std::fs::create_dir(sheet.backups()).unwrap();
    let foreign = [
        "input_20200105_101500_a.csv.bak",
        "input_notes.csv",
        "input_20200105_1015_a.csv",
        "input_20201305_101500_a.csv",
        "other_20200105_101500_a.csv",
        "input_20200105_101500_a.outside.csv",
        "Input_20200105_101500_a.csv",
    ];
    for name in foreign {
        std::fs::write(sheet.backups().join(name), "x").unwrap();
    }
    std::fs::create_dir(sheet.backups().join("input_20200105_101500_folder.csv")).unwrap();
    for day in 10..14 {
        std::fs::write(
            sheet
                .backups()
                .join(format!("input_202001{day}_101500_01d01d01.csv")),
            OLD,
        )
        .unwrap();
    }
    for _ in 0..3 {
        end(&mut sheet.run("--force --quiet", "true")).with(0);
    }
    let names = sheet.backup_names();
    for name in foreign {
        assert!(names.contains(&name.to_owned()), "{name} is gone");
    }
    assert!(names.contains(&"input_20200105_101500_folder.csv".to_owned()));
    assert!(!names.contains(&"input_20200111_101500_01d01d01.csv".to_owned()));
    assert!(names.contains(&"input_20200112_101500_01d01d01.csv".to_owned()));
    assert_eq!(names.len(), foreign.len() + 1 + 5);
}

#[test]
fn prune_keeps_as_many_as_it_is_told_and_names_those_it_deleted() {
    let sheet = TempSheet::new(OLD);
    std::fs::create_dir(sheet.backups()).unwrap();
    for day in 10..14 {
        std::fs::write(
            sheet
                .backups()
                .join(format!("input_202001{day}_101500_old.csv")),
            OLD,
        )
        .unwrap();
    }
    let ended = end(sheet.tickoff("backup prune").args(["--keep", "2"])).with(0);
    assert_eq!(
        sheet.without_folder(&ended.stdout),
        "DIR/backup/input_20200111_101500_old.csv\nDIR/backup/input_20200110_101500_old.csv\n"
    );
    assert_eq!(
        sheet.backup_names(),
        [
            "input_20200112_101500_old.csv",
            "input_20200113_101500_old.csv"
        ]
    );
}

#[test]
fn the_folder_of_backups_can_be_named_and_is_used_by_every_command() {
    let sheet = TempSheet::pending(2);
    let original = sheet.text();
    let elsewhere = sheet.folder().join("deep/er");
    end(&mut sheet.run("--backup-dir deep/er --quiet", "true")).with(0);
    assert!(!sheet.backups().exists());
    // The backup and the original.
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 2);
    end(sheet
        .tickoff("backup restore")
        .args(["--backup-dir", "deep/er"]))
    .with(0);
    assert_eq!(sheet.text(), original);
    assert_eq!(std::fs::read_dir(&elsewhere).unwrap().count(), 3);
}

#[test]
fn a_session_id_that_is_none_is_refused() {
    let sheet = TempSheet::new(OLD);
    let ended = end(sheet.tickoff("backup create").args(["--session", "a/b"])).with(3);
    assert_eq!(
        sheet.without_folder(&ended.stderr),
        "tickoff: DIR/backup: the session id a/b may only hold letters, digits, - and _\n"
    );
    assert!(!sheet.backups().exists());
}
