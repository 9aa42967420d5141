//! Every state in which a power cut may leave the disk.
//!
//! Commands run, some to their end and some until a `kill -9` in the middle; all that they do to the
//! files in the sheet's folder is recorded (see [`crate::tracer`]). At every step of that history the
//! disk may hold what was synced, and of what was not any part: each 512-byte sector of a write, a new
//! size without the data, each change of a folder but that changes of one name keep their order. Now
//! and then a sync fails; what it was to sync stays in doubt, whatever a later one says. All this is
//! more than ext4 and xfs do, and what POSIX allows; the approach is that of ALICE (Pillai et al., "All
//! File Systems Are Not Created Equal", OSDI '14).
//!
//! In each of these states the sheet must be a complete version, and so must be each backup; the next
//! session must find everything that was acknowledged before, and leave nothing behind. The campaign
//! is `tests/campaign.sh states`, which goes on where it was stopped; by default a few hundred states are
//! tried, and `TICKOFF_SEED` replays them.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};
use std::fs::{self, File};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;
use std::process::Command;
use std::sync::Arc;
use std::time::Duration;

use nix::errno::Errno;
use serde_json::Value;
use tickoff::{
    CsvHandler, DEFAULT_CAPACITY, Decision, Error, Options, Session, Until, Updates, WriteQueue,
};

use crate::campaign::progress;
use crate::command_line::tickoff;
use crate::fixture::{TempSheet, rested};
use crate::tracer::{Call, Verdict, Watch, trace};

const ROWS: usize = 24;
const SECTOR: usize = 512;

/// A file, whatever its names are. Inode numbers are used again, these are not.
type FileId = usize;

/// A name in the sheet's folder: `input.csv`, `backup/…`.
type Name = String;

#[derive(Debug, Clone)]
enum Step {
    /// A new name of a file, or none for one that has no name yet.
    Link(FileId, Name),
    Unlink(Name),
    Rename(Name, Name),
    Exchange(Name, Name),
    Write(FileId, usize, Vec<u8>),
    Resize(FileId, usize),
    Sync(FileId),
    /// The system said that it failed: what was to be synced may never reach the disk, whatever a
    /// later sync says.
    FailedSync(FileId),
    SyncFolder(Name),
    /// Another program changed the file and synced it.
    Edit(FileId, Vec<u8>),
    /// The caller was told that this operation is durable.
    Told(u64),
}

/// What the disk is sure to hold, and what it may hold as well.
#[derive(Clone, Default)]
struct Disk {
    files: BTreeMap<FileId, FileOnDisk>,
    names: BTreeMap<Name, FileId>,
    /// Changes of names that no sync of their folder has followed.
    pending: Vec<Step>,
}

#[derive(Clone, Default)]
struct FileOnDisk {
    durable: Vec<u8>,
    /// As programs see it.
    now: Vec<u8>,
    /// Writes and resizes that no sync has followed, by sectors.
    pending: Vec<Step>,
    /// Writes whose sync failed.
    doubtful: Vec<Step>,
}

impl FileOnDisk {
    fn choices(&self) -> usize {
        let unsure = self.doubtful.len() + self.pending.len();
        unsure + usize::from(unsure > 0)
    }

    fn crash(&self, mut chosen: impl FnMut() -> bool) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for step in self.doubtful.iter().chain(&self.pending) {
            if chosen() {
                change(&mut bytes, step);
            }
        }
        // The new size, but not all of the data.
        if self.choices() > 0 && chosen() {
            bytes.resize(self.now.len(), 0);
        }
        bytes
    }
}

fn folder_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(folder, _)| folder)
}

fn change(bytes: &mut Vec<u8>, step: &Step) {
    match step {
        Step::Write(_, offset, new) => {
            if bytes.len() < offset + new.len() {
                bytes.resize(offset + new.len(), 0);
            }
            bytes[*offset..offset + new.len()].copy_from_slice(new);
        }
        Step::Resize(_, size) => bytes.resize(*size, 0),
        other => panic!("{other:?} changes no file"),
    }
}

/// Whether two writes are about the same bytes.
fn overlap(one: &Step, other: &Step) -> bool {
    match (one, other) {
        (Step::Write(_, a, old), Step::Write(_, b, new)) => {
            a < &(b + new.len()) && b < &(a + old.len())
        }
        _ => false,
    }
}

