//! What cannot be worked on is refused in exact words and with the exit code for it, and the file
//! stays as it is, without strays beside it.

use std::io::Write;
use std::os::unix::fs::{PermissionsExt, chown};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

use serde_json::Value;

use crate::command_line::{bytes, end, wait_until};
use crate::fixture::TempSheet;

/// Only the two permanent locks may be beside the sheet, and no backup.
#[track_caller]
fn check_untouched(sheet: &TempSheet, contents: &[u8]) {
    assert_eq!(bytes(sheet.path()), contents);
    assert_eq!(sheet.leftovers(), [""; 0]);
    assert!(!sheet.backups().exists());
}

/// What is wrong with the sheet as a whole is said by every command that works on it: the message,
/// the place, and what to do, in these lines.
#[track_caller]
fn check(contents: impl AsRef<[u8]>, lines: &[&str]) {
    let contents = contents.as_ref();
    let sheet = TempSheet::new(contents);
    for (command, arguments) in [
        ("run", &["--", "true"][..]),
        ("apply", &[]),
        ("init", &[]),
        ("set", &["P1", "STATUS=ERROR"]),
        ("status", &["--json"]),
        ("pending", &[]),
        ("get", &["P1"]),
    ] {
        let ended = end(sheet.tickoff(command).args(arguments)).with(3);
        assert_eq!(ended.stdout, "", "{command}");
        assert_eq!(
            sheet.without_folder(&ended.stderr),
            lines.join("\n") + "\n",
            "{command}"
        );
        check_untouched(&sheet, contents);
    }
}

#[test]
fn an_empty_file() {
    let lines = ["tickoff: DIR/input.csv is empty: a header with the column PO_NUMBER is needed"];
    check("", &lines);
    check("\u{feff}", &lines);
}

#[test]
fn a_header_without_the_key_column() {
    check(
        "PO;Status\u{1b}[2J\nP1;\n",
        &[
            "tickoff: DIR/input.csv:1: no column PO_NUMBER in the header, which has PO, Status\\u{1b}[2J",
            "    PO;Status\\u{1b}[2J",
            "    ^",
            "tickoff: filled in every row and different in each: PO; if PO is the key: tickoff init input.csv --key PO",
        ],
    );
    check(
        "\n\nSTATUS,PO NUMBER\n,P1\n",
        &[
            "tickoff: DIR/input.csv:3: no column PO_NUMBER in the header, which has STATUS, PO NUMBER: did you mean PO NUMBER?",
            "    STATUS,PO NUMBER",
            "    ^",
            "tickoff: filled in every row and different in each: PO NUMBER; if PO NUMBER is the key: tickoff init input.csv --key 'PO NUMBER'",
        ],
    );
}

#[test]
fn a_key_column_that_is_mistyped() {
    let sheet = TempSheet::new("Order;STATUS\nP1;\n");
    for command in ["status", "check"] {
        let ended = end(sheet.tickoff(command).args(["--key", "Ordre"])).with(3);
        let said = format!("{}{}", ended.stdout, ended.stderr);
        let message =
            "no column Ordre in the header, which has Order, STATUS: did you mean Order?\n";
        assert!(said.contains(message), "{said}");
    }
    end(sheet.tickoff("status").args(["--key", "ORDER"])).with(0);
}

#[test]
fn a_po_in_several_rows() {
    check(
        "PO_NUMBER;STATUS\nP1;\nP2;\"a\nb\"\n P1 ;\nP1;\n",
        &[
            "tickoff: DIR/input.csv: P1 stands in several rows, on lines 2, 5, 6",
            "tickoff: remove all of these rows but one; or make the key of several columns: --key PO_NUMBER --key COLUMN; or pass --duplicates all to run the job once and write its result to each of them",
        ],
    );
    check(
        "PO_NUMBER;STATUS;my note;line\nP1;;a;1\nP2;;a;1\nP1;;b;2\n",
        &[
            "tickoff: DIR/input.csv: P1 stands in several rows, on lines 2, 4",
            "tickoff: remove all of these rows but one; or make the key of several columns: --key PO_NUMBER --key 'my note' (with my note or line it is different in every row); or pass --duplicates all to run the job once and write its result to each of them",
        ],
    );
}

