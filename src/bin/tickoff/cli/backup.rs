//! `tickoff backup`: what to do with whole copies of the sheet.

use std::collections::{BTreeSet, HashSet};
use std::io::{self, Write};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use clap::Subcommand;
use tickoff::{BackupManager, BackupMetadata, CopyKind, KeptCopy, Options, escape};

use super::args::{BackupArgs, SheetArgs};
use crate::exit::{Exit, Failure};
use crate::stderr::Display;
use crate::stdout::{json_line, print};

/// What to do with backups.
#[derive(Debug, Subcommand)]
pub enum BackupCommand {
    /// Copy the sheet now; prints the path of the backup
    ///
    /// Runs never delete it, and neither does a backup under another id: of those with its own id the newest 5
    /// are kept (--keep). `backup prune` counts all alike.
    ///
    /// What only the journal holds, because a run goes on or was killed, is written into the sheet first.
    #[command(after_help = "\
Examples:
  tickoff backup create orders.csv
  tickoff backup create orders.csv --session before-cleanup")]
    Create {
        #[command(flatten)]
        sheet: SheetArgs,

        /// Session id in the backup's name: 1 to 64 letters, digits, - and _
        #[arg(long, value_name = "ID", default_value = "manual")]
        session: String,

        /// Accept a sheet on a network filesystem, at your own risk
        #[arg(long, help_heading = "Results")]
        allow_network_fs: bool,

        #[command(flatten)]
        backup: BackupArgs,
    },

    /// List the backups of the sheet, newest first, then its originals, and the sum of their sizes
    ///
    /// An original is the sheet as it was before anything was written to it. One that is also among the
    /// backups counts once. A backup that is dated after now counts as the oldest.
    ///
    /// Below stands what else was kept of the sheet, wherever it lies, and what to do with it: saves of other
    /// programs that were not taken over, results without a place, damaged journals; and in a folder that sheets of
    /// one name may share, backups of which it cannot be told whether they are of this one. With --json it is left
    /// out.
    #[command(after_help = "\
Example:
  tickoff backup list orders.csv")]
    List {
        /// The sheet
        file: PathBuf,

        /// Print each backup as a JSON object on a line of its own, and the sum as the last one
        #[arg(long)]
        json: bool,

        #[command(flatten)]
        backup: BackupArgs,
    },

    /// Put a backup in the sheet's place, after backing up what it replaces
    ///
    /// So `restore FILE latest` a second time undoes the first. A copy that holds results alone is refused: they are
    /// written to the sheet by `apply`.
    #[command(after_help = "\
Examples:
  tickoff backup restore orders.csv
  tickoff backup restore orders.csv original
  tickoff backup restore orders.csv orders_20260105_101500_nightly.csv")]
    Restore {
        #[command(flatten)]
        sheet: SheetArgs,

        /// latest, original (before anything was written to it), a session id, the name of a file in the folder of backups, or a path
        #[arg(value_name = "BACKUP", default_value = "latest")]
        which: String,

        /// Accept a sheet on a network filesystem, at your own risk
        #[arg(long, help_heading = "Results")]
        allow_network_fs: bool,

        #[command(flatten)]
        backup: BackupArgs,
    },

    /// Delete all but the newest backups; prints the paths of those deleted
    ///
    /// Spares the backups of a session that is going on or was interrupted, a backup that is used as a
    /// sheet, and originals: the sheet as it was before anything was written to it.
    #[command(after_help = "\
Examples:
  tickoff backup prune orders.csv --keep 2
  tickoff backup prune orders.csv --originals")]
    Prune {
        /// The sheet
        file: PathBuf,

        /// Delete the originals as well
        #[arg(long, help_heading = "Backups")]
        originals: bool,

        #[command(flatten)]
        backup: BackupArgs,
    },
}

impl BackupCommand {
    /// The sheet of a command that is refused while a decision about it is asked.
    pub fn sheet(&self) -> Option<&SheetArgs> {
        match self {
            BackupCommand::Create { sheet, .. } | BackupCommand::Restore { sheet, .. } => {
                Some(sheet)
            }
            _ => None,
        }
    }
}

