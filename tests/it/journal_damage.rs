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
    /// Where its head ends.
    head: usize,
    /// Where the first result begins, and where each of them ends.
    ends: Vec<usize>,
    /// Of each of the versions.
    cells: [Vec<String>; 4],
}

impl Crashed {
    /// On a disk that is busy a version may become public between two of the results.
    fn new() -> Crashed {
        (0..100)
            .find_map(|_| Crashed::without_a_rewrite())
            .expect("three results in a row, with no rewrite between them")
    }

    fn without_a_rewrite() -> Option<Crashed> {
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
        let head = 12 + u32::from_le_bytes(journal[..4].try_into().unwrap()) as usize;
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
            } else if !ends.is_empty() {
                return None;
            }
        }
        assert_eq!(ends.len(), 4);
        Some(Crashed {
            sheet,
            journal,
            head,
            ends,
            cells: VERSIONS.map(|version| cells(&TempSheet::new(version))),
        })
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

    /// The sheet with all results but one.
    fn without(&self, lost: Option<usize>) -> String {
        let [before, after] = [0, 3].map(|version| VERSIONS[version].split_inclusive('\n'));
        let rows = before.zip(after).enumerate();
        let row = |(row, (before, after))| match lost {
            Some(lost) if row == lost + 1 => before,
            _ => after,
        };
        rows.map(row).collect()
    }

    /// Which result stands at an offset of the journal.
    fn result_at(&self, offset: usize) -> Option<usize> {
        self.ends[1..]
            .iter()
            .position(|&end| offset < end)
            .filter(|_| offset >= self.ends[0])
    }

    /// A reader sees all results but one, and the next session brings these into the sheet.
    #[track_caller]
    fn check_loses(&self, lost: Option<usize>) {
        let text = self.without(lost);
        assert_eq!(cells(&self.sheet), cells(&TempSheet::new(&text)));
        let session = Session::open(self.sheet.path(), &Options::default()).unwrap();
        session.finish().unwrap();
        assert_eq!(self.sheet.text(), text);
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
                // No crash leaves a part of the head.
                let is_damaged = (1..crashed.head).contains(&cut);
                let kept = crashed.kept_aside().len();
                assert_eq!(kept, usize::from(is_damaged), "cut at {cut}");
                file = crashed.put(&crashed.frames()[..cut]);
            }
        }
    }
}

