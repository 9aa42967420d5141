//! A key that stands in several rows, with `--duplicates all`: a result goes to each of them, and what another
//! program writes in one of them stays there and goes to no other.

use std::fs;

use crate::command_line::{Ended, Running, end, wait_until};
use crate::fixture::TempSheet;

const SHEET: &str = "PO_NUMBER;NOTE;STATUS;LAST_PROCESSED;ERROR_MESSAGE;RES\nP1;a;;;;\nP2;b;;;;\nP1;c;;;;\nP3;d;;;;\nP4;e;;;;\n";
const NOTE: usize = 1;
const STATUS: usize = 2;
const RES: usize = 5;

/// All jobs but the first wait until they may end.
const JOB: &str = r#"[ -e free ] || [ $TICKOFF_PO = P1 ] || { : > held-$TICKOFF_PO; await go-$TICKOFF_PO; }
    echo "RES=r-$TICKOFF_PO" > $TICKOFF_RESULT
    [ ! -e add ] || echo ADDED=1 >> $TICKOFF_RESULT"#;

/// A sheet of which a run goes on: P1 has its results, P2 has not.
struct Scene {
    sheet: TempSheet,
    run: Option<Running>,
}

impl Scene {
    #[track_caller]
    fn during() -> Scene {
        let sheet = TempSheet::new(SHEET);
        let run = Running::start(&mut sheet.run("-q -j1 --duplicates all", JOB));
        let scene = Scene {
            sheet,
            run: Some(run),
        };
        scene.wait_for("P1", "P2");
        assert_eq!(scene.rows(RES), ["r-P1", "r-P1"]);
        scene
    }

    #[track_caller]
    fn between_runs() -> Scene {
        let sheet = TempSheet::new(SHEET);
        fs::write(sheet.folder().join("free"), "").unwrap();
        let scene = Scene { sheet, run: None };
        scene.run_one("P1");
        scene
    }

    /// A run of one key.
    #[track_caller]
    fn run_one(&self, key: &str) -> Ended {
        let options = format!("-q --duplicates all --force --only {key}");
        end(&mut self.sheet.run(&options, JOB)).with(0)
    }

    #[track_caller]
    fn wait_for(&self, shown: &str, held: &str) {
        let shown = format!("r-{shown}");
        wait_until("the result is visible", || {
            self.sheet.text().contains(&shown)
        });
        wait_until("the next job runs", || {
            self.sheet.folder().join(format!("held-{held}")).exists()
        });
    }

    /// The job of a key ends, and the next one begins.
    #[track_caller]
    fn go_on(&self, key: &str, next: &str) {
        fs::write(self.sheet.folder().join(format!("go-{key}")), "").unwrap();
        self.wait_for(key, next);
    }

    #[track_caller]
    fn end(&mut self) -> Ended {
        for key in ["P2", "P3", "P4"] {
            fs::write(self.sheet.folder().join(format!("go-{key}")), "").unwrap();
        }
        self.run.take().unwrap().end().with(0)
    }

    fn save(&self, text: &str) {
        let new = self.sheet.folder().join("saved.csv");
        fs::write(&new, text).unwrap();
        fs::rename(new, self.sheet.path()).unwrap();
    }

    /// Saves another value in the row of P1 with that note.
    fn edit(&self, note: &str, column: usize, value: &str) {
        self.save(&with(&self.sheet.text(), note, column, value));
    }

    /// What the rows of P1 hold in a column, by their notes.
    fn rows(&self, column: usize) -> Vec<String> {
        let text = self.sheet.text();
        let lines = text.lines().filter(|line| line.starts_with("P1;"));
        let mut rows: Vec<Vec<&str>> = lines.map(|line| line.split(';').collect()).collect();
        rows.sort_by_key(|row| row[NOTE]);
        rows.iter().map(|row| row[column].to_owned()).collect()
    }

