//! Results that a sheet showed before its journal began: they are protected as those that it got since.

use std::fs;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::Duration;

use crate::command_line::{Ended, end, tickoff};
use crate::fixture::{TempSheet, rested};

const SHEET: &str = "PO_NUMBER;note\nPO1;\nPO2;\nPO3;\nPO4;\n";
const RESULT: &str = "echo $TICKOFF_KEY >> ran; echo out=r-$TICKOFF_KEY > $TICKOFF_RESULT";

/// A sheet of which two rows are done, of four.
fn half_done() -> TempSheet {
    let sheet = TempSheet::new(SHEET);
    end(sheet
        .run("-q --limit 2", RESULT)
        .current_dir(sheet.folder()))
    .with(0);
    sheet
}

fn run(sheet: &TempSheet, options: &str) -> Ended {
    let mut run = tickoff();
    run.arg("run").args(options.split_whitespace());
    run.args(["--", "sh", "-c", RESULT]);
    end(run.current_dir(sheet.folder()))
}

fn save(path: &Path, text: &str) {
    let new = path.with_extension("saved");
    fs::write(&new, text).unwrap();
    rested(&new);
    fs::rename(new, path).unwrap();
}

/// The rows of which jobs ran since the last look.
fn ran(sheet: &TempSheet) -> String {
    let log = sheet.folder().join("ran");
    let ran = fs::read_to_string(&log).unwrap_or_default();
    fs::remove_file(log).ok();
    ran
}

/// The copies of this kind in the folder of a sheet's backups, one after the other.
fn kept(sheet: &Path, kind: &str) -> String {
    let copies = fs::read_dir(sheet.with_file_name("backup")).unwrap();
    let copies = copies.map(|copy| copy.unwrap().path());
    let of_kind = |copy: &PathBuf| copy.to_string_lossy().ends_with(&format!(".{kind}.csv"));
    let copies = copies.filter(of_kind);
    copies
        .map(|copy| fs::read_to_string(copy).unwrap())
        .collect()
}

/// Goes on with it for one row, loses what an old save loses, and a row; says what came of it.
#[track_caller]
fn check_protected(sheet: &TempSheet, name: &str, options: &str) {
    let path = sheet.folder().join(name);
    run(sheet, &format!("{options} -q --limit 1")).with(0);
    ran(sheet);
    let with_results = fs::read_to_string(&path).unwrap();
    save(&path, SHEET);
    let ended = run(sheet, &format!("{name} --limit 1"));
    if ended.code == 3 {
        let mut recover = tickoff();
        recover.args(["recover", name, "--apply"]);
        end(recover.current_dir(sheet.folder())).with(0);
    } else {
        assert!(ended.stderr.contains("they are written again"), "{ended:?}");
    }
    let text = fs::read_to_string(&path).unwrap();
    for key in ["PO1", "PO2", "PO3"] {
        assert!(
            text.contains(&format!("r-{key};")) || text.contains(&format!("r-{key}\n")),
            "{text}"
        );
        assert!(!ran(sheet).contains(key), "{key} ran again");
    }
    let without_row: String = with_results
        .split_inclusive('\n')
        .filter(|line| !line.starts_with("PO1;"))
        .collect();
    save(&path, &without_row);
    run(sheet, name);
    let kept = kept(&path, "unplaced").contains("r-PO1");
    assert!(kept, "the result of the row that is gone");
}

#[test]
fn in_a_sheet_that_was_renamed() {
    let sheet = half_done();
    fs::rename(sheet.path(), sheet.folder().join("orders.csv")).unwrap();
    check_protected(&sheet, "orders.csv", "orders.csv");
}

#[test]
fn in_a_copy_beside_its_sheet() {
    let sheet = half_done();
    fs::copy(sheet.path(), sheet.folder().join("orders.csv")).unwrap();
    check_protected(&sheet, "orders.csv", "orders.csv");
}

#[test]
fn in_a_copy_of_an_older_version() {
    let sheet = half_done();
    let older = sheet.text();
    run(&sheet, "input.csv -q").with(0);
    fs::write(sheet.folder().join("orders.csv"), older).unwrap();
    check_protected(&sheet, "orders.csv", "orders.csv");
}

