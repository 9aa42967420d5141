//! Everything that can be said on the command line, and its help.
//!
//! A value that cannot be meant is refused here, with exit code 2, before any file is touched.
//! Help is readable at 80 columns.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use clap::{Parser, Subcommand, ValueEnum};
use tickoff::{DEFAULT_KEEP, Duplicates, Halt, Options, ProcessingStatus, Selection};

use super::formulas::Formulas;
use crate::stderr::{Display, LogFormat, Verbosity};

/// Run a long batch over a CSV, one command per row.
///
/// Every result is on disk the moment it is known. After a crash, the same command line goes on
/// from the exact row where the batch stopped.
#[derive(Debug, Parser)]
#[command(name = "tickoff", version = env!("TICKOFF_VERSION"), max_term_width = 80, after_help = AFTER_HELP)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

const AFTER_HELP: &str = "\
Examples:
  tickoff run orders.csv -j 8 -- ./fetch.sh {}
  tickoff status orders.csv
  tickoff set orders.csv PO123 STATUS=PENDING
  tickoff backup restore orders.csv latest

Exit codes:
  0    done
  1    finished, but some rows failed or were refused, or the PO is unknown
  2    the command line is wrong
  3    the file is missing, unreadable or invalid
  4    the file is held by another session, or being written by another program
  5    stopped by --halt, or because no worker could start
  6    some results could not be written to the CSV; the message says what to do
  126  the command cannot be run
  127  the command was not found
  130  interrupted (Ctrl-C)
  143  terminated (SIGTERM)";

/// The commands.
#[derive(Debug, Subcommand)]
#[allow(missing_docs, reason = "their help is on their arguments")]
pub enum Command {
    Run(Box<RunArgs>),
    Status(StatusArgs),
    Watch(WatchArgs),
    Report(ReportArgs),
    Pending(PendingArgs),
    Get(GetArgs),
    Set(SetArgs),
    Apply(ApplyArgs),
    Check(CheckArgs),
    Init(InitArgs),
    /// Make, list, restore or prune backups of the sheet
    #[command(subcommand)]
    Backup(BackupCommand),
    Completions(CompletionsArgs),
    Man(ManArgs),
}

/// Run a command once for every PO that is not done
///
/// CMD runs without a shell. In its arguments {} is replaced by the PO, and {COLUMN} by the cell of
/// that column. Its environment has TICKOFF_PO, TICKOFF_SESSION, TICKOFF_WORKER, TICKOFF_ATTEMPT,
/// and TICKOFF_RESULT: the name of a file to which it may write a JSON object of column updates.
///
/// Exit code 0 of CMD means COMPLETED, 75 "try again later", any other ERROR with the end of its
/// stderr as the message.
///
/// With --worker-protocol, CMD is started once per worker instead, and gets its POs as JSON lines.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff run orders.csv -j 8 --timeout 2m -- ./fetch.sh {}
  tickoff run orders.csv --output results.csv -- curl -fsS -O {COUPA_URL}
  tickoff run orders.csv --limit 10 --halt soon,fail=1 -- ./fetch.sh {} \"{SUPPLIER}\"
  tickoff run orders.csv --where SUPPLIER=Acme --dry-run -- ./fetch.sh {}")]
