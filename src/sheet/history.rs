//! What the public versions of a sheet showed, of each cell that tickoff wrote.
//!
//! The journal holds every update in order, and between them which version was made public and how many of
//! the journal's frames it showed. From that follows what anybody can have seen who had one of these
//! versions open: [`judge`](super::judge) compares a save with it.

use std::collections::{HashMap, HashSet};

use compact_str::CompactString;

use crate::disk::ContentHash;
use crate::domain::columns::same_column;
use crate::domain::may_return;
use crate::sheet::change::{Before, CellUpdate, RowUpdate};
use crate::sheet::row_of::RowOf;

/// How many old versions are told to a log that begins anew, and judged saves to one that is closed.
const MAX_OLD: usize = 1_000;

/// The versions that were public while a journal was kept, and the values that its updates gave to cells.
///
/// Several processes announce versions, and one that was planned earlier may come later and show less, or never
/// take the name at all. So what the versions showed is worked out once all is known of them.
#[derive(Debug, Default)]
pub(crate) struct History {
    /// In the order in which they became public.
    versions: Vec<PublicVersion>,
    rows: HashMap<CompactString, Vec<Past>>,
    /// Of keys that stand in several rows, those in which other programs wrote something of their own, and the
    /// cells in which they did.
    single: HashMap<CompactString, Vec<(RowOf, Vec<Past>)>>,
    /// The cells that were written, in the journal's order: the number of the frame, key, place of the row among
    /// the `single` ones, place of the cell among the row's.
    written: Vec<(u64, CompactString, Option<usize>, usize)>,
    /// Saves of other programs that lacked results, with how many versions there were then.
    judged: Vec<(usize, ContentHash)>,
    /// What had no place in the sheet when it was written, or must not be written.
    unplaced: Vec<RowUpdate>,
    /// Columns that results added, but for those of the original system.
    added: Vec<CompactString>,
}

/// One version that was made public.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct PublicVersion {
    pub(crate) hash: ContentHash,
    /// The number of the frame that tells of it. Two processes may announce the same contents.
    pub(crate) frame: u64,
    /// It shows the updates of so many of the journal's frames; a save those of its own frame besides.
    pub(crate) upto: u64,
    /// Whether another program saved it.
    is_save: bool,
    /// Whether it is known to have taken the sheet's name.
    pub(crate) is_confirmed: bool,
    /// It is known never to have taken it: nobody can have seen it.
    pub(crate) has_failed: bool,
}

/// What one cell showed.
#[derive(Debug, Clone)]
pub(crate) struct Past {
    /// As its first update names it.
    pub(crate) column: CompactString,
    /// Before the first update; several values where the key stands in several rows.
    pub(crate) before: Before,
    /// Each update: the number of its frame, and the value.
    updates: Vec<(u64, CompactString)>,
    /// From which version on it showed which update; `None` is what it held before. Versions strictly increase.
    shown: Vec<(usize, Option<usize>)>,
    /// The value that tickoff gave it last.
    pub(crate) last: CompactString,
    /// Whether that is another program's, which was taken over.
    pub(crate) is_outside: bool,
    /// The first of the latest versions that show its last update, and not only a value that is the same.
    shows_last: Option<usize>,
}

/// What others wrote in cells.
pub(crate) fn edits(cells: &[Past]) -> impl Iterator<Item = (&str, &str)> + Clone {
    let edits = cells.iter().filter(|past| past.is_outside);
    edits.map(|past| (past.column.as_str(), past.last.as_str()))
}

impl Past {
    /// From which version on the cell showed which values, beginning with the first update. One that gives a cell
    /// the value that it has is another update all the same.
    pub(crate) fn shown(&self) -> impl Iterator<Item = (usize, &[CompactString])> {
        let shown = self.shown.iter();
        shown.map(|(version, update)| (*version, self.values(*update)))
    }

    fn values(&self, update: Option<usize>) -> &[CompactString] {
        update.map_or(&self.before, |update| {
            std::slice::from_ref(&self.updates[update].1)
        })
    }

    /// What a reader of this version saw in the cell.
    pub(crate) fn seen_in(&self, version: usize) -> &[CompactString] {
        let later = self.shown.partition_point(|(first, _)| *first <= version);
        let shown = later.checked_sub(1).and_then(|at| self.shown[at].1);
        self.values(shown)
    }

    /// Whether a reader of this version saw the last update, and not only a value that is the same.
    pub(crate) fn has_shown_last(&self, version: usize) -> bool {
        self.shows_last.is_some_and(|first| first <= version)
    }

