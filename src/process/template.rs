//! The command line for a record, from the user's template.
//!
//! Cells are put into arguments as they are, without a shell, and are never searched for
//! placeholders themselves. A cell that begins with `-` may still look like an option to the command.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::io;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::run::Job;
use crate::sheet::CsvRecord;
use crate::sys::program::check_executable;
use crate::text::{Escaped, shell};

/// Where programs are looked for without a PATH, as in the C library.
const DEFAULT_PATH: &str = "/bin:/usr/bin";

/// A command line with places for the cells of a record.
///
/// `{}` is the PO, and `{NAME}` the cell of the column that is called exactly so in the header;
/// anything else in braces stays as it is. Bytes of a cell that are not UTF-8 become U+FFFD.
#[derive(Debug, Clone)]
pub struct CommandTemplate {
    /// The program and its arguments.
    words: Vec<Word>,
    /// The header of the sheet.
    columns: Vec<String>,
}

impl CommandTemplate {
    /// Finds the placeholders for a sheet with these columns.
    ///
    /// # Panics
    /// If there is no program.
    pub fn parse(argv: &[OsString], columns: &[String]) -> Self {
        assert!(!argv.is_empty(), "a command needs a program");
        let words = argv.iter().map(|word| Word::parse(word, columns)).collect();
        CommandTemplate {
            words,
            columns: columns.to_vec(),
        }
    }

    /// Checks that the program can be started, looking for it where `execvp` would. A program whose
    /// name holds a placeholder is taken on trust.
    ///
    /// # Errors
    /// [`CannotRun`]. Nothing has been started.
    pub fn resolve_program(&self) -> std::result::Result<(), CannotRun> {
        match &self.words[0].0[..] {
            [] => Err(CannotRun::NotFound(OsString::new())),
            [Piece::Literal(program)] => {
                let path = std::env::var_os("PATH").unwrap_or_else(|| DEFAULT_PATH.into());
                find_program(program, &path)
            }
            _ => Ok(()),
        }
    }

    /// The command for a PO as one line that can be pasted into a shell; what a terminal might obey
    /// is escaped in the shell's own way. `None` for a record leaves its cells empty.
    pub fn command_line(&self, po: &str, record: Option<&CsvRecord>) -> String {
        shell::command_line(self.words.iter().map(|word| word.fill(po, record)))
    }

    /// The columns that the sheet had.
    pub(super) fn columns(&self) -> &[String] {
        &self.columns
    }

    /// The command for an attempt, with the environment of this process.
    pub(super) fn command(&self, job: &Job<'_>) -> Command {
        let record = job.record.as_ref();
        let mut words = self.words.iter().map(|word| word.fill(job.po, record));
        let mut command = Command::new(words.next().expect("a template has a program"));
        command.args(words);
        command
    }
}

/// Why no command can be started.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum CannotRun {
    /// There is no such program.
    #[error("{} is not found{}", Escaped::path(Path::new(.0)), on_the_path(.0))]
    NotFound(OsString),
    /// There is one, and it may not be executed.
    #[error("{} cannot be executed: it is a folder, or lacks the permission (chmod +x)", Escaped::path(Path::new(.0)))]
    NotExecutable(OsString),
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

impl CannotRun {
    /// The code with which shells exit then: 127 or 126.
    pub fn exit_code(&self) -> u8 {
        match self {
            CannotRun::NotFound(_) => 127,
            CannotRun::NotExecutable(_) => 126,
        }
    }
}

/// One argument: its pieces in order.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Word(Vec<Piece>);

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(OsString),
    Po,
    Column(String),
}

impl Word {
    fn parse(word: &OsStr, columns: &[String]) -> Word {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = word.as_bytes();
        while let Some(&byte) = rest.first() {
            let Some((piece, length)) = placeholder(rest, columns) else {
                literal.push(byte);
                rest = &rest[1..];
                continue;
            };
            if !literal.is_empty() {
                pieces.push(Piece::Literal(OsString::from_vec(std::mem::take(
                    &mut literal,
                ))));
            }
            pieces.push(piece);
            rest = &rest[length..];
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(OsString::from_vec(literal)));
        }
        Word(pieces)
    }

    fn fill<'a>(&'a self, po: &'a str, record: Option<&'a CsvRecord>) -> Cow<'a, OsStr> {
        match &self.0[..] {
            [piece] => Cow::Borrowed(piece.value(po, record)),
            pieces => {
                let mut word = OsString::new();
                for piece in pieces {
                    word.push(piece.value(po, record));
                }
                Cow::Owned(word)
            }
        }
    }
}

