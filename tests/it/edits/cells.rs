//! An edit of single cells.

use super::{Before, Crash, During, REST, Scene, check, check_quiet, original, with};
use crate::command_line::end;
use crate::fixture::TempSheet;

#[test]
fn another_cell_has_the_edit_and_the_results_are_there() {
    for when in [Before, During, Crash] {
        let scene = check_quiet(when, |text| with(text, "P01", "note", "mine"));
        assert_eq!(scene.sheet.cell("P01", "note"), "mine");
        scene.check_results(&[]);
    }
}

#[test]
fn the_edit_of_a_result_by_somebody_who_saw_it_stays() {
    for when in [Before, During, Crash] {
        let scene = check_quiet(when, |text| with(text, "P01", "ATTACHMENTS_FOUND", "7"));
        assert_eq!(scene.sheet.cell("P01", "ATTACHMENTS_FOUND"), "7");
        assert_eq!(scene.sheet.cell("P01", "STATUS"), "COMPLETED");
        scene.check_results(&["P01"]);
    }
}

/// The edit comes first, the result is the later hand. A backup has what stood there, or a copy.
#[test]
fn a_result_that_comes_after_an_edit_of_its_cell_takes_its_place() {
    let edit = |text: &str| with(text, "P08", "ATTACHMENTS_FOUND", "7");
    for when in [Before, Crash] {
        check_quiet(when, edit).check_results(&[]);
    }
    let mut scene = Scene::new(During);
    let saved = edit(&scene.sheet.text());
    scene.save(&saved);
    let ended = scene.end().with(0);
    scene.check_results(&[]);
    assert_eq!(scene.kept("outside"), [saved]);
    for told in [
        "another program changed a cell before its result came; the result takes its place key=P08 column=ATTACHMENTS_FOUND in_sheet=2 theirs=7",
        "a copy of the sheet with what results take the place of is kept kept=",
    ] {
        assert!(ended.stderr.contains(told), "{}", ended.stderr);
    }
}

/// `set` answers when its value is durable, and the result of the command that runs comes later.
#[test]
fn a_result_that_comes_after_a_set_of_its_cell_takes_its_place() {
    let mut scene = Scene::new(During);
    for (po, cell) in [
        ("P06", "ATTACHMENTS_FOUND=7"),
        ("P08", "ATTACHMENTS_FOUND=8"),
        ("P09", "ATTACHMENTS_FOUND=2.0"),
        ("P10", "note=mine"),
        ("P01", "ATTACHMENTS_FOUND=9"),
    ] {
        end(scene.sheet.tickoff("set").args([po, cell])).with(0);
    }
    let ended = scene.end().with(0);
    for (po, value) in [("P06", "7"), ("P08", "8")] {
        let told = format!(
            "another tickoff command changed a cell before its result came; the result takes its place key={po} column=ATTACHMENTS_FOUND in_sheet=2 theirs={value}\n"
        );
        assert!(ended.stderr.contains(&told), "{ended:?}");
    }
    // The two, and the copy that has both.
    assert_eq!(ended.stderr.lines().count(), 3, "{ended:?}");
    scene.check_copies(&["outside"]);
    let kept = scene.kept("outside").remove(0);
    for row in ["P06;PENDING;Acme;7;;;", "P08;PENDING;Acme;8;;;"] {
        assert!(kept.contains(row), "{kept}");
    }
    scene.check_results(&["P01"]);
    assert_eq!(scene.sheet.cell("P01", "ATTACHMENTS_FOUND"), "9");
    assert_eq!(scene.sheet.cell("P10", "note"), "mine");
}

/// The result answers what was asked, though it was asked for while the command ran.
#[test]
fn a_row_whose_command_runs_is_not_run_again_for_a_set_of_its_status() {
    let mut scene = Scene::new(During);
    end(scene.sheet.tickoff("set").args(["P06", "STATUS=PENDING"])).with(0);
    assert_eq!(scene.end().with(0).stderr, "");
    scene.check_results(&[]);
    scene.check_copies(&[]);
    scene.ran();
    scene.next().with(0);
    assert_eq!(scene.ran(), [""; 0]);
}

#[test]
fn nothing_is_said_of_edits_that_a_result_does_not_take_the_place_of() {
    let scene = check_quiet(During, |text| {
        let text = with(text, "P08", "note", "mine");
        let text = with(&text, "P09", "ATTACHMENTS_FOUND", "2.0");
        with(&text, "P10", "STATUS", "ERROR")
    });
    scene.check_results(&["P09"]);
    scene.check_copies(&[]);
}

