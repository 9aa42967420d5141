//! What the columns are called, and when two names mean the same one.

use crate::text::composed;

/// The columns of the original system, in its order. Their names are matched without regard to
/// case or surrounding blanks.
pub const COLUMNS: [&str; 14] = [
    PO_NUMBER,
    STATUS,
    "SUPPLIER",
    "ATTACHMENTS_FOUND",
    "ATTACHMENTS_DOWNLOADED",
    ATTACHMENT_NAME,
    LAST_PROCESSED,
    ERROR_MESSAGE,
    "DOWNLOAD_FOLDER",
    "COUPA_URL",
    "Priority",
    "Supplier Segment",
    "Spend Type",
    "L1 UU Supplier Name",
];

pub(crate) const PO_NUMBER: &str = "PO_NUMBER";
pub(crate) const STATUS: &str = "STATUS";
pub(crate) const LAST_PROCESSED: &str = "LAST_PROCESSED";
pub(crate) const ERROR_MESSAGE: &str = "ERROR_MESSAGE";
pub(crate) const ATTACHMENT_NAME: &str = "AttachmentName";

/// The column of `….unplaced.csv` in which an answer stands that could not be read.
#[cfg(feature = "cli")]
pub(crate) const RAW_ANSWER: &str = "RAW_ANSWER";

/// The name under which a missing column may be added: it is one of the original system's 14.
pub(crate) fn addable(name: &str) -> Option<&'static str> {
    COLUMNS.into_iter().find(|column| same_column(column, name))
}

/// Whether two column names mean the same column.
pub fn same_column(a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (a, b) = (trim(a), trim(b));
    a.eq_ignore_ascii_case(b) || (may_fold_alike(a, b) && folded(a) == folded(b))
}

/// The characters beyond ASCII that [`folded`] makes ASCII: the Greek question mark and grave accent, the sign of Kelvin.
const ASCII_WHEN_FOLDED: [char; 3] = ['\u{37e}', '\u{1fef}', '\u{212a}'];

/// Whether it takes more than ASCII to tell.
fn may_fold_alike(a: &str, b: &str) -> bool {
    match (a.is_ascii(), b.is_ascii()) {
        (true, true) => false,
        (false, false) => true,
        (true, false) => b.contains(ASCII_WHEN_FOLDED),
        (false, true) => a.contains(ASCII_WHEN_FOLDED),
    }
}

/// What all names of one column have in common, for looking names up among many.
pub(crate) fn folded(name: &str) -> String {
    composed(&name.trim().to_lowercase()).into_owned()
}

/// `str::trim`, quick where there is nothing to trim.
fn trim(name: &str) -> &str {
    match name.as_bytes() {
        [first, .., last] if first.is_ascii_graphic() && last.is_ascii_graphic() => name,
        _ => name.trim(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_other_characters_become_ascii_when_they_are_folded() {
        let others = ('\u{80}'..=char::MAX).filter(|letter| {
            let folded = composed(&letter.to_lowercase().collect::<String>()).into_owned();
            folded.is_ascii() && !letter.is_whitespace()
        });
        assert_eq!(others.collect::<Vec<_>>(), ASCII_WHEN_FOLDED);
    }

    #[test]
    fn whether_two_names_are_one_column_does_not_depend_on_their_order() {
        for (a, b, same) in [
            (" Ü ", "ü", true),
            ("K", "\u{212a}", true), // the sign of Kelvin
            ("Status", "STATUS\u{a0}", true),
            ("Ü", "u", false),
            ("Größe", "gro\u{308}ße", true),
            ("Status", "\u{a0}Status\u{a0}", true),
            ("Status", "Stätus", false),
        ] {
            assert_eq!(same_column(a, b), same, "{a:?} {b:?}");
            assert_eq!(same_column(b, a), same, "{b:?} {a:?}");
            assert_eq!(folded(a) == folded(b), same, "{a:?} {b:?}");
        }
    }
}
