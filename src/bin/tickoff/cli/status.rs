//! `tickoff status`: how far the batch has come, what went wrong, and whether somebody is at it.

use std::io::{self, Write};
use std::path::Path;

use chrono::{DateTime, SecondsFormat, Utc};
use serde::{Serialize, Serializer};
use tickoff::{
    CsvRecord, Holder, Options, ProcessingProgress, ProcessingStatus, RunningSession, Sheet, Stage,
    escape,
};

use tracing::subscriber::{NoSubscriber, with_default};

use super::args::{FailedArgs, SheetArgs, StageArgs, refuse_unknown_stage};
use super::name_before;
use crate::errors::Errors;
use crate::exit::{Exit, Failure};
use crate::percent::percents;
use crate::stderr::board::{Board, Paused};
use crate::stderr::view::duration;
use crate::stdout::{columns, json_line, print};

/// How many of the commonest errors are shown.
const ERRORS: usize = 5;

/// How many words of STATUS are shown.
const WORDS: usize = 20;

/// How wide the longest bar is, in columns.
const BAR: usize = 40;

/// Show how many rows there are in each state, the commonest errors, and who is at it
///
/// ERROR, FAILED, PARTIAL, PO_NOT_FOUND and the words of --failed count as error; each word of STATUS is shown besides with
/// its number. Where tickoff.toml lists stages, each of them is shown so, and main as well if
/// tickoff worked on it; --stage shows one alone.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff status orders.csv
  watch tickoff status orders.csv
  tickoff status orders.csv --json | jq .pending")]
pub struct StatusArgs {
    #[command(flatten)]
    sheet: SheetArgs,

    #[command(flatten)]
    failed: FailedArgs,

    #[command(flatten)]
    stage: StageArgs,

    /// Print one JSON object: total, completed, pending, error, no_attachments, other, words,
    /// last_result, session, not_visible, errors; if tickoff.toml lists stages, over all of them, and stages
    #[arg(long)]
    json: bool,
}

/// Prints how the sheet stands.
pub fn run(args: &StatusArgs) -> Result<Exit, Failure> {
    let typed = args.failed.put_into(args.sheet.settings()?);
    let options = args.stage.put_into(args.sheet.options_with(typed.clone())?);
    let stages = match args.stage.is_named() {
        true => Stages::read_one(&args.sheet.file, &options)?,
        false => Stages::read(&args.sheet.file, &options)?,
    };
    refuse_unknown_stage(&stages.sheet)?;
    name_before::warn(&stages.sheet, typed)?;
    let work = Work {
        session: RunningSession::on(&args.sheet.file)?.map(AtIt::of),
        not_visible: stages.sheet.not_visible(),
    };
    print(|out| match args.json {
        true => json_line(out, &stages.states(work)),
        false => shown(out, &stages, work, Utc::now()),
    })?;
    Ok(Exit::Done)
}

/// A block for each stage that says something, and who is at it.
fn shown(
    out: &mut (impl Write + ?Sized),
    stages: &Stages,
    work: Work,
    now: DateTime<Utc>,
) -> io::Result<()> {
    if stages.listed.is_empty() {
        let state = State::of(&stages.sheet, Some(work));
        table(out, &state.progress)?;
        words(out, stages.stage.status(), &state.words)?;
        return explanation(out, &state, now);
    }
    for (stage, sheet) in stages.telling() {
        writeln!(out, "stage {stage}")?;
        table(out, &sheet.progress())?;
        failed_before(out, &sheet.failed_before(stages.before(stage)))?;
        let state = State::of(sheet, None);
        words(out, stage.status(), &state.words)?;
        explanation(out, &state, now)?;
        writeln!(out)?;
    }
    at_it(out, Some(&work))
}

/// What cannot be done yet in a stage, if its rows go from one stage to the next.
fn failed_before(out: &mut (impl Write + ?Sized), failed: &[(&Stage, usize)]) -> io::Result<()> {
    for (stage, rows) in failed {
        writeln!(out, "of the pending rows {rows} failed in {stage}")?;
    }
    Ok(())
}

/// A sheet as it is read for one stage, and for each of those that are listed.
pub struct Stages {
    stage: Stage,
    /// As it is read for that stage.
    pub sheet: Sheet,
    /// Those that are listed.
    pub listed: Vec<(Stage, Sheet)>,
    /// The same in their order, without the sheets.
    order: Vec<Stage>,
}