#[test]
fn a_key_of_two_columns_in_several_rows_is_made_longer_in_an_encoding_too() {
    let sheet = TempSheet::new(b"PO;Stra\xdfe;Ort\nA;1;x\nA;1;y\nB;1;y\n");
    let options = [
        "--key",
        "PO",
        "--key",
        "Straße",
        "--encoding",
        "windows-1252",
    ];
    for command in ["status", "check"] {
        let ended = end(sheet.tickoff(command).args(options)).with(3);
        assert!(
            ended.stderr.contains(
                "--key PO --key Straße --key Ort (with Ort it is different in every row)"
            ),
            "{ended:?}"
        );
    }
}

#[test]
fn a_column_that_is_there_twice() {
    check(
        "PO_NUMBER;STATUS;status \nP1;;\n",
        &[
            "tickoff: DIR/input.csv:1:18: the column STATUS is there twice",
            "    PO_NUMBER;STATUS;status ",
            "                     ^",
            "tickoff: rename or remove one of the two columns",
        ],
    );
}

#[test]
fn a_quote_that_is_never_closed() {
    let advice = "tickoff: close the quote; one that belongs to the text is written twice, in a quoted field: \"5\"\" pipe\"";
    check(
        "PO_NUMBER;STATUS\nP1;\nP2;\"x\nP3;\n",
        &[
            "tickoff: DIR/input.csv:3:4: a quote opens here and is never closed",
            "    P2;\"x",
            "       ^",
            advice,
        ],
    );
    let wide = format!("PO_NUMBER;STATUS\n日本\t\u{1b}é;\"{}\n", "x".repeat(100));
    check(
        &wide,
        &[
            "tickoff: DIR/input.csv:2:12: a quote opens here and is never closed",
            &format!("    日本\\t\\u{{1b}}é;\"{}…", "x".repeat(60)),
            "                  ^",
            advice,
        ],
    );
}

#[test]
fn a_lone_carriage_return() {
    let advice = "tickoff: put the field in quotes if it belongs to the text; if every line ends so, convert the file: tr '\\r' '\\n' < FILE > NEW";
    check(
        "PO_NUMBER;STATUS\nP1;x\rP2;\n",
        &[
            "tickoff: DIR/input.csv:2:5: a carriage return without a line feed, which programs read differently",
            "    P1;x\\rP2;",
            "        ^",
            advice,
        ],
    );
    check(
        "PO_NUMBER;STATUS\rP1;x\rP2;\r",
        &[
            "tickoff: DIR/input.csv:1:17: a carriage return without a line feed, which programs read differently",
            "    PO_NUMBER;STATUS\\rP1;x\\rP2;\\r",
            "                    ^",
            advice,
        ],
    );
}

#[test]
fn a_nul_byte() {
    check(
        "PO_NUMBER;STATUS\nP1;x\0\n",
        &[
            "tickoff: DIR/input.csv:2:5: a NUL byte: the file is damaged or is not UTF-8 text",
            "    P1;x\\u{0}",
            "        ^",
            "tickoff: save it as CSV UTF-8 anew, or go back to a good version: tickoff backup list FILE",
        ],
    );
}

#[test]
fn utf_16() {
    let utf_16 = "\u{feff}PO\nP1\n".encode_utf16();
    let message = "tickoff: DIR/input.csv:1:1: the file is UTF-16: save it as CSV UTF-8";
    let advice = "tickoff: in Excel: Save As, CSV UTF-8; or iconv -f UTF-16 -t UTF-8 FILE > NEW.csv (UTF-16LE if it has no byte order mark)";
    check(
        utf_16
            .clone()
            .flat_map(u16::to_le_bytes)
            .collect::<Vec<u8>>(),
        &[message, "    \\xff\\xfeP\\u{0}O\\u{0}", "    ^", advice],
    );
    check(
        utf_16.flat_map(u16::to_be_bytes).collect::<Vec<u8>>(),
        &[
            message,
            "    \\xfe\\xff\\u{0}P\\u{0}O\\u{0}",
            "    ^",
            advice,
        ],
    );
}

#[test]
fn a_header_or_a_key_that_is_not_utf_8() {
    let advice = "tickoff: pass its encoding, --encoding windows-1252 for a CSV of Excel's in Western Europe, or save it as CSV UTF-8";
    check(
        b"PO_NUMBER;STAT\xfcS\nP1;\n",
        &[
            "tickoff: DIR/input.csv:1:11: the header and the key column must be UTF-8",
            "    PO_NUMBER;STAT\\xfcS",
            "              ^",
            advice,
        ],
    );
    check(
        b"PO_NUMBER;STATUS\nP1;\nP\xfc;\n",
        &[
            "tickoff: DIR/input.csv:3:1: the header and the key column must be UTF-8",
            "    P\\xfc;",
            "    ^",
            advice,
        ],
    );
}

