//! Another program's version takes the name of a file to which somebody is still writing.

use std::fs::{self, File, OpenOptions};
use std::io::{Seek, Write};
use std::thread::sleep;
use std::time::Duration;

use rustix::fs::{CWD, RenameFlags, renameat_with};

use crate::command_line::{Ended, Running, wait_until};
use crate::fixture::TempSheet;
use crate::poor::lacks;

const SHEET: &str = "PO_NUMBER;note\nP1;n1\nP2;n2\nP3;n3\nP4;n4\n";

/// A run that has brought in one result, and has the next ones wait for a file `go`.
struct Scene {
    sheet: TempSheet,
    run: Running,
    /// What the sheet shows then.
    old: String,
}

impl Scene {
    fn new() -> Scene {
        Scene::with_jobs("0.3")
    }

    /// Each of the next jobs takes so many seconds.
    fn with_jobs(seconds: &str) -> Scene {
        let sheet = TempSheet::new(SHEET);
        let script =
            "[ $TICKOFF_KEY = P1 ] || { await go; sleep $TAKES; }; echo OUT=r > $TICKOFF_RESULT";
        let run = Running::start(sheet.run("-q -j1", script).env("TAKES", seconds));
        wait_until("a result is visible", || sheet.text().contains("COMPLETED"));
        let old = sheet.text();
        Scene { sheet, run, old }
    }

    /// Somebody who saves an edit in place, and has the file open.
    fn writes(&self, from: &str, to: &str) -> File {
        let mut file = OpenOptions::new()
            .write(true)
            .open(self.sheet.path())
            .unwrap();
        write(&mut file, &self.sheet.text().replace(from, to));
        file
    }

    /// Somebody's new file, with an edit of the version from before all of that.
    fn older(&self, from: &str, to: &str) -> std::path::PathBuf {
        let new = self.sheet.folder().join("saved");
        fs::write(&new, self.old.replace(from, to)).unwrap();
        new
    }

    fn saves_older(&self, from: &str, to: &str) {
        fs::rename(self.older(from, to), self.sheet.path()).unwrap();
    }

    /// The next result comes, and what others did is looked at.
    fn go_on(&self) {
        fs::write(self.sheet.folder().join("go"), "").unwrap();
    }

    /// The run ends well, with all results; the sheet has what was saved last, and there are copies of these kinds
    /// with these edits, and no others.
    #[track_caller]
    fn check(self, shown: &str, copies: &[(&str, &str)]) -> Ended {
        self.go_on();
        let Scene { sheet, run, .. } = self;
        let ended = run.end().with(0);
        let text = sheet.text();
        assert!(text.contains(shown), "{text}");
        assert_eq!(text.matches("COMPLETED").count(), 4, "{text}");
        let kept = |kind: &str| {
            let kind = format!(".{kind}");
            let names = sheet.backup_names().into_iter();
            let names = names.filter(|name| name.contains(&kind));
            let texts = names.map(|name| fs::read_to_string(sheet.backups().join(name)).unwrap());
            texts.collect::<Vec<_>>()
        };
        for (kind, edit) in copies {
            let copies = kept(kind);
            let has = |copy: &String| copy.contains(edit);
            assert!(copies.iter().any(has), "{edit} is lost: {ended:#?}");
        }
        let found = kept("replaced").len() + kept("outside").len();
        assert_eq!(found, copies.len(), "{:?}", sheet.backup_names());
        ended
    }
}

fn write(file: &mut File, text: &str) {
    file.rewind().unwrap();
    file.write_all(text.as_bytes()).unwrap();
    file.set_len(text.len() as u64).unwrap();
}

/// The author of the first edit closes the file so many milliseconds after the second one is saved.
#[track_caller]
fn check_renamed_over(closes_after: u64) {
    let scene = Scene::new();
    let file = scene.writes("n3", "mine");
    scene.go_on();
    // It is looked at while it cannot be taken in.
    sleep(Duration::from_millis(500));
    scene.saves_older("n4", "theirs");
    sleep(Duration::from_millis(closes_after));
    drop(file);
    scene.check("theirs", &[("replaced", "mine")]);
}

#[test]
fn what_was_written_in_place_is_kept_when_its_author_closes_the_file_after_it_has_lost_its_name() {
    check_renamed_over(0);
    check_renamed_over(1_000);
}

#[test]
fn what_was_written_in_place_is_kept_when_its_author_never_closes_the_file() {
    check_renamed_over(4_000);
}

#[test]
fn what_was_written_in_place_is_kept_though_nobody_looked_before_it_lost_its_name() {
    let scene = Scene::new();
    drop(scene.writes("n3", "mine"));
    scene.saves_older("n4", "theirs");
    scene.check("theirs", &[("replaced", "mine")]);
}

