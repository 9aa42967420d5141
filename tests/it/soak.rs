//! Hostile jobs, sixteen at a time: they fork, stop, print, fill a disk, eat memory and kill who started them,
//! while signals come at any moment.
//!
//! The campaign is `tests/campaign.sh soak`, an hour, which goes on where it was stopped; without it one sheet is
//! processed. `TICKOFF_SEED` replays the choices of one round. What a job does is in `soak/job.sh`.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use rustix::process::{Pid, Signal, kill_process};

use crate::campaign::progress;
use crate::command_line::{is_alive, wait_until};
use crate::fixture::TempSheet;

/// Key → column → value.
type Table = BTreeMap<String, BTreeMap<String, String>>;

/// Each deed, and how its row's message begins if it is a failure.
const DEEDS: [(&str, &str); 34] = [
    ("plain", ""),
    ("slow", ""),
    ("fork", ""),
    ("session", ""),
    ("orphan", ""),
    ("daemon", ""),
    ("nohup", ""),
    ("group", ""),
    ("stranger", ""),
    ("deaf", ""),
    ("still", ""),
    ("tree", ""),
    ("namespace", ""),
    ("many", ""),
    ("prints", ""),
    ("unended", ""),
    ("closed", ""),
    ("huge", ""),
    ("full", ""),
    ("memory", ""),
    ("hoards", "exit 4"),
    ("again", ""),
    ("fails", "exit 3: it failed"),
    ("signalled", "killed by signal 11"),
    ("killed", "killed by signal 9"),
    ("orphaned", "killed by signal 9"),
    ("stopped", "timed out"),
    ("hangs", "timed out"),
    ("stubborn", "timed out"),
    ("spreads", "timed out"),
    ("ends", ""),
    ("kills", ""),
    ("plain", ""),
    ("slow", ""),
];
const JOBS: usize = 16;
const TIMEOUT: Duration = Duration::from_secs(2);
/// So long a run may go on after a signal.
const AFTER_A_SIGNAL: Duration = Duration::from_secs(10);
/// A run that takes longer does not end.
const HANGS: Duration = Duration::from_secs(600);
/// What a run may hold besides three descriptors for each running job, however many jobs there were.
const DESCRIPTORS: usize = 22;
const THREADS: usize = JOBS + 12;

#[test]
fn hostile_jobs_lose_no_result_and_leave_nothing_behind() {
    let mut campaign = progress("", "TICKOFF_SOAK", 1).short_from("TICKOFF_SOAK", 1);
    let mut seen = Seen::default();
    campaign.each_round(|random, left| {
        let begun = Instant::now();
        let (rows, blows) = match left {
            1 => (2 * DEEDS.len(), 1),
            _ => (random.usize(100..500), random.usize(1..6)),
        };
        soak(random, rows, blows, &mut seen);
        begun.elapsed().as_secs().max(1)
    });
    println!("{seen}");
}

/// What came of it, for people.
#[derive(Default)]
struct Seen {
    rows: usize,
    jobs: usize,
    results: usize,
    signals: usize,
    kills: usize,
    longest: Duration,
    descriptors: usize,
    threads: usize,
}

impl std::fmt::Display for Seen {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(
            out,
            "{} rows, {} jobs, {} results handed over, {} signals, the longest end {:.1} s, {} kills, at most {} other descriptors and {} threads",
            self.rows,
            self.jobs,
            self.results,
            self.signals,
            self.longest.as_secs_f64(),
            self.kills,
            self.descriptors,
            self.threads
        )
    }
}

/// What a person or the system does to a part of a run.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Blow {
    Signal(Signal),
    Twice(Signal),
    Kill,
}

impl Blow {
    fn choose(random: &mut fastrand::Rng) -> Blow {
        let signal = [Signal::INT, Signal::TERM, Signal::HUP][random.usize(..3)];
        match random.usize(..5) {
            0 | 1 => Blow::Signal(signal),
            2 | 3 => Blow::Twice(signal),
            _ => Blow::Kill,
        }
    }
}

