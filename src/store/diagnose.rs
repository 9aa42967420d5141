//! What `check` finds in a file, be it a sheet or not.

use std::path::Path;

use crate::error::{Error, Named, Result, foreign_column};
use crate::sheet::integrity::findings_with;
use crate::sheet::{Diagnostic, Duplicates, Level, Options};
use crate::store::read::read_and_ask;
use crate::store::{fitness, left_behind};
use crate::text::{Missing, escape_list};

/// Reads a sheet and returns its findings: first those about its place, then the others in the order of its
/// lines. What makes it unfit as a sheet is a finding, too, and then the only one about its lines.
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
            if let Err(error) = sheet.refuse_foreign_status() {
                findings.push(of_contents(error)?);
            }
            if let Err(error) = fitness::refuse_without_room(&sheet, &sheet.missing_columns()) {
                findings.push(of_contents(error)?);
            }
            let encoding = sheet.looks_like_utf8();
            findings.extend(encoding.map(|message| of_place(Level::Warning, message)));
            findings.extend(findings_with(&sheet, options.duplicates));
        }
        Err(error) => match of_contents(error) {
            Ok(finding) => findings.push(finding),
            // It cannot be read for what was found about its place.
            Err(_) if findings.iter().any(|finding| finding.level == Level::Error) => {}
            Err(error) => return Err(error),
        },
    }
    Ok(findings)
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
        } => (line, column, problem.to_string(), Some(excerpt)),
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
