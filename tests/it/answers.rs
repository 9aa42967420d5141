//! The result of a job that has run is never refused, and never asked for twice: what has a place is
//! written, the row gets its state, and all else is kept beside the backups.

use std::io::Write;
use std::sync::Arc;
use std::time::{Duration, Instant};

use tickoff::{
    CsvHandler, DEFAULT_CAPACITY, MAX_ERROR_CHARS, MAX_LINE_BYTES, MAX_RESULT_BYTES,
    MAX_VALUE_CHARS, Options, Outcome, ProcessingStatus, Session, Until, Updates, WorkerPool,
    WriteQueue,
};

use crate::command_line::{Ended, Running, end, wait_until};
use crate::fixture::TempSheet;

const ONE: &str = "PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;;\n";

/// STATUS, SUPPLIER and ERROR_MESSAGE of a PO.
#[track_caller]
fn row(sheet: &TempSheet, po: &str) -> [String; 3] {
    ["STATUS", "SUPPLIER", "ERROR_MESSAGE"].map(|column| sheet.cell(po, column))
}

mod commands {
    use super::*;

    #[test]
    fn a_large_answer_is_taken_like_a_small_one() {
        let sheet = TempSheet::new(ONE);
        let answer = format!("SUPPLIER=x\nw<<E\n{}\nE\ntail=TAIL\n", "x".repeat(3 << 20));
        leaves(&sheet, answer, "").with(0);
        assert_eq!(row(&sheet, "P1"), ["COMPLETED", "x", ""]);
        assert_eq!(sheet.cell("P1", "w").chars().count(), MAX_VALUE_CHARS);
        assert_eq!(sheet.cell("P1", "tail"), "TAIL");
    }

    #[test]
    fn of_an_answer_that_is_too_large_the_cells_in_its_beginning_are_written_and_all_is_kept() {
        let long = "x".repeat(MAX_RESULT_BYTES as usize);
        for answer in [
            format!("SUPPLIER=x\nw={long}\ntail=TAIL\n"),
            format!("{{\"SUPPLIER\":\"x\",\"w\":\"{long}\",\"tail\":\"TAIL\"}}"),
        ] {
            let sheet = TempSheet::new(ONE);
            let ended = leaves(&sheet, &answer, "").with(1);
            let kept = sheet.answers().pop().unwrap();
            assert!(std::fs::read_to_string(&kept).unwrap() == answer);
            let said = format!(
                "invalid TICKOFF_RESULT: it is larger than 67108864 bytes: what is whole in those is written; it is kept in {}",
                kept.display()
            );
            assert_eq!(row(&sheet, "P1"), ["ERROR", "x", &said]);
            let said = "an answer is kept whole beside the backups";
            assert!(ended.stderr.contains(said), "{ended:?}");
        }
    }

    #[test]
    fn a_large_answer_that_is_none_is_kept_whole_beside_the_backups() {
        let sheet = TempSheet::new(ONE);
        let answer = format!("SUPPLIER=x\nw<<E\n{}\n", "x".repeat(3 << 20));
        leaves(&sheet, &answer, "").with(1);
        let kept = sheet.answers().pop().unwrap();
        assert!(std::fs::read_to_string(&kept).unwrap() == answer);
        let said = format!(
            "invalid TICKOFF_RESULT: it is no JSON object, and line 2 has a mark that is not there again; it is kept in {}",
            kept.display()
        );
        assert_eq!(row(&sheet, "P1"), ["ERROR", "x", &said]);
        // Of an attempt that asks for another nothing is read.
        leaves(&sheet, &answer, "exit 75").with(1);
        assert_eq!(sheet.answers().len(), 2, "that of the last attempt");
    }

    /// Runs a command that leaves this file as its result.
    #[track_caller]
    fn leaves(sheet: &TempSheet, result: impl AsRef<[u8]>, and_then: &str) -> Ended {
        std::fs::write(sheet.folder().join("result"), result).unwrap();
        end(&mut sheet.run("", &format!("cp result $TICKOFF_RESULT; {and_then}")))
    }

    /// A header and two rows with so many columns c0, c1 and so on.
    fn wide(columns: usize) -> TempSheet {
        let names: String = (0..columns).map(|n| format!(";c{n}")).collect();
        let none = ";".repeat(columns);
        TempSheet::new(format!("PO_NUMBER{names}\nP1{none}\nP2{none}\n"))
    }

    /// A result for each of them.
    fn for_each_column(columns: usize, value: &str) -> String {
        (0..columns).map(|n| format!("c{n}={value}\n")).collect()
    }

