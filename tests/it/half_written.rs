//! A file that another program is still writing is waited for, whatever it is read for.

use std::fs::{File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use crate::command_line::{Running, end, tickoff, wait_until};
use crate::fixture::{TempSheet, rested};

const WHOLE: &str = "PO_NUMBER;STATUS;note;LAST_PROCESSED;ERROR_MESSAGE\nPO0001;;n1;;\nPO0002;;n2;;\nPO0003;;n3;;\n";
/// Ends inside the key of its second row.
const HALF: usize = 66;

/// The `run` of an input into a copy, whose jobs write down the POs they ran for.
fn run_into_copy(sheet: &TempSheet) -> std::process::Command {
    let mut run = sheet.run("--output copy.csv -j1 -q", "echo $TICKOFF_PO >> ran");
    run.current_dir(sheet.folder());
    run
}

fn copied(sheet: &TempSheet) -> String {
    std::fs::read_to_string(sheet.folder().join("copy.csv")).unwrap()
}

/// Begins to write a file in the sheet's folder, and leaves it half done.
fn half(path: &Path) -> File {
    let mut file = File::create(path).unwrap();
    file.write_all(&WHOLE.as_bytes()[..HALF]).unwrap();
    file
}

fn the_rest(file: &mut File) {
    file.write_all(&WHOLE.as_bytes()[HALF..]).unwrap();
}

#[test]
fn an_input_that_is_open_for_writing_is_waited_for() {
    assert!(WHOLE[..HALF].ends_with("\nPO"), "{}", &WHOLE[..HALF]);
    let sheet = TempSheet::new("");
    let mut input = half(sheet.path());
    let mut run = Running::start(&mut run_into_copy(&sheet));
    // Longer than what any file has to rest.
    thread::sleep(Duration::from_millis(2_500));
    assert!(run.is_running());
    assert!(!sheet.folder().join("copy.csv").exists());
    the_rest(&mut input);
    drop(input);
    run.end().with(0);
    assert_eq!(sheet.lines("ran"), ["PO0001", "PO0002", "PO0003"]);
    assert_eq!(copied(&sheet).matches("COMPLETED").count(), 3);
    assert_eq!(sheet.text(), WHOLE);
}

#[test]
fn an_input_that_is_opened_for_each_of_its_lines_is_waited_for() {
    let sheet = TempSheet::new("");
    let mut lines = WHOLE.split_inclusive('\n');
    std::fs::write(sheet.path(), lines.next().unwrap()).unwrap();
    let run = Running::start(&mut run_into_copy(&sheet));
    for line in lines {
        thread::sleep(Duration::from_millis(60));
        let mut input = OpenOptions::new().append(true).open(sheet.path()).unwrap();
        input.write_all(line.as_bytes()).unwrap();
    }
    run.end().with(0);
    assert_eq!(sheet.lines("ran"), ["PO0001", "PO0002", "PO0003"]);
}

#[test]
fn an_input_that_ends_inside_a_line_is_given_time_and_then_taken_as_it_is() {
    let sheet = TempSheet::new("");
    drop(half(sheet.path()));
    let run = Running::start(&mut run_into_copy(&sheet));
    thread::sleep(Duration::from_millis(800));
    let mut input = OpenOptions::new().append(true).open(sheet.path()).unwrap();
    the_rest(&mut input);
    drop(input);
    run.end().with(0);
    assert_eq!(sheet.lines("ran"), ["PO0001", "PO0002", "PO0003"]);

    let meant = TempSheet::new(WHOLE.trim_end());
    end(&mut run_into_copy(&meant)).with(0);
    assert_eq!(copied(&meant).matches("COMPLETED").count(), 3);
}

#[test]
fn an_input_that_never_rests_is_refused_as_busy_and_makes_no_copy() {
    let sheet = TempSheet::new("");
    let _input = half(sheet.path());
    for dry in ["", "--dry-run"] {
        let mut run = sheet.run(&format!("--output copy.csv {dry}"), "true");
        let ended = end(&mut run).with(4);
        let told = sheet.without_folder(&ended.stderr);
        assert!(
            told.starts_with("tickoff: DIR/input.csv is being written by another program\n"),
            "{told}"
        );
    }
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn a_second_run_takes_the_rows_that_the_input_has_got_since() {
    let sheet = TempSheet::new(&WHOLE[..HALF - 2]);
    end(&mut run_into_copy(&sheet)).with(0);
    std::fs::write(sheet.path(), WHOLE).unwrap();
    end(&mut run_into_copy(&sheet)).with(0);
    assert_eq!(sheet.lines("ran"), ["PO0001", "PO0002", "PO0003"]);
    assert_eq!(copied(&sheet).lines().count(), 4);
}

#[test]
fn the_sheet_of_every_command_that_writes_is_waited_for() {
    for (command, arguments) in [
        ("run", &["-q", "--", "true"][..]),
        ("apply", &[]),
        ("init", &[]),
        ("set", &["PO0003", "note=mine"]),
    ] {
        let sheet = TempSheet::new("");
        let mut exported = half(sheet.path());
        let mut running = Running::start(sheet.tickoff(command).args(arguments));
        thread::sleep(Duration::from_millis(400));
        assert!(running.is_running(), "{command}");
        the_rest(&mut exported);
        drop(exported);
        running.end().with(0);
        assert_eq!(sheet.table().len(), 3, "{command}");
    }
}

#[test]
fn a_backup_that_is_still_being_copied_is_waited_for() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nX;\n");
    let path = sheet.folder().join("from-a-stick.csv");
    let mut copying = half(&path);
    let mut restore = Running::start(
        tickoff()
            .args(["backup", "restore"])
            .arg(sheet.path())
            .arg(&path),
    );
    thread::sleep(Duration::from_millis(400));
    assert!(restore.is_running());
    the_rest(&mut copying);
    drop(copying);
    restore.end().with(0);
    assert_eq!(sheet.text(), WHOLE);
}

#[test]
fn commands_one_after_the_other_do_not_wait_for_what_tickoff_itself_wrote() {
    let sheet = TempSheet::pending(3);
    let set = |n: u32| {
        end(sheet.tickoff("set").args(["PO0", &format!("SUPPLIER={n}")])).with(0);
    };
    set(0);
    let begun = Instant::now();
    for n in 1..=8 {
        set(n);
    }
    let each = begun.elapsed() / 8;
    // One that waits takes 200 ms longer; a slow machine alone makes them slow, too.
    let alone = Instant::now();
    rested(sheet.path());
    set(9);
    assert!(
        each < alone.elapsed() + Duration::from_millis(150),
        "{each:?} each"
    );
}

/// The kept copies with a label.
fn kept(sheet: &TempSheet, label: &str) -> Vec<String> {
    let names = sheet.backup_names().into_iter();
    let named = names.filter(|name| name.ends_with(&format!(".{label}.csv")));
    named
        .map(|name| std::fs::read_to_string(sheet.backups().join(name)).unwrap())
        .collect()
}

/// A run whose sheet is replaced in its middle by another program.
fn run_while_it_is_replaced_by(version: &str) -> TempSheet {
    let sheet = TempSheet::new(WHOLE);
    let run = Running::start(&mut sheet.run(
        "-q -j1",
        "touch $TICKOFF_PO; [ $TICKOFF_PO = PO0001 ] || await go",
    ));
    wait_until("the first result is visible", || {
        sheet.folder().join("PO0002").exists() && sheet.text().contains("PO0001;COMPLETED")
    });
    std::fs::write(sheet.path(), version).unwrap();
    File::create(sheet.folder().join("go")).unwrap();
    run.end();
    sheet
}

#[test]
fn the_last_whole_version_is_kept_before_a_header_without_rows_becomes_the_base() {
    let (header, _) = WHOLE.split_once('\n').unwrap();
    let sheet = run_while_it_is_replaced_by(&format!("{header}\n"));
    let whole = kept(&sheet, "replaced");
    assert_eq!(whole.len(), 1, "{:?}", sheet.backup_names());
    assert!(whole[0].contains("PO0001;COMPLETED;n1;2"), "{}", whole[0]);
    assert!(whole[0].contains("PO0003;"), "{}", whole[0]);
}

#[test]
fn the_last_whole_version_is_kept_before_one_with_fewer_rows_becomes_the_base() {
    let sheet = run_while_it_is_replaced_by(&WHOLE[..WHOLE.len() - 13]);
    let whole = kept(&sheet, "replaced");
    assert_eq!(whole.len(), 1, "{:?}", sheet.backup_names());
    assert_eq!(whole[0].lines().count(), 4);
    assert!(whole[0].contains("PO0003;"), "{}", whole[0]);
    assert_eq!(sheet.table().len(), 2, "their version is the base");
}
