//! `tickoff run`: which POs it processes, in which order, and what it would do.

use std::process::Command;

use crate::command_line::{Running, bytes, end, tickoff};
use crate::fixture::TempSheet;

const SHEET: &str = "PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED;ERROR_MESSAGE\nP1;;Acme;;\nP2;ERROR;Globex;;old\nP3;COMPLETED;Acme;2026-01-05T10:00:00Z;\nP4;pending; Acme ;;\nP5;NO_ATTACHMENTS;acme;;\n";

/// Notes the PO.
const NOTE: &str = "echo $TICKOFF_PO >> notes";

/// The POs that a run with these options processes, in its order.
#[track_caller]
fn processed(options: &str) -> Vec<String> {
    let sheet = TempSheet::new(SHEET);
    end(&mut sheet.run(&format!("-j 1 {options}"), NOTE)).with(0);
    sheet.lines("notes")
}

/// A command line is refused, and nothing is changed or made.
#[track_caller]
fn check_refused(options: &str, code: i32, says: &str) {
    let sheet = TempSheet::new(SHEET);
    let ended = end(&mut sheet.run(options, NOTE)).with(code);
    assert!(ended.stderr.contains(says), "{}", ended.stderr);
    assert_eq!(sheet.text(), SHEET);
    assert_eq!(sheet.leftovers(), [""; 0]);
    assert_eq!(sheet.backup_names(), [""; 0]);
}

mod which {
    use super::*;

    #[test]
    fn rows_whose_cells_are_as_where_says() {
        assert_eq!(processed("--where supplier=Acme"), ["P1", "P4"]);
        assert_eq!(processed("--where STATUS=PENDING"), ["P1", "P4"]);
        assert_eq!(
            processed("--where STATUS=pending --where SUPPLIER=Globex"),
            [""; 0]
        );
        assert_eq!(processed("--where ERROR_MESSAGE=old"), ["P2"]);
    }

    #[test]
    fn a_value_may_hold_an_equals_sign_and_be_empty() {
        let sheet = TempSheet::new("PO_NUMBER;URL\nP1;https://x/?a=b\nP2;\n");
        let pending = |condition| {
            end(sheet.tickoff("pending").args(["--where", condition]))
                .with(0)
                .stdout
        };
        assert_eq!(pending("URL=https://x/?a=b"), "P1\n");
        assert_eq!(pending("URL="), "P2\n");
    }

    const PRICES: &str = "PO_NUMBER;STATUS;Name;Price;LAST_PROCESSED\nP1;;Acme;9;\nP2;ERROR;Globex, Inc.;10.5;\nP3;COMPLETED;Acme;200;2026-01-05T10:00:00Z\nP4;PARTIAL;acme;none;\nP5;on hold;Initech;30;\n";

    /// The POs that `pending` lists for these conditions.
    #[track_caller]
    fn pending_where(conditions: &[&str], expected: &str) {
        let sheet = TempSheet::new(PRICES);
        let mut pending = sheet.tickoff("pending");
        for condition in conditions {
            pending.args(["--where", condition]);
        }
        let listed = end(&mut pending).with(0).stdout;
        assert_eq!(
            listed.split_whitespace().collect::<Vec<_>>().join(" "),
            expected,
            "{conditions:?}"
        );
    }

    #[test]
    fn a_cell_is_one_of_a_list_or_none_of_it() {
        pending_where(&["STATUS=ERROR,partial"], "P2 P4");
        pending_where(&["STATUS!=ERROR,partial"], "P1");
        pending_where(&["STATUS="], "P1");
        pending_where(&["STATUS!="], "P2 P4");
        pending_where(&["Name=Acme,\"Globex, Inc.\""], "P1 P2");
        pending_where(&["Name!=Acme"], "P2 P4");
    }

    #[test]
    fn a_cell_matches_a_regular_expression_or_does_not() {
        pending_where(&["Name~(?i)^acme$"], "P1 P4");
        pending_where(&["Name !~ (?i)^acme$"], "P2");
        pending_where(&["STATUS~^P"], "P1 P4");
        pending_where(&["error_message!~."], "P1 P2 P4");
    }

