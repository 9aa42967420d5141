//! What comes back from a job: a result as JSON or as lines, what it prints, and the columns that it adds.

use crate::command_line::{Ended, Running, end, wait_until};
use crate::fixture::TempSheet;

const ONE: &str = "PO_NUMBER;STATUS;Title;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;;\n";
const HEADER: &str = "PO_NUMBER;STATUS;Title;LAST_PROCESSED;ERROR_MESSAGE";

fn header(sheet: &TempSheet) -> String {
    sheet.text().lines().next().unwrap().to_owned()
}

/// Runs a command for each row that leaves the file as its result.
#[track_caller]
fn leaves(sheet: &TempSheet, options: &str, result: impl AsRef<[u8]>, and_then: &str) -> Ended {
    std::fs::write(sheet.folder().join("result"), result).unwrap();
    let script = format!("cp result $TICKOFF_RESULT; {and_then}");
    end(&mut sheet.run(options, &script))
}

#[track_caller]
fn check_said(ended: &Ended, said: &str) {
    assert!(ended.stderr.contains(said), "{said}: {ended:?}");
}

fn save(sheet: &TempSheet, text: &str) {
    let new = sheet.folder().join("saved.csv");
    std::fs::write(&new, text).unwrap();
    std::fs::rename(new, sheet.path()).unwrap();
}

mod lines {
    use super::*;

    #[test]
    fn a_result_may_be_lines() {
        let sheet = TempSheet::new(ONE);
        let result = "\u{feff}\r\nTitle=a = b\r\nBody<<END\nx=1\n\nNAME\nEND\nn=1\nN=2\nSTATUS=NO_ATTACHMENTS\n";
        let ended = leaves(&sheet, "", result, "exit 3").with(0);
        assert_eq!(header(&sheet), format!("{HEADER};Body;n"));
        assert_eq!(sheet.cell("P1", "STATUS"), "NO_ATTACHMENTS");
        assert_eq!(sheet.cell("P1", "Title"), "a = b");
        assert_eq!(sheet.cell("P1", "Body"), "x=1\n\nNAME");
        assert_eq!(sheet.cell("P1", "n"), "2");
        assert!(!ended.stderr.contains("twice"), "{ended:?}");
    }

    #[test]
    fn what_begins_with_a_brace_behind_blanks_is_json() {
        let sheet = TempSheet::new(ONE);
        leaves(&sheet, "", "\u{feff} \n {\"Title\":\"a=b\"}", "").with(0);
        assert_eq!(sheet.cell("P1", "Title"), "a=b");
        let sheet = TempSheet::new(ONE);
        leaves(&sheet, "", " {\"Title\":1", "").with(1);
        assert_eq!(sheet.cell("P1", "Title"), "");
        assert_eq!(
            sheet.unplaced(),
            "PO_NUMBER;RAW_ANSWER\nP1;\" {\"\"Title\"\":1\"\n"
        );
    }

    #[test]
    fn an_empty_result_is_none() {
        for result in ["", "\n \r\n"] {
            let sheet = TempSheet::new(ONE);
            leaves(&sheet, "", result, "").with(0);
            assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
            assert_eq!(header(&sheet), HEADER);
        }
    }

    #[test]
    fn of_lines_of_which_one_is_neither_the_good_ones_are_written_and_the_row_is_an_error() {
        for (bad, said) in [
            ("nonsense", "line 2 is no NAME=value or NAME<<MARK"),
            ("Note<<END\nx", "line 2 has a mark that is not there again"),
        ] {
            let sheet = TempSheet::new(ONE);
            let result = format!("Title=t\n{bad}\n");
            leaves(&sheet, "", format!("{result}STATUS=COMPLETED\n"), "").with(1);
            assert_eq!(sheet.cell("P1", "STATUS"), "ERROR");
            assert_eq!(sheet.cell("P1", "Title"), "t");
            assert_eq!(
                sheet.cell("P1", "ERROR_MESSAGE"),
                format!("invalid TICKOFF_RESULT: it is no JSON object, and {said}")
            );
            assert!(sheet.unplaced().contains(bad), "{}", sheet.unplaced());
        }
    }