    #[test]
    fn of_a_result_that_makes_its_row_too_long_the_cells_that_fit_are_written_and_the_rest_is_kept()
    {
        let sheet = wide(490);
        let value = "y".repeat(MAX_VALUE_CHARS);
        let other = "[ $TICKOFF_KEY = P1 ] || echo c0=x > $TICKOFF_RESULT";
        let ended = leaves(&sheet, for_each_column(490, &value), other).with(1);
        let said = "cells for which the row has no room go to ….unplaced.csv (c478, c479, ";
        assert!(ended.stderr.contains(said), "{}", ended.stderr);
        let text = sheet.text();
        let rows: Vec<Vec<&str>> = text.lines().map(|row| row.split(';').collect()).collect();
        assert!(rows[1][478] == value && rows[1][479].is_empty());
        assert_eq!((rows[1][491], rows[2][491]), ("COMPLETED", "COMPLETED"));
        assert_eq!(rows[2][1], "x");
        let kept = sheet.unplaced();
        assert!(kept.starts_with("PO_NUMBER;c478;c479;"), "{}", &kept[..99]);
        assert!(kept.lines().nth(1).unwrap().starts_with("P1;yy"));
        // Nor does a person's value make it too long.
        let long = format!("c489={value}");
        let refused = end(sheet.tickoff("set").args(["P1", &long])).with(1);
        let said = "P1: c489 has no room in its row: a row has at most 16777216 bytes";
        assert!(refused.stderr.contains(said), "{}", refused.stderr);
        end(sheet.tickoff("set").args(["P2", &long])).with(0);
    }

    #[test]
    fn a_column_for_which_one_row_has_no_field_left_is_not_added() {
        let beside = ";x".repeat(16_379);
        let sheet = TempSheet::new(format!("PO_NUMBER;n\nP1;{beside}\nP2;\n"));
        std::fs::write(sheet.folder().join("result"), "n=1\nmore=2\n").unwrap();
        end(&mut sheet.run("-j 1", "cp result $TICKOFF_RESULT")).with(1);
        assert_eq!(sheet.cell("P2", "n"), "1");
        assert_eq!(sheet.unplaced(), "PO_NUMBER;more\nP1;2\nP2;2\n");
    }

