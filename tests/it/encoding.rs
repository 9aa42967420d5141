//! `--encoding LABEL` (J10): the cells of a sheet that is not UTF-8 are read and written in its encoding, and
//! every other byte stays.

use std::fs;

use tickoff::{CsvHandler, Error, InvalidValue, Options};

use crate::command_line::{Ended, Running, bytes, end, tickoff, wait_until};
use crate::fixture::{TempSheet, rested};

const WINDOWS: &str = "--encoding windows-1252";

/// A text in Windows-1252.
fn encoded(text: &str) -> Vec<u8> {
    let (bytes, _, has_others) = encoding_rs::WINDOWS_1252.encode(text);
    assert!(!has_others, "{text:?}");
    bytes.into_owned()
}

fn windows(text: &str) -> TempSheet {
    TempSheet::new(encoded(text))
}

impl TempSheet {
    /// What the sheet holds, read as Windows-1252.
    fn windows(&self) -> String {
        let bytes = bytes(self.path());
        encoding_rs::WINDOWS_1252.decode(&bytes).0.into_owned()
    }

    /// `tickoff {command} input.csv {arguments} --encoding windows-1252`.
    #[track_caller]
    fn in_windows(&self, command: &str, arguments: &[&str]) -> Ended {
        end(self
            .tickoff(command)
            .args(WINDOWS.split(' '))
            .args(arguments))
    }

    /// `tickoff run … --encoding windows-1252`, with results without the time in them.
    #[track_caller]
    fn run_in_windows(&self, options: &str, command: &[&str]) -> Ended {
        end(self
            .tickoff("run -j 1")
            .args(WINDOWS.split(' '))
            .args(options.split_whitespace())
            .arg("--")
            .args(command))
    }
}

/// A result without the time in it.
const NO_TIME: &str = r#"echo '{"LAST_PROCESSED":"t"}' > "$TICKOFF_RESULT""#;

#[test]
fn every_byte_of_a_cell_that_is_not_written_stays() {
    let all: Vec<u8> = (0x80..=0xff).collect();
    let sheet = [
        b"PO_NUMBER;x;STATUS\r\nP1;",
        &all[..],
        b";\r\nP2;\"\xe9\"\"\x81\";\r\n",
    ]
    .concat();
    let sheet = TempSheet::new(sheet);
    let script = r#"printf %s "$1" > "arg-$TICKOFF_KEY"; "#.to_owned() + NO_TIME;
    sheet
        .run_in_windows("", &["sh", "-c", &script, "sh", "{x}"])
        .with(0);
    let want = [
        &b"PO_NUMBER;x;STATUS;LAST_PROCESSED;ERROR_MESSAGE\r\nP1;"[..],
        &all,
        b";COMPLETED;t;\r\nP2;\"\xe9\"\"\x81\";COMPLETED;t;\r\n",
    ];
    assert_eq!(bytes(sheet.path()), want.concat());
    let got = fs::read_to_string(sheet.folder().join("arg-P1")).unwrap();
    assert_eq!(got, encoding_rs::WINDOWS_1252.decode(&all).0);
    assert_eq!(sheet.lines("arg-P2"), ["é\"\u{81}"]);
}

#[test]
fn letters_reach_commands_workers_and_readers_as_utf_8() {
    let sheet = windows("PO_NUMBER;Größe;STATUS\nMÜLLER;groß – 5 €;\nP2;klein;COMPLETED\n");
    let dry = sheet.run_in_windows("--dry-run", &["echo", "{}", "{größe}"]);
    assert_eq!(dry.with(0).stdout, "echo 'MÜLLER' 'groß – 5 €'\n");
    let row = sheet.in_windows("get", &["MÜLLER", "--json"]).json();
    assert_eq!(row["key"], "MÜLLER");
    assert_eq!(row["cells"]["Größe"], "groß – 5 €");
    let pending = sheet.in_windows("pending", &["--where", "größe~ß"]);
    assert_eq!(pending.with(0).stdout, "MÜLLER\n");
    let checked = sheet.in_windows("check", &[]);
    assert!(!checked.stdout.contains("UTF-8"), "{checked:?}");
    assert!(!checked.stdout.contains("windows-1252"), "{checked:?}");
    sheet.in_windows("report", &["--html", "page.html"]).with(0);
    assert!(sheet.lines("page.html").concat().contains("MÜLLER"));
    let worker = r#"read -r request; echo "$request" > request; id=${request#\{\"id\":}; id=${id%%,*}; echo "{\"id\":$id,\"updates\":{\"Größe\":\"né\"}}""#;
    let options = "--worker-protocol jsonl --joblog log --only MÜLLER";
    sheet.run_in_windows(options, &["sh", "-c", worker]).with(0);
    let request: serde_json::Value = serde_json::from_str(&sheet.lines("request")[0]).unwrap();
    assert_eq!(request["cells"]["Größe"], "groß – 5 €");
    assert!(sheet.lines("log")[1].ends_with("MÜLLER"));
    assert!(sheet.windows().contains("\nMÜLLER;né;COMPLETED;"));
}

#[test]
fn what_is_written_is_in_the_sheet_s_encoding() {
    let sheet = windows("PO_NUMBER;Preis\nP1;x\n");
    let script = r#"echo 'Preis=né;5 €
Übersetzt="š"
LAST_PROCESSED=t' > "$TICKOFF_RESULT""#;
    sheet.run_in_windows("", &["sh", "-c", script]).with(0);
    let want = "PO_NUMBER;Preis;STATUS;LAST_PROCESSED;ERROR_MESSAGE;Übersetzt\nP1;\"né;5 €\";COMPLETED;t;;\"\"\"š\"\"\"\n";
    assert_eq!(sheet.windows(), want);
    assert!(bytes(sheet.path()).contains(&0x80), "€ is one byte");
}

#[test]
fn a_letter_that_cannot_be_written_becomes_a_question_mark_and_is_said() {
    let sheet = windows("PO_NUMBER;Ort\nP1;x\nP2;y\n");
    let said = "letters that windows-1252 does not have are written as ? (Ort)";
    let lines = "{\"key\":\"P1\",\"updates\":{\"Ort\":\"Köln 京都\"}}";
    std::fs::write(sheet.folder().join("lines"), lines).unwrap();
    let lines = std::fs::File::open(sheet.folder().join("lines")).unwrap();
    let mut apply = sheet.tickoff("apply --encoding windows-1252");
    let ended = end(apply.stdin(lines)).with(0);
    assert!(ended.stderr.contains(said), "{ended:?}");
    let script = r#"echo '{"Ort":"Łódź","LAST_PROCESSED":"t"}' > "$TICKOFF_RESULT""#;
    let ended = sheet.run_in_windows("--only P2", &["sh", "-c", script]);
    let ended = ended.with(0);
    assert!(
        ended.stderr.contains("key=P2") && ended.stderr.contains(said),
        "{ended:?}"
    );
    let shown = sheet.windows();
    assert!(shown.contains("\nP1;Köln ??;"), "{shown}");
    assert!(shown.contains("\nP2;?ód?;COMPLETED;"), "{shown}");
    // Nothing of it looks like an edit afterwards.
    let again = sheet.run_in_windows("", &["sh", "-c", NO_TIME]).with(0);
    assert!(!again.stderr.contains("WARN"), "{again:?}");
}

