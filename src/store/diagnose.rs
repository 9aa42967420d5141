//! What `check` finds in a file, be it a sheet or not.

use std::path::Path;

use crate::csv::Opening;
use crate::disk::Target;
use crate::domain::Problem;
use crate::error::{Error, Named, Result, foreign_column};
use crate::sheet::integrity::{LEFT_ALONE, findings_with};
use crate::sheet::refused::Refused;
use crate::sheet::{Diagnostic, Duplicates, Level, Options, Sheet};
use crate::store::read::{read_and_ask, read_as_it_is};
use crate::store::{fitness, left_behind};
use crate::text::{Missing, escape, escape_list};

/// Reads a sheet and returns its findings: first those about its place, then the others in the order of its
/// lines. What makes it unfit as a sheet is a finding, too, beside those about what can be read of it all the same.
///
/// What a run would refuse is a finding of level error (`fitness.rs`).
///
/// # Errors
/// [`Error::Io`] and [`Error::NotAFile`] if it cannot be read at all, [`Error::Busy`], [`Error::Journal`].
pub fn diagnose(path: impl AsRef<Path>, options: &Options) -> Result<Vec<Diagnostic>> {
    let path = path.as_ref();
    let target = left_behind::open(path)?;
    let mut findings = Vec::new();
    if let Err(error) = fitness::refuse_for_a_run(&target, options) {
        findings.push(of_place(Level::Error, error.chain()));
    }
    if let Some(problem) = target.not_promised() {
        findings.push(of_place(Level::Warning, format!("the sheet {problem}")));
    }
    if target.has_hard_links()? {
        let message = "the sheet has several hard links; the others keep the old version";
        findings.push(of_place(Level::Warning, message.to_owned()));
    }
    let all = Options {
        duplicates: Duplicates::All,
        ..options.clone()
    };
    match read_and_ask(path, &all) {
        Ok((sheet, asked)) => {
            findings.extend(asked.map(|asked| of_place(Level::Error, asked.chain())));
            let foreign = sheet.refuse_foreign_status().err();
            let is_refused = foreign.is_some();
            if let Some(error) = foreign {
                findings.push(of_contents(error)?);
            }
            if let Err(error) = fitness::refuse_without_room(&sheet, &sheet.missing_columns()) {
                findings.push(of_contents(error)?);
            }
            if let Some(delimiter) = Opening::of(sheet.bytes()).delimiter {
                findings.push(of_place(Level::Info, told_of(delimiter, &sheet)));
            }
            let encoding = sheet.looks_like_utf8();
            findings.extend(encoding.map(|message| of_place(Level::Warning, message)));
            let mut others = findings_with(&sheet, options.duplicates);
            // No row is left alone by a run that is refused, and the error has the words.
            others.retain(|other| !(is_refused && other.message.ends_with(LEFT_ALONE)));
            findings.extend(others);
        }
        Err(error) => match of_contents(error) {
            Ok(finding) => findings.extend(with_others(finding, &target, options)),
            // It cannot be read for what was found about its place.
            Err(_) if findings.iter().any(|finding| finding.level == Level::Error) => {}
            Err(error) => return Err(error),
        },
    }
    Ok(findings)
}

/// What makes a file unfit as a sheet, and what else there is to say of its header and rows, in the order of its lines.
fn with_others(finding: Diagnostic, target: &Target, options: &Options) -> Vec<Diagnostic> {
    let mut findings = vec![finding];
    let read = read_as_it_is(target).and_then(|bytes| Refused::of(bytes, target.path(), options));
    let Ok(Refused { sheet, errors }) = read else {
        return findings;
    };
    let place = |found: &Diagnostic| (found.line, found.column);
    let errors = errors
        .into_iter()
        .filter_map(|error| of_contents(error).ok());
    let errors: Vec<_> = errors
        .filter(|error| place(error) != place(&findings[0]))
        .collect();
    findings.extend(errors);
    // What an error says of a place, a warning need not.
    let told: Vec<_> = findings.iter().map(place).collect();
    let others = findings_with(&sheet, sheet.options().duplicates).into_iter();
    findings.extend(others.filter(|other| !told.contains(&place(other))));
    findings.sort_by_key(|finding| (finding.line, finding.column));
    findings
}

/// What is to be said of a line `sep=;`.
fn told_of(named: u8, sheet: &Sheet) -> String {
    let shown = |delimiter: u8| escape(&char::from(delimiter).to_string());
    let delimiter = sheet.dialect().delimiter;
    let line = format!(
        "the line sep={} above the header names the delimiter to Excel",
        shown(named)
    );
    match delimiter == named {
        true => format!("{line}, and is kept"),
        false => format!(
            "{line}; the sheet is read with {}, as it was told",
            shown(delimiter)
        ),
    }
}

fn of_place(level: Level, message: String) -> Diagnostic {
    Diagnostic {
        level,
        line: 1,
        column: 1,
        po: None,
        message,
        excerpt: None,
    }
}

/// What makes a file unfit as a sheet as a finding; any other error stays one.
fn of_contents(error: Error) -> Result<Diagnostic> {
    let (line, column, message, excerpt) = match error {
        Error::Malformed {
            line,
            column,
            problem,
            excerpt,
            ..
        } => {
            let excerpt = Some(excerpt).filter(|_| !matches!(problem, Problem::NoCsv(_)));
            (line, column, problem.to_string(), excerpt)
        }
        Error::NoKeyColumn {
            line,
            missing,
            columns,
            close,
            excerpt,
            ..
        } => {
            let message = format!(
                "no {} in the header, which has {}{}",
                Named(&missing),
                escape_list(&columns),
                Missing {
                    names: &missing,
                    columns: &columns,
                    close: &close
                }
            );
            (line, 1, message, Some(excerpt))
        }
        Error::ForeignColumn {
            line,
            column,
            name,
            words,
            excerpt,
            ..
        } => (line, column, foreign_column(&name, &words), Some(excerpt)),
        Error::Empty { key, .. } => {
            let message = format!(
                "the file is empty: a header with the {} is needed",
                Named(&key)
            );
            (1, 1, message, None)
        }
        error => return Err(error),
    };
    Ok(Diagnostic {
        level: Level::Error,
        line,
        column,
        po: None,
        message,
        excerpt,
    })
}
