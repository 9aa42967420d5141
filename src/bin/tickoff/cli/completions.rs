//! `tickoff completions`: what a shell has to know to complete tickoff's arguments.

use clap::CommandFactory;

use super::args::{Args, CompletionsArgs};
use super::exit::{Exit, Failure};
use super::output::print;

/// Prints the shell's script.
pub fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "tickoff", &mut script);
    print(|out| out.write_all(&script))?;
    Ok(Exit::Done)
}
