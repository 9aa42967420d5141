//! Every command of the program but `run`: what it prints, what it changes, and its exit code.

use std::io::{BufRead, BufReader, Write};
use std::process::Stdio;

use serde_json::{Value, json};

use crate::command_line::{end, tickoff};
use crate::fixture::TempSheet;

const SHEET: &str = "PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED;ERROR_MESSAGE;note\nP1;PENDING;\"Ac;me\";;;\nP2;COMPLETED;;2026-01-05T10:00:00Z;;\nP3;ERROR;;2026-01-05T10:00:00Z;broke;\nP4;NO_ATTACHMENTS;;;;\nP5;odd\u{1b}[31m;;;;\n;;;;;\n";

mod status {
    use super::*;

    #[test]
    fn it_counts_every_row_once() {
        let sheet = TempSheet::new(SHEET);
        let ended = end(&mut sheet.tickoff("status")).with(0);
        let counts: Vec<_> = ended
            .stdout
            .lines()
            .take(6)
            .map(|line| &line[..17])
            .collect();
        assert_eq!(
            counts,
            [
                "total           5",
                "completed       1",
                "pending         1",
                "error           1",
                "no_attachments  1",
                "other           1",
            ]
        );
        let ended = end(sheet.tickoff("status").arg("--json")).with(0);
        assert_eq!(
            ended.stdout,
            "{\"total\":5,\"completed\":1,\"pending\":1,\"error\":1,\"no_attachments\":1,\"other\":1,\"words\":{\"PENDING\":1,\"COMPLETED\":1,\"ERROR\":1,\"NO_ATTACHMENTS\":1,\"odd\\u001b[31m\":1},\"last_result\":\"2026-01-05T10:00:00Z\",\"session\":null,\"not_visible\":0,\"errors\":[{\"message\":\"broke\",\"rows\":1,\"example\":\"P3\"}]}\n"
        );
        assert_eq!(ended.stderr, "");
        assert_eq!(
            std::fs::read_dir(sheet.folder()).unwrap().count(),
            1,
            "reading leaves nothing beside the sheet"
        );
    }
}

mod pending {
    use super::*;

    #[test]
    fn it_lists_what_a_run_would_process() {
        let sheet = TempSheet::new(SHEET);
        assert_eq!(
            end(&mut sheet.tickoff("pending")).with(0).stdout,
            "P1\nP3\nP4\n",
            "P5 has a word that nobody knows"
        );
        let mut widened = sheet.tickoff("pending");
        widened.args(["--done", "NO_ATTACHMENTS,ERROR"]);
        assert_eq!(end(&mut widened).with(0).stdout, "P1\n");
        let mut told = sheet.tickoff("pending");
        told.args(["--todo", "ODD\u{1b}[31m"]);
        assert_eq!(end(&mut told).with(0).stdout, "P1\nP3\nP4\nP5\n");
    }

    #[test]
    fn each_po_ends_in_a_nul_byte_and_is_as_it_is_in_the_sheet() {
        let sheet = TempSheet::new("PO_NUMBER\n\"a\nb\"\nc\u{1b}[31m\n");
        assert_eq!(
            end(sheet.tickoff("pending").arg("-0")).with(0).stdout,
            "a\nb\0c\u{1b}[31m\0"
        );
        assert_eq!(
            end(&mut sheet.tickoff("pending")).with(0).stdout,
            "a\\nb\nc\\u{1b}[31m\n"
        );
    }

    #[test]
    fn it_prints_records_as_json_lines() {
        let sheet = TempSheet::new(SHEET);
        let ended = end(sheet.tickoff("pending").arg("--json")).with(0);
        let records: Vec<Value> = ended
            .stdout
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let pos: Vec<&str> = records
            .iter()
            .map(|record| record["po_number"].as_str().unwrap())
            .collect();
        assert_eq!(pos, ["P1", "P3", "P4"]);
        assert_eq!(records[0]["cells"]["SUPPLIER"], "Ac;me");
        assert!(
            !ended.stdout.contains('\u{1b}'),
            "no cell speaks to the terminal"
        );
    }

