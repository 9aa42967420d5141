//! `tickoff control`: a run that goes on elsewhere is paused, goes on, or gets more or fewer jobs.

use std::num::NonZeroUsize;
use std::path::{Path, PathBuf};
use std::thread;
use std::time::{Duration, Instant};

use tickoff::{Control, RunningSession, escape};

use super::args::{jobs as jobs_at_a_time, some};
use crate::exit::{Exit, Failure};
use crate::stderr::board::Board;
use crate::stdout::print;
use crate::sys::{host, user, user_name, user_namespace};

/// How long is waited for a run to tell of itself, and then to do what is asked.
const PATIENCE: Duration = Duration::from_secs(10);
const EVERY: Duration = Duration::from_millis(50);

/// Pause a run that is going on elsewhere, or change how many jobs it runs at a time
///
/// Waits until the run has done so. A pause starts nothing more, and lets jobs finish that are running. jobs=N
/// starts more at once, or lets a job end and starts no other in its place; jobs=+1 is one more than there are, jobs=-1 one fewer. All of it ends with the run, and is for its user and root alone. On the
/// terminal of the run the keys p, + and - do the same.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff control orders.csv pause
  tickoff control orders.csv continue
  tickoff control orders.csv jobs=8
  tickoff control orders.csv jobs=+2")]
pub struct ControlArgs {
    /// The sheet that the run works on; with --output, COPY
    file: PathBuf,

    /// What the run is to do
    #[arg(value_name = "pause|continue|jobs=N", value_parser = asked)]
    asked: Asked,
}

/// What is asked, as it is typed.
#[derive(Debug, Clone, Copy)]
enum Asked {
    Control(Control),
    /// So many jobs more than there are.
    More(NonZeroUsize),
    Fewer(NonZeroUsize),
}

impl Asked {
    /// What that means for a run with so many jobs at a time.
    fn of(self, now: usize) -> Result<Control, Failure> {
        let jobs = match self {
            Asked::Control(control) => return Ok(control),
            Asked::More(more) => now.saturating_add(more.get()),
            Asked::Fewer(fewer) => now.saturating_sub(fewer.get()),
        };
        jobs_at_a_time(&jobs.to_string())
            .map(Control::Workers)
            .map_err(|wanted| {
                let message = format!("jobs: from {now} at a time that comes to {jobs}: {wanted}; to start none, say pause");
                Failure::Other(Exit::Usage, message)
            })
    }
}

fn asked(text: &str) -> Result<Asked, String> {
    match text {
        "pause" => return Ok(Asked::Control(Control::Pause)),
        "continue" => return Ok(Asked::Control(Control::Continue)),
        _ => {}
    }
    let jobs = text
        .strip_prefix("jobs=")
        .ok_or("say pause, continue or jobs=N, as in jobs=8")?;
    let (asked, digits) = match (jobs.strip_prefix('+'), jobs.strip_prefix('-')) {
        (Some(more), _) => (some(more).map(Asked::More).map_err(str::to_owned), more),
        (None, Some(fewer)) => (some(fewer).map(Asked::Fewer).map_err(str::to_owned), fewer),
        (None, None) => {
            let jobs_asked = jobs_at_a_time(jobs).map(Control::Workers);
            (jobs_asked.map(Asked::Control), jobs)
        }
    };
    match (digits.parse::<usize>(), asked) {
        (Ok(0), _) => {
            Err("a run has at least 1 job at a time; to start none, say pause".to_owned())
        }
        (Ok(_), asked) if !digits.starts_with('+') => asked,
        _ => Err(
            "say a whole number of jobs, as in jobs=8, or how many more or fewer, as in jobs=+1"
                .to_owned(),
        ),
    }
}