/// Somebody who has the sheet as it was before the run saves it with another value in a result's cell.
#[test]
fn a_result_that_its_editor_cannot_have_seen_stays_and_the_edit_is_in_a_copy() {
    let stale = |_: &str| with(&original(), "P01", "STATUS", "FAILED");
    let (scene, ended) = check(During, 0, stale);
    scene.check_results(&[]);
    scene.check_copies(&["outside"]);
    assert_eq!(scene.kept("outside"), [stale("")]);
    let told = "another program changed a cell that holds a result; the result is kept key=P01 column=STATUS in_sheet=COMPLETED theirs=FAILED";
    assert!(ended.stderr.contains(told), "{}", ended.stderr);

    for when in [Before, Crash] {
        let (scene, asked) = check(when, 3, stale);
        assert!(
            asked.stderr.contains("was saved without the times of its results (LAST_PROCESSED), as an old version is: its journal has results for 6 rows that it does not show: tickoff recover "),
            "{asked:?}"
        );
        assert_eq!(scene.sheet.text(), stale(""));
        let told = end(scene.sheet.tickoff("recover").arg("--apply")).with(0);
        assert!(told.stderr.contains("in_sheet=COMPLETED theirs=FAILED"));
        scene.check_backed_up(&stale(""));
        scene.check_results(&REST);
    }
}

#[test]
fn of_many_cells_in_which_a_result_stays_the_first_are_named_and_the_others_counted() {
    let stale = |_: &str| {
        let all = super::FIRST.iter();
        all.fold(original(), |text: String, po| {
            with(&text, po, "STATUS", "FAILED")
        })
    };
    let (scene, ended) = check(During, 0, stale);
    scene.check_results(&[]);
    let named = ended.stderr.matches("a cell that holds a result").count();
    assert_eq!(named, 5, "{ended:?}");
    let more = "it changed 1 more cell that holds a result; the results are kept keys=P0";
    assert!(ended.stderr.contains(more), "{ended:?}");
}

/// The save has some results, so it is known which ones its editor cannot have seen.
#[test]
fn both_values_are_named_and_the_save_is_backed_up_where_it_need_not_be_asked() {
    let mut scene = Scene::new(Before);
    let stale = with(&scene.sheet.text(), "P08", "STATUS", "FAILED");
    scene.end().with(0);
    scene.save(&stale);
    let ended = scene.next().with(0);
    let told = "key=P08 column=STATUS in_sheet=COMPLETED theirs=FAILED";
    assert!(ended.stderr.contains(told), "{ended:?}");
    scene.check_backed_up(&stale);
    scene.check_results(&[]);
}

#[test]
fn a_row_whose_status_is_put_back_runs_again_in_the_next_run() {
    for (when, value) in [
        (Before, ""),
        (Before, "PENDING"),
        (Before, "ERROR"),
        (Crash, ""),
        (Crash, "PENDING"),
        (Crash, "ERROR"),
    ] {
        let (scene, ended) = check(when, 0, |text| with(text, "P01", "STATUS", value));
        assert_eq!(ended.stderr, "");
        assert_eq!(scene.ran(), [&["P01"], &REST[..]].concat());
        scene.check_results(&[]);
        scene.check_copies(&[]);
    }
    for value in ["", "PENDING", "ERROR"] {
        let scene = check_quiet(During, |text| with(text, "P01", "STATUS", value));
        assert_eq!(scene.sheet.cell("P01", "STATUS"), value);
        assert_eq!(scene.sheet.cell("P01", "ATTACHMENTS_FOUND"), "2");
        scene.check_results(&["P01"]);
        assert_eq!(scene.next().with(0).stderr, "");
        assert_eq!(scene.ran(), ["P01"]);
        scene.check_results(&[]);
    }
}

#[test]
fn a_row_whose_status_is_put_back_by_set_runs_again() {
    for when in [Before, Crash] {
        let mut scene = Scene::new(when);
        end(scene.sheet.tickoff("set").args(["P01", "STATUS=PENDING"])).with(0);
        scene.end().with(0);
        assert_eq!(scene.ran(), [&["P01"], &REST[..]].concat());
        scene.check_results(&[]);
    }
    let mut scene = Scene::new(During);
    end(scene.sheet.tickoff("set").args(["P01", "STATUS=PENDING"])).with(0);
    scene.end().with(0);
    assert_eq!(scene.sheet.cell("P01", "STATUS"), "PENDING");
    scene.next().with(0);
    scene.check_results(&[]);
}

