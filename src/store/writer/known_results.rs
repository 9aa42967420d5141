//! All results that are known, for a log that is begun without the one before it.
//!
//! Another program wrote over that one, and may put an older sheet back as well, which lacks some of them: they
//! are written again, and named. So the log has to tell which of them the author of an older version saw. That is
//! guessed from their times: a version ends where the next result came late, as between two runs.
//!
//! Some may not be visible yet. They are told again behind the public version, as all that was written over the
//! base is: what was never seen is not taken away.

use std::cmp::Reverse;
use std::collections::HashSet;

use compact_str::CompactString;

use crate::csv::RecordIndex;
use crate::disk::ContentHash;
use crate::domain::columns::LAST_PROCESSED;
use crate::domain::{parse_timestamp, stage_prefix};
use crate::journal::{Frame, Public, in_frames};
use crate::sheet::{CellUpdate, RowUpdate, Sheet, is_illegible};

/// How many versions are told of at most.
const MAX_VERSIONS: usize = 500;

/// Adds the results in these columns, and the versions before the public one, to the frames of a new log. Returns
/// how many frames the public one shows; 0 if there are no results.
pub(super) fn known_results(
    sheet: &Sheet,
    columns: &HashSet<CompactString>,
    public: ContentHash,
    frames: &mut Vec<Frame>,
) -> u64 {
    let schema = sheet.schema();
    let mut places: Vec<(&CompactString, usize)> = columns
        .iter()
        .filter_map(|name| Some((name, schema.position(name)?)))
        .filter(|(_, place)| *place < schema.header_width && !schema.is_key(*place))
        .collect();
    places.sort_unstable_by_key(|(_, place)| *place);
    let mut rows: Vec<(i64, RowUpdate)> = sheet
        .all_rows()
        .filter_map(|row| result(sheet, row, &places))
        .collect();
    if rows.is_empty() {
        return 0;
    }
    rows.sort_by_key(|(time, _)| *time);
    let mut ends: Vec<usize> = (1..rows.len()).collect();
    ends.sort_by_key(|&end| Reverse(rows[end].0 - rows[end - 1].0));
    ends.truncate(MAX_VERSIONS);
    ends.sort_unstable();
    let mut rows = rows.into_iter().map(|(_, row)| row);
    let mut begin = 0;
    for (number, end) in ends.into_iter().enumerate() {
        frames.extend(in_frames(rows.by_ref().take(end - begin).collect()));
        begin = end;
        // What its contents were is not known.
        let unknown = public.wrapping_add(1 + number as ContentHash);
        let next = Public::next(unknown, frames.len() as u64, None, None);
        frames.push(Frame::telling(vec![next, Public::confirmed(None)]));
    }
    frames.extend(in_frames(rows.collect()));
    frames.len() as u64
}

/// What stands in the first row of a key, and in all others that it may have, if it has a result, and the time of that.
fn result(
    sheet: &Sheet,
    row: RecordIndex,
    places: &[(&CompactString, usize)],
) -> Option<(i64, RowUpdate)> {
    let cell = |place: usize| sheet.cell(row, place);
    let written = sheet.overlay().row(row);
    let before = |place: usize| Some(written.as_ref()?.get(place)?.before.clone());
    let times = places
        .iter()
        .filter(|(name, _)| stage_prefix(name, LAST_PROCESSED).is_some())
        .map(|(_, place)| cell(*place))
        .filter(|time| !time.trim().is_empty());
    let time = times
        .map(|time| parse_timestamp(&time).map_or(0, |time| time.timestamp_millis()))
        .max()?;
    let po = sheet.key(row);
    if sheet.rows(&po).next() != Some(row) {
        return None;
    }
    let schema = sheet.schema();
    let cells = places.iter().filter_map(|&(name, place)| {
        let value = cell(place);
        // Into an empty cell of theirs somebody may write later.
        let is_result = !value.is_empty() || schema.is_state(name);
        let is_of_all = || {
            let mut rows = sheet.rows(&po);
            !sheet.has_repeated() || rows.all(|row| sheet.cell(row, place) == value)
        };
        let is_told = is_result && !is_illegible(&value) && is_of_all();
        is_told.then(|| CellUpdate {
            column: name.clone(),
            value: (&*value).into(),
            before: before(place).unwrap_or_else(|| smallvec::smallvec!["".into()]),
            outside: false,
        })
    });
    let update = RowUpdate {
        po: (&*po).into(),
        cells: cells.collect(),
        aside: false,
        row: None,
    };
    Some((time, update))
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::Snapshot;
    use crate::journal::frame;
    use crate::sheet::Options;

    #[test]
    fn of_more_results_than_versions_those_after_the_longest_pause_are_of_a_later_version() {
        // A pause of a second or two between results, and of an hour behind the first 700.
        let rows = (0..2_000).map(|row| {
            let second = row + row / 7 + if row < 700 { 0 } else { 3_600 };
            let (hour, minute) = (second / 3_600, second / 60 % 60);
            let time = format!("2026-01-05T{hour:02}:{minute:02}:{:02}Z", second % 60);
            format!("P{row};COMPLETED;{time};theirs\nX{row};;;theirs\n")
        });
        let text = format!(
            "PO_NUMBER;STATUS;LAST_PROCESSED;note\n{}",
            rows.collect::<String>()
        );
        let bytes = Snapshot::Owned(text.into_bytes());
        let sheet = Sheet::build(bytes, Path::new("in.csv"), &Options::default()).unwrap();
        let mut frames = Vec::new();
        let columns = HashSet::from(["STATUS".into(), "LAST_PROCESSED".into()]);
        let upto = known_results(&sheet, &columns, 7, &mut frames);
        frames.push(Frame::telling(vec![Public::next(7, upto, None, None)]));

        let history = frame::history(&frames);
        assert_eq!(history.rows().count(), 2_000);
        assert!(history.cells().all(|(_, past)| past.column != "note"));
        assert_eq!(history.versions().len(), MAX_VERSIONS + 1);
        let since = |po: &str| history.cell(po, "STATUS").unwrap().public_since().unwrap();
        assert!(since("P699") < since("P700"));
        assert_eq!(since("P1999"), MAX_VERSIONS);
    }
}