    #[test]
    fn a_reader_that_has_seen_enough_is_no_error() {
        // More than a pipe holds.
        let pos = (0..3_000).map(|i| format!("PO{i}-{}\n", "x".repeat(90)));
        let sheet = TempSheet::new("PO_NUMBER\nPO0\n".to_owned() + &pos.collect::<String>());
        let mut child = sheet
            .tickoff("pending")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut first = String::new();
        BufReader::new(child.stdout.take().unwrap())
            .read_line(&mut first)
            .unwrap();
        assert_eq!(first, "PO0\n");
        let output = child.wait_with_output().unwrap();
        assert_eq!(
            (
                output.status.code(),
                String::from_utf8(output.stderr).unwrap()
            ),
            (Some(0), String::new())
        );
    }

    #[test]
    fn a_full_standard_output_is_an_error() {
        let sheet = TempSheet::new(SHEET);
        let full = std::fs::OpenOptions::new()
            .write(true)
            .open("/dev/full")
            .unwrap();
        let output = sheet.tickoff("pending").stdout(full).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        assert_eq!(
            String::from_utf8(output.stderr).unwrap(),
            "tickoff: cannot write to the standard output: No space left on device (os error 28)\n"
        );
    }
}

mod get {
    use super::*;

    #[test]
    fn it_shows_every_cell_harmlessly() {
        let sheet = TempSheet::new(SHEET);
        assert_eq!(
            end(sheet.tickoff("get").arg(" P5 ")).with(0).stdout,
            "PO_NUMBER: P5\nSTATUS: odd\\u{1b}[31m\nSUPPLIER: \nLAST_PROCESSED: \nERROR_MESSAGE: \nnote: \n"
        );
    }

    #[test]
    fn its_json_is_the_typed_record_and_all_cells() {
        let sheet = TempSheet::new(SHEET);
        assert_eq!(
            sheet.get("P3"),
            json!({
                "po_number": "P3", "key": "P3", "status": "ERROR", "supplier": null, "attachments_found": null,
                "attachments_downloaded": null, "attachment_names": [], "last_processed": "2026-01-05T10:00:00Z",
                "error_message": "broke", "download_folder": null, "coupa_url": null, "priority": null,
                "supplier_segment": null, "spend_type": null, "l1_uu_supplier_name": null, "line": 4,
                "cells": {"PO_NUMBER": "P3", "STATUS": "ERROR", "SUPPLIER": "", "LAST_PROCESSED": "2026-01-05T10:00:00Z", "ERROR_MESSAGE": "broke", "note": ""}
            })
        );
    }
}

mod set {
    use super::*;

    #[track_caller]
    fn set(sheet: &TempSheet, arguments: &[&str]) {
        let ended = end(sheet.tickoff("set").args(arguments)).with(0);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
        assert_eq!(sheet.leftovers(), [""; 0]);
    }

    #[test]
    fn it_changes_the_named_cells_and_nothing_else() {
        let sheet = TempSheet::new(SHEET);
        set(&sheet, &["P1", "supplier=new \"name\"", "note=a=b"]);
        assert_eq!(
            sheet.text(),
            SHEET.replace(
                "P1;PENDING;\"Ac;me\";;;",
                "P1;PENDING;\"new \"\"name\"\"\";;;a=b"
            )
        );
        assert!(!sheet.backups().exists(), "set is no session");
    }

    #[test]
    fn a_new_status_sets_the_time_and_clears_the_message_whatever_the_status_was() {
        let sheet = TempSheet::new(SHEET);
        set(&sheet, &["P3", "STATUS=PENDING"]);
        let row = &sheet.table()["P3"];
        assert_eq!(
            (row["STATUS"].as_str(), row["ERROR_MESSAGE"].as_str()),
            ("PENDING", "")
        );
        let now = chrono::Utc::now()
            - chrono::DateTime::parse_from_rfc3339(&row["LAST_PROCESSED"])
                .unwrap()
                .to_utc();
        assert!(
            row["LAST_PROCESSED"].ends_with('Z') && now.num_minutes().abs() < 5,
            "{row:?}"
        );
        set(
            &sheet,
            &["P2", "STATUS=ERROR", "ERROR_MESSAGE=x", "LAST_PROCESSED="],
        );
        assert!(
            sheet.text().contains("\nP2;ERROR;;;x;\n"),
            "{}",
            sheet.text()
        );
    }