impl Stages {
    /// Reads it for the stage of these options, and for each that they list.
    pub fn read(file: &Path, options: &Options) -> Result<Stages, Failure> {
        let one = Stages::read_one(file, options)?;
        let read = |stage: &Stage| {
            let options = Options {
                stage: stage.clone(),
                ..options.clone()
            };
            let read = || Sheet::read(file, &options);
            // What there is to say of the file was said.
            Ok((stage.clone(), with_default(NoSubscriber::default(), read)?))
        };
        let listed: Result<_, Failure> = options.stages.iter().map(read).collect();
        Ok(Stages {
            listed: listed?,
            order: options.stages.clone(),
            ..one
        })
    }

    /// Reads it for the stage of these options alone.
    pub fn read_one(file: &Path, options: &Options) -> Result<Stages, Failure> {
        Ok(Stages {
            stage: options.stage.clone(),
            sheet: Sheet::read(file, options)?,
            listed: Vec::new(),
            order: Vec::new(),
        })
    }

    /// The listed stages before one of them.
    fn before(&self, stage: &Stage) -> &[Stage] {
        let place = self.order.iter().position(|listed| listed == stage);
        &self.order[..place.unwrap_or(0)]
    }

    /// Each stage that says something, with the sheet as it is read for it. Where some are listed these are
    /// they, and the main one if tickoff worked on it.
    pub fn telling(&self) -> impl Iterator<Item = (&Stage, &Sheet)> {
        let own = self.has_own().then_some((&self.stage, &self.sheet));
        let listed = self.listed.iter().map(|(stage, sheet)| (stage, sheet));
        own.into_iter().chain(listed)
    }

    fn has_own(&self) -> bool {
        let is_listed = self.listed.iter().any(|(stage, _)| stage.is_main());
        let has_begun = || has_begun(&self.sheet) && self.sheet.refuse_foreign_status().is_ok();
        self.listed.is_empty() || !is_listed && has_begun()
    }

    /// The stage to tell of where there is room for one: the main one if none is listed or tickoff worked on it,
    /// or else the last that has begun.
    pub fn foremost(mut self) -> (Stage, Sheet) {
        if self.has_own() {
            return (self.stage, self.sheet);
        }
        let begun = self.listed.iter().rposition(|(_, sheet)| has_begun(sheet));
        self.listed.swap_remove(begun.unwrap_or(0))
    }

    /// All of it, for a program: where stages are listed the whole, and each of them.
    fn states(&self, work: Work) -> State {
        if self.listed.is_empty() {
            return State::of(&self.sheet, Some(work));
        }
        let (progress, words) = self.sheet.progress_across(&self.order);
        let last_results = self.listed.iter().map(|(_, sheet)| sheet.last_processed());
        let each = self.telling().map(|(stage, sheet)| StageState {
            stage: stage.name().to_owned(),
            state: State::of(sheet, None),
        });
        State {
            progress,
            words,
            last_result: last_results.max().flatten(),
            work: Some(work),
            errors: commonest(self.sheet.failed_across(&self.order)),
            stages: each.collect(),
        }
    }
}

fn has_begun(sheet: &Sheet) -> bool {
    let progress = sheet.progress();
    progress.pending < progress.total
}

/// How a stage stands.
#[derive(Serialize)]
struct StageState {
    stage: String,
    #[serde(flatten)]
    state: State,
}

/// How a sheet stands.
#[derive(Serialize)]
struct State {
    #[serde(flatten)]
    progress: ProcessingProgress,
    /// How many rows have each word as their STATUS.
    #[serde(serialize_with = "by_word")]
    words: Vec<(ProcessingStatus, usize)>,
    /// The latest LAST_PROCESSED.
    last_result: Option<DateTime<Utc>>,
    /// Nothing is said of it for each stage.
    #[serde(flatten)]
    work: Option<Work>,
    /// The commonest first.
    errors: Vec<CommonError>,
    /// The stages that are listed, and the main one if tickoff worked on it.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    stages: Vec<StageState>,
}

fn by_word<S: Serializer>(
    words: &[(ProcessingStatus, usize)],
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_map(words.iter().map(|(word, rows)| (word.as_str(), rows)))
}

/// What is being done to a sheet.
#[derive(Serialize)]
struct Work {
    /// Who works on it now.
    session: Option<AtIt>,
    /// How many rows have a result that the file does not show yet.
    not_visible: usize,
}

/// Who works on it, and how a run is controlled.
#[derive(Serialize)]
struct AtIt {
    #[serde(flatten)]
    holder: Holder,
    /// How many jobs there are at a time; `None` of what cannot be controlled.
    jobs: Option<usize>,
    running: Option<usize>,
    paused: Option<Paused>,
    #[serde(skip)]
    text: Option<String>,
}

