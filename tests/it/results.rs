//! `tickoff run --results`: what the commands say, in files.

use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};

use crate::command_line::{end, program};
use crate::fixture::TempSheet;

#[track_caller]
fn text(sheet: &TempSheet, path: &str) -> String {
    fs::read_to_string(sheet.folder().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

#[test]
fn a_commands_output_is_in_its_pos_folder_and_not_on_the_programs_own() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\n");
    let ended = end(&mut sheet.run(
        "--results out/results",
        "echo $TICKOFF_PO; echo no $TICKOFF_PO >&2; exit 1",
    ))
    .with(1);
    assert_eq!(ended.stdout, "");
    for po in ["P1", "P2"] {
        assert_eq!(
            text(&sheet, &format!("out/results/{po}/stdout")),
            format!("{po}\n")
        );
        assert_eq!(
            text(&sheet, &format!("out/results/{po}/stderr")),
            format!("no {po}\n")
        );
        assert_eq!(sheet.cell(po, "ERROR_MESSAGE"), format!("exit 1: no {po}"));
    }
}

#[test]
fn every_attempt_is_kept_also_over_several_runs() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    let options = "--results res --retries 1 --backoff 0s";
    let script = "echo $RUN $TICKOFF_ATTEMPT; echo e $RUN $TICKOFF_ATTEMPT >&2; exit 75";
    for run in ["a", "b"] {
        end(sheet.run(options, script).env("RUN", run)).with(1);
    }
    for (name, said) in [
        ("stdout.1", "a 1\n"),
        ("stdout.2", "a 2\n"),
        ("stdout.3", "b 1\n"),
        ("stdout", "b 2\n"),
    ] {
        assert_eq!(text(&sheet, &format!("res/P1/{name}")), said);
        let name = name.replace("out", "err");
        assert_eq!(text(&sheet, &format!("res/P1/{name}")), format!("e {said}"));
    }
    assert_eq!(
        fs::read_dir(sheet.folder().join("res/P1")).unwrap().count(),
        8
    );
}

#[test]
fn all_of_a_long_output_is_kept_and_the_message_has_its_end() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    end(&mut sheet.run("--results res", "seq 100000; seq 100000 >&2; exit 1")).with(1);
    let all: String = (1..=100_000).map(|number| format!("{number}\n")).collect();
    assert_eq!(text(&sheet, "res/P1/stdout"), all);
    assert_eq!(text(&sheet, "res/P1/stderr"), all);
    assert!(
        sheet
            .cell("P1", "ERROR_MESSAGE")
            .ends_with("| 99999 | 100000")
    );
}

#[test]
fn a_command_that_times_out_has_its_output_kept() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    end(&mut sheet.run("--results res --timeout 500ms", "echo a; echo b >&2; hang")).with(1);
    assert_eq!(text(&sheet, "res/P1/stdout"), "a\n");
    assert_eq!(text(&sheet, "res/P1/stderr"), "b\n");
}

/// The folders that hold a file `stdout`, wherever they are.
fn folders(path: &Path, found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(path).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_dir() {
            folders(&entry.path(), found);
        } else if entry.file_name() == "stdout" {
            found.push(path.to_owned());
        }
    }
}

#[test]
fn no_po_gets_out_of_the_folder_or_into_that_of_another() {
    let long = "x".repeat(300);
    let pos = [
        "../x",
        "a/b",
        "a%2Fb",
        "..",
        ".",
        "/no/folder/here",
        "a\nb",
        "-rf",
        "é",
        "~",
        "stdout",
        &long,
        &format!("{long}y"),
    ];
    let rows: String = pos.iter().map(|po| format!("\"{po}\"\n")).collect();
    let sheet = TempSheet::new(format!("PO_NUMBER\n{rows}"));
    end(&mut sheet.run("--results in/res", "printf %s \"$TICKOFF_PO\"")).with(0);
    let mut found = Vec::new();
    folders(sheet.folder(), &mut found);
    assert_eq!(found.len(), pos.len());
    let mut said: Vec<String> = found
        .iter()
        .map(|folder| {
            assert_eq!(folder.parent().unwrap(), sheet.folder().join("in/res"));
            fs::read_to_string(folder.join("stdout")).unwrap()
        })
        .collect();
    let mut pos = pos.map(str::to_owned);
    said.sort();
    pos.sort();
    assert_eq!(said, pos);
}

#[test]
fn a_link_that_is_planted_there_is_not_written_through() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    let folder = sheet.folder().join("res/P1");
    fs::create_dir_all(&folder).unwrap();
    fs::write(sheet.folder().join("victim"), "mine").unwrap();
    std::os::unix::fs::symlink(sheet.folder().join("victim"), folder.join("stdout")).unwrap();
    end(&mut sheet.run("--results res", "echo theirs")).with(0);
    assert_eq!(text(&sheet, "victim"), "mine");
    assert_eq!(text(&sheet, "res/P1/stdout"), "theirs\n");
}

