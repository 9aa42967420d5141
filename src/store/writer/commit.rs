//! Operations become durable.
//!
//! A batch is checked in the order of submission, coalesced per cell, made durable by one journal
//! frame, and only then published to readers. It takes in first what other tickoff processes
//! appended: its own place in the log is behind theirs. Before results, it takes in what other programs
//! saved as well: a person may have typed a word into a row while its job ran, or something into a cell of
//! its result, which is kept in a copy then.

use std::sync::Arc;

use chrono::Utc;
use compact_str::CompactString;

use crate::disk::WriteGuard;
use crate::domain::{MAX_ADDED_COLUMNS, format_timestamp};
use crate::error::{Error, Result};
use crate::journal::{Frame, frame};
use crate::sheet::{Sheet, WriteOperation};
use crate::store::patience::patiently;

use super::Writer;
use super::batch::Batch;
use super::typed::Hand;

/// How much is made durable in one frame. In JSON a byte may take six, and a frame of the journal that is longer than
/// 1 GiB is not read again.
const MAX_BATCH_BYTES: usize = if cfg!(test) { 64 << 10 } else { 64 << 20 };

impl Writer {
    /// Makes operations durable, all in one journal frame unless they are very large, and answers each of them.
    ///
    /// An operation that is refused changes nothing and does not keep the others from being
    /// written. If the journal cannot be written, none of them was applied; if that is for want of
    /// room, each gets a frame of its own, because some of them may find it.
    pub(crate) fn commit(&mut self, operations: &[&WriteOperation]) -> Vec<Result<()>> {
        let size = |operation: &&WriteOperation| operation.updates.size();
        if operations.len() > 1 && operations.iter().map(size).sum::<usize>() > MAX_BATCH_BYTES {
            let (first, second) = operations.split_at(operations.len() / 2);
            let mut answers = self.commit(first);
            answers.extend(self.commit(second));
            return answers;
        }
        let (answers, error) = match self.commit_together(operations) {
            (answers, Ok(())) => return answers,
            (answers, Err(error)) => (answers, error),
        };
        if operations.len() > 1 && error.is_for_want_of_room() && !self.durable.is_tainted() {
            return operations
                .iter()
                .flat_map(|&operation| self.commit(&[operation]))
                .collect();
        }
        operations
            .iter()
            .zip(answers)
            .map(|(operation, answer)| {
                answer.and(Err(Error::NotDurable {
                    po: operation.po_number.clone(),
                    source: Box::new(error.clone()),
                }))
            })
            .collect()
    }

    /// The answers that do not depend on the journal, and what came of the frame.
    fn commit_together(&mut self, operations: &[&WriteOperation]) -> (Vec<Result<()>>, Result<()>) {
        match self.begin(operations) {
            Ok((_held, answers, mut batch)) => {
                let sheet = self.sheet.load();
                let owed = self.outside.give_way(batch.results(), &sheet, &self.site);
                batch.keep_aside(owed);
                let by_hand = self.session.is_some() && operations.iter().all(|it| it.is_by_hand);
                let by_hand = by_hand.then(|| batch.rows().cloned().collect::<Vec<_>>());
                let lossy = batch.take_lossy();
                let (frame, say) = batch.into_frame();
                let made = frame.map_or(Ok(()), |frame| self.make_durable(frame));
                if made.is_ok() {
                    let stage = &self.site.options.stage;
                    let typed = &mut self.outside.typed;
                    typed.heard(Hand::Call, by_hand.iter().flatten(), stage);
                    say();
                    self.letters.tell(lossy, self.site.options.encoding);
                }
                (answers, made)
            }
            Err(error) => (operations.iter().map(|_| Ok(())).collect(), Err(error)),
        }
    }

    fn begin(
        &mut self,
        operations: &[&WriteOperation],
    ) -> Result<(WriteGuard, Vec<Result<()>>, Batch)> {
        let target = Arc::clone(&self.site.target);
        let held = patiently(target.path(), || {
            let held = self.lock.acquire()?;
            Ok(self.catch_up()?.then_some(held))
        })?;
        if operations.iter().any(|operation| operation.is_result) {
            self.take_in_edits(&held);
        }
        let sheet = self.sheet.load();
        let now = format_timestamp(Utc::now());
        let mut batch = Batch::new(operations.len(), self.columns_left(&sheet));
        let answers = operations
            .iter()
            .map(|operation| batch.add(&sheet, &self.site.options, operation, &now))
            .collect();
        Ok((held, answers, batch))
    }

    /// How many more columns of their own results may add.
    pub(super) fn columns_left(&self, sheet: &Sheet) -> usize {
        let schema = sheet.schema();
        let is_own = |name: &&CompactString| !schema.is_state(name);
        let added = self.durable.added(&schema).filter(is_own).count();
        MAX_ADDED_COLUMNS.saturating_sub(added)
    }

    /// Makes a frame durable and shows it to readers; after an error it is neither. The caller holds
    /// the write lock.
    pub(super) fn make_durable(&mut self, mut frame: Frame) -> Result<()> {
        let sheet = self.sheet.load();
        let public = self.outside.public().hash;
        self.durable.append(&mut frame, &sheet, public)?;
        let unplaced = frame::apply(&sheet, std::slice::from_ref(&frame));
        self.durable.add_unplaced(unplaced);
        self.visible.fall_behind();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::super::Judged;
    use super::*;
    use crate::disk::Target;
    use crate::journal::Journal;
    use crate::sheet::{Options, Updates};

    #[test]
    fn a_batch_that_is_too_long_for_one_frame_is_made_durable_in_several_in_its_order() {
        let folder = tempfile::tempdir_in(".").unwrap();
        let path = folder.path().join("in.csv");
        std::fs::write(&path, "PO_NUMBER;STATUS;note\nP1;;\nP2;;\nP3;;\n").unwrap();
        let target = Arc::new(Target::open(&path).unwrap());
        let options = Options::default();
        let (mut writer, _) =
            Writer::open(Arc::clone(&target), &options, None, Judged::NotYet).unwrap();
        let long = |letter: &str| letter.repeat(MAX_BATCH_BYTES * 2 / 5);
        let notes = [("P1", "a"), ("P2", "b"), ("P3", "c"), ("P1", "d")];
        let operations = notes
            .map(|(po, letter)| WriteOperation::new(po, Updates::from([("note", long(letter))])));
        let answers = writer.commit(&operations.iter().collect::<Vec<_>>());
        assert!(answers.iter().all(Result::is_ok), "{answers:?}");

        let (_, frames) = Journal::peek(&target).unwrap().unwrap();
        let written: Vec<usize> = frames
            .iter()
            .map(|frame| {
                let cells = frame.rows.iter().flat_map(|row| &row.cells);
                cells.map(|cell| cell.value.len()).sum()
            })
            .filter(|bytes| *bytes > 0)
            .collect();
        assert_eq!(written, [2 * long("a").len(); 2]);
        assert_eq!(
            writer
                .sheet()
                .load()
                .record("P1")
                .unwrap()
                .get("note")
                .unwrap(),
            long("d")
        );
    }
}
