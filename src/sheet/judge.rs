//! What a save of another program means: which version its author had open, and from that for each cell
//! that tickoff wrote whose hand was the later one.
//!
//! A file does not tell when it was opened. Two traces do. *Seen* is the latest version of which a
//! LAST_PROCESSED, of any stage, stands in the save that its cell showed in no version before: nobody writes
//! that by chance. *Near* is the version from which the save differs in the fewest of the cells that tickoff wrote; without
//! any time, of several that are as near the first and the last.
//! A cell is judged against both. What its author saw there and changed is the author's; what is only
//! missing because the author could not know it is ours; where the two traces differ about a cell, nothing
//! is taken away and it is said.
//!
//! Tried on generated histories (the tests below): with "any result that stands" as evidence four of five
//! stale saves took results away, since a value may come back by chance (an empty message, a count). So a
//! value is no evidence if its cell had it before. Values are compared as what they mean, because programs
//! write numbers and times in their own way. That decides who saw what: a cell that shows, letter for letter, what
//! its author had open gets the text that was written to it since, though it may mean the same.

use std::borrow::Cow;

use crate::disk::ContentHash;
use crate::domain::columns::{LAST_PROCESSED, STATUS};
use crate::domain::{ProcessingStatus, is_same_time, stage_prefix};
use crate::sheet::history::{History, Past, PublicVersion};

/// Which version the author of a save can have had open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Reading {
    /// The save is this version, byte for byte: a number into [`History::versions`].
    Known(usize),
    /// One of these; `low` and `high` are the two that the traces name.
    Between { low: usize, high: usize },
    /// It is a save that was judged before: what was its author's has been taken over, all else is ours.
    Judged,
    /// It shows nothing that only a reader of our versions can know. `near`, the first and the last of the nearest,
    /// is `None` if it could: then its author had a version from before all results, or another sheet.
    NoTrace { near: Option<(usize, usize)> },
}

/// Whose value a cell keeps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Verdict {
    /// Both are the same.
    Same,
    /// The save's author did not know our value.
    Ours,
    /// The save's author saw our value, and changed it.
    Theirs,
    /// The save's author did not know our value, and has written another one.
    Conflict,
    /// The traces name two versions, and they tell different things: ours stays, and it is said.
    Unclear,
}

