//! What a person wrote where a result comes later, or where one has waited for its place: it stays, or a copy has it.

use std::fs;

use crate::command_line::{Ended, Running, end, wait_until};
use crate::fixture::{TempSheet, rested};

const SHEET: &str =
    "PO_NUMBER;SUPPLIER;note\nPO1;S1;\nPO2;S2;\nPO3;S3;\nPO4;S4;\nPO5;S5;\nPO6;S6;\n";

fn save(sheet: &TempSheet, edit: impl Fn(&str) -> String) {
    let new = sheet.folder().join("saved");
    fs::write(&new, edit(&sheet.text())).unwrap();
    rested(&new);
    fs::rename(new, sheet.path()).unwrap();
}

fn wait_for(sheet: &TempSheet, name: &str) {
    wait_until(name, || sheet.folder().join(name).exists());
}

fn let_go(sheet: &TempSheet, name: &str) {
    fs::write(sheet.folder().join(name), "").unwrap();
}

/// The copies of this kind beside the backups, one after the other.
fn kept(sheet: &TempSheet, kind: &str) -> String {
    let mut names: Vec<_> = fs::read_dir(sheet.backups())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.to_string_lossy().ends_with(&format!(".{kind}.csv")))
        .collect();
    names.sort();
    names
        .iter()
        .map(|path| fs::read_to_string(path).unwrap())
        .collect()
}

/// A run that is killed after another program's edits were taken over and were visible.
fn killed_after_edits(sheet: &TempSheet) {
    let script = "case $TICKOFF_KEY in PO1) echo note=bad > $TICKOFF_RESULT; exit 1;; PO2) : > second; await saved;; PO3) ;; *) : > fourth; hang;; esac; echo note=r1 > $TICKOFF_RESULT";
    let run = Running::start(&mut sheet.run("-q -j1", script));
    wait_for(sheet, "second");
    wait_until("a failure is visible", || {
        sheet.text().contains(";bad;ERROR;")
    });
    save(sheet, |text| {
        text.replace(";bad;", ";corrected;")
            .replace("PO6;S6;;", "PO6;S6;mine;")
    });
    let_go(sheet, "saved");
    wait_for(sheet, "fourth");
    wait_until("a result is visible", || {
        sheet.text().contains("PO3;S3;r1;")
    });
    run.kill();
}

#[test]
fn an_edit_that_was_taken_over_before_a_kill_is_kept_when_its_result_comes_after_it() {
    let sheet = TempSheet::new(SHEET);
    killed_after_edits(&sheet);
    let ended = end(&mut sheet.run("", "echo note=r2 > $TICKOFF_RESULT")).with(0);
    for (key, typed) in [("PO1", "corrected"), ("PO6", "mine")] {
        let told = format!(
            "another program changed a cell before its result came; the result takes its place key={key} column=note in_sheet=r2 theirs={typed}\n"
        );
        assert!(ended.stderr.contains(&told), "{ended:?}");
    }
    assert_eq!(
        ended.stderr.matches("takes its place").count(),
        2,
        "{ended:?}"
    );
    let kept = kept(&sheet, "outside");
    assert!(kept.contains("PO1;S1;corrected;") && kept.contains("PO6;S6;mine;"));
}

#[test]
fn what_was_set_before_or_after_a_kill_is_kept_when_its_result_comes_after_it() {
    let sheet = TempSheet::new(SHEET);
    let script =
        "case $TICKOFF_KEY in PO1) ;; *) : > second; hang;; esac; echo note=r1 > $TICKOFF_RESULT";
    let run = Running::start(&mut sheet.run("-q -j1", script));
    wait_for(&sheet, "second");
    end(sheet.tickoff("set").args(["PO3", "note=before"])).with(0);
    run.kill();
    end(sheet.tickoff("set").args(["PO4", "note=after"])).with(0);
    let ended = end(&mut sheet.run("", "echo note=r2 > $TICKOFF_RESULT")).with(0);
    for (key, typed) in [("PO3", "before"), ("PO4", "after")] {
        let told = format!("takes its place key={key} column=note in_sheet=r2 theirs={typed}\n");
        assert!(ended.stderr.contains(&told), "{ended:?}");
    }
    let kept = kept(&sheet, "outside");
    assert!(kept.contains("PO3;S3;before;") && kept.contains("PO4;S4;after;"));
}

