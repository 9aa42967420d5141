//! What people cannot see in a sheet, `check` does: invisible characters and look-alikes in the header and in
//! keys, a control character as a row, names and keys that are there twice but for what does not show.

use crate::command_line::end;
use crate::fixture::TempSheet;

/// The findings of `check`, without the excerpts, as `line:column: level: what`.
#[track_caller]
fn findings(contents: impl AsRef<[u8]>, code: i32) -> Vec<String> {
    let sheet = TempSheet::new(contents);
    let ended = end(&mut sheet.tickoff("check")).with(code);
    let lines = ended.stdout.lines();
    let lines = lines.filter(|line| !line.ends_with(": nothing is wrong"));
    lines
        .filter_map(|line| Some(line.split_once("input.csv:")?.1.to_owned()))
        .collect()
}

#[track_caller]
fn check(contents: &str, want: &[&str]) {
    assert_eq!(findings(contents, 0), want, "{contents}");
}

#[test]
fn an_invisible_character_in_a_name_or_key_is_shown_by_its_code_point_and_place() {
    check(
        "PO_NUMBER;no\u{200b}te;a\u{a0}b;\"c\"\"\u{202e}\"\nPO1\u{feff};\n\"P\u{ad}O2\";\nPO3\u{a0};\n",
        &[
            "1:13: warning: the column no\\u{200b}te has an invisible character U+200B (a zero-width space) inside",
            "1:20: warning: the column a\u{a0}b has an invisible character U+00A0 (a no-break space) inside",
            "1:28: warning: the column c\"\\u{202e} has an invisible character U+202E (it changes the direction of writing) at its end",
            "2:4: warning: PO1\\u{feff}: the key has an invisible character U+FEFF (a byte order mark) at its end",
            "3:3: warning: P\\u{ad}O2: the key has an invisible character U+00AD (a soft hyphen) inside",
            "4:4: warning: PO3: the key has an invisible character U+00A0 (a no-break space) at its end",
        ],
    );
}

#[test]
fn a_column_that_looks_like_one_of_tickoff_s_is_named() {
    check(
        "PO_NUMBER;STАTUS;ＳＵＰＰＬＩＥＲ\nP1;;\n",
        &[
            "1:11: warning: the column STАTUS looks like STATUS and is another one: they differ in А U+0410 (Cyrillic)",
            "1:19: warning: the column ＳＵＰＰＬＩＥＲ looks like SUPPLIER and is another one: they differ in the form of Ｓ U+FF33",
        ],
    );
}

#[test]
fn columns_that_are_there_twice_or_look_so_are_named_unless_a_run_refuses_them() {
    check(
        "PO_NUMBER;Note;Name;note;Nаme\nP1;;;;\n",
        &[
            "1:21: warning: the column note is there twice, as column 2 and 4: the first counts where a name fits both",
            "1:26: warning: the column Nаme looks like Name and is another one: they differ in а U+0430 (Cyrillic)",
        ],
    );
    let refused = findings("PO_NUMBER;STATUS;status\nP1;;\n", 3);
    assert_eq!(refused, ["1:18: error: the column STATUS is there twice"]);
}

#[test]
fn keys_that_differ_in_what_does_not_show_are_named_with_both_lines() {
    check(
        "PO_NUMBER\nPO 1\nPO1\nРО1\nPO１\nPO2\nPO3\nPO\u{200b}2\n",
        &[
            "3:1: warning: PO1: the key looks like PO 1 of line 2 and is another one: they differ in blanks",
            "4:1: warning: РО1: the key looks like PO 1 of line 2 and is another one: they differ in Р U+0420 (Cyrillic)",
            "5:1: warning: PO１: the key looks like PO 1 of line 2 and is another one: they differ in the form of １ U+FF11",
            "8:1: warning: PO\\u{200b}2: the key looks like PO2 of line 6 and is another one: they differ in an invisible character U+200B (a zero-width space)",
            "8:3: warning: PO\\u{200b}2: the key has an invisible character U+200B (a zero-width space) inside",
        ],
    );
}