#[test]
fn a_letter_in_two_parts_is_written_in_one() {
    let sheet = windows("PO_NUMBER;Ort\nP1;x\nP2;y\nP3;z\n");
    let script = "printf 'Ko\u{308}ln' > out; cat out";
    let ended = sheet.run_in_windows("--only P1 --stdout-to Ort", &["sh", "-c", script]);
    let ended = ended.with(0);
    assert!(!ended.stderr.contains("WARN"), "{ended:?}");
    sheet
        .in_windows("set", &["P2", "Ort=Mu\u{308}nchen"])
        .with(0);
    let script = "printf 'u\u{308} Gdan\u{301}sk'";
    let ended = sheet.run_in_windows("--only P3 --stdout-to Ort", &["sh", "-c", script]);
    let said = "letters that windows-1252 does not have are written as ? (Ort)";
    assert!(ended.with(0).stderr.contains(said));
    let shown = sheet.windows();
    assert!(shown.contains("\nP1;Köln;COMPLETED;"), "{shown}");
    assert!(shown.contains("\nP2;München;;"), "{shown}");
    assert!(shown.contains("\nP3;ü Gda?sk;COMPLETED;"), "{shown}");
    // Nothing of it looks like an edit afterwards.
    let again = sheet
        .run_in_windows("--force", &["sh", "-c", NO_TIME])
        .with(0);
    assert!(!again.stderr.contains("WARN"), "{again:?}");
}

#[test]
fn a_letter_that_cannot_be_written_is_refused_of_a_person_and_of_a_call() {
    let sheet = windows("PO_NUMBER;Ort\nP1;x\n");
    let before = bytes(sheet.path());
    let ended = sheet.in_windows("set", &["P1", "Ort=Köln 京都"]).with(1);
    assert_eq!(
        ended.stderr,
        "tickoff: P1: Ort has a letter that windows-1252 cannot write, 京 (U+4EAC)\ntickoff: write it with other letters; or save the sheet as CSV UTF-8 and leave --encoding away, and encoding in tickoff.toml\n"
    );
    let options = Options {
        encoding: "windows-1252".parse().unwrap(),
        ..Options::default()
    };
    let handler = CsvHandler::open_with(sheet.path(), &options).unwrap();
    let refused = handler.update_record("P1", [("Ort", "Łódź")]).unwrap_err();
    assert!(
        matches!(
            refused,
            Error::InvalidValue {
                reason: InvalidValue::Letter { letter: 'Ł', .. },
                ..
            }
        ),
        "{refused}"
    );
    drop(handler);
    assert_eq!(bytes(sheet.path()), before);
    assert!(
        !sheet.backups().exists(),
        "a change that is refused makes none"
    );
    sheet.in_windows("set", &["P1", "Ort=Köln 5 €"]).with(0);
}

#[test]
fn a_column_whose_name_cannot_be_written_is_not_added_and_its_cells_are_kept() {
    let sheet = windows("PO_NUMBER;Ort\nP1;ö\n");
    let script = r#"echo '{"都市":"京都"}' > "$TICKOFF_RESULT""#;
    let ended = sheet.run_in_windows("", &["sh", "-c", script]).with(1);
    assert!(!sheet.windows().contains('?'), "{}", sheet.windows());
    assert!(
        ended.stderr.contains("windows-1252 cannot write"),
        "{ended:?}"
    );
    assert!(sheet.unplaced().contains("京都"), "{}", sheet.unplaced());
    let refused = sheet.run_in_windows("--stdout-to 都市", &["true"]).with(2);
    assert!(
        refused
            .stderr
            .contains("windows-1252 cannot write that name")
    );
    let refused = sheet.in_windows("init", &["--add-key", "都市"]).with(2);
    assert!(
        refused
            .stderr
            .contains("windows-1252 cannot write that name")
    );
}

#[test]
fn a_key_is_compared_as_text() {
    let sheet = windows("PO_NUMBER;Ort;STATUS\nMÜLLER;x;\n\"\u{a0}Köhl \";y;\n");
    sheet.in_windows("set", &["MÜLLER", "Ort=Ä"]).with(0);
    sheet.in_windows("set", &["Köhl", "Ort=Ö"]).with(0);
    let want = "PO_NUMBER;Ort;STATUS\nMÜLLER;Ä;\n\"\u{a0}Köhl \";Ö;\n";
    assert_eq!(sheet.windows(), want);
    let unknown = sheet.in_windows("get", &["MÜLER"]).with(1);
    assert!(
        unknown.stderr.contains("did you mean MÜLLER?"),
        "{unknown:?}"
    );
    let only = sheet.run_in_windows("--only Köhl --dry-run", &["echo", "{}"]);
    assert_eq!(only.with(0).stdout, "echo 'Köhl'\n");
    let sheet = windows("PO_NUMBER;x\nÄ;1\n\"Ä\";2\n");
    let refused = sheet.in_windows("status", &[]).with(3);
    assert!(
        refused
            .stderr
            .contains("Ä stands in several rows, on lines 2, 3"),
        "{refused:?}"
    );
}

#[test]
fn an_edit_that_is_saved_during_a_run_is_merged() {
    let sheet = windows("PO_NUMBER;Ort;STATUS\nMÜLLER;Köln;\nP2;Bonn;\n");
    let script = r#"
        if [ $TICKOFF_KEY = P2 ]; then touch second; while [ ! -e edited ]; do sleep 0.01; done; fi
        echo '{"LAST_PROCESSED":"t","Note":"schön"}' > "$TICKOFF_RESULT""#;
    let mut run = sheet.tickoff("run -j 1");
    run.args(WINDOWS.split(' '))
        .args(["--", "sh", "-c", script]);
    let run = Running::start(&mut run);
    wait_until("the first result is visible", || {
        sheet.folder().join("second").exists() && sheet.windows().contains("schön")
    });
    let edited = sheet.windows().replace("Bonn", "Zürich – €");
    let saved = sheet.folder().join("saved");
    fs::write(&saved, encoded(&edited)).unwrap();
    fs::rename(&saved, sheet.path()).unwrap();
    fs::write(sheet.folder().join("edited"), "").unwrap();
    let ended = run.end().with(0);
    assert!(!ended.stderr.contains("WARN"), "{ended:?}");
    let want = "PO_NUMBER;Ort;STATUS;LAST_PROCESSED;ERROR_MESSAGE;Note\nMÜLLER;Köln;COMPLETED;t;;schön\nP2;Zürich – €;COMPLETED;t;;schön\n";
    assert_eq!(sheet.windows(), want);
}