    #[test]
    fn cells_are_compared_as_numbers_and_otherwise_as_texts() {
        pending_where(&["Price<10"], "P1");
        pending_where(&["Price>=10", "Price<=10.50"], "P2");
        pending_where(&["Price>100"], "P4");
        pending_where(&["Name<B"], "P1");
    }

    #[test]
    fn a_status_that_is_neither_known_nor_in_the_sheet_is_a_usage_error() {
        let sheet = TempSheet::new(PRICES);
        let ask = |options: &[&str]| end(sheet.tickoff("pending").args(options));
        for condition in ["STATUS=EROR", "status!=ERROR,EROR"] {
            let ended = ask(&["--where", condition]).with(2);
            let says = "tickoff: no row has the STATUS EROR, and nobody knows such a word: did you mean ERROR?\n";
            assert_eq!(ended.stderr, says);
            for more in ["", "--dry-run", "--output copy.csv"] {
                let options = format!("--where {condition} {more}");
                end(&mut sheet.run(&options, NOTE)).with(2);
                assert_eq!(sheet.text(), PRICES);
                assert_eq!(sheet.leftovers(), [""; 0]);
                assert!(!sheet.backups().exists());
            }
        }
        assert_eq!(ask(&["--where", "STATUS=ON HOLD"]).with(0).stdout, "");
        let told = ["--where", "STATUS=lost,on hold", "--todo", "on hold,lost"];
        assert_eq!(ask(&told).with(0).stdout, "P5\n");
        ask(&["--where", "STATUS~EROR"]).with(0);
    }

    #[test]
    fn a_regular_expression_that_is_none_is_a_usage_error_that_shows_the_place() {
        let sheet = TempSheet::new(PRICES);
        let ended = end(sheet.tickoff("pending").args(["--where", "Name~a(b"])).with(2);
        assert!(
            ended.stderr.contains("    a(b\n     ^\n"),
            "{}",
            ended.stderr
        );
    }

    #[test]
    fn pending_shows_what_where_would_process() {
        let sheet = TempSheet::new(SHEET);
        let ended = end(sheet.tickoff("pending").args([
            "--where",
            "Supplier = Acme",
            "--where",
            "STATUS=",
        ]));
        assert_eq!(ended.with(0).stdout, "P1\nP4\n");
        let ended = end(sheet.tickoff("pending").args(["--where", "Colour=red"])).with(2);
        assert!(ended.stderr.contains("no column Colour in the sheet"));
    }

    #[test]
    fn a_column_that_is_not_there_is_refused_before_anything_changes() {
        check_refused(
            "--where Colour=red",
            2,
            "no column Colour in the sheet, which has PO_NUMBER, STATUS, SUPPLIER, LAST_PROCESSED, ERROR_MESSAGE",
        );
        check_refused(
            "--where Colour",
            2,
            "the value that its cell is compared with",
        );
    }

    #[test]
    fn pos_that_are_named() {
        assert_eq!(processed("--only P4 --only P1"), ["P1", "P4"]);
        assert_eq!(processed("--only P4 --only P1 --limit 1"), ["P1"]);
        assert_eq!(processed("--only P4 --only P2 --retry-failed"), ["P2"]);
    }

    #[test]
    fn the_file_may_stand_behind_a_named_po() {
        let sheet = TempSheet::new(SHEET);
        end(tickoff()
            .args(["run", "--only", "P1"])
            .arg(sheet.path())
            .args(["--", "true"]))
        .with(0);
        assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
        assert_eq!(sheet.cell("P4", "STATUS"), "pending");
    }

    #[test]
    fn a_named_po_that_is_not_there_is_refused_before_anything_changes() {
        check_refused("--only P1 --only P9", 1, "no row has the key P9");
    }

