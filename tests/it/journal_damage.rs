//! A journal in any state: what is intact of it comes into the sheet and nothing else, what is not is
//! kept and reported, and somebody else's is refused.

use std::fs::File;
use std::os::unix::fs::FileExt;
use std::sync::Arc;

use tickoff::{
    CsvHandler, CsvRecord, Options, ProcessingStatus, Session, Sheet, Until, Updates, WriteQueue,
};

use crate::fixture::TempSheet;

/// The sheet with none, one, two and three of the results.
const VERSIONS: [&str; 4] = [
    "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nA;PENDING;;;\"a\"\nB;;;;\r\nC;ERROR;t0;broke;c\n",
    "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nA;COMPLETED;t1;;\"a\"\nB;;;;\r\nC;ERROR;t0;broke;c\n",
    "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nA;COMPLETED;t1;;\"a\"\nB;ERROR;t2;\"no;such\";\r\nC;ERROR;t0;broke;c\n",
    "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nA;COMPLETED;t1;;\"a\"\nB;ERROR;t2;\"no;such\";\r\nC;NO_ATTACHMENTS;t3;;new\n",
];

/// A sheet whose three results only its journal holds, one a frame, as a crash leaves them.
struct Crashed {
    sheet: TempSheet,
    /// With the space that was reserved.
    journal: Vec<u8>,
    /// Where the first result begins, and where each of them ends.
    ends: Vec<usize>,
    /// Of each of the versions.
    cells: [Vec<String>; 4],
}

impl Crashed {
    fn new() -> Crashed {
        let sheet = TempSheet::new(VERSIONS[0]);
        let mut session = Session::open(sheet.path(), &Options::default()).unwrap();
        session.prepare(3).unwrap();
        let status = |status, at| Updates::status(status).set("LAST_PROCESSED", at);
        let results = [
            ("A", status(ProcessingStatus::Completed, "t1")),
            (
                "B",
                status(ProcessingStatus::Error, "t2").set("ERROR_MESSAGE", "no;such"),
            ),
            (
                "C",
                status(ProcessingStatus::NoAttachments, "t3").set("note", "new"),
            ),
        ];
        // A rewrite that nobody waits for does not come at once: these results are only in the journal.
        let queue = WriteQueue::new(Arc::clone(session.handler()), 16);
        queue.start_writer_thread().unwrap();
        for (po, updates) in results {
            let operation = queue.submit_write(po, updates).unwrap();
            queue.wait(&operation, Until::Durable).unwrap();
        }
        let journal = std::fs::read(sheet.folder().join(JOURNAL)).unwrap();
        drop((queue, session));
        let mut ends = Vec::new();
        let mut end = 0;
        // Length, checksum, payload; a length of zero is the end.
        while let length @ 1.. = u32::from_le_bytes(journal[end..end + 4].try_into().unwrap()) {
            let begin = end;
            end += 12 + length as usize;
            let frame: serde_json::Value =
                serde_json::from_slice(&journal[begin + 12..end]).unwrap();
            if frame.get("rows").is_some() {
                if ends.is_empty() {
                    ends.push(begin);
                }
                ends.push(end);
            }
        }
        assert_eq!(ends.len(), 4);
        Crashed {
            sheet,
            journal,
            ends,
            cells: VERSIONS.map(|version| cells(&TempSheet::new(version))),
        }
    }

    /// Without the space that was reserved.
    fn frames(&self) -> &[u8] {
        &self.journal[..self.ends[3]]
    }

    /// Puts the sheet back as the crash left it, and this journal beside it.
    fn put(&self, journal: &[u8]) -> File {
        for name in self.sheet.leftovers() {
            std::fs::remove_file(self.sheet.folder().join(name)).unwrap();
        }
        std::fs::write(self.sheet.path(), VERSIONS[0]).unwrap();
        let path = self.sheet.folder().join(JOURNAL);
        std::fs::remove_file(&path).ok();
        let file = File::create_new(path).unwrap();
        file.write_all_at(journal, 0).unwrap();
        file
    }

    /// How many results are whole in the first bytes of the journal.
    fn whole_in(&self, bytes: usize) -> usize {
        self.ends[1..].iter().filter(|&&end| end <= bytes).count()
    }

