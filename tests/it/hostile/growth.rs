//! What comes from elsewhere costs as much as it is long: the readers of settings, journal, session text, header
//! and lines of `apply` are fed with sizes that double, as those of results and of workers' lines are beside them,
//! and its cost may only double. The cost is counted in instructions, which are the same on a busy machine.

use std::fs;
use std::process::{Command, Stdio};

use crate::command_line::tickoff;
use crate::fixture::TempSheet;

const TEXT: &str = "PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE\nP1;;;\n";

/// How many instructions a command takes; `None`, and said so, where they cannot be counted.
fn instructions(sheet: &TempSheet, arguments: &[&str]) -> Option<u64> {
    let program = tickoff();
    let mut counted = Command::new("valgrind");
    counted
        .args([
            "--tool=cachegrind",
            "--cache-sim=no",
            "--cachegrind-out-file=/dev/null",
        ])
        .args(["--log-file=counted", "--"])
        .arg(program.get_program())
        .args(arguments)
        .env_remove("RUST_LOG")
        .current_dir(sheet.folder())
        .stdin(match fs::File::open(sheet.folder().join("lines")) {
            Ok(lines) => lines.into(),
            Err(_) => Stdio::null(),
        });
    let Ok(output) = counted.output() else {
        eprintln!("SKIPPED: nothing counts instructions here, which takes valgrind");
        return None;
    };
    let log = fs::read_to_string(sheet.folder().join("counted")).unwrap();
    let refs = log.lines().find_map(|line| line.split_once("refs:"));
    let (_, count) = refs.unwrap_or_else(|| panic!("{log}: {output:?}"));
    Some(count.trim().replace(',', "").parse().unwrap())
}

/// Runs a command over inputs of a size, of twice and of four times that. What the second doubling adds is at most
/// three times what the first one did: twice, if the cost is in proportion; four times, if it is quadratic.
#[track_caller]
fn check(size: usize, arguments: &[&str], prepare: impl Fn(&TempSheet, usize)) {
    let mut counts = Vec::new();
    for size in [size, 2 * size, 4 * size] {
        let sheet = TempSheet::new(TEXT);
        prepare(&sheet, size);
        let Some(count) = instructions(&sheet, arguments) else {
            return;
        };
        counts.push(count);
    }
    let (first, second) = (counts[1] - counts[0], counts[2] - counts[1]);
    assert!(second <= 3 * first, "{counts:?}");
}

fn write(sheet: &TempSheet, name: &str, text: &str) {
    fs::write(sheet.folder().join(name), text).unwrap();
}

#[test]
fn settings() {
    check(50, &["status", "input.csv"], |sheet, size| {
        let tables: String = (0..size)
            .map(|n| format!("[\"sheet {n}.csv\"]\nkey = \"id\"\ndone = [\"COMPLETED\"]\n"))
            .collect();
        write(sheet, "tickoff.toml", &tables);
    });
}

#[test]
fn the_text_of_a_session() {
    check(20_000, &["status", "input.csv"], |sheet, size| {
        write(
            sheet,
            ".input.csv.session",
            &"{\"pid\":1, ".repeat(size / 10),
        );
    });
}

#[test]
fn a_header() {
    check(500, &["status", "input.csv"], |sheet, size| {
        let columns: String = (0..size).map(|n| format!(";column {n}")).collect();
        write(
            sheet,
            "input.csv",
            &format!("PO_NUMBER;STATUS{columns}\nP1;\n"),
        );
    });
}

#[test]
fn a_journal() {
    check(100, &["status", "input.csv"], |sheet, size| {
        let rows: String = (0..size).map(|n| format!("K{n};;;;\n")).collect();
        let text = format!("PO_NUMBER;STATUS;LAST_PROCESSED;ERROR_MESSAGE;note\n{rows}");
        write(sheet, "input.csv", &text);
        let lines: String = (0..size)
            .map(|n| format!("{{\"po_number\":\"K{n}\",\"updates\":{{\"note\":\"{n}\"}}}}\n"))
            .collect();
        write(sheet, "lines", &lines);
        let mut apply = sheet.tickoff("apply");
        apply.stdin(fs::File::open(sheet.folder().join("lines")).unwrap());
        crate::command_line::end(&mut apply).with(0);
    });
}

/// Cells of columns that nobody knows, as an object.
fn cells(size: usize) -> String {
    let cells: Vec<_> = (0..size)
        .map(|n| format!("\"column {n}\":\"{n}\""))
        .collect();
    format!("{{{}}}", cells.join(","))
}

#[test]
fn a_line_of_apply() {
    check(250, &["apply", "input.csv", "-q"], |sheet, size| {
        let line = format!("{{\"po_number\":\"P1\",\"updates\":{}}}\n", cells(size));
        write(sheet, "lines", &line);
    });
}

#[test]
fn blank_and_refused_lines_of_apply() {
    check(200, &["apply", "input.csv", "-q"], |sheet, size| {
        write(
            sheet,
            "lines",
            &"\n{\"po_number\":\"P9\",\"updates\":{}}\n".repeat(size),
        );
    });
}
