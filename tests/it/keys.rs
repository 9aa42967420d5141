//! A key of several columns: one CSV record of their cells, by which everything knows a row.

use std::collections::BTreeSet;
use std::process::Command;

use tickoff::{
    CsvHandler, Duplicates, Error, JobEnd, JobList, KeyColumns, Options, Session, Sheet,
};

use crate::command_line::{Running, end, tickoff, wait_until};
use crate::fixture::{TempSheet, rested};

const ORDERS: &str = "order;line;qty\nA1;1;5\nA1;2;7\nA2;1;5\n";
const KEY: &str = "--key order --key line";
const JOB: &str = "printf '%s\\n' \"$TICKOFF_KEY\" >> ran";

/// `tickoff {command} --key order --key line input.csv {arguments}`.
fn with_key(sheet: &TempSheet, command: &str, arguments: &[&str]) -> Command {
    let mut program = sheet.tickoff(&format!("{command} {KEY}"));
    program.args(arguments);
    program
}

fn options() -> Options {
    Options {
        key: KeyColumns::new(["order", "line"]).unwrap(),
        ..Options::default()
    }
}

fn pending(sheet: &TempSheet) -> Vec<String> {
    let ended = end(&mut with_key(sheet, "pending", &[])).with(0);
    ended.stdout.lines().map(str::to_owned).collect()
}

#[test]
fn the_key_is_one_record_wherever_a_key_is_shown() {
    let sheet = TempSheet::new(ORDERS);
    let script =
        "echo \"$1 $TICKOFF_KEY $TICKOFF_PO\" >> ran; echo \"{\\\"key\\\":1}\" > $TICKOFF_RESULT";
    let mut run = with_key(&sheet, "run -j1 --joblog log --results res", &[]);
    run.args(["--events", "events", "--", "sh", "-c", script, "sh", "{}"]);
    end(&mut run).with(0);
    assert_eq!(
        sheet.lines("ran"),
        ["A1;1 A1;1 A1;1", "A1;2 A1;2 A1;2", "A2;1 A2;1 A2;1"]
    );
    let logged = sheet.lines("log");
    assert!(logged[2].ends_with("\tA1;2"), "{logged:?}");
    assert!(sheet.folder().join("res/A1%3B2/stdout").exists());
    assert!(
        sheet
            .lines("events")
            .iter()
            .any(|line| line.contains("\"po\":\"A1;2\""))
    );
    let found = end(&mut with_key(&sheet, "get", &["A1;2", "--json"]))
        .with(0)
        .json();
    assert_eq!(
        (&found["po_number"], &found["key"]),
        (&"A1;2".into(), &"A1;2".into())
    );
    assert_eq!(pending(&sheet), [""; 0]);
}

#[test]
fn parts_with_the_delimiter_quotes_and_line_breaks_make_no_two_rows_one() {
    let sheet = TempSheet::new(
        "order;line;note\n\"a;b\";c;\na;\"b;c\";\n\"say \"\"hi\"\"\";1;\n\"x\ny\";1;\n\" a;b \"; d ;\n",
    );
    let keys = [
        "\"a;b\";c",
        "a;\"b;c\"",
        "\"say \"\"hi\"\"\";1",
        "\"x\ny\";1",
        "\"a;b\";d",
    ];
    let listed = end(&mut with_key(&sheet, "pending", &["-0"]))
        .with(0)
        .stdout;
    assert_eq!(listed.split_terminator('\0').collect::<Vec<_>>(), keys);
    for (at, key) in keys.iter().enumerate() {
        let note = format!("note=n{at}");
        end(&mut with_key(&sheet, "set", &[key, &note])).with(0);
    }
    assert_eq!(
        sheet.text(),
        "order;line;note\n\"a;b\";c;n0\na;\"b;c\";n1\n\"say \"\"hi\"\"\";1;n2\n\"x\ny\";1;n3\n\" a;b \"; d ;n4\n"
    );
}