    #[test]
    fn a_value_that_is_no_utf_8_is_written_as_far_as_it_can_be_and_said() {
        let sheet = TempSheet::new(ONE);
        let ended = leaves(&sheet, "", b"Title=M\xfcller\0\n", "").with(0);
        assert_eq!(sheet.cell("P1", "Title"), "M\u{fffd}ller\u{fffd}");
        check_said(&ended, "what is no UTF-8 is written as U+FFFD key=P1");
        check_said(
            &ended,
            "a NUL byte is written as U+FFFD key=P1 columns=Title",
        );
        let ended = leaves(&sheet, "--force", b"{\"Title\":\"M\xfcller\"}", "").with(0);
        check_said(
            &ended,
            "what is no Unicode is written as U+FFFD: Title key=P1",
        );
    }
}

mod new_columns {
    use super::*;

    #[test]
    fn a_column_that_is_missing_is_added_at_the_end_and_what_was_probably_meant_is_said() {
        let sheet = TempSheet::new(ONE);
        let ended = leaves(&sheet, "", "Titel=x\n colour =red\n", "").with(0);
        assert_eq!(header(&sheet), format!("{HEADER};Titel;colour"));
        assert_eq!(sheet.cell("P1", "Titel"), "x");
        assert_eq!(sheet.cell("P1", "colour"), "red");
        check_said(
            &ended,
            "WARN a result adds the column Titel at the end: did you mean Title? key=P1",
        );
        check_said(
            &ended,
            "INFO a result adds the column colour at the end key=P1",
        );
        let again = leaves(&sheet, "--force", "TITEL=y\n", "").with(0);
        assert!(!again.stderr.contains("adds"), "{again:?}");
        assert_eq!(sheet.cell("P1", "Titel"), "y");
    }

    #[test]
    fn it_is_added_for_a_worker_and_for_apply_as_well() {
        let sheet = TempSheet::new(ONE);
        let worker = r#"while read -r line; do id=${line#*\"id\":}; echo "{\"id\":${id%%,*},\"updates\":{\"Colour\":1.10}}"; done"#;
        end(&mut sheet.run("-j1 --worker-protocol jsonl", worker)).with(0);
        assert_eq!(sheet.cell("P1", "Colour"), "1.10");
        let line = "{\"po_number\":\"P1\",\"updates\":{\"Size\":\"L\"}}\n";
        std::fs::write(sheet.folder().join("lines"), line).unwrap();
        let lines = || std::fs::File::open(sheet.folder().join("lines")).unwrap();
        end(sheet.tickoff("apply").stdin(lines())).with(0);
        assert_eq!(sheet.cell("P1", "Size"), "L");
        assert_eq!(header(&sheet), format!("{HEADER};Colour;Size"));
    }

    #[test]
    fn set_never_adds_one() {
        let sheet = TempSheet::new(ONE);
        end(sheet.tickoff("set").args(["P1", "Colour=red"])).with(1);
        end(sheet.tickoff("set").args(["P1", "SUPPLIER=x"])).with(1);
        assert_eq!(sheet.text(), ONE);
    }

    #[test]
    fn with_no_new_columns_only_the_cells_of_those_that_are_there_are_written() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS;Title\nP1;;\n");
        let result = "Title=t\nTitel=x\nSUPPLIER=Acme\n";
        let ended = leaves(&sheet, "--no-new-columns", result, "").with(1);
        assert_eq!(header(&sheet), HEADER);
        assert_eq!(sheet.cell("P1", "Title"), "t");
        assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
        assert!(!sheet.cell("P1", "LAST_PROCESSED").is_empty());
        assert_eq!(
            sheet.unplaced(),
            "PO_NUMBER;Titel;SUPPLIER\nP1;x;\nP1;;Acme\n"
        );
        check_said(&ended, "did you mean Title?");