    #[test]
    fn no_copy_is_made_or_changed_for_what_is_not_there() {
        let sheet = TempSheet::new(SHEET);
        for (wrong, code) in [("--only P9", 1), ("--where Colour=red", 2)] {
            end(&mut sheet.run(&format!("--output copy.csv {wrong}"), NOTE)).with(code);
            assert_eq!(sheet.leftovers(), [""; 0]);
        }
        end(&mut sheet.run("--output copy.csv --only P1", NOTE)).with(0);
        let copy = bytes(&sheet.folder().join("copy.csv"));
        std::fs::write(sheet.path(), format!("{SHEET}P6;;;;\n")).unwrap();
        end(&mut sheet.run("--output copy.csv --only P9", NOTE)).with(1);
        assert_eq!(bytes(&sheet.folder().join("copy.csv")), copy);
        end(&mut sheet.run("--output copy.csv --only P6", NOTE)).with(0);
        assert_eq!(sheet.lines("notes"), ["P1", "P6"]);
    }

    #[test]
    fn a_named_po_that_is_done_is_skipped_and_named_unless_forced() {
        let sheet = TempSheet::new(SHEET);
        let ended = end(&mut sheet.run("--only P3 --only P1", NOTE)).with(0);
        assert!(
            ended
                .stderr
                .contains("P3 is done, and skipped; --force processes it again"),
            "{}",
            ended.stderr
        );
        assert_eq!(sheet.lines("notes"), ["P1"]);
        let ended = end(&mut sheet.run("--only P3 --force", NOTE)).with(0);
        assert!(!ended.stderr.contains("skipped;"), "{}", ended.stderr);
        assert_eq!(sheet.lines("notes"), ["P1", "P3"]);
    }

    #[test]
    fn those_that_failed() {
        assert_eq!(processed("--retry-failed"), ["P2"]);
    }

    #[test]
    fn none_is_no_failure_and_changes_nothing() {
        let sheet = TempSheet::new(SHEET);
        let ended = end(&mut sheet.run("--where SUPPLIER=Nobody", NOTE)).with(0);
        assert!(ended.stderr.contains("nothing to do"), "{}", ended.stderr);
        assert_eq!(sheet.text(), SHEET);
        assert_eq!(sheet.backup_names(), [""; 0]);
        let sheet = TempSheet::new("PO_NUMBER;STATUS\n");
        end(&mut sheet.run("--shuffle --retry-failed", NOTE)).with(0);
    }

    #[test]
    fn result_columns_that_the_run_adds_can_be_asked_for() {
        let sheet = TempSheet::new("PO_NUMBER\nP1\nP2\n");
        end(&mut sheet.run("-j 1 --where STATUS=PENDING --limit 1", NOTE)).with(0);
        end(&mut sheet.run("-j 1 --where STATUS=PENDING", NOTE)).with(0);
        assert_eq!(sheet.lines("notes"), ["P1", "P2"]);
    }
}

mod in_which_order {
    use super::*;

    #[track_caller]
    fn order(sheet: &TempSheet, options: &str) -> Vec<String> {
        std::fs::remove_file(sheet.folder().join("notes")).ok();
        end(&mut sheet.run(&format!("-j 1 {options}"), NOTE)).with(0);
        sheet.lines("notes")
    }

    #[test]
    fn a_seed_gives_the_same_order_again_and_a_run_that_goes_on_keeps_it() {
        let whole = order(&TempSheet::pending(40), "--shuffle --seed 5");
        let mut sorted = whole.clone();
        sorted.sort();
        sorted.dedup();
        assert_eq!(sorted.len(), 40);
        assert_ne!(whole, order(&TempSheet::pending(40), ""));
        assert_ne!(whole, order(&TempSheet::pending(40), "--shuffle --seed 6"));

        let sheet = TempSheet::pending(40);
        let parts = [
            order(&sheet, "--shuffle --seed 5 --limit 15"),
            order(&sheet, "--shuffle --seed 5"),
        ];
        assert_eq!(parts[0].len(), 15);
        assert_eq!(parts.concat(), whole);
    }

    #[test]
    fn the_seed_that_was_chosen_is_said() {
        let sheet = TempSheet::pending(40);
        let said = end(sheet
            .tickoff("run")
            .args(["--shuffle", "--dry-run", "--", "echo", "{}"]));
        let (_, seed) = said.stderr.split_once("--seed ").unwrap();
        let seed = seed.split(' ').next().unwrap();
        let again = end(sheet.tickoff("run").args([
            "--shuffle",
            "--seed",
            seed,
            "--dry-run",
            "--",
            "echo",
            "{}",
        ]));
        assert_eq!(said.stdout, again.stdout);
        assert_eq!(again.stdout.lines().count(), 40);
    }

