//! `tickoff report`: what of a report is wanted, and where.

use std::path::PathBuf;

use chrono::Utc;
use tickoff::escape;

use super::args::{SheetArgs, StageArgs, refuse_unknown_stage};
use super::name_before;
use super::status::Stages;
use crate::exit::{Exit, Failure};
use crate::report::{Facts, Joblog, Output, StageCounts, html, must_differ, xlsx};
use crate::stderr::Display;

/// Write a report of the batch: a page, a workbook, or both
///
/// The page (HTML) is one file that loads nothing: shares, results over time, the commonest errors,
/// suppliers, the stages that tickoff.toml lists, and the rows, to be filtered and sorted. Above 20,000 rows it holds those that failed
/// or have no result, at most 20,000. The workbook (XLSX) holds all of them, at most 1,048,575.
///
/// Where tickoff.toml lists stages, it tells of the last one that has begun, or of main if that is not listed and
/// tickoff worked on it; --stage names another.
///
/// A report that is there is replaced, once the new one is whole. One that somebody edited since, and any other file,
/// is not. FILE may be in use by a run.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff report orders.csv --html orders.html
  tickoff report orders.csv --html orders.html --xlsx orders.xlsx
  tickoff report orders.csv --html orders.html --joblog orders.joblog")]
pub struct ReportArgs {
    #[command(flatten)]
    sheet: SheetArgs,

    #[command(flatten)]
    stage: StageArgs,

    /// Write the page to OUT
    #[arg(long, value_name = "OUT", required_unless_present = "xlsx")]
    html: Option<PathBuf>,

    /// Write the workbook to OUT
    #[arg(long, value_name = "OUT")]
    xlsx: Option<PathBuf>,

    /// Tell the slowest suppliers from the joblog of a run
    #[arg(long, value_name = "LOG")]
    joblog: Option<PathBuf>,
}

/// Writes the files that are asked for.
pub fn run(args: &ReportArgs, display: &Display) -> Result<Exit, Failure> {
    let options = args.stage.put_into(args.sheet.options()?);
    let stages = Stages::read(&args.sheet.file, &options)?;
    name_before::warn(&stages.sheet, args.sheet.settings()?)?;
    let counts = stages.listed.iter().map(|(stage, sheet)| StageCounts {
        name: stage.name().to_owned(),
        progress: sheet.progress(),
    });
    let counts = counts.collect();
    let (stage, sheet) = match args.stage.is_named() {
        true => {
            refuse_unknown_stage(&stages.sheet)?;
            (options.stage.clone(), stages.sheet)
        }
        false => stages.foremost(),
    };
    let joblog = args.joblog.as_deref();
    let create = |path: &PathBuf, look| Output::create(path, look, &sheet, joblog);
    // What cannot be is said before a large sheet is counted, and before anything is written.
    let page = args
        .html
        .as_ref()
        .map(|path| create(path, html::look))
        .transpose()?;
    let workbook = args
        .xlsx
        .as_ref()
        .map(|path| create(path, xlsx::look))
        .transpose()?;
    must_differ(page.as_ref(), workbook.as_ref())?;
    if workbook.is_some() {
        xlsx::must_hold(sheet.path(), sheet.progress().total)?;
    }

    let joblog = joblog.map(|path| Joblog::read(path, &sheet)).transpose()?;
    let facts = Facts {
        stages: counts,
        ..Facts::of((stage, &sheet), &options.key, joblog.as_ref(), Utc::now())
    };
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
