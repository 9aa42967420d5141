//! Columns come, go and change their names.

use std::fs;

use super::{
    Before, Crash, During, FIRST, HEADER, JOB, REST, Scene, check, check_quiet, lines, without,
};
use crate::command_line::{Running, end, wait_until};
use crate::fixture::TempSheet;

fn header(scene: &Scene) -> String {
    scene.sheet.text().lines().next().unwrap().to_owned()
}

#[test]
fn a_column_that_is_added_stays_with_its_cells() {
    for when in [Before, During, Crash] {
        let scene = check_quiet(when, |text| {
            let row = |(at, line)| match at {
                0 => format!("{line};colour\n"),
                at => format!("{line};c{at}\n"),
            };
            text.lines().enumerate().map(row).collect()
        });
        assert_eq!(scene.sheet.cell("P01", "colour"), "c2");
        assert_eq!(scene.sheet.cell("P11", "colour"), "c12");
        scene.check_results(&[]);
    }
}

#[test]
fn a_column_of_the_same_name_in_front_of_one_with_results_is_refused() {
    let result = "echo out=r-$TICKOFF_KEY > $TICKOFF_RESULT";
    let put_in_front = |sheet: &TempSheet| {
        let row = |(at, line): (usize, &str)| {
            let (key, rest) = line.split_once(';').unwrap();
            format!("{key};{};{rest}\n", if at == 0 { "Out" } else { "mine" })
        };
        let text: String = sheet.text().lines().enumerate().map(row).collect();
        fs::write(sheet.folder().join("saved"), &text).unwrap();
        fs::rename(sheet.folder().join("saved"), sheet.path()).unwrap();
        text
    };
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\nP3\n");
    end(&mut sheet.run("-q --limit 1", result)).with(0);
    let saved = put_in_front(&sheet);
    let said = "has the column out twice, and the results in the second of them, column 6; the next ones would be written over the first, column 2: rename one of the two";
    for command in [
        sheet.run("-q", result),
        sheet.run("-q --dry-run", result),
        sheet.tickoff("init"),
    ] {
        let mut command = command;
        let ended = end(&mut command).with(3);
        assert!(ended.stderr.contains(said), "{ended:?}");
    }
    let checked = end(&mut sheet.tickoff("check")).with(3);
    assert!(checked.stdout.contains(said), "{checked:?}");
    assert_eq!(sheet.text(), saved);

    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\nP3\n");
    let script = format!("case $TICKOFF_KEY in PO2|P2) : > second; await go;; esac; {result}");
    let run = Running::start(&mut sheet.run("-q -j1", &script));
    wait_until("the first result is visible", || {
        sheet.text().contains("r-P1") && sheet.folder().join("second").exists()
    });
    let saved = put_in_front(&sheet);
    fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
    let copies = sheet.backup_names();
    let outside = copies
        .iter()
        .find(|name| name.ends_with(".outside.csv"))
        .unwrap();
    assert_eq!(
        fs::read_to_string(sheet.backups().join(outside)).unwrap(),
        saved
    );
    assert_eq!(sheet.cell("P2", "out"), "r-P2");
}

#[test]
fn a_column_without_results_that_is_removed_stays_removed() {
    for when in [Before, During, Crash] {
        let scene = check_quiet(when, |text| without(text, "note"));
        assert_eq!(header(&scene), HEADER.strip_suffix(";note").unwrap());
        scene.check_results(&[]);
    }
}

/// The results of a removed column are these.
#[track_caller]
fn check_kept(scene: &Scene, pos: &[&str], column: &str, value: &str) {
    scene.check_copies(&["unplaced"]);
    let kept = scene.kept("unplaced");
    let mut want: Vec<String> = pos.iter().map(|po| format!("{po};{value}")).collect();
    want.push(format!("PO_NUMBER;{column}"));
    assert_eq!(lines(&kept[0]), want);
}

const REMOVED: &str =
    "another program removed columns that hold results; the results are kept in a copy columns=";