    fn kept_aside(&self) -> Vec<String> {
        let mut names = self.sheet.leftovers();
        names.retain(|name| name.contains("journal.damaged"));
        names
    }

    /// A reader sees exactly so many of the results.
    #[track_caller]
    fn check_reads(&self, results: usize) {
        assert_eq!(cells(&self.sheet), self.cells[results]);
    }

    /// The next session brings exactly so many of the results into the sheet.
    #[track_caller]
    fn check_recovers(&self, results: usize) {
        let session = Session::open(self.sheet.path(), &Options::default()).unwrap();
        assert_eq!(session.recovered().results, results);
        assert_eq!(self.sheet.text(), VERSIONS[results]);
        session.finish().unwrap();
        assert_eq!(self.sheet.text(), VERSIONS[results]);
    }
}

const JOURNAL: &str = ".input.csv.journal";

/// Every cell that a reader sees.
fn cells(sheet: &TempSheet) -> Vec<String> {
    let sheet = Sheet::read(sheet.path(), &Options::default()).unwrap();
    let values = |record: CsvRecord| -> Vec<String> {
        let cells = record.cells();
        cells.map(|(_, value)| value.to_owned()).collect()
    };
    sheet.records().flat_map(values).collect()
}

#[test]
fn of_a_journal_that_ends_at_any_byte_every_whole_result_is_there() {
    let crashed = Crashed::new();
    let mut file = crashed.put(crashed.frames());
    for cut in (0..=crashed.ends[3]).rev() {
        let whole = crashed.whole_in(cut);
        for zeros in [0, 64] {
            file.set_len(cut as u64).unwrap();
            file.set_len((cut + zeros) as u64).unwrap();
            crashed.check_reads(whole);
            if cut % 29 == 0 || crashed.ends.contains(&cut) {
                crashed.check_recovers(whole);
                assert!(crashed.kept_aside().is_empty(), "cut at {cut}");
                file = crashed.put(&crashed.frames()[..cut]);
            }
        }
    }
}

#[test]
fn of_a_journal_with_any_bit_flipped_every_result_before_it_is_there() {
    let crashed = Crashed::new();
    let last_begins = crashed.ends[2];
    let mut file = crashed.put(crashed.frames());
    for bit in 0..crashed.ends[3] * 8 {
        let (at, whole) = (bit / 8, crashed.whole_in(bit / 8));
        let mut flipped = crashed.frames().to_vec();
        flipped[at] ^= 1 << (bit % 8);
        file.write_all_at(&flipped[at..=at], at as u64).unwrap();
        crashed.check_reads(whole);
        if bit % 211 == 0 {
            crashed.check_recovers(whole);
            let kept = crashed.kept_aside();
            // Nothing tells what is wrong with the last frame from a torn tail.
            assert_eq!(kept.len(), usize::from(at < last_begins), "bit {bit}");
            for name in kept {
                let kept = std::fs::read(crashed.sheet.folder().join(name)).unwrap();
                assert_eq!(kept, flipped, "bit {bit}");
            }
            file = crashed.put(crashed.frames());
        }
        file.write_all_at(&crashed.frames()[at..=at], at as u64)
            .unwrap();
    }
}

/// An editor that saved it may have put a mark in front, or changed a line end.
#[test]
fn a_journal_in_which_bytes_came_or_went_is_kept_and_no_torn_end() {
    let crashed = Crashed::new();
    let (all, second) = (crashed.frames().to_vec(), crashed.ends[1]);
    let with = |at: usize, bytes: &[u8]| [&all[..at], bytes, &all[at..]].concat();
    let without = [&all[..second + 20], &all[second + 21..]].concat();
    for (changed, whole) in [
        (with(0, b"X"), 0),
        (with(0, b"\xef\xbb\xbf"), 0),
        (with(second, b"\r"), 1),
        (without, 1),
        (b"these are the notes of somebody else\n".to_vec(), 0),
    ] {
        crashed.put(&changed);
        crashed.check_reads(whole);
        crashed.check_recovers(whole);
        let kept = crashed.kept_aside();
        assert_eq!(kept.len(), 1, "{changed:?}");
        let kept = crashed.sheet.folder().join(&kept[0]);
        assert_eq!(std::fs::read(&kept).unwrap(), changed);
        std::fs::remove_file(kept).unwrap();
    }
}