/// A run that is killed when the result of the first row is durable, and P2 runs.
fn killed(key: &str, is_remembered: bool) -> TempSheet {
    let sheet = windows(&format!("PO_NUMBER;Ort;STATUS\n{key};Köln;\nP2;Bonn;\n"));
    if is_remembered {
        sheet.in_windows("init", &[]).with(0);
    }
    let script = r#"if [ $TICKOFF_KEY = P2 ]; then touch second; while [ -e "$PWD" ]; do sleep 0.05; done; fi
        echo '{"LAST_PROCESSED":"t","Ort":"Zürich"}' > "$TICKOFF_RESULT""#;
    let mut run = sheet.tickoff("run -j 1 --quiet");
    if !is_remembered {
        run.args(WINDOWS.split(' '));
    }
    let run = Running::start(run.args(["--", "sh", "-c", script]));
    wait_until("the second job runs", || {
        sheet.folder().join("second").exists()
    });
    run.kill();
    rested(sheet.path());
    sheet
}

const DONE: &str = "PO_NUMBER;Ort;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nMÜLLER;Zürich;COMPLETED;t;\nP2;Bonn;COMPLETED;t;\n";

#[test]
fn a_killed_run_goes_on_from_the_exact_row() {
    let sheet = killed("MÜLLER", false);
    let script = "echo $TICKOFF_KEY >> log; ".to_owned() + NO_TIME;
    sheet.run_in_windows("", &["sh", "-c", &script]).with(0);
    assert_eq!(sheet.lines("log"), ["P2"]);
    assert_eq!(sheet.windows(), DONE);
}

#[test]
fn init_remembers_it_and_every_command_reads_it() {
    let sheet = killed("MÜLLER", true);
    let settings = fs::read_to_string(sheet.folder().join("tickoff.toml")).unwrap();
    assert!(
        settings.contains("encoding = \"windows-1252\""),
        "{settings}"
    );
    assert_eq!(sheet.get("MÜLLER")["cells"]["Ort"], "Zürich");
    end(sheet.tickoff("run").args(["--", "sh", "-c", NO_TIME])).with(0);
    assert_eq!(sheet.windows(), DONE);
}

#[test]
fn results_that_were_written_in_an_encoding_are_not_taken_for_edits_in_another_one() {
    let sheet = killed("P1", false);
    let before = bytes(sheet.path());
    for command in [
        "status",
        "pending",
        "check",
        "recover --apply",
        "backup create",
    ] {
        let refused = end(&mut sheet.tickoff(command)).with(3);
        let said = "holds results that were written in windows-1252, and the sheet is read in UTF-8: use --encoding windows-1252";
        assert!(
            refused.stderr.contains(said) || refused.stdout.contains(said),
            "{command}: {refused:?}"
        );
    }
    let mut run = sheet.tickoff("run");
    end(run.args(["--", "touch", "ran"])).with(3);
    assert!(!sheet.folder().join("ran").exists());
    assert_eq!(bytes(sheet.path()), before);
    let mut status = sheet.tickoff("status --json --encoding iso-8859-2");
    assert_eq!(end(&mut status).json()["completed"], 1);
    sheet.run_in_windows("", &["sh", "-c", NO_TIME]).with(0);
    assert_eq!(sheet.windows(), DONE.replace("MÜLLER", "P1"));
}

#[test]
fn who_names_the_encoding_only_after_a_first_run_goes_on() {
    let sheet = TempSheet::new(b"PO_NUMBER;Ort;STATUS\nP1;K\xf6ln;\nP2;Bonn;\n");
    let script = r#"printf %s "$1" > "arg-$TICKOFF_KEY"; echo '{"LAST_PROCESSED":"t","Note":"é"}' > "$TICKOFF_RESULT""#;
    let command = ["sh", "-c", script, "sh", "{Ort}"];
    let first = end(sheet
        .tickoff("run")
        .args(["-j", "1", "--limit", "1", "--"])
        .args(command))
    .with(0);
    assert!(
        first.stderr.contains("--encoding windows-1252"),
        "{first:?}"
    );
    let second = sheet.run_in_windows("", &command).with(0);
    assert!(!second.stderr.contains("WARN"), "{second:?}");
    // What was written as UTF-8 stays as it is; it is no one's edit.
    let want = b"PO_NUMBER;Ort;STATUS;LAST_PROCESSED;ERROR_MESSAGE;Note\nP1;K\xf6ln;COMPLETED;t;;\xc3\xa9\nP2;Bonn;COMPLETED;t;;\xe9\n";
    assert_eq!(bytes(sheet.path()), want);
}

#[test]
fn an_encoding_with_several_bytes_for_a_letter_is_refused_with_what_to_do() {
    let sheet = windows("PO_NUMBER\nÄ\n");
    for label in ["utf-16", "UTF-16LE", "shift_jis", "gbk", "nonsense"] {
        let mut status = sheet.tickoff("status");
        let refused = end(status.args(["--encoding", label])).with(2);
        let advice = match label {
            "nonsense" => "no encoding has that name",
            _ => "save the sheet as \"CSV UTF-8\"",
        };
        assert!(refused.stderr.contains(advice), "{refused:?}");
        let text = format!("[\"input.csv\"]\nencoding = \"{label}\"\n");
        fs::write(sheet.folder().join("tickoff.toml"), text).unwrap();
        let refused = end(&mut sheet.tickoff("status")).with(3);
        assert!(
            refused.stderr.contains("tickoff.toml:2:12: "),
            "{refused:?}"
        );
        assert!(refused.stderr.contains(advice), "{refused:?}");
        fs::remove_file(sheet.folder().join("tickoff.toml")).unwrap();
    }
}

#[test]
fn a_sheet_that_was_saved_as_utf_8_since_is_told_of() {
    let sheet = TempSheet::new("PO_NUMBER;Name\nP1;Müller\n");
    let says = "the sheet is read as windows-1252, and is UTF-8 as well";
    let checked = sheet.in_windows("check", &[]).with(0);
    assert!(checked.stdout.contains(says), "{checked:?}");
    let run = sheet.run_in_windows("", &["true"]).with(0);
    assert!(run.stderr.contains(says), "{run:?}");
}

#[test]
fn a_sheet_that_is_in_another_encoding_is_refused_with_what_to_do() {
    let sheet = TempSheet::new("\u{feff}PO_NUMBER\nÄ\n");
    let refused = sheet.in_windows("status", &[]).with(3);
    assert!(
        refused
            .stderr
            .contains("byte order mark of UTF-8, so it is not in windows-1252")
            && refused
                .stderr
                .contains("use --encoding utf-8 (tickoff init FILE --encoding utf-8"),
        "{refused:?}"
    );
    for sheet in ["PO_NUMBER;Größe\nP1;x\n", "PO_NUMBER;x\nÄ;x\n"] {
        let refused = end(&mut windows(sheet).tickoff("status")).with(3);
        assert!(
            refused.stderr.contains("--encoding windows-1252"),
            "{refused:?}"
        );
    }
    let sheet = TempSheet::new(b"PO_NUMBER;x\n\xaa;x\n");
    let mut status = sheet.tickoff("status");
    let refused = end(status.args(["--encoding", "windows-1253"])).with(3);
    assert!(
        refused.stderr.contains("no letter in windows-1253"),
        "{refused:?}"
    );
}

