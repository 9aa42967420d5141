//! Values that a spreadsheet would run as a formula when it opens the sheet (CSV injection, CWE-1236).

use std::sync::{Mutex, PoisonError};

use clap::ValueEnum;
use tickoff::{Sheet, Updates, escape, escape_name, same_column};

use crate::exit::{Exit, Failure};

/// What to do about such a value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Formulas {
    /// Write it and report it.
    Warn,
    /// Refuse the update; of a job's result, keep the value beside the backups instead of writing it.
    Reject,
}

/// What was found in an update, as a message.
#[derive(Debug, PartialEq, Eq)]
pub enum Finding {
    /// To be reported; the update goes ahead.
    Warning(String),
    /// The update is to be refused.
    Refusal(String),
}

/// How the results of jobs are judged. Of a column the first value is told at once, and the others are counted: a
/// thousand rows that are alike need no thousand lines.
#[derive(Debug)]
pub struct Judge {
    formulas: Formulas,
    found: Mutex<Vec<Found>>,
}

/// What was found in a column.
#[derive(Debug)]
struct Found {
    column: String,
    results: usize,
    first: String,
}

/// What is counted of columns behind so many.
const MAX_COLUMNS: usize = 64;
const OTHER_COLUMNS: &str = "other columns";

impl Judge {
    pub fn new(formulas: Formulas) -> Judge {
        Judge {
            formulas,
            found: Mutex::default(),
        }
    }

    /// Looks at the values of a job's result before it is submitted, and at the names of columns that it may
    /// add, which are not known: what is to be written of it, and what is to be said.
    pub fn result(
        &self,
        po: &str,
        result: Updates,
        is_known: impl Fn(&str) -> bool,
    ) -> (Updates, Vec<String>) {
        let is_name = |column: &str| is_formula(column.trim()) && !is_known(column);
        let would_run = |column: &str, value: &str| is_formula(value) || is_name(column);
        let columns = result.iter();
        let columns = columns.filter(|(column, value)| would_run(column, value));
        let new: Vec<String> = columns
            .filter(|(column, _)| self.is_new(po, column.trim()))
            .map(|(column, _)| column.to_owned())
            .collect();
        let said = new.iter().map(|column| message(po, column));
        match self.formulas {
            Formulas::Warn => {
                let said = said.collect();
                (result, said)
            }
            Formulas::Reject => {
                let said = said.map(|said| format!("{said}: it goes to ….unplaced.csv"));
                let said = said.collect();
                // A status that is none makes an error of its row by itself.
                let written = result.set_aside(|column, value| {
                    is_name(column) || is_formula(value) && !is_status(column)
                });
                (written, said)
            }
        }
    }

    /// What is to be said when there are no more results.
    pub fn counted(&self) -> Vec<String> {
        let found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let found = found.iter().filter(|found| found.results > 1);
        let counted = found.map(|Found { column, results, first }| {
            format!(
                "{results} results have a value in {} that would run as a formula in a spreadsheet, the first is that of {}",
                shown(column),
                escape_name(first)
            )
        });
        counted.collect()
    }

    /// Counts it.
    fn is_new(&self, po: &str, column: &str) -> bool {
        let mut found = self.found.lock().unwrap_or_else(PoisonError::into_inner);
        let column = match found.iter().any(|found| same_column(&found.column, column)) {
            false if found.len() >= MAX_COLUMNS => OTHER_COLUMNS,
            _ => column,
        };
        match found
            .iter_mut()
            .find(|found| same_column(&found.column, column))
        {
            Some(found) => {
                found.results += 1;
                false
            }
            None => {
                found.push(Found {
                    column: column.to_owned(),
                    results: 1,
                    first: po.to_owned(),
                });
                column != OTHER_COLUMNS
            }
        }
    }
}

fn message(po: &str, column: &str) -> String {
    format!(
        "{}: {} would run as a formula in a spreadsheet",
        escape_name(po),
        shown(column)
    )
}

/// So much of a column's name is shown: a job may print anything as one.
fn shown(column: &str) -> String {
    const MOST_CHARS: usize = 100;
    match column.char_indices().nth(MOST_CHARS) {
        Some((end, _)) => format!("{}…", escape(&column[..end])),
        None => escape(column),
    }
}

impl Formulas {
    /// Looks at the keys of jobs before a sheet is made of them.
    pub fn judge_keys(self, jobs: &Sheet) -> Result<(), Failure> {
        let mut found = jobs.pending_pos().filter(|key| is_formula(key));
        let Some(first) = found.next() else {
            return Ok(());
        };
        let message = format!(
            "{} of the jobs would run as a formula in a spreadsheet, the first is {}",
            found.count() + 1,
            escape_name(&first)
        );
        match self {
            Formulas::Warn => tracing::warn!("{message}"),
            Formulas::Reject => return Err(Failure::Other(Exit::BadSheet, message)),
        }
        Ok(())
    }

