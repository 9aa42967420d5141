//! The file is deleted, renamed, moved or copied.

use std::fs;
use std::path::Path;
use std::process::Command;

use super::{Before, Crash, During, FIRST, JOB, REST, Scene, original};
use crate::command_line::{Ended, end, tickoff};
use crate::disk::{Disk, Format};
use crate::fixture::TempSheet;
use crate::renamed::killed;

/// A command on another file of the sheet's folder.
fn on(scene: &Scene, command: &str, file: &str) -> Command {
    let mut program = tickoff();
    program.current_dir(scene.sheet.folder());
    program.args([command, file]);
    program
}

/// The run of another file of the sheet's folder; the jobs that wait do not.
#[track_caller]
fn run(scene: &Scene, file: &str) -> Ended {
    fs::write(scene.sheet.folder().join("go"), "").unwrap();
    let await_nothing = format!("await() {{ :; }}\n{}", JOB.replace("input.csv", file));
    end(on(scene, "run", file).args(["-q", "-j1", "--", "sh", "-c", &await_nothing]))
}

fn text(scene: &Scene, file: &str) -> String {
    fs::read_to_string(scene.sheet.folder().join(file)).unwrap()
}

/// How many rows of a text are completed.
fn completed(text: &str) -> usize {
    text.matches(";COMPLETED;").count()
}

/// What is said of a name whose sheet is gone. What a session announced last that was killed may never have been
/// shown.
fn gone(when: super::When) -> &'static str {
    match when {
        Crash => {
            "input.csv is not there, and its journal DIR/.input.csv.journal holds results for some rows that it may not have shown. If you have it, put it back. If you renamed it in this folder: tickoff recover NEW_NAME --apply. If it is lost: tickoff backup restore FILE latest, then tickoff recover FILE --apply\n"
        }
        _ => {
            "input.csv is not there, and its journal DIR/.input.csv.journal has the results of 6 rows, all of which it showed. If you renamed or moved it, they went along. If it was deleted, or an older version, or one without some of its rows, had taken its place: tickoff backup restore FILE latest, then tickoff recover FILE --apply. To begin anew, use another name\n"
        }
    }
}

/// Of how many rows a killed run knew that they were shown is a matter of its pace.
#[track_caller]
fn check_gone(scene: &Scene, when: super::When, ended: &Ended) {
    let told = scene.sheet.without_folder(&ended.stderr);
    let told = (1..=6).fold(told, |told, rows| {
        let plural = if rows == 1 { "" } else { "s" };
        told.replace(
            &format!("for {rows} row{plural} that it may"),
            "for some rows that it may",
        )
    });
    assert!(told.contains(gone(when)), "{when:?}: {told}");
}

#[test]
fn the_results_of_a_sheet_that_is_deleted_come_into_a_backup_that_is_put_in_its_place() {
    for when in [Before, Crash] {
        let scene = Scene::new(when);
        fs::remove_file(scene.sheet.path()).unwrap();
        for (command, arguments) in [
            ("run", &["--", "true"][..]),
            ("status", &[]),
            ("get", &["P01"]),
            ("set", &["P01", "note=x"]),
        ] {
            let ended = end(scene.sheet.tickoff(command).args(arguments)).with(3);
            check_gone(&scene, when, &ended);
        }
        let backup = &scene.sheet.original_names()[0];
        fs::copy(scene.sheet.backups().join(backup), scene.sheet.path()).unwrap();
        scene.next().with(3);
        end(scene.sheet.tickoff("recover").arg("--apply")).with(0);
        scene.check_results(&REST);
    }
}

/// It is gone: the renamed file is as it was at that moment, and the run goes on under the old name.
#[track_caller]
fn check_written_anew(take_away: impl FnOnce(&Path), told: &str) {
    let mut scene = Scene::new(During);
    take_away(scene.sheet.path());
    std::thread::sleep(std::time::Duration::from_millis(100));
    assert!(!scene.sheet.path().exists());
    let ended = scene.end().with(0);
    let said = scene.sheet.without_folder(&ended.stderr);
    assert!(said.contains(told), "{said}");
    scene.check_results(&[]);
    scene.check_copies(&[]);
}

#[test]
fn a_sheet_that_is_deleted_during_a_run_is_written_anew() {
    check_written_anew(
        |sheet| fs::remove_file(sheet).unwrap(),
        "the sheet was deleted; it is written anew\n",
    );
}

#[test]
fn a_sheet_that_is_renamed_during_a_run_is_written_anew_beside_the_renamed_one() {
    let rename = |sheet: &Path| {
        let orders = sheet.with_file_name("orders.csv");
        fs::rename(sheet, &orders).unwrap();
        let text = fs::read_to_string(orders).unwrap();
        assert_eq!(completed(&text), 6);
    };
    check_written_anew(
        rename,
        "the sheet was renamed or moved; it is written anew under its old name, and the renamed file stays as it is now=DIR/orders.csv\n",
    );
}

#[test]
fn a_sheet_that_is_moved_during_a_run_is_written_anew() {
    let move_it = |sheet: &Path| {
        let folder = sheet.with_file_name("elsewhere");
        fs::create_dir(&folder).unwrap();
        fs::rename(sheet, folder.join("input.csv")).unwrap();
    };
    check_written_anew(
        move_it,
        "the sheet was renamed or moved; it is written anew under its old name, and the renamed file stays as it is now=DIR/elsewhere/input.csv\n",
    );
}