pub struct RunArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    /// Run N commands at a time
    #[arg(
        short,
        long,
        value_name = "N",
        default_value = "4",
        help_heading = "Running"
    )]
    pub jobs: NonZeroUsize,

    /// Kill a command, and what it started, after DURATION: 500ms, 30s, 2m, 1h [default: never]
    #[arg(long, value_name = "DURATION", value_parser = positive_duration, help_heading = "Running")]
    pub timeout: Option<Duration>,

    /// Try a PO again up to N times when CMD exits with 75
    #[arg(long, value_name = "N", default_value_t = 3, help_heading = "Running")]
    pub retries: u32,

    /// Wait this long before the first retry, and twice as long before each further one
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s", help_heading = "Running")]
    pub backoff: Duration,

    /// After N failed POs, or when N% of the results so far are failures and at least 3, hand out no
    /// more work (soon), or kill the running commands as well (now)
    #[arg(
        long,
        value_name = "soon|now,fail=N[%]",
        default_value = "never",
        help_heading = "Running"
    )]
    pub halt: Halt,

    /// Print the commands, quoted for a shell, in the order in which they would begin; change nothing
    #[arg(long, conflicts_with = "worker_protocol", help_heading = "Running")]
    pub dry_run: bool,

    /// Start N long-lived processes and send them their POs as lines of JSON [default: one process
    /// per PO]
    ///
    /// A request is {"id":1,"po_number":…,"attempt":1,"cells":{COLUMN:VALUE,…}}. The answer is
    /// {"id":1,"updates":{COLUMN:VALUE,…}} or {"id":1,"error":…}, with "retryable":true to be asked
    /// again; before it may come lines like {"id":1,"progress":…}. More in docs/worker-protocol.md.
    #[arg(
        long,
        value_name = "jsonl",
        hide_possible_values = true,
        help_heading = "Workers that stay alive"
    )]
    pub worker_protocol: Option<WorkerProtocol>,

    /// Start each worker's process this long after the one before
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "0s",
        requires = "worker_protocol", help_heading = "Workers that stay alive")]
    pub stagger: Duration,

    /// Replace a worker's process after N answers [default: never]
    #[arg(
        long,
        value_name = "N",
        requires = "worker_protocol",
        help_heading = "Workers that stay alive"
    )]
    pub recycle_after: Option<NonZeroU32>,

    #[command(flatten)]
    pub conditions: ConditionArgs,

    /// Only this PO; may be repeated
    #[arg(long, value_name = "PO", help_heading = "What to process")]
    pub only: Vec<String>,

    /// Only POs whose status is ERROR
    #[arg(long, help_heading = "What to process")]
    pub retry_failed: bool,

    /// Process at most N POs
    #[arg(long, value_name = "N", help_heading = "What to process")]
    pub limit: Option<NonZeroUsize>,

    /// Process them in a random order, of which --limit takes the first
    #[arg(long, help_heading = "What to process")]
    pub shuffle: bool,

    /// Repeat the order of an earlier --shuffle, which said its seed [default: a random one]
    #[arg(
        long,
        value_name = "N",
        requires = "shuffle",
        help_heading = "What to process"
    )]
    pub seed: Option<u64>,

    #[command(flatten)]
    pub done: DoneArgs,

    /// Process the POs that are done as well, and let a result replace COMPLETED
    #[arg(long, help_heading = "What to process")]
    pub force: bool,

    /// Leave FILE untouched and keep the results in COPY; an existing COPY is resumed
    #[arg(long, value_name = "COPY", help_heading = "Results")]
    pub output: Option<PathBuf>,

    #[command(flatten)]
    pub write: WriteArgs,

    /// Keep what the commands say in DIR/PO/stdout and DIR/PO/stderr, that of earlier attempts in
    /// stdout.1, stderr.1 and so on; in DIR's names POs are percent-encoded
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "worker_protocol",
        help_heading = "Records of the run"
    )]
    pub results: Option<PathBuf>,

    /// Add a line to FILE for each attempt, as GNU parallel does, with the PO behind it
    #[arg(long, value_name = "FILE", help_heading = "Records of the run")]
    pub joblog: Option<PathBuf>,

    /// Add a JSON object to FILE, a file or FIFO, for all that happens, one a line
    #[arg(long, value_name = "FILE", value_parser = events_file, help_heading = "Records of the run")]
    pub events: Option<PathBuf>,

    #[command(flatten)]
    pub backup: BackupArgs,

    #[command(flatten)]
    pub log: LogArgs,

    /// The command to run for each PO, and its arguments
    #[arg(last = true, required = true, value_name = "CMD ARGS")]
    pub cmd: Vec<OsString>,
}

