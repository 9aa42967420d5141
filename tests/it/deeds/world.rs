//! One sheet in a folder of its own, the session that works on it, and what has to be true of both.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::Arc;

use tickoff::{Options, Session, Sheet, WriteQueue};

use super::model::{Cell, Model, Want, cell};
use super::table::{Table, is_same};
use crate::fixture::rested;

/// What is wrong, if anything.
pub type Check = Result<(), String>;

/// A session of this process, and the queue of its results.
pub struct Live {
    pub session: Session,
    pub queue: WriteQueue,
}

pub struct World {
    root: tempfile::TempDir,
    /// Where the sheet lies now; a killed session's folder is left for a copy of it.
    pub folder: PathBuf,
    pub name: String,
    pub model: Model,
    pub live: Option<Live>,
    /// Somebody has the sheet open for writing, so that nothing becomes visible.
    pub held: Option<File>,
    /// Whether a session was killed and none has ended since.
    pub is_interrupted: bool,
    /// Whether the sheet was renamed after that while nothing waited. What was only announced at a kill may be asked
    /// about, and which version that is the model does not know; if nothing is asked, it is thought that all went
    /// along.
    pub is_renamed_since: bool,
    /// Whether the sheet was renamed while it showed what its journal knows, and was not worked on since.
    pub has_new_name: bool,
    /// Whether that was so once, or the sheet was renamed and an older version saved before it was worked on, or its
    /// journal removed: that of the first name still lies there, and may be asked about whenever the sheet shows less
    /// than it knows.
    pub has_left_journal: bool,
    /// Where the folder is mounted, if it is.
    mounted: Option<PathBuf>,
    /// Makes values that nobody else has, and times that go on.
    pub serial: u32,
    clock: i64,
    folders: u32,
    /// The second in which the program was last asked for results.
    pub last_second: u64,
    /// The copies beside the backups: none may go.
    copies: BTreeMap<String, BTreeSet<(Cell, String)>>,
    /// What was done, and how often which kind.
    pub told: Vec<String>,
    pub counts: BTreeMap<&'static str, u64>,
}

impl World {
    pub fn new(table: &Table) -> World {
        let mut root = tempfile::tempdir().unwrap();
        root.disable_cleanup(std::env::var_os("KEEPIT").is_some());
        let folder = root.path().join("0");
        fs::create_dir(&folder).unwrap();
        let mut world = World {
            root,
            folder,
            name: "input.csv".into(),
            model: Model::default(),
            live: None,
            held: None,
            is_interrupted: false,
            is_renamed_since: false,
            has_new_name: false,
            has_left_journal: false,
            mounted: None,
            serial: 0,
            clock: 0,
            folders: 0,
            last_second: 0,
            copies: BTreeMap::new(),
            told: Vec::new(),
            counts: BTreeMap::new(),
        };
        world.place(&table.text());
        world.observe().unwrap();
        world
    }

    pub fn path(&self) -> PathBuf {
        self.folder.join(&self.name)
    }

    pub fn options(&self) -> Options {
        Options::default()
    }

    pub fn tell(&mut self, what: impl Into<String>) {
        self.told.push(what.into());
    }

    pub fn count(&mut self, kind: &'static str) {
        *self.counts.entry(kind).or_default() += 1;
    }

    /// A number that was not there before.
    pub fn next(&mut self) -> u32 {
        self.serial += 1;
        self.serial
    }

    /// A later time than the last.
    pub fn time(&mut self, step: i64) -> String {
        self.clock += step;
        let time = chrono::DateTime::from_timestamp(1_763_600_000 + self.clock, 0).unwrap();
        time.format("%Y-%m-%dT%H:%M:%SZ").to_string()
    }

    /// Puts a file in the sheet's place, as most editors do.
    pub fn place(&mut self, text: &str) {
        self.held = None;
        let new = self.folder.join("saved.by.an.editor");
        fs::write(&new, text).unwrap();
        rested(&new);
        fs::rename(&new, self.path()).unwrap();
    }

    /// The file as it is.
    pub fn text(&self) -> Result<String, String> {
        fs::read_to_string(self.path())
            .map_err(|error| format!("the sheet cannot be read: {error}"))
    }

    pub fn table(&self) -> Result<Table, String> {
        let text = self.text()?;
        Table::parse(&text).ok_or(format!("the sheet is none any more:\n{text}"))
    }

    /// What a reader sees, with what the journal adds.
    pub fn view(&self) -> Result<Table, String> {
        let sheet = Sheet::read(self.path(), &self.options())
            .map_err(|error| format!("a reader is refused: {}", error.chain()))?;
        Ok(table_of(&sheet))
    }