    #[test]
    fn a_seed_without_shuffle_is_refused() {
        check_refused("--seed 5", 2, "--shuffle");
    }
}

mod dry_run {
    use super::*;

    /// Every file of the sheet's folder, with what is in it and its inode.
    fn files(sheet: &TempSheet) -> Vec<(String, u64, Vec<u8>)> {
        use std::os::unix::fs::MetadataExt;
        let mut files: Vec<_> = std::fs::read_dir(sheet.folder())
            .unwrap()
            .map(|entry| {
                let entry = entry.unwrap();
                let metadata = entry.metadata().unwrap();
                let contents = if metadata.is_file() {
                    bytes(&entry.path())
                } else {
                    vec![]
                };
                (
                    entry.file_name().into_string().unwrap(),
                    metadata.ino(),
                    contents,
                )
            })
            .collect();
        files.sort();
        files
    }

    #[track_caller]
    fn dry(sheet: &TempSheet, options: &str) -> String {
        let before = files(sheet);
        let ended = end(sheet.tickoff("run").args(options.split_whitespace()).args([
            "--dry-run",
            "--",
            "echo",
            "{}",
        ]))
        .with(0);
        assert_eq!(files(sheet), before);
        ended.stdout
    }

    #[test]
    fn what_a_run_would_ask_it_asks_as_well() {
        for (options, name) in [("", "input.csv"), ("--output copy.csv", "copy.csv")] {
            let sheet = TempSheet::new(SHEET);
            let path = sheet.folder().join(name);
            let older = SHEET.as_bytes();
            end(&mut sheet.run(options, "true"));
            std::fs::write(&path, older).unwrap();
            crate::fixture::rested(&path);
            let before = files(&sheet);
            let dry = end(&mut sheet.run(&format!("{options} --dry-run"), "true")).with(3);
            assert_eq!(files(&sheet), before);
            assert_eq!(dry.stdout, "");
            let run = end(&mut sheet.run(options, "true")).with(3);
            assert_eq!(dry.stderr, run.stderr);
            assert!(run.stderr.contains("older version of itself"), "{run:?}");
        }
    }

    #[test]
    fn the_commands_are_shown_and_nothing_is_changed_or_made() {
        let sheet = TempSheet::new(SHEET);
        assert_eq!(dry(&sheet, ""), "echo P1\necho P2\necho P4\necho P5\n");
        assert_eq!(dry(&sheet, "--limit 2"), "echo P1\necho P2\n");
        assert_eq!(dry(&sheet, "--where SUPPLIER=Acme"), "echo P1\necho P4\n");
        assert_eq!(dry(&sheet, "--only P4 --only P3"), "echo P4\n");
        assert_eq!(dry(&sheet, "--retry-failed"), "echo P2\n");
        assert_eq!(
            dry(&sheet, "--force --limit 3"),
            "echo P1\necho P2\necho P3\n"
        );
        assert_eq!(dry(&sheet, "--where SUPPLIER=Nobody"), "");
        dry(&sheet, "--joblog log --events ev --results res");
        // A sheet to which columns would be added.
        assert_eq!(dry(&TempSheet::new("PO_NUMBER\nP1\n"), ""), "echo P1\n");
    }

    #[test]
    fn its_order_is_that_of_the_run() {
        let sheet = TempSheet::pending(20);
        let shown = dry(&sheet, "--shuffle --seed 9 --limit 7").replace("echo ", "");
        end(&mut sheet.run("-j 1 --shuffle --seed 9 --limit 7", NOTE)).with(0);
        assert_eq!(shown.lines().collect::<Vec<_>>(), sheet.lines("notes"));
    }

