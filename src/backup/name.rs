//! The names of backups, and how to tell them from all other names.
//!
//! A name of one sheet must never be taken for a name of another, since retention deletes by name.
//! `input_2_20260105_101500_s.csv` is not of `input.csv`, because digits of a date follow the stem.
//! But `input_20260105_101500_a_20260206_111600_b.csv` could be of `input.csv`, for a session
//! `a_20260206_111600_b`, or of a sheet `input_20260105_101500_a.csv`, which is itself a backup that
//! somebody works on. So a session id may not look like a stamp in such a name: then the last stamp
//! in a name is the only one that counts, and every name belongs to one sheet.

use chrono::{DateTime, NaiveDateTime, Utc};

/// The label of a sheet's first backup, which is kept apart.
pub(super) const ORIGINAL: &str = "original";

/// In whose name a sheet is backed up before the first change that a person makes.
pub(crate) const SET: &str = "set";

/// Whether that is an id that sessions give themselves: eight hex digits, or that of `set`.
pub(crate) fn is_automatic(session: &str) -> bool {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    session == SET || session.len() == 8 && session.bytes().all(is_hex)
}

const STAMP: &str = "%Y%m%d_%H%M%S";
/// `_YYYYMMDD_HHMMSS_`
const STAMP_SHAPE: &[u8] = b"_00000000_000000_";
const MAX_SESSION_LEN: usize = 64;

/// The shape of the names that belong to one sheet.
#[derive(Debug, Clone)]
pub(super) struct Pattern {
    stem: String,
    /// With its dot; empty if the sheet has none.
    extension: String,
}

impl Pattern {
    pub(super) fn of_sheet(name: &str) -> Pattern {
        let (stem, extension) = match name.rfind('.') {
            None | Some(0) => (name, ""),
            Some(dot) => name.split_at(dot),
        };
        Pattern {
            stem: stem.to_owned(),
            extension: extension.to_owned(),
        }
    }

    pub(super) fn backup(&self, time: DateTime<Utc>, session: &str) -> String {
        format!(
            "{}_{}_{session}{}",
            self.stem,
            time.format(STAMP),
            self.extension
        )
    }

    /// Never the name of a backup: a session id has no dot.
    pub(super) fn copy(&self, time: DateTime<Utc>, session: &str, label: &str) -> String {
        format!(
            "{}_{}_{session}.{label}{}",
            self.stem,
            time.format(STAMP),
            self.extension
        )
    }

    /// The time and the session of a backup of this sheet; `None` for any other name.
    pub(super) fn parse(&self, name: &str) -> Option<(DateTime<Utc>, String)> {
        self.parse_without_extension(name.strip_suffix(&self.extension)?)
    }

    /// The same for the name of an original.
    pub(super) fn parse_original(&self, name: &str) -> Option<(DateTime<Utc>, String)> {
        let name = name.strip_suffix(&self.extension)?;
        self.parse_without_extension(name.strip_suffix(ORIGINAL)?.strip_suffix('.')?)
    }

    /// The time and the session of a copy with this sheet's name that is no backup, and its label.
    pub(super) fn parse_copy<'n>(&self, name: &'n str) -> Option<(DateTime<Utc>, String, &'n str)> {
        let (name, label) = name.strip_suffix(&self.extension)?.rsplit_once('.')?;
        let (time, session) = self.parse_without_extension(name)?;
        Some((time, session, label))
    }

    fn parse_without_extension(&self, name: &str) -> Option<(DateTime<Utc>, String)> {
        let rest = name.strip_prefix(&self.stem)?;
        let (stamp, session) = rest.split_at_checked(STAMP_SHAPE.len())?;
        if !has_stamp_shape(stamp.as_bytes()) || problem_of_session(session).is_some() {
            return None;
        }
        let time = NaiveDateTime::parse_from_str(stamp.trim_matches('_'), STAMP).ok()?;
        Some((time.and_utc(), session.to_owned()))
    }
}

/// The label in the name of a copy that is no backup, whichever sheet of that extension it is of: `outside`, also of
/// `….outside-2.csv`.
pub(crate) fn label_of_copy<'n>(name: &'n str, extension: Option<&str>) -> Option<&'n str> {
    let name = match extension {
        Some(_) => name.rsplit_once('.')?.0,
        None => name,
    };
    let (before, label) = name.rsplit_once('.')?;
    let mut shapes = before.as_bytes().windows(STAMP_SHAPE.len());
    let session = shapes.rposition(has_stamp_shape)? + STAMP_SHAPE.len();
    let is_copy = problem_of_session(&before[session..]).is_none();
    is_copy.then_some(without_number(label))
}

/// A label as it was before it was numbered, because the name was taken.
pub(super) fn without_number(label: &str) -> &str {
    match label.rsplit_once('-') {
        Some((plain, number)) if number.parse::<u32>().is_ok() => plain,
        _ => label,
    }
}

/// Why a text may not be a session id.
pub(super) fn problem_of_session(id: &str) -> Option<&'static str> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_';
    if id.is_empty() {
        Some("is empty")
    } else if id.len() > MAX_SESSION_LEN {
        Some("is longer than 64 characters")
    } else if !id.bytes().all(allowed) {
        Some("may only hold letters, digits, - and _")
    } else if format!("_{id}")
        .as_bytes()
        .windows(STAMP_SHAPE.len())
        .any(has_stamp_shape)
    {
        Some("may not hold a date and time as the names of backups do")
    } else {
        None
    }
}

