//! A journal that another program writes over in mid-run, in place: as who puts the backup of a folder back with
//! `cp -a` or `rsync --inplace`, or empties it.

use std::fs::OpenOptions;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;
use std::sync::Arc;

use tickoff::{Until, WriteQueue};

use crate::command_line::{Running, end, wait_until};
use crate::fixture::TempSheet;

const JOURNAL: &str = ".input.csv.journal";

/// The journal and the sheet as they are now, to be put back later.
fn back_up(sheet: &TempSheet) -> [(&'static str, Vec<u8>); 2] {
    [JOURNAL, "input.csv"].map(|name| (name, std::fs::read(sheet.folder().join(name)).unwrap()))
}

fn kept_aside(sheet: &TempSheet) -> usize {
    let mut names = sheet.leftovers();
    names.retain(|name| name.contains("journal.foreign-"));
    names.len()
}

#[test]
fn a_backup_of_the_folder_that_is_put_back_in_mid_run_takes_no_result_away() {
    for with_sheet in [true, false] {
        let sheet = TempSheet::pending(12);
        let job = "echo RES=$TICKOFF_PO > $TICKOFF_RESULT; echo $TICKOFF_PO >> ran; [ $TICKOFF_PO != PO8 ] || await go";
        end(&mut sheet.run("-q --limit 3", job)).with(0);
        let backup = back_up(&sheet);
        end(&mut sheet.run("-q --limit 3", job)).with(0);
        let run = Running::start(&mut sheet.run("-j 1", job));
        wait_until("two more results are visible", || {
            sheet.lines("ran").len() == 9 && sheet.text().contains("PO7;COMPLETED;")
        });
        for (name, bytes) in &backup[..1 + usize::from(with_sheet)] {
            std::fs::write(sheet.folder().join(name), bytes).unwrap();
        }
        run.wait_until_it_says("another program wrote over the journal in mid-run; it is written anew with all that is known, and what was written there is kept");
        if with_sheet {
            run.wait_until_it_says("without these results; they are written again");
        }
        std::fs::write(sheet.folder().join("go"), "").unwrap();
        let ended = run.end().with(0);
        let named = "rows=5 keys=PO3, PO4, PO5, PO6, PO7\n";
        assert_eq!(ended.stderr.contains(named), with_sheet, "{ended:?}");
        assert_eq!(kept_aside(&sheet), 1);
        assert_eq!(sheet.text().matches(";COMPLETED;").count(), 12);
        assert_eq!(sheet.cell("PO4", "RES"), "PO4");
        let next = end(&mut sheet.run("", job)).with(0);
        assert!(next.stderr.contains("nothing to do: all 12 are done"));
        assert_eq!(sheet.lines("ran").len(), 12);
    }
}

#[test]
fn what_is_durable_and_not_visible_survives_a_journal_that_is_written_over_and_a_kill() {
    let garbage = b"no journal at all, and not short of it".repeat(99);
    for content in [Some(Vec::new()), Some(garbage), None] {
        let sheet = TempSheet::pending(5);
        let mut apply = sheet.tickoff("apply");
        apply.args(["--ack", "--quiet"]).stdin(Stdio::piped());
        let mut apply = apply.stdout(Stdio::piped()).spawn().unwrap();
        let mut lines = apply.stdin.take().unwrap();
        let mut acknowledged = BufReader::new(apply.stdout.take().unwrap()).lines();
        let mut send = |po: &str, updates: &str| {
            writeln!(lines, r#"{{"po_number":"{po}","updates":{updates}}}"#).unwrap();
            acknowledged.next().unwrap().unwrap();
        };
        send("PO0", "{}");
        let [(_, older), _] = back_up(&sheet);
        let content = content.unwrap_or(older);
        // Who has the sheet open for writing keeps a new version from taking its place.
        let open = OpenOptions::new().append(true).open(sheet.path()).unwrap();
        send("PO1", r#"{"STATUS":"COMPLETED"}"#);
        send("PO2", r#"{"STATUS":"COMPLETED"}"#);
        std::fs::write(sheet.folder().join(JOURNAL), &content).unwrap();
        send("PO3", r#"{"STATUS":"COMPLETED"}"#);
        apply.kill().unwrap();
        apply.wait().unwrap();
        drop(open);

        assert!(!sheet.text().contains("COMPLETED"));
        assert!(sheet.has_open_journal());
        assert_eq!(kept_aside(&sheet), usize::from(!content.is_empty()));
        for po in ["PO1", "PO2", "PO3"] {
            assert_eq!(sheet.get(po)["status"], "COMPLETED");
        }
        end(&mut sheet.run("-q -j 1", "echo $TICKOFF_PO >> ran")).with(0);
        assert_eq!(sheet.lines("ran"), ["PO0", "PO4"]);
        assert_eq!(sheet.text().matches(";COMPLETED;").count(), 5);
    }
}

#[test]
fn a_writer_without_a_session_begins_a_journal_that_was_written_over_anew() {
    let sheet = TempSheet::pending(3);
    let queue = WriteQueue::new(Arc::new(sheet.open()), 16);
    queue.start_writer_thread().unwrap();
    let write = |po: &str| {
        let operation = queue.submit_write(po, [("STATUS", "COMPLETED")]).unwrap();
        queue.wait(&operation, Until::Durable).unwrap();
    };
    let open = OpenOptions::new().append(true).open(sheet.path()).unwrap();
    write("PO0");
    let (journal, _) = &back_up(&sheet)[0];
    std::fs::write(sheet.folder().join(journal), "").unwrap();
    write("PO1");
    assert!(!sheet.text().contains("COMPLETED"));
    let read = tickoff::Sheet::read(sheet.path(), &tickoff::Options::default()).unwrap();
    for po in ["PO0", "PO1"] {
        assert_eq!(read.record(po).unwrap().get("STATUS"), Some("COMPLETED"));
    }
    drop(open);
    drop(queue);
    assert_eq!(sheet.text().matches(";COMPLETED;").count(), 2);
}
