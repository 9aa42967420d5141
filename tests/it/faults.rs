//! The n-th file operation of a command fails, for every n, with every error that it can meet.
//!
//! Each try fails one operation on the sheet's folder (see [`crate::tracer`]), or all from one on,
//! and then checks: the sheet is a complete version; what was acknowledged is there, and is not done
//! again; the exit code and the message fit; the next command finishes the work and leaves nothing
//! behind. The campaign is `TICKOFF_FAULTS=all cargo test --release --test it faults`; by default
//! some random ones are tried, or as many as `TICKOFF_FAULTS` says, and `TICKOFF_SEED` replays them.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::process::Command;

use nix::errno::Errno;
use nix::sys::signal::Signal;

use crate::campaign::{random, tries};
use crate::command_line::{Ended, end, tickoff};
use crate::fixture::{TempSheet, rested};
use crate::oracle::RawSheet;
use crate::tracer::{Call, Verdict, Watch, trace};

const SHEET: &str = "PO_NUMBER;STATUS;SUPPLIER\nA;PENDING;\"x;y\"\nB;PENDING;\nC;PENDING;é\n";

/// What goes wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    Error(Errno),
    /// Half of what was asked for is read or written.
    Short,
    /// `kill -9`.
    Kill,
}

pub const FAULTS: &[Fault] = &[
    Fault::Error(Errno::EIO),
    Fault::Error(Errno::ENOSPC),
    Fault::Error(Errno::EDQUOT),
    Fault::Error(Errno::EFBIG),
    Fault::Error(Errno::EMFILE),
    Fault::Error(Errno::EINTR),
    Fault::Short,
    Fault::Kill,
];

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Lasting {
    Once,
    FromThenOn,
}

impl Fault {
    fn lastings(self) -> &'static [Lasting] {
        match self {
            Fault::Kill => &[Lasting::Once],
            _ => &[Lasting::Once, Lasting::FromThenOn],
        }
    }

    /// Whether the system could answer so to this call.
    fn applies_to(self, call: &Call) -> bool {
        const O_TMPFILE: u64 = libc::O_TMPFILE as u64;
        let creates = call.name == "openat"
            && (call.arguments[2] & libc::O_CREAT as u64 != 0
                || call.arguments[2] & O_TMPFILE == O_TMPFILE);
        let grows = matches!(
            call.name,
            "write" | "pwrite64" | "copy_file_range" | "fallocate" | "ftruncate"
        );
        match self {
            Fault::Error(Errno::EIO) | Fault::Kill => true,
            Fault::Error(Errno::ENOSPC | Errno::EDQUOT) => {
                creates
                    || grows
                    || matches!(
                        call.name,
                        "fsync"
                            | "fdatasync"
                            | "linkat"
                            | "rename"
                            | "renameat"
                            | "renameat2"
                            | "mkdir"
                            | "mkdirat"
                            | "fsetxattr"
                            | "ioctl"
                    )
            }
            Fault::Error(Errno::EFBIG) => grows,
            Fault::Error(Errno::EMFILE) => matches!(call.name, "open" | "openat"),
            Fault::Error(Errno::EINTR) => matches!(
                call.name,
                "open"
                    | "openat"
                    | "read"
                    | "pread64"
                    | "write"
                    | "pwrite64"
                    | "flock"
                    | "fallocate"
                    | "ftruncate"
                    | "fsync"
                    | "fdatasync"
                    | "copy_file_range"
            ),
            Fault::Error(other) => panic!("{other} is tried nowhere"),
            Fault::Short => call.length_argument().is_some(),
        }
    }
}

/// Fails the n-th call that a fault applies to.
struct Plan {
    fault: Fault,
    lasting: Lasting,
    /// Counted from 1.
    at: usize,
    seen: usize,
    hit: Option<Call>,
    failed: usize,
    /// Whether it is told to stop after a while of failures.
    stops: bool,
}

