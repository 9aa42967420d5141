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
            "5:1: warning: the row has no key; it is kept and never processed",
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
