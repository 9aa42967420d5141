//! Another program edits the sheet as fast as it can while results are written as fast as they can
//! be (P2, P3).
//!
//! Afterwards every value that the editor wrote last, and every result that was acknowledged, is in
//! the sheet; and whenever the editor itself had nothing half written, a reader saw a complete one.
//! The campaign is `tests/campaign.sh editors`, which goes on where it was stopped: so many edits of each kind. `TICKOFF_SEED` replays its choices, though not the moments at which they fall.
//!
//! In a poorer system (see [`crate::poor`]) less is promised, and no less is expected than that. Without
//! leases what was written to a version that was just displaced is kept in a copy. Without an exchange a
//! file that takes the sheet's name between the last look at it and the rename is lost: of a thousand
//! edits by a new file one may be, and of fewer none.

mod editor;

use std::collections::BTreeMap;
use std::fs;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tickoff::{Conflict, CsvHandler, DEFAULT_CAPACITY, Error, Options, Session, Until, WriteQueue};

use crate::campaign::{progress, random, tries};
use crate::command_line::{Running, end, wait_until};
use crate::fixture::TempSheet;
use crate::poor::lacks;
use editor::{Edit, Editor, NOTE, Table, UNTOUCHED};

const ROWS: usize = 24;

fn sheet(rows: usize) -> TempSheet {
    let mut text = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;result;note\n".to_owned();
    for row in 0..rows {
        text += &format!("PO{row};PENDING;;;;{UNTOUCHED}\n");
    }
    TempSheet::new(text)
}

/// What another program sees of the sheet while it is worked on.
#[derive(Default)]
struct Watch {
    half_written: AtomicU64,
    over: AtomicBool,
    edits: AtomicU64,
    results: AtomicU64,
    looks: AtomicU64,
}

impl Watch {
    fn is_over(&self) -> bool {
        self.over.load(Ordering::SeqCst)
    }

    /// Reads the sheet again and again until all is over. Whatever does not end is ended.
    fn look(&self, sheet: &TempSheet, rows: usize) {
        let done = || {
            (
                self.edits.load(Ordering::SeqCst),
                self.results.load(Ordering::SeqCst),
            )
        };
        let mut last = (done(), Instant::now());
        while !self.is_over() {
            if done() != last.0 {
                last = (done(), Instant::now());
            } else if last.1.elapsed() > Duration::from_secs(100) {
                eprintln!(
                    "nothing has happened for 100 s: it hangs after {:?}",
                    last.0
                );
                std::process::exit(101);
            }
            let before = self.half_written.load(Ordering::SeqCst);
            let text = fs::read_to_string(sheet.path());
            let after = self.half_written.load(Ordering::SeqCst);
            if before % 2 == 1 || before != after {
                continue;
            }
            let text = text.unwrap();
            let pos = match Table::parse(&text) {
                Ok(table) => table
                    .cells(NOTE)
                    .keys()
                    .filter(|po| po.starts_with("PO"))
                    .count(),
                Err(problem) => panic!("{problem}: a reader saw an incomplete sheet:\n{text}"),
            };
            assert_eq!(pos, rows, "a reader saw rows missing:\n{text}");
            self.looks.fetch_add(1, Ordering::SeqCst);
            std::thread::sleep(Duration::from_micros(200));
        }
    }
}

/// Ends the watching and the writing, also when a test fails.
struct UntilDropped<'a>(&'a Watch);

impl Drop for UntilDropped<'_> {
    fn drop(&mut self) {
        self.0.over.store(true, Ordering::SeqCst);
    }
}

/// Where the editor's values may be in the end.
#[derive(Clone, Copy, PartialEq)]
enum Kept {
    InTheSheet,
    /// Or in a copy beside the backups, because more than cells was changed.
    OrInACopy,
}

/// Where that is for edits in place: no lease tells that somebody has the displaced version open.
fn in_place() -> Kept {
    match lacks("lease") {
        true => Kept::OrInACopy,
        false => Kept::InTheSheet,
    }
}

