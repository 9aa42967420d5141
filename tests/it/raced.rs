//! An edit in the moment between our last look at the public file and the exchange.
//!
//! The moment is stretched by strace, which delays the system call; without it the tests are skipped
//! and say so. In a poorer system (see [`crate::poor`]) the new version is renamed over the old one, and
//! a file that takes the sheet's name in that moment is lost: nothing else is promised there.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::os::unix::fs::{FileExt, MetadataExt, PermissionsExt};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use tickoff::{Options, Session};

use crate::command_line::{end, program, wait_until};
use crate::fixture::TempSheet;
use crate::poor::lacks;

const SHEET: &str =
    "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nA;PENDING;;;\nB;PENDING;;;\n";

/// `tickoff set A note=ours`, held for half a second just before its exchange.
fn set_before_its_exchange(sheet: &TempSheet) -> Option<Child> {
    set_held_at_its_exchange(sheet, "delay_enter=500000")
}

fn set_held_at_its_exchange(sheet: &TempSheet, delays: &str) -> Option<Child> {
    let (call, which) = its_exchange();
    let child = set_with_delays(sheet, "A", call, &format!("{delays}{which}"))?;
    wait_until("the new version has its temporary name", || has_told(sheet));
    std::thread::sleep(Duration::from_millis(100));
    Some(child)
}

/// Whether a new version has the name that it has just before it becomes public.
fn has_told(sheet: &TempSheet) -> bool {
    sheet.leftovers().iter().any(|name| tells(name))
}

/// Whether a name is that of a new version.
fn tells(name: &str) -> bool {
    name.ends_with(".tmp") && name.matches('-').count() == 2
}

/// The call by which a `set` makes its version public, and which of them: the journal gets its name before.
fn its_exchange() -> (&'static str, String) {
    exchange_behind(1)
}

/// The same behind so many renames. Where a version has a name from the beginning, it is renamed before.
fn exchange_behind(renames: u32) -> (&'static str, String) {
    match (lacks("exchange"), lacks("tmpfile")) {
        (false, _) => ("renameat2", String::new()),
        (true, tmpfile) => {
            let first = renames + 1 + u32::from(tmpfile);
            ("renameat", format!(":when={first}+"))
        }
    }
}

/// `tickoff set {po} note=ours` with delays at some system call.
fn set_with_delays(sheet: &TempSheet, po: &str, call: &str, delays: &str) -> Option<Child> {
    with_delays(sheet, &["set", "input.csv", po, "note=ours"], call, delays)
}

/// `tickoff {command}` with delays at some system call.
fn with_delays(sheet: &TempSheet, command: &[&str], call: &str, delays: &str) -> Option<Child> {
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o"])
        .arg(sheet.folder().join("trace"))
        .args(["-e", &format!("trace={call}")])
        .args(["-e", &format!("inject={call}:{delays}")])
        .arg(program())
        .args(command)
        .current_dir(sheet.folder())
        .stderr(Stdio::null());
    let child = strace.spawn();
    if child.is_err() {
        eprintln!("SKIPPED: strace is not here");
    }
    child.ok()
}

#[track_caller]
fn check_both_are_there(sheet: &TempSheet, mut set: Child) {
    assert!(set.wait().unwrap().success());
    assert_eq!(
        (sheet.cell("A", "note"), sheet.cell("B", "note")),
        ("ours".into(), "theirs".into())
    );
    assert_eq!(sheet.leftovers(), ["trace"]);
}

/// Whether a test is about a file that takes the sheet's name in that moment.
fn is_lost_without_exchange() -> bool {
    lacks("exchange")
}

#[test]
fn a_version_that_is_put_in_place_before_the_last_look_is_merged() {
    let sheet = TempSheet::new(SHEET);
    let names_it = if lacks("tmpfile") {
        "renameat"
    } else {
        "linkat"
    };
    // Those of the backup and of the journal are held as well.
    let Some(set) = set_with_delays(&sheet, "A", names_it, "delay_exit=400000") else {
        return;
    };
    wait_until("the new version has its temporary name", || {
        has_told(&sheet)
    });
    let saved = sheet.folder().join("saved.csv");
    std::fs::write(&saved, SHEET.replace("B;PENDING;;;", "B;PENDING;;;theirs")).unwrap();
    std::fs::rename(saved, sheet.path()).unwrap();
    check_both_are_there(&sheet, set);
}