#[test]
fn a_column_with_results_that_is_removed_comes_back_with_the_next_result_and_the_old_ones_are_in_a_copy()
 {
    for when in [Before, During, Crash] {
        let (scene, ended) = check(when, 1, |text| without(text, "ATTACHMENTS_FOUND"));
        assert!(
            ended
                .stderr
                .contains(&format!("{REMOVED}ATTACHMENTS_FOUND")),
            "{ended:?}"
        );
        check_kept(&scene, &FIRST, "ATTACHMENTS_FOUND", "2");
        let want = "PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED;ERROR_MESSAGE;note;ATTACHMENTS_FOUND";
        assert_eq!(header(&scene), want);
        for po in FIRST {
            assert_eq!(scene.sheet.cell(po, "ATTACHMENTS_FOUND"), "");
            assert_eq!(scene.sheet.cell(po, "STATUS"), "COMPLETED");
        }
        scene.check_results(&FIRST);
        assert_eq!(scene.next().with(0).stderr, "", "it is said once");
    }
}

#[test]
fn a_column_with_results_that_nobody_needs_stays_removed() {
    let mut scene = Scene::new(Before);
    scene.end().with(0);
    let edited = without(&scene.sheet.text(), "ATTACHMENTS_FOUND");
    scene.save(&edited);
    let ended = scene.next().with(1);
    assert!(ended.stderr.contains(REMOVED), "{ended:?}");
    assert_eq!(scene.sheet.text(), edited);
    let all = [FIRST, REST].concat();
    check_kept(&scene, &all, "ATTACHMENTS_FOUND", "2");
    assert_eq!(scene.next().with(0).stderr, "");
    assert_eq!(scene.sheet.text(), edited);
}

#[test]
fn the_results_of_a_removed_column_outlive_a_crash_of_the_run_that_found_it_removed() {
    let mut scene = Scene::new(Before);
    scene.save(&without(&scene.sheet.text(), "ATTACHMENTS_FOUND"));
    let run = Running::start(&mut scene.sheet.run("-q -j1", JOB));
    wait_until("its first job runs", || {
        scene.sheet.folder().join("held").exists()
    });
    run.kill();
    scene.end().with(1);
    check_kept(&scene, &FIRST, "ATTACHMENTS_FOUND", "2");
    scene.check_results(&FIRST);
}

/// Its author had the sheet from before the run, which added them.
#[test]
fn columns_that_a_stale_save_lacks_come_back_with_their_results() {
    let bare = "PO_NUMBER;note\nP0;\nP1;\nP2;\n";
    let sheet = TempSheet::new(bare);
    let hold = "[ $TICKOFF_PO != P2 ] || { : > held; await go; }; echo '{\"ATTACHMENTS_FOUND\":2}' > $TICKOFF_RESULT";
    let run = Running::start(&mut sheet.run("-q -j1", hold));
    wait_until("two results are visible", || {
        sheet.text().matches(";COMPLETED;").count() == 2
    });
    std::fs::write(sheet.path(), bare.replace("P1;", "P1;mine")).unwrap();
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    let ended = run.end().with(0);
    assert!(ended.stderr.contains("rows=2 keys=P0, P1"), "{ended:?}");
    assert_eq!(sheet.cell("P1", "note"), "mine");
    for (po, row) in sheet.table() {
        assert_eq!(
            (&*row["STATUS"], &*row["ATTACHMENTS_FOUND"]),
            ("COMPLETED", "2"),
            "{po}"
        );
    }
}

#[test]
fn a_sheet_without_any_of_its_result_columns_is_asked_about() {
    let bare = "PO_NUMBER;note\nP0;\nP1;\nP2;\n";
    let sheet = TempSheet::new(bare);
    end(&mut sheet.run("-q -j1", "true")).with(0);
    let edited = bare.replace("P1;", "P1;mine");
    std::fs::write(sheet.path(), &edited).unwrap();
    let ended = end(&mut sheet.run("-q -j1", "true")).with(3);
    assert!(
        ended
            .stderr
            .contains("was saved without the times of its results (LAST_PROCESSED)"),
        "{ended:?}"
    );
    assert_eq!(sheet.text(), edited);
    end(sheet.tickoff("recover").arg("--apply")).with(0);
    assert_eq!(sheet.cell("P1", "note"), "mine");
    for (po, row) in sheet.table() {
        assert_eq!(row["STATUS"], "COMPLETED", "{po}");
    }
}

