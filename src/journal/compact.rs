//! A closed log: what each cell showed that tickoff wrote, with the version that showed it first.
//!
//! That is all it takes to recognise a save from an old version the day after. Entries stand in the order of
//! their versions; of the versions only the latest keep their hashes, and of a cell's values only the latest
//! [`MAX_VALUES`] stay. With the last one alone a save from before it would look like a change of it, where the
//! cell has its first value again, or like one of which nothing is known.
//! When it would be longer than [`MAX_BYTES`], the oldest entries go, and their versions stay.

use compact_str::CompactString;
use std::collections::BTreeMap;

use super::frame::{Frame, Public, encode};
use crate::sheet::{CellUpdate, History, PublicVersion, RowUpdate, Sample};

/// How long a closed log is at most: some 300,000 results.
pub(crate) const MAX_BYTES: u64 = if cfg!(test) { 1 << 20 } else { 64 << 20 };
/// How many versions are known by their contents at most.
const MAX_VERSIONS: usize = 1_000;
/// How many values of a cell stay at most.
const MAX_VALUES: usize = 8;
/// How many results a frame holds at most.
const ROWS_PER_FRAME: usize = 10_000;
/// The values of how many bytes a frame holds before it ends: they have room together, or go together.
const BYTES_PER_FRAME: usize = 256 << 10;

/// The frames of a closed log. `is_kept` tells which cells, by key and column, have their place in the sheet:
/// what had none is in a copy by now. `added` are the columns of its own that tickoff added, and are in it.
pub(crate) fn compact(
    history: &History,
    sample: Option<Sample>,
    added: Vec<CompactString>,
    is_kept: impl Fn(&str, &str) -> bool,
) -> Vec<Frame> {
    let mut by_version: BTreeMap<usize, Vec<RowUpdate>> = BTreeMap::new();
    let all = history.rows().map(|(po, row)| (po, None, row));
    let single = history.rows().flat_map(|(po, _)| {
        let rows = history.single_rows(po).iter();
        rows.map(move |(row, cells)| (po, Some(row), cells.as_slice()))
    });
    // What is of a single row comes behind what is of all rows of its key.
    for (po, single, row) in all.chain(single) {
        let mut cells: BTreeMap<usize, Vec<_>> = BTreeMap::new();
        for past in row.iter().filter(|past| is_kept(po, &past.column)) {
            if past.public_since().is_none() {
                continue;
            }
            let shown: Vec<_> = past.shown().collect();
            for (version, values) in &shown[shown.len().saturating_sub(MAX_VALUES)..] {
                // Where a key stands in several rows they may have held several values before.
                if let [value] = values {
                    let update = CellUpdate {
                        value: value.clone(),
                        ..past.update()
                    };
                    cells.entry(*version).or_default().push(update);
                }
            }
        }
        for (version, cells) in cells {
            let po: CompactString = po.clone();
            by_version.entry(version).or_default().push(RowUpdate {
                po,
                cells,
                aside: false,
                row: single.cloned(),
            });
        }
    }
    // From the latest version back, for as long as there is room. A version whose entries are gone still is known by
    // its contents: what is newer than it is not lost with a save of it.
    let mut pieces: Vec<(Vec<Frame>, PublicVersion)> = Vec::new();
    let mut room = MAX_BYTES;
    for (number, version) in history.versions().iter().enumerate().rev() {
        let mut frames = Vec::new();
        for frame in in_frames(by_version.remove(&number).unwrap_or_default()) {
            let length = length(&frame);
            if length > room {
                room = 0;
                break;
            }
            room -= length;
            frames.push(frame);
        }
        let is_known = !version.has_failed && pieces.len() < MAX_VERSIONS;
        if !frames.is_empty() || number == 0 || is_known {
            pieces.push((frames, *version));
        }
    }
    let mut sample = sample;
    let judged: Vec<Public> = history.judged_saves().map(Public::judged).collect();
    let mut log: Vec<Frame> = Vec::new();
    if !judged.is_empty() || !added.is_empty() {
        log.push(Frame {
            public_columns: added.clone(),
            columns: added,
            ..Frame::telling(judged)
        });
    }
    for (frames, version) in pieces.into_iter().rev() {
        log.extend(frames);
        let upto = log.len() as u64;
        let next = Public::next(version.hash, upto, None, sample.take());
        let confirmed = version.is_confirmed.then(|| Public::confirmed(None));
        let told = std::iter::once(next).chain(confirmed);
        log.push(Frame::telling(told.collect()));
    }
    log
}