#[test]
fn check_says_what_to_do_with_a_sheet_in_another_encoding() {
    let sheet = windows("Kunde;Straße\nK1;x\n");
    let ended = end(sheet.tickoff("check").args(["--key", "Kunde"])).with(3);
    assert!(
        ended
            .stderr
            .contains("pass its encoding, --encoding windows-1252"),
        "{ended:?}"
    );
    let checked = end(&mut windows("PO_NUMBER;Ort\nP1;Köln\nP2;Köln\n").tickoff("check")).with(0);
    let cell = "the cell is not UTF-8; it is kept as it is";
    let way_on = "if these are letters, pass the sheet's encoding, --encoding windows-1252";
    let count = |says| checked.stdout.matches(says).count();
    assert_eq!((count(cell), count(way_on)), (2, 1), "{checked:?}");
}

#[test]
fn letters_that_are_set_in_utf_8_beside_others_are_told() {
    let says = "written in UTF-8, which other cells are not in, the first in line 2, Ort;";
    let sheet = windows("PO_NUMBER;Ort\nP1;Köln\nP2;\n");
    let set = |value: &str| end(sheet.tickoff("set").args(["P2", value])).with(0).stderr;
    assert_eq!(set("Ort=Bonn"), "");
    assert!(set("Ort=Gießen").contains(says));
    assert_eq!(
        sheet
            .in_windows("set", &["P2", "Ort=Gießen"])
            .with(0)
            .stderr,
        ""
    );
}

#[test]
fn a_name_that_is_typed_without_its_letters_is_answered_with_the_column() {
    let sheet = windows("PO_NUMBER;Straße\nP1;x\n");
    let before = bytes(sheet.path());
    let ended = sheet.run_in_windows("", &["echo", "{Strasse}"]).with(2);
    assert!(
        ended
            .stderr
            .contains("{Strasse} names no column: did you mean {Straße}?"),
        "{ended:?}"
    );
    assert_eq!(bytes(sheet.path()), before);
}

#[test]
fn a_byte_without_a_letter_is_said_and_stays() {
    let sheet = TempSheet::new(b"PO_NUMBER;x;STATUS\nP1;\xe1\xaa;\n");
    let mut run = sheet.tickoff("run --encoding windows-1253");
    let ended = end(run.args(["--", "sh", "-c", NO_TIME])).with(0);
    assert!(
        ended
            .stderr
            .contains("1 cell is not windows-1253, the first in line 2, x"),
        "{ended:?}"
    );
    let want = b"PO_NUMBER;x;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;\xe1\xaa;COMPLETED;t;\n";
    assert_eq!(bytes(sheet.path()), want);
}

#[test]
fn a_missing_key_is_answered_with_the_columns_and_the_command_that_has_the_encoding() {
    let sheet = windows("Größe;id\nÄ;1\nÄ;2\n");
    let refused = sheet.in_windows("status", &[]).with(3);
    assert!(
        refused.stderr.contains("which has Größe, id"),
        "{refused:?}"
    );
    assert!(
        refused.stderr.contains("--key id --encoding windows-1252"),
        "{refused:?}"
    );
}

#[test]
fn a_copy_has_the_encoding_of_its_input() {
    let sheet = windows("PO_NUMBER;Ort\nMÜLLER;Köln\n");
    let script = r#"echo '{"LAST_PROCESSED":"t","Note":"schön"}' > "$TICKOFF_RESULT""#;
    let run = |sheet: &TempSheet| {
        sheet
            .run_in_windows("--output copy.csv", &["sh", "-c", script])
            .with(0)
    };
    run(&sheet);
    let more = sheet.windows() + "ÖZ;Bühl\n";
    fs::write(sheet.path(), encoded(&more)).unwrap();
    rested(sheet.path());
    run(&sheet);
    let copy = bytes(&sheet.folder().join("copy.csv"));
    let want = "PO_NUMBER;Ort;STATUS;LAST_PROCESSED;ERROR_MESSAGE;Note\nMÜLLER;Köln;COMPLETED;t;;schön\nÖZ;Bühl;COMPLETED;t;;schön\n";
    assert_eq!(copy, encoded(want));
    assert_eq!(sheet.windows(), more);
}

#[test]
fn jobs_from_standard_input_become_a_sheet_in_that_encoding() {
    let sheet = TempSheet::new("");
    fs::remove_file(sheet.path()).unwrap();
    let script = format!("printf %s \"$1\" >> log; {NO_TIME}");
    let run = |list: &str| {
        fs::write(sheet.folder().join("list"), list).unwrap();
        let mut run = sheet.tickoff("run - --key straße --encoding latin1 -j 1 --output");
        run.args(["--", "sh", "-c", &script, "sh", "{}"]);
        end(run.stdin(fs::File::open(sheet.folder().join("list")).unwrap()))
    };
    run("Öhr\n").with(0);
    run("Öhr\nfünf €\n").with(0);
    let want =
        "straße;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nÖhr;COMPLETED;t;\nfünf €;COMPLETED;t;\n";
    assert_eq!(sheet.windows(), want);
    assert_eq!(sheet.lines("log"), ["Öhrfünf €"]);
    let refused = run("a\nb 京\n").with(3);
    assert!(
        refused
            .stderr
            .contains("standard input:2:3: a job has a letter that windows-1252 cannot write"),
        "{refused:?}"
    );
    assert_eq!(sheet.windows(), want);
}

#[test]
fn rows_are_numbered_in_a_sheet_of_any_encoding() {
    let sheet = windows("Straße;Ort\nA;Köln\n");
    sheet.in_windows("init", &["--add-key", "Größe"]).with(0);
    assert_eq!(sheet.windows(), "Straße;Ort;Größe\nA;Köln;1\n");
    end(&mut sheet.tickoff("status")).with(0);
}

const TWO_COLUMNS: &str = "--key Größe --key Ort";