    #[test]
    fn numbers_keep_their_text_and_what_is_no_unicode_spoils_its_own_cell() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS;a;b;c;d;e;f\nP1;;;;;;;\n");
        let result = b"\xef\xbb\xbf{\"a\":1.10,\"b\":9007199254740993.50,\"c\":1e3,\"d\":\"M\xfcller\",\"e\":[\"\\udcfc.pdf\"],\"f\":1,\" F\":2}";
        let ended = leaves(&sheet, result, "").with(0);
        assert!(
            sheet.text().contains(
                "\nP1;COMPLETED;1.10;9007199254740993.50;1e3;M\u{fffd}ller;\u{fffd}.pdf;2;"
            ),
            "{}",
            sheet.text()
        );
        let said = "WARN F is there twice: the last value counts key=P1";
        assert!(ended.stderr.contains(said), "{ended:?}");
    }

    #[test]
    fn a_value_that_no_cell_holds_is_written_as_far_as_it_can_be_and_said() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS;a;b\nP1;;;\n");
        let long = format!("first{}last", "x".repeat(40_000));
        let result = format!("{{\"a\":\"{long}\",\"b\":\"x\\u0000y\"}}");
        let ended = leaves(&sheet, result, "").with(0);
        assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
        assert_eq!(sheet.cell("P1", "b"), "x\u{fffd}y");
        let value = sheet.cell("P1", "a");
        assert_eq!(value.chars().count(), MAX_VALUE_CHARS);
        assert!(value.starts_with("firstx") && value.ends_with("xlast"));
        for said in [
            "written as U+FFFD key=P1 columns=b",
            "its start and its end are written key=P1 columns=a",
        ] {
            assert!(ended.stderr.contains(said), "{said}: {ended:?}");
        }
    }

    #[test]
    fn a_cell_without_a_column_goes_to_a_copy_and_the_row_gets_its_state() {
        let sheet = TempSheet::new(ONE);
        let result = r#"{"SUPPLIER":"Acme","Suplier":"y","Colour":"red"}"#;
        std::fs::write(sheet.folder().join("result"), result).unwrap();
        let ended = end(&mut sheet.run("--no-new-columns", "cp result $TICKOFF_RESULT"));
        let ended = ended.with(1);
        assert_eq!(row(&sheet, "P1"), ["COMPLETED", "Acme", ""]);
        assert_eq!(sheet.unplaced(), "PO_NUMBER;Suplier;Colour\nP1;y;red\n");
        for said in [
            "did you mean SUPPLIER?",
            ".unplaced.csv",
            "1 done, 0 errors",
        ] {
            assert!(ended.stderr.contains(said), "{said}: {ended:?}");
        }
        // What was kept is kept once.
        end(&mut sheet.run("", "exit 3")).with(0);
        sheet.unplaced();
    }

    #[test]
    fn an_answer_that_cannot_be_read_is_kept_as_it_came() {
        for (and_then, message) in [
            ("", "invalid TICKOFF_RESULT: it is not a JSON object"),
            ("exit 3", "exit 3, invalid TICKOFF_RESULT: it is not"),
            ("kill -9 $$", "killed by signal 9 (SIGKILL)"),
        ] {
            let sheet = TempSheet::new(ONE);
            leaves(&sheet, "{\"SUPPLIER\":\"Ac;me\",", and_then).with(1);
            let [status, supplier, said] = row(&sheet, "P1");
            assert_eq!((&*status, &*supplier), ("ERROR", ""));
            assert!(said.starts_with(message), "{said}");
            assert_eq!(
                sheet.unplaced(),
                "PO_NUMBER;RAW_ANSWER\nP1;\"{\"\"SUPPLIER\"\":\"\"Ac;me\"\",\"\n"
            );
        }
    }

    #[test]
    fn a_message_of_its_own_is_one_harmless_line() {
        let sheet = TempSheet::new(ONE);
        let long = format!("first\\n\\u001b[2J{}last", "x".repeat(40_000));
        leaves(
            &sheet,
            format!("{{\"ERROR_MESSAGE\":\"{long}\"}}"),
            "exit 1",
        )
        .with(1);
        let message = sheet.cell("P1", "ERROR_MESSAGE");
        assert_eq!(message.chars().count(), MAX_ERROR_CHARS);
        assert!(message.starts_with("first | \\u{1b}[2Jx"), "{message}");
        assert!(message.ends_with("xlast"), "{message}");
    }

    #[test]
    fn everything_a_command_knows_is_taken() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\n");
        let keys: String = (0..30_000)
            .map(|n| format!("\"field_{n}\":\"x\","))
            .collect();
        leaves(&sheet, format!("{{{keys}\"last\":\"x\"}}"), "").with(1);
        assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
        assert!(sheet.unplaced().contains(";field_29999;last\nP1;x;x;"));
    }

    #[test]
    fn without_a_folder_for_its_result_no_row_is_completed() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS;SUPPLIER\nP1;;\nP2;;\nP3;;\n");
        std::fs::create_dir(sheet.folder().join("tmp")).unwrap();
        let script = "if [ $TICKOFF_PO != P3 ]; then rm -rf tmp/*; fi; echo '{\"SUPPLIER\":\"x\"}' > $TICKOFF_RESULT; true";
        end(sheet
            .run("-j 1", script)
            .env("TMPDIR", sheet.folder().join("tmp")))
        .with(1);
        for po in ["P1", "P2"] {
            assert_eq!(sheet.cell(po, "STATUS"), "ERROR");
            assert_eq!(
                sheet.cell(po, "ERROR_MESSAGE"),
                "invalid TICKOFF_RESULT: the folder for it was removed or changed while the command ran"
            );
        }
        assert_eq!(sheet.cell("P3", "STATUS"), "COMPLETED");
        assert_eq!(sheet.cell("P3", "SUPPLIER"), "x");
        assert_eq!(
            std::fs::read_dir(sheet.folder().join("tmp"))
                .unwrap()
                .count(),
            0
        );
    }

    #[test]
    fn a_run_ends_where_there_can_be_no_folder_for_the_next_result() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\nP2;\n");
        let temporary = sheet.folder().join("tmp");
        std::fs::create_dir(&temporary).unwrap();
        let ended = end(sheet
            .run("-j 1", "rm -r tmp; echo $TICKOFF_PO >> ran")
            .env("TMPDIR", &temporary))
        .with(126);
        assert_eq!(sheet.lines("ran"), ["P1"]);
        assert_eq!(sheet.cell("P2", "STATUS"), "");
        let said = format!(
            "a folder for results cannot be made in {}: No such file or directory (os error 2): the run ends, and rows without a result keep their state",
            temporary.display()
        );
        assert!(ended.stderr.contains(&said), "{}", ended.stderr);
    }

    #[test]
    fn every_word_for_a_failure_is_an_error() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\nP2;\nP3;\nP4;\n");
        let script = "case $TICKOFF_PO in P1) s=FAILED;; P2) s=partial;; P3) s=PO_NOT_FOUND;; P4) s=COMPLETED;; esac; echo \"{\\\"STATUS\\\":\\\"$s\\\"}\" > $TICKOFF_RESULT; echo why >&2";
        let ended = end(&mut sheet.run("-j 1 --events ev", script)).with(1);
        assert!(ended.stderr.contains("1 done, 3 errors"), "{ended:?}");
        assert_eq!(sheet.cell("P2", "STATUS"), "PARTIAL");
        assert_eq!(sheet.cell("P1", "ERROR_MESSAGE"), "exit 0: why");
        let said = sheet.lines("ev").join("\n");
        assert!(said.contains("\"status\":\"PO_NOT_FOUND\""), "{said}");
        let status = sheet.status();
        assert_eq!((&status["error"], &status["total"]), (&3.into(), &4.into()));
        assert_eq!(
            status["words"],
            serde_json::json!({"COMPLETED": 1, "FAILED": 1, "PARTIAL": 1, "PO_NOT_FOUND": 1})
        );
        assert_eq!(status["errors"][0]["rows"], 3);
        let halted = end(&mut sheet.run("-j 1 --retry-failed --halt soon,fail=2", script)).with(5);
        assert!(halted.stderr.contains("0 done, 2 errors"), "{halted:?}");
    }
}

mod workers {
    use super::*;

