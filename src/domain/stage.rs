//! Steps of work on every row, each with columns of its own for what became of the row.

use std::fmt;
use std::str::FromStr;

use crate::domain::columns::{ERROR_MESSAGE, LAST_PROCESSED, STATUS, addable, same_column};

/// The columns that hold what became of a row.
const STATE: [&str; 3] = [STATUS, LAST_PROCESSED, ERROR_MESSAGE];

/// A step of the work on each row. It keeps its state, time and message in `NAME_STATUS`,
/// `NAME_LAST_PROCESSED` and `NAME_ERROR_MESSAGE`; the main one, which is the default, in STATUS,
/// LAST_PROCESSED and ERROR_MESSAGE.
///
/// ```
/// use tickoff::{Options, Stage};
///
/// let options = Options { stage: "ocr".parse()?, ..Options::default() };
/// assert_eq!(options.stage.status(), "ocr_STATUS");
/// assert_eq!("main".parse(), Ok(Stage::default()));
/// assert!("ocr 2".parse::<Stage>().is_err());
/// # Ok::<(), tickoff::InvalidStage>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Stage {
    name: String,
    /// In the order of [`STATE`].
    columns: [String; 3],
}

/// A text that is no stage's name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a stage's name is made of the letters A to Z, digits, - and _")]
pub struct InvalidStage;

/// The name of the stage that has the plain columns.
const MAIN: &str = "main";

impl Stage {
    /// Its name, `main` for the one with the plain columns.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Whether it is the one with the plain columns.
    pub fn is_main(&self) -> bool {
        self.name == MAIN
    }

    /// Whether both have the same columns: case does not count.
    pub fn is_same(&self, other: &Stage) -> bool {
        self.name.eq_ignore_ascii_case(&other.name)
    }

    /// The first of these that was there before.
    pub fn repeated(stages: &[Stage]) -> Option<&Stage> {
        let mut places = 0..stages.len();
        let is_repeated = |&place: &usize| {
            let before = &stages[..place];
            before.iter().any(|other| other.is_same(&stages[place]))
        };
        places.find(is_repeated).map(|place| &stages[place])
    }

    /// The columns of its status, time and message.
    pub fn columns(&self) -> [&str; 3] {
        self.columns.each_ref().map(String::as_str)
    }

    /// The column in which the status stands.
    pub fn status(&self) -> &str {
        &self.columns[0]
    }

    pub(crate) fn last_processed(&self) -> &str {
        &self.columns[1]
    }

    pub(crate) fn error_message(&self) -> &str {
        &self.columns[2]
    }

    /// Whether a column holds the status, time or message of this stage.
    pub fn has_column(&self, name: &str) -> bool {
        self.columns().iter().any(|own| same_column(own, name))
    }

    /// The column that a name in a result means: STATUS is the stage's.
    pub(crate) fn column<'n>(&'n self, name: &'n str) -> &'n str {
        let is_meant = |state: &&str| !self.is_main() && same_column(state, name);
        let place = STATE.iter().position(is_meant);
        place.map_or(name, |place| &self.columns[place])
    }

    /// The name that a result has for a column of this stage: STATUS for `ocr_STATUS`.
    pub(crate) fn general_name(&self, column: &str) -> Option<&'static str> {
        let is_meant = |own: &String| !self.is_main() && same_column(own, column);
        let place = self.columns.iter().position(is_meant);
        place.map(|place| STATE[place])
    }

    /// The name under which a missing column may be added for a result.
    pub(crate) fn addable<'n>(&'n self, name: &str) -> Option<&'n str> {
        let mut own = self.columns().into_iter();
        own.find(|own| same_column(own, name))
            .or_else(|| addable(name))
    }
}

impl Default for Stage {
    fn default() -> Self {
        Stage {
            name: MAIN.to_owned(),
            columns: STATE.map(str::to_owned),
        }
    }
}

impl FromStr for Stage {
    type Err = InvalidStage;

    fn from_str(name: &str) -> Result<Stage, InvalidStage> {
        if !is_name(name) {
            return Err(InvalidStage);
        }
        if name.eq_ignore_ascii_case(MAIN) {
            return Ok(Stage::default());
        }
        Ok(Stage {
            name: name.to_owned(),
            columns: STATE.map(|column| format!("{name}_{column}")),
        })
    }
}

impl fmt::Display for Stage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.name)
    }
}

fn is_name(text: &str) -> bool {
    let is_part = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    !text.is_empty() && text.bytes().all(is_part)
}