#[test]
fn a_key_is_compared_with_each_that_it_looks_like() {
    check(
        "PO_NUMBER\nPOl\nPO1\n\u{200b}\n;\nPO\u{ad}1\n",
        &[
            "4:1: warning: \\u{200b}: the key has an invisible character U+200B (a zero-width space) at its start",
            "5:1: warning: the row has no key; it is kept and never processed, as a row of totals or a note should be",
            "6:1: warning: PO\\u{ad}1: the key looks like PO1 of line 3 and is another one: they differ in an invisible character U+00AD (a soft hyphen)",
            "6:3: warning: PO\\u{ad}1: the key has an invisible character U+00AD (a soft hyphen) inside",
        ],
    );
}

#[test]
fn ordinary_names_and_keys_of_any_language_are_no_finding() {
    for header in [
        "Größe;Straße",
        "Статус заказа;Имя",
        "状態;氏名;カナ;力",
        "الحالة;نام\u{200c}خانوادگی",
    ] {
        check(
            &format!(
                "PO_NUMBER;{header}\nP1\nPl\nPO-I\nkın\nkin\nСА-1\nカ\n力\nAnn Lee\nÄrzte\nArzte\n"
            ),
            &[],
        );
    }
}

#[test]
fn of_many_findings_of_a_kind_the_first_are_told_and_the_others_counted() {
    let rows: String = (0..50).map(|n| format!("P{n}\u{200b}\nP{n}\n")).collect();
    let found = findings(format!("PO_NUMBER\n{rows}"), 0);
    assert_eq!(found.len(), 42, "{found:#?}");
    let of_more: Vec<_> = found.iter().filter(|line| line.contains("more")).collect();
    assert_eq!(
        of_more,
        [
            "42:4: warning: from here on 30 more keys have invisible characters",
            "43:1: warning: from here on 30 more keys look like others",
        ]
    );
}

#[test]
fn a_control_character_alone_is_no_job_for_any_command_and_stays_as_it_is() {
    for (contents, line) in [
        ("PO_NUMBER;x\r\nP1;\r\n\u{1a}", 3),
        ("PO_NUMBER\nP1\n\u{1a}\n", 3),
        ("x;PO_NUMBER\n;P1\n\u{1a};\u{7}\n", 3),
        ("PO_NUMBER\n\"\u{1a}\"\nP1", 2),
    ] {
        let sheet = TempSheet::new(contents);
        let found = format!(
            "input.csv:{line}:1: warning: DOS's end of file (0x1A): the row is kept and is no job"
        );
        let checked = end(&mut sheet.tickoff("check")).with(0).stdout;
        assert!(
            checked.lines().any(|told| told.ends_with(&found)),
            "{checked}"
        );
        assert_eq!(end(&mut sheet.tickoff("pending")).with(0).stdout, "P1\n");
        let dry = end(sheet.tickoff("run --dry-run").args(["--", "echo", "{}"])).with(0);
        assert_eq!(dry.stdout, "echo P1\n");
        assert!(dry.stderr.contains(&format!(
            "line {line} is DOS's end of file (0x1A), and no job: it is kept"
        )));
        end(sheet.tickoff("get").arg("\u{1a}")).with(1);
        end(sheet.tickoff("set").args(["\u{1a}", "STATUS=ERROR"])).with(1);
        end(&mut sheet.run("", "echo $TICKOFF_PO >>jobs")).with(0);
        assert_eq!(sheet.lines("jobs"), ["P1"]);
        assert_eq!(sheet.counts()["total"], 1);
        let row = contents.lines().nth(line - 1).unwrap();
        assert!(
            sheet.text().lines().any(|line| line == row),
            "{:?}",
            sheet.text()
        );
        let ends_so = contents.ends_with('\u{1a}') == sheet.text().ends_with('\u{1a}');
        assert!(ends_so, "{:?}", sheet.text());
    }
}

#[test]
fn a_list_of_jobs_from_dos_ends_before_its_mark() {
    let sheet = TempSheet::new("PO_NUMBER\n");
    let list = sheet.folder().join("list");
    std::fs::write(&list, "a\r\nb\r\n\u{1a}").unwrap();
    let mut run = crate::command_line::tickoff();
    run.args([
        "run", "-", "--output", "jobs.csv", "--key", "url", "--", "true",
    ]);
    run.current_dir(sheet.folder());
    run.stdin(std::fs::File::open(list).unwrap());
    end(&mut run).with(0);
    let made = std::fs::read_to_string(sheet.folder().join("jobs.csv")).unwrap();
    assert_eq!(made.lines().count(), 3, "{made}");
    assert!(!made.contains('\u{1a}'), "{made:?}");
}

