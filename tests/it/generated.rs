//! What is generated from the arguments: completions for a shell, manual pages, and the version with
//! its commit. No command is named here: they are those of the help.

use std::collections::BTreeSet;
use std::io::Write;
use std::path::Path;
use std::process::{Command, Stdio};

use crate::command_line::{Ended, end, tickoff};

/// Every command, as `backup create`, as the help lists them.
fn commands() -> Vec<String> {
    let mut found = Vec::new();
    for command in listed("") {
        let below = listed(&command);
        found.push(command.clone());
        found.extend(below.into_iter().map(|sub| format!("{command} {sub}")));
    }
    assert!(
        found.contains(&"run".to_owned()) && found.contains(&"backup create".to_owned()),
        "{found:?}"
    );
    found
}

fn listed(command: &str) -> Vec<String> {
    let help = end(tickoff().args(command.split_whitespace()).arg("-h")).with(0);
    let lines = help.stdout.lines();
    lines
        .skip_while(|line| *line != "Commands:")
        .skip(1)
        .take_while(|line| !line.is_empty())
        .filter_map(|line| line.strip_prefix("  ")?.split(' ').next())
        .filter(|name| !name.is_empty() && *name != "help")
        .map(str::to_owned)
        .collect()
}

/// The long options of a command, as its help lists them.
fn options(command: &str) -> BTreeSet<String> {
    let help = end(tickoff().args(command.split_whitespace()).arg("-h")).with(0);
    let words = help.stdout.split(|c: char| c.is_whitespace() || c == ',');
    words
        .filter(|word| word.starts_with("--") && word.len() > 2)
        .map(|word| {
            word.trim_end_matches(|c: char| !c.is_alphanumeric())
                .to_owned()
        })
        .filter(|word| !word.is_empty() && word != "-")
        .collect()
}

/// Runs a program of the system on a text; `None`, said loudly, if it is not there.
fn piped(program: &str, arguments: &[&str], text: &str) -> Option<Ended> {
    let child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn();
    let Ok(mut child) = child else {
        eprintln!("SKIPPED: there is no {program} here");
        return None;
    };
    let mut stdin = child.stdin.take().unwrap();
    stdin.write_all(text.as_bytes()).unwrap();
    drop(stdin);
    let output = child.wait_with_output().unwrap();
    Some(Ended {
        code: output.status.code().unwrap(),
        stdout: String::from_utf8(output.stdout).unwrap(),
        stderr: String::from_utf8(output.stderr).unwrap(),
    })
}

mod completions {
    use super::*;

    fn script(shell: &str) -> String {
        let ended = end(tickoff().args(["completions", shell])).with(0);
        assert_eq!(ended.stderr, "");
        ended.stdout
    }

    #[test]
    fn they_name_every_command_and_option_for_every_shell() {
        for shell in ["bash", "zsh", "fish", "elvish", "powershell"] {
            let script = script(shell);
            for command in commands() {
                let name = command.split(' ').next_back().unwrap();
                assert!(script.contains(name), "{shell}: {command}");
            }
            for option in options("run") {
                // fish writes them without dashes.
                let name = option.trim_start_matches('-');
                assert!(script.contains(name), "{shell}: {option}");
            }
        }
    }

    #[test]
    fn bash_understands_them() {
        let Some(ended) = piped("bash", &["-n"], &script("bash")) else {
            return;
        };
        assert_eq!(ended.with(0).stderr, "");
    }

    /// What bash offers after `tickoff {words}`, the last of which is begun.
    fn offered(words: &str) -> Option<Vec<String>> {
        let words: Vec<&str> = words.split(' ').collect();
        let (last, line) = (words.len(), words.join(" "));
        let asked = format!(
            "{}\nCOMP_WORDS=(tickoff {line}{})\nCOMP_CWORD={last}\n_tickoff tickoff '{}' '{}'\nprintf '%s\\n' \"${{COMPREPLY[@]}}\"\n",
            script("bash"),
            if line.ends_with(' ') { "''" } else { "" },
            words[last - 1],
            if last > 1 { words[last - 2] } else { "tickoff" },
        );
        let ended = piped("bash", &["-s"], &asked)?.with(0);
        Some(ended.stdout.lines().map(str::to_owned).collect())
    }

    #[test]
    fn bash_offers_commands_options_and_values() {
        let Some(found) = offered("sta") else { return };
        assert_eq!(found, ["status"]);
        assert_eq!(offered("run --time").unwrap(), ["--timeout"]);
        assert_eq!(offered("backup re").unwrap(), ["restore"]);
        assert_eq!(offered("run --formulas ").unwrap(), ["warn", "reject"]);
    }
}

mod manual {
    use super::*;

    #[test]
    fn the_page_of_the_program_names_every_command() {
        let ended = end(tickoff().arg("man")).with(0);
        assert!(ended.stdout.contains(".TH tickoff 1"), "{}", ended.stdout);
        for command in listed("") {
            assert!(
                ended.stdout.contains(&format!("tickoff\\-{command}(1)")),
                "{command}"
            );
        }
    }