fn rename(names: &mut BTreeMap<Name, FileId>, step: &Step) {
    match step {
        Step::Link(file, name) => drop(names.insert(name.clone(), *file)),
        Step::Unlink(name) => drop(names.remove(name)),
        Step::Rename(from, to) => {
            let file = names.remove(from).expect("it has that name");
            names.insert(to.clone(), file);
        }
        Step::Exchange(one, other) => {
            let (first, second) = (names[one], names[other]);
            names.insert(one.clone(), second);
            names.insert(other.clone(), first);
        }
        other => panic!("{other:?} changes no name"),
    }
}

impl Disk {
    fn take(&mut self, step: &Step) {
        match step {
            Step::Write(file, offset, bytes) => {
                let entry = self.files.entry(*file).or_default();
                change(&mut entry.now, step);
                let mut at = 0;
                while at < bytes.len() {
                    let end = ((offset + at) / SECTOR + 1) * SECTOR - offset;
                    let end = end.min(bytes.len());
                    let sector = bytes[at..end].to_vec();
                    entry.pending.push(Step::Write(*file, offset + at, sector));
                    at = end;
                }
            }
            Step::Resize(file, _) => {
                let entry = self.files.entry(*file).or_default();
                change(&mut entry.now, step);
                entry.pending.push(step.clone());
            }
            Step::Sync(file) => {
                let entry = self.files.entry(*file).or_default();
                for step in std::mem::take(&mut entry.pending) {
                    entry.doubtful.retain(|old| !overlap(old, &step));
                    change(&mut entry.durable, &step);
                }
            }
            Step::Edit(file, bytes) => {
                let entry = self.files.entry(*file).or_default();
                *entry = FileOnDisk {
                    durable: bytes.clone(),
                    now: bytes.clone(),
                    ..FileOnDisk::default()
                };
            }
            Step::FailedSync(file) => {
                let entry = self.files.entry(*file).or_default();
                for step in std::mem::take(&mut entry.pending) {
                    match step {
                        Step::Resize(..) => change(&mut entry.durable, &step),
                        written => entry.doubtful.push(written),
                    }
                }
            }
            Step::SyncFolder(folder) => {
                let (synced, pending) = std::mem::take(&mut self.pending)
                    .into_iter()
                    .partition(|step| names_in(step).iter().any(|name| folder_of(name) == folder));
                self.pending = pending;
                for step in synced {
                    rename(&mut self.names, &step);
                }
            }
            Step::Told(_) => {}
            named => self.pending.push(named.clone()),
        }
    }

    /// How many things may or may not have reached the disk, but for how a file is torn that has no
    /// name in any case.
    fn choices(&self) -> usize {
        let named = self.may_have_names();
        self.pending.len()
            + named
                .iter()
                .map(|file| self.files[file].choices())
                .sum::<usize>()
    }

    fn may_have_names(&self) -> BTreeSet<FileId> {
        let linked = self.pending.iter().filter_map(|step| match step {
            Step::Link(file, _) => Some(*file),
            _ => None,
        });
        self.names.values().copied().chain(linked).collect()
    }

    /// The folder after a crash in which this was so for each of the choices.
    fn crash(&self, mut chosen: impl FnMut() -> bool) -> BTreeMap<Name, Vec<u8>> {
        let mut names = self.names.clone();
        // A change of a name whose last change is lost is lost as well.
        let mut lost: HashSet<&Name> = HashSet::new();
        for step in &self.pending {
            let touched = names_in(step);
            if chosen() && touched.iter().all(|name| !lost.contains(name)) {
                rename(&mut names, step);
            } else {
                lost.extend(touched);
            }
        }
        let mut contents: HashMap<FileId, Vec<u8>> = HashMap::new();
        for file in self.may_have_names() {
            contents.insert(file, self.files[&file].crash(&mut chosen));
        }
        names
            .into_iter()
            .map(|(name, file)| (name, contents[&file].clone()))
            .collect()
    }
}

fn names_in(step: &Step) -> Vec<&Name> {
    match step {
        Step::Link(_, name) | Step::Unlink(name) => vec![name],
        Step::Rename(one, other) | Step::Exchange(one, other) => vec![one, other],
        _ => Vec::new(),
    }
}