#[test]
fn a_key_is_found_however_its_record_is_typed() {
    let sheet = TempSheet::new(ORDERS);
    for (at, typed) in ["A1;2", "\"A1\";2", " A1 ; 2 ", "A1;\"2\"\n"]
        .iter()
        .enumerate()
    {
        let qty = format!("qty={at}");
        end(&mut with_key(&sheet, "set", &[typed, &qty])).with(0);
        assert_eq!(
            sheet.text(),
            ORDERS.replace("A1;2;7", &format!("A1;2;{at}"))
        );
    }
    for (typed, meant) in [("A1", ""), ("A1;2;7", ""), ("A1,2", ": did you mean A1;2?")] {
        let ended = end(&mut with_key(&sheet, "set", &[typed, "qty=0"])).with(1);
        assert!(
            ended
                .stderr
                .contains(&format!("no row has the key {typed}")),
            "{ended:?}"
        );
        assert!(ended.stderr.contains(meant), "{ended:?}");
    }
    let ended = end(&mut with_key(&sheet, "set", &["A1;2", "LINE=3"])).with(1);
    assert!(ended.stderr.contains("is part of the key"), "{ended:?}");
}

#[test]
fn a_row_has_no_key_if_all_of_its_parts_are_empty() {
    let sheet = TempSheet::new("order;line;note\nA;;\n;B;\n ;\" \";text\n;;\nC\n");
    let mut run = with_key(&sheet, "run -j1", &["--", "sh", "-c", JOB]);
    let ended = end(&mut run).with(0);
    assert_eq!(sheet.lines("ran"), ["A;", ";B", "C;"]);
    assert!(
        ended.stderr.contains(
            "1 row has no key, the first in line 4, and no job: order, line are empty there"
        ),
        "{ended:?}"
    );
    let checked = end(&mut with_key(&sheet, "check", &[])).with(0).stdout;
    assert!(checked.contains("the row has no key"), "{checked}");
    end(&mut with_key(&sheet, "set", &[";", "note=x"])).with(1);
}

#[test]
fn a_tab_between_the_parts_is_no_blank_around_them() {
    let sheet = TempSheet::new("order\tline\tnote\nA\t\t\n\tB\t\nA\tB\t\n");
    let keys = ["A\t\"\"", "\"\"\tB", "A\tB"];
    let listed = end(&mut with_key(&sheet, "pending", &["-0"]))
        .with(0)
        .stdout;
    assert_eq!(listed.split_terminator('\0').collect::<Vec<_>>(), keys);
    for (key, note) in [("A\t", "note=1"), ("\"\"\tB", "note=2"), ("A\tB", "note=3")] {
        end(&mut with_key(&sheet, "set", &[key, note])).with(0);
    }
    assert_eq!(sheet.text(), "order\tline\tnote\nA\t\t1\n\tB\t2\nA\tB\t3\n");
}

#[test]
fn a_killed_run_goes_on_and_nothing_runs_twice_that_was_done() {
    let rows: String = (0..120)
        .map(|at| format!("A{};{};\n", at / 3, at % 3))
        .collect();
    let sheet = TempSheet::new(format!("order;line;qty\n{rows}"));
    let run = Running::start(&mut sheet.run(&format!("-j 4 -q {KEY}"), JOB));
    wait_until("40 rows are done", || sheet.lines("ran").len() >= 40);
    run.kill();
    let left: BTreeSet<String> = pending(&sheet).into_iter().collect();
    let before = sheet.lines("ran");
    let twice = before.iter().filter(|key| left.contains(*key)).count();
    assert!(!left.is_empty() && twice <= 4, "{twice} of {}", left.len());
    // What the killed run had started may still write its line.
    let again = JOB.replace(">> ran", ">> again");
    end(&mut sheet.run(&format!("-j 4 -q {KEY}"), &again)).with(0);
    let resumed = sheet.lines("again");
    assert_eq!(resumed.len(), left.len());
    assert_eq!(resumed.into_iter().collect::<BTreeSet<_>>(), left);
    assert_eq!(sheet.text().matches(";COMPLETED;").count(), 120);
}

