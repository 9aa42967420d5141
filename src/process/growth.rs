//! For tests: what comes from a job costs as much to read as it is long. It is read in sizes that double, and its cost
//! may only double. The cost is counted in instructions, which are the same on a busy machine.

use std::process::Command;
use std::thread;

/// With this, a test reads one input of that size, and nothing else.
const SIZE: &str = "TICKOFF_TEST_SIZE";

/// Reads inputs of a size, of twice and of four times that, each in a process of its own. What the second doubling
/// adds is at most three times what the first one did: twice, if the cost is in proportion; four times, if it is
/// quadratic.
#[track_caller]
pub(super) fn check(size: usize, read: impl FnOnce(usize)) {
    if let Ok(size) = std::env::var(SIZE) {
        return read(size.parse().unwrap());
    }
    let mut counts = Vec::new();
    for size in [size, 2 * size, 4 * size] {
        let Some(count) = instructions(size) else {
            return;
        };
        counts.push(count);
    }
    let (first, second) = (counts[1] - counts[0], counts[2] - counts[1]);
    assert!(second <= 3 * first, "{counts:?}");
}

/// How many instructions this test takes with that size; `None`, and said so, where they cannot be counted.
fn instructions(size: usize) -> Option<u64> {
    let test = thread::current().name().unwrap().to_owned();
    let mut counted = Command::new("valgrind");
    counted
        .args(["--tool=cachegrind", "--cache-sim=no"])
        .args(["--cachegrind-out-file=/dev/null", "--"])
        .arg(std::env::current_exe().unwrap())
        .args(["--exact", &test])
        .env(SIZE, size.to_string());
    let Ok(output) = counted.output() else {
        eprintln!("SKIPPED: nothing counts instructions here, which takes valgrind");
        return None;
    };
    assert!(output.status.success(), "{output:?}");
    let log = String::from_utf8_lossy(&output.stderr);
    let refs = log.lines().find_map(|line| line.split_once("refs:"));
    let (_, count) = refs.unwrap_or_else(|| panic!("{log}"));
    Some(count.trim().replace(',', "").parse().unwrap())
}

/// Cells of columns that nobody knows, as an object.
pub(super) fn cells(size: usize) -> String {
    let cells: Vec<_> = (0..size)
        .map(|n| format!("\"column {n}\":\"{n}\""))
        .collect();
    format!("{{{}}}", cells.join(","))
}
