//! `tickoff man`: the help as manual pages.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
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
///
/// A page of tickoff's that is there is replaced, of any version; any other file is not, and then none is written.
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
    let written = write_all(&program, folder)?;
    print(|out| {
        written
            .iter()
            .try_for_each(|path| writeln!(out, "{}", escape(&path.to_string_lossy())))
    })?;
    Ok(Exit::Done)
}

fn write_all(program: &clap::Command, folder: &Path) -> Result<Vec<PathBuf>, Failure> {
    let failed = |path: &Path, error: io::Error| {
        let path = escape(&path.to_string_lossy());
        Failure::Other(Exit::BadSheet, format!("cannot write {path}: {error}"))
    };
    std::fs::create_dir_all(folder).map_err(|error| failed(folder, error))?;
    let mut pages = Vec::new();
    for command in with_subcommands(program) {
        let path = folder.join(Man::new(command.clone()).get_filename());
        let page = page(command).expect("a Vec takes everything");
        if !may_replace(&path, &page).map_err(|error| failed(&path, error))? {
            let path = escape(&path.to_string_lossy());
            let problem = format!(
                "{path} is there already and is no page of tickoff's: name another folder for the pages"
            );
            return Err(Failure::Other(Exit::Usage, problem));
        }
        pages.push((path, page));
    }
    for (path, page) in &pages {
        std::fs::write(path, page).map_err(|error| failed(path, error))?;
    }
    Ok(pages.into_iter().map(|(path, _)| path).collect())
}

/// Whether a page may have this name: nothing else has it, or a page that is the same up to the version.
fn may_replace(path: &Path, page: &[u8]) -> io::Result<bool> {
    let mark =
        &page[..memchr::memmem::find(page, SOURCE).expect("it is in the title") + SOURCE.len()];
    let mut beginning = Vec::new();
    match File::open(path) {
        Ok(file) if file.metadata()?.is_file() => {
            file.take(mark.len() as u64).read_to_end(&mut beginning)?;
            Ok(beginning.is_empty() || beginning == mark)
        }
        Ok(_) => Ok(false),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(true),
        Err(error) => Err(error),
    }
}

/// How a page's title says what it is of, before the version.
const SOURCE: &[u8] = b"\"tickoff ";

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