/// Makes, lists, restores or prunes backups.
pub fn run(command: &BackupCommand, display: &Display) -> Result<Exit, Failure> {
    match command {
        BackupCommand::Create {
            sheet,
            session,
            allow_network_fs,
            backup,
        } => {
            let options = options(sheet, *allow_network_fs)?;
            let backups = manager(&sheet.file, backup)?;
            let made = backups.create_backup_with_results(session, &options)?;
            print_paths(std::slice::from_ref(&made.backup.backup_path))?;
            backups.cleanup_after(&made.backup)?;
            return Ok(Exit::of_loss(made.lost_results, &made.unplaced));
        }
        BackupCommand::List { file, json, backup } => {
            let backups = manager(file, backup)?;
            let mut found = backups.list()?;
            found.extend(backups.list_originals()?);
            let total = Total::of(&found);
            let copies = match json {
                true => Vec::new(),
                false => backups.list_copies()?,
            };
            print(|out| {
                if *json {
                    found.iter().try_for_each(|backup| json_line(out, backup))?;
                    json_line(out, &total)
                } else {
                    table(out, &found, &total)?;
                    table_of_copies(out, &copies)
                }
            })?;
        }
        BackupCommand::Restore {
            sheet,
            which,
            allow_network_fs,
            backup,
        } => {
            let options = options(sheet, *allow_network_fs)?;
            let backups = manager(&sheet.file, backup)?;
            let chosen = backups.resolve(which)?;
            let made = backups.restore_from_backup(&chosen, &options)?;
            if let Some(made) = &made {
                let before = escape(&made.backup.backup_path.to_string_lossy());
                display.report(format_args!("the sheet as it was before: {before}"));
            }
            print_paths(&[chosen])?;
            return Ok(made.map_or(Exit::Done, |made| {
                Exit::of_loss(made.lost_results, &made.unplaced)
            }));
        }
        BackupCommand::Prune {
            file,
            originals,
            backup,
        } => {
            let backups = manager(file, backup)?;
            print_paths(&backups.cleanup_old_backups(&[])?)?;
            if *originals {
                print_paths(&backups.remove_originals()?)?;
            }
        }
    }
    Ok(Exit::Done)
}

fn manager(file: &Path, args: &BackupArgs) -> tickoff::Result<BackupManager> {
    BackupManager::new(file, args.backup_dir.clone(), args.keep.get())
}

fn options(sheet: &SheetArgs, allow_network_fs: bool) -> Result<Options, Failure> {
    Ok(Options {
        allow_network_fs,
        ..sheet.options()?
    })
}

fn print_paths(paths: &[PathBuf]) -> Result<(), Failure> {
    print(|out| {
        paths
            .iter()
            .try_for_each(|path| writeln!(out, "{}", escape(&path.to_string_lossy())))
    })
}

/// What all backups come to.
#[derive(Debug, serde::Serialize)]
struct Total {
    total_backups: usize,
    /// A file that has two names counts once.
    total_size_bytes: u64,
}

impl Total {
    fn of(backups: &[BackupMetadata]) -> Total {
        let mut counted = HashSet::new();
        let each_once = backups.iter().filter(|backup| {
            let file = backup.backup_path.metadata();
            file.is_ok_and(|file| counted.insert((file.dev(), file.ino())))
        });
        Total {
            total_size_bytes: each_once.map(|backup| backup.size_bytes).sum(),
            total_backups: backups.len(),
        }
    }
}

/// The path last, since it is the longest; and the sum, if there is anything.
fn table(
    out: &mut (impl Write + ?Sized),
    backups: &[BackupMetadata],
    total: &Total,
) -> io::Result<()> {
    backups.iter().try_for_each(|backup| {
        writeln!(
            out,
            "{}  {:>9} records  {:>12} bytes  {}  {}",
            backup.created_at.format("%Y-%m-%dT%H:%M:%SZ"),
            backup.record_count,
            backup.size_bytes,
            escape(&backup.session_id),
            escape(&backup.backup_path.to_string_lossy())
        )
    })?;
    match total.total_backups {
        0 => Ok(()),
        count => writeln!(out, "{count} in all: {} bytes", total.total_size_bytes),
    }
}