/// An old save shows the same.
#[test]
fn newest_rows_whose_result_cells_are_all_emptied_are_taken_for_those_of_an_old_save() {
    let emptied = |text: &str| {
        let text = with(text, "P01", "note", "mine");
        ["P03", "P04", "P05"].iter().fold(text, |text, po| {
            let text = with(&text, po, "STATUS", "PENDING");
            let text = with(&text, po, "ATTACHMENTS_FOUND", "");
            with(&text, po, "LAST_PROCESSED", "")
        })
    };
    for when in [Before, During, Crash] {
        let (scene, ended) = check(when, 0, emptied);
        assert_eq!(scene.sheet.cell("P01", "note"), "mine");
        scene.check_results(&[]);
        let told = "they are written again, and tickoff set FILE KEY STATUS=PENDING has one of them run again rows=3 keys=P03, P04, P05";
        assert!(ended.stderr.contains(told), "{ended:?}");
    }
}

#[test]
fn an_edit_in_place_is_taken_as_one_by_a_new_file_is() {
    let mut scene = Scene::new(During);
    let edited = with(&scene.sheet.text(), "P01", "note", "mine");
    std::fs::write(scene.sheet.path(), edited).unwrap();
    assert_eq!(scene.end().with(0).stderr, "");
    assert_eq!(scene.sheet.cell("P01", "note"), "mine");
    scene.check_results(&[]);
    scene.check_copies(&[]);
}

#[test]
fn a_row_with_a_word_that_nobody_knows_is_left_alone() {
    for when in [Before, Crash] {
        let (scene, ended) = check(when, 0, |text| with(text, "P01", "STATUS", "ON HOLD"));
        assert_eq!(ended.stderr, "");
        assert_eq!(scene.ran(), REST);
        assert_eq!(scene.sheet.cell("P01", "STATUS"), "ON HOLD");
        scene.check_results(&["P01"]);
    }
    // Of P06 the command runs already; P07 comes next.
    let both = |text: &str| {
        let text = with(text, "P06", "STATUS", "ON HOLD");
        with(&text, "P07", "STATUS", "ON HOLD")
    };
    let (scene, ended) = check(During, 1, both);
    let told = "a result may not change ON HOLD to COMPLETED: its status, time and message go to ….unplaced.csv key=P06";
    assert!(ended.stderr.contains(told), "{ended:?}");
    assert_eq!(scene.ran(), REST[2..]);
    for (po, found) in [("P06", "2"), ("P07", "")] {
        assert_eq!(scene.sheet.cell(po, "STATUS"), "ON HOLD");
        assert_eq!(scene.sheet.cell(po, "LAST_PROCESSED"), "");
        assert_eq!(scene.sheet.cell(po, "ATTACHMENTS_FOUND"), found);
    }
    scene.check_results(&["P06", "P07"]);
    scene.check_copies(&["unplaced"]);
    let kept = scene.kept("unplaced").remove(0);
    assert!(
        kept.starts_with("PO_NUMBER;STATUS;LAST_PROCESSED\nP06;COMPLETED;20"),
        "{kept}"
    );
}

/// What a spreadsheet makes of a number is no other value: it stays, and nobody is told.
#[test]
fn a_number_that_a_program_writes_in_its_own_way_stays_so() {
    for when in [Before, During, Crash] {
        let scene = check_quiet(when, |text| with(text, "P01", "ATTACHMENTS_FOUND", "2.00"));
        assert_eq!(scene.next().with(0).stderr, "");
        assert_eq!(scene.sheet.cell("P01", "ATTACHMENTS_FOUND"), "2.00");
        scene.check_results(&["P01"]);
    }
}

/// The cells of a column, in the sheet's order.
fn column(sheet: &TempSheet, column: &str) -> Vec<String> {
    let rows = sheet.table().into_values();
    rows.map(|row| row[column].clone()).collect()
}

#[test]
fn a_result_that_an_old_save_has_in_another_spelling_is_written_again() {
    let old = "id;zip\nA1;1067\nA2;+49 \nA3; x\nA4;2\nZ;5\n";
    let sheet = TempSheet::new(old);
    std::fs::write(sheet.folder().join("old"), old).unwrap();
    let job = r#"case $TICKOFF_KEY in
            A1) zip=01067;; A2) zip=49;; A3) zip=x;; A4) zip=2.0;;
            Z)  zip=9
                while ! grep -q "A4;2.0;COMPLETED" input.csv; do sleep 0.01; done
                cp old t; mv t input.csv;;
        esac
        echo "zip=$zip" > $TICKOFF_RESULT"#;
    let run = || end(&mut sheet.run("--key id -q -j1", job));
    let ended = run().with(0);
    let told = "they are written again, and tickoff set FILE KEY STATUS=PENDING has one of them run again rows=4 keys=A1, A2, A3, A4";
    assert!(ended.stderr.contains(told), "{ended:?}");
    let results = ["01067", "49", "x", "2.0", "9"];
    assert_eq!(column(&sheet, "zip"), results);

    std::fs::write(sheet.path(), old).unwrap();
    run().with(3);
    end(sheet.tickoff("recover").args(["--key", "id", "--apply"])).with(0);
    assert_eq!(column(&sheet, "zip"), results);
}