    /// Looks at the values of an update before it is submitted.
    pub fn judge(self, po: &str, updates: &Updates) -> Option<Finding> {
        let (column, _) = updates.iter().find(|(_, value)| is_formula(value))?;
        let message = message(po, column);
        Some(match self {
            Formulas::Warn => Finding::Warning(message),
            Formulas::Reject => Finding::Refusal(message),
        })
    }
}

fn is_status(column: &str) -> bool {
    column.trim().eq_ignore_ascii_case("STATUS")
}

/// As OWASP lists the beginnings of formulas, in full width too; but a signed number and a lone sign are harmless.
fn is_formula(value: &str) -> bool {
    let mut characters = value.chars();
    match characters.next() {
        Some('=' | '@' | '\t' | '\r' | '＝' | '＠') => true,
        Some('+' | '-' | '＋' | '－') => {
            !characters.all(|c| matches!(c, '0'..='9' | '０'..='９' | '.' | ',' | '．' | '，'))
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn of_a_column_s_name_of_many_pages_the_beginning_is_shown() {
        let long = message("P1", &"=é".repeat(2000));
        let want = format!(
            "P1: {}… would run as a formula in a spreadsheet",
            "=é".repeat(50)
        );
        assert_eq!(long, want);
        assert_eq!(shown("=é"), "=é");
    }

    #[test]
    fn formulas_are_recognised_and_numbers_are_not() {
        for formula in [
            "=1+1",
            "@SUM(A1)",
            "+cmd|' /C calc'!A0",
            "-2+3",
            "\t=1",
            "\r=1",
            "＝1+1",
            "＠SUM(A1)",
            "＋cmd",
            "－2+3",
        ] {
            assert!(is_formula(formula), "{formula:?}");
        }
        for plain in [
            "",
            "a=b",
            "-",
            "-5",
            "+1,234.50",
            "1-2",
            "PO@example",
            "－５",
            "ａ＝b",
        ] {
            assert!(!is_formula(plain), "{plain:?}");
        }
    }

    #[test]
    fn a_formula_is_reported_or_refused() {
        let updates = Updates::from([("SUPPLIER", "Acme"), ("Note", "=1+1")]);
        let message = || "P1: Note would run as a formula in a spreadsheet".to_owned();
        assert_eq!(
            Formulas::Warn.judge("P1", &updates),
            Some(Finding::Warning(message()))
        );
        assert_eq!(
            Formulas::Reject.judge("P1", &updates),
            Some(Finding::Refusal(message()))
        );
        assert_eq!(Formulas::Reject.judge("P1", &Updates::new()), None);
    }

    #[track_caller]
    fn check_result(
        formulas: Formulas,
        result: &[(&str, &str)],
        is_known: bool,
        written: &[(&str, &str)],
        said: usize,
    ) {
        let result = Updates::from_iter(result.iter().copied());
        let judge = Judge::new(formulas);
        let (left, messages) = judge.result("P1", result, |_| is_known);
        assert_eq!(left.iter().collect::<Vec<_>>(), written);
        assert_eq!(messages.len(), said, "{messages:?}");
        if formulas == Formulas::Reject {
            let place = ": it goes to ….unplaced.csv";
            assert!(messages.iter().all(|message| message.ends_with(place)));
        }
    }

    #[test]
    fn a_name_that_would_become_a_columns_is_looked_at_as_well() {
        let result = [("=1+1", "x"), ("A", "1")];
        check_result(Formulas::Reject, &result, true, &result, 0);
        check_result(Formulas::Warn, &result, false, &result, 1);
        check_result(Formulas::Reject, &result, false, &[("A", "1")], 1);
    }

    #[test]
    fn of_a_result_that_is_rejected_the_rest_is_written() {
        let result = [("STATUS", "=1"), ("A", "1"), ("B", "=1"), ("C", "@x")];
        check_result(Formulas::Warn, &result, true, &result, 3);
        check_result(
            Formulas::Reject,
            &result,
            true,
            &[("STATUS", "=1"), ("A", "1")],
            3,
        );
    }

    #[test]
    fn the_first_value_of_a_column_is_told_and_the_others_are_counted() {
        let judge = Judge::new(Formulas::Warn);
        let of = |po: &str, column: &str| {
            judge
                .result(po, Updates::from([(column, "=1")]), |_| true)
                .1
        };
        assert_eq!(
            of("P1", "note"),
            ["P1: note would run as a formula in a spreadsheet"]
        );
        assert!(of("P2", " Note").is_empty());
        assert_eq!(of("P2", "B").len(), 1);
        assert_eq!(
            judge.counted(),
            [
                "2 results have a value in note that would run as a formula in a spreadsheet, the first is that of P1"
            ]
        );
        for column in 0..100 {
            of("P3", &format!("c{column}"));
        }
        let counted = judge.counted();
        assert!(
            counted[1].starts_with("38 results have a value in other columns"),
            "{counted:?}"
        );
    }
}
