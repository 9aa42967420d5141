//! Rows come, go, change their keys or their order.

use crate::command_line::end;
use crate::fixture::TempSheet;

use super::{Before, Crash, During, FIRST, REST, Scene, check, check_quiet, lines};

#[test]
fn a_row_that_is_added_is_run_by_the_next_run() {
    let add = |text: &str| text.to_owned() + "P99;;New;;;;mine\n";
    for when in [Before, Crash] {
        let (scene, ended) = check(when, 0, add);
        assert_eq!(ended.stderr, "");
        assert_eq!(scene.ran(), [&REST[..], &["P99"]].concat());
        assert_eq!(scene.sheet.cell("P99", "note"), "mine");
        assert_eq!(scene.sheet.cell("P99", "STATUS"), "COMPLETED");
        scene.check_results(&[]);
    }
    let scene = check_quiet(During, add);
    assert_eq!(scene.sheet.cell("P99", "note"), "mine");
    assert_eq!(scene.sheet.cell("P99", "STATUS"), "");
    scene.check_results(&[]);
    scene.next().with(0);
    assert_eq!(scene.ran(), ["P99"]);
}

#[test]
fn a_row_that_is_copied_stays_done_and_is_named() {
    let copy = |text: &str| {
        let copied = text.lines().find(|line| line.starts_with("P01;")).unwrap();
        text.to_owned() + &copied.replace("P01;", "P99;") + "\n"
    };
    for when in [Before, During, Crash] {
        let (scene, ended) = check(when, 1, copy);
        let said = ended
            .stderr
            .matches("show the status, the time and all results of another row")
            .count();
        assert_eq!(said, 1, "{ended:?}");
        assert!(ended.stderr.contains("rows=1 keys=P99"), "{ended:?}");
        scene.check_results(&[]);
        assert_eq!(scene.next().with(0).stderr, "", "it is said once");
        assert!(!scene.ran().contains(&"P99".to_owned()));
    }
}

const NO_PLACE: &str = "the sheet has no place for results keys=P01";

#[test]
fn a_row_that_is_removed_stays_removed_and_its_result_is_in_a_copy() {
    let remove = |text: &str| {
        let rows = text.lines().filter(|line| !line.starts_with("P01;"));
        rows.map(|line| format!("{line}\n")).collect()
    };
    for when in [Before, During, Crash] {
        let (scene, ended) = check(when, 1, remove);
        assert!(ended.stderr.contains(NO_PLACE), "{ended:?}");
        assert!(!scene.sheet.table().contains_key("P01"));
        scene.check_results(&["P01"]);
        let unplaced = scene.kept("unplaced");
        assert!(
            lines(&unplaced[0])[0].starts_with("P01;2;COMPLETED;"),
            "{unplaced:?}"
        );
        match when {
            // A file that lost rows may be half written, so both versions are kept.
            During => {
                scene.check_copies(&["outside", "replaced", "unplaced"]);
                assert!(scene.kept("replaced")[0].contains("\nP01;COMPLETED;Acme;2;"));
                for told in [
                    "another program saved the sheet with fewer rows: the sheet is that save now, with the results of its rows; a copy of the save is kept kept=",
                    "the version before that save, with the rows that it lacks, is kept in a copy kept=",
                ] {
                    assert!(ended.stderr.contains(told), "{ended:?}");
                }
            }
            _ => scene.check_copies(&["unplaced"]),
        }
        assert_eq!(scene.next().with(0).stderr, "", "it is said once");
    }
}

#[test]
fn a_row_that_is_removed_before_it_is_run_is_not_run() {
    let remove = |text: &str| {
        let rows = text.lines().filter(|line| !line.starts_with("P08;"));
        rows.map(|line| format!("{line}\n")).collect()
    };
    for when in [Before, Crash] {
        let (scene, ended) = check(when, 0, remove);
        assert_eq!(ended.stderr, "");
        assert!(!scene.ran().contains(&"P08".to_owned()));
        scene.check_results(&["P08"]);
        scene.check_copies(&[]);
    }
}

#[test]
fn a_row_that_is_removed_before_its_turn_comes_is_skipped() {
    let mut scene = Scene::new(During);
    let text = scene.sheet.text();
    let rows = text.lines().filter(|line| !line.starts_with("P11;"));
    scene.save(&rows.map(|line| format!("{line}\n")).collect::<String>());
    // A second for each of the jobs before it.
    std::fs::write(scene.sheet.folder().join("slow"), "1").unwrap();
    scene.end().with(0);
    assert_eq!(scene.ran(), &REST[1..5]);
    scene.check_results(&["P11"]);
    scene.check_copies(&["outside", "replaced"]);
}