#[test]
fn a_length_that_reaches_beyond_the_file_is_not_believed() {
    let crashed = Crashed::new();
    for length in [1 << 20, (1 << 30) + 1, u32::MAX] {
        let mut huge = crashed.journal.clone();
        huge[crashed.ends[1]..][..4].copy_from_slice(&length.to_le_bytes());
        crashed.put(&huge);
        crashed.check_reads(1);
        crashed.check_recovers(1);
        assert_eq!(crashed.kept_aside().len(), 1);
    }
}

#[test]
fn zeros_and_reserved_space_are_no_results_and_no_damage() {
    let crashed = Crashed::new();
    let head = &crashed.journal[..crashed.ends[0]];
    let reserved = [head, &vec![0; 64 << 10]].concat();
    for journal in [
        &[][..],
        &[0; 5],
        &[0; 4096],
        &vec![0; 1 << 20],
        head,
        &reserved,
    ] {
        crashed.put(journal);
        crashed.check_reads(0);
        crashed.check_recovers(0);
        assert!(crashed.kept_aside().is_empty());
    }
}

#[test]
fn a_crash_at_any_step_of_a_recovery_is_recovered_from() {
    let crashed = Crashed::new();
    let next = crashed.sheet.folder().join(".input.csv.journal.next");
    // Part of the results is visible, or all are, and the journal is still there.
    for version in &VERSIONS {
        crashed.put(&crashed.journal);
        std::fs::write(crashed.sheet.path(), version).unwrap();
        crashed.check_reads(3);
        let session = Session::open(crashed.sheet.path(), &Options::default()).unwrap();
        assert_eq!(crashed.sheet.text(), VERSIONS[3]);
        session.finish().unwrap();
    }
    // A damaged journal has been linked aside, and what goes on in its place is half written.
    let mut damaged = crashed.frames().to_vec();
    damaged[crashed.ends[2] - 1] ^= 1;
    for written in [0, 7, crashed.ends[0], crashed.ends[1]] {
        crashed.put(&damaged);
        std::fs::write(&next, &damaged[..written]).unwrap();
        crashed.check_recovers(1);
        assert!(!next.exists());
    }
}

#[test]
fn what_is_written_after_a_torn_tail_or_damage_survives_the_next_crash() {
    let crashed = Crashed::new();
    let torn = &crashed.journal[..crashed.ends[2] + 40];
    let mut damaged = crashed.frames().to_vec();
    damaged[crashed.ends[2] + 20] ^= 1;
    for journal in [torn, &damaged] {
        crashed.put(journal);
        let queue = WriteQueue::new(Arc::new(crashed.sheet.open()), 16);
        queue.start_writer_thread().unwrap();
        let operation = queue.submit_write("B", [("note", "after")]).unwrap();
        queue.wait(&operation, Until::Durable).unwrap();
        let now = std::fs::read(crashed.sheet.folder().join(JOURNAL)).unwrap();
        drop(queue);
        crashed.put(&now);
        let handler = CsvHandler::open(crashed.sheet.path(), crashed.sheet.backups()).unwrap();
        let record = |po| handler.record(po).unwrap();
        assert_eq!(record("A").get("LAST_PROCESSED"), Some("t1"));
        assert_eq!(record("B").get("LAST_PROCESSED"), Some("t2"));
        assert_eq!(record("B").get("note"), Some("after"));
        assert_eq!(record("C").get("LAST_PROCESSED"), Some("t0"));
    }
}

/// What a person is told, and what is refused.
#[cfg(feature = "cli")]
mod told {
    use super::*;
    use crate::command_line::{Ended, end};

    fn run(crashed: &Crashed) -> Ended {
        end(&mut crashed.sheet.run("", "echo $TICKOFF_PO >> log"))
    }

