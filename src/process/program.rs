//! Whether the program of a command can be started, and why it cannot.
//!
//! A program that cannot be started fails every row alike, so that is no result of a row: it is looked for
//! before anything is handed out, and where it shows only later, when a job is started, it ends the run.

use std::ffi::{OsStr, OsString};
use std::fs::File;
use std::io::{self, Read};
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use memchr::memchr;
use tracing::error;

use crate::process::placeholder::{Piece, Word};
use crate::process::script::{as_script, shown};
use crate::run::{Outcome, Stop};
use crate::sys::program::check_executable;
use crate::text::Escaped;

/// Where programs are looked for without a PATH, as in the C library.
const DEFAULT_PATH: &str = "/bin:/usr/bin";
/// Enough for the line with which a script begins: Linux reads 256 bytes.
const HEAD_BYTES: u64 = 4096;

/// Why no command can be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CannotRun {
    /// There is no such program.
    #[error("{} is not found{}", Escaped::path(Path::new(.0)), on_the_path(.0))]
    NotFound(OsString),
    /// There is one, and it may not be executed.
    #[error("{} cannot be executed: it is a folder, or lacks the permission (chmod +x)", Escaped::path(Path::new(.0)))]
    NotExecutable(OsString),
    /// There is no such program, because the whole command is one word.
    #[error(
        "{} is one word with a blank in it, and no program is called so: type the command without the quotes around it, as in -- {typed}",
        Escaped::path(Path::new(word))
    )]
    OneWord {
        /// The word.
        word: OsString,
        /// The command as it is to be typed.
        typed: String,
    },
    /// It is a script whose interpreter cannot be started.
    #[error(
        "the first line of {} names a program that cannot be started: {reason}",
        Escaped::path(Path::new(script))
    )]
    Interpreter {
        /// The script.
        script: OsString,
        /// What is wrong with its interpreter.
        reason: Box<CannotRun>,
    },
    /// It is a script whose first line ends as on Windows, so that its interpreter is not found.
    #[error(
        "the first line of {path} ends with a carriage return, which is taken for a part of the program's name: save the script with line ends of Unix (sed -i 's/\\r$//' {path})",
        path = shown(std::slice::from_ref(.0))
    )]
    CarriageReturn(OsString),
    /// It is a script that does not say which program reads it.
    #[error("{} cannot be executed: a script needs a first line like #!/bin/sh", Escaped::path(Path::new(.0)))]
    NoInterpreter(OsString),
    /// The system refused to start it, though all seems to be there.
    #[error("{} cannot be started: {error}", Escaped::path(Path::new(program)))]
    Refused {
        /// The program.
        program: OsString,
        /// What the system says.
        error: String,
        /// As [`exit_code`](CannotRun::exit_code) has it.
        exit_code: u8,
    },
    /// There is no place for what commands leave behind or say.
    #[error("{what} cannot be made in {}: {error}", Escaped::path(folder))]
    NoPlace {
        /// What was to be made.
        what: &'static str,
        /// Where.
        folder: PathBuf,
        /// What the system says.
        error: String,
    },
}

impl CannotRun {
    /// The code with which shells exit then: 127 or 126.
    pub fn exit_code(&self) -> u8 {
        match self {
            CannotRun::NotFound(_) | CannotRun::OneWord { .. } | CannotRun::CarriageReturn(_) => {
                127
            }
            CannotRun::NotExecutable(_)
            | CannotRun::NoInterpreter(_)
            | CannotRun::NoPlace { .. } => 126,
            CannotRun::Interpreter { reason, .. } => reason.exit_code(),
            CannotRun::Refused { exit_code, .. } => *exit_code,
        }
    }
}

/// The end of the message about a program that was looked for on the PATH, and perhaps lies here.
fn on_the_path(program: &OsStr) -> String {
    let here = Path::new(program);
    if program.is_empty() || program.as_bytes().contains(&b'/') {
        String::new()
    } else if here.is_file() {
        format!(" on the PATH: did you mean ./{}?", Escaped::path(here))
    } else {
        " on the PATH".to_owned()
    }
}