/// Show how many POs there are in each state, the commonest errors, and who is at it
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff status orders.csv
  watch tickoff status orders.csv
  tickoff status orders.csv --json | jq .pending")]
pub struct StatusArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    /// Print one JSON object: total, completed, pending, error, no_attachments, other, last_result,
    /// session, errors
    #[arg(long)]
    pub json: bool,
}

/// Show the progress of a run that is going on elsewhere
///
/// Ends when the run does, and then prints the counts by status. In a pipe it prints a line every ten
/// seconds. It takes no lock and changes nothing.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tickoff watch orders.csv")]
pub struct WatchArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,
}

/// Write a report of the batch: a page, a workbook, or both
///
/// The page (HTML) is one file that loads nothing: shares, results over time, the commonest errors,
/// suppliers, and the rows, to be filtered and sorted. Above 20,000 rows it holds those that failed
/// or have no result, at most 20,000. The workbook (XLSX) holds all of them, at most 1,048,575.
///
/// A file that is there is replaced, once the new one is whole. FILE may be in use by a run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff report orders.csv --html orders.html
  tickoff report orders.csv --html orders.html --xlsx orders.xlsx
  tickoff report orders.csv --html orders.html --joblog orders.joblog")]
pub struct ReportArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    /// Write the page to OUT
    #[arg(long, value_name = "OUT", required_unless_present = "xlsx")]
    pub html: Option<PathBuf>,

    /// Write the workbook to OUT
    #[arg(long, value_name = "OUT")]
    pub xlsx: Option<PathBuf>,

    /// Tell the slowest suppliers from the joblog of a run
    #[arg(long, value_name = "LOG")]
    pub joblog: Option<PathBuf>,
}

/// List the POs that a run would process
///
/// One PO a line, in the sheet's order. Control characters are shown as escapes; use -0 to hand POs
/// on to another program as they are.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff pending orders.csv | head
  tickoff pending orders.csv -0 | xargs -0 -n1 ./fetch.sh")]
pub struct PendingArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    #[command(flatten)]
    pub conditions: ConditionArgs,

    #[command(flatten)]
    pub done: DoneArgs,

    /// Print each record as a JSON object on a line of its own
    #[arg(long)]
    pub json: bool,

    /// End each PO with a NUL byte, and do not escape it
    #[arg(short = '0', long, conflicts_with = "json")]
    pub null: bool,
}

/// Show every cell of a PO
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff get orders.csv PO123
  tickoff get orders.csv PO123 --json | jq -r .error_message")]
pub struct GetArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    /// The PO
    pub po: String,

    /// Print one JSON object
    #[arg(long)]
    pub json: bool,
}

/// Change cells of a PO, whatever its status
///
/// A new STATUS also sets LAST_PROCESSED, and clears ERROR_MESSAGE unless it is ERROR. Columns that
/// the sheet does not have are refused. It may be used while a run is going.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff set orders.csv PO123 STATUS=PENDING
  tickoff set orders.csv PO123 STATUS=ERROR \"ERROR_MESSAGE=wrong supplier\"")]
pub struct SetArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    /// The PO
    pub po: String,

    /// The new value of a column: all that follows the first =
    #[arg(required = true, value_name = "COLUMN=VALUE")]
    pub cells: Vec<Assignment>,

    #[command(flatten)]
    pub write: WriteArgs,
}

/// Apply results that another program computed
///
/// Reads one JSON object a line from stdin: {"po_number": …, "updates": {COLUMN: VALUE, …},
/// "operation_id": …}. The operation_id is optional and comes back in the answer. A line that is
/// refused is reported with its number; the others are applied.
///
/// With --ack each line is answered, in order, by one JSON object with line, operation_id,
/// po_number and durable; if durable is false, error says why.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  ./results.py | tickoff apply orders.csv
  echo '{\"po_number\":\"PO1\",\"updates\":{\"STATUS\":\"COMPLETED\"}}' |
    tickoff apply orders.csv --ack")]
