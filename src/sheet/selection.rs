//! Which of the pending POs a run processes, and in which order.
//!
//! A selection is looked up once, when the run begins, and is four bytes a PO from then on. A shuffled
//! order hangs on nothing but the seed and the POs: it is the same on every machine, and a run that
//! goes on after another one takes what is left in the order that the first one would have taken.

use std::collections::HashMap;

use xxhash_rust::xxh3::xxh3_64_with_seed;

use crate::csv::RecordIndex;
use crate::domain::columns::STATUS;
use crate::domain::{ProcessingStatus, Stage, stage_prefix};
use crate::error::{Error, Result};
use crate::sheet::condition::{Condition, InSheet};
use crate::sheet::progress::by_number;
use crate::sheet::record::CsvRecord;
use crate::sheet::table::Sheet;
use crate::text::close_to;

/// A choice among the POs that are not done, and that a run does not leave alone.
///
/// ```
/// # let folder = tempfile::tempdir()?;
/// # let path = folder.path().join("input.csv");
/// # std::fs::write(&path, "PO_NUMBER;STATUS;SUPPLIER\nPO1;;Acme\nPO2;;Globex\nPO3;;Acme\n")?;
/// use tickoff::{Options, Selection, Sheet};
///
/// let sheet = Sheet::read(&path, &Options::default())?;
/// let selection = Selection::all().whose("supplier", "Acme").limit(1);
/// let selected: Vec<_> = sheet.select(&selection)?.map(|record| record.po_number).collect();
/// assert_eq!(selected, ["PO1"]);
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Selection {
    only: Option<Vec<String>>,
    /// All must hold.
    conditions: Vec<Condition>,
    is_failed: bool,
    seed: Option<u64>,
    limit: usize,
}

impl Selection {
    /// Every PO that is not done, in the sheet's order.
    pub fn all() -> Self {
        Selection {
            only: None,
            conditions: Vec::new(),
            is_failed: false,
            seed: None,
            limit: usize::MAX,
        }
    }

    /// Of these POs alone, in the sheet's order whatever theirs is. Those with a word of STATUS that nobody
    /// knows are among them only with [`Options::take_unknown`](crate::Options::take_unknown).
    pub fn only<S: Into<String>>(mut self, pos: impl IntoIterator<Item = S>) -> Self {
        self.only = Some(pos.into_iter().map(Into::into).collect());
        self
    }

    /// Only rows in which the cell of this column is `value`, both without surrounding blanks; of
    /// several conditions all must hold. The column is matched without regard to case or surrounding
    /// blanks.
    ///
    /// A STATUS is compared as a status: an empty cell is PENDING. Result columns that a run would
    /// add are empty.
    pub fn whose(self, column: impl Into<String>, value: impl Into<String>) -> Self {
        self.matching(Condition::is(column.into(), value.into()))
    }

    /// Only rows in which this is so; of several conditions all must hold.
    pub fn matching(mut self, condition: Condition) -> Self {
        self.conditions.push(condition);
        self
    }

    /// Only rows whose last attempt failed: see [`ProcessingStatus::is_failure`].
    pub fn failed(mut self) -> Self {
        self.is_failed = true;
        self
    }

    /// In the order of the XXH3-64 hashes, with this seed, of the POs. Of the hashes the lower 32
    /// bits count, and where those are equal the sheet's order.
    pub fn shuffled(mut self, seed: u64) -> Self {
        self.seed = Some(seed);
        self
    }

    /// At most so many, the first in that order.
    pub fn limit(mut self, limit: usize) -> Self {
        self.limit = limit;
        self
    }

    /// The rows that are selected in a sheet as it is now.
    ///
    /// # Errors
    /// [`Error::UnknownPo`](crate::Error::UnknownPo), [`Error::UnknownColumn`](crate::Error::UnknownColumn),
    /// [`Error::UnknownStatus`](crate::Error::UnknownStatus), [`Error::UnknownStage`](crate::Error::UnknownStage).
    pub(crate) fn rows(&self, sheet: &Sheet) -> Result<Box<[RecordIndex]>> {
        let rows = self.pending(sheet)?;
        Ok(self.in_order(sheet, rows.filter(|&row| !sheet.is_row_left_alone(row))))
    }

    /// The rows that would be selected if their status were not a word that nobody knows.
    pub(crate) fn left_alone(&self, sheet: &Sheet) -> Result<Vec<RecordIndex>> {
        if !sheet.has_unknown_word() {
            return Ok(Vec::new());
        }
        let rows = self.pending(sheet)?;
        Ok(rows.filter(|&row| sheet.is_row_left_alone(row)).collect())
    }