/// Its stamp is taken once the folder is synced, which is when somebody may have written to it already.
#[test]
fn an_edit_in_place_right_behind_our_own_version_is_found_by_the_next_rewrite() {
    let sheet = TempSheet::new(SHEET);
    let mut strace = Command::new("strace");
    strace
        .args(["-f", "-qq", "-o"])
        .arg(sheet.folder().join("trace"))
        .args(["-e", "trace=fsync", "-e", "inject=fsync:delay_exit=80000"])
        .arg(program())
        .args(["run", "input.csv", "-q", "-j1", "--", "sh", "-c"])
        .arg("[ $TICKOFF_PO = A ] || while [ ! -e go ]; do sleep 0.01; done")
        .current_dir(sheet.folder());
    let Ok(mut run) = strace.spawn() else {
        eprintln!("SKIPPED: strace is not here");
        return;
    };
    wait_until("the first result is visible", || {
        sheet.text().contains("A;COMPLETED")
    });
    let edited = sheet.text().replace("B;PENDING;;;", "B;PENDING;;;theirs");
    std::fs::write(sheet.path(), edited).unwrap();
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    assert!(run.wait().unwrap().success());
    let shown = [("A", "STATUS"), ("B", "STATUS"), ("B", "note")];
    let shown = shown.map(|(po, column)| sheet.cell(po, column));
    assert_eq!(shown, ["COMPLETED", "COMPLETED", "theirs"]);
}

/// Without leases nobody knows of the descriptor; the displaced file is watched.
/// It gets the stamp of our version, and in a run nothing may have to be written for hours.
#[test]
fn an_edit_in_place_right_behind_our_own_version_is_taken_in_by_a_run_without_another_result() {
    let sheet = TempSheet::new(SHEET);
    let call = match lacks("exchange") {
        true => "renameat",
        false => "renameat2",
    };
    let job = "[ $TICKOFF_PO = A ] || while [ ! -e go ]; do sleep .02; done";
    let run = ["run", "input.csv", "-q", "-j1", "--", "sh", "-c", job];
    let Some(mut run) = with_delays(&sheet, &run, call, "delay_exit=400000") else {
        return;
    };
    wait_until("the first result is visible", || {
        sheet.text().contains("A;COMPLETED;")
    });
    let edited = sheet.text().replace("B;PENDING;;;", "B;PENDING;;;theirs");
    std::fs::write(sheet.path(), edited).unwrap();
    let journal = sheet.folder().join(".input.csv.journal");
    wait_until("the journal knows of the save", || {
        let journal = std::fs::read(&journal).unwrap();
        journal.windows(7).any(|bytes| bytes == b"\"saved\"")
    });
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    assert!(run.wait().unwrap().success());
    assert_eq!(sheet.cell("B", "note"), "theirs");
}

#[test]
fn what_is_written_to_a_version_that_was_just_displaced_is_kept_in_a_copy_at_least() {
    if !lacks("lease") {
        return;
    }
    let sheet = TempSheet::new(SHEET);
    let mut file = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    // Before that the displaced version is compared, and behind it the file is watched.
    let Some(mut set) = set_with_delays(&sheet, "A", "unlinkat", "delay_enter=200000") else {
        return;
    };
    wait_until("the exchange is done", || sheet.text().contains("ours"));
    let edited = SHEET.replace("B;PENDING;;;", "B;PENDING;;;theirs");
    file.write_all(edited.as_bytes()).unwrap();
    drop(file);
    assert!(set.wait().unwrap().success());
    assert_eq!(sheet.cell("A", "note"), "ours");
    let is_kept = |name: &String| {
        let copy = std::fs::read_to_string(sheet.backups().join(name)).unwrap();
        copy.contains("theirs")
    };
    assert!(
        sheet.cell("B", "note") == "theirs" || sheet.backup_names().iter().any(is_kept),
        "the edit is lost"
    );
    assert_eq!(sheet.leftovers(), ["trace"]);
}

#[test]
fn a_version_that_another_program_puts_in_place_is_not_replaced_unseen() {
    if is_lost_without_exchange() {
        return;
    }
    let sheet = TempSheet::new(SHEET);
    let Some(set) = set_before_its_exchange(&sheet) else {
        return;
    };
    let saved = sheet.folder().join("saved.csv");
    std::fs::write(&saved, SHEET.replace("B;PENDING;;;", "B;PENDING;;;theirs")).unwrap();
    std::fs::rename(saved, sheet.path()).unwrap();
    check_both_are_there(&sheet, set);
}

