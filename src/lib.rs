//! tickoff runs a long batch over a CSV: every row's result is on disk the moment it is known,
//! nothing is lost in a crash, and a run resumes from the exact row.
//!
//! ```
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # let sheet = folder.path().join("input.csv");
//! # std::fs::write(&sheet, "PO_NUMBER\nPO1\nPO2\nPO3\n")?;
//! use tickoff::{Options, Outcome, ProcessingStatus, Selection, Session, Updates, WorkerPool};
//!
//! let session = Session::open(&sheet, &Options::default())?;
//! let summary = session.run(WorkerPool::new(4), &Selection::all(), |job| match job.po {
//!     "PO2" => Outcome::Done(Updates::error("no such order")),
//!     _ => Outcome::Done(Updates::status(ProcessingStatus::Completed)),
//! })?;
//! assert_eq!((summary.pool.completed, summary.pool.errors), (2, 1));
//!
//! let sheet = tickoff::Sheet::read(&sheet, &Options::default())?;
//! assert_eq!(sheet.record("PO2").unwrap().error_message.as_deref(), Some("no such order"));
//! assert_eq!(sheet.pending_pos().collect::<Vec<_>>(), ["PO2"]);
//! # Ok(())
//! # }
//! ```
//!
//! # What a crash can do to a sheet
//!
//! Three words are kept apart: a result is *durable* when it survives a crash, *visible* when the
//! public CSV shows it, and *acknowledged* when its submitter has been told that it is durable.
//!
//! 1. **Acknowledged means durable**: it survives `kill -9`, and power loss on a disk that honours
//!    fsync.
//! 2. **At any instant the CSV is one complete version**, an old one or a new one.
//! 3. **An outside edit is never silently overwritten.** What another program wrote is merged by key
//!    and cell; where both wrote, the result is kept and the conflict reported with both values;
//!    what cannot be merged is kept in a copy beside the backups and reported.
//!
//! # What is assumed
//!
//! Linux, and a local filesystem: its fsync makes data durable, a rename in a folder is atomic,
//! flock excludes, and RENAME_EXCHANGE, O_TMPFILE and file leases work, as on ext4, xfs and btrfs.
//! Where the last three are missing, other means take their place, and less is promised. Without
//! leases an edit that is written through a descriptor on an already displaced file may be lost; that
//! file is watched for a moment, and a copy kept of what is written to it. Without an exchange a file
//! may be lost that takes the sheet's name between the last look at it and the rename, which follows
//! at once. Other programs do not touch the files whose names begin with `.input.csv.`.
//!
//! # What it does not do
//!
//! It does not promise anything on network filesystems, against disks that lie about fsync, against
//! what root does, or against stores to a shared map of the sheet that change no timestamp. It does
//! not repair a malformed CSV, does not reformat a well-formed one, and does not order results by
//! priority. Jobs that outlive a killed tickoff are not stopped.
//!
//! # Modules
//!
//! In the order of the data flow; each file's header says what it guarantees.

// From the words up to the whole job: each folder may use those above it (tests/layers.rs).
mod text;
//
mod domain;
//
mod error;
//
mod sys;
//
mod csv;
//
mod disk;
//
mod sheet;
//
mod journal;
//
mod backup;
//
mod store;
//
mod settings;
//
mod queue;
//
mod run;
//
#[cfg(feature = "cli")]
mod process;
//
mod session;

#[cfg(feature = "fuzzing")]
#[doc(hidden)]
pub mod fuzzing;

pub use backup::{BackupManager, BackupMetadata, CopyKind, DEFAULT_KEEP, KeptCopy};
pub use csv::candidates::KeyCandidates;
pub use csv::dialect::parse_delimiter;
pub use disk::{NewFile, Rights};
pub use domain::columns::COLUMNS;
#[doc(hidden)]
pub use domain::columns::same_column;
pub use domain::{
    Encoding, FileKind, HeaderLine, Holder, InvalidStage, InvalidValue, KeyColumns,
    MAX_ADDED_COLUMNS, MAX_JOBS, MAX_LINE_BYTES, MAX_RESULT_BYTES, MAX_RESULT_CELLS,
    MAX_RETRY_AFTER, MAX_VALUE_CHARS, Problem, ProcessingStatus, Stage,
};
pub use error::{Error, ForeignWord, Result};
#[cfg(feature = "cli")]
pub use process::{
    CannotRun, CommandTemplate, FAREWELL, GRACE, InvalidTemplate, KeptOutput, Misspelt, Orphans,
    Printer, RecordCommand, RetryOn, Stream, WorkerProcesses, is_ignored, kill_all, suspend,
};
pub use queue::{DEFAULT_CAPACITY, Operation, QueueStatus, Until, WriteQueue};
pub use run::{
    Change, Control, Ending, Event, FEWEST_FAILURES, Failures, Halt, InvalidHalt, InvalidRate, Job,
    JobResult, MAX_BACKOFF, Outcome, PoolSummary, ProcessEnd, Rate, Retry, RunControl, Stop,
    StopLevel, Verdict, Wait, WorkerPool,
};
pub use session::{
    Asked, Recovered, Request, Requests, Results, RunningSession, Session, SubmittedResult,
    Summary, Teller,
};
pub use settings::{Contradiction, Settings};
#[doc(hidden)]
pub use sheet::JsonObject;
pub use sheet::{
    Condition, Conflict, ControlRows, CsvRecord, Diagnostic, Duplicates, InvalidCondition, JobEnd,
    JobList, Level, NotUtf8, Numbered, OperationId, Options, ProcessingProgress, Selection, Sheet,
    Updates, WriteOperation,
};
pub use store::{
    BackedUp, CsvHandler, Decided, Decision, completing_columns, create_output, diagnose,
    key_candidates,
};
#[doc(hidden)]
pub use text::close_to;
pub use text::{Excerpt, MAX_ERROR_CHARS, escape, escape_name};