#[test]
fn numbering_passes_a_control_character_over() {
    let sheet = TempSheet::new("name\nAnn\n\u{1a}\n");
    end(sheet.tickoff("init").args(["--add-key", "ID"])).with(0);
    assert!(
        sheet.text().ends_with("Ann;1\n\u{1a}\n"),
        "{}",
        sheet.text()
    );
}

#[test]
fn a_column_that_is_not_found_is_answered_with_the_one_that_looks_like_it() {
    let sheet = TempSheet::new("PO_NUMBER\u{200b};STATUS\nP1;\n");
    for mut command in [
        sheet.tickoff("check"),
        sheet.run("", "true"),
        sheet.tickoff("status"),
    ] {
        let ended = end(&mut command).with(3);
        let told = ended.stdout + &ended.stderr;
        let reason = "the column PO_NUMBER\\u{200b} has an invisible character U+200B (a zero-width space) at its end";
        assert!(told.contains(reason), "{told}");
    }
    let contents = "PO_NUMBER;Nаme;Kind\u{a0}of\nP1;;\n";
    let sheet = TempSheet::new(contents);
    for (options, command, code, reason) in [
        (
            "--where Name=x",
            "true",
            2,
            "the column Nаme looks like it, but they differ in а U+0430 (Cyrillic)",
        ),
        (
            "",
            "{name}",
            2,
            "{name} names no column: the column Nаme looks like it",
        ),
        (
            "",
            "{Kind of}",
            2,
            "the column Kind\u{a0}of has an invisible character U+00A0 (a no-break space) inside",
        ),
        (
            "--no-new-columns --stdout-to Name",
            "true",
            3,
            "the column Nаme looks like it",
        ),
    ] {
        let mut run = sheet.tickoff("run");
        run.args(options.split_whitespace())
            .args(["--", "echo", command]);
        let told = end(&mut run).with(code).stderr;
        assert!(told.contains(reason), "{options} {command}: {told}");
    }
    let advice = "tickoff: type that name anew in the sheet's header, or copy it from there\n";
    for (command, argument, code) in [("set P1", "Name=x", 1), ("pending", "--where=Name=x", 2)] {
        let mut command = command.split(' ');
        let mut program = sheet.tickoff(command.next().unwrap());
        let told = end(program.args(command).arg(argument)).with(code).stderr;
        assert!(told.ends_with(advice), "{told}");
    }
    let told = end(sheet.tickoff("pending").args(["--where", "Other=x"])).with(2);
    assert_eq!(told.stderr.lines().count(), 1, "no advice: {told:?}");
    assert_eq!(sheet.text(), contents);
}

/// Sheets of which a run does nothing, since rows are done by a column that only looks like the status column.
#[track_caller]
fn check_overlooked(name: &str, options: &str, reason: &str) {
    let contents = format!("PO_NUMBER;{name}\nP1;COMPLETED\nP2;\n;x\n");
    let sheet = TempSheet::new(&contents);
    let shown: String = name
        .chars()
        .map(|c| match c {
            '\u{ad}' | '\u{200b}' | '\u{fe0f}' => c.escape_unicode().to_string(),
            c => c.to_string(),
        })
        .collect();
    let said = format!(
        "no column {}, and one that looks so, by which 1 row is done, would be overlooked: the column {shown} {reason}",
        if options.is_empty() {
            "STATUS"
        } else {
            "ocr_STATUS"
        }
    );
    for command in [
        "run",
        "run --dry-run",
        "run --output copy.csv",
        "init",
        "apply",
        "check",
    ] {
        let is_run = command.starts_with("run");
        if !options.is_empty() && command == "init" {
            continue;
        }
        let mut program = sheet.tickoff(command);
        program.args(options.split_whitespace());
        if is_run {
            program.args(["--", "sh", "-c", "echo $TICKOFF_PO >> ran"]);
        }
        let ended = end(&mut program).with(3);
        let told = ended.stdout + &ended.stderr;
        assert!(
            told.contains(&format!(
                "input.csv:1:11: {}{said}",
                if command == "check" { "error: " } else { "" }
            )),
            "{command}: {told}"
        );
        assert!(
            command == "check"
                || told.contains(
                    "type that name anew in the sheet's header if it is the status column"
                ),
            "{command}: {told}"
        );
        assert_eq!(sheet.text(), contents);
        assert_eq!(sheet.leftovers(), [""; 0], "{command}");
    }
}

