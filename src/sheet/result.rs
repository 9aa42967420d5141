//! The result of a job that has run, made fit to be written.
//!
//! Work that was done is never thrown away, so a result is never refused for what is in it. What can be
//! written is written; a value that cannot is shortened, or has U+FFFD for a NUL; a status that is none
//! makes its row ERROR, and the word is kept beside the backups. What was changed is said, with the PO and
//! the column. What a person or a library call asks for is not touched by this: it is refused instead, with
//! nothing changed ([`Updates::validate`]).

use std::borrow::Cow;

use tracing::warn;

use crate::domain::columns::{ERROR_MESSAGE, STATUS, same_column};
use crate::domain::{MAX_VALUE_CHARS, ProcessingStatus};
use crate::sheet::options::Options;
use crate::sheet::update::Updates;
use crate::text::{Escaped, error_message, escape, escape_list, one_line, shortened};

impl Updates {
    /// What a result of a job at this PO comes to. Fit updates stay as they are.
    pub(crate) fn fit(mut self, po: &str, may_be_pending: bool, options: &Options) -> Updates {
        self = self.in_general(&options.stage);
        let twice = self.keep_last();
        say(
            po,
            &twice,
            "named twice in one result: the last value counts",
        );
        if let Some(word) = self.no_result(may_be_pending, options) {
            self = self.made_an_error(&word);
        }
        let (mut with_nul, mut long) = (Vec::new(), Vec::new());
        for (column, value) in self.cells_mut() {
            if same_column(column, ERROR_MESSAGE) {
                *value = one_line(value).into();
                continue;
            }
            if value.contains('\0') {
                *value = value.replace('\0', "\u{fffd}").into();
                with_nul.push(column.trim().to_owned());
            }
            if let Cow::Owned(fits) = shortened(value, MAX_VALUE_CHARS) {
                *value = fits.into();
                long.push(column.trim().to_owned());
            }
        }
        say(po, &with_nul, "a NUL byte is written as U+FFFD");
        say(
            po,
            &long,
            "longer than a cell: its start and its end are written",
        );
        self
    }

    /// The word that stands where a result has its status, if it is none.
    fn no_result(&self, may_be_pending: bool, options: &Options) -> Option<String> {
        let word = self.get(STATUS)?;
        let is_result = match ProcessingStatus::parse(word) {
            ProcessingStatus::Pending => may_be_pending,
            status => options.is_known(&status),
        };
        (!is_result).then(|| word.trim().to_owned())
    }

    fn made_an_error(self, word: &str) -> Updates {
        let said = self.get(ERROR_MESSAGE).unwrap_or_default().to_owned();
        let shown = if word.is_empty() { "empty" } else { word };
        let what = format!(
            "a result's STATUS must be COMPLETED, ERROR, NO_ATTACHMENTS, FAILED, PARTIAL or PO_NOT_FOUND, not {}",
            escape(shown)
        );
        self.set_aside(|column, _| same_column(column, STATUS))
            .without(ERROR_MESSAGE)
            .set(STATUS, ProcessingStatus::Error.as_str())
            .set(ERROR_MESSAGE, error_message(&what, &said))
    }
}

fn say(po: &str, columns: &[String], what: &str) {
    if !columns.is_empty() {
        warn!(key = %Escaped::name(po), columns = %escape_list(columns), "{what}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::Encoding;

    #[track_caller]
    fn check(updates: Updates, want: &[(&str, &str)]) -> Updates {
        let fit = updates.fit("P1", false, &Options::default());
        assert_eq!(fit.iter().collect::<Vec<_>>(), want);
        assert_eq!(
            fit.clone().fit("P1", false, &Options::default()),
            fit,
            "fit twice"
        );
        fit
    }

    #[test]
    fn what_is_fit_stays_as_it_is() {
        let cells = [("status", "completed"), ("A", "=1\u{1b}"), ("B", "")];
        check(cells.into(), &cells);
    }

    #[test]
    fn a_value_that_no_cell_holds_is_written_as_far_as_it_can_be() {
        let long = format!("first{}last", "é".repeat(40_000));
        let fit = check(
            [("A", "x\0y"), ("B", "z")].into(),
            &[("A", "x\u{fffd}y"), ("B", "z")],
        );
        assert!(fit.aside().is_empty());
        let fit = Updates::from([("A", long)]).fit("P1", false, &Options::default());
        let value = fit.get("A").unwrap();
        assert_eq!(value.chars().count(), MAX_VALUE_CHARS);
        assert!(value.starts_with("firsté") && value.ends_with("élast"));
        assert!(fit.validate("P1", Encoding::UTF_8).is_ok());
    }

    #[test]
    fn a_message_is_one_harmless_line() {
        check(
            [("STATUS", "ERROR"), ("error_message", "a\u{1b}[2J\nb\0")].into(),
            &[
                ("STATUS", "ERROR"),
                ("error_message", "a\\u{1b}[2J | b\\u{0}"),
            ],
        );
    }

    #[test]
    fn of_a_column_that_is_named_twice_the_last_value_counts() {
        check(
            [("A", "1"), ("B", "2"), (" a ", "3")].into(),
            &[("A", "3"), ("B", "2")],
        );
        let many = (0..40_000).map(|n| (format!("C{}", n % 30_000), n.to_string()));
        let fit = many
            .collect::<Updates>()
            .fit("P1", false, &Options::default());
        assert_eq!(
            (fit.iter().count(), fit.get("C9999")),
            (30_000, Some("39999"))
        );
    }

    #[test]
    fn a_status_that_was_declared_is_one() {
        let word = |word: &str| vec![ProcessingStatus::Other(word.into())];
        let options = Options {
            done: word("shipped"),
            failed: word("lost"),
            todo: word("open"),
            ..Options::default()
        };
        for status in ["Shipped", " lost", "OPEN"] {
            let result = Updates::from([("STATUS", status)]);
            assert_eq!(result.clone().fit("P1", false, &options), result);
        }
    }

    #[test]
    fn a_status_that_is_none_makes_an_error_and_the_word_is_kept() {
        for (word, shown) in [("done", "done"), ("pending", "pending"), ("", "empty")] {
            let message = format!(
                "a result's STATUS must be COMPLETED, ERROR, NO_ATTACHMENTS, FAILED, PARTIAL or PO_NOT_FOUND, not {shown}: why"
            );
            let fit = check(
                [("Status", word), ("A", "1"), ("ERROR_MESSAGE", "why")].into(),
                &[("A", "1"), ("STATUS", "ERROR"), ("ERROR_MESSAGE", &message)],
            );
            let kept = fit.aside().iter().map(|(_, value)| value.as_str());
            assert_eq!(kept.collect::<String>(), word);
        }
        let pending = Updates::from([("STATUS", "PENDING")]);
        assert_eq!(
            pending.clone().fit("P1", true, &Options::default()),
            pending
        );
    }
}
