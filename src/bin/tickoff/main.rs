//! The program `tickoff`: parse the arguments, run the command, leave its exit code.
//!
//! It is a crate of its own and knows the library by its public face alone. Inside it the same holds as
//! in the library: what is listed below uses only what stands above it, and tests/layers.rs sees to that.
//! So the report and the display can be read, tested and moved without a command.

use std::process::ExitCode;

// What the system gives, beyond std.
mod sys;
//
// What is counted in more than one place: errors that are alike, shares.
mod errors;
mod percent;
//
// How the program speaks and ends: the display and the log, exit codes with advice, answers.
mod stderr;
//
mod exit;
//
mod stdout;
//
mod report;
//
// The commands.
mod cli;

// Why: Cargo.toml.
#[cfg(target_env = "musl")]
#[global_allocator]
static ALLOCATOR: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    let command = cli::Command::typed();
    let display = command.display();
    display.take_log();
    sys::survive_file_size_limits();
    let ended = command.run(&display).unwrap_or_else(|failure| {
        failure.report(&display);
        failure.exit()
    });
    display.drain();
    ended.into()
}