    /// Whether the cell held this text at any time before its last value.
    pub(crate) fn had(&self, text: &str) -> bool {
        let mut before = self.before.iter();
        let mut updates = self.updates.iter();
        before.any(|before| *before == text) || updates.any(|(_, value)| *value == text)
    }

    /// The values that updates gave to it, the last one at the end.
    pub(crate) fn written(&self) -> impl Iterator<Item = &CompactString> {
        self.updates.iter().map(|(_, value)| value)
    }

    /// What the cell held before its last update.
    pub(crate) fn earlier(&self) -> impl Iterator<Item = &str> {
        let before = self.before.iter().map(CompactString::as_str);
        let updates = self.updates.split_last();
        let updates = updates.into_iter().flat_map(|(_, earlier)| earlier);
        before.chain(updates.map(|(_, value)| value.as_str()))
    }

    /// The version that shows the last value first; `None` if none shows it yet.
    pub(crate) fn public_since(&self) -> Option<usize> {
        let (version, update) = *self.shown.last()?;
        (self.updates[update?].1 == self.last).then_some(version)
    }

    /// The update that gives the cell its last value, as if there had been no other.
    pub(crate) fn update(&self) -> CellUpdate {
        CellUpdate {
            column: self.column.clone(),
            value: self.last.clone(),
            before: self.before.clone(),
            outside: self.is_outside,
        }
    }

    fn new(cell: &CellUpdate) -> Past {
        Past {
            column: cell.column.clone(),
            before: cell.before.clone(),
            updates: Vec::new(),
            shown: Vec::new(),
            last: cell.value.clone(),
            is_outside: false,
            shows_last: None,
        }
    }

    fn wrote(&mut self, frame: u64, cell: &CellUpdate) {
        self.updates.push((frame, cell.value.clone()));
        self.last = cell.value.clone();
        self.is_outside = cell.outside;
    }

    /// Notes which update this version shows, if that is another one than in the version before it.
    fn show(&mut self, number: usize, version: &PublicVersion) {
        let latest = |end: u64| {
            let until = self.updates.partition_point(|(frame, _)| *frame < end);
            until.checked_sub(1)
        };
        let own = latest(version.frame + 1)
            .filter(|at| version.is_save && self.updates[*at].0 == version.frame);
        let update = own.or_else(|| latest(version.upto));
        let shows_last = update.is_some_and(|at| at + 1 == self.updates.len());
        self.shows_last = self.shows_last.or(Some(number)).filter(|_| shows_last);
        if update != self.shown.last().and_then(|(_, update)| *update) {
            self.shown.push((number, update));
        }
    }
}

impl History {
    /// A result added this column.
    pub(crate) fn added(&mut self, name: &CompactString) {
        if !self.added.iter().any(|known| same_column(known, name)) {
            self.added.push(name.clone());
        }
    }

    /// The name under which a column that a save lacks may be added again.
    pub(crate) fn addable<'n>(&'n self, name: &'n str) -> Option<&'n str> {
        let mut added = self.added.iter().map(CompactString::as_str);
        may_return(name).or_else(|| added.find(|added| same_column(added, name)))
    }

    /// Takes an update of the frame with this number.
    pub(crate) fn wrote(&mut self, frame: u64, update: &RowUpdate) {
        // What had a place knows what the cell held before.
        let (placed, without) = update
            .cells
            .iter()
            .partition::<Vec<_>, _>(|cell| !cell.before.is_empty() && !update.aside);
        if !without.is_empty() {
            self.unplaced.push(RowUpdate {
                po: update.po.clone(),
                cells: without.into_iter().cloned().collect(),
                aside: update.aside,
                row: None,
            });
        }
        if placed.is_empty() {
            return;
        }
        let row = self.rows.entry(update.po.clone()).or_default();
        let Some(single) = &update.row else {
            let singles = self.single.get_mut(&update.po);
            let mut singles: Vec<&mut Vec<Past>> =
                singles.into_iter().flatten().map(|(_, row)| row).collect();
            for cell in placed {
                let at = place_of(row, &cell.column).unwrap_or_else(|| {
                    row.push(Past::new(cell));
                    row.len() - 1
                });
                row[at].wrote(frame, cell);
                for single in &mut singles {
                    if let Some(at) = place_of(single, &cell.column) {
                        single[at].wrote(frame, cell);
                    }
                }
                self.written.push((frame, update.po.clone(), None, at));
            }
            return;
        };
        let singles = self.single.entry(update.po.clone()).or_default();
        let known = singles.iter().position(|(known, _)| known == single);
        let number = known.unwrap_or_else(|| {
            singles.push((single.clone(), Vec::new()));
            singles.len() - 1
        });
        let cells = &mut singles[number].1;
        for cell in placed {
            let at = place_of(cells, &cell.column).unwrap_or_else(|| {
                // Until now it showed what all rows of the key did.
                let all = place_of(row, &cell.column).map(|at| row[at].clone());
                cells.push(all.unwrap_or_else(|| Past::new(cell)));
                cells.len() - 1
            });
            cells[at].wrote(frame, cell);
            self.written
                .push((frame, update.po.clone(), Some(number), at));
        }
    }

