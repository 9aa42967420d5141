//! How times are written and read.

use chrono::{DateTime, NaiveDateTime, SecondsFormat, Utc};

/// RFC 3339, or the same without a zone, which is taken as UTC.
pub(crate) fn parse_timestamp(cell: &str) -> Option<DateTime<Utc>> {
    let cell = cell.trim();
    if cell.is_empty() {
        return None;
    }
    if let Ok(time) = DateTime::parse_from_rfc3339(cell) {
        return Some(time.with_timezone(&Utc));
    }
    ["%Y-%m-%dT%H:%M:%S%.f", "%Y-%m-%d %H:%M:%S%.f"]
        .iter()
        .find_map(|format| NaiveDateTime::parse_from_str(cell, format).ok())
        .map(|time| time.and_utc())
}

/// How spreadsheets write a time with its seconds, beside ISO 8601; years in full come before those of two digits.
const OF_SPREADSHEETS: [&str; 10] = [
    "%d.%m.%Y %H:%M:%S",
    "%d/%m/%Y %H:%M:%S",
    "%m/%d/%Y %H:%M:%S",
    "%m/%d/%Y %I:%M:%S %p",
    "%Y/%m/%d %H:%M:%S",
    "%d-%m-%Y %H:%M:%S",
    "%d.%m.%y %H:%M:%S",
    "%d/%m/%y %H:%M:%S",
    "%m/%d/%y %H:%M:%S",
    "%m/%d/%y %I:%M:%S %p",
];

/// Whether two cells are the same time, of which a spreadsheet may have written one: whether the day or the month
/// comes first is not known then, and the zone is taken as UTC.
pub(crate) fn is_same_time(a: &str, b: &str) -> bool {
    match (parse_timestamp(a), parse_timestamp(b)) {
        (Some(a), Some(b)) => a == b,
        (Some(time), None) => may_be_of_spreadsheet(b, time),
        (None, Some(time)) => may_be_of_spreadsheet(a, time),
        (None, None) => false,
    }
}

fn may_be_of_spreadsheet(cell: &str, time: DateTime<Utc>) -> bool {
    let cell = cell.trim();
    let is_like_one = cell.len() <= 22
        && cell.starts_with(|first: char| first.is_ascii_digit())
        && cell.contains(':');
    is_like_one
        && OF_SPREADSHEETS.iter().any(|format| {
            let parsed = NaiveDateTime::parse_from_str(cell, format);
            parsed.is_ok_and(|parsed| parsed.and_utc() == time)
        })
}

/// RFC 3339, UTC, whole seconds, `Z`.
pub(crate) fn format_timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_that_a_spreadsheet_wrote_is_the_same_to_the_second() {
        let ours = "2026-11-05T15:30:51Z";
        for same in [
            "2026-11-05 15:30:51",
            "05.11.2026 15:30:51",
            "5.11.26 15:30:51",
            "05/11/2026 15:30:51",
            "11/05/2026 15:30:51",
            "11/5/2026 3:30:51 PM",
            "11/5/26 3:30:51 pm",
            "2026/11/05 15:30:51",
            "05-11-2026 15:30:51",
        ] {
            assert!(
                is_same_time(ours, same) && is_same_time(same, ours),
                "{same}"
            );
        }
        for other in [
            "",
            "05.11.2026 15:30",
            "05.11.2026 15:30:52",
            "11.05.2026 15:30:51",
            "11/5/2026 3:30:51",
            "15:30:51",
        ] {
            assert!(!is_same_time(ours, other), "{other}");
        }
        assert!(!is_same_time("05.11.2026 15:30:51", "05/11/2026 15:30:51"));
    }
}