#[test]
fn a_column_that_only_looks_like_the_status_column_is_refused_before_rows_that_are_done_run_again()
{
    check_overlooked("STA TUS", "", "looks like it, but they differ in blanks");
    check_overlooked(
        "STATUS\u{fe0f}",
        "",
        "has an invisible character U+FE0F (a variation selector) at its end",
    );
    check_overlooked(
        "STATUS\u{200b}",
        "",
        "has an invisible character U+200B (a zero-width space) at its end",
    );
    check_overlooked(
        "ＳＴＡＴＵＳ",
        "",
        "looks like it, but they differ in the form of Ｓ U+FF33",
    );
    check_overlooked(
        "stаtus",
        "",
        "looks like it, but they differ in а U+0430 (Cyrillic)",
    );
    check_overlooked(
        "OCR_STATUS\u{ad}",
        "--stage ocr",
        "has an invisible character U+00AD (a soft hyphen) at its end",
    );
    let sheet = TempSheet::new("PO_NUMBER;STATUS\u{200b}\nP1;COMPLETED\n");
    end(&mut sheet.run("--stage ocr", "true")).with(0);
    assert_eq!(sheet.cell("P1", "STATUS\u{200b}"), "COMPLETED");
}

#[test]
fn a_column_that_is_added_beside_one_that_looks_like_it_is_named_before_anything_starts() {
    let contents =
        "PO_NUMBER;STATUS;STАTUS;LAST_PROCESSED\u{200b};ＥＲＲＯＲ＿ＭＥＳＳＡＧＥ\nP1;;x;y;z\n";
    for (command, job) in [
        ("run -q", &["--", "true"][..]),
        ("apply -q", &[]),
        ("init", &[]),
    ] {
        let sheet = TempSheet::new(contents);
        let ended = end(sheet.tickoff(command).args(job)).with(0);
        let warned: Vec<&str> = ended.stderr.lines().collect();
        let [time, message] = warned[..] else {
            panic!("{command}: {ended:?}");
        };
        assert!(time.ends_with("WARN the column LAST_PROCESSED is added at the end: the column LAST_PROCESSED\\u{200b} has an invisible character U+200B (a zero-width space) at its end"), "{time}");
        assert!(message.ends_with("WARN the column ERROR_MESSAGE is added at the end: the column ＥＲＲＯＲ＿ＭＥＳＳＡＧＥ looks like it, but they differ in the form of Ｅ U+FF25"), "{message}");
        assert_eq!(sheet.cell("P1", "STАTUS"), "x");
    }
    let others = TempSheet::new("PO_NUMBER;STATUS\u{200b}\nP1;active\nP2;ERROR\n");
    let ended = end(&mut others.run("-q", "true")).with(0);
    assert!(
        ended
            .stderr
            .contains("WARN the column STATUS is added at the end: the column STATUS\\u{200b} has"),
        "{ended:?}"
    );
}