    /// The sheet as the session of this process has it.
    pub fn view_of_session(&self) -> Option<Table> {
        let live = self.live.as_ref()?;
        Some(table_of(&live.session.handler().sheet()))
    }

    /// Remembers the version that is public now, if it is another one. tickoff made it.
    pub fn observe(&mut self) -> Check {
        let text = self.text()?;
        if self.model.versions.is_empty() || self.model.latest().text != text {
            let table = Table::parse(&text).ok_or(format!("no whole sheet is public:\n{text}"))?;
            self.model.observed(text, table);
        }
        Ok(())
    }

    /// Whether there are results that nobody saw in the sheet yet, and that wait for it.
    pub fn has_waiting(&self) -> bool {
        let mut wants = self.model.wants.iter();
        wants.any(|(at, want)| match want {
            Want::Result { value, .. } | Want::Either { result: value, .. } => {
                !self.model.was_public(at, value) && !self.is_in_copy(at, value, true)
            }
            Want::Edit { .. } => false,
        })
    }

    /// tickoff is about to write: a journal that it begins now knows of no earlier version.
    pub fn is_about_to_write(&mut self) {
        let journal = self.folder.join(format!(".{}.journal", self.name));
        if !journal.exists() {
            self.model.cut = self.model.latest_number();
        }
    }

    pub fn journals(&self) -> Vec<PathBuf> {
        let names = fs::read_dir(&self.folder).unwrap();
        let paths = names.map(|entry| entry.unwrap().path());
        let is_journal = |path: &PathBuf| path.to_string_lossy().ends_with(".journal");
        paths.filter(is_journal).collect()
    }

    /// Every cell that a journal in the folder tells of.
    fn in_journals(&self) -> BTreeSet<(Cell, String)> {
        let mut cells = BTreeSet::new();
        for path in self.journals() {
            let log = fs::read(path).unwrap_or_default();
            let mut at = 0;
            // Length, checksum, payload; a length of zero is the end.
            while let Some(length) = log.get(at..at + 4) {
                let length = u32::from_le_bytes(length.try_into().unwrap()) as usize;
                let payload = log.get(at + 12..at + 12 + length);
                let Some(payload) = payload.filter(|_| length > 0) else {
                    break;
                };
                let frame: serde_json::Value = serde_json::from_slice(payload).unwrap();
                for row in frame["rows"].as_array().into_iter().flatten() {
                    for written in row["cells"].as_array().into_iter().flatten() {
                        let text = |value: &serde_json::Value| value.as_str().unwrap().to_owned();
                        let place = cell(&text(&row["po"]), &text(&written["column"]));
                        cells.insert((place, text(&written["value"])));
                    }
                }
                at += 12 + length;
            }
        }
        cells
    }

    /// Reads the copies that are new beside the backups; one that is gone is a failure.
    fn look_at_copies(&mut self) -> Check {
        let mut names = BTreeSet::new();
        for entry in fs::read_dir(self.folder.join("backup"))
            .into_iter()
            .flatten()
        {
            let entry = entry.unwrap();
            let name = entry.file_name().into_string().unwrap();
            if !self.copies.contains_key(&name) {
                let text = fs::read_to_string(entry.path()).unwrap();
                let table = Table::parse(&text);
                let cells = table.iter().flat_map(Table::cells);
                let cells = cells.map(|(po, column, value)| (cell(&po, &column), value));
                self.copies.insert(name.clone(), cells.collect());
            }
            names.insert(name);
        }
        let gone = self.copies.keys().find(|name| {
            !names.contains(*name) && (is_result_copy(name) || name.contains(".original"))
        });
        match gone {
            Some(name) => Err(format!("the copy {name} is gone")),
            None => Ok(()),
        }
    }

    /// Whether a copy has a value of a cell; for a result only one that is kept for such.
    fn is_in_copy(&self, cell: &Cell, value: &str, of_result: bool) -> bool {
        let copies = self.copies.iter();
        let mut copies = copies.filter(|(name, _)| !of_result || is_result_copy(name));
        copies.any(|(_, cells)| {
            let mut cells = cells.iter();
            cells.any(|(place, known)| place == cell && is_same(&cell.1, known, value))
        })
    }

