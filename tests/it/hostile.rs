//! Input that somebody made to do harm (C5): text that speaks to a terminal, sheets that eat memory
//! or time, files planted under the names that tickoff uses, and permissions that would let others
//! read what only the sheet's readers may.

mod filesystems;
mod growth;
mod planted;
mod readers;
mod sizes;
mod strangers;
mod terminal;
mod unread;

use std::process::Command;

use crate::command_line::{Ended, Running};

/// Somebody who is not root.
const NOBODY: u32 = 65534;

/// The same command, started through a shell that sets a limit or a mask first.
fn after(setting: &str, program: &Command) -> Command {
    let mut shell = Command::new("sh");
    shell
        .arg("-c")
        .arg(format!("{setting}; exec \"$0\" \"$@\""))
        .arg(program.get_program())
        .args(program.get_args())
        .stdin(std::process::Stdio::null());
    if let Some(folder) = program.get_current_dir() {
        shell.current_dir(folder);
    }
    for (name, value) in program.get_envs() {
        match value {
            Some(value) => shell.env(name, value),
            None => shell.env_remove(name),
        };
    }
    shell
}

/// Runs a command to an end that is neither a panic nor a signal.
#[track_caller]
fn survive(command: &mut Command) -> Ended {
    let ended = Running::start(command).end();
    assert!(
        ended.code >= 0 && ended.code != 101,
        "it panicked or was killed: {}",
        ended.stderr
    );
    ended
}