/// One sheet, processed by parts of a run of which all but the last get a blow.
fn soak(random: &mut fastrand::Rng, rows: usize, blows: usize, seen: &mut Seen) {
    let place = Place::new(random, rows);
    let original = place.sheet.table();
    let mut handed_over = BTreeSet::new();
    let mut abandoned = Vec::new();
    let mut number = 0;
    loop {
        let blow = (number < blows).then(|| Blow::choose(random));
        let part = Part::run(&place, number, blow, random, seen);
        let log = place.log(number);
        seen.jobs += log.lines.iter().filter(|line| line.verb == "start").count();
        for line in &log.lines {
            assert!(
                !handed_over.contains(&line.key),
                "{} was handed over, and is run again in part {number}",
                line.key
            );
        }
        place.remove_fillers();
        // The third signal ends it at once: what is durable is in the journal, for the next run.
        let ended_at_once = part.is_orderly() && part.signals + log.signals() > 2;
        if part.is_orderly() {
            if ended_at_once {
                abandoned = place.what_is_abandoned();
            } else if log.lines.iter().any(|line| line.verb == "start") {
                abandoned.clear();
            }
            place.check_that_nothing_is_left(&abandoned);
        } else {
            place.end_processes();
            abandoned = place.what_is_abandoned();
            seen.kills += 1;
        }
        let table = match part.is_orderly() && !ended_at_once {
            true => place.sheet.table(),
            false => place.durable(),
        };
        let breaks_off = part.breaks_off(log.signals());
        for line in log.handed_over(breaks_off) {
            let row = &table[&line.key];
            if line.verb == "huge" {
                check_is_kept(row, line, &part.said);
            } else if check_is_there(row, line, number, &part.said) {
                handed_over.insert(line.key.clone());
                seen.results += 1;
            }
        }
        place.make_room();
        if blow.is_none() {
            assert!(
                matches!(part.status.code(), Some(0 | 1)),
                "{part:?}: {}",
                part.said
            );
            check_rows(&original, &table);
            seen.rows += rows;
            return;
        }
        number += 1;
    }
}

/// A result that a job handed over; `false` if its time was over at that very moment.
fn check_is_there(row: &BTreeMap<String, String>, line: &Line, number: usize, said: &str) -> bool {
    let took = line.end.unwrap_or_default() - line.begun;
    if row["ERROR_MESSAGE"].starts_with("timed out") && took > TIMEOUT.as_secs_f64() / 2.0 {
        return false;
    }
    let cells = (row["STATUS"].as_str(), row["SUPPLIER"].as_str());
    assert_eq!(
        cells,
        ("COMPLETED", format!("by {number}").as_str()),
        "{line:?}, {row:?}: {said}"
    );
    true
}

/// An answer that cannot be read is in the file that the row's message names, however large.
fn check_is_kept(row: &BTreeMap<String, String>, line: &Line, said: &str) {
    let message = &row["ERROR_MESSAGE"];
    if message.starts_with("timed out") {
        return;
    }
    let (_, file) = message
        .split_once("it is kept in ")
        .unwrap_or_else(|| panic!("{line:?}: {message}: {said}"));
    let kept = fs::metadata(file).unwrap_or_else(|error| panic!("{file}: {error}: {said}"));
    assert_eq!(kept.len(), 1_100_000, "{line:?}: {message}");
}

/// Every row is decided, as its deed has it, and has its other cells.
fn check_rows(original: &Table, table: &Table) {
    assert!(original.keys().eq(table.keys()));
    for (key, row) in table {
        assert_eq!(row["COUPA_URL"], original[key]["COUPA_URL"]);
        assert_ne!(row["LAST_PROCESSED"], "", "{key}");
        let deed = key.split('-').next();
        let (_, failure) = DEEDS.iter().find(|(name, _)| Some(*name) == deed).unwrap();
        let message = &row["ERROR_MESSAGE"];
        let is_expected = match row["STATUS"].as_str() {
            "COMPLETED" => failure.is_empty(),
            "ERROR" if message.starts_with("timed out") => true,
            "ERROR" if failure.is_empty() => {
                // It could not write its result on the full disk.
                message.starts_with("exit 1") || deed == Some("huge")
            }
            "ERROR" => message.starts_with(failure),
            _ => false,
        };
        assert!(is_expected, "{key}: {row:?}");
    }
}

/// Where it takes place.
struct Place {
    sheet: TempSheet,
    /// What jobs and the test use.
    outside: tempfile::TempDir,
    /// A disk that is soon full, as root has it, and which of them lies on it.
    small: Option<Small>,
}

enum Small {
    /// The sheet, and what is beside it.
    Sheet,
    /// The folder for temporary files, in which jobs leave their results.
    Temporary(TempSheet),
}

