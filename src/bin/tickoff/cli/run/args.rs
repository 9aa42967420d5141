//! What a run can be asked to do.

use std::ffi::OsString;
use std::num::{NonZeroU32, NonZeroUsize};
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use clap::builder::UnknownArgumentValueParser;
use tickoff::{Halt, Rate, RetryOn};

use super::printed::Show;
use crate::cli::args::{
    AfterArgs, BackupArgs, ColumnArgs, ConditionArgs, LogArgs, SheetArgs, WordArgs, WriteArgs,
    jobs, some, some_few, times,
};
use crate::sys::prints_to_pipe;

/// What who types `--resume` is told.
const IT_RESUMES: &str =
    "a run always goes on with the rows that are not done: leave that option away";

/// What who types `--delay` is told.
const NO_DELAY: &str = "a pace is given as a rate, over all workers: --rate 5/s for a job every 0.2 s, --rate 30/m for one every 2 s";

/// Run a command once for every row that is not done
///
/// CMD runs without a shell. In its arguments {} is replaced by the row's key, {COLUMN} by the cell of that
/// column, {#} by the row's number, and {.}, {/}, {//} and {/.} by parts of the key, as in GNU parallel.
/// They may not stand in a shell's script: sh -c 'fetch "$1"' sh {}. Its environment has TICKOFF_KEY (and TICKOFF_PO, the same), TICKOFF_SESSION, TICKOFF_WORKER, TICKOFF_ATTEMPT,
/// and TICKOFF_RESULT: the name of a file to which it may write its result, as a JSON object or as lines
/// NAME=value. A column that is not there is added.
///
/// Exit code 0 of CMD means COMPLETED, 75 (and --retry-on) "try again later", or in the seconds that it leaves as
/// retry_after=N in its result, any other ERROR with the end of its stderr as the message. Rows that failed run again at the next run. STATUS, LAST_PROCESSED and ERROR_MESSAGE
/// are added where they are missing; a status column of somebody else's is not taken over.
///
/// With --worker-protocol, CMD is started once per worker instead, and gets its jobs as JSON lines.
///
/// Work in several steps has a stage for each: --stage NAME has a state of its own, --after STAGE takes
/// what is done there, and TICKOFF_STAGE is NAME. In an answer of CMD, and for --done and
/// --retry-failed, STATUS is the stage's; in --where and placeholders a name is the column's own.
///
/// With - as FILE, jobs come from standard input, one a line. --output and --key are needed then: COPY is
/// made, with the jobs in that column, and keeps the results. Every job of it that is not done runs; so
/// does one that is new in the input. With </dev/null the run goes on with those that are there. --key is
/// remembered in tickoff.toml, so that no other command on COPY needs it.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff run orders.csv -j 8 --timeout 2m -- ./fetch.sh {}
  tickoff run orders.csv --output results.csv -- curl -fsS -O {COUPA_URL}
  tickoff run orders.csv --limit 10 --halt soon,fail=1 -- ./fetch.sh {} \"{SUPPLIER}\"
  tickoff run urls.csv --key url --stdout-to title --retry-on any -- ./title.sh {}
  tickoff run urls.csv --key url -j 8 --rate 5/s -- ./fetch.sh {}
  tickoff run orders.csv --key order --key line -- ./fetch.sh {order} {line}
  tickoff run orders.csv --where SUPPLIER=Acme --dry-run -- ./fetch.sh {}
  tickoff run orders.csv --stage ocr --after main -- ./ocr.sh files/{}.pdf
  tickoff run - --output urls.csv --key url -- curl -fsSO {} <urls.txt")]
