//! What a new user does wrong is answered by what it is and what to do instead, with the exit code for it; the file
//! stays as it is.

use crate::command_line::{bytes, end};
use crate::fixture::TempSheet;

/// What `status` and `run` say of a file that is no sheet.
#[track_caller]
fn check_file(contents: impl AsRef<[u8]>, lines: &[&str]) {
    let contents = contents.as_ref();
    let sheet = TempSheet::new(contents);
    for (command, arguments) in [("run", &["--", "true"][..]), ("status", &[])] {
        let ended = end(sheet.tickoff(command).args(arguments)).with(3);
        let said = sheet.without_folder(&ended.stderr);
        assert_eq!(said, lines.join("\n") + "\n", "{command}");
        assert_eq!(bytes(sheet.path()), contents);
        assert_eq!(sheet.leftovers(), [""; 0]);
    }
    let checked = end(&mut sheet.tickoff("check")).with(3);
    let advice = lines.last().unwrap();
    assert_eq!(checked.stderr, format!("{advice}\n"));
}

mod files {
    use super::*;

    const SHEET: &str = "PO_NUMBER;STATUS\nP1;\n";

    #[test]
    fn a_workbook() {
        let zip = |first: &str| [b"PK\x03\x04", &[0; 26][..], first.as_bytes(), b"\0\n\0"].concat();
        check_file(
            zip("[Content_Types].xml"),
            &[
                "tickoff: DIR/input.csv:1:1: the file is an Excel workbook (.xlsx), and no CSV",
                "tickoff: save the table as CSV: in Excel Save As, CSV UTF-8; or soffice --headless --convert-to csv FILE",
            ],
        );
        check_file(
            zip("mimetypeapplication/vnd.oasis.opendocument.spreadsheet"),
            &[
                "tickoff: DIR/input.csv:1:1: the file is an OpenDocument file (.ods), and no CSV",
                "tickoff: save the table as CSV: in LibreOffice Save As, Text CSV; or soffice --headless --convert-to csv FILE",
            ],
        );
    }

    #[test]
    fn a_compressed_file_and_a_pdf() {
        check_file(
            b"\x1f\x8b\x08\0\0\0\0\0\0\x03\x03\0",
            &[
                "tickoff: DIR/input.csv:1:1: the file is compressed, and no CSV",
                "tickoff: unpack it first: gunzip -k FILE",
            ],
        );
        check_file(
            b"%PDF-1.7\n%\xe2\xe3\n1 0 obj\n",
            &[
                "tickoff: DIR/input.csv:1:1: the file is a PDF, and no CSV",
                "tickoff: ask for the table as CSV, or copy it into a spreadsheet and save it as CSV",
            ],
        );
    }

    #[test]
    fn a_page_or_json_in_the_place_of_a_csv() {
        check_file(
            "<!DOCTYPE html>\n<html><title>403</title></html>\n",
            &[
                "tickoff: DIR/input.csv:1:1: the file is HTML or XML, and no CSV",
                "tickoff: look at what it says: a page in the place of a download often tells of an error, or of a login",
            ],
        );
        check_file(
            "[\n {\"id\": \"x\"}\n]\n",
            &[
                "tickoff: DIR/input.csv:1:1: the file is JSON, and no CSV",
                "tickoff: convert it: jq -r '.[] | [.id, .url] | @csv' FILE, with a header above",
            ],
        );
    }

