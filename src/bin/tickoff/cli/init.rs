//! `tickoff init`: the columns that a run needs, without a run, and what is remembered of the sheet.

use std::sync::Arc;

use tickoff::{KeyColumns, Options, Session, Settings, Sheet, Stage, escape};

use super::args::{BackupArgs, SheetArgs, WordArgs, refuse_unwritable};
use super::name_before;
use crate::exit::{Exit, Failure};
use crate::stdout::print;

/// Add STATUS, LAST_PROCESSED and ERROR_MESSAGE where they are missing
///
/// A run does the same when it starts. A backup is made first. If stages are listed, with --stages or in
/// tickoff.toml, their columns are added instead, and the three if main is one of them.
///
/// What is said of the sheet (--key, --delimiter, --encoding, --duplicates, --done, --failed, --todo, --stages) is
/// written to tickoff.toml beside it, where every command finds it from then on; an option of a command
/// wins over it. The file is made to be edited by hand: comments, and what is said of other sheets, are kept.
///
/// With --add-key it numbers the rows that have no key instead, so that a sheet without a key column can be
/// run, and remembers COLUMN as its --key.
#[derive(Debug, clap::Args)]
#[command(after_help = "\
Examples:
  tickoff init orders.csv
  tickoff init customers.csv --key id --done COMPLETED,NO_ATTACHMENTS
  tickoff init orders.csv --key order --key line
  tickoff init letters.csv --key Kunde --encoding windows-1252
  tickoff init scans.csv --key file --stages fetch,ocr,upload
  tickoff init guests.csv --add-key ID")]
pub struct InitArgs {
    #[command(flatten)]
    pub sheet: SheetArgs,

    /// Number the rows that have no key in COLUMN, which is added if it is not there; the numbers go on
    /// behind the highest
    #[arg(long, value_name = "COLUMN", value_parser = key_column, conflicts_with = "key", help_heading = "Sheet")]
    add_key: Option<String>,

    #[command(flatten)]
    words: WordArgs,

    /// The stages of the sheet's work in their order, separated by commas: their columns are added; status, watch
    /// and report tell of them. Each run names its own [default: those of tickoff.toml]
    #[arg(
        long,
        value_name = "NAMES",
        value_delimiter = ',',
        help_heading = "Stages"
    )]
    stages: Option<Vec<Stage>>,

    /// Accept a sheet on a network filesystem, at your own risk
    #[arg(long, help_heading = "Results")]
    allow_network_fs: bool,

    #[command(flatten)]
    backup: BackupArgs,
}

/// Adds the missing columns and prints which.
pub fn run(args: &InitArgs) -> Result<Exit, Failure> {
    if let Some(stage) = args.stages.as_deref().and_then(Stage::repeated) {
        let message = format!("--stages has the name {stage} twice; case does not count");
        return Err(Failure::Other(Exit::Usage, message));
    }
    let typed = args.words.put_into(args.sheet.settings()?);
    let key = args.add_key.clone().map(KeyColumns::from).or(typed.key);
    let typed = Settings {
        key,
        stages: args.stages.clone(),
        ..typed
    };
    let options = Options {
        allow_network_fs: args.allow_network_fs,
        ..args.sheet.options_with(typed.clone())?
    };
    if let Some(found) = typed
        .clone()
        .or(Settings::of(&args.sheet.file)?)
        .contradiction()
    {
        let message = format!(
            "{found}; --done or --{} replaces its list in tickoff.toml",
            found.list
        );
        return Err(Failure::Other(Exit::Usage, message));
    }
    let options = args.backup.put_into(options);
    if let Some(column) = &args.add_key {
        refuse_unwritable("--add-key", column, options.encoding)?;
        let exit = number_rows(args, &options)?;
        remember(args, &typed)?;
        return Ok(exit);
    }
    // Only settings with which the sheet can be read, and stages whose columns are tickoff's, are remembered.
    let mut stages = options.stages.iter();
    let of_stage = |stage: &Stage| Options {
        stage: stage.clone(),
        ..options.clone()
    };
    let first = stages.next().map_or_else(|| options.clone(), of_stage);
    let session = Session::open(&args.sheet.file, &first)?;
    for stage in stages {
        Sheet::read(&args.sheet.file, &of_stage(stage))?.refuse_foreign_status()?;
    }
    let handler = Arc::clone(session.handler());
    name_before::refuse(&handler.sheet(), typed.clone())?;
    remember(args, &typed)?;
    let added = session.init()?;
    print(|out| {
        added
            .iter()
            .try_for_each(|column| writeln!(out, "added {}", escape(column)))
    })?;
    Ok(Exit::after(&handler))
}

fn remember(args: &InitArgs, typed: &Settings) -> Result<(), Failure> {
    let remembered = typed.remember(&args.sheet.file)?;
    print(|out| {
        remembered
            .iter()
            .try_for_each(|line| writeln!(out, "remembered {}", escape(line)))
    })
}

fn number_rows(args: &InitArgs, options: &Options) -> Result<Exit, Failure> {
    let numbered = Session::number_rows(&args.sheet.file, options)?;
    print(|out| {
        if numbered.added_column {
            writeln!(out, "added {}", escape(&options.key.title()))?;
        }
        match numbered.rows {
            0 => writeln!(out, "no row lacks a key"),
            1 => writeln!(out, "numbered 1 row: {}", numbered.first),
            rows => writeln!(
                out,
                "numbered {rows} rows: {} to {}",
                numbered.first,
                numbered.first + rows as u64 - 1
            ),
        }
    })?;
    Ok(Exit::of_loss(numbered.lost_results, &numbered.unplaced))
}

fn key_column(name: &str) -> Result<String, String> {
    match name.trim() {
        "" => Err("it may not be blank".into()),
        name if Stage::default().has_column(name) => Err("that column keeps how a job went".into()),
        name => Ok(name.to_owned()),
    }
}