/// A word that asks for a run is answered by the result.
#[test]
fn a_status_that_was_typed_before_its_result_is_named_and_kept_unless_it_asks_for_a_run() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nPO1;\nPO2;\nPO3;\n");
    let script = "case $TICKOFF_KEY in PO1) : > first; await typed;; esac";
    let run = Running::start(&mut sheet.run("-q -j1", script));
    wait_for(&sheet, "first");
    save(&sheet, |text| {
        text.replace("PO2;", "PO2;NO_ATTACHMENTS")
            .replace("PO3;", "PO3;ERROR")
    });
    let_go(&sheet, "typed");
    let ended = run.end().with(0);
    let told = "takes its place key=PO2 column=STATUS in_sheet=COMPLETED theirs=NO_ATTACHMENTS\n";
    assert!(ended.stderr.contains(told), "{ended:?}");
    assert!(!ended.stderr.contains("key=PO3"), "{ended:?}");
    assert!(kept(&sheet, "outside").contains("PO2;NO_ATTACHMENTS"));
}

/// The folder of the backups is on a disk without room, say.
#[test]
fn an_edit_of_which_no_copy_can_be_made_is_durable_before_its_result_is() {
    let sheet = TempSheet::new(SHEET);
    let script =
        "case $TICKOFF_KEY in PO2) : > second; await go;; esac; echo note=r > $TICKOFF_RESULT";
    let run = Running::start(&mut sheet.run("-j1", script));
    wait_for(&sheet, "second");
    let away = sheet.folder().join("away");
    fs::rename(sheet.backups(), &away).unwrap();
    fs::write(sheet.backups(), "in the way").unwrap();
    save(&sheet, |text| text.replace("PO2;S2;;", "PO2;S2;mine;"));
    let_go(&sheet, "go");
    let ended = run.end().with(6);
    assert!(
        ended.stderr.contains("that goes to ….unplaced.csv"),
        "{ended:?}"
    );
    fs::remove_file(sheet.backups()).unwrap();
    fs::rename(away, sheet.backups()).unwrap();
    end(&mut sheet.run("-q", "true"));
    assert_eq!(sheet.unplaced(), "PO_NUMBER;note\nPO2;mine\n");
    assert_eq!(sheet.cell("PO2", "note"), "r");
}

/// During a run one person saves an edit of the sheet, and then another one what they make of the sheet from before it.
fn of_two_saves(
    one: impl Fn(&str) -> String,
    another: impl Fn(&str) -> String,
) -> (TempSheet, Ended) {
    of_two_saves_in(SHEET, one, another)
}

fn of_two_saves_in(
    text: &str,
    one: impl Fn(&str) -> String,
    another: impl Fn(&str) -> String,
) -> (TempSheet, Ended) {
    let sheet = TempSheet::new(text);
    let script = "case $TICKOFF_KEY in PO2) : > second; await first;; PO3) : > third; await other;; esac; echo note=r > $TICKOFF_RESULT";
    let run = Running::start(&mut sheet.run("-q -j1", script));
    wait_for(&sheet, "second");
    let old = sheet.text();
    save(&sheet, one);
    let_go(&sheet, "first");
    wait_for(&sheet, "third");
    save(&sheet, |_| another(&old));
    let_go(&sheet, "other");
    (sheet, run.end())
}

