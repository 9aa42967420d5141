//! The examples do what they say: a downloader against a server that fails now and then, interrupted,
//! killed, resumed and reported; the same with workers that stay alive; and another program's results.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};

use rustix::process::Signal;

use crate::command_line::{Running, end, program, wait_until};
use crate::fixture::TempSheet;

fn example(name: &str) -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
        .join("tests/examples")
        .join(name)
}

/// Whether the programs are there that the examples take; says so if not.
fn has(programs: &[&str]) -> bool {
    programs.iter().all(|program| {
        let is_there = Command::new(program).arg("--version").output().is_ok();
        if !is_there {
            eprintln!("SKIPPED: this example takes {program}");
        }
        is_there
    })
}

/// The server of the examples; it goes away with this.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(sheet: &TempSheet) -> Server {
        let mut process = Command::new("python3")
            .arg(example("server.py"))
            .args(["0", "asked"])
            .current_dir(sheet.folder())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut address = String::new();
        BufReader::new(process.stdout.take().unwrap())
            .read_line(&mut address)
            .unwrap();
        Server {
            process,
            address: address.trim().to_owned(),
        }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        self.process.kill().ok();
        self.process.wait().ok();
    }
}

/// What the server makes of an order in the end, by its number.
fn due(po: &str) -> &'static str {
    let digits = po.len() - po.trim_end_matches(|c: char| c.is_ascii_digit()).len();
    let number: u64 = po[po.len() - digits..].parse().unwrap();
    match number {
        n if n % 17 == 0 => "ERROR",
        n if n % 7 == 0 => "NO_ATTACHMENTS",
        _ => "COMPLETED",
    }
}

/// How many orders are to end in each state.
fn due_counts(sheet: &TempSheet) -> BTreeMap<&'static str, u64> {
    let mut counts = BTreeMap::new();
    for po in sheet.table().keys() {
        *counts.entry(due(po)).or_default() += 1;
    }
    counts
}

#[track_caller]
fn check_results(sheet: &TempSheet) {
    let table = sheet.table();
    assert_eq!(table.len(), 446);
    for (po, row) in &table {
        assert_eq!(row["STATUS"], due(po), "{po}: {}", row["ERROR_MESSAGE"]);
        let message = &row["ERROR_MESSAGE"];
        assert_eq!(
            message.contains("HTTP 404"),
            due(po) == "ERROR",
            "{po}: {message}"
        );
        let files = sheet.folder().join("files").join(po);
        assert_eq!(
            files.join("terms.pdf").exists(),
            due(po) == "COMPLETED",
            "{po}"
        );
    }
}

#[test]
fn a_download_of_446_orders_survives_a_failing_server_ctrl_c_and_a_kill() {
    if !has(&["python3", "curl"]) {
        return;
    }
    let sheet = TempSheet::sample("orders-446.csv");
    let server = Server::start(&sheet);
    let run = || {
        let mut run = sheet.tickoff("run");
        run.args(["-j", "8", "--backoff", "100ms", "--timeout", "20s"])
            .args([
                "--joblog",
                "log",
                "--done",
                "COMPLETED,NO_ATTACHMENTS",
                "--",
            ])
            .arg(example("fetch.sh"))
            .args([&server.address, "files"]);
        run
    };
    let done = || {
        let status = sheet.status();
        status["completed"].as_u64().unwrap() + status["no_attachments"].as_u64().unwrap()
    };

    let interrupted = Running::start(&mut run());
    wait_until("100 orders are done", || done() >= 100);
    interrupted.signal(Signal::INT);
    interrupted.end().with(130);
    let after_ctrl_c = done();
    assert!(after_ctrl_c < 446);

    let killed = Running::start(&mut run());
    wait_until("100 more orders are done", || done() >= after_ctrl_c + 100);
    killed.kill();
    assert!(done() >= after_ctrl_c + 100);

    end(&mut run()).with(1);
    check_results(&sheet);
    let due = due_counts(&sheet);
    assert_eq!(done(), due["COMPLETED"] + due["NO_ATTACHMENTS"]);

    // No order was fetched again that was done: only the 8 that ran at the kill may have been.
    let mut asked: BTreeMap<String, u64> = BTreeMap::new();
    for po in sheet.lines("asked") {
        *asked.entry(po).or_default() += 1;
    }
    let again = asked.iter().filter(|(po, times)| {
        let number: u64 = po
            .trim_start_matches(|c: char| !c.is_ascii_digit())
            .parse()
            .unwrap();
        let fails_once = [13, 11, 19].iter().any(|n| number.is_multiple_of(*n));
        !number.is_multiple_of(17) && **times > 1 + u64::from(fails_once)
    });
    assert!(again.count() <= 8, "{asked:?}");

    let mut report = sheet.tickoff("report");
    report.args([
        "--html",
        "report.html",
        "--xlsx",
        "report.xlsx",
        "--joblog",
        "log",
    ]);
    end(&mut report).with(0);
    let page = fs::read_to_string(sheet.folder().join("report.html")).unwrap();
    assert!(page.contains("HTTP 404"));
    assert!(
        fs::metadata(sheet.folder().join("report.xlsx"))
            .unwrap()
            .len()
            > 0
    );
}