#[test]
fn what_was_written_in_place_is_kept_when_the_sheet_is_removed_and_made_anew() {
    let scene = Scene::new();
    let file = scene.writes("n3", "mine");
    scene.go_on();
    fs::remove_file(scene.sheet.path()).unwrap();
    sleep(Duration::from_millis(300));
    fs::write(scene.sheet.path(), scene.old.replace("n4", "theirs")).unwrap();
    drop(file);
    scene.check("theirs", &[("replaced", "mine")]);
}

#[test]
fn what_was_written_in_place_is_in_the_sheet_that_is_written_anew_when_it_is_removed() {
    let scene = Scene::new();
    let file = scene.writes("n3", "mine");
    fs::remove_file(scene.sheet.path()).unwrap();
    drop(file);
    scene.check("mine", &[]);
}

#[test]
fn what_was_written_in_place_is_kept_when_the_names_are_exchanged_or_the_file_has_another_one() {
    if !lacks("exchange") {
        let scene = Scene::new();
        let file = scene.writes("n3", "mine");
        let new = scene.older("n4", "theirs");
        renameat_with(CWD, &new, CWD, scene.sheet.path(), RenameFlags::EXCHANGE).unwrap();
        fs::remove_file(new).unwrap();
        drop(file);
        scene.check("theirs", &[("replaced", "mine")]);
    }
    let scene = Scene::new();
    let file = scene.writes("n3", "mine");
    // Its times tell that it was written before that.
    sleep(Duration::from_millis(20));
    fs::hard_link(scene.sheet.path(), scene.sheet.folder().join("aside")).unwrap();
    scene.saves_older("n4", "theirs");
    drop(file);
    scene.check("theirs", &[("replaced", "mine")]);
}

#[test]
fn of_several_who_write_in_place_and_lose_the_name_one_after_the_other_each_is_kept() {
    let scene = Scene::new();
    let first = scene.writes("n3", "mine");
    scene.saves_older("n4", "theirs");
    scene.go_on();
    sleep(Duration::from_millis(400));
    let second = scene.writes("n2", "yours");
    scene.saves_older("n1", "last");
    sleep(Duration::from_millis(100));
    drop((first, second));
    // The second one wrote to a save that was not taken in yet.
    scene.check("last", &[("replaced", "mine"), ("outside", "yours")]);
}

#[test]
fn what_is_written_to_a_file_after_it_has_lost_its_name_is_kept_in_a_copy() {
    if lacks("lease") {
        return;
    }
    let scene = Scene::with_jobs("1.5");
    let mut file = scene.writes("n3", "mine");
    scene.go_on();
    sleep(Duration::from_millis(300));
    let text = scene.sheet.text();
    scene.saves_older("n4", "theirs");
    // By now it was judged as it was.
    sleep(Duration::from_millis(3_000));
    write(&mut file, &text.replace("n2", "later"));
    drop(file);
    scene.check("theirs", &[("replaced", "mine"), ("outside", "later")]);
}

#[test]
fn what_somebody_writes_who_only_had_the_sheet_open_when_it_lost_its_name_is_kept_in_a_copy() {
    if lacks("lease") {
        return;
    }
    let scene = Scene::with_jobs("1");
    let mut file = OpenOptions::new()
        .write(true)
        .open(scene.sheet.path())
        .unwrap();
    scene.saves_older("n4", "theirs");
    scene.go_on();
    // The version that took its name was taken in by now.
    wait_until("the next result is visible", || {
        scene.sheet.text().matches("COMPLETED").count() == 2
    });
    write(&mut file, &scene.old.replace("n3", "mine"));
    drop(file);
    scene.check("theirs", &[("outside", "mine")]);
}

#[test]
fn a_file_that_nobody_wrote_to_is_forgotten_when_it_loses_its_name() {
    let scene = Scene::new();
    scene.saves_older("n4", "theirs");
    let ended = scene.check("theirs", &[]);
    assert_eq!(ended.stderr, "");
}

#[test]
fn what_is_written_to_a_sheet_that_was_renamed_is_no_edit_of_the_one_that_took_its_name() {
    let scene = Scene::new();
    let aside = scene.sheet.folder().join("aside");
    fs::rename(scene.sheet.path(), &aside).unwrap();
    scene.saves_older("n4", "theirs");
    fs::write(&aside, scene.old.replace("n3", "elsewhere")).unwrap();
    let ended = scene.check("theirs", &[]);
    assert_eq!(ended.stderr, "");
}
