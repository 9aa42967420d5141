//! What must be so in a row for it to be selected: a column, a comparison, and a value.

use std::cmp::Ordering;
use std::collections::HashMap;
use std::str::FromStr;

use regex::Regex;

use crate::csv::RecordIndex;
use crate::domain::columns::same_column;
use crate::domain::{ProcessingStatus, Stage};
use crate::error::{Error, Result};
use crate::sheet::progress::by_number;
use crate::sheet::table::Sheet;
use crate::text::{close_to, composed, escape};

/// What must be so in a row, as `COLUMN=VALUE`.
///
/// | comparison | holds if the cell |
/// |---|---|
/// | `=` | is the value, or one of several that are separated by commas, quoted as in a CSV |
/// | `!=` | is none of them |
/// | `~`, `!~` | matches the regular expression somewhere, or does not |
/// | `<`, `<=`, `>`, `>=` | is less or greater: as a number if both are one, otherwise as a text |
///
/// Blanks around a cell and around a value do not count, and the column is matched without regard to case or
/// surrounding blanks. A STATUS is read as a status: an empty cell is PENDING, and case does not count for `=`
/// and `!=`. Result columns that a run would add are empty.
///
/// ```
/// use tickoff::{Condition, Selection};
///
/// let dear: Condition = "AMOUNT>=100".parse()?;
/// let acme: Condition = "SUPPLIER=Acme,\"Globex, Inc.\"".parse()?;
/// let selection = Selection::all().matching(dear).matching(acme);
/// # let _ = selection;
/// # Ok::<(), tickoff::InvalidCondition>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Condition {
    column: String,
    test: Test,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Test {
    /// It is one of these.
    Is(Vec<String>),
    IsNot(Vec<String>),
    Matches(Pattern),
    MatchesNot(Pattern),
    /// How it compares to the value, and whether it may be the same.
    Compares(Ordering, bool, String),
}

/// A regular expression, which is another one if its text is.
#[derive(Debug, Clone)]
struct Pattern(Regex);

impl PartialEq for Pattern {
    fn eq(&self, other: &Pattern) -> bool {
        self.0.as_str() == other.0.as_str()
    }
}

impl Eq for Pattern {}

impl Condition {
    /// The cell is exactly this value.
    pub(crate) fn is(column: String, value: String) -> Condition {
        let test = Test::Is(vec![composed(value.trim()).into_owned()]);
        Condition { column, test }
    }
}

/// Why a text is no condition.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum InvalidCondition {
    /// There is no column, or no comparison.
    #[error(
        "it must be a column's name, one of = != ~ !~ < <= > >=, and the value that its cell is compared with"
    )]
    Form,
    /// The regular expression is none.
    #[error("{0}")]
    Pattern(String),
    /// A quote in a list is never closed, or its value goes on behind it.
    #[error("a quote in the list of values is not closed, or closed before its value ends")]
    Quote,
}

impl FromStr for Condition {
    type Err = InvalidCondition;

    fn from_str(text: &str) -> std::result::Result<Condition, InvalidCondition> {
        const OPERATORS: [&str; 8] = ["!=", "!~", "<=", ">=", "=", "~", "<", ">"];
        let found = text.char_indices().find_map(|(at, _)| {
            let begins = |operator: &&str| text[at..].starts_with(operator);
            OPERATORS
                .into_iter()
                .find(begins)
                .map(|operator| (at, operator))
        });
        let (at, operator) = found.ok_or(InvalidCondition::Form)?;
        let column = text[..at].trim();
        if column.is_empty() {
            return Err(InvalidCondition::Form);
        }
        let value = text[at + operator.len()..].trim();
        let compares =
            |order, may_be_same| Test::Compares(order, may_be_same, composed(value).into_owned());
        let test = match operator {
            "=" => Test::Is(list(value)?),
            "!=" => Test::IsNot(list(value)?),
            "~" => Test::Matches(pattern(value)?),
            "!~" => Test::MatchesNot(pattern(value)?),
            "<" => compares(Ordering::Less, false),
            "<=" => compares(Ordering::Less, true),
            ">" => compares(Ordering::Greater, false),
            _ => compares(Ordering::Greater, true),
        };
        Ok(Condition {
            column: column.to_owned(),
            test,
        })
    }
}

/// The values of a list, which are quoted where they hold a comma.
fn list(values: &str) -> std::result::Result<Vec<String>, InvalidCondition> {
    let mut list = Vec::new();
    let mut rest = Some(values);
    while let Some(values) = rest {
        let (value, behind) = match values.trim_start().strip_prefix('"') {
            Some(quoted) => unquoted(quoted)?,
            None => {
                let end = values.find(',').unwrap_or(values.len());
                (values[..end].to_owned(), &values[end..])
            }
        };
        list.push(composed(value.trim()).into_owned());
        rest = match behind.trim_start() {
            "" => None,
            behind => Some(behind.strip_prefix(',').ok_or(InvalidCondition::Quote)?),
        };
    }
    Ok(list)
}

