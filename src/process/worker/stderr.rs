//! What a process that stays alive says on stderr.
//!
//! It is read by a thread, because a process may fill that pipe while it has nothing to do. Whoever ends an
//! attempt takes in what is in the pipe by then, so that what was said before an answer belongs to its row.

use std::fs::File;
use std::io::{self, PipeReader, Read};
use std::os::fd::{AsFd, OwnedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::process::poll::STOP_CHECK;
use crate::process::printing::{Printer, Printing, Stream};
use crate::process::shortage::despite_shortage;
use crate::process::tail::Tail;
use crate::run::Job;
use crate::run::stop::lock;
use crate::sys::poll::{Pipe, bytes_in, never_block, ready_within};

/// How long the thread goes on at most when its process has been reaped.
const OVER_CHECK: Duration = Duration::from_secs(1);

/// What a process writes to its stderr: printed line by line, its end kept for messages.
pub(super) struct Stderr {
    said: Arc<Said>,
    reader: JoinHandle<()>,
}

struct Said {
    /// Does not block.
    pipe: File,
    taken: Mutex<Taken>,
    /// Whether the process has been reaped: then nobody is read who holds the pipe still. Written by who reaps,
    /// read by the thread. Relaxed: it hands over nothing else.
    is_over: AtomicBool,
}

/// What has come out of the pipe.
struct Taken {
    /// The end of it since the process was asked.
    end: Tail,
    printed: Option<Printing>,
}

impl Stderr {
    /// Waits until there can be a thread more; `None` if the run is stopped meanwhile.
    pub(super) fn read(
        pipe: PipeReader,
        job: &Job<'_>,
        printer: Option<&Arc<dyn Printer>>,
    ) -> io::Result<Option<Stderr>> {
        let pipe = File::from(OwnedFd::from(pipe));
        never_block(&pipe)?;
        let (worker, key) = (job.worker, Some(job.po));
        let printed = printer.map(|printer| Printing::of(printer, worker, key, Stream::Stderr));
        let taken = Mutex::new(Taken {
            end: Tail::default(),
            printed,
        });
        let said = Arc::new(Said {
            pipe,
            taken,
            is_over: AtomicBool::new(false),
        });
        let what = || String::from("what a worker says on stderr cannot be read");
        let reader = despite_shortage(what, job.stop, || {
            let reading = Arc::clone(&said);
            thread::Builder::new()
                .name(format!("stderr-{worker}"))
                .spawn(move || reading.read_to_end())
        })?;
        Ok(reader.map(|reader| Stderr { said, reader }))
    }

    /// Forgets what was said before; what comes now belongs to this key.
    pub(super) fn begin(&self, key: &str) {
        self.next_is(Some(key));
        lock(&self.said.taken).end = Tail::default();
    }

    /// What comes from now on belongs to no row.
    pub(super) fn pause(&self) {
        self.next_is(None);
    }

    fn next_is(&self, key: Option<&str>) {
        let mut taken = lock(&self.said.taken);
        self.said.read_what_is_there(&mut taken);
        if let Some(printed) = &mut taken.printed {
            printed.turn_to(key);
        }
    }

    /// Whether nobody can say anything more.
    pub(super) fn has_ended(&self) -> bool {
        self.reader.is_finished()
    }

    /// What was said since. The process has been reaped: what it wrote is in the pipe, and a process
    /// that it left behind is not waited for.
    pub(super) fn take(&self) -> String {
        self.pause();
        self.said.is_over.store(true, Ordering::Relaxed);
        std::mem::take(&mut lock(&self.said.taken).end).text()
    }
}

impl Said {
    fn read_to_end(&self) {
        while !self.is_over.load(Ordering::Relaxed) {
            let readable = [Some(Pipe::Readable(self.pipe.as_fd()))];
            // A pipe that cannot be read has nothing more to say.
            let Ok([is_readable]) = ready_within(readable, OVER_CHECK) else {
                return;
            };
            let mut taken = lock(&self.taken);
            let has_room = |printed: &Printing| printed.has_room();
            if !taken.printed.as_ref().is_none_or(has_room) {
                drop(taken);
                thread::sleep(STOP_CHECK);
            } else if is_readable && self.read(&mut taken).is_ok_and(|length| length == 0) {
                return;
            }
        }
    }

    /// Reads what is there now, however fast others go on filling it.
    fn read_what_is_there(&self, taken: &mut Taken) {
        let mut left = bytes_in(&self.pipe).unwrap_or(0);
        while left > 0
            && let Ok(length @ 1..) = self.read(taken)
        {
            left = left.saturating_sub(length as u64);
        }
    }

    fn read(&self, taken: &mut Taken) -> io::Result<usize> {
        let mut chunk = [0; Tail::KEPT];
        let length = (&self.pipe).read(&mut chunk)?;
        taken.end.push(&chunk[..length]);
        if let Some(printed) = &mut taken.printed {
            printed.push(&chunk[..length]);
        }
        Ok(length)
    }
}