/// The zeros of a postal code, which a spreadsheet had taken away, are put back while the run goes on.
#[test]
fn a_zero_before_a_number_is_an_edit() {
    for (save, told) in [
        (
            "sed s/A3;1067/A3;01067/ input.csv > t",
            "the result takes its place key=A3 column=zip in_sheet=7777 theirs=01067",
        ),
        (
            "sed s/A1;1067/A1;01067/ old > t",
            "the result is kept key=A1 column=zip in_sheet=7777 theirs=01067",
        ),
    ] {
        let save = save.replace(';', "\\;");
        let old = "id;zip\nA1;1067\nA2;1067\nA3;1067\n";
        let sheet = TempSheet::new(old);
        std::fs::write(sheet.folder().join("old"), old).unwrap();
        let job = format!(
            r#"if [ $TICKOFF_KEY = A2 ]; then
                while ! grep -q "A1;7777;COMPLETED" input.csv; do sleep 0.01; done
                {save}; cp t saved; mv t input.csv
            fi
            echo zip=7777 > $TICKOFF_RESULT"#
        );
        let ended = end(&mut sheet.run("--key id -q -j1", &job)).with(0);
        assert!(ended.stderr.contains(told), "{ended:?}");
        assert_eq!(column(&sheet, "zip"), ["7777"; 3]);
        let saved = std::fs::read(sheet.folder().join("saved")).unwrap();
        check_kept_bytes(&sheet, "outside", &saved);
    }
}

/// The text in Windows-1252, in which `ü` is a byte that is no UTF-8.
fn in_windows_1252(text: &str) -> Vec<u8> {
    let letters = text.chars();
    letters
        .map(|c| u8::try_from(u32::from(c)).unwrap())
        .collect()
}

/// The bytes of a row.
fn row(scene: &Scene, po: &str) -> Vec<u8> {
    let bytes = std::fs::read(scene.sheet.path()).unwrap();
    let mut rows = bytes.split(|byte| *byte == b'\n');
    rows.find(|row| row.starts_with(po.as_bytes()))
        .unwrap()
        .to_vec()
}

/// A copy of these bytes is kept as one of a kind.
#[track_caller]
fn check_kept_bytes(sheet: &TempSheet, kind: &str, bytes: &[u8]) {
    let names = sheet.backup_names();
    let of_kind = names
        .iter()
        .filter(|name| name.ends_with(&format!(".{kind}.csv")));
    let mut kept = of_kind.map(|name| std::fs::read(sheet.backups().join(name)).unwrap());
    assert!(kept.any(|kept| kept == bytes), "{names:?}");
}

#[test]
fn letters_of_another_encoding_stay_the_bytes_that_they_are() {
    for when in [Before, During, Crash] {
        let mut scene = Scene::new(when);
        let before = scene.sheet.text();
        let edited = with(&before, "P01", "ATTACHMENTS_FOUND", "zwölf");
        let edited = in_windows_1252(&with(&edited, "P02", "note", "fünf"));
        scene.save(&edited);
        let ended = scene.end().with(0);
        let told = "another program wrote bytes that are no UTF-8 into cells of results; they stay as they are rows=1 keys=P01";
        assert!(ended.stderr.contains(told), "{when:?}: {ended:?}");
        scene.check_copies(&["outside"]);
        check_kept_bytes(&scene.sheet, "outside", &edited);
        // Also when it is read again.
        for _ in 0..2 {
            assert!(
                row(&scene, "P01").windows(7).any(|at| at == b"zw\xf6lf;2"),
                "{when:?}"
            );
            assert!(row(&scene, "P02").ends_with(b";f\xfcnf"));
            assert!(row(&scene, "P11").starts_with(b"P11;COMPLETED;Acme;2;20"));
            assert_eq!(scene.next().with(0).stderr, "");
        }
        scene.check_copies(&["outside"]);

        // An older save lacks them, and there is no text to write again.
        let note = with(&before, "P03", "note", "mine");
        scene.save(&note);
        let ended = scene.next().with(0);
        let told = "cells of these keys that are no UTF-8; they cannot be written again, and stand in the copy of the save that had them rows=1 keys=P01";
        assert!(ended.stderr.contains(told), "{when:?}: {ended:?}");
        assert_eq!(scene.sheet.cell("P01", "ATTACHMENTS_FOUND"), "2");
        scene.check_results(&[]);
    }
}

