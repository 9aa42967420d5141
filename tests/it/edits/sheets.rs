//! Another version, or another sheet, takes the sheet's place.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Before, Crash, During, FIRST, HEADER, REST, Scene, check, lines, original, with};
use crate::command_line::{Ended, Running, end, program, wait_until};
use crate::fixture::TempSheet;

const ASKED: &str =
    "input.csv --apply writes them, --discard gives them up and keeps them in a copy";

#[track_caller]
fn recover(scene: &Scene, decision: &str) -> Ended {
    end(scene.sheet.tickoff("recover").arg(decision)).with(0)
}

/// What a person is asked about stays as it is, whatever command is tried.
#[track_caller]
fn check_asked(scene: &Scene, ended: &Ended, text: &str) {
    assert!(ended.stderr.contains(ASKED), "{ended:?}");
    for (command, arguments, code) in [
        ("init", &[][..], 3),
        ("apply", &[], 3),
        ("backup create", &[], 3),
        ("set", &["P01", "note=x"], 3),
        ("status", &[], 0),
        (
            "get",
            &[text.lines().nth(1).unwrap().split(';').next().unwrap()],
            0,
        ),
    ] {
        let ended = end(scene.sheet.tickoff(command).args(arguments)).with(code);
        assert!(ended.stderr.contains(ASKED), "{command}: {ended:?}");
    }
    let checked = end(&mut scene.sheet.tickoff("check")).with(3);
    assert!(checked.stdout.contains(ASKED), "{checked:?}");
    assert!(scene.ran().is_empty());
    assert_eq!(scene.sheet.text(), text);
}

/// The results of the first rows, as a copy holds them.
#[track_caller]
fn check_kept(scene: &Scene, kind: &str, pos: &[&str]) {
    let copies = scene.kept(kind);
    let [copy] = &copies[..] else {
        panic!("{:?}", scene.sheet.backup_names());
    };
    let lines = lines(copy);
    assert_eq!(lines.len(), pos.len() + 1, "{copy}");
    for (line, po) in lines.iter().zip(pos) {
        assert!(line.starts_with(&format!("{po};2;COMPLETED;20")), "{copy}");
    }
}

fn next_month() -> String {
    let rows = (0..12).map(|at| format!("D{at:02};PENDING;Acme;;;;n{at}\n"));
    format!("{HEADER}\n{}", rows.collect::<String>())
}

fn check_next_month_is_done(scene: &Scene) {
    let table = scene.sheet.table();
    assert_eq!(table.len(), 12);
    for (po, row) in &table {
        assert!(
            po.starts_with('D') && row["STATUS"] == "COMPLETED",
            "{table:?}"
        );
    }
}

#[test]
fn next_months_sheet_is_run_and_the_results_of_the_last_are_kept_in_a_copy() {
    let mut scene = Scene::new(Before);
    scene.end().with(0);
    scene.save(&next_month());
    assert_eq!(end(&mut scene.sheet.tickoff("status")).with(0).stderr, "");
    let ended = scene.next().with(0);
    assert!(
        ended.stderr.contains("the sheet is another one than before; a copy of the results of the one before is kept kept="),
        "{ended:?}"
    );
    check_next_month_is_done(&scene);
    scene.check_backed_up(&next_month());
    check_kept(&scene, "discarded", &[FIRST, REST].concat());
    assert_eq!(scene.next().with(0).stderr, "");
}

#[test]
fn what_next_months_sheet_has_of_the_last_is_named() {
    let mut scene = Scene::new(Before);
    scene.end().with(0);
    let rolled = next_month().replace("D00;", "P01;").replace("D01;", "P02;");
    scene.save(&rolled);
    let ended = scene.next().with(0);
    assert!(
        ended.stderr.contains("these keys had results before: they are taken for new jobs, since fewer than three in four keys of the two sheets are the same rows=2 keys=P01, P02"),
        "{ended:?}"
    );
}

