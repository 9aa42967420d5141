//! What a process that stays alive says on stderr.
//!
//! It is read by a thread, because a process may fill that pipe while it has nothing to do.

use std::io::{self, BufRead, BufReader, Read};
use std::process::ChildStderr;
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use tracing::info;

use crate::process::poll::until;
use crate::process::tail::Tail;
use crate::run::stop::lock;
use crate::text::Escaped;

/// The longest line of stderr that becomes one line of the log, in bytes.
const MAX_LOG_BYTES: u64 = 8 << 10;

/// What a process writes to its stderr: logged line by line, its end kept for messages.
pub(super) struct Stderr {
    said: Arc<Mutex<Tail>>,
    reader: JoinHandle<()>,
}

impl Stderr {
    pub(super) fn read(pipe: ChildStderr, worker: usize) -> io::Result<Stderr> {
        let said = Arc::default();
        let kept = Arc::clone(&said);
        let reader = thread::Builder::new()
            .name(format!("stderr-{worker}"))
            .spawn(move || log_lines(pipe, worker, &kept))?;
        Ok(Stderr { said, reader })
    }

    /// Forgets what was said before.
    pub(super) fn begin(&self) {
        *lock(&self.said) = Tail::default();
    }

    /// Waits for so long until nobody can say anything more.
    pub(super) fn ends_within(&self, time: Duration) {
        let deadline = Instant::now() + time;
        while !self.reader.is_finished() && !until(deadline).is_zero() {
            thread::sleep(Duration::from_millis(1));
        }
    }

    /// What was said since. The process has been reaped: what it wrote is in the pipe, and a process
    /// that it left behind is not waited for.
    pub(super) fn take(&self) -> String {
        self.ends_within(Duration::from_millis(200));
        std::mem::take(&mut *lock(&self.said)).text()
    }
}

fn log_lines(pipe: impl Read, worker: usize, said: &Mutex<Tail>) {
    let mut pipe = BufReader::new(pipe);
    let mut line = Vec::new();
    // A pipe that cannot be read has nothing more to say.
    while pipe
        .by_ref()
        .take(MAX_LOG_BYTES)
        .read_until(b'\n', &mut line)
        .is_ok_and(|length| length > 0)
    {
        let text = String::from_utf8_lossy(line.trim_ascii_end());
        if !text.is_empty() {
            info!(worker, "{}", Escaped::text(&text));
            let mut said = lock(said);
            said.push(text.as_bytes());
            said.push(b"\n");
        }
        line.clear();
    }
}