pub struct RunArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    /// Run N commands at a time, at most 10,000
    #[arg(
        short,
        long,
        value_name = "N",
        value_parser = jobs,
        allow_negative_numbers = true,
        default_value = "4",
        help_heading = "Running"
    )]
    pub jobs: NonZeroUsize,

    /// Kill a command, and what it started, after DURATION: 500ms, 30s, 2m, 1h [default: never]
    #[arg(long, value_name = "DURATION", value_parser = positive_duration, help_heading = "Running")]
    pub timeout: Option<Duration>,

    /// Kill what a command that ended by itself has left behind; without this it is named and goes on
    #[arg(long, help_heading = "Running")]
    pub kill_leftovers: bool,

    /// Try a job again up to N times when CMD exits with 75
    #[arg(
        long,
        value_name = "N",
        value_parser = times,
        allow_negative_numbers = true,
        default_value_t = 3,
        help_heading = "Running"
    )]
    pub retries: u32,

    /// What GNU parallel and curl call it, or nearly so.
    #[arg(
        long,
        hide = true,
        num_args = 0..=1,
        default_missing_value = "",
        value_parser = UnknownArgumentValueParser::suggest_arg("--retries")
    )]
    retry: Option<String>,

    /// Try a job again when CMD exits with one of these codes, too: 7, or 7,100-120, or any for every code
    /// but 0
    #[arg(
        long,
        value_name = "CODES|any",
        conflicts_with = "worker_protocol",
        help_heading = "Running"
    )]
    pub retry_on: Option<RetryOn>,

    /// Start at most N jobs a second, minute or hour, over all workers: evenly spaced, other attempts included
    /// [default: no limit]
    #[arg(long, value_name = "N/s|N/m|N/h", help_heading = "Running")]
    pub rate: Option<Rate>,

    /// What GNU parallel has for a pace.
    #[arg(
        long,
        hide = true,
        num_args = 0..=1,
        default_missing_value = "",
        value_parser = UnknownArgumentValueParser::suggest(NO_DELAY)
    )]
    delay: Option<String>,

    /// Give each command the terminal, as a shell does: for those that ask for a password. Takes -j 1
    #[arg(
        long,
        conflicts_with_all = ["worker_protocol", "results", "show"],
        help_heading = "Running"
    )]
    pub tty: bool,

    /// What other programs have for going on.
    #[arg(
        long,
        alias = "continue",
        hide = true,
        num_args = 0..=1,
        default_missing_value = "",
        value_parser = UnknownArgumentValueParser::suggest(IT_RESUMES)
    )]
    resume: Option<String>,

    /// Wait at most this long before the first retry, and twice as long before each further one; a wait is 50
    /// to 100 % of that
    #[arg(long, value_name = "DURATION", value_parser = duration, default_value = "1s", help_heading = "Running")]
    pub backoff: Duration,

    /// After N failed jobs, or when N% of the results so far are failures and at least 3, hand out no
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

    /// Start N long-lived processes and send them their jobs as lines of JSON [default: one process
    /// per job]
    ///
    /// A request is {"id":1,"po_number":…,"key":…,"attempt":1,"cells":{COLUMN:VALUE,…}}. The answer is
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
        value_parser = some_few,
        requires = "worker_protocol",
        help_heading = "Workers that stay alive"
    )]
    pub recycle_after: Option<NonZeroU32>,

    #[command(flatten)]
    pub conditions: ConditionArgs,

    /// Only the row with this key, whatever word its STATUS is; may be repeated
    #[arg(long, value_name = "KEY", help_heading = "What to process")]
    pub only: Vec<String>,

    /// Only rows whose status is a failure: ERROR, FAILED, PARTIAL, PO_NOT_FOUND, or a word of --failed
    #[arg(long, help_heading = "What to process")]
    pub retry_failed: bool,

    /// Process at most N rows
    #[arg(long, value_name = "N", value_parser = some, allow_negative_numbers = true, help_heading = "What to process")]
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
    pub words: WordArgs,

    #[command(flatten)]
    pub stage: AfterArgs,

    /// Process the rows that are done as well, and those with an unknown word as their STATUS, and let a
    /// result replace COMPLETED
    #[arg(long, help_heading = "What to process")]
    pub force: bool,

    /// Leave FILE untouched and keep the results in COPY; an existing COPY is resumed, and gets the rows
    /// that are new in FILE; another sheet is refused. A program that is still writing FILE is waited for, 10 s
    /// at most
    #[arg(long, value_name = "COPY", help_heading = "Results")]
    pub output: Option<PathBuf>,

    /// Write what CMD says on stdout, without the line ends at its end, to the cell of COLUMN instead of
    /// showing it; at most 32,767 characters. One that fails and says nothing leaves the cell as it is
    #[arg(
        long,
        value_name = "COLUMN",
        conflicts_with = "worker_protocol",
        help_heading = "Results"
    )]
    pub stdout_to: Option<String>,

    #[command(flatten)]
    pub columns: ColumnArgs,

    /// Jobs from standard input end with a NUL byte, as find -print0 writes them, instead of a line end
    #[arg(short = '0', long, help_heading = "What to process")]
    pub null: bool,

    #[command(flatten)]
    pub write: WriteArgs,

    /// Keep what the commands say in DIR/KEY/stdout and DIR/KEY/stderr, that of earlier attempts in
    /// stdout.1, stderr.1 and so on; in DIR's names keys are percent-encoded
    #[arg(
        long,
        value_name = "DIR",
        conflicts_with = "worker_protocol",
        help_heading = "Records of the run"
    )]
    pub results: Option<PathBuf>,

    /// Show what the commands print line by line, in one piece when a job has ended (grouped), only that of jobs
    /// that failed, or nothing [default: lines; none with --results]
    #[arg(
        long,
        value_name = "lines|grouped|failed|none",
        hide_possible_values = true,
        help_heading = "Messages"
    )]
    pub show: Option<Show>,

    /// Add a line to FILE for each attempt, as GNU parallel does, with the key behind it
    #[arg(long, value_name = "FILE", help_heading = "Records of the run")]
    pub joblog: Option<PathBuf>,

    /// Add a JSON object to FILE, a file or FIFO, for all that happens, one a line
    #[arg(long, value_name = "FILE", value_parser = events_file, help_heading = "Records of the run")]
    pub events: Option<PathBuf>,

    #[command(flatten)]
    pub backup: BackupArgs,

    #[command(flatten)]
    pub log: LogArgs,

    /// The command to run for each row, and its arguments
    #[arg(last = true, required = true, value_name = "CMD ARGS")]
    pub cmd: Vec<OsString>,
}

