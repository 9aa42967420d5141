//! Which rows of a sheet a command is about, by what stands in them.

use std::str::FromStr;

use tickoff::{ProcessingStatus, Selection, Settings};

/// What must be so in a row.
#[derive(Debug, clap::Args)]
pub struct ConditionArgs {
    /// Only rows in which the cell of COLUMN is VALUE, apart from blanks around it; if repeated, all
    /// must hold. An empty STATUS is PENDING
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = condition, help_heading = "What to process")]
    cells: Vec<Assignment>,
}

impl ConditionArgs {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The selection with these conditions.
    pub fn put_into(&self, selection: Selection) -> Selection {
        let put = |selection: Selection, cell: &Assignment| {
            selection.whose(cell.column.as_str(), cell.value.as_str())
        };
        self.cells.iter().fold(selection, put)
    }
}

/// What counts as done.
#[derive(Debug, clap::Args)]
pub struct DoneArgs {
    /// Statuses that count as done, separated by commas; COMPLETED always does
    /// [default: those of tickoff.toml, or COMPLETED]
    #[arg(long, value_name = "STATUS,…", value_delimiter = ',', value_parser = done_status,
        help_heading = "What to process")]
    done: Option<Vec<ProcessingStatus>>,
}

impl DoneArgs {
    /// These settings with what was said of that.
    pub fn put_into(&self, settings: Settings) -> Settings {
        Settings {
            done: self.done.clone(),
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
            _ => Err("it must be a column's name, =, and the new value".into()),
        }
    }
}

fn condition(text: &str) -> Result<Assignment, String> {
    let wrong = |_| "it must be a column's name, =, and the value that its cell has".to_owned();
    text.parse().map_err(wrong)
}

fn done_status(word: &str) -> Result<ProcessingStatus, String> {
    match ProcessingStatus::parse(word) {
        ProcessingStatus::Pending | ProcessingStatus::Other(_) => {
            Err("only COMPLETED, NO_ATTACHMENTS and ERROR can count as done".into())
        }
        status => Ok(status),
    }
}

#[cfg(test)]
mod tests {
    use tickoff::Options;

    use super::*;
    use crate::cli::tests::{check_refused, parse_run};

    #[test]
    fn done_widens_and_never_drops_completed() {
        let done = |line| {
            let settings = parse_run(line).done.put_into(Settings::default());
            settings.put_into(Options::default()).done
        };
        use ProcessingStatus::*;
        assert_eq!(
            done("tickoff run in.csv --done completed,no_attachments -- x"),
            [Completed, NoAttachments]
        );
        assert_eq!(
            done("tickoff run in.csv --done NO_ATTACHMENTS -- x"),
            [NoAttachments, Completed]
        );
        check_refused(
            "tickoff run in.csv --done PENDING -- x",
            "can count as done",
        );
        check_refused("tickoff run in.csv --done DONE -- x", "can count as done");
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