#[test]
fn next_months_sheet_after_a_crash_is_asked_about() {
    let (scene, ended) = check(Crash, 3, |_| next_month());
    assert!(
        ended
            .stderr
            .contains("is another sheet than the one its journal is of"),
        "{ended:?}"
    );
    check_asked(&scene, &ended, &next_month());
    recover(&scene, "--discard");
    assert_eq!(scene.sheet.text(), next_month());
    check_kept(&scene, "discarded", &FIRST);
    scene.next().with(0);
    check_next_month_is_done(&scene);

    let (scene, _) = check(Crash, 3, |_| next_month());
    end(scene.sheet.tickoff("recover").arg("--apply")).with(1);
    assert_eq!(scene.sheet.text(), next_month());
    check_kept(&scene, "unplaced", &FIRST);
}

/// The old one was saved over: it is in the backup and the journal alone.
#[test]
fn the_commands_that_are_named_bring_the_old_sheet_back_with_its_results() {
    let mut scene = Scene::new(During);
    scene.save(&next_month());
    std::fs::write(scene.sheet.folder().join("slow"), "3").unwrap();
    let ended = scene.end().with(6);
    let (_, commands) = ended.stderr.split_once("nowhere any more: ").unwrap();
    let commands = commands.lines().next().unwrap();
    let program = program();
    let folder = Path::new(&program).parent().unwrap();
    let path = std::env::var("PATH").unwrap();
    let mut shell = Command::new("sh");
    shell.args(["-c", commands]);
    shell.env("PATH", format!("{}:{path}", folder.display()));
    end(&mut shell).with(0);
    let aside = scene.sheet.folder().join("input.csv.new");
    assert_eq!(std::fs::read_to_string(aside).unwrap(), next_month());
    let done = scene.ran();
    assert!(!done.contains(&"P11".to_owned()));
    scene.check_results(&REST);
}

#[test]
fn next_months_sheet_during_a_run_is_left_alone_and_the_results_wait_for_theirs() {
    let mut scene = Scene::new(During);
    let last = scene.sheet.text();
    scene.save(&next_month());
    // Each job takes three seconds from here on, and ten are enough.
    std::fs::write(scene.sheet.folder().join("slow"), "3").unwrap();
    let ended = scene.end().with(6);
    for told in [
        "another sheet has the name now: no more work is handed out, and the results stay in the journal",
        "is another sheet now: nothing is written to it. Put the old one back and run again; or, if that is nowhere any more: mv -n ",
    ] {
        assert!(ended.stderr.contains(told), "{ended:?}");
    }
    assert_eq!(scene.sheet.text(), next_month());
    let done = scene.ran();
    assert!(done.contains(&"P07".to_owned()) && !done.contains(&"P11".to_owned()));
    check_asked(&scene, &scene.next().with(3), &next_month());
    scene.save(&last);
    std::fs::remove_file(scene.sheet.folder().join("slow")).unwrap();
    scene.next().with(0);
    let again = scene.ran();
    assert!(
        again.iter().all(|po| !done.contains(po)),
        "{done:?} {again:?}"
    );
    scene.check_results(&[]);
}

#[test]
fn an_older_version_is_asked_about_and_either_answer_keeps_the_results() {
    for when in [Before, Crash] {
        let (scene, ended) = check(when, 3, |_| original());
        assert!(
            ended.stderr.contains("is an older version of itself"),
            "{ended:?}"
        );
        check_asked(&scene, &ended, &original());
        recover(&scene, "--apply");
        scene.check_results(&REST);
        scene.next().with(0);
        assert_eq!(scene.ran(), REST);
        scene.check_results(&[]);

        let (scene, _) = check(when, 3, |_| original());
        recover(&scene, "--discard");
        assert_eq!(scene.sheet.text(), original());
        check_kept(&scene, "discarded", &FIRST);
        scene.next().with(0);
        assert_eq!(scene.ran(), [FIRST, REST].concat());
    }
}