#[test]
fn a_row_of_many_megabytes_is_shown_in_80_columns() {
    let sheet = TempSheet::new(["PO_NUMBER;STATUS\nP1;", &"x".repeat(17 << 20), "\n"].concat());
    let ended = end(&mut sheet.tickoff("check")).with(3);
    assert_eq!(
        sheet.without_folder(&ended.stdout),
        format!(
            "DIR/input.csv:2:1: error: more than 16777216 bytes in a row\n    P1;{}…\n    ^\n",
            "x".repeat(72)
        )
    );
}

#[test]
fn bytes_that_are_not_utf_8_are_carried_along_elsewhere() {
    let contents = b"PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nP1;PENDING;;;caf\xe9\nP2;PENDING;;;\"\xff;\xfe\"\n";
    let sheet = TempSheet::new(contents);
    let script = "echo '{\"LAST_PROCESSED\":\"t\"}' > $TICKOFF_RESULT";
    end(&mut sheet.run("", script)).with(0);
    let want = b"PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nP1;COMPLETED;t;;caf\xe9\nP2;COMPLETED;t;;\"\xff;\xfe\"\n";
    assert_eq!(bytes(sheet.path()), want);
}

#[test]
fn a_file_that_is_not_there() {
    let sheet = TempSheet::new("");
    std::fs::remove_file(sheet.path()).unwrap();
    for (command, arguments) in [
        ("run", &["--", "true"][..]),
        ("apply", &[]),
        ("init", &[]),
        ("set", &["P1", "STATUS=ERROR"]),
        ("status", &[]),
        ("pending", &[]),
        ("get", &["P1"]),
        ("check", &[]),
        ("backup create", &[]),
    ] {
        let ended = end(sheet.tickoff(command).args(arguments)).with(3);
        assert_eq!(
            sheet.without_folder(&ended.stderr),
            "tickoff: cannot open DIR/input.csv: No such file or directory (os error 2)\n",
            "{command}"
        );
    }
    assert_eq!(std::fs::read_dir(sheet.folder()).unwrap().count(), 0);
}

#[test]
fn what_is_not_a_regular_file() {
    let folder = TempSheet::new("");
    std::fs::remove_file(folder.path()).unwrap();
    std::fs::create_dir(folder.path()).unwrap();
    let pipe = TempSheet::new("");
    std::fs::remove_file(pipe.path()).unwrap();
    assert!(
        Command::new("mkfifo")
            .arg(pipe.path())
            .status()
            .unwrap()
            .success()
    );
    let saved = "name the CSV itself; what comes through a pipe has to be saved to a file first";
    let in_it = "that is a folder: name the CSV in it";
    for (sheet, advice) in [(folder, in_it), (pipe, saved)] {
        for (command, arguments) in [
            ("run", &["--", "true"][..]),
            ("set", &["P1", "STATUS=ERROR"]),
            ("status", &[]),
            ("check", &[]),
        ] {
            let ended = end(sheet.tickoff(command).args(arguments)).with(3);
            assert_eq!(
                sheet.without_folder(&ended.stderr),
                format!("tickoff: DIR/input.csv is not a regular file\ntickoff: {advice}\n"),
                "{command}"
            );
        }
        assert_eq!(std::fs::read_dir(sheet.folder()).unwrap().count(), 1);
    }
}

#[test]
fn a_po_that_is_not_in_the_sheet() {
    let contents = "PO_NUMBER;STATUS\nP1;\n";
    let sheet = TempSheet::new(contents);
    for (command, arguments) in [
        ("get", &["P\u{1b}9"][..]),
        ("set", &["P\u{1b}9", "STATUS=ERROR"]),
    ] {
        let ended = end(sheet.tickoff(command).args(arguments)).with(1);
        assert_eq!(ended.stderr, "tickoff: no row has the key P\\u{1b}9\n");
        check_untouched(&sheet, contents.as_bytes());
    }
}

