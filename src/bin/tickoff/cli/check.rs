//! `tickoff check`: what is wrong with the sheet, and where.

use std::collections::HashSet;
use std::io::{self, Write};
use std::path::Path;

use tickoff::{Diagnostic, Level, Options, Sheet, diagnose, escape};

use super::args::{SheetArgs, StageArgs, WordArgs};
use super::name_before;
use crate::exit::{Exit, Failure, advice};
use crate::stderr::Display;
use crate::stdout::{Keyed, json_line, print};

/// Look for everything that is wrong with the sheet, and change nothing
///
/// Prints a finding a line, as FILE:LINE:COLUMN: LEVEL: KEY: MESSAGE, and indented by 4 blanks below
/// it the place in its line, with a caret. An error is what a run refuses the sheet for, its place on
/// the disk included; if there is one, the exit code is 3. Warnings also tell of what cannot be seen: invisible
/// characters, names and keys that only look like others, control characters as a row, rows that a stray quote has
/// swallowed. Where tickoff.toml lists
/// stages, the states of each are looked at, and with --stage those of one. If nothing is found, one line says so,
/// and what was looked at.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff check orders.csv
  tickoff check orders.csv --json | jq -r 'select(.level==\"error\").key'")]
pub struct CheckArgs {
    #[command(flatten)]
    sheet: SheetArgs,

    #[command(flatten)]
    words: WordArgs,

    #[command(flatten)]
    stage: StageArgs,

    /// Print each finding as a JSON object on a line of its own
    #[arg(long)]
    json: bool,

    /// Accept a sheet on a network filesystem, as a run with this option would
    #[arg(long)]
    allow_network_fs: bool,
}

/// Prints every finding.
pub fn run(args: &CheckArgs, display: &Display) -> Result<Exit, Failure> {
    let typed = args.words.put_into(args.sheet.settings()?);
    let options = Options {
        allow_network_fs: args.allow_network_fs,
        ..args.stage.put_into(args.sheet.options_with(typed.clone())?)
    };
    let findings = match args.stage.is_named() {
        true => diagnose(&args.sheet.file, &options)?,
        false => of_each_stage(&args.sheet.file, &options)?,
    };
    print(|out| {
        findings.iter().try_for_each(|finding| {
            if args.json {
                return json_line(out, &Keyed::of(finding, finding.po.as_deref()));
            }
            line(out, &args.sheet.file, finding)?;
            finding
                .excerpt
                .iter()
                .try_for_each(|excerpt| writeln!(out, "{excerpt}"))
        })
    })?;
    let is_readable = !findings.iter().any(|found| found.level == Level::Error);
    if is_readable {
        let sheet = Sheet::read(&args.sheet.file, &options)?;
        if args.stage.is_named() {
            sheet.refuse_mistyped_stage()?;
        }
        name_before::refuse(&sheet, typed)?;
        let is_good = findings.iter().all(|finding| finding.level == Level::Info);
        if is_good && !args.json {
            let good = good(&args.sheet.file, &sheet);
            print(|out| writeln!(out, "{good}"))?;
        }
    }
    let exit = exit(&findings);
    // What can be done about it is for a person.
    if exit == Exit::BadSheet
        && let Err(error) = Sheet::read_without_journal(&args.sheet.file, &options)
            .and_then(|sheet| sheet.refuse_foreign_status())
        && let Some(advice) = advice(&error)
    {
        display.report(advice);
    }
    Ok(exit)
}

/// What there is to say about a sheet that is worked on in the stages that are listed, each finding once.
fn of_each_stage(file: &Path, options: &Options) -> Result<Vec<Diagnostic>, Failure> {
    let stages = match &options.stages[..] {
        [] => std::slice::from_ref(&options.stage),
        listed => listed,
    };
    let mut findings: Vec<Diagnostic> = Vec::new();
    let mut known = HashSet::new();
    for stage in stages {
        let options = Options {
            stage: stage.clone(),
            ..options.clone()
        };
        let of_stage = diagnose(file, &options)?.into_iter();
        findings.extend(of_stage.filter(|finding| {
            known.insert((finding.line, finding.column, finding.message.clone()))
        }));
    }
    if stages.len() > 1 {
        findings.sort_by_key(|finding| finding.line);
    }
    Ok(findings)
}

fn exit(findings: &[Diagnostic]) -> Exit {
    if findings.iter().any(|finding| finding.level == Level::Error) {
        Exit::BadSheet
    } else {
        Exit::Done
    }
}

/// What was looked at, if there is nothing to be said of it.
fn good(path: &Path, sheet: &Sheet) -> String {
    let some = |count: usize, what: &str| match count {
        1 => format!("1 {what}"),
        count => format!("{count} {what}s"),
    };
    format!(
        "{}: {} and {}, with the key {}: nothing is wrong",
        escape(&path.to_string_lossy()),
        some(sheet.progress().total, "row"),
        some(sheet.columns().len(), "column"),
        escape(&sheet.key_columns().join(", "))
    )
}

/// As compilers do, so that editors can follow it.
fn line(out: &mut (impl Write + ?Sized), path: &Path, finding: &Diagnostic) -> io::Result<()> {
    let level = match finding.level {
        Level::Error => "error",
        Level::Warning => "warning",
        Level::Info => "info",
    };
    let path = escape(&path.to_string_lossy());
    write!(out, "{path}:{}:{}: {level}: ", finding.line, finding.column)?;
    if let Some(po) = &finding.po {
        write!(out, "{}: ", escape(po))?;
    }
    writeln!(out, "{}", escape(&finding.message))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn finding(level: Level, po: Option<&str>) -> Diagnostic {
        Diagnostic {
            level,
            line: 7,
            column: 3,
            po: po.map(Into::into),
            message: "is odd\u{1b}[2J".into(),
            excerpt: None,
        }
    }

    #[track_caller]
    fn check(finding: &Diagnostic, want: &str) {
        let mut text = Vec::new();
        line(&mut text, Path::new("in\nput.csv"), finding).unwrap();
        assert_eq!(String::from_utf8(text).unwrap(), want);
    }

    #[test]
    fn a_finding_is_one_harmless_line_that_says_where() {
        check(
            &finding(Level::Error, Some("P\n1")),
            "in\\nput.csv:7:3: error: P\\n1: is odd\\u{1b}[2J\n",
        );
        check(
            &finding(Level::Warning, None),
            "in\\nput.csv:7:3: warning: is odd\\u{1b}[2J\n",
        );
    }

    #[test]
    fn only_errors_make_a_sheet_bad() {
        assert_eq!(exit(&[]), Exit::Done);
        assert_eq!(exit(&[finding(Level::Info, None)]), Exit::Done);
        assert_eq!(exit(&[finding(Level::Warning, None)]), Exit::Done);
        assert_eq!(
            exit(&[finding(Level::Warning, None), finding(Level::Error, None)]),
            Exit::BadSheet
        );
    }
}