impl Piece {
    /// A cell that the record lacks is empty.
    fn value<'a>(&'a self, po: &'a str, record: Option<&'a CsvRecord>) -> &'a OsStr {
        match self {
            Piece::Literal(text) => text,
            Piece::Po => OsStr::new(po),
            Piece::Column(column) => {
                let cell = record
                    .into_iter()
                    .flat_map(|record| record.cells())
                    .find(|(name, _)| name == column);
                OsStr::new(cell.map_or("", |(_, value)| value))
            }
        }
    }
}

/// The placeholder with which the text begins, and its length in bytes. Column names may hold
/// braces, so the longest that fits is meant.
fn placeholder(text: &[u8], columns: &[String]) -> Option<(Piece, usize)> {
    let inside = text.strip_prefix(b"{")?;
    if inside.starts_with(b"}") {
        return Some((Piece::Po, "{}".len()));
    }
    let fits = |name: &&String| {
        inside
            .strip_prefix(name.as_bytes())
            .is_some_and(|after| after.starts_with(b"}"))
    };
    let name = columns.iter().filter(fits).max_by_key(|name| name.len())?;
    Some((Piece::Column(name.clone()), name.len() + "{}".len()))
}

/// Looks for a program as `execvp` does: a refusal in one folder does not end the search.
fn find_program(program: &OsStr, path: &OsStr) -> std::result::Result<(), CannotRun> {
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
            Ok(()) => return Ok(()),
            Err(io::ErrorKind::NotFound | io::ErrorKind::NotADirectory) => {}
            Err(_) => refused = CannotRun::NotExecutable(program.to_owned()),
        }
    }
    Err(refused)
}

#[cfg(test)]
mod tests {
    use std::fs::{self, Permissions};
    use std::os::unix::fs::PermissionsExt;

    use super::*;
    use crate::process::sample::{check, command, job, template};
    use crate::run::Stop;

    #[track_caller]
    fn check_word(word: &str, want: &str) {
        let stop = Stop::new();
        let template = template(&["true", word]);
        let command = template.command(&job("P1", &stop));
        assert_eq!(command.get_args().collect::<Vec<_>>(), [want]);
    }

    #[test]
    fn placeholders_become_the_po_and_its_cells() {
        check_word("{}", "P1");
        check_word("a{}b{x}c{}", "aP1bXcP1");
        check_word("{PO_NUMBER}", "P1");
        check_word("{Note {x}}", "braces");
        check_word("{x}y}{x}z", "longestXz");
    }

    #[test]
    fn anything_else_in_braces_stays() {
        check_word("{supplier}", "{supplier}");
        check_word("{ x }{x", "{ x }{x");
        check_word("awk {print $1}", "awk {print $1}");
        check_word("{{x}}", "{X}");
        check_word("", "");
    }

    #[test]
    fn a_cell_is_never_expanded_again() {
        check_word("{SUPPLIER}{x}", "{} $HOME; éX");
        let script = r#"[ "$1" = "$(printf '\173\175 %s' '$HOME; é')" ]"#;
        let sees_it_whole = command(&["sh", "-c", script, "sh", "{SUPPLIER}"]);
        check(&sees_it_whole, &[("STATUS", "COMPLETED")]);
    }

    #[test]
    fn arguments_that_are_not_utf_8_are_passed_on() {
        let stop = Stop::new();
        let word = OsString::from_vec(b"\xff{}\xfe".to_vec());
        let template = CommandTemplate::parse(&["true".into(), word], &[]);
        let command = template.command(&job("P1", &stop));
        assert_eq!(command.get_args().next().unwrap().as_bytes(), b"\xffP1\xfe");
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
        let find = |program: &Path| {
            find_program(program.as_os_str(), &path).map_err(|error| error.exit_code())
        };
        assert_eq!(find(Path::new("a")), Err(126));
        assert_eq!(find(Path::new("b")), Ok(()));
        assert_eq!(find(Path::new("c")), Err(127));
        assert_eq!(find(Path::new("")), Err(127));
        assert_eq!(find(&second.join("b")), Ok(()));
        assert_eq!(find(&second), Err(126));
        assert_eq!(find(&second.join("b/c")), Err(127));
    }

    #[test]
    fn a_program_is_checked_before_anything_starts() {
        assert_eq!(template(&["sh", "{}"]).resolve_program(), Ok(()));
        assert_eq!(template(&["/no/{}"]).resolve_program(), Ok(()));
        let missing = template(&["/no/\u{1b}"]).resolve_program().unwrap_err();
        assert_eq!(missing.to_string(), "/no/\\u{1b} is not found");
        assert_eq!(
            template(&["/tmp"])
                .resolve_program()
                .unwrap_err()
                .to_string(),
            "/tmp cannot be executed: it is a folder, or lacks the permission (chmod +x)"
        );
    }
}
