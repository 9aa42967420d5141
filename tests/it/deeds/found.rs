//! What the campaign found, each in the fewest deeds that it takes.

use std::fs;
use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use tickoff::{DEFAULT_CAPACITY, Session, Until, WriteQueue};

use crate::command_line::{Running, end, wait_until};
use crate::fixture::{TempSheet, rested};

const COLUMNS: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;ATTACHMENTS_FOUND;note\n";

fn sheet(rows: usize) -> TempSheet {
    let rows: String = (0..rows).map(|at| format!("PO{at};;;;;n{at}\n")).collect();
    TempSheet::new(COLUMNS.to_owned() + &rows)
}

/// Somebody saves the sheet as this.
fn save(sheet: &TempSheet, text: impl AsRef<str>) {
    let new = sheet.folder().join("saved");
    fs::write(&new, text.as_ref()).unwrap();
    rested(&new);
    fs::rename(new, sheet.path()).unwrap();
}

/// A result comes in, in a session of its own.
fn result(sheet: &TempSheet, po: &str, cells: &[(&str, &str)]) {
    let mut session = Session::open(sheet.path(), &tickoff::Options::default()).unwrap();
    session.prepare(1).unwrap();
    let handler = session.handler();
    handler
        .update_record_forced(po, cells.iter().copied().collect::<tickoff::Updates>())
        .unwrap();
    session.finish().unwrap();
}

fn completed(time: &str) -> [(&str, &str); 3] {
    [
        ("STATUS", "COMPLETED"),
        ("LAST_PROCESSED", time),
        ("ATTACHMENTS_FOUND", "2"),
    ]
}

const FIRST: &str = "2026-01-05T08:00:00Z";
const SECOND: &str = "2026-01-05T09:00:00Z";

/// What a program has, as it was before the results had their columns, takes no result away (H9).
#[test]
fn a_save_from_before_the_result_columns_takes_no_result_away() {
    let sheet = TempSheet::new("PO_NUMBER;note\nPO0;n0\nPO1;n1\n");
    let old = sheet.text();
    let mut session = Session::open(sheet.path(), &tickoff::Options::default()).unwrap();
    session.prepare(2).unwrap();
    let write = |po: &str, time: &str| {
        let handler = session.handler();
        handler.update_record(po, completed(time)).unwrap();
    };
    write("PO0", FIRST);
    save(&sheet, old.replace("n1", "mine"));
    write("PO1", SECOND);
    session.finish().unwrap();
    assert_eq!(sheet.cell("PO0", "STATUS"), "COMPLETED");
    assert_eq!(sheet.cell("PO0", "ATTACHMENTS_FOUND"), "2");
    assert_eq!(sheet.cell("PO1", "note"), "mine");

    // At a start it is asked.
    save(&sheet, old.replace("n1", "later"));
    let asked = end(sheet.run("-q", "true").stdin(Stdio::null())).with(3);
    assert!(asked.stderr.contains("tickoff recover"), "{asked:#?}");
    end(sheet.tickoff("recover").arg("--apply")).with(0);
    assert_eq!(sheet.cell("PO0", "STATUS"), "COMPLETED");
    assert_eq!(sheet.cell("PO1", "note"), "later");
}

/// A session closed the journal: what a cell showed in between is not taken for a change of what it shows now.
#[test]
fn a_message_that_a_result_cleared_does_not_come_back_with_an_older_version() {
    let sheet = sheet(3);
    result(
        &sheet,
        "PO0",
        &[
            ("STATUS", "ERROR"),
            ("LAST_PROCESSED", FIRST),
            ("ERROR_MESSAGE", "http 500"),
        ],
    );
    let old = sheet.text();
    result(&sheet, "PO0", &completed(SECOND));
    save(&sheet, old.replace("n2", "mine"));
    end(sheet.tickoff("set").args(["PO1", "note=x"])).with(0);
    assert_eq!(sheet.cell("PO0", "ERROR_MESSAGE"), "");
    assert_eq!(sheet.cell("PO0", "STATUS"), "COMPLETED");
    assert_eq!(sheet.cell("PO2", "note"), "mine");
}

