//! What becomes of an edit, and of the results, line by line as docs/edits.md says it.
//!
//! Each test is a line of its table, each call of [`check`] a column. The run has brought in the results of
//! [`FIRST`] when the sheet is edited, and brings in those of [`REST`] afterwards: the same run (during), the
//! next one (before), or the next one after the run was killed (crash).

mod cells;
mod columns;
mod files;
mod rows;
mod sheets;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;

use crate::command_line::{Ended, Running, end, wait_until};
use crate::fixture::TempSheet;

/// When the sheet is edited.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum When {
    /// After a run has ended, before the next one.
    Before,
    /// While a command runs.
    During,
    /// After a run was killed, before the next one.
    Crash,
}
use When::{Before, Crash, During};

const HEADER: &str =
    "PO_NUMBER;STATUS;SUPPLIER;ATTACHMENTS_FOUND;LAST_PROCESSED;ERROR_MESSAGE;note";
/// They have their results, and the sheet shows them, when it is edited.
const FIRST: [&str; 6] = ["P00", "P01", "P02", "P03", "P04", "P05"];
/// They get theirs afterwards.
const REST: [&str; 6] = ["P06", "P07", "P08", "P09", "P10", "P11"];

/// The fourth job waits until the results before it are visible, so that the sheet as it was has not just been
/// replaced, and a version shows these and no later ones; the seventh until it may go on.
const JOB: &str = r#"echo $TICKOFF_PO >> ran
    case $TICKOFF_PO in
        P03) while ! grep -q "P02;COMPLETED" input.csv; do sleep 0.01; done;;
        P06) : > held; await go;;
        *) [ ! -e slow ] || sleep $(cat slow);;
    esac
    echo '{"ATTACHMENTS_FOUND":2}' > $TICKOFF_RESULT"#;

/// A sheet before its first run.
fn original() -> String {
    let rows = FIRST.iter().chain(&REST);
    let rows: String = rows
        .map(|po| format!("{po};PENDING;Acme;;;;n{po}\n"))
        .collect();
    format!("{HEADER}\n{rows}")
}

/// A sheet that somebody is about to edit, and the run that goes on meanwhile.
pub struct Scene {
    pub sheet: TempSheet,
    when: When,
    run: Option<Running>,
}

impl Scene {
    #[track_caller]
    pub fn new(when: When) -> Scene {
        let sheet = TempSheet::new(original());
        let is_shown = |sheet: &TempSheet| sheet.text().matches(";COMPLETED;").count() == 6;
        let mut run = None;
        if when == Before {
            end(&mut sheet.run("-q -j1 --limit 6", JOB)).with(0);
        } else {
            let running = Running::start(&mut sheet.run("-q -j1", JOB));
            wait_until("the seventh job runs", || {
                sheet.folder().join("held").exists()
            });
            wait_until("six results are visible", || is_shown(&sheet));
            run = Some(running);
        }
        assert!(is_shown(&sheet), "{}", sheet.text());
        if when == Crash {
            run.take().unwrap().kill();
        }
        fs::remove_file(sheet.folder().join("ran")).unwrap();
        Scene { sheet, when, run }
    }

    /// Saves the sheet as most programs do: a new file takes its name.
    pub fn save(&self, contents: &(impl AsRef<[u8]> + ?Sized)) {
        let new = self.sheet.folder().join("saved.csv");
        fs::write(&new, contents).unwrap();
        fs::rename(new, self.sheet.path()).unwrap();
    }

    /// What the run says that goes on, or the next one.
    #[track_caller]
    pub fn end(&mut self) -> Ended {
        fs::write(self.sheet.folder().join("go"), "").unwrap();
        match self.run.take() {
            Some(run) => run.end(),
            None => self.next(),
        }
    }

    /// The next run, with the same command line.
    #[track_caller]
    pub fn next(&self) -> Ended {
        end(&mut self.sheet.run("-q -j1", JOB))
    }

    /// Who was given a job since the edit, or since this was asked last.
    pub fn ran(&self) -> Vec<String> {
        let ran = self.sheet.lines("ran");
        fs::remove_file(self.sheet.folder().join("ran")).ok();
        ran
    }

