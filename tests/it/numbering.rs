//! Rows that have no key get one: `tickoff init FILE --add-key COLUMN` (J4).

use std::fs::File;
use std::io::Write;

use crate::command_line::{Running, end, wait_until};
use crate::fixture::{TempSheet, rested};
use crate::poor::lacks;

const GUESTS: &str = "name,mail\r\nAnn,ann@x\r\n\"Bo, jr\",\r\n";

fn add_key(sheet: &TempSheet) -> std::process::Command {
    let mut init = sheet.tickoff("init");
    init.args(["--add-key", "ID"]);
    init
}

#[test]
fn the_rows_of_a_sheet_without_a_key_column_are_numbered_and_can_be_run() {
    let sheet = TempSheet::new(GUESTS);
    let ended = end(&mut add_key(&sheet)).with(0);
    assert_eq!(
        ended.stdout,
        "added ID\nnumbered 2 rows: 1 to 2\nremembered key = \"ID\"\n"
    );
    assert_eq!(
        sheet.text(),
        "name,mail,ID\r\nAnn,ann@x,1\r\n\"Bo, jr\",,2\r\n"
    );
    let backups = sheet.backup_names();
    assert_eq!((backups.len(), sheet.original_names().len()), (1, 1));
    let backup = std::fs::read_to_string(sheet.backups().join(&backups[0])).unwrap();
    assert_eq!(backup, GUESTS);
    assert_eq!(sheet.leftovers(), [".tickoff.toml.lock", "tickoff.toml"]);

    let mut run = sheet.run("-j 1", "echo $TICKOFF_PO >> log");
    end(&mut run).with(0);
    assert_eq!(sheet.lines("log"), ["1", "2"]);
}

#[test]
fn rows_that_came_since_are_numbered_from_the_highest_on_and_results_stay() {
    let sheet = TempSheet::new("name;ID\nAnn;7\n");
    end(&mut sheet.run("--key ID", "true")).with(0);
    let done = sheet.text();
    std::fs::write(sheet.path(), format!("{done}Bo;;;;\n;;;;\nCy;;;;\n")).unwrap();
    rested(sheet.path());
    let ended = end(&mut add_key(&sheet)).with(0);
    assert_eq!(
        ended.stdout,
        "numbered 2 rows: 8 to 9\nremembered key = \"ID\"\n"
    );
    assert_eq!(
        sheet.text(),
        format!("{done}Bo;8;;;\n;;;;\nCy;9;;;\n"),
        "a row without any text is no job"
    );
    let mut run = sheet.run("-j 1 --key ID", "echo $TICKOFF_PO >> log");
    end(&mut run).with(0);
    assert_eq!(sheet.lines("log"), ["8", "9"]);
}

/// What is kept of the old row's result is put back by its number.
#[test]
fn a_number_of_a_row_that_had_a_result_is_not_given_again() {
    for (before, code) in [("", 1), ("init", 0), ("column", 0)] {
        let sheet = TempSheet::new("name;ID\nAnn;\nBo;\n");
        end(&mut add_key(&sheet)).with(0);
        end(&mut sheet.run("--key ID", "true")).with(0);
        let (kept, _) = sheet
            .text()
            .split_once("Bo;")
            .map(|(a, b)| (a.to_owned(), b.to_owned()))
            .unwrap();
        let text = match before {
            "column" => "name\nAnn\nCy\n".to_owned(),
            _ => format!("{kept}Cy;;;;\n"),
        };
        std::fs::write(sheet.path(), text).unwrap();
        rested(sheet.path());
        if before == "init" {
            end(&mut sheet.tickoff("init")).with(1);
        }
        let ended = end(&mut add_key(&sheet)).with(code);
        let numbered = match before {
            "column" => "numbered 2 rows: 3 to 4\n",
            _ => "numbered 1 row: 3\n",
        };
        assert!(ended.stdout.contains(numbered), "{before}: {ended:?}");
    }
    // The keys of another column are no numbers of rows.
    let sheet = TempSheet::new("PO_NUMBER;STATUS\n4500;\n");
    end(&mut sheet.run("", "true")).with(0);
    std::fs::remove_file(sheet.folder().join("tickoff.toml")).unwrap_or_default();
    let ended = end(&mut add_key(&sheet));
    assert!(!ended.stdout.contains("4501"), "{ended:?}");
}

#[test]
fn a_sheet_in_which_every_row_has_a_key_is_left_alone() {
    let sheet = TempSheet::new("name;ID\nAnn;7\n");
    let ended = end(&mut add_key(&sheet)).with(0);
    assert_eq!(
        ended.stdout,
        "no row lacks a key\nremembered key = \"ID\"\n"
    );
    assert_eq!(sheet.text(), "name;ID\nAnn;7\n");
    assert!(!sheet.backups().exists());
}