    /// The rows that are not done, and of which all else holds that is asked for.
    fn pending<'s>(
        &'s self,
        sheet: &'s Sheet,
    ) -> Result<Box<dyn Iterator<Item = RecordIndex> + 's>> {
        sheet.require_stage_before()?;
        let conditions = self.conditions(sheet)?;
        let holds = move |row: &RecordIndex| {
            conditions.iter().all(|one| one.holds(sheet, *row))
                && sheet.is_done_before(*row)
                && (!self.is_failed || sheet.options().is_failure(&sheet.status_at(*row)))
        };
        Ok(match &self.only {
            None => Box::new(sheet.pending_rows().filter(holds)),
            Some(pos) => Box::new(pending_among(sheet, pos)?.into_iter().filter(holds)),
        })
    }

    fn conditions(&self, sheet: &Sheet) -> Result<Vec<InSheet<'_>>> {
        let conditions = self.conditions.iter();
        conditions
            .map(|condition| InSheet::new(sheet, condition))
            .collect()
    }

    fn in_order(
        &self,
        sheet: &Sheet,
        rows: impl Iterator<Item = RecordIndex>,
    ) -> Box<[RecordIndex]> {
        let Some(seed) = self.seed else {
            return rows.take(self.limit).collect();
        };
        let hashed = |row: RecordIndex| {
            let hash = xxh3_64_with_seed(sheet.key(row).as_bytes(), seed) as u32;
            u64::from(hash) << 32 | row.slot() as u64
        };
        let mut hashed: Vec<u64> = rows.map(hashed).collect();
        hashed.sort_unstable();
        let row = |hashed: u64| RecordIndex::from_slot(hashed as u32 as usize);
        hashed.into_iter().map(row).take(self.limit).collect()
    }
}

impl Default for Selection {
    fn default() -> Self {
        Selection::all()
    }
}

/// The rows of these POs that are not done, in the sheet's order, each once.
fn pending_among(sheet: &Sheet, pos: &[String]) -> Result<Vec<RecordIndex>> {
    let mut rows = Vec::with_capacity(pos.len());
    for po in pos {
        let row = sheet.row_for(po).ok_or_else(|| sheet.unknown_po(po))?;
        if !sheet.is_done(&sheet.status_at(row)) {
            rows.push(row);
        }
    }
    rows.sort_unstable();
    rows.dedup();
    Ok(rows)
}

impl Sheet {
    /// The words of STATUS for which a run with this selection leaves rows alone, since nobody knows them,
    /// each with the number of its POs; the commonest first.
    ///
    /// # Errors
    /// [`Error::UnknownPo`](crate::Error::UnknownPo), [`Error::UnknownColumn`](crate::Error::UnknownColumn),
    /// [`Error::UnknownStatus`](crate::Error::UnknownStatus), [`Error::UnknownStage`](crate::Error::UnknownStage).
    pub fn left_alone(&self, selection: &Selection) -> Result<Vec<(ProcessingStatus, usize)>> {
        let mut words: HashMap<ProcessingStatus, usize> = HashMap::new();
        for row in selection.left_alone(self)? {
            *words.entry(self.unknown_word(row)).or_default() += 1;
        }
        Ok(by_number(words))
    }

    /// Whether the PO of a row is done, in each of its rows, in the stage that has to come first, if one has to.
    pub(crate) fn is_done_before(&self, row: RecordIndex) -> bool {
        let Some(first) = &self.options().after else {
            return true;
        };
        let Some(column) = self.schema().position(first.status()) else {
            return false;
        };
        let is_done = |row| {
            let status = ProcessingStatus::parse(&self.cell(row, column));
            self.options().means_done(&status)
        };
        match self.has_repeated() {
            true => self.rows(&self.key(row)).all(is_done),
            false => is_done(row),
        }
    }

    /// Refuses a stage that has to come first and has no column.
    fn require_stage_before(&self) -> Result<()> {
        let first = self.options().after.as_ref().filter(|_| self.len() > 0);
        first
            .and_then(|first| self.unknown(first))
            .map_or(Ok(()), Err)
    }

    /// [`Error::UnknownStage`] if the sheet has no column yet for the stage that is worked on, as before its first
    /// run, or if its name is mistyped; [`Error::StageNotBegun`] if it is listed.
    pub fn unknown_stage(&self) -> Option<Error> {
        self.unknown(&self.options().stage)
    }

    /// Refuses the stage that is worked on if its name is like another one's, and stages are listed; says so where none
    /// is. Any other name may be that of a stage which is yet to begin.
    ///
    /// # Errors
    /// [`Error::UnknownStage`].
    pub fn refuse_mistyped_stage(&self) -> Result<()> {
        match self.unknown_stage() {
            Some(ref error @ Error::UnknownStage { ref close, .. }) if !close.is_empty() => {
                if !self.options().stages.is_empty() {
                    return Err(error.clone());
                }
                tracing::warn!("{error}");
                Ok(())
            }
            _ => Ok(()),
        }
    }