impl AtIt {
    fn of(session: RunningSession) -> AtIt {
        // Half of what it tells, or nothing yet, tells nothing.
        let board = serde_json::from_str::<Board>(&session.told).ok();
        let board = board.filter(|board| board.jobs.is_some());
        AtIt {
            holder: session.holder,
            jobs: board.as_ref().and_then(|board| board.jobs),
            running: board.as_ref().map(Board::running),
            text: board.as_ref().and_then(Board::control_text),
            paused: board.and_then(|board| board.paused),
        }
    }
}

/// An error that some rows have.
#[derive(Serialize)]
struct CommonError {
    /// What varies in it is left out.
    message: String,
    rows: usize,
    /// The key of a row that has it.
    example: String,
}

impl State {
    fn of(sheet: &Sheet, work: Option<Work>) -> State {
        State {
            progress: sheet.progress(),
            words: sheet.words(),
            last_result: sheet.last_processed(),
            work,
            errors: commonest(sheet.failed_records()),
            stages: Vec::new(),
        }
    }
}

fn commonest(failed: impl Iterator<Item = CsvRecord>) -> Vec<CommonError> {
    let mut errors = Errors::default();
    for record in failed {
        errors.add(&record.po_number, record.error_message.as_deref());
    }
    let common = errors.commonest(ERRORS).into_iter();
    common
        .map(|group| CommonError {
            message: group.message.clone(),
            rows: group.rows,
            example: group.example().to_owned(),
        })
        .collect()
}

/// One status a line, with its count, its share, and a bar; the shares add up.
pub fn table(out: &mut (impl Write + ?Sized), progress: &ProcessingProgress) -> io::Result<()> {
    table_within(out, progress, columns().unwrap_or(usize::MAX))
}

/// The same with bars for which so many columns have room.
fn table_within(
    out: &mut (impl Write + ?Sized),
    progress: &ProcessingProgress,
    columns: usize,
) -> io::Result<()> {
    let total = progress.total;
    let width = total.to_string().len();
    writeln!(out, "{:<14}  {total:>width$}", "total")?;
    let counts = [
        ("completed", progress.completed),
        ("pending", progress.pending),
        ("error", progress.error),
        ("no_attachments", progress.no_attachments),
        ("other", progress.other),
    ];
    let percents = percents(&counts.map(|(_, count)| count), 0);
    for ((name, count), percent) in counts.into_iter().zip(percents) {
        let numbers = format!("{name:<14}  {count:>width$}  {:>3} %", percent.text);
        let room = columns.saturating_sub(numbers.len() + 3).min(BAR);
        let bar = "█".repeat((count * room).div_ceil(total.max(1)));
        writeln!(out, "{}", format!("{numbers}  {bar}").trim_end())?;
    }
    Ok(())
}

/// Each word of STATUS with its number.
fn words(
    out: &mut (impl Write + ?Sized),
    column: &str,
    words: &[(ProcessingStatus, usize)],
) -> io::Result<()> {
    if !words.is_empty() {
        writeln!(out, "\n{column}")?;
    }
    let width = words.iter().map(|(_, rows)| *rows).max();
    let width = width.unwrap_or_default().to_string().len();
    for (word, rows) in words.iter().take(WORDS) {
        writeln!(out, "  {rows:>width$}  {}", escape(word.as_str()))?;
    }
    match words.len().saturating_sub(WORDS) {
        0 => Ok(()),
        more => writeln!(out, "  and {more} more words"),
    }
}

fn explanation(
    out: &mut (impl Write + ?Sized),
    state: &State,
    now: DateTime<Utc>,
) -> io::Result<()> {
    writeln!(out)?;
    match state.last_result {
        None => writeln!(out, "last result     none yet")?,
        Some(last) => {
            let age = duration((now - last).num_seconds().max(0) as u64);
            let at = last.to_rfc3339_opts(SecondsFormat::Secs, true);
            writeln!(out, "last result     {age} ago, {at}")?;
        }
    }
    at_it(out, state.work.as_ref())?;
    if !state.errors.is_empty() {
        writeln!(out, "\ncommonest errors")?;
    }
    let width = state.errors.iter().map(|error| error.rows).max();
    let width = width.unwrap_or_default().to_string().len();
    for error in &state.errors {
        let (message, example) = (escape(&error.message), escape(&error.example));
        writeln!(out, "  {:>width$}  {message}  ({example})", error.rows)?;
    }
    Ok(())
}

