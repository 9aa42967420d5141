//! A run that was killed is resumed where it stopped: nothing acknowledged is lost or done again.

use std::collections::BTreeSet;
use std::fs::OpenOptions;

use crate::command_line::{Running, end, wait_until};
use crate::fixture::TempSheet;
use crate::oracle::RawSheet;

/// Notes start, end and session of each PO. Every third PO fails, every third has no attachments.
const JOB: &str = r#"
echo "start $TICKOFF_PO" >> log
echo $TICKOFF_SESSION >> sessions
case $TICKOFF_PO in *[147]) status=ERROR;; *[258]) status=NO_ATTACHMENTS;; *) status=COMPLETED;; esac
echo "{\"STATUS\":\"$status\",\"LAST_PROCESSED\":\"t\",\"ERROR_MESSAGE\":\"\"}" > $TICKOFF_RESULT
echo "end $TICKOFF_PO" >> log
"#;

fn status_of(po: &str) -> &'static str {
    match po.as_bytes().last() {
        Some(b'1' | b'4' | b'7') => "ERROR",
        Some(b'2' | b'5' | b'8') => "NO_ATTACHMENTS",
        _ => "COMPLETED",
    }
}

/// The POs of a log's lines that begin with this word.
fn logged(lines: &[String], word: &str) -> Vec<String> {
    let pos = lines.iter().filter_map(|line| line.strip_prefix(word));
    pos.map(|po| po.trim().to_owned()).collect()
}