pub struct ApplyArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    /// Answer each line on stdout once its result is durable
    #[arg(long)]
    pub ack: bool,

    /// Let operations take a PO out of COMPLETED or back to PENDING
    #[arg(long)]
    pub force: bool,

    #[command(flatten)]
    pub write: WriteArgs,

    #[command(flatten)]
    pub backup: BackupArgs,

    #[command(flatten)]
    pub log: LogArgs,
}

/// Look for everything that is wrong with the sheet, and change nothing
///
/// Prints a finding a line, as FILE:LINE:COLUMN: LEVEL: PO: MESSAGE, and indented by 4 blanks below
/// it the place in its line, with a caret. If one of them is an error, the exit code is 3.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff check orders.csv
  tickoff check orders.csv --json | jq -r 'select(.level==\"error\").po'")]
pub struct CheckArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    /// Print each finding as a JSON object on a line of its own
    #[arg(long)]
    pub json: bool,
}

/// Add STATUS, LAST_PROCESSED and ERROR_MESSAGE where they are missing
///
/// A run does the same when it starts. A backup is made first.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tickoff init orders.csv")]
pub struct InitArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    /// Accept a sheet on a network filesystem, at your own risk
    #[arg(long, help_heading = "Results")]
    pub allow_network_fs: bool,

    #[command(flatten)]
    pub backup: BackupArgs,
}

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Copy the sheet now, then prune; prints the path of the backup
    #[command(after_help = "\
Examples:
  tickoff backup create orders.csv
  tickoff backup create orders.csv --session before-cleanup")]
    Create {
        /// The sheet
        file: PathBuf,

        /// Session id in the backup's name: 1 to 64 letters, digits, - and _
        #[arg(long, value_name = "ID", default_value = "manual")]
        session: String,

        #[command(flatten)]
        backup: BackupArgs,
    },

    /// List the backups of the sheet, newest first
    #[command(after_help = "\
Example:
  tickoff backup list orders.csv")]
    List {
        /// The sheet
        file: PathBuf,

        /// Print each backup as a JSON object on a line of its own
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        backup: BackupArgs,
    },

    /// Put a backup in the sheet's place, after backing up what it replaces
    ///
    /// So `restore FILE latest` a second time undoes the first.
    #[command(after_help = "\
Examples:
  tickoff backup restore orders.csv
  tickoff backup restore orders.csv orders_20260105_101500_nightly.csv")]
    Restore {
        #[command(flatten)]
        sheet: SheetArgs,

        /// latest, a session id, the name of a file in the folder of backups, or a path
        #[arg(value_name = "BACKUP", default_value = "latest")]
        which: String,

        /// Accept a sheet on a network filesystem, at your own risk
        #[arg(long, help_heading = "Results")]
        allow_network_fs: bool,

        #[command(flatten)]
        backup: BackupArgs,
    },

    /// Delete all but the newest backups; prints the paths of those deleted
    ///
    /// Spares the backups of a session that is going on or was interrupted.
    #[command(after_help = "\
Example:
  tickoff backup prune orders.csv --keep 2")]
    Prune {
        /// The sheet
        file: PathBuf,

        #[command(flatten)]
        backup: BackupArgs,
    },
}

/// Print a script that makes a shell complete tickoff's arguments
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  source <(tickoff completions bash)
  tickoff completions zsh > ~/.zfunc/_tickoff
  tickoff completions fish > ~/.config/fish/completions/tickoff.fish")]
pub struct CompletionsArgs {
    /// The shell
    pub shell: clap_complete::Shell,
}

/// Print the manual page, or write one for every command
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff man | man -l -
  tickoff man ~/.local/share/man/man1")]