#[test]
fn beside_an_error_in_the_header_all_else_is_told_that_can_be_read() {
    let told = |contents: &[u8]| findings(contents, 3);
    assert_eq!(
        told(b"PO_NUMBER;STATUS;status;PO_NUMBER\nP1;COMPLETED\nP1;;;;x\n\xe9;ERROR\n"),
        [
            "1:18: error: the column STATUS is there twice",
            "1:25: error: the column PO_NUMBER is there twice",
            "2:1: warning: P1: the row is COMPLETED without a valid LAST_PROCESSED",
            "3:1: error: P1: the key P1 stands on lines 2, 3",
            "3:7: warning: P1: the row has more fields than the header",
            "4:1: error: the header and the key column must be UTF-8",
        ]
    );
    let no_key =
        told(b"ID;Note;note;LAST\xc2\xad_PROCESSED;STATUS\n1;;;;sold\n;\xe9;;;\n\"2;;;;\n");
    assert!(no_key[0].starts_with("1:1: error: no column PO_NUMBER in the header"));
    assert_eq!(
        no_key[1..],
        [
            "1:9: warning: the column note is there twice, as column 2 and 3: the first counts where a name fits both",
            "1:14: warning: the column LAST\\u{ad}_PROCESSED looks like LAST_PROCESSED and is another one: they differ in an invisible character U+00AD (a soft hyphen)",
            "1:18: warning: the column LAST\\u{ad}_PROCESSED has an invisible character U+00AD (a soft hyphen) inside",
            "2:6: warning: sold is none of the known statuses; a run leaves the row alone",
            "3:2: warning: the cell is not UTF-8; it is kept as it is; if these are letters, pass the sheet's encoding, --encoding windows-1252 for a CSV of Excel's in Western Europe",
            "4:1: error: a quote opens here and is never closed",
        ]
    );
    let cut = told(b"PO_NUMBER;STATUS\nP1;sold\nP2;\nP3\xe9;\nP1;\n");
    assert_eq!(
        cut,
        [
            "2:4: warning: P1: sold is none of the known statuses; a run leaves the row alone",
            "4:1: error: the header and the key column must be UTF-8",
        ]
    );
}

#[test]
fn rows_that_a_stray_quote_has_swallowed_are_found() {
    let rows: String = (2..=9).map(|n| format!("P{n};COMPLETED;Bob\n")).collect();
    let contents = format!("PO_NUMBER;STATUS;SUPPLIER\nP1;;\"Acme\n{rows}P10;;5\" pipe\nP11;;x\n");
    let said = "8 lines of the cell are like rows of the sheet: a stray quote may have made one cell of them";
    check(&contents, &[&format!("2:5: warning: P1: {said}")]);
    for command in ["run -q", "run -q --dry-run"] {
        let sheet = TempSheet::new(&contents);
        let ended = end(sheet.tickoff(command).args(["--", "true"])).with(0);
        let warned = format!("WARN line 2: {said}; tickoff check FILE shows where\n");
        assert!(ended.stderr.ends_with(&warned), "{command}: {ended:?}");
    }
}

#[test]
fn one_row_between_two_stray_quotes_is_found() {
    check(
        "PO_NUMBER;SUPPLIER;Note\nP1;\"5 inch;x\nP2;B;y\nP3;6\" pipe;z\nP4;D;w\n",
        &[
            "2:4: warning: P1: a line of the cell is like a row of the sheet: a stray quote may have made one cell of them",
        ],
    );
    check(
        "PO_NUMBER;SUPPLIER;Note\nP1;\"5\"\" inch;x\nP2;B;y\nP3;6\";z\n",
        &[],
    );
}

#[test]
fn rows_that_are_in_quotes_as_a_whole_are_found() {
    let said = "the row is in quotes as a whole, and so one cell of what would be 3";
    let contents = "PO_NUMBER,STATUS,SUPPLIER\n\"P1,,Acme\"\n\"P2,,\"\"Bob, Inc\"\"\"\n\"P3,,x\"\n";
    check(
        contents,
        &[
            &format!("2:1: warning: P1,,Acme: {said}"),
            &format!("4:1: warning: P3,,x: {said}"),
        ],
    );
    let sheet = TempSheet::new(contents);
    let ended = end(sheet.tickoff("run -q").args(["--", "true"])).with(0);
    let warned = format!(
        "WARN line 2: {said}, and another row is like it; tickoff check FILE shows where\n"
    );
    assert!(ended.stderr.ends_with(&warned), "{ended:?}");
    assert_eq!(
        sheet.text().lines().nth(1).unwrap().split('"').nth(1),
        Some("P1,,Acme")
    );
}

#[test]
fn a_text_of_several_lines_is_no_swallowed_row() {
    check(
        "PO_NUMBER,Address\nP1,\"Ann\nLane 5, Bath\nby York, north\nUK\"\n\"P;2\",\"a,b\"\n",
        &[],
    );
    check(
        "PO_NUMBER;a;b\nP1;\"x\n1;2;3\ny\n2;3;4\n\";\n\"P2\"\n\"P;3\";;\n",
        &[],
    );
}