/// The result stays, so the bytes are in a copy.
#[test]
fn letters_of_another_encoding_that_a_result_takes_the_place_of_are_in_a_copy() {
    let mut scene = Scene::new(During);
    let stale = with(&original(), "P01", "ATTACHMENTS_FOUND", "zwölf");
    scene.save(&in_windows_1252(&stale));
    let ended = scene.end().with(0);
    assert!(
        ended
            .stderr
            .contains("the result is kept key=P01 column=ATTACHMENTS_FOUND in_sheet=2 theirs=")
    );
    scene.check_results(&[]);
    check_kept_bytes(&scene.sheet, "outside", &in_windows_1252(&stale));

    let mut scene = Scene::new(During);
    let early = with(&scene.sheet.text(), "P08", "ATTACHMENTS_FOUND", "zwölf");
    scene.save(&in_windows_1252(&early));
    let ended = scene.end().with(0);
    assert!(ended.stderr.contains(
        "the result takes its place key=P08 column=ATTACHMENTS_FOUND in_sheet=2 theirs="
    ));
    scene.check_results(&[]);
    check_kept_bytes(&scene.sheet, "outside", &in_windows_1252(&early));
}

/// In Windows-1253 0xAA is no letter, though most bytes are.
#[test]
fn a_byte_without_a_letter_stays_where_all_others_are_letters() {
    // The last row's key is no UTF-8, so that the sheet is not taken for a converted one.
    let sheet = TempSheet::new(b"id;val\nA1;\nA2;\n\xe1;\n");
    let run = |limit: &str| {
        let mut run = sheet.run(
            &format!("--key id --encoding windows-1253 -q {limit}"),
            "echo val=R > $TICKOFF_RESULT",
        );
        end(&mut run)
    };
    run("--limit 1").with(0);
    let bytes = std::fs::read(sheet.path()).unwrap();
    let at = bytes.windows(4).position(|at| at == b"A1;R").unwrap();
    let edited = [&bytes[..at], b"A1;X\xce\xaa", &bytes[at + 4..]].concat();
    std::fs::write(sheet.path(), edited).unwrap();
    let ended = run("").with(0);
    assert!(
        ended
            .stderr
            .contains("bytes that are no windows-1253 into cells of results"),
        "{ended:?}"
    );
    let bytes = std::fs::read(sheet.path()).unwrap();
    assert!(bytes.windows(7).any(|at| at == b"A1;X\xce\xaa;"));
    assert!(String::from_utf8_lossy(&bytes).contains("A2;R;COMPLETED"));
    assert_eq!(run("").with(0).stderr, "");
}

/// Whoever set a row back or corrected a result there had seen it all the same.
#[test]
fn edits_beside_times_that_a_spreadsheet_wrote_in_its_own_way_are_taken() {
    for form in ["%d.%m.%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p"] {
        let sheet = TempSheet::pending(3);
        end(&mut sheet.run("-q", "echo COUNT=7 > $TICKOFF_RESULT")).with(0);
        let time = sheet.cell("PO0", "LAST_PROCESSED");
        let mut text = sheet.text();
        for po in ["PO0", "PO1", "PO2"] {
            let time = sheet.cell(po, "LAST_PROCESSED");
            let parsed = chrono::DateTime::parse_from_rfc3339(&time).unwrap();
            text = text.replace(&time, &parsed.format(form).to_string());
        }
        assert!(!text.contains(&time), "{text}");
        let mut lines: Vec<String> = text.lines().map(str::to_owned).collect();
        lines[1] = lines[1].replace("COMPLETED", "PENDING");
        lines[2] = lines[2].replace(";7", ";fix");
        std::fs::write(sheet.path(), lines.join("\n") + "\n").unwrap();
        crate::fixture::rested(sheet.path());
        let ended = end(&mut sheet.run("-q", "echo $TICKOFF_KEY >> ran")).with(0);
        assert_eq!(ended.stderr, "");
        assert_eq!(sheet.lines("ran"), ["PO0"], "{form}");
        assert_eq!(sheet.cell("PO1", "COUNT"), "fix");
    }
}