pub struct ManArgs {
    /// Write the pages into this folder, and print their paths
    #[arg(value_name = "DIR")]
    pub folder: Option<PathBuf>,
}

/// Which sheet, and how it is to be read.
#[derive(Debug, clap::Args)]
pub struct SheetArgs {
    /// The sheet: a CSV with a row for each PO
    pub file: PathBuf,

    /// Column that holds the PO
    #[arg(
        long,
        value_name = "COLUMN",
        default_value = "PO_NUMBER",
        help_heading = "Sheet"
    )]
    pub key: String,

    /// Delimiter, one ASCII character or tab [default: the one of ; , tab with which the header has
    /// the key column]
    #[arg(long, value_name = "CHAR", value_parser = delimiter, help_heading = "Sheet")]
    pub delimiter: Option<u8>,

    /// A PO that stands in several rows: refuse the sheet, or write to all of them
    #[arg(
        long,
        value_name = "refuse|all",
        default_value = "refuse",
        hide_possible_values = true,
        help_heading = "Sheet"
    )]
    pub duplicates: DuplicatesArg,
}

impl SheetArgs {
    /// The same for the library.
    pub fn options(&self) -> Options {
        Options {
            key: self.key.clone(),
            delimiter: self.delimiter,
            duplicates: match self.duplicates {
                DuplicatesArg::Refuse => Duplicates::Refuse,
                DuplicatesArg::All => Duplicates::All,
            },
            ..Options::default()
        }
    }
}

/// The library's [`Duplicates`] as clap needs it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
#[allow(missing_docs)]
pub enum DuplicatesArg {
    Refuse,
    All,
}

/// How workers that stay alive are talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WorkerProtocol {
    /// JSON lines.
    Jsonl,
}

/// What must be so in a row.
#[derive(Debug, clap::Args)]
pub struct ConditionArgs {
    /// Only rows in which the cell of COLUMN is VALUE, apart from blanks around it; if repeated, all
    /// must hold. An empty STATUS is PENDING
    #[arg(long = "where", value_name = "COLUMN=VALUE", value_parser = condition, help_heading = "What to process")]
    cells: Vec<Assignment>,
}

impl ConditionArgs {
    /// Whether there is none.
    pub fn is_empty(&self) -> bool {
        self.cells.is_empty()
    }

    /// The selection with these conditions.
    pub fn put_into(&self, selection: Selection) -> Selection {
        let put = |selection: Selection, cell: &Assignment| {
            selection.whose(cell.column.as_str(), cell.value.as_str())
        };
        self.cells.iter().fold(selection, put)
    }
}

/// What counts as done.
#[derive(Debug, clap::Args)]
pub struct DoneArgs {
    /// Statuses that count as done, separated by commas; COMPLETED always does
    #[arg(long, value_name = "STATUS,…", value_delimiter = ',', value_parser = done_status,
        default_value = "COMPLETED", help_heading = "What to process")]
    done: Vec<ProcessingStatus>,
}

impl DoneArgs {
    /// The statuses, COMPLETED among them.
    pub fn statuses(&self) -> Vec<ProcessingStatus> {
        let mut statuses = self.done.clone();
        if !statuses.contains(&ProcessingStatus::Completed) {
            statuses.push(ProcessingStatus::Completed);
        }
        statuses
    }
}

/// How results get into the sheet.
#[derive(Debug, clap::Args)]
pub struct WriteArgs {
    /// A value that a spreadsheet would run as a formula: report it, or refuse it
    #[arg(
        long,
        value_name = "warn|reject",
        default_value = "warn",
        hide_possible_values = true,
        help_heading = "Results"
    )]
    pub formulas: Formulas,

    /// Accept a sheet on a network filesystem, at your own risk
    #[arg(long, help_heading = "Results")]
    pub allow_network_fs: bool,
}

