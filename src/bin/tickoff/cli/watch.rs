//! `tickoff watch`: a run that is going on elsewhere.

use std::io::{self, IsTerminal};
use std::thread;

use chrono::{SecondsFormat, Utc};
use tickoff::{Options, RunningSession, Stage};

use super::args::SheetArgs;
use super::interruption::end_at_signals;
use super::status::{self, Stages};
use crate::exit::{Exit, Failure};
use crate::stderr::board::Board;
use crate::stderr::{Display, LINE_INTERVAL, REFRESH, view};
use crate::stdout::print;

/// Show the progress of a run that is going on elsewhere
///
/// Ends when the run does, and then prints the counts by status, of its stage if it has one. If no run is going
/// on, it prints them of each stage that tickoff.toml lists. In a pipe it prints a line every ten seconds. It changes nothing and gets in nobody's way.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Example:
  tickoff watch orders.csv")]
pub struct WatchArgs {
    #[command(flatten)]
    sheet: SheetArgs,
}

/// Shows what the run tells of itself until it is over, then how the sheet stands.
pub fn run(args: &WatchArgs, display: &Display) -> Result<Exit, Failure> {
    let file = &args.sheet.file;
    let options = args.sheet.options()?;
    if io::stdout().is_terminal() {
        display.begin_showing();
    }
    if display.is_showing() {
        end_at_signals(display)?;
        display.hold_terminal(false);
    }
    let mut last_line = None;
    let mut stage = None;
    while let Some(session) = RunningSession::on(file)? {
        let now = Utc::now();
        let holder = &session.holder;
        // Half of what it tells, or nothing yet: there is more in a moment.
        if let Ok(board) = serde_json::from_str::<Board>(&session.told) {
            stage.clone_from(&board.stage);
            let jobs = board.jobs_text();
            display.keep_terminal();
            if display.is_showing() {
                let title = [Some(holder.to_string()), jobs];
                let title = title.into_iter().flatten().collect::<Vec<_>>().join("; ");
                display.draw(now, &board, Some(&title));
            } else if last_line.is_none_or(|last| now - last >= LINE_INTERVAL) {
                last_line = Some(now);
                let at = now.to_rfc3339_opts(SecondsFormat::Secs, true);
                let jobs = jobs.map_or(String::new(), |jobs| format!("; {jobs}"));
                print(|out| writeln!(out, "{at} {}{jobs}", view::line(&board, now)))?;
            }
        }
        thread::sleep(REFRESH);
    }
    display.clear();
    display.release_terminal();
    // How it stands is told of the stage that was worked on, or else as status does.
    let of_run = stage.and_then(|stage| stage.parse::<Stage>().ok());
    let is_of_run = of_run.is_some();
    let stages = match of_run {
        Some(stage) => Stages::read_one(file, &Options { stage, ..options })?,
        None => Stages::read(file, &options)?,
    };
    print(|out| {
        writeln!(out, "no session is going on")?;
        for (place, (stage, sheet)) in stages.telling().enumerate() {
            if place > 0 {
                writeln!(out)?;
            }
            if is_of_run || !stages.listed.is_empty() {
                writeln!(out, "stage {stage}")?;
            }
            status::table(out, &sheet.progress())?;
        }
        Ok(())
    })?;
    Ok(Exit::Done)
}