#[test]
fn a_sheet_that_is_renamed_takes_its_results_along() {
    for when in [Before, Crash] {
        let scene = Scene::new(when);
        fs::rename(scene.sheet.path(), scene.sheet.folder().join("orders.csv")).unwrap();
        let old = end(&mut scene.sheet.tickoff("status")).with(3);
        check_gone(&scene, when, &old);
        assert_eq!(run(&scene, "orders.csv").with(0).stderr, "");
        assert_eq!(scene.ran(), REST);
        assert_eq!(completed(&text(&scene, "orders.csv")), 12);
    }
}

#[test]
fn a_sheet_that_is_moved_to_another_folder_takes_its_results_along() {
    for when in [Before, Crash] {
        let scene = Scene::new(when);
        fs::create_dir(scene.sheet.folder().join("elsewhere")).unwrap();
        let moved = "elsewhere/input.csv";
        fs::rename(scene.sheet.path(), scene.sheet.folder().join(moved)).unwrap();
        assert_eq!(run(&scene, moved).with(0).stderr, "");
        assert_eq!(scene.ran(), REST);
        assert_eq!(completed(&text(&scene, moved)), 12);
        let old = end(&mut scene.sheet.tickoff("status")).with(3);
        check_gone(&scene, when, &old);
    }
}

/// What only the journal holds stays with it: it is asked for at the old name.
#[test]
fn results_that_a_moved_sheet_does_not_show_are_named_where_it_was() {
    let sheet = killed();
    let elsewhere = tempfile::tempdir().unwrap();
    let moved = elsewhere.path().join("input.csv");
    fs::rename(sheet.path(), &moved).unwrap();
    let told = end(tickoff().arg("status").arg(&moved)).with(0);
    assert_eq!(told.stderr, "", "a limit: nothing lies beside it");
    let told = end(&mut sheet.tickoff("status")).with(3);
    assert!(
        told.stderr
            .contains("holds results for 2 rows that it may not have shown"),
        "{told:?}"
    );
    fs::rename(&moved, sheet.path()).unwrap();
    end(sheet.tickoff("recover").arg("--apply")).with(0);
    assert_eq!(completed(&sheet.text()), 2);
}

#[test]
fn results_that_a_sheet_does_not_show_go_along_with_its_folder() {
    let sheet = killed();
    let elsewhere = tempfile::tempdir().unwrap();
    let copied = Command::new("cp")
        .arg("-r")
        .arg(sheet.folder())
        .arg(elsewhere.path().join("moved"))
        .status();
    assert!(copied.unwrap().success());
    let moved = elsewhere.path().join("moved/input.csv");
    end(tickoff().arg("run").arg(&moved).args(["-q", "--", "true"])).with(0);
    assert_eq!(completed(&fs::read_to_string(&moved).unwrap()), 4);
}

const LACKS: &str = "another sheet of the folder has results that this one, which shows earlier ones of them, lacks: these rows are to be done again here";

#[test]
fn a_copy_is_a_sheet_of_its_own() {
    for when in [Before, During, Crash] {
        let mut scene = Scene::new(when);
        let copy = scene.sheet.folder().join("copy.csv");
        let then = scene.sheet.text();
        fs::copy(scene.sheet.path(), &copy).unwrap();
        scene.end().with(0);
        scene.check_results(&[]);
        assert_eq!(text(&scene, "copy.csv"), then);
        scene.ran();
        let before = scene.sheet.text();
        let said = run(&scene, "copy.csv").with(0).stderr;
        assert!(
            said.ends_with(&format!("{LACKS} rows=6 other=input.csv\n")),
            "{said}"
        );
        assert_eq!(said.lines().count(), 1, "{said}");
        assert_eq!(scene.ran(), REST);
        assert_eq!(completed(&text(&scene, "copy.csv")), 12);
        assert_eq!(scene.sheet.text(), before);
    }
}

/// Before its first run a sheet has nothing to be compared with.
#[test]
fn before_the_first_run_the_sheet_is_what_it_says() {
    let sheet = crate::fixture::TempSheet::new(original().replace("P01;PENDING", "P01;COMPLETED"));
    fs::write(sheet.folder().join("go"), "").unwrap();
    assert_eq!(end(&mut sheet.run("-q -j1", JOB)).with(0).stderr, "");
    let ran = sheet.lines("ran");
    assert_eq!(ran.len(), FIRST.len() + REST.len() - 1);
    assert!(!ran.contains(&"P01".to_owned()));
}

#[test]
fn a_save_within_the_second_of_a_write_is_seen_where_times_are_whole_seconds() {
    let Some(disk) = Disk::new(Format::Ext4WholeSeconds, "") else {
        return;
    };
    let rows: String = (10..30).map(|row| format!("P{row};;n{row}\n")).collect();
    let sheet = TempSheet::on(&disk.path(), format!("PO_NUMBER;STATUS;note\n{rows}"));
    // Each edits another row in place, and the size stays; the last one has to be seen at the end.
    let job = "sleep 0.15
        row=${TICKOFF_PO#P}
        sed \"s/;n$((39 - row))/;E$((39 - row))/\" input.csv > new; cat new > input.csv";
    end(&mut sheet.run("-q -j1", job)).with(0);
    let table = sheet.table();
    for (key, row) in &table {
        assert_eq!(row["STATUS"], "COMPLETED", "{key}");
        assert_eq!(row["note"], key.replace('P', "E"), "{table:#?}");
    }
}