#[test]
fn a_key_of_two_columns_is_text_and_a_killed_run_goes_on_by_it() {
    let sheet = windows("Größe;Ort;x\nÄ; Köln ;1\n\"ä\";\"Zürich;Süd\";2\n\u{1a};;\n");
    let script = r#"echo "$1" >> log; if [ "$1" != 'Ä;Köln' ]; then touch second; while [ ! -e resumed ]; do sleep 0.05; done; fi
        echo '{"LAST_PROCESSED":"t","x":"é"}' > "$TICKOFF_RESULT""#;
    let mut run = sheet.tickoff("run -j 1 --quiet");
    let run = run
        .args(TWO_COLUMNS.split(' '))
        .args(WINDOWS.split(' '))
        .args(["--", "sh", "-c", script, "sh", "{}"]);
    let run = Running::start(run);
    wait_until("the second job runs", || {
        sheet.folder().join("second").exists()
    });
    run.kill();
    rested(sheet.path());
    let keys: Vec<&str> = TWO_COLUMNS.split(' ').collect();
    let pending = sheet.in_windows("pending", &keys).with(0);
    assert_eq!(pending.stdout, "ä;\"Zürich;Süd\"\n");
    fs::write(sheet.folder().join("resumed"), "").unwrap();
    sheet
        .run_in_windows(TWO_COLUMNS, &["sh", "-c", script, "sh", "{}"])
        .with(0);
    let second = "ä;\"Zürich;Süd\"";
    assert_eq!(sheet.lines("log"), ["Ä;Köln", second, second]);
    assert_eq!(
        sheet.windows(),
        "Größe;Ort;x;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nÄ; Köln ;é;COMPLETED;t;\n\"ä\";\"Zürich;Süd\";é;COMPLETED;t;\n\u{1a};;\n"
    );
    let typed = [&keys[..], &["\"Ä\"; Köln", "x=ß"]].concat();
    sheet.in_windows("set", &typed).with(0);
    assert!(sheet.windows().contains("\nÄ; Köln ;ß;COMPLETED;"));
}

#[test]
fn check_sees_what_does_not_show_in_each_part_of_a_key() {
    let sheet =
        windows("Größe;Ort;no\u{ad}te\nÄ;Köln;\nÄ;\"Kö\u{ad}ln\";\nÄ;\u{1a};\n\u{1a};\u{1b};\n");
    let keys: Vec<&str> = TWO_COLUMNS.split(' ').collect();
    let checked = sheet.in_windows("check", &keys).with(0);
    let lines = checked.stdout.lines();
    let found: Vec<&str> = lines
        .filter_map(|line| Some(line.split_once("input.csv:")?.1))
        .collect();
    let soft_hyphen = "an invisible character U+00AD (a soft hyphen)";
    assert_eq!(
        found,
        [
            format!("1:13: warning: the column no\\u{{ad}}te has {soft_hyphen} inside"),
            format!(
                "3:1: warning: Ä;Kö\\u{{ad}}ln: the key looks like Ä;Köln of line 2 and is another one: they differ in {soft_hyphen}"
            ),
            format!("3:6: warning: Ä;Kö\\u{{ad}}ln: Ort in the key has {soft_hyphen} inside"),
            "4:3: warning: Ä;: Ort in the key has an invisible character U+001A (DOS's end of file) at its start".to_owned(),
            "5:1: warning: DOS's end of file (0x1A): the row is kept and is no job".to_owned(),
        ]
    );
    let pending = sheet.in_windows("pending", &keys).with(0);
    assert_eq!(pending.stdout, "Ä;Köln\nÄ;Kö\\u{ad}ln\nÄ;\n");
}

#[test]
fn two_columns_that_are_the_key_together_are_found_by_their_letters() {
    let sheet = windows("Größe;Ort;x\nÄ;Köln;1\nÄ;Bonn;1\nÖ;Köln;1\n");
    let refused = sheet.in_windows("run", &["--", "true"]).with(3);
    let way_on = "tickoff init input.csv --key Größe --key Ort --encoding windows-1252";
    assert!(refused.stderr.contains(way_on), "{refused:?}");
}

/// A sheet in Windows-1252 that a run finished, and that was then saved as UTF-8.
fn saved_as_utf_8(mark: &str) -> TempSheet {
    let sheet = windows("Kunde;Ort\r\nMüller;Köln\r\nP2;Bonn\r\n");
    sheet.in_windows("init", &["--key", "Kunde"]).with(0);
    let mut run = sheet.tickoff("run");
    end(run.args(["--stdout-to", "Brief", "--limit", "1", "--", "printf", "é"])).with(0);
    fs::write(sheet.path(), mark.to_owned() + &sheet.windows()).unwrap();
    sheet
}

#[test]
fn a_sheet_that_was_saved_as_utf_8_after_a_run_goes_on_as_utf_8() {
    let says = "use --encoding utf-8 (tickoff init FILE --encoding utf-8 remembers it)";
    for mark in ["", "\u{feff}"] {
        let sheet = saved_as_utf_8(mark);
        let before = sheet.text();
        let status = end(&mut sheet.tickoff("status"));
        assert_eq!(status.stderr.matches(says).count(), 1, "{status:?}");
        for command in [
            "status",
            "check",
            "pending",
            "recover --apply",
            "recover --discard",
        ] {
            let mut command = sheet.tickoff(command);
            end(command.args(["--encoding", "utf-8"])).with(0);
        }
        let status = end(&mut sheet.tickoff("status --json --encoding utf-8")).json();
        assert_eq!(
            (&status["completed"], &status["pending"]),
            (&1.into(), &1.into())
        );
        assert_eq!(sheet.text(), before);
        end(&mut sheet.tickoff("init --encoding utf-8")).with(0);
        let mut run = sheet.tickoff("run");
        let run = end(run.args(["--stdout-to", "Brief", "--", "printf", "京"])).with(0);
        assert!(!run.stderr.contains("WARN"), "{run:?}");
        let got = end(sheet.tickoff("get").arg("P2")).with(0).stdout;
        assert!(got.contains("Brief: 京"), "{got}");
        let got = end(sheet.tickoff("get").arg("Müller")).with(0).stdout;
        assert!(got.contains("Brief: é"), "{got}");
        end(sheet.tickoff("set").args(["Müller", "Ort=京"])).with(0);
        assert!(!sheet.text().contains('\u{fffd}'));
    }
}

#[test]
fn results_that_wait_reach_a_sheet_that_was_saved_as_utf_8_meanwhile() {
    let sheet = killed("MÜLLER", true);
    fs::write(sheet.path(), sheet.windows()).unwrap();
    end(&mut sheet.tickoff("init --encoding utf-8")).with(0);
    let mut status = sheet.tickoff("status --json");
    assert_eq!(end(&mut status).json()["completed"], 1);
}