    #[test]
    fn utf_16_without_a_byte_order_mark() {
        let message = "tickoff: DIR/input.csv:1:1: the file is UTF-16: save it as CSV UTF-8";
        let advice = "tickoff: in Excel: Save As, CSV UTF-8; or iconv -f UTF-16 -t UTF-8 FILE > NEW.csv (UTF-16LE if it has no byte order mark)";
        let little: Vec<u8> = SHEET.encode_utf16().flat_map(u16::to_le_bytes).collect();
        let shown = "    P\\u{0}O\\u{0}_\\u{0}N\\u{0}U\\u{0}M\\u{0}B\\u{0}E\\u{0}R\\u{0};\\u{0}S\\u{0}T\\u{0}A…";
        check_file(little, &[message, shown, "    ^", advice]);
        let big: Vec<u8> = SHEET.encode_utf16().flat_map(u16::to_be_bytes).collect();
        let shown = "    \\u{0}P\\u{0}O\\u{0}_\\u{0}N\\u{0}U\\u{0}M\\u{0}B\\u{0}E\\u{0}R\\u{0};\\u{0}S\\u{0}T…";
        check_file(big, &[message, shown, "    ^", advice]);
    }

    #[test]
    fn a_title_or_a_comment_above_the_header() {
        const FIRST: &str = "only blank lines and sep=; may stand above the header";
        for title in ["Orders of November", "# from the ERP"] {
            check_file(
                format!("{title}\n\n{SHEET}"),
                &[
                    &format!(
                        "tickoff: DIR/input.csv:1: no column PO_NUMBER in the header, which has {title}"
                    ),
                    &format!("    {title}"),
                    "    ^",
                    &format!(
                        "tickoff: line 3 has that column: remove what stands above it; {FIRST}"
                    ),
                ],
            );
        }
        check_file(
            "My URLs\nid,url\n1,http://a\n",
            &[
                "tickoff: DIR/input.csv:1: no column PO_NUMBER in the header, which has My URLs",
                "    My URLs",
                "    ^",
                &format!(
                    "tickoff: line 1 has one text and the rows below it have more: if it is a title or a comment, remove what stands above the header; {FIRST}. If it is the header, name the key: --key COLUMN"
                ),
            ],
        );
    }

    #[test]
    fn no_header_at_all() {
        check_file(
            "PO1;Acme;x;y\nPO2;Bolt;x;y\n",
            &[
                "tickoff: DIR/input.csv:1: no column PO_NUMBER in the header, which has PO1, Acme, x, y",
                "    PO1;Acme;x;y",
                "    ^",
                "tickoff: line 1 looks like a row: if there is no header, write one above it, as PO_NUMBER;COLUMN2;COLUMN3;…",
            ],
        );
        check_file(
            "https://a.invalid/1\nhttps://a.invalid/2\n",
            &[
                "tickoff: DIR/input.csv:1: no column PO_NUMBER in the header, which has https://a.invalid/1",
                "    https://a.invalid/1",
                "    ^",
                "tickoff: line 1 looks like a row: if there is no header, write one above it, as PO_NUMBER; or read the list as it is: tickoff run - --output NEW.csv --key COLUMN -- CMD {} <FILE",
            ],
        );
    }
}

mod command_lines {
    use super::*;

    /// A command line is refused with exit code 2 and in these words, and nothing is touched.
    #[track_caller]
    fn check(line: &[&str], said: &str) {
        const SHEET: &str = "PO_NUMBER;STATUS\nP1;\n";
        let sheet = TempSheet::new(SHEET);
        let ended = end(crate::command_line::tickoff()
            .args(line)
            .current_dir(sheet.folder()))
        .with(2);
        let says = ended.stderr.split("\n\n");
        let says: Vec<&str> = says.filter(|part| !part.starts_with("For more")).collect();
        assert_eq!(says.join("\n"), said);
        assert_eq!(sheet.text(), SHEET);
        assert_eq!(sheet.leftovers(), [""; 0]);
    }

    #[test]
    fn a_command_without_the_dashes_before_it() {
        check(
            &["run", "input.csv", "-j", "2", "curl", "-fsS", "{}"],
            "error: unexpected argument 'curl' found\n  tip: the command goes behind --: tickoff run input.csv -j 2 -- curl -fsS '{}'",
        );
    }

