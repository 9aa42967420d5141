//! Cells that another program changed while the session went on.
//!
//! A result that comes later takes the place of what somebody typed there, who cannot have seen it. The
//! session's backup is older than that, so the version in which it stands is kept first, and both values are
//! named.

use std::collections::HashMap;

use compact_str::CompactString;
use smallvec::SmallVec;

use crate::csv::RecordIndex;
use crate::domain::Stage;
use crate::domain::columns::same_column;
use crate::sheet::{Conflict, RowUpdate, Sheet, Shown, is_same};
use crate::text::escape;

use super::site::Site;

#[derive(Default)]
pub(super) struct Typed {
    /// Keys and columns, and what was typed there: several values where the key stands in several rows.
    cells: HashMap<(CompactString, CompactString), Vec<CompactString>>,
    /// The version in which the last of them stand is kept in a copy.
    is_kept: bool,
}

impl Typed {
    /// Notes what a new base has in its cells that `old` did not show.
    pub(super) fn saw(&mut self, old: &Sheet, new: &Sheet) {
        let (from, to) = (old.schema(), new.schema());
        let columns: Vec<(Option<usize>, usize, &str)> = (0..to.header_width)
            .filter(|&column| !to.is_key(column))
            .map(|column| (column, to.columns()[column].as_str()))
            .filter(|(_, name)| !is_asked_for(name, &new.options().stage))
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
                if typed.trim().is_empty() || now.is_written(is) {
                    continue;
                }
                let was_shown = before.iter().any(|before| {
                    let shown = was.map(|was| before.cell(was));
                    let shown = shown.as_deref().unwrap_or("");
                    is_same(name, &typed, &new.encoding().writable(shown))
                });
                if !was_shown {
                    let cell = (key.as_ref().into(), name.into());
                    self.cells.entry(cell).or_default().push((&*typed).into());
                    self.is_kept = false;
                }
            }
        }
    }

    /// Names the cells of results that take the place of what was typed, and keeps the version that has it.
    pub(super) fn give_way<'u>(
        &mut self,
        results: impl Iterator<Item = &'u RowUpdate>,
        sheet: &Sheet,
        site: &Site,
    ) -> Vec<Conflict> {
        if self.cells.is_empty() {
            return Vec::new();
        }
        let mut conflicts = Vec::new();
        for row in results {
            for cell in &row.cells {
                let place = (row.po.clone(), cell.column.clone());
                let Some(typed) = self.cells.remove(&place) else {
                    continue;
                };
                let lost = cell.before.iter().filter(|shown| {
                    typed.contains(shown) && !is_same(&cell.column, shown, &cell.value)
                });
                conflicts.extend(lost.map(|typed| Conflict {
                    po: row.po.to_string(),
                    column: cell.column.to_string(),
                    ours: cell.value.to_string(),
                    theirs: typed.to_string(),
                }));
            }
        }
        for conflict in &conflicts {
            tracing::warn!(
                key = %escape(&conflict.po),
                column = %escape(&conflict.column),
                kept = %escape(&conflict.ours),
                theirs = %escape(&conflict.theirs),
                "another program changed a cell before its result came; the result takes its place"
            );
        }
        if !conflicts.is_empty() && !self.is_kept {
            match site.keep_bytes(sheet.bytes(), "outside") {
                Ok(kept) => {
                    self.is_kept = true;
                    let kept = escape(&kept.display().to_string());
                    tracing::warn!(%kept, "a copy of the sheet with what results take the place of is kept");
                }
                Err(error) => {
                    tracing::warn!(why = %escape(&error.chain()), "no copy of the sheet with what results take the place of could be kept");
                }
            }
        }
        conflicts
    }
}

/// Whether a person who writes there asks for something, and the result that comes is the answer.
fn is_asked_for(column: &str, stage: &Stage) -> bool {
    same_column(column, stage.status()) || same_column(column, stage.last_processed())
}