#[test]
fn the_result_of_a_row_that_is_removed_while_its_command_runs_is_in_a_copy() {
    let remove = |text: &str| {
        let rows = text.lines().filter(|line| !line.starts_with("P06;"));
        rows.map(|line| format!("{line}\n")).collect()
    };
    let (scene, _) = check(During, 1, remove);
    assert!(!scene.sheet.table().contains_key("P06"));
    scene.check_results(&["P06"]);
    let unplaced = scene.kept("unplaced");
    assert!(
        lines(&unplaced[0])[0].starts_with("P06;2;COMPLETED;"),
        "{unplaced:?}"
    );
}

#[test]
fn a_row_whose_key_is_changed_keeps_its_cells_and_is_named_and_its_result_is_in_a_copy_too() {
    const NAMED: &str = "rows that had a result have another key now and stay done; a copy has the results of keys that no row has any more; tickoff set FILE KEY STATUS=PENDING has one of them run under the new one rows=1 keys=P77\n";
    for when in [Before, During, Crash] {
        let (scene, ended) = check(when, 1, |text| text.replace("\nP01;", "\nP77;"));
        // It is not lost: the row shows all of it.
        assert!(!ended.stderr.contains(NO_PLACE), "{ended:?}");
        assert_eq!(ended.stderr.matches(NAMED).count(), 1, "{ended:?}");
        let row = &scene.sheet.table()["P77"];
        assert_eq!(
            (&*row["STATUS"], &*row["ATTACHMENTS_FOUND"]),
            ("COMPLETED", "2")
        );
        assert!(!scene.ran().contains(&"P77".to_owned()), "it is done");
        scene.check_results(&["P01"]);
        scene.check_copies(&["unplaced"]);
        assert!(lines(&scene.kept("unplaced")[0])[0].starts_with("P01;2;COMPLETED;"));
        assert_eq!(scene.next().with(0).stderr, "", "it is said once");
    }
}

#[test]
fn all_rows_whose_keys_are_changed_are_named_once_though_their_results_are_alike() {
    let rows: String = (1..=8).map(|n| format!("P{n};\n")).collect();
    let sheet = TempSheet::new(format!("PO_NUMBER;Note\n{rows}"));
    let job = "echo '{\"LAST_PROCESSED\":\"t\"}' > $TICKOFF_RESULT";
    end(&mut sheet.run("-q", job)).with(0);
    let text = sheet.text();
    let keys = text.replace("\nP", "\nQ").replace("\nQ1;", "\nP1;");
    std::fs::write(sheet.path(), keys).unwrap();
    let ended = end(&mut sheet.run("-q", job)).with(1);
    assert!(!ended.stderr.contains("no place for results"), "{ended:?}");
    let named = "rows=7 keys=Q2, Q3, Q4, Q5, Q6, Q7, Q8\n";
    assert_eq!(ended.stderr.matches(named).count(), 1, "{ended:?}");
}

/// As who sorts the key column alone does it to many.
#[test]
fn a_row_that_is_done_by_the_result_of_a_row_with_which_it_changed_its_key_is_named() {
    let sheet = TempSheet::new("PO_NUMBER;Note\nP1;a\nP2;b\nP3;c\n");
    let job = "echo $TICKOFF_KEY >> ran; echo out=r-$TICKOFF_KEY > $TICKOFF_RESULT";
    end(&mut sheet.run("-q --limit 2", job)).with(0);
    std::fs::remove_file(sheet.folder().join("ran")).unwrap();
    let text = sheet.text();
    let swapped = text
        .replace("P1;", "P0;")
        .replace("P3;", "P1;")
        .replace("P0;", "P3;");
    std::fs::write(sheet.path(), swapped).unwrap();
    let ended = end(&mut sheet.run("-q", job)).with(1);
    let named = "rows that had a result have another key now and stay done; tickoff set FILE KEY STATUS=PENDING has one of them run under the new one rows=1 keys=P3\n";
    assert!(ended.stderr.contains(named), "{ended:?}");
    assert_eq!(sheet.lines("ran"), ["P1"]);
    assert_eq!(sheet.cell("P3", "out"), "r-P1");
    assert_eq!(end(&mut sheet.run("-q", job)).with(0).stderr, "");
}