#[test]
fn an_edit_in_place_that_begins_then_is_not_lost_with_the_old_version() {
    let sheet = TempSheet::new(SHEET);
    let Some(set) = set_before_its_exchange(&sheet) else {
        return;
    };
    // Opening waits for our lease, and then writes to the file that lost its public name.
    let mut file = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    file.write_all(
        SHEET
            .replace("B;PENDING;;;", "B;PENDING;;;theirs")
            .as_bytes(),
    )
    .unwrap();
    drop(file);
    check_both_are_there(&sheet, set);
}

/// Who writes to the version that is displaced may have read an older one.
#[test]
fn an_edit_in_place_of_an_older_version_takes_no_result_back() {
    if is_lost_without_exchange() {
        return;
    }
    let sheet = TempSheet::new(SHEET);
    let set_b = |note: &str| end(sheet.tickoff("set").args(["B", note])).with(0);
    set_b("note=first");
    let older = sheet.text();
    set_b("note=second");
    let Some(set) = set_before_its_exchange(&sheet) else {
        return;
    };
    let mut file = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    let edited = older.replace("A;PENDING;;;", "A;PENDING;;mine;");
    file.write_all(edited.as_bytes()).unwrap();
    file.set_len(edited.len() as u64).unwrap();
    drop(file);
    assert!({ set }.wait().unwrap().success());
    let cells = [("A", "note"), ("A", "ERROR_MESSAGE"), ("B", "note")];
    let shown = cells.map(|(po, column)| sheet.cell(po, column));
    assert_eq!(shown, ["ours", "mine", "second"]);
}

#[test]
fn rights_that_are_taken_away_then_stay_taken_away() {
    let sheet = TempSheet::new(SHEET);
    let Some(mut set) = set_before_its_exchange(&sheet) else {
        return;
    };
    let set_mode = |mode| std::fs::Permissions::from_mode(mode);
    std::fs::set_permissions(sheet.path(), set_mode(0o600)).unwrap();
    assert!(set.wait().unwrap().success());
    assert_eq!(sheet.cell("A", "note"), "ours");
    let mode = std::fs::metadata(sheet.path()).unwrap().mode();
    assert_eq!(mode & 0o7777, 0o600, "{mode:o}");
}

/// The version with the new row is displaced, and before it is merged, its author goes on from the
/// one that displaced it.
#[test]
fn a_row_that_comes_then_for_another_one_is_kept_in_a_copy_at_least() {
    if is_lost_without_exchange() {
        return;
    }
    let sheet = TempSheet::new(SHEET);
    let Some(mut set) = set_held_at_its_exchange(&sheet, "delay_enter=500000:delay_exit=500000")
    else {
        return;
    };
    let save = |text: String| {
        let saved = sheet.folder().join("saved.csv");
        std::fs::write(&saved, text).unwrap();
        std::fs::rename(saved, sheet.path()).unwrap();
    };
    save(SHEET.replace("B;PENDING;;;", "C;PENDING;;;new"));
    wait_until("the exchange is done", || sheet.text().contains("ours"));
    save(sheet.text().replace("B;PENDING;;;", "B;PENDING;;;theirs"));
    assert!(set.wait().unwrap().success());
    let table = sheet.table();
    assert_eq!(
        (&*table["A"]["note"], &*table["B"]["note"]),
        ("ours", "theirs")
    );
    let is_kept = |name: &String| {
        let copy = std::fs::read_to_string(sheet.backups().join(name)).unwrap();
        copy.contains("C;PENDING;;;new")
    };
    assert!(
        table.contains_key("C") || sheet.backup_names().iter().any(is_kept),
        "the row C is lost"
    );
}