#[test]
fn an_older_version_during_a_run_gets_its_results_again() {
    let (scene, ended) = check(During, 0, |_| original());
    assert!(
        ended.stderr.contains("another program saved a version of the sheet without these results; they are written again, and tickoff set FILE KEY STATUS=PENDING has one of them run again rows=6 keys=P00, P01, P02, P03, P04, P05"),
        "{ended:?}"
    );
    scene.check_results(&[]);
    scene.check_copies(&[]);
}

/// Somebody opened the sheet before the results came, edits another cell, and saves it after them.
#[test]
fn an_older_version_with_an_edit_keeps_the_edit_and_the_results() {
    let stale = || with(&original(), "P02", "note", "mine");
    let (scene, ended) = check(During, 0, |_| stale());
    assert!(ended.stderr.contains("run again rows=6"), "{ended:?}");
    assert_eq!(scene.sheet.cell("P02", "note"), "mine");
    scene.check_results(&[]);
    for when in [Before, Crash] {
        let (scene, ended) = check(when, 3, |_| stale());
        check_asked(&scene, &ended, &stale());
        recover(&scene, "--apply");
        assert_eq!(scene.sheet.cell("P02", "note"), "mine");
        scene.check_results(&REST);
    }
}

/// It has some of the results, so its author is known not to have seen the later ones.
#[test]
fn an_older_version_with_some_results_and_an_edit_gets_the_others_again() {
    let mut scene = Scene::new(Before);
    let older = with(&scene.sheet.text(), "P02", "note", "mine");
    scene.end().with(0);
    scene.save(&older);
    scene.ran();
    let ended = scene.next().with(0);
    assert!(
        ended
            .stderr
            .contains("has one of them run again rows=6 keys=P06, P07"),
        "{ended:?}"
    );
    assert!(!ended.stderr.contains("interrupted"), "{ended:?}");
    assert!(scene.ran().is_empty());
    assert_eq!(scene.sheet.cell("P02", "note"), "mine");
    scene.check_results(&[]);
    scene.check_backed_up(&older);
}

/// A limit: nothing is left by which they could be told apart.
#[test]
fn an_older_version_without_tickoffs_files_is_a_sheet_like_any_other() {
    let mut scene = Scene::new(Before);
    for name in ["journal", "lock", "session"] {
        std::fs::remove_file(scene.sheet.folder().join(format!(".input.csv.{name}"))).unwrap();
    }
    scene.save(&original());
    assert_eq!(scene.end().with(0).stderr, "");
    assert_eq!(scene.ran(), [FIRST, REST].concat());
    scene.check_backed_up(&original());
}

#[test]
fn a_sheet_that_is_emptied_is_refused_or_written_again() {
    for when in [Before, Crash] {
        let (scene, ended) = check(when, 3, |_| String::new());
        assert!(ended.stderr.contains("is empty"), "{ended:?}");
        assert_eq!(scene.sheet.text(), "");
        scene.save(&original());
        scene.next().with(3);
        recover(&scene, "--apply");
        scene.check_results(&REST);
    }
    let (scene, ended) = check(During, 0, |_| String::new());
    assert!(
        ended
            .stderr
            .contains("what another program saved is not taken over: the sheet is what it was before, with all results; a copy of the save is kept why="),
        "{ended:?}"
    );
    assert_eq!(scene.kept("outside"), [""]);
    scene.check_results(&[]);
}