    /// What must be true at any time: each result is in the sheet, the journal, or a copy.
    pub fn check_results(&mut self) -> Check {
        self.look_at_copies()?;
        let view = match self.path().exists() {
            true => Some(self.view()?),
            false => None,
        };
        let in_journals = self.in_journals();
        for (cell, want) in &self.model.wants {
            let Want::Result { value, .. } = want else {
                continue;
            };
            let shown = view.as_ref().and_then(|view| view.get(&cell.0, &cell.1));
            let is_shown = shown.is_some_and(|shown| is_same(&cell.1, shown, value));
            let is_somewhere = is_shown
                || value.is_empty()
                || in_journals
                    .iter()
                    .any(|(known, it)| known == cell && is_same(&cell.1, it, value))
                || self.is_in_copy(cell, value, true);
            if !is_somewhere {
                return Err(format!(
                    "the result {value:?} of {cell:?} is lost: the sheet shows {shown:?}, and neither journal nor copy has it"
                ));
            }
        }
        Ok(())
    }

    /// What must be true after tickoff has taken in all that others did, and made visible what is its own.
    pub fn check_all(&mut self, before: &Table) -> Check {
        self.check_results()?;
        let view = self.view()?;
        self.explain_changes(before, &view)?;
        let in_journals = self.in_journals();
        let mut settled = Vec::new();
        for (cell, want) in &self.model.wants {
            let shown = view.get(&cell.0, &cell.1);
            let is = |value: &str| shown.is_some_and(|shown| is_same(&cell.1, shown, value));
            let wrong = match want {
                Want::Result { value, .. } if is(value) => continue,
                Want::Result {
                    value,
                    roams,
                    since,
                } => {
                    let is_kept = value.is_empty()
                        || in_journals.contains(&(cell.clone(), value.clone()))
                        || self.is_in_copy(cell, value, true);
                    match (shown, roams) {
                        (None, _) if is_kept => {
                            let (value, since) = (value.clone(), *since);
                            let roams = true;
                            let want = Want::Result {
                                value,
                                roams,
                                since,
                            };
                            settled.push((cell.clone(), Some(want)));
                            continue;
                        }
                        (Some(_), true) if is_kept => {
                            settled.push((cell.clone(), None));
                            continue;
                        }
                        _ => format!("the result {value:?}"),
                    }
                }
                Want::Edit { value, .. } if is(value) => continue,
                Want::Edit {
                    value,
                    strict: false,
                } => {
                    let is_result = self.model.written.get(cell).is_some_and(|values| {
                        let mut values = values.iter();
                        shown.is_some_and(|shown| values.any(|it| is_same(&cell.1, it, shown)))
                    });
                    // The traces do not tell whether its author knew the result that stays.
                    if is_result || self.is_in_copy(cell, value, false) {
                        settled.push((cell.clone(), None));
                        continue;
                    }
                    format!("the edit {value:?}, which is in no copy either,")
                }
                Want::Edit { value, .. } => format!("the edit {value:?}"),
                Want::Either { result, since, .. } if is(result) => {
                    let want = Want::Result {
                        value: result.clone(),
                        roams: false,
                        since: *since,
                    };
                    settled.push((cell.clone(), Some(want)));
                    continue;
                }
                Want::Either { edits, .. } if edits.iter().any(|edit| is(edit)) => {
                    let (value, strict) = (shown.unwrap_or_default().to_owned(), true);
                    settled.push((cell.clone(), Some(Want::Edit { value, strict })));
                    continue;
                }
                Want::Either { result, edits, .. } => format!("{result:?} or one of {edits:?}"),
            };
            return Err(format!(
                "{wrong} of {cell:?} is not in the sheet, which shows {shown:?}"
            ));
        }
        for (cell, want) in settled {
            match want {
                Some(want) => self.model.wants.insert(cell, want),
                None => self.model.wants.remove(&cell),
            };
        }
        for (cell, value) in std::mem::take(&mut self.model.aside) {
            let shown = view.get(&cell.0, &cell.1);
            let is_shown = shown.is_some_and(|shown| is_same(&cell.1, shown, &value));
            if !is_shown && !self.is_in_copy(&cell, &value, false) {
                return Err(format!(
                    "the edit {value:?} of {cell:?}, where a result stands, is in no copy"
                ));
            }
        }
        self.model.taken_in();
        Ok(())
    }

    /// Whatever tickoff changed in the file is a result, or a value that a hand gave to the cell of one.
    fn explain_changes(&self, before: &Table, now: &Table) -> Check {
        let (old, new) = (before.keys(), now.keys());
        // A session may have taken in a save, sorted by whoever made it, only now, and others may have come since.
        let mut lately = self.model.versions.iter().rev().take(4);
        if old != new && !lately.any(|version| version.table.keys() == new) {
            return Err(format!("the rows were {old:?} and are {new:?}"));
        }
        for (po, column, value) in now.cells() {
            let was = before.get(&po, &column);
            let place = cell(&po, &column);
            // A hand was quicker than the version that took the place of its save, and is merged only now.
            let last = self.model.latest().table.get(&po, &column);
            let is_explained = was == Some(value.as_str())
                || last == Some(value.as_str())
                || (was.is_none() && value.is_empty())
                || self.model.gone.contains(&(place.clone(), value.clone()))
                || self
                    .model
                    .written
                    .get(&place)
                    .is_some_and(|values| values.iter().any(|it| is_same(&column, it, &value)));
            if !is_explained {
                return Err(format!(
                    "{place:?} was {was:?} and is {value:?}, which nobody wrote"
                ));
            }
        }
        Ok(())
    }

