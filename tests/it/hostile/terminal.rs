//! Nothing that comes from a sheet or a worker speaks to the terminal of who looks at it.

use crate::command_line::{end, tickoff};
use crate::fixture::TempSheet;
use crate::hostile::survive;

/// A title change, a cleared screen, an 8-bit control, the bidirectional controls, a bell, a
/// backspace, and a line break with a forged message.
const EVIL: &str = "\u{1b}]0;owned\u{7}\u{1b}[2J\u{9b}31m\u{202e}\u{2066}\u{200f}\u{8}\u{200b}\u{e0041}\ntickoff: all is well";

fn quoted(text: &str) -> String {
    format!("\"{text}\"")
}

/// Written out anew, and not taken from the crate.
fn is_harmful(c: char) -> bool {
    let is_bidi = matches!(c, '\u{61c}' | '\u{200e}' | '\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2066}'..='\u{2069}');
    let has_no_shape = matches!(
        c,
        '\u{ad}' | '\u{200b}' | '\u{2060}' | '\u{feff}' | '\u{e0000}'..='\u{e007f}'
    );
    (c.is_control() && c != '\n') || is_bidi || has_no_shape
}

#[track_caller]
fn check_harmless(what: &str, text: &str) {
    let harm = text.chars().find(|&c| is_harmful(c));
    assert_eq!(harm, None, "{what} said {text:?}");
    assert!(
        !text
            .lines()
            .any(|line| line.starts_with("tickoff: all is well")),
        "{what} forged a line: {text}"
    );
}

/// A sheet in which keys, statuses, column names and other cells are hostile.
fn sheet() -> TempSheet {
    let evil = quoted(EVIL);
    TempSheet::new(format!(
        "PO_NUMBER;STATUS;SUPPLIER;LAST_PROCESSED;ERROR_MESSAGE;ATTACHMENTS_FOUND;{evil}\n\
         {evil};{evil};{evil};{evil};{evil};{evil};{evil}\n\
         P2;{evil};;;;;\n\
         P3;ERROR;;;{evil};;\n"
    ))
}

#[test]
fn whatever_reads_a_sheet_shows_it_harmlessly() {
    for (command, arguments) in [
        ("status", &[][..]),
        ("status", &["--json"]),
        ("pending", &[]),
        ("pending", &["--json"]),
        ("get", &[EVIL]),
        ("get", &[EVIL, "--json"]),
        ("get", &["no such \u{1b}[31m PO"]),
        ("check", &[]),
        ("check", &["--json"]),
        ("set", &[EVIL, "no such \u{1b}[31m column=x"]),
        ("set", &["P2", "STATUS=\u{1b}[31m"]),
        ("status", &["--key", "\u{1b}[31m"]),
        ("backup restore", &["\u{1b}[31m"]),
    ] {
        let sheet = sheet();
        let mut program = sheet.tickoff(command);
        if command == "set"
            || command == "get"
            || command.starts_with("backup")
            || !arguments.is_empty()
        {
            program.args(arguments);
        }
        let ended = survive(&mut program);
        let what = format!("{command} {arguments:?}");
        check_harmless(&what, &ended.stdout);
        check_harmless(&what, &ended.stderr);
    }
}