impl Reading {
    /// Reads a save. `cell` gives the save's value of a key's cell, `None` where it has no such row; a column that
    /// it does not have, by `has_column`, shows nothing.
    pub(crate) fn of<'s>(
        history: &History,
        hash: ContentHash,
        has_column: impl Fn(&str) -> bool,
        cell: impl Fn(&str, &str) -> Option<Cow<'s, str>>,
    ) -> Reading {
        let versions = history.versions();
        if history.was_judged(hash) {
            return Reading::Judged;
        }
        let is_known = |version: &PublicVersion| version.hash == hash && !version.has_failed;
        if let Some(known) = versions.iter().rposition(is_known) {
            return Reading::Known(known);
        }
        let mut seen = None;
        // A column that is not there tells nothing.
        let mut has_time_column = false;
        let mut first_time = None;
        // How many more cells differ from the save in this version than in the one before it.
        let mut more = vec![0_i64; versions.len().max(1)];
        for (po, past) in history.cells() {
            let Some(theirs) = cell(po, &past.column) else {
                continue;
            };
            let is_time = stage_prefix(&past.column, LAST_PROCESSED).is_some();
            has_time_column |= is_time && (has_time_column || has_column(&past.column));
            if is_time && let Some((first, _)) = past.shown().next() {
                first_time = Some(first_time.map_or(first, |time: usize| time.min(first)));
            }
            if theirs.is_empty() && !has_column(&past.column) {
                continue;
            }
            let mut differs = !is_any(past, &past.before, &theirs);
            let mut is_new = differs;
            more[0] += i64::from(differs);
            for (version, values) in past.shown() {
                let now_differs = !is_any(past, values, &theirs);
                more[version] += i64::from(now_differs) - i64::from(differs);
                differs = now_differs;
                if !differs && is_new {
                    is_new = false;
                    if is_time {
                        seen = seen.max(Some(version));
                    }
                }
            }
        }
        let (mut first_near, mut near) = (0, 0);
        let (mut count, mut fewest, mut before_times) = (0, i64::MAX, i64::MAX);
        for (version, more) in more.into_iter().enumerate() {
            count += more;
            let has_failed = versions.get(version).is_some_and(|it| it.has_failed);
            if count <= fewest && !has_failed {
                if count < fewest {
                    first_near = version;
                }
                (near, fewest) = (version, count);
            }
            if first_time.is_some_and(|first| version < first) {
                before_times = before_times.min(count);
            }
        }
        match seen {
            Some(seen) => Reading::Between {
                low: seen.min(near),
                high: seen.max(near),
            },
            // Where the times were removed, all else has to tell that their author saw them.
            None => Reading::NoTrace {
                near: (first_time.is_none() || !has_time_column && fewest < before_times)
                    .then_some((first_near, near)),
            },
        }
    }

    /// The same of a save whose author cannot have had a later version.
    pub(crate) fn at_most(self, version: usize) -> Reading {
        match self {
            Reading::Known(known) => Reading::Known(known.min(version)),
            Reading::Between { low, high } => Reading::Between {
                low: low.min(version),
                high: high.min(version),
            },
            Reading::NoTrace { near } => Reading::NoTrace {
                near: near.map(|(first, last)| (first.min(version), last.min(version))),
            },
            Reading::Judged => Reading::Judged,
        }
    }

    /// Whether the save's author knew all that this version shows, and nobody else did otherwise.
    pub(crate) fn is_of(self, version: usize) -> bool {
        match self {
            Reading::Known(known) => known >= version,
            Reading::Between { low, high } => low == high && low >= version,
            Reading::NoTrace { near } => near.is_some_and(|(first, _)| first >= version),
            Reading::Judged => false,
        }
    }

    /// Whether the save's author saw what was written last to a cell.
    pub(crate) fn knows(self, past: &Past) -> bool {
        match self {
            Reading::Judged => true,
            Reading::Known(version) | Reading::Between { low: version, .. } => {
                past.has_shown_last(version)
            }
            Reading::NoTrace { near } => near.is_some_and(|(first, _)| past.has_shown_last(first)),
        }
    }

    /// Whose value a cell keeps that a save shows so.
    pub(crate) fn verdict(self, past: &Past, theirs: &str) -> Verdict {
        if past.last == theirs {
            return Verdict::Same;
        }
        let is_same = is_same(&past.column, &past.last, theirs);
        let (low, high) = match self {
            Reading::Judged if is_same && !past.had(theirs) => return Verdict::Same,
            Reading::Judged => return Verdict::Ours,
            Reading::Known(version) => (version, version),
            Reading::Between { low, high } => (low, high),
            Reading::NoTrace { near } => near.unwrap_or((0, 0)),
        };
        if is_same {
            // A program that writes numbers and times in its own way is let be, but an old text is not ours.
            let is_old = |version| past.seen_in(version).iter().any(|seen| *seen == theirs);
            return match is_old(low) || is_old(high) {
                true => Verdict::Ours,
                false => Verdict::Same,
            };
        }
        let under = |version| {
            let seen = past.seen_in(version);
            if is_any(past, seen, theirs) {
                Verdict::Ours
            } else if is_any(past, seen, &past.last) && past.has_shown_last(version) {
                Verdict::Theirs
            } else {
                Verdict::Conflict
            }
        };
        match (under(low), under(high)) {
            (low, high) if low == high => low,
            // It is an edit all the same, of another program's value.
            (Verdict::Conflict, Verdict::Theirs) | (Verdict::Theirs, Verdict::Conflict)
                if past.is_outside =>
            {
                Verdict::Conflict
            }
            _ => Verdict::Unclear,
        }
    }
}

fn is_any(past: &Past, values: &[impl AsRef<str>], other: &str) -> bool {
    let mut values = values.iter();
    values.any(|value| is_same(&past.column, value.as_ref(), other))
}

/// Whether two values of a column mean the same: blanks count for nothing, numbers that a spreadsheet may have
/// written are compared as numbers, times as times, statuses as statuses.
pub(crate) fn is_same(column: &str, a: &str, b: &str) -> bool {
    if a == b {
        return true;
    }
    let (a, b) = (a.trim(), b.trim());
    if stage_prefix(column, STATUS).is_some() {
        return ProcessingStatus::parse(a) == ProcessingStatus::parse(b);
    }
    a == b || matches!((number(a), number(b)), (Some(a), Some(b)) if a == b) || is_same_time(a, b)
}

/// Whether a spreadsheet may have made one of the other: it also takes the zeros before a number away.
pub(crate) fn may_be_same(column: &str, a: &str, b: &str) -> bool {
    let digits = |text: &str| digits(text.trim());
    is_same(column, a, b) || matches!((digits(a), digits(b)), (Some(a), Some(b)) if a == b)
}

