//! Scripts for a shell, into which no cell is put: the shell would run what the cell says.
//!
//! A script is found where it is given on the command line, after `-c`. Behind a program that runs another
//! (`env`, `nice`) it is found if that is called simply; what else may run a script nobody can know.

use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::Path;

use crate::process::placeholder::{Piece, Word};
use crate::text::shell;

/// Those whose `-c` is followed by a script.
const SHELLS: [&str; 7] = ["sh", "bash", "dash", "ash", "ksh", "zsh", "fish"];
/// Those that run what follows their options.
const WRAPPERS: [&str; 10] = [
    "busybox", "env", "ionice", "nice", "nohup", "setsid", "stdbuf", "sudo", "time", "timeout",
];
/// A longer script is not shown in a message.
const MAX_SHOWN_BYTES: usize = 200;

/// How to write a command whose shell has a placeholder in its script; `None` if it has none.
pub(super) fn safe_form_of(words: &[Word]) -> Option<String> {
    let typed: Vec<OsString> = words.iter().map(Word::typed).collect();
    let shell = shell_in(&typed)?;
    let script = script_of(&typed, shell)?;
    let has_placeholder = |word: &Word| word.as_literal().is_none();
    let until_script = &words[shell + 1..words.len().min(script + 1)];
    if !until_script.iter().any(has_placeholder) {
        return None;
    }
    let name = name_of(&typed[shell]);
    let is_shown = words.get(script).filter(|word| {
        let typed = word.typed();
        let is_line = !typed.as_bytes().contains(&b'\n');
        is_line && typed.len() <= MAX_SHOWN_BYTES && has_placeholder(word)
    });
    let Some(word) = is_shown else {
        return Some(match name == "fish" {
            true => r#"fish -c '… "$argv[1]" …' {}"#.to_owned(),
            false => format!(r#"{} -c '… "$1" …' {0} {{}}"#, name.display()),
        });
    };
    let mut safe = typed[..script].to_vec();
    safe.extend(safe_script(word, name, &typed[script + 1..]));
    Some(shown(&safe))
}

/// What to type instead of a script that stands alone.
pub(super) fn as_script(word: &Word) -> String {
    let [shell, flag] = ["sh", "-c"].map(OsString::from);
    let safe = safe_script(word, &shell, &[]);
    let is_without = matches!(&safe[..], [_, _]);
    let safe = if is_without { &safe[..1] } else { &safe[..] };
    shown(&[&[shell.clone(), flag], safe].concat())
}

/// The words as they may be typed; `{}`, which no shell touches, is not quoted.
pub(super) fn shown(words: &[OsString]) -> String {
    let words = words.iter().map(|word| match word.as_bytes() {
        b"{}" => "{}".to_owned(),
        _ => shell::command_line([word].into_iter()),
    });
    words.collect::<Vec<_>>().join(" ")
}

/// The script with parameters instead of placeholders, what follows it, and the placeholders.
fn safe_script(word: &Word, shell: &OsStr, following: &[OsString]) -> Vec<OsString> {
    let is_fish = shell == "fish";
    let mut following = following.to_vec();
    if following.is_empty() && !is_fish {
        following.push(shell.to_owned());
    }
    // The first word behind a script is its name, but for fish.
    let taken = following.len() - usize::from(!is_fish);
    let mut passed: Vec<OsString> = Vec::new();
    let mut script = Script::default();
    for piece in word.pieces() {
        match piece {
            Piece::Literal(text) => script.push(text.as_bytes()),
            Piece::Placeholder { text, .. } => {
                let known = passed.iter().position(|known| known == text);
                let at = known.unwrap_or_else(|| {
                    passed.push(text.clone());
                    passed.len() - 1
                });
                script.push_parameter(&match taken + at + 1 {
                    number if is_fish => format!("$argv[{number}]"),
                    number @ 10.. => format!("${{{number}}}"),
                    number => format!("${number}"),
                });
            }
        }
    }
    let mut words = vec![OsString::from_vec(script.text)];
    words.extend(following);
    words.extend(passed);
    words
}

/// A script that is being written.
#[derive(Default)]
struct Script {
    text: Vec<u8>,
    /// The quote that is open.
    quote: Option<u8>,
    is_escaped: bool,
    /// A parameter has taken the place of all that stood in single quotes, whose end is still to come.
    is_unquoted: bool,
}

impl Script {
    fn push(&mut self, text: &[u8]) {
        for &byte in text {
            if std::mem::take(&mut self.is_unquoted) {
                if byte == b'\'' {
                    continue;
                }
                self.text.push(b'\'');
                self.quote = Some(b'\'');
            }
            self.text.push(byte);
            if std::mem::take(&mut self.is_escaped) {
                continue;
            }
            match (self.quote, byte) {
                (None | Some(b'"'), b'\\') => self.is_escaped = true,
                (None, b'\'' | b'"') => self.quote = Some(byte),
                (Some(open), _) if open == byte => self.quote = None,
                _ => {}
            }
        }
    }

    fn push_parameter(&mut self, parameter: &str) {
        match self.quote {
            Some(b'"') => return self.text.extend_from_slice(parameter.as_bytes()),
            Some(_) => {
                if self.text.pop_if(|last| *last == b'\'').is_none() {
                    self.text.push(b'\'');
                }
                self.quote = None;
                self.is_unquoted = true;
            }
            None => {}
        }
        self.text.push(b'"');
        self.text.extend_from_slice(parameter.as_bytes());
        self.text.push(b'"');
    }
}

fn name_of(program: &OsStr) -> &OsStr {
    Path::new(program).file_name().unwrap_or(program)
}

/// Where a shell is called.
fn shell_in(words: &[OsString]) -> Option<usize> {
    let mut at = 0;
    loop {
        let name = name_of(words.get(at)?);
        if SHELLS.iter().any(|&shell| name == shell) {
            return Some(at);
        }
        if !WRAPPERS.iter().any(|&wrapper| name == wrapper) {
            return None;
        }
        at += 1;
        // Its options, their numbers and times, and the variables that env sets.
        while let [first, ..] = words.get(at)?.as_bytes()
            && (*first == b'-' || first.is_ascii_digit() || words[at].as_bytes().contains(&b'='))
        {
            at += 1;
        }
    }
}

/// Where the shell's script would be; `None` if it is given none on the command line.
fn script_of(words: &[OsString], shell: usize) -> Option<usize> {
    let mut has_script = false;
    let mut at = shell + 1;
    while let Some(word) = words.get(at) {
        let takes_next = match word.as_bytes() {
            b"--" => {
                at += 1;
                break;
            }
            [b'-', b'-', name @ ..] => {
                has_script |= name.starts_with(b"command");
                matches!(name, b"rcfile" | b"init-file")
            }
            [sign @ (b'-' | b'+'), flags @ ..] if !flags.is_empty() => {
                has_script |= *sign == b'-' && flags.contains(&b'c');
                flags.ends_with(b"o") || flags.ends_with(b"O")
            }
            _ => break,
        };
        at += 1 + usize::from(takes_next);
    }
    has_script.then_some(at)
}

#[cfg(test)]
mod tests {
    use std::process::Command;

    use super::*;

    fn safe_form(words: &[&str]) -> Option<String> {
        let columns = ["SUPPLIER".to_owned()];
        let words: Vec<Word> = words
            .iter()
            .map(|word| Word::parse(OsStr::new(word), &columns).unwrap())
            .collect();
        safe_form_of(&words)
    }

    #[track_caller]
    fn check(words: &[&str], safe: &str) {
        assert_eq!(safe_form(words).as_deref(), Some(safe));
    }

    #[test]
    fn a_script_with_a_placeholder_is_found_and_its_safe_form_shown() {
        check(&["sh", "-c", "echo {}"], r#"sh -c 'echo "$1"' sh {}"#);
        check(
            &["/bin/bash", "-ec", r#"a "{}-{supplier}" {}"#],
            r#"/bin/bash -ec 'a "$1-$2" "$1"' bash {} '{supplier}'"#,
        );
        check(
            &["fish", "-c", "echo {}"],
            r#"fish -c 'echo "$argv[1]"' {}"#,
        );
        check(
            &["sh", "-c", "echo $1 {}", "me", "x"],
            r#"sh -c 'echo $1 "$2"' me x {}"#,
        );
        check(&["sh", "-c", "echo '{}'"], r#"sh -c 'echo "$1"' sh {}"#);
        check(
            &["sh", "-c", &format!("{}{{}}", "x".repeat(MAX_SHOWN_BYTES))],
            r#"sh -c '… "$1" …' sh {}"#,
        );
    }

    #[test]
    fn a_shell_is_found_behind_its_options_and_simple_wrappers() {
        for words in [
            "bash -euo pipefail -c {}",
            "bash --norc -c -x {}",
            "zsh -lc -- {}",
            "env A=b -i sh -c {}",
            "nice -n 10 ksh -c {}",
            "timeout -k 5 10s nohup dash -c {}",
            "busybox ash -c {}",
            "fish --command {}",
            "fish --command=echo{}",
            "fish -cecho{}",
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            assert!(safe_form(&words).is_some(), "{words:?}");
        }
    }

    #[test]
    fn what_is_no_script_may_have_placeholders() {
        for words in [
            "sh -c echo$1 sh {}",
            "sh {} -c x",
            "sh -e {SUPPLIER}",
            "bash -o pipefail {}",
            "python3 -c {}",
            "env A={} ./fetch {}",
            "env",
            "sh -c",
            "{} -c {}",
        ] {
            let words: Vec<&str> = words.split(' ').collect();
            assert_eq!(safe_form(&words), None);
        }
    }

    #[test]
    fn a_shell_reads_the_safe_form_as_the_script_was_meant() {
        for (script, said) in [
            ("printf '<%s>' {} x{}y", "<a 'b\"><xa 'b\"y>"),
            (
                "printf '<%s>' '{}' 'x {}' '{} y'",
                "<a 'b\"><x a 'b\"><a 'b\" y>",
            ),
            ("printf '<%s>' 'x{}''y' '{}{}'", "<xa 'b\"y><a 'b\"a 'b\">"),
            (
                r#"printf '<%s>' "{}" "\"{}'" \'{}"#,
                "<a 'b\"><\"a 'b\"'><'a 'b\">",
            ),
        ] {
            let safe = safe_form(&["sh", "-c", script]).unwrap();
            let run = safe.replace("{}", r#"'a '\''b"'"#);
            let output = Command::new("sh").args(["-c", &run]).output().unwrap();
            assert_eq!(String::from_utf8_lossy(&output.stdout), said, "{safe}");
        }
    }
}