#[test]
fn rows_are_chosen_by_their_key_and_by_the_words_of_their_state() {
    let sheet = TempSheet::new("order;line;STATUS\nA1;1;\nA1;2;new\nA2;1;\nA2;2;COMPLETED\n");
    let mut run = with_key(&sheet, "run -j1 --todo new", &[]);
    run.args([
        "--only", "\"A1\";2", "--only", "A2;1", "--only", "A2;2", "--", "sh", "-c", JOB,
    ]);
    let ended = end(&mut run).with(0);
    assert_eq!(sheet.lines("ran"), ["A1;2", "A2;1"]);
    assert!(
        ended.stderr.contains("A2;2 is done, and skipped"),
        "{ended:?}"
    );
    let mut run = with_key(&sheet, "run --only A1", &["--", "true"]);
    assert!(
        end(&mut run)
            .with(1)
            .stderr
            .contains("no row has the key A1")
    );
}

#[test]
fn apply_takes_a_key_and_answers_with_it() {
    let sheet = TempSheet::new(ORDERS);
    let requests = sheet.folder().join("requests");
    let line = "{\"key\":\"A1; \\\"2\\\"\",\"updates\":{\"qty\":1}}\n{\"po_number\":\"A1;\\\"2\\\"\",\"updates\":{\"qty\":8}}\n{\"key\":\"A1\",\"updates\":{\"qty\":8}}\n";
    std::fs::write(&requests, line).unwrap();
    let mut apply = with_key(&sheet, "apply --ack", &[]);
    let ended = end(apply.stdin(std::fs::File::open(&requests).unwrap())).with(1);
    assert_eq!(
        ended.stdout.matches("\"durable\":true").count(),
        1,
        "{ended:?}"
    );
    assert!(sheet.text().contains("A1;2;8"), "{}", sheet.text());
}

#[test]
fn what_a_command_says_of_the_key_is_kept_and_changes_nothing() {
    let sheet = TempSheet::new("order;line;qty\nA1;1;5\nA1; 2 ;7\n");
    let script = "echo '{\"order\":\"A1\",\"LINE\":\"2\",\"qty\":\"9\"}' > $TICKOFF_RESULT";
    let ended = end(&mut with_key(
        &sheet,
        "run -j1",
        &["--", "sh", "-c", script],
    ))
    .with(1);
    let told = "a result may not change the key: what it says of line goes to ….unplaced.csv, as ANSWERED_line key=A1;1\n";
    assert_eq!(ended.stderr.matches(told).count(), 1, "{ended:?}");
    let text = sheet.text();
    assert!(
        text.contains("\nA1;1;9;COMPLETED;") && text.contains("\nA1; 2 ;9;COMPLETED;"),
        "{text}"
    );
    assert_eq!(sheet.unplaced(), "order, line;ANSWERED_line\n\"A1;1\";2\n");
    let mut run = with_key(&sheet, "run --stdout-to LINE", &["--", "true"]);
    let ended = end(&mut run).with(2);
    assert!(
        ended.stderr.contains("--stdout-to LINE: the key"),
        "{ended:?}"
    );
}

#[test]
fn init_remembers_the_columns_and_every_command_reads_them() {
    let sheet = TempSheet::new(ORDERS);
    let init = end(sheet.tickoff("init").args(KEY.split(' '))).with(0);
    let remembered = "remembered key = [\"order\", \"line\"]\n";
    assert!(init.stdout.starts_with(remembered), "{init:?}");
    let settings = std::fs::read_to_string(sheet.folder().join("tickoff.toml")).unwrap();
    assert_eq!(settings, "[\"input.csv\"]\nkey = [\"order\", \"line\"]\n");
    let key = Options::remembered(sheet.path()).unwrap().key;
    assert_eq!(key, options().key);
    end(sheet.tickoff("set").args(["A1;2", "STATUS=COMPLETED"])).with(0);
    let pending = end(&mut sheet.tickoff("pending")).with(0);
    assert_eq!(pending.stdout, "A1;1\nA2;1\n");
}

#[test]
fn a_key_on_the_command_line_replaces_all_of_a_remembered_one() {
    let sheet = TempSheet::new("order;line;id\nA1;1;7\nA1;2;8\n");
    let settings = "[\"input.csv\"]\nkey = [\"order\", \"line\"]\n";
    std::fs::write(sheet.folder().join("tickoff.toml"), settings).unwrap();
    let pending = |options: &str| {
        let pending = end(&mut sheet.tickoff(&format!("pending{options}"))).with(0);
        pending.stdout
    };
    assert_eq!(pending(""), "A1;1\nA1;2\n");
    assert_eq!(pending(" --key line --key order"), "1;A1\n2;A1\n");
    assert_eq!(pending(" --key id"), "7\n8\n");
}