/// A number as a spreadsheet writes it. One with a zero before its digits, or a plus sign, is a text that somebody
/// means so: a postal code, a telephone number.
fn number(text: &str) -> Option<f64> {
    let unsigned = text.strip_prefix('-').unwrap_or(text).as_bytes();
    let is_text = matches!(unsigned, [b'0', b'0'..=b'9', ..] | [b'+', ..]);
    digits(text).filter(|_| !is_text)
}

fn digits(text: &str) -> Option<f64> {
    let is_number = text
        .bytes()
        .all(|b| b.is_ascii_digit() || b"+-.eE".contains(&b));
    // Beyond 15 digits two numbers may be one float.
    (is_number && text.len() <= 15).then(|| text.parse().ok())?
}

#[cfg(test)]
mod tests {
    //! Generated histories: jobs end and versions become public; an author opens one and saves it later, with
    //! an edit of some kind. What each cell should become follows from what the author had open, which the
    //! judge is not told.

    use std::collections::BTreeMap;

    use compact_str::CompactString;
    use fastrand::Rng;

    use super::*;
    use crate::sheet::change::{CellUpdate, RowUpdate};

    const COLUMNS: [&str; 5] = ["STATUS", "LAST_PROCESSED", "ERROR_MESSAGE", "FOUND", "note"];
    const RESULT: usize = 4;

    type Row = [Option<String>; 5];
    type Table = BTreeMap<String, Row>;

    struct World {
        rng: Rng,
        /// How far apart results are, in seconds.
        steps: &'static [i64],
        now: i64,
        at: u64,
        current: Table,
        versions: Vec<Table>,
        history: History,
    }

    fn time(seconds: i64) -> String {
        let time = chrono::DateTime::from_timestamp(1_764_144_000 + seconds, 0).unwrap();
        crate::domain::format_timestamp(time)
    }

    impl World {
        fn new(seed: u64, rows: usize, steps: &'static [i64]) -> World {
            let mut rng = Rng::with_seed(seed);
            let row = |at: usize, rng: &mut Rng| {
                let mut row: Row = std::array::from_fn(|_| Some(String::new()));
                row[RESULT] = Some(format!("n{at}"));
                if rng.u32(..100) < 15 {
                    row[0] = Some("ERROR".into());
                    row[1] = Some(time(-1_000_000 - at as i64));
                    row[2] = Some(format!("old{at}"));
                }
                row
            };
            let current: Table = (0..rows)
                .map(|at| (format!("P{at}"), row(at, &mut rng)))
                .collect();
            let mut world = World {
                rng,
                steps,
                now: 0,
                at: 0,
                current,
                versions: Vec::new(),
                history: History::default(),
            };
            world.publish();
            world
        }

        fn update(&mut self, po: &str, values: &[(usize, String)]) {
            let row = self.current.get_mut(po).unwrap();
            let mut cells = Vec::new();
            for (column, value) in values {
                let before = row[*column].replace(value.clone()).unwrap();
                cells.push(CellUpdate {
                    column: COLUMNS[*column].into(),
                    value: value.as_str().into(),
                    before: smallvec::smallvec![CompactString::from(before)],
                    outside: false,
                });
            }
            let po = po.into();
            self.history.wrote(
                self.at,
                &RowUpdate {
                    po,
                    cells,
                    aside: false,
                    row: None,
                },
            );
            self.at += 1;
        }

        fn job(&mut self) {
            self.now += *self.rng.choice(self.steps).unwrap();
            let (now, any) = (time(self.now), self.rng.u32(..100));
            if self.rng.u32(..100) < 6 {
                let po = self.any(|_| true).unwrap();
                return self.update(&po, &[(0, "PENDING".into()), (1, now)]);
            }
            let Some(po) = self.any(|row| row[0].as_deref() != Some("COMPLETED")) else {
                return;
            };
            let found = self.rng.u32(..4).to_string();
            let texts = |texts: [&str; 3]| texts.map(str::to_owned);
            let [status, message, found] = match any {
                0..65 => texts(["COMPLETED", "", &found]),
                65..75 => texts(["ERROR", "timeout", ""]),
                75..85 => texts(["ERROR", "http 500", ""]),
                _ => texts(["NO_ATTACHMENTS", "", "0"]),
            };
            let mut values = vec![(0, status.clone()), (1, now), (2, message)];
            if status != "ERROR" {
                values.push((3, found));
            }
            self.update(&po, &values);
        }