/// Two processes displace an edit each, and the first of the two edits, whose author writes on to the file, is
/// merged last: it does not undo the second one.
fn displace_two_edits(sheet: &TempSheet) {
    let text = sheet.text();
    let Some(mut one) = set_before_its_exchange(sheet) else {
        return;
    };
    // It waits for the write lock, which the first one holds.
    let (call, which) = its_exchange();
    let mut other =
        set_with_delays(sheet, "B", call, &format!("delay_enter=2000000{which}")).unwrap();
    let file = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    let edited = text.replace("first", "early");
    file.write_all_at(edited.as_bytes(), 0).unwrap();
    let displaced = file.metadata().unwrap().ino();
    wait_until("the other one is about to exchange", || {
        let is_another = |name: &String| {
            let found = std::fs::metadata(sheet.folder().join(name));
            tells(name) && found.is_ok_and(|found| found.ino() != displaced)
        };
        sheet.text().contains("ours") && sheet.leftovers().iter().any(is_another)
    });
    std::thread::sleep(Duration::from_millis(100));
    let saved = sheet.folder().join("saved.csv");
    std::fs::write(&saved, sheet.text().replace("first", "later")).unwrap();
    std::fs::rename(saved, sheet.path()).unwrap();
    let other = loop {
        if let Some(ended) = other.try_wait().unwrap() {
            break ended;
        }
        // Without leases nobody knows that it is open.
        file.write_all_at(edited.as_bytes(), 0).unwrap();
        std::thread::sleep(Duration::from_millis(50));
    };
    assert!(other.success());
    drop(file);
    assert!(one.wait().unwrap().success());
    let note = |po| sheet.cell(po, "note");
    assert_eq!(
        (note("A"), note("B"), note("C")),
        ("ours".into(), "ours".into(), "later".into())
    );
}

#[test]
fn of_two_edits_of_a_cell_that_were_displaced_the_later_one_stays() {
    if is_lost_without_exchange() {
        return;
    }
    let sheet = TempSheet::new(format!("{SHEET}C;PENDING;;;first\n"));
    let mut session = Session::open(sheet.path(), &Options::default()).unwrap();
    // Its journal stays while it is open.
    session.prepare(3).unwrap();
    displace_two_edits(&sheet);
    session.finish().unwrap();
    assert_eq!(sheet.cell("C", "note"), "later");
}

#[test]
fn an_edit_that_was_displaced_takes_nothing_away_when_the_journal_is_gone() {
    if is_lost_without_exchange() {
        return;
    }
    let sheet = TempSheet::new(format!("{SHEET}C;PENDING;;;first\n"));
    displace_two_edits(&sheet);
}

/// Somebody's edit of the version that is about to be displaced, written in place.
fn writes_to_displaced(sheet: &TempSheet, edited: &str) -> File {
    let file = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    file.write_all_at(edited.as_bytes(), 0).unwrap();
    wait_until("the exchange is done", || sheet.text().contains("ours"));
    file
}

#[test]
fn an_edit_that_another_process_displaced_and_merged_is_not_merged_once_more_by_a_session() {
    if is_lost_without_exchange() {
        return;
    }
    let sheet = TempSheet::new(format!("{SHEET}C;PENDING;;;\n"));
    let mut session = Session::open(sheet.path(), &Options::default()).unwrap();
    session.prepare(3).unwrap();
    let ours = |po, note| session.handler().update_record(po, [("note", note)]);
    ours("C", "first").unwrap();
    let Some(mut set) = set_before_its_exchange(&sheet) else {
        return;
    };
    drop(writes_to_displaced(
        &sheet,
        &sheet.text().replace("first", "early"),
    ));
    // The other process takes that in as soon as it has merged the displaced one.
    let saved = sheet.folder().join("saved.csv");
    std::fs::write(&saved, sheet.text().replace("first", "later")).unwrap();
    std::fs::rename(saved, sheet.path()).unwrap();
    assert!(set.wait().unwrap().success());
    ours("B", "ours").unwrap();
    session.finish().unwrap();
    assert_eq!(sheet.cell("C", "note"), "later");
}

#[test]
fn an_edit_that_another_process_displaced_and_has_not_merged_yet_is_left_to_it_by_a_session() {
    if lacks("exchange") {
        return;
    }
    let sheet = TempSheet::new(format!("{SHEET}C;PENDING;;;first\n"));
    let mut session = Session::open(sheet.path(), &Options::default()).unwrap();
    session.prepare(3).unwrap();
    let Some(mut set) = set_before_its_exchange(&sheet) else {
        return;
    };
    let file = writes_to_displaced(&sheet, &sheet.text().replace("first", "early"));
    // Its times do not tell any more that it was written last.
    std::thread::sleep(Duration::from_millis(20));
    let mode = std::fs::Permissions::from_mode(0o600);
    file.set_permissions(mode).unwrap();
    let ours = session.handler().update_record("B", [("note", "ours")]);
    ours.unwrap();
    drop(file);
    assert!(set.wait().unwrap().success());
    session.finish().unwrap();
    assert_eq!(sheet.cell("C", "note"), "early");
    let copies = sheet.backup_names();
    let is_taken_back = |name: &String| name.contains(".replaced");
    assert!(!copies.iter().any(is_taken_back), "{copies:?}");
}