impl Plan {
    fn new(fault: Fault, lasting: Lasting, at: usize) -> Plan {
        Plan {
            fault,
            lasting,
            at,
            seen: 0,
            hit: None,
            failed: 0,
            stops: false,
        }
    }
}

impl Watch for Plan {
    fn before(&mut self, call: &Call) -> Verdict {
        if call.is_output() || !self.fault.applies_to(call) {
            return Verdict::Pass;
        }
        self.seen += 1;
        let fails = match self.lasting {
            Lasting::Once => self.seen == self.at,
            // Who is interrupted tries again, and would do so for ever.
            Lasting::FromThenOn if self.fault == Fault::Error(Errno::EINTR) => {
                self.seen >= self.at && (self.seen - self.at).is_multiple_of(2)
            }
            Lasting::FromThenOn => self.seen >= self.at,
        };
        if !fails {
            return Verdict::Pass;
        }
        self.hit.get_or_insert_with(|| call.clone());
        self.failed += 1;
        // A run or an apply waits for room until somebody stops it, or, the second time, stops it at once.
        if matches!(self.fault, Fault::Error(Errno::ENOSPC | Errno::EDQUOT))
            && self.stops
            && [12, 13].contains(&self.failed)
        {
            call.signal(Signal::SIGTERM);
        }
        match self.fault {
            Fault::Error(errno) => Verdict::Fail(errno),
            Fault::Short => Verdict::Short,
            Fault::Kill => Verdict::Kill,
        }
    }
}

/// A command, and what it is to do.
struct Work {
    name: &'static str,
    /// The sheet's folder before.
    files: BTreeMap<String, Vec<u8>>,
    arguments: &'static str,
    input: &'static str,
    /// The POs that it completes.
    completes: &'static [&'static str],
}

impl Work {
    fn new(
        name: &'static str,
        arguments: &'static str,
        completes: &'static [&'static str],
    ) -> Work {
        Work {
            name,
            files: BTreeMap::from([("input.csv".to_owned(), SHEET.as_bytes().to_vec())]),
            arguments,
            input: "",
            completes,
        }
    }

    /// `set`, `apply`, a run, and a run that goes on after one that was killed before its results
    /// were visible.
    fn all(bench: &Bench) -> Vec<Work> {
        let run = "run input.csv -j 2 --quiet -- sh -c JOB";
        let killed = {
            bench.begin(&Work::new("", run, &[]));
            let mut replaced = 0;
            let public = bench.sheet.folder().canonicalize().unwrap();
            let public = public.join("input.csv");
            let ended = bench.trace(&Work::new("", run, &[]), &mut |call: &Call| {
                // By an exchange, or where there is none, by a rename.
                let replaces = matches!(call.name, "renameat2" | "renameat")
                    && call.to.as_deref() == Some(&public);
                replaced += usize::from(replaces);
                if replaced == 2 {
                    Verdict::Kill
                } else {
                    Verdict::Pass
                }
            });
            assert_eq!(ended.code, -9);
            bench.files()
        };
        assert!(killed.keys().any(|name| name.ends_with(".tmp")));
        assert!(killed.contains_key(".input.csv.journal"));
        vec![
            Work::new("set", "set input.csv A STATUS=COMPLETED", &["A"]),
            Work {
                input: concat!(
                    "{\"po_number\":\"A\",\"updates\":{\"STATUS\":\"COMPLETED\"},\"operation_id\":1}\n",
                    "{\"po_number\":\"C\",\"updates\":{\"STATUS\":\"COMPLETED\"},\"operation_id\":2}\n",
                ),
                ..Work::new("apply", "apply input.csv --ack", &["A", "C"])
            },
            Work::new("run", run, &["A", "B", "C"]),
            Work {
                files: killed,
                ..Work::new("recovery", run, &["A", "B", "C"])
            },
        ]
    }
}

/// The folder in which all is tried, again and again, since a journal belongs to its sheet's path.
struct Bench {
    sheet: TempSheet,
    /// Not in the sheet's folder, where it would be watched.
    log: tempfile::TempDir,
}

