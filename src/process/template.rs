//! The command line for a record, from the user's template.
//!
//! Cells are put into arguments as they are, byte for byte, without a shell, and are never searched for
//! placeholders themselves. A cell that begins with `-` may still look like an option to the command.

use std::ffi::OsString;
use std::io;
use std::process::Command;

use crate::domain::Stage;
use crate::domain::columns::same_column;
use crate::process::placeholder::{Misspelt, Word};
use crate::process::program::{self, CannotRun};
use crate::process::script::safe_form_of;
use crate::run::Job;
use crate::sheet::CsvRecord;
use crate::text::shell;

/// The variable that names the stage.
const STAGE: &str = "TICKOFF_STAGE";

/// A command line with places for the cells of a record.
///
/// | placeholder | stands for |
/// |---|---|
/// | `{}` | the row's key |
/// | `{NAME}` | the cell of that column, matched without regard to case or surrounding blanks |
/// | `{#}` | the row's number in the sheet, from 1 |
/// | `{.}`, `{/}`, `{//}`, `{/.}` | the key without its extension, its file name, its folder, its file name without extension |
///
/// A column that is called exactly as one of the last two lines says is meant. A text after `$` or inside
/// a second pair of braces (`${x}`, `{{.Name}}`) stays as it is, and so does any other that is not close to
/// a column.
#[derive(Debug, Clone)]
pub struct CommandTemplate {
    /// The program and its arguments.
    words: Vec<Word>,
}

/// Why a command line is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidTemplate {
    /// A text in braces is most likely a mistyped column.
    #[error(transparent)]
    Misspelt(#[from] Misspelt),
    /// A placeholder stands in a script for a shell, which would run what the cell says.
    #[error(
        "a placeholder may not stand in a shell's script, where the cell would be run as a part of it: pass it behind the script, as in -- {safe}"
    )]
    InScript {
        /// The command as it is to be typed.
        safe: String,
    },
}

impl CommandTemplate {
    /// Finds the placeholders for a sheet with these columns.
    ///
    /// # Errors
    /// [`InvalidTemplate`].
    ///
    /// # Panics
    /// If there is no program.
    pub fn parse(argv: &[OsString], columns: &[String]) -> Result<Self, InvalidTemplate> {
        assert!(!argv.is_empty(), "a command needs a program");
        let words = argv.iter().map(|word| Word::parse(word, columns));
        let words = words.collect::<Result<Vec<_>, _>>()?;
        match safe_form_of(&words) {
            Some(safe) => Err(InvalidTemplate::InScript { safe }),
            None => Ok(CommandTemplate { words }),
        }
    }

    /// A command line without placeholders, whatever it looks like.
    ///
    /// # Panics
    /// If there is no program.
    pub fn literal(argv: &[OsString]) -> Self {
        assert!(!argv.is_empty(), "a command needs a program");
        let words = argv.iter().map(|word| Word::literal(word)).collect();
        CommandTemplate { words }
    }

    /// The arguments that look like a placeholder, and are no column's.
    pub fn left_as_text(&self) -> impl Iterator<Item = &str> {
        let arguments = self.words.iter().skip(1);
        let literal = arguments.filter_map(|word| word.as_literal()?.to_str());
        literal.filter(|text| {
            let name = text
                .strip_prefix('{')
                .and_then(|text| text.strip_suffix('}'));
            name.is_some_and(|name| {
                name.starts_with(char::is_alphabetic)
                    && name
                        .chars()
                        .all(|c| c.is_alphanumeric() || "_- ".contains(c))
            })
        })
    }

    /// The arguments that name a column as a shell or a template language would, and the placeholder for its cell.
    pub fn meant_as_cells(&self, columns: &[String]) -> impl Iterator<Item = (&str, String)> {
        let arguments = self.words.iter().skip(1);
        let literal = arguments.filter_map(|word| word.as_literal()?.to_str());
        literal.filter_map(|text| {
            let in_braces =
                |before: &str, behind: &str| text.strip_prefix(before)?.strip_suffix(behind);
            let name = in_braces("${", "}").or_else(|| in_braces("{{", "}}"));
            let name = name.or_else(|| text.strip_prefix('$'))?;
            let column = columns.iter().find(|column| same_column(column, name))?;
            Some((text, format!("{{{column}}}")))
        })
    }

    /// Checks that the program can be started, looking for it where `execvp` would, and for the
    /// interpreter that its first line names. A program whose name holds a placeholder is taken on trust.
    ///
    /// # Errors
    /// [`CannotRun`]. Nothing has been started.
    pub fn resolve_program(&self) -> Result<(), CannotRun> {
        program::resolve(&self.words)
    }

    /// The command for a row as one line that can be pasted into a shell; what a terminal might obey
    /// is escaped in the shell's own way. `None` for a record leaves its cells empty.
    pub fn command_line(&self, po: &str, record: Option<&CsvRecord>) -> String {
        shell::command_line(self.words.iter().map(|word| word.fill(po, record)))
    }

    /// The command for an attempt, with the environment of this process and the stage.
    pub(super) fn command(&self, job: &Job<'_>, stage: &Stage) -> Command {
        let record = job.record.as_ref();
        let mut words = self.words.iter().map(|word| word.fill(job.po, record));
        let mut command = Command::new(words.next().expect("a template has a program"));
        command.args(words);
        match stage.is_main() {
            true => command.env_remove(STAGE),
            false => command.env(STAGE, stage.name()),
        };
        command
    }

    /// Why no command can be started, if the system says this of one; `None` if that may be due to the row.
    pub(super) fn why_not(&self, error: &io::Error) -> Option<CannotRun> {
        let is_of_the_row =
            self.words[0].as_literal().is_none() || program::exit_code(error).is_none();
        (!is_of_the_row).then(|| program::why_not(&self.words, error))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::process::sample::{check, command};

    #[test]
    fn a_cell_is_never_expanded_again() {
        let script = r#"[ "$1" = "$(printf '\173\175 %s' '$HOME; é')" ]"#;
        let sees_it_whole = command(&["sh", "-c", script, "sh", "{SUPPLIER}"]);
        check(&sees_it_whole, &[("STATUS", "COMPLETED")]);
    }

    #[test]
    fn a_template_that_would_harm_is_not_taken() {
        let parse = |words: &[&str]| {
            let words: Vec<OsString> = words.iter().map(OsString::from).collect();
            CommandTemplate::parse(&words, &["SUPPLIER".to_owned()])
                .map(drop)
                .map_err(|error| error.to_string())
        };
        assert_eq!(
            parse(&["sh", "-c", "echo \"$1\"", "sh", "{supplier}"]),
            Ok(())
        );
        assert_eq!(
            parse(&["fetch", "{SUPLIER}"]),
            Err("{SUPLIER} names no column: did you mean {SUPPLIER}?".to_owned())
        );
        assert_eq!(
            parse(&["sh", "-c", "echo {}"]),
            Err(r#"a placeholder may not stand in a shell's script, where the cell would be run as a part of it: pass it behind the script, as in -- sh -c 'echo "$1"' sh {}"#.to_owned())
        );
    }
}
