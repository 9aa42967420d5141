//! A store that does as it is told, and remembers what it was told: what the queue's tests and
//! models put behind it.

use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::time::Duration;

use super::handoff::{Full, Shared};
use super::operation::Operation;
use super::store::Store;
use super::sync::thread::JoinHandle;
use crate::error::{Error, Result};
use crate::sheet::{OperationId, Updates, WriteOperation};
use crate::store::{Checkpoint, Writes};

type CommitOne = dyn Fn(&WriteOperation) -> Result<()> + Send + Sync;

pub struct Fake {
    commit: Box<CommitOne>,
    checkpoint: Box<dyn Fn(usize) -> Result<Checkpoint> + Send + Sync>,
    pub checkpoints: AtomicUsize,
    commits: Mutex<Vec<Vec<OperationId>>>,
    /// How many of the operations the sheet shows.
    visible: AtomicUsize,
}

impl Fake {
    pub fn new() -> Fake {
        Fake {
            commit: Box::new(|_| Ok(())),
            checkpoint: Box::new(|_| Ok(Checkpoint::Visible)),
            checkpoints: AtomicUsize::new(0),
            commits: Mutex::default(),
            visible: AtomicUsize::new(0),
        }
    }

    /// With an answer for each operation.
    pub fn committing(
        commit: impl Fn(&WriteOperation) -> Result<()> + Send + Sync + 'static,
    ) -> Fake {
        Fake {
            commit: Box::new(commit),
            ..Fake::new()
        }
    }

    /// With an outcome for each checkpoint, by its number from zero.
    pub fn checkpointing(
        checkpoint: impl Fn(usize) -> Result<Checkpoint> + Send + Sync + 'static,
    ) -> Fake {
        Fake {
            checkpoint: Box::new(checkpoint),
            ..Fake::new()
        }
    }

    /// The operations of each commit.
    pub fn commits(&self) -> MutexGuard<'_, Vec<Vec<OperationId>>> {
        self.commits.lock().expect("nothing panics under it")
    }

    /// The operations in the order in which they were committed.
    pub fn committed(&self) -> Vec<OperationId> {
        self.commits().concat()
    }

    /// Those of them that a checkpoint covered.
    #[cfg(any(loom, shuttle))]
    pub fn visible(&self) -> Vec<OperationId> {
        let mut operations = self.committed();
        operations.truncate(self.visible.load(Ordering::SeqCst));
        operations
    }
}

impl Store for Arc<Fake> {
    fn commit(&self, operations: &[&WriteOperation]) -> Vec<Result<()>> {
        let answers = operations
            .iter()
            .map(|operation| (self.commit)(operation))
            .collect();
        let ids = operations.iter().map(|operation| operation.operation_id);
        self.commits().push(ids.collect());
        answers
    }

    fn checkpoint(&self) -> Result<Checkpoint> {
        let committed = self.committed().len();
        let checkpoint = (self.checkpoint)(self.checkpoints.fetch_add(1, Ordering::SeqCst));
        if matches!(checkpoint, Ok(Checkpoint::Visible)) {
            self.visible.store(committed, Ordering::SeqCst);
        }
        checkpoint
    }

    fn busy(&self) -> Error {
        full_disk()
    }

    fn writes(&self) -> Writes {
        Writes::default()
    }
}

/// A queue and its writer thread.
pub fn start(capacity: usize, fake: Fake) -> (Arc<Shared>, Arc<Fake>, JoinHandle<()>) {
    let (shared, fake) = (Arc::new(Shared::new(capacity)), Arc::new(fake));
    let thread = Shared::start(&shared, Arc::clone(&fake)).unwrap();
    (shared, fake, thread)
}

pub fn submit(shared: &Arc<Shared>, po: &str, full: Full) -> Result<Operation> {
    shared.submit(Some((po, Updates::new(), false)), full)
}

pub fn stop(shared: &Shared, thread: JoinHandle<()>) {
    assert!(shared.close(Duration::from_secs(60)));
    thread.join().unwrap();
}

pub fn full_disk() -> Error {
    Error::NotVisible {
        path: "in.csv".into(),
        source: Box::new(Error::io("write", "in.csv")(
            std::io::Error::from_raw_os_error(28),
        )),
    }
}