    #[test]
    fn a_shell_that_gets_them_does_what_the_run_does() {
        let sheet = TempSheet::new(
            "PO_NUMBER;NOTE\nP1;it's $(touch hacked) `id`!\n\"a\nb\";\"\u{1b}[31m \"\"x\"\" \\\"\n../x;\u{202e}é;\n-n;\n",
        );
        let command = ["--", "printf", r"<%s>\n", "{}", "{NOTE}", "", "*"];
        let shown = end(sheet.tickoff("run").arg("--dry-run").args(command))
            .with(0)
            .stdout;
        assert_eq!(tickoff::escape(&shown), shown.replace('\n', "\\n"));
        assert_eq!(shown.lines().count(), 4);
        let pasted = Command::new("bash")
            .args(["-c", &shown])
            .env("LC_ALL", "C.UTF-8")
            .current_dir(sheet.folder())
            .output()
            .unwrap();
        let run = end(sheet.tickoff("run").args(["-j", "1"]).args(command)).with(0);
        assert_eq!(String::from_utf8(pasted.stdout).unwrap(), run.stdout);
        assert_eq!(sheet.leftovers(), [""; 0]);
    }

    #[test]
    fn what_is_left_of_a_copy_is_shown_and_the_rows_that_are_new_in_the_input() {
        let sheet = TempSheet::new("PO_NUMBER;NOTE\nP1;a\nP2;b\nP3;c\n");
        let shown = "--output copy.csv";
        assert_eq!(dry(&sheet, shown), "echo P1\necho P2\necho P3\n");
        end(&mut sheet.run("-j 1 --output copy.csv --limit 2", "true")).with(0);
        assert_eq!(dry(&sheet, shown), "echo P3\n");
        std::fs::write(sheet.path(), "PO_NUMBER;NOTE\nP4;d\nP1;a\nP3;c").unwrap();
        assert_eq!(dry(&sheet, shown), "echo P3\necho P4\n");
        let run = end(sheet.tickoff("run").args([
            "-j", "1", "--output", "copy.csv", "--", "echo", "{}", "{NOTE}",
        ]));
        assert_eq!(run.with(0).stdout, "P3 c\nP4 d\n");
        assert_eq!(dry(&sheet, shown), "");
    }

    #[test]
    fn the_input_itself_is_no_copy() {
        let sheet = TempSheet::new(SHEET);
        let ended =
            end(sheet
                .tickoff("run")
                .args(["--dry-run", "--output", "input.csv", "--", "true"]));
        ended.with(2);
    }

    #[test]
    fn a_run_that_is_going_on_is_not_waited_for_and_its_results_count() {
        let sheet = TempSheet::new(SHEET);
        let run = Running::start(&mut sheet.run(
            "-j 1",
            "test $TICKOFF_PO = P1 || { echo > second; await go; }",
        ));
        crate::command_line::wait_until("the second command runs", || {
            sheet.folder().join("second").exists()
        });
        let shown = end(sheet.tickoff("run").args(["--dry-run", "--", "echo", "{}"])).with(0);
        assert_eq!(shown.stdout, "echo P2\necho P4\necho P5\n");
        std::fs::write(sheet.folder().join("go"), "").unwrap();
        run.end().with(0);
    }

    #[test]
    fn a_command_that_is_not_there_is_noticed() {
        let sheet = TempSheet::new(SHEET);
        end(sheet.tickoff("run").args(["--dry-run", "--", "./none"])).with(127);
    }
}

mod halt {
    use super::*;

    #[track_caller]
    fn check(halt: &str, fail: &str, code: i32, begun: usize) {
        let sheet = TempSheet::pending(10);
        let script =
            format!("echo $TICKOFF_PO >> notes; case $TICKOFF_PO in {fail}) exit 1;; esac");
        end(&mut sheet.run(&format!("-j 1 --halt {halt}"), &script)).with(code);
        assert_eq!(sheet.lines("notes").len(), begun);
    }

    #[test]
    fn a_percentage_halts_once_three_pos_failed_and_are_so_many_of_those_processed() {
        check("soon,fail=100%", "*", 5, 3);
        check("now,fail=50%", "PO[1357]", 5, 6);
        check("soon,fail=51%", "PO[13579]", 1, 10);
        check("soon,fail=1%", "PO[0-1]", 1, 10);
    }
}