#[test]
fn workers_that_keep_their_connection_download_the_same() {
    if !has(&["python3"]) {
        return;
    }
    let sheet = TempSheet::sample("orders-446.csv");
    let server = Server::start(&sheet);
    let mut run = sheet.tickoff("run");
    run.args([
        "--worker-protocol",
        "jsonl",
        "-j",
        "8",
        "--backoff",
        "100ms",
        "--",
    ])
    .arg(example("fetch_worker.py"))
    .args([&server.address, "files"]);
    end(&mut run).with(1);
    check_results(&sheet);
}

#[test]
fn another_programs_results_are_applied_and_acknowledged() {
    if !has(&["python3"]) {
        return;
    }
    let sheet = TempSheet::sample("orders-446.csv");
    let mut results = Command::new("python3");
    results
        .arg(example("results.py"))
        .arg(program())
        .arg(sheet.path());
    let ended = end(&mut results).with(0);
    assert_eq!(ended.stdout, "446 of 446 results are durable\n");
    assert_eq!(sheet.status()["completed"], 446);
}

/// The script that docs/running.md shows by this name, made in the sheet's folder.
fn script_of_the_docs(sheet: &TempSheet, name: &str) {
    let docs = include_str!("../../docs/running.md");
    let (_, script) = docs.split_once(&format!("$ cat {name}\n")).unwrap();
    let ends = ["\n$ ", "\n```"].map(|end| script.find(end).unwrap());
    let path = sheet.folder().join(name);
    fs::write(&path, &script[..=ends[0].min(ends[1])]).unwrap();
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap();
}

#[test]
fn the_rename_of_the_docs_renames_once_and_takes_nothing_for_done_that_it_did_not_do() {
    let sheet = TempSheet::new(
        "PO_NUMBER;new\na.jpg;x.jpg\nb.jpg;x.jpg\nc.jpg;x.jpg\nd.jpg;y.jpg\ne.jpg;e.jpg\n",
    );
    script_of_the_docs(&sheet, "rename.sh");
    for name in ["a.jpg", "c.jpg", "d.jpg", "e.jpg"] {
        fs::write(sheet.folder().join(name), name).unwrap();
    }
    let run = || {
        let words = ["-j1", "--", "./rename.sh", "{PO_NUMBER}", "{new}"];
        end(sheet.tickoff("run").args(words)).with(1);
    };
    run();
    for (key, status, says) in [
        ("a.jpg", "COMPLETED", ""),
        ("b.jpg", "ERROR", "exit 1: b.jpg is not there"),
        ("c.jpg", "ERROR", "exit 1: x.jpg is there already"),
        ("d.jpg", "COMPLETED", ""),
        ("e.jpg", "ERROR", "exit 1: e.jpg is there already"),
    ] {
        assert_eq!(sheet.cell(key, "STATUS"), status, "{key}");
        assert_eq!(sheet.cell(key, "ERROR_MESSAGE"), says, "{key}");
    }
    for (name, text) in [("x.jpg", "a.jpg"), ("c.jpg", "c.jpg"), ("e.jpg", "e.jpg")] {
        assert_eq!(fs::read_to_string(sheet.folder().join(name)).unwrap(), text);
    }
    // As after a kill between the rename and its record.
    end(sheet.tickoff("set").args(["d.jpg", "STATUS=PENDING"])).with(0);
    run();
    assert_eq!(sheet.cell("d.jpg", "STATUS"), "ERROR");
    assert!(sheet.folder().join("y.jpg").exists());
}

#[test]
fn the_title_of_the_docs_is_the_first_in_whatever_lines_it_stands_and_none_is_said() {
    if !has(&["curl"]) {
        return;
    }
    let sheet = TempSheet::new("PO_NUMBER\na\nb\nc\nd\n");
    script_of_the_docs(&sheet, "title.sh");
    for (page, text) in [
        (
            "a",
            "<html><title>One</title><svg><title>icon</title></svg>",
        ),
        ("b", "<head>\n<TITLE lang=en>\n  Spring\n  sale\n</TITLE>\n"),
        ("c", "<html><titles>no</titles><title></title>"),
    ] {
        fs::write(sheet.folder().join(page), text).unwrap();
    }
    let job = "./title.sh \"file://$PWD/$TICKOFF_KEY\"";
    end(&mut sheet.run("--stdout-to title", job)).with(1);
    assert_eq!(sheet.cell("a", "title"), "One");
    assert_eq!(sheet.cell("b", "title").trim(), "Spring sale");
    assert_eq!(sheet.cell("c", "ERROR_MESSAGE"), "exit 1: no title");
    let missing = sheet.cell("d", "ERROR_MESSAGE");
    assert!(missing.contains("curl"), "{missing}");
}