/// The same with the question that was asked because the closed journal had forgotten a value.
#[test]
fn who_saves_an_older_version_after_a_row_was_done_again_is_not_asked() {
    let sheet = sheet(3);
    result(&sheet, "PO0", &completed(FIRST));
    let old = sheet.text();
    result(
        &sheet,
        "PO0",
        &[("STATUS", "NO_ATTACHMENTS"), ("LAST_PROCESSED", SECOND)],
    );
    save(&sheet, old.replace("n2", "mine"));
    end(sheet.tickoff("set").args(["PO1", "note=x"])).with(0);
    assert_eq!(sheet.cell("PO0", "STATUS"), "NO_ATTACHMENTS");
    assert_eq!(sheet.cell("PO2", "note"), "mine");
}

/// The row of a result was gone when it came, and came back: the journal knows the result as one of the sheet's
/// after the session, too (H9).
#[test]
fn a_result_whose_row_came_back_is_not_forgotten_with_the_session() {
    let sheet = sheet(6);
    let before = sheet.text();
    let renamed = before.replace("PO1;", "K1;");
    let script = "case $TICKOFF_KEY in PO1) : > begun; await go;; PO2) : > third; await end;; esac";
    let run = Running::start(&mut sheet.run("-q -j1", script));
    let waits = |name| wait_until(name, || sheet.folder().join(name).exists());
    waits("begun");
    save(&sheet, &renamed);
    fs::write(sheet.folder().join("go"), "").unwrap();
    waits("third");
    save(&sheet, before.replace("n2", "mine"));
    wait_until("its result is visible", || {
        sheet.text().contains("PO1;COMPLETED;")
    });
    fs::write(sheet.folder().join("end"), "").unwrap();
    run.end().with(0);
    save(&sheet, &renamed);
    end(sheet.tickoff("set").args(["PO0", "note=x"])).with(3);
    end(sheet.tickoff("recover").arg("--apply")).with(1);
    assert!(sheet.unplaced().contains("\nPO1;COMPLETED;"));
}

/// A `set` leaves no time by which one could tell whether the author of another value had seen it (H9).
#[test]
fn a_third_value_in_a_cell_that_was_set_is_asked_about() {
    let sheet = sheet(3);
    let old = sheet.text();
    end(sheet.tickoff("set").args(["PO0", "note=set"])).with(0);
    save(&sheet, old.replace("n0", "mine"));
    let stderr = end(sheet.tickoff("set").args(["PO1", "note=x"]))
        .with(3)
        .stderr;
    assert!(stderr.contains("recover"), "{stderr}");
    assert_eq!(sheet.text(), old.replace("n0", "mine"));
    end(sheet.tickoff("recover").arg("--discard")).with(0);
    assert_eq!(sheet.cell("PO0", "note"), "mine");
}

/// Who changed another cell, or a cell of a row whose `set` stands, is not asked.
#[test]
fn an_edit_beside_a_cell_that_was_set_is_not_asked_about() {
    let sheet = sheet(3);
    end(sheet
        .tickoff("set")
        .args(["PO0", "note=set", "STATUS=ERROR"]))
    .with(0);
    let set = sheet.text();
    save(&sheet, set.replace(";set", ";mine").replace("n2", "mine"));
    end(sheet.tickoff("set").args(["PO1", "note=x"])).with(0);
    assert_eq!(sheet.cell("PO0", "note"), "mine");
    assert_eq!(sheet.cell("PO2", "note"), "mine");
}

/// A result has the value that the cell had before: who saved without it has not changed it (P3).
#[test]
fn a_result_with_the_value_of_before_is_not_taken_away_by_who_cannot_know_it() {
    let sheet = sheet(3);
    let old = sheet.text();
    let done = old.replace("PO0;;", "PO0;COMPLETED;");
    save(&sheet, &done);
    let mut session = Session::open(sheet.path(), &tickoff::Options::default()).unwrap();
    session.prepare(1).unwrap();
    save(&sheet, old.replace("n2", "mine"));
    let handler = session.handler();
    handler
        .update_record_forced("PO0", completed(FIRST))
        .unwrap();
    session.finish().unwrap();
    assert_eq!(sheet.cell("PO0", "STATUS"), "COMPLETED");
    assert_eq!(sheet.cell("PO2", "note"), "mine");
}

/// A column that somebody removed who had seen its results stays away, and an older version keeps its own.
#[test]
fn a_column_that_was_removed_does_not_come_back_empty() {
    let sheet = sheet(2);
    result(&sheet, "PO0", &completed(FIRST));
    let text = sheet.text();
    let removed = text.replace(";ATTACHMENTS_FOUND", "").replace(";2;", ";");
    save(&sheet, removed.replace(";;;;", ";;;"));
    end(sheet.tickoff("set").args(["PO1", "note=x"])).with(1);
    assert!(
        !sheet.text().contains("ATTACHMENTS_FOUND"),
        "{}",
        sheet.text()
    );
    save(&sheet, text.replace("n0", "mine").replace("n1", "x"));
    end(sheet.tickoff("set").args(["PO1", "note=y"])).with(0);
    assert_eq!(sheet.cell("PO0", "ATTACHMENTS_FOUND"), "2");
}

