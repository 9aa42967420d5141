//! Processes with all that they started, and ending them.
//!
//! A process that is killed leaves its children to another parent, and one that runs may start others meanwhile.
//! So all are stopped first: what is stopped starts nothing, and its children can be found.

use std::collections::HashSet;
use std::thread;
use std::time::{Duration, Instant};

use crate::process::poll::until;
use crate::sys::processes::Process;

/// How long it is tried to find what goes on starting processes, and to see the end of what was killed.
const ENDING: Duration = Duration::from_secs(2);
/// How many are held at once; each takes a descriptor.
const HELD: usize = 256;
/// How long a killed process is given before the next look.
const MOMENT: Duration = Duration::from_millis(1);

/// These and all that they started that is still theirs, without what has ended.
pub(super) fn with_descendants(roots: Vec<Process>) -> Vec<Process> {
    let mut seen = HashSet::new();
    let mut found = Vec::new();
    let mut left = roots;
    while let Some(process) = left.pop() {
        if seen.insert(process.identity()) && !process.has_ended() {
            left.extend(process.children());
            found.push(process);
        }
    }
    found
}

/// Kills what is found until nothing is, and what that started; those that are still there after a while. `stop` and
/// `kill` reach what is easier reached together.
pub(super) fn kill_all(
    find: impl Fn() -> Vec<Process>,
    stop: impl Fn(),
    kill: impl Fn(),
) -> Vec<Process> {
    let deadline = Instant::now() + ENDING;
    let mut known = HashSet::new();
    let mut held = Vec::new();
    loop {
        stop();
        let mut found = find();
        found.retain(|process| known.insert(process.identity()));
        found.iter().for_each(Process::stop);
        if found.is_empty() || until(deadline).is_zero() || held.len() > HELD {
            break;
        }
        held.extend(found);
    }
    held.iter().for_each(Process::kill);
    kill();
    loop {
        let found = find();
        found.iter().for_each(Process::kill);
        if found.is_empty() || until(deadline).is_zero() {
            return found;
        }
        thread::sleep(MOMENT);
    }
}