#[test]
fn what_was_typed_wrong_is_shown_harmlessly() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\n");
    let dash = format!("--{EVIL}");
    let option = |name: &str| format!("{name}={EVIL}");
    let em_dash = format!("—{EVIL}");
    let (pattern, column) = (format!("A~({EVIL}"), format!("{EVIL}="));
    let file = format!("./{EVIL}");
    let mut lines: Vec<Vec<String>> = [
        &[EVIL][..],
        &[&dash],
        &[&em_dash],
        &[&file],
        &["help", EVIL],
        &["help", "run", EVIL],
        &["backup", EVIL],
        &["backup", "list", "input.csv", EVIL],
        &["backup", "list", &file],
        &["completions", EVIL],
        &["man", &file, EVIL],
        &["man", "input.csv/\u{1b}[2J"],
        &["run", "input.csv", EVIL],
        &["run", "input.csv", &em_dash, "--", "true"],
        &["run", "input.csv", "--", EVIL],
        &["run", "input.csv", "--", &file],
        &["run", "input.csv", "--", &format!("{EVIL}{{x}}")],
        &["run", "input.csv", "--", "true", &format!("{{{EVIL}}}")],
        &["run", "input.csv", "--", "sh", "-c", &format!("{EVIL}{{}}")],
        &["run", "input.csv", "--where", &pattern, "--", "true"],
        &["run", "input.csv", "--where", &column, "--", "true"],
        &["run", EVIL, "--", "true"],
        &["run", "-", "--output", &file, "--", "true"],
        &["set", "input.csv", "P1", EVIL],
        &["set", "input.csv", "P1", &column],
        &["get", "input.csv", EVIL, EVIL],
        &["control", "input.csv", EVIL],
        &["control", "input.csv", &format!("jobs={EVIL}")],
        &["recover", "input.csv", EVIL],
        &[
            "report",
            "input.csv",
            "--html",
            &format!("input.csv/{EVIL}"),
        ],
        &["report", "input.csv", "--joblog", EVIL],
        &["status", EVIL],
        &["check", &file],
    ]
    .iter()
    .map(|line| line.iter().map(|&word| word.to_owned()).collect())
    .collect();
    for name in [
        "--backoff",
        "--backup-dir",
        "--delimiter",
        "--done",
        "--duplicates",
        "--encoding",
        "--events",
        "--failed",
        "--formulas",
        "--halt",
        "--joblog",
        "--jobs",
        "--keep",
        "--key",
        "--limit",
        "--log-format",
        "--only",
        "--output",
        "--rate",
        "--results",
        "--retries",
        "--retry-on",
        "--show",
        "--stage",
        "--stdout-to",
        "--timeout",
        "--todo",
        "--verbose",
        "--where",
        "--worker-protocol",
    ] {
        let line = ["run", "input.csv", &option(name), "--", "true"];
        lines.push(line.map(str::to_owned).to_vec());
    }
    for line in lines {
        let mut program = tickoff();
        let ended = survive(program.current_dir(sheet.folder()).args(&line));
        check_harmless(&format!("{line:?}"), &ended.stdout);
        check_harmless(&format!("{line:?}"), &ended.stderr);
    }
}

#[test]
fn a_run_logs_and_counts_hostile_rows_harmlessly() {
    // In a pipe what the commands print is their own, but for a line of JSON.
    for options in ["--show none", "--log-format json", "--show none --quiet"] {
        let sheet = sheet();
        // The sheet's words are not tickoff's: it is refused, until a person sets a status with tickoff.
        let refused = survive(&mut sheet.run(options, "true")).with(3);
        check_harmless(options, &refused.stderr);
        survive(sheet.tickoff("set").args(["P2", "STATUS=PENDING"])).with(0);
        // The commands, too, say and write what they should not.
        let script = "printf '\\033[2J \\302\\233 \\342\\200\\256\\n' >&2; \
             case $TICKOFF_PO in P2) printf '{\"\\\\u001b[2J\":\"x\"}' > $TICKOFF_RESULT;; \
             P3) printf '{\"SUPPLIER\":\"=\\\\u001b[2J\"}' > $TICKOFF_RESULT;; *) exit 3;; esac";
        let ended = survive(&mut sheet.run(options, script));
        assert_eq!(ended.code, 1, "{ended:#?}");
        check_harmless(options, &ended.stdout);
        check_harmless(options, &ended.stderr);
    }
}

