//! Jobs from standard input: `tickoff run - --output COPY --key COLUMN`.
//!
//! All of it is read before anything is made or locked, so that whoever interrupts it has changed nothing.

use std::ffi::OsString;
use std::io::{self, IsTerminal};
use std::os::fd::AsFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;

use tickoff::{CommandTemplate, JobEnd, JobList, Settings, Sheet, Stage, escape, key_candidates};

use super::args::RunArgs;
use super::sheet::options;
use crate::cli::args::refuse_unwritable;
use crate::exit::{Exit, Failure};
use crate::stderr::Display;

/// What standard input is called in errors.
const NAME: &str = "standard input";

/// Whether the jobs come from there.
pub fn has_jobs(args: &RunArgs) -> bool {
    args.sheet.file.as_os_str() == "-"
}

/// The jobs, as a sheet that is yet to be made; `None` if they stand in a file.
pub fn read(args: &RunArgs, display: &Display) -> Result<Option<Sheet>, Failure> {
    if !has_jobs(args) {
        return match args.null {
            true => usage("-0 is for jobs from standard input: tickoff run - -0 …".into()),
            false => Ok(None),
        };
    }
    let copy = must_be_told(args)?;
    let options = options(args)?;
    for name in options.key.names() {
        refuse_unwritable("--key", name, options.encoding)?;
    }
    let stdin = io::stdin().lock();
    must_be_another_file(copy)?;
    if stdin.is_terminal() {
        display.say("reading jobs from the terminal, one a line; Ctrl-D at the beginning of a line ends them, Ctrl-C gives up");
    }
    let end = match args.null {
        true => JobEnd::Nul,
        false => JobEnd::Line,
    };
    let jobs = JobList::read(stdin, end, NAME, &options)?;
    display.say(&summary(&jobs));
    if jobs.sheet.progress().total == 0 && !copy.exists() {
        display.say(&format!(
            "{} is not there: nothing is gone on with",
            escape(&copy.to_string_lossy())
        ));
    }
    args.write.formulas.judge_keys(&jobs.sheet)?;
    Ok(Some(jobs.sheet))
}

/// Where the jobs and their results are kept is on the command line; under which column, there or in its settings.
fn must_be_told(args: &RunArgs) -> Result<&Path, Failure> {
    let kept = args.output.as_deref().map(Settings::of).transpose()?;
    let typed = args.sheet.key_columns()?;
    let key = typed.or(kept.and_then(|kept| kept.key));
    let (Some(copy), Some(key)) = (&args.output, &key) else {
        let missing = [
            args.output
                .is_none()
                .then_some("--output, the sheet that keeps them and their results"),
            key.is_none()
                .then_some("--key, the name of its column for them"),
        ];
        let missing: Vec<&str> = missing.into_iter().flatten().collect();
        return usage(format!(
            "jobs from standard input need {}: {}",
            missing.join(", and "),
            with_what_is_missing(args)
        ));
    };
    let [key] = key.names() else {
        return usage(format!(
            "jobs from standard input are the cells of one column, and the key has several ({}): name one with --key",
            escape(&key.title())
        ));
    };
    if Stage::default().has_column(key) {
        return usage(format!(
            "--key {}: that column keeps how a job went; name another one for the jobs",
            escape(key)
        ));
    }
    Ok(copy)
}

/// The command line, with what it lacks put in.
fn with_what_is_missing(args: &RunArgs) -> String {
    let mut words: Vec<OsString> = std::env::args_os().collect();
    words[0] = "tickoff".into();
    let at = words.len() - args.cmd.len() - 1;
    let output = args.output.is_none().then_some(["--output", "jobs.csv"]);
    let column = column_of(args).unwrap_or_else(|| "job".to_owned());
    let key = args.sheet.key.is_empty().then_some(["--key", &column]);
    let missing = output.into_iter().chain(key).flatten();
    words.splice(at..at, missing.map(OsString::from));
    CommandTemplate::literal(&words).command_line("", None)
}

/// The column that most probably has the jobs in a COPY that is there.
fn column_of(args: &RunArgs) -> Option<String> {
    let copy = args.output.as_deref()?;
    let delimiter = args.sheet.delimiter.unwrap_or(b';');
    let could_be = key_candidates(copy, delimiter, args.sheet.encoding.unwrap_or_default());
    could_be.ok()?.columns.into_iter().next()
}

/// A copy that is read while it is written to would be both.
fn must_be_another_file(copy: &Path) -> Result<(), Failure> {
    let stdin = io::stdin().as_fd().try_clone_to_owned();
    let stdin = stdin.and_then(|stdin| std::fs::File::from(stdin).metadata());
    let (Ok(stdin), Ok(copy_is)) = (stdin, std::fs::metadata(copy)) else {
        return Ok(());
    };
    if (stdin.dev(), stdin.ino()) != (copy_is.dev(), copy_is.ino()) {
        return Ok(());
    }
    usage(format!(
        "{} is the standard input itself: name another file for the results, or go on with its jobs by </dev/null",
        escape(&copy.to_string_lossy())
    ))
}

fn usage<T>(message: String) -> Result<T, Failure> {
    Err(Failure::Other(Exit::Usage, message))
}

/// How many jobs there are, and what was dropped.
fn summary(jobs: &JobList) -> String {
    let some = |count: usize, one: &str, many: &str| match count {
        0 => None,
        1 => Some(format!("1 {one}")),
        count => Some(format!("{count} {many}")),
    };
    let dropped: Vec<String> = [
        some(jobs.blank, "blank line", "blank lines"),
        some(jobs.repeated, "repeated line", "repeated lines"),
        some(
            jobs.carriage_returns,
            "carriage return at a line's end",
            "carriage returns at the ends of lines",
        ),
    ]
    .into_iter()
    .flatten()
    .collect();
    let count = jobs.sheet.progress().total;
    let mut text = some(count, "job", "jobs").unwrap_or_else(|| "no job".into());
    text.push_str(" on standard input");
    if !dropped.is_empty() {
        text.push_str(&format!("; dropped: {}", dropped.join(", ")));
    }
    if let Some(padded) = some(jobs.padded, "job has", "jobs have") {
        text.push_str(&format!(
            "; {padded} blanks around: {{}} is without them, the column's placeholder has them"
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use tickoff::Options;

    use super::*;

    #[track_caller]
    fn check(list: &str, said: &str) {
        let jobs = JobList::read(list.as_bytes(), JobEnd::Line, NAME, &Options::default()).unwrap();
        assert_eq!(summary(&jobs), said);
    }

    #[test]
    fn what_was_dropped_is_said() {
        check("", "no job on standard input");
        check("a\n", "1 job on standard input");
        check(
            "a\n\nb\nb\n",
            "2 jobs on standard input; dropped: 1 blank line, 1 repeated line",
        );
        check(
            "a\r\n\r\n\nb\r\n",
            "2 jobs on standard input; dropped: 2 blank lines, 3 carriage returns at the ends of lines",
        );
        check(
            "a \n",
            "1 job on standard input; 1 job has blanks around: {} is without them, the column's placeholder has them",
        );
    }
}