    fn unknown(&self, stage: &Stage) -> Option<Error> {
        let schema = self.schema();
        if stage.is_main() || schema.position(stage.status()).is_some() {
            return None;
        }
        let options = self.options();
        options.not_begun(stage.status()).or_else(|| {
            let is_status = |name: &&str| stage_prefix(name, STATUS).is_some();
            let columns = schema.columns().iter().map(String::as_str);
            let listed = options.stages.iter().map(Stage::status);
            let listed = listed.filter(|status| schema.position(status).is_none());
            Some(Error::UnknownStage {
                stage: stage.to_string(),
                column: stage.status().to_owned(),
                close: close_to(stage.status(), columns.filter(is_status).chain(listed)),
            })
        })
    }

    /// The rows that a run with this selection would process, in its order.
    ///
    /// # Errors
    /// [`Error::UnknownPo`](crate::Error::UnknownPo), [`Error::UnknownColumn`](crate::Error::UnknownColumn),
    /// [`Error::UnknownStatus`](crate::Error::UnknownStatus), [`Error::UnknownStage`](crate::Error::UnknownStage).
    pub fn select<'s>(
        &'s self,
        selection: &Selection,
    ) -> Result<impl Iterator<Item = CsvRecord> + use<'s>> {
        let rows = selection.rows(self)?;
        Ok(rows.into_iter().map(|row| self.record_at(row)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::disk::Snapshot;
    use crate::sheet::options::{Duplicates, Options};

    const SHEET: &str = "PO_NUMBER;status;SUPPLIER; Spend Type \nP1;;Acme;a\nP2;error;  Acme ;b\nP3;COMPLETED;Acme;a\nP4;PENDING;Globex\nP5;Strange;acme;a\n";

    fn sheet(text: &str) -> Sheet {
        sheet_with(
            text,
            Options {
                take_unknown: true,
                ..Options::default()
            },
        )
    }

    fn sheet_with(text: &str, options: Options) -> Sheet {
        let options = Options {
            duplicates: Duplicates::All,
            ..options
        };
        let bytes = Snapshot::Owned(text.as_bytes().to_vec());
        Sheet::build(bytes, "input.csv".as_ref(), &options).unwrap()
    }

    fn pos(sheet: &Sheet, selection: &Selection) -> String {
        let records = sheet.select(selection).unwrap();
        records
            .map(|record| record.po_number)
            .collect::<Vec<_>>()
            .join(" ")
    }

    #[track_caller]
    fn check(selection: Selection, expected: &str) {
        assert_eq!(pos(&sheet(SHEET), &selection), expected);
    }

    #[test]
    fn all_is_what_is_not_done_in_the_sheets_order() {
        check(Selection::all(), "P1 P2 P4 P5");
        check(Selection::default().limit(2), "P1 P2");
    }

    #[test]
    fn a_value_is_compared_exactly_but_for_blanks_and_a_column_also_but_for_case() {
        check(Selection::all().whose(" supplier ", "Acme "), "P1 P2");
        check(Selection::all().whose("SUPPLIER", "acme"), "P5");
        check(Selection::all().whose("spend TYPE", "a"), "P1 P5");
        check(Selection::all().whose("spend type", ""), "P4");
        check(Selection::all().whose("po_number", "P4"), "P4");
    }

    #[test]
    fn all_conditions_must_hold() {
        let selection = Selection::all().whose("SUPPLIER", "Acme");
        check(selection.clone().whose("Spend Type", "b"), "P2");
        check(selection.whose("Spend Type", "c"), "");
    }

    #[test]
    fn a_status_is_read_as_a_status() {
        check(Selection::all().whose("STATUS", "PENDING"), "P1 P4");
        check(Selection::all().whose("status", ""), "P1 P4");
        check(Selection::all().whose("status", "Error"), "P2");
        check(Selection::all().failed(), "P2");
        check(Selection::all().whose("status", "strange"), "P5");
        check(Selection::all().whose("status", "COMPLETED"), "");
    }

    #[test]
    fn rows_with_a_word_that_nobody_knows_are_left_alone_and_counted() {
        let check = |options: Options, selected: &str, left_alone: &[(&str, usize)]| {
            let text = "PO_NUMBER;STATUS;X\nP1;;a\nP2;Odd;a\nP3;odd;b\nP4;lost;a\nP4;;a\n";
            let sheet = sheet_with(text, options);
            assert_eq!(pos(&sheet, &Selection::all()), selected);
            let found = sheet.left_alone(&Selection::all().whose("X", "a")).unwrap();
            let found: Vec<_> = found
                .iter()
                .map(|(word, pos)| (word.as_str(), *pos))
                .collect();
            assert_eq!(found, left_alone);
        };
        let words = |words: &[&str]| {
            words
                .iter()
                .map(|word| ProcessingStatus::parse(word))
                .collect()
        };
        // A PO in several rows is left alone if one of them is.
        check(Options::default(), "P1", &[("Odd", 1), ("lost", 1)]);
        let todo = Options {
            todo: words(&["ODD"]),
            ..Options::default()
        };
        check(todo, "P1 P2 P3", &[("lost", 1)]);
        let failed = Options {
            failed: words(&["Lost"]),
            ..Options::default()
        };
        check(failed, "P1 P4", &[("Odd", 1)]);
        let done = Options {
            done: words(&["odd"]),
            ..Options::default()
        };
        check(done, "P1", &[("lost", 1)]);
    }

    #[test]
    fn result_columns_that_a_run_would_add_are_empty() {
        let sheet = sheet("PO_NUMBER\nP1\nP2\n");
        let all = Selection::all();
        assert_eq!(
            pos(&sheet, &all.clone().whose("STATUS", "PENDING")),
            "P1 P2"
        );
        assert_eq!(
            pos(&sheet, &all.clone().whose("error_message", "")),
            "P1 P2"
        );
        assert_eq!(pos(&sheet, &all.clone().whose("ERROR_MESSAGE", "x")), "");
        assert_eq!(pos(&sheet, &all.failed()), "");
    }

    #[test]
    fn a_column_that_is_not_there_is_an_error_that_names_those_that_are() {
        let sheet = sheet(SHEET);
        let selection = Selection::all().whose("Colour", "red");
        assert_eq!(
            sheet.select(&selection).err().unwrap().to_string(),
            "no column Colour in the sheet, which has PO_NUMBER, status, SUPPLIER, Spend Type"
        );
    }

    #[test]
    fn named_pos_come_in_the_sheets_order_each_once_and_without_those_that_are_done() {
        check(Selection::all().only(["P5", "P1", " P5", "P3"]), "P1 P5");
        check(Selection::all().only(["P5", "P1"]).limit(1), "P1");
        check(Selection::all().only(["P5", "P2"]).failed(), "P2");
    }

    #[test]
    fn a_named_po_that_is_not_there_is_an_error() {
        for po in ["P9", ""] {
            let selection = Selection::all().only(["P1", po]);
            let error = sheet(SHEET).select(&selection).err().unwrap();
            assert!(matches!(error, Error::UnknownPo { po: named, .. } if named == po));
        }
    }

    #[test]
    fn a_po_in_several_rows_is_selected_once_by_the_row_that_its_command_would_see() {
        let sheet = sheet("PO_NUMBER;STATUS;X\nP1;COMPLETED;a\nP1;;b\nP1;;c\n");
        assert_eq!(pos(&sheet, &Selection::all()), "P1");
        assert_eq!(pos(&sheet, &Selection::all().only(["P1"])), "P1");
        assert_eq!(pos(&sheet, &Selection::all().whose("X", "b")), "P1");
        assert_eq!(pos(&sheet, &Selection::all().whose("X", "c")), "");
    }

    #[test]
    fn an_order_is_the_seeds_own_on_every_machine() {
        let pending: String = (0..10).map(|i| format!("P{i}\n")).collect();
        let sheet = sheet(&format!("PO_NUMBER\n{pending}"));
        assert_eq!(
            pos(&sheet, &Selection::all().shuffled(0)),
            "P5 P6 P2 P8 P7 P9 P3 P0 P4 P1"
        );
        assert_eq!(
            pos(&sheet, &Selection::all().shuffled(42)),
            "P8 P5 P0 P2 P4 P1 P9 P6 P7 P3"
        );
    }

    #[test]
    fn what_is_left_comes_in_the_order_of_the_whole() {
        let rows = |done: &[usize]| -> String {
            let row = |i| match done.contains(&i) {
                true => format!("P{i};COMPLETED\n"),
                false => format!("P{i};\n"),
            };
            "PO_NUMBER;STATUS\n".to_owned() + &(0..100).map(row).collect::<String>()
        };
        let shuffled = Selection::all().shuffled(7);
        let whole = pos(&sheet(&rows(&[])), &shuffled);
        let whole: Vec<_> = whole.split(' ').collect();
        let done: Vec<usize> = whole[..40]
            .iter()
            .map(|po| po[1..].parse().unwrap())
            .collect();
        assert_eq!(pos(&sheet(&rows(&done)), &shuffled), whole[40..].join(" "));
        assert_eq!(
            pos(&sheet(&rows(&[])), &shuffled.limit(3)),
            whole[..3].join(" ")
        );
    }
}