/// Returns how many edits were lost by which a new file took the sheet's name; where names can be
/// exchanged there are none.
#[track_caller]
fn check(
    sheet: &TempSheet,
    notes: &BTreeMap<String, String>,
    results: &BTreeMap<String, String>,
    kept: Kept,
) -> u64 {
    let text = sheet.text();
    let table = Table::parse(&text).unwrap_or_else(|problem| panic!("{problem} in {text}"));
    let shown = table.cells("result");
    for (po, result) in results {
        assert_eq!(
            shown.get(po.as_str()),
            Some(&result.as_str()),
            "the result of {po} is lost"
        );
    }
    let shown = table.cells(NOTE);
    let copies: Vec<String> = sheet
        .backup_names()
        .iter()
        .filter(|name| name.contains(".outside"))
        .map(|name| fs::read_to_string(sheet.backups().join(name)).unwrap())
        .collect();
    let mut lost = 0;
    for (po, note) in notes {
        let is_shown = shown.get(po.as_str()) == Some(&note.as_str());
        let is_kept = kept == Kept::OrInACopy && copies.iter().any(|copy| copy.contains(note));
        if !is_shown && !is_kept && lacks("exchange") && editor::is_by_a_new_file(note) {
            eprintln!(
                "{po} has the note {:?} instead of {note}",
                shown.get(po.as_str())
            );
            lost += 1;
            continue;
        }
        assert!(
            is_shown || is_kept,
            "{po} has the note {:?} instead of {note}: an edit is lost",
            shown.get(po.as_str())
        );
    }
    assert_eq!(sheet.leftovers(), [""; 0]);
    lost
}

/// Writes results to some rows until all is over; returns the last of each.
fn write_results(
    name: &str,
    rows: std::ops::Range<usize>,
    watch: &Watch,
    mut write: impl FnMut(&str, &str) -> tickoff::Result<()>,
) -> BTreeMap<String, String> {
    let mut results = BTreeMap::new();
    for (number, row) in rows.cycle().enumerate() {
        if watch.is_over() {
            break;
        }
        let (po, result) = (format!("PO{row}"), format!("{name}{number}"));
        match write(&po, &result) {
            // Durable, and another program was at the sheet for so long.
            Ok(()) | Err(Error::NotVisible { .. }) => {}
            Err(error) => panic!("{po}: {}", error.chain()),
        }
        results.insert(po, result);
        watch.results.fetch_add(1, Ordering::SeqCst);
    }
    results
}