#[test]
fn of_a_journal_with_any_bit_flipped_every_other_result_is_there() {
    let crashed = Crashed::new();
    let mut file = crashed.put(crashed.frames());
    let last = crashed.ends[2]..crashed.ends[3];
    for bit in (0..crashed.ends[3] * 8).step_by(7) {
        let at = bit / 8;
        let lost = crashed.result_at(at);
        let mut flipped = crashed.frames().to_vec();
        flipped[at] ^= 1 << (bit % 8);
        file.write_all_at(&flipped[at..=at], at as u64).unwrap();
        assert_eq!(
            cells(&crashed.sheet),
            cells(&TempSheet::new(crashed.without(lost))),
            "bit {bit}"
        );
        if bit % 203 == 0 {
            crashed.check_loses(lost);
            let kept = crashed.kept_aside();
            // One that is no whole frame any more, and the last, may be a torn tail.
            if !last.contains(&at) {
                assert_eq!(kept.len(), 1, "bit {bit}");
            }
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

/// An editor that saved it may have put a mark in front, or changed a line end; somebody may have cut a piece
/// out.
#[test]
fn of_a_journal_in_which_bytes_came_or_went_all_that_stays_is_read_and_the_file_is_kept() {
    let crashed = Crashed::new();
    let all = crashed.frames().to_vec();
    let [first, second, third, _] = crashed.ends[..] else {
        panic!("{:?}", crashed.ends);
    };
    let with = |at: usize, bytes: &[u8]| [&all[..at], bytes, &all[at..]].concat();
    let without = |cut: std::ops::Range<usize>| [&all[..cut.start], &all[cut.end..]].concat();
    let zeros = |zeroed: std::ops::Range<usize>| {
        let mut all = all.clone();
        all[zeroed].fill(0);
        all
    };
    for (changed, lost) in [
        (with(0, b"X"), None),
        (with(0, b"\xef\xbb\xbf"), None),
        (with(second, b"\r"), None),
        (without(second + 20..second + 21), Some(1)),
        (without(second..third), Some(1)),
        (zeros(second + 5..second + 90), Some(1)),
        (zeros(0..crashed.head), None),
        (without(0..first), None),
    ] {
        crashed.put(&changed);
        crashed.check_loses(lost);
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
        crashed.check_loses(Some(1));
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
        crashed.check_loses(Some(1));
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

    fn damaged() -> Crashed {
        let crashed = Crashed::new();
        let mut damaged = crashed.journal.clone();
        damaged[crashed.ends[1] + 20] ^= 1;
        crashed.put(&damaged);
        crashed
    }

    #[test]
    fn damage_is_reported_once_with_what_is_lost_and_the_file_that_was_kept() {
        let crashed = damaged();
        let (offset, bytes) = (crashed.ends[1], crashed.ends[2] - crashed.ends[1]);
        let shown = end(&mut crashed.sheet.tickoff("status")).with(0);
        let want = format!(
            "WARN the journal is damaged: what stood in the bytes that cannot be read is not shown, what stands behind them is journal=DIR/{JOURNAL} offset={offset} unreadable_bytes={bytes} since=2"
        );
        let said = crashed.sheet.without_folder(&shown.stderr);
        assert!(said.contains(&want), "{said}");
        let ended = run(&crashed).with(1);
        let [kept] = &crashed.kept_aside()[..] else {
            panic!("{:?}", crashed.sheet.leftovers());
        };
        let said = crashed.sheet.without_folder(&ended.stderr);
        for want in [
            &*format!(
                "ERROR the journal is damaged: what stood in the bytes that cannot be read is not recovered, what stands behind them is; the file is kept journal=DIR/{JOURNAL} offset={offset} unreadable_bytes={bytes} since=2"
            ),
            &format!(" kept=DIR/{kept}\n"),
        ] {
            assert!(said.contains(want), "{said}");
        }
        assert_eq!(crashed.sheet.cell("B", "ERROR_MESSAGE"), "");
        assert_eq!(crashed.sheet.cell("C", "note"), "new");
        run(&crashed).with(0);
    }

    #[test]
    fn whoever_writes_first_after_results_were_lost_does_not_end_with_0() {
        for (command, arguments) in [
            ("set", &["C", "note=x"][..]),
            ("apply", &[]),
            ("recover", &["--apply"]),
            ("init", &[]),
            ("init", &["--add-key", "PO_NUMBER"]),
            ("backup create", &[]),
            ("backup restore", &[]),
        ] {
            let crashed = damaged();
            let ends_with = |code| {
                let mut command = crashed.sheet.tickoff(command);
                end(command.args(arguments)).with(code)
            };
            ends_with(1);
            assert_eq!(crashed.kept_aside().len(), 1, "{command}");
            ends_with(0);
        }
    }

    #[test]
    fn a_backup_has_what_can_be_read_of_a_journal_whose_beginning_is_lost() {
        let crashed = Crashed::new();
        let mut damaged = crashed.journal.clone();
        damaged[20] ^= 1;
        crashed.put(&damaged);
        end(&mut crashed.sheet.tickoff("backup create")).with(1);
        let [.., backup] = &crashed.sheet.backup_names()[..] else {
            panic!("no backup")
        };
        let backup = std::fs::read_to_string(crashed.sheet.backups().join(backup)).unwrap();
        assert_eq!(backup, VERSIONS[3]);
    }

    #[test]
    fn a_journal_of_which_all_can_be_read_though_it_was_moved_costs_nothing() {
        let crashed = Crashed::new();
        crashed.put(&[b"\xef\xbb\xbf", crashed.frames()].concat());
        let ended = run(&crashed).with(0);
        assert!(ended.stderr.contains("unreadable_bytes=0 "), "{ended:?}");
        assert_eq!(crashed.sheet.cell("C", "note"), "new");
        assert_eq!(crashed.kept_aside().len(), 1);
    }

    #[test]
    fn a_journal_that_somebody_emptied_is_said_to_be_empty() {
        let crashed = Crashed::new();
        for nothing in [&[][..], &[0; 99]] {
            crashed.put(nothing);
            let ended = run(&crashed).with(0);
            let want = "the journal is empty: what it told of earlier results is gone";
            assert!(ended.stderr.contains(want), "{}", ended.stderr);
        }
    }

    /// It may be the user's own: its name is not taken from it.
    #[test]
    fn a_file_that_never_was_a_journal_is_refused_and_left_alone() {
        let crashed = Crashed::new();
        for theirs in [
            "these are the notes of somebody else\n",
            "PO_NUMBER;STATUS\nA;\n",
        ] {
            crashed.put(theirs.as_bytes());
            check_refused(
                &crashed.sheet,
                &[],
                &format!(
                    "the journal DIR/{JOURNAL} is no journal, and stays as it is: move it away if it is yours"
                ),
            );
            assert!(crashed.kept_aside().is_empty());
        }
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
        assert_eq!(crashed.sheet.cell("C", "note"), "c");
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