/// The edit lies in the displaced file and has to rest there; its author reads the version without it,
/// and saves that with another edit.
#[test]
fn an_edit_that_its_author_could_not_see_for_a_moment_is_held() {
    let sheet = TempSheet::new(SHEET);
    let Some(set) = set_before_its_exchange(&sheet) else {
        return;
    };
    let mut file = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    let edited = SHEET.replace("B;PENDING;;;", "B;PENDING;;;theirs");
    file.write_all(edited.as_bytes()).unwrap();
    drop(file);
    wait_until("the exchange is done", || sheet.text().contains("ours"));
    let next = sheet
        .text()
        .replace("B;PENDING;;;", "B;PENDING;2026-01-05T10:15:00Z;;");
    let saved = sheet.folder().join("saved.csv");
    std::fs::write(&saved, next).unwrap();
    std::fs::rename(saved, sheet.path()).unwrap();
    check_both_are_there(&sheet, set);
    assert_eq!(sheet.cell("B", "LAST_PROCESSED"), "2026-01-05T10:15:00Z");
}

/// Its author cuts the file off, which loses its public name with that, and then restores the sheet with
/// an edit, under that name. The cell in which it was cut is nobody's edit.
#[track_caller]
fn check_cut_off_then_restored(rows: &str, cut_in: &str) {
    let text = format!("{SHEET}{rows}");
    let sheet = TempSheet::new(&text);
    let Some(set) = set_before_its_exchange(&sheet) else {
        return;
    };
    let file = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    let end = text.find(cut_in).unwrap() + cut_in.len();
    file.set_len(end as u64).unwrap();
    drop(file);
    wait_until("the exchange is done", || sheet.text().contains("ours"));
    std::fs::write(
        sheet.path(),
        text.replace("B;PENDING;;;", "B;PENDING;;;theirs"),
    )
    .unwrap();
    check_both_are_there(&sheet, set);
    assert_eq!(sheet.cell("C", "note"), "first");
    let is_kept = |name: &String| {
        let copy = std::fs::read_to_string(sheet.backups().join(name)).unwrap();
        copy.ends_with(cut_in)
    };
    assert!(
        sheet.backup_names().iter().any(is_kept),
        "the version that was cut off is not kept in a copy"
    );
}

#[test]
fn a_cell_in_which_a_sheet_is_cut_off_then_is_no_edit_of_it() {
    check_cut_off_then_restored("C;PENDING;;;first\nD;PENDING;;;\n", "C;PENDING;;;fir");
}

#[test]
fn the_last_cell_of_a_sheet_that_is_cut_off_in_it_then_is_no_edit_of_it() {
    check_cut_off_then_restored("C;PENDING;;;first\n", "C;PENDING;;;fir");
}

/// What is written to the version that a command is about to displace is kept in a copy, also when its
/// author needs a moment.
#[track_caller]
fn check_is_kept_whole(sheet: &TempSheet, mut command: Child) {
    wait_until("the new version has its temporary name", || has_told(sheet));
    std::thread::sleep(Duration::from_millis(100));
    let mut file = OpenOptions::new().write(true).open(sheet.path()).unwrap();
    std::thread::sleep(Duration::from_millis(100));
    let edited = sheet.text().replace("B;PENDING;;;", "B;PENDING;;;theirs");
    file.write_all(edited.as_bytes()).unwrap();
    drop(file);
    assert!(command.wait().unwrap().success());
    let is_kept = |name: &String| {
        let copy = std::fs::read_to_string(sheet.backups().join(name)).unwrap();
        copy.contains("theirs")
    };
    assert!(
        sheet.backup_names().iter().any(is_kept),
        "the edit is lost: {:?}",
        sheet.backup_names()
    );
}