impl Bench {
    fn new() -> Bench {
        Bench {
            sheet: TempSheet::new(SHEET),
            log: tempfile::tempdir().unwrap(),
        }
    }

    fn begin(&self, work: &Work) {
        let folder = self.sheet.folder();
        std::fs::remove_dir_all(folder).unwrap();
        std::fs::create_dir(folder).unwrap();
        for (name, bytes) in &work.files {
            let path = folder.join(name);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            std::fs::write(path, bytes).unwrap();
        }
        if self.sheet.path().exists() {
            rested(self.sheet.path());
        }
        std::fs::remove_file(self.log()).ok();
    }

    /// All files, also in the backup folder.
    fn files(&self) -> BTreeMap<String, Vec<u8>> {
        fn walk(root: &Path, folder: &Path, files: &mut BTreeMap<String, Vec<u8>>) {
            for entry in std::fs::read_dir(folder).unwrap() {
                let path = entry.unwrap().path();
                if path.is_dir() {
                    walk(root, &path, files);
                } else {
                    let name = path.strip_prefix(root).unwrap().to_str().unwrap();
                    files.insert(name.to_owned(), std::fs::read(&path).unwrap());
                }
            }
        }
        let mut files = BTreeMap::new();
        walk(self.sheet.folder(), self.sheet.folder(), &mut files);
        files
    }

    fn log(&self) -> std::path::PathBuf {
        self.log.path().join("log")
    }

    fn command(&self, work: &Work) -> Command {
        let input = self.log.path().join("input");
        std::fs::write(&input, work.input).unwrap();
        let mut command = tickoff();
        command
            .args(work.arguments.split(' ').map(|argument| match argument {
                "JOB" => "echo \"$TICKOFF_WORKER $TICKOFF_PO\" >> $LOG",
                "RESULT" => "echo out=result-$TICKOFF_PO > $TICKOFF_RESULT",
                argument => argument,
            }))
            .env("LOG", self.log())
            .current_dir(self.sheet.folder())
            .stdin(std::fs::File::open(input).unwrap());
        command
    }

    fn trace(&self, work: &Work, watch: &mut impl Watch) -> Ended {
        trace(&mut self.command(work), self.sheet.folder(), watch)
    }

    /// The POs that were taken by workers, in their order.
    fn taken(&self) -> BTreeMap<String, Vec<String>> {
        let mut taken: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for line in std::fs::read_to_string(self.log())
            .unwrap_or_default()
            .lines()
        {
            let (worker, po) = line.split_once(' ').unwrap();
            taken.entry(worker.into()).or_default().push(po.into());
        }
        taken
    }