impl Place {
    fn new(random: &mut fastrand::Rng, rows: usize) -> Place {
        let mut keys: Vec<_> = (0..rows)
            .map(|row| format!("{}-{row}", DEEDS[row % DEEDS.len()].0))
            .collect();
        random.shuffle(&mut keys);
        let rows = keys.iter().map(|key| {
            let note = random.u32(..);
            format!("{key};;;;;{note}\n")
        });
        let header = "PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED;ERROR_MESSAGE;COUPA_URL\n";
        let contents = header.to_owned() + &rows.collect::<String>();
        let (sheet, small) = match random.bool() {
            true => match TempSheet::on_small_disk("96m", &contents) {
                Some(sheet) => (sheet, Some(Small::Sheet)),
                None => (TempSheet::new(contents), None),
            },
            false => {
                let small = TempSheet::on_small_disk("48m", "");
                (TempSheet::new(contents), small.map(Small::Temporary))
            }
        };
        if let Some(Small::Temporary(folder)) = &small {
            fs::remove_file(folder.path()).unwrap();
        }
        let outside = tempfile::tempdir().unwrap();
        fs::write(outside.path().join("job.sh"), include_str!("soak/job.sh")).unwrap();
        let sleep = ["/bin/sleep", "/usr/bin/sleep"].into_iter();
        let sleep = sleep.map(Path::new).find(|path| path.exists()).unwrap();
        std::os::unix::fs::symlink(sleep, outside.path().join("nap")).unwrap();
        fs::create_dir(outside.path().join("tmp")).unwrap();
        Place {
            sheet,
            outside,
            small,
        }
    }

    /// The sheet with what only the journal has.
    fn durable(&self) -> Table {
        let read = tickoff::Sheet::read(self.sheet.path(), &tickoff::Options::default()).unwrap();
        let rows = read.records().map(|record| {
            let cells = record.cells();
            let cells = cells.map(|(column, value)| (column.to_owned(), value.to_owned()));
            (record.po_number.clone(), cells.collect())
        });
        rows.collect()
    }

    fn temporary(&self) -> PathBuf {
        match &self.small {
            Some(Small::Temporary(folder)) => folder.folder().to_owned(),
            _ => self.outside.path().join("tmp"),
        }
    }

    fn log_path(&self, part: usize) -> PathBuf {
        self.outside.path().join(format!("log-{part}"))
    }

    fn log(&self, part: usize) -> Log {
        let text = fs::read_to_string(self.log_path(part)).unwrap_or_default();
        Log {
            lines: text.lines().map(Line::read).collect(),
        }
    }

    /// The program on this sheet.
    fn command(&self, part: usize, show: &str, is_lethal: bool) -> Command {
        let options = format!(
            "-j {JOBS} --timeout {}s --retries 1 --backoff 50ms --kill-leftovers --show {show} --",
            TIMEOUT.as_secs()
        );
        let outside = self.outside.path();
        let mut command = self.sheet.tickoff("run");
        command
            .args(options.split(' '))
            .arg("sh")
            .arg(outside.join("job.sh"))
            .env("MARK", outside)
            .env("NAP", outside.join("nap"))
            .env("LOG", self.log_path(part))
            .env("PART", part.to_string())
            .env("TMPDIR", self.temporary())
            .env("LETHAL", if is_lethal { "yes" } else { "" });
        match &self.small {
            Some(Small::Sheet) => command.env("SMALL", self.sheet.folder()),
            Some(Small::Temporary(folder)) => command.env("SMALL", folder.folder()),
            None => command.env_remove("SMALL"),
        };
        command
    }