/// A session with a queue, and two handlers besides, write results while another program edits.
/// Returns how many edits were lost, see [`check`].
fn edit_during_a_session(
    edits: &[Edit],
    wanted: u64,
    random: &mut fastrand::Rng,
    kept: Kept,
) -> u64 {
    let sheet = sheet(ROWS);
    let watch = Watch::default();
    let mut session = Session::open(sheet.path(), &Options::default()).unwrap();
    session.prepare(ROWS).unwrap();
    let queue = WriteQueue::new(Arc::clone(session.handler()), DEFAULT_CAPACITY);
    queue.start_writer_thread().unwrap();
    let handlers: [CsvHandler; 2] = [sheet.open(), sheet.open()];
    let mut editor = Editor::new(&sheet, random.fork(), &watch.half_written);
    let results = std::thread::scope(|scope| {
        let (watch, queue, handlers) = (&watch, &queue, &handlers);
        let until_dropped = UntilDropped(watch);
        scope.spawn(|| watch.look(&sheet, ROWS));
        let queued = scope.spawn(|| {
            write_results("q", 0..8, watch, |po, result| {
                let operation = queue.submit_write(po, [("result", result)])?;
                queue.wait(&operation, Until::Durable)
            })
        });
        let direct = [8..15, 15..22]
            .into_iter()
            .zip(handlers)
            .map(|(rows, handler)| {
                scope.spawn(move || {
                    write_results("h", rows, watch, |po, result| {
                        handler.update_record(po, [("result", result)])
                    })
                })
            });
        let direct: Vec<_> = direct.collect();
        for _ in 0..wanted {
            let edit = random.choice(edits).copied().unwrap();
            editor.make(edit);
            watch.edits.fetch_add(1, Ordering::SeqCst);
            editor.rest();
        }
        drop(until_dropped);
        let mut results = queued.join().unwrap();
        for writer in direct {
            results.extend(writer.join().unwrap());
        }
        results
    });
    // As after a run: what another program has been in the way of is waited for below.
    match queue.stop_writer_thread(Duration::from_secs(60)) {
        Ok(has_stopped) => assert!(has_stopped),
        Err(error) => assert!(matches!(error, Error::NotVisible { .. }), "{error}"),
    }
    let conflicts: Vec<_> = handlers
        .iter()
        .chain([&**session.handler()])
        .flat_map(CsvHandler::take_conflicts)
        .collect();
    let others: Vec<&Conflict> = conflicts
        .iter()
        .filter(|conflict| !is_older(&conflict.theirs, &conflict.ours))
        .collect();
    assert!(others.is_empty(), "{others:?}");
    for handler in &handlers {
        handler.finish().unwrap();
    }
    drop(handlers);
    session.finish().unwrap();
    let lost = check(&sheet, &editor.notes, &results, kept);
    println!(
        "{edits:?}: {} edits, {} results, {} looks",
        watch.edits.into_inner(),
        watch.results.into_inner(),
        watch.looks.into_inner()
    );
    lost
}

/// Whether a writer's result is one of its earlier ones. Of each cell the journal keeps the last eight values that
/// were public: an editor that had an older one open is said to have changed it, and the result stays.
fn is_older(theirs: &str, ours: &str) -> bool {
    let number = |result: &str| {
        result
            .get(1..)
            .and_then(|number| number.parse::<u64>().ok())
    };
    let of_one_writer = theirs.chars().next() == ours.chars().next();
    of_one_writer && number(theirs).is_some_and(|theirs| Some(theirs) < number(ours))
}

/// Of so many edits, so many were lost by which a new file took the sheet's name.
#[track_caller]
fn check_lost(lost: u64, edits: u64) {
    assert!(lost <= edits / 1_000, "{lost} of {edits} edits are lost");
    if lost > 0 {
        println!("{lost} of {edits} edits were lost for want of an exchange");
    }
}

/// So many edits, in sheets of a few hundred each.
fn campaign(edits: &[Edit], few: u64, kept: Kept) {
    let mut campaign = progress(&format!("-{edits:?}"), "TICKOFF_EDITS", few);
    let mut lost = 0;
    campaign.each_round(|random, left| {
        let now = left.min(400);
        lost += edit_during_a_session(edits, now, random, kept);
        now
    });
    check_lost(lost, campaign.wanted);
}

#[test]
fn replacements_lose_nothing_and_take_nothing_away() {
    campaign(
        &[Edit::Replaced, Edit::Linked, Edit::Exchanged],
        60,
        Kept::InTheSheet,
    );
}

#[test]
fn edits_in_place_lose_nothing_and_take_nothing_away() {
    campaign(&[Edit::Overwritten, Edit::Rewritten], 20, in_place());
}

#[test]
fn a_sheet_that_is_cut_off_and_restored_has_all_edits_and_results() {
    campaign(&[Edit::CutOff], 20, in_place());
}

#[test]
fn a_sheet_that_is_deleted_and_made_again_has_all_edits_and_results() {
    campaign(&[Edit::Recreated], 20, in_place());
}

#[test]
fn rows_and_columns_that_come_and_go_lose_nothing() {
    campaign(&[Edit::Reshaped, Edit::Replaced], 20, Kept::OrInACopy);
}

#[test]
fn rows_that_are_appended_are_kept() {
    campaign(&[Edit::Appended], 20, Kept::OrInACopy);
}