#[test]
fn results_by_another_key_are_not_taken_for_those_of_this_one() {
    let sheet = TempSheet::new("order;line\nA1;1\nA2;2\n");
    end(&mut with_key(&sheet, "set", &["A1;1", "line=1"])).with(1);
    end(&mut with_key(&sheet, "run --limit 1", &["--", "true"])).with(0);
    let before = sheet.text();
    for other in [
        "--key order",
        "--key line --key order",
        "--key order --key line --key STATUS",
    ] {
        let ended = end(sheet
            .tickoff("run")
            .args(other.split(' '))
            .args(["--", "true"]))
        .with(3);
        assert!(
            ended.stderr.contains("holds results by the key columns order, line: use --key order --key line (tickoff init FILE --key order --key line remembers it)"),
            "{other}: {ended:?}"
        );
    }
    assert_eq!(sheet.text(), before);
    end(&mut with_key(&sheet, "run", &["--", "true"])).with(0);
}

#[test]
fn a_key_that_cannot_be_meant_is_refused_with_what_to_do() {
    let sheet = TempSheet::new("order;line;qty\nA1;1;5\n");
    let check = |options: &str, code: i32, said: &str| {
        let ended = end(sheet
            .tickoff("run")
            .args(options.split(' '))
            .args(["--", "true"]));
        assert_eq!(ended.code, code, "{options}: {ended:?}");
        assert!(ended.stderr.contains(said), "{options}: {}", ended.stderr);
        assert_eq!(sheet.text(), "order;line;qty\nA1;1;5\n");
        assert_eq!(sheet.leftovers(), [""; 0]);
    };
    check(
        "--key order --key ORDER",
        2,
        "--key order --key ORDER: a column can be in the key once",
    );
    check("--key order --key=", 2, "--key may not be blank");
    check(
        "--key order --key lime",
        3,
        "no column lime in the header, which has order, line, qty: did you mean line?\n",
    );
    check(
        "--key order --key lime",
        3,
        "if order and line are the key: tickoff init input.csv --key order --key line\n",
    );
    check(
        "--key id --key no",
        3,
        "no columns id, no in the header, which has order, line, qty\n",
    );
    let ended = end(sheet
        .tickoff("init")
        .args(["--add-key", "order", "--add-key", "line"]));
    ended.with(2);
    let ended = end(sheet
        .tickoff("init")
        .args(["--add-key", "ID", "--key", "order"]));
    ended.with(2);
    let twice = TempSheet::new("order;line;Line\nA1;1;5\n");
    let ended = end(&mut with_key(&twice, "run", &["--", "true"])).with(3);
    assert!(ended.stderr.contains("input.csv:1:12: "), "{ended:?}");
    let numbered = Session::number_rows(sheet.path(), &options());
    assert!(matches!(numbered, Err(Error::Unsuitable { .. })));
}

#[test]
fn jobs_from_standard_input_are_the_cells_of_one_column() {
    let sheet = TempSheet::new("");
    std::fs::remove_file(sheet.path()).unwrap();
    let mut run = tickoff();
    run.args(["run", "-", "--output", "o.csv"])
        .args(KEY.split(' '))
        .args(["--", "true"]);
    let ended = end(run.current_dir(sheet.folder())).with(2);
    assert_eq!(
        ended.stderr,
        "tickoff: jobs from standard input are the cells of one column, and the key has several (order, line): name one with --key\n"
    );
    assert_eq!(sheet.leftovers(), [""; 0]);
    let read = JobList::read(&b"a\n"[..], JobEnd::Line, "jobs", &options());
    assert!(matches!(read, Err(Error::NoKeyColumn { .. })));
}

#[test]
fn two_columns_that_are_the_key_together_are_found() {
    let sheet = TempSheet::new(ORDERS);
    let ended = end(sheet.tickoff("run").args(["--", "true"])).with(3);
    assert!(
        ended.stderr.contains("no column is filled in every row and different in each, but two together are: order with line, order with qty; if order and line are the key: tickoff init input.csv --key order --key line; or number the rows"),
        "{ended:?}"
    );
}