/// Asks the run, and waits until it has done so.
pub fn run(args: &ControlArgs) -> Result<Exit, Failure> {
    let file = &args.file;
    let (session, board) = controllable(file)?;
    let control = args.asked.of(board.jobs.unwrap_or_default())?;
    if is_so(control, &board) {
        return told(&board, "already ");
    }
    // In another container the same user may have another number: there the run alone can tell.
    let is_known = board.user_namespace.is_none() || board.user_namespace == user_namespace();
    let known = board.user.filter(|_| is_known);
    let theirs = known.filter(|_| session.holder.is_here);
    if let Some(theirs) = theirs.filter(|theirs| ![0, *theirs].contains(&user())) {
        return refused(format!(
            "the run on {} is user {theirs}'s: only they and root may control it",
            shown(file)
        ));
    }
    let by = format!("{}@{}", user_name(), host());
    let asked = session.ask(file, control, &by, known)?;
    let began = Instant::now();
    loop {
        thread::sleep(EVERY);
        // Asked for first: what is told afterwards knows of it.
        let is_taken = asked.is_taken();
        let Some(now) = going_on(file)?.filter(|now| now.holder == session.holder) else {
            if !asked.is_taken() {
                return refused(format!("the run on {} has just ended", shown(file)));
            }
            print(|out| writeln!(out, "the run has taken that, and has ended since"))?;
            return Ok(Exit::Done);
        };
        if let Some(board) = board_of(&now)
            && is_so(control, &board)
        {
            return told(&board, "");
        }
        if began.elapsed() < PATIENCE {
            continue;
        }
        return refused(match is_taken {
            true => format!(
                "the run on {} has taken the request, and somebody else has changed it meanwhile: see tickoff status",
                shown(file)
            ),
            false => format!(
                "{} does not answer, and the request is taken back: is it stopped, at its last jobs, or another user's?",
                session.holder
            ),
        });
    }
}

/// The run on this sheet, and how it stands, once it tells.
fn controllable(file: &Path) -> Result<(RunningSession, Board), Failure> {
    let began = Instant::now();
    loop {
        let Some(session) = going_on(file)? else {
            return refused(format!(
                "no run is going on on {}; a run with --output is on its COPY",
                shown(file)
            ));
        };
        if let Some(board) = board_of(&session) {
            return Ok((session, board));
        }
        if began.elapsed() >= PATIENCE {
            return refused(format!(
                "{} cannot be controlled: it has not begun its jobs yet, or is no tickoff run",
                session.holder
            ));
        }
        thread::sleep(EVERY);
    }
}

/// The session on this sheet. A single look may meet its file, or the system's list of locks, while that changes.
fn going_on(file: &Path) -> Result<Option<RunningSession>, Failure> {
    for _ in 0..5 {
        if let Some(session) = RunningSession::on(file)? {
            return Ok(Some(session));
        }
        thread::sleep(EVERY);
    }
    Ok(None)
}

fn board_of(session: &RunningSession) -> Option<Board> {
    let board: Board = serde_json::from_str(&session.told).ok()?;
    board.jobs.is_some().then_some(board)
}

fn is_so(control: Control, board: &Board) -> bool {
    match control {
        Control::Pause => board.paused.is_some(),
        Control::Continue => board.paused.is_none(),
        Control::Workers(jobs) => board.jobs == Some(jobs.get()),
    }
}

fn told(board: &Board, already: &str) -> Result<Exit, Failure> {
    print(|out| writeln!(out, "{already}{}", board.control_text().unwrap_or_default()))?;
    Ok(Exit::Done)
}

fn refused<T>(message: String) -> Result<T, Failure> {
    Err(Failure::Other(Exit::SomeFailed, message))
}

fn shown(file: &Path) -> String {
    escape(&file.to_string_lossy())
}

#[cfg(test)]
mod tests {
    use crate::cli::tests::{check_refused, parse};

    #[test]
    fn what_is_asked_is_one_of_three() {
        for asked in [
            "pause",
            "continue",
            "jobs=1",
            "jobs=10000",
            "jobs=+1",
            "jobs=-64",
        ] {
            parse(&format!("tickoff control in.csv {asked}")).unwrap();
        }
        check_refused("tickoff control in.csv jobs=0", "to start none, say pause");
        check_refused(
            "tickoff control in.csv jobs=eight",
            "say a whole number of jobs, as in jobs=8",
        );
        for none in ["+0", "-0"] {
            check_refused(&format!("tickoff control in.csv jobs={none}"), "say pause");
        }
        for odd in ["++1", "+-1", "+", "+two"] {
            check_refused(
                &format!("tickoff control in.csv jobs={odd}"),
                "how many more or fewer, as in jobs=+1",
            );
        }
        check_refused(
            "tickoff control in.csv jobs=10001",
            "must be a whole number from 1 to 10000",
        );
        check_refused(
            "tickoff control in.csv stop",
            "say pause, continue or jobs=N",
        );
        check_refused("tickoff control in.csv", "pause|continue|jobs=N");
    }
}