/// Where backups are, and how many.
#[derive(Debug, clap::Args)]
pub struct BackupArgs {
    /// Folder of the backups [default: backup beside the sheet]
    #[arg(long, value_name = "DIR", help_heading = "Backups")]
    pub backup_dir: Option<PathBuf>,

    /// How many backups are kept
    #[arg(long, value_name = "N", default_value = KEEP, help_heading = "Backups")]
    pub keep: NonZeroUsize,
}

const KEEP: &str = "5";
const _: () = assert!(DEFAULT_KEEP == 5);

impl BackupArgs {
    /// These options with what was said of backups.
    pub fn put_into(&self, options: Options) -> Options {
        Options {
            backup_dir: self.backup_dir.clone(),
            keep: self.keep.get(),
            ..options
        }
    }
}

/// What is said on stderr while a session runs.
#[derive(Debug, clap::Args)]
pub struct LogArgs {
    /// Say nothing but warnings and errors
    #[arg(short, long, help_heading = "Messages")]
    pub quiet: bool,

    /// Form of the messages on stderr
    #[arg(
        long,
        value_name = "human|json",
        default_value = "human",
        hide_possible_values = true,
        help_heading = "Messages"
    )]
    pub log_format: LogFormat,
}

impl LogArgs {
    /// The stderr that was asked for.
    pub fn display(&self) -> Display {
        let verbosity = if self.quiet {
            Verbosity::Quiet
        } else {
            Verbosity::Normal
        };
        Display::stderr(self.log_format, verbosity)
    }
}

/// `COLUMN=VALUE`
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Assignment {
    /// All before the first `=`.
    pub column: String,
    /// All after it.
    pub value: String,
}

impl FromStr for Assignment {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('=') {
            Some((column, value)) if !column.trim().is_empty() => Ok(Assignment {
                column: column.to_owned(),
                value: value.to_owned(),
            }),
            _ => Err("it must be a column's name, =, and the new value".into()),
        }
    }
}

fn delimiter(text: &str) -> Result<u8, String> {
    match text.as_bytes() {
        b"tab" | b"\\t" => Ok(b'\t'),
        &[byte] if byte.is_ascii() && !matches!(byte, 0 | b'"' | b'\r' | b'\n') => Ok(byte),
        _ => Err("it must be one ASCII character, and no quote or line break; or tab".into()),
    }
}

fn done_status(word: &str) -> Result<ProcessingStatus, String> {
    match ProcessingStatus::parse(word) {
        ProcessingStatus::Pending | ProcessingStatus::Other(_) => {
            Err("only COMPLETED, NO_ATTACHMENTS and ERROR can count as done".into())
        }
        status => Ok(status),
    }
}

fn condition(text: &str) -> Result<Assignment, String> {
    let wrong = |_| "it must be a column's name, =, and the value that its cell has".to_owned();
    text.parse().map_err(wrong)
}

fn events_file(text: &str) -> Result<PathBuf, String> {
    match text {
        "-" => Err("stdout belongs to the commands; name a file or a FIFO".into()),
        path => Ok(path.into()),
    }
}

fn duration(text: &str) -> Result<Duration, String> {
    const LONGEST: Duration = Duration::from_secs(366 * 24 * 60 * 60);
    match humantime::parse_duration(text) {
        Ok(duration) if duration <= LONGEST => Ok(duration),
        Ok(_) => Err("it may not be longer than a year".into()),
        Err(_) => Err("it must be a number with its unit, like 500ms, 30s, 2m or 1h".into()),
    }
}

