//! The display of a run: its progress while it goes on, and a few last words.

use chrono::Utc;
use tickoff::{Error, Event, PoolSummary, Summary, escape};

use super::{Beginning, Observer};
use crate::cli::run::rows::tell_left_alone;
use crate::exit::{advice, advice_beside_lost_results};
use crate::stderr::board::Board;
use crate::stderr::{Display, Progress, Waits};

/// Shows one run.
pub struct Shown {
    display: Display,
    /// There from the beginning to the end.
    progress: Option<Progress>,
}

impl Shown {
    /// To be shown here.
    pub fn on(display: &Display) -> Shown {
        Shown {
            display: display.clone(),
            progress: None,
        }
    }
}

impl Observer for Shown {
    fn began(&mut self, run: &Beginning<'_>) {
        let stage = run.session.handler().stage();
        let mut board = Board::new(run.total, run.workers, Utc::now());
        board.waits = Waits::new(run.interval);
        board.stage = (!stage.is_main()).then(|| stage.name().to_owned());
        let teller = run.session.teller();
        self.progress = Some(Progress::show(&self.display, board, run.stop, teller));
    }

    fn take(&self, event: &Event<'_>) {
        if let Some(progress) = &self.progress {
            progress.take(event);
        }
    }

    /// An error is told by whoever ends the program.
    fn ended(&mut self, ran: Result<&Summary, &Error>) {
        if let (Some(progress), Ok(summary)) = (self.progress.take(), ran) {
            progress.finish(&PoolSummary {
                elapsed: summary.elapsed,
                ..summary.pool.clone()
            });
            tell(&self.display, summary);
        }
    }
}

/// Where the sheet of before is, and which results are not where they belong.
fn tell(display: &Display, summary: &Summary) {
    tell_left_alone(display, &summary.left_alone);
    if let Some(backup) = &summary.backup {
        let path = escape(&backup.to_string_lossy());
        display.say(&match backup.try_exists() {
            Ok(false) => {
                format!("the backup of the sheet as it was before was removed: {path}")
            }
            Err(error) => {
                format!("the sheet as it was before: {path} (it cannot be reached now: {error})")
            }
            Ok(_) => format!("the sheet as it was before: {path}"),
        });
    }
    if let Some(folder) = &summary.moved_to {
        display.report(format!(
            "the sheet's folder was moved while the run went on: the results are in {}",
            escape(&folder.to_string_lossy())
        ));
    }
    let unsaved = &summary.pool.unpersisted;
    if !unsaved.is_empty() && !matches!(summary.not_visible, Some(Error::Rescued { .. })) {
        let unsaved: Vec<_> = unsaved.iter().map(|(po, _)| escape(po)).collect();
        let kept = summary.rescued.as_ref().map_or(String::new(), |kept| {
            format!(" in the sheet, but in {}", escape(&kept.to_string_lossy()))
        });
        display.report(format!(
            "the results of {} are not saved{kept}: once the cause is gone, the next tickoff run does these jobs again",
            unsaved.join(", ")
        ));
    }
    if let Some(error) = &summary.not_visible {
        display.report(error.chain());
        let is_lost = !unsaved.is_empty() && summary.rescued.is_none();
        let advice = match is_lost {
            true => advice_beside_lost_results(error),
            false => advice(error),
        };
        if let Some(advice) = advice {
            display.report(advice);
        }
    }
}