    #[test]
    fn it_never_adds_a_column() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\n");
        set(&sheet, &["P1", "STATUS=COMPLETED"]);
        assert_eq!(sheet.text(), "PO_NUMBER;STATUS\nP1;COMPLETED\n");
        let ended = end(sheet.tickoff("set").args(["P1", "SUPPLIER=x"])).with(1);
        assert_eq!(
            ended.stderr,
            "tickoff: no column SUPPLIER in the sheet, which has PO_NUMBER, STATUS\n\
             tickoff: add it to the sheet's header first; only a result of run or apply adds it by itself\n"
        );
        let ended = end(sheet.tickoff("set").args(["P1", "LAST_PROCESSED=x"])).with(1);
        assert!(
            ended
                .stderr
                .ends_with("tickoff: tickoff init FILE adds it\n"),
            "{ended:?}"
        );
    }

    #[test]
    fn a_mistyped_column_is_asked_about() {
        let columns = "which has PO_NUMBER, STATUS, SUPPLIER, LAST_PROCESSED, ERROR_MESSAGE, note";
        for (mistyped, meant) in [
            ("STAUTS", "STATUS"),
            ("ERROR MESSAGE", "ERROR_MESSAGE"),
            ("notes", "note"),
        ] {
            check_refused(
                &["P1", &format!("{mistyped}=x")],
                1,
                &format!(
                    "tickoff: no column {mistyped} in the sheet, {columns}: did you mean {meant}?\n"
                ),
            );
        }
    }

    #[track_caller]
    fn check_refused(arguments: &[&str], code: i32, message: &str) {
        let sheet = TempSheet::new(SHEET);
        let ended = end(sheet.tickoff("set").args(arguments)).with(code);
        assert!(ended.stderr.contains(message), "{ended:?}");
        assert_eq!(sheet.text(), SHEET);
        assert_eq!(sheet.leftovers(), [""; 0]);
    }

    #[test]
    fn what_may_not_be_written_is_refused() {
        check_refused(
            &["P9", "STATUS=ERROR"],
            1,
            "tickoff: no row has the key P9\n",
        );
        check_refused(
            &["P1", "PO_NUMBER=P9"],
            1,
            "tickoff: P1: PO_NUMBER is the key column, which no update may change: change it in the sheet itself, where the row keeps its other cells\n",
        );
        check_refused(
            &["P1", "STATUS=done"],
            1,
            "tickoff: P1: STATUS must be PENDING, COMPLETED, ERROR, NO_ATTACHMENTS, FAILED, PARTIAL or PO_NOT_FOUND, not done\n",
        );
        check_refused(
            &["P1", "note=1", "NOTE=2"],
            1,
            "tickoff: P1: NOTE is named twice in one update\n",
        );
        check_refused(
            &["P1", "note==1", "--formulas", "reject"],
            1,
            "tickoff: P1: note would run as a formula in a spreadsheet\n",
        );
        check_refused(
            &["P1", "STATUS"],
            2,
            "it must be a column's name, =, and the new value",
        );
        check_refused(&["P1"], 2, "<COLUMN=VALUE>");
        let long = format!("note={}", "x".repeat(tickoff::MAX_VALUE_CHARS + 1));
        check_refused(
            &["P1", &long],
            1,
            "tickoff: P1: note is longer than 32767 characters\n",
        );
    }
}

mod apply {
    use super::*;

    fn line(id: impl Into<Value>, po: &str, updates: Value) -> String {
        json!({"operation_id": id.into(), "po_number": po, "updates": updates}).to_string() + "\n"
    }

    /// Applies lines and returns the exit code, the answers and what was said.
    #[track_caller]
    fn apply(sheet: &TempSheet, options: &[&str], lines: &str) -> (i32, Vec<Value>, String) {
        let mut child = sheet
            .tickoff("apply")
            .args(options)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        child
            .stdin
            .take()
            .unwrap()
            .write_all(lines.as_bytes())
            .unwrap();
        let output = child.wait_with_output().unwrap();
        let answers = String::from_utf8(output.stdout).unwrap();
        let answers = answers
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (
            output.status.code().unwrap(),
            answers,
            String::from_utf8(output.stderr).unwrap(),
        )
    }