        fn any(&mut self, is: impl Fn(&Row) -> bool) -> Option<String> {
            let all = self.current.iter().filter(|(_, row)| is(row));
            let names: Vec<String> = all.map(|(po, _)| po.clone()).collect();
            self.rng.choice(names)
        }

        fn publish(&mut self) {
            self.versions.push(self.current.clone());
            self.history
                .published(hash(&self.current), self.at, self.at);
            self.history.settle();
        }
    }

    fn hash(table: &Table) -> ContentHash {
        xxhash_rust::xxh3::xxh3_128(format!("{table:?}").as_bytes())
    }

    const KINDS: [&str; 15] = [
        "nothing",
        "note",
        "status put back",
        "row put back",
        "newest row put back",
        "many statuses put back",
        "many rows put back",
        "done by hand",
        "error by hand",
        "filled down",
        "numbers reformatted",
        "times reformatted",
        "rows of two versions",
        "messages cleared",
        "column removed",
    ];

    /// Saves what was public as version `open`; which version each row was taken from, if from another.
    fn save(world: &mut World, open: usize, kind: &str) -> (Table, BTreeMap<String, usize>) {
        let mut saved = world.versions[open].clone();
        let mut from = BTreeMap::new();
        let base = world.versions[0].clone();
        let differs = |saved: &Table, po: &str| {
            (0..RESULT).any(|c| {
                saved[po][c] != base[po][c] && world.history.cell(po, COLUMNS[c]).is_some()
            })
        };
        let results: Vec<String> = saved
            .keys()
            .filter(|po| differs(&saved, po))
            .cloned()
            .collect();
        let is_open = |row: &Row| matches!(row[0].as_deref(), Some("" | "PENDING"));
        let pending: Vec<String> = saved
            .iter()
            .filter(|(_, row)| is_open(row))
            .map(|(po, _)| po.clone())
            .collect();
        let all: Vec<String> = saved.keys().cloned().collect();
        let rng = &mut world.rng;
        let put_back = |saved: &mut Table, po: &str, columns: usize| {
            let row = saved.get_mut(po).unwrap();
            row[..columns].clone_from_slice(&base[po][..columns]);
        };
        let some = |rng: &mut Rng, of: &[String], count: usize| {
            let mut of = of.to_vec();
            rng.shuffle(&mut of);
            of.truncate(count);
            of
        };
        let set = |saved: &mut Table, po: &str, c: usize, value: &str| {
            saved.get_mut(po).unwrap()[c] = Some(value.into())
        };
        match kind {
            "note" => some(rng, &all, 2)
                .iter()
                .for_each(|po| set(&mut saved, po, RESULT, "mine")),
            "status put back" => some(rng, &results, 1)
                .iter()
                .for_each(|po| put_back(&mut saved, po, 1)),
            "row put back" => some(rng, &results, 1)
                .iter()
                .for_each(|po| put_back(&mut saved, po, RESULT)),
            "newest row put back" => {
                if let Some(po) = results.iter().max_by_key(|po| saved[*po][1].clone()) {
                    put_back(&mut saved, po, RESULT);
                }
            }
            "many statuses put back" => some(rng, &results, results.len().div_ceil(3) * 2)
                .iter()
                .for_each(|po| put_back(&mut saved, po, 1)),
            "many rows put back" => some(rng, &results, results.len() * 2 / 3)
                .iter()
                .for_each(|po| put_back(&mut saved, po, RESULT)),
            "done by hand" => some(rng, &pending, 1)
                .iter()
                .for_each(|po| set(&mut saved, po, 0, "COMPLETED")),
            "error by hand" => some(rng, &pending, 1).iter().for_each(|po| {
                set(&mut saved, po, 0, "ERROR");
                set(&mut saved, po, 2, "timeout");
            }),
            "filled down" => {
                let done: Vec<_> = all
                    .iter()
                    .filter(|po| saved[*po][0].as_deref() == Some("COMPLETED"))
                    .cloned()
                    .collect();
                if let Some(source) = rng.choice(&done) {
                    for po in some(rng, &pending, 3) {
                        for c in 0..RESULT {
                            let value = saved[source][c].clone();
                            saved.get_mut(&po).unwrap()[c] = value;
                        }
                    }
                }
            }
            "numbers reformatted" => {
                for row in saved.values_mut() {
                    if let Some(found) = row[3].as_mut().filter(|found| !found.is_empty()) {
                        found.push_str(".0");
                    }
                }
                some(rng, &all, 1)
                    .iter()
                    .for_each(|po| set(&mut saved, po, RESULT, "mine"));
            }
            "times reformatted" => {
                for row in saved.values_mut() {
                    let last = row[1].as_mut().unwrap();
                    *last = last.replace('T', " ").trim_end_matches('Z').to_owned();
                }
                some(rng, &results, 1)
                    .iter()
                    .for_each(|po| put_back(&mut saved, po, 1));
            }
            "rows of two versions" => {
                let other = rng.usize(open..world.versions.len());
                for po in some(rng, &all, 2) {
                    saved.insert(po.clone(), world.versions[other][&po].clone());
                    from.insert(po, other);
                }
            }
            "messages cleared" => saved
                .values_mut()
                .for_each(|row| row[2] = Some(String::new())),
            "column removed" => saved.values_mut().for_each(|row| row[3] = None),
            _ => {}
        }
        (saved, from)
    }