    /// A run with a worker in shell that answers each request with these lines, in which ID stands for
    /// the request's. It says in `starts` and `asked` how often it was started and asked.
    #[track_caller]
    fn answer(sheet: &TempSheet, lines: &str) -> Ended {
        std::fs::write(sheet.folder().join("lines"), lines).unwrap();
        let script = r#"echo x >> starts
            while read -r request; do
                echo x >> asked; id=${request#\{\"id\":}
                sed "s/ID/${id%%,*}/" lines
            done"#;
        let mut run = sheet.tickoff("run");
        run.args("-j 1 --worker-protocol jsonl --backoff 0s -- sh -c".split(' '));
        end(run.arg(script))
    }

    /// Nothing is asked twice; whether the worker was replaced after the first of two answers.
    #[track_caller]
    fn check(lines: &str, want: [&str; 3]) -> (bool, TempSheet) {
        let sheet = TempSheet::new(ONE.to_owned() + "P2;;;;\n");
        answer(&sheet, lines).with(i32::from(want[0] != "COMPLETED"));
        for po in ["P1", "P2"] {
            assert_eq!(row(&sheet, po), want);
        }
        assert_eq!(sheet.lines("asked").len(), 2);
        (sheet.lines("starts").len() > 1, sheet)
    }

    #[test]
    fn an_answer_is_read_as_users_languages_write_it() {
        let completed = |supplier| ["COMPLETED", supplier, ""];
        for (lines, supplier) in [
            (
                r#"{"id":ID,"updates":{"SUPPLIER":["R_\udcfc.pdf"]}}"#,
                "R_\u{fffd}.pdf",
            ),
            (
                "\u{feff}{\"id\":ID,\"updates\":{\"SUPPLIER\":1.10}}",
                "1.10",
            ),
            (r#"{"id":ID,"updates":{"SUPPLIER":1,"supplier ":2}}"#, "2"),
        ] {
            let (is_replaced, _) = check(&format!("{lines}\n"), completed(supplier));
            assert!(!is_replaced, "{lines}");
        }
    }

    #[test]
    fn an_error_is_one_harmless_line_however_long_it_is() {
        let long = format!("page: {}end", "x".repeat(40_000));
        let kept = (MAX_ERROR_CHARS - 1) / 2;
        let message = format!(
            "{}…{}end",
            format_args!("page: {}", "x".repeat(kept + 1 - "page: ".len())),
            "x".repeat(kept - "end".len())
        );
        let (is_replaced, _) = check(
            &format!("{{\"id\":ID,\"error\":\"{long}\"}}\n"),
            ["ERROR", "", &message],
        );
        assert!(!is_replaced);
        check(
            "{\"id\":ID,\"error\":\"bad \\u0000 \\u001b[2J\\nend\"}\n",
            ["ERROR", "", "bad \\u{0} \\u{1b}[2J | end"],
        );
    }

    #[test]
    fn a_large_answer_is_taken_like_a_small_one() {
        let long = "x".repeat(3 << 20);
        let (is_replaced, sheet) = check(
            &format!("{{\"id\":ID,\"updates\":{{\"w\":\"{long}\",\"SUPPLIER\":\"Acme\"}}}}\n"),
            ["COMPLETED", "Acme", ""],
        );
        assert!(!is_replaced);
        assert_eq!(sheet.cell("P2", "w").chars().count(), MAX_VALUE_CHARS);
    }

    #[test]
    fn of_an_answer_that_is_too_large_the_cells_in_its_beginning_are_written() {
        let sheet = TempSheet::new(ONE.to_owned() + "P2;;;;\n");
        let script = format!(
            r#"echo x >> starts
            read -r request
            printf '{{"id":1,"updates":{{"SUPPLIER":"Acme","w":"'
            head -c {MAX_LINE_BYTES} /dev/zero | tr '\0' x
            printf '","tail":"TAIL"}}}}\n'
            read -r request
            echo '{{"id":2,"updates":{{"SUPPLIER":"Globex"}}}}'"#
        );
        let mut run = sheet.tickoff("run");
        run.args("-j 1 --worker-protocol jsonl -- sh -c".split(' '));
        end(run.arg(script)).with(1);
        let kept = sheet.answers().pop().unwrap();
        assert_eq!(std::fs::metadata(&kept).unwrap().len(), MAX_RESULT_BYTES);
        let said = format!(
            "invalid answer: it is larger than 67108864 bytes: what is whole in those is written; it is kept in {}",
            kept.display()
        );
        assert_eq!(row(&sheet, "P1"), ["ERROR", "Acme", &said]);
        assert_eq!(row(&sheet, "P2"), ["COMPLETED", "Globex", ""]);
        assert_eq!(sheet.lines("starts").len(), 1);
    }

    #[test]
    fn an_answer_that_cannot_be_understood_is_kept_and_not_asked_for_again() {
        let lines = r#"{"id":ID,"updates":{"SUPPLIER":"x"},"took":3}"#;
        let message = "invalid answer: unknown field `took`";
        let (is_replaced, sheet) = check(&format!("{lines}\n"), ["ERROR", "x", message]);
        assert!(!is_replaced);
        let raw = |id| lines.replace("ID", id).replace('"', "\"\"");
        let (first, second) = (raw("1"), raw("2"));
        assert_eq!(
            sheet.unplaced(),
            format!("PO_NUMBER;RAW_ANSWER\nP1;\"{first}\"\nP2;\"{second}\"\n")
        );
    }

    #[test]
    fn an_object_without_an_id_is_kept_with_and_without_the_end_of_its_line() {
        let object = r#"{"updates":{"SUPPLIER":"x"}}"#;
        let raw = object.replace('"', "\"\"");
        for end_of_line in ["\n", ""] {
            let sheet = TempSheet::new(ONE);
            let script =
                format!("echo x >> asked; read -r request; printf '%s{end_of_line}' '{object}'");
            let mut run = sheet.tickoff("run");
            run.args("-j 1 --worker-protocol jsonl --backoff 0s -- sh -c".split(' '));
            end(run.arg(script)).with(1);
            let said = format!(
                "invalid answer, the worker was replaced: sent no valid answer (missing field `id`): {object}"
            );
            assert_eq!(row(&sheet, "P1"), ["ERROR", "", &said]);
            assert_eq!(
                sheet.unplaced(),
                format!("PO_NUMBER;RAW_ANSWER\nP1;\"{raw}\"\n")
            );
            assert_eq!(sheet.lines("asked").len(), 1);
        }
    }

    #[test]
    fn an_answer_that_runs_over_several_lines_is_kept_and_its_worker_replaced() {
        let lines = "{\n\"id\": ID,\n\"updates\": {\"SUPPLIER\": \"x\"}\n}\n";
        let message = "invalid answer, the worker was replaced: sent no valid answer (EOF while parsing an object at line 1 column 1): {";
        let (is_replaced, sheet) = check(lines, ["ERROR", "", message]);
        assert!(is_replaced);
        let kept = sheet.unplaced();
        assert!(kept.starts_with("PO_NUMBER;RAW_ANSWER\nP1;\"{\n"), "{kept}");
    }
}

mod library {
    use super::*;

    fn started(sheet: &TempSheet) -> (Arc<CsvHandler>, WriteQueue) {
        started_with(sheet.open())
    }

    fn started_with(handler: CsvHandler) -> (Arc<CsvHandler>, WriteQueue) {
        let handler = Arc::new(handler);
        let queue = WriteQueue::new(Arc::clone(&handler), DEFAULT_CAPACITY);
        queue.start_writer_thread().unwrap();
        (handler, queue)
    }

    fn replace(sheet: &TempSheet, text: &str) {
        let saved = sheet.folder().join("saved");
        std::fs::write(&saved, text).unwrap();
        std::fs::rename(saved, sheet.path()).unwrap();
    }

    /// Writes until what another program saved has been taken in.
    fn until(handler: &CsvHandler, is_taken_in: impl Fn(&CsvHandler) -> bool) {
        let deadline = Instant::now() + Duration::from_secs(60);
        while !is_taken_in(handler) {
            assert!(Instant::now() < deadline);
            handler.update_record("P2", [("SUPPLIER", "s")]).unwrap();
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    const TWO: &str =
        "PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED;ERROR_MESSAGE;note\nP1;;;;;\nP2;;;;;\n";

    #[test]
    fn what_a_person_sets_in_this_process_does_not_give_way_to_a_result_in_silence() {
        let sheet = TempSheet::new(TWO);
        let session = Session::open(sheet.path(), &Options::default()).unwrap();
        let handler = Arc::clone(session.handler());
        let queue = WriteQueue::new(Arc::clone(&handler), DEFAULT_CAPACITY);
        queue.start_writer_thread().unwrap();
        WorkerPool::new(1).queue(&queue).run(&["P1", "P2"], |job| {
            let typed = [("SUPPLIER", "mine"), ("note", "n"), ("STATUS", "PENDING")];
            if job.po == "P1" {
                handler.set_record("P1", typed).unwrap();
            }
            // What a job writes itself is no person's.
            handler.update_record("P2", [("note", job.po)]).unwrap();
            let done = Updates::status(ProcessingStatus::Completed);
            Outcome::Done(done.set("SUPPLIER", "Acme").set("note", "n"))
        });
        queue.stop_writer_thread(Duration::MAX).unwrap();
        let conflicts = handler.take_conflicts();
        let told: Vec<_> = (conflicts.iter())
            .map(|it| [&*it.po, &*it.column, &*it.ours, &*it.theirs])
            .collect();
        assert_eq!(told, [["P1", "SUPPLIER", "Acme", "mine"]]);
        session.finish().unwrap();
        for po in ["P1", "P2"] {
            assert_eq!(row(&sheet, po), ["COMPLETED", "Acme", ""]);
        }
        let mut copies = sheet.backup_names();
        copies.retain(|name| name.contains(".outside."));
        let [copy] = &copies[..] else {
            panic!("{copies:?}")
        };
        let copy = std::fs::read_to_string(sheet.backups().join(copy)).unwrap();
        assert!(copy.contains(";mine;"), "{copy}");
    }

    #[test]
    fn what_a_person_sets_for_a_row_that_is_done_is_not_undone_by_the_run() {
        let sheet = TempSheet::new(TWO);
        let session = Session::open(sheet.path(), &Options::default()).unwrap();
        let handler = Arc::clone(session.handler());
        let queue = WriteQueue::new(Arc::clone(&handler), DEFAULT_CAPACITY);
        queue.start_writer_thread().unwrap();
        WorkerPool::new(1).queue(&queue).run(&["P1", "P2"], |job| {
            if job.po == "P2" {
                handler.set_record("P1", [("STATUS", "PENDING")]).unwrap();
            }
            Outcome::Done(Updates::status(ProcessingStatus::Completed))
        });
        queue.stop_writer_thread(Duration::MAX).unwrap();
        assert!(handler.take_conflicts().is_empty());
        session.finish().unwrap();
        assert_eq!(sheet.cell("P1", "STATUS"), "PENDING");
        assert_eq!(sheet.cell("P2", "STATUS"), "COMPLETED");
    }

    #[test]
    fn the_result_of_a_row_that_vanished_while_its_job_ran_is_kept() {
        let sheet = TempSheet::new(TWO);
        let (handler, queue) = started(&sheet);
        let summary = WorkerPool::new(1).queue(&queue).run(&["P1"], |_| {
            replace(&sheet, &TWO.replace("P1;;;;;\n", ""));
            until(&handler, |handler| handler.record("P1").is_none());
            Outcome::Done(
                [
                    ("STATUS", "COMPLETED"),
                    ("LAST_PROCESSED", "t"),
                    ("note", "n"),
                ]
                .into(),
            )
        });
        assert_eq!((summary.completed, summary.unpersisted.len()), (1, 0));
        queue.stop_writer_thread(Duration::MAX).unwrap();
        handler.finish().unwrap();
        assert_eq!(
            sheet.unplaced(),
            "PO_NUMBER;STATUS;LAST_PROCESSED;note\nP1;COMPLETED;t;n\n"
        );
        assert_eq!(handler.kept_unplaced().len(), 1);
    }

    #[test]
    fn a_cell_whose_column_vanished_meanwhile_is_written_when_it_comes_back() {
        let sheet = TempSheet::new(TWO);
        let handler = CsvHandler::open_with(
            sheet.path(),
            &Options {
                add_columns: false,
                ..Options::default()
            },
        );
        let (handler, queue) = started_with(handler.unwrap());
        let without = "PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;;\nP2;;;;\n";
        replace(&sheet, without);
        until(&handler, |handler| {
            !handler.columns().contains(&"note".to_owned())
        });
        let result = Updates::from([("STATUS", "COMPLETED"), ("note", "n")]);
        let operation = queue.submit_result("P1", result, false).unwrap();
        queue.wait(&operation, Until::Durable).unwrap();
        assert_eq!(handler.status("P1"), Some(ProcessingStatus::Completed));
        replace(
            &sheet,
            &sheet.text().replacen("MESSAGE\n", "MESSAGE;note\n", 1),
        );
        until(&handler, |handler| {
            handler.columns().contains(&"note".to_owned())
        });
        assert_eq!(handler.record("P1").unwrap().get("note"), Some("n"));
        queue.stop_writer_thread(Duration::MAX).unwrap();
        handler.finish().unwrap();
        assert_eq!(sheet.cell("P1", "note"), "n");
        assert!(handler.kept_unplaced().is_empty());
    }

    #[test]
    fn a_result_that_is_no_result_is_an_error_and_counts_as_one() {
        let sheet = TempSheet::new(TWO);
        let (handler, queue) = started(&sheet);
        let summary = WorkerPool::new(1).queue(&queue).run(&["P1", "P2"], |job| {
            let status = if job.po == "P1" {
                "finished"
            } else {
                "PENDING"
            };
            Outcome::Done([("STATUS", status), ("Colour", "red"), ("colour", "blue")].into())
        });
        assert_eq!((summary.errors, summary.unpersisted.len()), (2, 0));
        for po in ["P1", "P2"] {
            assert_eq!(handler.status(po), Some(ProcessingStatus::Error));
        }
        queue.stop_writer_thread(Duration::MAX).unwrap();
        handler.finish().unwrap();
        assert_eq!(
            sheet.unplaced(),
            "PO_NUMBER;STATUS\nP1;finished\nP2;PENDING\n"
        );
        assert_eq!(sheet.cell("P2", "Colour"), "blue");
    }

    #[test]
    fn what_a_person_or_a_library_call_asks_for_is_still_refused() {
        let sheet = TempSheet::new(TWO);
        let (handler, queue) = started(&sheet);
        let before = sheet.text();
        for updates in [
            Updates::from([("Colour", "red")]),
            [("note", "x\0")].into(),
            [("note", "1"), ("NOTE", "2")].into(),
            [("STATUS", "finished")].into(),
        ] {
            assert!(queue.submit_write("P1", updates.clone()).is_err());
            assert!(handler.update_record("P1", updates).is_err());
        }
        assert_eq!(sheet.text(), before);
    }
}

mod apply {
    use super::*;

    fn apply(sheet: &TempSheet, lines: &str) -> Ended {
        std::fs::write(sheet.folder().join("lines"), lines).unwrap();
        let lines = std::fs::File::open(sheet.folder().join("lines")).unwrap();
        end(sheet.tickoff("apply").arg("--ack").stdin(lines))
    }

    #[test]
    fn without_a_line_that_has_a_result_the_sheet_stays_as_it_is() {
        const TEXT: &str = "PO_NUMBER;SUPPLIER\nP1;\n";
        let sheet = TempSheet::new(TEXT);
        let unknown = r#"{"key":"P9","updates":{"STATUS":"COMPLETED"}}"#;
        for (lines, code) in [("", 0), ("\n\n", 0), ("{}\nP1\n", 1), (unknown, 1)] {
            let ended = apply(&sheet, lines).with(code);
            assert!(!ended.stdout.contains("\"durable\":true"), "{ended:?}");
            assert_eq!(sheet.text(), TEXT, "{lines}");
            assert!(!sheet.backups().exists(), "{lines}");
        }
        let known = r#"{"key":"P1","updates":{"STATUS":"COMPLETED"}}"#;
        apply(&sheet, &format!("{{}}\n{unknown}\n{known}\n")).with(1);
        assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
        assert_eq!(sheet.backup_names().len(), 1);
    }

    #[test]
    fn a_result_before_which_the_sheet_cannot_be_backed_up_is_kept_in_a_file() {
        let sheet = TempSheet::new(ONE);
        let line = r#"{"key":"P1","updates":{"SUPPLIER":"PRECIOUS"}}"#;
        std::fs::write(sheet.folder().join("lines"), format!("{line}\n{line}\n")).unwrap();
        let lines = std::fs::File::open(sheet.folder().join("lines")).unwrap();
        let mut command = sheet.tickoff("apply");
        command.args(["--ack", "--backup-dir", "/proc/nope/x"]);
        command.env("TMPDIR", sheet.folder());
        let ended = end(command.stdin(lines)).with(6);
        assert!(ended.stderr.contains("cannot create /proc/nope: "));
        assert_eq!(ended.stdout.matches("\"durable\":false").count(), 1);
        let (_, kept) = ended
            .stderr
            .split_once(" are not saved in the sheet, but in ")
            .unwrap_or_else(|| panic!("{ended:?}"));
        let kept = std::fs::read_to_string(kept.split_once(": ").unwrap().0).unwrap();
        assert!(kept.contains("\nP1;PRECIOUS"), "{kept}");
        assert_eq!(sheet.text(), ONE);
    }

    #[test]
    fn what_stands_beside_the_updates_is_kept_and_said_and_they_are_written() {
        let sheet = TempSheet::new(ONE);
        let line = r#"{"key":"P1","updates":{"STATUS":"COMPLETED","SUPPLIER":"x"},"OUT":"PRECIOUS","n":{"a":[1]},"none":null}"#;
        let ended = apply(&sheet, line).with(1);
        assert_eq!(row(&sheet, "P1"), ["COMPLETED", "x", ""]);
        let said = "line 1: OUT, n stand beside updates, where nothing is looked for";
        assert!(ended.stderr.contains(said), "{ended:?}");
        assert!(ended.stdout.contains("\"durable\":true"), "{ended:?}");
        assert_eq!(
            sheet.unplaced(),
            "PO_NUMBER;OUT;n\nP1;PRECIOUS;\"{\"\"a\"\":[1]}\"\n"
        );
    }

    #[test]
    fn when_the_folder_is_removed_all_results_are_in_the_copy_that_is_named() {
        let sheet = TempSheet::new("PO_NUMBER;OUT\nP1;\nP2;\nP3;\n");
        let folder = sheet.folder().join("d");
        std::fs::create_dir(&folder).unwrap();
        std::fs::rename(sheet.path(), folder.join("s.csv")).unwrap();
        let (stdin, mut lines) = std::io::pipe().unwrap();
        let mut command = crate::command_line::tickoff();
        command.arg("apply").arg(folder.join("s.csv")).arg("--ack");
        command.env("TMPDIR", sheet.folder());
        let running = Running::start(command.stdin(stdin));
        let mut send = |po: &str| {
            writeln!(
                lines,
                "{{\"key\":\"{po}\",\"updates\":{{\"OUT\":\"of {po}\"}}}}"
            )
            .unwrap();
        };
        send("P1");
        wait_until("it is answered", || running.stdout().contains("true"));
        std::fs::remove_dir_all(&folder).unwrap();
        send("P2");
        send("P3");
        drop(lines);
        let ended = running.end().with(6);
        let (_, kept) = ended
            .stderr
            .split_once("the sheet with all results is in ")
            .unwrap_or_else(|| panic!("{ended:?}"));
        let kept = std::fs::read_to_string(kept.split_once(": ").unwrap().0).unwrap();
        for po in ["P1", "P2", "P3"] {
            assert!(kept.contains(&format!("\n{po};of {po}")), "{kept}");
        }
    }

    #[test]
    fn a_result_for_a_row_that_had_one_and_was_removed_before_is_kept() {
        let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\nP2;\n");
        end(&mut sheet.run("", "true")).with(0);
        let text = sheet.text();
        std::fs::write(sheet.path(), &text[..text.find("P2;").unwrap()]).unwrap();
        let ended = apply(
            &sheet,
            r#"{"key":"P2","updates":{"R":"later"}}
{"key":"P3","updates":{"R":"never"}}"#,
        );
        let mut copies = sheet.backup_names();
        copies.retain(|name| name.contains(".unplaced"));
        let texts = copies.iter().map(|name| sheet.backups().join(name));
        let kept: String = texts
            .map(|path| std::fs::read_to_string(path).unwrap())
            .collect();
        assert!(kept.contains("later") && !kept.contains("never"), "{kept}");
        assert!(ended.stderr.contains("line 2: "), "{}", ended.stderr);
        assert!(!ended.stderr.contains("line 1: "), "{}", ended.stderr);
    }

    /// An apply that gave a row's cell a value and is killed then, after `meanwhile`.
    fn killed_apply(sheet: &TempSheet, meanwhile: impl FnOnce()) {
        let (stdin, mut lines) = std::io::pipe().unwrap();
        let running = Running::start(sheet.tickoff("apply").arg("--ack").stdin(stdin));
        for (count, value) in [(1, "one"), (2, "two")] {
            writeln!(
                lines,
                "{{\"key\":\"P{count}\",\"updates\":{{\"SUPPLIER\":\"{value}\"}}}}"
            )
            .unwrap();
            wait_until("it is answered", || {
                running.stdout().matches("true").count() == count
            });
            if count == 1 {
                wait_until("it is in the sheet", || {
                    sheet.cell("P1", "SUPPLIER") == "one"
                });
            }
        }
        meanwhile();
        running.kill();
    }

    #[test]
    fn a_result_that_follows_the_result_of_a_killed_apply_takes_the_place_of_nobodys_edit() {
        let sheet = TempSheet::new("PO_NUMBER;SUPPLIER\nP1;\nP2;\n");
        killed_apply(&sheet, || {});
        let lines = r#"{"key":"P1","updates":{"SUPPLIER":"three"}}
{"key":"P2","updates":{"SUPPLIER":"four"}}"#;
        let ended = apply(&sheet, lines).with(0);
        assert!(!ended.stderr.contains("changed a cell"), "{ended:?}");
        let copies = sheet.backup_names();
        assert!(
            !copies.iter().any(|name| name.contains("outside")),
            "{copies:?}"
        );
        assert_eq!(sheet.cell("P1", "SUPPLIER"), "three");
    }

    #[test]
    fn what_was_set_while_a_killed_apply_ran_is_not_said_to_be_of_another_command_that_goes_on() {
        let sheet = TempSheet::new("PO_NUMBER;SUPPLIER\nP1;\nP2;\n");
        killed_apply(&sheet, || {
            end(sheet.tickoff("set").args(["P1", "SUPPLIER=mine"])).with(0);
        });
        let ended = apply(&sheet, r#"{"key":"P1","updates":{"SUPPLIER":"later"}}"#).with(0);
        let said = "an earlier tickoff command, which ended before this one began, changed a cell before its result came; the result takes its place key=P1 column=SUPPLIER in_sheet=later theirs=mine";
        assert!(ended.stderr.contains(said), "{ended:?}");
        assert_eq!(sheet.cell("P1", "SUPPLIER"), "later");
    }

    #[test]
    fn an_error_makes_its_row_an_error_and_costs_no_cell() {
        for (line, want, unplaced) in [
            (r#""error":"404""#, ["ERROR", "", "404"], ""),
            (
                r#""updates":{"STATUS":"COMPLETED","SUPPLIER":"x"},"error":"404""#,
                ["ERROR", "x", "404"],
                "PO_NUMBER;STATUS\nP1;COMPLETED\n",
            ),
            (
                r#""updates":{"STATUS":"FAILED","ERROR_MESSAGE":"why"},"error":{"code":404}"#,
                ["FAILED", "", "why"],
                "PO_NUMBER;error\nP1;\"{\"\"code\"\":404}\"\n",
            ),
            (
                r#""updates":{"STATUS":"COMPLETED"},"error":"""#,
                ["COMPLETED", "", ""],
                "",
            ),
        ] {
            let sheet = TempSheet::new(ONE);
            let line = format!("{{\"key\":\"P1\",{line}}}\n");
            apply(&sheet, &line).with(!unplaced.is_empty() as i32);
            assert_eq!(row(&sheet, "P1"), want, "{line}");
            if !unplaced.is_empty() {
                assert_eq!(sheet.unplaced(), unplaced, "{line}");
            }
        }
    }
}

mod an_answer_that_is_wrong_in_part {
    use super::*;

    #[test]
    fn costs_none_of_its_good_cells() {
        for (options, script) in [
            (
                "",
                r#"echo '{"SUPPLIER":"x","n":{"a":1}}' > $TICKOFF_RESULT"#,
            ),
            (
                "--worker-protocol jsonl",
                r#"read -r line; id=${line#*\"id\":}; echo "{\"id\":${id%%,*},\"updates\":{\"STATUS\":\"COMPLETED\",\"SUPPLIER\":\"x\",\"n\":{\"a\":1}}}"; cat"#,
            ),
            (
                "--worker-protocol jsonl",
                r#"read -r line; id=${line#*\"id\":}; echo "{\"id\":${id%%,*},\"updates\":{\"SUPPLIER\":\"x\"},\"OUT\":\"y\"}"; cat"#,
            ),
        ] {
            let sheet = TempSheet::new(ONE);
            end(&mut sheet.run(options, script)).with(1);
            let [status, supplier, _] = row(&sheet, "P1");
            assert_eq!([&*status, &*supplier], ["ERROR", "x"], "{script}");
            assert!(sheet.unplaced().contains("RAW_ANSWER"), "{script}");
        }
    }
}
