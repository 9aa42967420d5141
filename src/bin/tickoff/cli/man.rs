//! `tickoff man`: the help as manual pages.

use std::io;
use std::path::{Path, PathBuf};

use clap::CommandFactory;
use clap::builder::Resettable;
use clap_mangen::Man;
use clap_mangen::roff::{Roff, roman};
use tickoff::escape;

use super::Args;
use crate::exit::{Exit, Failure};
use crate::stdout::print;

/// Print the manual page, or write one for every command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff man | man -l -
  tickoff man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Write the pages into this folder, and print their paths
    #[arg(value_name = "DIR")]
    folder: Option<PathBuf>,
}

/// Prints the page of the program, or writes that of every command into a folder and prints their
/// paths.
pub fn run(args: &ManArgs) -> Result<Exit, Failure> {
    let mut program = Args::command().disable_help_subcommand(true);
    program.build();
    let Some(folder) = &args.folder else {
        let page = page(program).expect("a Vec takes everything");
        print(|out| out.write_all(&page))?;
        return Ok(Exit::Done);
    };
    let written = write_all(&program, folder).map_err(|(path, error)| {
        let path = escape(&path.to_string_lossy());
        Failure::Other(Exit::BadSheet, format!("cannot write {path}: {error}"))
    })?;
    print(|out| {
        written
            .iter()
            .try_for_each(|path| writeln!(out, "{}", escape(&path.to_string_lossy())))
    })?;
    Ok(Exit::Done)
}

fn write_all(program: &clap::Command, folder: &Path) -> Result<Vec<PathBuf>, (PathBuf, io::Error)> {
    std::fs::create_dir_all(folder).map_err(|error| (folder.to_owned(), error))?;
    let mut written = Vec::new();
    for command in with_subcommands(program) {
        let path = folder.join(Man::new(command.clone()).get_filename());
        page(command)
            .and_then(|page| std::fs::write(&path, page))
            .map_err(|error| (path.clone(), error))?;
        written.push(path);
    }
    Ok(written)
}

/// A command and all below it that are shown.
fn with_subcommands(command: &clap::Command) -> Vec<clap::Command> {
    let below = command.get_subcommands().filter(|sub| !sub.is_hide_set());
    std::iter::once(command.clone())
        .chain(below.flat_map(with_subcommands))
        .collect()
}

fn page(command: clap::Command) -> io::Result<Vec<u8>> {
    let after_help = command.get_after_help().map(ToString::to_string);
    let version = format!("tickoff {}", env!("CARGO_PKG_VERSION"));
    let mut page = Vec::new();
    Man::new(command.after_help(Resettable::Reset))
        .source(version)
        .render(&mut page)?;
    for block in after_help.unwrap_or_default().split("\n\n") {
        section(block).to_writer(&mut page)?;
    }
    Ok(page)
}

/// What follows the options in the help, as a section whose lines stay as they are: nobody can paste
/// an example that was filled and justified.
fn section(block: &str) -> Roff {
    let mut roff = Roff::new();
    let (title, lines) = match block.split_once(":\n") {
        Some((title, lines)) if !title.contains('\n') => (title, lines),
        _ if block.is_empty() => return roff,
        _ => ("Notes", block),
    };
    roff.control("SH", [&*title.to_uppercase()]);
    roff.control("nf", []);
    for line in lines.lines() {
        roff.text([roman(line.strip_prefix("  ").unwrap_or(line))]);
    }
    roff.control("fi", []);
    roff
}
