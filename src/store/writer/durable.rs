//! What is durable: the log, and those of its results that have no place in the sheet.
//!
//! A frame is in the log, and synced, before anything of it is applied or acknowledged. Everything
//! here is called under the write lock.

use std::io::Write as _;

use crate::disk::{WriteGuard, scratch_file};
use crate::error::{Error, Result};
use crate::journal::{Frame, Journal, News};
use crate::sheet::{RowUpdate, Sheet, merge};
use crate::store::patience::{RETRIES, again};

use super::site::Site;

/// How many results a frame holds at most when a log is started over.
const ROWS_PER_FRAME: usize = 10_000;

/// The first of the three parts of a writer.
pub(super) struct Durable {
    /// Holds every result of the overlay that the public file may not show. After a failed write it is
    /// tainted, and nothing is acknowledged until a new one holds all of them.
    journal: Journal,
    /// Results whose row or column is not in the sheet. They are in the journal too, and go to a copy
    /// before it is emptied.
    unplaced: Vec<RowUpdate>,
    /// The last frame could not be written after all its retries. The next one is tried only once, and
    /// its failure is not reported again.
    failing: bool,
    /// Whether this writer made anything durable. Only one that did has a log to empty when it goes.
    wrote: bool,
    /// Somebody emptied the log: base and overlay are older than what is public. Nothing is made
    /// durable or visible until the sheet has been read anew.
    stale: bool,
    /// How often a frame was tried again. Never falls.
    retried: u64,
}

impl Durable {
    pub(super) fn new(journal: Journal, unplaced: Vec<RowUpdate>) -> Durable {
        Durable {
            journal,
            unplaced,
            failing: false,
            wrote: false,
            stale: false,
            retried: 0,
        }
    }

    /// Makes a frame durable; after an error it is not. `sheet` shows all that was written before it.
    pub(super) fn append(&mut self, frame: &Frame, sheet: &Sheet) -> Result<()> {
        let retries = if self.failing { 0 } else { RETRIES };
        let (done, retried) = again(retries, "the journal could not be written", || {
            match self.journal.is_tainted() {
                false => self.journal.append(frame),
                true => self.start_over(frame, sheet),
            }
        });
        self.retried += retried;
        if let Err(error) = &done
            && !self.failing
        {
            tracing::error!(
                error = %error.chain(),
                needed_bytes = self.journal.wanted_bytes(),
                "the journal could not be written"
            );
        }
        self.failing = done.is_err();
        self.wrote |= done.is_ok();
        done
    }

    /// A new log takes everything that was written, and the frame behind it.
    fn start_over(&mut self, frame: &Frame, sheet: &Sheet) -> Result<()> {
        let rows: Vec<RowUpdate> = merge::written(sheet)
            .chain(self.unplaced.iter().cloned())
            .collect();
        let mut frames: Vec<Frame> = rows
            .chunks(ROWS_PER_FRAME)
            .map(|rows| Frame {
                at: frame.at,
                rows: rows.to_vec(),
            })
            .collect();
        frames.push(frame.clone());
        self.journal.start_over(&frames)
    }

    /// What other processes appended; `None` if somebody emptied the log, until the sheet
    /// [was read anew](Durable::was_read_anew).
    pub(super) fn news(
        &mut self,
        has_public_changed: impl FnOnce() -> Result<bool>,
    ) -> Result<Option<Vec<Frame>>> {
        let frames = match self.journal.catch_up()? {
            News::Frames(frames) => frames,
            News::Replaced => {
                self.stale = true;
                Vec::new()
            }
            // A log may have come and gone since we looked; then the sheet shows what was in it.
            News::Unknown(frames) => {
                self.stale |= has_public_changed()?;
                frames
            }
        };
        Ok((!self.stale).then_some(frames))
    }

    /// All that is in the log that is there now.
    pub(super) fn read_log(&mut self) -> Result<Vec<Frame>> {
        Ok(self.journal.load()?.1)
    }

    /// The sheet was read anew, with all that is in the log.
    pub(super) fn was_read_anew(&mut self, unplaced: Vec<RowUpdate>) {
        self.unplaced = unplaced;
        self.stale = false;
    }

    pub(super) fn unplaced(&self) -> &[RowUpdate] {
        &self.unplaced
    }

    pub(super) fn add_unplaced(&mut self, unplaced: Vec<RowUpdate>) {
        self.unplaced.extend(unplaced);
    }

    /// All that was written was brought to another base.
    pub(super) fn set_unplaced(&mut self, unplaced: Vec<RowUpdate>) {
        self.unplaced = unplaced;
    }

    /// Empties the log, of which all is visible in the public file as it is now. The results in it that
    /// have no place in the sheet are kept in a copy.
    pub(super) fn empty(&mut self, site: &Site) -> Result<()> {
        if !self.unplaced.is_empty() {
            let table = merge::as_table(&site.options.key, &self.unplaced);
            let mut file = scratch_file(&site.target)?;
            file.write_all(&table)
                .map_err(Error::io("copy", site.path()))?;
            let kept = site.keep(&file, "unplaced")?;
            tracing::warn!(%kept, "results whose rows another program took away are kept in a copy");
            self.unplaced.clear();
        }
        let remove = || self.journal.remove();
        again(RETRIES, "the journal could not be removed", remove).0
    }

    /// Empties the log, and begins one for a session.
    pub(super) fn begin_session(&mut self, site: &Site, held: &WriteGuard) -> Result<()> {
        self.empty(site)?;
        let session = Some(site.session_id.as_str());
        self.journal = Journal::open(&site.target, &site.options.key, session, held)?.0;
        Ok(())
    }

    /// Gives a session's log room for so many results.
    pub(super) fn reserve(&mut self, results: usize) -> Result<()> {
        self.journal.reserve(results)
    }

    /// Whether a failed write has to be made up for before anything is acknowledged.
    pub(super) fn is_tainted(&self) -> bool {
        self.journal.is_tainted()
    }

    /// Whether a log is there that this writer knows of.
    pub(super) fn has_log(&self) -> bool {
        self.journal.exists()
    }

    /// Whether a session began the log: then only a session may empty it.
    pub(super) fn is_of_session(&self) -> bool {
        self.journal.is_of_session()
    }

    pub(super) fn wrote(&self) -> bool {
        self.wrote
    }

    pub(super) fn retried(&self) -> u64 {
        self.retried
    }
}