    #[test]
    fn no_command() {
        for line in [&["run", "input.csv"][..], &["run", "input.csv", "--"]] {
            check(
                line,
                "error: the following required arguments were not provided:\n  <CMD ARGS>...\n  tip: the command to run for each row goes behind --, with {} for its key: tickoff run input.csv -- CMD {}",
            );
        }
    }

    #[test]
    fn a_file_in_the_place_of_what_to_do() {
        check(
            &["input.csv", "--", "true"],
            "error: unrecognized subcommand 'input.csv'\n  tip: that is a file, and the command comes first: tickoff run input.csv -- true",
        );
        check(
            &["input.csv"],
            "error: unrecognized subcommand 'input.csv'\n  tip: that is a file, and the command comes first: tickoff run input.csv -- CMD {} runs CMD for each row, tickoff status input.csv tells how far it is",
        );
    }

    #[test]
    fn two_files() {
        check(
            &["status", "other.csv", "input.csv"],
            "error: unexpected argument 'input.csv' found\n  tip: tickoff status takes one FILE, and this is another one",
        );
    }

    #[test]
    fn resume_and_continue() {
        for option in ["--resume", "--continue"] {
            check(
                &["run", "input.csv", option, "--", "true"],
                "error: unexpected argument '--resume' found\n  tip: a run always goes on with the rows that are not done: leave that option away\nUsage: tickoff run [OPTIONS] <FILE> -- <CMD ARGS>...",
            );
        }
    }

    #[test]
    fn a_dash_that_is_no_hyphen() {
        for (typed, meant) in [("–j", "-j"), ("—jobs", "--jobs"), ("—", "--")] {
            check(
                &["run", "input.csv", typed, "8", "true"],
                &format!(
                    "error: unexpected argument '{typed}' found\n  tip: that is a dash, as word processors write it, and no hyphen: type {meant}"
                ),
            );
        }
    }

    #[test]
    fn a_mistyped_option_is_not_proposed_as_a_part_of_the_command() {
        check(
            &["run", "input.csv", "--timout", "5s", "--", "true"],
            "error: unexpected argument '--timout' found\n  tip: a similar argument exists: '--timeout'\nUsage: tickoff run --timeout <DURATION> <FILE> -- <CMD ARGS>...",
        );
    }

    #[test]
    fn retries_as_others_call_them() {
        for line in [&["--retry", "3"][..], &["--retry=3"]] {
            let line = [&["run", "input.csv"], line, &["--", "true"]].concat();
            check(
                &line,
                "error: unexpected argument '--retry' found\n  tip: a similar argument exists: '--retries'\nUsage: tickoff run [OPTIONS] <FILE> -- <CMD ARGS>...",
            );
        }
    }

    #[test]
    fn numbers_that_are_none_or_too_large() {
        for jobs in ["0", "eight", "-1", "1.5", "1000000", "99999999999999999999"] {
            check(
                &["run", "input.csv", "-j", jobs, "--", "true"],
                &format!(
                    "error: invalid value '{jobs}' for '--jobs <N>': it must be a whole number from 1 to 10000"
                ),
            );
        }
        check(
            &["run", "input.csv", "--retries", "-1", "--", "true"],
            "error: invalid value '-1' for '--retries <N>': it must be a whole number, 0 or more",
        );
        check(
            &["run", "input.csv", "--limit", "0", "--", "true"],
            "error: invalid value '0' for '--limit <N>': it must be a whole number, 1 or more",
        );
    }

    #[test]
    fn nothing_was_chosen_or_is_to_be_decided() {
        check(
            &["recover", "input.csv"],
            "error: the following required arguments were not provided:\n  <--apply|--discard>\n  tip: --apply writes what the journal holds to the sheet, --discard gives it up and keeps it in a copy; tickoff check FILE tells whether there is anything to decide",
        );
        let sheet = TempSheet::new("PO_NUMBER;STATUS\nP1;\n");
        let ended = end(sheet.tickoff("recover").arg("--apply")).with(0);
        assert_eq!(
            ended.stdout,
            "nothing is to be decided: the sheet has all results\n"
        );
    }
}