fn at_it(out: &mut (impl Write + ?Sized), work: Option<&Work>) -> io::Result<()> {
    let Some(work) = work else { return Ok(()) };
    match &work.session {
        None => writeln!(out, "session         none is going on")?,
        Some(at_it) => {
            writeln!(out, "session         {}", at_it.holder)?;
            if let Some(text) = &at_it.text {
                writeln!(out, "jobs            {text}")?;
            }
        }
    }
    let rows = match work.not_visible {
        0 => return Ok(()),
        1 => "1 row".to_owned(),
        rows => format!("{rows} rows"),
    };
    let way_on = match work.session {
        Some(_) => "the session writes them within seconds",
        None => "the next run writes them, or tickoff recover FILE --apply",
    };
    writeln!(
        out,
        "not visible     results of {rows} are not in the file yet: {way_on}"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const PROGRESS: ProcessingProgress = ProcessingProgress {
        total: 446,
        completed: 120,
        pending: 300,
        error: 20,
        no_attachments: 5,
        other: 1,
    };

    fn text(write: impl Fn(&mut Vec<u8>) -> io::Result<()>) -> String {
        let mut text = Vec::new();
        write(&mut text).unwrap();
        String::from_utf8(text).unwrap()
    }

    fn state() -> State {
        State {
            progress: PROGRESS,
            words: vec![
                (ProcessingStatus::Completed, 120),
                (ProcessingStatus::Other("a\u{1b}[2J".to_owned()), 1),
            ],
            last_result: Some(DateTime::UNIX_EPOCH),
            work: Some(Work {
                session: None,
                not_visible: 0,
            }),
            errors: vec![CommonError {
                message: "exit 1: \u{1b}[2J".to_owned(),
                rows: 12,
                example: "P1".to_owned(),
            }],
            stages: Vec::new(),
        }
    }

    #[test]
    fn the_counts_stand_under_each_other() {
        assert_eq!(
            text(|out| table_within(out, &PROGRESS, 80)),
            "total           446\n\
             completed       120   27 %  ███████████\n\
             pending         300   67 %  ███████████████████████████\n\
             error            20    5 %  ██\n\
             no_attachments    5    1 %  █\n\
             other             1   <1 %  █\n"
        );
    }

    #[test]
    fn in_a_narrow_window_the_bars_have_no_second_line() {
        for columns in [0, 30, 40, 60] {
            let table = text(|out| table_within(out, &PROGRESS, columns));
            let widest = table.lines().map(|line| line.chars().count()).max();
            assert!(widest.unwrap() < columns.max(28), "{columns}: {table}");
        }
    }

    #[test]
    fn each_word_stands_there_with_its_number() {
        assert_eq!(
            text(|out| words(out, "STATUS", &state().words)),
            "\nSTATUS\n  120  COMPLETED\n    1  a\\u{1b}[2J\n"
        );
        assert_eq!(text(|out| words(out, "STATUS", &[])), "");
    }

    #[test]
    fn an_empty_sheet_has_no_shares() {
        let empty = ProcessingProgress {
            total: 0,
            completed: 0,
            pending: 0,
            error: 0,
            no_attachments: 0,
            other: 0,
        };
        assert!(
            text(|out| table_within(out, &empty, 80))
                .starts_with("total           0\ncompleted       0    0 %\n")
        );
    }

    #[test]
    fn it_tells_when_the_last_result_came_who_is_at_it_and_what_went_wrong() {
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::seconds(7_380);
        assert_eq!(
            text(|out| explanation(out, &state(), now)),
            format!(
                "\nlast result     2 h 3 min ago, 1970-01-01T00:00:00Z\n\
                 session         none is going on\n\n\
                 commonest errors\n  12  {}  (P1)\n",
                escape("exit 1: \u{1b}[2J")
            )
        );
    }

    #[test]
    fn the_json_begins_with_the_six_counts() {
        assert_eq!(
            text(|out| json_line(out, &state())),
            "{\"total\":446,\"completed\":120,\"pending\":300,\"error\":20,\"no_attachments\":5,\"other\":1,\
             \"words\":{\"COMPLETED\":120,\"a\\u001b[2J\":1},\
             \"last_result\":\"1970-01-01T00:00:00Z\",\"session\":null,\"not_visible\":0,\
             \"errors\":[{\"message\":\"exit 1: \\u001b[2J\",\"rows\":12,\"example\":\"P1\"}]}\n"
        );
    }
}
