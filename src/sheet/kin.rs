//! Whether two sheets are of the same rows, told from a sample of their keys.
//!
//! The sample is the [`SIZE`] keys whose hashes are the smallest: which these are depends on nothing but the
//! keys, so that what is left of a sheet after rows came and went has nearly the same sample (bottom-k
//! sketch; Cohen and Kaplan, 2007). Keys are compared as values: a spreadsheet makes 12 of 0012.

use std::collections::{BinaryHeap, HashSet};

use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::sheet::table::Sheet;

/// How many keys a sample has at most.
const SIZE: usize = 256;

/// The smallest hashes of a sheet's keys, ascending.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(transparent)]
pub(crate) struct Sample(Vec<u64>);

impl Sample {
    pub(crate) fn of(sheet: &Sheet) -> Sample {
        let mut smallest = BinaryHeap::with_capacity(SIZE + 1);
        for hash in hashes(sheet) {
            if smallest.len() < SIZE {
                smallest.push(hash);
            } else if smallest.peek().is_some_and(|largest| hash < *largest) {
                smallest.pop();
                smallest.push(hash);
            }
        }
        let mut smallest = smallest.into_sorted_vec();
        smallest.dedup();
        Sample(smallest)
    }

    /// Whether three in four of the sampled keys are in the sheet, or three in four of its keys are among those
    /// that were sampled, as far as the sample tells. Two sheets without keys are kin. Of a short sheet a few
    /// keys that somebody corrects are many.
    pub(crate) fn is_kin_of(&self, sheet: &Sheet) -> bool {
        let sampled: HashSet<u64> = self.0.iter().copied().collect();
        let there: HashSet<u64> = hashes(sheet)
            .filter(|hash| sampled.contains(hash))
            .collect();
        if there.len() * 4 >= sampled.len() * 3 {
            return true;
        }
        let Sample(theirs) = Sample::of(sheet);
        let told = match self.0.last() {
            Some(&largest) if self.0.len() == SIZE => largest,
            _ => u64::MAX,
        };
        let told = theirs.iter().take_while(|hash| **hash <= told);
        let (ours, all) = told.fold((0, 0), |(ours, all), hash| {
            (ours + usize::from(sampled.contains(hash)), all + 1)
        });
        all > 0 && ours * 4 >= all * 3
    }
}

fn hashes(sheet: &Sheet) -> impl Iterator<Item = u64> {
    sheet.all_rows().filter_map(|row| {
        let key = sheet.key(row);
        let key = key.trim();
        let is_number =
            !key.is_empty() && key.len() <= 18 && key.bytes().all(|b| b.is_ascii_digit());
        let key = if is_number {
            key.trim_start_matches('0')
        } else {
            key
        };
        (is_number || !key.is_empty()).then(|| xxh3_64(key.as_bytes()))
    })
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::disk::Snapshot;
    use crate::sheet::options::Options;

    fn sheet(keys: impl Iterator<Item = String>) -> Sheet {
        let rows: String = keys.map(|key| format!("{key}\n")).collect();
        let bytes = Snapshot::Owned(format!("PO_NUMBER\n{rows}").into_bytes());
        Sheet::build(bytes, Path::new("in.csv"), &Options::default()).unwrap()
    }

    fn numbered(prefix: &str, range: std::ops::Range<usize>) -> Sheet {
        sheet(range.map(|i| format!("{prefix}{i}")))
    }

    #[track_caller]
    fn check(one: &Sheet, other: &Sheet, is_kin: bool) {
        assert_eq!(Sample::of(one).is_kin_of(other), is_kin);
    }

    #[test]
    fn a_sheet_is_kin_of_what_is_left_or_has_grown_of_it() {
        for rows in [10, 200, 5000] {
            let one = numbered("PO", 0..rows);
            check(&one, &numbered("PO", 0..rows), true);
            check(&one, &numbered("PO", 0..rows / 2), true);
            check(&one, &numbered("PO", 0..rows * 3), true);
            check(&one, &numbered("PO", rows..rows * 2), false);
            check(&one, &numbered("PO", rows / 2..rows * 3 / 2), false);
            check(&one, &numbered("PO", rows / 5..rows * 6 / 5), true);
        }
    }

    #[test]
    fn keys_are_compared_as_values() {
        check(
            &sheet((1..50).map(|i| format!("{i:06}"))),
            &sheet((1..50).map(|i| format!(" {i}"))),
            true,
        );
        check(&numbered("0x", 0..9), &numbered("x", 0..9), false);
    }

    #[test]
    fn a_sheet_without_rows_is_kin_of_none_with_rows() {
        check(&numbered("P", 0..9), &numbered("P", 0..0), false);
    }
}