/// An edit of a cell in which a result stands is kept in a copy by every command, not by sessions alone (P3).
#[test]
fn what_a_save_has_in_a_cell_with_an_unseen_result_is_kept_by_set_as_well() {
    let sheet = sheet(3);
    result(&sheet, "PO0", &completed(FIRST));
    let old = sheet.text();
    result(&sheet, "PO1", &completed(SECOND));
    save(&sheet, old.replace("PO1;;;;;", "PO1;;;my words;;"));
    end(sheet.tickoff("set").args(["PO2", "note=x"])).with(0);
    assert_eq!(sheet.cell("PO1", "ERROR_MESSAGE"), "");
    let mut copies = sheet.backup_names();
    copies.retain(|name| name.contains(".outside"));
    assert_eq!(copies.len(), 1);
    let copy = fs::read_to_string(sheet.backups().join(&copies[0])).unwrap();
    assert!(copy.contains("my words"), "{copy}");
}

/// A session judges what is saved in mid-run, and so does who writes beside it (H8, H9).
#[test]
fn set_does_not_ask_while_a_session_works_on_the_sheet() {
    let sheet = sheet(3);
    let old = sheet.text();
    let mut session = Session::open(sheet.path(), &tickoff::Options::default()).unwrap();
    session.prepare(1).unwrap();
    let handler = session.handler();
    handler.update_record("PO0", completed(FIRST)).unwrap();
    save(&sheet, old);
    end(sheet.tickoff("set").args(["PO1", "note=x"])).with(0);
    session.finish().unwrap();
    assert_eq!(sheet.cell("PO0", "STATUS"), "COMPLETED");
    assert_eq!(sheet.cell("PO1", "note"), "x");
}