#[test]
fn sheets_that_are_refused_are_refused_harmlessly() {
    let evil = quoted(EVIL);
    for text in [
        format!("{evil};x\nP1;\n"),
        format!("PO_NUMBER;STATUS\n{evil};\n{evil};\n"),
        format!("PO_NUMBER;STATUS;status\n{evil};;\n"),
        format!("PO_NUMBER;STATUS\n{EVIL};\r{EVIL};\n"),
    ] {
        let sheet = TempSheet::new(&text);
        for (command, arguments) in [
            ("run", &["--", "true"][..]),
            ("status", &[]),
            ("check", &[]),
            ("init", &[]),
        ] {
            let ended = survive(sheet.tickoff(command).args(arguments));
            check_harmless(command, &ended.stdout);
            check_harmless(command, &ended.stderr);
        }
        assert_eq!(sheet.text(), text);
    }
}

#[test]
fn a_conflict_is_reported_harmlessly() {
    let sheet =
        TempSheet::new("PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nP1;;;;\nP2;;;;\n");
    // It was opened before the result came, and is saved after.
    let script = "case $TICKOFF_PO in P1) cp input.csv opened; echo '{\"note\":\"ours\"}' > $TICKOFF_RESULT;; \
        P2) until grep -q ours input.csv || [ ! -e $PWD ]; do sleep 0.01; done; sed -i \"s/^P1;.*/P1;;;;$(printf '\\033[2J theirs')/\" opened; mv opened input.csv;; esac";
    let ended = end(&mut sheet.run("-j 1", script)).with(0);
    assert!(ended.stderr.contains("theirs"), "{ended:#?}");
    check_harmless("run", &ended.stderr);
    assert_eq!(sheet.cell("P1", "note"), "ours");
}

#[test]
fn formulas_are_written_with_a_warning_or_refused() {
    const FORMULAS: [&str; 4] = ["=1+1", "@SUM(A1)", "+cmd|' /C calc'!A0", "-2+3"];
    for formula in FORMULAS {
        let sheet = TempSheet::new("PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\nP1;;;;\n");
        let note = format!("note={formula}");
        let refused = sheet
            .tickoff("set")
            .args(["P1", &note, "--formulas", "reject"])
            .output()
            .unwrap();
        assert_eq!(refused.status.code(), Some(1), "{formula}: {refused:?}");
        assert_eq!(sheet.cell("P1", "note"), "");
        let warned = end(sheet
            .tickoff("set")
            .args(["P1", &note, "--formulas", "warn"]))
        .with(0);
        assert!(
            warned
                .stderr
                .contains("would run as a formula in a spreadsheet; it was written"),
            "{warned:?}"
        );
        assert_eq!(sheet.cell("P1", "note"), formula);
        let script = "printf '{\"note\":\"=2\"}' > $TICKOFF_RESULT";
        end(&mut sheet.run("--formulas reject --quiet", script)).with(1);
        assert_eq!(
            sheet.cell("P1", "note"),
            formula,
            "the command's formula is not written"
        );
        assert_eq!(sheet.cell("P1", "STATUS"), "COMPLETED");
        let kept = sheet.unplaced();
        assert_eq!(kept, "PO_NUMBER;note\nP1;=2\n");
    }
}

#[test]
fn a_key_of_a_megabyte_in_a_result_does_not_fill_the_log() {
    let sheet = TempSheet::new("PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;\n");
    let script = r#"k=$(head -c 900000 /dev/zero | tr '\0' k); printf '{"%s":"=1"}' "$k" > "$TICKOFF_RESULT""#;
    let ended = end(&mut sheet.run("", script));
    assert!(ended.stderr.len() < 8_000, "{} bytes", ended.stderr.len());
    assert!(!sheet.cell("P1", "STATUS").is_empty(), "{ended:?}");
}

#[test]
fn what_has_no_shape_in_a_name_is_shown() {
    let sheet =
        TempSheet::new("PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP\u{e0041}\u{200b}1;;;\n");
    let ended = end(&mut sheet.run("", "exit 1")).with(1);
    assert!(ended.stderr.contains("P\\u{e0041}\\u{200b}1"), "{ended:?}");
    assert!(!ended.stderr.contains('\u{e0041}'), "{ended:?}");
}