#[test]
fn every_command_on_a_sheet_that_is_utf_8_since_says_once_what_to_type() {
    let says = "use --encoding utf-8 (tickoff init FILE --encoding utf-8 remembers it)";
    for command in [
        "status",
        "pending",
        "get P2",
        "set P2 Ort=x",
        "init",
        "run -- true",
        "run --dry-run -- true",
    ] {
        let sheet = saved_as_utf_8("");
        let before = sheet.text();
        let mut words = command.split(' ');
        let mut command_line = sheet.tickoff(words.next().unwrap());
        let ended = end(command_line.args(words)).with(3);
        assert_eq!(
            ended.stderr.matches(says).count(),
            1,
            "{command}: {ended:?}"
        );
        assert_eq!(sheet.text(), before, "{command}");
    }
    let without_key = TempSheet::new("Ort\nKöln\n");
    let settings = "['input.csv']\nencoding = 'windows-1252'\n";
    fs::write(without_key.folder().join("tickoff.toml"), settings).unwrap();
    let numbered = end(&mut without_key.tickoff("init --add-key ID")).with(3);
    assert!(numbered.stderr.contains(says), "{numbered:?}");
    let checked = end(&mut saved_as_utf_8("").tickoff("check")).with(3);
    assert!(checked.stdout.contains(SAVED_AS_UTF_8), "{checked:?}");
    let sheet = saved_as_utf_8("");
    let options = Options::remembered(sheet.path()).unwrap();
    let refused = tickoff::Sheet::read(sheet.path(), &options).err().unwrap();
    assert!(refused.to_string().contains(SAVED_AS_UTF_8), "{refused}");
}

const SAVED_AS_UTF_8: &str = "the sheet is UTF-8, and windows-1252 is remembered of it";

/// Six rows whose keys have letters, in Windows-1252, which is remembered.
fn with_letters_in_keys() -> TempSheet {
    let row = |n| format!("Mü{n};Köln\n");
    let rows: String = (1..=6).map(row).collect();
    let sheet = windows(&format!("PO_NUMBER;Ort\n{rows}"));
    sheet.in_windows("init", &[]).with(0);
    sheet
}

#[test]
fn no_job_gets_broken_keys_of_a_sheet_that_is_utf_8_since_and_no_result_is_given_up() {
    let sheet = with_letters_in_keys();
    let run = |options: &str| end(&mut sheet.run(options, "echo $TICKOFF_KEY >> log"));
    run("-j 1 --limit 4").with(0);
    fs::write(sheet.path(), sheet.windows()).unwrap();
    let (before, copies) = (sheet.text(), sheet.backup_names());
    let refused = run("");
    assert!(refused.stderr.contains(SAVED_AS_UTF_8), "{refused:?}");
    refused.with(3);
    assert_eq!((sheet.text(), sheet.backup_names()), (before, copies));
    run("-j 1 --encoding utf-8").with(0);
    assert_eq!(
        sheet.lines("log"),
        ["Mü1", "Mü2", "Mü3", "Mü4", "Mü5", "Mü6"]
    );
    // What is typed is meant.
    let misread = run("--encoding windows-1252 --dry-run").with(0);
    assert!(misread.stderr.contains("UTF-8 as well"), "{misread:?}");
}

#[test]
fn a_save_as_utf_8_during_a_run_is_kept_in_a_copy_and_the_run_goes_on() {
    for options in ["-j 1", "-j 1 --encoding windows-1252"] {
        check_save_as_utf_8_during_a_run(options);
    }
}

fn check_save_as_utf_8_during_a_run(options: &str) {
    let sheet = with_letters_in_keys();
    let script = "echo $TICKOFF_KEY >> log; if [ $TICKOFF_KEY = Mü2 ]; then touch second; while [ ! -e saved ]; do sleep 0.01; done; fi";
    let run = Running::start(&mut sheet.run(options, script));
    wait_until("the first result is visible", || {
        sheet.folder().join("second").exists() && sheet.windows().contains("Mü1;Köln;COMPLETED")
    });
    let edited = sheet.windows().replace("Mü6;Köln", "Mü6;Zürich");
    let new = sheet.folder().join("new");
    fs::write(&new, &edited).unwrap();
    fs::rename(&new, sheet.path()).unwrap();
    fs::write(sheet.folder().join("saved"), "").unwrap();
    let ended = run.end().with(0);
    let says = ["is not taken over", SAVED_AS_UTF_8, ".outside.csv"];
    assert!(
        says.iter().all(|says| ended.stderr.contains(says)),
        "{ended:?}"
    );
    assert_eq!(
        sheet.lines("log"),
        ["Mü1", "Mü2", "Mü3", "Mü4", "Mü5", "Mü6"]
    );
    assert_eq!(sheet.windows().matches(";Köln;COMPLETED").count(), 6);
    let copies = sheet.backups().read_dir().unwrap();
    let kept = copies
        .map(|copy| copy.unwrap().path())
        .find(|copy| copy.to_string_lossy().ends_with(".outside.csv"));
    assert_eq!(fs::read_to_string(kept.unwrap()).unwrap(), edited);
}

#[test]
fn a_result_whose_letters_are_utf_8_too_is_written() {
    let sheet = windows("PO_NUMBER\nP1\nP2\n");
    sheet.in_windows("init", &[]).with(0);
    let script = r#"echo '{"Note":"Ã¼"}' > "$TICKOFF_RESULT""#;
    let ended = end(&mut sheet.run("", script)).with(0);
    assert!(!ended.stderr.contains("WARN"), "{ended:?}");
    assert_eq!(sheet.windows().matches(";Ã¼\n").count(), 2);
}

#[test]
fn a_column_s_name_in_two_parts_is_the_one_in_one() {
    let answer = "echo '{\"LAST_PROCESSED\":\"t\",\"Gro\u{308}ße\":\"1\",\"Ho\u{308}he\":\"2\"}' > \"$TICKOFF_RESULT\"";
    let want = "PO_NUMBER;Größe;STATUS;LAST_PROCESSED;ERROR_MESSAGE;Höhe\nP1;1;COMPLETED;t;;2\n";
    let sheet = windows("PO_NUMBER;Größe\nP1;\n");
    let run = sheet.run_in_windows("", &["sh", "-c", answer]).with(0);
    assert!(!run.stderr.contains("WARN"), "{run:?}");
    assert_eq!(sheet.windows(), want);
    let again = sheet
        .run_in_windows("--force", &["sh", "-c", answer])
        .with(0);
    assert!(!again.stderr.contains("WARN"), "{again:?}");
    assert_eq!(sheet.windows(), want);
    sheet
        .run_in_windows("--force --stdout-to La\u{308}nge", &["printf", "3"])
        .with(0);
    assert!(sheet.windows().contains(";Höhe;Länge\n"));
    let utf8 = TempSheet::new("PO_NUMBER;Größe\nP1;\n");
    end(utf8.tickoff("run").args(["--", "sh", "-c", answer])).with(0);
    // On a sheet that can hold it a new name stays as the job wrote it.
    assert_eq!(utf8.text(), want.replace("Höhe", "Ho\u{308}he"));
}