    #[test]
    fn it_applies_lines_in_a_session_of_its_own() {
        let sheet = TempSheet::new(SHEET);
        let lines = line(
            1,
            "P1",
            json!({"STATUS": "COMPLETED", "LAST_PROCESSED": "t"}),
        ) + &line(2, "P5", json!({"note": "x"}));
        assert_eq!(apply(&sheet, &["-q"], &lines), (0, vec![], String::new()));
        let want = SHEET
            .replace("P1;PENDING;\"Ac;me\";;;", "P1;COMPLETED;\"Ac;me\";t;;")
            .replace("[31m;;;;", "[31m;;;;x");
        assert_eq!(sheet.text(), want);
        assert_eq!(sheet.backup_names().len(), 1);
        assert_eq!(sheet.leftovers(), [""; 0]);
    }

    #[test]
    fn refused_lines_are_reported_and_answered_and_the_others_applied() {
        let sheet = TempSheet::new(SHEET);
        let lines = [
            line("a", "P9", json!({})),
            "nonsense\n".into(),
            "{\"po_number\":\"P1\",\"updates\":\n".into(),
            "\n".into(),
            line("d", "P1", json!({"note": "applied"})),
        ]
        .concat();
        let (code, answers, said) = apply(&sheet, &["--ack"], &lines);
        assert_eq!(code, 1);
        let refused = |line: u32, id: Value, po: Value, error: &str| json!({"line": line, "operation_id": id, "po_number": po, "key": po, "durable": false, "error": error});
        let broken = "not a JSON object: EOF while parsing a value at line 1 column 28";
        assert_eq!(
            answers,
            [
                refused(1, "a".into(), "P9".into(), "no row has the key P9"),
                refused(
                    2,
                    Value::Null,
                    Value::Null,
                    "not a JSON object: expected ident at line 1 column 2"
                ),
                refused(3, Value::Null, "P1".into(), broken),
                json!({"line": 5, "operation_id": "d", "po_number": "P1", "key": "P1", "durable": true}),
            ]
        );
        assert_eq!(
            said,
            format!(
                "tickoff: line 1: no row has the key P9\n\
                 tickoff: line 2: not a JSON object: expected ident at line 1 column 2\n\
                 tickoff: tickoff help apply shows what a line must look like\n\
                 tickoff: line 3: {broken}\n"
            )
        );
        assert_eq!(
            sheet.text(),
            SHEET.replace("\"Ac;me\";;;", "\"Ac;me\";;;applied")
        );
    }

    #[test]
    fn a_status_that_may_not_be_is_named_as_it_was_said() {
        for word in ["PENDING", "parked"] {
            let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;COMPLETED\n");
            let (code, _, said) = apply(&sheet, &[], &line(1, "P1", json!({"STATUS": word})));
            let told = format!("a result may not change COMPLETED to {word}: ");
            assert!(code == 1 && said.contains(&told), "{said}");
        }
        // An error beside it makes it one.
        let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;COMPLETED\n");
        let both =
            json!({"key": "P1", "updates": {"STATUS": "COMPLETED"}, "error": "x"}).to_string();
        let (_, _, said) = apply(&sheet, &[], &both);
        assert!(said.contains("may not change COMPLETED to ERROR"), "{said}");
    }

    #[test]
    fn no_line_is_refused_for_what_is_in_it() {
        let sheet = TempSheet::new(SHEET);
        let lines = [
            line(
                1,
                "P1",
                json!({"STATUS": "COMPLETED", "LAST_PROCESSED": "t", "Colour": "red"}),
            ),
            line(
                2,
                "P2",
                json!({"STATUS": "ERROR", "note": "n", "LAST_PROCESSED": "t"}),
            ),
            line(
                3,
                "P3",
                json!({"STATUS": "done", "LAST_PROCESSED": "t", "PO_NUMBER": "P4"}),
            ),
            line(4, "P4", json!({"note": "x\0y", "PO_NUMBER": "P4"})),
        ]
        .concat();
        let (code, answers, said) = apply(&sheet, &["--ack", "--no-new-columns"], &lines);
        assert_eq!(code, 1, "{said}");
        assert!(answers.iter().all(|answer| answer["durable"] == true));
        let not_done = "a result's STATUS must be COMPLETED, ERROR, NO_ATTACHMENTS, FAILED, PARTIAL or PO_NOT_FOUND, not done";
        let want = SHEET
            .replace("P1;PENDING;\"Ac;me\";;;", "P1;COMPLETED;\"Ac;me\";t;;")
            .replace(
                "P2;COMPLETED;;2026-01-05T10:00:00Z;;",
                "P2;COMPLETED;;2026-01-05T10:00:00Z;;n",
            )
            .replace(
                "P3;ERROR;;2026-01-05T10:00:00Z;broke;",
                &format!("P3;ERROR;;t;{not_done};"),
            )
            .replace("P4;NO_ATTACHMENTS;;;;", "P4;NO_ATTACHMENTS;;;;x\u{fffd}y");
        assert_eq!(sheet.text(), want);
        assert_eq!(
            sheet.unplaced(),
            "PO_NUMBER;Colour;STATUS;LAST_PROCESSED;ANSWERED_PO_NUMBER\nP1;red;;;\nP2;;ERROR;t;\nP3;;done;;P4\n"
        );
        for what in [
            "a NUL byte is written as U+FFFD key=P4 columns=note",
            "no column Colour in the sheet",
            "kept beside the backups",
        ] {
            assert!(said.contains(what), "{what}: {said}");
        }
    }