/// Writes down what a traced program does to the files of a folder.
struct Recorder<'f> {
    folder: &'f Path,
    ids: HashMap<u64, FileId>,
    next: FileId,
    steps: Vec<Step>,
    /// Kill the program before this call that changes something, counted from 0.
    kill_at: Option<usize>,
    changes: usize,
    /// Let this sync fail, if it is that of a file, or kill the program before it, counted from 0.
    at_sync: Option<(usize, Verdict)>,
    /// Kill the program so many changes after the sync that failed.
    kill_after_failure: Option<usize>,
    syncs: usize,
}

impl Recorder<'_> {
    fn name(&self, path: &Path) -> Name {
        path.strip_prefix(self.folder)
            .unwrap_or_else(|_| panic!("{} is not in the folder", path.display()))
            .to_str()
            .unwrap()
            .to_owned()
    }

    fn create(&mut self, inode: u64) -> FileId {
        self.next += 1;
        self.ids.insert(inode, self.next);
        self.next
    }

    fn file(&mut self, call: &Call, descriptor: u64) -> FileId {
        let inode = fs::metadata(call.descriptor(descriptor)).unwrap().ino();
        self.ids[&inode]
    }

    /// Where a descriptor stands.
    fn position(call: &Call, descriptor: u64) -> usize {
        let path = call.descriptor(descriptor);
        let info = path.to_str().unwrap().replace("/fd/", "/fdinfo/");
        let info = fs::read_to_string(info).unwrap();
        let position = info.lines().find_map(|line| line.strip_prefix("pos:"));
        position.unwrap().trim().parse().unwrap()
    }
}

impl Watch for Recorder<'_> {
    fn before(&mut self, call: &Call) -> Verdict {
        if !matches!(
            call.name,
            "read" | "pread64" | "statx" | "newfstatat" | "flock" | "fcntl"
        ) {
            self.changes += 1;
            if self.kill_at.is_some_and(|at| self.changes > at) {
                return Verdict::Kill;
            }
        }
        if matches!(call.name, "fsync" | "fdatasync") {
            self.syncs += 1;
            if let Some((at, verdict)) = self.at_sync
                && self.syncs == at + 1
                && (verdict == Verdict::Kill || !is_folder(call))
            {
                if let (Verdict::Fail(_), Some(more)) = (verdict, self.kill_after_failure) {
                    self.kill_at = Some(self.changes + more);
                }
                return verdict;
            }
        }
        Verdict::Pass
    }

    fn after(&mut self, call: &Call, returned: i64) {
        let arguments = call.arguments;
        let Ok(returned) = u64::try_from(returned) else {
            if matches!(call.name, "fsync" | "fdatasync") {
                let file = self.file(call, arguments[0]);
                self.steps.push(Step::FailedSync(file));
            }
            return;
        };
        match call.name {
            "open" | "openat" => {
                const TMPFILE: u64 = libc::O_TMPFILE as u64;
                let flags = arguments[if call.name == "open" { 1 } else { 2 }];
                assert!(
                    flags & libc::O_TRUNC as u64 == 0,
                    "{call:?} is not modelled"
                );
                let created = flags & libc::O_CREAT as u64 != 0;
                assert!(
                    !created || flags & libc::O_EXCL as u64 != 0,
                    "whether {call:?} made a file is not known"
                );
                if created || flags & TMPFILE == TMPFILE {
                    let inode = fs::metadata(call.descriptor(returned)).unwrap().ino();
                    let file = self.create(inode);
                    self.steps.push(Step::Resize(file, 0));
                    if created {
                        self.steps.push(Step::Link(file, self.name(&call.path)));
                    }
                }
            }
            "write" if call.is_output() => {
                let text = call.memory(arguments[1], returned as usize);
                for line in text.split(|byte| *byte == b'\n') {
                    // The test that stands for a program says more than its answers.
                    let Ok(answer) = serde_json::from_slice::<Value>(line) else {
                        continue;
                    };
                    if answer["durable"] == true {
                        self.steps
                            .push(Step::Told(answer["operation_id"].as_u64().unwrap()));
                    }
                }
            }
            "write" | "pwrite64" => {
                let bytes = call.memory(arguments[1], returned as usize);
                assert_eq!(bytes.len(), returned as usize);
                let offset = match call.name {
                    "write" => Recorder::position(call, arguments[0]) - bytes.len(),
                    _ => arguments[3] as usize,
                };
                let file = self.file(call, arguments[0]);
                self.steps.push(Step::Write(file, offset, bytes));
            }
            "copy_file_range" => {
                assert_eq!(arguments[3], 0, "{call:?} is not modelled");
                let mut bytes = vec![0; returned as usize];
                let offset = Recorder::position(call, arguments[2]) - bytes.len();
                File::open(call.descriptor(arguments[2]))
                    .unwrap()
                    .read_exact_at(&mut bytes, offset as u64)
                    .unwrap();
                let file = self.file(call, arguments[2]);
                self.steps.push(Step::Write(file, offset, bytes));
            }
            "ioctl" => panic!("a clone is not modelled: use a filesystem without reflinks"),
            "ftruncate" => {
                let file = self.file(call, arguments[0]);
                self.steps.push(Step::Resize(file, arguments[1] as usize));
            }
            "fallocate" if arguments[1] == u64::from(libc::FALLOC_FL_KEEP_SIZE as u32) => {}
            "fallocate" => {
                assert_eq!(arguments[1], 0, "{call:?} is not modelled");
                let file = self.file(call, arguments[0]);
                let size = fs::metadata(call.descriptor(arguments[0])).unwrap().len();
                self.steps.push(Step::Resize(file, size as usize));
            }
            "fsync" | "fdatasync" => {
                let step = if is_folder(call) {
                    Step::SyncFolder(self.name(&call.path))
                } else {
                    Step::Sync(self.file(call, arguments[0]))
                };
                self.steps.push(step);
            }
            "linkat" => {
                let to = call.to.as_ref().unwrap();
                let file = self.ids[&fs::symlink_metadata(to).unwrap().ino()];
                self.steps.push(Step::Link(file, self.name(to)));
            }
            "unlink" | "unlinkat" => self.steps.push(Step::Unlink(self.name(&call.path))),
            "rename" | "renameat" | "renameat2" => {
                let (from, to) = (self.name(&call.path), self.name(call.to.as_ref().unwrap()));
                let exchanged = call.name == "renameat2"
                    && arguments[4] & u64::from(libc::RENAME_EXCHANGE) != 0;
                self.steps.push(match exchanged {
                    true => Step::Exchange(from, to),
                    false => Step::Rename(from, to),
                });
            }
            _ => {}
        }
    }
}