/// What stands before STATUS, or whichever of the three `state` is, in the name of a column of a stage: nothing
/// for the main one, `ocr_` for another. `None` for any other column.
pub(crate) fn stage_prefix<'c>(column: &'c str, state: &str) -> Option<&'c str> {
    let column = column.trim();
    let at = column.len().checked_sub(state.len())?;
    let prefix = column.get(..at)?;
    let is_of_stage = || prefix.strip_suffix('_').is_some_and(is_name);
    (column[at..].eq_ignore_ascii_case(state) && (prefix.is_empty() || is_of_stage()))
        .then_some(prefix)
}

/// Whether a column holds what became of a row in a stage. Of any but the main one, the columns of status and time
/// have to be there: a column of somebody's own may be called HTTP_STATUS.
pub(crate) fn is_state(column: &str, is_there: impl Fn(&str) -> bool) -> bool {
    let mut prefixes = STATE.iter().map(|state| stage_prefix(column, state));
    let prefix = prefixes.find_map(|prefix| prefix);
    prefix.is_some_and(|prefix| {
        let mut needed = [STATUS, LAST_PROCESSED].iter();
        prefix.is_empty() || needed.all(|state| is_there(&format!("{prefix}{state}")))
    })
}

/// The name under which a column may be added again for results that are known: it is one of the original
/// system's 14, or of a stage, whichever that was.
pub(crate) fn may_return(column: &str) -> Option<&str> {
    let is_of_stage = || {
        STATE
            .iter()
            .any(|state| stage_prefix(column, state).is_some())
    };
    addable(column).or_else(|| is_of_stage().then(|| column.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_result_calls_the_columns_of_every_stage_alike() {
        let stage: Stage = "OCR-2_b".parse().unwrap();
        for (state, own) in STATE.into_iter().zip(stage.columns()) {
            assert_eq!(own, format!("OCR-2_b_{state}"));
            assert_eq!(stage.column(&format!(" {state} ").to_lowercase()), own);
            assert_eq!(stage.general_name(&own.to_lowercase()), Some(state));
            assert_eq!(stage.addable(&own.to_lowercase()), Some(own));
            assert_eq!(stage_prefix(own, state), Some("OCR-2_b_"));
            assert_eq!(stage_prefix(state, state), Some(""));
        }
        assert_eq!(stage.column("SUPPLIER"), "SUPPLIER");
        assert_eq!(stage.general_name("STATUS"), None);
        assert_eq!(stage.addable("supplier"), Some("SUPPLIER"));
        assert_eq!(stage.addable("ocr_STATUS"), None);
        let main = Stage::default();
        assert_eq!(main.column(" status"), " status");
        assert_eq!(main.general_name("STATUS"), None);
        assert_eq!("Main".parse(), Ok(main));
    }

    #[test]
    fn a_stage_is_repeated_whatever_its_case() {
        let stages = |names: &[&str]| -> Vec<Stage> {
            names.iter().map(|name| name.parse().unwrap()).collect()
        };
        assert_eq!(Stage::repeated(&stages(&["a", "main", "ab"])), None);
        for names in [["a", "b", "A"], ["a", "main", "MAIN"]] {
            let stages = stages(&names);
            assert_eq!(Stage::repeated(&stages), Some(&stages[2]));
        }
    }

    #[test]
    fn a_name_is_made_of_letters_digits_and_two_signs() {
        for bad in ["", " ", "a b", "ä", "a.b", "a\u{1b}", "a;b", "a/b"] {
            assert_eq!(bad.parse::<Stage>(), Err(InvalidStage), "{bad:?}");
        }
        for column in [
            "STATUSES",
            "_STATUS",
            "a b_STATUS",
            "xSTATUS",
            "é_STATUS",
            "é",
        ] {
            assert_eq!(stage_prefix(column, STATUS), None, "{column}");
            assert_eq!(may_return(column), None, "{column}");
        }
        let is_state_beside = |column, there: &[&str]| {
            is_state(column, |name| there.iter().any(|it| same_column(it, name)))
        };
        assert!(is_state_beside("status", &[]));
        assert!(!is_state_beside(
            "HTTP_STATUS",
            &["HTTP_STATUS", "LAST_PROCESSED"]
        ));
        assert!(!is_state_beside("a", &["a_STATUS", "a_LAST_PROCESSED"]));
        for column in ["a_status", "A_LAST_PROCESSED", "a_ERROR_MESSAGE"] {
            assert!(is_state_beside(column, &["a_STATUS", "a_last_processed"]));
        }
        assert_eq!(may_return(" a_status "), Some("a_status"));
        assert_eq!(may_return("supplier"), Some("SUPPLIER"));
    }
}