    #[test]
    fn what_is_mistyped_in_a_line_is_asked_about() {
        let sheet = TempSheet::sample("orders-446.csv");
        let lines = [
            line("a", "PO1500037", json!({})),
            line("b", "PO15000037", json!({"Suplier": "x"})),
            line("c", "PO15000037", json!({"AttachmentNam": "x"})),
        ]
        .concat();
        let (code, answers, said) = apply(&sheet, &["--ack"], &lines);
        assert_eq!(code, 1);
        let error = answers[0]["error"].as_str().unwrap();
        assert!(
            error.ends_with(": did you mean PO15000037 or PO15000370?"),
            "{error}"
        );
        for asked in [": did you mean SUPPLIER?", ": did you mean AttachmentName?"] {
            assert!(said.contains(asked), "{said}");
        }
        assert_eq!(answers.len(), 3);
    }

    #[test]
    fn a_result_whose_row_was_taken_away_meanwhile_is_kept() {
        let sheet = TempSheet::new(SHEET);
        let mut child = sheet
            .tickoff("apply")
            .arg("--ack")
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let mut requests = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        let mut ask = |request: &str| {
            requests.write_all(request.as_bytes()).unwrap();
            let mut answer = String::new();
            answers.read_line(&mut answer).unwrap();
            serde_json::from_str::<Value>(&answer).unwrap()["durable"].clone()
        };
        assert_eq!(ask(&line(1, "P4", json!({"note": "x"}))), true);
        let others = sheet.text().replace("P1;PENDING;\"Ac;me\";;;\n", "");
        std::fs::write(sheet.folder().join("saved"), others).unwrap();
        std::fs::rename(sheet.folder().join("saved"), sheet.path()).unwrap();
        // A version that lost rows is taken in once it has rested.
        let taken = || end(sheet.tickoff("get").arg("P1")).code == 1;
        crate::command_line::wait_until("the row is gone", || {
            assert_eq!(ask(&line(2, "P4", json!({"note": "y"}))), true);
            taken()
        });
        assert_eq!(ask(&line(3, "P1", json!({"SUPPLIER": "late"}))), true);
        assert_eq!(ask(&line(4, "P9", json!({"SUPPLIER": "x"}))), false);
        drop(requests);
        assert_eq!(child.wait().unwrap().code(), Some(1));
        assert_eq!(sheet.unplaced(), "PO_NUMBER;SUPPLIER\nP1;late\n");
    }

    #[test]
    fn forced_operations_may_leave_completed() {
        let sheet = TempSheet::new(SHEET);
        let (code, answers, _) = apply(
            &sheet,
            &["--force", "--ack"],
            &line(0, "P2", json!({"STATUS": "PENDING"})),
        );
        assert_eq!((code, &answers[0]["durable"]), (0, &Value::Bool(true)));
        assert_eq!(sheet.cell("P2", "STATUS"), "PENDING");
    }

    #[test]
    fn refused_lines_are_json_too_in_a_json_log() {
        let sheet = TempSheet::new(SHEET);
        let (code, _, said) = apply(&sheet, &["--log-format", "json"], "nonsense\n");
        assert_eq!(code, 1);
        let said: Vec<Value> = said
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let messages: Vec<&Value> = said.iter().map(|line| &line["message"]).collect();
        assert_eq!(
            messages,
            [
                "line 1: not a JSON object: expected ident at line 1 column 2",
                "tickoff help apply shows what a line must look like"
            ]
        );
    }