fn is_folder(call: &Call) -> bool {
    fs::metadata(call.descriptor(call.arguments[0])).is_ok_and(|metadata| metadata.is_dir())
}

/// What was done to a sheet, step by step.
struct History {
    steps: Vec<Step>,
    /// The PO and the value of each operation that was submitted.
    operations: Vec<(String, u64)>,
    /// Which of them are saves of another program.
    edits: Vec<u64>,
}

fn operations_told(steps: &[Step]) -> usize {
    steps
        .iter()
        .filter(|step| matches!(step, Step::Told(_)))
        .count()
}

/// Some commands on a sheet of whose rows each has a number: the last operation on it.
fn record(sheet: &TempSheet, random: &mut fastrand::Rng) -> History {
    let folder = sheet.folder().canonicalize().unwrap();
    let mut recorder = Recorder {
        folder: &folder,
        ids: HashMap::new(),
        next: 0,
        steps: Vec::new(),
        kill_at: None,
        changes: 0,
        at_sync: None,
        kill_after_failure: None,
        syncs: 0,
    };
    let file = recorder.create(fs::metadata(sheet.path()).unwrap().ino());
    recorder.steps.extend([
        Step::Link(file, "input.csv".into()),
        Step::Write(file, 0, fs::read(sheet.path()).unwrap()),
        Step::Sync(file),
        Step::SyncFolder(String::new()),
    ]);
    // The folder for backups is there from the beginning: how one is made is another matter.
    let mut operations: Vec<(String, u64)> = Vec::new();
    let mut edits = Vec::new();
    let said = tempfile::tempdir().unwrap();
    for _ in 0..random.usize(2..5) {
        let mut command = tickoff();
        command.current_dir(sheet.folder());
        let submitted = operations.len();
        let mut submit = |po: String| {
            let value = operations.len() as u64 + 1;
            operations.push((po, value));
            value
        };
        let row = |random: &mut fastrand::Rng| format!("P{}", random.usize(..ROWS));
        let mut set = None;
        match random.usize(..5) {
            0 => {
                let po = row(random);
                let value = submit(po.clone());
                set = Some(value);
                command.args(["set", "input.csv", &po, &format!("note={value}")]);
            }
            1 => {
                command.args(["run", "input.csv", "-j", "2", "--quiet", "--limit", "3"]);
                command.args(["--", "true"]);
            }
            2 => {
                let updates: Vec<String> = (0..random.usize(1..4))
                    .map(|_| {
                        let po = row(random);
                        format!("{po}={}", submit(po.clone()))
                    })
                    .collect();
                command = Command::new(std::env::current_exe().unwrap());
                command
                    .args(["--ignored", "--nocapture", "--exact"])
                    .arg("crash_states::a_program_that_uses_the_library")
                    .current_dir(sheet.folder())
                    .env("TICKOFF_UPDATES", updates.join(" "));
            }
            _ => {
                let lines: String = (0..random.usize(1..60))
                    .map(|_| {
                        let po = row(random);
                        let value = submit(po.clone());
                        format!("{{\"po_number\":\"{po}\",\"updates\":{{\"note\":{value}}},\"operation_id\":{value}}}\n")
                    })
                    .collect();
                let input = said.path().join("input");
                fs::write(&input, lines).unwrap();
                command.args(["apply", "input.csv", "--ack"]);
                command.stdin(File::open(input).unwrap());
            }
        }
        (recorder.changes, recorder.syncs) = (0, 0);
        recorder.kill_at = (random.u8(..3) == 0).then(|| random.usize(..120));
        let sync = random.usize(..12).min(random.usize(..12));
        recorder.at_sync = match random.u8(..3) {
            0 => None,
            1 => Some((sync, Verdict::Fail(Errno::EIO))),
            _ => Some((sync, Verdict::Kill)),
        };
        recorder.kill_after_failure = random.bool().then(|| random.usize(..6));
        let before = operations_told(&recorder.steps);
        let ended = trace(&mut command, &folder, &mut recorder);
        match (ended.code, set) {
            (0, Some(value)) => recorder.steps.push(Step::Told(value)),
            (0 | -9, _) => {}
            // What a result took the place of goes there when its copy cannot be synced.
            (1, _) if ended.stderr.contains("that goes to ….unplaced.csv") => {}
            // A session that cannot sync its log before it begins does not begin.
            (3, _) if ended.stderr.contains("cannot sync") => {}
            // Nor does that of an apply, which has read a line by then; what it read is in a file.
            (6, None) if ended.stderr.contains("are not saved in the sheet, but in") => {}
            // After another program's turn, a person decides; that is the end of this history.
            (3, _) if ended.stderr.contains("tickoff recover") => break,
            (101, _) if ended.stderr.contains("value: Undecided {") => break,
            // Durable, and its version could not be announced.
            (6, Some(value)) if ended.stderr.contains("kept in its journal") => {
                recorder.steps.push(Step::Told(value));
            }
            _ => panic!("{command:?}: {ended:#?}"),
        }
        if matches!(ended.code, 0 | 1) {
            let told = operations_told(&recorder.steps) - before;
            assert_eq!(told, operations.len() - submitted, "each is answered");
        }
        // Another program's turn, unless results wait in a journal for the next command.
        if random.bool() && sheet.leftovers().is_empty() && !sheet.has_waiting_results() {
            let (row, value) = (random.usize(..ROWS), operations.len() as u64 + 1);
            operations.push((format!("P{row}"), value));
            let text = edit(&sheet.text(), row, value);
            fs::write(sheet.path(), &text).unwrap();
            let file = recorder.ids[&fs::metadata(sheet.path()).unwrap().ino()];
            let edited = Step::Edit(file, text.into_bytes());
            // Whoever calls that durable has synced the folder as well: a killed rewrite may have renamed
            // the file just now.
            let named = Step::SyncFolder(String::new());
            recorder.steps.extend([edited, named, Step::Told(value)]);
            edits.push(value);
        }
    }
    History {
        steps: recorder.steps,
        operations,
        edits,
    }
}