    /// What the command's caller was told is durable.
    fn acknowledged(&self, work: &Work, ended: &Ended) -> BTreeSet<String> {
        if ended.code == 0 {
            return work.completes.iter().map(|po| (*po).to_owned()).collect();
        }
        match work.name {
            "set" => BTreeSet::new(),
            "apply" => ended
                .stdout
                .lines()
                .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap())
                .filter(|answer| answer["durable"] == true)
                .map(|answer| answer["po_number"].as_str().unwrap().to_owned())
                .collect(),
            _ => self
                .taken()
                .into_values()
                .flat_map(|mut pos| {
                    pos.pop();
                    pos
                })
                .collect(),
        }
    }

    /// A complete version: nothing but states differs from the sheet at the beginning.
    fn check_sheet(&self) {
        let text = self.sheet.text();
        let (now, before) = (RawSheet::parse(&text, ';'), RawSheet::parse(SHEET, ';'));
        assert!(text.ends_with('\n'), "{text:?}");
        assert_eq!(now.cells("SUPPLIER"), before.cells("SUPPLIER"), "{text:?}");
        for (_, status) in now.cells("STATUS") {
            assert!(["PENDING", "COMPLETED"].contains(&&*status), "{text:?}");
        }
    }

    /// After a command that something went wrong with, or that was killed: what holds at once, and
    /// what the next run makes of it.
    fn check(&self, acknowledged: &BTreeSet<String>) {
        self.check_sheet();
        let pending = end(&mut self.sheet.tickoff("pending")).with(0).stdout;
        let lost: Vec<&str> = pending
            .lines()
            .filter(|po| acknowledged.contains(*po))
            .collect();
        assert!(lost.is_empty(), "{lost:?} were acknowledged and are lost");

        std::fs::remove_file(self.log()).ok();
        let next = Work::new("next", "run input.csv --quiet -- sh -c JOB", &[]);
        end(&mut self.command(&next)).with(0);
        let again: Vec<String> = self.taken().into_values().flatten().collect();
        assert!(
            again.iter().all(|po| !acknowledged.contains(po)),
            "of {acknowledged:?} {again:?} were done again"
        );
        self.check_sheet();
        assert!(!self.sheet.text().contains("PENDING"));
        let left = self.sheet.leftovers();
        assert!(left.is_empty(), "{left:?}");
    }

    /// One fault in one command. `false`: the command makes fewer calls than that.
    fn try_fault(&self, work: &Work, fault: Fault, lasting: Lasting, at: usize) -> bool {
        self.begin(work);
        let mut plan = Plan {
            stops: !work.arguments.starts_with("set"),
            ..Plan::new(fault, lasting, at)
        };
        let ended = self.trace(work, &mut plan);
        let Some(call) = &plan.hit else {
            ended.with(0);
            return false;
        };
        let what = format!(
            "{} with {fault:?} {lasting:?} at {at}: {} {}",
            work.name,
            call.name,
            call.path.display()
        );
        println!("{what}");
        match fault {
            Fault::Error(Errno::EINTR) | Fault::Short => {
                assert_eq!(ended.code, 0, "{what} {ended:#?}")
            }
            Fault::Kill => {
                assert_eq!(ended.code, -9, "{what} {ended:#?}");
                // What it had started may still write its line.
                std::thread::sleep(std::time::Duration::from_millis(10));
            }
            Fault::Error(errno) => {
                let stopped = plan.failed >= 12 && ended.code == 143;
                assert!(
                    stopped || [0, 3, 4, 6].contains(&ended.code),
                    "{what} {ended:#?}"
                );
                if ended.code != 0 && !stopped {
                    let cause = format!("(os error {})", errno as i32);
                    let names = [
                        "input.csv",
                        "backup",
                        &*self.sheet.folder().to_string_lossy(),
                    ];
                    assert!(
                        ended.stderr.contains(&cause)
                            && names.iter().any(|name| ended.stderr.contains(name)),
                        "{what} {ended:#?}"
                    );
                }
            }
        }
        self.check(&self.acknowledged(work, &ended));
        true
    }
}

/// Every fault at every operation of one of the works; how many there were.
fn try_all_faults(work: usize) -> u64 {
    let bench = Bench::new();
    let work = &Work::all(&bench)[work];
    let mut tried = 0;
    for fault in FAULTS {
        for lasting in fault.lastings() {
            let at = |at: &usize| bench.try_fault(work, *fault, *lasting, *at);
            tried += (1..).take_while(at).count() as u64;
        }
    }
    tried
}

/// As one that sends many signals to a process with handlers makes it: each call is made twice.
#[test]
fn a_call_that_a_signal_interrupts_is_made_again() {
    let bench = Bench::new();
    for work in &Work::all(&bench) {
        for at in [1, 2] {
            let interrupted = Fault::Error(Errno::EINTR);
            assert!(bench.try_fault(work, interrupted, Lasting::FromThenOn, at));
        }
    }
}

