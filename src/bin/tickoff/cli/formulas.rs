//! Values that a spreadsheet would run as a formula when it opens the sheet (CSV injection, CWE-1236).

use clap::ValueEnum;
use tickoff::{Sheet, Updates, escape};

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

impl Formulas {
    /// Looks at the values of a job's result before it is submitted, and at the names of columns that it may
    /// add, which are not known: what is to be written of it, and what is to be said.
    pub fn judge_result(
        self,
        po: &str,
        result: Updates,
        is_known: impl Fn(&str) -> bool,
    ) -> (Updates, Option<String>) {
        let is_name = |column: &str| is_formula(column.trim()) && !is_known(column);
        match self.judge_by(po, &result, is_name) {
            None => (result, None),
            Some(Finding::Warning(message)) => (result, Some(message)),
            Some(Finding::Refusal(message)) => (
                // A status that is none makes an error of its row by itself.
                result.set_aside(|column, value| {
                    is_name(column) || is_formula(value) && !is_status(column)
                }),
                Some(format!("{message}: it goes to ….unplaced.csv")),
            ),
        }
    }

    /// Looks at the keys of jobs before a sheet is made of them.
    pub fn judge_keys(self, jobs: &Sheet) -> Result<(), Failure> {
        let mut found = jobs.pending_pos().filter(|key| is_formula(key));
        let Some(first) = found.next() else {
            return Ok(());
        };
        let message = format!(
            "{} of the jobs would run as a formula in a spreadsheet, the first is {}",
            found.count() + 1,
            escape(&first)
        );
        match self {
            Formulas::Warn => tracing::warn!("{message}"),
            Formulas::Reject => return Err(Failure::Other(Exit::BadSheet, message)),
        }
        Ok(())
    }

    /// Looks at the values of an update before it is submitted.
    pub fn judge(self, po: &str, updates: &Updates) -> Option<Finding> {
        self.judge_by(po, updates, |_| false)
    }

    fn judge_by(
        self,
        po: &str,
        updates: &Updates,
        is_name: impl Fn(&str) -> bool,
    ) -> Option<Finding> {
        let (column, _) = updates
            .iter()
            .find(|(column, value)| is_formula(value) || is_name(column))?;
        let message = format!(
            "{}: {} would run as a formula in a spreadsheet",
            escape(po),
            escape(column)
        );
        Some(match self {
            Formulas::Warn => Finding::Warning(message),
            Formulas::Reject => Finding::Refusal(message),
        })
    }
}

fn is_status(column: &str) -> bool {
    column.trim().eq_ignore_ascii_case("STATUS")
}

/// As OWASP lists the beginnings of formulas; but a signed number and a lone sign are harmless.
fn is_formula(value: &str) -> bool {
    match value.as_bytes() {
        [b'=' | b'@' | b'\t' | b'\r', ..] => true,
        [b'+' | b'-', rest @ ..] => !rest
            .iter()
            .all(|byte| byte.is_ascii_digit() || matches!(byte, b'.' | b',')),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn formulas_are_recognised_and_numbers_are_not() {
        for formula in [
            "=1+1",
            "@SUM(A1)",
            "+cmd|' /C calc'!A0",
            "-2+3",
            "\t=1",
            "\r=1",
        ] {
            assert!(is_formula(formula), "{formula:?}");
        }
        for plain in ["", "a=b", "-", "-5", "+1,234.50", "1-2", "PO@example"] {
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

    #[test]
    fn a_name_that_would_become_a_columns_is_looked_at_as_well() {
        let result = || Updates::from([("=1+1", "x"), ("A", "1")]);
        let judge =
            |formulas: Formulas, is_known| formulas.judge_result("P1", result(), |_| is_known);
        assert_eq!(judge(Formulas::Reject, true), (result(), None));
        let (written, said) = judge(Formulas::Warn, false);
        assert_eq!((written, said.is_some()), (result(), true));
        let (written, _) = judge(Formulas::Reject, false);
        assert_eq!(written.iter().collect::<Vec<_>>(), [("A", "1")]);
    }

    #[test]
    fn of_a_result_that_is_rejected_the_rest_is_written() {
        let result = || Updates::from([("STATUS", "=1"), ("A", "1"), ("B", "=1"), ("C", "@x")]);
        let (written, said) = Formulas::Warn.judge_result("P1", result(), |_| true);
        assert_eq!((written, said.is_some()), (result(), true));
        let (written, said) = Formulas::Reject.judge_result("P1", result(), |_| true);
        assert_eq!(
            written.iter().collect::<Vec<_>>(),
            [("STATUS", "=1"), ("A", "1")]
        );
        assert!(said.unwrap().ends_with("it goes to ….unplaced.csv"));
    }
}