#[test]
fn a_row_that_comes_for_one_that_goes_has_no_result_to_be_named() {
    for row in [
        "P77;;Acme;;;;mine\n",
        "P77;COMPLETED;Acme;;2020-01-01T00:00:00Z;;mine\n",
    ] {
        let replace = |text: &str| {
            let rows = text.lines().filter(|line| !line.starts_with("P01;"));
            let rows: String = rows.map(|line| format!("{line}\n")).collect();
            rows + row
        };
        let (_, ended) = check(Before, 1, replace);
        assert!(ended.stderr.contains(NO_PLACE), "{ended:?}");
        assert!(!ended.stderr.contains("another key"), "{ended:?}");
    }
}

#[test]
fn a_sheet_that_is_sorted_stays_sorted_and_each_row_has_its_own_result() {
    for when in [Before, During, Crash] {
        let mut order = Vec::new();
        let sort = |text: &str| {
            let (header, rows) = text.split_once('\n').unwrap();
            let mut rows: Vec<&str> = rows.lines().collect();
            rows.reverse();
            order = rows.iter().map(|row| row[..3].to_owned()).collect();
            format!("{header}\n{}\n", rows.join("\n"))
        };
        let (scene, ended) = check(when, 0, sort);
        assert_eq!(ended.stderr, "");
        let text = scene.sheet.text();
        let keys: Vec<&str> = text.lines().skip(1).map(|row| &row[..3]).collect();
        assert_eq!(keys, order);
        for po in FIRST {
            assert_eq!(scene.sheet.cell(po, "note"), format!("n{po}"));
        }
        scene.check_results(&[]);
        scene.check_copies(&[]);
    }
}

#[test]
fn a_key_that_comes_to_stand_in_two_rows_is_refused_or_kept_in_a_copy() {
    let twice = |text: &str| text.to_owned() + "P01;;New;;;;mine\n";
    for when in [Before, Crash] {
        let (scene, ended) = check(when, 3, twice);
        assert!(ended.stderr.contains("--duplicates all"), "{ended:?}");
        assert!(scene.ran().is_empty());
        assert!(scene.sheet.text().ends_with(";mine\n"));
    }
    let (scene, ended) = check(During, 0, twice);
    assert!(
        ended.stderr.contains("a copy of the save is kept why="),
        "{ended:?}"
    );
    assert!(scene.kept("outside")[0].ends_with(";mine\n"));
    scene.check_copies(&["outside"]);
    scene.check_results(&[]);
}

/// Where keys may be repeated, the row joins those of a key that has a result of its own.
#[test]
fn a_row_that_gets_the_key_of_other_rows_and_stays_done_is_named() {
    let sheet = TempSheet::new("PO_NUMBER;LINE\nP1;1\nP2;1\nP3;1\nP3;2\n");
    let run = |script: &str| end(&mut sheet.run("-j 1 --duplicates all", script));
    run("echo NOTE=of-$TICKOFF_KEY > $TICKOFF_RESULT").with(0);
    assert!(!run("touch ran").with(0).stderr.contains("WARN"));
    std::fs::write(sheet.path(), sheet.text().replace("P3;1;", "P2;2;")).unwrap();
    crate::fixture::rested(sheet.path());
    let ended = run("touch ran").with(1);
    assert!(
        ended.stderr.contains("have another key now and stay done")
            && ended.stderr.contains("rows=1 keys=P2"),
        "{ended:?}"
    );
    assert!(!sheet.folder().join("ran").exists());
}

/// The first row of a key shows nothing of its result then, and the others all of it.
#[test]
fn rows_that_are_added_in_front_of_those_of_their_keys_are_run() {
    let sheet = TempSheet::new("PO_NUMBER;LINE\nP1;1\nP2;1\nP3;1\n");
    let run = |script: &str| end(&mut sheet.run("-q -j 1 --duplicates all", script));
    run("echo NOTE=of-$TICKOFF_KEY > $TICKOFF_RESULT").with(0);
    let text = sheet.text();
    let (header, rows) = text.split_once('\n').unwrap();
    let added: String = ["P1", "P2", "P3"]
        .map(|po| format!("{po};9;;;;\n"))
        .concat();
    std::fs::write(sheet.path(), format!("{header}\n{added}{rows}")).unwrap();
    crate::fixture::rested(sheet.path());
    assert_eq!(run("echo $TICKOFF_KEY >> ran").with(0).stderr, "");
    assert_eq!(sheet.lines("ran"), ["P1", "P2", "P3"]);
}