#[test]
fn in_a_copy_that_a_run_makes_of_its_input() {
    let sheet = half_done();
    fs::create_dir(sheet.folder().join("out")).unwrap();
    let input = "input.csv --output out/orders.csv";
    check_protected(&sheet, "out/orders.csv", input);
}

#[test]
fn in_a_backup_that_took_the_sheets_place() {
    let sheet = half_done();
    for arguments in [
        &["create", "input.csv"][..],
        &["restore", "input.csv", "manual"],
    ] {
        let mut backup = tickoff();
        backup.arg("backup").args(arguments);
        end(backup.current_dir(sheet.folder())).with(0);
    }
    check_protected(&sheet, "input.csv", "input.csv");
}

#[test]
fn in_a_sheet_of_which_other_results_were_given_up() {
    let sheet = half_done();
    let before = sheet.text();
    run(&sheet, "input.csv -q --limit 1").with(0);
    save(sheet.path(), &before);
    let mut discard = tickoff();
    discard.args(["recover", "input.csv", "--discard"]);
    end(discard.current_dir(sheet.folder())).with(0);
    let discarded = kept(sheet.path(), "discarded");
    assert!(discarded.contains("r-PO3"), "{discarded}");
    assert!(
        !discarded.contains("PO1"),
        "what the sheet shows is not given up: {discarded}"
    );
    check_protected(&sheet, "input.csv", "input.csv");
}

#[test]
fn in_a_sheet_that_was_renamed_and_has_its_name_again() {
    let sheet = half_done();
    let orders = sheet.folder().join("orders.csv");
    fs::rename(sheet.path(), &orders).unwrap();
    run(&sheet, "orders.csv -q --limit 1").with(0);
    fs::rename(&orders, sheet.path()).unwrap();
    run(&sheet, "input.csv -q").with(0);
    ran(&sheet);
    let text = sheet.text();
    let with_an_edit = text.replace("PO2;;", "PO2;mine;");
    let without = |text: &str, key: &str| -> String {
        let lines = text.split_inclusive('\n');
        lines
            .map(|line| match line.starts_with(key) {
                true => format!("{key};;;;;\n"),
                false => line.to_owned(),
            })
            .collect()
    };
    save(
        sheet.path(),
        &without(&without(&with_an_edit, "PO3"), "PO4"),
    );
    let ended = run(&sheet, "input.csv").with(0);
    assert!(ended.stderr.contains("keys=PO3, PO4"), "{ended:?}");
    assert_eq!(ran(&sheet), "");
    assert_eq!(sheet.cell("PO3", "out"), "r-PO3");
    assert_eq!(sheet.cell("PO2", "note"), "mine");
    let text = sheet.text();
    let lines = text.split_inclusive('\n');
    let removed: String = lines.filter(|line| !line.starts_with("PO3;")).collect();
    save(sheet.path(), &removed);
    run(&sheet, "input.csv -q").with(1);
    assert!(kept(sheet.path(), "unplaced").contains("r-PO3"));
}

#[test]
fn an_old_save_that_gets_the_name_before_the_renamed_sheet_was_seen_is_asked_about() {
    type Back = fn(&Path, &Path, &str);
    let ways: [Back; 3] = [
        |orders, input, old| {
            fs::write(orders, old).unwrap();
            fs::rename(orders, input).unwrap();
        },
        |orders, input, old| {
            fs::rename(orders, input).unwrap();
            fs::write(input, old).unwrap();
        },
        |orders, input, old| {
            fs::rename(orders, input).unwrap();
            fs::write(orders, old).unwrap();
            fs::rename(orders, input).unwrap();
        },
    ];
    for back in ways {
        let sheet = half_done();
        let old = sheet.text();
        let orders = sheet.folder().join("orders.csv");
        fs::rename(sheet.path(), &orders).unwrap();
        run(&sheet, "orders.csv -q --limit 1").with(0);
        ran(&sheet);
        back(&orders, sheet.path(), &old);
        rested(sheet.path());
        let ended = run(&sheet, "input.csv").with(3);
        let wanted = "is an older version of itself: its journal has results for 1 row that it does not show";
        assert!(ended.stderr.contains(wanted), "{ended:?}");
        let mut recover = tickoff();
        recover.args(["recover", "input.csv", "--apply"]);
        end(recover.current_dir(sheet.folder())).with(0);
        run(&sheet, "input.csv -q").with(0);
        assert_eq!(ran(&sheet), "PO4\n");
        assert_eq!(sheet.cell("PO3", "out"), "r-PO3");
    }
}

