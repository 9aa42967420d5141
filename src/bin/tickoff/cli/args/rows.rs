//! Which rows of a sheet a command is about, by what stands in them.

use std::str::FromStr;

use tickoff::{Condition, Error, ProcessingStatus, Selection, Settings};

use crate::exit::Failure;

/// What must be so in a row.
#[derive(Debug, clap::Args)]
pub struct ConditionArgs {
    /// Only rows in which the cell of COLUMN is VALUE, or one of several that are separated by commas,
    /// apart from blanks around it; if repeated, all must hold. An empty STATUS is PENDING. != is not,
    /// ~ and !~ a regular expression, < <= > >= compare numbers, and texts if one is none
    #[arg(
        long = "where",
        value_name = "COLUMN=VALUE",
        help_heading = "What to process"
    )]
    conditions: Vec<Condition>,
}

impl ConditionArgs {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty()
    }

    /// The selection with these conditions.
    pub fn put_into(&self, selection: Selection) -> Selection {
        let conditions = self.conditions.iter().cloned();
        conditions.fold(selection, Selection::matching)
    }
}

/// Of a selection that the sheet has no column for: a slip on the command line.
pub fn slip(error: Error) -> Failure {
    match error {
        Error::UnknownColumn { .. } | Error::StageNotBegun { .. } => Failure::Slip(error),
        error => error.into(),
    }
}

/// Which words of STATUS mean what.
#[derive(Debug, clap::Args)]
pub struct WordArgs {
    /// Words of STATUS that count as done, separated by commas; COMPLETED always does
    /// [default: those of tickoff.toml, or COMPLETED]
    #[arg(long, value_name = "WORDS", value_delimiter = ',', value_parser = Settings::done_word,
        help_heading = WORDS)]
    done: Option<Vec<ProcessingStatus>>,

    #[command(flatten)]
    failed: FailedArgs,

    /// Words of STATUS that say that a row is still to be processed, separated by commas; a row with a
    /// word that nobody knows is left alone [default: those of tickoff.toml]
    #[arg(long, value_name = "WORDS", value_delimiter = ',', value_parser = Settings::todo_word,
        help_heading = WORDS)]
    todo: Option<Vec<ProcessingStatus>>,
}

/// Which words of STATUS are failures.
#[derive(Debug, clap::Args)]
pub struct FailedArgs {
    /// Words of STATUS that count as failures, separated by commas; ERROR, FAILED, PARTIAL and
    /// PO_NOT_FOUND always do [default: those of tickoff.toml]
    #[arg(long, value_name = "WORDS", value_delimiter = ',', value_parser = Settings::failed_word,
        help_heading = WORDS)]
    failed: Option<Vec<ProcessingStatus>>,
}

const WORDS: &str = "What STATUS means";

impl WordArgs {
    /// These settings with what was said of words.
    pub fn put_into(&self, settings: Settings) -> Settings {
        self.failed.put_into(Settings {
            done: self.done.clone(),
            todo: self.todo.clone(),
            ..settings
        })
    }
}

impl FailedArgs {
    /// These settings with what was said of failures.
    pub fn put_into(&self, settings: Settings) -> Settings {
        Settings {
            failed: self.failed.clone(),
            ..settings
        }
    }
}

/// `COLUMN=VALUE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// All before the first `=`.
    pub column: String,
    /// All after it.
    pub value: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((column, value)) if !column.trim().is_empty() => Ok(Assignment {
                column: column.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err(
                "it must be a column's name, =, and the new value; a key of several columns is one word before it: 'A1;2'"
                    .into(),
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use tickoff::Options;

    use super::*;
    use crate::cli::args::merged;
    use crate::cli::tests::{check_refused, parse_run};
    use crate::exit::Exit;
    use crate::exit::Failure;

    fn options(line: &str) -> Result<Options, Failure> {
        let typed = parse_run(line).words.put_into(Settings::default());
        merged(typed, Settings::default())
    }

    #[test]
    fn done_widens_and_never_drops_completed() {
        let done = |line| options(line).unwrap().done;
        use ProcessingStatus::*;
        assert_eq!(
            done("tickoff run in.csv --done completed,no_attachments -- x"),
            [Completed, NoAttachments]
        );
        assert_eq!(
            done("tickoff run in.csv --done NO_ATTACHMENTS,Shipped -- x"),
            [NoAttachments, Other("Shipped".into()), Completed]
        );
        check_refused("tickoff run in.csv --done PENDING -- x", "never done");
        check_refused("tickoff run in.csv --done COMPLETED, -- x", "never done");
    }

    #[test]
    fn words_are_declared_and_do_not_contradict_each_other() {
        let other = |word: &str| ProcessingStatus::Other(word.into());
        let declared =
            options("tickoff run in.csv --failed lost,error --todo open,new -- x").unwrap();
        assert_eq!(declared.failed, [other("lost"), ProcessingStatus::Error]);
        assert_eq!(declared.todo, [other("open"), other("new")]);
        check_refused(
            "tickoff run in.csv --failed completed -- x",
            "are no failures",
        );
        check_refused("tickoff run in.csv --todo a,,b -- x", "name a word");
        for line in [
            "tickoff run in.csv --todo a,OPEN --done open -- x",
            "tickoff run in.csv --todo completed -- x",
        ] {
            let refused = options(line).unwrap_err();
            assert_eq!(refused.exit(), Exit::Usage);
            assert!(
                refused
                    .to_string()
                    .contains("cannot be done and to be done")
            );
        }
    }

    #[test]
    fn a_word_that_contradicts_what_is_remembered_is_refused_and_a_list_replaces_it() {
        let other = |word: &str| ProcessingStatus::Other(word.into());
        let kept = || Settings {
            done: Some(vec![other("shipped")]),
            failed: Some(vec![other("lost")]),
            ..Settings::default()
        };
        let options = |line| merged(parse_run(line).words.put_into(Settings::default()), kept());
        let refused = options("tickoff run in.csv --todo Shipped -- x").unwrap_err();
        assert_eq!(refused.exit(), Exit::Usage);
        assert!(
            refused.to_string().ends_with(
                "tickoff.toml says one of the two, and --done or --todo replaces its list"
            )
        );
        let options = options("tickoff run in.csv --todo Shipped --done COMPLETED -- x").unwrap();
        assert_eq!(options.done, [ProcessingStatus::Completed]);
        assert_eq!(options.todo, [other("Shipped")]);
        assert_eq!(options.failed, [other("lost")]);
    }

    #[test]
    fn a_cell_is_split_at_the_first_equals_sign() {
        let assignment = |text: &str| {
            text.parse::<Assignment>()
                .map(|cell| (cell.column, cell.value))
        };
        assert_eq!(
            assignment("COUPA_URL=https://x/?a=b"),
            Ok(("COUPA_URL".into(), "https://x/?a=b".into()))
        );
        assert_eq!(assignment("STATUS="), Ok(("STATUS".into(), String::new())));
        check_refused(
            "tickoff set in.csv P1 STATUS",
            "a column's name, =, and the new value",
        );
        check_refused(
            "tickoff set in.csv P1 =x",
            "a column's name, =, and the new value",
        );
        check_refused("tickoff set in.csv P1", "required arguments");
    }
}