/// Updates in frames of such lengths as are written.
pub(crate) fn in_frames(rows: Vec<RowUpdate>) -> impl Iterator<Item = Frame> {
    let mut rows = rows.into_iter();
    std::iter::from_fn(move || {
        let (mut taken, mut bytes) = (Vec::new(), 0);
        while taken.len() < ROWS_PER_FRAME && bytes < BYTES_PER_FRAME {
            let Some(row) = rows.next() else { break };
            bytes += row.cells.iter().map(|cell| cell.value.len()).sum::<usize>();
            taken.push(row);
        }
        (!taken.is_empty()).then(|| Frame::of(taken))
    })
}

fn length(frame: &Frame) -> u64 {
    let mut bytes = Vec::new();
    encode(frame, 0, &mut bytes);
    bytes.len() as u64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::journal::frame::{history, sample};
    fn update(po: &str, value: &str, before: &str) -> RowUpdate {
        let cell = CellUpdate {
            column: "note".into(),
            value: value.into(),
            before: smallvec::smallvec![before.into()],
            outside: false,
        };
        RowUpdate {
            po: po.into(),
            cells: vec![cell],
            aside: false,
            row: None,
        }
    }

    #[test]
    fn what_has_no_room_goes_and_every_version_and_the_newest_results_stay() {
        let version = |hash, upto| {
            Frame::telling(vec![
                Public::next(hash, upto, None, None),
                Public::confirmed(None),
            ])
        };
        let long = "x".repeat(4 << 10);
        let many = (0..400).map(|number| update(&format!("old{number}"), &long, ""));
        let newest = ["B", "C"].map(|po| update(po, &long, ""));
        let frames = [
            version(7, 0),
            Frame::of(many.collect()),
            version(8, 2),
            Frame::of(newest.to_vec()),
            version(9, 4),
        ];
        let closed = compact(&history(&frames), None, Vec::new(), |_, _| true);
        assert!(closed.iter().map(length).sum::<u64>() <= MAX_BYTES + 1_000);
        let history = history(&closed);
        let hashes: Vec<_> = history.versions().iter().map(|it| it.hash).collect();
        assert_eq!(hashes, [7, 8, 9]);
        let shown = |po| {
            let row = history.rows().find(|(it, _)| *it == po);
            row.map(|(_, row)| row[0].public_since())
        };
        assert_eq!([shown("B"), shown("C")], [Some(Some(2)); 2]);
        let old = history.rows().filter(|(po, _)| po.starts_with("old"));
        let old: Vec<_> = old.map(|(_, row)| row[0].public_since()).collect();
        assert!((100..300).contains(&old.len()), "{}", old.len());
        assert!(old.iter().all(|since| *since == Some(1)));
    }

    #[test]
    fn a_closed_log_tells_of_each_cell_what_the_versions_showed_last_and_before_all() {
        let sampled: Sample = serde_json::from_str("[1,2]").unwrap();
        let version = |hash, upto, sample| {
            let next = Public::next(hash, upto, None, sample);
            Frame::telling(vec![next, Public::confirmed(None)])
        };
        let frames = [
            version(7, 0, Some(sampled.clone())),
            Frame::of(vec![update("A", "1", "x"), update("B", "1", "y")]),
            version(8, 2, None),
            Frame::of(vec![update("A", "2", "1"), update("gone", "1", "")]),
            version(9, 4, None),
        ];
        let closed = compact(
            &history(&frames),
            Some(sampled.clone()),
            Vec::new(),
            |po, _| po != "gone",
        );
        assert_eq!(sample(&closed), Some(&sampled));
        let history = history(&closed);
        let hashes: Vec<_> = history
            .versions()
            .iter()
            .map(|version| version.hash)
            .collect();
        assert_eq!(hashes, [7, 8, 9]);
        assert!(
            history
                .versions()
                .iter()
                .all(|version| version.is_confirmed)
        );
        let seen = |po| -> Vec<&str> {
            let past = history.cell(po, "note").unwrap();
            (0..3)
                .map(|version| past.seen_in(version)[0].as_str())
                .collect()
        };
        assert_eq!(seen("A"), ["x", "1", "2"]);
        assert_eq!(seen("B"), ["y", "1", "1"]);
        assert!(history.cell("gone", "note").is_none());
    }
}