#[test]
fn a_copy_or_a_sheet_that_was_renamed_in_mid_run_is_told_what_it_lacks() {
    let sheet = half_done();
    let older = sheet.text();
    run(&sheet, "input.csv -q").with(0);
    fs::write(sheet.folder().join("orders.csv"), older).unwrap();
    let ended = run(&sheet, "orders.csv --limit 1").with(0);
    assert!(ended.stderr.contains("rows=2 other=input.csv"), "{ended:?}");
    let ended = run(&sheet, "orders.csv").with(0);
    assert!(!ended.stderr.contains("other="), "{ended:?}");
}

#[test]
fn what_was_removed_before_a_sheet_was_renamed_is_in_a_copy() {
    type Removal = fn(&str) -> String;
    let removals: [Removal; 3] = [
        |text| {
            let lines = text.split_inclusive('\n');
            lines.filter(|line| !line.starts_with("PO1;")).collect()
        },
        |text| {
            let lines = text.lines();
            lines
                .map(|line| format!("{}\n", line.rsplit_once(';').unwrap().0))
                .collect()
        },
        |text| text.replace("PO1;", "PO9;"),
    ];
    for remove in removals {
        let sheet = half_done();
        save(sheet.path(), &remove(&sheet.text()));
        let orders = sheet.folder().join("orders.csv");
        fs::rename(sheet.path(), &orders).unwrap();
        run(&sheet, "orders.csv -q").with(1);
        let copies = kept(&orders, "unplaced");
        assert!(copies.contains("r-PO1"), "{copies}");
    }
}

#[test]
fn the_input_is_not_taken_for_a_copy_of_it_that_was_killed() {
    let sheet = TempSheet::new(SHEET);
    let script =
        "case $TICKOFF_KEY in PO3) kill -9 $PPID; hang;; esac; echo out=r > $TICKOFF_RESULT";
    let mut killed = sheet.run("-q -j1 --output copy.csv", script);
    let _ = end(&mut killed);
    let copy = sheet.folder().join("copy.csv");
    fs::rename(&copy, sheet.folder().join("away")).unwrap();
    let ended = run(&sheet, "input.csv --output copy.csv").with(3);
    assert!(
        ended
            .stderr
            .contains("copy.csv is not there, and its journal"),
        "{ended:?}"
    );
    fs::rename(
        sheet.folder().join("away"),
        sheet.folder().join("copy2.csv"),
    )
    .unwrap();
    let ended = run(&sheet, "input.csv --output copy2.csv");
    assert!(!ended.stderr.contains("input.csv was called"), "{ended:?}");
    assert_eq!(sheet.text(), SHEET);
}

#[test]
fn a_reader_and_a_dry_run_ask_of_a_renamed_sheet_what_a_run_asks() {
    let sheet = TempSheet::new(
        "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;out;note\nPO1;;;;;\nPO2;;;;;\nPO3;;;;;\n",
    );
    run(&sheet, "input.csv -q --only PO3").with(0);
    thread::sleep(Duration::from_millis(1_100));
    run(&sheet, "input.csv -q --only PO1").with(0);
    let with_row = |text: &str, row: &str| -> String {
        let lines = text.lines();
        let lines = lines.map(|line| if line.starts_with("PO3;") { row } else { line });
        lines.map(|line| format!("{line}\n")).collect()
    };
    save(sheet.path(), &with_row(&sheet.text(), "PO3;;;;;"));
    run(&sheet, "input.csv -q --only PO1").with(0);
    let by_hand = with_row(&sheet.text(), "PO3;COMPLETED;;;;").replace("r-PO1;", "r-PO1;x");
    let orders = sheet.folder().join("orders.csv");
    fs::rename(sheet.path(), &orders).unwrap();
    save(&orders, &by_hand);
    let asked = "may or may not have seen its newest results";
    for options in ["-q", "--dry-run"] {
        let ended = run(&sheet, &format!("orders.csv {options}")).with(3);
        assert!(ended.stderr.contains(asked), "{ended:?}");
    }
    let mut status = tickoff();
    status.args(["status", "orders.csv"]);
    let told = end(status.current_dir(sheet.folder())).with(0);
    assert!(told.stderr.contains(asked), "{told:?}");
}
