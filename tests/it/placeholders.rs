//! What a placeholder must never do: run what a cell says, pass a mistyped name on, or change a byte.

use crate::command_line::{bytes, end};
use crate::fixture::TempSheet;

const SHEET: &str = "PO_NUMBER;STATUS;Supplier Name;LAST_PROCESSED;ERROR_MESSAGE\nP1;;Acme;;\n";

/// Refused as a wrong command line, also by a dry run and before a copy is made; no command ran.
#[track_caller]
fn check_refused(command: &[&str], said: &str) {
    let sheet = TempSheet::new(SHEET);
    for options in ["", "--dry-run", "--output copy.csv", "--joblog log"] {
        let mut run = sheet.tickoff("run");
        run.args(options.split_whitespace()).arg("--").args(command);
        let ended = end(&mut run).with(2);
        assert_eq!(ended.stderr, format!("tickoff: {said}\n"), "{options:?}");
        assert_eq!(ended.stdout, "");
    }
    assert_eq!(sheet.text(), SHEET);
    assert_eq!(sheet.leftovers(), [""; 0]);
    assert!(!sheet.backups().exists());
}

#[test]
fn a_mistyped_column_is_refused_with_the_one_that_was_meant() {
    check_refused(
        &["echo", "x{supplier nam}"],
        "{supplier nam} names no column: did you mean {Supplier Name}?",
    );
    check_refused(
        &["echo", "{Suplier_Name}"],
        "{Suplier_Name} names no column: did you mean {Supplier Name}?",
    );
    // A column that a run adds counts as well.
    check_refused(
        &["echo", "{LAST_PROCESED}"],
        "{LAST_PROCESED} names no column: did you mean {LAST_PROCESSED}?",
    );
}

