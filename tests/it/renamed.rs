//! A sheet that was renamed, copied or moved away after a crash, and the journal that it left.

use std::io::Write;
use std::process::Stdio;

use crate::command_line::{end, tickoff};
use crate::fixture::TempSheet;

/// A sheet whose session was killed while the results of PO1 and PO2 were durable and not visible.
pub fn killed() -> TempSheet {
    let sheet = TempSheet::pending(4);
    kill(&sheet);
    assert!(!sheet.text().contains("COMPLETED"));
    sheet
}

fn kill(sheet: &TempSheet) {
    kill_on(sheet.tickoff("apply"), sheet.path(), ["PO1", "PO2"]);
}

/// A session is killed while the results of these keys are durable and not visible.
fn kill_on(mut apply: std::process::Command, path: &std::path::Path, keys: [&str; 2]) {
    apply.args(["--ack", "--quiet"]).stdin(Stdio::piped());
    let mut child = apply.stdout(Stdio::piped()).spawn().unwrap();
    let mut lines = child.stdin.take().unwrap();
    let mut acknowledged =
        std::io::BufRead::lines(std::io::BufReader::new(child.stdout.take().unwrap()));
    let mut send = |po: &str, updates: &str| {
        writeln!(lines, r#"{{"po_number":"{po}","updates":{updates}}}"#).unwrap();
        acknowledged.next().unwrap().unwrap();
    };
    send(keys[0], "{}");
    // Who has the sheet open for writing keeps a new version from taking its place.
    let open = std::fs::OpenOptions::new().append(true).open(path);
    for po in keys {
        send(po, r#"{"STATUS":"COMPLETED"}"#);
    }
    child.kill().unwrap();
    child.wait().unwrap();
    drop(open);
}

const ASKED: &str = "was called input.csv when it was worked on, and DIR/.input.csv.journal was left there: its journal has results for 2 rows that it does not show: tickoff recover DIR/orders.csv --apply writes them, --discard gives them up and keeps them in a copy";

/// A command on `orders.csv`, which was `input.csv`.
fn on_orders(sheet: &TempSheet, command: &str, arguments: &[&str]) -> std::process::Command {
    let mut tickoff = tickoff();
    tickoff.args([command, "orders.csv"]).args(arguments);
    tickoff.current_dir(sheet.folder());
    tickoff
}

fn rename(sheet: &TempSheet) {
    std::fs::rename(sheet.path(), sheet.folder().join("orders.csv")).unwrap();
}

#[track_caller]
fn check_asked(sheet: &TempSheet) {
    let before = std::fs::read(sheet.folder().join("orders.csv")).unwrap();
    for (command, arguments, code) in [
        ("run", &["--", "touch", "ran"][..], 3),
        ("run", &["--dry-run", "--", "true"], 3),
        ("init", &[], 3),
        ("set", &["PO0", "Priority=x"], 3),
        ("status", &[], 0),
        ("pending", &[], 0),
    ] {
        let ended = end(&mut on_orders(sheet, command, arguments)).with(code);
        let told = sheet.without_folder(&ended.stderr);
        assert!(told.contains(ASKED), "{command}: {told}");
    }
    let checked = end(&mut on_orders(sheet, "check", &[])).with(3);
    assert!(sheet.without_folder(&checked.stdout).contains(ASKED));
    assert!(!sheet.folder().join("ran").exists());
    let after = std::fs::read(sheet.folder().join("orders.csv")).unwrap();
    assert!(before == after);
}

fn completed(sheet: &TempSheet) -> usize {
    let text = std::fs::read_to_string(sheet.folder().join("orders.csv")).unwrap();
    text.matches(";COMPLETED;").count()
}

#[test]
fn the_results_of_a_renamed_sheet_are_asked_for_and_taken_over() {
    let sheet = killed();
    rename(&sheet);
    check_asked(&sheet);
    end(&mut on_orders(&sheet, "recover", &["--apply"])).with(0);
    assert_eq!(completed(&sheet), 2);
    assert!(!sheet.folder().join(".input.csv.journal").exists());
    end(&mut on_orders(&sheet, "run", &["-q", "--", "true"])).with(0);
    assert_eq!(completed(&sheet), 4);
}

#[test]
fn the_results_of_a_renamed_sheet_can_be_given_up_and_are_kept_in_a_copy() {
    let sheet = killed();
    rename(&sheet);
    end(&mut on_orders(&sheet, "recover", &["--discard"])).with(0);
    assert_eq!(completed(&sheet), 0);
    let copies = sheet.backup_names();
    let copy = copies.iter().find(|name| name.contains(".discarded."));
    let copy = std::fs::read_to_string(sheet.backups().join(copy.unwrap())).unwrap();
    assert!(copy.contains("PO1") && copy.contains("PO2"), "{copy}");
    end(&mut on_orders(&sheet, "status", &[])).with(0);
}

#[test]
fn a_renamed_sheet_is_known_though_it_was_edited_since_or_another_has_its_old_name() {
    let edited = killed();
    rename(&edited);
    let orders = edited.folder().join("orders.csv");
    let text = std::fs::read_to_string(&orders).unwrap();
    std::fs::write(
        &orders,
        text.replace("PO0;PENDING;Acme", "PO0;PENDING;Acme Ltd"),
    )
    .unwrap();
    check_asked(&edited);

    let followed = killed();
    rename(&followed);
    std::fs::write(followed.path(), "PO_NUMBER;STATUS\nX1;\nX2;\n").unwrap();
    check_asked(&followed);
}

/// As next month's list has, that is exported to the name of this one.
#[test]
fn a_renamed_sheet_is_known_though_a_new_file_with_the_same_keys_has_its_old_name() {
    let original = TempSheet::pending(4).text();
    let visible = || {
        let sheet = TempSheet::pending(4);
        end(sheet.tickoff("set").args(["PO3", "STATUS=COMPLETED"])).with(0);
        kill(&sheet);
        sheet
    };
    for (sheet, is_edited) in [(killed(), false), (visible(), false), (visible(), true)] {
        rename(&sheet);
        if is_edited {
            let orders = sheet.folder().join("orders.csv");
            let text = std::fs::read_to_string(&orders).unwrap();
            std::fs::write(&orders, text.replace("Acme", "Acme Ltd")).unwrap();
        }
        for new in [original.replace("Acme", "Other"), original.clone()] {
            std::fs::write(sheet.path(), new).unwrap();
            check_asked(&sheet);
            std::fs::remove_file(sheet.path()).unwrap();
        }
        std::fs::write(sheet.path(), &original).unwrap();
        end(&mut on_orders(&sheet, "recover", &["--apply"])).with(0);
        end(&mut on_orders(&sheet, "run", &["-q", "--", "true"])).with(0);
        assert_eq!(completed(&sheet), 4);
        end(&mut sheet.run("-q", "echo $TICKOFF_PO >> ran")).with(0);
        assert_eq!(sheet.lines("ran").len(), 4);
    }
}

#[test]
fn a_renamed_sheet_is_known_though_a_link_has_its_old_name() {
    let sheet = killed();
    rename(&sheet);
    std::os::unix::fs::symlink("orders.csv", sheet.path()).unwrap();
    check_asked(&sheet);
    end(&mut on_orders(&sheet, "recover", &["--apply"])).with(0);
    assert_eq!(completed(&sheet), 2);
}

#[test]
fn a_copy_is_not_taken_for_the_sheet_that_it_was_made_of() {
    let sheet = killed();
    std::fs::copy(sheet.path(), sheet.folder().join("orders.csv")).unwrap();
    let ended = end(&mut on_orders(&sheet, "status", &[])).with(0);
    assert_eq!(ended.stderr, "");
    let ended = end(&mut sheet.tickoff("status")).with(0);
    assert!(ended.stdout.contains("COMPLETED"), "{}", ended.stdout);
}

#[test]
fn a_sheet_whose_results_were_all_visible_is_renamed_without_a_word() {
    let sheet = TempSheet::pending(3);
    end(&mut sheet.run("-q", "true")).with(0);
    rename(&sheet);
    let ended = end(&mut on_orders(&sheet, "run", &["-q", "--", "false"])).with(0);
    assert_eq!(ended.stderr, "");
}

#[test]
fn a_name_whose_sheet_is_gone_names_its_journal() {
    let sheet = killed();
    rename(&sheet);
    for (command, arguments) in [
        ("run", &["--", "true"][..]),
        ("status", &[]),
        ("get", &["PO1"]),
    ] {
        let ended = end(sheet.tickoff(command).args(arguments)).with(3);
        let told = sheet.without_folder(&ended.stderr);
        assert!(
            told.contains("input.csv is not there, and its journal DIR/.input.csv.journal holds results for 2 rows that it may not have shown. If you have it, put it back. If you renamed it in this folder: tickoff recover NEW_NAME --apply. If it is lost: tickoff backup restore FILE latest, then tickoff recover FILE --apply"),
            "{command}: {told}"
        );
    }
}

/// Under its new name a sheet has no remembered key either: the person names it, and is asked like anybody.
#[test]
fn a_renamed_sheet_whose_key_column_was_renamed_too_is_known() {
    let keyed = ["--key", "ORDER"];
    let renamed = || {
        let sheet = killed();
        let text = sheet.text().replace("PO_NUMBER", "ORDER");
        std::fs::write(sheet.folder().join("orders.csv"), text).unwrap();
        std::fs::remove_file(sheet.path()).unwrap();
        crate::fixture::rested(&sheet.folder().join("orders.csv"));
        sheet
    };
    let sheet = renamed();
    for (command, rest, code) in [
        ("run", &["--", "touch", "ran"][..], 3),
        ("set", &["PO0", "Priority=x"], 3),
        ("status", &[], 0),
    ] {
        let ended = end(on_orders(&sheet, command, &keyed).args(rest)).with(code);
        let told = sheet.without_folder(&ended.stderr);
        assert!(told.contains(ASKED), "{command}: {told}");
    }
    assert!(!sheet.folder().join("ran").exists());
    end(on_orders(&sheet, "recover", &keyed).arg("--apply")).with(0);
    assert_eq!(completed(&sheet), 2);
    assert!(!sheet.folder().join(".input.csv.journal").exists());
    end(on_orders(&sheet, "run", &keyed).args(["-q", "--", "true"])).with(0);
    assert_eq!(completed(&sheet), 4);

    let sheet = renamed();
    end(on_orders(&sheet, "recover", &keyed).arg("--discard")).with(0);
    assert_eq!(completed(&sheet), 0);
    let mut copies = sheet.backup_names().into_iter();
    assert!(copies.any(|name| name.contains(".discarded.")));
}

const BESIDE_ANOTHER: &str = "was called input.csv when it was worked on, and DIR/.input.csv.journal was left there with results for 2 rows that it does not show; the journal beside it knows nothing of them: mv -n DIR/.orders.csv.journal DIR/.orders.csv.before.journal and run tickoff recover DIR/orders.csv --apply, which writes them";

/// Whoever gives a sheet the name of an earlier one, or its own of before, does not lose its results to the journal
/// that lies beside that name.
#[test]
fn a_sheet_that_gets_a_name_with_a_journal_is_told_what_to_do() {
    let another = killed();
    std::fs::write(
        another.folder().join("orders.csv"),
        "PO_NUMBER;STATUS\nX1;\nX2;\n",
    )
    .unwrap();
    let set_before = |sheet: &TempSheet, po: &str| {
        crate::fixture::rested(&sheet.folder().join("orders.csv"));
        end(&mut on_orders(sheet, "set", &[po, "STATUS=COMPLETED"])).with(0);
    };
    set_before(&another, "X1");
    rename(&another);

    let itself = TempSheet::pending(4);
    rename(&itself);
    set_before(&itself, "PO0");
    std::fs::rename(itself.folder().join("orders.csv"), itself.path()).unwrap();
    end(itself.tickoff("set").args(["PO3", "STATUS=COMPLETED"])).with(0);
    kill(&itself);
    rename(&itself);

    for (sheet, done) in [(another, 0), (itself, 2)] {
        let before = std::fs::read(sheet.folder().join("orders.csv")).unwrap();
        for (command, arguments, code) in [
            ("run", &["--", "touch", "ran"][..], 3),
            ("set", &["PO0", "Priority=x"], 3),
            ("recover", &["--apply"], 3),
            ("status", &[], 0),
        ] {
            let ended = end(&mut on_orders(&sheet, command, arguments)).with(code);
            let told = sheet.without_folder(&ended.stderr);
            assert!(told.contains(BESIDE_ANOTHER), "{command}: {told}");
        }
        assert!(!sheet.folder().join("ran").exists());
        let after = std::fs::read(sheet.folder().join("orders.csv")).unwrap();
        assert!(before == after);
        let journal = |name: &str| sheet.folder().join(format!(".orders.csv{name}.journal"));
        std::fs::rename(journal(""), journal(".before")).unwrap();
        end(&mut on_orders(&sheet, "recover", &["--apply"])).with(0);
        assert_eq!(completed(&sheet), done + 2);
        end(&mut on_orders(&sheet, "run", &["-q", "--", "true"])).with(0);
        assert_eq!(completed(&sheet), 4);
    }
}

/// Nothing is asked of a sheet whose copy was worked on to try it, and removed.
#[test]
fn a_sheet_that_was_worked_on_is_not_told_of_a_copy_of_it_that_was_killed() {
    let sheet = killed();
    std::fs::copy(sheet.path(), sheet.folder().join("orders.csv")).unwrap();
    crate::fixture::rested(&sheet.folder().join("orders.csv"));
    end(&mut on_orders(&sheet, "set", &["PO0", "STATUS=COMPLETED"])).with(0);
    std::fs::remove_file(sheet.path()).unwrap();
    let ended = end(&mut on_orders(&sheet, "run", &["-q", "--", "true"])).with(0);
    assert_eq!(ended.stderr, "");
}

/// Its jobs would get other keys than before, as in place, where that is refused too.
#[test]
fn a_renamed_or_copied_sheet_is_not_run_by_another_key() {
    for is_copied in [false, true] {
        let sheet = TempSheet::new("PO_NUMBER;id\nP1;k1\nP2;k2\nP3;k3\n");
        end(&mut sheet.run("-q --key id --limit 2", "true")).with(0);
        let orders = sheet.folder().join("orders.csv");
        match is_copied {
            false => std::fs::rename(sheet.path(), &orders).unwrap(),
            true => drop(std::fs::copy(sheet.path(), &orders).unwrap()),
        }
        let on = |arguments: &[&str]| {
            let mut command = crate::command_line::tickoff();
            command.args([arguments[0], "orders.csv"]);
            end(command.args(&arguments[1..]).current_dir(sheet.folder()))
        };
        for refused in [&["run", "--", "touch", "ran"][..], &["pending"], &["check"]] {
            let ended = on(refused).with(3);
            assert!(
                ended.stderr.contains(
                    "holds results that this sheet shows, by the key column id: use --key id"
                ),
                "{ended:?}"
            );
        }
        assert!(!sheet.folder().join("ran").exists());
        assert_eq!(on(&["pending", "--key", "id"]).with(0).stdout, "k3\n");
        on(&["init", "--key", "id"]).with(0);
        assert_eq!(on(&["pending"]).with(0).stdout, "k3\n");
    }
}

/// The log of the new name begins though there was nothing to do, so that what lies there later is told from it.
#[test]
fn an_old_save_under_a_name_under_which_nothing_was_to_be_done_is_asked_about() {
    for command in ["run", "init"] {
        let sheet = TempSheet::new("PO_NUMBER;note\nP1;a\nP2;b\nP3;c\n");
        let older = sheet.text().replace(";b", ";mine");
        end(&mut sheet.run("-q", "true")).with(0);
        let orders = sheet.folder().join("orders.csv");
        std::fs::rename(sheet.path(), &orders).unwrap();
        let on = |command: &str, arguments: &[&str]| {
            let mut tickoff = crate::command_line::tickoff();
            tickoff.args([command, "orders.csv"]);
            end(tickoff.args(arguments).current_dir(sheet.folder()))
        };
        let nothing: &[&str] = if command == "run" {
            &["--", "true"]
        } else {
            &[]
        };
        on(command, nothing).with(0);
        std::fs::write(&orders, &older).unwrap();
        crate::fixture::rested(&orders);
        let asked = on("run", &["--", "touch", "ran"]).with(3);
        assert!(asked.stderr.contains("for 3 rows"), "{command}: {asked:?}");
        assert!(!sheet.folder().join("ran").exists());
    }
}

/// The log of the name in between goes on from the first one's, of which the older version is whole.
#[test]
fn an_older_version_of_a_sheet_that_was_renamed_twice_is_asked_about() {
    let sheet = TempSheet::new("PO_NUMBER;note\nP1;a\nP2;b\nP3;c\n");
    end(&mut sheet.run("-q --limit 1", "true")).with(0);
    let older = sheet.text();
    rename(&sheet);
    end(&mut on_orders(&sheet, "run", &["-q", "--", "true"])).with(0);
    let later = sheet.folder().join("later.csv");
    std::fs::remove_file(sheet.folder().join("orders.csv")).unwrap();
    std::fs::write(&later, older).unwrap();
    crate::fixture::rested(&later);
    for (command, arguments, code) in [
        ("run", &["--", "touch", "ran"][..], 3),
        ("run", &["--dry-run", "--", "true"], 3),
        ("status", &[], 0),
    ] {
        let mut tickoff = tickoff();
        tickoff.args([command, "later.csv"]).args(arguments);
        let asked = end(tickoff.current_dir(sheet.folder())).with(code);
        assert!(asked.stderr.contains("was called orders.csv"), "{asked:?}");
        assert!(asked.stderr.contains("for 2 rows"), "{asked:?}");
    }
    assert!(!sheet.folder().join("ran").exists());
}

/// The copy's log knows no more than the copy shows.
#[test]
fn an_older_version_of_a_renamed_sheet_is_asked_about_beside_a_copy_of_it() {
    for is_output in [true, false] {
        let sheet = TempSheet::new("PO_NUMBER;note\nP1;a\nP2;b\nP3;c\n");
        end(&mut sheet.run("-q", "true")).with(0);
        let older = sheet.text();
        let copy = sheet.folder().join("copy.csv");
        if is_output {
            let output = format!("-q --output {}", copy.display());
            end(&mut sheet.run(&output, "true")).with(0);
        } else {
            std::fs::copy(sheet.path(), &copy).unwrap();
            let mut run = tickoff();
            run.args(["run", "copy.csv", "-q", "--", "true"]);
            end(run.current_dir(sheet.folder())).with(0);
        }
        std::thread::sleep(std::time::Duration::from_millis(1100));
        end(&mut sheet.run("-q --force --limit 1", "true")).with(0);
        rename(&sheet);
        let orders = sheet.folder().join("orders.csv");
        std::fs::write(&orders, older).unwrap();
        crate::fixture::rested(&orders);
        let asked = end(&mut on_orders(&sheet, "status", &[])).with(0);
        assert!(asked.stderr.contains("was called input.csv"), "{asked:?}");
    }
}

/// The save was public under the first name, and shows nothing of what that name's log was told.
#[test]
fn a_save_that_lay_under_the_name_before_is_known_there_though_it_shows_no_result() {
    let sheet = TempSheet::new("PO_NUMBER;note\nP1;a\nP2;b\nP3;c\n");
    end(&mut sheet.run("-q --limit 1", "true")).with(0);
    let stale = "PO_NUMBER;note\nP1;a\nP2;b\nP3;mine\n";
    std::fs::write(sheet.path(), stale).unwrap();
    crate::fixture::rested(sheet.path());
    end(sheet.tickoff("recover").arg("--apply")).with(0);
    rename(&sheet);
    let orders = sheet.folder().join("orders.csv");
    std::fs::write(&orders, stale).unwrap();
    crate::fixture::rested(&orders);
    let asked = end(&mut on_orders(&sheet, "run", &["--", "touch", "ran"])).with(3);
    assert!(asked.stderr.contains("was called input.csv"), "{asked:?}");
    let told = end(&mut on_orders(&sheet, "status", &[])).with(0);
    assert!(told.stderr.contains("was called input.csv"), "{told:?}");
}

/// Of two names that a command is about, what is said is followed as it is written.
#[track_caller]
fn follow(told: &str) {
    let (_, advice) = told.split_once(": mv -n ").unwrap();
    let (mv, recover) = advice.split_once(" and run tickoff recover ").unwrap();
    let (recover, _) = recover.split_once(',').unwrap();
    let script = format!("mv -n {mv} && \"$TICKOFF\" recover {recover}");
    let mut shell = std::process::Command::new("sh");
    shell
        .args(["-c", &script])
        .env("TICKOFF", tickoff().get_program());
    end(&mut shell).with(0);
}

/// Last month's name is used again, and another sheet has this one's old name already.
#[test]
fn a_sheet_that_is_renamed_after_a_crash_is_known_though_both_names_are_used_by_others() {
    enum Way {
        /// The other one was finished; what takes the old name is new.
        Rotated,
        /// The other one was finished, and takes the old name.
        Swapped,
        /// The other one was killed as well.
        BothKilled,
        /// The sheet had the name before.
        Back,
    }
    use Way::*;
    for way in [Rotated, Swapped, BothKilled, Back] {
        let others = "PO_NUMBER;STATUS\nX1;\nX2;\nX3;\nX4;\n";
        let sheet = TempSheet::pending(4);
        let orders = sheet.folder().join("orders.csv");
        let aside = sheet.folder().join("aside");
        let on = |arguments: &[&str]| on_orders(&sheet, arguments[0], &arguments[1..]);
        if let Back = way {
            rename(&sheet);
            end(&mut on(&["set", "PO0", "STATUS=COMPLETED"])).with(0);
            std::fs::rename(&orders, sheet.path()).unwrap();
        } else {
            std::fs::write(&orders, others).unwrap();
            crate::fixture::rested(&orders);
            end(&mut on(&["set", "X1", "STATUS=COMPLETED"])).with(0);
        }
        kill(&sheet);
        match way {
            Rotated | Back => {
                std::fs::rename(sheet.path(), &orders).unwrap();
                std::fs::write(sheet.path(), "PO_NUMBER;STATUS\nY1;\nY2;\n").unwrap();
            }
            Swapped | BothKilled => {
                if let BothKilled = way {
                    kill_on(on(&["apply"]), &orders, ["X2", "X3"]);
                }
                std::fs::rename(&orders, &aside).unwrap();
                std::fs::rename(sheet.path(), &orders).unwrap();
                std::fs::rename(&aside, sheet.path()).unwrap();
            }
        }
        let asked = end(&mut on(&["run", "--", "touch", "ran"])).with(3);
        assert!(asked.stderr.contains("was called input.csv"), "{asked:?}");
        assert!(!sheet.folder().join("ran").exists());
        follow(&asked.stderr);
        assert_eq!(completed(&sheet), if let Back = way { 3 } else { 2 });
        if let BothKilled = way {
            let asked = end(&mut sheet.run("", "true")).with(3);
            assert!(asked.stderr.contains("has results for 2 rows"), "{asked:?}");
            end(sheet.tickoff("recover").arg("--apply")).with(0);
            assert!(sheet.text().contains("X3;COMPLETED"), "{}", sheet.text());
        }
    }
}

/// Its log of that time is taken for its own, though another sheet lies there by now.
#[test]
fn what_was_done_under_another_name_goes_along_though_another_sheet_has_that_now() {
    let sheet = TempSheet::new("PO_NUMBER;note\nP1;a\nP2;b\nP3;c\n");
    end(&mut sheet.run("-q --limit 1", "true")).with(0);
    let older = sheet.text();
    rename(&sheet);
    end(&mut on_orders(&sheet, "run", &["-q", "--", "true"])).with(0);
    let orders = sheet.folder().join("orders.csv");
    std::fs::rename(&orders, sheet.path()).unwrap();
    std::fs::write(&orders, "PO_NUMBER;note\nX1;\nX2;\n").unwrap();
    std::fs::write(sheet.path(), older).unwrap();
    crate::fixture::rested(sheet.path());
    let asked = end(&mut sheet.run("", "touch ran")).with(3);
    assert!(asked.stderr.contains("for 2 rows"), "{asked:?}");
    let told = end(&mut sheet.tickoff("status")).with(0);
    assert!(told.stderr.contains("for 2 rows"), "{told:?}");
    assert!(!sheet.folder().join("ran").exists());
}

/// The log of that other one says nothing of it, and is followed by one that begins with what this sheet shows.
#[test]
fn an_old_save_of_a_sheet_that_has_the_name_of_an_earlier_one_is_asked_about() {
    for is_free in [true, false] {
        let sheet = TempSheet::new("PO_NUMBER;note\nP1;a\nP2;b\nP3;c\nP4;d\n");
        let orders = sheet.folder().join("orders.csv");
        if !is_free {
            std::fs::write(&orders, "PO_NUMBER;note\nX1;\nX2;\n").unwrap();
            crate::fixture::rested(&orders);
            end(&mut on_orders(&sheet, "run", &["-q", "--", "true"])).with(0);
        }
        end(&mut sheet.run("-q --limit 1", "true")).with(0);
        let older = sheet.text();
        end(&mut sheet.run("-q --limit 1", "true")).with(0);
        rename(&sheet);
        end(&mut on_orders(
            &sheet,
            "run",
            &["-q", "--limit", "1", "--", "true"],
        ))
        .with(0);
        std::fs::write(&orders, older).unwrap();
        crate::fixture::rested(&orders);
        let asked = end(&mut on_orders(&sheet, "run", &["--", "touch", "ran"])).with(3);
        assert!(asked.stderr.contains("for 2 rows"), "{is_free}: {asked:?}");
        let told = end(&mut on_orders(&sheet, "status", &[])).with(0);
        assert!(told.stderr.contains("for 2 rows"), "{is_free}: {told:?}");
        end(&mut on_orders(&sheet, "recover", &["--apply"])).with(0);
        assert_eq!(completed(&sheet), 3);
    }
}

/// What is remembered of the name before is missed there too.
#[test]
fn a_sheet_that_has_the_name_of_an_earlier_one_is_not_run_without_the_words_of_its_name_before() {
    let sheet = TempSheet::pending(2);
    let orders = sheet.folder().join("orders.csv");
    std::fs::write(&orders, "PO_NUMBER;STATUS\nX1;\nX2;\n").unwrap();
    crate::fixture::rested(&orders);
    end(&mut on_orders(&sheet, "run", &["-q", "--", "true"])).with(0);
    let settings = sheet.folder().join("tickoff.toml");
    std::fs::write(settings, "['input.csv']\ndone = ['NO_ATTACHMENTS']\n").unwrap();
    let job = "echo STATUS=NO_ATTACHMENTS > $TICKOFF_RESULT";
    end(&mut sheet.run("-q", job)).with(0);
    rename(&sheet);
    for command in [&["run", "--", "touch", "ran"][..], &["check"], &["pending"]] {
        let ended = end(&mut on_orders(&sheet, command[0], &command[1..])).with(3);
        assert!(
            ended.stderr.contains("were written as input.csv"),
            "{ended:?}"
        );
    }
    assert!(!sheet.folder().join("ran").exists());
}

/// What was done under its new name stays, though the log of that is gone and the one of its old name lies there.
#[test]
fn a_row_that_was_done_again_under_a_new_name_whose_log_is_gone_stays_done() {
    let sheet = TempSheet::new("PO_NUMBER;note\nP1;a\nP2;b\n");
    end(&mut sheet.run("-q", "true")).with(0);
    end(sheet.tickoff("set").args(["P1", "STATUS=ERROR"])).with(0);
    rename(&sheet);
    let later = [
        "P1",
        "STATUS=COMPLETED",
        "LAST_PROCESSED=2031-01-05T08:00:00Z",
    ];
    end(&mut on_orders(&sheet, "set", &later)).with(0);
    let orders = sheet.folder().join("orders.csv");
    let done = std::fs::read_to_string(&orders).unwrap();
    std::fs::remove_file(sheet.folder().join(".orders.csv.journal")).unwrap();
    end(&mut on_orders(&sheet, "set", &["P2", "note=x"])).with(0);
    let now = std::fs::read_to_string(&orders).unwrap();
    assert_eq!(now, done.replace("P2;b;", "P2;x;"));
}