/// What `tickoff pending` lists, read over the journal.
#[track_caller]
fn pending(sheet: &TempSheet) -> BTreeSet<String> {
    let ended = end(&mut sheet.tickoff("pending")).with(0);
    ended.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn a_run_that_was_killed_in_the_middle_resumes_without_repeating_what_was_acknowledged() {
    let sheet = TempSheet::sample("orders-446.csv");
    let original = sheet.text();
    let all: BTreeSet<String> = RawSheet::parse(&original, ';')
        .cells("STATUS")
        .into_iter()
        .map(|(po, _)| po)
        .collect();
    assert_eq!(all.len(), 446);

    let run = Running::start(&mut sheet.run("-j 4 --quiet", JOB));
    wait_until("200 POs are processed", || {
        logged(&sheet.lines("log"), "end").len() >= 200
    });
    run.kill();

    check_is_complete(&sheet, &original);
    let left = pending(&sheet);
    let acknowledged: BTreeSet<&String> = all.difference(&left).collect();
    // Three POs of ten are completed, and four workers have at most one unacknowledged result each.
    let ended_before = logged(&sheet.lines("log"), "end");
    let unacknowledged = ended_before
        .iter()
        .filter(|po| status_of(po) == "COMPLETED" && left.contains(*po))
        .count();
    assert!(
        acknowledged.len() > 50 && unacknowledged <= 4,
        "{} and {unacknowledged}",
        acknowledged.len()
    );
    assert!(acknowledged.iter().all(|po| status_of(po) == "COMPLETED"));
    let before = sheet.lines("log").len();

    end(&mut sheet.run("-j 4 --quiet", JOB)).with(1);
    let resumed = sheet.lines("log").split_off(before);
    let started: BTreeSet<String> = logged(&resumed, "start").into_iter().collect();
    assert_eq!(
        started, left,
        "what is not acknowledged as COMPLETED comes again, and nothing else"
    );
    assert_eq!(logged(&resumed, "start").len(), left.len(), "once");

    let mut want = RawSheet::parse(&original, ';');
    for po in &all {
        want.set(po, "STATUS", status_of(po));
        want.set(po, "LAST_PROCESSED", "t");
    }
    assert_eq!(sheet.text(), want.text());

    let sessions: BTreeSet<String> = sheet.lines("sessions").into_iter().collect();
    assert_eq!(sessions.len(), 1, "the resumed run continues the session");
    let backups = sheet.backup_names();
    assert_eq!(backups.len(), 1, "and keeps its backup");
    assert!(backups[0].ends_with(&format!("_{}.csv", sessions.first().unwrap())));
    assert_eq!(
        std::fs::read_to_string(sheet.backups().join(&backups[0])).unwrap(),
        original
    );
    assert_eq!(sheet.leftovers(), ["log", "sessions"]);
}

/// Every row is there with either none of its result or all of it.
#[track_caller]
fn check_is_complete(sheet: &TempSheet, original: &str) {
    let mut want = RawSheet::parse(original, ';');
    let now = RawSheet::parse(&sheet.text(), ';');
    for (po, status) in now.cells("STATUS") {
        if status != "PENDING" {
            assert_eq!(status, status_of(&po));
            want.set(&po, "STATUS", &status);
            want.set(&po, "LAST_PROCESSED", "t");
        }
    }
    assert_eq!(sheet.text(), want.text());
}

/// A run whose first three results are durable, and which is killed before any of them is visible: another
/// program has the sheet open for writing.
#[track_caller]
fn killed_after_three(sheet: &TempSheet) {
    let script = "test $TICKOFF_PO = PO0 && { touch first; await open; }; case $TICKOFF_PO in PO[012]) ;; *) touch fourth; hang;; esac";
    let run = Running::start(&mut sheet.run("-j 1 --quiet", script));
    // Whoever keeps the sheet open must come after the session has read it.
    wait_until("the first job runs", || {
        sheet.folder().join("first").exists()
    });
    let open = OpenOptions::new().append(true).open(sheet.path()).unwrap();
    std::fs::write(sheet.folder().join("open"), "").unwrap();
    wait_until("the fourth job runs", || {
        sheet.folder().join("fourth").exists()
    });
    run.kill();
    drop(open);
    for name in ["first", "open", "fourth"] {
        std::fs::remove_file(sheet.folder().join(name)).unwrap();
    }
}

#[test]
fn results_that_only_the_journal_has_are_recovered_and_said_to_be() {
    let sheet = TempSheet::pending(6);
    let original = sheet.text();
    killed_after_three(&sheet);
    assert_eq!(sheet.text(), original);
    assert_eq!(sheet.status()["completed"], 3, "readers see them before");
    assert_eq!(sheet.status()["not_visible"], 3);
    let told = end(&mut sheet.tickoff("status")).with(0).stdout;
    assert!(
        told.contains("results of 3 rows are not in the file yet: the next run writes them, or tickoff recover FILE --apply"),
        "{told}"
    );
    let ended = end(&mut sheet.run("", "echo $TICKOFF_PO >> log")).with(0);
    assert!(
        ended
            .stderr
            .contains("INFO going on after a session that was interrupted; it began at 2")
            && ended.stderr.contains(" recovered=3\n"),
        "{ended:?}"
    );
    let mut log = sheet.lines("log");
    log.sort();
    assert_eq!(log, ["PO3", "PO4", "PO5"]);
    assert!(
        sheet
            .table()
            .values()
            .all(|row| row["STATUS"] == "COMPLETED")
    );
    assert_eq!(sheet.backup_names().len(), 1);
}

#[test]
fn rows_that_were_run_again_and_lost_to_a_kill_are_no_work_of_another_program() {
    let sheet = TempSheet::pending(6);
    let fail = "echo no >&2; exit 1";
    end(&mut sheet.run("--quiet", fail)).with(1);
    let failed = sheet.text();
    killed_after_three(&sheet);
    assert_eq!(sheet.text(), failed);
    let ended = end(&mut sheet.run("", "")).with(0);
    assert!(ended.stderr.contains(" recovered=3\n"), "{ended:?}");
    assert!(!ended.stderr.contains("WARN"), "{ended:?}");
}

#[track_caller]
fn check_stale_save(save: impl Fn(&TempSheet, &str)) {
    let sheet = TempSheet::pending(6);
    let stale = sheet
        .text()
        .replace("PO5;PENDING;Acme", "PO5;PENDING;Edited");
    killed_after_three(&sheet);
    save(&sheet, &stale);
    let run = || end(&mut sheet.run("-j 1 --quiet", "echo $TICKOFF_PO >> log"));
    let mut ended = run();
    // If the kill came when the results were about to become visible, nobody can tell whether they were.
    if ended.code == 3 {
        end(sheet.tickoff("recover").arg("--apply")).with(0);
        ended = run();
    }
    ended.with(0);
    assert_eq!(sheet.lines("log"), ["PO3", "PO4", "PO5"]);
    let table = sheet.table();
    assert!(table.values().all(|row| row["STATUS"] == "COMPLETED"));
    assert_eq!(
        (
            table["PO5"]["SUPPLIER"].as_str(),
            table["PO4"]["SUPPLIER"].as_str()
        ),
        ("Edited", "Acme")
    );
}

#[test]
fn a_stale_version_saved_after_a_crash_keeps_its_edit_and_the_results_come_back() {
    check_stale_save(|sheet, stale| std::fs::write(sheet.path(), stale).unwrap());
    check_stale_save(|sheet, stale| {
        let new = sheet.folder().join("new");
        std::fs::write(&new, stale).unwrap();
        std::fs::rename(new, sheet.path()).unwrap();
    });
}

#[test]
fn a_stale_version_saved_during_a_run_keeps_its_edit_and_the_results_stay() {
    let sheet = TempSheet::pending(6);
    let stale = sheet
        .text()
        .replace("PO5;PENDING;Acme", "PO5;PENDING;Edited");
    std::fs::write(sheet.folder().join("stale"), stale).unwrap();
    let script = "echo $TICKOFF_PO >> log; test $TICKOFF_PO = PO3 && cp stale input.csv; true";
    end(&mut sheet.run("-j 1 --quiet", script)).with(0);
    assert_eq!(sheet.lines("log").len(), 6);
    let table = sheet.table();
    assert!(
        table.values().all(|row| row["STATUS"] == "COMPLETED"),
        "{table:#?}"
    );
    assert_eq!(table["PO5"]["SUPPLIER"], "Edited");
}

#[test]
fn a_set_between_a_crash_and_the_next_run_does_not_cost_the_backup_its_place() {
    let sheet = TempSheet::pending(6);
    let original = sheet.text();
    killed_after_three(&sheet);
    end(sheet.tickoff("set").args(["PO0", "STATUS=PENDING"])).with(0);
    end(&mut sheet.run("-j 1 --quiet", "echo $TICKOFF_PO >> log")).with(0);
    assert_eq!(sheet.lines("log"), ["PO0", "PO3", "PO4", "PO5"]);
    let backups = sheet.backup_names();
    assert_eq!(backups.len(), 1);
    assert_eq!(
        std::fs::read_to_string(sheet.backups().join(&backups[0])).unwrap(),
        original
    );
    assert_eq!(sheet.leftovers(), ["log"]);
}

#[test]
fn crash_after_crash_the_first_backup_is_kept() {
    let sheet = TempSheet::pending(30);
    let original = sheet.text();
    for round in 1..=7 {
        let script = format!(
            "test $(wc -l < log) -lt {} && echo $TICKOFF_PO >> log || hang",
            3 * round
        );
        std::fs::write(
            sheet.folder().join("log"),
            sheet.lines("log").join("\n") + if round == 1 { "" } else { "\n" },
        )
        .unwrap();
        let run = Running::start(&mut sheet.run("-j 1 --quiet", &script));
        wait_until("three more are done", || {
            sheet.lines("log").len() == 3 * round
        });
        run.kill();
    }
    end(&mut sheet.run("-j 1 --quiet", "echo $TICKOFF_PO >> log")).with(0);
    assert_eq!(sheet.status()["completed"], 30);
    let backups = sheet.backup_names();
    assert_eq!(backups.len(), 1);
    assert_eq!(
        std::fs::read_to_string(sheet.backups().join(&backups[0])).unwrap(),
        original
    );
    let again = sheet.lines("log").len() - 30;
    assert!(
        again <= 7,
        "each crash repeats at most one PO a worker, not {again} in all"
    );
}

#[test]
fn an_interrupted_run_with_a_copy_resumes_from_the_copy() {
    let sheet = TempSheet::pending(6);
    let original = sheet.text();
    let script = "echo $TICKOFF_PO >> log; test $TICKOFF_PO != PO3 || { touch fourth; test -e second || hang; }";
    let run = Running::start(&mut sheet.run("-j 1 --quiet --output copy.csv", script));
    wait_until("the fourth job runs", || {
        sheet.folder().join("fourth").exists()
    });
    run.kill();
    std::fs::write(sheet.folder().join("second"), "").unwrap();
    end(&mut sheet.run("-j 1 --quiet --output copy.csv", script)).with(0);
    assert_eq!(
        sheet.lines("log"),
        ["PO0", "PO1", "PO2", "PO3", "PO3", "PO4", "PO5"]
    );
    assert_eq!(sheet.text(), original);
    assert!(!sheet.folder().join(".input.csv.lock").exists());
}

#[test]
fn a_folder_that_is_removed_in_mid_run_leaves_the_sheet_with_every_result_in_a_file() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS;note\nP1;;\nP2;;mine\nP3;;\n");
    let elsewhere = tempfile::tempdir().unwrap();
    let script = "printf 'note=n\\nonly %s=n' $TICKOFF_PO > $TICKOFF_RESULT; [ $TICKOFF_PO != P2 ] || rm -r \"$FOLDER\"";
    let mut run = sheet.run("-j 1", script);
    run.env("TMPDIR", elsewhere.path())
        .env("FOLDER", sheet.folder());
    let ended = end(&mut run).with(6);
    assert!(!ended.stderr.contains("nothing is lost"), "{ended:?}");
    assert!(!ended.stderr.contains("kept in"), "{ended:?}");
    let (_, kept) = ended
        .stderr
        .split_once("the sheet with all results is in ")
        .unwrap();
    let (kept, _) = kept.split_once(": ").unwrap();
    assert!(
        ended
            .stderr
            .contains(&format!("cp -i {kept} {}", sheet.path().display())),
        "{ended:?}"
    );
    // That of P2 could not be made durable, and the third was not begun.
    std::fs::create_dir(sheet.folder()).unwrap();
    std::fs::copy(kept, sheet.path()).unwrap();
    let table = sheet.table();
    let shown = |po: &str| [&*table[po]["STATUS"], &*table[po]["note"]].join(" ");
    assert_eq!(
        ["P1", "P2", "P3"].map(shown),
        ["COMPLETED n", "COMPLETED n", " "]
    );
    assert_eq!(
        ["P1", "P2"].map(|po| &*table[po][&format!("only {po}")]),
        ["n", "n"]
    );
}