/// The other results tell that its author saw them all.
#[test]
fn a_column_of_times_that_is_removed_is_empty_and_nothing_runs_again() {
    for when in [Before, During, Crash] {
        let (scene, ended) = check(when, 1, |text| without(text, "LAST_PROCESSED"));
        assert!(
            ended.stderr.contains(&format!("{REMOVED}LAST_PROCESSED")),
            "{ended:?}"
        );
        for po in FIRST {
            assert_eq!(scene.sheet.cell(po, "STATUS"), "COMPLETED");
            assert_eq!(scene.sheet.cell(po, "LAST_PROCESSED"), "");
        }
        scene.check_copies(&["unplaced"]);
        scene.check_results(&FIRST);
        assert!(!scene.ran().iter().any(|po| FIRST.contains(&po.as_str())));
    }
}

/// To remove it is to empty all of it.
#[test]
fn rows_whose_status_column_is_removed_run_again() {
    for when in [Before, Crash] {
        let (scene, _) = check(when, 1, |text| without(text, "STATUS"));
        assert_eq!(scene.ran(), [FIRST, REST].concat());
        check_kept(&scene, &FIRST, "STATUS", "COMPLETED");
        scene.check_results(&[]);
    }
    let (scene, _) = check(During, 1, |text| without(text, "STATUS"));
    check_kept(&scene, &FIRST, "STATUS", "COMPLETED");
    scene.check_results(&FIRST);
    scene.next().with(0);
    assert_eq!(scene.ran(), [&REST[1..], &FIRST[..]].concat());
    scene.check_results(&[]);
}

/// Another name is a column that went and one that came.
/// What is left of the rows' states was written by tickoff, whatever closed the journal since.
#[test]
fn so_they_do_when_another_command_has_said_so_before() {
    for command in ["backup create", "set"] {
        let sheet = TempSheet::pending(2);
        end(&mut sheet.run("-q", "echo NOTE=7 > $TICKOFF_RESULT")).with(0);
        fs::write(sheet.path(), without(&sheet.text(), "STATUS")).unwrap();
        crate::fixture::rested(sheet.path());
        let mut other = sheet.tickoff(command);
        if command == "set" {
            other.args(["PO0", "NOTE=8"]);
        }
        let told = end(&mut other).with(1);
        assert!(told.stderr.contains("and all run again"), "{told:?}");
        end(&mut sheet.run("-q", "echo $TICKOFF_KEY >> ran")).with(0);
        assert_eq!(sheet.lines("ran").len(), 2, "{command}");
    }
}

#[test]
fn a_column_with_results_that_is_renamed_keeps_its_cells_under_the_new_name() {
    for when in [Before, During, Crash] {
        let (scene, ended) = check(when, 1, |text| {
            text.replacen("ATTACHMENTS_FOUND", "Found", 1)
        });
        assert!(ended.stderr.contains(REMOVED), "{ended:?}");
        check_kept(&scene, &FIRST, "ATTACHMENTS_FOUND", "2");
        for po in FIRST {
            assert_eq!(scene.sheet.cell(po, "Found"), "2");
        }
        scene.check_results(&FIRST);
    }
}

#[test]
fn a_column_without_results_that_is_renamed_keeps_its_new_name() {
    for when in [Before, During, Crash] {
        let scene = check_quiet(when, |text| text.replacen(";note", ";remark", 1));
        assert_eq!(scene.sheet.cell("P01", "remark"), "nP01");
        scene.check_results(&[]);
    }
}

#[test]
fn a_sheet_whose_key_column_is_renamed_is_refused_or_kept_in_a_copy() {
    let mut edited = String::new();
    let mut rename = |text: &str| {
        edited = text.replacen("PO_NUMBER", "Order", 1);
        edited.clone()
    };
    for when in [Before, Crash] {
        let (scene, ended) = check(when, 3, &mut rename);
        assert!(
            ended.stderr.contains("no column PO_NUMBER in the header"),
            "{ended:?}"
        );
        let text = scene.sheet.text();
        assert!(text.starts_with("Order;"));
        scene.save(&text.replacen("Order", "PO_NUMBER", 1));
        scene.next().with(0);
        scene.check_results(&[]);
    }
    let (scene, ended) = check(During, 0, &mut rename);
    assert!(
        ended
            .stderr
            .contains("what another program saved is not taken over: the sheet is what it was before, with all results; a copy of the save is kept why="),
        "{ended:?}"
    );
    assert_eq!(scene.kept("outside"), [edited]);
    scene.check_copies(&["outside"]);
    scene.check_results(&[]);
    end(&mut scene.sheet.tickoff("status")).with(0);
}