        let sheet = TempSheet::new(ONE);
        let line = "{\"po_number\":\"P1\",\"updates\":{\"STATUS\":\"ERROR\",\"Size\":\"L\"}}\n";
        std::fs::write(sheet.folder().join("lines"), line).unwrap();
        let lines = std::fs::File::open(sheet.folder().join("lines")).unwrap();
        end(sheet.tickoff("apply").arg("--no-new-columns").stdin(lines)).with(1);
        assert_eq!(header(&sheet), HEADER);
        assert_eq!(sheet.unplaced(), "PO_NUMBER;Size\nP1;L\n");
    }

    /// Somebody removed the columns meanwhile.
    #[test]
    fn a_rows_state_has_a_column_in_any_case() {
        let sheet = TempSheet::new("PO_NUMBER;Title\nP1;t\n");
        let options = tickoff::Options {
            add_columns: false,
            ..Default::default()
        };
        let handler = tickoff::CsvHandler::open_with(sheet.path(), &options).unwrap();
        let queue = tickoff::WriteQueue::new(std::sync::Arc::new(handler), 8);
        queue.start_writer_thread().unwrap();
        let result = [("STATUS", "ERROR"), ("ERROR_MESSAGE", "why")];
        queue.submit_result("P1", result, false).unwrap();
        queue.flush().unwrap();
        queue.stop_writer_thread(std::time::Duration::MAX).unwrap();
        assert_eq!(
            header(&sheet),
            "PO_NUMBER;Title;STATUS;ERROR_MESSAGE;LAST_PROCESSED"
        );
        assert_eq!(sheet.cell("P1", "ERROR_MESSAGE"), "why");
    }

    #[test]
    fn at_most_64_are_added_to_a_sheet_however_many_sessions_add_them() {
        let sheet = TempSheet::new(ONE);
        let lines = |range: std::ops::Range<usize>| -> String {
            range.map(|n| format!("field {n}=x{n}\n")).collect()
        };
        leaves(&sheet, "", lines(0..40), "").with(0);
        let ended = leaves(&sheet, "--force", lines(30..70), "").with(1);
        let added = |count: usize| -> String {
            let names: String = (0..count).map(|n| format!(";field {n}")).collect();
            format!("{HEADER}{names}")
        };
        assert_eq!(header(&sheet), added(64));
        assert_eq!(sheet.cell("P1", "field 63"), "x63");
        assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
        let rest: Vec<String> = (64..70).map(|n| format!("field {n}")).collect();
        assert_eq!(
            sheet.unplaced(),
            format!("PO_NUMBER;{}\nP1;x64;x65;x66;x67;x68;x69\n", rest.join(";"))
        );
        check_said(&ended, "64 columns were added to this sheet by results");
        // Those of the original system are none of them.
        leaves(&sheet, "--force", "SUPPLIER=Acme\n", "").with(0);
        assert_eq!(header(&sheet), added(64) + ";SUPPLIER");
    }

    #[test]
    fn a_name_that_no_column_can_have_is_kept_with_its_value() {
        let sheet = TempSheet::new(ONE);
        let long = "n".repeat(300);
        let result = format!("{{\"\":\"1\",\"a\\nb\":\"2\",\"{long}\":\"3\",\"é\":\"4\"}}");
        leaves(&sheet, "", result, "").with(1);
        assert_eq!(header(&sheet), format!("{HEADER};é"));
        assert_eq!(
            sheet.unplaced(),
            format!("PO_NUMBER;;\"a\nb\";{long}\nP1;1;2;3\n")
        );
    }

    /// A sheet's delimiter is the one with which its header has the key column.
    #[test]
    fn no_name_changes_how_the_sheet_is_read() {
        let sheet = TempSheet::new("PO_NUMBER,STATUS\nP1,\n");
        leaves(&sheet, "", r#"{"a;PO_NUMBER;b":"1","c;\"d, \"":"2"}"#, "").with(1);
        assert_eq!(
            header(&sheet),
            r#"PO_NUMBER,STATUS,LAST_PROCESSED,ERROR_MESSAGE,"c;""d, """"#
        );
        assert_eq!(sheet.get("P1")["cells"][r#"c;"d, ""#], "2");
        assert_eq!(sheet.unplaced(), "PO_NUMBER;\"a;PO_NUMBER;b\"\nP1;1\n");
    }

    /// The two open the sheet before there is the column.
    #[test]
    fn another_process_keeps_a_column_that_this_one_adds() {
        let sheet = TempSheet::new(ONE.replace("P1;;;;\n", "P1;;;;\nP2;;;;\n"));
        let (adds, other) = (sheet.open(), sheet.open());
        let queue = tickoff::WriteQueue::new(std::sync::Arc::new(adds), 8);
        queue.start_writer_thread().unwrap();
        let editor = std::fs::File::options().append(true).open(sheet.path());
        let result = [("STATUS", "COMPLETED"), ("Colour", "red")];
        let operation = queue.submit_result("P1", result, false).unwrap();
        queue.wait(&operation, tickoff::Until::Durable).unwrap();
        drop(editor.unwrap());
        other.update_record("P2", [("Title", "t")]).unwrap();
        assert_eq!(sheet.cell("P1", "Colour"), "red");
        assert_eq!(sheet.cell("P2", "Title"), "t");
        queue.stop_writer_thread(std::time::Duration::MAX).unwrap();
        assert_eq!(header(&sheet), format!("{HEADER};Colour"));
    }

    #[test]
    fn a_name_that_would_run_as_a_formula_is_refused_on_request() {
        let sheet = TempSheet::new(ONE);
        let ended = leaves(&sheet, "", "{\"@id\":\"x\"}", "").with(0);
        check_said(&ended, "@id would run as a formula");
        assert_eq!(sheet.cell("P1", "@id"), "x");
        let sheet = TempSheet::new(ONE);
        leaves(&sheet, "--formulas reject", "{\"@id\":\"x\"}", "").with(1);
        assert_eq!(header(&sheet), HEADER);
        assert_eq!(sheet.unplaced(), "PO_NUMBER;@id\nP1;x\n");
    }

    const TWO_ROWS: &str = "PO_NUMBER;STATUS;Title;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;;\nP2;;;;\n";
    const A_NEW_COLUMN: &str = "case $TICKOFF_PO in P1) : > begun; await open;; P2) : > held; await go;; esac; echo Colour=$TICKOFF_PO > $TICKOFF_RESULT";

    fn killed_with_a_new_column_in_the_journal(sheet: &TempSheet) {
        let run = Running::start(&mut sheet.run("-q -j1", A_NEW_COLUMN));
        let waits = |name| wait_until(name, || sheet.folder().join(name).exists());
        waits("begun");
        // While somebody has it open for writing nothing becomes visible.
        let editor = std::fs::File::options().append(true).open(sheet.path());
        std::fs::write(sheet.folder().join("open"), "").unwrap();
        waits("held");
        run.kill();
        assert_eq!(header(sheet), HEADER);
        drop(editor.unwrap());
    }

    #[test]
    fn a_column_and_its_cells_outlive_a_kill_before_they_are_visible() {
        let sheet = TempSheet::new(TWO_ROWS);
        killed_with_a_new_column_in_the_journal(&sheet);
        assert_eq!(sheet.get("P1")["cells"]["Colour"], "P1");
        std::fs::write(sheet.folder().join("go"), "").unwrap();
        end(&mut sheet.run("-q -j1", A_NEW_COLUMN)).with(0);
        assert_eq!(header(&sheet), format!("{HEADER};Colour"));
        for po in ["P1", "P2"] {
            assert_eq!(sheet.cell(po, "Colour"), po);
        }
    }

    #[test]
    fn who_gives_the_results_up_gets_no_column_of_theirs() {
        let sheet = TempSheet::new(TWO_ROWS);
        killed_with_a_new_column_in_the_journal(&sheet);
        end(sheet.tickoff("recover").arg("--discard")).with(0);
        assert_eq!(sheet.text(), TWO_ROWS);
    }

    /// Its author had the sheet from before the column.
    #[test]
    fn a_column_that_a_stale_save_lacks_comes_back_with_its_results() {
        let before = ONE.replace("P1;;;;\n", "P0;;;;\nP1;;;;\nP2;;;;\n");
        for is_closed in [false, true] {
            let sheet = TempSheet::new(&before);
            let script = "echo Colour=$TICKOFF_PO > $TICKOFF_RESULT; [ $TICKOFF_PO != P2 ] || { : > held; await go; }";
            let mut run = Some(Running::start(&mut sheet.run("-q -j1", script)));
            wait_until("two results are visible", || {
                sheet.text().matches(";COMPLETED;").count() == 2
                    && sheet.folder().join("held").exists()
            });
            if is_closed {
                std::fs::write(sheet.folder().join("go"), "").unwrap();
                run.take().unwrap().end().with(0);
            }
            save(&sheet, &before.replace("P1;;;", "P1;;mine;"));
            match run {
                Some(run) => {
                    std::fs::write(sheet.folder().join("go"), "").unwrap();
                    run.end().with(0);
                }
                None => {
                    end(&mut sheet.run("-q -j1", script)).with(3);
                    end(sheet.tickoff("recover").arg("--apply")).with(0);
                }
            }
            assert_eq!(sheet.cell("P1", "Title"), "mine");
            for (po, row) in sheet.table() {
                assert_eq!((&*row["STATUS"], &row["Colour"]), ("COMPLETED", &po));
            }
            // It is still one of those that were added: 63 may follow.
            let lines: String = (0..64).map(|n| format!("f{n}=x\n")).collect();
            leaves(&sheet, "-q --force --only P0", lines, "").with(1);
            assert_eq!(header(&sheet).split(';').count(), 5 + 64);
        }
    }

    #[test]
    fn the_columns_of_the_state_come_back_together() {
        let before = "PO_NUMBER;Title\nP1;\nP2;\n";
        for is_closed in [false, true] {
            let sheet = TempSheet::new(before);
            let script = "[ $TICKOFF_PO != P2 ] || { : > held; await go; }";
            let mut run = Some(Running::start(&mut sheet.run("-q -j1", script)));
            wait_until("a result is visible", || {
                sheet.text().contains(";COMPLETED;") && sheet.folder().join("held").exists()
            });
            std::fs::write(sheet.folder().join("go"), "").unwrap();
            if is_closed {
                run.take().unwrap().end().with(0);
            }
            save(&sheet, &before.replace("P1;", "P1;mine"));
            match run {
                Some(run) => {
                    run.end().with(0);
                }
                None => {
                    end(sheet.tickoff("recover").arg("--apply")).with(0);
                }
            }
            assert_eq!(
                header(&sheet),
                "PO_NUMBER;Title;STATUS;LAST_PROCESSED;ERROR_MESSAGE"
            );
            for po in ["P1", "P2"] {
                assert_eq!(sheet.cell(po, "STATUS"), "COMPLETED");
            }
        }
    }

    #[test]
    fn a_column_that_was_removed_comes_back_with_the_next_result_and_the_old_ones_are_in_a_copy() {
        let sheet = TempSheet::new(ONE);
        leaves(&sheet, "", "Colour=red\n", "").with(0);
        let without = |text: &str| -> String {
            let cut = |line: &str| line.rsplit_once(';').unwrap().0.to_owned() + "\n";
            text.lines().map(cut).collect()
        };
        save(&sheet, &without(&sheet.text()));
        let ended = leaves(&sheet, "--force", "Title=t\n", "").with(1);
        check_said(&ended, "another program removed columns that hold results");
        assert_eq!(header(&sheet), HEADER);
        assert_eq!(sheet.unplaced(), "PO_NUMBER;Colour\nP1;red\n");
        leaves(&sheet, "--force", "Colour=blue\n", "").with(0);
        assert_eq!(sheet.cell("P1", "Colour"), "blue");
    }

    #[test]
    fn a_note_beside_the_table_stays_beside_it() {
        let sheet = TempSheet::new(ONE.replace("P1;;;;\n", "P1;;;;;a note\nP2;;;;\n"));
        leaves(&sheet, "", "Colour=red\n", "").with(0);
        assert_eq!(header(&sheet), format!("{HEADER};Colour"));
        assert!(sheet.text().contains(";red;a note\n"), "{}", sheet.text());
    }
}

mod stdout {
    use super::*;

    #[track_caller]
    fn check(script: &str, status: &str, said: &str) -> Ended {
        let sheet = TempSheet::new(ONE);
        let options = "--stdout-to title --retries 1 --backoff 0s --timeout 2s";
        let ended = end(&mut sheet.run(options, script));
        assert_eq!(sheet.cell("P1", "STATUS"), status, "{ended:?}");
        assert_eq!(sheet.cell("P1", "Title"), said);
        assert_eq!(ended.stdout, "");
        assert_eq!(header(&sheet), HEADER);
        ended
    }

    #[test]
    fn what_a_command_prints_becomes_the_cell_without_the_line_ends_at_its_end() {
        check("printf ' a\\n\\nb \\n\\r\\n\\n'", "COMPLETED", " a\n\nb ");
        check(":", "COMPLETED", "");
    }

    #[test]
    fn it_is_written_whatever_becomes_of_the_row() {
        check("echo a; exit 3", "ERROR", "a");
        check("echo a; kill -9 $$", "ERROR", "a");
        check("echo a; exec sleep 100", "ERROR", "a");
        check("echo a; echo nonsense > $TICKOFF_RESULT", "ERROR", "a");
    }

    #[test]
    fn a_failure_that_prints_nothing_leaves_the_cell_as_it_is() {
        let text = ONE.replace("P1;;;;", "P1;;call back in May;;");
        let check = |script: &str, status: &str, title: &str| {
            let sheet = TempSheet::new(&text);
            end(&mut sheet.run("--stdout-to Title --timeout 2s", script));
            assert_eq!(sheet.cell("P1", "STATUS"), status);
            assert_eq!(sheet.cell("P1", "Title"), title, "{script}");
        };
        check("exit 1", "ERROR", "call back in May");
        check("echo; kill -9 $$", "ERROR", "call back in May");
        check("exec sleep 100", "ERROR", "call back in May");
        check(
            "echo STATUS=FAILED > $TICKOFF_RESULT",
            "FAILED",
            "call back in May",
        );
        check(
            "echo nonsense > $TICKOFF_RESULT",
            "ERROR",
            "call back in May",
        );
        check("echo x; exit 1", "ERROR", "x");
        check(":", "COMPLETED", "");
    }

    #[test]
    fn it_is_that_of_the_last_attempt() {
        check("echo $TICKOFF_ATTEMPT; exit 75", "ERROR", "2");
        check(
            "echo $TICKOFF_ATTEMPT; [ $TICKOFF_ATTEMPT = 2 ] || exit 75",
            "COMPLETED",
            "2",
        );
    }

    #[test]
    fn a_result_that_names_the_column_wins() {
        let named = "echo printed; echo '{\" TITLE\":\"named\"}' > $TICKOFF_RESULT";
        check(named, "COMPLETED", "named");
        check(&format!("{named}; exit 3"), "ERROR", "named");
    }

    #[test]
    fn more_than_a_cell_holds_is_shortened_and_said() {
        let sheet = TempSheet::new(ONE);
        let script = "echo first; seq 2000000; echo last";
        let ended = end(&mut sheet.run("--stdout-to Title --results res", script)).with(0);
        let cell = sheet.cell("P1", "Title");
        assert_eq!(cell.chars().count(), tickoff::MAX_VALUE_CHARS);
        assert!(cell.starts_with("first\n1\n2\n") && cell.ends_with("\n2000000\nlast"));
        check_said(
            &ended,
            "its start and its end are written key=P1 columns=Title",
        );
        // All of it is kept.
        let kept = std::fs::metadata(sheet.folder().join("res/P1/stdout")).unwrap();
        assert_eq!(kept.len(), 6 + 5 + 14_888_896);
    }

    #[test]
    fn what_is_no_text_is_written_as_far_as_it_can_be_and_said() {
        let ended = check(
            "printf 'M\\374ller\\000\\n'",
            "COMPLETED",
            "M\u{fffd}ller\u{fffd}",
        );
        check_said(
            &ended,
            "what is no UTF-8 is written as U+FFFD key=P1 column=title",
        );
        check_said(
            &ended,
            "a NUL byte is written as U+FFFD key=P1 columns=title",
        );
    }

    #[test]
    fn a_process_that_is_left_behind_with_it_is_not_waited_for() {
        check("echo a; sleep 100 & echo $! > pid", "COMPLETED", "a");
    }

    #[test]
    fn a_column_that_is_missing_is_added_or_refused_before_anything_is_changed() {
        let sheet = TempSheet::new(ONE);
        let script = "echo ran >> ran; echo x";
        for options in [
            "--no-new-columns --stdout-to Titel",
            "--no-new-columns --stdout-to Titel --dry-run",
            "--no-new-columns --stdout-to Titel --output copy.csv",
        ] {
            let ended = end(&mut sheet.run(options, script)).with(3);
            check_said(&ended, "--stdout-to: no column Titel in the sheet");
            check_said(&ended, "did you mean Title?");
        }
        assert_eq!(sheet.text(), ONE);
        assert_eq!(sheet.backup_names(), [""; 0]);
        assert!(!sheet.folder().join("ran").exists() && !sheet.folder().join("copy.csv").exists());
        let ended = end(&mut sheet.run("--stdout-to Titel", script)).with(0);
        assert_eq!(sheet.cell("P1", "Titel"), "x");
        check_said(&ended, "did you mean Title?");
    }

    #[test]
    fn the_key_and_the_state_are_not_a_commands_to_print() {
        let sheet = TempSheet::new(ONE);
        let main = ["po_number", "Status", "ERROR_MESSAGE", "LAST_PROCESSED"];
        let of_stage = ["OCR_status", "ocr_ERROR_MESSAGE", "ocr_LAST_PROCESSED"];
        for column in main.into_iter().chain(of_stage) {
            let options = format!("--stage ocr --stdout-to {column}");
            let ended = end(&mut sheet.run(&options, "echo x")).with(2);
            check_said(&ended, "name another column");
        }
        end(&mut sheet.run("--worker-protocol jsonl --stdout-to Title", "cat")).with(2);
        assert_eq!(sheet.text(), ONE);
    }
}

mod retry_on {
    use super::*;

    /// How often a command was tried that ends like this.
    #[track_caller]
    fn tries(options: &str, ends: &str) -> usize {
        let sheet = TempSheet::new(ONE);
        let options = format!("--retries 2 --backoff 0s {options}");
        end(&mut sheet.run(&options, &format!("echo try >> tries; {ends}"))).with(1);
        sheet.lines("tries").len()
    }

    #[test]
    fn a_command_is_tried_again_after_the_codes_that_are_named() {
        assert_eq!(tries("", "exit 7"), 1);
        for codes in ["7", "5,7", "6-8", "any"] {
            assert_eq!(
                tries(&format!("--retry-on {codes}"), "exit 7"),
                3,
                "{codes}"
            );
        }
        assert_eq!(tries("--retry-on 7", "exit 8"), 1);
        assert_eq!(tries("--retry-on 7", "exit 75"), 3);
    }

    #[test]
    fn any_is_no_signal_and_no_timeout() {
        assert_eq!(tries("--retry-on any", "kill -9 $$"), 1);
        assert_eq!(tries("--retry-on any --timeout 200ms", "exec sleep 100"), 1);
    }

    #[test]
    fn the_last_attempt_counts_as_any_other_end_with_that_code() {
        let sheet = TempSheet::new(ONE);
        let script = "echo no >&2; echo Title=$TICKOFF_ATTEMPT > $TICKOFF_RESULT; exit $CODE";
        let options = "--retries 1 --backoff 0s --retry-on 7 --retry-failed";
        let fails = |code: &str| end(sheet.run(options, script).env("CODE", code)).with(1);
        end(&mut sheet.run("-q", "exit 1")).with(1);
        for code in ["7", "75"] {
            fails(code);
            assert_eq!(
                sheet.cell("P1", "ERROR_MESSAGE"),
                format!("exit {code}: no")
            );
            assert_eq!(sheet.cell("P1", "Title"), "2");
        }
    }

    #[test]
    fn what_is_no_exit_code_is_a_usage_error() {
        let sheet = TempSheet::new(ONE);
        for codes in ["0", "256", "x", "9-7", "any,1", "1,"] {
            let ended = end(&mut sheet.run(&format!("--retry-on {codes}"), "true")).with(2);
            check_said(&ended, "exit codes from 1 to 255");
        }
        end(&mut sheet.run("--worker-protocol jsonl --retry-on 1", "cat")).with(2);
        assert_eq!(sheet.text(), ONE);
    }
}