/// What was so when the power was cut.
#[derive(Default)]
struct Known<'h> {
    /// Every complete version that the sheet ever was.
    versions: HashSet<Vec<u8>>,
    submitted: HashSet<(String, String)>,
    acknowledged: BTreeMap<&'h str, u64>,
    /// A sync of the disk had failed: the end of the journal may be a mixture of two frames, which is kept as
    /// damage.
    has_failed_sync: bool,
    /// Operations that are saves of another program, by what they changed.
    edits: BTreeSet<(&'h str, u64)>,
}

/// The sheet with another note in a row.
fn edit(text: &str, row: usize, note: u64) -> String {
    text.split_inclusive('\n')
        .enumerate()
        .map(|(line, text)| {
            let mut fields: Vec<&str> = text.split(';').collect();
            let note = note.to_string();
            if line == row + 1 {
                fields[3] = &note;
            }
            fields.join(";")
        })
        .collect()
}

fn has_all_rows(bytes: &[u8]) -> bool {
    let text = std::str::from_utf8(bytes).unwrap_or_default();
    let mut rows = text.lines().skip(1).enumerate();
    let is_whole = |(row, text): (usize, &str)| {
        text.starts_with(&format!("P{row};")) && text.split(';').count() == 6
    };
    text.ends_with('\n') && text.lines().count() == ROWS + 1 && rows.all(is_whole)
}