#[test]
fn nobody_may_read_what_is_kept_who_may_not_read_the_sheet() {
    for (sheets, files, folders) in [
        (0o600, 0o600, 0o700),
        (0o640, 0o640, 0o750),
        (0o644, 0o644, 0o755),
        (0o666, 0o644, 0o755),
    ] {
        let sheet = TempSheet::new("PO_NUMBER\nP1\n");
        fs::set_permissions(sheet.path(), fs::Permissions::from_mode(sheets)).unwrap();
        let script = "umask 022; rm -f ev; exec \"$TICKOFF\" run input.csv --results new/res --joblog log --events ev -- sh -c 'rm ev'";
        end(std::process::Command::new("sh")
            .args(["-c", script])
            .env("TICKOFF", program())
            .current_dir(sheet.folder()))
        .with(0);
        for (name, want) in [
            ("backup", folders),
            ("new", folders),
            ("new/res", folders),
            ("new/res/P1", folders),
            ("new/res/P1/stdout", files),
            ("new/res/P1/stderr", files),
            ("log", files),
            // It was made anew, since it was removed.
            ("ev", files),
        ] {
            let mode = fs::metadata(sheet.folder().join(name)).unwrap().mode();
            assert_eq!(
                mode & 0o777,
                want,
                "{name} of a sheet with {sheets:o}: {mode:o}"
            );
        }
    }
}

#[test]
fn a_log_that_is_there_keeps_its_rights() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    fs::set_permissions(sheet.path(), fs::Permissions::from_mode(0o600)).unwrap();
    let log = sheet.folder().join("log");
    fs::write(&log, "").unwrap();
    fs::set_permissions(&log, fs::Permissions::from_mode(0o664)).unwrap();
    end(&mut sheet.run("--joblog log", "true")).with(0);
    let mode = fs::metadata(&log).unwrap().mode();
    assert_eq!(mode & 0o777, 0o664);
}

#[test]
fn nobody_may_read_more_than_the_umask_says() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    let script =
        "umask 077; exec \"$TICKOFF\" run input.csv --results res --joblog log --events ev -- echo";
    end(std::process::Command::new("sh")
        .args(["-c", script])
        .env("TICKOFF", program())
        .current_dir(sheet.folder()))
    .with(0);
    for (path, mode) in [
        ("backup", 0o700),
        ("res", 0o700),
        ("res/P1", 0o700),
        ("res/P1/stdout", 0o600),
        ("res/P1/stderr", 0o600),
        ("log", 0o600),
        ("ev", 0o600),
    ] {
        let metadata = fs::metadata(sheet.folder().join(path)).unwrap();
        assert_eq!(metadata.permissions().mode() & 0o777, mode, "{path}");
    }
}

#[test]
fn a_folder_that_cannot_be_made_stops_the_run_before_anything_changes() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\n");
    for (options, said) in [
        ("--results input.csv/res", "/input.csv/res: Not a directory"),
        ("--results /proc/nope/x", "cannot create /proc/nope: "),
        ("--backup-dir /proc/nope/x", "cannot create /proc/nope: "),
    ] {
        let ended = end(&mut sheet.run(options, "touch ran")).with(3);
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        assert!(!sheet.folder().join("ran").exists());
        assert_eq!(sheet.text(), "PO_NUMBER\nP1\n");
        assert_eq!(sheet.backup_names(), [""; 0]);
    }
}

#[test]
fn a_po_whose_output_cannot_be_kept_is_an_error_and_was_not_run() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\n");
    fs::create_dir(sheet.folder().join("res")).unwrap();
    fs::write(sheet.folder().join("res/P1"), "in the way").unwrap();
    let options = "-j 1 --results res --joblog log";
    end(&mut sheet.run(options, "echo $TICKOFF_PO >> notes")).with(1);
    assert_eq!(sheet.lines("notes"), ["P2"]);
    assert_eq!(sheet.lines("log").len(), 1 + 2);
    let message = sheet.cell("P1", "ERROR_MESSAGE");
    assert!(message.starts_with("cannot keep its output: "), "{message}");
}

#[test]
fn a_run_ends_where_there_can_be_no_files_for_what_the_next_command_says() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\nP2;\nP3;\n");
    let script =
        "echo $TICKOFF_PO >> notes; [ $TICKOFF_PO != P2 ] || { rm -r res; ln -s nowhere res; }";
    let ended = end(&mut sheet.run("-j 1 --results res", script)).with(126);
    assert_eq!(sheet.lines("notes"), ["P1", "P2"]);
    assert_eq!(sheet.cell("P3", "STATUS"), "");
    let said = "files for what commands say cannot be made in ";
    assert!(ended.stderr.contains(said), "{}", ended.stderr);
}

#[test]
fn a_folder_that_is_removed_in_mid_run_is_made_anew() {
    let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\nP3\n");
    let script = "echo $TICKOFF_PO; [ $TICKOFF_PO != P2 ] || rm -r res";
    let ended = end(&mut sheet.run("-j 1 --results res", script)).with(0);
    assert!(
        ended.stderr.contains("was removed: a new one is made"),
        "{ended:?}"
    );
    assert_eq!(text(&sheet, "res/P3/stdout"), "P3\n");
}