/// Fails unless the program can be started, as far as that can be seen. One whose name comes from a
/// placeholder is taken on trust, unless that is a whole command in quotes.
pub(super) fn resolve(command: &[Word]) -> Result<(), CannotRun> {
    let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
    let program = &command[0];
    let found = program
        .as_literal()
        .map(|literal| (literal, find(literal, &path)));
    match found {
        Some((literal, Ok(found))) => check_first_line(literal, &found, &path),
        None | Some((_, Err(CannotRun::NotFound(_)))) if is_in_quotes(program, &path) => {
            Err(one_word(command))
        }
        Some((_, Err(error))) => Err(error),
        None => Ok(()),
    }
}

/// Why a program could not be started, for which the system says this.
pub(super) fn why_not(command: &[Word], error: &io::Error) -> CannotRun {
    resolve(command)
        .err()
        .unwrap_or_else(|| CannotRun::Refused {
            program: command[0].typed(),
            error: error.to_string(),
            exit_code: exit_code(error).unwrap_or(126),
        })
}

/// The code with which a shell exits if the system says this of a program, whatever it is to work on;
/// `None` for what is due to the row: its arguments.
pub(super) fn exit_code(error: &io::Error) -> Option<u8> {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => Some(127),
        io::ErrorKind::ArgumentListTooLong | io::ErrorKind::InvalidInput => None,
        _ => Some(126),
    }
}

/// Why nothing more can be started in a run, once that is so.
#[derive(Debug, Default)]
pub(super) struct Broken(OnceLock<CannotRun>);

impl Broken {
    /// Ends the run: running jobs finish, and rows without a result keep their state.
    pub(super) fn end_run(&self, reason: CannotRun, stop: &Stop) -> Outcome {
        if self.0.set(reason.clone()).is_ok() {
            error!("{reason}: the run ends, and rows without a result keep their state");
        }
        stop.soon();
        Outcome::Stopped
    }

    pub(super) fn reason(&self) -> Option<&CannotRun> {
        self.0.get()
    }
}