fn positive_duration(text: &str) -> Result<Duration, String> {
    duration(text).and_then(|duration| match duration {
        Duration::ZERO => Err("it must be longer than nothing".into()),
        duration => Ok(duration),
    })
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory;
    use clap::error::ErrorKind;
    use tickoff::Failures;

    use super::*;

    fn parse(line: &str) -> Result<Command, clap::Error> {
        Args::try_parse_from(line.split(' ')).map(|args| args.command)
    }

    #[track_caller]
    fn parse_run(line: &str) -> RunArgs {
        match parse(line).unwrap() {
            Command::Run(args) => *args,
            other => panic!("{other:?}"),
        }
    }

    /// The command line is refused with the exit code 2 and a message that says this.
    #[track_caller]
    fn check_refused(line: &str, says: &str) {
        let error = parse(line).unwrap_err();
        assert_eq!(error.exit_code(), 2);
        assert!(error.to_string().contains(says), "{error}");
    }

    #[test]
    fn the_definitions_do_not_contradict_each_other() {
        Args::command().debug_assert();
    }

    #[test]
    fn a_run_has_the_documented_defaults() {
        let args = parse_run("tickoff run in.csv -- echo {}");
        assert_eq!(args.sheet.file, PathBuf::from("in.csv"));
        assert_eq!(args.cmd, ["echo", "{}"]);
        assert_eq!(
            (args.jobs.get(), args.retries, args.backoff),
            (4, 3, Duration::from_secs(1))
        );
        assert_eq!(
            (args.timeout, args.halt, args.limit),
            (None, Halt::Never, None)
        );
        assert_eq!(
            (args.sheet.key.as_str(), args.sheet.delimiter),
            ("PO_NUMBER", None)
        );
        assert_eq!(args.sheet.duplicates, DuplicatesArg::Refuse);
        assert_eq!((args.backup.backup_dir, args.backup.keep.get()), (None, 5));
        assert_eq!(args.done.statuses(), [ProcessingStatus::Completed]);
        assert_eq!(
            (args.log.log_format, args.write.formulas),
            (LogFormat::Human, Formulas::Warn)
        );
    }

    #[test]
    fn what_follows_the_dashes_belongs_to_the_command() {
        let args = parse_run(
            "tickoff run -j8 in.csv --timeout 1m30s --halt now,fail=20 -- cmd --jobs 3 -- -x",
        );
        assert_eq!(args.cmd, ["cmd", "--jobs", "3", "--", "-x"]);
        assert_eq!(args.jobs.get(), 8);
        assert_eq!(args.timeout, Some(Duration::from_secs(90)));
        let fail = Failures::Count(20);
        assert_eq!(args.halt, Halt::Now { fail });
    }

    #[test]
    fn a_run_needs_a_command() {
        check_refused("tickoff run in.csv", "-- <CMD ARGS>");
        check_refused("tickoff run in.csv echo", "unexpected argument");
    }

    #[test]
    fn workers_that_stay_alive_are_asked_for_before_they_are_tuned() {
        let args = parse_run(
            "tickoff run in.csv --worker-protocol jsonl --stagger 2s --recycle-after 50 -- w",
        );
        assert_eq!(args.worker_protocol, Some(WorkerProtocol::Jsonl));
        assert_eq!(args.stagger, Duration::from_secs(2));
        assert_eq!(args.recycle_after.map(NonZeroU32::get), Some(50));
        check_refused("tickoff run in.csv --stagger 2s -- w", "--worker-protocol");
        check_refused(
            "tickoff run in.csv --recycle-after 5 -- w",
            "--worker-protocol",
        );
        check_refused(
            "tickoff run in.csv --worker-protocol xml -- w",
            "possible values: jsonl",
        );
    }

    #[test]
    fn durations_have_a_unit() {
        assert_eq!(duration("500ms"), Ok(Duration::from_millis(500)));
        assert_eq!(duration("1h"), Ok(Duration::from_secs(3600)));
        check_refused(
            "tickoff run in.csv --timeout 30 -- x",
            "a number with its unit",
        );
        check_refused(
            "tickoff run in.csv --timeout 0s -- x",
            "longer than nothing",
        );
        check_refused(
            "tickoff run in.csv --timeout 2years -- x",
            "not be longer than a year",
        );
        assert_eq!(
            parse_run("tickoff run in.csv --backoff 0s -- x").backoff,
            Duration::ZERO
        );
    }

    #[test]
    fn counts_that_would_mean_nothing_are_refused() {
        check_refused("tickoff run in.csv -j 0 -- x", "number would be zero");
        check_refused("tickoff run in.csv --keep 0 -- x", "number would be zero");
        check_refused("tickoff run in.csv --limit 0 -- x", "number would be zero");
        for halt in ["0", "soon,fail=0", "later,fail=1", "soon"] {
            check_refused(
                &format!("tickoff run in.csv --halt {halt} -- x"),
                "is not never, soon,fail=N or now,fail=N",
            );
        }
    }

    #[test]
    fn done_widens_and_never_drops_completed() {
        let done = |line| parse_run(line).done.statuses();
        use ProcessingStatus::*;
        assert_eq!(
            done("tickoff run in.csv --done completed,no_attachments -- x"),
            [Completed, NoAttachments]
        );
        assert_eq!(
            done("tickoff run in.csv --done NO_ATTACHMENTS -- x"),
            [NoAttachments, Completed]
        );
        check_refused(
            "tickoff run in.csv --done PENDING -- x",
            "can count as done",
        );
        check_refused("tickoff run in.csv --done DONE -- x", "can count as done");
    }

    #[test]
    fn a_delimiter_is_one_character() {
        assert_eq!(delimiter("tab"), Ok(b'\t'));
        assert_eq!(delimiter("|"), Ok(b'|'));
        for bad in ["", ";;", "é", "\"", "\n"] {
            assert!(delimiter(bad).is_err(), "{bad:?}");
        }
    }

    #[test]
    fn a_cell_is_split_at_the_first_equals_sign() {
        let assignment = |text: &str| {
            text.parse::<Assignment>()
                .map(|cell| (cell.column, cell.value))
        };
        assert_eq!(
            assignment("COUPA_URL=https://x/?a=b"),
            Ok(("COUPA_URL".into(), "https://x/?a=b".into()))
        );
        assert_eq!(assignment("STATUS="), Ok(("STATUS".into(), String::new())));
        check_refused(
            "tickoff set in.csv P1 STATUS",
            "a column's name, =, and the new value",
        );
        check_refused(
            "tickoff set in.csv P1 =x",
            "a column's name, =, and the new value",
        );
        check_refused("tickoff set in.csv P1", "required arguments");
    }

    #[test]
    fn pending_is_json_or_nul_separated() {
        assert!(
            matches!(parse("tickoff pending in.csv -0").unwrap(), Command::Pending(args) if args.null)
        );
        check_refused("tickoff pending in.csv -0 --json", "cannot be used with");
    }

    #[test]
    fn the_newest_backup_is_restored_unless_another_is_named() {
        let which = |line| match parse(line).unwrap() {
            Command::Backup(BackupCommand::Restore { which, .. }) => which,
            other => panic!("{other:?}"),
        };
        assert_eq!(which("tickoff backup restore in.csv"), "latest");
        assert_eq!(
            which("tickoff backup restore in.csv a.csv --backup-dir b"),
            "a.csv"
        );
    }

    #[test]
    fn the_version_is_printed_on_request() {
        assert_eq!(
            parse("tickoff --version").unwrap_err().kind(),
            ErrorKind::DisplayVersion
        );
    }

    #[test]
    fn every_help_is_readable_at_80_columns_and_has_an_example() {
        fn check(command: &mut clap::Command) {
            let help = command.render_long_help().to_string();
            for line in help.lines() {
                assert!(line.chars().count() <= 80, "{}: {line}", command.get_name());
            }
            let is_group = command.has_subcommands() && command.get_name() != "tickoff";
            assert!(
                is_group || help.contains("\nExample"),
                "{}",
                command.get_name()
            );
            command
                .get_subcommands_mut()
                .filter(|command| command.get_name() != "help")
                .for_each(check);
        }
        let mut command = Args::command();
        command.build();
        check(&mut command);
    }
}
