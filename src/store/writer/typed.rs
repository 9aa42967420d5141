//! Cells that others changed while the session went on: another program in the file, or a person through tickoff,
//! with `set` in another process or a call of the library in this one.
//!
//! A result that comes later takes the place of what somebody typed there, who cannot have seen it. The
//! session's backup is older than that, so the version in which it stands is kept first, and both values are
//! named. A session that goes on after a crash has the backup of the one that was interrupted: what came since then
//! is found by comparing with it.

use std::collections::HashMap;
use std::sync::Arc;

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::csv::RecordIndex;
use crate::domain::columns::same_column;
use crate::domain::{ProcessingStatus, Stage};
use crate::journal::Frame;
use crate::sheet::{Conflict, RowUpdate, Sheet, Shown, is_same};
use crate::text::{Escaped, escape};

use super::site::Site;

#[derive(Default)]
pub(super) struct Typed {
    /// Keys and columns, and what was typed there: several values where the key stands in several rows.
    cells: HashMap<(CompactString, CompactString), Vec<Value>>,
    /// The version in which the last of them stand that are in the file is kept in a copy.
    is_kept: bool,
    /// The sheet with the last of them that are in the journal is kept in a copy.
    is_journal_kept: bool,
}

struct Value {
    typed: CompactString,
    hand: Hand,
}

/// Who changed a cell.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Hand {
    /// Another program, in the file.
    Program,
    /// Another process of tickoff.
    Command,
    /// A process of tickoff that ended before this session began, which goes on after an interrupted one.
    Earlier,
    /// This process, by [`CsvHandler::set_record`](crate::CsvHandler::set_record).
    Call,
}

impl Hand {
    /// Whether it is in the journal; then it need not stand in the file.
    fn is_of_journal(self) -> bool {
        self != Hand::Program
    }

    fn name(self) -> &'static str {
        match self {
            Hand::Program => "another program",
            Hand::Command => "another tickoff command",
            Hand::Earlier => "an earlier tickoff command, which ended before this one began,",
            Hand::Call => "a person",
        }
    }
}

impl Typed {
    /// Notes what a new base has in its cells that `old` did not show.
    pub(super) fn saw(&mut self, old: &Sheet, new: &Sheet) {
        let (from, to) = (old.schema(), new.schema());
        let columns: Vec<(Option<usize>, usize, &str)> = (0..to.header_width)
            .filter(|&column| !to.is_key(column))
            .map(|column| (column, to.columns()[column].as_str()))
            .map(|(column, name)| {
                // Most columns stay where they are.
                let stays = from.columns().get(column).is_some_and(|was| was == name);
                let was = if stays {
                    Some(column)
                } else {
                    from.position(name)
                };
                (was, column, name)
            })
            .collect();
        for row in new.all_rows() {
            let key = new.key(row);
            let rows: SmallVec<[RecordIndex; 1]> = old.rows(&key).collect();
            let is_as_before =
                |&before| new.bytes()[new.base_span(row)] == old.bytes()[old.base_span(before)];
            if rows.is_empty() || rows.iter().any(is_as_before) {
                continue;
            }
            let now = new.shown(row);
            let before: SmallVec<[Shown<'_>; 1]> = rows.iter().map(|&row| old.shown(row)).collect();
            for &(was, is, name) in &columns {
                let typed = now.cell(is);
                let stage = &new.options().stage;
                if typed.trim().is_empty()
                    || now.is_written(is)
                    || is_asked_for(name, &typed, stage)
                {
                    continue;
                }
                let was_shown = before.iter().any(|before| {
                    let shown = was.map(|was| before.cell(was));
                    let shown = shown.as_deref().unwrap_or("");
                    is_same(name, &typed, &new.encoding().writable(shown))
                });
                if !was_shown {
                    let cell = (key.as_ref().into(), name.into());
                    self.cells.entry(cell).or_default().push(Value {
                        typed: (&*typed).into(),
                        hand: Hand::Program,
                    });
                    self.is_kept = false;
                }
            }
        }
    }

    /// Notes what came while the session went on that was interrupted, and since: `since` are its frames, and `backup`
    /// the sheet as it was when it began.
    pub(super) fn came_since(&mut self, backup: &Sheet, now: &Sheet, since: &[Frame]) {
        self.saw(backup, now);
        let results = since.iter().flat_map(|frame| {
            let rows = frame.rows.iter();
            rows.filter(|row| frame.has_as_result(row))
        });
        for row in results {
            for cell in &row.cells {
                let place = (row.po.clone(), cell.column.clone());
                if let Some(values) = self.cells.get_mut(&place) {
                    values.retain(|value| !is_same(&cell.column, &value.typed, &cell.value));
                }
            }
        }
        let stage = &now.options().stage;
        for frame in since {
            let hand = match frame.is_of_a_save() {
                true => Hand::Program,
                false => Hand::Earlier,
            };
            let others = frame.rows.iter().filter(|row| !frame.has_as_result(row));
            self.heard(hand, others, stage);
        }
    }

    /// Notes what the journal tells.
    pub(super) fn heard<'u>(
        &mut self,
        hand: Hand,
        updates: impl Iterator<Item = &'u RowUpdate>,
        stage: &Stage,
    ) {
        for row in updates.filter(|row| !row.aside) {
            let typed = row.cells.iter().filter(|cell| {
                let mut before = cell.before.iter();
                !cell.value.trim().is_empty()
                    && !is_asked_for(&cell.column, &cell.value, stage)
                    && !before.any(|before| is_same(&cell.column, before, &cell.value))
            });
            for cell in typed {
                let place = (row.po.clone(), cell.column.clone());
                self.cells.entry(place).or_default().push(Value {
                    typed: cell.value.clone(),
                    hand,
                });
                self.is_journal_kept &= !hand.is_of_journal();
                self.is_kept &= hand.is_of_journal();
            }
        }
    }