#[test]
fn an_edit_in_place_that_begins_then_is_kept_by_a_restore() {
    let sheet = TempSheet::new(SHEET);
    let backup = sheet.folder().join("to-restore.csv");
    std::fs::write(&backup, SHEET).unwrap();
    let (call, which) = exchange_behind(0);
    let delays = format!("delay_enter=500000{which}");
    let command = ["backup", "restore", "input.csv", "to-restore.csv"];
    let Some(restore) = with_delays(&sheet, &command, call, &delays) else {
        return;
    };
    check_is_kept_whole(&sheet, restore);
    std::fs::remove_file(backup).unwrap();
    assert_eq!(sheet.leftovers(), ["trace"]);
    assert_eq!(sheet.cell("B", "note"), "");
}

#[test]
fn an_edit_of_the_settings_that_is_saved_just_before_their_exchange_is_kept() {
    if is_lost_without_exchange() {
        return;
    }
    let sheet = TempSheet::new(SHEET);
    let settings = sheet.folder().join("tickoff.toml");
    std::fs::write(&settings, "['input.csv']\nkey = 'PO_NUMBER'\n").unwrap();
    let init = ["init", "input.csv", "--delimiter", ";"];
    let Some(mut init) = with_delays(&sheet, &init, "renameat2", "delay_enter=500000") else {
        return;
    };
    wait_until("the new version has its temporary name", || {
        has_told(&sheet)
    });
    std::thread::sleep(Duration::from_millis(100));
    let saved = sheet.folder().join("saved.toml");
    std::fs::write(&saved, "# mine\n['b.csv']\nkey = 'id'\n").unwrap();
    std::fs::rename(saved, &settings).unwrap();
    assert!(init.wait().unwrap().success());
    assert_eq!(
        std::fs::read_to_string(&settings).unwrap(),
        "# mine\n['b.csv']\nkey = 'id'\n\n[\"input.csv\"]\ndelimiter = \";\"\n"
    );
    assert_eq!(
        sheet.leftovers(),
        [".tickoff.toml.lock", "tickoff.toml", "trace"]
    );
}

#[test]
fn a_version_that_is_put_in_place_while_rows_are_numbered_is_numbered_as_well() {
    if is_lost_without_exchange() {
        return;
    }
    let sheet = TempSheet::new("name;note\nAnn;\n");
    let init = ["init", "input.csv", "--add-key", "ID"];
    let (call, which) = its_exchange();
    let delays = format!("delay_enter=500000{which}");
    let Some(mut init) = with_delays(&sheet, &init, call, &delays) else {
        return;
    };
    wait_until("the new version has its temporary name", || {
        has_told(&sheet)
    });
    std::thread::sleep(Duration::from_millis(100));
    let theirs = sheet.folder().join("theirs");
    std::fs::write(&theirs, "name;note\nAnn;theirs\nBo;\n").unwrap();
    std::fs::rename(&theirs, sheet.path()).unwrap();
    assert!(init.wait().unwrap().success());
    assert_eq!(sheet.text(), "name;note;ID\nAnn;theirs;1\nBo;;2\n");
    assert_eq!(
        sheet.leftovers(),
        [".tickoff.toml.lock", "tickoff.toml", "trace"]
    );
    let backups: Vec<usize> = sheet
        .backup_names()
        .iter()
        .map(|name| std::fs::read(sheet.backups().join(name)).unwrap().len())
        .collect();
    assert_eq!(backups.len(), 2, "of both versions");
}

/// A backup tool copied it, or a container's image was made of it: every file has another inode there.
#[test]
fn a_copy_of_a_folder_that_was_made_before_an_exchange_has_no_edit_in_it() {
    let sheet = TempSheet::new(SHEET);
    let Some(mut child) = set_before_its_exchange(&sheet) else {
        return;
    };
    let copy = TempSheet::new("");
    for file in std::fs::read_dir(sheet.folder()).unwrap() {
        let file = file.unwrap();
        if file.file_type().unwrap().is_file() {
            std::fs::copy(file.path(), copy.folder().join(file.file_name())).unwrap();
        }
    }
    assert!(has_told(&copy), "{:?}", copy.leftovers());
    assert!(child.wait().unwrap().success());
    let ended = end(copy.tickoff("set").args(["B", "note=later"])).with(0);
    assert_eq!(ended.stderr, "");
    assert!(!has_told(&copy));
    assert_eq!(
        [copy.cell("A", "note"), copy.cell("B", "note")],
        ["ours", "later"]
    );
    let kept = copy.backup_names();
    assert!(
        !kept.iter().any(|name| name.contains(".outside.")),
        "{kept:?}"
    );
}
