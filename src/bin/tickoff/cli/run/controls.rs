//! What is asked of a run while it goes on: with keys, and by `tickoff control` elsewhere.

use std::num::NonZeroUsize;
use std::sync::mpsc::{RecvTimeoutError, Sender, channel};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use tickoff::{Control, RunControl, Session};
use tracing::warn;

use crate::stderr::Display;
use crate::sys::{has_keys, typed_within};

/// How often is looked.
const EVERY: Duration = Duration::from_millis(100);

const KEYBOARD: &str = "the keyboard";

/// Heeds what is asked of a run until it is dropped.
pub struct Controls {
    /// Dropped to end it.
    until: Option<Sender<()>>,
    thread: Option<JoinHandle<()>>,
}

impl Controls {
    /// Begins to heed what is asked of this session, for the run that has this control.
    pub fn heed(session: &Session, control: &RunControl, display: &Display) -> Controls {
        let (until, ended) = channel::<()>();
        let requests = session.requests();
        if let Err(error) = &requests {
            warn!(error = %error.chain(), "tickoff control does not reach this run");
        }
        let (requests, control, display) = (requests.ok(), control.clone(), display.clone());
        let look = move || {
            let mut has_keys = has_keys();
            let is_over = |time| ended.recv_timeout(time) != Err(RecvTimeoutError::Timeout);
            while !is_over(Duration::ZERO) {
                display.keep_terminal();
                match has_keys && display.is_showing() {
                    true => match typed_within(EVERY) {
                        Some(keys) => press(&keys, &control),
                        None => has_keys = false,
                    },
                    false if is_over(EVERY) => return,
                    false => {}
                }
                if let Some(requests) = &requests {
                    requests.heed(|request| {
                        control.apply(request.control, &request.by) || !control.has_ended()
                    });
                }
            }
        };
        let thread = thread::Builder::new().name("controls".into()).spawn(look);
        let thread = thread
            .map_err(|error| warn!(%error, "neither keys nor tickoff control reach this run"))
            .ok();
        Controls {
            until: Some(until),
            thread,
        }
    }
}

impl Drop for Controls {
    fn drop(&mut self) {
        self.until.take();
        if let Some(thread) = self.thread.take() {
            // It has told of its panic already.
            thread.join().ok();
        }
    }
}

fn press(keys: &[u8], control: &RunControl) {
    // An arrow or a function key comes as several bytes, of which this is the first.
    if keys.first() == Some(&0x1b) {
        return;
    }
    for key in keys {
        let workers = control.workers().map_or(1, NonZeroUsize::get);
        let asked = match key {
            b'p' | b'P' if control.is_paused() => Some(Control::Continue),
            b'p' | b'P' => Some(Control::Pause),
            b'+' => NonZeroUsize::new(workers + 1).map(Control::Workers),
            b'-' => NonZeroUsize::new(workers - 1).map(Control::Workers),
            _ => None,
        };
        if let Some(asked) = asked {
            control.apply(asked, KEYBOARD);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check(keys: &[u8], is_paused: bool, workers: usize) {
        let control = RunControl::new();
        control.apply(Control::Workers(NonZeroUsize::new(2).unwrap()), "-j");
        press(keys, &control);
        let ended = control.workers().unwrap().get();
        assert_eq!((control.is_paused(), ended), (is_paused, workers));
    }

    #[test]
    fn p_pauses_and_goes_on_and_there_is_never_less_than_one_job() {
        check(b"p", true, 2);
        check(b"pp", false, 2);
        check(b"++-", false, 3);
        check(b"-----", false, 1);
        check(b"\x1b[5p", false, 2);
        check(b"hello", false, 2);
    }
}