    /// Those POs whose results are lost.
    #[track_caller]
    fn check_ran_again(crashed: &Crashed) {
        let mut ran = crashed.sheet.lines("log");
        ran.sort();
        assert_eq!(ran, ["B", "C"]);
    }

    #[test]
    fn damage_is_reported_with_its_offset_and_the_file_that_was_kept() {
        let crashed = Crashed::new();
        let mut damaged = crashed.journal.clone();
        damaged[crashed.ends[1] + 20] ^= 1;
        crashed.put(&damaged);
        let shown = end(&mut crashed.sheet.tickoff("status")).with(0);
        let want = format!(
            "WARN the journal is damaged; results behind this offset are not shown journal=DIR/{JOURNAL} offset={}\n",
            crashed.ends[1]
        );
        let said = crashed.sheet.without_folder(&shown.stderr);
        assert!(said.contains(&want), "{said}");
        let ended = run(&crashed).with(0);
        let [kept] = &crashed.kept_aside()[..] else {
            panic!("{:?}", crashed.sheet.leftovers());
        };
        let offset = crashed.ends[1];
        let said = crashed.sheet.without_folder(&ended.stderr);
        let want = format!(
            "ERROR the journal is damaged; results behind this offset are not recovered, the file is kept journal=DIR/{JOURNAL} offset={offset} kept=DIR/{kept}\n"
        );
        assert!(said.contains(&want), "{said}");
        check_ran_again(&crashed);
    }

    #[test]
    fn a_torn_tail_is_no_damage_but_is_said() {
        let crashed = Crashed::new();
        crashed.put(&crashed.journal[..crashed.ends[3] - 1]);
        let ended = run(&crashed).with(0);
        let offset = crashed.ends[2];
        let said = crashed.sheet.without_folder(&ended.stderr);
        let want = format!(
            "INFO the journal ends in the middle of a frame, as a crash leaves it: what was not acknowledged yet is dropped journal=DIR/{JOURNAL} offset={offset}\n"
        );
        assert!(said.contains(&want), "{said}");
        check_ran_again(&crashed);
        assert!(crashed.kept_aside().is_empty());
    }

    /// Every command refuses the journal for this reason, and leaves it and the sheet alone.
    #[track_caller]
    fn check_refused(sheet: &TempSheet, options: &[&str], reason: &str) {
        let before = (
            sheet.text(),
            std::fs::read(sheet.folder().join(JOURNAL)).unwrap(),
        );
        let run = sheet.run(&options.join(" "), "echo $TICKOFF_PO >> log");
        let mut others: Vec<_> = ["status", "pending", "check", "get", "set"]
            .map(|command| {
                let mut command_line = sheet.tickoff(command);
                command_line.args(options);
                match command {
                    "get" => command_line.arg("A"),
                    "set" => command_line.args(["A", "note=x"]),
                    _ => &mut command_line,
                };
                command_line
            })
            .into();
        others.push(run);
        for mut command in others {
            let ended = end(&mut command).with(3);
            // What check finds is on its stdout.
            let said = sheet.without_folder(&(ended.stderr + &ended.stdout));
            assert!(said.contains(reason), "{command:?}: {said}");
        }
        let journal = std::fs::read(sheet.folder().join(JOURNAL)).unwrap();
        assert_eq!((sheet.text(), journal), before);
        assert!(sheet.lines("log").is_empty());
    }

    #[test]
    fn a_journal_by_another_key_column_is_refused() {
        let crashed = Crashed::new();
        crashed.put(&crashed.journal);
        check_refused(
            &crashed.sheet,
            &["--key", "note"],
            "holds results by the key column PO_NUMBER: use --key PO_NUMBER (tickoff init FILE --key PO_NUMBER remembers it)",
        );
    }

    #[test]
    fn a_journal_that_somebody_else_owns_is_refused() {
        let crashed = Crashed::new();
        crashed.put(&crashed.journal);
        let journal = crashed.sheet.folder().join(JOURNAL);
        if std::os::unix::fs::chown(&journal, Some(65_534), None).is_err() {
            return eprintln!("SKIPPED: giving a file away takes root");
        }
        check_refused(&crashed.sheet, &[], JOURNAL);
    }
}