    /// Names the cells of results that take the place of what was typed, and keeps the version that has it. Where
    /// no copy can be made, `true`: what was typed is to be kept with what has no place.
    pub(super) fn give_way<'u>(
        &mut self,
        results: impl Iterator<Item = &'u RowUpdate>,
        sheet: &Arc<Sheet>,
        site: &Site,
    ) -> (Vec<Conflict>, bool) {
        if self.cells.is_empty() {
            return (Vec::new(), false);
        }
        let mut conflicts = Vec::new();
        let (mut is_of_file, mut is_of_journal) = (false, false);
        for row in results {
            for cell in &row.cells {
                let place = (row.po.clone(), cell.column.clone());
                let Some(typed) = self.cells.remove(&place) else {
                    continue;
                };
                for shown in &cell.before {
                    let mut latest = typed.iter().rev();
                    let Some(value) = latest.find(|value| value.typed == *shown) else {
                        continue;
                    };
                    if is_same(&cell.column, shown, &cell.value) {
                        continue;
                    }
                    is_of_file |= !value.hand.is_of_journal();
                    is_of_journal |= value.hand.is_of_journal();
                    let conflict = Conflict {
                        po: row.po.to_string(),
                        column: cell.column.to_string(),
                        ours: cell.value.to_string(),
                        theirs: shown.to_string(),
                    };
                    say(&conflict, value.hand);
                    conflicts.push(conflict);
                }
            }
        }
        // The sheet with what is in the journal has what is in the file, too.
        let kept = match (
            is_of_journal && !self.is_journal_kept,
            is_of_file && !self.is_kept,
        ) {
            (true, _) => site.keep_whole(sheet, "outside"),
            (false, true) => site
                .keep_bytes(sheet.bytes(), "outside")
                .map(|kept| escape(&kept.display().to_string())),
            (false, false) => return (conflicts, false),
        };
        match kept {
            Ok(kept) => {
                self.is_kept = true;
                self.is_journal_kept |= is_of_journal;
                tracing::warn!(%kept, "a copy of the sheet with what results take the place of is kept");
            }
            Err(error) => {
                tracing::warn!(why = %escape(&error.chain()), "no copy of the sheet with what results take the place of could be kept: that goes to ….unplaced.csv");
                return (conflicts, true);
            }
        }
        (conflicts, false)
    }
}

/// Names a cell that a result takes the place of.
fn say(conflict: &Conflict, hand: Hand) {
    let key = Escaped::name(&conflict.po);
    let column = Escaped::name(&conflict.column);
    let (in_sheet, theirs) = (escape(&conflict.ours), escape(&conflict.theirs));
    let who = hand.name();
    tracing::warn!(%key, %column, %in_sheet, %theirs, "{who} changed a cell before its result came; the result takes its place");
}

/// Whether a person who writes that asks for a run, and the result that comes is the answer.
fn is_asked_for(column: &str, typed: &str, stage: &Stage) -> bool {
    let asks =
        |status: ProcessingStatus| status == ProcessingStatus::Pending || status.is_failure();
    same_column(column, stage.status()) && asks(ProcessingStatus::parse(typed))
        || same_column(column, stage.last_processed())
}