/// What a history runs, besides the program's commands: a queue without a session. It says what is
/// durable as `apply --ack` does.
#[test]
#[ignore = "it is a program that another test runs"]
fn a_program_that_uses_the_library() {
    let updates = std::env::var("TICKOFF_UPDATES").expect("another test runs this one");
    let handler = CsvHandler::open("input.csv", "backup").unwrap();
    let queue = WriteQueue::new(Arc::new(handler), DEFAULT_CAPACITY);
    queue.start_writer_thread().unwrap();
    for update in updates.split(' ') {
        let (po, value) = update.split_once('=').unwrap();
        let updates = Updates::new().set("note", value);
        let operation = queue.submit_write(po, updates).unwrap();
        queue.wait(&operation, Until::Durable).unwrap();
        println!("\n{{\"operation_id\":{value},\"durable\":true}}");
    }
    assert!(queue.stop_writer_thread(Duration::from_secs(60)).unwrap());
}

/// Puts the folder into a state, and checks what the next session makes of it.
fn check(sheet: &TempSheet, state: &BTreeMap<Name, Vec<u8>>, known: &Known) {
    for (name, bytes) in state {
        if name == "input.csv" || name.starts_with("backup/input_") {
            // What a result took the place of lies in a copy of the sheet as it never was public.
            let is_copy = name.ends_with(".outside.csv") && has_all_rows(bytes);
            assert!(
                is_copy || known.versions.contains(bytes),
                "{name} is no complete version: {:?}",
                String::from_utf8_lossy(bytes)
            );
        }
    }
    assert!(state.contains_key("input.csv"), "the sheet is gone");
    let folder = sheet.folder();
    fs::remove_dir_all(folder).unwrap();
    fs::create_dir_all(folder.join("backup")).unwrap();
    for (name, bytes) in state {
        fs::write(folder.join(name), bytes).unwrap();
    }
    rested(sheet.path());
    // After an edit by others a person may be asked.
    let opened = match Session::open(sheet.path(), &Options::default()) {
        Err(Error::Undecided { .. }) => {
            let apply = Some(Decision::Apply);
            Session::open_decided(sheet.path(), &Options::default(), apply)
        }
        opened => opened,
    };
    opened.and_then(Session::finish).unwrap();
    let table = sheet.table();
    // An edit by somebody who cannot have seen the result in its cell, which nobody acknowledged perhaps, is in a
    // copy (P3), if not one that was saved over it.
    let is_kept = |po: &str, value: u64| {
        let copies = fs::read_dir(sheet.backups()).unwrap();
        let copies = copies.map(|copy| fs::read_to_string(copy.unwrap().path()).unwrap());
        let copies: Vec<String> = copies.collect();
        let mut since = known.edits.range((po, value)..=(po, u64::MAX));
        known.edits.contains(&(po, value))
            && since.any(|(_, value)| {
                let edit = format!(";of {po};{value};");
                copies.iter().any(|copy| copy.contains(&edit))
            })
    };
    for (po, value) in &known.acknowledged {
        let shown = &table[*po]["note"];
        assert!(
            shown.parse::<u64>().is_ok_and(|shown| shown >= *value) || is_kept(po, *value),
            "{po} shows {shown:?}, and {value} was acknowledged"
        );
    }
    for (po, cells) in &table {
        let shown = &cells["note"];
        assert!(
            shown.is_empty() || known.submitted.contains(&(po.clone(), shown.clone())),
            "{po} shows {shown:?}, which nobody submitted"
        );
        assert_eq!(cells["SUPPLIER"], format!("of {po}"));
    }
    let mut left = sheet.leftovers();
    left.retain(|name| !known.has_failed_sync || !name.contains(".journal.damaged-"));
    assert!(left.is_empty(), "{left:?}");
}

