//! What a newcomer reads, the pages and the help, fits the program: every option has an example there, the
//! program takes each of them, and a row's key is called so, whatever the jobs are.

use std::collections::BTreeSet;
use std::path::Path;

use clap::{Command, CommandFactory, Parser};

use super::Args;

/// A command line from a page or a help.
struct Example {
    line: String,
    /// From `tickoff` on, without what a shell keeps for itself.
    words: Vec<String>,
}

impl Example {
    /// The command lines of a help: its lines that call `tickoff`, also behind a prompt or a pipe.
    fn all_in_help(text: &str) -> Vec<Example> {
        text.lines().filter_map(Example::of).collect()
    }

    /// Those of a page, which are in its blocks of code.
    fn all_in_page(text: &str) -> Vec<Example> {
        let blocks = text.split("\n```").skip(1).step_by(2);
        blocks.flat_map(Example::all_in_help).collect()
    }

    fn of(line: &str) -> Option<Example> {
        let line = line.trim().trim_start_matches("$ ");
        let words = shlex::split(line)?;
        let begins = |at: &usize| *at == 0 || ["|", "watch"].contains(&words[*at - 1].as_str());
        let starts: Vec<usize> = (0..words.len())
            .filter(|at| words[*at] == "tickoff")
            .collect();
        let start = starts.into_iter().find(begins)?;
        let is_shell = |word: &&String| !word.starts_with(['<', '>', '|', '&']);
        Some(Example {
            line: line.to_owned(),
            words: words[start..]
                .iter()
                .take_while(is_shell)
                .cloned()
                .collect(),
        })
    }

    fn command(&self) -> &str {
        self.words.get(1).map_or("", |word| word)
    }

    /// The options before the command that is to be run.
    fn options(&self) -> impl Iterator<Item = &str> {
        let own = self.words.iter().take_while(|word| *word != "--");
        own.map(|word| word.split('=').next().unwrap())
            .filter(|word| word.starts_with('-'))
    }
}

/// The texts of README.md and docs/.
fn pages() -> Vec<String> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let pages = std::fs::read_dir(root.join("docs")).unwrap();
    pages
        .map(|page| page.unwrap().path())
        .chain([root.join("README.md")])
        .map(|page| std::fs::read_to_string(page).unwrap())
        .collect()
}

/// The examples in them.
fn of_the_pages() -> Vec<Example> {
    let pages = pages();
    pages
        .iter()
        .flat_map(|page| Example::all_in_page(page))
        .collect()
}

fn help_of(command: &Command) -> String {
    command.clone().render_long_help().to_string()
}

/// The commands, as `backup create`, with their definitions.
fn commands() -> Vec<(String, Command)> {
    let mut program = Args::command();
    program.build();
    let mut found = Vec::new();
    for command in program.get_subcommands() {
        match command.has_subcommands() {
            false => found.push((command.get_name().to_owned(), command.clone())),
            true => found.extend(command.get_subcommands().map(|below| {
                let name = format!("{} {}", command.get_name(), below.get_name());
                (name, below.clone())
            })),
        }
    }
    found.retain(|(name, _)| name != "help" && !name.ends_with(" help"));
    found
}

/// How an option can be written.
fn spellings(option: &clap::Arg) -> Vec<String> {
    let long = option.get_long().map(|long| format!("--{long}"));
    let short = option.get_short().map(|short| format!("-{short}"));
    long.into_iter().chain(short).collect()
}

/// The options of a command that none of these examples has.
fn without_example(command: &Command, examples: &[&Example]) -> Vec<String> {
    let shown: BTreeSet<&str> = examples.iter().flat_map(|one| one.options()).collect();
    let options = command
        .get_arguments()
        .filter(|arg| !arg.is_positional() && !arg.is_hide_set());
    options
        .map(spellings)
        .filter(|spelt| !spelt.contains(&"--help".to_owned()))
        .filter(|spelt| !spelt.iter().any(|name| shown.contains(name.as_str())))
        .map(|spelt| spelt.join(", "))
        .collect()
}

#[test]
fn every_option_of_run_init_and_pending_has_an_example_of_theirs_in_the_pages() {
    let pages = of_the_pages();
    for (name, command) in commands() {
        if ["run", "init", "pending"].contains(&name.as_str()) {
            let theirs: Vec<&Example> = pages.iter().filter(|one| one.command() == name).collect();
            let missing = without_example(&command, &theirs);
            assert!(missing.is_empty(), "{name}: {}", missing.join("; "));
        }
    }
}

#[test]
fn every_option_has_an_example_in_the_pages_or_the_help() {
    let mut examples = of_the_pages();
    for (_, command) in commands() {
        examples.extend(Example::all_in_help(&help_of(&command)));
    }
    let all: Vec<&Example> = examples.iter().collect();
    for (name, command) in commands() {
        let missing = without_example(&command, &all);
        assert!(missing.is_empty(), "{name}: {}", missing.join("; "));
    }
}

#[test]
fn the_program_takes_every_example() {
    let pages = of_the_pages();
    assert!(pages.len() > 30, "{}", pages.len());
    for example in pages {
        let taken = Args::try_parse_from(&example.words);
        if let Err(error) = taken {
            panic!("{}: {error}", example.line);
        }
    }
}

#[test]
fn no_page_and_no_help_calls_a_key_po() {
    let helps = commands().into_iter().map(|(_, command)| help_of(&command));
    let program = help_of(&Args::command());
    for text in pages().into_iter().chain(helps).chain([program]) {
        let mut words = text.split(|c: char| !c.is_alphanumeric() && c != '_');
        let found = words.find(|word| ["PO", "POs"].contains(word));
        assert_eq!(found, None, "{text}");
    }
}
