//! Which step of the work a command is about.

use std::path::Path;

use tickoff::{Error, Options, Selection, Sheet, Stage};

use crate::exit::{Exit, Failure};

/// Which step of the work is meant.
#[derive(Debug, clap::Args)]
pub struct StageArgs {
    /// A step of the work with columns of its own: NAME_STATUS, NAME_LAST_PROCESSED and NAME_ERROR_MESSAGE
    /// are what STATUS, LAST_PROCESSED and ERROR_MESSAGE are without it. Where tickoff.toml lists stages, run,
    /// apply and pending need it; main is the one with the plain columns
    #[arg(long, value_name = "NAME", help_heading = "Stages")]
    stage: Option<Stage>,
}

impl StageArgs {
    /// That step.
    pub fn stage(&self) -> Stage {
        self.stage.clone().unwrap_or_default()
    }

    /// Whether one is named.
    pub fn is_named(&self) -> bool {
        self.stage.is_some()
    }

    /// These options for that stage.
    pub fn put_into(&self, options: Options) -> Options {
        Options {
            stage: self.stage(),
            ..options
        }
    }

    /// The same for a command that works on its rows: of a sheet whose stages are listed, one has to be named.
    pub fn put_into_listed(
        &self,
        options: Options,
        on: &CommandOn<'_>,
    ) -> Result<Options, Failure> {
        let options = self.put_into(options);
        match self.is_named() || options.stages.is_empty() {
            true => Ok(options),
            false => Err(Failure::Other(Exit::Usage, not_named(&options, on))),
        }
    }
}

/// Which step of the work is meant, and which one comes before it.
#[derive(Debug, clap::Args)]
pub struct AfterArgs {
    #[command(flatten)]
    stage: StageArgs,

    /// Only rows that are done in that stage; main is the one with the plain STATUS
    #[arg(long, value_name = "STAGE", help_heading = "Stages")]
    after: Option<Stage>,
}

impl AfterArgs {
    /// That step.
    pub fn stage(&self) -> Stage {
        self.stage.stage()
    }

    /// The one that has to come first.
    pub fn first(&self) -> Option<&Stage> {
        self.after.as_ref()
    }

    /// These options for that stage.
    pub fn put_into_listed(
        &self,
        options: Options,
        on: &CommandOn<'_>,
    ) -> Result<Options, Failure> {
        let options = Options {
            after: self.after.clone(),
            ..self.stage.put_into_listed(options, on)?
        };
        match &options.after {
            Some(after) if after.is_same(&options.stage) => {
                let message = format!(
                    "the stage {after} cannot come after itself; --stage names the one that is to be run"
                );
                Err(Failure::Other(Exit::Usage, message))
            }
            _ => Ok(options),
        }
    }
}

/// Refuses to tell how a stage stands that the sheet has no column for. One that `tickoff.toml` lists has not begun,
/// and that is said.
pub fn refuse_unknown_stage(sheet: &Sheet) -> Result<(), Failure> {
    match sheet.unknown_stage() {
        Some(error @ Error::UnknownStage { .. }) => Err(error.into()),
        Some(not_begun) => {
            tracing::warn!("{not_begun}");
            Ok(())
        }
        None => Ok(()),
    }
}

/// A command line that works on the rows of a sheet.
pub struct CommandOn<'a> {
    /// How it is typed, up to `--stage NAME`.
    pub before: String,
    /// What follows that.
    pub behind: &'static str,
    /// The sheet that has the states; there may be none yet.
    pub sheet: &'a Path,
}

fn not_named(options: &Options, on: &CommandOn<'_>) -> String {
    let has_work = |stage: &&Stage| has_work(stage, options, on.sheet);
    let left = options.stages.iter().find(has_work);
    let first = match left {
        Some(stage) => format!("the first with rows left is {stage}"),
        None => "none has rows left".to_owned(),
    };
    let name = left.map_or("NAME", Stage::name);
    let (before, behind) = (&on.before, on.behind);
    let plain = match options.stages.iter().any(Stage::is_main) {
        true => "",
        false => "; if the plain STATUS is meant: --stage main",
    };
    format!(
        "--stage has to name one of the stages in tickoff.toml: {}; {first}: {before} --stage {name}{behind}{plain}",
        names(&options.stages)
    )
}

fn names(stages: &[Stage]) -> String {
    let names: Vec<&str> = stages.iter().map(Stage::name).collect();
    names.join(", ")
}

/// Whether a row is not done in a stage; also where the sheet cannot be read, or is not there yet.
fn has_work(stage: &Stage, options: &Options, sheet: &Path) -> bool {
    let options = Options {
        stage: stage.clone(),
        ..options.clone()
    };
    let Ok(sheet) = Sheet::read(sheet, &options) else {
        return true;
    };
    sheet
        .select(&Selection::all())
        .is_ok_and(|mut rows| rows.next().is_some())
}