/// What led to a state that failed, and the state, for whoever looks for the reason.
fn tell(steps: &[Step], state: &BTreeMap<Name, Vec<u8>>) {
    let text = |bytes: &[u8]| {
        let text = String::from_utf8_lossy(bytes).replace('\0', "");
        text.replace('\n', "|")
    };
    for (number, step) in steps.iter().enumerate() {
        match step {
            Step::Write(file, at, bytes) => {
                eprintln!("{number} Write({file}, {at}, {})", text(bytes));
            }
            Step::Edit(file, bytes) => eprintln!("{number} Edit({file}, {})", text(bytes)),
            others => eprintln!("{number} {others:?}"),
        }
    }
    for (name, bytes) in state {
        eprintln!("after the crash {name}: {}", text(bytes));
    }
}

fn digest(state: &impl Hash) -> u64 {
    let mut hasher = DefaultHasher::new();
    state.hash(&mut hasher);
    hasher.finish()
}

#[test]
fn whatever_a_power_cut_leaves_on_the_disk_nothing_acknowledged_is_lost() {
    let mut campaign = progress("", "TICKOFF_CRASH_STATES", 300);
    let mut seen: HashSet<u64> = HashSet::new();
    let rows: String = (0..ROWS)
        .map(|row| format!("P{row};;of P{row};;;\n"))
        .collect();
    let text = format!("PO_NUMBER;STATUS;SUPPLIER;note;LAST_PROCESSED;ERROR_MESSAGE\n{rows}");
    // A journal belongs to its sheet's path: all states are tried where the history was recorded.
    let sheet = TempSheet::new(&text);
    campaign.each_round(|random, _| {
        let before = seen.len();
        fs::remove_dir_all(sheet.folder()).unwrap();
        fs::create_dir_all(sheet.backups()).unwrap();
        fs::write(sheet.path(), &text).unwrap();
        rested(sheet.path());
        let history = record(&sheet, random);
        let mut known = Known {
            versions: HashSet::from([text.clone().into_bytes()]),
            submitted: history
                .operations
                .iter()
                .map(|(po, value)| (po.clone(), value.to_string()))
                .collect(),
            edits: history
                .edits
                .iter()
                .map(|&value| (&*history.operations[value as usize - 1].0, value))
                .collect(),
            ..Known::default()
        };
        let mut disk = Disk::default();
        let mut now: BTreeMap<Name, FileId> = BTreeMap::new();
        for (at, step) in history.steps.iter().enumerate() {
            disk.take(step);
            known.has_failed_sync |= matches!(step, Step::FailedSync(_));
            if !names_in(step).is_empty() || matches!(step, Step::Edit(..)) {
                if !names_in(step).is_empty() {
                    rename(&mut now, step);
                }
                if let Some(file) = now.get("input.csv").and_then(|file| disk.files.get(file)) {
                    known.versions.insert(file.now.clone());
                }
            }
            if let Step::Told(value) = step {
                let (po, _) = &history.operations[*value as usize - 1];
                known.acknowledged.insert(po, *value);
            }
            // The steps that put the sheet there are not ours.
            if at < 3 {
                continue;
            }
            let choices = disk.choices();
            let tries = if choices <= 5 { 1 << choices } else { 40 };
            for pattern in 0..tries {
                let mut bit = 0;
                let state = disk.crash(|| {
                    bit += 1;
                    match (choices <= 5, pattern) {
                        (true, _) => pattern >> (bit - 1) & 1 == 1,
                        (false, 0) => false,
                        (false, 1) => true,
                        (false, _) => random.bool(),
                    }
                });
                if seen.insert(digest(&(&state, &known.acknowledged))) {
                    let checked = catch_unwind(AssertUnwindSafe(|| check(&sheet, &state, &known)));
                    if let Err(panic) = checked {
                        tell(&history.steps[..=at], &state);
                        resume_unwind(panic);
                    }
                }
            }
        }
        (seen.len() - before) as u64
    });
    println!(
        "{} distinct crash states of {} histories",
        campaign.done, campaign.rounds
    );
}