/// The journal of a session that was killed before its first result is no other sheet's (H9).
#[test]
fn a_sheet_that_follows_one_whose_session_had_no_result_is_worked_on_like_any_other() {
    let sheet = sheet(3);
    let mut apply = sheet.tickoff("apply");
    apply.arg("--ack").stdin(Stdio::piped());
    let mut child = apply.spawn().unwrap();
    let mut lines = child.stdin.as_ref().unwrap();
    writeln!(lines, r#"{{"po_number":"PO0","updates":{{}}}}"#).unwrap();
    wait_until("it has begun", || sheet.has_open_journal());
    child.kill().unwrap();
    child.wait().unwrap();
    let rows: String = (0..3).map(|at| format!("X{at};;;;;n{at}\n")).collect();
    save(&sheet, COLUMNS.to_owned() + &rows);
    let mut session = Session::open(sheet.path(), &tickoff::Options::default()).unwrap();
    assert!(!session.recovered().continued);
    session.prepare(1).unwrap();
    let write = |po: &str| {
        let handler = session.handler();
        handler.update_record(po, completed(FIRST)).unwrap();
    };
    write("X0");
    save(&sheet, sheet.text().replace("n2", "mine"));
    write("X1");
    session.finish().unwrap();
    assert_eq!(sheet.cell("X2", "note"), "mine");
}

/// A session begins, has the result of this row if one is given, and is killed; nothing shows the result yet.
fn killed_with(sheet: &TempSheet, result: Option<&str>) {
    killed(sheet, result, false);
}

fn killed(sheet: &TempSheet, result: Option<&str>, is_shown: bool) {
    let mut apply = sheet.tickoff("apply");
    apply.arg("--ack").stdin(Stdio::piped());
    let mut child = apply.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = child.stdin.take().unwrap();
    let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
    let mut ask = |po: &str, updates: &str| {
        writeln!(lines, r#"{{"po_number":"{po}","updates":{updates}}}"#).unwrap();
        answers.next().unwrap().unwrap()
    };
    let nothing = ask("PO0", "{}");
    assert!(nothing.contains("\"durable\":true"), "{nothing}");
    // Nothing takes the place of what somebody has open for writing.
    let open = || fs::OpenOptions::new().append(true).open(sheet.path());
    let _held = (!is_shown).then(|| open().unwrap());
    let journal = sheet.folder().join(".input.csv.journal");
    let announced = || {
        let log = fs::read(&journal).unwrap();
        log.windows(6).filter(|it| it == b"\"next\"").count()
    };
    if let Some(po) = result {
        let before = announced();
        let updates = format!(r#"{{"STATUS":"COMPLETED","LAST_PROCESSED":"{FIRST}"}}"#);
        let answer = ask(po, &updates);
        assert!(answer.contains("\"durable\":true"), "{answer}");
        wait_until("it is about to be visible", || announced() > before);
    }
    if is_shown {
        wait_until("it is visible", || sheet.text().contains(FIRST));
    }
    child.kill().unwrap();
    child.wait().unwrap();
}

/// What a session began with is no unknown save after it was killed, whatever went before its first result (H9).
#[test]
fn a_save_before_the_first_result_is_not_asked_about_after_a_crash() {
    let sheet = sheet(3);
    let first = sheet.text();
    killed_with(&sheet, None);
    save(&sheet, first.replace("n2", "mine"));
    killed_with(&sheet, Some("PO0"));
    assert!(!sheet.text().contains("COMPLETED"), "{}", sheet.text());
    end(&mut sheet.run("-q", "true")).with(0);
    assert_eq!(sheet.cell("PO0", "LAST_PROCESSED"), FIRST);
    assert_eq!(sheet.cell("PO2", "note"), "mine");
    let mut backups = sheet.backup_names().into_iter();
    let is_of_the_save = |name| {
        let backup = fs::read_to_string(sheet.backups().join(name)).unwrap();
        backup.contains("mine") && !backup.contains("COMPLETED")
    };
    assert!(backups.any(is_of_the_save));
}

/// The same of one that was put back to what it was.
#[test]
fn an_older_version_before_the_first_result_is_not_asked_about_after_a_crash() {
    let sheet = sheet(3);
    let first = sheet.text();
    killed_with(&sheet, None);
    save(&sheet, first.replace("n2", "mine"));
    killed_with(&sheet, None);
    save(&sheet, first);
    killed_with(&sheet, Some("PO0"));
    end(&mut sheet.run("-q", "true")).with(0);
    assert_eq!(sheet.cell("PO0", "LAST_PROCESSED"), FIRST);
    assert_eq!(sheet.cell("PO2", "note"), "n2");
}

/// The same of one that showed all results there were.
#[test]
fn an_older_version_that_was_gone_on_with_is_not_asked_about_after_a_crash() {
    let sheet = sheet(3);
    killed(&sheet, Some("PO0"), true);
    let older = sheet.text();
    save(&sheet, older.replace("n2", "mine"));
    killed_with(&sheet, None);
    save(&sheet, &older);
    killed_with(&sheet, Some("PO1"));
    end(&mut sheet.run("-q", "true")).with(0);
    assert_eq!(sheet.cell("PO0", "LAST_PROCESSED"), FIRST);
    assert_eq!(sheet.cell("PO1", "LAST_PROCESSED"), FIRST);
    assert_eq!(sheet.cell("PO2", "note"), "n2");
}

/// Later on that version is an older one like any other.
#[test]
fn an_older_version_that_was_gone_on_with_is_asked_about_when_it_comes_back() {
    let sheet = sheet(3);
    killed(&sheet, Some("PO0"), true);
    let older = sheet.text();
    save(&sheet, older.replace("n2", "mine"));
    killed_with(&sheet, None);
    save(&sheet, &older);
    end(&mut sheet.run("-q", "true")).with(0);
    save(&sheet, &older);
    let asked = end(&mut sheet.run("-q", "true")).with(3);
    assert!(asked.stderr.contains("tickoff recover"), "{asked:#?}");
}

/// A version that was only announced showed its results to nobody (P1).
#[test]
fn a_sheet_that_was_renamed_before_its_results_were_visible_is_asked_about() {
    let sheet = sheet(3);
    killed_with(&sheet, Some("PO0"));
    let renamed = sheet.folder().join("renamed.csv");
    fs::rename(sheet.path(), &renamed).unwrap();
    let mut set = crate::command_line::tickoff();
    let asked = end(set.arg("set").arg(&renamed).args(["PO1", "note=x"])).with(3);
    assert!(asked.stderr.contains("tickoff recover"), "{asked:#?}");
}

#[test]
fn a_name_whose_sheet_went_before_its_results_were_visible_says_that_they_wait() {
    for is_linked in [false, true] {
        let sheet = sheet(3);
        killed_with(&sheet, Some("PO0"));
        fs::rename(sheet.path(), sheet.folder().join("elsewhere.csv")).unwrap();
        if is_linked {
            std::os::unix::fs::symlink("elsewhere.csv", sheet.path()).unwrap();
        }
        let told = end(&mut sheet.run("-q", "true")).with(3);
        assert!(told.stderr.contains("holds results for 1 row"), "{told:#?}");
    }
}

#[test]
fn it_is_asked_about_as_well_when_it_was_edited_under_its_new_name() {
    let sheet = sheet(3);
    killed_with(&sheet, Some("PO0"));
    let renamed = sheet.folder().join("renamed.csv");
    let edited = sheet.text().replace("n2", "mine");
    fs::remove_file(sheet.path()).unwrap();
    fs::write(&renamed, edited).unwrap();
    let tickoff = |command: &str, arguments: &[&str]| {
        let mut tickoff = crate::command_line::tickoff();
        end(tickoff.arg(command).arg(&renamed).args(arguments))
    };
    let asked = tickoff("set", &["PO1", "note=x"]).with(3);
    assert!(asked.stderr.contains("tickoff recover"), "{asked:#?}");
    tickoff("recover", &["--apply"]).with(0);
    let text = fs::read_to_string(&renamed).unwrap();
    assert!(
        text.contains("PO0;COMPLETED") && text.contains("mine"),
        "{text}"
    );
}

/// What was gone on with had been shown, though nothing says so where it was announced (H10).
#[test]
fn a_sheet_that_was_gone_on_with_under_two_later_names_is_not_asked_about() {
    let sheet = sheet(3);
    killed(&sheet, Some("PO0"), true);
    let rename = |from: &str, to: &str| {
        fs::rename(sheet.folder().join(from), sheet.folder().join(to)).unwrap();
    };
    let tickoff = |command: &str, name: &str, arguments: &[&str]| {
        let mut tickoff = crate::command_line::tickoff();
        tickoff.arg(command).arg(sheet.folder().join(name));
        end(tickoff.args(arguments))
    };
    rename("input.csv", "second.csv");
    tickoff("run", "second.csv", &["-q", "--force", "--", "true"]).with(0);
    rename("second.csv", "third.csv");
    let ended = tickoff("run", "third.csv", &["-q", "--", "true"]).with(0);
    assert_eq!(ended.stderr, "");
}

/// What a person gives up is in the copy that is named, whatever was done to the sheet's columns.
#[test]
fn what_is_given_up_of_a_renamed_sheet_without_its_column_has_one_copy() {
    let sheet = sheet(3);
    killed_with(&sheet, None);
    end(sheet.tickoff("set").args(["PO1", "note=mine"])).with(0);
    let renamed = sheet.folder().join("renamed.csv");
    let edited = sheet.text().replace("note", "note4");
    fs::remove_file(sheet.path()).unwrap();
    fs::write(&renamed, &edited).unwrap();
    rested(&renamed);
    let mut recover = crate::command_line::tickoff();
    let ended = end(recover.arg("recover").arg(&renamed).arg("--discard")).with(0);
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:#?}");
    assert!(ended.stderr.contains(".discarded.csv"), "{ended:#?}");
    assert_eq!(fs::read_to_string(&renamed).unwrap(), edited);
}

/// What a column shows that is not there is no evidence: empty is what a pending row shows, too.
#[test]
fn a_version_from_before_all_columns_of_results_is_asked_about() {
    let sheet = TempSheet::new("PO_NUMBER;note\nPO0;n0\nPO1;n1\nPO2;n2\n");
    let first = sheet.text();
    end(&mut sheet.run("-q", "true")).with(0);
    fs::remove_file(sheet.folder().join(".input.csv.journal")).unwrap();
    end(sheet.tickoff("set").args(["PO0", "note=mine"])).with(0);
    let completed = |time| [("STATUS", "COMPLETED"), ("LAST_PROCESSED", time)];
    result(&sheet, "PO1", &completed(FIRST));
    let text = sheet.text();
    save(&sheet, text.replace("PO1;n1;COMPLETED", "PO1;n1;PENDING"));
    result(&sheet, "PO2", &completed(SECOND));
    save(&sheet, &first);
    let asked = end(&mut sheet.run("-q", "true")).with(3);
    assert!(asked.stderr.contains("tickoff recover"), "{asked:#?}");
    assert_eq!(sheet.text(), first);
}

/// Who saves the sheet without having seen that a status was put back does not take that back (H9).
#[test]
fn a_status_that_was_put_back_stays_so_when_an_older_version_is_saved() {
    let sheet = sheet(4);
    let mut session = Session::open(sheet.path(), &tickoff::Options::default()).unwrap();
    session.prepare(1).unwrap();
    let write = |po: &str, time: &str| {
        let handler = session.handler();
        handler.update_record(po, completed(time)).unwrap();
    };
    write("PO0", FIRST);
    let old = sheet.text();
    save(&sheet, old.replace("PO0;COMPLETED", "PO0;"));
    write("PO1", SECOND);
    save(&sheet, old.replace("n3", "mine"));
    session.finish().unwrap();
    assert_eq!(sheet.cell("PO0", "STATUS"), "");
    assert_eq!(sheet.cell("PO0", "LAST_PROCESSED"), FIRST);
    assert_eq!(sheet.cell("PO1", "STATUS"), "COMPLETED");
    assert_eq!(sheet.cell("PO3", "note"), "mine");
}

/// Two sessions never run at once because a file went away, whoever prepared the first one (H10).
#[test]
fn a_prepared_session_puts_its_file_back() {
    let sheet = sheet(2);
    let mut session = Session::open(sheet.path(), &tickoff::Options::default()).unwrap();
    session.prepare(1).unwrap();
    let queue = WriteQueue::new(std::sync::Arc::clone(session.handler()), DEFAULT_CAPACITY);
    queue.start_writer_thread().unwrap();
    for name in ["session", "lock"] {
        fs::remove_file(sheet.folder().join(format!(".input.csv.{name}"))).unwrap();
    }
    let run = end(&mut sheet.run("-q", "touch ran"));
    assert_eq!(run.code, 4, "{run:#?}");
    let operation = queue.submit_write("PO0", completed(FIRST)).unwrap();
    queue.wait(&operation, Until::Visible).unwrap();
    queue.stop_writer_thread(std::time::Duration::MAX).unwrap();
    drop(queue);
    session.finish().unwrap();
    assert!(!sheet.folder().join("ran").exists());
}

/// What the older version lacks is what a person has changed since, and no result: it is asked all the same.
#[test]
fn an_older_version_that_lacks_an_edit_alone_is_asked_about() {
    let sheet = sheet(3);
    result(&sheet, "PO0", &completed(FIRST));
    let older = sheet.text();
    save(&sheet, older.replace("COMPLETED", "ERROR"));
    end(sheet.tickoff("set").args(["PO1", "note=x"])).with(0);
    save(&sheet, &older);
    end(sheet.tickoff("set").args(["PO1", "note=y"])).with(3);
    end(sheet.tickoff("recover").arg("--discard")).with(0);
    assert_eq!(sheet.text(), older);
}

/// Whether somebody put an edit back, or had the sheet from before it, nothing tells: no result is missing.
#[test]
fn an_edit_of_a_result_that_is_put_back_is_asked_about() {
    let sheet = sheet(1);
    result(&sheet, "PO0", &completed(FIRST));
    let text = sheet.text();
    save(&sheet, text.replace(";2;", ";7;"));
    end(&mut sheet.run("-q", "true")).with(0);
    let back = text.replace("n0", "mine");
    save(&sheet, &back);
    end(&mut sheet.run("-q", "true")).with(3);
    assert_eq!(sheet.text(), back);
    end(sheet.tickoff("recover").arg("--discard")).with(0);
    assert_eq!(sheet.text(), back);
}

/// A sheet of which somebody saved an older version, and that has the other name since.
fn saved_from_an_older_version_and_renamed() -> (TempSheet, std::path::PathBuf) {
    let sheet = sheet(3);
    result(&sheet, "PO0", &completed(FIRST));
    let older = sheet.text();
    result(&sheet, "PO1", &completed(SECOND));
    save(&sheet, older.replace("PO0;COMPLETED", "PO0;PENDING"));
    let renamed = sheet.folder().join("renamed.csv");
    fs::rename(sheet.path(), &renamed).unwrap();
    (sheet, renamed)
}

fn on(path: &std::path::Path, command: &str, arguments: &[&str]) -> crate::command_line::Ended {
    end(crate::command_line::tickoff()
        .arg(command)
        .arg(path)
        .args(arguments))
}

/// The result was public, and is missing because the save is older: that is so under another name as well (H9, H10).
#[test]
fn an_older_version_that_was_saved_and_renamed_is_asked_about() {
    let (sheet, renamed) = saved_from_an_older_version_and_renamed();
    for name in ["Renamed.csv", "renamed.txt", "again.csv"] {
        let to = sheet.folder().join(name);
        fs::rename(&renamed, &to).unwrap();
        let asked = on(&to, "set", &["PO2", "note=x"]).with(3);
        assert!(asked.stderr.contains("for 1 row"), "{asked:#?}");
        fs::rename(&to, &renamed).unwrap();
    }
    on(&renamed, "recover", &["--apply"]).with(0);
    let text = fs::read_to_string(&renamed).unwrap();
    assert!(text.contains("PO0;PENDING"), "{text}");
    assert!(text.contains("PO1;COMPLETED"), "{text}");
    assert_eq!(on(&renamed, "status", &[]).with(0).stderr, "");
}

/// One that shows no result at all is known by when it was saved (H9, H10).
#[test]
fn a_version_from_before_the_first_result_that_was_saved_and_renamed_is_asked_about() {
    for is_killed in [true, false] {
        let sheet = sheet(3);
        let older = sheet.text().replace("n2", "mine");
        let renamed = sheet.folder().join("renamed.csv");
        if is_killed {
            killed(&sheet, Some("PO1"), true);
            fs::remove_file(sheet.path()).unwrap();
        } else {
            result(&sheet, "PO1", &completed(FIRST));
        }
        fs::write(sheet.path(), older).unwrap();
        fs::rename(sheet.path(), &renamed).unwrap();
        let asked = on(&renamed, "run", &["--", "true"]).with(3);
        assert!(
            asked.stderr.contains("was called input.csv") && asked.stderr.contains("for 1 row"),
            "{asked:#?}"
        );
        if !is_killed {
            let gone = on(sheet.path(), "status", &[]).with(3).stderr;
            assert!(
                gone.contains(
                    "an older version, or one without some of its rows, had taken its place"
                ),
                "{gone}"
            );
        }
        on(&renamed, "recover", &["--apply"]).with(0);
        let text = fs::read_to_string(&renamed).unwrap();
        assert!(
            text.contains("PO1;COMPLETED") && text.contains("mine"),
            "{text}"
        );
    }
}

#[test]
fn what_it_lacks_can_be_given_up() {
    let (sheet, renamed) = saved_from_an_older_version_and_renamed();
    let before = fs::read_to_string(&renamed).unwrap();
    on(&renamed, "recover", &["--discard"]).with(0);
    assert_eq!(fs::read_to_string(&renamed).unwrap(), before);
    let copies = sheet.backup_names().into_iter();
    let copies: Vec<String> = copies.filter(|it| it.contains(".discarded.")).collect();
    let [copy] = &copies[..] else {
        panic!("{copies:?}")
    };
    let copy = fs::read_to_string(sheet.backups().join(copy)).unwrap();
    assert!(copy.contains("PO1"), "{copy}");
    assert_eq!(on(&renamed, "set", &["PO2", "note=x"]).with(0).stderr, "");
}

/// Its own log begins with what was given up as well, though the sheet shows nothing of the log of its name before.
#[test]
fn what_is_given_up_under_another_name_is_not_asked_about_again() {
    let sheet = sheet(3);
    result(&sheet, "PO1", &completed(FIRST));
    let older = sheet.text();
    end(sheet.tickoff("set").args(["PO0", "note=x"])).with(0);
    save(&sheet, older.replace("n0", "mine"));
    let renamed = sheet.folder().join("renamed.csv");
    fs::rename(sheet.path(), &renamed).unwrap();
    let text = fs::read_to_string(&renamed).unwrap();
    let pending = || on(&renamed, "pending", &[]).with(0).stderr;
    let asked = on(&renamed, "set", &["PO1", "note=z"]).with(3);
    assert!(asked.stderr.contains("tickoff recover"), "{asked:#?}");
    assert!(pending().contains("tickoff recover"), "{}", pending());
    on(&renamed, "recover", &["--discard"]).with(0);
    assert_eq!(fs::read_to_string(&renamed).unwrap(), text);
    assert_eq!(pending(), "");
    assert_eq!(on(&renamed, "set", &["PO1", "note=z"]).with(0).stderr, "");
}

/// Nothing is lost with a copy that was worked on to try it, and that is gone.
#[test]
fn a_sheet_of_which_a_copy_was_worked_on_is_not_asked_about() {
    let sheet = sheet(3);
    let trial = sheet.folder().join("trial.csv");
    fs::copy(sheet.path(), &trial).unwrap();
    rested(&trial);
    on(&trial, "run", &["-q", "--", "true"]).with(0);
    fs::remove_file(&trial).unwrap();
    save(&sheet, sheet.text().replace("PO0;", "PO0;COMPLETED"));
    assert_eq!(end(&mut sheet.run("-q", "true")).with(0).stderr, "");
}

/// The next month's copy of a template is another sheet, though it is saved since and has the same keys.
#[test]
fn a_new_copy_of_what_another_copy_was_made_of_is_not_asked_about() {
    let sheet = sheet(3);
    let copy = |name: &str| {
        let copy = sheet.folder().join(name);
        fs::copy(sheet.path(), &copy).unwrap();
        copy
    };
    let first = copy("first.csv");
    on(&first, "run", &["-q", "--", "true"]).with(0);
    let done = tempfile::tempdir().unwrap();
    fs::copy(&first, done.path().join("first.csv")).unwrap();
    fs::remove_file(&first).unwrap();
    let next = copy("next.csv");
    assert_eq!(on(&next, "run", &["-q", "--", "true"]).with(0).stderr, "");
    fs::write(sheet.path(), sheet.text().replace("n2", "new")).unwrap();
    assert_eq!(end(&mut sheet.run("-q", "true")).with(0).stderr, "");
}

/// Whoever worked on the sheet under a name in between had seen all that the first journal has.
#[test]
fn a_row_that_was_put_back_under_a_second_name_is_not_asked_about_under_a_third() {
    let sheet = sheet(3);
    result(&sheet, "PO0", &completed(FIRST));
    result(&sheet, "PO1", &completed(SECOND));
    let second = sheet.folder().join("second.csv");
    fs::rename(sheet.path(), &second).unwrap();
    on(&second, "set", &["PO2", "STATUS=COMPLETED"]).with(0);
    let text = fs::read_to_string(&second).unwrap();
    let put_back = format!("PO1;COMPLETED;{SECOND};;2;");
    assert!(text.contains(&put_back), "{text}");
    let status = format!("PO1;;{SECOND};;2;");
    fs::write(&second, text.replace(&put_back, &status)).unwrap();
    rested(&second);
    on(&second, "set", &["PO0", "note=x"]).with(0);
    let third = sheet.folder().join("third.csv");
    fs::rename(&second, &third).unwrap();
    assert_eq!(on(&third, "set", &["PO0", "note=y"]).with(0).stderr, "");
    let copy = sheet.folder().join("copy.csv");
    let run = ["-q", "--output", copy.to_str().unwrap(), "--", "true"];
    assert_eq!(on(&third, "run", &run).with(0).stderr, "");
}

/// The question is about the sheet, and neither asked of a copy that was just made nor gone round by one (H9, H10).
#[test]
fn an_older_version_that_was_renamed_is_asked_about_before_a_copy_of_it_is_made() {
    let (sheet, renamed) = saved_from_an_older_version_and_renamed();
    let copy = sheet.folder().join("copy.csv");
    let run = ["-q", "--output", copy.to_str().unwrap(), "--", "true"];
    let asked = on(&renamed, "run", &run).with(3);
    let command = format!("tickoff recover {} --apply", renamed.display());
    assert!(asked.stderr.contains(&command), "{asked:#?}");
    assert!(!copy.exists());
    on(&renamed, "recover", &["--apply"]).with(0);
    assert_eq!(on(&renamed, "run", &run).with(0).stderr, "");
    let text = fs::read_to_string(&copy).unwrap();
    assert!(text.contains(&format!("PO1;COMPLETED;{SECOND}")), "{text}");
}

/// A copy is another sheet than the one that was made of the same input before, whatever became of that.
#[test]
fn a_copy_that_was_just_made_is_not_asked_about() {
    let sheet = sheet(3);
    let gone = TempSheet::new(sheet.text());
    result(&gone, "PO1", &completed(FIRST));
    let mut session = Session::open(gone.path(), &tickoff::Options::default()).unwrap();
    session.prepare(3).unwrap();
    let journal = gone.folder().join(".input.csv.journal");
    fs::copy(journal, sheet.folder().join(".gone.csv.journal")).unwrap();
    session.finish().unwrap();
    let copy = sheet.folder().join("copy.csv");
    let run = ["-q", "--output", copy.to_str().unwrap(), "--", "true"];
    assert_eq!(on(sheet.path(), "run", &run).with(0).stderr, "");
}