/// What was kept besides, and below it what is to be done with what there is.
fn table_of_copies(out: &mut (impl Write + ?Sized), copies: &[KeptCopy]) -> io::Result<()> {
    if copies.is_empty() {
        return Ok(());
    }
    let (certain, uncertain): (Vec<_>, Vec<_>) = copies.iter().partition(|copy| copy.is_certain);
    for (title, copies) in [
        ("kept besides, until you delete it:", certain),
        (
            "of a sheet of this name, and it cannot be told whether of this one:",
            uncertain,
        ),
    ] {
        if !copies.is_empty() {
            writeln!(out, "\n{title}")?;
        }
        for copy in copies {
            writeln!(
                out,
                "{}  {:<15}  {:>12} bytes  {}",
                copy.created_at.format("%Y-%m-%dT%H:%M:%SZ"),
                told(copy.kind).0,
                copy.size_bytes,
                escape(&copy.path.to_string_lossy())
            )?;
        }
    }
    writeln!(out)?;
    let kinds: BTreeSet<CopyKind> = copies.iter().map(|copy| copy.kind).collect();
    kinds.into_iter().try_for_each(|kind| {
        let (name, way_on) = told(kind);
        writeln!(out, "{name}: {way_on}")
    })
}

/// What a copy is called, where it comes from, and what to do with it.
fn told(kind: CopyKind) -> (&'static str, &'static str) {
    match kind {
        CopyKind::Backup => (
            "backup",
            "counted and deleted for no sheet, and never the latest: if it is of this one, tickoff backup restore FILE PATH puts it back",
        ),
        CopyKind::Outside => (
            "outside",
            "another program's save, which the sheet did not take over, or not all of it: copy into the sheet what is missing there",
        ),
        CopyKind::Replaced => (
            "replaced",
            "the sheet with its results before another program's save took rows away: tickoff backup restore FILE PATH puts it back",
        ),
        CopyKind::Unplaced => (
            "unplaced",
            "results whose row or column was gone: put that back and type them in, with tickoff set or apply",
        ),
        CopyKind::Discarded => (
            "discarded",
            "results that tickoff recover --discard gave up, or of the sheet that had the name before: tickoff apply brings them back",
        ),
        CopyKind::Answer => (
            "answer",
            "what a command or a worker answered and was no result, as it came; the run said of which key: tickoff set writes to the sheet what is of use in it",
        ),
        CopyKind::DamagedJournal => (
            "damaged journal",
            "as it was found: what could be read of it is in the sheet",
        ),
        CopyKind::ForeignJournal => (
            "other journal",
            "one that was put in the place of this sheet's: it may be that of another sheet or an old copy",
        ),
        _ => (
            "rescued",
            "what a session could not save beside the sheet: compare it with the sheet, and type in what is missing",
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::Command;
    use crate::cli::tests::parse;

    #[test]
    fn the_newest_backup_is_restored_unless_another_is_named() {
        let which = |line| match parse(line).unwrap() {
            Command::Backup(BackupCommand::Restore { which, .. }) => which,
            other => panic!("{other:?}"),
        };
        assert_eq!(which("tickoff backup restore in.csv"), "latest");
        assert_eq!(
            which("tickoff backup restore in.csv a.csv --backup-dir b"),
            "a.csv"
        );
    }

    #[test]
    fn a_backup_is_one_line_of_the_list() {
        let backup = BackupMetadata {
            backup_path: "backup/input_20260105_101500_a.csv".into(),
            original_path: "input.csv".into(),
            created_at: chrono::DateTime::from_timestamp(1_767_608_100, 0).unwrap(),
            session_id: "a".into(),
            record_count: 446,
            size_bytes: 103_472,
        };
        let mut text = Vec::new();
        let total = Total {
            total_backups: 1,
            total_size_bytes: 103_472,
        };
        table(&mut text, &[backup], &total).unwrap();
        assert_eq!(
            String::from_utf8(text).unwrap(),
            "2026-01-05T10:15:00Z        446 records        103472 bytes  a  backup/input_20260105_101500_a.csv\n1 in all: 103472 bytes\n"
        );
    }
}
