//! A session looks after its files: every second, whether somebody took them away, or saved the sheet. What a save lacks
//! is written again at once: the next result may be an hour away.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::run::Stop;
use crate::store::{CsvHandler, Kept, keep_files};

/// How often it looks.
const EVERY: Duration = Duration::from_secs(1);

/// Looks until it is dropped.
pub(super) struct Keeper {
    /// Dropped to end it.
    until: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
    was_taken_over: Arc<AtomicBool>,
}

impl Keeper {
    /// Begins to look. Should another session or another sheet have taken this one's place, `stop` is requested.
    pub(super) fn start(handler: Arc<CsvHandler>, stop: Stop) -> Keeper {
        let (until, ended) = channel::<()>();
        let was_taken_over = Arc::new(AtomicBool::new(false));
        let taken_over = Arc::clone(&was_taken_over);
        let look = move || {
            let mut is_failing = false;
            let mut led_away = LedAway::default();
            while let Err(RecvTimeoutError::Timeout) = ended.recv_timeout(EVERY) {
                led_away.look(&handler, &stop);
                match keep_files(|| handler.writer()) {
                    Ok(Kept::Ours) => is_failing = false,
                    Ok(Kept::Lacking) => {
                        is_failing = false;
                        // If it fails, that has been said.
                        drop(handler.checkpoint());
                    }
                    Ok(Kept::TakenOver) => {
                        tracing::error!(
                            "another session has taken the sheet over, since the file that tells of this one was taken away: no more work is handed out"
                        );
                        taken_over.store(true, Ordering::SeqCst);
                        stop.soon();
                        return;
                    }
                    Ok(Kept::AnotherSheet) => {
                        tracing::error!(
                            "another sheet has the name now: no more work is handed out, and the results stay in the journal"
                        );
                        stop.soon();
                        return;
                    }
                    Err(error) => {
                        if !is_failing {
                            tracing::warn!(error = %error.chain(), "the files beside the sheet could not be looked after");
                        }
                        is_failing = true;
                    }
                }
            }
        };
        // Where the system gives no thread, the files are looked at when something is written.
        let thread = thread::Builder::new().name("keeper".into()).spawn(look);
        Keeper {
            until: Some(until),
            thread: thread.ok(),
            was_taken_over,
        }
    }

    /// Whether another session has the sheet by now.
    pub(super) fn was_taken_over(&self) -> bool {
        self.was_taken_over.load(Ordering::SeqCst)
    }
}

/// Whether the name by which the sheet was opened leads elsewhere.
#[derive(Default)]
struct LedAway {
    /// How often it was seen in succession: a program may be about to put a link back.
    seen: usize,
}

impl LedAway {
    fn look(&mut self, handler: &CsvHandler, stop: &Stop) {
        let Err(error) = handler.refuse_led_away() else {
            self.seen = 0;
            return;
        };
        self.seen += 1;
        if self.seen == 2 {
            tracing::error!("{error}: no more work is handed out");
            stop.soon();
        }
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.until.take();
        if let Some(thread) = self.thread.take() {
            // It has told of its panic already.
            let _ = thread.join();
        }
    }
}