/// Looks for a program as `execvp` does: a refusal in one folder does not end the search.
fn find(program: &OsStr, path: &OsStr) -> Result<PathBuf, CannotRun> {
    let mut refused = CannotRun::NotFound(program.to_owned());
    let places: Vec<PathBuf> = match program.as_bytes() {
        b"" => vec![],
        name if name.contains(&b'/') => vec![program.into()],
        _ => std::env::split_paths(path)
            .map(|folder| folder.join(program))
            .collect(),
    };
    for place in places {
        match check_executable(&place).map_err(|error| error.kind()) {
            Ok(()) => return Ok(place),
            Err(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(_) => refused = CannotRun::NotExecutable(program.to_owned()),
        }
    }
    Err(refused)
}

/// Looks at the line with which a script names its interpreter. What is no text the system knows.
fn check_first_line(program: &OsStr, found: &Path, path: &OsStr) -> Result<(), CannotRun> {
    let mut head = Vec::new();
    let read = File::open(found).and_then(|file| file.take(HEAD_BYTES).read_to_end(&mut head));
    if read.is_err() {
        return Ok(());
    }
    let Some(line) = head.strip_prefix(b"#!") else {
        return match is_text(&head) {
            true => Err(CannotRun::NoInterpreter(program.to_owned())),
            false => Ok(()),
        };
    };
    let line = &line[..memchr(b'\n', line).unwrap_or(line.len())];
    let is_blank = |byte: &u8| b" \t".contains(byte);
    let line = &line[line.iter().take_while(|byte| is_blank(byte)).count()..];
    let end = line.iter().position(is_blank).unwrap_or(line.len());
    let (interpreter, argument) = line.split_at(end);
    if interpreter.is_empty() {
        return Err(CannotRun::NoInterpreter(program.to_owned()));
    }
    // What env is to look for; not with its options, or in another environment.
    let argument = match Path::new(OsStr::from_bytes(interpreter)).ends_with("env") {
        true => argument.trim_ascii_start(),
        false => b"",
    };
    if interpreter.ends_with(b"\r") || argument.ends_with(b"\r") {
        return Err(CannotRun::CarriageReturn(program.to_owned()));
    }
    let argument = argument.trim_ascii_end();
    let is_simple = !argument.is_empty()
        && !argument.starts_with(b"-")
        && !argument.iter().any(|byte| b" \t=".contains(byte));
    let interpreter = check_executable(Path::new(OsStr::from_bytes(interpreter)))
        .map_err(|error| not_started(interpreter, &error));
    interpreter
        .and_then(|()| match is_simple {
            true => find(OsStr::from_bytes(argument), path).map(drop),
            false => Ok(()),
        })
        .map_err(|reason| CannotRun::Interpreter {
            script: program.to_owned(),
            reason: Box::new(reason),
        })
}

fn not_started(interpreter: &[u8], error: &io::Error) -> CannotRun {
    let interpreter = OsString::from_vec(interpreter.to_vec());
    match exit_code(error) {
        Some(127) => CannotRun::NotFound(interpreter),
        _ => CannotRun::NotExecutable(interpreter),
    }
}

fn is_text(head: &[u8]) -> bool {
    let is_cut = |error: std::str::Utf8Error| error.error_len().is_none();
    !head.contains(&0) && std::str::from_utf8(head).map_or_else(is_cut, |_| true)
}

/// Whether a word that names no program that is there is a whole command: it has a blank, and what stands
/// before that is a program, or at least no path that may have blanks in it.
fn is_in_quotes(program: &Word, path: &OsStr) -> bool {
    let Some(Piece::Literal(start)) = program.pieces().first() else {
        return false;
    };
    let start = start.as_bytes().trim_ascii_start();
    let Some(end) = start.iter().position(u8::is_ascii_whitespace) else {
        return false;
    };
    let first = OsStr::from_bytes(&start[..end]);
    !first.as_bytes().contains(&b'/') || find(first, path).is_ok()
}

fn one_word(command: &[Word]) -> CannotRun {
    const FOR_A_SHELL: &[u8] = b"|&;<>()$`\\\"'*?[#~";
    let (program, arguments) = command.split_first().expect("a command has a program");
    let mut words = vec![OsString::new()];
    let mut is_for_a_shell = false;
    for piece in program.pieces() {
        match piece {
            Piece::Placeholder { text, .. } => {
                words.last_mut().expect("it begins with one").push(text);
            }
            Piece::Literal(text) => {
                let text = text.as_bytes();
                is_for_a_shell |= text.iter().any(|byte| FOR_A_SHELL.contains(byte));
                for (number, part) in text.split(u8::is_ascii_whitespace).enumerate() {
                    if number > 0 {
                        words.push(OsString::new());
                    }
                    let word = words.last_mut().expect("it begins with one");
                    word.push(OsStr::from_bytes(part));
                }
            }
        }
    }
    words.retain(|word| !word.is_empty());
    words.extend(arguments.iter().map(Word::typed));
    CannotRun::OneWord {
        word: program.typed(),
        typed: match is_for_a_shell && arguments.is_empty() {
            true => as_script(program),
            false => shown(&words),
        },
    }
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    fn word(text: &str) -> [Word; 1] {
        [Word::parse(OsStr::new(text), &["SUPPLIER NAME".to_owned()]).unwrap()]
    }

    /// What is said of a program that lies in a folder of its own.
    fn said_of(contents: &str) -> Result<(), (u8, String)> {
        let folder = tempfile::tempdir().unwrap();
        let program = folder.path().join("job");
        fs::write(&program, contents).unwrap();
        fs::set_permissions(&program, Permissions::from_mode(0o755)).unwrap();
        resolve(&[Word::literal(program.as_os_str())]).map_err(|error| {
            let said = error.to_string();
            let folder = folder.path().to_str().unwrap();
            (error.exit_code(), said.replace(folder, "DIR"))
        })
    }

    #[track_caller]
    fn check(program: &str, code: u8, said: &str) {
        let error = resolve(&word(program)).unwrap_err();
        assert_eq!((error.exit_code(), &*error.to_string()), (code, said));
    }

    #[test]
    fn a_program_is_found_as_execvp_finds_it() {
        let folder = tempfile::tempdir().unwrap();
        let [first, second] = ["first", "second"].map(|name| folder.path().join(name));
        for (file, mode) in [
            (first.join("a"), 0o644),
            (first.join("b"), 0o644),
            (second.join("b"), 0o755),
        ] {
            fs::create_dir_all(file.parent().unwrap()).unwrap();
            fs::write(&file, "").unwrap();
            fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        }
        let path = std::env::join_paths([&first, &second]).unwrap();
        let found =
            |program: &Path| find(program.as_os_str(), &path).map_err(|error| error.exit_code());
        assert_eq!(found(Path::new("a")), Err(126));
        assert_eq!(found(Path::new("b")), Ok(second.join("b")));
        assert_eq!(found(Path::new("c")), Err(127));
        assert_eq!(found(Path::new("")), Err(127));
        assert_eq!(found(&second.join("b")), Ok(second.join("b")));
        assert_eq!(found(&second), Err(126));
        assert_eq!(found(&second.join("b/c")), Err(127));
    }

    #[test]
    fn a_program_is_checked_before_anything_starts() {
        for program in ["sh", "/no/{}", "{}", "./my folder/{}", "{} x"] {
            assert_eq!(resolve(&word(program)), Ok(()), "{program}");
        }
        check("./my folder/x", 127, "./my folder/x is not found");
        check("/no/\u{1b}", 127, "/no/\\u{1b} is not found");
        check(
            "/tmp",
            126,
            "/tmp cannot be executed: it is a folder, or lacks the permission (chmod +x)",
        );
    }

    #[test]
    fn a_whole_command_in_quotes_is_shown_as_it_is_to_be_typed() {
        let check = |word: &str, typed: &str| {
            let said = format!(
                "{word} is one word with a blank in it, and no program is called so: type the command without the quotes around it, as in -- {typed}"
            );
            check(word, 127, &said);
        };
        check("echo {}", "echo {}");
        check("echo hello", "echo hello");
        check(
            "/bin/sh  -x a{SUPPLIER NAME} b",
            "/bin/sh -x 'a{SUPPLIER NAME}' b",
        );
        check("nosuch {}", "nosuch {}");
        check("echo {} | tr a b", r#"sh -c 'echo "$1" | tr a b' sh {}"#);
        check("true; false", "sh -c 'true; false'");
        let [first, second] = [word("env A=1"), word("{} x")];
        let error = resolve(&[first, second].concat()).unwrap_err().to_string();
        assert!(error.ends_with("as in -- env 'A=1' '{} x'"), "{error}");
    }

    #[test]
    fn a_script_is_checked_by_its_first_line() {
        for contents in [
            "#!/bin/sh\n",
            "#! /bin/sh -e\r\n",
            "#!/usr/bin/env sh\n",
            "#!/usr/bin/env -S no-such-program\n",
            "#!/bin/sh",
            "\u{7f}ELF\0",
            "MZ\0",
        ] {
            assert_eq!(said_of(contents), Ok(()), "{contents}");
        }
        let names = "the first line of DIR/job names a program that cannot be started";
        let check = |contents: &str, code: u8, said: &str| {
            assert_eq!(said_of(contents), Err((code, said.to_owned())));
        };
        check(
            "#!/usr/bin/pyton -u\n",
            127,
            &format!("{names}: /usr/bin/pyton is not found"),
        );
        check(
            "#!/usr/bin/env no-such-program\n",
            127,
            &format!("{names}: no-such-program is not found on the PATH"),
        );
        check(
            "#!/etc\n",
            126,
            &format!(
                "{names}: /etc cannot be executed: it is a folder, or lacks the permission (chmod +x)"
            ),
        );
        for contents in ["#!/bin/sh\r\n", "#!/usr/bin/env sh\r\n", "#!/bin/sh\r"] {
            check(
                contents,
                127,
                "the first line of DIR/job ends with a carriage return, which is taken for a part of the program's name: save the script with line ends of Unix (sed -i 's/\\r$//' DIR/job)",
            );
        }
        for contents in ["", "echo hello\n", "#!\n", "é"] {
            check(
                contents,
                126,
                "DIR/job cannot be executed: a script needs a first line like #!/bin/sh",
            );
        }
    }

    #[test]
    fn what_the_system_says_later_is_explained_or_told_as_it_is() {
        let refused = io::Error::from_raw_os_error(libc::EACCES);
        let said = |program: &str| why_not(&word(program), &refused).to_string();
        assert_eq!(said("/no/job"), "/no/job is not found");
        assert_eq!(
            said("sh"),
            "sh cannot be started: Permission denied (os error 13)"
        );
    }
}