#[test]
fn all_kinds_of_edits_together_lose_nothing() {
    const ALL: [Edit; 9] = [
        Edit::Replaced,
        Edit::Linked,
        Edit::Exchanged,
        Edit::Overwritten,
        Edit::Rewritten,
        Edit::Appended,
        Edit::CutOff,
        Edit::Recreated,
        Edit::Reshaped,
    ];
    campaign(&ALL, 30, Kept::OrInACopy);
}

/// `tickoff run -j 4`, and a `tickoff set` after the other, while another program edits.
#[test]
fn a_run_ends_well_under_all_kinds_of_edits() {
    const ROWS: usize = 300;
    let mut random = random();
    let wanted = tries("TICKOFF_EDITS", 300) / 10 + 1;
    let (mut left, mut lost) = (wanted, 0);
    while left > 0 {
        let sheet = sheet(ROWS);
        let watch = Watch::default();
        let mut editor = Editor::new(&sheet, random.fork(), &watch.half_written);
        // The last command waits for the editor, so that the run outlives every edit.
        // It has begun: one that finds the sheet busy for ten seconds is refused, and nothing is lost.
        let script = "[ $TICKOFF_PO != PO0 ] || { : > begun; await over; }";
        let run = Running::start(&mut sheet.run("-j 4 --quiet", script));
        wait_until("it has begun", || sheet.folder().join("begun").exists());
        let results = run_and_edit(&sheet, &watch, &mut editor, &mut random, &mut left, ROWS);
        fs::write(sheet.folder().join("over"), "").unwrap();
        let ended = run.end();
        assert_eq!(ended.code, 0, "{ended:#?}");
        for name in ["begun", "over"] {
            fs::remove_file(sheet.folder().join(name)).unwrap();
        }
        let text = sheet.text();
        let table = Table::parse(&text).unwrap();
        let statuses = table.cells("STATUS");
        let completed = statuses
            .iter()
            .filter(|(po, status)| po.starts_with("PO") && **status == "COMPLETED")
            .count();
        assert_eq!(completed, ROWS, "{ended:#?}\n{text}");
        lost += check(&sheet, &editor.notes, &results, Kept::OrInACopy);
        println!(
            "a run of {ROWS}: {} edits, {} sets, {} looks",
            watch.edits.into_inner(),
            watch.results.into_inner(),
            watch.looks.into_inner()
        );
    }
    check_lost(lost, wanted);
}

fn run_and_edit(
    sheet: &TempSheet,
    watch: &Watch,
    editor: &mut Editor<'_>,
    random: &mut fastrand::Rng,
    left: &mut u64,
    rows: usize,
) -> BTreeMap<String, String> {
    const EDITS: [Edit; 6] = [
        Edit::Replaced,
        Edit::Linked,
        Edit::Exchanged,
        Edit::Overwritten,
        Edit::Rewritten,
        Edit::Reshaped,
    ];
    std::thread::scope(|scope| {
        let until_dropped = UntilDropped(watch);
        scope.spawn(|| watch.look(sheet, rows));
        let sets = scope.spawn(|| {
            write_results("s", 1..4, watch, |po, result| {
                let result = format!("result={result}");
                end(sheet.tickoff("set").args([po, result.as_str()])).with(0);
                Ok(())
            })
        });
        let begun = Instant::now();
        let all_done = |sheet: &TempSheet| {
            Table::parse(&sheet.text()).is_ok_and(|table| {
                let done = |status: &&&str| **status == "COMPLETED";
                table.cells("STATUS").values().filter(done).count() + 1 >= rows
            })
        };
        while *left > 0 && (begun.elapsed() < Duration::from_secs(1) || !all_done(sheet)) {
            editor.make(random.choice(EDITS).unwrap());
            watch.edits.fetch_add(1, Ordering::SeqCst);
            *left -= 1;
            editor.rest();
        }
        drop(until_dropped);
        sets.join().unwrap()
    })
}