#[test]
fn a_po_that_is_mistyped() {
    let sheet = TempSheet::sample("orders-446.csv");
    for (mistyped, close) in [
        ("PO1500037", "PO15000037 or PO15000370"),
        ("po15000037", "PO15000037"),
        ("15000037", "PO15000037"),
        ("PO-0015000037 ", "PO15000037"),
        ("PO 15000037", "PO15000037"),
    ] {
        for (command, arguments) in [
            ("get", &[mistyped][..]),
            ("set", &[mistyped, "STATUS=ERROR"]),
        ] {
            let ended = end(sheet.tickoff(command).args(arguments)).with(1);
            assert_eq!(
                ended.stderr,
                format!(
                    "tickoff: no row has the key {}: did you mean {close}?\n",
                    mistyped.trim()
                )
            );
        }
    }
    let ended = end(sheet.tickoff("get").arg("4711")).with(1);
    assert_eq!(ended.stderr, "tickoff: no row has the key 4711\n");
}

mod the_file_system {
    use super::*;

    const ONE: &str = "PO_NUMBER;STATUS\nP1;\n";

    #[track_caller]
    fn check_only_reading_works(sheet: &TempSheet, prepare: impl Fn(&mut Command), reason: &str) {
        let with = |command: &str, arguments: &[&str]| {
            let mut program = sheet.tickoff(command);
            prepare(program.args(arguments));
            end(&mut program)
        };
        for (command, arguments) in [
            ("run", &["--", "true"][..]),
            ("apply", &[]),
            ("init", &[]),
            ("set", &["P1", "STATUS=ERROR"]),
        ] {
            let ended = with(command, arguments).with(3);
            assert_eq!(
                sheet.without_folder(&ended.stderr),
                format!("tickoff: {reason}\n"),
                "{command}"
            );
        }
        for (command, arguments) in [("status", &[][..]), ("pending", &[]), ("get", &["P1"])] {
            assert_eq!(with(command, arguments).with(0).stderr, "", "{command}");
        }
        let checked = with("check", &[]).with(3);
        let (reason, _) = reason.split_once('\n').unwrap_or((reason, ""));
        assert_eq!(
            sheet.without_folder(&checked.stdout),
            format!("DIR/input.csv:1:1: error: {reason}\n")
        );
        assert_eq!(sheet.text(), ONE);
        assert_eq!(std::fs::read_dir(sheet.folder()).unwrap().count(), 1);
    }

    #[test]
    fn a_read_only_file_system() {
        let Some(sheet) = TempSheet::on_small_disk("1m", ONE) else {
            return;
        };
        sheet.remount("ro");
        let reason = "cannot write in DIR: Read-only file system (os error 30)\ntickoff: tickoff writes in the sheet's folder: work on a copy elsewhere, as run --output COPY does";
        check_only_reading_works(&sheet, |_| {}, reason);
    }

    /// As root this needs another user, for whom permissions mean something.
    fn as_nobody(command: &mut Command) {
        if rustix::process::geteuid().is_root() {
            command.uid(NOBODY).gid(NOBODY);
        }
    }

    const NOBODY: u32 = 65534;

    /// Whether the program can be run by another user; otherwise the test is skipped, and says so.
    fn can_be_run_by_nobody(sheet: &TempSheet) -> bool {
        let mut probe = crate::command_line::tickoff();
        as_nobody(&mut probe);
        let can = probe
            .arg("--version")
            .current_dir(sheet.folder())
            .output()
            .is_ok();
        if !can {
            eprintln!("SKIPPED: the program cannot be run by another user than root here");
        }
        can
    }