    #[test]
    fn a_program_that_waits_for_each_answer_gets_it_and_can_read_the_result_then() {
        let sheet = TempSheet::pending(20);
        let mut child = sheet
            .tickoff("apply")
            .args(["--ack", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut requests = child.stdin.take().unwrap();
        let mut answers = BufReader::new(child.stdout.take().unwrap());
        for i in 0..20 {
            let po = format!("PO{i}");
            requests
                .write_all(line(i, &po, json!({"STATUS": "COMPLETED"})).as_bytes())
                .unwrap();
            let mut answer = String::new();
            answers.read_line(&mut answer).unwrap();
            let want = json!({"line": i + 1, "operation_id": i, "po_number": po, "key": po, "durable": true});
            assert_eq!(serde_json::from_str::<Value>(&answer).unwrap(), want);
            if i % 5 == 0 {
                assert_eq!(sheet.get(&po)["status"], "COMPLETED");
            }
        }
        drop(requests);
        assert_eq!(child.wait().unwrap().code(), Some(0));
        assert_eq!(sheet.status()["completed"], 20);
    }

    #[test]
    fn every_acknowledged_result_survives_a_kill() {
        let sheet = TempSheet::pending(50);
        let mut child = sheet
            .tickoff("apply")
            .args(["--ack", "--quiet"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut requests = child.stdin.take().unwrap();
        for i in 0..50 {
            requests
                .write_all(
                    line(i, &format!("PO{i}"), json!({"SUPPLIER": format!("s{i}")})).as_bytes(),
                )
                .unwrap();
        }
        let mut acknowledged = Vec::new();
        let mut answers = BufReader::new(child.stdout.take().unwrap()).lines();
        while acknowledged.len() < 20 {
            let answer: Value = serde_json::from_str(&answers.next().unwrap().unwrap()).unwrap();
            acknowledged.push(answer["po_number"].as_str().unwrap().to_owned());
        }
        child.kill().unwrap();
        child.wait().unwrap();
        for po in acknowledged {
            assert_eq!(sheet.get(&po)["supplier"], po.replace("PO", "s"));
        }
    }
}

mod check {
    use super::*;

    const ODD: &str = "PO_NUMBER;STATUS;ATTACHMENTS_FOUND;ATTACHMENTS_DOWNLOADED;LAST_PROCESSED;ERROR_MESSAGE\nP1;COMPLETED;1;2;;\nP2;ERROR;x;;;\nP3;what;;;;\n;;;;;\nP4;PENDING;;;;;surplus\n";

    #[test]
    fn it_prints_a_line_for_each_finding_and_changes_nothing() {
        let sheet = TempSheet::new(ODD);
        let ended = end(&mut sheet.tickoff("check")).with(3);
        assert_eq!(
            sheet.without_folder(&ended.stdout),
            [
                "DIR/input.csv:4:4: error: the column STATUS holds what is not tickoff's: what in 1 row (line 4)",
                "    P3;what;;;;",
                "       ^",
                "DIR/input.csv:2:16: warning: P1: 2 attachments were downloaded of 1 found",
                "    P1;COMPLETED;1;2;;",
                "                   ^",
                "DIR/input.csv:2:18: warning: P1: the row is COMPLETED without a valid LAST_PROCESSED",
                "    P1;COMPLETED;1;2;;",
                "                     ^",
                "DIR/input.csv:3:10: warning: P2: ATTACHMENTS_FOUND is not a whole number",
                "    P2;ERROR;x;;;",
                "             ^",
                "DIR/input.csv:3:14: warning: P2: the row is ERROR without a message",
                "    P2;ERROR;x;;;",
                "                 ^",
                "DIR/input.csv:5:1: warning: the row has no key; it is kept and never processed, as a row of totals or a note should be",
                "    ;;;;;",
                "    ^",
                "DIR/input.csv:6:16: warning: P4: the row has more fields than the header",
                "    P4;PENDING;;;;;surplus",
                "                   ^",
                "",
            ]
            .join("\n")
        );
        assert_eq!(sheet.text(), ODD);
        assert_eq!(std::fs::read_dir(sheet.folder()).unwrap().count(), 1);
    }

    #[test]
    fn a_finding_for_which_a_run_refuses_the_sheet_is_an_error() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\nP2;\nP1;\n");
        let ended = end(sheet.tickoff("check").arg("--json")).with(3);
        assert_eq!(
            ended.json(),
            json!({"level": "error", "line": 4, "column": 1, "po": "P1", "key": "P1", "message": "the key P1 stands on lines 2, 4"})
        );
        end(sheet.tickoff("check").args(["--duplicates", "all"])).with(0);
    }

    #[test]
    fn a_file_that_is_no_sheet_is_one_finding() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\"x\n");
        let ended = end(sheet.tickoff("check").arg("--json")).with(3);
        assert_eq!(
            ended.json(),
            json!({"level": "error", "line": 2, "column": 4, "po": null, "key": null, "message": "a quote opens here and is never closed"})
        );
    }

    #[test]
    fn a_sheet_in_order_has_no_findings_and_that_is_said_in_a_line() {
        let sheet = TempSheet::sample("orders-446.csv");
        let ended = end(sheet.tickoff("check").arg("--json")).with(0);
        assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", ""));
        let ended = end(&mut sheet.tickoff("check")).with(0);
        let said = "446 rows and 14 columns, with the key PO_NUMBER: nothing is wrong\n";
        assert_eq!(
            (ended.stdout, ended.stderr),
            (format!("{}: {said}", sheet.path().display()), String::new())
        );
        let sheet = TempSheet::new("order;line\nA;1\n");
        let keys = ["--key", "order", "--key", "line"];
        let ended = end(sheet.tickoff("check").args(keys)).with(0);
        assert!(
            ended
                .stdout
                .ends_with(": 1 row and 2 columns, with the key order, line: nothing is wrong\n"),
            "{ended:?}"
        );
    }
}

mod init {
    use super::*;