    /// The processes of this place, by its path in what they were started with: some have no environment.
    fn processes(&self) -> Vec<(Pid, String)> {
        let mark = self.outside.path().to_str().unwrap().as_bytes();
        let has_mark = |file: PathBuf| {
            let bytes = fs::read(file).unwrap_or_default();
            bytes.windows(mark.len()).any(|window| window == mark)
        };
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let Some(pid) = entry.file_name().to_str().and_then(|pid| pid.parse().ok()) else {
                continue;
            };
            if has_mark(entry.path().join("cmdline")) || has_mark(entry.path().join("environ")) {
                let status = fs::read_to_string(entry.path().join("status"));
                found.push((Pid::from_raw(pid).unwrap(), status.unwrap_or_default()));
            }
        }
        found
    }

    /// Takes away what is kept for people, and what fills the disk, which is full for no longer than a job fills it.
    fn make_room(&self) {
        for name in names(&self.sheet.backups()) {
            if name.contains(".answer") || name.contains(".unplaced") {
                fs::remove_file(self.sheet.backups().join(name)).unwrap();
            }
        }
        // A process that is just ending still holds what it has written.
        if let Some(folder) = self.small_folder() {
            wait_until("the small disk has room", || {
                let disk = rustix::fs::statvfs(folder).unwrap();
                disk.f_bavail * 2 > disk.f_blocks
            });
        }
    }

    /// A job that was killed as it removed its filler has left it.
    fn remove_fillers(&self) {
        let Some(folder) = self.small_folder() else {
            return;
        };
        for name in names(folder) {
            if name.starts_with("filler-") {
                fs::remove_file(folder.join(name)).unwrap();
            }
        }
    }

    fn small_folder(&self) -> Option<&Path> {
        match &self.small {
            Some(Small::Sheet) => Some(self.sheet.folder()),
            Some(Small::Temporary(folder)) => Some(folder.folder()),
            None => None,
        }
    }

    /// A run that ended before its first job has not got to what a killed one abandoned.
    fn check_that_nothing_is_left(&self, abandoned: &[String]) {
        let left = self.processes();
        self.end_processes();
        assert!(left.is_empty(), "processes are left: {left:#?}");
        assert_eq!(self.sheet.leftovers(), [""; 0]);
        let mut temporary = names(&self.temporary());
        temporary.retain(|name| !is_answer(name) && !abandoned.contains(name));
        assert!(temporary.is_empty(), "{temporary:?}");
        let known = |name: &String| name.ends_with(".csv");
        assert!(names(&self.sheet.backups()).iter().all(known));
    }

    /// The folder that a run left which was killed, or ended at once; it is an old one for the next run.
    fn what_is_abandoned(&self) -> Vec<String> {
        let mut temporary = names(&self.temporary());
        temporary.retain(|name| !is_answer(name));
        for name in &temporary {
            assert!(name.starts_with("tickoff-results-"), "{name}");
            let old = SystemTime::now() - Duration::from_secs(600);
            let folder = File::open(self.temporary().join(name)).unwrap();
            folder.set_modified(old).unwrap();
        }
        temporary
    }

    fn end_processes(&self) {
        loop {
            let found = self.processes();
            if found.is_empty() {
                return;
            }
            for (pid, _) in found {
                kill_process(pid, Signal::KILL).ok();
            }
            thread::sleep(Duration::from_millis(5));
        }
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.end_processes();
    }
}

/// An answer that a run could keep nowhere else when it was stopped.
fn is_answer(name: &str) -> bool {
    name.starts_with("tickoff-answer-")
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| entry.file_name().into_string().unwrap())
        .collect()
}

/// One part of a run, which has ended.
struct Part {
    status: ExitStatus,
    /// The signals that reached it.
    signals: usize,
    said: String,
}

impl std::fmt::Debug for Part {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(out, "{} after {} signals", self.status, self.signals)
    }
}

impl Part {
    fn run(
        place: &Place,
        number: usize,
        blow: Option<Blow>,
        random: &mut fastrand::Rng,
        seen: &mut Seen,
    ) -> Part {
        let show = ["lines", "grouped", "failed", "none"][random.usize(..4)];
        let said = place.outside.path().join(format!("said-{number}"));
        let mut run = Watched(
            place
                .command(number, show, blow.is_some() && random.usize(..3) == 0)
                .stdout(Stdio::null())
                .stderr(File::create(&said).unwrap())
                .spawn()
                .unwrap(),
        );
        let mut held = Held::default();
        let patience = match blow {
            Some(_) => Duration::from_millis(random.u64(..3_500)),
            None => HANGS,
        };
        let mut ended = run.wait_until(Some(Instant::now() + patience), &mut held);
        let mut signals = 0;
        if let (None, Some(blow)) = (ended, blow) {
            let begun = Instant::now();
            match blow {
                Blow::Kill => run.0.kill().unwrap(),
                Blow::Signal(signal) => {
                    run.signal(signal);
                    signals = 1;
                }
                Blow::Twice(signal) => {
                    run.signal(signal);
                    signals = 1;
                    let second = begun + Duration::from_millis(random.u64(..500));
                    ended = run.wait_until(Some(second), &mut held);
                    if ended.is_none() {
                        run.signal(signal);
                        signals = 2;
                    }
                }
            }
            seen.signals += signals;
            ended = ended.or_else(|| run.wait_until(Some(begun + AFTER_A_SIGNAL), &mut held));
            assert!(
                ended.is_some(),
                "it goes on {AFTER_A_SIGNAL:?} after {blow:?}: {}",
                fs::read_to_string(&said).unwrap_or_default()
            );
            seen.longest = seen.longest.max(begun.elapsed());
        }
        let part = Part {
            status: ended.expect("it does not hang"),
            signals,
            said: fs::read_to_string(&said).unwrap_or_default(),
        };
        if blow.is_none() {
            held.check(seen);
        }
        part
    }

    /// Whether it came to an end of its own, and not by `kill -9`.
    fn is_orderly(&self) -> bool {
        use std::os::unix::process::ExitStatusExt;
        match (self.status.code(), self.status.signal()) {
            (Some(0 | 1 | 130 | 143), _) => true,
            (_, Some(9)) => false,
            // A signal that came before the program listened to any.
            (_, Some(1 | 2 | 15)) => self.said.is_empty(),
            _ => panic!("{self:?}: {}", self.said),
        }
    }