    #[test]
    fn a_folder_in_which_nothing_may_be_made() {
        let sheet = TempSheet::new(ONE);
        if rustix::process::geteuid().is_root() {
            for path in [sheet.folder(), sheet.path()] {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        let set_mode = |mode| {
            std::fs::set_permissions(sheet.folder(), std::fs::Permissions::from_mode(mode)).unwrap()
        };
        set_mode(0o555);
        if can_be_run_by_nobody(&sheet) {
            let reason = "cannot write in DIR: Permission denied (os error 13)\ntickoff: whoever runs tickoff must be allowed to read the sheet, and to write in its folder unless the command only reads; run --output COPY writes in COPY's folder instead";
            check_only_reading_works(&sheet, as_nobody, reason);
        }
        set_mode(0o755);
    }

    /// A run whose second job takes all rights of the sheet's folder away; files of its own go to this folder in it,
    /// or elsewhere.
    fn shut_out(temporary: Option<&str>) -> Option<String> {
        let sheet = TempSheet::new("PO_NUMBER;note\nP1;\nP2;\nP3;\n");
        let elsewhere = tempfile::tempdir().unwrap();
        let folder = temporary.map_or(elsewhere.path().to_owned(), |name| {
            sheet.folder().join(name)
        });
        std::fs::create_dir_all(&folder).unwrap();
        if rustix::process::geteuid().is_root() {
            for path in [sheet.folder(), sheet.path(), &folder] {
                chown(path, Some(NOBODY), Some(NOBODY)).unwrap();
            }
        }
        if !can_be_run_by_nobody(&sheet) {
            return None;
        }
        let script = r#"[ $TICKOFF_KEY != P2 ] || chmod 000 "$PWD""#;
        let mut run = sheet.run("-j1", script);
        as_nobody(&mut run);
        let ended = end(run.env("TMPDIR", &folder)).with(6);
        std::fs::set_permissions(sheet.folder(), std::fs::Permissions::from_mode(0o755)).unwrap();
        Some(ended.stderr)
    }

    #[test]
    fn a_folder_whose_rights_go_in_mid_run_is_not_said_to_be_empty() {
        let Some(said) = shut_out(None) else { return };
        for is_said in [
            "(it cannot be reached now: Permission denied",
            "cannot be written, and its journal cannot be reached; the sheet with all results is in ",
            "; a result that the sheet lacks then is in ",
        ] {
            assert!(said.contains(is_said), "{said}");
        }
        assert!(
            !said.contains("was removed") && !said.contains("cp -i"),
            "{said}"
        );
    }

    #[test]
    fn where_results_have_no_place_at_all_nothing_else_is_said_of_them() {
        let Some(said) = shut_out(Some("tmp")) else {
            return;
        };
        assert!(
            said.contains(" not saved: once the cause is gone"),
            "{said}"
        );
        assert!(said.contains("the other results are kept: once"), "{said}");
        assert!(!said.contains("nothing is lost"), "{said}");
    }

    #[test]
    fn a_sheet_of_somebody_else() {
        let sheet = TempSheet::new(ONE);
        if !rustix::process::geteuid().is_root() {
            eprintln!("SKIPPED: only root can make a sheet somebody else's");
            return;
        }
        std::fs::set_permissions(sheet.folder(), std::fs::Permissions::from_mode(0o777)).unwrap();
        if can_be_run_by_nobody(&sheet) {
            let reason = "DIR/input.csv belongs to another user (uid 0), which replacing it would change: work on a copy";
            check_only_reading_works(&sheet, as_nobody, reason);
        }
    }

    #[test]
    fn a_limit_on_the_size_of_files() {
        let contents = contents();
        let sheet = TempSheet::new(&contents);
        for (command, arguments) in [
            ("run", &["--", "true"][..]),
            ("apply", &[]),
            ("init", &[]),
            ("set", &["PO1", "STATUS=ERROR"]),
        ] {
            let program = sheet.tickoff(command);
            let mut limited = Command::new("sh");
            limited
                .args(["-c", "ulimit -f 16; exec \"$0\" \"$@\""])
                .arg(program.get_program())
                .args(program.get_args())
                .args(arguments)
                .stdin(Stdio::null());
            let ended = end(&mut limited).with(3);
            assert_eq!(
                sheet.without_folder(&ended.stderr),
                "tickoff: cannot copy DIR/input.csv: File too large (os error 27)\ntickoff: raise the limit on the size of files (ulimit -f), and run the same command again\n",
                "{command}"
            );
            check_untouched(&sheet, contents.as_bytes());
        }
    }

    /// A sheet of about 40 kB.
    fn contents() -> String {
        let mut text = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\n".to_owned();
        for i in 0..400 {
            text += &format!("PO{i};PENDING;;;{}\n", "x".repeat(80));
        }
        text
    }

    fn fill(sheet: &TempSheet) {
        let mut filler = std::fs::File::create(sheet.folder().join("filler")).unwrap();
        while filler.write_all(&[0; 4096]).is_ok() {}
    }

    #[test]
    fn a_disk_that_is_full_when_a_command_begins() {
        let contents = contents();
        let Some(sheet) = TempSheet::on_small_disk("1m", &contents) else {
            return;
        };
        fill(&sheet);
        for (command, arguments, what) in [
            ("run", &["--", "true"][..], "write DIR/.input.csv.session"),
            ("set", &["PO1", "STATUS=ERROR"], "copy DIR/input.csv"),
        ] {
            let ended = end(sheet.tickoff(command).args(arguments)).with(3);
            assert_eq!(
                sheet.without_folder(&ended.stderr),
                format!(
                    "tickoff: cannot {what}: No space left on device (os error 28)\n\
                     tickoff: make room there, or keep fewer backups (--keep), and run the same command again: a run may need 8 times the sheet's size\n"
                ),
                "{command}"
            );
            assert_eq!(sheet.text(), contents);
            assert_eq!(sheet.leftovers(), ["filler"]);
        }
        assert_eq!(sheet.status()["pending"], 400);
    }

    #[test]
    fn a_disk_without_room_for_the_backup() {
        let contents = contents();
        // The sheet, a private copy of it, and not another one.
        let Some(sheet) = TempSheet::on_small_disk("120k", &contents) else {
            return;
        };
        std::fs::create_dir(sheet.backups()).unwrap();
        let ended = end(&mut sheet.run("--quiet", "true")).with(3);
        assert!(
            ended
                .stderr
                .contains(": No space left on device (os error 28)\n")
                && ended.stderr.contains("/backup/input_"),
            "{ended:?}"
        );
        assert_eq!(sheet.text(), contents);
        assert_eq!(sheet.leftovers(), [""; 0]);
        assert_eq!(sheet.backup_names(), [""; 0]);
    }

    #[test]
    fn a_disk_that_becomes_full_during_a_run_loses_no_result_and_the_next_run_writes_them() {
        let contents = contents();
        let Some(sheet) = TempSheet::on_small_disk("1m", &contents) else {
            return;
        };
        let script = "cat /dev/zero > filler 2> /dev/null; true";
        let ended = end(&mut sheet.run("-j 1 --limit 3 --quiet", script)).with(6);
        let said = sheet.without_folder(&ended.stderr);
        assert!(
            said.ends_with(
                "tickoff: not yet written to DIR/input.csv, kept in its journal: cannot write a new version of DIR/input.csv: No space left on device (os error 28)\n\
                 tickoff: nothing is lost: once the cause is gone, the next tickoff run, apply, init or set on this file finishes the write, or says what has to be done before\n"
            ),
            "{said}"
        );
        assert_eq!(sheet.status()["completed"], 3);
        let complete = sheet.text();
        assert_eq!(
            complete.lines().count(),
            401,
            "an old version, and a complete one"
        );

        std::fs::remove_file(sheet.folder().join("filler")).unwrap();
        let ended = end(&mut sheet.run("-j 1 --limit 1", "echo $TICKOFF_PO")).with(0);
        assert_eq!(ended.stdout, "PO3\n");
        assert_eq!(sheet.cell("PO2", "STATUS"), "COMPLETED");
        assert_eq!(sheet.leftovers(), [""; 0]);
    }

    #[test]
    fn a_result_that_finds_no_room_in_the_journal_is_not_acknowledged() {
        let Some(sheet) = TempSheet::on_small_disk("1m", contents()) else {
            return;
        };
        let mut child = sheet
            .tickoff("apply")
            .args(["--ack", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut lines = child.stdin.take().unwrap();
        let first = serde_json::json!({"po_number": "PO9", "updates": {"note": "first"}});
        writeln!(lines, "{first}").unwrap();
        wait_until("the session has begun", || {
            sheet.folder().join(".input.csv.journal").exists()
        });
        wait_until("its journal is reserved", || {
            std::fs::metadata(sheet.folder().join(".input.csv.journal"))
                .is_ok_and(|file| file.len() > 64 * 1024)
        });
        fill(&sheet);
        let long = "y".repeat(30_000);
        for i in 0..5 {
            let line =
                serde_json::json!({"po_number": format!("PO{i}"), "updates": {"note": long}});
            writeln!(lines, "{line}").unwrap();
        }
        drop(lines);
        // They wait for room, until a stop gives them up.
        std::thread::sleep(std::time::Duration::from_secs(2));
        assert!(child.try_wait().unwrap().is_none());
        let pid = rustix::process::Pid::from_child(&child);
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        let output = child.wait_with_output().unwrap();
        assert_eq!(output.status.code(), Some(6));
        let answers = String::from_utf8(output.stdout).unwrap();
        let answers: Vec<Value> = answers
            .lines()
            .skip(1)
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(answers.len(), 5);
        let refused = answers.iter().filter(|answer| answer["durable"] == false);
        assert!(refused.count() > 0, "{answers:?}");
        for answer in answers {
            let po = answer["po_number"].as_str().unwrap();
            let note = sheet.get(po)["cells"]["note"].clone();
            let want = if answer["durable"] == true {
                &*long
            } else {
                &*"x".repeat(80)
            };
            assert_eq!(note, want, "{po}");
        }
    }
}