    #[derive(Default, Debug, Clone, Copy)]
    struct Tally {
        histories: u32,
        /// With a result taken away.
        lost: u32,
        /// With a change that a person made on purpose taken back in silence.
        undone: u32,
        /// Where the judge said that it cannot tell.
        unclear: u32,
    }

    fn try_one(
        tally: &mut Tally,
        world: &World,
        saved: &Table,
        open: usize,
        from: &BTreeMap<String, usize>,
    ) {
        let place = |column: &str| COLUMNS.iter().position(|known| *known == column);
        let reading = Reading::of(
            &world.history,
            hash(saved),
            |column| place(column).is_some_and(|at| saved.values().any(|row| row[at].is_some())),
            |po, column| Some(saved[po][place(column)?].as_deref().unwrap_or("").into()),
        );
        let (mut lost, mut undone, mut unclear) = (false, false, false);
        for (po, past) in world.history.cells() {
            let c = COLUMNS
                .iter()
                .position(|known| *known == past.column)
                .unwrap();
            let Some(theirs) = &saved[po][c] else {
                continue;
            };
            let seen = world.versions[*from.get(po).unwrap_or(&open)][po][c]
                .as_deref()
                .unwrap();
            let ours = world.current[po][c].as_deref().unwrap();
            let kept = !is_same(COLUMNS[c], seen, theirs) && is_same(COLUMNS[c], seen, ours);
            match reading.verdict(past, theirs) {
                Verdict::Theirs => lost |= !kept,
                Verdict::Ours => undone |= kept,
                Verdict::Unclear => unclear = true,
                Verdict::Same | Verdict::Conflict => {}
            }
        }
        tally.histories += 1;
        tally.lost += u32::from(lost);
        tally.undone += u32::from(undone);
        tally.unclear += u32::from(unclear);
    }

    fn tally(kind: &str, histories: u64, steps: &'static [i64], batches: &[usize]) -> Tally {
        let mut tally = Tally::default();
        for seed in 0..histories {
            let number = KINDS.iter().position(|known| *known == kind).unwrap() as u64;
            let mut world = World::new(seed * 1000 + number, 12, steps);
            for _ in 0..world.rng.usize(2..10) {
                for _ in 0..*world.rng.choice(batches).unwrap() {
                    world.job();
                }
                world.publish();
            }
            let last = world.versions.len() - 1;
            let open = if world.rng.bool() {
                last
            } else {
                world.rng.usize(..=last)
            };
            let (saved, from) = save(&mut world, open, kind);
            if world.rng.bool() {
                world.job();
            }
            try_one(&mut tally, &world, &saved, open, &from);
        }
        tally
    }

    /// Slow jobs, each with a version of its own; and quick ones, many of a second, in batches.
    const PACES: [(&[i64], &[usize]); 2] = [(&[2, 5, 9], &[1]), (&[0, 0, 0, 1], &[1, 3, 5])];

    /// To empty all result cells of a row makes the save look like one of before that result.
    const LIKE_AN_OLD_SAVE: [&str; 3] =
        ["row put back", "newest row put back", "many rows put back"];

