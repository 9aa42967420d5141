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

/// RFC 3339, UTC, whole seconds, `Z`.
pub(crate) fn format_timestamp(time: DateTime<Utc>) -> String {
    time.to_rfc3339_opts(SecondsFormat::Secs, true)
}
