//! `tickoff report`: how the batch went, as a page and as a workbook for people who have no tickoff.
//!
//! It only reads the sheet, and shows what is durable, as `status` does. An output file appears whole
//! or not at all, and never in the place of the sheet or of a file that tickoff keeps beside it.

// What is said, from the sheet and the joblog; then how it is shown, and where it is put.
mod facts;
mod joblog;
mod suppliers;
mod timeline;

mod html;
mod xlsx;

mod output;
mod panics;

use chrono::Utc;
use tickoff::{Sheet, escape};

use super::args::ReportArgs;
use super::exit::{Exit, Failure};
use crate::stderr::Display;
use facts::Facts;
use joblog::Joblog;
use output::Output;

/// Writes the files that are asked for.
pub fn run(args: &ReportArgs, display: &Display) -> Result<Exit, Failure> {
    let sheet = Sheet::read(&args.sheet.file, &args.sheet.options())?;
    let joblog = args.joblog.as_deref();
    let create = |path: &std::path::PathBuf| Output::create(path, &sheet, joblog);
    // What cannot be is said before a large sheet is counted, and before anything is written.
    let page = args.html.as_ref().map(create).transpose()?;
    let workbook = args.xlsx.as_ref().map(create).transpose()?;
    output::must_differ(page.as_ref(), workbook.as_ref())?;
    if workbook.is_some() {
        xlsx::must_hold(sheet.path(), sheet.progress().total)?;
    }

    let joblog = joblog.map(|path| Joblog::read(path, &sheet)).transpose()?;
    let facts = Facts::of(&sheet, &args.sheet.key, joblog.as_ref(), Utc::now());
    if let Some(page) = &page {
        html::write(&mut page.writer(), &sheet, &facts).map_err(page.failed())?;
    }
    if let Some(workbook) = &workbook {
        let cut = xlsx::write(workbook, &sheet, &facts).map_err(workbook.failed())?;
        if cut > 0 {
            display.report(format_args!(
                "cells of {} that were cut to 32,767 characters, as many as a cell of a workbook holds: {cut}",
                escape(&workbook.path().to_string_lossy())
            ));
        }
    }
    page.into_iter()
        .chain(workbook)
        .try_for_each(Output::publish)?;
    Ok(Exit::Done)
}