#[test]
fn a_filesystem_that_is_taken_away_in_mid_run_leaves_the_sheet_with_every_result_in_a_file() {
    for (below, by) in [
        ("", "umount -l \"$FOLDER\""),
        ("below", "umount -l \"$FOLDER\""),
        ("", "mount -t tmpfs none \"$FOLDER\""),
    ] {
        let contents = "PO_NUMBER;STATUS;note\nP1;;\nP2;;mine\n";
        let Some(mut sheet) = TempSheet::on_small_disk("1m", contents) else {
            return;
        };
        let elsewhere = tempfile::tempdir().unwrap();
        let folder = sheet.folder().join(below);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::copy(sheet.path(), folder.join("orders.csv")).unwrap();
        crate::fixture::rested(&folder.join("orders.csv"));
        let script =
            format!("echo note=$TICKOFF_KEY > $TICKOFF_RESULT; [ $TICKOFF_KEY != P1 ] || {by}");
        let mut run = crate::command_line::tickoff();
        run.args(["run", "orders.csv", "-j1", "--", "sh", "-c", &script]);
        run.current_dir(&folder)
            .env("FOLDER", sheet.folder())
            .env("TMPDIR", elsewhere.path());
        let ended = end(&mut run);
        if by.starts_with("umount") {
            sheet.was_taken_away();
        } else {
            let taken = std::process::Command::new("umount")
                .arg(sheet.folder())
                .status();
            assert!(taken.unwrap().success());
        }
        let ended = ended.with(6);
        assert!(!ended.stderr.contains("the results are in"), "{ended:?}");
        let (_, kept) = ended
            .stderr
            .split_once("the sheet with all results is in ")
            .unwrap();
        let (kept, _) = kept.split_once(": ").unwrap();
        let kept = std::fs::read_to_string(kept).unwrap();
        for po in ["P1", "P2"] {
            assert!(kept.contains(&format!("\n{po};COMPLETED;{po};")), "{kept}");
        }
    }
}