/// The text up to the closing quote, and what stands behind that.
fn unquoted(text: &str) -> std::result::Result<(String, &str), InvalidCondition> {
    let mut value = String::new();
    let mut rest = text;
    loop {
        let (before, behind) = rest.split_once('"').ok_or(InvalidCondition::Quote)?;
        value.push_str(before);
        match behind.strip_prefix('"') {
            Some(more) => {
                value.push('"');
                rest = more;
            }
            None => return Ok((value, behind)),
        }
    }
}

fn pattern(value: &str) -> std::result::Result<Pattern, InvalidCondition> {
    // It is shown in lines of its own.
    let wrong = |error: regex::Error| {
        let lines: Vec<_> = error.to_string().split('\n').map(escape).collect();
        InvalidCondition::Pattern(lines.join("\n"))
    };
    Regex::new(value).map(Pattern).map_err(wrong)
}

/// A condition on the columns of one sheet.
pub(crate) struct InSheet<'c> {
    place: Place,
    test: &'c Test,
    /// The words of a list for STATUS.
    statuses: Vec<ProcessingStatus>,
}

enum Place {
    /// A status: the one that the sheet is read for, or the main one, which need not be there.
    Status {
        column: Option<usize>,
        is_own: bool,
    },
    Column(usize),
    /// A column that a run would add.
    Missing,
}

impl<'c> InSheet<'c> {
    pub(crate) fn new(sheet: &Sheet, condition: &'c Condition) -> Result<InSheet<'c>> {
        let Condition { column, test } = condition;
        let schema = sheet.schema();
        let (main, own) = (Stage::default(), &sheet.options().stage);
        let is_own = same_column(column, own.status());
        let meant = sheet.options().of_stages(column);
        let place = match schema.position(column) {
            None if !own.has_column(column) && !meant.is_empty() => {
                return Err(Error::unknown_column(column, schema.columns(), &[], meant));
            }
            column if is_own || same_column(&condition.column, main.status()) => {
                Place::Status { column, is_own }
            }
            None if own.has_column(column) || main.has_column(column) => Place::Missing,
            Some(place) => Place::Column(place),
            None => {
                let unknown = || Error::unknown_column(column, schema.columns(), &[], meant);
                return Err(sheet.options().not_begun(column).unwrap_or_else(unknown));
            }
        };
        let statuses = match (&place, test) {
            (Place::Status { .. }, Test::Is(words) | Test::IsNot(words)) => {
                statuses(sheet, &place, words)?
            }
            _ => Vec::new(),
        };
        Ok(InSheet {
            place,
            test,
            statuses,
        })
    }

    pub(crate) fn holds(&self, sheet: &Sheet, row: RecordIndex) -> bool {
        match self.place {
            Place::Status { .. } => {
                let status = self.place.status(sheet, row);
                let is_one = || self.statuses.iter().any(|one| one.is_same_word(&status));
                match self.test {
                    Test::Is(_) => is_one(),
                    Test::IsNot(_) => !is_one(),
                    test => test.holds(status.as_str()),
                }
            }
            Place::Column(column) => self.test.holds(sheet.cell(row, column).trim()),
            Place::Missing => self.test.holds(""),
        }
    }
}

impl Place {
    fn status(&self, sheet: &Sheet, row: RecordIndex) -> ProcessingStatus {
        match self {
            Place::Status { is_own: true, .. } => sheet.status_at(row),
            Place::Status {
                column: Some(column),
                ..
            } => ProcessingStatus::parse(&sheet.cell(row, *column)),
            _ => ProcessingStatus::Pending,
        }
    }