mod names {
    use super::*;

    const SHEET: &str = "PO_NUMBER;SUPPLIER;STATUS\nPO1;Acme;\nPO2;Bolt;\n";

    /// A command ends with this code and these words, and nothing is touched.
    #[track_caller]
    fn check(sheet: &TempSheet, line: &[&str], code: i32, said: &str) {
        let mut command = crate::command_line::tickoff();
        let ended = end(command.args(line).current_dir(sheet.folder())).with(code);
        assert_eq!(sheet.without_folder(&ended.stderr), said);
        assert_eq!(sheet.text(), SHEET);
    }

    const MISSING: &str = "No such file or directory (os error 2)\n";

    #[test]
    fn a_file_in_a_folder_that_is_not_there() {
        let sheet = TempSheet::new(SHEET);
        let said = format!(
            "tickoff: cannot find the folder my out: {MISSING}tickoff: make it: mkdir -p 'my out'\n"
        );
        for line in [
            &["run", "input.csv", "--output", "my out/c.csv", "--", "true"][..],
            &[
                "run",
                "input.csv",
                "--joblog",
                "my out/jobs.log",
                "--",
                "true",
            ],
            &[
                "run",
                "input.csv",
                "--events",
                "my out/events",
                "--",
                "true",
            ],
            &["report", "input.csv", "--html", "my out/r.html"],
        ] {
            check(&sheet, line, 3, &said);
        }
        assert!(!sheet.folder().join("my out").exists());
    }

    #[test]
    fn a_folder_in_the_place_of_a_file() {
        let sheet = TempSheet::new(SHEET);
        std::fs::create_dir(sheet.folder().join("d")).unwrap();
        let said =
            "tickoff: DIR/d is not a regular file\ntickoff: that is a folder: name the CSV in it\n";
        check(&sheet, &["status", "d"], 3, said);
        let output = ["run", "input.csv", "--output", "d", "--", "true"];
        check(&sheet, &output, 3, said);
    }

    #[test]
    fn a_file_in_the_place_of_a_folder() {
        let sheet = TempSheet::new(SHEET);
        std::fs::write(sheet.folder().join("s.csv"), "theirs").unwrap();
        let results = ["run", "input.csv", "--results", "s.csv", "--", "true"];
        let said = "tickoff: s.csv is there already and is no folder: name another one\n";
        check(&sheet, &results, 3, said);
        let said = "tickoff: DIR/s.csv is there already and is no folder: name another folder with --backup-dir\n";
        let backups = ["run", "input.csv", "--backup-dir", "s.csv", "--", "true"];
        check(&sheet, &backups, 3, said);
        let listed = ["backup", "list", "input.csv", "--backup-dir", "s.csv"];
        check(&sheet, &listed, 3, said);
        assert_eq!(bytes(&sheet.folder().join("s.csv")), b"theirs");
    }

    #[test]
    fn one_file_for_two_records() {
        let sheet = TempSheet::new(SHEET);
        for (joblog, events) in [("x", "x"), ("x", "./x"), ("DIR/x", "x")] {
            let joblog = joblog.replace("DIR", sheet.folder().to_str().unwrap());
            let line = ["run", "input.csv", "--joblog", &joblog, "--events", events];
            let line = [&line[..], &["--", "true"]].concat();
            let said = format!(
                "tickoff: {events} cannot be --joblog and --events at once: name another file for one of them\n"
            );
            check(&sheet, &line, 2, &said);
            assert!(!sheet.folder().join("x").exists());
        }
    }