/// A sheet without its second row, whose result was there.
fn with_a_result_without_a_row() -> TempSheet {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\nP2;\n");
    end(&mut sheet.run("", "true")).with(0);
    let shown = sheet.text();
    let rows = shown.lines().filter(|line| !line.starts_with("P2;"));
    let text: String = rows.map(|line| format!("{line}\n")).collect();
    std::fs::write(sheet.path(), text).unwrap();
    crate::fixture::rested(sheet.path());
    sheet
}

#[test]
fn a_command_that_finds_results_without_a_place_says_so_with_its_exit_code() {
    for arguments in [
        &["set", "input.csv", "P1", "STATUS=PENDING"][..],
        &["init", "input.csv"],
        &["init", "input.csv", "--add-key", "PO_NUMBER"],
        &["backup", "create", "input.csv"],
        &["backup", "restore", "input.csv", "original"],
    ] {
        let sheet = with_a_result_without_a_row();
        let mut command = crate::command_line::tickoff();
        let ended = end(command.args(arguments).current_dir(sheet.folder())).with(1);
        assert!(ended.stderr.contains("keys=P2"), "{ended:?}");
        assert!(ended.stderr.contains(".unplaced.csv"), "{ended:?}");
    }
}

#[test]
fn a_run_whose_folder_is_renamed_meanwhile_says_where_its_results_are() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\nP2;\n");
    let moved = sheet.folder().with_extension("moved");
    let script = "[ $TICKOFF_PO != P1 ] || mv \"$FOLDER\" \"$FOLDER.moved\"";
    let ended = end(sheet.run("-j 1", script).env("FOLDER", sheet.folder())).with(0);
    let said = format!("the results are in {}\n", moved.display());
    assert!(ended.stderr.contains(&said), "{ended:?}");
    assert!(!ended.stderr.contains("was removed"), "{ended:?}");
    std::fs::rename(&moved, sheet.folder()).unwrap();
    assert_eq!(sheet.cell("P2", "STATUS"), "COMPLETED");
}