    /// The statuses that stand there, the commonest first.
    fn words(&self, sheet: &Sheet) -> Vec<ProcessingStatus> {
        let mut words: HashMap<ProcessingStatus, usize> = HashMap::new();
        for row in sheet.all_rows() {
            *words.entry(self.status(sheet, row)).or_default() += 1;
        }
        by_number(words).into_iter().map(|(word, _)| word).collect()
    }
}

/// These words as statuses, each of which somebody knows or the sheet has.
fn statuses(sheet: &Sheet, place: &Place, words: &[String]) -> Result<Vec<ProcessingStatus>> {
    let mut there: Option<Vec<ProcessingStatus>> = None;
    let known = |word: &String| {
        let status = ProcessingStatus::parse(word);
        if sheet.options().is_known(&status) {
            return Ok(status);
        }
        let there = there.get_or_insert_with(|| place.words(sheet));
        match there.iter().any(|one| one.is_same_word(&status)) {
            true => Ok(status),
            false => Err(unknown_status(sheet, word, there)),
        }
    };
    words.iter().map(known).collect()
}

fn unknown_status(sheet: &Sheet, word: &str, there: &[ProcessingStatus]) -> Error {
    let options = sheet.options();
    let declared = [&options.done, &options.failed, &options.todo]
        .into_iter()
        .flatten();
    let known = crate::domain::KNOWN.iter().chain(declared).chain(there);
    let names: Vec<&str> = known.map(ProcessingStatus::as_str).collect();
    Error::UnknownStatus {
        word: word.to_owned(),
        close: close_to(word, names),
    }
}

impl Test {
    fn holds(&self, cell: &str) -> bool {
        let letters = composed(cell);
        match self {
            Test::Is(values) => values.iter().any(|value| *value == letters),
            Test::IsNot(values) => values.iter().all(|value| *value != letters),
            Test::Matches(Pattern(pattern)) => pattern.is_match(cell),
            Test::MatchesNot(Pattern(pattern)) => !pattern.is_match(cell),
            Test::Compares(order, may_be_same, value) => {
                let compared = compare(&letters, value);
                compared == *order || *may_be_same && compared == Ordering::Equal
            }
        }
    }
}

/// As numbers if both are, otherwise as texts.
fn compare(a: &str, b: &str) -> Ordering {
    if let (Ok(a), Ok(b)) = (a.parse::<i128>(), b.parse::<i128>()) {
        return a.cmp(&b);
    }
    let number = |text: &str| text.parse::<f64>().ok().filter(|number| number.is_finite());
    let numbers = number(a).zip(number(b));
    let compared = numbers.and_then(|(a, b)| a.partial_cmp(&b));
    compared.unwrap_or_else(|| a.cmp(b))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(condition: &str, cell: &str, want: bool) {
        let condition: Condition = format!("X{condition}").parse().unwrap();
        assert_eq!(condition.test.holds(cell), want, "{condition:?} {cell:?}");
    }

    #[test]
    fn a_list_is_of_values_separated_by_commas_and_quoted_as_in_a_csv() {
        check("=a", "a", true);
        check("=a", "A", false);
        check("= a , b ", "b", true);
        check("=\"a, b\",c", "a, b", true);
        check("=\"a, b\",c", "a", false);
        check("=\"say \"\"hi\"\"\"", "say \"hi\"", true);
        check("=5\" pipe", "5\" pipe", true);
        check("=", "", true);
        check("=,a", "", true);
        check("=a", "", false);
        check("!=a,b", "b", false);
        check("!=a,b", "c", true);
        check("!=", "", false);
        check("=a, \"b\" ,c", "b", true);
        check("=a\nb", "a\nb", true);
        for wrong in ["X=\"a", "X=\"a\"b", "X=a,\"b"] {
            assert_eq!(wrong.parse::<Condition>(), Err(InvalidCondition::Quote));
        }
    }

    #[test]
    fn a_pattern_is_looked_for_anywhere() {
        check("~^PO1", "PO15", true);
        check("~(?i)acme|globex", "ACME Inc.", true);
        check("~a,b", "xa,bx", true);
        check("!~a.c", "abc", false);
        check("!~a.c", "", true);
        let wrong = "X~a(".parse::<Condition>().unwrap_err().to_string();
        assert!(wrong.contains("    a(\n     ^\n"), "{wrong}");
    }

    #[test]
    fn numbers_are_compared_as_numbers_and_all_else_as_text() {
        check("<10", "9", true);
        check("<10", "9.5", true);
        check("<10", "1e2", false);
        check("<=10", "10.0", true);
        check(">=10", "10.0", true);
        check(">10", "10.0", false);
        check(">-1", "0", true);
        check(">9007199254740992", "9007199254740993", true);
        check("<10", "abc", false);
        check("<b", "abc", true);
        check("<10", "", true);
        check(">2026-01-05", "2026-01-05T10:00:00Z", true);
        check("<1", "nan", false);
    }

    #[test]
    fn the_first_comparison_is_the_one_that_is_meant() {
        let column = |text: &str| text.parse::<Condition>().map(|one| one.column);
        assert_eq!(column("URL=https://x/?a=b&c<d"), Ok("URL".into()));
        assert_eq!(column(" a b !~ =x"), Ok("a b".into()));
        assert_eq!(column("wow!=x"), Ok("wow".into()));
        for none in ["Colour", "=x", " <= x", "", "wow!"] {
            assert_eq!(column(none), Err(InvalidCondition::Form), "{none}");
        }
    }
}