    /// Takes a version that is about to take the sheet's name, and shows so many frames; the frame with this
    /// number tells it.
    pub(crate) fn published(&mut self, hash: ContentHash, upto: u64, frame: u64) {
        self.versions.push(PublicVersion {
            hash,
            frame,
            upto,
            is_save: false,
            is_confirmed: false,
            has_failed: false,
        });
    }

    /// Another program saved a version whose author knew the last one: it shows the same, and the updates of
    /// the frame with this number.
    pub(crate) fn saved(&mut self, hash: ContentHash, frame: u64) {
        self.versions.push(PublicVersion {
            hash,
            frame,
            upto: 0,
            is_save: true,
            is_confirmed: true,
            has_failed: false,
        });
    }

    /// The version that this frame announced is known never to have taken the sheet's name.
    pub(crate) fn failed(&mut self, frame: u64) {
        if let Some(version) = self.told_by(frame) {
            version.has_failed = true;
        }
    }

    fn told_by(&mut self, frame: u64) -> Option<&mut PublicVersion> {
        let mut latest = self.versions.iter_mut().rev();
        latest.find(|version| version.frame == frame)
    }

    /// Works out what each version showed, in time linear in what changed from one to the next.
    pub(crate) fn settle(&mut self) {
        let singles = self.single.values_mut().flatten();
        let singles = singles.flat_map(|(_, row)| row);
        for past in self.rows.values_mut().flatten().chain(singles) {
            past.shown.clear();
            past.shows_last = None;
        }
        let written = &self.written;
        let before = |frame: u64| written.partition_point(|(written, ..)| *written < frame);
        let (mut upto, mut own) = (0, 0..0);
        for (number, version) in self.versions.iter_mut().enumerate() {
            if version.has_failed {
                continue;
            }
            if version.is_save {
                version.upto = upto;
            }
            let (from, to) = (before(upto), before(version.upto));
            let mut changed = written[from.min(to)..from.max(to)].to_vec();
            changed.extend_from_slice(&written[own]);
            own = match version.is_save {
                true => before(version.frame)..before(version.frame + 1),
                false => 0..0,
            };
            changed.extend_from_slice(&written[own.clone()]);
            for (_, po, single, at) in changed {
                let singles = self.single.get_mut(&po);
                let mut singles = singles.into_iter().flatten().map(|(_, row)| row);
                if let Some(single) = single {
                    let row = singles.nth(single).expect("it was written");
                    row[at].show(number, version);
                    continue;
                }
                let row = self.rows.get_mut(&po).expect("it was written");
                row[at].show(number, version);
                for single in singles {
                    if let Some(at) = place_of(single, &row[at].column) {
                        single[at].show(number, version);
                    }
                }
            }
            upto = version.upto;
        }
    }

    /// Another program saved a version without results that its author cannot have known.
    pub(crate) fn judged(&mut self, hash: ContentHash) {
        self.judged.push((self.versions.len(), hash));
    }

    /// The contents of all that was public or judged, the latest [`MAX_OLD`] of them, but for one version.
    pub(crate) fn old_versions(&self, but: ContentHash) -> impl Iterator<Item = ContentHash> {
        let judged = self.judged.iter().map(|(_, hash)| *hash);
        let public = self.versions.iter().filter(|version| !version.has_failed);
        let mut old: Vec<ContentHash> = judged
            .chain(public.map(|version| version.hash))
            .filter(|hash| *hash != but)
            .collect();
        old.drain(..old.len().saturating_sub(MAX_OLD));
        old.into_iter()
    }

    /// Saves that were judged, and are not the contents of a later version.
    pub(crate) fn judged_saves(&self) -> impl Iterator<Item = ContentHash> {
        let judged = self.judged.iter().map(|(_, hash)| *hash);
        let mut judged: Vec<ContentHash> = judged.filter(|hash| self.was_judged(*hash)).collect();
        judged.drain(..judged.len().saturating_sub(MAX_OLD));
        judged.into_iter()
    }

    /// Whether these contents were public, or are those of a save that was judged.
    pub(crate) fn knows(&self, hash: ContentHash) -> bool {
        let is_public = |version: &PublicVersion| version.hash == hash && !version.has_failed;
        self.judged.iter().any(|(_, judged)| *judged == hash) || self.versions.iter().any(is_public)
    }

