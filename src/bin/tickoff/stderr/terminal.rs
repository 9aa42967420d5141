//! The modes of the terminal while a display is on it: nothing is echoed, and keys can be read.
//!
//! What is typed would move the display, which then is not where it is taken away. The modes are as they were
//! whenever somebody else has the terminal: after the run, however it ends, and while it is stopped (Ctrl-Z).

use std::sync::Mutex;

use super::display::lock;
use crate::sys::{Unechoed, is_in_foreground};

/// The terminal of stderr.
#[derive(Default)]
pub(super) struct Terminal(Mutex<State>);

#[derive(Default)]
struct State {
    /// Whether it is to be held, and with keys.
    wanted: Option<bool>,
    held: Option<Unechoed>,
    /// Whether it is left to others.
    is_left: bool,
}

impl Terminal {
    /// Holds it from now on, unless it is left to others.
    pub(super) fn hold(&self, with_keys: bool) {
        let mut state = lock(&self.0);
        state.wanted = Some(with_keys).filter(|_| !state.is_left);
        drop(state);
        self.keep();
    }

    /// Leaves it to others for good.
    pub(super) fn leave(&self) {
        lock(&self.0).is_left = true;
    }

    /// Holds it again, if it was lost meanwhile: another program had it, or a shell gave it its own modes.
    pub(super) fn keep(&self) {
        let mut state = lock(&self.0);
        let Some(with_keys) = state.wanted else {
            return;
        };
        if !is_in_foreground() {
            // Nothing is changed: it is not ours.
            state.held = None;
        } else if state.held.is_none() {
            state.held = Unechoed::begin(with_keys);
        }
    }

    /// Gives it back for good.
    pub(super) fn release(&self) {
        let mut state = lock(&self.0);
        (state.wanted, state.held) = (None, None);
    }

    /// Gives it back while this is done, during which nobody takes it.
    pub(super) fn lend(&self, meanwhile: impl FnOnce()) {
        let mut state = lock(&self.0);
        state.held = None;
        meanwhile();
        drop(state);
        self.keep();
    }
}