    #[test]
    fn every_command_has_a_page_with_all_its_options() {
        let folder = tempfile::tempdir().unwrap();
        let pages = folder.path().join("share/man1");
        let ended = end(tickoff().arg("man").arg(&pages)).with(0);
        let mut wanted: BTreeSet<String> = commands()
            .iter()
            .map(|command| format!("tickoff-{}.1", command.replace(' ', "-")))
            .collect();
        wanted.insert("tickoff.1".to_owned());
        let found: BTreeSet<String> = std::fs::read_dir(&pages)
            .unwrap()
            .map(|entry| entry.unwrap().file_name().into_string().unwrap())
            .collect();
        assert_eq!(found, wanted);
        let said: BTreeSet<&Path> = ended.stdout.lines().map(Path::new).collect();
        assert!(said.iter().all(|path| path.is_file()), "{said:?}");
        assert_eq!(said.len(), wanted.len());
        for command in commands() {
            let page = pages.join(format!("tickoff-{}.1", command.replace(' ', "-")));
            let page = std::fs::read_to_string(page).unwrap();
            for option in options(&command) {
                let option = option.replace('-', "\\-");
                assert!(page.contains(&option), "{command}: {option}");
            }
        }
        // Once more, over the same.
        end(tickoff().arg("man").arg(&pages)).with(0);
    }

    #[test]
    fn a_page_renders_without_a_complaint_and_keeps_the_lines_of_its_examples() {
        for command in ["", "run", "check"] {
            let folder = tempfile::tempdir().unwrap();
            end(tickoff().arg("man").arg(folder.path())).with(0);
            let dash = if command.is_empty() { "" } else { "-" };
            let page = folder.path().join(format!("tickoff{dash}{command}.1"));
            let rendered = Command::new("man")
                .args(["--warnings", "-E", "utf8", "-P", "cat", "-l"])
                .arg(&page)
                .env("MANWIDTH", "80")
                .output();
            let Ok(rendered) = rendered else {
                eprintln!("SKIPPED: there is no man here");
                return;
            };
            let text = String::from_utf8(rendered.stdout).unwrap();
            if text.contains("minimized") {
                eprintln!("SKIPPED: man is only a stand-in here");
                return;
            }
            assert_eq!(String::from_utf8(rendered.stderr).unwrap(), "");
            assert!(rendered.status.success());
            let help = end(tickoff().args(command.split_whitespace()).arg("--help")).with(0);
            let examples = help.stdout.split("\nExamples:\n").nth(1).unwrap();
            // The help wraps them; neither stretches them.
            for line in examples.lines().take_while(|line| !line.is_empty()) {
                assert!(
                    text.lines().any(|rendered| rendered.contains(line.trim())),
                    "{line:?} is not a line of {text}"
                );
            }
        }
    }

    #[test]
    fn a_file_of_the_user_s_own_is_not_replaced_by_a_page() {
        let folder = tempfile::tempdir().unwrap();
        let path = |name: &str| folder.path().join(name);
        let older = end(tickoff().arg("man")).with(0).stdout;
        let older = older.replace(env!("CARGO_PKG_VERSION"), "0.0.9");
        std::fs::write(path("tickoff.1"), older).unwrap();
        end(tickoff().arg("man").arg(folder.path())).with(0);
        std::fs::remove_file(path("tickoff.1")).unwrap();
        std::fs::write(path("tickoff-run.1"), "mine").unwrap();
        let refused = end(tickoff().arg("man").arg(folder.path())).with(2);
        assert_eq!(
            refused.stderr,
            format!(
                "tickoff: {} is there already and is no page of tickoff's: name another folder for the pages\n",
                path("tickoff-run.1").display()
            )
        );
        assert_eq!(std::fs::read(path("tickoff-run.1")).unwrap(), b"mine");
        assert!(!path("tickoff.1").exists(), "none is written");
    }

    #[test]
    fn a_folder_that_cannot_be_made_is_said() {
        let file = tempfile::NamedTempFile::new().unwrap();
        let folder = file.path().join("man1");
        let ended = end(tickoff().arg("man").arg(&folder)).with(3);
        assert_eq!(
            ended.stderr,
            format!(
                "tickoff: cannot write {}: Not a directory (os error 20)\n",
                folder.display()
            )
        );
    }
}

mod version {
    use super::*;

    #[test]
    fn it_is_that_of_the_package_and_the_commit_where_there_is_one() {
        let git = Command::new("git")
            .args(["rev-parse", "HEAD"])
            .current_dir(env!("CARGO_MANIFEST_DIR"))
            .env_remove("GIT_DIR")
            .output();
        let is_checkout = Path::new(env!("CARGO_MANIFEST_DIR")).join(".git").exists();
        let commit = git
            .ok()
            .filter(|git| is_checkout && git.status.success())
            .map(|git| String::from_utf8(git.stdout).unwrap());
        for flag in ["-V", "--version"] {
            let ended = end(tickoff().arg(flag)).with(0);
            let said = ended.stdout.strip_prefix("tickoff ").unwrap().trim_end();
            let (version, built_from) = match said.split_once(" (") {
                Some((version, hash)) => (version, hash.strip_suffix(')')),
                None => (said, None),
            };
            assert_eq!(version, env!("CARGO_PKG_VERSION"));
            match &commit {
                Some(commit) => assert_eq!(built_from, Some(&commit[..9])),
                // From a package it has the commit that the package notes.
                None => assert!(built_from.is_none_or(|hash| hash.len() == 9), "{said}"),
            }
        }
    }
}