    /// Whether jobs were broken off that were about to hand over a result. So many signals came from jobs.
    fn breaks_off(&self, by_jobs: usize) -> bool {
        self.signals + by_jobs > 1 || !self.is_orderly()
    }
}

/// A run; killed if the test fails meanwhile.
struct Watched(Child);

impl Watched {
    fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.0), signal).unwrap();
    }

    /// Waits for the end, or for this moment, and looks what it holds meanwhile.
    fn wait_until(&mut self, moment: Option<Instant>, held: &mut Held) -> Option<ExitStatus> {
        loop {
            if let Some(status) = self.0.try_wait().unwrap() {
                return Some(status);
            }
            if moment.is_some_and(|moment| Instant::now() >= moment) {
                return None;
            }
            held.look(self.0.id());
            thread::sleep(Duration::from_millis(20));
        }
    }
}

impl Drop for Watched {
    fn drop(&mut self) {
        self.0.kill().ok();
        self.0.wait().ok();
    }
}

/// How many descriptors, without those for running jobs, and threads a process had, again and again.
#[derive(Default)]
struct Held {
    descriptors: Vec<usize>,
    threads: Vec<usize>,
}

impl Held {
    fn look(&mut self, pid: u32) {
        let count = |list: &str| {
            fs::read_dir(format!("/proc/{pid}/{list}")).map_or(0, |entries| entries.count())
        };
        let jobs = jobs(pid);
        let (descriptors, threads) = (count("fd"), count("task"));
        if is_alive(&pid.to_string()) {
            self.descriptors.push(descriptors.saturating_sub(3 * jobs));
            self.threads.push(threads);
        }
    }

    /// What each job loses is held to the end; what a worker holds while it looks for processes, hundreds on a
    /// loaded machine, is not.
    fn check(self, seen: &mut Seen) {
        let [descriptors, threads] = [self.descriptors, self.threads].map(least_at_the_end);
        seen.descriptors = seen.descriptors.max(descriptors);
        seen.threads = seen.threads.max(threads);
        assert!(descriptors <= DESCRIPTORS, "{descriptors} descriptors");
        assert!(threads <= THREADS, "{threads} threads");
    }
}

/// The children of all threads but the first, which has the adopted ones.
fn jobs(pid: u32) -> usize {
    let threads = names(Path::new(&format!("/proc/{pid}/task")));
    let others = threads.iter().filter(|thread| **thread != pid.to_string());
    let lists = others.map(|thread| format!("/proc/{pid}/task/{thread}/children"));
    let lists = lists.map(|list| fs::read_to_string(list).unwrap_or_default());
    lists.map(|list| list.split_whitespace().count()).sum()
}

/// The least in the last quarter.
fn least_at_the_end(counts: Vec<usize>) -> usize {
    let end = counts.len() / 4 * 3;
    counts[end..].iter().min().copied().unwrap_or_default()
}

/// What the jobs of a part wrote.
struct Log {
    lines: Vec<Line>,
}

#[derive(Debug)]
struct Line {
    worker: String,
    /// `start`, or what was handed over: `done`, `huge`.
    verb: String,
    key: String,
    /// In seconds since the system's start.
    begun: f64,
    end: Option<f64>,
}

impl Line {
    fn read(line: &str) -> Line {
        let words: Vec<_> = line.split(' ').collect();
        let [worker, verb, key, begun, end] = words[..] else {
            panic!("{line:?}")
        };
        Line {
            worker: worker.to_owned(),
            verb: verb.to_owned(),
            key: key.to_owned(),
            begun: begun.parse().unwrap(),
            end: end.parse().ok(),
        }
    }
}

impl Log {
    /// How many jobs may have signalled the run.
    fn signals(&self) -> usize {
        let starts = self.lines.iter().filter(|line| line.verb == "start");
        starts.filter(|line| line.key.starts_with("ends-")).count()
    }

    /// What jobs handed over for sure. If some were broken off, the last one of a worker may have been among them.
    fn handed_over(&self, breaks_off: bool) -> Vec<&Line> {
        let mut last = BTreeMap::new();
        for (number, line) in self.lines.iter().enumerate() {
            last.insert(&line.worker, number);
        }
        let lines = self.lines.iter().enumerate();
        lines
            .filter(|(number, line)| {
                line.verb != "start" && !(breaks_off && last[&line.worker] == *number)
            })
            .map(|(_, line)| line)
            .collect()
    }
}