    /// Whether this save was judged, and no later version has these contents. One that had been public before is
    /// an older version again as soon as another one has taken its place.
    pub(crate) fn was_judged(&self, hash: ContentHash) -> bool {
        let mut versions = self.versions.iter();
        let known = versions.rposition(|version| version.hash == hash);
        let judged = self.judged.iter().rev().find(|(_, judged)| *judged == hash);
        judged.is_some_and(|&(then, _)| {
            let is_replaced = || self.versions[then..].iter().any(|it| it.is_confirmed);
            known.is_none_or(|known| known < then && !is_replaced())
        })
    }

    /// The version that this frame announced is known to have taken the sheet's name.
    pub(crate) fn confirmed(&mut self, frame: u64) {
        if let Some(version) = self.told_by(frame) {
            version.is_confirmed = true;
        }
    }

    pub(crate) fn unplaced(&self) -> &[RowUpdate] {
        &self.unplaced
    }

    /// Results that had no place when they were written, and have one by this frame, since their row or column came
    /// back: `shows` tells whether the sheet shows a cell's value. What it held before is not known.
    pub(crate) fn found_their_places(
        &mut self,
        frame: u64,
        shows: impl Fn(&str, &CellUpdate) -> bool,
    ) {
        for mut update in std::mem::take(&mut self.unplaced) {
            if update.aside {
                self.unplaced.push(update);
                continue;
            }
            update.cells.retain(|cell| shows(&update.po, cell));
            for cell in &mut update.cells {
                cell.before = Before::from_elem(CompactString::default(), 1);
            }
            self.wrote(frame, &update);
        }
    }

    pub(crate) fn versions(&self) -> &[PublicVersion] {
        &self.versions
    }

    /// Whether nothing was ever written.
    pub(crate) fn is_empty(&self) -> bool {
        self.rows.is_empty()
    }

    /// The rows that were written to: key, and its cells.
    pub(crate) fn rows(&self) -> impl Iterator<Item = (&CompactString, &[Past])> {
        self.rows.iter().map(|(po, row)| (po, row.as_slice()))
    }

    /// The keys that have a value which tickoff wrote.
    pub(crate) fn results(&self) -> impl Iterator<Item = &str> {
        let rows = self.rows();
        rows.filter(|(_, row)| row.iter().any(|past| !past.is_outside))
            .map(|(po, _)| po.as_str())
    }

    /// The rows of a key in which other programs wrote something of their own, and the cells in which they did.
    pub(crate) fn single_rows(&self, po: &str) -> &[(RowOf, Vec<Past>)] {
        self.single.get(po).map_or(&[], Vec::as_slice)
    }

    /// The columns of everything that was written.
    pub(crate) fn columns(&self) -> HashSet<&str> {
        self.cells().map(|(_, past)| past.column.as_str()).collect()
    }

    /// Key and cell of everything that was written.
    pub(crate) fn cells(&self) -> impl Iterator<Item = (&str, &Past)> {
        self.rows()
            .flat_map(|(po, row)| row.iter().map(move |past| (po.as_str(), past)))
    }

    /// Whether anything of this key's was written.
    pub(crate) fn has_row(&self, po: &str) -> bool {
        self.rows.contains_key(po)
    }

    /// What was written of a key's cells.
    pub(crate) fn row(&self, po: &str) -> Option<&[Past]> {
        self.rows.get(po).map(Vec::as_slice)
    }

    /// One cell that was written.
    pub(crate) fn cell(&self, po: &str, column: &str) -> Option<&Past> {
        let row = self.rows.get(po)?;
        row.iter().find(|past| same_column(&past.column, column))
    }
}