#[test]
fn what_a_run_keeps_after_its_folder_was_renamed_lies_beside_the_sheet() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS;OUT\nP1;;\nP2;;\nP3;;\n");
    let folder = sheet.folder().canonicalize().unwrap();
    let moved = folder.with_extension("moved");
    let script = r#"case $TICKOFF_PO in
        P1) "$TICKOFF" set "$FOLDER/input.csv" P2 OUT=MYVALUE && mv "$FOLDER" "$FOLDER.moved" ;;
        P3) sed -i /^P1/d "$FOLDER.moved/input.csv" ;;
        esac
        echo "OUT=r1 $TICKOFF_PO" > "$TICKOFF_RESULT""#;
    let ended = end(sheet.run("-j 1", script).env("FOLDER", &folder)).with(1);
    assert!(!folder.exists(), "it was made anew");
    let (_, before) = ended
        .stderr
        .split_once("the sheet as it was before: ")
        .unwrap();
    let before = std::path::Path::new(before.lines().next().unwrap());
    assert!(before.starts_with(&moved) && before.exists(), "{before:?}");
    let listed = end(crate::command_line::tickoff()
        .args(["backup", "list"])
        .arg(moved.join("input.csv")))
    .with(0)
    .stdout;
    for (label, holds) in [("outside", "MYVALUE"), ("unplaced", "r1 P1")] {
        let end = format!(".{label}.csv");
        let kept = listed.lines().filter(|line| line.ends_with(&end));
        let mut paths = kept.map(|line| line.rsplit(' ').next().unwrap());
        let is_there = |path: &str| {
            assert!(ended.stderr.contains(path), "{path} in {ended:?}");
            std::fs::read_to_string(path).unwrap().contains(holds)
        };
        assert!(paths.any(is_there), "{label}: {listed} {ended:?}");
    }
    std::fs::rename(&moved, &folder).unwrap();
}

#[test]
fn results_beside_a_link_that_took_the_sheets_name_are_not_forgotten() {
    let sheet = TempSheet::pending(6);
    killed_after_three(&sheet);
    let other = sheet.folder().join("other");
    std::fs::create_dir(&other).unwrap();
    std::fs::rename(sheet.path(), other.join("input.csv")).unwrap();
    std::os::unix::fs::symlink("other/input.csv", sheet.path()).unwrap();
    let refused = end(&mut sheet.run("", "true")).with(3);
    let (_, advice) = refused
        .stderr
        .split_once("that the link leads to, ")
        .unwrap();
    let (moves, recovers) = advice.split_once(" and run ").unwrap();
    let done = std::process::Command::new("sh")
        .args(["-c", moves])
        .status()
        .unwrap();
    assert!(done.success(), "{moves}");
    assert!(recovers.starts_with("tickoff recover "), "{recovers}");
    end(sheet.tickoff("recover").arg("--apply")).with(0);
    assert!(
        std::fs::read_to_string(other.join("input.csv"))
            .unwrap()
            .contains("COMPLETED")
    );
}