#[test]
fn a_key_in_several_rows_is_refused_or_written_to_all_of_them() {
    let sheet = TempSheet::new("order;line;qty\nA1;1;5\n\"A1\"; 1;6\nA1;2;7\n");
    let ended = end(&mut with_key(&sheet, "run", &["--", "true"])).with(3);
    assert!(
        ended
            .stderr
            .contains("A1;1 stands in several rows, on lines 2, 3"),
        "{ended:?}"
    );
    let checked = end(&mut with_key(&sheet, "check", &[])).with(3).stdout;
    assert!(
        checked.contains("the key A1;1 stands on lines 2, 3"),
        "{checked}"
    );
    let mut run = with_key(&sheet, "run -j1 --duplicates all", &["--", "sh", "-c", JOB]);
    end(&mut run).with(0);
    assert_eq!(sheet.lines("ran"), ["A1;1", "A1;2"]);
    assert_eq!(sheet.text().matches(";COMPLETED;").count(), 3);
}

const WITH_RESULTS: &str =
    "order;line;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nA1;1;;;\nA1;2;;;\nA2;1;;;\n";

fn replace(sheet: &TempSheet, contents: &str) {
    let new = sheet.folder().join("saved.csv");
    std::fs::write(&new, contents).unwrap();
    std::fs::rename(new, sheet.path()).unwrap();
}

fn complete(handler: &CsvHandler, key: &str) {
    let cells = [("STATUS", "COMPLETED"), ("LAST_PROCESSED", "t")];
    handler.update_record(key, cells).unwrap();
}

#[test]
fn rows_that_another_program_moved_keep_their_results_whatever_the_delimiter_is_now() {
    let sheet = TempSheet::new(WITH_RESULTS);
    let handler = CsvHandler::open_with(sheet.path(), &options()).unwrap();
    complete(&handler, "A1;2");
    replace(
        &sheet,
        "line,x,order,STATUS,LAST_PROCESSED,ERROR_MESSAGE\n1,,A2,,,\n2,,A1,,,\n1,\"a,b\",A1,,,\n\"1,5\",,A1,,,\n",
    );
    complete(&handler, "A1;1");
    complete(&handler, "A1;1,5");
    assert_eq!(
        sheet.text(),
        "line,x,order,STATUS,LAST_PROCESSED,ERROR_MESSAGE\n1,,A2,,,\n2,,A1,COMPLETED,t,\n1,\"a,b\",A1,COMPLETED,t,\n\"1,5\",,A1,COMPLETED,t,\n"
    );
    drop(handler);
    assert_eq!(pending(&sheet), ["A2;1"]);
    end(&mut with_key(&sheet, "set", &["A2,1", "STATUS=ERROR"])).with(0);
    assert!(sheet.text().contains("\n1,,A2,ERROR,"), "{}", sheet.text());
}

#[test]
fn a_row_of_which_a_part_was_changed_is_another_one() {
    let more: String = (1..9).map(|line| format!("B;{line};;;\n")).collect();
    let orders = format!("{WITH_RESULTS}{more}");
    let sheet = TempSheet::new(&orders);
    let handler = CsvHandler::open_with(sheet.path(), &options()).unwrap();
    complete(&handler, "A1;1");
    let changed = orders.replace("A1;1;", "A1;9;").replace("A2;1;;;\n", "");
    replace(&sheet, &changed);
    complete(&handler, "A1;2");
    assert!(
        sheet.text().contains("\nA1;9;;;\nA1;2;COMPLETED;"),
        "{}",
        sheet.text()
    );
    assert!(matches!(
        handler.update_record("A2;1", [("STATUS", "COMPLETED")]),
        Err(Error::UnknownPo { .. })
    ));
    // Back again, it has its result.
    replace(&sheet, &orders);
    complete(&handler, "B;2");
    assert!(
        sheet.text().contains("\nA1;1;COMPLETED;t;"),
        "{}",
        sheet.text()
    );
    replace(&sheet, &changed);
    complete(&handler, "B;1");
    drop(handler);
    let unplaced = sheet.unplaced();
    assert!(unplaced.starts_with("order, line;STATUS;"), "{unplaced}");
    assert!(unplaced.contains("\n\"A1;1\";COMPLETED;t"), "{unplaced}");
}