fn place_of(row: &[Past], column: &str) -> Option<usize> {
    row.iter()
        .position(|past| same_column(&past.column, column))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn update(value: &str, before: &str) -> RowUpdate {
        RowUpdate {
            po: "P".into(),
            cells: vec![CellUpdate {
                column: "Note".into(),
                value: value.into(),
                before: smallvec::smallvec![before.into()],
                outside: false,
            }],
            aside: false,
            row: None,
        }
    }

    fn seen(history: &History) -> Vec<&str> {
        let past = history.cell("P", " note").unwrap();
        let versions = 0..history.versions().len();
        versions.map(|k| past.seen_in(k)[0].as_str()).collect()
    }

    #[test]
    fn a_version_shows_the_frames_that_were_there_when_it_was_planned() {
        let mut history = History::default();
        history.published(1, 1, 0);
        history.wrote(1, &update("a", "x"));
        history.wrote(2, &update("b", "a"));
        history.published(2, 2, 3);
        history.wrote(4, &update("c", "b"));
        history.published(3, 5, 5);
        history.wrote(6, &update("d", "c"));
        history.settle();
        assert_eq!(seen(&history), ["x", "a", "c"]);
        let past = history.cell("P", "NOTE").unwrap();
        assert_eq!((past.last.as_str(), past.public_since()), ("d", None));
        assert!(history.cell("Q", "note").is_none());
    }

    #[test]
    fn a_save_shows_what_the_last_version_did_and_what_its_author_changed() {
        let mut history = History::default();
        history.published(1, 0, 0);
        history.wrote(0, &update("ours", "x"));
        history.wrote(1, &update("theirs", "x"));
        history.saved(2, 1);
        history.settle();
        assert_eq!(seen(&history), ["x", "theirs"]);
        assert!(history.versions()[1].is_confirmed);
    }

    #[test]
    fn what_is_written_in_one_row_of_a_key_is_of_that_row_until_the_next_result() {
        let mut history = History::default();
        let row: RowOf = serde_json::from_str(r#"{"cells":[["NOTE","a"]]}"#).unwrap();
        history.published(1, 0, 0);
        history.wrote(1, &update("ours", "x"));
        history.published(2, 2, 2);
        let theirs = RowUpdate {
            row: Some(row.clone()),
            ..update("theirs", "ours")
        };
        history.wrote(3, &theirs);
        history.saved(3, 3);
        history.wrote(4, &update("later", "theirs"));
        history.published(4, 5, 5);
        history.settle();
        assert_eq!(seen(&history), ["x", "ours", "ours", "later"]);
        let [(known, cells)] = history.single_rows("P") else {
            panic!()
        };
        assert_eq!(known, &row);
        let seen: Vec<&str> = (0..4)
            .map(|version| cells[0].seen_in(version)[0].as_str())
            .collect();
        assert_eq!(seen, ["x", "ours", "theirs", "later"]);
    }

    #[test]
    fn a_version_that_was_planned_earlier_shows_less_than_the_one_before_it() {
        let mut history = History::default();
        history.published(1, 0, 0);
        history.wrote(1, &update("a", "x"));
        history.wrote(2, &update("b", "a"));
        history.published(2, 3, 3);
        history.published(3, 2, 4);
        history.settle();
        assert_eq!(seen(&history), ["x", "b", "a"]);
        assert_eq!(
            history.cell("P", "note").unwrap().public_since(),
            None,
            "the last version does not show it"
        );
        history.failed(3);
        history.settle();
        assert_eq!(seen(&history), ["x", "x", "a"]);
        history.published(4, 5, 5);
        history.settle();
        assert_eq!(seen(&history), ["x", "x", "a", "b"]);
    }

    #[test]
    fn an_update_to_the_same_value_is_another_one() {
        let mut history = History::default();
        history.published(1, 0, 0);
        history.wrote(1, &update("a", "x"));
        history.published(2, 2, 2);
        history.wrote(3, &update("a", "a"));
        history.published(3, 4, 4);
        history.settle();
        let past = history.cell("P", "note").unwrap();
        assert_eq!(past.shown().count(), 2);
        assert!(!past.has_shown_last(1) && past.has_shown_last(2));
    }

    #[test]
    fn a_version_that_failed_is_not_taken_for_another_ones_with_the_same_contents() {
        let mut history = History::default();
        history.published(1, 0, 0);
        history.published(2, 0, 1);
        history.published(2, 0, 2);
        history.failed(2);
        history.confirmed(1);
        let versions = history.versions().iter();
        let known: Vec<_> = versions
            .map(|it| (it.is_confirmed, it.has_failed))
            .collect();
        assert_eq!(known, [(false, false), (true, false), (false, true)]);
    }

    #[test]
    fn a_save_that_was_judged_is_known_until_its_contents_are_public_again() {
        let mut history = History::default();
        history.published(1, 0, 0);
        history.judged(7);
        assert!(history.was_judged(7) && !history.was_judged(1));
        history.published(7, 0, 1);
        assert!(!history.was_judged(7));
    }

    #[test]
    fn an_older_version_that_was_gone_on_with_is_judged_until_another_one_took_its_place() {
        let mut history = History::default();
        history.published(1, 0, 0);
        history.published(2, 0, 1);
        history.confirmed(1);
        history.judged(1);
        history.published(3, 0, 2);
        assert!(history.was_judged(1));
        history.confirmed(2);
        assert!(!history.was_judged(1));
    }
}