#[test]
fn the_key_that_was_added_takes_the_place_of_the_one_that_was_remembered() {
    let sheet = TempSheet::new("name;ID\nAnn;\n");
    let settings = sheet.folder().join("tickoff.toml");
    std::fs::write(
        &settings,
        "# mine\n['input.csv']\nkey = 'name' # not unique\n",
    )
    .unwrap();
    let ended = end(add_key(&sheet).args(["--delimiter", ";"])).with(0);
    assert_eq!(
        ended.stdout,
        "numbered 1 row: 1\nremembered key = \"ID\"\nremembered delimiter = \";\"\n"
    );
    assert_eq!(
        std::fs::read_to_string(settings).unwrap(),
        "# mine\n['input.csv']\nkey = \"ID\" # not unique\ndelimiter = \";\"\n"
    );
}

#[test]
fn a_status_column_that_is_somebody_elses_does_not_matter() {
    let sheet = TempSheet::new("name;ID;status\nAnn;5;active\nBo;;sold\n");
    end(&mut add_key(&sheet)).with(0);
    assert_eq!(sheet.text(), "name;ID;status\nAnn;5;active\nBo;6;sold\n");
}

#[test]
fn an_edit_meanwhile_is_numbered_as_well() {
    if lacks("lease") {
        // Who has the file open for writing is not known.
        return;
    }
    let sheet = TempSheet::new(GUESTS);
    let mut editor = File::options().append(true).open(sheet.path()).unwrap();
    let init = Running::start(&mut add_key(&sheet));
    wait_until("it is at work", || {
        sheet.folder().join(".input.csv.session").exists()
    });
    std::thread::sleep(std::time::Duration::from_millis(300));
    editor.write_all(b"Cy,cy@x\r\n").unwrap();
    drop(editor);
    let ended = init.end().with(0);
    assert_eq!(
        ended.stdout,
        "added ID\nnumbered 3 rows: 1 to 3\nremembered key = \"ID\"\n"
    );
    assert_eq!(
        sheet.text(),
        "name,mail,ID\r\nAnn,ann@x,1\r\n\"Bo, jr\",,2\r\nCy,cy@x,3\r\n"
    );
    assert_eq!(sheet.backup_names().len(), 1);
}

#[test]
fn it_is_a_session() {
    let sheet = TempSheet::new("name;ID\nAnn;7\nBo;\n");
    let run = Running::start(&mut sheet.run("--key ID", "touch begun; await go"));
    wait_until("the job runs", || sheet.folder().join("begun").exists());
    let ended = end(&mut add_key(&sheet)).with(4);
    assert!(ended.stderr.contains("is in use by"), "{ended:?}");
    std::fs::write(sheet.folder().join("go"), "").unwrap();
    run.end().with(0);
}

#[test]
fn a_journal_by_another_key_column_is_not_passed_over() {
    let sheet = TempSheet::new(GUESTS);
    let mut run = sheet.run("--key name", "true");
    end(&mut run).with(0);
    let text = sheet.text();
    let ended = end(&mut add_key(&sheet)).with(3);
    assert!(
        ended
            .stderr
            .contains("holds results by the key column name"),
        "{ended:?}"
    );
    assert_eq!(sheet.text(), text);
    assert!(!sheet.folder().join("tickoff.toml").exists());
}

#[test]
fn a_column_that_cannot_hold_keys_is_refused() {
    let check = |arguments: &[&str], says: &str| {
        let sheet = TempSheet::new(GUESTS);
        let ended = end(sheet.tickoff("init").args(arguments)).with(2);
        assert!(ended.stderr.contains(says), "{ended:?}");
        assert_eq!(sheet.text(), GUESTS);
    };
    check(&["--add-key", " "], "it may not be blank");
    check(&["--add-key", "status"], "that column keeps how a job went");
    check(&["--add-key", "ID", "--key", "name"], "cannot be used with");
}

#[test]
fn a_run_says_how_many_rows_have_no_key() {
    let sheet = TempSheet::new("name;ID\nAnn;7\nBo;\n;\nCy; \n");
    for options in ["--dry-run", ""] {
        let mut run = sheet.run(&format!("--key ID {options}"), "true");
        let ended = end(&mut run).with(0);
        assert!(
            ended.stderr.contains("2 rows have no key, the first in line 3, and no job, as a row of totals or a note should be; if they are jobs, tickoff init FILE --add-key ID numbers them"),
            "{ended:?}"
        );
    }
}