impl RunArgs {
    /// What is shown of what commands print; `None` if nothing is. Unless it was asked for, what is kept in files is
    /// not shown as well.
    pub fn shown(&self) -> Option<Show> {
        match self.show {
            Some(Show::None) | None if self.results.is_some() => None,
            // They print to the terminal themselves.
            _ if self.tty => None,
            show => Some(show.unwrap_or(Show::Lines)),
        }
    }

    /// Whether what they print goes to a pipe, whose reader may print to our terminal as well.
    pub fn prints_to_pipe(&self) -> bool {
        let is_shown = self.shown().is_some_and(|show| show != Show::None);
        let is_of_stdout = self.worker_protocol.is_none() && self.stdout_to.is_none();
        is_shown && is_of_stdout && !self.dry_run && prints_to_pipe()
    }
}

/// How workers that stay alive are talked to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum WorkerProtocol {
    /// JSON lines.
    Jsonl,
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
    use tickoff::{Duplicates, Failures, ProcessingStatus};

    use super::*;
    use crate::cli::formulas::Formulas;
    use crate::cli::tests::{check_refused, parse_run};
    use crate::stderr::LogFormat;

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
        let options = args.sheet.options().unwrap();
        assert_eq!(
            (options.key.names(), options.delimiter),
            (&["PO_NUMBER".to_owned()][..], None)
        );
        assert_eq!(options.duplicates, Duplicates::Refuse);
        assert_eq!(options.done, [ProcessingStatus::Completed]);
        assert_eq!((args.backup.backup_dir, args.backup.keep.get()), (None, 5));
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
    fn a_rate_is_a_number_and_its_time() {
        let args = parse_run("tickoff run in.csv --rate 20/m -- x");
        assert_eq!(args.rate.unwrap().interval(), Duration::from_millis(3002));
        for rate in ["5", "0/s", "5/d"] {
            check_refused(
                &format!("tickoff run in.csv --rate {rate} -- x"),
                "is not N/s, N/m or N/h, like 5/s",
            );
        }
    }

    #[test]
    fn who_types_a_delay_is_told_of_the_rate() {
        for delay in ["--delay 2", "--delay=0.5s", "--delay"] {
            let line = format!("tickoff run in.csv {delay} -- x");
            check_refused(&line, "unexpected argument '--delay");
            check_refused(&line, "--rate 5/s for a job every 0.2 s");
        }
    }

    #[test]
    fn counts_that_would_mean_nothing_are_refused() {
        check_refused("tickoff run in.csv -j 0 -- x", "it must be a whole number");
        check_refused(
            "tickoff run in.csv --keep 0 -- x",
            "it must be a whole number",
        );
        check_refused(
            "tickoff run in.csv --limit 0 -- x",
            "it must be a whole number",
        );
        for halt in ["0", "soon,fail=0", "later,fail=1", "soon"] {
            check_refused(
                &format!("tickoff run in.csv --halt {halt} -- x"),
                "is not never, soon,fail=N or now,fail=N",
            );
        }
    }
}