#[test]
fn a_condition_and_a_key_that_are_typed_in_two_parts_find_their_rows_or_say_why_not() {
    for (cell, typed) in [("Köln", "Ko\u{308}ln"), ("Ko\u{308}ln", "Köln")] {
        let sheet = TempSheet::new(format!("PO_NUMBER;Ort\nP1;{cell}\nP2;Bonn\n"));
        let mut pending = sheet.tickoff("pending");
        let found = end(pending.args(["--where", &format!("Ort={typed}")])).with(0);
        assert_eq!(found.stdout, "P1\n");
    }
    let sheet = TempSheet::new("PO_NUMBER;Ort\nKü-004;x\n");
    let refused = end(sheet.tickoff("get").arg("Ku\u{308}-004")).with(1);
    let says = "the key Kü-004 looks like it, but they differ in the form of ü U+00FC";
    assert!(refused.stderr.contains(says), "{refused:?}");
}

#[test]
fn letters_that_are_lost_are_named_once_a_column_and_counted_at_the_end() {
    let sheet = windows("PO_NUMBER;Ort;Land\nP1;;\nP2;;\nP3;;\n");
    let script = r#"echo '{"Ort":"x 東京","Land":"日本","LAST_PROCESSED":"t"}' > "$TICKOFF_RESULT"
        [ $TICKOFF_KEY = P1 ] || echo '{"Ort":"x 東京","LAST_PROCESSED":"t"}' > "$TICKOFF_RESULT""#;
    let ended = sheet.run_in_windows("", &["sh", "-c", script]).with(0);
    let said = |text: &str| ended.stderr.matches(text).count();
    for (text, times) in [
        ("are written as ? (Ort), the first is 東 (U+6771)", 1),
        ("are written as ? (Land), the first is 日 (U+65E5)", 1),
        (
            "3 results lost letters in Ort that windows-1252 does not have, the first is that of P1",
            1,
        ),
        ("results lost letters in Land", 0),
    ] {
        assert_eq!(said(text), times, "{text}: {ended:?}");
    }
}

/// What a job answers whose key and result have letters; done jobs are listed in `log`.
const WITH_LETTERS: &str = r#"echo "$TICKOFF_KEY" >> log
    echo "{\"Brief\":\"für $TICKOFF_KEY\",\"LAST_PROCESSED\":\"t\"}" > "$TICKOFF_RESULT""#;

/// A sheet after two runs of two rows each, and its text between them.
fn after_two_runs(first: &str, options: &str) -> (TempSheet, String) {
    let sheet = TempSheet::new(first);
    let run = |limit: &str| {
        let mut run = sheet.tickoff("run -j 1 --quiet");
        run.args(["--limit", limit])
            .args(options.split_whitespace());
        end(run.args(["--", "sh", "-c", WITH_LETTERS])).with(0);
    };
    run("2");
    let older = sheet.text();
    run("2");
    (sheet, older)
}

fn written_in(label: &str, text: &str) -> Vec<u8> {
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
    encoding.encode(text).0.into_owned()
}

fn read_in(label: &str, sheet: &TempSheet) -> String {
    let encoding = encoding_rs::Encoding::for_label(label.as_bytes()).unwrap();
    encoding
        .decode(&bytes(sheet.path()))
        .0
        .trim_start_matches('\u{feff}')
        .to_owned()
}

#[test]
fn results_of_a_utf_8_sheet_find_their_rows_in_an_old_save_in_another_encoding() {
    let rows = |to: &str| format!("{to}Größe;Ort;n\nÄ;Köln;1\nB;Wien;2\nC;Süd;3\nÄ;Süd;4\nÖ;x;5\n");
    let keys = "--key Größe --key Ort";
    for (mark, label, changed) in [
        ("", "windows-1252", ";EDIT"),
        ("\u{feff}", "iso-8859-2", ""),
        ("", "macintosh", ""),
    ] {
        let (sheet, older) = after_two_runs(&rows(mark), keys);
        let older = older
            .trim_start_matches('\u{feff}')
            .replace(";1;", &format!("{changed};1;"));
        let older = older.replace(";EDIT;1;", ";EDIT;");
        fs::write(sheet.path(), written_in(label, &older)).unwrap();
        let options = format!("{keys} --encoding {label}");
        let ask = |command: &str| {
            let mut command = sheet.tickoff(command);
            end(command.args(options.split(' ')))
        };
        let status = ask("status --json").json();
        assert_eq!(
            (&status["completed"], &status["pending"]),
            (&4.into(), &1.into())
        );
        assert_eq!(ask("pending").with(0).stdout, "Ö;x\n");
        let mut get = sheet.tickoff("get --json");
        let row = end(get.arg("Ä;Süd").args(options.split(' '))).json();
        assert_eq!(row["cells"]["Brief"], "für Ä;Süd");
        ask("recover --apply").with(0);
        let shown = read_in(label, &sheet);
        assert!(
            shown.contains("\nC;Süd;3;COMPLETED;t;;\"für C;Süd\"\n"),
            "{shown}"
        );
        let mut set = sheet.tickoff("set");
        end(set.args(["C;Süd", "n=ß"]).args(options.split(' '))).with(0);
        let mut run = sheet.tickoff("run -j 1");
        run.args(options.split(' '));
        let run = end(run.args(["--", "sh", "-c", WITH_LETTERS])).with(0);
        assert!(!run.stderr.contains("WARN"), "{run:?}");
        assert_eq!(
            sheet.lines("log"),
            ["Ä;Köln", "B;Wien", "C;Süd", "Ä;Süd", "Ö;x"]
        );
        let n = if changed.is_empty() { "1" } else { "EDIT" };
        let want = format!(
            "Größe;Ort;n;STATUS;LAST_PROCESSED;ERROR_MESSAGE;Brief\nÄ;Köln;{n};COMPLETED;t;;\"für Ä;Köln\"\nB;Wien;2;COMPLETED;t;;\"für B;Wien\"\nC;Süd;ß;COMPLETED;t;;\"für C;Süd\"\nÄ;Süd;4;COMPLETED;t;;\"für Ä;Süd\"\nÖ;x;5;COMPLETED;t;;\"für Ö;x\"\n"
        );
        assert_eq!(read_in(label, &sheet), want);
        assert!(!sheet.folder().join("input.csv.unplaced.csv").exists());
    }
}

#[test]
fn recovered_results_are_written_in_the_encoding_that_a_plain_sheet_is_read_in_now() {
    for command in [&["run"][..], &["apply"], &["set", "P1", "n=1"]] {
        let (sheet, _) = after_two_runs("PO_NUMBER;n\nP1;1\nP2;2\nP3;3\nP4;4\n", "");
        let older = sheet.text().lines().take(3).collect::<Vec<_>>().join("\n");
        // No word of what is recovered stands there.
        let older = older.replace("für", "fuer") + "\nP3;3;;;;\nP4;4;;;;\n";
        fs::write(sheet.path(), encoded(&older)).unwrap();
        let mut bring = sheet.tickoff(command[0]);
        bring.args(&command[1..]).args(WINDOWS.split(' '));
        match command[0] {
            "run" => bring.args(["--", "true"]),
            _ => bring.stdin(std::process::Stdio::null()),
        };
        end(&mut bring).with(0);
        let shown = sheet.windows();
        assert!(
            shown.contains("\nP3;3;COMPLETED;t;;für P3\n"),
            "{command:?}: {shown}"
        );
        assert!(
            shown.contains("\nP4;4;COMPLETED;t;;für P4\n"),
            "{command:?}: {shown}"
        );
        assert_eq!(sheet.lines("log").len(), 4);
    }
}