    /// A copy of the folder is gone on with: as it was at a kill, or because somebody copied it.
    pub fn move_to_copy(&mut self) {
        self.folders += 1;
        let to = self.root.path().join(self.folders.to_string());
        copy_folder(&self.folder, &to);
        for entry in fs::read_dir(&to).unwrap() {
            let path = entry.unwrap().path();
            if path.extension().is_some_and(|it| it == "csv") {
                rested(&path);
            }
        }
        self.folder = to;
    }

    /// Ends this process's session as if it was killed: what it left lies in a copy of the folder.
    pub fn kill(&mut self) {
        let old = self.folder.clone();
        let mounted = self.mounted.take();
        self.move_to_copy();
        self.held = None;
        if let Some(Live { session, queue }) = self.live.take() {
            queue.stop_writer_thread(std::time::Duration::MAX).ok();
            drop(queue);
            drop(session);
            self.is_interrupted = true;
        }
        if let Some(mounted) = mounted {
            let done = Command::new("umount").arg("-l").arg(mounted).status();
            assert!(done.is_ok_and(|status| status.success()));
        } else {
            fs::remove_dir_all(old).unwrap();
        }
    }

    /// Opens a queue on a session.
    pub fn work_in(&mut self, session: Session) {
        let queue = WriteQueue::new(Arc::clone(session.handler()), 64);
        queue.start_writer_thread().unwrap();
        self.live = Some(Live { session, queue });
    }

    /// The folder is seen at another place.
    pub fn mount(&mut self) -> Check {
        self.end()?;
        self.unmount();
        self.folders += 1;
        let to = self.root.path().join(self.folders.to_string());
        fs::create_dir(&to).unwrap();
        let mounted = Command::new("mount")
            .arg("--bind")
            .args([&self.folder, &to])
            .output();
        if !mounted.is_ok_and(|output| output.status.success()) {
            eprintln!("SKIPPED: a folder cannot be mounted here, which takes root");
            return Ok(());
        }
        (self.folder, self.mounted) = (to.clone(), Some(to));
        self.check_results()
    }

    fn unmount(&mut self) {
        if let Some(mounted) = self.mounted.take() {
            // What it shows lies elsewhere.
            self.move_to_copy();
            let done = Command::new("umount").arg("-l").arg(&mounted).status();
            assert!(done.is_ok_and(|status| status.success()));
        }
    }
}

impl Drop for World {
    fn drop(&mut self) {
        self.held = None;
        if let Some(Live { session, queue }) = self.live.take() {
            queue.stop_writer_thread(std::time::Duration::ZERO).ok();
            drop((queue, session));
        }
        if let Some(mounted) = self.mounted.take() {
            Command::new("umount").arg("-l").arg(&mounted).status().ok();
        }
    }
}

fn table_of(sheet: &Sheet) -> Table {
    let header = sheet.columns();
    let rows = sheet.records().map(|record| {
        let value = |column: &String| record.get(column).unwrap_or("").to_owned();
        let mut row: Vec<String> = header.iter().map(value).collect();
        let is_key = |name: &String| name.trim().eq_ignore_ascii_case(super::table::KEY);
        let key = header.iter().position(is_key).unwrap();
        row[key].clone_from(&record.po_number);
        row
    });
    let rows = rows.collect();
    Table {
        delimiter: ';',
        header,
        rows,
    }
}

fn is_result_copy(name: &str) -> bool {
    let kinds = [".unplaced", ".discarded", ".outside", ".replaced"];
    kinds.iter().any(|kind| name.contains(kind))
}

fn copy_folder(from: &Path, to: &Path) {
    fs::create_dir(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let name = entry.file_name();
        if name.to_string_lossy().ends_with(".tmp") {
            // One that is being written.
            continue;
        }
        match entry.file_type().unwrap().is_dir() {
            true => copy_folder(&entry.path(), &to.join(name)),
            false => match fs::copy(entry.path(), to.join(name)) {
                // One that the session has just put in another one's place.
                Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
                copied => drop(copied.unwrap()),
            },
        }
    }
}