fn has_stamp_shape(text: &[u8]) -> bool {
    text.len() == STAMP_SHAPE.len()
        && text
            .iter()
            .zip(STAMP_SHAPE)
            .all(|(byte, shape)| match shape {
                b'0' => byte.is_ascii_digit(),
                other => byte == other,
            })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(sheet: &str, name: &str, session: Option<&str>) {
        let parsed = Pattern::of_sheet(sheet).parse(name);
        assert_eq!(
            parsed.as_ref().map(|(_, session)| session.as_str()),
            session,
            "{name} for {sheet}"
        );
    }

    #[test]
    fn a_name_says_when_and_for_which_session() {
        let time = DateTime::parse_from_rfc3339("2026-01-05T10:15:00Z")
            .unwrap()
            .with_timezone(&Utc);
        let pattern = Pattern::of_sheet("input.csv");
        assert_eq!(
            pattern.backup(time, "nightly"),
            "input_20260105_101500_nightly.csv"
        );
        assert_eq!(
            pattern.parse("input_20260105_101500_nightly.csv"),
            Some((time, "nightly".into()))
        );
    }

    #[test]
    fn only_the_last_dot_separates_the_extension() {
        check(
            "orders.v2.csv",
            "orders.v2_20260105_101500_a.csv",
            Some("a"),
        );
        check("orders", "orders_20260105_101500_a", Some("a"));
        check(".orders", ".orders_20260105_101500_a", Some("a"));
        check("orders", "orders_20260105_101500_a.csv", None);
    }

    #[test]
    fn names_of_other_sheets_are_not_taken() {
        check("input.csv", "input_2_20260105_101500_a.csv", None);
        check("input.csv", "input_20260105_20260206_111600_a.csv", None);
        check("input.csv", "my_input_20260105_101500_a.csv", None);
        check("input.csv", "input_20260105_101500_a.tsv", None);
        check("input.csv", "input.csv", None);
    }

    #[test]
    fn a_sheet_that_is_itself_a_backup_keeps_its_own_backups() {
        for (sheet, name) in [
            (
                "input_20260105_101500_a.csv",
                "input_20260105_101500_a_20260206_111600_b.csv",
            ),
            (
                "input_20260105_101500.csv",
                "input_20260105_101500_20260206_111600_b.csv",
            ),
        ] {
            check(sheet, name, Some("b"));
            check("input.csv", name, None);
        }
    }

    #[test]
    fn an_original_is_told_from_a_backup_and_from_a_copy() {
        let pattern = Pattern::of_sheet("input.csv");
        let original = pattern.copy(DateTime::UNIX_EPOCH, "a", ORIGINAL);
        assert_eq!(original, "input_19700101_000000_a.original.csv");
        assert_eq!(
            pattern.parse_original(&original),
            Some((DateTime::UNIX_EPOCH, "a".into()))
        );
        assert_eq!(pattern.parse(&original), None);
        for other in [
            "input_19700101_000000_a.csv",
            "input_19700101_000000_a.original-2.csv",
            "input_19700101_000000_aoriginal.csv",
            "input_2_19700101_000000_a.original.csv",
            "input.original.csv",
        ] {
            assert_eq!(pattern.parse_original(other), None, "{other}");
        }
    }

    #[test]
    fn a_copys_label_is_told_whichever_sheet_it_is_of() {
        #[track_caller]
        fn check(name: &str, extension: Option<&str>, want: Option<&str>) {
            let label = label_of_copy(name, extension);
            assert_eq!(label, want, "{name}");
        }
        check(
            "in_19700101_000000_a.unplaced.csv",
            Some("csv"),
            Some("unplaced"),
        );
        check(
            "in_19700101_000000_a.unplaced-12.txt",
            Some("csv"),
            Some("unplaced"),
        );
        check("in_19700101_000000_a.unplaced", None, Some("unplaced"));
        // A backup of a sheet with that extension.
        check("in_19700101_000000_a.unplaced", Some("unplaced"), None);
        check("in_19700101_000000_a.csv", Some("csv"), None);
        check("in_19700101_000000_.unplaced.csv", Some("csv"), None);
        check("in.unplaced.csv", Some("csv"), None);
    }

    #[test]
    fn what_only_resembles_a_backup_is_not_one() {
        check("input.csv", "input_20261305_101500_a.csv", None);
        check("input.csv", "input_20260105_1015_a.csv", None);
        check("input.csv", "input_+0260105_101500_a.csv", None);
        check("input.csv", "input_20260105_101500_.csv", None);
        check("input.csv", "input_20260105_101500_a.outside.csv", None);
        check("input.csv", "input_20260105_101500_a (copy).csv", None);
        check("input.csv", "input_20260105_101é00_a.csv", None);
    }

    #[test]
    fn session_ids_are_short_and_plain() {
        for good in [
            "a",
            "2026-01-05T10-15",
            "_",
            "a_20260105_101500",
            &"x".repeat(64),
        ] {
            assert_eq!(problem_of_session(good), None, "{good}");
        }
        for bad in [
            "",
            "a/b",
            "..",
            "a b",
            "é",
            "a\n",
            &"x".repeat(65),
            "20260105_101500_a",
            "a_20260105_101500_b",
        ] {
            assert!(problem_of_session(bad).is_some(), "{bad}");
        }
    }
}
