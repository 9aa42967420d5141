//! The operations that the sheet does not show yet, and when it is rewritten for them.
//!
//! A rewrite takes at most a tenth of the time, and comes at most ten times a second, while nobody
//! waits for *visible*. A rewrite after each batch would take the disk from the results of the next
//! ones, also where the sheet has only 2 MB. Whoever waits is only kept by what is in the way: a
//! rewrite that failed, or another program that is at the sheet.

use std::sync::Arc;
use std::time::Duration;

use super::operation::{DELAYED, DURABLE, Ticket, VISIBLE};
use super::rewriter::{Rewriter, Rewritten};
use super::sync::Instant;
use crate::error::{Error, Result};
use crate::store::Checkpoint;
use crate::store::patience::{PATIENCE, SOON};

/// How soon one that another program has been in the way of for [`PATIENCE`] is tried again.
const NOT_SO_SOON: Duration = SOON.saturating_mul(20);
/// How soon one that failed, after its retries, is tried again.
const LATER: Duration = Duration::from_secs(1);
/// How many times as long as a rewrite took the next one is put off, unless somebody waits for it.
const PACE: u32 = 9;
/// How long it is put off at least, also the first one after a queue began: nobody sees more than ten
/// versions a second, and the syncs of a small sheet's 150 took four parts in a hundred of the time.
const BETWEEN: Duration = Duration::from_millis(100);

/// The operations that are durable and not visible.
pub(super) struct NotVisibleYet {
    tickets: Vec<Arc<Ticket>>,
    /// The first so many of them are in the rewrite that was asked for last.
    in_rewrite: usize,
    /// Since when another program has been in the way.
    put_off_since: Option<Instant>,
    /// A checkpoint failed or was put off: none is tried before.
    in_the_way_until: Instant,
    /// None is tried before, unless somebody waits for it.
    paced_until: Instant,
}

impl NotVisibleYet {
    pub(super) fn new() -> NotVisibleYet {
        let now = Instant::now();
        NotVisibleYet {
            tickets: Vec::new(),
            in_rewrite: 0,
            put_off_since: None,
            in_the_way_until: now,
            paced_until: now + BETWEEN,
        }
    }

    /// Whether there are none.
    pub(super) fn is_empty(&self) -> bool {
        self.tickets.is_empty()
    }

    /// Takes up an operation that has just become durable.
    pub(super) fn add(&mut self, ticket: Arc<Ticket>) {
        self.tickets.push(ticket);
    }

    /// Asks for a rewrite for all of them.
    pub(super) fn rewrite(&mut self, rewriter: &mut Rewriter) {
        self.in_rewrite = self.tickets.len();
        rewriter.ask();
    }

    /// When the next checkpoint is to be tried.
    pub(super) fn due(&self, wanted: bool) -> Option<Instant> {
        let due = if wanted {
            self.in_the_way_until
        } else {
            self.in_the_way_until.max(self.paced_until)
        };
        (!self.tickets.is_empty()).then_some(due)
    }

    /// Answers the operations that were in a rewrite, and puts the next one off. Returns the answer;
    /// `None`: they get none yet, because another program has not been in the way for long.
    pub(super) fn answer(
        &mut self,
        rewritten: Rewritten,
        busy: impl FnOnce() -> Error,
    ) -> Option<Result<()>> {
        let Rewritten {
            began,
            ended,
            checkpoint,
        } = rewritten;
        self.paced_until = ended + ((ended - began) * PACE).max(BETWEEN);
        let was_put_off_since = self.put_off_since.take();
        let (pause, answer) = match checkpoint {
            Ok(Checkpoint::Visible) => (Duration::ZERO, Some(Ok(()))),
            Ok(Checkpoint::Later) => {
                let since = was_put_off_since.unwrap_or(ended);
                self.put_off_since = Some(since);
                match ended - since < PATIENCE {
                    true => (SOON, None),
                    false => (NOT_SO_SOON, Some(Err(busy()))),
                }
            }
            Err(error) => (LATER, Some(Err(error))),
        };
        self.in_the_way_until = ended + pause;
        match &answer {
            Some(Ok(())) => {
                for ticket in self.tickets.drain(..self.in_rewrite) {
                    ticket.set(VISIBLE, None);
                }
            }
            Some(Err(error)) => {
                for ticket in &self.tickets[..self.in_rewrite] {
                    ticket.set(DELAYED, Some(error.clone()));
                }
            }
            None => {}
        }
        answer
    }

    /// Whether a checkpoint for all of them has failed after its retries.
    pub(super) fn gave_up(&self) -> bool {
        self.tickets.iter().all(|ticket| ticket.state() == DELAYED)
    }
}

impl Drop for NotVisibleYet {
    fn drop(&mut self) {
        // Only after a panic is any of them unanswered.
        for ticket in &self.tickets {
            if ticket.state() == DURABLE {
                let message = "before the sheet showed the result".into();
                ticket.set(DELAYED, Some(Error::WriterDied { message }));
            }
        }
    }
}