    /// The copies of saves.
    fn kept(&self) -> Vec<String> {
        let mut names = self.sheet.backup_names();
        names.retain(|name| name.ends_with(".outside.csv"));
        names
            .iter()
            .map(|name| fs::read_to_string(self.sheet.backups().join(name)).unwrap())
            .collect()
    }
}

fn with(text: &str, note: &str, column: usize, value: &str) -> String {
    let row = |line: &str| {
        let mut cells: Vec<&str> = line.split(';').collect();
        if cells[NOTE] == note {
            cells[column] = value;
        }
        cells.join(";") + "\n"
    };
    text.lines().map(row).collect()
}

#[test]
fn two_corrections_during_a_run_stay_each_in_its_row() {
    let mut scene = Scene::during();
    scene.edit("a", RES, "FIXA");
    scene.go_on("P2", "P3");
    assert_eq!(scene.rows(RES), ["FIXA", "r-P1"]);
    scene.edit("c", RES, "FIXC");
    assert_eq!(scene.end().stderr, "");
    assert_eq!(scene.rows(RES), ["FIXA", "FIXC"]);
    scene.run_one("P2");
    assert_eq!(scene.rows(RES), ["FIXA", "FIXC"]);
}

#[test]
fn two_corrections_between_runs_stay_each_in_its_row() {
    let scene = Scene::between_runs();
    scene.edit("a", RES, "FIXA");
    assert_eq!(scene.run_one("P2").stderr, "");
    assert_eq!(scene.rows(RES), ["FIXA", "r-P1"]);
    scene.edit("c", RES, "FIXC");
    assert_eq!(scene.run_one("P2").stderr, "");
    assert_eq!(scene.rows(RES), ["FIXA", "FIXC"]);
}

#[test]
fn two_rows_that_are_corrected_in_one_save_keep_what_each_has() {
    let both = |text: &str| with(&with(text, "a", RES, "FIXA"), "c", RES, "FIXC");
    let mut scene = Scene::during();
    scene.save(&both(&scene.sheet.text()));
    assert_eq!(scene.end().stderr, "");
    assert_eq!(scene.rows(RES), ["FIXA", "FIXC"]);
    let scene = Scene::between_runs();
    scene.save(&both(&scene.sheet.text()));
    assert_eq!(scene.run_one("P2").stderr, "");
    assert_eq!(scene.rows(RES), ["FIXA", "FIXC"]);
}

#[test]
fn a_status_that_is_changed_in_one_row_stays_in_that_row() {
    let mut scene = Scene::during();
    scene.edit("c", STATUS, "ON HOLD");
    scene.end();
    assert_eq!(scene.rows(STATUS), ["COMPLETED", "ON HOLD"]);
    let scene = Scene::between_runs();
    scene.edit("c", STATUS, "ON HOLD");
    scene.run_one("P2");
    assert_eq!(scene.rows(STATUS), ["COMPLETED", "ON HOLD"]);
}

#[test]
fn rows_that_are_sorted_take_their_corrections_along() {
    let mut scene = Scene::during();
    scene.edit("a", RES, "FIXA");
    scene.go_on("P2", "P3");
    let text = scene.sheet.text();
    let (header, rows) = text.split_once('\n').unwrap();
    let mut rows: Vec<&str> = rows.lines().collect();
    rows.reverse();
    scene.save(&format!("{header}\n{}\n", rows.join("\n")));
    assert_eq!(scene.end().stderr, "");
    assert_eq!(scene.rows(RES), ["FIXA", "r-P1"]);
    assert!(scene.sheet.text().starts_with(&format!("{header}\nP4;")));
}