#[test]
fn a_run_that_another_session_took_over_ends_with_4() {
    let sheet = TempSheet::pending(8);
    let first = Running::start(&mut sheet.run("-j 1", "touch began; sleep 0.8"));
    wait_until("a job runs", || sheet.folder().join("began").exists());
    // What tells of the session is removed while it cannot put it back.
    first.signal(rustix::process::Signal::STOP);
    for name in [
        ".input.csv.session",
        ".input.csv.lock",
        ".input.csv.journal",
    ] {
        std::fs::remove_file(sheet.folder().join(name)).unwrap();
    }
    let second = Running::start(&mut sheet.run("-j 1 --limit 2", "sleep 1; touch second"));
    wait_until("the second one has the sheet", || {
        sheet.folder().join(".input.csv.journal").exists()
    });
    first.signal(rustix::process::Signal::CONT);
    let ended = first.end();
    assert!(
        ended
            .stderr
            .contains("another session has taken the sheet over"),
        "{ended:?}"
    );
    ended.with(4);
    second.end();
}

#[test]
fn a_copy_begins_with_what_only_the_inputs_journal_has() {
    let sheet = TempSheet::pending(6);
    killed_after_three(&sheet);
    assert_eq!(sheet.cell("PO0", "STATUS"), "PENDING");
    let before = sheet.text();
    end(&mut sheet.run("--output copy.csv", "echo $TICKOFF_PO >> again")).with(0);
    assert_eq!(sheet.text(), before);
    let mut again = sheet.lines("again");
    again.sort();
    assert_eq!(again, ["PO3", "PO4", "PO5"]);
    let copy = std::fs::read_to_string(sheet.folder().join("copy.csv")).unwrap();
    assert_eq!(copy.matches(";COMPLETED;").count(), 6, "{copy}");
}

#[test]
fn a_run_after_one_that_was_killed_names_the_rows_that_were_running() {
    let sheet = TempSheet::pending(9);
    let script = "test -e second || test $TICKOFF_PO = PO0 || hang";
    let told = || std::fs::read_to_string(sheet.folder().join(".input.csv.session"));
    let run = Running::start(&mut sheet.run("-j 7", script));
    // The first seven that run may still have PO0 among them.
    wait_until("it has told of its jobs", || {
        told().is_ok_and(|told| {
            let is_told = |po| told.contains(&format!("\"po\":\"PO{po}\""));
            (1..8).all(is_told) && !is_told(0)
        })
    });
    run.kill();
    std::fs::write(sheet.folder().join("second"), "").unwrap();
    // One that is refused does not take the note away.
    end(&mut sheet.run("--only PO99", script)).with(1);
    let set = ["PO3", "STATUS=COMPLETED"];
    end(sheet.tickoff("set").args(set)).with(0);
    let ended = end(&mut sheet.run("-j 1", script)).with(0);
    let want =
        "6 rows were running up to a second before the last run was killed; to be run again: PO";
    assert!(ended.stderr.contains(want), "{}", ended.stderr);
    assert!(ended.stderr.contains(", and 1 more\n"), "{}", ended.stderr);
    assert!(!ended.stderr.contains("PO3"), "{}", ended.stderr);
    let ended = end(&mut sheet.run("--force", script)).with(0);
    assert!(!ended.stderr.contains("killed"), "{}", ended.stderr);
}

/// A run leaves it alone, so it is not said to be run again.
#[test]
fn a_row_that_was_running_at_a_kill_and_got_a_word_of_its_own_is_not_said_to_be_run_again() {
    let sheet = TempSheet::pending(3);
    let script = "[ $TICKOFF_PO = PO0 ] || { : > begun; hang; }";
    let run = Running::start(&mut sheet.run("-q -j1", script));
    wait_until("the job runs", || sheet.folder().join("begun").exists());
    let session = sheet.folder().join(".input.csv.session");
    wait_until("it is told", || {
        let told = std::fs::read(&session).unwrap_or_default();
        told.windows(5).any(|it| it == b"\"PO1\"")
    });
    run.kill();
    let text = sheet.text().replace("PO1;PENDING;", "PO1;waiting for Bob;");
    std::fs::write(sheet.path(), text).unwrap();
    crate::fixture::rested(sheet.path());
    let ended = end(&mut sheet.run("", "true")).with(0);
    assert!(!ended.stderr.contains("to be run again"), "{ended:?}");
}