/// The results of the batch that was given up have the times of those of the next one.
#[test]
fn a_version_from_before_a_restore_takes_no_later_result_away() {
    let sheet = TempSheet::new(
        "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;AttachmentName\nP1;;;;\nP2;;;;\nP3;;;;\n",
    );
    let job = |batch: &str| {
        format!(
            "echo '{{\"LAST_PROCESSED\":\"2026-11-26\",\"AttachmentName\":\"{batch}\"}}' > $TICKOFF_RESULT; [ $TICKOFF_PO != P3 ] || [ {batch} = first ] || await go"
        )
    };
    end(&mut sheet.run("-q --limit 2", &job("first"))).with(0);
    let opened = sheet.text();
    end(&mut sheet.tickoff("backup restore")).with(0);
    let run = Running::start(&mut sheet.run("-q -j1", &job("second")));
    wait_until("two results of the second batch are visible", || {
        sheet.text().matches("second").count() == 2
    });
    std::fs::write(sheet.path(), opened).unwrap();
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
    for po in ["P1", "P2", "P3"] {
        assert_eq!(sheet.cell(po, "AttachmentName"), "second", "{po}");
    }
}

#[test]
fn a_save_that_another_one_replaces_before_the_next_result_is_not_lost() {
    let save = |scene: &Scene, text: &str, in_place: bool| match in_place {
        true => fs::write(scene.sheet.path(), text).unwrap(),
        false => scene.save(text),
    };
    for (first, second) in [(true, true), (true, false), (false, true), (false, false)] {
        let mut scene = Scene::new(During);
        let open = scene.sheet.text();
        let edited = with(
            &with(&open, "P01", "ATTACHMENTS_FOUND", "77"),
            "P02",
            "note",
            "mine",
        );
        save(&scene, &edited, first);
        let journal = scene.sheet.folder().join(".input.csv.journal");
        wait_until("the journal has the edit", || {
            let journal = fs::read(&journal).unwrap();
            journal.windows(4).any(|bytes| bytes == b"\"77\"")
        });
        save(&scene, &with(&open, "P03", "note", "later"), second);
        let ended = scene.end().with(0);
        let is_there = |po, column, value| scene.sheet.cell(po, column) == value;
        assert!(
            is_there("P01", "ATTACHMENTS_FOUND", "77"),
            "{first} {second}: {ended:#?}"
        );
        assert!(
            is_there("P03", "note", "later"),
            "{first} {second}: {ended:#?}"
        );
        let kept = scene.kept("replaced");
        assert!(
            kept.iter().any(|text| text.contains(";mine\n")),
            "{first} {second}: {ended:#?}"
        );
        scene.check_results(&["P01"]);
    }
}

/// Last month's sheet comes back under the name of this month's: its versions are none of this one's.
#[test]
fn a_sheet_that_comes_back_after_another_one_had_its_name_is_another_one_again() {
    let months = |when: super::When| {
        let mut scene = Scene::new(Before);
        scene.end().with(0);
        let last = scene.sheet.text();
        scene.save(&next_month());
        match when {
            Before => {
                scene.next().with(0);
                (scene, last, None)
            }
            _ => {
                let script = "case $TICKOFF_PO in D03) : > third; await next; esac";
                let run = Running::start(&mut scene.sheet.run("-q -j1", script));
                wait_until("the fourth job runs", || {
                    scene.sheet.folder().join("third").exists()
                });
                wait_until("three results are visible", || {
                    scene.sheet.text().matches(";COMPLETED;").count() == 3
                });
                (scene, last, Some(run))
            }
        }
    };
    let (scene, last, _) = months(Before);
    for older in [&last, &original()] {
        scene.save(older);
        let ended = scene.next().with(0);
        assert!(
            ended
                .stderr
                .contains("the sheet is another one than before"),
            "{ended:?}"
        );
        assert!(!ended.stderr.contains("no place"), "{ended:?}");
        scene.save(&next_month());
        scene.next().with(0);
    }
    let (scene, last, run) = months(Crash);
    run.unwrap().kill();
    scene.save(&last);
    let asked = scene.next().with(3);
    assert!(
        asked
            .stderr
            .contains("is another sheet than the one its journal is of"),
        "{asked:?}"
    );

    let (scene, last, run) = months(During);
    scene.save(&last);
    fs::write(scene.sheet.folder().join("next"), "").unwrap();
    run.unwrap().end().with(6);
    assert_eq!(scene.sheet.text(), last);
}