/// Its author had the sheet open since before the correction.
#[test]
fn a_save_without_a_correction_gets_it_again_in_its_row_alone() {
    let mut scene = Scene::during();
    let old = scene.sheet.text();
    scene.edit("c", RES, "FIXC");
    scene.go_on("P2", "P3");
    scene.save(&with(&old, "b", NOTE, "mine"));
    scene.end();
    assert_eq!(scene.rows(RES), ["r-P1", "FIXC"]);
    assert_eq!(scene.sheet.cell("P2", "NOTE"), "mine");
    assert_eq!(scene.sheet.cell("P2", "RES"), "r-P2");

    let scene = Scene::between_runs();
    let old = scene.sheet.text();
    scene.edit("c", RES, "FIXC");
    scene.run_one("P2");
    scene.save(&with(&old, "b", NOTE, "mine"));
    scene.run_one("P3");
    assert_eq!(scene.rows(RES), ["r-P1", "FIXC"]);
    assert_eq!(scene.sheet.cell("P2", "NOTE"), "mine");
    assert_eq!(scene.sheet.cell("P2", "RES"), "r-P2");
}

#[test]
fn a_save_that_lacks_the_result_in_one_row_gets_it_again_there() {
    let mut scene = Scene::during();
    scene.edit("c", RES, "FIXC");
    scene.go_on("P2", "P3");
    scene.save(&with(SHEET, "d", NOTE, "mine"));
    let told = scene.end().stderr;
    assert!(told.contains("they are written again"), "{told}");
    assert_eq!(scene.rows(RES), ["r-P1", "FIXC"]);
    assert_eq!(scene.rows(STATUS), ["COMPLETED", "COMPLETED"]);
    assert_eq!(scene.sheet.cell("P3", "NOTE"), "mine");
}

#[test]
fn a_later_result_is_written_to_all_rows_of_its_key() {
    let scene = Scene::between_runs();
    scene.edit("a", RES, "FIXA");
    scene.run_one("P2");
    // Two results of one second cannot be told apart.
    std::thread::sleep(std::time::Duration::from_secs(1));
    scene.run_one("P1");
    assert_eq!(scene.rows(RES), ["r-P1", "r-P1"]);
    scene.edit("c", RES, "FIXC");
    scene.run_one("P2");
    assert_eq!(scene.rows(RES), ["r-P1", "FIXC"]);
}

/// The row of the correction cannot be found in the save.
#[test]
fn a_correction_whose_row_looks_otherwise_in_an_old_save_is_kept_in_a_copy() {
    let mut scene = Scene::during();
    let old = scene.sheet.text();
    scene.edit("c", RES, "FIXC");
    scene.go_on("P2", "P3");
    scene.save(&with(&old, "c", NOTE, "mine"));
    for key in ["P2", "P3", "P4"] {
        fs::write(scene.sheet.folder().join(format!("go-{key}")), "").unwrap();
    }
    let told = scene.run.take().unwrap().end().with(1).stderr;
    assert!(
        told.contains("lacks what stood in single rows of these keys"),
        "{told}"
    );
    assert_eq!(scene.rows(RES), ["r-P1", "r-P1"]);
    assert_eq!(scene.rows(NOTE), ["a", "mine"]);
    let mut names = scene.sheet.backup_names();
    names.retain(|name| name.ends_with(".unplaced.csv"));
    let [name] = &names[..] else {
        panic!("{names:?}")
    };
    let kept = fs::read_to_string(scene.sheet.backups().join(name)).unwrap();
    assert_eq!(kept, "PO_NUMBER;RES\nP1;FIXC\n");
}

/// The version that has the new column becomes the base.
#[test]
fn a_column_that_a_result_adds_spreads_no_correction() {
    let mut scene = Scene::during();
    scene.edit("a", RES, "FIXA");
    scene.go_on("P2", "P3");
    fs::write(scene.sheet.folder().join("add"), "").unwrap();
    assert_eq!(scene.end().stderr, "");
    assert_eq!(scene.rows(RES), ["FIXA", "r-P1"]);
    assert_eq!(scene.sheet.cell("P3", "ADDED"), "1");
}