#[test]
fn a_copy_gets_the_rows_that_are_new_in_its_input_whatever_their_delimiters_are() {
    let sheet = TempSheet::new("order;line;qty\nA1;1;5\n\"a,b\";\"c;d\";5\n");
    let run = || {
        let mut run = with_key(
            &sheet,
            "run -j1 --output copy.csv",
            &["--", "sh", "-c", JOB],
        );
        end(&mut run).with(0)
    };
    run();
    assert_eq!(sheet.lines("ran"), ["A1;1", "a,b;\"c;d\""]);
    std::fs::write(
        sheet.path(),
        "order,line,qty\nA1,1,5\n\"a,b\",c;d,5\nA1,2,\"1,5\"\n",
    )
    .unwrap();
    rested(sheet.path());
    let ended = run();
    assert_eq!(sheet.lines("ran")[2..], ["A1;2"], "{ended:?}");
    let copy = std::fs::read_to_string(sheet.folder().join("copy.csv")).unwrap();
    assert_eq!(copy.lines().count(), 4, "{copy}");
    assert!(copy.contains("\nA1;2;1,5;COMPLETED;"), "{copy}");
}

#[test]
fn the_library_takes_a_key_of_several_columns() {
    let sheet = TempSheet::new(ORDERS);
    let read = Sheet::read(sheet.path(), &options()).unwrap();
    assert_eq!(read.key_columns(), ["order", "line"]);
    assert_eq!(read.record("A1;\"2\"").unwrap().po_number, "A1;2");
    let by_one = Options {
        key: "order".into(),
        duplicates: Duplicates::All,
        ..Options::default()
    };
    let read = Sheet::read(sheet.path(), &by_one).unwrap();
    assert_eq!(read.pending_pos().collect::<Vec<_>>(), ["A1", "A2"]);
}

#[test]
fn parts_of_a_key_look_alike_only_part_by_part() {
    let sheet = TempSheet::new("order\tline\tx\nA1\t2\t\nA\t12\t\nA 1\t2\t\n");
    let checked = end(&mut with_key(&sheet, "check", &[])).with(0).stdout;
    assert_eq!(checked.matches("looks like").count(), 1, "{checked}");
    assert!(checked.contains("input.csv:4:1: "), "{checked}");
}

#[test]
fn a_key_column_that_looks_like_the_one_that_is_asked_for_is_named() {
    let sheet = TempSheet::new("order;lіne;x\nA1;1;\n");
    let refused = end(&mut with_key(&sheet, "pending", &[])).with(3).stderr;
    assert!(
        refused.contains("no column line in the header, which has order, lіne, x: the column lіne looks like it, but they differ in і U+0456 (Cyrillic)"),
        "{refused}"
    );
    assert!(
        refused.contains("type that name anew in the sheet's header"),
        "{refused}"
    );
    let sheet = TempSheet::new("id;lіne;x\nA1;1;\n");
    let refused = end(&mut with_key(&sheet, "pending", &[])).with(3).stderr;
    assert!(
        refused.contains("no columns order, line in the header, which has id, lіne, x: the column lіne looks like line, but"),
        "{refused}"
    );
}