#[test]
fn a_recovered_result_that_loses_a_letter_is_said() {
    let sheet = TempSheet::new("PO_NUMBER;Ort\nP1;ö\nP2;ü\n");
    let first = sheet.text();
    let answer = r#"echo '{"Ort":"Köln 京都","LAST_PROCESSED":"t"}' > "$TICKOFF_RESULT""#;
    end(sheet.tickoff("run -j 1").args(["--", "sh", "-c", answer])).with(0);
    fs::write(sheet.path(), encoded(&first)).unwrap();
    let ended = sheet.in_windows("recover", &["--apply"]).with(0);
    let said =
        "letters that windows-1252 does not have are written as ? (Ort), the first is 京 (U+4EAC)";
    assert_eq!(ended.stderr.matches(said).count(), 1, "{ended:?}");
    let counted =
        "2 results lost letters in Ort that windows-1252 does not have, the first is that of P";
    assert_eq!(ended.stderr.matches(counted).count(), 1, "{ended:?}");
    let shown = sheet.windows();
    assert!(shown.contains("\nP1;Köln ??;t;COMPLETED;"), "{shown}");
    let again = sheet.run_in_windows("", &["sh", "-c", NO_TIME]).with(0);
    assert!(!again.stderr.contains("WARN"), "{again:?}");
}

#[test]
fn results_find_their_rows_in_an_old_save_in_another_windows_encoding() {
    let rows = written_in(
        "windows-1250",
        "Kunde;n\nŽofín;1\nB;2\nČerný;3\nŠíp;4\nD;5\n",
    );
    let sheet = TempSheet::new(rows);
    let run = |options: &str| {
        let mut run = sheet.tickoff("run -j 1 --key Kunde");
        run.args(options.split(' '));
        end(run.args(["--", "sh", "-c", WITH_LETTERS])).with(0)
    };
    run("--encoding windows-1250 --limit 2");
    let older = read_in("windows-1250", &sheet);
    run("--encoding windows-1250 --limit 2");
    fs::write(sheet.path(), written_in("iso-8859-2", &older)).unwrap();
    let ended = run("--encoding iso-8859-2");
    assert!(!ended.stderr.contains("no place"), "{ended:?}");
    assert_eq!(sheet.lines("log"), ["Žofín", "B", "Černý", "Šíp", "D"]);
    let shown = read_in("iso-8859-2", &sheet);
    assert!(shown.contains("\nŠíp;4;COMPLETED;t;;für Šíp\n"), "{shown}");
}

#[test]
fn a_run_that_read_utf_8_as_another_encoding_is_gone_on_with_as_utf_8() {
    let sheet = TempSheet::new("Kunde;n\nWien;1\nKöln;2\nZürich;3\n");
    let command = ["sh", "-c", "echo $TICKOFF_KEY >> log"];
    let misread = || {
        sheet
            .run_in_windows("--key Kunde --limit 1", &command)
            .with(0)
    };
    misread();
    let older = sheet.text();
    misread();
    fs::write(sheet.path(), older).unwrap();
    end(&mut sheet.tickoff("recover --apply --key Kunde")).with(0);
    let mut run = sheet.tickoff("run -j 1 --key Kunde");
    end(run.arg("--").args(command)).with(0);
    assert_eq!(sheet.lines("log"), ["Wien", "KÃ¶ln", "Zürich"]);
}

#[test]
fn a_sheet_that_is_saved_in_another_encoding_during_a_run_is_gone_on_with_in_it() {
    let sheet = TempSheet::new("PO_NUMBER;Ort\nP1;Köln\nP2;Zürich\nP3;Wien\n");
    let script = format!(
        "{WITH_LETTERS}; if [ $TICKOFF_KEY = P2 ]; then touch second; while [ ! -e saved ]; do sleep 0.01; done; fi"
    );
    let mut run = sheet.tickoff("run -j 1");
    let run = Running::start(run.args(["--", "sh", "-c", &script]));
    wait_until("the first result is visible", || {
        sheet.folder().join("second").exists() && sheet.text().contains("für")
    });
    let saved = sheet.folder().join("new");
    fs::write(&saved, encoded(&sheet.text())).unwrap();
    fs::rename(&saved, sheet.path()).unwrap();
    fs::write(sheet.folder().join("saved"), "").unwrap();
    run.end().with(0);
    let left = bytes(sheet.path());
    let again = sheet.run_in_windows("", &["sh", "-c", WITH_LETTERS]);
    let again = again.with(0);
    assert!(!again.stderr.contains("WARN"), "{again:?}");
    assert_eq!(sheet.lines("log"), ["P1", "P2", "P3"]);
    assert_eq!(bytes(sheet.path()), left);
    assert!(sheet.windows().contains("\nP1;Köln;COMPLETED;t;;für P1\n"));
}

#[test]
fn letters_that_stand_there_as_mojibake_too_do_not_hide_what_was_converted() {
    let (sheet, older) = after_two_runs(
        "Kunde;n\nKöln;KÃ¶ln\nZürich;2\nBühl;BÃ¼hl\nFürth;4\nÖhr;5\n",
        "--key Kunde",
    );
    fs::write(sheet.path(), encoded(&older)).unwrap();
    let status = sheet.in_windows("status", &["--json", "--key", "Kunde"]);
    assert_eq!(status.json()["completed"], 4);
}

#[test]
fn results_of_a_sheet_that_got_another_name_and_encoding_are_taken_over() {
    let (sheet, older) = after_two_runs(
        "Kunde;n\nKöln;1\nZürich;2\nBühl;3\nFürth;4\nÖhr;5\n",
        "--key Kunde",
    );
    fs::remove_file(sheet.path()).unwrap();
    let renamed = sheet.folder().join("orders.csv");
    fs::write(&renamed, encoded(&older)).unwrap();
    let options = "--apply --key Kunde --encoding windows-1252";
    let mut recover = tickoff();
    recover
        .arg("recover")
        .arg(&renamed)
        .args(options.split(' '));
    end(&mut recover).with(0);
    let shown = encoding_rs::WINDOWS_1252
        .decode(&bytes(&renamed))
        .0
        .into_owned();
    assert!(
        shown.contains("\nBühl;3;COMPLETED;t;;für Bühl\n"),
        "{shown}"
    );
    assert!(
        shown.contains("\nFürth;4;COMPLETED;t;;für Fürth\n"),
        "{shown}"
    );
}
