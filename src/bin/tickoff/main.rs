//! The program `tickoff`: parse the arguments, run the command, leave its exit code.

use std::process::ExitCode;

use clap::Parser;

mod cli;
mod stderr;

fn main() -> ExitCode {
    let args = cli::args::Args::parse();
    cli::run(&args.command).into()
}