#[test]
fn a_key_that_is_written_otherwise_is_answered_with_how_it_is_written() {
    let check = |contents: &str, typed: &[&str], code: i32, message: &str| {
        let sheet = TempSheet::new(contents);
        let ended = end(&mut with_key(&sheet, "get", typed)).with(code);
        assert_eq!(ended.stderr, format!("tickoff: {message}\n"));
    };
    const FORM: &str = "which is not of the form order;line";
    check(
        ORDERS,
        &["A1"],
        1,
        &format!("no row has the key A1, {FORM}: did you mean A1;1 or A1;2?"),
    );
    let rows: String = (1..=5).map(|line| format!("A1;{line};x\n")).collect();
    check(
        &format!("order;line;qty\n{rows}"),
        &["A1"],
        1,
        &format!("no row has the key A1, {FORM}: did you mean A1;1, A1;2, A1;3 or 2 more?"),
    );
    check(
        ORDERS,
        &["A1 2"],
        1,
        &format!("no row has the key A1 2, {FORM}: did you mean A1;2?"),
    );
    check(
        ORDERS,
        &["2 A1"],
        1,
        &format!("no row has the key 2 A1, {FORM}"),
    );
    check(ORDERS, &["B7;7"], 1, "no row has the key B7;7");
    check(
        ORDERS,
        &["A1", "2"],
        2,
        &format!(
            "get shows one row, whose key is one word; no row has the key A1 2, {FORM}: did you mean A1;2?"
        ),
    );
    let with_tabs = ORDERS.replace(';', "\t");
    check(
        &with_tabs,
        &["A1"],
        1,
        &format!("no row has the key A1, {FORM}: did you mean A1;1 or A1;2?"),
    );
    let sheet = TempSheet::new(with_tabs);
    end(&mut with_key(&sheet, "get", &["A1;2"])).with(0);
    let sheet = TempSheet::new("PO_NUMBER;a\nA 1;\n");
    let ended = end(sheet.tickoff("get").args(["A", "1"])).with(2);
    assert!(ended.stderr.ends_with("quote it: 'A 1'\n"), "{ended:?}");
}

#[test]
fn a_part_of_a_key_that_is_set_is_called_so() {
    let sheet = TempSheet::new(ORDERS);
    let ended = end(&mut with_key(&sheet, "set", &["A1;2", "Line=9"])).with(1);
    assert_eq!(
        ended.stderr,
        "tickoff: A1;2: Line is part of the key (order, line), which no update may change: change it in the sheet itself, where the row keeps its other cells\n"
    );
    let ended = end(&mut with_key(&sheet, "set", &["A1", "2", "qty=9"])).with(2);
    assert!(
        ended
            .stderr
            .contains("a key of several columns is one word before it: 'A1;2'"),
        "{ended:?}"
    );
    assert_eq!(sheet.text(), ORDERS);
}

#[test]
fn columns_that_are_named_in_one_are_answered_with_the_command_for_each() {
    for typed in ["order,line", "Order; line", "order line", "order+line"] {
        let sheet = TempSheet::new(ORDERS);
        let ended = end(sheet.tickoff("status").args(["--key", typed])).with(3);
        let says = "if order and line are the key: tickoff init input.csv --key order --key line\n";
        assert!(ended.stderr.ends_with(says), "{typed}: {ended:?}");
    }
    let sheet = TempSheet::new("a b;c\n1;2\n1;3\n");
    let ended = end(sheet.tickoff("status").args(["--key", "a"])).with(3);
    assert!(!ended.stderr.contains("are the key"), "{ended:?}");
}

#[test]
fn a_key_column_that_was_renamed_keeps_its_results_under_its_new_name() {
    for is_visible in [true, false] {
        let sheet = TempSheet::new("PO_NUMBER;n\nP1;a\nP2;b\nP3;c\nP4;d\n");
        let work = match is_visible {
            true => "echo OUT=x > $TICKOFF_RESULT",
            false => "[ $TICKOFF_KEY != P3 ] || kill -9 $PPID; echo OUT=x > $TICKOFF_RESULT",
        };
        end(&mut sheet.run("-q -j 1", work));
        let text = sheet.text();
        replace(&sheet, &text.replacen("PO_NUMBER", "Order", 1));
        crate::fixture::rested(sheet.path());
        // Another column is not the key, though the old name is gone.
        let refused = end(sheet.tickoff("pending").args(["--key", "n"])).with(3);
        assert!(refused.stderr.contains("name the key column, or in the header column PO_NUMBER again; if this is another sheet, mv "), "{}", refused.stderr);
        let mut run = sheet.tickoff("run -q --key Order");
        let ended = end(run.args(["--", "sh", "-c", "echo $TICKOFF_KEY >> ran"]));
        ended.with(0);
        let ran = std::fs::read_to_string(sheet.folder().join("ran")).unwrap_or_default();
        assert!(!ran.contains("P1") && is_visible == ran.is_empty(), "{ran}");
        let text = sheet.text();
        assert!(text.starts_with("Order;n"), "{text}");
        assert_eq!(text.matches("COMPLETED").count(), 4, "{text}");
        end(sheet.tickoff("init").args(["--key", "Order"])).with(0);
        end(&mut sheet.tickoff("status")).with(0);
    }
}