    #[test]
    fn a_result_that_its_author_cannot_have_seen_stays_and_what_was_changed_on_purpose_too() {
        const HISTORIES: u64 = 300;
        for (steps, batches) in PACES {
            for kind in KINDS {
                let tally = tally(kind, HISTORIES, steps, batches);
                // One in fifty: values that came back by chance, or rows of two versions in one save.
                assert!(tally.lost * 50 <= tally.histories, "{kind}: {tally:?}");
                let is_like_an_old_save = LIKE_AN_OLD_SAVE.contains(&kind);
                assert!(
                    is_like_an_old_save || tally.undone * 50 <= tally.histories,
                    "{kind}: {tally:?}"
                );
                if ["nothing", "note", "status put back", "done by hand"].contains(&kind) {
                    assert_eq!((tally.lost, tally.undone), (0, 0), "{kind}: {tally:?}");
                }
            }
        }
    }

    fn found(value: &str, before: &str, outside: bool) -> RowUpdate {
        let cell = CellUpdate {
            column: "FOUND".into(),
            value: value.into(),
            before: smallvec::smallvec![before.into()],
            outside,
        };
        RowUpdate {
            po: "P".into(),
            cells: vec![cell],
            aside: false,
            row: None,
        }
    }

    #[test]
    fn an_old_text_gives_way_to_the_new_one_though_both_mean_the_same() {
        let mut history = History::default();
        let mut at = 0;
        history.published(1, 0, 0);
        for (value, before) in [("3", "2"), ("2.0", "3")] {
            history.wrote(at, &found(value, before, false));
            at += 1;
            history.published(u128::from(at) + 1, at, at);
        }
        history.settle();
        let past = history.cell("P", "FOUND").unwrap();
        let one = |version| Reading::Between {
            low: version,
            high: version,
        };
        for (reading, theirs, verdict) in [
            // As it was before the first result, or another program's way to write the last one.
            (one(0), "2", Verdict::Ours),
            (one(0), "2.00", Verdict::Same),
            (one(1), "2", Verdict::Same),
            (one(2), "2", Verdict::Same),
            (one(2), "2.0", Verdict::Same),
            (one(2), " 2", Verdict::Same),
            (Reading::Known(0), "2", Verdict::Ours),
            (Reading::NoTrace { near: None }, "2", Verdict::Ours),
            (Reading::Between { low: 0, high: 2 }, "2", Verdict::Ours),
            (Reading::Judged, "2", Verdict::Ours),
            (Reading::Judged, "2.00", Verdict::Same),
        ] {
            assert_eq!(
                reading.verdict(past, theirs),
                verdict,
                "{reading:?} {theirs:?}"
            );
        }
    }

    #[test]
    fn an_edit_of_another_programs_value_is_one_whether_its_author_knew_that_or_not() {
        let mut history = History::default();
        history.published(1, 0, 0);
        for (at, before, value, outside) in [(0, "", "result", false), (1, "result", "edit", true)]
        {
            history.wrote(at, &found(value, before, outside));
            history.published(u128::from(at) + 2, at + 1, at + 1);
        }
        history.settle();
        let past = history.cell("P", "FOUND").unwrap();
        let between = |low, high| Reading::Between { low, high };
        for (reading, verdict) in [
            (between(1, 1), Verdict::Conflict),
            (between(1, 2), Verdict::Conflict),
            (between(2, 2), Verdict::Theirs),
        ] {
            assert_eq!(reading.verdict(past, "later"), verdict, "{reading:?}");
        }
        assert_eq!(between(1, 2).verdict(past, "result"), Verdict::Unclear);
    }

    #[test]
    fn values_are_compared_as_what_they_mean() {
        for (column, a, b, same) in [
            ("FOUND", "2", "2.0", true),
            ("FOUND", "0.50", "0.5", true),
            ("FOUND", "-2", "-2.00", true),
            ("FOUND", "1e3", "1000", true),
            ("FOUND", "0", "0.0", true),
            ("FOUND", "0012", "12", false),
            ("FOUND", "0012", "012", false),
            ("FOUND", "-012", "-12", false),
            ("FOUND", "+49", "49", false),
            ("FOUND", "00", "0", false),
            ("FOUND", "1", "", false),
            ("FOUND", "9007199254740993", "9007199254740992", false),
            ("status", "", " pending ", true),
            ("STATUS", "ERROR", "COMPLETED", false),
            (
                "LAST_PROCESSED",
                "2026-11-26T08:00:00Z",
                "2026-11-26 08:00:00",
                true,
            ),
            (
                "LAST_PROCESSED",
                "2026-11-26T08:00:00Z",
                "2026-11-26T08:00:01Z",
                false,
            ),
            ("note", "x ", "x", true),
        ] {
            assert_eq!(is_same(column, a, b), same, "{column}: {a:?} {b:?}");
        }
    }
}