/// The row cannot be told from the other one any more, and the journal is replayed.
#[test]
fn a_correction_stays_where_it_is_if_its_row_looks_otherwise_after_a_kill() {
    let mut scene = Scene::during();
    scene.edit("a", RES, "FIXA");
    scene.go_on("P2", "P3");
    end(scene
        .sheet
        .tickoff("set --duplicates all")
        .args(["P1", "NOTE=both"]))
    .with(0);
    scene.go_on("P3", "P4");
    assert_eq!(scene.rows(NOTE), ["both", "both"]);
    scene.run.take().unwrap().kill();
    fs::write(scene.sheet.folder().join("free"), "").unwrap();
    end(&mut scene.sheet.run("-q -j1 --duplicates all", JOB)).with(0);
    assert_eq!(scene.rows(RES), ["FIXA", "r-P1"]);
}

/// The row that was not changed may hold something that nobody typed in since.
#[test]
fn what_is_typed_into_each_row_before_its_result_comes_is_named_and_kept() {
    let mut scene = Scene::during();
    scene.edit("a", RES, "FIXA");
    scene.go_on("P2", "P3");
    scene.edit("c", RES, "FIXC");
    let set = "set --duplicates all";
    end(scene.sheet.tickoff(set).args(["P1", "RES=later"])).with(0);
    scene.end();
    assert_eq!(scene.rows(RES), ["later", "later"]);

    let contents = SHEET.replace("P3;d;;;;", "P3;d;;;;was");
    let sheet = TempSheet::new(contents + "P3;f;;;;\n");
    let run = Running::start(&mut sheet.run("-q -j1 --duplicates all", JOB));
    let mut scene = Scene {
        sheet,
        run: Some(run),
    };
    scene.wait_for("P1", "P2");
    let saved = with(&scene.sheet.text(), "f", RES, "FIXF");
    scene.save(&saved);
    let told = scene.end().stderr;
    assert!(
        told.contains("key=P3 column=RES in_sheet=r-P3 theirs=FIXF"),
        "{told}"
    );
    assert!(!told.contains("theirs=was"), "{told}");
    assert_eq!(scene.kept(), [saved]);
}

#[test]
fn a_correction_between_a_kill_and_the_next_run_stays_in_its_row() {
    let mut scene = Scene::during();
    scene.edit("a", RES, "FIXA");
    scene.go_on("P2", "P3");
    scene.run.take().unwrap().kill();
    scene.edit("c", RES, "FIXC");
    fs::write(scene.sheet.folder().join("free"), "").unwrap();
    assert_eq!(
        end(&mut scene.sheet.run("-q -j1 --duplicates all", JOB))
            .with(0)
            .stderr,
        ""
    );
    assert_eq!(scene.rows(RES), ["FIXA", "FIXC"]);
    assert_eq!(scene.sheet.cell("P4", "RES"), "r-P4");
}

#[test]
fn results_that_a_person_has_written_to_an_old_save_go_round_the_corrections() {
    let scene = Scene::between_runs();
    scene.edit("c", RES, "FIXC");
    scene.run_one("P2");
    scene.save(&with(SHEET, "d", NOTE, "mine"));
    let run = "-q --duplicates all --force --only P3";
    end(&mut scene.sheet.run(run, JOB)).with(3);
    end(&mut scene.sheet.tickoff("recover --apply --duplicates all")).with(0);
    assert_eq!(scene.rows(RES), ["r-P1", "FIXC"]);
    assert_eq!(scene.rows(STATUS), ["COMPLETED", "COMPLETED"]);
    assert_eq!(scene.sheet.cell("P3", "NOTE"), "mine");
}

#[test]
fn rows_that_differ_in_nothing_else_keep_their_corrections_too() {
    let scene = Scene::between_runs();
    let alike = |text: &str| text.replace("P1;c;", "P1;a;");
    scene.save(&alike(&scene.sheet.text()));
    scene.run_one("P2");
    let text = scene.sheet.text();
    let at = text.rfind(";r-P1").unwrap();
    scene.save(&format!("{};FIX{}", &text[..at], &text[at + 5..]));
    scene.run_one("P2");
    assert_eq!(scene.rows(RES), ["r-P1", "FIX"]);
    scene.save(&with(&text, "b", NOTE, "mine"));
    scene.run_one("P3");
    assert_eq!(scene.rows(RES), ["r-P1", "FIX"]);
}