/// An old save of one person takes back what another one has saved meanwhile.
#[test]
fn the_version_with_an_edit_that_an_old_save_takes_back_is_kept() {
    let (sheet, ended) = of_two_saves(
        |text| text.replace(";S5;", ";of one;"),
        |old| old.replace(";S6;", ";of another;"),
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    assert!(
        ended.stderr.contains("without what had been saved before"),
        "{ended:?}"
    );
    assert!(kept(&sheet, "replaced").contains("PO5;of one;"));
    assert_eq!(sheet.cell("PO6", "SUPPLIER"), "of another");
}

#[test]
fn so_it_is_in_whatever_the_edit_was() {
    type Deed = fn(&str) -> String;
    let deeds: [(&str, Deed, Deed); 6] = [
        (
            "PO5;of one;",
            |text| text.replace(";S5;", ";of one;"),
            |old| {
                let lines = old.split_inclusive('\n');
                let others = lines.filter(|line| !line.starts_with("PO5;"));
                others.chain(["PO7;of another;\n"]).collect()
            },
        ),
        (
            ";of one;",
            |text| text.replace(";S5;", ";of one;"),
            |old| old.replace(";S5;", ";of another;"),
        ),
        (
            "K5;S5;",
            |text| text.replace("PO5;", "K5;"),
            |old| old.replace(";S6;", ";mine;"),
        ),
        (
            "PO5;;",
            |text| text.replace(";S5;", ";;"),
            |old| old.replace(";S6;", ";mine;"),
        ),
        (
            "PO_NUMBER;Name;",
            |text| text.replace("SUPPLIER", "Name"),
            |old| old.replace(";S6;", ";mine;"),
        ),
        (
            "PO7;of one;",
            |text| format!("{text}PO7;of one;\n"),
            |old| format!("{old}PO7;of another;\n"),
        ),
    ];
    for (edit, one, another) in deeds {
        let (sheet, ended) = of_two_saves(one, another);
        assert!(kept(&sheet, "replaced").contains(edit), "{edit}: {ended:?}");
    }
}

/// Neither is a row with a key of its own.
#[test]
fn so_it_is_in_a_row_without_a_key_and_behind_the_last_column() {
    type Deed = fn(&str) -> String;
    let mine: Deed = |old| old.replace(";S6;", ";mine;");
    let deeds: [(&str, Deed, Deed); 3] = [
        (
            ";total of one;",
            |text| text.replace(";total;", ";total of one;"),
            mine,
        ),
        (
            ";added of one;",
            |text| format!("{text};added of one;\n"),
            mine,
        ),
        (
            ";of one",
            |text| {
                let line = text.lines().find(|line| line.starts_with("PO5;")).unwrap();
                text.replace(line, &format!("{line};of one"))
            },
            mine,
        ),
    ];
    for (edit, one, another) in deeds {
        let (sheet, ended) = of_two_saves_in(&format!("{SHEET};total;\n"), one, another);
        assert!(kept(&sheet, "replaced").contains(edit), "{edit}: {ended:?}");
    }
}

#[test]
fn so_it_is_after_a_kill_between_the_two_saves() {
    let sheet = TempSheet::new(SHEET);
    let script = "case $TICKOFF_KEY in PO2) : > second; await saved;; PO3) hang;; esac; echo note=r > $TICKOFF_RESULT";
    let run = Running::start(&mut sheet.run("-q -j1", script));
    wait_for(&sheet, "second");
    let old = sheet.text();
    save(&sheet, |text| text.replace(";S5;", ";of one;"));
    let_go(&sheet, "saved");
    wait_until("the next result is visible beside it", || {
        let text = sheet.text();
        text.contains("PO2;S2;r;") && text.contains("PO5;of one;")
    });
    run.kill();
    let script =
        "case $TICKOFF_KEY in PO3) : > third; await other;; esac; echo note=r > $TICKOFF_RESULT";
    let run = Running::start(&mut sheet.run("-q -j1", script));
    wait_for(&sheet, "third");
    save(&sheet, |_| old.replace(";S6;", ";of another;"));
    let_go(&sheet, "other");
    let ended = run.end().with(0);
    assert!(
        ended.stderr.contains("without what had been saved before"),
        "{ended:?}"
    );
    assert!(kept(&sheet, "replaced").contains("PO5;of one;"));
    assert_eq!(sheet.cell("PO6", "SUPPLIER"), "of another");
}

/// An editor that has the sheet open saves it a second time, with another edit.
#[test]
fn a_save_that_has_the_edits_of_before_makes_no_copy() {
    let (sheet, ended) = of_two_saves(
        |text| text.replace(";S5;", ";mine;"),
        |old| old.replace(";S5;", ";mine;").replace(";S6;", ";mine;"),
    );
    assert_eq!(ended.code, 0, "{ended:?}");
    assert_eq!(kept(&sheet, "replaced"), "");
}

mod waiting {
    use super::*;

    /// A run in which the results of PO1 and PO2 have no column; it stands in the job of PO3.
    fn run_without_a_column(sheet: &TempSheet) -> Running {
        let script = "case $TICKOFF_KEY in PO[12]) echo price=r > $TICKOFF_RESULT;; PO3) : > third; await go;; esac";
        let run = Running::start(&mut sheet.run("-q -j1 --no-new-columns", script));
        wait_for(sheet, "third");
        run
    }

    #[test]
    fn a_result_takes_no_value_from_a_column_that_a_person_adds() {
        let sheet = TempSheet::new(SHEET);
        let run = run_without_a_column(&sheet);
        save(&sheet, |text| {
            let text = text.replacen('\n', ";price\n", 1);
            text.lines()
                .map(|line| match line.starts_with("PO1") {
                    true => format!("{line};mine\n"),
                    false if line.starts_with("PO_") => format!("{line}\n"),
                    false => format!("{line};\n"),
                })
                .collect()
        });
        let_go(&sheet, "go");
        run.end().with(1);
        assert_eq!(sheet.cell("PO1", "price"), "mine");
        assert_eq!(sheet.cell("PO2", "price"), "r");
        assert_eq!(sheet.unplaced(), "PO_NUMBER;price\nPO1;r\n");
    }

    #[test]
    fn a_result_does_not_take_the_place_of_a_later_set() {
        let sheet = TempSheet::new(SHEET);
        let run = run_without_a_column(&sheet);
        save(&sheet, |text| text.replacen('\n', ";price\n", 1));
        end(sheet.tickoff("set").args(["PO1", "price=mine"])).with(0);
        let_go(&sheet, "go");
        run.end().with(1);
        assert_eq!(sheet.cell("PO1", "price"), "mine");
        assert_eq!(sheet.cell("PO2", "price"), "r");
        assert_eq!(sheet.unplaced(), "PO_NUMBER;price\nPO1;r\n");
    }

    #[test]
    fn a_row_that_is_put_back_keeps_what_its_author_wrote_and_gets_the_rest() {
        let sheet = TempSheet::new(SHEET);
        let script = "case $TICKOFF_KEY in PO1) : > first; await go;; PO2) : > second; await end;; esac; printf 'note=r\\nnumber=1\\n' > $TICKOFF_RESULT";
        let run = Running::start(&mut sheet.run("-q -j1", script));
        wait_for(&sheet, "first");
        save(&sheet, |text| text.replace("PO1;S1;", "K1;S1;"));
        let_go(&sheet, "go");
        wait_for(&sheet, "second");
        save(&sheet, |text| text.replace("K1;S1;;", "PO1;S1;mine;"));
        let_go(&sheet, "end");
        run.end().with(1);
        assert_eq!(sheet.cell("PO1", "note"), "mine");
        assert_eq!(sheet.cell("PO1", "number"), "1");
        assert_eq!(sheet.cell("PO1", "STATUS"), "COMPLETED");
        assert_eq!(sheet.unplaced(), "PO_NUMBER;note\nPO1;r\n");
    }

    /// It runs again: whoever takes its row away and adds it anew can have had that in mind.
    #[test]
    fn the_result_of_a_row_that_is_added_again_is_in_a_copy() {
        let sheet = TempSheet::new(SHEET);
        let run = |copy: &str| {
            let mut run = sheet.tickoff("run");
            let script = format!("echo note={copy} > $TICKOFF_RESULT");
            run.args(["-q", "--output", "copy.csv", "--", "sh", "-c", &script]);
            end(&mut run)
        };
        run("one").with(0);
        let copy = sheet.folder().join("copy.csv");
        let text = fs::read_to_string(&copy).unwrap();
        let without: String = text
            .split_inclusive('\n')
            .filter(|line| !line.starts_with("PO3"))
            .collect();
        fs::write(&copy, without).unwrap();
        rested(&copy);
        run("two").with(1);
        let text = fs::read_to_string(&copy).unwrap();
        assert!(text.contains("PO3;S3;two;COMPLETED;"), "{text}");
        assert!(sheet.unplaced().contains(";one"), "{}", sheet.unplaced());
    }
}

/// Who has the sheet open sees them, and not what an old save left.
#[test]
fn results_that_a_save_lacks_are_visible_again_while_no_other_comes() {
    let sheet = TempSheet::new(SHEET);
    let script = "case $TICKOFF_KEY in PO1) ;; PO2) : > second; await go;; esac";
    let run = Running::start(&mut sheet.run("-q -j1", script));
    wait_for(&sheet, "second");
    let is_visible = || sheet.text().contains("PO1;S1;;COMPLETED;");
    wait_until("the first result is visible", is_visible);
    save(&sheet, |_| SHEET.replace("S6;", "S6;mine"));
    wait_until("it is again", || {
        is_visible() && sheet.text().contains("S6;mine")
    });
    let_go(&sheet, "go");
    assert_eq!(run.end().with(0).stderr.matches("WARN").count(), 1);
    assert_eq!(sheet.status()["completed"], 6);
}