    #[test]
    fn a_file_that_is_called_otherwise() {
        let sheet = TempSheet::new(SHEET);
        let check = |name: &str, advice: &str| {
            let said = format!("tickoff: cannot open {name}: {MISSING}tickoff: {advice}\n");
            check(&sheet, &["status", name], 3, &said);
        };
        check("imput.csv", "did you mean input.csv?");
        check(
            "-",
            "- is the standard input, from which only run reads jobs: name the CSV",
        );
        check(
            "~/input.csv",
            "a shell replaces ~ by your folder outside of quotes alone: leave them away",
        );
        std::os::unix::fs::symlink("gone.csv", sheet.folder().join("link.csv")).unwrap();
        check("link.csv", "that is a link to gone.csv, which is not there");
        let said = format!(
            "tickoff: cannot open C:\\a\\in.csv: {MISSING}tickoff: folders are separated by / here; in WSL, C:\\ is /mnt/c/\n"
        );
        super::names::check(&sheet, &["status", "C:\\a\\in.csv"], 3, &said);
    }

    #[test]
    fn what_comes_through_a_pipe() {
        let sheet = TempSheet::new(SHEET);
        let mut command = crate::command_line::tickoff();
        command
            .args(["status", "/dev/stdin"])
            .stdin(std::process::Stdio::piped());
        let ended = end(&mut command).with(3);
        assert_eq!(
            ended.stderr,
            "tickoff: /dev/stdin is not a regular file\ntickoff: name the CSV itself; what comes through a pipe has to be saved to a file first\n"
        );
        // A file that stdin is, is a file.
        let file = std::fs::File::open(sheet.path()).unwrap();
        end(crate::command_line::tickoff()
            .args(["status", "/dev/stdin"])
            .stdin(file))
        .with(0);
    }

    #[test]
    fn several_keys_in_one() {
        let sheet = TempSheet::new(SHEET);
        for only in ["PO1,PO2", "PO1 PO2", "PO1; PO2"] {
            check(
                &sheet,
                &["run", "input.csv", "--only", only, "--", "true"],
                1,
                &format!(
                    "tickoff: no row has the key {only}: did you mean PO1 or PO2?\ntickoff: name each key by itself, as in run --only PO1 --only PO2\n"
                ),
            );
        }
        let said = "tickoff: no row has the key PO1,Zebra\n";
        check(&sheet, &["get", "input.csv", "PO1,Zebra"], 1, said);
    }

    #[test]
    fn a_key_of_a_megabyte_fills_no_screen() {
        let key = "k".repeat(1_000_000);
        let sheet = TempSheet::new(format!("PO_NUMBER;STATUS\n{key};\nP2;\n"));
        let ended = end(&mut sheet.run("", "true")).with(1);
        assert!(ended.stderr.len() < 2_000, "{} bytes", ended.stderr.len());
        assert_eq!(sheet.counts()["completed"], 1);
        let long = "x".repeat(100_000);
        let ended = end(sheet.tickoff("get").arg(&long)).with(1);
        assert!(ended.stderr.len() < 400, "{} bytes", ended.stderr.len());
    }

    #[test]
    fn a_cell_as_a_shell_would_write_it() {
        let sheet = TempSheet::new(SHEET);
        for (typed, placeholder) in [
            ("$SUPPLIER", "{SUPPLIER}"),
            ("${supplier}", "{SUPPLIER}"),
            ("{{PO_NUMBER}}", "{PO_NUMBER}"),
        ] {
            let command = ["--dry-run", "--", "echo", typed];
            end(sheet.tickoff("run").args(command)).with(0);
            let ended = end(sheet.tickoff("run").args(["--force", "--", "echo", typed])).with(0);
            let says = format!(
                "the command gets {typed} as it is, since no shell looks at it: {placeholder} is the cell"
            );
            assert!(ended.stderr.contains(&says), "{ended:?}");
        }
        let command = [
            "--force",
            "--",
            "sh",
            "-c",
            "STATUS=x; echo $STATUS",
            "$HOME",
        ];
        let ended = end(sheet.tickoff("run").args(command)).with(0);
        assert!(!ended.stderr.contains("as it is"), "{ended:?}");
    }
}