#[test]
fn a_placeholder_in_a_shell_s_script_is_refused_with_the_safe_form() {
    let said = |safe: &str| {
        format!(
            "a placeholder may not stand in a shell's script, where the cell would be run as a part of it: pass it behind the script, as in -- {safe}"
        )
    };
    check_refused(
        &["sh", "-c", "echo {}"],
        &said(r#"sh -c 'echo "$1"' sh {}"#),
    );
    check_refused(
        &["env", "A=1", "bash", "-ec", "echo \"{}-{supplier name}\""],
        &said(r#"env 'A=1' bash -ec 'echo "$1-$2"' bash {} '{supplier name}'"#),
    );
}

#[test]
fn the_safe_form_and_what_looks_like_a_placeholder_run() {
    let sheet = TempSheet::new("PO_NUMBER;Name\nP1;$(touch hacked)\n");
    let script = r#"x=$1; f() { echo "${x} ${#x} {\"name\":1} $2"; }; f "$@""#;
    let command = ["sh", "-c", script, "sh", "{name}", "{{.Name}} {n:ame}"];
    let ended = end(sheet.tickoff("run").arg("--").args(command)).with(0);
    assert_eq!(
        ended.stdout,
        "$(touch hacked) 15 {\"name\":1} {{.Name}} {n:ame}\n"
    );
    assert_eq!(sheet.leftovers(), [""; 0]);
}

#[test]
fn parts_of_the_key_and_the_row_s_number_are_passed() {
    let sheet = TempSheet::new("file\nin/a.tar.gz\nb\n");
    let command = ["printf", "<%s>", "{}", "{.}", "{/}", "{//}", "{/.}", "{#}"];
    let ended = end(sheet
        .tickoff("run")
        .args(["-j", "1", "--key", "file", "--"])
        .args(command))
    .with(0);
    assert_eq!(
        ended.stdout,
        "<in/a.tar.gz><in/a.tar><a.tar.gz><in><a.tar><1>\n<b><b><b><.><b><2>\n"
    );
}

mod a_cell_that_is_not_utf_8 {
    use super::*;

    const LATIN_1: &[u8] = b"PO_NUMBER;STATUS;Name;x\nP1;;M\xfcller;\nP2;;Acme;\xe9\n";

    #[test]
    fn goes_to_a_command_byte_for_byte_and_is_said_once() {
        let sheet = TempSheet::new(LATIN_1);
        let script = "printf '%s;' \"$1\" >> arg";
        let mut run = sheet.tickoff("run");
        run.args(["-j", "1", "--", "sh", "-c", script, "sh", "{NAME}"]);
        let ended = end(&mut run).with(0);
        assert_eq!(bytes(&sheet.folder().join("arg")), b"M\xfcller;Acme;");
        let said = "WARN 2 cells are not UTF-8, the first in line 2, Name: a command gets its bytes as they are, a worker {\"base64\":…}";
        assert_eq!(ended.stderr.matches(said).count(), 1, "{ended:?}");
        assert!(
            bytes(sheet.path())
                .windows(7)
                .any(|cell| cell == b";M\xfcller")
        );
        let quiet = end(run.arg("x")).with(0);
        assert!(!quiet.stderr.contains("UTF-8"), "{quiet:?}");
    }

    #[test]
    fn is_said_with_the_option_also_where_only_warnings_are() {
        for (command, job) in [
            ("run -q --stdout-to y", &["--", "echo", "é"][..]),
            ("apply -q", &[]),
        ] {
            let sheet = TempSheet::new(LATIN_1);
            let ended = end(sheet.tickoff(command).args(job)).with(0);
            for said in [
                "UTF-8",
                "the first in line 2, Name",
                "--encoding windows-1252",
            ] {
                assert!(ended.stderr.contains(said), "{command}: {ended:?}");
            }
            assert!(ended.stderr.contains(" WARN "), "{command}: {ended:?}");
            let mut known = sheet.tickoff(command);
            let known = end(known.args(["--encoding", "latin1"]).args(job)).with(0);
            assert_eq!(known.stderr, "", "{command}");
        }
    }

    #[test]
    fn is_shown_by_a_dry_run_as_a_shell_takes_it() {
        let sheet = TempSheet::new(LATIN_1);
        let ended = end(sheet
            .tickoff("run")
            .args(["--dry-run", "--", "echo", "{Name}"]))
        .with(0);
        assert_eq!(ended.stdout, "echo $'M\\374ller'\necho Acme\n");
        assert!(ended.stderr.contains("2 cells are not UTF-8"), "{ended:?}");
    }

    #[test]
    fn is_in_base64_in_json() {
        let sheet = TempSheet::new(LATIN_1);
        let id = r#"id=${request#\{\"id\":}; id=${id%%,*}"#;
        let script = format!(
            r#"while read -r request; do echo "$request" >> requests; {id}; echo "{{\"id\":$id,\"updates\":{{}}}}"; done"#
        );
        end(sheet.tickoff("run").args([
            "-j",
            "1",
            "--worker-protocol",
            "jsonl",
            "--",
            "sh",
            "-c",
            &script,
        ]))
        .with(0);
        let requests: Vec<serde_json::Value> = sheet
            .lines("requests")
            .iter()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        let base64 = serde_json::json!({"base64": "TfxsbGVy"});
        assert_eq!(requests[0]["cells"]["Name"], base64);
        assert_eq!(requests[1]["cells"]["Name"], "Acme");
        assert_eq!(sheet.get("P1")["cells"]["Name"], base64);
    }
}

#[test]
fn two_letters_swapped_in_a_short_name_are_a_slip_and_other_names_are_told() {
    const PHOTOS: &str = "old;new\na.jpg;b.jpg\n";
    let sheet = TempSheet::new(PHOTOS);
    let run = |to: &str| {
        let mut run = sheet.tickoff("run");
        run.args(["--key", "old", "--", "sh", "-c", "echo $1 >> ran", "sh", to]);
        end(&mut run)
    };
    let refused = run("{nwe}").with(2);
    assert!(
        refused.stderr.contains("did you mean {new}?"),
        "{refused:?}"
    );
    assert_eq!(sheet.text(), PHOTOS);
    let told = run("{target}").with(0);
    let says = "the sheet has no column {target}: the command gets it as it is";
    assert!(told.stderr.contains(says), "{told:?}");
    assert_eq!(sheet.lines("ran"), ["{target}"]);
}