    #[test]
    fn it_adds_the_result_columns_after_a_backup_and_only_once() {
        let sheet = TempSheet::new("PO_NUMBER;status\r\nP1;\r\nP2\r\n");
        let ended = end(&mut sheet.tickoff("init")).with(0);
        assert_eq!(ended.stdout, "added LAST_PROCESSED\nadded ERROR_MESSAGE\n");
        let want = "PO_NUMBER;status;LAST_PROCESSED;ERROR_MESSAGE\r\nP1;;;\r\nP2;;;\r\n";
        assert_eq!(sheet.text(), want);
        assert_eq!(sheet.backup_names().len(), 1);
        assert_eq!(end(&mut sheet.tickoff("init")).with(0).stdout, "");
        assert_eq!(sheet.text(), want);
        assert_eq!(sheet.backup_names().len(), 1);
        assert_eq!(sheet.leftovers(), [""; 0]);
    }
}

mod help {
    use super::*;

    #[test]
    fn every_command_has_help_with_an_example_that_fits_a_terminal() {
        for command in [
            "",
            "run",
            "status",
            "report",
            "pending",
            "get",
            "set",
            "apply",
            "check",
            "init",
            "backup",
            "backup create",
            "backup list",
            "backup restore",
            "backup prune",
            "completions",
            "man",
        ] {
            for flag in ["-h", "--help"] {
                let ended = end(tickoff().args(command.split_whitespace()).arg(flag)).with(0);
                assert_eq!(ended.stderr, "");
                assert!(
                    ended.stdout.contains("Usage: tickoff"),
                    "{command}: {}",
                    ended.stdout
                );
                assert!(
                    command == "backup" || ended.stdout.contains("\nExample"),
                    "{command}: {}",
                    ended.stdout
                );
                let widest = ended
                    .stdout
                    .lines()
                    .max_by_key(|line| line.chars().count())
                    .unwrap();
                assert!(widest.chars().count() <= 80, "{command}: {widest}");
            }
        }
    }

    #[test]
    fn a_command_line_that_is_wrong_is_a_usage_error() {
        for arguments in [
            &[][..],
            &["fly"],
            &["status"],
            &["status", "a.csv", "b.csv"],
            &["backup"],
            &["get", "a.csv"],
        ] {
            let ended = end(tickoff().args(arguments)).with(2);
            assert_eq!(ended.stdout, "");
            assert!(ended.stderr.contains("Usage: tickoff"), "{ended:?}");
        }
    }
}