    /// These rows, and no others but those in `besides`, have a whole result.
    #[track_caller]
    pub fn check_results(&self, besides: &[&str]) {
        for po in FIRST.iter().chain(&REST).filter(|po| !besides.contains(po)) {
            let row = &self.sheet.table()[*po];
            assert_eq!(
                (&*row["STATUS"], &*row["ATTACHMENTS_FOUND"]),
                ("COMPLETED", "2"),
                "{:?}: {po} in\n{}",
                self.when,
                self.sheet.text()
            );
            assert!(!row["LAST_PROCESSED"].is_empty());
        }
    }

    /// What the copies of a kind hold, which lie beside the backups.
    pub fn kept(&self, kind: &str) -> Vec<String> {
        let names = self.sheet.backup_names().into_iter();
        let ending = format!(".{kind}.csv");
        let names = names.filter(|name| name.ends_with(&ending));
        names
            .map(|name| fs::read_to_string(self.sheet.backups().join(name)).unwrap())
            .collect()
    }

    /// There are copies of these kinds, one of each, and no others.
    #[track_caller]
    pub fn check_copies(&self, kinds: &[&str]) {
        let names = self.sheet.backup_names();
        let is_copy = |name: &&String| name.matches('.').count() > 1;
        let mode = |path: &Path| fs::metadata(path).unwrap().permissions().mode();
        for copy in names.iter().filter(is_copy) {
            let path = self.sheet.backups().join(copy);
            assert_eq!(mode(&path), mode(self.sheet.path()), "{copy}");
        }
        let mut found: Vec<&str> = names
            .iter()
            .filter(is_copy)
            .map(|name| name.split('.').nth(1).unwrap())
            .collect();
        found.sort_unstable();
        assert_eq!(found, kinds, "{:?}: {names:?}", self.when);
    }

    /// A backup of the session has the sheet as the run found it.
    #[track_caller]
    pub fn check_backed_up(&self, text: &str) {
        let names = self.sheet.backup_names();
        let is_it =
            |name: &String| fs::read_to_string(self.sheet.backups().join(name)).unwrap() == text;
        assert!(names.iter().any(is_it), "{names:?}");
    }
}

/// Edits the sheet, lets the run end, or the next one run, with that exit code, and returns what it said.
#[track_caller]
fn check(when: When, code: i32, edit: impl FnOnce(&str) -> String) -> (Scene, Ended) {
    let mut scene = Scene::new(when);
    let edited = edit(&scene.sheet.text());
    scene.save(&edited);
    if when == During {
        // It is seen before the next result comes.
        std::thread::sleep(std::time::Duration::from_millis(100));
    }
    let ended = scene.end();
    assert_eq!(ended.code, code, "{when:?}: {ended:#?}");
    if when != During && code < 3 {
        scene.check_backed_up(&edited);
    }
    (scene, ended)
}

/// The same of an edit after which all is as if there had been none, but for the edit: nothing is said, no
/// copy is made, and only the rest is run.
#[track_caller]
fn check_quiet(when: When, edit: impl FnOnce(&str) -> String) -> Scene {
    let (scene, ended) = check(when, 0, edit);
    assert_eq!(ended.stderr, "", "{when:?}");
    scene.check_copies(&[]);
    assert_eq!(scene.ran(), REST[usize::from(when == During)..]);
    scene
}

/// A sheet's text with another value in a cell.
fn with(text: &str, po: &str, column: &str, value: &str) -> String {
    let column = HEADER.split(';').position(|name| name == column).unwrap();
    let row = |line: &str| {
        let mut cells: Vec<&str> = line.split(';').collect();
        if cells[0] == po {
            cells[column] = value;
        }
        cells.join(";") + "\n"
    };
    text.lines().map(row).collect()
}

/// A sheet's text without a column.
fn without(text: &str, column: &str) -> String {
    let column = HEADER.split(';').position(|name| name == column).unwrap();
    let row = |line: &str| {
        let mut cells: Vec<&str> = line.split(';').collect();
        cells.remove(column);
        cells.join(";") + "\n"
    };
    text.lines().map(row).collect()
}

/// Lines of a copy, in whatever order they came.
fn lines(text: &str) -> Vec<&str> {
    let mut lines: Vec<&str> = text.lines().collect();
    lines.sort_unstable();
    lines
}