#[test]
fn whatever_file_operation_fails_nothing_acknowledged_is_lost() {
    let mut tried = 0;
    if std::env::var("TICKOFF_FAULTS").is_ok_and(|value| value == "all") {
        // Each work in a folder of its own, beside the others.
        tried = std::thread::scope(|scope| {
            let all = (0..4).map(|work| scope.spawn(move || try_all_faults(work)));
            let all: Vec<_> = all.collect();
            all.into_iter().map(|work| work.join().unwrap()).sum()
        });
    } else {
        let bench = Bench::new();
        let works = Work::all(&bench);
        let mut random = random();
        let wanted = tries("TICKOFF_FAULTS", 60);
        while tried < wanted {
            let work = &works[random.usize(..works.len())];
            let fault = FAULTS[random.usize(..FAULTS.len())];
            let lasting = fault.lastings()[random.usize(..fault.lastings().len())];
            tried += u64::from(bench.try_fault(work, fault, lasting, random.usize(1..300)));
        }
    }
    println!("{tried} faults");
}

/// Between two runs somebody removes a row, a column or a key that has a result. The campaign tries every operation.
#[test]
fn a_result_that_has_no_place_any_more_is_in_a_copy_wherever_the_next_command_is_killed() {
    type Removal = fn(&str) -> String;
    let without_row: Removal = |line| match line.starts_with("B;") {
        true => String::new(),
        false => format!("{line}\n"),
    };
    let without_column: Removal = |line| format!("{}\n", line.rsplit_once(';').unwrap().0);
    let without_key: Removal = |line| match line.starts_with("B;") {
        true => format!("B{}\n", line.replace("result-B", "")),
        false => format!("{line}\n"),
    };
    let run = "run input.csv --quiet -- sh -c RESULT";
    let step = match std::env::var("TICKOFF_FAULTS").is_ok_and(|value| value == "all") {
        true => 1,
        false => 29,
    };
    let bench = Bench::new();
    let first = Work::new("", run, &[]);
    bench.begin(&first);
    end(&mut bench.command(&first)).with(0);
    let files = bench.files();
    for (removal, arguments) in [
        (without_row, run),
        (without_column, run),
        (without_key, run),
        (without_row, "set input.csv A SUPPLIER=z"),
    ] {
        let mut work = Work {
            files: files.clone(),
            ..Work::new("", arguments, &[])
        };
        let sheet = work.files.get_mut("input.csv").unwrap();
        *sheet = str::from_utf8(sheet)
            .unwrap()
            .lines()
            .map(removal)
            .collect::<String>()
            .into();
        for at in (1..).step_by(step) {
            bench.begin(&work);
            let mut plan = Plan::new(Fault::Kill, Lasting::Once, at);
            bench.trace(&work, &mut plan);
            let Some(call) = plan.hit else { break };
            let next = end(&mut bench.command(&first));
            assert!([0, 1].contains(&next.code), "{next:?}");
            let is_there = bench.files().into_iter().any(|(name, bytes)| {
                !name.starts_with('.') && String::from_utf8_lossy(&bytes).contains("result-B")
            });
            assert!(
                is_there,
                "killed before {}, the {at}th: {next:?}",
                call.name
            );
        }
    }
}

/// What it tells takes the place of a longer text.
#[test]
fn a_run_that_is_killed_while_it_tells_of_its_rows_has_told_of_them() {
    let sheet = TempSheet::new(format!("PO_NUMBER;STATUS\n{};\nB;\n", "A".repeat(200)));
    let told = sheet.folder().join(".input.csv.session");
    let mut kill = |call: &Call| {
        let told = || std::fs::read_to_string(&told).unwrap_or_default();
        match call.name == "ftruncate" && told().contains("\"po\":\"B\"") {
            true => Verdict::Kill,
            false => Verdict::Pass,
        }
    };
    let script = "if [ $TICKOFF_PO = B ]; then hang; else sleep 1.2; fi";
    let killed = trace(&mut sheet.run("-j 1", script), sheet.folder(), &mut kill);
    killed.with(-9);
    let ended = end(&mut sheet.run("", "true")).with(0);
    let want =
        "1 row was running up to a second before the last run was killed; to be run again: B\n";
    assert!(ended.stderr.contains(want), "{}", ended.stderr);
}