/// They are told by their order, which a sort changes.
#[test]
fn rows_that_differ_in_nothing_else_take_their_corrections_along_when_they_are_sorted() {
    let scene = Scene::between_runs();
    scene.save(&scene.sheet.text().replace("P1;c;", "P1;a;"));
    scene.run_one("P2");
    let text = scene.sheet.text();
    let at = text.rfind(";r-P1").unwrap();
    scene.save(&format!("{};FIX{}", &text[..at], &text[at + 5..]));
    scene.run_one("P2");
    let text = scene.sheet.text();
    let (header, rows) = text.split_once('\n').unwrap();
    let rows: Vec<&str> = rows.lines().rev().collect();
    scene.save(&format!("{header}\n{}\n", rows.join("\n")));
    scene.run_one("P2");
    assert_eq!(scene.rows(RES), ["FIX", "r-P1"]);
}

#[test]
fn a_correction_in_one_row_that_is_put_back_is_asked_about() {
    let scene = Scene::between_runs();
    let seen = scene.sheet.text();
    scene.edit("c", RES, "mine");
    let nothing_to_do = || end(&mut scene.sheet.run("-q --duplicates all --only P1", JOB));
    nothing_to_do().with(0);
    scene.save(&seen);
    let asked = nothing_to_do().with(3).stderr;
    assert!(asked.contains("tickoff recover"), "{asked}");
    assert_eq!(scene.sheet.text(), seen);
}

const REKEYED: &str = "rows that had a result have another key now and stay done; tickoff set FILE KEY STATUS=PENDING has one of them run under the new one rows=1 keys=P9\n";

#[test]
fn a_row_whose_key_is_changed_stays_done_and_is_named_though_others_have_its_old_key() {
    let rekeyed = |scene: &Scene| scene.sheet.text().replace("P1;a;", "P9;a;");
    let scene = Scene::between_runs();
    scene.save(&rekeyed(&scene));
    let told = end(&mut scene.sheet.run("-q --duplicates all", JOB)).with(1);
    assert_eq!(told.stderr.matches(REKEYED).count(), 1, "{told:?}");
    assert_eq!(scene.sheet.cell("P9", "RES"), "r-P1");
    let told = end(&mut scene.sheet.run("-q --duplicates all", JOB)).with(0);
    assert_eq!(told.stderr, "", "it is said once");

    let mut scene = Scene::during();
    scene.save(&rekeyed(&scene));
    scene.go_on("P2", "P3");
    for key in ["P3", "P4"] {
        fs::write(scene.sheet.folder().join(format!("go-{key}")), "").unwrap();
    }
    let told = scene.run.take().unwrap().end().with(1);
    assert_eq!(told.stderr.matches(REKEYED).count(), 1, "{told:?}");
}

/// Somebody saves an edit in one of the rows, and then another one what they make of the sheet from before it.
#[test]
fn the_version_with_an_edit_in_one_of_the_rows_that_an_old_save_takes_back_is_kept() {
    let mut scene = Scene::during();
    let old = scene.sheet.text();
    let edited = old.replace("P1;c;COMPLETED;", "P1;mine;COMPLETED;");
    assert_ne!(edited, old);
    scene.save(&edited);
    scene.go_on("P2", "P3");
    assert!(scene.sheet.text().contains("P1;mine;"));
    scene.save(&old.replace("P4;e;", "P4;of another;"));
    let ended = scene.end();
    assert!(
        ended.stderr.contains("without what had been saved before"),
        "{ended:?}"
    );
    let names = scene.sheet.backup_names();
    let replaced = names.iter().find(|name| name.ends_with(".replaced.csv"));
    let kept = fs::read_to_string(scene.sheet.backups().join(replaced.unwrap())).unwrap();
    assert!(kept.contains("P1;mine;"), "{kept}");
}
