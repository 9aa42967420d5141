//! The signals that end a run.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicI32, Ordering};
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;
use tickoff::{Stop, StopLevel, is_ignored};

use crate::exit::{Exit, Failure};

/// Watches for signals: the first lets running commands finish, the second kills them.
pub struct Interruption {
    /// What the pool looks at.
    pub stop: Stop,
    /// The first of them; 0 for none. Written by the signal thread, read when the run is over.
    signal: Arc<AtomicI32>,
}

impl Interruption {
    /// Begins to watch. A signal that whoever started us wants ignored stays so.
    pub fn watch() -> Result<Interruption, Failure> {
        let failed = |error: io::Error| {
            Failure::Other(Exit::NotWritten, format!("cannot handle signals: {error}"))
        };
        let heeded = [SIGINT, SIGTERM, SIGHUP]
            .into_iter()
            .filter(|&signal| !is_ignored(signal));
        let mut signals = Signals::new(heeded).map_err(failed)?;
        let interruption = Interruption {
            stop: Stop::new(),
            signal: Arc::default(),
        };
        let (stop, first) = (interruption.stop.clone(), Arc::clone(&interruption.signal));
        thread::Builder::new()
            .name("signals".into())
            .spawn(move || {
                for signal in signals.forever() {
                    let is_first =
                        first.compare_exchange(0, signal, Ordering::SeqCst, Ordering::SeqCst);
                    if is_first.is_ok() {
                        tracing::warn!(
                            "stopping: running commands may finish; once more kills them"
                        );
                        stop.soon();
                    } else {
                        stop.now();
                    }
                }
            })
            .map_err(failed)?;
        Ok(interruption)
    }

    /// How a run ends that was or was not interrupted.
    pub fn exit(&self) -> Exit {
        match self.signal.load(Ordering::SeqCst) {
            0 => Exit::Done,
            _ if self.stop.level() == StopLevel::Continue => Exit::Done,
            SIGINT => Exit::Interrupted,
            _ => Exit::Terminated,
        }
    }
}
