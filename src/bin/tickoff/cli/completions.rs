//! `tickoff completions`: what a shell has to know to complete tickoff's arguments.

use clap::CommandFactory;

use super::Args;
use crate::exit::{Exit, Failure};
use crate::stdout::print;

/// Print a script that makes a shell complete tickoff's arguments
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(tickoff completions bash)
  tickoff completions zsh > ~/.zfunc/_tickoff
  tickoff completions fish > ~/.config/fish/completions/tickoff.fish")]
pub struct CompletionsArgs {
    /// The shell
    shell: clap_complete::Shell,
}

/// Prints the shell's script.
pub fn run(args: &CompletionsArgs) -> Result<Exit, Failure> {
    let mut script = Vec::new();
    clap_complete::generate(args.shell, &mut Args::command(), "tickoff", &mut script);
    print(|out| out.write_all(&script))?;
    Ok(Exit::Done)
}
